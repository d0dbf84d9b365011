package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"qingyuan/crawler/frontier"
)

const (
	addChunk    = 500     // tasks a script adds, so that none holds up the others for long
	maxPriority = 1 << 30 // larger ones count as this
	maxDelay    = 1<<32 - 1
	idBytes     = 12 // of a task's id that the visited set keeps
)

// taskArgs appends the nine arguments of each task.
func (d *DB) taskArgs(args []any, tasks []frontier.Task) []any {
	for _, k := range tasks {
		sooner := "0"
		if k.Sooner {
			sooner = "1"
		}
		args = append(args, key(k.ID), k.Host, k.Source, min(max(k.Priority, -maxPriority), maxPriority), millis(k.Delay), d.micros(k.Due), k.Tries, sooner, taskText(k))
	}
	return args
}

// millis rounds a delay up.
func millis(d time.Duration) int64 {
	return min(int64((d+time.Millisecond-1)/time.Millisecond), maxDelay)
}

// key is what the scripts know a task by: the beginning of its id. "" for what
// is no id.
func key(id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) < idBytes {
		return ""
	}
	return string(raw[:idBytes])
}

func validate(tasks []frontier.Task) error {
	for _, k := range tasks {
		if err := k.Validate(); err != nil {
			return err
		}
		// It is not kept, but made again of the two.
		if k.ID != frontier.ID(k.Source, k.URL) {
			return fmt.Errorf("frontier: task %q has id %q, which is not frontier.ID of its source and URL", k.URL, k.ID)
		}
	}
	return nil
}

// Add adds tasks not yet known. See frontier.Frontier.
func (d *DB) Add(ctx context.Context, tasks ...frontier.Task) (added int, err error) {
	if err := validate(tasks); err != nil {
		return 0, err
	}
	for len(tasks) > 0 {
		n := min(len(tasks), addChunk)
		a, err := number(d.run(ctx, addScript, d.taskArgs(nil, tasks[:n])...))
		if err != nil {
			return added, fmt.Errorf("adding tasks: %w", err)
		}
		added += a
		tasks = tasks[n:]
	}
	return added, nil
}

// Next leases up to n tasks. See frontier.Frontier. Leases that ran out, tasks
// that came due and passes that were begun by a process that ended are dealt
// with on the way.
func (d *DB) Next(ctx context.Context, n int, lease time.Duration) (leases []frontier.Lease, wait time.Duration, err error) {
	if n < 1 || lease < time.Microsecond {
		return nil, 0, fmt.Errorf("frontier: cannot lease %d tasks for %v; want at least 1 task and a positive time", n, lease)
	}
	if err := d.watch(ctx); err != nil {
		return nil, 0, fmt.Errorf("leasing: %w", err)
	}
	var slot *grantSlot
	select {
	case slot = <-d.slots:
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("leasing: %w", ctx.Err())
	}
	defer func() { d.slots <- slot }()
	slot.number++
	worker := ""
	if now, told := time.Now().UnixNano(), d.told.Load(); now-told > int64(tellWorker) && d.told.CompareAndSwap(told, now) {
		worker = d.worker
	}
	var sent time.Time
	reply, err := d.runAt(ctx, nextScript, func(try int) []any {
		sent = time.Now()
		return []any{slot.name, slot.number, min(try, 1), n, lease.Microseconds(), worker}
	})
	if err != nil {
		return nil, 0, fmt.Errorf("leasing: %w", err)
	}
	r := reader{vals: list(reply)}
	d.skew.sample(d, sent, r.int())
	d.watchSeq(r.int())
	jobs, us := r.int(), r.int()
	if leases, err = d.readLeases(context.WithoutCancel(ctx), &r); err != nil {
		return nil, 0, fmt.Errorf("leasing: %w", err)
	}
	if jobs > 0 {
		// Failing is no harm: the next one helps again.
		d.run(ctx, passScript, "help", "", 0, 0)
	}
	if len(leases) > 0 {
		return leases, 0, nil
	}
	return nil, time.Duration(max(us, 0)) * time.Microsecond, frontier.ErrNoneDue
}

// tellWorker is how often a worker says that it is there.
const tellWorker = 5 * time.Second

func (d *DB) readLeases(ctx context.Context, r *reader) ([]frontier.Lease, error) {
	var leases []frontier.Lease
	for len(r.vals) > 0 && r.err == nil {
		var l frontier.Lease
		host, source := r.int(), r.int()
		text, marks := r.text(), r.text()
		l.Priority, l.Delay, l.Due = int(r.int()), time.Duration(r.int())*time.Millisecond, d.time(r.int())
		l.Tries, l.Lost, l.Token, l.Expires = int(r.int()), int(r.int()), r.int(), d.time(r.int())
		var err [4]error
		l.Host, err[0] = d.nameOf(ctx, host)
		l.Source, err[1] = d.nameOf(ctx, source)
		err[2] = unpackTask(text, &l.Task)
		l.Last, err[3] = unpackMarks(marks)
		if err := errors.Join(err[:]...); err != nil {
			return nil, err
		}
		l.ID = frontier.ID(l.Source, l.URL)
		leases = append(leases, l)
	}
	return leases, r.err
}

// names remembers the names of hosts and sources by their numbers, which never
// change in a frontier. It is safe for concurrent use.
type names struct {
	mu  sync.Mutex
	all map[int64]string
}

const maxNames = 100_000

func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = nil
}

func (n *names) get(i int64) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.all[i]
	return name, ok
}

func (n *names) put(i int64, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil || len(n.all) >= maxNames {
		n.all = map[int64]string{}
	}
	n.all[i] = name
}

func (d *DB) nameOf(ctx context.Context, i int64) (string, error) {
	if name, ok := d.names.get(i); ok {
		return name, nil
	}
	reply, err := d.try(ctx, func(ctx context.Context, _ int) (any, error) {
		return d.rdb.HGet(ctx, d.key("named"), strconv.FormatInt(i, 10)).Result()
	})
	if errors.Is(err, goredis.Nil) {
		return "", fmt.Errorf("%w: the name of number %d is missing", ErrTorn, i)
	}
	name, _ := reply.(string)
	if err == nil {
		d.names.put(i, name)
	}
	return name, err
}

// watchSeq tells when the server has gone back in time: it counts the tasks
// ever added, and that number never falls.
func (d *DB) watchSeq(seq int64) {
	seen := d.seen.Load()
	if seq < seen {
		// A call that was overtaken by another is a few behind at most.
		if seen-seq > 10_000 || d.restarted() {
			d.log.Warn("Redis has forgotten what came last: it was restarted or failed over with older data; what is missing will be found and fetched again", "tasks_missing", seen-seq)
			d.seen.CompareAndSwap(seen, seq)
		}
		return
	}
	d.seen.CompareAndSwap(seen, seq)
}

// Extend prolongs a lease. See frontier.Frontier.
func (d *DB) Extend(ctx context.Context, l frontier.Lease, lease time.Duration) (frontier.Lease, error) {
	end, err := d.answer(ctx, "extend", l, lease.Microseconds(), d.worker)
	if err != nil {
		return l, fmt.Errorf("extending the lease of %s: %w", l.URL, err)
	}
	l.Expires = d.time(end)
	return l, nil
}

// answer ends or prolongs a lease. The number makes an answer that is sent
// twice, because the reply was lost, count once.
func (d *DB) answer(ctx context.Context, what string, l frontier.Lease, args ...any) (int64, error) {
	id := key(l.ID)
	if id == "" {
		return 0, frontier.ErrStaleLease
	}
	reply, err := d.run(ctx, answerScript, append([]any{what, id, l.Token, 1 + rand.Int64N(1<<31-1)}, args...)...)
	if err != nil {
		return 0, err
	}
	r := reader{vals: []any{reply}}
	n := r.int()
	if n == -1 {
		return 0, frontier.ErrStaleLease
	}
	return n, r.err
}

// Done acknowledges a task. See frontier.Frontier.
func (d *DB) Done(ctx context.Context, l frontier.Lease, out frontier.Outcome, found ...frontier.Task) (added int, err error) {
	if err := errors.Join(validate(found), frontier.ValidateNotes(out.Notes)); err != nil {
		return 0, err
	}
	marks := ""
	if out.Status != 0 {
		marks = packMarks(out)
	}
	args := make([]any, 0, 6+3*len(out.Notes)+9*len(found))
	args = append(args, d.micros(out.Again), out.Status, out.Reason, min(max(out.Lift, -maxPriority), maxPriority), marks, len(out.Notes))
	args = d.taskArgs(noteArgs(args, out.Notes), found)
	n, err := d.answer(ctx, "done", l, args...)
	if err != nil {
		return 0, fmt.Errorf("acknowledging %s: %w", l.URL, err)
	}
	return int(n), nil
}

// Retry gives a task back, counting a try. See frontier.Frontier.
func (d *DB) Retry(ctx context.Context, l frontier.Lease, at time.Time, reason string) error {
	if _, err := d.answer(ctx, "retry", l, d.micros(at), reason); err != nil {
		return fmt.Errorf("giving %s back for another try: %w", l.URL, err)
	}
	return nil
}

// Release gives a task back unharmed. See frontier.Frontier.
func (d *DB) Release(ctx context.Context, l frontier.Lease) error {
	if _, err := d.answer(ctx, "release", l); err != nil {
		return fmt.Errorf("releasing %s: %w", l.URL, err)
	}
	return nil
}

// Dead gives a task up. See frontier.Frontier.
func (d *DB) Dead(ctx context.Context, l frontier.Lease, reason string) error {
	if _, err := d.answer(ctx, "dead", l, reason); err != nil {
		return fmt.Errorf("giving %s up: %w", l.URL, err)
	}
	return nil
}

// BackOff forbids starts on host before until. See frontier.Frontier.
func (d *DB) BackOff(ctx context.Context, host string, until time.Time, reason string) error {
	if _, err := d.run(ctx, backoffScript, host, d.micros(until), reason); err != nil {
		return fmt.Errorf("backing off %s: %w", host, err)
	}
	return nil
}

// Restart begins a new pass over a source. See frontier.Frontier. A large
// source is moved in steps; when this process ends between two, others go on.
func (d *DB) Restart(ctx context.Context, source string) (n int, err error) {
	if n, err = d.pass(ctx, "restart", source); err != nil {
		return 0, fmt.Errorf("restarting source %s: %w", source, err)
	}
	return n, nil
}

// Finish ends a pass over a source early, in steps like Restart. See
// frontier.Frontier.
func (d *DB) Finish(ctx context.Context, source string) (n int, err error) {
	if n, err = d.pass(ctx, "finish", source); err != nil {
		return 0, fmt.Errorf("finishing source %s: %w", source, err)
	}
	return n, nil
}

// Repace changes the delay of a source, in steps like Restart. See
// frontier.Frontier.
func (d *DB) Repace(ctx context.Context, source string, delay time.Duration) (n int, err error) {
	if delay < 0 {
		return 0, fmt.Errorf("frontier: a delay of %v for source %s; want 0 or more", delay, source)
	}
	if n, err = d.pass(ctx, "repace", source, millis(delay)); err != nil {
		return 0, fmt.Errorf("changing the delay of source %s: %w", source, err)
	}
	return n, nil
}

func (d *DB) pass(ctx context.Context, kind, source string, more ...any) (int, error) {
	me, begin := rand.Int64N(1<<48), 1
	for {
		n, err := number(d.run(ctx, passScript, append([]any{kind, source, me, begin}, more...)...))
		switch {
		case err != nil:
			return 0, err
		case n == -1:
			begin = 0
		case n != -2:
			return n, nil
		}
	}
}

// Revive makes dead tasks due at once. See frontier.Frontier.
func (d *DB) Revive(ctx context.Context, ids ...string) (n int, err error) {
	var args []any
	for _, id := range ids {
		if k := key(id); k != "" {
			args = append(args, k)
		}
	}
	for len(args) > 0 {
		c := min(len(args), addChunk)
		some, err := number(d.run(ctx, reviveScript, args[:c]...))
		if err != nil {
			return n, fmt.Errorf("reviving tasks: %w", err)
		}
		n += some
		args = args[c:]
	}
	return n, nil
}
