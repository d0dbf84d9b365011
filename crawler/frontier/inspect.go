package frontier

import (
	"context"
	"time"
)

// Inspector is what a Frontier offers beside the queue itself to those who
// watch it: where hosts and sources stand. It reads only, and may be slightly
// behind. A Frontier need not have it; status pages then show the counts of
// Stats alone.
type Inspector interface {
	// Hosts lists hosts that are in work, have due tasks or are backed off: those
	// in work first, then by the time at which they are free. At most limit.
	Hosts(ctx context.Context, limit int) ([]HostStanding, error)
	// LastStart is when a task was last handed out on any host; zero: never.
	LastStart(ctx context.Context) (time.Time, error)
	// Sources counts the tasks of every source that has some, by name.
	Sources(ctx context.Context) ([]SourceStanding, error)
}

// HostStanding tells what a host waits for.
type HostStanding struct {
	Host    string
	Source  string    // of the task that is leased or goes next; "" when nothing is due
	Leased  bool      // one of its tasks is in work
	Ready   int       // due tasks; counted to MaxReady
	Started time.Time // of the last task handed out; zero: none
	Free    time.Time // when the next task may start; zero: it is in work, or nothing is due
	Until   time.Time // end of the last back-off; zero: there was none
	Reason  string    // of the back-off
}

// MaxReady is how far HostStanding.Ready counts.
const MaxReady = 1000

// SourceStanding counts the tasks of one source.
type SourceStanding struct {
	Source  string
	Ready   int       // due: to be fetched as soon as the host is free
	Later   int       // to be fetched, but not yet
	Again   int       // fetched; waits for its next time
	Leased  int       // in work
	Done    int       // fetched or left out, not planned again
	Dead    int       // given up
	NextDue time.Time // earliest time of what is not due yet; zero: none, or not among the next ones of the frontier
}
