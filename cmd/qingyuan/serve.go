package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"qingyuan/accounts"
	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/digest"
	"qingyuan/index"
	"qingyuan/triage"
	"qingyuan/workbench"
)

// runServe crawls for ever and serves the pages, in one process.
func runServe(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "serve", "", "data", "addr", "lang", "dict")
	noCrawl := f.Bool("no-crawl", false, "serve the pages only; crawl in another process")
	metricsAddr := f.String("metrics", "", "serve Prometheus metrics at `host:port` too; they are at /metrics of the pages anyway")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	view := newLiveView(std, c.Language)
	defer view.close()
	std.err = view
	logger := newLogger(std, c)
	ln, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer ln.Close()
	pages := &livePages{logger: logger}
	live, err := openLive(c, logger, pages.changed)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	observed, err := observe(observeOptions{config: c, logger: logger, view: view, metricsAddr: *metricsAddr})
	if err != nil {
		return err
	}
	defer observed.close()
	if observed.watching(!*noCrawl) {
		lock, err := lockCrawl(c)
		if err != nil {
			return err
		}
		defer lock.Close()
		if err := serveCrawl(ctx, c, logger, observed, live, pages); err != nil {
			return err
		}
		defer func() { observed.pages.close() }() //nolint:errcheck // an error before the crawl began tells more
		defer view.close()
	}
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	closePages, err := pages.equip(ctx, group, c, store, live)
	if err != nil {
		return err
	}
	defer closePages()
	users, err := openAccounts(ctx, &c)
	if err != nil {
		return err
	}
	defer users.Close()
	pages.board = observed.board(c, store, live)
	defer pages.board.close() //nolint:errcheck // it was only read from
	if err := pages.open(c, store, siteTitles(c, logger), observed.watch, live); err != nil {
		return err
	}
	handler, invite, err := guardPages(ctx, c, users, store, pages, logger)
	if err != nil {
		return err
	}
	ln, scheme, err := withTLS(c, ln)
	if err != nil {
		return err
	}
	tellInvite(std, invite)
	defer followEdits(ctx, live)() // ctx has ended when the group has
	fmt.Fprintf(std.out, "%s://%s/\n", scheme, ln.Addr())
	observed.begin(ctx, std.err, pages.board.crawlState)
	if !*noCrawl {
		group.Go(func() error { return runWatched(ctx, observed) })
	}
	group.Go(func() error { return servePages(ctx, ln, observed.metrics.web(handler)) })
	return observed.end(group.Wait())
}

// equip starts what works behind the pages: the sending of digests, the
// dictionary workbench and the saved searches. What it returns ends them.
func (p *livePages) equip(ctx context.Context, group *errgroup.Group, c config, store index.Store, live *classify.Live) (func(), error) {
	var err error
	if p.sender, err = serveDigests(ctx, group, c, store, p.logger); err != nil {
		return nil, err
	}
	if p.bench, err = openWorkbench(c, store, p.logger, live); err != nil {
		p.sender.close()
		return nil, err
	}
	if p.saved, err = openSearches(ctx, c); err != nil {
		p.bench.Close()
		p.sender.close()
		return nil, err
	}
	return func() {
		p.saved.Close()
		p.bench.Close()
		p.sender.close()
	}, nil
}

// tellInvite prints the address where the first admin sets a password, if there
// is one to be set.
func tellInvite(std stdio, invite string) {
	if invite != "" {
		fmt.Fprintf(std.err, "No admin can log in yet. Set the password of the user admin here, once, within 24 hours:\n%s\n", invite)
	}
}

// board is the status page of what is observed.
func (w *observed) board(c config, store index.Store, live *classify.Live) *statusBoard {
	b := newStatusBoard(c, w.logger, w.frontier, w.watch, live, nil)
	b.store, b.metrics = store, w.metrics.handler()
	return b
}

// watching says whether a crawl of this process is watched.
func (w *observed) watching(crawl bool) bool {
	if !crawl {
		w.watch = nil
	}
	return crawl
}

// withTLS makes a listener speak HTTPS when there is a certificate.
func withTLS(c config, ln net.Listener) (net.Listener, string, error) {
	if c.TLS.CertFile == "" {
		return ln, "http", nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		return nil, "", fmt.Errorf("tls: %w", err)
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), "https", nil
}

// serveCrawl opens the endless crawl.
func serveCrawl(ctx context.Context, c config, logger *slog.Logger, w *observed, live *classify.Live, pages *livePages) error {
	sites, sources, err := openSites(c, logger)
	if err != nil {
		return err
	}
	w.watch.lang, w.watch.edits = c.Language, sites
	sites.changed = func(sources []*crawler.Source) {
		w.watch.follow(sources)
		pages.retitle(sources)
	}
	crawler.ClearCollyEnv()
	w.watch.follow(sources)
	p, err := openPipeline(ctx, c, pipelineOptions{sources: sources, logger: logger, onEvent: w.watch.event, onHit: w.watch.hit, metrics: w.metrics, live: live})
	if err != nil {
		return err
	}
	w.crawls(p)
	return nil
}

// runWatched crawls until ctx ends, which is no error.
func runWatched(ctx context.Context, w *observed) error {
	defer w.watch.stop()
	following, stop := context.WithCancel(ctx)
	defer w.watch.edits.follow(following, w.pages.crawler)()
	defer stop()
	_, err := w.pages.crawler.Run(ctx, false)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// newPages is the web pages over a store: triage, and the digest of a day.
// titles are the names of the sites, by id. watch tells of the crawl in this
// process; nil when there is none.
func newPages(c config, store index.Store, logger *slog.Logger, titles map[string]string, watch *crawlWatch) (http.Handler, error) {
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return nil, err
	}
	return dictionaryPages(c, dict, store, logger, titles, watch, nil, nil, nil, nil)
}

// dictionaryPages is newPages with the names of a dictionary; live, when not
// nil, tells what is wrong with its edits; board, when not nil, has a page.
func dictionaryPages(c config, dict *classify.Dictionary, store index.Store, logger *slog.Logger, titles map[string]string, watch *crawlWatch, live *classify.Live, sender *sender, board *statusBoard, bench *workbench.Bench, more ...func(*triage.Options)) (http.Handler, error) {
	opts := triage.Options{Store: store, Categories: dict.Categories, Names: dict.Names(), Sources: titles, Logger: logger, Language: c.Language, Hosts: c.hosts(), User: pageUser, Account: c.Accounts.Required == "on",
		Digest: withReceivers(digestHandler(c, store, dict.Categories, logger), sender), Original: originalOf(c), Evidence: evidenceOf(c), Health: sender.health(indexHealth(health(watch, live), watch, store)),
		Subscriptions: sender.pages(), Dictionary: bench, MaskContacts: hidesContacts(c.Accounts), Session: accounts.SessionKey, APIRate: c.API.Rate, APIBurst: c.API.Burst}
	for _, change := range more {
		change(&opts)
	}
	if watch != nil {
		opts.Crawl = crawlStatus(watch, live)
	}
	if board != nil {
		opts.Status, opts.Why, opts.Metrics = board.status, board.why, board.metrics
	}
	return triage.New(opts)
}

// siteTitles reads what the configured sites are called. Pages can do without:
// a folder that cannot be read is only logged.
func siteTitles(c config, logger *slog.Logger) map[string]string {
	titles := map[string]string{}
	sources, err := crawler.LoadSources(os.DirFS(c.Sites))
	if err != nil {
		logger.Warn("sites are shown by id: their configs cannot be read", "folder", c.Sites, "error", err)
	}
	for _, s := range sources {
		titles[s.Name] = s.Title
	}
	return titles
}

// digestHandler shows the digest of ?day=2026-11-22, today by default. It is
// mounted at /digest/.
func digestHandler(c config, store index.Store, categories []classify.Category, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && r.URL.Path != "" {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		day, err := parseDay(r.URL.Query().Get("day"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		lang := c.Language
		if cookie, err := r.Cookie("qingyuan_lang"); err == nil && (cookie.Value == "zh" || cookie.Value == "en") {
			lang = cookie.Value
		}
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		d, err := digest.Build(r.Context(), store, digest.Options{Day: day, Language: lang, Categories: categories, BaseURL: scheme + r.Host})
		if err != nil {
			logger.Error("building the digest failed", "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		if err := noteDigest(c, day); err != nil {
			logger.Warn("which digest was built last could not be noted", "error", err)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
		if err := d.HTML(w); err != nil {
			logger.Warn("sending the digest failed", "error", err)
		}
	})
}

// The years a digest may be asked for.
const firstDigestYear, lastDigestYear = 2000, 2200

// parseDay reads 2026-11-22 in the product's time zone; "" is today.
func parseDay(s string) (time.Time, error) {
	if s == "" {
		return time.Now().In(shanghai()), nil
	}
	day, err := time.ParseInLocation(time.DateOnly, s, shanghai())
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no day; write it as 2026-11-22", s)
	}
	if day.Year() < firstDigestYear || day.Year() > lastDigestYear {
		return time.Time{}, fmt.Errorf("%s is outside the years %d to %d", s, firstDigestYear, lastDigestYear)
	}
	return day, nil
}

// servePages serves until ctx ends, then lets requests finish for a moment.
func servePages(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := srv.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close() // somebody is too slow to wait for
		}
		stopped <- err
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the pages: %w", err)
	}
	return <-stopped
}
