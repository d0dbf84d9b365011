package town

import (
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed posts/*.txt templates/*.html sites/*.yaml
var files embed.FS

// Label is the truth about a post, as a careful analyst would judge it.
type Label struct {
	Flagged  bool     `json:"flagged"`            // Stance is offer and Category is set
	Stance   string   `json:"stance"`             // offer, report, warning, question, legal, other
	Category string   `json:"category,omitempty"` // what is offered, a taxonomy id; empty unless flagged
	Evasion  []string `json:"evasion,omitempty"`  // disguises that a reader has to undo
	Contacts []string `json:"contacts,omitempty"` // type:value of the offender's contacts, normalised
}

// Entry is one post of the town.
type Entry struct {
	Site   string        // name of the site
	Key    string        // the site's own id of the post, unique within the site
	Thread string        // the site's own id of the page it stands on
	Kind   string        // post, comment, ad, article
	Title  string        // of the page, for its opening post only
	Author string        //
	Age    time.Duration // before Options.Now
	Text   string        // lines separated by \n; of a banner, its alternative text
	Banner bool          // shown as a picture with alternative text
	Region string        // where the site shows one
	Label  Label         //
}

// Truth returns the label of every post by site name + "/" + the site's own
// key, the same key that the site's config extracts. It is empty when the
// embedded posts are broken, which Start reports.
func Truth() map[string]Label {
	entries, err := Entries()
	if err != nil {
		return nil
	}
	truth := make(map[string]Label, len(entries))
	for _, e := range entries {
		truth[e.Site+"/"+e.Key] = e.Label
	}
	return truth
}

// Entries returns every post of the town, site by site in the order of the
// pages. The error names file and line of what is wrong in posts/*.txt.
func Entries() ([]Entry, error) {
	data, err := load()
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, d := range data {
		for _, t := range d.threads {
			for _, e := range t.posts {
				out = append(out, *e)
			}
		}
	}
	return out, nil
}

// siteData is one site as embedded.
type siteData struct {
	name, title string
	firstKind   string // of a page's opening post
	single      bool   // every post of a page is an opening post
	config      []byte
	threads     []*thread
}

// thread is one page, or one run of pages, with its posts.
type thread struct {
	key   string
	title string
	opts  map[string]string
	posts []*Entry // opening post first; never empty
}

// load parses the embedded posts once; nothing of it is changed afterwards.
var load = sync.OnceValues(func() ([]*siteData, error) {
	sites := []*siteData{
		{name: "shangan-bbs", title: "上岸之家论坛", firstKind: "post"},
		{name: "yuehai-forum", title: "粤海生活论坛", firstKind: "post"},
		{name: "tieyou", title: "贴友", firstKind: "post"},
		{name: "suisui", title: "碎碎念", firstKind: "post", single: true},
		{name: "bianmin", title: "便民同城", firstKind: "post"},
		{name: "jiangwan-news", title: "江晚快讯", firstKind: "article"},
		{name: "hexing-bank", title: "禾兴银行", firstKind: "article"},
		{name: "laoshu-blog", title: "老舒记账", firstKind: "article"},
		{name: "fawen-qa", title: "法问", firstKind: "post"},
	}
	for _, d := range sites {
		var err error
		if d.config, err = files.ReadFile("sites/" + d.name + ".yaml"); err != nil {
			return nil, err
		}
		file := path.Join("posts", d.name+".txt")
		text, err := files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := d.parse(file, string(text)); err != nil {
			return nil, err
		}
	}
	return sites, nil
})

// parse reads a file of posts; README.md describes the format.
func (d *siteData) parse(file, text string) error {
	seen := map[string]bool{}
	var t *thread
	var e *Entry
	for i, line := range strings.Split(text, "\n") {
		fail := func(err error) error { return fmt.Errorf("town/%s:%d: %w", file, i+1, err) }
		line = strings.TrimRight(line, " \r")
		head, rest, _ := strings.Cut(line, " ")
		switch {
		case head == "%%" || (line == "" && e == nil):
		case head == "==":
			t, e = parseThread(rest), nil
			d.threads = append(d.threads, t)
		case head == "--" && t == nil:
			return fail(fmt.Errorf("post before the first page; begin with a line == KEY | title"))
		case head == "--":
			var err error
			if e, err = parsePost(rest); err != nil {
				return fail(err)
			}
			if seen[e.Key] {
				return fail(fmt.Errorf("key %s is used twice; give every post of a site its own", e.Key))
			}
			seen[e.Key] = true
			d.place(t, e)
		case e == nil:
			return fail(fmt.Errorf("text outside of a post; begin the post with a line -- KEY | age | author | stance"))
		default:
			plain, err := unescape(line)
			if err != nil {
				return fail(err)
			}
			e.addLine(plain)
		}
	}
	for _, t := range d.threads {
		if len(t.posts) == 0 {
			return fmt.Errorf("town/%s: page %s has no post; write one below it", file, t.key)
		}
		for _, e := range t.posts {
			if e.Text = strings.TrimSpace(e.Text); e.Text == "" {
				return fmt.Errorf("town/%s: post %s has no text; write it below its line", file, e.Key)
			}
		}
	}
	return nil
}

// place adds e to t and settles what its place decides.
func (d *siteData) place(t *thread, e *Entry) {
	e.Site, e.Thread = d.name, t.key
	if opening := len(t.posts) == 0 || d.single; opening && e.Kind == "" {
		e.Kind = d.firstKind
		if !d.single {
			e.Title = t.title
		}
	}
	if e.Kind == "" {
		e.Kind = "comment"
	}
	if e.Region == "" && len(t.posts) == 0 {
		e.Region = t.opts["region"]
	}
	t.posts = append(t.posts, e)
}

func (e *Entry) addLine(line string) {
	if alt, ok := strings.CutPrefix(line, "!banner "); ok {
		e.Banner, line = true, alt
	}
	if e.Text != "" {
		e.Text += "\n"
	}
	e.Text += line
}

func fields(s string, n int) []string {
	out := strings.Split(s, "|")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	for len(out) < n {
		out = append(out, "")
	}
	return out
}

func options(s string) map[string]string {
	opts := map[string]string{}
	for word := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(word, "=")
		opts[name] = value
	}
	return opts
}

// parseThread reads KEY | title | options.
func parseThread(s string) *thread {
	f := fields(s, 3)
	return &thread{key: f[0], title: f[1], opts: options(f[2])}
}

var (
	stances    = []string{"offer", "report", "warning", "question", "legal", "other"}
	categories = []string{
		"debt_relief_scam", "anti_collection_tutorial", "fake_documents", "illegal_loan_broker", "illegal_deposit_broker",
		"debt_evasion", "insurance_surrender_agency", "insurance_claim_fraud", "credit_repair", "cashout",
		"professional_complaint", "illegal_fundraising", "false_litigation", "account_trade",
	}
	evasions = []string{
		"fullwidth", "styled_letters", "traditional", "zero_width", "combining_marks", "compat_ideograph", "homoglyph",
		"separators", "filler", "emoji", "vertical", "repeated", "reversed", "split_radicals", "homophone", "lookalike",
		"pinyin", "initials", "mars_text", "bopomofo", "upside_down", "digit_disguise",
	}
	contactTypes = []string{"wechat", "qq", "qq_group", "phone", "telegram", "url"}
	rePostKey    = regexp.MustCompile(`^[0-9]+$`)
	reAge        = regexp.MustCompile(`^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?$`)
	reEscape     = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)
)

// parsePost reads KEY | age | author | stance category | evasions | contacts | options.
func parsePost(s string) (*Entry, error) {
	f := fields(s, 7)
	e := &Entry{Key: f[0], Author: f[2]}
	if !rePostKey.MatchString(e.Key) {
		return nil, fmt.Errorf("key %q is no number; write -- KEY | age | author | stance", e.Key)
	}
	m := reAge.FindStringSubmatch(f[1])
	if m == nil || f[1] == "" {
		return nil, fmt.Errorf("age %q cannot be read; write it as 3d4h12m", f[1])
	}
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		n, _ := strconv.Atoi(m[i+1]) // "" is none
		e.Age += time.Duration(n) * unit
	}
	if e.Author == "" {
		return nil, fmt.Errorf("author is missing")
	}
	opts := options(f[6])
	e.Kind, e.Region = opts["kind"], opts["region"]
	return e, e.Label.parse(f[3], strings.Fields(f[4]), strings.Fields(f[5]))
}

func (l *Label) parse(stance string, evasion, contacts []string) error {
	l.Stance, l.Category, _ = strings.Cut(stance, " ")
	if !slices.Contains(stances, l.Stance) {
		return fmt.Errorf("unknown stance %q; use one of %s", l.Stance, strings.Join(stances, ", "))
	}
	if (l.Stance == "offer") != slices.Contains(categories, l.Category) {
		return fmt.Errorf("stance %q does not go with category %q; only an offer has one, of %s", l.Stance, l.Category, strings.Join(categories, ", "))
	}
	l.Flagged = l.Category != ""
	for _, name := range evasion {
		if !slices.Contains(evasions, name) {
			return fmt.Errorf("unknown evasion %q; use some of %s", name, strings.Join(evasions, ", "))
		}
	}
	for _, c := range contacts {
		kind, value, _ := strings.Cut(c, ":")
		if !slices.Contains(contactTypes, kind) || value == "" {
			return fmt.Errorf("contact %q cannot be read; write type:value with one of %s", c, strings.Join(contactTypes, ", "))
		}
	}
	l.Evasion, l.Contacts = evasion, contacts
	return nil
}

// unescape turns \u200b and the like into the characters, which an editor
// would not show.
func unescape(line string) (string, error) {
	var err error
	out := reEscape.ReplaceAllStringFunc(line, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 16, 32) // four hexadecimal digits
		if n >= 0xD800 && n < 0xE000 {
			err = fmt.Errorf("%s is half a character; write the character itself", s)
		}
		return string(rune(n))
	})
	return out, err
}
