package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"qingyuan/archive"
	"qingyuan/campaign"
	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	frontiersqlite "qingyuan/crawler/frontier/sqlite"
	"qingyuan/crawler/transport"
	"qingyuan/dictionaries"
	"qingyuan/index"
	indexsqlite "qingyuan/index/sqlite"
	"qingyuan/post"
)

// flags are the flags that mean the same in every command that has them.
type flags struct {
	*flag.FlagSet
	configFile string
	data       string
	addr       string
	lang       string
	dict       string
	model      string
	logLevel   string
}

// newFlags declares the flags of a command: those named in with, of config,
// data, addr, lang, dict (with model).
func newFlags(std stdio, name, args string, with ...string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet("qingyuan "+name, flag.ContinueOnError)}
	f.SetOutput(std.err)
	f.Usage = func() {
		fmt.Fprintf(std.err, "Usage: qingyuan %s [flags] %s\n\n", name, args)
		f.PrintDefaults()
	}
	f.StringVar(&f.configFile, "config", "", "configuration `file` (default "+defaultConfigFile+" when it exists)")
	f.StringVar(&f.logLevel, "log", "", "log `level`: debug, info, warn or error")
	for _, w := range with {
		switch w {
		case "data":
			f.StringVar(&f.data, "data", "", "`folder` of everything that is kept (default ./data)")
		case "addr":
			f.StringVar(&f.addr, "addr", "", "where the pages listen, `host:port`")
		case "lang":
			f.StringVar(&f.lang, "lang", "", "language of what is shown: zh or en")
		case "dict":
			f.StringVar(&f.dict, "dict", "", "`folder` of dictionaries (default: the built-in ones)")
			f.StringVar(&f.model, "model", "", "learned model `file`, or none (default: the built-in one)")
		}
	}
	return f
}

// parse reads the command line and the config; flags win.
func (f *flags) parse(args []string) (config, error) {
	if err := f.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return config{}, err
		}
		return config{}, misuse{err}
	}
	c, err := loadConfig(f.configFile)
	if err != nil {
		return c, err
	}
	for _, o := range []struct{ value, field *string }{
		{&f.data, &c.Data}, {&f.addr, &c.Addr}, {&f.lang, &c.Language}, {&f.dict, &c.Dictionaries}, {&f.model, &c.Model}, {&f.logLevel, &c.Log.Level},
	} {
		if *o.value != "" {
			*o.field = *o.value
		}
	}
	if c.Language != "zh" && c.Language != "en" {
		return c, misusef("language %q is unknown; use zh or en", c.Language)
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return c, misusef("%q is no address to listen on; write host:port", c.Addr)
	}
	return c, nil
}

func newLogger(std stdio, c config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(std.err, opts))
	}
	return slog.New(slog.NewTextHandler(std.err, opts))
}

// dictionaryFS is the folder of the config, or the built-in dictionaries.
func dictionaryFS(c config) fs.FS {
	if c.Dictionaries == "" {
		return dictionaries.FS
	}
	return os.DirFS(c.Dictionaries)
}

// builtinModel is the model's name in the embedded dictionaries.
const builtinModel = "model.qym"

// openModel reads the learned model that the config names: a file, "none", or
// the built-in one.
func openModel(c config) (*classify.Model, error) {
	var data []byte
	var err error
	switch c.Model {
	case "none":
		return nil, nil
	case "":
		data, err = fs.ReadFile(dictionaries.FS, builtinModel)
	default:
		data, err = os.ReadFile(c.Model)
	}
	if err != nil {
		return nil, fmt.Errorf("reading model: %w", err)
	}
	m, err := classify.ReadModel(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Model, err)
	}
	return m, nil
}

func openClassifier(c config) (*classify.Classifier, error) {
	m, err := openModel(c)
	if err != nil {
		return nil, err
	}
	return classify.Load(dictionaryFS(c), m)
}

// openStore opens the index that the config names: the embedded one in the data
// folder, or the server's.
func openStore(ctx context.Context, c config) (index.Store, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	if c.Index.Backend == backendElastic {
		return openElastic(ctx, c)
	}
	s, err := indexsqlite.Open(ctx, indexsqlite.Options{Path: filepath.Join(c.Data, "index.db"), Normalize: classify.Normalize})
	if err != nil {
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	return s, nil
}

// pipeline is a crawl from the sources to the index.
type pipeline struct {
	store    index.Store
	writer   *index.Writer
	frontier frontier.Frontier
	crawler  *crawler.Crawler
	archive  *archive.Writer // nil: nothing is archived
	browsing *browsing       // nil: no browser is wanted

	closing sync.Once
	closed  error
}

// pipelineOptions are what a command adds to the config.
type pipelineOptions struct {
	sources []*crawler.Source
	logger  *slog.Logger
	onEvent func(crawler.Event)
	onHit   func(index.Record) // each flagged record, after it is durable
	live    *classify.Live     // judges the posts; nil: the dictionaries as they are now
	store   index.Store        // where records go, closed with the pipeline; nil: the embedded index
	backoff crawler.Backoff
	metrics *crawlMetrics // nil: nothing is counted
	// frontier is a file in the data folder for a frontier of this process's own;
	// "" is the one that the config names.
	frontier string
}

// lockCrawl makes this process the only one that crawls into the data folder.
func lockCrawl(c config) (*frontiersqlite.Lock, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	lock, err := frontiersqlite.LockFile(filepath.Join(c.Data, "crawl.lock"))
	if err != nil {
		return nil, fmt.Errorf("crawling into %s: %w; end it, or use another folder with -data", c.Data, err)
	}
	return lock, nil
}

// gatherRecords is how long the records of a page wait for those of others. A
// commit of the index costs as much as the records of a page; a host's delay is
// longer by far.
const gatherRecords = 20 * time.Millisecond

// gatherLeases is the same for leases and their answers.
const gatherLeases = 2 * time.Millisecond

// openPipeline wires a crawl. The caller holds the lock of lockCrawl.
func openPipeline(ctx context.Context, c config, opts pipelineOptions) (*pipeline, error) {
	var judge judgement
	var dictionary versions
	if opts.live != nil {
		judge, dictionary = opts.live.Classify, func() string { return opts.live.Classifier().Dictionary().Version }
	} else {
		classifier, err := openClassifier(c)
		if err != nil {
			return nil, err
		}
		judge, dictionary = classifier.Classify, func() string { return classifier.Dictionary().Version }
	}
	store, err := opts.store, error(nil)
	if store == nil {
		store, err = openStore(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	p := &pipeline{store: store}
	f, err := openFrontier(ctx, c, opts.frontier, opts.logger, func() { p.seedAgain(ctx, opts.sources, opts.logger) })
	if err != nil {
		store.Close()
		return nil, err
	}
	p.frontier, p.writer = f, index.NewWriter(opts.metrics.store(store), index.WriterOptions{MaxDelay: gatherRecords, Workers: c.Crawl.Workers, Logger: opts.logger})
	var rt http.RoundTripper
	if p.archive, err = openArchive(c, store, opts.logger); err == nil {
		rt, err = newTransport(c, opts, p.archive, dictionary, f)
	}
	if err == nil {
		p.browsing, err = openBrowsing(c, opts, p.archive, store)
	}
	if err == nil {
		o := crawler.Options{
			Frontier: f, Transport: rt, OnWait: opts.metrics.waited, OnRefused: opts.metrics.leftOut, Workers: c.Crawl.Workers, MaxTries: c.Crawl.Tries, Logger: opts.logger,
			UserAgent: transport.UserAgent(version, c.Crawl.Contact), OnEvent: opts.event, Backoff: opts.backoff,
			Browser: p.browsing.browser(), KeepRendered: keepRendered(p.archive, dictionary),
			Sink: opts.metrics.sink(sink(judge, newGrouper(store), p.writer, p.browsing, func(r index.Record) {
				opts.metrics.judged(r)
				if !r.Verdict.Flagged {
					return
				}
				p.crawler.Flagged(r.Post)
				if opts.onHit != nil {
					opts.onHit(r)
				}
			})),
			Deleted: deleted(store, opts.logger), SessionDir: sessionDir(c),
		}
		share(f, &o)
		p.crawler, err = crawler.New(opts.sources, o)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	if p.browsing != nil {
		p.browsing.crawler = p.crawler
	}
	return p, nil
}

func newTransport(c config, opts pipelineOptions, w *archive.Writer, dictionary versions, f frontier.Frontier) (http.RoundTripper, error) {
	o := transport.Options{UserAgent: transport.UserAgent(version, c.Crawl.Contact), Logger: opts.logger, Robots: true, RobotsStore: crawler.RobotsNotes(f)}
	if w != nil {
		o.OnBody = keep(w, dictionary)
	}
	o.OnBody = opts.metrics.body(o.OnBody)
	t, err := transport.New(o)
	if err != nil {
		return nil, err
	}
	return opts.metrics.transport(t), nil
}

// event passes a step of the crawl on to who counts and who shows it.
func (o *pipelineOptions) event(e crawler.Event) {
	o.metrics.event(e)
	if o.onEvent != nil {
		o.onEvent(e)
	}
}

// judgement gives the verdict on a post; see classify.Classifier.Classify.
type judgement func(post.Post) (classify.Verdict, error)

// sink classifies the posts of a page, has evidence of its hits made, groups
// them and waits until all is durable; each record is then told to onStored.
func sink(judge judgement, g *campaign.Grouper, w *index.Writer, b *browsing, onStored func(index.Record)) crawler.Sink {
	return func(ctx context.Context, posts []post.Post) error {
		recs := make([]index.Record, 0, len(posts))
		for _, p := range posts {
			v, err := judge(p)
			if err != nil {
				return fmt.Errorf("classifying %s: %w", p.URL, err)
			}
			recs = append(recs, index.Record{Post: p, Verdict: v})
		}
		b.prove(ctx, recs)
		if err := group(ctx, g, recs); err != nil {
			return err
		}
		if err := w.Add(ctx, recs...); err != nil {
			return err
		}
		for _, r := range recs {
			if onStored != nil {
				onStored(r)
			}
		}
		return nil
	}
}

// deleted notes in the store what the crawl found to be gone.
func deleted(store index.Store, logger *slog.Logger) func(context.Context, crawler.Deletion) error {
	return func(ctx context.Context, d crawler.Deletion) error {
		n, err := store.Delete(ctx, index.Deletion{Source: d.Source, Thread: d.Thread, IDs: d.Posts, At: d.At})
		if err != nil {
			return fmt.Errorf("noting that %s is gone: %w", d.URL, err)
		}
		if n > 0 {
			logger.Info("posts are gone from their site; what was seen is kept", "source", d.Source, "url", d.URL, "posts", n, "reason", d.Reason, "record", d.Archive.RecordID)
		}
		return nil
	}
}

// close writes what is open to the end. It may be called again.
func (p *pipeline) close() error {
	p.closing.Do(func() { p.closed = p.closeAll() })
	return p.closed
}

func (p *pipeline) closeAll() error {
	first := p.browsing.close()
	closers := []func() error{p.writer.Close, p.frontier.Close, p.store.Close}
	if p.archive != nil {
		closers = append([]func() error{p.archive.Close}, closers...) // it may ask the store for held posts
	}
	for _, c := range closers {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// loadSources reads the site configs of the folder.
func loadSources(c config) ([]*crawler.Source, error) {
	sources, err := crawler.LoadSources(os.DirFS(c.Sites))
	if err != nil {
		return nil, fmt.Errorf("sites in %s:\n%w", c.Sites, err)
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("there is no site config (*.yaml) in %s; add one or set sites: in the config", c.Sites)
	}
	return sources, nil
}

// shanghai is the zone in which days are counted.
func shanghai() *time.Location { return index.China() }
