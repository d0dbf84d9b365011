package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"qingyuan/post"
)

// The page behind an ad is kept like every page: with its original, and a
// replay reads it again as what it is.
func TestLandingPagesAreArchivedAndReplayed(t *testing.T) {
	advertiser := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/click" {
			http.Redirect(w, r, "/loan", http.StatusFound)
			return
		}
		fmt.Fprint(w, `<html><title>当天下款</title><body><p>不看征信，内部渠道，加微信 daikuan000example</p></body></html>`)
	}))
	defer advertiser.Close()
	forum := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/t/1" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `<html><body><div class="post" id="p1">正文</div><div class="slot"><a href="%s/click">急用钱</a></div></body></html>`, advertiser.URL)
	}))
	defer forum.Close()
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	sites, data := t.TempDir(), t.TempDir()
	yaml := fmt.Sprintf(`name: adforum
title: 有广告位的论坛
type: forum
hosts: [%q]
seeds: ["%s/t/1"]
delay: 0s
allow_private: true
pages:
  - name: thread
    match: '^/t/'
    ads: {slots: .slot, landing: 5, hosts: [%q]}
    posts: [{each: .post, kind: post, key: {attr: id}, text: {select: .post}}]
`, host(forum), forum.URL, host(advertiser))
	if err := os.WriteFile(filepath.Join(sites, "adforum.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QINGYUAN_SITES", sites)
	mustRun(t, "", "crawl", "-once", "-data", data)
	wantOriginals(t, data)
	before := wholeRecords(t, data)
	found := false
	for _, r := range before {
		if r.Post.URL == advertiser.URL+"/loan" {
			found = r.Post.Kind == post.KindAd && r.Post.ThreadURL == forum.URL+"/t/1"
		}
	}
	if len(before) != 3 || !found {
		t.Fatalf("%d records, the page behind the ad among them: %t", len(before), found)
	}
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		os.Remove(filepath.Join(data, name))
	}
	if r := replayed(t, "-data", data); r.New != 3 {
		t.Errorf("a replay into an empty index: %+v", r)
	}
	if diff := cmp.Diff(before, wholeRecords(t, data)); diff != "" {
		t.Errorf("the index made from the archive is another (-before +after):\n%s", diff)
	}
}
