package indextest

import (
	"errors"
	"testing"
	"time"

	"qingyuan/index"
)

// testDelete notes threads and posts as gone, and lets them come back.
func testDelete(t *testing.T, s index.Store) {
	opening, reply, other, foreign := record("1", "停息挂账", "楼主正文，加V:abc123"), record("2", "", "二楼回复"), record("3", "别的帖子", "无关"), record("1", "停息挂账", "别的站")
	opening.Post.ThreadURL = opening.Post.URL
	reply.Post.ThreadURL = opening.Post.URL
	foreign.Post.ID, foreign.Post.Source, foreign.Post.ThreadURL = "another-site", "second", opening.Post.URL
	put(t, s, opening, reply, other, foreign)
	seen := opening.Post.FetchedAt
	gone := func(d index.Deletion, want int) {
		t.Helper()
		if n, err := s.Delete(t.Context(), d); err != nil || n != want {
			t.Fatalf("Delete(%+v) = %d, %v; want %d", d, n, err, want)
		}
	}
	deleted := func(want time.Time, recs ...index.Record) {
		t.Helper()
		for _, r := range recs {
			if got := get(t, s, r.Post.ID); !got.DeletedAt.Equal(want) {
				t.Errorf("%q: deleted at %v, want %v", r.Post.Text, got.DeletedAt, want)
			}
		}
	}
	for _, bad := range []index.Deletion{{Source: "demo", IDs: []string{opening.Post.ID}}, {At: seen, IDs: []string{opening.Post.ID}}} {
		if _, err := s.Delete(t.Context(), bad); !errors.Is(err, index.ErrInvalid) {
			t.Errorf("Delete(%+v): %v; want ErrInvalid", bad, err)
		}
	}
	gone(index.Deletion{Source: "demo", Thread: opening.Post.URL, At: seen.Add(-time.Minute)}, 0) // seen since
	gone(index.Deletion{Source: "demo", Thread: opening.Post.URL, At: seen.Add(time.Hour)}, 2)
	gone(index.Deletion{Source: "demo", Thread: opening.Post.URL, IDs: []string{opening.Post.ID}, At: seen.Add(2 * time.Hour)}, 0) // known
	deleted(seen.Add(time.Hour), opening, reply)
	deleted(time.Time{}, other, foreign)
	got := get(t, s, opening.Post.ID)
	if got.Post.Text != opening.Post.Text || got.Verdict.Score != opening.Verdict.Score || got.Revisions != 0 {
		t.Errorf("a deletion changed the record: %+v", got)
	}
	if n := search(t, s, "楼主正文").Total; n != 1 {
		t.Errorf("a deleted post is found %d times, want once", n)
	}
	put(t, s, opening, reply) // a replay of the archive
	deleted(seen.Add(time.Hour), opening, reply)

	back := opening // the thread is shown again, its reply is not
	back.Post.FetchedAt = seen.Add(3 * time.Hour)
	put(t, s, back)
	deleted(time.Time{}, opening)
	deleted(seen.Add(time.Hour), reply)
	put(t, s, opening)
	deleted(time.Time{}, opening)

	gone(index.Deletion{Source: "demo", IDs: []string{other.Post.ID, foreign.Post.ID, "unknown"}, At: seen.Add(4 * time.Hour)}, 1)
	deleted(seen.Add(4*time.Hour), other)
	gone(index.Deletion{Source: "demo", At: seen.Add(5 * time.Hour)}, 0)
}
