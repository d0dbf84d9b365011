package elastic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/index/indextest"
)

// oldSchema makes the posts an index whose schema is as an earlier program
// might have left it: one field of another type.
func oldSchema(t *testing.T, opts elastic.Options) {
	t.Helper()
	base, posts := opts.URLs[0]+"/", opts.Prefix+"-posts"
	request(t, "PUT", base+posts+"-v0", `{"mappings":{"_meta":{"schema_version":1},"properties":{"qingyuan":{"properties":{"revisions":{"type":"keyword"}}}}}}`)
	request(t, "POST", base+"_aliases", fmt.Sprintf(`{"actions":[{"remove_index":{"index":"%[1]s-v1"}},{"add":{"index":"%[1]s-v0","alias":"%[1]s"}},
		{"add":{"index":"%[1]s-v0","alias":"%[1]s-write","is_write_index":true}}]}`, posts))
}

// isOld says of that index that it is of an earlier version.
func isOld(t *testing.T, opts elastic.Options) {
	t.Helper()
	request(t, "PUT", opts.URLs[0]+"/"+opts.Prefix+"-posts-v0/_mapping", `{"_meta":{"schema_version":0}}`)
}

// A type that changed is migrated by a copy, while the crawl writes and an
// analyst decides; a run that is cut off goes on; nothing and no decision is lost.
func TestMigration(t *testing.T) {
	opts := options(t, server(t))
	setUp(t, opts)
	oldSchema(t, opts)
	opts.Spool, opts.Retry = t.TempDir(), 20*time.Millisecond
	s := open(t, opts)
	recs := indextest.Posts(1500, 6)
	put(t, s, recs[:1000]...)
	lin := "lin"
	for _, r := range recs[:20] {
		if _, err := s.Triage(t.Context(), r.Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusReviewing, Assignee: &lin, Comment: "先看"}); err != nil {
			t.Fatal(err)
		}
	}
	isOld(t, opts)
	if _, err := elastic.Open(t.Context(), opts); !errors.Is(err, elastic.ErrNotSetUp) {
		t.Fatalf("Open of an older schema: %v, want ErrNotSetUp", err)
	}

	// The first run ends after its first pass.
	cut, cancel := context.WithCancel(t.Context())
	err := elastic.Setup(cut, opts, func(en, _ string) {
		if strings.Contains(en, "documents copied") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a run that is cut off: %v", err)
	}

	// Crawl and analyst go on through the second.
	stop := make(chan struct{})
	var going sync.WaitGroup
	going.Go(func() {
		for i := 1000; i < len(recs); i += 10 {
			for {
				err := s.Put(t.Context(), recs[i:i+10])
				if err == nil {
					break
				}
				if !errors.Is(err, elastic.ErrNotSetUp) { // this store is newer than the index it writes to
					t.Errorf("Put during the migration: %v", err)
					return
				}
			}
		}
	})
	decisions := 0
	going.Go(func() {
		for i := 20; ; i = 20 + (i-19)%900 {
			_, err := s.Triage(t.Context(), recs[i].Post.ID, 0, index.TriageChange{Actor: "wu", Status: index.StatusConfirmed})
			switch {
			case err == nil:
				decisions++
			case errors.Is(err, elastic.ErrNotSetUp), errors.Is(err, elastic.ErrUnavailable), errors.Is(err, index.ErrConflict):
			default:
				t.Errorf("a decision during the migration: %v", err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	setUp(t, opts)
	close(stop)
	going.Wait()
	flush(t, s)
	setUp(t, opts) // which finds everything done

	everything(t, s, recs)
	if p, err := s.Search(t.Context(), index.Query{Text: "status:confirmed", Limit: 1}); err != nil || p.Total != decisions || decisions == 0 {
		t.Errorf("%d of %d decisions that were taken during the migration are there (%v)", p.Total, decisions, err)
	}
	for _, r := range recs[:20] {
		got, err := s.Get(t.Context(), r.Post.ID)
		if err != nil || got.Triage.Status != index.StatusReviewing || got.Triage.Assignee != "lin" || got.Triage.Version != 1 || got.Post.Text != r.Post.Text {
			t.Fatalf("a record decided before: %+v, %v", got.Triage, err)
		}
	}
	if err := s.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
	checkMigrated(t, opts)
}

// checkMigrated checks what the server says of both indices.
func checkMigrated(t *testing.T, opts elastic.Options) {
	t.Helper()
	posts := opts.Prefix + "-posts"
	var aliases map[string]struct {
		Mappings struct {
			Properties map[string]struct {
				Properties map[string]struct {
					Type string `json:"type"`
				} `json:"properties"`
			} `json:"properties"`
		} `json:"mappings"`
	}
	ask(t, opts.URLs[0]+"/"+posts+"-write/_mapping", &aliases)
	if got := aliases[posts+"-v1"].Mappings.Properties["qingyuan"].Properties["revisions"].Type; got != "integer" || len(aliases) != 1 {
		t.Errorf("the alias names %d indices, and the field is %q; want the new index alone, and integer", len(aliases), got)
	}
	var settings map[string]struct {
		Settings struct {
			Index struct {
				Blocks struct {
					Write string `json:"write"`
				} `json:"blocks"`
			} `json:"index"`
		} `json:"settings"`
	}
	ask(t, opts.URLs[0]+"/"+posts+"-v0/_settings", &settings)
	if settings[posts+"-v0"].Settings.Index.Blocks.Write != "true" {
		t.Error("the old index can still be written")
	}
}

func ask(t *testing.T, url string, out any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		t.Fatal(err)
	}
}
