package crawler

import (
	"testing"
	"time"

	"qingyuan/crawler/frontier"
)

// TestWallsOfManyProcesses: a wall that one process met grows the pauses of
// all, and ends for all when one is let through.
func TestWallsOfManyProcesses(t *testing.T) {
	r := newRig(t)
	s := newTestSite(t, 1).source(t, "bbs")
	opts := r.opts
	opts.Frontier, opts.Shared = r.frontier(), true
	a, err := New([]*Source{s}, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New([]*Source{s}, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := a.addSeeds(ctx, s, true); err != nil {
		t.Fatal(err)
	}
	lease := func() frontier.Lease {
		t.Helper()
		for {
			ls, wait, err := opts.Frontier.Next(ctx, 1, time.Minute)
			if err == nil {
				return ls[0]
			}
			time.Sleep(min(wait, 50*time.Millisecond))
		}
	}
	shown := Extraction{Blocked: "captcha", Wall: WallCaptcha}
	for i, c := range []*Crawler{a, b, a} {
		c.walled(ctx, s, lease(), Page{Status: 200}, shown)
		if w := c.Walls(); len(w) != 1 || w[0].Times != i+1 {
			t.Fatalf("meeting %d: %+v", i+1, w)
		}
	}
	b.syncWalls(ctx)
	if w := b.Walls(); len(w) != 1 || w[0].Times != 3 {
		t.Errorf("the other process knows of %+v, want a wall met 3 times", w)
	}
	b.passed(ctx, lease())
	if w := b.Walls(); len(w) != 0 {
		t.Errorf("walls %+v after a page was let through", w)
	}
	a.syncWalls(ctx)
	if w := a.Walls(); len(w) != 0 {
		t.Errorf("the other process still knows of %+v", w)
	}
	if r.saw(EventWallOver, "") < 2 {
		t.Error("the end of the wall was not told by both")
	}
}
