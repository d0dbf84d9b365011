//go:build unix

package elastic

import (
	"os"
	"syscall"
)

// lockFile locks an open file against other processes until it is closed,
// waiting for them or not.
func lockFile(f *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	return syscall.Flock(int(f.Fd()), how)
}
