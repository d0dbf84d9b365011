package crawler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/sqlite"
	"qingyuan/crawler/transport"
)

// TestNoTwoRequestsCloserThanTheDelay crawls hosts of different delays with
// several crawlers on one frontier, each with many workers, that are ended and
// begun anew at random moments, and measures at the hosts. Pages redirect, and
// robots.txt counts like a page.
func TestNoTwoRequestsCloserThanTheDelay(t *testing.T) {
	delays := []time.Duration{60 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond}
	var sites []*arrivals
	var sources []*Source
	for i, d := range delays {
		site := newTestSite(t, 60)
		a := &arrivals{delay: d}
		site.Config.Handler = a.measure(site.Config.Handler)
		site.on("/thread-3.html", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/thread-4.html", http.StatusFound) })
		sites = append(sites, a)
		sources = append(sources, site.source(t, fmt.Sprintf("s%d", i), "delay: "+d.String()))
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var procs sync.WaitGroup
	for range 3 {
		procs.Go(func() {
			for ctx.Err() == nil {
				span, end := context.WithTimeout(ctx, 400*time.Millisecond+rand.N(900*time.Millisecond))
				crawlFor(t, span, dir, sources)
				end()
			}
		})
	}
	procs.Wait()
	for i, a := range sites {
		n, closest := a.closest()
		if n < 10 {
			t.Errorf("host %d: %d requests only: the test shows nothing", i, n)
		}
		// Nothing but the time from here to there and back: the clock of the host
		// is ours.
		if closest < a.delay-a.delay/20 {
			t.Errorf("host %d: two requests %v apart, its delay is %v", i, closest, a.delay)
		}
		t.Logf("delay %v: %d requests, the closest %v apart", a.delay, n, closest)
	}
}

// crawlFor is one process: its own transport, pacer and connection.
func crawlFor(t *testing.T, ctx context.Context, dir string, sources []*Source) {
	db, err := sqlite.Open(context.WithoutCancel(ctx), filepath.Join(dir, "frontier.db"), sqlite.Options{})
	if err != nil {
		t.Error(err)
		return
	}
	defer db.Close()
	tr, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Error(err)
		return
	}
	defer tr.CloseIdleConnections()
	var b basket
	c, err := New(sources, Options{Frontier: db, Transport: tr, Sink: b.sink, Workers: 8, Recrawl: Recrawl{List: time.Millisecond, Min: time.Millisecond}})
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := c.Run(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v", err)
	}
}

// arrivals takes down when requests arrive at a host, by its monotonic clock.
type arrivals struct {
	delay time.Duration

	mu    sync.Mutex
	times []time.Time
}

func (a *arrivals) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.times = append(a.times, time.Now())
		a.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (a *arrivals) closest() (n int, closest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	closest = time.Hour
	for i := 1; i < len(a.times); i++ {
		closest = min(closest, a.times[i].Sub(a.times[i-1]))
	}
	return len(a.times), closest
}

// Retry-After is obeyed in both forms, at the host, by all of its pages.
func TestRetryAfterAtTheHost(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "2" },
		"date":    func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) }, // cut to whole seconds
	} {
		t.Run(name, func(t *testing.T) {
			site, r := newTestSite(t, 12), patientRig(t)
			a := &arrivals{}
			var asked time.Time
			said := time.Time{}
			site.on("/thread-5.html", onceThen(site, func(w http.ResponseWriter, _ *http.Request) {
				v := value()
				asked = time.Now()
				said = asked.Add(2 * time.Second)
				if at, err := http.ParseTime(v); err == nil {
					said = at
				}
				w.Header().Set("Retry-After", v)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			site.Config.Handler = a.measure(site.Config.Handler)
			r.opts.Workers = 8
			wantCounts(t, r.crawl(site.source(t, "x")), 14, 36)
			for _, at := range a.times {
				if at.After(asked) && at.Before(said) {
					t.Errorf("a request %v before the host wanted one", said.Sub(at))
				}
			}
		})
	}
}

// With ten thousand tasks waiting and all workers at pages that never come, the
// end of the context ends everything: nothing is left running, and every page
// is given back.
func TestEndWithTenThousandQueued(t *testing.T) {
	const hosts, queued = 8, 10_000
	var sources []*Source
	stuck := make(chan struct{}, hosts)
	var sites []*testSite
	for i := range hosts {
		site := newTestSite(t, 1)
		site.on("/list-1.html", func(w http.ResponseWriter, r *http.Request) {
			stuck <- struct{}{}
			<-r.Context().Done()
		})
		sites = append(sites, site)
		sources = append(sources, site.source(t, fmt.Sprintf("s%d", i)))
	}
	before := runtime.NumGoroutine()
	r := newRig(t)
	tr, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	r.opts.Transport, r.opts.Workers, r.opts.Frontier = tr, hosts, r.frontier()
	c, err := New(sources, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	var tasks []frontier.Task
	for i := range queued {
		k, err := c.task(sources[i%hosts], Link{URL: fmt.Sprintf("%s/thread-%d.html", sites[i%hosts].URL, 100+i)})
		if err != nil {
			t.Fatal(err)
		}
		k.Priority = -1
		tasks = append(tasks, k)
	}
	if _, err := r.db.Add(t.Context(), tasks...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, true)
		ended <- err
	}()
	for range hosts {
		<-stuck
	}
	cancel()
	began := time.Now()
	select {
	case err = <-ended:
	case <-time.After(10 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("still at work 10 s after its end:\n%s", buf[:runtime.Stack(buf, true)])
	}
	t.Logf("ended within %v", time.Since(began).Round(time.Millisecond))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if st, err := r.db.Stats(context.Background(), ""); err != nil || st.Waiting != queued+hosts || st.Leased+st.Done+st.Dead != 0 {
		t.Errorf("frontier: %+v, %v; want all %d waiting", st, err, queued+hosts)
	}
	tr.CloseIdleConnections()
	r.db.Close()
	for _, s := range sites {
		s.Close() // waits for its connections
	}
	noneLeft(t, before)
}

// noneLeft waits until no goroutine of the crawl is left, or fails.
func noneLeft(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "qingyuan/crawler.(*Crawler)") && !strings.Contains(stacks, "qingyuan/crawler/transport.") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks)
		}
	}
}

// TestStopAndGoOn stops a crawl at a random page again and again, as Ctrl-C
// does: each stop is over within 10 s, gives every page back, and in the end
// each page was acknowledged once and no post is missing.
func TestStopAndGoOn(t *testing.T) {
	site, r := newTestSite(t, 200), patientRig(t)
	src := site.source(t, "x")
	var longest time.Duration
	stops := 0
	for done := false; !done; stops++ {
		ctx, cancel := context.WithCancel(t.Context())
		opts := r.opts
		opts.Frontier = r.frontier()
		pages, after := 0, 1+rand.IntN(30)
		var stopped time.Time
		opts.OnEvent = func(e Event) {
			if e.Kind == EventPage {
				if pages++; pages == after {
					stopped = time.Now()
					cancel()
				}
			}
		}
		c, err := New([]*Source{src}, opts)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Run(ctx, true)
		cancel()
		done = err == nil
		if !done && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if !stopped.IsZero() {
			longest = max(longest, time.Since(stopped))
		}
		if st, err := r.db.Stats(t.Context(), "x"); err != nil || st.Leased != 0 || st.Dead != 0 {
			t.Fatalf("after stop %d: %+v, %v", stops, st, err)
		}
		if stops > 400 {
			t.Fatal("the crawl does not get to its end")
		}
	}
	if longest > 10*time.Second {
		t.Errorf("a stop took %v", longest)
	}
	if n := len(r.basket.ids()); n != 600 {
		t.Errorf("%d posts, want 600", n)
	}
	again := len(site.requests) - 220
	t.Logf("%d stops, the longest took %v; %d of 220 pages were fetched again", stops, longest.Round(time.Millisecond), again)
	if again > 4*stops { // what a worker held when it was stopped
		t.Errorf("%d pages fetched again at %d stops", again, stops)
	}
}
