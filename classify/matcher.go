package classify

import (
	"errors"
	"fmt"
	"slices"
)

// patternFlags say how loosely a pattern may be matched.
type patternFlags uint16

const (
	// patternPhonetic lets homophones, pinyin and bopomofo stand for the
	// pattern's characters. Han patterns of three and more characters have it
	// without asking. Shorter ones never match by homophones alone: asked or
	// not they match 征xin, and asked for also as whole pinyin words of six
	// and more letters (taoxian).
	patternPhonetic patternFlags = 1 << iota
	// patternExact switches homophones, pinyin, halves and reversal off: only
	// folding, separators, filler, repetition and word boundaries apply, and
	// with patternContact the aliases.
	patternExact
	// patternContact expands contact words (加, 微信, 微, qq ...) to their known
	// aliases (➕, v信, 薇, 扣扣 ...), and lets an account name follow at once.
	patternContact
	// patternInitials marks Latin initials of a term (zwcz for 债务重组).
	patternInitials
)

// pattern is one term to look for.
type pattern struct {
	Text  string // as written in the dictionary; folded at build time
	ID    int32  // the caller's, given back in every hit
	Flags patternFlags
}

// hit is one occurrence of a pattern.
type hit struct {
	id                 int32
	start, end         int        // indices into normalized.runes, end exclusive
	origStart, origEnd int        // rune offsets into the original, end exclusive
	evasions           evasionSet // what had to be undone to see it
	gaps               int        // places where something stood between two matched runes
	exact              int        // matched runes that stood there themselves, not as homophone or pinyin
}

// maxPattern is the longest pattern, in folded content runes.
const maxPattern = 64

var errEmptyPattern = errors.New("no letter, digit or ideograph in it")

// variant is one sequence to look for on behalf of a pattern.
type variant struct {
	id       int32
	length   int32
	ev       evasionSet // the disguise this sequence stands for
	text     []rune     // the pattern's own runes (syllable layer only)
	headWord bool       // begins with a Latin letter or digit: no other before it
	tailWord bool       // ends so: no other after it
	account  bool       // but an account name may follow at once
	han      bool       // ideographs only
	mixed    bool       // ideographs and then letters
	named    bool       // and must follow
	ten      bool       // begins with 十 for 加: no number before it
	spelt    bool       // may be written in pinyin letters alone (syllable layer only)
}

// matcher finds all patterns in a normalized text. It is immutable and safe
// for concurrent use, each goroutine with its own matchScratch.
type matcher struct {
	literal layer // over the content stream
	signs   layer // over the content stream with the signs of classAlias in it
	sound   layer // over syllables
}

// layer is a trie and what its values mean.
type layer struct {
	codes    *codeTable // nil: the symbols are codes themselves
	trie     *trie
	variants []variant
}

// matchScratch holds the buffers of one goroutine's scans.
type matchScratch struct {
	stream      []rune
	first, last []int32
	syllables   syllableStream
	trie        trieScratch
}

// buildMatcher compiles the patterns. It names the first one that can never
// match: an empty one, or one longer than maxPattern.
func buildMatcher(patterns []pattern) (*matcher, error) {
	x := newExpander()
	var n normalized
	folded := make([][]rune, len(patterns))
	for i, p := range patterns {
		normalize(p.Text, &n)
		switch {
		case len(n.stream) == 0:
			return nil, fmt.Errorf("compiling pattern %q: %w", p.Text, errEmptyPattern)
		case len(n.stream) > maxPattern:
			return nil, fmt.Errorf("compiling pattern %q: longer than %d characters", p.Text, maxPattern)
		}
		folded[i] = slices.Clone(n.stream)
		x.explicit[string(folded[i])] = true
	}
	for i, p := range patterns {
		x.expand(p, folded[i])
	}
	m := &matcher{}
	for _, l := range [...]struct {
		to    *layer
		texts [][]rune
		vars  []variant
	}{{&m.literal, x.texts, x.variants}, {&m.signs, x.signTexts, x.signVariants}} {
		codes, ok := newCodeTable(l.texts)
		if !ok {
			return nil, errors.New("compiling patterns: more than 65,534 different characters")
		}
		*l.to = layer{codes: codes, trie: buildTrie(codes.encode(l.texts), codes.symbols()), variants: l.vars}
	}
	m.sound = layer{trie: buildTrie(x.soundSeqs, len(x.syl.spelling)), variants: x.soundVariants}
	return m, nil
}

// scan calls found for every occurrence of every pattern in n, in no
// particular order; occurrences may overlap. veto tells whether some characters are an
// ordinary word: a homophone that belongs to one is no disguise. It may be nil.
func (m *matcher) scan(n *normalized, sc *matchScratch, veto func([]rune) bool, found func(hit)) {
	doubled := m.scanLiteral(n, sc, found)
	if n.has(classAlias) && len(m.signs.variants) > 0 {
		m.scanSigns(n, sc, found)
	}
	if n.has(classHan) && n.seen&(1<<classLatin|1<<classDigit) != 0 && interleaved(n) {
		m.scanFilled(n, sc, found)
	}
	if doubled >= 2 {
		m.scanCollapsed(n, sc, found)
	}
	if len(m.sound.variants) > 0 {
		m.scanSound(n, sc, veto, found)
	}
}

// scanLiteral looks for patterns in the content stream. It returns how many
// runes repeat the one before.
func (m *matcher) scanLiteral(n *normalized, sc *matchScratch, found func(hit)) (doubled int) {
	l, prev := &m.literal, rune(-1)
	codes := sc.trie.room(len(n.stream))
	for i, r := range n.stream {
		if r == prev {
			doubled++
		}
		prev = r
		codes[i] = l.codes.code(r)
	}
	l.trie.find(&sc.trie, func(start, end int, value int32) {
		p := n.pos[start:end]
		if h, ok := verify(n, &l.variants[value], p, p, modePlain); ok {
			found(h)
		}
	})
	return doubled
}

// run looks for the layer's patterns in sc.stream.
func (l *layer) run(sc *matchScratch, found func(start, end int, v *variant)) {
	codes := sc.trie.room(len(sc.stream))
	for i, r := range sc.stream {
		codes[i] = l.codes.code(r)
	}
	l.trie.find(&sc.trie, func(start, end int, value int32) { found(start, end, &l.variants[value]) })
}

// scanSigns looks for patterns in which a sign stands for a contact word.
func (m *matcher) scanSigns(n *normalized, sc *matchScratch, found func(hit)) {
	sc.stream, sc.first = sc.stream[:0], sc.first[:0]
	for i, c := range n.class {
		if c.content() || c == classAlias {
			sc.stream = append(sc.stream, n.runes[i])
			sc.first = append(sc.first, int32(i))
		}
	}
	m.signs.run(sc, func(start, end int, v *variant) {
		p := sc.first[start:end]
		if h, ok := verify(n, v, p, p, modePlain); ok {
			found(h)
		}
	})
}

// interleaved reports whether single ideographs with one or two letters or
// digits between them occur at least twice: 停1息a挂.
func interleaved(n *normalized) bool {
	count, filler, seenHan := 0, 0, false
	for i := range n.stream {
		if n.class[n.pos[i]] != classHan {
			filler++
			continue
		}
		if seenHan && filler >= 1 && filler <= 2 {
			count++
			if count == 2 {
				return true
			}
		} else if filler > 0 {
			count = 0
		}
		seenHan, filler = true, 0
	}
	return false
}

// scanFilled looks at the ideographs alone.
func (m *matcher) scanFilled(n *normalized, sc *matchScratch, found func(hit)) {
	sc.stream, sc.first = sc.stream[:0], sc.first[:0]
	for i, r := range n.stream {
		if n.class[n.pos[i]] == classHan {
			sc.stream = append(sc.stream, r)
			sc.first = append(sc.first, n.pos[i])
		}
	}
	m.literal.run(sc, func(start, end int, v *variant) {
		p := sc.first[start:end]
		if h, ok := verify(n, v, p, p, modeFilled); ok {
			found(h)
		}
	})
}

// scanCollapsed looks at the content with runes that follow themselves at once
// taken once.
func (m *matcher) scanCollapsed(n *normalized, sc *matchScratch, found func(hit)) {
	sc.stream, sc.first, sc.last = sc.stream[:0], sc.first[:0], sc.last[:0]
	for i, r := range n.stream {
		if k := len(sc.stream); k > 0 && sc.stream[k-1] == r && n.pos[i] == sc.last[k-1]+1 {
			sc.last[k-1] = n.pos[i]
			continue
		}
		sc.stream = append(sc.stream, r)
		sc.first = append(sc.first, n.pos[i])
		sc.last = append(sc.last, n.pos[i])
	}
	m.literal.run(sc, func(start, end int, v *variant) {
		if h, ok := verify(n, v, sc.first[start:end], sc.last[start:end], modeCollapsed); ok {
			found(h)
		}
	})
}

// scanSound looks at the text as syllables.
func (m *matcher) scanSound(n *normalized, sc *matchScratch, veto func([]rune) bool, found func(hit)) {
	sy, t := &sc.syllables, syllables()
	sy.read(t, n)
	l := &m.sound
	if sy.whole {
		codes := sc.trie.room(len(n.stream))
		for i, r := range n.stream {
			codes[i] = t.main.code(r)
		}
	} else {
		copy(sc.trie.room(len(sy.ids)), sy.ids)
	}
	l.trie.find(&sc.trie, func(start, end int, value int32) {
		v := &l.variants[value]
		if v.length == 2 && sy.whole {
			return // two ideographs never match by sound alone
		}
		if h, ok := verifySound(n, sy, v, start, veto); ok {
			found(h)
		}
	})
}
