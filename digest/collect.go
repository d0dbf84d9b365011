package digest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"qingyuan/classify"
	"qingyuan/index"
)

// counts are the numbers of one day.
type counts struct {
	posts, hits, dismissed int
	stance, source         map[string]int // of posts
	severity, hitSource    map[string]int // of hits
	status                 map[string]int // of hits
}

// hitQuery matches the flagged posts of a time range, without or with those
// that an analyst dismissed.
func (b *builder) hitQuery(from, to time.Time, dismissed bool) string {
	q := index.And{index.Equal{Field: "flagged", Value: "true"}, index.TimeRange{Field: "ingested", From: from, To: to}}
	if !dismissed {
		q = append(q, index.Not{X: index.Equal{Field: "status", Value: string(index.StatusDismissed)}})
	}
	if b.filter != nil {
		q = append(q, b.filter)
	}
	if b.silent != nil {
		q = append(q, index.Not{X: b.silent})
	}
	return q.String()
}

// countSilenced counts the hits of the period that silences leave out.
func (b *builder) countSilenced(ctx context.Context) error {
	if b.silent == nil {
		return nil
	}
	silent := b.silent
	b.silent = nil
	all := b.hitQuery(b.d.From, b.d.To, false)
	b.silent = silent
	page, err := b.store.Search(ctx, index.Query{Text: all, Limit: 1})
	if err != nil {
		return fmt.Errorf("counting silenced hits: %w", err)
	}
	b.d.Silenced = page.Total - b.d.Totals.Hits.Count
	return nil
}

func (b *builder) count(ctx context.Context, from, to time.Time) (counts, error) {
	var c counts
	all := index.TimeRange{Field: "ingested", From: from, To: to}.String()
	posts, err := b.facets(ctx, all, index.FacetFlagged, index.FacetStance, index.FacetSource)
	if err != nil {
		return c, fmt.Errorf("counting posts: %w", err)
	}
	flagged, err := b.facets(ctx, b.hitQuery(from, to, true), index.FacetStatus)
	if err != nil {
		return c, fmt.Errorf("counting hits: %w", err)
	}
	hits, err := b.facets(ctx, b.hitQuery(from, to, false), index.FacetSeverity, index.FacetSource)
	if err != nil {
		return c, fmt.Errorf("counting hits: %w", err)
	}
	c.posts = posts[index.FacetFlagged]["true"] + posts[index.FacetFlagged]["false"]
	c.stance, c.source = posts[index.FacetStance], posts[index.FacetSource]
	c.severity, c.hitSource = hits[index.FacetSeverity], hits[index.FacetSource]
	c.status = flagged[index.FacetStatus]
	c.dismissed = c.status[string(index.StatusDismissed)]
	delete(c.status, string(index.StatusDismissed))
	for _, n := range c.status {
		c.hits += n
	}
	return c, nil
}

func (b *builder) facets(ctx context.Context, query string, fields ...string) (map[string]map[string]int, error) {
	found, err := b.store.Facets(ctx, index.Query{Text: query}, fields, 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]map[string]int, len(fields))
	for _, f := range fields {
		out[f] = make(map[string]int, len(found[f]))
		for _, c := range found[f] {
			out[f][c.Value] = c.Count
		}
	}
	return out, nil
}

func (b *builder) totals(today, yesterday counts) {
	d := &b.d
	d.Totals.Posts = Change{today.posts, yesterday.posts}
	d.Totals.Hits = Change{today.hits, yesterday.hits}
	d.Totals.Dismissed = Change{today.dismissed, yesterday.dismissed}
	d.BySeverity, d.ByStance, d.ByStatus = []Count{}, []Count{}, []Count{}
	for _, s := range slices.Backward(severities[:]) {
		c := Change{today.severity[string(s)], yesterday.severity[string(s)]}
		d.BySeverity = append(d.BySeverity, Count{string(s), b.name("severity", string(s)), c})
		if severityRank(s) >= severityRank(classify.SeverityHigh) {
			d.Totals.Severe.Count += c.Count
			d.Totals.Severe.Before += c.Before
		}
	}
	for _, s := range classify.Stances {
		d.ByStance = append(d.ByStance, Count{string(s), b.name("stance", string(s)), Change{today.stance[string(s)], yesterday.stance[string(s)]}})
	}
	for _, s := range index.Statuses {
		if n := today.status[string(s)]; n > 0 {
			d.ByStatus = append(d.ByStatus, Count{string(s), b.name("status", string(s)), Change{Count: n}})
		}
	}
	names := map[string]bool{}
	for s := range today.source {
		names[s] = true
	}
	for s := range yesterday.source {
		names[s] = true
	}
	sites := make([]Site, 0, len(names))
	for s := range names {
		sites = append(sites, Site{Name: label(s), Posts: Change{today.source[s], yesterday.source[s]}, Hits: Change{today.hitSource[s], yesterday.hitSource[s]}})
	}
	slices.SortFunc(sites, func(x, y Site) int {
		return cmp.Or(cmp.Compare(y.Hits.Count, x.Hits.Count), cmp.Compare(y.Posts.Count, x.Posts.Count), strings.Compare(x.Name, y.Name))
	})
	d.Sites = list(sites, b.opts.Top)
}

// severities, lowest first.
var severities = [...]classify.Severity{classify.SeverityLow, classify.SeverityMedium, classify.SeverityHigh, classify.SeverityCritical}

func severityRank(s classify.Severity) int { return slices.Index(severities[:], s) }

func list[T any](items []T, n int) List[T] {
	l := List[T]{Items: items, Total: len(items)}
	if len(items) > n {
		l.Items = items[:n:n]
	}
	if l.Items == nil {
		l.Items = []T{}
	}
	return l
}

// maxEntities is how many contacts of one hit count: more are a list, not an ad.
const maxEntities = 50

// sighting is what is kept of a hit while all are read.
type sighting struct {
	id       string
	site     string
	severity int
	score    float64
	ingested time.Time
	edited   bool // known before the day with another content
	campaign string
	text     [16]byte
	long     bool // text says enough to compare
	contacts []int32
}

// stronger orders sightings: severe ones first, then by score, newest first.
func stronger(x, y sighting) int {
	return cmp.Or(cmp.Compare(y.severity, x.severity), cmp.Compare(y.score, x.score), y.ingested.Compare(x.ingested), strings.Compare(x.id, y.id))
}

// contactKey is a contact as it is compared.
type contactKey struct{ kind, value string }

// findings are all hits of the day, strongest first, and their contacts.
type findings struct {
	hits     []sighting
	contacts []contactKey
	names    map[string]int // strongest category → hits
}

// scan reads the day's hits, keeping little of each.
func (b *builder) scan(ctx context.Context) (*findings, error) {
	f := &findings{names: map[string]int{}}
	numbers := map[contactKey]int32{}
	n, err := b.each(ctx, b.d.From, b.d.To, b.d.Totals.Hits.Count, func(r index.Record) {
		f.names[strongest(r.Verdict)]++
		s := sighting{id: r.Post.ID, site: r.Post.Source, severity: severityRank(r.Verdict.Severity), score: r.Verdict.Score, ingested: r.IngestedAt, campaign: r.Campaign.ID,
			edited: r.Revisions > 0 && r.FirstSeen.Before(b.d.From)}
		s.text, s.long = textHash(r)
		for _, e := range r.Verdict.Entities {
			if e.Official || !slices.Contains(index.ContactTypes[:], e.Type) || len(s.contacts) == maxEntities {
				continue
			}
			k := contactKey{e.Type, index.FieldValue("contact", e.Value)}
			if k.value == "" {
				continue
			}
			i, ok := numbers[k]
			if !ok {
				i = int32(len(f.contacts))
				numbers[k] = i
				f.contacts = append(f.contacts, k)
			}
			if !slices.Contains(s.contacts, i) {
				s.contacts = append(s.contacts, i)
			}
		}
		f.hits = append(f.hits, s)
	})
	if err != nil {
		return nil, fmt.Errorf("reading hits: %w", err)
	}
	b.d.Scanned = n
	slices.SortFunc(f.hits, stronger)
	return f, nil
}

// each calls fn for the hits of a time range, at most MaxScan of them, and
// returns how many. total is about how many there are: only when it is over
// the limit does the order of reading matter.
func (b *builder) each(ctx context.Context, from, to time.Time, total int, fn func(index.Record)) (int, error) {
	q := index.Query{Text: b.hitQuery(from, to, false), Sort: index.SortIngested, Limit: index.MaxLimit, NoTotal: true}
	if total > MaxScan {
		q.Sort = index.SortScore
	}
	n := 0
	for {
		page, err := b.store.Search(ctx, q)
		if err != nil {
			return n, err
		}
		for _, h := range page.Hits {
			if n == MaxScan {
				return n, nil
			}
			n++
			fn(h.Record)
		}
		if page.Next == "" {
			return n, nil
		}
		q.After = page.Next
	}
}

// categories counts both days' hits by their strongest category; the facet of
// the store would count a hit under every category of which it has a trace.
func (b *builder) categories(ctx context.Context, f *findings, yesterday int) error {
	before := map[string]int{}
	if yesterday > 0 {
		if _, err := b.each(ctx, b.before, b.d.From, yesterday, func(r index.Record) { before[strongest(r.Verdict)]++ }); err != nil {
			return fmt.Errorf("reading the previous day's hits: %w", err)
		}
	}
	b.d.ByCategory = []Count{}
	add := func(id string) {
		if c := (Change{f.names[id], before[id]}); c != (Change{}) {
			b.d.ByCategory = append(b.d.ByCategory, Count{id, b.categoryName(id), c})
		}
		delete(f.names, id)
		delete(before, id)
	}
	for _, c := range b.opts.Categories {
		add(c.ID)
	}
	var others []string
	for id := range f.names {
		others = append(others, id)
	}
	for id := range before {
		others = append(others, id)
	}
	slices.Sort(others)
	for _, id := range slices.Compact(others) {
		add(id)
	}
	slices.SortStableFunc(b.d.ByCategory, func(x, y Count) int { return cmp.Compare(y.Count, x.Count) })
	return nil
}

// strongest returns the verdict's first category, "" when it has none.
func strongest(v classify.Verdict) string {
	if len(v.Categories) == 0 {
		return ""
	}
	return v.Categories[0].ID
}

// minText is the least number of letters and digits by which two texts can be
// called the same ad.
const minText = 10

// textHash hashes the letters and digits of the normalised text.
func textHash(r index.Record) (sum [16]byte, long bool) {
	n := 0
	text := strings.Map(func(c rune) rune {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return -1
		}
		n++
		return c
	}, classify.Normalize(r.Post.FullText()))
	full := sha256.Sum256([]byte(text))
	return [16]byte(full[:16]), n >= minText
}
