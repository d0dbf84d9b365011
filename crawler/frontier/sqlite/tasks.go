package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"qingyuan/crawler/frontier"
)

// maxSweep bounds how many tasks one call moves between states on its way.
const maxSweep = 1000

const taskColumns = `lower(hex(t.id)), t.url, h.name, t.source, t.page, t.depth, t.priority, t.delay, t.due, t.parent, t.tries, t.lost`

type scanner interface{ Scan(...any) error }

func scanTask(row scanner, k *frontier.Task, more ...any) error {
	var due int64
	dest := []any{&k.ID, &k.URL, &k.Host, &k.Source, &k.Page, &k.Depth, &k.Priority, &k.Delay, &due, &k.Parent, &k.Tries, &k.Lost}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return err
	}
	k.Due = timeOf(due)
	return nil
}

func validate(tasks []frontier.Task) error {
	for _, t := range tasks {
		if err := t.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Add adds tasks not yet known. See frontier.Frontier.
func (d *DB) Add(ctx context.Context, tasks ...frontier.Task) (added int, err error) {
	if err := validate(tasks); err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, nil
	}
	err = d.w.do(ctx, func(ctx context.Context, t *tx) (err error) {
		added, err = t.add(ctx, d.now().UnixNano(), tasks)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("adding tasks: %w", err)
	}
	return added, nil
}

func (t *tx) add(ctx context.Context, now int64, tasks []frontier.Task) (added int, err error) {
	for _, k := range tasks {
		id, err := hex.DecodeString(k.ID)
		if err != nil {
			return 0, err
		}
		host, err := t.host(ctx, k.Host)
		if err != nil {
			return 0, err
		}
		due, state := nanos(k.Due), stateReady
		if due > now {
			state = stateLater
		}
		n, err := t.exec(ctx, `INSERT INTO tasks (id, url, host, source, page, depth, priority, delay, due, parent, state, tries)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, k.URL, host, k.Source, k.Page, k.Depth, k.Priority, int64(k.Delay), due, k.Parent, state, k.Tries)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			if !k.Sooner {
				continue
			}
			if err := t.sooner(ctx, now, id, k); err != nil {
				return 0, err
			}
			continue
		}
		added++
		t.move(k.Source, -1, state, 1)
		t.dirty[host] = true
	}
	return added, nil
}

// Next leases up to n tasks. See frontier.Frontier.
func (d *DB) Next(ctx context.Context, n int, lease time.Duration) (leases []frontier.Lease, wait time.Duration, err error) {
	if n < 1 || lease <= 0 {
		return nil, 0, fmt.Errorf("frontier: cannot lease %d tasks for %v; want at least 1 task and a positive time", n, lease)
	}
	err = d.w.do(ctx, func(ctx context.Context, t *tx) (err error) {
		leases, wait, err = t.next(ctx, d.now(), n, lease)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("leasing: %w", err)
	}
	if len(leases) == 0 {
		return nil, wait, frontier.ErrNoneDue
	}
	return leases, 0, nil
}

func (t *tx) next(ctx context.Context, now time.Time, n int, lease time.Duration) (leases []frontier.Lease, wait time.Duration, err error) {
	if _, err := t.takeBack(ctx, now.UnixNano()); err != nil {
		return nil, 0, err
	}
	if err := t.promote(ctx, now.UnixNano()); err != nil {
		return nil, 0, err
	}
	if err := t.schedule(ctx); err != nil {
		return nil, 0, err
	}
	var hosts []int64
	err = t.each(ctx, `SELECT n FROM hosts WHERE at <= ? ORDER BY at, n LIMIT ?`, []any{now.UnixNano(), n}, func(r *sql.Rows) error {
		var h int64
		err := r.Scan(&h)
		hosts = append(hosts, h)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for _, h := range hosts {
		l, err := t.lease(ctx, h, now, now.Add(lease))
		if err != nil {
			return nil, 0, err
		}
		leases = append(leases, l)
	}
	if len(leases) > 0 {
		return leases, 0, nil
	}
	wait, err = t.wait(ctx, now.UnixNano())
	return nil, wait, err
}

func (t *tx) lease(ctx context.Context, host int64, now, expires time.Time) (frontier.Lease, error) {
	l := frontier.Lease{Expires: expires}
	var n int64
	s, err := t.stmt(ctx, `SELECT `+taskColumns+`, t.n, t.token, t.etag, t.modified, t.hash, t.status
		FROM tasks t JOIN hosts h ON h.n = t.host WHERE t.host = ? AND t.state = 0
		ORDER BY t.priority DESC, t.due, t.n LIMIT 1`)
	if err != nil {
		return l, err
	}
	err = scanTask(s.QueryRowContext(ctx, host), &l.Task, &n, &l.Token,
		&l.Last.ETag, &l.Last.LastModified, &l.Last.ContentHash, &l.Last.Status)
	if err != nil {
		return l, fmt.Errorf("choosing a task: %w", err)
	}
	l.Token++
	if _, err := t.exec(ctx, `UPDATE tasks SET state = 3, token = ?, expires = ? WHERE n = ?`, l.Token, expires.UnixNano(), n); err != nil {
		return l, err
	}
	_, err = t.exec(ctx, `UPDATE hosts SET leased = 1, at = NULL, started = ?, delay = ? WHERE n = ?`, now.UnixNano(), int64(l.Delay), host)
	if err != nil {
		return l, err
	}
	t.move(l.Source, stateReady, stateLeased, 1)
	return l, nil
}

// wait computes how long nothing can be leased; 0 when nothing will ever be.
func (t *tx) wait(ctx context.Context, now int64) (time.Duration, error) {
	var at sql.NullInt64
	err := t.row(ctx, `SELECT min(at) FROM (SELECT min(at) AS at FROM hosts WHERE at IS NOT NULL
		UNION ALL SELECT min(due) FROM tasks WHERE state IN (1, 2)
		UNION ALL SELECT min(expires) FROM tasks WHERE state = 3)`, nil, &at)
	if err != nil || !at.Valid {
		return 0, err
	}
	return max(time.Duration(at.Int64-now), time.Millisecond), nil
}

type moved struct {
	n, host int64
	source  string
	state   int
}

func (t *tx) collect(ctx context.Context, query string, args ...any) (all []moved, err error) {
	err = t.each(ctx, query, args, func(r *sql.Rows) error {
		var m moved
		err := r.Scan(&m.n, &m.host, &m.source, &m.state)
		all = append(all, m)
		return err
	})
	return all, err
}

// takeBack makes the tasks whose lease ended by now due again.
func (t *tx) takeBack(ctx context.Context, now int64) (n int, err error) {
	lost, err := t.collect(ctx, `SELECT n, host, source, state FROM tasks WHERE state = 3 AND expires <= ? LIMIT ?`, now, maxSweep)
	if err != nil {
		return 0, err
	}
	for _, m := range lost {
		if _, err := t.exec(ctx, `UPDATE tasks SET state = 0, lost = lost + 1 WHERE n = ?`, m.n); err != nil {
			return 0, err
		}
		if err := t.free(ctx, m.host); err != nil {
			return 0, err
		}
		t.move(m.source, stateLeased, stateReady, 1)
	}
	return len(lost), nil
}

// promote makes the tasks whose time has come ready.
func (t *tx) promote(ctx context.Context, now int64) error {
	due, err := t.collect(ctx, `SELECT n, host, source, state FROM tasks WHERE state IN (1, 2) AND due <= ? ORDER BY due LIMIT ?`, now, maxSweep)
	if err != nil {
		return err
	}
	for _, m := range due {
		if _, err := t.exec(ctx, `UPDATE tasks SET state = 0 WHERE n = ?`, m.n); err != nil {
			return err
		}
		t.move(m.source, m.state, stateReady, 1)
		t.dirty[m.host] = true
	}
	return nil
}

func (t *tx) free(ctx context.Context, host int64) error {
	t.dirty[host] = true
	_, err := t.exec(ctx, `UPDATE hosts SET leased = 0 WHERE n = ?`, host)
	return err
}

// Extend prolongs a lease. See frontier.Frontier.
func (d *DB) Extend(ctx context.Context, l frontier.Lease, lease time.Duration) (frontier.Lease, error) {
	err := d.w.do(ctx, func(ctx context.Context, t *tx) error {
		l.Expires = d.now().Add(lease)
		id, err := hex.DecodeString(l.ID)
		if err != nil {
			return domainError{frontier.ErrStaleLease}
		}
		n, err := t.exec(ctx, `UPDATE tasks SET expires = ? WHERE id = ? AND token = ? AND state = 3`, l.Expires.UnixNano(), id, l.Token)
		if err == nil && n == 0 {
			return domainError{frontier.ErrStaleLease}
		}
		return err
	})
	if err != nil {
		return l, fmt.Errorf("extending the lease of %s: %w", l.URL, err)
	}
	return l, nil
}

// answer ends a lease: the task goes to state with the columns that set names
// (its arguments follow), and the host is free again.
func (t *tx) answer(ctx context.Context, l frontier.Lease, state int, set string, args ...any) error {
	id, err := hex.DecodeString(l.ID)
	if err != nil {
		return domainError{frontier.ErrStaleLease}
	}
	var host int64
	var source string
	err = t.row(ctx, `UPDATE tasks SET state = ?, `+set+` WHERE id = ? AND token = ? AND state = 3 RETURNING host, source`,
		append(append([]any{state}, args...), id, l.Token), &host, &source)
	if errors.Is(err, sql.ErrNoRows) {
		return domainError{frontier.ErrStaleLease}
	}
	if err != nil {
		return err
	}
	t.move(source, stateLeased, state, 1)
	return t.free(ctx, host)
}

// Done acknowledges a task. See frontier.Frontier.
func (d *DB) Done(ctx context.Context, l frontier.Lease, out frontier.Outcome, found ...frontier.Task) (added int, err error) {
	if err := errors.Join(validate(found), frontier.ValidateNotes(out.Notes)); err != nil {
		return 0, err
	}
	err = d.w.do(ctx, func(ctx context.Context, t *tx) (err error) {
		now := d.now().UnixNano()
		added = 0
		state := stateDone
		if !out.Again.IsZero() {
			state = stateAgain
		}
		const lift = `tries = 0, lost = 0, reason = ?, changed = ?, due = ?, priority = priority - lift + ?, lift = ?`
		if out.Status == 0 {
			err = t.answer(ctx, l, state, lift, out.Reason, now, nanos(out.Again), out.Lift, out.Lift)
		} else {
			err = t.answer(ctx, l, state, lift+`, fetched = ?, status = ?, etag = ?, modified = ?, hash = ?`,
				"", now, nanos(out.Again), out.Lift, out.Lift, now, out.Status, out.ETag, out.LastModified, out.ContentHash)
		}
		if err != nil {
			return err
		}
		if err := t.note(ctx, out.Notes); err != nil {
			return err
		}
		added, err = t.add(ctx, now, found)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("acknowledging %s: %w", l.URL, err)
	}
	return added, nil
}

// Retry gives a task back, counting a try. See frontier.Frontier.
func (d *DB) Retry(ctx context.Context, l frontier.Lease, at time.Time, reason string) error {
	err := d.w.do(ctx, func(ctx context.Context, t *tx) error {
		now := d.now().UnixNano()
		due, state := nanos(at), stateReady
		if due > now {
			state = stateLater
		}
		return t.answer(ctx, l, state, `tries = tries + 1, lost = 0, changed = ?, due = ?, reason = ?`, now, due, reason)
	})
	if err != nil {
		return fmt.Errorf("giving %s back for another try: %w", l.URL, err)
	}
	return nil
}

// Release gives a task back unharmed. See frontier.Frontier.
func (d *DB) Release(ctx context.Context, l frontier.Lease) error {
	err := d.w.do(ctx, func(ctx context.Context, t *tx) error {
		return t.answer(ctx, l, stateReady, `expires = 0`)
	})
	if err != nil {
		return fmt.Errorf("releasing %s: %w", l.URL, err)
	}
	return nil
}

// Dead gives a task up. See frontier.Frontier.
func (d *DB) Dead(ctx context.Context, l frontier.Lease, reason string) error {
	err := d.w.do(ctx, func(ctx context.Context, t *tx) error {
		return t.answer(ctx, l, stateDead, `changed = ?, reason = ?`, d.now().UnixNano(), reason)
	})
	if err != nil {
		return fmt.Errorf("giving %s up: %w", l.URL, err)
	}
	return nil
}

// BackOff forbids starts on host before until. See frontier.Frontier.
func (d *DB) BackOff(ctx context.Context, host string, until time.Time, reason string) error {
	err := d.w.do(ctx, func(ctx context.Context, t *tx) error {
		h, err := t.host(ctx, host)
		if err != nil {
			return err
		}
		t.dirty[h] = true
		_, err = t.exec(ctx, `UPDATE hosts SET backoff = ?1, reason = ?2 WHERE n = ?3 AND backoff < ?1`, nanos(until), reason, h)
		return err
	})
	if err != nil {
		return fmt.Errorf("backing off %s: %w", host, err)
	}
	return nil
}

// Restart begins a new pass over a source. See frontier.Frontier.
func (d *DB) Restart(ctx context.Context, source string) (n int, err error) {
	n, err = d.sweep(ctx, source, []int{stateAgain, stateDone, stateDead},
		`UPDATE tasks SET state = 0, due = CASE state WHEN 5 THEN changed ELSE fetched END, tries = 0, lost = 0, reason = '' WHERE source = ? AND state IN (2, 4, 5)`, stateReady)
	if err != nil {
		return 0, fmt.Errorf("restarting source %s: %w", source, err)
	}
	return n, nil
}

// Revive makes dead tasks due at once. See frontier.Frontier.
func (d *DB) Revive(ctx context.Context, ids ...string) (n int, err error) {
	err = d.w.do(ctx, func(ctx context.Context, t *tx) error {
		n = 0
		for _, name := range ids {
			id, err := hex.DecodeString(name)
			if err != nil {
				continue // known to nobody
			}
			var host int64
			var source string
			err = t.row(ctx, `UPDATE tasks SET state = 0, due = 0, tries = 0, lost = 0, reason = '' WHERE id = ? AND state = 5 RETURNING host, source`,
				[]any{id}, &host, &source)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			n++
			t.move(source, stateDead, stateReady, 1)
			t.dirty[host] = true
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("reviving tasks: %w", err)
	}
	return n, nil
}

// Finish ends a pass over a source early. See frontier.Frontier.
func (d *DB) Finish(ctx context.Context, source string) (n int, err error) {
	n, err = d.sweep(ctx, source, []int{stateReady, stateLater},
		`UPDATE tasks SET state = 4 WHERE source = ? AND state IN (0, 1)`, stateDone)
	if err != nil {
		return 0, fmt.Errorf("finishing source %s: %w", source, err)
	}
	return n, nil
}

// sweep moves all tasks of a source that are in one of the states from.
func (d *DB) sweep(ctx context.Context, source string, from []int, update string, to int) (n int, err error) {
	err = d.w.do(ctx, func(ctx context.Context, t *tx) error {
		n = 0
		if err := t.flushCounts(ctx); err != nil {
			return err
		}
		for _, state := range from {
			var c int
			err := t.row(ctx, `SELECT n FROM counts WHERE source = ? AND state = ?`, []any{source, state}, &c)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			if c != 0 {
				t.move(source, state, to, c)
				n += c
			}
		}
		if n == 0 {
			return nil
		}
		err := t.each(ctx, `SELECT DISTINCT host FROM tasks WHERE source = ?`, []any{source}, func(r *sql.Rows) error {
			var h int64
			err := r.Scan(&h)
			t.dirty[h] = true
			return err
		})
		if err != nil {
			return err
		}
		changed, err := t.exec(ctx, update, source)
		if err == nil && int(changed) != n {
			return fmt.Errorf("counted %d tasks but moved %d: the counts of the file are wrong", n, changed)
		}
		return err
	})
	return n, err
}
