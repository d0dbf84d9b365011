// Package classify decides whether a Chinese text offers a service of the
// financial black and gray industry, and says why.
//
// What comes in: a post and the operators' dictionaries. What goes out: a
// Verdict with category, stance, score, entities, disguises and the reasons
// whose weights sum to the score. The way: normalise (undo disguises, keeping
// the way back to the published characters), match the dictionary in one pass,
// find contacts, evaluate rules and stance cues, score. The package does no
// I/O and knows nothing of crawling or storing.
package classify

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"qingyuan/post"
)

// ErrTooLarge is returned for a text over post.MaxText bytes.
var ErrTooLarge = post.ErrTooLarge

// Options are the parts of a Classifier. The zero value has no dictionary and
// is refused.
type Options struct {
	Dictionary *Dictionary // required
	Model      *Model      // learned weights; nil: rules alone
}

// Classifier gives verdicts. It is immutable and safe for concurrent use;
// replacing a dictionary means building another Classifier beside it.
type Classifier struct {
	dict    *Dictionary
	lex     *lexicon
	matcher *matcher
	seg     *segmenter
	model   *Model
	learned []int // category of the dictionary → category of the model, or −1
	pool    sync.Pool
}

// New builds a Classifier. It costs some 100 ms; the segmentation dictionary
// is loaded later, by the first text that needs it.
func New(opts Options) (*Classifier, error) {
	if opts.Dictionary == nil {
		return nil, errors.New("classify: no dictionary given")
	}
	c := &Classifier{dict: opts.Dictionary, lex: compile(opts.Dictionary), model: opts.Model}
	words := make([]string, 0, len(c.lex.atoms))
	for _, a := range c.lex.atoms {
		words = append(words, a.text)
	}
	c.seg = newSegmenter(words)
	m, err := buildMatcher(c.lex.patterns())
	if err != nil {
		return nil, fmt.Errorf("building the matcher: %w", err)
	}
	c.matcher = m
	c.learned = c.model.categoriesOf(c.lex.cats)
	c.pool.New = func() any { return newAnalysis(c) }
	return c, nil
}

// Load builds a Classifier from a folder of dictionary files, with model as
// the learned weights (nil for none).
func Load(fsys fs.FS, model *Model) (*Classifier, error) {
	d, err := LoadDictionary(fsys)
	if err != nil {
		return nil, err
	}
	return New(Options{Dictionary: d, Model: model})
}

// Dictionary returns the dictionary the classifier was built from.
func (c *Classifier) Dictionary() *Dictionary { return c.dict }

// Classify returns the verdict on a post. The only error is ErrTooLarge;
// invalid UTF-8 counts one rune (U+FFFD) a bad byte in all offsets.
func (c *Classifier) Classify(p post.Post) (Verdict, error) {
	if len(p.Title)+len(p.Text) > post.MaxText {
		return Verdict{}, ErrTooLarge
	}
	a := c.pool.Get().(*analysis)
	defer c.pool.Put(a)
	a.analyse(p)
	return a.verdict(), nil
}

// analysis is the work on one text. Its buffers are reused.
type analysis struct {
	c             *Classifier
	numCategories int

	post      post.Post
	text      string
	original  sourceText
	norm      normalized
	scratch   matchScratch
	segments  segmentScratch
	matches   []match
	rules     *ruleRun
	sentence  []int32
	sentences []span
	quotes    []span
	extractor extractor
	entities  []Entity
	places    []span // of entities, in the normalised text
	evidence  []evidence
	evasions  evasionSet
	onHit     func(hit)
	isWord    func([]rune) bool
	seenTerms []int32 // term → one more than the index of its evidence
	seenRules []bool  // rule → has evidence
	cover     []int32 // see dropNested
	weighing  weighing

	gramBuf     []gramChar
	gramsBuf    []gram
	seenBuckets []uint64
	generalBuf  []generalWord
	classBuf    []uint32
	rowSums     rowSums
	flagGrams   []flagGram
	modelOdds   []float64
	clauseBuf   []clauseWeight
}

func newAnalysis(c *Classifier) *analysis {
	a := &analysis{c: c, numCategories: len(c.lex.cats), rules: newRuleRun(c.lex), isWord: c.seg.isWordRunes}
	a.onHit = a.hit
	a.seenTerms, a.seenRules = make([]int32, len(c.lex.terms)), make([]bool, len(c.lex.rules))
	a.cover = make([]int32, a.numCategories)
	a.weighing.init(a.numCategories)
	return a
}

// analyse gathers the evidence in p.
func (a *analysis) analyse(p post.Post) {
	a.post, a.text = p, p.FullText()
	if !knownSource[p.SourceType] {
		a.post.SourceType = "" // a made-up place must not tip a verdict
	}
	a.matches, a.evidence, a.evasions = a.matches[:0], a.evidence[:0], 0
	a.segments.reset()
	a.original.read(a.text)
	normalize(a.text, &a.norm)
	a.sentence, a.sentences = splitSentences(a.norm.runes, a.sentence, a.sentences)
	a.quotes = quotedSpans(a.norm.runes, a.quotes)
	a.match()
	a.findEntities()
	a.rules.reset()
	a.markGroups()
	a.rules.run(a.c.lex, a.sentence, a.sentences)
	gone := a.cancelled()
	a.termEvidence(&gone)
	a.ruleEvidence(&gone)
	a.contactEvidence()
	a.evasionEvidence()
	a.sourceEvidence()
	a.supportAmbiguous()
}

// match scans for atoms and drops those that cut words.
func (a *analysis) match() {
	a.c.matcher.scan(&a.norm, &a.scratch, a.isWord, a.onHit)
	a.dropNested()
}

func (a *analysis) hit(h hit) {
	m := match{atom: h.id, span: span{int32(h.start), int32(h.end)}, evasion: h.evasions}
	if a.c.lex.atoms[h.id].boundary && h.evasions == 0 && h.gaps == 0 && a.c.seg.mayCut(a.norm.runes, &a.segments, m.span) && cutsWord(a.segmented(m.end), m.span) {
		return
	}
	a.matches = append(a.matches, m)
}

// segmented returns the words of the text up to end and perhaps farther.
func (a *analysis) segmented(end int32) []span {
	words, err := a.c.seg.words(a.norm.runes, &a.segments, int(end))
	if err != nil {
		return nil // no veto without a segmenter
	}
	return words
}

// dropNested removes matches that lie strictly inside a longer match of the
// same term list, so that 信用卡套现 does not also count as 套现. Matches of
// rule literals stay.
func (a *analysis) dropNested() {
	lex := a.c.lex
	slices.SortFunc(a.matches, func(x, y match) int {
		if x.start != y.start {
			return int(x.start - y.start)
		}
		if x.end != y.end {
			return int(y.end - x.end)
		}
		return int(x.atom - y.atom)
	})
	cover := a.cover // per category: end of the longest term match so far
	clear(cover)
	keep := a.matches[:0]
	for _, m := range a.matches {
		at := &lex.atoms[m.atom]
		nested := len(at.terms) > 0 && len(at.groups) == len(at.terms)
		for _, t := range at.terms {
			cat := lex.terms[t].category
			if m.end > cover[cat] {
				cover[cat] = m.end
				nested = false
			}
		}
		if !nested {
			keep = append(keep, m)
		}
	}
	a.matches = keep
}

func (a *analysis) findEntities() {
	subject := false
	for _, m := range a.matches {
		at := &a.c.lex.atoms[m.atom]
		subject = subject || len(at.terms) > 0 || at.domain && m.end-m.start > 1
	}
	a.entities, a.places = a.extractor.entities(&a.norm, &a.original, a.places[:0], subject)
}

func (a *analysis) markGroups() {
	lex := a.c.lex
	for _, m := range a.matches {
		for _, g := range lex.atoms[m.atom].groups {
			a.rules.mark(lex, g, m.span)
		}
	}
	for _, s := range a.sentences {
		if s.end > s.start && (a.norm.runes[s.end-1] == '？' || a.norm.runes[s.end-1] == '?') {
			a.rules.mark(lex, lex.builtin.questionMark, span{s.end - 1, s.end})
		}
	}
	for i, e := range a.entities {
		for _, g := range lex.builtin.of(&e) {
			a.rules.mark(lex, g, a.places[i])
		}
	}
}

func (a *analysis) sentenceOf(pos int32) int32 {
	if int(pos) >= len(a.sentence) {
		return int32(len(a.sentences)) - 1
	}
	return a.sentence[pos]
}

func (a *analysis) isQuoted(s span) bool {
	if len(a.quotes) == 0 {
		return false
	}
	i, _ := slices.BinarySearchFunc(a.quotes, s.start, func(q span, pos int32) int { return cmp.Compare(q.end, pos) })
	for ; i < len(a.quotes) && a.quotes[i].start <= s.start; i++ {
		if s.end <= a.quotes[i].end {
			return true
		}
	}
	return false
}

// termEvidence adds each term once, at its strongest place: outside quotation
// first.
func (a *analysis) termEvidence(gone *cancellation) {
	lex := a.c.lex
	seen := a.seenTerms
	for _, m := range a.matches {
		for _, t := range lex.atoms[m.atom].terms {
			ref := &lex.terms[t]
			if gone.term(ref.category, ref.group) {
				continue
			}
			quoted := a.isQuoted(m.span)
			if i := seen[t]; i > 0 {
				if e := &a.evidence[i-1]; e.quoted && !quoted {
					e.quoted, e.span = false, m.span
				}
				continue
			}
			seen[t] = int32(len(a.evidence)) + 1
			a.evasions |= m.evasion
			a.evidence = append(a.evidence, evidence{kind: ReasonTerm, id: ref.term.ID, category: ref.category, weight: ref.term.Weight,
				span: m.span, placed: true, quoted: quoted, weak: ref.term.Ambiguous || lex.atoms[m.atom].initials})
		}
	}
	for _, m := range a.matches {
		for _, t := range lex.atoms[m.atom].terms {
			seen[t] = 0
		}
	}
}

// ruleEvidence adds each rule, exception and cue that fired once.
func (a *analysis) ruleEvidence(gone *cancellation) {
	lex := a.c.lex
	seen := a.seenRules
	for _, f := range a.rules.fired {
		r := &lex.rules[f.rule]
		if r.rule.Helper || r.rule.Weight == 0 || seen[f.rule] || gone.rule(r) {
			continue
		}
		quoted := a.isQuoted(f.span)
		if quoted && r.category < 0 && r.rule.Stance != StanceOffer {
			quoted = false
		}
		seen[f.rule] = true
		kind := ReasonRule
		if r.category < 0 {
			kind = ReasonSignal
		}
		if r.category >= 0 || r.rule.Stance == StanceOffer {
			a.evasions |= a.disguisesIn(f.span)
		}
		a.evidence = append(a.evidence, evidence{kind: kind, id: r.rule.ID, category: r.category, stance: r.rule.Stance, weight: r.rule.Weight,
			span: f.span, placed: true, quoted: quoted, call: strings.HasPrefix(r.rule.ID, "offer-contact")})
	}
	for _, f := range a.rules.fired {
		seen[f.rule] = false
	}
}

// disguisesIn returns the disguises of the matches that stand inside s.
func (a *analysis) disguisesIn(s span) evasionSet {
	var ev evasionSet
	i, _ := slices.BinarySearchFunc(a.matches, s.start, func(m match, pos int32) int { return cmp.Compare(m.start, pos) })
	for ; i < len(a.matches) && a.matches[i].start < s.end; i++ {
		if m := &a.matches[i]; m.end <= s.end {
			ev |= m.evasion
		}
	}
	return ev
}

// cancellation is what the exceptions that fired take away.
type cancellation struct {
	categories map[int32]bool
	terms      map[int32]bool // group of the term
	rules      map[string]bool
}

func (a *analysis) cancelled() cancellation {
	var c cancellation
	for _, f := range a.rules.fired {
		r := &a.c.lex.rules[f.rule]
		if r.rule.kind != kindException {
			continue
		}
		if c.categories == nil {
			c = cancellation{map[int32]bool{}, map[int32]bool{}, map[string]bool{}}
		}
		if r.cancelAll {
			c.categories[r.category] = true
		}
		for _, g := range r.cancelTerms {
			c.terms[g] = true
		}
		for id := range r.cancelRules {
			c.rules[id] = true
		}
	}
	return c
}

func (c *cancellation) term(category, group int32) bool {
	return c.categories != nil && (c.categories[category] || c.terms[group])
}

func (c *cancellation) rule(r *compiledRule) bool {
	return c.categories != nil && (c.rules[r.rule.ID] || r.category >= 0 && r.rule.kind == kindRule && c.categories[r.category])
}

// contactEvidence adds the suspect's contacts, one a type.
func (a *analysis) contactEvidence() {
	first := len(a.evidence)
	for i := range a.entities {
		e := &a.entities[i]
		w := contactWeights[e.Type]
		if w == 0 || e.Official {
			continue
		}
		id := contactIDs[e.Type]
		if slices.ContainsFunc(a.evidence[first:], func(e evidence) bool { return e.id == id }) {
			continue
		}
		s := a.places[i]
		a.evidence = append(a.evidence, evidence{kind: ReasonSignal, id: id, category: -1, stance: StanceOffer, weight: w,
			span: s, placed: true, quoted: a.isQuoted(s), call: true})
		a.evasions |= a.norm.evasionsIn(s) & contactEvasions
	}
}

// evasionEvidence adds the disguises that had to be undone.
func (a *analysis) evasionEvidence() {
	if a.evasions&evNames == 0 {
		return
	}
	left := evasionCap
	for _, e := range a.evasions.names() {
		w := min(left, evasionWeights[e])
		if w <= 0 {
			continue
		}
		left -= w
		a.evidence = append(a.evidence, evidence{kind: ReasonSignal, id: "evasion." + string(e), category: -1, stance: StanceOffer, weight: w})
	}
}

// sourceEvidence adds the prior of the place of publication.
func (a *analysis) sourceEvidence() {
	w := 0.0
	id := ""
	switch a.post.Kind {
	case post.KindComment:
	case post.KindAd:
		w, id = slotWeight, "source.ad_slot"
	default:
		if w = sourceWeights[a.post.SourceType]; w != 0 {
			id = "source." + a.post.SourceType
		}
	}
	if w != 0 {
		a.evidence = append(a.evidence, evidence{kind: ReasonSignal, id: id, category: -1, weight: w})
	}
}

// supportAmbiguous lets an ambiguous term count in full when its category has
// other evidence, or a contact stands within a sentence of it.
func (a *analysis) supportAmbiguous() {
	if !slices.ContainsFunc(a.evidence, func(e evidence) bool { return e.weak }) {
		return
	}
	firm := make([]bool, a.numCategories)
	for i := range a.evidence {
		if e := &a.evidence[i]; e.category >= 0 && !e.weak && e.weight > 0 {
			firm[e.category] = true
		}
	}
	for i := range a.evidence {
		e := &a.evidence[i]
		if !e.weak {
			continue
		}
		if e.category >= 0 && firm[e.category] || a.callNear(e.span) {
			e.weak = false
		}
	}
}

func (a *analysis) callNear(s span) bool {
	at := a.sentenceOf(s.start)
	for i := range a.evidence {
		e := &a.evidence[i]
		if !e.call || !e.placed {
			continue
		}
		if d := a.sentenceOf(e.span.start) - at; d >= -1 && d <= 1 {
			return true
		}
	}
	return false
}

// Text returns what a verdict's offsets count in: the runes of the published
// title and text, one U+FFFD for each invalid byte.
func Text(p post.Post) []rune { return []rune(p.FullText()) }
