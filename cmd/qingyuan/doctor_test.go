package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"qingyuan/archive"
	"qingyuan/index/elastic"
)

// doctorSays runs doctor with a config and gives its answer by check.
func doctorSays(t *testing.T, config string, args ...string) (int, map[string]string, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "qingyuan.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	code := run(t.Context(), stdio{out: &out, err: &errs}, append([]string{"doctor", "-json", "-lang", "en", "-config", file}, args...))
	var answer struct {
		Status string
		Checks []struct{ Check, Status, Text, Remedy string }
	}
	if err := json.Unmarshal([]byte(out.String()), &answer); err != nil {
		t.Fatalf("doctor %v: %v\n%s\n%s", args, err, out.String(), errs.String())
	}
	by := map[string]string{}
	for _, c := range answer.Checks {
		by[c.Check] = strings.TrimSpace(by[c.Check] + " " + c.Status + ": " + c.Text)
		if c.Status != findingOK && c.Remedy == "" && !strings.HasPrefix(c.Check, "redis.") {
			t.Errorf("%s says %q and not what to do", c.Check, c.Text)
		}
	}
	if (answer.Status == findingFail) != (code == 1) {
		t.Errorf("status %q with exit code %d", answer.Status, code)
	}
	return code, by, errs.String()
}

func wantFinding(t *testing.T, found map[string]string, check, begins string) {
	t.Helper()
	if !strings.HasPrefix(found[check], begins) {
		t.Errorf("%s: %q, want %q…", check, found[check], begins)
	}
}

// testSites is a folder with one site that nobody reaches.
func testSites(t *testing.T) string {
	dir := t.TempDir()
	data, err := os.ReadFile("../../configs/sites/discuz.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "forum.yaml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDoctorOnASoundFolder(t *testing.T) {
	data := t.TempDir()
	if err := os.Chmod(data, 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("data: %s\nsites: %s\naddr: %s\n", data, testSites(t), freeAddr(t))
	code, found, errs := doctorSays(t, config)
	if code != 0 {
		t.Errorf("exit code %d: %v %s", code, found, errs)
	}
	for _, check := range []string{"config", "sites", "dictionaries", "data.write", "archive", "accounts", "listen", "time"} {
		wantFinding(t, found, check, "ok: ")
	}
	left, err := os.ReadDir(data)
	if err != nil || len(left) > 0 {
		t.Errorf("doctor left %v in the data folder (%v)", left, err)
	}
}

func TestDoctorTellsEveryMistakeOfAConfig(t *testing.T) {
	code, found, _ := doctorSays(t, "adr: 127.0.0.1:1\nlog: {level: loud}\n")
	if code != 1 || strings.Count(found["config"], "fail: ") != 2 {
		t.Errorf("exit code %d, %q; want both mistakes", code, found["config"])
	}
}

func TestDoctorOnDamage(t *testing.T) {
	ctx, data := t.Context(), t.TempDir()
	if err := os.Chmod(data, 0o750); err != nil {
		t.Fatal(err)
	}
	c := defaultConfig()
	c.Data = data
	for _, name := range []string{"frontier.db", "index.db"} { // the first is the index under another name
		store, err := openStore(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(data, "index.db"), filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(data, "index.db")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(raw); i++ {
		raw[i] ^= 0x5a
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("data: %s\nsites: %s\naddr: %s\naccounts: {required: \"off\"}\n", data, filepath.Join(data, "nowhere"), freeAddr(t))
	code, found, _ := doctorSays(t, config, "-only", "sites,data,sqlite")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, found, "sites", "fail: ")
	wantFinding(t, found, "data.mode", "warn: others may look into the data folder (0750)")
	wantFinding(t, found, "sqlite.index.db", "fail: ")
	wantFinding(t, found, "sqlite.frontier.db", "ok: ")
}

func TestDoctorReadsTheEndOfTheArchive(t *testing.T) {
	data := t.TempDir()
	dir := filepath.Join(data, "archive")
	w, err := archive.Open(archive.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("data: %s\n", data)
	_, found, _ := doctorSays(t, config, "-only", "archive")
	wantFinding(t, found, "archive", "ok: ")
	if err := os.Chmod(filepath.Join(dir, "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, found, _ = doctorSays(t, config, "-only", "archive")
	wantFinding(t, found, "archive", "fail: ")
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	code, found, _ := doctorSays(t, config, "-only", "archive")
	wantFinding(t, found, "archive", "fail: ")
	if _, err := os.Stat(filepath.Join(dir, "key.pem")); err == nil || code != 1 {
		t.Errorf("exit code %d; doctor made a key: %v", code, err == nil)
	}
}

func TestDoctorKnowsItsOwnServer(t *testing.T) {
	for _, tt := range []struct {
		answer string
		status int
		want   string // of listen
		ready  int    // exit code of -ready
		alive  int
	}{
		{`{"status":"ok","store":"ok","paused_sites":[{"host":"bbs.example"}],"sites_refused":[]}`, 200, "ok: serve runs", 0, 0},
		{`{"status":"failing","store":"does not answer"}`, 503, "fail: serve runs, but", 1, 0},
		{`<html>another program</html>`, 200, "fail: ", 1, 1},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.answer)
		}))
		config := "addr: " + strings.TrimPrefix(srv.URL, "http://") + "\n"
		_, found, _ := doctorSays(t, config, "-only", "listen")
		wantFinding(t, found, "listen", tt.want)
		if _, told := found["healthz.paused_sites"]; told != strings.Contains(tt.answer, "paused_sites") {
			t.Errorf("%s: paused sites told: %v", tt.answer, told)
		}
		if _, told := found["healthz.sites_refused"]; told {
			t.Error("an empty list is told")
		}
		for flag, want := range map[string]int{"-ready": tt.ready, "-alive": tt.alive} {
			var out, errs strings.Builder
			file := filepath.Join(t.TempDir(), "qingyuan.yaml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			if code := run(t.Context(), stdio{out: &out, err: &errs}, []string{"doctor", flag, "-config", file}); code != want {
				t.Errorf("%s at %s: exit code %d, want %d: %s", flag, tt.answer, code, want, errs.String())
			}
		}
		srv.Close()
	}
	var out, errs strings.Builder
	if code := run(t.Context(), stdio{out: &out, err: &errs}, []string{"doctor", "-alive", "-addr", freeAddr(t)}); code != 1 {
		t.Errorf("-alive with nobody there: exit code %d", code)
	}
}

func TestDoctorLooksForABrowser(t *testing.T) {
	sites := "sites: " + testSites(t) + "\n"
	if _, found, _ := doctorSays(t, sites, "-only", "browser"); found["browser"] != "" {
		t.Errorf("nobody wants a browser: %q", found["browser"])
	}
	_, found, _ := doctorSays(t, sites+"evidence: {screenshot: true}\nbrowser: {path: /nowhere/chromium}\n", "-only", "browser")
	wantFinding(t, found, "browser", "warn: there is no browser")
	name := filepath.Join(t.TempDir(), "chromium")
	if err := os.WriteFile(name, []byte("#!/bin/sh\necho 'Chromium 140.0'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, found, _ = doctorSays(t, sites+"evidence: {screenshot: true}\nbrowser: {path: "+name+"}\n", "-only", "browser")
	wantFinding(t, found, "browser", "ok: Chromium 140.0 ("+name+")")
}

func TestDoctorAsksRedis(t *testing.T) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing, and CI=true")
		}
		t.Skip("redis-server is missing; see scripts/setup")
	}
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); cmd.Wait() }()
	buf, said := make([]byte, 4096), ""
	for !strings.Contains(said, "eady to accept connections") {
		n, err := stdout.Read(buf)
		if err != nil {
			t.Fatalf("redis-server ended: %s", said)
		}
		said += string(buf[:n])
	}
	go func() {
		for { // it must not stop at a full pipe
			if _, err := stdout.Read(buf); err != nil {
				return
			}
		}
	}()
	data := t.TempDir()
	config := fmt.Sprintf("data: %s\nfrontier: {backend: redis, redis: {addrs: [%q]}}\n", data, addr)
	code, found, _ := doctorSays(t, config, "-only", "redis")
	if code != 1 {
		t.Errorf("exit code %d: %v", code, found)
	}
	wantFinding(t, found, "redis", "ok: ")
	wantFinding(t, found, "redis.policy", "fail: maxmemory-policy is allkeys-lru")
	wantFinding(t, found, "redis.aof", "fail: ")
	if left, _ := os.ReadDir(data); len(left) > 0 {
		t.Errorf("doctor left %v", left)
	}
	cancel()
	cmd.Wait()
	if _, found, _ = doctorSays(t, config, "-only", "redis"); !strings.HasPrefix(found["redis"], "fail: ") {
		t.Errorf("with Redis away: %q", found["redis"])
	}
}

func TestDoctorAsksElasticsearch(t *testing.T) {
	url := os.Getenv("QINGYUAN_TEST_ELASTIC")
	if url == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("QINGYUAN_TEST_ELASTIC is not set, and CI=true; run by scripts/services")
		}
		t.Skip("no Elasticsearch; run by scripts/services run")
	}
	prefix := fmt.Sprintf("doctor-%d", os.Getpid())
	config := fmt.Sprintf("data: %s\nindex: {backend: elastic, elastic: {urls: [%q], prefix: %s}}\n", t.TempDir(), url, prefix)
	code, found, _ := doctorSays(t, config, "-only", "elastic")
	if code != 1 {
		t.Errorf("before setup: exit code %d: %v", code, found)
	}
	wantFinding(t, found, "elastic.posts", "fail: ")
	file := filepath.Join(t.TempDir(), "qingyuan.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := elastic.Drop(context.Background(), elastic.Options{Server: elastic.Server{URLs: []string{url}}, Prefix: prefix}); err != nil {
			t.Error(err)
		}
	})
	var out, errs strings.Builder
	if code := run(t.Context(), stdio{out: &out, err: &errs}, []string{"setup", "-config", file}); code != 0 {
		t.Fatalf("setup: %s%s", out.String(), errs.String())
	}
	code, found, _ = doctorSays(t, config, "-only", "elastic")
	if code != 0 {
		t.Errorf("after setup: exit code %d: %v", code, found)
	}
	wantFinding(t, found, "elastic", "ok: Elasticsearch 8.")
	for _, alias := range []string{"posts", "revisions", "audit", "state"} {
		wantFinding(t, found, "elastic."+alias, "ok: "+prefix+"-"+alias+" → "+prefix+"-"+alias+"-v1; ")
	}
}
