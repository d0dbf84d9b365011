package elastic

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"qingyuan/index"
	"qingyuan/post"
)

// state is what is known of a record besides its content. It stands in the
// record's own document, so that one conditional write changes all of it: the
// texts of revisions are kept apart, but which of them count is written here.
type state struct {
	Hash      string         `json:"hash"`       // of the content
	Fetched   int64          `json:"fetched"`    // as it was read, also off a wrong clock
	ContentAt int64          `json:"content_at"` // since when the content is the current one
	First     int64          `json:"first"`
	Seen      int64          `json:"seen"`
	Ingested  int64          `json:"ingested"`
	Deleted   int64          `json:"deleted"`
	Revisions int            `json:"revisions"`
	Kept      []keptRevision `json:"kept,omitempty"` // oldest first
}

// keptRevision names a revision whose content is kept.
type keptRevision struct {
	At   int64  `json:"at"`
	Hash string `json:"hash"`
}

// id is that of the revision's document.
func (k keptRevision) id(postID string) string {
	return fmt.Sprintf("%s.%d.%s", docID(postID), k.At, k.Hash)
}

// maxDocID leaves room for what is appended to it: Elasticsearch takes 512 bytes.
const maxDocID = 256

// docID is the id of a record's document: the post's, or its hash when that is
// too long.
func docID(id string) string {
	if len(id) <= maxDocID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256-" + hex.EncodeToString(sum[:])
}

func contentHash(p post.Post) string {
	sum := sha256.Sum256([]byte(p.Title + "\x00" + p.Text))
	return hex.EncodeToString(sum[:16])
}

// change is what a Put does to one record.
type change struct {
	record   index.Record
	next     state
	whole    bool // the content or verdict changed; else only what was seen
	keep     *revisionContent
	drop     []keptRevision
	existing bool
}

// revisionContent is a content that becomes a revision.
type revisionContent struct {
	keptRevision
	record index.Record
}

// insert makes a record that was not known.
func insert(r index.Record, now time.Time) change {
	read := micros(r.Post.FetchedAt) // as it was read, so that a later put knows what to think of it
	r = r.Believable(now)
	if r.IngestedAt.IsZero() {
		r.IngestedAt = now
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
	return change{record: r, whole: true, next: state{Hash: contentHash(r.Post), Fetched: read, ContentAt: micros(fetched), First: micros(r.FirstSeen),
		Seen: micros(r.LastSeen), Ingested: micros(r.IngestedAt), Deleted: micros(r.DeletedAt)}}
}

// update works out what a record does to the one known: see index.Store.Put.
func update(r, known index.Record, old state, at time.Time) change {
	now := micros(at)
	read := micros(r.Post.FetchedAt)
	if r.Post.FetchedAt.IsZero() {
		read = old.Fetched
	}
	r = r.Believable(at)
	old.ContentAt, old.Seen, old.Ingested = believable(old.ContentAt, now), believable(old.Seen, now), believable(old.Ingested, now)
	next, fetched := old, believable(read, now)
	next.Kept = slices.Clone(old.Kept)
	if r.DeletedAt.IsZero() && old.Deleted != unknownTime && fetched <= old.Deleted {
		r.DeletedAt = fromMicros(old.Deleted) // the deletion was seen after this
	}
	next.Seen = max(old.Seen, fetched, micros(r.LastSeen))
	hash := contentHash(r.Post)
	c := change{existing: true, whole: true}
	if order(read, now) < order(old.Fetched, now) {
		if hash != old.Hash {
			return addEarlier(r, known, hash, fetched, next)
		}
		// An older capture of the current content: judged anew, the post stays.
		r.Post = known.Post
	} else {
		next.Fetched = read
	}
	if len(r.Post.Evidence) == 0 {
		r.Post.Evidence = known.Post.Evidence
	}
	next.Deleted = micros(r.DeletedAt)
	if hash == old.Hash {
		next.ContentAt = min(old.ContentAt, fetched)
	} else {
		before := keptRevision{old.ContentAt, old.Hash}
		c.keep = &revisionContent{before, known}
		next.keep(before)
		next.Revisions++
		c.drop = next.thin()
		next.Hash, next.ContentAt = hash, fetched
		if index.NewToJudge(known, r) {
			next.Ingested = now
		}
	}
	c.record, c.next = r, next
	return c
}

// addEarlier keeps content that was fetched before the current one as a
// revision, unless it is known already or may have been dropped.
func addEarlier(r, known index.Record, hash string, fetched int64, next state) change {
	c := change{record: known, existing: true}
	if !next.knows(hash) && !next.inGap(fetched) {
		rev := keptRevision{fetched, hash}
		c.keep = &revisionContent{rev, r}
		next.keep(rev)
		next.Revisions++
		c.drop = next.thin()
	}
	c.next = next
	return c
}

func (st *state) knows(hash string) bool {
	return slices.ContainsFunc(st.Kept, func(k keptRevision) bool { return k.Hash == hash })
}

// keep adds a revision in its place.
func (st *state) keep(k keptRevision) {
	at, found := slices.BinarySearchFunc(st.Kept, k, func(a, b keptRevision) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Hash, b.Hash))
	})
	if !found {
		st.Kept = slices.Insert(st.Kept, at, k)
	}
}

// thin drops revisions between the first and the newest.
func (st *state) thin() []keptRevision {
	over := len(st.Kept) - 1 - index.KeptRevisions
	if over <= 0 {
		return nil
	}
	dropped := slices.Clone(st.Kept[1 : 1+over])
	st.Kept = slices.Delete(st.Kept, 1, 1+over)
	return dropped
}

// inGap reports whether a content fetched then would stand among revisions
// that were dropped: after the first that is kept, before the others.
func (st *state) inGap(fetched int64) bool {
	return len(st.Kept) > 1 && len(st.Kept) < st.Revisions && st.Revisions > index.KeptRevisions+1 &&
		st.Kept[0].At < fetched && fetched < st.Kept[1].At
}

// believable is index.Record.Believable for one time as it is kept.
func believable(t, now int64) int64 {
	if t-now > index.MaxAhead.Microseconds() {
		return now
	}
	return t
}

// order is where a fetch time stands among others: those off a wrong clock
// before all that can be believed.
func order(fetched, now int64) int64 {
	const far = 1 << 60 // microseconds; 36,000 years
	if believable(fetched, now) == fetched {
		return fetched
	}
	return min(fetched, far) - 2*far
}

// stored is a document as it is read back, with its place.
type stored struct {
	ID     string `json:"_id"`
	SeqNo  int64  `json:"_seq_no"`
	Term   int64  `json:"_primary_term"`
	Found  bool   `json:"found"`
	Source struct {
		Message  string `json:"message"`
		Qingyuan struct {
			Title  string      `json:"title"`
			Record string      `json:"record"`
			State  string      `json:"state"`
			Outbox *outboxJSON `json:"outbox"`
			Triage struct {
				Status       index.Status `json:"status"`
				Assignee     string       `json:"assignee"`
				Tags         []string     `json:"tags"`
				Reason       string       `json:"reason"`
				CommentCount int          `json:"comment_count"`
				Version      int64        `json:"version"`
				UpdatedBy    string       `json:"updated_by"`
				Micros       int64        `json:"micros"`
			} `json:"triage"`
		} `json:"qingyuan"`
	} `json:"_source"`
}

// storedFields are the parts of a document that stored reads.
const storedFields = "message,qingyuan.title,qingyuan.record,qingyuan.state,qingyuan.outbox,qingyuan.triage"

func (d *stored) place() *place { return &place{d.SeqNo, d.Term} }

// record is what index.Store.Get returns.
func (d *stored) record() (index.Record, state, error) {
	var r index.Record
	var k kept
	var st state
	q := d.Source.Qingyuan
	if err := json.Unmarshal([]byte(q.Record), &k); err != nil {
		return r, st, fmt.Errorf("record %s is damaged: %w", d.ID, err)
	}
	if err := json.Unmarshal([]byte(q.State), &st); err != nil {
		return r, st, fmt.Errorf("the state of record %s is damaged: %w", d.ID, err)
	}
	r.Post, r.Verdict, r.Campaign = k.Post, k.Verdict, k.Campaign
	r.Post.Title, r.Post.Text = q.Title, d.Source.Message
	r.Triage = d.triage()
	r.FirstSeen, r.LastSeen, r.IngestedAt, r.DeletedAt = fromMicros(st.First), fromMicros(st.Seen), fromMicros(st.Ingested), fromMicros(st.Deleted)
	r.Revisions = st.Revisions
	return r.Canonical(), st, nil
}

func (d *stored) triage() index.Triage {
	t := d.Source.Qingyuan.Triage
	if len(t.Tags) == 0 {
		t.Tags = nil
	}
	return index.Triage{Status: t.Status, Assignee: t.Assignee, Tags: t.Tags, Reason: t.Reason, CommentCount: t.CommentCount, Version: t.Version,
		UpdatedAt: fromMicros(t.Micros), UpdatedBy: t.UpdatedBy}
}

func newTriageDoc(t index.Triage) *triageDoc {
	return &triageDoc{Status: keyword(t.Status), Assignee: keyword(t.Assignee), Tags: t.Tags, Reason: keyword(t.Reason), CommentCount: t.CommentCount,
		Version: t.Version, UpdatedAt: date(t.UpdatedAt), UpdatedBy: keyword(t.UpdatedBy), Micros: micros(t.UpdatedAt)}
}
