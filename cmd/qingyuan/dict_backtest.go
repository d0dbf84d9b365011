package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"qingyuan/classify"
)

// runDictBacktest shows what a changed dictionary changes.
func runDictBacktest(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "dict backtest", "OLD NEW [FILE.jsonl|-]", "data")
	src := f.postSource()
	model := f.String("model", "", "learned model `file`, or none, for both (default: that of the config)")
	newModel := f.String("new-model", "", "learned model `file` for NEW, when it was fitted again")
	most := f.Int("n", 10, "posts of each kind of change to show")
	asJSON := f.Bool("json", false, "print every change as JSON")
	c, names, err := f.parseAnywhere(args)
	if err != nil {
		return err
	}
	if len(names) < 2 {
		return misusef("name the old and the new dictionaries (a folder, %s, or git:REVISION:FOLDER) and the posts", builtinDictionary)
	}
	if err := src.arguments(names[2:]); err != nil {
		return err
	}
	c.Model = cmp.Or(*model, c.Model)
	older, newer, err := openBoth(ctx, c, names[0], names[1], *newModel)
	if err != nil {
		return err
	}
	posts, closePosts, err := src.open(ctx, std, c)
	if err != nil {
		return err
	}
	defer closePosts()
	if *asJSON {
		return backtestJSON(std.out, func(changed func(classify.BacktestChange) error) (classify.Backtest, error) {
			return classify.RunBacktest(ctx, older, newer, posts, changed)
		})
	}
	kept := newKeptChanges(max(*most, 0))
	b, err := classify.RunBacktest(ctx, older, newer, posts, kept.add)
	if err != nil {
		return err
	}
	if err := printBacktest(std.out, b); err != nil {
		return err
	}
	return kept.print(std.out)
}

// openBoth builds the classifiers that are compared.
func openBoth(ctx context.Context, c config, older, newer, newModel string) (*classify.Classifier, *classify.Classifier, error) {
	o, n, err := loadBoth(ctx, older, newer)
	if err != nil {
		return nil, nil, err
	}
	m, err := openModel(c)
	if err != nil {
		return nil, nil, err
	}
	m2 := m
	if newModel != "" {
		c.Model = newModel
		if m2, err = openModel(c); err != nil {
			return nil, nil, err
		}
	}
	co, err := classify.New(classify.Options{Dictionary: o, Model: m})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", older, err)
	}
	cn, err := classify.New(classify.Options{Dictionary: n, Model: m2})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", newer, err)
	}
	return co, cn, nil
}

// backtestJSON writes {"changes":[…],"summary":{…}} as the changes come, so
// that no number of them fills the memory. After a failure the JSON is left
// unfinished: it must not be taken for the whole.
func backtestJSON(w io.Writer, test func(func(classify.BacktestChange) error) (classify.Backtest, error)) error {
	sep := "{\"changes\":[\n"
	b, err := test(func(c classify.BacktestChange) error {
		if _, err := io.WriteString(w, sep); err != nil {
			return err
		}
		sep = ","
		return writeJSON(w, c)
	})
	if err != nil {
		return err
	}
	if sep != "," {
		if _, err := io.WriteString(w, sep); err != nil {
			return err
		}
	}
	summary, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	_, err = fmt.Fprintf(w, "],\"summary\":%s}\n", summary)
	return err
}

func printBacktest(w io.Writer, b classify.Backtest) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%d posts, %d of them with a label or decision; dictionary %s → %s", b.Posts, b.Known, b.Old.Dictionary, b.New.Dictionary)
	if b.Old.Model != b.New.Model {
		fmt.Fprintf(t, ", model %s → %s", cmp.Or(b.Old.Model, "none"), cmp.Or(b.New.Model, "none"))
	}
	fmt.Fprint(t, "\n")
	if b.TooLarge > 0 {
		fmt.Fprintf(t, "%d posts are too large and were left out\n", b.TooLarge)
	}
	fmt.Fprintf(t, "hits %d → %d\n\n", b.Old.Hits, b.New.Hits)
	for _, row := range []struct {
		name  string
		tally classify.Tally
	}{
		{"newly flagged\t+", b.Flagged}, {"no longer flagged\t−", b.Unflagged}, {"other category\t", b.Category},
		{"other stance\t", b.Stance}, {"other severity\t", b.Severity},
	} {
		fmt.Fprintf(t, "%s%d\t%s\n", row.name, row.tally.Posts, tally(row.tally))
	}
	if b.Known > 0 {
		o, n := b.Old.Flag, b.New.Flag
		fmt.Fprintf(t, "\nprecision %.3f → %.3f\trecall %.3f → %.3f\tF1 %.3f → %.3f\tfalse positives %d → %d\n",
			o.Precision(), n.Precision(), o.Recall(), n.Recall(), o.F1(), n.F1(), o.FP, n.FP)
	}
	header, same := "\ncategory\thits\tgained\tlost\tprecision\trecall\n", 0
	if b.Known == 0 {
		header = "\ncategory\thits\tgained\tlost\n"
	}
	for _, id := range slices.Sorted(maps.Keys(b.Categories)) {
		s := b.Categories[id]
		if s.Gained.Posts+s.Lost.Posts == 0 {
			same++
			continue
		}
		fmt.Fprintf(t, "%s%s\t%d → %d\t%s\t%s", header, id, s.OldHits, s.NewHits, plusMinus("+", s.Gained), plusMinus("−", s.Lost))
		header = ""
		if b.Known > 0 {
			fmt.Fprintf(t, "\t%.3f → %.3f\t%.3f → %.3f", s.Old.Precision(), s.New.Precision(), s.Old.Recall(), s.New.Recall())
		}
		fmt.Fprint(t, "\n")
	}
	if same > 0 {
		fmt.Fprintf(t, "\n%d categories with the same hits as before\n", same)
	}
	return t.Flush()
}

func tally(t classify.Tally) string {
	if t.Right+t.Wrong == 0 {
		return ""
	}
	s := fmt.Sprintf("%d right, %d wrong", t.Right, t.Wrong)
	if t.Unknown() > 0 {
		s += fmt.Sprintf(", %d not known", t.Unknown())
	}
	return s
}

func plusMinus(sign string, t classify.Tally) string {
	if t.Posts == 0 {
		return "–"
	}
	s := fmt.Sprintf("%s%d", sign, t.Posts)
	if t.Right+t.Wrong > 0 {
		s += fmt.Sprintf(" (%d right, %d wrong)", t.Right, t.Wrong)
	}
	return s
}

// changeKinds are the kinds of changes in the order shown, with their titles.
var changeKinds = [...]struct{ kind, title string }{
	{classify.ChangeFlagged, "newly flagged"}, {classify.ChangeUnflagged, "no longer flagged"}, {classify.ChangeCategory, "other category"},
	{classify.ChangeStance, "other stance"}, {classify.ChangeSeverity, "other severity"},
}

// keptChanges are the changes to show: of each kind those that are wrong first,
// then those whose score moved most. Posts of the same wording are shown once.
type keptChanges struct {
	most  int
	seed  maphash.Seed
	kinds map[string][]keptChange
	total map[string]int
}

type keptChange struct {
	classify.BacktestChange
	text uint64
	same int // further posts with this text
}

func newKeptChanges(most int) *keptChanges {
	return &keptChanges{most: most, seed: maphash.MakeSeed(), kinds: map[string][]keptChange{}, total: map[string]int{}}
}

// weight orders changes: the larger comes first.
func (k keptChange) weight() float64 {
	w := math.Abs(k.New.Score - k.Old.Score)
	if k.Judgement == classify.JudgedWrong {
		w++
	}
	return w
}

func (k *keptChanges) add(c classify.BacktestChange) error {
	kind := c.Kinds[0]
	k.total[kind]++
	if k.most == 0 {
		return nil
	}
	x := keptChange{BacktestChange: c, text: maphash.String(k.seed, classify.Normalize(c.Title+"\n"+c.Text))}
	list := k.kinds[kind]
	for i := range list {
		if list[i].text == x.text && list[i].Judgement == x.Judgement {
			list[i].same++
			return nil
		}
	}
	at, _ := slices.BinarySearchFunc(list, x, func(a, b keptChange) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), -1) // after those of the same weight: the first seen stays first
	})
	list = slices.Insert(list, at, x)
	k.kinds[kind] = list[:min(len(list), k.most)]
	return nil
}

func (k *keptChanges) print(w io.Writer) error {
	var b strings.Builder
	for _, kind := range changeKinds {
		if k.total[kind.kind] == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s: %d\n", kind.title, k.total[kind.kind])
		shown := 0
		for _, c := range k.kinds[kind.kind] {
			shown += 1 + c.same
			c.print(&b)
		}
		if left := k.total[kind.kind] - shown; left > 0 {
			fmt.Fprintf(&b, "  … %d more not shown; -n shows more, -json all\n", left)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shownReasons is how many reasons are shown of a change.
const shownReasons = 5

func (k keptChange) print(b *strings.Builder) {
	fmt.Fprintf(b, "  %s", oneLine(cmp.Or(k.URL, k.ID), 120))
	if k.Judgement != "" {
		fmt.Fprintf(b, "  %s", strings.ToUpper(string(k.Judgement)))
	}
	if k.same > 0 {
		fmt.Fprintf(b, "  (and %d more with this text)", k.same)
	}
	fmt.Fprintf(b, "\n    %s\n    score %.2f → %.2f", oneLine(strings.TrimSpace(k.Title+" "+k.Text), 100), k.Old.Score, k.New.Score)
	if k.Old.Threshold != k.New.Threshold {
		fmt.Fprintf(b, ", threshold %.2f → %.2f", k.Old.Threshold, k.New.Threshold)
	}
	arrow := func(name, o, n string) {
		if o != n {
			fmt.Fprintf(b, ", %s %s → %s", name, cmp.Or(o, "none"), cmp.Or(n, "none"))
		}
	}
	if k.Old.Flagged || k.New.Flagged {
		arrow("category", k.Old.Category, k.New.Category)
		arrow("severity", string(k.Old.Severity), string(k.New.Severity))
	}
	arrow("stance", string(k.Old.Stance), string(k.New.Stance))
	b.WriteByte('\n')
	for i, r := range k.Reasons {
		if i == shownReasons {
			fmt.Fprintf(b, "      … %d smaller differences\n", len(k.Reasons)-i)
			break
		}
		sign := "~"
		switch {
		case r.Old == 0:
			sign = "+"
		case r.New == 0:
			sign = "−"
		}
		fmt.Fprintf(b, "      %s %s %s %s %+.2f → %+.2f  %s\n", sign, r.Kind, r.ID, r.Category, r.Old, r.New, oneLine(r.Text, 30))
	}
}
