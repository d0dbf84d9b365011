package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

func testForum(t *testing.T) (*forum, string) {
	t.Helper()
	posts, err := readPosts("../../testdata/bench/mix.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	f := &forum{number: 1, posts: posts}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return f, srv.URL
}

// Both peers find every page of a board once, and every post.
func TestPeersReadTheWholeBoard(t *testing.T) {
	const threads = 30
	_, url := testForum(t)
	seeds := []string{fmt.Sprintf("%s/forum.php?mod=forumdisplay&fid=%d", url, threads)}
	for name, visit := range map[string]func(n *counts) func(q *queue, page string) error{
		"colly": visitByColly,
		"goquery": func(n *counts) func(q *queue, page string) error {
			return func(q *queue, page string) error { return visitByGoquery(t.Context(), http.DefaultClient, n, q, page) }
		},
	} {
		var n counts
		if err := crawl(seeds, 4, visit(&n)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n.pages.Load() != threads+2 || n.posts.Load() != threads*postsPerPage || n.runes.Load() < threads*postsPerPage*20 {
			t.Errorf("%s: %d pages, %d posts with %d bytes of text", name, n.pages.Load(), n.posts.Load(), n.runes.Load())
		}
	}
}

// A page has the size that is said of it, and the rows that are read.
func TestPagesOfTheForum(t *testing.T) {
	f, _ := testForum(t)
	var page bytes.Buffer
	f.thread(&page, 7)
	if n := page.Len(); n < 26_000 || n > 36_000 {
		t.Errorf("a thread has %d bytes", n)
	}
	doc, err := goquery.NewDocumentFromReader(&page)
	if err != nil {
		t.Fatal(err)
	}
	for _, sel := range []string{selFloor, selAuthor, selTime, selText} {
		if n := doc.Find(selPost).Find(sel).Length(); n < postsPerPage {
			t.Errorf("%s fits %d times", sel, n)
		}
	}
}

func TestReplaceKeys(t *testing.T) {
	got := replaceKeys("# note\nname: a\nhosts: [x]\npages:\n  - name: thread\n", map[string]string{"name": "b", "hosts": "[y]"})
	if strings.Contains(got, "[x]") || !strings.Contains(got, "name: b\n") || !strings.Contains(got, "  - name: thread\n") || strings.Contains(got, "name: a\n") {
		t.Errorf("config:\n%s", got)
	}
}
