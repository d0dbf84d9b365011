package indextest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"qingyuan/index"
)

// Differential puts the same generated posts, decisions and edits into two
// empty stores and asks both the same random queries: pages, totals, snippets
// and facets must be the same. The stores are opened as for Run.
func Differential(t *testing.T, one, other index.Store, posts, queries int) {
	recs := Posts(posts, 31)
	for _, s := range [...]index.Store{one, other} {
		differentialFill(t, s, recs)
	}
	rnd := rand.New(rand.NewPCG(8, 8))
	found := 0
	for answered := 0; answered < queries; {
		query := randomQuery(rnd, recs, 2)
		if _, err := index.Parse(query, time.Now()); err != nil {
			continue // nothing but punctuation was picked
		}
		answered++
		q := index.Query{Text: query, Limit: 1 + rnd.IntN(40), Sort: [...]index.Sort{"", index.SortScore, index.SortPublished, index.SortFirstSeen}[rnd.IntN(4)]}
		if rnd.IntN(4) == 0 {
			q.Offset = rnd.IntN(60)
		}
		for range 2 { // the second page as well
			a, b := answer(t, one, q), answer(t, other, q)
			if d := gocmp.Diff(a, b); d != "" {
				t.Fatalf("query %d: %+v (-one +other):\n%s", answered, q, d)
			}
			found += len(a.Hits)
			if a.next == "" || q.Offset > 0 {
				break
			}
			q.After, q.NoTotal = "", false
			q.Offset = q.Limit
		}
		if answered%5 > 0 {
			continue
		}
		a, errA := one.Facets(t.Context(), index.Query{Text: query}, index.Facets[:], 12)
		b, errB := other.Facets(t.Context(), index.Query{Text: query}, index.Facets[:], 12)
		if d := gocmp.Diff(a, b); d != "" || errA != nil || errB != nil {
			t.Fatalf("facets of %q: %v, %v (-one +other):\n%s", query, errA, errB, d)
		}
	}
	if found < queries {
		t.Errorf("%d queries found %d hits: the comparison says too little", queries, found)
	}
}

// differentialFill puts the posts, decides on some, edits some and deletes some.
func differentialFill(t *testing.T, s index.Store, recs []index.Record) {
	t.Helper()
	for chunk := range slices.Chunk(recs, 500) {
		put(t, s, chunk...)
	}
	var edited []index.Record
	for i := 0; i < len(recs); i += 29 {
		r := recs[i]
		r.Post.Text += fmt.Sprint("，改过", i%7)
		r.Post.FetchedAt = r.Post.FetchedAt.Add(time.Hour)
		edited = append(edited, r)
	}
	put(t, s, edited...)
	for i := 0; i < len(recs); i += 41 {
		lin := "lin"
		c := index.TriageChange{Actor: "wu", Status: index.StatusReviewing, Assignee: &lin}
		if i%3 == 0 {
			c = index.TriageChange{Actor: "wu", Status: index.StatusDismissed, Reason: "news", AddTags: []string{"重点"}}
		}
		change(t, s, recs[i].Post.ID, 0, c)
	}
	var gone []string
	for i := 0; i < len(recs); i += 97 {
		gone = append(gone, recs[i].Post.ID)
	}
	for _, source := range sources {
		if _, err := s.Delete(t.Context(), index.Deletion{Source: source, IDs: gone, At: base.AddDate(0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
	}
}

// answered is what two stores must say alike; cursors are each one's own.
type answered struct {
	Total int
	Hits  []string
	next  string
}

// Equal is for go-cmp: whether there is a next page counts, not its cursor.
func (a answered) Equal(b answered) bool {
	return a.Total == b.Total && slices.Equal(a.Hits, b.Hits) && (a.next == "") == (b.next == "")
}

func answer(t *testing.T, s index.Store, q index.Query) answered {
	t.Helper()
	p, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("%T.Search(%+v): %v", s, q, err)
	}
	a := answered{Total: p.Total, next: p.Next}
	for _, h := range p.Hits {
		r := h.Record
		// An edit is ingested when it comes, which differs between the stores.
		a.Hits = append(a.Hits, fmt.Sprint(r.Post.ID, " ", r.Post.Text, " ", r.Revisions, " ", r.Triage.Status, " ", r.DeletedAt, " ", r.LastSeen, " ", h.Snippet))
	}
	return a
}
