package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"qingyuan/classify"
)

func runEval(_ context.Context, std stdio, args []string) error {
	f := newFlags(std, "eval", "FILE.jsonl...", "dict")
	asJSON := f.Bool("json", false, "print all figures and errors as JSON")
	worst := f.Int("worst", 10, "how many of the worst errors to show")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	texts, err := readLabelledFiles(f.Args())
	if err != nil {
		return err
	}
	classifier, err := openClassifier(c)
	if err != nil {
		return err
	}
	e, err := classify.Evaluate(classifier, texts)
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	}
	return printEvaluation(std.out, e, *worst)
}

func readLabelledFiles(names []string) ([]classify.Labelled, error) {
	if len(names) == 0 {
		return nil, misusef("no file of labelled texts is given")
	}
	var texts []classify.Labelled
	for _, name := range names {
		r, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading labelled texts: %w", err)
		}
		more, err := classify.ReadLabelled(name, r)
		r.Close()
		if err != nil {
			return nil, err
		}
		texts = append(texts, more...)
	}
	return texts, nil
}

func printEvaluation(w io.Writer, e classify.Evaluation, worst int) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintf(t, "texts %d, dictionary %s, model %s\n\n", e.Texts, e.Dictionary, e.Model)
	fmt.Fprintf(t, "flagged\tprecision %.3f\trecall %.3f\tF1 %.3f\tfalse positives %.3f\n", e.Flag.Precision(), e.Flag.Recall(), e.Flag.F1(), e.Flag.FalsePositiveRate())
	fmt.Fprintf(t, "contacts\tprecision %.3f\trecall %.3f\tF1 %.3f\n", e.Contacts.Precision(), e.Contacts.Recall(), e.Contacts.F1())
	section := func(title string, m map[string]classify.Count, row func(classify.Count) string) {
		fmt.Fprintf(t, "\n%s\n", title)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(t, "  %s\t%s\n", k, row(m[k]))
		}
	}
	full := func(c classify.Count) string {
		return fmt.Sprintf("precision %.3f\trecall %.3f\tF1 %.3f\tn %d", c.Precision(), c.Recall(), c.F1(), c.TP+c.FN)
	}
	section(fmt.Sprintf("categories (macro F1 %.3f)", e.MacroF1), e.Categories, full)
	section("stances", e.Stances, full)
	section("false positives by benign stance", e.Benign, func(c classify.Count) string {
		return fmt.Sprintf("%.3f\t%d of %d", c.FalsePositiveRate(), c.FP, c.FP+c.TN)
	})
	section("recall by disguise", e.Evasions, func(c classify.Count) string {
		return fmt.Sprintf("%.3f\tn %d", c.Recall(), c.TP+c.FN)
	})
	fmt.Fprintf(t, "\ncalibration (Brier %.4f)\n  score\ttexts\tmean score\ttruly offers\n", e.Brier)
	for _, b := range e.Bins {
		fmt.Fprintf(t, "  %.1f–%.1f\t%d\t%.3f\t%.3f\n", b.From, b.To, b.Texts, b.Score, b.Rate)
	}
	for i, x := range e.Wrong {
		if i == worst {
			break
		}
		fmt.Fprintf(t, "\n%s: labelled flagged=%v %s %s, score %.2f\n  %s\n", x.Label.ID, x.Label.Flagged, x.Label.Stance, x.Label.Category, x.Verdict.Score, oneLine(x.Label.Title+" "+x.Label.Text, 100))
		for _, r := range x.Verdict.Reasons[:min(5, len(x.Verdict.Reasons))] {
			fmt.Fprintf(t, "  %+.2f\t%s\t%s\t%s\n", r.Weight, r.ID, r.Category, oneLine(r.Text, 30))
		}
	}
	return t.Flush()
}

// oneLine clips a text to n runes and takes line breaks and control
// characters out, so that crawled bytes cannot steer a terminal.
func oneLine(s string, n int) string {
	out := make([]rune, 0, n)
	for _, r := range s {
		if len(out) == n {
			return string(append(out, '…'))
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
