package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"qingyuan/crawler/frontier"
)

// sooner brings a known task forward to k.Due.
func (t *tx) sooner(ctx context.Context, now int64, id []byte, k frontier.Task) error {
	due, state := nanos(k.Due), stateReady
	if due == 0 {
		due = now
	}
	if due > now {
		state = stateLater
	}
	var was int
	var host, at int64
	var source string
	err := t.row(ctx, `SELECT state, due, host, source FROM tasks WHERE id = ?`, []any{id}, &was, &at, &host, &source)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if was != stateDone && was != stateDead && (was != stateAgain || at <= due) {
		return nil
	}
	_, err = t.exec(ctx, `UPDATE tasks SET state = ?, due = ?, tries = 0, lost = 0, reason = '', priority = priority - lift, lift = 0 WHERE id = ?`,
		state, due, id)
	if err != nil {
		return err
	}
	t.move(source, was, state, 1)
	t.dirty[host] = true
	return nil
}

// Note keeps values under keys. See frontier.Frontier.
func (d *DB) Note(ctx context.Context, notes map[string]string) error {
	if err := frontier.ValidateNotes(notes); err != nil {
		return err
	}
	if err := d.w.do(ctx, func(ctx context.Context, t *tx) error { return t.note(ctx, notes) }); err != nil {
		return fmt.Errorf("keeping notes: %w", err)
	}
	return nil
}

func (t *tx) note(ctx context.Context, notes map[string]string) error {
	for k, v := range notes {
		query, args := `INSERT INTO notes (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, []any{k, v}
		if v == "" {
			query, args = `DELETE FROM notes WHERE key = ?`, []any{k}
		}
		if _, err := t.exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// Notes returns the values kept under keys. See frontier.Frontier.
func (d *DB) Notes(ctx context.Context, keys ...string) (map[string]string, error) {
	out := make(map[string]string, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	rows, err := d.queryNotes(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("reading notes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return nil, fmt.Errorf("reading notes: %w", err)
		}
		out[k] = v
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading notes: %w", err)
	}
	return out, nil
}

// queryNotes asks for the notes under keys. For a page there are one or two.
func (d *DB) queryNotes(ctx context.Context, keys []string) (*sql.Rows, error) {
	if len(keys) <= 2 {
		return d.readTwo.QueryContext(ctx, keys[0], keys[len(keys)-1])
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	return d.readNotes.QueryContext(ctx, string(list))
}
