// Package town is the demo town: nine small websites that we wrote, served on
// loopback by the program itself, as a test bed for crawling and classifying.
//
// What comes in: the posts of posts/*.txt with their labels, the pages of
// templates/*.html and the site configs of sites/*.yaml, all embedded. What
// goes out: running sites, each with its own markup, encoding, paging and
// dates, and the config that a crawler needs to read it; and, for tests, the
// truth about every post. The package knows nothing of the crawler or of the
// classifier, and no text was written after either.
//
// Nobody and nothing in the town is real: people, companies, banks, numbers
// and addresses are invented.
package town

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Options say how the town is served. The zero value serves every site once,
// on free ports, with the usual faults.
type Options struct {
	BasePort int           // the first site's port, the next site has the next one; 0 takes free ports
	Copies   int           // how many times every site is served, on its own port and as name-2, name-3 …; 0 is once
	Now      time.Time     // ages of posts count back from here; the present minute by default
	Latency  time.Duration // before every answer
	NoFaults bool          // serves every page at the first request; otherwise a few fail once, see README.md
	Log      *slog.Logger  // gets one debug line per request; nil is silent
}

// Site is one site that is being served.
type Site struct {
	Name    string // of its config, such as shangan-bbs: Post.source
	Title   string // in Chinese, for people
	BaseURL string // http://127.0.0.1:PORT, without a slash at the end
	Config  []byte // the site config in YAML, with BaseURL filled in
}

// Town is a running town. Its methods may be called concurrently.
type Town struct {
	sites   []Site
	servers []*http.Server
	stop    context.CancelFunc
	served  sync.WaitGroup
	once    sync.Once
	err     error
}

// Start serves the town until ctx ends or Close is called. It fails when the
// embedded data is broken or a port is taken; nothing is left running then.
func Start(ctx context.Context, opts Options) (*Town, error) {
	data, err := load()
	if err != nil {
		return nil, fmt.Errorf("reading the demo town: %w", err)
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Now = opts.Now.Truncate(time.Minute)
	ctx, stop := context.WithCancel(ctx)
	t := &Town{stop: stop}
	for n := range max(opts.Copies, 1) {
		for i, d := range data {
			port := 0
			if opts.BasePort > 0 {
				port = opts.BasePort + n*len(data) + i
			}
			if err := t.serve(ctx, d, opts, n, port); err != nil {
				return nil, errors.Join(fmt.Errorf("serving demo site %s: %w", d.name, err), t.Close())
			}
		}
	}
	context.AfterFunc(ctx, func() { t.Close() })
	return t, nil
}

// Sites returns what is being served, in a fixed order.
func (t *Town) Sites() []Site { return append([]Site(nil), t.sites...) }

// Close stops every site at once, open connections included, and waits until
// nothing is being served. Closing twice is allowed.
func (t *Town) Close() error {
	t.once.Do(func() {
		t.stop()
		var errs []error
		for _, s := range t.servers {
			errs = append(errs, s.Close())
		}
		t.served.Wait()
		t.err = errors.Join(errs...)
	})
	return t.err
}

func (t *Town) serve(ctx context.Context, d *siteData, opts Options, copied, port int) error {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listening on port %d: %w", port, err)
	}
	name := d.name
	if copied > 0 {
		name = fmt.Sprintf("%s-%d", d.name, copied+1)
	}
	host := ln.Addr().String()
	base := "http://" + host
	config := bytes.NewBuffer(nil)
	config.Write(fill(d.config, map[string]string{"{{base}}": base, "{{host}}": host, "{{name}}": name}))
	handler, err := newHandler(d, base, opts)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
	}
	t.servers = append(t.servers, srv)
	t.sites = append(t.sites, Site{Name: name, Title: d.title, BaseURL: base, Config: config.Bytes()})
	t.served.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			opts.Log.Error("demo site stopped", "site", name, "error", err)
		}
	})
	return nil
}

func fill(text []byte, values map[string]string) []byte {
	for name, v := range values {
		text = bytes.ReplaceAll(text, []byte(name), []byte(v))
	}
	return text
}
