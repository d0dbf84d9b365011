package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	"qingyuan/triage"
)

// crawlWatch keeps what the status box of the pages shows of a crawl.
type crawlWatch struct {
	frontier frontier.Frontier // nil: nothing is known of what waits

	mu      sync.Mutex
	running bool
	since   time.Time
	sources map[string]*triage.SourceStatus
	problem string
}

func newCrawlWatch() *crawlWatch {
	return &crawlWatch{since: time.Now(), running: true, sources: map[string]*triage.SourceStatus{}}
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
	}
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
	slices.SortFunc(out.Sources, func(a, b triage.SourceStatus) int { return strings.Compare(a.Name, b.Name) })
	if w.frontier == nil || !running {
		return out, nil
	}
	stats, err := w.frontier.Stats(ctx, "")
	out.Queued = stats.Waiting
	return out, err
}
