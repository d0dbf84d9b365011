package sqlite

import (
	"encoding/json"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// revisionDoc is what is kept of a revision besides its columns.
type revisionDoc struct {
	Verdict classify.Verdict `json:"verdict"`
	Archive post.Archive     `json:"archive,omitzero"`
}

// revisionJSON is a revisionDoc as it is kept; empty for a verdict that JSON
// cannot hold, which Put has refused before.
func revisionJSON(v classify.Verdict, a post.Archive) []byte {
	raw, err := json.Marshal(revisionDoc{v, a})
	if err != nil {
		return []byte{}
	}
	return raw
}

// addEarlier keeps content that was fetched before the current one as a
// revision, unless it is known already or may have been dropped.
func (p *putter) addEarlier(r index.Record, hash []byte, fetched int64, next state) error {
	var known int
	if err := p.stmt(p.s.stmts.revisionKnown).QueryRowContext(p.ctx, next.rid, hash).Scan(&known); err != nil {
		return err
	}
	dropped, err := p.inGap(next, fetched)
	if err != nil {
		return err
	}
	if known == 0 && !dropped {
		if _, err := p.stmt(p.s.stmts.revisionInsert).ExecContext(p.ctx, next.rid, fetched, hash,
			[]byte(r.Post.Title), []byte(r.Post.Text), r.Verdict.Flagged, r.Verdict.Score, revisionJSON(r.Verdict, r.Post.Archive)); err != nil {
			return err
		}
		next.revisions++
		if err := p.thin(next); err != nil {
			return err
		}
	}
	_, err = p.stmt(p.s.stmts.touch).ExecContext(p.ctx, next.seen, next.revisions, next.rid)
	return err
}

// inGap reports whether a content fetched then would stand among revisions
// that were dropped: after the first that is kept, before the others.
func (p *putter) inGap(n state, fetched int64) (bool, error) {
	if n.revisions <= index.KeptRevisions+1 {
		return false, nil
	}
	var kept int
	var first, second int64
	if err := p.stmt(p.s.stmts.revisionGap).QueryRowContext(p.ctx, n.rid).Scan(&kept, &first, &second); err != nil {
		return false, err
	}
	return kept < n.revisions && first < fetched && fetched < second, nil
}

// keepRevision copies the current content to the revisions and returns it.
func (p *putter) keepRevision(old state) (index.Record, error) {
	d, err := p.doc(old.rid)
	if err != nil {
		return index.Record{}, err
	}
	if _, err := p.stmt(p.s.stmts.revisionInsert).ExecContext(p.ctx, old.rid, old.contentAt, old.contentHash,
		[]byte(d.Post.Title), []byte(d.Post.Text), d.Verdict.Flagged, d.Verdict.Score, revisionJSON(d.Verdict, d.Post.Archive)); err != nil {
		return index.Record{}, err
	}
	old.revisions++
	return index.Record{Post: d.Post, Verdict: d.Verdict}, p.thin(old)
}

// thin drops revisions between the first and the newest of a record.
func (p *putter) thin(n state) error {
	if n.revisions <= index.KeptRevisions+1 {
		return nil
	}
	_, err := p.stmt(p.s.stmts.revisionThin).ExecContext(p.ctx, n.rid, index.KeptRevisions)
	return err
}
