package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	"qingyuan/triage"
)

// boardPages are the pages of serve -no-crawl over a data folder.
func boardPages(t *testing.T, data, sites string) http.Handler {
	t.Helper()
	c := defaultConfig()
	c.Data, c.Sites = data, sites
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	board := newStatusBoard(c, slog.New(slog.DiscardHandler), "frontier.db", nil, nil, nil)
	t.Cleanup(func() { board.close() })
	board.store, board.metrics = store, newMetrics().handler()
	pages := &livePages{logger: slog.New(slog.DiscardHandler), board: board}
	if err := pages.open(c, store, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	return pages
}

func answerBody(t *testing.T, resp *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func apiStatus(t *testing.T, h http.Handler) (st triage.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(answerBody(t, visit(h, http.MethodGet, "/api/status"))), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// The status page and the question why answer from what is stored, while
// another process crawls into the same folder and after it was killed.
func TestStatusOfACrawlInAnotherProcess(t *testing.T) {
	forum, sites := newSlowForum(t)
	forum.stuck.Store(true)
	data := t.TempDir()
	h := boardPages(t, data, sites)
	if page := answerBody(t, visit(h, http.MethodGet, "/status?url="+url.QueryEscape(forum.URL+"/f"))); !strings.Contains(page, "慢论坛") || strings.Count(page, "还没有采集记录") != 2 {
		t.Errorf("before any crawl the page says\n%s", page)
	}
	cmd, text := start(t, sites, "crawl", "-data", data)
	select {
	case <-forum.hanging:
	case <-time.After(time.Minute):
		t.Fatalf("no page is in work:\n%s", text)
	}
	h = boardPages(t, data, sites) // the first has counted the index a moment ago
	ask := func(path string) (answer struct{ Answers []crawler.Why }) {
		t.Helper()
		if err := json.Unmarshal([]byte(answerBody(t, visit(h, http.MethodGet, "/api/why?url="+url.QueryEscape(forum.URL+path)))), &answer); err != nil || len(answer.Answers) != 1 {
			t.Fatalf("why %s: %+v, %v", path, answer, err)
		}
		return answer
	}
	st := apiStatus(t, h)
	if st.Live || st.LastRequest.IsZero() || st.Total.Leased != 1 || st.Total.Queued != 7 || st.Total.Fetched != 5 || st.Total.Posts != 4 || st.Total.Hits == 0 {
		t.Errorf("while it crawls: %+v", st)
	}
	if len(st.Sites) != 1 || st.Sites[0].Title != "慢论坛" || st.Sites[0].Waiting != "working" || len(st.Hosts) != 1 || st.Hosts[0].Waiting != "working" || st.Hosts[0].Site != "bbs" {
		t.Errorf("the site: %+v, the hosts: %+v", st.Sites, st.Hosts)
	}
	if got := ask("/f").Answers[0].Code; got != crawler.WhyFetched {
		t.Errorf("the list is %s", got)
	}
	if got := ask("/t/5").Answers[0].Code; got != crawler.WhyLeased {
		t.Errorf("the page in work is %s", got)
	}
	if got := ask("/t/12"); got.Answers[0].Code != crawler.WhyQueued || got.Answers[0].Ahead != 6 {
		t.Errorf("the last page is %+v", got)
	}
	page := answerBody(t, visit(h, http.MethodGet, "/status?url="+url.QueryEscape(forum.URL+"/t/12")))
	for _, want := range []string{"本进程没有在采集", "排队中", "同主机排在前面", "慢论坛", "词库版本"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // killed
	if st := apiStatus(t, h); st.Total.Queued+st.Total.Leased != 8 {
		t.Errorf("after it was killed: %+v", st.Total)
	}
}

// What a host waits for, and what its site does, by what the frontier says.
func TestStandings(t *testing.T) {
	now := time.Now()
	src, err := crawler.ReadSource("bbs.yaml", []byte("name: bbs\ntitle: 论坛\ntype: forum\nhosts: ['*.bbs.example']\nseeds: ['https://www.bbs.example/']\npages:\n  - {name: all, match: '.', posts: [{each: p, kind: post, key: {attr: id}, text: p}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host frontier.HostStanding
		want string
	}{
		"in work":     {frontier.HostStanding{Leased: true, Until: now.Add(time.Hour), Reason: "status 503"}, "working"},
		"due":         {frontier.HostStanding{Ready: 3, Free: now.Add(-time.Second)}, "queued"},
		"delay":       {frontier.HostStanding{Ready: 3, Free: now.Add(time.Second)}, "delay"},
		"back-off":    {frontier.HostStanding{Ready: 3, Free: now.Add(time.Hour), Until: now.Add(time.Hour), Reason: "status 503"}, "backoff"},
		"Retry-After": {frontier.HostStanding{Ready: 3, Until: now.Add(time.Hour), Reason: "status 429 (Retry-After)"}, "retry_after"},
		"max_pages":   {frontier.HostStanding{Until: now.Add(time.Hour), Reason: "max_pages: 5 pages in 6h0m0s are fetched"}, "budget"},
		"over":        {frontier.HostStanding{Ready: 1, Until: now.Add(-time.Hour), Reason: "status 503"}, "queued"},
	} {
		c.host.Host = "a.bbs.example"
		got := hostStatus(c.host, []*crawler.Source{src}, now)
		if got.Waiting != c.want || got.Site != "bbs" {
			t.Errorf("%s: %+v, want %s of bbs", name, got, c.want)
		}
	}
	rests := triage.HostStatus{Waiting: "wall", Until: now.Add(time.Hour), Reason: "captcha"}
	soon := triage.HostStatus{Waiting: "backoff", Until: now.Add(time.Minute), Reason: "status 503"}
	for name, c := range map[string]struct {
		site  triage.SiteStatus
		hosts []triage.HostStatus
		due   time.Time
		want  string
	}{
		"one host works":      {hosts: []triage.HostStatus{rests, {Waiting: "working"}}, want: "working"},
		"all rest":            {hosts: []triage.HostStatus{rests, soon}, want: "backoff"},
		"delay before a rest": {hosts: []triage.HostStatus{soon, {Waiting: "delay", Until: now.Add(2 * time.Hour)}}, want: "delay"},
		"later":               {site: triage.SiteStatus{NotDue: 3}, due: now.Add(time.Hour), want: "not_due"},
		"nothing":             {want: "done"},
	} {
		waitingOf(&c.site, c.hosts, c.due, now)
		if c.site.Waiting != c.want {
			t.Errorf("%s: %+v, want %s", name, c.site, c.want)
		}
	}
}

// A frontier that cannot list its hosts still has its counts shown.
func TestStandingsWithoutHosts(t *testing.T) {
	db := openTestFrontier(t, t.TempDir())
	defer db.Close()
	st := triage.Status{At: time.Now(), Sites: []triage.SiteStatus{{Site: "s"}, {Site: "other"}}}
	if err := standings(t.Context(), struct{ frontier.Frontier }{db}, nil, &st); err != nil {
		t.Fatal(err)
	}
	if st.Sites[0].Dead != 1 || st.Sites[0].Waiting != "done" || st.Sites[1].Waiting != "done" {
		t.Errorf("%+v", st.Sites)
	}
}

func TestDeadLettersByClass(t *testing.T) {
	var dead []frontier.DeadTask
	for i := range 20 {
		reason := "status 404"
		if i%4 == 0 {
			reason = "timeout: total limit of 2m0s"
		}
		dead = append(dead, frontier.DeadTask{Task: frontier.Task{URL: "https://bbs.example/" + strings.Repeat("x", i)}, Reason: reason})
	}
	got := deadClasses(dead)
	if len(got) != 2 || got[0].Class != "not_found" || got[0].Count != 15 || len(got[0].Examples) != deadExamples || got[1].Class != "timeout" || got[1].Count != 5 {
		t.Errorf("%+v", got)
	}
}

func TestStorageIsAddedUp(t *testing.T) {
	c := defaultConfig()
	c.Data = t.TempDir()
	for name, size := range map[string]int{"archive/2026/a.warc.gz": 1000, "archive/2026/a.cdxj": 24, "index.db": 500, "index.db-wal": 12, "frontier.db": 7, "other": 9999} {
		file := filepath.Join(c.Data, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []triage.Storage{{Name: "archive", Bytes: 1024, Files: 2}, {Name: "index", Bytes: 512, Files: 2}, {Name: "frontier", Bytes: 7, Files: 1}}
	for i, got := range storageOf(c, filepath.Join(c.Data, "frontier.db")) {
		if got != want[i] {
			t.Errorf("%+v, want %+v", got, want[i])
		}
	}
}
