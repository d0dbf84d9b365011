package classify

import "strings"

// runeTrait says in one look what the extractor may find at a character, so
// that it passes over the others.
type runeTrait uint16

const (
	traitWord    runeTrait = 1 << iota // a-z, 0-9, _ and -
	traitNumeral                       // reads as a digit, if in disguise
	traitPlain                         // means a digit by itself
	traitCount                         // stands in a Chinese or Arabic number
	traitCue                           // begins a cue word
	traitFirm                          // begins the ending of a firm's name
	traitAt                            // @, or begins a word for it
	traitTurn                          // begins a word for reading backwards
	traitShow                          // in the name of a platform where people show themselves in Han

	valueShift = 12 // the value of a numeral stands above the traits
)

// entityTraits is the table of the traits of the Basic Multilingual Plane;
// the characters beyond begin nothing but cue words.
type entityTraits struct {
	table [1 << 16]runeTrait
	cues  [256][]cue // by cueSlot of the first character, longest first
}

// cue is a cue word with its text as characters.
type cue struct {
	cueWord
	runes []rune
}

// traits is built once and never changed.
var traits = buildTraits()

const plainNumerals = "零〇一壹幺二贰两三叁四肆五伍六陆七柒八捌九玖"

const countNumerals = "一二三四五六七八九十百千两几"

func buildTraits() *entityTraits {
	t := &entityTraits{}
	mark := func(r rune, trait runeTrait) { t.table[r] |= trait }
	for r := range rune(128) {
		if isASCIIWord(r) {
			mark(r, traitWord)
		}
		if isDigit(r) {
			mark(r, traitNumeral|traitPlain|traitCount|runeTrait(r-'0')<<valueShift)
		}
	}
	for _, r := range "@#艾圈([" {
		mark(r, traitAt)
	}
	for _, r := range "倒反逆镜颠从右后末尾往" {
		mark(r, traitTurn)
	}
	for _, r := range "博脖" {
		mark(r, traitShow)
	}
	for r, digit := range digitOf {
		if !isLatin(r) {
			mark(r, traitNumeral|runeTrait(digit-'0')<<valueShift)
		}
	}
	for _, r := range plainNumerals {
		mark(r, traitPlain)
	}
	for _, r := range countNumerals {
		mark(r, traitCount)
	}
	for _, word := range cueWords {
		c := cue{word, []rune(word.text)}
		first := c.runes[0]
		t.cues[cueSlot(first)] = append(t.cues[cueSlot(first)], c)
		mark(first&0xffff, traitCue)
	}
	for _, s := range companySuffixes {
		for _, r := range s {
			mark(r, traitFirm)
			break
		}
	}
	return t
}

// of returns the traits of r.
func (t *entityTraits) of(r rune) runeTrait {
	if uint32(r) < uint32(len(t.table)) {
		return t.table[r]
	}
	return t.table[r&0xffff] & traitCue
}

func cueSlot(r rune) uint8 { return uint8(uint32(r) * 0x9e3779b1 >> 24) }

// cuesAt lists the cue words that may begin with r, the longest that do first.
func (t *entityTraits) cuesAt(r rune) []cue {
	if t.of(r)&traitCue == 0 {
		return nil
	}
	return t.cues[cueSlot(r)]
}

// plainNumeral reports whether r means a digit by itself; a disguised number
// must consist mostly of these.
func plainNumeral(r rune) bool { return traits.of(r)&traitPlain != 0 }

// containsRune is strings.ContainsRune for a character that may be the 0 of a
// place outside the text.
func containsRune(set string, r rune) bool { return r != 0 && strings.ContainsRune(set, r) }
