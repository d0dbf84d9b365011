package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"qingyuan/archive"
	"qingyuan/crawler"
	"qingyuan/crawler/render"
	"qingyuan/crawler/transport"
	"qingyuan/index"
	"qingyuan/post"
	"qingyuan/strictyaml"
)

// browserConfig is the browser part of the config.
type browserConfig struct {
	Path    string `yaml:"path"`          // Chromium; empty: the first on the PATH
	Max     int    `yaml:"max"`           // browsers at a time
	Seconds int    `yaml:"page_seconds"`  // for one page
	Memory  int    `yaml:"memory_mb"`     // of one browser
	Recycle int    `yaml:"recycle_pages"` // until a browser is replaced
}

// evidenceConfig is the evidence part of the config.
type evidenceConfig struct {
	Screenshot bool `yaml:"screenshot"` // of the page of each hit
}

func defaultBrowser() browserConfig {
	return browserConfig{Max: 1, Seconds: 60, Memory: 1024, Recycle: 50}
}

// check returns what is wrong with the values.
func (b browserConfig) check(at func(problem, remedy string, path ...any) strictyaml.Mistake) (ms strictyaml.Mistakes) {
	for _, v := range []struct {
		name          string
		n, least, top int
	}{{"max", b.Max, 1, 32}, {"page_seconds", b.Seconds, 15, 600}, {"memory_mb", b.Memory, 256, 65_536}, {"recycle_pages", b.Recycle, 1, 10_000}} {
		if v.n < v.least || v.n > v.top {
			ms = append(ms, at(fmt.Sprintf("%d is out of range", v.n), fmt.Sprintf("use %d to %d", v.least, v.top), "browser", v.name))
		}
	}
	return ms
}

// aboutPart names, in a metadata record, the record of the page that this was
// loaded for in a browser.
const aboutPart = "part-of"

// browsing is what the crawl has to do with a browser.
type browsing struct {
	pool     *render.Pool // nil: there is none
	archive  *archive.Writer
	dir      string // of the archive
	store    index.Store
	log      *slog.Logger
	trans    *transport.Transport // decodes stored pages
	charsets map[string]string    // by source
	crawler  *crawler.Crawler
	pictures bool // evidence is wanted

	mu      sync.Mutex
	made    int
	failed  int
	problem string // the last one; "" after a picture that came out well
}

// openBrowsing looks for Chromium where the config or a site wants one. It is
// nil when nobody does. A missing Chromium is an error when a site cannot be
// read without; otherwise it is told, and the crawl goes on.
func openBrowsing(c config, opts pipelineOptions, w *archive.Writer, store index.Store) (*browsing, error) {
	wanted, needed := c.Evidence.Screenshot, ""
	charsets := map[string]string{}
	for _, s := range opts.sources {
		wanted = wanted || s.MayUseBrowser()
		if s.NeedsBrowser() {
			needed = s.Name
		}
		charsets[s.Name] = s.Charset
	}
	if !wanted {
		return nil, nil
	}
	b := &browsing{archive: w, dir: archiveDir(c), store: store, log: opts.logger, charsets: charsets, pictures: c.Evidence.Screenshot && w != nil}
	pool, err := render.New(render.Options{Path: c.Browser.Path, Browsers: c.Browser.Max, Timeout: time.Duration(c.Browser.Seconds) * time.Second,
		Memory: int64(c.Browser.Memory) << 20, Recycle: c.Browser.Recycle, UserAgent: transport.UserAgent(version, c.Crawl.Contact), Logger: opts.logger})
	switch {
	case errors.Is(err, render.ErrNoBrowser) && needed == "":
		b.problem = err.Error()
		opts.logger.Error("pages are neither shown nor pictured: there is no browser; the crawl goes on without", "err", err, "evidence", c.Evidence.Screenshot)
		return b, nil
	case needed != "" && err != nil:
		return nil, fmt.Errorf("site %s has pages with render: always: %w", needed, err)
	case err != nil:
		return nil, err
	}
	b.pool = pool
	b.trans, err = transport.New(transport.Options{})
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return b, nil
}

// browser is the pool, nil when there is none.
func (b *browsing) browser() *render.Pool {
	if b == nil {
		return nil
	}
	return b.pool
}

// close ends the browsers.
func (b *browsing) close() error {
	if b == nil || b.pool == nil {
		return nil
	}
	s := b.pool.Stats()
	b.log.Info("browsers end", "pages", s.Pages, "failed", s.Failed, "started", s.Started, "killed", s.Killed, "peak_mb", s.PeakRSS>>20, "own_network", s.Isolated, "sandbox", s.Sandboxed)
	return b.pool.Close()
}

// keepRendered keeps a page as a browser showed it, tied to the page as it was
// fetched; nil without an archive.
func keepRendered(w *archive.Writer, dictionary versions) func(context.Context, crawler.Rendered) (post.Archive, error) {
	if w == nil {
		return nil
	}
	return func(ctx context.Context, r crawler.Rendered) (post.Archive, error) {
		ref, err := w.Attach(ctx, archive.Attachment{Type: archive.TypeConversion, URL: r.URL, ContentType: "text/html; charset=utf-8", Block: r.DOM,
			RefersTo: r.Page.RecordID, Date: r.At, About: []archive.Field{
				{Name: archive.AboutSource, Value: r.Source}, {Name: "site-config", Value: r.Config}, {Name: "dictionary", Value: dictionary()},
				{Name: "made", Value: "document as Chromium showed it, scripts run"},
			}})
		return post.Archive{File: ref.File, RecordID: ref.RecordID, SHA256: ref.SHA256}, err
	}
}

// health is for /healthz.
func (b *browsing) health() map[string]any {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := map[string]any{}
	if b.problem != "" {
		answer["problem"] = b.problem
	}
	if b.pictures {
		answer["evidence_made"], answer["evidence_failed"] = b.made, b.failed
	}
	if b.pool != nil {
		s := b.pool.Stats()
		answer["pages"], answer["failed"], answer["killed"], answer["running"] = s.Pages, s.Failed, s.Killed, s.Running
		answer["peak_mb"], answer["own_network"], answer["sandbox"] = s.PeakRSS>>20, s.Isolated, s.Sandboxed
	}
	if b.crawler != nil {
		answer["rules"] = b.crawler.Renderings()
	}
	return answer
}
