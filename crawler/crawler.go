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
	// Unconditional fetches every page whole, without If-None-Match and
	// If-Modified-Since: for a sink that has lost what it was given.
	Unconditional bool
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

	sources  atomic.Pointer[map[string]*Source]
	once     bool
	prog     *progress
	hosts    hostHealth
	sink     sinkHealth
	walls    *wallWatch
	hits     hits
	budget   budgets
	growth   growth
	traps    traps
	refusals refusals
	wake     chan struct{}
	warned   sync.Map // source+warning → seen; bounded by warnedCount
	warnedN  atomic.Int64
}

// New makes a crawler of sources, whose names must differ.
func New(sources []*Source, opts Options) (*Crawler, error) {
	if opts.Frontier == nil || opts.Sink == nil {
		return nil, errors.New("making crawler: options need a frontier and a sink")
	}
	setDefaults(&opts)
	c := &Crawler{opts: opts, now: opts.Now, log: opts.Logger, wake: make(chan struct{}, 1)}
	rt := opts.Transport
	if rt == nil {
		t, err := transport.New(transport.Options{UserAgent: opts.UserAgent, Robots: true, Logger: opts.Logger})
		if err != nil {
			return nil, fmt.Errorf("making crawler: %w", err)
		}
		rt, c.trans = t, t
	}
	c.rt = newPacer(rt)
	c.hosts.byHost = map[string]*hostState{}
	c.walls = newWallWatch()
	c.budget.bySource = map[string]*budget{}
	c.growth.base = map[string]int{}
	c.traps.now = opts.Now
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

// SetSources replaces the sources, also while Run is at work, and adds the
// seeds of new ones; seeds that were given up are asked for again. Pages of a source no longer there are given up when their
// turn comes. After an error the old sources stay.
func (c *Crawler) SetSources(ctx context.Context, sources []*Source) error {
	old := c.sources.Load()
	if err := c.setSources(sources); err != nil {
		return fmt.Errorf("setting sources: %w", err)
	}
	for _, s := range sources {
		if err := c.addSeeds(ctx, s, true); err != nil {
			c.sources.Store(old)
			return fmt.Errorf("setting sources: %w", err)
		}
	}
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
	err := c.begin(ctx)
	if err == nil {
		err = c.dispatch(ctx)
	}
	c.writeRefusals(ctx)
	for name := range *c.sources.Load() {
		c.retain(ctx, name, true)
	}
	if c.trans != nil {
		c.trans.CloseIdleConnections()
	}
	s := c.prog.summary()
	s.Sites = len(*c.sources.Load())
	s.Duration = time.Since(started)
	s.Interrupted = ctx.Err() != nil
	return s, err
}

// begin starts or continues a pass over each source.
func (c *Crawler) begin(ctx context.Context) error {
	for name, s := range *c.sources.Load() {
		stats, err := c.opts.Frontier.Stats(ctx, name)
		if err != nil {
			return fmt.Errorf("beginning pass over %s: %w", name, err)
		}
		how := "continued"
		if c.once && stats.Waiting+stats.Leased == 0 {
			how = "new"
			if _, err := c.opts.Frontier.Restart(ctx, name); err != nil {
				return fmt.Errorf("beginning pass over %s: %w", name, err)
			}
			c.loadTraps(ctx, name)
			c.traps.newPass(name)
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
		c.prog.emit(Event{Kind: EventPass, Source: name, Reason: how})
		if err := c.recallWalls(ctx, s); err != nil {
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

// poke makes the dispatcher look again.
func (c *Crawler) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

const (
	gatherFor  = 5 * time.Millisecond
	pollEvery  = time.Second     // how often to look for what other processes added or freed
	tellWaits  = 5 * time.Second // shorter waits are not worth an event
	answerTime = 15 * time.Second
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
			wait = c.opts.Backoff.after(failures)
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
