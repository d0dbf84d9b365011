package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"qingyuan/crawler/frontier"
)

// maxAhead bounds how many tasks are counted.
const maxAhead = 100_000

// Lookup tells where a URL stands. See frontier.Frontier.
func (d *DB) Lookup(ctx context.Context, id string) (frontier.Standing, error) {
	key, err := hex.DecodeString(id)
	if err != nil {
		return frontier.Standing{}, frontier.ErrUnknown
	}
	s, known, err := d.standing(ctx, key)
	if err != nil {
		return s, fmt.Errorf("looking up a task: %w", err)
	}
	r := frontier.Refusal{ID: id}
	var at int64
	err = d.db.QueryRowContext(ctx, `SELECT url, source, parent, reason, at FROM refusals WHERE id = ?`, key).
		Scan(&r.URL, &r.Source, &r.Parent, &r.Reason, &at)
	switch {
	case err == nil:
		r.At = timeOf(at)
		s.Refused = r
	case !errors.Is(err, sql.ErrNoRows):
		return s, fmt.Errorf("looking up a refusal: %w", err)
	case !known:
		return s, frontier.ErrUnknown
	}
	if !known {
		s.Task = frontier.Task{ID: id, URL: r.URL, Source: r.Source, Parent: r.Parent}
		s.State, s.Reason = frontier.StateRefused, r.Reason
	}
	return s, nil
}

func (d *DB) standing(ctx context.Context, id []byte) (s frontier.Standing, known bool, err error) {
	var n, host, state, expires, fetched, changed, started, delay, backoff int64
	row := d.db.QueryRowContext(ctx, `SELECT `+taskColumns+`, t.n, t.host, t.state, t.expires, t.fetched, t.changed,
			t.status, t.etag, t.modified, t.hash, t.reason, h.started, h.delay, h.backoff, h.reason, h.leased
		FROM tasks t JOIN hosts h ON h.n = t.host WHERE t.id = ?`, id)
	err = scanTask(row, &s.Task, &n, &host, &state, &expires, &fetched, &changed,
		&s.Last.Status, &s.Last.ETag, &s.Last.LastModified, &s.Last.ContentHash, &s.Reason, &started, &delay, &backoff, &s.HostReason, &s.HostBusy)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	s.Fetched, s.Changed, s.HostUntil = timeOf(fetched), timeOf(changed), timeOf(backoff)
	if started > 0 || backoff > 0 {
		s.HostFree = timeOf(max(backoff, started+max(delay, int64(s.Delay))))
	}
	switch state {
	case stateReady, stateLater:
		s.State = frontier.StateWaiting
		s.Ahead, err = d.ahead(ctx, host, n, s.Task)
	case stateLeased:
		s.State, s.Expires, s.HostBusy = frontier.StateLeased, timeOf(expires), false
	case stateAgain:
		s.State, s.Last.Again = frontier.StateDone, s.Due
	case stateDone:
		s.State = frontier.StateDone
	default:
		s.State = frontier.StateDead
	}
	return s, true, err
}

// ahead counts the due tasks of a host that are leased before the task n.
func (d *DB) ahead(ctx context.Context, host, n int64, k frontier.Task) (ahead int, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM tasks WHERE host = ?1 AND state = 0 AND n <> ?4
			AND (priority > ?2 OR priority = ?2 AND (due < ?3 OR due = ?3 AND n < ?4)) LIMIT ?5)`,
		host, k.Priority, nanos(k.Due), n, maxAhead).Scan(&ahead)
	return ahead, err
}

// Refuse remembers links that were left out. See frontier.Frontier.
func (d *DB) Refuse(ctx context.Context, refused ...frontier.Refusal) error {
	keys := make([][]byte, len(refused))
	sources := map[string]bool{}
	for i, r := range refused {
		key, err := hex.DecodeString(r.ID)
		if err != nil || len(key) != 32 || r.URL == "" || r.Source == "" {
			return fmt.Errorf("frontier: refusal of %q with id %q and source %q; want all three", r.URL, r.ID, r.Source)
		}
		keys[i], sources[r.Source] = key, true
	}
	if len(refused) == 0 {
		return nil
	}
	err := d.w.do(ctx, func(ctx context.Context, t *tx) error {
		now := d.now().UnixNano()
		for i, r := range refused {
			_, err := t.exec(ctx, `INSERT OR REPLACE INTO refusals (id, url, source, parent, reason, at) VALUES (?, ?, ?, ?, ?, ?)`,
				keys[i], r.URL, r.Source, r.Parent, r.Reason, now)
			if err != nil {
				return err
			}
		}
		for source := range sources {
			_, err := t.exec(ctx, `DELETE FROM refusals WHERE source = ?1 AND n <= (
				SELECT n FROM refusals WHERE source = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)`, source, frontier.MaxRefusals)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording refused links: %w", err)
	}
	return nil
}
