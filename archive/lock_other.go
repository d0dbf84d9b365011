//go:build !unix

package archive

import (
	"fmt"
	"os"
)

// lock stands for the lock that this system does not have: two writers are not
// told apart here.
type lock struct{ f *os.File }

func takeLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	return &lock{f}, nil
}

func (l *lock) close() error { return l.f.Close() }

// locked cannot be known here.
func locked(string) bool { return false }
