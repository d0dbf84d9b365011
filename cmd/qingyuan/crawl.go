package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"qingyuan/crawler"
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
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	sources, err := loadSources(c)
	if err != nil {
		return err
	}
	removed := crawler.ClearCollyEnv()
	logger := newLogger(std, c)
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
	p, err := openPipeline(ctx, c, pipelineOptions{sources: sources, logger: logger, onHit: hits.add, live: live})
	if err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	wait := followEdits(watching, live)
	defer wait()
	defer stopWatching()
	summary, err := p.crawler.Run(ctx, *once)
	closeErr := p.close()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil // the operator ended it; nothing is lost
	}
	if err := errors.Join(err, closeErr); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(std.out).Encode(newRunSummary(summary, hits))
	}
	_, err = fmt.Fprintf(std.out, "%d sites, %d pages, %d posts, %d hits, %d errors in %s\n",
		summary.Sites, summary.Pages, summary.Posts, hits.total(), len(summary.Errors)+summary.MoreErrors, summary.Duration.Round(time.Millisecond))
	return err
}
