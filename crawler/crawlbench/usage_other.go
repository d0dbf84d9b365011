//go:build !unix

package main

import (
	"os"
	"time"
)

// cpuTime is not known on this system.
func cpuTime() time.Duration { return 0 }

// mostMemory is not known on this system.
func mostMemory(*os.ProcessState) int64 { return 0 }
