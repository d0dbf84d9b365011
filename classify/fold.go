package classify

import (
	_ "embed"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

//go:embed tables/fold.txt
var foldData string

//go:embed tables/handmade.txt
var handmadeData string

// evasionSet is a set of evasions, one bit each in the order of evasionNames.
// The bits from gapShift on say the same of what was dropped just before a
// rune: they count only when the rune is not the first of a match.
type evasionSet uint32

const (
	evFullwidth evasionSet = 1 << iota
	evStyled
	evTraditional
	evZeroWidth
	evCombining
	evCompat
	evHomoglyph
	evSeparators
	evFiller
	evEmoji
	evVertical
	evRepeated
	evHTML
	evHidden
	evReversed
	evSplit
	evHomophone
	evLookalike
	evPinyin
	evInitials
	evMars
	evBopomofo
	evUpsideDown
	evDigits
	gapZeroWidth
	gapHTML
	gapHidden

	evNames evasionSet = 1<<24 - 1
)

var evasionNames = [...]Evasion{
	EvasionFullwidth, EvasionStyled, EvasionTraditional, EvasionZeroWidth, EvasionCombining, EvasionCompat,
	EvasionHomoglyph, EvasionSeparators, EvasionFiller, EvasionEmoji, EvasionVertical, EvasionRepeated,
	EvasionHTML, EvasionHidden, EvasionReversed, EvasionSplit, EvasionHomophone, EvasionLookalike, EvasionPinyin,
	EvasionInitials, EvasionMars, EvasionBopomofo, EvasionUpsideDown, EvasionDigits,
}

// names lists the set as sorted names; never nil.
func (s evasionSet) names() []Evasion {
	out := make([]Evasion, 0, bits.OnesCount32(uint32(s&evNames)))
	for i, name := range evasionNames {
		if s&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// closeGaps turns gap bits into the evasions they stand for.
func (s evasionSet) closeGaps() evasionSet {
	out := s & evNames
	if s&gapZeroWidth != 0 {
		out |= evZeroWidth
	}
	if s&gapHTML != 0 {
		out |= evHTML
	}
	if s&gapHidden != 0 {
		out |= evHidden
	}
	return out
}

// class sorts folded runes by what they can do to a match. Classes from
// classSpace on are skipped between the runes of a term.
type class uint8

const (
	classOther    class = iota // letters of other scripts
	classHan                   // ideographs
	classLatin                 // a-z and other Latin letters
	classDigit                 // 0-9
	classBopomofo              // ㄅ ...
	classSpace                 // space and tab
	classNewline               //
	classClause                // ， 。 ； and brackets: a term does not run across
	classSymbol                // other punctuation and symbols
	classEmoji                 //
	classAlias                 // symbols that may stand for a contact word: ❤ + √

	// The classes below never appear in a normalized text: they ask the fold
	// loop for special treatment.
	foldDrop      // zero-width, bidi, variation selectors, controls
	foldCombining // marks upon the rune before
	foldExpand    // becomes several runes
	foldHTML      // & and <
	foldForeign   // may be a homoglyph or a turned letter
	foldRadical   // may join with its neighbour
)

// content reports whether runes of class c can be part of a term.
func (c class) content() bool { return c < classSpace }

// foldEntry packs the folded rune (21 bits), the class (5) and the index of
// the evasion undone (6).
type foldEntry uint32

func packFold(r rune, c class, ev uint32) foldEntry {
	return foldEntry(uint32(r) | uint32(c)<<21 | ev<<26)
}
func (e foldEntry) rune() rune   { return rune(e & (1<<21 - 1)) }
func (e foldEntry) class() class { return class(e >> 21 & 31) }
func (e foldEntry) ev() uint32   { return uint32(e >> 26) }

// foldTable maps every rune to its folded form, in pages of 256.
type foldTable struct {
	page      [0x1100]uint16
	pages     [][256]foldEntry
	evs       []evasionSet // by foldEntry.ev
	expand    map[rune][]rune
	homoglyph map[rune]rune
	loose     map[rune]bool // homoglyphs that need a Latin letter beside them
	turned    map[rune]rune
	split     map[[2]rune]rune
	softSplit map[rune][][2]rune
	confused  map[rune][]rune // what is taken for a character
	readings  map[rune][]string
}

func (t *foldTable) entry(r rune) foldEntry { return t.pages[t.page[r>>8]][r&0xff] }

// foldTables is built on first use, from the embedded files only, and never
// changed.
var foldTables = sync.OnceValue(buildFoldTable)

// tableSection calls f for each item of a named section of a table file.
func tableSection(data, name string, f func(src rune, dst []rune)) {
	inside := false
	for line := range strings.Lines(data) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			inside = line == "["+name+"]"
		case inside:
			for item := range strings.FieldsSeq(line) {
				r := []rune(item)
				if len(r) > 1 {
					f(r[0], r[1:])
				}
			}
		}
	}
}

type rawFold struct {
	dst []rune
	ev  evasionSet
}

// foldSections are applied in this order; a later section overrides.
var foldSections = [...]struct {
	name string
	ev   evasionSet
}{
	{"plain", 0}, {"fullwidth", evFullwidth}, {"styled", evStyled}, {"marks", evCombining}, {"digits", evDigits},
	{"compat", evCompat}, {"traditional", evTraditional}, {"mars", evMars}, {"lookalike", evLookalike}, {"alias", 0},
}

func readFolds() map[rune]rawFold {
	raw := make(map[rune]rawFold, 8192)
	for r := rune(0x1f150); r <= 0x1f189; r++ { // negative circled and squared letters
		if i := (r - 0x1f150) % 32; i < 26 {
			raw[r] = rawFold{[]rune{'a' + i}, evStyled}
		}
	}
	for r := rune('A'); r <= 'Z'; r++ {
		raw[r] = rawFold{[]rune{r + 32}, 0}
	}
	for _, s := range foldSections {
		for _, data := range [...]string{foldData, handmadeData} {
			tableSection(data, s.name, func(src rune, dst []rune) {
				if len(dst) != 1 || dst[0] != src {
					raw[src] = rawFold{dst, s.ev}
				}
			})
		}
	}
	raw['&'], raw['<'] = rawFold{[]rune{'＆'}, 0}, rawFold{[]rune{'＜'}, 0}
	return raw
}

// resolve follows a folding to its end: 復 (compatibility) → 復 → 复.
func resolve(raw map[rune]rawFold, r rune) ([]rune, evasionSet) {
	out, ev := []rune{r}, evasionSet(0)
	if r >= 0x2e80 && r <= 0x2fdf {
		ev = evCompat
	}
	for range 8 {
		changed := false
		var next []rune
		for _, c := range out {
			f, ok := raw[c]
			if !ok {
				next = append(next, c)
				continue
			}
			changed, next = true, append(next, f.dst...)
			if r < 0x2e80 || r > 0x2fdf { // a radical is one disguise, whatever it looks like
				ev |= f.ev
			}
		}
		if out = next; !changed {
			break
		}
	}
	return out, ev
}

func buildFoldTable() *foldTable {
	t := &foldTable{
		evs: []evasionSet{0}, expand: map[rune][]rune{}, homoglyph: map[rune]rune{}, turned: map[rune]rune{},
		split: map[[2]rune]rune{}, softSplit: map[rune][][2]rune{}, readings: map[rune][]string{},
	}
	raw := readFolds()
	tableSection(handmadeData, "homoglyph", func(s rune, d []rune) { t.homoglyph[s] = unicode.ToLower(d[0]) })
	t.loose = map[rune]bool{}
	tableSection(handmadeData, "homoglyph_loose", func(s rune, d []rune) {
		t.homoglyph[s], t.loose[s] = unicode.ToLower(d[0]), true
	})
	tableSection(handmadeData, "turned", func(s rune, d []rune) { t.turned[s] = d[0] })
	radicals := map[rune]bool{}
	const bound = "亻讠氵扌忄钅饣纟艹宀冫刂阝犭礻衤疒辶彳攵罒卩灬丩"
	tableSection(handmadeData, "split", func(s rune, d []rune) {
		t.split[[2]rune{s, d[0]}] = d[1]
		for _, r := range [...]rune{s, d[0]} {
			if strings.ContainsRune(bound, r) {
				radicals[r] = true
			}
		}
	})
	tableSection(handmadeData, "softsplit", func(s rune, d []rune) { t.softSplit[d[1]] = append(t.softSplit[d[1]], [2]rune{s, d[0]}) })
	t.confused = map[rune][]rune{}
	tableSection(handmadeData, "confusable", func(s rune, d []rune) { t.confused[d[0]] = append(t.confused[d[0]], s) })
	tableSection(handmadeData, "readings", func(s rune, d []rune) { t.readings[s] = append(t.readings[s], string(d)) })
	alias := map[rune]bool{}
	tableSection(handmadeData, "alias", func(_ rune, d []rune) { alias[d[0]] = true })
	t.fill(raw, radicals, alias)
	return t
}

// fill makes the pages. Ranges of one kind are not asked about rune by rune.
func (t *foldTable) fill(raw map[rune]rawFold, radicals, alias map[rune]bool) {
	seen := map[[256]foldEntry]uint16{}
	for p := range rune(0x1100) {
		var b [256]foldEntry
		for i := range rune(256) {
			r := p<<8 | i
			_, mapped := raw[r]
			switch {
			case mapped:
				b[i] = t.makeEntry(r, raw, radicals, alias)
			case r >= 0x20000 && r <= 0x323af || r >= 0x4e00 && r <= 0x9fff && !radicals[r]:
				b[i] = packFold(r, classHan, 0)
			case r >= 0xac00 && r <= 0xd7a3 || r >= 0x12000 && r <= 0x18fff:
				b[i] = packFold(r, classOther, 0)
			case r >= 0xd800 && r <= 0xf8ff || r > 0x323af && r < 0xe0000 || r >= 0xe0200:
				b[i] = packFold(r, classSymbol, 0)
			default:
				b[i] = t.makeEntry(r, raw, radicals, alias)
			}
		}
		n, ok := seen[b]
		if !ok {
			n = uint16(len(t.pages))
			seen[b] = n
			t.pages = append(t.pages, b)
		}
		t.page[p] = n
	}
}

func (t *foldTable) makeEntry(r rune, raw map[rune]rawFold, radicals, alias map[rune]bool) foldEntry {
	if r == '&' || r == '<' {
		return packFold(r, foldHTML, 0)
	}
	d, ev := r, evasionSet(0)
	var dst []rune
	if _, ok := raw[r]; ok {
		dst, ev = resolve(raw, r)
		d = dst[0]
	}
	if len(dst) <= 1 && alias[d] && isEmoji(r) {
		ev |= evEmoji
	}
	n := slices.Index(t.evs, ev)
	if n < 0 {
		n = len(t.evs)
		t.evs = append(t.evs, ev)
	}
	if len(dst) > 1 {
		t.expand[r] = dst
		return packFold(r, foldExpand, uint32(n))
	}
	c := classOf(d)
	_, isTurned := t.turned[d]
	switch {
	case alias[d]:
		c = classAlias
	case radicals[d]:
		c = foldRadical
	case t.homoglyph[d] != 0 || isTurned && d > 0x7f:
		c = foldForeign
	}
	if c == classNewline {
		d = '\n'
	}
	if c == classSpace {
		d = ' '
	}
	return packFold(d, c, uint32(n))
}

// classOf sorts a folded rune.
func classOf(r rune) class {
	switch {
	case r >= 'a' && r <= 'z':
		return classLatin
	case r >= '0' && r <= '9':
		return classDigit
	case r == '\n' || r == '\r' || r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029:
		return classNewline
	case r == '\t' || r == 0x2800 || unicode.Is(unicode.Zs, r):
		return classSpace
	case strings.ContainsRune(",。、;:!?…()〈〉《》[]{}「」『』．", r) && r != utf8.RuneError:
		return classClause
	case r == 0x3007 || r == 0x3005 || unicode.Is(unicode.Han, r) && r >= 0x3400:
		return classHan
	case r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x17b4 || r == 0x17b5:
		return foldDrop
	case unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r):
		return foldDrop
	case unicode.Is(unicode.M, r):
		return foldCombining
	case unicode.Is(unicode.Bopomofo, r) && unicode.IsLetter(r):
		return classBopomofo
	case unicode.Is(unicode.Lm, r) && r >= 0x2b0 && r <= 0x2ff: // tone marks of bopomofo and pinyin
		return classSymbol
	case unicode.Is(unicode.Latin, r):
		return classLatin
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		return classOther
	case isEmoji(r):
		return classEmoji
	}
	return classSymbol
}

func isEmoji(r rune) bool {
	return r >= 0x1f000 && r <= 0x1faff || r >= 0x2600 && r <= 0x27bf || r >= 0x2b00 && r <= 0x2bff || r >= 0x2300 && r <= 0x23ff
}
