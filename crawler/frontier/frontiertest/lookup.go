package frontiertest

import (
	"errors"
	"fmt"
	"time"

	"qingyuan/crawler/frontier"
)

func (f *fixture) lookup(k frontier.Task, want frontier.State) frontier.Standing {
	f.Helper()
	s, err := f.Lookup(f.ctx, k.ID)
	if err != nil || s.State != want || s.URL != k.URL || s.Source != k.Source {
		f.Fatalf("Lookup(%s) = %+v, %v; want state %s", k.URL, s, err, want)
	}
	return s
}

func testLookup(f *fixture) {
	a, b, c := task("a.example", 1, delay(time.Second), priority(5)), task("a.example", 2), task("a.example", 3, priority(9), due(f.clock.Now().Add(time.Hour)))
	for _, id := range []string{a.ID, "", "none"} {
		if _, err := f.Lookup(f.ctx, id); !errors.Is(err, frontier.ErrUnknown) {
			f.Errorf("Lookup of %q = %v, want ErrUnknown", id, err)
		}
	}
	f.add(a, b, c)
	if s := f.lookup(a, frontier.StateWaiting); s.Task != a || s.Ahead != 0 || !s.HostFree.IsZero() || !s.Changed.IsZero() {
		f.Errorf("a new task stands at %+v", s)
	}
	if s := f.lookup(b, frontier.StateWaiting); s.Ahead != 1 {
		f.Errorf("%d tasks are ahead of the second, want 1: the one that is not due does not count", s.Ahead)
	}
	start := f.clock.Now()
	l := f.next()
	if s := f.lookup(a, frontier.StateLeased); !s.Expires.Equal(l.Expires) || s.HostBusy {
		f.Errorf("a leased task stands at %+v", s)
	}
	if s := f.lookup(b, frontier.StateWaiting); !s.HostBusy || !s.HostFree.Equal(start.Add(time.Second)) {
		f.Errorf("behind a lease: %+v", s)
	}
	until := start.Add(minute)
	f.must("BackOff", f.BackOff(f.ctx, "a.example", until, "status 503"))
	f.must("Retry", f.Retry(f.ctx, l, start.Add(2*minute), "status 503 at the page"))
	s := f.lookup(a, frontier.StateWaiting)
	if s.Reason != "status 503 at the page" || s.Tries != 1 || !s.Due.Equal(start.Add(2*minute)) || !s.HostUntil.Equal(until) || s.HostReason != "status 503" || !s.HostFree.Equal(until) || s.HostBusy {
		f.Errorf("after a retry: %+v", s)
	}
	f.clock.Advance(2 * minute)
	l = f.next() // a again, due and of the higher priority
	again := f.clock.Now().Add(time.Hour)
	if _, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200, ETag: "x", Again: again}); err != nil {
		f.Fatal(err)
	}
	s = f.lookup(a, frontier.StateDone)
	if s.Last.Status != 200 || s.Last.ETag != "x" || !s.Last.Again.Equal(again) || !s.Fetched.Equal(f.clock.Now()) || s.Reason != "" {
		f.Errorf("after the fetch: %+v", s)
	}
	f.clock.Advance(minute)
	l = f.next()
	if _, err := f.Done(f.ctx, l, frontier.Outcome{Reason: "left out"}); err != nil {
		f.Fatal(err)
	}
	if s = f.lookup(b, frontier.StateDone); s.Reason != "left out" || !s.Fetched.IsZero() || !s.Last.Again.IsZero() {
		f.Errorf("left out: %+v", s)
	}
	f.clock.Advance(2 * time.Hour)
	l = f.next()
	f.must("Dead", f.Dead(f.ctx, l, "status 410"))
	f.reopen()
	if s = f.lookup(c, frontier.StateDead); s.Reason != "status 410" || !s.Changed.Equal(f.clock.Now()) {
		f.Errorf("dead: %+v", s)
	}
}

func testRefuse(f *fixture) {
	refuse := func(k frontier.Task, reason string) {
		f.Helper()
		f.must("Refuse", f.Refuse(f.ctx, frontier.Refusal{ID: k.ID, URL: k.URL, Source: k.Source, Parent: k.Parent, Reason: reason}))
	}
	a, b := task("a.example", 1), task("a.example", 2)
	f.must("Refuse", f.Refuse(f.ctx))
	refuse(a, "a trap")
	f.stats("", 0, 0, 0, 0)
	f.none(0)
	f.clock.Advance(minute)
	refuse(a, "a worse trap")
	f.reopen()
	s := f.lookup(a, frontier.StateRefused)
	if s.Reason != "a worse trap" || s.Parent != a.Parent || !s.Refused.At.Equal(f.clock.Now()) || s.Refused.Reason != s.Reason {
		f.Errorf("refused: %+v", s)
	}
	f.add(a, b) // it may become a task all the same
	refuse(b, "over budget")
	if s = f.lookup(b, frontier.StateWaiting); s.Refused.Reason != "over budget" || s.Reason != "" {
		f.Errorf("a refused task stands at %+v", s)
	}
	if err := f.Refuse(f.ctx, frontier.Refusal{ID: "none", URL: "x", Source: "y"}); err == nil {
		f.Error("a refusal without an id was taken")
	}
	var many []frontier.Refusal
	for i := range frontier.MaxRefusals {
		k := task("b.example", i)
		many = append(many, frontier.Refusal{ID: k.ID, URL: k.URL, Source: k.Source, Reason: fmt.Sprint(i)})
	}
	f.must("Refuse", f.Refuse(f.ctx, many...))
	for _, r := range []frontier.Refusal{many[0], many[len(many)-1]} {
		if _, err := f.Lookup(f.ctx, r.ID); err != nil {
			f.Errorf("refusal %s of the last %d is forgotten: %v", r.Reason, frontier.MaxRefusals, err)
		}
	}
}
