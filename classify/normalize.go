package classify

import (
	"unicode/utf8"
)

// normalized is a text with its disguises undone rune by rune, with the way
// back to the characters as published. It is owned and reused by one goroutine;
// normalize overwrites it.
//
// Folding covers width, case, letter styles, traditional and variant
// characters, radicals, look-alike letters, marks, invisible characters and
// markup. It never decides that a character stands for another word: that is
// the matcher's business. Folding what has been folded changes nothing. To
// keep that true a folded text holds ＆ for & and ＜ for <.
type normalized struct {
	runes      []rune       // folded
	start, end []int32      // the rune offsets in the original that each covers, end exclusive
	class      []class      //
	ev         []evasionSet // what was undone at each rune

	stream []rune  // the content runes in order: what a term is matched against
	pos    []int32 // for each rune of stream its index in runes

	seen    uint32  // bit set of the classes that occurred
	hidden  []int32 // pairs of original rune offsets between which nothing is displayed
	scanned bool    // an unclosed comment was met: search for no other
}

func (n *normalized) has(c class) bool { return n.seen&(1<<c) != 0 }

// origin returns the rune range of the original that runes [from, to) cover.
func (n *normalized) origin(from, to int) (start, end int) {
	if from >= to {
		return 0, 0
	}
	lo, hi := n.start[from], n.end[from]
	for i := from + 1; i < to; i++ {
		lo, hi = min(lo, n.start[i]), max(hi, n.end[i])
	}
	return int(lo), int(hi)
}

// normalize folds s into n, whose storage is reused. It takes time linear in
// the length of s and accepts any bytes; each invalid byte counts as one rune.
func normalize(s string, n *normalized) {
	t := foldTables()
	n.reset(len(s)/3 + 1) // most posts are mostly ideographs; fold makes more room when not
	n.fold(t, s)
	if len(n.hidden) > 0 {
		n.markHidden()
	}
	if n.seen&(1<<foldForeign|1<<foldRadical) != 0 {
		n.inContext(t)
		n.restream()
	}
}

func (n *normalized) reset(runes int) {
	n.seen, n.scanned, n.hidden = 0, false, n.hidden[:0]
	n.resize(0)
	n.ensure(runes + 8)
	n.stream, n.pos = n.stream[:0], n.pos[:0]
}

func (n *normalized) resize(k int) {
	n.runes, n.start, n.end, n.class, n.ev = n.runes[:k], n.start[:k], n.end[:k], n.class[:k], n.ev[:k]
}

// ensure makes room for k runes in all, keeping what is there.
func (n *normalized) ensure(k int) {
	if cap(n.runes) >= k && cap(n.pos) >= k {
		return
	}
	size := max(k, 2*cap(n.runes), 256)
	n.runes = append(make([]rune, 0, size), n.runes...)
	n.start = append(make([]int32, 0, size), n.start...)
	n.end = append(make([]int32, 0, size), n.end...)
	n.class = append(make([]class, 0, size), n.class...)
	n.ev = append(make([]evasionSet, 0, size), n.ev...)
	n.stream = append(make([]rune, 0, size), n.stream...)
	n.pos = append(make([]int32, 0, size), n.pos...)
}

// fold is the single pass over the bytes. The common characters take the short
// way: one table look-up, one store each; the rest goes to special.
func (n *normalized) fold(t *foldTable, s string) {
	size := cap(n.runes)
	n.resize(size)
	runes, start, end, cls, ev := n.runes[:size], n.start[:size], n.end[:size], n.class[:size], n.ev[:size]
	stream, pos := n.stream[:size], n.pos[:size]
	seen, k, j, at := uint32(0), 0, 0, int32(0)
	var pending evasionSet
	for i := 0; i < len(s); {
		r, w := rune(s[i]), 1
		switch {
		case r < utf8.RuneSelf:
		case r > 0xe0 && r < 0xf0 && r != 0xed && i+2 < len(s) && s[i+1]&0xc0 == 0x80 && s[i+2]&0xc0 == 0x80:
			r, w = r&0xf<<12|rune(s[i+1]&0x3f)<<6|rune(s[i+2]&0x3f), 3
		default:
			r, w = utf8.DecodeRuneInString(s[i:])
		}
		e := t.pages[t.page[uint32(r)>>8]][r&0xff]
		c := e.class()
		if c < foldDrop && k < size {
			f := e.rune()
			runes[k], start[k], end[k], cls[k], ev[k] = f, at, at+1, c, t.evs[e.ev()]|pending
			seen |= 1 << c
			if c < classSpace {
				stream[j], pos[j] = f, int32(k)
				j++
			}
			pending = 0
			k++
			i += w
			at++
			continue
		}
		n.resize(k)
		n.stream, n.pos, n.seen = stream[:j], pos[:j], seen
		consumed, gap := n.special(t, s, i, w, r, e, at, pending)
		at += int32(utf8.RuneCountInString(s[i : i+consumed]))
		i += consumed
		pending = gap
		k, j, seen = len(n.runes), len(n.stream), n.seen
		n.ensure(k + 8)
		size = cap(n.runes)
		n.resize(size)
		runes, start, end, cls, ev = n.runes[:size], n.start[:size], n.end[:size], n.class[:size], n.ev[:size]
		stream, pos = n.stream[:size], n.pos[:size]
	}
	n.resize(k)
	n.stream, n.pos, n.seen = stream[:j], pos[:j], seen
}

// push appends one folded rune that covers [from, to) of the original.
func (n *normalized) push(r rune, c class, ev evasionSet, from, to int32) {
	n.ensure(len(n.runes) + 1)
	if c.content() || c == foldForeign || c == foldRadical {
		n.stream = append(n.stream, r)
		n.pos = append(n.pos, int32(len(n.runes)))
	}
	n.runes = append(n.runes, r)
	n.start = append(n.start, from)
	n.end = append(n.end, to)
	n.class = append(n.class, c)
	n.ev = append(n.ev, ev)
	n.seen |= 1 << c
}

// pushRune folds r, which stands for the original's [from, to), and pushes
// what comes out; it reports false for a rune that is dropped.
func (n *normalized) pushRune(t *foldTable, r rune, ev evasionSet, from, to int32) bool {
	e := t.entry(r)
	switch c := e.class(); c {
	case foldDrop, foldCombining:
		return false
	case foldHTML:
		n.push(e.rune()+0xfee0, classSymbol, ev, from, to) // ＆ and ＜
	case foldExpand:
		for i, d := range t.expand[r] {
			if i > 0 {
				ev &= evNames // what stood before stands before the first only
			}
			n.push(d, t.entry(d).class(), ev|t.evs[e.ev()], from, to)
		}
	default:
		n.push(e.rune(), c, ev|t.evs[e.ev()], from, to)
	}
	return true
}

// special handles the rune r at s[i:] that the short way cannot. It returns
// the bytes consumed and the gap bits for the next rune.
func (n *normalized) special(t *foldTable, s string, i, w int, r rune, e foldEntry, at int32, pending evasionSet) (int, evasionSet) {
	last := len(n.runes) - 1
	switch e.class() {
	case foldDrop:
		if last >= 0 && (r == 0xfe0f || r == 0xfe0e || r == 0x200d) && (!n.class[last].content() || n.class[last] == classDigit) {
			n.end[last] = max(n.end[last], at+1) // part of an emoji or a keycap
			return w, pending
		}
		return w, pending | gapZeroWidth
	case foldCombining:
		if last < 0 || n.end[last] != at {
			return w, pending | gapZeroWidth
		}
		n.end[last] = at + 1
		switch c := n.class[last]; {
		case r == 0x20e3 && c == classDigit:
			n.ev[last] |= evDigits
		case c.content() || c == foldForeign || c == foldRadical:
			n.ev[last] |= evCombining
		}
		return w, pending
	case foldHTML:
		m := parseMarkup(s[i:], &n.scanned)
		if m.width == 0 {
			break
		}
		to := at + int32(utf8.RuneCountInString(s[i:i+m.width]))
		for _, d := range m.runes[:m.count] {
			if n.pushRune(t, d, pending|evHTML, at, to) {
				pending = 0
			}
		}
		if m.hidden > 0 {
			n.hidden = append(n.hidden, to, to+int32(utf8.RuneCountInString(s[i+m.width:i+m.width+m.hidden])))
		}
		if m.newline {
			n.push('\n', classNewline, pending, at, to)
			pending = 0
		}
		return m.width, pending | m.gap
	}
	n.pushRune(t, r, pending, at, at+1)
	return w, 0
}

// markHidden marks the runes that nobody sees.
func (n *normalized) markHidden() {
	k := 0
	for i, at := range n.start {
		for k+2 < len(n.hidden) && at >= n.hidden[k+1] {
			k += 2
		}
		if at >= n.hidden[k] && at < n.hidden[k+1] {
			n.ev[i] |= evHidden
		}
	}
}

// restream rebuilds the content stream after the runes have changed.
func (n *normalized) restream() {
	n.stream, n.pos = n.stream[:0], n.pos[:0]
	n.seen = 0
	for i, c := range n.class {
		n.seen |= 1 << c
		if c.content() {
			n.stream = append(n.stream, n.runes[i])
			n.pos = append(n.pos, int32(i))
		}
	}
}
