// Package crawler turns sites into posts.
//
// What comes in: sources (what a site's pages look like, where to begin) and a
// frontier that remembers what is still to fetch. What goes out: posts, handed
// to a Sink page by page. A page is acknowledged only after the sink has taken
// its posts, so a crawl that is killed at any moment goes on where it stood:
// no post is lost, and none gets a second id. The package does not judge what
// a post says and does not store it.
package crawler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/render"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// Sink takes the posts of one page. Only when it returns nil is the page
// acknowledged; after an error the page is fetched and handed over again, so
// a sink may see a post more than once, always under the same id. It is
// called by many goroutines.
type Sink func(ctx context.Context, posts []post.Post) error

// Backoff says how pauses grow: Base doubled for each failure, with jitter,
// never over Max.
type Backoff struct {
	Base time.Duration // 30 s by default
	Max  time.Duration // 1 h by default
}

// after gives the pause after the nth failure, n from 1: between half and the
// whole of Base·2^(n-1), so that what failed together does not return together.
func (b Backoff) after(n int) time.Duration {
	d := min(b.Base, b.Max)
	for ; n > 1 && d < b.Max; n-- {
		d = min(2*d, b.Max)
	}
	return d/2 + rand.N(d/2+1)
}

// Options of New. Frontier and Sink are needed.
type Options struct {
	Frontier  frontier.Frontier
	Sink      Sink
	Transport http.RoundTripper // nil: transport.New, with robots.txt asked
	Workers   int               // pages in work at a time; 8 by default
	Logger    *slog.Logger      // nil: silent
	UserAgent string            // "": transport.UserAgent
	Now       func() time.Time  // nil: time.Now
	OnEvent   func(Event)       // called for one event at a time; nil: none
	MaxTries  int               // failed tries until a page is given up, without once those that are the page's own fault; 5 by default
	MaxLost   int               // leases that may run out unanswered until a page is given up; 50 by default
	GiveUp    int               // once: failures of a host, the sink or the frontier in a row until it is given up; 5 by default
	Backoff   Backoff           // of pages and hosts
	Lease     time.Duration     // 2 min by default; extended while a page is in work
	Timeout   time.Duration     // for fetching one page with all redirects; 3 min by default
	Recrawl   Recrawl           // when pages are fetched again; not used by once
	Wall      Backoff           // pauses of a site that shows a wall in place of its pages; 4 times Backoff.Base to 6 times Backoff.Max by default
	// Deleted is told, before the page is acknowledged, of posts and threads that
	// are gone. After an error the page is fetched again. It may be told twice, and
	// is called by many goroutines. nil: nobody is told.
	Deleted func(ctx context.Context, d Deletion) error
	// OnWait is told how long a request of a source waits for its host's turn once
	// its page is leased. It is called by many goroutines. nil: nobody is told.
	OnWait func(source string, d time.Duration)
	// OnRefused is told of links that are left out for a trap or a bound, each once
	// for some time. It is called by many goroutines. nil: nobody is told.
	OnRefused func(source, reason string)
	// Shared says that other processes work on the frontier at the same time. What
	// they must know of each other, such as when a request ended, then goes
	// through the frontier.
	Shared bool
	// Together runs begin, by which Run begins or continues the passes, for one
	// process at a time; joined tells that others are at work on a pass already,
	// which is then continued. nil: this process is alone.
	Together func(ctx context.Context, begin func(ctx context.Context, joined bool) error) error
	// Budget counts max_pages over all processes; nil: each counts its own.
	Budget PageBudget
	// Unconditional fetches every page whole, without If-None-Match and
	// If-Modified-Since: for a sink that has lost what it was given.
	Unconditional bool
	// Browser shows pages of sources with render: auto or always, and those handed
	// to Show. nil: none are, and a source with render: always is a mistake. It
	// remains the caller's to close.
	Browser *render.Pool
	// KeepRendered keeps a page as it was shown, before its posts are used, and
	// gives the record, which becomes that of the posts. It is called by many
	// goroutines. nil: the record is that of the page as it was fetched.
	KeepRendered func(ctx context.Context, r Rendered) (post.Archive, error)
	// SessionDir is the folder in which the cookies of sessions and the log of
	// their use are kept, readable by its owner alone; "" keeps them in memory.
	SessionDir string
}

// Recrawl says when pages are fetched again in a crawl without end.
type Recrawl struct {
	List time.Duration // list pages, at the soonest; those deeper down later; 5 min by default
	Min  time.Duration // pages with posts, at the soonest; 5 min by default
	Max  time.Duration // any page, at the latest, also seeds and once fetched pages that are given up; 14 days by default
	Pass time.Duration // the span that max_pages counts for; 6 h by default
}

// Crawler crawls. It is made by New; one Run at a time.
type Crawler struct {
	opts  Options
	now   func() time.Time
	log   *slog.Logger
	rt    *pacer
	trans *transport.Transport // ours to close; nil when Options named one

	sources   atomic.Pointer[map[string]*Source]
	once      bool
	prog      *progress
	hosts     hostHealth
	sink      sinkHealth
	walls     *wallWatch
	drift     driftWatch
	parked    parkedTasks
	setting   sync.Mutex // held by SetSources
	hits      hits
	budget    budgets
	growth    growth
	traps     traps
	refusals  refusals
	landings  landings
	wake      chan struct{}
	warned    sync.Map // source+warning → seen; bounded by warnedCount
	warnedN   atomic.Int64
	renders   renderings
	partsKept partsKept
	access    accesses
	sessions  sessions
	large     chan struct{} // holds a token for each large page that is read
}

// New makes a crawler of sources, whose names must differ.
func New(sources []*Source, opts Options) (*Crawler, error) {
	if opts.Frontier == nil || opts.Sink == nil {
		return nil, errors.New("making crawler: options need a frontier and a sink")
	}
	setDefaults(&opts)
	c := &Crawler{opts: opts, now: opts.Now, log: opts.Logger, wake: make(chan struct{}, 1), large: make(chan struct{}, maxLarge)}
	rt := opts.Transport
	if rt == nil {
		t, err := transport.New(transport.Options{UserAgent: opts.UserAgent, Robots: true, Logger: opts.Logger})
		if err != nil {
			return nil, fmt.Errorf("making crawler: %w", err)
		}
		rt, c.trans = t, t
	}
	c.rt = newPacer(rt)
	c.rt.waited = opts.OnWait
	c.hosts.byHost = map[string]*hostState{}
	c.walls = newWallWatch()
	c.budget.bySource = map[string]*budget{}
	c.growth.base = map[string]int{}
	c.traps.now = opts.Now
	c.sessions = sessions{dir: opts.SessionDir, log: opts.Logger, now: opts.Now}
	c.prog = newProgress(opts.Now, opts.OnEvent)
	if err := c.setSources(sources); err != nil {
		return nil, fmt.Errorf("making crawler: %w", err)
	}
	return c, nil
}

func setDefaults(o *Options) {
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&o.Workers, 8)
	orInt(&o.MaxTries, 5)
	orInt(&o.MaxLost, 50)
	orInt(&o.GiveUp, 5)
	orTime(&o.Backoff.Base, 30*time.Second)
	orTime(&o.Backoff.Max, time.Hour)
	orTime(&o.Lease, 2*time.Minute)
	orTime(&o.Timeout, 3*time.Minute)
	orTime(&o.Wall.Base, 4*o.Backoff.Base)
	orTime(&o.Wall.Max, max(6*o.Backoff.Max, o.Wall.Base))
	orTime(&o.Recrawl.List, 5*time.Minute)
	orTime(&o.Recrawl.Min, 5*time.Minute)
	orTime(&o.Recrawl.Max, 14*24*time.Hour)
	orTime(&o.Recrawl.Pass, 6*time.Hour)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.UserAgent == "" {
		o.UserAgent = transport.UserAgent("", "")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// ClearCollyEnv removes every COLLY_* variable from the environment and names
// what it removed. colly lets them overrule the program, the guard included;
// call it before the first crawl.
func ClearCollyEnv() (removed []string) {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "COLLY_") && os.Unsetenv(name) == nil {
			removed = append(removed, name)
		}
	}
	return removed
}

func (c *Crawler) setSources(sources []*Source) error {
	if err := c.needBrowser(sources); err != nil {
		return err
	}
	byName := make(map[string]*Source, len(sources))
	for _, s := range sources {
		if byName[s.Name] != nil {
			return fmt.Errorf("two sources are named %q", s.Name)
		}
		byName[s.Name] = s
	}
	c.sources.Store(&byName)
	return nil
}

// SetSources replaces the sources, also while Run is at work. A page in work
// ends under the config it was begun with; from the next lease on the new ones
// count, delays included. Seeds of new sources are added, seeds that were given
// up are asked for again. Pages of a source that is no longer there, and pages
// that no rule fits, are put aside unfetched when their turn comes, and brought
// back by the edit that has a place for them. Pages whose canonical form is
// another one now are asked for under that form alone. After an error the old
// sources stay.
func (c *Crawler) SetSources(ctx context.Context, sources []*Source) error {
	c.setting.Lock()
	defer c.setting.Unlock()
	old := c.sources.Load()
	if err := c.setSources(sources); err != nil {
		return fmt.Errorf("setting sources: %w", err)
	}
	for _, s := range sources {
		err := c.addSeeds(ctx, s, true)
		if err == nil {
			err = c.repace(ctx, s)
		}
		if err == nil && (*old)[s.Name] == nil {
			err = c.takeUp(ctx, s)
		}
		if err != nil {
			c.sources.Store(old)
			return fmt.Errorf("setting sources: %w", err)
		}
	}
	now := *c.sources.Load()
	if err := c.unpark(ctx, now); err != nil {
		c.log.Error("pages put aside come back later", "err", err, "within", c.opts.Recrawl.Max)
	}
	c.letGo(now)
	c.poke()
	return nil
}

// Run crawls. With once it makes one pass over all sources: a pass that was
// interrupted is continued, otherwise a new one is begun; it returns when
// nothing is left to fetch. Without once it fetches for ever, each page again
// when it is likely to have changed, until ctx ends. Such a crawl outlasts its
// sites' troubles: what a host is to blame for is tried again without end, and
// a seed, or a page that was fetched before, is asked for again after
// Recrawl.Max when it is given up.
//
// When ctx ends, pages in work are given back and Run returns ctx.Err(), the
// summary beside it. Any other error means that the frontier or (with once)
// the sink failed for good; what is not acknowledged is fetched again next
// time.
func (c *Crawler) Run(ctx context.Context, once bool) (Summary, error) {
	started := time.Now()
	c.once = once
	err := c.beginTogether(ctx)
	if err == nil {
		following, stop := context.WithCancel(ctx)
		var follower sync.WaitGroup
		follower.Go(func() { c.followWalls(following) })
		err = c.dispatch(ctx)
		stop()
		follower.Wait()
	}
	c.writeRefusals(ctx)
	for name, s := range *c.sources.Load() {
		c.retain(ctx, name, true)
		c.keepDrift(ctx, s)
	}
	c.sessions.end()
	if c.trans != nil {
		c.trans.CloseIdleConnections()
	}
	s := c.prog.summary()
	s.Sites = len(*c.sources.Load())
	s.Duration = time.Since(started)
	s.Interrupted = ctx.Err() != nil
	return s, err
}

func (c *Crawler) beginTogether(ctx context.Context) error {
	if c.opts.Together == nil {
		return c.begin(ctx, false)
	}
	return c.opts.Together(ctx, c.begin)
}

// begin starts or continues a pass over each source.
func (c *Crawler) begin(ctx context.Context, joined bool) error {
	for name, s := range *c.sources.Load() {
		stats, err := c.opts.Frontier.Stats(ctx, name)
		if err != nil {
			return fmt.Errorf("beginning pass over %s: %w", name, err)
		}
		how := "continued"
		if c.once && !joined && stats.Waiting+stats.Leased == 0 {
			how = "new"
			if _, err := c.opts.Frontier.Restart(ctx, name); err != nil {
				return fmt.Errorf("beginning pass over %s: %w", name, err)
			}
			c.loadTraps(ctx, name)
			c.traps.newPass(name)
			c.freshBudget(ctx, name)
		}
		base := 0
		if c.once {
			if stats, err = c.opts.Frontier.Stats(ctx, name); err != nil {
				return fmt.Errorf("beginning pass over %s: %w", name, err)
			}
			base = stats.Waiting
		}
		c.growth.start(name, base)
		used := 0
		if c.once && how == "continued" {
			used = stats.Done + stats.Dead
		}
		c.budget.start(name, used, c.now())
		// A new pass has revived them, a continued one has tried them.
		if err := c.addSeeds(ctx, s, !c.once); err != nil {
			return fmt.Errorf("beginning pass over %s: %w", name, err)
		}
		if err := c.repace(ctx, s); err != nil {
			return fmt.Errorf("beginning pass over %s: %w", name, err)
		}
		c.prog.emit(Event{Kind: EventPass, Source: name, Reason: how})
		if err := c.recallWalls(ctx, s); err != nil {
			return fmt.Errorf("beginning pass: %w", err)
		}
		if err := c.recallDrift(ctx, s); err != nil {
			return fmt.Errorf("beginning pass: %w", err)
		}
	}
	return nil
}

// addSeeds adds the seeds of a source and, with revive, has those asked for
// again that were given up.
func (c *Crawler) addSeeds(ctx context.Context, s *Source, revive bool) error {
	var tasks []frontier.Task
	var ids []string
	for _, seed := range s.Seeds {
		k, err := c.task(s, Link{URL: seed})
		if err != nil {
			return fmt.Errorf("seed of %s: %w", s.Name, err)
		}
		if rule, ok := s.Rule(k.URL); ok {
			k.Page, k.Priority = rule.Name, rule.Priority
		}
		tasks, ids = append(tasks, k), append(ids, k.ID)
	}
	if _, err := c.opts.Frontier.Add(ctx, tasks...); err != nil {
		return fmt.Errorf("seeds of %s: %w", s.Name, err)
	}
	if !revive {
		return nil
	}
	if _, err := c.opts.Frontier.Revive(ctx, ids...); err != nil {
		return fmt.Errorf("seeds of %s: %w", s.Name, err)
	}
	return nil
}

func (c *Crawler) task(s *Source, l Link) (frontier.Task, error) {
	canonical, host, err := s.Canonical(l.URL)
	if err != nil {
		return frontier.Task{}, err
	}
	if s.URLs != nil && l.Page != "" {
		rule, ok := s.Rule(canonical) // may be another one than that of the link as written
		if !ok {
			return frontier.Task{}, fmt.Errorf("%s is %s in canonical form, which no page rule fits: add one, or change canonical", l.URL, canonical)
		}
		l.Page, l.Priority = rule.Name, rule.Priority
	}
	return frontier.Task{
		ID: frontier.ID(s.Name, canonical), URL: canonical, Host: host, Source: s.Name,
		Page: l.Page, Priority: l.Priority, Delay: s.Delay,
	}, nil
}

// warn logs a warning once per source and text.
func (c *Crawler) warn(source, text, url string) {
	const remembered = 10_000
	if c.warnedN.Load() >= remembered {
		return
	}
	if _, seen := c.warned.LoadOrStore(source+"\x00"+text, true); seen {
		return
	}
	c.warnedN.Add(1)
	c.log.Warn("page looks odd", "source", source, "warning", text, "url", url)
}
