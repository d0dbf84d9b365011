package crawler

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"qingyuan/crawler/render"
	"qingyuan/crawler/transport"
)

// parts makes the requests of one page that is shown in a browser, through the
// transport of the crawl: scope, private addresses, robots.txt, limits, the
// host's clock and the archive are the same as for pages. It is safe for
// concurrent use.
type parts struct {
	c    *Crawler
	s    *Source
	page string // record id of the page
	trip *trip  // what it costs the hosts

	mu    sync.Mutex
	tired map[string]bool // hosts that want to be left alone
}

// RoundTrip implements http.RoundTripper.
func (p *parts) RoundTrip(req *http.Request) (*http.Response, error) {
	kind := render.KindOf(req.Context())
	policy, err := p.policy(req, kind)
	if err != nil {
		return nil, err
	}
	key := p.s.Name + " " + req.URL.String()
	keeps := req.Method == http.MethodGet && slices.Contains([]render.Kind{render.KindScript, render.KindStyle, render.KindImage, render.KindFont}, kind)
	if keeps {
		if resp := p.c.partsKept.get(key, req); resp != nil {
			return resp, nil
		}
	}
	_, host, err := Canonical(req.URL.String())
	if err != nil || p.isTired(host) {
		return nil, &transport.ScopeError{URL: req.URL.Redacted(), Reason: "the host is to be left alone"}
	}
	// A trip of its own: what waits for a host's turn beside it is another request.
	trip := newTrip(p.s.Delay)
	ctx := context.WithValue(transport.WithPolicy(req.Context(), policy), visitKey{}, &visit{source: p.s, part: p.page})
	ctx = transport.WithTurn(context.WithValue(ctx, tripKey{}, trip), p.c.rt.turn)
	resp, err := p.c.rt.RoundTrip(req.Clone(ctx))
	p.spent(trip)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		p.leaveAlone(ctx, host, resp)
	}
	if keeps && resp.StatusCode == http.StatusOK {
		if err := p.c.partsKept.put(key, resp); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

func (p *parts) isTired(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tired[host]
}

// leaveAlone gives a host the rest that it asks for, as after a page; nothing
// more of this page is asked of it.
func (p *parts) leaveAlone(ctx context.Context, host string, resp *http.Response) {
	p.mu.Lock()
	if p.tired == nil {
		p.tired = map[string]bool{}
	}
	told := p.tired[host]
	p.tired[host] = true
	p.mu.Unlock()
	if told {
		return
	}
	now := p.c.now()
	until := retryAt(resp.Header, nil, now)
	if until.IsZero() {
		until = now.Add(p.c.opts.Backoff.after(1))
	}
	p.c.rest(ctx, host, until, fmt.Sprintf("status %d for a part of a page", resp.StatusCode))
}

// policy says under what a part is fetched. Where a page leads on and what its
// frames hold stays within the source, as every page does. Scripts, style
// sheets, data and pictures may come from any public host, or from those of
// render_hosts; a host that is not the source's gets neither its headers nor
// its leave for private addresses.
func (p *parts) policy(req *http.Request, kind render.Kind) (transport.HostPolicy, error) {
	policy, err := p.c.policy(p.s)
	if err != nil {
		return policy, err
	}
	policy.RefuseBinary = false
	refuse := func(reason string) (transport.HostPolicy, error) {
		return transport.HostPolicy{}, &transport.ScopeError{URL: req.URL.Redacted(), Reason: reason}
	}
	if p.s.inScope(req.URL) {
		if kind == render.KindPage {
			if canonical, _, err := p.s.Canonical(req.URL.String()); err != nil {
				return refuse(err.Error())
			} else if _, ok := p.s.Rule(canonical); !ok {
				return refuse("no page rule fits where the page leads on")
			}
		}
		return policy, nil
	}
	if kind == render.KindPage || kind == render.KindFrame {
		return refuse("it is not on the hosts of the source")
	}
	policy.Header, policy.AllowPrivate, policy.AllowPorts, policy.Charset, policy.Jar = nil, nil, nil, "", nil
	policy.SecretHeader, policy.SecretOrigins, policy.Session = nil, nil, ""
	policy.Hosts = []string{"*"}
	if len(p.s.RenderHosts) > 0 {
		policy.Hosts = p.s.RenderHosts
	}
	return policy, nil
}

func (p *parts) spent(t *trip) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.trip.mu.Lock()
	defer p.trip.mu.Unlock()
	for host, n := range t.requests {
		p.trip.requests[host] += n
	}
}

// Bounds of what is kept of parts.
const (
	maxPartsKept  = 32 << 20 // bytes in all
	maxPartKept   = 2 << 20
	partsKeptFor  = time.Hour
	maxPartsCount = 2000
)

// partsKept keeps scripts, style sheets and pictures for a while, so that the
// pages of a site do not ask for them again and again. It is safe for
// concurrent use.
type partsKept struct {
	mu    sync.Mutex
	size  int
	order []string // oldest first
	byKey map[string]partKept
}

type partKept struct {
	header http.Header
	body   []byte
	at     time.Time
}

// get answers a request from what is kept; nil when it is not.
func (k *partsKept) get(key string, req *http.Request) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	part, ok := k.byKey[key]
	if !ok || time.Since(part.at) > partsKeptFor {
		return nil
	}
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: part.header.Clone(),
		Body: io.NopCloser(bytes.NewReader(part.body)), ContentLength: int64(len(part.body)), Request: req}
}

// put reads the body of resp, which may then be read again, and keeps it.
func (k *partsKept) put(key string, resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > maxPartKept {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.byKey[key]; ok {
		k.size -= len(old.body)
		k.order = slices.DeleteFunc(k.order, func(s string) bool { return s == key })
	}
	if k.byKey == nil {
		k.byKey = map[string]partKept{}
	}
	header := resp.Header.Clone()
	header.Del("Set-Cookie")
	k.byKey[key] = partKept{header: header, body: body, at: time.Now()}
	k.order, k.size = append(k.order, key), k.size+len(body)
	for k.size > maxPartsKept || len(k.order) > maxPartsCount {
		oldest := k.order[0]
		k.size -= len(k.byKey[oldest].body)
		k.order = k.order[1:]
		delete(k.byKey, oldest)
	}
	return nil
}
