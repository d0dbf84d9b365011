package indextest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// testNewToJudge checks when a changed post comes before the analysts again.
func testNewToJudge(t *testing.T, s index.Store) {
	at := Now().Add(-10 * time.Hour).UTC().Truncate(time.Microsecond)
	r := record("1", "停息挂账", "专业办理，第99次浏览")
	r.Post.FetchedAt, r.IngestedAt = at, at
	put(t, s, r)
	for i, c := range [...]struct {
		name   string
		change func(r *index.Record)
		renews bool
	}{
		{"another number", func(*index.Record) {}, false},
		{"another score", func(r *index.Record) { r.Verdict.Score = 0.5 }, false},
		{"another address", func(r *index.Record) {
			r.Verdict.Entities = append(r.Verdict.Entities, classify.Entity{Type: "url", Value: "https://x.example/"})
		}, false},
		{"the contact written otherwise", func(r *index.Record) {
			r.Verdict.Entities = []classify.Entity{{Type: "wechat", Value: "ABC123"}}
		}, false},
		{"blanks and signs", func(r *index.Record) { r.Post.Title = "【停息 挂账】" }, false},
		{"other words", func(r *index.Record) { r.Post.Title = "停息挂账，今天还能办" }, true},
		{"another contact", func(r *index.Record) { r.Verdict.Entities = []classify.Entity{{Type: "wechat", Value: "abc456"}} }, true},
		{"another category", func(r *index.Record) { r.Verdict.Categories = []classify.CategoryScore{{ID: "cashout"}} }, true},
		{"no longer flagged", func(r *index.Record) { r.Verdict.Flagged = false }, true},
	} {
		before := get(t, s, r.Post.ID).IngestedAt
		r.Post.Text, r.Post.FetchedAt = fmt.Sprint("专业办理，第", i, "次浏览"), at.Add(time.Duration(i+1)*time.Minute)
		c.change(&r)
		put(t, s, r)
		if got := get(t, s, r.Post.ID); got.IngestedAt.After(before) != c.renews || got.Revisions != i+1 {
			t.Errorf("%s: ingested %v, was %v; want it renewed: %v; %d revisions, want %d", c.name, got.IngestedAt, before, c.renews, got.Revisions, i+1)
		}
	}
}

// testPutKeepsEvidence puts a post again without the evidence that was made of
// it, unchanged and edited, and then with another.
func testPutKeepsEvidence(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "专业办理")
	first := []post.Evidence{{Kind: post.EvidenceScreenshot, Archive: post.Archive{File: "a.warc.gz", RecordID: "urn:uuid:1", SHA256: "ab"}, At: r.Post.FetchedAt, Width: 1280, Height: 900, PageHeight: 900}}
	r.Post.Evidence = first
	put(t, s, r)
	r.Post.Evidence = nil
	for _, text := range []string{"专业办理", "专业办理，加微信"} {
		r.Post.Text, r.Post.FetchedAt = text, r.Post.FetchedAt.Add(time.Minute)
		put(t, s, r)
		if diff := cmp.Diff(first, get(t, s, r.Post.ID).Post.Evidence); diff != "" {
			t.Errorf("after %s: %s", text, diff)
		}
	}
	r.Post.FetchedAt = r.Post.FetchedAt.Add(time.Minute)
	r.Post.Evidence = []post.Evidence{{Kind: post.EvidenceDOM, Archive: post.Archive{RecordID: "urn:uuid:2"}, At: r.Post.FetchedAt}}
	put(t, s, r)
	if got := get(t, s, r.Post.ID).Post.Evidence; len(got) != 1 || got[0].Kind != post.EvidenceDOM {
		t.Errorf("new evidence: %+v", got)
	}
}

// testRevisionsBounded puts a page that shows another number at each fetch,
// and then its captures once more, as a replay does.
func testRevisionsBounded(t *testing.T, s index.Store) {
	const n = index.KeptRevisions + 30
	captures := make([]index.Record, n+1)
	for i := range captures {
		captures[i] = record("1", "停息挂账", fmt.Sprint("浏览", i, "次"))
		captures[i].Post.FetchedAt = captures[i].Post.FetchedAt.Add(time.Duration(i) * time.Minute)
		put(t, s, captures[i])
	}
	id := captures[0].Post.ID
	check := func(when, oldest string, count int) {
		t.Helper()
		revs, err := s.Revisions(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(revs) != index.KeptRevisions+1 {
			t.Fatalf("%s: %d revisions are kept, want %d", when, len(revs), index.KeptRevisions+1)
		}
		if newest, last := revs[0].Text, revs[index.KeptRevisions].Text; newest != captures[n-1].Post.Text || last != oldest {
			t.Errorf("%s: kept are %q to %q, want %q to %q", when, newest, last, captures[n-1].Post.Text, oldest)
		}
		if got := get(t, s, id); got.Revisions != count || got.Post.Text != captures[n].Post.Text {
			t.Errorf("%s: %d revisions are counted, want %d; text %q", when, got.Revisions, count, got.Post.Text)
		}
	}
	check("after all captures", captures[0].Post.Text, n)
	for _, r := range captures {
		put(t, s, r)
	}
	check("after a replay", captures[0].Post.Text, n)
	older := record("1", "停息挂账", "更早的版本")
	older.Post.FetchedAt = older.Post.FetchedAt.Add(-time.Hour)
	put(t, s, older, older)
	check("after an older capture", older.Post.Text, n+1)
}

// testWrongClock checks that a clock ahead neither hides what is fetched later
// nor keeps a record on top.
func testWrongClock(t *testing.T, s index.Store) {
	now := Now().UTC().Truncate(time.Microsecond)
	wrong, right := record("1", "停息挂账", "旧文"), record("1", "停息挂账", "代办征信修复")
	far := now.AddDate(10, 0, 0)
	wrong.Post.FetchedAt, wrong.FirstSeen, wrong.LastSeen, wrong.IngestedAt = far, far, far, far
	right.Post.FetchedAt = now
	put(t, s, wrong)
	limit := now.Add(index.MaxAhead)
	for range 2 { // the second time as a replay does
		put(t, s, wrong, right)
		got := get(t, s, right.Post.ID)
		if got.Post.Text != right.Post.Text || got.Revisions != 1 {
			t.Errorf("text %q, %d revisions; want what was fetched by the right clock, and 1", got.Post.Text, got.Revisions)
		}
		for name, at := range map[string]time.Time{"fetched": got.Post.FetchedAt, "first seen": got.FirstSeen, "last seen": got.LastSeen, "ingested": got.IngestedAt} {
			if at.After(limit) {
				t.Errorf("%s is %v, in the future", name, at)
			}
		}
		revs, err := s.Revisions(t.Context(), right.Post.ID)
		if err != nil || len(revs) != 1 || revs[0].Text != "旧文" || revs[0].FetchedAt.After(limit) {
			t.Errorf("revisions %+v, %v", revs, err)
		}
	}
	soon := record("2", "停息挂账", "时钟快一小时")
	soon.Post.FetchedAt = now.Add(time.Hour)
	put(t, s, soon)
	if got := get(t, s, soon.Post.ID).Post.FetchedAt; !got.Equal(soon.Post.FetchedAt) {
		t.Errorf("a fetch time an hour ahead became %v, want it kept", got)
	}
}

func testInvalidUTF8(t *testing.T, s index.Store) {
	for name, spoil := range map[string]func(*index.Record){
		"id": func(r *index.Record) { r.Post.ID = "\xff\xfe" }, "source": func(r *index.Record) { r.Post.Source = "s\xff" },
	} {
		r := record("1", "题", "文")
		spoil(&r)
		if err := s.Put(t.Context(), []index.Record{r}); !errors.Is(err, index.ErrInvalid) {
			t.Errorf("%s that is not UTF-8: got %v, want ErrInvalid", name, err)
		}
	}
	r := record("2", "题\xff", "加V:\xff\xfeABC123")
	r.Post.URL, r.Post.Author.Name, r.Verdict.Entities[0].Raw = "https://bbs.demo.example/t?q=\xd6\xd0", "名\xff", "\xffABC"
	put(t, s, r)
	got := get(t, s, r.Post.ID)
	for what, pair := range map[string][2]string{
		"title": {got.Post.Title, "题\uFFFD"},
		// One for each byte: the verdict's offsets count them so.
		"text":   {got.Post.Text, "加V:\uFFFD\uFFFDABC123"},
		"url":    {got.Post.URL, "https://bbs.demo.example/t?q=%D6%D0"},
		"author": {got.Post.Author.Name, "名\uFFFD"},
		"entity": {got.Verdict.Entities[0].Raw, "\uFFFDABC"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if r.Verdict.Entities[0].Raw != "\xffABC" {
		t.Error("Put changed the caller's record")
	}
	put(t, s, r, got)
	if n := get(t, s, r.Post.ID).Revisions; n != 0 {
		t.Errorf("putting it again, and as it is kept, made %d revisions", n)
	}
}

// testSearchNormalized looks for plain texts by disguised queries.
func testSearchNormalized(t *testing.T, s index.Store) {
	put(t, s, record("1", "債務优化", "办理债务优化"), record("2", "征信修复", "加微信"))
	for query, n := range map[string]int{"債務": 1, "债务": 1, "债.务": 1, `"债 务"`: 1, "ＡＢ OR 債務": 1, "title:債務": 1, "text:薇信": 1, "-債務": 1, "征信 薇信": 1, "幀務": 0} {
		if got := search(t, s, query).Total; got != n {
			t.Errorf("%s finds %d, want %d", query, got, n)
		}
	}
	page := search(t, s, "text:薇信")
	if len(page.Hits) != 1 || !strings.Contains(page.Hits[0].Snippet, "微信") {
		t.Errorf("the snippet of a normalised match: %+v", page.Hits)
	}
}

func testAuditHead(t *testing.T, s index.Store) {
	if seq, hash, err := s.AuditHead(t.Context()); seq != 0 || hash != "" || err != nil {
		t.Errorf("the head of an empty trail: %d, %q, %v", seq, hash, err)
	}
	for range 3 {
		if err := s.AppendAudit(t.Context(), index.AuditRow{Actor: "lin", Action: "export"}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.Audit(t.Context(), "", 0, 1)
	if err != nil || len(rows) != 1 {
		t.Fatalf("the newest row: %v, %v", rows, err)
	}
	seq, hash, err := s.AuditHead(t.Context())
	if d := cmp.Diff([2]any{rows[0].Seq, rows[0].Hash}, [2]any{seq, hash}); d != "" || err != nil {
		t.Errorf("AuditHead (-newest row +head), %v:\n%s", err, d)
	}
}
