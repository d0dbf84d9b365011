package frontiertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

func (f *fixture) cancelled() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	return ctx, cancel
}

func testRestart(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("a.example", 3), task("a.example", 4), task("a.example", 5),
		task("b.example", 1, source("other")))
	f.done(f.nextOn("a.example"))
	f.must("Dead", f.Dead(f.ctx, f.nextOn("a.example"), "status 404"))
	_, err := f.Done(f.ctx, f.nextOn("a.example"), frontier.Outcome{Status: 200, Again: f.clock.Now().Add(time.Hour)})
	f.must("Done", err)
	held := f.nextOn("a.example")
	f.done(f.nextOn("b.example"))
	f.stats("bbs", 1, 1, 2, 1)
	n, err := f.Restart(f.ctx, "bbs")
	if n != 3 || err != nil {
		f.Fatalf("Restart = %d, %v; want 3 tasks", n, err)
	}
	f.stats("bbs", 4, 1, 0, 0)
	f.stats("other", 0, 0, 1, 0) // left alone
	f.done(held)
	for range 4 {
		l := f.next()
		if l.Tries != 0 {
			f.Errorf("%s has %d tries after Restart", l.URL, l.Tries)
		}
		f.done(l)
	}
	f.none(0)
	if n, err := f.Restart(f.ctx, "unheard-of"); n != 0 || err != nil {
		f.Errorf("Restart of an unknown source = %d, %v", n, err)
	}
}

// nextOn leases a task on the named host, releasing what it gets of others.
func (f *fixture) nextOn(host string) frontier.Lease {
	f.Helper()
	ls, _, err := f.Next(f.ctx, 100, minute)
	f.must("Next", err)
	var found *frontier.Lease
	for _, l := range ls {
		if l.Host == host && found == nil {
			found = &l
			continue
		}
		f.must("Release", f.Release(f.ctx, l))
	}
	if found == nil {
		f.Fatalf("nothing due on %s, only %v", host, urls(ls))
	}
	return *found
}

func testRestartOrder(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("a.example", 3, due(f.clock.Now().Add(time.Hour))))
	first := f.next()
	f.clock.Advance(time.Second)
	second := f.next2(first)
	f.done(second)
	f.clock.Advance(time.Second)
	f.done(f.nextIs(first.URL))
	n, err := f.Finish(f.ctx, "bbs") // task 3 was never fetched
	if n != 1 || err != nil {
		f.Fatalf("Finish = %d, %v", n, err)
	}
	f.clock.Advance(time.Second)
	n, err = f.Restart(f.ctx, "bbs")
	if n != 3 || err != nil {
		f.Fatalf("Restart = %d, %v", n, err)
	}
	f.done(f.nextIs(task("a.example", 3).URL), task("a.example", 4)) // a link found now
	f.done(f.nextIs(task("a.example", 4).URL))
	f.done(f.nextIs(second.URL))
	f.done(f.nextIs(first.URL))
}

// next2 gives the lease back until later and returns the next one.
func (f *fixture) next2(l frontier.Lease) frontier.Lease {
	f.Helper()
	f.must("Retry", f.Retry(f.ctx, l, f.clock.Now().Add(time.Second), "later"))
	return f.next()
}

func (f *fixture) nextIs(url string) frontier.Lease {
	f.Helper()
	ls, _, err := f.Next(f.ctx, 1, minute)
	if err != nil || ls[0].URL != url {
		f.Fatalf("leased %v, %v; want %s", urls(ls), err, url)
	}
	return ls[0]
}

func testRevive(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("a.example", 3), task("a.example", 4))
	f.must("Retry", f.Retry(f.ctx, f.next(), f.clock.Now(), "status 500"))
	for range 2 {
		f.must("Dead", f.Dead(f.ctx, f.next(), "status 404"))
	}
	done := f.next()
	f.done(done)
	f.stats("bbs", 1, 0, 1, 2)
	dead, err := f.DeadTasks(f.ctx, 10)
	f.must("DeadTasks", err)
	f.clock.Advance(time.Second)
	one := dead[0]
	n, err := f.Revive(f.ctx, one.ID, done.ID, frontier.ID("bbs", "https://unheard-of.example/"), "no id")
	if n != 1 || err != nil {
		f.Fatalf("Revive = %d, %v; want 1 task", n, err)
	}
	f.stats("bbs", 2, 0, 1, 1)
	if n, err := f.Revive(f.ctx, one.ID); n != 0 || err != nil {
		f.Errorf("Revive of a waiting task = %d, %v; want 0", n, err)
	}
	f.reopen()
	var back bool
	for range 2 {
		l := f.next()
		if l.ID == one.ID {
			back = l.Tries == 0 && l.Lost == 0
		}
		f.done(l)
	}
	if !back {
		f.Errorf("the revived task was not leased with a fresh count")
	}
	f.stats("bbs", 0, 0, 3, 1)
}

func testFinish(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("a.example", 3, due(f.clock.Now().Add(time.Hour))),
		task("b.example", 1, source("other")))
	held := f.nextOn("a.example")
	n, err := f.Finish(f.ctx, "bbs")
	if n != 2 || err != nil {
		f.Fatalf("Finish = %d, %v; want 2", n, err)
	}
	f.stats("bbs", 0, 1, 2, 0)
	f.stats("other", 1, 0, 0, 0)
	f.done(held)
	f.done(f.next())
	f.none(0)
	n, err = f.Restart(f.ctx, "bbs")
	if n != 3 || err != nil {
		f.Errorf("Restart after Finish = %d, %v; want 3", n, err)
	}
}

func testStats(f *fixture) {
	f.add(task("a.example", 1), task("a.example", 2), task("b.example", 1, source("other")))
	f.stats("", 3, 0, 0, 0)
	f.stats("bbs", 2, 0, 0, 0)
	s := f.stats("other", 1, 0, 0, 0)
	if s.NextDue.IsZero() || s.NextDue.After(f.clock.Now()) {
		f.Errorf("NextDue = %v while a task is due", s.NextDue)
	}
	f.stats("unheard-of", 0, 0, 0, 0)
	f.must("Dead", f.Dead(f.ctx, f.nextOn("b.example"), "gone"))
	f.stats("other", 0, 0, 0, 1)
	f.stats("bbs", 2, 0, 0, 0)
}

func testDurable(f *fixture) {
	var tasks []frontier.Task
	for i := range 20 {
		tasks = append(tasks, task("a.example", i))
	}
	f.add(tasks...)
	f.done(f.next())
	f.must("Dead", f.Dead(f.ctx, f.next(), "status 404"))
	f.reopen()
	f.stats("bbs", 18, 0, 1, 1)
	if n, err := f.Add(f.ctx, tasks...); n != 0 || err != nil {
		f.Errorf("known tasks were added again after reopening: %d, %v", n, err)
	}
	seen := map[string]bool{}
	for range 18 {
		l := f.next()
		if seen[l.ID] {
			f.Fatalf("%s was leased twice", l.URL)
		}
		seen[l.ID] = true
		f.done(l)
	}
	f.none(0)
}

// testConcurrent lets many workers share the tasks of many hosts, with links
// found on the way: each is worked once, and never two on one host.
func testConcurrent(f *fixture) {
	const hosts, workers, each = 12, 8, 30
	for h := range hosts {
		f.add(task(fmt.Sprintf("h%d.example", h), 0))
	}
	var mu sync.Mutex
	worked, busy := map[string]int{}, map[string]bool{}
	enter := func(l frontier.Lease) {
		mu.Lock()
		defer mu.Unlock()
		worked[l.URL]++
		if busy[l.Host] {
			f.Errorf("two leases on %s at once", l.Host)
		}
		busy[l.Host] = true
	}
	leave := func(l frontier.Lease) {
		mu.Lock()
		defer mu.Unlock()
		busy[l.Host] = false
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				ls, wait, err := f.Next(f.ctx, 3, minute)
				if errors.Is(err, frontier.ErrNoneDue) {
					if wait == 0 {
						return
					}
					continue // others hold all that is left
				}
				if err != nil {
					f.Errorf("Next: %v", err)
					return
				}
				for _, l := range ls {
					enter(l)
					var n int
					fmt.Sscanf(l.URL, "https://"+l.Host+"/thread-%d-1-1.html", &n)
					var found []frontier.Task
					for i := 1; i <= 3 && n+i < each; i++ {
						found = append(found, task(l.Host, n+i))
					}
					leave(l) // the answer below frees the host for others
					if _, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200}, found...); err != nil {
						f.Errorf("Done: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	f.stats("bbs", 0, 0, hosts*each, 0)
	for u, n := range worked {
		if n != 1 {
			f.Errorf("%s was worked %d times", u, n)
		}
	}
}

// testConcurrentPace moves the clock while workers lease: no two starts of a
// host are closer than its delay.
func testConcurrentPace(f *fixture) {
	const d, workers, tasks = 3 * time.Second, 6, 25
	for i := range tasks {
		f.add(task("a.example", i, delay(d)), task("b.example", i, delay(d/2)))
	}
	var mu sync.Mutex
	starts := map[string][]time.Time{}
	left, held := 2*tasks, 0
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				mu.Lock()
				if left == 0 {
					mu.Unlock()
					return
				}
				// The clock moves only under the lock, so that the start of a
				// lease is known exactly, and only while no lease is held, so
				// that none runs out however slow its worker is.
				ls, _, err := f.Next(f.ctx, 2, minute)
				if errors.Is(err, frontier.ErrNoneDue) {
					if held == 0 {
						f.clock.Advance(700 * time.Millisecond)
					}
				} else if err != nil {
					f.Errorf("Next: %v", err)
					mu.Unlock()
					return
				}
				for _, l := range ls {
					starts[l.Host] = append(starts[l.Host], f.clock.Now())
				}
				left -= len(ls)
				held += len(ls)
				mu.Unlock()
				for _, l := range ls {
					if _, err := f.Done(f.ctx, l, frontier.Outcome{Status: 200}); err != nil {
						f.Errorf("Done: %v", err)
					}
				}
				mu.Lock()
				held -= len(ls)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for host, want := range map[string]time.Duration{"a.example": d, "b.example": d / 2} {
		if len(starts[host]) != tasks {
			f.Errorf("%d starts on %s, want %d", len(starts[host]), host, tasks)
		}
		for i := 1; i < len(starts[host]); i++ {
			if gap := starts[host][i].Sub(starts[host][i-1]); gap < want {
				f.Errorf("two starts on %s only %v apart; its delay is %v", host, gap, want)
			}
		}
	}
}
