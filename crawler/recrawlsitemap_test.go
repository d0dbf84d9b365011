package crawler

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// In a crawl without end a page that its sitemap tells of is fetched when it
// was changed, and otherwise not before Recrawl.Max.
func TestRecrawlBySitemap(t *testing.T) {
	f := newForum(t, 0)
	var mu sync.Mutex
	mods := []time.Time{}
	for i := range 4 {
		mods = append(mods, f.clock.now().Add(-time.Duration(i+2)*24*time.Hour))
	}
	f.wall(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var n int
		switch _, err := fmt.Sscanf(r.URL.Path, "/a/%d", &n); {
		case r.URL.Path == "/sitemap.xml":
			fmt.Fprint(w, "<urlset>")
			for i, mod := range mods {
				fmt.Fprintf(w, "<url><loc>/a/%d</loc><lastmod>%s</lastmod></url>", i, mod.Format(time.RFC3339))
			}
			fmt.Fprint(w, "</urlset>")
		case err == nil && n < len(mods):
			fmt.Fprintf(w, "<html><h1>通告 %d</h1><p>%s 的正文</p></html>", n, mods[n])
		default:
			http.NotFound(w, r)
		}
	})
	src, err := ReadSource("bbs.yaml", fmt.Appendf(nil, `name: bbs
type: news
hosts: [%q]
seeds: ["%s/sitemap.xml"]
delay: 0s
allow_private: true
pages:
  - {name: map, match: '^/sitemap', format: sitemap}
  - {name: article, match: '^/a/', posts: [{kind: article, title: h1, text: p}]}
`, strings.TrimPrefix(f.URL, "http://"), f.URL))
	if err != nil {
		t.Fatal(err)
	}
	w := f.watch(t, func(o *Options) { o.Transport = patientTransport(t) })
	if err := w.c.SetSources(context.Background(), []*Source{src}); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	w.want(t, "at first", "/f", "/sitemap.xml", "/a/0", "/a/1", "/a/2", "/a/3")

	w.pass(t, 36*time.Hour, time.Hour)
	got := f.since()
	if n := count(got, "/sitemap.xml"); n < 3 || n != len(got) {
		t.Errorf("nothing changed: fetched %q; want the sitemap alone", got)
	}
	mu.Lock()
	mods[2] = f.clock.now()
	mu.Unlock()
	w.pass(t, 25*time.Hour, time.Hour)
	got = f.since()
	if n := count(got, "/a/2"); n != 1 || count(got, "/sitemap.xml")+n != len(got) {
		t.Errorf("one changed: fetched %q; want it once, and the sitemap", got)
	}
	w.pass(t, 15*24*time.Hour, 6*time.Hour)
	got = f.since()
	for i := range mods {
		if n := count(got, fmt.Sprintf("/a/%d", i)); n != 1 {
			t.Errorf("after two weeks /a/%d was fetched %d times more, want once", i, n)
		}
	}
}
