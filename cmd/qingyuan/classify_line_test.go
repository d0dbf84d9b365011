package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"qingyuan/classify"
)

// What the quick reader takes, encoding/json takes too, and reads the same.
func FuzzInputReader(f *testing.F) {
	for _, line := range []string{`{}`, `{"id":"1","title":"a","text":"停息挂账","source_type":"forum","kind":"ad"}`, ` { "id" : "1" , "text" : "\u505c\n\"\\\/\b\f\r\t" } `,
		`{"text":"a","text":"b"}`, `{"Text":"x"}`, `{"url":"x","text":"y"}`, `{"text":"\ud83d\ude00"}`, "{\"text\":\"\xff\"}", "{\"text\":\"a\x00\"}", `{"text":"a",}`, `{"text":"a"}x`, `{"text":"\u12"}`,
		`{"id":1}`, `{"text":null}`, `{"\u0069d":"x"}`, `{"text":"a"`, `{"id":"a""text":"b"}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var r inputReader
		var got, want classifyInput
		if !r.read(string(line), &got) {
			return
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("%q is read as %+v, and is a mistake: %v", line, got, err)
		}
		if got != want {
			t.Errorf("%q is read as %+v, not as %+v", line, got, want)
		}
	})
}

// The plain lines of every day take the quick way.
func TestInputReaderTakesPlainLines(t *testing.T) {
	for _, line := range []string{`{}`, `{"id":"1","title":"","text":"停息挂账","source_type":"forum","kind":"ad","url":"http:\/\/a.example"}`, `{"text":"\u505c\u606f"}`} {
		var in classifyInput
		if !new(inputReader).read(line, &in) {
			t.Errorf("%s is not read", line)
		}
	}
}

func TestOutputIsThatOfEncodingJSON(t *testing.T) {
	v := classify.Verdict{Stance: "other", Model: "m\n", Categories: []classify.CategoryScore{}}
	for _, out := range []classifyOutput{{}, {ID: "a\"<", Verdict: &v}, {ID: "b", Error: "bad \u2028 line", Line: 7}, {Verdict: &v, Error: "x"}} {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(out); err != nil {
			t.Fatal(err)
		}
		got, err := appendOutput(nil, &out)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want.String() {
			t.Errorf("got  %swant %s", got, want.String())
		}
	}
}
