package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// work does one leased task: fetch, extract, sink, acknowledge. It returns an
// error only when the whole run must end.
func (c *Crawler) work(ctx context.Context, l frontier.Lease) error {
	started := time.Now()
	s := (*c.sources.Load())[l.Source]
	switch {
	case s == nil:
		c.dead(ctx, EventDead, l, 0, fmt.Sprintf("source %q is not configured (any more)", l.Source))
		return nil
	case l.Lost >= c.opts.MaxLost:
		c.dead(ctx, EventDead, l, 0, fmt.Sprintf("%d leases ran out unanswered: the page crashes or hangs what works on it", l.Lost))
		return nil
	}
	if !c.afford(ctx, s, l) || !c.admitted(ctx, s, l) {
		return nil
	}
	work, end := c.keep(ctx, l)
	pg, ex, err := c.read(work, s, l)
	c.vanished(l, &ex)
	if err == nil && pg.Status != http.StatusNotModified && ex.Blocked == "" && ex.Gone == "" {
		err = c.hand(work, ex.Posts)
	}
	var next revisit
	if err == nil && ex.Blocked == "" {
		err = guarded(func() (err error) {
			next, err = c.plan(work, s, l, pg, ex)
			return err
		})
	}
	end() // from here on the lease is answered, not prolonged
	return c.answer(ctx, s, l, pg, ex, next, err, started)
}

// read fetches and extracts under one guard against panics.
func (c *Crawler) read(ctx context.Context, s *Source, l frontier.Lease) (pg Page, ex Extraction, err error) {
	var marks conditional
	if !c.opts.Unconditional {
		marks = conditional{etag: l.Last.ETag, modified: l.Last.LastModified}
	}
	err = guarded(func() (err error) {
		if pg, err = c.fetch(ctx, s, l.URL, marks); err != nil {
			if scope := (*transport.ScopeError)(nil); errors.As(err, &scope) {
				if w, ok := s.behindRedirect(l.URL, scope.URL, Page{}); ok {
					ex.Blocked, ex.Wall = w.why, w.kind
					return nil
				}
			}
			return err
		}
		if pg.Status == http.StatusNotModified {
			return nil
		}
		if err := statusError(pg.Status); err != nil {
			return err
		}
		if final, _, err := s.Canonical(pg.URL); err == nil {
			pg.URL = final
		}
		ex, err = extractWithin(maxExtract, s, pg)
		if errors.Is(err, ErrNoRule) && pg.URL != l.URL {
			if w, ok := s.behindRedirect(l.URL, pg.URL, pg); ok {
				ex = Extraction{Blocked: w.why, Wall: w.kind}
				return nil
			}
			return &statusFailure{how: troubleFinal, text: "redirected to " + pg.URL + ", which no page rule fits"}
		}
		if p := (*panicError)(nil); errors.As(err, &p) {
			return err
		}
		if limit := (*LimitError)(nil); errors.As(err, &limit) && limit.Slow {
			return &statusFailure{how: troublePage, text: err.Error()}
		}
		if err != nil {
			return &statusFailure{how: troubleFinal, text: err.Error()}
		}
		return nil
	})
	return pg, ex, err
}

// maxExtract is how long a worker waits for the reading of one page. Ordinary
// pages take milliseconds, and Extract itself gives up after extractTime, so
// this is for what it may have overlooked.
const maxExtract = 30 * time.Second

// extractWithin gives up on a page that takes longer than limit.
func extractWithin(limit time.Duration, s *Source, pg Page) (Extraction, error) {
	type result struct {
		ex  Extraction
		err error
	}
	done := make(chan result, 1)
	go func() {
		roomy()
		var r result
		r.err = guarded(func() (err error) {
			r.ex, err = s.Extract(pg)
			return err
		})
		done <- r
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case r := <-done:
		return r.ex, r.err
	case <-t.C:
		return Extraction{}, fmt.Errorf("extracting %s (%d bytes) took longer than %v", pg.URL, len(pg.Body), limit)
	}
}

// roomy lets the stack of a new goroutine grow at once, while there is little in
// it to be moved.
//
//go:noinline
func roomy() byte {
	var room [8 << 10]byte
	return room[time.Now().Nanosecond()&0xfff]
}

// statusFailure is a failure whose treatment is known where it is found.
type statusFailure struct {
	how  trouble
	text string
}

func (e *statusFailure) Error() string { return e.text }

// statusError settles what needs no look at the page; the rest is Extract's.
func statusError(status int) error {
	text := fmt.Sprintf("status %d", status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	switch {
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return &statusFailure{how: troublePage, text: text}
	case status >= 500 && status != http.StatusServiceUnavailable && status != 521:
		return &statusFailure{how: troubleHost, text: text}
	case status >= 300 && status < 400:
		return &statusFailure{how: troubleFinal, text: text + ": redirects without end"}
	case status < 200:
		return &statusFailure{how: troublePage, text: text}
	}
	return nil
}

// sinkError marks an error of the sink.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return "sink: " + e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// hand gives the sound posts of a page to the sink.
func (c *Crawler) hand(ctx context.Context, posts []post.Post) error {
	if len(posts) == 0 {
		return nil
	}
	if err := guarded(func() error { return c.opts.Sink(ctx, posts) }); err != nil {
		return &sinkError{err}
	}
	c.sink.ok()
	return nil
}

// answer tells the frontier what became of the task.
func (c *Crawler) answer(ctx context.Context, s *Source, l frontier.Lease, pg Page, ex Extraction, next revisit, err error, started time.Time) error {
	var sunk *sinkError
	var status *statusFailure
	switch {
	case err != nil && ctx.Err() != nil:
		// Shutdown, not the page's fault.
		c.budget.giveBack(s.Name)
		c.report("releasing", l, c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Release(ctx, l) }))
	case errors.Is(err, context.Canceled):
		c.report("finishing", l, frontier.ErrStaleLease) // keep found the lease lost
	case errors.As(err, &sunk):
		return c.sinkFailed(ctx, l, pg, sunk)
	case errors.As(err, &status):
		c.fail(ctx, s, l, pg, status.how, status.text, err)
	case err != nil:
		if p := (*panicError)(nil); errors.As(err, &p) {
			c.log.Error("panic while reading a page", "url", l.URL, "source", l.Source, "panic", p.value, "stack", string(p.stack))
		}
		c.fail(ctx, s, l, pg, classify(err), err.Error(), err)
	case ex.Blocked != "" && ex.Blocked == statusText(pg.Status):
		how := troubleBlock
		if pg.Status == http.StatusUnauthorized || pg.Status == http.StatusForbidden || pg.Status == http.StatusUnavailableForLegalReasons {
			how = troubleHost // often one page only: a board for members
		}
		c.fail(ctx, s, l, pg, how, "blocked: "+ex.Blocked, nil)
	case ex.Blocked != "":
		c.walled(ctx, s, l, pg, ex)
	case ex.Gone != "":
		c.hosts.ok(l.Host)
		c.gone(ctx, l, pg, "gone: "+ex.Gone, next)
	default:
		c.passed(ctx, l)
		c.done(ctx, s, l, pg, ex, next, started)
	}
	return nil
}

func (c *Crawler) done(ctx context.Context, s *Source, l frontier.Lease, pg Page, ex Extraction, next revisit, started time.Time) {
	for _, w := range ex.Warnings {
		c.warn(s.Name, w, l.URL)
	}
	added := 0
	err := c.acked(ctx, func(ctx context.Context) (err error) {
		added, err = c.opts.Frontier.Done(ctx, l, next.out, next.tasks...)
		return err
	})
	if err != nil {
		c.report("acknowledging", l, err)
		return
	}
	took := time.Since(started)
	if pg.Status == http.StatusNotModified {
		c.prog.unchanged(l, took)
		return
	}
	c.prog.page(l, pg.Status, len(ex.Posts), added, len(ex.Warnings), took)
}

// fail gives a task back or up, and its host a rest when it needs one.
func (c *Crawler) fail(ctx context.Context, s *Source, l frontier.Lease, pg Page, how trouble, reason string, err error) {
	now := c.now()
	if how == troubleFinal {
		c.dead(ctx, EventDead, l, pg.Status, reason)
		return
	}
	until := now.Add(c.opts.Backoff.after(l.Tries + 1))
	if how != troublePage && how != troubleMember {
		n := c.hosts.fail(l.Host)
		asked := retryAt(pg.Header, err, now)
		if how == troubleBlock || n >= 3 || !asked.IsZero() {
			until = now.Add(c.opts.Backoff.after(n))
			if !asked.IsZero() {
				until = asked
			}
			c.rest(ctx, l.Host, until, reason)
		}
		if c.once && (n >= c.opts.GiveUp || n > 1 && robotsAway(err)) {
			c.giveUpHost(ctx, s, l, n, reason)
			c.dead(ctx, EventDead, l, pg.Status, fmt.Sprintf("%s (%s failed %d times in a row)", reason, l.Host, n))
			return
		}
	}
	c.retry(ctx, s, l, pg, how, until, reason)
}

// retry gives a task back until a moment, or up when it was tried often enough.
func (c *Crawler) retry(ctx context.Context, s *Source, l frontier.Lease, pg Page, how trouble, until time.Time, reason string) {
	if l.Tries+1 >= c.opts.MaxTries {
		if c.once || how == troublePage {
			c.dead(ctx, EventDead, l, pg.Status, fmt.Sprintf("%s (given up after %d tries)", reason, l.Tries+1))
			return
		}
		// The host's trouble is not the page's: it passes some day. A single page
		// at which its host fails for ever is asked for less and less.
		until = later(until, c.now().Add(c.patience(s, l).after(l.Tries+2-c.opts.MaxTries)))
	}
	e := c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Retry(ctx, l, until, reason) })
	if e != nil {
		c.report("giving back", l, e)
		return
	}
	c.prog.failure(EventRetry, l, pg.Status, reason, until)
}

// robotsAway tells that robots.txt could not be had, so that nothing of the
// host may be fetched. It is asked for every few minutes; a single pass does
// not wait for a third time.
func robotsAway(err error) bool {
	var re *transport.RobotsError
	return errors.As(err, &re) && re.Decision.Temporary
}

// patience says how the pauses of a page grow once its tries are used up:
// from Backoff.Max to Recrawl.Max. A seed, on which the whole site hangs, is
// asked for at each Backoff.Max.
func (c *Crawler) patience(s *Source, l frontier.Lease) Backoff {
	longest := max(c.opts.Recrawl.Max, c.opts.Backoff.Max)
	if c.isSeed(s, l) {
		longest = c.opts.Backoff.Max
	}
	return Backoff{Base: c.opts.Backoff.Max, Max: longest}
}

func (c *Crawler) isSeed(s *Source, l frontier.Lease) bool {
	for _, seed := range s.Seeds {
		if k, err := c.task(s, Link{URL: seed}); err == nil && k.ID == l.ID {
			return true
		}
	}
	return false
}

func (c *Crawler) rest(ctx context.Context, host string, until time.Time, reason string) {
	err := c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.BackOff(ctx, host, until, reason) })
	if err != nil {
		c.log.Error("the host's back-off could not be written", "host", host, "until", until, "err", err)
		return
	}
	c.log.Warn("host is left alone", "host", host, "until", until, "reason", reason)
	c.prog.emit(Event{Kind: EventBackOff, Host: host, Until: until, Reason: reason})
}

// giveUpHost ends the pass of a source whose host keeps failing: a single pass
// must end some day.
func (c *Crawler) giveUpHost(ctx context.Context, s *Source, l frontier.Lease, n int, reason string) {
	left := 0
	err := c.acked(ctx, func(ctx context.Context) (err error) {
		left, err = c.opts.Frontier.Finish(ctx, s.Name)
		return err
	})
	if err != nil {
		c.log.Error("ending the pass of a failing source", "source", s.Name, "err", err)
		return
	}
	c.log.Warn("pass ended early", "source", s.Name, "host", l.Host, "failures", n, "left", left, "reason", reason)
	c.prog.skipped(s.Name, left, fmt.Sprintf("%s failed %d times in a row (%s); the pass over this source is ended, %d pages are left for the next", l.Host, n, reason, left))
}

// dead gives a page up: for good, or in a crawl without end until Recrawl.Max
// has passed when the page is a seed or was fetched before. Sites answer 404 to
// everything while they are being moved, and forbid everything by mistake.
func (c *Crawler) dead(ctx context.Context, kind EventKind, l frontier.Lease, status int, reason string) {
	var again time.Time
	if s := (*c.sources.Load())[l.Source]; !c.once && s != nil && (l.Last.Status != 0 || c.isSeed(s, l)) {
		again = c.now().Add(c.opts.Recrawl.Max)
	}
	err := c.acked(ctx, func(ctx context.Context) (err error) {
		if again.IsZero() {
			return c.opts.Frontier.Dead(ctx, l, reason)
		}
		_, err = c.opts.Frontier.Done(ctx, l, frontier.Outcome{Again: again, Reason: reason})
		return err
	})
	if err != nil {
		c.report("giving up", l, err)
		return
	}
	c.prog.failure(kind, l, status, reason, again)
}

// sinkFailed pauses the crawl. The page counts a try only when the sink took
// other pages just before, so that an outage of the store kills no page, and a
// page whose posts the store will never take does not stop the others.
func (c *Crawler) sinkFailed(ctx context.Context, l frontier.Lease, pg Page, err error) error {
	c.budget.giveBack(l.Source)
	pause := Backoff{Base: c.opts.Backoff.Base / 16, Max: max(c.opts.Backoff.Base, time.Minute)}
	n, until := c.sink.fail(pause.after)
	c.log.Error("the sink refused posts; the page is kept for later", "url", l.URL, "err", err, "failures", n)
	c.prog.emit(Event{Kind: EventSink, Source: l.Source, Host: l.Host, URL: l.URL, Reason: err.Error(), Until: until})
	switch {
	case n > 1:
		c.report("releasing", l, c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Release(ctx, l) }))
	case l.Tries+1 >= c.opts.MaxTries:
		c.dead(ctx, EventDead, l, pg.Status, fmt.Sprintf("%v (given up after %d tries)", err, l.Tries+1))
	default:
		again := c.now().Add(c.opts.Backoff.after(l.Tries + 1))
		e := c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Retry(ctx, l, again, err.Error()) })
		c.report("giving back", l, e)
		if e == nil {
			c.prog.failure(EventRetry, l, pg.Status, err.Error(), again)
		}
	}
	if c.once && n >= c.opts.GiveUp {
		return fmt.Errorf("giving up after %d failures in a row: %w", n, err)
	}
	return nil
}

// afford reports whether the source may fetch one more page; if not, it
// answers the lease.
func (c *Crawler) afford(ctx context.Context, s *Source, l frontier.Lease) bool {
	span := c.opts.Recrawl.Pass
	if c.once {
		span = 0
	}
	ok, fresh := c.budget.take(s.Name, s.MaxPages, span, c.now())
	if ok {
		return true
	}
	if !c.once {
		reason := fmt.Sprintf("max_pages: %d pages in %v are fetched", s.MaxPages, span)
		c.rest(ctx, l.Host, fresh, reason)
		c.report("releasing", l, c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Release(ctx, l) }))
		return false
	}
	left := 0
	err := c.acked(ctx, func(ctx context.Context) (err error) {
		if left, err = c.opts.Frontier.Finish(ctx, s.Name); err != nil {
			return err
		}
		_, err = c.opts.Frontier.Done(ctx, l, frontier.Outcome{})
		return err
	})
	if err != nil {
		c.report("ending the pass", l, err)
		return false
	}
	c.prog.skipped(s.Name, left+1, fmt.Sprintf("max_pages: %d pages are fetched; %d are left for the next pass", s.MaxPages, left+1))
	return false
}

// keep prolongs the lease until end is called. The context it returns ends
// early when the lease is lost: another worker has the task then.
func (c *Crawler) keep(ctx context.Context, l frontier.Lease) (work context.Context, end func()) {
	work, cancel := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(c.opts.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-work.Done():
				return
			case <-tick.C:
			}
			_, err := c.opts.Frontier.Extend(work, l, c.opts.Lease)
			if errors.Is(err, frontier.ErrStaleLease) {
				c.log.Warn("lease lost while the page was in work", "url", l.URL)
				cancel()
				return
			}
		}
	}()
	return work, func() { cancel(); <-gone }
}

// acked makes an answer to the frontier, which must arrive also during
// shutdown, and tries it again when the frontier fails for the moment.
func (c *Crawler) acked(ctx context.Context, answer func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause *= 4 {
		err = answer(ctx)
		if err == nil || errors.Is(err, frontier.ErrStaleLease) || pause > 2*time.Second {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// report logs an answer that did not arrive. Nothing is lost by it: the lease
// runs out and the page is done again, with the same ids.
func (c *Crawler) report(doing string, l frontier.Lease, err error) {
	switch {
	case err == nil:
	case errors.Is(err, frontier.ErrStaleLease):
		c.log.Warn("another worker has taken the page over", "doing", doing, "url", l.URL)
	default:
		c.log.Error("the frontier did not take an answer; the page will be done again", "doing", doing, "url", l.URL, "err", err)
		c.prog.emit(Event{Kind: EventFrontier, Source: l.Source, Host: l.Host, URL: l.URL, Reason: err.Error()})
	}
}
