package classify

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"qingyuan/post"
)

// samplesOf is a handful of texts of every sort, for property tests.
var samplesOf = []string{
	"专业办理停息挂账，逾期的朋友加微信 lvan_8866",
	"停.息.挂.账 找我 ➕v lvan8866",
	"警方提醒：所谓停息挂账多为骗局，切勿轻信，如遇请拨打110报警。",
	"请问代理退保靠谱吗？对方说能全额退保，要先交500元。",
	"停\n息\n挂\n账\n找我",
	"今天天气不错，去公园拍了几张照片。",
	"专业&#20572;&#24687;&#x6302;&#x8d26;，<b>先办后付</b>",
	"ｆｕｌｌ　ｗｉｄｔｈ 債務重組 ❤信abc_123 ①③⑧⓪⓪⓪⓪①②③④",
	"\x00\xff\xfe坏\x80字节 停息挂账",
	strings.Repeat("停息挂账", 50),
	"",
}

func TestReasonsSumToScoreAndOffsetsFit(t *testing.T) {
	for _, c := range []*Classifier{builtin(t), withModel(t)} {
		for _, text := range samplesOf {
			p := post.Post{Title: "标题 " + text, Text: text, SourceType: "news"}
			v, err := c.Classify(p)
			if err != nil {
				t.Fatal(err)
			}
			checkVerdict(t, p, v)
		}
	}
}

// checkVerdict asserts what holds for every verdict.
func checkVerdict(t *testing.T, p post.Post, v Verdict) {
	t.Helper()
	sum := 0.0
	runes := Text(p)
	for _, r := range v.Reasons {
		sum += r.Weight
		if r.Start < 0 || r.End < r.Start || r.End > len(runes) {
			t.Fatalf("%q: reason %s has offsets %d-%d of %d", p.Text, r.ID, r.Start, r.End, len(runes))
		}
		if string(runes[r.Start:r.End]) != r.Text {
			t.Errorf("%q: reason %s says %q, its offsets mark %q", p.Text, r.ID, r.Text, string(runes[r.Start:r.End]))
		}
	}
	if got := logistic(sum); math.Abs(got-v.Score) > 1e-9 {
		t.Errorf("%q: reasons sum to %v, score is %v", p.Text, got, v.Score)
	}
	for _, e := range v.Entities {
		if e.Start < 0 || e.End > len(runes) || string(runes[e.Start:e.End]) != e.Raw || e.Value == "" {
			t.Errorf("%q: entity %+v does not fit its offsets", p.Text, e)
		}
	}
	if v.Flagged && (v.Stance != StanceOffer || len(v.Categories) == 0 || v.Severity == "") {
		t.Errorf("%q: flagged without offer, category or severity: %+v", p.Text, v)
	}
	if v.Categories == nil || v.Entities == nil || v.Reasons == nil || v.Evasion == nil {
		t.Errorf("%q: a list is nil", p.Text)
	}
	total := 0.0
	for _, s := range Stances {
		total += v.StanceScores[s]
	}
	if math.Abs(total-1) > 1e-9 {
		t.Errorf("%q: stance scores sum to %v", p.Text, total)
	}
}

func TestClassifyTooLarge(t *testing.T) {
	c := builtin(t)
	if _, err := c.Classify(post.Post{Text: strings.Repeat("字", post.MaxText/3+1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("want ErrTooLarge, got %v", err)
	}
	if _, err := c.Classify(post.Post{Text: strings.Repeat("贷", post.MaxText/3)}); err != nil {
		t.Errorf("a text at the limit is refused: %v", err)
	}
}

func TestClassifyIsConcurrentAndDeterministic(t *testing.T) {
	c := withModel(t)
	want := make([]Verdict, len(samplesOf))
	for i, text := range samplesOf {
		want[i], _ = c.Classify(post.Post{Text: text})
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, text := range samplesOf {
				if got, _ := c.Classify(post.Post{Text: text}); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("%q: verdicts differ between calls", text)
				}
			}
		})
	}
	wg.Wait()
}

func TestStances(t *testing.T) {
	c := withModel(t)
	for text, want := range map[string]Stance{
		"专业办理停息挂账，逾期的朋友加微信 lvan_8866，先办后付":                         StanceOffer,
		"昨日，市公安局经侦支队打掉一个以停息挂账为名实施诈骗的犯罪团伙，抓获犯罪嫌疑人12名，涉案金额300万元。":    StanceReport,
		"尊敬的客户：近期有不法分子打着“全额退保”旗号收取高额手续费，请提高警惕，切勿轻信，如有疑问请拨打我行客服热线。": StanceWarning,
		"请问各位，有人加我说能帮我停息挂账，要先交两千块服务费，靠谱吗？我现在逾期三个月了，怎么办？":           StanceQuestion,
		"小心被骗！市面上停息挂账骗子多，找我们正规团队，不成功不收费，加V lvan_8866":              StanceOffer,
		"今天和同事去吃了火锅，味道不错。": StanceOther,
	} {
		v, err := c.Classify(post.Post{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if v.Stance != want {
			t.Errorf("%s: stance %s (score %.2f), want %s", text, v.Stance, v.Score, want)
		}
	}
}

func TestRuleWindows(t *testing.T) {
	c := builtin(t)
	a := newAnalysis(c)
	for _, x := range []struct {
		rule, text string
		want       bool
	}{
		{"offer-contact-in-call", "加微信 lvan_8866", true},
		{"offer-contact-in-call", "加微信。" + strings.Repeat("今天天气很好没有别的事情可说", 5) + "。qq 12345678", false},
		{"cr-record-clean", "征信逾期记录可以处理干净", true},
		{"cr-record-clean", "征信报告。" + strings.Repeat("这是很长的一段闲话", 6) + "。衣服洗干净了", false},
		{"report-police-action", "开头" + strings.Repeat("很长的话。", 60) + "民警抓获嫌疑人", true},
	} {
		a.analyse(post.Post{Text: x.text})
		if got := a.fired(x.rule); got != x.want {
			t.Errorf("%s on %q: %v, want %v", x.rule, x.text, got, x.want)
		}
	}
}

func TestLinearOnHostileRepetition(t *testing.T) {
	c := builtin(t)
	// What costs the square of its length would not end within the test's time.
	for _, unit := range []string{"加微信", "停息挂账，", "13800001234 ", "“", "？", "❤", "v", "\n停", "a_1 ", "\u200b",
		"http://", "/a", "a:", "V:", "QQ：", "9%", "v x ", "#a", "tel:", "+86", "a@", "a.", "a", "1万", "有限公司", "&#20572;", "<", "a\u0301", "💰", "\xff", "\x00"} {
		text := strings.Repeat(unit, post.MaxText/len(unit)/2)
		p := post.Post{Text: text}
		v, err := c.Classify(p)
		if err != nil {
			t.Fatalf("%q: %v", unit, err)
		}
		checkVerdict(t, p, v)
	}
}

func TestModelRoundTripAndDamage(t *testing.T) {
	m := withModel(t).model
	var buf bytes.Buffer
	if err := m.Write(&buf); err != nil {
		t.Fatal(err)
	}
	back, err := ReadModel(bytes.NewReader(buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.head, m.head) || !bytes.Equal(int8Bytes(back.weights), int8Bytes(m.weights)) {
		t.Error("the model changes on its way through a file")
	}
	for name, data := range map[string][]byte{"empty": nil, "cut": buf.Bytes()[:buf.Len()/2], "other": []byte("hello"), "zeros": append([]byte(modelMagic), make([]byte, 64)...)} {
		if _, err := ReadModel(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: a damaged model is read", name)
		}
	}
}

func int8Bytes(s []int8) []byte {
	out := make([]byte, len(s))
	for i, v := range s {
		out[i] = byte(v)
	}
	return out
}

func TestLearnIsDeterministic(t *testing.T) {
	c := builtin(t)
	texts := learnable()
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		m, err := Learn(c, texts, LearnOptions{Epochs: 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Write(w); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two runs give two models")
	}
	if _, err := Learn(c, texts[:10], LearnOptions{}); err == nil {
		t.Error("ten texts are enough for Learn")
	}
}

// learnable is a small labelled set made from the samples.
func learnable() []Labelled {
	rng := rand.New(rand.NewPCG(7, 7))
	var out []Labelled
	for i := range 60 {
		offer := i%2 == 0
		l := Labelled{ID: string(rune('a' + i%26)), Stance: StanceOther, Text: "今天的第" + strings.Repeat("好", rng.IntN(5)+1) + "篇日记，天气不错"}
		if offer {
			l = Labelled{ID: l.ID, Stance: StanceOffer, Flagged: true, Category: "cashout", Text: "花呗套现秒到" + strings.Repeat("，低价", rng.IntN(4)+1)}
		}
		out = append(out, l)
	}
	return out
}

// withModel is the built-in classifier with a model.
func withModel(t testing.TB) *Classifier {
	t.Helper()
	return modelClassifier(t)
}

var modelOnce struct {
	sync.Once
	c   *Classifier
	err error
}

func modelClassifier(t testing.TB) *Classifier {
	modelOnce.Do(func() { modelOnce.c, modelOnce.err = loadBuiltinModel() })
	if modelOnce.err != nil {
		t.Fatal(modelOnce.err)
	}
	return modelOnce.c
}

func FuzzClassify(f *testing.F) {
	for _, s := range samplesOf {
		f.Add("", s)
	}
	c, err := loadBuiltinModel()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, title, text string) {
		p := post.Post{Title: title, Text: text}
		v, err := c.Classify(p)
		if err != nil {
			return
		}
		if utf8.ValidString(title) && utf8.ValidString(text) {
			checkVerdict(t, p, v)
		}
	})
}
