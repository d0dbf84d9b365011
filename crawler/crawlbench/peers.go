package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/PuerkitoBio/goquery"
	"github.com/gocolly/colly/v2"
)

// The selectors of configs/sites/discuz.yaml for what a post has.
const (
	selPost    = "div[id^=post_]"
	selFloor   = "a[id^=postnum]"
	selTitle   = "#thread_subject"
	selAuthor  = ".authi a.xw1"
	selTime    = "em[id^=authorposton]"
	selText    = "td[id^=postmessage_]"
	selRegion  = ".authi"
	selThreads = "a.s.xst"
	selNext    = "a.nxt"
)

// row is what a peer reads of a post.
type row struct {
	ID, Floor, Title, Author, AuthorURL, Time, Text, Region string
}

// A queue hands out pages to as many workers as there are forums, each page
// once, until none is left.
type queue struct {
	mu      sync.Mutex
	wake    *sync.Cond
	waiting []string
	known   map[string]bool
	busy    int
}

func newQueue(seeds []string) *queue {
	q := &queue{known: map[string]bool{}}
	q.wake = sync.NewCond(&q.mu)
	for _, s := range seeds {
		q.add(s)
	}
	return q
}

func (q *queue) add(page string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.known[page] {
		q.known[page] = true
		q.waiting = append(q.waiting, page)
		q.wake.Signal()
	}
}

func (q *queue) next() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && q.busy > 0 {
		q.wake.Wait()
	}
	if len(q.waiting) == 0 {
		return "", false
	}
	page := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.busy++
	return page, true
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy--; q.busy == 0 {
		q.wake.Broadcast()
	}
}

// counts is what a crawl tells at its end.
type counts struct{ pages, posts, runes atomic.Int64 }

func (c *counts) take(r row) {
	c.posts.Add(1)
	c.runes.Add(int64(len(r.Text)))
}

// crawl has workers visit the pages of a queue.
func crawl(seeds []string, workers int, visit func(q *queue, page string) error) error {
	q := newQueue(seeds)
	var busy sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		busy.Go(func() {
			for {
				page, ok := q.next()
				if !ok {
					return
				}
				err := visit(q, page)
				q.done()
				if err != nil {
					failed <- fmt.Errorf("%s: %w", page, err)
					return
				}
			}
		})
	}
	busy.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func peerArgs(name string, args []string) (seeds []string, workers int, err error) {
	f := flag.NewFlagSet("crawlbench "+name, flag.ContinueOnError)
	f.IntVar(&workers, "workers", 8, "pages in work at a `time`")
	if err := f.Parse(args); err != nil {
		return nil, 0, err
	}
	if f.NArg() == 0 {
		return nil, 0, errors.New("name the pages to begin with")
	}
	return f.Args(), workers, nil
}

// runColly is bare colly with one OnHTML, which reads the rows and the links.
func runColly(_ context.Context, args []string) error {
	seeds, workers, err := peerArgs("colly", args)
	if err != nil {
		return err
	}
	var n counts
	err = crawl(seeds, workers, visitByColly(&n))
	if err != nil {
		return err
	}
	fmt.Printf("%d pages, %d posts\n", n.pages.Load(), n.posts.Load())
	return nil
}

func visitByColly(n *counts) func(q *queue, page string) error {
	c := colly.NewCollector(colly.AllowURLRevisit())
	queues := &sync.Map{}
	c.OnHTML("html", func(e *colly.HTMLElement) {
		title := e.ChildText(selTitle)
		e.ForEach(selPost, func(_ int, p *colly.HTMLElement) {
			n.take(row{ID: p.Attr("id"), Floor: p.ChildText(selFloor), Title: title, Author: p.ChildText(selAuthor),
				AuthorURL: p.ChildAttr(selAuthor, "href"), Time: p.ChildText(selTime), Text: p.ChildText(selText), Region: p.ChildText(selRegion)})
		})
		q, _ := queues.Load("q")
		for _, sel := range []string{selThreads, selNext} {
			e.ForEach(sel, func(_ int, a *colly.HTMLElement) { q.(*queue).add(a.Request.AbsoluteURL(plain(a.Attr("href")))) })
		}
	})
	return func(q *queue, page string) error {
		queues.LoadOrStore("q", q)
		n.pages.Add(1)
		return c.Visit(page)
	}
}

// plain leaves out of a link what every page has more than once.
func plain(href string) string { return strings.TrimSuffix(href, "&extra=page%3D1") }

// runGoquery is net/http and goquery with nothing around them.
func runGoquery(ctx context.Context, args []string) error {
	seeds, workers, err := peerArgs("goquery", args)
	if err != nil {
		return err
	}
	var n counts
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	err = crawl(seeds, workers, func(q *queue, page string) error { return visitByGoquery(ctx, client, &n, q, page) })
	if err != nil {
		return err
	}
	fmt.Printf("%d pages, %d posts\n", n.pages.Load(), n.posts.Load())
	return nil
}

func visitByGoquery(ctx context.Context, client *http.Client, n *counts, q *queue, page string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	doc, err := goquery.NewDocumentFromReader(resp.Body)
	if err != nil {
		return err
	}
	n.pages.Add(1)
	title := text(doc.Find(selTitle))
	doc.Find(selPost).Each(func(_ int, p *goquery.Selection) {
		id, _ := p.Attr("id")
		author := p.Find(selAuthor)
		href, _ := author.Attr("href")
		n.take(row{ID: id, Floor: text(p.Find(selFloor)), Title: title, Author: text(author), AuthorURL: href,
			Time: text(p.Find(selTime)), Text: text(p.Find(selText)), Region: text(p.Find(selRegion))})
	})
	doc.Find(selThreads + ", " + selNext).Each(func(_ int, a *goquery.Selection) {
		href, _ := a.Attr("href")
		if u, err := url.Parse(plain(href)); err == nil {
			q.add(resp.Request.URL.ResolveReference(u).String())
		}
	})
	return nil
}

func text(s *goquery.Selection) string { return strings.TrimSpace(s.Text()) }
