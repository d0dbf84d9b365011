package crawler

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/post"
)

// How many first fetches without anything new a kind of page has until its
// links are left out. What looks like a trap has less credit. Each page that
// does yield gives the same credit once more, so that a kind of which one in
// twenty has something new stays open.
const (
	creditPattern = 20 // pages of one pattern
	creditDate    = 3  // that name a date
	creditOffDate = 2  // that name a date in the future
	creditDouble  = 3  // of a site whose path has a word twice
	creditSpoken  = 6  // pages of one pattern without any number
	creditWord    = 4  // with a parameter whose value is a word: orders, filters, views
	creditFolder  = 12 // below one folder
	creditSeries  = 2  // pages of one list or thread in a row that show the same
	creditStale   = 30 // that show nothing new: what is on them may be known from a feed
	creditToken   = 2  // pages that were the same under two values of a parameter
	boosted       = 2  // first pages of a new pattern that are fetched before others, to know its worth early
	maxBoosted    = 40 // patterns of a site that are
)

// Bounds of what is remembered of a site.
const (
	maxFeatures = 4000
	maxSeries   = 20_000
	maxIdle     = 200    // parameters
	maxPrints   = 20_000 // in each of two generations; a site without end forgets the oldest
)

// traps tells pages that lead nowhere new from the rest, by what pages of
// their kind have yielded so far. It is safe for concurrent use.
type traps struct {
	now func() time.Time

	mu    sync.Mutex
	sites map[string]*siteTraps
}

// siteTraps is what is known of one source.
type siteTraps struct {
	features map[uint64]*feature
	params   map[string]*tokenProof // by parameter
	series   map[uint64]series      // lists and threads of several pages
	seen     generations[struct{}]  // links and posts
	same     generations[firstSeen] // pages by what is left of a URL without tokens
	used     map[string]int         // budgets of the pass
	since    time.Time              // begin of the pass
	patterns map[string]int         // links taken, while a pattern is new
	learned  int                    // pages since the last save
	loaded   bool
	base     trapBase // what was last saved, or read at the start
}

// feature is one property of URLs with what it has yielded.
type feature struct {
	Fetched int // for the first time
	Yielded int // of these, with something new
	Refused int
	Tried   int // of a pattern: Fetched and those whose worth was open
}

// series is a list or thread of several pages.
type series struct {
	print uint64 // of the page last seen
	same  int    // pages in a row that showed what the one before did
	stale int    // pages in a row without anything new
}

// endless says why further pages are not worth a fetch.
func (x series) endless(name string) string {
	switch {
	case x.same >= creditSeries:
		return fmt.Sprintf("trap: endless pagination: %d pages in a row of %s show the same", x.same+1, name)
	case x.stale >= creditStale:
		return fmt.Sprintf("trap: endless pagination: %d pages in a row of %s brought nothing new", x.stale, name)
	}
	return ""
}

type tokenProof struct{ Same, Differ int }

type firstSeen struct {
	url   uint64 // hash of the whole URL
	print uint64 // of the content; 0: not fetched
}

// generations is a map that forgets the older half when it is full.
type generations[V any] struct{ young, old map[uint64]V }

func (g *generations[V]) get(k uint64) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	return v, ok
}

func (g *generations[V]) put(k uint64, v V) {
	if g.young == nil || len(g.young) >= maxPrints {
		g.old, g.young = g.young, map[uint64]V{}
	}
	g.young[k] = v
}

func newSiteTraps() *siteTraps {
	return &siteTraps{
		features: map[uint64]*feature{}, params: map[string]*tokenProof{}, series: map[uint64]series{},
		used: map[string]int{}, patterns: map[string]int{},
	}
}

// of gives the state of a source; t.mu is held.
func (t *traps) of(source string) *siteTraps {
	if t.sites == nil {
		t.sites = map[string]*siteTraps{}
	}
	s := t.sites[source]
	if s == nil {
		s = newSiteTraps()
		t.sites[source] = s
	}
	return s
}

// suspect is a feature of a URL with its credit.
type suspect struct {
	key    uint64
	credit int
	what   string
}

// suspects lists the features by which a URL may be left out.
func suspects(sh urlShape) []suspect {
	credit := creditPattern
	switch {
	case sh.date:
		credit = creditDate
	case !strings.Contains(sh.pattern, "{n}"):
		credit = creditSpoken
	}
	out := []suspect{{hash64("pattern", sh.pattern), credit, "pages like " + sh.pattern}}
	if sh.offDate {
		out = append(out, suspect{hash64("off", sh.pattern), creditOffDate, "dates outside of the present, as in " + sh.pattern})
	}
	host, rest, _ := strings.Cut(sh.path, "/")
	if sh.double {
		out = append(out, suspect{hash64("double", host), creditDouble, "paths of " + host + " with a word twice"})
	}
	if folder, _, ok := strings.Cut(rest, "/"); ok && folder != "" {
		out = append(out, suspect{hash64("folder", host, folder), creditFolder, "pages below /" + folder + "/"})
	}
	for _, p := range sh.params {
		name, value := p.name(), p.value()
		if isDecimal(value) || isToken(value) {
			continue
		}
		credit := creditWord
		if enumParams[name] {
			credit = creditPattern
		}
		out = append(out, suspect{hash64("param", sh.path, name), credit, "parameter " + name + " of " + sh.path})
	}
	return out
}

// closed reports whether a feature has used up its credit.
func (s *siteTraps) closed(x suspect) bool {
	f := s.features[x.key]
	return f != nil && f.Fetched >= x.credit*(1+f.Yielded)
}

// refuses says why a URL is not worth a fetch; "" when it is. With count, a
// closed kind gets another try after many refusals: at the 64th, the 256th …
func (s *siteTraps) refuses(canonical string, sh urlShape, count bool) string {
	if sh.odd != "" {
		return "trap: " + sh.odd
	}
	if why := s.duplicate(canonical, sh); why != "" {
		return why
	}
	for _, x := range suspects(sh) {
		if !s.closed(x) {
			continue
		}
		f := s.features[x.key]
		if count {
			f.Refused++
			if r := f.Refused; r >= 64 && r&(r-1) == 0 && r&0x5555555555555555 != 0 {
				return ""
			}
		}
		return fmt.Sprintf("trap: %s brought something new %d times out of %d", x.what, f.Yielded, f.Fetched)
	}
	return ""
}

// duplicate says that a URL differs from one known only in what was seen to
// change nothing.
func (s *siteTraps) duplicate(canonical string, sh urlShape) string {
	if !s.idle(sh.tokens) {
		return ""
	}
	without := ""
	switch {
	case len(sh.words) > 0 && s.idle(sh.words):
		without = sh.core
	case len(sh.tokens) > 0:
		without = sh.bare
	default:
		return ""
	}
	first, known := s.same.get(hash64(without))
	if !known || first.url == hash64(canonical) {
		return ""
	}
	what, names := "session id", sh.tokens
	if without == sh.core && len(sh.words) > 0 {
		what, names = "idle parameter", append(slices.Clone(names), sh.words...)
	}
	return fmt.Sprintf("trap: %s: %s changes nothing; duplicate of %s", what, strings.Join(names, ", "), without)
}

// idle reports whether all of the parameters were seen to change nothing.
func (s *siteTraps) idle(names []string) bool {
	for _, name := range names {
		if p := s.params[name]; p == nil || p.Same < creditToken || p.Differ > 0 {
			return false
		}
	}
	return true
}

// take notes that a link is taken, so that its duplicates are known.
func (s *siteTraps) take(canonical string, sh urlShape) {
	plain := len(sh.tokens)+len(sh.words) == 0
	for _, u := range []string{sh.bare, sh.core} {
		if first, known := s.same.get(hash64(u)); !known || plain {
			s.same.put(hash64(u), firstSeen{hash64(canonical), first.print}) // the plain URL stands for the others
		}
	}
}

// boost says whether a link is among the first of its kind.
func (s *siteTraps) boost(sh urlShape) bool {
	n, known := s.patterns[sh.pattern]
	if !known && len(s.patterns) >= maxBoosted {
		return false
	}
	s.patterns[sh.pattern] = n + 1
	return n < boosted
}

// probe says whether fetching a URL at once would show what its tokens are
// worth: the page without them was fetched, and few such were tried.
func (s *siteTraps) probe(sh urlShape) bool {
	first, known := s.same.get(hash64(sh.bare))
	name := "tokens " + strings.Join(sh.tokens, ",")
	if !known || first.print == 0 || s.patterns[name] >= creditToken {
		return false
	}
	s.patterns[name]++
	return true
}

// refusal is a link left out with its reason.
type refusal struct {
	task   frontier.Task
	reason string
}

// screen sorts the links of a page: those to take, and those left out. page
// is the canonical URL they stand on. shown sums up which links there are,
// further pages of the same list or thread aside.
func (t *traps) screen(source, page string, links []frontier.Task) (kept []seenLink, left []refusal, shown uint64) {
	now := t.now()
	shapes := make([]seenLink, len(links))
	for i, k := range links {
		shapes[i] = seenLink{task: k, shape: shapeOf(k.URL, now)}
		shapes[i].series, _ = seriesOf(page, k.URL)
		if shapes[i].series == "" {
			shown += hash64(shapes[i].shape.core) // in any order
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	kept = shapes[:0]
	for _, x := range shapes {
		k, sh := x.task, x.shape
		why := s.refuses(k.URL, sh, true)
		if why == "" {
			if x.series != "" {
				why = s.series[hash64(x.series)].endless(x.series)
			}
		}
		if why != "" {
			left = append(left, refusal{k, why})
			continue
		}
		s.take(k.URL, sh)
		switch {
		case len(sh.tokens) > 0 && s.probe(sh):
			k.Priority += boostBy
		case len(sh.tokens) > 0:
			k.Priority -= boostBy // most are known without the token by the time it is their turn
		case len(sh.words) == 0 && s.boost(sh):
			k.Priority += boostBy
		}
		kept = append(kept, seenLink{k, sh, x.series})
	}
	return kept, left, shown
}

// seenLink is a link of a page with what was seen of its URL.
type seenLink struct {
	task   frontier.Task
	shape  urlShape
	series string // the list or thread that both are pages of; "" for none
}

// boostBy lifts the first pages of a new kind over everything else, and puts
// URLs with tokens behind.
const boostBy = 1000

// judge says why a task that was leased is not worth its first fetch.
func (t *traps) judge(source, canonical string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, sh := t.of(source), shapeOf(canonical, t.now())
	if sh.odd != "" {
		return "" // it was taken before the rule was known, or is a seed
	}
	return s.refuses(canonical, sh, true)
}

// learn takes in what the first fetch of a page brought. links are those of
// the page that screen has kept, shown is of all.
func (t *traps) learn(source string, l frontier.Lease, posts []post.Post, links []seenLink, shown uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, now := t.of(source), t.now()
	s.learned++
	sh := shapeOf(l.URL, now)
	print, fresh := s.fresh(posts)
	undecided := false
	for _, k := range links {
		target := k.shape
		key := hash64("link", target.bare)
		if _, known := s.seen.get(key); known {
			continue
		}
		s.seen.put(key, struct{}{})
		switch {
		case k.series != "": // the next page is no news by itself
		case target.pattern == sh.pattern:
		case s.proven(target):
			fresh = true
		case !s.tried(target):
			undecided = true // nobody knows yet what is there
		}
	}
	if print != 0 {
		shown = print
	}
	s.inSeries(l, shown, fresh || undecided)
	s.compare(l.URL, sh, print)
	for i, x := range suspects(sh) {
		f := s.features[x.key]
		if f == nil {
			if len(s.features) >= maxFeatures {
				continue
			}
			f = &feature{}
			s.features[x.key] = f
		}
		if i == 0 {
			f.Tried++
		}
		if undecided && !fresh {
			continue
		}
		f.Fetched++
		if fresh {
			f.Yielded++
		}
	}
}

// fresh fingerprints the posts of a page and says whether one was never seen.
func (s *siteTraps) fresh(posts []post.Post) (print uint64, fresh bool) {
	if len(posts) == 0 {
		return 0, false
	}
	prints := make([]uint64, 0, len(posts))
	for _, p := range posts {
		sum := sha256.Sum256([]byte(p.Title + "\x00" + p.Text + "\x00" + p.Author.Name + "\x00" + p.PublishedAt.UTC().Format(time.RFC3339)))
		key := binary.LittleEndian.Uint64(sum[:])
		prints = append(prints, key)
		if _, known := s.seen.get(key); !known {
			s.seen.put(key, struct{}{})
			fresh = true
		}
	}
	slices.Sort(prints)
	for _, p := range prints {
		print = print*1099511628211 ^ p
	}
	return print | 1, fresh
}

// proven reports whether pages of this kind have held posts, or led to some.
func (s *siteTraps) proven(sh urlShape) bool {
	f := s.features[hash64("pattern", sh.pattern)]
	if f == nil || f.Yielded == 0 {
		return false
	}
	return !slices.ContainsFunc(suspects(sh), s.closed)
}

// tried reports whether enough pages of this kind were fetched to know that
// there is nothing on them.
func (s *siteTraps) tried(sh urlShape) bool {
	f := s.features[hash64("pattern", sh.pattern)]
	return f != nil && f.Tried >= boosted
}

// inSeries counts the pages in a row of one list or thread that show the same
// or nothing new.
func (s *siteTraps) inSeries(l frontier.Lease, shown uint64, fresh bool) {
	name, ok := seriesOf(l.Parent, l.URL)
	if !ok {
		return
	}
	key := hash64(name)
	x, known := s.series[key]
	if !known && len(s.series) >= maxSeries {
		return
	}
	if x.same++; shown != x.print && shown != 0 {
		x.same = 0
	}
	if x.stale++; fresh {
		x.stale = 0
	}
	x.print = shown
	s.series[key] = x
}

// compare holds a page against those whose URLs differ in tokens or words
// alone.
func (s *siteTraps) compare(canonical string, sh urlShape, print uint64) {
	if print == 0 {
		return
	}
	s.compareBy(canonical, sh.bare, sh.tokens, print)
	if sh.core != sh.bare {
		s.compareBy(canonical, sh.core, sh.words, print)
	}
}

func (s *siteTraps) compareBy(canonical, without string, names []string, print uint64) {
	key := hash64(without)
	first, known := s.same.get(key)
	if !known || first.print == 0 || len(names) == 0 {
		s.same.put(key, firstSeen{hash64(canonical), print})
		return
	}
	for _, name := range names {
		p := s.params[name]
		if p == nil {
			if len(s.params) >= maxIdle {
				continue
			}
			p = &tokenProof{}
			s.params[name] = p
		}
		if first.print == print {
			p.Same++
		} else {
			p.Differ++
		}
	}
}
