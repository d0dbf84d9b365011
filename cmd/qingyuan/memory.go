package main

import (
	"os"
	"runtime/debug"
)

// collectAt is how much the heap may grow, in percent of what is in use, before
// garbage is collected. A crawl makes much garbage beside the dictionaries and
// word lists that stay: at 200 it takes some 40 MB more memory than at Go's own
// 100 and less time. More does not help.
const collectAt = 200

// tuneCollector sets when garbage is collected, unless the operator did so with
// Go's own environment variables.
func tuneCollector() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(collectAt)
	}
}
