// Package elastic keeps the index in Elasticsearch 8: the store for many
// workers, and for analysts who use Kibana.
//
// What comes in: records, triage changes, queries. What goes out: what
// index.Store promises, and documents in the Elastic Common Schema that Kibana
// reads without this program. Setup makes the indices; a store only opens what
// Setup made. While the server is away, records wait in a spool on disk.
// Texts are searched by the tokens that package index defines; normalisation
// and segmentation are functions that the caller gives. It does not know what
// is crawled, nor what a verdict means.
package elastic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"qingyuan/index"
)

// Options configure a Store. Only URLs are required.
type Options struct {
	Server
	// Prefix begins the name of every index, alias and template; DefaultPrefix
	// when empty. Lower-case letters, digits and hyphens, a letter first.
	Prefix string
	// Spool is the folder where records wait while the server is away, and where
	// those that it refuses are kept. Empty: Put fails instead.
	Spool string
	// SpoolBytes bounds what waits in Spool; 1 GiB when 0. When it is full Put
	// fails, which holds the crawl.
	SpoolBytes int64
	// Normalize undoes the disguises of a text, as for the embedded store. Nil
	// searches the published text only.
	Normalize func(string) string
	// Words cuts a text into words, for significant terms in Kibana; nil leaves
	// the field out.
	Words func(string) []string
	// Location is where days begin, in queries and in the day facet; nil is
	// index.China().
	Location *time.Location
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Retry is how long after a failure the server is tried again; it doubles up
	// to 30 times that. 1 s when 0.
	Retry time.Duration
	// BulkBytes is the size a bulk request grows to; 2 MiB when 0.
	BulkBytes int
	// Logger is told when the server goes away and comes back, and of records
	// that it refuses; nil is silence.
	Logger *slog.Logger
}

// DefaultPrefix begins the names of indices unless another is given.
const DefaultPrefix = "qingyuan"

// Errors that callers branch on. Their text says what to do.
var (
	// ErrUnavailable: the server does not answer, or not now.
	ErrUnavailable = errors.New("the index server does not answer")
	// ErrDiskFull: the server has made the index read-only because its disk is full.
	ErrDiskFull = errors.New("the index server's disk is full: free space there, or add a node; it takes writes again by itself")
	// ErrRefused: the server does not accept who we are, or we not who it is.
	ErrRefused = errors.New("the index server refuses this program")
	// ErrNotSetUp: templates, indices or aliases are missing or older than this
	// program; Setup makes them.
	ErrNotSetUp = errors.New("the index server is not set up; run: qingyuan setup")
	// ErrNewer: the indices were made by a newer version of this program.
	ErrNewer = errors.New("the index was made by a newer version of this program; use that one")
	// ErrSpoolFull: the server is away and no more can wait on disk.
	ErrSpoolFull = errors.New("the spool is full")
)

func (o Options) withDefaults() (Options, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if err := CheckPrefix(o.Prefix); err != nil {
		return o, err
	}
	if o.SpoolBytes <= 0 {
		o.SpoolBytes = 1 << 30
	}
	if o.Location == nil {
		o.Location = index.China()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	if o.BulkBytes <= 0 {
		o.BulkBytes = 2 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// CheckPrefix returns ErrInvalid for a prefix that index names cannot begin with.
func CheckPrefix(prefix string) error {
	ok := prefix != "" && len(prefix) <= 64 && prefix[0] >= 'a' && prefix[0] <= 'z'
	for _, r := range prefix {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	if !ok {
		return fmt.Errorf("%w: index prefix %q: use lower-case letters, digits and hyphens, a letter first, at most 64", index.ErrInvalid, prefix)
	}
	return nil
}

// Store is an index.Store in Elasticsearch. It is safe for concurrent use,
// also by several processes on several machines.
type Store struct {
	opts  Options
	names names
	c     *client

	closing context.Context //nolint:containedctx // ends with the store
	close   context.CancelFunc
	closed  atomic.Bool
	work    sync.WaitGroup // what runs in the background

	fresh   freshness
	auditMu sync.Mutex // appends of this process come one after the other
	known   atomic.Bool
	counts  counters
	state   condition
	spool   *spool // nil: none
	checked atomic.Int64
}

var _ index.Store = (*Store)(nil)

// Open connects to a server that Setup has prepared. What waits in the spool
// is sent in the background. When the server does not answer and there is a
// spool, Open succeeds: the state of the store says so, and the check of its
// schema is made up for before anything is written.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newClient(opts.Server)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, names: newNames(opts.Prefix), c: c}
	s.fresh.wrote()
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.ready(ctx); err != nil && (opts.Spool == "" || !waits(err)) {
		return nil, fmt.Errorf("opening the index at %s: %w", c.where, err)
	} else if err != nil {
		s.trouble(err)
	}
	if opts.Spool != "" {
		if s.spool, err = openSpool(opts.Spool, opts.SpoolBytes); err != nil {
			return nil, err
		}
		if s.spool.leftover() {
			s.startReplay()
		}
	}
	return s, nil
}

// waits reports whether an error passes by itself, so that records may wait.
func waits(err error) bool { return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDiskFull) }

// schemaCheckEvery is how often a store looks whether the schema is still its own.
const schemaCheckEvery = time.Minute

// ready checks the schema, unless that was done a moment ago.
func (s *Store) ready(ctx context.Context) error {
	now := time.Now().UnixNano()
	if last := s.checked.Load(); last != 0 && now-last < int64(schemaCheckEvery) {
		return nil
	}
	if err := checkSchema(ctx, s.c, s.names); err != nil {
		return err
	}
	s.checked.Store(now)
	return nil
}

// Close ends what runs in the background. What waits in the spool stays there
// for the next start.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.close()
	s.work.Wait()
	s.c.close()
	if s.spool == nil {
		return nil
	}
	if n, size := s.spool.waiting(); n > 0 {
		s.opts.Logger.Warn("records still wait in the spool; they are sent at the next start", "batches", n, "bytes", size, "folder", s.opts.Spool)
	}
	return s.spool.close()
}

// explain says what was being done; calls after Close are ErrClosed.
func (s *Store) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, index.ErrClosed)
	}
	for _, known := range [...]error{index.ErrNotFound, index.ErrConflict, index.ErrInvalid} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%s: index server %s: %w", doing, s.c.where, err)
}

// now is the clock to the microsecond.
func (s *Store) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// normalized returns the normalised text, or "" when it adds nothing.
func (s *Store) normalized(text string) string {
	if s.opts.Normalize == nil || text == "" {
		return ""
	}
	return s.opts.Normalize(text)
}

// freshness makes what this store wrote visible to its next search, and what
// others wrote before to its first. Later writes of others are seen within the
// refresh interval of the index.
type freshness struct {
	mu      sync.Mutex
	written atomic.Int64 // 1 at first, grows with each write
	shown   int64        // what the last refresh has made visible
}

func (f *freshness) wrote() { f.written.Add(1) }

// refresh makes this store's own writes visible, if there are any.
func (s *Store) refresh(ctx context.Context) error {
	f := &s.fresh
	f.mu.Lock()
	defer f.mu.Unlock()
	written := f.written.Load()
	if written == f.shown {
		return nil
	}
	err := s.c.call(ctx, "POST", "/"+s.names.posts.read+","+s.names.audit.read+"/_refresh", nil, nil)
	if err != nil && !errors.Is(err, ErrRefused) { // without the right to refresh it takes a second
		return err
	}
	f.shown = written
	return nil
}
