package classify

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/post"
)

// smallDictionary is a category whose one term has the weight given.
func smallDictionary(id, term, weight string) string {
	return "category: " + id + "\nname: {zh: 试, en: Try}\nseverity: low\nterms:\n  - {text: " + term + ", weight: " + weight + "}\n"
}

// liveFolder is a folder of one category and a Live over it that is only moved
// by look and Reload.
func liveFolder(t *testing.T) (dir string, l *Live, log *bytes.Buffer) {
	t.Helper()
	dir, log = t.TempDir(), &bytes.Buffer{}
	writeFile(t, filepath.Join(dir, "cashout.yaml"), smallDictionary("cashout", "额度提现", "1"))
	l, err := NewLive(LiveOptions{
		Load:        func() (*Classifier, error) { return Load(os.DirFS(dir), nil) },
		Fingerprint: func() (string, error) { return FolderFingerprint(os.DirFS(dir)) },
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
		Interval:    time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, l, log
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantVersion checks that verdicts come from the dictionary in the folder, or
// still from another.
func wantVersion(t *testing.T, l *Live, dir string, same bool) {
	t.Helper()
	v, err := l.Classify(post.Post{Text: "额度提现"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := LoadDictionary(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if (v.Dictionary == d.Version) != same || l.Status().Dictionary != v.Dictionary {
		t.Errorf("verdict by %s, status says %s, the folder holds %s; same should be %v", v.Dictionary, l.Status().Dictionary, d.Version, same)
	}
}

func TestLiveTakesUpASettledEdit(t *testing.T) {
	dir, l, _ := liveFolder(t)
	file := filepath.Join(dir, "cashout.yaml")
	writeFile(t, file, smallDictionary("cashout", "额度提现", "2"))
	l.look()
	wantVersion(t, l, dir, false) // it may still be written to
	l.look()
	wantVersion(t, l, dir, true)

	// As editors write: a new file is renamed over the old one.
	writeFile(t, file+"~", smallDictionary("cashout", "额度提现", "3"))
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
	l.look()
	l.look()
	wantVersion(t, l, dir, true)
	if w := l.Classifier().Dictionary().Categories[0].Terms[0].Weight; w != 3 {
		t.Errorf("the weight in use is %g, want 3", w)
	}
}

func TestLiveWaitsForHalfWrittenFiles(t *testing.T) {
	dir, l, log := liveFolder(t)
	file := filepath.Join(dir, "cashout.yaml")
	text := smallDictionary("cashout", "额度提现", "2")
	for _, n := range []int{0, 30, 60, len(text) - 5} {
		writeFile(t, file, text[:n])
		l.look()
	}
	writeFile(t, file, text)
	l.look()
	if l.Status().Problems != nil || log.Len() > 0 {
		t.Errorf("a file was read while it was written: %v\n%s", l.Status().Problems, log)
	}
	l.look()
	wantVersion(t, l, dir, true)
}

func TestLiveRefusesABadEdit(t *testing.T) {
	dir, l, log := liveFolder(t)
	file := filepath.Join(dir, "cashout.yaml")
	good := l.Status().Dictionary
	bad := strings.Replace(smallDictionary("cashout", "额度提现", "99"), "severity: low", "severity: mild", 1)
	writeFile(t, file, bad)
	l.look()
	l.look()
	s := l.Status()
	if s.Dictionary != good || l.Classifier().Dictionary().Version != good {
		t.Errorf("a bad edit is in use: %s, was %s", s.Dictionary, good)
	}
	for _, want := range []string{"cashout.yaml:3: ", "cashout.yaml:5: ", "mild", "99"} {
		if !strings.Contains(strings.Join(s.Problems, "\n"), want) || !strings.Contains(log.String(), want) {
			t.Errorf("%q is not told of; status %q, log %s", want, s.Problems, log)
		}
	}
	// Told once, not at every look.
	before := log.Len()
	l.look()
	if log.Len() != before {
		t.Errorf("the same mistake is told again: %s", log.String()[before:])
	}
	writeFile(t, file, smallDictionary("cashout", "额度提现", "1"))
	l.look()
	l.look()
	if s := l.Status(); s.Problems != nil || s.Dictionary != good || !s.RefusedAt.IsZero() {
		t.Errorf("after the edit was taken back: %+v, want %s and no problems", s, good)
	}
}

func TestLiveRefusesFailingExamples(t *testing.T) {
	dir, l, _ := liveFolder(t)
	writeFile(t, filepath.Join(dir, "cashout.yaml"), smallDictionary("cashout", "额度提现", "1")+"unflagged: [今天天气好]\nflagged: [今天下雨了]\n")
	if l.Reload() {
		t.Error("an edit whose example fails is in use")
	}
	if p := strings.Join(l.Status().Problems, "\n"); !strings.Contains(p, "cashout.yaml:7: ") || !strings.Contains(p, "今天下雨了") {
		t.Errorf("problems %q do not name the example's line", p)
	}
}

func TestLiveFollowsFilesThatComeAndGo(t *testing.T) {
	dir, l, _ := liveFolder(t)
	second := filepath.Join(dir, "debt_evasion.yaml")
	writeFile(t, second, smallDictionary("debt_evasion", "闭店跑路", "1"))
	l.look()
	l.look()
	if n := len(l.Classifier().Dictionary().Categories); n != 2 {
		t.Fatalf("%d categories in use after a file was added, want 2", n)
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	l.look()
	l.look()
	wantVersion(t, l, dir, true)
	if n := len(l.Classifier().Dictionary().Categories); n != 1 {
		t.Errorf("%d categories in use after a file was removed, want 1", n)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.look()
	l.look()
	if s := l.Status(); len(s.Problems) != 1 || len(l.Classifier().Dictionary().Categories) != 1 {
		t.Errorf("after the folder was removed: %+v, want the old dictionary and one problem", s)
	}
}

// An edit in the middle of loading must give neither a mixture nor a mistake.
func TestLiveNoticesAnEditWhileLoading(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cashout.yaml")
	writeFile(t, file, smallDictionary("cashout", "额度提现", "1"))
	during := func() {}
	l, err := NewLive(LiveOptions{
		Load: func() (*Classifier, error) {
			c, err := Load(os.DirFS(dir), nil)
			during()
			return c, err
		},
		Fingerprint: func() (string, error) { return FolderFingerprint(os.DirFS(dir)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, "category: [") // half of something
	during = func() { writeFile(t, file, smallDictionary("cashout", "额度提现", "2")) }
	if l.Reload() || l.Status().Problems != nil {
		t.Errorf("what was read while it changed is used or refused: %v", l.Status().Problems)
	}
	during = func() {}
	l.look()
	wantVersion(t, l, dir, true)
}

func TestFolderFingerprintSeesContentsOnly(t *testing.T) {
	dir := t.TempDir()
	hash := func() string {
		t.Helper()
		f, err := FolderFingerprint(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	file := filepath.Join(dir, "a.yaml")
	writeFile(t, file, "x: 1")
	first := hash()
	writeFile(t, filepath.Join(dir, ".a.yaml.swp"), "an editor's own file")
	writeFile(t, filepath.Join(dir, "model.qym"), "no dictionary")
	if err := os.Chtimes(file, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if hash() != first {
		t.Error("a touch or a foreign file counts as an edit")
	}
	writeFile(t, file, "x: 2")
	if hash() == first {
		t.Error("an edit of the same length is not seen")
	}
}

// Posts are judged without a pause while edits come in; run with -race.
func TestLiveIsExchangedUnderUse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cashout.yaml")
	writeFile(t, file, smallDictionary("cashout", "额度提现", "1"))
	changed := make(chan string)
	l, err := NewLive(LiveOptions{
		Load:        func() (*Classifier, error) { return Load(os.DirFS(dir), nil) },
		Fingerprint: func() (string, error) { return FolderFingerprint(os.DirFS(dir)) },
		Interval:    time.Millisecond,
		Changed:     func(c *Classifier) { changed <- c.Dictionary().Version },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	versions := sync.Map{}
	versions.Store(l.Status().Dictionary, true)
	wg.Go(func() { l.Watch(ctx, nil) })
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				v, err := l.Classify(post.Post{Text: "花呗额度提现，加微信 abc12345"})
				if err != nil || len(v.Categories) == 0 {
					t.Errorf("verdict %+v, %v", v, err)
					return
				}
				versions.Store(v.Dictionary, true)
			}
		})
	}
	want := map[any]bool{l.Status().Dictionary: true}
	for _, weight := range []string{"2", "3", "4"} {
		writeFile(t, file+"~", smallDictionary("cashout", "额度提现", weight))
		if err := os.Rename(file+"~", file); err != nil {
			t.Fatal(err)
		}
		version := <-changed
		if got := l.Classifier().Dictionary().Version; got != version {
			t.Errorf("in use is %s, told of was %s", got, version)
		}
		want[version] = true
	}
	versions.Range(func(v, _ any) bool {
		if !want[v] {
			t.Errorf("a verdict names the dictionary %v, which never was", v)
		}
		return true
	})
}
