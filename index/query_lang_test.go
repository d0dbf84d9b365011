package index

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// TestQueryErrorsInBothLanguages makes every mistake and reads what is said.
func TestQueryErrorsInBothLanguages(t *testing.T) {
	han := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	}
	for _, in := range [...]string{"statu:new", "vx:abc", "status:nwe", "(a", "a)", `"a`, "AND a", "a OR", "a || || b", "()", "score:high", "score:[0.1 0.2]", "score:[0.1 TO 0.2",
		"score:[0.9 TO 0.1]", "score:>= 1", "published:gestern", "published:[2026-11-02 TO 2026-11-01]", "source:*", "wechat:＊", "source: x", "!!!", "wechat:\u200b",
		strings.Repeat("(", 40), strings.Repeat("a ", 201), strings.Repeat("score:1 ", 201), strings.Repeat("a", 5000)} {
		_, err := Parse(in, testNow)
		var qe *QueryError
		if !errors.As(err, &qe) {
			t.Errorf("Parse(%.40q): got %v, want a *QueryError", in, err)
			continue
		}
		problem, remedy := qe.In("zh")
		if !han(problem) || !han(remedy) || strings.Contains(problem+remedy, "%!") {
			t.Errorf("%.40q in Chinese: %s; %s", in, problem, remedy)
		}
		problem, remedy = qe.In("en")
		if problem != qe.Problem || remedy != qe.Remedy || han(problem) || han(remedy) || strings.Contains(problem+remedy, "%!") {
			t.Errorf("%.40q in English: %s; %s", in, problem, remedy)
		}
	}
	if problem, _ := (&QueryError{Problem: "odd"}).In("zh"); problem != "odd" {
		t.Errorf("an error without Chinese is %q, want the English", problem)
	}
}

// TestQuotedValuesAreLiteral checks the values that mean something else bare.
func TestQuotedValuesAreLiteral(t *testing.T) {
	for in, want := range map[string]string{
		`wechat:"*"`: `wechat:"*"`, `wechat:"＊"`: `wechat:"*"`, `source:("*" OR a)`: `source:"*" OR source:"a"`, "phone:+86": `phone:"+86"`,
		`wechat:"-"`: `wechat:"-"`, `title:"AND"`: `title:"AND"`, `wechat:"a\"b\\"`: `wechat:"a\"b\\"`,
	} {
		e, err := Parse(in, testNow)
		if err != nil || e.String() != want {
			t.Errorf("Parse(%s) = %v, %v; want %s", in, e, err, want)
			continue
		}
		roundTrip(t, e)
	}
}
