package sqlite_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"os"

	"qingyuan/index"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
)

// benchSize is the number of records searched; set QINGYUAN_BENCH_RECORDS for
// more than the 50,000 of a quick run.
func benchSize() int {
	if n, err := strconv.Atoi(os.Getenv("QINGYUAN_BENCH_RECORDS")); err == nil && n > 0 {
		return n
	}
	return 50_000
}

func BenchmarkPut(b *testing.B) {
	for _, size := range [...]int{1, 20, 200} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "index.db"))
			recs := indextest.Posts(b.N*size, 1)
			b.ResetTimer()
			for chunk := range slices.Chunk(recs, size) {
				if err := s.Put(b.Context(), chunk); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(recs))/b.Elapsed().Seconds(), "posts/s")
		})
	}
}

func filled(b *testing.B) *sqlite.Store {
	s := open(b, filepath.Join(b.TempDir(), "index.db"))
	for chunk := range slices.Chunk(indextest.Posts(benchSize(), 1), 500) {
		if err := s.Put(b.Context(), chunk); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkRead(b *testing.B) {
	s := filled(b)
	for _, query := range [...]string{"", "flagged:true status:new", "停息挂账先做后付", "停息挂账 警方通报", "贷", "wechat:abc0042", "contact:abc0042 flagged:true", "score>=0.9 -stance:report", "ingested:2026-11-10 债务", "title:征信修复 severity:high"} {
		for _, by := range [...]index.Sort{index.SortIngested, index.SortScore} {
			b.Run(fmt.Sprintf("search/%s/%s", query, by), func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Search(b.Context(), index.Query{Text: query, Sort: by}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run("facets/"+query, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Facets(b.Context(), index.Query{Text: query}, index.Facets[:], 20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("each", func(b *testing.B) {
		n := 0
		for b.Loop() {
			if err := index.Each(b.Context(), s, index.Query{Text: "flagged:true"}, func(index.Record) error { n++; return nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	})
}
