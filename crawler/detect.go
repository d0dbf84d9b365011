package crawler

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// Detect holds the marks of the software, or the site, that a kit reads. One
// mark says little: how many of them a page bears decides.
type Detect struct {
	Generator string   `yaml:"generator"` // RE2 on what <meta name="generator"> says
	Markup    []string `yaml:"markup"`    // selectors of what hardly any other software writes; over the limit of three the rest count no more
	URLs      []string `yaml:"urls"`      // RE2 on path and query of the page and of its links
	Cookies   []string `yaml:"cookies"`   // RE2 on the names of cookies that the site sets
	Root      string   `yaml:"root"`      // RE2 on the root element of a document that is no HTML: rss, feed, rdf:rdf

	generator *regexp.Regexp
	markup    []cascadia.Selector
	urls      []*regexp.Regexp
	cookies   []*regexp.Regexp
	root      *regexp.Regexp
}

// What a mark counts. A generator or a host names the software alone; of the
// others it takes two.
const (
	markGenerator = 5
	markHost      = 6
	markRoot      = 5
	markMarkup    = 2
	markURL       = 2
	markLinks     = 2
	markCookie    = 2
	markEnough    = 4

	mostMarkup = 3 // markup marks that count
	fewLinks   = 2 // links that make the form of a URL a mark
)

func (c *sourceCheck) checkDetect() {
	d := c.src.Detect
	if d == nil {
		return
	}
	if d.Generator == "" && len(d.Markup) == 0 && len(d.URLs) == 0 && len(d.Cookies) == 0 && d.Root == "" {
		c.add("detect names no mark", "give generator, markup, urls, cookies or root, or remove it", "detect")
	}
	if d.Generator != "" {
		d.generator = c.regexp(d.Generator, "detect", "generator")
	}
	if d.Root != "" {
		d.root = c.regexp(d.Root, "detect", "root")
	}
	d.markup = c.selectors(d.Markup, "detect", "markup")
	for i, expr := range d.URLs {
		if re := c.regexp(expr, "detect", "urls", i); re != nil {
			d.urls = append(d.urls, re)
		}
	}
	for i, expr := range d.Cookies {
		if re := c.regexp(expr, "detect", "cookies", i); re != nil {
			d.cookies = append(d.cookies, re)
		}
	}
}

// Kit is a site config that others are made from: one with detect.
type Kit struct {
	Name   string  // of its source
	Data   []byte  // the file
	Source *Source // as read
}

// ReadKits reads every *.yaml of fsys that has detect, sorted by file. A file with a
// mistake is left out and named in the error, beside the other kits.
func ReadKits(fsys fs.FS) ([]Kit, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing kits: %w", err)
	}
	slices.Sort(names)
	var kits []Kit
	var bad []error
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			bad = append(bad, fmt.Errorf("reading kit: %w", err))
			continue
		}
		src, err := ReadSource(name, data)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if src.Detect != nil {
			kits = append(kits, Kit{Name: src.Name, Data: data, Source: src})
		}
	}
	return kits, errors.Join(bad...)
}

// Guess is a kit that a page may be of.
type Guess struct {
	Kit   Kit
	Score int      // higher is surer; at least 4
	Marks []string // what was found, such as "generator: Discuz! X3.5"
}

// GuessKits returns the kits whose marks a page bears, the surest first.
func GuessKits(kits []Kit, pg Page) []Guess {
	s := readSigns(pg)
	var out []Guess
	for _, k := range kits {
		g := Guess{Kit: k}
		s.score(&g)
		if g.Score >= markEnough {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b Guess) int { return cmp.Compare(b.Score, a.Score) })
	return out
}

// signs is what a page shows of the software behind it.
type signs struct {
	url       *url.URL
	root      *html.Node
	element   string // root element of a document that is no HTML
	generator string
	targets   []string // path and query of the links on the same host
	cookies   []string
}

var reRootElement = regexp.MustCompile(`^(?s)(?:\x{FEFF}|\s|<\?.*?\?>|<!--.*?-->|<![^>]*>)*<([A-Za-z][\w:-]*)`)

func readSigns(pg Page) signs {
	s := signs{url: &url.URL{Path: "/"}}
	if u, err := url.Parse(pg.URL); err == nil {
		s.url = u
	}
	if m := reRootElement.FindSubmatch(pg.Body[:min(len(pg.Body), 64<<10)]); m != nil && !strings.EqualFold(string(m[1]), "html") {
		s.element = strings.ToLower(string(m[1]))
	}
	for _, c := range (&http.Response{Header: pg.Header}).Cookies() {
		s.cookies = append(s.cookies, c.Name)
	}
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return s
	}
	s.root = root
	base, err := parseBase(pg.URL)
	if err != nil {
		return s
	}
	for n := range root.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "meta" && strings.EqualFold(attr(n, "name"), "generator") && s.generator == "":
			s.generator = oneLine(attr(n, "content"))
		case n.Data == "a" && attr(n, "href") != "" && len(s.targets) < 2*maxPageLinks:
			abs, err := resolveURL(base, attr(n, "href"))
			if err != nil {
				continue
			}
			if u, err := url.Parse(abs); err == nil && u.Host == s.url.Host {
				s.targets = append(s.targets, pathAndQuery(u))
			}
		}
	}
	return s
}

// score adds up the marks of a kit.
func (s signs) score(g *Guess) {
	d := g.Kit.Source.Detect
	add := func(points int, format string, args ...any) {
		g.Score += points
		g.Marks = append(g.Marks, fmt.Sprintf(format, args...))
	}
	if s.url.Host != "" && !reservedName(s.url.Hostname()) && g.Kit.Source.inScope(s.url) {
		add(markHost, "host: %s", s.url.Host)
	}
	if d.generator != nil && s.generator != "" && d.generator.MatchString(s.generator) {
		add(markGenerator, "generator: %s", s.generator)
	}
	if d.root != nil && s.element != "" && d.root.MatchString(s.element) {
		add(markRoot, "root: <%s>", s.element)
	}
	found := 0
	for i, sel := range d.markup {
		if found < mostMarkup && s.root != nil && sel.MatchFirst(s.root) != nil {
			found++
			add(markMarkup, "markup: %s", d.Markup[i])
		}
	}
	for _, re := range d.urls {
		if own := pathAndQuery(s.url); re.MatchString(own) {
			add(markURL, "url: %s", own)
		}
		n := 0
		for _, t := range s.targets {
			if re.MatchString(t) {
				n++
			}
		}
		if n >= fewLinks {
			add(markLinks, "links: %d × %s", n, re)
		}
	}
	for _, re := range d.cookies {
		if i := slices.IndexFunc(s.cookies, re.MatchString); i >= 0 {
			add(markCookie, "cookie: %s", s.cookies[i])
		}
	}
}

// reservedName reports whether a host is one of those that documentation uses
// and nobody has (RFC 2606, RFC 6761).
func reservedName(host string) bool {
	host = strings.TrimPrefix(strings.ToLower(host), "*.")
	for _, end := range [...]string{"example", "invalid", "test", "example.com", "example.net", "example.org"} {
		if host == end || strings.HasSuffix(host, "."+end) {
			return true
		}
	}
	return false
}

// Reserved reports whether all hosts of a source are names that only
// documentation uses, such as bbs.example.com: it is a kit, not a site.
func (s *Source) Reserved() bool {
	for _, h := range s.Hosts {
		if name, _ := splitHost(h); !reservedName(name) {
			return false
		}
	}
	return true
}
