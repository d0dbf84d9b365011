package crawler

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/frontier"
)

// endless runs without end until stop says so of an event.
func (r *rig) endless(s *Source, stop func(Event) bool) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opts, stopped := r.opts, false
	opts.Frontier = r.frontier()
	opts.Recrawl = Recrawl{List: 20 * time.Millisecond, Min: 20 * time.Millisecond, Max: 100 * time.Millisecond}
	opts.OnEvent = func(e Event) {
		if !stopped && stop(e) {
			stopped = true
			cancel()
		}
	}
	c, err := New([]*Source{s}, opts)
	if err != nil {
		r.tb.Fatal(err)
	}
	if _, err := c.Run(ctx, false); !stopped {
		st, _ := r.frontier().Stats(context.Background(), "")
		r.tb.Fatalf("what was waited for never came: %v; %+v", err, st)
	}
}

// after counts events of the kinds given and stops at the nth.
func after(n int, kinds ...EventKind) func(Event) bool {
	return func(e Event) bool {
		for _, k := range kinds {
			if e.Kind == k {
				n--
			}
		}
		return n <= 0
	}
}

// threads stops when n different threads are fetched; lists may be fetched
// again in between.
func threads(n int) func(Event) bool {
	seen := map[string]bool{}
	return func(e Event) bool {
		if e.Kind == EventPage && strings.Contains(e.URL, "/thread-") {
			seen[e.URL] = true
		}
		return len(seen) >= n
	}
}

// A site that is away for longer than the tries of its seed last must be
// crawled again when it is back, also by a new process.
func TestOutageDoesNotLoseASite(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"status 500": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"status 503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"status 404": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"no answer":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			site := newTestSite(t, 3)
			var down atomic.Bool
			down.Store(true)
			site.on("/list-1.html", func(w http.ResponseWriter, r *http.Request) {
				if down.Load() {
					answer(w)
					return
				}
				site.page(w, r)
			})
			r := newRig(t)
			r.opts.MaxTries = 2
			src := site.source(t, "x")
			r.endless(src, after(4, EventRetry, EventDead, EventGone))
			down.Store(false)
			r.endless(src, threads(3))
			if n := len(r.basket.ids()); n != 9 {
				t.Errorf("%d posts, want 9", n)
			}
		})
	}
}

// A seed that an earlier pass gave up is tried when a crawl without end begins.
func TestDeadSeedIsRevived(t *testing.T) {
	site, r := newTestSite(t, 3), newRig(t)
	src := site.source(t, "x")
	site.on("/list-1.html", http.NotFound)
	r.crawl(src)
	if st, err := r.frontier().Stats(context.Background(), "x"); err != nil || st.Dead != 1 {
		t.Fatalf("%+v, %v; want a dead seed", st, err)
	}
	site.on("/list-1.html", site.page)
	r.endless(src, threads(3))
}

// A page that was fetched once is asked for again after it was gone.
func TestGoneForATime(t *testing.T) {
	site, r := newTestSite(t, 3), newRig(t)
	var asked atomic.Int64
	site.on("/thread-1.html", func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1) == 2 {
			http.NotFound(w, req)
			return
		}
		site.page(w, req)
	})
	r.endless(site.source(t, "x"), func(e Event) bool {
		return e.Kind == EventPage && strings.HasSuffix(e.URL, "/thread-1.html") && asked.Load() >= 3
	})
}

func TestBackoffNeverOverflows(t *testing.T) {
	b := Backoff{Base: time.Minute, Max: time.Hour}
	for _, n := range []int{0, 1, 7, 29, 60, 1 << 40} {
		if d := b.after(n); d < b.Base/2 || d > b.Max {
			t.Errorf("after(%d) = %v", n, d)
		}
	}
}

// While more waits than a source can ever fetch no links are taken, but what
// waits from earlier passes does not count.
func TestLinksAreLeftWhileTooMuchWaits(t *testing.T) {
	site, r := newTestSite(t, 3), newRig(t)
	src := site.source(t, "x", "max_pages: 1")
	r.opts.Frontier = r.frontier()
	c, err := New([]*Source{src}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var tasks []frontier.Task
	for i := range maxBacklog + 1 {
		k, err := c.task(src, Link{URL: fmt.Sprintf("%s/thread-%d.html", site.URL, i)})
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, k)
	}
	links := []Link{{URL: site.URL + "/thread-99.html"}}
	add := func(some ...frontier.Task) {
		t.Helper()
		if _, err := r.frontier().Add(ctx, some...); err != nil {
			t.Fatal(err)
		}
	}
	add(tasks[:maxBacklog]...)
	if got := c.found(ctx, src, frontier.Lease{}, links); len(got) != 1 {
		t.Errorf("%d links taken at the limit, want 1", len(got))
	}
	add(tasks[maxBacklog])
	if got := c.found(ctx, src, frontier.Lease{}, links); len(got) != 0 {
		t.Errorf("%d links taken over the limit, want none", len(got))
	}
	c.growth.start("x", 5)
	if got := c.found(ctx, src, frontier.Lease{}, links); len(got) != 1 {
		t.Errorf("%d links taken in a new pass, want 1", len(got))
	}
}

func TestCharsetOfTheSource(t *testing.T) {
	body, err := simplifiedchinese.GBK.NewEncoder().String(`<div class="post" id="p1"><i>网友</i><p>停息挂账怎么办</p></div>`)
	if err != nil {
		t.Fatal(err)
	}
	for charset, want := range map[string]bool{"gb18030": true, "big5": false} {
		site, r := newTestSite(t, 1), newRig(t)
		site.on("/thread-1.html", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=big5")
			fmt.Fprint(w, body)
		})
		r.crawl(site.source(t, "x", "charset: "+charset))
		right := false
		for _, p := range r.basket.posts {
			right = p.Text == "停息挂账怎么办"
		}
		if right != want {
			t.Errorf("charset %s: read rightly = %v, want %v: %+v", charset, right, want, r.basket.posts)
		}
	}
}

// The host sees robots.txt as a request like any other.
func TestPaceCountsRobots(t *testing.T) {
	site := newTestSite(t, 0)
	var asked atomic.Int64
	gap := make(chan time.Duration, 1)
	site.on("/robots.txt", func(w http.ResponseWriter, r *http.Request) {
		asked.Store(time.Now().UnixNano())
		http.NotFound(w, r)
	})
	site.on("/list-1.html", func(w http.ResponseWriter, r *http.Request) {
		select {
		case gap <- time.Since(time.Unix(0, asked.Load())):
		default:
		}
		site.page(w, r)
	})
	r := newRig(t)
	r.crawl(site.source(t, "x", "delay: 200ms"))
	if d := <-gap; d < 190*time.Millisecond {
		t.Errorf("the page was asked for %v after robots.txt; the delay is 200ms", d)
	}
}

// A robots.txt that asks for a longer delay gets it.
func TestCrawlDelayIsObeyed(t *testing.T) {
	site := newTestSite(t, 2)
	site.on("/robots.txt", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "User-agent: *\nCrawl-delay: 1\n") })
	r := newRig(t)
	r.crawl(site.source(t, "x", "delay: 10ms"))
	if len(site.times) != 3 {
		t.Fatalf("%d requests, want 3", len(site.times))
	}
	for i, at := range site.times[1:] {
		if d := at.Sub(site.times[i]); d < 990*time.Millisecond {
			t.Errorf("%v between two requests, want a second", d)
		}
	}
}
