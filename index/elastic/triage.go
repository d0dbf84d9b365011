package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"qingyuan/index"
)

// outbox holds the audit rows of a triage change until they stand in the
// trail. It is written with the change itself, in one document, so that
// neither is ever there without the other.
type outbox struct {
	Change string           `json:"change"` // record@version
	Rows   []index.AuditRow `json:"rows"`
}

// outboxJSON is an outbox as the document keeps it: text, which is not indexed.
type outboxJSON outbox

// MarshalJSON writes the outbox as a string.
func (o outboxJSON) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(outbox(o))
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(raw))
}

// UnmarshalJSON undoes MarshalJSON.
func (o *outboxJSON) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), (*outbox)(o))
}

// Triage implements index.Store. The change and its audit rows are one write;
// the rows then move to the end of the trail, which whoever comes next does
// should this process end in between.
func (s *Store) Triage(ctx context.Context, id string, version int64, c index.TriageChange) (index.Triage, error) {
	c, err := c.Clean()
	if err != nil {
		return index.Triage{}, err
	}
	if s.closed.Load() {
		return index.Triage{}, index.ErrClosed
	}
	next, err := s.change(ctx, id, version, c)
	if err != nil {
		return index.Triage{}, s.explain("changing triage", err)
	}
	return next, nil
}

func (s *Store) change(ctx context.Context, id string, version int64, c index.TriageChange) (index.Triage, error) {
	if err := s.ready(ctx); err != nil {
		return index.Triage{}, err
	}
	for range conflictTries {
		d, err := s.settled(ctx, id)
		if err != nil {
			return index.Triage{}, err
		}
		old := d.triage()
		if old.Version != version {
			return index.Triage{}, index.ErrConflict
		}
		next, rows := c.Apply(old, id, s.now())
		if len(rows) == 0 {
			return next, nil
		}
		for i := range rows {
			rows[i] = rows[i].Valid()
		}
		o := outboxJSON{Change: fmt.Sprintf("%s@%d", docID(id), next.Version), Rows: rows}
		part := map[string]any{"triage": newTriageDoc(next), "outbox": o, "outbox_at": date(next.UpdatedAt)}
		err = s.updatePart(ctx, d, part)
		if is(err, http.StatusConflict) {
			// Somebody else's decision, or only the crawl's: look again.
			if err := sleep(ctx, rand.N(10*time.Millisecond)); err != nil {
				return index.Triage{}, err
			}
			continue
		}
		if err != nil {
			return index.Triage{}, err
		}
		s.fresh.wrote()
		if err := s.deliver(ctx, id, o.Change); err != nil {
			// The decision stands, with its rows beside it.
			s.opts.Logger.Warn("audit rows wait beside their record and will be appended with the next look at the trail", "record", id, "error", err)
		}
		return next, nil
	}
	return index.Triage{}, fmt.Errorf("%w: the record was changed by others each time", ErrUnavailable)
}

// settled reads a record whose earlier changes stand in the trail.
func (s *Store) settled(ctx context.Context, id string) (*stored, error) {
	for range conflictTries {
		d, err := s.get(ctx, id)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, index.ErrNotFound
		}
		if d.Source.Qingyuan.Outbox == nil {
			return d, nil
		}
		if err := s.deliver(ctx, id, d.Source.Qingyuan.Outbox.Change); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: record %s always has audit rows waiting", ErrUnavailable, id)
}

// updatePart writes a part of the qingyuan section of a document if it still
// stands where it was read.
func (s *Store) updatePart(ctx context.Context, d *stored, part map[string]any) error {
	body, err := json.Marshal(map[string]any{"doc": map[string]any{"qingyuan": part}})
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/%s/_update/%s?require_alias=true&if_seq_no=%d&if_primary_term=%d", s.names.posts.write, url.PathEscape(d.ID), d.SeqNo, d.Term)
	return s.c.call(ctx, http.MethodPost, path, body, nil)
}

// deliver appends the rows of a change to the trail, unless they are there.
func (s *Store) deliver(ctx context.Context, id, change string) error {
	return s.appendRows(ctx, func() (auditHead, error) {
		d, err := s.get(ctx, id)
		if err != nil || d == nil {
			return auditHead{}, err
		}
		o := d.Source.Qingyuan.Outbox
		if o == nil || o.Change != change {
			return auditHead{}, nil
		}
		return auditHead{Change: change, Record: id, Rows: o.Rows}, nil
	})
}

// emptyOutbox takes a change off its record once its rows stand in the trail.
func (s *Store) emptyOutbox(ctx context.Context, id, change string) error {
	for range conflictTries {
		d, err := s.get(ctx, id)
		if err != nil || d == nil {
			return err
		}
		if o := d.Source.Qingyuan.Outbox; o == nil || o.Change != change {
			return nil
		}
		err = s.updatePart(ctx, d, map[string]any{"outbox": nil, "outbox_at": nil})
		if err == nil {
			s.fresh.wrote()
			return nil
		}
		if !is(err, http.StatusConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: record %s changes faster than its audit rows move", ErrUnavailable, id)
}

// deliverAll appends what processes that ended left beside their records.
func (s *Store) deliverAll(ctx context.Context) error {
	found, err := s.searchPage(ctx, searchBody{Query: exists("qingyuan.outbox_at"), Size: 1000, Sort: []any{"qingyuan.outbox_at", "event.id"},
		Source: []string{"qingyuan.outbox", "qingyuan.record"}})
	if err != nil {
		return err
	}
	for _, h := range found.Hits {
		o := h.Source.Qingyuan.Outbox
		if o == nil || len(o.Rows) == 0 {
			continue
		}
		if err := s.deliver(ctx, o.Rows[0].RecordID, o.Change); err != nil && !errors.Is(err, index.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Comments implements index.Store. A comment is a row of the audit trail,
// which nobody can change.
func (s *Store) Comments(ctx context.Context, id string) ([]index.Comment, error) {
	if s.closed.Load() {
		return nil, index.ErrClosed
	}
	if err := s.showTrail(ctx, id); err != nil {
		return nil, s.explain("reading comments", err)
	}
	query := boolean("filter", term("qingyuan.audit.record_id", docID(id)), term("event.action", "comment"), exists("qingyuan.audit.change"))
	var out []index.Comment
	err := s.eachRow(ctx, query, "asc", 0, func(r index.AuditRow) error {
		out = append(out, index.Comment{At: r.At, Actor: r.Actor, Text: r.Note})
		return nil
	})
	return out, s.explain("reading comments", err)
}
