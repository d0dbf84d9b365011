package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	frontiersqlite "qingyuan/crawler/frontier/sqlite"
	"qingyuan/index"
)

// slowForum is a site of twelve threads whose pages from the fifth on hang
// while stuck is set.
type slowForum struct {
	*httptest.Server
	stuck   atomic.Bool
	hanging chan struct{} // receives for each page that hangs
}

func newSlowForum(t *testing.T) (f *slowForum, sites string) {
	t.Helper()
	f = &slowForum{hanging: make(chan struct{}, 100)}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/t/%d", &n); err != nil {
			if r.URL.Path != "/f" {
				http.NotFound(w, r)
				return
			}
			for i := range 12 {
				fmt.Fprintf(w, `<a class="t" href="/t/%d">帖子 %d</a>`, i+1, i+1)
			}
			return
		}
		if n >= 5 && f.stuck.Load() {
			f.hanging <- struct{}{}
			<-r.Context().Done()
			return
		}
		fmt.Fprintf(w, `<title>帖</title><div class="post" id="p%d"><i>阿强</i><p>第 %d 帖：逾期别慌，停息挂账，加微信 tingxi88</p></div>`, n, n)
	}))
	t.Cleanup(f.Close)
	sites = t.TempDir()
	config := fmt.Sprintf(`name: bbs
title: 慢论坛
type: forum
hosts: [%q]
seeds: [%q]
delay: 0s
allow_private: true
pages:
  - {name: list, match: '^/f$', priority: 5, follow: [a.t]}
  - name: thread
    match: '^/t/\d+$'
    posts:
      - {each: .post, kind: post, key: {attr: id}, author: i, text: p}
`, strings.TrimPrefix(f.URL, "http://"), f.URL+"/f")
	if err := os.WriteFile(filepath.Join(sites, "bbs.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return f, sites
}

// said collects what a command writes and tells when a part of it came.
type said struct {
	mu    sync.Mutex
	text  strings.Builder
	waits map[string]chan struct{}
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	for part, c := range s.waits {
		if strings.Contains(s.text.String(), part) {
			close(c)
			delete(s.waits, part)
		}
	}
	return len(p), nil
}

func (s *said) await(t *testing.T, part string) {
	t.Helper()
	s.mu.Lock()
	c := make(chan struct{})
	if strings.Contains(s.text.String(), part) {
		close(c)
	} else {
		if s.waits == nil {
			s.waits = map[string]chan struct{}{}
		}
		s.waits[part] = c
	}
	s.mu.Unlock()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("the command did not say %q:\n%s", part, s.String())
	}
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start runs the command as a process of its own.
func start(t *testing.T, sites string, args ...string) (*exec.Cmd, *said) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QINGYUAN_SITES="+sites, "QINGYUAN_TEST_COMMAND="+strings.Join(args, "\x1f"))
	text := &said{}
	cmd.Stdout, cmd.Stderr = text, text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it may have ended
	return cmd, text
}

func TestSignalStopsInOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal os.Signal
		args   []string
		want   []string
	}{
		{"interrupted crawl", os.Interrupt, []string{"crawl"}, []string{"正在停止", "已停止", "在途页面已归还", "1 sites, "}},
		{"terminated serve", syscall.SIGTERM, []string{"serve", "-lang", "en", "-addr", "127.0.0.1:0"}, []string{"Stopping:", "Stopped after"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			forum, sites := newSlowForum(t)
			forum.stuck.Store(true)
			data := t.TempDir()
			cmd, text := start(t, sites, append(c.args, "-data", data)...)
			select {
			case <-forum.hanging:
			case <-time.After(time.Minute):
				t.Fatalf("no page is in work:\n%s", text)
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatalf("it ends with %v:\n%s", err, text)
			}
			for _, part := range c.want {
				if !strings.Contains(text.String(), part) {
					t.Errorf("it does not say %q:\n%s", part, text)
				}
			}
			f, err := frontiersqlite.Open(t.Context(), filepath.Join(data, "frontier.db"), frontiersqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			stats, err := f.Stats(t.Context(), "")
			f.Close()
			if err != nil || stats.Leased != 0 || stats.Waiting == 0 || stats.Dead != 0 {
				t.Errorf("left behind: %+v, %v; want nothing leased and the rest waiting", stats, err)
			}
			forum.stuck.Store(false)
			t.Setenv("QINGYUAN_SITES", sites)
			mustRun(t, "", "crawl", "-once", "-data", data)
			n := 0
			eachRecord(t, data, func(index.Record) { n++ })
			if n != 12 {
				t.Errorf("after going on there are %d posts, want 12", n)
			}
		})
	}
}

// A second signal ends a stop that cannot come to its end.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	forum, sites := newSlowForum(t)
	data := t.TempDir()
	mustRunWith(t, sites, "crawl", "-once", "-data", data)
	db, err := sql.Open("sqlite", filepath.Join(data, "frontier.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	forum.stuck.Store(true)
	cmd, text := start(t, sites, "crawl", "-once", "-data", data)
	<-forum.hanging
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Leases cannot be given back while somebody else writes.
	if _, err := conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	text.await(t, "正在停止")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("the second signal ends it with %v:\n%s", err, text)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	forum.stuck.Store(false)
	mustRunWith(t, sites, "crawl", "-once", "-data", data)
	n := 0
	eachRecord(t, data, func(index.Record) { n++ })
	if n != 12 {
		t.Errorf("after going on there are %d posts, want 12", n)
	}
}

func mustRunWith(t *testing.T, sites string, args ...string) {
	t.Helper()
	t.Setenv("QINGYUAN_SITES", sites)
	mustRun(t, "", args...)
}

func TestStopThatTakesTooLongIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var text said
	watchStop(ctx, &text, "en", nil, time.Nanosecond, func(code int) { ended <- code })
	cancel()
	if code := <-ended; code != 1 || !strings.Contains(text.String(), "the process ends now") {
		t.Errorf("exit code %d:\n%s", code, text.String())
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	watchStop(ctx, io.Discard, "en", nil, time.Hour, func(int) { t.Error("a run that ends by itself was ended") }).done(0, nil)
}
