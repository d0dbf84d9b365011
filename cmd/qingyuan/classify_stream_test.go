package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"qingyuan/classify"
	"qingyuan/dictionaries"
)

// The lines that are held at a time have a bound in bytes, not in lines only.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	line := `{"id":"x","text":"` + strings.Repeat("a", 1<<20) + "\"}\n"
	work, order := make(chan *batch, 100), make(chan *batch, 100)
	if err := readBatches(context.Background(), strings.NewReader(strings.Repeat(line, 64)), work, order); err != nil {
		t.Fatal(err)
	}
	close(work)
	for b := range work {
		n := 0
		for _, l := range b.lines {
			n += len(l)
		}
		if n > 16<<20 {
			t.Errorf("one batch holds %d MB", n>>20)
		}
	}
}

func streamBuiltin(t *testing.T, in string) []string {
	t.Helper()
	c, err := classify.Load(dictionaries.FS, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := classifyStream(context.Background(), c, strings.NewReader(in), &out, 2); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// Windows programs begin UTF-8 files with a byte order mark.
func TestByteOrderMarkIsPassedOver(t *testing.T) {
	if got := streamBuiltin(t, "\uFEFF"+`{"id":"a","text":"x"}`+"\n"); strings.Contains(got[0], "error") {
		t.Error(got[0])
	}
}

// Each line gets one line of JSON, whatever it is.
func TestOddLinesGetOneAnswerEach(t *testing.T) {
	lines := []string{`{}`, `null`, `[]`, `1`, `{"id":1}`, `{"text":"\ud800"}`, `{"text":"\udc00\ud800x"}`, "{\"id\":\"\xff\",\"text\":\"\xff\xfe\"}", "{\"text\":\"\x00\"}",
		`{"text":"x"} x`, `{"text":"x"}{"text":"y"}`, strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 20_000), `{"text":"` + strings.Repeat("a", 1<<20) + `"}`,
		`{"id":"` + strings.Repeat("i", 100_000) + `","text":"x"}`, `{"text":null}`, `{"text":"a` + "\u2028" + `b"}`, strings.Repeat("\xff", 1000)}
	got := streamBuiltin(t, strings.Join(lines, "\n"))
	if len(got) != len(lines) {
		t.Fatalf("%d lines answer %d", len(got), len(lines))
	}
	for i, l := range got {
		if !json.Valid([]byte(l)) {
			t.Errorf("answer %d to %.40q is no JSON: %.80q", i, lines[i], l)
		}
	}
}
