package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childFolder makes the test binary a writer that is killed: it appends to this
// folder without end and prints each record that Append has acknowledged.
const childFolder = "QINGYUAN_TEST_ARCHIVE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		appendForEver(dir)
	}
	os.Exit(m.Run())
}

func appendForEver(dir string) {
	w, err := Open(Options{Dir: dir, MaxFile: 150_000})
	if err != nil {
		fmt.Println("ERROR", err)
		os.Exit(1)
	}
	var print sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewSource(time.Now().UnixNano() + int64(g)))
			for {
				x := page(r.Intn(500), time.Now())
				ref, err := w.Append(context.Background(), x)
				if err != nil {
					fmt.Println("ERROR", err)
					os.Exit(1)
				}
				print.Lock()
				fmt.Println("KEPT", ref.RecordID, ref.SHA256)
				print.Unlock()
			}
		})
	}
	wg.Wait()
}

// Killed at any moment: what was acknowledged is there, byte for byte, and the
// archive is sound after the next start.
func TestKill(t *testing.T) {
	dir, r := t.TempDir(), rand.New(rand.NewSource(5))
	kept := map[string]string{}
	const kills = 30
	for n := range kills {
		// The first kills come while the folder is being made.
		for id, sum := range killedChild(t, dir, time.Duration(r.Intn(40+n*4))*time.Millisecond) {
			kept[id] = sum
		}
		if n%5 == 4 {
			closeWriter(t, open(t, Options{Dir: dir, MaxFile: 150_000}))
			mustBeSound(t, dir)
		}
	}
	closeWriter(t, open(t, Options{Dir: dir}))
	report := mustBeSound(t, dir)
	a, _ := Read(dir)
	got := map[string]string{}
	err := a.Captures(context.Background(), time.Time{}, func(c Capture) error { got[c.Entry.ID] = hexSum(c.Body); return nil }, func(err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
	for id, sum := range kept {
		if got[id] != sum {
			t.Errorf("the acknowledged record %s is lost: its body has hash %q, kept was %s", id, got[id], sum)
		}
	}
	torn, _ := os.ReadDir(filepath.Join(dir, tornFolder))
	t.Logf("%d kills, %d acknowledged records, all there; %d records in %d files; %d pieces in torn", kills, len(kept), report.Records, report.Files, len(torn))
	if len(kept) < 100 {
		t.Errorf("only %d records were acknowledged: the test kills too early to tell anything", len(kept))
	}
}

// killedChild runs a writer and kills it some time after it has begun.
func killedChild(t *testing.T, dir string, after time.Duration) map[string]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{}
	timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	begun := false
	for lines.Scan() {
		if !begun {
			begun = true
			time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		parts := strings.Fields(lines.Text())
		switch {
		case parts[0] == "ERROR":
			t.Error(lines.Text())
		case len(parts) == 3 && len(parts[2]) == 64:
			kept[parts[1]] = parts[2]
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the writer ended by itself: %v", err)
	}
	return kept
}

// Whatever a crash leaves behind the last whole record is moved aside, and what
// stands before it is kept.
func TestTornEnd(t *testing.T) {
	for cutAt := range 12 {
		dir, c := t.TempDir(), newClock()
		w := open(t, Options{Dir: dir, Now: c.now})
		var refs []Ref
		for n := range 3 {
			refs = append(refs, appendPage(t, w, page(n, c.now())))
		}
		// As a crash would: the lock goes, nothing is sealed.
		w.lock.close()
		a, _ := Read(dir)
		files, _ := a.Files()
		entries := entriesOf(t, dir, files[0])
		last := entries[len(entries)-1]
		size := last.Offset + int64(float64(last.Length)*float64(cutAt)/12)
		if cutAt%2 == 0 {
			os.Truncate(warcPath(dir, files[0]), size)
		} else { // power was lost: the end is there, but as zeros
			f, _ := os.OpenFile(warcPath(dir, files[0]), os.O_RDWR, 0)
			f.WriteAt(make([]byte, last.Offset+last.Length-size), size)
			f.Close()
		}
		if cutAt%3 == 0 {
			os.Truncate(indexPath(dir, files[0]), int64(100*cutAt))
		}
		w2 := open(t, Options{Dir: dir, Now: c.now})
		ref := appendPage(t, w2, page(9, c.now()))
		closeWriter(t, w2)
		r := mustBeSound(t, dir)
		if r.Files != 2 || r.Records != len(entries)-1+4 {
			t.Errorf("cut at %d of 12: %+v, want the %d whole records of the first file and four new ones", cutAt, r, len(entries)-1)
		}
		for n, ref := range append(refs, ref) {
			if got := capture(t, dir, ref.RecordID); hexSum(got.Body) != ref.SHA256 {
				t.Errorf("cut at %d of 12: page %d is another", cutAt, n)
			}
		}
	}
}

// Damage within a file that was not sealed is no torn end: nothing is cut off.
func TestDamageBeforeTheEnd(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	var refs []Ref
	for n := range 6 {
		refs = append(refs, appendPage(t, w, page(n, c.now())))
	}
	w.lock.close()
	a, _ := Read(dir)
	files, _ := a.Files()
	entries := entriesOf(t, dir, files[0])
	data, _ := os.ReadFile(warcPath(dir, files[0]))
	victim := slices.IndexFunc(entries, func(e Entry) bool { return e.ID == refs[1].RecordID })
	data[entries[victim].Offset+40] ^= 1
	os.WriteFile(warcPath(dir, files[0]), data, 0o600)
	closeWriter(t, open(t, Options{Dir: dir, Now: c.now}))
	r := verify(t, dir)
	if len(r.Problems) == 0 {
		t.Error("the damage is not told any more after a start")
	}
	for n, ref := range refs {
		if n == 1 {
			continue
		}
		if got := capture(t, dir, ref.RecordID); hexSum(got.Body) != ref.SHA256 {
			t.Errorf("page %d is another", n)
		}
	}
}

// A full disk: a clear error, nothing before it is touched, and it goes on when
// there is room again.
func TestDiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	os.Mkdir(dir, 0o700)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be mounted here: %v %s", err, out)
	}
	defer exec.Command("umount", "-l", dir).Run()
	home := filepath.Join(dir, "archive")
	w := open(t, Options{Dir: home, MaxFile: 100_000, Dedupe: -1})
	var refs []Ref
	var full error
	n := 0
	for ; full == nil && n < 2000; n++ {
		ref, err := w.Append(context.Background(), page(n, time.Now()))
		if full = err; err == nil {
			refs = append(refs, ref)
		}
	}
	if !errors.Is(full, syscall.ENOSPC) {
		t.Fatalf("after %d pages: %v, want no space left", n, full)
	}
	for range 20 { // and it stays a clear error
		if _, err := w.Append(context.Background(), page(n+1, time.Now())); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	for _, p := range verify(t, home).Problems {
		t.Errorf("while the disk is full: %s", p)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=4m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for range 50 {
		n++
		refs = append(refs, appendPage(t, w, page(n, time.Now())))
	}
	closeWriter(t, w)
	mustBeSound(t, home)
	for n, ref := range refs {
		if got := capture(t, home, ref.RecordID); hexSum(got.Body) != ref.SHA256 {
			t.Errorf("page %d is another", n)
		}
	}
	t.Logf("%d pages, of which the disk took %d before it was full", len(refs), len(refs)-50)
}

// A folder that may not be written into is a clear error.
func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := Open(Options{Dir: filepath.Join(file, "archive")}); err == nil || !strings.Contains(err.Error(), "archive folder") {
		t.Errorf("error = %v", err)
	}
}
