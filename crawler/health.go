package crawler

import (
	"context"
	"fmt"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// hostHealth remembers how often each host failed in a row. It is about this
// process only; the back-offs that follow from it are in the frontier.
type hostHealth struct {
	mu     sync.Mutex
	byHost map[string]*hostState
}

type hostState struct{ failures int }

// fail counts a failure and returns how many there were in a row.
func (h *hostHealth) fail(host string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.byHost[host]
	if s == nil {
		s = &hostState{}
		h.byHost[host] = s
	}
	s.failures++
	return s.failures
}

func (h *hostHealth) ok(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byHost, host)
}

// sinkHealth pauses the crawl while the sink fails: there is no use in
// fetching what cannot be kept.
type sinkHealth struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

// fail counts a failure, pauses the crawl for the time that pause gives, and
// returns how many failures there were in a row.
func (s *sinkHealth) fail(pause func(n int) time.Duration) (n int, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	s.until = time.Now().Add(pause(s.failures))
	return s.failures, s.until
}

func (s *sinkHealth) ok() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.until = 0, time.Time{}
}

// wait returns when the crawl is not paused (any more). What comes in on wake
// is left there or put back, for the caller.
func (s *sinkHealth) wait(ctx context.Context, wake chan struct{}) error {
	for {
		s.mu.Lock()
		left := time.Until(s.until)
		s.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-wake: // a page in work may have found the sink well again
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		t.Stop()
	}
}

// budgets counts the pages fetched for each source against its max_pages.
type budgets struct {
	mu       sync.Mutex
	bySource map[string]*budget
}

type budget struct {
	used  int
	since time.Time
}

func (b *budgets) start(source string, used int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bySource[source] = &budget{used: used, since: now}
}

// take takes one page from the budget, or reports when a new span begins. A
// span of 0 never ends.
func (b *budgets) take(source string, limit int, span time.Duration, now time.Time) (ok bool, fresh time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.bySource[source]
	if s == nil {
		s = &budget{since: now}
		b.bySource[source] = s
	}
	if span > 0 && now.Sub(s.since) >= span {
		s.used, s.since = 0, now
	}
	if limit > 0 && s.used >= limit {
		return false, s.since.Add(span)
	}
	s.used++
	return true, time.Time{}
}

// giveBack returns a page that was not fetched after all.
func (b *budgets) giveBack(source string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.bySource[source]; s != nil && s.used > 0 {
		s.used--
	}
}

// maxBacklog is how many times its max_pages a source may have waiting in the
// frontier. A site that makes up links without end would fill the disk.
const maxBacklog = 20

// growth bounds the tasks of each source. It is safe for concurrent use.
type growth struct {
	mu   sync.Mutex
	base map[string]int // source → tasks that waited when its pass began
}

// start begins a pass. Those known from earlier passes, base, all wait at the
// beginning of a single pass, and must not keep new links out.
func (g *growth) start(source string, base int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.base[source] = base
}

// limit says how many tasks of a source may wait.
func (g *growth) limit(s *Source) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.base[s.Name] + maxBacklog*s.MaxPages
}

func (c *Crawler) hasRoom(ctx context.Context, s *Source, limit int) bool {
	stats, err := c.opts.Frontier.Stats(ctx, s.Name)
	// A frontier that fails here refuses the links by itself a moment later.
	return err != nil || stats.Waiting <= limit
}

// found makes tasks of the links of a page, leaving out what is too deep, and
// everything while the source has more waiting than it can ever fetch.
func (c *Crawler) found(ctx context.Context, s *Source, l frontier.Lease, links []Link) []frontier.Task {
	if len(links) == 0 {
		return nil
	}
	if l.Depth >= s.MaxDepth {
		c.leaveOut(ctx, s, l, links, fmt.Sprintf("max_depth: %d links from a seed", l.Depth+1))
		return nil
	}
	if limit := c.growth.limit(s); !c.hasRoom(ctx, s, limit) {
		c.warn(s.Name, fmt.Sprintf("more than %d pages wait to be fetched (%d times max_pages); no links are taken until they are fewer", limit, maxBacklog), l.URL)
		c.leaveOut(ctx, s, l, links, fmt.Sprintf("backlog: more than %d pages of the source wait", limit))
		return nil
	}
	tasks := make([]frontier.Task, 0, len(links))
	for _, link := range links {
		k, err := c.task(s, link)
		if err != nil {
			c.warn(s.Name, err.Error(), l.URL)
			continue
		}
		k.Depth, k.Parent = l.Depth+1, l.URL
		tasks = append(tasks, k)
	}
	return tasks
}
