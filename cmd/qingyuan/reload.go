package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/index"
	"qingyuan/triage"
	"qingyuan/workbench"
)

// openLive builds a classifier that follows the operator's dictionary folder
// and model file. The built-in dictionaries cannot change: then it is nil.
func openLive(c config, logger *slog.Logger, changed func(*classify.Classifier)) (*classify.Live, error) {
	if c.Dictionaries == "" {
		return nil, nil
	}
	return classify.NewLive(classify.LiveOptions{
		Load: func() (*classify.Classifier, error) {
			classifier, err := openClassifier(c)
			return classifier, prefixed(strings.TrimSuffix(c.Dictionaries, "/"), err)
		},
		Fingerprint: func() (string, error) { return dictionaryFingerprint(c) },
		Logger:      logger,
		Changed:     changed,
	})
}

func dictionaryFingerprint(c config) (string, error) {
	f, err := classify.FolderFingerprint(dictionaryFS(c))
	if err != nil || c.Model == "" || c.Model == "none" {
		return f, err
	}
	info, err := os.Stat(c.Model)
	if err != nil {
		return "", fmt.Errorf("looking at the model: %w", err)
	}
	return fmt.Sprintf("%s %d %d", f, info.Size(), info.ModTime().UnixNano()), nil
}

// followEdits watches until ctx ends; SIGHUP loads at once. It returns when
// the signal is caught; wait returns when the watching has ended.
func followEdits(ctx context.Context, live *classify.Live) (wait func()) {
	if live == nil {
		return func() {} // SIGHUP keeps its meaning: the terminal is gone
	}
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer close(done)
		defer signal.Stop(signals)
		live.Watch(ctx, signals)
	}()
	return func() { <-done }
}

// livePages are pages that are made anew when the dictionary changes, since
// they show its names. Requests under way end on the old ones.
type livePages struct {
	logger  *slog.Logger
	sender  *sender      // of digests; nil when nobody subscribed
	board   *statusBoard // nil: no status page
	bench   *workbench.Bench
	saved   *triage.Searches // nil: users cannot save any
	make    func(*classify.Dictionary) (http.Handler, error)
	current atomic.Pointer[http.Handler]

	mu     sync.Mutex // while pages are made
	dict   *classify.Dictionary
	titles map[string]string // of the sites
}

// open makes the first pages; see newPages.
func (p *livePages) open(c config, store index.Store, titles map[string]string, watch *crawlWatch, live *classify.Live) error {
	p.mu.Lock()
	if p.titles == nil { // an edit may have come first
		p.titles = titles
	}
	p.make = func(d *classify.Dictionary) (http.Handler, error) {
		return dictionaryPages(c, d, store, p.logger, p.titles, watch, live, p.sender, p.board, p.bench, func(o *triage.Options) { o.Searches = p.saved })
	}
	p.mu.Unlock()
	if live != nil {
		return p.use(live.Classifier().Dictionary())
	}
	d, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return err
	}
	return p.use(d)
}

// use makes the pages with the names of a dictionary.
func (p *livePages) use(d *classify.Dictionary) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, err := p.make(d)
	if err != nil {
		return err
	}
	p.dict = d
	p.current.Store(&h)
	return nil
}

// retitle is for liveSites: the names of the sites have changed.
func (p *livePages) retitle(sources []*crawler.Source) {
	p.mu.Lock()
	p.titles = map[string]string{}
	for _, s := range sources {
		p.titles[s.Name] = s.Title
	}
	d := p.dict
	p.mu.Unlock()
	if d == nil {
		return // not open yet
	}
	if err := p.use(d); err != nil {
		p.logger.Error("the pages go on with the names of the sites before", "error", err)
	}
}

// changed is for classify.LiveOptions, once the pages are open.
func (p *livePages) changed(c *classify.Classifier) {
	if err := p.use(c.Dictionary()); err != nil {
		p.logger.Error("the pages go on with the names of the dictionary before", "error", err)
	}
}

func (p *livePages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*p.current.Load()).ServeHTTP(w, r)
}

// health is for triage.Options.Health: the dictionary in use and what is wrong
// with its edits, and the sites behind walls.
func health(watch *crawlWatch, live *classify.Live) func() map[string]any {
	return func() map[string]any {
		answer := map[string]any{}
		if live != nil {
			s := live.Status()
			answer["dictionary"] = s.Dictionary
			if len(s.Problems) > 0 {
				answer["dictionary_refused"] = s.Problems
			}
		}
		if watch != nil {
			if problem := frontierProblem(watch.frontier); problem != nil {
				answer["frontier"] = problem
			}
		}
		if refused := watch.refusedSites(); len(refused) > 0 {
			answer["sites_refused"] = refused
		}
		if paused := watch.behindWalls(); len(paused) > 0 {
			answer["paused_sites"] = paused
		}
		if drifts := watch.drifting(); len(drifts) > 0 {
			answer["drifting_sites"] = drifts
		}
		if watch != nil && watch.browsing != nil {
			answer["browser"] = watch.browsing.health()
		}
		return answer
	}
}

// crawlStatus is for triage.Options.Crawl: that of the crawl, with what is
// wrong with the dictionaries.
func crawlStatus(watch *crawlWatch, live *classify.Live) func(context.Context) (triage.CrawlStatus, error) {
	if live == nil {
		return watch.status
	}
	return func(ctx context.Context) (triage.CrawlStatus, error) {
		status, err := watch.status(ctx)
		s := live.Status()
		if n := len(s.Problems); n > 0 {
			problem := fmt.Sprintf("dictionary edit refused, %s stays in use; mistakes: %d: %s", s.Dictionary, n, strings.Join(s.Problems[:min(n, shownProblems)], " · "))
			status.Problem = strings.TrimPrefix(status.Problem+" · "+problem, " · ")
		}
		return status, err
	}
}

// shownProblems is how many mistakes the overview shows; the log and /healthz
// have all.
const shownProblems = 5
