package delivery

import (
	"fmt"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// schedule names moments by cron's five fields in a time zone.
type schedule struct {
	cron cron.Schedule
	in   *time.Location
}

// never is what next answers for a schedule that comes no more, such as
// 30 February.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func parseSchedule(spec string, in *time.Location) (schedule, error) {
	if strings.HasPrefix(strings.TrimSpace(spec), "@every") {
		return schedule{}, fmt.Errorf("schedule %q counts from whenever it began", spec)
	}
	s, err := cron.ParseStandard(spec)
	if err != nil {
		return schedule{}, fmt.Errorf("schedule %q cannot be read: %w", spec, err)
	}
	out := schedule{s, in}
	if out.next(time.Date(2026, 1, 1, 0, 0, 0, 0, in)).Equal(never) {
		return out, fmt.Errorf("schedule %q names no moment that ever comes", spec)
	}
	return out, nil
}

// next is the first moment after t.
func (s schedule) next(t time.Time) time.Time {
	n := s.cron.Next(t.In(s.in))
	if n.IsZero() {
		return never
	}
	return n
}
