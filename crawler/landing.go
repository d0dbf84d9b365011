package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/andybalholm/cascadia"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// landingPage is Task.Page of a page that an ad leads to. It is fetched once,
// under the same guard and robots.txt as every page, and nothing on it is
// followed: an ad may say where one look goes, not where the crawl does.
const landingPage = "@landing"

// landingRule reads such a page: all that a visitor sees is the ad.
var landingRule = &PageRule{
	Name: landingPage, Format: formatHTML, match: regexp.MustCompile(``),
	Posts: []PostRule{{
		kind:  post.KindAd,
		Title: &Field{FieldSpec{Select: "title", sel: cascadia.MustCompile("title")}},
		Text:  &Field{FieldSpec{Select: "body", sel: cascadia.MustCompile("body")}},
	}},
}

// ExtractLanding reads a page that an ad on the page parent led to: a post of
// kind ad, whose ThreadURL is parent. The error says why there is none: a
// status, a wall, a limit, or a page without anything to read.
func (s *Source) ExtractLanding(pg Page, parent string) (post.Post, error) {
	fail := func(err error) (post.Post, error) {
		return post.Post{}, fmt.Errorf("reading landing page %s: %w", pg.URL, err)
	}
	canonical, _, err := Canonical(pg.URL)
	if err != nil {
		return fail(err)
	}
	u, err := url.Parse(canonical)
	if err != nil {
		return fail(err)
	}
	// The site's own marks and selectors say nothing of another's page.
	bare := &Source{Name: s.Name, Type: s.Type, loc: s.loc}
	x, err := bare.extractBy(landingRule, u, pg)
	switch {
	case err != nil:
		return fail(err)
	case x.out.Blocked != "":
		return fail(fmt.Errorf("blocked: %s", x.out.Blocked))
	case x.out.Gone != "":
		return fail(fmt.Errorf("gone: %s", x.out.Gone))
	case len(x.out.Posts) == 0:
		return fail(errors.New("there is nothing to read"))
	}
	p := x.out.Posts[0]
	p.Text = withAlts(p.Text, p.Images, nil)
	p.ID = post.NewID(s.Name, "landing:"+canonical)
	p.URL, p.ThreadURL = canonical, parent
	if err := p.Validate(); err != nil {
		return fail(err)
	}
	return p, nil
}

// landings counts the pages behind ads. It is safe for concurrent use.
type landings struct {
	mu    sync.Mutex
	day   string
	added map[string]int // source and rule → tasks made today
}

// landingNote is what the frontier remembers of a day's landing pages.
type landingNote struct {
	Day string `json:"d"`
	N   int    `json:"n"` // fetched
}

func landingKeyOf(s *Source, r *PageRule) string { return "landing:" + s.Name + ":" + r.Name }

// mayAdd reports whether one more task may be made today, and counts it.
func (b *landings) mayAdd(key, day string, limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.day != day {
		b.day, b.added = day, map[string]int{}
	}
	if b.added[key] >= limit {
		return false
	}
	b.added[key]++
	return true
}

// landingTasks makes tasks of the pages that the ads of a page lead to, as far
// as they are new and the day's budget goes.
func (c *Crawler) landingTasks(ctx context.Context, s *Source, l frontier.Lease, ex Extraction) []frontier.Task {
	rule, ok := s.Rule(l.URL)
	if len(ex.Landings) == 0 || !ok || rule.Ads == nil {
		return nil
	}
	day := c.now().In(s.loc).Format(time.DateOnly)
	var out []frontier.Task
	for _, target := range ex.Landings {
		canonical, host, err := Canonical(target)
		if err != nil {
			continue
		}
		id := frontier.ID(s.Name, canonical)
		if _, err := c.opts.Frontier.Lookup(ctx, id); !errors.Is(err, frontier.ErrUnknown) {
			continue // known, or not to be known now: the ad is shown again
		}
		if !c.landings.mayAdd(landingKeyOf(s, rule), day, rule.Ads.Landing) {
			break
		}
		out = append(out, frontier.Task{ID: id, URL: canonical, Host: host, Source: s.Name, Page: landingPage, Depth: s.MaxDepth, Parent: l.URL, Delay: s.Delay})
	}
	return out
}

// landingCall is what a fetch of a landing page may do.
type landingCall struct {
	ads    *AdSlots
	parent string
}

type landingCallKey struct{}

// policyFor is the policy of a page, or of a landing page when ctx is for one.
// The site's headers, cookies and private addresses are none of its business;
// it is reached the same way.
func (c *Crawler) policyFor(ctx context.Context, s *Source) (transport.HostPolicy, error) {
	site, err := c.policy(s)
	call, ok := ctx.Value(landingCallKey{}).(landingCall)
	if err != nil || !ok {
		return site, err
	}
	p := transport.HostPolicy{Hosts: []string{"*"}, RefuseBinary: true}
	if len(call.ads.Hosts) > 0 {
		p = policyOf(&Source{Hosts: call.ads.Hosts, AllowPrivate: s.AllowPrivate})
	}
	p.Proxy, p.ProxyResolves, p.UserAgent, p.Jar = site.Proxy, site.ProxyResolves, site.UserAgent, newJar()
	return p, nil
}

// parentOf tells on which page the ad stood that a fetch under ctx is for.
func parentOf(ctx context.Context) string {
	call, _ := ctx.Value(landingCallKey{}).(landingCall)
	return call.parent
}

// workLanding does the leased task of a landing page. What fails there is tried
// no more and says nothing about the site or its host.
func (c *Crawler) workLanding(ctx context.Context, s *Source, l frontier.Lease, started time.Time) error {
	rule, ok := s.Rule(l.Parent)
	switch {
	case l.Last.Status != 0:
		c.passLanding(ctx, l, frontier.Outcome{Status: l.Last.Status}, "")
		return nil
	case !ok || rule.Ads == nil || rule.Ads.Landing == 0:
		c.passLanding(ctx, l, frontier.Outcome{}, "ads.landing is off")
		return nil
	}
	if !c.affordLanding(ctx, s, rule, l) {
		return nil
	}
	work, end := c.keep(ctx, l)
	var pg Page
	err := guarded(func() (err error) {
		if pg, err = c.fetch(context.WithValue(work, landingCallKey{}, landingCall{rule.Ads, l.Parent}), s, l.URL, conditional{}); err != nil {
			return err
		}
		p, err := s.ExtractLanding(pg, l.Parent)
		if err != nil {
			return err
		}
		return c.hand(work, []post.Post{p})
	})
	end()
	var sunk *sinkError
	switch {
	case err != nil && ctx.Err() != nil:
		c.report("releasing", l, c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Release(ctx, l) }))
	case errors.Is(err, context.Canceled):
		c.report("finishing", l, frontier.ErrStaleLease)
	case errors.As(err, &sunk):
		return c.sinkFailed(ctx, l, pg, sunk)
	case err != nil:
		if asked := retryAt(pg.Header, err, c.now()); !asked.IsZero() {
			c.rest(ctx, l.Host, asked, "landing page: "+err.Error())
		}
		c.dead(ctx, EventDead, l, pg.Status, "landing page: "+err.Error())
	default:
		c.done(ctx, s, l, pg, Extraction{Posts: make([]post.Post, 1)}, revisit{out: frontier.Outcome{Status: pg.Status}}, started)
	}
	return nil
}

// affordLanding takes one page off the day's budget; if there is none left, it
// answers the lease.
func (c *Crawler) affordLanding(ctx context.Context, s *Source, rule *PageRule, l frontier.Lease) bool {
	c.landings.mu.Lock()
	defer c.landings.mu.Unlock()
	now := c.now().In(s.loc)
	key, day := landingKeyOf(s, rule), now.Format(time.DateOnly)
	notes, err := c.opts.Frontier.Notes(ctx, key)
	if err == nil {
		note := readNote[landingNote](notes[key])
		if note.Day != day {
			note = landingNote{Day: day}
		}
		if note.N < rule.Ads.Landing {
			note.N++
			err = c.opts.Frontier.Note(ctx, map[string]string{key: writeNote(note)})
			if err == nil {
				return true
			}
		}
	}
	out, reason := frontier.Outcome{}, fmt.Sprintf("ads.landing: %d pages behind ads were fetched today", rule.Ads.Landing)
	if err != nil {
		reason = "ads.landing: the day's budget could not be read: " + err.Error()
	}
	if !c.once {
		y, m, d := now.Date()
		out.Again = time.Date(y, m, d+1, 0, 0, 0, 0, s.loc)
	}
	c.passLanding(ctx, l, out, reason)
	return false
}

// passLanding answers the lease of a landing page that is not fetched.
func (c *Crawler) passLanding(ctx context.Context, l frontier.Lease, out frontier.Outcome, reason string) {
	out.Reason = reason
	err := c.acked(ctx, func(ctx context.Context) error {
		_, err := c.opts.Frontier.Done(ctx, l, out)
		return err
	})
	if err != nil {
		c.report("leaving out a landing page", l, err)
		return
	}
	if reason != "" {
		c.prog.refused(l, reason, out.Again)
	}
}
