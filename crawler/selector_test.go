package crawler

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

const selectorPage = `<!DOCTYPE html><body class="a b"><div id=post_1 class="cl  a"><a class="s xst" href="x?tid=1" title='a]b'>t</a>
<p>x</p><svg><a xlink:href="y" CLASS="S"/></svg><A ID="post_2" data-x="" class="">z</A><em><span title="">1</span></em><td class="t_f"></div>`

// sameMatches compares a selector with that of cascadia on all nodes.
func sameMatches(t *testing.T, text string, root *html.Node) {
	t.Helper()
	want, errWant := cascadia.Compile(text)
	got, err := compileSelector(text)
	if (err == nil) != (errWant == nil) {
		t.Fatalf("%q: error %v, want %v", text, err, errWant)
	}
	if err != nil {
		return
	}
	for n := range root.Descendants() {
		if got(n) != want(n) {
			t.Fatalf("%q fits <%s %v>: %v, want %v", text, n.Data, n.Attr, got(n), want(n))
		}
	}
	if got(root) != want(root) {
		t.Fatalf("%q fits the document: %v", text, got(root))
	}
}

func TestSelectorFitsWhatTheLibrarySays(t *testing.T) {
	root, err := html.Parse(strings.NewReader(selectorPage))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"a", "A", "*", "a.s.xst", ".s", ".S", "#post_1", "[id]", "[ID^=post_]", "a[href*='tid']", `a[title="a]b"]`, "[data-x='']", "[class!=a]", "a[class!='a']",
		"div a", "div>a", "div > p + svg", "p ~ a", "div:has(a)", ":not(.a)", "a:not([href])", "div , a", " a ", "a,.b", "a:contains('z')", "body.a.b", ".cl a",
		"em span[title]", "th + td.by em, a[id]", "[class~=a i]", "[class=S i]", "[title='x y' ], p", "a /* , */ .x", `\61`, "a[href|=x]", "a[href#=(tid)]", "input", ":input", "div::before", "",
		"p ", "a >", ",", "a,,b", "[", "a[", `a["x]`, "*.a", "*[id]",
	} {
		sameMatches(t, text, root)
	}
	var pages []*html.Node
	files, _ := filepath.Glob("testdata/*/*.html")
	for _, f := range files[:min(len(files), 20)] {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if root, err := html.Parse(strings.NewReader(string(b))); err == nil {
			pages = append(pages, root)
		}
	}
	configs, err := filepath.Glob("../configs/sites/*.yaml")
	if err != nil || len(configs) == 0 {
		t.Fatalf("no site configs: %v", err)
	}
	quoted := regexp.MustCompile(`(?:select|each|title|author|text|time|floor|replies): '([^']+)'`)
	for _, f := range configs {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(b), -1) {
			for _, root := range append(pages, root) {
				sameMatches(t, m[1], root)
			}
		}
	}
}

func FuzzSelector(f *testing.F) {
	root, err := html.Parse(strings.NewReader(selectorPage))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"a.s.xst", `a[title="a]b"]`, "div > a:not(.x), #post_1", "[class!=a i]", ":has(a) ~ p"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 200 {
			sameMatches(t, s, root)
		}
	})
}
