package crawler

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// guessedThread is what a page says of the posts on it.
type guessedThread struct {
	posts   guessedBlock
	opening guessedBlock // when the opening post stands apart from the replies
	title   string
	next    string
	nextURL string
	runes   int // of the text, when the page is one
}

// guessedBlock is what is known of the blocks of one kind.
type guessedBlock struct {
	each     string // "": the page is one block, or there is none
	count    int
	key      string // attribute that holds an id; "" when there is none
	author   string
	date     string
	dateAttr string
	text     string
}

const (
	mostBlocks  = 500 // blocks of one selector
	mostTried   = 300 // selectors that are tried
	fewText     = 5   // characters of a post at least, on average
	openingText = 15  // characters that stand apart to be an opening post
)

// guessThread finds the posts of a page; of one without replies it finds the
// text. ok is false when there is neither.
func guessThread(pg Page) (t guessedThread, ok bool) {
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return t, false
	}
	t.next, t.nextURL = nextLink(root, pg)
	t.title = "title"
	heading := headingOf(root)
	if heading != nil {
		t.title = cmp.Or(loneSelector(root, heading), t.title)
	}
	body := findTag(root, "body")
	if body == nil {
		return t, false
	}
	blocks, each := repeatedPosts(body, pg.FetchedAt)
	if len(blocks) > 0 {
		t.posts = describeBlocks(blocks, each, pg.FetchedAt)
		if o, ok := openingPost(body, blocks, pg.FetchedAt); ok {
			t.opening = o
		}
		return t, true
	}
	text := mostText(body)
	if text == nil {
		return t, false
	}
	date, attribute := dateIn(body, pg.FetchedAt)
	if part := textIn(text, date, heading); part != nil && 2*len(nodeText(part, textRules{})) > len(nodeText(text, textRules{})) {
		text = part // without heading and date
	}
	article := guessedBlock{count: 1, text: loneSelector(root, text)}
	t.runes = utf8.RuneCountInString(nodeText(text, textRules{skip: func(c *html.Node) bool { return c.Data == "a" }}))
	if date != nil {
		article.date, article.dateAttr = loneSelector(root, date), attribute
	}
	if n := authorIn(body); n != nil && !inMenu(n) {
		article.author = loneSelector(root, n)
	}
	t.posts = article
	return t, article.text != ""
}

// repeatedPosts finds the blocks that are posts: of one selector, none inside
// another, with text, most of them with a date or an author.
func repeatedPosts(body *html.Node, now time.Time) (blocks []*html.Node, each string) {
	bySelector := map[string][]*html.Node{}
	var order []string
	for n := range body.Descendants() {
		if n.Type != html.ElementNode || n.Data == "a" || n.Data == "span" || isUnread(n) {
			continue
		}
		for _, c := range classesOf(n) {
			s := n.Data + "." + c
			if bySelector[s] == nil {
				order = append(order, s)
			}
			bySelector[s] = append(bySelector[s], n)
		}
		if p := n.Parent; p != nil && (n.Data == "li" || n.Data == "tr" || n.Data == "article") && reClassName.MatchString(attr(p, "id")) {
			s := "#" + attr(p, "id") + " > " + n.Data
			if bySelector[s] == nil {
				order = append(order, s)
			}
			bySelector[s] = append(bySelector[s], n)
		}
	}
	best, tried := 0.0, 0
	for _, s := range order {
		nodes := bySelector[s]
		if len(nodes) < 2 || len(nodes) > mostBlocks || tried == mostTried || nested(nodes) {
			continue
		}
		tried++
		if score := ratePosts(nodes, now); score > best {
			best, blocks, each = score, nodes, s
		}
	}
	return blocks, each
}

func nested(nodes []*html.Node) bool {
	set := map[*html.Node]bool{}
	for _, n := range nodes {
		set[n] = true
	}
	for _, n := range nodes {
		for p := n.Parent; p != nil; p = p.Parent {
			if set[p] {
				return true
			}
		}
	}
	return false
}

// ratePosts judges blocks by their text outside of links, and by how many have
// a date, an author and a text besides these.
func ratePosts(nodes []*html.Node, now time.Time) float64 {
	runes, whole := 0, 0
	for _, n := range nodes {
		if inMenu(n) {
			continue
		}
		text := nodeText(n, textRules{skip: func(c *html.Node) bool { return c.Data == "a" }})
		runes += utf8.RuneCountInString(text)
		date, _ := dateIn(n, now)
		author := authorIn(n)
		if date != nil && author != nil && textIn(n, date, author) != nil {
			whole++
		}
	}
	if runes < fewText*len(nodes) || 5*whole < 3*len(nodes) {
		return 0
	}
	return float64(runes) * float64(whole) / float64(len(nodes))
}

func describeBlocks(blocks []*html.Node, each string, now time.Time) guessedBlock {
	g := guessedBlock{each: each, count: len(blocks)}
	for _, name := range [...]string{"id", "data-id", "data-pid", "data-post-id", "data-cid", "name"} {
		seen := map[string]bool{}
		for _, b := range blocks {
			if v := reNumbered.FindString(attr(b, name)); v != "" {
				seen[v] = true
			}
		}
		if len(seen) == len(blocks) {
			g.key = name
			break
		}
	}
	g.author, _ = selectorFor(blocks, authorIn)
	g.date, _ = selectorFor(blocks, func(b *html.Node) *html.Node { n, _ := dateIn(b, now); return n })
	for _, b := range blocks {
		if n, a := dateIn(b, now); n != nil {
			g.dateAttr = a
			break
		}
	}
	g.text, _ = selectorFor(blocks, func(b *html.Node) *html.Node {
		date, _ := dateIn(b, now)
		return textIn(b, date, authorIn(b))
	})
	return g
}

// openingPost finds a text before the blocks that is not one of them.
func openingPost(body *html.Node, blocks []*html.Node, now time.Time) (guessedBlock, bool) {
	var best *html.Node
	most := openingText
	for n := range body.Descendants() {
		if n == blocks[0] {
			break
		}
		if n.Type != html.ElementNode || isUnread(n) || inMenu(n) || n.Data == "h1" || n.Data == "a" || n.Data == "title" {
			continue
		}
		if slices.ContainsFunc(blocks, func(b *html.Node) bool { return isBelow(b, n) || isBelow(n, b) }) {
			continue
		}
		size := utf8.RuneCountInString(nodeText(n, textRules{skip: func(c *html.Node) bool { return c.Data == "a" || c.Data == "h1" }}))
		if reTextWord.MatchString(attr(n, "class") + " " + attr(n, "id")) {
			size *= 2
		}
		if size > most {
			best, most = n, size
		}
	}
	if best == nil {
		return guessedBlock{}, false
	}
	box := best
	for box.Parent != nil && box.Parent.Type == html.ElementNode && box.Parent.Data != "body" && !isBelow(blocks[0], box.Parent) {
		box = box.Parent
	}
	root := body.Parent
	each := loneSelector(root, box)
	date, attribute := dateIn(box, now)
	author := authorIn(box)
	if each == "" || date == nil || author == nil {
		return guessedBlock{}, false
	}
	text := textIn(box, date, author, findTag(box, "h1"))
	if text == nil {
		return guessedBlock{}, false
	}
	own := []*html.Node{box}
	g := guessedBlock{each: each, count: 1, dateAttr: attribute}
	g.date, _ = selectorFor(own, func(*html.Node) *html.Node { return date })
	g.author, _ = selectorFor(own, func(*html.Node) *html.Node { return author })
	g.text, _ = selectorFor(own, func(*html.Node) *html.Node { return text })
	return g, g.text != ""
}

// loneSelector finds a selector under which a node is the first of the page.
func loneSelector(root, n *html.Node) string {
	try := selectorsOf(n)
	if id := attr(n, "id"); reClassName.MatchString(id) {
		try = append([]string{"#" + id}, try...)
	}
	for _, s := range try {
		if sel, err := cascadia.Compile(s); err == nil && sel.MatchFirst(root) == n {
			return s
		}
	}
	for p := n.Parent; p != nil && p.Type == html.ElementNode; p = p.Parent {
		for _, outer := range classesOf(p) {
			s := p.Data + "." + outer + " " + n.Data
			if sel, err := cascadia.Compile(s); err == nil && sel.MatchFirst(root) == n {
				return s
			}
		}
	}
	return ""
}

// mostText finds the block of a page with the most text that is not in links
// or menus: the smallest that has nearly all of it.
func mostText(body *html.Node) *html.Node {
	size := func(n *html.Node) int {
		return utf8.RuneCountInString(nodeText(n, textRules{skip: func(c *html.Node) bool { return c.Data == "a" || c.Type == html.ElementNode && inMenu(c) }}))
	}
	n := body
	for {
		var next *html.Node
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.Type == html.ElementNode && !isUnread(c) && !isInline(c) && 10*size(c) >= 6*size(n) {
				next = c
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	if n == body || size(n) < openingText {
		return nil
	}
	return n
}

func isInline(n *html.Node) bool {
	return !isBlock(n) && n.Data != "td" && n.Data != "tr" && n.Data != "tbody"
}

// pagePatterns makes the match and the thread template of a rule of its first
// page and a later one ("" when none is known).
func pagePatterns(first, later string) (match, thread string) {
	at := func(target string) string {
		u, err := url.Parse(target)
		if err != nil {
			return ""
		}
		return pathAndQuery(u)
	}
	a, b := at(first), at(later)
	u, err := url.Parse(first)
	if err != nil {
		return "", ""
	}
	own := patternOf(u)
	if later == "" || b == "" {
		return "^" + own + "$", ""
	}
	numbers := reNumbered.FindAllStringIndex(b, -1)
	if len(numbers) == 0 {
		return "^" + own + "$", ""
	}
	last := numbers[len(numbers)-1]
	if m := rePageNumber.FindStringSubmatchIndex(b); m != nil {
		last = []int{m[2], m[3]}
	} else if same := reNumbered.FindAllStringIndex(a, -1); len(same) == len(numbers) {
		for i := range numbers { // the number that is another one on the later page
			if a[same[i][0]:same[i][1]] != b[numbers[i][0]:numbers[i][1]] {
				last = numbers[i]
			}
		}
	}
	before, after := b[:last[0]], b[last[1]:]
	paged := numbersFor(before) + `(?P<page>\d+)` + numbersFor(after)
	if strings.HasPrefix(before, a) { // /t/7 and /t/7?p=2, /t/7/2
		return "^" + named(own) + "(?:" + numbersFor(before[len(a):]) + `(?P<page>\d+)` + numbersFor(after) + ")?$", threadTemplate(a)
	}
	if len(reNumbered.FindAllString(a, -1)) == len(numbers) && strings.HasPrefix(a, before) { // thread-7-1-1.html and thread-7-2-1.html
		if thread = threadTemplate(before); thread != "" {
			thread += a[len(before):]
		}
		return "^" + named(numbersFor(before)) + `(?P<page>\d+)` + numbersFor(after) + "$", thread
	}
	return "^(?:" + own + "|" + paged + ")$", ""
}

// named makes a group of the first number of a pattern.
func named(pattern string) string { return strings.Replace(pattern, `\d+`, `(?P<tid>\d+)`, 1) }

// threadTemplate puts the group of named into a path; "" when it has more
// numbers than one.
func threadTemplate(target string) string {
	if m := reNumbered.FindAllStringIndex(target, -1); len(m) == 1 {
		return target[:m[0][0]] + "{tid}" + target[m[0][1]:]
	}
	return ""
}
