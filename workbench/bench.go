// Package workbench is where operators change dictionaries through the pages.
//
// What comes in: the folder of dictionary files, edits of single entries, and
// records with what analysts decided. What goes out: the same files with an
// entry changed and everything else, comments too, as it was; versions to roll
// back to; how often each entry hit and was right; what a change would do.
//
// The files stay the truth: whoever edits them by hand or by git may go on to.
// A draft knows the files that it began with, and nothing is published over an
// edit that its author has not seen. The package knows nothing of HTTP.
package workbench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
)

// Options configure a Bench. Store, Files, Data, Build and Current are required.
type Options struct {
	Store index.Store
	// Files is where the dictionaries are read from.
	Files fs.FS
	// Folder is the same folder by name, to be written; empty: read only.
	Folder string
	// Data is a folder for drafts and versions.
	Data string
	// Build makes a classifier of a dictionary, with the model in use.
	Build func(*classify.Dictionary) (*classify.Classifier, error)
	// Current is the classifier that judges now.
	Current func() *classify.Classifier
	// Reload takes up the files as they are now; nil does nothing.
	Reload func()
	// Posts are the records of the last days, for trying changes.
	Posts func(ctx context.Context, days int) iter.Seq2[classify.Sample, error]
	// Labelled lists the files of labelled texts by name, and LabelledPosts
	// opens one; nil: there are none.
	Labelled      func() []string
	LabelledPosts func(name string) (iter.Seq2[classify.Sample, error], func(), error)
	// FourEyes lets nobody publish a draft of his own.
	FourEyes bool
	Logger   *slog.Logger     // nil is silence
	Now      func() time.Time // nil is time.Now
}

// Errors of drafts and publishing.
var (
	// ErrReadOnly: the dictionaries are built in, or of a folder nobody named.
	ErrReadOnly = errors.New("workbench: these dictionaries cannot be written")
	// ErrConflict: the files were changed since.
	ErrConflict = errors.New("workbench: the files were changed meanwhile")
	// ErrNoDraft: there is no such draft, or nothing stands in it.
	ErrNoDraft = errors.New("workbench: there is no draft")
	// ErrFourEyes: somebody else has to approve.
	ErrFourEyes = errors.New("workbench: somebody else has to approve this")
	// ErrBusy: a run of somebody else is under way.
	ErrBusy = errors.New("workbench: another run is under way")
	// ErrNoVersion: no such version is kept.
	ErrNoVersion = errors.New("workbench: no such version is kept")
	// ErrNote: a version needs a note.
	ErrNote = errors.New("workbench: say in a note why")
)

// Bench is the workbench over one folder. It is safe for concurrent use; two
// processes should not publish to one folder at the same time.
type Bench struct {
	opts Options
	log  *slog.Logger
	now  func() time.Time
	ctx  context.Context // of what goes on after a request
	stop context.CancelFunc
	done sync.WaitGroup

	mu sync.Mutex // drafts, versions and files

	cached struct {
		sync.Mutex
		fingerprint string
		c           *classify.Classifier
	}
	stats statistics
	jobs  jobs
}

// Open makes a Bench and ends a publishing that a crash cut short.
func Open(opts Options) (*Bench, error) {
	if opts.Store == nil || opts.Files == nil || opts.Data == "" || opts.Build == nil || opts.Current == nil {
		return nil, errors.New("workbench: Store, Files, Data, Build and Current are needed")
	}
	b := &Bench{opts: opts, log: opts.Logger, now: opts.Now}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.jobs.runs = map[string]*Run{}
	if opts.Folder == "" {
		return b, nil
	}
	for _, sub := range []string{draftFolder, versionFolder} {
		if err := os.MkdirAll(filepath.Join(opts.Data, sub), 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the workbench: %w", err)
		}
	}
	if err := b.recover(); err != nil {
		return nil, err
	}
	return b, nil
}

// Close ends what runs in the background.
func (b *Bench) Close() {
	b.stop()
	b.done.Wait()
}

// ReadOnly reports whether nothing can be published.
func (b *Bench) ReadOnly() bool { return b.opts.Folder == "" }

// FourEyes reports whether another person has to approve.
func (b *Bench) FourEyes() bool { return b.opts.FourEyes }

// Classifier judges as the crawl does now.
func (b *Bench) Classifier() *classify.Classifier { return b.opts.Current() }

// Files reads the dictionary files as they are now.
func (b *Bench) Files() (map[string][]byte, error) {
	files, err := classify.ReadDictionaryFiles(b.opts.Files)
	if err != nil {
		return nil, fmt.Errorf("reading the dictionaries: %w", err)
	}
	return files, nil
}

// Build loads files and makes a classifier of them. Mistakes, also of examples,
// are the error. The last one is kept.
func (b *Bench) Build(files map[string][]byte) (*classify.Classifier, error) {
	c, err := b.load(files)
	if err != nil {
		return nil, err
	}
	return c, c.CheckExamples()
}

// load is Build without the examples.
func (b *Bench) load(files map[string][]byte) (*classify.Classifier, error) {
	f := classify.FilesFingerprint(files)
	b.cached.Lock()
	defer b.cached.Unlock() // building is heavy: one at a time
	if b.cached.c != nil && b.cached.fingerprint == f {
		return b.cached.c, nil
	}
	d, err := classify.LoadDictionaryFiles(files)
	if err != nil {
		return nil, err
	}
	c, err := b.opts.Build(d)
	if err != nil {
		return nil, err
	}
	b.cached.fingerprint, b.cached.c = f, c
	return c, nil
}

// Trial is an edit, tried.
type Trial struct {
	Mistakes []string                 // of the dictionaries with the edit; none when it may be kept
	Examples []classify.ExampleResult // of the entry itself
	// Classifier judges with the edit; nil when the files do not load.
	Classifier *classify.Classifier
}

// OK reports whether the dictionaries are right with the edit.
func (t Trial) OK() bool { return t.Classifier != nil && len(t.Mistakes) == 0 }

// Try makes an edit in memory and runs every example.
func (b *Bench) Try(files map[string][]byte, e Edit) (Trial, error) {
	out, err := Apply(files, e)
	if err != nil {
		return Trial{}, err
	}
	var t Trial
	t.Classifier, err = b.load(out)
	if err == nil {
		if e.Kind != KindTerm && e.Kind != KindClass && e.Values != nil {
			t.Examples = t.Classifier.TryExamples(e.Result().ID)
		}
		err = t.Classifier.CheckExamples()
	}
	for _, m := range classify.MistakesOf(err) {
		t.Mistakes = append(t.Mistakes, m.Error())
	}
	return t, nil
}

// userFile is a file name that only that user has.
func userFile(user string) string {
	sum := sha256.Sum256([]byte(user))
	return hex.EncodeToString(sum[:10]) + ".json"
}

// readJSON reads a file of the workbench; what it is about is for the error.
func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", file, err)
	}
	return nil
}

func writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return writeFile(file, data, 0o600)
}

// writeFile puts a file in place at once: nobody ever reads half of it.
func writeFile(file string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*.tmp")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	defer os.Remove(f.Name()) // gone when renamed
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
