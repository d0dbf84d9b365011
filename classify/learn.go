package classify

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"qingyuan/post"
)

// Labelled is a text with what a careful analyst says of it.
type Labelled struct {
	ID         string    `json:"id"`
	Title      string    `json:"title,omitempty"`
	Text       string    `json:"text"`
	SourceType string    `json:"source_type,omitempty"`
	Kind       post.Kind `json:"kind,omitempty"`
	Flagged    bool      `json:"flagged"`
	Stance     Stance    `json:"stance"`
	Category   string    `json:"category,omitempty"`
	Evasion    []Evasion `json:"evasion,omitempty"`
	Contacts   []Contact `json:"contacts,omitempty"`
}

// Contact is a labelled contact.
type Contact struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Post returns the text as a post to classify.
func (l Labelled) Post() post.Post {
	return post.Post{ID: l.ID, Title: l.Title, Text: l.Text, SourceType: l.SourceType, Kind: l.Kind}
}

// LearnOptions are the settings of Learn. Zero values are replaced by the
// defaults that the built-in model was made with.
type LearnOptions struct {
	Epochs int     // passes over the texts; 15
	Rate   float64 // AdaGrad step; 0.3
	L2     float64 // weight decay a step; 1e-4
	Seed   uint64  // of the order of the texts; 1
	// OfferRate is the share of offers among the texts that the model will
	// judge, (0,1); 0.37. The texts it learns from hold more, and the bias is
	// moved by the difference of the log-odds.
	OfferRate float64
	Progress  func(epoch int, loss float64)
}

func (o LearnOptions) withDefaults() LearnOptions {
	if o.Epochs == 0 {
		o.Epochs = 15
	}
	if o.Rate == 0 {
		o.Rate = 0.3
	}
	if o.L2 == 0 {
		o.L2 = 1e-4
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.OfferRate == 0 {
		o.OfferRate = 0.37
	}
	return o
}

// sample is a text prepared for fitting.
type sample struct {
	grams  []uint32
	norm   float64
	rule   float64 // the dictionary's logit
	flag   float64 // 1 or 0
	stance int
	cat    int // −1: none
}

// Learn fits a model on labelled texts beside the dictionary of c, whose
// verdict without a model is an offset: the model learns what the dictionary
// misses. The same texts, options and dictionary give the same bytes.
func Learn(c *Classifier, texts []Labelled, opts LearnOptions) (*Model, error) {
	if len(texts) < 50 {
		return nil, fmt.Errorf("learning needs at least 50 labelled texts, there are %d", len(texts))
	}
	opts = opts.withDefaults()
	bare, err := New(Options{Dictionary: c.dict})
	if err != nil {
		return nil, err
	}
	samples, err := bare.samples(texts)
	if err != nil {
		return nil, err
	}
	dropRare(samples)
	t := newTrainer(bare.lex.cats, opts)
	t.ratios(samples)
	t.run(samples)
	t.bias[0] += logit(opts.OfferRate) - logit(offerRate(samples))
	t.evenStances(samples)
	return t.model(len(texts)), nil
}

// offerRate is the share of flagged texts, kept away from 0 and 1.
func offerRate(samples []sample) float64 {
	n := 0.0
	for i := range samples {
		n += samples[i].flag
	}
	return (n + 1) / (float64(len(samples)) + 2)
}

// evenStances moves the biases of the stances to where they would be had the
// texts held as many of each: how often a labelled file has one says nothing of
// the posts to be judged.
func (t *trainer) evenStances(samples []sample) {
	count := make([]float64, len(Stances))
	for i := range samples {
		count[samples[i].stance]++
	}
	for i, n := range count {
		t.bias[stanceOutput+i] -= math.Log((n + 1) / (float64(len(samples)) + float64(len(count))) * float64(len(count)))
	}
}

// minTexts is in how many texts a feature must stand to be learned: what stands
// in fewer is those texts' own.
const minTexts = 3

// dropRare takes the rare features out, in place. The norm of a text keeps
// counting them, as it does when the model is used.
func dropRare(samples []sample) {
	count := make([]uint16, modelBuckets)
	for _, s := range samples {
		for _, b := range s.grams {
			count[b] = min(count[b]+1, 1000)
		}
	}
	for i := range samples {
		samples[i].grams = slices.DeleteFunc(samples[i].grams, func(b uint32) bool { return count[b] < minTexts })
	}
}

func (c *Classifier) samples(texts []Labelled) ([]sample, error) {
	a := newAnalysis(c)
	out := make([]sample, 0, len(texts))
	var errs []error
	for _, l := range texts {
		stance := slices.Index(Stances[:], l.Stance)
		if stance < 0 {
			errs = append(errs, fmt.Errorf("text %s: stance %q is unknown", l.ID, l.Stance))
			continue
		}
		a.analyse(l.Post())
		v := a.judge()
		s := sample{rule: v.logit, stance: stance, cat: slices.Index(c.lex.cats, l.Category)}
		if l.Flagged {
			s.flag = 1
		}
		for _, g := range a.grams(modelBuckets, nil) {
			s.grams = append(s.grams, g.bucket)
		}
		s.norm = gramNorm(len(s.grams))
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// trainer fits all outputs by AdaGrad.
type trainer struct {
	cats    []string
	opts    LearnOptions
	outputs int
	w, g2   []float64
	bias    []float64
	biasG2  []float64
	scale   float64 // of the dictionary's logit
	scaleG2 float64
	errs    []float64
	r       []float64 // log-count ratio of each weight
}

// ratioSmoothing is added to both counts of a log-count ratio.
const ratioSmoothing = 0.5

// ratios gives each feature, for each output, the logarithm of how much more
// often it stands in texts that have the output than in those that have not.
// Weights are fitted as factors on these ratios (Wang and Manning 2012, "NBSVM"),
// which lets rare features say something without being trusted blindly.
func (t *trainer) ratios(samples []sample) {
	t.r = make([]float64, len(t.w))
	pos := make([]float64, len(t.w))
	all := make([]float64, modelBuckets)
	posTotal, total := make([]float64, t.outputs), 0.0
	for i := range samples {
		s := &samples[i]
		on := t.targets(s)
		for _, b := range s.grams {
			all[b]++
			for _, o := range on {
				pos[int(b)*t.outputs+o]++
			}
		}
		n := float64(len(s.grams))
		total += n
		for _, o := range on {
			posTotal[o] += n
		}
	}
	for b := range modelBuckets {
		if all[b] == 0 {
			continue
		}
		for o := range t.outputs {
			p := (pos[b*t.outputs+o] + ratioSmoothing) / (posTotal[o] + ratioSmoothing*modelBuckets)
			q := (all[b] - pos[b*t.outputs+o] + ratioSmoothing) / (total - posTotal[o] + ratioSmoothing*modelBuckets)
			t.r[b*t.outputs+o] = math.Log(p / q)
			t.w[b*t.outputs+o] = ratioStart
		}
	}
}

// ratioStart is the factor every ratio begins with.
const ratioStart = 0.3

// targets lists the outputs a text has.
func (t *trainer) targets(s *sample) []int {
	on := []int{stanceOutput + s.stance}
	if s.flag == 1 {
		on = append(on, 0)
	}
	if s.cat >= 0 {
		on = append(on, stanceOutput+len(Stances)+s.cat)
	}
	return on
}

func newTrainer(cats []string, opts LearnOptions) *trainer {
	h := modelHead{Categories: cats}
	n := h.outputs()
	return &trainer{cats: cats, opts: opts, outputs: n, w: make([]float64, modelBuckets*n), g2: make([]float64, modelBuckets*n),
		bias: make([]float64, n), biasG2: make([]float64, n), scale: 1, errs: make([]float64, n)}
}

func (t *trainer) run(samples []sample) {
	rng := rand.New(rand.NewPCG(t.opts.Seed, 0))
	order := rng.Perm(len(samples))
	for epoch := range t.opts.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss := 0.0
		for _, i := range order {
			loss += t.step(&samples[i])
		}
		if t.opts.Progress != nil {
			t.opts.Progress(epoch+1, loss/float64(len(samples)))
		}
	}
}

// step fits one text and returns its log-loss on "flagged".
func (t *trainer) step(s *sample) float64 {
	z := slices.Clone(t.bias)
	for _, b := range s.grams {
		row := t.w[int(b)*t.outputs : (int(b)+1)*t.outputs]
		r := t.r[int(b)*t.outputs : (int(b)+1)*t.outputs]
		for o, w := range row {
			z[o] += w * r[o] * s.norm
		}
	}
	rule := max(-8, min(8, s.rule))
	z[0] += t.scale * rule
	p := logistic(z[0])
	t.errs[0] = p - s.flag
	t.stanceErrors(z, s.stance)
	for i := range t.cats {
		o := stanceOutput + len(Stances) + i
		want := 0.0
		if i == s.cat {
			want = 1
		}
		t.errs[o] = logistic(z[o]) - want
	}
	t.update(s, rule)
	if s.flag == 1 {
		return -math.Log(max(p, 1e-9))
	}
	return -math.Log(max(1-p, 1e-9))
}

func (t *trainer) stanceErrors(z []float64, stance int) {
	highest, sum := math.Inf(-1), 0.0
	for i := range Stances {
		highest = max(highest, z[stanceOutput+i])
	}
	for i := range Stances {
		sum += math.Exp(z[stanceOutput+i] - highest)
	}
	for i := range Stances {
		t.errs[stanceOutput+i] = math.Exp(z[stanceOutput+i]-highest) / sum
	}
	t.errs[stanceOutput+stance]--
}

func (t *trainer) update(s *sample, rule float64) {
	adagrad := func(w, g2 *float64, g, l2 float64) {
		g += l2 * *w
		*g2 += g * g
		*w -= t.opts.Rate * g / (math.Sqrt(*g2) + 1e-6)
	}
	for o, e := range t.errs {
		adagrad(&t.bias[o], &t.biasG2[o], e*0.1, 0)
	}
	g := t.errs[0] * rule * 0.05
	adagrad(&t.scale, &t.scaleG2, g, 0)
	t.scale = max(0.4, min(1.6, t.scale))
	for _, b := range s.grams {
		at := int(b) * t.outputs
		for o, e := range t.errs {
			if math.Abs(e) < 1e-4 {
				continue
			}
			adagrad(&t.w[at+o], &t.g2[at+o], e*s.norm*t.r[at+o], t.opts.L2)
		}
	}
}

// model rounds the weights to bytes, an output at a time.
func (t *trainer) model(texts int) *Model {
	m := &Model{head: modelHead{Format: modelFormat, Buckets: modelBuckets, Categories: t.cats, RuleScale: t.scale, Texts: texts}}
	for o := range t.outputs {
		largest := 1e-9
		for b := range modelBuckets {
			t.w[b*t.outputs+o] *= t.r[b*t.outputs+o]
			largest = max(largest, math.Abs(t.w[b*t.outputs+o]))
		}
		m.head.Scales = append(m.head.Scales, float32(largest/127))
		m.head.Bias = append(m.head.Bias, float32(t.bias[o]))
	}
	m.weights = make([]int8, len(t.w))
	for i, w := range t.w {
		m.weights[i] = int8(math.Round(w / float64(m.head.Scales[i%t.outputs])))
	}
	m.index()
	return m
}
