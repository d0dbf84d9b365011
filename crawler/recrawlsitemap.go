package crawler

import (
	"context"
	"fmt"
	"time"

	"qingyuan/crawler/frontier"
)

// mapMost is how late a sitemap comes again at the latest, however quiet it is:
// only by it are changes known of.
const mapMost = 24 * time.Hour

// modKey is where what a sitemap says of the changes of a page is kept.
func modKey(taskID string) string { return "lastmod:" + taskID }

// modNote is what a sitemap last said of a page.
type modNote struct {
	At    int64 `json:"t"`           // lastmod, Unix seconds
	Grain int64 `json:"g,omitempty"` // seconds that At may be too early
}

// since is the moment after which a fetch has seen the change.
func (m modNote) since() time.Time { return time.Unix(m.At+m.Grain, 0) }

// planSitemap keeps what a sitemap says of its pages, and brings those forward
// that were changed after they were fetched. When none of its links is taken
// it is to be read again as it is. Other pages it leaves alone.
func (p *planner) planSitemap(ctx context.Context) {
	if !p.at.list || p.at.rule.Format != formatSitemap {
		return
	}
	p.r.Max = min(p.r.Max, mapMost) // of the map itself
	rows := p.ex.Rows
	p.ex.Rows = nil // they are not those of a list of threads
	if len(rows) == 0 || !p.noted || len(p.tasks) == 0 {
		return
	}
	known := make(map[string]int, len(p.tasks)) // id → place in tasks
	for i, k := range p.tasks {
		known[k.ID] = i
	}
	var tasks []frontier.Task
	keys := make([]string, 0, 2*len(rows))
	for _, r := range rows {
		k, err := p.c.task(p.s, Link{URL: r.URL})
		if err != nil {
			k.ID = "" // said already when its link was taken in
		}
		tasks = append(tasks, k)
		keys = append(keys, modKey(k.ID), pageKey(k.ID))
	}
	notes, err := p.c.opts.Frontier.Notes(ctx, keys...)
	if err != nil {
		p.c.log.Error("what is remembered of a sitemap could not be read", "url", p.l.URL, "err", err)
		return
	}
	p.out.Notes = map[string]string{}
	for i, r := range rows {
		id := tasks[i].ID
		if id == "" {
			continue
		}
		now := modNote{At: r.Last.Unix(), Grain: int64(r.Grain / time.Second)}
		if readNote[modNote](notes[modKey(id)]) == now {
			continue
		}
		p.out.Notes[modKey(id)] = writeNote(now)
		fetched := readNote[pageNote](notes[pageKey(id)]).At
		if at, ok := known[id]; ok && fetched != 0 && time.UnixMilli(fetched).Before(now.since()) {
			p.tasks[at].Sooner = true
		}
	}
}

// unchanged answers the lease of a page that a sitemap says was not changed
// since it was fetched. Seeds, pages that held a hit of late, and those fetched
// longer ago than Recrawl.Max are fetched all the same.
func (c *Crawler) unchanged(ctx context.Context, s *Source, l frontier.Lease) bool {
	if !s.mapped || l.Last.Status == 0 || l.Parent == "" || c.opts.Unconditional {
		return false
	}
	notes, err := c.opts.Frontier.Notes(ctx, modKey(l.ID), pageKey(l.ID))
	if err != nil {
		return false // the page is fetched once more, that is all
	}
	mod, page := readNote[modNote](notes[modKey(l.ID)]), readNote[pageNote](notes[pageKey(l.ID)])
	fetched, now := time.UnixMilli(page.At), c.now()
	longest := c.recrawlOf(s).Max
	if mod.At == 0 || page.At == 0 || page.Gone > 0 || fetched.Before(mod.since()) || now.Sub(fetched) >= longest ||
		now.Sub(time.Unix(page.Hit, 0)) < hotFor {
		return false
	}
	out := frontier.Outcome{Reason: fmt.Sprintf("sitemap: not changed since it was fetched, lastmod is %s", time.Unix(mod.At, 0).In(s.loc).Format(time.DateTime))}
	if !c.once {
		out.Again = fetched.Add(longest)
	}
	c.budget.giveBack(s.Name)
	err = c.acked(ctx, func(ctx context.Context) error {
		_, err := c.opts.Frontier.Done(ctx, l, out)
		return err
	})
	if err != nil {
		c.report("leaving out an unchanged page", l, err)
		return true
	}
	c.prog.refused(l, out.Reason, out.Again)
	return true
}
