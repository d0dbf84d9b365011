package classify

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func dictionaryOf(t *testing.T, files map[string]string) *Dictionary {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	d, err := LoadDictionary(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const diffOld = `category: cashout
name: {zh: 套现, en: Cash-out}
severity: medium
terms:
  - {id: taoxian, text: 套现, variants: [代刷, 提现秒到], weight: 2}
  - {id: yangka, text: 养卡, weight: 1}
rules:
  - {id: co-a, any: [花呗, 白条], window: 20, weight: 1, hit: [花呗], miss: [花]}
exceptions:
  - {id: co-x, any: [公积金中心], weight: -1, hit: [公积金中心], miss: [公积金]}
classes:
  - {id: quick, any: [秒到, 当天]}
flagged: [套现秒到加微信 abc12345]
`

const diffNew = `# a comment makes no difference
category: cashout
name: {zh: 套现, en: Cash-out}
severity: medium
threshold: 0.6
terms:
  - {id: daihuan, text: 代还, weight: 1.5, ambiguous: true}
  - {id: taoxian, text: 套现, variants: [提现秒到, 刷出来], weight: 2.4}
rules:
  - {id: co-a, any: [白条, 花呗], window: post, weight: 1, hit: [花呗], miss: [花]}
classes:
  - {id: quick, any: [当天, 秒到, 秒批]}
unflagged: [今天天气好]
`

const diffCues = "cues:\n  - {id: c-a, stance: offer, any: [包过], weight: 1, hit: [包过], miss: [包]}\n"

func TestDiffNamesEveryDifference(t *testing.T) {
	older := dictionaryOf(t, map[string]string{"cashout.yaml": diffOld, "stance.yaml": diffCues})
	newer := dictionaryOf(t, map[string]string{"cashout.yaml": diffNew, "stance.yaml": strings.Replace(diffCues, "weight: 1", "weight: 0.5", 1)})
	got := Diff(older, newer)
	want := DictionaryDiff{Old: older.Version, New: newer.Version, Added: 2, Removed: 3, Changed: 5, Changes: []EntryDelta{
		{Change: ChangeChanged, Kind: "cue", ID: "c-a", Fields: []FieldDelta{{Field: "weight", Old: "1", New: "0.5"}}},
		{Change: ChangeChanged, Kind: "class", ID: "quick", Fields: []FieldDelta{{Field: "any", Added: []string{"秒批"}}}},
		{Change: ChangeChanged, Kind: "category", Category: "cashout", ID: "cashout", Name: Name{"套现", "Cash-out"}, Fields: []FieldDelta{{Field: "threshold", Old: "0.5", New: "0.6"}}},
		{Change: ChangeAdded, Kind: "term", Category: "cashout", ID: "daihuan", Name: Name{"代还", "代还"},
			Fields: []FieldDelta{{Field: "text", New: "代还"}, {Field: "weight", New: "1.5"}, {Field: "ambiguous", New: "true"}}},
		{Change: ChangeChanged, Kind: "term", Category: "cashout", ID: "taoxian", Name: Name{"套现", "套现"},
			Fields: []FieldDelta{{Field: "variants", Added: []string{"刷出来"}, Removed: []string{"代刷"}}, {Field: "weight", Old: "2", New: "2.4"}}},
		{Change: ChangeRemoved, Kind: "term", Category: "cashout", ID: "yangka", Name: Name{"养卡", "养卡"},
			Fields: []FieldDelta{{Field: "text", Old: "养卡"}, {Field: "weight", Old: "1"}}},
		{Change: ChangeChanged, Kind: "rule", Category: "cashout", ID: "co-a", Fields: []FieldDelta{{Field: "window", Old: "20", New: "post"}}},
		{Change: ChangeRemoved, Kind: "exception", Category: "cashout", ID: "co-x", Fields: []FieldDelta{{Field: "any", Removed: []string{"公积金中心"}},
			{Field: "window", Old: "sentence"}, {Field: "weight", Old: "-1"}, {Field: "hit", Removed: []string{"公积金中心"}}, {Field: "miss", Removed: []string{"公积金"}}}},
		{Change: ChangeRemoved, Kind: "flagged", Category: "cashout", ID: "套现秒到加微信 abc12345"},
		{Change: ChangeAdded, Kind: "unflagged", Category: "cashout", ID: "今天天气好"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	if err := got.Print(&out, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 added, 3 removed, 5 changed", "threshold: 0.5 → 0.6", "+ term daihuan 代还", "− term yangka 养卡", "variants: + 刷出来 − 代刷", "weight: 2 → 2.4", "− exception co-x"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not printed:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := got.Print(&out, 1); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "… and 2 more of kind term") {
		t.Errorf("the number of entries left out is not printed:\n%s", out.String())
	}
}

func TestDiffOfTheSameIsEmpty(t *testing.T) {
	d, err := LoadDictionary(os.DirFS("../dictionaries"))
	if err != nil {
		t.Fatal(err)
	}
	if got := Diff(d, d); len(got.Changes) != 0 || got.Changes == nil {
		t.Errorf("a dictionary differs from itself: %+v", got.Changes)
	}
	// Order and comments make another version, and no difference.
	a := dictionaryOf(t, map[string]string{"cashout.yaml": diffOld})
	b := dictionaryOf(t, map[string]string{"cashout.yaml": "# x\n" + strings.Replace(diffOld, "[花呗, 白条]", "[白条, 花呗]", 1)})
	if got := Diff(a, b); len(got.Changes) != 0 || got.Old == got.New {
		t.Errorf("order counts as a difference: %+v", got)
	}
}
