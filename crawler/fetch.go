package crawler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gocolly/colly/v2"

	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// maxRetryAfter bounds what a server may ask for: a hostile value must not
// take a host out of the crawl for ever.
const maxRetryAfter = 24 * time.Hour

type visitKey struct{}

// visit is what a page in work has to do with the archive.
type visit struct {
	source *Source
	hops   []Hop // so far; the last is the page itself
	at     time.Time

	landing  string   // the page whose ad led here; "" for a page of the site
	sitemaps []string // that the last robots.txt on the way names
	part     string   // record id of the page that this is a part of; "" for a page
}

// Hop is one exchange of a chain of redirects.
type Hop struct {
	URL     string
	Archive post.Archive
}

// Visit is what the transport's OnBody hook may know of the page it works for.
type Visit struct {
	Source string // name of the site
	Config string // version of its config
	// Landing is the page whose ad led to this one; "" for a page of the site.
	Landing string
	Via     []Hop  // the redirects that led here, oldest first
	Part    string // not "": this is no page but a part of one shown in a browser, whose record id this is
}

// VisitOf tells for which page an exchange under ctx is made; false when it is
// for none.
func VisitOf(ctx context.Context) (Visit, bool) {
	v, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		return Visit{}, false
	}
	return Visit{Source: v.source.Name, Config: v.source.version, Landing: v.landing, Via: v.hops, Part: v.part}, true
}

// SetArchive tells the crawl which record holds the exchange that was just
// made under ctx, and the time of that record, which becomes that of the posts:
// so that reading the record again gives the same posts. It is for the
// transport's OnBody hook, but not for robots.txt; of a chain of redirects the
// last call, which is the page itself, counts. Without a page in work under
// ctx it does nothing.
func SetArchive(ctx context.Context, url string, a post.Archive, at time.Time) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.hops, v.at = append(v.hops, Hop{URL: url, Archive: a}), at
	}
}

// panicError is a panic that extraction or the sink let out.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guarded runs fn and makes a panic an error.
func guarded(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return fn()
}

// conditional holds the marks of the last fetch, for If-None-Match and
// If-Modified-Since.
type conditional struct{ etag, modified string }

// fetch gets one page through a collector of its own. The page's URL is the
// final one, after redirects. The error is about the way there; every HTTP
// status is a page.
func (c *Crawler) fetch(ctx context.Context, s *Source, pageURL string, marks conditional) (pg Page, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout+2*max(s.Delay, maxCrawlDelay))
	defer cancel()
	policy, err := c.policyFor(ctx, s)
	if err != nil {
		return pg, err
	}
	ctx = transport.WithPolicy(ctx, policy)
	seen := &visit{source: s, landing: parentOf(ctx)}
	ctx = context.WithValue(ctx, visitKey{}, seen)
	trip := newTrip(s.Delay)
	ctx = context.WithValue(ctx, tripKey{}, trip)
	ctx = transport.WithTurn(ctx, c.rt.turn)
	ctx = transport.WithDecision(ctx, func(d transport.Decision) { seen.sitemaps = d.Sitemaps })
	defer c.tellPace(ctx, trip)

	col := colly.NewCollector(colly.AllowURLRevisit(), colly.MaxBodySize(0), colly.StdlibContext(ctx),
		colly.UserAgent(c.opts.UserAgent), colly.ParseHTTPErrorResponse())
	col.WithTransport(c.rt)
	col.DisableCookies() // the policy's jar has them
	col.SetRedirectHandler(s.redirected)
	col.SetRequestTimeout(0) // ctx and the transport set the limits
	col.OnRequest(func(r *colly.Request) {
		if marks.etag != "" {
			r.Headers.Set("If-None-Match", marks.etag)
		}
		if marks.modified != "" {
			r.Headers.Set("If-Modified-Since", marks.modified)
		}
	})
	answered := false
	col.OnResponse(func(r *colly.Response) {
		answered = true
		pg.URL, pg.Status, pg.Body = r.Request.URL.String(), r.StatusCode, r.Body
		pg.FetchedAt, pg.sitemaps = c.now().UTC(), seen.sitemaps
		if n := len(seen.hops); n > 0 {
			pg.Archive, pg.FetchedAt = seen.hops[n-1].Archive, seen.at
		}
		if r.Headers != nil {
			pg.Header = *r.Headers
		}
	})
	if err := col.Visit(pageURL); err != nil {
		if kept := (*transport.KeepError)(nil); errors.As(err, &kept) {
			err = &sinkError{kept.Err} // a full disk is neither the page's fault nor the host's
		}
		return pg, err
	}
	if !answered {
		return pg, errors.New("colly returned neither an answer nor an error")
	}
	return pg, nil
}

// policy is under which a page of the source is fetched: the cookies are those
// of its session, or are forgotten after the page.
func (c *Crawler) policy(s *Source) (transport.HostPolicy, error) {
	p, err := c.access.of(s)
	if err != nil {
		return p, &statusFailure{how: troubleBlock, text: "no way to the site: " + err.Error()}
	}
	p.Jar = newJar()
	if s.Session != nil {
		p.Jar, p.Session = c.sessions.of(s).jar, s.Session.Account
	}
	return p, nil
}

// policyOf is what the source's config lets the transport do.
func policyOf(s *Source) transport.HostPolicy {
	p := transport.HostPolicy{Hosts: s.Hosts, RefuseBinary: true, Charset: s.Charset, UserAgent: s.UserAgent}
	if len(s.Headers) > 0 {
		p.Header = http.Header{}
		for k, v := range s.Headers {
			p.Header.Set(k, v)
		}
	}
	for _, h := range s.Hosts {
		name, port := splitHost(h)
		if n, err := strconv.Atoi(port); err == nil {
			p.AllowPorts = append(p.AllowPorts, n)
		}
		if s.AllowPrivate {
			p.AllowPrivate = append(p.AllowPrivate, privateOf(name, port)...)
		}
	}
	return p
}

// privateOf names the private addresses that a host of a lab may have: its own
// if it is an address, otherwise those of loopback and of private networks.
func privateOf(name, port string) []string {
	suffix := ""
	if port != "" {
		suffix = ":" + port
	}
	if a, err := netip.ParseAddr(name); err == nil {
		if a.Is6() {
			return []string{"[" + name + "]" + suffix}
		}
		return []string{name + suffix}
	}
	return []string{"127.0.0.0/8" + suffix, "[::1]" + suffix, "10.0.0.0/8" + suffix, "172.16.0.0/12" + suffix, "192.168.0.0/16" + suffix}
}

// trouble says how a failure is to be treated.
type trouble int

const (
	troublePage   trouble = iota // the page: try it again later
	troubleHost                  // the host does not answer or fails: after a few in a row, leave it alone
	troubleBlock                 // the host turns us away: leave it alone at once
	troubleFinal                 // trying again is useless
	troubleMember                // the page is for members: try it again later, its host is well
)

// classify says what an error of fetch means.
func classify(err error) trouble {
	var (
		scope    *transport.ScopeError
		address  *transport.AddressError
		robots   *transport.RobotsError
		large    *transport.TooLargeError
		kind     *transport.ContentTypeError
		charset  *transport.CharsetError
		encoding *transport.EncodingError
		panicked *panicError
		cert     *net.DNSError
	)
	switch {
	case errors.As(err, &robots):
		if robots.Decision.Temporary {
			return troubleBlock
		}
		return troubleFinal
	case errors.As(err, &scope), errors.As(err, &address), errors.As(err, &large), errors.As(err, &kind),
		errors.As(err, &charset), errors.As(err, &encoding):
		return troubleFinal
	case errors.As(err, &panicked):
		return troublePage
	case errors.As(err, &cert):
		return troubleHost
	case strings.Contains(err.Error(), "unsupported protocol scheme"), strings.Contains(err.Error(), "missing Location header"):
		return troubleFinal
	}
	return troubleHost // timeouts, resets, refused connections, cut bodies
}

// retryAt reads what the host itself says about when to come back; zero when
// it says nothing.
func retryAt(h http.Header, err error, now time.Time) time.Time {
	var robots *transport.RobotsError
	if errors.As(err, &robots) && robots.Decision.RetryAt.After(now) {
		return earlier(robots.Decision.RetryAt, now.Add(maxRetryAfter))
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return time.Time{}
	}
	if s, err := strconv.ParseInt(v, 10, 64); err == nil {
		if s < 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(min(s, int64(maxRetryAfter/time.Second))) * time.Second)
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return earlier(t, now.Add(maxRetryAfter))
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if b.Before(a) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
