package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"testing"

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

// TestBenchCrawlWithoutIndex makes one pass over the sites of a config: lease,
// robots.txt, fetch, archive, extraction, verdicts, acknowledgement.
func TestBenchCrawlWithoutIndex(t *testing.T) {
	if os.Getenv(envBenchCrawl) == "" {
		t.Skip("run by scripts/bench-crawl, with " + envBenchCrawl)
	}
	c, err := loadConfig(os.Getenv(envBenchCrawl))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := loadSources(c)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := lockCrawl(c)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	crawler.ClearCollyEnv()
	hits := newCounter()
	p, err := openPipeline(t.Context(), c, pipelineOptions{sources: sources, logger: slog.New(slog.DiscardHandler), onHit: hits.add, store: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	summary, err := p.crawler.Run(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(newRunSummary(summary, hits)); err != nil {
		t.Fatal(err)
	}
}
