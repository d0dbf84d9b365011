package index

import (
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		"停":            "停",
		"停息挂账":         "停息 息挂 挂账 账",
		"停.息":          "停 息",
		"加V信abc":       "加 v 信 abc",
		"ＶＸ：ＡＢＣ":       "vx abc",
		"①③⑧零":         "138 零",
		"零\u200b宽":     "零宽 宽",
		"❤️信🐧":         "❤ 信 🐧",
		"Café 1.5%":    "cafe 1 5",
		"停息\n挂账":       "停息 息 挂账 账",
		"⽀付":           "支付 付",
		"+-*\"(){}:^~": "",
	} {
		if got := Tokens(in); got != want {
			t.Errorf("Tokens(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Tokens(strings.Repeat("a", 150)); got != strings.Repeat("a", 64)+" "+strings.Repeat("a", 64)+" "+strings.Repeat("a", 22) {
		t.Errorf("a word of 150 letters: %q", got)
	}
}

func TestPhrase(t *testing.T) {
	for _, c := range [...]struct {
		in, tokens string
		prefix     bool
	}{
		{"", "", false},
		{"停", "停", true},
		{"停息", "停息", false},
		{"停息挂", "停息 息挂", false},
		{"加V信", "加 v 信", true},
		{"微信abc", "微信 信 abc", true},
		{"abc微信", "abc 微信", false},
		{"停.息挂", "停 息挂", false},
		{"，停息。", "停息", false},
		{"❤", "❤", false},
	} {
		tokens, prefix := Phrase(c.in)
		if strings.Join(tokens, " ") != c.tokens || prefix != c.prefix {
			t.Errorf("Phrase(%q) = %q, %v; want %q, %v", c.in, tokens, prefix, c.tokens, c.prefix)
		}
	}
}

func TestSnippet(t *testing.T) {
	text := strings.Repeat("前面的话", 50) + "专业ＴＩＮＧ停 息 挂账" + strings.Repeat("后面的话", 50)
	for query, want := range map[string]string{"ting停": "ＴＩＮＧ停", "挂账": "挂账", "没有": "前面的话", "NOT 挂账": "前面的话", "title:标题": "标题在此"} {
		e, err := Parse(query, testNow)
		if err != nil {
			t.Fatal(err)
		}
		got := Snippet("标题在此", text, e)
		if !strings.Contains(got, want) || len([]rune(got)) > snippetRunes+2 {
			t.Errorf("snippet for %s: %q, want it to contain %q", query, got, want)
		}
	}
}

func BenchmarkTokens(b *testing.B) {
	text := strings.Repeat("专业办理停息挂账，加V信abc123，不成功不收费！", 8)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Tokens(text)
	}
}
