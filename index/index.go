// Package index keeps what was found: Records that join a post with its
// verdict, its campaign and the analysts' triage, behind one Store interface
// with one query language.
//
// What comes in: posts with verdicts from the crawl, decisions from triage.
// What goes out: search results, counts, single records with their history.
// The package itself does no I/O besides the Store it is given; the stores
// live in the folders below it and pass the suite in indextest.
package index

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"qingyuan/classify"
	"qingyuan/post"
)

// Errors that callers branch on.
var (
	// ErrNotFound: no record has that id.
	ErrNotFound = errors.New("index: record not found")
	// ErrConflict: the triage version given is not the current one; somebody
	// else was faster. Get the record again and show the other change.
	ErrConflict = errors.New("index: triage was changed by somebody else")
	// ErrInvalid: the caller gave something no store can keep or answer, such
	// as a record without an id or a limit over MaxLimit. The message says what.
	ErrInvalid = errors.New("index: invalid argument")
	// ErrClosed: the store or writer was closed.
	ErrClosed = errors.New("index: closed")
)

// Limits of a search.
const (
	DefaultLimit = 50   // hits a page when Query.Limit is 0
	MaxLimit     = 1000 // largest Query.Limit; more is ErrInvalid, never cut silently
)

// Status is where a record stands in the triage workflow.
type Status string

// The workflow: new → reviewing → confirmed | dismissed → handed_over →
// accepted | returned.
const (
	StatusNew        Status = "new"
	StatusReviewing  Status = "reviewing"
	StatusConfirmed  Status = "confirmed"
	StatusDismissed  Status = "dismissed"
	StatusHandedOver Status = "handed_over"
	StatusAccepted   Status = "accepted"
	StatusReturned   Status = "returned"
)

// Statuses lists the statuses in workflow order.
var Statuses = [...]Status{StatusNew, StatusReviewing, StatusConfirmed, StatusDismissed, StatusHandedOver, StatusAccepted, StatusReturned}

// Triage is the analysts' side of a record. Re-indexing a post never touches it.
type Triage struct {
	Status       Status    `json:"status"`
	Assignee     string    `json:"assignee,omitempty"`
	Tags         []string  `json:"tags,omitempty"`
	CommentCount int       `json:"comment_count"`
	Reason       string    `json:"reason,omitempty"` // why dismissed; a DismissReason id
	Version      int64     `json:"version"`          // grows by one at each change; for optimistic updates
	UpdatedAt    time.Time `json:"updated_at,omitzero"`
	UpdatedBy    string    `json:"updated_by,omitempty"`
}

// Campaign names the group of near-identical posts a record belongs to.
type Campaign struct {
	ID        string    `json:"id,omitempty"`   // the id of the post that founded it
	Size      int       `json:"size,omitempty"` // how many records are in it; counted when a store reads the record, never kept
	FirstSeen time.Time `json:"first_seen,omitzero"`
}

// Record is one post with everything known of it.
type Record struct {
	Post       post.Post        `json:"post"`
	Verdict    classify.Verdict `json:"verdict"`
	Campaign   Campaign         `json:"campaign,omitzero"`
	Triage     Triage           `json:"triage"`
	FirstSeen  time.Time        `json:"first_seen"`
	LastSeen   time.Time        `json:"last_seen"`
	IngestedAt time.Time        `json:"ingested_at"` // when it last had something new to judge; see Store.Put
	Revisions  int              `json:"revisions"`   // how many times the content changed since first seen; not all are kept
	DeletedAt  time.Time        `json:"deleted_at,omitzero"`
}

// Validate returns ErrInvalid, with all that is wrong, for a record that no
// store can keep.
func (r Record) Validate() error {
	err := r.Post.Validate()
	if math.IsNaN(r.Verdict.Score) || math.IsInf(r.Verdict.Score, 0) {
		err = errors.Join(err, errors.New("verdict: score is not a number"))
	}
	if err != nil {
		return fmt.Errorf("%w: record %q: %w", ErrInvalid, r.Post.ID, err)
	}
	return nil
}

// Revision is an earlier content of a post.
type Revision struct {
	Title     string    `json:"title"`
	Text      string    `json:"text"`
	Flagged   bool      `json:"flagged"`
	Score     float64   `json:"score"`
	FetchedAt time.Time `json:"fetched_at"`
	// Verdict is what was thought of it, in full, and Archive the record that
	// holds it as it was published; zero for what was kept before they were.
	Verdict classify.Verdict `json:"verdict,omitzero"`
	Archive post.Archive     `json:"archive,omitzero"`
}

// Deletion says that posts are gone from where they were published.
type Deletion struct {
	Source string    // required
	Thread string    // Post.ThreadURL, or Post.URL, of all that is gone; "" when only IDs are
	IDs    []string  // of single posts
	At     time.Time // when it was seen; required
}

// AuditRow is one line of the append-only audit trail.
type AuditRow struct {
	Seq      int64     `json:"seq"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`              // status, assign, tag, untag, comment, export, …
	RecordID string    `json:"record_id,omitempty"` // empty for actions on no single record
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Note     string    `json:"note,omitempty"` // the comment's text, the dismissal's reason
	// RequestID joins the rows of one bulk action.
	RequestID string `json:"request_id,omitempty"`
	// Hash chains the trail: SHA-256, in hex, of the previous row's hash and
	// this row. Set by the store.
	Hash string `json:"hash,omitempty"`
}

// Comment is an analyst's remark on a record.
type Comment struct {
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`
	Text  string    `json:"text"`
}

// TriageChange is one analyst's act on one record. Empty fields stay as they are.
type TriageChange struct {
	Actor     string   // required
	Status    Status   // new status
	Reason    string   // with StatusDismissed: why
	Assignee  *string  // "" unassigns
	AddTags   []string //
	DropTags  []string //
	Comment   string   // adds a comment
	RequestID string   // joins the audit rows of one bulk action
}

// Hit is a search result: the record and the snippets to show.
type Hit struct {
	Record  Record `json:"record"`
	Snippet string `json:"snippet,omitempty"` // plain text around the first match
}

// Sort orders results.
type Sort string

// The orders. All are descending and stable (ties broken by id, ascending).
const (
	SortScore     Sort = "score"
	SortIngested  Sort = "ingested_at"
	SortPublished Sort = "published_at" // records without a date come last
	SortFirstSeen Sort = "first_seen"   // never changes for a record, so that paging by it is stable
)

// Valid reports whether s is one of the orders; "" is not.
func (s Sort) Valid() bool {
	switch s {
	case SortScore, SortIngested, SortPublished, SortFirstSeen:
		return true
	}
	return false
}

// Query is a search. The zero Query finds everything, newest ingested first.
type Query struct {
	Text   string // the query language: free text, "phrases", field:value, AND OR NOT, ranges
	Sort   Sort   // SortIngested when empty
	Limit  int    // 50 when 0; at most 1000
	Offset int    // hits to skip; not together with After
	// NoTotal leaves the counting out, which is most of the work of a broad
	// query; Page.Total is then -1.
	NoTotal bool
	// Stale lets a store answer without what was put in the last seconds, where
	// looking at it costs much.
	Stale bool
	// OnlyIDs leaves the records out, which is most of the rest: hits hold
	// nothing but Record.Post.ID.
	OnlyIDs bool
	After   string // Page.Next of the page before, with the same Text and Sort; steadier and faster than Offset
}

// Page is one page of results.
type Page struct {
	Hits  []Hit `json:"hits"`
	Total int   `json:"total"` // exact number of records that match
	// Next continues after the last hit when given as Query.After; empty when
	// this page was the last.
	Next string `json:"next,omitempty"`
}

// FacetCount is how many records of a query have a value.
type FacetCount struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// The fields that Facets counts. Empty values are not counted.
const (
	FacetCategory   = "category"
	FacetStance     = "stance"
	FacetSeverity   = "severity"
	FacetStatus     = "status"
	FacetSource     = "source"
	FacetSourceType = "source_type"
	FacetKind       = "kind"
	FacetEvasion    = "evasion"
	FacetFlagged    = "flagged" // "true", "false"
	FacetDay        = "day"     // day of ingested_at in the store's time zone, 2026-11-22: the query ingested:2026-11-22 finds the same
	FacetAssignee   = "assignee"
	FacetReason     = "reason"      // why dismissed
	FacetEntityType = "entity_type" // records that name at least one such entity
	FacetTag        = "tag"
)

// Facets lists the fields that Store.Facets counts.
var Facets = [...]string{FacetCategory, FacetStance, FacetSeverity, FacetStatus, FacetSource, FacetSourceType, FacetKind,
	FacetEvasion, FacetFlagged, FacetDay, FacetAssignee, FacetReason, FacetEntityType, FacetTag}

// Store keeps records. Implementations are safe for concurrent use, also by
// several processes, and pass indextest.Run. Times are kept to the microsecond
// and returned in UTC.
type Store interface {
	// Put inserts or updates records by post id, atomically for the batch where
	// the store has transactions; where it has none each record is atomic, and
	// putting a batch that failed again completes it. A record whose post is not
	// valid makes it ErrInvalid and changes nothing.
	//
	// For a new id, triage starts as StatusNew whatever the record says;
	// first_seen and last_seen default to the fetch time, ingested_at to now.
	// For a known id: post, verdict and campaign are replaced and last_seen moves
	// forward; a changed content hash keeps the old content as a Revision and
	// counts it; first_seen and triage never change. A record fetched earlier
	// than the one kept does not replace newer content: it becomes a Revision if
	// its content was not known. So Put is idempotent, also when an archive is
	// replayed. It is durable when it returns. Evidence that is known stays when
	// the new post names none: it is made once, and neither a later fetch nor a
	// replay makes it again.
	//
	// A changed content sets ingested_at to now, so that the record comes before
	// the analysts again, only if it is NewToJudge: other words, flagged or not,
	// other categories or contacts. A page that shows a counter or the date
	// changes at each fetch and would otherwise stand on top of the queue for ever.
	//
	// Of the revisions the first and the newest KeptRevisions are kept; the count
	// goes on. Once some were dropped, an unknown content fetched in the time of
	// the dropped ones is neither kept nor counted: it may be one of them.
	//
	// Times are made Believable by the store's clock. A record whose fetch time
	// lies Ahead of it counts as older than every other: its clock says nothing
	// of the order. That holds too for what was kept before the clock was checked.
	Put(ctx context.Context, recs []Record) error
	// Flagged records are found again by their NearKeys with near:.
	//
	// Put with DeletedAt zero keeps a deletion that was seen after the post was
	// fetched, and ends one that was seen before: the post is back.
	//
	// Delete notes that posts are gone: it sets the deleted_at of those of the
	// records named that were fetched before d.At and have none, and returns how
	// many. Nothing else of them changes, and nothing is removed. A deletion
	// without source or time is ErrInvalid.
	Delete(ctx context.Context, d Deletion) (n int, err error)
	// Get returns one record, or ErrNotFound.
	Get(ctx context.Context, id string) (Record, error)
	// Revisions returns earlier contents, newest first; none for an unknown id.
	Revisions(ctx context.Context, id string) ([]Revision, error)
	// Comments returns the analysts' remarks on a record, oldest first; none for
	// an unknown id.
	Comments(ctx context.Context, id string) ([]Comment, error)
	// Search returns a page of results. Texts are looked for as written and as
	// Normalized. A query that does not parse is a
	// *QueryError with the position of the mistake.
	Search(ctx context.Context, q Query) (Page, error)
	// Facets counts the values of each field (see Facet...) over all records
	// that match q.Text. At most limit values a field, most frequent first, then
	// by value; 0 is all. Each field asked for is in the result, if only empty.
	Facets(ctx context.Context, q Query, fields []string, limit int) (map[string][]FacetCount, error)
	// Triage applies a change if the record's triage version is still version,
	// else returns ErrConflict. The change and its audit rows are one
	// transaction. It returns the new triage. A change that changes nothing
	// leaves the version as it is. No actor, an unknown status or a dismissal
	// without a reason is ErrInvalid; leaving StatusDismissed clears the reason.
	Triage(ctx context.Context, id string, version int64, c TriageChange) (Triage, error)
	// Audit returns audit rows, newest first, of one record or, with id "", of
	// all; before is a Seq to page from, 0 for the newest. At most limit rows,
	// DefaultLimit when 0.
	Audit(ctx context.Context, id string, before int64, limit int) ([]AuditRow, error)
	// AppendAudit adds a row that belongs to no triage change (exports, views).
	// Seq and Hash are set by the store, At when it is zero.
	AppendAudit(ctx context.Context, row AuditRow) error
	// VerifyAudit recomputes the chain of the audit trail and returns an
	// *AuditError that names the first row that does not fit.
	//
	// The chain has no key. It shows damage and the edits of somebody who knows
	// nothing of it; whoever can write the store's files can also rebuild the
	// whole chain, and VerifyAudit will find it in order. Against that, record
	// AuditHead daily where the store's operators cannot write (mail, paper,
	// another machine): a rebuilt trail has another hash at that row.
	VerifyAudit(ctx context.Context) error
	// AuditHead returns the number and the hash of the trail's last row; 0 and
	// "" when it is empty. It reads one row and verifies nothing.
	AuditHead(ctx context.Context) (seq int64, hash string, err error)
	// Close releases the store; every call after it fails.
	Close() error
}

// AuditError says that the audit trail was altered.
type AuditError struct {
	Seq     int64  // the first row that does not fit; 0 when the trail's end is wrong
	Problem string // in plain words
}

// Error names the row and the problem.
func (e *AuditError) Error() string {
	if e.Seq == 0 {
		return "audit trail altered: " + e.Problem
	}
	return fmt.Sprintf("audit trail altered at row %d: %s", e.Seq, e.Problem)
}

// China is the time zone in which days are counted unless a store is told
// otherwise: UTC+8, without daylight saving.
func China() *time.Location { return time.FixedZone("CST", 8*60*60) }
