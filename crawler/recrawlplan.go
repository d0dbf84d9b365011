package crawler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/post"
)

// Spans of the plan, besides those of Recrawl.
const (
	hotFor     = 30 * 24 * time.Hour // how long a thread that held a hit is watched closely
	hotMost    = 24 * time.Hour      // such a thread at the latest
	archiveAge = 30 * 24 * time.Hour // a thread without a newer post is an archive
	toldBy     = 6                   // times Recrawl.Min: threads whose replies a list tells
	closedWait = 72                  // times Recrawl.Min: pages that a later page follows
	goneWait   = 24 * time.Hour      // first look whether a page that is gone has come back
)

// archiveLift puts archives after everything that is new.
const archiveLift = -1000

const (
	maxNotedPosts = 200 // of a page; longer pages are not watched for deletions
	maxLostPosts  = 200 // of a thread
)

// revisit is what becomes of a page after it was read.
type revisit struct {
	out   frontier.Outcome
	tasks []frontier.Task
	known bool // the page was fetched before
	gone  []string
}

// planner makes the revisit of one page.
type planner struct {
	c      *Crawler
	s      *Source
	l      frontier.Lease
	pg     Page
	ex     Extraction
	at     place
	now    time.Time
	r      Recrawl
	page   pageNote
	thread threadNote
	places []place // of tasks
	noted  bool    // the notes could be read, and may be written
	revisit
}

// plan decides what the answer to a page is, and tells the sink's side of posts
// that are gone. An error is the sink's.
func (c *Crawler) plan(ctx context.Context, s *Source, l frontier.Lease, pg Page, ex Extraction) (revisit, error) {
	p := &planner{c: c, s: s, l: l, pg: pg, ex: ex, now: c.now(), r: c.recrawlOf(s)}
	p.at, _ = s.place(l.URL)
	if p.at.thread == "" && !p.at.list {
		p.at.thread = l.URL
	}
	p.read(ctx)
	p.known = l.Last.Status != 0 || p.page.At != 0
	if ex.Gone != "" {
		p.planGone()
	} else {
		p.planPage(ctx)
	}
	if p.noted {
		if p.out.Notes == nil {
			p.out.Notes = map[string]string{}
		}
		p.out.Notes[pageKey(l.ID)] = writeNote(p.page)
		if !p.at.list {
			p.out.Notes[threadKey(s.Name, p.at.thread)] = writeNote(p.thread)
		}
	}
	if c.once { // every page comes once in a pass anyway
		p.out.Again = time.Time{}
		for i := range p.tasks {
			p.tasks[i].Sooner = false
		}
	}
	return p.revisit, p.tell(ctx)
}

// read gets the notes. Without them the page is treated as if seen for the
// first time, and what is remembered stays.
func (p *planner) read(ctx context.Context) {
	keys := []string{pageKey(p.l.ID)}
	if !p.at.list {
		keys = append(keys, threadKey(p.s.Name, p.at.thread))
	}
	notes, err := p.c.opts.Frontier.Notes(ctx, keys...)
	if err != nil {
		p.c.log.Error("what is remembered of a page could not be read", "url", p.l.URL, "err", err)
		return
	}
	p.noted = true
	p.page = readNote[pageNote](notes[keys[0]])
	if len(keys) > 1 {
		p.thread = readNote[threadNote](notes[keys[1]])
	}
}

// tell hands posts that are gone to whoever keeps them.
func (p *planner) tell(ctx context.Context) error {
	whole := p.ex.Gone != "" && p.at.number == 1
	if p.c.opts.Deleted == nil || len(p.gone) == 0 && !whole {
		return nil
	}
	d := Deletion{Source: p.s.Name, URL: p.l.URL, Posts: p.gone, At: p.pg.FetchedAt, Reason: p.ex.Gone, Archive: p.pg.Archive}
	if whole {
		d.Thread = p.at.thread
	}
	if d.Reason == "" {
		d.Reason = "no longer on its page"
	}
	if d.At.IsZero() {
		d.At = p.now
	}
	if err := guarded(func() error { return p.c.opts.Deleted(ctx, d) }); err != nil {
		return &sinkError{err}
	}
	return nil
}

// planPage plans for a page that was read, or did not change.
func (p *planner) planPage(ctx context.Context) {
	same := p.pg.Status == http.StatusNotModified
	p.out = frontier.Outcome{Status: p.pg.Status}
	if same {
		p.out = p.l.Last
	} else {
		p.out.ContentHash = saidHash(p.pg, p.ex)
		p.out.ETag, p.out.LastModified = p.pg.Header.Get("ETag"), p.pg.Header.Get("Last-Modified")
		p.tasks = p.c.takeIn(ctx, p.s, p.l, p.ex)
	}
	refused := len(p.tasks) == 0 && len(p.ex.Links) > 0 && p.l.Depth < p.s.MaxDepth && !p.c.hasRoom(ctx, p.s, p.c.growth.limit(p.s))
	if refused {
		// The links are to be seen again, so the page must come whole again.
		p.out.ETag, p.out.LastModified, p.out.ContentHash = "", "", ""
	}
	changed := !same && p.out.ContentHash != p.page.Hash
	p.page.Hash, p.page.Gone = p.out.ContentHash, 0
	since := p.page.visit(p.now, changed)
	for _, k := range p.tasks {
		at, _ := p.s.place(k.URL)
		p.places = append(p.places, at)
	}
	p.planSitemap(ctx)
	var wait time.Duration
	if p.at.list {
		wait = p.planList(ctx, since, refused)
	} else {
		wait = p.planThread(since, same)
	}
	p.out.Again = p.now.Add(wait)
}

// planList reads what a list says of its threads. A thread that was replied to
// is asked for at once, at its last known page; when the rows at the end of the
// list are not yet known, so is the next list page.
func (p *planner) planList(ctx context.Context, since time.Duration, refused bool) time.Duration {
	deep := time.Duration((p.l.Depth + 1) * (p.l.Depth + 1))
	least := p.r.List
	if p.at.number > 1 {
		least = min(p.r.List*deep, p.r.Max)
	}
	told := false
	if len(p.ex.Rows) > 0 && !refused && p.l.Depth < p.s.MaxDepth && p.noted {
		var caughtUp bool
		caughtUp, told = p.planRows(ctx)
		if !caughtUp {
			p.nextList()
		}
	}
	if told && p.at.number > 1 {
		return p.r.Max / 2 // the page before calls for it when it is needed
	}
	var newest time.Time
	for _, r := range p.ex.Rows {
		newest = later(newest, r.Last)
	}
	return p.page.wait(since, min(p.r.List*deep, p.r.Max), p.age(newest), least, p.r.Max)
}

// planRows brings the threads forward that were replied to. caughtUp tells that
// the last rows are all known; told, that replies do show in the rows.
func (p *planner) planRows(ctx context.Context) (caughtUp, told bool) {
	type known struct {
		row    Row
		thread string
	}
	var rows []known
	var keys []string
	for _, r := range p.ex.Rows {
		k, err := p.c.task(p.s, Link{URL: r.URL})
		if err != nil {
			continue
		}
		at, ok := p.s.place(k.URL)
		if !ok || at.list {
			continue
		}
		if at.thread == "" {
			at.thread = k.URL
		}
		rows = append(rows, known{r, at.thread})
		keys = append(keys, threadKey(p.s.Name, at.thread))
		told = told || r.exact()
	}
	notes, err := p.c.opts.Frontier.Notes(ctx, keys...)
	if err != nil {
		p.c.log.Error("what is remembered of threads could not be read", "url", p.l.URL, "err", err)
		return true, false
	}
	p.out.Notes = map[string]string{}
	old := 0 // rows in a row, up to this one, that are known
	for i, r := range rows {
		note := readNote[threadNote](notes[keys[i]])
		if !r.row.moved(note.Mark) {
			old++
			continue
		}
		old = 0
		note.Mark = r.row.mark()
		p.out.Notes[keys[i]] = writeNote(note)
		p.forwardThread(r.thread, note.Last)
	}
	return old >= min(p.s.Recrawl.Known, len(rows)), told
}

// forwardThread brings the last known page of a thread forward, or its first
// as the list links to it.
func (p *planner) forwardThread(thread, last string) {
	if last != "" {
		p.forward(last)
		return
	}
	for i, at := range p.places {
		if at.thread == thread && !at.list && at.number == 1 {
			p.tasks[i].Sooner = true
			return
		}
	}
	p.forward(thread)
}

// forward brings a page forward: the task that is to be added anyway, or one
// more.
func (p *planner) forward(target string) {
	k, err := p.c.task(p.s, Link{URL: target})
	if err != nil {
		return
	}
	for i := range p.tasks {
		if p.tasks[i].ID == k.ID {
			p.tasks[i].Sooner = true
			return
		}
	}
	rule, ok := p.s.Rule(k.URL)
	if !ok {
		return
	}
	k.Page, k.Priority, k.Depth, k.Parent, k.Sooner = rule.Name, rule.Priority, p.l.Depth+1, p.l.URL, true
	if !p.at.list {
		k.Depth = p.l.Depth // pages of one thread
	}
	p.tasks = append(p.tasks, k)
	at, _ := p.s.place(k.URL)
	p.places = append(p.places, at)
}

// nextList brings the next page of the list forward.
func (p *planner) nextList() {
	next := -1
	for i, at := range p.places {
		if at.list && at.rule == p.at.rule && at.number > p.at.number && (next < 0 || at.number < p.places[next].number) {
			next = i
		}
	}
	if next >= 0 {
		p.tasks[next].Sooner = true
	}
}

// planThread plans for a page with posts: the last page of a thread again
// when a reply is to be expected, the pages before it now and then, for edits
// and deletions; all of them sooner when there was a hit.
func (p *planner) planThread(since time.Duration, same bool) time.Duration {
	if p.at.number > p.thread.No {
		p.thread.No, p.thread.Last = p.at.number, p.l.URL
	}
	for i, at := range p.places {
		if at.thread == p.at.thread && !at.list && at.number > p.thread.No {
			p.thread.No, p.thread.Last = at.number, p.tasks[i].URL
			p.tasks[i].Sooner = true
		}
	}
	tail := p.at.number >= p.thread.No
	p.planPosts(same)
	hot := p.now.Sub(time.Unix(max(p.page.Hit, p.thread.Hit), 0)) < hotFor
	if !tail {
		hot = p.now.Sub(time.Unix(p.page.Hit, 0)) < hotFor
	}
	least, most := p.r.Min, p.r.Max
	switch {
	case hot:
		most = max(least, min(most, hotMost))
	case !tail:
		least = min(closedWait*p.r.Min, most)
	case p.thread.Mark != "":
		least = min(toldBy*p.r.Min, most)
	}
	start, age := toldBy*p.r.Min, time.Duration(0) // nothing is dated
	if p.page.Newest != 0 {
		age = p.age(time.Unix(p.page.Newest, 0))
		start = age / 8
	}
	wait := p.page.wait(since, start, age, least, most)
	if hot {
		wait = max(wait/2, least)
	} else if age > archiveAge {
		p.out.Lift = archiveLift
	}
	return wait
}

// age is how long ago t was; 0 for the zero time.
func (p *planner) age(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(p.now.Sub(t), time.Millisecond)
}

// planPosts compares the posts of the page with those it had.
func (p *planner) planPosts(same bool) {
	old, ids := p.page.Posts, p.page.Posts
	if !same {
		ids = nil
		for _, q := range p.ex.Posts {
			if q.Kind != post.KindAd { // slots show another at each fetch
				ids = append(ids, q.ID)
			}
			if q.PublishedAt.Unix() > p.page.Newest && !q.PublishedAt.IsZero() {
				p.page.Newest = q.PublishedAt.Unix()
			}
			if p.c.hits.take(q.ID) {
				p.page.Hit, p.thread.Hit = p.now.Unix(), p.now.Unix()
			}
		}
	}
	if len(ids) == 0 || len(ids) > maxNotedPosts {
		return // a page that shows nothing takes nothing away
	}
	m := compare(old, ids, p.at.number == 1)
	p.gone = append(p.gone, m.gone...)
	p.lost(m, ids)
	p.page.Posts = ids
}

// lost looks after posts that may have moved to the page before: they are gone
// when they do not stand there either.
func (p *planner) lost(m comparison, ids []string) {
	for _, id := range ids {
		delete(p.thread.Lost, id)
	}
	for id, number := range p.thread.Lost {
		if number == p.at.number+1 && m.steady {
			p.gone = append(p.gone, id)
			delete(p.thread.Lost, id)
		}
	}
	slices.Sort(p.gone)
	if p.at.number > 1 {
		p.mayHaveMoved(m.unsure)
	}
}

// mayHaveMoved has the page before looked at for posts that left this one.
func (p *planner) mayHaveMoved(ids []string) {
	if len(ids) == 0 || len(p.thread.Lost)+len(ids) > maxLostPosts {
		return
	}
	if p.thread.Lost == nil {
		p.thread.Lost = map[string]int{}
	}
	for _, id := range ids {
		p.thread.Lost[id] = p.at.number
	}
	p.forward(p.at.before(p.l.URL))
}

// planGone plans for a page that is gone. With its first page the thread is;
// the posts of a later page may have moved to the one before.
func (p *planner) planGone() {
	p.out = frontier.Outcome{Status: p.pg.Status}
	p.page.visit(p.now, true)
	p.page.Gone++
	p.page.Hash = ""
	if p.at.number > 1 {
		if p.thread.No >= p.at.number {
			p.thread.No, p.thread.Last = p.at.number-1, p.at.before(p.l.URL)
		}
		p.mayHaveMoved(p.page.Posts)
	} else {
		p.gone = p.page.Posts
		p.thread.Last, p.thread.No = "", 0
	}
	wait := min(goneWait<<min(p.page.Gone-1, 10), p.r.Max)
	p.out.Again = p.now.Add(wait)
	p.out.Lift = archiveLift
}

// comparison is what became of the posts of a page.
type comparison struct {
	gone   []string // there no more
	unsure []string // there no more, or on another page
	steady bool     // most of the posts still stand on the page
}

// compare finds the posts of old that are not among ids. What stood between
// posts that still stand as they did is gone. At the top it may have moved to
// the page before, since those behind a deleted post move up, and at the end to
// the next one, where the newest posts come first. A page that lost more than
// half of its posts is another page, or shows us less than before: nothing is
// sure then.
func compare(old, ids []string, firstPage bool) comparison {
	at := make(map[string]int, len(ids))
	for i, id := range ids {
		at[id] = i
	}
	first, last, kept, ordered := -1, -1, 0, true
	for i, id := range old {
		j, ok := at[id]
		if !ok {
			continue
		}
		if kept > 0 && j < at[old[last]] {
			ordered = false
		}
		if first < 0 {
			first = i
		}
		last, kept = i, kept+1
	}
	m := comparison{steady: ordered && kept*2 >= len(old) && kept > 0}
	appends := m.steady && at[old[first]] == 0 // nothing new before what stood there
	for i, id := range old {
		if _, ok := at[id]; ok {
			continue
		}
		if m.steady && (i > first && i < last || i > last && appends || i < first && firstPage && appends) {
			m.gone = append(m.gone, id)
		} else {
			m.unsure = append(m.unsure, id)
		}
	}
	return m
}

// saidHash is the hash of what a page says, without what changes at each fetch.
func saidHash(pg Page, ex Extraction) string {
	h := sha256.New()
	for _, q := range ex.Posts {
		if q.Kind != post.KindAd {
			fmt.Fprintf(h, "p%s%s\n", q.ID, q.ContentHash())
		}
	}
	for _, q := range ex.Previews {
		fmt.Fprintf(h, "v%s\n", q.ID)
	}
	for _, r := range ex.Rows {
		at := r.Last.Unix()
		if g := int64(max(r.Grain, time.Second) / time.Second); g > 120 {
			at = 0 // said so inexactly it is another time at each fetch
		}
		fmt.Fprintf(h, "r%s %d %s\n", r.URL, at, r.Replies)
	}
	if len(ex.Posts) == 0 {
		for _, l := range ex.Links {
			fmt.Fprintf(h, "l%s\n", l.URL)
		}
	}
	if len(ex.Posts)+len(ex.Links) == 0 {
		h.Write(pg.Body)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
