package campaign

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestOfManyCopiesTheIndexIsNotAskedAgain(t *testing.T) {
	judge := judge(t)
	s := &shelf{members: map[string]Member{}}
	find, asked := s.find(), 0
	near := find.Near
	find.Near = func(ctx context.Context, keys []string, limit int, known func(string) bool) ([]Member, error) {
		asked++
		return near(ctx, keys, limit, known)
	}
	g := NewGrouper(find)
	for i := range maxCandidates + 20 {
		ms := []Member{judge(fmt.Sprintf("p%d", i), adverts[0], day.Add(time.Duration(i)*time.Minute))}
		before := asked
		if err := g.Assign(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		if ms[0].Group.ID != "p0" {
			t.Fatalf("copy %d is in campaign %s, want p0", i, ms[0].Group.ID)
		}
		if want := i < maxCandidates; (asked > before) != want {
			t.Fatalf("copy %d: index asked %v, want %v", i, asked > before, want)
		}
		s.put(ms...)
	}
	other := []Member{judge("q", adverts[1], day.Add(time.Hour))}
	before := asked
	if err := g.Assign(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if other[0].Group.ID != "q" || asked == before {
		t.Errorf("another advert is in campaign %s, index asked %v", other[0].Group.ID, asked > before)
	}
	// The founder seen again asks, and keeps when it was first seen.
	again := []Member{judge("p0", adverts[0], day.Add(2*time.Hour))}
	if err := g.Assign(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if got := again[0].Group; got.ID != "p0" || !got.FirstSeen.Equal(day) {
		t.Errorf("the founder is in campaign %v, want p0 of %v", got, day)
	}
}
