package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Errors that callers branch on.
var (
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("frontier: closed")
	// ErrLost: the server answers, but the frontier it held is gone. The crawl
	// waits: a lost frontier is no finished one.
	ErrLost = errors.New("the frontier in Redis is gone")
	// ErrEvicted: the server drops keys to save memory, or did.
	ErrEvicted = errors.New("the server drops keys of the frontier")
	// ErrTorn: part of the frontier is missing or damaged.
	ErrTorn = errors.New("the frontier in Redis is damaged")
)

const beginAnewRemedy = "restore its AOF or RDB file, or begin anew with: qingyuan crawl anew (every page is then fetched again; no post is stored twice)"

func (d *DB) lost() error {
	return fmt.Errorf("%w: %s answers, but holds no whole frontier %q although there was one; Redis was restarted without its data or flushed, or its keys were evicted: %s", ErrLost, d.addr, d.opts.Prefix, beginAnewRemedy)
}

func (d *DB) evicted(what string) error {
	return fmt.Errorf("%w at %s: %s; set maxmemory-policy noeviction and give it enough memory; if keys were dropped, %s", ErrEvicted, d.addr, what, beginAnewRemedy)
}

// plain says in words what an error of the server means and what to do.
func (d *DB) plain(err error) error {
	text := err.Error()
	at := func(what string) error { return fmt.Errorf("redis at %s %s: %w", d.addr, what, err) }
	begins := func(word string) bool { return strings.HasPrefix(text, word) }
	switch {
	case strings.Contains(text, "FRONTIERLOST"):
		return d.lost()
	case strings.Contains(text, "FRONTIERTORN"):
		return fmt.Errorf("%w at %s: keys are missing, they were evicted or deleted; %s: %w", ErrTorn, d.addr, beginAnewRemedy, err)
	case begins("OOM"):
		return at("is full (maxmemory); give it more memory, the crawl waits")
	case begins("LOADING"):
		return at("is still reading its data after a start")
	case begins("READONLY"):
		return at("takes no writes: it is a replica, a failover is under way or addrs names the wrong server")
	case begins("MISCONF"):
		return at("cannot write its data to its disk and takes no writes until it can")
	case begins("NOAUTH"), begins("WRONGPASS"):
		return at("refuses the user or password; see frontier.redis.user and password_file")
	case begins("NOPERM"):
		return at("lets this user not do it; see docs/redis.md for what the ACL must allow")
	case begins("BUSY"):
		return at("is held up by another script")
	case begins("CLUSTERDOWN"), begins("MASTERDOWN"), begins("TRYAGAIN"):
		return at("is being failed over")
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return at("does not answer in time")
	case isNet(err):
		return at("cannot be reached")
	}
	return at("failed")
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// isNet reports whether an error is the connection's, not an answer.
func isNet(err error) bool {
	var answer goredis.Error
	return !errors.As(err, &answer)
}

// temporary reports whether a call that failed so may be tried again at once.
func temporary(err error) bool {
	if isNet(err) {
		return !errors.Is(err, context.Canceled)
	}
	for _, word := range []string{"LOADING", "READONLY", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "UNBLOCKED"} {
		if strings.HasPrefix(err.Error(), word) {
			return true
		}
	}
	return false
}

// health remembers whether the last call succeeded. It is safe for concurrent
// use.
type health struct {
	mu      sync.Mutex
	problem error
	since   time.Time
	// standing is what watch found; calls that succeed do not end it.
	standing error
	policy   time.Time // of the last look at the server's settings
	evicted  int64     // keys evicted by then
	runID    string    // of the server
}

func (h *health) ok(d *DB) {
	h.mu.Lock()
	was, since := h.problem, h.since
	h.problem = nil
	h.mu.Unlock()
	if was != nil {
		d.log.Info("the frontier in Redis works again", "redis", d.addr, "away_for", time.Since(since).Round(time.Millisecond))
	}
}

// fail notes a failure and tells of the first one of a row.
func (h *health) fail(d *DB, err error) {
	h.mu.Lock()
	first := h.problem == nil || h.problem.Error() != err.Error()
	if h.problem == nil {
		h.since = time.Now()
	}
	h.problem = err
	h.mu.Unlock()
	if first {
		d.log.Warn("the frontier in Redis fails; the crawl waits, nothing is lost", "err", err)
	}
}

// Problem tells since when something is wrong with the server, and what in plain words,
// by the calls made so far; nil when all is well.
func (d *DB) Problem() (since time.Time, err error) {
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if d.health.standing != nil {
		return d.health.since, d.health.standing
	}
	return d.health.since, d.health.problem
}
