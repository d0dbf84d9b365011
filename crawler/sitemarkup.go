package crawler

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// What of a page is told by the words that its makers use for it.
var (
	reMenuWord   = regexp.MustCompile(`(?i)^(?:nav|navbar|navigation|menu|topbar|sidebar|side|footer|foot|ft|header|hd|breadcrumbs?|crumbs?|z)$|^(?:nav|menu|footer)[-_]|[-_](?:nav|menu|footer)$`)
	reAuthorWord = regexp.MustCompile(`(?i)(?:^|[-_])(?:author|user|username|usr|nick|nickname|poster|writer|by|member|fn)(?:$|[-_])|username|author|nickname|^name$`)
	reAuthorHref = regexp.MustCompile(`(?i)/(?:u|user|users|member|members|people|author|authors|space|uid|profile|home|userinfo|i)(?:[/?._-]|$)|[?&](?:uid|userid|user|mod=space|author)=|mod=space`)
	reTextWord   = regexp.MustCompile(`(?i)(?:content|body|text|message|postmsg|detail|article|entry)`)
	reNextWord   = regexp.MustCompile(`^\s*(?:下一页|下一頁|下页|后一页|后页|下一张|[Nn]ext(?: page)?|更多)?\s*[›»>→]*\s*$`)
	reClassName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z_-]*$`) // no digits: they count, or are made by a tool
	reNumbered   = regexp.MustCompile(`\d+`)
)

// stateClasses say how a block stands in its list, not what it is.
var stateClasses = map[string]bool{
	"odd": true, "even": true, "first": true, "last": true, "active": true, "current": true, "alt": true, "hover": true, "on": true, "new": true, "hot": true, "top": true, "sticky": true, "clearfix": true, "cl": true, "fl": true, "row": true, "selected": true,
}

// inMenu reports whether a node stands in what every page of the site has.
func inMenu(n *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "nav", "footer", "aside", "header":
			return !insideTag(n, "article") // an article has a header of its own
		}
		if reMenuWord.MatchString(attr(n, "id")) {
			return true
		}
		for c := range strings.FieldsSeq(attr(n, "class")) {
			if reMenuWord.MatchString(c) {
				return true
			}
		}
	}
	return false
}

func insideTag(n *html.Node, tag string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Type == html.ElementNode && p.Data == tag {
			return true
		}
	}
	return false
}

// classesOf are the classes by which a node can be found again.
func classesOf(n *html.Node) []string {
	var out []string
	for c := range strings.FieldsSeq(attr(n, "class")) {
		if reClassName.MatchString(c) && !stateClasses[strings.ToLower(c)] {
			out = append(out, c)
		}
	}
	return out
}

// selectorsOf are the simple selectors that fit a node, the most telling first.
func selectorsOf(n *html.Node) []string {
	var out []string
	if prop := attr(n, "itemprop"); reClassName.MatchString(prop) {
		out = append(out, n.Data+`[itemprop="`+prop+`"]`)
	}
	for _, c := range classesOf(n) {
		out = append(out, n.Data+"."+c)
	}
	if p := n.Parent; p != nil && p.Type == html.ElementNode && p.Data != "body" {
		for _, c := range classesOf(p) {
			out = append(out, p.Data+"."+c+" > "+n.Data)
		}
	}
	return append(out, n.Data)
}

// selectorFor finds the selector under which most of the blocks show, first,
// the node that pick gives for them. have is for how many of 100 blocks it does;
// 0 when there is none.
func selectorFor(blocks []*html.Node, pick func(block *html.Node) *html.Node) (selector string, have int) {
	picked := make([]*html.Node, len(blocks))
	votes := map[string]int{}
	var order []string
	for i, b := range blocks {
		if picked[i] = pick(b); picked[i] == nil || picked[i] == b {
			continue
		}
		for _, s := range selectorsOf(picked[i]) {
			if votes[s]++; votes[s] == 1 {
				order = append(order, s)
			}
		}
	}
	best := 0
	for _, s := range order {
		if votes[s] <= best {
			continue
		}
		sel, err := cascadia.Compile(s)
		if err != nil {
			continue
		}
		n := 0
		for i, b := range blocks {
			if picked[i] != nil && sel.MatchFirst(b) == picked[i] {
				n++
			}
		}
		if n > best {
			selector, best = s, n
		}
	}
	if len(blocks) == 0 {
		return "", 0
	}
	return selector, 100 * best / len(blocks)
}

// dateIn finds the node of a block that says when, and the attribute that says
// it best ("" for its text).
func dateIn(block *html.Node, now time.Time) (node *html.Node, attribute string) {
	reads := func(s string) bool {
		if s = strings.TrimSpace(s); s == "" || utf8.RuneCountInString(s) > 60 || !reNumbered.MatchString(s) && !strings.ContainsAny(s, "昨前刚") {
			return false
		}
		if !strings.ContainsAny(s, "-/.年月日前天时刻:：昨") {
			return false // a bare number is a count
		}
		_, ok := ParseTime(s, now, time.UTC)
		return ok
	}
	for n := range block.Descendants() {
		if n.Type != html.ElementNode || isUnread(n) {
			continue
		}
		if v := attr(n, "datetime"); v != "" && reads(v) {
			return n, "datetime"
		}
		if v := attr(n, "title"); n.Data != "a" && v != "" && reads(v) {
			return n, "title"
		}
		if own := ownText(n); own != "" && (n.Data != "a" || mostlyDate(own)) && utf8.RuneCountInString(own) <= 40 && reads(own) {
			return n, ""
		}
	}
	return nil, ""
}

// mostlyDate reports whether a text says when and little else: a title may have
// a date in it.
func mostlyDate(s string) bool {
	date, all := 0, 0
	for _, r := range s {
		if unicode.IsSpace(r) {
			continue
		}
		all++
		if r >= '0' && r <= '9' || strings.ContainsRune("-/.:：年月日号时分秒前天昨今刚小钟", r) {
			date++
		}
	}
	return all > 0 && 10*date >= 6*all
}

// ownText is the text of a node without that of the elements in it.
func ownText(n *html.Node) string {
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.TextNode {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// longestName is the longest text that may be a person's name.
const longestName = 24

// authorIn finds the node of a block that names who wrote it: a link to a
// person before what only sounds like a name, and that before a box around it.
func authorIn(block *html.Node) *html.Node {
	var named, box *html.Node
	for n := range block.Descendants() {
		if n.Type != html.ElementNode || isUnread(n) {
			continue
		}
		sounds := reAuthorWord.MatchString(attr(n, "class")) || attr(n, "itemprop") == "author"
		link := n.Data == "a" && (reAuthorHref.MatchString(attr(n, "href")) || sounds)
		if !link && !sounds {
			continue
		}
		text := oneLine(nodeText(n, textRules{}))
		if text == "" || utf8.RuneCountInString(text) > longestName {
			continue
		}
		switch {
		case link:
			return n
		case ownText(n) != "" && named == nil:
			named = n
		case box == nil:
			box = n
		}
	}
	if named != nil {
		return named
	}
	return box
}

// headingOf finds the heading that says what the page is about: the one that
// the title of the page begins with, or the first.
func headingOf(root *html.Node) *html.Node {
	title := ""
	if n := findTag(root, "title"); n != nil {
		title = oneLine(nodeText(n, textRules{}))
	}
	var first *html.Node
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "h1" && n.Data != "h2" && n.Data != "h3" {
			continue
		}
		text := oneLine(nodeText(n, textRules{}))
		if utf8.RuneCountInString(text) > 1 && strings.HasPrefix(title, text) {
			return n
		}
		if first == nil && n.Data == "h1" && text != "" {
			first = n
		}
	}
	return first
}

// textIn finds the node of a block that holds what was written: the one with
// the most text that holds none of the others.
func textIn(block *html.Node, others ...*html.Node) *html.Node {
	var best *html.Node
	most := 0
	var look func(n *html.Node)
	look = func(n *html.Node) {
		if n.Type != html.ElementNode || isUnread(n) || slices.Contains(others, n) {
			return
		}
		holds := slices.ContainsFunc(others, func(o *html.Node) bool { return o != nil && isBelow(o, n) })
		if !holds && n != block {
			size := utf8.RuneCountInString(nodeText(n, textRules{}))
			if reTextWord.MatchString(attr(n, "class") + " " + attr(n, "id") + " " + attr(n, "itemprop")) {
				size += size / 2
			}
			if size > most {
				best, most = n, size
			}
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			look(c)
		}
	}
	look(block)
	return best
}

func isBelow(n, ancestor *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n == ancestor {
			return true
		}
	}
	return false
}

// blockSelector finds a selector of all rows and of little else in root.
func blockSelector(root *html.Node, rows []*html.Node) string {
	votes := map[string]int{}
	var order []string
	vote := func(s string) {
		if votes[s]++; votes[s] == 1 {
			order = append(order, s)
		}
	}
	for _, r := range rows {
		own := []string{r.Data}
		for _, c := range classesOf(r) {
			own = append(own, r.Data+"."+c)
		}
		for _, o := range own {
			vote(o)
			p := r.Parent
			if p == nil || p.Type != html.ElementNode {
				continue
			}
			for _, c := range classesOf(p) {
				vote(p.Data + "." + c + " > " + o)
			}
			if id := attr(p, "id"); reClassName.MatchString(id) {
				vote("#" + id + " > " + o)
			}
		}
	}
	type fit struct {
		selector    string
		hits, other int
	}
	var fits []fit
	for _, s := range order {
		sel, err := cascadia.Compile(s)
		if err != nil || votes[s]*5 < len(rows)*4 {
			continue
		}
		f := fit{selector: s}
		for _, n := range sel.MatchAll(root) {
			if slices.Contains(rows, n) {
				f.hits++
			} else {
				f.other++
			}
		}
		fits = append(fits, f)
	}
	if len(fits) == 0 {
		return ""
	}
	return slices.MinFunc(fits, func(a, b fit) int {
		return cmp.Or(cmp.Compare(a.other-a.hits, b.other-b.hits), cmp.Compare(len(a.selector), len(b.selector)))
	}).selector
}
