package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRobotsCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "robots.txt")
	body := "User-agent: *\nDisallow: /\n\nUser-agent: qingyuan\nDisallow: /*?*sid=\nAllow: /thread-\nCrawl-delay: 2.5\nSitemap: https://bbs.example.com/s.xml\n"
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	urls := []string{"https://bbs.example.com/thread-1-1-1.html", "https://bbs.example.com/x?a=1&sid=abc", "https://bbs.example.com/x", "https://bbs.example.com/robots.txt"}
	want := "allow\t" + urls[0] + "\tline 6, Allow: /thread- (group qingyuan)\n" +
		"deny\t" + urls[1] + "\tline 5, Disallow: /*?*sid= (group qingyuan)\n" +
		"allow\t" + urls[2] + "\tno rule of group qingyuan\n" +
		"allow\t" + urls[3] + "\trobots.txt itself\n"
	for _, agent := range []string{"qingyuan", "QingYuan/1.2 (+https://agency.example)", "Mozilla/5.0 (compatible; Qingyuan/1.2; +https://agency.example)"} {
		if out := mustRun(t, "", append([]string{"robots", "-file", file, "-agent", agent}, urls...)...); out != want {
			t.Errorf("%s:\n%s\nwant\n%s", agent, out, want)
		}
	}
	if out := mustRun(t, body, "robots", "-file", "-", "-agent", "other", urls[0]); out != "deny\t"+urls[0]+"\tline 2, Disallow: / (group *)\n" {
		t.Errorf("from standard input: %s", out)
	}
}

func TestRobotsLines(t *testing.T) {
	q := func(robots, agent, url string) string {
		line, _ := json.Marshal(map[string]string{"robots": robots, "agent": agent, "url": url})
		return string(line) + "\n"
	}
	in := q("User-agent: a\nDisallow: /x\nCrawl-delay: 3\n", "a", "/x?<1>") + "\n" + q("User-agent: a\nDisallow: /x\n", "b", "https://h.example/x") + `{"agent":"a"}` + "\nnothing\n" + q("", "a", "/y")
	out := strings.Split(strings.TrimSpace(mustRun(t, in, "robots", "-jsonl")), "\n")
	if len(out) != 5 {
		t.Fatalf("%d lines for 5 questions:\n%s", len(out), strings.Join(out, "\n"))
	}
	for i, want := range []string{
		`{"url":"/x?<1>","agent":"a","allow":false,"reason":"rule","rule":"Disallow: /x","line":2,"group":"a","crawl_delay":3}`,
		`{"url":"https://h.example/x","agent":"b","allow":true,"reason":"no rule"}`,
		`robots, agent and url are needed`, `no JSON object`, `"allow":true`,
	} {
		if !strings.Contains(out[i], want) {
			t.Errorf("line %d: %s\nwant %s", i+1, out[i], want)
		}
	}
}

func TestURLCommand(t *testing.T) {
	site := filepath.Join(t.TempDir(), "s.yaml")
	err := os.WriteFile(site, []byte("name: s\ntype: forum\nhosts: [bbs.example.com]\nseeds: ['https://bbs.example.com/forum-2-1.html']\ncanonical: {engine: discuz, threads: static}\npages: [{name: all, match: '^/', follow: [a]}]\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, "", "url", "canonical", "HTTPS://BBS.example.com:443/a/../x?utm_source=qq&b=1#f"); out != "https://bbs.example.com/x?b=1\n" {
		t.Errorf("plain: %q", out)
	}
	if out := mustRun(t, "", "url", "canonical", "-site", site, "https://bbs.example.com/forum.php?mod=viewthread&tid=7&extra=page%3D1"); out != "https://bbs.example.com/thread-7-1-1.html\n" {
		t.Errorf("with a site: %q", out)
	}
	out := mustRun(t, "https://bbs.example.com/viewthread.php?tid=7\n{\"url\":\"ftp://x/\"}\n", "url", "canonical", "-site", site, "-jsonl")
	want := `{"url":"https://bbs.example.com/viewthread.php?tid=7","canonical":"https://bbs.example.com/thread-7-1-1.html","host":"bbs.example.com","page":"all"}`
	if !strings.HasPrefix(out, want+"\n") || !strings.Contains(out, `"error":"url \"ftp://x/\"`) {
		t.Errorf("lines: %s", out)
	}
	if _, errOut, code := runCommand(t, "", "url", "canonical", "javascript:x"); code != 1 || !strings.Contains(errOut, "javascript") {
		t.Errorf("a bad URL: exit %d, %s", code, errOut)
	}
	for _, args := range [][]string{{"url"}, {"url", "canonical"}, {"robots"}, {"robots", "-jsonl", "x"}} {
		if _, _, code := runCommand(t, "", args...); code != 2 {
			t.Errorf("%q: exit %d, want 2", args, code)
		}
	}
}

func TestCrawlWhyCommand(t *testing.T) {
	dir := t.TempDir()
	sites := filepath.Join(dir, "sites")
	if err := os.Mkdir(sites, 0o700); err != nil {
		t.Fatal(err)
	}
	// Nothing listens on port 1: the seed is given up.
	err := os.WriteFile(filepath.Join(sites, "s.yaml"), []byte("name: s\ntype: forum\nhosts: ['127.0.0.1:1']\nseeds: ['http://127.0.0.1:1/']\nallow_private: true\ndelay: 0s\npages: [{name: all, match: '^/(list.*)?$', follow: [a]}]\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("QINGYUAN_SITES", sites)
	data := filepath.Join(dir, "data")
	if _, errOut, code := runCommand(t, "", "crawl", "why", "-data", data, "http://127.0.0.1:1/"); code != 1 || !strings.Contains(errOut, "nothing was crawled there yet") {
		t.Errorf("before the first crawl: exit %d, %s", code, errOut)
	}
	db := openTestFrontier(t, data)
	defer db.Close()
	out := mustRun(t, "", "crawl", "why", "-data", data, "-lang", "zh", "http://127.0.0.1:1/", "http://127.0.0.1:1/list2", "http://127.0.0.1:1/x", "https://elsewhere.example/")
	for _, want := range []string{"已放弃\n  原因: status 410 Gone", "尚未发现", "没有页面规则", "hosts 范围"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out = mustRun(t, "", "crawl", "why", "-data", data, "-lang", "en", "-json", "http://127.0.0.1:1/#top")
	for _, want := range []string{`"code":"dead"`, `"state":"dead"`, `"duplicate_of":"http://127.0.0.1:1/"`, `"reason":"status 410 Gone"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}
