package index_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"qingyuan/index"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
)

func open(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: indextest.Normalize, Now: indextest.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// gate is a real store whose Put can be counted, held up and made to fail.
type gate struct {
	index.Store
	puts   atomic.Int64
	held   chan struct{} // when not nil, closed when the first Put begins
	hold   chan struct{} // when not nil, each Put takes one from it first
	refuse string        // post text that makes a batch fail
}

func (g *gate) Put(ctx context.Context, recs []index.Record) error {
	if g.puts.Add(1) == 1 && g.held != nil {
		close(g.held)
	}
	if g.hold != nil {
		<-g.hold
	}
	for _, r := range recs {
		if g.refuse != "" && r.Post.Text == g.refuse {
			return errors.New("the disk is full")
		}
	}
	return g.Store.Put(ctx, recs)
}

func TestWriterAddIsDurable(t *testing.T) {
	s := open(t)
	w := index.NewWriter(s, index.WriterOptions{MaxBatch: 50})
	recs := indextest.Posts(400, 1)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for page := range 10 {
				at := worker*50 + page*5
				if err := w.Add(t.Context(), recs[at:at+5]...); err != nil {
					t.Errorf("Add: %v", err)
				}
				for _, r := range recs[at : at+5] {
					if _, err := s.Get(t.Context(), r.Post.ID); err != nil {
						t.Errorf("a record is not there after Add: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if err := w.Add(t.Context(), recs[0]); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Add after Close: got %v, want ErrClosed", err)
	}
	if err := w.Flush(t.Context()); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Flush after Close: got %v, want ErrClosed", err)
	}
}

func TestWriterCommitsTogether(t *testing.T) {
	g := &gate{Store: open(t), hold: make(chan struct{}), held: make(chan struct{})}
	w := index.NewWriter(g, index.WriterOptions{MaxDelay: time.Millisecond})
	recs := indextest.Posts(21, 1)
	var wg sync.WaitGroup
	add := func(r index.Record) {
		wg.Go(func() {
			if err := w.Add(t.Context(), r); err != nil {
				t.Errorf("Add: %v", err)
			}
		})
	}
	add(recs[0])
	<-g.held
	for _, r := range recs[1:] {
		add(r)
	}
	g.hold <- struct{}{}
	go func() {
		for {
			select {
			case g.hold <- struct{}{}:
			case <-t.Context().Done():
				return
			}
		}
	}()
	wg.Wait()
	w.Close()
	if n := g.puts.Load(); n > 12 {
		t.Errorf("%d puts for 21 adds that waited together", n)
	}
}

func TestWriterKeepsFaultsApart(t *testing.T) {
	g := &gate{Store: open(t), refuse: "毒"}
	w := index.NewWriter(g, index.WriterOptions{MaxDelay: 20 * time.Millisecond})
	defer w.Close()
	recs := indextest.Posts(12, 1)
	recs[5].Post.Text = "毒"
	recs[7].Post.ID = ""
	var wg sync.WaitGroup
	for i, r := range recs {
		wg.Go(func() {
			err := w.Add(t.Context(), r)
			switch i {
			case 5:
				if err == nil || !strings.Contains(err.Error(), "disk is full") {
					t.Errorf("the refused record: got %v, want the store's error", err)
				}
			case 7:
				if !errors.Is(err, index.ErrInvalid) {
					t.Errorf("the record without id: got %v, want ErrInvalid", err)
				}
			default:
				if err != nil {
					t.Errorf("record %d suffers from another's fault: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if p, err := g.Search(t.Context(), index.Query{}); err != nil || p.Total != 10 {
		t.Errorf("%d records kept, %v; want 10", p.Total, err)
	}
}

func TestWriterContext(t *testing.T) {
	g := &gate{Store: open(t), hold: make(chan struct{})}
	w := index.NewWriter(g, index.WriterOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Add(ctx, indextest.Posts(1, 1)...); !errors.Is(err, context.Canceled) {
		t.Errorf("Add with an ended context: %v", err)
	}
	if err := w.Add(ctx); err != nil {
		t.Errorf("Add of nothing: %v", err)
	}
	close(g.hold)
	if err := w.Flush(t.Context()); err != nil {
		t.Errorf("Flush: %v", err)
	}
	w.Close()
}

func TestExport(t *testing.T) {
	s := open(t)
	recs := indextest.Posts(1203, 1)
	evil := []string{"=HYPERLINK(\"http://x.example\",\"点\")", "+8613800000000", "-2+3", "@SUM(1)", "\t=1", "\r=1", "＝1+1", "  =1", "多行\r\n第二行,\"引号\"", "\u200b=1", "普通"}
	for i, text := range evil {
		recs[i].Post.Text = text
	}
	recs[3].Post.Author.Name = "=cmd|' /C calc'!A0"
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	n, err := index.WriteJSONL(t.Context(), &lines, s, index.Query{Limit: 2})
	if err != nil || n != len(recs) {
		t.Fatalf("WriteJSONL wrote %d of %d: %v", n, len(recs), err)
	}
	got := map[string]index.Record{}
	for dec := json.NewDecoder(&lines); dec.More(); {
		var r index.Record
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		got[r.Post.ID] = r
	}
	for _, r := range recs {
		if got[r.Post.ID].Post.Text != r.Post.Text {
			t.Errorf("JSON line of %s has text %q, want %q", r.Post.ID, got[r.Post.ID].Post.Text, r.Post.Text)
		}
	}
	var table bytes.Buffer
	if n, err := index.WriteCSV(t.Context(), &table, s, index.Query{}); err != nil || n != len(recs) {
		t.Fatalf("WriteCSV wrote %d of %d: %v", n, len(recs), err)
	}
	if !bytes.HasPrefix(table.Bytes(), []byte("\xEF\xBB\xBFid,")) {
		t.Errorf("CSV begins %q, want a byte order mark and the header", table.Bytes()[:16])
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != len(recs)+1 {
		t.Fatalf("CSV has %d rows, %v; want %d", len(rows), err, len(recs)+1)
	}
	for _, row := range rows {
		for _, cell := range row {
			if c := strings.TrimLeft(cell, " \t\r\n\u200b"); c != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(c)[0]) {
				t.Errorf("cell %q can act as a formula", cell)
			}
		}
	}
}

func TestSafeCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "停息挂账": "停息挂账", "0.91": "0.91", "12": "12", "-5": "'-5", "=1": "'=1", "＋1": "'＋1", "@a": "'@a", "\t=1": "'\t'=1", "\r\n=1": "'\n'=1",
		"x;=1+1": "x;'=1+1", "x\t \"=1": "x\t \"'=1", "好;\u200b＋1": "好;\u200b'＋1", "甲\n-乙": "甲\n'-乙", "a; b=1": "a; b=1", "x;'=1": "x;'=1",
		" =1": "' =1", "a=1": "a=1", "'=1": "''=1", "a\x00b\x1b": "ab", "a\r\nb\rc": "a\nb\nc", "013800": "'013800", "138000000001234": "'138000000001234",
		"12345678e12345678": "'12345678e12345678", "0.5e3": "'0.5e3", "2026-11-01T08:00:00+08:00": "2026-11-01T08:00:00+08:00", "|calc": "'|calc", "\ufeff=1": "'\ufeff=1",
	} {
		if got := index.SafeCell(in); got != want {
			t.Errorf("SafeCell(%q) = %q, want %q", in, got, want)
		}
	}
}

// Spreadsheets keep 32,767 UTF-16 units of a cell and say nothing of the rest.
func TestSafeCellCutsWithAMark(t *testing.T) {
	for in, cut := range map[string]bool{strings.Repeat("债", index.MaxCell): false, strings.Repeat("债", index.MaxCell+1): true,
		strings.Repeat("🐧", index.MaxCell/2): false, strings.Repeat("🐧", index.MaxCell/2+1): true, strings.Repeat("\n=", index.MaxCell/2): true} {
		got := index.SafeCell(in)
		if n := len(utf16.Encode([]rune(got))); n > 32_767 {
			t.Errorf("%.20q: %d units, more than a cell holds", in, n)
		}
		if strings.HasSuffix(got, "】") != cut {
			t.Errorf("%.20q: %d bytes, ends %q; cut: want %v", in, len(got), got[len(got)-6:], cut)
		}
	}
}

// Programs that separate at semicolons or tabs must not find a bare one.
func TestCSVQuotesEveryCell(t *testing.T) {
	s := open(t)
	recs := indextest.Posts(2, 1)
	recs[0].Post.Title, recs[1].Post.Title = "x;=1+1", "x\t=1+1"
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if _, err := index.WriteCSV(t.Context(), &table, s, index.Query{}); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(table.String(), "\r\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n") {
		if !strings.HasPrefix(line, `"`) || !strings.HasSuffix(line, `"`) || strings.Contains(line, `,,`) {
			t.Errorf("a cell is not quoted: %s", line)
		}
	}
	if strings.Contains(body, ";=") || strings.Contains(body, "\t=") {
		t.Errorf("a separator inside a cell leads to a formula:\n%s", body)
	}
}

func TestExportStopsWithContext(t *testing.T) {
	s := open(t)
	if err := s.Put(t.Context(), indextest.Posts(10, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := index.WriteCSV(ctx, &bytes.Buffer{}, s, index.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	if _, err := index.WriteCSV(t.Context(), failing{}, s, index.Query{}); err == nil {
		t.Error("a writer that fails: no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("pipe closed") }

func BenchmarkWriter(b *testing.B) {
	for _, workers := range [...]int{1, 16} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			w := index.NewWriter(open(b), index.WriterOptions{})
			defer w.Close()
			recs := indextest.Posts(b.N, 1)
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(len(recs)); i = next.Add(1) - 1 {
						if err := w.Add(b.Context(), recs[i]); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}

func FuzzSafeCell(f *testing.F) {
	f.Add("=1")
	f.Add("\u200b\t＋")
	f.Fuzz(func(t *testing.T, s string) {
		got := index.SafeCell(s)
		if strings.HasPrefix(got, "'") {
			return
		}
		if c := strings.TrimSpace(got); c != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(c)[0]) {
			t.Errorf("SafeCell(%q) = %q can act as a formula", s, got)
		}
	})
}
