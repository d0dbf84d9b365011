package mask_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/mask"
	"qingyuan/post"
)

func TestRecordKeepsPlacesAndTheOriginal(t *testing.T) {
	title, text := "办理加薇", "加薇：lake_zh88 或 LAKE_ZH88，\n一九九，客服 12378，尾号 199 0000 1234 联系"
	full := []rune(title + "\n" + text)
	at := strings.Index(string(full), "lake_zh88")
	start := utf8.RuneCountInString(string(full)[:at])
	r := index.Record{Post: post.Post{Title: title, Text: text, URL: "https://bbs.example/t/19900001234", Links: []string{"https://pay.example/lake_zh88"},
		Author: post.Author{Name: "找 lake_zh88"}, Images: []post.Image{{QR: []string{"x"}, Text: "加 lake_zh88"}}},
		Verdict: classify.Verdict{
			Entities: []classify.Entity{{Type: classify.EntityWechat, Value: "lake_zh88", Raw: "lake_zh88", Start: start, End: start + 9},
				{Type: classify.EntityPhone, Value: "12378", Raw: "12378", Official: true}, {Type: classify.EntityWechat, Value: "zz", Raw: "zz", Start: -4, End: 1 << 30}},
			Reasons: []classify.Reason{{ID: "a", Text: "lake_zh88", Start: start, End: start + 9}, {ID: "b", Text: "写作 lake_zh88", Start: 0, End: 1}}}}
	r.Verdict.Entities = r.Verdict.Entities[:2]
	before := r
	before.Post.Links = []string{r.Post.Links[0]}
	m := mask.Record(r)
	if got := m.Post.Title + "\n" + m.Post.Text; got != "办理加薇\n加薇：lak****88 或 LAK****88，\n一九九，客服 12378，尾号 199 **** **** 联系" {
		t.Errorf("the text is %q", got)
	}
	if m.Post.URL != r.Post.URL || strings.Contains(m.Post.Links[0], "zh88") || m.Post.Author.Name != "找 lak****88" || m.Post.Images[0].QR[0] != "****" || strings.Contains(m.Post.Images[0].Text, "zh88") {
		t.Errorf("the post is %+v", m.Post)
	}
	if e := m.Verdict.Entities; !mask.Hidden(e[0].Value) || e[0].Raw != "lak****88" || e[1].Value != "12378" {
		t.Errorf("the entities are %+v", e)
	}
	if x := m.Verdict.Reasons; x[0].Text != "lak****88" || x[1].Text != "写作 lak****88" {
		t.Errorf("the reasons are %+v", x)
	}
	if diff := cmp.Diff(before, r); diff != "" {
		t.Errorf("the original was changed:\n%s", diff)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("标题", "加薇 lake_zh88 电话 19900001234", "lake_zh88", 5, 14)
	f.Add("\xff\n", "\xe5", "\n", -3, 99)
	f.Add("a", "İİİİ ſſſſ", "ſſſſ", 2, 6)
	f.Fuzz(func(t *testing.T, title, text, value string, start, end int) {
		r := index.Record{Post: post.Post{Title: title, Text: text, Author: post.Author{Name: text}},
			Verdict: classify.Verdict{Entities: []classify.Entity{{Type: classify.EntityWechat, Value: value, Raw: value, Start: start, End: end}},
				Reasons: []classify.Reason{{Text: text, Start: start, End: end}}}}
		m := mask.Record(r)
		if got, want := utf8.RuneCountInString(m.Post.FullText()), utf8.RuneCountInString(r.Post.FullText()); got != want {
			t.Errorf("%d characters became %d", want, got)
		}
		if n := utf8.RuneCountInString(m.Post.Title); n != utf8.RuneCountInString(title) {
			t.Errorf("the title has %d characters", n)
		}
		plainValue := !strings.ContainsAny(value, "* \t\r\n") && utf8.ValidString(value) && utf8.RuneCountInString(value) >= 4 && strings.TrimSpace(value) == value
		if plainValue && utf8.ValidString(text) && strings.Contains(m.Post.Text, value) {
			t.Errorf("%q still stands in %q", value, m.Post.Text)
		}
		mask.Revision(index.Revision{Title: title, Text: text}, r)
	})
}
