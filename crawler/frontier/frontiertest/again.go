package frontiertest

import (
	"maps"
	"strings"
	"time"

	"qingyuan/crawler/frontier"
)

func sooner(k *frontier.Task) { k.Sooner = true }

// testSooner: a known task comes back earlier when it is found again with
// something new, and only then.
func testSooner(f *fixture) {
	fresh, waits, dead, retried := task("a.example", 1), task("b.example", 2), task("c.example", 3), task("d.example", 4)
	f.add(fresh, waits, dead, retried)
	for range 4 {
		var err error
		switch l := f.next(); l.ID {
		case fresh.ID:
			_, err = f.Done(f.ctx, l, frontier.Outcome{Status: 200, ETag: `"v1"`})
		case waits.ID:
			_, err = f.Done(f.ctx, l, frontier.Outcome{Status: 200, ETag: `"v1"`, Again: f.clock.Now().Add(60 * minute)})
		case dead.ID:
			err = f.Dead(f.ctx, l, "gone")
		case retried.ID:
			err = f.Retry(f.ctx, l, f.clock.Now().Add(30*minute), "status 503")
		}
		f.must("answering", err)
	}
	all := []frontier.Task{fresh, waits, dead, retried}
	if n, err := f.Add(f.ctx, all...); n != 0 || err != nil {
		f.Fatalf("Add of known tasks = %d, %v", n, err)
	}
	f.none(30 * minute)
	for i := range all {
		sooner(&all[i])
		all[i].Due = f.clock.Now().Add(10 * minute)
	}
	for range 2 { // the second time it changes nothing
		if n, err := f.Add(f.ctx, all...); n != 0 || err != nil {
			f.Fatalf("Add of known tasks sooner = %d, %v", n, err)
		}
		f.none(10 * minute)
	}
	later := all[1]
	later.Due = f.clock.Now().Add(20 * minute)
	_, err := f.Add(f.ctx, later)
	f.must("Add", err)
	f.clock.Advance(10 * minute)
	f.reopen()
	seen := map[string]bool{}
	for range 3 {
		l := f.next()
		seen[l.ID] = true
		if l.Tries != 0 || (l.ID != dead.ID && l.Last.ETag != `"v1"`) {
			f.Errorf("%s: %d tries, marks %+v; want those of the last fetch", l.URL, l.Tries, l.Last)
		}
		f.done(l)
	}
	if !maps.Equal(seen, map[string]bool{fresh.ID: true, waits.ID: true, dead.ID: true}) {
		f.Errorf("came back: %v", seen)
	}
	f.none(20 * minute) // a task that is to be tried again keeps its time
	f.stats("", 1, 0, 3, 0)
}

// testSoonerWithDone: what a page names comes back in the same transaction, or
// not at all.
func testSoonerWithDone(f *fixture) {
	list, thread := task("a.example", 1), task("b.example", 2)
	f.add(thread)
	f.done(f.next())
	f.add(list)
	l := f.next()
	sooner(&thread)
	f.clock.Advance(2 * minute)
	again := f.next() // the list, whose lease ran out
	_, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200, Notes: map[string]string{"thread": "stale"}}, thread)
	f.stale("Done", err)
	f.stats("", 0, 1, 1, 0)
	if n := f.done(again, thread); n != 0 {
		f.Errorf("Done with a known task added %d", n)
	}
	if l := f.next(); l.ID != thread.ID {
		f.Errorf("leased %s, want the thread", l.URL)
	}
	notes, err := f.Notes(f.ctx, "thread")
	if err != nil || len(notes) != 0 {
		f.Errorf("notes of a stale answer: %v, %v", notes, err)
	}
}

// testLift: archives go after what is new, until they are lifted again.
func testLift(f *fixture) {
	old, fresh := task("a.example", 1, priority(10)), task("a.example", 2, priority(5))
	f.add(old)
	_, err := f.Done(f.ctx, f.next(), frontier.Outcome{Status: 200, Again: f.clock.Now().Add(minute), Lift: -100})
	f.must("Done", err)
	f.clock.Advance(minute)
	f.add(fresh)
	if l := f.next(); l.ID != fresh.ID {
		f.Errorf("leased %s first, want what is new", l.URL)
	} else {
		f.done(l)
	}
	l := f.next()
	if l.ID != old.ID || l.Priority != -90 {
		f.Errorf("leased %s with priority %d, want the archive at -90", l.URL, l.Priority)
	}
	_, err = f.Done(f.ctx, l, frontier.Outcome{Status: 200, Again: f.clock.Now().Add(60 * minute), Lift: 3})
	f.must("Done", err)
	old.Sooner = true
	_, err = f.Add(f.ctx, old)
	f.must("Add", err)
	if l := f.next(); l.Priority != 10 {
		f.Errorf("brought forward with priority %d, want its own 10", l.Priority)
	}
}

// testNotes: values live as long as they are not forgotten.
func testNotes(f *fixture) {
	f.must("Note", f.Note(f.ctx, map[string]string{"a": "1", "b": "二", "gone": "x"}))
	f.add(task("a.example", 1))
	_, err := f.Done(f.ctx, f.next(), frontier.Outcome{Status: 200, Notes: map[string]string{"b": "三", "gone": ""}})
	f.must("Done", err)
	f.reopen()
	got, err := f.Notes(f.ctx, "a", "b", "gone", "never")
	if err != nil || !maps.Equal(got, map[string]string{"a": "1", "b": "三"}) {
		f.Errorf("Notes = %v, %v", got, err)
	}
	if got, err := f.Notes(f.ctx); err != nil || len(got) != 0 {
		f.Errorf("Notes of nothing = %v, %v", got, err)
	}
	for key, value := range map[string]string{"": "x", strings.Repeat("k", 513): "x", "k": strings.Repeat("v", frontier.MaxNote+1)} {
		if err := f.Note(f.ctx, map[string]string{key: value}); err == nil {
			f.Errorf("a note of %d and %d bytes was taken", len(key), len(value))
		}
	}
	f.clock.Advance(time.Hour)
	if got, _ := f.Notes(f.ctx, "a"); got["a"] != "1" {
		f.Error("a note ran out")
	}
}

func testRepace(f *fixture) {
	slow := func(k *frontier.Task) { k.Delay = time.Hour }
	f.add(task("a.example", 1, slow), task("a.example", 2, slow), task("a.example", 3, slow), task("b.example", 1, source("other"), slow))
	f.done(f.next())
	f.done(f.next())
	f.none(time.Hour)
	n, err := f.Repace(f.ctx, "bbs", minute)
	if n != 3 || err != nil {
		f.Fatalf("Repace = %d, %v; want 3", n, err)
	}
	f.none(minute)
	f.clock.Advance(minute)
	l := f.nextOn("a.example")
	if l.Delay != minute {
		f.Errorf("leased with delay %v, want %v", l.Delay, minute)
	}
	f.done(l)
	if n, err := f.Repace(f.ctx, "bbs", time.Hour); n != 3 || err != nil {
		f.Fatalf("Repace = %d, %v; want 3", n, err)
	}
	f.clock.Advance(59 * minute)
	f.none(minute)
	if n, err := f.Repace(f.ctx, "bbs", time.Hour); n != 0 || err != nil {
		f.Errorf("Repace to the same = %d, %v", n, err)
	}
	if n, err := f.Repace(f.ctx, "unheard-of", minute); n != 0 || err != nil {
		f.Errorf("Repace of a source not known = %d, %v", n, err)
	}
	if _, err := f.Repace(f.ctx, "bbs", -1); err == nil {
		f.Errorf("a negative delay is taken")
	}
}
