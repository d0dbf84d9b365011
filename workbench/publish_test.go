package workbench

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/index/sqlite"
)

const demo = "# 表头\ncategory: demo\nname: {zh: 演示, en: Demo}\nseverity: low\nterms:\n  - {id: one, text: 停息挂账, weight: 2}  # 旧\n"

type fixture struct {
	*Bench
	folder, data string
	store        index.Store
}

func openBench(t *testing.T, folder, data string, store index.Store) *fixture {
	t.Helper()
	files := os.DirFS(folder)
	build := func(d *classify.Dictionary) (*classify.Classifier, error) {
		return classify.New(classify.Options{Dictionary: d})
	}
	b, err := Open(Options{Store: store, Files: files, Folder: folder, Data: data, Build: build, Now: func() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) },
		Current: func() *classify.Classifier { c, _ := classify.Load(files, nil); return c },
		Posts: func(context.Context, int) iter.Seq2[classify.Sample, error] {
			return func(func(classify.Sample, error) bool) {}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return &fixture{b, folder, data, store}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	folder := t.TempDir()
	put(t, folder, "demo.yaml", demo)
	put(t, folder, "classes.yaml", "classes:\n  - {id: deal, any: [代办]}\n")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: classify.Normalize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return openBench(t, folder, t.TempDir(), store)
}

func put(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (f *fixture) save(t *testing.T, user, weight string) string {
	t.Helper()
	if err := f.Save(user, Edit{Ref: Ref{KindTerm, "demo", "one"}, Values: Values{"id": {"one"}, "text": {"停息挂账"}, "weight": {weight}}}); err != nil {
		t.Fatal(err)
	}
	d, err := f.Draft(user)
	if err != nil {
		t.Fatal(err)
	}
	return d.Fingerprint()
}

// A process that dies while it publishes leaves a journal; the next start ends
// what it began, or touches nothing when somebody edited the files since.
func TestPublishingThatWasCutShortIsEnded(t *testing.T) {
	for _, c := range []struct{ name, now, want string }{
		{"nothing written yet", demo, strings.Replace(demo, "weight: 2", "weight: 3", 1)},
		{"all written", strings.Replace(demo, "weight: 2", "weight: 3", 1), strings.Replace(demo, "weight: 2", "weight: 3", 1)},
		{"edited since", strings.Replace(demo, "weight: 2", "weight: 1", 1), strings.Replace(demo, "weight: 2", "weight: 1", 1)},
	} {
		f := newFixture(t)
		before, err := f.Files()
		if err != nil {
			t.Fatal(err)
		}
		after := map[string][]byte{"classes.yaml": before["classes.yaml"], "demo.yaml": []byte(strings.Replace(demo, "weight: 2", "weight: 3", 1))}
		data, err := json.Marshal(journal{Before: before, After: after})
		if err != nil {
			t.Fatal(err)
		}
		put(t, f.data, journalFile, string(data))
		put(t, f.folder, "demo.yaml", c.now)
		openBench(t, f.folder, f.data, f.store)
		if got := f.read(t, "demo.yaml"); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
		if _, err := os.Stat(filepath.Join(f.data, journalFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the journal stays: %v", c.name, err)
		}
	}
}

func TestPublishKeepsLinksAndModes(t *testing.T) {
	f := newFixture(t)
	real := filepath.Join(t.TempDir(), "elsewhere.yaml")
	if err := os.WriteFile(real, []byte(demo), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(f.folder, "demo.yaml")
	if err := errors.Join(os.Remove(link), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Publish(t.Context(), "ming", "ming", "降权", f.save(t, "ming", "1.5")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if data, err := os.ReadFile(real); err != nil || !strings.Contains(string(data), "weight: 1.5") {
		t.Errorf("what it leads to is %q (%v)", data, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v", info.Mode())
	}
}

// A file that cannot be written takes nothing with it: those before it are put
// back, and the trail says so.
func TestPublishThatFailsIsUndone(t *testing.T) {
	f := newFixture(t)
	if err := f.Save("ming", Edit{Ref: Ref{Kind: KindClass, ID: "deal"}, Values: Values{"id": {"deal"}, "any": {"代办", "办理"}}}); err != nil {
		t.Fatal(err)
	}
	seen := f.save(t, "ming", "1.5")
	before, err := f.Files()
	if err != nil {
		t.Fatal(err)
	}
	d, err := f.Draft("ming")
	if err != nil {
		t.Fatal(err)
	}
	after, err := d.Files()
	if err != nil {
		t.Fatal(err)
	}
	row := index.AuditRow{Actor: "ming", Action: "dictionary_publish", From: "a", To: "b"}
	put(t, f.folder, "classes.yaml", string(after["classes.yaml"])) // written, then the next file failed
	put(t, f.data, journalFile, "{}")
	failed := errors.New("disk full")
	if err := f.undo(t.Context(), before, after, row, failed); !errors.Is(err, failed) {
		t.Error(err)
	}
	if f.read(t, "classes.yaml") != string(before["classes.yaml"]) || f.read(t, "demo.yaml") != demo {
		t.Error("half of it stays")
	}
	rows, err := f.store.Audit(t.Context(), "", 0, 1)
	if err != nil || len(rows) != 1 || rows[0].Action != "dictionary_failed" {
		t.Errorf("the trail holds %v (%v)", rows, err)
	}
	if _, err := f.Publish(t.Context(), "ming", "ming", "再试", seen); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTwoOperatorsDoNotOverwriteEachOther(t *testing.T) {
	f := newFixture(t)
	ming, bo := f.save(t, "ming", "1.5"), f.save(t, "bo", "1.1")
	if _, err := f.Publish(t.Context(), "ming", "ming", "降权", bo); !errors.Is(err, ErrConflict) {
		t.Errorf("published what was not looked at: %v", err)
	}
	if _, err := f.Publish(t.Context(), "ming", "ming", "降权", ming); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Publish(t.Context(), "bo", "bo", "降权", bo); !errors.Is(err, ErrConflict) {
		t.Errorf("published over it: %v", err)
	}
	if err := f.Rebase("bo", []int{0}); err != nil {
		t.Fatal(err)
	}
	d, err := f.Draft("bo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Publish(t.Context(), "bo", "bo", "再降", d.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(demo, "weight: 2}  #", "weight: 1.1} #", 1); f.read(t, "demo.yaml") != want {
		t.Errorf("the file is\n%s", f.read(t, "demo.yaml"))
	}
	if list, err := f.Versions(0, 10); err != nil || len(list) != 3 || list[0].Author != "bo" || list[2].By != ByHand {
		t.Errorf("%d versions, %v", len(list), err)
	}
}
