package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"qingyuan/crawler"
	"qingyuan/triage"
)

// observed is all that watches a crawl of this process: its counts, the
// terminal, the metrics and the words at its end.
type observed struct {
	config  config
	logger  *slog.Logger
	watch   *crawlWatch
	metrics *crawlMetrics
	view    *liveView // nil: nothing is shown
	stop    *orderlyStop
	state   atomic.Pointer[func(context.Context) (triage.Status, error)] // for the metrics
	pages   *pipeline                                                    // of the crawl; nil: none in this process

	frontier string // file in the data folder

	listener net.Listener // of -metrics; nil: none
	cancel   context.CancelFunc
	served   sync.WaitGroup
}

// observeOptions are what observe is made of.
type observeOptions struct {
	config      config
	logger      *slog.Logger
	sources     []*crawler.Source
	view        *liveView // nil: nothing is shown
	metricsAddr string    // "": no address of their own
}

// observe prepares; begin starts when the pipeline is open.
func observe(o observeOptions) (*observed, error) {
	w := &observed{config: o.config, logger: o.logger, watch: newCrawlWatch(), metrics: newMetrics(), view: o.view, frontier: "frontier.db"}
	if o.view != nil {
		o.view.logging(o.logger)
	}
	w.watch.follow(o.sources)
	if o.metricsAddr == "" {
		return w, nil
	}
	ln, err := listenMetrics(o.metricsAddr)
	if err != nil {
		return nil, err
	}
	w.listener = ln
	return w, nil
}

// crawls tells what is watched.
func (w *observed) crawls(p *pipeline) {
	w.pages, w.watch.frontier, w.watch.browsing, w.watch.index = p, p.frontier, p.browsing, p.store
}

// begin shows and serves from now on what state tells; nil is the crawl of this
// process.
func (w *observed) begin(ctx context.Context, stderr io.Writer, state func(context.Context) (triage.Status, error)) {
	if state == nil {
		state = w.snapshot
	}
	w.state.Store(&state)
	var sizes kept[[]triage.Storage]
	w.metrics.watchState(w.config, func(ctx context.Context) (triage.Status, error) { return (*w.state.Load())(ctx) }, func() []triage.Storage {
		s, _ := sizes.get(20*time.Second, func() ([]triage.Storage, error) {
			return storageOf(w.config, filepath.Join(w.config.Data, w.frontier)), nil
		})
		return s
	})
	if w.pages != nil {
		w.stop = watchStop(ctx, stderr, w.config.Language, w.view, stopTime, os.Exit)
		if w.view != nil {
			w.view.start(w.snapshot)
		}
	}
	if w.listener == nil {
		return
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a stop is worth watching too
	w.cancel = cancel
	w.served.Go(func() {
		if err := serveMetrics(serving, w.listener, w.metrics, w.logger); err != nil {
			w.logger.Error("metrics are served no longer", "error", err)
		}
	})
}

func (w *observed) snapshot(ctx context.Context) (triage.Status, error) {
	return w.watch.snapshot(ctx, w.watch.frontier)
}

// end closes the crawl after a run that ended with err, and says how it ended
// when it was stopped.
func (w *observed) end(err error) error {
	if w.pages == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	queued := 0
	if stats, statErr := w.watch.frontier.Stats(ctx, ""); statErr == nil {
		queued = stats.Waiting
	}
	if w.view != nil {
		w.view.close()
	}
	w.watch.stop()
	err = errors.Join(err, w.pages.close())
	w.stop.done(queued, err)
	return err
}

// close ends the serving of metrics. It may be called without begin.
func (w *observed) close() {
	if w.cancel != nil {
		w.cancel()
	} else if w.listener != nil {
		w.listener.Close() //nolint:errcheck // nothing was served
	}
	w.served.Wait()
}
