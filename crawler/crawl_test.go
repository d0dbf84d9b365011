package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/frontier"
)

func TestOnePass(t *testing.T) {
	site, r := newTestSite(t, 25), newRig(t)
	s := r.crawl(site.source(t, "bbs"))
	wantCounts(t, s, 3+25, 75)
	if len(s.Errors) != 0 || s.Sites != 1 || s.PerSource["bbs"].Pages != 28 {
		t.Errorf("summary = %+v", s)
	}
	if len(r.basket.ids()) != 75 {
		t.Errorf("%d posts in the sink, want 75", len(r.basket.ids()))
	}
	for _, p := range r.basket.posts {
		if p.Source != "bbs" || p.SourceType != "forum" || p.FetchedAt.IsZero() || strings.Contains(p.URL, "sid=") {
			t.Fatalf("post = %+v", p)
		}
	}
	for i := range 25 { // session ids and fragments did not make second pages
		if n := site.requested(fmt.Sprintf("/thread-%d.html", i+1)); n != 1 {
			t.Errorf("thread %d was fetched %d times", i+1, n)
		}
	}
	s = r.crawl(site.source(t, "bbs")) // a second run is a new pass
	wantCounts(t, s, 28, 75)
	if len(r.basket.ids()) != 75 {
		t.Errorf("the second pass made new ids: %d", len(r.basket.ids()))
	}
}

func TestManySources(t *testing.T) {
	r := newRig(t)
	var sources []*Source
	for i := range 5 {
		sources = append(sources, newTestSite(t, 12).source(t, fmt.Sprintf("bbs-%d", i)))
	}
	s := r.crawl(sources...)
	wantCounts(t, s, 5*(2+12), 5*36)
	if len(r.basket.ids()) != 5*36 {
		t.Errorf("%d ids, want %d: the same keys on different sites must differ", len(r.basket.ids()), 5*36)
	}
}

func TestStatuses(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	say := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name     string
		handler  http.HandlerFunc
		requests int // for the page, until it is given up
		reason   string
		kind     EventKind
		backoff  bool
	}{
		{"404", status(404), 1, "status 404", EventGone, false},
		{"410", status(410), 1, "status 410", EventGone, false},
		{"400", status(400), 1, "status 400", EventDead, false},
		{"500", status(500), 3, "status 500 Internal Server Error", EventDead, false},
		{"599", status(599), 3, "status 599", EventDead, false},
		{"429", status(429, "Retry-After", "0"), 3, "status 429", EventDead, true},
		{"503", status(503), 3, "status 503", EventDead, true},
		{"403", status(403), 3, "status 403", EventDead, false},
		{"redirect out of scope", status(302, "Location", "https://elsewhere.example/x"), 1, "out of scope", EventDead, false},
		{"redirect to a private address", status(302, "Location", "http://169.254.169.254/latest"), 1, "out of scope", EventDead, false},
		{"redirect loop", status(302, "Location", "/thread-2.html"), 10, "redirects without end", EventDead, false},
		{"redirect nowhere", status(302), 1, "", EventDead, false},
		{"redirect to another sort of page", status(302, "Location", "/member.php"), 1, "no page rule fits", EventDead, false},
		{"block page", say(`<html><body><div>您的刷新过于频繁，请稍后</div>`), 2, "blocked", EventDead, true},
		{"gone page", say(`<html><body><div>抱歉，指定的主题不存在或已被删除</div>`), 1, "gone", EventGone, false},
		{"binary", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/zip")
			w.Write([]byte("PK\x03\x04"))
		}, 1, "content type", EventDead, false},
		{"hangs", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 3, "timeout", EventDead, false},
		{"resets", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, 0, "EOF", EventDead, false},
		{"cut short", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "500")
			fmt.Fprint(w, "<html>")
		}, 3, "cut short", EventDead, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			site, r := newTestSite(t, 4), newRig(t)
			site.Config.ErrorLog = nil
			r.opts.MaxTries, r.opts.GiveUp = 3, 100
			if c.reason == "blocked" {
				r.opts.MaxTries = 2 // three walls in a row end a pass before the others had their turn
			}
			site.on("/thread-2.html", c.handler)
			site.on("/member.php", say("<html>登录"))
			s := r.crawl(site.source(t, "bbs"))
			wantCounts(t, s, 1+3, 9)
			e := errorOf(s, "/thread-2.html")
			if !e.Final || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("error = %+v; want it final, with %q", e, c.reason)
			}
			if n := site.requested("/thread-2.html"); n != c.requests && c.requests > 0 {
				t.Errorf("%d requests for the page, want %d", n, c.requests)
			}
			if r.saw(c.kind, "/thread-2.html") != 1 {
				t.Errorf("no event %q for the page: %+v", c.kind, r.events)
			}
			if n := r.saw(EventBackOff, ""); c.backoff && n == 0 || c.requests == 1 && n > 0 {
				t.Errorf("host backed off %d times", n)
			}
			dead, err := r.frontier().DeadTasks(context.Background(), 10)
			if err != nil || len(dead) != 1 || !strings.Contains(dead[0].Reason, c.reason) {
				t.Errorf("dead letters = %+v, %v", dead, err)
			}
		})
	}
}

func TestTransientErrorsHeal(t *testing.T) {
	site, r := newTestSite(t, 4), newRig(t)
	fails := 2
	site.on("/thread-3.html", func(w http.ResponseWriter, req *http.Request) {
		site.mu.Lock()
		fails--
		bad := fails >= 0
		site.mu.Unlock()
		if bad {
			w.WriteHeader(502)
			return
		}
		site.page(w, req)
	})
	s := r.crawl(site.source(t, "bbs"))
	wantCounts(t, s, 5, 12)
	if e := errorOf(s, "/thread-3.html"); e.Final || e.Tries != 2 || e.Status != 502 {
		t.Errorf("error = %+v; want two tries, not final", e)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"120", 2 * time.Minute}, {"0", -1}, {"-5", 0}, {"soon", 0}, {"999999999999", maxRetryAfter},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{now.Add(-time.Hour).Format(http.TimeFormat), 0},
		{now.AddDate(5, 0, 0).Format(http.TimeFormat), maxRetryAfter},
	} {
		at := retryAt(http.Header{"Retry-After": {c.value}}, nil, now)
		switch {
		case c.want == 0 && !at.IsZero():
			t.Errorf("Retry-After %q = %v, want nothing", c.value, at)
		case c.want == -1 && !at.Equal(now):
			t.Errorf("Retry-After %q = %v, want now", c.value, at)
		case c.want > 0 && at.Sub(now) != c.want:
			t.Errorf("Retry-After %q = %v, want in %v", c.value, at, c.want)
		}
	}
}

// TestRetryAfterHoldsTheHost checks that no other page of the host is asked
// for either, and that the hold is in the frontier, not in the process.
func TestRetryAfterHoldsTheHost(t *testing.T) {
	site, r := newTestSite(t, 4), newRig(t)
	site.on("/list-1.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	})
	r.opts.Frontier = r.frontier()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := r.opts.OnEvent
	r.opts.OnEvent = func(e Event) {
		events(e)
		if e.Kind == EventRetry {
			cancel()
		}
	}
	c, err := New([]*Source{site.source(t, "bbs")}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(ctx, true); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v", err)
	}
	if _, err := r.db.Add(context.Background(), mustTask(t, c, site, "/thread-1.html")); err != nil {
		t.Fatal(err)
	}
	_, wait, err := r.db.Next(context.Background(), 5, time.Minute)
	if !errors.Is(err, frontier.ErrNoneDue) || wait < 59*time.Minute || wait > time.Hour {
		t.Errorf("after Retry-After 3600: %v, wait %v; want an hour for the whole host", err, wait)
	}
}

func mustTask(t *testing.T, c *Crawler, site *testSite, path string) frontier.Task {
	t.Helper()
	k, err := c.task((*c.sources.Load())["bbs"], Link{URL: site.URL + path})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestHostileBodies(t *testing.T) {
	site, r := newTestSite(t, 6), newRig(t)
	gbk, err := simplifiedchinese.GB18030.NewEncoder().String(thread(1))
	if err != nil {
		t.Fatal(err)
	}
	serve := func(path, contentType, body string) {
		site.on(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			fmt.Fprint(w, body)
		})
	}
	serve("/thread-1.html", "text/html; charset=utf-8", gbk) // a header that lies
	serve("/thread-2.html", "text/html", "")                 // empty
	serve("/thread-3.html", "text/html; charset=utf-8", `<div class=post id=post_30><p>没有<b>关上<div class=post id=post_31><p>的标签</html></p><table><tr>`)
	serve("/thread-4.html", "text/html; charset=utf-8", strings.Repeat("<div>", 20_000)+`<div class="post" id="post_40"><p>很深</p></div>`)
	serve("/thread-5.html", "text/html; charset=utf-8", `<a href="/thread-5.html?a=1">环</a><a href="http://[::1">坏</a><a href="javascript:alert(1)">坏</a><a href="/thread-5.html#x">自己</a>`+thread(5))
	s := r.crawl(site.source(t, "bbs"))
	for _, e := range s.Errors {
		t.Errorf("failed: %+v", e)
	}
	var texts []string
	for _, p := range r.basket.posts {
		texts = append(texts, p.Text)
	}
	for _, want := range []string{"第 1 楼的正文，帖子 1", "第 3 楼的正文，帖子 5", "第 2 楼的正文，帖子 6"} {
		if !slices.Contains(texts, want) {
			t.Errorf("no post says %q: %q", want, texts)
		}
	}
	if n := site.requested("/thread-5.html"); n != 2 { // once plain, once as ?a=1
		t.Errorf("a page that links to itself was fetched %d times", n)
	}
}

// Every page has something new, so nothing but the limits ends it.
func TestEndlessPagination(t *testing.T) {
	endless := func(site *testSite) {
		page := func(i int, post string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprintf(w, `%s<a href="/thread-%d.html">下一页</a><a href="/thread-%d.html">再下一页</a>`, post, i+1, i+2)
			}
		}
		site.on("/list-1.html", page(1, ""))
		for i := range 200 {
			site.on(fmt.Sprintf("/thread-%d.html", i), page(i, fmt.Sprintf(`<div class="post" id="p%d"><p>第 %d 帖</p></div>`, i, i)))
		}
	}
	t.Run("max_depth", func(t *testing.T) {
		site, r := newTestSite(t, 0), newRig(t)
		endless(site)
		s := r.crawl(site.source(t, "bbs", "max_depth: 5"))
		wantCounts(t, s, 11, 10) // seed 1, then up to two further each step
	})
	t.Run("max_pages", func(t *testing.T) {
		site, r := newTestSite(t, 0), newRig(t)
		endless(site)
		for pass := range 3 {
			s := r.crawl(site.source(t, "bbs", "max_pages: 20"))
			wantCounts(t, s, 20, 19)
			if s.PerSource["bbs"].Skipped == 0 || r.saw(EventBudget, "") != pass+1 {
				t.Errorf("pass %d: %+v; want pages skipped and said so", pass, s.PerSource["bbs"])
			}
		}
	})
}

func TestBudgetSurvivesRestart(t *testing.T) {
	site, r := newTestSite(t, 60), newRig(t)
	src := site.source(t, "bbs", "max_pages: 20")
	r.stopAfter(7, src)
	s := r.crawl(src)
	if s.Pages > 13 || s.Pages < 9 {
		t.Errorf("after 7 to 11 pages of 20 the pass was continued with %d", s.Pages)
	}
}
