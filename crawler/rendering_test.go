package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler/render"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// testBrowser makes a pool, or skips where there is no Chromium; with CI=true
// that is a failure.
func testBrowser(tb testing.TB) *render.Pool {
	tb.Helper()
	p, err := render.New(render.Options{Timeout: 40 * time.Second, UserAgent: transport.UserAgent("", "")})
	if errors.Is(err, render.ErrNoBrowser) && os.Getenv("CI") != "true" {
		tb.Skip("no chromium found")
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// drawnSite is a site in three parts: an application whose frame is empty
// (list and threads), a blog whose articles are static and whose comments are
// drawn (/note-N.html), and a static board (/old-N.html).
func drawnSite(tb testing.TB) (*testSite, *atomic.Int64) {
	s := newTestSite(tb, 0)
	apiCalls := &atomic.Int64{}
	page := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("ETag", `"frame"`)
			fmt.Fprint(w, body)
		}
	}
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			apiCalls.Add(1)
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		}
	}
	shell := `<!DOCTYPE html><title>互助社区</title><link rel=stylesheet href=/app.css><div id=app></div><noscript>请启用JavaScript后访问。You need to enable JavaScript to run this app.</noscript><script src=/app.js></script>`
	s.on("/list-1.html", page(shell))
	for i := 1; i <= 3; i++ {
		s.on(fmt.Sprintf("/thread-%d.html", i), page(shell))
		s.on(fmt.Sprintf("/note-%d.html", i), page(fmt.Sprintf(`<div class=post id=n%d><i>站长</i><p>债务重组公开课 %d</p></div><div id=c></div><script src=/notes.js></script>`, i, i)))
		s.on(fmt.Sprintf("/old-%d.html", i), page(fmt.Sprintf(`<div class=post id=o%d><i>网友</i><p>老帖子 %d</p></div><script src=/stat.js></script>`, i, i)))
		s.on(fmt.Sprintf("/api/%d", i), text("application/json", fmt.Sprintf(`[{"id":"p%d0","by":"阿杰","text":"停息挂账怎么办 %d"},{"id":"p%d1","by":"顾问","text":"加V详谈 %d"}]`, i, i, i, i)))
	}
	links := ""
	for _, kind := range []string{"thread", "note", "old"} {
		for i := 1; i <= 3; i++ {
			links += fmt.Sprintf(`<a href=/%s-%d.html>%s</a>`, kind, i, kind)
		}
	}
	s.on("/app.css", text("text/css", "body{color:#333}"))
	s.on("/stat.js", text("text/javascript", `fetch("/count")`))
	s.on("/notes.js", text("text/javascript", `const n=location.pathname.match(/\d+/)[0]; fetch("/api/"+n).then(r=>r.json()).then(d=>{ if(n!=="3") document.getElementById("c").innerHTML=d.map(p=>"<div class=comment id=c"+p.id+"><i>"+p.by+"</i><p>"+p.text+"</p></div>").join("") })`))
	s.on("/app.js", text("text/javascript", `const app=document.getElementById("app"), m=location.pathname.match(/thread-(\d+)/);
if(!m) app.innerHTML='`+links+`'; else fetch("/api/"+m[1]).then(r=>r.json()).then(d=>app.innerHTML=d.map(p=>"<div class=post id="+p.id+"><i>"+p.by+"</i><p>"+p.text+"</p></div>").join(""))`))
	return s, apiCalls
}

func drawnSource(tb testing.TB, s *testSite, mode string) *Source {
	tb.Helper()
	yaml := fmt.Sprintf(`name: drawn
type: forum
hosts: [%q]
seeds: ["%s/list-1.html"]
delay: 0s
allow_private: true
render: %s
pages:
  - {name: list, match: '^/list-\d+\.html', follow: [{select: 'a'}]}
  - {name: old, match: '^/old-\d+\.html', posts: [{each: '.post', kind: post, key: {attr: id}, author: i, text: p}]}
  - name: note
    match: '^/note-\d+\.html'
    posts:
      - {each: '.post', kind: article, key: {attr: id}, author: i, text: p}
      - {each: '.comment', kind: comment, key: {attr: id}, author: i, text: p}
  - {name: thread, match: '^/thread-\d+\.html', posts: [{each: '.post', kind: comment, first_kind: post, key: {attr: id}, author: i, text: p}]}
`, strings.TrimPrefix(s.URL, "http://"), s.URL, mode)
	src, err := ReadSource("drawn.yaml", []byte(yaml))
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// keptPages is a KeepRendered that notes what it was given.
type keptPages struct {
	mu   sync.Mutex
	list []Rendered
}

func (k *keptPages) keep(_ context.Context, r Rendered) (post.Archive, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, r)
	return post.Archive{File: "warc", RecordID: fmt.Sprintf("urn:uuid:%d", len(k.list))}, nil
}

func TestRenderAuto(t *testing.T) {
	s, _ := drawnSite(t)
	r, kept := newRig(t), &keptPages{}
	r.opts.Browser, r.opts.KeepRendered, r.opts.Workers = testBrowser(t), kept.keep, 1
	r.opts.Transport = slowTransport(t, nil)
	sum := r.crawl(drawnSource(t, s, RenderAuto))
	// 3 threads of two posts, 3 notes with two comments under two of them, 3 old threads.
	wantCounts(t, sum, 10, 6+3+4+3)
	if s.requested("/stat.js") != 0 || s.requested("/count") != 0 {
		t.Error("a page that came out well was shown in a browser")
	}
	if s.requested("/app.js") != 1 || s.requested("/app.css") != 1 {
		t.Errorf("app.js was asked for %d times, want once for all pages", s.requested("/app.js"))
	}
	if s.requested("/thread-1.html") != 1 {
		t.Errorf("a page that was shown was fetched %d times", s.requested("/thread-1.html"))
	}
	if len(kept.list) != 1+3+2 || !strings.Contains(string(kept.list[0].DOM), "thread-1.html") || kept.list[0].Source != "drawn" {
		t.Errorf("%d pages were kept as shown, want list, threads and two notes", len(kept.list))
	}
	for _, p := range r.basket.posts {
		static := strings.Contains(p.URL, "/old-") || strings.Contains(p.URL, "/note-3")
		if static == (p.Archive.RecordID != "") {
			t.Errorf("%s names the record %q", p.URL, p.Archive.RecordID)
		}
	}
}

// slowTransport is a transport whose time limits are no concern of the test.
func slowTransport(t *testing.T, hook func(context.Context, *transport.Exchange) error) http.RoundTripper {
	t.Helper()
	tr, err := transport.New(transport.Options{Robots: true, OnBody: hook})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func TestRenderNever(t *testing.T) {
	s, calls := drawnSite(t)
	r := newRig(t)
	r.opts.Browser = testBrowser(t)
	sum := r.crawl(drawnSource(t, s, RenderNever))
	if sum.Posts != 0 || calls.Load() != 0 || r.opts.Browser.Stats().Started != 0 {
		t.Errorf("%d posts, %d requests for parts", sum.Posts, calls.Load())
	}
}

// What a browser does not help with is soon left alone, remembered, and looked
// at again now and then.
func TestRenderLearns(t *testing.T) {
	r := newRig(t)
	c, err := New([]*Source{drawnSource(t, newTestSite(t, 0), RenderAuto)}, Options{Frontier: r.frontier(), Sink: r.basket.sink})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if c.renders.try(ctx, c, "a", "r", "") {
		t.Error("a page that lacks nothing is shown")
	}
	tried := 0
	for range 43 {
		if c.renders.try(ctx, c, "a", "r", "no post") {
			tried++
			c.renders.learn(ctx, c, "a", "r", false, nil)
		}
	}
	if tried != 3+4 {
		t.Errorf("%d of 43 pages were shown in vain, want 3 and one of ten", tried)
	}
	// Another process knows it, and a gain changes it.
	again, err := New(nil, Options{Frontier: r.frontier(), Sink: r.basket.sink})
	if err != nil {
		t.Fatal(err)
	}
	if again.renders.try(ctx, again, "a", "r", "no post") {
		t.Error("what was learnt is forgotten")
	}
	again.renders.learn(ctx, again, "a", "r", true, nil)
	if !again.renders.try(ctx, again, "a", "r", "no post") || again.Renderings()[0].Gained != 1 {
		t.Errorf("a gain is not learnt from: %+v", again.Renderings())
	}
}

func TestRenderAlwaysNeedsBrowser(t *testing.T) {
	s := newTestSite(t, 0)
	_, err := New([]*Source{drawnSource(t, s, RenderAlways)}, Options{Frontier: newRig(t).frontier(), Sink: (&basket{}).sink})
	if !errors.Is(err, render.ErrNoBrowser) || !strings.Contains(err.Error(), "drawn") {
		t.Errorf("New = %v", err)
	}
	if _, err := New([]*Source{drawnSource(t, s, RenderAuto)}, Options{Frontier: newRig(t).frontier(), Sink: (&basket{}).sink}); err != nil {
		t.Errorf("auto without a browser: %v", err)
	}
}

func TestRenderConfig(t *testing.T) {
	_, err := ReadSource("x.yaml", []byte(`name: x
type: forum
hosts: [bbs.example.com]
seeds: [https://bbs.example.com/]
render: sometimes
render_hosts: ["https://cdn.example.com/"]
pages:
  - {name: a, match: '^/', render: allways, follow: [a]}
  - {name: b, match: '^/b', format: feed, render: auto, posts: [{kind: article}]}
`))
	for _, want := range []string{`x.yaml:5`, `unknown render "sometimes"`, `x.yaml:6`, "is no host", `unknown render "allways"`, "only html pages"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
}

// Parts are fetched by the rules of the crawl: private addresses, robots.txt
// and scope refuse, other hosts get no header of the source, the host's delay
// is kept, and the record of each says whose part it is.
func TestPartsKeepTheRules(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private address was reached") }))
	defer inner.Close()
	s := newTestSite(t, 0)
	s.on("/robots.txt", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "User-agent: *\nDisallow: /private/\n") })
	s.on("/thread-1.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<div class=post id=p1><i>a</i><p>正文</p></div><script src=%s/x.js></script><script src=http://169.254.169.254/y.js></script><script src=/private/z.js></script><script src=/ok.js></script><script src=/ok2.js></script>`, inner.URL)
	})
	for _, path := range []string{"/ok.js", "/ok2.js", "/private/z.js"} {
		s.on(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprintf(w, `document.body.insertAdjacentHTML("beforeend", "<div class=post id=%s><p>%s</p></div>")`, strings.Trim(r.URL.Path, "/."), r.Header.Get("X-Lab"))
		})
	}
	r := newRig(t)
	r.opts.Browser = testBrowser(t)
	var mu sync.Mutex
	partOf := map[string]string{}
	r.opts.Transport = slowTransport(t, func(ctx context.Context, x *transport.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		if v, ok := VisitOf(ctx); ok {
			partOf[strings.TrimPrefix(x.URL, s.URL)] = v.Part
			if x.Robots != nil && v.Part == "" {
				SetArchive(ctx, x.URL, post.Archive{RecordID: "urn:uuid:page"}, time.Now())
			}
		}
		return nil
	})
	src := s.source(t, "bbs", fmt.Sprintf("seeds: [%q]", s.URL+"/thread-1.html"), "render: always", "delay: 300ms", `headers: {X-Lab: "labor"}`)
	r.crawl(src)
	if len(r.basket.posts) != 3 {
		t.Errorf("%d posts, want three: %+v", len(r.basket.posts), r.basket.posts)
	}
	if s.requested("/private/z.js") != 0 {
		t.Error("a part that robots.txt disallows was fetched")
	}
	if partOf["/ok.js"] != "urn:uuid:page" || partOf["/thread-1.html"] != "" {
		t.Errorf("parts and their pages: %v", partOf)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.times); i++ {
		if gap := s.times[i].Sub(s.times[i-1]); gap < 290*time.Millisecond {
			t.Errorf("%s came %v after %s", s.requests[i], gap, s.requests[i-1])
		}
	}
}

// A host that answers a part with 429 gets the rest it asks for, and no further
// request for this page.
func TestPartsObeyRetryAfter(t *testing.T) {
	s, _ := drawnSite(t)
	s.on("/thread-1.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<script src=/busy.js></script><script>setTimeout(()=>{document.write("<script src=/api/1></"+"script>")},300)</script>`)
	})
	s.on("/busy.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	r := newRig(t)
	r.opts.Browser, r.opts.Transport = testBrowser(t), slowTransport(t, nil)
	src := drawnSource(t, s, RenderAuto)
	src.Seeds = []string{s.URL + "/thread-1.html"}
	r.crawl(src)
	if s.requested("/busy.js") != 1 || s.requested("/api/1") != 0 || r.saw(EventBackOff, "") != 1 {
		t.Errorf("%v; %d rests", s.requests, r.saw(EventBackOff, ""))
	}
}

func TestShowIsWithoutScripts(t *testing.T) {
	s, calls := drawnSite(t)
	r := newRig(t)
	r.opts.Frontier, r.opts.Browser = r.frontier(), testBrowser(t)
	c, err := New([]*Source{drawnSource(t, s, RenderNever)}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Show(t.Context(), "drawn", Page{URL: s.URL + "/old-1.html", Status: 200, Body: []byte(`<link rel=stylesheet href=/app.css><p>老帖子</p><script src=/stat.js></script>`)})
	if err != nil || len(res.Screenshot) == 0 || !strings.Contains(string(res.DOM), "老帖子") || calls.Load() != 1 {
		t.Errorf("%d bytes of picture, %s, %d parts fetched, %v; want the style sheet alone", len(res.Screenshot), res.DOM, calls.Load(), err)
	}
	if _, err := c.Show(t.Context(), "unknown", Page{URL: s.URL}); err == nil {
		t.Error("a page of a source that is not there was shown")
	}
}
