package elastic

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// State says how the store stands with its server.
type State string

// The states. In all but the first nothing is written to the server; records
// wait in the spool, or Put fails.
const (
	StateOK       State = "ok"
	StateAway     State = "away"       // it does not answer, or is too busy
	StateDiskFull State = "disk_full"  // it is read-only until there is room
	StateRefused  State = "refused"    // wrong key, user, rights or certificate
	StateNotSetUp State = "not_set_up" // templates, indices or aliases are missing, older or newer
)

// Stats is what /healthz and metrics tell of a store. Counts are since it was opened.
type Stats struct {
	State   State     `json:"state"`
	Problem string    `json:"problem,omitempty"` // in plain words, with the remedy
	Since   time.Time `json:"since,omitzero"`    // when the state began

	SpoolEntries int64 `json:"spool_entries"` // batches of records, and deletions, that wait
	SpoolBytes   int64 `json:"spool_bytes"`
	SpoolLimit   int64 `json:"spool_limit"`
	Refused      int64 `json:"refused"` // records the server will not take, kept for "qingyuan index redo"

	Created  int64 `json:"created"`  // records
	Updated  int64 `json:"updated"`  // records
	Spooled  int64 `json:"spooled"`  // batches that had to wait
	Requests int64 `json:"requests"` // bulk requests
	Retried  int64 `json:"retried"`  // documents sent again because the server was busy
}

type counters struct {
	created, updated, spooled, requests, retried atomic.Int64
	written                                      atomic.Int64 // audit rows up to here are documents
}

// condition is the state, and when it began.
type condition struct {
	mu      sync.Mutex
	state   State
	problem string
	since   time.Time
}

// Stats tells how the store does. It asks nobody and returns at once.
func (s *Store) Stats() Stats {
	s.state.mu.Lock()
	st := Stats{State: s.state.state, Problem: s.state.problem, Since: s.state.since}
	s.state.mu.Unlock()
	if st.State == "" {
		st.State = StateOK
	}
	if s.spool != nil {
		st.SpoolEntries, st.SpoolBytes = s.spool.waiting()
		st.SpoolLimit = s.opts.SpoolBytes
		st.Refused = s.spool.refusedCount()
	}
	c := &s.counts
	st.Created, st.Updated, st.Spooled, st.Requests, st.Retried = c.created.Load(), c.updated.Load(), c.spooled.Load(), c.requests.Load(), c.retried.Load()
	return st
}

func stateOf(err error) State {
	switch {
	case errors.Is(err, ErrDiskFull):
		return StateDiskFull
	case errors.Is(err, ErrRefused):
		return StateRefused
	case errors.Is(err, ErrNotSetUp), errors.Is(err, ErrNewer):
		return StateNotSetUp
	case errors.Is(err, ErrUnavailable):
		return StateAway
	}
	return StateOK
}

// trouble notes why writing failed, and says so once.
func (s *Store) trouble(err error) {
	state := stateOf(err)
	if state == StateOK {
		return
	}
	s.checked.Store(0) // whoever comes back may be another server
	s.state.mu.Lock()
	changed := s.state.state != state
	if changed {
		s.state.state, s.state.since = state, time.Now().UTC()
	}
	s.state.problem = err.Error()
	s.state.mu.Unlock()
	if changed {
		s.opts.Logger.Error("the index cannot be written", "server", s.c.where, "state", string(state), "error", err)
	}
}

// fine notes that writing works.
func (s *Store) fine() {
	s.state.mu.Lock()
	was, since := s.state.state, s.state.since
	if was != StateOK {
		s.state.state, s.state.problem, s.state.since = StateOK, "", time.Now().UTC()
	}
	s.state.mu.Unlock()
	if was != StateOK && was != "" {
		s.opts.Logger.Info("the index is written again", "server", s.c.where, "after", time.Since(since).Round(time.Millisecond).String())
	}
}
