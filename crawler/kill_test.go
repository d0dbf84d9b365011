package crawler

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler/frontier/sqlite"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

const (
	envKillDir  = "QINGYUAN_TEST_KILL_DIR"
	envKillSite = "QINGYUAN_TEST_KILL_SITE"
	kills       = 25
	killThreads = 330
)

// TestKillNine kills a crawling process again and again, at moments that fall
// anywhere between a request and its acknowledgement, and lets the last one
// finish. The posts are those of an undisturbed crawl.
func TestKillNine(t *testing.T) {
	if os.Getenv(envKillDir) != "" {
		crawlUntilKilled(t)
		return
	}
	if testing.Short() {
		t.Skip("starts the test binary many times")
	}
	site := newTestSite(t, killThreads)
	undisturbed := newRig(t)
	undisturbed.crawl(site.source(t, "bbs"))
	want := undisturbed.basket.ids()

	dir := t.TempDir()
	served := make(chan struct{}, 1000)
	site.mu.Lock()
	site.after = func() {
		select {
		case served <- struct{}{}:
		default:
		}
	}
	site.mu.Unlock()
	for range kills {
		child := killChild(t, dir, site.URL)
		for range 2 + rand.IntN(10) { // one is robots.txt
			select {
			case <-served:
			case <-time.After(20 * time.Second):
				child.Process.Kill()
				child.Wait()
				t.Fatalf("the crawl does not get on:\n%s", child.Stdout)
			}
		}
		time.Sleep(rand.N(3 * time.Millisecond)) // fall between answer, sink and acknowledgement
		if err := child.Process.Kill(); err != nil {
			t.Fatalf("the crawl ended before it was killed: %v\n%s", err, child.Stdout)
		}
		child.Wait()
		for len(served) > 0 {
			<-served
		}
	}
	last := killChild(t, dir, site.URL)
	if err := last.Wait(); err != nil {
		t.Fatalf("the last run failed: %v\n%s", err, last.Stdout)
	}
	compareSink(t, filepath.Join(dir, "sink"), want)

	db, err := sqlite.Open(context.Background(), filepath.Join(dir, "frontier.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	st, err := db.Stats(context.Background(), "bbs")
	if pages := killThreads + killThreads/perList; err != nil || st.Done != pages || st.Waiting+st.Leased+st.Dead != 0 {
		t.Errorf("frontier at the end: %+v, %v; want %d done and nothing else", st, err, pages)
	}
}

func killChild(t *testing.T, dir, site string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillNine$", "-test.v")
	cmd.Env = append(os.Environ(), envKillDir+"="+dir, envKillSite+"="+site)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func compareSink(t *testing.T, path string, want []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	again := 0
	for line := range strings.Lines(string(raw)) {
		id, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if old, seen := texts[id]; seen {
			again++
			if old != text {
				t.Errorf("post %s came as %q and as %q", id, old, text)
			}
		}
		texts[id] = text
	}
	var got []string
	for id := range texts {
		got = append(got, id)
	}
	sort.Strings(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d posts after %d kills, want the %d of an undisturbed crawl", len(got), kills, len(want))
	}
	t.Logf("%d posts after %d kills; %d were handed over twice, under the same id", len(got), kills, again)
}

// crawlUntilKilled is the child: a crawl into a file that is synced before a
// page is acknowledged.
func crawlUntilKilled(t *testing.T) {
	ctx, dir, site := context.Background(), os.Getenv(envKillDir), os.Getenv(envKillSite)
	f, err := os.OpenFile(filepath.Join(dir, "sink"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(ctx, filepath.Join(dir, "frontier.db"), sqlite.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tr, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New([]*Source{readTestSource(t, "bbs", site)}, Options{
		Frontier: db, Transport: tr, Workers: 4,
		Sink: func(_ context.Context, posts []post.Post) error {
			var b strings.Builder
			for _, p := range posts {
				fmt.Fprintf(&b, "%s %s\n", p.ID, strings.ReplaceAll(p.Text, "\n", " "))
			}
			if _, err := f.WriteString(b.String()); err != nil {
				return err
			}
			return f.Sync()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Run(ctx, true)
	if err != nil || len(s.Errors) > 0 {
		t.Fatalf("Run: %v, errors %+v", err, s.Errors)
	}
}
