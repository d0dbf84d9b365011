package crawler

import (
	"testing"
	"time"
)

// traps of processes that share a frontier, and the note that it keeps.
type trapGroup struct {
	t    *testing.T
	note string
	all  []*traps
}

func newTrapGroup(t *testing.T, n int) *trapGroup {
	g := &trapGroup{t: t}
	for range n {
		g.all = append(g.all, &traps{now: func() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }})
	}
	return g
}

// learn has a process learn so many pages of a feature.
func (g *trapGroup) learn(i, pages int) {
	s := g.all[i].of("bbs")
	f := s.features[7]
	if f == nil {
		f = &feature{}
		s.features[7] = f
	}
	f.Fetched += pages
	f.Tried += pages
	p := s.params["sid"]
	if p == nil {
		p = &tokenProof{}
		s.params["sid"] = p
	}
	p.Same += pages
	if s.since.IsZero() {
		s.since = g.all[i].now().Add(time.Duration(i) * time.Second)
	}
	s.used["depth 1"] += pages
	s.learned += pages
}

func (g *trapGroup) save(i int) {
	g.all[i].absorb("bbs", g.note, time.Hour)
	if note := g.all[i].note("bbs", true); note != "" {
		g.note = note
	}
}

func (g *trapGroup) is(i, want int) {
	g.t.Helper()
	s := g.all[i].of("bbs")
	if f := *s.features[7]; f.Fetched != want || f.Tried != want || s.params["sid"].Same != want || s.used["depth 1"] != want {
		g.t.Errorf("process %d knows of %+v, %+v, %v used; want %d of each", i, f, *s.params["sid"], s.used, want)
	}
}

func TestTrapsOfManyProcessesAddUp(t *testing.T) {
	g := newTrapGroup(t, 3)
	for i := range g.all {
		g.learn(i, 10)
		g.save(i)
		g.is(i, 10*(i+1))
	}
	total := 30
	for round := range 5 {
		for i := range g.all {
			g.learn(i, 3)
			total += 3
			g.save(i)
			g.is(i, total)
		}
		if round == 2 { // one is started again
			g.all[1] = &traps{now: g.all[0].now}
			g.all[1].restore("bbs", g.note)
			g.is(1, total)
		}
	}
	g.all[0].absorb("bbs", "{damaged", time.Hour)
	g.is(0, total-6) // as it was saved; the others learned six more since
}

func TestTrapsBudgetOfANewSpan(t *testing.T) {
	g := newTrapGroup(t, 2)
	g.learn(0, 10)
	g.save(0)
	late := g.all[1].of("bbs")
	late.since, late.used["depth 1"], late.learned = g.all[1].now().Add(2*time.Hour), 4, 1
	g.save(1)
	if late.used["depth 1"] != 4 {
		t.Errorf("a new span begins with %d pages of the old one", late.used["depth 1"]-4)
	}
	g.learn(0, 1)
	g.save(0)
	if s := g.all[0].of("bbs"); s.used["depth 1"] != 4 || !s.since.Equal(late.since) {
		t.Errorf("a process in the old span has %d pages since %v; want the new one's", s.used["depth 1"], s.since)
	}
}
