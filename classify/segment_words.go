package classify

import (
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/go-ego/gse"
)

// wordList holds the words of the segmentation dictionary as a trie in a hash
// table, small enough to stay near. Filters clear most candidates before
// anything is cut.
type wordList struct {
	codes   codeTable
	singles []float32 // by code: distance of the word of one character; 0: none
	first   []bool    // by code: begins a word
	// nodes holds the prefixes of two characters in its lower half, longer ones
	// in its upper half, each searched linearly from the hash of the key.
	nodes   []wordNode
	short   []uint64 // filter over the words of two to four characters
	begins  []uint64 // filter over the first two characters of all words
	long    []uint64 // the same of the words of more than four
	general []uint64 // filter over gse's own words of two to four characters, without those added
	longest int      // in runes
}

// wordNode is a prefix of two characters and more.
type wordNode struct {
	key uint32 // 0: the slot is free
	// distance is that of the word that ends here: above 0 when no longer one
	// begins so, below 0 when one does, and 0 when no word ends here.
	distance float32
}

// leaf reports whether no longer word begins so.
func (n *wordNode) leaf() bool { return n.distance > 0 }

const (
	shortBits  = 1 << 21 // of the filters: 82,000 words fill 4 % of this one
	beginsBits = 1 << 19 // stays in the cache
	longBits   = 1 << 16
)

// maxFilterWord is the longest word in the filter of short ones, in runes.
const maxFilterWord = 4

// The key of a longer prefix is the number of the node before and a code.
const (
	codeBits = 14
	nodeBits = 32 - codeBits
	halfSize = 1 << (nodeBits - 1)
)

// maxNodes keeps the halves so empty that searches end soon.
const maxNodes = halfSize * 3 / 4

const (
	hashSeed = 14695981039346656037
	hashStep = 1099511628211
)

// hashRune adds a character to the hash of a word, which begins as hashSeed;
// mixHash ends it. The filters are filled and asked by the same two.
func hashRune(h uint64, r rune) uint64 { return (h ^ uint64(r)) * hashStep }

func mixHash(h uint64) uint32 { return uint32(h ^ h>>29) }

// newWordList makes the list of the words of d, of which the first general are
// gse's own.
func newWordList(d *gse.Dictionary, general int) (*wordList, error) {
	texts := make([][]rune, len(d.Tokens))
	for i := range d.Tokens {
		texts[i] = []rune(d.Tokens[i].Text())
	}
	codes, ok := newCodeTable(texts)
	if !ok || codes.symbols() > 1<<codeBits {
		return nil, fmt.Errorf("the segmentation dictionary has more than %d different characters", 1<<codeBits-1)
	}
	w := &wordList{codes: *codes, singles: make([]float32, codes.symbols()), first: make([]bool, codes.symbols()),
		nodes: make([]wordNode, 2*halfSize),
		short: make([]uint64, shortBits/64), general: make([]uint64, shortBits/64), begins: make([]uint64, beginsBits/64), long: make([]uint64, longBits/64)}
	var used [2]int
	for i, t := range texts {
		if i == general {
			copy(w.general, w.short)
		}
		w.add(t, wordDistance(d.TotalFreq(), d.Tokens[i].Freq()), &used)
		if max(used[0], used[1]) > maxNodes {
			return nil, fmt.Errorf("the segmentation dictionary has more than %d beginnings of words", maxNodes)
		}
	}
	if general >= len(texts) {
		copy(w.general, w.short)
	}
	return w, nil
}

// generalWord is a word of gse's own dictionary.
type generalWord struct {
	hash   uint32
	length uint32 // in characters
}

// longestGenerals returns for each character of text the longest word of gse's
// own dictionary, up to maxFilterWord characters, that begins there, or the
// character alone. One beginning in 25 that is no word passes for one, always
// the same ones. It reuses the storage of out.
func (w *wordList) longestGenerals(text []gramChar, out []generalWord) []generalWord {
	out = slices.Grow(out[:0], len(text))[:len(text)]
	step := func(h uint64, i int) uint64 { return hashRune(h, text[i].r) }
	is := func(hash uint32) uint32 { hash %= shortBits; return uint32(w.general[hash/64] >> (hash % 64) & 1) }
	i := 0
	for ; i+maxFilterWord <= len(text); i++ {
		one := step(hashSeed, i)
		two := step(one, i+1)
		three := step(two, i+2)
		hashes := [maxFilterWord]uint32{mixHash(one), mixHash(two), mixHash(three), mixHash(step(three, i+3))}
		// Which is a word is as good as random: written without a jump.
		k := bits.Len32(is(hashes[1])|is(hashes[2])<<1|is(hashes[3])<<2) % maxFilterWord
		out[i] = generalWord{hashes[k], uint32(k) + 1}
	}
	for ; i < len(text); i++ {
		h := uint64(hashSeed)
		for j := i; j < len(text); j++ {
			h = step(h, j)
			if hash := mixHash(h); j == i || is(hash) != 0 {
				out[i] = generalWord{hash, uint32(j-i) + 1}
			}
		}
	}
	return out
}

// add adds a word and counts the nodes used of each half.
func (w *wordList) add(word []rune, distance float32, used *[2]int) {
	if len(word) == 0 || slices.Contains(word, utf8.RuneError) {
		return
	}
	w.longest = max(w.longest, len(word))
	a := w.codes.code(word[0])
	w.first[a] = true
	if len(word) == 1 {
		w.singles[a] = distance
		return
	}
	b := w.codes.code(word[1])
	setBit(w.begins, pairHash(a, b)%beginsBits)
	if len(word) > maxFilterWord {
		setBit(w.long, pairHash(a, b)%longBits)
	} else {
		h := uint64(hashSeed)
		for _, r := range word {
			h = hashRune(h, r)
		}
		setBit(w.short, mixHash(h)%shortBits)
	}
	id, known := w.insert(pairKey(a, b), 0, used)
	for _, r := range word[2:] {
		if n := &w.nodes[id]; n.distance > 0 {
			n.distance = -n.distance
		}
		id, known = w.insert(childKey(id, w.codes.code(r)), halfSize, used)
	}
	if known { // a longer one has been here before
		distance = -distance
	}
	w.nodes[id].distance = distance
}

// insert returns the node of a key in the half from base on, and whether it
// was there before.
func (w *wordList) insert(key uint32, base int32, used *[2]int) (id int32, known bool) {
	i := slotOf(key)
	for w.nodes[base+i].key != key {
		if w.nodes[base+i].key == 0 {
			w.nodes[base+i].key = key
			used[base/halfSize]++
			return base + i, false
		}
		i = (i + 1) % halfSize
	}
	return base + i, true
}

// find returns the node of a key in the half from base on, or −1.
func (w *wordList) find(key uint32, base int32) int32 {
	for i := slotOf(key); ; i = (i + 1) % halfSize {
		switch w.nodes[base+i].key {
		case key:
			return base + i
		case 0:
			return -1
		}
	}
}

func slotOf(key uint32) int32 { return int32(key * 0x9e3779b1 >> (32 - (nodeBits - 1))) }

func setBit(bits []uint64, i uint32) { bits[i/64] |= 1 << (i % 64) }

func hasBit(bits []uint64, i uint32) bool { return bits[i/64]&(1<<(i%64)) != 0 }

func pairHash(a, b uint16) uint32 { return (uint32(a)<<16 | uint32(b)) * 0x9e3779b1 >> 8 }

func pairKey(a, b uint16) uint32 { return uint32(a)<<16 | uint32(b) }

func childKey(id int32, code uint16) uint32 { return uint32(id)<<codeBits | uint32(code) }

// pair returns the node of the two characters, or −1 when no word begins so.
func (w *wordList) pair(a, b uint16) int32 {
	if !hasBit(w.begins, pairHash(a, b)%beginsBits) || a == 0 || b == 0 {
		return -1
	}
	return w.find(pairKey(a, b), 0)
}

// child returns the node of the prefix longer by a character, or −1.
func (w *wordList) child(id int32, code uint16) int32 {
	if code == 0 {
		return -1
	}
	return w.find(childKey(id, code), halfSize)
}

// isWord reports whether a word is or begins with prefix.
func (w *wordList) isWord(prefix []rune) bool {
	if len(prefix) == 0 {
		return false
	}
	a := w.codes.code(prefix[0])
	if len(prefix) == 1 {
		return w.first[a]
	}
	id := w.pair(a, w.codes.code(prefix[1]))
	for _, r := range prefix[2:] {
		if id < 0 {
			return false
		}
		id = w.child(id, w.codes.code(r))
	}
	return id >= 0
}

// reachesOver reports whether a word of at most maxFilterWord characters reaches
// over one edge of m. A false yes is rare, and rarer still with what is known of
// the places where words begin.
func (w *wordList) reachesOver(text []rune, begins []uint8, m span) bool {
	start, end := int(m.start), int(m.end)
	return w.reaches(text, begins, start, max(0, start-maxFilterWord+1), end-1) || w.reaches(text, begins, end, max(start+1, end-maxFilterWord+1), len(text))
}

// reaches reports whether such a word covers the edge: it begins at from or
// later and ends at to or sooner.
func (w *wordList) reaches(text []rune, begins []uint8, edge, from, to int) bool {
	for i := from; i < edge && i+1 < to; i++ {
		if begins != nil && begins[i] == 0 {
			continue
		}
		h := uint64(hashSeed)
		for j := i; j < min(to, i+maxFilterWord); j++ {
			h = hashRune(h, text[j])
			if j >= edge && hasBit(w.short, mixHash(h)%shortBits) {
				return true
			}
		}
	}
	return false
}

// longNear reports whether a longer word may cover the edge.
func (w *wordList) longNear(sc *segmentScratch, edge int) bool {
	return edge > 0 && int(sc.lastLong[edge-1]) > edge-w.longest
}
