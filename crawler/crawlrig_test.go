package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier/sqlite"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// A testSite is a small forum on loopback. Handlers may be put over single
// paths; what was asked for is recorded.
type testSite struct {
	*httptest.Server
	threads int

	mu       sync.Mutex
	special  map[string]http.HandlerFunc
	after    func() // called when a request is answered; nil: nothing
	requests []string
	times    []time.Time
}

const perList = 10

func newTestSite(tb testing.TB, threads int) *testSite {
	s := &testSite{threads: threads, special: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(s.Close)
	return s
}

// on puts a handler over a path.
func (s *testSite) on(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.special[path] = h
}

func (s *testSite) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h, after := s.special[r.URL.Path], s.after
	if r.URL.Path != "/robots.txt" {
		s.requests = append(s.requests, r.URL.RequestURI())
		s.times = append(s.times, time.Now())
	}
	s.mu.Unlock()
	if after != nil {
		defer after()
	}
	if h != nil {
		h(w, r)
		return
	}
	s.page(w, r)
}

func (s *testSite) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/list-%d.html", &n); err == nil {
		last := (s.threads + perList - 1) / perList
		fmt.Fprint(w, "<html><title>版块</title><body>")
		for i := (n - 1) * perList; i < min(n*perList, s.threads); i++ {
			fmt.Fprintf(w, `<a class="t" href="/thread-%d.html?sid=aB3xY9">帖子 %d</a>`, i+1, i+1)
		}
		if n < last {
			fmt.Fprintf(w, `<a class="nxt" href="/list-%d.html#top">下一页</a>`, n+1)
		}
		return
	}
	if _, err := fmt.Sscanf(r.URL.Path, "/thread-%d.html", &n); err == nil && n >= 1 && n <= s.threads {
		fmt.Fprint(w, thread(n))
		return
	}
	http.NotFound(w, r)
}

func thread(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<html><title>帖子 %d</title><body><h1>逾期后怎么和银行沟通 %d</h1>", n, n)
	for floor := range 3 {
		fmt.Fprintf(&b, `<div class="post" id="post_%d%d"><i>网友%d</i><p>第 %d 楼的正文，帖子 %d</p></div>`, n, floor, floor, floor+1, n)
	}
	return b.String()
}

// requested counts the requests for a path.
func (s *testSite) requested(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if p, _, _ := strings.Cut(r, "?"); p == path {
			n++
		}
	}
	return n
}

// source is the site's config; lines are added to or put over it.
func (s *testSite) source(tb testing.TB, name string, lines ...string) *Source {
	tb.Helper()
	return readTestSource(tb, name, s.URL, lines...)
}

func readTestSource(tb testing.TB, name, base string, lines ...string) *Source {
	tb.Helper()
	fields := map[string]string{
		"title": "测试论坛", "type": "forum", "hosts": fmt.Sprintf("[%q]", strings.TrimPrefix(base, "http://")),
		"seeds": fmt.Sprintf("[%q]", base+"/list-1.html"), "delay": "0s", "max_depth": "100", "allow_private": "true",
		"blocked": `["刷新过于频繁"]`, "gone": `["指定的主题不存在"]`,
	}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		fields[k] = v
	}
	yaml := "name: " + name + "\n"
	for k, v := range fields {
		yaml += k + ": " + v + "\n"
	}
	yaml += `pages:
  - {name: list, match: '^/list-\d+\.html', priority: 10, follow: [{select: 'a'}]}
  - name: thread
    match: '^/thread-(?P<tid>\d+)\.html'
    follow: [{select: 'a'}]
    posts:
      - {each: '.post', kind: comment, first_kind: post, key: {attr: id}, author: i, text: p}
`
	src, err := ReadSource(name+".yaml", []byte(yaml))
	if err != nil {
		tb.Fatalf("%v\n%s", err, yaml)
	}
	return src
}

// A basket is a sink that keeps posts by id.
type basket struct {
	mu    sync.Mutex
	posts map[string]post.Post
	calls int
	fail  func(call int, posts []post.Post) error
}

func (b *basket) sink(_ context.Context, posts []post.Post) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.fail != nil {
		if err := b.fail(b.calls, posts); err != nil {
			return err
		}
	}
	if b.posts == nil {
		b.posts = map[string]post.Post{}
	}
	for _, p := range posts {
		b.posts[p.ID] = p
	}
	return nil
}

func (b *basket) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id := range b.posts {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

// A rig is a crawler over test sites with fast back-off.
type rig struct {
	tb     testing.TB
	dir    string
	db     *sqlite.DB
	basket basket
	opts   Options
	limit  time.Duration // of a run; a minute at least

	mu     sync.Mutex
	events []Event
}

func newRig(tb testing.TB) *rig {
	r := &rig{tb: tb, dir: tb.TempDir()}
	r.opts = Options{
		Workers: 4, Backoff: Backoff{Base: 2 * time.Millisecond, Max: 20 * time.Millisecond},
		OnEvent: func(e Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
	r.opts.Sink = r.basket.sink
	t, err := transport.New(transport.Options{Robots: true, Timeouts: transport.Timeouts{Header: time.Second}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(t.CloseIdleConnections)
	r.opts.Transport = t
	return r
}

func (r *rig) frontier() *sqlite.DB {
	r.tb.Helper()
	if r.db == nil {
		db, err := sqlite.Open(context.Background(), filepath.Join(r.dir, "frontier.db"), sqlite.Options{})
		if err != nil {
			r.tb.Fatal(err)
		}
		r.db = db
		r.tb.Cleanup(func() { db.Close() })
	}
	return r.db
}

func (r *rig) run(sources ...*Source) (Summary, error) {
	r.tb.Helper()
	r.opts.Frontier = r.frontier()
	c, err := New(sources, r.opts)
	if err != nil {
		r.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(r.limit, time.Minute))
	defer cancel()
	return c.Run(ctx, true)
}

func (r *rig) crawl(sources ...*Source) Summary {
	r.tb.Helper()
	s, err := r.run(sources...)
	if err != nil {
		r.tb.Fatalf("Run: %v\nsummary: %+v", err, s)
	}
	return s
}

// saw counts the events of a kind for a path ("" for any).
func (r *rig) saw(kind EventKind, path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Kind == kind && strings.Contains(e.URL, path) {
			n++
		}
	}
	return n
}

func errorOf(s Summary, path string) PageError {
	for _, e := range s.Errors {
		if strings.HasSuffix(e.URL, path) {
			return e
		}
	}
	return PageError{}
}

func wantCounts(t *testing.T, s Summary, pages, posts int) {
	t.Helper()
	if s.Pages != pages || s.Posts != posts {
		t.Errorf("%d pages and %d posts; want %d and %d (errors: %+v)", s.Pages, s.Posts, pages, posts, s.Errors)
	}
}

// stopAfter crawls until n pages are fetched and ends the run.
func (r *rig) stopAfter(n int, sources ...*Source) {
	r.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opts := r.opts
	opts.Frontier = r.frontier()
	pages := 0
	opts.OnEvent = func(e Event) {
		if e.Kind == EventPage {
			if pages++; pages == n {
				cancel()
			}
		}
	}
	c, err := New(sources, opts)
	if err != nil {
		r.tb.Fatal(err)
	}
	s, err := c.Run(ctx, true)
	if !errors.Is(err, context.Canceled) || !s.Interrupted {
		r.tb.Fatalf("Run = %v, %+v; want context.Canceled", err, s)
	}
}

// untilBackOff crawls without end until a host is left alone, and ends the run.
func (r *rig) untilBackOff(sources ...*Source) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opts := r.opts
	opts.Frontier = r.frontier()
	met := false
	opts.OnEvent = func(e Event) {
		if e.Kind == EventBackOff {
			met = true
			cancel()
		}
	}
	c, err := New(sources, opts)
	if err != nil {
		r.tb.Fatal(err)
	}
	if _, err := c.Run(ctx, false); !errors.Is(err, context.Canceled) || !met {
		r.tb.Fatalf("Run = %v; want a back-off and context.Canceled", err)
	}
}
