package redis_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler/frontier/frontiertest"
	"qingyuan/crawler/frontier/redis"
	"qingyuan/crawler/frontier/redis/redistest"
)

func TestBudgetOfAllWorkers(t *testing.T) {
	ctx := t.Context()
	addr, clock := redistest.Addr(t), frontiertest.NewClock()
	opts := redis.Options{Addrs: []string{addr}, Prefix: prefix(t.TempDir()), Now: clock.Now}
	workers := []*redis.DB{open(t, opts), open(t, opts), open(t, opts)}
	take := func(n int) (ok bool, fresh time.Time) {
		t.Helper()
		ok, fresh, err := workers[0].Budget(ctx, "bbs", n, 50, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return ok, fresh
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for _, d := range workers {
		wg.Go(func() {
			for range 40 {
				if ok, _, err := d.Budget(ctx, "bbs", 1, 50, time.Hour); err != nil {
					t.Error(err)
				} else if ok {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != 50 {
		t.Errorf("%d pages were taken, want 50", taken.Load())
	}
	if ok, fresh := take(1); ok || !fresh.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("over the limit: %v, next span %v", ok, fresh)
	}
	take(-1)
	if ok, _ := take(1); !ok {
		t.Error("a page that was given back may not be taken")
	}
	clock.Advance(time.Hour)
	if ok, _ := take(1); !ok {
		t.Error("a new span has no pages")
	}
	take(0)
	for range 50 {
		if ok, _ := take(1); !ok {
			t.Fatal("a pass begun anew has fewer pages")
		}
	}
}
