package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	"qingyuan/index"
	"qingyuan/triage"
)

// crawlWatch counts what the crawl of this process does, site by site, for the
// terminal, the status page and the overview. It is safe for concurrent use.
type crawlWatch struct {
	frontier frontier.Frontier // nil: nothing is known of what waits
	lang     string            // of what is told of drift: zh, or en
	sources  []*crawler.Source // whose hosts they are
	browsing *browsing         // nil: no browser is wanted
	index    index.Store       // what the crawl writes to; nil before it does

	mu      sync.Mutex
	running bool
	since   time.Time
	order   []string // sites as configured
	sites   map[string]*siteWatch
	walls   map[string]pausedSite // by host
	hits    hitSet
	pulse   pulse
	problem string
	drifts  driftedSites
	edits   *liveSites // nil: edits of the sites are not followed
	paused  time.Time  // nothing moves before, because of problem
}

// siteWatch is what the crawl did for one site.
type siteWatch struct {
	name, title string
	fetched     int // 304 among them
	unchanged   int
	retried     int
	givenUp     int
	refused     int
	posts       int
	hits        int
	errors      map[string]int // by crawler.ReasonClass
	lastFetch   time.Time
	lastHit     time.Time
	pulse       pulse
	problem     string
}

func newCrawlWatch() *crawlWatch {
	return &crawlWatch{since: time.Now(), running: true, sites: map[string]*siteWatch{}, walls: map[string]pausedSite{}, hits: hitSet{}}
}

// follow names the sites before the crawl begins, in their order.
func (w *crawlWatch) follow(sources []*crawler.Source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sources = sources
	for _, s := range sources {
		w.site(s.Name).title = s.Title
	}
}

// site finds or makes the counts of a site; w.mu is held.
func (w *crawlWatch) site(name string) *siteWatch {
	s := w.sites[name]
	if s == nil {
		s = &siteWatch{name: name, errors: map[string]int{}}
		w.sites[name] = s
		w.order = append(w.order, name)
	}
	return s
}

// event takes one step of the crawl.
func (w *crawlWatch) event(e crawler.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == crawler.EventSink || e.Kind == crawler.EventFrontier {
		w.problem, w.paused = e.Reason, e.Until
		return
	}
	if e.Source == "" {
		return
	}
	s := w.site(e.Source)
	switch e.Kind {
	case crawler.EventPage, crawler.EventUnchanged:
		s.fetched++
		if e.Kind == crawler.EventUnchanged {
			s.unchanged++
		}
		s.posts += e.Posts
		s.lastFetch, s.problem = e.At, ""
		w.problem, w.paused = "", time.Time{}
		s.pulse.beat(e.At)
		w.pulse.beat(e.At)
	case crawler.EventDead, crawler.EventGone:
		s.givenUp++
		s.errors[crawler.ReasonClass(e.Reason)]++
	case crawler.EventRetry:
		s.retried++
		s.errors[crawler.ReasonClass(e.Reason)]++
	case crawler.EventRefused:
		s.refused++
	case crawler.EventBackOff:
		s.problem = e.Reason
	case crawler.EventWall:
		s.problem = e.Reason + "; next trial " + e.Until.In(shanghai()).Format("2006-01-02 15:04")
		since := e.At
		if old, ok := w.walls[e.Host]; ok {
			since = old.Since
		}
		w.walls[e.Host] = pausedSite{Source: e.Source, Host: e.Host, Reason: e.Reason, URL: e.URL, Since: since, Until: e.Until}
	case crawler.EventDrift, crawler.EventDriftOver:
		w.drifts.take(e)
	case crawler.EventWallOver:
		s.problem = ""
		delete(w.walls, e.Host)
	}
}

// hit takes a flagged record.
func (w *crawlWatch) hit(r index.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.hits.add(r.Post.ID) {
		return
	}
	s := w.site(r.Post.Source)
	s.hits++
	s.lastHit = time.Now()
}

// pausedSite is a site behind a wall, as /healthz tells it.
type pausedSite struct {
	Source string    `json:"source"`
	Host   string    `json:"host"`
	Reason string    `json:"reason"`
	URL    string    `json:"url"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"` // next trial
}

// behindWalls lists the sites behind walls, by host; none without a crawl here.
func (w *crawlWatch) behindWalls() []pausedSite {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.walls), func(a, b pausedSite) int { return strings.Compare(a.Host, b.Host) })
}

// stop says that the crawl has ended.
func (w *crawlWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = false
}

// runs reports whether a crawl runs in this process.
func (w *crawlWatch) runs() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// status is for triage.Options.Crawl.
func (w *crawlWatch) status(ctx context.Context) (triage.CrawlStatus, error) {
	w.mu.Lock()
	out := triage.CrawlStatus{Running: w.running, Since: w.since, Problem: w.problem}
	for _, s := range w.sites {
		if s.fetched == 0 && s.givenUp == 0 && s.problem == "" && w.drifts.text(s.name, w.lang) == "" {
			continue
		}
		out.Fetched += s.fetched
		out.Failed += s.givenUp
		problem := s.problem
		if problem == "" {
			problem = w.drifts.text(s.name, w.lang)
		}
		out.Sources = append(out.Sources, triage.SourceStatus{Name: s.name, Fetched: s.fetched, Failed: s.givenUp, LastFetch: s.lastFetch, Problem: problem})
	}
	running, edits := w.running, w.edits
	w.mu.Unlock()
	if refused := edits.refused(); len(refused) > 0 {
		problem := fmt.Sprintf(siteWord(w.lang, "refused"), len(refused), strings.Join(refused[:min(len(refused), shownProblems)], " · "))
		out.Problem = strings.TrimPrefix(out.Problem+" · "+problem, " · ")
	}
	out.Problem = withIndexProblem(out.Problem, w.index)
	slices.SortFunc(out.Sources, func(a, b triage.SourceStatus) int { return strings.Compare(a.Name, b.Name) })
	if w.frontier == nil || !running {
		return out, nil
	}
	stats, err := w.frontier.Stats(ctx, "")
	out.Queued = stats.Waiting
	return out, err
}

// counts fills in what the crawl of this process did.
func (w *crawlWatch) counts(st *triage.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st.Live, st.Since, st.Problem = w.running, w.since, w.problem
	st.Rate = w.pulse.rate(st.At, w.since)
	for _, name := range w.order {
		s := w.sites[name]
		st.Sites = append(st.Sites, triage.SiteStatus{
			Site: name, Title: s.title, Fetched: s.fetched, Retried: s.retried, GivenUp: s.givenUp, Refused: s.refused, Errors: maps.Clone(s.errors),
			Posts: s.posts, Hits: s.hits, Rate: s.pulse.rate(st.At, w.since), LastFetch: s.lastFetch, LastHit: s.lastHit,
		})
	}
	for _, p := range w.walls {
		st.Alarms = append(st.Alarms, triage.Alarm{Kind: "wall", Site: p.Source, Host: p.Host, URL: p.URL, Reason: p.Reason, Since: p.Since, Until: p.Until})
	}
	slices.SortFunc(st.Alarms, func(a, b triage.Alarm) int { return strings.Compare(a.Host, b.Host) })
	for _, d := range w.drifts.standing {
		st.Alarms = append(st.Alarms, triage.Alarm{Kind: "drift", Site: d.Source, Reason: d.Text(w.lang), Since: d.Since})
	}
	if w.paused.After(st.At) {
		for i := range st.Sites {
			st.Sites[i].Waiting, st.Sites[i].Until = "store", w.paused
		}
	}
}

// hitSet tells new hits from those seen before, by a hash of the post's id.
type hitSet map[uint64]struct{}

// maxHits bounds the memory of a hitSet; what comes after it counts each time.
const maxHits = 1 << 20

// add reports whether the id is new.
func (h hitSet) add(id string) bool {
	sum := fnv.New64a()
	sum.Write([]byte(id))
	key := sum.Sum64()
	if _, seen := h[key]; seen {
		return false
	}
	if len(h) < maxHits {
		h[key] = struct{}{}
	}
	return true
}

// pulse counts events of the last minute, by second.
type pulse struct {
	seconds [pulseSpan]int32
	last    int64 // unix second of the newest count
}

const pulseSpan = 60

func (p *pulse) beat(at time.Time) {
	now := at.Unix()
	p.forget(now)
	if now > p.last-pulseSpan {
		p.seconds[now%pulseSpan]++
	}
}

// forget clears the seconds that have gone by since the last call.
func (p *pulse) forget(now int64) {
	for s := max(p.last, now-pulseSpan) + 1; s <= now; s++ {
		p.seconds[s%pulseSpan] = 0
	}
	p.last = max(p.last, now)
}

// rate is the events a second over the last minute, or since the start when
// that is shorter.
func (p *pulse) rate(now, since time.Time) float64 {
	p.forget(now.Unix())
	n := 0
	for _, c := range p.seconds {
		n += int(c)
	}
	return float64(n) / min(max(now.Sub(since).Seconds(), 1), pulseSpan)
}
