// Package indextest checks that a Store keeps every promise of index.Store,
// in the manner of testing/fstest.
//
// What comes in: a function that opens an empty store. What goes out: failed
// subtests for broken promises. Queries are compared with a naive evaluator
// that reads the records themselves. It knows nothing of any one store.
package indextest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// Run checks the promises of index.Store. open returns a new empty store with
// Normalize as its normalisation, Now as its clock and days counted in
// index.China(), and closes it at the end of the test; a store may refresh on writes, so that a
// search after Put sees it.
func Run(t *testing.T, open func(t *testing.T) index.Store) {
	for _, c := range [...]struct {
		name string
		test func(*testing.T, index.Store)
	}{
		{"PutGet", testPutGet},
		{"PutRefuses", testPutRefuses},
		{"PutIdempotent", testPutIdempotent},
		{"Revisions", testRevisions},
		{"Replay", testReplay},
		{"Delete", testDelete},
		{"NewToJudge", testNewToJudge},
		{"RevisionsBounded", testRevisionsBounded},
		{"PutKeepsEvidence", testPutKeepsEvidence},
		{"WrongClock", testWrongClock},
		{"InvalidUTF8", testInvalidUTF8},
		{"OddTexts", testOddTexts},
		{"OddBytes", testOddBytes},
		{"Triage", testTriage},
		{"TriageRefuses", testTriageRefuses},
		{"PutLeavesTriage", testPutLeavesTriage},
		{"Audit", testAudit},
		{"AuditHead", testAuditHead},
		{"SearchOrder", testSearchOrder},
		{"SearchRefuses", testSearchRefuses},
		{"SearchHostile", testSearchHostile},
		{"SearchDifferential", testSearchDifferential},
		{"SearchSubstrings", testSearchSubstrings},
		{"SearchNormalized", testSearchNormalized},
		{"Facets", testFacets},
		{"EachWhileWriting", testEachWhileWriting},
		{"ConcurrentPut", testConcurrentPut},
		{"Campaigns", testCampaigns},
		{"ConcurrentTriage", testConcurrentTriage},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// record returns one complete record.
func record(key, title, text string) index.Record {
	at := time.Date(2026, 11, 20, 9, 30, 0, 123456000, time.UTC)
	return index.Record{
		Post: post.Post{ID: post.NewID("demo", key), Source: "demo", SourceType: "forum", Kind: post.KindPost,
			URL: "https://bbs.demo.example/t/" + key, Title: title, Text: text, Author: post.Author{ID: "u1", Name: "上岸顾问"},
			PublishedAt: at.Add(-time.Hour), FetchedAt: at},
		Verdict: classify.Verdict{Flagged: true, Score: 0.91, Severity: classify.SeverityHigh, Stance: classify.StanceOffer,
			StanceScores: map[classify.Stance]float64{classify.StanceOffer: 0.9},
			Categories:   []classify.CategoryScore{{ID: "debt_relief_scam", Score: 0.9}},
			Entities:     []classify.Entity{{Type: "wechat", Value: "abc123", Raw: "ABC123", Start: 5, End: 11}},
			Reasons:      []classify.Reason{{Kind: classify.ReasonTerm, ID: "t1", Text: "停息挂账", Weight: 2.25}},
			Evasion:      []classify.Evasion{classify.EvasionSeparators}, Dictionary: "2026-11-01", Model: "m1"},
		Campaign: index.Campaign{ID: "c1", Size: 1, FirstSeen: at.Add(-48 * time.Hour)},
	}
}

func put(t *testing.T, s index.Store, recs ...index.Record) {
	t.Helper()
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func get(t *testing.T, s index.Store, id string) index.Record {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return r
}

func search(t *testing.T, s index.Store, query string) index.Page {
	t.Helper()
	p, err := s.Search(t.Context(), index.Query{Text: query, Limit: index.MaxLimit})
	if err != nil {
		t.Fatalf("Search(%q): %v", query, err)
	}
	return p
}

func testPutGet(t *testing.T, s index.Store) {
	if _, err := s.Get(t.Context(), "missing"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("Get of an unknown id: got %v, want ErrNotFound", err)
	}
	before := Now().Add(-time.Minute)
	want := record("1", "停息挂账", "专业办理，加V:ABC123")
	put(t, s, want)
	got := get(t, s, want.Post.ID)
	if got.IngestedAt.Before(before) || got.IngestedAt.After(Now().Add(time.Minute)) {
		t.Errorf("IngestedAt = %v, want now", got.IngestedAt)
	}
	want = want.Canonical()
	want.FirstSeen, want.LastSeen, want.IngestedAt = want.Post.FetchedAt, want.Post.FetchedAt, got.IngestedAt
	want.Triage.Status = index.StatusNew
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("record changed on its way (-put +got):\n%s", d)
	}
	for name, none := range map[string]func() (int, error){
		"Revisions": func() (int, error) { r, err := s.Revisions(t.Context(), "missing"); return len(r), err },
		"Comments":  func() (int, error) { c, err := s.Comments(t.Context(), "missing"); return len(c), err },
		"Audit":     func() (int, error) { a, err := s.Audit(t.Context(), "missing", 0, 0); return len(a), err },
	} {
		if n, err := none(); n != 0 || err != nil {
			t.Errorf("%s of an unknown id: %d, %v; want none", name, n, err)
		}
	}
	if err := s.Put(t.Context(), nil); err != nil {
		t.Errorf("Put of nothing: %v", err)
	}
}

func testPutRefuses(t *testing.T, s index.Store) {
	good, bad := record("1", "好", "好的"), record("2", "坏", "坏的")
	bad.Post.ID = ""
	if err := s.Put(t.Context(), []index.Record{good, bad}); !errors.Is(err, index.ErrInvalid) {
		t.Errorf("Put with a record without id: got %v, want ErrInvalid", err)
	}
	if n := search(t, s, "").Total; n != 0 {
		t.Errorf("%d records kept of a refused batch, want none", n)
	}
	huge := record("3", "", strings.Repeat("债", post.MaxText/3+1))
	if err := s.Put(t.Context(), []index.Record{huge}); !errors.Is(err, post.ErrTooLarge) {
		t.Errorf("Put of a text over the limit: got %v, want ErrTooLarge", err)
	}
}

func testPutIdempotent(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "专业办理")
	put(t, s, r)
	first := get(t, s, r.Post.ID)
	put(t, s, r, r)
	if d := cmp.Diff(first, get(t, s, r.Post.ID)); d != "" {
		t.Errorf("a second Put changed the record (-once +again):\n%s", d)
	}
	if n := search(t, s, "停息挂账").Total; n != 1 {
		t.Errorf("found %d times, want once", n)
	}
	// Seen again later and judged anew, with the same content.
	again := r
	again.Post.FetchedAt = r.Post.FetchedAt.Add(time.Hour)
	again.FirstSeen, again.IngestedAt = again.Post.FetchedAt, again.Post.FetchedAt
	again.Verdict.Stance, again.Verdict.Flagged, again.Verdict.Severity, again.Verdict.Score = classify.StanceWarning, false, "", 0.1
	again.Verdict.Categories = []classify.CategoryScore{{ID: "cashout", Score: 0.2}}
	again.Verdict.Entities, again.Campaign = nil, index.Campaign{}
	put(t, s, again)
	want := again.Canonical()
	want.FirstSeen, want.IngestedAt, want.LastSeen = first.FirstSeen, first.IngestedAt, again.Post.FetchedAt
	want.Triage = first.Triage
	if d := cmp.Diff(want, get(t, s, r.Post.ID)); d != "" {
		t.Errorf("after a new verdict (-want +got):\n%s", d)
	}
	for query, n := range map[string]int{"category:debt_relief_scam": 0, "category:cashout": 1, "flagged:true": 0, "stance:warning": 1,
		"wechat:abc123": 0, "campaign:c1": 0, "停息挂账": 1} {
		if got := search(t, s, query).Total; got != n {
			t.Errorf("%s: %d records after a new verdict, want %d", query, got, n)
		}
	}
}

func testRevisions(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "第一版，加V:abc123")
	put(t, s, r)
	first := get(t, s, r.Post.ID)
	edited := r
	edited.Post.Text, edited.Post.FetchedAt = "第二版，联系方式已换", r.Post.FetchedAt.Add(time.Hour)
	edited.Verdict.Flagged, edited.Verdict.Score = false, 0.2
	edited.Post.Archive = post.Archive{File: "b.warc.gz", RecordID: "urn:2"}
	put(t, s, edited)
	put(t, s, edited)
	got := get(t, s, r.Post.ID)
	if got.Revisions != 1 || got.Post.Text != edited.Post.Text {
		t.Errorf("after an edit: revisions %d, text %q", got.Revisions, got.Post.Text)
	}
	if !got.FirstSeen.Equal(first.FirstSeen) || got.IngestedAt.Before(first.IngestedAt) {
		t.Errorf("after an edit: first seen %v (was %v), ingested %v (was %v)", got.FirstSeen, first.FirstSeen, got.IngestedAt, first.IngestedAt)
	}
	back := r // the first content comes back: a second change
	back.Post.FetchedAt = r.Post.FetchedAt.Add(2 * time.Hour)
	put(t, s, back)
	revs, err := s.Revisions(t.Context(), r.Post.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []index.Revision{
		{Title: r.Post.Title, Text: edited.Post.Text, Score: 0.2, FetchedAt: edited.Post.FetchedAt.UTC(), Verdict: edited.Verdict, Archive: edited.Post.Archive},
		{Title: r.Post.Title, Text: r.Post.Text, Flagged: true, Score: 0.91, FetchedAt: r.Post.FetchedAt.UTC(), Verdict: r.Verdict},
	}
	if d := cmp.Diff(want, revs); d != "" {
		t.Errorf("revisions (-want +got):\n%s", d)
	}
	if n := search(t, s, "第二版").Total; n != 0 {
		t.Errorf("an earlier content is still found %d times", n)
	}
	if n := get(t, s, r.Post.ID).Revisions; n != 2 {
		t.Errorf("Revisions = %d, want 2", n)
	}
}

func testReplay(t *testing.T, s index.Store) {
	var captures []index.Record
	for i, text := range []string{"甲版", "乙版", "丙版"} {
		r := record("1", "停息挂账", text)
		r.Post.FetchedAt = r.Post.FetchedAt.Add(time.Duration(i) * time.Hour)
		captures = append(captures, r)
	}
	for _, r := range captures {
		put(t, s, r)
	}
	want := get(t, s, captures[0].Post.ID)
	for _, r := range captures {
		put(t, s, r)
	}
	if d := cmp.Diff(want, get(t, s, captures[0].Post.ID)); d != "" {
		t.Errorf("replaying the captures changed the record (-before +after):\n%s", d)
	}
	// An archive read for the first time after the newest capture was seen.
	older := record("1", "停息挂账", "更早的版本")
	older.Post.FetchedAt = older.Post.FetchedAt.Add(-time.Hour)
	put(t, s, older)
	put(t, s, older)
	got := get(t, s, older.Post.ID)
	if got.Post.Text != "丙版" || got.Revisions != 3 || !got.IngestedAt.Equal(want.IngestedAt) {
		t.Errorf("after an older capture: text %q, revisions %d, ingested %v; want 丙版, 3, %v", got.Post.Text, got.Revisions, got.IngestedAt, want.IngestedAt)
	}
}

func testOddTexts(t *testing.T, s index.Store) {
	for i, c := range [...]struct{ text, query string }{
		{"扫码❤️进群🐧", "❤"},
		{"👨‍👩‍👧‍👦一家都能办", "一家都能办"},
		{"零\u200b宽\u200b字\u200b符", "零宽字符"},
		{"有\x00空字节\x01的文字", "空字节"},
		{"坏编码\xff\xfe还在", "坏编码"},
		{"ＶＸ：ＡＢＣ１２３", "vx abc123"},
		{"①③⑧零零", "138"},
		{"𠮷野家𠀋的债", "𠮷野家𠀋"},
		{strings.Repeat("很长的帖子", 20000) + "末尾暗号", "末尾暗号"},
		{strings.Repeat("a", 100_000) + "结束", "结束"},
		{"' OR 1=1; DROP TABLE posts; --", `"' OR 1=1"`},
		{"=HYPERLINK(\"http://x.example\")", "hyperlink"},
		{"a\u0301\u0301\u0301\u0301\u0301 zalgo", "zalgo"},
	} {
		r := record(fmt.Sprintf("odd%d", i), "", c.text)
		put(t, s, r)
		found := false
		for _, h := range search(t, s, c.query).Hits {
			found = found || h.Record.Post.ID == r.Post.ID
		}
		if !found {
			t.Errorf("%.40q is not found by %q", c.text, c.query)
		}
		if got := get(t, s, r.Post.ID).Post.Text; got != strings.ToValidUTF8(c.text, "\uFFFD") && len(got) < len(c.text) {
			t.Errorf("text changed: %.40q, want %.40q", got, c.text)
		}
		put(t, s, r)
		if n := get(t, s, r.Post.ID).Revisions; n != 0 {
			t.Errorf("%.40q: a second Put made %d revisions", c.text, n)
		}
	}
}

func testConcurrentPut(t *testing.T, s index.Store) {
	recs := Posts(240, 3)
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for chunk := range slices.Chunk(recs[w*40:w*40+40], 10) {
				if err := s.Put(t.Context(), chunk); err != nil {
					t.Errorf("Put: %v", err)
				}
				if _, err := s.Search(t.Context(), index.Query{Text: "停息挂账 OR score>0.5"}); err != nil {
					t.Errorf("Search: %v", err)
				}
				if _, err := s.Facets(t.Context(), index.Query{}, index.Facets[:], 5); err != nil {
					t.Errorf("Facets: %v", err)
				}
				if _, err := s.Triage(t.Context(), chunk[0].Post.ID, 0, index.TriageChange{Actor: "a", Status: index.StatusReviewing}); err != nil {
					t.Errorf("Triage: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := search(t, s, "").Total; n != len(recs) {
		t.Errorf("%d records after concurrent puts, want %d", n, len(recs))
	}
	if n := search(t, s, "status:reviewing").Total; n != 24 {
		t.Errorf("%d records reviewed, want 24", n)
	}
	if err := s.VerifyAudit(t.Context()); err != nil {
		t.Errorf("VerifyAudit: %v", err)
	}
}

func testClosed(t *testing.T, s index.Store) {
	put(t, s, record("1", "停息挂账", "专业办理"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	ctx := context.Background()
	if err := s.Put(ctx, []index.Record{record("2", "x", "y")}); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Put after Close: got %v, want ErrClosed", err)
	}
	if _, err := s.Search(ctx, index.Query{}); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Search after Close: got %v, want ErrClosed", err)
	}
	if _, err := s.Delete(ctx, index.Deletion{Source: "demo", At: Now()}); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Delete after Close: got %v, want ErrClosed", err)
	}
	if _, err := s.Get(ctx, "x"); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Get after Close: got %v, want ErrClosed", err)
	}
}
