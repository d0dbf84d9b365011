package crawler

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"time"

	"qingyuan/crawler/frontier"
)

// formatSitemap is the format of a sitemap or an index of sitemaps, by the
// protocol of sitemaps.org: XML, or a text of one URL a line. Its entries are
// links; it holds no posts.
const formatSitemap = "sitemap"

// Bounds of one sitemap. The protocol allows 50,000 URLs and 50 MB; larger
// sites have several.
const (
	maxSitemapBytes  = 16 << 20
	maxSitemapURLs   = 50_000 // that are read
	maxSitemapLinks  = 10_000 // that are taken, the last modified first
	maxRobotSitemaps = 100    // of one robots.txt
)

// mapPriority is that of sitemaps whose rule names none: before the pages they
// speak of, so that the unchanged among these are not fetched.
const mapPriority = 100

// A lastmod that says nothing: each page of a large enough map was changed
// just when the map was asked for.
const (
	modNow     = 10 * time.Minute
	modNowSome = 5 // entries
)

// mapEntry is one URL of a sitemap.
type mapEntry struct {
	loc   string
	mod   time.Time     // when it was changed; zero when not said
	grain time.Duration // how exactly mod is said: a day, or a second
}

// readSitemap takes the entries of a sitemap as links, and what it says of
// their changes as rows.
func (x *extractor) readSitemap() {
	entries, ok := x.mapEntries(x.page.Body)
	if !ok {
		x.warnf("page is no sitemap; it begins %q", begin(bytes.TrimSpace(x.page.Body)))
		if root, err := x.parse(x.page.Body); err == nil {
			x.root = root
		}
		return
	}
	if len(entries) > maxSitemapLinks {
		slices.SortStableFunc(entries, func(a, b mapEntry) int { return b.mod.Compare(a.mod) })
	}
	x.dropIdleDates(entries)
	for _, e := range entries {
		before := len(x.out.Links)
		x.addLink(&Field{}, e.loc)
		if len(x.out.Links) > before && !e.mod.IsZero() {
			x.out.Rows = append(x.out.Rows, Row{URL: x.out.Links[before].URL, Last: e.mod, Grain: e.grain})
		}
	}
}

// linkLimit is how many links the page may yield.
func (x *extractor) linkLimit() int {
	if x.rule.Format == formatSitemap {
		return maxSitemapLinks
	}
	return maxPageLinks
}

// mapEntries reads the entries; ok is false when body is no sitemap.
func (x *extractor) mapEntries(body []byte) (entries []mapEntry, ok bool) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\uFEFF")))
	if !bytes.HasPrefix(body, []byte("<")) {
		return x.mapLines(body)
	}
	// The body is UTF-8 already, whatever its declaration says.
	d := xml.NewDecoder(bytes.NewReader(reXMLIntro.ReplaceAll(body, nil)))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var path []string
	var e mapEntry
	var text strings.Builder
	for n := 0; ; n++ {
		token, err := d.Token()
		if err != nil || len(entries) >= maxSitemapURLs || len(path) > maxFeedNesting {
			return entries, ok
		}
		if n%1000 == 0 && x.late() {
			return nil, true
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(path) == 0 {
				ok = t.Name.Local == "urlset" || t.Name.Local == "sitemapindex"
				if !ok {
					return nil, false
				}
			}
			if len(path) == 1 {
				e = mapEntry{}
			}
			path = append(path, t.Name.Local)
			text.Reset()
		case xml.CharData:
			if len(path) == 3 && text.Len() < maxURLBytes {
				text.Write(t[:min(len(t), maxURLBytes)])
			}
		case xml.EndElement:
			x.mapField(&e, path, text.String())
			if len(path) == 2 && e.loc != "" {
				entries = append(entries, e)
			}
			path = path[:max(len(path)-1, 0)]
		}
	}
}

// mapField fills in what one element of an entry says.
func (x *extractor) mapField(e *mapEntry, path []string, text string) {
	if len(path) != 3 || path[1] != "url" && path[1] != "sitemap" {
		return
	}
	switch text = strings.TrimSpace(text); path[2] {
	case "loc":
		if e.loc == "" { // image:loc and the like stand deeper
			e.loc = text
		}
	case "lastmod":
		e.mod, e.grain = x.lastMod(text)
	}
}

// lastMod reads a lastmod; the zero time when it is none, or one that is yet
// to come.
func (x *extractor) lastMod(text string) (time.Time, time.Duration) {
	now := x.fetchedAt()
	t, ok := ParseTime(text, now, x.loc)
	if !ok || t.After(now.Add(modNow)) {
		return time.Time{}, 0
	}
	if strings.Contains(text, ":") {
		return t, time.Second
	}
	return t, 24 * time.Hour
}

func (x *extractor) fetchedAt() time.Time {
	if x.page.FetchedAt.IsZero() {
		return time.Now()
	}
	return x.page.FetchedAt
}

// mapLines reads a sitemap that is a list of URLs.
func (x *extractor) mapLines(body []byte) (entries []mapEntry, ok bool) {
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() && len(entries) < maxSitemapURLs {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		if !strings.HasPrefix(line, "http://") && !strings.HasPrefix(line, "https://") {
			return nil, false
		}
		entries = append(entries, mapEntry{loc: line})
	}
	return entries, len(entries) > 0
}

// dropIdleDates forgets the dates of a map whose every entry was changed just
// now: software that does not know writes the time of the request.
func (x *extractor) dropIdleDates(entries []mapEntry) {
	if len(entries) < modNowSome {
		return
	}
	oldest := slices.MinFunc(entries, func(a, b mapEntry) int { return cmp.Compare(a.mod.Unix(), b.mod.Unix()) })
	if oldest.grain != time.Second || x.fetchedAt().Sub(oldest.mod) > modNow {
		return
	}
	for i := range entries {
		entries[i].mod = time.Time{}
	}
}

// checkSitemap checks what a page rule of format sitemap may not have.
func (c *sourceCheck) checkSitemap(r *PageRule, path ...any) {
	if r.Format != formatSitemap {
		return
	}
	c.src.mapped = true
	if r.Priority == 0 {
		r.Priority = mapPriority
	}
	if len(r.Follow) > 0 || len(r.Posts) > 0 || r.Thread != "" {
		c.add("a sitemap has no posts, and its entries are the links", "remove follow, posts and thread", path...)
	}
}

// sitemapLinks are the sitemaps that robots.txt named when a seed was fetched.
func (s *Source) sitemapLinks(l frontier.Lease, pg Page) []Link {
	if !s.RobotsSitemaps || l.Parent != "" {
		return nil
	}
	base, err := parseBase(pg.URL)
	if err != nil {
		return nil
	}
	var out []Link
	for _, ref := range pg.sitemaps[:min(len(pg.sitemaps), maxRobotSitemaps)] {
		abs, err := resolveURL(base, ref)
		if err != nil {
			continue
		}
		if rule, ok := s.Rule(abs); ok && rule.Format == formatSitemap {
			out = append(out, Link{URL: abs, Page: rule.Name, Priority: rule.Priority})
		}
	}
	return out
}
