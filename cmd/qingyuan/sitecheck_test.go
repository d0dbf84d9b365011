package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qingyuan/crawler"
)

func TestSiteCheckCommand(t *testing.T) {
	broken := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken && r.URL.Query().Get("tid") != "" {
			fmt.Fprint(w, "<html><title>新版</title><h1>信用卡协商经历</h1><section>版式换了，内容都在脚本里。</section>")
			return
		}
		clubPage(w, r)
	}))
	defer srv.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "nanan.yaml")
	mustRun(t, "", "site", "new", "-allow-private", "-name", "nanan", "-o", file, srv.URL+"/club/board.php?fid=3")
	if out := mustRun(t, "", "site", "check", file); !strings.Contains(out, "正常  nanan (南岸论坛)：4 页，15 条") {
		t.Errorf("a site that is well: %s", out)
	}
	broken = true
	out, errOut, code := runCommand(t, "", "site", "check", "-lang", "en", file)
	if code != 1 || !strings.Contains(out, "drift  nanan") || !strings.Contains(out, "page rule thread reads nothing") || !strings.Contains(errOut, "1 of 1 sites") {
		t.Errorf("a new layout: exit %d\n%s%s", code, out, errOut)
	}
	out, _, code = runCommand(t, "", "site", "check", "-json", file)
	var k crawler.SiteCheck
	if err := json.Unmarshal([]byte(out), &k); code != 1 || err != nil || k.OK || len(k.Drifts) == 0 || k.Drifts[0].Kind != crawler.DriftZero {
		t.Errorf("as JSON: exit %d, %v\n%s", code, err, out)
	}
	// The folder of the config, with a kit that is no site.
	kit, err := os.ReadFile(filepath.Join("..", "..", "configs", "sites", "discuz.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	broken = false
	if err := os.WriteFile(filepath.Join(dir, "kit.yaml"), kit, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QINGYUAN_SITES", dir)
	if out := mustRun(t, "", "site", "check"); !strings.Contains(out, "跳过  discuz") || !strings.Contains(out, "正常  nanan") {
		t.Errorf("a folder: %s", out)
	}
}

func TestDriftIsShown(t *testing.T) {
	w := newCrawlWatch()
	w.lang = "zh"
	d := crawler.Drift{Source: "nanan", Kind: crawler.DriftZero, Page: "thread", Want: 1}
	w.event(crawler.Event{Kind: crawler.EventPage, Source: "nanan"})
	w.event(crawler.Event{Kind: crawler.EventDrift, Source: "nanan", Reason: "x", Drift: &d})
	w.event(crawler.Event{Kind: crawler.EventPage, Source: "nanan"})
	answer := health(w, nil)()
	status, err := w.status(t.Context())
	if err != nil || len(answer["drifting_sites"].([]crawler.Drift)) != 1 || !strings.Contains(status.Sources[0].Problem, "版式可能已改") {
		t.Errorf("health %v, status %+v, %v", answer, status, err)
	}
	w.event(crawler.Event{Kind: crawler.EventDriftOver, Source: "nanan", Drift: &d})
	if status, _ = w.status(t.Context()); status.Sources[0].Problem != "" || len(w.drifting()) > 0 {
		t.Errorf("after its end: %+v", status)
	}
}
