package archive

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Head is the end of the chain of manifests.
type Head struct {
	Seq  int64  // number of the last event; 0 without any
	Hash string // SHA-256 of its line, hex: what to note elsewhere
	File string // WARC file it speaks of, base name
}

// CheckHead reads the signing key and the last manifest of an archive: that key
// and public key belong together, that every line of that manifest is signed
// with it and follows the one before, and that the file of the last event is
// there with the size that was sealed. It reads one manifest, not the archive:
// that is for Verify. It makes no key and changes nothing, and may run beside a
// Writer. A last line that is still being written is left out.
func CheckHead(dir string) (Head, error) {
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return Head{}, fmt.Errorf("the signing key %s is missing: bring it back from a backup", filepath.Join(dir, keyFile))
	}
	key, err := loadKey(dir)
	if err != nil {
		return Head{}, err
	}
	public, _, err := readPublic(dir)
	if err != nil {
		return Head{}, err
	}
	if !public.Equal(key.Public()) {
		return Head{}, &DamageError{File: publicFile, Problem: "not the public half of " + keyFile}
	}
	names, err := manifestNames(dir)
	if err != nil || len(names) == 0 {
		return Head{}, err
	}
	return lastManifest(dir, names[len(names)-1], public)
}

func lastManifest(dir, name string, key ed25519.PublicKey) (Head, error) {
	lines, _, err := readLines(filepath.Join(dir, manifestFolder, name))
	if err != nil {
		return Head{}, err
	}
	var head Head
	var last Event
	for i, line := range lines {
		if line[len(line)-1] != '\n' {
			break
		}
		e, err := parseEvent(line, key)
		if err == nil && head.Seq > 0 && (e.Seq != head.Seq+1 || e.Prev != head.Hash) {
			err = errors.New("it does not follow the line before")
		}
		if err != nil {
			return Head{}, &DamageError{File: manifestFolder + "/" + name, Problem: fmt.Sprintf("line %d: %v", i+1, err)}
		}
		head, last = Head{Seq: e.Seq, Hash: hexSum(line), File: e.File}, e
	}
	if last.Event != EventOpen && last.Event != EventSeal {
		return head, nil
	}
	info, err := os.Stat(filepath.Join(dir, warcFolder, last.File))
	if err != nil {
		return head, fmt.Errorf("the file of the last event: %w", err)
	}
	if last.Event == EventSeal && info.Size() != last.Size {
		return head, &DamageError{File: warcFolder + "/" + last.File, Problem: fmt.Sprintf("%d bytes, sealed with %d", info.Size(), last.Size)}
	}
	return head, nil
}
