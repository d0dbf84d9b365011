package workbench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"qingyuan/classify"
)

// The kinds of runs.
const (
	RunBacktest = "backtest"
	RunSuggest  = "suggest"
)

// Source says which posts a run takes: the records of the last Days, or the
// labelled texts of File.
type Source struct {
	Days int
	File string
}

// maxDays bounds a run.
const maxDays = 365

// Run is a try-out in the background. Copies are handed out.
type Run struct {
	Kind    string
	User    string
	Source  Source
	Started time.Time
	Ended   time.Time // zero: still running
	Posts   int       // looked at so far
	Problem string

	Draft       string // fingerprint of the draft that was tried
	Backtest    classify.Backtest
	Changes     []classify.BacktestChange // the most telling ones, wrong ones first
	Suggestions classify.Suggestions

	cancel context.CancelFunc
}

// Running reports whether it has not ended.
func (r Run) Running() bool { return r.Ended.IsZero() }

type jobs struct {
	sync.Mutex
	active *Run
	runs   map[string]*Run // by kind and user
}

// maxRuns bounds the results that are kept, in users.
const maxRuns = 64

// Run returns a user's latest run of a kind.
func (b *Bench) Run(kind, user string) (Run, bool) {
	b.jobs.Lock()
	defer b.jobs.Unlock()
	r, ok := b.jobs.runs[kind+" "+user]
	if !ok {
		return Run{}, false
	}
	return *r, true
}

// StartBacktest judges posts with the dictionaries in use and with a user's
// draft. A run of his own that is under way is ended; one of somebody else is
// ErrBusy.
func (b *Bench) StartBacktest(user string, src Source) error {
	d, err := b.Draft(user)
	if err != nil {
		return err
	}
	if len(d.Edits) == 0 {
		return ErrNoDraft
	}
	return b.startBacktest(user, d, src)
}

// StartBacktestOf is StartBacktest for a draft that its author has submitted.
func (b *Bench) StartBacktestOf(user, author string, src Source) error {
	d, err := b.Draft(author)
	if err != nil {
		return err
	}
	if d.Submitted.IsZero() {
		return ErrNoDraft
	}
	return b.startBacktest(user, d, src)
}

func (b *Bench) startBacktest(user string, d Draft, src Source) error {
	files, err := d.Files()
	if err != nil {
		return err
	}
	newer, err := b.load(files)
	if err != nil {
		return err
	}
	older, err := b.load(d.Base)
	if err != nil {
		return err
	}
	run := &Run{Kind: RunBacktest, User: user, Source: src, Draft: d.Fingerprint()}
	return b.start(run, func(ctx context.Context, posts iter.Seq2[classify.Sample, error]) error {
		var kept keptChanges
		result, err := classify.RunBacktest(ctx, older, newer, posts, kept.add)
		b.jobs.Lock()
		defer b.jobs.Unlock()
		run.Backtest, run.Changes = result, kept.list()
		return err
	})
}

// StartSuggest looks for wordings that no dictionary knows.
func (b *Bench) StartSuggest(user string, src Source) error {
	run := &Run{Kind: RunSuggest, User: user, Source: src}
	c := b.Classifier()
	return b.start(run, func(ctx context.Context, posts iter.Seq2[classify.Sample, error]) error {
		spool, err := os.CreateTemp("", "qingyuan-suggest-")
		if err != nil {
			return fmt.Errorf("making a temporary file: %w", err)
		}
		os.Remove(spool.Name()) //nolint:errcheck // removed below where the system does not allow it yet
		defer os.Remove(spool.Name())
		defer spool.Close()
		result, err := classify.Suggest(ctx, c, posts, classify.SuggestOptions{Spool: spool})
		b.jobs.Lock()
		defer b.jobs.Unlock()
		run.Suggestions = result
		return err
	})
}

// start runs work over the posts of the run's source.
func (b *Bench) start(run *Run, work func(context.Context, iter.Seq2[classify.Sample, error]) error) error {
	posts, closePosts, err := b.open(run.Source)
	if err != nil {
		return err
	}
	b.jobs.Lock()
	defer b.jobs.Unlock()
	if a := b.jobs.active; a != nil {
		if a.User != run.User {
			closePosts()
			return ErrBusy
		}
		a.cancel()
	}
	if len(b.jobs.runs) >= maxRuns {
		clear(b.jobs.runs)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	run.Started, run.cancel = b.now(), cancel
	b.jobs.active, b.jobs.runs[run.Kind+" "+run.User] = run, run
	b.done.Go(func() {
		defer cancel()
		defer closePosts()
		err := work(ctx, b.counted(run, posts(ctx)))
		b.jobs.Lock()
		defer b.jobs.Unlock()
		if run.Ended = b.now(); err != nil {
			run.Problem = err.Error()
		}
		if b.jobs.active == run {
			b.jobs.active = nil
		}
	})
	return nil
}

// Cancel ends a user's run.
func (b *Bench) Cancel(user string) {
	b.jobs.Lock()
	defer b.jobs.Unlock()
	if a := b.jobs.active; a != nil && a.User == user {
		a.cancel()
	}
}

// open gives the posts of a source.
func (b *Bench) open(src Source) (func(context.Context) iter.Seq2[classify.Sample, error], func(), error) {
	if src.File == "" {
		if src.Days < 1 || src.Days > maxDays || b.opts.Posts == nil {
			return nil, nil, fmt.Errorf("%w: days are from 1 to %d", ErrInvalid, maxDays)
		}
		return func(ctx context.Context) iter.Seq2[classify.Sample, error] { return b.opts.Posts(ctx, src.Days) }, func() {}, nil
	}
	if !slices.Contains(b.Labelled(), src.File) {
		return nil, nil, fmt.Errorf("%w: there is no file %q", ErrInvalid, src.File)
	}
	posts, done, err := b.opts.LabelledPosts(src.File)
	return func(context.Context) iter.Seq2[classify.Sample, error] { return posts }, done, err
}

// Labelled lists the files of labelled texts.
func (b *Bench) Labelled() []string {
	if b.opts.Labelled == nil {
		return nil
	}
	return b.opts.Labelled()
}

// counted tells the run how far it is.
func (b *Bench) counted(run *Run, posts iter.Seq2[classify.Sample, error]) iter.Seq2[classify.Sample, error] {
	return func(yield func(classify.Sample, error) bool) {
		for s, err := range posts {
			b.jobs.Lock()
			run.Posts++
			b.jobs.Unlock()
			if !yield(s, err) {
				return
			}
		}
	}
}

// keptChanges are the changes worth a look: of each kind some, those that are
// wrong first, then those whose score moved most.
type keptChanges struct {
	kinds map[string][]classify.BacktestChange
}

const keptChange = 20 // of a kind

func changeWeight(c classify.BacktestChange) float64 {
	w := math.Abs(c.New.Score - c.Old.Score)
	if c.Judgement == classify.JudgedWrong {
		w++
	}
	return w
}

func (k *keptChanges) add(c classify.BacktestChange) error {
	if k.kinds == nil {
		k.kinds = map[string][]classify.BacktestChange{}
	}
	kind := c.Kinds[0]
	list := k.kinds[kind]
	at := slices.IndexFunc(list, func(x classify.BacktestChange) bool { return changeWeight(x) < changeWeight(c) })
	if at < 0 {
		at = len(list)
	}
	if at < keptChange {
		list = slices.Insert(list, at, c)
		k.kinds[kind] = list[:min(len(list), keptChange)]
	}
	return nil
}

func (k *keptChanges) list() []classify.BacktestChange {
	var out []classify.BacktestChange
	for _, kind := range [...]string{classify.ChangeFlagged, classify.ChangeUnflagged, classify.ChangeCategory, classify.ChangeStance, classify.ChangeSeverity} {
		out = append(out, k.kinds[kind]...)
	}
	return out
}

// SuggestedEdit is the edit that takes a suggestion up: a new term of its
// category or, for a wording of sellers in general, a member of a shared class.
// The weight is that of the suggestion's line.
func (b *Bench) SuggestedEdit(files map[string][]byte, s classify.Suggestion, category, class string) (Edit, error) {
	if class != "" {
		e, ok := find(Entries(files), Ref{Kind: KindClass, ID: class})
		if !ok {
			return Edit{}, ErrGone
		}
		values := Values{}
		for k, v := range e.Values {
			values[k] = slices.Clone(v)
		}
		values["any"] = append(values["any"], s.Text)
		return Edit{Ref: e.Ref, Values: values}, nil
	}
	if category == "" {
		return Edit{}, errors.Join(ErrInvalid, errors.New("name a category or a class"))
	}
	weight, ambiguous := s.Proposal()
	v := Values{"id": {s.Text}, "text": {s.Text}, "weight": {strconv.FormatFloat(weight, 'f', 1, 64)}}
	if ambiguous {
		v["ambiguous"] = []string{"true"}
	}
	return Edit{Ref: Ref{Kind: KindTerm, Category: category}, New: true, Values: v}, nil
}
