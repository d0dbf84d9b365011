package classify

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// SuggestOptions are the settings of Suggest. Zero values are replaced by the
// defaults named.
type SuggestOptions struct {
	// Spool keeps a short form of the posts between the passes: an empty file,
	// best one that nobody else can open. Required.
	Spool    io.ReadWriteSeeker
	Category string // only wordings that lean to this category
	Min      int    // flagged posts a wording must stand in; 3
	Top      int    // most suggestions returned; 30
}

// Suggestions are wordings that stand in flagged posts far more often than in
// others and that no dictionary knows yet.
type Suggestions struct {
	Flagged    int          `json:"flagged"`    // posts compared
	Unflagged  int          `json:"unflagged"`  // … with posts on other subjects
	About      int          `json:"about"`      // unflagged posts on the subject, such as news and warnings: counted, not compared with
	Repeated   int          `json:"repeated"`   // posts left out because an earlier one says the same
	TooLarge   int          `json:"too_large"`  // posts left out because they are over post.MaxText
	Judged     int          `json:"judged"`     // posts that came without label or verdict and were judged here
	Dictionary string       `json:"dictionary"` // version that does not know them
	Wordings   []Suggestion `json:"wordings"`   // strongest first; never nil
}

// Suggestion is one wording. Counts are of posts: a post that repeats a word
// counts once.
type Suggestion struct {
	Text      string  `json:"text"`      // normalised, as a dictionary has it
	Flagged   int     `json:"flagged"`   // flagged posts it stands in
	Unflagged int     `json:"unflagged"` // unflagged posts on other subjects
	About     int     `json:"about"`     // unflagged posts on the subject
	LogOdds   float64 `json:"log_odds"`  // log-odds ratio, with a Dirichlet prior
	G         float64 `json:"g"`         // root of the log-likelihood ratio: how sure it is that the ratio is no chance; the order of the list
	Everyday  bool    `json:"everyday"`  // a word of the general dictionary; counts half in the order
	PMI       float64 `json:"pmi"`       // how firmly its parts hold together, in nats: the least over all ways to cut it in two
	Entropy   float64 `json:"entropy"`   // how freely it is used, in nats: the lesser of left and right neighbours
	// Category is what the flagged posts with it are mostly about, and Share
	// their part of them, 0..1. It is empty when no category has its share: then
	// it is a wording of sellers in general, for a class or a stance cue.
	Category string   `json:"category,omitempty"`
	Share    float64  `json:"share"`
	Examples []string `json:"examples"` // up to three places, as published, contacts left out
	YAML     string   `json:"yaml"`     // a line for terms: of the category's file, or a member for a class

	spread float64 // standard deviation of LogOdds
}

// Bounds of Suggest.
const (
	suggestTable    = 1 << 21 // wordings counted at a time in the first pass
	suggestFinal    = 1 << 17 // wordings looked at in the second
	suggestRepeats  = 1 << 20 // fingerprints of posts kept
	suggestUnits    = 1 << 20 // words and characters whose occurrences are counted
	suggestExamples = 3
	exampleRunes    = 14 // of context on each side
)

// What a wording must have besides its counts.
const (
	suggestMinPMI       = 2.0
	suggestMinEntropy   = 0.9
	suggestMinG         = 1.96 // p < 0.05 for one wording by itself
	suggestMinLogOdds   = 0.7  // twice as often in flagged posts
	suggestEverydayOdds = 1.0  // for an everyday word
	suggestPrior        = 0.1  // of all posts: the weight of the prior
	suggestShare        = 0.5  // of its flagged posts, for a category to be named …
	suggestSome         = 0.35 // … or this much, when it is …
	suggestLift         = 3.0  // … so many times the category's part of all flagged posts
)

// Of the suggestions that lean to no category at most one in so many is shown:
// words of the trade are what is looked for.
const (
	suggestGeneral = 4
)

// Suggest looks for new wordings in posts: it compares, post by post, the
// character sequences of flagged posts with those of the others that are on
// other subjects (news and warnings use the same words, and it is the business
// of stance cues to tell them apart), by
// log-likelihood ratio (Dunning 1993) and by log-odds ratio with an informative
// Dirichlet prior (Monroe, Colaresi and Quinn 2008), and keeps those that hold together (pointwise mutual information of their
// parts) and are used freely (entropy of their neighbours). A post is flagged
// as its truth says, else its verdict, else as c judges it. Contacts, amounts
// and everything the dictionary knows are cut out beforehand.
//
// Memory does not grow with the posts; they are written to the spool in a short
// form and read again. Sequences too rare to matter may be dropped on the way
// (lossy counting), the counts of those that are returned are exact. The same
// posts give the same answer.
func Suggest(ctx context.Context, c *Classifier, posts iter.Seq2[Sample, error], opts SuggestOptions) (Suggestions, error) {
	if opts.Spool == nil {
		return Suggestions{}, errors.New("suggest: no spool given")
	}
	opts.Min, opts.Top = cmp.Or(opts.Min, 3), cmp.Or(opts.Top, 30)
	s := suggester{c: c, opts: opts, flags: map[string]int{}, known: knownWordings(c.dict), out: Suggestions{Dictionary: c.dict.Version, Wordings: []Suggestion{}}}
	if err := s.spool(ctx, posts); err != nil {
		return s.out, err
	}
	s.candidates()
	if err := s.replay(ctx, s.count); err != nil {
		return s.out, err
	}
	s.rank()
	if err := s.replay(ctx, s.exemplify); err != nil {
		return s.out, err
	}
	for _, w := range s.found {
		s.out.Wordings = append(s.out.Wordings, *w.suggestion)
	}
	return s.out, nil
}

// suggester is the state of one run.
type suggester struct {
	c     *Classifier
	opts  SuggestOptions
	known wordings
	out   Suggestions

	table  lossyCounter     // flagged posts by hash of a wording
	index  map[uint64]int32 // hash → place in found
	found  []*wording
	flags  map[string]int // flagged posts by category
	single map[string]int // occurrences of units, for the PMI
	total  int            // occurrences of all units
}

// spooled is what is kept of a post between the passes.
type spooled struct {
	Flagged  bool     `json:"f,omitempty"`
	About    bool     `json:"a,omitempty"` // not flagged, and holds a term of the dictionary
	Category string   `json:"c,omitempty"`
	Text     string   `json:"t,omitempty"` // as published, contacts left out; of flagged posts
	Clauses  []clause `json:"s"`
}

// prepared is a post read by one worker.
type prepared struct {
	spooled
	hash     uint64 // of its words without contacts; 0 when there are none
	judged   bool
	tooLarge bool
}

// spool reads the posts, judges those that nobody has, counts the wordings of
// the flagged ones and keeps the rest for later.
func (s *suggester) spool(ctx context.Context, posts iter.Seq2[Sample, error]) error {
	w := bufio.NewWriterSize(s.opts.Spool, 1<<16)
	enc := json.NewEncoder(w)
	seen := map[uint64]bool{}
	var hashes []uint64
	err := inOrder(ctx, posts, s.prepare, func(p prepared) error {
		if p.tooLarge {
			s.out.TooLarge++
			return nil
		}
		if p.judged {
			s.out.Judged++
		}
		if seen[p.hash] {
			s.out.Repeated++
			return nil
		}
		if p.hash != 0 && len(seen) < suggestRepeats {
			seen[p.hash] = true
		}
		if p.Flagged {
			s.out.Flagged++
			s.flags[p.Category]++
			hashes = hashes[:0]
			for _, cl := range p.Clauses {
				cl.wordings(func(_ []rune, h uint64, _, _ rune) { hashes = append(hashes, h) })
			}
			slices.Sort(hashes)
			for _, h := range slices.Compact(hashes) {
				s.table.add(h)
			}
		} else if p.About {
			s.out.About++
		} else {
			s.out.Unflagged++
		}
		return enc.Encode(p.spooled)
	})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("looking for wordings: %w", err)
	}
	return nil
}

// prepare runs on many goroutines.
func (s *suggester) prepare(x Sample) prepared {
	v, err := s.c.Classify(x.Post)
	if err != nil {
		return prepared{tooLarge: true}
	}
	var p prepared
	switch {
	case x.Truth != nil:
		p.Flagged, p.Category = x.Truth.Flagged, x.Truth.Category
	case x.Verdict != nil:
		p.Flagged, p.Category = x.Verdict.Flagged, x.Verdict.Category
	default:
		p.Flagged, p.judged = v.Flagged, true
	}
	if p.Flagged && !s.c.knows(p.Category) {
		p.Category = ""
	}
	if p.Flagged && p.Category == "" && len(v.Categories) > 0 {
		p.Category = v.Categories[0].ID
	}
	if !p.Flagged {
		p.Category = ""
		p.About = slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Kind == ReasonTerm })
	}
	text := cutOut(x, v.Entities)
	p.Clauses = s.known.clauses(text)
	if n := []rune(Normalize(string(text))); len(n) > 0 {
		p.hash = wordingHash(n)
		if p.Flagged {
			p.hash++ // the same words under two labels are two posts
		}
	}
	if p.Flagged {
		p.Text = string(text)
	}
	return p
}

// candidates takes the wordings that are frequent enough into the second pass.
func (s *suggester) candidates() {
	type counted struct {
		hash uint64
		n    uint32
	}
	var all []counted
	for h, e := range s.table.entries {
		if int(e.count+e.missed) >= s.opts.Min {
			all = append(all, counted{h, e.count})
		}
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.hash, b.hash)) })
	all = all[:min(len(all), suggestFinal)]
	s.index = make(map[uint64]int32, len(all))
	s.found = make([]*wording, len(all))
	for i, a := range all {
		s.index[a.hash] = int32(i)
		s.found[i] = &wording{}
	}
	s.table.entries = nil
	s.single = map[string]int{}
}

// wording is a candidate of the second pass.
type wording struct {
	text        string
	last        int // post that counted it last, from 1
	flagged     int
	unflagged   int
	about       int
	occurrences int
	categories  map[string]int
	left, right neighbours
	suggestion  *Suggestion // of those that are shown
}

// count is the second pass: everything that is told of the candidates.
func (s *suggester) count(n int, p spooled) error {
	for _, cl := range p.Clauses {
		for _, u := range cl.units() {
			if _, ok := s.single[string(u)]; ok || len(s.single) < suggestUnits {
				s.single[string(u)]++
			}
			s.total++
		}
		cl.wordings(func(text []rune, h uint64, before, after rune) {
			i, ok := s.index[h]
			if !ok {
				return
			}
			w := s.found[i]
			if w.text == "" {
				w.text, w.categories = string(text), map[string]int{}
			}
			w.occurrences++
			w.left.add(before)
			w.right.add(after)
			if w.last == n {
				return
			}
			w.last = n
			switch {
			case p.Flagged:
				w.flagged++
				w.categories[p.Category]++
			case p.About:
				w.about++
			default:
				w.unflagged++
			}
		})
	}
	return nil
}

// exemplify is the third pass: places where the suggestions stand.
func (s *suggester) exemplify(_ int, p spooled) error {
	if !p.Flagged || len(s.index) == 0 {
		return nil
	}
	var text []rune
	for _, cl := range p.Clauses {
		cl.wordings(func(wording []rune, h uint64, _, _ rune) {
			i, ok := s.index[h]
			if !ok {
				return
			}
			w := s.found[i].suggestion
			if w == nil || len(w.Examples) == suggestExamples {
				return
			}
			if text == nil {
				text = []rune(p.Text)
			}
			example := exampleOf(text, cl, wording)
			if !slices.Contains(w.Examples, example) {
				w.Examples = append(w.Examples, example)
			}
		})
	}
	return nil
}

// replay reads the spool from its beginning.
func (s *suggester) replay(ctx context.Context, each func(n int, p spooled) error) error {
	if _, err := s.opts.Spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	dec := json.NewDecoder(bufio.NewReaderSize(s.opts.Spool, 1<<16))
	for n := 1; ; n++ {
		var p spooled
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("reading the spool: %w", err)
		}
		if err := each(n, p); err != nil {
			return err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
