package classify

import (
	"slices"
	"strings"
	"unicode"
)

// wordings are the texts a dictionary knows.
type wordings struct {
	terms    map[string]bool // of all categories, normalised
	longest  int             // of them, in runes
	literals map[string]bool // of classes, rules and cues, normalised
}

func knownWordings(d *Dictionary) wordings {
	k := wordings{terms: map[string]bool{}, literals: map[string]bool{}}
	for _, c := range d.Categories {
		for _, t := range c.Terms {
			for _, text := range slices.Concat([]string{t.Text}, t.Variants, t.Initials) {
				n := Normalize(text)
				k.terms[n] = true
				k.longest = max(k.longest, len([]rune(n)))
			}
		}
	}
	for _, c := range d.classes {
		for _, text := range c.Any {
			k.literals[Normalize(text)] = true
		}
	}
	for _, w := range cueWords {
		k.literals[Normalize(w.text)] = true // introduces a contact
	}
	for _, r := range d.rules {
		for _, op := range slices.Concat(r.Any, r.All, r.None) {
			if !strings.ContainsAny(op[:1], "$#@*") {
				k.literals[Normalize(op)] = true
			}
		}
	}
	return k
}

// clause is a stretch of text without a break, with what the dictionary knows
// cut out.
type clause struct {
	Text  string `json:"n"` // normalised
	Start int    `json:"b"` // of the stretch, in runes of the published text
	End   int    `json:"e"`
}

// clauses cuts a text at everything that is no letter, digit or ideograph.
// Characters that stand alone between such breaks are read together: they are
// a word written 停.息.挂.账.
func (k wordings) clauses(text []rune) []clause {
	var parts []clause
	start := -1
	for i := 0; i <= len(text); i++ {
		if i < len(text) && (unicode.IsLetter(text[i]) || unicode.IsDigit(text[i]) || unicode.In(text[i], unicode.Mn, unicode.Cf)) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start < 0 {
			continue
		}
		p := clause{Start: start, End: i}
		start = -1
		if last := len(parts) - 1; last >= 0 && spaced(parts[last], p, text) {
			parts[last].End, parts[last].Text = p.End, spacedOut
			continue
		}
		parts = append(parts, p)
	}
	var out []clause
	for _, p := range parts {
		out = k.cut(out, []rune(Normalize(string(text[p.Start:p.End]))), p)
	}
	return out
}

func (c clause) single() bool { return c.End-c.Start == 1 }

// spacedOut marks a stretch that has been put together.
const spacedOut = "spaced out"

// spaced reports whether b goes on where a ends, with a sign or two between
// them: both are single characters, or one is and the sign is none that ends a
// clause.
func spaced(a, b clause, text []rune) bool {
	one := a.single() || a.Text == spacedOut
	if b.Start-a.End > 2 || !one && !b.single() {
		return false
	}
	return one && b.single() || !slices.ContainsFunc(text[a.End:b.Start], func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("，。！？；：、,!?;:…（）()“”\"", r)
	})
}

// cut appends what is left of a stretch when known terms, longest first, and
// numbers of three digits and more are taken out.
func (k wordings) cut(out []clause, text []rune, at clause) []clause {
	from := 0
	flush := func(to int) {
		if to-from >= 2 {
			out = append(out, clause{string(text[from:to]), at.Start, at.End})
		}
	}
	for i := 0; i < len(text); {
		n := k.termAt(text[i:])
		if n == 0 {
			for i+n < len(text) && unicode.IsDigit(text[i+n]) {
				n++
			}
			if n < 3 {
				i++
				continue
			}
		}
		flush(i)
		i += n
		from = i
	}
	flush(len(text))
	return out
}

// termAt is the length of the longest term that text begins with; 0 for none.
func (k wordings) termAt(text []rune) int {
	for n := min(k.longest, len(text)); n > 1; n-- {
		if k.terms[string(text[:n])] {
			return n
		}
	}
	return 0
}

// units are the smallest parts of a wording: an ideograph, a run of Latin
// letters, a run of digits.
func (c clause) units() [][]rune {
	text := []rune(c.Text)
	var out [][]rune
	for i := 0; i < len(text); {
		n := 1
		for kind := wordUnit(text[i]); kind != 0 && i+n < len(text) && wordUnit(text[i+n]) == kind; {
			n++
		}
		out = append(out, text[i:i+n])
		i += n
	}
	return out
}

func wordUnit(r rune) int {
	switch {
	case r >= 'a' && r <= 'z':
		return 'a'
	case unicode.IsDigit(r):
		return '1'
	}
	return 0
}

// The lengths of wordings, in characters.
const (
	shortestWording = 2
	longestWording  = 8
)

// looseEdges are characters that words rarely begin or end with; what does is
// a piece of a sentence.
const looseEdges = "的地得了着过吗呢吧啊呀嘛么哦啦和与及或在是就也都还又很太更最把被给到从对向我你您他她它们这那哪个些之其而且但因为所以如果则让使用有没不要会能可想去来说做上下里中后前时又再才只"

// measures stand after a number, which may have been cut out as an amount; what
// begins with them is the end of a quantity.
const measures = "家天万亿元块个年岁"

// wordings calls each with every wording of the clause, its hash and the
// characters beside it (0 at the clause's edge). text is only valid during the
// call.
func (c clause) wordings(each func(text []rune, hash uint64, before, after rune)) {
	units := c.units()
	whole := []rune(c.Text)
	at := make([]int, len(units)+1)
	for i, u := range units {
		at[i+1] = at[i] + len(u)
	}
	for i := range units {
		if loose(units[i], true) {
			continue
		}
		for j := i + 1; j <= len(units); j++ {
			text := whole[at[i]:at[j]]
			if len(text) > longestWording {
				break
			}
			if len(text) < shortestWording || loose(units[j-1], false) || j == i+1 && spelled(text) || quantity(text) {
				continue
			}
			var before, after rune
			if i > 0 {
				before = whole[at[i]-1]
			}
			if j < len(units) {
				after = whole[at[j]]
			}
			each(text, wordingHash(text), before, after)
		}
	}
}

// loose reports whether a wording should not begin, or end, with a unit. A
// single digit may begin one: 0前期.
func loose(u []rune, first bool) bool {
	if wordUnit(u[0]) == '1' {
		return !first || len(u) > 1
	}
	if first && strings.ContainsRune(measures, u[0]) {
		return true
	}
	return wordUnit(u[0]) == 0 && (!unicode.Is(unicode.Han, u[0]) || strings.ContainsRune(looseEdges, u[0]))
}

// spelled reports whether a run of letters has vowels: then it is pinyin, whose
// honest form is in ideographs, or English, and no abbreviation.
func spelled(u []rune) bool {
	return slices.ContainsFunc(u, func(r rune) bool { return strings.ContainsRune("aeiou", r) })
}

// quantity reports whether a wording is nothing but numerals.
func quantity(u []rune) bool {
	return !slices.ContainsFunc(u, func(r rune) bool {
		return !strings.ContainsRune("零一二两三四五六七八九十百千万亿几半多", r)
	})
}

func wordingHash(text []rune) uint64 {
	h := uint64(14695981039346656037)
	for _, r := range text {
		h = (h ^ uint64(r)) * 1099511628211
	}
	return h ^ h>>29
}

// cutOut returns the published characters with contacts, amounts and numbers
// replaced by line breaks.
func cutOut(x Sample, entities []Entity) []rune {
	text := Text(x.Post)
	for _, e := range entities {
		for i := max(e.Start, 0); i < min(e.End, len(text)); i++ {
			text[i] = '\n'
		}
	}
	for _, contact := range x.Contacts {
		blank(text, []rune(contact.Value))
	}
	blankTags(text)
	return text
}

// longestTag bounds what is taken for a tag of markup, in characters.
const longestTag = 300

// blankTags overwrites the tags and comments of markup.
func blankTags(text []rune) {
	for i := 0; i+1 < len(text); i++ {
		if next := text[i+1]; text[i] != '<' || next != '/' && next != '!' && !('a' <= next|0x20 && next|0x20 <= 'z') {
			continue
		}
		for j := i + 2; j < len(text) && j-i < longestTag; j++ {
			if text[j] == '>' {
				for ; i <= j; i++ {
					text[i] = '\n'
				}
				i--
				break
			}
		}
	}
}

// blank overwrites every occurrence of part, whatever its case.
func blank(text, part []rune) {
	if len(part) < 3 {
		return
	}
	lower := func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	for i := 0; i+len(part) <= len(text); i++ {
		if slices.EqualFunc(text[i:i+len(part)], part, func(a, b rune) bool { return lower(a) == lower(b) }) {
			for j := range part {
				text[i+j] = '\n'
			}
		}
	}
}
