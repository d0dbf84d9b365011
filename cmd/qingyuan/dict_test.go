package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/index"
	"qingyuan/post"
)

// dictionaryCopy is a folder with the built-in dictionaries, edited: file →
// old text → new text.
func dictionaryCopy(t *testing.T, edits map[string][2]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dictionaries")
	names, err := fs.Glob(dictionaries.FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(dictionaries.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, ok := edits[name]; ok {
			edit(t, filepath.Join(dir, name), e[0], e[1])
		}
	}
	return dir
}

func edit(t *testing.T, file, old, new string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

const devFile = "../../testdata/labelled/dev.jsonl"

var newTerm = map[string][2]string{"cashout.yaml": {"\nterms:\n", "\nthreshold: 0.6\nterms:\n  - {id: xidengpao, text: 洗灯泡, weight: 3}\n"}}

func TestDictDiff(t *testing.T) {
	dir := dictionaryCopy(t, newTerm)
	out := mustRun(t, "", "dict", "diff", "built-in", dir)
	for _, want := range []string{"1 added, 0 removed, 1 changed", "+ term xidengpao 洗灯泡", "threshold: 0.5 → 0.6"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	var d classify.DictionaryDiff
	if err := json.Unmarshal([]byte(mustRun(t, "", "dict", "diff", dir, "built-in", "-json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Removed != 1 || d.Changed != 1 || len(d.Changes) != 2 {
		t.Errorf("as JSON: %+v", d)
	}
}

func TestDictDiffOfARevision(t *testing.T) {
	repo := t.TempDir()
	t.Chdir(repo)
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "commit.gpgsign=false"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	if err := os.CopyFS("dictionaries", os.DirFS(dictionaryCopy(t, nil))); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "-q", "-m", "first")
	edit(t, "dictionaries/cashout.yaml", newTerm["cashout.yaml"][0], newTerm["cashout.yaml"][1])
	if out := mustRun(t, "", "dict", "diff", "git:HEAD:dictionaries", "dictionaries"); !strings.Contains(out, "+ term xidengpao") {
		t.Errorf("against HEAD:\n%s", out)
	}
	for _, bad := range []string{"git:--output=x:dictionaries", "git:HEAD", "git:", "git:nosuch:dictionaries"} {
		if _, errOut, code := runCommand(t, "", "dict", "diff", bad, "dictionaries"); code == 0 {
			t.Errorf("%s is taken for a revision: %s", bad, errOut)
		}
	}
}

func TestDictMisuse(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"dict", 2, "dict suggest"},
		{"dict prune", 2, "there is no dict prune"},
		{"dict -h", 0, "dict backtest"},
		{"dict diff built-in", 2, "name the old and the new"},
		{"dict diff built-in /nonexistent", 1, "/nonexistent"},
		{"dict diff built-in " + devFile, 1, "is no folder"},
		{"dict backtest built-in built-in", 2, "name a file of posts"},
		{"dict backtest built-in built-in " + devFile + " -store", 2, "-store takes the records"},
		{"dict backtest built-in built-in " + devFile + " -days 3", 2, "-days goes with -store"},
		{"dict suggest -category nonsense " + devFile, 2, `category "nonsense" is unknown`},
		{"dict suggest -min 0 " + devFile, 2, "at least 1"},
		{"dict suggest /nonexistent.jsonl", 1, "/nonexistent.jsonl"},
		{"dict suggest -store -data /nonexistent/data", 1, "crawl first"},
	} {
		_, errOut, code := runCommand(t, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit %d, want %d with %q in:\n%s", c.args, code, c.code, c.want, errOut)
		}
	}
	for in, want := range map[string]string{
		"{\"text\":\"好\"}\n{": "standard input:2: not a JSON object",
		`{"id":"x"}`:          "standard input:1: there is no text",
	} {
		if _, errOut, code := runCommand(t, in, "dict", "suggest", "-"); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("%q: exit %d, want %q in:\n%s", in, code, want, errOut)
		}
	}
}

func TestDictBacktest(t *testing.T) {
	dir := dictionaryCopy(t, newTerm)
	posts := `{"id":"hit","text":"洗灯泡，点位低，要的加微信 sg_88231","flagged":true,"stance":"offer","category":"cashout"}
{"id":"again","text":"洗灯泡，点位低，要的加微信 sg_88231","flagged":true,"stance":"offer","category":"cashout"}
{"id":"plain","text":"今天去公园走了走","flagged":false,"stance":"other"}
`
	out := mustRun(t, posts, "dict", "backtest", "-model", "none", "built-in", dir, "-")
	for _, want := range []string{"3 posts, 3 of them", "hits 0 → 2", "+2  2 right, 0 wrong", "recall 0.000 → 1.000", "newly flagged: 2", "RIGHT  (and 1 more", "+ term xidengpao cashout +0.00", "洗灯泡"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if out := mustRun(t, posts, "dict", "backtest", "-model", "none", "-n", "0", "built-in", dir, "-"); !strings.Contains(out, "… 2 more not shown") {
		t.Errorf("what is left out is not counted:\n%s", out)
	}
	var all struct {
		Changes []classify.BacktestChange
		Summary classify.Backtest
	}
	if err := json.Unmarshal([]byte(mustRun(t, posts, "dict", "backtest", "-model", "none", "-json", "built-in", dir, "-")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Changes) != 2 || all.Summary.Flagged.Right != 2 {
		t.Errorf("as JSON: %+v", all)
	}
	none := mustRun(t, "", "dict", "backtest", "-model", "none", "-json", "built-in", dir, "-")
	if err := json.Unmarshal([]byte(none), &all); err != nil || len(all.Changes) != 0 {
		t.Errorf("no posts as JSON: %v, %s", err, none)
	}
}

// What analysts decided is taken for true, and an export is read like the store.
func TestDictOverTheStore(t *testing.T) {
	dir, data := dictionaryCopy(t, newTerm), t.TempDir()
	c := defaultConfig()
	c.Data = data
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	put := func(id string, change index.TriageChange) {
		p := post.Post{ID: id, Source: "s", Kind: post.KindPost, URL: "https://a.example/" + id, Text: "洗灯泡，点位低，要的加微信 sg_" + id, FetchedAt: time.Now()}
		if err := store.Put(t.Context(), []index.Record{{Post: p}}); err != nil {
			t.Fatal(err)
		}
		change.Actor = "a"
		if _, err := store.Triage(t.Context(), id, 0, change); err != nil {
			t.Fatal(err)
		}
	}
	put("confirmed1", index.TriageChange{Status: index.StatusConfirmed})
	put("dismissed1", index.TriageChange{Status: index.StatusDismissed, Reason: "quoted_news"})
	put("duplicate1", index.TriageChange{Status: index.StatusDismissed, Reason: "duplicate"})
	put("reviewing1", index.TriageChange{Status: index.StatusReviewing})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	const want = "+4  1 right, 1 wrong, 2 not known"
	if out := mustRun(t, "", "dict", "backtest", "-model", "none", "built-in", dir, "-store", "-data", data, "-days", "1"); !strings.Contains(out, want) {
		t.Errorf("%q is not in:\n%s", want, out)
	}
	exported := mustRun(t, "", "export", "-data", data)
	if out := mustRun(t, exported, "dict", "backtest", "-model", "none", "built-in", dir, "-"); !strings.Contains(out, want) {
		t.Errorf("over an export %q is not in:\n%s", want, out)
	}
	if out := mustRun(t, "", "dict", "suggest", "-store", "-data", data); !strings.Contains(out, "1 flagged posts against") {
		t.Errorf("confirmed records do not count as flagged:\n%s", out)
	}
}

func TestDictSuggest(t *testing.T) {
	var in strings.Builder
	for i, text := range []string{"专做洗灯泡，当天出", "洗灯泡老渠道，点位低", "老哥们洗灯泡找我", "收洗灯泡客户", "长期洗灯泡，不成功不收费"} {
		json.NewEncoder(&in).Encode(map[string]any{"id": i, "text": text})
	}
	if _, errOut, code := runCommand(t, in.String(), "dict", "suggest", "-"); code != 1 || !strings.Contains(errOut, "standard input:1") {
		t.Errorf("an id that is a number: exit %d, %s", code, errOut)
	}
	in.Reset()
	enc := json.NewEncoder(&in)
	for _, text := range []string{"专做洗灯泡，当天出", "洗灯泡老渠道，点位低", "老哥们洗灯泡找我", "收洗灯泡客户", "长期洗灯泡，不成功不收费"} {
		enc.Encode(map[string]any{"text": text, "flagged": true, "category": "cashout"})
	}
	for _, text := range []string{"今天去公园走了走", "面馆味道没变", "孩子作业没写完", "电视剧结局一般", "闹钟响了也起不来", "邻居家的猫又来了"} {
		enc.Encode(map[string]any{"text": text, "flagged": false})
	}
	out := mustRun(t, in.String(), "dict", "suggest", "-top", "5", "-")
	for _, want := range []string{"5 flagged posts against 6 others", "cashout.yaml, terms:", "- {text: 洗灯泡, weight: ", "# 5 flagged, 0 not", "专做洗灯泡"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	var s classify.Suggestions
	if err := json.Unmarshal([]byte(mustRun(t, in.String(), "dict", "suggest", "-json", "-")), &s); err != nil || len(s.Wordings) == 0 {
		t.Errorf("as JSON: %v, %+v", err, s)
	}
}

// A bad edit is told on /healthz and on the overview; a good one gives the
// pages its names.
func TestPagesTellOfABadEdit(t *testing.T) {
	dir := dictionaryCopy(t, nil)
	c := defaultConfig()
	c.Data, c.Dictionaries, c.Model = t.TempDir(), dir, "none"
	logger := slog.New(slog.DiscardHandler)
	pages := &livePages{logger: logger}
	live, err := openLive(c, logger, pages.changed)
	if err != nil {
		t.Fatal(err)
	}
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	hit := index.Record{Post: post.Post{ID: "1", Source: "s", Kind: post.KindPost, URL: "https://a.example/1", Text: "花呗秒到"},
		Verdict: classify.Verdict{Flagged: true, Score: 0.9, Categories: []classify.CategoryScore{{ID: "cashout", Score: 0.9}}}}
	if err := store.Put(t.Context(), []index.Record{hit}); err != nil {
		t.Fatal(err)
	}
	watch := newCrawlWatch()
	if err := pages.open(c, store, nil, watch, live); err != nil {
		t.Fatal(err)
	}
	body := func(target string) string {
		t.Helper()
		res := visit(pages, http.MethodGet, target)
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", target, res.Status, err)
		}
		return string(data)
	}
	if got := body("/healthz"); !strings.Contains(got, `"dictionary":"`+live.Status().Dictionary) || strings.Contains(got, "refused") {
		t.Errorf("/healthz before: %s", got)
	}
	file := filepath.Join(dir, "cashout.yaml")
	edit(t, file, "severity: medium", "severity: mild")
	if live.Reload() {
		t.Fatal("a bad edit is in use")
	}
	where := file + ":4:"
	if got := body("/healthz"); !strings.Contains(got, where) || !strings.Contains(got, `"status":"ok"`) {
		t.Errorf("/healthz does not name %s: %s", where, got)
	}
	if got := body("/overview"); !strings.Contains(got, "cashout.yaml:4:") {
		t.Errorf("the overview does not name the mistake:\n%.2000s", got)
	}
	edit(t, file, "severity: mild", "severity: medium")
	edit(t, file, "zh: 套现与代还养卡", "zh: 改过的名字")
	if !live.Reload() {
		t.Fatalf("a good edit is refused: %q", live.Status().Problems)
	}
	if got := body("/healthz"); strings.Contains(got, "refused") {
		t.Errorf("/healthz after: %s", got)
	}
	if got := body("/overview"); !strings.Contains(got, "改过的名字") {
		t.Error("the pages do not show the new name of the category")
	}
}

func TestHangUpReloadsAtOnce(t *testing.T) {
	dir := dictionaryCopy(t, nil)
	c := defaultConfig()
	c.Dictionaries, c.Model = dir, "none"
	changed := make(chan string, 1)
	live, err := classify.NewLive(classify.LiveOptions{
		Load:        func() (*classify.Classifier, error) { return openClassifier(c) },
		Fingerprint: func() (string, error) { return dictionaryFingerprint(c) },
		Interval:    time.Hour,
		Changed:     func(c *classify.Classifier) { changed <- c.Dictionary().Version },
	})
	if err != nil {
		t.Fatal(err)
	}
	before := live.Status().Dictionary
	ctx, stop := context.WithCancel(t.Context())
	wait := followEdits(ctx, live)
	edit(t, filepath.Join(dir, "cashout.yaml"), newTerm["cashout.yaml"][0], newTerm["cashout.yaml"][1])
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := <-changed; got == before || live.Status().Dictionary != got {
		t.Errorf("in use is %s, before it was %s", live.Status().Dictionary, before)
	}
	stop()
	wait()
}
