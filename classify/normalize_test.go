package classify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func folded(s string) string {
	var n normalized
	normalize(s, &n)
	return n.text()
}

func TestFold(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"case", "POS机 AB贷", "pos机 ab贷"},
		{"full width", "ＶＸ：１２３，", "vx:123,"},
		{"traditional", "專業辦理債務重組徵信", "专业办理债务重组征信"},
		{"variants of 账", "帐帳賬账", "账账账账"},
		{"circled and keycap digits", "①③⑧❽1️⃣", "13881"},
		{"circled ten", "⑩", "10"},
		{"parenthesised", "⑴⒜㈠㊙", "1a一秘"},
		{"squared letters", "🅥🆇", "vx"},
		{"accents", "zhàiwù lǜ", "zhaiwu lv"},
		{"radicals supplement", "⻋抵⻢⻚", "车抵马页"},
		{"split", "亻责讠正氵去", "债证法"},
		{"halves that are words stay", "弓长张，代贝", "弓长张,代贝"},
		{"hearts are one sign", "💗💚♥️", "❤❤❤"},
		{"Russian stays", "привет мир", "привет мир"},
		{"one Greek letter stays", "α系数", "α系数"},
		{"Greek among Latin", "νx", "vx"},
		{"dotless i", "weıxin", "weixin"},
		{"control characters", "停\x00息\x01挂", "停息挂"},
		{"invalid bytes", "停\xff息", "停\ufffd息"},
		{"soft hyphen and joiners", "停\u00ad\u2060息\u202e挂", "停息挂"},
		{"entity for <", "&lt;b&gt;", "＜b>"},
		{"not an entity", "AT&T; R&D", "at＆t; r＆d"},
		{"less than", "1<2 且 a<b", "1＜2 且 a＜b"},
		{"line break tag", "停<br>息", "停\n息"},
		{"unclosed comment", "停<!-- 息", "停＜!-- 息"},
		{"hidden, nested", `停<span style="display: none">x<span>y</span>z</span>息`, "停息"},
		{"hidden, never closed", `停<span hidden>息`, "停息"},
		{"hidden advertising stays", `好天<i style="opacity:0">征信修复逾期铲单找我就对了</i>气`, "好天\n征信修复逾期铲单找我就对了气"},
		{"advertising in a comment stays", "歌<!--专做各类证件公章流水快速出-->词", "歌\n专做各类证件公章流水快速出-->词"},
		{"script", "停<script>if(a<b){}</script>息", "停息"},
		{"nul entity", "停&#0;息", "停\ufffd息"},
		{"huge entity", "停&#x110000;息", "停\ufffd息"},
		{"surrogate entity", "停&#xD800;息", "停\ufffd息"},
		{"long marks", "停" + strings.Repeat("\u0336", 50) + "息", "停息"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := folded(tt.in); got != tt.want {
				t.Errorf("folded %q to %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// checkNormalized fails when n breaks what normalized promises about s.
func checkNormalized(t testing.TB, s string, n *normalized) {
	t.Helper()
	size := len(n.runes)
	if len(n.start) != size || len(n.end) != size || len(n.class) != size || len(n.ev) != size || len(n.stream) != len(n.pos) {
		t.Fatalf("%q: slices of different lengths", s)
	}
	length := int32(utf8.RuneCountInString(s))
	content := 0
	for i := range n.runes {
		if n.start[i] < 0 || n.end[i] > length || n.start[i] >= n.end[i] {
			t.Fatalf("%q: rune %d covers [%d,%d) of %d", s, i, n.start[i], n.end[i], length)
		}
		if n.class[i] >= foldDrop {
			t.Fatalf("%q: rune %d (%q) has the transient class %d", s, i, n.runes[i], n.class[i])
		}
		if n.class[i].content() {
			if n.stream[content] != n.runes[i] || n.pos[content] != int32(i) {
				t.Fatalf("%q: the stream does not follow the runes at %d", s, i)
			}
			content++
		}
	}
	if content != len(n.stream) {
		t.Fatalf("%q: stream of %d, content of %d", s, len(n.stream), content)
	}
	var again normalized
	once := n.text()
	normalize(once, &again)
	if twice := again.text(); twice != once {
		t.Fatalf("%q folds to %q, and that to %q", s, once, twice)
	}
}

// TestUntouchedRunes checks the offsets against the original: a rune that no
// disguise touched must be the published one.
func TestUntouchedRunes(t *testing.T) {
	var n normalized
	for i, s := range samplePosts() {
		normalize(s, &n)
		checkNormalized(t, s, &n)
		original := []rune(s)
		for j, r := range n.runes {
			if n.ev[j]&evNames != 0 || r < 0x4e00 {
				continue
			}
			if got := original[n.start[j]]; got != r && n.class[j] == classHan {
				t.Errorf("post %d: rune %d is %q but covers %q", i, j, r, got)
			}
		}
	}
}

// TestEveryRuneFolds folds each code point alone and between ideographs.
func TestEveryRuneFolds(t *testing.T) {
	var n normalized
	for r := rune(0); r <= 0x1ffff; r += 16 {
		var b strings.Builder
		for i := range rune(16) {
			b.WriteString("停" + string(r+i) + "息")
		}
		normalize(b.String(), &n)
		checkNormalized(t, b.String(), &n)
	}
}

func TestSplitTableHasNoChains(t *testing.T) {
	tab := foldTables()
	if len(tab.split) < 150 {
		t.Errorf("only %d pairs of halves", len(tab.split))
	}
	whole := map[rune]bool{}
	for _, w := range tab.split {
		whole[w] = true
	}
	for pair, w := range tab.split {
		for _, r := range pair {
			if e := tab.entry(r); e.rune() != r {
				t.Errorf("half %q of %q folds to %q and is never seen", r, w, e.rune())
			}
		}
		if e := tab.entry(w); e.rune() != w {
			t.Errorf("%q is not folded: %q", w, e.rune())
		}
		if tab.entry(pair[0]).class() != foldRadical && tab.entry(pair[1]).class() != foldRadical {
			t.Errorf("%q+%q: neither is a bound radical", pair[0], pair[1])
		}
	}
	for r := range whole {
		if tab.entry(r).class() == foldRadical {
			t.Errorf("%q is both a whole and a half", r)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	const mib = 1 << 20
	texts := map[string]string{
		"one ideograph":        strings.Repeat("停", mib/3),
		"zero width":           strings.Repeat("\u200b", mib/3),
		"marks":                "停" + strings.Repeat("\u0336", mib/2),
		"less than":            strings.Repeat("<", mib),
		"ampersands":           strings.Repeat("&", mib),
		"unclosed comments":    strings.Repeat("<!--", mib/4),
		"unclosed hidden":      strings.Repeat("<span hidden>", mib/13),
		"unclosed tags":        strings.Repeat("<a ", mib/3),
		"radicals":             strings.Repeat("亻", mib/3),
		"Cyrillic":             strings.Repeat("а", mib/2),
		"turned":               strings.Repeat("ǝ", mib/2),
		"invalid":              strings.Repeat("\xff", mib),
		"surrogates":           strings.Repeat("\xed\xa0\x80", mib/3),
		"expanding":            strings.Repeat("㏂", mib/3),
		"letters":              strings.Repeat("zhai", mib/4),
		"bopomofo":             strings.Repeat("ㄓ", mib/3),
		"filled":               strings.Repeat("停1", mib/4),
		"the term":             strings.Repeat("停息挂账", mib/12),
		"the term, vertically": strings.Repeat("停\n息\n挂\n账\n", mib/16),
		"newlines":             strings.Repeat("\n", mib),
		"doubled":              strings.Repeat("停停息息", mib/12),
	}
	m := mustMatcher(t, trickLexicon)
	var n normalized
	var sc matchScratch
	for name, s := range texts {
		t.Run(name, func(t *testing.T) {
			normalize(s, &n)
			checkNormalized(t, s, &n)
			length := utf8.RuneCountInString(s)
			m.scan(&n, &sc, nil, func(h hit) {
				if h.origStart < 0 || h.origEnd > length || h.origStart >= h.origEnd {
					t.Fatalf("hit over [%d,%d) of %d", h.origStart, h.origEnd, length)
				}
			})
		})
	}
}

func TestNormalizedIsReused(t *testing.T) {
	var n, fresh normalized
	posts := append(samplePosts(), "亻责务", "<b>停</b>", "")
	for i := range 3 * len(posts) {
		s := posts[(i*7)%len(posts)]
		normalize(s, &n)
		fresh = normalized{}
		normalize(s, &fresh)
		if !slices.Equal(n.runes, fresh.runes) || !slices.Equal(n.ev, fresh.ev) || !slices.Equal(n.stream, fresh.stream) || n.seen != fresh.seen {
			t.Fatalf("%q folds differently into used storage", s)
		}
	}
}

func FuzzNormalizeAndMatch(f *testing.F) {
	for _, s := range samplePosts()[:20] {
		f.Add(s)
	}
	for _, s := range []string{"亻责务", "νх", "uıxıǝʍ", "停<!-- a -->息", "&#20572;", "&amp;#20572;", "1️⃣", "ㄓㄞˋㄨˋ重组", "\xff\xed\xa0\x80", "<span hidden>x</span>"} {
		f.Add(s)
	}
	m := mustMatcher(f, trickLexicon)
	f.Fuzz(func(t *testing.T, s string) {
		var n normalized
		var sc matchScratch
		normalize(s, &n)
		checkNormalized(t, s, &n)
		length := utf8.RuneCountInString(s)
		m.scan(&n, &sc, nil, func(h hit) {
			if h.origStart < 0 || h.origEnd > length || h.origStart >= h.origEnd || h.start >= h.end || h.end > len(n.runes) {
				t.Fatalf("hit %+v in %d runes", h, length)
			}
		})
	})
}

func BenchmarkLinear(b *testing.B) {
	m := mustMatcher(b, sampleLexicon(2000))
	base := []rune(strings.Join(samplePosts(), "\n"))
	for _, size := range []int{1_000, 10_000, 100_000, 1_000_000} {
		var text []rune
		for len(text) < size {
			text = append(text, base[:min(len(base), size-len(text))]...)
		}
		s := string(text)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var n normalized
			var sc matchScratch
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				normalize(s, &n)
				m.scan(&n, &sc, nil, func(hit) {})
			}
		})
	}
}

// text is the folded text.
func (n *normalized) text() string { return string(n.runes) }
