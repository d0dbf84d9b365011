package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/redis"
	"qingyuan/crawler/frontier/redis/redistest"
)

// BenchmarkMemory measures what a URL costs in memory: waiting, fetched with
// the marks that a forum's page has (one in five is, the rest is reckoned), and
// of that the visited set alone. Use
// -benchtime 1000000x for a million.
func BenchmarkMemory(b *testing.B) {
	s := redistest.Start(b, "--appendonly", "no")
	d := open(b, redis.Options{Addrs: []string{s.Addr}})
	used := func() float64 {
		for line := range strings.Lines(s.Do("INFO", "memory").(string)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
				n, _ := strconv.ParseFloat(v, 64)
				return n
			}
		}
		return 0
	}
	n := max(b.N, 1000)
	empty := used()
	fill(b, d, n, 512)
	waiting := used()
	var fetched atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				ls, _, err := d.Next(b.Context(), 64, time.Hour)
				if err != nil || fetched.Add(int64(len(ls))) > int64(n/5) {
					if err != nil && !errors.Is(err, frontier.ErrNoneDue) {
						b.Error(err)
					}
					return
				}
				for _, l := range ls {
					out := frontier.Outcome{Status: 200, ETag: fmt.Sprintf(`"%x"`, l.Token), LastModified: "Mon, 02 Mar 2026 09:00:00 GMT", ContentHash: l.ID[:32], Again: time.Now().Add(time.Hour)}
					if l.Token%4 > 0 {
						out.ETag, out.LastModified = "", "" // most forums send none
					}
					if _, err := d.Done(b.Context(), l, out); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	done := used()
	keys, cursor := 0, "0"
	for {
		reply := s.Do("SCAN", cursor, "MATCH", "{qingyuan}:v:*", "COUNT", 10000).([]any)
		var del []any
		del = append(del, reply[1].([]any)...)
		if keys += len(del); len(del) > 0 {
			s.Do(append([]any{"DEL"}, del...)...)
		}
		if cursor = reply[0].(string); cursor == "0" {
			break
		}
	}
	b.ReportMetric((waiting-empty)/float64(n), "B/waiting")
	b.ReportMetric((waiting-empty)/float64(n)+(done-waiting)/float64(fetched.Load()), "B/done")
	b.ReportMetric((done-used())/float64(n), "B/visited")
	b.Logf("%d URLs in %d buckets", n, keys)
}
