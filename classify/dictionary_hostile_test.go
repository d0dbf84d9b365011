//go:build unix

package classify_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"qingyuan/classify"
	"qingyuan/dictionaries"
)

// hostileFolder is a copy of the built-in dictionaries.
func hostileFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.CopyFS(dir, dictionaries.FS); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantRefused(t *testing.T, dir, says string) {
	t.Helper()
	for what, load := range map[string]func(fs.FS) error{
		"load":        func(f fs.FS) error { _, err := classify.LoadDictionary(f); return err },
		"fingerprint": func(f fs.FS) error { _, err := classify.FolderFingerprint(f); return err },
	} {
		if what == "fingerprint" && strings.Contains(says, "range") {
			continue
		}
		if err := load(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want a word on %q", what, err, says)
		}
	}
}

// What is no number is in no range.
func TestNaNIsRefused(t *testing.T) {
	for _, line := range []string{"weight: .nan", "threshold: .nan"} {
		dir := hostileFolder(t)
		file := filepath.Join(dir, "cashout.yaml")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if strings.HasPrefix(line, "threshold") {
			text = strings.Replace(text, "\nseverity:", "\n"+line+"\nseverity:", 1)
		} else {
			i := strings.Index(text, "weight: ")
			end := i + strings.IndexAny(text[i:], ",}\n")
			text = text[:i] + line + text[end:]
		}
		if text == string(data) {
			t.Fatalf("no place for %s", line)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, dir, "range")
	}
}

// A pipe never answers and a device never ends; neither is opened.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := hostileFolder(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "zz.yaml"), 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	wantRefused(t, dir, "regular file")
	dir = hostileFolder(t)
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zz.yaml")); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, "regular file")
}
