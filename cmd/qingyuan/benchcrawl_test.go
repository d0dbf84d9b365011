package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"

	"qingyuan/crawler"
	"qingyuan/index"
)

// envBenchCrawl names a config. With it the test binary is the crawl of
// scripts/bench-crawl without the index, so that the index's share can be told.
const envBenchCrawl = "QINGYUAN_BENCH_CRAWL"

// nowhere is an index that keeps nothing.
type nowhere struct{ index.Store }

func (nowhere) Put(context.Context, []index.Record) error { return nil }
func (nowhere) Close() error                              { return nil }

// crawlWithoutIndex makes one pass over the sites of a config: lease,
// robots.txt, fetch, archive, extraction, verdicts, acknowledgement.
func crawlWithoutIndex(ctx context.Context, file string) error {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	sources, err := loadSources(c)
	if err != nil {
		return err
	}
	lock, err := lockCrawl(c)
	if err != nil {
		return err
	}
	defer lock.Close()
	crawler.ClearCollyEnv()
	hits := newCounter()
	p, err := openPipeline(ctx, c, pipelineOptions{sources: sources, logger: slog.New(slog.DiscardHandler), onHit: hits.add, store: nowhere{}})
	if err != nil {
		return err
	}
	summary, err := p.crawler.Run(ctx, true)
	if err := errors.Join(err, p.close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(newRunSummary(summary, hits))
}
