package crawler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"qingyuan/crawler/transport"
)

func pageSource(t *testing.T, format, follow, posts string) *Source {
	t.Helper()
	src, err := ReadSource("x.yaml", []byte("name: x\ntype: forum\nhosts: [a.example.com]\nseeds: ['http://a.example.com/']\npages:\n"+
		"  - {name: p, match: '^/', format: "+format+", follow: ["+follow+"], posts: ["+posts+"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// costOf extracts a page and tells how many bytes were allocated for it.
func costOf(t *testing.T, src *Source, body string) (allocated uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := src.Extract(Page{URL: "http://a.example.com/x", Body: []byte(body), FetchedAt: fetchedAt}); err != nil {
		t.Logf("refused: %v", err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const blockPosts = "{each: '.post', kind: post, key: {attr: id}, author: i, text: p}"

// Formatting elements left open are made anew in every paragraph that follows:
// 30 KB of page become 500 MB of nodes, 1 MB becomes all the memory there is.
func TestOpenFormattingElements(t *testing.T) {
	var b strings.Builder
	b.WriteString("<p>")
	for i := range 480 {
		fmt.Fprintf(&b, "<b id=%d>", i)
	}
	b.WriteString(strings.Repeat("<p>x", 6000))
	if allocated := costOf(t, pageSource(t, "html", "a", blockPosts), b.String()); allocated > 50<<20 {
		t.Errorf("a page of %d KB took %d MB", b.Len()>>10, allocated>>20)
	}
}

// Each attribute of a second <body> is looked for among all those before it.
func TestAttributesOfRepeatedBodies(t *testing.T) {
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, "<body a%d=1>", i)
	}
	if allocated := costOf(t, pageSource(t, "html", "a", blockPosts), b.String()); allocated > 50<<20 {
		t.Errorf("a page of %d KB took %d MB", b.Len()>>10, allocated>>20)
	}
}

// gjson.Valid calls itself for each bracket: from about 6 million on (of which
// 40 KB go over the wire) Go ends the whole process, past every recover.
func TestDeepJSONIsRefused(t *testing.T) {
	survives(t, "json", "{path: links}", "{each: '@this', kind: post, key: {path: id}, text: {path: text}}", strings.Repeat("[", 1_000_000))
}

// gofeed calls itself for each element of an extension: 20 MB end the process.
func TestDeepFeedIsRefused(t *testing.T) {
	survives(t, "feed", "{path: link}", "{kind: post}", "<rss version='2.0' xmlns:a='b'><channel><item>"+strings.Repeat("<a:b>", 200_000))
}

// survives reads body in a process of its own whose stacks may grow to 32 MB:
// more than a bounded reader needs, and a 30th of what Go allows by default.
func survives(t *testing.T, format, follow, posts, body string) {
	t.Helper()
	const child = "QINGYUAN_TEST_CHILD"
	if os.Getenv(child) != "" {
		debug.SetMaxStack(32 << 20)
		costOf(t, pageSource(t, format, follow, posts), body)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		t.Errorf("%d KB of nesting end the process: %v: %s", len(body)>>10, err, first)
	}
}

// What stays linear must stay so.
func TestPageShapesStayCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	src := pageSource(t, "html", "'a[href]'", blockPosts)
	var links, posts strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&links, "<a href=/t%d>x</a>", i)
	}
	for i := range 20_000 {
		fmt.Fprintf(&posts, "<div class=post id=a%d><i>u</i><p>x</div>", i)
	}
	for name, body := range map[string]string{
		"100,000 links": links.String(), "20,000 posts": posts.String(),
		"nested posts":  strings.Repeat("<div class=post><i>u</i><p>x", 10_000),
		"deep div":      strings.Repeat("<div>", 30_000),
		"adoption":      strings.Repeat("<b><p>", 10_000) + strings.Repeat("</b>", 10_000),
		"fostered":      "<table>" + strings.Repeat("<b>x", 30_000),
		"comments":      strings.Repeat("<!--</-->", 30_000),
		"open comments": strings.Repeat("<!-", 100_000),
		"one tag":       "<div " + strings.Repeat("a=1 ", 50_000) + ">",
	} {
		if allocated := costOf(t, src, body); allocated > 200<<20 {
			t.Errorf("%s: %d KB took %d MB", name, len(body)>>10, allocated>>20)
		}
	}
}

// No way of leaving formatting elements open gets past the limit: the parser
// keeps them although their end tags are there.
func TestFormattingElementsThatOnlySeemClosed(t *testing.T) {
	src := pageSource(t, "html", "a", blockPosts)
	for _, shape := range []string{
		"<b id=N><table></b></table>", "<b id=N><td></b></td>", "<b id=N><select></b></select>", "<object><b id=N></b x></object>",
		"<b id=N>" + strings.Repeat("<div>", 9) + "</b>" + strings.Repeat("</div>", 9), "<svg><title><b id=N></title>", "<i>x</i><b id=N></i>",
	} {
		var b strings.Builder
		for i := range 480 {
			b.WriteString(strings.ReplaceAll(shape, "N", fmt.Sprint(i)))
		}
		b.WriteString(strings.Repeat("<p>x", 6000))
		if allocated := costOf(t, src, b.String()); allocated > 60<<20 {
			t.Errorf("%s: %d KB took %d MB", shape, b.Len()>>10, allocated>>20)
		}
	}
}

// What the limits are for is rare: real pages are read as they are.
func TestRealPagesAreNotTamed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordedPages(t), "*.html"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := transport.ToUTF8(raw, "text/html")
		if err != nil {
			t.Fatal(err)
		}
		plain, err := tame(body)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if want, got := rendered(t, body), rendered(t, plain); want != got {
			t.Errorf("%s is read differently: %d bytes, want %d", file, len(got), len(want))
		}
	}
}

func rendered(t *testing.T, body []byte) string {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := html.Render(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTameKeepsTextAndLinks(t *testing.T) {
	var page strings.Builder
	for i := range 100 {
		fmt.Fprintf(&page, "<font size=%d><a href=/t%d>标题%d</a>", i, i, i)
	}
	root, err := parseHTML([]byte(page.String()), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	text := nodeText(root, textRules{})
	links := 0
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && attr(n, "href") != "" {
			links++
		}
	}
	if links != 100 || strings.Count(text, "标题") != 100 {
		t.Errorf("%d links and %d titles, want 100", links, strings.Count(text, "标题"))
	}
}

func TestPagesOverALimit(t *testing.T) {
	for name, c := range map[string]struct{ format, body, want string }{
		"large html": {"html", strings.Repeat("x", maxHTMLBytes+1), "8388609 bytes"},
		"large json": {"json", strings.Repeat(" ", maxHTMLBytes+1), "8388609 bytes"},
		"large feed": {"feed", strings.Repeat(" ", maxFeedBytes+1), "4194305 bytes"},
		"many tags":  {"html", strings.Repeat("<i>", maxTags+1), "300000 tags"},
		"deep json":  {"json", strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "nests deeper than 1000"},
	} {
		posts, follow := blockPosts, "a"
		switch c.format {
		case "json":
			posts, follow = "{each: '@this', kind: post, key: {path: id}, text: {path: text}}", "{path: links}"
		case "feed":
			posts, follow = "{kind: post}", "{path: link}"
		}
		_, err := pageSource(t, c.format, follow, posts).Extract(Page{URL: "http://a.example.com/x", Body: []byte(c.body), FetchedAt: fetchedAt})
		if limit := (*LimitError)(nil); !errors.As(err, &limit) || limit.Slow || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want a LimitError with %q", name, err, c.want)
		}
	}
	if nestsTooDeep([]byte(`{"a":"` + strings.Repeat(`[\"`, 5000) + `"}`)) {
		t.Error("brackets inside a string are counted")
	}
}

func TestParsingEndsWithItsTime(t *testing.T) {
	_, err := parseHTML([]byte("<p>x"), time.Now().Add(-time.Second))
	if limit := (*LimitError)(nil); !errors.As(err, &limit) || !limit.Slow {
		t.Errorf("error = %v; want a LimitError of time", err)
	}
}

func TestLinksOfAPageAreBounded(t *testing.T) {
	var page strings.Builder
	for i := range maxPageLinks + 500 {
		fmt.Fprintf(&page, "<a href=/t%d>x</a>", i)
	}
	x, err := pageSource(t, "html", "'a[href]'", blockPosts).Extract(Page{URL: "http://a.example.com/x", Body: []byte(page.String()), FetchedAt: fetchedAt})
	if err != nil || len(x.Links) != maxPageLinks || !strings.Contains(strings.Join(x.Warnings, "\n"), "more than 1000 links") {
		t.Errorf("%d links, warnings %q, %v; want %d and a warning", len(x.Links), x.Warnings, err, maxPageLinks)
	}
}

// A block that is no post is not counted as one without a key.
func TestNoWarningAboutKeysWithoutPosts(t *testing.T) {
	x, err := pageSource(t, "html", "a", blockPosts).Extract(Page{URL: "http://a.example.com/x", Body: []byte("<div class=post></div>"), FetchedAt: fetchedAt})
	if err != nil || len(x.Posts) != 0 || strings.Contains(strings.Join(x.Warnings, "\n"), "no key") {
		t.Errorf("%d posts, warnings %q, %v", len(x.Posts), x.Warnings, err)
	}
}
