package classify

import (
	"math/bits"
	"slices"
	"sort"
)

// span is a place in the normalised text, end exclusive.
type span struct{ start, end int32 }

// match is an atom found in the text.
type match struct {
	atom int32
	span
	evasion evasionSet
}

// fired is a rule that applies, with the place that shows why.
type fired struct {
	rule int32
	span
}

// ruleRun evaluates the rules over one text. Its buffers are reused.
type ruleRun struct {
	groups    [][]span // group → places
	touched   []int32
	awake     []uint64 // bit a rule: some operand was found
	sentence  []int32  // normalised rune → number of its sentence
	sentences []span   // bounds of the sentences
	fired     []fired
	scratch   []span
}

func newRuleRun(lx *lexicon) *ruleRun {
	return &ruleRun{groups: make([][]span, lx.numGroups), awake: make([]uint64, (len(lx.rules)+63)/64)}
}

func (rr *ruleRun) reset() {
	for _, g := range rr.touched {
		rr.groups[g] = rr.groups[g][:0]
	}
	rr.touched = rr.touched[:0]
	rr.fired = rr.fired[:0]
}

func (rr *ruleRun) mark(lx *lexicon, g int32, s span) {
	if len(rr.groups[g]) == 0 {
		rr.touched = append(rr.touched, g)
		for _, r := range lx.wakes[g] {
			rr.awake[r/64] |= 1 << (r % 64)
		}
	}
	rr.groups[g] = append(rr.groups[g], s)
}

// run evaluates every awake rule in dependency order. sentence gives the
// number of the sentence of each normalised rune, sentences their bounds.
func (rr *ruleRun) run(lx *lexicon, sentence []int32, sentences []span) {
	rr.sentence, rr.sentences = sentence, sentences
	for _, g := range rr.touched {
		sortSpans(rr.groups[g])
	}
	for w := range rr.awake {
		for rr.awake[w] != 0 { // a rule that fires may wake later ones
			bit := bits.TrailingZeros64(rr.awake[w])
			rr.awake[w] &^= 1 << bit
			rr.apply(lx, int32(w*64+bit))
		}
	}
}

// apply fires rule i at each place where it holds: at most once a sentence for
// sentence windows, once for the others.
func (rr *ruleRun) apply(lx *lexicon, i int32) {
	r := &lx.rules[i]
	if !rr.possible(r) {
		return
	}
	anchors := rr.anchors(r)
	lastSentence := int32(-1)
	for _, a := range anchors {
		sent := rr.at(a.start)
		if r.window.kind == windowSentence && sent == lastSentence {
			continue
		}
		if r.window.kind == windowStart && a.start >= startChars {
			continue
		}
		place, ok := rr.holds(r, a)
		if !ok {
			continue
		}
		lastSentence = sent
		rr.fired = append(rr.fired, fired{rule: i, span: place})
		rr.mark(lx, r.own, place)
		if r.window.kind != windowSentence {
			return
		}
	}
}

// possible is the cheap test that the operands occur at all.
func (rr *ruleRun) possible(r *compiledRule) bool {
	for _, g := range r.all {
		if len(rr.groups[g]) == 0 {
			return false
		}
	}
	if len(r.any) == 0 {
		return true
	}
	n := 0
	for _, g := range r.any {
		if len(rr.groups[g]) > 0 {
			n++
		}
	}
	return n >= r.min
}

// anchors are the places around which the window is laid: those of the
// rarest all: operand, or of every any: operand.
func (rr *ruleRun) anchors(r *compiledRule) []span {
	if len(r.all) > 0 {
		best := r.all[0]
		for _, g := range r.all[1:] {
			if len(rr.groups[g]) < len(rr.groups[best]) {
				best = g
			}
		}
		return rr.groups[best]
	}
	if len(r.any) == 1 {
		return rr.groups[r.any[0]]
	}
	rr.scratch = rr.scratch[:0]
	for _, g := range r.any {
		rr.scratch = append(rr.scratch, rr.groups[g]...)
	}
	sortSpans(rr.scratch)
	return rr.scratch
}

func (rr *ruleRun) holds(r *compiledRule, anchor span) (span, bool) {
	place := anchor
	for _, g := range r.all {
		s, ok := rr.within(r.window, g, anchor)
		if !ok {
			return span{}, false
		}
		place = join(place, s)
	}
	n := 0
	for _, g := range r.any {
		s, ok := rr.within(r.window, g, anchor)
		if !ok {
			continue
		}
		if n++; n <= r.min {
			place = join(place, s)
		}
	}
	if len(r.any) > 0 && n < r.min {
		return span{}, false
	}
	for _, g := range r.none {
		if _, ok := rr.within(r.window, g, anchor); ok {
			return span{}, false
		}
	}
	return place, true
}

// within finds a place of group g inside the window around anchor. Places are
// sorted by start, so each look-up is a binary search: a megabyte of repeated
// bait costs n·log n, not n².
func (rr *ruleRun) within(w window, g int32, anchor span) (span, bool) {
	places := rr.groups[g]
	if len(places) == 0 {
		return span{}, false
	}
	switch w.kind {
	case windowPost:
		return places[0], true
	case windowStart:
		return places[0], places[0].start < startChars
	case windowSentence:
		sent := rr.sentences[rr.at(anchor.start)]
		i := firstFrom(places, sent.start)
		if i < len(places) && places[i].start < sent.end {
			return places[i], true
		}
		return span{}, false
	}
	i := firstFrom(places, anchor.start)
	if i < len(places) && gap(places[i], anchor) <= int32(w.chars) {
		return places[i], true
	}
	if i > 0 && gap(places[i-1], anchor) <= int32(w.chars) {
		return places[i-1], true
	}
	return span{}, false
}

// firstFrom returns the index of the first place that starts at or after pos.
func firstFrom(places []span, pos int32) int {
	return sort.Search(len(places), func(i int) bool { return places[i].start >= pos })
}

func (rr *ruleRun) at(i int32) int32 {
	if int(i) >= len(rr.sentence) {
		return 0
	}
	return rr.sentence[i]
}

func sortSpans(s []span) {
	if len(s) > 1 {
		slices.SortFunc(s, func(a, b span) int { return int(a.start - b.start) })
	}
}

// gap is the number of characters between two places, 0 when they touch or
// overlap.
func gap(a, b span) int32 {
	switch {
	case a.end <= b.start:
		return b.start - a.end
	case b.end <= a.start:
		return a.start - b.end
	}
	return 0
}

// join covers both places.
func join(a, b span) span { return span{min(a.start, b.start), max(a.end, b.end)} }
