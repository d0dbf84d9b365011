package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// TestServePublishesDictionaries goes the way of an operator through the real
// program: the draft, the dry run, the folder, the classifier in use.
func TestServePublishesDictionaries(t *testing.T) {
	dir, data := dictionaryCopy(t, nil), filepath.Join(t.TempDir(), "data")
	t.Setenv("QINGYUAN_SITES", "../../configs/sites")
	if err := os.MkdirAll(filepath.Join(data, labelledFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	label := `{"id":"l1","text":"债务盾牌套餐，全国代办，加微 dunpai_demo1","flagged":true,"stance":"offer","category":"debt_relief_scam"}` + "\n"
	if err := os.WriteFile(filepath.Join(data, labelledFolder, "own.jsonl"), []byte(label), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs := &lines{got: make(chan struct{}, 1)}, &lines{got: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, stdio{strings.NewReader(""), out, errs}, []string{"serve", "-no-crawl", "-data", data, "-dict", dir, "-addr", "127.0.0.1:0", "-lang", "en"})
	}()
	base := out.find(t, `http://127\.0\.0\.1:\d+`)
	page := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %v\n%s", resp.Request.URL, resp.StatusCode, err, body)
		}
		return string(body)
	}
	page(http.PostForm(base+"/dictionary/entry", url.Values{"kind": {"term"}, "category": {"debt_relief_scam"}, "new": {"1"}, "f.id": {"dunpai"}, "f.text": {"债务盾牌"}, "f.weight": {"2.2"}, "do": {"save"}}))
	got := page(http.PostForm(base+"/dictionary/backtest", url.Values{"over": {"file:own.jsonl"}}))
	for strings.Contains(got, "Running,") {
		time.Sleep(50 * time.Millisecond) // as the page's Refresh
		got = page(http.Get(base + "/dictionary/draft"))
	}
	if !strings.Contains(got, "1 posts, 1 of them decided or labelled") {
		t.Errorf("the dry run says %s", got)
	}
	seen := regexp.MustCompile(`name="seen" value="([0-9a-f]{64})"`).FindStringSubmatch(got)
	if seen == nil {
		t.Fatal("the draft cannot be published")
	}
	got = page(http.PostForm(base+"/dictionary/draft", url.Values{"do": {"publish"}, "seen": {seen[1]}, "note": {"盾牌类新说法"}}))
	written, err := os.ReadFile(filepath.Join(dir, "debt_relief_scam.yaml"))
	if err != nil || !strings.Contains(string(written), "- {id: dunpai, text: 债务盾牌, weight: 2.2}") {
		t.Errorf("the folder was not written: %v", err)
	}
	loaded, err := classify.LoadDictionary(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page(http.Get(base+"/healthz")), loaded.Version) || !strings.Contains(got, "盾牌类新说法") {
		t.Errorf("version %s is not in use", loaded.Version)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}

// TestLearnFromDecisions fits a model on what analysts decided alone.
func TestLearnFromDecisions(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := defaultConfig()
	c.Data = data
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var recs []index.Record
	for i := range 70 {
		text := fmt.Sprintf("第%d家早餐铺今天开门，豆浆油条都有", i)
		if i%2 == 0 {
			text = fmt.Sprintf("停息挂账代办第%d期，先办后付", i)
		}
		v := classify.Verdict{Flagged: true, Categories: []classify.CategoryScore{{ID: "debt_relief_scam", Score: 0.9}}}
		recs = append(recs, index.Record{Post: post.Post{ID: post.NewID("t", fmt.Sprint(i)), Source: "t", Kind: post.KindPost, URL: fmt.Sprintf("https://bbs.example/%d", i), Text: text, FetchedAt: time.Now()}, Verdict: v})
	}
	recs[68].Post.Text = recs[66].Post.Text // the same advertisement again
	if err := store.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	for i, r := range recs {
		change := index.TriageChange{Actor: "mei", Status: index.StatusDismissed, Reason: "homograph"}
		if i%2 == 0 {
			change = index.TriageChange{Actor: "mei", Status: index.StatusConfirmed}
		} else if i == 69 {
			change.Reason = "duplicate" // says nothing
		}
		if _, err := store.Triage(t.Context(), r.Post.ID, 0, change); err != nil {
			t.Fatal(err)
		}
	}
	store.Close()
	model := filepath.Join(t.TempDir(), "m.qym")
	out, errs, code := runCommand(t, "", "learn", "-store", "-data", data, "-o", model, "-epochs", "2")
	if code != 0 || !strings.Contains(out, ": 68 texts,") {
		t.Fatalf("learn: %d %s %s", code, out, errs)
	}
	if out, errs, code := runCommand(t, "", "dict", "backtest", "built-in", "built-in", "-store", "-data", data, "-model", "none", "-new-model", model); code != 0 || !strings.Contains(out, "70 posts, 69 of them") {
		t.Errorf("comparing: %d %s %s", code, out, errs)
	}
	if _, errs, code := runCommand(t, "", "learn", "-days", "3", "-o", model, "x.jsonl"); code == 0 || !strings.Contains(errs, "-days") {
		t.Errorf("-days without -store: %d %s", code, errs)
	}
}
