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

	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/index"
	"qingyuan/town"
	"qingyuan/triage"
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
	// The town's faults come again with every start of it; a demo that is killed
	// over and over must not count them against a page.
	c.Crawl.Tries = max(c.Crawl.Tries, demoTries)
	if c.Log.Level == "info" {
		c.Log.Level = "error" // the progress display says the rest
	}
	var view *liveView
	if !*asJSON {
		view = newLiveView(std, c.Language)
		defer view.close()
		std.err = view
	}
	logger := newLogger(std, c)
	crawler.ClearCollyEnv()
	watched, err := observe(observeOptions{config: c, logger: logger, view: view})
	if err != nil {
		return err
	}
	if view != nil {
		view.telling(std.err)
	}
	d := demo{std: std, config: c, logger: logger, hits: newCounter(), watched: watched}
	var ln net.Listener
	if !*once {
		// Before the crawl: a bad address must not come to light after it.
		if ln, err = listen(c.Addr, f.addr != ""); err != nil {
			return err
		}
		defer ln.Close()
	}
	summary, err := d.crawl(ctx)
	if d.town != nil {
		defer d.town.Close()
	}
	if err != nil {
		return err
	}
	if d.interrupted {
		return errors.New("interrupted before the pass was over; started again on the same data folder it goes on where it stood")
	}
	if err := d.countIndex(ctx, &summary); err != nil {
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
	return d.serve(ctx, ln)
}

// listen takes the address of the pages; when nobody asked for this very one
// and it is taken, any free port.
func listen(addr string, asked bool) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) && !asked {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return ln, nil
}

// countIndex replaces the counts of posts and hits of this pass by those of the
// index: a pass that goes on after an interruption saw only the rest.
func (d *demo) countIndex(ctx context.Context, s *crawler.Summary) error {
	store, err := openStore(ctx, d.config)
	if err != nil {
		return err
	}
	defer store.Close()
	d.hits = newCounter()
	s.Posts = 0
	for _, site := range d.town.Sites() {
		per := s.PerSource[site.Name]
		page, err := store.Search(ctx, index.Query{Text: fmt.Sprintf("source:%q", site.Name), Limit: 1})
		if err != nil {
			return fmt.Errorf("counting the posts of %s: %w", site.Name, err)
		}
		per.Posts = page.Total
		s.Posts += page.Total
		s.PerSource[site.Name] = per
		err = index.Each(ctx, store, index.Query{Text: fmt.Sprintf("source:%q flagged:true", site.Name)}, func(r index.Record) error {
			d.hits.add(r)
			return nil
		})
		if err != nil {
			return fmt.Errorf("counting the hits of %s: %w", site.Name, err)
		}
	}
	return nil
}

// demoTries is how often a page of the town may fail. The one that always does
// ends with its host failing several times in a row.
const demoTries = 30

// demo is one run of the demo.
type demo struct {
	std    stdio
	config config
	logger *slog.Logger
	town   *town.Town
	hits   *counter

	sources     []*crawler.Source
	watched     *observed
	interrupted bool // by a signal, before the pass was over
}

// crawl starts the town and makes one pass over it.
func (d *demo) crawl(ctx context.Context) (crawler.Summary, error) {
	lock, err := lockCrawl(d.config)
	if err != nil {
		return crawler.Summary{}, err
	}
	defer lock.Close()
	t, port, err := startTown(ctx, d.config.Data, d.logger)
	if err != nil {
		return crawler.Summary{}, err
	}
	d.town = t
	sources, err := townSources(t)
	if err != nil {
		return crawler.Summary{}, err
	}
	d.sources, d.watched.frontier = sources, fmt.Sprintf("demo-frontier-%d.db", port)
	w := d.watched
	w.watch.follow(sources)
	p, err := openPipeline(ctx, d.config, pipelineOptions{sources: sources, logger: d.logger, onEvent: w.watch.event, metrics: w.metrics, onHit: func(r index.Record) { d.hits.add(r); w.watch.hit(r) },
		frontier: w.frontier, backoff: crawler.Backoff{Base: 100 * time.Millisecond, Max: time.Second}})
	if err != nil {
		return crawler.Summary{}, err
	}
	w.crawls(p)
	w.begin(ctx, d.std.err, nil)
	summary, err := p.crawler.Run(ctx, true)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		d.interrupted, err = true, nil
	}
	return summary, w.end(err)
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

// startTown serves the town at the ports of the last run in this data folder,
// or at others when they are taken by now. Records keep their ids, which do not
// depend on the port.
//
// The frontier is kept a file a port, so that a town that moved begins anew.
func startTown(ctx context.Context, data string, logger *slog.Logger) (t *town.Town, port int, err error) {
	file := filepath.Join(data, portFile)
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("reading the demo's port: %w", err)
	}
	if port, err := strconv.Atoi(string(old)); err == nil && port >= 1024 && port <= 65000 {
		t, err := town.Start(ctx, town.Options{BasePort: port, Log: logger})
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return t, port, err
		}
	}
	for base := firstTownPort; base < lastTownPort; base += 20 {
		t, err := town.Start(ctx, town.Options{BasePort: base, Log: logger})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		return t, base, os.WriteFile(file, []byte(strconv.Itoa(base)), 0o600)
	}
	return nil, 0, fmt.Errorf("no free ports for the demo town between %d and %d", firstTownPort, lastTownPort)
}

// The town takes nine ports in a row, below the ephemeral range.
const firstTownPort, lastTownPort = 18600, 19600

// serve shows the pages until ctx ends.
func (d *demo) serve(ctx context.Context, ln net.Listener) error {
	store, err := openStore(ctx, d.config)
	if err != nil {
		return err
	}
	defer store.Close()
	titles := map[string]string{}
	for _, s := range d.town.Sites() {
		titles[s.Name] = s.Title
	}
	board := newStatusBoard(d.config, d.logger, d.watched.frontier, d.watched.watch, nil, d.sources)
	defer board.close() //nolint:errcheck // it was only read from
	board.store, board.metrics = store, d.watched.metrics.handler()
	var state func(context.Context) (triage.Status, error) = board.crawlState // the crawl's own frontier is closed
	d.watched.state.Store(&state)
	dict, err := classify.LoadDictionary(dictionaryFS(d.config))
	if err != nil {
		return err
	}
	handler, err := dictionaryPages(d.config, dict, store, d.logger, titles, d.watched.watch, nil, nil, board, nil)
	if err != nil {
		return err
	}
	base := "http://" + ln.Addr().String()
	if d.config.Language == "en" {
		fmt.Fprintf(d.std.out, "\nTriage pages:   %s/\nStatus:         %s/status\nToday's digest: %s/digest\nCtrl-C ends.\n", base, base, base)
	} else {
		fmt.Fprintf(d.std.out, "\n研判页面：%s/\n采集状态：%s/status\n今日摘要：%s/digest\n按 Ctrl-C 结束。\n", base, base, base)
	}
	return servePages(ctx, ln, d.watched.metrics.web(handler))
}
