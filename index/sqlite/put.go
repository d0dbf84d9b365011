package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// doc is what is kept of a record besides columns: what Put replaces.
type doc struct {
	Post     post.Post        `json:"post"`
	Verdict  classify.Verdict `json:"verdict"`
	Campaign index.Campaign   `json:"campaign,omitzero"`
}

// statements are prepared once on the write connection.
type statements struct {
	find, insert, update, touch             *sql.Stmt
	docGet, docPut                          *sql.Stmt
	ftsDelete, ftsInsert                    *sql.Stmt
	labelsGet, labelInsert, labelDelete     *sql.Stmt
	labelInsertMany                         *sql.Stmt // labelsAtOnce of them
	revisionKnown, revisionInsert, shapePut *sql.Stmt
	revisionThin, revisionGap               *sql.Stmt
}

func (st *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, q := range [...]struct {
		stmt **sql.Stmt
		text string
	}{
		{&st.find, `SELECT rid, content_hash, token_hash, fetched, content_at, last_seen, ingested, revisions, deleted FROM posts WHERE id = ?`},
		{&st.insert, `INSERT INTO posts (id, source, source_type, kind, stance, severity, flagged, score, published, last_seen,
			deleted, fetched, shape, content_hash, token_hash, content_at, ingested, day, revisions,
			first_seen, status, assignee, reason, tags, comment_count, version, updated, updated_by, triage_shape)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?, ?,'new','','','[]',0,0,?,'',?)`},
		{&st.update, `UPDATE posts SET id=?, source=?, source_type=?, kind=?, stance=?, severity=?, flagged=?, score=?, published=?, last_seen=?,
			deleted=?, fetched=?, shape=?, content_hash=?, token_hash=?, content_at=?, ingested=?, day=?, revisions=? WHERE rid=?`},
		{&st.touch, `UPDATE posts SET last_seen=?, revisions=? WHERE rid=?`},
		{&st.docGet, `SELECT doc FROM docs WHERE rid=?`},
		{&st.docPut, `INSERT OR REPLACE INTO docs (rid, doc) VALUES (?,?)`},
		{&st.ftsDelete, `DELETE FROM fts WHERE rowid=?`},
		{&st.ftsInsert, `INSERT INTO fts (rowid, title, body, ntitle, nbody) VALUES (?,?,?,?,?)`},
		{&st.labelsGet, `SELECT field, value FROM labels WHERE rid=? AND field<>'tag'`},
		{&st.labelInsert, `INSERT OR IGNORE INTO labels (field, value, rid) VALUES (?,?,?)`},
		{&st.labelInsertMany, `INSERT OR IGNORE INTO labels (field, value, rid) VALUES (?,?,?)` + strings.Repeat(`,(?,?,?)`, labelsAtOnce-1)},
		{&st.labelDelete, `DELETE FROM labels WHERE field=? AND value=? AND rid=?`},
		{&st.revisionKnown, `SELECT count(*) FROM revisions WHERE rid=? AND hash=?`},
		{&st.revisionInsert, `INSERT OR IGNORE INTO revisions (rid, fetched, hash, title, text, flagged, score, doc) VALUES (?,?,?,?,?,?,?,?)`},
		{&st.revisionThin, `DELETE FROM revisions WHERE rid=?1
			AND (fetched, hash) IN (SELECT fetched, hash FROM revisions WHERE rid=?1 ORDER BY fetched DESC, hash DESC LIMIT -1 OFFSET ?2)
			AND (fetched, hash) <> (SELECT fetched, hash FROM revisions WHERE rid=?1 ORDER BY fetched, hash LIMIT 1)`},
		{&st.revisionGap, `SELECT count(*), coalesce(min(fetched), 0), coalesce((SELECT fetched FROM revisions WHERE rid=?1
			ORDER BY fetched, hash LIMIT 1 OFFSET 1), 0) FROM revisions WHERE rid=?1`},
		{&st.shapePut, `INSERT INTO shapes (key) VALUES (?) ON CONFLICT (key) DO UPDATE SET key=key RETURNING id`},
	} {
		var err error
		if *q.stmt, err = db.PrepareContext(ctx, q.text); err != nil {
			return err
		}
	}
	return nil
}

// putter writes the records of one batch in one transaction.
type putter struct {
	s      *Store
	tx     *sql.Tx
	now    time.Time
	ctx    context.Context //nolint:containedctx // lives as long as one Put
	shapes map[string]int64
}

// Put implements index.Store.
func (s *Store) Put(ctx context.Context, recs []index.Record) error {
	for _, r := range recs {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	if len(recs) == 0 {
		return nil
	}
	shapes := map[string]int64{}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		p := putter{s: s, tx: tx, now: s.now(), ctx: ctx, shapes: shapes}
		for _, r := range recs {
			if err := p.put(r.Canonical()); err != nil {
				return fmt.Errorf("record %s: %w", r.Post.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return s.explain("putting records", err)
	}
	s.shapes.add(shapes)
	return nil
}

// inTx runs fn in a write transaction and commits it.
func (s *Store) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	if s.closed.Load() {
		return index.ErrClosed
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// state is what is known of a record before a Put.
type state struct {
	rid                                int64
	contentHash, tokenHash             []byte
	fetched, contentAt, seen, ingested int64
	deleted                            int64
	revisions                          int
}

// put inserts or updates one record.
func (p *putter) put(r index.Record) error {
	hash := contentHash(r.Post)
	var old state
	err := p.stmt(p.s.stmts.find).QueryRowContext(p.ctx, r.Post.ID).Scan(&old.rid, &old.contentHash, &old.tokenHash,
		&old.fetched, &old.contentAt, &old.seen, &old.ingested, &old.revisions, &old.deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return p.insert(r, hash)
	}
	if err != nil {
		return err
	}
	return p.update(r, hash, old)
}

func (p *putter) insert(r index.Record, hash []byte) error {
	// As it was read, so that put knows later what to think of it.
	read := micros(r.Post.FetchedAt)
	r = r.Believable(p.now)
	if r.IngestedAt.IsZero() {
		r.IngestedAt = p.now
	}
	fetched := r.Post.FetchedAt
	if fetched.IsZero() {
		fetched = r.IngestedAt
		read = micros(fetched)
	}
	if r.FirstSeen.IsZero() {
		r.FirstSeen = fetched
	}
	if r.LastSeen.IsZero() {
		r.LastSeen = fetched
	}
	next := state{contentHash: hash, tokenHash: p.tokenHash(r.Post), fetched: read, contentAt: micros(fetched),
		seen: micros(r.LastSeen), ingested: micros(r.IngestedAt)}
	args, err := p.columns(r, next)
	if err != nil {
		return err
	}
	triageShape, err := p.shape(triageKey(index.StatusNew, "", "", nil))
	if err != nil {
		return err
	}
	res, err := p.stmt(p.s.stmts.insert).ExecContext(p.ctx, append(args, micros(r.FirstSeen), int64(unknownTime), triageShape)...)
	if err != nil {
		return err
	}
	rid, err := res.LastInsertId()
	if err != nil {
		return err
	}
	if err := p.putDoc(rid, r); err != nil {
		return err
	}
	if err := p.addLabels(rid, labelsOf(r)); err != nil {
		return err
	}
	return p.putTokens(rid, r.Post)
}

func (p *putter) update(r index.Record, hash []byte, old state) error {
	read := micros(r.Post.FetchedAt)
	if r.Post.FetchedAt.IsZero() {
		read = old.fetched
	}
	r = r.Believable(p.now)
	now := micros(p.now)
	old.contentAt, old.seen, old.ingested = p.believable(old.contentAt), p.believable(old.seen), p.believable(old.ingested)
	next, fetched := old, p.believable(read)
	if unknown := micros(time.Time{}); r.DeletedAt.IsZero() && old.deleted != unknown && fetched <= old.deleted {
		r.DeletedAt = fromMicros(old.deleted) // the deletion was seen after this
	}
	next.seen = max(old.seen, fetched, micros(r.LastSeen))
	same := slices.Equal(hash, old.contentHash)
	if p.order(read) < p.order(old.fetched) {
		if !same {
			return p.addEarlier(r, hash, fetched, next)
		}
		// An older capture of the current content: judged anew, the post stays.
		kept, err := p.doc(old.rid)
		if err != nil {
			return err
		}
		r.Post = kept.Post
	} else {
		next.fetched = read
	}
	if same {
		next.contentAt = min(old.contentAt, fetched)
	} else {
		before, err := p.keepRevision(old)
		if err != nil {
			return err
		}
		next.contentHash, next.contentAt = hash, fetched
		next.revisions++
		if index.NewToJudge(before, r) {
			next.ingested = now
		}
	}
	next.tokenHash = p.tokenHash(r.Post)
	return p.replace(r, old, next)
}

// replace writes what changed of a known record.
func (p *putter) replace(r index.Record, old, next state) error {
	if len(r.Post.Evidence) == 0 {
		kept, err := p.evidence(old.rid)
		if err != nil {
			return err
		}
		r.Post.Evidence = kept
	}
	args, err := p.columns(r, next)
	if err != nil {
		return err
	}
	if _, err := p.stmt(p.s.stmts.update).ExecContext(p.ctx, append(args, old.rid)...); err != nil {
		return err
	}
	if err := p.putDoc(old.rid, r); err != nil {
		return err
	}
	if err := p.replaceLabels(old.rid, r); err != nil {
		return err
	}
	if slices.Equal(next.tokenHash, old.tokenHash) {
		return nil
	}
	if _, err := p.stmt(p.s.stmts.ftsDelete).ExecContext(p.ctx, old.rid); err != nil {
		return err
	}
	return p.putTokens(old.rid, r.Post)
}

// believable is index.Record.Believable for one time as the file keeps it.
func (p *putter) believable(t int64) int64 {
	if now := micros(p.now); t-now > index.MaxAhead.Microseconds() {
		return now
	}
	return t
}

// order is where a fetch time stands among others: those off a wrong clock
// before all that can be believed.
func (p *putter) order(fetched int64) int64 {
	const far = 1 << 60 // microseconds; 36,000 years
	if p.believable(fetched) == fetched {
		return fetched
	}
	return min(fetched, far) - 2*far
}

// columns are the arguments that insert and update share, in their order.
func (p *putter) columns(r index.Record, n state) ([]any, error) {
	shape, err := p.shape(postKey(r))
	if err != nil {
		return nil, err
	}
	v := r.Verdict
	return []any{r.Post.ID, r.Post.Source, index.FieldValue("source_type", r.Post.SourceType), string(r.Post.Kind),
		string(v.Stance), string(v.Severity), v.Flagged, v.Score, micros(r.Post.PublishedAt), n.seen,
		micros(r.DeletedAt), n.fetched, shape, n.contentHash, n.tokenHash, n.contentAt, n.ingested,
		p.s.dayOf(fromMicros(n.ingested)), n.revisions}, nil
}

func (p *putter) stmt(st *sql.Stmt) *sql.Stmt { return p.tx.StmtContext(p.ctx, st) }

func (p *putter) doc(rid int64) (doc, error) {
	var raw []byte
	var d doc
	if err := p.stmt(p.s.stmts.docGet).QueryRowContext(p.ctx, rid).Scan(&raw); err != nil {
		return d, err
	}
	return d, json.Unmarshal(raw, &d)
}

// evidence reads what a known record names. Few have any, and only these are
// decoded.
func (p *putter) evidence(rid int64) ([]post.Evidence, error) {
	var raw []byte
	if err := p.stmt(p.s.stmts.docGet).QueryRowContext(p.ctx, rid).Scan(&raw); err != nil {
		return nil, err
	}
	if !bytes.Contains(raw, []byte(`"evidence":[`)) {
		return nil, nil
	}
	var d doc
	err := json.Unmarshal(raw, &d)
	return d.Post.Evidence, err
}

func (p *putter) putDoc(rid int64, r index.Record) error {
	r.Campaign.Size = 0 // counted when it is read
	raw, err := json.Marshal(doc{Post: r.Post, Verdict: r.Verdict, Campaign: r.Campaign})
	if err != nil {
		return fmt.Errorf("%w: %w", index.ErrInvalid, err)
	}
	_, err = p.stmt(p.s.stmts.docPut).ExecContext(p.ctx, rid, raw)
	return err
}

// putTokens indexes the published text, and the normalised where it differs.
func (p *putter) putTokens(rid int64, pt post.Post) error {
	title, body := index.Tokens(pt.Title), index.Tokens(pt.Text)
	ntitle, nbody := index.Tokens(p.s.normalized(pt.Title)), index.Tokens(p.s.normalized(pt.Text))
	if ntitle == title {
		ntitle = ""
	}
	if nbody == body {
		nbody = ""
	}
	_, err := p.stmt(p.s.stmts.ftsInsert).ExecContext(p.ctx, rid, title, body, ntitle, nbody)
	return err
}

// tokenHash changes when what putTokens writes does.
func (p *putter) tokenHash(pt post.Post) []byte {
	sum := sha256.Sum256([]byte(pt.Title + "\x00" + pt.Text + "\x00" + p.s.normalized(pt.Title) + "\x00" + p.s.normalized(pt.Text)))
	return sum[:16]
}

// contentHash is the post's, cut to 128 bits.
func contentHash(pt post.Post) []byte {
	sum := sha256.Sum256([]byte(pt.Title + "\x00" + pt.Text))
	return sum[:16]
}
