package frontiertest

import (
	"errors"
	"reflect"
	"time"

	"qingyuan/crawler/frontier"
)

func testEmpty(f *fixture) {
	f.none(0)
	s := f.stats("", 0, 0, 0, 0)
	if !s.NextDue.IsZero() {
		f.Errorf("NextDue of an empty frontier = %v", s.NextDue)
	}
	dead, err := f.DeadTasks(f.ctx, 10)
	if err != nil || len(dead) != 0 {
		f.Errorf("DeadTasks = %v, %v", dead, err)
	}
}

func testAddLease(f *fixture) {
	k := task("a.example", 1, delay(2*time.Second), priority(7))
	f.add(k)
	if n, err := f.Add(f.ctx, k, k); n != 0 || err != nil {
		f.Errorf("adding a known task = %d, %v; want 0", n, err)
	}
	f.stats("", 1, 0, 0, 0)
	l := f.next()
	if l.Task != k {
		f.Errorf("leased %+v\nadded  %+v", l.Task, k)
	}
	if l.Token < 1 || !l.Expires.Equal(f.clock.Now().Add(minute)) {
		f.Errorf("lease token %d expires %v", l.Token, l.Expires)
	}
	f.stats("", 0, 1, 0, 0)
	f.done(l)
	f.stats("", 0, 0, 1, 0)
	f.none(0)
	if n, err := f.Add(f.ctx, k); n != 0 || err != nil {
		f.Errorf("adding a done task = %d, %v; want 0", n, err)
	}
	f.none(0)
}

func testInvalid(f *fixture) {
	good := task("a.example", 1)
	for name, bad := range map[string]frontier.Task{
		"no id":          task("a.example", 2, func(k *frontier.Task) { k.ID = "none" }),
		"short id":       task("a.example", 2, func(k *frontier.Task) { k.ID = "abc123" }),
		"no url":         task("a.example", 2, func(k *frontier.Task) { k.URL = "" }),
		"no host":        task("a.example", 2, func(k *frontier.Task) { k.Host = "" }),
		"no source":      task("a.example", 2, func(k *frontier.Task) { k.Source = "" }),
		"negative delay": task("a.example", 2, delay(-time.Second)),
	} {
		if n, err := f.Add(f.ctx, good, bad); err == nil || n != 0 {
			f.Errorf("Add of a task with %s = %d, %v; want an error", name, n, err)
		}
	}
	f.stats("", 0, 0, 0, 0)
	for _, n := range []int{0, -1} {
		if _, _, err := f.Next(f.ctx, n, minute); err == nil || errors.Is(err, frontier.ErrNoneDue) {
			f.Errorf("Next of %d tasks: %v; want an error", n, err)
		}
	}
}

func testOrder(f *fixture) {
	now := f.clock.Now()
	f.add(
		task("a.example", 1, priority(1)),
		task("a.example", 2, priority(5), due(now)),
		task("a.example", 3, priority(5), due(now.Add(-time.Hour))),
		task("a.example", 4, priority(5), due(now)),
		task("a.example", 5, priority(-1)),
	)
	for i, want := range []int{3, 2, 4, 1, 5} {
		l := f.next()
		if w := task("a.example", want).URL; l.URL != w {
			f.Fatalf("lease %d is %s, want %s", i, l.URL, w)
		}
		f.done(l)
	}
}

func testDue(f *fixture) {
	f.add(task("a.example", 1, priority(9), due(f.clock.Now().Add(time.Hour))), task("a.example", 2))
	l := f.next()
	if l.URL != task("a.example", 2).URL {
		f.Fatalf("leased %s before it was due", l.URL)
	}
	f.done(l)
	f.none(time.Hour)
	if s := f.stats("bbs", 1, 0, 1, 0); !s.NextDue.Equal(f.clock.Now().Add(time.Hour)) {
		f.Errorf("NextDue = %v, want in an hour", s.NextDue)
	}
	f.clock.Advance(time.Hour - time.Second)
	f.none(time.Second)
	f.clock.Advance(time.Second)
	f.done(f.next())
	f.none(0)
}

func testOneLeaseAHost(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("b.example", 1), task("b.example:8080", 1))
	ls, _, err := f.Next(f.ctx, 10, minute)
	f.must("Next", err)
	hosts := map[string]bool{}
	for _, l := range ls {
		hosts[l.Host] = true
	}
	if len(ls) != 3 || len(hosts) != 3 {
		f.Fatalf("leased %v; want one task on each of three hosts", urls(ls))
	}
	f.none(minute) // until the leases end
	for _, l := range ls {
		f.done(l)
	}
	f.done(f.next())
	f.none(0)
}

func testPace(f *fixture) {
	const d = 5 * time.Second
	f.add(task("a.example", 1, delay(d)), task("a.example", 2, delay(d)), task("a.example", 3, delay(d)), task("b.example", 1))
	l := f.next()
	if l.Host == "b.example" {
		f.done(l)
		l = f.next()
	}
	f.clock.Advance(2 * time.Second)
	f.done(l)
	for range 2 { // the other host does not wait for this one
		ls, _, err := f.Next(f.ctx, 4, minute)
		if errors.Is(err, frontier.ErrNoneDue) {
			break
		}
		f.must("Next", err)
		if len(ls) != 1 || ls[0].Host != "b.example" {
			f.Fatalf("leased %v two seconds after a start; the delay is five", urls(ls))
		}
		f.done(ls[0])
	}
	f.none(3 * time.Second)
	f.clock.Advance(3*time.Second - time.Millisecond)
	f.none(time.Millisecond)
	f.clock.Advance(time.Millisecond)
	l = f.next()
	f.reopen() // the clock of the host survives
	f.done(l)
	f.none(d)
	f.clock.Advance(d)
	l = f.next()
	f.must("Release", f.Release(f.ctx, l))
	f.none(d) // a released start was a start
}

func testLargerDelay(f *fixture) {
	f.add(task("a.example", 1, priority(2), delay(time.Second)), task("a.example", 2, priority(1), delay(10*time.Second)), task("a.example", 3))
	f.done(f.next())
	f.none(10 * time.Second)
	f.clock.Advance(10 * time.Second)
	f.done(f.next())
	f.none(10 * time.Second)
	f.clock.Advance(10 * time.Second)
	f.done(f.next())
}

func testBackOff(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("b.example", 1))
	now := f.clock.Now()
	f.must("BackOff", f.BackOff(f.ctx, "a.example", now.Add(time.Hour), "429"))
	f.must("BackOff", f.BackOff(f.ctx, "a.example", now.Add(time.Minute), "shorter"))
	f.must("BackOff", f.BackOff(f.ctx, "c.example", now.Add(time.Hour), "not known yet"))
	f.add(task("c.example", 1))
	l := f.next()
	if l.Host != "b.example" {
		f.Fatalf("leased %s during its back-off", l.URL)
	}
	f.done(l)
	f.none(time.Hour)
	f.reopen()
	f.none(time.Hour)
	f.clock.Advance(time.Hour)
	ls, _, err := f.Next(f.ctx, 5, minute)
	if err != nil || len(ls) != 2 {
		f.Fatalf("after the back-off: %v, %v", urls(ls), err)
	}
}

func testDoneFound(f *fixture) {
	f.add(task("a.example", 1))
	l := f.next()
	if n := f.done(l, task("a.example", 1), task("a.example", 2), task("a.example", 3), task("a.example", 3)); n != 2 {
		f.Errorf("Done added %d tasks, want 2 new ones", n)
	}
	f.stats("", 2, 0, 1, 0)
	l = f.next()
	if _, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200}, frontier.Task{URL: "x"}); err == nil {
		f.Error("Done with an invalid found task succeeded")
	}
	f.stats("", 1, 1, 1, 0) // and the lease is still good
	f.done(l)
}

func testAgain(f *fixture) {
	f.add(task("a.example", 1))
	l := f.next()
	_, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200, Again: f.clock.Now().Add(time.Hour)})
	f.must("Done", err)
	if s := f.stats("bbs", 0, 0, 1, 0); !s.NextDue.Equal(f.clock.Now().Add(time.Hour)) {
		f.Errorf("NextDue = %v, want the Again time", s.NextDue)
	}
	f.none(time.Hour)
	f.clock.Advance(time.Hour)
	again := f.next()
	if again.ID != l.ID || again.Token <= l.Token {
		f.Errorf("got %s token %d; want the same task with a token over %d", again.URL, again.Token, l.Token)
	}
	f.stale("Done", onlyErr(f.Done(f.ctx, l, frontier.Outcome{})))
	f.done(again)
	f.none(0)
}

func testMarks(f *fixture) {
	f.add(task("a.example", 1))
	out := frontier.Outcome{Status: 200, ETag: `W/"7-中"`, LastModified: "Mon, 02 Mar 2026 09:00:00 GMT", ContentHash: "c0ffee"}
	l := f.next()
	if !reflect.DeepEqual(l.Last, frontier.Outcome{}) {
		f.Errorf("a task never fetched has marks %+v", l.Last)
	}
	withAgain := out
	withAgain.Again = f.clock.Now()
	_, err := f.Done(f.ctx, l, withAgain)
	f.must("Done", err)
	l = f.next()
	if !reflect.DeepEqual(l.Last, out) {
		f.Errorf("marks = %+v, want %+v", l.Last, out)
	}
	_, err = f.Done(f.ctx, l, frontier.Outcome{Again: f.clock.Now()}) // not fetched this time
	f.must("Done", err)
	if l = f.next(); !reflect.DeepEqual(l.Last, out) {
		f.Errorf("marks after an unfetched Done = %+v, want them kept", l.Last)
	}
}

func testRetry(f *fixture) {
	f.add(task("a.example", 1))
	f.must("Retry", f.Retry(f.ctx, f.next(), f.clock.Now().Add(30*time.Second), "status 500"))
	f.stats("bbs", 1, 0, 0, 0)
	f.none(30 * time.Second)
	f.reopen()
	f.clock.Advance(30 * time.Second)
	l := f.next()
	if l.Tries != 1 {
		f.Errorf("Tries = %d after one failed try", l.Tries)
	}
	f.must("Retry", f.Retry(f.ctx, l, time.Time{}, "timeout"))
	l = f.next()
	if l.Tries != 2 {
		f.Errorf("Tries = %d after two failed tries", l.Tries)
	}
	_, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200, Again: f.clock.Now()})
	f.must("Done", err)
	if l = f.next(); l.Tries != 0 {
		f.Errorf("Tries = %d after a success", l.Tries)
	}
}

func testRelease(f *fixture) {
	f.add(task("a.example", 1, priority(3)), task("a.example", 2))
	l := f.next()
	f.must("Release", f.Release(f.ctx, l))
	f.stats("", 2, 0, 0, 0)
	again := f.next()
	if again.ID != l.ID || again.Tries != 0 || again.Lost != 0 || again.Token <= l.Token {
		f.Errorf("after Release: %+v; want the same task, no try counted, a new token", again)
	}
	f.stale("Release", f.Release(f.ctx, l))
}

func testDead(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("a.example", 3))
	for _, reason := range []string{"status 404", "status 410"} {
		f.must("Dead", f.Dead(f.ctx, f.next(), reason))
		f.clock.Advance(time.Second)
	}
	f.stats("", 1, 0, 0, 2)
	dead, err := f.DeadTasks(f.ctx, 10)
	f.must("DeadTasks", err)
	if len(dead) != 2 || dead[0].Reason != "status 410" || dead[1].Reason != "status 404" {
		f.Fatalf("DeadTasks = %+v; want two, newest first", dead)
	}
	if dead[1].Task != task("a.example", 1) || !dead[1].At.Equal(f.clock.Now().Add(-2*time.Second)) {
		f.Errorf("dead task = %+v", dead[1])
	}
	if dead, _ := f.DeadTasks(f.ctx, 1); len(dead) != 1 {
		f.Errorf("DeadTasks(1) returned %d", len(dead))
	}
	if n, err := f.Add(f.ctx, task("a.example", 1)); n != 0 || err != nil {
		f.Errorf("adding a dead task = %d, %v; want 0", n, err)
	}
}

func testExpired(f *fixture) {
	f.add(task("a.example", 1, priority(1)), task("a.example", 2))
	late := f.next()
	f.clock.Advance(minute - time.Second)
	f.none(time.Second)
	f.reopen() // a lease outlives the process that took it (its end comes later)
	f.clock.Advance(time.Second)
	l := f.next()
	if l.ID != late.ID || l.Token <= late.Token || l.Tries != 0 || l.Lost != 1 {
		f.Fatalf("after the lease ran out: %+v; want the same task, a larger token, Lost 1, Tries 0", l)
	}
	f.stats("", 1, 1, 0, 0)
	if n, err := f.Done(f.ctx, late, frontier.Outcome{Status: 200}, task("a.example", 9)); n != 0 || !errors.Is(err, frontier.ErrStaleLease) {
		f.Errorf("late Done = %d, %v; want ErrStaleLease", n, err)
	}
	f.stats("", 1, 1, 0, 0) // nothing of the late answer was kept
	f.done(l)
}

func testExtend(f *fixture) {
	f.add(task("a.example", 1))
	l := f.next()
	f.clock.Advance(50 * time.Second)
	longer, err := f.Extend(f.ctx, l, 2*minute)
	f.must("Extend", err)
	if !longer.Expires.Equal(f.clock.Now().Add(2*minute)) || longer.Token != l.Token || longer.ID != l.ID {
		f.Errorf("extended lease = %+v", longer)
	}
	f.clock.Advance(minute)
	f.none(minute)
	f.done(longer)
}

func testStale(f *fixture) {
	f.add(task("a.example", 1))
	late := f.next()
	f.clock.Advance(minute)
	l := f.next()
	_, err := f.Extend(f.ctx, late, minute)
	f.stale("Extend", err)
	f.stale("Done", onlyErr(f.Done(f.ctx, late, frontier.Outcome{Status: 200})))
	f.stale("Retry", f.Retry(f.ctx, late, time.Time{}, "late"))
	f.stale("Release", f.Release(f.ctx, late))
	f.stale("Dead", f.Dead(f.ctx, late, "late"))
	forged := l
	forged.ID = task("a.example", 99).ID
	f.stale("Done of an unknown task", onlyErr(f.Done(f.ctx, forged, frontier.Outcome{Status: 200})))
	f.stats("", 0, 1, 0, 0)
	f.done(l)
	f.stale("second Done", onlyErr(f.Done(f.ctx, l, frontier.Outcome{Status: 200})))
	f.stats("", 0, 0, 1, 0)
}

func testCancelled(f *fixture) {
	ctx, cancel := f.cancelled()
	defer cancel()
	if _, err := f.Add(ctx, task("a.example", 1)); err == nil {
		f.Error("Add with a cancelled context succeeded")
	}
	if _, _, err := f.Next(ctx, 1, minute); err == nil || errors.Is(err, frontier.ErrNoneDue) {
		f.Errorf("Next with a cancelled context: %v", err)
	}
	f.stats("", 0, 0, 0, 0)
}

func onlyErr(_ int, err error) error { return err }
