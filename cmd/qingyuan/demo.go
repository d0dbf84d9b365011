package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"qingyuan/crawler"
	"qingyuan/town"
)

// runDemo serves the bundled town, crawls it for real, and shows the hits.
func runDemo(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "demo", "", "data", "addr", "lang", "dict")
	once := f.Bool("once", false, "crawl, print the summary and end")
	asJSON := f.Bool("json", false, "print the summary as JSON (implies no live progress)")
	workers := f.Int("workers", 0, "pages in work at a time (default: that of the config)")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misusef("demo takes no arguments, there is %q", f.Arg(0))
	}
	if *workers > 0 {
		c.Crawl.Workers = *workers
	}
	if c.Log.Level == "info" {
		c.Log.Level = "error" // the progress display says the rest
	}
	logger := newLogger(std, c)
	crawler.ClearCollyEnv()
	d := demo{std: std, config: c, logger: logger, hits: newCounter(), watch: newCrawlWatch(), quiet: *asJSON}
	summary, err := d.crawl(ctx)
	if d.town != nil {
		defer d.town.Close()
	}
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(std.out).Encode(newRunSummary(summary, d.hits))
	} else {
		err = d.printSummary(summary)
	}
	if err != nil || *once {
		return err
	}
	return d.serve(ctx)
}

// demo is one run of the demo.
type demo struct {
	std    stdio
	config config
	logger *slog.Logger
	town   *town.Town
	hits   *counter
	watch  *crawlWatch
	quiet  bool
}

// crawl starts the town and makes one pass over it.
func (d *demo) crawl(ctx context.Context) (crawler.Summary, error) {
	if err := os.MkdirAll(d.config.Data, 0o700); err != nil {
		return crawler.Summary{}, fmt.Errorf("making the data folder: %w", err)
	}
	t, err := startTown(ctx, d.config.Data, d.logger)
	if err != nil {
		return crawler.Summary{}, err
	}
	d.town = t
	sources, err := townSources(t)
	if err != nil {
		return crawler.Summary{}, err
	}
	progress := newProgress(d.std.err, sources, d.hits, d.quiet, d.config.Language)
	p, err := openPipeline(ctx, d.config, pipelineOptions{sources: sources, logger: d.logger, onEvent: func(e crawler.Event) { progress.event(e); d.watch.event(e) }, onHit: d.hits.add,
		backoff: crawler.Backoff{Base: 300 * time.Millisecond, Max: 2 * time.Second}})
	if err != nil {
		return crawler.Summary{}, err
	}
	summary, err := p.crawler.Run(ctx, true)
	progress.close()
	d.watch.stop()
	return summary, errors.Join(err, p.close())
}

func townSources(t *town.Town) ([]*crawler.Source, error) {
	var sources []*crawler.Source
	for _, s := range t.Sites() {
		src, err := crawler.ReadSource("town/"+s.Name+".yaml", s.Config)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	return sources, nil
}

// portFile remembers the town's first port in the data folder: pages are known
// by URL, so a pass that was interrupted goes on only at the same address.
const portFile = "demo-port"

// startTown serves the town at the ports of the last run in this data folder.
// When they are taken by now it moves to others and forgets the old frontier;
// records keep their ids, which do not depend on the port.
func startTown(ctx context.Context, data string, logger *slog.Logger) (*town.Town, error) {
	file := filepath.Join(data, portFile)
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the demo's port: %w", err)
	}
	if port, err := strconv.Atoi(string(old)); err == nil && port > 0 {
		t, err := town.Start(ctx, town.Options{BasePort: port, Log: logger})
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		if err := forgetFrontier(data); err != nil {
			return nil, err
		}
	}
	for base := firstTownPort; base < lastTownPort; base += 20 {
		t, err := town.Start(ctx, town.Options{BasePort: base, Log: logger})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return t, os.WriteFile(file, []byte(strconv.Itoa(base)), 0o600)
	}
	return nil, fmt.Errorf("no free ports for the demo town between %d and %d", firstTownPort, lastTownPort)
}

// The town takes nine ports in a row, below the ephemeral range.
const firstTownPort, lastTownPort = 18600, 19600

func forgetFrontier(data string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(data, "frontier.db"+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting the old frontier: %w", err)
		}
	}
	return nil
}

// serve shows the pages until ctx ends.
func (d *demo) serve(ctx context.Context) error {
	store, err := openStore(ctx, d.config)
	if err != nil {
		return err
	}
	defer store.Close()
	ln, err := net.Listen("tcp", d.config.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	handler, err := newPages(d.config, store, d.logger, d.watch)
	if err != nil {
		return err
	}
	base := "http://" + ln.Addr().String()
	if d.config.Language == "en" {
		fmt.Fprintf(d.std.out, "\nTriage pages:   %s/\nToday's digest: %s/digest\nCtrl-C ends.\n", base, base)
	} else {
		fmt.Fprintf(d.std.out, "\n研判页面：%s/\n今日摘要：%s/digest\n按 Ctrl-C 结束。\n", base, base)
	}
	return servePages(ctx, ln, handler)
}
