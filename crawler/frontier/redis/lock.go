package redis

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"errors"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/lock.lua
	lockLua    string
	lockScript = goredis.NewScript(headLua + lockLua)
)

// Errors of locks.
var (
	// ErrHeld: another worker holds the lock.
	ErrHeld = errors.New("another worker holds the lock")
	// ErrLockLost: the lock ran out, or was taken by another worker since.
	ErrLockLost = errors.New("the lock is no longer ours")
)

// Lock is the right of one worker, of all that share the frontier, to do what
// its name says until it runs out. It is prolonged while its holder lives, so
// it outlasts a killed holder by its time only. A holder that was halted and
// wakes up too late is told by Check, and whoever takes its writes can tell by
// Token: the newer lock's is larger.
type Lock struct {
	Name  string
	Token int64 // fencing token; larger than that of every lock and lease before

	d      *DB
	holder string
	ttl    time.Duration
	cancel context.CancelCauseFunc
	gone   chan struct{}
	once   sync.Once
}

// Lock takes a lock that runs out after ttl unless it is prolonged, which it
// does by itself. The context it returns ends, with the cause ErrLockLost, when
// the lock is lost. ErrHeld says that another worker has it.
func (d *DB) Lock(ctx context.Context, name string, ttl time.Duration) (*Lock, context.Context, error) {
	return d.lock(ctx, "take", name, ttl)
}

func (d *DB) lock(ctx context.Context, what, name string, ttl time.Duration) (*Lock, context.Context, error) {
	if name == "" || ttl < time.Millisecond {
		return nil, nil, fmt.Errorf("locking %q for %v: want a name and at least a millisecond", name, ttl)
	}
	l := &Lock{Name: name, d: d, holder: d.worker + " " + rand.Text(), ttl: ttl, gone: make(chan struct{})}
	token, err := l.call(ctx, what)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("locking %q: %w", name, err)
	case token == -1:
		return nil, nil, errDone
	}
	l.Token = token
	work, cancel := context.WithCancelCause(ctx)
	l.cancel = cancel
	go l.keep(work)
	return l, work, nil
}

// errDone: the job of this name was done before.
var errDone = errors.New("the job is done")

// call asks the server; the answer is the token, -1 for a job that is done.
func (l *Lock) call(ctx context.Context, what string) (int64, error) {
	reply, err := l.d.run(ctx, lockScript, what, l.Name, l.holder, l.Token, l.ttl.Microseconds())
	if err != nil {
		return 0, err
	}
	r := reader{vals: list(reply)}
	token := r.int()
	switch {
	case r.err != nil:
		return 0, r.err
	case token == 0 && (what == "take" || what == "job"):
		return 0, fmt.Errorf("%w: %s", ErrHeld, r.text())
	case token == 0:
		return 0, ErrLockLost
	}
	return token, nil
}

// keep prolongs the lock until it is given up.
func (l *Lock) keep(ctx context.Context) {
	defer close(l.gone)
	tick := time.NewTicker(l.ttl / 3)
	defer tick.Stop()
	good := time.Now() // when the last prolongation that succeeded was begun
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		short, cancel := context.WithTimeout(ctx, l.ttl/3)
		_, err := l.call(short, "extend")
		cancel()
		switch {
		case err == nil:
			good = begun
		case errors.Is(err, ErrLockLost) || time.Since(good) >= l.ttl:
			l.cancel(ErrLockLost)
			return
		}
	}
}

// Check asks the server whether the lock is still ours; ErrLockLost when not.
// It is for the moment before something is done that cannot be undone.
func (l *Lock) Check(ctx context.Context) error {
	if _, err := l.call(ctx, "extend"); err != nil {
		return fmt.Errorf("lock %q: %w", l.Name, err)
	}
	return nil
}

// Release gives the lock up; ErrLockLost when it was lost before.
func (l *Lock) Release(ctx context.Context) error { return l.end(ctx, "release") }

func (l *Lock) end(ctx context.Context, what string) (err error) {
	err = fmt.Errorf("lock %q: %w", l.Name, ErrLockLost)
	l.once.Do(func() {
		l.cancel(nil)
		<-l.gone
		if _, err = l.call(ctx, what); err != nil {
			err = fmt.Errorf("lock %q: %w", l.Name, err)
		}
	})
	return err
}

// Once does a job once over all workers, for all time: the name, such as
// "digest 2026-11-22", is remembered for 90 days when run returns nil. It
// returns false when the job was done before, and ErrHeld when another worker
// is at it. A job whose worker is killed is done again by the next one, not
// before ttl is over, so what it does must bear being done twice or go by
// token, the fencing token.
func (d *DB) Once(ctx context.Context, job string, ttl time.Duration, run func(ctx context.Context, token int64) error) (ran bool, err error) {
	l, work, err := d.lock(ctx, "job", job, ttl)
	if errors.Is(err, errDone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := run(work, l.Token); err != nil {
		return false, errors.Join(err, l.end(context.WithoutCancel(ctx), "release"))
	}
	if err := l.end(context.WithoutCancel(ctx), "done"); err != nil {
		return false, err
	}
	return true, nil
}

const (
	passLock = 30 * time.Second
	passPoll = 100 * time.Millisecond
	// passAgain is how long to wait before taking up the work again.
	passAgain = 2 * time.Second
)

// Together runs begin, by which a worker takes up its work, for one worker at a
// time. joined tells that others are at work already. It runs again when the
// lock is lost meanwhile, as with a frontier that is begun anew.
func (d *DB) Together(ctx context.Context, begin func(ctx context.Context, joined bool) error) error {
	for {
		l, work, err := d.Lock(ctx, "begin", passLock)
		if errors.Is(err, ErrHeld) {
			select {
			case <-time.After(passPoll):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
		others, err := d.others(work)
		if err == nil {
			err = begin(work, others > 0)
		}
		if lost := context.Cause(work); errors.Is(lost, ErrLockLost) {
			err = lost
		}
		if err = errors.Join(err, l.Release(context.WithoutCancel(ctx))); !errors.Is(err, ErrLockLost) && !errors.Is(err, ErrLost) {
			return err
		}
		// The frontier was lost or begun anew meanwhile: what begin did is gone
		// with it, or is done again without harm. One that is lost is waited for,
		// as it is later in the crawl.
		d.log.Warn("taking up the work was interrupted; beginning it again", "redis", d.addr, "err", err)
		select {
		case <-time.After(passAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// others counts the other workers and lists this one.
func (d *DB) others(ctx context.Context) (int, error) {
	reply, err := d.run(ctx, workersScript, d.worker, workerSeen.Microseconds())
	n, err := number(reply, err)
	if err != nil {
		return 0, fmt.Errorf("looking for other workers: %w", err)
	}
	return n, nil
}

var workersScript = goredis.NewScript(headLua + `
call('ZREM', P .. 'workers', ARGV[3])
local others = call('ZCOUNT', P .. 'workers', now - tonumber(ARGV[4]), '+inf')
call('ZADD', P .. 'workers', now, ARGV[3])
return others
`)
