package crawler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// Wall is a site that has turned us away and is left alone until Until; then
// one page is tried.
type Wall struct {
	Source string    `json:"source"`
	Host   string    `json:"host"`
	Kind   WallKind  `json:"kind"`
	Reason string    `json:"reason"`
	URL    string    `json:"url"`   // the page that showed it last
	Since  time.Time `json:"since"` // when it was first met
	Until  time.Time `json:"until"` // when it is tried next
	Times  int       `json:"times"` // met in a row
}

const (
	loginPages = 3  // pages, with none between that was let through, that make a login a wall of the whole site
	loginAgain = 2  // times that a page we were shown before wants a login, to do so alone
	onceWalls  = 3  // meetings in a row that end a single pass
	gonePages  = 10 // known pages in a row that make the site the one that is gone
)

// wallWatch remembers the walls that stand. It is safe for concurrent use.
type wallWatch struct {
	mu     sync.Mutex
	walls  map[string]Wall           // by host
	logins map[string]map[string]int // host → page → how often it wanted a login, since a page was let through
	gone   map[string]int            // host → known pages gone in a row
}

func newWallWatch() *wallWatch {
	return &wallWatch{walls: map[string]Wall{}, logins: map[string]map[string]int{}, gone: map[string]int{}}
}

func wallKey(source, host string) string { return "wall:" + source + "|" + host }

// siteWide reports whether a wall stands before the whole site. A login may be
// wanted for one board only, but hardly for a seed.
func (w *wallWatch) siteWide(l frontier.Lease, kind WallKind, seed bool) bool {
	if kind != WallLogin || seed {
		return true
	}
	host, url := l.Host, l.URL
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.logins[host] == nil {
		w.logins[host] = map[string]int{}
	}
	w.logins[host][url]++
	known := l.Last.Status != 0 && w.logins[host][url] >= loginAgain
	return known || len(w.logins[host]) >= loginPages || w.walls[host].Times > 0
}

// meet notes one more meeting with a wall; until gives the pause for the nth.
func (w *wallWatch) meet(met Wall, until func(n int) time.Time) Wall {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.walls[met.Host]; ok && old.Source == met.Source {
		met.Since, met.Times = old.Since, old.Times
	}
	met.Times++
	met.Until = until(met.Times)
	w.walls[met.Host] = met
	return met
}

// through notes that a page was let through, and returns the wall that stood.
func (w *wallWatch) through(host string) (Wall, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.logins, host)
	delete(w.gone, host)
	was, ok := w.walls[host]
	delete(w.walls, host)
	return was, ok
}

// vanish counts a known page that is gone and reports whether there were so
// many in a row that it is not the pages that are gone.
func (w *wallWatch) vanish(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[host]++
	return w.gone[host] > gonePages
}

// Walls lists the walls that stand, by host.
func (c *Crawler) Walls() []Wall {
	c.walls.mu.Lock()
	defer c.walls.mu.Unlock()
	out := make([]Wall, 0, len(c.walls.walls))
	for _, w := range c.walls.walls {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Wall) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// recallWalls reads the walls of a source that stood when the crawl last ended, so
// that the pauses go on growing and the alarm stays.
func (c *Crawler) recallWalls(ctx context.Context, s *Source) error {
	var keys []string
	for _, seed := range s.Seeds {
		if k, err := c.task(s, Link{URL: seed}); err == nil {
			keys = append(keys, wallKey(s.Name, k.Host))
		}
	}
	notes, err := c.opts.Frontier.Notes(ctx, keys...)
	if err != nil {
		return fmt.Errorf("recalling walls of %s: %w", s.Name, err)
	}
	for _, text := range notes {
		w := readNote[Wall](text)
		if w.Host == "" || w.Times < 1 {
			continue
		}
		c.walls.mu.Lock()
		c.walls.walls[w.Host] = w
		c.walls.mu.Unlock()
		c.log.Warn("site is still behind a wall", "source", w.Source, "host", w.Host, "kind", w.Kind, "reason", w.Reason, "since", w.Since, "next_trial", w.Until)
		c.prog.emit(Event{Kind: EventWall, Source: w.Source, Host: w.Host, URL: w.URL, Reason: w.Text(), Until: w.Until})
	}
	return nil
}

// Text says what stands there: its kind and how it was told.
func (w Wall) Text() string { return string(w.Kind) + " wall: " + w.Reason }

// walled answers a page in whose place a wall came: the page is kept for later,
// and the site left alone when the wall stands before all of it.
func (c *Crawler) walled(ctx context.Context, s *Source, l frontier.Lease, pg Page, ex Extraction) {
	reason := "blocked: " + ex.Blocked
	if !ex.down && !c.walls.siteWide(l, ex.Wall, c.isSeed(s, l)) {
		c.fail(ctx, s, l, pg, troubleMember, reason+" (this page only, so far)", nil)
		return
	}
	now := c.now()
	c.wallOf(ctx, s, l.Host)
	w := c.walls.meet(Wall{Source: s.Name, Host: l.Host, Kind: ex.Wall, Reason: ex.Blocked, URL: l.URL, Since: now}, func(n int) time.Time {
		pause := c.opts.Wall
		if c.once { // it has to end some day
			pause = c.opts.Backoff
		}
		return later(now.Add(pause.after(n)), retryAt(pg.Header, nil, now))
	})
	if err := c.acked(ctx, func(ctx context.Context) error {
		return c.opts.Frontier.Note(ctx, map[string]string{wallKey(s.Name, l.Host): writeNote(w)})
	}); err != nil {
		c.log.Error("the wall could not be remembered over a restart", "host", l.Host, "err", err)
	}
	c.log.Warn("site is paused: a wall stands before it", "source", s.Name, "host", l.Host, "kind", w.Kind, "reason", w.Reason, "url", l.URL,
		"since", w.Since, "times", w.Times, "next_trial", w.Until)
	c.failWalled(ctx, s, l, pg, reason, w)
}

// passed notes that a site let a page through.
func (c *Crawler) passed(ctx context.Context, l frontier.Lease) {
	c.hosts.ok(l.Host)
	w, stood := c.walls.through(l.Host)
	if !stood {
		return
	}
	if err := c.acked(ctx, func(ctx context.Context) error {
		return c.opts.Frontier.Note(ctx, map[string]string{wallKey(w.Source, w.Host): ""})
	}); err != nil {
		c.log.Error("the end of a wall could not be remembered", "host", l.Host, "err", err)
	}
	c.log.Info("the site lets us in again", "source", w.Source, "host", w.Host, "kind", w.Kind, "since", w.Since, "times", w.Times)
	c.prog.emit(Event{Kind: EventWallOver, Source: l.Source, Host: l.Host, URL: l.URL, Reason: w.Text()})
}

// vanished makes a wall of pages that are gone one after the other: a site that
// is being moved answers so to everything.
func (c *Crawler) vanished(l frontier.Lease, ex *Extraction) {
	if ex.Gone == "" || l.Last.ContentHash == "" || !c.walls.vanish(l.Host) {
		return
	}
	ex.Blocked, ex.Wall, ex.Gone = fmt.Sprintf("more than %d known pages in a row are gone (%s)", gonePages, ex.Gone), WallRefused, ""
}

// failWalled gives back a task that met the wall of a whole site.
func (c *Crawler) failWalled(ctx context.Context, s *Source, l frontier.Lease, pg Page, reason string, w Wall) {
	n := c.hosts.fail(l.Host)
	c.watchFailure(s)
	c.rest(ctx, l.Host, w.Until, reason)
	c.prog.emit(Event{Kind: EventWall, Source: s.Name, Host: l.Host, URL: l.URL, Status: pg.Status, Reason: w.Text(), Tries: w.Times, Until: w.Until})
	if c.once && n >= min(c.opts.GiveUp, onceWalls) {
		c.giveUpHost(ctx, s, l, n, reason)
		c.dead(ctx, EventDead, l, pg.Status, fmt.Sprintf("%s (%s failed %d times in a row)", reason, l.Host, n))
		return
	}
	// Another page is tried first: it may be this one alone that is walled off.
	c.retry(ctx, s, l, pg, troubleBlock, w.Until.Add(c.opts.Backoff.after(l.Tries+1)), reason)
}
