package classify

import (
	"slices"
	"strings"
)

// aliasForm is one way to write a contact word.
type aliasForm struct {
	text string
	ev   evasionSet
	weak bool // an ordinary word too: only with more of the pattern beside it
}

// contactWord is a contact word and what stands for it in advertisements.
type contactWord struct {
	word  string
	forms []aliasForm
}

func forms(ev evasionSet, weak bool, words string) []aliasForm {
	var out []aliasForm
	for w := range strings.FieldsSeq(words) {
		out = append(out, aliasForm{w, ev, weak})
	}
	return out
}

// contactWords are tried in this order, longest first where they share a rune.
func contactWords() []contactWord {
	return []contactWord{
		{"微信", slices.Concat(
			forms(evHomophone, false, "薇信 葳信 维信 薇芯 微芯 威芯 维芯"),
			forms(evHomophone, true, "威信 卫星 唯信 未信 卫信 微心 微新 薇心"),
			forms(evLookalike, false, "徽信 嶶信 溦信 微伩 徽芯 溦芯"),
			forms(evInitials, false, "v信 w信 v芯 微x 薇x vx wx"),
			forms(evPinyin, false, "weixin"),
			forms(evEmoji, false, "❤信 微❤ v❤ 薇❤ 威❤ 徽❤ √信 v×"),
		)},
		{"微", slices.Concat(
			forms(evHomophone, true, "薇 葳 威 维"),
			forms(evLookalike, true, "徽 嶶 溦"),
			forms(evInitials, true, "v w"),
			forms(evEmoji, true, "❤ √"),
		)},
		{"加", slices.Concat(
			forms(evEmoji, true, "+"),
			forms(evLookalike, true, "十"),
			forms(evHomophone, true, "家 佳 嘉 伽 咖 茄"),
			forms(evPinyin, true, "jia"),
		)},
		{"vx", slices.Concat(forms(evEmoji, true, "v× √x"), forms(evLookalike, true, "ⅴx vⅹ"))},
		{"qq", slices.Concat(
			forms(evHomophone, false, "扣扣 抠抠 蔻蔻"),
			forms(evHomophone, true, "秋秋 球球 扣"),
			forms(evEmoji, true, "🐧"),
		)},
		{"电话", forms(evEmoji, true, "☎")},
	}
}

// commonRunes are alias runes that begin other words: 加维 begins 加维护, so
// only an account name may follow.
const commonRunes = "威维葳徽扣微"

// maxAliases bounds the spellings of one pattern.
const maxAliases = 600

// expander turns patterns into the variants of the three layers.
type expander struct {
	explicit map[string]bool // texts that are patterns themselves
	words    []contactWord
	fold     *foldTable
	syl      *syllableTable

	texts         [][]rune
	variants      []variant
	signTexts     [][]rune
	signVariants  []variant
	soundSeqs     [][]uint16
	soundVariants []variant
}

func newExpander() *expander {
	return &expander{explicit: map[string]bool{}, words: contactWords(), fold: foldTables(), syl: syllables()}
}

// expand adds all variants of p, whose folded content is text.
func (x *expander) expand(p pattern, text []rune) {
	base := x.variant(p, text, 0)
	if p.Flags&patternInitials != 0 {
		base.ev = evInitials
	}
	x.addText(text, base)
	if p.Flags&patternContact != 0 {
		x.aliases(p, text)
	}
	if p.Flags&(patternExact|patternInitials) != 0 || !base.han || len(text) < 2 {
		return
	}
	x.splits(p, text)
	x.lookalikes(p, text)
	if back := reversed(text); len(text) >= 3 && !x.explicit[string(back)] && !slices.Equal(back, text) {
		x.addText(back, x.variant(p, back, evReversed))
	}
	x.sounds(p, text)
}

// variant describes text as a way to write p.
func (x *expander) variant(p pattern, text []rune, ev evasionSet) variant {
	v := variant{id: p.ID, length: int32(len(text)), ev: ev, han: true, account: p.Flags&patternContact != 0}
	for i, r := range text {
		c := classOf(r)
		v.han = v.han && c == classHan
		word := c == classLatin || c == classDigit
		v.headWord = v.headWord || i == 0 && word
		v.tailWord = i == len(text)-1 && word
		v.mixed = v.mixed || c == classHan
	}
	v.mixed = v.mixed && v.tailWord
	return v
}

func (x *expander) addText(text []rune, v variant) {
	x.texts = append(x.texts, text)
	x.variants = append(x.variants, v)
}

func reversed(text []rune) []rune {
	out := slices.Clone(text)
	slices.Reverse(out)
	return out
}

// aliases adds the spellings of a contact pattern.
func (x *expander) aliases(p pattern, text []rune) {
	type partial struct {
		text    string
		ev      evasionSet
		weak    bool // an ordinary word stands for another somewhere
		bySound bool // by its sound
	}
	done := []partial{{}}
	for rest := string(text); rest != ""; {
		w := x.contactAt(rest)
		if w == nil {
			r := []rune(rest)[0]
			rest = rest[len(string(r)):]
			for i := range done {
				done[i].text += string(r)
			}
			continue
		}
		rest = rest[len(w.word):]
		var next []partial
		for _, d := range done {
			next = append(next, partial{d.text + w.word, d.ev, d.weak, d.bySound})
			for _, f := range w.forms {
				if w.word == "加" && f.weak && f.ev != evEmoji && !strings.ContainsAny(rest, "微vqw") {
					continue // 家我 is no 加我
				}
				sound := f.weak && f.ev == evHomophone
				if f.weak && len(w.word) == len(string(text)) || sound && d.bySound || len(next) >= maxAliases {
					continue // one ordinary word for another is chance enough: 佳薇 is a name
				}
				next = append(next, partial{d.text + f.text, d.ev | f.ev, f.weak && f.ev&(evHomophone|evLookalike) != 0 || d.weak, sound || d.bySound})
			}
		}
		done = next
	}
	seen := map[string]bool{}
	for _, d := range done[1:] {
		if x.explicit[d.text] || seen[d.text] {
			continue
		}
		seen[d.text] = true
		runes := []rune(d.text)
		v := x.variant(p, runes, d.ev)
		v.named = d.weak && strings.ContainsRune(commonRunes, runes[len(runes)-1])
		v.ten = runes[0] == '十' && text[0] != '十'
		if slices.ContainsFunc(runes, func(r rune) bool { return !classOf(r).content() }) {
			x.signTexts = append(x.signTexts, runes)
			x.signVariants = append(x.signVariants, v)
			continue
		}
		x.addText(runes, v)
	}
}

// contactAt returns the contact word that s begins with.
func (x *expander) contactAt(s string) *contactWord {
	for i := range x.words {
		if strings.HasPrefix(s, x.words[i].word) {
			return &x.words[i]
		}
	}
	return nil
}

// splits adds text with characters written as their two halves, where the
// halves are words of their own: 贷 as 代贝.
func (x *expander) splits(p pattern, text []rune) {
	var all []rune
	count := 0
	for i, r := range text {
		halves := x.fold.softSplit[r]
		if len(halves) > 0 {
			count++
			all = append(all, halves[0][:]...)
		} else {
			all = append(all, r)
		}
		for _, h := range halves {
			one := slices.Concat(text[:i], h[:], text[i+1:])
			x.addText(one, x.variant(p, one, evSplit))
		}
	}
	if count > 1 {
		x.addText(all, x.variant(p, all, evSplit))
	}
}

// lookalikes adds text with one character written as its near twin.
func (x *expander) lookalikes(p pattern, text []rune) {
	if len(text) < 3 {
		return
	}
	for i, r := range text {
		for _, c := range x.fold.confused[r] {
			one := slices.Clone(text)
			one[i] = c
			if !x.explicit[string(one)] {
				x.addText(one, x.variant(p, one, evLookalike))
			}
		}
	}
}

// sounds adds text as syllables, and whole in pinyin letters, in all plausible
// readings.
func (x *expander) sounds(p pattern, text []rune) {
	const maxReadings = 6
	if len(text) > maxUnits {
		return
	}
	seqs := [][]uint16{nil}
	for _, r := range text {
		ids := x.syl.readings(r)
		if len(ids) == 0 {
			return
		}
		if len(seqs)*len(ids) > maxReadings {
			ids = ids[:1]
		}
		var next [][]uint16
		for _, s := range seqs {
			for _, id := range ids {
				next = append(next, append(slices.Clone(s), id))
			}
		}
		seqs = next
	}
	v := x.variant(p, text, 0)
	v.text = text
	for _, s := range seqs {
		letters := x.spell(s)
		v.spelt = len(text) > 2 || p.Flags&patternPhonetic != 0 && len(letters) >= 6
		x.soundSeqs = append(x.soundSeqs, s)
		x.soundVariants = append(x.soundVariants, v)
		// Letters that would be read as other syllables (fang'an as fan'gan) are
		// looked for as they stand.
		_, ids, n := x.syl.parsePinyin(letters)
		if v.spelt && !slices.Equal(ids[:n], s) && !x.explicit[string(letters)] {
			x.addText(letters, x.variant(p, letters, evPinyin))
		}
	}
}

// spell writes syllables in letters.
func (x *expander) spell(ids []uint16) []rune {
	var out []rune
	for _, id := range ids {
		for _, c := range x.syl.spelling[id] {
			out = append(out, c)
		}
	}
	return out
}
