package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime/pprof"

	"qingyuan/crawler"
	"qingyuan/index"
)

// envBenchCrawl names a config. With it the test binary is the crawl of
// scripts/bench-crawl without the index, so that the index's share can be told.
const envBenchCrawl = "QINGYUAN_BENCH_CRAWL"

// envBenchProfile names a file for the CPU profile of that crawl; empty: none.
const envBenchProfile = "QINGYUAN_BENCH_PROFILE"

// envBenchIndex, not empty, keeps the records in the index after all, for a
// profile of the whole.
const envBenchIndex = "QINGYUAN_BENCH_INDEX"

func benchOptions(sources []*crawler.Source, hits *counter) pipelineOptions {
	opts := pipelineOptions{sources: sources, logger: slog.New(slog.DiscardHandler), onHit: hits.add}
	if os.Getenv(envBenchIndex) == "" {
		opts.store = nowhere{}
	}
	return opts
}

// nowhere is an index that keeps nothing.
type nowhere struct{ index.Store }

func (nowhere) Put(context.Context, []index.Record) error               { return nil }
func (nowhere) Search(context.Context, index.Query) (index.Page, error) { return index.Page{}, nil }
func (nowhere) Get(context.Context, string) (index.Record, error) {
	return index.Record{}, index.ErrNotFound
}
func (nowhere) Close() error { return nil }

// crawlWithoutIndex makes one pass over the sites of a config: lease,
// robots.txt, fetch, archive, extraction, verdicts, acknowledgement.
func crawlWithoutIndex(ctx context.Context, file string) error {
	tuneCollector()
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
	p, err := openPipeline(ctx, c, benchOptions(sources, hits))
	if err != nil {
		return err
	}
	stop, err := profiled(os.Getenv(envBenchProfile))
	if err != nil {
		return errors.Join(err, p.close())
	}
	summary, err := p.crawler.Run(ctx, true)
	stop()
	if err := errors.Join(err, p.close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(newRunSummary(summary, hits))
}

// profiled writes a CPU profile until stop is called.
func profiled(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
