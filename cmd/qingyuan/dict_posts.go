package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
	"qingyuan/workbench"
)

// postSource is where a command takes posts from: a file, standard input, or
// the records of the data folder.
type postSource struct {
	store bool
	days  int
	file  string
}

func (f *flags) postSource() *postSource {
	src := &postSource{}
	f.BoolVar(&src.store, "store", false, "take the records of the data folder; what analysts decided is taken for true")
	f.IntVar(&src.days, "days", 0, "with -store: only records that had something new to judge in the last `N` days")
	return src
}

// arguments takes what stands on the command line besides flags.
func (s *postSource) arguments(args []string) error {
	switch {
	case len(args) > 1:
		return misusef("one file of posts at a time; there is also %q", args[1])
	case s.store && len(args) == 1:
		return misusef("-store takes the records of the data folder; leave %q out", args[0])
	case !s.store && len(args) == 0:
		return misusef("name a file of posts, - for standard input, or -store")
	case s.days < 0:
		return misusef("-days must be at least 1")
	case s.days > 0 && !s.store:
		return misusef("-days goes with -store")
	}
	if len(args) == 1 {
		s.file = args[0]
	}
	return nil
}

// open gives the posts, to be read once, and a function that ends the reading.
func (s *postSource) open(ctx context.Context, std stdio, c config) (iter.Seq2[classify.Sample, error], func(), error) {
	if s.store {
		store, err := openExisting(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		return storeSamples(ctx, store, s.days), func() { store.Close() }, nil
	}
	if s.file == "-" {
		return lineSamples("standard input", std.in), func() {}, nil
	}
	file, err := os.Open(s.file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading posts: %w", err)
	}
	return lineSamples(s.file, file), func() { file.Close() }, nil
}

// errEnough ends a walk over the store whose reader has stopped.
var errEnough = errors.New("enough")

// sinceDays is the query for the records of the last days; 0 days: all.
func sinceDays(days int) string {
	if days == 0 {
		return ""
	}
	return "ingested>=" + time.Now().In(shanghai()).AddDate(0, 0, 1-days).Format(time.DateOnly)
}

// storeSamples are the records of the last days, newest first; 0 days: all.
func storeSamples(ctx context.Context, store index.Store, days int) iter.Seq2[classify.Sample, error] {
	return func(yield func(classify.Sample, error) bool) {
		q := index.Query{Text: sinceDays(days)}
		err := index.Each(ctx, store, q, func(r index.Record) error {
			if !yield(recordSample(r), nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(classify.Sample{}, fmt.Errorf("walking the records: %w", err))
		}
	}
}

// recordSample takes an analyst's decision for true: what was confirmed is an
// offer of the category it was shown under, what was dismissed is none.
func recordSample(r index.Record) classify.Sample {
	s := classify.Sample{Post: r.Post, Verdict: &classify.Truth{Flagged: r.Verdict.Flagged, Stance: r.Verdict.Stance}}
	if r.Verdict.Flagged && len(r.Verdict.Categories) > 0 {
		s.Verdict.Category = r.Verdict.Categories[0].ID
	}
	switch offer, known := workbench.Decided(r.Triage); {
	case offer:
		s.Truth = &classify.Truth{Flagged: true, Stance: classify.StanceOffer, Category: s.Verdict.Category}
	case known:
		s.Truth = &classify.Truth{}
	}
	return s
}

// sampleLine is one line of posts: a labelled text, a post to classify, or a
// record as export writes it.
type sampleLine struct {
	ID         string             `json:"id"`
	URL        string             `json:"url"`
	Title      string             `json:"title"`
	Text       string             `json:"text"`
	SourceType string             `json:"source_type"`
	Kind       post.Kind          `json:"kind"`
	Flagged    *bool              `json:"flagged"` // a label, when present
	Stance     classify.Stance    `json:"stance"`
	Category   string             `json:"category"`
	Contacts   []classify.Contact `json:"contacts"`
	Post       *post.Post         `json:"post"` // of a record
}

// lineSamples reads one JSON object a line. A line that does not parse ends the
// reading with an error that names it.
func lineSamples(name string, in io.Reader) iter.Seq2[classify.Sample, error] {
	return func(yield func(classify.Sample, error) bool) {
		r := bufio.NewReaderSize(in, 1<<16)
		for n := 1; ; n++ {
			line, err := readLine(r)
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if line = bytes.TrimSpace(line); len(line) > 0 {
				s, err := parseSample(line)
				if s.Post.ID == "" {
					s.Post.ID = fmt.Sprintf("%s:%d", name, n)
				}
				if err != nil {
					err = fmt.Errorf("%s:%d: %w", name, n, err)
				}
				if !yield(s, err) || err != nil {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(classify.Sample{}, fmt.Errorf("reading %s: %w", name, err))
				return
			}
		}
	}
}

func parseSample(line []byte) (classify.Sample, error) {
	if len(line) > maxLine {
		return classify.Sample{}, fmt.Errorf("line is longer than %d bytes; split the text", maxLine)
	}
	var l sampleLine
	if err := json.Unmarshal(line, &l); err != nil {
		return classify.Sample{}, fmt.Errorf("not a JSON object with id, title, text and source_type: %w", err)
	}
	if l.Post != nil {
		var r index.Record
		if err := json.Unmarshal(line, &r); err != nil {
			return classify.Sample{}, fmt.Errorf("not a record as export writes it: %w", err)
		}
		return recordSample(r), nil
	}
	if l.Text == "" && l.Title == "" {
		return classify.Sample{}, errors.New("there is no text; give text (and title), as for classify -jsonl")
	}
	s := classify.Sample{Post: post.Post{ID: l.ID, URL: l.URL, Title: l.Title, Text: l.Text, SourceType: l.SourceType, Kind: l.Kind}, Contacts: l.Contacts}
	if l.Flagged != nil {
		s.Truth = &classify.Truth{Flagged: *l.Flagged, Stance: l.Stance, Category: l.Category}
	}
	return s, nil
}
