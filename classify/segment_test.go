package classify

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/go-ego/gse"
)

// gseWords cuts a text by gse itself.
func gseWords(seg *gse.Segmenter, text []rune) []span {
	var out []span
	for _, part := range seg.Segment([]byte(string(text))) {
		start := int32(len(out))
		end := start + int32(utf8.RuneCountInString(part.Token().Text()))
		for range end - start {
			out = append(out, span{start, end})
		}
	}
	return out
}

// The cut is gse's own, on the labelled texts and on mixtures of them.
func TestWordsAreThoseOfGse(t *testing.T) {
	own := []string{"停息挂账", "反催收", "养卡"}
	s := newSegmenter(own)
	ref, _, err := loadWords(own)
	if err != nil {
		t.Fatal(err)
	}
	ref.CalcToken()
	var n normalized
	var sc segmentScratch
	rng := rand.New(rand.NewPCG(1, 2))
	check := func(text string) {
		normalize(text, &n)
		sc.reset()
		got, err := s.words(n.runes, &sc, rng.IntN(len(n.runes)+1))
		if err == nil {
			got, err = s.words(n.runes, &sc, len(n.runes)) // in two goes as in one
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := gseWords(ref, n.runes); !slices.Equal(got, want) {
			t.Errorf("%q is cut at %v, by gse at %v", string(n.runes), got, want)
		}
	}
	f, err := os.Open("../testdata/labelled/dev.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	texts, err := ReadLabelled("dev.jsonl", f)
	if err != nil {
		t.Fatal(err)
	}
	var all []rune
	for _, l := range texts {
		check(l.Title + "\n" + l.Text)
		all = append(all, []rune(l.Text)...)
	}
	odd := []rune("abcT恤3d打印卡拉ok a股²éж①,。\u200b𠮷𪚥")
	for range 3000 {
		var text []rune
		for range rng.IntN(12) {
			from, size := rng.IntN(len(all)-8), rng.IntN(8)
			text = append(text, all[from:from+size]...)
			if rng.IntN(2) == 0 {
				text = append(text, odd[rng.IntN(len(odd))])
			}
		}
		check(string(text))
	}
}

// A word is found by every beginning of two characters and more.
func TestIsWordFindsBeginnings(t *testing.T) {
	s := newSegmenter([]string{"停息挂账"})
	for word, want := range map[string]bool{"停": true, "停息": true, "停息挂": true, "停息挂账": true, "停息挂账了": false, "账挂": false, "中国": true} {
		if got := s.isWord(word); got != want {
			t.Errorf("isWord(%s) = %v", word, got)
		}
	}
}
