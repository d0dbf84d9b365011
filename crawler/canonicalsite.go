package crawler

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// CanonicalRules say which URLs of one site are the same page, beyond what
// Canonical knows of all sites. A page has one task for its canonical URL, and
// that URL is what is fetched.
type CanonicalRules struct {
	Engine  string        `yaml:"engine"`  // forum software whose URLs are understood: discuz; "" for none
	Threads string        `yaml:"threads"` // discuz: how threads and boards are asked for: dynamic (default), static, legacy
	Drop    []string      `yaml:"drop"`    // query parameters that never change what a page shows: name, or prefix*
	Sort    bool          `yaml:"sort"`    // the order of the query parameters means nothing
	Rewrite []RewriteRule `yaml:"rewrite"` // applied in order to path and query
}

// RewriteRule writes one form of URL as another.
type RewriteRule struct {
	Match string `yaml:"match"` // RE2 on path and query
	To    string `yaml:"to"`    // path and query instead of what matched; $1 or ${name} for groups

	re *regexp.Regexp
}

// The values of CanonicalRules.Engine and Threads.
const (
	engineDiscuz   = "discuz"
	threadsDynamic = "dynamic" // forum.php?mod=viewthread&tid=7&page=2
	threadsStatic  = "static"  // thread-7-2-1.html
	threadsLegacy  = "legacy"  // viewthread.php?tid=7&page=2
)

// maxCanonicalRounds is how often a site's rules are applied until they come
// to rest.
const maxCanonicalRounds = 4

// Canonical is the function of the same name with the site's own rules after
// it. Applied to its own result it changes nothing; rules under which a URL
// would change for ever are an error for that URL.
func (s *Source) Canonical(rawURL string) (canonical, host string, err error) {
	canonical, host, err = Canonical(rawURL)
	if err != nil || s.URLs == nil {
		return canonical, host, err
	}
	for range maxCanonicalRounds {
		origin := canonical[:strings.Index(canonical, "//")+2+len(host)]
		next, nextHost, err := Canonical(origin + s.URLs.apply(canonical[len(origin):]))
		if err != nil {
			return "", "", fmt.Errorf("canonical rules of %s for %s: %w", s.Name, rawURL, err)
		}
		if next == canonical {
			return canonical, host, nil
		}
		canonical, host = next, nextHost
	}
	return "", "", fmt.Errorf("canonical rules of %s do not come to rest for %s, at last at %s", s.Name, rawURL, canonical)
}

// apply applies the rules once to path and query.
func (r *CanonicalRules) apply(target string) string {
	for _, w := range r.Rewrite {
		target = w.re.ReplaceAllString(target, w.To)
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target // or it would change the host
	}
	path, query, _ := strings.Cut(target, "?")
	params := splitParams(query)
	if len(r.Drop) > 0 {
		params = slices.DeleteFunc(params, func(p param) bool { return r.drops(p.name()) })
	}
	if r.Engine == engineDiscuz {
		path, params = discuzCanonical(path, params, r.Threads)
	}
	if r.Sort {
		slices.SortStableFunc(params, func(a, b param) int { return strings.Compare(string(a), string(b)) })
	}
	return joinParams(path, params)
}

func (r *CanonicalRules) drops(name string) bool {
	for _, d := range r.Drop {
		if prefix, ok := strings.CutSuffix(d, "*"); ok && strings.HasPrefix(name, strings.ToLower(prefix)) || strings.EqualFold(d, name) {
			return true
		}
	}
	return false
}

// param is one name=value of a query, as written.
type param string

// name is in lower case.
func (p param) name() string {
	name, _, _ := strings.Cut(string(p), "=")
	return strings.ToLower(name)
}

func (p param) value() string {
	_, value, _ := strings.Cut(string(p), "=")
	return value
}

func splitParams(query string) []param {
	if query == "" {
		return nil
	}
	var out []param
	for p := range strings.SplitSeq(query, "&") {
		if p != "" {
			out = append(out, param(p))
		}
	}
	return out
}

func joinParams(path string, params []param) string {
	if len(params) == 0 {
		return path
	}
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = string(p)
	}
	return path + "?" + strings.Join(parts, "&")
}

// discuzNoise are parameters of Discuz! that say where the reader came from,
// in which skin or order he reads, or of whom he reads alone: every post is on
// the plain page as well. sid has another form than the one dropped everywhere.
var discuzNoise = map[string]bool{
	"sid": true, "extra": true, "mobile": true, "fromuid": true, "fromuser": true, "_dsign": true, "simpletype": true, "forumlist": true,
}

var discuzViewNoise = map[string]bool{
	"orderby": true, "ordertype": true, "ascdesc": true, "authorid": true, "highlight": true, "goto": true, "dateline": true, "from": true, "checkrush": true,
}

// discuzOrders are values of filter that only sort a board.
var discuzOrders = map[string]bool{"": true, "author": true, "dateline": true, "lastpost": true, "heat": true, "hot": true, "reply": true, "views": true}

var (
	reDiscuzThread = regexp.MustCompile(`^thread-(\d+)-(\d+)-\d+\.html$`)
	reDiscuzBoard  = regexp.MustCompile(`^forum-(\w+)-(\d+)\.html$`)
	reWord         = regexp.MustCompile(`^\w+$`)
)

// discuzView is a thread or a board by whatever URL it was named.
type discuzView struct {
	board bool
	id    string
	page  string
	rest  []param // what is not understood
}

// discuzCanonical gives threads and boards their one form and takes the noise
// off every other page.
func discuzCanonical(path string, params []param, form string) (string, []param) {
	at := strings.LastIndexByte(path, '/') + 1
	folder, file := path[:at], path[at:]
	v, ok := readDiscuzView(file, params)
	if !ok {
		return path, slices.DeleteFunc(slices.Clone(params), func(p param) bool { return discuzNoise[p.name()] })
	}
	slices.SortStableFunc(v.rest, func(a, b param) int { return strings.Compare(string(a), string(b)) })
	name, script, mod, key := "thread-"+v.id+"-"+v.page+"-1.html", "viewthread.php", "viewthread", "tid"
	if v.board {
		name, script, mod, key = "forum-"+v.id+"-"+v.page+".html", "forumdisplay.php", "forumdisplay", "fid"
	}
	if form == threadsStatic && len(v.rest) == 0 {
		return folder + name, nil
	}
	out := []param{param(key + "=" + v.id)}
	if form != threadsLegacy {
		script, out = "forum.php", append([]param{param("mod=" + mod)}, out...)
	}
	if v.page != "1" {
		out = append(out, param("page="+v.page))
	}
	return folder + script, append(out, v.rest...)
}

// readDiscuzView reads thread-7-2-1.html, forum.php?mod=viewthread&tid=7,
// viewthread.php?tid=7 and the like for boards.
func readDiscuzView(file string, params []param) (v discuzView, ok bool) {
	mod := ""
	switch file {
	case "forum.php":
		if i := slices.IndexFunc(params, func(p param) bool { return p.name() == "mod" }); i >= 0 {
			mod = params[i].value()
		}
	case "viewthread.php":
		mod = "viewthread"
	case "forumdisplay.php":
		mod = "forumdisplay"
	default:
		m := reDiscuzThread.FindStringSubmatch(file)
		if m == nil {
			m = reDiscuzBoard.FindStringSubmatch(file)
			v.board = true
		}
		if m == nil {
			return v, false
		}
		v.id, v.page = m[1], m[2]
	}
	for _, p := range params {
		name, value := p.name(), p.value()
		switch {
		case name == "mod": // read above, or without meaning here
		case name == "tid" && mod == "viewthread" && v.id == "", name == "fid" && mod == "forumdisplay" && v.id == "":
			v.id, v.board = value, name == "fid"
		case name == "page" && v.page == "":
			v.page = value
		case discuzNoise[name] || discuzViewNoise[name], name == "action" && value == "printable", name == "filter" && discuzOrders[value]:
		default:
			v.rest = append(v.rest, p)
		}
	}
	v.page = strings.TrimLeft(v.page, "0")
	if v.page == "" {
		v.page = "1"
	}
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return v, digits(v.page) && (digits(v.id) || v.board && reWord.MatchString(v.id))
}

// canonical checks the rules and compiles them.
func (c *sourceCheck) canonical() {
	r := c.src.URLs
	if r == nil {
		return
	}
	if r.Engine != "" && r.Engine != engineDiscuz {
		c.add(fmt.Sprintf("unknown engine %q", r.Engine), "use discuz, or leave it out", "canonical", "engine")
	}
	if r.Threads == "" {
		r.Threads = threadsDynamic
	} else if r.Engine != engineDiscuz {
		c.add("threads is for engine: discuz", "remove it", "canonical", "threads")
	}
	if !slices.Contains([]string{threadsDynamic, threadsStatic, threadsLegacy}, r.Threads) {
		c.add(fmt.Sprintf("unknown form of threads %q", r.Threads), "use dynamic, static or legacy", "canonical", "threads")
	}
	for i, d := range r.Drop {
		if strings.Trim(d, "*") == "" || strings.ContainsAny(strings.TrimSuffix(d, "*"), "*=&?") {
			c.add(fmt.Sprintf("%q is no query parameter", d), "write its name, such as from, or the beginning of names, such as spm*", "canonical", "drop", i)
		}
	}
	for i := range r.Rewrite {
		w := &r.Rewrite[i]
		if w.Match == "" {
			c.add("rewrite has no match", `write a regular expression on the path and query, such as '^/m/thread/(\d+)'`, "canonical", "rewrite", i, "match")
		} else if w.re = c.regexp(w.Match, "canonical", "rewrite", i, "match"); w.re != nil {
			continue
		}
		w.re = regexp.MustCompile(`\z.`) // matches nothing: the config is refused anyway
	}
}

// canonicalSeed looks whether a seed is still a page of the site once the
// rules have been applied to it.
func (c *sourceCheck) canonicalSeed(seed string, i int) {
	if c.src.URLs == nil {
		return
	}
	canonical, _, err := c.src.Canonical(seed)
	if err != nil {
		c.add(err.Error(), "change the rules under canonical", "canonical")
	} else if _, ok := c.src.Rule(canonical); !ok {
		c.add(fmt.Sprintf("no page rule fits %q, the canonical form of %q", canonical, seed), "let match fit what canonical makes of the URLs", "seeds", i)
	}
}
