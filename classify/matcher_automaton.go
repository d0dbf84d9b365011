package classify

import (
	"cmp"
	"slices"
)

// automaton is an Aho-Corasick automaton in a double array over small symbol
// codes; code 0 is "none of the alphabet". It is immutable once built.
type automaton struct {
	nodes []acNode
	outs  []acOut
	depth int // length of the longest sequence
}

type acNode struct {
	base  int32 // the child for code c stands at base+c ...
	check int32 // ... if its check names this node, plus one
	fail  int32 // the longest proper suffix that is a node
	out   int32 // index+1 of the first of the sequences that end here
}

type acOut struct {
	value int32 // index of the sequence
	next  int32 // index+1 of the next, shorter or equal one; 0 ends
}

// step returns the node after symbol c in node s.
func (a *automaton) step(s int32, c uint16) int32 {
	if c == 0 {
		return 0
	}
	for {
		n := &a.nodes[s]
		if t := n.base + int32(c); a.nodes[t].check == s+1 {
			return t
		}
		if s == 0 {
			return 0
		}
		s = n.fail
	}
}

// buildAutomaton builds the automaton of the sequences, whose index is the
// value it reports. Empty sequences are never reported. No code, of sequences
// or of the texts to come, may be symbols or higher.
func buildAutomaton(seqs [][]uint16, symbols int) *automaton {
	order := make([]int32, 0, len(seqs))
	b := &acBuilder{a: &automaton{}, seqs: seqs}
	for i, s := range seqs {
		if len(s) == 0 {
			continue
		}
		order = append(order, int32(i))
		b.a.depth = max(b.a.depth, len(s))
	}
	slices.SortStableFunc(order, func(x, y int32) int { return slices.Compare(seqs[x], seqs[y]) })
	b.order, b.symbols = order, int32(symbols)
	b.grow(symbols)
	b.take(0)
	queue := []acRange{{node: 0, lo: 0, hi: len(order)}}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		queue = b.place(r, queue)
	}
	// Every base+code must lie inside the array, so that step need not ask.
	highest := int32(0)
	for _, n := range b.a.nodes {
		highest = max(highest, n.base)
	}
	b.grow(int(highest) + symbols)
	b.a.nodes = slices.Clone(b.a.nodes[:int(highest)+symbols])
	return b.a
}

// acRange is a node and the sequences, in sorted order, that pass through it.
type acRange struct {
	node, parent int32
	code         uint16
	depth        int
	lo, hi       int
}

type acBuilder struct {
	a          *automaton
	seqs       [][]uint16
	order      []int32
	next, prev []int32 // the ring of free slots; slot 0 is its head
	symbols    int32
	highest    int32 // the highest slot taken
	rove       int32 // where the last node with several children found room
	used       int32 // the highest slot taken
}

// grow adds free slots up to size.
func (b *acBuilder) grow(size int) {
	old := len(b.a.nodes)
	if size <= old {
		return
	}
	size = max(size, old*3/2, 1024)
	b.a.nodes = append(b.a.nodes, make([]acNode, size-old)...)
	b.next = append(b.next, make([]int32, size-old)...)
	b.prev = append(b.prev, make([]int32, size-old)...)
	for i := max(old, 1); i < size; i++ {
		last := b.prev[0]
		b.next[last], b.prev[i], b.next[i], b.prev[0] = int32(i), last, 0, int32(i)
	}
}

// take removes a slot from the ring.
func (b *acBuilder) take(i int32) {
	if i == 0 {
		return
	}
	b.used = max(b.used, i)
	b.next[b.prev[i]], b.prev[b.next[i]] = b.next[i], b.prev[i]
	b.next[i], b.prev[i] = -1, -1
	b.highest = max(b.highest, i)
}

func (b *acBuilder) free(i int32) bool { return i > 0 && b.a.nodes[i].check == 0 }

// place gives the node of r its fail link, outputs and children, which it
// appends to the queue. Nodes come breadth first, so a node's suffixes are
// complete when it is placed.
func (b *acBuilder) place(r acRange, queue []acRange) []acRange {
	a := b.a
	if r.node != 0 {
		if r.parent != 0 {
			a.nodes[r.node].fail = a.step(a.nodes[r.parent].fail, r.code)
		}
		b.output(r)
	}
	lo := r.lo
	for lo < r.hi && len(b.seqs[b.order[lo]]) == r.depth {
		lo++
	}
	var kids []acRange
	for i := lo; i < r.hi; {
		code := b.seqs[b.order[i]][r.depth]
		j := i + 1
		for j < r.hi && b.seqs[b.order[j]][r.depth] == code {
			j++
		}
		kids = append(kids, acRange{parent: r.node, code: code, depth: r.depth + 1, lo: i, hi: j})
		i = j
	}
	if len(kids) == 0 {
		return queue
	}
	base := b.base(kids)
	a.nodes[r.node].base = base
	for _, k := range kids {
		k.node = base + int32(k.code)
		b.take(k.node)
		a.nodes[k.node].check = r.node + 1
		queue = append(queue, k)
	}
	return queue
}

// output chains the sequences that end at r's node before those of its suffix.
func (b *acBuilder) output(r acRange) {
	n := &b.a.nodes[r.node]
	n.out = b.a.nodes[n.fail].out
	for i := r.lo; i < r.hi && len(b.seqs[b.order[i]]) == r.depth; i++ {
		b.a.outs = append(b.a.outs, acOut{value: b.order[i], next: n.out})
		n.out = int32(len(b.a.outs))
	}
}

// base finds a place where all the children fit: for one child the first free
// slot, for several near where the last such node found room, or behind all.
func (b *acBuilder) base(kids []acRange) int32 {
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

func (b *acBuilder) fits(base int32, kids []acRange) bool {
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
