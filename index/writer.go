package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// WriterOptions configure a Writer; the zero value serves.
type WriterOptions struct {
	// MaxBatch is how many records are put at once; 256 when 0. One Add is never
	// split, so that a batch may be larger by one Add.
	MaxBatch int
	// MaxDelay is how long the first Add of a batch waits for others; 5 ms when
	// 0. While a batch is being written the next one gathers anyway.
	MaxDelay time.Duration
	// Workers is how many goroutines call Add, when that is known: once all of
	// them wait, there is nothing more to wait for. 0 when it is not known.
	Workers int
	// Logger is told of batches that fail; nil is silence.
	Logger *slog.Logger
}

// Writer gathers the records of many workers into batches before a Store, so
// that they share one durable write. It is safe for concurrent use.
type Writer struct {
	store Store
	opts  WriterOptions

	queue chan addition
	done  chan struct{} // closed when the last batch is written

	mu     sync.RWMutex // held for reading while something is sent to queue
	closed bool
}

// addition is one call of Add and where its result goes.
type addition struct {
	recs   []Record // nil asks for a flush
	result chan error
}

// NewWriter starts a Writer before s. Close it before s.
func NewWriter(s Store, opts WriterOptions) *Writer {
	if opts.MaxBatch <= 0 {
		opts.MaxBatch = 256
	}
	if opts.MaxDelay <= 0 {
		opts.MaxDelay = 5 * time.Millisecond
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Writer{store: s, opts: opts, queue: make(chan addition), done: make(chan struct{})}
	go w.run()
	return w
}

// Add hands records over and returns when they are durable, or with the reason
// why they are not: then none of them is. Records that no store can keep are
// ErrInvalid at once and harm nobody else's batch. When ctx ends first its
// error is returned; the records may be written all the same, which Put's
// idempotence makes harmless.
func (w *Writer) Add(ctx context.Context, recs ...Record) error {
	if len(recs) == 0 {
		return nil
	}
	for _, r := range recs {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return w.send(ctx, recs)
}

// Flush returns when everything added before is written; results of those
// Adds go to their callers.
func (w *Writer) Flush(ctx context.Context) error { return w.send(ctx, nil) }

func (w *Writer) send(ctx context.Context, recs []Record) error {
	a := addition{recs: recs, result: make(chan error, 1)}
	if err := w.enqueue(ctx, a); err != nil {
		return err
	}
	select {
	case err := <-a.result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the index: %w", ctx.Err())
	}
}

func (w *Writer) enqueue(ctx context.Context, a addition) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.queue <- a:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the index: %w", ctx.Err())
	}
}

// Close writes what was added and stops; Add then returns ErrClosed. The Store
// stays open.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
	return nil
}

// run writes batch after batch until the queue is closed.
func (w *Writer) run() {
	defer close(w.done)
	batches := make(chan []addition)
	var writing sync.WaitGroup
	writing.Go(func() {
		for b := range batches {
			w.write(b)
		}
	})
	w.gather(batches)
	close(batches)
	writing.Wait()
}

// gather makes batches. A batch is handed over once it is full, was waited for
// long enough, or must be flushed; while the one before is being written it
// goes on growing.
func (w *Writer) gather(batches chan<- []addition) {
	var (
		batch []addition
		size  int
		due   bool
		timer <-chan time.Time
	)
	for {
		out, in := chan<- []addition(nil), (<-chan addition)(w.queue)
		if due && len(batch) > 0 {
			out = batches
		}
		if size >= w.opts.MaxBatch {
			in = nil // full: the next Add waits
		}
		select {
		case a, ok := <-in:
			if !ok {
				if len(batch) > 0 {
					batches <- batch
				}
				return
			}
			if len(batch) == 0 {
				timer = time.After(w.opts.MaxDelay)
			}
			batch = append(batch, a)
			size += len(a.recs)
			due = due || a.recs == nil || size >= w.opts.MaxBatch || w.opts.Workers > 0 && len(batch) >= w.opts.Workers
		case <-timer:
			due, timer = true, nil
		case out <- batch:
			batch, size, due, timer = nil, 0, false, nil
		}
	}
}

// write puts one batch and tells each Add its result. When the batch fails,
// each Add is tried alone, so that one record the store refuses does not keep
// the others out.
func (w *Writer) write(batch []addition) {
	ctx := context.Background() // a durable write outlives the worker that asked for it
	var recs []Record
	for _, a := range batch {
		recs = append(recs, a.recs...)
	}
	var err error
	if len(recs) > 0 {
		err = w.store.Put(ctx, recs)
	}
	if err != nil {
		w.opts.Logger.Warn("index batch failed", "records", len(recs), "pages", len(batch), "error", err)
	}
	alone := err != nil && len(batch) > 1 && !errors.Is(err, ErrClosed)
	for _, a := range batch {
		switch {
		case a.recs == nil:
			a.result <- nil
		case alone:
			a.result <- w.store.Put(ctx, a.recs)
		default:
			a.result <- err
		}
	}
}
