// Package frontier decides what to fetch next and when. It keeps the tasks of
// a crawl durable, hands each out under a lease, paces the hosts, and brings
// back what failed.
//
// What comes in: URLs that sources and pages name. What goes out: leased
// tasks, one at a time per host, never sooner than the host's delay allows. A
// task that is not acknowledged before its lease ends is handed out again; a
// late acknowledgement with an old fencing token is refused. The package does
// not fetch and knows nothing of pages.
package frontier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on.
var (
	// ErrNoneDue: nothing may be fetched now; see Next's wait.
	ErrNoneDue = errors.New("frontier: no task is due")
	// ErrStaleLease: the lease ran out and the task was handed to another worker.
	ErrStaleLease = errors.New("frontier: the lease is no longer ours")
	// ErrUnknown: neither a task nor a refused link; see Lookup.
	ErrUnknown = errors.New("frontier: not known")
)

// ID returns the identity of a task: the SHA-256 of its source's name and its
// canonical URL, in lower-case hex. Two sources that name one URL have a task
// each, so that renaming or splitting a source does not orphan its pages.
func ID(source, canonicalURL string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + canonicalURL))
	return hex.EncodeToString(sum[:])
}

// Task is one URL to fetch.
type Task struct {
	ID       string        // identity: ID(Source, URL), 64 lower-case hex digits
	URL      string        // canonical
	Host     string        // the host (with port) that the pace is kept for
	Source   string        // the site config's name
	Page     string        // the page rule's name; "" to be found by URL
	Depth    int           // links from the seed
	Priority int           // higher first; of a lease as it counted, Outcome.Lift included
	Delay    time.Duration // least time between two starts on Host
	Due      time.Time     // not before; zero is at once
	Parent   string        // URL it was found on
	Tries    int           // failed tries so far, since the last success or Restart
	Lost     int           // leases that ran out unanswered (a crash, a hang), since the last answer or Restart
	Sooner   bool          // for Add and Done: see Add; not kept
}

// Validate says what is wrong with a task, or nil. Implementations refuse
// what it refuses.
func (t Task) Validate() error {
	if raw, err := hex.DecodeString(t.ID); err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("frontier: task %q has id %q; want frontier.ID of its source and URL (64 hex digits)", t.URL, t.ID)
	}
	if t.URL == "" || t.Host == "" || t.Source == "" {
		return fmt.Errorf("frontier: task %q (host %q, source %q) needs url, host and source", t.URL, t.Host, t.Source)
	}
	if t.Delay < 0 {
		return fmt.Errorf("frontier: task %q has a negative delay %v", t.URL, t.Delay)
	}
	return nil
}

// Lease is the right to work on a task until Expires.
type Lease struct {
	Task
	Token   int64     // fencing token, grows with each hand-out of the task
	Expires time.Time // a task not answered by then is handed out again
	Last    Outcome   // what the last successful fetch reported; Again is not kept
}

// Outcome says what became of a leased task.
type Outcome struct {
	Again                           time.Time // when to fetch the URL again; zero: never (done for this crawl)
	ETag, LastModified, ContentHash string    // for conditional requests next time
	Status                          int       // HTTP status, for the records; 0: not fetched, the marks of the last fetch stay
	// Reason says why the page was not fetched, for Lookup; with Status 0 only.
	// Not in Last.
	Reason string
	// Lift is added to the task's Priority from now on, in place of the lift
	// before: archives below 0, so that what is new goes first. Not in Last.
	Lift int
	// Notes are kept with the answer; see Note. Not in Last.
	Notes map[string]string
}

// MaxNote is the largest value of a note, in bytes.
const MaxNote = 64 << 10

// ValidateNotes says what is wrong with notes, or nil. Implementations refuse
// what it refuses.
func ValidateNotes(notes map[string]string) error {
	for k, v := range notes {
		if k == "" || len(k) > 512 || len(v) > MaxNote {
			return fmt.Errorf("frontier: note %.80q of %d bytes; want a key of 1 to 512 bytes and a value of at most %d", k, len(v), MaxNote)
		}
	}
	return nil
}

// Stats counts the tasks by state. A pass over a source is complete when
// Waiting and Leased are both 0.
type Stats struct {
	Waiting int       // to be fetched: new, or to be tried again
	Leased  int       // handed out and not answered
	Done    int       // fetched, or left out by Finish; those that wait for their Again time are among them
	Dead    int       // given up
	NextDue time.Time // earliest time at which something not leased may be fetched; zero when there is nothing
}

// DeadTask is a task given up, with its reason.
type DeadTask struct {
	Task
	Reason string
	At     time.Time
}

// Refusal is a link that was left out.
type Refusal struct {
	ID     string    // ID of its source and canonical URL
	URL    string    // canonical
	Source string    // the site config's name
	Parent string    // URL it was found on; "" when unknown
	Reason string    // why, for people
	At     time.Time // set by the frontier
}

// MaxRefusals is how many refusals of a source are remembered at least.
const MaxRefusals = 10_000

// State says where a task stands.
type State string

// The states of a task.
const (
	StateWaiting State = "waiting" // to be fetched, at Due or when its host is free
	StateLeased  State = "leased"  // in work until Expires
	StateDone    State = "done"    // fetched, or left out; again at Last.Again when that is set
	StateDead    State = "dead"    // given up, for Reason
	StateRefused State = "refused" // no task: only a refusal is known
)

// Standing is all that is known of one URL.
type Standing struct {
	Task              // of a refused link only ID, URL, Source and Parent
	State   State     //
	Reason  string    // of the last failure, or why it is dead or was left out; "" for none
	Last    Outcome   // of the last successful fetch; Again also when there was none
	Fetched time.Time // of the last successful fetch; zero: never
	Changed time.Time // of the last answer to a lease; zero: never leased
	Expires time.Time // of the lease; zero unless leased
	Ahead   int       // due tasks of the host that go first; counted to 100,000, and only for what waits

	HostBusy   bool      // another task of the host is leased
	HostFree   time.Time // the host's delay and back-off are over; the zero time: it was never asked
	HostUntil  time.Time // end of the host's back-off; zero: there was none
	HostReason string    // of the back-off

	Refused Refusal // the last time it was refused; zero: never, or forgotten
}

// Frontier is the durable queue. Implementations are safe for concurrent use
// and pass frontiertest.Run.
type Frontier interface {
	// Add adds tasks not yet known (by ID) and returns how many were new. A
	// known task is not changed, whatever its state: it comes back at its own
	// Again time or by Restart. Only with Sooner one that is done, dead or waits
	// for its Again time comes back at Due (zero: at once) if that is sooner, with
	// Tries, Lost and lift at 0. One invalid task refuses the whole call.
	Add(ctx context.Context, tasks ...Task) (added int, err error)
	// Next leases up to n tasks that are due, on hosts that are free: not
	// leased, not backed off, and Delay past their last start (the larger of
	// the last started task's and the candidate's). Within a host the highest
	// Priority goes first, then the earliest Due, then the order of adding;
	// among hosts the one that has been free for longest. With none it returns
	// ErrNoneDue and how long to wait before asking again (0: nothing is
	// waiting at all and nothing is leased). A lease that ran out is taken back
	// here: the task is due at once and its Lost is counted.
	Next(ctx context.Context, n int, lease time.Duration) (leases []Lease, wait time.Duration, err error)
	// Extend prolongs a lease to now+lease, or returns ErrStaleLease.
	Extend(ctx context.Context, l Lease, lease time.Duration) (Lease, error)
	// Done acknowledges a task and adds the tasks its page named, in one
	// transaction; ErrStaleLease when the lease is no longer ours, and then
	// nothing is added.
	Done(ctx context.Context, l Lease, out Outcome, found ...Task) (added int, err error)
	// Retry gives a task back to be tried again not before at, counting a try.
	Retry(ctx context.Context, l Lease, at time.Time, reason string) error
	// Release gives a task back unharmed: no try is counted (shutdown). The
	// start still counts for the host's pace.
	Release(ctx context.Context, l Lease) error
	// Dead gives a task up with a reason.
	Dead(ctx context.Context, l Lease, reason string) error
	// BackOff forbids any start on host before until (Retry-After, 429, 503).
	// It never shortens an earlier back-off. A host not yet known is remembered.
	BackOff(ctx context.Context, host string, until time.Time, reason string) error
	// Restart begins a new pass: every done and dead task of the source, and
	// every one that waits for its Again time, is due at once; at equal
	// priority tasks never fetched go first, then the least recently fetched
	// (or given up). It returns how many. Tries and Lost start at 0; waiting and leased tasks are untouched.
	Restart(ctx context.Context, source string) (n int, err error)
	// Revive makes those of the named tasks that are dead due at once, with Tries
	// and Lost at 0, and returns how many were. All others, and ids not known,
	// are left alone.
	Revive(ctx context.Context, ids ...string) (n int, err error)
	// Finish ends a pass early: every waiting task of the source counts as
	// done without being fetched. It returns how many. Leased tasks are
	// untouched.
	Finish(ctx context.Context, source string) (n int, err error)
	// Repace gives every task of the source another Delay, from the next start on.
	// The pause after the last start counts anew as well, unless another source
	// has tasks due on the host. It returns how many tasks had another delay.
	Repace(ctx context.Context, source string, delay time.Duration) (n int, err error)
	// Note keeps values under keys, for whoever uses the frontier: what must be
	// remembered of a page or a thread, for all workers and over restarts. An
	// empty value forgets the key. Outcome.Notes does the same with an answer.
	Note(ctx context.Context, notes map[string]string) error
	// Notes returns the values kept under those of the keys that are known.
	Notes(ctx context.Context, keys ...string) (map[string]string, error)
	// Stats counts tasks, of one source or, with "", of all.
	Stats(ctx context.Context, source string) (Stats, error)
	// DeadTasks lists tasks given up, newest first.
	DeadTasks(ctx context.Context, limit int) ([]DeadTask, error)
	// Lookup tells where a task, or a link that was refused, stands; ErrUnknown
	// when it is neither.
	Lookup(ctx context.Context, id string) (Standing, error)
	// Refuse remembers that links were left out and why, the last time of each.
	// Of each source the oldest beyond MaxRefusals are forgotten. Tasks are not
	// changed by it.
	Refuse(ctx context.Context, refused ...Refusal) error
	// Close releases the frontier. Leases stay as they are.
	Close() error
}
