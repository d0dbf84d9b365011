package crawler

import (
	"context"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/post"
)

// Deletion says that what was published is there no more. What was kept of it
// stays.
type Deletion struct {
	Source  string
	Thread  string       // Post.ThreadURL of a thread that is gone as a whole; "" when only Posts are
	URL     string       // the page that showed it
	Posts   []string     // ids of posts that are gone; of a whole thread those that were on URL
	At      time.Time    // when it was seen
	Reason  string       // what the page said
	Archive post.Archive // the record of that page
}

// hits remembers which posts of the pages in work were flagged. It is safe for
// concurrent use.
type hits struct {
	mu  sync.Mutex
	ids map[string]bool
}

// maxHits bounds what is remembered when nobody asks for it.
const maxHits = 100_000

// Flagged tells the crawl that posts were flagged: the pages and threads they
// stand on are fetched again sooner. It is to be called from the Sink that was
// handed the posts, before that returns. It is safe for concurrent use.
func (c *Crawler) Flagged(posts ...post.Post) {
	c.hits.mu.Lock()
	defer c.hits.mu.Unlock()
	if c.hits.ids == nil || len(c.hits.ids) > maxHits {
		c.hits.ids = map[string]bool{}
	}
	for _, p := range posts {
		c.hits.ids[p.ID] = true
	}
}

// take reports whether a post was flagged, once.
func (h *hits) take(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.ids[id]
	delete(h.ids, id)
	return was
}

// gone answers a page that is gone. One that was there before is looked for
// again, ever more rarely.
func (c *Crawler) gone(ctx context.Context, l frontier.Lease, pg Page, reason string, next revisit) {
	if !next.known {
		c.dead(ctx, EventGone, l, pg.Status, reason)
		return
	}
	err := c.acked(ctx, func(ctx context.Context) error {
		_, err := c.opts.Frontier.Done(ctx, l, next.out, next.tasks...)
		return err
	})
	if err != nil {
		c.report("recording that a page is gone", l, err)
		return
	}
	c.prog.failure(EventGone, l, pg.Status, reason, next.out.Again)
}
