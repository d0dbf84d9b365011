package crawler

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// Hosts do not wait for each other: none answers before all were asked.
func TestHostsStartTogether(t *testing.T) {
	const hosts = 4
	var here sync.WaitGroup
	here.Add(hosts)
	var sources []*Source
	for i := range hosts {
		site := newTestSite(t, 1)
		var once sync.Once
		site.on("/list-1.html", func(w http.ResponseWriter, r *http.Request) {
			once.Do(here.Done)
			here.Wait()
			site.page(w, r)
		})
		sources = append(sources, site.source(t, fmt.Sprintf("s%d", i), "delay: 200ms"))
	}
	r := newRig(t)
	tr, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	r.opts.Transport, r.opts.Workers = tr, hosts
	wantCounts(t, r.crawl(sources...), 2*hosts, 3*hosts)
}

// A page whose reading panics is kept as evidence before, and other pages are
// not touched by it.
func TestPanicKeepsTheRawPage(t *testing.T) {
	site, r := newTestSite(t, 6), patientRig(t)
	var mu sync.Mutex
	kept := map[string]int{}
	tr, err := transport.New(transport.Options{Robots: true, OnBody: func(_ context.Context, x *transport.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		kept[x.URL] += len(x.Raw)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	r.opts.Transport, r.opts.MaxTries = tr, 1
	r.basket.fail = func(_ int, posts []post.Post) error {
		if strings.HasSuffix(posts[0].Text, "帖子 2") {
			panic("a bug")
		}
		return nil
	}
	s := r.crawl(site.source(t, "bbs"))
	if n := kept[site.URL+"/thread-2.html"]; n == 0 || len(r.basket.ids()) != 15 || len(s.Errors) > 1 {
		t.Errorf("%d bytes kept of the page, %d posts, %+v", n, len(r.basket.ids()), s.Errors)
	}
}

// A status is a number wherever it is told, and 304 is none of an error.
func TestOddStatuses(t *testing.T) {
	for code, final := range map[int]string{418: "status 418", 521: "521", 304: "", 451: "451", 999: "999"} {
		site, r := newTestSite(t, 2), patientRig(t)
		r.opts.MaxTries = 1
		site.on("/thread-2.html", status(code, ""))
		s := r.crawl(site.source(t, "bbs"))
		e := errorOf(s, "/thread-2.html")
		if final == "" && e.URL != "" || final != "" && (e.Status != code || !strings.Contains(e.Reason, final)) {
			t.Errorf("%d: %+v", code, e)
		}
		if n := len(r.basket.ids()); n != 3 {
			t.Errorf("%d: %d posts of the other thread, want 3", code, n)
		}
	}
}

// Feeds as they come: in GBK with and without a charset in the header, Atom with
// xml:base, and XML that is none.
func TestOddFeeds(t *testing.T) {
	gbk := func(s string) string {
		out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const title = "反催收教程㐀𠮷"
	rss := `<?xml version="1.0" encoding="gbk"?><rss version="2.0"><channel><item><guid>1</guid><title>` + title + `</title><link>/thread-1.html</link><description>正文</description></item></channel></rss>`
	atom := `<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="BASE/sub/"><entry xml:base="deep/"><id>1</id><title>` + title + `</title><link href="thread-1.html"/><content>正文</content></entry></feed>`
	for name, tt := range map[string]struct{ contentType, body, url string }{
		"rss in gbk, header says so":      {"application/rss+xml; charset=gbk", gbk(rss), "/thread-1.html"},
		"rss in gbk, header says nothing": {"text/xml", gbk(rss), "/thread-1.html"},
		"rss in gbk, header lies":         {"text/xml; charset=utf-8", gbk(rss), "/thread-1.html"},
		"atom with xml:base":              {"application/atom+xml", atom, "/sub/deep/thread-1.html"},
		"bare ampersand":                  {"text/xml", strings.Replace(strings.Replace(rss, "gbk", "utf-8", 1), "正文", "a & b &nbsp; 正文", 1), "/thread-1.html"},
		"control character":               {"text/xml", strings.Replace(strings.Replace(rss, "gbk", "utf-8", 1), "正文", "正\x08文", 1), "/thread-1.html"},
	} {
		t.Run(name, func(t *testing.T) {
			site, r := newTestSite(t, 0), patientRig(t)
			site.on("/feed.xml", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				fmt.Fprint(w, strings.ReplaceAll(tt.body, "BASE", site.URL))
			})
			src, err := ReadSource("f.yaml", []byte(fmt.Sprintf("name: f\ntype: news\nallow_private: true\ndelay: 0s\nhosts: [%q]\nseeds: [%q]\npages:\n  - {name: feed, match: '^/feed', format: feed, posts: [{kind: article}]}\n",
				strings.TrimPrefix(site.URL, "http://"), site.URL+"/feed.xml")))
			if err != nil {
				t.Fatal(err)
			}
			s := r.crawl(src)
			if len(r.basket.posts) != 1 {
				t.Fatalf("%d posts: %+v", len(r.basket.posts), s)
			}
			for _, p := range r.basket.posts {
				if p.Title != title || p.URL != site.URL+tt.url || p.FetchedAt.After(time.Now()) {
					t.Errorf("%q at %s, want %q at %s", p.Title, p.URL, title, tt.url)
				}
			}
		})
	}
}
