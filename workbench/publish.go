package workbench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
)

const (
	versionFolder = "versions"
	journalFile   = "publishing.json"
)

// The ways a version came about.
const (
	ByPublish  = "publish"
	ByRollback = "rollback"
	ByHand     = "hand" // found in the folder: edited by hand, or there from the start
)

// Version is one state of the dictionary files.
type Version struct {
	Number     int               `json:"number"`     // from 1
	Dictionary string            `json:"dictionary"` // the version that verdicts name
	By         string            `json:"by"`
	Author     string            `json:"author,omitempty"`
	ApprovedBy string            `json:"approved_by,omitempty"`
	Note       string            `json:"note,omitempty"`
	Of         int               `json:"of,omitempty"` // the version that was rolled back to
	At         time.Time         `json:"at"`
	Files      map[string][]byte `json:"files"`
}

// journal is what a publishing is about to write.
type journal struct {
	Before map[string][]byte `json:"before"`
	After  map[string][]byte `json:"after"`
}

// Versions lists at most n versions, newest first, from the one before number
// on; 0: from the newest.
func (b *Bench) Versions(before, n int) ([]Version, error) {
	if b.ReadOnly() {
		return nil, nil
	}
	names, err := b.versionNames()
	if err != nil {
		return nil, err
	}
	var out []Version
	for i := len(names) - 1; i >= 0 && len(out) < n; i-- {
		if before > 0 && i+1 >= before {
			continue
		}
		v, err := b.Version(i + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// versionNames are the files of versions; the i-th is that of number i+1.
func (b *Bench) versionNames() ([]string, error) {
	names, err := filepath.Glob(filepath.Join(b.opts.Data, versionFolder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing versions: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// Version returns one version, or ErrNoVersion.
func (b *Bench) Version(number int) (Version, error) {
	var v Version
	if b.ReadOnly() || number < 1 {
		return v, ErrNoVersion
	}
	err := readJSON(b.versionFile(number), &v)
	if errors.Is(err, fs.ErrNotExist) {
		return v, ErrNoVersion
	}
	return v, err
}

func (b *Bench) versionFile(number int) string {
	return filepath.Join(b.opts.Data, versionFolder, fmt.Sprintf("%08d.json", number))
}

// Publish writes a user's draft to the dictionaries folder as a new version.
// seen is the Fingerprint of the draft that whoever asks has looked at; approver
// is he when he is not the author. A mistake, also of an example, is returned
// and nothing is written.
func (b *Bench) Publish(ctx context.Context, author, approver, note, seen string) (Version, error) {
	if b.ReadOnly() {
		return Version{}, ErrReadOnly
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.draft(author)
	switch {
	case err != nil:
		return Version{}, err
	case len(d.Edits) == 0:
		return Version{}, ErrNoDraft
	case approver == author:
		approver = ""
	}
	if approver != "" && d.Submitted.IsZero() {
		return Version{}, ErrNoDraft // taken back
	}
	if b.opts.FourEyes && approver == "" {
		return Version{}, ErrFourEyes
	}
	if note == "" {
		note = d.Note
	}
	if strings.TrimSpace(note) == "" {
		return Version{}, ErrNote
	}
	if d.Fingerprint() != seen {
		return Version{}, ErrConflict
	}
	files, err := d.Files()
	if err != nil {
		return Version{}, err
	}
	v := Version{By: ByPublish, Author: author, ApprovedBy: approver, Note: note}
	if v, err = b.write(ctx, d.Base, files, v); err != nil {
		return v, err
	}
	return v, b.dropDraft(author)
}

// Rollback writes the files of an older version again, as a new one. seen is
// the fingerprint of the files that the operator has looked at. It needs no
// approval: what is in the way of it is a bad state.
func (b *Bench) Rollback(ctx context.Context, user string, number int, note, seen string) (Version, error) {
	if b.ReadOnly() {
		return Version{}, ErrReadOnly
	}
	if strings.TrimSpace(note) == "" {
		return Version{}, ErrNote
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, err := b.Version(number)
	if err != nil {
		return Version{}, err
	}
	files, err := b.Files()
	if err != nil {
		return Version{}, err
	}
	if classify.FilesFingerprint(files) != seen {
		return Version{}, ErrConflict
	}
	return b.write(ctx, files, old.Files, Version{By: ByRollback, Author: user, Note: note, Of: number})
}

// write turns the folder from before to after: checked, recorded and audited
// first, then file by file, each at once.
func (b *Bench) write(ctx context.Context, before, after map[string][]byte, v Version) (Version, error) {
	c, err := b.Build(after)
	if err != nil {
		return v, err
	}
	now, err := b.Files()
	if err != nil {
		return v, err
	}
	if !maps.EqualFunc(now, before, bytes.Equal) {
		return v, ErrConflict
	}
	number, err := b.keepFound(now)
	if err != nil {
		return v, err
	}
	v.Number, v.Dictionary, v.At, v.Files = number+1, c.Dictionary().Version, b.now(), after
	row := index.AuditRow{Actor: v.Author, Action: "dictionary_" + v.By, From: classify.FilesFingerprint(now)[:12], To: v.Dictionary, Note: v.Note}
	if v.ApprovedBy != "" {
		row.Actor, row.Note = v.ApprovedBy, v.Author+": "+v.Note
	}
	if err := b.opts.Store.AppendAudit(ctx, row); err != nil {
		return v, fmt.Errorf("noting it in the audit trail: %w", err)
	}
	if err := writeJSON(b.journal(), journal{Before: now, After: after}); err != nil {
		return v, err
	}
	if err := b.replace(now, after); err != nil {
		return v, b.undo(ctx, now, after, row, err)
	}
	if err := writeJSON(b.versionFile(v.Number), v); err != nil {
		return v, err
	}
	if err := os.Remove(b.journal()); err != nil {
		return v, fmt.Errorf("ending the journal: %w", err)
	}
	b.log.Info("dictionaries published", "version", v.Number, "dictionary", v.Dictionary, "by", v.By, "author", v.Author, "approved_by", v.ApprovedBy)
	if b.opts.Reload != nil {
		b.opts.Reload()
	}
	return v, nil
}

// undo takes back what was written before a publishing failed, and says in the
// trail that it did. Files that an editor changed meanwhile are left alone.
func (b *Bench) undo(ctx context.Context, before, after map[string][]byte, row index.AuditRow, failed error) error {
	now, err := b.Files()
	if err == nil {
		back := maps.Clone(now)
		for _, name := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
			data, written := after[name]
			if is, there := now[name]; there != written || !bytes.Equal(is, data) {
				continue
			}
			if old, had := before[name]; had {
				back[name] = old
			} else {
				delete(back, name)
			}
		}
		err = b.replace(now, back)
	}
	if err == nil {
		err = os.Remove(b.journal()) // else the next start ends or reports it
	}
	row.Action, row.From, row.To = "dictionary_failed", row.To, row.From
	return errors.Join(failed, err, b.opts.Store.AppendAudit(context.WithoutCancel(ctx), row))
}

func (b *Bench) journal() string { return filepath.Join(b.opts.Data, journalFile) }

// keepFound keeps the files of now as a version when the newest one is not
// they, and returns the number of the newest.
func (b *Bench) keepFound(files map[string][]byte) (int, error) {
	names, err := b.versionNames()
	if err != nil {
		return 0, err
	}
	if n := len(names); n > 0 {
		last, err := b.Version(n)
		if err != nil {
			return 0, err
		}
		if maps.EqualFunc(last.Files, files, bytes.Equal) {
			return n, nil
		}
	}
	v := Version{Number: len(names) + 1, Dictionary: classify.FilesFingerprint(files)[:12], By: ByHand, At: b.now(), Files: files}
	return v.Number, writeJSON(b.versionFile(v.Number), v)
}

// replace writes and removes the files that differ. Each is looked at again
// right before: an editor may have been faster.
func (b *Bench) replace(before, after map[string][]byte) error {
	names := slices.Sorted(maps.Keys(after))
	for name := range before {
		if _, stays := after[name]; !stays {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if name != filepath.Base(name) || !strings.HasSuffix(name, ".yaml") {
			return fmt.Errorf("%w: %q is no name of a dictionary file", ErrInvalid, name)
		}
		data, stays := after[name]
		old, had := before[name]
		if stays && had && bytes.Equal(old, data) {
			continue
		}
		if err := b.replaceFile(filepath.Join(b.opts.Folder, name), old, had, data, stays); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) replaceFile(file string, old []byte, had bool, data []byte, stays bool) error {
	mode := fs.FileMode(0o644)
	if had {
		target, err := filepath.EvalSymlinks(file) // a link stays one
		if err != nil {
			return fmt.Errorf("finding %s: %w", file, err)
		}
		now, err := os.ReadFile(target)
		if err != nil {
			return fmt.Errorf("reading %s: %w", target, err)
		}
		if !bytes.Equal(now, old) {
			return ErrConflict
		}
		if info, err := os.Stat(target); err == nil {
			mode = info.Mode().Perm()
		}
		if file = target; !stays {
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("removing %s: %w", file, err)
			}
			return nil
		}
	}
	return writeFile(file, data, mode)
}

// recover ends a publishing that was cut short. Files are either as before or
// as after; what is neither was edited since, and then nothing is touched.
func (b *Bench) recover() error {
	var j journal
	err := readJSON(b.journal(), &j)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = b.redo(j)
	}
	if err != nil {
		b.log.Error("a publishing of dictionaries was cut short and cannot be ended; compare the folder with its versions", "error", err)
	}
	if err := os.Remove(b.journal()); err != nil {
		return fmt.Errorf("ending the journal: %w", err)
	}
	return nil
}

func (b *Bench) redo(j journal) error {
	now, err := b.Files()
	if err != nil {
		return err
	}
	for name, data := range now {
		if !bytes.Equal(data, j.Before[name]) && !bytes.Equal(data, j.After[name]) {
			return fmt.Errorf("%w: %s", ErrConflict, name)
		}
	}
	if err := b.replace(now, j.After); err != nil {
		return err
	}
	_, err = b.keepFound(j.After)
	return err
}
