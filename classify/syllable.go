package classify

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed tables/pinyin.txt
var pinyinData string

// syllableTable knows the toneless Mandarin syllables and which of them each
// character is read as. Ids start at 1; 0 is "no syllable".
type syllableTable struct {
	spelling []string // by id
	id       map[string]uint16
	main     codeTable // rune → id of its main reading
	bopomofo map[string]uint16
	longest  int // letters of the longest syllable
}

// syllables is built on first use, from the embedded files only, and never
// changed.
var syllables = sync.OnceValue(buildSyllables)

func buildSyllables() *syllableTable {
	t := &syllableTable{spelling: []string{""}, id: map[string]uint16{}, bopomofo: map[string]uint16{}}
	t.main.pages = make([][256]uint16, 1)
	for line := range strings.Lines(pinyinData) {
		name, chars, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		id := uint16(len(t.spelling))
		t.spelling = append(t.spelling, name)
		t.id[name] = id
		t.longest = max(t.longest, len(name))
		for _, r := range chars {
			p := r >> 8
			if t.main.page[p] == 0 {
				t.main.page[p] = uint8(len(t.main.pages))
				t.main.pages = append(t.main.pages, [256]uint16{})
			}
			t.main.pages[t.main.page[p]][r&0xff] = id
		}
	}
	t.spellBopomofo()
	return t
}

// readings returns the ids of all plausible readings of r, the main one first.
func (t *syllableTable) readings(r rune) []uint16 {
	id := t.main.code(r)
	if id == 0 {
		return nil
	}
	out := []uint16{id}
	for _, s := range foldTables().readings[r] {
		if other, ok := t.id[s]; ok && !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	return out
}

const (
	maxPinyinRun = 40 // letters; a longer run is no disguised term
	maxUnits     = 16
)

// parsePinyin splits a run of Latin letters wholly into syllables, longest
// first, and returns the end of each in ends; count 0 when it cannot be split.
func (t *syllableTable) parsePinyin(run []rune) (ends, ids [maxUnits]uint16, count int) {
	var buf [maxPinyinRun]byte
	if len(run) == 0 || len(run) > maxPinyinRun {
		return ends, ids, 0
	}
	for i, r := range run {
		if r < 'a' || r > 'z' {
			return ends, ids, 0
		}
		buf[i] = byte(r)
	}
	letters := buf[:len(run)]
	// next[i] is the length of the first syllable of the best split from i on:
	// the fewest syllables, and among those the longest first.
	var next, cost [maxPinyinRun + 1]uint8
	for i := len(letters) - 1; i >= 0; i-- {
		cost[i] = 255
		for n := min(t.longest, len(letters)-i); n > 0; n-- {
			rest := cost[i+n]
			if rest == 255 || rest+1 >= cost[i] {
				continue
			}
			if _, ok := t.id[string(letters[i:i+n])]; ok {
				cost[i], next[i] = rest+1, uint8(n)
			}
		}
	}
	if cost[0] == 255 || cost[0] > maxUnits {
		return ends, ids, 0
	}
	for i := 0; i < len(letters); {
		n := int(next[i])
		ids[count] = t.id[string(letters[i:i+n])]
		i += n
		ends[count] = uint16(i)
		count++
	}
	return ends, ids, count
}

// spellBopomofo fills the table of every syllable as written in bopomofo.
func (t *syllableTable) spellBopomofo() {
	initials := map[string]string{"": "", "ㄅ": "b", "ㄆ": "p", "ㄇ": "m", "ㄈ": "f", "ㄉ": "d", "ㄊ": "t", "ㄋ": "n", "ㄌ": "l", "ㄍ": "g", "ㄎ": "k",
		"ㄏ": "h", "ㄐ": "j", "ㄑ": "q", "ㄒ": "x", "ㄓ": "zh", "ㄔ": "ch", "ㄕ": "sh", "ㄖ": "r", "ㄗ": "z", "ㄘ": "c", "ㄙ": "s"}
	// How a final is spelt after an initial, and alone.
	finals := map[string][2]string{"": {"i", ""}, "ㄚ": {"a", "a"}, "ㄛ": {"o", "o"}, "ㄜ": {"e", "e"}, "ㄞ": {"ai", "ai"}, "ㄟ": {"ei", "ei"},
		"ㄠ": {"ao", "ao"}, "ㄡ": {"ou", "ou"}, "ㄢ": {"an", "an"}, "ㄣ": {"en", "en"}, "ㄤ": {"ang", "ang"}, "ㄥ": {"eng", "eng"}, "ㄦ": {"er", "er"},
		"ㄧ": {"i", "yi"}, "ㄧㄚ": {"ia", "ya"}, "ㄧㄛ": {"io", "yo"}, "ㄧㄝ": {"ie", "ye"}, "ㄧㄠ": {"iao", "yao"}, "ㄧㄡ": {"iu", "you"}, "ㄧㄢ": {"ian", "yan"},
		"ㄧㄣ": {"in", "yin"}, "ㄧㄤ": {"iang", "yang"}, "ㄧㄥ": {"ing", "ying"}, "ㄨ": {"u", "wu"}, "ㄨㄚ": {"ua", "wa"}, "ㄨㄛ": {"uo", "wo"}, "ㄨㄞ": {"uai", "wai"},
		"ㄨㄟ": {"ui", "wei"}, "ㄨㄢ": {"uan", "wan"}, "ㄨㄣ": {"un", "wen"}, "ㄨㄤ": {"uang", "wang"}, "ㄨㄥ": {"ong", "weng"}, "ㄩ": {"v", "yu"}, "ㄩㄝ": {"ve", "yue"},
		"ㄩㄢ": {"van", "yuan"}, "ㄩㄣ": {"vn", "yun"}, "ㄩㄥ": {"iong", "yong"}}
	for zi, pi := range initials {
		for zf, spellings := range finals {
			s := pi + spellings[0]
			if pi == "" {
				s = spellings[1]
			}
			if pi == "j" || pi == "q" || pi == "x" {
				s = strings.ReplaceAll(s, "v", "u")
			}
			if id, ok := t.id[s]; ok && zi+zf != "" {
				t.bopomofo[zi+zf] = id
			}
		}
	}
}

// parseBopomofo reads one syllable at the head of run: its id and length; id 0
// when there is none.
func (t *syllableTable) parseBopomofo(run []rune) (id uint16, length int) {
	for n := min(3, len(run)); n > 0; n-- {
		if id, ok := t.bopomofo[string(run[:n])]; ok {
			return id, n
		}
	}
	return 0, 1
}

// unitKind says how a syllable was written.
type unitKind uint8

const (
	unitHan unitKind = iota
	unitPinyin
	unitBopomofo
)

// syllableStream is a text as syllables, with the place of each in
// normalized.runes.
type syllableStream struct {
	ids         []uint16
	kind        []unitKind
	first, last []int32 // indices into runes, last inclusive
	whole       bool    // every unit is a rune of the stream; ids alone is not filled
	n           *normalized
}

func (s *syllableStream) reset(size int) {
	if cap(s.ids) < size {
		s.ids, s.kind = make([]uint16, 0, size), make([]unitKind, 0, size)
		s.first, s.last = make([]int32, 0, size), make([]int32, 0, size)
	}
	s.ids, s.kind, s.first, s.last = s.ids[:0], s.kind[:0], s.first[:0], s.last[:0]
}

func (s *syllableStream) add(id uint16, kind unitKind, first, last int32) {
	s.ids = append(s.ids, id)
	s.kind = append(s.kind, kind)
	s.first = append(s.first, first)
	s.last = append(s.last, last)
}

// unit returns how unit i was written and where.
func (s *syllableStream) unit(i int) (kind unitKind, first, last int32) {
	if s.whole {
		return unitHan, s.n.pos[i], s.n.pos[i]
	}
	return s.kind[i], s.first[i], s.last[i]
}

// read fills s from the content stream of n, which it keeps until the next
// call. A text without Latin letters and bopomofo needs no filling: its units
// are its runes.
func (s *syllableStream) read(t *syllableTable, n *normalized) {
	s.n, s.whole = n, n.seen&(1<<classLatin|1<<classBopomofo) == 0
	if s.whole {
		return
	}
	s.reset(len(n.stream))
	for i := 0; i < len(n.stream); {
		r, p := n.stream[i], n.pos[i]
		switch n.class[p] {
		case classLatin:
			i = s.readLatin(t, n, i)
		case classBopomofo:
			j := i + 1
			for j < len(n.stream) && j < i+3 && n.class[n.pos[j]] == classBopomofo && n.pos[j] == n.pos[j-1]+1 {
				j++
			}
			id, length := t.parseBopomofo(n.stream[i:j])
			s.add(id, unitBopomofo, p, n.pos[i+length-1])
			i += length
		default:
			s.add(t.main.code(r), unitHan, p, p)
			i++
		}
	}
}

// readLatin reads the run of letters at stream index i and returns its end.
func (s *syllableStream) readLatin(t *syllableTable, n *normalized, i int) int {
	p, j := n.pos[i], i+1
	for j < len(n.stream) && n.class[n.pos[j]] == classLatin && n.pos[j] == n.pos[j-1]+1 {
		j++
	}
	ends, ids, count := t.parsePinyin(n.stream[i:j])
	if count == 0 {
		s.add(0, unitPinyin, p, n.pos[j-1])
	}
	from := p
	for k := range count {
		to := p + int32(ends[k])
		s.add(ids[k], unitPinyin, from, to-1)
		from = to
	}
	return j
}
