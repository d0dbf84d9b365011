package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/index/sqlite"
	"qingyuan/post"
)

func hostileRecord(id, text string, at time.Time) index.Record {
	return index.Record{Post: post.Post{ID: id, Source: "s", Kind: post.KindPost, URL: "http://a.example.com/" + id, Text: text, FetchedAt: at}}
}

// A clock that once ran ahead must not freeze a post: what is fetched after it
// was set right is what the site shows now.
func TestFutureFetchHidesNothing(t *testing.T) {
	s, ctx, now := open(t, filepath.Join(t.TempDir(), "i.db")), context.Background(), time.Now()
	for _, r := range []index.Record{hostileRecord("p", "旧文", now.AddDate(10, 0, 0)), hostileRecord("p", "代办停息挂账", now)} {
		if err := s.Put(ctx, []index.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := s.Search(ctx, index.Query{Text: "停息挂账"}); err != nil || p.Total != 1 {
		t.Errorf("what the site shows now is found %d times (%v)", p.Total, err)
	}
}

// A page with a clock or a counter in its text changes at each fetch.
func TestRevisionsAreBounded(t *testing.T) {
	s, ctx, now := open(t, filepath.Join(t.TempDir(), "i.db")), context.Background(), time.Now()
	for i := range 300 {
		if err := s.Put(ctx, []index.Record{hostileRecord("p", fmt.Sprint("第", i, "次"), now.Add(time.Duration(i)*time.Minute))}); err != nil {
			t.Fatal(err)
		}
	}
	if revs, err := s.Revisions(ctx, "p"); err != nil || len(revs) > 200 {
		t.Errorf("%d revisions are kept (%v)", len(revs), err)
	}
}

// An id that is listed can be asked for.
func TestListedIDCanBeGot(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "i.db")), context.Background()
	if err := s.Put(ctx, []index.Record{hostileRecord("\xff\xfe", "x", time.Now())}); err != nil {
		if !errors.Is(err, index.ErrInvalid) {
			t.Error(err)
		}
		return
	}
	err := index.Each(ctx, s, index.Query{}, func(r index.Record) error { _, err := s.Get(ctx, r.Post.ID); return err })
	if err != nil {
		t.Errorf("a listed record cannot be got: %v", err)
	}
}

// No query whatever makes SQL or FTS5 complain.
func TestQueriesNeverReachSQL(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "i.db")), context.Background()
	if err := s.Put(ctx, []index.Record{hostileRecord("1", "停息挂账 代办 abc", time.Now())}); err != nil {
		t.Fatal(err)
	}
	words := []string{"(", ")", `"`, "NOT", "AND", "OR", "-", "*", "^", ":", "title:", "score:", ">=", "[", "]", "{", "}", "TO", "flagged:", "true", "停", "息挂", "abc",
		"\x00", "\xff", "published:", "7d", "9999999999d", "2026-13-45", "url:", "http://", "contact:", "''", `\`, "NEAR", "　", "（", "）", "：", "id:", "tag:", "1e999", "nan", "-inf", "wechat:", "host:", "💰", "\u200b"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var b strings.Builder
		for range rng.IntN(14) + 1 {
			b.WriteString(words[rng.IntN(len(words))] + []string{"", " "}[rng.IntN(2)])
		}
		q := index.Query{Text: b.String()}
		var mistake *index.QueryError
		if _, err := s.Search(ctx, q); err != nil && !errors.As(err, &mistake) {
			t.Fatalf("%q: %v", q.Text, err)
		} else if err == nil {
			if _, err := s.Facets(ctx, q, index.Facets[:], 3); err != nil {
				t.Fatalf("facets of %q: %v", q.Text, err)
			}
		}
	}
}

// Two processes that put and judge the same records: no triage is lost, each
// version is given once, and the audit trail is whole.
func TestTwoStoresOneFile(t *testing.T) {
	path, ctx := filepath.Join(t.TempDir(), "i.db"), context.Background()
	stores := []*sqlite.Store{open(t, path), open(t, path)}
	if err := stores[0].Put(ctx, []index.Record{hostileRecord("p", "x", time.Now())}); err != nil {
		t.Fatal(err)
	}
	const each = 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[int64]int{}
	for n, s := range stores {
		wg.Go(func() {
			for i := range each {
				if err := s.Put(ctx, []index.Record{hostileRecord("p", fmt.Sprint("x", n, i), time.Now())}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for done := 0; done < each; {
				r, err := s.Get(ctx, "p")
				if err != nil {
					t.Error(err)
					return
				}
				tr, err := s.Triage(ctx, "p", r.Triage.Version, index.TriageChange{Actor: "a", Comment: fmt.Sprint(n, done)})
				if errors.Is(err, index.ErrConflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				done++
				mu.Lock()
				won[tr.Version]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r, err := stores[0].Get(ctx, "p")
	if err != nil || r.Triage.CommentCount != 2*each || r.Triage.Version != 2*each || len(won) != 2*each {
		t.Errorf("%d comments, version %d, %d versions given; want %d of each (%v)", r.Triage.CommentCount, r.Triage.Version, len(won), 2*each, err)
	}
	if err := stores[1].VerifyAudit(ctx); err != nil {
		t.Error(err)
	}
}
