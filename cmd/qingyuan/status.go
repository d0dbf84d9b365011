package main

import (
	"context"
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

// crawlWatch keeps what the status box of the pages shows of a crawl.
type crawlWatch struct {
	frontier frontier.Frontier // nil: nothing is known of what waits
	index    index.Store       // what the crawl writes to; nil before it does

	mu      sync.Mutex
	running bool
	since   time.Time
	sources map[string]*triage.SourceStatus
	walls   map[string]pausedSite // by host
	problem string
}

func newCrawlWatch() *crawlWatch {
	return &crawlWatch{since: time.Now(), running: true, sources: map[string]*triage.SourceStatus{}, walls: map[string]pausedSite{}}
}

// event takes one step of the crawl.
func (w *crawlWatch) event(e crawler.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == crawler.EventSink || e.Kind == crawler.EventFrontier {
		w.problem = e.Reason
		return
	}
	if e.Source == "" {
		return
	}
	s := w.sources[e.Source]
	if s == nil {
		s = &triage.SourceStatus{Name: e.Source}
		w.sources[e.Source] = s
	}
	switch e.Kind {
	case crawler.EventPage, crawler.EventUnchanged:
		s.Fetched++
		s.LastFetch, s.Problem, w.problem = e.At, "", ""
	case crawler.EventDead, crawler.EventGone:
		s.Failed++
	case crawler.EventBackOff:
		s.Problem = e.Reason
	case crawler.EventWall:
		s.Problem = e.Reason + "; next trial " + e.Until.In(shanghai()).Format("2006-01-02 15:04")
		w.walls[e.Host] = pausedSite{Source: e.Source, Host: e.Host, Reason: e.Reason, URL: e.URL, Until: e.Until}
	case crawler.EventWallOver:
		s.Problem = ""
		delete(w.walls, e.Host)
	}
}

// pausedSite is a site behind a wall, as /healthz tells it.
type pausedSite struct {
	Source string    `json:"source"`
	Host   string    `json:"host"`
	Reason string    `json:"reason"`
	URL    string    `json:"url"`
	Until  time.Time `json:"until"` // next trial
}

// paused lists the sites behind walls, by host; none without a crawl here.
func (w *crawlWatch) paused() []pausedSite {
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

// status is for triage.Options.Crawl.
func (w *crawlWatch) status(ctx context.Context) (triage.CrawlStatus, error) {
	w.mu.Lock()
	out := triage.CrawlStatus{Running: w.running, Since: w.since, Problem: w.problem}
	for _, s := range w.sources {
		out.Fetched += s.Fetched
		out.Failed += s.Failed
		out.Sources = append(out.Sources, *s)
	}
	running := w.running
	w.mu.Unlock()
	out.Problem = withIndexProblem(out.Problem, w.index)
	slices.SortFunc(out.Sources, func(a, b triage.SourceStatus) int { return strings.Compare(a.Name, b.Name) })
	if w.frontier == nil || !running {
		return out, nil
	}
	stats, err := w.frontier.Stats(ctx, "")
	out.Queued = stats.Waiting
	return out, err
}
