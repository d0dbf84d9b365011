package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/post"
)

// cli runs one command line and returns its output and exit code.
func cli(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), stdio{strings.NewReader(""), &stdout, &stderr}, args)
	return stdout.String(), stderr.String(), code
}

// The commands work with a server as with the embedded index, and say what to
// do before it is set up.
func TestIndexOnServer(t *testing.T) {
	address := os.Getenv("QINGYUAN_TEST_ELASTIC")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("QINGYUAN_TEST_ELASTIC is not set: run the tests through scripts/services")
		}
		t.Skip("QINGYUAN_TEST_ELASTIC is not set")
	}
	dir := t.TempDir()
	prefix := "cmd-" + strings.ToLower(filepath.Base(filepath.Dir(dir)))
	prefix = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, prefix)
	file := filepath.Join(dir, "q.yaml")
	text := "data: " + filepath.Join(dir, "data") + "\nindex: {backend: elastic, elastic: {urls: [" + address + "], prefix: " + prefix + "}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := elastic.Drop(t.Context(), elastic.Options{Server: elastic.Server{URLs: []string{address}}, Prefix: prefix}); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	if _, errs, code := cli(t, "search", "-config", file, "停息"); code != 1 || !strings.Contains(errs, "qingyuan setup") {
		t.Errorf("search before setup: exit %d, %s", code, errs)
	}
	if out, errs, code := cli(t, "setup", "-config", file, "-lang", "en"); code != 0 || !strings.Contains(out, prefix+"-posts-v1: made") {
		t.Fatalf("setup: exit %d, %s%s", code, out, errs)
	}
	if out, _, code := cli(t, "setup", "-config", file); code != 0 || strings.Contains(out, "已建立") || !strings.Contains(out, "索引已就绪") {
		t.Errorf("setup again: exit %d, %s", code, out)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	putPosts(t, store)
	out, errs, code := cli(t, "search", "-config", file, "-json", "停息挂账 wechat:hz_anxin88")
	var hit struct {
		Record struct {
			Post struct{ Text string }
		}
	}
	if code != 0 || json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &hit) != nil || !strings.Contains(out, "hz_anxin88") {
		t.Errorf("search: exit %d, %s%s", code, out, errs)
	}
	if out, _, code := cli(t, "export", "-config", file, "-format", "csv"); code != 0 || strings.Count(out, "\r\n") != 3 {
		t.Errorf("export: exit %d, %s", code, out)
	}
	if out, _, code := cli(t, "index", "status", "-config", file, "-lang", "en"); code != 0 || !strings.Contains(out, "state: ok") {
		t.Errorf("index status: exit %d, %s", code, out)
	}
	if out, _, code := cli(t, "index", "redo", "-config", file, "-lang", "en"); code != 0 || !strings.HasPrefix(out, "0 taken, 0 still refused") {
		t.Errorf("index redo: exit %d, %s", code, out)
	}
	if st := indexHealth(func() map[string]any { return map[string]any{} }, nil, store)()["index"]; st == nil || st.(elastic.Stats).State != elastic.StateOK {
		t.Errorf("/healthz says of the index: %+v", st)
	}
}

// Mistakes in the index part of a config are told with their line.
func TestIndexConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q.yaml")
	for text, want := range map[string]string{
		"index: {backend: bleve}":                         "sqlite, elastic",
		"index: {elastic: {prefix: Posts}}":               "lower-case",
		"index: {elastic: {urls: [localhost]}}":           "is no address",
		"index: {elastic: {urls: ['http://a:b@c:9200']}}": "holds a password",
		"index: {elastic: {ca_file: a, fingerprint: b}}":  "not both",
		"index: {elastic: {fingerprint: abcd}}":           "64 hexadecimal",
		"index: {elastic: {api_key_file: a, user: b}}":    "give one of them",
		"index: {elastic: {spool_mb: 0}}":                 "out of range",
		"index: {elastic: {url: x}}":                      "url",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadConfig(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "q.yaml:1")) {
			t.Errorf("%s: %v, want %q with file and line", text, err, want)
		}
	}
	if err := os.WriteFile(file, []byte("index: {backend: elastic, elastic: {api_key_file: /does/not/exist}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	c.Data = t.TempDir()
	if _, err := openStore(t.Context(), c); err == nil || !strings.Contains(err.Error(), "api_key_file") {
		t.Errorf("a key file that is not there: %v", err)
	}
}

// putPosts puts two posts, one of them an offer.
func putPosts(t *testing.T, store index.Store) {
	t.Helper()
	classifier, err := openClassifier(defaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"停息挂账最长60期，先看征信再报价，微信 hz_anxin88", "昨天去爬山了，天气很好"} {
		p := post.Post{ID: post.NewID("s", text), Source: "s", Kind: post.KindPost, URL: "https://bbs.demo.example/" + string(rune('a'+i)), Text: text, FetchedAt: time.Now()}
		v, err := classifier.Classify(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), []index.Record{{Post: p, Verdict: v}}); err != nil {
			t.Fatal(err)
		}
	}
}
