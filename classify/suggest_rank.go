package classify

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"qingyuan/post"
)

// rank turns the counts into suggestions.
func (s *suggester) rank() {
	var all []*Suggestion
	byText := map[string]*wording{}
	for _, w := range s.found {
		if w.text == "" || w.flagged < s.opts.Min {
			continue
		}
		byText[w.text] = w
		x := s.score(w)
		if x.G < suggestMinG || x.LogOdds < suggestMinLogOdds || x.Everyday && x.LogOdds < suggestEverydayOdds || s.known.literals[w.text] || x.PMI < suggestMinPMI || x.Entropy < suggestMinEntropy {
			continue
		}
		w.suggestion = x
		all = append(all, x)
	}
	for _, x := range all {
		if w := byText[x.Text]; w.suggestion != nil {
			absorb(w, byText)
		}
	}
	slices.SortFunc(all, func(a, b *Suggestion) int {
		return cmp.Or(cmp.Compare(b.order(), a.order()), cmp.Compare(len(b.Text), len(a.Text)), cmp.Compare(a.Text, b.Text))
	})
	s.index = map[uint64]int32{}
	var taken []*wording
	general := 0
	for _, x := range all {
		w := byText[x.Text]
		if w.suggestion == nil {
			continue
		}
		w.suggestion = nil
		if len(taken) == s.opts.Top || s.opts.Category != "" && x.Category != s.opts.Category || saidBy(taken, x) || s.covered(x.Text) {
			continue
		}
		if x.Category == "" {
			if general*suggestGeneral >= s.opts.Top {
				continue
			}
			general++
		}
		x.YAML = x.yaml()
		w.suggestion = x
		s.index[wordingHash([]rune(x.Text))] = int32(len(taken))
		taken = append(taken, w)
	}
	s.found = taken
}

// score computes the statistics of a wording.
func (s *suggester) score(w *wording) *Suggestion {
	x := &Suggestion{Text: w.text, Flagged: w.flagged, Unflagged: w.unflagged, About: w.about, Examples: []string{}}
	nf, nu := float64(s.out.Flagged), float64(s.out.Unflagged)
	yf, yu := float64(w.flagged), float64(w.unflagged)
	weight := suggestPrior * (nf + nu)
	prior := weight * (yf + yu) / (nf + nu)
	x.LogOdds = math.Log((yf+prior)/(nf-yf+weight-prior)) - math.Log((yu+prior)/(nu-yu+weight-prior))
	x.spread = math.Sqrt(1/(yf+prior) + 1/(yu+prior))
	x.G = math.Sqrt(max(0, logLikelihood(yf, yu, nf, nu)))
	x.Everyday = s.c.seg.isWord(w.text)
	x.PMI = s.pmi(w)
	x.Entropy = min(w.left.entropy(), w.right.entropy())
	best, share := "", 0
	for id, n := range w.categories {
		if n > share || n == share && id < best {
			best, share = id, n
		}
	}
	x.Share = float64(share) / float64(w.flagged)
	if x.Share >= suggestShare || x.Share >= suggestSome && x.Share*nf >= suggestLift*float64(s.flags[best]) {
		x.Category = best
	}
	return x
}

// logLikelihood is the statistic G² of a wording that stands in yf of nf
// flagged and yu of nu other posts.
func logLikelihood(yf, yu, nf, nu float64) float64 {
	term := func(y, expected float64) float64 {
		if y == 0 {
			return 0
		}
		return 2 * y * math.Log(y/expected)
	}
	f := (yf + yu) / (nf + nu)
	return term(yf, nf*f) + term(yu, nu*f) + term(nf-yf, nf*(1-f)) + term(nu-yu, nu*(1-f))
}

// order is what suggestions are sorted by.
func (x *Suggestion) order() float64 {
	if x.Everyday {
		return x.G / 2
	}
	return x.G
}

// pmi is the least pointwise mutual information over the ways to cut the
// wording in two of which the counts are known. One unit holds together by
// itself.
func (s *suggester) pmi(w *wording) float64 {
	units := clause{Text: w.text}.units()
	if len(units) == 1 {
		return math.Log(float64(s.total) / float64(w.occurrences))
	}
	occurrences := func(part [][]rune) int {
		if len(part) == 1 {
			return s.single[string(part[0])]
		}
		i, ok := s.index[wordingHash(slices.Concat(part...))]
		if !ok {
			return 0
		}
		return s.found[i].occurrences
	}
	least := math.Inf(1)
	for cut := 1; cut < len(units); cut++ {
		left, right := occurrences(units[:cut]), occurrences(units[cut:])
		if left == 0 || right == 0 {
			continue
		}
		least = min(least, math.Log(float64(w.occurrences)*float64(s.total)/(float64(left)*float64(right))))
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

// absorb drops the parts of w that hardly ever stand without it.
func absorb(w *wording, all map[string]*wording) {
	text := []rune(w.text)
	for i := range text {
		for j := i + shortestWording; j <= len(text); j++ {
			part := all[string(text[i:j])]
			if part == nil || part == w {
				continue
			}
			if part.flagged*10 <= w.flagged*11 && part.unflagged*10 <= w.unflagged*11 && part.about*10 <= w.about*11 {
				part.suggestion = nil
			}
		}
	}
}

// saidBy reports whether a wording that stands higher in the list says the same:
// one that x only adds to, or one that x is mostly a part of.
func saidBy(taken []*wording, x *Suggestion) bool {
	for _, t := range taken {
		if strings.Contains(x.Text, t.text) && (t.suggestion.Category != "" || x.Category == "") {
			return true
		}
		if strings.Contains(t.text, x.Text) && x.Flagged*2 < t.flagged*3 {
			return true
		}
	}
	return false
}

// covered reports whether the classifier knows the wording after all, as the
// sound or the disguise of a term.
func (s *suggester) covered(text string) bool {
	v, err := s.c.Classify(post.Post{Text: text})
	if err != nil {
		return true
	}
	return slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Kind == ReasonTerm }) ||
		slices.ContainsFunc(v.Entities, func(e Entity) bool { return true })
}

// Proposal is the weight that a term of this wording would begin with, and
// whether it is innocent by itself. The weight is the log-odds at the lower end
// of their 90 % interval, within what dictionaries/README.md calls a word of the
// trade and one that is hardly ever innocent.
func (x *Suggestion) Proposal() (weight float64, ambiguous bool) {
	return min(max(x.LogOdds-1.64*x.spread, 0.7), 2.4), x.Everyday || x.Unflagged*5 >= x.Flagged
}

// yaml is the line to paste.
func (x *Suggestion) yaml() string {
	text := x.Text
	for _, r := range text {
		if !unicode.Is(unicode.Han, r) {
			text = fmt.Sprintf("%q", text) // no, 0e1, on mean other things in YAML
			break
		}
	}
	counts := fmt.Sprintf("  # %d flagged, %d not, %d about it", x.Flagged, x.Unflagged, x.About)
	if x.Category == "" {
		return text + counts
	}
	weight, innocent := x.Proposal()
	ambiguous := ""
	if innocent {
		ambiguous = ", ambiguous: true"
	}
	return fmt.Sprintf("- {text: %s, weight: %.1f%s}%s", text, weight, ambiguous, counts)
}

// exampleOf shows a wording where it stands in the published text.
func exampleOf(text []rune, at clause, wording []rune) string {
	from, to := at.Start, at.End
	lower := []rune(strings.ToLower(string(text[from:to])))
	if i := indexRunes(lower, wording); i >= 0 && len(lower) == to-from {
		from, to = from+i, from+i+len(wording)
	}
	to = min(to, from+longestWording*3)
	out := []rune{}
	before := max(0, from-exampleRunes)
	if before > 0 {
		out = append(out, '…')
	}
	last := rune(0)
	end := min(len(text), to+exampleRunes)
	for _, r := range text[before:end] {
		if !unicode.IsPrint(r) {
			r = ' ' // also where a contact was
		}
		if r != ' ' || last != ' ' {
			out = append(out, r)
		}
		last = r
	}
	if end < len(text) {
		out = append(out, '…')
	}
	return strings.TrimSpace(string(out))
}

func indexRunes(text, part []rune) int {
	for i := 0; i+len(part) <= len(text); i++ {
		if slices.Equal(text[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}

// lossyCounter counts hashes in bounded memory (Manku and Motwani 2002): when
// the table is full, what is too rare to have been frequent goes.
type lossyCounter struct {
	entries map[uint64]lossyCount
	floor   uint32 // most that a hash which is not in the table can have been seen
	limit   int    // entries; suggestTable when 0
}

type lossyCount struct{ count, missed uint32 }

func (l *lossyCounter) add(h uint64) {
	if l.entries == nil {
		l.entries = map[uint64]lossyCount{}
	}
	e, ok := l.entries[h]
	if !ok {
		limit := cmp.Or(l.limit, suggestTable)
		for len(l.entries) >= limit {
			l.floor++
			for k, e := range l.entries {
				if e.count+e.missed <= l.floor {
					delete(l.entries, k)
				}
			}
		}
		e.missed = l.floor
	}
	e.count++
	l.entries[h] = e
}

// neighbours are the characters beside a wording. Those beyond the first few
// dozen kinds count together, which can only make it look less free.
type neighbours struct {
	counts map[rune]int
	edges  int // at the edge of a clause; each counts as a kind of its own
}

const neighbourKinds = 64

func (n *neighbours) add(r rune) {
	if r == 0 {
		n.edges++
		return
	}
	if n.counts == nil {
		n.counts = map[rune]int{}
	}
	if _, ok := n.counts[r]; !ok && len(n.counts) >= neighbourKinds {
		r = -1
	}
	n.counts[r]++
}

// entropy is that of the neighbours, in nats.
func (n *neighbours) entropy() float64 {
	total := float64(n.edges)
	for _, c := range n.counts {
		total += float64(c)
	}
	if total == 0 {
		return 0
	}
	// In a fixed order: sums of floats depend on it.
	var counts []int
	for _, c := range n.counts {
		counts = append(counts, c)
	}
	slices.Sort(counts)
	h := float64(n.edges) / total * math.Log(total)
	for _, c := range counts {
		p := float64(c) / total
		h -= p * math.Log(p)
	}
	return h
}
