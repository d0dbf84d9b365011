package workbench

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
)

// Count is what an entry did in a period.
type Count struct {
	Posts     int // whose verdict names it
	Hits      int // … and which were flagged
	Confirmed int // hits that analysts confirmed
	Dismissed int // hits that they dismissed because the verdict was wrong
	// Wrong and Right are the newest few of them.
	Wrong, Right []Sighting
}

// Precision is the confirmed part of the hits that were decided; false when
// none was.
func (c Count) Precision() (float64, bool) {
	if c.Confirmed+c.Dismissed == 0 {
		return 0, false
	}
	return float64(c.Confirmed) / float64(c.Confirmed+c.Dismissed), true
}

// Sighting is a record that an entry stood in.
type Sighting struct {
	ID, Title, Text string // the title shortened; the characters that matched
}

// Statistics are counts over the records of some days.
type Statistics struct {
	Days    int
	Records int // looked at so far
	Flagged int
	At      time.Time // when they were complete; zero: still counting
	Problem string    // why counting ended early
	counts  map[Ref]*Count
}

// Of returns what an entry did.
func (s Statistics) Of(r Ref) Count {
	if c := s.counts[statKey(r)]; c != nil {
		return *c
	}
	return Count{}
}

// statKey is a Ref as reasons name it: only terms need their category, and a
// reason does not say what kind of rule it comes from.
func statKey(r Ref) Ref {
	if r.Kind == KindTerm {
		return r
	}
	return Ref{Kind: KindRule, ID: r.ID}
}

// Bounds of counting.
const (
	maxCounts   = 1 << 16 // entries counted; dictionaries have some hundreds
	sightings   = 4
	sightLength = 60               // runes of a title
	statsFresh  = 10 * time.Minute // then they are counted anew
	statsKept   = 4                // periods
)

// StatDays are the periods that counts may be asked for.
var StatDays = [...]int{7, 30, 90}

// statistics keeps what was counted, by days.
type statistics struct {
	sync.Mutex
	done    map[int]Statistics
	running map[int]*counting
}

type counting struct {
	mu    sync.Mutex
	stats Statistics
	ended chan struct{}
}

// Statistics counts what the entries did in the last days, in one pass over
// the records. It waits as long as ctx and then returns what was counted
// before, or how far it is. The answer is shared and kept for some minutes.
func (b *Bench) Statistics(ctx context.Context, days int) Statistics {
	s := &b.stats
	s.Lock()
	if s.done == nil {
		s.done, s.running = map[int]Statistics{}, map[int]*counting{}
	}
	old, counted := s.done[days]
	if age := b.now().Sub(old.At); counted && age >= 0 && age < statsFresh {
		s.Unlock()
		return old
	}
	run := s.running[days]
	if run == nil {
		if len(s.running) >= statsKept {
			s.Unlock()
			return old
		}
		run = &counting{stats: Statistics{Days: days, counts: map[Ref]*Count{}}, ended: make(chan struct{})}
		s.running[days] = run
		b.done.Go(func() { b.count(run, days) })
	}
	s.Unlock()
	if counted {
		return old // while it is counted anew
	}
	select {
	case <-run.ended:
	case <-ctx.Done():
		run.mu.Lock()
		defer run.mu.Unlock()
		return Statistics{Days: days, Records: run.stats.Records}
	}
	return run.stats
}

// since is the query for records of the last days.
func (b *Bench) since(days int) string {
	return "ingested>=" + b.now().In(index.China()).AddDate(0, 0, 1-days).Format(time.DateOnly)
}

func (b *Bench) count(run *counting, days int) {
	err := index.Each(b.ctx, b.opts.Store, index.Query{Text: b.since(days)}, func(r index.Record) error {
		run.mu.Lock()
		defer run.mu.Unlock()
		run.stats.add(r)
		return nil
	})
	run.mu.Lock()
	defer run.mu.Unlock()
	run.stats.At = b.now()
	if err != nil {
		run.stats.Problem = err.Error()
		b.log.Warn("counting what dictionary entries did", "error", err)
	}
	s := &b.stats
	s.Lock()
	defer s.Unlock()
	delete(s.running, days)
	if len(s.done) >= statsKept {
		clear(s.done)
	}
	s.done[days] = run.stats
	close(run.ended)
}

// add counts a record: an entry that stands in it twice counts once.
func (s *Statistics) add(r index.Record) {
	s.Records++
	if r.Verdict.Flagged {
		s.Flagged++
	}
	seen := map[Ref]bool{}
	for _, reason := range r.Verdict.Reasons {
		key := Ref{Kind: KindRule, ID: reason.ID}
		if reason.Kind == classify.ReasonTerm {
			key = Ref{Kind: KindTerm, Category: reason.Category, ID: reason.ID}
		} else if reason.Kind == classify.ReasonModel {
			continue
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		c := s.counts[key]
		if c == nil {
			if len(s.counts) >= maxCounts {
				continue
			}
			c = &Count{}
			s.counts[key] = c
		}
		c.add(r, reason)
	}
}

func (c *Count) add(r index.Record, reason classify.Reason) {
	c.Posts++
	if !r.Verdict.Flagged {
		return
	}
	c.Hits++
	truth, known := Decided(r.Triage)
	switch {
	case !known:
	case truth:
		c.Confirmed++
		c.Right = sight(c.Right, r, reason)
	default:
		c.Dismissed++
		c.Wrong = sight(c.Wrong, r, reason)
	}
}

func sight(list []Sighting, r index.Record, reason classify.Reason) []Sighting {
	if len(list) == sightings {
		return list
	}
	title := []rune(strings.TrimSpace(cmp.Or(r.Post.Title, r.Post.Text)))
	return append(list, Sighting{ID: r.Post.ID, Title: string(title[:min(len(title), sightLength)]), Text: reason.Text})
}

// silent are dismissals that do not say whether the verdict was right.
var silent = map[string]bool{"dead_link": true, "duplicate": true, "other": true}

// Decided tells what an analyst's decision says of a record: an offer, none,
// or, when known is false, nothing.
func Decided(t index.Triage) (offer, known bool) {
	switch t.Status {
	case index.StatusConfirmed, index.StatusHandedOver, index.StatusAccepted:
		return true, true
	case index.StatusDismissed:
		return false, !silent[t.Reason]
	}
	return false, false
}
