package classify

import (
	"cmp"
	"math/bits"
	"slices"
)

// trie finds sequences in a text: a double array over small symbol codes, walked
// from every place where a sequence may begin. Which places these are a filter
// over the first two symbols tells, which is small enough to stay in the
// nearest cache: of five characters of a text one begins anything. Code 0
// is "none of the alphabet". It is immutable once built.
type trie struct {
	nodes []trieNode
	outs  []trieOut
	ones  []uint64 // bit a code: is a sequence by itself
	pairs []uint64 // filter over the first two symbols of the longer ones
	mask  uint32   // takes a hash to a bit of pairs
}

type trieNode struct {
	base  int32 // the child for code c stands at base+c ...
	check int32 // ... if its check names this node, plus one
	out   int32 // index+1 of the first of the sequences that end here
}

type trieOut struct {
	value int32 // index of the sequence
	next  int32 // index+1 of the next equal one; 0 ends
}

// trieHit is a place where sequences end.
type trieHit struct{ start, end, out int32 }

// trieScratch holds the buffers of a search.
type trieScratch struct {
	codes  []uint16 // of the text, and a 0 behind it
	starts []int32  // where a sequence may begin
	hits   []trieHit
}

// room makes room for the codes of so many symbols.
func (sc *trieScratch) room(n int) []uint16 {
	sc.codes = slices.Grow(sc.codes[:0], n+1)[:n+1]
	sc.codes[n] = 0
	return sc.codes
}

// find calls found for each occurrence of a sequence in sc.codes: the sooner it
// ends the sooner, the longest first, of equal ones the last first.
func (t *trie) find(sc *trieScratch, found func(start, end int, value int32)) {
	codes, nodes, hits := sc.codes, t.nodes, sc.hits[:0]
	for _, start := range t.begun(sc, t.starts(sc)) {
		if len(hits) > 0 && hits[0].end <= start {
			hits = t.report(hits, start, found)
		}
		s := int32(0)
		for i := start; ; {
			next := nodes[s].base + int32(codes[i])
			if nodes[next].check != s+1 {
				break
			}
			s = next
			i++
			if out := nodes[s].out; out != 0 {
				hits = append(hits, trieHit{start, i, out})
				for k := len(hits) - 1; k > 0 && hits[k-1].end > i; k-- {
					hits[k-1], hits[k] = hits[k], hits[k-1]
				}
			}
		}
	}
	sc.hits = t.report(hits, int32(len(codes)), found)
}

// report reports the hits that end at a place or sooner, and returns the others.
func (t *trie) report(hits []trieHit, end int32, found func(start, end int, value int32)) []trieHit {
	k := 0
	for ; k < len(hits) && hits[k].end <= end; k++ {
		h := hits[k]
		for o := h.out; o != 0; o = t.outs[o-1].next {
			found(int(h.start), int(h.end), t.outs[o-1].value)
		}
	}
	return hits[:copy(hits, hits[k:])]
}

// starts lists the places where a sequence may begin.
func (t *trie) starts(sc *trieScratch) []int32 {
	n := len(sc.codes) - 1
	starts := slices.Grow(sc.starts[:0], n+1)[:n+1]
	k := 0
	a := sc.codes[0]
	for i, b := range sc.codes[1:] {
		h := pairHash(a, b) & t.mask
		may := t.pairs[h/64]>>(h%64) | t.ones[a/64]>>(a%64)
		starts[k] = int32(i) // no jump: it is as good as random
		k += int(may & 1)
		a = b
	}
	sc.starts = starts
	return starts[:k]
}

// begun keeps of the starts those that are no mistake of the filter. The nodes
// it asks for come from afar, many of them at a time.
func (t *trie) begun(sc *trieScratch, starts []int32) []int32 {
	codes, nodes, k := sc.codes, t.nodes, 0
	root := nodes[0].base
	for _, start := range starts {
		s := root + int32(codes[start])
		one := &nodes[s]
		two := &nodes[one.base+int32(codes[start+1])]
		starts[k] = start
		if one.out != 0 || two.check == s+1 {
			k++
		}
	}
	return starts[:k]
}

// buildTrie builds the trie of the sequences, whose index is the value it
// reports. Empty sequences are never reported. No code, of sequences or of the
// texts to come, may be symbols or higher.
func buildTrie(seqs [][]uint16, symbols int) *trie {
	order := make([]int32, 0, len(seqs))
	b := &trieBuilder{t: &trie{}, seqs: seqs}
	for i, s := range seqs {
		if len(s) == 0 {
			continue
		}
		order = append(order, int32(i))
	}
	slices.SortStableFunc(order, func(x, y int32) int { return slices.Compare(seqs[x], seqs[y]) })
	b.order, b.symbols = order, int32(symbols)
	b.grow(symbols)
	b.take(0)
	queue := []trieRange{{node: 0, lo: 0, hi: len(order)}}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		queue = b.place(r, queue)
	}
	// Every base+code must lie inside the array, so that a search need not ask.
	highest := int32(0)
	for _, n := range b.t.nodes {
		highest = max(highest, n.base)
	}
	b.grow(int(highest) + symbols)
	b.t.nodes = slices.Clone(b.t.nodes[:int(highest)+symbols])
	b.t.filter(seqs, order, symbols)
	return b.t
}

// filter fills the filter of beginnings from the sequences in sorted order.
func (t *trie) filter(seqs [][]uint16, order []int32, symbols int) {
	t.ones = make([]uint64, symbols/64+1)
	var pairs []uint32
	for _, i := range order {
		s := seqs[i]
		if len(s) == 1 {
			t.ones[s[0]/64] |= 1 << (s[0] % 64)
			continue
		}
		if h := pairHash(s[0], s[1]); len(pairs) == 0 || pairs[len(pairs)-1] != h {
			pairs = append(pairs, h)
		}
	}
	const least, most, room = 6, 20, 16 // bits of the filter, in powers of two, and how many a pair
	size := min(max(bits.Len(uint(room*len(pairs))), least), most)
	t.mask = 1<<size - 1
	t.pairs = make([]uint64, 1<<size/64)
	for _, h := range pairs {
		h &= t.mask
		t.pairs[h/64] |= 1 << (h % 64)
	}
}

// trieRange is a node and the sequences, in sorted order, that pass through it.
type trieRange struct {
	node   int32
	code   uint16
	depth  int
	lo, hi int
}

type trieBuilder struct {
	t          *trie
	seqs       [][]uint16
	order      []int32
	next, prev []int32 // the ring of free slots; slot 0 is its head
	symbols    int32
	highest    int32 // the highest slot taken
	rove       int32 // where the last node with several children found room
}

// grow adds free slots up to size.
func (b *trieBuilder) grow(size int) {
	old := len(b.t.nodes)
	if size <= old {
		return
	}
	size = max(size, old*3/2, 1024)
	b.t.nodes = append(b.t.nodes, make([]trieNode, size-old)...)
	b.next = append(b.next, make([]int32, size-old)...)
	b.prev = append(b.prev, make([]int32, size-old)...)
	for i := max(old, 1); i < size; i++ {
		last := b.prev[0]
		b.next[last], b.prev[i], b.next[i], b.prev[0] = int32(i), last, 0, int32(i)
	}
}

// take removes a slot from the ring.
func (b *trieBuilder) take(i int32) {
	if i == 0 {
		return
	}
	b.next[b.prev[i]], b.prev[b.next[i]] = b.next[i], b.prev[i]
	b.next[i], b.prev[i] = -1, -1
	b.highest = max(b.highest, i)
}

func (b *trieBuilder) free(i int32) bool { return i > 0 && b.t.nodes[i].check == 0 }

// place gives the node of r its outputs and children, which it appends to the
// queue.
func (b *trieBuilder) place(r trieRange, queue []trieRange) []trieRange {
	if r.node != 0 {
		b.output(r)
	}
	lo := r.lo
	for lo < r.hi && len(b.seqs[b.order[lo]]) == r.depth {
		lo++
	}
	var kids []trieRange
	for i := lo; i < r.hi; {
		code := b.seqs[b.order[i]][r.depth]
		j := i + 1
		for j < r.hi && b.seqs[b.order[j]][r.depth] == code {
			j++
		}
		kids = append(kids, trieRange{code: code, depth: r.depth + 1, lo: i, hi: j})
		i = j
	}
	if len(kids) == 0 {
		return queue
	}
	base := b.base(kids)
	b.t.nodes[r.node].base = base
	for _, k := range kids {
		k.node = base + int32(k.code)
		b.take(k.node)
		b.t.nodes[k.node].check = r.node + 1
		queue = append(queue, k)
	}
	return queue
}

// output chains the sequences that end at r's node.
func (b *trieBuilder) output(r trieRange) {
	n := &b.t.nodes[r.node]
	for i := r.lo; i < r.hi && len(b.seqs[b.order[i]]) == r.depth; i++ {
		b.t.outs = append(b.t.outs, trieOut{value: b.order[i], next: n.out})
		n.out = int32(len(b.t.outs))
	}
}

// base finds a place where all the children fit: for one child the first free
// slot, for several near where the last such node found room, or behind all.
func (b *trieBuilder) base(kids []trieRange) int32 {
	first, start := int32(kids[0].code), b.next[0]
	if len(kids) > 1 && b.free(b.rove) {
		start = b.rove
	}
	const maxTries = 48
	tries := 0
	for i := start; i != 0 && tries < maxTries; i = b.next[i] {
		base := i - first
		if base < 0 {
			continue
		}
		tries++
		b.grow(int(base + b.symbols))
		if b.fits(base, kids) {
			if len(kids) > 1 {
				b.rove = b.next[i]
			}
			return base
		}
		if len(kids) > 1 && tries == maxTries/2 {
			b.rove = i // the slots before are too crowded
		}
	}
	base := max(b.highest+1-first, 0)
	b.grow(int(base + b.symbols))
	return base
}

func (b *trieBuilder) fits(base int32, kids []trieRange) bool {
	for _, k := range kids {
		if !b.free(base + int32(k.code)) {
			return false
		}
	}
	return true
}

// symbols is one more than the highest code.
func (t *codeTable) symbols() int { return t.count + 1 }

// codeTable gives each rune of an alphabet a dense code from 1 on, the most
// frequent first; 0 stands for every other rune.
type codeTable struct {
	page  [0x1100]uint8
	pages [][256]uint16
	count int // of codes
}

func (t *codeTable) code(r rune) uint16 { return t.pages[t.page[uint32(r)>>8]][r&0xff] }

// newCodeTable numbers the runes of texts. It reports false when there are
// more than 65,535 different runes or 255 pages of them.
func newCodeTable(texts [][]rune) (*codeTable, bool) {
	count := map[rune]int{}
	for _, t := range texts {
		for _, r := range t {
			count[r]++
		}
	}
	runes := make([]rune, 0, len(count))
	for r := range count {
		runes = append(runes, r)
	}
	slices.SortFunc(runes, func(a, b rune) int { return cmp.Or(count[b]-count[a], int(a-b)) })
	t := &codeTable{pages: make([][256]uint16, 1)}
	if len(runes) >= 1<<16 {
		return nil, false
	}
	t.count = len(runes)
	for i, r := range runes {
		p := r >> 8
		if t.page[p] == 0 {
			if len(t.pages) == 256 {
				return nil, false
			}
			t.page[p] = uint8(len(t.pages))
			t.pages = append(t.pages, [256]uint16{})
		}
		t.pages[t.page[p]][r&0xff] = uint16(i + 1)
	}
	return t, true
}

// encode turns texts into code sequences.
func (t *codeTable) encode(texts [][]rune) [][]uint16 {
	out := make([][]uint16, len(texts))
	for i, text := range texts {
		seq := make([]uint16, len(text))
		for j, r := range text {
			seq[j] = t.code(r)
		}
		out[i] = seq
	}
	return out
}
