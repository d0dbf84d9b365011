//go:build unix

package main

import "syscall"

// openFiles is how many files this process may hold open; false when that
// cannot be told. Go raises the soft limit to the hard one at its start.
func openFiles() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Cur), true //nolint:unconvert // it is signed on some systems
}
