package redis

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/head.lua
	headLua string
	//go:embed lua/move.lua
	moveLua string
	//go:embed lua/names.lua
	namesLua string
	//go:embed lua/grow.lua
	growLua string
	//go:embed lua/keep.lua
	keepLua string
	//go:embed lua/add.lua
	addLua string
	//go:embed lua/next.lua
	nextLua string
	//go:embed lua/answer.lua
	answerLua string
	//go:embed lua/backoff.lua
	backoffLua string
	//go:embed lua/pass.lua
	passLua string
	//go:embed lua/revive.lua
	reviveLua string
	//go:embed lua/note.lua
	noteLua string
	//go:embed lua/notes.lua
	notesLua string
	//go:embed lua/refuse.lua
	refuseLua string
	//go:embed lua/lookup.lua
	lookupLua string
	//go:embed lua/stats.lua
	statsLua string
	//go:embed lua/dead.lua
	deadLua string
	//go:embed lua/open.lua
	openLua string
)

// The scripts, each of the parts it needs: a part costs time with every call.
var (
	addScript     = goredis.NewScript(headLua + moveLua + namesLua + growLua + addLua)
	nextScript    = goredis.NewScript(headLua + moveLua + nextLua)
	answerScript  = goredis.NewScript(headLua + moveLua + namesLua + growLua + keepLua + answerLua)
	backoffScript = goredis.NewScript(headLua + moveLua + namesLua + backoffLua)
	passScript    = goredis.NewScript(headLua + moveLua + namesLua + passLua)
	reviveScript  = goredis.NewScript(headLua + moveLua + reviveLua)
	noteScript    = goredis.NewScript(headLua + keepLua + noteLua)
	notesScript   = goredis.NewScript(headLua + notesLua)
	refuseScript  = goredis.NewScript(headLua + namesLua + refuseLua)
	lookupScript  = goredis.NewScript(headLua + moveLua + namesLua + lookupLua)
	statsScript   = goredis.NewScript(headLua + namesLua + statsLua)
	deadScript    = goredis.NewScript(headLua + moveLua + namesLua + deadLua)
	openScript    = goredis.NewScript(openLua)
)

// run runs a script that may be run twice; see runAt.
func (d *DB) run(ctx context.Context, s *goredis.Script, args ...any) (any, error) {
	return d.runAt(ctx, s, func(int) []any { return args })
}

// runAt runs a script, again while the server is away. args gives the
// arguments of each try, counted from 0.
func (d *DB) runAt(ctx context.Context, s *goredis.Script, args func(try int) []any) (any, error) {
	return d.try(ctx, func(_ context.Context, try int) (any, error) {
		for range 2 {
			all := append([]any{*d.epoch.Load(), d.clock()}, args(try)...)
			reply, err := d.pipe.run(d, s, all)
			if err == nil {
				return reply, nil
			}
			_, epoch, other := strings.Cut(err.Error(), "FRONTIEROTHER ")
			if !other {
				return nil, err
			}
			d.adopt(epoch)
		}
		return nil, errors.New("the frontier was begun anew twice")
	})
}

// try makes a call, again while the server is away and Patience lasts. A call
// once sent is waited for even when ctx ends, for at most Timeout: the caller
// must know what it did.
func (d *DB) try(ctx context.Context, call func(ctx context.Context, try int) (any, error)) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	until := time.Now().Add(d.opts.Patience)
	pause := 25 * time.Millisecond
	for n := 0; ; n++ {
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.opts.Timeout)
		reply, err := call(once, n)
		cancel()
		if err == nil {
			d.health.ok(d)
			return reply, nil
		}
		if errors.Is(err, goredis.ErrClosed) {
			return nil, ErrClosed
		}
		told := d.plain(err)
		d.health.fail(d, told)
		if !temporary(err) || time.Now().Add(pause).After(until) {
			return nil, told
		}
		t := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		pause = min(2*pause, time.Second)
	}
}

// clock is the time for a script: "" is the server's own.
func (d *DB) clock() string {
	if d.opts.Now == nil {
		return ""
	}
	return strconv.FormatInt(d.opts.Now().UnixMicro(), 10)
}

// clockSkew is how far the server's clock is ahead of ours. Times that callers
// give and get are by their own clock.
type clockSkew struct {
	mu     sync.Mutex
	ahead  time.Duration
	within time.Duration // round trip of the sample
	taken  time.Time
	warned bool
}

const (
	skewEvery  = time.Minute     // a sample is good for so long
	skewWarned = 5 * time.Second // clocks further apart are told of
)

// sample takes the server's time that a call begun at sent returned.
func (c *clockSkew) sample(d *DB, sent time.Time, server int64) {
	if d.opts.Now != nil {
		return
	}
	trip := time.Since(sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	if trip > c.within && sent.Sub(c.taken) < skewEvery {
		return
	}
	c.within, c.taken = trip, sent
	c.ahead = time.UnixMicro(server).Sub(sent.Add(trip / 2))
	if wide := c.ahead.Abs() > skewWarned; wide != c.warned {
		c.warned = wide
		if wide {
			d.log.Warn("this machine's clock and that of Redis are apart; the frontier goes by that of Redis", "redis_ahead", c.ahead.Round(time.Millisecond))
		}
	}
}

func (c *clockSkew) get() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// micros gives a caller's time by the server's clock, 0 for the zero time.
func (d *DB) micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.Add(d.skew.get()).UnixMicro(), 1)
}

func timeOf(us int64, ahead time.Duration) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).Add(-ahead)
}

// time gives a time of the server by the caller's clock.
func (d *DB) time(us int64) time.Time { return timeOf(us, d.skew.get()) }

func list(reply any) []any {
	l, _ := reply.([]any)
	return l
}

// reader takes the values of a reply one after the other. A value that is not
// there or of another kind makes err, and the rest zero.
type reader struct {
	vals []any
	err  error
}

func (r *reader) next() any {
	if len(r.vals) == 0 {
		r.fail(nil)
		return nil
	}
	v := r.vals[0]
	r.vals = r.vals[1:]
	return v
}

func (r *reader) fail(v any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: a script answered with %T where something else was to come", ErrTorn, v)
	}
}

func (r *reader) text() string {
	v := r.next()
	s, ok := v.(string)
	if !ok {
		r.fail(v)
	}
	return s
}

// int takes a number, also one that Redis keeps as text; "" is 0.
func (r *reader) int() int64 {
	switch v := r.next().(type) {
	case int64:
		return v
	case string:
		if v == "" {
			return 0
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			r.fail(v)
		}
		return n
	default:
		r.fail(v)
		return 0
	}
}

// number takes the reply of a script that returns one.
func number(reply any, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	r := reader{vals: []any{reply}}
	n := r.int()
	return int(n), r.err
}
