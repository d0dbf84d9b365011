package classify

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"qingyuan/post"
)

// plainJSON is a verdict as encoding/json writes it.
func plainJSON(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func checkJSON(t *testing.T, v Verdict) {
	t.Helper()
	got, err := v.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := plainJSON(t, v); !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestVerdictJSON(t *testing.T) {
	c := withModel(t)
	posts, _ := mixPosts(t)
	for _, p := range posts {
		v, err := c.Classify(p)
		if err != nil {
			t.Fatal(err)
		}
		checkJSON(t, v)
	}
	checkJSON(t, Verdict{})
	checkJSON(t, Verdict{StanceScores: map[Stance]float64{StanceReport: 1e-7, StanceOffer: 3}, Categories: []CategoryScore{{}}, Entities: []Entity{{Official: true}},
		Reasons: []Reason{{}, {Weight: -1e21}}, Evasion: []Evasion{EvasionDigits, "x"}, Severity: SeverityLow, Flagged: true})
}

func TestVerdictJSONRefusesWhatJSONCannotSay(t *testing.T) {
	for _, v := range []Verdict{{Score: math.NaN()}, {Score: math.Inf(1)}, {StanceScores: map[Stance]float64{"x": 1}}} {
		if got, err := v.AppendJSON(nil); err == nil {
			t.Errorf("%s, and no error", got)
		}
	}
}

func FuzzVerdictJSON(f *testing.F) {
	f.Add("停息挂账", "\x00\x1f\x7f\u2028\u2029\xff\xc3<&>\"\\/\b\f\n\r\t", 0.25)
	f.Add("", "\ufffd\U0001f600", 1e-9)
	f.Add("a", "b", 123456789e15)
	f.Fuzz(func(t *testing.T, a, b string, x float64) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		checkJSON(t, Verdict{Score: x, Stance: Stance(a), Severity: Severity(b), StanceScores: map[Stance]float64{StanceOther: -x}, Entities: []Entity{{Type: a, Value: b, Raw: a, Start: len(a), End: len(b)}},
			Reasons: []Reason{{Kind: ReasonKind(a), ID: b, Category: a, Text: b, Start: -1, Weight: x}}, Categories: []CategoryScore{{ID: b, Score: x}}, Evasion: []Evasion{Evasion(b)}, Dictionary: a, Model: b})
	})
}

// BenchmarkVerdictJSON writes the verdicts on the posts of testdata/bench.
func BenchmarkVerdictJSON(b *testing.B) {
	posts, _ := mixPosts(b)
	c := withModel(b)
	verdicts := make([]Verdict, len(posts))
	for i, p := range posts {
		v, err := c.Classify(post.Post{Title: p.Title, Text: p.Text, SourceType: p.SourceType, Kind: p.Kind})
		if err != nil {
			b.Fatal(err)
		}
		verdicts[i] = v
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for i := range verdicts {
			var err error
			if out, err = verdicts[i].AppendJSON(out); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.SetBytes(int64(len(out)))
}
