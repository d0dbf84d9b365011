package campaign

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"qingyuan/classify"
	"qingyuan/post"
)

// Group names a campaign. The zero Group is none.
type Group struct {
	ID        string    // the id of the post that founded it
	FirstSeen time.Time // when that was first seen
}

// earlier reports whether g comes before h: later campaigns dissolve into
// earlier ones as their posts are seen again.
func (g Group) earlier(h Group) bool {
	if !g.FirstSeen.Equal(h.FirstSeen) {
		return g.FirstSeen.Before(h.FirstSeen)
	}
	return strings.Compare(g.ID, h.ID) < 0
}

// Member is a post with its verdict and the campaign it belongs to.
type Member struct {
	Post    post.Post
	Verdict classify.Verdict
	Group   Group
}

// Find looks flagged posts up.
type Find struct {
	// Near looks for posts that have at least one of the keys, at most limit of
	// them; which ones, when there are more, does not matter. It returns those
	// whose id is not known.
	Near func(ctx context.Context, keys []string, limit int, known func(id string) bool) ([]Member, error)
	// Get returns the post with an id; false when there is none.
	Get func(ctx context.Context, id string) (Member, bool, error)
}

const (
	// maxCandidates is how many posts with a common key are compared with a new one.
	maxCandidates = 40
	// minFounder is the least similarity to the post that founded a campaign: a
	// copy of a copy may drift this far and no farther, or campaigns would grow
	// together along chains of chance likeness.
	minFounder = 0.3
	// maxRecent is how many assigned posts are remembered: those on their way
	// into the index, which Find does not see yet, and the busiest campaigns.
	maxRecent = 4096
)

// Grouper assigns posts to campaigns. It is safe for concurrent use; calls
// wait for each other, so that two copies that come in at once meet. Workers in
// several processes may found a campaign each for copies seen within the same
// moment; the later one dissolves when its posts are seen again, or by
// assigning them again.
type Grouper struct {
	find Find

	mu     sync.Mutex
	recent [maxRecent]entry
	next   int
	byKey  map[string][]int // positions in recent
	byID   map[string]int
}

// entry is one assigned post.
type entry struct {
	id     string
	sketch Sketch
	group  Group
}

// NewGrouper returns a Grouper that looks posts up by find.
func NewGrouper(find Find) *Grouper {
	return &Grouper{find: find, byKey: map[string][]int{}, byID: map[string]int{}}
}

// Assign sets the Group of each flagged member: that of the earliest campaign
// it is near to, or one of its own. Members that are not flagged are left
// without. An error is that of a look-up; then some may be unset.
func (g *Grouper) Assign(ctx context.Context, members []Member) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range members {
		m := &members[i]
		m.Group = Group{}
		if !m.Verdict.Flagged {
			continue
		}
		if err := g.assign(ctx, m); err != nil {
			return fmt.Errorf("looking for posts like %s: %w", m.Post.ID, err)
		}
	}
	return nil
}

func (g *Grouper) assign(ctx context.Context, m *Member) (err error) {
	s := Of(m.Post, m.Verdict)
	candidates := g.remembered(s.Keys)
	enough := false
	if len(candidates) >= maxCandidates {
		// Copies come in one after the other: what is remembered tells where
		// they belong.
		if m.Group, err = g.among(ctx, m, s, candidates); err != nil {
			return err
		}
		enough = m.Group.ID != m.Post.ID
	}
	if !enough {
		found, err := g.kept(ctx, s.Keys)
		if err != nil {
			return err
		}
		if m.Group, err = g.among(ctx, m, s, append(candidates, found...)); err != nil {
			return err
		}
	}
	g.remember(entry{m.Post.ID, s, m.Group})
	return nil
}

// kept are posts with one of the keys that are not remembered.
func (g *Grouper) kept(ctx context.Context, keys []string) (out []entry, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	known := func(id string) bool { _, ok := g.byID[id]; return ok }
	found, err := g.find.Near(ctx, keys, maxCandidates, known)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if !known(f.Post.ID) && f.Group.ID != "" {
			out = append(out, entry{f.Post.ID, Of(f.Post, f.Verdict), f.Group})
		}
	}
	return out, nil
}

// among finds the earliest campaign of the candidates that a post belongs to,
// or gives it its own.
func (g *Grouper) among(ctx context.Context, m *Member, s Sketch, candidates []entry) (Group, error) {
	group := Group{m.Post.ID, m.Post.FetchedAt}
	for _, c := range candidates {
		if c.id == m.Post.ID && c.group.ID == m.Post.ID {
			group.FirstSeen = c.group.FirstSeen // it founded its campaign when it was first seen
		}
	}
	seen := map[string]bool{}
	for _, c := range candidates {
		if seen[c.group.ID] || !c.group.earlier(group) || s.Similarity(c.sketch) < MinSimilarity {
			continue
		}
		seen[c.group.ID] = true
		near, err := g.nearFounder(ctx, s, c.group.ID)
		if err != nil {
			return Group{}, err
		}
		if near {
			group = c.group
		}
	}
	return group, nil
}

// nearFounder reports whether a post is like the one that founded a campaign,
// as it is now; when that is not known any more, every post is.
func (g *Grouper) nearFounder(ctx context.Context, s Sketch, id string) (bool, error) {
	if at, ok := g.byID[id]; ok {
		return s.Similarity(g.recent[at].sketch) >= minFounder, nil
	}
	founder, ok, err := g.find.Get(ctx, id)
	if err != nil || !ok {
		return true, err
	}
	t := Of(founder.Post, founder.Verdict)
	if founder.Group.ID == id {
		g.remember(entry{id, t, founder.Group})
	}
	return s.Similarity(t) >= minFounder, nil
}

// remembered are the recent posts that have one of the keys.
func (g *Grouper) remembered(keys []string) []entry {
	var out []entry
	seen := map[int]bool{}
	for _, k := range keys {
		for _, at := range g.byKey[k] {
			if !seen[at] {
				seen[at] = true
				out = append(out, g.recent[at])
			}
		}
		if len(out) >= maxCandidates {
			break
		}
	}
	return out
}

// remember keeps an entry in place of the oldest, or of what was known of the
// same post.
func (g *Grouper) remember(e entry) {
	at, known := g.byID[e.id]
	if !known {
		at = g.next
		g.next = (g.next + 1) % maxRecent
	}
	g.forget(at)
	g.recent[at] = e
	g.byID[e.id] = at
	for _, k := range e.sketch.Keys {
		g.byKey[k] = append(g.byKey[k], at)
	}
}

func (g *Grouper) forget(at int) {
	old := g.recent[at]
	if old.id == "" {
		return
	}
	delete(g.byID, old.id)
	for _, k := range old.sketch.Keys {
		left := g.byKey[k][:0]
		for _, p := range g.byKey[k] {
			if p != at {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			delete(g.byKey, k)
		} else {
			g.byKey[k] = left
		}
	}
	g.recent[at] = entry{}
}
