package town_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler"
	"qingyuan/crawler/frontier/sqlite"
	"qingyuan/post"
	"qingyuan/town"
)

// TestRealCrawlOverFaults crawls the town as the program does: over the
// faults, every post must arrive, read as it was written.
func TestRealCrawlOverFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("crawls the whole town")
	}
	tn := start(t, town.Options{})
	var sources []*crawler.Source
	for _, s := range tn.Sites() {
		src, err := crawler.ReadSource(s.Name+".yaml", s.Config)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, src)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "frontier.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var mu sync.Mutex
	got := map[string]post.Post{}
	c, err := crawler.New(sources, crawler.Options{
		Frontier: db,
		Sink: func(_ context.Context, posts []post.Post) error {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range posts {
				got[p.ID] = p
			}
			return nil
		},
		Backoff: crawler.Backoff{Base: 50 * time.Millisecond, Max: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sum, err := c.Run(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pages, %d posts in %s, %d warnings; errors: %v", sum.Pages, sum.Posts, sum.Duration, sum.Warnings, sum.Errors)
	all := entries(t)
	for _, e := range all {
		p, ok := got[post.NewID(e.Site, e.Key)]
		if !ok {
			t.Errorf("post %s/%s did not arrive", e.Site, e.Key)
			continue
		}
		if want, text := spaces.ReplaceAllString(e.Text, " "), spaces.ReplaceAllString(p.Text, " "); text != want {
			t.Errorf("post %s/%s arrived as %q, was published as %q", e.Site, e.Key, text, want)
		}
	}
	if len(got) != len(all) {
		t.Errorf("%d posts arrived, the town has %d", len(got), len(all))
	}
}
