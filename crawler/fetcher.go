package crawler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"qingyuan/crawler/transport"
)

// FetcherOptions configure a Fetcher.
type FetcherOptions struct {
	UserAgent string            // "": transport.UserAgent
	Transport http.RoundTripper // nil: transport.New, with robots.txt asked
	Logger    *slog.Logger      // nil: silent
}

// Fetcher fetches single pages the way a crawl does: scope, robots.txt, guard,
// limits and the delay of their site, by the clock of this process. It keeps
// nothing and is safe for concurrent use.
type Fetcher struct{ c *Crawler }

// NewFetcher makes a Fetcher.
func NewFetcher(opts FetcherOptions) (*Fetcher, error) {
	o := Options{UserAgent: opts.UserAgent, Transport: opts.Transport, Logger: opts.Logger}
	setDefaults(&o)
	c := &Crawler{opts: o, now: o.Now, log: o.Logger, sessions: sessions{log: o.Logger, now: o.Now}}
	rt := o.Transport
	if rt == nil {
		t, err := transport.New(transport.Options{UserAgent: o.UserAgent, Robots: true, Logger: o.Logger})
		if err != nil {
			return nil, fmt.Errorf("making fetcher: %w", err)
		}
		rt, c.trans = t, t
	}
	c.rt = newPacer(rt)
	return &Fetcher{c}, nil
}

// Fetch fetches a page of a site, which must be in its scope. Every HTTP
// status is a page; the error is about the way there.
func (f *Fetcher) Fetch(ctx context.Context, s *Source, pageURL string) (Page, error) {
	if !s.InScope(pageURL) {
		return Page{}, fmt.Errorf("fetching %s: it is not on the hosts of %s", pageURL, s.Name)
	}
	var pg Page
	err := guarded(func() (err error) {
		pg, err = f.c.fetch(ctx, s, pageURL, conditional{})
		return err
	})
	if scope := (*transport.ScopeError)(nil); errors.As(err, &scope) && scope.URL != "" && scope.URL != pageURL {
		return pg, fmt.Errorf("fetching %s: it leads to %s, which is not on the hosts of %s: %w", pageURL, scope.URL, s.Name, err)
	}
	if err != nil {
		return pg, fmt.Errorf("fetching %s: %w", pageURL, err)
	}
	return pg, nil
}

// Close ends the connections that wait for reuse.
func (f *Fetcher) Close() {
	if f.c.trans != nil {
		f.c.trans.CloseIdleConnections()
	}
}
