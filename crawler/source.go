package crawler

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/andybalholm/cascadia"

	"qingyuan/post"
	"qingyuan/strictyaml"
)

// Source is one site as its YAML file describes it: what may be fetched, how
// fast, and where the posts stand on its pages. Make one with ReadSource or
// LoadSources; it is then read only and safe for concurrent use.
type Source struct {
	Name         string            `yaml:"name"`          // Post.Source; lower case letters, digits, hyphens
	Title        string            `yaml:"title"`         // shown to people
	Type         string            `yaml:"type"`          // Post.SourceType: forum, social, classified, news, official, blog, qa
	Language     string            `yaml:"language"`      // BCP 47, zh by default
	Hosts        []string          `yaml:"hosts"`         // scope: host, host:port or *.host
	Seeds        []string          `yaml:"seeds"`         // absolute URLs where every pass starts
	Delay        time.Duration     `yaml:"delay"`         // least time between two requests to a host; 2s by default
	TimeZone     string            `yaml:"time_zone"`     // IANA name, Asia/Shanghai by default
	MaxDepth     int               `yaml:"max_depth"`     // links from a seed; 6 by default
	MaxPages     int               `yaml:"max_pages"`     // per pass; 2000 by default
	Charset      string            `yaml:"charset"`       // overrides detection; "" detects
	Headers      map[string]string `yaml:"headers"`       // extra request headers
	AllowPrivate bool              `yaml:"allow_private"` // permits loopback and private addresses: labs and the demo only
	URLs         *CanonicalRules   `yaml:"canonical"`     // which URLs are one page; nil: what Canonical knows
	Budget       *Budget           `yaml:"budget"`        // pages a pass beside max_pages; nil: none of their own
	Drop         []string          `yaml:"drop"`          // selectors removed from every page before anything is read
	Blocked      []string          `yaml:"blocked"`       // texts, or css: selectors, of pages that refuse us
	Gone         []string          `yaml:"gone"`          // texts, or css: selectors, of pages whose thread is gone
	Walls        []WallRule        `yaml:"walls"`         // logins, captchas and other walls of this site, by kind
	Recrawl      SourceRecrawl     `yaml:"recrawl"`       // when pages are fetched again; the crawl's own by default
	Detect       *Detect           `yaml:"detect"`        // marks by which qingyuan site new tells what a page is of; nil: no kit
	Expect       Expect            `yaml:"expect"`        // what the pages yield when all is well
	Render       string            `yaml:"render"`        // never (default), auto, always: whether pages are shown in a browser
	RenderHosts  []string          `yaml:"render_hosts"`  // other hosts that shown pages may load parts from; empty: any public one
	Pages        []*PageRule       `yaml:"pages"`         // the first whose Match fits wins
	// RobotsSitemaps takes in the sitemaps that robots.txt names; a page rule of
	// format sitemap reads them.
	RobotsSitemaps bool `yaml:"robots_sitemaps"`

	UserAgent     string            `yaml:"user_agent"`     // sent in place of the crawl's own; robots.txt is read for its name
	SecretHeaders map[string]Secret `yaml:"secret_headers"` // like Headers, but sent to the origins of the seeds and the login alone
	Proxy         *ProxyRule        `yaml:"proxy"`          // nil: none; the environment is never asked
	CAFile        string            `yaml:"ca_file"`        // certificates in PEM that may verify this site's, besides the system's
	Session       *SessionRule      `yaml:"session"`        // nil: the site is read as a visitor whom it does not know

	file    string
	version string // of the config: the beginning of its SHA-256
	loc     *time.Location
	drop    []cascadia.Selector
	blocked []pageMark
	gone    []pageMark
	mapped  bool // has a page rule of format sitemap
}

// PageRule says what one sort of page of a site yields.
type PageRule struct {
	Name     string     `yaml:"name"`      // unique in the file
	Match    string     `yaml:"match"`     // RE2 on path and query; named groups are for templates
	Format   string     `yaml:"format"`    // html (default), json, feed, sitemap
	Priority int        `yaml:"priority"`  // of links that lead here; higher first
	MaxPages int        `yaml:"max_pages"` // such pages per pass; 0: as many as the source may fetch
	Render   string     `yaml:"render"`    // as that of the source, for these pages; "": the source's
	Thread   string     `yaml:"thread"`    // template of Post.ThreadURL
	Data     *Field     `yaml:"data"`      // where an HTML page holds JSON; follow and posts then use paths
	Extract  string     `yaml:"extract"`   // main_text: the page is one post, whose text is found without selectors
	Ads      *AdSlots   `yaml:"ads"`       // what others pay for; nil: not looked for
	Follow   []Field    `yaml:"follow"`    // links to take
	Posts    []PostRule `yaml:"posts"`     // what stands on the page

	match *regexp.Regexp
}

// PostRule says where the posts of a page stand and what their fields are. A
// block that one rule of the page has taken is not taken by a later one, so
// inserted ads are told from posts by an earlier rule.
type PostRule struct {
	Each      string `yaml:"each"`       // selector (html), gjson path (json); items for feed; "" is the page itself
	Comments  bool   `yaml:"comments"`   // looks for Each inside HTML comments too
	Kind      string `yaml:"kind"`       // post, comment, ad, article
	FirstKind string `yaml:"first_kind"` // of the thread's opening block
	Preview   bool   `yaml:"preview"`    // rows announcing a thread that a followed page holds in full
	Optional  bool   `yaml:"optional"`   // none on the page is no reason to warn
	Key       *Field `yaml:"key"`        // the site's own id
	Floor     *Field `yaml:"floor"`      // the number in the thread; 1 is the opening block
	URL       *Field `yaml:"url"`
	Title     *Field `yaml:"title"`
	Author    *Field `yaml:"author"`
	AuthorID  *Field `yaml:"author_id"`
	AuthorURL *Field `yaml:"author_url"`
	Time      *Field `yaml:"time"`
	Text      *Field `yaml:"text"`
	Region    *Field `yaml:"region"`
	Images    *Field `yaml:"images"`
	Replies   *Field `yaml:"replies"`    // with preview: how many replies the thread has
	LastReply *Field `yaml:"last_reply"` // with preview: when it was last replied to

	kind, firstKind post.Kind
	each            cascadia.Selector
	main            bool // fields left empty are those of the page's main text
}

// Field says where one value stands. In YAML a plain text is short for
// {select: text}. The steps run in this order: select, attr, path, html,
// regex, template; the first that yields nothing hands over to Or.
type Field struct {
	FieldSpec `yaml:",inline"`
}

// FieldSpec is the long form of a Field.
type FieldSpec struct {
	Select   string   `yaml:"select"`   // CSS selector; "" is the block itself
	Path     string   `yaml:"path"`     // gjson path into the JSON block, or into the JSON that Select and Attr gave
	Attr     string   `yaml:"attr"`     // attribute instead of the text
	Regex    string   `yaml:"regex"`    // keeps the first group, or the whole match
	Template string   `yaml:"template"` // {value}, {page}, {key}, {index}, {author}, {time} and the rule's named groups
	Drop     []string `yaml:"drop"`     // selectors left out of the text
	Scope    string   `yaml:"scope"`    // item (default) or page
	Only     string   `yaml:"only"`     // first: for the opening block only
	Comments bool     `yaml:"comments"` // looks inside HTML comments too
	HTML     bool     `yaml:"html"`     // the value is itself HTML: keep its text
	Or       *Field   `yaml:"or"`       // tried when this one yields nothing

	sel   cascadia.Selector
	drop  []cascadia.Selector
	regex *regexp.Regexp
}

// pageMark is one entry of blocked or gone: a text or a selector.
type pageMark struct {
	text string
	sel  cascadia.Selector
}

// UnmarshalYAML reads a field from a plain text (a selector) or a mapping.
func (f *Field) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err == nil {
		f.FieldSpec = FieldSpec{Select: text}
		return nil
	}
	return unmarshal(&f.FieldSpec)
}

// LoadSources reads every *.yaml of fsys, sorted by name. All mistakes of all
// files are returned at once as strictyaml.Mistakes; the sources without a
// mistake are returned beside them.
func LoadSources(fsys fs.FS) ([]*Source, error) {
	return strictyaml.Folder(fsys, "source", "give each site its own name", ReadSource, func(s *Source) string { return s.Name })
}

// ReadSource reads one site config. file is only used to name it in mistakes;
// the error is strictyaml.Mistakes with everything that is wrong.
func ReadSource(file string, data []byte) (*Source, error) {
	src := &Source{
		Language: "zh",
		Delay:    2 * time.Second,
		TimeZone: "Asia/Shanghai",
		MaxDepth: 6,
		MaxPages: 2000,
		file:     file,
	}
	sum := sha256.Sum256(data)
	src.version = hex.EncodeToString(sum[:6])
	var ms strictyaml.Mistakes
	doc, err := strictyaml.Decode(file, data, src)
	ms.Add(file, err)
	if doc != nil {
		c := &sourceCheck{src: src, doc: doc}
		c.run()
		ms = append(ms, c.mistakes...)
	}
	if err := ms.Err(); err != nil {
		return nil, err
	}
	return src, nil
}

// File returns the name of the config that the source was read from.
func (s *Source) File() string { return s.file }

// Version tells this config from every other: the first 12 hex digits of its
// SHA-256.
func (s *Source) Version() string { return s.version }

// Location returns the site's time zone.
func (s *Source) Location() *time.Location { return s.loc }

// Rule returns the first rule that fits the path and query of rawURL, which
// must be in scope.
func (s *Source) Rule(rawURL string) (*PageRule, bool) {
	u, err := url.Parse(rawURL)
	if err != nil || !s.inScope(u) {
		return nil, false
	}
	return s.ruleFor(u)
}

// InScope reports whether rawURL is http or https on one of the source's hosts.
func (s *Source) InScope(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && s.inScope(u)
}

func (s *Source) ruleFor(u *url.URL) (*PageRule, bool) {
	path := pathAndQuery(u)
	for _, r := range s.Pages {
		if r.match.MatchString(path) {
			return r, true
		}
	}
	return nil, false
}

func (s *Source) inScope(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if u.User != nil {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	port := u.Port()
	if port == "" || (u.Scheme == "http" && port == "80") || (u.Scheme == "https" && port == "443") {
		port = ""
	}
	for _, h := range s.Hosts {
		name, wantPort := splitHost(h)
		if port != wantPort {
			continue
		}
		if host == name {
			return true
		}
		if parent, ok := strings.CutPrefix(name, "*."); ok && strings.HasSuffix(host, "."+parent) {
			return true
		}
	}
	return false
}

// splitHost splits an entry of hosts; the port is "" when it names none.
func splitHost(entry string) (name, port string) {
	entry = strings.ToLower(entry)
	if h, p, err := net.SplitHostPort(entry); err == nil {
		return h, p
	}
	return strings.Trim(entry, "[]"), ""
}

func pathAndQuery(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path
}

// Page is one fetched page, its body already UTF-8.
type Page struct {
	URL       string       // as finally fetched, after redirects; absolute
	Status    int          // HTTP status; 0 for a saved page counts as 200
	Header    http.Header  // of the response; may be nil
	Body      []byte       // UTF-8
	FetchedAt time.Time    // relative dates count from here
	Archive   post.Archive // the record that holds the page

	sitemaps []string // that robots.txt of its host names, as written
}

// Link is one page to fetch next: in scope and fitting a rule.
type Link struct {
	URL      string // absolute, without fragment
	Page     string // name of the rule that fits
	Priority int    // of that rule
}

// Extraction is what a page holds.
type Extraction struct {
	Posts    []post.Post // in page order within each rule
	Previews []post.Post // rows that announce threads; a followed page holds each in full, so they are not for the index
	Links    []Link      // in page order, each URL once
	Rows     []Row       // what a list says of its threads, when the rule names replies or last_reply
	Landings []string    // where ads lead to, outside of the site's rules; when the page rule wants them fetched
	Blocked  string      // not "": the site refused us, and why; there are no posts then
	Wall     WallKind    // with Blocked: by what
	down     bool        // with Blocked: the session is at its end, and the whole site with it
	Gone     string      // not "": what the page showed is gone, and why
	// GoneThread is the Post.ThreadURL, or the page's own URL, of what is gone as
	// a whole; "" when it is only a later page of a thread.
	GoneThread string
	Bare       string   // not "": what the page lacks of what its rule expects, so that a browser may show more
	Warnings   []string // what looked wrong, for the operator
}

// ErrNoRule is returned by Extract for a URL that no rule of the source fits.
var ErrNoRule = errors.New("no page rule fits")
