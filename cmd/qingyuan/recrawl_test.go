package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler"
	"qingyuan/index"
	"qingyuan/post"
)

// TestWhatWasSeenStands crawls a forum whose offers are edited, deleted, hidden
// behind a wall and brought back: the index keeps what stood there and what was
// thought of it.
func TestWhatWasSeenStands(t *testing.T) {
	const offer = "网贷逾期别慌，专业停息挂账，不成功不收费，加微信 tingxi88 详聊"
	const harmless = "今天天气不错，楼主祝大家周末愉快。"
	var step atomic.Int32
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		thread := func(text string) {
			fmt.Fprintf(w, `<html><title>帖子</title><h1>急用钱看过来</h1><div class="post" id="%s"><i>阿强</i><p>%s</p></div>`, strings.TrimPrefix(r.URL.Path, "/t/"), text)
		}
		now := step.Load()
		switch {
		case r.URL.Path == "/robots.txt":
			http.NotFound(w, r)
		case now == 2:
			fmt.Fprint(w, `<html><title>安全验证</title><p>请完成验证后继续访问</p>`)
		case r.URL.Path == "/f":
			fmt.Fprint(w, `<html><title>版块</title><a class="t" href="/t/1">一</a> <a class="t" href="/t/2">二</a>`)
		case r.URL.Path == "/t/1" && now == 0, r.URL.Path == "/t/2" && now != 1:
			thread(offer)
		case r.URL.Path == "/t/1":
			thread(harmless)
		default:
			fmt.Fprint(w, `<html><title>提示信息</title><div id="messagetext"><p>抱歉，指定的主题不存在或已被删除或正在被审核</p></div>`)
		}
	}))
	defer site.Close()
	sites, data := t.TempDir(), t.TempDir()
	config := fmt.Sprintf(`name: bbs
type: forum
hosts: [%q]
seeds: [%q]
delay: 0s
allow_private: true
pages:
  - {name: list, match: '^/f$', follow: [a.t]}
  - name: thread
    match: '^/t/(?P<tid>\d+)$'
    thread: '/t/{tid}'
    posts:
      - {each: .post, kind: post, key: {attr: id}, title: {select: h1, scope: page}, author: i, text: p}
`, strings.TrimPrefix(site.URL, "http://"), site.URL+"/f")
	if err := os.WriteFile(filepath.Join(sites, "bbs.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QINGYUAN_SITES", sites)
	crawl := func() {
		t.Helper()
		c, err := loadConfig("")
		if err != nil {
			t.Fatal(err)
		}
		c.Data = data
		sources, err := loadSources(c)
		if err != nil {
			t.Fatal(err)
		}
		p, err := openPipeline(t.Context(), c, pipelineOptions{sources: sources, logger: slog.New(slog.DiscardHandler),
			backoff: crawler.Backoff{Base: 5 * time.Millisecond, Max: 50 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.crawler.Run(t.Context(), true)
		if err := errors.Join(err, p.close()); err != nil {
			t.Fatal(err)
		}
	}
	look := func() (edited, gone index.Record, revisions []index.Revision) {
		t.Helper()
		c := defaultConfig()
		c.Data = data
		store, err := openStore(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		for key, r := range map[string]*index.Record{"1": &edited, "2": &gone} {
			if *r, err = store.Get(t.Context(), post.NewID("bbs", key)); err != nil {
				t.Fatal(err)
			}
		}
		if revisions, err = store.Revisions(t.Context(), edited.Post.ID); err != nil {
			t.Fatal(err)
		}
		return edited, gone, revisions
	}

	crawl()
	first, second, _ := look()
	if !first.Verdict.Flagged || !second.Verdict.Flagged || !first.DeletedAt.IsZero() {
		t.Fatalf("the offers are not flagged: %+v, %+v", first.Verdict, second.Verdict)
	}
	step.Store(1) // one is edited, one deleted
	crawl()
	edited, gone, revisions := look()
	if edited.Verdict.Flagged || edited.Post.Text != harmless || edited.Revisions != 1 || len(revisions) != 1 {
		t.Fatalf("edited: %+v, %d revisions", edited, len(revisions))
	}
	was := revisions[0]
	if was.Text != offer || !was.Flagged || was.Verdict.Stance != first.Verdict.Stance || len(was.Verdict.Reasons) == 0 || was.Archive != first.Post.Archive {
		t.Errorf("the earlier text and its verdict are not kept: %+v", was)
	}
	if gone.DeletedAt.IsZero() || gone.Post.Text != offer || !gone.Verdict.Flagged || gone.Post.Archive != second.Post.Archive {
		t.Errorf("deleted: %+v", gone)
	}
	// An index made anew from the archive knows of both.
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		os.Remove(filepath.Join(data, name))
	}
	mustRun(t, "", "replay", "-data", data)
	if again, lost, revisions := look(); again.Post.Text != harmless || len(revisions) != 1 || !lost.DeletedAt.Equal(gone.DeletedAt) {
		t.Errorf("replayed: %+v with %d revisions, deleted at %v, want %v", again, len(revisions), lost.DeletedAt, gone.DeletedAt)
	}
	step.Store(2) // a wall
	crawl()
	edited, behind, revisions := look()
	if edited.Post.Text != harmless || !edited.DeletedAt.IsZero() || len(revisions) != 1 || !behind.DeletedAt.Equal(gone.DeletedAt) {
		t.Errorf("a wall changed what is known: %+v, %+v", edited, behind)
	}
	step.Store(3) // the deleted one is back
	crawl()
	if _, back, _ := look(); !back.DeletedAt.IsZero() || back.Revisions != 0 {
		t.Errorf("the thread is back: deleted at %v, %d revisions", back.DeletedAt, back.Revisions)
	}
	out := mustRun(t, "", "search", "-data", data, "source:bbs")
	if !strings.Contains(out, "2") {
		t.Errorf("search: %s", out)
	}
}

// TestHealthNamesPausedSites: a wall is told on /healthz and on the overview
// until the site lets us in again.
func TestHealthNamesPausedSites(t *testing.T) {
	watch := newCrawlWatch()
	pages := &livePages{logger: slog.New(slog.DiscardHandler)}
	c := defaultConfig()
	c.Data = t.TempDir()
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := pages.open(c, store, nil, watch, nil); err != nil {
		t.Fatal(err)
	}
	ask := func(path string) string {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "localhost"
		pages.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", path, w.Code)
		}
		return w.Body.String()
	}
	watch.event(crawler.Event{Kind: crawler.EventPage, Source: "bbs", Host: "bbs.example.com", At: time.Now()})
	if got := ask("/healthz"); strings.Contains(got, "paused_sites") {
		t.Errorf("well: %s", got)
	}
	watch.event(crawler.Event{Kind: crawler.EventWall, Source: "bbs", Host: "bbs.example.com", URL: "https://bbs.example.com/t/1", Reason: "captcha wall: title is 安全验证", Until: time.Now().Add(time.Hour)})
	if got := ask("/healthz"); !strings.Contains(got, `"paused_sites":[{"source":"bbs","host":"bbs.example.com","reason":"captcha wall: title is 安全验证"`) || !strings.Contains(got, `"status":"ok"`) {
		t.Errorf("behind a wall: %s", got)
	}
	if got := ask("/overview"); !strings.Contains(got, "captcha wall: title is 安全验证; next trial") {
		t.Error("the overview does not tell of the wall")
	}
	watch.event(crawler.Event{Kind: crawler.EventWallOver, Source: "bbs", Host: "bbs.example.com"})
	if got := ask("/healthz") + ask("/overview"); strings.Contains(got, "captcha wall") {
		t.Error("the alarm stays after the wall")
	}
}
