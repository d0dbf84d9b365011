package crawler

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"golang.org/x/net/html"

	"qingyuan/post"
)

// Bounds of what one page may yield; a hostile page must not fill the memory.
const (
	maxPagePosts  = 2000
	maxPageLinks  = 1000
	maxPostImages = 100
	maxPostLinks  = 200
	maxURLBytes   = 2048
	maxLineRunes  = 1000 // of one-line values: titles, names, keys
)

// futureTolerance is how far after the fetch a post may claim to be published;
// clocks and time zones are often wrong by less.
const futureTolerance = 24 * time.Hour

// listLinks is how many links to follow make a page without posts a list.
const listLinks = 3

// imageOnly stands for the text of a post that shows nothing but pictures
// without alternative text.
const imageOnly = "[图片]"

// Extract reads the posts and links of a page. It changes nothing, takes no
// input as well formed and is safe for concurrent use. A page that refuses us
// is Blocked, a page whose thread is gone is Gone, and both have no posts; the
// error is for a URL that no rule fits (ErrNoRule), for a page over a limit
// (*LimitError) and for a status of which nothing can be said.
func (s *Source) Extract(pg Page) (Extraction, error) {
	x, err := s.extract(pg)
	if err != nil {
		return Extraction{}, err
	}
	if x.out.Gone != "" && x.onFirstPage() {
		if x.out.GoneThread = x.thread; x.thread == "" {
			x.out.GoneThread = x.url.String()
		}
	}
	return x.out, nil
}

// pageGroup is the named group of a match that holds the page number within a
// thread. In templates {page} is the URL of the page.
const pageGroup = "page"

// extractor is the state of reading one page.
type extractor struct {
	src   *Source
	rule  *PageRule
	page  Page
	url   *url.URL // of the page
	base  *baseURL // what the page says is relative to it
	own   *baseURL // the page itself: what the config says is relative to it
	vars  map[string]string
	loc   *time.Location
	items int    // blocks seen by the rules of the page
	empty string // selector of a post rule that found no block and should have

	pageNumber string // what the group page of match fits
	numbered   bool   // match has that group

	thread     string           // its URL; "" when the rule has none
	pageValues map[*Field]value // of fields with scope page

	root      *html.Node          // html
	comments  []*html.Node        // documents inside the HTML comments of root
	commented bool                // comments is filled
	owner     map[*html.Node]bool // nodes that hold posts
	nested    bool                // some of them stand in others
	followed  map[*html.Node]bool // links taken
	json      gjson.Result        // json and feed

	article  mainText
	out      Extraction
	keys     map[string]bool
	whole    map[string]bool // posts that are whole pages
	linkSeen map[string]bool
	outside  int            // links out of scope
	noRule   int            // links in scope that no rule fits
	hidden   int            // links that a reader cannot see
	surplus  bool           // more than maxPageLinks
	until    time.Time      // when the page is given up
	err      error          // why the page is given up
	missing  map[string]int // posts without the field
}

// item is one block that becomes a post.
type item struct {
	node  *html.Node
	json  gjson.Result
	index int  // from 1, on the page
	first bool // opening block of the thread
	vars  map[string]string

	keyless bool // it should have a key and has none
}

func (s *Source) extract(pg Page) (*extractor, error) {
	u, err := url.Parse(pg.URL)
	if err != nil {
		return nil, fmt.Errorf("extracting %q: %w", pg.URL, err)
	}
	rule, ok := s.ruleFor(u)
	if !ok {
		return nil, fmt.Errorf("extracting %s for source %s: %w", pg.URL, s.Name, ErrNoRule)
	}
	return s.extractBy(rule, u, pg)
}

func (s *Source) extractBy(rule *PageRule, u *url.URL, pg Page) (*extractor, error) {
	plain := *u
	plain.Fragment, plain.RawFragment = "", ""
	base, err := parseBase(plain.String())
	if err != nil {
		return nil, fmt.Errorf("extracting: %w", err)
	}
	x := &extractor{
		until: time.Now().Add(extractTime),
		src:   s, rule: rule, page: pg, url: &plain, base: base, own: base, loc: s.loc, pageValues: map[*Field]value{},
		owner: map[*html.Node]bool{}, followed: map[*html.Node]bool{}, keys: map[string]bool{}, linkSeen: map[string]bool{}, whole: map[string]bool{}, missing: map[string]int{},
	}
	x.vars = map[string]string{"page": plain.String()}
	if m := rule.match.FindStringSubmatch(pathAndQuery(u)); m != nil {
		for i, name := range rule.match.SubexpNames() {
			if name == pageGroup {
				x.pageNumber, x.numbered = m[i], true
			} else if name != "" && m[i] != "" {
				x.vars[name] = m[i]
			}
		}
	}
	if next := x.nextNumber(); next != "" && x.vars["next"] == "" {
		x.vars["next"] = next
	}
	if rule.Thread != "" {
		if t, ok := expand(rule.Thread, "", x.vars, nil); ok {
			x.thread, _ = resolveURL(x.own, t)
		}
	}
	if done, err := x.byStatus(); done || err != nil {
		return x, err
	}
	if err := x.readBody(); err != nil {
		return nil, fmt.Errorf("extracting %s: %w", pg.URL, err)
	}
	x.judgePage()
	x.out.Bare = x.bare()
	x.warn()
	return x, nil
}

// readBody reads posts and links. The error is for a page over a limit.
func (x *extractor) readBody() error {
	if err := tooLarge(x.rule.Format, x.page.Body); err != nil {
		return err
	}
	switch x.rule.Format {
	case formatJSON:
		x.readJSON()
	case formatFeed:
		x.readFeed()
	case formatSitemap:
		x.readSitemap()
	default:
		x.readHTML()
	}
	return x.err
}

// byStatus settles what the status alone decides.
func (x *extractor) byStatus() (done bool, err error) {
	status := x.page.Status
	switch {
	case status == 0 || (status >= 200 && status < 300):
		return false, nil
	case status == http.StatusNotFound || status == http.StatusGone:
		// A wall takes nothing away, whatever status it comes with.
		if w, ok := x.src.wallOnPage(x.page); ok {
			x.out.Wall, x.out.Blocked = w.kind, fmt.Sprintf("status %d, %s", status, w.why)
			return true, nil
		}
		x.out.Gone = fmt.Sprintf("status %d", status)
		return true, nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTeapot ||
		status == http.StatusPreconditionFailed || status == http.StatusTooManyRequests ||
		status == http.StatusServiceUnavailable || status == 521 || status == http.StatusUnavailableForLegalReasons:
		x.out.Blocked, x.out.Wall = statusText(status), wallByStatus(status)
		if w, ok := x.src.wallOnPage(x.page); ok && w.kind != WallLogin && w.kind != WallFirewall {
			x.out.Blocked, x.out.Wall = statusText(status)+", "+w.why, w.kind
		}
		return true, nil
	}
	return true, fmt.Errorf("extracting %s: status %d is no page", x.page.URL, status)
}

// judgePage finds out whether the page refuses us or says that its thread is
// gone. Where posts were found only what stands outside of them counts:
// otherwise a poster could make a whole thread vanish by quoting such a text.
func (x *extractor) judgePage() {
	found := x.holdsPosts() || !x.expectsPosts() && len(x.out.Links) >= listLinks
	text, title := x.pageText()
	if !found {
		text = title + "\n" + text
	}
	if w, ok := x.ownWall(text); ok {
		x.out.Wall, x.out.Blocked = w.kind, w.why
	} else if why := x.marked(x.src.gone, text); why != "" {
		x.out.Gone = why
	} else if w, ok := x.wall(found, title, text); ok {
		x.out.Wall, x.out.Blocked = w.kind, w.why
	} else if !found {
		x.out.Gone = builtinGone(x.root, text)
	}
	if x.out.Blocked == "" && x.out.Gone == "" {
		return
	}
	x.out.Posts, x.out.Previews, x.out.Rows, x.out.Landings = nil, nil, nil, nil
	if x.out.Blocked != "" {
		x.out.Links = nil
	}
}

// marked returns the first of marks that the page bears, or "".
func (x *extractor) marked(marks []pageMark, text string) string {
	for _, m := range marks {
		if m.sel != nil {
			if x.root != nil && m.sel.MatchFirst(x.root) != nil {
				return "page has " + m.text
			}
			continue
		}
		if strings.Contains(text, m.text) {
			return "page says " + m.text
		}
	}
	return ""
}

// expectsPosts reports whether a page of the rule without posts is odd.
func (x *extractor) expectsPosts() bool {
	for i := range x.rule.Posts {
		if p := &x.rule.Posts[i]; !p.Optional && p.kind != post.KindAd {
			return true
		}
	}
	return false
}

// pageText returns the visible text of the page outside of the posts and links
// found, and its title.
func (x *extractor) pageText() (text, title string) {
	if x.root == nil {
		return jsonText(x.json), ""
	}
	if n := findTag(x.root, "title"); n != nil {
		title = oneLine(nodeText(n, textRules{}))
	}
	return nodeText(x.root, textRules{skip: func(n *html.Node) bool { return x.owner[n] || x.followed[n] }}), title
}

func (x *extractor) warnf(format string, args ...any) {
	if len(x.out.Warnings) < 50 {
		x.out.Warnings = append(x.out.Warnings, fmt.Sprintf(format, args...))
	}
}

// warn reports what an operator should look at.
func (x *extractor) warn() {
	if x.out.Blocked != "" || x.out.Gone != "" {
		return
	}
	total := len(x.out.Posts) + len(x.out.Previews)
	if !x.holdsPosts() && x.expectsPosts() {
		x.warnf("rule %s found no post; the page may be drawn by script (see render), need a login or have a new layout", x.rule.Name)
	}
	if x.surplus {
		x.warnf("rule %s: more than %d links; only the first are taken", x.rule.Name, x.linkLimit())
	}
	for _, name := range []string{"author", "time", "key"} {
		if n := x.missing[name]; n > 0 {
			x.warnf("rule %s: %d of %d posts have no %s", x.rule.Name, n, total, name)
		}
	}
}

// addPost builds the post of one block and adds it when it is one.
func (x *extractor) addPost(rule *PostRule, it item) {
	if len(x.out.Posts)+len(x.out.Previews) >= maxPagePosts || x.late() {
		return
	}
	p, ok := x.buildPost(rule, &it)
	if !ok {
		return
	}
	if len(p.Title)+len(p.Text) > post.MaxText {
		x.warnf("post %s has %d bytes and is left out; select less than the whole page", p.URL, len(p.Title)+len(p.Text))
		return
	}
	if x.keys[p.ID] {
		x.warnf("two blocks have the same key; the later one is left out: %s", p.URL)
		return
	}
	x.keys[p.ID] = true
	if p.Author.Name == "" && rule.Author != nil && p.Kind != post.KindAd && x.rule.Format != formatFeed {
		x.missing["author"]++
	}
	if it.keyless {
		x.missing["key"]++
	}
	if p.PublishedAt.IsZero() && rule.Time != nil && p.Kind != post.KindAd {
		x.missing["time"]++
	}
	if rule.Each == "" {
		x.whole[p.ID] = true
	}
	if rule.Preview {
		x.out.Previews = append(x.out.Previews, p)
		x.addRow(rule, &it, p.URL)
		return
	}
	x.out.Posts = append(x.out.Posts, p)
}

func (x *extractor) buildPost(rule *PostRule, it *item) (post.Post, bool) {
	it.vars = map[string]string{"index": strconv.Itoa(it.index)}
	it.first = x.isFirst(rule, it)
	p := post.Post{
		Source: x.src.Name, SourceType: x.src.Type, Kind: rule.kind, ThreadURL: x.thread,
		FetchedAt: x.page.FetchedAt, Archive: x.page.Archive,
	}
	if it.first && rule.firstKind != "" {
		p.Kind = rule.firstKind
	}
	p.Author.Name = x.line(rule.Author, it)
	p.Author.ID = x.line(rule.AuthorID, it)
	p.Author.URL = x.ref(rule.AuthorURL, it)
	p.PublishedAt = x.time(rule.Time, it)
	it.vars["author"] = p.Author.Name
	if !p.PublishedAt.IsZero() {
		it.vars["time"] = p.PublishedAt.UTC().Format(time.RFC3339)
	}
	key := x.line(rule.Key, it)
	it.vars["key"] = key
	p.URL = x.ref(rule.URL, it)
	if key == "" {
		key = x.keyless(rule, it, p.URL)
	}
	if p.URL == "" {
		p.URL = x.url.String()
	}
	p.ID = post.NewID(x.src.Name, key)
	p.Title = x.line(rule.Title, it)
	p.Region = region(x.line(rule.Region, it))
	x.body(rule, it, &p)
	x.fillMain(rule, &p)
	if rule.Each == "" && (rule.Text != nil || rule.main) && p.Text == "" {
		// A notice in place of an article has a heading too.
		return p, false
	}
	return p, p.Title != "" || p.Text != ""
}

// keyless returns what identifies a post without a key: its own URL, or the
// page when it is the only post, or its place on the page.
func (x *extractor) keyless(rule *PostRule, it *item, own string) string {
	if own != "" {
		return own
	}
	it.keyless = rule.Key != nil && rule.kind != post.KindAd
	if rule.Each == "" {
		return x.url.String()
	}
	return x.url.String() + "#" + strconv.Itoa(it.index)
}

var reFirstFloor = regexp.MustCompile(`^#?1(?:楼|樓|#|F)?$`)

// isFirst reports whether it is the opening block of its thread: the one with
// floor 1, or the first block of the rule on the thread's first page.
func (x *extractor) isFirst(rule *PostRule, it *item) bool {
	if floor := x.line(rule.Floor, it); floor != "" {
		return floor == "楼主" || reFirstFloor.MatchString(floor)
	}
	return it.index == 1 && x.onFirstPage()
}

var rePageParam = regexp.MustCompile(`(?:^|&)(?:page|paged|p|pn|cpage|pg)=(\d+)(?:&|$)`)

// onFirstPage reports whether the page begins its thread. A named group page
// in match decides; else the thread's own URL and the usual query names do.
func (x *extractor) onFirstPage() bool {
	if x.numbered {
		return x.pageNumber == "" || x.pageNumber == "1" || x.pageNumber == "0"
	}
	if thread, err := url.Parse(x.thread); err == nil && x.thread != "" && thread.EscapedPath() != x.url.EscapedPath() {
		return false
	}
	m := rePageParam.FindStringSubmatch(x.url.RawQuery)
	return m == nil || m[1] == "1" || m[1] == "0"
}

// time reads the first alternative of f that is a date not in the future.
func (x *extractor) time(f *Field, it *item) time.Time {
	now := x.page.FetchedAt
	if now.IsZero() {
		now = time.Now()
	}
	for ; f != nil; f = f.Or {
		v := oneLine(x.once(f, it).text)
		if v == "" {
			continue
		}
		t, ok := ParseTime(v, now, x.loc)
		if !ok {
			continue
		}
		if t.After(now.Add(futureTolerance)) {
			x.warnf("date %q lies after the fetch and is left out", v)
			continue
		}
		return t
	}
	return time.Time{}
}

// line evaluates f to one line; "" when there is nothing.
func (x *extractor) line(f *Field, it *item) string {
	for ; f != nil; f = f.Or {
		if v := oneLine(x.once(f, it).text); v != "" {
			return v
		}
	}
	return ""
}

// oneLine makes every run of white space one blank and bounds the length.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxLineRunes {
		return s
	}
	if r := []rune(s); len(r) > maxLineRunes {
		return string(r[:maxLineRunes])
	}
	return s
}

// expand fills a template; ok is false when a variable that it needs is empty.
func expand(template, value string, vars, more map[string]string) (string, bool) {
	ok := true
	out := reVariable.ReplaceAllStringFunc(template, func(m string) string {
		name := m[1 : len(m)-1]
		v := value
		if name != "value" {
			if v = more[name]; v == "" {
				v = vars[name]
			}
		}
		if v == "" {
			ok = false
		}
		return v
	})
	return out, ok
}

// ref evaluates f to an absolute http or https URL, or "". What the page says
// is relative to its base; what a template says is relative to the page, for
// the template is ours and the base is theirs.
func (x *extractor) ref(f *Field, it *item) string {
	for ; f != nil; f = f.Or {
		base := x.base
		if f.Template != "" {
			base = x.own
		}
		if abs, err := resolveURL(base, oneLine(x.once(f, it).text)); err == nil {
			return abs
		}
	}
	return ""
}
