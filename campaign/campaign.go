// Package campaign finds out which posts are the same advertisement.
//
// What comes in: posts with their verdicts. What goes out: for each flagged
// post a Sketch, by whose keys near-identical posts are found again, and the
// campaign it belongs to. Contacts are taken out before texts are compared, so
// that one template under ten WeChat ids is one campaign; the contacts that
// posts share are another kind of link, which this package leaves to the
// index. It does no I/O: whoever uses it brings the look-up.
package campaign

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"qingyuan/classify"
	"qingyuan/post"
)

// How texts are compared. Measured on short Chinese posts: 64 hashes in 21
// bands of 3 find 96 to 100 % of the copies with another contact, a tenth of
// the characters changed and emoji added; at a similarity of 0.5 three in ten
// million pairs of different advertisements are taken for one.
const (
	hashes = 64
	bands  = 21
	rows   = 3

	// MinSimilarity is the share of common bigrams from which two posts are the
	// same advertisement.
	MinSimilarity = 0.5

	// minLetters is the shortest text that can be compared; of shorter ones
	// nothing but equality is reliable.
	minLetters = 10
	// maxGrams bounds a sketch. Of longer texts those with the smallest hashes
	// are kept, which is a fair sample of both texts' common ones.
	maxGrams = 512
)

// Sketch is what is kept of a post to compare it with others. The zero Sketch
// is like nothing.
type Sketch struct {
	// Keys are 1 to 21 short strings; near-identical posts have one in common,
	// but not all that have are near-identical: see Similarity.
	Keys []string

	grams []uint64 // hashes of its bigrams, ascending; none when the text is short
}

// Of returns the sketch of a post, whose verdict names the contacts to leave
// out.
func Of(p post.Post, v classify.Verdict) Sketch {
	text := letters(classify.Normalize(withoutContacts(p, v)))
	if len(text) < minLetters {
		return Sketch{Keys: shortKeys(text, v)}
	}
	s := Sketch{Keys: make([]string, 0, bands)}
	var least [hashes]uint32
	for i := range least {
		least[i] = 1<<32 - 1
	}
	s.grams = make([]uint64, 0, len(text)-1)
	for i := 1; i < len(text); i++ {
		h := mix(uint64(text[i-1])<<32 | uint64(text[i]))
		s.grams = append(s.grams, h)
		lo, hi := uint32(h), uint32(h>>32)|1
		for j := range least {
			// Double hashing: the j-th hash is a walk from lo in steps of hi.
			least[j] = min(least[j], scramble(lo+uint32(j)*hi))
		}
	}
	slices.Sort(s.grams)
	s.grams = slices.Compact(s.grams)
	if len(s.grams) > maxGrams {
		s.grams = slices.Clip(s.grams[:maxGrams])
	}
	for b := range bands {
		h := uint64(b)
		for _, v := range least[b*rows : (b+1)*rows] {
			h = mix(h ^ uint64(v))
		}
		s.Keys = append(s.Keys, strconv.FormatUint(uint64(b), 36)+"."+strconv.FormatUint(h>>16, 36))
	}
	return s
}

// Similarity is the Jaccard index of the two texts' bigrams, from 0 to 1: exact
// for texts of up to 512 different bigrams, an estimate for longer ones. Short
// texts are alike, 1, when they share a key, and otherwise not at all.
func (s Sketch) Similarity(t Sketch) float64 {
	if len(s.grams) == 0 || len(t.grams) == 0 {
		if len(s.grams) == len(t.grams) && slices.ContainsFunc(s.Keys, func(k string) bool { return slices.Contains(t.Keys, k) }) {
			return 1
		}
		return 0
	}
	// A sketch that was cut knows nothing beyond its largest hash.
	limit := ^uint64(0)
	for _, g := range [...][]uint64{s.grams, t.grams} {
		if len(g) == maxGrams {
			limit = min(limit, g[len(g)-1])
		}
	}
	common, all := 0, 0
	i, j := 0, 0
	for i < len(s.grams) || j < len(t.grams) {
		switch {
		case j == len(t.grams) || i < len(s.grams) && s.grams[i] < t.grams[j]:
			if s.grams[i] > limit {
				return float64(common) / float64(all)
			}
			i++
		case i == len(s.grams) || t.grams[j] < s.grams[i]:
			if t.grams[j] > limit {
				return float64(common) / float64(all)
			}
			j++
		default:
			common, i, j = common+1, i+1, j+1
		}
		all++
	}
	return float64(common) / float64(all)
}

// shortKeys are the keys of a text too short to compare: its contacts, or,
// when it names none, the text itself.
func shortKeys(text []rune, v classify.Verdict) []string {
	var keys []string
	for _, e := range v.Entities {
		if classify.IsContact(e.Type) && !e.Official && e.Value != "" {
			keys = append(keys, "c."+sum(e.Type+"\x00"+strings.ToLower(e.Value)))
		}
	}
	if len(keys) == 0 && len(text) > 1 {
		keys = append(keys, "t."+sum(string(text)))
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return keys[:min(len(keys), bands)]
}

func sum(s string) string {
	h := fnv.New128a()
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// withoutContacts is the post's text with a blank in place of each contact.
func withoutContacts(p post.Post, v classify.Verdict) string {
	text := classify.Text(p)
	spans := make([]classify.Entity, 0, len(v.Entities))
	for _, e := range v.Entities {
		if classify.IsContact(e.Type) && e.Start >= 0 && e.Start < e.End && e.End <= len(text) {
			spans = append(spans, e)
		}
	}
	slices.SortFunc(spans, func(a, b classify.Entity) int { return cmp.Compare(a.Start, b.Start) })
	var out strings.Builder
	at := 0
	for _, e := range spans {
		if e.Start > at {
			out.WriteString(string(text[at:e.Start]))
		}
		out.WriteByte(' ')
		at = max(at, e.End)
	}
	out.WriteString(string(text[at:]))
	return out.String()
}

// maxEmoticon is the longest name in brackets, in characters, that is taken for
// an emoticon's code, such as [呲牙].
const maxEmoticon = 4

// letters are the letters of a text without emoticon codes. Figures, signs and
// emoji are what copies differ in.
func letters(text string) []rune {
	in := []rune(text)
	out := make([]rune, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] == '[' {
			if end := slices.Index(in[i:min(len(in), i+maxEmoticon+2)], ']'); end > 1 {
				i += end
				continue
			}
		}
		if unicode.IsLetter(in[i]) {
			out = append(out, unicode.ToLower(in[i]))
		}
	}
	return out
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// scramble makes the order of its results tell nothing of that of its inputs;
// the constants are those of MurmurHash3's 32-bit finalizer.
func scramble(x uint32) uint32 {
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	return x ^ x>>16
}
