// Package sqlite keeps the index in one SQLite file: the embedded store that
// needs no server.
//
// What comes in: records, triage changes, queries. What goes out: what
// index.Store promises. One process writes at a time, others wait; readers
// never wait. Text is searched through an FTS5 table of the tokens that
// package index defines; the classifier's normalisation is a function that
// the caller gives, so that the package knows nothing of its rules.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	sqlitedriver "modernc.org/sqlite"

	"qingyuan/index"
)

// unknownTime is kept for a zero time: it sorts last and lies outside of every
// range.
const unknownTime = math.MinInt64 / 2

// Options configure a Store. Only Path is required.
type Options struct {
	// Path of the file; it and its folder are made when missing, readable by
	// the owner only.
	Path string
	// Normalize undoes the disguises of a text, so that a search finds 停.息.挂.账
	// by 停息挂账, and the other way round. Nil searches the published text only.
	// Changing it takes effect for a record with its next Put.
	Normalize func(string) string
	// Location is where days begin, in queries and in the day facet; nil is
	// index.China().
	Location *time.Location
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// BusyTimeout is how long a write waits for another process's; 10 s when 0.
	BusyTimeout time.Duration
}

// Store is an index.Store in one file. It is safe for concurrent use, also by
// several processes on one machine.
type Store struct {
	opts   Options
	write  *sql.DB // one connection
	read   *sql.DB
	stmts  statements
	closed atomic.Bool

	shapes shapeCache
}

var _ index.Store = (*Store)(nil)

// Open opens or creates the file and brings its schema up to date. A file of
// a newer schema, or of another program, is refused and left as it is.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.Path == "" {
		return nil, fmt.Errorf("%w: the index needs the path of its file", index.ErrInvalid)
	}
	if opts.Location == nil {
		opts.Location = index.China()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.BusyTimeout <= 0 {
		opts.BusyTimeout = 10 * time.Second
	}
	if err := os.MkdirAll(filepath.Dir(opts.Path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the index: %w", err)
	}
	// Made here rather than by SQLite, for its mode: it holds personal data.
	f, err := os.OpenFile(opts.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the index file: %w; check the path and that this user may write it", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening the index file: %w", err)
	}
	s := &Store{opts: opts, shapes: newShapeCache()}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(s.explain("opening the index", err), s.closePools())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	var err error
	if s.write, err = sql.Open("sqlite", s.dsn("immediate")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", s.dsn("deferred")); err != nil {
		return err
	}
	readers := max(2, runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return s.stmts.prepare(ctx, s.write)
}

// dsn names the file with the settings of each connection.
func (s *Store) dsn(lock string) string {
	abs, err := filepath.Abs(s.opts.Path)
	if err != nil {
		abs = s.opts.Path
	}
	v := url.Values{"_txlock": {lock}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", s.opts.BusyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(OFF)",
		"temp_store(MEMORY)",
		"cache_size(-32000)",
		"journal_size_limit(67108864)",
		"wal_autocheckpoint(4000)", // pages of 4 KiB; the busiest are copied once for many commits
	}}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: v.Encode()}).String()
}

// Close waits for running calls and releases the file.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.explain("closing the index", s.closePools())
}

func (s *Store) closePools() error {
	var errs []error
	for _, db := range [...]*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// explain says what was being done to which file and, for what an operator
// can mend, how.
func (s *Store) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, index.ErrClosed)
	}
	for _, known := range [...]error{index.ErrNotFound, index.ErrConflict, index.ErrInvalid} {
		if errors.Is(err, known) {
			return err
		}
	}
	remedy := ""
	var se *sqlitedriver.Error
	if errors.As(err, &se) {
		remedy = remedies[se.Code()&0xff]
	}
	if remedy != "" {
		return fmt.Errorf("%s: file %s: %s: %w", doing, s.opts.Path, remedy, err)
	}
	return fmt.Errorf("%s: file %s: %w", doing, s.opts.Path, err)
}

// remedies by SQLite's primary result code.
var remedies = map[int]string{
	5:  "another process holds the write lock; stop it, or let its long write end, and try again",
	6:  "another process holds the write lock; stop it, or let its long write end, and try again",
	8:  "the file or its folder is read-only; let this user write both",
	10: "the disk does not read or write; check its health and free space",
	11: "the file is damaged; stop, keep a copy, and restore a backup or rebuild it with replay",
	13: "the disk is full; free some space, nothing that was acknowledged is lost",
	14: "the file cannot be opened; check the path and that this user may write the folder",
	26: "this is not an SQLite file; give another path",
}

// micros is t as the file keeps it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return unknownTime
	}
	return t.UnixMicro()
}

// fromMicros undoes micros, in UTC.
func fromMicros(n int64) time.Time {
	if n == unknownTime {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// now is the clock as the file keeps it.
func (s *Store) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// dayOf numbers the day, from 1970-01-01, in which t lies at the store's location.
func (s *Store) dayOf(t time.Time) int64 {
	year, month, day := t.In(s.opts.Location).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
}

// normalized returns the normalised text, or "" when it adds nothing to search.
func (s *Store) normalized(text string) string {
	if s.opts.Normalize == nil || text == "" {
		return ""
	}
	return s.opts.Normalize(text)
}
