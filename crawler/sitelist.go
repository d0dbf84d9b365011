package crawler

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// guessedList is what a page says of its rows.
type guessedList struct {
	shape    string // RE2 on the URLs of the threads
	each     string // the rows
	title    string // in a row: the link to the thread
	date     string
	dateAttr string
	author   string
	next     string // the link to the next page; "" when there is none
	nextURL  string
	threads  []string // URLs, in page order
	comments bool     // it stands inside HTML comments
	runes    int      // of the texts of the links
	example  string   // the first of threads, path and query
}

const (
	fewRows   = 4  // links of one form that make a list
	titleMost = 40 // characters of a link that count
)

// linkGroup is the links of a page whose URLs have one form.
type linkGroup struct {
	shape string
	links []*html.Node // one for each URL: that with the longest text
	urls  []string
	score float64
}

// guessList finds the rows of a list; ok is false when nothing repeats.
func guessList(pg Page) (l guessedList, ok bool) {
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return l, false
	}
	g, ok := threadLinks(root, pg)
	if !ok {
		return l, false
	}
	l.shape, l.threads = g.shape, g.urls
	for _, n := range g.links {
		l.runes += utf8.RuneCountInString(oneLine(nodeText(n, textRules{})))
	}
	if u, err := url.Parse(g.urls[0]); err == nil {
		l.example = pathAndQuery(u)
	}
	rows := rowsOf(g.links)
	l.each = blockSelector(root, rows)
	byRow := map[*html.Node]*html.Node{}
	for i, r := range rows {
		byRow[r] = g.links[i]
	}
	if sel, err := cascadia.Compile(l.each); err == nil && l.each != "" {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r *html.Node) bool { return !sel.Match(r) })
	}
	have := 0
	if l.title, have = selectorFor(rows, func(r *html.Node) *html.Node { return byRow[r] }); have < 80 {
		l.title = hrefSelector(g)
	}
	if date, have := selectorFor(rows, func(r *html.Node) *html.Node { n, _ := dateIn(r, pg.FetchedAt); return n }); have >= 50 {
		l.date = date
		if i := slices.IndexFunc(rows, func(r *html.Node) bool { n, _ := dateIn(r, pg.FetchedAt); return n != nil }); i >= 0 {
			_, l.dateAttr = dateIn(rows[i], pg.FetchedAt)
		}
	}
	if author, have := selectorFor(rows, func(r *html.Node) *html.Node {
		if n := authorIn(r); n != byRow[r] {
			return n
		}
		return nil
	}); have >= 50 {
		l.author = author
	}
	l.next, l.nextURL = nextLink(root, pg)
	return l, true
}

// threadLinks finds the links that are the rows: many, of one form, with long
// texts, outside of menus.
func threadLinks(root *html.Node, pg Page) (best linkGroup, ok bool) {
	base, err := parseBase(pg.URL)
	if err != nil {
		return best, false
	}
	own, err := url.Parse(pg.URL)
	if err != nil {
		return best, false
	}
	groups := map[string]*linkGroup{}
	var order []*linkGroup
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || unseen(n) {
			continue
		}
		text := oneLine(nodeText(n, textRules{}))
		if utf8.RuneCountInString(text) < 4 || reNextWord.MatchString(text) || mostlyDate(text) {
			continue
		}
		abs, err := resolveURL(base, attr(n, "href"))
		if err != nil {
			continue
		}
		u, err := url.Parse(abs)
		if err != nil || u.Host != own.Host || u.Path == "" || u.Path == "/" || reAuthorHref.MatchString(pathAndQuery(u)) {
			continue
		}
		u.Fragment, u.RawFragment = "", ""
		shape := patternOf(u)
		g := groups[shape]
		if g == nil {
			g = &linkGroup{shape: shape}
			groups[shape] = g
			order = append(order, g)
		}
		g.add(n, u.String(), text)
	}
	for _, g := range order {
		if len(g.links) >= fewRows && g.rate(pg.FetchedAt) > best.score {
			best = *g
		}
	}
	return best, best.score > 0
}

func (g *linkGroup) add(n *html.Node, target, text string) {
	i := slices.Index(g.urls, target)
	if i < 0 {
		if len(g.urls) < maxPageLinks {
			g.urls, g.links = append(g.urls, target), append(g.links, n)
		}
		return
	}
	if len(text) > len(oneLine(nodeText(g.links[i], textRules{}))) {
		g.links[i] = n
	}
}

// rate judges by length of the texts, and whether the rows are dated.
func (g *linkGroup) rate(now time.Time) float64 {
	runes, menu := 0, 0
	for _, n := range g.links {
		runes += min(utf8.RuneCountInString(oneLine(nodeText(n, textRules{}))), titleMost)
		if inMenu(n) {
			menu++
		}
	}
	g.score = float64(runes)
	if 2*menu > len(g.links) {
		g.score /= 5
	}
	dated := 0
	for _, r := range rowsOf(g.links) {
		if n, _ := dateIn(r, now); n != nil {
			dated++
		}
	}
	if 2*dated > len(g.links) {
		g.score *= 2
	}
	return g.score
}

// rowsOf finds for each link the largest block that holds no other of them.
func rowsOf(links []*html.Node) []*html.Node {
	holds := map[*html.Node]int{}
	for _, n := range links {
		for p := n; p != nil; p = p.Parent {
			holds[p]++
		}
	}
	rows := make([]*html.Node, len(links))
	for i, n := range links {
		row := n
		for row.Parent != nil && row.Parent.Type == html.ElementNode && row.Parent.Data != "body" && holds[row.Parent] == 1 {
			row = row.Parent
		}
		rows[i] = row
	}
	return rows
}

var reSlug = regexp.MustCompile(`%|[^\x00-\x7f]|[A-Za-z]+[-_][A-Za-z]+[-_]`)

// patternOf is a pattern for the path and query of u: numbers and the names that
// a title gave stand for any.
func patternOf(u *url.URL) string {
	parts := strings.Split(u.EscapedPath(), "/")
	for i, p := range parts {
		switch last := i == len(parts)-1; {
		case last && p != "" && !reNumbered.MatchString(p) && reSlug.MatchString(p):
			parts[i] = `[^/?]+`
		case i > 0 && reHash.MatchString(p):
			parts[i] = `[0-9a-f]+`
		case reSlug.MatchString(p) && reNumbered.MatchString(p) && last && !reCounted.MatchString(p):
			parts[i] = `[^/?]+`
		default:
			parts[i] = numbersFor(p)
		}
	}
	shape := strings.Join(parts, "/")
	if u.RawQuery != "" {
		shape += `\?` + numbersFor(u.RawQuery)
	}
	return shape
}

var (
	reHash    = regexp.MustCompile(`^[0-9a-f]{10,}$`)
	reCounted = regexp.MustCompile(`^[A-Za-z]+(?:[-_]\d+)+(?:\.\w+)?$`) // thread-12-1-1.html
)

// numbersFor quotes a text as a pattern in which every number stands for any.
func numbersFor(s string) string {
	var b strings.Builder
	at := 0
	for _, m := range reNumbered.FindAllStringIndex(s, -1) {
		b.WriteString(regexp.QuoteMeta(s[at:m[0]]) + `\d+`)
		at = m[1]
	}
	return b.String() + regexp.QuoteMeta(s[at:])
}

// hrefSelector finds links by what their URLs begin with.
func hrefSelector(g linkGroup) string {
	u, err := url.Parse(g.urls[0])
	if err != nil {
		return "a"
	}
	start := pathAndQuery(u)
	if i := reNumbered.FindStringIndex(start); i != nil {
		start = start[:i[0]]
	} else {
		start = start[:strings.LastIndexByte(start, '/')+1]
	}
	if start == "" || start == "/" || strings.ContainsAny(start, `"\`) {
		return "a"
	}
	return `a[href*="` + start + `"]`
}

// nextLink finds the link to the next page.
func nextLink(root *html.Node, pg Page) (selector, target string) {
	base, err := parseBase(pg.URL)
	if err != nil {
		return "", ""
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || attr(n, "href") == "" {
			continue
		}
		text := oneLine(nodeText(n, textRules{}))
		byWord := text != "" && reNextWord.MatchString(text) && !strings.Contains(text, "更多")
		byRel := strings.EqualFold(attr(n, "rel"), "next")
		byClass := slices.ContainsFunc(strings.Fields(attr(n, "class")), func(c string) bool { return c == "next" || c == "nxt" || c == "page-next" })
		if !byWord && !byRel && !byClass {
			continue
		}
		abs, err := resolveURL(base, attr(n, "href"))
		if err != nil || abs == pg.URL || !reNumbered.MatchString(abs) {
			continue
		}
		switch {
		case byRel:
			return `a[rel="next"]`, abs
		case byClass && hasClass(n, "next"):
			return "a.next", abs
		case byClass && hasClass(n, "nxt"):
			return "a.nxt", abs
		case byWord && !strings.ContainsAny(text, `"\`):
			return `a:contains("` + text + `")`, abs
		}
	}
	return numberedLink(root, pg)
}

// numberedLink finds the link to page 2 where no link is named next.
func numberedLink(root *html.Node, pg Page) (selector, target string) {
	base, err := parseBase(pg.URL)
	if err != nil {
		return "", ""
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || oneLine(nodeText(n, textRules{})) != "2" {
			continue
		}
		abs, err := resolveURL(base, attr(n, "href"))
		if err != nil || abs == pg.URL || !reNumbered.MatchString(abs) {
			continue
		}
		if s := selectorsOf(n); s[0] != "a" {
			return s[0], abs
		}
	}
	return "", ""
}
