package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/post"
)

func TestShutdownAndContinue(t *testing.T) {
	site, r := newTestSite(t, 40), newRig(t)
	src := site.source(t, "bbs")
	r.stopAfter(9, src)
	st, err := r.frontier().Stats(context.Background(), "bbs")
	if err != nil || st.Leased != 0 || st.Done < 9 || st.Waiting == 0 {
		t.Fatalf("after shutdown: %+v, %v; want nothing leased", st, err)
	}
	s := r.crawl(src)
	if s.Pages != 44-st.Done {
		t.Errorf("continued with %d pages, want the %d left", s.Pages, 44-st.Done)
	}
	if len(r.basket.ids()) != 120 || len(s.Errors) != 0 {
		t.Errorf("%d posts, errors %+v; want 120 and none", len(r.basket.ids()), s.Errors)
	}
	if r.saw(EventPass, "") != 1 {
		t.Error("no event for the pass")
	}
}

func TestSinkFailureIsRetried(t *testing.T) {
	site, r := newTestSite(t, 12), newRig(t)
	r.opts.GiveUp, r.opts.MaxTries, r.opts.Workers = 100, 2, 1
	r.basket.fail = func(call int, _ []post.Post) error {
		if call >= 3 && call <= 15 { // more failures than pages are left
			return errors.New("store is away")
		}
		return nil
	}
	s := r.crawl(site.source(t, "bbs"))
	wantCounts(t, s, 2+12, 36)
	if len(r.basket.ids()) != 36 || r.saw(EventSink, "") != 13 {
		t.Errorf("%d posts, %d sink events; want 36 and 13", len(r.basket.ids()), r.saw(EventSink, ""))
	}
}

func TestSinkThatNeverRecoversEndsThePass(t *testing.T) {
	site, r := newTestSite(t, 5), newRig(t)
	boom := errors.New("disk full")
	r.basket.fail = func(int, []post.Post) error { return boom }
	_, err := r.run(site.source(t, "bbs"))
	if !errors.Is(err, boom) {
		t.Fatalf("Run: %v; want the sink's error", err)
	}
	r.basket.fail = nil
	r.crawl(site.source(t, "bbs"))
	if len(r.basket.ids()) != 15 {
		t.Errorf("%d posts after the sink was well again, want 15", len(r.basket.ids()))
	}
}

func TestPageTheSinkNeverTakes(t *testing.T) {
	site, r := newTestSite(t, 8), newRig(t)
	r.opts.Workers, r.opts.MaxTries = 1, 3
	r.basket.fail = func(_ int, posts []post.Post) error {
		if strings.Contains(posts[0].Text, "帖子 4") {
			return errors.New("will not have it")
		}
		return nil
	}
	s, err := r.run(site.source(t, "bbs"))
	if err == nil && !errorOf(s, "/thread-4.html").Final {
		t.Errorf("the page was neither given up nor the cause of an error: %+v", s)
	}
	if len(r.basket.ids()) != 21 {
		t.Errorf("%d posts of the other pages, want 21", len(r.basket.ids()))
	}
}

func TestPanicIsContained(t *testing.T) {
	site, r := newTestSite(t, 6), newRig(t)
	r.opts.MaxTries = 2
	inner := r.opts.Transport
	r.opts.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == "/thread-5.html" {
			panic("hostile page")
		}
		return inner.RoundTrip(req)
	})
	failed := false
	r.basket.fail = func(_ int, posts []post.Post) error {
		if strings.HasSuffix(posts[0].Text, "帖子 2") && !failed {
			failed = true
			panic("sink bug")
		}
		return nil
	}
	s := r.crawl(site.source(t, "bbs"))
	if e := errorOf(s, "/thread-5.html"); !e.Final || !strings.Contains(e.Reason, "panic: hostile page") || e.Tries != 2 {
		t.Errorf("error = %+v; want it given up after two tries", e)
	}
	if len(r.basket.ids()) != 15 {
		t.Errorf("%d posts, want those of the five other threads", len(r.basket.ids()))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestConditionalRequests(t *testing.T) {
	site, r := newTestSite(t, 2), newRig(t)
	site.on("/thread-1.html", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if req.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(304)
			return
		}
		site.page(w, req)
	})
	wantCounts(t, r.crawl(site.source(t, "bbs")), 3, 6)
	for range 2 { // the mark survives being answered 304
		s := r.crawl(site.source(t, "bbs"))
		wantCounts(t, s, 2, 3)
		if s.NotModified != 1 || len(s.Errors) != 0 {
			t.Errorf("summary = %+v; want one page unchanged", s)
		}
	}
	r.opts.Unconditional = true
	wantCounts(t, r.crawl(site.source(t, "bbs")), 3, 6)
}

func TestDeadSiteEndsThePass(t *testing.T) {
	site, r := newTestSite(t, 30), newRig(t)
	src := site.source(t, "bbs")
	r.stopAfter(3, src)
	site.Close()
	r.opts.GiveUp = 4
	other := newTestSite(t, 5)
	s := r.crawl(src, other.source(t, "other"))
	if s.PerSource["other"].Pages != 6 {
		t.Errorf("the other site: %+v; want 6 pages", s.PerSource["other"])
	}
	if s.PerSource["bbs"].Skipped == 0 {
		t.Errorf("the dead site: %+v; want its pages left for the next pass", s.PerSource["bbs"])
	}
}

func TestUnknownSourceIsGivenUp(t *testing.T) {
	site, r := newTestSite(t, 5), newRig(t)
	r.stopAfter(2, site.source(t, "old-name"))
	s := r.crawl(site.source(t, "new-name"))
	if s.PerSource["new-name"].Pages != 6 || s.PerSource["old-name"].Dead == 0 || s.PerSource["old-name"].Pages != 0 {
		t.Errorf("summary = %+v", s)
	}
}

// TestPaceAtTheServer measures where it counts: no two requests reach the host
// closer than its delay, over workers, redirects and a restart.
func TestPaceAtTheServer(t *testing.T) {
	site, r := newTestSite(t, 8), newRig(t)
	site.on("/thread-3.html", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "/thread-4.html", http.StatusFound)
	})
	const delay = 40 * time.Millisecond
	// Every other request is long under way: what counts is its arrival.
	inner, sent := r.opts.Transport, atomic.Int64{}
	r.opts.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		if sent.Add(1)%2 == 0 {
			time.Sleep(delay / 2)
		}
		return inner.RoundTrip(req)
	})
	src := site.source(t, "bbs", "delay: 40ms")
	r.stopAfter(4, src)
	firstRun := len(site.times)
	r.crawl(src)
	site.mu.Lock()
	defer site.mu.Unlock()
	if len(site.times) != 10 && len(site.times) != 11 { // 9 pages, one redirect; one may have been cut by the stop
		t.Errorf("%d requests: %v", len(site.times), site.requests)
	}
	for i := 1; i < len(site.times); i++ {
		gap := site.times[i].Sub(site.times[i-1])
		if gap < delay && i != firstRun {
			t.Errorf("%s and %s came %v apart", site.requests[i-1], site.requests[i], gap)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	site, r := newTestSite(t, 1), newRig(t)
	a := site.source(t, "bbs")
	if _, err := New([]*Source{a}, Options{}); err == nil {
		t.Error("New without frontier and sink succeeded")
	}
	if _, err := New([]*Source{a, a}, Options{Frontier: r.frontier(), Sink: r.basket.sink}); err == nil {
		t.Error("New with two sources of one name succeeded")
	}
}

func TestClearCollyEnv(t *testing.T) {
	t.Setenv("COLLY_IGNORE_ROBOTSTXT", "yes")
	t.Setenv("COLLY_MAX_BODY_SIZE", "10")
	got := ClearCollyEnv()
	sort.Strings(got)
	if !slices.Equal(got, []string{"COLLY_IGNORE_ROBOTSTXT", "COLLY_MAX_BODY_SIZE"}) || os.Getenv("COLLY_MAX_BODY_SIZE") != "" {
		t.Errorf("ClearCollyEnv = %v", got)
	}
}

// TestEndlessRunRecrawls lets a crawl without end come round: a list page is
// fetched again when its time has come, and shows a new thread.
func TestEndlessRunRecrawls(t *testing.T) {
	site, r := newTestSite(t, 3), newRig(t)
	r.opts.Frontier = r.frontier()
	r.opts.Recrawl = Recrawl{List: 20 * time.Millisecond, Min: time.Hour}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lists := 0
	r.opts.OnEvent = func(e Event) {
		switch {
		case e.Kind == EventPage && strings.HasSuffix(e.URL, "/list-1.html"):
			if lists++; lists == 2 {
				site.on("/list-1.html", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html; charset=utf-8")
					fmt.Fprint(w, `<a href="/thread-99.html">新帖</a>`)
				})
				site.on("/thread-99.html", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html; charset=utf-8")
					fmt.Fprint(w, thread(99))
				})
			}
		case e.Kind == EventPage && strings.HasSuffix(e.URL, "/thread-99.html"):
			cancel()
		}
	}
	c, err := New([]*Source{site.source(t, "bbs")}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(ctx, false); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v; want it to have found the new thread", err)
	}
	if n := site.requested("/thread-1.html"); n != 1 {
		t.Errorf("a thread due in an hour was fetched %d times", n)
	}
	if len(r.basket.ids()) != 12 {
		t.Errorf("%d posts, want those of four threads", len(r.basket.ids()))
	}
}

func TestSetSources(t *testing.T) {
	first, second, r := newTestSite(t, 3), newTestSite(t, 4), newRig(t)
	r.opts.Frontier = r.frontier()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var c *Crawler
	a, b := first.source(t, "a"), second.source(t, "b")
	pages, added := map[string]int{}, make(chan error, 1)
	r.opts.OnEvent = func(e Event) {
		if e.Kind != EventPage {
			return
		}
		pages[e.Source]++
		if pages["a"] == 4 && pages["b"] == 0 {
			go func() { added <- c.SetSources(ctx, []*Source{a, b}) }()
		}
		if pages["b"] == 5 {
			cancel()
		}
	}
	c, err := New([]*Source{a}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(ctx, false); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v; want it to have crawled the added source", err)
	}
	if err := <-added; err != nil {
		t.Errorf("SetSources: %v", err)
	}
	if err := c.SetSources(context.Background(), []*Source{a, a}); err == nil {
		t.Error("SetSources took two sources of one name")
	}
}

// TestBannedColly keeps out the parts of colly that lose pages or go around
// the transport's guard.
func TestBannedColly(t *testing.T) {
	banned := []string{
		"colly.Async", ".Wait()", "colly/v2/queue", ".Clone()", ".SetClient(", ".SetProxy", ".Limit(", ".Limits(", ".SetStorage(",
		"colly.CacheDir", "colly.CacheExpiration", ".Retry()", "DetectCharset", "IgnoreRobotsTxt", "colly.MaxDepth", "colly.MaxRequests",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	users := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || !strings.Contains(string(raw), `"github.com/gocolly/colly/v2"`) {
			continue
		}
		users++
		for _, b := range banned {
			if strings.Contains(string(raw), b) {
				t.Errorf("%s uses %s", file, b)
			}
		}
	}
	if users == 0 {
		t.Error("no file uses colly: the check looks in the wrong place")
	}
}
