package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"qingyuan/index"
)

// Delete implements index.Store.
func (s *Store) Delete(ctx context.Context, d index.Deletion) (n int, err error) {
	if d.Source == "" || d.At.IsZero() {
		return 0, fmt.Errorf("%w: a deletion needs a source and the time when it was seen", index.ErrInvalid)
	}
	now := s.now()
	if index.Ahead(d.At, now) {
		d.At = now
	}
	ids, err := json.Marshal(append([]string{}, d.IDs...))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", index.ErrInvalid, err)
	}
	thread := d.Thread
	if len(thread) > maxLabel {
		thread = thread[:maxLabel]
	}
	at, none, ahead := micros(d.At), micros(time.Time{}), micros(now.Add(index.MaxAhead))
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		n = 0
		for _, q := range [...]struct{ which, value string }{
			{`id IN (SELECT value FROM json_each(?5))`, string(ids)},
			{`rid IN (SELECT rid FROM labels WHERE field = 'url' AND value = ?5)`, thread},
		} {
			if q.value == "" {
				continue
			}
			res, err := tx.ExecContext(ctx, `UPDATE posts SET deleted = ?1 WHERE source = ?2 AND deleted = ?3 AND (fetched < ?1 OR fetched > ?4) AND `+q.which,
				at, d.Source, none, ahead, q.value)
			if err != nil {
				return err
			}
			changed, err := res.RowsAffected()
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, s.explain("noting a deletion", err)
	}
	return n, nil
}
