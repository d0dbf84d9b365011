// Package digest tells the people who cannot read every hit what one day, or
// one period, brought: how much, of what kind, who is new, and which few to
// look at.
//
// What comes in: an index.Store and a day or period. What goes out: a Digest, a plain
// value with stable JSON names that renders itself as mail-ready HTML and as
// aligned plain text. Every list is bounded and says how much it leaves out.
// The package does not know who reads the digest, how it is sent, or whether
// it was sent before.
package digest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
)

// Limits of a digest. What lies beyond them is counted and said.
const (
	DefaultTop  = 20    // hits listed when Options.Top is 0
	MaxTop      = 200   // largest Options.Top
	MaxScan     = 50000 // hits of a day that are read one by one; of more, those with the highest scores
	MaxContacts = 5000  // distinct contacts of a day that are compared with earlier hits
)

// Options say which day to tell of, and how. Only Day, or From and To, is
// required.
type Options struct {
	Day time.Time // any instant of the day
	// From and To, the latter exclusive, tell of a period in place of Day. It is
	// compared with the period of the same length before.
	From, To   time.Time
	Location   *time.Location      // where the day begins and ends; nil is index.China()
	Language   string              // "zh" (when empty) or "en"
	Categories []classify.Category // the taxonomy: names and order; a category that is not in it is shown by its id
	// BaseURL is where the triage pages are, such as https://triage.example/qy;
	// hits then link to BaseURL/post/{id}. Empty: no links.
	BaseURL string
	// Query narrows the hits, in the query language; empty is all of them.
	// Posts and sites are counted regardless.
	Query string
	// Silences are queries whose hits are counted and not told of.
	Silences []string
	Now      time.Time // when the digest is made; zero is the present
	// ShowContacts writes contacts out. By default they are masked wherever they
	// were recognised, because a digest leaves the system.
	ShowContacts bool
	// Top is how many hits are listed: 1 to MaxTop, DefaultTop when 0. The other
	// lists are half as long.
	Top int
	// Told is what the reader was told before, by campaign: a campaign of which
	// there is no news is counted and not listed again. Nil lists everything.
	Told map[string]Told
}

// Told is what a reader was told of a campaign.
type Told struct {
	Members  int               `json:"members"`  // hits told of
	Severity classify.Severity `json:"severity"` // highest of them
	Contacts []string          `json:"contacts"` // hashes of those they name; at most MaxToldContacts
}

// What makes a campaign news again, besides a contact or a severity not told.
const (
	// Growth is how many times the members told of a campaign must have, to be
	// worth telling again.
	Growth = 2
	// MaxToldContacts is how many contacts of a campaign are remembered; one with
	// more is told of by growth and severity only.
	MaxToldContacts = 200
)

// Digest is one day. A hit is a flagged post that no analyst dismissed. A post
// belongs to the day on which its present content entered the index, so that
// an edited post moves to the day of the edit.
type Digest struct {
	Schema      int       `json:"schema"` // of this JSON; 1
	Language    string    `json:"language"`
	GeneratedAt time.Time `json:"generated_at"`
	From        time.Time `json:"from"` // of ingested_at, inclusive; in the digest's time zone
	To          time.Time `json:"to"`   // exclusive
	Complete    bool      `json:"complete"`
	Masked      bool      `json:"masked"`
	BaseURL     string    `json:"base_url,omitempty"`
	Query       string    `json:"query,omitempty"` // what the hits were narrowed by

	Totals     Totals  `json:"totals"`
	ByCategory []Count `json:"by_category"` // hits by their strongest category
	BySeverity []Count `json:"by_severity"` // hits, most severe first
	ByStance   []Count `json:"by_stance"`   // posts
	ByStatus   []Count `json:"by_status"`   // hits, where they stand in triage now; no comparison

	Hits        List[Hit]     `json:"hits"`         // most severe first, near-identical ones folded
	NewContacts List[Contact] `json:"new_contacts"` // in no hit before the day
	TopContacts List[Contact] `json:"top_contacts"` // in the most hits
	Groups      List[Group]   `json:"groups"`       // two or more near-identical hits
	Sites       List[Site]    `json:"sites"`        // that brought posts on this day or the one before

	// Continuing is what Hits leaves out because Options.Told knows it: groups
	// and their hits of which there is no news.
	Continuing ContinuingHits `json:"continuing"`
	// Silenced is how many hits Options.Silences leave out of everything else.
	Silenced int `json:"silenced"`
	// Campaigns is what a reader of this digest has been told, together with
	// Options.Told, by campaign; only those with hits in the period.
	Campaigns map[string]Told `json:"-"`

	// Scanned is how many hits were read for categories, contacts, groups and the
	// list of hits: fewer than Totals.Hits only on a day of more than MaxScan.
	Scanned int `json:"scanned"`
	// UncheckedContacts is how many distinct contacts were not compared with
	// earlier hits: those beyond MaxContacts, and overlong ones.
	UncheckedContacts int `json:"unchecked_contacts"`
}

// Totals are the day's numbers and, as Before, those of the previous day as
// the index has them now.
type Totals struct {
	Posts       Change `json:"posts"`     // new or edited posts of any kind
	Hits        Change `json:"hits"`      // flagged and not dismissed
	Severe      Change `json:"severe"`    // hits of severity high or critical
	Dismissed   Change `json:"dismissed"` // flagged, then dismissed by an analyst
	NewContacts int    `json:"new_contacts"`
	Contacts    int    `json:"contacts"` // distinct ones
}

// ContinuingHits counts what only goes on.
type ContinuingHits struct {
	Groups int `json:"groups"`
	Hits   int `json:"hits"`
}

// Change is a number of the day beside that of the previous day.
type Change struct {
	Count  int `json:"count"`
	Before int `json:"before"`
}

// Count is a Change for one value of a field.
type Count struct {
	ID   string `json:"id"`
	Name string `json:"name"` // in the digest's language
	Change
}

// List is the beginning of a longer list.
type List[T any] struct {
	Items []T `json:"items"` // never nil
	Total int `json:"total"` // length of the whole list
}

// Hit is a flagged post worth a look. Its texts are cut, and made safe to
// print: no control or direction characters, addresses not clickable.
type Hit struct {
	ID           string            `json:"id"`
	Site         string            `json:"site"`
	Author       string            `json:"author,omitempty"`
	Title        string            `json:"title,omitempty"`
	Excerpt      string            `json:"excerpt,omitempty"` // of the text, around the first evidence
	Category     string            `json:"category"`
	CategoryName string            `json:"category_name"`
	Severity     classify.Severity `json:"severity"`
	Score        float64           `json:"score"`
	Status       index.Status      `json:"status"`
	Reason       string            `json:"reason"` // one line, in the digest's language
	PublishedAt  time.Time         `json:"published_at,omitzero"`
	IngestedAt   time.Time         `json:"ingested_at"`
	Edited       bool              `json:"edited,omitempty"` // known before the day, with another content
	Gone         bool              `json:"gone,omitempty"`   // no longer on its site
	Copies       int               `json:"copies"`           // near-identical hits folded into this one, itself not counted
}

// Contact is somebody's account or number that hits of the day name.
type Contact struct {
	Type   string `json:"type"`   // an entity type, such as wechat
	Value  string `json:"value"`  // normalised; masked when Digest.Masked
	Hits   int    `json:"hits"`   // of the day
	Sites  int    `json:"sites"`  // distinct, of the day
	Before int    `json:"before"` // hits before the day; −1 when not compared
	New    bool   `json:"new"`    // in no hit before the day
	HitID  string `json:"hit_id"` // the strongest hit of the day that names it
}

// Group is a set of hits that share a contact or whose normalised texts are
// identical; hits are chained, so that two of a group may have neither in
// common. Copies with changed wording and another contact are not found.
type Group struct {
	HitID    string    `json:"hit_id"` // its strongest hit
	Label    string    `json:"label"`  // title or beginning of that hit
	Size     int       `json:"size"`
	Sites    int       `json:"sites"`
	By       string    `json:"by"`       // contact, text or both: what the hits share
	Contacts []Contact `json:"contacts"` // the shared ones, at most 3; never nil
}

// Site is a crawl source.
type Site struct {
	Name  string `json:"name"`
	Posts Change `json:"posts"`
	Hits  Change `json:"hits"`
}

// Build reads one day from the store. It fails on wrong options, on a query
// that does not parse (*index.QueryError) and with the store's errors. The
// numbers are read one after the other: while the day is not over, or analysts
// are at work, they may differ by what happened in between.
func Build(ctx context.Context, store index.Store, opts Options) (Digest, error) {
	b, err := newBuilder(store, opts)
	if err != nil {
		return Digest{}, err
	}
	if err := b.build(ctx); err != nil {
		return Digest{}, fmt.Errorf("digest of %s: %w", b.d.From.Format(time.DateOnly), err)
	}
	return b.d, nil
}

// builder holds what Build needs on its way.
type builder struct {
	store  index.Store
	opts   Options
	words  map[string]string
	names  map[string]string // of categories
	filter index.Expr        // nil when all hits are wanted
	silent index.Expr        // hits to leave out; nil for none
	before time.Time         // start of the previous day
	d      Digest
}

func newBuilder(store index.Store, opts Options) (*builder, error) {
	var errs []error
	switch {
	case opts.From.IsZero() != opts.To.IsZero() || !opts.From.IsZero() && !opts.From.Before(opts.To):
		errs = append(errs, errors.New("digest: a period needs From before To"))
	case opts.Day.IsZero() && opts.From.IsZero():
		errs = append(errs, errors.New("digest: no day given"))
	}
	if opts.Language == "" {
		opts.Language = "zh"
	}
	if labels[opts.Language] == nil {
		errs = append(errs, fmt.Errorf("digest: language %q is not zh or en", opts.Language))
	}
	if opts.Top == 0 {
		opts.Top = DefaultTop
	}
	if opts.Top < 1 || opts.Top > MaxTop {
		errs = append(errs, fmt.Errorf("digest: top %d is not between 1 and %d", opts.Top, MaxTop))
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	if opts.Location == nil {
		opts.Location = index.China()
	}
	opts.BaseURL = strings.TrimRight(opts.BaseURL, "/")
	if u, err := url.Parse(opts.BaseURL); opts.BaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "") {
		errs = append(errs, fmt.Errorf("digest: base URL %q is not an http(s) address without query", opts.BaseURL))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	b := &builder{store: store, opts: opts, words: labels[opts.Language], names: map[string]string{}}
	if strings.TrimSpace(opts.Query) != "" {
		e, err := index.Parse(opts.Query, opts.Now.In(opts.Location))
		if err != nil {
			return nil, err
		}
		b.filter = e
	}
	var silent index.Or
	for _, q := range opts.Silences {
		e, err := index.Parse(q, opts.Now.In(opts.Location))
		if err != nil {
			return nil, fmt.Errorf("silence %q: %w", q, err)
		}
		if silent = append(silent, e); b.silent == nil {
			b.silent = e
		} else {
			b.silent = silent
		}
	}
	for _, c := range opts.Categories {
		b.names[c.ID] = c.Name.In(opts.Language)
	}
	b.d = Digest{
		Schema: 1, Language: opts.Language, BaseURL: opts.BaseURL, Query: opts.Query, Masked: !opts.ShowContacts,
		GeneratedAt: opts.Now.In(opts.Location).Truncate(time.Second),
		From:        opts.From.In(opts.Location), To: opts.To.In(opts.Location),
	}
	b.before = b.d.From.Add(b.d.From.Sub(b.d.To))
	if opts.From.IsZero() {
		y, m, day := opts.Day.In(opts.Location).Date()
		b.before = time.Date(y, m, day-1, 0, 0, 0, 0, opts.Location)
		b.d.From = time.Date(y, m, day, 0, 0, 0, 0, opts.Location)
		b.d.To = time.Date(y, m, day+1, 0, 0, 0, 0, opts.Location)
	}
	b.d.Complete = !opts.Now.Before(b.d.To)
	return b, nil
}

func (b *builder) build(ctx context.Context) error {
	today, err := b.count(ctx, b.d.From, b.d.To)
	if err != nil {
		return err
	}
	yesterday, err := b.count(ctx, b.before, b.d.From)
	if err != nil {
		return err
	}
	b.totals(today, yesterday)
	if err := b.countSilenced(ctx); err != nil {
		return err
	}
	found, err := b.scan(ctx)
	if err != nil {
		return err
	}
	if err := b.categories(ctx, found, yesterday.hits); err != nil {
		return err
	}
	if err := b.contacts(ctx, found); err != nil {
		return err
	}
	return b.list(ctx, found)
}

// short is the length of the lists beside the hits.
func (b *builder) short() int { return max(1, b.opts.Top/2) }

// name returns the label of a value such as severity "high".
func (b *builder) name(field, id string) string {
	if w, ok := b.words[field+"."+id]; ok {
		return w
	}
	return label(id)
}

func (b *builder) categoryName(id string) string {
	if n := b.names[id]; n != "" {
		return n
	}
	return label(id)
}
