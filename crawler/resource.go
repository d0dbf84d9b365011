package crawler

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// maxParked is how many tasks without a place in the configs are remembered in
// memory; what is beyond comes back after Recrawl.Max.
const maxParked = 10_000

// parkedTasks are tasks that no config has a place for: of a source that was
// taken out, or of URLs that no page rule fits any more. An edit may bring them
// back. It is safe for concurrent use.
type parkedTasks struct {
	mu    sync.Mutex
	tasks map[string]frontier.Task // by id
}

// park puts a task aside without fetching it. In a single pass it is given up.
func (c *Crawler) park(ctx context.Context, l frontier.Lease, reason string) {
	if c.once {
		c.dead(ctx, EventDead, l, 0, reason)
		return
	}
	again := c.now().Add(c.opts.Recrawl.Max)
	err := c.acked(ctx, func(ctx context.Context) error {
		_, err := c.opts.Frontier.Done(ctx, l, frontier.Outcome{Again: again, Reason: reason})
		return err
	})
	if err != nil {
		c.report("putting aside", l, err)
		return
	}
	c.parked.mu.Lock()
	if c.parked.tasks == nil {
		c.parked.tasks = map[string]frontier.Task{}
	}
	if len(c.parked.tasks) < maxParked {
		c.parked.tasks[l.ID] = l.Task
	}
	c.parked.mu.Unlock()
	c.prog.failure(EventDead, l, 0, reason, again)
}

// unpark brings back the tasks for which the sources have a place again.
func (c *Crawler) unpark(ctx context.Context, byName map[string]*Source) error {
	c.parked.mu.Lock()
	defer c.parked.mu.Unlock()
	for id, k := range c.parked.tasks {
		s := byName[k.Source]
		if s == nil {
			continue
		}
		if _, ok := s.Rule(k.URL); !ok {
			continue
		}
		k.Delay, k.Sooner, k.Due = s.Delay, true, time.Time{}
		if _, err := c.opts.Frontier.Add(ctx, k); err != nil {
			return fmt.Errorf("bringing back %s: %w", k.URL, err)
		}
		delete(c.parked.tasks, id)
	}
	return nil
}

// placed reports whether a task may be fetched as it stands. One whose URL the
// site's canonical rules now write in another form is answered by a task for that
// form; the old form is not fetched any more.
func (c *Crawler) placed(ctx context.Context, s *Source, l frontier.Lease) bool {
	canonical, _, err := s.Canonical(l.URL)
	if err != nil {
		canonical = l.URL // the fetch will say what is wrong
	}
	rule, ok := s.Rule(canonical)
	switch {
	case !ok:
		c.park(ctx, l, "no page rule fits "+canonical+" (any more)")
		return false
	case canonical == l.URL:
		return true
	}
	k, err := c.task(s, Link{URL: canonical, Page: rule.Name, Priority: rule.Priority})
	if err != nil {
		c.park(ctx, l, err.Error())
		return false
	}
	k.Depth, k.Parent = l.Depth, l.Parent
	err = c.acked(ctx, func(ctx context.Context) error {
		_, err := c.opts.Frontier.Done(ctx, l, frontier.Outcome{Reason: "known as " + canonical}, k)
		return err
	})
	if err != nil {
		c.report("moving to the canonical form", l, err)
	}
	return false
}

func delayKey(source string) string { return "delay:" + source }

// repace gives the waiting tasks of a source the delay of its config, when it
// is not the one they were given last.
func (c *Crawler) repace(ctx context.Context, s *Source) error {
	key, now := delayKey(s.Name), strconv.FormatInt(int64(s.Delay), 10)
	notes, err := c.opts.Frontier.Notes(ctx, key)
	if err != nil {
		return fmt.Errorf("recalling the delay of %s: %w", s.Name, err)
	}
	if notes[key] == now {
		return nil
	}
	if _, err := c.opts.Frontier.Repace(ctx, s.Name, s.Delay); err != nil {
		return err
	}
	if err := c.opts.Frontier.Note(ctx, map[string]string{key: now}); err != nil {
		return fmt.Errorf("remembering the delay of %s: %w", s.Name, err)
	}
	return nil
}

// takeUp prepares for a source that Run did not begin with.
func (c *Crawler) takeUp(ctx context.Context, s *Source) error {
	if err := c.recallWalls(ctx, s); err != nil {
		return err
	}
	if err := c.recallDrift(ctx, s); err != nil {
		return err
	}
	c.prog.emit(Event{Kind: EventPass, Source: s.Name, Reason: "continued"})
	return nil
}

// letGo forgets the alarms of sources that are crawled no more, and of what
// sources yielded by other configs.
func (c *Crawler) letGo(byName map[string]*Source) {
	var over []Wall
	c.walls.mu.Lock()
	for host, w := range c.walls.walls {
		if byName[w.Source] == nil {
			over = append(over, w)
			delete(c.walls.walls, host)
		}
	}
	c.walls.mu.Unlock()
	slices.SortFunc(over, func(a, b Wall) int { return a.Since.Compare(b.Since) })
	for _, w := range over {
		c.prog.emit(Event{Kind: EventWallOver, Source: w.Source, Host: w.Host, URL: w.URL, Reason: w.Text()})
	}
	var ended []Drift
	c.drift.mu.Lock()
	for name, d := range c.drift.sources {
		switch s := byName[name]; {
		case s == nil:
			ended = append(ended, d.sorted()...)
			delete(c.drift.sources, name)
		case d.note.Version != s.version:
			ended = append(ended, d.sorted()...)
			c.drift.of(s, c.now()) // begins anew
		}
	}
	c.drift.mu.Unlock()
	for _, d := range ended {
		c.prog.emit(Event{Kind: EventDriftOver, Source: d.Source, URL: d.URL, Reason: d.Text("en"), Drift: &d})
	}
}
