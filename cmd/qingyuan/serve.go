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
)

// runServe crawls for ever and serves the pages, in one process.
func runServe(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "serve", "", "data", "addr", "lang", "dict")
	noCrawl := f.Bool("no-crawl", false, "serve the pages only; crawl in another process")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
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
	var watch *crawlWatch
	if !*noCrawl {
		lock, err := lockCrawl(c)
		if err != nil {
			return err
		}
		defer lock.Close()
		watch = newCrawlWatch()
		watch.lang = c.Language
		run, closeCrawl, err := serveCrawl(ctx, c, logger, watch, live, pages)
		if err != nil {
			return err
		}
		defer closeCrawl()
		group.Go(run)
	}
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	if pages.sender, err = serveDigests(ctx, group, c, store, logger); err != nil {
		return err
	}
	defer pages.sender.close()
	users, err := openAccounts(ctx, c)
	if err != nil {
		return err
	}
	defer users.Close()
	if pages.saved, err = openSearches(ctx, c); err != nil {
		return err
	}
	defer pages.saved.Close()
	if c.Accounts.Required, err = loginRequired(ctx, c, users); err != nil {
		return err
	}
	if err := pages.open(c, store, siteTitles(c, logger), watch, live); err != nil {
		return err
	}
	handler, invite, err := guardPages(ctx, c, users, store, pages, logger)
	if err != nil {
		return err
	}
	scheme := "http"
	if c.TLS.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		ln, scheme = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), "https"
	}
	if invite != "" {
		fmt.Fprintf(std.err, "No admin can log in yet. Set the password of the user admin here, once, within 24 hours:\n%s\n", invite)
	}
	defer followEdits(ctx, live)() // ctx has ended when the group has
	fmt.Fprintf(std.out, "%s://%s/\n", scheme, ln.Addr())
	group.Go(func() error { return servePages(ctx, ln, handler) })
	return group.Wait()
}

// serveCrawl wires the endless crawl; run ends without error when ctx does.
func serveCrawl(ctx context.Context, c config, logger *slog.Logger, watch *crawlWatch, live *classify.Live, pages *livePages) (run func() error, done func() error, err error) {
	sites, sources, err := openSites(c, logger)
	if err != nil {
		return nil, nil, err
	}
	watch.sites, sites.changed = sites, pages.retitle
	crawler.ClearCollyEnv()
	p, err := openPipeline(ctx, c, pipelineOptions{sources: sources, logger: logger, onEvent: watch.event, live: live})
	if err != nil {
		return nil, nil, err
	}
	watch.frontier = p.frontier
	return func() error {
		defer watch.stop()
		following, stop := context.WithCancel(ctx)
		defer sites.follow(following, p.crawler)()
		defer stop()
		_, err := p.crawler.Run(ctx, false)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}, p.close, nil
}

// newPages is the web pages over a store: triage, and the digest of a day.
// titles are the names of the sites, by id. watch tells of the crawl in this
// process; nil when there is none.
func newPages(c config, store index.Store, logger *slog.Logger, titles map[string]string, watch *crawlWatch) (http.Handler, error) {
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return nil, err
	}
	return dictionaryPages(c, dict, store, logger, titles, watch, nil, nil)
}

// dictionaryPages is newPages with the names of a dictionary; live, when not
// nil, tells what is wrong with its edits.
func dictionaryPages(c config, dict *classify.Dictionary, store index.Store, logger *slog.Logger, titles map[string]string, watch *crawlWatch, live *classify.Live, sender *sender, more ...func(*triage.Options)) (http.Handler, error) {
	opts := triage.Options{Store: store, Categories: dict.Categories, Names: dict.Names(), Sources: titles, Logger: logger, Language: c.Language, Hosts: c.hosts(), User: pageUser, Account: c.Accounts.Required == "on",
		Digest: withReceivers(digestHandler(c, store, dict.Categories, logger), sender), Original: originalOf(c), Health: sender.health(health(watch, live)),
		Subscriptions: sender.pages(), MaskContacts: hidesContacts(c.Accounts), Session: accounts.SessionKey, APIRate: c.API.Rate, APIBurst: c.API.Burst}
	for _, change := range more {
		change(&opts)
	}
	if watch != nil {
		opts.Crawl = crawlStatus(watch, live)
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
