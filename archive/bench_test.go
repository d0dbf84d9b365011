package archive

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAppend measures durable pages a second: three records each, 30 kB of
// body that no other has, on the file system of the temporary folder or of
// QINGYUAN_BENCH_DIR.
func BenchmarkAppend(b *testing.B) {
	const size = 30_000
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			dir := b.TempDir()
			if base := os.Getenv("QINGYUAN_BENCH_DIR"); base != "" {
				dir = filepath.Join(base, fmt.Sprintf("bench-%d", time.Now().UnixNano()))
				defer os.RemoveAll(dir)
			}
			w := open(b, Options{Dir: dir})
			x := page(1, time.Now())
			text := make([]byte, 0, size)
			r := rand.New(rand.NewSource(1))
			for len(text) < size {
				text = fmt.Appendf(text, "<div class=post id=p%d>停息挂账最长60期 %d</div>\n", r.Intn(1e6), r.Intn(1e9))
			}
			var n atomic.Int64
			b.SetBytes(size)
			b.SetParallelism(workers)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					one := *x
					one.Body = fmt.Appendf(append([]byte(nil), text...), "%d", n.Add(1))
					one.Started = time.Now()
					if _, err := w.Append(context.Background(), &one); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
		})
	}
}

// BenchmarkVerify measures bytes of WARC files a second.
func BenchmarkVerify(b *testing.B) {
	dir := sample(b, 200)
	b.SetBytes(verify(b, dir).Bytes)
	for b.Loop() {
		verify(b, dir)
	}
}
