package crawler

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"qingyuan/crawler/frontier"
)

// trapNote is what is kept of a source's traps in the frontier: over restarts,
// for those who ask, and for all processes that crawl the source. Each adds what
// it has learned since it last wrote to what stands there.
type trapNote struct {
	Features map[string][4]int      `json:"f,omitempty"` // fetched, yielded, refused, tried
	Params   map[string]*tokenProof `json:"p,omitempty"`
	Used     map[string]int         `json:"u,omitempty"`
	Since    time.Time              `json:"s,omitzero"`
	// Writers says how often each process has written, and when last (Unix
	// seconds). One that does not find its own number was overwritten by another
	// that had read before it wrote; it adds once more.
	Writers map[string][2]int64 `json:"w,omitempty"`
}

const (
	saveEvery    = 100  // pages learned from
	keptFeatures = 1500 // that fit into a note
	keptUsed     = 200
	keptWriters  = 32
	writerKept   = 24 * time.Hour
	saveTries    = 3 // at the end of a crawl, until the note is seen to have it
)

func trapKey(source string) string { return "traps " + source }

// shared remembers how much of a site's counts the note has.
type shared struct {
	base   counts // the counts as they were when they were last merged
	writer string
	seq    int64 // of the last write
	at     time.Time
	sent   []counts // what the last writes added, oldest first; the last is that of seq
}

// rememberedWrites is how many writes of ours another process may write over at
// once: as many as we make between its reading and its writing.
const rememberedWrites = 64

// lost gives what was added by our writes that a note does not have.
func (sh *shared) lost(n trapNote) counts {
	all := counts{map[uint64]feature{}, map[string]tokenProof{}, map[string]int{}}
	missing := min(sh.seq-n.Writers[sh.writer][0], int64(len(sh.sent)))
	for _, d := range sh.sent[int64(len(sh.sent))-max(missing, 0):] {
		all.add(d)
	}
	return all
}

// counts are the parts of siteTraps that are sums.
type counts struct {
	features map[uint64]feature
	params   map[string]tokenProof
	used     map[string]int
}

func (s *siteTraps) counts() counts {
	c := counts{map[uint64]feature{}, map[string]tokenProof{}, maps.Clone(s.used)}
	for k, f := range s.features {
		c.features[k] = *f
	}
	for k, p := range s.params {
		c.params[k] = *p
	}
	return c
}

// minus gives what c has more than b.
func (c counts) minus(b counts) counts {
	d := counts{map[uint64]feature{}, map[string]tokenProof{}, map[string]int{}}
	for k, f := range c.features {
		o := b.features[k]
		if f != o {
			d.features[k] = feature{f.Fetched - o.Fetched, f.Yielded - o.Yielded, f.Refused - o.Refused, f.Tried - o.Tried}
		}
	}
	for k, p := range c.params {
		if o := b.params[k]; p != o {
			d.params[k] = tokenProof{p.Same - o.Same, p.Differ - o.Differ}
		}
	}
	for k, n := range c.used {
		if o := b.used[k]; n != o {
			d.used[k] = n - o
		}
	}
	return d
}

// add adds d to c.
func (c counts) add(d counts) {
	for k, f := range d.features {
		o := c.features[k]
		c.features[k] = feature{o.Fetched + f.Fetched, o.Yielded + f.Yielded, o.Refused + f.Refused, o.Tried + f.Tried}
	}
	for k, p := range d.params {
		o := c.params[k]
		c.params[k] = tokenProof{o.Same + p.Same, o.Differ + p.Differ}
	}
	for k, n := range d.used {
		c.used[k] += n
	}
}

// readTrapNote reads a note; a damaged or missing one is empty.
func readTrapNote(text string) trapNote {
	var n trapNote
	if text == "" || json.Unmarshal([]byte(text), &n) != nil {
		return trapNote{}
	}
	return n
}

// counts gives the sums of a note.
func (n trapNote) counts() counts {
	c := counts{map[uint64]feature{}, map[string]tokenProof{}, map[string]int{}}
	for name, f := range n.Features {
		if key, err := strconv.ParseUint(name, 36, 64); err == nil && len(c.features) < maxFeatures {
			c.features[key] = feature{max(f[0], 0), max(f[1], 0), max(f[2], 0), max(f[3], 0)}
		}
	}
	for name, p := range n.Params {
		if p != nil && len(c.params) < maxIdle {
			c.params[name] = tokenProof{max(p.Same, 0), max(p.Differ, 0)}
		}
	}
	for name, used := range n.Used {
		c.used[name] = max(used, 0)
	}
	return c
}

// raise takes counts in that are higher than its own: a note may have forgotten
// what it had no room for.
func (s *siteTraps) raise(c counts) {
	for k, f := range c.features {
		o := s.features[k]
		if o == nil {
			if len(s.features) >= maxFeatures {
				continue
			}
			o = &feature{}
			s.features[k] = o
		}
		o.Fetched, o.Yielded = max(o.Fetched, f.Fetched), max(o.Yielded, f.Yielded)
		o.Refused, o.Tried = max(o.Refused, f.Refused), max(o.Tried, f.Tried)
	}
	for k, p := range c.params {
		o := s.params[k]
		if o == nil {
			if len(s.params) >= maxIdle {
				continue
			}
			o = &tokenProof{}
			s.params[k] = o
		}
		o.Same, o.Differ = max(o.Same, p.Same), max(o.Differ, p.Differ)
	}
}

// restore takes in what was kept of a source.
func (t *traps) restore(source, note string) {
	n := readTrapNote(note)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	s.raise(n.counts())
	if s.since.IsZero() {
		s.since = n.Since
		maps.Copy(s.used, n.Used)
	}
	s.shared.base = s.counts()
}

// due reports whether what was learned of a source is to be written.
func (t *traps) due(source string, always bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	return s.learned >= saveEvery || always && s.learned > 0
}

// merge adds what was learned of a source since the last time to the note that
// stands in the frontier, and takes over what others have learned. It returns
// the note to write; "" when it cannot be written.
func (t *traps) merge(source, note string) string {
	n := readTrapNote(note)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(source)
	sh := &s.shared
	if sh.writer == "" {
		sh.writer = strconv.FormatUint(rand.Uint64(), 36)
	}
	sum, delta := n.counts(), s.counts().minus(sh.base)
	if t.now().Sub(sh.at) > writerKept/2 {
		sh.sent = nil // others may have forgotten our number, but hardly our counts
	}
	again := sh.lost(n)
	sh.at = t.now()
	switch {
	case n.Since.After(s.since): // another process has begun a pass
		s.since, delta.used, again.used = n.Since, map[string]int{}, nil
		clear(s.used)
	case n.Since.Before(s.since):
		sum.used, delta.used, again.used = map[string]int{}, maps.Clone(s.used), nil
	}
	sum.add(again)
	sum.add(delta)
	s.raise(sum)
	clear(s.used)
	maps.Copy(s.used, sum.used)
	sh.base = s.counts()
	sh.sent = append(sh.sent[max(0, len(sh.sent)+1-rememberedWrites):], delta)
	sh.seq++
	s.learned = 0

	now := t.now()
	out := trapNote{Since: s.since, Writers: map[string][2]int64{sh.writer: {sh.seq, now.Unix()}}}
	for name, w := range n.Writers {
		if name != sh.writer && len(out.Writers) < keptWriters && now.Sub(time.Unix(w[1], 0)) < writerKept {
			out.Writers[name] = w
		}
	}
	out.take(s.counts())
	data, err := json.Marshal(out)
	if err != nil || len(data) > frontier.MaxNote {
		return ""
	}
	return string(data)
}

// take writes the sums down, as far as there is room.
func (n *trapNote) take(c counts) {
	n.Features, n.Params, n.Used = map[string][4]int{}, map[string]*tokenProof{}, map[string]int{}
	keys := slices.SortedFunc(maps.Keys(c.features), func(a, b uint64) int { return c.features[b].Fetched - c.features[a].Fetched })
	for _, k := range keys[:min(len(keys), keptFeatures)] {
		f := c.features[k]
		n.Features[strconv.FormatUint(k, 36)] = [4]int{f.Fetched, f.Yielded, f.Refused, f.Tried}
	}
	for name, p := range c.params {
		n.Params[name] = &p
	}
	for k, v := range c.used {
		if len(n.Used) < keptUsed {
			n.Used[k] = v
		}
	}
}

// seen reports whether a note has what was last written for a source.
func (t *traps) seen(source, note string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sh := t.of(source).shared
	return readTrapNote(note).Writers[sh.writer][0] == sh.seq
}

// retain keeps what was learned of a source, from time to time or now, at the end
// of a crawl: then it looks whether another process has written over it.
func (c *Crawler) retain(ctx context.Context, source string, now bool) {
	if !c.traps.due(source, now) {
		return
	}
	key := trapKey(source)
	for try := 1; ; try++ {
		err := c.acked(ctx, func(ctx context.Context) error {
			notes, err := c.opts.Frontier.Notes(ctx, key)
			if err != nil {
				return err
			}
			if try > 1 && c.traps.seen(source, notes[key]) {
				try = saveTries
				return nil
			}
			note := c.traps.merge(source, notes[key])
			if note == "" {
				return nil
			}
			return c.opts.Frontier.Note(ctx, map[string]string{key: note})
		})
		if err != nil {
			c.log.Warn("what was learned of traps could not be kept", "source", source, "err", err)
			return
		}
		if !now || try >= saveTries {
			return
		}
	}
}
