package digest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/index"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
	"qingyuan/post"
)

var (
	update     = flag.Bool("update", false, "write the golden files anew")
	reclassify = flag.Bool("classify", false, "write testdata/day.jsonl anew with the verdicts of the present dictionaries")
)

// day is the day that the tests tell of.
var day = time.Date(2026, 11, 21, 0, 0, 0, 0, index.China())

// morning is when the digest of day is made.
var morning = time.Date(2026, 11, 22, 8, 30, 0, 0, index.China())

// openStore opens an empty index; its clock stands in the morning of day.
func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: classify.Normalize,
		Now: func() time.Time { return day.Add(9 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// taxonomy is apart from the dictionaries, so that goldens do not change with them.
var taxonomy = []classify.Category{
	{ID: "debt_relief_scam", Name: classify.Name{Zh: "债务解债骗局", En: "Debt-relief scam"}},
	{ID: "anti_collection_tutorial", Name: classify.Name{Zh: "反催收教程", En: "Anti-collection tutorial"}},
	{ID: "fake_documents", Name: classify.Name{Zh: "假材料证明", En: "Fake documents"}},
	{ID: "illegal_loan_broker", Name: classify.Name{Zh: "非法贷款中介", En: "Illegal loan broker"}},
	{ID: "insurance_surrender_agency", Name: classify.Name{Zh: "代理退保", En: "Insurance surrender agency"}},
	{ID: "credit_repair", Name: classify.Name{Zh: "征信修复", En: "Credit repair"}},
	{ID: "cashout", Name: classify.Name{Zh: "套现与代还养卡", En: "Cash-out"}},
	{ID: "account_trade", Name: classify.Name{Zh: "账户买卖", En: "Account trade"}},
}

// text is a post as it is crawled.
type text struct {
	site, kind, author, title, body string
	at                              time.Time // when it enters the index
}

func (x text) record(t testing.TB, c *classify.Classifier, key string) index.Record {
	t.Helper()
	p := post.Post{
		ID: post.NewID(x.site, key), Source: x.site, SourceType: x.kind, Kind: post.KindPost, URL: "https://" + x.site + ".example/t/" + key,
		Title: x.title, Text: x.body, Author: post.Author{Name: x.author}, PublishedAt: x.at.Add(-3 * time.Hour), FetchedAt: x.at,
	}
	v, err := c.Classify(p)
	if err != nil {
		t.Fatal(err)
	}
	return index.Record{Post: p, Verdict: v, IngestedAt: x.at}
}

// offer is a flagged record whose verdict is given instead of found.
func offer(key, title, body string, at time.Time, contacts ...classify.Entity) index.Record {
	return index.Record{
		Post: post.Post{ID: post.NewID("bbs", key), Source: "bbs", Kind: post.KindPost, URL: "https://bbs.example/t/" + key, Title: title, Text: body, FetchedAt: at},
		Verdict: classify.Verdict{Flagged: true, Score: 0.9, Severity: classify.SeverityHigh, Stance: classify.StanceOffer,
			Categories: []classify.CategoryScore{{ID: "cashout", Score: 0.9}}, Entities: contacts},
		IngestedAt: at,
	}
}

func wechat(v string) classify.Entity {
	return classify.Entity{Type: classify.EntityWechat, Value: v, Raw: v}
}

func put(t testing.TB, s index.Store, recs ...index.Record) {
	t.Helper()
	if err := s.Put(context.Background(), recs); err != nil {
		t.Fatal(err)
	}
}

func build(t testing.TB, s index.Store, change func(*Options)) Digest {
	t.Helper()
	opts := Options{Day: day, Now: morning, Categories: taxonomy, BaseURL: "https://triage.example/qy/"}
	if change != nil {
		change(&opts)
	}
	d, err := Build(context.Background(), s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func render(t testing.TB, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// jsonOf is the JSON as it would be kept or sent.
func jsonOf(t testing.TB, d Digest) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// fill puts two days of a small town's posts into the store; the second is day.
func fill(t testing.TB, s index.Store) {
	t.Helper()
	path := filepath.Join("testdata", "day.jsonl")
	if *reclassify {
		writeDay(t, path)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("%v; run go test ./digest -classify", err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); dec.More(); {
		var r index.Record
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		put(t, s, r)
	}
}

// writeDay classifies the town's posts and keeps the records.
func writeDay(t testing.TB, path string) {
	t.Helper()
	c, err := classify.Load(dictionaries.FS, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	at := func(d time.Time, h, m int) time.Time {
		return d.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
	}
	yesterday := day.AddDate(0, 0, -1)
	texts := []text{
		{"yuehai-forum", "forum", "小岸顾问", "网贷信用卡逾期怎么办", "专业停息挂账，代办协商，60期免息分期，不成功不收费，加微信 shangan2026 发账单评估", at(yesterday, 9, 10)},
		{"bianmin", "classified", "周经理", "花呗白条套现 秒到账", "花呗、白条、信用卡提额套现，三分钟到账，费率低，电话 19900004411", at(yesterday, 11, 40)},
		{"tieyou", "forum", "老白", "房贷降息怎么申请", "银行发短信说存量房贷利率可以调整，手机银行里点哪里？", at(yesterday, 15, 5)},
		{"laoshu-blog", "blog", "老舒", "记账第八年", "我家去年到底花在哪儿了：买菜、房租和孩子的书。", at(yesterday, 20, 0)},

		{"yuehai-forum", "forum", "小岸顾问", "负债人自救指南", "专业停息挂账，代办协商，60期免息分期，不成功不收费，加微信 shangan2026 发账单评估", at(day, 0, 20)},
		{"tieyou", "forum", "岸边人", "逾期的朋友看过来", "我们团队专做停.息.挂.账，法务全程代办协商，先办后付，➕薇信：shangan2026，备注逾期", at(day, 1, 15)},
		{"suisui", "social", "不焦虑了", "", "上岸啦！个性化分期60期，代办协商停催，催收不再打扰家人，想办的加微 ZHEN_ts88，附流程图", at(day, 8, 2)},
		{"suisui", "social", "流水姐", "", "代开工资流水、收入证明、在职证明，公章齐全可验，当天出，扣扣 2900118822", at(day, 8, 44)},
		{"bianmin", "classified", "资料专营", "代办银行流水 收入证明", "代开银行流水、收入证明、离职证明，假一赔十，签证贷款都能过，QQ：2900118822", at(day, 9, 3)},
		{"bianmin", "classified", "周经理", "信用卡花呗套现秒到", "花呗、白条、信用卡套现，三分钟到账，包下款，电话 199 0000 4411", at(day, 9, 30)},
		{"bianmin", "classified", "刘顾问", "征信修复 逾期铲单", "征信花了？逾期记录专业铲单，内部渠道，7 天出结果，不成功全额退款，加V：xiuzheng_77", at(day, 10, 12)},
		{"bianmin", "classified", "包装贷款", "黑户可做 包装下款", "黑白户都能做，包装流水资料，内部渠道强开额度 20 万，下款后收 15 点，微信 kuaidai0571", at(day, 10, 55)},
		{"yuehai-forum", "forum", "退保老师", "全额退保 代理维权", "保险买贵了？代理全额退保，包写投诉材料，成功后收三成，加微 tuibao_laoshi", at(day, 11, 20)},
		{"tieyou", "forum", "反催团长", "反催收课程开班", "反催收话术课程，教你录音取证、投诉话术、应对上门，学费 399，进群 QQ 群 870012345", at(day, 13, 1)},
		{"tieyou", "forum", "收料", "高价收四件套", "收银行卡四件套、对公户，人到付款，当天结，飞机 @szka_vip", at(day, 13, 40)},
		{"jiangwan-news", "news", "记者 林知夏", "江晚警方端掉“债务优化”窝点", "本报讯 警方近日端掉一个以停息挂账、债务优化为名实施诈骗的窝点，46 人被依法采取刑事强制措施。警方提醒，凡先行收费的均应警惕。", at(day, 14, 0)},
		{"hexing-bank", "official", "禾兴银行消保部", "关于警惕“代理退保”的风险提示", "尊敬的客户：请警惕“全额退保”骗局，我行从未委托任何机构办理，谨防信息泄露。", at(day, 15, 0)},
		{"fawen-qa", "qa", "用户_慢半拍", "对方说可以停息挂账收 5 千，能信吗？", "自称法务，让我先付 5 千，我应该签吗？", at(day, 16, 30)},
		{"fawen-qa", "qa", "宋律师", "", "不建议签。银行只与持卡人本人协商，全程不收费，您可以自己打客服。", at(day, 17, 10)},
		{"bianmin", "classified", "王师傅", "修洗衣机上门", "修洗衣机、空调加氟，上门检查不收费，电话 199 0000 7788", at(day, 18, 0)},
	}
	for i, x := range texts {
		if err := enc.Encode(x.record(t, c, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGolden(t *testing.T) {
	s := openStore(t)
	fill(t, s)
	empty := openStore(t)
	for _, lang := range []string{"zh", "en"} {
		d := build(t, s, func(o *Options) { o.Language = lang })
		golden(t, lang+".html", render(t, d.HTML))
		golden(t, lang+".txt", render(t, d.Text))
		golden(t, lang+".json", jsonOf(t, d))
		golden(t, "empty-"+lang+".txt", render(t, build(t, empty, func(o *Options) { o.Language = lang }).Text))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run go test ./digest -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is meant, run go test ./digest -update\n%s", name, diff)
	}
}

func TestTextStaysInItsColumns(t *testing.T) {
	s := openStore(t)
	fill(t, s)
	for _, lang := range []string{"zh", "en"} {
		d := build(t, s, func(o *Options) { o.Language = lang })
		for line := range strings.Lines(render(t, d.Text)) {
			if n := textWidth(strings.TrimRight(line, "\n")); n > columns+2 && !strings.Contains(line, "https://triage") {
				t.Errorf("%s: %d columns: %s", lang, n, line)
			}
		}
	}
}

func TestFrozenDigestRendersTheSame(t *testing.T) {
	s := openStore(t)
	fill(t, s)
	d := build(t, s, nil)
	var back Digest
	if err := json.Unmarshal([]byte(jsonOf(t, d)), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(render(t, d.HTML), render(t, back.HTML)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(render(t, d.Text), render(t, back.Text)); diff != "" {
		t.Error(diff)
	}
}

func TestDayBoundaries(t *testing.T) {
	s := openStore(t)
	end := day.AddDate(0, 0, 1)
	for i, at := range []time.Time{
		day.Add(-time.Microsecond), // the day before, 15:59:59.999999 UTC
		day, day.Add(time.Hour), end.Add(-time.Microsecond),
		end, end.Add(time.Hour),
	} {
		put(t, s, offer(fmt.Sprint(i), "", fmt.Sprintf("第%d条广告，内容各不相同 %d", i, i*i), at, wechat(fmt.Sprintf("boundary%d", i))))
	}
	// The same day, said by any of its instants in any zone.
	for _, instant := range []time.Time{day, end.Add(-1), time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 15, 59, 59, 0, time.UTC)} {
		d := build(t, s, func(o *Options) { o.Day = instant })
		if d.Totals.Hits != (Change{3, 1}) || d.Totals.Posts != (Change{3, 1}) {
			t.Errorf("day of %v: hits %v, posts %v; want 3 after 1", instant, d.Totals.Hits, d.Totals.Posts)
		}
		if !d.From.Equal(day) || !d.To.Equal(end) {
			t.Errorf("day of %v: [%v, %v)", instant, d.From, d.To)
		}
	}
	if d := build(t, s, func(o *Options) { o.Location = time.UTC }); d.Totals.Hits.Count != 3 || d.From.Equal(day) {
		t.Errorf("in UTC: %v from %v", d.Totals.Hits, d.From)
	}
	if d := build(t, s, func(o *Options) { o.Now = end.Add(-time.Second) }); d.Complete || !strings.Contains(render(t, d.Text), "尚未结束") {
		t.Error("an unfinished day is not called so")
	}
	if d := build(t, s, func(o *Options) { o.Now = end }); !d.Complete {
		t.Error("a finished day is called unfinished")
	}
}

func TestEmptyDay(t *testing.T) {
	s := openStore(t)
	d := build(t, s, nil)
	for name, out := range map[string]string{"html": render(t, d.HTML), "text": strings.ReplaceAll(render(t, d.Text), "\n", "")} {
		if !strings.Contains(out, "没有新增或改动的帖子入库") {
			t.Errorf("%s does not say that nothing came in", name)
		}
	}
	innocent := offer("1", "记账第八年", "我家去年到底花在哪儿了", day.Add(time.Hour))
	innocent.Verdict = classify.Verdict{Stance: classify.StanceOther}
	put(t, s, innocent)
	d = build(t, s, nil)
	if out := render(t, d.HTML); !strings.Contains(out, "当日入库 1 条帖子，没有命中") {
		t.Error("does not say that posts came in and none was a hit")
	}
	if js := jsonOf(t, d); strings.Contains(js, "null") {
		t.Errorf("a list is null:\n%s", js)
	}
}

func TestDismissedIsNoHit(t *testing.T) {
	s := openStore(t)
	keep, drop := offer("1", "", "办理套现，联系我们，第一家", day, wechat("keepme01")), offer("2", "", "其实是正规商家的介绍，第二家", day, wechat("dropme02"))
	put(t, s, keep, drop)
	if _, err := s.Triage(context.Background(), drop.Post.ID, 0, index.TriageChange{Actor: "li", Status: index.StatusDismissed, Reason: "lawful"}); err != nil {
		t.Fatal(err)
	}
	d := build(t, s, func(o *Options) { o.ShowContacts = true })
	if d.Totals.Hits.Count != 1 || d.Totals.Dismissed.Count != 1 || d.Totals.Posts.Count != 2 || len(d.Hits.Items) != 1 || d.Totals.Contacts != 1 {
		t.Errorf("%+v, %d listed", d.Totals, len(d.Hits.Items))
	}
	if out := render(t, d.HTML); strings.Contains(out, "dropme02") || !strings.Contains(out, "keepme01") {
		t.Error("the dismissed record's contact is shown, or the other's is not")
	}
}

func TestNewContacts(t *testing.T) {
	s := openStore(t)
	before := day.Add(-30 * 24 * time.Hour)
	var recs []index.Record
	for i := range 100 { // many earlier hits of one contact hide no other's
		recs = append(recs, offer(fmt.Sprint("hub", i), "", fmt.Sprint("套现找我 ", i), before.Add(time.Duration(i)*time.Minute), wechat("hubhub99")))
	}
	notFlagged := offer("warn", "", "请警惕 freshone", before, wechat("freshone"))
	notFlagged.Verdict.Flagged, notFlagged.Verdict.Severity = false, ""
	official := wechat("official1")
	official.Official = true
	put(t, s, append(recs,
		offer("old", "", "从前的广告", before, wechat("oldone77"), classify.Entity{Type: "url", Value: "https://kadai.example/a?x=\"1\""}),
		notFlagged,
		offer("d1", "", "今天的广告之一", day, wechat("hubhub99"), wechat("oldone77"), wechat("freshone"), official),
		offer("d2", "", "今天的广告之二，另一个", day, wechat("freshone"), classify.Entity{Type: "url", Value: "https://kadai.example/a?x=\"1\""}, classify.Entity{Type: "phone", Value: "19900001234"}),
	)...)
	d := build(t, s, func(o *Options) { o.ShowContacts = true })
	got := map[string]Contact{}
	for _, c := range d.TopContacts.Items {
		got[c.Value] = c
	}
	want := map[string]struct {
		hits, before int
		new          bool
	}{"freshone": {2, 0, true}, "hubhub99": {1, 100, false}, "oldone77": {1, 1, false}, "19900001234": {1, 0, true}, `hxxps://kadai[.]example/a?x="1"`: {1, 1, false}}
	for v, w := range want {
		if c := got[v]; c.Hits != w.hits || c.Before != w.before || c.New != w.new {
			t.Errorf("%s: %+v, want %+v", v, c, w)
		}
	}
	if len(got) != len(want) || d.Totals.NewContacts != 2 || d.TopContacts.Items[0].Value != "freshone" {
		t.Errorf("contacts %+v, %d new", d.TopContacts, d.Totals.NewContacts)
	}
}

func TestContactOfAnEditedAdIsNotNew(t *testing.T) {
	s := openStore(t)
	old := offer("1", "", "办套现加微 bumped66，长期有效", day.Add(-48*time.Hour), wechat("bumped66"))
	put(t, s, old)
	edited := offer("1", "", "办套现加微 bumped66，长期有效，今天还能办", day.Add(time.Hour), wechat("bumped66"))
	put(t, s, edited)
	d := build(t, s, nil)
	if d.Totals.Hits.Count != 1 || d.Totals.NewContacts != 0 || !d.Hits.Items[0].Edited {
		t.Errorf("%+v, edited %v", d.Totals, d.Hits.Items[0].Edited)
	}
}

func TestFolding(t *testing.T) {
	s := openStore(t)
	strong := offer("1", "", "花呗套现，三分钟到账，加微", day, wechat("samesame"))
	strong.Verdict.Score = 0.99
	put(t, s, strong,
		offer("2", "", "完全不同的文字，但是同一个号", day, wechat("samesame")),
		offer("3", "", "专业办理信用卡套现，费率低到账快！", day, wechat("other001")),
		offer("4", "", "专业办理信用卡套现，费率低，到账快", day, wechat("other002")),
		offer("5", "", "独一无二的一条，联系方式也不同", day, wechat("other003"), classify.Entity{Type: "url", Value: "https://platform.example"}),
		offer("6", "", "另一条广告，只是都链接到同一平台", day, classify.Entity{Type: "url", Value: "https://platform.example"}),
		offer("7", "", "短", day), offer("8", "", "短", day)) // too short to be called the same
	d := build(t, s, nil)
	if d.Hits.Total != 6 || d.Groups.Total != 2 {
		t.Fatalf("%d entries, %d groups; want 6 and 2", d.Hits.Total, d.Groups.Total)
	}
	by := map[string]int{}
	for _, g := range d.Groups.Items {
		by[g.By] = g.Size
	}
	if by["contact"] != 2 || by["text"] != 2 {
		t.Errorf("groups %v", by)
	}
	if h := d.Hits.Items[0]; h.ID != strong.Post.ID || h.Copies != 1 {
		t.Errorf("first is %+v", h)
	}
}

func TestCapsAreSaid(t *testing.T) {
	s := openStore(t)
	var recs []index.Record
	for i := range 30 {
		recs = append(recs, offer(fmt.Sprint(i), "", fmt.Sprintf("第 %d 家专营，各有各的说法 %c", i, 'a'+i), day, wechat(fmt.Sprintf("capped%02d", i))))
	}
	put(t, s, recs...)
	d := build(t, s, func(o *Options) { o.Top = 7 })
	if len(d.Hits.Items) != 7 || d.Hits.Total != 30 || len(d.NewContacts.Items) != 3 || d.NewContacts.Total != 30 {
		t.Errorf("hits %d of %d, contacts %d of %d", len(d.Hits.Items), d.Hits.Total, len(d.NewContacts.Items), d.NewContacts.Total)
	}
	for name, out := range map[string]string{"html": render(t, d.HTML), "text": render(t, d.Text)} {
		if !strings.Contains(out, "显示前 7 条，共 30 条") || !strings.Contains(out, "显示前 3 条，共 30 条") {
			t.Errorf("%s does not say what it leaves out", name)
		}
	}
	if d := build(t, s, func(o *Options) { o.Query = "wechat:capped03" }); d.Totals.Hits.Count != 1 || d.Totals.Posts.Count != 30 {
		t.Errorf("narrowed: %+v", d.Totals)
	}
}

func TestWrongOptions(t *testing.T) {
	s := openStore(t)
	for name, o := range map[string]Options{
		"no day":   {},
		"language": {Day: day, Language: "fr"},
		"top":      {Day: day, Top: MaxTop + 1},
		"negative": {Day: day, Top: -1},
		"script":   {Day: day, BaseURL: "javascript:alert(1)"},
		"no host":  {Day: day, BaseURL: "/triage"},
	} {
		if _, err := Build(context.Background(), s, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var qe *index.QueryError
	if _, err := Build(context.Background(), s, Options{Day: day, Query: "score>="}); !errors.As(err, &qe) {
		t.Errorf("bad query: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Build(ctx, s, Options{Day: day}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := (Digest{Language: "xx"}).HTML(io.Discard); err == nil {
		t.Error("an unknown language is rendered")
	}
}

// BenchmarkBuild50k builds the digest of a day of 50,000 hits after one of 50,000.
func BenchmarkBuild50k(b *testing.B) {
	s := openStore(b)
	recs := indextest.Posts(100_000, 3)
	for i := range recs {
		recs[i].IngestedAt = day.Add(time.Duration(i-50_000) * time.Second)
		recs[i].Verdict.Flagged, recs[i].Verdict.Severity = true, classify.SeverityHigh
	}
	for len(recs) > 0 {
		n := min(1000, len(recs))
		put(b, s, recs[:n]...)
		recs = recs[n:]
	}
	b.ReportAllocs()
	for b.Loop() {
		d := build(b, s, nil)
		if d.Scanned != 50_000 {
			b.Fatalf("scanned %d", d.Scanned)
		}
	}
}
