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
	ready bool     // codes and cut are filled
	codes []uint16 // of each rune
	cut   []bool   // a word may begin at the rune; one more than there are runes
	ends  []wordEnd
}

// wordEnd is the best way to cut the text up to a rune.
type wordEnd struct {
	distance float32 // 0: none yet
	from     int32   // where the last word begins
}

// prepare reads a text, once.
func (sc *segmentScratch) prepare(w *wordList, text []rune) {
	if sc.ready {
		return
	}
	sc.ready = true
	sc.codes = slices.Grow(sc.codes[:0], len(text))[:len(text)]
	sc.cut = slices.Grow(sc.cut[:0], len(text)+1)[:len(text)+1]
	inside := false // in a run of letters and digits
	for i, r := range text {
		word := joinsWord(r)
		sc.cut[i] = !inside || !word
		inside = word
		sc.codes[i] = w.codes.code(r)
	}
	sc.cut[len(text)] = true
}

// mayCut reports whether a word of the dictionary reaches over one edge of m.
// sc belongs to the text.
func (s *segmenter) mayCut(text []rune, sc *segmentScratch, m span) bool {
	w, err := s.load()
	if err != nil {
		return false
	}
	sc.prepare(w, text)
	if w.reachesOver(text, sc.codes, m) {
		return true
	}
	start, end := int(m.start), int(m.end)
	// Longer words stand in no filter; what the filter says is right only when
	// none of them is near.
	return (w.longNear(sc.codes, start) || w.longNear(sc.codes, end)) && w.reachesOver(text, nil, m)
}

func newSegmenter(words []string) *segmenter {
	return &segmenter{load: sync.OnceValues(func() (*wordList, error) {
		s, err := loadWords(words)
		if err != nil {
			return nil, err
		}
		return newWordList(s.Dict)
	})}
}

// loadWords loads gse's dictionary and adds words to it.
func loadWords(words []string) (*gse.Segmenter, error) {
	var s gse.Segmenter
	s.SkipLog = true
	s.NotLoadHMM = true
	s.MinTokenFreq = segmentMinFreq
	if err := s.LoadDictEmbed("zh_s"); err != nil {
		return nil, fmt.Errorf("loading the segmentation dictionary: %w", err)
	}
	for _, w := range words {
		if utf8.RuneCountInString(w) < 2 || !allHan(w) {
			continue
		}
		if _, _, known := s.Find(w); known {
			continue
		}
		if err := s.AddToken(w, ownWordFreq); err != nil {
			return nil, fmt.Errorf("adding %q to the segmentation dictionary: %w", w, err)
		}
	}
	return &s, nil
}

// wordDistance is what a word of a frequency adds to the length of a path, by
// gse's formula.
func wordDistance(total, freq float64) float32 {
	return float32(math.Log2(total)) - float32(math.Log2(freq))
}

// unknownDistance is what a character that is no word adds.
const unknownDistance = 32

// words returns, for each rune of a folded text, the bounds of the word it
// belongs to, on the shortest path: the cut in which the words are the most
// frequent. Latin letters and digits stay together. sc belongs to the text.
func (s *segmenter) words(text []rune, sc *segmentScratch, buf []span) ([]span, error) {
	w, err := s.load()
	if err != nil {
		return nil, err
	}
	sc.prepare(w, text)
	w.shortestPath(sc)
	buf = slices.Grow(buf[:0], len(text))[:len(text)]
	for end := int32(len(text)); end > 0; {
		from := sc.ends[end].from
		for i := from; i < end; i++ {
			buf[i] = span{from, end}
		}
		end = from
	}
	return buf, nil
}

// shortestPath fills sc.ends: for each place where a word may end, the shortest
// path up to there.
func (w *wordList) shortestPath(sc *segmentScratch) {
	codes, cut := sc.codes, sc.cut
	sc.ends = slices.Grow(sc.ends[:0], len(cut))[:len(cut)]
	ends := sc.ends
	clear(ends)
	step := func(from, end int, distance float32) {
		if e := &ends[end]; e.distance == 0 || e.distance > distance {
			*e = wordEnd{distance, int32(from)}
		}
	}
	for i := 0; i < len(codes); {
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
		if i+1 < len(codes) {
			id := w.pair(codes[i], codes[i+1])
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
