package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Repace changes the delay of a source. See frontier.Frontier.
func (d *DB) Repace(ctx context.Context, source string, delay time.Duration) (n int, err error) {
	if delay < 0 {
		return 0, fmt.Errorf("frontier: a delay of %v for source %s; want 0 or more", delay, source)
	}
	err = d.w.do(ctx, func(ctx context.Context, t *tx) error {
		changed, err := t.exec(ctx, `UPDATE tasks SET delay = ? WHERE source = ? AND delay <> ?`, int64(delay), source, int64(delay))
		if n = int(changed); err != nil || n == 0 {
			return err
		}
		hosts := map[int64]bool{}
		err = t.each(ctx, `SELECT DISTINCT host FROM tasks WHERE source = ?`, []any{source}, func(r *sql.Rows) error {
			var h int64
			err := r.Scan(&h)
			hosts[h] = true
			return err
		})
		if err != nil {
			return err
		}
		for h := range hosts {
			_, err := t.exec(ctx, `UPDATE hosts SET delay = ? WHERE n = ?
				AND NOT EXISTS (SELECT 1 FROM tasks o WHERE o.host = hosts.n AND o.state = 0 AND o.source <> ?)`, int64(delay), h, source)
			if err != nil {
				return err
			}
			t.dirty[h] = true
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("changing the delay of source %s: %w", source, err)
	}
	return n, nil
}
