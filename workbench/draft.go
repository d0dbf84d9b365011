package workbench

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"qingyuan/classify"
)

const draftFolder = "drafts"

// maxEdits bounds a draft.
const maxEdits = 500

// Draft is what one operator has changed and not yet published.
type Draft struct {
	User      string            `json:"user"`
	Base      map[string][]byte `json:"base"` // the files it began with
	Edits     []Edit            `json:"edits"`
	Submitted time.Time         `json:"submitted,omitzero"` // for somebody else to approve; zero: not yet
	Note      string            `json:"note,omitempty"`     // as submitted
	Updated   time.Time         `json:"updated"`
}

// Fingerprint is that of what publishing would write: who approves has seen it.
func (d Draft) Fingerprint() string {
	files, err := d.Files()
	if err != nil {
		return ""
	}
	return classify.FilesFingerprint(files)
}

// Files are the dictionary files with the edits made.
func (d Draft) Files() (map[string][]byte, error) {
	files := d.Base
	for _, e := range d.Edits {
		var err error
		if files, err = Apply(files, e); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Draft returns a user's draft; one without edits, over the files of now, when
// he has none.
func (b *Bench) Draft(user string) (Draft, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.draft(user)
}

func (b *Bench) draft(user string) (Draft, error) {
	var d Draft
	if !b.ReadOnly() {
		err := readJSON(b.draftFile(user), &d)
		if err == nil && len(d.Edits) > 0 {
			return d, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
	}
	files, err := b.Files()
	return Draft{User: user, Base: files}, err
}

func (b *Bench) draftFile(user string) string {
	return filepath.Join(b.opts.Data, draftFolder, userFile(user))
}

// Submitted lists the drafts of all that wait for approval.
func (b *Bench) Submitted() ([]Draft, error) {
	if b.ReadOnly() {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	names, err := filepath.Glob(filepath.Join(b.opts.Data, draftFolder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing drafts: %w", err)
	}
	var out []Draft
	for _, name := range names {
		var d Draft
		if err := readJSON(name, &d); err != nil {
			b.log.Warn("leaving a draft out", "error", err)
			continue
		}
		if !d.Submitted.IsZero() {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(x, y Draft) int {
		return cmp.Or(x.Submitted.Compare(y.Submitted), cmp.Compare(x.User, y.User))
	})
	return out, nil
}

// change changes a user's draft and keeps it; a draft without edits is removed.
func (b *Bench) change(user string, fn func(*Draft) error) error {
	if b.ReadOnly() {
		return ErrReadOnly
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.draft(user)
	if err != nil {
		return err
	}
	if err := fn(&d); err != nil {
		return err
	}
	if len(d.Edits) == 0 {
		return b.dropDraft(user)
	}
	d.User, d.Updated = user, b.now()
	return writeJSON(b.draftFile(user), d)
}

func (b *Bench) dropDraft(user string) error {
	if err := os.Remove(b.draftFile(user)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a draft: %w", err)
	}
	return nil
}

// Save puts an edit, whose Ref is of the draft as it stands, into the draft. A
// second edit of an entry takes the place of the first.
func (b *Bench) Save(user string, e Edit) error {
	return b.change(user, func(d *Draft) error {
		d.Submitted, d.Note = time.Time{}, "" // what was submitted is no more
		if i := slices.IndexFunc(d.Edits, func(x Edit) bool { return !e.New && x.Values != nil && x.Result() == e.Ref }); i >= 0 {
			old := d.Edits[i]
			e.Ref, e.New = old.Ref, old.New
			if e.Values == nil && old.New {
				d.Edits = slices.Delete(d.Edits, i, i+1)
				return d.check()
			}
			d.Edits[i] = e
		} else {
			d.Edits = append(d.Edits, e)
		}
		if len(d.Edits) > maxEdits {
			return fmt.Errorf("%w: publish first; a draft holds at most %d edits", ErrInvalid, maxEdits)
		}
		return d.check()
	})
}

// check finds edits that no longer go together.
func (d *Draft) check() error {
	_, err := d.Files()
	return err
}

// Remove takes the i-th edit out of a draft.
func (b *Bench) Remove(user string, i int) error {
	return b.change(user, func(d *Draft) error {
		if i < 0 || i >= len(d.Edits) {
			return ErrNoDraft
		}
		d.Submitted, d.Note = time.Time{}, ""
		d.Edits = slices.Delete(d.Edits, i, i+1)
		return d.check()
	})
}

// Discard throws a draft away.
func (b *Bench) Discard(user string) error {
	return b.change(user, func(d *Draft) error { d.Edits = nil; return nil })
}

// Submit asks for somebody else's approval.
func (b *Bench) Submit(user, note string) error {
	return b.change(user, func(d *Draft) error {
		if len(d.Edits) == 0 {
			return ErrNoDraft
		}
		if note == "" {
			return ErrNote
		}
		files, err := d.Files()
		if err != nil {
			return err
		}
		if _, err := b.Build(files); err != nil {
			return err
		}
		d.Submitted, d.Note = b.now(), note
		return nil
	})
}

// Return gives a submitted draft back to its author.
func (b *Bench) Return(author string) error {
	return b.change(author, func(d *Draft) error {
		if d.Submitted.IsZero() {
			return ErrNoDraft
		}
		d.Submitted = time.Time{}
		return nil
	})
}

// Conflict is what happened to the files since a draft began.
type Conflict struct {
	Diff  classify.DictionaryDiff // from what the draft began with to the files of now
	Edits []int                   // edits of the draft whose entry was changed in the files, too
	// Problem says why the files of now cannot be compared; empty: they can.
	Problem string
}

// Conflict tells what changed in the files since the draft began; nil: nothing.
func (b *Bench) Conflict(d Draft) (*Conflict, error) {
	files, err := b.Files()
	if err != nil {
		return nil, err
	}
	if classify.FilesFingerprint(files) == classify.FilesFingerprint(d.Base) {
		return nil, nil
	}
	c := &Conflict{Edits: d.collisions(files)}
	was, err := classify.LoadDictionaryFiles(d.Base)
	if err == nil {
		var is *classify.Dictionary
		if is, err = classify.LoadDictionaryFiles(files); err == nil {
			c.Diff = classify.Diff(was, is)
		}
	}
	if err != nil {
		c.Problem = err.Error()
	}
	return c, nil
}

// collisions are the edits whose entry is not as it was when the draft began.
func (d Draft) collisions(files map[string][]byte) []int {
	was, is := Entries(d.Base), Entries(files)
	var out []int
	for i, e := range d.Edits {
		ref := e.Ref
		if e.New {
			ref = e.Result()
		}
		old, had := find(was, ref)
		now, has := find(is, ref)
		if had != has || !old.Values.equal(now.Values) {
			out = append(out, i)
		}
	}
	return out
}

// Rebase puts a draft over the files as they are now. Of the edits whose entry
// was changed in the files, too, only those in keep stay.
func (b *Bench) Rebase(user string, keep []int) error {
	return b.change(user, func(d *Draft) error {
		files, err := b.Files()
		if err != nil {
			return err
		}
		collide := d.collisions(files)
		entries := Entries(files)
		var edits []Edit
		for i, e := range d.Edits {
			if slices.Contains(collide, i) {
				if !slices.Contains(keep, i) {
					continue
				}
				ref := e.Ref
				if e.New {
					ref = e.Result()
				}
				_, has := find(entries, ref)
				if !has && e.Values == nil {
					continue // both removed it
				}
				e.New = !has
				e.Ref = ref
			}
			edits = append(edits, e)
		}
		d.Base, d.Edits, d.Submitted, d.Note = files, edits, time.Time{}, ""
		return d.check()
	})
}
