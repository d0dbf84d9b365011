package crawler

import (
	"context"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// startWorkers starts those who do the leased tasks until jobs is closed. Each
// is idle again after a task. They are kept, for their stacks have grown.
func (c *Crawler) startWorkers(ctx context.Context, stop context.CancelCauseFunc, busy *sync.WaitGroup, idle chan<- struct{}) (jobs chan frontier.Lease) {
	jobs = make(chan frontier.Lease, c.opts.Workers)
	for range c.opts.Workers {
		busy.Go(func() {
			for l := range jobs {
				if err := c.work(ctx, l); err != nil {
					stop(err)
				}
				idle <- struct{}{}
				c.poke()
			}
		})
	}
	return jobs
}

// gatherIdle counts the idle workers once gatherFor has passed since the
// frontier was asked last, so that those who end meanwhile get tasks together.
// When all are idle nobody waits.
func (c *Crawler) gatherIdle(ctx context.Context, asked time.Time, idle chan struct{}) int {
	if rest := gatherFor - time.Since(asked); rest > 0 && len(idle) < c.opts.Workers {
		c.pause(ctx, rest, func() bool { return len(idle) == c.opts.Workers })
	}
	return len(idle)
}

// pause waits for d, a poke that finds enough true or the end of ctx.
func (c *Crawler) pause(ctx context.Context, d time.Duration, enough func() bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	for !enough() {
		select {
		case <-t.C:
			return
		case <-c.wake:
		case <-ctx.Done():
			return
		}
	}
}
