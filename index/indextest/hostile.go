package indextest

import (
	"fmt"
	"strings"
	"testing"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// oddRecord is a record with nothing but an id and a text.
func oddRecord(id, text string) index.Record {
	return index.Record{Post: post.Post{ID: id, Source: "s", Kind: post.KindPost, URL: "http://a.example.com/" + id, Text: text, FetchedAt: Now()}}
}

// testOddBytes: odd bytes in every field neither fail, nor change a record at a second Put,
// nor break paging, facets, triage or the audit chain.
func testOddBytes(t *testing.T, s index.Store) {
	ctx := t.Context()
	odd := []string{"a\x00b", "x\xff\xfe", "\xed\xa0\x80", "'; DROP TABLE posts;--", `"`, "a\nb", strings.Repeat("长", 30_000), "\u202e", "%", "*", "NEAR(", "贷\x00款", "\U000e0001"}
	for i, o := range odd {
		r := oddRecord(strings.ToValidUTF8(o, fmt.Sprint(i)), o)
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
