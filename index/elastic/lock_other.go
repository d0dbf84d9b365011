//go:build !unix

package elastic

import "os"

// lockFile does nothing on systems without flock: there two processes must not
// be given one spool.
func lockFile(*os.File, bool) error { return nil }
