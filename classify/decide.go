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
	best, learned := a.decide(mv)
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
	v.Categories = a.categoryScores(mv, v.Score >= 0.5)
	threshold := 0.5
	if len(v.Categories) > 0 {
		if c, ok := a.c.dict.Category(v.Categories[0].ID); ok {
			threshold = c.Threshold
		}
	}
	v.Flagged = len(v.Categories) > 0 && v.Score >= threshold
	v.Stance, v.StanceScores = a.stance(total, mv, v.Flagged)
	if v.Flagged {
		v.Severity = a.severity(v)
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
func (a *analysis) decide(mv modelView) (view, modelShare) {
	m := a.c.model
	if m == nil {
		return a.judge(), modelShare{}
	}
	best := a.look(nil)
	learned := a.share(m, nil)
	highest := best.logit*m.head.RuleScale + learned.flag
	for _, v := range a.localViews() {
		s := a.share(m, v.window)
		if total := v.logit*m.head.RuleScale + s.flag; total > highest {
			best, learned, highest = v, s, total
		}
	}
	return best, learned
}

// reasons lists the shares as reasons, strongest first, and their sum.
func (a *analysis) reasons(best view, bias float64, learned modelShare) ([]Reason, float64) {
	scale := a.c.ruleScale()
	out := []Reason{{Kind: ReasonSignal, ID: "base", Weight: baseWeight*scale + bias}}
	weights := make([]float64, len(a.evidence))
	copy(weights, learned.evidence)
	for _, s := range best.shares {
		weights[s.index] += s.weight * scale
	}
	for i, w := range weights {
		if w == 0 {
			continue
		}
		e := &a.evidence[i]
		r := Reason{Kind: e.kind, ID: e.id, Weight: w}
		if e.category >= 0 {
			r.Category = a.c.lex.cats[e.category]
		}
		if e.placed {
			r.Start, r.End, r.Text = a.published(e.span)
		}
		out = append(out, r)
	}
	for _, g := range learned.clauses {
		if g.weight == 0 {
			continue
		}
		r := Reason{Kind: ReasonModel, ID: "context", Weight: g.weight}
		if g.span.end > g.span.start {
			r.ID = "ngram"
			r.Start, r.End, r.Text = a.published(g.span)
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(x, y Reason) int { return cmp.Compare(math.Abs(y.Weight), math.Abs(x.Weight)) })
	total := 0.0
	for _, r := range out {
		total += r.Weight
	}
	return out, total
}

// published maps a place of the normalised text to the published characters.
func (a *analysis) published(s span) (start, end int, text string) {
	start, end = a.norm.origin(int(s.start), int(s.end))
	return start, end, string(a.original[start:end])
}

// modelCategoryOdds is the least log-odds at which the model names a category
// the dictionary did not; modelGuessOdds the least at which its best guess
// stands for an offer of which the dictionary knows nothing at all. Below, the
// text may offer something, but nothing of ours.
const (
	modelCategoryOdds = 0.0
	modelGuessOdds    = -3.5
)

// minGuessRunes is the least number of letters and ideographs of a text in
// which the model alone may see an offer: fewer say nothing by themselves.
const minGuessRunes = 6

// categoryScores ranks the categories with any evidence. For an offer of which
// the dictionary knows nothing the model's best guess stands alone.
func (a *analysis) categoryScores(mv modelView, offer bool) []CategoryScore {
	all := func(*evidence) bool { return true }
	out := []CategoryScore{}
	guess, guessOdds := "", modelGuessOdds
	for c, id := range a.c.lex.cats {
		_, total := a.categoryShares(int32(c), all)
		o := -2.5 + 2*total
		learned := math.Inf(-1)
		if i := a.modelCategory(id); i >= 0 {
			learned = mv.categories[i]
			o += learned
			if learned > guessOdds {
				guess, guessOdds = id, learned
			}
		}
		if total > 0 || learned >= modelCategoryOdds {
			out = append(out, CategoryScore{ID: id, Score: logistic(o)})
		}
	}
	if len(out) == 0 && offer && guess != "" && len(a.norm.stream) >= minGuessRunes {
		out = append(out, CategoryScore{ID: guess, Score: logistic(guessOdds)})
	}
	slices.SortStableFunc(out, func(x, y CategoryScore) int { return cmp.Compare(y.Score, x.Score) })
	return out
}

func (a *analysis) modelCategory(id string) int {
	if a.c.model == nil {
		return -1
	}
	return slices.Index(a.c.model.head.Categories, id)
}

// learnedCues is the weight of the stance cues beside a model, which has learned
// them as well.
const learnedCues = 0.2

// stance turns cues and the model's outputs into probabilities. An offer's
// log-odds are those of the score, so that stance and flag never contradict.
func (a *analysis) stance(total float64, mv modelView, flagged bool) (Stance, map[Stance]float64) {
	cues, quiet := 1.0, 1.0 // weight of the cues, and what a stance lacks without any
	if mv.stances != nil {
		cues, quiet = learnedCues, 0
	}
	sums := map[Stance]float64{StanceOffer: total, StanceOther: 0.3 * quiet}
	for _, s := range Stances[1:] {
		var shares []share
		for i := range a.evidence {
			if e := &a.evidence[i]; e.stance == s && e.category < 0 {
				shares = append(shares, share{i, e.weight})
			}
		}
		sums[s] += cues*decay(shares, benignDecay, benignCap) - quiet
	}
	switch a.post.SourceType {
	case "news":
		sums[StanceReport] += 1
	case "official":
		sums[StanceWarning] += 1
	case "qa":
		sums[StanceQuestion] += 0.5
	}
	for i, s := range Stances {
		if mv.stances != nil && s != StanceOffer {
			sums[s] += mv.stances[i]
		}
	}
	scores := make(map[Stance]float64, len(Stances))
	highest, z := math.Inf(-1), 0.0
	for _, s := range Stances {
		highest = max(highest, sums[s])
	}
	for _, s := range Stances {
		scores[s] = math.Exp(sums[s] - highest)
		z += scores[s]
	}
	best := StanceOther
	for _, s := range Stances {
		scores[s] /= z
		if scores[s] > scores[best] {
			best = s
		}
	}
	if flagged {
		return StanceOffer, scores
	}
	if best == StanceOffer {
		best = StanceOther
		for _, s := range Stances[1:] {
			if scores[s] > scores[best] {
				best = s
			}
		}
	}
	return best, scores
}

// severities in rising order.
var severities = []Severity{SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}

// severity starts from the category's base and moves by what makes a hit more
// or less worth an investigator's time.
func (a *analysis) severity(v Verdict) Severity {
	level := 1
	if c, ok := a.c.dict.Category(v.Categories[0].ID); ok {
		level = slices.Index(severities, c.Severity)
	}
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
