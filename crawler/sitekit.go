package crawler

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// byKit makes the draft of the kit that reads the page best, and reports
// whether there is one.
func (d *drafter) byKit() bool {
	var best Draft
	bestFound, bestScore := -1, 0
	for _, g := range GuessKits(d.opts.Kits, d.page) {
		draft, ok := d.ofKit(g)
		if !ok {
			continue
		}
		found, links := yieldOf(draft.Source, d.page)
		if found == 0 {
			found = min(links, 1) // a list of boards has links alone
		}
		// Of kits that read the page, the surest; one that reads nothing only
		// when none does.
		better := bestFound < 0 || min(found, 1) > min(bestFound, 1) || min(found, 1) == min(bestFound, 1) && g.Score > bestScore
		if better && bestFound >= 0 && min(found, 1) == min(bestFound, 1) || !better && bestScore-g.Score <= markURL {
			d.doubt(DoubtOtherKit, map[bool]string{true: best.Kit, false: g.Kit.Name}[better])
		}
		if better {
			best, bestFound, bestScore = draft, found, g.Score
		}
	}
	if bestFound < 0 {
		return false
	}
	best.Doubts = d.made.Doubts
	d.made = best
	d.lookAround()
	return true
}

// ofKit writes a kit anew for the host of the page: at the root, or in the
// folder where its rules fit.
func (d *drafter) ofKit(g Guess) (Draft, bool) {
	draft := Draft{Kit: g.Kit.Name, Marks: g.Marks, Pages: []Page{d.page}}
	for _, folder := range foldersOf(d.url) {
		like := d.likeSeeds(g.Kit.Source, folder)
		probe, err := ReadSource(d.opts.Name+".yaml", d.rewrite(g.Kit, folder, like))
		if err != nil {
			continue
		}
		seeds := d.seedsOf(probe)
		if len(seeds) == 0 {
			continue
		}
		draft.Config = d.rewrite(g.Kit, folder, seeds)
		if draft.Source, err = ReadSource(d.opts.Name+".yaml", draft.Config); err == nil {
			return draft, true
		}
	}
	return Draft{}, false
}

// foldersOf lists the folders in which the software may stand: "" is the root.
func foldersOf(u *url.URL) []string {
	folders := []string{""}
	for dir := path.Dir(u.EscapedPath() + "x"); dir != "/" && dir != "."; dir = path.Dir(dir) {
		folders = append(folders, dir)
	}
	return folders
}

// likeSeeds puts the seeds of a kit on the new host.
func (d *drafter) likeSeeds(kit *Source, folder string) []string {
	var out []string
	for _, seed := range kit.Seeds {
		if u, err := url.Parse(seed); err == nil {
			out = append(out, d.url.Scheme+"://"+d.url.Host+folder+pathAndQuery(u))
		}
	}
	return out
}

// maxDraftSeeds bounds the boards of a front page that become seeds.
const maxDraftSeeds = 20

// seedsOf finds where a crawl of the site starts: the page itself when it is a
// list or a feed; otherwise the lists that it links to; otherwise the page.
func (d *drafter) seedsOf(s *Source) []string {
	own, _, err := s.Canonical(d.page.URL)
	if err != nil {
		return nil
	}
	at, fits := s.place(own)
	if fits && (at.list || at.rule.Format == formatFeed) && at.number == 1 {
		return []string{own}
	}
	var lists []string
	for _, ref := range linksOf(d.page) {
		canonical, _, err := s.Canonical(ref)
		if err != nil || slices.Contains(lists, canonical) {
			continue
		}
		if at, ok := s.place(canonical); ok && at.list && at.number == 1 {
			lists = append(lists, canonical)
		}
	}
	switch {
	case len(lists) > 0 && fits && !at.list:
		return lists[:1] // the board that a thread belongs to is the first link to one
	case len(lists) > 0:
		return lists[:min(len(lists), maxDraftSeeds)]
	case fits:
		return []string{own}
	}
	return nil
}

// linksOf lists the absolute URLs of the links of a page outside of its
// menus, and of those inside when there are no others.
func linksOf(pg Page) []string {
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return nil
	}
	base, err := parseBase(pg.URL)
	if err != nil {
		return nil
	}
	var out, menu []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || attr(n, "href") == "" || len(out)+len(menu) > maxPageLinks {
			continue
		}
		abs, err := resolveURL(base, attr(n, "href"))
		if err != nil {
			continue
		}
		if inMenu(n) {
			menu = append(menu, abs)
		} else {
			out = append(out, abs)
		}
	}
	return append(out, menu...)
}

// lookAround looks at a list when the page is a thread, and at threads of the
// list.
func (d *drafter) lookAround() {
	s := d.made.Source
	list := canonicalPage(s, d.page)
	at, fits := s.place(list.URL)
	if fits && !at.list && at.rule.Format != formatFeed {
		if seed, ok := s.place(s.Seeds[0]); ok && seed.list {
			if pg, ok := d.fetch(s, s.Seeds[0]); ok {
				d.made.Pages = append(d.made.Pages, pg)
			}
		}
		return
	}
	if !fits {
		pg, ok := d.fetch(s, s.Seeds[0])
		if !ok {
			return
		}
		d.made.Pages = append(d.made.Pages, pg)
		list = canonicalPage(s, pg)
	}
	if len(d.opts.Threads) > 0 {
		d.made.Pages = append(d.made.Pages, d.opts.Threads...)
		return
	}
	x, err := s.extract(list)
	if err != nil {
		return
	}
	if at.rule != nil && at.rule.Format == formatFeed && len(x.out.Posts) > 0 {
		return
	}
	tried := 0
	for _, l := range x.out.Links {
		if at, ok := s.place(l.URL); !ok || at.list || tried == draftThreads {
			continue
		}
		tried++
		pg, ok := d.fetch(s, l.URL)
		if !ok {
			continue
		}
		found, _ := yieldOf(s, pg)
		if found > 1 || tried == draftThreads {
			d.made.Pages = append(d.made.Pages, pg)
			return
		}
	}
	d.doubt(DoubtNoThread, "")
}

var (
	reTopKey   = regexp.MustCompile(`^([a-z_]+):`)
	reMatchKey = regexp.MustCompile(`(\bmatch:\s*['"]?\^)(\(\?:)?/`)
	reURLKey   = regexp.MustCompile(`(\b(?:template|thread|to):\s*['"]?)/`)
)

// rewrite is the file of a kit with the new site in place of its own; comments
// of what stays, stay.
func (d *drafter) rewrite(k Kit, folder string, seeds []string) []byte {
	title := d.title()
	if title == "" {
		title = d.url.Host
	}
	own := map[string]string{
		"name":  d.opts.Name,
		"title": quoted(title),
		"hosts": "[" + quoted(hostEntry(d.url)) + "]",
		"seeds": "[" + quotedList(seeds) + "]",
	}
	if delay := d.delay(k.Source.Delay); delay != "" {
		own["delay"] = delay
	}
	var b strings.Builder
	b.WriteString(d.header(k.Name))
	lines := strings.Split(string(k.Data), "\n")
	i := slices.IndexFunc(lines, reTopKey.MatchString)
	skipping := false
	for ; i >= 0 && i < len(lines); i++ {
		line := lines[i]
		m := reTopKey.FindStringSubmatch(line)
		switch {
		case m == nil && skipping && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "-")):
			continue
		case m == nil:
			skipping = false
		case m[1] == "detect" || m[1] == "allow_private" || m[1] == "expect":
			skipping = true
			continue
		case own[m[1]] != "":
			fmt.Fprintf(&b, "%s: %s%s\n", m[1], own[m[1]], d.remark(m[1]))
			delete(own, m[1])
			if m[1] == "hosts" && d.opts.AllowPrivate {
				fmt.Fprintf(&b, "allow_private: true%s\n", d.remark("allow_private"))
			}
			skipping = true
			continue
		default:
			skipping = false
		}
		if folder != "" {
			line = reMatchKey.ReplaceAllString(line, "${1}"+regexp.QuoteMeta(folder)+"${2}/")
			line = reURLKey.ReplaceAllString(line, "${1}"+folder+"/")
		}
		b.WriteString(line + "\n")
	}
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

// delay is that of the kit, but none for a server on this machine.
func (d *drafter) delay(kit time.Duration) string {
	if d.opts.AllowPrivate && isLoopback(d.url.Hostname()) {
		return "0s"
	}
	return kit.String()
}

func hostEntry(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if p := u.Port(); p == "80" && u.Scheme == "http" || p == "443" && u.Scheme == "https" {
		host = strings.ToLower(u.Hostname())
	}
	return host
}

// quoted writes a text as YAML.
func quoted(s string) string {
	s = printable(oneLine(s))
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func quotedList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quoted(s)
	}
	return strings.Join(out, ", ")
}

var rePowered = regexp.MustCompile(`(?i)\s*(?:[-–—|_]\s*)?powered by .*$`)

// title is what the site calls itself: og:site_name, or the last part of the
// title of the page.
func (d *drafter) title() string {
	root, err := parseHTML(d.page.Body, time.Now().Add(parseTime))
	if err != nil {
		return ""
	}
	title := ""
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "meta" && attr(n, "property") == "og:site_name" && attr(n, "content") != "" {
			return short(attr(n, "content"))
		}
		if n.Type == html.ElementNode && n.Data == "title" && title == "" {
			title = oneLine(nodeText(n, textRules{}))
		}
	}
	title = rePowered.ReplaceAllString(title, "")
	parts := strings.FieldsFunc(strings.NewReplacer(" - ", "|", " – ", "|", " — ", "|", "_", "|").Replace(title), func(r rune) bool { return r == '|' })
	for _, p := range slices.Backward(parts) {
		if p = strings.TrimSpace(p); p != "" {
			return short(p)
		}
	}
	return ""
}

// short keeps a title to what fits a line.
func short(s string) string {
	r := []rune(printable(oneLine(s)))
	return strings.TrimSpace(string(r[:min(len(r), 60)]))
}
