package elastic

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"qingyuan/index"
)

// refusedFile holds what the server will not take, one deadLetter a line.
const refusedFile = "refused.jsonl"

// deadLetter is something the server will not take, and why.
type deadLetter struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Entry  entry     `json:"entry,omitzero"`
	Line   string    `json:"line,omitempty"` // a damaged line of the spool, as it is
}

// bury keeps a record that the server refused; without a folder for it the
// record is ErrInvalid.
func (s *Store) bury(r index.Record, o outcome) error {
	why := fmt.Sprintf("status %d %s: %s", o.status, o.kind, o.reason)
	if s.spool == nil {
		return fmt.Errorf("%w: the index server refuses record %s: %s", index.ErrInvalid, r.Post.ID, why)
	}
	if err := s.spool.refuse(deadLetter{At: s.now(), Reason: why, Entry: entry{Put: []index.Record{r}}}); err != nil {
		return err
	}
	s.opts.Logger.Error("the index server refuses a record; it is kept, see: qingyuan index redo", "record", r.Post.ID, "url", r.Post.URL, "reason", why, "folder", s.opts.Spool)
	return nil
}

// refuse keeps a dead letter, durably.
func (sp *spool) refuse(d deadLetter) error {
	line, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("%w: %w", index.ErrInvalid, err)
	}
	path := filepath.Join(sp.dir, refusedFile)
	for {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("keeping what the index server refuses: %w", err)
		}
		moved, err := sp.appendTo(f, path, append(line, '\n'))
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("keeping what the index server refuses: %w", err)
		}
		if !moved {
			sp.refused.Add(1)
			return syncDir(sp.dir)
		}
	}
}

// appendTo writes one line while no other process does; moved says that the file
// was taken away for a redo meanwhile.
func (sp *spool) appendTo(f *os.File, path string, line []byte) (moved bool, err error) {
	if err := lockFile(f, true); err != nil {
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	if current, err := os.Stat(path); err != nil || !os.SameFile(mine, current) {
		return true, nil
	}
	if _, err := f.Write(line); err != nil {
		return false, err
	}
	return false, f.Sync()
}

// refusedFiles lists the files of dead letters: the one that grows, and those
// of redos that did not end.
func (sp *spool) refusedFiles() ([]string, error) {
	names, err := filepath.Glob(filepath.Join(sp.dir, "redo-*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	if _, err := os.Stat(filepath.Join(sp.dir, refusedFile)); err == nil {
		names = append(names, filepath.Join(sp.dir, refusedFile))
	}
	return names, nil
}

func (sp *spool) refusedCount() int64 { return sp.refused.Load() }

func (sp *spool) countRefused() (int64, error) {
	names, err := sp.refusedFiles()
	var n int64
	for _, name := range names {
		err = errors.Join(err, eachLetter(name, func(deadLetter) error { n++; return nil }))
	}
	return n, err
}

// eachLetter reads a file of dead letters. A last line without end was not
// kept.
func eachLetter(name string, fn func(deadLetter) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var d deadLetter
		if err := json.Unmarshal(line, &d); err != nil {
			return fmt.Errorf("%s:%d: not a dead letter: %w", name, n, err)
		}
		if err := fn(d); err != nil {
			return err
		}
	}
}

// Refused is a record or deletion that the server would not take.
type Refused struct {
	At       time.Time // when it was refused
	RecordID string    // "" for a deletion
	URL      string
	Reason   string
}

// Refused lists what the server would not take, oldest first.
func (s *Store) Refused() ([]Refused, error) {
	if s.spool == nil {
		return nil, nil
	}
	names, err := s.spool.refusedFiles()
	var out []Refused
	for _, name := range names {
		err = errors.Join(err, eachLetter(name, func(d deadLetter) error {
			r := Refused{At: d.At, Reason: d.Reason}
			if len(d.Entry.Put) > 0 {
				r.RecordID, r.URL = d.Entry.Put[0].Post.ID, d.Entry.Put[0].Post.URL
			}
			out = append(out, r)
			return nil
		}))
	}
	return out, err
}

// Redo sends again what the server would not take: after a mapping or a limit
// was mended. It returns how many were taken now; the others stay. When it
// ends half-way, nothing is lost and the next one goes on.
func (s *Store) Redo(ctx context.Context) (taken int, err error) {
	if s.closed.Load() {
		return 0, index.ErrClosed
	}
	if s.spool == nil {
		return 0, nil
	}
	grown := filepath.Join(s.spool.dir, refusedFile)
	if _, err := os.Stat(grown); err == nil {
		if err := os.Rename(grown, filepath.Join(s.spool.dir, fmt.Sprintf("redo-%020d.jsonl", time.Now().UnixNano()))); err != nil {
			return 0, fmt.Errorf("sending again what was refused: %w", err)
		}
	}
	names, err := s.spool.refusedFiles()
	for _, name := range names {
		if err != nil || filepath.Base(name) == refusedFile {
			break
		}
		var n int
		n, err = s.redoFile(ctx, name)
		taken += n
	}
	if n, countErr := s.spool.countRefused(); countErr == nil {
		s.spool.refused.Store(n)
	}
	return taken, s.explain("sending again what was refused", err)
}

func (s *Store) redoFile(ctx context.Context, name string) (taken int, err error) {
	// Whoever still writes into it had it open before it was moved.
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := lockFile(f, false); err != nil {
		return 0, fmt.Errorf("another redo is under way: %w", err)
	}
	err = eachLetter(name, func(d deadLetter) error {
		before := s.spool.refused.Load()
		if d.Line != "" {
			return s.spool.refuse(d)
		}
		err := s.sendBatch(ctx, []entry{d.Entry})
		if err == nil && s.spool.refused.Load() == before {
			taken++
		}
		return err
	})
	if err != nil {
		return taken, err
	}
	return taken, os.Remove(name)
}
