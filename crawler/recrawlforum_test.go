package crawler

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier/sqlite"
	"qingyuan/post"
)

// A forum is a scripted forum on loopback: threads get replies, are edited,
// deleted and brought back, and a wall may be put before everything.
type forum struct {
	*httptest.Server
	clock *handClock

	mu      sync.Mutex
	threads map[int]*forumThread
	nextID  int
	front   http.HandlerFunc // before all pages; nil: none
	asked   []string
}

type forumThread struct {
	posts  []forumPost
	last   time.Time
	hidden http.HandlerFunc // what is shown in its place; nil: the thread
}

type forumPost struct {
	id   int
	text string
	at   time.Time
}

const forumPage = 5 // posts and rows a page

// handClock stands still until it is moved.
type handClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newForum(t *testing.T, threads int) *forum {
	f := &forum{clock: &handClock{t: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)}, threads: map[int]*forumThread{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	for n := 1; n <= threads; n++ {
		f.reply(n, -10*24*time.Hour-time.Duration(n)*time.Hour, "楼主正文")
	}
	return f
}

// reply adds a post to a thread, that long after now, and returns its number.
func (f *forum) reply(n int, after time.Duration, text string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.threads[n]
	if t == nil {
		t = &forumThread{}
		f.threads[n] = t
	}
	f.nextID++
	t.last = f.clock.now().Add(after)
	t.posts = append(t.posts, forumPost{f.nextID, fmt.Sprintf("%s %d", text, f.nextID), t.last})
	return f.nextID
}

// change changes a thread under the lock.
func (f *forum) change(n int, change func(*forumThread)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.threads[n])
}

func (f *forum) wall(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.front = h
}

// since gives the pages asked for since the last call, sorted.
func (f *forum) since() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.asked
	f.asked = nil
	sort.Strings(got)
	return got
}

func (f *forum) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/robots.txt" {
		http.NotFound(w, r)
		return
	}
	f.asked = append(f.asked, r.URL.RequestURI())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if f.front != nil {
		f.front(w, r)
		return
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	if r.URL.Path == "/f" {
		f.list(w, page)
		return
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/t/"))
	t := f.threads[n]
	switch {
	case t != nil && t.hidden != nil:
		t.hidden(w, r)
	case t == nil || (page-1)*forumPage >= len(t.posts):
		http.NotFound(w, r)
	default:
		f.thread(w, n, page, t)
	}
}

// list shows the threads by last reply, with a number of visitors that is
// another each time.
func (f *forum) list(w http.ResponseWriter, page int) {
	var ns []int
	for n, t := range f.threads {
		if t.hidden == nil {
			ns = append(ns, n)
		}
	}
	slices.SortFunc(ns, func(a, b int) int { return f.threads[b].last.Compare(f.threads[a].last) })
	fmt.Fprintf(w, "<html><title>版块</title><body><p>在线 %d 人</p><table>", len(f.asked))
	for i := (page - 1) * forumPage; i < min(page*forumPage, len(ns)); i++ {
		t := f.threads[ns[i]]
		fmt.Fprintf(w, `<tr class="row" id="r_%d"><td><a class="t" href="/t/%d?from=list">帖子 %d</a><td class="n">%d<td class="last"><em title="%s">x</em></tr>`,
			ns[i], ns[i], ns[i], len(t.posts)-1, t.last.In(time.FixedZone("", 8*3600)).Format("2006-1-2 15:04"))
	}
	fmt.Fprint(w, "</table>")
	if page*forumPage < len(ns) {
		fmt.Fprintf(w, `<a class="nxt" href="/f?page=%d">下一页</a>`, page+1)
	}
}

func (f *forum) thread(w http.ResponseWriter, n, page int, t *forumThread) {
	fmt.Fprintf(w, "<html><title>帖子 %d</title><body><h1>帖子 %d</h1>", n, n)
	for i := (page - 1) * forumPage; i < min(page*forumPage, len(t.posts)); i++ {
		p := t.posts[i]
		fmt.Fprintf(w, `<div class="post" id="p%d"><i>网友%d</i><u>%s</u><p>%s</p></div>`, p.id, p.id%7, p.at.In(time.FixedZone("", 8*3600)).Format("2006-1-2 15:04:05"), p.text)
	}
	if page*forumPage < len(t.posts) {
		fmt.Fprintf(w, `<a class="nxt" href="/t/%d?page=%d">下一页</a>`, n, page+1)
	}
	fmt.Fprint(w, `<p>您需要登录后才可以回帖</p>`)
}

func (f *forum) source(t *testing.T, lines ...string) *Source {
	t.Helper()
	yaml := fmt.Sprintf(`name: bbs
title: 测试论坛
type: forum
hosts: [%q]
seeds: [%q]
delay: 0s
allow_private: true
max_depth: 50
gone: ["指定的主题不存在"]
%s
pages:
  - name: list
    match: '^/f(?:\?page=(?P<page>\d+))?$'
    priority: 5
    follow: [{select: a.t, regex: '/t/(\d+)', template: '/t/{value}'}, {select: a.nxt}]
    posts:
      - {each: tr.row, kind: post, preview: true, key: {attr: id}, url: {select: a.t, attr: href, regex: '^([^?]+)'}, title: a.t, replies: .n, last_reply: {select: .last em, attr: title}}
  - name: thread
    match: '^/t/(?P<tid>\d+)(?:\?page=(?P<page>\d+))?$'
    priority: 10
    thread: '/t/{tid}'
    follow: [{select: a.nxt}]
    posts:
      - {each: .post, kind: comment, first_kind: post, key: {attr: id}, author: i, time: u, text: p}
`, strings.TrimPrefix(f.URL, "http://"), f.URL+"/f", strings.Join(lines, "\n"))
	src, err := ReadSource("bbs.yaml", []byte(yaml))
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	return src
}

// A watch is an endless crawl of a forum under its clock.
type watch struct {
	*rig
	forum   *forum
	c       *Crawler
	stop    func()
	deleted []Deletion
}

func (f *forum) watch(t *testing.T, change func(*Options), lines ...string) *watch {
	w := &watch{rig: newRig(t), forum: f}
	w.start(t, change, lines...)
	return w
}

func (w *watch) start(t *testing.T, change func(*Options), lines ...string) {
	t.Helper()
	if w.db == nil {
		db, err := sqlite.Open(context.Background(), filepath.Join(w.dir, "frontier.db"), sqlite.Options{Now: w.forum.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		w.db = db
		t.Cleanup(func() { db.Close() })
	}
	w.opts.Frontier, w.opts.Now, w.opts.Recrawl = w.db, w.forum.clock.now, Recrawl{}
	w.opts.Backoff = Backoff{Base: 30 * time.Second, Max: time.Hour}
	w.opts.Deleted = func(_ context.Context, d Deletion) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.deleted = append(w.deleted, d)
		return nil
	}
	if change != nil {
		change(&w.opts)
	}
	var err error
	if w.c, err = New([]*Source{w.forum.source(t, lines...)}, w.opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := w.c.Run(ctx, false); done <- err }()
	var once sync.Once
	w.stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(w.stop)
	w.settle(t)
}

// settle waits until nothing is due any more.
func (w *watch) settle(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for calm := 0; calm < 2; {
		w.c.poke()
		s, err := w.db.Stats(context.Background(), "bbs")
		if err != nil {
			t.Fatal(err)
		}
		if s.Done+s.Dead > 0 && s.Leased == 0 && s.NextDue.After(w.forum.clock.now()) {
			calm++
		} else {
			calm = 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("the crawl does not come to rest: %+v at %v", s, w.forum.clock.now())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// pass moves the clock on in steps and lets the crawl do what is due.
func (w *watch) pass(t *testing.T, d, step time.Duration) {
	t.Helper()
	for ; d > 0; d -= step {
		w.forum.clock.advance(min(d, step))
		w.settle(t)
	}
}

func (w *watch) want(t *testing.T, what string, pages ...string) {
	t.Helper()
	got := w.forum.since()
	sort.Strings(pages)
	if !slices.Equal(got, pages) {
		t.Errorf("%s: fetched %q\nwant %q", what, got, pages)
	}
}

func (w *watch) texts() []string {
	w.basket.mu.Lock()
	defer w.basket.mu.Unlock()
	var out []string
	for _, p := range w.basket.posts {
		out = append(out, p.Text)
	}
	sort.Strings(out)
	return out
}

func (w *watch) gone() (threads []string, ids map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids = map[string]bool{}
	for _, d := range w.deleted {
		if d.Thread != "" {
			threads = append(threads, strings.TrimPrefix(d.Thread, w.forum.URL))
		}
		for _, id := range d.Posts {
			ids[id] = true
		}
	}
	w.deleted = nil
	sort.Strings(threads)
	return threads, ids
}

func forumID(id int) string { return post.NewID("bbs", "p"+strconv.Itoa(id)) }
