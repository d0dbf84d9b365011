package classify

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-ego/gse"
)

// segmentMinFreq leaves out of gse's simplified-Chinese dictionary the words
// seen fewer than 20 times in its corpus. Measured on this use (border checks
// of short terms): 82,000 of 352,000 words stay, loading takes 0.27 s instead
// of 1.7 s and 25 MB instead of 128 MB, and the borders of common words, which
// are the ones that matter, are the same.
const segmentMinFreq = 20

// ownWordFreq is the frequency given to the dictionary's own words: that of a
// fairly common word, so that they win over single characters but not over
// everyday words that overlap them.
const ownWordFreq = 300

// segmenter cuts texts into words. It loads on first use, because most posts
// never need it, and is safe for concurrent use.
type segmenter struct {
	load func() (*wordList, error)
}

// segmentScratch holds what is known of one text. Its buffers are reused.
type segmentScratch struct {
	ready    bool     // codes, begins and lastLong are filled
	codes    []uint16 // of each rune
	begins   []uint8  // 1 where the filter lets a word of two and more begin
	lastLong []int32  // the last place up to each rune where one of more than four may begin, or far before the text

	cutting bool      // cut and ends are filled
	cut     []bool    // a word may begin at the rune; one more than there are runes
	ends    []wordEnd // up to next
	next    int       // where the search for the shortest path goes on
	reach   int       // where the farthest word known so far ends
	settled int       // up to where words are filled
	words   []span
}

// wordEnd is the best way to cut the text up to a rune.
type wordEnd struct {
	distance float32 // 0: none yet
	from     int32   // where the last word begins
}

// reset forgets the text.
func (sc *segmentScratch) reset() { sc.ready, sc.cutting = false, false }

// prepare reads a text, once.
func (sc *segmentScratch) prepare(w *wordList, text []rune) {
	if sc.ready {
		return
	}
	sc.ready = true
	n := len(text)
	sc.codes = slices.Grow(sc.codes[:0], n+1)[:n+1]
	for i, r := range text {
		sc.codes[i] = w.codes.code(r)
	}
	sc.codes[n] = 0
	sc.begins, sc.lastLong = slices.Grow(sc.begins[:0], n)[:n], slices.Grow(sc.lastLong[:0], n)[:n]
	last := int32(math.MinInt32)
	for i := range sc.begins {
		h := pairHash(sc.codes[i], sc.codes[i+1])
		sc.begins[i] = uint8(w.begins[h%beginsBits/64] >> (h % 64) & 1)
		if i+1 < n && hasBit(w.long, h%longBits) {
			last = int32(i)
		}
		sc.lastLong[i] = last
	}
	sc.codes = sc.codes[:n]
}

// prepareCut makes ready to cut the text, once.
func (sc *segmentScratch) prepareCut(text []rune) {
	if sc.cutting {
		return
	}
	sc.cutting, sc.next, sc.reach, sc.settled = true, 0, 0, 0
	n := len(text)
	sc.cut = slices.Grow(sc.cut[:0], n+1)[:n+1]
	inside := false // in a run of letters and digits
	for i, r := range text {
		word := joinsWord(r)
		sc.cut[i] = !inside || !word
		inside = word
	}
	sc.cut[n] = true
	sc.ends = slices.Grow(sc.ends[:0], n+1)[:n+1]
	clear(sc.ends)
	sc.words = slices.Grow(sc.words[:0], n)[:n]
}

// mayCut reports whether a word of the dictionary reaches over one edge of m.
// sc belongs to the text.
func (s *segmenter) mayCut(text []rune, sc *segmentScratch, m span) bool {
	w, err := s.load()
	if err != nil {
		return false
	}
	sc.prepare(w, text)
	if w.reachesOver(text, sc.begins, m) {
		return true
	}
	start, end := int(m.start), int(m.end)
	// Longer words stand in no filter; what the filter says is right only when
	// none of them is near.
	return (w.longNear(sc, start) || w.longNear(sc, end)) && w.reachesOver(text, nil, m)
}

func newSegmenter(words []string) *segmenter {
	return &segmenter{load: sync.OnceValues(func() (*wordList, error) {
		s, general, err := loadWords(words)
		if err != nil {
			return nil, err
		}
		return newWordList(s.Dict, general)
	})}
}

// loadWords loads gse's dictionary and adds words to it; general is how many of
// the tokens, the first ones, are gse's own.
func loadWords(words []string) (seg *gse.Segmenter, general int, err error) {
	var s gse.Segmenter
	s.SkipLog = true
	s.NotLoadHMM = true
	s.MinTokenFreq = segmentMinFreq
	if err := s.LoadDictEmbed("zh_s"); err != nil {
		return nil, 0, fmt.Errorf("loading the segmentation dictionary: %w", err)
	}
	general = len(s.Dict.Tokens)
	for _, w := range words {
		if utf8.RuneCountInString(w) < 2 || !allHan(w) {
			continue
		}
		if _, _, known := s.Find(w); known {
			continue
		}
		if err := s.AddToken(w, ownWordFreq); err != nil {
			return nil, 0, fmt.Errorf("adding %q to the segmentation dictionary: %w", w, err)
		}
	}
	return &s, general, nil
}

// wordDistance is what a word of a frequency adds to the length of a path, by
// gse's formula.
func wordDistance(total, freq float64) float32 {
	return float32(math.Log2(total)) - float32(math.Log2(freq))
}

// unknownDistance is what a character that is no word adds.
const unknownDistance = 32

// words returns, for each rune of a folded text up to end and perhaps farther,
// the bounds of the word it belongs to, on the shortest path: the cut in which
// the words are the most frequent. Latin letters and digits stay together. sc
// belongs to the text and keeps the words.
func (s *segmenter) words(text []rune, sc *segmentScratch, end int) ([]span, error) {
	w, err := s.load()
	if err != nil {
		return nil, err
	}
	sc.prepare(w, text)
	sc.prepareCut(text)
	if end > sc.settled {
		w.shortestPath(sc, end)
		for end := int32(sc.next); end > int32(sc.settled); {
			from := sc.ends[end].from
			for i := from; i < end; i++ {
				sc.words[i] = span{from, end}
			}
			end = from
		}
		sc.settled = sc.next
	}
	return sc.words[:sc.settled], nil
}

// shortestPath goes on filling sc.ends: for each place where a word may end, the
// shortest path up to there. It goes to end, and on to a place that no word
// reaches over: there every path passes.
func (w *wordList) shortestPath(sc *segmentScratch, end int) {
	codes, cut, ends, reach := sc.codes, sc.cut, sc.ends, sc.reach
	step := func(from, end int, distance float32) {
		reach = max(reach, end)
		if e := &ends[end]; e.distance == 0 || e.distance > distance {
			*e = wordEnd{distance, int32(from)}
		}
	}
	i := sc.next
	for i < len(codes) && (i < end || i < reach) {
		base := ends[i].distance
		next := i + 1
		for !cut[next] {
			next++
		}
		known := false // as a word of its own
		if d := w.singles[codes[i]]; d != 0 && next == i+1 {
			step(i, next, base+d)
			known = true
		}
		if sc.begins[i] != 0 && i+1 < len(codes) && codes[i] != 0 && codes[i+1] != 0 {
			id := w.find(pairKey(codes[i], codes[i+1]), 0)
			for j := i + 2; id >= 0; j++ {
				n := w.nodes[id]
				if n.distance != 0 && cut[j] {
					step(i, j, base+abs32(n.distance))
					known = known || j == next
				}
				if n.leaf() || j == len(codes) {
					break
				}
				id = w.child(id, codes[j])
			}
		}
		if !known {
			step(i, next, base+unknownDistance)
		}
		i = next
	}
	sc.next, sc.reach = i, reach
}

func abs32(f float32) float32 { return math.Float32frombits(math.Float32bits(f) &^ (1 << 31)) }

// joinsWord reports whether gse keeps r and its like together.
func joinsWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z'
	}
	return r < 0x800 && (unicode.IsLetter(r) || unicode.IsNumber(r))
}

// cutsWord reports whether m begins or ends inside a word that reaches out of
// it: 加微信 in 参加|微信息化. A word that holds m whole (征信 in 征信系统) does
// not count.
func cutsWord(words []span, m span) bool {
	if int(m.end) > len(words) || m.start >= m.end {
		return false
	}
	first, last := words[m.start], words[m.end-1]
	return first.start < m.start && first.end < m.end || last.end > m.end && last.start > m.start
}

// isWord reports whether a word of the dictionary is or begins with word.
func (s *segmenter) isWord(word string) bool { return s.isWordRunes([]rune(word)) }

// isWordRunes is isWord for a word as characters.
func (s *segmenter) isWordRunes(word []rune) bool {
	w, err := s.load()
	return err == nil && w.isWord(word)
}

func allHan(s string) bool {
	for _, r := range s {
		if !unicode.Is(unicode.Han, r) {
			return false
		}
	}
	return true
}
