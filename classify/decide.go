package classify

import (
	"cmp"
	"math"
	"slices"
)

// contactEvasions are the disguises that count when they hide a contact:
// ordinary typography is left out.
const contactEvasions = evStyled | evZeroWidth | evCombining | evCompat | evHomoglyph | evDigits | evUpsideDown | evHTML | evHidden | evFullwidth

// evasionsIn returns what was undone at the runes of a place.
func (n *normalized) evasionsIn(s span) evasionSet {
	var ev evasionSet
	for i := s.start; i < s.end; i++ {
		e := n.ev[i]
		if i == s.start {
			e &= evNames
		}
		ev |= e.closeGaps()
	}
	return ev
}

// verdict turns the gathered evidence into a Verdict.
func (a *analysis) verdict() Verdict {
	var mv modelView
	m := a.c.model
	if m != nil {
		mv = a.consult(m)
	}
	best, learned := a.decide()
	reasons, total := a.reasons(best, mv.bias, learned)
	v := Verdict{
		Score: logistic(total), Entities: a.entities, Reasons: reasons,
		Evasion: a.evasions.names(), Dictionary: a.c.dict.Version,
	}
	if v.Entities == nil {
		v.Entities = []Entity{}
	}
	if m != nil {
		v.Model = m.Version
	}
	var strongest int
	v.Categories, strongest = a.categoryScores(mv, v.Score >= 0.5)
	threshold := 0.5
	if strongest >= 0 {
		threshold = a.c.dict.Categories[strongest].Threshold
	}
	v.Flagged = len(v.Categories) > 0 && v.Score >= threshold
	v.Stance, v.StanceScores = a.stance(total, mv, v.Flagged)
	if v.Flagged {
		v.Severity = a.severity(&v, a.c.dict.Categories[strongest].Severity)
	}
	return v
}

// ruleScale is the factor on the dictionary's weights.
func (c *Classifier) ruleScale() float64 {
	if c.model == nil {
		return 1
	}
	return c.model.head.RuleScale
}

// decide picks the view that speaks most for an offer, dictionary and model
// together.
func (a *analysis) decide() (view, *modelShare) {
	m := a.c.model
	learned, other := &a.weighing.learned[0], &a.weighing.learned[1]
	if m == nil {
		*learned = modelShare{}
		return a.judge(), learned
	}
	best := a.wholeView()
	a.share(m, nil, learned)
	highest := best.logit*m.head.RuleScale + learned.flag
	for _, v := range a.localViews() {
		a.share(m, v.window, other)
		if total := v.logit*m.head.RuleScale + other.flag; total > highest {
			best, highest = v, total
			learned, other = other, learned
		}
	}
	return best, learned
}

// reasonKey is a reason before it is written out.
type reasonKey struct {
	weight float64
	of     int32 // baseReason, index of the evidence, or after those of the clause
}

const baseReason = -1

// reasons lists the shares as reasons, strongest first, and their sum.
func (a *analysis) reasons(best view, bias float64, learned *modelShare) ([]Reason, float64) {
	scale := a.c.ruleScale()
	weights := slices.Grow(a.weighing.weights[:0], len(a.evidence))[:len(a.evidence)]
	clear(weights[copy(weights, learned.evidence):])
	for _, s := range best.shares {
		weights[s.index] += s.weight * scale
	}
	keys := append(a.weighing.keys[:0], reasonKey{baseWeight*scale + bias, baseReason})
	for i, w := range weights {
		if w != 0 {
			keys = append(keys, reasonKey{w, int32(i)})
		}
	}
	for i, g := range learned.clauses {
		if g.weight != 0 {
			keys = append(keys, reasonKey{g.weight, int32(len(a.evidence) + i)})
		}
	}
	a.weighing.weights, a.weighing.keys = weights, keys
	slices.SortStableFunc(keys, func(x, y reasonKey) int { return cmp.Compare(math.Abs(y.weight), math.Abs(x.weight)) })
	out := make([]Reason, len(keys))
	total := 0.0
	for i, k := range keys {
		a.reason(&out[i], k, learned)
		total += k.weight
	}
	return out, total
}

// reason writes one out.
func (a *analysis) reason(r *Reason, k reasonKey, learned *modelShare) {
	r.Weight = k.weight
	switch i := int(k.of); {
	case i == baseReason:
		r.Kind, r.ID = ReasonSignal, "base"
	case i < len(a.evidence):
		e := &a.evidence[i]
		r.Kind, r.ID = e.kind, e.id
		if e.category >= 0 {
			r.Category = a.c.lex.cats[e.category]
		}
		if e.placed {
			r.Start, r.End, r.Text = a.published(e.span)
		}
	default:
		r.Kind, r.ID = ReasonModel, "context"
		if s := learned.clauses[i-len(a.evidence)].span; s.end > s.start {
			r.ID = "ngram"
			r.Start, r.End, r.Text = a.published(s)
		}
	}
}

// published maps a place of the normalised text to the published characters.
func (a *analysis) published(s span) (start, end int, text string) {
	start, end = a.norm.origin(int(s.start), int(s.end))
	return start, end, a.original.slice(start, end)
}

// modelCategoryOdds is the least log-odds at which the model names a category
// the dictionary did not. An offer of which neither knows the category gets the
// model's best guess: the model was fitted on offers of ours alone.
const modelCategoryOdds = 0.0

// categoryEvidence is the factor on the dictionary's evidence for a category
// beside what the model learned of it.
const categoryEvidence = 0.6

// minGuessRunes is the least number of letters and ideographs of a text in
// which the model alone may see an offer: fewer say nothing by themselves.
const minGuessRunes = 6

// categoryScores ranks the categories with any evidence, and returns the index
// of the strongest, or −1. For an offer of which the dictionary knows nothing
// the model's best guess stands alone.
func (a *analysis) categoryScores(mv modelView, offer bool) ([]CategoryScore, int) {
	out := []CategoryScore{}
	guess, guessOdds := -1, math.Inf(-1)
	for c, id := range a.c.lex.cats {
		total := a.weighing.whole[c]
		o, learned := -2.5+2*total, math.Inf(-1)
		if i := a.c.learned[c]; i >= 0 {
			learned = mv.categories[i]
			o = -2.5 + learned + categoryEvidence*total
			if learned > guessOdds {
				guess, guessOdds = c, learned
			}
		}
		if total > 0 || learned >= modelCategoryOdds && len(a.norm.stream) > 0 {
			out = append(out, CategoryScore{ID: id, Score: logistic(o)})
		}
	}
	if len(out) == 0 {
		if !offer || guess < 0 || len(a.norm.stream) < minGuessRunes {
			return out, -1
		}
		return append(out, CategoryScore{ID: a.c.lex.cats[guess], Score: logistic(guessOdds)}), guess
	}
	slices.SortStableFunc(out, func(x, y CategoryScore) int { return cmp.Compare(y.Score, x.Score) })
	return out, slices.Index(a.c.lex.cats, out[0].ID)
}

// categoriesOf finds the dictionary's categories among the model's; −1 where
// there is no model, or none of that name.
func (m *Model) categoriesOf(cats []string) []int {
	out := make([]int, len(cats))
	for c, id := range cats {
		out[c] = -1
		if m != nil {
			out[c] = slices.Index(m.head.Categories, id)
		}
	}
	return out
}

// learnedCues is the weight of the stance cues beside a model, which has learned
// them as well.
const learnedCues = 0.2

// stance turns cues and the model's outputs into probabilities. An offer's
// log-odds are those of the score, so that stance and flag never contradict.
func (a *analysis) stance(total float64, mv modelView, flagged bool) (Stance, map[Stance]float64) {
	cues, quiet := 1.0, 1.0 // weight of the cues, and what a stance lacks without any
	learned := 0.0          // weight of the model: it has read little but Chinese
	if mv.stances != nil {
		learned = a.hanShare()
		cues, quiet = 1-(1-learnedCues)*learned, 0
	}
	sums := [len(Stances)]float64{}
	sums[offerIndex], sums[otherIndex] = total, 0.3*quiet
	shares := a.weighing.free
	for i, s := range Stances {
		if i == offerIndex {
			continue
		}
		shares = shares[:0]
		for j := range a.evidence {
			if e := &a.evidence[j]; e.stance == s && e.category < 0 {
				shares = append(shares, share{j, e.weight})
			}
		}
		sums[i] += cues*decay(shares, benignDecay, benignCap) - quiet
	}
	a.weighing.free = shares
	switch a.post.SourceType {
	case "news":
		sums[slices.Index(Stances[:], StanceReport)] += 1
	case "official":
		sums[slices.Index(Stances[:], StanceWarning)] += 1
	case "qa":
		sums[slices.Index(Stances[:], StanceQuestion)] += 0.5
	}
	for i := range Stances {
		if mv.stances != nil && i != offerIndex {
			sums[i] += learned * mv.stances[i]
		}
	}
	return rankStances(&sums, flagged)
}

// Places in Stances.
const (
	offerIndex = 0
	otherIndex = len(Stances) - 1
)

// rankStances turns log-odds into probabilities that sum to 1 and names the
// best.
func rankStances(odds *[len(Stances)]float64, flagged bool) (Stance, map[Stance]float64) {
	highest, z := math.Inf(-1), 0.0
	for _, o := range odds {
		highest = max(highest, o)
	}
	for i, o := range odds {
		odds[i] = math.Exp(o - highest)
		z += odds[i]
	}
	scores := make(map[Stance]float64, len(Stances))
	best := otherIndex
	for i, s := range Stances {
		odds[i] /= z
		scores[s] = odds[i]
		if odds[i] > odds[best] {
			best = i
		}
	}
	if flagged {
		return StanceOffer, scores
	}
	if best == offerIndex {
		best = otherIndex
		for i := range Stances {
			if i != offerIndex && odds[i] > odds[best] {
				best = i
			}
		}
	}
	return Stances[best], scores
}

// hanShare is the share of ideographs among the letters and ideographs; 0 for a
// text that has neither.
func (a *analysis) hanShare() float64 {
	if len(a.norm.stream) == 0 {
		return 0
	}
	han := 0
	for _, p := range a.norm.pos {
		if a.norm.class[p] == classHan {
			han++
		}
	}
	return float64(han) / float64(len(a.norm.stream))
}

// severities in rising order.
var severities = []Severity{SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}

// severity starts from the category's base and moves by what makes a hit more
// or less worth an investigator's time.
func (a *analysis) severity(v *Verdict, base Severity) Severity {
	level := slices.Index(severities, base)
	contact := false
	for _, e := range v.Entities {
		contact = contact || IsContact(e.Type) && !e.Official
	}
	if !contact {
		level--
	}
	if v.Score < 0.7 {
		level--
	}
	if contact && len(v.Evasion) >= 2 || len(v.Categories) >= 3 {
		level++
	}
	return severities[min(max(level, 0), len(severities)-1)]
}
