//go:build unix && !netbsd && !solaris && !illumos && !aix && !openbsd

package main

import "syscall"

// diskSpace tells how many bytes a folder's disk has left for us and in all; 0
// when that cannot be told.
func diskSpace(folder string) (free, total int64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, 0
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize)
}
