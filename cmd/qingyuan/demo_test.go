package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
	"qingyuan/town"
)

// Floors over the demo town, whose texts no dictionary or model was made from.
const (
	townPrecision = 0.88
	townRecall    = 0.95
)

// record is what must be the same after any crawl of the town.
type record struct {
	ID, Source, Title, Text string
	Flagged                 bool
	Revisions               int
}

// withStore opens the index of a data folder for do, and closes it.
func withStore(t *testing.T, data string, do func(index.Store)) {
	t.Helper()
	c := defaultConfig()
	c.Data = data
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	do(store)
}

// eachRecord reads every record of a data folder.
func eachRecord(t *testing.T, data string, do func(index.Record)) {
	t.Helper()
	withStore(t, data, func(store index.Store) {
		err := index.Each(t.Context(), store, index.Query{}, func(r index.Record) error {
			do(r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// records reads what every record of a data folder says.
func records(t *testing.T, data string) map[string]record {
	t.Helper()
	out := map[string]record{}
	eachRecord(t, data, func(r index.Record) {
		if _, dup := out[r.Post.ID]; dup {
			t.Errorf("record %s stands twice in the index", r.Post.ID)
		}
		out[r.Post.ID] = record{r.Post.ID, r.Post.Source, r.Post.Title, r.Post.Text, r.Verdict.Flagged, r.Revisions}
	})
	return out
}

func TestDemoFindsTheAdsAndNotTheNews(t *testing.T) {
	data := t.TempDir()
	out := mustRun(t, "", "demo", "-once", "-json", "-data", data)
	var s runSummary
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("the summary is no JSON: %v\n%s", err, out)
	}
	truth := town.Truth()
	recs := records(t, data)
	if s.Sites < 8 || s.Posts < 400 || len(recs) != len(truth) || s.Pages < 100 {
		t.Errorf("summary %d sites, %d pages, %d posts; index has %d of %d posts", s.Sites, s.Pages, s.Posts, len(recs), len(truth))
	}
	var flag classify.Count
	benign := map[string]int{}
	for key, label := range truth {
		source, siteKey, _ := strings.Cut(key, "/")
		r, ok := recs[post.NewID(source, siteKey)]
		if !ok {
			t.Errorf("%s was not indexed", key)
			continue
		}
		switch {
		case label.Flagged && r.Flagged:
			flag.TP++
		case label.Flagged:
			flag.FN++
		case r.Flagged:
			flag.FP++
			benign[label.Stance]++
		default:
			flag.TN++
		}
	}
	t.Logf("town: %d posts, %d ads; precision %.3f, recall %.3f; false positives by stance %v", len(truth), flag.TP+flag.FN, flag.Precision(), flag.Recall(), benign)
	if flag.Precision() < townPrecision || flag.Recall() < townRecall {
		t.Errorf("precision %.3f (floor %.2f), recall %.3f (floor %.2f)", flag.Precision(), townPrecision, flag.Recall(), townRecall)
	}
	if s.Hits != flag.TP+flag.FP {
		t.Errorf("the summary says %d hits, the index holds %d", s.Hits, flag.TP+flag.FP)
	}
	total := 0
	for _, n := range s.ByCategory {
		total += n
	}
	if total != s.Hits {
		t.Errorf("by_category sums to %d of %d hits", total, s.Hits)
	}
}

func TestSecondRunDoublesNothingAndKeepsTriage(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "", "demo", "-once", "-json", "-data", data)
	before := records(t, data)
	c := defaultConfig()
	c.Data = data
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	page, err := store.Search(t.Context(), index.Query{Text: "flagged:true", Limit: 1})
	if err != nil || len(page.Hits) == 0 {
		t.Fatalf("no hit to decide on: %v", err)
	}
	id := page.Hits[0].Record.Post.ID
	want, err := store.Triage(t.Context(), id, page.Hits[0].Record.Triage.Version, index.TriageChange{Actor: "li", Status: index.StatusConfirmed, Comment: "看过"})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	mustRun(t, "", "demo", "-once", "-json", "-data", data)
	if diff := cmp.Diff(before, records(t, data)); diff != "" {
		t.Errorf("the second run changed records (-before +after):\n%s", diff)
	}
	store, err = openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r, err := store.Get(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.Triage); diff != "" {
		t.Errorf("the decision changed (-want +got):\n%s", diff)
	}
}

// TestKilledCrawlLosesNothing kills the demo's crawl at random moments, many
// times over, and lets the last run end.
func TestKilledCrawlLosesNothing(t *testing.T) {
	undisturbed := t.TempDir()
	start := time.Now()
	demoProcess(t, undisturbed, 0)
	whole := time.Since(start)
	want := records(t, undisturbed)
	kills := 0
	for kills < 20 {
		data := t.TempDir()
		for range 5 {
			if demoProcess(t, data, time.Duration(rand.Int64N(int64(whole)))) {
				break
			}
			kills++
		}
		demoProcess(t, data, 0)
		if diff := cmp.Diff(want, records(t, data)); diff != "" {
			t.Fatalf("after %d kills the records differ (-undisturbed +killed):\n%s", kills, diff)
		}
		wantOriginals(t, data)
		os.RemoveAll(data)
	}
	t.Logf("%d kills, %d records each time, each with its archived original", kills, len(want))
}

// demoProcess runs the demo in a process of its own. With killAfter it is
// killed then; the result says whether it ended by itself.
func demoProcess(t *testing.T, data string, killAfter time.Duration) bool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), "QINGYUAN_TEST_COMMAND="+strings.Join([]string{"demo", "-once", "-json", "-data", data}, "\x1f"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := make(chan bool, 1)
	if killAfter > 0 {
		timer := time.AfterFunc(killAfter, func() { killed <- cmd.Process.Kill() == nil })
		defer timer.Stop()
	}
	err = cmd.Wait()
	if err == nil {
		return true
	}
	if killAfter == 0 || !strings.Contains(err.Error(), "killed") {
		said, _ := os.ReadFile(log.Name())
		t.Fatal(fmt.Errorf("demo: %w\n%s", err, said))
	}
	return false
}
