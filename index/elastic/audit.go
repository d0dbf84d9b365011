package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"qingyuan/index"
)

// The trail is a chain, and Elasticsearch has no transaction over documents.
// So its end is one document, the head, which names the last rows in full. A
// conditional write of the head is the append; the rows are then written out
// one document each, again and again until that is done, before the next
// append. No row can so be missing, come twice, or follow two different ones.

// auditHead is the end of the trail.
type auditHead struct {
	Seq    int64            `json:"seq"`
	Hash   string           `json:"hash"`
	Rows   []index.AuditRow `json:"rows"`             // the last append
	Record string           `json:"record,omitempty"` // whose outbox they come from
	Change string           `json:"change,omitempty"`
}

const auditHeadID = "audit-head"

// head reads the end of the trail; a nil place means that there is none yet.
func (s *Store) head(ctx context.Context) (auditHead, *place, error) {
	var h auditHead
	var d struct {
		SeqNo  int64 `json:"_seq_no"`
		Term   int64 `json:"_primary_term"`
		Source struct {
			Qingyuan struct {
				Head string `json:"audit_head"`
			} `json:"qingyuan"`
		} `json:"_source"`
	}
	err := s.c.call(ctx, http.MethodGet, "/"+s.names.state.write+"/_doc/"+auditHeadID, nil, &d)
	if is(err, http.StatusNotFound) && !isMissingIndex(err) {
		return h, nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(d.Source.Qingyuan.Head), &h)
	}
	return h, &place{d.SeqNo, d.Term}, err
}

// appendRows adds to the end of the trail what rows returns; none is none. It
// is called again after every append of somebody else, so that it can see
// whether its rows were among these.
func (s *Store) appendRows(ctx context.Context, rows func() (auditHead, error)) error {
	s.auditMu.Lock()
	defer s.auditMu.Unlock()
	for range 10 * conflictTries {
		head, at, err := s.head(ctx)
		if err != nil {
			return err
		}
		if err := s.writeOut(ctx, head); err != nil {
			return err
		}
		next, err := rows()
		if err != nil || len(next.Rows) == 0 {
			return err
		}
		next.Seq, next.Hash = head.Seq, head.Hash
		for i := range next.Rows {
			r := next.Rows[i].Valid()
			next.Seq++
			r.Seq = next.Seq
			if next.Hash, err = r.ChainHash(next.Hash); err != nil {
				return err
			}
			r.Hash = next.Hash
			next.Rows[i] = r
		}
		err = s.writeHead(ctx, next, at)
		if is(err, http.StatusConflict) {
			if err := sleep(ctx, rand.N(20*time.Millisecond)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		return s.writeOut(ctx, next)
	}
	return fmt.Errorf("%w: others append to the audit trail all the time", ErrUnavailable)
}

func (s *Store) writeHead(ctx context.Context, h auditHead, at *place) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"@timestamp": date(s.now()), "qingyuan": map[string]any{"schema_version": SchemaVersion, "audit_head": string(raw)}})
	if err != nil {
		return err
	}
	condition := "op_type=create"
	if at != nil {
		condition = fmt.Sprintf("if_seq_no=%d&if_primary_term=%d", at.seqNo, at.term)
	}
	return s.c.call(ctx, http.MethodPut, "/"+s.names.state.write+"/_doc/"+auditHeadID+"?require_alias=true&"+condition, body, nil)
}

// auditDoc is one row of the trail.
type auditDoc struct {
	Timestamp date    `json:"@timestamp"`
	ECS       ecsSelf `json:"ecs"`
	Message   string  `json:"message"`
	Event     struct {
		Kind     string  `json:"kind"`
		Category string  `json:"category"`
		Type     string  `json:"type"`
		Action   keyword `json:"action"`
		Module   string  `json:"module"`
		Dataset  string  `json:"dataset"`
		Sequence int64   `json:"sequence"`
		Hash     string  `json:"hash"`
	} `json:"event"`
	User struct {
		Name keyword `json:"name"`
	} `json:"user"`
	Qingyuan struct {
		SchemaVersion int `json:"schema_version"`
		Audit         struct {
			RecordID  keyword `json:"record_id"`
			From      keyword `json:"from"`
			To        keyword `json:"to"`
			RequestID keyword `json:"request_id"`
			Change    keyword `json:"change"` // the triage change; null for other acts
			Row       string  `json:"row"`    // JSON of index.AuditRow, what the hash is of
		} `json:"audit"`
	} `json:"qingyuan"`
}

// writeOut writes the rows that the head names as documents and empties the
// outbox that they come from.
func (s *Store) writeOut(ctx context.Context, h auditHead) error {
	if len(h.Rows) == 0 || s.counts.written.Load() >= h.Seq {
		return nil
	}
	ops := make([]op, 0, len(h.Rows))
	for _, r := range h.Rows {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		d := auditDoc{Timestamp: date(r.At), ECS: ecsSelf{ecsVersion}, Message: r.Note}
		e := &d.Event
		e.Kind, e.Category, e.Type, e.Action, e.Module, e.Dataset, e.Sequence, e.Hash = "event", "process", "change", keyword(r.Action), "qingyuan", "qingyuan.audit", r.Seq, r.Hash
		d.User.Name = keyword(r.Actor)
		a := &d.Qingyuan.Audit
		d.Qingyuan.SchemaVersion = SchemaVersion
		a.From, a.To, a.RequestID, a.Change, a.Row = keyword(r.From), keyword(r.To), keyword(r.RequestID), keyword(h.Change), string(raw)
		if r.RecordID != "" {
			a.RecordID = keyword(docID(r.RecordID))
		}
		body, err := json.Marshal(d)
		if err != nil {
			return err
		}
		ops = append(ops, op{action: "create", index: s.names.audit.write, id: fmt.Sprintf("%016d", r.Seq), body: body})
	}
	results, err := s.bulk(ctx, ops)
	if err != nil {
		return err
	}
	s.fresh.wrote()
	for i, o := range results {
		if !o.ok() && o.status != http.StatusConflict {
			return fmt.Errorf("audit row %d: %w", h.Rows[i].Seq, &serverError{status: o.status, kind: o.kind, reason: o.reason})
		}
	}
	if h.Change != "" {
		if err := s.emptyOutbox(ctx, h.Record, h.Change); err != nil {
			return err
		}
	}
	for {
		seen := s.counts.written.Load()
		if seen >= h.Seq || s.counts.written.CompareAndSwap(seen, h.Seq) {
			return nil
		}
	}
}

// showTrail makes sure that a search of the trail finds everything that was
// done, to one record or, with "", to all.
func (s *Store) showTrail(ctx context.Context, id string) error {
	h, _, err := s.head(ctx)
	if err != nil {
		return err
	}
	if err := s.writeOut(ctx, h); err != nil {
		return err
	}
	if id == "" {
		return s.deliverAll(ctx)
	}
	if _, err := s.settled(ctx, id); err != nil && !errors.Is(err, index.ErrNotFound) {
		return err
	}
	return nil
}

// eachRow calls fn for the rows that match, by their number.
func (s *Store) eachRow(ctx context.Context, query any, direction string, limit int, fn func(index.AuditRow) error) error {
	b := searchBody{Query: query, Size: 1000, Source: []string{"qingyuan.audit.row"}, Sort: []any{map[string]string{"event.sequence": direction}}}
	for n := 0; ; {
		if limit > 0 {
			b.Size = min(1000, limit-n)
		}
		if b.Size == 0 {
			return nil
		}
		var answer struct {
			Hits struct {
				Hits []struct {
					ID     string            `json:"_id"`
					Sort   []json.RawMessage `json:"sort"`
					Source struct {
						Qingyuan struct {
							Audit struct {
								Row string `json:"row"`
							} `json:"audit"`
						} `json:"qingyuan"`
					} `json:"_source"`
				} `json:"hits"`
			} `json:"hits"`
		}
		if err := s.search(ctx, s.names.audit.read, b, &answer); err != nil {
			return err
		}
		for _, h := range answer.Hits.Hits {
			var r index.AuditRow
			if err := json.Unmarshal([]byte(h.Source.Qingyuan.Audit.Row), &r); err != nil {
				return fmt.Errorf("audit row %s is damaged: %w", h.ID, err)
			}
			if err := fn(r); err != nil {
				return err
			}
			b.After = []any{h.Sort[0]}
			n++
		}
		if len(answer.Hits.Hits) < b.Size {
			return nil
		}
	}
}

// Audit implements index.Store.
func (s *Store) Audit(ctx context.Context, id string, before int64, limit int) ([]index.AuditRow, error) {
	if limit < 0 || before < 0 {
		return nil, fmt.Errorf("%w: audit limit %d and before %d may not be negative", index.ErrInvalid, limit, before)
	}
	if s.closed.Load() {
		return nil, index.ErrClosed
	}
	if limit == 0 {
		limit = index.DefaultLimit
	}
	if err := s.showTrail(ctx, id); err != nil {
		return nil, s.explain("reading the audit trail", err)
	}
	var filter []any
	if id != "" {
		filter = append(filter, term("qingyuan.audit.record_id", docID(id)))
	}
	if before > 0 {
		filter = append(filter, map[string]any{"range": map[string]any{"event.sequence": map[string]any{"lt": before}}})
	}
	var out []index.AuditRow
	err := s.eachRow(ctx, map[string]any{"bool": map[string]any{"filter": append([]any{}, filter...)}}, "desc", limit, func(r index.AuditRow) error {
		out = append(out, r)
		return nil
	})
	return out, s.explain("reading the audit trail", err)
}

// AppendAudit implements index.Store.
func (s *Store) AppendAudit(ctx context.Context, row index.AuditRow) error {
	if row.Actor == "" || row.Action == "" {
		return fmt.Errorf("%w: an audit row needs an actor and an action", index.ErrInvalid)
	}
	if s.closed.Load() {
		return index.ErrClosed
	}
	if row.At.IsZero() {
		row.At = s.now()
	}
	row.At = row.At.UTC().Truncate(time.Microsecond)
	err := s.ready(ctx)
	if err == nil {
		err = s.appendRows(ctx, func() (auditHead, error) { return auditHead{Rows: []index.AuditRow{row}}, nil })
	}
	return s.explain("appending to the audit trail", err)
}

// AuditHead implements index.Store.
func (s *Store) AuditHead(ctx context.Context) (seq int64, hash string, err error) {
	if s.closed.Load() {
		return 0, "", index.ErrClosed
	}
	h, _, err := s.head(ctx)
	return h.Seq, h.Hash, s.explain("reading the head of the audit trail", err)
}

// VerifyAudit implements index.Store. The chain has no key: see index.Store.
func (s *Store) VerifyAudit(ctx context.Context) error {
	if s.closed.Load() {
		return index.ErrClosed
	}
	if err := s.showTrail(ctx, ""); err != nil {
		return s.explain("verifying the audit trail", err)
	}
	head, _, err := s.head(ctx)
	if err != nil {
		return s.explain("verifying the audit trail", err)
	}
	var seq int64
	var hash string
	err = s.eachRow(ctx, map[string]any{"range": map[string]any{"event.sequence": map[string]any{"lte": head.Seq}}}, "asc", 0, func(r index.AuditRow) error {
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
	if err == nil && (seq != head.Seq || hash != head.Hash) {
		err = &index.AuditError{Problem: fmt.Sprintf("it ends at row %d, but %d rows were written", seq, head.Seq)}
	}
	return s.explain("verifying the audit trail", err)
}
