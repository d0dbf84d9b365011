package classify

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"

	"qingyuan/post"
)

// Sample is a post with what is already known of it.
type Sample struct {
	Post    post.Post
	Truth   *Truth // what a careful person says of it; nil when nobody has
	Verdict *Truth // what an earlier verdict said of it; nil when it has none
	// Contacts are those a person saw in it; they count besides those found.
	Contacts []Contact
}

// Truth is what is taken for true of a post.
type Truth struct {
	Flagged  bool   `json:"flagged"`
	Stance   Stance `json:"stance,omitempty"`   // empty: not said
	Category string `json:"category,omitempty"` // of a flagged post; empty: not said
}

// Sample returns a labelled text as a sample whose truth is the label.
func (l Labelled) Sample() Sample {
	p := l.Post()
	p.ID = l.ID
	return Sample{Post: p, Truth: &Truth{l.Flagged, l.Stance, l.Category}, Contacts: l.Contacts}
}

// Backtest is what changes when one classifier takes the place of another.
type Backtest struct {
	Posts    int `json:"posts"`
	Known    int `json:"known"`     // posts whose truth is known; only they count for right, wrong, precision and recall
	TooLarge int `json:"too_large"` // posts left out because they are over post.MaxText

	// What each of the two does.
	Old BacktestSide `json:"old"`
	New BacktestSide `json:"new"`

	Changed   int   `json:"changed"`   // posts with a change of any kind
	Flagged   Tally `json:"flagged"`   // newly flagged
	Unflagged Tally `json:"unflagged"` // no longer flagged
	Category  Tally `json:"category"`  // flagged by both, under another category
	Stance    Tally `json:"stance"`    // another stance
	Severity  Tally `json:"severity"`  // flagged by both, with another severity; nobody knows what is right

	Categories map[string]CategoryShift `json:"categories"` // by category id; only those with hits or labels
}

// BacktestSide is one of the two classifiers over all posts.
type BacktestSide struct {
	Dictionary string `json:"dictionary"` // version
	Model      string `json:"model,omitempty"`
	Hits       int    `json:"hits"`
	Flag       Count  `json:"flag"` // over the posts whose truth is known
}

// Tally counts changes. Right and wrong are those whose truth is known.
type Tally struct {
	Posts int `json:"posts"`
	Right int `json:"right"`
	Wrong int `json:"wrong"`
}

// Unknown is how many changes nobody has judged.
func (t Tally) Unknown() int { return t.Posts - t.Right - t.Wrong }

func (t *Tally) add(j Judgement) {
	t.Posts++
	switch j {
	case JudgedRight:
		t.Right++
	case JudgedWrong:
		t.Wrong++
	}
}

// CategoryShift is one category under both classifiers.
type CategoryShift struct {
	OldHits int   `json:"old_hits"`
	NewHits int   `json:"new_hits"`
	Gained  Tally `json:"gained"` // hits of this category that were none, or of another
	Lost    Tally `json:"lost"`
	Old     Count `json:"old"` // over the posts whose truth is known
	New     Count `json:"new"`
}

// Judgement says whether a change is for the better.
type Judgement string

// The judgements.
const (
	JudgedUnknown Judgement = ""
	JudgedRight   Judgement = "right"
	JudgedWrong   Judgement = "wrong"
)

// The kinds of changes, most important first.
const (
	ChangeFlagged   = "flagged"
	ChangeUnflagged = "unflagged"
	ChangeCategory  = "category"
	ChangeStance    = "stance"
	ChangeSeverity  = "severity"
)

// BacktestChange is one post on which the two classifiers differ.
type BacktestChange struct {
	ID        string        `json:"id"`
	URL       string        `json:"url,omitempty"`
	Title     string        `json:"title,omitempty"`
	Text      string        `json:"text"`
	Kinds     []string      `json:"kinds"` // most important first; never empty
	Judgement Judgement     `json:"judgement,omitempty"`
	Truth     *Truth        `json:"truth,omitempty"`
	Old       VerdictDigest `json:"old"`
	New       VerdictDigest `json:"new"`
	Reasons   []ReasonDelta `json:"reasons"` // those whose weight differs, the largest difference first; never nil
}

// VerdictDigest is the part of a verdict that a backtest compares.
type VerdictDigest struct {
	Flagged   bool     `json:"flagged"`
	Score     float64  `json:"score"`
	Threshold float64  `json:"threshold"` // of the strongest category
	Category  string   `json:"category,omitempty"`
	Stance    Stance   `json:"stance"`
	Severity  Severity `json:"severity,omitempty"`
}

// ReasonDelta is a reason that counts differently; a weight of 0 stands for a
// reason that is not there.
type ReasonDelta struct {
	Kind     ReasonKind `json:"kind"`
	ID       string     `json:"id"`
	Category string     `json:"category,omitempty"`
	Text     string     `json:"text,omitempty"` // the published characters
	Old      float64    `json:"old"`
	New      float64    `json:"new"`
}

// reasonNoise is the difference of weights below which a reason counts as the
// same.
const reasonNoise = 0.01

// RunBacktest judges every post with both classifiers, on all cores, and
// compares. changed, when not nil, is called with every post on which they
// differ, in the order of posts and by one goroutine; its error ends the run,
// as does one of posts. Nothing is kept of a post but its counts.
func RunBacktest(ctx context.Context, older, newer *Classifier, posts iter.Seq2[Sample, error], changed func(BacktestChange) error) (Backtest, error) {
	b := Backtest{Categories: map[string]CategoryShift{}}
	b.Old.Dictionary, b.New.Dictionary = older.dict.Version, newer.dict.Version
	if older.model != nil {
		b.Old.Model = older.model.Version
	}
	if newer.model != nil {
		b.New.Model = newer.model.Version
	}
	type pair struct {
		sample     Sample
		old, new   Verdict
		overlength bool
	}
	judge := func(s Sample) pair {
		if t := s.Truth; t != nil && !older.knows(t.Category) && !newer.knows(t.Category) {
			s.Truth = &Truth{Flagged: t.Flagged, Stance: t.Stance} // of no kind that is compared here
		}
		o, errOld := older.Classify(s.Post)
		n, errNew := newer.Classify(s.Post)
		return pair{s, o, n, errOld != nil || errNew != nil}
	}
	err := inOrder(ctx, posts, judge, func(p pair) error {
		if p.overlength {
			b.TooLarge++
			return nil
		}
		c := b.compare(p.sample, older.digest(p.old), newer.digest(p.new))
		if len(c.Kinds) == 0 || changed == nil {
			return nil
		}
		c.Reasons = reasonDeltas(p.old.Reasons, p.new.Reasons)
		return changed(c)
	})
	return b, err
}

func (c *Classifier) digest(v Verdict) VerdictDigest {
	d := VerdictDigest{Flagged: v.Flagged, Score: v.Score, Threshold: 0.5, Stance: v.Stance, Severity: v.Severity}
	if len(v.Categories) > 0 {
		d.Category = v.Categories[0].ID
		if cat, ok := c.dict.Category(d.Category); ok {
			d.Threshold = cat.Threshold
		}
	}
	return d
}

func (c *Classifier) knows(category string) bool {
	_, ok := c.dict.Category(category)
	return ok
}

// hitOf is the category a verdict flags under; "" when it does not.
func (d VerdictDigest) hitOf() string {
	if d.Flagged {
		return d.Category
	}
	return ""
}

// compare counts one post and returns what changed; no kinds when nothing did.
func (b *Backtest) compare(s Sample, o, n VerdictDigest) BacktestChange {
	b.Posts++
	b.countSides(s.Truth, o, n)
	c := BacktestChange{ID: s.Post.ID, URL: s.Post.URL, Title: s.Post.Title, Text: s.Post.Text, Truth: s.Truth, Old: o, New: n}
	note := func(kind string, t *Tally, j Judgement) {
		t.add(j)
		c.Kinds = append(c.Kinds, kind)
		if len(c.Kinds) == 1 {
			c.Judgement = j
		}
	}
	flag := JudgedUnknown
	if s.Truth != nil {
		flag = judged(s.Truth.Flagged == n.Flagged)
	}
	switch {
	case n.Flagged && !o.Flagged:
		note(ChangeFlagged, &b.Flagged, flag)
	case o.Flagged && !n.Flagged:
		note(ChangeUnflagged, &b.Unflagged, flag)
	case o.Flagged && o.Category != n.Category:
		note(ChangeCategory, &b.Category, judgeValue(truthCategory(s.Truth), o.Category, n.Category))
	}
	if o.Stance != n.Stance {
		truth := ""
		if s.Truth != nil {
			truth = string(s.Truth.Stance)
		}
		note(ChangeStance, &b.Stance, judgeValue(truth, string(o.Stance), string(n.Stance)))
	}
	if o.Flagged && n.Flagged && o.Severity != n.Severity {
		note(ChangeSeverity, &b.Severity, JudgedUnknown)
	}
	if len(c.Kinds) > 0 {
		b.Changed++
	}
	b.shift(s.Truth, o.hitOf(), n.hitOf(), c.Judgement)
	return c
}

func truthCategory(t *Truth) string {
	if t == nil || !t.Flagged {
		return ""
	}
	return t.Category
}

func judged(right bool) Judgement {
	if right {
		return JudgedRight
	}
	return JudgedWrong
}

// judgeValue judges a change between two values; one that was wrong before and
// after is neither better nor worse.
func judgeValue(truth, o, n string) Judgement {
	switch truth {
	case "":
		return JudgedUnknown
	case n:
		return JudgedRight
	case o:
		return JudgedWrong
	}
	return JudgedUnknown
}

func (b *Backtest) countSides(truth *Truth, o, n VerdictDigest) {
	if o.Flagged {
		b.Old.Hits++
	}
	if n.Flagged {
		b.New.Hits++
	}
	if truth == nil {
		return
	}
	b.Known++
	b.Old.Flag.add(truth.Flagged, o.Flagged)
	b.New.Flag.add(truth.Flagged, n.Flagged)
	want := truthCategory(truth)
	if truth.Flagged && want == "" {
		return // an offer, but nobody said of what
	}
	for _, id := range unique(want, o.hitOf(), n.hitOf()) {
		s := b.Categories[id]
		if id == want || id == o.hitOf() {
			s.Old.add(id == want, id == o.hitOf())
		}
		if id == want || id == n.hitOf() {
			s.New.add(id == want, id == n.hitOf())
		}
		b.Categories[id] = s
	}
}

// shift counts the hits of categories. j judges the change of the post.
func (b *Backtest) shift(truth *Truth, o, n string, j Judgement) {
	for _, id := range unique(o, n) {
		s := b.Categories[id]
		if id == o {
			s.OldHits++
		}
		if id == n {
			s.NewHits++
		}
		if o != n {
			own := j
			if o != "" && n != "" { // moved: right where it belongs
				own = JudgedUnknown
				if truth != nil && (!truth.Flagged || truth.Category != "") {
					own = judged((id == truthCategory(truth)) == (id == n))
				}
			}
			if id == n {
				s.Gained.add(own)
			} else {
				s.Lost.add(own)
			}
		}
		b.Categories[id] = s
	}
}

// unique returns the ids that are not empty, each once.
func unique(ids ...string) []string {
	var out []string
	for _, id := range ids {
		if id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// reasonDeltas lists the reasons whose weight differs.
func reasonDeltas(older, newer []Reason) []ReasonDelta {
	type key struct {
		kind         ReasonKind
		id, category string
	}
	at := map[key]int{}
	all := []ReasonDelta{}
	place := func(r Reason) *ReasonDelta {
		k := key{r.Kind, r.ID, r.Category}
		i, ok := at[k]
		if !ok {
			i = len(all)
			at[k] = i
			all = append(all, ReasonDelta{Kind: r.Kind, ID: r.ID, Category: r.Category, Text: r.Text})
		}
		return &all[i]
	}
	for _, r := range newer {
		place(r).New += r.Weight
	}
	for _, r := range older {
		place(r).Old += r.Weight
	}
	all = slices.DeleteFunc(all, func(d ReasonDelta) bool { return math.Abs(d.New-d.Old) < reasonNoise })
	slices.SortStableFunc(all, func(x, y ReasonDelta) int {
		return cmp.Compare(math.Abs(y.New-y.Old), math.Abs(x.New-x.Old))
	})
	return all
}

// orderedBatch is how many items a worker of inOrder takes at a time.
const orderedBatch = 64

// inOrder applies work to every item on all cores and gives the results to
// take, in the order of the items and from the calling goroutine. A few batches
// are in memory at a time. It stops at the first error of items, take or ctx.
func inOrder[T, U any](ctx context.Context, items iter.Seq2[T, error], work func(T) U, take func(U) error) error {
	type batch struct {
		in   []T
		out  []U
		done chan struct{}
	}
	ctx, cancel := context.WithCancel(ctx)
	workers := runtime.GOMAXPROCS(0)
	todo, order := make(chan *batch), make(chan *batch, workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range workers {
		wg.Go(func() {
			for b := range todo {
				for _, item := range b.in {
					b.out = append(b.out, work(item))
				}
				close(b.done)
			}
		})
	}
	var readErr error
	wg.Go(func() {
		defer close(order)
		defer close(todo)
		b := &batch{done: make(chan struct{})}
		hand := func() bool {
			select {
			case order <- b:
			case <-ctx.Done():
				return false
			}
			todo <- b // a worker takes it: they run until todo is closed
			b = &batch{done: make(chan struct{})}
			return true
		}
		for item, err := range items {
			if err != nil {
				readErr = fmt.Errorf("reading posts: %w", err)
				break
			}
			b.in = append(b.in, item)
			if len(b.in) == orderedBatch && !hand() {
				return
			}
		}
		if len(b.in) > 0 {
			hand()
		}
	})
	for b := range order {
		<-b.done
		for _, u := range b.out {
			if err := take(u); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if readErr != nil {
		return readErr
	}
	return ctx.Err()
}
