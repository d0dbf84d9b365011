package triage

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"qingyuan/classify"
	"qingyuan/index"
)

func TestEveryTextStandsInBothLanguages(t *testing.T) {
	verbs := regexp.MustCompile(`%(\[\d\])?[sd]`)
	count := func(s string) string {
		found := verbs.FindAllString(s, -1)
		for i, v := range found {
			found[i] = v[len(v)-1:]
		}
		return strings.Join(found, "")
	}
	for _, table := range []map[string]classify.Name{words, labels, statusWords, dictWords, apiWords} {
		for key, n := range table {
			if n.Zh == "" || n.En == "" || count(n.Zh) != count(n.En) {
				t.Errorf("%s: %q and %q", key, n.Zh, n.En)
			}
		}
	}
	for key := range words {
		if _, twice := labels[key]; twice {
			t.Errorf("%s stands in both tables", key)
		}
	}
	for key := range statusWords {
		_, word := words[key]
		if _, named := labels[key]; word || named {
			t.Errorf("%s stands in two tables", key)
		}
	}
}

func TestEveryIDHasALabel(t *testing.T) {
	need := func(list, id string) {
		t.Helper()
		if _, ok := labels[list+"."+id]; !ok {
			t.Errorf("no label for %s %s", list, id)
		}
	}
	for _, s := range index.Statuses {
		need("status", string(s))
	}
	for _, s := range classify.Stances {
		need("stance", string(s))
	}
	for _, s := range []string{"low", "medium", "high", "critical"} {
		need("severity", s)
	}
	for _, e := range slices.Concat(index.EntityTypes[:], index.ContactTypes[:]) {
		need("entity", e)
	}
	for _, f := range index.Fields() {
		need("field", f.Name)
	}
	for _, f := range facetFields {
		need("field", f)
	}
	for _, r := range dismissReasons {
		need("reason", r)
	}
	for _, a := range auditActions {
		need("action", a)
	}
	for key := range labels {
		if id, ok := strings.CutPrefix(key, "evasion."); ok {
			need("evasion_help", id)
		}
	}
	for key, undo := range notices {
		if got := noticeText("en", &notice{Key: key, Undo: undo}); strings.HasPrefix(got, "notice.") {
			t.Errorf("no text for notice %s", key)
		}
	}
}

var (
	action  = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	wordKey = regexp.MustCompile(`\b(?:t|tf) "([^"]+)"`)
)

// TestTemplatesHoldNoTextOfTheirOwn: every letter that a template shows comes
// from the tables, and every key it names stands there.
func TestTemplatesHoldNoTextOfTheirOwn(t *testing.T) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil || len(names) != len(pages)+2 {
		t.Fatalf("templates: %q, %v", names, err)
	}
	letters := func(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range wordKey.FindAllStringSubmatch(string(data), -1) {
			if text("en", m[1]) == m[1] {
				t.Errorf("%s names %q, which no table has", name, m[1])
			}
		}
		z := html.NewTokenizer(strings.NewReader(action.ReplaceAllString(string(data), "")))
		var open string
		for z.Next() != html.ErrorToken {
			tok := z.Token()
			switch tok.Type {
			case html.StartTagToken, html.SelfClosingTagToken:
				open = tok.Data
				for _, a := range tok.Attr {
					if slices.Contains([]string{"title", "aria-label", "placeholder", "alt"}, a.Key) && letters(a.Val) {
						t.Errorf("%s: %s=%q is not translated", name, a.Key, a.Val)
					}
				}
			case html.EndTagToken:
				open = ""
			case html.TextToken:
				if open != "kbd" && letters(tok.Data) {
					t.Errorf("%s: text %q is not translated", name, strings.TrimSpace(tok.Data))
				}
			}
		}
	}
}

func TestLanguageIsChosenByCookie(t *testing.T) {
	server := newServer(t, seeded(t), nil)
	if got := document(t, ask(server, "GET", "/", nil), 200).Find("h1").Text(); got != "研判队列" {
		t.Errorf("without a choice: %q", got)
	}
	w := ask(server, "GET", "/lang?to=en&back=/overview", nil)
	doc := document(t, askAs(server, "GET", "/overview", nil, w.Result().Cookies()), 200)
	if doc.Find("h1").Text() != "Overview" || doc.Find("html").AttrOr("lang", "") != "en" {
		t.Errorf("in English: %q", doc.Find("h1").Text())
	}
	w = ask(server, "GET", "/theme?to=dark&back=/", nil)
	if got := document(t, askAs(server, "GET", "/", nil, w.Result().Cookies()), 200).Find("html").AttrOr("data-theme", ""); got != "dark" {
		t.Errorf("theme %q", got)
	}
}

func TestDiff(t *testing.T) {
	show := func(before, after string) string {
		var b strings.Builder
		for _, c := range diff(before, after) {
			for _, p := range c.Pieces {
				fmt.Fprintf(&b, "%s[%s%s]", map[string]string{"": "=", "del": "-", "ins": "+"}[c.Op], p.Text, p.Code)
			}
		}
		return b.String()
	}
	for _, c := range []struct{ before, after, want string }{
		{"停息挂账", "停息挂账", "=[停息挂账]"}, {"", "新", "+[新]"}, {"旧", "", "-[旧]"}, {"分60期办", "分72期办", "=[分]-[60]+[72]=[期办]"}, {"a", "a\u202Eb", "=[a]+[U+202E]+[b]"},
	} {
		if got := show(c.before, c.after); got != c.want {
			t.Errorf("%q → %q: %s, want %s", c.before, c.after, got, c.want)
		}
	}
}

func FuzzDiff(f *testing.F) {
	f.Add("停息挂账分60期", "停息分期挂账分72期")
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before) > keepRunes || len(after) > keepRunes {
			return // longer unchanged text is shortened
		}
		var a, b int
		for _, c := range diff(before, after) {
			n := 0
			for _, p := range c.Pieces {
				n += len([]rune(p.Text))
				if p.Code != "" {
					n++
				}
			}
			if c.Op != "ins" {
				a += n
			}
			if c.Op != "del" {
				b += n
			}
		}
		if a != len([]rune(before)) || b != len([]rune(after)) {
			t.Fatalf("%q → %q: %d and %d characters are told", before, after, a, b)
		}
	})
}
