package crawler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"qingyuan/crawler/frontier"
)

// retryAfterMark ends the reason of a back-off whose end the host named itself.
const retryAfterMark = " (Retry-After)"

// Waiting says in one word why a host is left alone, from the reason of its
// back-off: what a status page shows beside the time.
type Waiting string

// The sorts of waiting.
const (
	WaitDelay      Waiting = "delay"       // the host's delay between two requests
	WaitBackoff    Waiting = "backoff"     // after failures
	WaitRetryAfter Waiting = "retry_after" // the host named the time
	WaitRobots     Waiting = "robots"      // robots.txt cannot be read
	WaitWall       Waiting = "wall"        // a login, a captcha or another wall
	WaitBudget     Waiting = "budget"      // max_pages of this span is used up
)

// WaitingFor sorts the reason of a host's back-off; see frontier.HostStanding.
func WaitingFor(reason string) Waiting {
	if reason == "" {
		return WaitDelay
	}
	switch ReasonClass(reason) {
	case "delay":
		return WaitDelay
	case "robots":
		return WaitRobots
	case "wall":
		return WaitWall
	case "budget":
		return WaitBudget
	}
	if strings.HasSuffix(reason, retryAfterMark) {
		return WaitRetryAfter
	}
	return WaitBackoff
}

// ReadWalls reads from a frontier the walls that stand before the seeds' hosts
// of sources, by host, also while another process crawls.
func ReadWalls(ctx context.Context, f frontier.Frontier, sources []*Source) ([]Wall, error) {
	var keys []string
	for _, s := range sources {
		for _, seed := range s.Seeds {
			if _, host, err := s.Canonical(seed); err == nil {
				keys = append(keys, wallKey(s.Name, host))
			}
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	notes, err := f.Notes(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("reading walls: %w", err)
	}
	var out []Wall
	for _, text := range notes {
		if w := readNote[Wall](text); w.Host != "" && w.Times > 0 {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b Wall) int { return strings.Compare(a.Host, b.Host) })
	return out, nil
}

// SourceOfHost finds the source that a host, as the frontier names it, belongs
// to; nil when none has it in scope. Of several the first is taken.
func SourceOfHost(sources []*Source, host string) *Source {
	for _, s := range sources {
		if s.InScope("https://"+host+"/") || s.InScope("http://"+host+"/") {
			return s
		}
	}
	return nil
}
