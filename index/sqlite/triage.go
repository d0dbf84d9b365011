package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"qingyuan/index"
)

// Triage implements index.Store.
func (s *Store) Triage(ctx context.Context, id string, version int64, c index.TriageChange) (index.Triage, error) {
	c, err := c.Clean()
	if err != nil {
		return index.Triage{}, err
	}
	var next index.Triage
	shapes := map[string]int64{}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		rid, old, err := triageOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if old.Version != version {
			return index.ErrConflict
		}
		var rows []index.AuditRow
		next, rows = c.Apply(old, id, s.now())
		if len(rows) == 0 {
			return nil
		}
		p := putter{s: s, tx: tx, ctx: ctx, shapes: shapes}
		if err := p.storeTriage(rid, old, next); err != nil {
			return err
		}
		if c.Comment != "" {
			if _, err := tx.ExecContext(ctx, "INSERT INTO comments (rid, at, actor, text) VALUES (?,?,?,?)",
				rid, micros(next.UpdatedAt), c.Actor, []byte(c.Comment)); err != nil {
				return err
			}
		}
		return appendAudit(ctx, tx, rows)
	})
	if err != nil {
		return index.Triage{}, s.explain("changing triage", err)
	}
	s.shapes.add(shapes)
	return next, nil
}

func triageOf(ctx context.Context, tx *sql.Tx, id string) (int64, index.Triage, error) {
	var (
		rid, updated int64
		tags         []byte
		t            index.Triage
	)
	err := tx.QueryRowContext(ctx, `SELECT rid, status, assignee, reason, tags, comment_count, version, updated, updated_by
		FROM posts WHERE id = ?`, id).Scan(&rid, &t.Status, &t.Assignee, &t.Reason, &tags, &t.CommentCount, &t.Version, &updated, &t.UpdatedBy)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, t, index.ErrNotFound
	}
	if err != nil {
		return 0, t, err
	}
	if err := json.Unmarshal(tags, &t.Tags); err != nil {
		return 0, t, fmt.Errorf("tags of record %s are damaged: %w", id, err)
	}
	if len(t.Tags) == 0 {
		t.Tags = nil
	}
	t.UpdatedAt = fromMicros(updated)
	return rid, t, nil
}

func (p *putter) storeTriage(rid int64, old, next index.Triage) error {
	shape, err := p.shape(triageKey(next.Status, next.Assignee, next.Reason, next.Tags))
	if err != nil {
		return err
	}
	tags, err := json.Marshal(append([]string{}, next.Tags...))
	if err != nil {
		return err
	}
	if _, err := p.tx.ExecContext(p.ctx, `UPDATE posts SET status=?, assignee=?, reason=?, tags=?, comment_count=?, version=?,
		updated=?, updated_by=?, triage_shape=? WHERE rid=?`, string(next.Status), next.Assignee, next.Reason, string(tags),
		next.CommentCount, next.Version, micros(next.UpdatedAt), next.UpdatedBy, shape, rid); err != nil {
		return err
	}
	for _, t := range old.Tags {
		if !slices.Contains(next.Tags, t) {
			if _, err := p.stmt(p.s.stmts.labelDelete).ExecContext(p.ctx, "tag", t, rid); err != nil {
				return err
			}
		}
	}
	for _, t := range next.Tags {
		if _, err := p.stmt(p.s.stmts.labelInsert).ExecContext(p.ctx, "tag", t, rid); err != nil {
			return err
		}
	}
	return nil
}

// appendAudit adds rows to the end of the chain.
func appendAudit(ctx context.Context, tx *sql.Tx, rows []index.AuditRow) error {
	var seq int64
	var hash string
	if err := tx.QueryRowContext(ctx, "SELECT seq, hash FROM audit_head").Scan(&seq, &hash); err != nil {
		return err
	}
	for _, r := range rows {
		r = r.Valid()
		seq++
		r.Seq = seq
		var err error
		if hash, err = r.ChainHash(hash); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO audit (seq, at, actor, action, record_id, was, became, note, request_id, hash)
			VALUES (?,?,?,?,?,?,?,?,?,?)`, r.Seq, micros(r.At), r.Actor, r.Action, r.RecordID, r.From, r.To, r.Note, r.RequestID, hash); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "UPDATE audit_head SET seq = ?, hash = ?", seq, hash)
	return err
}

const auditColumns = "seq, at, actor, action, record_id, was, became, note, request_id, hash"

func scanAudit(rows *sql.Rows) (index.AuditRow, error) {
	var r index.AuditRow
	var at int64
	err := rows.Scan(&r.Seq, &at, &r.Actor, &r.Action, &r.RecordID, &r.From, &r.To, &r.Note, &r.RequestID, &r.Hash)
	r.At = fromMicros(at)
	return r, err
}

// Audit implements index.Store.
func (s *Store) Audit(ctx context.Context, id string, before int64, limit int) ([]index.AuditRow, error) {
	if limit < 0 || before < 0 {
		return nil, fmt.Errorf("%w: audit limit %d and before %d may not be negative", index.ErrInvalid, limit, before)
	}
	if limit == 0 {
		limit = index.DefaultLimit
	}
	where, args := "1", []any{}
	if id != "" {
		where, args = "record_id = ?", append(args, id)
	}
	if before > 0 {
		where, args = where+" AND seq < ?", append(args, before)
	}
	var out []index.AuditRow
	err := s.inReadTx(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, "SELECT "+auditColumns+" FROM audit WHERE "+where+" ORDER BY seq DESC LIMIT ?", append(args, limit), func(rows *sql.Rows) error {
			r, err := scanAudit(rows)
			out = append(out, r)
			return err
		})
	})
	return out, s.explain("reading the audit trail", err)
}

// AppendAudit implements index.Store.
func (s *Store) AppendAudit(ctx context.Context, row index.AuditRow) error {
	if row.Actor == "" || row.Action == "" {
		return fmt.Errorf("%w: an audit row needs an actor and an action", index.ErrInvalid)
	}
	if row.At.IsZero() {
		row.At = s.now()
	}
	row.At = row.At.UTC()
	row.At = fromMicros(micros(row.At))
	err := s.inTx(ctx, func(tx *sql.Tx) error { return appendAudit(ctx, tx, []index.AuditRow{row}) })
	return s.explain("appending to the audit trail", err)
}

// AuditHead implements index.Store.
func (s *Store) AuditHead(ctx context.Context) (seq int64, hash string, err error) {
	err = s.inReadTx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT seq, hash FROM audit_head").Scan(&seq, &hash)
	})
	return seq, hash, s.explain("reading the head of the audit trail", err)
}

// VerifyAudit implements index.Store. The chain has no key: see index.Store.
func (s *Store) VerifyAudit(ctx context.Context) error {
	err := s.inReadTx(ctx, func(tx *sql.Tx) error {
		var headSeq, seq int64
		var headHash, hash string
		if err := tx.QueryRowContext(ctx, "SELECT seq, hash FROM audit_head").Scan(&headSeq, &headHash); err != nil {
			return err
		}
		err := each(ctx, tx, "SELECT "+auditColumns+" FROM audit ORDER BY seq", nil, func(rows *sql.Rows) error {
			r, err := scanAudit(rows)
			if err != nil {
				return err
			}
			if r.Seq != seq+1 {
				return &index.AuditError{Seq: seq + 1, Problem: fmt.Sprintf("the row is missing; row %d follows", r.Seq)}
			}
			want, err := r.ChainHash(hash)
			if err != nil {
				return err
			}
			if want != r.Hash {
				return &index.AuditError{Seq: r.Seq, Problem: "its content or a row before it was changed: the hash does not fit"}
			}
			seq, hash = r.Seq, r.Hash
			return nil
		})
		if err != nil {
			return err
		}
		if seq != headSeq || hash != headHash {
			return &index.AuditError{Problem: fmt.Sprintf("it ends at row %d, but %d rows were written", seq, headSeq)}
		}
		return nil
	})
	return s.explain("verifying the audit trail", err)
}
