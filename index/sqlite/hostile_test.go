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

	"qingyuan/classify"
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

// Odd bytes in every field neither fail, nor change a record at a second Put,
// nor break paging, facets, triage or the audit chain.
func TestOddBytesInEveryField(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "i.db")), context.Background()
	odd := []string{"a\x00b", "x\xff\xfe", "\xed\xa0\x80", "'; DROP TABLE posts;--", `"`, "a\nb", strings.Repeat("长", 30_000), "\u202e", "%", "*", "NEAR(", "贷\x00款", "\U000e0001"}
	for i, o := range odd {
		r := hostileRecord(strings.ToValidUTF8(o, fmt.Sprint(i)), o, time.Now())
		p := &r.Post
		p.Title, p.Author, p.Region, p.URL, p.ThreadURL, p.SourceType, p.Links = o, post.Author{ID: o, Name: o, URL: o}, o, o, o, o, []string{o}
		p.Source = strings.ToValidUTF8(o, "s")
		r.Verdict = classify.Verdict{
			Entities: []classify.Entity{{Type: o, Value: o, Raw: o}}, Reasons: []classify.Reason{{ID: o, Text: o}},
			Evasion: []classify.Evasion{classify.Evasion(o)}, Categories: []classify.CategoryScore{{ID: o}},
		}
		r.Campaign.ID = o
		for range 2 {
			if err := s.Put(ctx, []index.Record{r}); err != nil {
				t.Fatalf("%.20q: %v", o, err)
			}
		}
		kept, err := s.Get(ctx, p.ID)
		if err != nil || kept.Revisions != 0 {
			t.Fatalf("%.20q: %d revisions, %v", o, kept.Revisions, err)
		}
		if _, err := s.Triage(ctx, p.ID, kept.Triage.Version, index.TriageChange{Actor: "甲", Status: index.StatusReviewing, Comment: "看 " + o[:min(len(o), 100)]}); err != nil {
			t.Errorf("%.20q: %v", o, err)
		}
		if rows, err := s.Audit(ctx, p.ID, 0, 10); err != nil || len(rows) == 0 {
			t.Errorf("%.20q: %d audit rows, %v", o, len(rows), err)
		}
	}
	if err := s.VerifyAudit(ctx); err != nil {
		t.Error(err)
	}
	for _, order := range []index.Sort{index.SortScore, index.SortIngested, index.SortPublished, index.SortFirstSeen} {
		seen, q := map[string]bool{}, index.Query{Limit: 1, Sort: order}
		for range len(odd) + 1 {
			p, err := s.Search(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range p.Hits {
				seen[h.Record.Post.ID] = true
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		if len(seen) != len(odd) {
			t.Errorf("paging by %s found %d of %d", order, len(seen), len(odd))
		}
	}
	if _, err := s.Facets(ctx, index.Query{}, index.Facets[:], 0); err != nil {
		t.Error(err)
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
