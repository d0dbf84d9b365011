package accounts

import (
	"sync"
	"time"
)

const (
	freeFailures = 5                // before who fails has to wait
	firstBlock   = time.Second      // after the next one; doubles with each
	longestBlock = 15 * time.Minute // and is at most this
	forget       = time.Hour        // after the last failure
	maxThrottled = 100_000          // names and addresses remembered
)

// throttle slows down guessing, by name and by address: one address that tries
// many names, and many addresses that try one name. It forgets when the process
// ends.
type throttle struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]*failures
}

type failures struct {
	count int
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seen: map[string]*failures{}}
}

// keys of an attempt. An address is given more room than a name: many people
// may share one.
func keys(name, addr string) map[string]int {
	return map[string]int{"name\x00" + name: freeFailures, "addr\x00" + addr: 4 * freeFailures}
}

// wait returns how long an attempt has to wait; 0: it may go on.
func (t *throttle) wait(name, addr string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var most time.Duration
	for key, free := range keys(name, addr) {
		f := t.seen[key]
		if f == nil || f.count < free {
			continue
		}
		block := min(firstBlock<<min(f.count-free, 20), longestBlock)
		most = max(most, f.last.Add(block).Sub(t.now()))
	}
	return most
}

func (t *throttle) failed(name, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if len(t.seen) >= maxThrottled {
		for key, f := range t.seen {
			if now.Sub(f.last) > forget {
				delete(t.seen, key)
			}
		}
		if len(t.seen) >= maxThrottled {
			clear(t.seen) // an attack with as many addresses is not stopped here
		}
	}
	for key := range keys(name, addr) {
		f := t.seen[key]
		if f == nil || now.Sub(f.last) > forget {
			f = &failures{}
			t.seen[key] = f
		}
		f.count++
		f.last = now
	}
}

// succeeded forgets the failures of a name; those of the address stay, or an
// attacker with one account of his own could begin anew with each login.
func (t *throttle) succeeded(name, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, "name\x00"+name)
}
