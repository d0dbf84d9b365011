package crawler

import (
	"fmt"
	"testing"
)

// BenchmarkCrawl measures whole pages a second over loopback: lease, robots,
// fetch, decode, extract, sink, durable acknowledgement; the server is in the
// same process.
func BenchmarkCrawl(b *testing.B) {
	for _, sites := range []int{1, 8} {
		b.Run(fmt.Sprintf("hosts=%d", sites), func(b *testing.B) {
			r := newRig(b)
			r.opts.OnEvent = nil
			var sources []*Source
			for i := range sites {
				sources = append(sources, newTestSite(b, 300).source(b, fmt.Sprintf("bbs-%d", i)))
			}
			pages := 0
			for b.Loop() {
				pages += r.crawl(sources...).Pages
			}
			b.ReportMetric(float64(pages)/b.Elapsed().Seconds(), "pages/s")
		})
	}
}
