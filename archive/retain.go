package archive

import (
	"bufio"
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
)

// Kinds of holds.
const (
	HoldRecord = "record" // one record, and the file it stands in
	HoldURL    = "url"    // every record of a URL
	HoldPost   = "post"   // the records a post was extracted from
)

// Hold keeps something from being dropped. Holds are lines of the files in the
// folder holds: KIND VALUE, # begins a comment.
type Hold struct {
	Kind  string
	Value string
	File  string // base name of the file it stands in
}

// Holds reads all holds of a folder. A line that cannot be read is an error:
// nothing may be dropped because of a slip of the pen.
func Holds(dir string) ([]Hold, error) {
	list, err := os.ReadDir(filepath.Join(dir, holdFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the holds: %w", err)
	}
	var out []Hold
	for _, d := range list {
		if d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, holdFolder, d.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the holds: %w", err)
		}
		lines := bufio.NewScanner(strings.NewReader(string(data)))
		lines.Buffer(nil, maxLine)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			kind, value, _ := strings.Cut(line, " ")
			value = strings.TrimSpace(value)
			if kind != HoldRecord && kind != HoldURL && kind != HoldPost || value == "" {
				return nil, fmt.Errorf("%s/%s:%d: %q is no hold; write record ID, url URL or post ID", holdFolder, d.Name(), n, cut(line, 100))
			}
			out = append(out, Hold{kind, value, d.Name()})
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("reading the holds in %s: %w", d.Name(), err)
		}
	}
	return out, nil
}

// AddHold writes a hold into a file of its own in the folder of holds.
func AddHold(dir string, now time.Time, why string, holds ...Hold) (file string, err error) {
	if err := os.MkdirAll(filepath.Join(dir, holdFolder), 0o700); err != nil {
		return "", fmt.Errorf("writing a hold: %w", err)
	}
	var b strings.Builder
	if why = oneLiner(why); why != "" {
		fmt.Fprintf(&b, "# %s\n", why)
	}
	for _, h := range holds {
		fmt.Fprintf(&b, "%s %s\n", h.Kind, oneLiner(h.Value))
	}
	name := "hold-" + now.UTC().Format("20060102T150405.000000Z") + ".txt"
	if err := writeFile(filepath.Join(dir, holdFolder), name, []byte(b.String())); err != nil {
		return "", fmt.Errorf("writing a hold: %w", err)
	}
	return name, nil
}

// Retained says what the retention policy did with one file, or would do.
type Retained struct {
	File    string `json:"file"`
	Last    string `json:"last"` // its latest record
	Dropped bool   `json:"dropped"`
	Why     string `json:"why"` // what holds it, or "over the age"
}

// plan finds the sealed files that are over the age and what becomes of them.
// A file is dropped whole or not at all: it stays while a record in it is held,
// or while a revisit record in a file that stays needs a body in it.
func (w *Writer) plan(ctx context.Context, files map[string]*Event) ([]Retained, error) {
	age := w.opts.Now().Add(-w.opts.Keep).UTC()
	limit, reach := age.Format(dateFormat), age.Add(max(w.opts.Dedupe, maxDedupe)).Format(dateFormat)
	var old []string
	keep := map[string]string{} // file → why
	for name, seal := range files {
		if seal != nil && max(seal.Last, seal.First) < limit && seal.Time < limit {
			old = append(old, name)
		}
	}
	if len(old) == 0 {
		return nil, nil
	}
	slices.SortFunc(old, func(a, b string) int { return numberOf(a) - numberOf(b) })
	held, err := w.heldBy(ctx)
	if err != nil {
		return nil, err
	}
	a := &Archive{dir: w.opts.Dir}
	where, needs := map[string]string{}, map[string][]string{} // record id → old file; file → ids its revisits refer to
	for name, seal := range files {
		isOld := slices.Contains(old, name)
		if !isOld && seal != nil && seal.First > reach {
			continue // too young to refer to an old record
		}
		err := a.Entries(name, func(e Entry) error {
			if e.RefersTo != "" {
				needs[name] = append(needs[name], e.RefersTo)
			}
			if !isOld {
				return ctx.Err()
			}
			if e.Type == TypeResponse || e.Type == TypeResource || e.Type == TypeConversion {
				where[e.ID] = name
			}
			for _, key := range []string{HoldRecord + " " + e.ID, HoldURL + " " + e.URL} {
				if why, ok := held[key]; ok && keep[name] == "" {
					keep[name] = why
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, fmt.Errorf("nothing is dropped while an index cannot be read: %w", err)
		}
	}
	// What stays may need what it refers to, which may need more.
	stays := slices.DeleteFunc(slices.Collect(maps.Keys(files)), func(n string) bool { return slices.Contains(old, n) && keep[n] == "" })
	for len(stays) > 0 {
		name := stays[0]
		stays = stays[1:]
		for _, id := range needs[name] {
			if target := where[id]; target != "" && keep[target] == "" {
				keep[target] = "a record in " + name + " refers to it"
				stays = append(stays, target)
			}
		}
	}
	var out []Retained
	for _, name := range old {
		r := Retained{File: name, Last: files[name].Last, Dropped: keep[name] == "", Why: keep[name]}
		if r.Dropped {
			r.Why = fmt.Sprintf("older than %v", w.opts.Keep)
		}
		out = append(out, r)
	}
	return out, nil
}

// heldBy gives what holds each held record and URL.
func (w *Writer) heldBy(ctx context.Context) (map[string]string, error) {
	holds, err := Holds(w.opts.Dir)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, h := range holds {
		why := "held by " + holdFolder + "/" + h.File + ": " + h.Kind + " " + cut(h.Value, 200)
		switch h.Kind {
		case HoldRecord:
			out[HoldRecord+" "+trimID(h.Value)] = why
		case HoldURL:
			out[HoldURL+" "+cleanURL(h.Value)] = why
		case HoldPost:
			if w.opts.PostRecords == nil {
				return nil, fmt.Errorf("%s/%s holds the post %s, and posts cannot be looked up here", holdFolder, h.File, cut(h.Value, 100))
			}
			records, urls, err := w.opts.PostRecords(ctx, h.Value)
			if err != nil {
				return nil, fmt.Errorf("looking up the held post %s: %w", cut(h.Value, 100), err)
			}
			for _, id := range records {
				out[HoldRecord+" "+trimID(id)] = why
			}
			for _, u := range urls {
				out[HoldURL+" "+cleanURL(u)] = why
			}
		}
	}
	return out, nil
}

// Retain applies the retention policy now; with dry it only tells.
func (w *Writer) Retain(ctx context.Context, dry bool) ([]Retained, error) {
	if w.opts.Keep <= 0 {
		return nil, nil
	}
	w.retaining.Lock()
	defer w.retaining.Unlock()
	files := map[string]*Event{}
	err := w.between(ctx, func() error {
		for name, e := range w.files {
			files[name] = e
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list, err := w.plan(ctx, files)
	if err != nil || dry {
		return list, err
	}
	for i, r := range list {
		if !r.Dropped {
			continue
		}
		if err := w.between(ctx, func() error { return w.drop(r) }); err != nil {
			return list[:i], fmt.Errorf("dropping %s: %w", r.File, err)
		}
	}
	return list, nil
}

// between runs fn in the goroutine that writes.
func (w *Writer) between(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	select {
	case w.do <- func() { done <- fn() }:
		return <-done
	case <-w.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drop writes the event first, so that a file that is gone is always explained.
func (w *Writer) drop(r Retained) error {
	if w.files[r.File] == nil {
		return errors.New("it is not sealed, or gone")
	}
	if err := w.ledger.add(w.opts.Now(), Event{Event: EventDrop, File: r.File, Last: r.Last, Note: r.Why}); err != nil {
		return err
	}
	delete(w.files, r.File)
	w.log.Info("an archive file was dropped by the retention policy", "file", r.File, "last_record", r.Last, "why", r.Why)
	return errors.Join(os.Remove(warcPath(w.opts.Dir, r.File)), os.Remove(indexPath(w.opts.Dir, r.File)))
}

// retainLater applies the policy in the background, one run at a time.
func (w *Writer) retainLater() {
	if w.opts.Keep <= 0 || w.opts.RetainByHand {
		return
	}
	w.bg.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-w.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		if _, err := w.Retain(ctx, false); err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			w.log.Error("the retention policy was not applied; everything is kept", "err", err)
		}
	})
}
