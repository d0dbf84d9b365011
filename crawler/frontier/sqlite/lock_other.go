//go:build !unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
)

// ErrLocked: another process holds the lock.
var ErrLocked = errors.New("in use by another process")

// Lock is an exclusive lock on a file, held until Close.
type Lock struct{ f *os.File }

// LockFile opens the lock file. This system has no flock, so two processes
// are not told apart here; SQLite's own locks still keep the data whole.
func LockFile(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	return &Lock{f: f}, nil
}

// Close gives the lock up. Closing twice, or a nil lock, does nothing.
func (l *Lock) Close() error {
	if l == nil || l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}
