package crawler

import (
	"context"
	"slices"
	"time"

	"qingyuan/post"
)

// SiteCheck is how a live site compares with what its config expects.
type SiteCheck struct {
	Source  string        `json:"source"`
	Title   string        `json:"title"`
	OK      bool          `json:"ok"`
	Drifts  []Drift       `json:"drifts"` // what fell
	Pages   []CheckedPage `json:"pages"`  // that were looked at
	Fields  []Coverage    `json:"fields"` // of the posts on them
	Posts   int           `json:"posts"`
	DayOld  int           `json:"posts_of_a_day"`    // seen that are younger than a day
	Skipped string        `json:"skipped,omitempty"` // why nothing was fetched
}

// CheckedPage is one page that was looked at.
type CheckedPage struct {
	URL   string `json:"url"`
	Page  string `json:"page,omitempty"` // name of its rule
	Found int    `json:"found"`          // posts, or rows of a list
	Note  string `json:"note,omitempty"` // why it does not count
}

// How much of a site a check looks at.
const (
	checkLists   = 3
	checkThreads = 3
	checkPosts   = 5 // fewer posts say nothing of how often a field is filled, unless it never is
)

// siteChecker is the state of one CheckSite.
type siteChecker struct {
	ctx   context.Context
	s     *Source
	fetch func(ctx context.Context, s *Source, pageURL string) (Page, error)
	now   time.Time
	out   SiteCheck

	found  map[string][]int // rule → posts or rows of each page
	rules  []*PageRule      // of found, in order
	posts  []post.Post      // that fields are counted over
	dates  []time.Time      // of everything seen
	walled bool
}

// CheckSite fetches a few lists and threads of a site and compares what they
// yield with expect in its config. Without expect every page must hold
// something. The error is that ctx ended.
func CheckSite(ctx context.Context, s *Source, fetch func(ctx context.Context, s *Source, pageURL string) (Page, error)) (SiteCheck, error) {
	k := &siteChecker{ctx: ctx, s: s, fetch: fetch, now: time.Now(), found: map[string][]int{}}
	k.out = SiteCheck{Source: s.Name, Title: s.Title, Drifts: []Drift{}, Pages: []CheckedPage{}, Fields: []Coverage{}}
	if s.Reserved() {
		k.out.OK, k.out.Skipped = true, "its hosts are examples that nobody has"
		return k.out, nil
	}
	var threads []string
	for _, seed := range s.Seeds[:min(len(s.Seeds), checkLists)] {
		links := k.look(seed, true)
		// From the middle: rules of the house stand first, and are not like others.
		if n := len(links); n > 0 {
			threads = append(threads, links[n/2:]...)
			threads = append(threads, links[:n/2]...)
		}
	}
	read, tried := 0, 0
	for _, t := range threads {
		if read == checkThreads || tried == 2*checkThreads || k.walled {
			break
		}
		before := len(k.posts)
		k.look(t, false)
		tried++
		if len(k.posts) > before {
			read++
		}
	}
	if err := ctx.Err(); err != nil {
		return k.out, err
	}
	k.judge(tried)
	k.out.OK = len(k.out.Drifts) == 0
	return k.out, nil
}

func (k *siteChecker) drift(d Drift) {
	d.Source = k.s.Name
	if !slices.ContainsFunc(k.out.Drifts, func(o Drift) bool { return o.Kind == d.Kind && o.Page == d.Page && o.Field == d.Field }) {
		k.out.Drifts = append(k.out.Drifts, d)
	}
}

// look fetches one page and counts; it returns the links to pages with posts.
func (k *siteChecker) look(pageURL string, seed bool) (threads []string) {
	if k.ctx.Err() != nil {
		return nil
	}
	if canonical, _, err := k.s.Canonical(pageURL); err == nil {
		pageURL = canonical
	}
	told := CheckedPage{URL: pageURL}
	defer func() { k.out.Pages = append(k.out.Pages, told) }()
	pg, err := k.fetch(k.ctx, k.s, pageURL)
	if err == nil {
		err = statusError(pg.Status)
	}
	if err != nil {
		told.Note = err.Error()
		k.drift(Drift{Kind: DriftFetch, URL: pageURL, Detail: err.Error()})
		return nil
	}
	asked := pageURL
	pg = canonicalPage(k.s, pg)
	ex, err := extractWithin(k.ctx, maxExtract, k.s, pg)
	switch {
	case err != nil:
		if w, ok := k.s.behindRedirect(asked, pg.URL, pg); ok {
			ex.Blocked, ex.Wall = w.why, w.kind
			break
		}
		told.Note = err.Error()
		k.drift(Drift{Kind: DriftFetch, URL: pageURL, Detail: err.Error()})
		return nil
	case ex.Gone != "":
		told.Note = ex.Gone
		if seed { // a thread may be gone; the next one is looked at
			k.drift(Drift{Kind: DriftGone, URL: pageURL, Detail: ex.Gone})
		}
		return nil
	}
	if ex.Blocked != "" {
		told.Note = string(ex.Wall) + ": " + ex.Blocked
		k.walled = true
		k.drift(Drift{Kind: DriftWall, URL: pageURL, Detail: told.Note})
		return nil
	}
	rule, _ := k.s.Rule(pg.URL)
	y := k.s.yieldOn(rule, ex)
	told.Page, told.Found = rule.Name, y.Found
	if k.found[rule.Name] == nil {
		k.rules = append(k.rules, rule)
	}
	k.found[rule.Name] = append(k.found[rule.Name], y.Found)
	k.posts = append(k.posts, ex.Posts...)
	if rule.isList() && k.s.fieldsApply(rule) {
		k.posts = append(k.posts, ex.Previews...)
	}
	for _, p := range append(slices.Clone(ex.Posts), ex.Previews...) {
		if !p.PublishedAt.IsZero() {
			k.dates = append(k.dates, p.PublishedAt)
		}
	}
	for _, l := range ex.Links {
		if at, ok := k.s.place(l.URL); ok && !at.list && at.rule != rule {
			threads = append(threads, l.URL)
		}
	}
	return threads
}

// judge compares what was seen with what is expected.
func (k *siteChecker) judge(tried int) {
	e := k.s.Expect
	for _, r := range k.rules {
		sum := 0
		for _, n := range k.found[r.Name] {
			sum += n
		}
		mean, want := sum/len(k.found[r.Name]), max(k.s.expected(r), 1)
		switch {
		case sum == 0 && (r.mustHold() || k.s.expected(r) > 0):
			k.drift(Drift{Kind: DriftZero, Page: r.Name, Want: want})
		case sum > 0 && mean < want:
			k.drift(Drift{Kind: DriftYield, Page: r.Name, Have: mean, Want: want})
		}
	}
	leads := slices.ContainsFunc(k.s.Pages, func(r *PageRule) bool { return !r.isList() })
	if tried == 0 && leads && len(k.posts) == 0 && len(k.out.Drifts) == 0 {
		k.drift(Drift{Kind: DriftNoThread})
	}
	k.out.Posts, k.out.Fields = len(k.posts), coverage(k.posts)
	for _, c := range k.out.Fields {
		want := e.Fields[c.Field]
		if want == 0 || c.Of == 0 || c.Of < checkPosts && c.Have > 0 {
			continue
		}
		if have := 100 * c.Have / c.Of; have < want {
			k.drift(Drift{Kind: DriftField, Field: c.Field, Page: k.postRule(), Have: have, Want: want})
		}
	}
	day := k.now.Add(-24 * time.Hour)
	older := false
	for _, t := range k.dates {
		if t.Before(day) {
			older = true
		} else {
			k.out.DayOld++
		}
	}
	// Where everything is younger than a day there may be more behind it.
	if e.Day > 0 && older && k.out.DayOld < e.Day {
		k.drift(Drift{Kind: DriftDay, Have: k.out.DayOld, Want: e.Day})
	}
}

// postRule names the rule of the pages that the fields were counted on.
func (k *siteChecker) postRule() string {
	for _, r := range k.rules {
		if !r.isList() {
			return r.Name
		}
	}
	if len(k.rules) > 0 {
		return k.rules[0].Name
	}
	return ""
}
