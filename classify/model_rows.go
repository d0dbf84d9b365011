package classify

import (
	"math/bits"
	"slices"
)

// packedRows are the rows of a model that hold anything, packed, because most
// of the time of a verdict goes into fetching them from memory. Rows of small
// weights, three in four, take 5 bits a weight; the others take 8.
type packedRows struct {
	index      []rowIndex // of 64 buckets each
	outputs    int
	smallWords int      // of a row of small weights: 12 weights a word
	largeWords int      // of any other: 8 weights a word
	small      []uint64 // each weight plus 16
	large      []uint64 // each weight plus 128
}

// rowIndex finds the rows of 64 buckets. Bit i of a set stands for bucket i.
type rowIndex struct {
	small, large           uint64 // sets of the buckets that have such a row
	firstSmall, firstLarge uint32 // numbers of their first rows
}

// A bias makes a weight a number without a sign.
const (
	smallBias = 16
	largeBias = 128
)

// How many weights one word holds.
const (
	smallPack = 12
	largePack = 8
)

// packRows packs weights, whose rows have so many outputs.
func packRows(weights []int8, buckets, outputs int) packedRows {
	p := packedRows{index: make([]rowIndex, (buckets+63)/64), outputs: outputs,
		smallWords: (outputs + smallPack - 1) / smallPack, largeWords: (outputs + largePack - 1) / largePack}
	row := func(b int) []int8 { return weights[b*outputs : (b+1)*outputs] }
	small, large := uint32(0), uint32(0)
	for b := range buckets {
		x := &p.index[b/64]
		if b%64 == 0 {
			x.firstSmall, x.firstLarge = small, large
		}
		switch least, most := bounds(row(b)); {
		case least == 0 && most == 0:
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
		s, l, isSmall, isLarge := p.find(uint32(b))
		for o, w := range row(b) {
			switch {
			case isSmall:
				p.small[int(s)*p.smallWords+o/smallPack] |= uint64(int(w)+smallBias) << (o % smallPack * 5)
			case isLarge:
				p.large[int(l)*p.largeWords+o/largePack] |= uint64(int(w)+largeBias) << (o % largePack * 8)
			}
		}
	}
	return p
}

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
	sums         []int32 // by output
	flags        []int8  // the weight of each feature for "flagged"
	small, large []rowUse
	lanes        []uint64
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
	p.addSmall(s)
	p.addLarge(s)
}

// The lanes of a word of small weights: every second weight in 10 bits, and
// these sums again in 20 bits. The first overflow after smallRows rows, the
// second not within maxGrams.
const (
	smallLanes = 0x1f | 0x1f<<10 | 0x1f<<20 | 0x1f<<30 | 0x1f<<40 | 0x1f<<50
	wideLanes  = 0x3ff | 0x3ff<<20 | 0x3ff<<40
	smallRows  = 32
)

func (p *packedRows) addSmall(s *rowSums) {
	words := p.smallWords
	// Of each word: the sums of the even weights, every second one of these in a
	// lane word, then those of the odd weights.
	s.lanes = slices.Grow(s.lanes[:0], 4*words)[:4*words]
	clear(s.lanes)
	for from := 0; from < len(s.small); from += smallRows {
		part := s.small[from:min(from+smallRows, len(s.small))]
		if words == 2 {
			p.addSmallPair(part, s)
			continue
		}
		for w := range words {
			even, odd := uint64(0), uint64(0)
			for _, u := range part {
				x := p.small[int(u.row)*words+w]
				even += x & smallLanes
				odd += x >> 5 & smallLanes
			}
			widen(s.lanes[4*w:], even, odd)
		}
		for _, u := range part {
			s.flags[u.gram] = int8(p.small[int(u.row)*words]&0x1f) - smallBias
		}
	}
	for o := range s.sums {
		lane := o % smallPack / 2 // among those of its parity
		sum := s.lanes[o/smallPack*4+o%2*2+lane%2] >> (lane / 2 * 20) & (1<<20 - 1)
		s.sums[o] += int32(sum) - smallBias*int32(len(s.small))
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
		b += x >> 5 & smallLanes
		c += y & smallLanes
		d += y >> 5 & smallLanes
		flags[u.gram] = int8(x&0x1f) - smallBias
	}
	widen(s.lanes, a, b)
	widen(s.lanes[4:], c, d)
}

// widen adds the sums of a word to its lanes.
func widen(lanes []uint64, even, odd uint64) {
	lanes = lanes[:4]
	lanes[0] += even & wideLanes
	lanes[1] += even >> 10 & wideLanes
	lanes[2] += odd & wideLanes
	lanes[3] += odd >> 10 & wideLanes
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
