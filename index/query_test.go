package index

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 22, 14, 30, 0, 0, China())

func TestParse(t *testing.T) {
	for _, c := range [...]struct{ in, want string }{
		{"", ""},
		{" \u3000 ", ""},
		{"停息挂账", `"停息挂账"`},
		{"停息 挂账", `"停息" AND "挂账"`},
		{"停息\u3000挂账", `"停息" AND "挂账"`},
		{`"停息 挂账"`, `"停息 挂账"`},
		{`"说\"好\\的"`, `"说\"好\\的"`},
		{"a OR b c", `"a" OR ("b" AND "c")`},
		{"a || b && c", `"a" OR ("b" AND "c")`},
		{"a&&b||c", `("a" AND "b") OR "c"`},
		{"(a OR b) c", `("a" OR "b") AND "c"`},
		{"(a b) (c (d))", `"a" AND "b" AND "c" AND "d"`},
		{"-a !b NOT c", `NOT "a" AND NOT "b" AND NOT "c"`},
		{"NOT (a OR b)", `NOT ("a" OR "b")`},
		{"--a", `NOT NOT "a"`},
		{"a-b and or", `"a-b" AND "and" AND "or"`},
		{"ANDROID ORANGE NOTE", `"ANDROID" AND "ORANGE" AND "NOTE"`},
		{"停息(代办)", `"停息" AND "代办"`},
		{"加V:abc123", `"加V:abc123"`},
		{"http://x.example/a?b=1&c=2", `"http://x.example/a?b=1&c=2"`},
		{"a>b", `"a>b"`},
		{"stance:OFFER", `stance:"offer"`},
		{"Status:new", `status:"new"`},
		{"status:(new OR reviewing)", `status:"new" OR status:"reviewing"`},
		{"title:(停息 -挂账)", `title:"停息" AND NOT title:"挂账"`},
		{`assignee:""`, `assignee:""`},
		{`tag:"a b"`, `tag:"a b"`},
		{"author:Ｌｅｏ", `author:"leo"`},
		{`phone:"+86 138-0000-0000"`, `phone:"13800000000"`},
		{"wechat:ABC_123", `wechat:"abc_123"`},
		{"url:https://a.example/x", `url:"https://a.example/x"`},
		{"score:0.5", "score:[0.5 TO 0.5]"},
		{"score>=0.8", "score:[0.8 TO *]"},
		{"score:>0.8", "score:{0.8 TO *]"},
		{"score:{0.1 TO 0.2]", "score:{0.1 TO 0.2]"},
		{"score:[* TO 0.2}", "score:[* TO 0.2}"},
		{"published:2026-11-01", "published:[2026-10-31T16:00:00Z TO 2026-11-01T16:00:00Z}"},
		{"published:2026-11", "published:[2026-10-31T16:00:00Z TO 2026-11-30T16:00:00Z}"},
		{"published:[2026-11-01 TO 2026-11-02]", "published:[2026-10-31T16:00:00Z TO 2026-11-02T16:00:00Z}"},
		{"published:[2026-11-01 TO 2026-11-02}", "published:[2026-10-31T16:00:00Z TO 2026-11-01T16:00:00Z}"},
		{"published:>2026-11-01", "published:[2026-11-01T16:00:00Z TO *}"},
		{"published:<=2026-11-01", "published:[* TO 2026-11-01T16:00:00Z}"},
		{"published<2026-11-01", "published:[* TO 2026-10-31T16:00:00Z}"},
		{"ingested:today", "ingested:[2026-11-21T16:00:00Z TO 2026-11-22T16:00:00Z}"},
		{"ingested:7d", "ingested:[2026-11-15T06:30:00Z TO *}"},
		{"ingested:[7d TO 2d}", "ingested:[2026-11-15T06:30:00Z TO 2026-11-20T06:30:00Z}"},
		{"seen:>=12h", "seen:[2026-11-21T18:30:00Z TO *}"},
		{"seen:(today OR yesterday)", "seen:[2026-11-21T16:00:00Z TO 2026-11-22T16:00:00Z} OR seen:[2026-11-20T16:00:00Z TO 2026-11-21T16:00:00Z}"},
		{"published:2026-11-01T08:00:00+08:00", "published:[2026-11-01T00:00:00Z TO 2026-11-01T00:00:00.000001Z}"},
	} {
		e, err := Parse(c.in, testNow)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if e.String() != c.want {
			t.Errorf("Parse(%q) = %s, want %s", c.in, e, c.want)
		}
		roundTrip(t, e)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range [...]struct {
		in     string
		pos    int
		says   string
		remedy string
	}{
		{"停息 statu:new", 3, `no field "statu"`, "did you mean status?"},
		{"vx:abc", 0, `no field "vx"`, `"vx:abc"`},
		{"status:nwe", 7, `no value "nwe"`, "reviewing"},
		{"(停息", 0, "never closed", ")"},
		{"停息)", 2, "no opening", "quotes"},
		{`a "停息`, 2, "never closed", `"`},
		{"AND a", 0, "AND has nothing before it", "quotes"},
		{"a OR", 4, "ends where something is expected", ""},
		{"a OR OR b", 5, "OR has nothing before it", ""},
		{"()", 1, "nothing stands before", ""},
		{"score:high", 6, "needs a number", "score>=0.8"},
		{"score:[0.1 0.2]", 11, "needs TO", "[a TO b]"},
		{"score:[0.9 TO 0.1]", 6, "holds nothing", "swap"},
		{"score:NaN", 6, "needs a number", ""},
		{"published:gestern", 10, "needs a date", "2026-11-01"},
		{"published:[2026-11-02 TO 2026-11-01]", 10, "holds nothing", "swap"},
		{"source:*", 7, "no wildcards", `NOT source:""`},
		{"source: x", 7, "has no value", `source:""`},
		{"！！！", 0, "no character", ""},
		{strings.Repeat("(", 40) + "a" + strings.Repeat(")", 40), 33, "nested deeper", ""},
		{strings.Repeat("a ", 201), 400, "more than 200 terms", ""},
		{strings.Repeat("a", 5000), 0, "longer than 4096", ""},
	} {
		_, err := Parse(c.in, testNow)
		var qe *QueryError
		if !errors.As(err, &qe) {
			t.Errorf("Parse(%.40q): got %v, want a *QueryError", c.in, err)
			continue
		}
		if qe.Pos != c.pos || !strings.Contains(qe.Problem, c.says) || !strings.Contains(qe.Remedy, c.remedy) {
			t.Errorf("Parse(%.40q): at %d: %s; %s\nwant at %d: …%s…; …%s…", c.in, qe.Pos, qe.Problem, qe.Remedy, c.pos, c.says, c.remedy)
		}
	}
}

func TestFieldsNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Fields() {
		if seen[f.Name] || f.Help == "" || f.HelpEn == "" {
			t.Errorf("field %s is named twice or has no help", f.Name)
		}
		seen[f.Name] = true
	}
}

// roundTrip checks that the printed expression parses to the same one.
func roundTrip(t *testing.T, e Expr) {
	t.Helper()
	again, err := Parse(e.String(), testNow.Add(time.Hour))
	if err != nil {
		var qe *QueryError
		if errors.As(err, &qe) && (strings.Contains(qe.Problem, "longer than") || strings.Contains(qe.Problem, "nested deeper")) {
			return // printing may need more room than the user's own words
		}
		t.Fatalf("%s does not parse again: %v", e, err)
	}
	if !reflect.DeepEqual(e, again) {
		t.Fatalf("%#v\nprints as %s\nwhich parses to %#v", e, e, again)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range [...]string{"停息 OR (挂账 -x)", `title:"a\"b" status:(new || reviewing)`, "score:{0.1 TO *]", "published:[2026-11-01 TO 7d}", "wechat:+8613800000000",
		"((((", "NOT NOT -!a", "\x00\xff", "id:\"\\\\\"", `wechat:"＊"`, `wechat:("*" OR "+86")`, "seen:<=2026-1-2", "score>=1e-5", "author:İǅ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s, testNow)
		if err != nil {
			var qe *QueryError
			if !errors.As(err, &qe) || qe.Problem == "" || qe.Pos < 0 || qe.Pos > len([]rune(s)) {
				t.Fatalf("Parse(%q): %#v", s, err)
			}
			return
		}
		roundTrip(t, e)
		Snippet(s, s, e)
	})
}

func FuzzTokens(f *testing.F) {
	for _, s := range [...]string{"停息挂账加V信abc123", "①③⑧ＶＸ❤️\u200b", "é e\u0301 ﷺ", "𠮷の가각", "\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 10_000 {
			return
		}
		tokens := strings.Fields(Tokens(s))
		for _, tok := range tokens {
			if strings.ContainsFunc(tok, func(r rune) bool { return r < 128 && !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }) {
				t.Fatalf("token %q of %q holds other ASCII than letters and digits", tok, s)
			}
		}
		if want, _ := Phrase(s); (len(want) > 0) != (len(tokens) > 0) {
			t.Fatalf("%q has %d tokens but %d to look for", s, len(tokens), len(want))
		} else if len(want) > 0 {
			if _, _, ok := locate(s).find(s); !ok {
				t.Fatalf("%q is not found in itself", s)
			}
		}
		if twice := Fold(Fold(s)); twice != Fold(s) {
			t.Fatalf("Fold(%q) is %q, folded again %q", s, Fold(s), twice)
		}
	})
}
