package workbench

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"qingyuan/classify"
	"qingyuan/dictionaries"
)

func builtin(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := classify.ReadDictionaryFiles(dictionaries.FS)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every entry of the built-in dictionaries can be changed and removed, and no
// line but its own differs afterwards.
func TestEveryEntryCanBeEditedAlone(t *testing.T) {
	files := builtin(t)
	entries := Entries(files)
	if len(entries) < 150 {
		t.Fatalf("%d entries", len(entries))
	}
	all := files
	for _, e := range entries {
		files := map[string][]byte{e.File: all[e.File]} // parsing the others again says nothing new
		values := maps.Clone(e.Values)
		values["note"] = []string{"改过：# 一次"}
		out, err := Apply(files, Edit{Ref: e.Ref, Values: values})
		if err != nil {
			t.Errorf("%s:%d: %v", e.File, e.Line, err)
			continue
		}
		was, is := strings.Split(string(files[e.File]), "\n"), strings.Split(string(out[e.File]), "\n")
		if strings.Join(was[:e.Line-1], "\n") != strings.Join(is[:e.Line-1], "\n") {
			t.Errorf("%s %s: lines before it changed", e.Kind, e.ID)
		}
		_, to, _, _ := e.span(strings.SplitAfter(string(files[e.File]), "\n"))
		if tail := strings.Join(was[to:], "\n"); !strings.HasSuffix(string(out[e.File]), tail) {
			t.Errorf("%s %s: lines after it changed", e.Kind, e.ID)
		}
		if _, err := Apply(files, Edit{Ref: e.Ref}); err != nil {
			t.Errorf("removing %s %s: %v", e.Kind, e.ID, err)
		}
	}
	values := maps.Clone(entries[0].Values)
	same, err := Apply(files, Edit{Ref: entries[0].Ref, Values: values})
	if err != nil || string(same[entries[0].File]) != string(files[entries[0].File]) {
		t.Errorf("an edit that changes nothing changes the file: %v", err)
	}
}

const handwritten = "# 表头说明\r\ncategory: demo   # 行尾\r\nname: {zh: 演示, en: Demo}\r\nseverity: low\r\nterms:\r\n" +
	"  # 第一个\r\n  - {id: one, text: 停息挂账, weight: 1.0}  # 旧\r\n\r\n  # 第二个\r\n  - id: two\r\n    text: \"代办\"  # 引号\r\n    weight: 2\r\n# 末尾\r\n"

func TestEditKeepsCommentsQuotesAndLineEnds(t *testing.T) {
	files := map[string][]byte{"demo.yaml": []byte(handwritten)}
	out, err := Apply(files, Edit{Ref: Ref{KindTerm, "demo", "two"}, Values: Values{"id": {"two"}, "text": {"代办"}, "weight": {"1.5"}, "variants": {"no", "代劳"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(handwritten, "\"代办\"  # 引号\r\n    weight: 2\r\n", "\"代办\" # 引号\r\n    weight: 1.5\r\n    variants: [\"no\", 代劳]\r\n", 1)
	if got := string(out["demo.yaml"]); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	out, err = Apply(out, Edit{Ref: Ref{Kind: KindTerm, Category: "demo"}, New: true, Values: Values{"id": {"three"}, "text": {"逾期"}, "weight": {"0.9"}}})
	if err != nil {
		t.Fatal(err)
	}
	if want = strings.Replace(want, "# 末尾", "  - {id: three, text: 逾期, weight: 0.9}\r\n# 末尾", 1); string(out["demo.yaml"]) != want {
		t.Errorf("got\n%q\nwant\n%q", out["demo.yaml"], want)
	}
	out, err = Apply(out, Edit{Ref: Ref{Kind: KindRule, Category: "demo"}, New: true, Values: Values{"id": {"d-r"}, "any": {"#one"}, "weight": {"1"}, "hit": {"停息挂账"}, "miss": {"逾期: 无"}}})
	if err != nil {
		t.Fatal(err)
	}
	if want += "rules:\r\n  - id: d-r\r\n    any: ['#one']\r\n    weight: 1\r\n    hit: [停息挂账]\r\n    miss: ['逾期: 无']\r\n"; string(out["demo.yaml"]) != want {
		t.Errorf("got\n%q\nwant\n%q", out["demo.yaml"], want)
	}
}

// What people type is a value, whatever it looks like.
func TestValuesAreNeverYAML(t *testing.T) {
	files := builtin(t)
	for _, v := range []string{"}, {id: evil, text: 注入, weight: 6", "a\n- id: evil", "\"", "'", "*alias", "&anchor x", "!!python/object x", "null", "~", "0x1F", "on", "# x", "a: b", "---", "…\u2028- b", "\ufeffx",
		"<script>alert(1)</script>", "\x00", "\t", "%TAG", "| \n x", "[a, b]", "key:\n  - 1", " lead", "trail "} {
		for _, e := range []Edit{
			{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"planted"}, "text": {v}, "variants": {v, "旁"}, "weight": {"1"}, "note": {v}}},
			{Ref: Ref{Kind: KindRule, Category: "cashout", ID: "co-credit-to-cash"}, Values: Values{"id": {"co-credit-to-cash"}, "any": {v}, "weight": {"1"}, "hit": {v}, "note": {v}}},
		} {
			out, err := Apply(files, e)
			if err != nil {
				t.Errorf("%q: %v", v, err)
				continue
			}
			got, ok := find(Entries(out), e.Result())
			if !ok || !got.Values.equal(e.Values) || len(Entries(out)) > len(Entries(files))+1 {
				t.Errorf("%q became %q", v, got.Values)
			}
		}
	}
	for _, e := range []Edit{
		{Ref: Ref{Kind: "planted"}, New: true, Values: Values{"id": {"x"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"x"}, "evil": {"1"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"x"}, "weight": {"1, text: y"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"x"}, "weight": {".nan"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"x"}, "weight": {"NaN"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"x"}, "exact": {"yes"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"x"}, "text": {"\xff"}}},
		{Ref: Ref{Kind: KindTerm, Category: "../cashout"}, New: true, Values: Values{"id": {"x"}, "text": {"停息"}}},
		{Ref: Ref{Kind: KindTerm, Category: "cashout"}, New: true, Values: Values{"id": {"taoxian"}, "text": {"停息"}}},
	} {
		if _, err := Apply(files, e); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

func TestUnusualYAMLIsLeftAlone(t *testing.T) {
	head := "category: demo\nname: {zh: 演, en: D}\nseverity: low\n"
	for _, body := range []string{"terms: [{id: one, text: 停息, weight: 1}]\n", "terms:\n  - &a {id: one, text: 停息, weight: 1}\n", "terms:\n  -\n    id: one\n    text: 停息\n    weight: 1\n",
		"terms:\n  - {id: one, text: 停息, weight: 1}\n  - {id: one, text: 挂账, weight: 1}\n"} {
		if _, err := Apply(map[string][]byte{"demo.yaml": []byte(head + body)}, Edit{Ref: Ref{KindTerm, "demo", "one"}, Values: Values{"id": {"one"}, "text": {"停息"}, "weight": {"2"}}}); !errors.Is(err, ErrByHand) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte(handwritten), "one", "停", "note")
	f.Add([]byte("category: d\nterms:\n  - {text: a b}\nrules:\n"), "a b", "- x\n", "")
	f.Fuzz(func(t *testing.T, data []byte, id, text, note string) {
		files := map[string][]byte{"f.yaml": data}
		before := Entries(files)
		for _, e := range before {
			out, err := Apply(files, Edit{Ref: e.Ref, Values: Values{"id": {id}, "note": {note}, "any": {text}, "text": {text}}})
			if err == nil && len(Entries(out)) != len(before) {
				t.Fatalf("%d entries became %d", len(before), len(Entries(out)))
			}
		}
		if out, err := Apply(files, Edit{Ref: Ref{Kind: KindClass}, New: true, Values: Values{"id": {id}, "any": slices.Repeat([]string{text}, 2)}}); err == nil && len(Entries(out)) != len(before)+1 {
			t.Fatal("not one more")
		}
	})
}
