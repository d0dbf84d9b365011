package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler/frontier/redis/redistest"
)

func TestFrontierConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "qingyuan.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		"frontier: {backend: kafka}":                                                         `"kafka" is unknown`,
		"frontier: {backend: redis}":                                                         "no address of Redis",
		"frontier:\n  backend: redis\n  redis: {addrs: [localhost]}":                         `:3: `,
		"frontier: {backend: redis, redis: {addrs: ['a:1'], prefix: 'a{b}'}}":                "begins no key",
		"frontier: {backend: redis, redis: {addrs: ['a:1'], password: x, password_file: y}}": "both given",
		"frontier: {backend: redis, redis: {addrs: ['a:1', 'b:1'], db: 3}}":                  "a Cluster has 0 only",
		"frontier: {backend: redis, redis: {adrs: ['a:1']}}":                                 "addrs",
	} {
		write(text)
		if _, err := loadConfig(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis taken with %v; want %s", text, err, want)
		}
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write("frontier:\n  backend: redis\n  redis: {addrs: ['10.0.0.1:6379'], user: crawler, password_file: " + secret + ", db: 2, prefix: q}\n")
	t.Setenv("QINGYUAN_REDIS_ADDRS", "10.0.0.2:6379,10.0.0.3:6379")
	t.Setenv("QINGYUAN_REDIS_SENTINEL", "main")
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	o, err := redisOptions(c, nil)
	if err != nil || o.Password != "correct horse" || o.User != "crawler" || len(o.Addrs) != 2 || o.Master != "main" || o.DB != 2 || o.Prefix != "q" || o.TLS != nil {
		t.Errorf("options %+v, %v", o, err)
	}
	c.Frontier.Redis.TLS.CAFile = secret
	if _, err := redisOptions(c, nil); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a CA file without a certificate: %v", err)
	}
	c.Frontier.Redis.PasswordFile = filepath.Join(dir, "none")
	if _, err := redisOptions(c, nil); err == nil || !strings.Contains(err.Error(), "password_file") {
		t.Errorf("a password file that is not there: %v", err)
	}
}

// TestLostFrontierIsTold: the operator of a crawl whose Redis comes back empty
// is told so on /healthz and in the log, the crawl waits, and crawl anew has it
// go on.
func TestLostFrontierIsTold(t *testing.T) {
	server := redistest.Start(t)
	s := shareTown(t, server.Addr, 1, 0)
	mustRun(t, "", "crawl", "-once", "-config", s.config, "-data", filepath.Join(s.dir, "serve"))
	pages := s.seen.measure(0).pages
	addr := freeAddr(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QINGYUAN_TEST_COMMAND="+strings.Join([]string{"serve", "-config", s.config, "-data", filepath.Join(s.dir, "serve"), "-addr", addr}, "\x1f"))
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	problem := func(want string) {
		t.Helper()
		last := ""
		for until := time.Now().Add(90 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			text, up := healthOf(addr)
			if up && (text == want || want != "" && strings.Contains(text, want)) {
				return
			}
			last = text
		}
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("/healthz says %q of the frontier, want %q; the log:\n%s", last, want, log.String())
	}
	problem("")
	server.Kill()
	server.Empty()
	server.Run()
	problem("the frontier in Redis is gone") // first it may say that the server is away
	out := mustRun(t, "", "crawl", "anew", "-config", s.config, "-data", filepath.Join(s.dir, "other"), "-lang", "en")
	if !strings.Contains(out, "begun anew") {
		t.Errorf("crawl anew says %q", out)
	}
	problem("")
	for until := time.Now().Add(90 * time.Second); s.seen.count() < 2*pages; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d requests, %d pages before: the crawl did not begin anew; the log:\n%s", s.seen.count(), pages, log.String())
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if !strings.Contains(log.String(), "the frontier in Redis is gone") {
		t.Errorf("the log does not say it:\n%s", log.String())
	}
}

func healthOf(addr string) (problem string, up bool) {
	resp, err := http.Get(fmt.Sprintf("http://%s/healthz", addr))
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	var answer struct {
		Frontier struct{ Problem string }
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return "", false
	}
	return answer.Frontier.Problem, true
}

func TestCrawlWhyReadsRedis(t *testing.T) {
	server := redistest.Start(t)
	s := shareTown(t, server.Addr, 1, 0)
	data := filepath.Join(s.dir, "data")
	mustRun(t, "", "crawl", "-once", "-config", s.config, "-data", data)
	s.seen.mu.Lock()
	url := s.seen.all[len(s.seen.all)-1]
	s.seen.mu.Unlock()
	out := mustRun(t, "", "crawl", "why", "-config", s.config, "-data", data, "-lang", "en", url.base+url.uri)
	if !strings.Contains(out, "fetched") {
		t.Errorf("crawl why says %s", out)
	}
	if _, errOut, code := runCommand(t, "", "crawl", "anew", "-config", s.config, "-data", data); code != 1 || !strings.Contains(errOut, "nothing was done") {
		t.Errorf("crawl anew of a frontier that is well: exit %d\n%s", code, errOut)
	}
	if _, errOut, code := runCommand(t, "", "crawl", "anew", "-data", data); code != 2 {
		t.Errorf("crawl anew without Redis: exit %d\n%s", code, errOut)
	}
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
