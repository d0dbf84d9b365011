package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"qingyuan/classify"
)

func runLearn(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "learn", "-o MODEL [FILE.jsonl...]", "dict", "data")
	src := f.postSource()
	out := f.String("o", "", "`file` to write the model to")
	epochs := f.Int("epochs", 0, "passes over the texts (default 15)")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if *out == "" {
		return misusef("-o is needed: where to write the model")
	}
	if src.days < 0 || src.days > 0 && !src.store {
		return misusef("-days is at least 1 and goes with -store")
	}
	var texts []classify.Labelled
	if f.NArg() > 0 || !src.store {
		if texts, err = readLabelledFiles(f.Args()); err != nil {
			return err
		}
	}
	if src.store {
		decided, err := decidedTexts(ctx, c, src.days)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.err, "%d texts that analysts decided on\n", len(decided))
		texts = append(texts, decided...)
	}
	classifier, err := classify.Load(dictionaryFS(c), nil)
	if err != nil {
		return err
	}
	m, err := classify.Learn(classifier, texts, classify.LearnOptions{Epochs: *epochs, Progress: func(epoch int, loss float64) {
		fmt.Fprintf(std.err, "pass %d: mean log-loss %.4f\n", epoch, loss)
	}})
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := m.Write(&buf); err != nil {
		return err
	}
	tmp := *out + ".tmp"
	if err := os.WriteFile(tmp, buf.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	if err := os.Rename(tmp, *out); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	_, err = fmt.Fprintf(std.out, "%s: %d texts, %d bytes\n", *out, len(texts), buf.Len())
	return err
}
