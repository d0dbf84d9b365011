package sqlite_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"qingyuan/index"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
)

func TestWriteXLSX(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	var empty bytes.Buffer
	if n, err := index.WriteXLSX(t.Context(), &empty, s, index.Query{}); n != 0 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	recs := indextest.Posts(40, 3)
	hostile := []string{`=cmd|' /C calc'!A0`, "+1", "@SUM(1)", "\x00\x07bell", "<b>&amp;]]>", strings.Repeat("长", 40_000), "_x0041_", "a\r\nb", "\xff\xfe", "0013800000001"}
	for i, h := range hostile {
		recs[i].Post.Title = h
	}
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := index.WriteXLSX(t.Context(), &out, s, index.Query{}); n != len(recs) || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	for _, raw := range [][]byte{empty.Bytes(), out.Bytes()} {
		book, err := excelize.OpenReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := book.GetRows("records")
		if err != nil || len(rows) == 0 || rows[0][0] != "id" {
			t.Fatalf("rows %d %v", len(rows), err)
		}
		if len(rows) == 1 {
			continue
		}
		byID := map[string][]string{}
		for i, r := range rows[1:] {
			byID[r[0]] = r
			cell := fmt.Sprintf("G%d", i+2)
			if f, err := book.GetCellFormula("records", cell); err != nil || f != "" {
				t.Errorf("%s is the formula %q (%v)", cell, f, err)
			}
		}
		for i, want := range map[int]string{0: hostile[0], 1: "+1", 2: "@SUM(1)", 3: "bell", 4: hostile[4], 6: "_x0041_", 7: "a\nb", 9: "0013800000001"} {
			if got := byID[recs[i].Post.ID][6]; got != want {
				t.Errorf("title %q comes back as %q", want, got)
			}
		}
		if got := []rune(byID[recs[5].Post.ID][6]); len(got) < 31_000 || len(got) > 32_100 {
			t.Errorf("the long title has %d characters", len(got))
		}
	}
}

func BenchmarkWriteXLSX(b *testing.B) {
	s, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "index.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(b.Context(), indextest.Posts(2000, 3)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := index.WriteXLSX(b.Context(), io.Discard, s, index.Query{}); err != nil {
			b.Fatal(err)
		}
	}
}
