package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"qingyuan/crawler"
	"qingyuan/index"
)

// runCrawl crawls the configured sites: for ever, or one pass with -once.
func runCrawl(ctx context.Context, std stdio, args []string) error {
	if len(args) > 0 && args[0] == "why" {
		return runCrawlWhy(ctx, std, args[1:])
	}
	if len(args) > 0 && args[0] == "anew" {
		return runCrawlAnew(ctx, std, args[1:])
	}
	f := newFlags(std, "crawl", "", "data", "dict")
	once := f.Bool("once", false, "make one pass over all sites and end")
	asJSON := f.Bool("json", false, "print the summary as JSON (with -once)")
	metricsAddr := f.String("metrics", "", "serve Prometheus metrics at `host:port`, path /metrics; without a host on loopback only")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	view := newLiveView(std, c.Language)
	defer view.close()
	std.err = view
	logger := newLogger(std, c)
	sites, sources, err := openSites(c, logger)
	if err != nil {
		return err
	}
	removed := crawler.ClearCollyEnv()
	if len(removed) > 0 {
		logger.Warn("environment variables that would override the crawl were ignored", "names", removed)
	}
	lock, err := lockCrawl(c)
	if err != nil {
		return err
	}
	defer lock.Close()
	live, err := openLive(c, logger, nil)
	if err != nil {
		return err
	}
	hits := newCounter()
	observed, err := observe(observeOptions{config: c, logger: logger, sources: sources, view: view, metricsAddr: *metricsAddr})
	if err != nil {
		return err
	}
	defer observed.close()
	p, err := openPipeline(ctx, c, pipelineOptions{sources: sources, logger: logger, onEvent: observed.watch.event, metrics: observed.metrics, live: live,
		onHit: func(r index.Record) { hits.add(r); observed.watch.hit(r) }})
	if err != nil {
		return err
	}
	observed.crawls(p)
	observed.watch.edits, sites.changed = sites, observed.watch.follow
	observed.begin(ctx, std.err, nil)
	watching, stopWatching := context.WithCancel(ctx)
	wait := followEdits(watching, live)
	defer wait()
	defer stopWatching()
	waitSites := sites.follow(watching, p.crawler)
	summary, err := p.crawler.Run(ctx, *once)
	stopWatching()
	waitSites() // before the frontier is closed
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil // the operator ended it; nothing is lost
	}
	if err := observed.end(err); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(std.out).Encode(newRunSummary(summary, hits))
	}
	_, err = fmt.Fprintf(std.out, "%d sites, %d pages, %d posts, %d hits, %d errors in %s\n",
		summary.Sites, summary.Pages, summary.Posts, hits.total(), len(summary.Errors)+summary.MoreErrors, summary.Duration.Round(time.Millisecond))
	return err
}
