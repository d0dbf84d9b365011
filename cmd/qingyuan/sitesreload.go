package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"qingyuan/crawler"
	"qingyuan/strictyaml"
)

// maxSiteFile is how much of a site config counts for its fingerprint.
const maxSiteFile = 4 << 20

// liveSites follows edits of the folder of site configs while a crawl runs. An
// edit with a mistake in any file is refused as a whole, and the sites before
// go on.
type liveSites struct {
	c        config
	logger   *slog.Logger
	interval time.Duration                                  // between looks
	use      func(context.Context, []*crawler.Source) error // takes up an edit; an error is tried again
	changed  func(sources []*crawler.Source)                // called after an edit was taken up; may be nil

	seen    string // fingerprint of what was loaded or refused last
	pending string // fingerprint at the last look, when it was a new one

	mu       sync.Mutex
	versions map[string]string // of the sites in use, by name
	problems []string          // why the last edit was refused
}

// openSites reads the sites for the first time; a mistake is an error then.
func openSites(c config, logger *slog.Logger) (*liveSites, []*crawler.Source, error) {
	l := &liveSites{c: c, logger: logger, interval: time.Second}
	l.seen = l.fingerprint() // before loading: what changes in between is an edit
	sources, err := loadSources(c)
	if err != nil {
		return nil, nil, err
	}
	l.versions = versionsOf(sources)
	return l, sources, nil
}

func versionsOf(sources []*crawler.Source) map[string]string {
	out := map[string]string{}
	for _, s := range sources {
		out[s.Name] = s.Version()
	}
	return out
}

// watch follows edits until ctx ends. A change is taken up when two looks in a
// row find the same, so that a file is not read while it is being written.
func (l *liveSites) watch(ctx context.Context) {
	tick := time.NewTicker(l.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.look(ctx)
		}
	}
}

// look is one look at the folder.
func (l *liveSites) look(ctx context.Context) {
	switch f := l.fingerprint(); f {
	case l.seen:
		l.pending = ""
	case l.pending:
		l.load(ctx, f)
	default:
		l.pending = f
	}
}

// load takes up the edit with the fingerprint f, or refuses it.
func (l *liveSites) load(ctx context.Context, f string) {
	sources, err := crawler.LoadSources(os.DirFS(l.c.Sites))
	if after := l.fingerprint(); after != f {
		l.pending = after // edited while it was read: no mistake, and not yet to be used
		return
	}
	if err == nil && len(sources) == 0 {
		err = errors.New("there is no site config (*.yaml) in the folder; to stop crawling, end the program")
	}
	if err != nil {
		l.seen, l.pending = f, ""
		l.refuse(prefixed(strings.TrimSuffix(l.c.Sites, "/"), err))
		return
	}
	if err := l.use(ctx, sources); err != nil {
		if ctx.Err() == nil {
			l.logger.Error("the edited sites could not be taken up; it is tried again", "error", err)
		}
		return
	}
	l.seen, l.pending = f, ""
	l.mu.Lock()
	before := l.versions
	l.versions, l.problems = versionsOf(sources), nil
	l.mu.Unlock()
	l.tell(before, versionsOf(sources))
	if l.changed != nil {
		l.changed(sources)
	}
}

// tell logs what an edit changed.
func (l *liveSites) tell(before, now map[string]string) {
	var added, edited, removed []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch old, known := before[name]; {
		case !known:
			added = append(added, name)
		case old != now[name]:
			edited = append(edited, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[name]; !ok {
			removed = append(removed, name)
		}
	}
	l.logger.Info("edited sites in use", "sites", len(now), "added", added, "edited", edited, "removed", removed)
}

func (l *liveSites) refuse(err error) {
	problems := []string{err.Error()}
	var ms strictyaml.Mistakes
	if errors.As(err, &ms) {
		problems = problems[:0]
		for _, m := range ms {
			problems = append(problems, m.Error())
		}
	}
	l.mu.Lock()
	l.problems = problems
	l.mu.Unlock()
	for _, p := range problems {
		l.logger.Error("edit of the sites refused", "mistake", p)
	}
	l.logger.Error("the sites before go on", "mistakes", len(problems))
}

// refused lists why the last edit was refused; empty when it is in use.
func (l *liveSites) refused() []string {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.problems)
}

// fingerprint is a hash of the names and contents of the configs; never empty.
func (l *liveSites) fingerprint() string {
	fsys := os.DirFS(l.c.Sites)
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return "unreadable: " + err.Error()
	}
	sum := sha256.New()
	for _, name := range names {
		if err := addFile(sum, fsys, name); err != nil {
			return "unreadable: " + err.Error()
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func addFile(sum io.Writer, fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, io.LimitReader(f, maxSiteFile)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(sum, "%q %x\n", name, content.Sum(nil))
	return err
}

// follow watches beside a crawl until ctx ends; wait returns when the watching
// has ended.
func (l *liveSites) follow(ctx context.Context, c *crawler.Crawler) (wait func()) {
	l.use = c.SetSources
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.watch(ctx)
	}()
	return func() { <-done }
}

// refusedSites lists why the last edit of the sites was refused.
func (w *crawlWatch) refusedSites() []string {
	if w == nil {
		return nil
	}
	return w.edits.refused()
}
