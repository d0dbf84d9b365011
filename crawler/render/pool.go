package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
)

// startTime is how long a browser may take to start, on a busy machine.
const startTime = 30 * time.Second

// Pool keeps browsers. It is safe for many goroutines. Make it with New.
type Pool struct {
	opts Options
	path string
	ctx  context.Context // ends with the pool
	stop context.CancelCauseFunc
	turn chan struct{} // one place a browser
	work sync.WaitGroup

	mu     sync.Mutex
	closed bool
	fence  int  // of fences: the first that is known to work
	found  bool // fence is known to work
	free   []*instance
	stats  Stats
}

// instance is one running browser.
type instance struct {
	*process
	c     *conn
	pages int
	idle  *time.Timer
}

// New finds Chromium and makes a pool; browsers are started when they are
// needed. Profiles that a killed process left behind are removed. The error is
// ErrNoBrowser when there is no Chromium.
func New(opts Options) (*Pool, error) {
	opts = withDefaults(opts)
	path, err := Find(opts.Path)
	if err != nil {
		return nil, err
	}
	sweepProfiles(os.TempDir(), func(profile string) { opts.Logger.Info("removed what a dead browser left", "profile", profile) })
	p := &Pool{opts: opts, path: path, turn: make(chan struct{}, opts.Browsers)}
	p.ctx, p.stop = context.WithCancelCause(context.Background())
	return p, nil
}

// Render shows one page. It waits for a free browser as long as ctx allows;
// the limits count from then. Whatever the page does, it returns within
// Options.Timeout and a few seconds for ending a browser.
func (p *Pool) Render(ctx context.Context, req Request) (Result, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-p.ctx.Done():
		return Result{}, ErrClosed
	}
	defer func() { <-p.turn }()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return Result{}, ErrClosed
	}
	p.work.Add(1)
	p.mu.Unlock()
	defer p.work.Done()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(ErrClosed) })()
	b, err := p.take(ctx)
	if err != nil {
		p.count(func(s *Stats) { s.Failed++ })
		return Result{}, err
	}
	started := time.Now()
	limited, end := context.WithTimeoutCause(ctx, p.opts.Timeout, ErrTimeout)
	res, err := p.watched(limited, b, req)
	end()
	b.pages++
	res.Took = time.Since(started)
	p.give(b, err != nil)
	if err != nil {
		p.count(func(s *Stats) { s.Failed++ })
		return Result{}, fmt.Errorf("showing %s: %w", req.URL, err)
	}
	p.count(func(s *Stats) { s.Pages++ })
	return res, nil
}

// watched shows a page and kills the browser when the page is over a limit.
func (p *Pool) watched(ctx context.Context, b *instance, req Request) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				b.kill() // whoever waits for the browser waits no more
				return
			case <-b.c.gone:
				cancel(ErrCrashed)
			case <-tick.C:
			}
			rss := b.rss()
			p.count(func(s *Stats) { s.PeakRSS = max(s.PeakRSS, rss) })
			if rss > p.opts.Memory {
				cancel(fmt.Errorf("%w: %d MB", ErrMemory, rss>>20))
			}
		}
	})
	res, err := show(ctx, b.c, req)
	close(done)
	watch.Wait()
	if cause := context.Cause(ctx); cause != nil && (err != nil || !errors.Is(cause, context.Canceled)) {
		err = cause // says why, where err says at which step
	}
	return res, err
}

// take gives a running browser.
func (p *Pool) take(ctx context.Context) (*instance, error) {
	for {
		p.mu.Lock()
		n := len(p.free)
		if n == 0 {
			p.mu.Unlock()
			return p.launch(ctx)
		}
		b := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		b.idle.Stop()
		select {
		case <-b.c.gone: // died while it had nothing to do
			p.end(b, true)
		default:
			return b, nil
		}
	}
}

// give takes a browser back, or ends it.
func (p *Pool) give(b *instance, broken bool) {
	if broken || b.pages >= p.opts.Recycle {
		p.end(b, broken)
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.end(b, false)
		return
	}
	p.free = append(p.free, b)
	b.idle = time.AfterFunc(p.opts.Idle, func() { p.retire(b) })
	p.mu.Unlock()
}

// retire ends a browser that has had no work for long.
func (p *Pool) retire(b *instance) {
	p.mu.Lock()
	i := slices.Index(p.free, b)
	if i >= 0 {
		p.free = slices.Delete(p.free, i, i+1)
		p.work.Add(1)
	}
	p.mu.Unlock()
	if i >= 0 {
		p.end(b, false)
		p.work.Done()
	}
}

func (p *Pool) end(b *instance, broken bool) {
	b.kill()
	p.count(func(s *Stats) {
		s.Running--
		if broken {
			s.Killed++
		}
	})
}

func (p *Pool) count(change func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats)
}

// Stats tells what the pool did so far.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	f := fences(p.opts.SharedNetwork)[p.fence]
	s.Isolated, s.Sandboxed = p.found && f.network, p.found && f.sandbox
	return s
}

// launch starts a browser within the best fence that kernel and Chromium get
// along with.
func (p *Pool) launch(ctx context.Context) (*instance, error) {
	list := fences(p.opts.SharedNetwork)
	p.mu.Lock()
	from, found := p.fence, p.found
	p.mu.Unlock()
	var errs []error
	for i := from; i < len(list); i++ {
		b, err := p.try(ctx, list[i])
		if err == nil {
			p.settle(i, list[i], errs)
			return b, nil
		}
		errs = append(errs, err)
		if found || ctx.Err() != nil {
			break // it worked before: something else is wrong
		}
	}
	return nil, errs[len(errs)-1]
}

// settle remembers the fence that works and tells what is missing.
func (p *Pool) settle(i int, f fence, errs []error) {
	p.mu.Lock()
	told := p.found
	p.fence, p.found = i, true
	p.mu.Unlock()
	if told || f.network && f.sandbox || len(errs) == 0 {
		return
	}
	p.opts.Logger.Warn("a browser could not be fenced in as it should; allow user and network namespaces to this process, or do not run strangers' pages here",
		"empty_network", f.network, "sandbox", f.sandbox, "err", errs[0])
}

func (p *Pool) try(ctx context.Context, f fence) (*instance, error) {
	proc, err := startProcess(ctx, p.opts, p.path, f)
	if err != nil {
		return nil, err
	}
	b := &instance{process: proc, c: newConn(proc.r, proc.w)}
	p.count(func(s *Stats) { s.Started++; s.Running++ })
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("it did not answer in time"))
	defer cancel()
	// A browser that never reads would block the sending.
	defer context.AfterFunc(ctx, proc.kill)()
	if _, err := call(ctx, session{c: b.c}, browser.GetVersion, cdp.Empty{}); err != nil {
		p.end(b, true)
		return nil, fmt.Errorf("starting %s: %w; it says: %s", p.path, err, proc.output())
	}
	return b, nil
}

// Close ends all browsers, also those at work, and waits until their processes
// are gone. Render fails with ErrClosed afterwards.
func (p *Pool) Close() error {
	p.mu.Lock()
	free := p.free
	p.free, p.closed = nil, true
	p.mu.Unlock()
	p.stop(ErrClosed)
	for _, b := range free {
		b.idle.Stop()
		p.end(b, false)
	}
	p.work.Wait()
	return nil
}
