package crawler

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"

	"qingyuan/post"
)

// Where articles say who wrote them and when.
var (
	mainTimeMeta = cascadia.MustCompile(`meta[property="article:published_time"], meta[name="PubDate" i], meta[name="publishdate" i], meta[name="publish-date" i], meta[name="weibo:article:create_at"], meta[itemprop="datePublished"], meta[name="date" i]`)
	mainTimeTag  = cascadia.MustCompile(`time[datetime], [itemprop="datePublished"]`)
	mainAuthor   = cascadia.MustCompile(`meta[name="author" i], meta[name="ContentSource" i]`)
	mainLines    = cascadia.MustCompile(`[class*=time], [class*=date], [class*=Time], [class*=Date], [id*=time], [class*=pub], [class*=source], [class*=info], [class*=author], [class*=about], [class*=meta], [class*=from]`)
)

// mainButtons stand beside what a line says.
var mainButtons = []cascadia.Selector{cascadia.MustCompile(`a[href^="javascript"], button`)}

const (
	maxMainLine  = 80  // runes of a line that says when and by whom
	maxMainLines = 200 // elements looked at for one
	maxByline    = 30  // runes
)

var (
	reFullDate = regexp.MustCompile(`\d{4} ?[-/.年]`)
	reHead     = regexp.MustCompile(`发布|发表|来源|作者|时间|日期|浏览|阅读|点击|字体|打印`)
	reBy       = regexp.MustCompile(`(?i)^by[: ]+`)
	reByline   = regexp.MustCompile(`(?:来源|来自|稿源|作者|供稿|发布机构|发布单位|信息来源)[:： ]+([^\s:：|｜/，,]{2,30})`)
)

// fillMain fills in what the rule's own fields left empty of an article.
func (x *extractor) fillMain(rule *PostRule, p *post.Post) {
	if !rule.main || p.Text == "" {
		return
	}
	m := x.main()
	if p.Title == "" {
		p.Title = x.mainTitle(m.title)
	}
	var lines []string
	if p.PublishedAt.IsZero() || p.Author.Name == "" {
		lines = x.mainLines()
	}
	if p.PublishedAt.IsZero() {
		p.PublishedAt = x.mainTime(lines)
	}
	if p.Author.Name == "" {
		p.Author.Name = x.mainByline(lines, m.byline)
	}
	if p.Text == m.value.text {
		p.Text = withoutHead(p.Text, p.Title, p.Author.Name)
	}
}

// withoutHead takes off the lines before an article that repeat its title and
// say when and by whom it was published, unless nothing else is there.
func withoutHead(text, title, author string) string {
	rest := text
	for range 6 {
		line, after, more := strings.Cut(rest, "\n")
		line = oneLine(line)
		head := line == "" || line == title || line == author || strings.HasPrefix(title, line) && len(line) > len(title)/2 ||
			utf8.RuneCountInString(line) <= maxMainLine && reFullDate.MatchString(line) && reHead.MatchString(line)
		if !more || !head {
			break
		}
		rest = after
	}
	return strings.TrimSpace(rest)
}

// mainTitle picks the headline: the h1 that the document's title begins with,
// for the first h1 is often the site's name; else what the finder says.
func (x *extractor) mainTitle(found string) string {
	docTitle := ""
	if n := findTag(x.root, "title"); n != nil {
		docTitle = oneLine(rawText(n))
	}
	first := ""
	for n := range x.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "h1" {
			continue
		}
		h := oneLine(nodeText(n, textRules{}))
		if h != "" && strings.HasPrefix(docTitle, h) {
			return h
		}
		if first == "" {
			first = h
		}
	}
	// Without the site's name behind it, when the page itself says it so.
	if body := findTag(x.root, "body"); body != nil {
		if h := firstPart(docTitle); utf8.RuneCountInString(h) >= 4 && strings.Contains(rawText(body), h) {
			return h
		}
	}
	for _, t := range []string{oneLine(found), first, docTitle} {
		if t != "" {
			return t
		}
	}
	return ""
}

// mainLines are the short texts that may say when and by whom.
func (x *extractor) mainLines() []string {
	var out []string
	for _, n := range mainLines.MatchAll(x.root) {
		if len(out) >= maxMainLines || x.owner[n] {
			break // the article itself begins
		}
		if textSize(n) > maxMainLine {
			continue
		}
		if line := oneLine(nodeText(n, textRules{drop: mainButtons})); line != "" {
			out = append(out, line)
		}
	}
	if v := x.main().value; v.text != "" {
		head := strings.SplitN(v.text, "\n", 6)
		for _, line := range head[:min(len(head), 5)] {
			if line = oneLine(line); utf8.RuneCountInString(line) <= maxMainLine {
				out = append(out, line)
			}
		}
	}
	return out
}

// mainTime reads when the article was published.
func (x *extractor) mainTime(lines []string) time.Time {
	var said []string
	for _, n := range mainTimeMeta.MatchAll(x.root) {
		said = append(said, attr(n, "content"))
	}
	for _, n := range mainTimeTag.MatchAll(x.root) {
		if at := attr(n, "datetime"); at != "" {
			said = append(said, at)
		} else {
			said = append(said, nodeText(n, textRules{}))
		}
	}
	for _, line := range lines {
		if reFullDate.MatchString(line) {
			said = append(said, line)
		}
	}
	now := x.fetchedAt()
	for _, text := range said[:min(len(said), maxMainLines)] {
		if t, ok := ParseTime(oneLine(text), now, x.loc); ok && !t.After(now.Add(futureTolerance)) {
			return t
		}
	}
	return time.Time{}
}

// mainByline reads who published the article.
func (x *extractor) mainByline(lines []string, found string) string {
	for _, line := range lines {
		if m := reByline.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	for _, n := range mainAuthor.MatchAll(x.root) {
		if name := oneLine(attr(n, "content")); name != "" && utf8.RuneCountInString(name) <= maxByline {
			return name
		}
	}
	if found = reBy.ReplaceAllString(oneLine(found), ""); utf8.RuneCountInString(found) <= maxByline {
		return found
	}
	return ""
}
