package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/redis"
	"qingyuan/crawler/frontier/redis/redistest"
)

// A field is a crawl without pages: each page of a host names two further
// ones, and workers with connections of their own work through all of them.
type field struct {
	t     *testing.T
	hosts int
	pages int // of each host

	mu     sync.Mutex
	worked map[string]int // URL → times it was worked on
	acked  map[string]int // URL → answers that were taken
	stale  int
	done   atomic.Int64 // answers that were taken, for tests that wait for progress
}

func newField(t *testing.T, hosts, pages int) *field {
	return &field{t: t, hosts: hosts, pages: pages, worked: map[string]int{}, acked: map[string]int{}}
}

func (f *field) seed(d *redis.DB) {
	f.t.Helper()
	for h := range f.hosts {
		if _, err := d.Add(f.t.Context(), task(fmt.Sprintf("h%d.example", h), 0)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// run works with n workers on d until nothing is left. Errors are waited out.
func (f *field) run(d *redis.DB, n int, lease time.Duration) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				ls, wait, err := d.Next(f.t.Context(), 2, lease)
				switch {
				case errors.Is(err, frontier.ErrNoneDue) && wait == 0:
					return
				case errors.Is(err, frontier.ErrNoneDue):
					time.Sleep(min(wait, 5*time.Millisecond))
				case err != nil && f.t.Context().Err() != nil:
					return
				}
				for _, l := range ls {
					f.work(d, l)
				}
			}
		})
	}
	wg.Wait()
}

func (f *field) work(d *redis.DB, l frontier.Lease) {
	f.mu.Lock()
	f.worked[l.URL]++
	f.mu.Unlock()
	var n int
	fmt.Sscanf(l.URL, "https://"+l.Host+"/thread-%d-1-1.html", &n)
	var found []frontier.Task
	for _, i := range []int{2*n + 1, 2*n + 2} {
		if i < f.pages {
			found = append(found, task(l.Host, i))
		}
	}
	for f.t.Context().Err() == nil {
		_, err := d.Done(f.t.Context(), l, frontier.Outcome{Status: 200}, found...)
		switch {
		case err == nil:
			f.mu.Lock()
			f.acked[l.URL]++
			f.mu.Unlock()
			f.done.Add(1)
			return
		case errors.Is(err, frontier.ErrStaleLease):
			f.mu.Lock()
			f.stale++
			f.mu.Unlock()
			return
		}
	}
}

// wait waits until so many answers were taken.
func (f *field) wait(n int64) {
	f.t.Helper()
	for until := time.Now().Add(time.Minute); f.done.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			f.t.Fatalf("only %d of %d answers in a minute", f.done.Load(), n)
		}
	}
}

// check fails unless every page was acknowledged once.
func (f *field) check(d *redis.DB) {
	f.t.Helper()
	s, err := d.Stats(f.t.Context(), "")
	if err != nil || s.Done != f.hosts*f.pages || s.Waiting+s.Leased+s.Dead != 0 {
		f.t.Errorf("at the end: %+v, %v; want %d done", s, err, f.hosts*f.pages)
	}
	if len(f.worked) != f.hosts*f.pages {
		f.t.Errorf("%d pages were worked on, want %d", len(f.worked), f.hosts*f.pages)
	}
	twice := 0
	for u, n := range f.acked {
		if n > 1 {
			f.t.Errorf("%s was acknowledged %d times", u, n)
		}
		if f.worked[u] > 1 {
			twice++
		}
	}
	f.t.Logf("%d pages, %d of them worked on twice, %d late answers refused", len(f.worked), twice, f.stale)
}

func quick(addr string) redis.Options {
	return redis.Options{Addrs: []string{addr}, Patience: 500 * time.Millisecond, Timeout: 300 * time.Millisecond, Watch: 20 * time.Millisecond}
}

func TestKilledServerComesBack(t *testing.T) {
	s := redistest.Start(t, "--appendfsync", "always")
	f := newField(t, 20, 60)
	a, b := open(t, quick(s.Addr)), open(t, quick(s.Addr))
	f.seed(a)
	var wg sync.WaitGroup
	wg.Go(func() { f.run(a, 4, 2*time.Second) })
	wg.Go(func() { f.run(b, 4, 2*time.Second) })
	for i := range int64(3) {
		f.wait(150 * (i + 1))
		s.Kill()
		s.Run()
	}
	wg.Wait()
	f.check(a)
}

func TestHaltedServerAndSlowReplies(t *testing.T) {
	s := redistest.Start(t)
	f := newField(t, 20, 60)
	a, b := open(t, quick(s.Addr)), open(t, quick(s.Addr))
	f.seed(a)
	var wg sync.WaitGroup
	wg.Go(func() { f.run(a, 4, 2*time.Second) })
	wg.Go(func() { f.run(b, 4, 2*time.Second) })
	f.wait(100)
	s.Stop() // requests lie in its buffers, their senders give up and send them again
	for _, err := a.Problem(); err == nil; _, err = a.Problem() {
		time.Sleep(time.Millisecond)
	}
	s.Continue()
	f.wait(300)
	s.Do("CLIENT", "PAUSE", "700", "ALL")
	f.wait(500)
	s.Do("SCRIPT", "FLUSH")
	wg.Wait()
	f.check(a)
}

// proxy passes bytes to the server, and cuts every connection after so many
// bytes of replies.
func proxy(t *testing.T, to string, after int64) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.CopyN(in, out, after); in.Close(); out.Close() }()
		}
	}()
	return ln.Addr().String()
}

func TestCutConnections(t *testing.T) {
	s := redistest.Start(t)
	f := newField(t, 12, 60)
	opts := quick(proxy(t, s.Addr, 6000))
	opts.Patience = 5 * time.Second
	a := open(t, opts)
	direct := open(t, quick(s.Addr))
	f.seed(direct)
	f.run(a, 6, 30*time.Second)
	f.check(direct)
	if f.stale > 0 {
		t.Errorf("%d answers whose reply was cut off were taken for late ones", f.stale)
	}
}

func TestEmptyServerIsNoFinishedCrawl(t *testing.T) {
	ctx := t.Context()
	s := redistest.Start(t)
	opts := quick(s.Addr)
	opts.Marker = filepath.Join(t.TempDir(), "frontier-redis.epoch")
	adopted := make(chan bool, 1)
	running := opts
	running.Adopted = func() { adopted <- true }
	d := open(t, running)
	if _, err := d.Add(ctx, task("a.example", 1), task("a.example", 2)); err != nil {
		t.Fatal(err)
	}
	ls, _, err := d.Next(ctx, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := redis.BeginAnew(ctx, opts); err == nil {
		t.Error("a frontier that is well was thrown away")
	}
	s.Kill()
	s.Empty()
	s.Run()
	if _, _, err := d.Next(ctx, 1, time.Minute); !errors.Is(err, redis.ErrLost) || !strings.Contains(err.Error(), "qingyuan crawl anew") {
		t.Errorf("Next on an emptied server: %v; want ErrLost with the remedy", err)
	}
	if _, problem := d.Problem(); !errors.Is(problem, redis.ErrLost) {
		t.Errorf("Problem = %v, want ErrLost", problem)
	}
	if _, err := redis.Open(ctx, opts); !errors.Is(err, redis.ErrLost) {
		t.Errorf("a worker that is restarted then: %v; want ErrLost", err)
	}
	if err := redis.BeginAnew(ctx, opts); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Done(ctx, ls[0], frontier.Outcome{Status: 200}, task("a.example", 3)); !errors.Is(err, frontier.ErrStaleLease) {
		t.Errorf("an answer from before: %v; want ErrStaleLease", err)
	}
	select {
	case <-adopted:
	case <-time.After(10 * time.Second):
		t.Error("the running worker was not told to add its seeds again")
	}
	if _, problem := d.Problem(); problem != nil {
		t.Errorf("Problem afterwards = %v", problem)
	}
	if n, err := d.Add(ctx, task("a.example", 1)); n != 1 || err != nil {
		t.Errorf("Add to the new frontier = %d, %v", n, err)
	}
	open(t, opts)
}

func TestEvictionsAreNoticed(t *testing.T) {
	ctx := t.Context()
	s := redistest.Start(t)
	opts := quick(s.Addr)
	opts.Marker = filepath.Join(t.TempDir(), "frontier-redis.epoch")
	d := open(t, opts)
	fill(t, d, 3000, 300)
	s.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	s.Do("CONFIG", "SET", "maxmemory", "1500kb") // less than is in use
	var err error
	for until := time.Now().Add(20 * time.Second); err == nil || errors.Is(err, frontier.ErrNoneDue); {
		if time.Now().After(until) {
			t.Fatal("evictions went unnoticed")
		}
		_, _, err = d.Next(ctx, 1, time.Minute)
	}
	if !errors.Is(err, redis.ErrEvicted) && !errors.Is(err, redis.ErrTorn) && !errors.Is(err, redis.ErrLost) {
		t.Errorf("with evictions: %v", err)
	}
	t.Log(err)
	if _, err := redis.Open(ctx, opts); err == nil {
		t.Error("a server that evicts was taken")
	}
	s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	s.Do("CONFIG", "SET", "maxmemory", "0")
	if _, err := redis.Open(ctx, opts); !errors.Is(err, redis.ErrEvicted) && !errors.Is(err, redis.ErrLost) {
		t.Errorf("a frontier with holes was taken for whole: %v", err)
	}
	if err := redis.BeginAnew(ctx, opts); err != nil {
		t.Fatal(err)
	}
	open(t, opts)
}

func TestFullServerSaysSo(t *testing.T) {
	s := redistest.Start(t)
	d := open(t, quick(s.Addr))
	s.Do("CONFIG", "SET", "maxmemory", "1mb")
	_, err := d.Add(t.Context(), task("a.example", 1))
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("Add to a full server: %v", err)
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	if n, err := d.Add(t.Context(), task("a.example", 1)); n != 1 || err != nil {
		t.Errorf("Add after it got more memory = %d, %v", n, err)
	}
}

func TestReplicaSaysSo(t *testing.T) {
	first := redistest.Start(t)
	s := redistest.Start(t)
	d := open(t, quick(s.Addr))
	host, port, _ := net.SplitHostPort(first.Addr)
	s.Do("REPLICAOF", host, port)
	_, err := d.Add(t.Context(), task("a.example", 1))
	if err == nil || !strings.Contains(err.Error(), "replica") && !strings.Contains(err.Error(), "failed over") {
		t.Errorf("Add to a replica: %v", err)
	}
}

func TestOutageIsToldOnce(t *testing.T) {
	s := redistest.Start(t)
	opts := quick(s.Addr)
	var log strings.Builder
	var mu sync.Mutex
	opts.Logger = slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))
	d := open(t, opts)
	s.Kill()
	for range 3 {
		if _, _, err := d.Next(t.Context(), 1, time.Minute); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("Next without a server: %v", err)
		}
	}
	s.Run()
	if _, err := d.Add(t.Context(), task("a.example", 1)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "works again"); n != 1 {
		t.Errorf("the end of the outage was told %d times:\n%s", n, log.String())
	}
	if n := strings.Count(log.String(), "the crawl waits"); n < 1 || n > 4 {
		t.Errorf("the outage was told %d times:\n%s", n, log.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestCancelledNextKeepsNothing: a worker that is told to end while it asks for
// work takes no lease with it.
func TestCancelledNextKeepsNothing(t *testing.T) {
	s := redistest.Start(t)
	d := open(t, quick(s.Addr))
	fill(t, d, 50, 50)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var leased atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				ls, _, err := d.Next(ctx, 1, time.Hour)
				leased.Add(int64(len(ls)))
				if err != nil {
					return
				}
				if leased.Load() > 20 {
					cancel()
				}
			}
		})
	}
	wg.Wait()
	cancel()
	if st, err := d.Stats(t.Context(), ""); err != nil || int64(st.Leased) != leased.Load() {
		t.Errorf("%d leases are held, their owners know of %d (%v)", st.Leased, leased.Load(), err)
	}
}
