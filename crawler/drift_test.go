package crawler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// loose sets everything over the pages of a site.
func (s *testSite) everywhere(prefix string, h http.HandlerFunc) {
	for i := range s.threads + 1 {
		s.on(fmt.Sprintf("%s%d.html", prefix, i), h)
	}
}

func (s *testSite) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.special = map[string]http.HandlerFunc{}
}

func (r *rig) alarms() (raised, over []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		switch e.Kind {
		case EventDrift:
			raised = append(raised, e.Drift.key())
		case EventDriftOver:
			over = append(over, e.Drift.key())
		}
	}
	r.events = nil
	return raised, over
}

// TestInjectedFailuresAreSeenInOneCycle injects, one after the other, what makes
// a site go silent, and wants each to be told within the very pass in which it
// is met, and the end of each as well. No pass may yield nothing in silence.
func TestInjectedFailuresAreSeenInOneCycle(t *testing.T) {
	site := newTestSite(t, 25)
	html := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, body)
		}
	}
	newLayout := func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/thread-%d.html", &n)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, strings.NewReplacer(`class="post"`, `class="floor"`).Replace(thread(n)))
	}
	for _, c := range []struct {
		name   string
		inject func()
		want   EventKind
		key    string // of the drift, or the kind of the wall
	}{
		{"layout of threads", func() { site.everywhere("/thread-", newLayout) }, EventDrift, "zero|thread|"},
		{"layout of lists", func() {
			site.everywhere("/list-", html(`<html><title>版块</title><body><div data-href="/thread-1.html">帖子 1</div>`+strings.Repeat("<p>全新版式，欢迎体验。</p>", 200)))
		}, EventDrift, "zero|list|"},
		{"authors", func() {
			site.everywhere("/thread-", func(w http.ResponseWriter, r *http.Request) {
				var n int
				fmt.Sscanf(r.URL.Path, "/thread-%d.html", &n)
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprint(w, strings.NewReplacer("<i>", "<u>", "</i>", "</u>").Replace(thread(n)))
			})
		}, EventDrift, "field|thread|author"},
		{"login wall", func() {
			site.everywhere("/thread-", html(`<html><title>用户登录</title><body><form action="/login">请登录后查看</form>`))
		}, EventWall, "login"},
		{"captcha", func() {
			site.everywhere("/list-", html(`<html><title>安全验证</title><body><div id="nocaptcha">请完成验证</div>`))
		}, EventWall, "captcha"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer site.restore()
			r := newRig(t)
			src := site.source(t, "bbs")
			r.crawl(src)
			if raised, _ := r.alarms(); len(raised) > 0 {
				t.Fatalf("alarms on a site that is well: %v", raised)
			}
			c.inject()
			if _, err := r.run(src); err != nil {
				t.Fatal(err)
			}
			seen := false
			r.mu.Lock()
			for _, e := range r.events {
				seen = seen || e.Kind == c.want && (e.Drift != nil && e.Drift.key() == c.key || e.Kind == EventWall && strings.HasPrefix(e.Reason, c.key))
			}
			r.events = nil
			r.mu.Unlock()
			if !seen {
				t.Fatalf("it is not told of within one pass")
			}
			if c.want != EventDrift {
				return // the end of a wall is tested with the walls
			}
			site.restore()
			r.crawl(src) // made anew: the alarm is remembered over the restart
			raised, over := r.alarms()
			if !slices.Contains(raised, c.key) || !slices.Contains(over, c.key) {
				t.Errorf("told again %v, over %v; want %s in both", raised, over, c.key)
			}
		})
	}
}

// TestNoSilentZeroYieldDay lets days go by on sites that look well.
func TestNoSilentZeroYieldDay(t *testing.T) {
	site := newTestSite(t, 3)
	src := site.source(t, "bbs", "expect: {day: 5}")
	var mu sync.Mutex
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	r := newRig(t)
	r.opts.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	r.opts.Frontier = r.frontier()
	c, err := New([]*Source{src}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	day := func() []string {
		mu.Lock()
		now = now.Add(25 * time.Hour)
		mu.Unlock()
		c.watchDay(t.Context())
		var keys []string
		for _, d := range c.Drifts() {
			keys = append(keys, string(d.Kind))
		}
		return keys
	}
	c.watchDay(t.Context())
	if _, err := c.Run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := day(); len(got) > 0 {
		t.Errorf("a day with 9 posts: %v", got)
	}
	if got := day(); !slices.Equal(got, []string{"day"}) {
		t.Errorf("a day without a post: %v, want day", got)
	}
	c.watchFailure(src)
	if got := day(); !slices.Equal(got, []string{"day", "silent"}) {
		t.Errorf("a day with nothing but failures: %v, want day and silent", got)
	}
	if _, err := c.Run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := day(); len(got) > 0 {
		t.Errorf("a day with posts again: %v", got)
	}
}

func TestExpectationsRaiseAlarms(t *testing.T) {
	site := newTestSite(t, 25)
	for _, c := range []struct {
		expect string
		want   []string
	}{
		{"{list: 10, thread: 3, fields: {author: 95, text: 100}}", nil},
		{"{thread: 7}", []string{"yield|thread|"}},
		{"{thread: 5}", nil}, // 3 is below, not far below
		{"{fields: {time: 90}}", []string{"field|thread|time"}},
	} {
		r := newRig(t)
		r.crawl(site.source(t, "bbs", "expect: "+c.expect))
		if raised, _ := r.alarms(); !slices.Equal(raised, c.want) {
			t.Errorf("expect %s raises %v, want %v", c.expect, raised, c.want)
		}
	}
}

func TestCheckSite(t *testing.T) {
	site := newTestSite(t, 25)
	f, err := NewFetcher(FetcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	check := func(lines ...string) SiteCheck {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		k, err := CheckSite(ctx, site.source(t, "bbs", lines...), f.Fetch)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if k := check("expect: {list: 10, thread: 3, fields: {author: 95}}"); !k.OK || len(k.Pages) != 4 || k.Posts != 9 {
		t.Errorf("a site that is well: %+v", k)
	}
	kinds := func(k SiteCheck) (out []string) {
		for _, d := range k.Drifts {
			out = append(out, d.key())
		}
		return out
	}
	for _, c := range []struct {
		name, expect string
		inject       func()
		want         []string
	}{
		{"too few", "{list: 11, thread: 4, fields: {time: 90}}", func() {}, []string{"yield|list|", "yield|thread|", "field|thread|time"}},
		{"server away", "{}", func() {
			site.everywhere("/list-", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		}, []string{"fetch||"}},
		{"login", "{}", func() {
			site.everywhere("/thread-", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, `<html><title>用户登录</title>请先登录后再看`)
			})
		}, []string{"wall||"}},
		{"layout", "{}", func() {
			site.everywhere("/thread-", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprint(w, strings.ReplaceAll(thread(1), "post", "floor"))
			})
		}, []string{"zero|thread|"}},
		{"seed gone", "{}", func() { site.on("/list-1.html", http.NotFound) }, []string{"gone||"}},
	} {
		c.inject()
		k := check("expect: " + c.expect)
		if k.OK || !slices.Equal(kinds(k), c.want) {
			t.Errorf("%s: %v, want %v", c.name, kinds(k), c.want)
		}
		for _, d := range k.Drifts {
			if zh, en := d.Text("zh"), d.Text("en"); zh == en || strings.Contains(zh+en, "%!") {
				t.Errorf("%s is told as %q and %q", d.key(), zh, en)
			}
		}
		site.restore()
	}
}
