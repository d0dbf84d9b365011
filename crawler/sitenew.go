package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// ErrNoDraft is returned by DraftSite for a page of which no config can be made.
var ErrNoDraft = errors.New("no site config can be made of this page")

// DraftOptions are what DraftSite knows besides the page.
type DraftOptions struct {
	Name         string // of the source; "": made of the host
	Language     string // of the comments in the config: zh, or en
	AllowPrivate bool   // the host may be a loopback or private address: labs only
	Kits         []Kit  // see ReadKits
	Threads      []Page // saved pages of threads, in place of fetched ones
	// Fetch fetches a page of the new site; nil: nothing but the pages given is
	// looked at.
	Fetch func(ctx context.Context, s *Source, pageURL string) (Page, error)
}

// Draft is a first config of a site.
type Draft struct {
	Config []byte   // YAML that ReadSource takes
	Source *Source  // as read
	Kit    string   // the kit it was made from; "": the page alone
	Marks  []string // by which the kit was told
	Pages  []Page   // that were looked at, the given one first
	Doubts []Doubt  // what to check by eye
}

// DoubtCode names what a draft is not sure of.
type DoubtCode string

// The doubts. Detail says more where there is more to say.
const (
	DoubtNoKit     DoubtCode = "no_kit"     // no kit fits: the selectors are guessed
	DoubtOtherKit  DoubtCode = "other_kit"  // another kit fits nearly as well: Detail
	DoubtNoThread  DoubtCode = "no_thread"  // no page of a thread was seen
	DoubtOneThread DoubtCode = "one_thread" // only pages without replies were seen
	DoubtFetch     DoubtCode = "fetch"      // a page could not be had: Detail
	DoubtNothing   DoubtCode = "nothing"    // the page at Detail yields neither posts nor rows
	DoubtKey       DoubtCode = "key"        // posts have no id of their own, only their place on the page
	DoubtPaging    DoubtCode = "paging"     // no link to a next page was seen
	DoubtSeed      DoubtCode = "seed"       // the only seed is a thread: nothing leads to new ones
	DoubtScript    DoubtCode = "script"     // the page at Detail has hardly any text: it may be drawn by script
	DoubtFeed      DoubtCode = "feed"       // the site offers a feed as well: Detail
	DoubtWarning   DoubtCode = "warning"    // what reading the page warned of: Detail
)

// Doubt is one thing to check by eye.
type Doubt struct {
	Code   DoubtCode `json:"code"`
	Detail string    `json:"detail,omitempty"`
}

// draftThreads is how many links of a list are tried for one that shows posts
// and replies.
const draftThreads = 3

// drafter is the state of one DraftSite.
type drafter struct {
	ctx  context.Context
	opts DraftOptions
	page Page
	url  *url.URL
	made Draft
}

// DraftSite makes a first config of a site from one of its pages: of the kit
// whose marks the page bears, or of what repeats on the page. With opts.Fetch
// it looks at a thread as well. ErrNoDraft is for a page of which nothing can
// be made: a wall, an error, no page of the web.
func DraftSite(ctx context.Context, pg Page, opts DraftOptions) (Draft, error) {
	u, err := url.Parse(pg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Draft{}, fmt.Errorf("%w: %q is no http or https URL", ErrNoDraft, pg.URL)
	}
	if pg.Status >= 400 {
		return Draft{}, fmt.Errorf("%w: %s answers %s", ErrNoDraft, pg.URL, statusText(pg.Status))
	}
	if w, ok := (&Source{}).wallOnPage(pg); ok {
		return Draft{}, fmt.Errorf("%w: %s is a wall (%s: %s); give a page that opens without it, or one saved from a browser", ErrNoDraft, pg.URL, w.kind, w.why)
	}
	if opts.Language != "en" {
		opts.Language = "zh"
	}
	if opts.Name == "" {
		opts.Name = nameOfHost(u.Host)
	}
	opts.Threads = slices.Clone(opts.Threads)
	d := &drafter{ctx: ctx, opts: opts, page: pg, url: u}
	d.made.Pages = []Page{pg}
	for i, t := range d.opts.Threads { // saved under another name of the site, or behind a proxy
		if at, err := url.Parse(t.URL); err == nil && at.Host != u.Host {
			at.Scheme, at.Host = u.Scheme, u.Host
			d.opts.Threads[i].URL = at.String()
		}
	}
	if !d.byKit() {
		if err := d.byPage(); err != nil {
			return Draft{}, err
		}
	}
	d.expect()
	d.judge()
	return d.made, nil
}

// UnknownPage makes a page of the bytes of a saved file of which no config is
// known yet. Without rawURL the page itself has to say where it is from, by its
// canonical link or og:url. name is for messages only.
func UnknownPage(name string, raw []byte, rawURL string) (Page, error) {
	body, _, err := transport.ToUTF8As("", raw, "text/html")
	if err != nil {
		return Page{}, fmt.Errorf("reading saved page %s: %w", name, err)
	}
	if rawURL == "" {
		for _, ref := range namedURLs(body) {
			if u, err := url.Parse(ref); err == nil && u.Host != "" {
				rawURL = ref
				break
			}
		}
	}
	if rawURL == "" {
		return Page{}, fmt.Errorf("reading saved page %s: %w", name, errNoURL)
	}
	return Page{URL: rawURL, Status: 200, Body: body, FetchedAt: time.Now()}, nil
}

// FirstSource is the source under which a page is fetched of which nothing is
// known yet but its URL: its host alone is in scope.
func FirstSource(rawURL string, allowPrivate bool) (*Source, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no http or https URL", rawURL)
	}
	d := drafter{url: u, opts: DraftOptions{AllowPrivate: allowPrivate}}
	u.Fragment, u.RawFragment = "", ""
	return ReadSource("new", []byte(fmt.Sprintf("name: %s\ntype: forum\nhosts: [%s]\nallow_private: %t\nseeds: [%s]\ndelay: %s\npages:\n  - {name: any, match: '^/', follow: [a]}\n",
		nameOfHost(u.Host), quoted(hostEntry(u)), allowPrivate, quoted(u.String()), d.delay(2*time.Second))))
}

func (d *drafter) doubt(code DoubtCode, detail string) {
	for _, known := range d.made.Doubts {
		if known.Code == code && known.Detail == detail {
			return
		}
	}
	d.made.Doubts = append(d.made.Doubts, Doubt{code, detail})
}

// fetch gets a page of the new site; ok is false when it cannot be had.
func (d *drafter) fetch(s *Source, pageURL string) (Page, bool) {
	if d.opts.Fetch == nil || d.ctx.Err() != nil {
		return Page{}, false
	}
	pg, err := d.opts.Fetch(d.ctx, s, pageURL)
	if err != nil {
		d.doubt(DoubtFetch, err.Error())
		return Page{}, false
	}
	if err := statusError(pg.Status); err != nil || pg.Status >= 400 {
		d.doubt(DoubtFetch, pageURL+": "+statusText(pg.Status))
		return Page{}, false
	}
	return pg, true
}

// canonicalPage is a page under the URL by which the site's rules know it.
func canonicalPage(s *Source, pg Page) Page {
	if canonical, _, err := s.Canonical(pg.URL); err == nil {
		pg.URL = canonical
	}
	return pg
}

// yieldOf is what a page gives: posts and rows, and links to follow.
func yieldOf(s *Source, pg Page) (found, links int) {
	x, err := s.extract(canonicalPage(s, pg))
	if err != nil || x.out.Blocked != "" {
		return 0, 0
	}
	return len(x.out.Posts) + len(x.out.Previews), len(x.out.Links)
}

// Parts of what a page yielded that are expected from now on: quiet days have
// shorter lists, and a few posts of any site lack something.
const (
	expectPart  = 2  // one in so many rows
	expectField = 90 // of 100 posts, when at least as many have a field
	expectFew   = 5  // posts from which that can be told
)

// expect notes in the config what the pages yield, for site check and the
// alarms of a crawl.
func (d *drafter) expect() {
	rows, threads := 0, 0
	var posts []post.Post
	for _, pg := range d.made.Pages {
		pg = canonicalPage(d.made.Source, pg)
		at, ok := d.made.Source.place(pg.URL)
		if !ok {
			continue
		}
		pr := testPage(d.made.Source, pg)
		if at.list {
			rows = max(rows, len(pr.Previews))
			continue
		}
		threads += min(len(pr.Posts), 1)
		posts = append(posts, pr.Posts...)
	}
	var parts []string
	if rows >= expectPart {
		parts = append(parts, fmt.Sprintf("list: %d", rows/expectPart))
	}
	if threads > 0 {
		parts = append(parts, "thread: 1")
	}
	var fields []string
	for _, c := range coverage(posts) {
		if c.Of >= expectFew && 100*c.Have >= expectField*c.Of && slices.Contains([]string{"text", "author", "time"}, c.Field) {
			fields = append(fields, fmt.Sprintf("%s: %d", c.Field, expectField))
		}
	}
	if len(fields) > 0 {
		parts = append(parts, "fields: {"+strings.Join(fields, ", ")+"}")
	}
	if len(parts) == 0 {
		return
	}
	config := append(slices.Clone(d.made.Config), fmt.Sprintf("expect: {%s}%s\n", strings.Join(parts, ", "), d.remark("expect"))...)
	if src, err := ReadSource(d.opts.Name+".yaml", config); err == nil {
		d.made.Config, d.made.Source = config, src
	}
}

// judge tries the config on the pages that were looked at and notes what is
// not well.
func (d *drafter) judge() {
	for _, pg := range d.made.Pages {
		pr := testPage(d.made.Source, canonicalPage(d.made.Source, pg))
		if pr.Error != "" {
			continue // the front page of a forum, say, from which only the boards were taken
		}
		if len(pr.Posts)+len(pr.Previews) == 0 && len(pr.Links) < listLinks {
			d.doubt(DoubtNothing, pg.URL)
			if drawnByScript(pg) {
				d.doubt(DoubtScript, pg.URL)
			}
			continue
		}
		for _, w := range pr.Warnings {
			d.doubt(DoubtWarning, w)
		}
	}
	if feed := feedOf(d.page); feed != "" && !d.made.Source.feeds() {
		d.doubt(DoubtFeed, feed)
	}
	for _, s := range d.made.Source.Seeds {
		if at, ok := d.made.Source.place(s); ok && at.list {
			return
		}
	}
	if d.made.Kit != "feed" && !d.made.Source.feeds() {
		d.doubt(DoubtSeed, "")
	}
}

// feedOf is the first feed that a page names, absolute; "" when it names none.
func feedOf(pg Page) string {
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return ""
	}
	base, err := parseBase(pg.URL)
	if err != nil {
		return ""
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "link" || !strings.EqualFold(attr(n, "rel"), "alternate") {
			continue
		}
		if kind := attr(n, "type"); kind != "application/rss+xml" && kind != "application/atom+xml" {
			continue
		}
		if abs, err := resolveURL(base, attr(n, "href")); err == nil {
			return abs
		}
	}
	return ""
}

// feeds reports whether a seed is a feed.
func (s *Source) feeds() bool {
	for _, seed := range s.Seeds {
		if r, ok := s.Rule(seed); ok && r.Format == formatFeed {
			return true
		}
	}
	return false
}

// scriptText is how little text a page has that a script draws, in characters.
const scriptText = 200

func drawnByScript(pg Page) bool {
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	return err == nil && findTag(root, "script") != nil && len([]rune(nodeText(root, textRules{}))) < scriptText
}

// nameOfHost makes the name of a source of its host.
func nameOfHost(host string) string {
	host = strings.TrimPrefix(strings.ToLower(host), "www.")
	var b strings.Builder
	for _, r := range host {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if len(name) > 64 {
		name = strings.Trim(name[:64], "-")
	}
	if name == "" {
		return "new-site"
	}
	return name
}
