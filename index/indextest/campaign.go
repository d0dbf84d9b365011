package indextest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"qingyuan/index"
)

func testCampaigns(t *testing.T, s index.Store) {
	texts := []string{"网贷逾期别慌，停息挂账六十期，先看征信再报价，微信 hz_anxin88", "网贷逾期别慌！停息挂账六十期，先看征信再报价，薇 hz_anxin99",
		"代理全额退保，重疾分红都能退，退成再付，加V tuibao6677"}
	for i, text := range texts {
		r := record(fmt.Sprint(i), "", text)
		r.Verdict.Entities = nil
		r.Campaign = index.Campaign{ID: map[bool]string{true: "a", false: "b"}[i < 2], Size: 77, FirstSeen: r.FirstSeen}
		put(t, s, r)
	}
	quiet := record("quiet", "", texts[0])
	quiet.Verdict.Flagged, quiet.Verdict.Severity, quiet.Campaign = false, "", index.Campaign{}
	put(t, s, quiet)

	sizes := map[string]int{}
	for _, h := range search(t, s, "").Hits {
		sizes[h.Record.Campaign.ID] = h.Record.Campaign.Size
		if got := get(t, s, h.Record.Post.ID).Campaign; got != h.Record.Campaign {
			t.Errorf("campaign %+v when got, %+v when searched", got, h.Record.Campaign)
		}
	}
	if sizes["a"] != 2 || sizes["b"] != 1 || sizes[""] != 0 {
		t.Errorf("campaign sizes %v, want a:2 b:1 and none without", sizes)
	}

	first := get(t, s, record("0", "", "").Post.ID)
	near := func() []string {
		return hitIDs(search(t, s, "near:("+strings.Join(index.NearKeys(first), " OR ")+")"))
	}
	if got := near(); len(got) != 2 {
		t.Errorf("%d records are near the first, want itself and its copy", len(got))
	}
	// Judged anew and moved: the old campaign shrinks, harmless posts are near nothing.
	moved := first
	moved.Campaign.ID, moved.Post.FetchedAt = "b", moved.Post.FetchedAt.Add(time.Hour)
	put(t, s, moved)
	if a, b := get(t, s, record("1", "", "").Post.ID).Campaign.Size, get(t, s, first.Post.ID).Campaign.Size; a != 1 || b != 2 {
		t.Errorf("sizes %d and %d after one record moved, want 1 and 2", a, b)
	}
	moved.Verdict.Flagged, moved.Campaign = false, index.Campaign{}
	put(t, s, moved)
	if got := near(); len(got) != 1 || get(t, s, first.Post.ID).Campaign != (index.Campaign{}) {
		t.Errorf("%d records are near the first after it was cleared, want its copy only", len(got))
	}
}
