// Package sqlite keeps a frontier in one SQLite file.
//
// What comes in: tasks, and answers to leases. What goes out: leases. Every
// answered call is on the disk (WAL, synchronous FULL). Calls made at the same
// time share one transaction, so that many workers cost few disk syncs. The
// package knows nothing of pages or of HTTP.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"qingyuan/crawler/frontier"
)

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("frontier: closed")

// Options of Open. The zero value is ready to use.
type Options struct {
	// Now is the clock; nil is time.Now. It must be safe for concurrent use.
	Now func() time.Time
	// Logger hears of migrations and of leases taken back; nil is silent.
	Logger *slog.Logger
	// Exclusive takes the lock file path+".lock" and fails with ErrLocked when
	// another process holds it. Leases found in the file then belong to nobody
	// and are taken back at once, without waiting for their end.
	Exclusive bool
	// Gather is how long a change waits for others that may share its
	// transaction; 0: no longer than they are there already.
	Gather time.Duration
}

// DB is a frontier in a SQLite file. It is safe for concurrent use, and several
// processes may open one file when none of them asks for Exclusive.
type DB struct {
	db   *sql.DB
	now  func() time.Time
	log  *slog.Logger
	lock *Lock
	w    *writer

	gather    time.Duration
	readNotes *sql.Stmt
	readTwo   *sql.Stmt // notes under two keys, which may be the same

	closing sync.Once
	closed  error
}

var _ frontier.Frontier = (*DB)(nil)

// Open opens or creates the frontier in the file at path, whose directory must
// exist.
func Open(ctx context.Context, path string, opts Options) (*DB, error) {
	d := &DB{now: opts.Now, log: opts.Logger, gather: opts.Gather}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if opts.Exclusive {
		lock, err := LockFile(path + ".lock")
		if err != nil {
			return nil, fmt.Errorf("opening frontier: %w", err)
		}
		d.lock = lock
	}
	if err := d.open(ctx, path); err != nil {
		if d.db != nil {
			d.db.Close()
		}
		d.lock.Close()
		return nil, fmt.Errorf("opening frontier %s: %w", path, err)
	}
	return d, nil
}

func (d *DB) open(ctx context.Context, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: url.Values{"_pragma": {
		"busy_timeout(15000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-16000)", "temp_store(MEMORY)",
		"wal_autocheckpoint(4000)", // pages; the busiest are copied once for many commits
	}}.Encode()}
	if d.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return err
	}
	d.db.SetMaxOpenConns(3) // the writer's and two for reading
	if err := d.migrate(ctx); err != nil {
		return err
	}
	if d.readNotes, err = d.db.PrepareContext(ctx, `SELECT key, value FROM notes WHERE key IN (SELECT value FROM json_each(?))`); err != nil {
		return err
	}
	if d.readTwo, err = d.db.PrepareContext(ctx, `SELECT key, value FROM notes WHERE key IN (?, ?)`); err != nil {
		return err
	}
	if d.w, err = newWriter(ctx, d.db, d.gather); err != nil {
		return err
	}
	err = d.w.do(ctx, func(ctx context.Context, t *tx) error { return d.recoverState(ctx, t) })
	if err != nil {
		d.w.close()
	}
	return err
}

// recoverState puts right what a crash or a corrected clock left behind.
func (d *DB) recoverState(ctx context.Context, t *tx) error {
	now := d.now().UnixNano()
	// A start in the future, written under a wrong clock, would hold its host
	// until that time comes.
	err := t.each(ctx, `SELECT n FROM hosts WHERE started > ?`, []any{now}, func(r *sql.Rows) error {
		var h int64
		err := r.Scan(&h)
		t.dirty[h] = true
		return err
	})
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE hosts SET started = ?1 WHERE started > ?1`, now); err != nil {
		return err
	}
	if d.lock == nil {
		return nil
	}
	total := 0
	for {
		n, err := t.takeBack(ctx, 1<<62)
		if err != nil {
			return err
		}
		if total += n; n < maxSweep {
			break
		}
	}
	if total > 0 {
		d.log.Info("took back leases of a process that ended without answering", "leases", total)
	}
	return nil
}

// Close ends the writer and closes the file.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.closed = errors.Join(d.w.close(), d.db.Close(), d.lock.Close())
	})
	return d.closed
}

// Stats counts tasks, of one source or, with "", of all.
func (d *DB) Stats(ctx context.Context, source string) (frontier.Stats, error) {
	var s frontier.Stats
	rows, err := d.db.QueryContext(ctx,
		`SELECT state, sum(n) FROM counts WHERE ?1 = '' OR source = ?1 GROUP BY state`, source)
	if err != nil {
		return s, fmt.Errorf("counting tasks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var state, n int
		if err := rows.Scan(&state, &n); err != nil {
			return s, fmt.Errorf("counting tasks: %w", err)
		}
		switch state {
		case stateReady, stateLater:
			s.Waiting += n
		case stateLeased:
			s.Leased += n
		case stateAgain, stateDone:
			s.Done += n
		case stateDead:
			s.Dead += n
		}
	}
	if err := rows.Err(); err != nil {
		return s, fmt.Errorf("counting tasks: %w", err)
	}
	// A host's `at` is the moment its best task may start; a leased host has
	// none, so what waits behind a lease does not count as due.
	const all = `SELECT min(at) FROM (SELECT min(at) AS at FROM hosts
		UNION ALL SELECT min(due) FROM tasks WHERE state IN (1, 2))`
	const one = `SELECT min(at) FROM (SELECT min(h.at) AS at FROM hosts h
			WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.host = h.n AND t.state = 0 AND t.source = ?1)
		UNION ALL SELECT min(due) FROM tasks WHERE state IN (1, 2) AND source = ?1)`
	query, args := all, []any(nil)
	if source != "" {
		query, args = one, []any{source}
	}
	var at sql.NullInt64
	if err := d.db.QueryRowContext(ctx, query, args...).Scan(&at); err != nil {
		return s, fmt.Errorf("finding the next due time: %w", err)
	}
	if at.Valid {
		s.NextDue = timeOf(max(at.Int64, 1))
	}
	return s, nil
}

// DeadTasks lists tasks given up, newest first.
func (d *DB) DeadTasks(ctx context.Context, limit int) ([]frontier.DeadTask, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT `+taskColumns+`, t.reason, t.changed
		FROM tasks t JOIN hosts h ON h.n = t.host WHERE t.state = 5 ORDER BY t.changed DESC, t.n DESC LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("listing dead tasks: %w", err)
	}
	defer rows.Close()
	var dead []frontier.DeadTask
	for rows.Next() {
		var d frontier.DeadTask
		var at int64
		if err := scanTask(rows, &d.Task, &d.Reason, &at); err != nil {
			return nil, fmt.Errorf("listing dead tasks: %w", err)
		}
		d.At = timeOf(at)
		dead = append(dead, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing dead tasks: %w", err)
	}
	return dead, nil
}

func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
