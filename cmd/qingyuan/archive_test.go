package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"qingyuan/archive"
	"qingyuan/index"
)

// archivedTown crawls the town into a folder and writes its site configs, with
// which the archive can be replayed, into another.
func archivedTown(t *testing.T) (data, sites string) {
	t.Helper()
	data, sites = t.TempDir(), t.TempDir()
	mustRun(t, "", "demo", "-once", "-json", "-data", data)
	town, _, err := startTown(t.Context(), data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer town.Close()
	for _, s := range town.Sites() {
		if err := os.WriteFile(filepath.Join(sites, s.Name+".yaml"), s.Config, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("QINGYUAN_SITES", sites)
	return data, sites
}

func replayed(t *testing.T, args ...string) (r replayReport) {
	t.Helper()
	out := mustRun(t, "", append([]string{"replay", "-json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// wholeRecords reads the records with everything that a replay must give again.
func wholeRecords(t *testing.T, data string) map[string]index.Record {
	t.Helper()
	out := map[string]index.Record{}
	eachRecord(t, data, func(r index.Record) {
		out[r.Post.ID] = index.Record{Post: r.Post, Verdict: r.Verdict, Triage: r.Triage}
	})
	return out
}

// wantOriginals wants every record of a data folder to have its archived
// original, and the archive to be sound.
func wantOriginals(t *testing.T, data string) {
	t.Helper()
	c := defaultConfig()
	c.Data = data
	read := originalOf(c)
	for _, r := range wholeRecords(t, data) {
		o, err := read(t.Context(), r.Post.Archive)
		if err != nil || sum256(o.Raw) != r.Post.Archive.SHA256 || o.Text == "" || !o.At.Equal(r.Post.FetchedAt) {
			t.Fatalf("%s: the original in %+v: %v", r.Post.URL, r.Post.Archive, err)
		}
	}
	if out := mustRun(t, "", "archive", "verify", "-data", data); !strings.Contains(out, "head ") {
		t.Errorf("verify: %s", out)
	}
}

// Every flagged record has an archived original whose hash verifies, and the
// index can be made anew from the archive alone.
func TestArchiveAndReplay(t *testing.T) {
	data, _ := archivedTown(t)
	before := wholeRecords(t, data)
	wantOriginals(t, data)
	if r := replayed(t, "-data", data); r.Posts != len(before) || r.New+r.Text+r.Flagged+r.Cleared+r.Category != 0 {
		t.Errorf("a replay with nothing changed: %+v", r)
	}
	if diff := cmp.Diff(before, wholeRecords(t, data)); diff != "" {
		t.Errorf("a replay with nothing changed altered the index (-before +after):\n%s", diff)
	}
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		os.Remove(filepath.Join(data, name))
	}
	if r := replayed(t, "-data", data); r.New != len(before) {
		t.Errorf("a replay into an empty index: %+v", r)
	}
	if diff := cmp.Diff(before, wholeRecords(t, data)); diff != "" {
		t.Errorf("the index made from the archive is another (-before +after):\n%s", diff)
	}
}

// A replay with another judge changes verdicts and leaves triage alone; a dry
// run only tells.
func TestReplayJudgesAnew(t *testing.T) {
	data, _ := archivedTown(t)
	before := wholeRecords(t, data)
	c := defaultConfig()
	c.Data = data
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	decided := map[string]index.Triage{}
	for id, r := range before {
		if !r.Verdict.Flagged {
			continue
		}
		if decided[id], err = store.Triage(t.Context(), id, r.Triage.Version, index.TriageChange{Actor: "mei", Status: index.StatusConfirmed}); err != nil {
			t.Fatal(err)
		}
	}
	store.Close()
	dry := replayed(t, "-data", data, "-dry-run", "-model", "none")
	if dry.Flagged+dry.Cleared+dry.Category == 0 {
		t.Fatalf("without the model nothing changes: %+v", dry)
	}
	if got := wholeRecords(t, data); !slices.EqualFunc(values(before), values(got), func(a, b index.Record) bool { return cmp.Equal(a.Verdict, b.Verdict) }) {
		t.Error("a dry run changed verdicts")
	}
	wet := replayed(t, "-data", data, "-model", "none")
	if wet.Flagged != dry.Flagged || wet.Cleared != dry.Cleared || wet.Category != dry.Category {
		t.Errorf("the dry run told %+v, the run did %+v", dry, wet)
	}
	flagged := 0
	for id, r := range wholeRecords(t, data) {
		if r.Verdict.Flagged != before[id].Verdict.Flagged {
			flagged++
		}
		if want, ok := decided[id]; ok && (r.Triage.Status != want.Status || r.Triage.Version != want.Version) {
			t.Errorf("%s: triage %+v, want %+v", id, r.Triage, want)
		}
	}
	if flagged != wet.Flagged+wet.Cleared {
		t.Errorf("%d records are flagged otherwise than before, the report says %d and %d", flagged, wet.Flagged, wet.Cleared)
	}
	if r := replayed(t, "-data", data, "-source", "tieyou", "-since", "2026-01-01"); r.Posts == 0 || r.Posts >= len(before) {
		t.Errorf("one site only: %d posts of %d", r.Posts, len(before))
	}
}

func values(m map[string]index.Record) (out []index.Record) {
	for _, r := range m {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b index.Record) int { return strings.Compare(a.Post.ID, b.Post.ID) })
	return out
}

func TestArchiveCommands(t *testing.T) {
	data := t.TempDir()
	t.Setenv("QINGYUAN_DATA", data)
	if _, errOut, code := runCommand(t, "", "archive", "verify"); code != 1 || !strings.Contains(errOut, "there is no archive") {
		t.Errorf("without an archive: exit %d\n%s", code, errOut)
	}
	mustRun(t, "", "demo", "-once", "-json")
	list := strings.Split(strings.TrimSpace(mustRun(t, "", "archive", "list", "-json")), "\n")
	var found archive.Found
	for _, line := range list {
		if err := json.Unmarshal([]byte(line), &found); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(found.URL, "thread-") {
			break
		}
	}
	for _, name := range []string{found.ID, found.URL} {
		if out := mustRun(t, "", "archive", "show", name); !strings.Contains(out, "Content-Type: text/html; charset=gbk") || !strings.Contains(out, "论坛") {
			t.Errorf("show %s:\n%.500s", name, out)
		}
	}
	if out := mustRun(t, "", "archive", "show", "-raw", found.ID); sum256([]byte(out)) != found.Payload {
		t.Error("show -raw is not the body as received")
	}
	mustRun(t, "", "archive", "hold", "-why", "case 12", "record", found.ID)
	if _, errOut, code := runCommand(t, "", "archive", "hold", "post", "nobody"); code != 1 {
		t.Errorf("a hold on a post that is not there: exit %d\n%s", code, errOut)
	}
	key := strings.Fields(mustRun(t, "", "archive", "key"))
	mustRun(t, "", "archive", "verify", "-key", key[len(key)-1])
	if out, _, code := runCommand(t, "", "archive", "verify", "-key", strings.Repeat("ab", 32)); code != 1 || !strings.Contains(out, "key.pub") {
		t.Errorf("another key: exit %d\n%.300s", code, out)
	}

	path := filepath.Join(data, "archive", "warc", found.File)
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bytes[found.Offset+found.Length/2] ^= 1
	if err := os.WriteFile(path, bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code := runCommand(t, "", "archive", "verify", "-json")
	var report archive.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || len(report.Problems) != 1 {
		t.Fatalf("one flipped byte: exit %d, %v\n%s", code, err, out)
	}
	if p := report.Problems[0]; p.RecordID != found.ID || p.URL != found.URL || p.Offset != found.Offset || p.File != "warc/"+found.File {
		t.Errorf("named %+v, want %+v", p, found)
	}
	if _, errOut, code := runCommand(t, "", "archive", "show", found.ID); code != 1 || !strings.Contains(errOut, "hash") {
		t.Errorf("a damaged record is shown: exit %d\n%s", code, errOut)
	}
	for _, args := range [][]string{{"archive"}, {"archive", "burn"}, {"archive", "show"}, {"archive", "hold", "record"}, {"archive", "verify", "-key", "zz"}, {"replay", "x"}} {
		if _, errOut, code := runCommand(t, "", args...); code != 2 {
			t.Errorf("%v: exit %d\n%s", args, code, errOut)
		}
	}
}

// Terminals must not act upon what a page says.
func TestShownTextIsHarmless(t *testing.T) {
	got := printableText("a\x1b]0;evil\x07\tb\r\nc\u202ed\x00\x9b31m")
	if strings.ContainsAny(got, "\x1b\x07\x00\u202e\u009b\r\t") || !strings.Contains(got, "\nc") {
		t.Errorf("printableText = %q", got)
	}
}

// The pages show an archived original as plain text only.
func TestOriginalPage(t *testing.T) {
	data, _ := archivedTown(t)
	c := defaultConfig()
	c.Data = data
	store, err := openStore(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pages, err := newPages(c, store, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(pages)
	defer srv.Close()
	found, err := store.Search(t.Context(), index.Query{Text: "flagged:true source:shangan-bbs", Limit: 1})
	if err != nil || len(found.Hits) == 0 {
		found, err = store.Search(t.Context(), index.Query{Text: "flagged:true", Limit: 1})
	}
	if err != nil || len(found.Hits) == 0 {
		t.Fatal("no hit", err)
	}
	p := found.Hits[0].Record.Post
	get := func(path string) (*http.Response, string) {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	if _, body := get("/post/" + p.ID); !strings.Contains(body, "/post/"+p.ID+"/original?download=1") {
		t.Error("the post's page has no link to the original")
	}
	resp, body := get("/post/" + p.ID + "/original")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || resp.Header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "sandbox; default-src 'none'") || !strings.Contains(body, p.Archive.RecordID) {
		t.Errorf("original: %d %v\n%.300s", resp.StatusCode, resp.Header, body)
	}
	resp, body = get("/post/" + p.ID + "/original?download=1")
	if resp.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment; ") || sum256([]byte(body)) != p.Archive.SHA256 {
		t.Errorf("download: %d %v, %d bytes", resp.StatusCode, resp.Header, len(body))
	}
	if err := os.RemoveAll(archiveDir(c)); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get("/post/" + p.ID + "/original"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("without the archive: %d", resp.StatusCode)
	}
}
