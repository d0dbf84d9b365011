package classify

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Packed rows sum to what the weights themselves sum to, whatever their number
// and size.
func TestPackedRowsSumLikeWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, outputs := range []int{1, 8, 12, 13, 21, 24, 25, 40} {
		const buckets = 1 << 10
		weights := make([]int8, buckets*outputs)
		for i := range weights {
			switch size := i / outputs % 5; {
			case size == 0: // an empty row
			case size < 3:
				weights[i] = int8(rng.IntN(2*smallBias) - smallBias)
			default:
				weights[i] = int8(rng.IntN(2*largeBias) - largeBias)
			}
		}
		p := packRows(weights, buckets, outputs)
		var s rowSums
		for _, count := range []int{0, 1, 31, 33, 300, 5000} {
			grams := make([]gram, count)
			want := make([]int32, outputs)
			flags := make([]int8, count)
			for i := range grams {
				grams[i].bucket = uint32(rng.IntN(buckets))
				row := weights[int(grams[i].bucket)*outputs:][:outputs]
				flags[i] = row[0]
				for o, w := range row[1:] {
					want[o+1] += int32(w)
				}
			}
			p.add(grams, &s)
			if !slices.Equal(s.sums, want) || !slices.Equal(s.flags, flags) {
				t.Errorf("%d rows of %d outputs sum to %v, not %v", count, outputs, s.sums, want)
			}
		}
	}
}

// The extremes do not run over, in as many rows as a text has features.
func TestPackedRowsDoNotOverflow(t *testing.T) {
	for _, w := range []int8{smallBias - 1, -smallBias, largeBias - 1, -largeBias} {
		const outputs = 21
		weights := slices.Repeat([]int8{w}, 64*outputs)
		p := packRows(weights, 64, outputs)
		var s rowSums
		p.add(make([]gram, maxGrams), &s)
		for o, sum := range s.sums[1:] {
			if sum != int32(w)*maxGrams {
				t.Errorf("%d times %d is %d in output %d", maxGrams, w, sum, o+1)
			}
		}
	}
}
