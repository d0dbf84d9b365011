package transport

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Reasons of a Decision.
const (
	ReasonOff         = "off"         // Options.Robots is false
	ReasonOverride    = "override"    // HostPolicy.RobotsOverride
	ReasonRule        = "rule"        // Rule at Line decided
	ReasonNoRule      = "no rule"     // the file has nothing on the URL: allowed
	ReasonNoFile      = "no file"     // 4xx, or redirects without end: allowed
	ReasonUnreachable = "unreachable" // 5xx, 429 or no answer: forbidden for now
	ReasonSelf        = "self"        // robots.txt itself may always be fetched
)

// Decision says whether robots.txt lets a URL be fetched, and why: enough to
// explain it years later beside the fetched page.
type Decision struct {
	Allowed    bool
	Temporary  bool          // forbidden only until robots.txt can be had again, not before RetryAt
	URL        string        // what was asked about
	Reason     string        // one of the Reason constants
	Override   string        // the named reason, for ReasonOverride
	Group      string        // user-agent of the group that bound us; "" for none
	Rule       string        // as written, "Disallow: /x"; for ReasonRule
	Line       int           // line of Rule in the file, from 1
	RobotsURL  string        // where the file came from, after redirects
	Status     int           // of its last fetch; 0 when there was no answer
	SHA256     string        // hex, of the file the rule is from; "" for none
	FetchedAt  time.Time     // of that file
	Stale      bool          // the file is an older copy, the site's server fails now
	RetryAt    time.Time     // when robots.txt will be asked for again
	CrawlDelay time.Duration // least time between two requests; 0 when the file names none
	Sitemaps   []string      // as written; read only

	err error // why the file could not be had
}

// String explains the decision in one line.
func (d Decision) String() string {
	verdict := "allowed"
	if !d.Allowed {
		verdict = "forbidden"
	}
	switch d.Reason {
	case ReasonOverride:
		return fmt.Sprintf("%s: %s by override: %s", d.URL, verdict, d.Override)
	case ReasonRule:
		stale := ""
		if d.Stale {
			stale = " (copy of " + d.FetchedAt.UTC().Format(time.RFC3339) + ", the server fails now)"
		}
		return fmt.Sprintf("%s: %s by %q, line %d of %s, group %q%s", d.URL, verdict, d.Rule, d.Line, d.RobotsURL, d.Group, stale)
	case ReasonUnreachable:
		why := fmt.Sprintf("status %d", d.Status)
		if d.err != nil {
			why = d.err.Error()
		}
		return fmt.Sprintf("%s: %s until %s can be read (%s); asked again after %s", d.URL, verdict, d.RobotsURL, why, d.RetryAt.UTC().Format(time.RFC3339))
	case ReasonNoFile:
		return fmt.Sprintf("%s: %s, %s answers %d", d.URL, verdict, d.RobotsURL, d.Status)
	}
	return fmt.Sprintf("%s: %s (%s)", d.URL, verdict, d.Reason)
}

const (
	robotsFresh     = 24 * time.Hour      // RFC 9309 §2.4
	robotsRetry     = 5 * time.Minute     // after a failure
	robotsKeepRetry = time.Second         // after OnBody failed: the site is not to blame
	robotsKeepGood  = 30 * 24 * time.Hour // how long a copy stands in for a failing server, §2.3.1.4
	robotsRedirects = 5                   // §2.3.1.2
	robotsOrigins   = 20000
	robotsMemory    = 64 << 20 // bytes of rules held over all origins
)

// robotsCache holds one robots.txt per origin and egress, least recently used
// ones dropped first. Each is fetched once, however many ask.
type robotsCache struct {
	t *Transport

	mu      sync.Mutex
	entries map[string]*list.Element // of *robotsEntry
	used    *list.List               // front: used last
	bytes   int                      // memory of all rules
}

type robotsEntry struct {
	key     string
	loading chan struct{} // closed when the running fetch ends; nil when none runs
	last    *robotsFetch  // what the last fetch gave; nil before the first
	good    *robotsFetch  // the last one with a file or a "no file"
}

// robotsFetch is the outcome of one fetch. It is read only once made.
type robotsFetch struct {
	file    *robotsFile // nil: unreachable
	noFile  bool        // file is empty because the site has none
	url     string
	status  int
	sum     string
	at      time.Time
	expires time.Time
	err     error
}

func newRobotsCache(t *Transport) *robotsCache {
	return &robotsCache{t: t, entries: make(map[string]*list.Element), used: list.New()}
}

// decide answers for one URL. The error is that of ctx.
func (c *robotsCache) decide(ctx context.Context, u *url.URL, p HostPolicy) (Decision, error) {
	d := Decision{Allowed: true, URL: u.Redacted()}
	if !c.t.opts.Robots {
		d.Reason = ReasonOff
		return d, nil
	}
	if p.RobotsOverride != "" {
		d.Reason, d.Override = ReasonOverride, p.RobotsOverride
		c.t.opts.Logger.InfoContext(ctx, "robots.txt overridden", "url", d.URL, "reason", p.RobotsOverride)
		return d, nil
	}
	if u.EscapedPath() == "/robots.txt" && u.RawQuery == "" {
		d.Reason = ReasonSelf
		return d, nil
	}
	last, good, err := c.get(ctx, u, p)
	if err != nil {
		return Decision{URL: d.URL, Reason: ReasonUnreachable, err: err}, err
	}
	return explain(d, robotsPath(u), last, good, c.t.opts.Now()), nil
}

// robotsPath is the part of a URL that rules are about.
func robotsPath(u *url.URL) string {
	path := u.EscapedPath()
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	return path
}

// explain applies a fetch, or the older good one, to a URL's path and query.
func explain(d Decision, path string, last, good *robotsFetch, now time.Time) Decision {
	d.RobotsURL, d.Status, d.RetryAt = last.url, last.status, last.expires
	use := last
	if last.file == nil {
		d.err = last.err
		if good == nil || now.Sub(good.at) > robotsKeepGood {
			d.Allowed, d.Temporary, d.Reason = false, true, ReasonUnreachable
			return d
		}
		use, d.Stale, d.RobotsURL = good, true, good.url
	}
	d.FetchedAt, d.SHA256 = use.at, use.sum
	d.CrawlDelay, d.Sitemaps, d.Group = use.file.delay, use.file.sitemaps, use.file.group
	if use.noFile {
		d.Reason = ReasonNoFile
		return d
	}
	rule := use.file.test(path)
	if rule == nil {
		d.Reason = ReasonNoRule
		return d
	}
	d.Allowed, d.Reason, d.Line, d.Rule = rule.allow, ReasonRule, rule.line, "Disallow: "+rule.raw
	if rule.allow {
		d.Rule = "Allow: " + rule.raw
	}
	return d
}

// get gives the last and the last good fetch for an origin, waiting for a
// fetch when there is none that holds.
func (c *robotsCache) get(ctx context.Context, u *url.URL, p HostPolicy) (last, good *robotsFetch, err error) {
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return nil, nil, &ScopeError{URL: u.Redacted(), Reason: err.Error()}
	}
	origin := robotsOrigin(u, host)
	product := c.t.robotsProduct(p)
	key := u.Scheme + "://" + host + " " + portOf(u) + " " + product + " " + p.egressKey()
	c.mu.Lock()
	e := c.entry(key)
	if e.last != nil && c.t.opts.Now().Before(e.last.expires) {
		defer c.mu.Unlock()
		return e.last, e.good, nil
	}
	if e.loading == nil {
		e.loading = make(chan struct{})
		// The fetch serves all who wait, so it outlives the first of them.
		go c.load(context.WithoutCancel(ctx), e, origin, p)
	}
	wait := e.loading
	c.mu.Unlock()
	select {
	case <-wait:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("waiting for robots.txt of %s: %w", origin.Host, ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.last, e.good, nil
}

// entry finds or makes the entry for key; c.mu is held.
func (c *robotsCache) entry(key string) *robotsEntry {
	if el := c.entries[key]; el != nil {
		c.used.MoveToFront(el)
		return el.Value.(*robotsEntry)
	}
	e := &robotsEntry{key: key}
	c.entries[key] = c.used.PushFront(e)
	return e
}

// load fetches for one entry and wakes those who wait.
func (c *robotsCache) load(ctx context.Context, e *robotsEntry, origin *url.URL, p HostPolicy) {
	f, body := c.fetch(ctx, origin, p)
	name := origin.Scheme + "://" + origin.Host
	var kept *robotsFetch
	c.mu.Lock()
	known := e.good != nil
	c.mu.Unlock()
	switch {
	case f.file != nil:
		c.saveRobots(ctx, name, f, body)
	case !known:
		kept = c.loadRobots(ctx, name, p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= e.cost()
	e.last = f
	switch {
	case f.file != nil:
		e.good = f
	case kept != nil:
		e.good = kept
	}
	c.bytes += e.cost()
	close(e.loading)
	e.loading = nil
	c.evict()
}

func (e *robotsEntry) cost() int {
	if e.good == nil {
		return 0
	}
	return e.good.file.size
}

// evict drops the least recently used; c.mu is held.
func (c *robotsCache) evict() {
	for el := c.used.Back(); el != nil && (c.used.Len() > robotsOrigins || c.bytes > robotsMemory); {
		e, previous := el.Value.(*robotsEntry), el.Prev()
		if e.loading == nil {
			c.bytes -= e.cost()
			delete(c.entries, e.key)
			c.used.Remove(el)
		}
		el = previous
	}
}

// fetch asks for robots.txt, following redirects, and sorts the answer by
// RFC 9309 §2.3.1. It goes through the same guard as everything else.
func (c *robotsCache) fetch(ctx context.Context, origin *url.URL, p HostPolicy) (f *robotsFetch, file []byte) {
	ctx, cancel := context.WithTimeout(ctx, c.t.opts.Timeouts.Total)
	defer cancel()
	f = &robotsFetch{url: origin.String(), at: c.t.opts.Now()}
	target := origin
	for hop := 0; ; hop++ {
		f.url = target.Redacted()
		resp, body, err := c.fetchOnce(ctx, target, origin, p)
		if kept := (*KeepError)(nil); errors.As(err, &kept) {
			return f.unreachable(err, robotsKeepRetry), nil
		}
		if err != nil {
			return f.unreachable(err, robotsRetry), nil
		}
		f.status = resp.StatusCode
		switch {
		case resp.StatusCode >= 200 && resp.StatusCode < 300:
			sum := sha256.Sum256(body)
			f.sum = hex.EncodeToString(sum[:])
			f.file = parseRobots(body, c.t.robotsProduct(p))
			f.expires = f.at.Add(robotsFresh)
			return f, body
		case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
			return f.unreachable(fmt.Errorf("%s answers %d", f.url, f.status), retryAfter(resp.Header, f.at)), nil
		}
		next, err := redirectTarget(resp, target)
		if err != nil {
			return f.unreachable(err, robotsRetry), nil
		}
		if next == nil || hop == robotsRedirects {
			f.file, f.noFile, f.expires = &robotsFile{}, true, f.at.Add(robotsFresh)
			return f, nil
		}
		target = next
	}
}

func (f *robotsFetch) unreachable(err error, wait time.Duration) *robotsFetch {
	f.err, f.expires = fmt.Errorf("fetching robots.txt: %w", err), f.at.Add(wait)
	return f
}

// redirectTarget gives nil when the answer is not a redirect to follow.
func redirectTarget(resp *http.Response, from *url.URL) (*url.URL, error) {
	location := resp.Header.Get("Location")
	if resp.StatusCode < 300 || resp.StatusCode >= 400 || location == "" {
		return nil, nil
	}
	next, err := from.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("following a redirect of robots.txt: %w", err)
	}
	next.Fragment = ""
	return next, nil
}

// retryAfter reads Retry-After, kept between the usual wait and a day.
func retryAfter(h http.Header, now time.Time) time.Duration {
	wait := robotsRetry
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := time.ParseDuration(value + "s"); err == nil && isDigits(value) {
		wait = seconds
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	} else if isDigits(value) {
		wait = robotsFresh // more seconds than a duration holds
	}
	return min(max(wait, robotsRetry), robotsFresh)
}

// fetchOnce sends one request for robots.txt. It may leave the site's hosts
// (example.com often sends to www.example.com), but then without the site's
// headers and cookies.
func (c *robotsCache) fetchOnce(ctx context.Context, u, origin *url.URL, p HostPolicy) (*http.Response, []byte, error) {
	scope := p
	if u.Host != origin.Host {
		scope.Hosts = append([]string{"*"}, p.Hosts...)
	}
	exact, err := checkScope(u, scope)
	if err != nil {
		return nil, nil, err
	}
	if u.Host != origin.Host && !exact {
		scope.Jar, scope.SecretHeader = nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("making the request: %w", err)
	}
	if err := waitTurn(ctx, u, 0); err != nil {
		return nil, nil, err
	}
	resp, raw, err := c.t.fetch(c.t.outgoing(req, scope, exact), scope, nil, robotsBytes+1)
	if err != nil {
		return nil, nil, err
	}
	body, err := c.t.decodePrefix(resp, raw)
	if err != nil && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil, nil, err
	}
	return resp, body, nil
}

// decodePrefix decodes a robots.txt body, which may have been cut at the size
// that is read of one, and gives one byte more than that at most.
func (t *Transport) decodePrefix(resp *http.Response, raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	codings, err := contentCodings(resp.Header)
	if err != nil {
		return nil, err
	}
	body := raw
	for i := len(codings) - 1; i >= 0; i-- {
		body, err = decodeOne(codings[i], body, t.limits(len(raw)))
		// What came in cut at the limit ends within its stream.
		if cut := (*TruncatedError)(nil); errors.As(err, &cut) {
			return nil, fmt.Errorf("compressed robots.txt is over %d bytes or cut: %w", robotsBytes, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return body[:min(len(body), robotsBytes+1)], nil
}
