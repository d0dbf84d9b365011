package classify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"qingyuan/post"
)

// samples gives the values of a slice.
func samples(list []Sample) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func labelledSamples(t *testing.T, file string) []Sample {
	t.Helper()
	r, err := os.Open("../testdata/labelled/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	texts, err := ReadLabelled(file, r)
	if err != nil {
		t.Fatal(err)
	}
	var out []Sample
	for _, l := range texts {
		out = append(out, l.Sample())
	}
	return out
}

func builtinWith(t *testing.T, change func(*Dictionary)) *Classifier {
	t.Helper()
	d, err := LoadDictionary(os.DirFS("../dictionaries"))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(d)
	}
	c, err := New(Options{Dictionary: d})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a backtest counts must be what two evaluations count apart.
func TestBacktestAgreesWithEvaluate(t *testing.T) {
	older := builtinWith(t, nil)
	newer := builtinWith(t, func(d *Dictionary) {
		d.Version = "changed"
		for i := range d.Categories {
			switch c := &d.Categories[i]; c.ID {
			case "cashout":
				c.Threshold = 0.9
			case "fake_documents":
				c.Threshold = 0.1
			case "credit_repair":
				c.Terms = c.Terms[:1]
			}
		}
	})
	list := labelledSamples(t, "dev.jsonl")
	var changes []BacktestChange
	got, err := RunBacktest(t.Context(), older, newer, samples(list), func(c BacktestChange) error {
		changes = append(changes, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var texts []Labelled
	for _, s := range list {
		texts = append(texts, Labelled{ID: s.Post.ID, Title: s.Post.Title, Text: s.Post.Text, SourceType: s.Post.SourceType, Kind: s.Post.Kind,
			Flagged: s.Truth.Flagged, Stance: s.Truth.Stance, Category: s.Truth.Category})
	}
	o, err := Evaluate(older, texts)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Evaluate(newer, texts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o.Flag, got.Old.Flag) + cmp.Diff(n.Flag, got.New.Flag); diff != "" {
		t.Errorf("flagged (-evaluate +backtest):\n%s", diff)
	}
	for id, s := range got.Categories {
		if s.Old.TP != o.Categories[id].TP || s.New.FP != n.Categories[id].FP || s.New.FN != n.Categories[id].FN {
			t.Errorf("%s: backtest %+v → %+v, evaluate %+v → %+v", id, s.Old, s.New, o.Categories[id], n.Categories[id])
		}
		if s.OldHits+s.Gained.Posts-s.Lost.Posts != s.NewHits {
			t.Errorf("%s: %d hits, %d gained and %d lost do not make %d", id, s.OldHits, s.Gained.Posts, s.Lost.Posts, s.NewHits)
		}
	}
	if got.Flagged.Posts == 0 || got.Unflagged.Posts == 0 || got.Changed != len(changes) {
		t.Errorf("newly flagged %d, no longer %d, changed %d, told of %d", got.Flagged.Posts, got.Unflagged.Posts, got.Changed, len(changes))
	}
	if right := n.Flag.TP - o.Flag.TP; got.Flagged.Right-got.Unflagged.Wrong != right {
		t.Errorf("right %d, wrongly lost %d, want the difference %d", got.Flagged.Right, got.Unflagged.Wrong, right)
	}
	// In the order of the posts, whichever goroutine judged them.
	var order []int
	for _, c := range changes {
		order = append(order, slices.IndexFunc(list, func(s Sample) bool { return s.Post.ID == c.ID }))
	}
	if !slices.IsSorted(order) {
		t.Errorf("changes come in the order %v", order)
	}
}

func TestBacktestNamesTheReasons(t *testing.T) {
	older := builtinWith(t, nil)
	newer := builtinWith(t, func(d *Dictionary) {
		for i := range d.Categories {
			if d.Categories[i].ID == "cashout" {
				d.Categories[i].Terms = append(d.Categories[i].Terms, Term{ID: "xidengpao", Text: "洗灯泡", Weight: 3})
			}
		}
	})
	list := []Sample{
		{Post: post.Post{ID: "a", Text: "洗灯泡，点位低，要的加微信 sg_88231"}, Truth: &Truth{Flagged: true, Category: "cashout"}},
		{Post: post.Post{ID: "b", Text: "今天去公园走了走"}},
		{Post: post.Post{ID: "c", Text: strings.Repeat("长", post.MaxText)}},
	}
	var got []BacktestChange
	b, err := RunBacktest(t.Context(), older, newer, samples(list), func(c BacktestChange) error { got = append(got, c); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if b.Posts != 2 || b.TooLarge != 1 || b.Known != 1 || len(got) != 1 || got[0].ID != "a" {
		t.Fatalf("%+v, changes %+v", b, got)
	}
	c := got[0]
	if c.Judgement != JudgedRight || c.Kinds[0] != ChangeFlagged || c.New.Category != "cashout" || b.Flagged != (Tally{Posts: 1, Right: 1}) {
		t.Errorf("change %+v, tally %+v", c, b.Flagged)
	}
	if r := c.Reasons[0]; r.ID != "xidengpao" || r.Old != 0 || r.New <= 0 || r.Text != "洗灯泡" {
		t.Errorf("the first reason is %+v, want the new term", r)
	}
}

func TestJudgeValue(t *testing.T) {
	for _, c := range []struct {
		truth, o, n string
		want        Judgement
	}{
		{"", "a", "b", JudgedUnknown}, {"b", "a", "b", JudgedRight}, {"a", "a", "b", JudgedWrong}, {"c", "a", "b", JudgedUnknown},
	} {
		if got := judgeValue(c.truth, c.o, c.n); got != c.want {
			t.Errorf("truth %q, %s → %s: %q, want %q", c.truth, c.o, c.n, got, c.want)
		}
	}
}

// Moving a post from one category to another is a gain for one and a loss for
// the other, each judged by itself.
func TestShiftOfAMovedPost(t *testing.T) {
	b := Backtest{Categories: map[string]CategoryShift{}}
	b.compare(Sample{Truth: &Truth{Flagged: true, Stance: StanceOffer, Category: "new"}},
		VerdictDigest{Flagged: true, Category: "old", Stance: StanceOffer}, VerdictDigest{Flagged: true, Category: "new", Stance: StanceOffer})
	want := map[string]CategoryShift{
		"old": {OldHits: 1, Lost: Tally{1, 1, 0}, Old: Count{FP: 1}},
		"new": {NewHits: 1, Gained: Tally{1, 1, 0}, Old: Count{FN: 1}, New: Count{TP: 1}},
	}
	if diff := cmp.Diff(want, b.Categories); diff != "" {
		t.Errorf("categories (-want +got):\n%s", diff)
	}
	if b.Category != (Tally{1, 1, 0}) {
		t.Errorf("other category: %+v", b.Category)
	}
}

func TestInOrder(t *testing.T) {
	numbers := func(n int, end error) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if end != nil {
				yield(0, end)
			}
		}
	}
	double := func(i int) string { return fmt.Sprint(2 * i) }
	for _, n := range []int{0, 1, orderedBatch, 10*orderedBatch + 1} {
		var got []string
		if err := inOrder(t.Context(), numbers(n, nil), double, func(s string) error { got = append(got, s); return nil }); err != nil {
			t.Fatal(err)
		}
		for i, s := range got {
			if s != double(i) {
				t.Fatalf("%d items: result %d is %s", n, i, s)
			}
		}
		if len(got) != n {
			t.Errorf("%d items gave %d results", n, len(got))
		}
	}
	broken := errors.New("broken")
	if err := inOrder(t.Context(), numbers(100, broken), double, func(string) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("an error of the items is lost: %v", err)
	}
	if err := inOrder(t.Context(), numbers(10000, nil), double, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an error of take is lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	taken := 0
	err := inOrder(ctx, numbers(1<<20, nil), double, func(string) error { taken++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || taken == 1<<20 {
		t.Errorf("after the end %d results were taken, %v", taken, err)
	}
}
