package crawler

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/andybalholm/cascadia"
	"golang.org/x/text/encoding/htmlindex"

	"qingyuan/crawler/transport"
	"qingyuan/post"
	"qingyuan/strictyaml"
)

// The formats of a page.
const (
	formatHTML = "html"
	formatJSON = "json"
	formatFeed = "feed"
)

var sourceTypes = []string{"forum", "social", "classified", "news", "official", "blog", "qa"}

var (
	reSourceName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	reHostName   = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
	reVariable   = regexp.MustCompile(`\{([^{}]*)\}`)
)

// ownVariables are the variables of templates that the extractor sets, besides
// {page}.
var ownVariables = []string{"value", "key", "index", "author", "time"}

// sourceCheck checks one decoded source, compiles what it can and collects
// every mistake with its line.
type sourceCheck struct {
	src      *Source
	doc      *strictyaml.Document
	mistakes strictyaml.Mistakes
}

func (c *sourceCheck) add(problem, remedy string, path ...any) {
	c.mistakes = append(c.mistakes, c.doc.Mistake(problem, remedy, path...))
}

func (c *sourceCheck) run() {
	c.identity()
	c.limits()
	c.budget()
	c.scope()
	c.access()
	c.canonical()
	s := c.src
	s.drop = c.selectors(s.Drop, "drop")
	s.blocked = c.marks(s.Blocked, "blocked")
	s.gone = c.marks(s.Gone, "gone")
	c.checkWalls()
	c.checkRecrawl()
	c.checkDetect()
	c.checkExpect()
	c.rendering()
	if len(s.Pages) == 0 {
		c.add("there is no page rule", "say under pages which URLs hold what", "pages")
	}
	seen := map[string]bool{}
	for i, r := range s.Pages {
		if r == nil {
			c.add("empty page rule", "give it a name and a match, or remove the dash", "pages", i)
			continue
		}
		if r.Name != "" && seen[r.Name] {
			c.add(fmt.Sprintf("page rule %q is defined twice", r.Name), "give each page rule its own name", "pages", i, "name")
		}
		seen[r.Name] = true
		c.rule(r, "pages", i)
	}
	if s.RobotsSitemaps && !s.mapped {
		c.add("robots_sitemaps without a rule that reads sitemaps", "add a page rule with format: sitemap", "robots_sitemaps")
	}
	c.seeds()
}

func (c *sourceCheck) identity() {
	s := c.src
	switch {
	case s.Name == "":
		c.add("name is missing", "name the source, such as zhaiyou-bbs", "name")
	case !reSourceName.MatchString(s.Name) || len(s.Name) > 64:
		c.add(fmt.Sprintf("%q is no source name", s.Name), "use up to 64 lower case letters, digits and single hyphens", "name")
	}
	if !slices.Contains(sourceTypes, s.Type) {
		c.add(fmt.Sprintf("unknown type %q", s.Type), "use one of "+strings.Join(sourceTypes, ", "), "type")
	}
	if s.Title == "" {
		s.Title = s.Name
	}
	loc, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "" || s.TimeZone == "Local" {
		c.add(fmt.Sprintf("unknown time zone %q", s.TimeZone), "use an IANA name such as Asia/Shanghai", "time_zone")
		loc = time.UTC
	}
	s.loc = loc
	if s.Charset != "" {
		_, err := htmlindex.Get(s.Charset)
		if err != nil || (transport.HostPolicy{Charset: s.Charset}).Validate() != nil {
			c.add(fmt.Sprintf("unknown charset %q", s.Charset), "use a name such as utf-8, gb18030 or big5, or leave it out to detect", "charset")
		}
	}
}

func (c *sourceCheck) limits() {
	s := c.src
	if s.Delay < 0 {
		c.add(fmt.Sprintf("delay %s is negative", s.Delay), "write a delay such as 2s", "delay")
	}
	if s.Delay == 0 && !c.onlyLoopback() {
		c.add("delay 0 is allowed for loopback hosts only", "write a delay such as 2s", "delay")
	}
	if s.Delay > 24*time.Hour {
		c.add(fmt.Sprintf("delay %s is longer than a day", s.Delay), "write a delay such as 2s", "delay")
	}
	if s.MaxDepth < 0 {
		c.add("max_depth is negative", "write 0 for the seeds only, or more", "max_depth")
	}
	if s.MaxPages < 1 {
		c.add("max_pages is less than 1", "write how many pages a pass may fetch", "max_pages")
	}
}

func (c *sourceCheck) onlyLoopback() bool {
	for _, h := range c.src.Hosts {
		if name, _ := splitHost(h); !isLoopback(name) {
			return false
		}
	}
	return len(c.src.Hosts) > 0
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (c *sourceCheck) scope() {
	if len(c.src.Hosts) == 0 {
		c.add("there is no host", "list the hosts that may be fetched, such as [bbs.example.com]", "hosts")
	}
	for i, h := range c.src.Hosts {
		c.hostAt(h, "hosts", i)
	}
}

// hostAt checks one host that may be fetched from, written at path.
func (c *sourceCheck) hostAt(h string, path ...any) {
	if strings.Contains(h, "/") {
		c.add(fmt.Sprintf("%q is no host", h), "write the host alone, without scheme and path", path...)
		return
	}
	name, port := splitHost(h)
	if _, p, err := net.SplitHostPort(h); err == nil && !validPort(p) {
		c.add(fmt.Sprintf("%q has a bad port", h), "write a port from 1 to 65535", path...)
		return
	}
	if port == "80" || port == "443" {
		c.add(fmt.Sprintf("%q names the default port", h), "leave the port out", path...)
		return
	}
	addr, err := netip.ParseAddr(name)
	private := isLoopback(name) || (err == nil && (addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified()))
	if private && !c.src.AllowPrivate {
		c.add(fmt.Sprintf("%q is a loopback or private address", h), "name a public host, or set allow_private: true in a lab", path...)
		return
	}
	if err == nil {
		return
	}
	if !reHostName.MatchString(name) || len(name) > 253 {
		c.add(fmt.Sprintf("%q is no host", h), "write it as bbs.example.com, bbs.example.com:8080 or *.example.com (other scripts as xn--)", path...)
		return
	}
	if parent, ok := strings.CutPrefix(name, "*."); ok && !strings.Contains(parent, ".") {
		c.add(fmt.Sprintf("%q takes in a whole top-level domain", h), "write at least *.example.com", path...)
	}
}

func validPort(p string) bool {
	var n int
	if _, err := fmt.Sscanf(p, "%d", &n); err != nil {
		return false
	}
	return n >= 1 && n <= 65535 && fmt.Sprint(n) == p
}

func (c *sourceCheck) seeds() {
	if len(c.src.Seeds) == 0 {
		c.add("there is no seed", "list the URLs where a pass starts", "seeds")
	}
	for i, seed := range c.src.Seeds {
		u, err := url.Parse(seed)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			c.add(fmt.Sprintf("%q is no URL that can be fetched", seed), "write an absolute http or https URL", "seeds", i)
			continue
		}
		if !c.src.inScope(u) {
			c.add(fmt.Sprintf("%q is not on one of the hosts", seed), fmt.Sprintf("add %q to hosts", u.Host), "seeds", i)
			continue
		}
		if !c.rulesCompiled() {
			continue
		}
		if _, ok := c.src.ruleFor(u); !ok {
			c.add(fmt.Sprintf("no page rule fits %q", seed), fmt.Sprintf("add a rule whose match fits %s", pathAndQuery(u)), "seeds", i)
			continue
		}
		c.canonicalSeed(seed, i)
	}
}

// rulesCompiled reports whether every match could be compiled; otherwise it is
// not known whether a seed fits, and the bad match is the mistake to mend.
func (c *sourceCheck) rulesCompiled() bool {
	for _, r := range c.src.Pages {
		if r == nil || r.match == nil {
			return false
		}
	}
	return true
}

func (c *sourceCheck) rule(r *PageRule, path ...any) {
	if r.Name == "" {
		c.add("page rule has no name", "name it, such as list or thread", append(path, "name")...)
	}
	vars := map[string]bool{"page": true}
	if r.Match == "" {
		c.add("page rule has no match", `write a regular expression on the path and query, such as '^/thread-\d+'`, append(path, "match")...)
	} else if re := c.regexp(r.Match, append(path, "match")...); re != nil {
		r.match = re
		if slices.Contains(re.SubexpNames(), pageGroup) {
			vars["next"] = true
		}
		for _, name := range re.SubexpNames() {
			if slices.Contains(ownVariables, name) {
				c.add(fmt.Sprintf("named group %q hides the variable {%s}", name, name), "give the group another name", append(path, "match")...)
			}
			vars[name] = true
		}
	}
	if r.Format == "" {
		r.Format = formatHTML
	}
	if !slices.Contains([]string{formatHTML, formatJSON, formatFeed, formatSitemap}, r.Format) {
		c.add(fmt.Sprintf("unknown format %q", r.Format), "use html, json, feed or sitemap", append(path, "format")...)
	}
	c.checkSitemap(r, path...)
	c.checkExtract(r, path...)
	c.checkAds(r, path...)
	content := r.Format // what follow and posts look into
	if r.Data != nil {
		if r.Format != formatHTML {
			c.add("data is for JSON inside html pages", "remove it, or use format: html", append(path, "data")...)
		}
		c.field(r.Data, formatHTML, vars, append(path, "data")...)
		content = formatJSON
	}
	c.template(r.Thread, vars, append(path, "thread")...)
	if len(r.Follow) == 0 && len(r.Posts) == 0 && r.Format != formatSitemap {
		c.add("page rule yields neither links nor posts", "add follow or posts, or remove the rule", path...)
	}
	vars["value"] = true
	for i := range r.Follow {
		f := &r.Follow[i]
		c.field(f, content, vars, append(path, "follow", i)...)
		if f.Only != "" || f.HTML {
			c.add("only and html have no meaning for links", "remove them", append(path, "follow", i)...)
		}
	}
	for _, v := range ownVariables {
		vars[v] = true
	}
	for i := range r.Posts {
		c.post(&r.Posts[i], content, vars, append(path, "posts", i)...)
	}
}

func (c *sourceCheck) post(p *PostRule, format string, vars map[string]bool, path ...any) {
	if format == formatFeed {
		feedDefaults(p)
	}
	p.kind = c.kind(p.Kind, true, append(path, "kind")...)
	p.firstKind = c.kind(p.FirstKind, false, append(path, "first_kind")...)
	if p.Each != "" && format == formatHTML {
		p.each = c.selector(p.Each, append(path, "each")...)
	}
	if p.Each == "" && format == formatJSON {
		c.add("each is missing", "give the gjson path of the list of posts, or @this for the whole document", append(path, "each")...)
	}
	if p.Comments && format != formatHTML {
		c.add("comments looks inside HTML comments", "remove it from "+format+" pages", append(path, "comments")...)
	}
	if p.Each != "" && p.Key == nil && p.URL == nil && format != formatFeed {
		c.add("posts have neither key nor url", "say what identifies a post, such as key: {attr: id}; without any, key: {template: '{page}#{index}'}", path...)
	}
	if p.Text == nil && p.Title == nil && format != formatFeed && !p.main {
		c.add("posts have neither text nor title", "say where the text stands, such as text: .content", path...)
	}
	if !p.Preview && (p.Replies != nil || p.LastReply != nil) {
		c.add("replies and last_reply are what a list says of its threads", "add preview: true, or remove them", path...)
	}
	for _, nf := range p.fields() {
		if nf.field != nil {
			c.field(nf.field, format, vars, append(path, nf.name)...)
		}
	}
}

// namedField is a field of a post rule with its key in the file.
type namedField struct {
	name  string
	field *Field
}

func (p *PostRule) fields() []namedField {
	return []namedField{
		{"key", p.Key}, {"floor", p.Floor}, {"url", p.URL}, {"title", p.Title}, {"author", p.Author},
		{"author_id", p.AuthorID}, {"author_url", p.AuthorURL}, {"time", p.Time}, {"text", p.Text},
		{"region", p.Region}, {"images", p.Images},
		{"replies", p.Replies}, {"last_reply", p.LastReply},
	}
}

func (c *sourceCheck) kind(text string, needed bool, path ...any) post.Kind {
	k := post.Kind(text)
	switch {
	case text == "" && !needed, k.Valid():
	case text == "":
		c.add("kind is missing", "use one of post, comment, ad, article", path...)
	default:
		c.add(fmt.Sprintf("unknown kind %q", text), "use one of post, comment, ad, article", path...)
	}
	return k
}

func (c *sourceCheck) field(f *Field, format string, vars map[string]bool, path ...any) {
	if f.Select != "" {
		if format != formatHTML {
			c.add("select is for html pages", "use path, a gjson path, on "+format+" pages", append(path, "select")...)
		} else {
			f.sel = c.selector(f.Select, append(path, "select")...)
		}
	}
	if format != formatHTML && f.Attr != "" {
		c.add("attr is for html pages", "use path, a gjson path, on "+format+" pages", append(path, "attr")...)
	}
	if f.Select == "" && f.Path == "" && f.Attr == "" && f.Template == "" && f.Regex == "" && f.Or == nil && !f.HTML && len(f.Drop) == 0 {
		c.add("field says not where its value stands", "give select, path, attr or template", path...)
	}
	f.drop = c.selectors(f.Drop, append(path, "drop")...)
	if f.Regex != "" {
		f.regex = c.regexp(f.Regex, append(path, "regex")...)
	}
	if f.Scope != "" && f.Scope != "item" && f.Scope != "page" {
		c.add(fmt.Sprintf("unknown scope %q", f.Scope), "use item or page", append(path, "scope")...)
	}
	if f.Only != "" && f.Only != "first" {
		c.add(fmt.Sprintf("unknown only %q", f.Only), "use first, or leave it out", append(path, "only")...)
	}
	c.template(f.Template, vars, append(path, "template")...)
	if f.Or != nil {
		c.field(f.Or, format, vars, append(path, "or")...)
	}
}

// template checks that every variable of text is known.
func (c *sourceCheck) template(text string, vars map[string]bool, path ...any) {
	for _, m := range reVariable.FindAllStringSubmatch(text, -1) {
		if vars[m[1]] && m[1] != "" {
			continue
		}
		var known []string
		for v := range vars {
			if v != "" {
				known = append(known, "{"+v+"}")
			}
		}
		slices.Sort(known)
		c.add(fmt.Sprintf("unknown variable %s", m[0]), "known here: "+strings.Join(known, ", ")+"; name more by (?P<name>…) in match", path...)
	}
}

func (c *sourceCheck) regexp(expr string, path ...any) *regexp.Regexp {
	re, err := regexp.Compile(expr)
	if err != nil {
		c.add(fmt.Sprintf("%q is no regular expression: %s", expr, strings.TrimPrefix(err.Error(), "error parsing regexp: ")), "RE2 syntax: no look-around, no back-references", path...)
		return nil
	}
	return re
}

func (c *sourceCheck) selector(text string, path ...any) cascadia.Selector {
	sel, err := compileSelector(text)
	if err != nil {
		c.add(fmt.Sprintf("%q is no CSS selector: %s", text, strings.TrimPrefix(err.Error(), "cascadia: ")), "check brackets, quotes and pseudo-classes", path...)
		return nil
	}
	return sel
}

func (c *sourceCheck) selectors(texts []string, path ...any) []cascadia.Selector {
	var out []cascadia.Selector
	for i, t := range texts {
		if sel := c.selector(t, append(path, i)...); sel != nil {
			out = append(out, sel)
		}
	}
	return out
}

func (c *sourceCheck) marks(texts []string, path ...any) []pageMark {
	var out []pageMark
	for i, t := range texts {
		if css, ok := strings.CutPrefix(t, "css:"); ok {
			if sel := c.selector(strings.TrimSpace(css), append(path, i)...); sel != nil {
				out = append(out, pageMark{text: t, sel: sel})
			}
			continue
		}
		if len([]rune(strings.TrimSpace(t))) < 2 {
			c.add(fmt.Sprintf("%q would fit nearly every page", t), "write a longer text, or a selector as css: …", append(path, i)...)
			continue
		}
		out = append(out, pageMark{text: t})
	}
	return out
}
