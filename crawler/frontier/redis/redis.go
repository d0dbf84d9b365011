// Package redis keeps a frontier in Redis or Valkey, for many workers on many
// machines.
//
// What comes in: tasks, and answers to leases, from any number of processes.
// What goes out: leases. Every call is one Lua script, so it happens whole or
// not at all; the clock is the server's, so that workers need not agree on
// theirs; host clocks, back-offs and leases are shared by all. All keys carry
// one hash tag: a frontier lives on one node, also of a cluster. What Redis
// keeps over a crash is Redis's business; see Check. The package knows nothing
// of pages or of HTTP.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"qingyuan/crawler/frontier"
)

// Options of Open. Addrs is needed.
type Options struct {
	// Addrs are host:port: one of a single server, several of a Cluster, or with
	// Master those of the Sentinels.
	Addrs  []string
	Master string // name under which the Sentinels know the server; "": no Sentinels
	// User and Password are for AUTH; both may be empty. The Sentinels are asked
	// with the same.
	User, Password string
	TLS            *tls.Config // nil: no TLS
	DB             int         // number of the database; 0 with a Cluster
	// Prefix begins every key, in braces; letters, digits and . _ - : only.
	// "qingyuan" by default. Frontiers with different prefixes are apart.
	Prefix string
	// Marker is a file that remembers which frontier was used last, so that one
	// that is lost is not taken for one that is new; "": none.
	Marker string
	// Now is the clock, for tests; nil is that of the server.
	Now func() time.Time
	// Logger hears of outages and of what was lost; nil is silent.
	Logger *slog.Logger
	// Adopted is called when another process has begun the frontier anew after
	// it was lost: the seeds have to be added again. It runs in a goroutine of
	// its own; nil: nobody is told.
	Adopted func()
	// Patience is how long a call goes on trying while the server is away; 10 s
	// by default.
	Patience time.Duration
	// Timeout is how long one try waits for the reply; 5 s by default.
	Timeout time.Duration
	// Watch is how often Next looks whether the server evicts keys; 10 s by
	// default.
	Watch time.Duration
}

// schema is the version of what the scripts write; see lua/head.lua.
const schema = 1

// grantSlots is how many calls of Next may be under way at a time.
const grantSlots = 32

// DB is a frontier in Redis. It is safe for concurrent use, and any number of
// processes may open the same one.
type DB struct {
	rdb    goredis.UniversalClient
	opts   Options
	log    *slog.Logger
	meta   string // key
	worker string
	addr   string // for people

	epoch  atomic.Pointer[string]
	skew   clockSkew
	slots  chan *grantSlot
	health health
	seen   atomic.Int64 // largest seq that Next saw
	told   atomic.Int64 // when the server last heard that this worker is there, Unix ns
	names  names
	pipe   pipe

	closing sync.Once
	closed  error
}

// grantSlot numbers the calls of Next that follow each other.
type grantSlot struct {
	name   string
	number int64
}

var _ frontier.Frontier = (*DB)(nil)

// ValidPrefix reports whether keys may begin so; see Options.Prefix.
func ValidPrefix(prefix string) bool { return prefixForm.MatchString(prefix) }

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,100}$`)

// Open connects, checks the server, and begins the frontier when there never
// was one. It fails with ErrLost when there was one by Marker and it is gone,
// and with ErrEvicted when the server drops keys to save memory.
func Open(ctx context.Context, opts Options) (*DB, error) {
	d, err := connect(opts)
	if err != nil {
		return nil, fmt.Errorf("opening frontier: %w", err)
	}
	if err := d.open(ctx); err != nil {
		d.rdb.Close()
		return nil, fmt.Errorf("opening frontier: %w", err)
	}
	return d, nil
}

func connect(opts Options) (*DB, error) {
	if len(opts.Addrs) == 0 {
		return nil, errors.New("no address of a Redis server is given")
	}
	if opts.Prefix == "" {
		opts.Prefix = "qingyuan"
	}
	if !ValidPrefix(opts.Prefix) {
		return nil, fmt.Errorf("prefix %q of the keys; use up to 100 letters, digits, dots, colons, _ and -", opts.Prefix)
	}
	for _, o := range []struct {
		v *time.Duration
		d time.Duration
	}{{&opts.Patience, 10 * time.Second}, {&opts.Timeout, 5 * time.Second}, {&opts.Watch, 10 * time.Second}} {
		if *o.v <= 0 {
			*o.v = o.d
		}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	d := &DB{opts: opts, log: opts.Logger, meta: "{" + opts.Prefix + "}:meta", addr: strings.Join(opts.Addrs, ", "), worker: workerName()}
	quiet.Do(func() { goredis.SetLogger(silence{}) })
	d.rdb = goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: opts.Addrs, MasterName: opts.Master, Username: opts.User, Password: opts.Password, DB: opts.DB, TLSConfig: opts.TLS,
		SentinelUsername: opts.User, SentinelPassword: opts.Password, ClientName: "qingyuan",
		// run tries again by itself: only it knows what may be done twice.
		MaxRetries: -1, DialerRetries: 1, DialTimeout: opts.Timeout, ReadTimeout: opts.Timeout, WriteTimeout: opts.Timeout,
		ContextTimeoutEnabled: true, PoolSize: 2 * grantSlots,
	})
	d.slots = make(chan *grantSlot, grantSlots)
	for i := range grantSlots {
		d.slots <- &grantSlot{name: d.worker + "." + strconv.Itoa(i)}
	}
	return d, nil
}

// What the client logs by itself, to the process's standard error and line by
// line, is said by health in fewer words.
var quiet sync.Once

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func workerName() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	host, _ := os.Hostname()
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}

func (d *DB) open(ctx context.Context) error {
	if err := d.inspect(ctx); err != nil {
		return err
	}
	known, err := d.readMarker()
	if err != nil {
		return err
	}
	propose := rand.Text()
	if known != "" {
		propose = "" // it must be there
	}
	was, err := d.look(ctx, propose)
	switch {
	case err != nil:
		return err
	case was.epoch == "":
		return d.lost()
	case was.schema != schema:
		return fmt.Errorf("the frontier at %s has schema version %d, this program knows %d: the programs of all workers must be of one version here; update the older ones", d.addr, was.schema, schema)
	case !was.evicted.IsZero():
		return fmt.Errorf("%w (noticed %s)", d.evicted("evictions were noticed before"), was.evicted.UTC().Format(time.DateTime))
	case known != "" && known != was.epoch:
		d.log.Warn("the frontier in Redis was begun anew since this worker last used it", "redis", d.addr)
	}
	if was.begun {
		d.log.Info("began a new frontier in Redis", "redis", d.addr, "prefix", d.opts.Prefix)
	}
	d.epoch.Store(&was.epoch)
	return d.writeMarker(was.epoch)
}

// standing is what open.lua finds.
type standing struct {
	epoch   string
	schema  int
	evicted time.Time
	begun   bool
	remains bool
}

func (d *DB) look(ctx context.Context, propose string) (standing, error) {
	reply, err := d.try(ctx, func(ctx context.Context, _ int) (any, error) {
		return openScript.Run(ctx, d.rdb, []string{d.meta}, propose, schema, grantSlots).Result()
	})
	if err != nil {
		return standing{}, err
	}
	r := reader{vals: list(reply)}
	s := standing{epoch: r.text(), schema: int(r.int()), evicted: timeOf(r.int(), 0)}
	how := r.int()
	s.begun, s.remains = how == 1, how == 3
	return s, r.err
}

func (d *DB) readMarker() (string, error) {
	if d.opts.Marker == "" {
		return "", nil
	}
	data, err := os.ReadFile(d.opts.Marker)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading which frontier was used last: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func (d *DB) writeMarker(epoch string) error {
	if d.opts.Marker == "" {
		return nil
	}
	tmp := d.opts.Marker + ".new"
	if err := os.WriteFile(tmp, []byte(epoch+"\n"), 0o600); err != nil {
		return fmt.Errorf("noting which frontier is used: %w", err)
	}
	if err := os.Rename(tmp, d.opts.Marker); err != nil {
		return fmt.Errorf("noting which frontier is used: %w", err)
	}
	return nil
}

// adopt goes on with a frontier that another process has begun anew.
func (d *DB) adopt(epoch string) {
	old := d.epoch.Load()
	if *old == epoch || !d.epoch.CompareAndSwap(old, &epoch) {
		return // another goroutine did
	}
	d.seen.Store(0)
	d.names.forget()
	d.log.Warn("the frontier in Redis was begun anew; going on with it, all pages are fetched again", "redis", d.addr)
	if err := d.writeMarker(epoch); err != nil {
		d.log.Error("the next start will not know the frontier", "err", err)
	}
	if d.opts.Adopted != nil {
		go d.opts.Adopted()
	}
}

// BeginAnew clears what is left of a frontier that was lost or damaged and
// begins an empty one. It refuses when the frontier is whole. Workers that run
// go on with the new one by themselves.
func BeginAnew(ctx context.Context, opts Options) error {
	d, err := connect(opts)
	if err != nil {
		return fmt.Errorf("beginning the frontier anew: %w", err)
	}
	defer d.rdb.Close()
	if err := d.beginAnew(ctx); err != nil {
		return fmt.Errorf("beginning the frontier anew: %w", err)
	}
	return nil
}

func (d *DB) beginAnew(ctx context.Context) error {
	if err := d.inspect(ctx); err != nil {
		return err
	}
	was, err := d.look(ctx, "")
	if err != nil {
		return err
	}
	if was.epoch != "" && was.evicted.IsZero() {
		return fmt.Errorf("the frontier %q at %s is there and not known to be damaged; nothing was done", d.opts.Prefix, d.addr)
	}
	if err := d.clear(ctx); err != nil {
		return err
	}
	if was, err = d.look(ctx, rand.Text()); err != nil {
		return err
	}
	return d.writeMarker(was.epoch)
}

// clear removes every key of the prefix, the meta record first, so that no
// worker goes on with the rest.
func (d *DB) clear(ctx context.Context) error {
	if err := d.rdb.Unlink(ctx, d.meta).Err(); err != nil {
		return d.plain(err)
	}
	each := func(ctx context.Context, c goredis.Cmdable) error {
		keys := c.Scan(ctx, 0, "{"+d.opts.Prefix+"}:*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := d.rdb.Unlink(ctx, keys.Val()).Err(); err != nil {
				return d.plain(err)
			}
		}
		if err := keys.Err(); err != nil {
			return d.plain(err)
		}
		return nil
	}
	if cluster, ok := d.rdb.(*goredis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error { return each(ctx, c) })
	}
	return each(ctx, d.rdb)
}

// Close ends the connections. Leases stay as they are.
func (d *DB) Close() error {
	d.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		slots := make([]string, grantSlots)
		for i := range slots {
			slots[i] = d.worker + "." + strconv.Itoa(i)
		}
		d.rdb.ZRem(ctx, d.key("workers"), d.worker) // or it is forgotten with time
		d.rdb.HDel(ctx, d.meta, slots...)
		d.closed = d.rdb.Close()
	})
	return d.closed
}

func (d *DB) key(name string) string { return strings.TrimSuffix(d.meta, "meta") + name }
