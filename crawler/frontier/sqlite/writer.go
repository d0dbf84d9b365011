package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// maxGroup is the largest number of calls that share a transaction.
const maxGroup = 128

// A writer runs all changes on one connection, in the order they arrive.
// Calls that wait while a transaction is being committed go into the next one
// together: the disk sync, by far the dearest part, is paid once for all.
type writer struct {
	conn *sql.Conn
	ops  chan *op
	quit chan struct{}
	gone chan struct{}
	once sync.Once

	gather time.Duration // see Options.Gather
	stmts  map[string]*sql.Stmt
	hosts  map[string]int64 // name → n; a row once written never changes its n
	err    error
}

// op is a change. It may be run twice when another of its group fails, so fn
// sets its results anew each time, and finds domain errors before it writes.
type op struct {
	fn   func(context.Context, *tx) error
	err  error
	done chan struct{}
}

func newWriter(ctx context.Context, db *sql.DB, gather time.Duration) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{
		conn: conn, gather: gather, ops: make(chan *op, maxGroup), quit: make(chan struct{}), gone: make(chan struct{}),
		stmts: map[string]*sql.Stmt{}, hosts: map[string]int64{},
	}
	go w.run()
	return w, nil
}

// do runs fn inside a transaction and returns when it is committed. Once fn is
// taken up, ctx does not interrupt it: the caller must know what was committed.
func (w *writer) do(ctx context.Context, fn func(context.Context, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{fn: fn, done: make(chan struct{})}
	select {
	case w.ops <- o:
	case <-w.gone:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.done:
		return o.err
	case <-w.gone:
	}
	// The writer ended; it may have served this call just before.
	select {
	case <-o.done:
		return o.err
	default:
		return ErrClosed
	}
}

func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.gone
	return w.err
}

func (w *writer) run() {
	defer close(w.gone)
	group := make([]*op, 0, maxGroup)
	for {
		group = group[:0]
		select {
		case o := <-w.ops:
			group = append(group, o)
		case <-w.quit:
			w.err = w.shut()
			return
		}
		// Whoever is about to call may do so first: on a busy machine many calls
		// share the transaction then, on an idle one nobody waits.
		runtime.Gosched()
	more:
		for len(group) < maxGroup {
			select {
			case o := <-w.ops:
				group = append(group, o)
			default:
				break more
			}
		}
		group = w.linger(group)
		w.commit(group)
		for _, o := range group {
			close(o.done)
		}
	}
}

// linger takes up further calls for a while.
func (w *writer) linger(group []*op) []*op {
	if w.gather <= 0 {
		return group
	}
	over := time.NewTimer(w.gather)
	defer over.Stop()
	for len(group) < maxGroup {
		select {
		case o := <-w.ops:
			group = append(group, o)
		case <-over.C:
			return group
		case <-w.quit:
			return group
		}
	}
	return group
}

func (w *writer) shut() error {
	for _, s := range w.stmts {
		s.Close()
	}
	return w.conn.Close()
}

// commit runs the group in one transaction. When that fails for a reason of
// the database, each is run alone, so that one cannot spoil the others.
func (w *writer) commit(group []*op) {
	if err := w.transact(group); err == nil || len(group) == 1 {
		return
	}
	for i := range group {
		w.transact(group[i : i+1])
	}
}

func (w *writer) transact(group []*op) error {
	ctx := context.Background()
	fail := func(err error) error {
		w.conn.ExecContext(ctx, `ROLLBACK`)
		clear(w.hosts) // some may have been added in what is now undone
		for _, o := range group {
			o.err = err
		}
		return err
	}
	t := &tx{w: w, counts: map[countKey]int{}, dirty: map[int64]bool{}}
	if _, err := t.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fail(fmt.Errorf("beginning transaction: %w", err))
	}
	for _, o := range group {
		o.err = o.fn(ctx, t)
		if o.err != nil && !isDomain(o.err) {
			return fail(o.err)
		}
	}
	if err := t.finish(ctx); err != nil {
		return fail(err)
	}
	if _, err := t.exec(ctx, `COMMIT`); err != nil {
		return fail(fmt.Errorf("committing: %w", err))
	}
	return nil
}

// tx is the transaction of a group, with the sums to write at its end.
type tx struct {
	w      *writer
	counts map[countKey]int
	dirty  map[int64]bool // hosts whose `at` must be computed anew
}

type countKey struct {
	source string
	state  int
}

func (t *tx) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := t.w.stmts[query]; ok {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing statement: %w", err)
	}
	t.w.stmts[query] = s
	return s, nil
}

func (t *tx) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row scans the first row into dest; sql.ErrNoRows when there is none.
func (t *tx) row(ctx context.Context, query string, args []any, dest ...any) error {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(dest...)
}

func (t *tx) each(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// move notes that n tasks of a source changed their state; -1 is "new".
func (t *tx) move(source string, from, to, n int) {
	if from >= 0 {
		t.counts[countKey{source, from}] -= n
	}
	t.counts[countKey{source, to}] += n
}

// host returns the number of a host, adding it when new.
func (t *tx) host(ctx context.Context, name string) (int64, error) {
	if n, ok := t.w.hosts[name]; ok {
		return n, nil
	}
	if _, err := t.exec(ctx, `INSERT INTO hosts (name) VALUES (?) ON CONFLICT DO NOTHING`, name); err != nil {
		return 0, err
	}
	var n int64
	if err := t.row(ctx, `SELECT n FROM hosts WHERE name = ?`, []any{name}, &n); err != nil {
		return 0, err
	}
	if len(t.w.hosts) > 10_000 {
		clear(t.w.hosts)
	}
	t.w.hosts[name] = n
	return n, nil
}

// schedule computes `at` of every host touched so far: the moment its best
// ready task may start.
func (t *tx) schedule(ctx context.Context) error {
	for h := range t.dirty {
		_, err := t.exec(ctx, `UPDATE hosts SET at = CASE WHEN leased THEN NULL ELSE (
			SELECT max(hosts.backoff, hosts.started + max(hosts.delay, t.delay))
			FROM tasks t WHERE t.host = hosts.n AND t.state = 0
			ORDER BY t.priority DESC, t.due, t.n LIMIT 1) END WHERE n = ?`, h)
		if err != nil {
			return fmt.Errorf("scheduling host: %w", err)
		}
	}
	clear(t.dirty)
	return nil
}

func (t *tx) finish(ctx context.Context) error {
	if err := t.schedule(ctx); err != nil {
		return err
	}
	return t.flushCounts(ctx)
}

func (t *tx) flushCounts(ctx context.Context) error {
	for k, n := range t.counts {
		if n == 0 {
			continue
		}
		_, err := t.exec(ctx, `INSERT INTO counts (source, state, n) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`, k.source, k.state, n)
		if err != nil {
			return fmt.Errorf("counting tasks: %w", err)
		}
	}
	clear(t.counts)
	return nil
}

// isDomain tells the answers a caller branches on from failures of the
// database: only the latter undo a transaction.
func isDomain(err error) bool {
	var d domainError
	return errors.As(err, &d)
}

type domainError struct{ error }

func (d domainError) Unwrap() error { return d.error }
