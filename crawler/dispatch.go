package crawler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// poke makes the dispatcher look again.
func (c *Crawler) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

const (
	maxFrontierPause = 10 * time.Second // a frontier that is back is soon asked again
	gatherFor        = 5 * time.Millisecond
	pollEvery        = time.Second     // how often to look for what other processes added or freed
	tellWaits        = 5 * time.Second // shorter waits are not worth an event
	answerTime       = 15 * time.Second
)

// dispatch leases tasks for idle workers until the pass is over or ctx ends,
// and waits for the workers.
func (c *Crawler) dispatch(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var busy sync.WaitGroup
	defer busy.Wait()
	idle := make(chan struct{}, c.opts.Workers)
	for range c.opts.Workers {
		idle <- struct{}{}
	}
	jobs := c.startWorkers(ctx, stop, &busy, idle)
	defer close(jobs)
	failures, told, asked := 0, time.Time{}, time.Time{}
	for {
		if err := c.sink.wait(ctx, c.wake); err != nil {
			return causeOf(ctx)
		}
		n := len(idle)
		if n == 0 {
			if err := c.sleep(ctx, pollEvery); err != nil {
				return causeOf(ctx)
			}
			continue
		}
		if n = c.gatherIdle(ctx, asked, idle); ctx.Err() != nil {
			return causeOf(ctx)
		}
		asked = time.Now()
		leases, wait, err := c.opts.Frontier.Next(ctx, n, c.opts.Lease)
		for _, l := range leases {
			<-idle // there are at least n, and only this loop takes them
			jobs <- l
		}
		switch {
		case err == nil:
			failures = 0
			if len(leases) == n {
				continue
			}
			// Nothing else is due. Asking at once what will be costs as much as
			// the answer of a worker that is about to come.
			if err := c.sleep(ctx, gatherFor); err != nil {
				return causeOf(ctx)
			}
			continue
		case ctx.Err() != nil:
			return causeOf(ctx)
		case !errors.Is(err, frontier.ErrNoneDue):
			failures++
			if c.once && failures >= c.opts.GiveUp {
				return fmt.Errorf("giving up after %d failures in a row: %w", failures, err)
			}
			wait = min(c.opts.Backoff.after(failures), maxFrontierPause)
			c.log.Error("the frontier fails", "err", err, "again_in", wait)
			c.prog.emit(Event{Kind: EventFrontier, Reason: err.Error(), Until: c.now().Add(wait)})
			if err := c.sleep(ctx, wait); err != nil {
				return causeOf(ctx)
			}
			continue
		}
		failures = 0
		if over, err := c.over(ctx, n == c.opts.Workers); err != nil || over {
			return err
		}
		if until := c.now().Add(wait); n == c.opts.Workers && wait > tellWaits && until.Sub(told).Abs() > time.Second {
			told = until
			c.prog.emit(Event{Kind: EventWaiting, Until: until})
		}
		if wait <= 0 || wait > pollEvery {
			wait = pollEvery
		}
		if err := c.sleep(ctx, wait); err != nil {
			return causeOf(ctx)
		}
	}
}

func causeOf(ctx context.Context) error {
	return context.Cause(ctx)
}

// over reports whether a single pass is complete.
func (c *Crawler) over(ctx context.Context, allIdle bool) (bool, error) {
	if !c.once || !allIdle {
		return false, nil
	}
	for name := range *c.sources.Load() {
		s, err := c.opts.Frontier.Stats(ctx, name)
		if err != nil {
			return false, fmt.Errorf("looking for the end of the pass: %w", err)
		}
		if s.Waiting+s.Leased > 0 {
			return false, nil
		}
	}
	return true, nil
}

// sleep waits for d, a poke or the end of ctx.
func (c *Crawler) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
