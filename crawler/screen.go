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

// Budget bounds the pages of a pass, each 0 for no bound of its own. A page
// rule has its own bound, PageRule.MaxPages, and the source max_pages.
type Budget struct {
	Host    int `yaml:"host"`    // pages of any one host
	Depth   int `yaml:"depth"`   // pages at any one depth below the seeds
	Pattern int `yaml:"pattern"` // pages of any one form of URL, numbers and words aside
}

// budget checks the bounds.
func (c *sourceCheck) budget() {
	b := c.src.Budget
	for i, r := range c.src.Pages {
		if r != nil && r.MaxPages < 0 {
			c.add("max_pages is negative", "write how many such pages a pass may fetch, or leave it out", "pages", i, "max_pages")
		}
	}
	if b == nil {
		return
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"host", b.Host}, {"depth", b.Depth}, {"pattern", b.Pattern}} {
		if f.n < 0 {
			c.add(fmt.Sprintf("budget of %d pages", f.n), "write how many pages a pass may fetch, or 0 for no bound", "budget", f.name)
		}
	}
}

// spend takes one page from the budgets of a source, or says which is used up.
func (t *traps) spend(s *Source, l frontier.Lease, span time.Duration) (reason string, fresh time.Time) {
	rule, _ := s.Rule(l.URL)
	b := Budget{}
	if s.Budget != nil {
		b = *s.Budget
	}
	if b == (Budget{}) && (rule == nil || rule.MaxPages == 0) {
		return "", time.Time{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	st, now := t.of(s.Name), t.now()
	if st.since.IsZero() || span > 0 && now.Sub(st.since) >= span {
		clear(st.used)
		st.since = now
	}
	type bound struct {
		key, text string
		limit     int
	}
	pattern := shapeOf(l.URL, now).pattern
	bounds := []bound{
		{"host " + l.Host, "host " + l.Host, b.Host},
		{"depth " + strconv.Itoa(l.Depth), "depth " + strconv.Itoa(l.Depth), b.Depth},
		{"pattern " + strconv.FormatUint(hash64(pattern), 36), "pattern " + pattern, b.Pattern},
	}
	if rule != nil {
		bounds = append(bounds, bound{"page " + rule.Name, "page rule " + rule.Name, rule.MaxPages})
	}
	bounds = slices.DeleteFunc(bounds, func(x bound) bool { return x.limit == 0 || x.key == "depth 0" })
	for _, x := range bounds {
		if st.used[x.key] >= x.limit {
			return fmt.Sprintf("budget: %d pages of %s are fetched in this pass", x.limit, x.text), st.since.Add(span)
		}
	}
	for _, x := range bounds {
		if len(st.used) < maxFeatures || st.used[x.key] > 0 {
			st.used[x.key]++
		}
	}
	return "", time.Time{}
}

// admitted reports whether a leased task may be fetched as far as budgets and
// traps go; if not, it answers the lease. Seeds always may.
func (c *Crawler) admitted(ctx context.Context, s *Source, l frontier.Lease) bool {
	c.loadTraps(ctx, s.Name)
	if l.Parent == "" {
		return true
	}
	span := c.opts.Recrawl.Pass
	if c.once {
		span = 0
	}
	var reason string
	var again time.Time
	if l.Last.Status == 0 {
		reason = c.traps.judge(s.Name, l.URL)
		again = c.now().Add(c.opts.Recrawl.Max)
	}
	if reason == "" {
		reason, again = c.traps.spend(s, l, span)
	}
	if reason == "" {
		return true
	}
	if c.once {
		again = time.Time{}
	}
	c.givePage(ctx, s.Name)
	err := c.acked(ctx, func(ctx context.Context) error {
		_, err := c.opts.Frontier.Done(ctx, l, frontier.Outcome{Again: again, Reason: reason})
		return err
	})
	if err != nil {
		c.report("leaving out", l, err)
		return false
	}
	c.prog.refused(l, reason, again)
	c.refuse(ctx, refusal{l.Task, reason})
	return false
}

// takeIn gives the links of a page that are to be fetched, notes why others
// are not, and learns from the page what its kind is worth.
func (c *Crawler) takeIn(ctx context.Context, s *Source, l frontier.Lease, ex Extraction) []frontier.Task {
	kept, left, shown := c.traps.screen(s.Name, l.URL, c.found(ctx, s, l, ex.Links))
	c.refuse(ctx, left...)
	if l.Last.Status == 0 {
		c.traps.learn(s.Name, l, append(slices.Clone(ex.Posts), ex.Previews...), kept, shown)
		c.retain(ctx, s.Name, false)
	}
	tasks := make([]frontier.Task, len(kept))
	for i, k := range kept {
		tasks[i] = k.task
	}
	return tasks
}

// leaveOut notes why none of the links of a page is taken.
func (c *Crawler) leaveOut(ctx context.Context, s *Source, l frontier.Lease, links []Link, reason string) {
	left := make([]refusal, 0, len(links))
	for _, link := range links {
		if k, err := c.task(s, link); err == nil {
			k.Parent = l.URL
			left = append(left, refusal{k, reason})
		}
	}
	c.refuse(ctx, left...)
}

// refusals waits to be written. It is safe for concurrent use.
type refusals struct {
	mu      sync.Mutex
	waiting []frontier.Refusal
	written time.Time
	recent  generations[struct{}]
}

const (
	refusalBatch = 200
	refusalWait  = 2 * time.Second
)

// refuse notes links that are left out, for those who ask why. They are
// written in batches; the last few are lost when the process is killed.
func (c *Crawler) refuse(ctx context.Context, left ...refusal) {
	r := &c.refusals
	r.mu.Lock()
	now := time.Now()
	for _, x := range left {
		key := hash64(x.task.ID, x.reason)
		if _, known := r.recent.get(key); known || len(r.waiting) >= 10*refusalBatch {
			continue
		}
		r.recent.put(key, struct{}{})
		r.waiting = append(r.waiting, frontier.Refusal{ID: x.task.ID, URL: x.task.URL, Source: x.task.Source, Parent: x.task.Parent, Reason: x.reason})
	}
	due := len(r.waiting) >= refusalBatch || len(r.waiting) > 0 && now.Sub(r.written) >= refusalWait
	r.mu.Unlock()
	if due {
		c.writeRefusals(ctx)
	}
}

func (c *Crawler) writeRefusals(ctx context.Context) {
	r := &c.refusals
	r.mu.Lock()
	batch := r.waiting
	r.waiting, r.written = nil, time.Now()
	r.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	if c.opts.OnRefused != nil {
		for _, x := range batch {
			c.opts.OnRefused(x.Source, x.Reason)
		}
	}
	if err := c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Refuse(ctx, batch...) }); err != nil {
		c.log.Error("the reasons for links left out could not be written", "links", len(batch), "err", err)
	}
}

// loadTraps reads what an earlier run learned of a source.
func (c *Crawler) loadTraps(ctx context.Context, source string) {
	c.traps.mu.Lock()
	s := c.traps.of(source)
	loaded := s.loaded
	s.loaded = true
	c.traps.mu.Unlock()
	if loaded {
		return
	}
	notes, err := c.opts.Frontier.Notes(ctx, trapKey(source))
	if err != nil {
		c.log.Warn("what was learned of traps could not be read; it is learned again", "source", source, "err", err)
		return
	}
	c.traps.restore(source, notes[trapKey(source)])
}

// trapReason says why a URL would be left out by what was learned so far; ""
// when it would not.
func trapReason(ctx context.Context, f frontier.Frontier, s *Source, canonical string, now time.Time) (string, error) {
	notes, err := f.Notes(ctx, trapKey(s.Name))
	if err != nil {
		return "", err
	}
	t := traps{now: func() time.Time { return now }}
	t.restore(s.Name, notes[trapKey(s.Name)])
	sh := shapeOf(canonical, now)
	site := t.of(s.Name)
	for _, u := range []string{sh.bare, sh.core} {
		site.same.put(hash64(u), firstSeen{}) // the page itself is not kept; take it as known
	}
	return site.refuses(canonical, sh, false), nil
}

// newPass gives a source fresh budgets.
func (t *traps) newPass(source string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	clear(s.used)
	s.since = t.now()
}
