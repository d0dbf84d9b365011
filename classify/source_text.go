package classify

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// sourceText is a text as published, for looking up its runes by number.
type sourceText struct {
	text    string
	at      []int32 // byte offset of each rune, and the length
	invalid bool    // some bytes are no UTF-8
}

// read takes a text. Its buffer is reused.
func (s *sourceText) read(text string) {
	s.text, s.invalid = text, false
	at := slices.Grow(s.at[:0], len(text)+1)[:len(text)+1]
	k := 0
	for i := 0; i < len(text); k++ {
		at[k] = int32(i)
		switch c := text[i]; {
		case c < utf8.RuneSelf:
			i++
		case c > 0xe0 && c < 0xf0 && c != 0xed && i+2 < len(text) && text[i+1]&0xc0 == 0x80 && text[i+2]&0xc0 == 0x80:
			i += 3 // most ideographs
		default:
			r, size := utf8.DecodeRuneInString(text[i:])
			s.invalid = s.invalid || r == utf8.RuneError && size == 1
			i += size
		}
	}
	at[k] = int32(len(text))
	s.at = at[:k+1]
}

// maxShared is the largest text, in bytes, that its own pieces may keep in
// memory; pieces of a larger one are copied.
const maxShared = 4 << 10

// slice returns the runes [start, end), each invalid byte as U+FFFD.
func (s *sourceText) slice(start, end int) string {
	piece := s.text[s.at[start]:s.at[end]]
	if s.invalid {
		return string([]rune(piece))
	}
	if len(s.text) > maxShared {
		return strings.Clone(piece)
	}
	return piece
}
