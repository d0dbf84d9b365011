package crawler

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"qingyuan/post"
)

// maxNesting is the depth at which open elements are closed; the parser
// refuses pages nested deeper than 512.
const maxNesting = 300

// value is what a field gave: a text, and the node it came from when its text
// is the node's.
type value struct {
	text string
	node *html.Node
	drop []cascadia.Selector
}

// readHTML reads posts and links of an HTML page.
func (x *extractor) readHTML() {
	root, err := x.parse(x.page.Body)
	if err != nil {
		x.err = err
		return
	}
	x.root = root
	x.takeBase()
	if x.rule.Data != nil {
		x.readEmbedded()
		return
	}
	removeAll(root, x.src.drop)
	x.readAds()
	for i := range x.rule.Posts {
		x.readBlocks(&x.rule.Posts[i])
	}
	for i := range x.rule.Follow {
		x.follow(&x.rule.Follow[i])
	}
}

// takeBase lets <base href> say what links are relative to.
func (x *extractor) takeBase() {
	n := findTag(x.root, "base")
	if n == nil {
		return
	}
	abs, err := resolveURL(x.base, attr(n, "href"))
	if err != nil {
		return
	}
	if base, err := parseBase(abs); err == nil {
		x.base = base
	}
}

func removeAll(root *html.Node, sels []cascadia.Selector) {
	for _, sel := range sels {
		for _, n := range sel.MatchAll(root) {
			if n.Parent != nil {
				n.Parent.RemoveChild(n)
			}
		}
	}
}

// readBlocks makes a post of every block of the rule that no earlier rule took.
func (x *extractor) readBlocks(rule *PostRule) {
	if rule.Each == "" {
		x.items++
		x.addPost(rule, item{node: x.root, index: 1})
		return
	}
	var blocks []*html.Node
	for _, root := range x.roots(rule.Comments) {
		blocks = append(blocks, rule.each.MatchAll(root)...)
	}
	if len(blocks) == 0 && !rule.Optional && rule.kind != post.KindAd {
		x.empty = rule.Each
	}
	taken := blocks[:0]
	for _, n := range blocks {
		if !x.owner[n] {
			x.owner[n] = true
			taken = append(taken, n)
		}
	}
	x.nested = x.nested || x.blocksNest()
	if len(taken) > maxPagePosts {
		x.warnf("rule %s: %d blocks on one page; only %d are read", x.rule.Name, len(taken), maxPagePosts)
		taken = taken[:maxPagePosts]
	}
	for i, n := range taken {
		x.items++
		x.addPost(rule, item{node: n, index: i + 1})
	}
}

// roots returns the document, and the documents in its comments too when asked.
func (x *extractor) roots(comments bool) []*html.Node {
	if !comments {
		return []*html.Node{x.root}
	}
	if !x.commented {
		x.commented = true
		x.comments = x.commentRoots(x.root)
		for _, c := range x.comments {
			removeAll(c, x.src.drop)
		}
	}
	return append([]*html.Node{x.root}, x.comments...)
}

// commentRoots parses what stands in the HTML comments below n.
func (x *extractor) commentRoots(n *html.Node) []*html.Node {
	var out []*html.Node
	for c := range n.Descendants() {
		if c.Type != html.CommentNode || !strings.Contains(c.Data, "</") {
			continue
		}
		if root, err := x.parse([]byte(c.Data)); err == nil {
			out = append(out, root)
		}
	}
	return out
}

// once evaluates f without its alternatives.
func (x *extractor) once(f *Field, it *item) value {
	if f == nil || (f.Only == "first" && !it.first) {
		return value{}
	}
	var v value
	switch {
	case x.root == nil:
		v = x.fromJSON(f, it)
	case f.Select == "" && f.Attr == "" && f.Path == "" && !f.HTML && f.Template != "":
		return x.templated(f, it, value{})
	default:
		v = x.fromHTML(f, it)
	}
	if f.HTML && v.text != "" {
		v = x.htmlValue(v.text, f.FieldSpec.drop)
	}
	if f.regex != nil {
		v = value{text: firstGroup(f, v.text)}
	}
	if f.Template != "" {
		return x.templated(f, it, v)
	}
	return v
}

func (x *extractor) templated(f *Field, it *item, v value) value {
	computed := f.Select != "" || f.Attr != "" || f.Path != "" || f.Regex != ""
	if computed && v.text == "" {
		return value{}
	}
	text, ok := expand(f.Template, v.text, x.vars, it.vars)
	if !ok {
		return value{}
	}
	return value{text: text}
}

func firstGroup(f *Field, text string) string {
	m := f.regex.FindStringSubmatch(text)
	switch {
	case m == nil:
		return ""
	case len(m) > 1:
		return m[1]
	}
	return m[0]
}

func (x *extractor) fromHTML(f *Field, it *item) value {
	if f.Scope != "page" {
		if f.sel != nil && !f.Comments && x.owner[it.node] {
			return x.firstValue(f, it.node)
		}
		return x.valueOf(f, x.find(f, it.node))
	}
	// The same for every item: a hostile page must not make us search all of
	// it again for each of its thousands of posts.
	v, known := x.pageValues[f]
	if !known {
		v = x.valueOf(f, x.find(f, x.root))
		x.pageValues[f] = v
	}
	return v
}

// valueOf returns the first value that f finds in nodes.
func (x *extractor) valueOf(f *Field, nodes []*html.Node) value {
	for _, n := range nodes {
		if f.Attr != "" {
			text := strings.TrimSpace(attr(n, f.Attr))
			if f.Path != "" {
				text = jsonIn(text, f.Path)
			}
			if text != "" {
				return value{text: text}
			}
			continue
		}
		v := value{node: n, drop: f.FieldSpec.drop}
		v.text = nodeText(n, x.textRules(v.drop, n))
		if f.Path != "" {
			return value{text: jsonIn(v.text, f.Path)}
		}
		return v
	}
	return value{}
}

// find returns the nodes below scope that f may take its value from, or scope
// itself when there are none and it fits.
func (x *extractor) find(f *Field, scope *html.Node) []*html.Node {
	if f.sel == nil {
		return []*html.Node{scope}
	}
	var out []*html.Node
	switch {
	case scope == x.root:
		for _, root := range x.roots(f.Comments) {
			out = append(out, f.sel.MatchAll(root)...)
		}
		return out
	case f.Comments:
		for _, root := range x.commentRoots(scope) {
			out = append(out, f.sel.MatchAll(root)...)
		}
	}
	out = append(x.matchOwn(nil, f.sel, scope), out...)
	if len(out) == 0 && f.sel.Match(scope) {
		out = append(out, scope)
	}
	return out
}

// matchOwn appends the nodes below n that sel fits. Blocks nested in an item,
// such as replies to a comment, are items of their own and not searched.
func (x *extractor) matchOwn(out []*html.Node, sel cascadia.Selector, n *html.Node) []*html.Node {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.ElementNode || x.owner[c] {
			continue
		}
		if sel.Match(c) {
			out = append(out, c)
		}
		out = x.matchOwn(out, sel, c)
	}
	return out
}

// firstValue is the value of a field in a block: that of the first node below it
// that has one, or of the block itself when nothing below it fits.
func (x *extractor) firstValue(f *Field, block *html.Node) value {
	var v value
	met := false
	var walk func(n *html.Node) bool
	walk = func(n *html.Node) bool {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.Type != html.ElementNode || x.nested && x.owner[c] {
				continue
			}
			if f.sel.Match(c) {
				met = true
				if v = x.valueOf(f, []*html.Node{c}); f.Attr == "" || v.text != "" {
					return true
				}
			}
			if walk(c) {
				return true
			}
		}
		return false
	}
	if walk(block); !met && f.sel.Match(block) {
		return x.valueOf(f, []*html.Node{block})
	}
	return v
}

// blocksNest reports whether a block stands within another one.
func (x *extractor) blocksNest() bool {
	for n := range x.owner {
		for up := n.Parent; up != nil; up = up.Parent {
			if x.owner[up] {
				return true
			}
		}
	}
	return false
}

func (x *extractor) textRules(drop []cascadia.Selector, node *html.Node) textRules {
	return textRules{drop: drop, skip: func(n *html.Node) bool { return n != node && x.owner[n] }}
}

// htmlValue reads a value that is itself HTML.
func (x *extractor) htmlValue(text string, drop []cascadia.Selector) value {
	root, err := x.parse([]byte(text))
	if err != nil {
		return value{text: text}
	}
	return value{text: nodeText(root, textRules{drop: drop}), node: root, drop: drop}
}

// follow takes the links of one follow rule. A link that a reader cannot see
// is a trap for crawlers and is left alone.
func (x *extractor) follow(f *Field) {
	it := &item{node: x.root, vars: map[string]string{}}
	name := f.Attr
	if name == "" {
		name = "href"
	}
	for _, root := range x.roots(f.Comments) {
		nodes := []*html.Node{root}
		if f.sel != nil {
			nodes = f.sel.MatchAll(root)
		}
		for _, n := range nodes {
			if unseen(n) {
				x.hidden++
				continue
			}
			ref := strings.TrimSpace(attr(n, name))
			if f.Path != "" {
				ref = jsonIn(ref, f.Path)
			}
			if f.regex != nil {
				ref = firstGroup(f, ref)
			}
			if f.Template != "" {
				ref = x.templated(f, it, value{text: ref}).text
			}
			x.addLink(f, ref)
			x.followed[n] = n != root
		}
	}
}

func unseen(n *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Type == html.ElementNode && isHidden(n) {
			return true
		}
	}
	return false
}

// errNotWeb is returned for a reference that is not http or https.
var errNotWeb = errors.New("not an http or https URL")

// addLink takes one reference of a follow rule.
func (x *extractor) addLink(f *Field, ref string) {
	if len(x.out.Links) >= x.linkLimit() {
		x.surplus = true
		return
	}
	base := x.base
	if f.Template != "" {
		base = x.own
	}
	abs, err := resolveURL(base, ref)
	if err != nil {
		return
	}
	u, err := url.Parse(abs)
	if err != nil {
		return
	}
	u.Fragment, u.RawFragment = "", ""
	abs = u.String()
	if x.linkSeen[abs] {
		return
	}
	x.linkSeen[abs] = true
	if !x.src.inScope(u) {
		x.outside++
		return
	}
	rule, ok := x.src.ruleFor(u)
	if !ok {
		x.noRule++
		return
	}
	x.out.Links = append(x.out.Links, Link{URL: abs, Page: rule.Name, Priority: rule.Priority})
}

// parseBase parses a URL for others to be resolved against.
func parseBase(base string) (*baseURL, error) {
	if b, ok := plainBase(base); ok {
		return b, nil
	}
	u, err := whatwg.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("parsing base URL %q: %w", base, err)
	}
	return newBase(u), nil
}

// resolveURL resolves ref against base as browsers do. The error is errNotWeb
// for what is not http or https, or says why ref is no URL.
func resolveURL(base *baseURL, ref string) (string, error) {
	ref = strings.TrimSpace(ref)
	if ref == "" || len(ref) > maxURLBytes || !utf8.ValidString(ref) {
		return "", errNotWeb
	}
	if abs, ok := base.join(ref); ok {
		return abs, nil
	}
	if scheme, _, ok := strings.Cut(ref, ":"); ok && !strings.ContainsAny(scheme, "/?#.") {
		switch strings.ToLower(scheme) {
		case "javascript", "data", "mailto", "tel", "blob", "file", "about", "weixin", "mqqapi", "sms":
			return "", errNotWeb
		}
	}
	full, err := base.full()
	if err != nil {
		return "", fmt.Errorf("resolving %q: %w", ref, err)
	}
	u, err := full.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("resolving %q: %w", ref, err)
	}
	abs := u.Href(false)
	parsed, err := url.Parse(abs)
	if err != nil {
		return "", fmt.Errorf("resolving %q: %w", ref, err)
	}
	if (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return "", errNotWeb
	}
	return abs, nil
}
