package index

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord is the longest word token in runes. Longer words are cut every
// maxWord runes, in texts and in queries alike: Lucene's whitespace tokenizer
// would cut at 255 and SQLite keeps what it is given.
const maxWord = 64

// runKind says what a run of characters is made of.
type runKind int

const (
	runHan    runKind = iota // one or more Han characters without anything between them
	runWord                  // letters and digits of other scripts
	runSymbol                // one symbol, such as an emoji
)

// Tokens turns a text into the tokens that every store indexes ("bg2"), one
// space between them: the bigrams of each run of Han characters and then the
// run's last character; letters and digits of other scripts as words; emoji
// and other symbols one by one. Characters are folded first (compatibility
// decomposition, lower case, marks and invisible characters dropped), so that
// full-width, circled and accented forms are found by their plain ones.
// Punctuation and white space only separate.
//
// The tokens contain no ASCII but letters and digits, so that they pass
// through an analyzer that splits at white space unchanged.
func Tokens(text string) string {
	var b strings.Builder
	b.Grow(2*len(text) + 16)
	eachRun(text, func(kind runKind, run []rune, _ []int) {
		if kind != runHan {
			for _, r := range run {
				b.WriteRune(r)
			}
			b.WriteByte(' ')
			return
		}
		for i := range len(run) - 1 {
			b.WriteRune(run[i])
			b.WriteRune(run[i+1])
			b.WriteByte(' ')
		}
		b.WriteRune(run[len(run)-1])
		b.WriteByte(' ')
	})
	return strings.TrimSuffix(b.String(), " ")
}

// Phrase turns what somebody looks for into the tokens that must follow each
// other in a text. With prefix, the last token need only be the beginning of
// the text's token: a single Han character stands at the start of a bigram,
// and a word is found by its beginning. No tokens means that there is nothing
// to look for.
//
// For Han characters the tokens are found exactly where the text, folded,
// contains the phrase as a substring.
func Phrase(text string) (tokens []string, prefix bool) {
	var last []rune
	lastKind := runSymbol
	eachRun(text, func(kind runKind, run []rune, _ []int) {
		if lastKind == runHan && len(last) > 0 {
			// Something follows this run, so it ends here in the text as well.
			tokens = append(tokens, string(last[len(last)-1:]))
		}
		if kind == runHan {
			for i := range len(run) - 1 {
				tokens = append(tokens, string(run[i:i+2]))
			}
		} else {
			tokens = append(tokens, string(run))
		}
		last, lastKind = append(last[:0], run...), kind
	})
	switch {
	case len(last) == 0:
		return nil, false
	case lastKind == runHan && len(last) == 1:
		return append(tokens, string(last)), true
	default:
		return tokens, lastKind == runWord
	}
}

// Fold folds a text character by character as Tokens does: compatibility
// forms to plain ones, lower case, marks and invisible characters dropped.
// Punctuation and white space stay.
func Fold(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	var buf []byte
	for _, r := range text {
		buf = foldRune(buf[:0], r)
		for _, f := range string(buf) {
			if !dropped(f) {
				b.WriteRune(f)
			}
		}
	}
	return b.String()
}

// foldRune appends the folded form of r to dst.
func foldRune(dst []byte, r rune) []byte {
	switch {
	case r < utf8.RuneSelf:
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(dst, byte(r))
	case 0x4E00 <= r && r <= 0x9FFF:
		return utf8.AppendRune(dst, r)
	}
	var in [utf8.UTFMax]byte
	n := utf8.EncodeRune(in[:], r)
	start := len(dst)
	dst = norm.NFKD.Append(dst, in[:n]...)
	lower := strings.Map(unicode.ToLower, string(dst[start:]))
	return append(dst[:start], lower...)
}

// dropped reports whether a folded character is as good as absent: combining
// marks, variation selectors, zero-width and direction characters.
func dropped(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.Is(unicode.M, r) || unicode.Is(unicode.Cf, r))
}

// kindOf returns the kind of run that a folded character belongs to; ok is
// false for what only separates.
func kindOf(r rune) (kind runKind, ok bool) {
	switch {
	case 0x4E00 <= r && r <= 0x9FFF:
		return runHan, true
	case r < utf8.RuneSelf:
		return runWord, 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
	case unicode.Is(unicode.Han, r):
		return runHan, true
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return runWord, true
	case unicode.IsSymbol(r), unicode.Is(unicode.Co, r):
		return runSymbol, true
	}
	return runSymbol, false
}

// eachRun calls fn for every run of the folded text in order. at holds, for
// each character of the run, the rune offset in text that it came from. Both
// slices are reused between calls.
func eachRun(text string, fn func(kind runKind, run []rune, at []int)) {
	var (
		run  []rune
		at   []int
		kind runKind
		buf  []byte
	)
	flush := func() {
		if len(run) > 0 {
			fn(kind, run, at)
			run, at = run[:0], at[:0]
		}
	}
	offset := -1
	for _, r := range text {
		offset++
		buf = foldRune(buf[:0], r)
		for rest := buf; len(rest) > 0; {
			f, size := utf8.DecodeRune(rest)
			rest = rest[size:]
			if dropped(f) {
				continue
			}
			k, ok := kindOf(f)
			if !ok {
				flush()
				continue
			}
			if k != kind || k == runSymbol || k == runWord && len(run) == maxWord {
				flush()
			}
			kind = k
			run, at = append(run, f), append(at, offset)
		}
	}
	flush()
}
