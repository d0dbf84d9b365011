package render

import (
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkRender shows the page that scripts draw, without and with a picture,
// by one browser and by two.
func BenchmarkRender(b *testing.B) {
	for _, browsers := range []int{1, 2} {
		for _, picture := range []bool{false, true} {
			b.Run(fmt.Sprintf("browsers=%d picture=%v", browsers, picture), func(b *testing.B) {
				p := pool(b, func(o *Options) { o.Browsers = browsers })
				b.SetParallelism((browsers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						req := request(drawn, site())
						req.Screenshot, req.Scripts = picture, !picture
						if _, err := p.Render(b.Context(), req); err != nil {
							b.Error(err)
						}
					}
				})
				s := p.Stats()
				b.ReportMetric(float64(s.Pages)/b.Elapsed().Seconds(), "pages/s")
				b.ReportMetric(float64(s.PeakRSS>>20), "MB/browser")
			})
		}
	}
}
