package crawler

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"qingyuan/crawler/frontier"
)

// Bounds of the watch over what sites yield. Alarms are for what is far below:
// a quiet hour must not raise one.
const (
	recentPages   = 5   // of a rule that are compared with those before
	settledPages  = 20  // before a rule's own past says what it yields
	settledFields = 10  // before it says what its posts have
	zeroPages     = 3   // in a row, without anything, are odd
	fewZeros      = 2   // are, of a rule that has had few pages so far
	yieldPages    = 3   // before they are compared with expect
	fieldPosts    = 10  // before their fields are compared
	memoryPages   = 100 // that the past is averaged over
	farBelow      = 4   // times less than before
	fieldBefore   = 80  // of 100: a field that was there
	dayOf         = 24 * time.Hour
	dayLook       = time.Minute // between two looks whether a day is over
)

// driftNote is what the frontier remembers of what a source yields.
type driftNote struct {
	Version string                `json:"v"` // of the config
	Rules   map[string]*ruleYield `json:"r,omitempty"`
	Seeds   map[string]float64    `json:"s,omitempty"` // seed → what it held last, as long as it held something
	Alarms  []Drift               `json:"a,omitempty"`
	Start   time.Time             `json:"t,omitzero"`  // of the day
	Read    int                   `json:"d,omitempty"` // pages of the day
	Failed  int                   `json:"e,omitempty"` // fetches of the day
	Posts   int                   `json:"p,omitempty"` // new ones of the day, before this process
}

// ruleYield is what the pages of one rule held.
type ruleYield struct {
	Pages  int                `json:"n"` // before Recent
	Mean   float64            `json:"m"` // a page, before Recent
	Fields map[string]float64 `json:"f,omitempty"`
	Recent []pageYield        `json:"r,omitempty"`
	Zeros  int                `json:"z,omitempty"` // in a row
}

// driftWatch compares what sites yield with what they are expected to, and with
// what they did before. It is safe for concurrent use.
type driftWatch struct {
	mu      sync.Mutex
	sources map[string]*sourceDrift
	next    time.Time // look whether a day is over
}

type sourceDrift struct {
	note   driftNote
	posts  map[string]bool // new ones of the day, up to expect.day
	alarms map[string]Drift
}

func driftKey(source string) string { return "drift:" + source }

func (d Drift) key() string { return string(d.Kind) + "|" + d.Page + "|" + d.Field }

// of finds or makes the state of a source; w.mu is held. What was remembered of
// another version of the config says nothing of this one.
func (w *driftWatch) of(s *Source, now time.Time) *sourceDrift {
	if w.sources == nil {
		w.sources = map[string]*sourceDrift{}
	}
	d := w.sources[s.Name]
	if d == nil {
		d = &sourceDrift{posts: map[string]bool{}, alarms: map[string]Drift{}}
		w.sources[s.Name] = d
	}
	if d.note.Version != s.version {
		start, read, failed, posts := d.note.Start, d.note.Read, d.note.Failed, d.note.Posts
		d.note = driftNote{Version: s.version, Start: start, Read: read, Failed: failed, Posts: posts}
		clear(d.alarms)
	}
	if d.note.Rules == nil {
		d.note.Rules = map[string]*ruleYield{}
	}
	if d.note.Seeds == nil {
		d.note.Seeds = map[string]float64{}
	}
	if d.note.Start.IsZero() {
		d.note.Start = now
	}
	return d
}

// Drifts lists the alarms that stand, by source.
func (c *Crawler) Drifts() []Drift {
	c.drift.mu.Lock()
	defer c.drift.mu.Unlock()
	out := []Drift{}
	for _, name := range slices.Sorted(maps.Keys(c.drift.sources)) {
		out = append(out, c.drift.sources[name].sorted()...)
	}
	return out
}

func (d *sourceDrift) sorted() []Drift {
	return slices.SortedFunc(maps.Values(d.alarms), func(a, b Drift) int { return cmp.Compare(a.key(), b.key()) })
}

// watchYield counts what a page held and raises or ends alarms.
func (c *Crawler) watchYield(ctx context.Context, s *Source, l frontier.Lease, ex Extraction) {
	at, ok := s.place(l.URL)
	if !ok {
		return
	}
	now := c.now()
	y := s.yieldOn(at.rule, ex)
	c.drift.mu.Lock()
	d := c.drift.of(s, now)
	d.note.Read++
	for _, p := range ex.Posts {
		if len(d.posts) < s.Expect.Day && (p.PublishedAt.IsZero() || p.PublishedAt.After(now.Add(-dayOf))) {
			d.posts[p.ID] = true
		}
	}
	r := d.note.Rules[at.rule.Name]
	if r == nil {
		r = &ruleYield{}
		d.note.Rules[at.rule.Name] = r
	}
	r.add(y, len(d.alarms) == 0)
	found := r.judge(s, at.rule)
	if at.list && c.isSeed(s, l) {
		if was := d.note.Seeds[l.URL]; y.Found == 0 && was > 0 {
			found = append(found, Drift{Kind: DriftZero, Page: at.rule.Name, Want: int(was), Before: true})
		} else if y.Found > 0 {
			d.note.Seeds[l.URL] = float64(y.Found)
		}
	}
	raised, ended := d.settle(found, at.rule.Name, Drift{Source: s.Name, URL: l.URL, Since: now})
	if _, stood := d.alarms[Drift{Kind: DriftSilent}.key()]; stood {
		ended = append(ended, d.drop(Drift{Kind: DriftSilent}))
	}
	c.drift.mu.Unlock()
	c.tellDrift(ctx, s, l.Host, raised, ended)
}

// watchRead counts a page that had not changed.
func (c *Crawler) watchRead(s *Source) {
	c.drift.mu.Lock()
	defer c.drift.mu.Unlock()
	c.drift.of(s, c.now()).note.Read++
}

// watchFailure counts a fetch that failed.
func (c *Crawler) watchFailure(s *Source) {
	c.drift.mu.Lock()
	defer c.drift.mu.Unlock()
	c.drift.of(s, c.now()).note.Failed++
}

// add takes a page into the recent ones; with learn, what they push out is
// added to the past. What came while an alarm stands must not become usual.
func (r *ruleYield) add(y pageYield, learn bool) {
	if r.Recent = append(r.Recent, y); len(r.Recent) > recentPages {
		if learn {
			r.learn(r.Recent[0])
		}
		r.Recent = r.Recent[1:]
	}
	if r.Zeros++; y.Found > 0 {
		r.Zeros = 0
	}
}

func (r *ruleYield) learn(y pageYield) {
	r.Pages = min(r.Pages+1, memoryPages)
	part := 1 / float64(r.Pages)
	r.Mean += part * (float64(y.Found) - r.Mean)
	if y.Posts == 0 {
		return
	}
	if r.Fields == nil {
		r.Fields = map[string]float64{}
	}
	for _, f := range expectFields {
		have := 100 * float64(y.Have[f]) / float64(y.Posts)
		if r.Pages == 1 {
			r.Fields[f] = have
		}
		r.Fields[f] += part * (have - r.Fields[f])
	}
}

// judge compares the recent pages of a rule with expect and with the past.
func (r *ruleYield) judge(s *Source, rule *PageRule) []Drift {
	var out []Drift
	sum, posts := 0, 0
	have := map[string]int{}
	for _, y := range r.Recent {
		sum += y.Found
		posts += y.Posts
		for f, n := range y.Have {
			have[f] += n
		}
	}
	mean, want := float64(sum)/float64(len(r.Recent)), s.expected(rule)
	// Before there is a past, the recent pages before the empty ones are it.
	held := r.Pages + len(r.Recent) - min(r.Zeros, len(r.Recent))
	switch {
	case r.Zeros > 0 && r.Zeros >= min(zeroPages, max(held, fewZeros)) && held > 0 && (r.Mean >= 1 || sum > 0), r.Zeros >= zeroPages && (rule.mustHold() || want > 0):
		out = append(out, Drift{Kind: DriftZero, Page: rule.Name, Want: max(want, int(math.Round(r.Mean)), 1), Before: want == 0 && r.Mean >= 1})
	case len(r.Recent) >= yieldPages && want > 0 && 2*mean < float64(want):
		out = append(out, Drift{Kind: DriftYield, Page: rule.Name, Have: int(math.Round(mean)), Want: want})
	case len(r.Recent) == recentPages && r.Pages >= settledPages && farBelow*mean < r.Mean:
		out = append(out, Drift{Kind: DriftYield, Page: rule.Name, Have: int(math.Round(mean)), Want: int(math.Round(r.Mean)), Before: true})
	}
	if posts < fieldPosts {
		return out
	}
	for _, f := range expectFields {
		now, want := 100*have[f]/posts, s.Expect.Fields[f]
		switch {
		case want > 0 && s.fieldsApply(rule) && 4*now < 3*want:
			out = append(out, Drift{Kind: DriftField, Page: rule.Name, Field: f, Have: now, Want: want})
		case want == 0 && r.Pages >= settledFields && r.Fields[f] >= fieldBefore && 2*float64(now) < r.Fields[f]:
			out = append(out, Drift{Kind: DriftField, Page: rule.Name, Field: f, Have: now, Want: int(r.Fields[f]), Before: true})
		}
	}
	return out
}

// settle makes the alarms of a rule those found, and returns what is new and
// what is over.
func (d *sourceDrift) settle(found []Drift, rule string, met Drift) (raised, ended []Drift) {
	standing := map[string]bool{}
	for _, f := range found {
		k := f.key()
		standing[k] = true
		old, known := d.alarms[k]
		f.Source, f.URL, f.Since = met.Source, met.URL, met.Since
		if known {
			f.Since = old.Since
		}
		d.alarms[k] = f
		if !known {
			raised = append(raised, f)
		}
	}
	for _, a := range d.sorted() {
		if a.Page == rule && !standing[a.key()] && a.Kind != DriftDay && a.Kind != DriftSilent {
			ended = append(ended, d.drop(a))
		}
	}
	return raised, ended
}

func (d *sourceDrift) drop(a Drift) Drift {
	was := d.alarms[a.key()]
	delete(d.alarms, a.key())
	return was
}

// watchDay looks from time to time whether the day of a source is over, and
// what it brought. It is called often.
func (c *Crawler) watchDay(ctx context.Context) {
	now := c.now()
	c.drift.mu.Lock()
	if now.Before(c.drift.next) {
		c.drift.mu.Unlock()
		return
	}
	c.drift.next = now.Add(dayLook)
	type change struct {
		s             *Source
		raised, ended []Drift
	}
	var changes []change
	for _, s := range *c.sources.Load() {
		d := c.drift.of(s, now)
		if now.Before(d.note.Start.Add(dayOf)) {
			continue
		}
		ch := change{s: s}
		ch.raised, ch.ended = d.endDay(s, now)
		changes = append(changes, ch)
	}
	c.drift.mu.Unlock()
	for _, ch := range changes {
		c.tellDrift(ctx, ch.s, "", ch.raised, ch.ended)
	}
}

// endDay judges the day and begins the next.
func (d *sourceDrift) endDay(s *Source, now time.Time) (raised, ended []Drift) {
	posts := d.note.Posts + len(d.posts)
	set := func(a Drift, stands bool) {
		_, stood := d.alarms[a.key()]
		switch {
		case stands && !stood:
			raised = append(raised, a)
			d.alarms[a.key()] = a
		case !stands && stood:
			ended = append(ended, d.drop(a))
		}
	}
	set(Drift{Source: s.Name, Kind: DriftSilent, Since: d.note.Start}, d.note.Read == 0 && d.note.Failed > 0)
	set(Drift{Source: s.Name, Kind: DriftDay, Have: posts, Want: s.Expect.Day, Since: d.note.Start}, s.Expect.Day > 0 && posts < s.Expect.Day)
	d.note.Start, d.note.Read, d.note.Failed, d.note.Posts = now, 0, 0, 0
	clear(d.posts)
	return raised, ended
}

// tellDrift tells of alarms that were raised and that are over, and remembers
// them.
func (c *Crawler) tellDrift(ctx context.Context, s *Source, host string, raised, ended []Drift) {
	for _, d := range raised {
		c.log.Warn("site yields less than it should", "source", s.Name, "what", d.Text("en"), "rule", d.Page, "url", d.URL, "config", s.file)
		c.prog.emit(Event{Kind: EventDrift, Source: s.Name, Host: host, URL: d.URL, Reason: d.Text("en"), Drift: &d})
	}
	for _, d := range ended {
		c.log.Info("site yields again what it should", "source", s.Name, "was", d.Text("en"), "since", d.Since)
		c.prog.emit(Event{Kind: EventDriftOver, Source: s.Name, Host: host, URL: d.URL, Reason: d.Text("en"), Drift: &d})
	}
	if len(raised)+len(ended) > 0 {
		c.keepDrift(ctx, s)
	}
}

// keepDrift writes what is known of a source.
func (c *Crawler) keepDrift(ctx context.Context, s *Source) {
	c.drift.mu.Lock()
	d := c.drift.of(s, c.now())
	note := d.note
	note.Posts += len(d.posts)
	note.Alarms = d.sorted()
	text := writeNote(note)
	c.drift.mu.Unlock()
	if len(text) > frontier.MaxNote {
		return // hundreds of seeds with long URLs: the history begins anew with the next start
	}
	err := c.acked(ctx, func(ctx context.Context) error {
		return c.opts.Frontier.Note(ctx, map[string]string{driftKey(s.Name): text})
	})
	if err != nil {
		c.log.Error("what a site yields could not be remembered over a restart", "source", s.Name, "err", err)
	}
}

// recallDrift reads what is remembered of a source; alarms that stood stand.
func (c *Crawler) recallDrift(ctx context.Context, s *Source) error {
	notes, err := c.opts.Frontier.Notes(ctx, driftKey(s.Name))
	if err != nil {
		return fmt.Errorf("recalling what %s yields: %w", s.Name, err)
	}
	note := readNote[driftNote](notes[driftKey(s.Name)])
	if note.Version == "" {
		return nil
	}
	c.drift.mu.Lock()
	if c.drift.sources == nil {
		c.drift.sources = map[string]*sourceDrift{}
	}
	d := &sourceDrift{note: note, posts: map[string]bool{}, alarms: map[string]Drift{}}
	for _, a := range note.Alarms {
		d.alarms[a.key()] = a
	}
	for name, r := range d.note.Rules {
		if r == nil {
			delete(d.note.Rules, name)
		}
	}
	d.note.Alarms = nil
	c.drift.sources[s.Name] = d
	standing := c.drift.of(s, c.now()).sorted()
	c.drift.mu.Unlock()
	for _, a := range standing {
		c.log.Warn("site still yields less than it should", "source", s.Name, "what", a.Text("en"), "since", a.Since)
		c.prog.emit(Event{Kind: EventDrift, Source: s.Name, URL: a.URL, Reason: a.Text("en"), Drift: &a})
	}
	return nil
}
