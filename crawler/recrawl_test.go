package crawler

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"qingyuan/post"
)

// TestRecrawlFetchesWhatChanged counts requests: of lists until known threads,
// of threads the last page.
func TestRecrawlFetchesWhatChanged(t *testing.T) {
	f := newForum(t, 12)
	for range 11 {
		f.reply(1, -11*24*time.Hour, "早先的回复")
	}
	w := f.watch(t, nil)
	all := []string{"/f", "/f?page=2", "/f?page=3", "/t/1?page=2", "/t/1?page=3"}
	for n := 1; n <= 12; n++ {
		all = append(all, fmt.Sprintf("/t/%d", n))
	}
	w.want(t, "at first", all...)
	w.pass(t, 6*time.Minute, time.Minute)
	w.want(t, "nothing new", "/f")

	f.reply(7, 0, "新回复")
	w.pass(t, 11*time.Minute, time.Minute)
	w.want(t, "a reply", "/f", "/t/7")

	f.reply(1, 0, "末页的新回复")
	w.pass(t, 30*time.Minute, time.Minute)
	got := f.since()
	if n := count(got, "/t/1?page=3"); n != 1 || count(got, "/t/1") != 0 || count(got, "/t/1?page=2") != 0 || count(got, "/f?page=2") != 0 {
		t.Errorf("a reply to a long thread: fetched %q; want its last page alone", got)
	}
	for range 4 {
		f.reply(1, 0, "又一条")
	}
	w.pass(t, 25*time.Minute, time.Minute)
	got = f.since()
	// Page 3 may have come round by itself, just before the list told of it.
	if n := count(got, "/t/1?page=4"); count(got, "/t/1?page=3") != 1 || n < 1 || n > 2 || count(got, "/t/1") != 0 || count(got, "/t/1?page=2") != 0 {
		t.Errorf("a thread with a new page: fetched %q; want the last page and the new one", got)
	}
	if n := len(w.basket.ids()); n != 12+11+1+1+4 {
		t.Errorf("%d posts, want 29", n)
	}
}

// TestRecrawlCatchesUp: after a time without us the lists are read down to the
// threads that are known, and every reply is found.
func TestRecrawlCatchesUp(t *testing.T) {
	f := newForum(t, 20)
	w := f.watch(t, nil)
	f.since()
	w.stop()
	f.clock.advance(2 * time.Hour)
	var want []string
	for n := 20; n > 13; n-- {
		id := f.reply(n, -time.Duration(n)*time.Minute, "离线时的回复")
		want = append(want, fmt.Sprintf("离线时的回复 %d", id))
	}
	w.start(t, nil)
	w.want(t, "after two hours", "/f", "/f?page=2", "/t/14", "/t/15", "/t/16", "/t/17", "/t/18", "/t/19", "/t/20")
	texts := w.texts()
	for _, s := range want {
		if !slices.Contains(texts, s) {
			t.Errorf("%q was lost", s)
		}
	}
}

// TestRecrawlSeesEdits: the page comes again by itself and hands the other text
// over under the same id.
func TestRecrawlSeesEdits(t *testing.T) {
	f := newForum(t, 3)
	id := f.reply(9, -10*time.Minute, "专业停息挂账，加V")
	w := f.watch(t, nil)
	f.change(9, func(x *forumThread) { x.posts[0].text = "已经解决，谢谢大家" })
	f.since()
	w.pass(t, 6*time.Hour, 10*time.Minute)
	w.basket.mu.Lock()
	got := w.basket.posts[forumID(id)].Text
	w.basket.mu.Unlock()
	if got != "已经解决，谢谢大家" {
		t.Errorf("the edit was not seen within 6 hours: %q", got)
	}
	if n := count(f.since(), "/t/9"); n < 1 || n > 6 {
		t.Errorf("a quiet new thread was fetched %d times in 6 hours", n)
	}
	w.pass(t, 20*24*time.Hour, 3*time.Hour)
	if n := count(f.since(), "/t/9"); n > 12 {
		t.Errorf("a thread that no longer changes was fetched %d times in 20 days", n)
	}
}

// TestRecrawlWatchesHits: a thread that held a hit is looked at more often than
// others of its age.
func TestRecrawlWatchesHits(t *testing.T) {
	f := newForum(t, 4)
	w := &watch{rig: newRig(t), forum: f}
	w.basket.fail = func(_ int, posts []post.Post) error {
		for _, p := range posts {
			if p.ThreadURL == f.URL+"/t/2" {
				w.c.Flagged(p)
			}
		}
		return nil
	}
	w.start(t, nil)
	f.since()
	w.pass(t, 5*24*time.Hour, 4*time.Hour)
	got := f.since()
	if hit, other := count(got, "/t/2"), count(got, "/t/3"); hit < 5 || hit <= 2*other {
		t.Errorf("in 5 days the thread with a hit was fetched %d times, another %d times", hit, other)
	}
}

func TestRecrawlRecordsDeletions(t *testing.T) {
	f := newForum(t, 6)
	ids := map[int]int{1: 1}
	for i := 2; i <= 11; i++ {
		ids[i] = f.reply(1, -10*24*time.Hour, "回复")
	}
	w := f.watch(t, nil)
	if threads, posts := w.gone(); len(threads)+len(posts) != 0 {
		t.Fatalf("gone at first: %v, %v", threads, posts)
	}
	drop := func(floors ...int) {
		f.change(1, func(x *forumThread) {
			x.posts = slices.DeleteFunc(x.posts, func(p forumPost) bool {
				return slices.ContainsFunc(floors, func(n int) bool { return p.id == ids[n] })
			})
			x.last = f.clock.now()
		})
	}
	// Floor 3 goes, so 6 and 11 move to the page before, and page 3 is no more.
	drop(3)
	w.pass(t, 40*24*time.Hour, 12*time.Hour)
	threads, posts := w.gone()
	if len(threads) != 0 || !maps.Equal(posts, map[string]bool{forumID(ids[3]): true}) {
		t.Errorf("a reply was deleted: gone are %v, %v; want the one reply", threads, posts)
	}
	drop(10) // of the last page, between others
	w.pass(t, 15*24*time.Hour, 12*time.Hour)
	if threads, posts := w.gone(); len(threads) != 0 || !maps.Equal(posts, map[string]bool{forumID(ids[10]): true}) {
		t.Errorf("gone are %v, %v; want the reply on the last page", threads, posts)
	}

	for n, show := range map[int]http.HandlerFunc{
		2: func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		3: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `<title>提示信息</title><div id="messagetext" class="alert_error"><p>抱歉，指定的主题不存在或已被删除或正在被审核</p></div>`)
		},
		4: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) },
	} {
		f.change(n, func(x *forumThread) { x.hidden = show })
	}
	before := len(w.basket.ids())
	w.pass(t, 40*24*time.Hour, 12*time.Hour)
	if threads, _ := w.gone(); !slices.Equal(slices.Compact(threads), []string{"/t/2", "/t/3", "/t/4"}) {
		t.Errorf("threads gone: %v", threads)
	}
	if len(w.basket.ids()) != before {
		t.Error("what was seen is gone from the sink")
	}
	// It comes back: its posts are handed over again.
	f.change(3, func(x *forumThread) { x.hidden, x.last = nil, f.clock.now() })
	w.basket.mu.Lock()
	clear(w.basket.posts)
	w.basket.mu.Unlock()
	f.since()
	w.pass(t, 15*24*time.Hour, 12*time.Hour)
	if got := f.since(); count(got, "/t/3") < 1 || !slices.Contains(w.basket.ids(), forumID(3)) {
		t.Errorf("the thread that came back was not handed over; fetched %q", got)
	}
}

// TestRecrawlOfAMovedSite: a site that answers 404 to everything has not
// deleted everything.
func TestRecrawlOfAMovedSite(t *testing.T) {
	f := newForum(t, 60)
	w := f.watch(t, nil)
	f.wall(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	w.pass(t, 4*24*time.Hour, 6*time.Hour)
	threads, _ := w.gone()
	if len(threads) > gonePages+3 || len(w.c.Walls()) != 1 {
		t.Errorf("%d threads are taken to be gone, walls %+v", len(threads), w.c.Walls())
	}
	f.wall(nil)
	w.pass(t, 4*24*time.Hour, 6*time.Hour)
	if walls := w.c.Walls(); len(walls) != 0 {
		t.Errorf("the site is back, walls %+v", walls)
	}
}

func TestConditionalRecrawl(t *testing.T) {
	f := newForum(t, 3)
	w := f.watch(t, nil)
	f.since()
	full := 0
	f.wall(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full++
		f.list(w, 1)
	})
	w.pass(t, 12*time.Hour, 10*time.Minute)
	if full != 1 || w.saw(EventUnchanged, "/f") < 2 {
		t.Errorf("%d whole pages and %d unchanged; want one whole", full, w.saw(EventUnchanged, "/f"))
	}
	if n := count(f.since(), "/f"); n > 10 {
		t.Errorf("an unchanging list was fetched %d times in 12 hours", n)
	}
}

func count(list []string, s string) (n int) {
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// TestChangeRate holds the estimator to the published formula for regular
// visits, and to the truth for irregular ones.
func TestChangeRate(t *testing.T) {
	for _, c := range []struct{ n, x int }{{1, 1}, {4, 1}, {4, 2}, {10, 9}, {10, 10}, {12, 0}} {
		visits := make([]int64, c.n)
		for i := range visits {
			visits[i] = 60_000
			if i < c.x {
				visits[i] = -60_000
			}
		}
		n, x := float64(c.n), float64(c.x)
		want := -math.Log((n-x+0.5)/(n+0.5)) / 60_000
		if got := changeRate(visits); math.Abs(got-want) > 1e-9 {
			t.Errorf("%d changes in %d visits: %g, want %g", c.x, c.n, got, want)
		}
	}
	if r := changeRate(nil); r != 0 {
		t.Errorf("no visits: %g", r)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, every := range []float64{30 * 60_000, 24 * 3600_000} {
		sum, runs := 0.0, 400
		for range runs {
			var visits []int64
			for range maxVisits {
				d := every * (0.2 + 1.6*random.Float64())
				v := int64(d)
				if random.Float64() < 1-math.Exp(-d/every) {
					v = -v
				}
				visits = append(visits, v)
			}
			sum += changeRate(visits) * every
		}
		if mean := sum / float64(runs); mean < 0.85 || mean > 1.15 {
			t.Errorf("a page that changes every %.0f ms: estimated at %.2f of its rate", every, mean)
		}
	}
	for _, odd := range [][]int64{{0}, {-1}, {math.MinInt64 + 1}, {math.MaxInt64, -math.MaxInt64}, {-5, 0, 0}} {
		if r := changeRate(odd); math.IsNaN(r) || r < 0 || math.IsInf(r, 0) {
			t.Errorf("visits %v: %g", odd, r)
		}
	}
}

func TestWaitIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	var n pageNote
	for i := range 40 {
		since := n.visit(now, false)
		wait := n.wait(since, time.Hour, 0, 5*time.Minute, 14*24*time.Hour)
		if wait < 5*time.Minute || wait > 14*24*time.Hour || i > 0 && wait > 2*since {
			t.Fatalf("visit %d after %v: wait %v", i, since, wait)
		}
		now = now.Add(wait)
	}
	if n.wait(14*24*time.Hour, time.Hour, 0, 5*time.Minute, 14*24*time.Hour) != 14*24*time.Hour || len(n.Visits) != maxVisits {
		t.Error("a page that never changes does not reach the longest wait")
	}
	for i := range 40 {
		since := n.visit(now, true)
		wait := n.wait(since, time.Hour, 0, 5*time.Minute, 14*24*time.Hour)
		if i == 39 && wait != 5*time.Minute {
			t.Errorf("a page that changes at each visit waits %v", wait)
		}
		now = now.Add(wait)
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name         string
		old, now     []string
		first        bool
		gone, unsure []string
		steady       bool
	}{
		{"nothing before", nil, []string{"a"}, true, nil, nil, false},
		{"replies", []string{"a", "b"}, []string{"a", "b", "c"}, true, nil, nil, true},
		{"one between", []string{"a", "b", "c"}, []string{"a", "c", "d"}, true, []string{"b"}, nil, true},
		{"the last", []string{"a", "b", "c"}, []string{"a", "b"}, true, []string{"c"}, nil, true},
		{"the first of a later page", []string{"a", "b", "c"}, []string{"b", "c", "d"}, false, nil, []string{"a"}, true},
		{"the opening post", []string{"a", "b", "c"}, []string{"b", "c"}, true, []string{"a"}, nil, true},
		{"newest first", []string{"c", "b", "a"}, []string{"d", "c", "b"}, true, nil, []string{"a"}, true},
		{"another order", []string{"a", "b", "c", "d"}, []string{"d", "a", "c"}, true, nil, []string{"b"}, false},
		{"most are missing", []string{"a", "b", "c", "d"}, []string{"a"}, true, nil, []string{"b", "c", "d"}, false},
		{"another page", []string{"a", "b"}, []string{"x", "y"}, true, nil, []string{"a", "b"}, false},
	} {
		m := compare(c.old, c.now, c.first)
		if !slices.Equal(m.gone, c.gone) || !slices.Equal(m.unsure, c.unsure) || m.steady != c.steady {
			t.Errorf("%s: gone %v, unsure %v, steady %v; want %v, %v, %v", c.name, m.gone, m.unsure, m.steady, c.gone, c.unsure, c.steady)
		}
	}
}

func TestRowMoved(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		old, now Row
		moved    bool
	}{
		{"the same", Row{Replies: "3", Last: at, Grain: grainOf("17:30")}, Row{Replies: "3", Last: at, Grain: grainOf("17:30")}, false},
		{"another reply", Row{Replies: "3"}, Row{Replies: "4"}, true},
		{"a later reply", Row{Last: at, Grain: grainOf("17:30")}, Row{Last: at.Add(5 * time.Minute), Grain: grainOf("17:35")}, true},
		{"hours ago", Row{Last: at, Grain: grainOf("3小时前")}, Row{Last: at.Add(50 * time.Minute), Grain: grainOf("3小时前")}, false},
		{"hours later", Row{Last: at, Grain: grainOf("3小时前")}, Row{Last: at.Add(3 * time.Hour), Grain: grainOf("刚刚")}, true},
		{"a date alone", Row{Last: at, Grain: grainOf("11-22")}, Row{Last: at.Add(14 * time.Hour), Grain: grainOf("11-22")}, false},
		{"no longer said", Row{Last: at, Replies: "3"}, Row{Replies: "3"}, true},
	} {
		if got := c.now.moved(c.old.mark()); got != c.moved {
			t.Errorf("%s: moved = %v", c.name, got)
		}
	}
	for _, odd := range []string{"", "x", "1 2", "a b 3", "9 9 9"} {
		if !(Row{Replies: "3", Last: at}).moved(odd) {
			t.Errorf("mark %q is taken for the row's", odd)
		}
	}
}

func TestPlaceBefore(t *testing.T) {
	f := newForum(t, 1)
	src := f.source(t)
	for url, want := range map[string]string{"/t/5?page=4": "/t/5?page=3", "/t/5?page=2": "/t/5", "/t/5": "/t/5"} {
		p, ok := src.place(f.URL + url)
		if got := p.before(f.URL + url); !ok || got != f.URL+want {
			t.Errorf("before %s: %s, want %s", url, got, want)
		}
	}
}
