package classify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"qingyuan/post"
	"qingyuan/strictyaml"
)

// LiveOptions configure a Live. Load and Fingerprint are required.
type LiveOptions struct {
	// Load builds a classifier from what is there now.
	Load func() (*Classifier, error)
	// Fingerprint changes whenever something does that Load reads. It is asked
	// once an interval and should be cheap; see FolderFingerprint.
	Fingerprint func() (string, error)
	Interval    time.Duration // between looks; a second when 0
	Logger      *slog.Logger  // nil is silence
	// Changed is called, from the goroutine of Watch, after a new classifier
	// has taken the place of the old one.
	Changed func(*Classifier)
}

// LiveStatus says what a Live judges by.
type LiveStatus struct {
	Dictionary string    `json:"dictionary"`      // version in use
	Model      string    `json:"model,omitempty"` // version in use
	Since      time.Time `json:"since"`           // when it was taken up
	// Problems are why the last edit was refused, one mistake a line with file,
	// line and remedy; empty when the last edit is in use.
	Problems  []string  `json:"problems,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
}

// Live is a classifier that follows edits of its dictionaries while others use
// it. A post is judged by one classifier from beginning to end. An edit that has
// a mistake, or on which an example of the dictionaries does not behave as
// written, is refused and the one before stays in use. All methods are safe for
// concurrent use.
type Live struct {
	opts    LiveOptions
	current atomic.Pointer[Classifier]

	working sync.Mutex // held while looking and loading
	seen    string     // fingerprint of what was loaded or refused last
	pending string     // fingerprint at the last look, when it was a new one

	mu     sync.Mutex
	status LiveStatus
}

// NewLive loads the first classifier. Unlike an edit, it may have examples that
// do not behave as written.
func NewLive(opts LiveOptions) (*Live, error) {
	if opts.Load == nil || opts.Fingerprint == nil {
		return nil, errors.New("classify: Load and Fingerprint are needed to follow edits")
	}
	if opts.Interval <= 0 {
		opts.Interval = time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Live{opts: opts}
	// Before loading: what changes in between is then seen as an edit.
	l.seen = l.fingerprint()
	c, err := opts.Load()
	if err != nil {
		return nil, err
	}
	l.use(c)
	return l, nil
}

// Classifier returns the classifier in use.
func (l *Live) Classifier() *Classifier { return l.current.Load() }

// Classify judges a post by the classifier in use; see Classifier.Classify.
func (l *Live) Classify(p post.Post) (Verdict, error) { return l.current.Load().Classify(p) }

// Status says what is in use, and what was refused.
func (l *Live) Status() LiveStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Problems = slices.Clone(s.Problems)
	return s
}

// Watch follows edits until ctx ends. A change is taken up when two looks in a
// row find the same, so that a file is not read while it is being written; a
// signal on now is a call to load at once. now may be nil.
func (l *Live) Watch(ctx context.Context, now <-chan os.Signal) {
	tick := time.NewTicker(l.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.look()
		case <-now:
			l.Reload()
		}
	}
}

// look is one look at the files.
func (l *Live) look() {
	l.working.Lock()
	defer l.working.Unlock()
	switch f := l.fingerprint(); f {
	case l.seen:
		l.pending = ""
	case l.pending:
		l.load(f)
	default:
		l.pending = f
	}
}

// Reload loads what is there now, without waiting for it to settle, and reports
// whether it is in use.
func (l *Live) Reload() bool {
	l.working.Lock()
	defer l.working.Unlock()
	return l.load(l.fingerprint())
}

// fingerprint is never empty.
func (l *Live) fingerprint() string {
	f, err := l.opts.Fingerprint()
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return "found: " + f
}

// load takes up the edit with the fingerprint f, or refuses it.
func (l *Live) load(f string) bool {
	c, err := l.opts.Load()
	if after := l.fingerprint(); after != f {
		l.pending = after // edited while it was read: no mistake, and not yet to be used
		return false
	}
	l.seen, l.pending = f, ""
	if err == nil {
		err = c.CheckExamples()
	}
	if err != nil {
		l.refuse(err)
		return false
	}
	before := l.Classifier().Dictionary().Version
	l.use(c)
	l.opts.Logger.Info("new dictionary in use", "dictionary", c.Dictionary().Version, "before", before)
	if l.opts.Changed != nil {
		l.opts.Changed(c)
	}
	return true
}

func (l *Live) use(c *Classifier) {
	s := LiveStatus{Dictionary: c.Dictionary().Version, Since: time.Now()}
	if c.model != nil {
		s.Model = c.model.Version
	}
	l.current.Store(c)
	l.mu.Lock()
	l.status = s
	l.mu.Unlock()
}

func (l *Live) refuse(err error) {
	problems := []string{err.Error()}
	var ms strictyaml.Mistakes
	if errors.As(err, &ms) {
		problems = problems[:0]
		for _, m := range ms {
			problems = append(problems, m.Error())
		}
	}
	l.mu.Lock()
	l.status.Problems, l.status.RefusedAt = problems, time.Now()
	version := l.status.Dictionary
	l.mu.Unlock()
	for _, p := range problems {
		l.opts.Logger.Error("dictionary edit refused", "mistake", p)
	}
	l.opts.Logger.Error("the dictionary before stays in use", "dictionary", version, "mistakes", len(problems))
}

// FolderFingerprint is a hash of the names and contents of the dictionary files
// in fsys. Times and inodes do not count: it sees an editor that writes in
// place, one that renames a new file over the old one, and a folder whose link
// is turned to another, and it does not mind a touch.
func FolderFingerprint(fsys fs.FS) (string, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return "", fmt.Errorf("listing dictionaries: %w", err)
	}
	sum := sha256.New()
	for _, name := range names {
		data, err := readDictionaryFile(fsys, name)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		sumFile(sum, name, data)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
