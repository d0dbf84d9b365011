package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"qingyuan/crawler/frontier"
)

// maxAhead bounds how many tasks are counted.
const maxAhead = 100_000

// The states of a task, as the scripts write them.
const (
	stateReady  = iota // due: may be fetched as soon as its host is free
	stateLater         // to be fetched, but not yet
	stateAgain         // fetched; waits for its next time
	stateLeased        //
	stateDone          //
	stateDead          //
	states             // how many there are
)

// Lookup tells where a URL stands. See frontier.Frontier.
func (d *DB) Lookup(ctx context.Context, id string) (frontier.Standing, error) {
	var s frontier.Standing
	k := key(id)
	if k == "" {
		return s, frontier.ErrUnknown
	}
	reply, err := d.run(ctx, lookupScript, k, maxAhead)
	if err != nil {
		return s, fmt.Errorf("looking up a task: %w", err)
	}
	both := list(reply)
	if len(both) != 2 {
		return s, fmt.Errorf("looking up a task: %w", ErrTorn)
	}
	task, refusal := list(both[0]), list(both[1])
	if len(task) > 0 {
		if s, err = d.readStanding(task); err != nil {
			return s, fmt.Errorf("looking up a task: %w", err)
		}
	}
	if len(refusal) > 0 {
		if s.Refused, err = d.readRefusal(id, refusal); err != nil {
			return s, fmt.Errorf("looking up a refusal: %w", err)
		}
	}
	switch {
	case len(task) > 0:
		return s, nil
	case len(refusal) == 0:
		return s, frontier.ErrUnknown
	}
	r := s.Refused
	s.Task = frontier.Task{ID: id, URL: r.URL, Source: r.Source, Parent: r.Parent}
	s.State, s.Reason = frontier.StateRefused, r.Reason
	return s, nil
}

func (d *DB) readStanding(vals []any) (s frontier.Standing, err error) {
	r := reader{vals: vals}
	state := r.int()
	s.Host, s.Source = r.text(), r.text()
	text, marks := r.text(), r.text()
	s.Priority, s.Delay, s.Due = int(r.int()), time.Duration(r.int())*time.Millisecond, d.time(r.int())
	s.Tries, s.Lost = int(r.int()), int(r.int())
	expires := r.int()
	s.Fetched, s.Changed, s.Reason, s.Ahead = d.time(r.int()), d.time(r.int()), r.text(), int(r.int())
	leased, started, delay, backoff := r.int(), r.int(), r.int(), r.int()
	s.HostReason, s.HostUntil, s.HostBusy = r.text(), d.time(backoff), leased != 0
	errText := unpackTask(text, &s.Task)
	last, errMarks := unpackMarks(marks)
	s.Last = last
	s.ID = frontier.ID(s.Source, s.URL)
	if started > 0 || backoff > 0 {
		wait := max(delay, s.Delay.Milliseconds()) * 1000
		s.HostFree = d.time(max(backoff, started+wait))
	}
	switch state {
	case stateReady, stateLater:
		s.State = frontier.StateWaiting
	case stateLeased:
		s.State, s.Expires, s.HostBusy = frontier.StateLeased, d.time(expires), false
	case stateAgain:
		s.State, s.Last.Again = frontier.StateDone, s.Due
	case stateDone:
		s.State = frontier.StateDone
	default:
		s.State = frontier.StateDead
	}
	return s, errors.Join(r.err, errText, errMarks)
}

func (d *DB) readRefusal(id string, vals []any) (frontier.Refusal, error) {
	r := reader{vals: vals}
	out := frontier.Refusal{ID: id, Source: r.text(), At: d.time(r.int())}
	text := bytesReader{rest: r.text()}
	out.Parent, out.Reason, out.URL = text.text(), text.text(), text.rest
	return out, errors.Join(r.err, text.err)
}

// Refuse remembers links that were left out. See frontier.Frontier.
func (d *DB) Refuse(ctx context.Context, refused ...frontier.Refusal) error {
	for _, r := range refused {
		if len(r.ID) != 64 || key(r.ID) == "" || r.URL == "" || r.Source == "" {
			return fmt.Errorf("frontier: refusal of %q with id %q and source %q; want all three", r.URL, r.ID, r.Source)
		}
	}
	for len(refused) > 0 {
		n := min(len(refused), addChunk)
		args := []any{frontier.MaxRefusals}
		for _, r := range refused[:n] {
			text := append(appendText(appendText(nil, r.Parent), r.Reason), r.URL...)
			args = append(args, key(r.ID), r.Source, string(text))
		}
		if _, err := d.run(ctx, refuseScript, args...); err != nil {
			return fmt.Errorf("recording refused links: %w", err)
		}
		refused = refused[n:]
	}
	return nil
}

// Stats counts tasks, of one source or, with "", of all. See frontier.Frontier.
func (d *DB) Stats(ctx context.Context, source string) (frontier.Stats, error) {
	var s frontier.Stats
	reply, err := d.run(ctx, statsScript, source)
	if err != nil {
		return s, fmt.Errorf("counting tasks: %w", err)
	}
	r := reader{vals: list(reply)}
	var n [states]int
	for i := range n {
		n[i] = int(r.int())
	}
	s.Waiting, s.Leased, s.Done, s.Dead = n[stateReady]+n[stateLater], n[stateLeased], n[stateAgain]+n[stateDone], n[stateDead]
	s.NextDue = d.time(r.int())
	if r.err != nil {
		return s, fmt.Errorf("counting tasks: %w", r.err)
	}
	return s, nil
}

// DeadTasks lists tasks given up, newest first. See frontier.Frontier.
func (d *DB) DeadTasks(ctx context.Context, limit int) ([]frontier.DeadTask, error) {
	if limit < 1 {
		return nil, nil
	}
	reply, err := d.run(ctx, deadScript, limit)
	if err != nil {
		return nil, fmt.Errorf("listing dead tasks: %w", err)
	}
	var dead []frontier.DeadTask
	r := reader{vals: list(reply)}
	for len(r.vals) > 0 && r.err == nil {
		var k frontier.DeadTask
		k.Host, k.Source = r.text(), r.text()
		text := r.text()
		k.Priority, k.Delay, k.Due = int(r.int()), time.Duration(r.int())*time.Millisecond, d.time(r.int())
		k.Tries, k.Lost, k.Reason, k.At = int(r.int()), int(r.int()), r.text(), d.time(r.int())
		if err := unpackTask(text, &k.Task); err != nil {
			return nil, fmt.Errorf("listing dead tasks: %w", err)
		}
		k.ID = frontier.ID(k.Source, k.URL)
		dead = append(dead, k)
	}
	if r.err != nil {
		return nil, fmt.Errorf("listing dead tasks: %w", r.err)
	}
	return dead, nil
}
