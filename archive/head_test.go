package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCheckHead(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	if h, err := CheckHead(dir); err != nil || h.Seq != 0 {
		t.Errorf("without an event: %+v, %v", h, err)
	}
	appendPage(t, w, page(1, c.now()))
	if h, err := CheckHead(dir); err != nil || h.Seq != 1 {
		t.Errorf("beside a writer: %+v, %v", h, err)
	}
	closeWriter(t, w)
	head, err := CheckHead(dir)
	if r := verify(t, dir); err != nil || head.Seq != r.Events || head.Hash != r.Head {
		t.Errorf("head %+v, %v; verify says %d %s", head, err, r.Events, r.Head)
	}
	names, err := manifestNames(dir)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	manifest := filepath.Join(dir, manifestFolder, names[0])
	for path, damage := range map[string]func([]byte) []byte{
		manifest:                       func(b []byte) []byte { return bytes.Replace(b, []byte(`"records":`), []byte(`"records":1`), 1) },
		warcPath(dir, head.File):       func(b []byte) []byte { return b[:len(b)-1] },
		filepath.Join(dir, keyFile):    func([]byte) []byte { return []byte("no key") },
		filepath.Join(dir, publicFile): func(b []byte) []byte { return bytes.ToLower(b) },
	} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err = CheckHead(dir); err == nil {
			t.Errorf("%s is damaged and passes", path)
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := CheckHead(dir); err == nil {
		t.Error("an archive without its key passes")
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); err == nil {
		t.Error("a key was made")
	}
}
