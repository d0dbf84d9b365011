package crawler

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp/syntax"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// errNoURL is returned by SavedPage when it cannot find out where a page is from.
var errNoURL = errors.New("where the page is from is not known; give its URL")

// SiteReport is what a site config extracts from some pages; MarshalJSON of
// the standard library gives its JSON form.
type SiteReport struct {
	Source string       `json:"source"`
	Pages  []PageReport `json:"pages"`
	Posts  int          `json:"posts"`
	OK     bool         `json:"ok"` // every page fits a rule, none is blocked or gone, and no warning was given
}

// PageReport is what one page yields.
type PageReport struct {
	URL      string      `json:"url"`
	Rule     string      `json:"rule,omitempty"`
	Error    string      `json:"error,omitempty"`
	Blocked  string      `json:"blocked,omitempty"`
	Wall     WallKind    `json:"wall,omitempty"` // with Blocked
	Gone     string      `json:"gone,omitempty"`
	Rows     int         `json:"rows,omitempty"` // previews that say how many replies a thread has, or when the last was
	Posts    []post.Post `json:"posts"`
	Previews []post.Post `json:"previews,omitempty"`
	Links    []Link      `json:"links"`
	Landings []string    `json:"landings,omitempty"` // pages behind ads that a crawl would fetch
	Outside  int         `json:"links_out_of_scope"`
	NoRule   int         `json:"links_without_rule"`
	Hidden   int         `json:"links_hidden"`
	Filled   []Coverage  `json:"fields"`
	Warnings []string    `json:"warnings,omitempty"`
}

// Coverage is how many of the posts and previews of a page have a field.
type Coverage struct {
	Field string `json:"field"`
	Have  int    `json:"have"`
	Of    int    `json:"of"`
}

// TestSite extracts the pages by src and tells a person on w what was found:
// rule, posts, links, refusals, warnings and how often each field is filled.
// A page that no rule fits is a line of the report; the error is w's.
func TestSite(w io.Writer, src *Source, pages []Page) (SiteReport, error) {
	rep := SiteReport{Source: src.Name, OK: len(pages) > 0}
	for _, pg := range pages {
		pr := testPage(src, pg)
		rep.Posts += len(pr.Posts)
		rep.OK = rep.OK && pr.Error == "" && pr.Blocked == "" && pr.Gone == "" && len(pr.Warnings) == 0
		rep.Pages = append(rep.Pages, pr)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s (%s), %s\n", src.Name, src.Title, src.Type)
	for _, pr := range rep.Pages {
		pr.print(&b, src.loc)
	}
	fmt.Fprintf(&b, "\n%d pages, %d posts", len(rep.Pages), rep.Posts)
	if rep.OK {
		b.WriteString(", nothing to complain of\n")
	} else {
		b.WriteString("; see the lines marked !\n")
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return rep, fmt.Errorf("writing site report: %w", err)
	}
	return rep, nil
}

func testPage(src *Source, pg Page) PageReport {
	pr := PageReport{URL: pg.URL, Posts: []post.Post{}, Links: []Link{}, Filled: []Coverage{}}
	x, err := src.extract(pg)
	if err != nil {
		pr.Error = err.Error()
		return pr
	}
	pr.Rule = x.rule.Name
	pr.Blocked, pr.Gone, pr.Warnings = x.out.Blocked, x.out.Gone, x.out.Warnings
	pr.Wall, pr.Rows = x.out.Wall, len(x.out.Rows)
	pr.Posts = append(pr.Posts, x.out.Posts...)
	pr.Previews = x.out.Previews
	pr.Links = append(pr.Links, x.out.Links...)
	pr.Landings = x.out.Landings
	pr.Outside, pr.NoRule, pr.Hidden = x.outside, x.noRule, x.hidden
	pr.Filled = coverage(append(append([]post.Post{}, pr.Posts...), pr.Previews...))
	return pr
}

func coverage(posts []post.Post) []Coverage {
	fields := []struct {
		name string
		has  func(p post.Post) bool
	}{
		{"title", func(p post.Post) bool { return p.Title != "" }},
		{"text", func(p post.Post) bool { return p.Text != "" }},
		{"author", func(p post.Post) bool { return p.Author.Name != "" }},
		{"author_id", func(p post.Post) bool { return p.Author.ID != "" }},
		{"time", func(p post.Post) bool { return !p.PublishedAt.IsZero() }},
		{"region", func(p post.Post) bool { return p.Region != "" }},
		{"images", func(p post.Post) bool { return len(p.Images) > 0 }},
	}
	out := []Coverage{}
	for _, f := range fields {
		c := Coverage{Field: f.name, Of: len(posts)}
		for _, p := range posts {
			if f.has(p) {
				c.Have++
			}
		}
		out = append(out, c)
	}
	return out
}

// shownRunes is how much of a text the report for people shows.
const shownRunes = 60

func (pr PageReport) print(b *bytes.Buffer, loc *time.Location) {
	fmt.Fprintf(b, "\n%s\n", pr.URL)
	if pr.Error != "" {
		fmt.Fprintf(b, "  ! %s\n", pr.Error)
		return
	}
	fmt.Fprintf(b, "  rule %s: %d posts, %d previews; links: %d to follow, %d out of scope, %d without a rule, %d hidden\n",
		pr.Rule, len(pr.Posts), len(pr.Previews), len(pr.Links), pr.Outside, pr.NoRule, pr.Hidden)
	if pr.Blocked != "" {
		fmt.Fprintf(b, "  ! blocked: %s (wall: %s)\n", pr.Blocked, pr.Wall)
	}
	if pr.Gone != "" {
		fmt.Fprintf(b, "  ! gone: %s\n", pr.Gone)
	}
	for _, p := range pr.Posts {
		printPost(b, "", p, loc)
	}
	for _, p := range pr.Previews {
		printPost(b, "preview ", p, loc)
	}
	if len(pr.Posts)+len(pr.Previews) > 0 {
		b.WriteString("  filled:")
		for _, c := range pr.Filled {
			fmt.Fprintf(b, " %s %d/%d", c.Field, c.Have, c.Of)
		}
		b.WriteByte('\n')
	}
	byRule := map[string]int{}
	var order []string
	for _, l := range pr.Links {
		if byRule[l.Page]++; byRule[l.Page] == 1 {
			order = append(order, l.Page)
		}
	}
	for _, name := range order {
		fmt.Fprintf(b, "  → %d %s\n", byRule[name], name)
	}
	if n := len(pr.Landings); n > 0 {
		fmt.Fprintf(b, "  → %d behind ads\n", n)
	}
	for _, warning := range pr.Warnings {
		fmt.Fprintf(b, "  ! %s\n", warning)
	}
}

func printPost(b *bytes.Buffer, mark string, p post.Post, loc *time.Location) {
	when := "no time"
	if !p.PublishedAt.IsZero() {
		when = p.PublishedAt.In(loc).Format("2006-01-02 15:04")
	}
	author := p.Author.Name
	if author == "" {
		author = "no author"
	}
	text := p.Text
	if p.Title != "" {
		text = "《" + p.Title + "》" + text
	}
	text = oneLine(text)
	if utf8.RuneCountInString(text) > shownRunes {
		text = string([]rune(text)[:shownRunes]) + "…"
	}
	fmt.Fprintf(b, "  %s%s · %s · %s · %s\n", mark, p.Kind, printable(author), when, printable(text))
}

// printable takes out what could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return -1
		}
		return r
	}, s)
}

// SavedPage makes a page of the bytes of a saved file: it finds the encoding,
// and when rawURL is "" where the page is from: its canonical link, og:url, or
// the first rule of src whose posts it holds. name is for messages only.
func SavedPage(src *Source, name string, raw []byte, rawURL string) (Page, error) {
	raw, err := unpacked(raw)
	if err != nil {
		return Page{}, fmt.Errorf("reading saved page %s: %w", name, err)
	}
	body, _, err := transport.ToUTF8As(src.Charset, raw, "text/html")
	if err != nil {
		return Page{}, fmt.Errorf("reading saved page %s: %w", name, err)
	}
	pg := Page{URL: rawURL, Status: 200, Body: body, FetchedAt: time.Now()}
	if pg.URL == "" {
		pg.URL = src.guessURL(pg)
	}
	if pg.URL == "" {
		return Page{}, fmt.Errorf("reading saved page %s: %w", name, errNoURL)
	}
	return pg, nil
}

// unpacked takes the gzip off a saved sitemap.xml.gz.
func unpacked(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxSitemapBytes+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return plain, nil
}

// guessURL finds out where a saved page is from; "" when it cannot.
func (s *Source) guessURL(pg Page) string {
	for _, ref := range namedURLs(pg.Body) {
		base, err := parseBase(s.Seeds[0])
		if err != nil {
			break
		}
		abs, err := resolveURL(base, ref)
		if err != nil {
			continue
		}
		if _, ok := s.Rule(abs); ok {
			return abs
		}
	}
	best, most, refused := "", 0, ""
	for _, rule := range s.Pages {
		example := s.exampleURL(rule)
		u, err := url.Parse(example)
		if example == "" || err != nil {
			continue
		}
		x, err := s.extractBy(rule, u, pg)
		if err != nil {
			continue
		}
		n := len(x.out.Posts) + len(x.out.Previews)
		if rule.Format == formatSitemap && n == 0 {
			n = len(x.out.Links)
		}
		if n > most {
			best, most = example, n
		}
		if refused == "" && (x.out.Blocked != "" || x.out.Gone != "") {
			refused = example
		}
	}
	if best == "" {
		return refused
	}
	return best
}

// namedURLs returns the URLs that an HTML page says it has.
func namedURLs(body []byte) []string {
	root, err := parseHTML(body, time.Now().Add(parseTime))
	if err != nil {
		return nil
	}
	var out []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch {
		case n.Data == "link" && strings.EqualFold(attr(n, "rel"), "canonical"):
			out = append(out, attr(n, "href"))
		case n.Data == "meta" && attr(n, "property") == "og:url":
			out = append(out, attr(n, "content"))
		}
	}
	return out
}

// exampleURL makes a URL that rule fits, from a seed or from the pattern of
// its match; "" when it cannot.
func (s *Source) exampleURL(rule *PageRule) string {
	for _, seed := range s.Seeds {
		if r, ok := s.Rule(seed); ok && r == rule {
			return seed
		}
	}
	tree, err := syntax.Parse(rule.Match, syntax.Perl)
	if err != nil {
		return ""
	}
	path := shortest(tree)
	if !strings.HasPrefix(path, "/") {
		path = "/a" + path
	}
	base, err := parseBase(s.Seeds[0])
	if err != nil {
		return ""
	}
	abs, err := resolveURL(base, path)
	if err != nil {
		return ""
	}
	if r, ok := s.Rule(abs); !ok || r != rule {
		return ""
	}
	return abs
}

// shortest returns a short text that the pattern fits, choosing digits and
// letters where it may.
func shortest(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for _, r := range "1a" {
				if re.Rune[i] <= r && r <= re.Rune[i+1] {
					return string(r)
				}
			}
		}
		if len(re.Rune) > 0 {
			return string(re.Rune[0])
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(shortest(sub))
		}
		return b.String()
	case syntax.OpAlternate:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(shortest(re.Sub[0]), re.Min)
	}
	return ""
}

// JSON writes the report as indented JSON.
func (r SiteReport) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("writing site report: %w", err)
	}
	return nil
}
