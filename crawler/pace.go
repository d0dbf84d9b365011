package crawler

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// maxCrawlDelay bounds the Crawl-delay of a robots.txt that is obeyed: a
// hostile value must not hold a worker for ever.
const maxCrawlDelay = time.Minute

type tripKey struct{}

// A trip is the way to one page: its own requests, those for the robots.txt
// of each host on it, and the steps of redirects. It is safe for concurrent
// use: a robots.txt is fetched beside the request that waits for it.
type trip struct {
	delay time.Duration

	mu       sync.Mutex
	turn     string         // host whose turn was waited for and is not used yet
	at       time.Time      // when that turn came
	requests map[string]int // host → requests that went over the wire
}

func newTrip(delay time.Duration) *trip {
	return &trip{delay: delay, requests: map[string]int{}}
}

// pacer keeps two requests of this process to one host a delay apart, from the
// end of one to the start of the next, so that the host itself never sees them
// closer, however long they were under way. The delay is the source's, or the
// Crawl-delay of the host's robots.txt when that is longer. It is safe for
// concurrent use.
type pacer struct {
	next   http.RoundTripper
	waited func(source string, d time.Duration) // told of each wait; nil: nobody

	mu    sync.Mutex
	hosts map[string]*hostPace
}

type hostPace struct {
	last  time.Time     // start of the last request, or its end once it is known; may lie ahead
	asked time.Duration // Crawl-delay, at most maxCrawlDelay
}

func newPacer(next http.RoundTripper) *pacer {
	return &pacer{next: next, hosts: map[string]*hostPace{}}
}

// RoundTrip waits for the host's turn and makes the request. The turn is for
// the first request that goes over the wire, which is that for robots.txt when
// the transport has to fetch it; the page then waits for another one.
func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	t, ok := req.Context().Value(tripKey{}).(*trip)
	if !ok {
		return p.next.RoundTrip(req)
	}
	_, host, err := Canonical(req.URL.String())
	if err != nil {
		return p.next.RoundTrip(req) // which will refuse it
	}
	if err := p.wait(req.Context(), host, t.delay); err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.turn, t.at = host, time.Now()
	t.mu.Unlock()
	defer p.ended(host)
	return p.next.RoundTrip(req)
}

// turn is the transport.Turn of a trip.
func (p *pacer) turn(ctx context.Context, u *url.URL, crawlDelay time.Duration) error {
	t, ok := ctx.Value(tripKey{}).(*trip)
	if !ok {
		return nil
	}
	_, host, err := Canonical(u.String())
	if err != nil {
		return nil // the transport has checked it already
	}
	if crawlDelay > 0 {
		p.ask(host, min(crawlDelay, maxCrawlDelay))
	}
	t.mu.Lock()
	// A turn spent on waiting for a robots.txt that others fetch is over.
	held := t.turn == host && (t.delay == 0 || time.Since(t.at) < t.delay)
	t.turn = ""
	t.requests[host]++
	t.mu.Unlock()
	if held {
		return nil
	}
	p.ended(host) // whatever was made before this one has been answered
	return p.wait(ctx, host, t.delay)
}

// ended says that a request to host ended now.
func (p *pacer) ended(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h, now := p.of(host), time.Now(); now.After(h.last) {
		h.last = now
	}
}

func (p *pacer) ask(host string, crawlDelay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(host).asked = crawlDelay
}

// of finds or makes the state of a host; p.mu is held.
func (p *pacer) of(host string) *hostPace {
	if h := p.hosts[host]; h != nil {
		return h
	}
	if len(p.hosts) > 1000 {
		for name, h := range p.hosts {
			if time.Since(h.last) > 24*time.Hour { // longer than any delay
				delete(p.hosts, name)
			}
		}
	}
	h := &hostPace{}
	p.hosts[host] = h
	return h
}

func (p *pacer) wait(ctx context.Context, host string, delay time.Duration) error {
	p.mu.Lock()
	h := p.of(host)
	delay = max(delay, h.asked)
	start := time.Now()
	if free := h.last.Add(delay); delay > 0 && free.After(start) {
		start = free
	}
	h.last = start
	p.mu.Unlock()
	left := time.Until(start)
	if left <= 0 {
		return nil
	}
	if v, ok := VisitOf(ctx); ok && p.waited != nil {
		p.waited(v.Source, left)
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type leasedKey struct{}

// withLeased notes when a page was handed out: the frontier counts the host's
// delay from there.
func (c *Crawler) withLeased(ctx context.Context, l frontier.Lease) context.Context {
	return context.WithValue(ctx, leasedKey{}, l.Expires.Add(-c.opts.Lease))
}

// tellPace tells the frontier what it cannot know of a trip: requests beyond
// the one it handed out, one that ended so late that another process, counting
// from the hand-out, would come too soon, and a Crawl-delay longer than the
// source's delay. It is called while the page is still leased, so that no other
// process comes between. With other processes at work it always tells when the
// last request ended.
func (c *Crawler) tellPace(ctx context.Context, t *trip) {
	if c.opts.Frontier == nil {
		return // a Fetcher: this process alone keeps the pace
	}
	late := false
	if at, ok := ctx.Value(leasedKey{}).(time.Time); ok {
		late = c.now().Sub(at) > t.delay/20
	}
	ctx = context.WithoutCancel(ctx)
	t.mu.Lock()
	requests := maps.Clone(t.requests)
	t.mu.Unlock()
	for host, n := range requests {
		c.rt.mu.Lock()
		h := *c.rt.of(host)
		c.rt.mu.Unlock()
		until := h.last.Add(max(t.delay, h.asked))
		if !c.opts.Shared && n < 2 && len(requests) == 1 && h.asked <= t.delay && !late || !until.After(time.Now()) {
			continue
		}
		err := c.acked(ctx, func(ctx context.Context) error {
			return c.opts.Frontier.BackOff(ctx, host, until, "delay after further requests")
		})
		if err != nil {
			c.log.Error("the host's delay could not be written", "host", host, "until", until, "err", err)
		}
	}
}
