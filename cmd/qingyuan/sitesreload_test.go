package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler"
)

// clubs counts what is asked for by path and query.
type clubs struct {
	mu    sync.Mutex
	asked map[string]int
}

func (c *clubs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked[r.URL.RequestURI()]++
	c.mu.Unlock()
	clubPage(w, r)
}

const clubConfig = `name: %s
title: %s
type: forum
hosts: [%q]
allow_private: true
seeds: ["http://%[3]s/club/board.php?fid=3"]
delay: 0s
pages:
  - {name: list, match: '^/club/board\.php\?fid=\d+$', priority: 5, follow: [{select: 'a.t'}]}
  - name: thread
    match: '^/club/topic\.php\?tid=\d+$'
    posts: [{each: .reply, kind: comment, first_kind: post, key: {attr: id}, author: a.user, time: .at, text: .msg}]
`

// TestEditsOfSitesAreTakenUp edits the folder of sites under a running crawl,
// well and badly.
func TestEditsOfSitesAreTakenUp(t *testing.T) {
	one, two := &clubs{asked: map[string]int{}}, &clubs{asked: map[string]int{}}
	first, second := httptest.NewServer(one), httptest.NewServer(two)
	defer first.Close()
	defer second.Close()
	c := defaultConfig()
	c.Data, c.Sites, c.Model = t.TempDir(), t.TempDir(), "none"
	c.Archive.Enabled = false
	write := func(name, title string, srv *httptest.Server) string {
		file := filepath.Join(c.Sites, name+".yaml")
		text := fmt.Sprintf(clubConfig, name, title, strings.TrimPrefix(srv.URL, "http://"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write("one", "第一站", first)
	var log lockedBuilder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	watch := newCrawlWatch()
	watch.lang = "zh"
	pages := &livePages{logger: logger}
	sites, sources, err := openSites(c, logger)
	if err != nil {
		t.Fatal(err)
	}
	watch.edits, sites.changed = sites, pages.retitle
	events := make(chan crawler.Event, 10_000)
	p, err := openPipeline(t.Context(), c, pipelineOptions{sources: sources, logger: logger, onEvent: func(e crawler.Event) { watch.event(e); events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := pages.open(c, p.store, siteTitles(c, logger), watch, nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.crawler.Run(ctx, false) }()
	defer func() { stop(); <-ended }()
	sites.use = p.crawler.SetSources
	takeUp := func() { sites.look(ctx); sites.look(ctx) }
	wait := func(source string, n int) {
		t.Helper()
		limit := time.After(time.Minute)
		for n > 0 {
			select {
			case e := <-events:
				if e.Kind == crawler.EventPage && e.Source == source {
					n--
				}
			case <-limit:
				t.Fatalf("%d pages of %s are missing\n%s", n, source, log.String())
			}
		}
	}
	wait("one", 13)

	edit(t, file, "type: forum", "type: forumm")
	takeUp()
	where := file + ":3: type"
	var answer map[string]any
	if err := json.Unmarshal([]byte(bodyOf(t, pages, "/healthz")), &answer); err != nil || !strings.Contains(fmt.Sprint(answer["sites_refused"]), where) {
		t.Errorf("/healthz does not name %s: %v", where, answer)
	}
	if got := bodyOf(t, pages, "/overview"); !strings.Contains(got, "站点配置的修改未被采用") || !strings.Contains(got, "one.yaml:3:") {
		t.Errorf("the overview does not name the mistake")
	}
	if !strings.Contains(log.String(), "edit of the sites refused") || !strings.Contains(log.String(), where) {
		t.Errorf("the log does not name the mistake:\n%s", log.String())
	}

	edit(t, file, "type: forumm", "type: forum")
	edit(t, file, "title: 第一站", "title: 改名的站")
	write("two", "第二站", second)
	sites.look(ctx) // one look is not enough: the file may still be in writing
	if strings.Contains(log.String(), "edited sites in use") {
		t.Error("an edit is taken up at the first look")
	}
	sites.look(ctx)
	wait("two", 13)
	if got := bodyOf(t, pages, "/healthz"); strings.Contains(got, "refused") {
		t.Errorf("/healthz after a good edit: %s", got)
	}
	if p.crawler == nil || !strings.Contains(log.String(), "added=[two] edited=[one] removed=[]") {
		t.Errorf("the log does not tell the edit:\n%s", log.String())
	}
	if pages.titles["one"] != "改名的站" || pages.titles["two"] != "第二站" {
		t.Errorf("the pages call the sites %v", pages.titles)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	takeUp()
	if !strings.Contains(log.String(), "removed=[one]") {
		t.Errorf("the log does not tell of the site taken out:\n%s", log.String())
	}
	if err := os.Remove(filepath.Join(c.Sites, "two.yaml")); err != nil {
		t.Fatal(err)
	}
	takeUp()
	if got := sites.refused(); len(got) != 1 {
		t.Errorf("an empty folder: %q", got)
	}
	for i, k := range []*clubs{one, two} {
		k.mu.Lock()
		for target, n := range k.asked {
			if n != 1 {
				t.Errorf("site %d: %s was asked for %d times", i+1, target, n)
			}
		}
		k.mu.Unlock()
	}
}

func bodyOf(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+target, nil))
	return w.Body.String()
}

// lockedBuilder is a log that may be read while it is written.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
