package crawler

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
)

// A trapSite is a forum with real threads among traps without end. Every
// request is booked as real, when it is the first for something that only that
// page shows, or as wasted.
type trapSite struct {
	*httptest.Server
	mu     sync.Mutex
	rnd    *rand.Rand
	real   map[string]int // what was shown → requests
	wasted map[string]int // trap → requests
}

const (
	trapThreads = 1000
	longPages   = 30 // of thread 5
	perTrapList = 20
)

func newTrapSite(t *testing.T) *trapSite {
	s := &trapSite{real: map[string]int{}, wasted: map[string]int{}, rnd: rand.New(rand.NewPCG(1, 2))}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *trapSite) token() string { return fmt.Sprintf("%016x%016x", s.rnd.Uint64(), s.rnd.Uint64()) }

// word is pronounceable, so that nothing but its yield tells a maze from a
// site with speaking addresses.
func (s *trapSite) word() string {
	b := make([]byte, 0, 12)
	for range 3 + s.rnd.IntN(3) {
		b = append(b, "bdfgklmnprst"[s.rnd.IntN(12)], "aeiou"[s.rnd.IntN(5)])
	}
	return string(b)
}

func (s *trapSite) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	page, real := s.page(r.URL)
	switch {
	case r.URL.Path == "/robots.txt":
		http.NotFound(w, r)
		return
	case page == "":
		s.wasted["missing "+r.URL.Path]++
		http.NotFound(w, r)
		return
	case real == "" || s.real[real] > 0:
		s.wasted[strings.SplitN(strings.Trim(r.URL.Path, "/"), "/", 2)[0]+" "+real]++
	}
	if real != "" {
		s.real[real]++
	}
	fmt.Fprint(w, "<html><body>"+page)
}

func (s *trapSite) page(u *url.URL) (page, real string) {
	var n, year, month, day int
	page = u.Query().Get("page")
	var b strings.Builder
	link := func(format string, args ...any) { fmt.Fprintf(&b, `<a href="%s">x</a> `, fmt.Sprintf(format, args...)) }
	number := 1
	fmt.Sscan(page, &number) //nolint:errcheck // 1 when it is none
	switch {
	case scan(u.Path, "/list-%d.html", &n):
		// Beyond the last page the software shows the last one again, for ever.
		shown := min(n, trapThreads/perTrapList)
		for i := (shown - 1) * perTrapList; i < shown*perTrapList; i++ {
			link("/thread-%d.html", i+1)
		}
		link("/list-%d.html", n+1)
		if n <= trapThreads/perTrapList {
			real = fmt.Sprintf("list %d", n)
		}
		link("/board?fid=3")
		link("/calendar/2026/11")
		link("/photos/")
		link("/maze/start")
		for i := range 3 {
			link("/news/2026/%02d/%02d/%d.html", 1+i, shown%28+1, shown%20*3+i)
		}
	case scan(u.Path, "/thread-%d.html", &n) && n >= 1 && n <= trapThreads:
		real = fmt.Sprintf("thread %d", n)
		if n == 5 && number <= longPages {
			real = fmt.Sprintf("thread %d page %d", n, number)
			if number < longPages {
				link("/thread-5.html?page=%d", number+1)
			}
		}
		fmt.Fprintf(&b, `<div class="post" id="p%d-%d"><i>网友%d</i><p>第 %d 帖第 %d 页：逾期后怎么和银行沟通？</p></div>`, n, number, n, n, number)
		for range 4 { // "see also", with the session of this visit
			link("/thread-%d.html?s=%s", 1+s.rnd.IntN(trapThreads), s.token())
		}
		link("/thread-%d.html?order=%s&view=%s", n, s.word(), s.word())
		link("photos/")
	case scan(u.Path, "/news/2026/%d/%d/%d.html", &month, &day, &n):
		real = fmt.Sprintf("article %s", u.Path)
		fmt.Fprintf(&b, `<div class="post" id="a%d"><i>编辑</i><p>第 %d 篇：%s 的通报</p></div>`, n, n, u.Path)
	case u.Path == "/board":
		for i := range perTrapList { // one board, in every order, on pages without end
			link("/thread-%d.html", i+1)
		}
		q := u.Query()
		q.Set("page", fmt.Sprint(number+1))
		link("/board?%s", strings.ReplaceAll(q.Encode(), "&", "&amp;"))
		for _, order := range []string{"replies", "views", "date", "author", "lastpost"} {
			link("/board?fid=3&amp;order=%s&amp;dir=asc", order)
			link("/board?fid=3&amp;dir=desc&amp;order=%s&amp;sid=%s", order, s.token())
		}
		if u.RawQuery == "fid=3" {
			real = "board"
		}
	case scan(u.Path, "/calendar/%d/%d", &year, &month):
		at := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC)
		link("/calendar/%s", at.AddDate(0, 1, 0).Format("2006/01"))
		link("/calendar/%s", at.AddDate(0, -1, 0).Format("2006/01"))
		for d := range 28 {
			link("/calendar/%s/%02d", at.Format("2006/01"), d+1)
		}
	case strings.HasSuffix(u.Path, "photos/"):
		b.WriteString(`<a href="photos/">more</a> <a href="albums/photos/">albums</a>`)
	case strings.HasPrefix(u.Path, "/maze/"):
		for range 10 {
			link("/maze/%s", s.word())
			link("/maze/%s/%s", s.word(), s.word())
		}
	}
	return b.String(), real
}

func scan(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

func (s *trapSite) source(t *testing.T, lines ...string) *Source {
	t.Helper()
	yaml := fmt.Sprintf("name: traps\ntype: forum\nhosts: [%q]\nseeds: [%q]\ndelay: 0s\nmax_depth: 1000\nmax_pages: 5000\nallow_private: true\n",
		strings.TrimPrefix(s.URL, "http://"), s.URL+"/list-1.html") + strings.Join(lines, "\n") + `
pages:
  - {name: list, match: '^/list-', priority: 5, follow: [a]}
  - name: thread
    match: '^/(thread-|news/)'
    follow: [a]
    posts: [{each: .post, kind: post, key: {attr: id}, author: i, text: p}]
  - {name: other, match: '^/', follow: [a]}
`
	src, err := ReadSource("traps.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// account gives what was fetched and fails when something real was not.
func (s *trapSite) account(t *testing.T) (real, wasted int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := 0
	for n := 1; n <= trapThreads; n++ {
		name := fmt.Sprintf("thread %d", n)
		if n == 5 {
			name = "thread 5 page 1"
		}
		if s.real[name] == 0 {
			lost++
		}
	}
	for p := 1; p <= longPages; p++ {
		if s.real[fmt.Sprintf("thread 5 page %d", p)] == 0 {
			t.Errorf("page %d of the long thread was not fetched", p)
		}
	}
	articles := 0
	for name := range s.real {
		if strings.HasPrefix(name, "article") {
			articles++
		}
	}
	if want := 30 * 3; articles < want {
		t.Errorf("%d articles with dates in their addresses were fetched, want %d", articles, want)
	}
	if lost > 0 {
		t.Errorf("%d of %d threads were not fetched", lost, trapThreads)
	}
	for _, n := range s.wasted {
		wasted += n
	}
	return len(s.real), wasted
}

func TestTrapSite(t *testing.T) {
	site, r := newTrapSite(t), newRig(t)
	r.limit = 5 * time.Minute // a thousand pages, also under the race detector
	sum := r.crawl(site.source(t))
	real, wasted := site.account(t)
	share := 100 * float64(wasted) / float64(real+wasted)
	t.Logf("%d pages fetched for something new, %d wasted: %.1f %%; %d left out when their turn came", real, wasted, share, sum.PerSource["traps"].Skipped)
	if share >= 5 {
		t.Errorf("%.1f %% of the fetches were wasted, want less than 5", share)
	}
	if len(sum.Errors) > 0 {
		t.Errorf("errors: %+v", sum.Errors)
	}
	trapReasons(t, site, r)
	site.mu.Lock()
	for k := range site.wasted {
		delete(site.wasted, k)
	}
	site.real = map[string]int{}
	site.mu.Unlock()
	r.crawl(site.source(t)) // what was learned holds for the next pass
	if _, again := site.account(t); again > 2*wasted {
		t.Errorf("the second pass wasted %d fetches, the first %d: %v", again, wasted, site.wasted)
	}
}

// trapReasons checks that nothing is left out without a reason that can be
// asked for.
func trapReasons(t *testing.T, site *trapSite, r *rig) {
	t.Helper()
	src := site.source(t)
	for path, want := range map[string]string{
		"/photos/photos/photos/photos/":                              "trap: path",
		"/calendar/2027/03":                                          "trap: ",
		"/thread-7.html?s=0123456789abcdef0123456789abcdef":          "session id: s changes nothing",
		"/maze/ganz/anders":                                          "brought something new 0 times",
		"/thread-9.html?order=nachdatum&view=liste":                  "changes nothing",
		fmt.Sprintf("/list-%d.html", trapThreads/perTrapList+4):      "",
		fmt.Sprintf("/thread-%d.html", trapThreads+1):                "",
		"/news/2026/12/05/9.html":                                    "",
		"/thread-5.html?page=31":                                     "",
		"/board?fid=3&order=tagdergeburt&dir=desc":                   "trap: ",
		"/photos/albums/photos/albums/photos/albums/photos/a/albums": "trap: ",
	} {
		got := ""
		if canonical, _, err := src.Canonical(site.URL + path); err != nil {
			t.Error(err)
		} else if got, err = trapReason(t.Context(), r.frontier(), src, canonical, time.Now()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	// The pages after the last are not followed from there, and it is said why.
	last := fmt.Sprintf("%s/list-%d.html", site.URL, trapThreads/perTrapList+4)
	st, err := r.frontier().Lookup(t.Context(), frontier.ID("traps", last))
	if err != nil || st.State != frontier.StateRefused || !strings.Contains(st.Reason, "endless pagination") {
		t.Errorf("%s stands at %+v, %v", last, st, err)
	}
}

func TestURLShapes(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		url, pattern string
		odd          string
		tokens       int
		date, off    bool
	}{
		{"https://a.example/thread-12-3-1.html", "a.example/thread-{n}-{n}-{n}.html", "", 0, false, false},
		{"https://a.example/forum.php?mod=viewthread&tid=7&page=2", "a.example/forum.php?mod=viewthread&page&tid", "", 0, false, false},
		{"https://a.example/forum.php?tid=8&mod=viewthread&page=9", "a.example/forum.php?mod=viewthread&page&tid", "", 0, false, false},
		{"https://a.example/p/wangdai-yuqi-zenme-ban-2026-jiqiao", "a.example/p/wangdai-yuqi-zenme-ban-{n}-jiqiao", "", 0, false, false},
		{"https://a.example/x?s=0123456789abcdef0123456789abcdef&id=3", "a.example/x?id&s={token}", "", 1, false, false},
		{"https://a.example/(S(lit3py55t21z5v55vlm25s55))/x", "a.example/{token}/{word}", "", 1, false, false},
		{"https://a.example/news/2026/11/05/x.html", "a.example/news/{n}/{n}/{n}/{word}.html", "", 0, true, false},
		{"https://a.example/cal?month=2031-05", "a.example/cal?month", "", 0, true, true},
		{"https://a.example/cal?year=1921&month=5", "a.example/cal?month&year", "", 0, true, true},
		{"https://a.example/t/2031/7", "a.example/t/{n}/{n}", "", 0, true, true},
		{"https://a.example/thread-20311-7.html", "a.example/thread-{n}-{n}.html", "", 0, false, false},
		{"https://a.example/1/1/1/1/1", "a.example/{n}/{n}/{n}/{n}/{n}", "", 0, false, false},
		{"https://a.example/a/b/a/b", "a.example/a/{word}/{word}/{word}", "", 0, false, false},
		{"https://a.example/a/b/a/b/a/b/", "", "repeats", 0, false, false},
		{"https://a.example/x/x/x", "", "repeats", 0, false, false},
		{"https://a.example/x/1/x/2/x/3/x/4", "", "comes 4 times", 0, false, false},
		{"https://a.example/s?k=1&k=1&k=1", "", "comes 3 times", 0, false, false},
		{"https://a.example/go?u=%2525252F", "", "escaped again", 0, false, false},
		{"https://a.example/" + strings.Repeat("x1/", 30), "", "segments", 0, false, false},
	} {
		sh := shapeOf(c.url, now)
		if c.odd == "" && sh.pattern != c.pattern || !strings.Contains(sh.odd, c.odd) || c.odd == "" && sh.odd != "" {
			t.Errorf("%s: pattern %q, odd %q; want %q, %q", c.url, sh.pattern, sh.odd, c.pattern, c.odd)
		}
		if c.odd == "" && (len(sh.tokens) != c.tokens || sh.date != c.date || sh.offDate != c.off) {
			t.Errorf("%s: tokens %q, date %v, off %v", c.url, sh.tokens, sh.date, sh.offDate)
		}
	}
}

func TestSeries(t *testing.T) {
	for _, c := range []struct{ parent, url, want string }{
		{"https://a.example/list-1.html", "https://a.example/list-2.html", "https://a.example/list-{page}.html"},
		{"https://a.example/list-1.html", "https://a.example/list-20.html", "https://a.example/list-{page}.html"},
		{"https://a.example/x?fid=2", "https://a.example/x?fid=2&page=2", "https://a.example/x?fid=2&page={page}"},
		{"https://a.example/x?fid=2&page=2", "https://a.example/x?fid=2&page=3", "https://a.example/x?fid=2&page={page}"},
		{"https://a.example/x?fid=2&page=2", "https://a.example/x?fid=3&page=3", ""},
		{"https://a.example/x?fid=2", "https://a.example/x?fid=2&order=date", ""},
		{"https://a.example/list-1.html", "https://a.example/thread-2.html", ""},
		{"", "https://a.example/list-1.html", ""},
		{"https://a.example/list-1.html", "https://a.example/list-1.html", ""},
	} {
		if got, ok := seriesOf(c.parent, c.url); got != c.want || ok != (c.want != "") {
			t.Errorf("%s after %s: %q, want %q", c.url, c.parent, got, c.want)
		}
	}
}

// A list whose pages were all known beforehand, from a feed or a sitemap, is
// read on: what is new may stand behind.
func TestKnownPagesAreNoTrap(t *testing.T) {
	site, r := newTestSite(t, 200), newRig(t)
	seeds := []string{fmt.Sprintf("%q", site.URL+"/list-1.html")}
	for i := range 100 {
		seeds = append(seeds, fmt.Sprintf("%q", fmt.Sprintf("%s/thread-%d.html", site.URL, i+1)))
	}
	src := site.source(t, "bbs", "seeds: ["+strings.Join(seeds, ", ")+"]")
	s := r.crawl(src)
	wantCounts(t, s, 20+200, 600)
}

func TestBudgets(t *testing.T) {
	for _, c := range []struct {
		name   string
		line   string
		pages  int
		reason string
	}{
		{"host", "budget: {host: 12}", 13, "12 pages of host"}, // the seed does not count
		{"depth", "budget: {depth: 7}", 1 + 7 + 7 + 7, "7 pages of depth"},
		{"pattern", "budget: {pattern: 9}", 1 + 2 + 9, "9 pages of pattern"},
	} {
		t.Run(c.name, func(t *testing.T) {
			site, r := newTestSite(t, 30), newRig(t)
			src := site.source(t, "bbs", c.line)
			s := r.crawl(src)
			if s.Pages != c.pages {
				t.Errorf("%d pages, want %d", s.Pages, c.pages)
			}
			found := false
			for _, e := range r.events {
				if e.Kind != EventRefused {
					continue
				}
				st, err := r.frontier().Lookup(t.Context(), frontier.ID("bbs", e.URL))
				found = err == nil && strings.Contains(st.Reason, c.reason) && strings.Contains(st.Refused.Reason, c.reason)
			}
			if !found {
				t.Errorf("no reason %q is recorded: %+v", c.reason, r.events)
			}
			if s = r.crawl(src); s.Pages < c.pages-1 {
				t.Errorf("the next pass fetched %d pages, want a fresh budget", s.Pages)
			}
		})
	}
}
