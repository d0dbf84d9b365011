package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"qingyuan/crawler/render"
	"qingyuan/index"
	"qingyuan/post"
)

// needsBrowser skips where there is no Chromium; with CI=true that is a failure.
func needsBrowser(t *testing.T) {
	t.Helper()
	if _, err := render.Find(""); errors.Is(err, render.ErrNoBrowser) {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no chromium found")
	}
}

// drawnTown serves a board that a script draws and one that is static, each
// with one offer and one question, and writes config and sites for them.
func drawnTown(t *testing.T, extra string) (config, data string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	const offer, question = "停息挂账专业办理，不成功不收费，逾期债务协商分期，加微信 zw88kf66 详谈", "请问信用卡逾期三个月了怎么和银行协商？"
	mux := http.NewServeMux()
	say := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		})
	}
	say("/app", "text/html; charset=utf-8", `<!DOCTYPE html><title>互助</title><div id=app></div><script src=/app.js></script>`)
	say("/app.js", "text/javascript", `fetch("/api").then(r=>r.json()).then(d=>{document.getElementById("app").innerHTML=d.map((t,i)=>"<div class=post id=p"+i+"><i>网友"+i+"</i><p>"+t+"</p></div>").join("")})`)
	api, err := json.Marshal([]string{offer, question})
	if err != nil {
		t.Fatal(err)
	}
	say("/api", "application/json", string(api))
	say("/static", "text/html; charset=utf-8", `<!DOCTYPE html><title>论坛</title><link rel=stylesheet href=/s.css><div class=post id=s0><i>顾问</i><p>`+offer+`。全国接单</p></div><div class=post id=s1><i>路人</i><p>`+question+`</p></div><script src=/app.js></script>`)
	say("/s.css", "text/css", "body{background:#eef}")
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	site := func(name, path, render string) string {
		return fmt.Sprintf(`name: %s
type: forum
hosts: [%q]
seeds: ["%s%s"]
delay: 0s
allow_private: true
render: %s
pages:
  - {name: thread, match: '^%s$', posts: [{each: '.post', kind: post, key: {attr: id}, author: i, text: p}]}
`, name, strings.TrimPrefix(srv.URL, "http://"), srv.URL, path, render, path)
	}
	for name, text := range map[string]string{
		"config.yaml":       fmt.Sprintf("data: %s\nsites: %s\nevidence: {screenshot: true}\n%s", data, filepath.Join(dir, "sites"), extra),
		"sites/drawn.yaml":  site("drawn", "/app", "auto"),
		"sites/static.yaml": site("static", "/static", "never"),
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml"), data, requests
}

func recordsByKey(t *testing.T, data string) map[string]index.Record {
	t.Helper()
	out := map[string]index.Record{}
	eachRecord(t, data, func(r index.Record) { out[r.Post.Source+" "+r.Post.Author.Name] = r })
	return out
}

// A hit has a picture of its page in the archive, also where the page is drawn
// by scripts; what else was seen has none. It is made once, shown by the pages,
// covered by verify and kept through a replay, which needs no browser.
func TestEvidenceOfHits(t *testing.T) {
	needsBrowser(t)
	config, data, requests := drawnTown(t, "")
	mustRun(t, "", "crawl", "-config", config, "-once")
	recs := recordsByKey(t, data)
	if len(recs) != 4 {
		t.Fatalf("%d records, want 4", len(recs))
	}
	c := defaultConfig()
	c.Data = data
	read := evidenceOf(c)
	for key, r := range recs {
		hit := key == "drawn 网友0" || key == "static 顾问"
		if r.Verdict.Flagged != hit || hit == (len(r.Post.Evidence) == 0) {
			t.Errorf("%s: flagged %v with %d pieces of evidence", key, r.Verdict.Flagged, len(r.Post.Evidence))
			continue
		}
		if !hit {
			continue
		}
		shot, dom := r.Post.Evidence[0], r.Post.Evidence[1]
		picture, err := read(t.Context(), shot)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		size, err := png.DecodeConfig(bytes.NewReader(picture))
		if err != nil || size.Width != shot.Width || size.Height != shot.Height || shot.Of != r.Post.Archive.RecordID {
			t.Errorf("%s: picture of %v, %v; the post says %+v", key, size, err, shot)
		}
		doc, err := read(t.Context(), dom)
		if err != nil || !bytes.Contains(doc, []byte("zw88kf66")) {
			t.Errorf("%s: document %.200s, %v", key, doc, err)
		}
		forged := shot
		forged.Archive = r.Post.Archive
		if _, err := read(t.Context(), forged); err == nil {
			t.Error("the page itself is served as evidence")
		}
	}
	list := mustRun(t, "", "archive", "list", "-config", config)
	for _, want := range []string{"conversion", "screenshot:http://", "dom:http://"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	mustRun(t, "", "archive", "verify", "-config", config)
	shown := mustRun(t, "", "archive", "show", "-config", config, recs["drawn 网友0"].Post.Archive.RecordID)
	if !strings.Contains(shown, "conversion") || !strings.Contains(shown, "zw88kf66") {
		t.Errorf("archive show of a rendered page: %s", shown)
	}
	wantOriginals(t, data)

	before := requests.Load()
	mustRun(t, "", "crawl", "-config", config, "-once")
	again := recordsByKey(t, data)
	if got := again["static 顾问"].Post.Evidence; len(got) != 2 || got[0].Archive != recs["static 顾问"].Post.Evidence[0].Archive {
		t.Errorf("after a second pass: %+v", got)
	}
	if requests.Load() == before {
		t.Error("the second pass fetched nothing")
	}
	t.Setenv("PATH", "") // no browser for the replay
	out := mustRun(t, "", "replay", "-config", config, "-json")
	var report replayReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Posts != 4 || report.New+report.Text+report.Flagged+report.Cleared != 0 {
		t.Errorf("the replay: %s", out)
	}
	if got := recordsByKey(t, data)["drawn 网友0"].Post; len(got.Evidence) != 2 {
		t.Errorf("after the replay: %+v", got)
	}
	if err := os.Remove(filepath.Join(data, "index.db")); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "", "replay", "-config", config)
	for key, r := range recordsByKey(t, data) {
		if want := again[key].Post.Evidence; len(want) > 0 && !reflect.DeepEqual(r.Post.Evidence, want) {
			t.Errorf("evidence in an index made anew: %+v, want %+v", r.Post.Evidence, want)
		}
	}
	if got := recordsByKey(t, data); len(got) != 4 || got["drawn 网友0"].Post.Archive != again["drawn 网友0"].Post.Archive {
		t.Errorf("an index made anew: %+v", got)
	}
}

// The post's page shows picture and document, and nothing that the archive
// holds can choose its type.
func TestEvidenceOnThePage(t *testing.T) {
	needsBrowser(t)
	config, data, _ := drawnTown(t, "")
	mustRun(t, "", "crawl", "-config", config, "-once")
	c := defaultConfig()
	c.Data = data
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rec := recordsByKey(t, data)["static 顾问"]
	pages, err := newPages(c, store, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "localhost"
		pages.ServeHTTP(w, r)
		return w
	}
	base := "/post/" + rec.Post.ID
	if w := get(base); !strings.Contains(w.Body.String(), `<img src="`+base+`/evidence/0"`) || !strings.Contains(w.Body.String(), rec.Post.Evidence[0].Archive.SHA256) {
		t.Errorf("the page does not show the picture")
	}
	w := get(base + "/evidence/0")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") || sum256(w.Body.Bytes()) != rec.Post.Evidence[0].Archive.SHA256 {
		t.Errorf("picture: %d %v", w.Code, w.Header())
	}
	if w := get(base + "/evidence/1"); w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("document: %d %v", w.Code, w.Header())
	}
	// A record that says it is a picture and holds a page.
	rec.Post.Evidence[1].Kind = post.EvidenceScreenshot
	rec.Post.FetchedAt = rec.Post.FetchedAt.Add(1e9)
	if err := store.Put(t.Context(), []index.Record{rec}); err != nil {
		t.Fatal(err)
	}
	if w := get(base + "/evidence/1"); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "zw88kf66") {
		t.Errorf("a page as a picture: %d", w.Code)
	}
	for _, n := range []string{"2", "-1", "x", "99999999999999999999"} {
		if w := get(base + "/evidence/" + n); w.Code != http.StatusNotFound {
			t.Errorf("evidence %s: %d", n, w.Code)
		}
	}
}

// Without Chromium a crawl goes on, says so, and a site that needs one is an
// error at the start.
func TestCrawlWithoutBrowser(t *testing.T) {
	config, data, _ := drawnTown(t, "browser: {path: /nonexistent/chromium}\n")
	_, errOut, code := runCommand(t, "", "crawl", "-config", config, "-once")
	if code != 0 || !strings.Contains(errOut, "no Chromium found") || len(recordsByKey(t, data)) != 2 {
		t.Errorf("exit %d, %d records\n%s", code, len(recordsByKey(t, data)), errOut)
	}
	site := filepath.Join(filepath.Dir(config), "sites", "drawn.yaml")
	text, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(site, bytes.Replace(text, []byte("render: auto"), []byte("render: always"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errOut, code = runCommand(t, "", "crawl", "-config", config, "-once")
	if code != 1 || !strings.Contains(errOut, "drawn") || !strings.Contains(errOut, "apt-get install chromium") {
		t.Errorf("exit %d\n%s", code, errOut)
	}
}

func TestBrowserConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("archive: {enabled: false}\nevidence: {screenshot: true}\nbrowser: {max: 0, page_seconds: 5, memory_mb: 9, recycle_pages: -1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code := runCommand(t, "", "check", "-config", file, "-sites", "../../configs/sites")
	for _, want := range []string{"evidence.screenshot", "browser.max", "browser.page_seconds", "browser.memory_mb", "browser.recycle_pages"} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit %d, no word of %s in\n%s", code, want, out)
		}
	}
}
