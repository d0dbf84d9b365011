package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"qingyuan/index"
)

// maxBackoff bounds the waiting between tries, in times of Options.Retry.
const maxBackoff = 30

// orSpool does something on the server or, while it is away or others wait
// already, keeps it in the spool.
func (s *Store) orSpool(ctx context.Context, e entry, do func(context.Context) error) error {
	if s.spool != nil {
		kept, err := s.spool.add(e, true)
		if kept {
			s.counts.spooled.Add(1)
		}
		if kept || err != nil {
			return err
		}
	}
	err := do(ctx)
	if err == nil {
		s.fine()
		return nil
	}
	if ctx.Err() != nil || s.closed.Load() {
		return err
	}
	s.trouble(err)
	if s.spool == nil || !waits(err) {
		return err
	}
	if _, full := s.spool.add(e, false); full != nil {
		return fmt.Errorf("%w; %w", err, full)
	}
	s.counts.spooled.Add(1)
	s.startReplay()
	return nil
}

// startReplay sends what waits in the background, unless that is under way.
func (s *Store) startReplay() {
	if !s.spool.start() {
		return
	}
	s.work.Go(func() {
		for {
			err := s.replay(s.closing)
			if s.spool.finish(s.closing.Err() != nil) {
				return
			}
			if err == nil { // a line is just being written
				_ = sleep(s.closing, time.Millisecond)
				continue
			}
			s.opts.Logger.Error("the spool cannot be read; it is tried again", "folder", s.opts.Spool, "error", err)
			_ = sleep(s.closing, maxBackoff*s.opts.Retry)
		}
	})
}

// replay sends what waits, in order, and ends when nothing does or ctx ends.
func (s *Store) replay(ctx context.Context) error {
	backoff := s.opts.Retry
	at := s.spool.sent()
	for ctx.Err() == nil {
		b, err := s.spool.read(at, func(line []byte, err error) error {
			return s.spool.refuse(deadLetter{At: s.now(), Reason: "the spool is damaged: " + err.Error(), Line: string(line)})
		})
		if err != nil {
			return err
		}
		if len(b.lines) == 0 {
			return nil
		}
		err = s.sendBatch(ctx, b.entries)
		if err == nil {
			s.fine()
			if err := s.spool.done(b); err != nil {
				return err
			}
			at, backoff = b.next, s.opts.Retry
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		s.trouble(err)
		if err := sleep(ctx, backoff); err != nil {
			return nil
		}
		backoff = min(2*backoff, maxBackoff*s.opts.Retry)
	}
	return nil
}

// sendBatch sends entries in order. What can never be kept goes to the dead
// letters; an error means that the server must be tried again.
func (s *Store) sendBatch(ctx context.Context, entries []entry) error {
	var recs []index.Record
	flush := func() error {
		if len(recs) == 0 {
			return nil
		}
		defer func() { recs = nil }()
		err := s.putNow(ctx, recs)
		if err == nil || passes(err) {
			return err
		}
		for i, r := range recs {
			err := s.putNow(ctx, []index.Record{r})
			if err != nil && passes(err) {
				return err
			}
			if err == nil {
				continue
			}
			if err := s.spool.refuse(deadLetter{At: s.now(), Reason: err.Error(), Entry: entry{Put: recs[i : i+1]}}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, e := range entries {
		recs = append(recs, e.Put...)
		if e.Delete == nil {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if _, err := s.deleteNow(ctx, *e.Delete); err != nil {
			if passes(err) {
				return err
			}
			if err := s.spool.refuse(deadLetter{At: s.now(), Reason: err.Error(), Entry: e}); err != nil {
				return err
			}
		}
	}
	return flush()
}

// passes reports whether an error says something of the server, not of a record.
func passes(err error) bool {
	return stateOf(err) != StateOK || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Flush waits until nothing waits in the spool, or ctx ends.
func (s *Store) Flush(ctx context.Context) error {
	for s.spool != nil {
		n, _ := s.spool.waiting()
		if n == 0 {
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the spool: %w", err)
		}
	}
	return nil
}
