package crawler

import (
	"context"
	"time"
)

// What this file does is for crawls of which several processes work on one
// frontier (Options.Shared): what they learn of walls and traps comes together
// in the frontier's notes, and what they may fetch is counted there.
//
// A wall is written and ended while a page of its host is leased, which only
// one process has at a time. What was learned of traps is added up by
// difference: each process adds what it learned since its last save to what the
// note holds (trapnotes.go). How often a
// host failed in a row is counted by each process for itself.

// PageBudget counts pages of a source against its max_pages, for all processes
// together. n is 1 to take a page, -1 to give one back, 0 to begin a new pass.
// It reports whether the page may be fetched and, if not, when the next span
// begins; a span of 0 never ends.
type PageBudget func(ctx context.Context, source string, n, limit int, span time.Duration) (ok bool, fresh time.Time, err error)

// takePage takes one page from the budget of a source.
func (c *Crawler) takePage(ctx context.Context, s *Source, span time.Duration) (ok bool, fresh time.Time) {
	if c.opts.Budget == nil || s.MaxPages <= 0 {
		return c.budget.take(s.Name, s.MaxPages, span, c.now())
	}
	ok, fresh, err := c.opts.Budget(ctx, s.Name, 1, s.MaxPages, span)
	if err != nil {
		c.log.Warn("max_pages is counted by this process alone for now", "source", s.Name, "err", err)
		return c.budget.take(s.Name, s.MaxPages, span, c.now())
	}
	return ok, fresh
}

// givePage returns a page that was not fetched after all.
func (c *Crawler) givePage(ctx context.Context, source string) {
	c.budget.giveBack(source)
	if c.opts.Budget == nil {
		return
	}
	if _, _, err := c.opts.Budget(context.WithoutCancel(ctx), source, -1, 0, 0); err != nil {
		c.log.Warn("a page that was not fetched stays counted", "source", source, "err", err)
	}
}

// freshBudget begins the count of a new pass.
func (c *Crawler) freshBudget(ctx context.Context, source string) {
	if c.opts.Budget == nil {
		return
	}
	if _, _, err := c.opts.Budget(ctx, source, 0, 0, 0); err != nil {
		c.log.Warn("the pages of the last pass stay counted", "source", source, "err", err)
	}
}

// wallOf gives the wall that stands before a host as all processes know it.
func (c *Crawler) wallOf(ctx context.Context, s *Source, host string) {
	if !c.opts.Shared {
		return
	}
	key := wallKey(s.Name, host)
	notes, err := c.opts.Frontier.Notes(ctx, key)
	if err != nil {
		c.log.Warn("what others know of a wall could not be read", "host", host, "err", err)
		return
	}
	w := readNote[Wall](notes[key])
	c.walls.mu.Lock()
	defer c.walls.mu.Unlock()
	if w.Host != host || w.Times < 1 {
		if old, stood := c.walls.walls[host]; stood && old.Source == s.Name {
			delete(c.walls.walls, host) // another process was let through
		}
		return
	}
	c.walls.walls[host] = w
}

// wallsEvery is how often a process looks for walls that others met or saw end.
const wallsEvery = 30 * time.Second

// followWalls keeps the walls of all sources as the other processes know them.
func (c *Crawler) followWalls(ctx context.Context) {
	if !c.opts.Shared {
		return
	}
	tick := time.NewTicker(wallsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.syncWalls(ctx)
	}
}

// syncWalls reads the walls once.
func (c *Crawler) syncWalls(ctx context.Context) {
	before := map[string]Wall{}
	for _, w := range c.Walls() {
		before[w.Host] = w
	}
	for _, s := range *c.sources.Load() {
		for _, host := range c.wallHosts(s, before) {
			c.wallOf(ctx, s, host)
		}
	}
	now := map[string]Wall{}
	for _, w := range c.Walls() {
		now[w.Host] = w
		if _, known := before[w.Host]; !known {
			c.prog.emit(Event{Kind: EventWall, Source: w.Source, Host: w.Host, URL: w.URL, Reason: w.Text(), Tries: w.Times, Until: w.Until})
		}
	}
	for host, w := range before {
		if _, stands := now[host]; !stands {
			c.prog.emit(Event{Kind: EventWallOver, Source: w.Source, Host: host, URL: w.URL, Reason: w.Text()})
		}
	}
}

// wallHosts are the hosts of a source at which a wall may stand: those of its
// seeds, and those known to have one.
func (c *Crawler) wallHosts(s *Source, walls map[string]Wall) []string {
	var hosts []string
	seen := map[string]bool{}
	add := func(host string) {
		if !seen[host] {
			seen[host] = true
			hosts = append(hosts, host)
		}
	}
	for _, seed := range s.Seeds {
		if k, err := c.task(s, Link{URL: seed}); err == nil {
			add(k.Host)
		}
	}
	for host, w := range walls {
		if w.Source == s.Name {
			add(host)
		}
	}
	return hosts
}
