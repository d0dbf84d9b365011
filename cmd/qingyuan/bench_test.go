package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"testing"
)

// BenchmarkClassifyStream is qingyuan classify -jsonl after start-up, with one
// worker: JSON in, verdicts out, on forum posts of 15 to 70 characters from the
// held-out texts.
func BenchmarkClassifyStream(b *testing.B) {
	texts, err := readLabelledFiles([]string{"../../testdata/labelled/dev.jsonl"})
	if err != nil {
		b.Fatal(err)
	}
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	enc.SetEscapeHTML(false)
	lines, size := 0, 0
	for range 20 {
		for _, l := range texts {
			if n := len([]rune(l.Title + l.Text)); n < 15 || n > 70 {
				continue
			}
			lines++
			size += len(l.Title) + len(l.Text)
			if err := enc.Encode(classifyInput{ID: l.ID, Title: l.Title, Text: l.Text, SourceType: l.SourceType}); err != nil {
				b.Fatal(err)
			}
		}
	}
	benchStream(b, in.Bytes(), lines, size)
}

// BenchmarkClassifyStreamMix is the same on what a crawl brings, the posts of
// testdata/bench.
func BenchmarkClassifyStreamMix(b *testing.B) {
	in, err := os.ReadFile("../../testdata/bench/mix.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines, size := 0, 0
	for line := range bytes.Lines(in) {
		var p classifyInput
		if err := json.Unmarshal(line, &p); err != nil {
			b.Fatal(err)
		}
		lines++
		size += len(p.Title) + len(p.Text)
	}
	benchStream(b, in, lines, size)
}

// benchStream answers the lines of in, whose texts have so many bytes.
func benchStream(b *testing.B, in []byte, lines, size int) {
	c, err := openClassifier(defaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	run := func() {
		if err := classifyStream(b.Context(), c, bytes.NewReader(in), io.Discard, 1); err != nil {
			b.Fatal(err)
		}
	}
	run() // loads the segmentation dictionary
	b.SetBytes(int64(size))
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "posts/s")
	b.ReportMetric(float64(size)/float64(lines), "bytes/post")
}
