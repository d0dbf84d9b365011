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
	seedChars     = 2166136261
	seedSyllables = 40389
	seedSigns     = 977
	seedEvidence  = 104729
	hashPrime     = 16777619
)

// gramChar is one character of the text as the model sees it.
type gramChar struct {
	r    rune
	span span
}

// grams returns the distinct features of a normalised text, in order of their
// first place: 1- to 4-grams of its letters and ideographs (signs and spaces
// passed over, digits all alike, an entity replaced by a mark of its type, so
// that separators do not matter and no account is ever learned); 2- and
// 3-grams of its syllables, which homophones and pinyin share with the plain
// wording; and its emoji.
func (a *analysis) grams(buckets int, out []gram) []gram {
	g := gramSet{mask: uint32(buckets - 1), out: out[:0]}
	if words := buckets / 64; len(a.seenBuckets) != words {
		a.seenBuckets = make([]uint64, words)
	}
	g.seen = a.seenBuckets
	text := a.gramText()
	for i := range text {
		h, start := uint32(seedChars), text[i].span.start
		for _, c := range text[i:min(i+4, len(text))] {
			h = (h ^ uint32(c.r)) * hashPrime
			g.add(h, span{start, c.span.end})
		}
	}
	a.syllableGrams(&g)
	if a.norm.has(classEmoji) {
		for i, c := range a.norm.class {
			if c == classEmoji {
				g.add((seedSigns^uint32(a.norm.runes[i]))*hashPrime, span{int32(i), int32(i + 1)})
			}
		}
	}
	a.evidenceGrams(&g)
	for _, x := range g.out {
		g.seen[x.bucket/64] = 0
	}
	return g.out
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
	g.add(hashString(seedEvidence+2, a.post.SourceType), span{})
	g.add(hashString(seedEvidence+3, string(a.post.Kind)), span{})
	g.add((seedEvidence+5)^uint32(bits.Len(uint(len(a.norm.stream))))*hashPrime, span{}) // how long, in powers of two
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
		g.add(x, span{})
		for _, y := range found[i+1:] {
			g.add((x^y*hashPrime)*hashPrime, span{})
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

// syllableGrams adds the 2- and 3-grams of the text's syllables.
func (a *analysis) syllableGrams(g *gramSet) {
	t, sy := syllables(), &a.scratch.syllables
	sy.read(t, &a.norm)
	count := len(sy.ids)
	if sy.whole {
		count = len(a.norm.stream)
	}
	id := func(i int) uint16 {
		if sy.whole {
			return t.main.code(a.norm.stream[i])
		}
		return sy.ids[i]
	}
	for i := range count {
		h := uint32(seedSyllables)
		_, from, _ := sy.unit(i)
		for n := 0; n < 3 && i+n < count; n++ {
			c := id(i + n)
			if c == 0 {
				break
			}
			h = (h ^ uint32(c)) * hashPrime
			if n > 0 {
				_, _, to := sy.unit(i + n)
				g.add(h, span{from, to + 1})
			}
		}
	}
}

// gramSet collects distinct buckets.
type gramSet struct {
	mask uint32
	seen []uint64
	out  []gram
}

func (g *gramSet) add(h uint32, s span) { g.addFor(h, s, 0) }

func (g *gramSet) addFor(h uint32, s span, evidence int32) {
	h ^= h >> 15
	bucket := (h * 2654435761 >> 7) & g.mask
	if len(g.out) >= maxGrams || g.seen[bucket/64]&(1<<(bucket%64)) != 0 {
		return
	}
	g.seen[bucket/64] |= 1 << (bucket % 64)
	g.out = append(g.out, gram{bucket, s, evidence})
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
