// Package frontiertest checks that a frontier keeps every promise of
// frontier.Frontier. What comes in: a way to open one. What goes out: failed
// tests. It knows no implementation.
package frontiertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
)

// Open opens the frontier under test. Every test calls it with a fresh
// directory of its own; called again with the same directory it must find what
// an earlier frontier stored there (an implementation without files uses dir as
// a name). The frontier must read the time from now only. Open fails t itself
// when it cannot; Run closes what it returns.
type Open func(t *testing.T, dir string, now func() time.Time) frontier.Frontier

// Clock is a clock that stands still until it is moved. It is safe for
// concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that shows an arbitrary fixed time.
func NewClock() *Clock {
	return &Clock{t: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}
}

// Now returns the time shown.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock on by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// Run runs every check as a subtest of t.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(*fixture)
	}{
		{"empty", testEmpty},
		{"add and lease", testAddLease},
		{"refuses invalid tasks", testInvalid},
		{"order", testOrder},
		{"due times", testDue},
		{"one lease a host", testOneLeaseAHost},
		{"host pace", testPace},
		{"larger delay wins", testLargerDelay},
		{"back-off", testBackOff},
		{"done adds found links", testDoneFound},
		{"again", testAgain},
		{"marks of the last fetch", testMarks},
		{"retry", testRetry},
		{"release", testRelease},
		{"dead", testDead},
		{"expired lease", testExpired},
		{"extend", testExtend},
		{"stale tokens", testStale},
		{"restart", testRestart},
		{"restart order", testRestartOrder},
		{"revive", testRevive},
		{"finish", testFinish},
		{"repace", testRepace},
		{"sooner", testSooner},
		{"sooner with done", testSoonerWithDone},
		{"lift", testLift},
		{"notes", testNotes},
		{"stats by source", testStats},
		{"lookup", testLookup},
		{"refusals", testRefuse},
		{"durable", testDurable},
		{"cancelled context", testCancelled},
		{"concurrent workers", testConcurrent},
		{"concurrent pace", testConcurrentPace},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t, open: open, dir: t.TempDir(), clock: NewClock(), ctx: context.Background()}
			f.reopen()
			t.Cleanup(func() { f.Frontier.Close() })
			c.run(f)
		})
	}
}

// A fixture is a frontier with helpers that fail the test.
type fixture struct {
	*testing.T
	frontier.Frontier
	open  Open
	dir   string
	clock *Clock
	ctx   context.Context
}

const minute = time.Minute

func (f *fixture) reopen() {
	f.Helper()
	if f.Frontier != nil {
		if err := f.Frontier.Close(); err != nil {
			f.Fatalf("Close: %v", err)
		}
	}
	f.Frontier = f.open(f.T, f.dir, f.clock.Now)
}

// task makes the task number n on a host; changes are applied to it.
func task(host string, n int, change ...func(*frontier.Task)) frontier.Task {
	url := fmt.Sprintf("https://%s/thread-%d-1-1.html", host, n)
	k := frontier.Task{URL: url, Host: host, Source: "bbs", Page: "thread", Depth: 1, Parent: "https://" + host + "/"}
	for _, c := range change {
		c(&k)
	}
	if k.ID == "" {
		k.ID = frontier.ID(k.Source, k.URL)
	}
	return k
}

func delay(d time.Duration) func(*frontier.Task) { return func(k *frontier.Task) { k.Delay = d } }
func due(at time.Time) func(*frontier.Task)      { return func(k *frontier.Task) { k.Due = at } }
func priority(p int) func(*frontier.Task)        { return func(k *frontier.Task) { k.Priority = p } }
func source(s string) func(*frontier.Task)       { return func(k *frontier.Task) { k.Source = s } }

func (f *fixture) add(tasks ...frontier.Task) {
	f.Helper()
	n, err := f.Add(f.ctx, tasks...)
	if err != nil || n != len(tasks) {
		f.Fatalf("Add of %d new tasks = %d, %v", len(tasks), n, err)
	}
}

// next leases one task and fails when there is none.
func (f *fixture) next() frontier.Lease {
	f.Helper()
	ls, wait, err := f.Next(f.ctx, 1, minute)
	if err != nil || len(ls) != 1 {
		f.Fatalf("Next = %d leases, wait %v, %v; want one lease", len(ls), wait, err)
	}
	return ls[0]
}

// none checks that nothing is due and how long to wait.
func (f *fixture) none(want time.Duration) {
	f.Helper()
	ls, wait, err := f.Next(f.ctx, 8, minute)
	if !errors.Is(err, frontier.ErrNoneDue) || len(ls) != 0 {
		f.Fatalf("Next = %v, %v; want ErrNoneDue", urls(ls), err)
	}
	// An implementation may round the wait to its own clock's grain.
	if wait < want || wait > want+2*time.Millisecond || (want == 0 && wait != 0) {
		f.Fatalf("Next: wait = %v, want %v", wait, want)
	}
}

func (f *fixture) done(l frontier.Lease, found ...frontier.Task) int {
	f.Helper()
	n, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200}, found...)
	if err != nil {
		f.Fatalf("Done: %v", err)
	}
	return n
}

func (f *fixture) stats(source string, waiting, leased, done, dead int) frontier.Stats {
	f.Helper()
	s, err := f.Stats(f.ctx, source)
	if err != nil {
		f.Fatalf("Stats: %v", err)
	}
	if s.Waiting != waiting || s.Leased != leased || s.Done != done || s.Dead != dead {
		f.Fatalf("Stats(%q) = %d waiting, %d leased, %d done, %d dead; want %d, %d, %d, %d",
			source, s.Waiting, s.Leased, s.Done, s.Dead, waiting, leased, done, dead)
	}
	return s
}

func (f *fixture) must(what string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

func (f *fixture) stale(what string, err error) {
	f.Helper()
	if !errors.Is(err, frontier.ErrStaleLease) {
		f.Errorf("%s with a stale lease: %v; want ErrStaleLease", what, err)
	}
}

func urls(ls []frontier.Lease) []string {
	var u []string
	for _, l := range ls {
		u = append(u, l.URL)
	}
	return u
}
