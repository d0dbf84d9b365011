package crawler

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// tolerant is the tree that the parser makes.
func tolerant(body []byte) (*html.Node, error) {
	tamed, err := tame(body)
	if err != nil {
		return nil, err
	}
	return html.Parse(&timedReader{rest: tamed, until: time.Now().Add(time.Minute)})
}

// outline writes a tree, a node a line.
func outline(n *html.Node) string {
	var b strings.Builder
	var walk func(n *html.Node, depth int)
	walk = func(n *html.Node, depth int) {
		fmt.Fprintf(&b, "%*s%d %d %q %q %q\n", depth, "", n.Type, n.DataAtom, n.Namespace, n.Data, n.Attr)
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.Parent != n || c.PrevSibling == nil != (c == n.FirstChild) || c.NextSibling == nil != (c == n.LastChild) {
				b.WriteString("links of the tree are broken\n")
			}
			walk(c, depth+1)
		}
	}
	walk(n, 0)
	return b.String()
}

// samePlain fails when a page is taken for plain and its tree is another than
// the parser's.
func samePlain(t *testing.T, body []byte) (plain bool) {
	t.Helper()
	got, ok := parsePlain(body)
	if !ok {
		return false
	}
	want, err := tolerant(body)
	if err != nil {
		t.Fatalf("the parser refuses what is taken for plain: %v\n%q", err, body)
	}
	a, b := strings.Split(outline(got), "\n"), strings.Split(outline(want), "\n")
	if slices.Equal(a, b) {
		return true
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d of the tree is\n%s\nthe parser has\n%s\nin %.2000q", i+1, a[i], b[i], body)
		}
	}
	t.Fatalf("the tree has %d nodes, the parser's %d\nin %.2000q", len(a), len(b), body)
	return true
}

func plainSeeds(tb testing.TB) (names []string, pages [][]byte) {
	for _, pattern := range []string{"testdata/pages/*", "testdata/pages/*/*", os.Getenv("QINGYUAN_TEST_PAGES")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range files {
			if data, err := os.ReadFile(f); err == nil && bytes.Contains(data, []byte("</")) {
				names, pages = append(names, f), append(pages, data)
			}
		}
	}
	if len(pages) == 0 {
		tb.Fatal("there are no saved pages")
	}
	return names, pages
}

func TestPlainPagesAreThoseOfTheParser(t *testing.T) {
	names, pages := plainSeeds(t)
	plain := 0
	for i, page := range pages {
		ok := samePlain(t, page)
		if ok {
			plain++
		}
		if !ok {
			p := &plainPage{src: string(page)}
			p.opens.limit = formattingLimit(page)
			p.begin(100)
			at := 0
			for p.at < len(p.src) {
				at = p.at
				if !p.token() {
					break
				}
			}
			t.Logf("   mode %d: %.90q", p.mode, p.src[at:])
		}
		t.Logf("%-60s %7d bytes, plain: %v", names[i], len(page), ok)
	}
	t.Logf("%d of %d are plain", plain, len(pages))
}

func FuzzPlainHTML(f *testing.F) {
	_, pages := plainSeeds(f)
	for _, page := range pages {
		if len(page) < 20_000 {
			f.Add(page)
		}
	}
	for _, s := range plainSamples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 1<<16 {
			samePlain(t, body)
		}
	})
}

// plainSamples are pieces at which the two could part.
var plainSamples = []string{
	"<!DOCTYPE html><html><head><title>a &amp; b</title></head><body><p>一<p>二<div>三</div></p></body></html>",
	"<table><tr><td>1<td>2<tr><th>3</table>后", "<table><tbody><tr>\n<a name=x></a> <td><b>x</td></tr></tbody></table>",
	"<ul><li>1<li>2<ul><li>3</ul></ul>", "<dl><dt>a<dd>b<dt>c</dl>", "<p><b>粗<i>斜</b></i>", "<a href=1>x<a href=2>y</a>",
	"<select><option>1<option selected>2</select>", "<pre>\n\nx</pre><textarea>\r\n&#13;&#10;y</textarea>", "<script>if(a<b)</script><style>a>b</style>",
	"<svg viewBox='0 0 1 1' class=i><path d=M0/><g><rect/></g></svg>", "<a href='?a=1&amp;b=2&copy=3&lt;&notit;&#x4e00;&raquo;'>x</a>",
	"<form><div></form></div><form>", "</p></br></b></div>", "<!-- a --><!--><?xml a?><!DOCTYPE html PUBLIC \"x\">", "a\r\nb\rc &lt &lt; &nosuch; <3 </>",
	"<h1>a<h2>b</h1>", "<body a=1><body b=2>", "<font size=1><font size=1><font size=1><font size=1>x", "<b><div>x</b></div>", "<DIV ID=a Id=b/>x</DIV>",
	"</body> x<p>y</html> <i>z", "<title>x</title><meta a><noscript><p></noscript>", "<button><p>x</button>", "<p><table></table>", "<input type=hidden><hr>",
	"<table><form><tr><input type=hidden><td></form></table>", "<x-y><z>a</x-y>", "<span a=b c = 'd' e= \"f\"g=h/ i>x</span>", "<iframe><p></iframe>", "<math><mi>x",
}

func TestPlainSamples(t *testing.T) {
	plain := 0
	for _, s := range plainSamples {
		for _, around := range []string{"%s", "<!DOCTYPE html><html><head></head><body>%s</body></html>", "<div><b>%s</b></div>", "<table><tr><td>%s</td></tr></table>", "<p>%s"} {
			if samePlain(t, fmt.Appendf(nil, around, s)) {
				plain++
			}
		}
	}
	if plain < 60 {
		t.Errorf("only %d samples are plain", plain)
	}
	t.Logf("%d plain", plain)
}

// TestPlainAtRandom compares the trees of pages thrown together from tags and
// pieces of text, many of them half in order.
func TestPlainAtRandom(t *testing.T) {
	tags := strings.Fields("html head body title meta link script style div div p p span a a b i em strong font u s h1 h2 ul ol li li dl dt dd table table tbody thead tr tr td td th " +
		"form input select option button textarea pre br hr img section article header nav label blockquote center iframe noscript svg path g code small x-y center main fieldset caption col object nobr template base optgroup")
	texts := append([]string{"文字", " ", "\n", "a&amp;b", "<", "&lt", "\r\n", "<!-- c -->", "<!DOCTYPE html>", " x "}, plainSamples...)
	attrs := []string{"", "", "", " class=a", " id='b' class=\"c\"", " href=\"?x=1&amp;y=2&z=3\"", " type=hidden", " B=1 a=2", " a a=1", " /", "/", " viewBox='0'", " a=b/"}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	docs, plain := 30_000, 0
	if testing.Short() {
		docs = 3_000
	}
	for range docs {
		var b strings.Builder
		var open []string
		if r.IntN(2) == 0 {
			b.WriteString("<!DOCTYPE html><html><head><title>t</title></head><body>")
		}
		for range 1 + r.IntN(24) {
			switch n := r.IntN(20); {
			case n < 8:
				tag := pick(tags)
				open = append(open, tag)
				b.WriteString("<" + tag + pick(attrs) + ">")
			case n < 13 && len(open) > 0:
				b.WriteString("</" + open[len(open)-1] + ">")
				open = open[:len(open)-1]
			case n < 14:
				b.WriteString("</" + pick(tags) + ">")
			default:
				b.WriteString(pick(texts))
			}
		}
		if samePlain(t, []byte(b.String())) {
			plain++
		}
	}
	if plain < docs/10 {
		t.Errorf("only %d of %d pages are plain", plain, docs)
	}
	t.Logf("%d of %d pages are plain", plain, docs)
}
