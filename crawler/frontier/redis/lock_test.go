package redis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler/frontier/redis"
	"qingyuan/crawler/frontier/redis/redistest"
)

func TestLockExcludes(t *testing.T) {
	ctx := t.Context()
	addr := redistest.Start(t).Addr
	a, b := open(t, quick(addr)), open(t, quick(addr))
	l, work, err := a.Lock(ctx, "sweep", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Lock(ctx, "sweep", time.Minute); !errors.Is(err, redis.ErrHeld) {
		t.Errorf("a second Lock: %v; want ErrHeld", err)
	}
	if other, _, err := b.Lock(ctx, "digest", time.Minute); err != nil || other.Token <= l.Token {
		t.Errorf("a lock of another name: %v", err)
	}
	if err := l.Check(ctx); err != nil {
		t.Errorf("Check of a lock that is held: %v", err)
	}
	if err := l.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if work.Err() == nil {
		t.Error("the work's context goes on after Release")
	}
	next, _, err := b.Lock(ctx, "sweep", time.Minute)
	if err != nil || next.Token <= l.Token {
		t.Errorf("Lock after Release: %+v, %v; want a larger token", next, err)
	}
	if err := l.Check(ctx); !errors.Is(err, redis.ErrLockLost) {
		t.Errorf("Check of the old lock: %v; want ErrLockLost", err)
	}
}

// TestLockRunsOut: a holder that stood still while its lock ran out is told,
// and cannot free its successor's.
func TestLockRunsOut(t *testing.T) {
	ctx := t.Context()
	s := redistest.Start(t)
	opts := quick(s.Addr)
	var ahead atomic.Int64
	opts.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	a, b := open(t, opts), open(t, opts)
	late, work, err := a.Lock(ctx, "sweep", time.Hour) // prolonged every 20 minutes only
	if err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(time.Hour + time.Second))
	l, _, err := b.Lock(ctx, "sweep", time.Hour)
	if err != nil || l.Token <= late.Token {
		t.Fatalf("Lock after the first ran out: %v", err)
	}
	if err := late.Check(ctx); !errors.Is(err, redis.ErrLockLost) {
		t.Errorf("Check by the late holder: %v", err)
	}
	if err := late.Release(ctx); !errors.Is(err, redis.ErrLockLost) {
		t.Errorf("Release by the late holder: %v", err)
	}
	if err := l.Check(ctx); err != nil {
		t.Errorf("the late holder took the lock from its successor: %v", err)
	}
	<-work.Done()
	short, work, err := a.Lock(ctx, "short", 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	ahead.Add(int64(time.Minute)) // as if it could not prolong
	<-work.Done()
	if cause := context.Cause(work); !errors.Is(cause, redis.ErrLockLost) {
		t.Errorf("the work ended by %v, want ErrLockLost", cause)
	}
	short.Release(ctx)
}

// TestOnceWithKills has worker processes that are killed in the middle of a
// job until one comes through; then the job is done for all.
func TestOnceWithKills(t *testing.T) {
	const job = "digest 2026-11-22"
	if addr := os.Getenv("QINGYUAN_TEST_ONCE"); addr != "" {
		d := open(t, quick(addr))
		_, err := d.Once(context.Background(), job, 300*time.Millisecond, func(ctx context.Context, token int64) error {
			fmt.Printf("token %d\n", token)
			<-ctx.Done() // until it is killed
			return ctx.Err()
		})
		fmt.Println("ended", err)
		return
	}
	addr := redistest.Start(t).Addr
	d := open(t, quick(addr))
	var last int64
	for range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestOnceWithKills$")
		child.Env = append(os.Environ(), "QINGYUAN_TEST_ONCE="+addr)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var token int64
		lines := bufio.NewScanner(out)
		for token == 0 && lines.Scan() {
			fmt.Sscanf(lines.Text(), "token %d", &token)
		}
		if token <= last {
			t.Errorf("the child got token %d after %d", token, last)
		}
		last = token
		if _, err := d.Once(t.Context(), job, time.Second, func(context.Context, int64) error { return nil }); !errors.Is(err, redis.ErrHeld) {
			t.Errorf("the job while another process is at it: %v", err)
		}
		child.Process.Kill()
		child.Wait()
		for held := true; held; { // until the killed one's lock ran out
			_, err := d.Once(t.Context(), job, time.Second, func(_ context.Context, token int64) error {
				last = max(last, token)
				return errors.New("not this time")
			})
			held = errors.Is(err, redis.ErrHeld)
			time.Sleep(10 * time.Millisecond)
		}
	}
	var ran atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				_, err := d.Once(t.Context(), job, time.Second, func(context.Context, int64) error { ran.Add(1); return nil })
				if err == nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if ran.Load() != 1 {
		t.Errorf("the job was done %d times", ran.Load())
	}
}

// TestTogether: of workers that begin at the same time one begins the pass and
// the others join it.
func TestTogether(t *testing.T) {
	addr := redistest.Start(t).Addr
	var mu sync.Mutex
	var first, at, most int
	var wg sync.WaitGroup
	for range 4 {
		d := open(t, quick(addr))
		wg.Go(func() {
			err := d.Together(t.Context(), func(ctx context.Context, joined bool) error {
				mu.Lock()
				at++
				most = max(most, at)
				if !joined {
					first++
				}
				mu.Unlock()
				_, err := d.Restart(ctx, "bbs")
				mu.Lock()
				at--
				mu.Unlock()
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if first != 1 || most != 1 {
		t.Errorf("%d workers began the pass, %d at a time", first, most)
	}
}
