package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/transport"
)

// liveCrawl is a crawl without end whose pages come once; wait blocks until
// the events say so.
type liveCrawl struct {
	*Crawler
	t    *testing.T
	rig  *rig
	seen chan Event
	stop func()
}

func (r *rig) liveCrawl(t *testing.T, sources ...*Source) *liveCrawl {
	t.Helper()
	e := &liveCrawl{t: t, rig: r, seen: make(chan Event, 10_000)}
	r.opts.Frontier = r.frontier()
	r.opts.Recrawl = Recrawl{List: 24 * time.Hour, Min: 24 * time.Hour, Max: 48 * time.Hour}
	r.opts.OnEvent = func(ev Event) { e.seen <- ev }
	// A robots.txt would be the first request, and the first page an hour later.
	rt, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	r.opts.Transport = rt
	c, err := New(sources, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	e.Crawler = c
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := c.Run(ctx, false); ended <- err }()
	var once sync.Once
	e.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run = %v", err)
			}
		})
	}
	t.Cleanup(e.stop)
	return e
}

// wait takes events until ok says of one that it is enough.
func (e *liveCrawl) wait(what string, ok func(Event) bool) {
	e.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		select {
		case ev := <-e.seen:
			if ok(ev) {
				return
			}
		case <-limit.C:
			e.t.Fatalf("%s did not happen", what)
		}
	}
}

// pages waits until n more pages of a source are done.
func (e *liveCrawl) pages(source string, n int) {
	e.t.Helper()
	e.wait(fmt.Sprintf("%d pages of %s", n, source), func(ev Event) bool {
		if ev.Kind == EventPage && ev.Source == source {
			n--
		}
		return n == 0
	})
}

func (e *liveCrawl) set(sources ...*Source) {
	e.t.Helper()
	if err := e.SetSources(e.t.Context(), sources); err != nil {
		e.t.Fatal(err)
	}
}

// onceEach wants each page of a site asked for exactly once.
func (s *testSite) onceEach(t *testing.T, form string, pages int) {
	t.Helper()
	for i := 1; i <= pages; i++ {
		if n := s.requested(fmt.Sprintf(form, i)); n != 1 {
			t.Errorf("%s was asked for %d times", fmt.Sprintf(form, i), n)
		}
	}
}

func TestSetSourcesAddsTakesOutAndBringsBack(t *testing.T) {
	one, two := newTestSite(t, 12), newTestSite(t, 5)
	gate := make(chan struct{})
	hold := func(w http.ResponseWriter, r *http.Request) { <-gate; one.page(w, r) }
	for i := 4; i <= 12; i++ { // the crawl stands while the sources change
		one.on(fmt.Sprintf("/thread-%d.html", i), hold)
	}
	r := newRig(t)
	a, b := one.source(t, "one"), two.source(t, "two")
	e := r.liveCrawl(t, a)
	e.pages("one", 2) // both lists
	e.set(b)
	close(gate)
	e.pages("two", 6)
	// What was in work is ended under its config; the rest is put aside.
	e.wait("putting the rest aside", func(Event) bool {
		s, err := r.db.Stats(t.Context(), "one")
		return err == nil && s.Waiting == 0 && s.Leased == 0
	})
	if s, _ := r.db.Stats(t.Context(), "one"); s.Dead > 0 {
		t.Errorf("%d pages of a source that was taken out are given up for good", s.Dead)
	}
	e.set(a, b)
	for one.requested("/thread-12.html") == 0 || r.basketSize() < 3*17 {
		e.pages("one", 1)
	}
	e.stop()
	one.onceEach(t, "/thread-%d.html", 12)
	two.onceEach(t, "/thread-%d.html", 5)
	if got := r.basketSize(); got != 3*17 {
		t.Errorf("%d posts, want %d", got, 3*17)
	}
}

func (r *rig) basketSize() int { return len(r.basket.ids()) }

func TestSetSourcesTakesUpDelayAndRules(t *testing.T) {
	site := newTestSite(t, 3)
	r := newRig(t)
	e := r.liveCrawl(t, site.source(t, "bbs", "delay: 1h"))
	e.pages("bbs", 1) // the next is an hour away
	e.set(site.source(t, "bbs"))
	e.pages("bbs", 3)
	e.stop()
	site.onceEach(t, "/thread-%d.html", 3)
	var delays []time.Duration
	for i := 1; i <= 3; i++ {
		canonical, _, err := Canonical(fmt.Sprintf("%s/thread-%d.html", site.URL, i))
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.db.Lookup(t.Context(), frontier.ID("bbs", canonical))
		if err != nil {
			t.Fatal(err)
		}
		delays = append(delays, s.Delay)
	}
	for _, d := range delays {
		if d != 0 {
			t.Errorf("tasks are kept with delays %v", delays)
		}
	}
}

// Rules that no longer fit put pages aside and an edit brings them back; other
// canonical rules move pages without asking twice.
func TestSetSourcesWithOtherRules(t *testing.T) {
	site := newTestSite(t, 6)
	src := site.source(t, "bbs", "delay: 1h")
	r := newRig(t)
	e := r.liveCrawl(t, src)
	e.pages("bbs", 1)
	narrow := strings.NewReplacer(`'^/thread-(?P<tid>\d+)\.html'`, `'^/topic-(?P<tid>\d+)\.html'`)
	e.set(e.edited(site, "delay: 0s", narrow))
	for n := 6; n > 0; n-- {
		e.wait("putting aside", func(ev Event) bool { return ev.Kind == EventDead })
	}
	if got := site.requested("/thread-1.html"); got != 0 {
		t.Errorf("a page that no rule fits was asked for %d times", got)
	}
	// The same pages, known by another form from now on.
	e.set(e.edited(site, "delay: 0s", strings.NewReplacer(`'^/thread-(?P<tid>\d+)\.html'`, `'^/(?:thread-(?P<tid>\d+)\.html|t/(?P<no>\d+))'`),
		`canonical: {rewrite: [{match: '^/t/(\d+)$', to: '/thread-$1.html'}]}`))
	e.pages("bbs", 6)
	e.stop()
	site.onceEach(t, "/thread-%d.html", 6)
}

// edited is the site's config with changes to its text.
func (e *liveCrawl) edited(site *testSite, line string, change *strings.Replacer, more ...string) *Source {
	e.t.Helper()
	yaml := fmt.Sprintf("name: bbs\ntitle: 测试论坛\ntype: forum\nhosts: [%q]\nseeds: [%q]\n%s\nallow_private: true\n%s\n", strings.TrimPrefix(site.URL, "http://"), site.URL+"/list-1.html", line, strings.Join(more, "\n"))
	yaml += change.Replace(`pages:
  - {name: list, match: '^/list-\d+\.html', priority: 10, follow: [{select: 'a'}]}
  - name: thread
    match: '^/thread-(?P<tid>\d+)\.html'
    posts:
      - {each: '.post', kind: comment, first_kind: post, key: {attr: id}, author: i, text: p}
`)
	s, err := ReadSource("bbs.yaml", []byte(yaml))
	if err != nil {
		e.t.Fatalf("%v\n%s", err, yaml)
	}
	return s
}

func TestCanonicalRulesMoveWaitingPages(t *testing.T) {
	site := newTestSite(t, 4)
	r := newRig(t)
	const moved = `canonical: {rewrite: [{match: '^/thread-(\d+)\.html$', to: '/t/$1'}]}`
	e := r.liveCrawl(t, movedSource(t, site, "1h", ""))
	e.pages("bbs", 1)
	for i := 1; i <= 4; i++ {
		site.on(fmt.Sprintf("/t/%d", i), func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			var n int
			fmt.Sscanf(q.URL.Path, "/t/%d", &n)
			fmt.Fprint(w, thread(n))
		})
	}
	e.set(movedSource(t, site, "0s", moved))
	e.pages("bbs", 4)
	e.stop()
	site.onceEach(t, "/t/%d", 4)
	for i := 1; i <= 4; i++ {
		if n := site.requested(fmt.Sprintf("/thread-%d.html", i)); n != 0 {
			t.Errorf("the old form of page %d was asked for %d times", i, n)
		}
	}
}

func movedSource(t *testing.T, site *testSite, delay, canonical string) *Source {
	t.Helper()
	yaml := fmt.Sprintf("name: bbs\ntype: forum\nhosts: [%q]\nseeds: [%q]\ndelay: %s\nallow_private: true\n%s\n", strings.TrimPrefix(site.URL, "http://"), site.URL+"/list-1.html", delay, canonical) +
		`pages:
  - {name: list, match: '^/list-\d+\.html', priority: 10, follow: [{select: 'a'}]}
  - {name: thread, match: '^/(?:thread-\d+\.html|t/\d+)', posts: [{each: '.post', kind: comment, key: {attr: id}, author: i, text: p}]}
`
	s, err := ReadSource("bbs.yaml", []byte(yaml))
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	return s
}
