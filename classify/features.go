package classify

import (
	"math/bits"
	"slices"
)

// gram is one feature of a text.
type gram struct {
	bucket   uint32
	span     span
	evidence int32 // one more than the index of the evidence it stands for; 0: none
}

// maxGrams bounds the n-grams of one text, so that a megabyte costs no more
// than a long post; text beyond is judged by the dictionary alone.
const maxGrams = 12000

// Seeds keep the sorts of n-grams apart before hashing.
const (
	seedChars    = 2166136261
	seedLast     = 7177717
	seedWords    = 40389
	seedSigns    = 977
	seedEvidence = 104729
	hashPrime    = 16777619
)

// gramChar is one character of the text as the model sees it.
type gramChar struct {
	r    rune
	span span
}

// How far the features of one sort reach.
const (
	charGrams = 2  // of characters, anywhere
	lastChars = 12 // the end of a text, where its author says what to do next
	lastGrams = 3  // of characters, there
)

// grams returns the distinct features of a normalised text: 1- and 2-grams of
// its letters and ideographs (signs and spaces passed over, digits all alike,
// an entity replaced by a mark of its type, so that separators do not matter
// and no account is ever learned); its words; 1- to 3-grams of its end; its
// emoji; and what the dictionary found. Longer n-grams and those of syllables
// were tried and left out: they fit the writers of the training texts and lose
// on writers never seen.
func (a *analysis) grams(buckets int, out []gram) []gram {
	g := gramSet{mask: uint32(buckets - 1), out: out[:cap(out)]}
	if words := buckets / 64; len(a.seenBuckets) != words {
		a.seenBuckets = make([]uint64, words)
	}
	g.seen = a.seenBuckets
	text := a.gramText()
	g.addChars(seedChars, charGrams, text)
	g.addChars(seedLast, lastGrams, text[max(0, len(text)-lastChars):])
	a.wordGrams(&g, text)
	if a.norm.has(classEmoji) {
		for i, c := range a.norm.class {
			if c == classEmoji {
				g.addFor((seedSigns^uint32(a.norm.runes[i]))*hashPrime, span{int32(i), int32(i + 1)}, 0)
			}
		}
	}
	a.evidenceGrams(&g)
	out = g.out[:g.count]
	for i := range out {
		g.seen[out[i].bucket/64] = 0
	}
	return out
}

// addChars adds the 1- to n-grams of text.
func (g *gramSet) addChars(seed uint32, n int, text []gramChar) {
	if !g.room(n * len(text)) {
		return
	}
	for i := range text {
		h, start := seed, text[i].span.start
		for _, c := range text[i:min(i+n, len(text))] {
			h = (h ^ uint32(c.r)) * hashPrime
			g.add(h, span{start, c.span.end})
		}
	}
}

// wordGrams adds the words of the text, cut from left to right at the longest
// word of the general dictionary; a character in no word is one by itself. The
// operators' own words do not count, so that an edit of a dictionary never
// takes from the model a word it has learned.
func (a *analysis) wordGrams(g *gramSet, text []gramChar) {
	words, err := a.c.seg.load()
	if err != nil || !g.room(len(text)) {
		return // the n-grams of characters say most of it
	}
	a.generalBuf = words.longestGenerals(text, a.generalBuf)
	for i := 0; i < len(text); {
		w := a.generalBuf[i]
		end := i + int(w.length)
		g.add(w.hash^seedWords, span{text[i].span.start, text[end-1].span.end})
		i = end
	}
}

// evidenceGrams adds the entries of the dictionary that applied, the types of
// contact and the place of publication, so that the model can weigh them for
// every output.
func (a *analysis) evidenceGrams(g *gramSet) {
	for i := range a.evidence {
		e := &a.evidence[i]
		h := hashString(seedEvidence, e.id)
		if e.quoted {
			h = hashString(h, "quoted")
		}
		g.addFor(h, span{}, int32(i)+1)
		if e.category >= 0 {
			g.addFor(hashString(seedEvidence+1, a.c.lex.cats[e.category]), span{}, int32(i)+1)
		}
	}
	a.classGrams(g)
	g.addFor(hashString(seedEvidence+2, a.post.SourceType), span{}, 0)
	g.addFor(hashString(seedEvidence+3, string(a.post.Kind)), span{}, 0)
	g.addFor((seedEvidence+5)^uint32(bits.Len(uint(len(a.norm.stream))))*hashPrime, span{}, 0) // how long, in powers of two
}

// maxClassPairs bounds the classes that are paired; more never come together
// in an honest post.
const maxClassPairs = 14

// classGrams adds the dictionary classes that occur, and their pairs: an
// insurance word beside a word of getting money back says what neither says
// alone, in whatever wording.
func (a *analysis) classGrams(g *gramSet) {
	found := a.classBuf[:0]
	for _, id := range a.rules.touched {
		if h := a.c.lex.classHash[id]; h != 0 && len(found) < maxClassPairs {
			found = append(found, h)
		}
	}
	slices.Sort(found)
	for i, x := range found {
		g.addFor(x, span{}, 0)
		for _, y := range found[i+1:] {
			g.addFor((x^y*hashPrime)*hashPrime, span{}, 0)
		}
	}
	a.classBuf = found
}

func hashString(seed uint32, s string) uint32 {
	for i := range len(s) {
		seed = (seed ^ uint32(s[i])) * hashPrime
	}
	return seed
}

// gramSet collects distinct buckets.
type gramSet struct {
	mask  uint32
	seen  []uint64
	out   []gram // room for what is to come
	count int
}

// room makes room for n more; it reports false when there is to be no more.
func (g *gramSet) room(n int) bool {
	if need := min(g.count+n, maxGrams) + 1; need > len(g.out) {
		g.out = slices.Grow(g.out[:g.count], need-g.count)
		g.out = g.out[:cap(g.out)]
	}
	return g.count < maxGrams
}

// add adds a feature after room was made for it.
func (g *gramSet) add(h uint32, s span) {
	if g.count >= maxGrams {
		return
	}
	h ^= h >> 15
	bucket := (h * 2654435761 >> 7) & g.mask
	g.out[g.count] = gram{bucket, s, 0}
	// Whether it is new is as good as random: written without a jump.
	seen := &g.seen[bucket/64]
	g.count += int(^*seen >> (bucket % 64) & 1)
	*seen |= 1 << (bucket % 64)
}

// addFor adds the feature of a piece of evidence, or with 0 one of none.
func (g *gramSet) addFor(h uint32, s span, evidence int32) {
	if !g.room(1) {
		return
	}
	at := g.count
	g.add(h, s)
	if g.count > at {
		g.out[at].evidence = evidence
	}
}

// gramText is the content of the normalised text with entities replaced.
func (a *analysis) gramText() []gramChar {
	out := a.gramBuf[:0]
	next, marked := 0, -1
	for i, r := range a.norm.stream {
		p := a.norm.pos[i]
		for next < len(a.places) && a.places[next].end <= p {
			next++
		}
		if next < len(a.places) && a.places[next].start <= p {
			if marked != next {
				marked = next
				mark := rune(0xE000 + entityIndex(a.entities[next].Type))
				out = append(out, gramChar{mark, a.places[next]})
			}
			continue
		}
		if isDigit(r) {
			r = '0'
		}
		out = append(out, gramChar{r, span{p, p + 1}})
	}
	a.gramBuf = out
	return out
}

// entityIndex numbers the entity types for the model; the order is part of the
// model format.
func entityIndex(kind string) int {
	return slices.Index([]string{EntityWechat, EntityQQ, EntityQQGroup, EntityPhone, EntityTelegram, EntityWhatsApp, EntityEmail, EntityURL,
		EntityAlipay, EntityWeibo, EntityDouyin, EntityXiaohongshu, EntityBankCard, EntityCompany, EntityAmount, EntityPercent}, kind) + 1
}
