package redis

import (
	"context"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// pipe sends the calls that wait at the same time in one write and reads their
// replies in one: with many workers most of what a call costs is the way there.
// It is safe for concurrent use.
type pipe struct {
	mu      sync.Mutex
	flights int
	waiting []*pipeCall
}

type pipeCall struct {
	script *goredis.Script
	args   []any
	reply  any
	err    error
	done   chan struct{}
}

const (
	maxFlights  = 2  // one is prepared while the other is under way
	maxInFlight = 64 // calls of one
)

// run runs a script and waits for its reply, for as long as the server may
// take.
func (p *pipe) run(d *DB, s *goredis.Script, args []any) (any, error) {
	c := &pipeCall{script: s, args: args, done: make(chan struct{})}
	p.mu.Lock()
	p.waiting = append(p.waiting, c)
	if p.flights < maxFlights {
		p.flights++
		go p.fly(d)
	}
	p.mu.Unlock()
	<-c.done
	return c.reply, c.err
}

// fly sends what waits until nothing does.
func (p *pipe) fly(d *DB) {
	for {
		p.mu.Lock()
		n := min(len(p.waiting), maxInFlight)
		if n == 0 {
			p.flights--
			p.waiting = nil
			p.mu.Unlock()
			return
		}
		calls := p.waiting[:n:n]
		p.waiting = p.waiting[n:]
		p.mu.Unlock()
		d.send(calls)
		for _, c := range calls {
			close(c.done)
		}
	}
}

func (d *DB) send(calls []*pipeCall) {
	ctx, cancel := context.WithTimeout(context.Background(), d.opts.Timeout)
	defer cancel()
	keys := []string{d.meta}
	if len(calls) > 1 {
		cmds := make([]*goredis.Cmd, len(calls))
		d.rdb.Pipelined(ctx, func(p goredis.Pipeliner) error { // each command has its own error
			for i, c := range calls {
				cmds[i] = p.EvalSha(ctx, c.script.Hash(), keys, c.args...)
			}
			return nil
		})
		for i, c := range calls {
			c.reply, c.err = cmds[i].Result()
		}
	}
	for _, c := range calls {
		if len(calls) == 1 || c.err != nil && strings.HasPrefix(c.err.Error(), "NOSCRIPT") {
			c.reply, c.err = c.script.Run(ctx, d.rdb, keys, c.args...).Result()
		}
	}
}
