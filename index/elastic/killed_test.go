package elastic_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/index/indextest"
)

// TestOwnServer is one test, since the server takes a while to come up.
func TestOwnServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server of its own, twice")
	}
	o := newOwnServer(t)
	opts := elastic.Options{Server: o.trusted(), Prefix: "own", Normalize: indextest.Normalize, Now: indextest.Now, Retry: 50 * time.Millisecond}
	setUp(t, opts)
	t.Run("Trust", func(t *testing.T) { testTrust(t, o, opts) })
	t.Run("APIKeys", func(t *testing.T) { testAPIKeys(t, o, opts) })
	t.Run("TooLarge", func(t *testing.T) { testTooLarge(t, opts) })
	t.Run("Killed", func(t *testing.T) { testKilled(t, o, opts) })
}

// testTrust opens the store with right and wrong certificates and secrets.
func testTrust(t *testing.T, o *ownServer, opts elastic.Options) {
	pinned := opts
	pinned.CAFile, pinned.Fingerprint = "", strings.ToUpper(o.fingerprint[:2])+":"+o.fingerprint[2:]
	s := open(t, pinned)
	put(t, s, indextest.Posts(1, 9)...)
	for name, spoil := range map[string]func(*elastic.Options){
		"no authority":      func(o *elastic.Options) { o.CAFile = "" },
		"wrong fingerprint": func(o *elastic.Options) { o.CAFile, o.Fingerprint = "", strings.Repeat("ab", 32) },
		"wrong password":    func(o *elastic.Options) { o.Password = "wrong" },
		"unknown user":      func(o *elastic.Options) { o.User = "nobody" },
		"wrong API key":     func(o *elastic.Options) { o.User, o.Password, o.APIKey = "", "", "d3Jvbmc6a2V5" },
		"no user":           func(o *elastic.Options) { o.User, o.Password = "", "" },
	} {
		bad := opts
		bad.Spool = t.TempDir()
		spoil(&bad)
		if _, err := elastic.Open(t.Context(), bad); !errors.Is(err, elastic.ErrRefused) {
			t.Errorf("%s: Open gives %v, want ErrRefused", name, err)
		}
		if err := elastic.Setup(t.Context(), bad, func(string, string) {}); !errors.Is(err, elastic.ErrRefused) {
			t.Errorf("%s: Setup gives %v, want ErrRefused", name, err)
		}
	}
	for name, wrong := range map[string]elastic.Server{
		"no address": {}, "not a URL": {URLs: []string{"localhost:9200"}}, "short fingerprint": {URLs: o.trusted().URLs, Fingerprint: "ab:cd"},
		"password in the address": {URLs: []string{"https://a:b@127.0.0.1:1"}}, "a user alone": {URLs: o.trusted().URLs, User: "a"},
	} {
		if _, err := elastic.Open(t.Context(), elastic.Options{Server: wrong}); !errors.Is(err, index.ErrInvalid) {
			t.Errorf("%s: Open gives %v, want ErrInvalid", name, err)
		}
	}
}

// testTooLarge sends more than the server takes at once, and one record that
// alone is too much.
func testTooLarge(t *testing.T, opts elastic.Options) {
	opts.Prefix, opts.BulkBytes, opts.Spool = "large", 32<<20, t.TempDir()
	setUp(t, opts)
	s := open(t, opts)
	recs := indextest.Posts(30, 2)
	for i := range recs {
		recs[i].Post.Text += strings.Repeat("很长的帖子", 2000) // 30 KB, its document 160
	}
	huge := indextest.Posts(31, 3)[30]
	huge.Post.Text = strings.Repeat("更长的帖子", 60_000)
	put(t, s, append([]index.Record{huge}, recs...)...)
	everything(t, s, recs)
	list, err := s.Refused()
	if err != nil || len(list) != 1 || list[0].RecordID != huge.Post.ID || !strings.Contains(list[0].Reason, "larger than the server takes") {
		t.Errorf("refused: %+v, %v; want the huge record alone", list, err)
	}
}

// testKilled kills the server while several workers write, goes on writing,
// and starts it again.
func testKilled(t *testing.T, o *ownServer, opts elastic.Options) {
	opts.Prefix, opts.Spool = "killed", t.TempDir()
	setUp(t, opts)
	s := open(t, opts)
	w := index.NewWriter(s, index.WriterOptions{MaxBatch: 40})
	recs := indextest.Posts(1200, 4)
	put(t, s, recs[0])
	decided, err := s.Triage(t.Context(), recs[0].Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusConfirmed, Comment: "证据齐"})
	if err != nil {
		t.Fatal(err)
	}
	half := make(chan struct{}) // closed when half is written
	var once sync.Once
	var mu sync.Mutex
	done := 0
	var workers sync.WaitGroup
	for n := range 4 {
		workers.Go(func() {
			for i := n; i < len(recs); i += 4 {
				if err := w.Add(t.Context(), recs[i]); err != nil {
					t.Errorf("record %d: %v", i, err)
				}
				mu.Lock()
				if done++; done == len(recs)/2 {
					once.Do(func() { close(half) })
				}
				mu.Unlock()
			}
		})
	}
	<-half
	o.kill(t)
	workers.Wait()
	if st := s.Stats(); st.State != elastic.StateAway || st.SpoolEntries == 0 || !strings.Contains(st.Problem, "does not answer") {
		t.Errorf("while the server is away: %+v", st)
	}
	if _, err := s.Triage(t.Context(), recs[1].Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusConfirmed}); !errors.Is(err, elastic.ErrUnavailable) {
		t.Errorf("a decision while the server is away: %v, want ErrUnavailable", err)
	}
	o.start(t)
	flush(t, s)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	everything(t, s, recs)
	if r, err := s.Get(t.Context(), recs[0].Post.ID); err != nil || r.Triage.Status != decided.Status || r.Triage.Version != 1 {
		t.Errorf("the decision after it all: %+v, %v", r.Triage, err)
	}
	if c, err := s.Comments(t.Context(), recs[0].Post.ID); err != nil || len(c) != 1 {
		t.Errorf("%d comments, %v; want 1", len(c), err)
	}
	if err := s.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.State != elastic.StateOK || st.Refused != 0 || st.SpoolEntries != 0 {
		t.Errorf("after it all: %+v", st)
	}
}

// spoolerDir, when set, makes the test binary a process that puts records
// without a server until it is killed.
const spoolerDir = "QINGYUAN_TEST_SPOOLER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(spoolerDir); dir != "" {
		spoolForEver(dir)
	}
	os.Exit(m.Run())
}

func spoolForEver(dir string) {
	s, err := elastic.Open(context.Background(), elastic.Options{Server: elastic.Server{URLs: []string{"http://127.0.0.1:1"}}, Spool: dir, Now: indextest.Now})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i, r := range indextest.Posts(5000, 5) {
		if err := s.Put(context.Background(), []index.Record{r}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(i + 1)
	}
	os.Exit(0)
}

// What was acknowledged into the spool is there after kill -9, in order and once.
func TestSpoolSurvivesKill(t *testing.T) {
	opts := options(t, server(t))
	setUp(t, opts)
	opts.Spool = t.TempDir()
	acknowledged := 0
	for _, until := range [...]int{40, 41, 63} {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), spoolerDir+"="+opts.Spool), os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := 0
		for lines := bufio.NewScanner(out); last < until && lines.Scan(); {
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait() // which tells that it was killed
		acknowledged = max(acknowledged, last)
	}
	s := open(t, opts)
	flush(t, s)
	recs := indextest.Posts(5000, 5)
	for i := range acknowledged {
		if r, err := s.Get(t.Context(), recs[i].Post.ID); err != nil || r.Revisions != 0 {
			t.Fatalf("record %d of %d that were acknowledged: %v, %d revisions", i, acknowledged, err, r.Revisions)
		}
	}
	p, err := s.Search(t.Context(), index.Query{Limit: 1})
	if err != nil || p.Total < acknowledged {
		t.Errorf("%d records are there, %v; want at least %d", p.Total, err, acknowledged)
	}
}
