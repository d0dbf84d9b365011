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
	original  []rune
	norm      normalized
	scratch   matchScratch
	matches   []match
	rules     *ruleRun
	sentence  []int32
	sentences []span
	quotes    []span
	words     []span
	wordsDone bool
	entities  []Entity
	places    []span // of entities, in the normalised text
	evidence  []evidence
	evasions  evasionSet
	stances   map[Stance]float64

	gramBuf     []gramChar
	gramsBuf    []gram
	seenBuckets []uint64
	sums        []int32
	classBuf    []uint32
	flagWeights []int8
	clauseBuf   []clauseWeight
}

func newAnalysis(c *Classifier) *analysis {
	return &analysis{c: c, numCategories: len(c.lex.cats), rules: newRuleRun(c.lex), stances: map[Stance]float64{}}
}

// analyse gathers the evidence in p.
func (a *analysis) analyse(p post.Post) {
	a.post, a.text = p, p.FullText()
	if !knownSource[p.SourceType] {
		a.post.SourceType = "" // a made-up place must not tip a verdict
	}
	a.matches, a.evidence, a.wordsDone, a.evasions = a.matches[:0], a.evidence[:0], false, 0
	clear(a.stances)
	a.original = append(a.original[:0], []rune(a.text)...)
	normalize(a.text, &a.norm)
	a.sentence, a.sentences = splitSentences(a.norm.runes, a.sentence, a.sentences)
	a.quotes = quotedSpans(a.norm.runes, a.quotes)
	a.match()
	a.findEntities()
	a.rules.reset()
	a.markGroups()
	a.rules.run(a.c.lex, a.sentence, a.sentences)
	gone := a.cancelled()
	a.termEvidence(gone)
	a.ruleEvidence(gone)
	a.contactEvidence()
	a.evasionEvidence()
	a.sourceEvidence()
	a.supportAmbiguous()
}

// match scans for atoms and drops those that cut words.
func (a *analysis) match() {
	a.c.matcher.scan(&a.norm, &a.scratch, a.c.seg.isWord, func(h hit) {
		m := match{atom: h.id, span: span{int32(h.start), int32(h.end)}, evasion: h.evasions}
		if a.c.lex.atoms[h.id].boundary && h.evasions == 0 && h.gaps == 0 && a.c.seg.mayCut(a.norm.runes, m.span) && cutsWord(a.segmented(), m.span) {
			return
		}
		a.matches = append(a.matches, m)
	})
	a.dropNested()
}

// segmented returns the words of the text, cut on first use.
func (a *analysis) segmented() []span {
	if !a.wordsDone {
		a.wordsDone = true
		words, err := a.c.seg.words(a.norm.runes, a.words)
		if err != nil {
			words = nil // no veto without a segmenter
		}
		a.words = words
	}
	return a.words
}

// dropNested removes matches that lie strictly inside a longer match of the
// same term list, so that 信用卡套现 does not also count as 套现. Matches of
// rule literals stay.
func (a *analysis) dropNested() {
	lex := a.c.lex
	slices.SortFunc(a.matches, func(x, y match) int {
		return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(y.end, x.end), cmp.Compare(x.atom, y.atom))
	})
	var cover []int32 // per category: end of the longest term match so far
	for range a.numCategories {
		cover = append(cover, 0)
	}
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
	a.entities, a.places = entities(&a.norm, a.original, a.places[:0], subject)
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
			a.rules.mark(lex, lex.groupOf["$question_mark"], span{s.end - 1, s.end})
		}
	}
	for i, e := range a.entities {
		for _, class := range classesOf(e) {
			a.rules.mark(lex, lex.groupOf[class], a.places[i])
		}
	}
}

// classesOf names the built-in classes an entity belongs to.
func classesOf(e Entity) []string {
	switch {
	case e.Official:
		return []string{"$hotline"}
	case e.Type == EntityPhone:
		return []string{"$contact", "$phone"}
	case e.Type == EntityURL:
		return []string{"$contact", "$link"}
	case e.Type == EntityAmount:
		return []string{"$amount"}
	case e.Type == EntityPercent:
		return []string{"$percent"}
	case IsContact(e.Type):
		return []string{"$contact"}
	}
	return nil
}

func (a *analysis) sentenceOf(pos int32) int32 {
	if int(pos) >= len(a.sentence) {
		return int32(len(a.sentences)) - 1
	}
	return a.sentence[pos]
}

func (a *analysis) isQuoted(s span) bool {
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
func (a *analysis) termEvidence(gone cancellation) {
	lex := a.c.lex
	seen := map[int32]int{}
	for _, m := range a.matches {
		for _, t := range lex.atoms[m.atom].terms {
			ref := lex.terms[t]
			if gone.term(ref.category, ref.group) {
				continue
			}
			quoted := a.isQuoted(m.span)
			if i, ok := seen[t]; ok {
				if e := &a.evidence[i]; e.quoted && !quoted {
					e.quoted, e.span = false, m.span
				}
				continue
			}
			seen[t] = len(a.evidence)
			a.evasions |= m.evasion
			a.evidence = append(a.evidence, evidence{kind: ReasonTerm, id: ref.term.ID, category: ref.category, weight: ref.term.Weight,
				span: m.span, placed: true, quoted: quoted, weak: ref.term.Ambiguous || lex.atoms[m.atom].initials})
		}
	}
}

// ruleEvidence adds each rule, exception and cue that fired once.
func (a *analysis) ruleEvidence(gone cancellation) {
	lex := a.c.lex
	seen := map[int32]bool{}
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
		a.evidence = append(a.evidence, evidence{kind: kind, id: r.rule.ID, category: r.category, stance: r.rule.Stance, weight: r.rule.Weight,
			span: f.span, placed: true, quoted: quoted, call: strings.HasPrefix(r.rule.ID, "offer-contact")})
	}
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

func (c cancellation) term(category, group int32) bool {
	return c.categories[category] || c.terms[group]
}

func (c cancellation) rule(r *compiledRule) bool {
	return c.rules[r.rule.ID] || r.category >= 0 && r.rule.kind == kindRule && c.categories[r.category]
}

// contactEvidence adds the suspect's contacts, one a type.
func (a *analysis) contactEvidence() {
	seen := map[string]bool{}
	for i, e := range a.entities {
		w := contactWeights[e.Type]
		if w == 0 || e.Official || seen[e.Type] {
			continue
		}
		seen[e.Type] = true
		s := a.places[i]
		a.evidence = append(a.evidence, evidence{kind: ReasonSignal, id: "contact." + e.Type, category: -1, stance: StanceOffer, weight: w,
			span: s, placed: true, quoted: a.isQuoted(s), call: true})
		a.evasions |= a.norm.evasionsIn(s) & contactEvasions
	}
}

// evasionEvidence adds the disguises that had to be undone.
func (a *analysis) evasionEvidence() {
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
	id := "source." + a.post.SourceType
	switch a.post.Kind {
	case post.KindComment:
	case post.KindAd:
		w, id = slotWeight, "source.ad_slot"
	default:
		w = sourceWeights[a.post.SourceType]
	}
	if w != 0 {
		a.evidence = append(a.evidence, evidence{kind: ReasonSignal, id: id, category: -1, weight: w})
	}
}

// supportAmbiguous lets an ambiguous term count in full when its category has
// other evidence, or a contact stands within a sentence of it.
func (a *analysis) supportAmbiguous() {
	firm := map[int32]bool{}
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
		if firm[e.category] || a.callNear(e.span) {
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
