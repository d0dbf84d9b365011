package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/frontier/redis/redistest"
	"qingyuan/index"
	"qingyuan/town"
)

// requests is a log handler that keeps what the town's sites were asked, on
// the side of the sites.
type requests struct {
	slog.Handler
	mu  sync.Mutex
	all []request
}

type request struct {
	base, uri string
	at        time.Time
}

func (q *requests) Enabled(context.Context, slog.Level) bool { return true }

func (q *requests) Handle(_ context.Context, r slog.Record) error {
	x := request{at: time.Now()}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "base":
			x.base = a.Value.String()
		case "uri":
			x.uri = a.Value.String()
		}
		return true
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	if x.base != "" {
		q.all = append(q.all, x)
	}
	return nil
}

func (q *requests) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.all)
}

// figures are what a crawl of the town looked like to its sites.
type figures struct {
	pages, twice, close int
	hosts               int
	took                time.Duration
	closest             time.Duration
}

// measure counts the pages, those asked for more than once, and the requests,
// robots.txt among them, that came closer to the one before than the delay.
func (q *requests) measure(delay time.Duration) figures {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := figures{closest: time.Hour}
	last, seen := map[string]time.Time{}, map[string]bool{}
	slices.SortFunc(q.all, func(a, b request) int { return a.at.Compare(b.at) })
	for _, r := range q.all {
		if before, ok := last[r.base]; ok {
			gap := r.at.Sub(before)
			f.closest = min(f.closest, gap)
			if gap < delay {
				f.close++
			}
		}
		last[r.base] = r.at
		if r.uri == "/robots.txt" {
			continue
		}
		if key := r.base + r.uri; seen[key] {
			f.twice++
		} else {
			seen[key] = true
			f.pages++
		}
	}
	f.hosts = len(last)
	if n := len(q.all); n > 0 {
		f.took = q.all[n-1].at.Sub(q.all[0].at)
	}
	return f
}

// shared is a town with the config by which worker processes crawl it.
type shared struct {
	seen   *requests
	config string
	dir    string
}

func shareTown(t *testing.T, redisAddr string, copies int, delay time.Duration) *shared {
	t.Helper()
	s := &shared{seen: &requests{Handler: slog.DiscardHandler}, dir: t.TempDir()}
	tw, err := town.Start(t.Context(), town.Options{Copies: copies, NoFaults: true, Log: slog.New(s.seen)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tw.Close() })
	sites := filepath.Join(s.dir, "sites")
	if err := os.MkdirAll(sites, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, site := range tw.Sites() {
		config := bytes.Replace(site.Config, []byte("\ndelay: 0s\n"), []byte("\ndelay: "+delay.String()+"\n"), 1)
		if delay > 0 && bytes.Equal(config, site.Config) {
			t.Fatalf("%s: the config has another delay than was thought", site.Name)
		}
		if err := os.WriteFile(filepath.Join(sites, site.Name+".yaml"), config, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.config = filepath.Join(s.dir, "qingyuan.yaml")
	text := fmt.Sprintf("sites: %q\ncrawl: {workers: 8}\nlog: {level: warn}\nfrontier:\n  backend: redis\n  redis: {addrs: [%q]}\n", sites, redisAddr)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// worker is one crawling process.
type worker struct {
	*exec.Cmd
	data string
	out  bytes.Buffer
}

func (s *shared) start(t *testing.T, name string) *worker {
	t.Helper()
	w := &worker{data: filepath.Join(s.dir, name)}
	w.Cmd = exec.Command(os.Args[0])
	w.Env = append(os.Environ(), "QINGYUAN_TEST_COMMAND="+strings.Join([]string{"crawl", "-once", "-config", s.config, "-data", w.data}, "\x1f"))
	w.Stdout, w.Stderr = &w.out, &w.out
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Process.Kill() })
	return w
}

// posts lists the ids of the posts that the workers have stored.
func posts(t *testing.T, workers ...*worker) map[string]int {
	t.Helper()
	ids := map[string]int{}
	for _, w := range workers {
		c := defaultConfig()
		c.Data = w.data
		store, err := openStore(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		err = index.Each(t.Context(), store, index.Query{}, func(r index.Record) error {
			ids[r.Post.ID]++
			return nil
		})
		store.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// TestWorkersShareRedis: three processes crawl the town together, one of them
// is killed and Redis is too; every page is fetched, none twice that was
// acknowledged, and no host is asked sooner than its delay allows.
func TestWorkersShareRedis(t *testing.T) {
	const delay = 25 * time.Millisecond
	server := redistest.Start(t)
	s := shareTown(t, server.Addr, 1, delay)
	alone := s.start(t, "alone")
	if err := alone.Wait(); err != nil {
		t.Fatalf("one worker alone: %v\n%s", err, alone.out.String())
	}
	want := s.seen.measure(delay)
	truth := posts(t, alone)

	server.Do("FLUSHALL")
	s = shareTown(t, server.Addr, 1, delay)
	var ws []*worker
	for i := range 3 {
		ws = append(ws, s.start(t, fmt.Sprint("w", i)))
	}
	until := func(n int) {
		for end := time.Now().Add(2 * time.Minute); s.seen.count() < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("only %d requests in two minutes", s.seen.count())
			}
		}
	}
	until(want.pages / 4)
	ws[0].Process.Kill()
	ws[0].Wait()
	again := s.start(t, "w0") // in the same data folder, as a supervisor would
	until(want.pages / 2)
	server.Kill()
	server.Run()
	for _, w := range []*worker{ws[1], ws[2], again} {
		if err := w.Wait(); err != nil {
			t.Errorf("a worker ended with %v\n%s", err, w.out.String())
		}
	}
	got := s.seen.measure(delay)
	t.Logf("%d pages, %d asked for again, %d requests too close, the closest after %v", got.pages, got.twice, got.close, got.closest)
	if got.pages != want.pages || got.hosts != want.hosts {
		t.Errorf("%d pages of %d hosts, one worker alone fetched %d of %d", got.pages, got.hosts, want.pages, want.hosts)
	}
	if got.close > 0 || want.close > 0 {
		t.Errorf("%d requests came sooner after another than %v; alone %d", got.close, delay, want.close)
	}
	if limit := 8 + 3*8; got.twice > limit { // what the killed one had in work, and answers lost with Redis
		t.Errorf("%d pages were asked for again, at most %d were in work when something was killed", got.twice, limit)
	}
	found := posts(t, ws[0], ws[1], ws[2])
	for id := range truth {
		if found[id] == 0 {
			t.Errorf("post %s is in no worker's index", id)
		}
	}
	if len(found) != len(truth) {
		t.Errorf("%d posts, one worker alone found %d", len(found), len(truth))
	}
}

// TestScale prints how 1, 2, 4 and 8 worker processes do together; see
// scripts/bench-scale.
func TestScale(t *testing.T) {
	counts := os.Getenv("QINGYUAN_BENCH_SCALE")
	if counts == "" {
		t.Skip("scripts/bench-scale runs this")
	}
	delay := 50 * time.Millisecond
	fmt.Printf("%-10s %8s %8s %10s %12s %10s %10s\n", "processes", "hosts", "pages", "pages/s", "duplicates", "violations", "closest")
	for _, field := range strings.Split(counts, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			t.Fatalf("QINGYUAN_BENCH_SCALE=%q: want numbers of processes, such as 1,2,4,8", counts)
		}
		s := shareTown(t, redistest.Start(t).Addr, 6, delay)
		var ws []*worker
		for i := range n {
			ws = append(ws, s.start(t, fmt.Sprint("w", i)))
		}
		for _, w := range ws {
			if err := w.Wait(); err != nil {
				t.Errorf("a worker ended with %v\n%s", err, w.out.String())
			}
		}
		f := s.seen.measure(delay)
		fmt.Printf("%-10d %8d %8d %10.1f %5d %5.2f%% %10d %10v\n", n, f.hosts, f.pages, float64(f.pages)/f.took.Seconds(),
			f.twice, 100*float64(f.twice)/float64(f.pages), f.close, f.closest.Round(time.Millisecond))
		if f.close > 0 || float64(f.twice) > 0.001*float64(f.pages) {
			t.Errorf("%d processes: %d pages fetched twice of %d, %d requests too close", n, f.twice, f.pages, f.close)
		}
	}
}
