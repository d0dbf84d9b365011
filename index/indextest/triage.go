package indextest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/index"
)

func change(t *testing.T, s index.Store, id string, version int64, c index.TriageChange) index.Triage {
	t.Helper()
	got, err := s.Triage(t.Context(), id, version, c)
	if err != nil {
		t.Fatalf("Triage(%+v): %v", c, err)
	}
	return got
}

func testTriage(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "专业办理")
	put(t, s, r)
	id, lin, nobody := r.Post.ID, "lin", ""
	got := change(t, s, id, 0, index.TriageChange{Actor: "lin", Status: index.StatusReviewing, Assignee: &lin, AddTags: []string{"重点", " 微信 ", "重点"}, Comment: "先看看"})
	if got.UpdatedAt.IsZero() {
		t.Error("UpdatedAt is zero after a change")
	}
	want := index.Triage{Status: index.StatusReviewing, Assignee: "lin", Tags: []string{"微信", "重点"}, CommentCount: 1, Version: 1, UpdatedAt: got.UpdatedAt, UpdatedBy: "lin"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("triage (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, get(t, s, id).Triage); d != "" {
		t.Errorf("triage read back (-want +got):\n%s", d)
	}
	if same := change(t, s, id, 1, index.TriageChange{Actor: "wu", Status: index.StatusReviewing, AddTags: []string{"重点"}}); !cmp.Equal(same, got) {
		t.Errorf("a change that changes nothing: %+v, want %+v", same, got)
	}
	got = change(t, s, id, 1, index.TriageChange{Actor: "wu", Status: index.StatusDismissed, Reason: "news", DropTags: []string{"微信", "没有"}, Comment: "是新闻", RequestID: "bulk-7"})
	if got.Reason != "news" || got.Version != 2 || got.CommentCount != 2 || !cmp.Equal(got.Tags, []string{"重点"}) {
		t.Errorf("after dismissing: %+v", got)
	}
	for query, n := range map[string]int{"status:dismissed": 1, "reason:news": 1, "tag:重点": 1, "tag:微信": 0, "assignee:lin": 1, "status:new": 0} {
		if p := search(t, s, query); p.Total != n {
			t.Errorf("%s finds %d, want %d", query, p.Total, n)
		}
	}
	got = change(t, s, id, 2, index.TriageChange{Actor: "wu", Status: index.StatusReviewing, Assignee: &nobody})
	if got.Reason != "" || got.Assignee != "" {
		t.Errorf("after reopening and unassigning: %+v", got)
	}
	comments, err := s.Comments(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range comments {
		if comments[i].At.IsZero() {
			t.Errorf("comment %d has no time", i)
		}
		comments[i].At = time.Time{}
	}
	if d := cmp.Diff([]index.Comment{{Actor: "lin", Text: "先看看"}, {Actor: "wu", Text: "是新闻"}}, comments); d != "" {
		t.Errorf("comments (-want +got):\n%s", d)
	}
}

func testTriageRefuses(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "专业办理")
	put(t, s, r)
	ctx, id := t.Context(), r.Post.ID
	if _, err := s.Triage(ctx, "missing", 0, index.TriageChange{Actor: "lin", Comment: "x"}); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("unknown id: got %v, want ErrNotFound", err)
	}
	if _, err := s.Triage(ctx, id, 5, index.TriageChange{Actor: "lin", Comment: "x"}); !errors.Is(err, index.ErrConflict) {
		t.Errorf("wrong version: got %v, want ErrConflict", err)
	}
	for name, c := range map[string]index.TriageChange{
		"no actor":               {Status: index.StatusReviewing},
		"unknown status":         {Actor: "lin", Status: "done"},
		"dismissal, no reason":   {Actor: "lin", Status: index.StatusDismissed},
		"reason, not dismissed":  {Actor: "lin", Status: index.StatusConfirmed, Reason: "news"},
		"empty tag":              {Actor: "lin", AddTags: []string{" "}},
		"tag with a line break":  {Actor: "lin", AddTags: []string{"a\nb"}},
		"comment over the limit": {Actor: "lin", Comment: string(make([]byte, index.MaxComment+1)) + "x"},
	} {
		if _, err := s.Triage(ctx, id, 0, c); !errors.Is(err, index.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if got := get(t, s, id).Triage; got.Version != 0 || got.Status != index.StatusNew {
		t.Errorf("a refused change left %+v", got)
	}
	if rows, err := s.Audit(ctx, id, 0, 10); err != nil || len(rows) != 0 {
		t.Errorf("refused changes left %d audit rows, %v", len(rows), err)
	}
}

func testPutLeavesTriage(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "专业办理")
	r.Triage = index.Triage{Status: index.StatusAccepted, Assignee: "eve", Tags: []string{"x"}, Version: 9}
	put(t, s, r)
	if got := get(t, s, r.Post.ID).Triage; !cmp.Equal(got, index.Triage{Status: index.StatusNew}) {
		t.Errorf("triage of a new record: %+v, want only status new", got)
	}
	lin := "lin"
	want := change(t, s, r.Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusConfirmed, Assignee: &lin, AddTags: []string{"重点"}, Comment: "证据齐"})
	put(t, s, r)
	r.Post.Text, r.Post.FetchedAt = "改过的内容", r.Post.FetchedAt.Add(time.Hour)
	put(t, s, r)
	if d := cmp.Diff(want, get(t, s, r.Post.ID).Triage); d != "" {
		t.Errorf("Put changed the triage (-before +after):\n%s", d)
	}
	if n := search(t, s, "status:confirmed tag:重点 assignee:lin 改过的内容").Total; n != 1 {
		t.Errorf("found by its triage %d times, want once", n)
	}
}

func testAudit(t *testing.T, s index.Store) {
	ctx := t.Context()
	a, b := record("1", "停息挂账", "甲"), record("2", "征信修复", "乙")
	put(t, s, a, b)
	change(t, s, a.Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusReviewing, AddTags: []string{"t"}, Comment: "说明\n第二行", RequestID: "q1"})
	change(t, s, b.Post.ID, 0, index.TriageChange{Actor: "wu", Status: index.StatusDismissed, Reason: "news"})
	if err := s.AppendAudit(ctx, index.AuditRow{Actor: "wu", Action: "export", Note: "flagged:true", To: "2 records"}); err != nil {
		t.Fatal(err)
	}
	if err := s.AppendAudit(ctx, index.AuditRow{Action: "export"}); !errors.Is(err, index.ErrInvalid) {
		t.Errorf("an audit row without actor: got %v, want ErrInvalid", err)
	}
	rows, err := s.Audit(ctx, "", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, r := range rows {
		if r.At.IsZero() || r.Hash == "" || i > 0 && rows[i-1].Seq <= r.Seq {
			t.Errorf("row %d: at %v, hash %q, seq %d: want all set, newest first", i, r.At, r.Hash, r.Seq)
		}
		got = append(got, fmt.Sprintf("%s %s %s>%s %s %s", r.Actor, r.Action, r.From, r.To, r.Note, r.RequestID))
	}
	want := []string{"wu export >2 records flagged:true ", "wu status new>dismissed news ", "lin comment > 说明\n第二行 q1", "lin tag >t  q1", "lin status new>reviewing  q1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("audit rows (-want +got):\n%s", d)
	}
	if one, err := s.Audit(ctx, b.Post.ID, 0, 10); err != nil || len(one) != 1 || one[0].Actor != "wu" {
		t.Errorf("audit of one record: %+v, %v", one, err)
	}
	page, err := s.Audit(ctx, "", rows[1].Seq, 2)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rows[2:4], page); d != "" {
		t.Errorf("a further page (-want +got):\n%s", d)
	}
	if err := s.VerifyAudit(ctx); err != nil {
		t.Errorf("VerifyAudit: %v", err)
	}
}

func testConcurrentTriage(t *testing.T, s index.Store) {
	r := record("1", "停息挂账", "专业办理")
	put(t, s, r)
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := s.Triage(t.Context(), r.Post.ID, 0, index.TriageChange{Actor: fmt.Sprint("analyst", i), Comment: "我的"})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, index.ErrConflict):
				lost.Add(1)
			default:
				t.Errorf("Triage: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 7 {
		t.Errorf("%d changes of the same version won and %d lost, want 1 and 7", won.Load(), lost.Load())
	}
	if got := get(t, s, r.Post.ID).Triage; got.Version != 1 || got.CommentCount != 1 {
		t.Errorf("triage after the race: %+v", got)
	}
}
