package elastic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/index/indextest"
)

// request talks to the server behind the store's back.
func request(t testing.TB, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		var text bytes.Buffer
		text.ReadFrom(res.Body)
		t.Fatalf("%s %s: %s", method, url, text.String())
	}
}

// flush waits until nothing waits in the spool.
func flush(t testing.TB, s *elastic.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Fatalf("%v; %+v", err, s.Stats())
	}
}

func put(t testing.TB, s index.Store, recs ...index.Record) {
	t.Helper()
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
}

// everything checks that exactly these records are there, each once.
func everything(t testing.TB, s index.Store, want []index.Record) {
	t.Helper()
	seen := map[string]int{}
	if err := index.Each(t.Context(), s, index.Query{}, func(r index.Record) error {
		seen[r.Post.ID]++
		if r.Revisions != 0 {
			t.Errorf("record %s has %d revisions, want none", r.Post.ID, r.Revisions)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(want) {
		t.Errorf("%d records are there, want %d", len(seen), len(want))
	}
	for _, r := range want {
		if seen[r.Post.ID] != 1 {
			t.Errorf("record %s is there %d times", r.Post.ID, seen[r.Post.ID])
		}
	}
}

func TestDiskFull(t *testing.T) {
	opts := options(t, server(t))
	opts.Spool, opts.Retry = t.TempDir(), 10*time.Millisecond
	setUp(t, opts)
	s := open(t, opts)
	recs := indextest.Posts(60, 1)
	put(t, s, recs[:20]...)
	settings := opts.URLs[0] + "/" + opts.Prefix + "-*/_settings"
	request(t, "PUT", settings, `{"index.blocks.read_only_allow_delete":true}`)
	put(t, s, recs[20:40]...)
	if st := s.Stats(); st.State != elastic.StateDiskFull || st.SpoolEntries != 1 || st.SpoolBytes == 0 || !strings.Contains(st.Problem, "disk is full") {
		t.Errorf("with a full disk: %+v", st)
	}
	put(t, s, recs[30:60]...)
	if _, err := s.Triage(t.Context(), recs[0].Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusConfirmed}); !errors.Is(err, elastic.ErrDiskFull) {
		t.Errorf("a decision with a full disk: %v, want ErrDiskFull", err)
	}
	if n, err := s.Delete(t.Context(), index.Deletion{Source: recs[59].Post.Source, IDs: []string{recs[59].Post.ID}, At: indextest.Now()}); n != 0 || err != nil {
		t.Errorf("a deletion with a full disk: %d, %v; want it to wait", n, err)
	}
	request(t, "PUT", settings, `{"index.blocks.read_only_allow_delete":null}`)
	flush(t, s)
	if st := s.Stats(); st.State != elastic.StateOK || st.Problem != "" || st.SpoolBytes != 0 || st.Refused != 0 {
		t.Errorf("with room again: %+v", st)
	}
	everything(t, s, recs)
	if r, err := s.Get(t.Context(), recs[59].Post.ID); err != nil || r.DeletedAt.IsZero() {
		t.Errorf("the deletion behind the records was not noted: %v, %v", r.DeletedAt, err)
	}
	if tr, err := s.Triage(t.Context(), recs[0].Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusConfirmed}); err != nil || tr.Version != 1 {
		t.Errorf("the decision again: %+v, %v", tr, err)
	}
	if err := s.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
}

// A template or alias that is gone, or of another version, stops writing.
func TestSchemaIsChecked(t *testing.T) {
	opts := options(t, server(t))
	opts.Spool = t.TempDir()
	refused := func(when string, want error) {
		t.Helper()
		s, err := elastic.Open(t.Context(), opts)
		if !errors.Is(err, want) {
			t.Errorf("%s: Open gives %v, want %v", when, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
	refused("before setup", elastic.ErrNotSetUp)
	setUp(t, opts)
	setUp(t, opts) // again, which changes nothing
	s := open(t, opts)
	recs := indextest.Posts(3, 1)
	put(t, s, recs[0])
	base := opts.URLs[0] + "/"
	posts := opts.Prefix + "-posts"

	request(t, "DELETE", base+"_index_template/"+posts, "")
	refused("without template", elastic.ErrNotSetUp)
	setUp(t, opts)

	request(t, "POST", base+"_aliases", fmt.Sprintf(`{"actions":[{"remove":{"index":"%s-v1","alias":"%[1]s-write"}}]}`, posts))
	if err := s.Put(t.Context(), recs[1:]); !errors.Is(err, elastic.ErrNotSetUp) {
		t.Errorf("Put without the alias: %v, want ErrNotSetUp", err)
	}
	if st := s.Stats(); st.State != elastic.StateNotSetUp || !strings.Contains(st.Problem, "qingyuan setup") {
		t.Errorf("without the alias: %+v", st)
	}
	setUp(t, opts)
	put(t, s, recs[1:]...)
	everything(t, s, recs)

	request(t, "PUT", base+posts+"-v1/_mapping", `{"_meta":{"schema_version":99}}`)
	refused("with an index of a newer version", elastic.ErrNewer)
	if err := elastic.Setup(t.Context(), opts, func(string, string) {}); !errors.Is(err, elastic.ErrNewer) {
		t.Errorf("setup over a newer version: %v, want ErrNewer", err)
	}
}

// A record that the server will not take is kept with the reason, holds up
// nobody else, and goes in once what was wrong is mended.
func TestRefusedRecord(t *testing.T) {
	opts := options(t, server(t))
	opts.Spool = t.TempDir()
	base := opts.URLs[0] + "/"
	custom := opts.Prefix + "-posts@custom"
	request(t, "PUT", base+"_component_template/"+custom, `{"template":{"mappings":{"properties":{"qingyuan":{"properties":{"region":{"type":"ip"}}}}}}}`)
	setUp(t, opts)
	defer request(t, "DELETE", base+"_component_template/"+custom, "")
	defer request(t, "DELETE", base+"_index_template/"+opts.Prefix+"-posts", "")
	s := open(t, opts)
	recs := indextest.Posts(40, 1)
	var fit, unfit []index.Record
	for _, r := range recs {
		if r.Post.Region == "" {
			fit = append(fit, r)
		} else {
			unfit = append(unfit, r)
		}
	}
	put(t, s, recs...)
	everything(t, s, fit)
	list, err := s.Refused()
	if err != nil || len(list) != len(unfit) || s.Stats().Refused != int64(len(unfit)) {
		t.Fatalf("%d refused, %d counted, %v; want %d", len(list), s.Stats().Refused, err, len(unfit))
	}
	if !slices.ContainsFunc(unfit, func(r index.Record) bool { return r.Post.ID == list[0].RecordID }) || !strings.Contains(list[0].Reason, "region") {
		t.Errorf("the first refused: %+v; want a record's id and the field in the reason", list[0])
	}
	if n, err := s.Redo(t.Context()); n != 0 || err != nil || s.Stats().Refused != int64(len(unfit)) {
		t.Errorf("a redo before anything was mended: %d, %v, %d left", n, err, s.Stats().Refused)
	}
	request(t, "PUT", base+opts.Prefix+"-posts-v1/_mapping", `{"properties":{"qingyuan":{"properties":{"region":{"type":"ip","ignore_malformed":true}}}}}`)
	if n, err := s.Redo(t.Context()); n != len(unfit) || err != nil || s.Stats().Refused != 0 {
		t.Errorf("a redo after: %d, %v, %d left; want %d taken", n, err, s.Stats().Refused, len(unfit))
	}
	everything(t, s, recs)
}

// Without a server nothing is lost up to the limit, and from there Put fails.
func TestSpoolIsBounded(t *testing.T) {
	opts := elastic.Options{Server: elastic.Server{URLs: []string{"http://127.0.0.1:1"}}, Spool: t.TempDir(), SpoolBytes: 20_000, Now: indextest.Now}
	s := open(t, opts)
	recs := indextest.Posts(100, 1)
	kept := 0
	for _, r := range recs {
		err := s.Put(t.Context(), []index.Record{r})
		if err == nil {
			kept++
			continue
		}
		if !errors.Is(err, elastic.ErrSpoolFull) {
			t.Fatalf("Put over the limit: %v, want ErrSpoolFull", err)
		}
		break
	}
	st := s.Stats()
	if kept < 3 || kept == len(recs) || st.SpoolEntries != int64(kept) || st.SpoolBytes > opts.SpoolBytes || st.State != elastic.StateAway {
		t.Errorf("%d kept, %+v", kept, st)
	}
	if _, err := s.Search(t.Context(), index.Query{}); !errors.Is(err, elastic.ErrUnavailable) {
		t.Errorf("Search without a server: %v, want ErrUnavailable", err)
	}
	if _, err := elastic.Open(t.Context(), elastic.Options{Server: opts.Server}); !errors.Is(err, elastic.ErrUnavailable) {
		t.Errorf("Open without server and spool: %v, want ErrUnavailable", err)
	}
}
