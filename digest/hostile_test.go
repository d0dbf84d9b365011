package digest

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/mask"
)

// hostile are texts that want to be more than text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</style><script>alert(1)</script>`,
	`javascript:alert(1)`, `{{.BaseURL}}`, "a\r\nBcc: x@evil.example\r\n\r\nbody", "\x1b]0;owned\x07\x1b[31m红", "正常\u202e反转\u2066x\u2069", "零\u200b宽\ufeff", "z" + strings.Repeat("\u0336", 50),
	"\x00\xff\xfe", "\u2028line\u2029", "https://evil.example/login?x=1 www.evil.example", strings.Repeat("长", 5000), "\U000E0041\U000E0042", "*", `\`, `"`,
}

func TestHostileBytes(t *testing.T) {
	s := openStore(t)
	for i, h := range hostile {
		r := offer(fmt.Sprint(i), h, h+" 编号 "+fmt.Sprint(i), day.Add(time.Duration(i)*time.Second))
		r.Post.Author.Name, r.Post.Region = h, h
		r.Post.Source = strings.ToValidUTF8("site"+h[:min(len(h), 30)], "?")
		r.Verdict.Categories[0].ID = h
		r.Verdict.Entities = []classify.Entity{wechat(h), {Type: "url", Value: h, Raw: h, Start: -5, End: 1 << 30}, {Type: h, Value: h}}
		r.Verdict.Reasons = []classify.Reason{{Kind: classify.ReasonTerm, ID: h, Category: h, Text: h, Weight: 2, Start: 5, End: 2}, {Kind: classify.ReasonTerm, Text: h, Weight: 1, Start: 0, End: 1 << 30}}
		r.Verdict.Evasion = []classify.Evasion{classify.Evasion(h)}
		put(t, s, r)
	}
	odd := offer("odd", "标题", "编号里有怪字符的一条", day)
	odd.Post.ID = `../../x?y=1#"><script>`
	put(t, s, odd)
	for _, show := range []bool{false, true} {
		d := build(t, s, func(o *Options) { o.ShowContacts, o.Top = show, MaxTop })
		if d.Hits.Total != len(hostile)+1 || d.UncheckedContacts == 0 {
			t.Fatalf("%d hits, %d unchecked contacts", d.Hits.Total, d.UncheckedContacts)
		}
		checkPage(t, render(t, d.HTML))
		for name, out := range map[string]string{"html": render(t, d.HTML), "text": render(t, d.Text)} {
			if r, bad := unprintable(out); bad {
				t.Errorf("%s holds %U", name, r)
			}
			if strings.Contains(out, "http://evil") || strings.Contains(out, "https://evil") || strings.Contains(out, "www.evil.example") {
				t.Errorf("%s has a crawled address that can be clicked", name)
			}
		}
		if strings.Contains("\n"+render(t, d.Text), "\nBcc:") {
			t.Error("a crawled line break reached the text")
		}
	}
}

// checkPage parses a page as a browser does and refuses all that is active or
// leads elsewhere.
func checkPage(t *testing.T, page string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	allowed := " html head meta title style body table tbody tr td div span a b br "
	styles := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !strings.Contains(allowed, " "+n.Data+" ") {
			t.Errorf("the page has an element <%s>", n.Data)
		}
		if n.Data == "style" {
			styles++
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" {
				t.Errorf("<%s> has the attribute %s", n.Data, a.Key)
			}
			if a.Key == "href" && (!strings.HasPrefix(a.Val, "https://triage.example/qy/post/") || strings.ContainsAny(a.Val[len("https://triage.example/qy/post/"):], "/?#\"<")) {
				t.Errorf("a link leads to %s", a.Val)
			}
			if a.Key == "style" && strings.Contains(a.Val, "url(") {
				t.Errorf("a style fetches: %s", a.Val)
			}
		}
	}
	if styles != 1 {
		t.Errorf("%d style elements", styles)
	}
}

func unprintable(s string) (rune, bool) {
	if !utf8.ValidString(s) {
		return utf8.RuneError, true
	}
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029) {
			return r, true
		}
	}
	return 0, false
}

func TestContactsAreMaskedEverywhere(t *testing.T) {
	s := openStore(t)
	title := "办理请加 Secret_Id99"
	body := "电话 199-0000-5566，加V：SECRET_ID99，再说一遍 secret_id99；卡号 6222000011112222333，链接 https://hidden-shop.example/q/abc，邮箱 contactme@mail.example"
	full := []rune(title + "\n" + body)
	at := func(kind, value, raw string) classify.Entity {
		i := strings.Index(string(full), raw)
		start := utf8.RuneCountInString(string(full)[:i])
		return classify.Entity{Type: kind, Value: value, Raw: raw, Start: start, End: start + utf8.RuneCountInString(raw)}
	}
	contacts := []classify.Entity{at("wechat", "secret_id99", "Secret_Id99"), at("phone", "19900005566", "199-0000-5566"), at("wechat", "secret_id99", "SECRET_ID99"),
		at("bank_card", "6222000011112222333", "6222000011112222333"), at("url", "https://hidden-shop.example/q/abc", "https://hidden-shop.example/q/abc"), at("email", "contactme@mail.example", "contactme@mail.example")}
	for i := range 2 {
		r := offer(fmt.Sprint(i), title, body, day, contacts...)
		r.Post.Author.Name = "加我secret_id99 电话１９９０００05577"
		r.Verdict.Reasons = []classify.Reason{{Kind: classify.ReasonTerm, Text: "加V：SECRET_ID99", Weight: 1}, {Kind: classify.ReasonTerm, Text: "199-0000-5566", Start: contacts[1].Start, End: contacts[1].End, Weight: 1}}
		put(t, s, r)
	}
	secrets := []string{"secret_id99", "0000-5566", "19900005566", "6222000011112222333", "hidden-shop", "contactme", "05577"}
	d := build(t, s, nil)
	for name, out := range map[string]string{"html": render(t, d.HTML), "text": render(t, d.Text), "json": jsonOf(t, d)} {
		out = strings.ToLower(strings.ReplaceAll(out, "\n     ", "")) // as if lines were not wrapped
		for _, x := range secrets {
			if strings.Contains(out, x) {
				t.Errorf("%s shows %s", name, x)
			}
		}
		if !strings.Contains(out, "sec****99") || !strings.Contains(out, "****2333") {
			t.Errorf("%s does not show what is left of the contacts", name)
		}
	}
	shown := build(t, s, func(o *Options) { o.ShowContacts = true })
	if out := jsonOf(t, shown); !strings.Contains(out, `"secret_id99"`) || !strings.Contains(out, `"19900005566"`) || shown.Masked {
		t.Error("contacts are masked although they should be shown")
	}
}

func TestMaskContact(t *testing.T) {
	for _, c := range []struct{ kind, in, want string }{
		{"phone", "19900001234", "199****34"}, {"wechat", "ab", "**"}, {"wechat", "abcd1", "a***"}, {"wechat", "abcd1234", "ab****4"}, {"wechat", "", "**"},
		{"bank_card", "6222000011112222333", "****2333"}, {"email", "someone@mail.example", "so****e@mail.example"}, {"url", "https://u:p@www.kadai88.example/a?b", "ka****8.example/…"},
		{"url", "t.me/x", "**.me/…"}, {"email", "nothing", "no****g"}, {"wechat", "微信号是这个很长的", "微信号****长的"},
	} {
		if got := mask.Contact(c.kind, c.in); got != c.want {
			t.Errorf("mask.Contact(%s, %q) = %q, want %q", c.kind, c.in, got, c.want)
		}
	}
}

func TestCleanDefangAndNumbers(t *testing.T) {
	for _, c := range []struct {
		fn       func(string) string
		in, want string
	}{
		{clean, " a\t\r\n b\u3000c ", "a b c"}, {clean, "停\u200b息\u202e挂\x1b账", "停息挂账"}, {clean, "e\u0301\u0302\u0303\u0304", "e\u0301\u0302"}, {clean, "❤\ufe0f信", "❤信"},
		{defang, "见 https://a.b.example/x.html 和HTTP://c.example", "见 hxxps://a[.]b[.]example/x[.]html 和hxxp://c[.]example"}, {defang, "费率 0.38%，v2.5，停.息", "费率 0.38%，v2.5，停.息"},
		{defang, "http", "http"}, {defang, "https://", "hxxps://"}, {defang, "http:", "hxxp:"},
		{mask.Numbers, "打 199 0000 1234 吧", "打 199**** 吧"}, {mask.Numbers, "2026-11-21", "202****"}, {mask.Numbers, "20 万 15 点", "20 万 15 点"}, {mask.Numbers, "①③⑧零零0000", "①③⑧零零0000"}, {mask.Numbers, "１３８－0000", "１３８－0000"},
	} {
		if got := c.fn(c.in); got != c.want {
			t.Errorf("%q → %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzQuoter(f *testing.F) {
	for _, h := range hostile {
		f.Add(h, h, h, 0, 5)
	}
	f.Fuzz(func(t *testing.T, title, body, raw string, start, end int) {
		r := index.Record{}
		r.Post.Title, r.Post.Text = title, body
		r.Verdict.Entities = []classify.Entity{{Type: "wechat", Value: raw, Raw: raw, Start: start, End: end}, {Type: "url", Value: raw, Raw: raw, Start: end, End: start}}
		r.Verdict.Reasons = []classify.Reason{{Kind: classify.ReasonTerm, Text: body, Weight: 1, Start: start, End: end}}
		q := newQuoter(r, true)
		for _, s := range []string{q.title(20), q.excerpt(50), q.loose(raw), strings.Join(evidence(r.Verdict, q), "")} {
			if c, bad := unprintable(s); bad || strings.Contains(s, "\n") {
				t.Fatalf("%q holds %U", s, c)
			}
		}
		if n := utf8.RuneCountInString(q.excerpt(50)); n > 50 {
			t.Fatalf("excerpt of %d characters", n)
		}
		page := textPage{}
		page.wrap("  ", "    ", q.loose(body))
	})
}

func TestLabels(t *testing.T) {
	verbs := func(s string) string {
		var out strings.Builder
		for i := range len(s) - 1 {
			if s[i] == '%' {
				out.WriteString(s[i : i+2])
			}
		}
		return out.String()
	}
	for k, z := range zh {
		e, ok := en[k]
		if !ok || e == "" || z == "" {
			t.Errorf("%s: zh %q, en %q", k, z, e)
		}
		if verbs(z) != verbs(e) {
			t.Errorf("%s takes %q in zh and %q in en", k, verbs(z), verbs(e))
		}
	}
	if len(en) != len(zh) {
		t.Errorf("%d words in en, %d in zh", len(en), len(zh))
	}
	var keys []string
	for _, s := range classify.Stances {
		keys = append(keys, "stance."+string(s))
	}
	for _, s := range severities {
		keys = append(keys, "severity."+string(s))
	}
	for _, s := range index.Statuses {
		keys = append(keys, "status."+string(s))
	}
	for _, s := range index.ContactTypes {
		keys = append(keys, "contact."+s)
	}
	for _, e := range []classify.Evasion{classify.EvasionFullwidth, classify.EvasionStyled, classify.EvasionTraditional, classify.EvasionZeroWidth, classify.EvasionCombining,
		classify.EvasionCompat, classify.EvasionHomoglyph, classify.EvasionSeparators, classify.EvasionFiller, classify.EvasionEmoji, classify.EvasionVertical, classify.EvasionRepeated,
		classify.EvasionHTML, classify.EvasionHidden, classify.EvasionReversed, classify.EvasionSplit, classify.EvasionHomophone, classify.EvasionLookalike, classify.EvasionPinyin,
		classify.EvasionInitials, classify.EvasionMars, classify.EvasionBopomofo, classify.EvasionUpsideDown, classify.EvasionDigits} {
		keys = append(keys, "evasion."+string(e))
	}
	for _, k := range keys {
		if zh[k] == "" {
			t.Errorf("no word for %s", k)
		}
	}
}
