package crawler

import (
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// EventKind names what happened.
type EventKind string

// The kinds of events.
const (
	EventPage      EventKind = "page"       // a page was fetched and its posts are in the sink
	EventUnchanged EventKind = "unchanged"  // the site answered 304
	EventRetry     EventKind = "retry"      // a failure; the page will be tried again at Until
	EventDead      EventKind = "dead"       // the page was given up; until Until, when that is set
	EventGone      EventKind = "gone"       // the page is gone (404, or the site says so); given up, until Until when that is set
	EventBackOff   EventKind = "backoff"    // no request to Host before Until
	EventRefused   EventKind = "refused"    // a trap, or over a budget: not fetched, until Until when that is set
	EventWall      EventKind = "wall"       // a login, a captcha or another wall stands before Source on Host; one page is tried at Until
	EventWallOver  EventKind = "wall_over"  // Host lets us in again
	EventDrift     EventKind = "drift"      // Source yields less than it should: Drift
	EventDriftOver EventKind = "drift_over" // Source yields again what it should
	EventBudget    EventKind = "budget"     // max_pages is reached; the source's pass is ended
	EventWaiting   EventKind = "waiting"    // nothing may be fetched before Until
	EventSink      EventKind = "sink"       // the sink refused posts; the crawl pauses until Until
	EventFrontier  EventKind = "frontier"   // the frontier failed; the crawl pauses until Until
	EventPass      EventKind = "pass"       // a pass over Source begins (Reason: "new" or "continued")
)

// Event is one step of a crawl, for people who watch it.
type Event struct {
	Kind   EventKind     `json:"kind"`
	At     time.Time     `json:"at"`
	Source string        `json:"source,omitempty"`
	Host   string        `json:"host,omitempty"`
	URL    string        `json:"url,omitempty"`
	Status int           `json:"status,omitempty"` // HTTP status; 0 when there was no answer
	Posts  int           `json:"posts,omitempty"`  // handed to the sink
	Links  int           `json:"links,omitempty"`  // new in the frontier
	Reason string        `json:"reason,omitempty"`
	Tries  int           `json:"tries,omitempty"` // failed tries, this one included
	Until  time.Time     `json:"until,omitzero"`
	Took   time.Duration `json:"took,omitempty"` // from lease to acknowledgement
	Drift  *Drift        `json:"drift,omitempty"`
}

// PageError is a page that failed.
type PageError struct {
	Source string `json:"source"`
	URL    string `json:"url"`
	Status int    `json:"status,omitempty"` // HTTP status; 0 when there was no answer
	Reason string `json:"reason"`           // of the last failure
	Tries  int    `json:"tries"`            // failed tries
	Final  bool   `json:"final"`            // given up; false: a later try succeeded or is still to come
}

// SourceSummary counts what a crawl did for one source.
type SourceSummary struct {
	Pages       int `json:"pages"`        // fetched and acknowledged
	Posts       int `json:"posts"`        // handed to the sink; a post on two pages counts twice
	NotModified int `json:"not_modified"` // answered 304; not among Pages
	Errors      int `json:"errors"`       // pages that failed at least once
	Dead        int `json:"dead"`         // pages given up
	Skipped     int `json:"skipped"`      // left out because of max_pages, a budget or a trap
}

// Summary is the account of one Run.
type Summary struct {
	Sites       int                      `json:"sites"`
	Pages       int                      `json:"pages"`
	Posts       int                      `json:"posts"`
	NotModified int                      `json:"not_modified"`
	Errors      []PageError              `json:"errors"`                // by URL, in the order of the first failure; at most 1,000
	MoreErrors  int                      `json:"more_errors,omitempty"` // failures beyond those listed
	Interrupted bool                     `json:"interrupted,omitempty"` // the context ended the run
	Duration    time.Duration            `json:"duration"`              //
	PerSource   map[string]SourceSummary `json:"per_source,omitempty"`  //
	Warnings    int                      `json:"warnings,omitempty"`    // what extraction found odd; the log has them
}

const maxListedErrors = 1000

// progress counts and reports. It is safe for concurrent use; onEvent is
// called for one event at a time.
type progress struct {
	now     func() time.Time
	onEvent func(Event)

	mu     sync.Mutex
	sum    Summary
	failed map[string]int // URL → its place in sum.Errors
}

func newProgress(now func() time.Time, onEvent func(Event)) *progress {
	return &progress{now: now, onEvent: onEvent, failed: map[string]int{}, sum: Summary{PerSource: map[string]SourceSummary{}}}
}

func (p *progress) emit(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emitLocked(e)
}

func (p *progress) emitLocked(e Event) {
	e.At = p.now()
	if p.onEvent != nil {
		p.onEvent(e)
	}
}

// of changes the counts of a source under the lock.
func (p *progress) of(source string, change func(*SourceSummary)) {
	s := p.sum.PerSource[source]
	change(&s)
	p.sum.PerSource[source] = s
}

func (p *progress) page(l frontier.Lease, status, posts, links, warnings int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum.Pages++
	p.sum.Posts += posts
	p.sum.Warnings += warnings
	p.of(l.Source, func(s *SourceSummary) { s.Pages++; s.Posts += posts })
	p.emitLocked(Event{Kind: EventPage, Source: l.Source, Host: l.Host, URL: l.URL, Status: status, Posts: posts, Links: links, Took: took})
}

func (p *progress) unchanged(l frontier.Lease, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum.NotModified++
	p.of(l.Source, func(s *SourceSummary) { s.NotModified++ })
	p.emitLocked(Event{Kind: EventUnchanged, Source: l.Source, Host: l.Host, URL: l.URL, Status: 304, Took: took})
}

func (p *progress) failure(kind EventKind, l frontier.Lease, status int, reason string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := PageError{Source: l.Source, URL: l.URL, Status: status, Reason: reason, Tries: l.Tries + 1, Final: kind != EventRetry}
	i, known := p.failed[l.URL]
	switch {
	case known:
		p.sum.Errors[i] = e
	case len(p.sum.Errors) < maxListedErrors:
		p.failed[l.URL] = len(p.sum.Errors)
		p.sum.Errors = append(p.sum.Errors, e)
	default:
		p.sum.MoreErrors++
	}
	p.of(l.Source, func(s *SourceSummary) {
		if !known {
			s.Errors++
		}
		if e.Final {
			s.Dead++
		}
	})
	p.emitLocked(Event{Kind: kind, Source: l.Source, Host: l.Host, URL: l.URL, Status: status, Reason: reason, Tries: e.Tries, Until: until})
}

func (p *progress) refused(l frontier.Lease, reason string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(l.Source, func(s *SourceSummary) { s.Skipped++ })
	p.emitLocked(Event{Kind: EventRefused, Source: l.Source, Host: l.Host, URL: l.URL, Reason: reason, Until: until})
}

func (p *progress) skipped(source string, n int, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(source, func(s *SourceSummary) { s.Skipped += n })
	p.emitLocked(Event{Kind: EventBudget, Source: source, Reason: reason})
}

func (p *progress) summary() Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sum
	s.Errors = append([]PageError(nil), p.sum.Errors...)
	s.PerSource = make(map[string]SourceSummary, len(p.sum.PerSource))
	for name, c := range p.sum.PerSource {
		s.PerSource[name] = c
	}
	return s
}
