package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Finding is one thing to know about the server.
type Finding struct {
	Code   string // such as "policy"; stable
	Severe bool   // it can lose what was crawled, or stops the crawl
	ZH, EN string // what it is and what to do, in both languages
}

// Report tells how the server is set up and how it is.
type Report struct {
	Server    string        // such as "redis 7.0.15" or "valkey 8.1.0"
	Mode      string        // standalone, sentinel or cluster
	Policy    string        // maxmemory-policy
	Used, Max int64         // memory in bytes; Max 0: no bound
	Evicted   int64         // keys evicted since its start, of all its users
	AOF       bool          // every change is written to a file
	Fsync     string        // appendfsync; "" when it may not be read
	RoundTrip time.Duration // of one command
	Ahead     time.Duration // its clock before ours
	Workers   int           // workers seen within the last minute
	Findings  []Finding     // the severe ones first
}

// Check asks the server how it is set up and says what is not as it must be.
// The error is for a server that cannot be asked at all.
func (d *DB) Check(ctx context.Context) (Report, error) {
	var r Report
	sent := time.Now()
	server, err := d.rdb.Time(ctx).Result()
	if err != nil {
		return r, d.plain(err)
	}
	r.RoundTrip = time.Since(sent)
	r.Ahead = server.Sub(sent.Add(r.RoundTrip / 2))
	info, err := d.info(ctx)
	if err != nil {
		return r, d.plain(err)
	}
	r.fill(info)
	if fsync, err := d.rdb.ConfigGet(ctx, "appendfsync").Result(); err == nil {
		r.Fsync = fsync["appendfsync"]
	}
	since := strconv.FormatInt(server.Add(-workerSeen).UnixMicro(), 10)
	if n, err := d.rdb.ZCount(ctx, d.key("workers"), since, "+inf").Result(); err == nil {
		r.Workers = int(n)
	}
	r.judge()
	return r, nil
}

// workerSeen is for how long a worker that is not heard of counts as there. It
// is longer than the crawler's longest pause between two calls of Next.
const workerSeen = time.Minute

// info reads INFO; nothing where the ACL forbids it. An error is as the server
// gives it.
func (d *DB) info(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	text, err := d.rdb.Info(ctx, "everything").Result()
	if err != nil {
		if strings.HasPrefix(err.Error(), "NOPERM") {
			return out, nil
		}
		return nil, err
	}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			out[k] = v
		}
	}
	return out, nil
}

func (r *Report) fill(info map[string]string) {
	number := func(k string) int64 {
		n, _ := strconv.ParseInt(info[k], 10, 64) // 0 when it is not told
		return n
	}
	r.Server = "redis " + info["redis_version"]
	if v := info["valkey_version"]; v != "" {
		r.Server = "valkey " + v
	}
	r.Mode, r.Policy = info["redis_mode"], info["maxmemory_policy"]
	r.Used, r.Max, r.Evicted = number("used_memory"), number("maxmemory"), number("evicted_keys")
	r.AOF = info["aof_enabled"] == "1"
}

// judge fills Findings.
func (r *Report) judge() {
	add := func(code string, severe bool, zh, en string) {
		r.Findings = append(r.Findings, Finding{Code: code, Severe: severe, ZH: zh, EN: en})
	}
	switch {
	case r.Policy == "":
		add("unreadable", false, "该用户无权执行 INFO，无法检查 maxmemory-policy 与持久化；请在 ACL 中加上 +info",
			"this user may not run INFO, so maxmemory-policy and persistence cannot be checked; add +info to its ACL")
	case r.Policy != "noeviction":
		add("policy", true, "maxmemory-policy 是 "+r.Policy+"：内存不足时会丢弃抓取队列；请设为 noeviction",
			"maxmemory-policy is "+r.Policy+": it would drop the frontier when memory runs short; set noeviction")
	}
	if r.Evicted > 0 {
		add("evicted", true, fmt.Sprintf("自启动以来已淘汰 %d 个键；其中可能有抓取队列的键", r.Evicted),
			fmt.Sprintf("%d keys were evicted since its start; the frontier's may be among them", r.Evicted))
	}
	if r.Policy != "" && !r.AOF {
		add("aof", true, "appendonly 是 no：崩溃会丢失上次快照之后的进度；请设 appendonly yes、appendfsync everysec",
			"appendonly is no: a crash loses the progress since the last snapshot; set appendonly yes and appendfsync everysec")
	}
	if r.AOF && r.Fsync == "no" {
		add("fsync", true, "appendfsync 是 no：断电可能丢失约 30 秒的进度；请设为 everysec 或 always",
			"appendfsync is no: a power failure may lose half a minute of progress; set everysec or always")
	}
	if r.Max > 0 && r.Used > r.Max*9/10 {
		add("memory", false, fmt.Sprintf("内存已用 %d%%，满后抓取会停下等待；请调大 maxmemory", r.Used*100/r.Max),
			fmt.Sprintf("%d %% of maxmemory are used; when it is full the crawl waits; raise maxmemory", r.Used*100/r.Max))
	}
	if r.Ahead.Abs() > skewWarned {
		add("clock", false, fmt.Sprintf("本机与 Redis 的时钟相差 %v；请用 NTP 校时", r.Ahead.Round(time.Second)),
			fmt.Sprintf("this machine's clock and that of Redis are %v apart; keep both right with NTP", r.Ahead.Round(time.Second)))
	}
	if r.RoundTrip > slowTrip {
		add("slow", false, fmt.Sprintf("一次往返要 %v；请让工作进程靠近 Redis", r.RoundTrip.Round(time.Millisecond)),
			fmt.Sprintf("a round trip takes %v; put the workers closer to Redis", r.RoundTrip.Round(time.Millisecond)))
	}
}

// slowTrip is a round trip that is worth a word: a page costs about five.
const slowTrip = 20 * time.Millisecond

// inspect refuses a server that would drop keys, and remembers what watch
// compares with.
func (d *DB) inspect(ctx context.Context) error {
	var info map[string]string
	_, err := d.try(ctx, func(ctx context.Context, _ int) (_ any, err error) {
		info, err = d.info(ctx)
		return nil, err
	})
	if err != nil {
		return err
	}
	var r Report
	r.fill(info)
	if r.Policy == "" {
		d.log.Warn("whether Redis may drop keys cannot be checked: the user may not run INFO", "redis", d.addr)
	}
	if r.Policy != "" && r.Policy != "noeviction" && r.Max > 0 {
		return d.evicted("maxmemory-policy is " + r.Policy)
	}
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	d.health.policy, d.health.evicted, d.health.runID = time.Now(), r.Evicted, info["run_id"]
	return nil
}

// watch looks from time to time whether the server evicts keys, and stops the
// crawl when it does. What was evicted is marked in the frontier, so that no
// later start takes it for whole.
func (d *DB) watch(ctx context.Context) error {
	d.health.mu.Lock()
	due := time.Since(d.health.policy) >= d.opts.Watch
	if due {
		d.health.policy = time.Now() // others go on meanwhile
	}
	d.health.mu.Unlock()
	if !due || ctx.Err() != nil {
		return nil
	}
	info, err := d.info(ctx)
	if err != nil {
		return nil // the script that follows says the same, and waits
	}
	var r Report
	r.fill(info)
	d.health.mu.Lock()
	before := d.health.evicted
	if info["run_id"] != d.health.runID {
		before = 0
	}
	d.health.mu.Unlock()
	switch {
	case r.Evicted > before:
		d.rdb.HSetNX(ctx, d.meta, "evicted", time.Now().UnixMicro())
		err = d.evicted(fmt.Sprintf("%d keys were evicted while the crawl ran", r.Evicted-before))
	case r.Policy != "" && r.Policy != "noeviction" && r.Max > 0:
		err = d.evicted("maxmemory-policy is " + r.Policy + "; nothing was dropped so far")
	}
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if err != nil && d.health.standing == nil {
		d.health.since = time.Now()
	}
	d.health.standing = err
	if err != nil {
		d.health.policy = time.Time{} // look again with the next call
		return err
	}
	d.health.evicted, d.health.runID = r.Evicted, info["run_id"]
	return nil
}

// restarted reports whether the server is another process than at the last
// look.
func (d *DB) restarted() bool {
	ctx, cancel := context.WithTimeout(context.Background(), d.opts.Timeout)
	defer cancel()
	info, err := d.info(ctx)
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if err != nil || info["run_id"] == d.health.runID {
		return false
	}
	d.health.runID, d.health.evicted = info["run_id"], 0
	return true
}
