package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	frontiersqlite "qingyuan/crawler/frontier/sqlite"
	"qingyuan/index"
	"qingyuan/triage"
)

// statusBoard gathers for the status page what the crawl, the frontier, the
// index and the disk say. It is safe for concurrent use.
type statusBoard struct {
	config  config
	logger  *slog.Logger
	watch   *crawlWatch // nil: no crawl in this process
	store   index.Store
	live    *classify.Live // nil: the dictionary does not change
	file    storedFrontier // asked while no crawl runs in this process
	sources func() ([]*crawler.Source, error)
	metrics http.Handler // nil: not served

	versions struct{ dictionary, model string } // without live

	totals kept[map[string]siteTotals]
	sizes  kept[[]triage.Storage]
	sites  kept[[]*crawler.Source]
}

// newStatusBoard makes a board over a data folder. file is the frontier in it.
// Without sources the configured ones are read.
func newStatusBoard(c config, logger *slog.Logger, file string, watch *crawlWatch, live *classify.Live, sources []*crawler.Source) *statusBoard {
	b := &statusBoard{config: c, logger: logger, watch: watch, live: live, file: storedFrontier{config: c, name: file, logger: logger}}
	b.sources = func() ([]*crawler.Source, error) { return sources, nil }
	if sources == nil {
		b.sources = func() ([]*crawler.Source, error) { return crawler.LoadSources(os.DirFS(c.Sites)) }
	}
	if dict, err := classify.LoadDictionary(dictionaryFS(c)); err == nil {
		b.versions.dictionary = dict.Version
	}
	if m, err := openModel(c); err == nil && m != nil {
		b.versions.model = m.Version
	}
	return b
}

// close releases the frontier that was opened to look into.
func (b *statusBoard) close() error { return b.file.close() }

// configured are the sources as configured; mistakes are the business of
// others, here they leave the list short.
func (b *statusBoard) configured() []*crawler.Source {
	sources, _ := b.sites.get(10*time.Second, func() ([]*crawler.Source, error) {
		sources, err := b.sources()
		if err != nil {
			b.logger.Debug("reading the sites for the status page", "error", err)
		}
		return sources, nil
	})
	return sources
}

// frontier is that of the running crawl, or the one on the disk;
// triage.ErrNothingCrawled when there is none.
func (b *statusBoard) frontier(ctx context.Context) (frontier.Frontier, error) {
	if b.watch.runs() && b.watch.frontier != nil {
		return b.watch.frontier, nil
	}
	return b.file.open(ctx)
}

// status is for triage.Options.Status. What could be had is returned beside an
// error.
func (b *statusBoard) status(ctx context.Context) (triage.Status, error) {
	st, err := b.crawlState(ctx)
	err = errors.Join(err, b.fromIndex(ctx, &st))
	live := st.Total.Rate
	st.Total = totalOf(st.Sites)
	st.Total.Rate = live
	b.rest(&st)
	return st, err
}

// crawlState is what the crawl and the frontier say.
func (b *statusBoard) crawlState(ctx context.Context) (triage.Status, error) {
	st := triage.Status{At: time.Now(), Memory: memoryInUse()}
	sources := b.configured()
	if b.watch.runs() {
		b.watch.counts(&st)
	} else {
		for _, s := range sources {
			st.Sites = append(st.Sites, triage.SiteStatus{Site: s.Name, Title: s.Title})
		}
	}
	f, err := b.frontier(ctx)
	switch {
	case errors.Is(err, triage.ErrNothingCrawled):
		err = nil
	case err == nil:
		err = errors.Join(standings(ctx, f, sources, &st), b.fromFrontier(ctx, f, sources, &st))
	}
	st.Total = totalOf(st.Sites)
	st.Total.Rate = st.Rate
	return st, err
}

// fromFrontier adds the dead letters and, when no crawl here tells of them, the
// walls.
func (b *statusBoard) fromFrontier(ctx context.Context, f frontier.Frontier, sources []*crawler.Source, st *triage.Status) error {
	if !st.Live {
		walls, err := crawler.ReadWalls(ctx, f, sources)
		if err != nil {
			return err
		}
		for _, w := range walls {
			st.Alarms = append(st.Alarms, triage.Alarm{Kind: "wall", Site: w.Source, Host: w.Host, URL: w.URL, Reason: w.Text(), Since: w.Since, Until: w.Until})
		}
	}
	dead, err := f.DeadTasks(ctx, deadCounted)
	if err != nil {
		return err
	}
	st.Dead, st.DeadSeen = deadClasses(dead), len(dead)
	return nil
}

// Bounds of the status page.
const (
	deadCounted  = 1000 // newest dead letters that are counted by class
	deadExamples = 5    // shown of each class
	hostsShown   = 60
)

// deadClasses groups dead letters, the largest class first.
func deadClasses(dead []frontier.DeadTask) []triage.DeadClass {
	var out []triage.DeadClass
	at := map[string]int{}
	for _, d := range dead {
		class := crawler.ReasonClass(d.Reason)
		i, ok := at[class]
		if !ok {
			i, at[class] = len(out), len(out)
			out = append(out, triage.DeadClass{Class: class})
		}
		out[i].Count++
		if len(out[i].Examples) < deadExamples {
			out[i].Examples = append(out[i].Examples, triage.DeadPage{URL: d.URL, Site: d.Source, Reason: d.Reason, At: d.At})
		}
	}
	sortDead(out)
	return out
}

// siteTotals is what the index holds of one site.
type siteTotals struct {
	posts, hits int
	lastHit     time.Time
}

// fromIndex adds the last hit of each site and, when no crawl here counts, the
// posts and hits in the index.
func (b *statusBoard) fromIndex(ctx context.Context, st *triage.Status) error {
	totals, err := b.totals.get(15*time.Second, func() (map[string]siteTotals, error) { return b.countIndex(ctx) })
	if err != nil {
		return fmt.Errorf("counting the index by site: %w", err)
	}
	for i := range st.Sites {
		s := &st.Sites[i]
		t := totals[s.Site]
		if !st.Live {
			s.Posts, s.Hits = t.posts, t.hits
		}
		if t.lastHit.After(s.LastHit) {
			s.LastHit = t.lastHit
		}
		if s.Fetched > 0 {
			s.Yield = 100 * float64(s.Hits) / float64(s.Fetched)
		}
	}
	return nil
}

func (b *statusBoard) countIndex(ctx context.Context) (map[string]siteTotals, error) {
	out := map[string]siteTotals{}
	for _, text := range [...]string{"", "flagged:true"} {
		facets, err := b.store.Facets(ctx, index.Query{Text: text}, []string{index.FacetSource}, 0)
		if err != nil {
			return nil, err
		}
		for _, c := range facets[index.FacetSource] {
			t := out[c.Value]
			if text == "" {
				t.posts = c.Count
			} else {
				t.hits = c.Count
			}
			out[c.Value] = t
		}
	}
	for name, t := range out {
		if t.hits == 0 {
			continue
		}
		page, err := b.store.Search(ctx, index.Query{Text: fmt.Sprintf("flagged:true source:%q", name), Sort: index.SortFirstSeen, Limit: 1, NoTotal: true})
		if err != nil {
			return nil, err
		}
		if len(page.Hits) > 0 {
			t.lastHit = page.Hits[0].Record.FirstSeen
			out[name] = t
		}
	}
	return out, nil
}

// rest adds versions, sizes, the disk and the last digest.
func (b *statusBoard) rest(st *triage.Status) {
	st.Dictionary, st.Model = b.versions.dictionary, b.versions.model
	if b.live != nil {
		s := b.live.Status()
		st.Dictionary, st.Refused = s.Dictionary, s.Problems[:min(len(s.Problems), shownProblems)]
	}
	st.Storage, _ = b.sizes.get(20*time.Second, func() ([]triage.Storage, error) {
		return storageOf(b.config, filepath.Join(b.config.Data, b.file.name)), nil
	})
	st.DiskFree, st.DiskTotal = diskSpace(b.config.Data)
	st.Digest = readLastDigest(b.config)
}

// why is for triage.Options.Why.
func (b *statusBoard) why(ctx context.Context, lang, url string) ([]triage.WhyAnswer, error) {
	f, err := b.frontier(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	answers, err := crawler.Explain(ctx, f, b.configured(), url, now)
	if err != nil {
		return nil, err
	}
	out := make([]triage.WhyAnswer, len(answers))
	for i, w := range answers {
		out[i] = triage.WhyAnswer{URL: w.URL, Sentence: whySentence(w, lang), Lines: whyLines(w, lang, now), Full: w}
	}
	return out, nil
}

// storedFrontier opens the frontier that no crawl of this process holds, when
// it is first asked for and once there is one.
type storedFrontier struct {
	config config
	name   string // of its file in the data folder
	logger *slog.Logger

	mu     sync.Mutex
	db     frontier.Frontier
	closed bool
}

func (s *storedFrontier) open(ctx context.Context) (frontier.Frontier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		return s.db, nil
	}
	if s.closed {
		return nil, frontiersqlite.ErrClosed
	}
	if s.config.Frontier.Backend != "redis" {
		if _, err := os.Stat(filepath.Join(s.config.Data, s.name)); errors.Is(err, fs.ErrNotExist) {
			return nil, triage.ErrNothingCrawled
		}
	}
	db, err := readFrontier(context.WithoutCancel(ctx), s.config, s.name, s.logger)
	if err != nil {
		return nil, err
	}
	s.db = db
	return db, nil
}

func (s *storedFrontier) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.Close()
}

// kept keeps a value for a while. One caller at a time makes it anew.
type kept[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
}

func (k *kept[T]) get(fresh time.Duration, fill func() (T, error)) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.at.IsZero() && time.Since(k.at) < fresh {
		return k.value, nil
	}
	v, err := fill()
	if err == nil {
		k.at, k.value = time.Now(), v
	}
	return v, err
}
