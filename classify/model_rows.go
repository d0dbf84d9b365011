package classify

import (
	"math/bits"
	"slices"
)

// packedRows are the rows of a model that hold anything, packed, because most
// of the time of a verdict goes into fetching them from memory. Rows of small
// weights, four in five, take 6 bits a weight; the others take 8. The weight
// for "flagged" stands apart: it takes 8 in either.
type packedRows struct {
	index      []rowIndex // of 64 buckets each
	outputs    int
	smallWords int      // of a row of small weights
	largeWords int      // of any other: 8 weights a word
	small      []uint64 // each weight plus 32, ten a word from output 1 on; output 0 in what the first two words have left
	large      []uint64 // each weight plus 128
}

// rowIndex finds the rows of 64 buckets. Bit i of a set stands for bucket i.
type rowIndex struct {
	small, large           uint64 // sets of the buckets that have such a row
	firstSmall, firstLarge uint32 // numbers of their first rows
}

// A bias makes a weight a number without a sign.
const (
	smallBias = 32
	largeBias = 128
)

// How many weights one word holds.
const (
	smallPack = 10
	largePack = 8
)

// packRows packs weights, whose rows have so many outputs.
func packRows(weights []int8, buckets, outputs int) packedRows {
	p := packedRows{index: make([]rowIndex, (buckets+63)/64), outputs: outputs,
		smallWords: max(2, (outputs-1+smallPack-1)/smallPack), largeWords: (outputs + largePack - 1) / largePack}
	row := func(b int) []int8 { return weights[b*outputs : (b+1)*outputs] }
	small, large := uint32(0), uint32(0)
	for b := range buckets {
		x := &p.index[b/64]
		if b%64 == 0 {
			x.firstSmall, x.firstLarge = small, large
		}
		r := row(b)
		switch least, most := bounds(r[1:]); {
		case least == 0 && most == 0 && r[0] == 0:
		case least >= -smallBias && most < smallBias:
			x.small |= 1 << (b % 64)
			small++
		default:
			x.large |= 1 << (b % 64)
			large++
		}
	}
	p.small, p.large = make([]uint64, int(small)*p.smallWords), make([]uint64, int(large)*p.largeWords)
	for b := range buckets {
		switch s, l, isSmall, isLarge := p.find(uint32(b)); {
		case isSmall:
			packSmall(p.small[int(s)*p.smallWords:][:p.smallWords], row(b))
		case isLarge:
			for o, w := range row(b) {
				p.large[int(l)*p.largeWords+o/largePack] |= uint64(int(w)+largeBias) << (o % largePack * 8)
			}
		}
	}
	return p
}

// packSmall fills the words of a row of small weights.
func packSmall(words []uint64, row []int8) {
	for i, w := range row[1:] {
		words[i/smallPack] |= uint64(int(w)+smallBias) << (i % smallPack * 6)
	}
	flag := uint64(uint8(row[0]))
	words[0] |= flag << 60
	words[1] |= flag >> 4 << 60
}

// smallFlag is the weight for "flagged" of a row that begins with the two words.
func smallFlag(x, y uint64) int8 { return int8(x>>60 | y>>60<<4) }

func bounds(row []int8) (least, most int8) {
	for _, w := range row {
		least, most = min(least, w), max(most, w)
	}
	return least, most
}

// find returns the numbers of a bucket's row, were it of small weights and were
// it of large ones, and which it is; neither when it is empty.
func (p *packedRows) find(bucket uint32) (small, large uint32, isSmall, isLarge bool) {
	x := &p.index[bucket/64]
	bit := uint64(1) << (bucket % 64)
	small = x.firstSmall + uint32(bits.OnesCount64(x.small&(bit-1)))
	large = x.firstLarge + uint32(bits.OnesCount64(x.large&(bit-1)))
	return small, large, x.small&bit != 0, x.large&bit != 0
}

// rowUse is a feature of a text that the model knows.
type rowUse struct {
	row  uint32 // number of its packed row
	gram int32  // index of the feature
}

// rowSums is what the rows of a text come to. Its buffers are reused.
type rowSums struct {
	sums         []int32 // by output; nothing for "flagged"
	flags        []int8  // the weight of each feature for "flagged"
	small, large []rowUse
	lanes        []uint64
	fetched      uint64 // see fetch
}

// add looks the rows of the features up and sums them.
func (p *packedRows) add(grams []gram, s *rowSums) {
	s.sums = slices.Grow(s.sums[:0], p.outputs)[:p.outputs]
	s.flags = slices.Grow(s.flags[:0], len(grams))[:len(grams)]
	s.small = slices.Grow(s.small[:0], len(grams))[:len(grams)]
	s.large = slices.Grow(s.large[:0], len(grams))[:len(grams)]
	clear(s.sums)
	clear(s.flags)
	k, l := 0, 0
	for i := range grams {
		small, large, isSmall, isLarge := p.find(grams[i].bucket)
		// What a row is is as good as random: written without a jump.
		s.small[k], s.large[l] = rowUse{small, int32(i)}, rowUse{large, int32(i)}
		if isSmall {
			k++
		}
		if isLarge {
			l++
		}
	}
	s.small, s.large = s.small[:k], s.large[:l]
	s.fetched = p.fetch(s)
	p.addSmall(s)
	p.addLarge(s)
	s.sums[0] = 0
}

// fetch touches the rows in use. A loop of next to nothing but loads has many of
// them under way at a time, and most of the rows come from afar.
func (p *packedRows) fetch(s *rowSums) (all uint64) {
	for _, u := range s.small {
		all |= p.small[int(u.row)*p.smallWords]
	}
	for _, u := range s.large {
		all |= p.large[int(u.row)*p.largeWords] | p.large[int(u.row+1)*p.largeWords-1]
	}
	return all
}

// smallLanes takes every second weight of a word, in 12 bits; these overflow
// after smallRows rows.
const (
	smallLanes = 0x3f | 0x3f<<12 | 0x3f<<24 | 0x3f<<36 | 0x3f<<48
	smallRows  = 64
)

func (p *packedRows) addSmall(s *rowSums) {
	for from := 0; from < len(s.small); from += smallRows {
		part := s.small[from:min(from+smallRows, len(s.small))]
		if p.smallWords == 2 {
			p.addSmallPair(part, s)
			continue
		}
		for w := range p.smallWords {
			even, odd := uint64(0), uint64(0)
			for _, u := range part {
				x := p.small[int(u.row)*p.smallWords+w]
				even += x & smallLanes
				odd += x >> 6 & smallLanes
			}
			unpackSmall(s.sums[1+w*smallPack:], even, odd)
		}
		for _, u := range part {
			row := p.small[int(u.row)*p.smallWords:][:2]
			s.flags[u.gram] = smallFlag(row[0], row[1])
		}
	}
	for o := range s.sums {
		s.sums[o] -= smallBias * int32(len(s.small))
	}
}

// addSmallPair adds up rows of two words, the built-in model's.
func (p *packedRows) addSmallPair(uses []rowUse, s *rowSums) {
	var a, b, c, d uint64
	flags := s.flags
	for _, u := range uses {
		row := p.small[int(u.row)*2:][:2]
		x, y := row[0], row[1]
		a += x & smallLanes
		b += x >> 6 & smallLanes
		c += y & smallLanes
		d += y >> 6 & smallLanes
		flags[u.gram] = smallFlag(x, y)
	}
	unpackSmall(s.sums[1:], a, b)
	if len(s.sums) > 1+smallPack {
		unpackSmall(s.sums[1+smallPack:], c, d)
	}
}

// unpackSmall adds the sums of a word to those of its outputs.
func unpackSmall(sums []int32, even, odd uint64) {
	const lane = 1<<12 - 1
	for o := 0; o < min(smallPack, len(sums)); o += 2 {
		sums[o] += int32(even & lane)
		even >>= 12
		if o+1 < len(sums) {
			sums[o+1] += int32(odd & lane)
			odd >>= 12
		}
	}
}

// largeLanes takes every second weight of a word, in 16 bits; these overflow
// after largeRows rows.
const (
	largeLanes = 0x00ff00ff00ff00ff
	largeRows  = 256
)

func (p *packedRows) addLarge(s *rowSums) {
	words := p.largeWords
	s.lanes = slices.Grow(s.lanes[:0], 2*words)[:2*words]
	for from := 0; from < len(s.large); from += largeRows {
		part := s.large[from:min(from+largeRows, len(s.large))]
		clear(s.lanes)
		if words == 3 {
			p.addLargeThree(part, s)
		} else {
			p.addLargeAny(part, s)
		}
		for o := range s.sums {
			lane := s.lanes[o/largePack*2+o%2] >> (o % largePack / 2 * 16)
			s.sums[o] += int32(lane&0xffff) - largeBias*int32(len(part))
		}
	}
}

func (p *packedRows) addLargeAny(uses []rowUse, s *rowSums) {
	for _, u := range uses {
		row := p.large[int(u.row)*p.largeWords:][:p.largeWords]
		s.flags[u.gram] = int8(int(row[0]&0xff) - largeBias)
		for i, w := range row {
			s.lanes[2*i] += w & largeLanes
			s.lanes[2*i+1] += w >> 8 & largeLanes
		}
	}
}

// addLargeThree is addLargeAny for rows of three words, the built-in model's.
func (p *packedRows) addLargeThree(uses []rowUse, s *rowSums) {
	var a, b, c, d, e, f uint64
	flags := s.flags
	for _, u := range uses {
		row := p.large[int(u.row)*3:][:3]
		x, y, z := row[0], row[1], row[2]
		a += x & largeLanes
		b += x >> 8 & largeLanes
		c += y & largeLanes
		d += y >> 8 & largeLanes
		e += z & largeLanes
		f += z >> 8 & largeLanes
		flags[u.gram] = int8(int(x&0xff) - largeBias)
	}
	copy(s.lanes, []uint64{a, b, c, d, e, f})
}
