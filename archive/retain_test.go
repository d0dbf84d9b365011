package archive

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// months makes an archive with one file a day, and returns the refs by day.
func months(t *testing.T, dir string, c *clock, days int) (w *Writer, refs []Ref) {
	w = open(t, Options{Dir: dir, Now: c.now, Keep: 10 * day, RetainByHand: true})
	for n := range days {
		refs = append(refs, appendPage(t, w, page(n, c.now())))
		c.forward(day)
	}
	appendPage(t, w, page(1000, c.now())) // seals the last
	return w, refs
}

func retain(t *testing.T, w *Writer, dry bool) (dropped, kept []string, list []Retained) {
	t.Helper()
	list, err := w.Retain(context.Background(), dry)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Dropped {
			dropped = append(dropped, r.File)
		} else {
			kept = append(kept, r.File)
		}
	}
	return dropped, kept, list
}

func exists(dir, file string) bool {
	_, err := os.Stat(warcPath(dir, file))
	return err == nil
}

func TestRetention(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w, refs := months(t, dir, c, 20)
	before, _ := (&Archive{dir}).Files()
	dropped, kept, _ := retain(t, w, true)
	if len(dropped) != 11 || len(kept) != 0 {
		t.Fatalf("dry run: %d dropped, %d kept; want 11 and 0", len(dropped), len(kept))
	}
	if now, _ := (&Archive{dir}).Files(); !slices.Equal(now, before) {
		t.Fatal("a dry run dropped something")
	}
	dropped, _, _ = retain(t, w, false)
	for n, ref := range refs {
		if got, want := exists(dir, ref.File), n > 10; got != want {
			t.Errorf("day %d: there is %v, want %v", n, got, want)
		}
	}
	if again, _, _ := retain(t, w, false); len(again) != 0 {
		t.Errorf("dropped once more: %v", again)
	}
	closeWriter(t, w)
	if r := mustBeSound(t, dir); r.Dropped != len(dropped) {
		t.Errorf("report = %+v, want %d dropped", r, len(dropped))
	}
	closeWriter(t, open(t, Options{Dir: dir, Now: c.now})) // a start with dropped files
	mustBeSound(t, dir)
}

func TestHolds(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w, refs := months(t, dir, c, 20)
	w.opts.PostRecords = func(_ context.Context, id string) (records, urls []string, err error) {
		if id == "post-5" {
			return []string{refs[5].RecordID}, nil, nil
		}
		return nil, nil, ErrNotFound
	}
	for _, h := range []Hold{{HoldRecord, "<" + refs[1].RecordID + ">", ""}, {HoldURL, "http://bbs.example/thread-3-1-1.html", ""}, {HoldPost, "post-5", ""}} {
		if _, err := AddHold(dir, c.now(), "case 7\nrecord x", h); err != nil {
			t.Fatal(err)
		}
	}
	_, kept, list := retain(t, w, false)
	if want := []string{refs[1].File, refs[3].File, refs[5].File}; !slices.Equal(kept, want) {
		t.Fatalf("kept %v, want %v", kept, want)
	}
	for _, r := range list {
		if !r.Dropped && !strings.HasPrefix(r.Why, "held by holds/hold-") {
			t.Errorf("why %s is kept: %q", r.File, r.Why)
		}
	}
	for _, n := range []int{1, 3, 5} {
		if got := capture(t, dir, refs[n].RecordID); hexSum(got.Body) != refs[n].SHA256 {
			t.Errorf("held page %d is another", n)
		}
	}
	// A hold that cannot be read or looked up keeps everything.
	for _, line := range []string{"recrod " + refs[6].RecordID, "post gone"} {
		path := filepath.Join(dir, holdFolder, "z.txt")
		os.WriteFile(path, []byte("# by hand\n"+line+"\n"), 0o600)
		if _, err := w.Retain(context.Background(), false); err == nil || !strings.Contains(err.Error(), "hel") && !strings.Contains(err.Error(), "hold") {
			t.Errorf("%q: error = %v", line, err)
		}
		os.Remove(path)
	}
	os.RemoveAll(filepath.Join(dir, holdFolder))
	if dropped, _, _ := retain(t, w, false); len(dropped) != 3 {
		t.Errorf("after the holds are lifted %v are dropped, want 3", dropped)
	}
	closeWriter(t, w)
	mustBeSound(t, dir)
}

// A file stays while what stays refers to a body in it.
func TestRetentionKeepsWhatRevisitsNeed(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now, Keep: 10 * day, RetainByHand: true})
	whole := appendPage(t, w, page(1, c.now()))
	c.forward(4 * day)
	again := appendPage(t, w, page(1, c.now()))
	c.forward(2 * day)
	if late := appendPage(t, w, page(1, c.now())); late.Revisit {
		t.Error("a record older than half of keep was referred to")
	}
	c.forward(6 * day)
	appendPage(t, w, page(2, c.now())) // seals the one before
	_, kept, list := retain(t, w, false)
	if !again.Revisit || len(kept) != 1 || kept[0] != whole.File {
		t.Fatalf("%+v: the file that the revisit of day 4 needs must stay", list)
	}
	c.forward(5 * day)
	appendPage(t, w, page(3, c.now()))
	if dropped, _, _ := retain(t, w, false); len(dropped) < 2 {
		t.Errorf("dropped %v, want both once nothing needs them", dropped)
	}
	closeWriter(t, w)
	mustBeSound(t, dir)
}

// The policy is applied at the start too, without being asked.
func TestRetentionByItself(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w, refs := months(t, dir, c, 15)
	closeWriter(t, w)
	w = open(t, Options{Dir: dir, Now: c.now, Keep: 10 * day})
	w.bg.Wait()
	if exists(dir, refs[0].File) || !exists(dir, refs[14].File) {
		t.Error("the policy was not applied at the start")
	}
	closeWriter(t, w)
	mustBeSound(t, dir)
}
