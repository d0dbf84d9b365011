//go:build !linux

package render

import (
	"context"
	"errors"
	"io"
)

// process is one browser with all its processes; there is none here.
type process struct {
	r   io.ReadCloser
	w   io.WriteCloser
	pid int
}

func startProcess(context.Context, Options, string, fence) (*process, error) {
	return nil, errors.New("render: pages are shown on Linux only")
}

func (p *process) kill()          {}
func (p *process) rss() int64     { return 0 }
func (p *process) output() string { return "" }
func fences(bool) []fence         { return []fence{{}} }

func sweepProfiles(string, func(string)) {}
