package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/workbench"
)

// workbenchConfig is how operators change dictionaries on the pages.
type workbenchConfig struct {
	FourEyes bool `yaml:"four_eyes"` // another operator approves before a draft is published
}

// labelledFolder holds files of labelled texts to try drafts on, in the data folder.
const labelledFolder = "labelled"

// openWorkbench makes the workbench over the configured dictionaries; live,
// when not nil, follows them.
func openWorkbench(c config, store index.Store, logger *slog.Logger, live *classify.Live) (*workbench.Bench, error) {
	model, err := openModel(c)
	if err != nil {
		return nil, err
	}
	opts := workbench.Options{Store: store, Files: dictionaryFS(c), Folder: c.Dictionaries, Data: filepath.Join(c.Data, "dictionary"), FourEyes: c.Workbench.FourEyes, Logger: logger,
		Build: func(d *classify.Dictionary) (*classify.Classifier, error) {
			return classify.New(classify.Options{Dictionary: d, Model: model})
		},
		Posts: func(ctx context.Context, days int) iter.Seq2[classify.Sample, error] {
			return storeSamples(ctx, store, days)
		},
		Labelled: func() []string {
			names, err := filepath.Glob(filepath.Join(c.Data, labelledFolder, "*.jsonl"))
			if err != nil {
				return nil // the pattern is ours
			}
			for i, n := range names {
				names[i] = filepath.Base(n)
			}
			slices.Sort(names)
			return names
		},
		LabelledPosts: func(name string) (iter.Seq2[classify.Sample, error], func(), error) {
			f, err := os.Open(filepath.Join(c.Data, labelledFolder, filepath.Base(name)))
			if err != nil {
				return nil, nil, fmt.Errorf("reading labelled texts: %w", err)
			}
			return lineSamples(name, f), func() { f.Close() }, nil
		}}
	if live != nil {
		opts.Current = live.Classifier
		opts.Reload = func() { live.Reload() }
	} else {
		builtin, err := openClassifier(c)
		if err != nil {
			return nil, err
		}
		opts.Current = func() *classify.Classifier { return builtin }
	}
	return workbench.Open(opts)
}
