package crawler

import (
	"maps"
	"sync"
	"testing"
	"time"
)

// learnPages lets a process learn from n fetches of a kind of page.
func learnPages(t *traps, source string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	for range n {
		s.learned++
		for _, k := range []uint64{1, 2} {
			if s.features[k] == nil {
				s.features[k] = &feature{}
			}
			s.features[k].Fetched++
		}
		if s.params["sid"] == nil {
			s.params["sid"] = &tokenProof{}
		}
		s.params["sid"].Same++
		s.used["host x"]++
	}
}

func fetchedOf(t *traps, source string) (features, params, used int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	return s.features[1].Fetched, s.params["sid"].Same, s.used["host x"]
}

// Several processes that learn of one source add up what they learn, in whatever
// order they read and write, also when one writes over another.
func TestTrapsOfSeveralProcessesAddUp(t *testing.T) {
	began := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	clock := func() time.Time { return began }
	procs := []*traps{{now: clock}, {now: clock}, {now: clock}}
	note := ""
	for i, p := range procs {
		p.restore("x", note)
		if i == 0 {
			p.newPass("x")
		}
		p.mu.Lock()
		p.of("x").since = began
		p.mu.Unlock()
	}
	write := func(i int, read string) string { return procs[i].merge("x", read) }

	learnPages(procs[0], "x", 10)
	note = write(0, note)
	learnPages(procs[1], "x", 5)
	note = write(1, note)
	// Both read the same, both write: the first is written over.
	learnPages(procs[0], "x", 7)
	learnPages(procs[2], "x", 3)
	stale := note
	_ = write(0, stale)
	note = write(2, stale)
	if procs[0].seen("x", note) {
		t.Error("the first process does not see that it was written over")
	}
	note = write(0, note) // adds what was lost
	note = write(1, note)
	for i, p := range procs {
		note = write(i, note)
		if f, s, u := fetchedOf(p, "x"); f != 25 || s != 25 || u != 25 {
			t.Errorf("process %d counts %d, %d, %d; want 25 each", i, f, s, u)
		}
	}
	// A process that starts knows all of it, and adds nothing twice.
	fresh := &traps{now: clock}
	fresh.restore("x", note)
	note = fresh.merge("x", note)
	learnPages(fresh, "x", 1)
	note = fresh.merge("x", note)
	last := &traps{now: clock}
	last.restore("x", note)
	if f, s, u := fetchedOf(last, "x"); f != 26 || s != 26 || u != 26 {
		t.Errorf("a new process counts %d, %d, %d; want 26 each", f, s, u)
	}
	// A new pass has fresh budgets, for the others too.
	last.now = func() time.Time { return began.Add(time.Hour) }
	last.newPass("x")
	note = last.merge("x", note)
	_ = fresh.merge("x", note)
	if f, _, u := fetchedOf(fresh, "x"); f != 26 || u != 0 {
		t.Errorf("after another's new pass: %d fetched, %d used; want 26 and 0", f, u)
	}
}

// Two crawlers on one frontier that write at the same time lose nothing.
func TestTrapNotesTogether(t *testing.T) {
	site, r := newTestSite(t, 1), newRig(t)
	r.opts.Frontier = r.frontier()
	src := site.source(t, "x")
	var crawlers []*Crawler
	for range 4 {
		c, err := New([]*Source{src}, r.opts)
		if err != nil {
			t.Fatal(err)
		}
		c.loadTraps(t.Context(), "x")
		crawlers = append(crawlers, c)
	}
	var busy sync.WaitGroup
	for _, c := range crawlers {
		busy.Go(func() {
			for range 20 {
				learnPages(&c.traps, "x", 5)
				c.retain(t.Context(), "x", true)
			}
		})
	}
	busy.Wait()
	for _, c := range crawlers { // what was overwritten last comes with the next write
		learnPages(&c.traps, "x", 1)
		c.retain(t.Context(), "x", true)
	}
	notes, err := r.frontier().Notes(t.Context(), trapKey("x"))
	if err != nil {
		t.Fatal(err)
	}
	all := maps.Collect(maps.All(readTrapNote(notes[trapKey("x")]).counts().features))
	if got := all[1].Fetched; got != 4*101 {
		t.Errorf("%d fetches counted, want %d", got, 4*101)
	}
}

func FuzzTrapNote(f *testing.F) {
	f.Add(`{"f":{"1a":[1,2,3,4]},"p":{"sid":{"Same":1}},"u":{"host x":3},"s":"2026-03-02T09:30:00Z","w":{"a":[1,2]}}`)
	f.Add(`{"f":{"zzzzzzzzzzzzzz":[-1]},"p":{"x":null}}`)
	f.Fuzz(func(t *testing.T, note string) {
		p := &traps{now: time.Now}
		p.restore("x", note)
		learnPages(p, "x", 3)
		if text := p.merge("x", note); text != "" && !p.seen("x", text) {
			t.Fatal("what was written is not seen")
		}
	})
}
