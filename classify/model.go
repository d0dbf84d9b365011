package classify

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Model holds learned weights: a linear model over hashed character n-grams of
// the normalised text, with one output for "flagged", one for each stance and
// one for each category, and the scale of the dictionary's own score. It is
// immutable and safe for concurrent use.
type Model struct {
	// Version changes with every byte of the weights.
	Version string

	head    modelHead
	weights []int8 // row a bucket, column an output
	packed  packedRows
}

// index packs the rows for use.
func (m *Model) index() { m.packed = packRows(m.weights, m.head.Buckets, m.head.outputs()) }

// modelHead is the readable part of a model file.
type modelHead struct {
	Format     int       `json:"format"`
	Buckets    int       `json:"buckets"` // a power of two
	Categories []string  `json:"categories"`
	Scales     []float32 `json:"scales"` // log-odds of one int8 step, an output
	Bias       []float32 `json:"bias"`
	RuleScale  float64   `json:"rule_scale"` // factor on the dictionary's reasons
	Texts      int       `json:"texts"`      // how many it was fitted on
}

const (
	modelFormat  = 2
	modelMagic   = "QYMODEL1"
	modelBuckets = 1 << 19
	maxModelSize = 64 << 20
)

// outputs: 0 is "flagged", then the stances, then the categories.
const stanceOutput = 1

func (h modelHead) outputs() int        { return stanceOutput + len(Stances) + len(h.Categories) }
func (h modelHead) categoryOutput() int { return stanceOutput + len(Stances) }

// ReadModel reads a model file. It refuses files that are damaged, of another
// format, or implausibly large.
func ReadModel(r io.Reader) (*Model, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxModelSize))
	if err != nil {
		return nil, fmt.Errorf("reading model: %w", err)
	}
	if !bytes.HasPrefix(data, []byte(modelMagic)) {
		return nil, errors.New("model: this is not a model file; make one with qingyuan learn")
	}
	zr, err := gzip.NewReader(bytes.NewReader(data[len(modelMagic):]))
	if err != nil {
		return nil, fmt.Errorf("model is damaged: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(zr, maxModelSize))
	if err != nil {
		return nil, fmt.Errorf("model is damaged: %w", err)
	}
	if len(raw) < 4 {
		return nil, errors.New("model is damaged: no header")
	}
	n := binary.LittleEndian.Uint32(raw)
	if uint64(n)+4 > uint64(len(raw)) {
		return nil, errors.New("model is damaged: header is cut")
	}
	m := &Model{}
	if err := json.Unmarshal(raw[4:4+n], &m.head); err != nil {
		return nil, fmt.Errorf("model is damaged: header: %w", err)
	}
	if err := m.head.check(len(raw) - 4 - int(n)); err != nil {
		return nil, err
	}
	body := raw[4+n:]
	m.weights = make([]int8, len(body))
	for i, b := range body {
		m.weights[i] = int8(b)
	}
	m.index()
	sum := sha256.Sum256(raw)
	m.Version = hex.EncodeToString(sum[:])[:12]
	return m, nil
}

func (h modelHead) check(body int) error {
	switch {
	case h.Format != modelFormat:
		return fmt.Errorf("model has format %d, this program reads %d; run qingyuan learn again", h.Format, modelFormat)
	case h.Buckets <= 0 || h.Buckets&(h.Buckets-1) != 0 || h.Buckets > 1<<22 || len(h.Categories) > 256:
		return errors.New("model is damaged: implausible sizes")
	case len(h.Scales) != h.outputs() || len(h.Bias) != h.outputs() || body != h.Buckets*h.outputs():
		return errors.New("model is damaged: sizes do not agree")
	}
	return nil
}

// Write writes the model file.
func (m *Model) Write(w io.Writer) error {
	head, err := json.Marshal(m.head)
	if err != nil {
		return fmt.Errorf("encoding model header: %w", err)
	}
	var buf bytes.Buffer
	buf.WriteString(modelMagic)
	zw, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(head)))
	body := make([]byte, len(m.weights))
	for i, v := range m.weights {
		body[i] = byte(v)
	}
	for _, part := range [][]byte{size, head, body} {
		if _, err := zw.Write(part); err != nil {
			return fmt.Errorf("compressing model: %w", err)
		}
	}
	if err := zw.Close(); err != nil {
		return fmt.Errorf("compressing model: %w", err)
	}
	if _, err := w.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	return nil
}

// modelView is what the model says of one text.
type modelView struct {
	bias       float64   // of the flag
	stances    []float64 // in the order of Stances
	categories []float64 // in the order of the model's categories
}

// clauseWeight is the share of the n-grams that begin in one clause.
type clauseWeight struct {
	span   span
	weight float64
}

// maxClauses is how many clauses are shown as reasons of their own; the last
// one shown then stands for all the rest.
const maxClauses = 8

// norm of a text's n-gram vector: contributions are divided by the square root
// of their number, so that long texts do not shout.
func gramNorm(n int) float64 {
	if n == 0 {
		return 0
	}
	return 1 / math.Sqrt(float64(n))
}

func (a *analysis) consult(m *Model) modelView {
	a.gramsBuf = a.grams(m.head.Buckets, a.gramsBuf)
	m.packed.add(a.gramsBuf, &a.rowSums)
	a.weigh()
	sums := a.rowSums.sums
	norm := gramNorm(len(a.gramsBuf))
	a.modelOdds = slices.Grow(a.modelOdds[:0], len(sums))[:len(sums)]
	v := modelView{bias: float64(m.head.Bias[0]), stances: a.modelOdds[stanceOutput:m.head.categoryOutput()], categories: a.modelOdds[m.head.categoryOutput():]}
	for i := range v.stances {
		o := stanceOutput + i
		v.stances[i] = float64(sums[o])*float64(m.head.Scales[o])*norm + float64(m.head.Bias[o])
	}
	for i := range v.categories {
		o := m.head.categoryOutput() + i
		v.categories[i] = float64(sums[o])*float64(m.head.Scales[o])*norm + float64(m.head.Bias[o])
	}
	return v
}

// flagGram is a feature that speaks for or against flagging.
type flagGram struct {
	gram   int32 // its index
	weight int8
}

// weigh lists the features in use that speak for or against flagging.
func (a *analysis) weigh() {
	flags := a.rowSums.flags
	out := slices.Grow(a.flagGrams[:0], len(flags))[:len(flags)]
	k := 0
	for i, w := range flags {
		out[k] = flagGram{int32(i), w}
		if w != 0 { // no jump: it is as good as random
			k++
		}
	}
	a.flagGrams = out[:k]
}

// modelShare is what the model adds to the score in one view, and whence.
type modelShare struct {
	flag     float64
	clauses  []clauseWeight // strongest first
	evidence []float64      // for each piece of evidence; with the clauses they sum to flag
}

// share weighs the n-grams after consult: all of them, or with a window those
// inside it by themselves, and those outside as far as they speak against an
// offer, in part.
func (a *analysis) share(m *Model, window *span, v *modelShare) {
	in, out := a.gramFactors(m, window)
	v.evidence = slices.Grow(v.evidence[:0], len(a.evidence))[:len(a.evidence)]
	clear(v.evidence)
	total := 0.0
	clauses := a.clauses()
	rest := clauseWeight{}
	c, sum := 0, 0.0 // the clause at hand and its weight
	for _, f := range a.flagGrams {
		w, g := float64(f.weight), &a.gramsBuf[f.gram]
		if window == nil {
			w *= in
		} else if w *= a.gramPlace(g, window).factor(in, out); w == 0 {
			continue
		}
		total += w
		switch {
		case g.evidence > 0:
			v.evidence[g.evidence-1] += w
		case g.span.end == g.span.start:
			rest.weight += w
		default:
			if s := &clauses[c].span; g.span.start < s.start || g.span.start >= s.end {
				clauses[c].weight = sum
				c = clauseAt(clauses, c, g.span.start)
				sum = clauses[c].weight
			}
			sum += w
		}
	}
	clauses[c].weight = sum
	v.flag = total
	v.clauses = append(v.clauses[:0], topClauses(clauses, rest)...)
}

// clauseAt returns the clause that pos stands in, or the one after it. n-grams
// come mostly in order: the search begins at the clause of the one before.
func clauseAt(clauses []clauseWeight, c int, pos int32) int {
	if c > 0 && clauses[c-1].span.end > pos {
		c, _ = slices.BinarySearchFunc(clauses, pos, func(c clauseWeight, pos int32) int { return cmp.Compare(c.span.end, pos+1) })
	}
	for c < len(clauses)-1 && clauses[c].span.end <= pos {
		c++
	}
	return c
}

// gramFactors turns weights into log-odds, inside a window and outside it.
func (a *analysis) gramFactors(m *Model, window *span) (in, out float64) {
	step := float64(m.head.Scales[0])
	if window == nil {
		return step * gramNorm(len(a.gramsBuf)), 0
	}
	inside, outside, against := 0, 0, 0
	for i := range a.gramsBuf {
		switch a.gramPlace(&a.gramsBuf[i], window) {
		case placeInside:
			inside++
		case placeOutside:
			outside++
		}
	}
	for _, f := range a.flagGrams {
		if a.gramPlace(&a.gramsBuf[f.gram], window) == placeOutside {
			against += int(f.weight)
		}
	}
	if against < 0 {
		out = step * gramNorm(max(outside, minOutsideGrams)) * outsideShare
	}
	return step * gramNorm(max(inside, min(len(a.gramsBuf), minWindowGrams))), out
}

// minWindowGrams keeps a window of a few words from shouting: its n-grams weigh
// as they would in a text of this many.
const minWindowGrams = 120

// minOutsideGrams does the same for what surrounds a window: a sentence of
// warning copied a thousand times is still one sentence.
const minOutsideGrams = 400

type gramPlace int

const (
	placeNowhere gramPlace = iota // says something of the whole text
	placeInside
	placeOutside
)

// factor is the one for n-grams inside or outside, or 0.
func (p gramPlace) factor(in, out float64) float64 {
	switch p {
	case placeInside:
		return in
	case placeOutside:
		return out
	}
	return 0
}

// gramPlace tells where a feature stands; without a window all are inside.
func (a *analysis) gramPlace(g *gram, window *span) gramPlace {
	if window == nil {
		return placeInside
	}
	at := g.span
	if g.evidence > 0 {
		e := &a.evidence[g.evidence-1]
		if !e.placed {
			return placeInside
		}
		at = e.span
	} else if at.end == at.start {
		return placeNowhere
	}
	if at.start >= window.start && at.start < window.end {
		return placeInside
	}
	return placeOutside
}

// clauses splits the text at its signs; there is always one.
func (a *analysis) clauses() []clauseWeight {
	out := a.clauseBuf[:0]
	start := 0
	for i, c := range a.norm.class {
		if (c == classClause || c == classNewline) && i > start {
			out = append(out, clauseWeight{span: span{int32(start), int32(i)}})
			start = i + 1
		} else if c == classClause || c == classNewline {
			start = i + 1
		}
	}
	if start < len(a.norm.class) || len(out) == 0 {
		out = append(out, clauseWeight{span: span{int32(start), int32(len(a.norm.class))}})
	}
	a.clauseBuf = out
	return out
}

// topClauses keeps the strongest and folds the others into one without a place.
func topClauses(all []clauseWeight, rest clauseWeight) []clauseWeight {
	slices.SortStableFunc(all, func(x, y clauseWeight) int { return cmp.Compare(math.Abs(y.weight), math.Abs(x.weight)) })
	if len(all) <= maxClauses {
		return append(all, rest)
	}
	for _, c := range all[maxClauses:] {
		rest.weight += c.weight
	}
	return append(all[:maxClauses:maxClauses], rest)
}
