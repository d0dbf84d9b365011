package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the spider
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed forum_spider.py
var spider []byte

// bench is one comparison.
type bench struct {
	dir      string // for what is thrown away
	self     string // this program
	qingyuan string
	without  string // the test binary of cmd/qingyuan, which crawls without the index; "" without
	python   string // with scrapy; "" without
	site     string // site config whose hosts and seeds are replaced
	posts    string
	core     string // processor of the crawls; "" for any
	other    string // and of the forums
	sites    int
	few      int // threads of a forum in the short run
	many     int // and in the long one
	workers  int
	hosts    []string
}

// outcome is what one run took.
type outcome struct {
	pages, posts int
	cpu, wall    time.Duration
	rss          int64 // bytes, at most
}

// program is one way of crawling.
type program struct {
	name string
	note string
	peer bool // another program, with which ours are compared
	run  func(ctx context.Context, b *bench, threads int) (*exec.Cmd, error)
	few  outcome
	all  []outcome
	rate []float64 // pages a second of CPU time, start-up left out, by round
}

// compare runs the programs in turn, round by round, and prints their figures.
func compare(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("crawlbench compare", flag.ContinueOnError)
	b := &bench{}
	rounds := f.Int("rounds", 5, "how often each program `runs`")
	only := f.String("only", "", "`names` of the programs to run, with commas; empty: all")
	f.StringVar(&b.qingyuan, "qingyuan", "bin/qingyuan", "the `program`")
	f.StringVar(&b.without, "without-index", "", "test `binary` of cmd/qingyuan, for the crawl without the index")
	f.StringVar(&b.python, "python", "", "`interpreter` that has Scrapy; empty: Scrapy is left out")
	f.StringVar(&b.site, "site", "configs/sites/discuz.yaml", "site `config`")
	f.StringVar(&b.posts, "posts", "testdata/bench/mix.jsonl", "JSON `lines` with the texts of the posts")
	f.StringVar(&b.core, "core", "", "`processor` for the crawls, such as 1; empty: any")
	f.StringVar(&b.other, "forum-core", "", "`processor` for the forums")
	f.IntVar(&b.sites, "sites", 8, "how many `forums`")
	f.IntVar(&b.few, "few", 25, "`threads` of a forum in the short run, whose time is taken off")
	f.IntVar(&b.many, "many", 275, "`threads` of a forum in the long run")
	f.IntVar(&b.workers, "workers", 8, "pages in work at a `time`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || b.sites < 1 || b.few < 1 || b.many <= b.few {
		return errors.New("rounds, sites and few must be positive, many over few")
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "crawlbench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	programs := choose(b, *only)
	if len(programs) == 0 {
		return fmt.Errorf("there is no program named %q", *only)
	}
	for round := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, *rounds)
		for _, p := range programs {
			if err := p.round(ctx, b); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			fmt.Fprintf(os.Stderr, "  %-10s %5.0f pages a CPU second\n", p.name, p.rate[round])
		}
	}
	return b.print(programs)
}

func choose(b *bench, only string) (out []*program) {
	peer := func(way string) func(context.Context, *bench, int) (*exec.Cmd, error) {
		return func(ctx context.Context, b *bench, threads int) (*exec.Cmd, error) {
			return b.command(ctx, b.self, append([]string{way, "-workers", strconv.Itoa(b.workers)}, b.seeds(threads)...)...), nil
		}
	}
	all := []*program{
		{name: "qingyuan", note: "all of it: robots.txt, guard, archive, verdicts, index", run: runQingyuan("enabled: true")},
		{name: "no-archive", note: "qingyuan without the archive", run: runQingyuan("enabled: false")},
		{name: "no-index", note: "qingyuan without the index", run: runWithoutIndex},
		{name: "colly", peer: true, note: "bare colly, one OnHTML", run: peer("colly")},
		{name: "goquery", peer: true, note: "net/http and goquery", run: peer("goquery")},
	}
	if b.python != "" {
		all = append(all, &program{name: "scrapy", peer: true, note: "the same rows", run: runScrapy})
	}
	for _, p := range all {
		if p.name == "no-index" && b.without == "" {
			continue
		}
		if only == "" || slices.Contains(strings.Split(only, ","), p.name) {
			out = append(out, p)
		}
	}
	return out
}

// round runs a program twice: what the short run takes is its start.
func (p *program) round(ctx context.Context, b *bench) error {
	few, err := p.once(ctx, b, b.few)
	if err != nil {
		return err
	}
	many, err := p.once(ctx, b, b.many)
	if err != nil {
		return err
	}
	p.few, p.all = few, append(p.all, many)
	p.rate = append(p.rate, float64(many.pages-few.pages)/(many.cpu-few.cpu).Seconds())
	return nil
}

func (p *program) once(ctx context.Context, b *bench, threads int) (outcome, error) {
	cmd, err := p.run(ctx, b, threads)
	if err != nil {
		return outcome{}, err
	}
	var out, logged bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &logged
	started := time.Now()
	if err := cmd.Run(); err != nil {
		return outcome{}, fmt.Errorf("%w\n%s", err, logged.Bytes())
	}
	o := outcome{wall: time.Since(started), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	o.rss = mostMemory(cmd.ProcessState)
	if err := o.read(out.Bytes()); err != nil {
		return o, err
	}
	lists := (threads + rowsPerList - 1) / rowsPerList
	if want := b.sites * (threads + lists); o.pages != want || o.posts < b.sites*threads*postsPerPage {
		return o, fmt.Errorf("%d pages and %d posts, want %d and %d:\n%s%s", o.pages, o.posts, want, b.sites*threads*postsPerPage, out.Bytes(), logged.Bytes())
	}
	return o, nil
}

// read reads how many pages and posts there were: a summary, or one line.
func (o *outcome) read(out []byte) error {
	var summary struct {
		Pages int `json:"pages"`
		Posts int `json:"posts"`
	}
	if json.Unmarshal(out, &summary) == nil && summary.Pages > 0 {
		o.pages, o.posts = summary.Pages, summary.Posts
		return nil
	}
	if _, err := fmt.Sscanf(string(out), "%d pages, %d posts", &o.pages, &o.posts); err != nil {
		return fmt.Errorf("what it printed is no count of pages: %q", out)
	}
	return nil
}

// serve starts the forums in a process of their own.
func (b *bench) serve(ctx context.Context) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, b.self, "serve", "-sites", strconv.Itoa(b.sites), "-posts", b.posts)
	if b.other != "" {
		cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", b.other}, cmd.Args...)...)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the forums: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	for len(b.hosts) < b.sites && lines.Scan() {
		b.hosts = append(b.hosts, lines.Text())
	}
	if len(b.hosts) < b.sites {
		stop()
		return nil, errors.New("the forums do not start")
	}
	return stop, nil
}

// seeds are the boards with so many threads.
func (b *bench) seeds(threads int) (out []string) {
	for _, h := range b.hosts {
		out = append(out, fmt.Sprintf("http://%s/forum.php?mod=forumdisplay&fid=%d", h, threads))
	}
	return out
}

// command is pinned to the processor of the crawls, with one thread of Go's.
func (b *bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if b.core == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", b.core, name}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return cmd
}

func runScrapy(ctx context.Context, b *bench, threads int) (*exec.Cmd, error) {
	file := filepath.Join(b.dir, "forum_spider.py")
	if err := os.WriteFile(file, spider, 0o600); err != nil {
		return nil, err
	}
	return b.command(ctx, b.python, append([]string{file, strconv.Itoa(b.workers)}, b.seeds(threads)...)...), nil
}

// runQingyuan crawls as an operator does: a config, a folder of sites, one pass
// into a folder that is new.
func runQingyuan(archive string) func(context.Context, *bench, int) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench, threads int) (*exec.Cmd, error) {
		file, err := b.configure(threads, archive)
		if err != nil {
			return nil, err
		}
		return b.command(ctx, b.qingyuan, "crawl", "-once", "-json", "-config", file), nil
	}
}

func runWithoutIndex(ctx context.Context, b *bench, threads int) (*exec.Cmd, error) {
	file, err := b.configure(threads, "enabled: true")
	if err != nil {
		return nil, err
	}
	cmd := b.command(ctx, b.without)
	cmd.Env = append(cmd.Environ(), "QINGYUAN_BENCH_CRAWL="+file)
	return cmd, nil
}

// configure writes a config and its sites into a folder that is new.
func (b *bench) configure(threads int, archive string) (file string, err error) {
	dir := filepath.Join(b.dir, "run")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	sites := filepath.Join(dir, "sites")
	if err := os.MkdirAll(sites, 0o700); err != nil {
		return "", err
	}
	config, err := os.ReadFile(b.site)
	if err != nil {
		return "", err
	}
	for i, seed := range b.seeds(threads) {
		own := map[string]string{"name": fmt.Sprintf("bbs-%d", i), "hosts": fmt.Sprintf("[%q]", b.hosts[i]), "seeds": fmt.Sprintf("[%q]", seed),
			"delay": "0s", "allow_private": "true", "max_depth": "1000"}
		if err := os.WriteFile(filepath.Join(sites, fmt.Sprintf("bbs-%d.yaml", i)), []byte(replaceKeys(string(config), own)), 0o600); err != nil {
			return "", err
		}
	}
	file = filepath.Join(dir, "qingyuan.yaml")
	text := fmt.Sprintf("data: %s\nsites: %s\ncrawl: {workers: %d}\narchive: {%s}\nlog: {level: warn}\n", filepath.Join(dir, "data"), sites, b.workers, archive)
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// replaceKeys puts top-level keys of a site config over those it has.
func replaceKeys(config string, own map[string]string) string {
	var out strings.Builder
	for line := range strings.Lines(config) {
		key, _, _ := strings.Cut(line, ":")
		if _, ours := own[key]; !ours {
			out.WriteString(line)
		}
	}
	for key, value := range own {
		fmt.Fprintf(&out, "%s: %s\n", key, value)
	}
	return out.String()
}
