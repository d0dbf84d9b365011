package elastic

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"qingyuan/index"
)

// Put implements index.Store. While the server is away the records are durable
// in the spool; without one, or when it is full, Put fails. A batch that failed
// half-way is completed by putting it again.
func (s *Store) Put(ctx context.Context, recs []index.Record) error {
	for _, r := range recs {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	if s.closed.Load() {
		return index.ErrClosed
	}
	if len(recs) == 0 {
		return nil
	}
	return s.explain("putting records", s.orSpool(ctx, entry{Put: recs}, func(ctx context.Context) error { return s.putNow(ctx, recs) }))
}

// putNow writes records to the server. Those that it refuses are kept as dead
// letters, or without a folder for them are ErrInvalid.
func (s *Store) putNow(ctx context.Context, recs []index.Record) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	for wave := range waves(recs) {
		if err := s.putWave(ctx, wave); err != nil {
			return err
		}
	}
	return nil
}

// waves gives the records in lists without twins, so that the second of one
// post comes after the first.
func waves(recs []index.Record) func(func([]index.Record) bool) {
	return func(yield func([]index.Record) bool) {
		for len(recs) > 0 {
			seen := make(map[string]bool, len(recs))
			var wave, later []index.Record
			for _, r := range recs {
				if seen[r.Post.ID] {
					later = append(later, r)
					continue
				}
				seen[r.Post.ID] = true
				wave = append(wave, r)
			}
			if !yield(wave) {
				return
			}
			recs = later
		}
	}
}

// conflictTries is how often a change is worked out anew because somebody
// else changed the same record.
const conflictTries = 30

// putWave puts records of different posts. When the last wave was mostly of
// known posts it asks first, else it tries to create them.
func (s *Store) putWave(ctx context.Context, recs []index.Record) error {
	now := s.now()
	for i := range recs {
		recs[i] = recs[i].Canonical()
	}
	left := recs
	if !s.known.Load() {
		conflicts, err := s.create(ctx, recs, now)
		if err != nil {
			return err
		}
		s.known.Store(len(conflicts)*2 > len(recs))
		left = conflicts
	}
	for try := 0; len(left) > 0; try++ {
		if try == conflictTries {
			return fmt.Errorf("%w: %d records were changed by others each time", ErrUnavailable, len(left))
		}
		if try > 0 {
			if err := sleep(ctx, rand.N(time.Duration(try)*5*time.Millisecond)+time.Millisecond); err != nil {
				return err
			}
		}
		missing, conflicts, err := s.updateKnown(ctx, left, now)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			s.known.Store(len(missing)*2 <= len(recs))
			more, err := s.create(ctx, missing, now)
			if err != nil {
				return err
			}
			conflicts = append(conflicts, more...)
		}
		left = conflicts
	}
	return nil
}

// create writes records that are new and returns those that are not.
func (s *Store) create(ctx context.Context, recs []index.Record, now time.Time) (known []index.Record, err error) {
	ops := make([]op, len(recs))
	for i, r := range recs {
		c := insert(r, now)
		d, err := s.document(c.record, c.next)
		if err != nil {
			return nil, err
		}
		d.Qingyuan.Triage = newTriageDoc(index.Triage{Status: index.StatusNew})
		body, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("%w: record %s: %w", index.ErrInvalid, r.Post.ID, err)
		}
		ops[i] = op{action: "create", index: s.names.posts.write, id: docID(r.Post.ID), body: body}
	}
	results, err := s.bulk(ctx, ops)
	if err != nil {
		return nil, err
	}
	s.fresh.wrote()
	for i, o := range results {
		switch {
		case o.ok():
			s.counts.created.Add(1)
		case o.status == http.StatusConflict:
			known = append(known, recs[i])
		default:
			if err := s.bury(recs[i], o); err != nil {
				return nil, err
			}
		}
	}
	return known, nil
}

// updateKnown changes records that exist, and returns those that do not and
// those that somebody else changed meanwhile.
func (s *Store) updateKnown(ctx context.Context, recs []index.Record, now time.Time) (missing, conflicts []index.Record, err error) {
	ids := make([]string, len(recs))
	for i, r := range recs {
		ids[i] = docID(r.Post.ID)
	}
	docs, err := s.mget(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var existing []index.Record
	var changes []change
	var places []*place
	var contents []op
	for i, d := range docs {
		if !d.Found {
			missing = append(missing, recs[i])
			continue
		}
		known, st, err := d.record()
		if err != nil {
			return nil, nil, err
		}
		c := update(recs[i], known, st, now)
		if c.keep != nil {
			o, err := s.revisionOp(*c.keep)
			if err != nil {
				return nil, nil, err
			}
			contents = append(contents, o)
		}
		existing, changes, places = append(existing, recs[i]), append(changes, c), append(places, d.place())
	}
	// A revision's content first: what the record's state names must be there.
	refused, err := s.putContents(ctx, contents)
	if err != nil {
		return nil, nil, err
	}
	conflicts, err = s.applyChanges(ctx, existing, changes, places, refused)
	return missing, conflicts, err
}

// putContents writes contents of revisions and returns why any was refused,
// by its id.
func (s *Store) putContents(ctx context.Context, ops []op) (map[string]outcome, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	results, err := s.bulk(ctx, ops)
	if err != nil {
		return nil, err
	}
	refused := map[string]outcome{}
	for i, o := range results {
		if !o.ok() && o.status != http.StatusConflict {
			refused[ops[i].id] = o
		}
	}
	return refused, nil
}

func (s *Store) applyChanges(ctx context.Context, recs []index.Record, changes []change, places []*place, refused map[string]outcome) (conflicts []index.Record, err error) {
	var ops, drops []op
	var of []int
	for i, c := range changes {
		if c.keep != nil {
			if o, bad := refused[c.keep.id(recs[i].Post.ID)]; bad {
				if err := s.bury(recs[i], o); err != nil {
					return nil, err
				}
				continue
			}
		}
		body, err := s.updateBody(c)
		if err != nil {
			return nil, err
		}
		of = append(of, i)
		ops = append(ops, op{action: "update", index: s.names.posts.write, id: docID(recs[i].Post.ID), cas: places[i], body: body})
	}
	results, err := s.bulk(ctx, ops)
	if err != nil {
		return nil, err
	}
	s.fresh.wrote()
	for n, o := range results {
		i := of[n]
		switch {
		case o.ok():
			s.counts.updated.Add(1)
			for _, k := range changes[i].drop {
				drops = append(drops, op{action: "delete", index: s.names.revisions.write, id: k.id(recs[i].Post.ID)})
			}
		case o.status == http.StatusConflict, o.status == http.StatusNotFound:
			conflicts = append(conflicts, recs[i])
		default:
			if err := s.bury(recs[i], o); err != nil {
				return nil, err
			}
		}
	}
	if len(drops) > 0 {
		if _, err := s.bulk(ctx, drops); err != nil { // nothing names them any more
			s.opts.Logger.Warn("contents of dropped revisions stay in the index", "count", len(drops), "error", err)
		}
	}
	return conflicts, nil
}

// updateBody is the part of a document that a change writes; triage is not in it.
func (s *Store) updateBody(c change) ([]byte, error) {
	var doc any
	if c.whole {
		d, err := s.document(c.record, c.next)
		if err != nil {
			return nil, err
		}
		doc = d
	} else {
		seen, err := s.seen(c.record, c.next)
		if err != nil {
			return nil, err
		}
		doc = map[string]any{"qingyuan": seen}
	}
	body, err := json.Marshal(map[string]any{"doc": doc})
	if err != nil {
		return nil, fmt.Errorf("%w: record %s: %w", index.ErrInvalid, c.record.Post.ID, err)
	}
	return body, nil
}

// mget reads documents by id, at once and not as of the last refresh.
func (s *Store) mget(ctx context.Context, ids []string) ([]stored, error) {
	const part = 100
	out := make([]stored, 0, len(ids))
	for len(ids) > 0 {
		n := min(part, len(ids))
		body, err := json.Marshal(map[string]any{"ids": ids[:n]})
		if err != nil {
			return nil, err
		}
		var answer struct {
			Docs []struct {
				stored
				Error *itemError `json:"error"`
			} `json:"docs"`
		}
		if err := s.c.call(ctx, http.MethodPost, "/"+s.names.posts.write+"/_mget?_source_includes="+storedFields, body, &answer); err != nil {
			return nil, err
		}
		if len(answer.Docs) != n {
			return nil, fmt.Errorf("%w: it returned %d of %d documents", ErrUnavailable, len(answer.Docs), n)
		}
		for _, d := range answer.Docs {
			if d.Error != nil {
				return nil, &serverError{status: http.StatusServiceUnavailable, kind: d.Error.Type, reason: d.Error.text(), class: ErrUnavailable}
			}
			out = append(out, d.stored)
		}
		ids = ids[n:]
	}
	return out, nil
}

// revisionDoc is a content that was replaced.
type revisionDoc struct {
	Timestamp date    `json:"@timestamp"`
	ECS       ecsSelf `json:"ecs"`
	Message   string  `json:"message"`
	Event     struct {
		ID       string `json:"id"` // the record's
		Kind     string `json:"kind"`
		Module   string `json:"module"`
		Dataset  string `json:"dataset"`
		Provider string `json:"provider"`
		Hash     string `json:"hash"`
	} `json:"event"`
	URL struct {
		Full keyword `json:"full"`
	} `json:"url"`
	Qingyuan struct {
		SchemaVersion int     `json:"schema_version"`
		Title         string  `json:"title"`
		Source        keyword `json:"source"`
		Flagged       bool    `json:"flagged"`
		Score         float64 `json:"score"`
		Revision      string  `json:"revision"` // JSON of index.Revision without its texts
	} `json:"qingyuan"`
}

func (s *Store) revisionOp(c revisionContent) (op, error) {
	p, v := c.record.Post, c.record.Verdict
	raw, err := json.Marshal(index.Revision{Flagged: v.Flagged, Score: v.Score, FetchedAt: fromMicros(c.At), Verdict: v, Archive: p.Archive})
	if err != nil {
		return op{}, fmt.Errorf("%w: %w", index.ErrInvalid, err)
	}
	d := revisionDoc{Timestamp: date(fromMicros(c.At)), ECS: ecsSelf{ecsVersion}, Message: p.Text}
	d.Event.ID, d.Event.Kind, d.Event.Module, d.Event.Dataset, d.Event.Provider, d.Event.Hash = docID(p.ID), "event", "qingyuan", "qingyuan.revision", cut(p.Source), c.Hash
	d.URL.Full = keyword(p.URL)
	q := &d.Qingyuan
	q.SchemaVersion, q.Title, q.Source, q.Flagged, q.Score, q.Revision = SchemaVersion, p.Title, keyword(p.Source), v.Flagged, v.Score, string(raw)
	body, err := json.Marshal(d)
	if err != nil {
		return op{}, err
	}
	return op{action: "create", index: s.names.revisions.write, id: c.id(p.ID), body: body}, nil
}

// Delete implements index.Store. While the server is away the deletion waits in
// the spool behind the records before it, and n is 0.
func (s *Store) Delete(ctx context.Context, d index.Deletion) (n int, err error) {
	if d.Source == "" || d.At.IsZero() {
		return 0, fmt.Errorf("%w: a deletion needs a source and the time when it was seen", index.ErrInvalid)
	}
	if s.closed.Load() {
		return 0, index.ErrClosed
	}
	err = s.orSpool(ctx, entry{Delete: &d}, func(ctx context.Context) error {
		n, err = s.deleteNow(ctx, d)
		return err
	})
	return n, s.explain("noting a deletion", err)
}

func (s *Store) deleteNow(ctx context.Context, d index.Deletion) (int, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	now := s.now()
	if index.Ahead(d.At, now) {
		d.At = now
	}
	left := make([]string, 0, len(d.IDs))
	for _, id := range d.IDs {
		left = append(left, docID(id))
	}
	if d.Thread != "" {
		more, err := s.inThread(ctx, d.Source, strings.ToValidUTF8(d.Thread, "\uFFFD"))
		if err != nil {
			return 0, err
		}
		left = append(left, more...)
	}
	changed := 0
	for try := 0; len(left) > 0 && try < conflictTries; try++ {
		n, conflicts, err := s.markDeleted(ctx, left, d, now)
		if err != nil {
			return changed, err
		}
		changed += n
		left = conflicts
	}
	return changed, nil
}

// inThread finds the records at an address that are not deleted.
func (s *Store) inThread(ctx context.Context, source, thread string) ([]string, error) {
	query := boolean("filter", term("qingyuan.source", cut(source)), term("qingyuan.address", cut(thread)),
		map[string]any{"term": map[string]any{"qingyuan.micros.deleted": int64(unknownTime)}})
	var ids []string
	var after []any
	for {
		hits, err := s.searchPage(ctx, searchBody{Query: query, Size: maxWindow, Sort: []any{"event.id"}, After: after, Source: false})
		if err != nil {
			return nil, err
		}
		for _, h := range hits.Hits {
			ids = append(ids, h.ID)
			after = h.sortValues()
		}
		if len(hits.Hits) < maxWindow {
			return ids, nil
		}
	}
}

func (s *Store) markDeleted(ctx context.Context, ids []string, d index.Deletion, now time.Time) (changed int, conflicts []string, err error) {
	docs, err := s.mget(ctx, unique(ids))
	if err != nil {
		return 0, nil, err
	}
	at, ahead := micros(d.At), micros(now.Add(index.MaxAhead))
	var ops []op
	for _, doc := range docs {
		if !doc.Found {
			continue
		}
		r, st, err := doc.record()
		if err != nil {
			return 0, nil, err
		}
		if r.Post.Source != d.Source || st.Deleted != unknownTime || st.Fetched >= at && st.Fetched <= ahead {
			continue
		}
		st.Deleted = at
		body, err := s.updateBody(change{record: r, next: st})
		if err != nil {
			return 0, nil, err
		}
		ops = append(ops, op{action: "update", index: s.names.posts.write, id: doc.ID, cas: doc.place(), body: body})
	}
	results, err := s.bulk(ctx, ops)
	if err != nil {
		return 0, nil, err
	}
	s.fresh.wrote()
	for i, o := range results {
		switch {
		case o.ok():
			changed++
		case o.status == http.StatusConflict:
			conflicts = append(conflicts, ops[i].id)
		default:
			return changed, nil, fmt.Errorf("record %s: %w", ops[i].id, &serverError{status: o.status, kind: o.kind, reason: o.reason})
		}
	}
	return changed, conflicts, nil
}
