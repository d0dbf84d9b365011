package classify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"qingyuan/post"
)

// forget takes wordings out of the built-in dictionaries, wherever they stand.
func forget(t *testing.T, lost ...string) *Classifier {
	t.Helper()
	d, err := LoadDictionary(os.DirFS("../dictionaries"))
	if err != nil {
		t.Fatal(err)
	}
	gone := func(s string) bool {
		return slices.ContainsFunc(lost, func(l string) bool { return strings.Contains(s, l) })
	}
	keep := func(list []string) []string { return slices.DeleteFunc(slices.Clone(list), gone) }
	for i := range d.Categories {
		c := &d.Categories[i]
		for j := range c.Terms {
			x := &c.Terms[j]
			x.Variants, x.Initials = keep(x.Variants), nil
			if gone(x.Text) {
				x.Text = "从不出现的字样" // its id stays, exceptions may name it
			}
		}
	}
	for id, c := range d.classes {
		c.Any = append(keep(c.Any), "从不出现的字样")
		d.classes[id] = c
	}
	for _, r := range d.rules {
		r.Any, r.All, r.None = append(keep(r.Any), "从不出现的字样"), keep(r.All), keep(r.None)
	}
	c, err := New(Options{Dictionary: d})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// suggest runs Suggest over a spool in a file.
func suggest(t *testing.T, c *Classifier, list []Sample, opts SuggestOptions) Suggestions {
	t.Helper()
	spool, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	opts.Spool = spool
	s, err := Suggest(t.Context(), c, samples(list), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wordingsOf(s Suggestions) []string {
	var out []string
	for _, x := range s.Wordings {
		out = append(out, x.Text)
	}
	return out
}

// adverts writes posts around an invented trade word; the other words vary.
func adverts(word string) []Sample {
	var out []Sample
	for i, form := range []string{
		"专做%s，当天出结果，加微信 lvshan_%d8", "%s老渠道，点位低，V: qinghe%d77", "老哥们%s找我，先办后付，扣扣 18044%d256",
		"收%s客户，返佣高，电报 @nanfeng_%d9", "长期%s，不成功不收费，私信我%d", "全国可%s，三天搞定，微信 hz_anxin%d3",
	} {
		out = append(out, Sample{Post: post.Post{Text: fmt.Sprintf(form, word, i)}, Truth: &Truth{Flagged: true, Stance: StanceOffer, Category: "credit_repair"},
			Contacts: []Contact{{Type: EntityTelegram, Value: fmt.Sprintf("nanfeng_%d9", i)}}})
	}
	return out
}

// chatter is what else is written: 20 texts for each.
func chatter() []Sample {
	var out []Sample
	for i, form := range []string{"今天第%d次去公园散步，天气很好", "楼下的面馆开了%d年，味道没变过", "孩子的作业写到第%d页，还没写完", "周末看了%d集电视剧，结局一般", "换了%d个闹钟还是起不来床"} {
		for j := range 20 {
			out = append(out, Sample{Post: post.Post{Text: fmt.Sprintf(form, 20*i+j)}, Truth: &Truth{Stance: StanceOther}})
		}
	}
	return out
}

func TestSuggestFindsANewWord(t *testing.T) {
	c := builtinWith(t, nil)
	list := append(adverts("洗灯泡"), chatter()...)
	s := suggest(t, c, list, SuggestOptions{})
	if s.Flagged != 6 || s.Unflagged+s.About+s.Repeated != 100 || s.Judged != 0 {
		t.Errorf("counts %+v", s)
	}
	if len(s.Wordings) == 0 || s.Wordings[0].Text != "洗灯泡" {
		t.Fatalf("suggested %v, want 洗灯泡 first", wordingsOf(s))
	}
	x := s.Wordings[0]
	if x.Flagged != 6 || x.Unflagged != 0 || x.Category != "credit_repair" || x.Share != 1 {
		t.Errorf("%+v", x)
	}
	if len(x.Examples) != 3 || !strings.Contains(x.Examples[0], "专做洗灯泡，当天") {
		t.Errorf("examples %q", x.Examples)
	}
	for _, x := range s.Wordings {
		for _, e := range append(x.Examples, x.Text) {
			for _, contact := range []string{"lvshan", "qinghe", "18044", "nanfeng", "hz_anxin"} {
				if strings.Contains(e, contact) {
					t.Errorf("a contact is shown: %s", e)
				}
			}
		}
		if x.Text != "洗灯泡" && strings.Contains("洗灯泡", x.Text) {
			t.Errorf("%s is a piece of 洗灯泡 with the same counts", x.Text)
		}
	}
	// The line must be good in a dictionary, and then the word is known.
	text := "category: credit_repair\nname: {zh: 试, en: Try}\nseverity: low\nterms:\n  " + x.YAML + "\n"
	known, err := New(Options{Dictionary: dictionaryOf(t, map[string]string{"credit_repair.yaml": text})})
	if err != nil {
		t.Fatal(err)
	}
	if got := wordingsOf(suggest(t, known, list, SuggestOptions{})); slices.Contains(got, "洗灯泡") {
		t.Errorf("a word of the dictionary is suggested: %v", got)
	}
	if got := wordingsOf(suggest(t, c, list, SuggestOptions{Category: "cashout"})); len(got) != 0 {
		t.Errorf("for another category: %v", got)
	}
	if got := wordingsOf(suggest(t, c, list, SuggestOptions{Min: 7})); len(got) != 0 {
		t.Errorf("in at least 7 posts: %v", got)
	}
}

// A disguised word is found in its honest form, and a disguise of a word that
// is known is not suggested.
func TestSuggestUndoesDisguises(t *testing.T) {
	for name, disguise := range map[string]string{"separators": "洗.灯.泡", "full width and traditional": "洗燈泡"} {
		s := suggest(t, builtinWith(t, nil), append(adverts(disguise), chatter()...), SuggestOptions{})
		if got := wordingsOf(s); !slices.Contains(got, "洗灯泡") {
			t.Errorf("%s: suggested %v", name, got)
		}
	}
	s := suggest(t, builtinWith(t, nil), append(adverts("停.息.挂.账"), chatter()...), SuggestOptions{})
	for _, got := range wordingsOf(s) {
		if strings.Contains(got, "挂账") || strings.Contains(got, "停息") {
			t.Errorf("a known word is suggested: %s", got)
		}
	}
}

// Words that a dictionary has lost come back from the labelled texts.
func TestSuggestFindsLostTerms(t *testing.T) {
	c := forget(t, "铲单", "产单", "花户")
	texts := labelledSamples(t, "train.jsonl")
	var s Suggestions
	for want, category := range map[string]string{"铲单": "credit_repair", "花户": "illegal_loan_broker"} {
		s = suggest(t, c, texts, SuggestOptions{Top: 50, Category: category})
		i := slices.IndexFunc(s.Wordings, func(x Suggestion) bool { return x.Text == want })
		if i < 0 || s.Wordings[i].Category != category {
			t.Errorf("%s is not suggested for %s: %v", want, category, wordingsOf(s))
		}
	}
	again := suggest(t, c, texts, SuggestOptions{Top: 50, Category: s.Wordings[0].Category})
	if diff := cmp.Diff(s, again, cmp.AllowUnexported(Suggestion{})); diff != "" {
		t.Errorf("the same posts give another answer:\n%s", diff)
	}
}

func TestSuggestJudgesWhatNobodyHas(t *testing.T) {
	list := append(adverts("洗灯泡"), chatter()...)
	for i := range list {
		list[i].Truth = nil
		if i%2 == 0 {
			list[i].Verdict = &Truth{Flagged: i < 6, Category: "credit_repair"}
		}
	}
	if s := suggest(t, builtinWith(t, nil), list, SuggestOptions{}); s.Judged != 53 || s.Flagged < 3 {
		t.Errorf("%+v; 53 posts came without a verdict", s)
	}
}

func TestSuggestCountsRepeatedPostsOnce(t *testing.T) {
	ad := adverts("洗灯泡")[0]
	var list []Sample
	for i := range 50 {
		again := ad
		again.Post.Text = strings.Replace(ad.Post.Text, "lvshan_0", fmt.Sprint("lvshan_", i), 1) // the contact differs
		list = append(list, again)
	}
	s := suggest(t, builtinWith(t, nil), append(list, chatter()...), SuggestOptions{})
	if s.Flagged != 1 || len(s.Wordings) != 0 {
		t.Errorf("one advert posted 50 times: %d flagged, suggested %v", s.Flagged, wordingsOf(s))
	}
}

func TestLossyCounterKeepsWhatIsFrequent(t *testing.T) {
	l := lossyCounter{limit: 100}
	for i := range uint64(20000) {
		l.add(1000 + i) // each once
		if i%50 == 0 {
			l.add(7)
		}
	}
	if e := l.entries[7]; int(e.count+e.missed) < 400 || e.count > 400 {
		t.Errorf("a hash added 400 times counts %+v", e)
	}
	if len(l.entries) > 100 {
		t.Errorf("%d entries, the limit is 100", len(l.entries))
	}
}

func FuzzSuggest(f *testing.F) {
	for _, s := range adverts("洗.灯.泡") {
		f.Add(s.Post.Text, "lvshan")
	}
	f.Add("<b>停</b>息\x00\xff< a>挂<!-- x", "停")
	c, err := Load(os.DirFS("../dictionaries"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, contact string) {
		list := []Sample{
			{Post: post.Post{Text: text}, Truth: &Truth{Flagged: true}, Contacts: []Contact{{Value: contact}}},
			{Post: post.Post{Title: text, Text: "又"}, Truth: &Truth{Flagged: true}},
			{Post: post.Post{Text: "今天天气好"}, Truth: &Truth{}},
		}
		for _, x := range suggest(t, c, list, SuggestOptions{Min: 1}).Wordings {
			if n := len([]rune(x.Text)); n < shortestWording || n > longestWording || x.Flagged < 1 || x.Flagged > 2 {
				t.Errorf("%+v", x)
			}
		}
	})
}
