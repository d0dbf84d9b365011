package classify

// How a score comes about.
//
// Everything found in a text is a piece of evidence with a weight in log-odds:
// for a category (terms and rules of its dictionary, less its exceptions), for
// an offer (cues: who speaks, to whom, price, promise, contact), or for another
// stance (report, warning, question, legal, other). The score is the logistic
// of
//
//	base + category + offer − other stances + disguise + source + model
//
// and each summand is spread over the reasons that make it, so that the
// reasons of a verdict sum to its logit.
//
// Evidence of one sort is not independent: the second promise in an advert says
// less than the first. Each group is therefore sorted by weight and the i-th
// piece counts decay^i of its weight, up to the group's cap.
//
// An offer of something innocent is no offer of ours: offer evidence counts in
// full only beside category evidence.
//
// Texts are judged twice, by the dictionary and by the model. The whole view takes everything together. The local
// view takes the best window of three sentences and counts what stands outside
// only in part; it finds the advert line in a long innocent story. The local
// view needs a way to get in touch inside its window, because news and
// warnings quote everything else. The higher view wins.

import (
	"cmp"
	"math"
	"slices"
)

// The constants of the score, in log-odds unless said otherwise. They were set
// on the training texts of testdata/labelled.
const (
	baseWeight       = -3.4 // the odds of a text with no evidence at all
	categoryDecay    = 0.65
	categoryCap      = 5.5
	offerDecay       = 0.8
	offerCap         = 5.0
	benignDecay      = 0.75
	benignCap        = 8.0
	evasionCap       = 1.6
	secondShare      = 0.3 // share of the second category's evidence
	ambiguousShare   = 0.4 // share of an ambiguous term that stands alone
	quotedShare      = 0.35
	outsideShare     = 0.35 // share of benign evidence outside the local window
	outsideCategory  = 0.5
	minLocalEvidence = 1.0
	offerGate        = 0.15 // share of offer evidence in a text about nothing of ours
	gateEvidence     = 1.8  // category evidence at which an offer counts in full, nearly
)

// evidence is one piece before grouping.
type evidence struct {
	kind     ReasonKind
	id       string
	category int32  // −1: none
	stance   Stance // of cues and signals
	weight   float64
	span     span
	placed   bool // span means something
	quoted   bool
	weak     bool // ambiguous and alone
	call     bool // a contact, or a call to get in touch
}

// share is evidence with what it contributes in a view.
type share struct {
	index  int
	weight float64
}

// view is one way to look at a text: its logit and the shares that sum to it
// (the base is not among them).
type view struct {
	logit    float64
	category int32
	shares   []share
	window   *span // nil: the whole text
}

// weighing holds the buffers of judging one text.
type weighing struct {
	totals  []float64 // by category, of the latest view
	whole   []float64 // the same of the whole view
	shares  [][]share // by category, of the latest view
	against []share
	offer   []share
	benign  []share
	free    []share
	store   []share // where the shares of all views of a text stand
	windows []span
	views   []view
	weights []float64
	keys    []reasonKey
	learned [2]modelShare
}

func (w *weighing) init(categories int) {
	w.totals, w.whole, w.shares = make([]float64, categories), make([]float64, categories), make([][]share, categories)
}

// judge returns the better of the whole and the local views, by the
// dictionary alone.
func (a *analysis) judge() view {
	best := a.wholeView()
	for _, v := range a.localViews() {
		if v.logit > best.logit {
			best = v
		}
	}
	return best
}

// wholeView looks at the whole text, before any other view is taken.
func (a *analysis) wholeView() view {
	w := &a.weighing
	w.store = w.store[:0]
	v := a.look(nil)
	copy(w.whole, w.totals)
	return v
}

// localViews looks at the text through each of its windows.
func (a *analysis) localViews() []view {
	if len(a.sentences) < 4 {
		return nil
	}
	a.localWindows()
	w := &a.weighing
	w.views = w.views[:0]
	for i := range w.windows {
		if v := a.look(&w.windows[i]); !math.IsInf(v.logit, -1) {
			w.views = append(w.views, v)
		}
	}
	return w.views
}

// maxWindows bounds the local views of one text.
const maxWindows = 24

// localWindows finds, for each call to get in touch, its sentence alone and
// with its neighbours.
func (a *analysis) localWindows() {
	out := a.weighing.windows[:0]
	last := int32(-1)
	for i := range a.evidence {
		e := &a.evidence[i]
		if !e.call || !e.placed || e.quoted || len(out) >= maxWindows {
			continue
		}
		s := a.sentenceOf(e.span.start)
		if s == last {
			continue
		}
		last = s
		lo, hi := max(0, s-1), min(int32(len(a.sentences))-1, s+1)
		out = append(out, a.sentences[s], span{a.sentences[lo].start, a.sentences[hi].end})
	}
	a.weighing.windows = out
}

// look sums the evidence; window nil is the whole view.
func (a *analysis) look(window *span) view {
	w := &a.weighing
	v := view{category: -1, window: window}
	clear(w.totals)
	for i := range w.shares {
		w.shares[i] = w.shares[i][:0]
	}
	for i := range a.evidence {
		if c := a.evidence[i].category; c >= 0 && len(w.shares[c]) == 0 {
			w.totals[c] = a.categoryShares(c, window)
		}
	}
	first, second := topTwo(w.totals)
	if window != nil && (first < 0 || w.totals[first] < minLocalEvidence) {
		return view{logit: math.Inf(-1), category: -1}
	}
	from := len(w.store)
	if first >= 0 {
		v.category = int32(first)
		w.store = append(w.store, w.shares[first]...)
	}
	if second >= 0 {
		for _, s := range w.shares[second] {
			w.store = append(w.store, share{s.index, s.weight * secondShare})
		}
	}
	gate := offerGate
	if first >= 0 {
		gate = min(1, offerGate+w.totals[first]/gateEvidence)
	}
	a.stanceShares(window, gate)
	v.shares = w.store[from:len(w.store):len(w.store)]
	v.logit = baseWeight
	for _, s := range v.shares {
		v.logit += s.weight
	}
	return v
}

// inside reports whether a piece of evidence stands in the window or speaks of
// the whole text.
func (e *evidence) inside(window *span) bool {
	return window == nil || !e.placed || e.span.start >= window.start && e.span.start < window.end
}

func topTwo(totals []float64) (first, second int) {
	first, second = -1, -1
	for c, t := range totals {
		switch {
		case t <= 0:
		case first < 0 || t > totals[first]:
			first, second = c, first
		case second < 0 || t > totals[second]:
			second = c
		}
	}
	return first, second
}

// categoryShares weighs the evidence for one category and returns the sum.
func (a *analysis) categoryShares(c int32, window *span) float64 {
	buf := &a.weighing
	pos, neg := buf.shares[c][:0], buf.against[:0]
	for i := range a.evidence {
		e := &a.evidence[i]
		if e.category != c {
			continue
		}
		w := e.weight
		if e.weak {
			w *= ambiguousShare
		}
		if e.quoted {
			w *= quotedShare
		}
		if !e.inside(window) {
			w *= outsideCategory
		}
		if w > 0 {
			pos = append(pos, share{i, w})
		} else {
			neg = append(neg, share{i, w})
		}
	}
	total := decay(pos, categoryDecay, categoryCap)
	for _, s := range neg {
		total += s.weight
	}
	buf.shares[c], buf.against = append(pos, neg...), neg
	return total
}

// stanceShares weighs cues and signals, offers for, other stances against, and
// adds them to the store.
func (a *analysis) stanceShares(window *span, gate float64) {
	buf := &a.weighing
	offer, benign, free := buf.offer[:0], buf.benign[:0], buf.free[:0]
	for i := range a.evidence {
		e := &a.evidence[i]
		if e.category >= 0 {
			continue
		}
		w := e.weight
		switch {
		case e.stance == "":
			free = append(free, share{i, w})
		case e.stance == StanceOffer:
			if e.quoted {
				w *= quotedShare
			}
			if e.inside(window) {
				offer = append(offer, share{i, w})
			}
		default:
			w *= benignFactor(e.stance)
			if !e.inside(window) {
				w *= outsideShare
			}
			benign = append(benign, share{i, w})
		}
	}
	decay(offer, offerDecay, offerCap)
	for i := range offer {
		offer[i].weight *= gate
	}
	decay(benign, benignDecay, benignCap)
	for i := range benign {
		benign[i].weight = -benign[i].weight
	}
	buf.offer, buf.benign, buf.free = offer, benign, free
	buf.store = append(append(append(buf.store, offer...), benign...), free...)
}

// benignFactor says how strongly a stance speaks against an offer. Chatter and
// questions stand beside adverts more often than reports do.
func benignFactor(s Stance) float64 {
	switch s {
	case StanceReport:
		return 1
	case StanceWarning:
		return 0.9
	case StanceQuestion:
		return 0.9
	case StanceLegal:
		return 0.8
	}
	return 0.5
}

// decay sorts shares by weight, gives the i-th factor^i of its weight, scales
// all down to the cap, and returns the sum.
func decay(shares []share, factor, limit float64) float64 {
	sortShares(shares)
	total, f := 0.0, 1.0
	for i := range shares {
		shares[i].weight *= f
		total += shares[i].weight
		f *= factor
	}
	if total > limit {
		for i := range shares {
			shares[i].weight *= limit / total
		}
		total = limit
	}
	return total
}

// fewShares is how many are sorted without ado.
const fewShares = 16

// sortShares sorts the heaviest first, equal ones in the order they stand.
func sortShares(shares []share) {
	if len(shares) > fewShares {
		slices.SortStableFunc(shares, func(x, y share) int { return cmp.Compare(y.weight, x.weight) })
		return
	}
	for i := 1; i < len(shares); i++ {
		s, j := shares[i], i
		for j > 0 && shares[j-1].weight < s.weight {
			shares[j] = shares[j-1]
			j--
		}
		shares[j] = s
	}
}

// logistic maps log-odds to a probability.
func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// logit maps a probability to log-odds.
func logit(p float64) float64 { return math.Log(p / (1 - p)) }
