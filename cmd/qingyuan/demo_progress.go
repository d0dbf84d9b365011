package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"qingyuan/crawler"
)

// progress shows a crawl while it runs: bars on a terminal, a line every
// second or so elsewhere, nothing when quiet.
type progress struct {
	out   io.Writer
	hits  *counter
	zh    bool
	plain bool
	quiet bool

	mu    sync.Mutex
	sites map[string]*siteProgress
	order []string
	last  time.Time
	said  string // the last plain line
	bars  *mpb.Progress
}

// siteProgress is what is known of one site's pass.
type siteProgress struct {
	name, title  string
	pages, known int64 // known: pages, failures and what is still to fetch
	failed       int64
	posts        int
	state        string
	bar          *mpb.Bar
}

func newProgress(out io.Writer, sources []*crawler.Source, hits *counter, quiet bool, lang string) *progress {
	p := &progress{out: out, hits: hits, quiet: quiet, plain: !isTerminal(out), zh: lang != "en", sites: map[string]*siteProgress{}, last: time.Now()}
	if !quiet && !p.plain {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(24), mpb.WithRefreshRate(100*time.Millisecond))
	}
	for _, s := range sources {
		sp := &siteProgress{name: s.Name, title: s.Title, known: int64(len(s.Seeds)), state: p.word("排队", "waiting")}
		p.sites[s.Name] = sp
		p.order = append(p.order, s.Name)
		if p.bars != nil {
			sp.bar = p.newBar(sp)
		}
	}
	return p
}

func (p *progress) word(zh, en string) string {
	if p.zh {
		return zh
	}
	return en
}

func (p *progress) newBar(s *siteProgress) *mpb.Bar {
	return p.bars.AddBar(s.known,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return runewidth.FillRight(s.title, 20) })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Sprintf(p.word("%4d 页 %4d 帖 %3d 命中 %s", "%4d pages %4d posts %3d hits  %s"), s.pages, s.posts, p.hits.source(s.name), s.state)
		})))
}

// event takes one step of the crawl. The bars are moved after the lock is let
// go: they draw by asking for it.
func (p *progress) event(e crawler.Event) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	s := p.sites[e.Source]
	if s == nil {
		p.mu.Unlock()
		return
	}
	p.take(s, e)
	bar, pages, known := s.bar, s.pages, s.known
	if bar == nil && time.Since(p.last) > time.Second {
		p.last = time.Now()
		p.line()
	}
	p.mu.Unlock()
	if bar != nil {
		bar.SetTotal(known+1, false)
		bar.SetCurrent(pages)
	}
}

// take counts one step.
func (p *progress) take(s *siteProgress, e crawler.Event) {
	switch e.Kind {
	case crawler.EventPage, crawler.EventUnchanged:
		s.pages++
		s.posts += e.Posts
		s.known += int64(e.Links)
		s.state = p.word("抓取中", "crawling")
	case crawler.EventDead, crawler.EventGone:
		s.failed++
	case crawler.EventRetry, crawler.EventBackOff:
		s.state = p.word("稍后重试", "retrying")
	}
	s.known = max(s.known, s.pages+s.failed)
}

// line prints the totals so far.
func (p *progress) line() {
	var pages, posts int
	for _, s := range p.sites {
		pages += int(s.pages)
		posts += s.posts
	}
	line := fmt.Sprintf(p.word("抓取中：%d 页，%d 帖，%d 条命中\n", "crawling: %d pages, %d posts, %d hits\n"), pages, posts, p.hits.total())
	if line != p.said {
		p.said = line
		fmt.Fprint(p.out, line)
	}
}

// close finishes the display.
func (p *progress) close() {
	if p.quiet {
		return
	}
	p.mu.Lock()
	for _, name := range p.order {
		p.sites[name].state = p.word("完成", "done")
	}
	if p.bars == nil {
		p.line()
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	for _, name := range p.order {
		bar := p.sites[name].bar
		bar.SetTotal(-1, true)
	}
	p.bars.Wait()
}
