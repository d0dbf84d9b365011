package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	frontiersqlite "qingyuan/crawler/frontier/sqlite"
	"qingyuan/index"
	"qingyuan/post"
)

// envKills says how often TestKillCrawl kills; scripts/kill-crawl sets 200.
const envKills = "QINGYUAN_TEST_KILLS"

// pagesPerKill is how many pages lie between two kills on average. Each kill
// can cost one refetch of each page in work, one a host, so this sets what the
// share of refetches can be at worst.
const (
	pagesPerKill = 120
	perBoard     = 100
)

// countingForum is a forum of one board whose threads say how often they were
// served, so that an older text in the index is seen.
type countingForum struct {
	*httptest.Server
	threads int
	served  chan struct{} // a token for each page, as far as they fit

	mu    sync.Mutex
	asked map[string]int // by path
}

func newCountingForum(t *testing.T, threads int) *countingForum {
	f := &countingForum{threads: threads, served: make(chan struct{}, 1<<16), asked: map[string]int{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *countingForum) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/robots.txt" {
		http.NotFound(w, r)
		return
	}
	f.mu.Lock()
	f.asked[r.URL.Path]++
	n := f.asked[r.URL.Path]
	f.mu.Unlock()
	defer func() {
		select {
		case f.served <- struct{}{}:
		default:
		}
	}()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var number int
	if _, err := fmt.Sscanf(r.URL.Path, "/board/%d", &number); err == nil {
		fmt.Fprint(w, "<html><title>版块</title><body>")
		for i := number * perBoard; i < min((number+1)*perBoard, f.threads); i++ {
			fmt.Fprintf(w, `<a class="t" href="/thread/%d">帖子 %d</a> `, i, i)
		}
		if (number+1)*perBoard < f.threads {
			fmt.Fprintf(w, `<a class="next" href="/board/%d">下一页</a>`, number+1)
		}
		return
	}
	if _, err := fmt.Sscanf(r.URL.Path, "/thread/%d", &number); err == nil && number < f.threads {
		fmt.Fprintf(w, `<html><title>帖子</title><body><h1>逾期求助 %d</h1><div class="post" id="p%d"><i>网友%d</i><p>第 %d 次送出：信用卡逾期三个月了，想和银行协商分期。</p></div>`, number, number, number%97, n)
		return
	}
	http.NotFound(w, r)
}

func (f *countingForum) boards() int { return (f.threads + perBoard - 1) / perBoard }

// config writes the site's config into a folder of its own.
func (f *countingForum) config(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	yaml := fmt.Sprintf(`name: counted
type: forum
hosts: [%q]
seeds: [%q]
delay: 0s
max_depth: 100000
max_pages: 1000000
allow_private: true
pages:
  - {name: board, match: '^/board/\d+$', priority: 10, follow: [a]}
  - name: thread
    match: '^/thread/\d+$'
    posts:
      - {each: .post, kind: post, key: {attr: id}, title: {select: h1, scope: page}, author: i, text: p}
`, strings.TrimPrefix(f.URL, "http://"), f.URL+"/board/0")
	if err := os.WriteFile(filepath.Join(folder, "counted.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// startCrawl starts this binary as qingyuan crawl.
func startCrawl(t *testing.T, sites, data string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QINGYUAN_TEST_COMMAND="+strings.Join([]string{"crawl", "-once", "-log", "warn", "-data", data}, "\x1f"), "QINGYUAN_SITES="+sites)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestKillCrawl kills the real program, archive and index included, again and
// again at random moments while it crawls, and lets the last one finish.
// Nothing is lost, hardly anything is fetched twice, no text in the index is
// older than what was fetched last, and every record of the archive is sound.
func TestKillCrawl(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program many times")
	}
	kills := 5
	if n, err := strconv.Atoi(os.Getenv(envKills)); err == nil && n > 0 {
		kills = n
	}
	forum := newCountingForum(t, kills*pagesPerKill)
	sites, data := forum.config(t), t.TempDir()
	began := time.Now()
	for n := range kills {
		killOnce(t, forum, sites, data, n)
	}
	last, out := startCrawl(t, sites, data)
	if err := last.Wait(); err != nil {
		t.Fatalf("the last run failed: %v\n%s", err, out)
	}
	forum.Close() // waits for requests of killed processes that are still answered

	pages, fetched := forum.threads+forum.boards(), 0
	for _, n := range forum.asked {
		fetched += n
	}
	again := fetched - pages
	t.Logf("%d kills in %v: %d pages, %d fetched again (%.2f %%)", kills, time.Since(began).Round(time.Second), pages, again, 100*float64(again)/float64(pages))
	if 100*again >= pages {
		t.Errorf("%d of %d pages were fetched again: 1 %% or more", again, pages)
	}
	checkCounted(t, forum, data)
	if out := mustRun(t, "", "archive", "verify", "-data", data); !strings.Contains(out, " records") {
		t.Errorf("archive verify: %s", out)
	}
}

// killOnce starts a crawl and kills it: mostly somewhere in its pages, every
// tenth time at a random moment of its start.
func killOnce(t *testing.T, forum *countingForum, sites, data string, n int) {
	t.Helper()
	for len(forum.served) > 0 {
		<-forum.served
	}
	child, out := startCrawl(t, sites, data)
	pages := 0
	if n%10 != 9 {
		pages = pagesPerKill/2 + rand.IntN(pagesPerKill/2)
	}
	stuck := time.NewTimer(2 * time.Minute)
	defer stuck.Stop()
	for range pages {
		select {
		case <-forum.served:
		case <-stuck.C:
			child.Process.Kill()
			child.Wait()
			t.Fatalf("kill %d: the crawl does not get on:\n%s", n, out)
		}
	}
	spread := 20 * time.Millisecond
	if pages == 0 {
		spread = 800 * time.Millisecond
	}
	time.Sleep(rand.N(spread)) // fall anywhere between request, archive, index and acknowledgement
	if err := child.Process.Kill(); err != nil {
		t.Fatalf("kill %d: the crawl ended before: %v\n%s", n, err, out)
	}
	child.Wait()
}

// checkCounted holds the frontier and the index against what was served.
func checkCounted(t *testing.T, forum *countingForum, data string) {
	t.Helper()
	ctx := context.Background()
	f, err := frontiersqlite.Open(ctx, filepath.Join(data, "frontier.db"), frontiersqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s, err := f.Stats(ctx, "counted"); err != nil || s.Done != forum.threads+forum.boards() || s.Waiting+s.Leased+s.Dead != 0 {
		t.Errorf("frontier at the end: %+v, %v; want %d done and nothing else", s, err, forum.threads+forum.boards())
	}
	c := defaultConfig()
	c.Data = data
	store, err := openStore(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	lost, stale := 0, 0
	for i := range forum.threads {
		r, err := store.Get(ctx, post.NewID("counted", fmt.Sprintf("p%d", i)))
		if err != nil {
			lost++
			continue
		}
		if want := fmt.Sprintf("第 %d 次送出", forum.asked[fmt.Sprintf("/thread/%d", i)]); !strings.HasPrefix(r.Post.Text, want) {
			stale++
		}
	}
	p, err := store.Search(ctx, index.Query{Text: "source:counted", Limit: 1})
	if err != nil || p.Total != forum.threads || lost > 0 || stale > 0 {
		t.Errorf("%d of %d posts in the index, %d lost, %d with a text older than the last one served (%v)", p.Total, forum.threads, lost, stale, err)
	}
}

// TestStopCrawl ends the real program as an operator does, with SIGTERM at a
// random page: it is over within 10 s, says what it did, and the next one goes on
// without a loss.
func TestStopCrawl(t *testing.T) {
	forum := newCountingForum(t, 400)
	sites, data := forum.config(t), t.TempDir()
	const stops = 4
	longest := time.Duration(0)
	for n := range stops {
		for len(forum.served) > 0 {
			<-forum.served
		}
		child, out := startCrawl(t, sites, data)
		for range 10 + rand.IntN(50) {
			select {
			case <-forum.served:
			case <-time.After(time.Minute):
				child.Process.Kill()
				child.Wait()
				t.Fatalf("stop %d: the crawl does not get on:\n%s", n, out)
			}
		}
		asked := time.Now()
		if err := child.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		hard := time.AfterFunc(30*time.Second, func() { child.Process.Kill() })
		err := child.Wait()
		hard.Stop()
		longest = max(longest, time.Since(asked))
		if err != nil || !strings.Contains(out.String(), " posts, ") {
			t.Fatalf("stop %d: %v\n%s", n, err, out)
		}
	}
	if longest > 10*time.Second {
		t.Errorf("a stop took %v", longest)
	}
	last, out := startCrawl(t, sites, data)
	if err := last.Wait(); err != nil {
		t.Fatalf("the last run failed: %v\n%s", err, out)
	}
	forum.Close()
	again := -forum.threads - forum.boards()
	for _, n := range forum.asked {
		again += n
	}
	t.Logf("%d stops, the longest took %v; %d pages fetched again", stops, longest.Round(time.Millisecond), again)
	if again > stops {
		t.Errorf("%d pages fetched again; want one a stop at most", again)
	}
	checkCounted(t, forum, data)
}
