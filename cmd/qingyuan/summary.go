package main

import (
	"sync"

	"qingyuan/crawler"
	"qingyuan/index"
)

// counter counts distinct hits by category and source.
type counter struct {
	mu         sync.Mutex
	seen       map[string]bool
	byCategory map[string]int
	bySource   map[string]int
}

func newCounter() *counter {
	return &counter{seen: map[string]bool{}, byCategory: map[string]int{}, bySource: map[string]int{}}
}

func (c *counter) add(r index.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[r.Post.ID] {
		return
	}
	c.seen[r.Post.ID] = true
	c.byCategory[r.Verdict.Categories[0].ID]++
	c.bySource[r.Post.Source]++
}

func (c *counter) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func (c *counter) source(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bySource[name]
}

// runSummary is what a run prints as JSON.
type runSummary struct {
	Sites      int                 `json:"sites"`
	Pages      int                 `json:"pages"`
	Posts      int                 `json:"posts"`
	Hits       int                 `json:"hits"`
	ByCategory map[string]int      `json:"by_category"`
	Errors     []crawler.PageError `json:"errors"`
	DurationMS int64               `json:"duration_ms"`
}

func newRunSummary(s crawler.Summary, hits *counter) runSummary {
	out := runSummary{Sites: s.Sites, Pages: s.Pages, Posts: s.Posts, Hits: hits.total(), ByCategory: hits.byCategory,
		Errors: s.Errors, DurationMS: s.Duration.Milliseconds()}
	if out.Errors == nil {
		out.Errors = []crawler.PageError{}
	}
	return out
}
