package crawler

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"codeberg.org/readeck/go-readability/v2"
	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// extractMain is the value of PageRule.Extract that reads a page by its main
// text.
const extractMain = "main_text"

// Bounds of what the finder of main texts is given, whose work grows faster
// than the page, and of what is taken for an article.
const (
	maxMainBytes    = 1 << 20
	maxMainElements = 12_000
	maxMainDepth    = 120
	maxMainWork     = 16 << 20 // bytes of text, each counted for every element it stands in
	minMainRunes    = 30
	maxMainLinks    = 0.5 // part of the text that may be links
)

// markAttr ties the elements of the copy that the finder works on to those of
// the page.
const markAttr = "data-qingyuan-mark"

// mainNoise is what a short article must not lose against: fields to write a
// comment into. A form may be the whole page, so it goes by name.
var mainNoise = []cascadia.Selector{cascadia.MustCompile(`#respond, .comment-respond, #commentform, .comment-form, form[role="search"], #fastpostform`)}

// mainText is the article that a page holds, as far as it can be told without
// selectors.
type mainText struct {
	value         value // of the text; its node is the largest part
	title, byline string
	tried         bool
	whole         bool // the page is over a bound, and all of it is taken
}

// main finds the main text of the page, once.
func (x *extractor) main() *mainText {
	if x.article.tried || x.root == nil {
		return &x.article
	}
	x.article.tried = true
	parts, title, byline := x.mainParts()
	if len(parts) == 0 {
		return &x.article
	}
	x.article.title, x.article.byline = title, byline
	var texts []string
	largest := 0
	for _, n := range parts {
		rules := textRules{skip: x.boilerplate(n)}
		if x.article.whole {
			rules = x.textRules(nil, n) // asides would be looked for in too much
		}
		v := value{node: n, text: nodeText(n, rules)}
		if v.text == "" {
			continue
		}
		texts = append(texts, v.text)
		if size := utf8.RuneCountInString(v.text); size > largest {
			largest, x.article.value.node = size, n
		}
	}
	text := strings.Join(texts, "\n")
	if utf8.RuneCountInString(text) < minMainRunes || linkPart(x.article.value.node) > maxMainLinks {
		x.article.value = value{}
		return &x.article
	}
	x.article.value.text = text
	return &x.article
}

// mainParts returns the elements that hold the main text, in page order. What
// the finder does away with inside of them is kept: a last line with nothing
// but a telephone number is what readers of ours look for.
func (x *extractor) mainParts() (parts []*html.Node, title, byline string) {
	body := findTag(x.root, "body")
	if body == nil {
		return nil, "", ""
	}
	var copied twins
	var twin *html.Node
	fits := false
	if len(x.page.Body) <= maxMainBytes {
		twin, fits = copied.of(x.root, 0)
	}
	if !fits {
		x.warnf("rule %s: page is too large or too deep to find its main text; all of it is taken", x.rule.Name)
		x.article.whole = true
		return []*html.Node{body}, "", ""
	}
	removeAll(twin, mainNoise)
	article, err := readable(twin, x.url)
	if err != nil || article.Node == nil {
		return nil, "", ""
	}
	taken := map[*html.Node]bool{}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.Type != html.ElementNode {
				continue
			}
			i, err := strconv.Atoi(attr(c, markAttr))
			if err != nil || i < 0 || i >= len(copied.all) {
				walk(c)
				continue
			}
			taken[copied.all[i]] = true
		}
	}
	holder := &html.Node{Type: html.DocumentNode}
	if p := article.Node.Parent; p != nil {
		p.RemoveChild(article.Node)
	}
	holder.AppendChild(article.Node)
	walk(holder)
	for _, n := range copied.all { // in page order
		if taken[n] && !within(n, taken) {
			parts = append(parts, n)
		}
	}
	return parts, article.Title(), article.Byline()
}

func within(n *html.Node, set map[*html.Node]bool) bool {
	for n = n.Parent; n != nil; n = n.Parent {
		if set[n] {
			return true
		}
	}
	return false
}

// readable runs the finder, whose panics are errors here.
func readable(doc *html.Node, pageURL *url.URL) (article readability.Article, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("finding main text: %v", r)
		}
	}()
	p := readability.NewParser()
	p.Logger = slog.New(slog.DiscardHandler)
	p.CharThresholds = 140 // Chinese says in 140 characters what its default of 500 is meant for
	p.DisableJSONLD = true // repeats the page at best
	article, err = p.ParseAndMutate(doc, pageURL)
	if err != nil {
		return article, fmt.Errorf("finding main text: %w", err)
	}
	return article, nil
}

// twins copies a document for the finder, every element marked by its place in
// all.
type twins struct {
	all  []*html.Node
	work int // see maxMainWork
}

// of copies n and what is below; fits is false when it is over a bound.
func (t *twins) of(n *html.Node, depth int) (twin *html.Node, fits bool) {
	if n.Type == html.TextNode {
		t.work += depth * len(n.Data)
	}
	if depth > maxMainDepth || len(t.all) >= maxMainElements || t.work > maxMainWork {
		return nil, false
	}
	twin = &html.Node{Type: n.Type, DataAtom: n.DataAtom, Data: n.Data, Namespace: n.Namespace}
	for _, a := range n.Attr {
		if a.Key != markAttr {
			twin.Attr = append(twin.Attr, a)
		}
	}
	if n.Type == html.ElementNode {
		twin.Attr = append(twin.Attr, html.Attribute{Key: markAttr, Val: strconv.Itoa(len(t.all))})
		t.all = append(t.all, n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.CommentNode {
			continue
		}
		copied, ok := t.of(c, depth+1)
		if !ok {
			return nil, false
		}
		twin.AppendChild(copied)
	}
	return twin, true
}

// reAside names what stands in and around articles without being of them.
var reAside = regexp.MustCompile(`(?i)(?:^|[-_ ])(?:share|sharing|related|relate|recommend|breadcrumbs?|crumbs?|pagination|pager|copyright|comments?|sidebar|hotnews|qrcode|toolbar|disclaimer|tags?|prev|next|prevnext|bdsharebuttonbox|jiathis|ad|ads|adsbygoogle|advert)(?:$|[-_ ])`)

// maxAside is how much of an article's text a part of it may hold that is left
// out by its name.
const maxAside = 0.3

// boilerplate tells which parts below n are not of the article.
func (x *extractor) boilerplate(n *html.Node) func(*html.Node) bool {
	whole := float64(max(textSize(n), 1))
	return func(c *html.Node) bool {
		if x.owner[c] {
			return true
		}
		switch c.DataAtom {
		case atom.Nav, atom.Footer, atom.Aside, atom.Form, atom.Button, atom.Ins:
		case atom.Div, atom.Ul, atom.Ol, atom.Section, atom.P, atom.Dl, atom.Table, atom.Td, atom.Span:
			named := reAside.MatchString(attr(c, "class")) || reAside.MatchString(attr(c, "id"))
			if !named && !linkList(c) {
				return false
			}
		default:
			return false
		}
		return float64(textSize(c)) < maxAside*whole
	}
}

// linkList reports whether an element is a list of links to other pages.
func linkList(n *html.Node) bool {
	if n.DataAtom == atom.Span || n.DataAtom == atom.P {
		return false
	}
	links := 0
	for c := range n.Descendants() {
		if c.DataAtom == atom.A && attr(c, "href") != "" {
			links++
		}
	}
	return links >= 3 && linkPart(n) > 0.7
}

// textSize is how many runes other than white space stand below n.
func textSize(n *html.Node) int {
	size := 0
	for c := range n.Descendants() {
		if c.Type != html.TextNode || c.Parent != nil && isUnread(c.Parent) {
			continue
		}
		for _, r := range c.Data {
			if !unicode.IsSpace(r) {
				size++
			}
		}
	}
	return size
}

// linkPart is the part of the text below n that stands in links.
func linkPart(n *html.Node) float64 {
	if n == nil {
		return 1
	}
	links := 0
	for c := range n.Descendants() {
		if c.DataAtom == atom.A {
			links += textSize(c)
		}
	}
	return float64(links) / float64(max(textSize(n), 1))
}

// checkExtract checks the key extract, and makes the rule of the page's one
// post.
func (c *sourceCheck) checkExtract(r *PageRule, path ...any) {
	if r.Extract == "" {
		return
	}
	if r.Extract != extractMain {
		c.add(fmt.Sprintf("unknown extract %q", r.Extract), "use main_text, or say under posts where they stand", append(path, "extract")...)
		return
	}
	if r.Format != formatHTML || r.Data != nil {
		c.add("main_text is for html pages", "remove extract, or data and format", append(path, "extract")...)
		return
	}
	if len(r.Posts) == 0 {
		r.Posts = []PostRule{{Kind: "article"}}
	}
	i := slices.IndexFunc(r.Posts, func(p PostRule) bool { return p.Each == "" })
	if i < 0 {
		c.add("main_text is one post a page, and every rule under posts has each", "add a rule without each, or remove them", append(path, "posts")...)
		return
	}
	r.Posts[i].main, r.Posts[i].Optional = true, true
}
