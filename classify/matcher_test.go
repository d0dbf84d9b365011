package classify

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

type place struct {
	value      int32
	start, end int
}

func comparePlaces(a, b place) int {
	if a.start != b.start {
		return a.start - b.start
	}
	if a.end != b.end {
		return a.end - b.end
	}
	return int(a.value - b.value)
}

// naivePlaces looks for every sequence at every place.
func naivePlaces(seqs [][]uint16, text []uint16) []place {
	var out []place
	for i := range text {
		for v, s := range seqs {
			if len(s) > 0 && i+len(s) <= len(text) && slices.Equal(text[i:i+len(s)], s) {
				out = append(out, place{int32(v), i, i + len(s)})
			}
		}
	}
	slices.SortFunc(out, comparePlaces)
	return out
}

func triePlaces(t *trie, text []uint16) []place {
	var sc trieScratch
	copy(sc.room(len(text)), text)
	var out []place
	t.find(&sc, func(start, end int, value int32) { out = append(out, place{value, start, end}) })
	if !slices.IsSortedFunc(out, func(a, b place) int { return cmp.Or(a.end-b.end, a.start-b.start) }) {
		return nil // not in the order promised
	}
	slices.SortFunc(out, comparePlaces)
	return out
}

func TestTrieAgainstNaive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 11))
	for round := range 2000 {
		alphabet := 1 + rnd.IntN(6)
		if round%10 == 0 {
			alphabet = 300
		}
		word := func(max int) []uint16 {
			w := make([]uint16, rnd.IntN(max+1))
			for i := range w {
				w[i] = uint16(1 + rnd.IntN(alphabet))
			}
			return w
		}
		seqs := make([][]uint16, rnd.IntN(40))
		for i := range seqs {
			seqs[i] = word(6)
		}
		text := word(120)
		for i := range text {
			if rnd.IntN(12) == 0 {
				text[i] = 0
			}
		}
		got, want := triePlaces(buildTrie(seqs, alphabet+1), text), naivePlaces(seqs, text)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: sequences %v in %v: got %v, want %v", round, seqs, text, got, want)
		}
	}
}

func FuzzTrie(f *testing.F) {
	f.Add("ab|b|abc", "xababcab")
	f.Add("停息挂账|息挂|挂账", "停息挂账停息")
	f.Fuzz(func(t *testing.T, words, text string) {
		if len(words) > 200 || len(text) > 400 {
			return
		}
		var texts [][]rune
		for w := range strings.SplitSeq(words, "|") {
			texts = append(texts, []rune(w))
		}
		codes, ok := newCodeTable(texts)
		if !ok {
			return
		}
		seqs := codes.encode(texts)
		coded := codes.encode([][]rune{[]rune(text)})[0]
		got, want := triePlaces(buildTrie(seqs, codes.symbols()), coded), naivePlaces(seqs, coded)
		if !slices.Equal(got, want) {
			t.Fatalf("%q in %q: got %v, want %v", words, text, got, want)
		}
	})
}

func TestLeftmostLongest(t *testing.T) {
	m := mustMatcher(t, []pattern{{"停息挂账", 1, 0}, {"息挂", 2, 0}, {"挂账", 3, 0}, {"停息", 4, 0}})
	_, hits := scanAll(m, "停息挂账停息")
	var got []int32
	for _, h := range leftmostLongest(hits) {
		got = append(got, h.id)
	}
	if want := []int32{1, 4}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBuildMatcherErrors(t *testing.T) {
	for _, text := range []string{"", "！？", "\u200b", strings.Repeat("停", maxPattern+1)} {
		if _, err := buildMatcher([]pattern{{Text: text}}); err == nil || !strings.Contains(err.Error(), "compiling pattern") {
			t.Errorf("pattern %.20q: error %v", text, err)
		}
	}
	m := mustMatcher(t, nil)
	if _, hits := scanAll(m, "停息挂账"); len(hits) != 0 {
		t.Errorf("no patterns, %d hits", len(hits))
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	m := mustMatcher(t, sampleLexicon(500))
	posts := samplePosts()
	var n normalized
	var sc matchScratch
	hits := 0
	run := func() {
		for _, s := range posts {
			normalize(s, &n)
			m.scan(&n, &sc, nil, func(hit) { hits++ })
		}
	}
	run()
	if hits == 0 {
		t.Fatal("nothing found in the sample")
	}
	if allocs := testing.AllocsPerRun(3, run); allocs > 0 {
		t.Errorf("%v allocations per %d posts", allocs, len(posts))
	}
}

// TestScanConcurrently is for the race detector: one matcher, many goroutines.
func TestScanConcurrently(t *testing.T) {
	m := mustMatcher(t, ownLexicon)
	posts := samplePosts()
	count := func() (hits int) {
		var n normalized
		var sc matchScratch
		for _, s := range posts {
			normalize(s, &n)
			m.scan(&n, &sc, nil, func(hit) { hits++ })
		}
		return hits
	}
	want := count()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := count(); got != want {
				t.Errorf("%d hits, want %d", got, want)
			}
		})
	}
	wg.Wait()
}

func benchPosts(b *testing.B, do func(s string)) {
	posts := samplePosts()
	size := 0
	for _, s := range posts {
		size += len(s)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range posts {
			do(s)
		}
	}
}

// BenchmarkRunes is the floor: what it costs to decode the text at all.
func BenchmarkRunes(b *testing.B) {
	sum := rune(0)
	benchPosts(b, func(s string) {
		for _, r := range s {
			sum += r
		}
	})
	if sum == 0 {
		b.Fatal("no text")
	}
}

func BenchmarkFold(b *testing.B) {
	var n normalized
	foldTables()
	benchPosts(b, func(s string) { normalize(s, &n) })
}

func BenchmarkMatch(b *testing.B) {
	m := mustMatcher(b, sampleLexicon(2000))
	posts := samplePosts()
	folded := make([]normalized, len(posts))
	at := map[string]*normalized{}
	for i, s := range posts {
		normalize(s, &folded[i])
		at[s] = &folded[i]
	}
	i := 0
	var sc matchScratch
	benchPosts(b, func(string) {
		m.scan(&folded[i%len(folded)], &sc, nil, func(hit) {})
		i++
	})
}

func BenchmarkFoldAndMatch(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"200", 200}, {"2000", 2000}, {"20000", 20000}} {
		b.Run(size.name, func(b *testing.B) {
			m := mustMatcher(b, sampleLexicon(size.n))
			var n normalized
			var sc matchScratch
			benchPosts(b, func(s string) {
				normalize(s, &n)
				m.scan(&n, &sc, nil, func(hit) {})
			})
		})
	}
}

func BenchmarkBuild50000(b *testing.B) {
	ps := sampleLexicon(50000)
	texts := make([][]rune, len(ps))
	for i, p := range ps {
		texts[i] = []rune(p.Text)
	}
	b.Run("trie", func(b *testing.B) {
		for b.Loop() {
			codes, _ := newCodeTable(texts)
			a := buildTrie(codes.encode(texts), codes.symbols())
			b.ReportMetric(float64(len(a.nodes)*12)/1e6, "MB")
		}
	})
	b.Run("all-layers", func(b *testing.B) {
		for b.Loop() {
			if _, err := buildMatcher(ps); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFoldTable(b *testing.B) {
	for b.Loop() {
		buildFoldTable()
	}
}

// leftmostLongest keeps of hits those that a reader going left to right and
// preferring the longest would take, none overlapping, in order. It reuses the
// storage of hits.
func leftmostLongest(hits []hit) []hit {
	slices.SortFunc(hits, func(a, b hit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		if a.end != b.end {
			return b.end - a.end
		}
		return int(a.id - b.id)
	})
	out, end := hits[:0], 0
	for _, h := range hits {
		if h.start >= end {
			out, end = append(out, h), h.end
		}
	}
	return out
}
