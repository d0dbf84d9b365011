package crawler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fossilForum is the forum of a real Fossil on loopback, filled by its own web
// forms.
type fossilForum struct {
	t      *testing.T
	base   string
	client *http.Client
}

// startFossil starts an empty forum; without the program the test is skipped,
// but not in CI.
func startFossil(t *testing.T) *fossilForum {
	t.Helper()
	if _, err := exec.LookPath("fossil"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("fossil is not installed, and CI=true: scripts/setup installs it")
		}
		t.Skip("fossil is not installed; scripts/setup installs it")
	}
	dir := t.TempDir()
	repo := filepath.Join(dir, "f.fossil")
	for _, args := range [][]string{
		{"init", repo, "--admin-user", "admin"},
		{"user", "password", "admin", "adminpw-1", "-R", repo},
		{"user", "capabilities", "nobody", "gjorzh23456", "-R", repo},
	} {
		cmd := exec.Command("fossil", args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "FOSSIL_HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("fossil %v: %v\n%s", args, err, out)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, "fossil", "server", repo, "--localhost", "--port", fmt.Sprint(port))
	server.Env = append(os.Environ(), "HOME="+dir, "FOSSIL_HOME="+dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); server.Wait() })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fossilForum{t: t, base: fmt.Sprintf("http://127.0.0.1:%d", port), client: &http.Client{Jar: jar, Timeout: time.Minute}}
	for limit := time.Now().Add(30 * time.Second); ; {
		if resp, err := f.client.Get(f.base + "/forum"); err == nil {
			resp.Body.Close()
			break
		} else if time.Now().After(limit) {
			t.Fatalf("fossil does not answer: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // until it listens; nothing else tells
	}
	f.send("/login", "u", "admin", "p", "adminpw-1", "in", "Login")
	return f
}

// send sends a form and returns the last part of where it led.
func (f *fossilForum) send(path string, kv ...string) string {
	f.t.Helper()
	form := url.Values{}
	for i := 0; i < len(kv); i += 2 {
		form.Set(kv[i], kv[i+1])
	}
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Referer", f.base+"/forumnew") // without it Fossil takes the form for a forgery
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		f.t.Fatalf("POST %s: %s", path, resp.Status)
	}
	return resp.Request.URL.Path[strings.LastIndexByte(resp.Request.URL.Path, '/')+1:]
}

func (f *fossilForum) thread(title, text string) string {
	return f.send("/forume1", "title", title, "mimetype", "text/x-markdown", "content", text, "submit", "Submit")
}

func (f *fossilForum) reply(post, text string) string {
	return f.send("/forume2", "fpid", post, "reply", "1", "mimetype", "text/x-markdown", "content", text, "submit", "Submit")
}

func (f *fossilForum) source() *Source {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "forums", "fossil.yaml"))
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := ReadSource("fossil.yaml", []byte(strings.ReplaceAll(string(data), "HOST", strings.TrimPrefix(f.base, "http://"))))
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// texts lists what the basket holds, sorted.
func (b *basket) texts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, p := range b.posts {
		out = append(out, p.Text)
	}
	slices.Sort(out)
	return out
}

// TestRealForumFossil crawls a forum that others wrote: everything once, then
// only what changed, then an edit and a deletion.
func TestRealForumFossil(t *testing.T) {
	forum := startFossil(t)
	const threads, replies = 20, 2
	var want []string
	var openers, seconds []string // of each thread: the first post, the first reply
	for i := 1; i <= threads; i++ {
		text := fmt.Sprintf("楼主正文 %d：网贷逾期三个月，平台说可以延期，先还多少合适？", i)
		id := forum.thread(fmt.Sprintf("第%d帖：和平台协商的经过", i), text)
		want, openers = append(want, text), append(openers, id)
		for j := 1; j <= replies; j++ {
			text := fmt.Sprintf("第 %d 帖 %d 楼：我是直接打官方客服，录音留好。", i, j+1)
			r := forum.reply(id, text)
			if want = append(want, text); j == 1 {
				seconds = append(seconds, r)
			}
		}
	}
	slices.Sort(want)
	r, deletions := forumRig(t)
	src := forum.source()
	if s := r.crawl(src); len(s.Errors) > 0 || s.Pages != threads+1 || s.Warnings > 0 {
		t.Errorf("first pass: %d pages, %d warnings, errors %+v", s.Pages, s.Warnings, s.Errors)
	}
	if got := r.basket.texts(); !slices.Equal(got, want) {
		t.Fatalf("%d posts, want %d:\n%.500q", len(got), len(want), got)
	}

	want = append(want, changesAreFetchedAlone(t, r, forum, openers)...)
	slices.Sort(want)
	if got := r.basket.texts(); !slices.Equal(got, want) {
		t.Errorf("after a reply and a new thread: %d posts, want %d", len(got), len(want))
	}
	if gone := deletions(); len(gone) > 0 {
		t.Errorf("something is said to be gone: %+v", gone)
	}

	// An edit of an opening post and a deletion of a reply.
	edited := "楼主更新：已经谈好，分十二期，没有找任何中介。"
	before := r.basket.texts()
	forum.send("/forume2", "fpid", openers[4], "edit", "1", "title", "第5帖：已经谈好", "mimetype", "text/x-markdown", "content", edited, "submit", "Submit")
	forum.send("/forume2", "fpid", seconds[9], "edit", "1", "nullout", "1", "mimetype", "text/x-markdown", "content", "", "submit", "Submit")
	r.crawl(src)
	after := r.basket.texts()
	if len(after) != len(before) || !slices.Contains(after, edited) || slices.ContainsFunc(after, func(s string) bool { return strings.HasPrefix(s, "楼主正文 5：") }) {
		t.Errorf("the edit is not the same post with a new text: %d posts before, %d after", len(before), len(after))
	}
	gone := deletions()
	lost := r.basket.idOf(t, "第 10 帖 2 楼：")
	if !slices.ContainsFunc(gone, func(d Deletion) bool { return slices.Contains(d.Posts, lost) }) {
		t.Errorf("the deleted reply %s is not told: %+v", lost, gone)
	}
	for _, d := range gone {
		if len(d.Posts) != 1 || d.Posts[0] != lost || d.Thread != "" {
			t.Errorf("more is said to be gone than the reply: %+v", d)
		}
	}
}

// changesAreFetchedAlone lets a crawl without end look at the list again, and
// returns the texts that are new.
func changesAreFetchedAlone(t *testing.T, r *rig, forum *fossilForum, openers []string) []string {
	t.Helper()
	answer, opening := "新回复：昨天收到还款方案了，和客服说的一样。", "楼主正文 21：法务打电话说要上门，是真的吗？"
	last := forum.reply(openers[2], answer)
	fresh := forum.thread("第21帖：说要上门", opening)
	seen := make(chan Event, 10_000)
	opts := r.opts
	opts.Frontier = r.frontier()
	opts.Recrawl = Recrawl{List: 10 * time.Millisecond, Min: 24 * time.Hour, Max: 48 * time.Hour}
	opts.OnEvent = func(e Event) { seen <- e }
	c, err := New([]*Source{forum.source()}, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := c.Run(ctx, false); ended <- err }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	}()
	if err := r.wakeSeeds(t, c); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	limit := time.After(time.Minute)
	for lists := 0; lists < 3; { // two more looks at the list after the first bring nothing
		select {
		case e := <-seen:
			if e.Kind != EventPage {
				continue
			}
			if strings.HasSuffix(e.URL, "/forum") {
				lists++
			} else {
				asked[reArtifact.FindString(e.URL[strings.LastIndexByte(e.URL, '/'):])] = true
			}
		case <-limit:
			t.Fatalf("the list was not looked at again; threads asked for: %v", asked)
		}
	}
	if len(asked) != 2 || !asked[last] || !asked[fresh] {
		t.Errorf("asked for %v, want %s and %s alone", asked, last, fresh)
	}
	return []string{answer, opening}
}

var reArtifact = regexp.MustCompile(`[0-9a-f]{10}`)

// wakeSeeds makes the seeds due that a single pass has left.
func (r *rig) wakeSeeds(t *testing.T, c *Crawler) error {
	for _, s := range *c.sources.Load() {
		for _, seed := range s.Seeds {
			k, err := c.task(s, Link{URL: seed})
			if err != nil {
				return err
			}
			if rule, ok := s.Rule(k.URL); ok {
				k.Page, k.Priority = rule.Name, rule.Priority
			}
			k.Sooner = true
			if _, err := c.opts.Frontier.Add(t.Context(), k); err != nil {
				return err
			}
		}
	}
	return nil
}

// idOf finds the post whose text begins so.
func (b *basket) idOf(t *testing.T, start string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, p := range b.posts {
		if strings.HasPrefix(p.Text, start) {
			return id
		}
	}
	t.Fatalf("no post begins %q", start)
	return ""
}
