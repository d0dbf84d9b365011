package redis_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/frontiertest"
	"qingyuan/crawler/frontier/redis"
	"qingyuan/crawler/frontier/redis/redistest"
)

func open(tb testing.TB, opts redis.Options) *redis.DB {
	tb.Helper()
	d, err := redis.Open(context.Background(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	return d
}

// prefix names a frontier that no other test uses.
func prefix(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "test-" + hex.EncodeToString(sum[:8])
}

func task(host string, n int) frontier.Task {
	u := fmt.Sprintf("https://%s/thread-%d-1-1.html", host, n)
	return frontier.Task{ID: frontier.ID("bbs", u), URL: u, Host: host, Source: "bbs", Page: "thread", Parent: "https://" + host + "/forum-2-1.html"}
}

func TestConformance(t *testing.T) {
	addr := redistest.Addr(t)
	frontiertest.Run(t, func(t *testing.T, dir string, now func() time.Time) frontier.Frontier {
		return open(t, redis.Options{Addrs: []string{addr}, Prefix: prefix(dir), Now: now})
	})
}

func fill(tb testing.TB, d *redis.DB, n, hosts int) {
	tb.Helper()
	var batch []frontier.Task
	for i := range n {
		batch = append(batch, task(fmt.Sprintf("h%d.example", i%hosts), i))
		if len(batch) == 500 || i == n-1 {
			if _, err := d.Add(context.Background(), batch...); err != nil {
				tb.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

// BenchmarkLeaseAck measures a lease and its acknowledgement: workers that
// lease one page at a time, or 16, as SQLite's benchmark of this name.
func BenchmarkLeaseAck(b *testing.B) {
	for _, c := range []struct{ workers, batch int }{{1, 1}, {4, 1}, {16, 1}, {4, 16}, {16, 16}} {
		b.Run(fmt.Sprintf("workers=%d/batch=%d", c.workers, c.batch), func(b *testing.B) {
			ctx := context.Background()
			d := open(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
			fill(b, d, b.N, 512)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range c.workers {
				wg.Go(func() {
					for {
						ls, wait, err := d.Next(ctx, c.batch, time.Minute)
						if errors.Is(err, frontier.ErrNoneDue) && wait == 0 {
							return
						}
						if err != nil && !errors.Is(err, frontier.ErrNoneDue) {
							b.Error(err)
							return
						}
						var acks sync.WaitGroup
						for _, l := range ls {
							acks.Go(func() {
								if _, err := d.Done(ctx, l, frontier.Outcome{Status: 200}); err != nil {
									b.Error(err)
								}
							})
						}
						acks.Wait()
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// BenchmarkAdd measures adding new links, singly and 50 at a time.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{1, 50} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			d := open(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
			n := 0
			for b.Loop() {
				batch := make([]frontier.Task, size)
				for i := range batch {
					batch[i] = task(fmt.Sprintf("h%d.example", n%64), n)
					n++
				}
				if _, err := d.Add(context.Background(), batch...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
