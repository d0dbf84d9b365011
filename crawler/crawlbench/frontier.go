package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/sqlite"
)

// frontierRun fills a frontier with URLs as pages name them, leases and
// acknowledges some, and tells what that took. Memory is that of this process,
// which does nothing else.
type frontierRun struct {
	db    *sqlite.DB
	path  string
	urls  int
	hosts int
	tab   *tabwriter.Writer
}

// runFrontier is crawlbench frontier.
func runFrontier(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("crawlbench frontier", flag.ContinueOnError)
	r := &frontierRun{tab: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	f.IntVar(&r.urls, "urls", 1_000_000, "how many `URLs` are known")
	f.IntVar(&r.hosts, "hosts", 500, "on how many `hosts`")
	leases := f.Int("leases", 3000, "how many `tasks` are leased singly; four times as many in batches")
	dir := f.String("dir", "", "`folder` on the disk to measure; empty: that for temporary files")
	if err := f.Parse(args); err != nil {
		return err
	}
	if r.urls < 1 || r.hosts < 1 || *leases < 1 || r.urls < 5**leases {
		return errors.New("urls must be five times leases at least, all of them positive")
	}
	folder, err := os.MkdirTemp(*dir, "crawlbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	r.path = filepath.Join(folder, "frontier.db")
	if r.db, err = sqlite.Open(ctx, r.path, sqlite.Options{Exclusive: true}); err != nil {
		return err
	}
	defer r.db.Close()
	fmt.Fprintln(r.tab, "what\ttasks\ttasks/s\ttasks/CPU s\tRSS MB\tmost RSS MB\tfile MB\t")
	steps := []struct {
		name string
		n    int
		run  func(ctx context.Context, n int) error
	}{
		{"links added, 50 a page", r.urls, r.fill},
		{"lease and acknowledge, one by one", *leases, func(ctx context.Context, n int) error { return r.work(ctx, n, 1) }},
		{"lease and acknowledge, batches of 16", 4 * *leases, func(ctx context.Context, n int) error { return r.work(ctx, n, 16) }},
	}
	for _, s := range steps {
		if err := r.measure(ctx, s.name, s.n, s.run); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return r.tab.Flush()
}

func (r *frontierRun) measure(ctx context.Context, name string, n int, run func(context.Context, int) error) error {
	started, cpu := time.Now(), cpuTime()
	if err := run(ctx, n); err != nil {
		return err
	}
	took, used := time.Since(started).Seconds(), (cpuTime() - cpu).Seconds()
	now, most := memory()
	size := 0.0
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(r.path + suffix); err == nil {
			size += float64(info.Size()) / 1e6
		}
	}
	fmt.Fprintf(r.tab, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", name, n, float64(n)/took, float64(n)/used, now, most, size)
	return nil
}

// fill adds n URLs, 50 a page.
func (r *frontierRun) fill(ctx context.Context, n int) error {
	batch := make([]frontier.Task, 0, 50)
	for i := range n {
		host := fmt.Sprintf("bbs%d.example.com", i%r.hosts)
		url := fmt.Sprintf("https://%s/forum.php?mod=viewthread&tid=%d&page=%d", host, i/3, i%3+1)
		batch = append(batch, frontier.Task{ID: frontier.ID("bbs", url), URL: url, Host: host, Source: "bbs", Page: "thread", Depth: 2, Priority: 10,
			Parent: "https://" + host + "/forum.php?mod=forumdisplay&fid=2&page=7"})
		if len(batch) < cap(batch) && i < n-1 {
			continue
		}
		if _, err := r.db.Add(ctx, batch...); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return nil
}

// work leases n tasks, size at a time, and acknowledges each batch at once.
func (r *frontierRun) work(ctx context.Context, n, size int) error {
	for done := 0; done < n; {
		leases, wait, err := r.db.Next(ctx, size, time.Minute)
		if err != nil {
			return fmt.Errorf("after %d tasks (wait %v): %w", done, wait, err)
		}
		answers := make(chan error, len(leases))
		for _, l := range leases {
			go func() {
				_, err := r.db.Done(ctx, l, frontier.Outcome{Status: 200, ContentHash: l.ID[:32]})
				answers <- err
			}()
		}
		for range leases {
			err = errors.Join(err, <-answers)
		}
		if err != nil {
			return err
		}
		done += len(leases)
	}
	return nil
}

// memory is the resident memory of this process in MB, now and at most; zeros
// where the system does not tell.
func memory() (now, most float64) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		var kb float64
		name, value, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscanf(strings.TrimSpace(value), "%f kB", &kb); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kb * 1024 / 1e6
		case "VmHWM":
			most = kb * 1024 / 1e6
		}
	}
	return now, most
}
