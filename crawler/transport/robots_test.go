package transport

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// site is a server whose robots.txt a test sets; it counts what is asked.
type site struct {
	*httptest.Server
	robots  atomic.Value // http.HandlerFunc
	asked   atomic.Int64 // for robots.txt
	fetched atomic.Int64 // for anything else
}

func newSite(t *testing.T, robots http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.robots.Store(robots)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/robots.txt") {
			if r.URL.Path == "/robots.txt" {
				s.asked.Add(1)
			}
			s.robots.Load().(http.HandlerFunc)(w, r)
			return
		}
		s.fetched.Add(1)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		io.WriteString(w, "page")
	}))
	t.Cleanup(s.Close)
	return s
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// clock is a time that tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time      { return time.Unix(0, c.ns.Load()) }
func (c *clock) add(d time.Duration) { c.ns.Add(int64(d)) }

func (s *site) addr() string { return strings.TrimPrefix(s.URL, "http://") }

const forbidAll = "User-agent: *\nDisallow: /\n"

// redirects answers the first n requests for robots.txt with a redirect.
func redirects(n int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscanf(r.URL.Path, "/robots.txt.%d", &i)
		if i < n {
			http.Redirect(w, r, fmt.Sprintf("/robots.txt.%d", i+1), http.StatusMovedPermanently)
			return
		}
		io.WriteString(w, body)
	}
}

func TestRobotsAnswers(t *testing.T) {
	gz := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		io.WriteString(zw, forbidAll)
		zw.Close()
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "User-agent: *\n")
	}
	reset := func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	to := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}
	}
	tests := []struct {
		name      string
		robots    http.HandlerFunc
		allowed   bool
		temporary bool
		reason    string
	}{
		{"200 forbids", answer(200, forbidAll), false, false, ReasonRule},
		{"200 allows", answer(200, "User-agent: *\nAllow: /p\nDisallow: /"), true, false, ReasonRule},
		{"200 says nothing", answer(200, "User-agent: *\nDisallow: /other"), true, false, ReasonNoRule},
		{"200 empty", answer(200, ""), true, false, ReasonNoRule},
		{"200 is a web page", answer(200, "<html>Not here</html>"), true, false, ReasonNoRule},
		{"200 compressed", gz, false, false, ReasonRule},
		{"200 over 512 KiB", answer(200, forbidAll+strings.Repeat("# filling\n", 70000)), false, false, ReasonRule},
		{"206", answer(206, forbidAll), false, false, ReasonRule},
		{"400", answer(400, forbidAll), true, false, ReasonNoFile},
		{"401", answer(401, forbidAll), true, false, ReasonNoFile},
		{"403", answer(403, forbidAll), true, false, ReasonNoFile},
		{"404", answer(404, forbidAll), true, false, ReasonNoFile},
		{"410", answer(410, ""), true, false, ReasonNoFile},
		{"429", answer(429, ""), false, true, ReasonUnreachable},
		{"500", answer(500, ""), false, true, ReasonUnreachable},
		{"503", answer(503, "User-agent: *\nAllow: /"), false, true, ReasonUnreachable},
		{"599", answer(599, ""), false, true, ReasonUnreachable},
		{"cut short", cut, false, true, ReasonUnreachable},
		{"connection reset", reset, false, true, ReasonUnreachable},
		{"1 redirect", redirects(1, forbidAll), false, false, ReasonRule},
		{"5 redirects", redirects(5, forbidAll), false, false, ReasonRule},
		{"6 redirects: as if there were none", redirects(6, forbidAll), true, false, ReasonNoFile},
		{"redirect to itself", to("/robots.txt"), true, false, ReasonNoFile},
		{"redirect to a private address", to("http://127.0.0.2:1/robots.txt"), false, true, ReasonUnreachable},
		{"redirect to a file", to("file:///etc/passwd"), false, true, ReasonUnreachable},
		{"redirect without a target", answer(302, ""), true, false, ReasonNoFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.robots)
			var kept []*Exchange
			tr := newTransport(t, Options{Robots: true, Policy: allowing(s.addr()), OnBody: func(_ context.Context, x *Exchange) error {
				kept = append(kept, x)
				return nil
			}})
			resp, err := (&http.Client{Transport: tr}).Get(s.URL + "/page")
			if err == nil {
				resp.Body.Close()
			}
			denied := (*RobotsError)(nil)
			if errors.As(err, &denied) == tt.allowed {
				t.Fatalf("err = %v, want allowed = %v", err, tt.allowed)
			}
			d := Decision{}
			if denied != nil {
				d = denied.Decision
			} else if last := kept[len(kept)-1]; last.Robots != nil {
				d = *last.Robots
			}
			if d.Allowed != tt.allowed || d.Temporary != tt.temporary || d.Reason != tt.reason {
				t.Errorf("decision %+v, want allowed %v, temporary %v, reason %q", d, tt.allowed, tt.temporary, tt.reason)
			}
			if !strings.Contains(d.String(), "/page") || d.RetryAt.IsZero() {
				t.Errorf("the decision explains too little: %s (%+v)", d, d)
			}
			if want := int64(0); !tt.allowed && s.fetched.Load() != want {
				t.Errorf("the page was fetched %d times", s.fetched.Load())
			}
		})
	}
}

// A server that never answers robots.txt is unreachable, not permissive.
func TestRobotsTimeout(t *testing.T) {
	done := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { <-done })
	defer close(done)
	tr := newTransport(t, Options{Robots: true, Policy: allowing(s.addr()), Timeouts: Timeouts{Header: 20 * time.Millisecond}})
	d, err := tr.Decide(t.Context(), s.URL+"/page")
	if err != nil || d.Allowed || !d.Temporary || d.Reason != ReasonUnreachable {
		t.Errorf("decision %+v, %v", d, err)
	}
}

func TestRobotsSingleFlight(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		io.WriteString(w, "User-agent: *\nDisallow: /private\n")
	})
	tr := newTransport(t, Options{Robots: true, Policy: allowing(s.addr())})

	// The first to ask gives up; the fetch goes on for the others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Decide(ctx, s.URL+"/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want the context's", err)
	}
	var wg sync.WaitGroup
	var allowed, forbidden atomic.Int64
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			path := "/open"
			if i%2 == 1 {
				path = "/private/x"
			}
			d, err := tr.Decide(t.Context(), s.URL+path)
			if err != nil {
				t.Error(err)
			}
			if d.Allowed {
				allowed.Add(1)
			} else {
				forbidden.Add(1)
			}
		}()
	}
	close(release)
	wg.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("robots.txt was fetched %d times by 101 callers, want once", n)
	}
	if allowed.Load() != 50 || forbidden.Load() != 50 {
		t.Errorf("%d allowed, %d forbidden; want 50 each", allowed.Load(), forbidden.Load())
	}
}

func TestRobotsExpiryAndLastKnownGood(t *testing.T) {
	s := newSite(t, answer(200, "User-agent: *\nDisallow: /private\n"))
	now := newClock()
	tr := newTransport(t, Options{Robots: true, Policy: allowing(s.addr()), Now: now.now})
	check := func(step, path string, allowed, stale bool, asked int64) Decision {
		t.Helper()
		d, err := tr.Decide(t.Context(), s.URL+path)
		if err != nil || d.Allowed != allowed || d.Stale != stale || s.asked.Load() != asked {
			t.Errorf("%s: %+v, %v, asked %d times; want allowed %v, stale %v, asked %d", step, d, err, s.asked.Load(), allowed, stale, asked)
		}
		return d
	}
	check("first", "/private", false, false, 1)
	now.add(23 * time.Hour)
	check("within a day", "/open", true, false, 1)
	s.robots.Store(answer(200, "User-agent: *\nDisallow: /open\n"))
	now.add(2 * time.Hour)
	check("changed after a day", "/open", false, false, 2)

	s.robots.Store(answer(503, ""))
	now.add(25 * time.Hour)
	check("failing: the last good one stands in", "/private", true, true, 3)
	check("failing: and forbids what it forbade", "/open", false, true, 3)
	now.add(robotsRetry + time.Second)
	check("failing: asked again after the pause", "/open", false, true, 4)
	now.add(31 * 24 * time.Hour)
	if d := check("failing for a month", "/private", false, false, 5); !d.Temporary {
		t.Errorf("not temporary: %+v", d)
	}
	s.robots.Store(answer(404, ""))
	now.add(robotsRetry + time.Second)
	check("gone", "/open", true, false, 6)
}

func TestRobotsRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": robotsRetry, "10": robotsRetry, "3600": time.Hour, "99999999": robotsFresh, "99999999999999999999": robotsFresh,
		"-5": robotsRetry, "soon": robotsRetry, "Sun, 01 Nov 2026 14:00:00 GMT": 2 * time.Hour, "Sun, 01 Nov 2020 14:00:00 GMT": robotsRetry,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}

func TestRobotsEveryHop(t *testing.T) {
	s := newSite(t, answer(200, "User-agent: *\nDisallow: /private\n"))
	tr := newTransport(t, Options{Robots: true, Policy: allowing(s.addr())})
	_, err := (&http.Client{Transport: tr}).Get(s.URL + "/go?to=/private/x")
	if denied := (*RobotsError)(nil); !errors.As(err, &denied) || denied.Decision.Line != 2 || denied.Decision.Rule != "Disallow: /private" {
		t.Errorf("err = %v, want the rule in line 2", err)
	}
	if n := s.fetched.Load(); n != 1 {
		t.Errorf("%d pages fetched, want the redirect alone", n)
	}
}

func TestRobotsOverrideAndOff(t *testing.T) {
	s := newSite(t, answer(200, forbidAll))
	var kept []*Exchange
	opts := Options{Robots: true, OnBody: func(_ context.Context, x *Exchange) error { kept = append(kept, x); return nil }}
	tr := newTransport(t, opts)
	p := allowing(s.addr())("")
	p.RobotsOverride = "consent of the site owner, file 2026-17"
	req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", s.URL+"/page", nil)
	if _, err := tr.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if s.asked.Load() != 0 || len(kept) != 1 || kept[0].Robots.Override != p.RobotsOverride || !strings.Contains(kept[0].Robots.String(), "2026-17") {
		t.Errorf("asked %d times, kept %+v", s.asked.Load(), kept)
	}
	off := newTransport(t, Options{Policy: allowing(s.addr())})
	if d, err := off.Decide(t.Context(), s.URL+"/page"); err != nil || !d.Allowed || d.Reason != ReasonOff {
		t.Errorf("%+v, %v", d, err)
	}
	on := newTransport(t, Options{Robots: true, Policy: allowing(s.addr())})
	if d, err := on.Decide(t.Context(), s.URL+"/robots.txt"); err != nil || !d.Allowed || d.Reason != ReasonSelf {
		t.Errorf("%+v, %v", d, err)
	}
}

// Many sites must not fill the memory with their files.
func TestRobotsCacheIsBounded(t *testing.T) {
	tr := newTransport(t, Options{Robots: true})
	c := tr.robots
	big := parseRobots([]byte("User-agent: *\n"+strings.Repeat("Disallow: /"+strings.Repeat("x", 100)+"\n", 4000)), "qingyuan")
	c.mu.Lock()
	for i := range 200 {
		e := c.entry(fmt.Sprint(i))
		e.last = &robotsFetch{file: big}
		e.good = e.last
		c.bytes += e.cost()
		c.evict()
	}
	held, n := c.bytes, c.used.Len()
	c.mu.Unlock()
	if held > robotsMemory || n == 0 || n == 200 || n != len(c.entries) || held != n*big.size {
		t.Errorf("%d bytes in %d entries (%d in the map), limit %d", held, n, len(c.entries), robotsMemory)
	}
}

func FuzzRobotsCopy(f *testing.F) {
	f.Add([]byte(`{"url":"http://x/robots.txt","status":200,"at":"2026-01-02T03:04:05Z","file":"H4sIAAAAAAAA/wMAAAAAAAAAAAA="}`))
	f.Add([]byte(`{"status":404}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := readRobotsCopy(data, "qingyuan"); (err == nil) != (k != nil && k.file != nil) {
			t.Fatalf("%+v, %v", k, err)
		}
	})
}
