package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"qingyuan/index"
)

// recordColumns are what scanRecord reads, from posts p and docs d.
const recordColumns = `p.id, d.doc, p.first_seen, p.last_seen, p.ingested, p.revisions, p.deleted,
	p.status, p.assignee, p.reason, p.tags, p.comment_count, p.version, p.updated, p.updated_by`

func scanRecord(rows interface{ Scan(...any) error }) (index.Record, error) {
	var (
		r                                       index.Record
		id                                      string
		raw, tags                               []byte
		first, last, ingested, deleted, updated int64
	)
	if err := rows.Scan(&id, &raw, &first, &last, &ingested, &r.Revisions, &deleted, &r.Triage.Status, &r.Triage.Assignee,
		&r.Triage.Reason, &tags, &r.Triage.CommentCount, &r.Triage.Version, &updated, &r.Triage.UpdatedBy); err != nil {
		return r, err
	}
	var d doc
	if err := json.Unmarshal(raw, &d); err != nil {
		return r, fmt.Errorf("record %s is damaged: %w", id, err)
	}
	if err := json.Unmarshal(tags, &r.Triage.Tags); err != nil {
		return r, fmt.Errorf("tags of record %s are damaged: %w", id, err)
	}
	if len(r.Triage.Tags) == 0 {
		r.Triage.Tags = nil
	}
	r.Post, r.Verdict, r.Campaign = d.Post, d.Verdict, d.Campaign
	r.FirstSeen, r.LastSeen, r.IngestedAt, r.DeletedAt = fromMicros(first), fromMicros(last), fromMicros(ingested), fromMicros(deleted)
	r.Triage.UpdatedAt = fromMicros(updated)
	return r.Canonical(), nil
}

// inReadTx runs fn on one unchanging view of the data.
func (s *Store) inReadTx(ctx context.Context, fn func(*sql.Tx) error) error {
	if s.closed.Load() {
		return index.ErrClosed
	}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return fn(tx)
}

// Get implements index.Store.
func (s *Store) Get(ctx context.Context, id string) (index.Record, error) {
	var r index.Record
	err := s.inReadTx(ctx, func(tx *sql.Tx) error {
		var err error
		r, err = scanRecord(tx.QueryRowContext(ctx, "SELECT "+recordColumns+" FROM posts p JOIN docs d ON d.rid = p.rid WHERE p.id = ?", id))
		if err != nil {
			return err
		}
		return s.campaignSizes(ctx, tx, &r)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return index.Record{}, index.ErrNotFound
	}
	if err != nil {
		return index.Record{}, s.explain("getting a record", err)
	}
	return r, nil
}

// campaignSizes counts the campaigns of records.
func (s *Store) campaignSizes(ctx context.Context, tx *sql.Tx, recs ...*index.Record) error {
	sizes := map[string]int{}
	for _, r := range recs {
		id := r.Campaign.ID
		r.Campaign.Size = 0
		if id == "" {
			continue
		}
		n, ok := sizes[id]
		if !ok {
			err := tx.QueryRowContext(ctx, "SELECT count(*) FROM labels WHERE field = 'campaign' AND value = ?", id[:min(len(id), maxLabel)]).Scan(&n)
			if err != nil {
				return fmt.Errorf("counting campaign %s: %w", id, err)
			}
			sizes[id] = n
		}
		r.Campaign.Size = n
	}
	return nil
}

// Revisions implements index.Store.
func (s *Store) Revisions(ctx context.Context, id string) ([]index.Revision, error) {
	var out []index.Revision
	err := s.inReadTx(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `SELECT r.title, r.text, r.flagged, r.score, r.fetched, r.doc FROM revisions r
			JOIN posts p ON p.rid = r.rid WHERE p.id = ? ORDER BY r.fetched DESC, r.hash`, []any{id}, func(rows *sql.Rows) error {
			var r index.Revision
			var title, text, raw []byte
			var fetched int64
			if err := rows.Scan(&title, &text, &r.Flagged, &r.Score, &fetched, &raw); err != nil {
				return err
			}
			if len(raw) > 0 {
				var d revisionDoc
				if err := json.Unmarshal(raw, &d); err != nil {
					return fmt.Errorf("a revision of record %s is damaged: %w", id, err)
				}
				r.Verdict, r.Archive = d.Verdict, d.Archive
			}
			r.Title, r.Text, r.FetchedAt = string(title), string(text), fromMicros(fetched)
			out = append(out, r)
			return nil
		})
	})
	return out, s.explain("reading revisions", err)
}

// Comments implements index.Store.
func (s *Store) Comments(ctx context.Context, id string) ([]index.Comment, error) {
	var out []index.Comment
	err := s.inReadTx(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `SELECT c.at, c.actor, c.text FROM comments c JOIN posts p ON p.rid = c.rid
			WHERE p.id = ? ORDER BY c.cid`, []any{id}, func(rows *sql.Rows) error {
			var c index.Comment
			var at int64
			var text []byte
			if err := rows.Scan(&at, &c.Actor, &text); err != nil {
				return err
			}
			c.At, c.Text = fromMicros(at), string(text)
			out = append(out, c)
			return nil
		})
	})
	return out, s.explain("reading comments", err)
}

// each calls fn for every row of a query.
func each(ctx context.Context, tx *sql.Tx, query string, args []any, fn func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sortColumns by order.
var sortColumns = map[index.Sort]string{index.SortScore: "score", index.SortIngested: "ingested",
	index.SortPublished: "published", index.SortFirstSeen: "first_seen"}

// Search implements index.Store.
func (s *Store) Search(ctx context.Context, q index.Query) (index.Page, error) {
	q, err := q.WithDefaults()
	if err != nil {
		return index.Page{}, err
	}
	cond, err := s.compile(q.Text)
	if err != nil {
		return index.Page{}, err
	}
	where, args := cond.sql, append([]any(nil), cond.args...)
	column := sortColumns[q.Sort]
	if q.After != "" {
		key, id, err := readCursor(q.After, q.Sort)
		if err != nil {
			return index.Page{}, err
		}
		where = fmt.Sprintf("(%s) AND p.%s <= ? AND (p.%[2]s < ? OR p.id > ?)", where, column)
		args = append(args, key, key, id)
	}
	page := index.Page{Hits: []index.Hit{}, Total: -1}
	var lastKey any
	err = s.inReadTx(ctx, func(tx *sql.Tx) error {
		if !q.NoTotal {
			count, countArgs := cond.count()
			if err := tx.QueryRowContext(ctx, count, countArgs...).Scan(&page.Total); err != nil {
				return err
			}
		}
		// The inner query sorts row numbers only; texts are read for one page.
		query := fmt.Sprintf(`SELECT %[1]s, p.%[2]s FROM (SELECT p.rid FROM %[4]s WHERE %[3]s ORDER BY p.%[2]s DESC, p.id LIMIT ? OFFSET ?) h
			JOIN posts p ON p.rid = h.rid JOIN docs d ON d.rid = p.rid ORDER BY p.%[2]s DESC, p.id`, recordColumns, column, where, cond.from)
		if q.OnlyIDs {
			query = fmt.Sprintf(`SELECT p.id, p.%[1]s FROM %[3]s WHERE %[2]s ORDER BY p.%[1]s DESC, p.id LIMIT ? OFFSET ?`, column, where, cond.from)
		}
		err := each(ctx, tx, query, append(args, q.Limit+1, q.Offset), func(rows *sql.Rows) error {
			if len(page.Hits) == q.Limit {
				page.Next = writeCursor(lastKey, page.Hits[q.Limit-1].Record.Post.ID, q.Sort)
				return nil
			}
			if q.OnlyIDs {
				var hit index.Hit
				err := withKey{rows, &lastKey}.Scan(&hit.Record.Post.ID)
				page.Hits = append(page.Hits, hit)
				return err
			}
			r, err := scanRecord(withKey{rows, &lastKey})
			if err != nil {
				return err
			}
			page.Hits = append(page.Hits, index.Hit{Record: r, Snippet: index.Snippet(r.Post.Title, r.Post.Text, cond.expr)})
			return nil
		})
		if err != nil {
			return err
		}
		recs := make([]*index.Record, len(page.Hits))
		for i := range page.Hits {
			recs[i] = &page.Hits[i].Record
		}
		return s.campaignSizes(ctx, tx, recs...)
	})
	if err != nil {
		return index.Page{}, s.explain("searching", err)
	}
	return page, nil
}

// withKey scans one column more than asked: the value sorted by.
type withKey struct {
	rows *sql.Rows
	key  *any
}

// Scan scans the columns of dest and then the key.
func (w withKey) Scan(dest ...any) error { return w.rows.Scan(append(dest, w.key)...) }

// writeCursor packs where a page ended.
func writeCursor(key any, id string, sort index.Sort) string {
	var k string
	switch v := key.(type) {
	case float64:
		k = strconv.FormatUint(math.Float64bits(v), 16)
	case int64:
		k = strconv.FormatInt(v, 10)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(string(sort) + "\n" + k + "\n" + id))
}

// readCursor undoes writeCursor and refuses what it did not write.
func readCursor(cursor string, sort index.Sort) (key any, id string, err error) {
	refuse := fmt.Errorf("%w: the page cursor does not belong to this search; start again from the first page", index.ErrInvalid)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, "", refuse
	}
	parts := strings.SplitN(string(raw), "\n", 3)
	if len(parts) != 3 || parts[0] != string(sort) {
		return nil, "", refuse
	}
	if sort == index.SortScore {
		bits, err := strconv.ParseUint(parts[1], 16, 64)
		if err != nil {
			return nil, "", refuse
		}
		return math.Float64frombits(bits), parts[2], nil
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil, "", refuse
	}
	return n, parts[2], nil
}
