package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/frontiertest"
	"qingyuan/crawler/frontier/sqlite"
)

func open(tb testing.TB, dir string, opts sqlite.Options) *sqlite.DB {
	tb.Helper()
	d, err := sqlite.Open(context.Background(), filepath.Join(dir, "frontier.db"), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	return d
}

func task(host string, n int) frontier.Task {
	u := fmt.Sprintf("https://%s/thread-%d-1-1.html", host, n)
	return frontier.Task{ID: frontier.ID("bbs", u), URL: u, Host: host, Source: "bbs", Page: "thread"}
}

func TestConformance(t *testing.T) {
	frontiertest.Run(t, func(t *testing.T, dir string, now func() time.Time) frontier.Frontier {
		return open(t, dir, sqlite.Options{Now: now})
	})
}

func TestExclusiveNamesTheHolder(t *testing.T) {
	if dir := os.Getenv("QINGYUAN_TEST_LOCKED_DIR"); dir != "" {
		_, err := sqlite.Open(context.Background(), filepath.Join(dir, "frontier.db"), sqlite.Options{Exclusive: true})
		fmt.Println(err)
		return
	}
	dir := t.TempDir()
	d := open(t, dir, sqlite.Options{Exclusive: true})
	cmd := exec.Command(os.Args[0], "-test.run=^TestExclusiveNamesTheHolder$")
	cmd.Env = append(os.Environ(), "QINGYUAN_TEST_LOCKED_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); !strings.Contains(string(out), want) || !strings.Contains(string(out), sqlite.ErrLocked.Error()) {
		t.Errorf("a second process was told %q; want it to name %s", out, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, sqlite.Options{Exclusive: true}) // free again
}

func TestExclusiveTakesLeasesBack(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	d := open(t, dir, sqlite.Options{Exclusive: true})
	if _, err := d.Add(ctx, task("a.example", 1)); err != nil {
		t.Fatal(err)
	}
	old, _, err := d.Next(ctx, 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	d = open(t, dir, sqlite.Options{Exclusive: true})
	ls, _, err := d.Next(ctx, 1, time.Hour)
	if err != nil || ls[0].Token <= old[0].Token || ls[0].Lost != 1 {
		t.Fatalf("after reopening: %+v, %v; want the task again with Lost 1", ls, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, sqlite.Options{}).Close()
	sqlite.SetVersion(t, filepath.Join(dir, "frontier.db"), 9999)
	_, err := sqlite.Open(context.Background(), filepath.Join(dir, "frontier.db"), sqlite.Options{})
	if err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("opening a file of a newer version: %v", err)
	}
}

func TestStartInTheFutureDoesNotHoldTheHost(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	wrong := func() time.Time { return time.Now().AddDate(60, 0, 0) }
	d := open(t, dir, sqlite.Options{Now: wrong})
	a, b := task("a.example", 1), task("a.example", 2)
	a.Delay, b.Delay = time.Second, time.Second
	if _, err := d.Add(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	ls, _, err := d.Next(ctx, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Done(ctx, ls[0], frontier.Outcome{Status: 200}); err != nil {
		t.Fatal(err)
	}
	d.Close()
	d = open(t, dir, sqlite.Options{})
	if _, wait, err := d.Next(ctx, 1, time.Minute); wait > time.Minute {
		t.Errorf("the host waits %v (%v) because of a start written under a wrong clock", wait, err)
	}
}

func TestUseAfterClose(t *testing.T) {
	d := open(t, t.TempDir(), sqlite.Options{})
	d.Close()
	if _, err := d.Add(context.Background(), task("a.example", 1)); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestTwoOpenersShareTheWork(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	dbs := []*sqlite.DB{open(t, dir, sqlite.Options{}), open(t, dir, sqlite.Options{})}
	for i := range 40 {
		if _, err := dbs[0].Add(ctx, task(fmt.Sprintf("h%d.example", i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	worked := map[string]int{}
	var wg sync.WaitGroup
	for _, d := range dbs {
		wg.Go(func() {
			for {
				ls, wait, err := d.Next(ctx, 1, time.Minute)
				if errors.Is(err, frontier.ErrNoneDue) && wait == 0 {
					return
				}
				for _, l := range ls {
					mu.Lock()
					worked[l.URL]++
					mu.Unlock()
					if _, err := d.Done(ctx, l, frontier.Outcome{Status: 200}); err != nil {
						t.Error(err)
					}
				}
				if err != nil && !errors.Is(err, frontier.ErrNoneDue) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for u, n := range worked {
		if n != 1 {
			t.Errorf("%s was worked %d times", u, n)
		}
	}
	if len(worked) != 40 {
		t.Errorf("worked %d tasks, want 40", len(worked))
	}
}

func fill(b *testing.B, d *sqlite.DB, n, hosts int) {
	b.Helper()
	var batch []frontier.Task
	for i := range n {
		batch = append(batch, task(fmt.Sprintf("h%d.example", i%hosts), i))
		if len(batch) == 1000 || i == n-1 {
			if _, err := d.Add(context.Background(), batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

// BenchmarkLeaseAck measures a lease and its acknowledgement: one worker
// alone, and 16 workers that lease in batches of 16.
func BenchmarkLeaseAck(b *testing.B) {
	for _, c := range []struct{ workers, batch int }{{1, 1}, {16, 1}, {4, 16}, {16, 16}} {
		b.Run(fmt.Sprintf("workers=%d/batch=%d", c.workers, c.batch), func(b *testing.B) {
			ctx := context.Background()
			d := open(b, b.TempDir(), sqlite.Options{})
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
			d := open(b, b.TempDir(), sqlite.Options{})
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
