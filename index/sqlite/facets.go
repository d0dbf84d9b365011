package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"qingyuan/index"
)

// A shape is one combination of facet values. Its key lists them: fields end
// with fieldEnd, the values of a field are joined by valueEnd.
const (
	fieldEnd = "\x1f"
	valueEnd = "\x1e"
	// The first character tells a post's shape from a triage shape.
	postShape   = "p"
	triageShape = "t"
)

// The fields of the two kinds of keys, in order.
var (
	postFields = [...]string{index.FacetCategory, index.FacetStance, index.FacetSeverity, index.FacetSource, index.FacetSourceType,
		index.FacetKind, index.FacetEvasion, index.FacetFlagged, index.FacetEntityType}
	triageFields = [...]string{index.FacetStatus, index.FacetAssignee, index.FacetReason, index.FacetTag}
)

func postKey(r index.Record) string {
	var categories, evasions, types []string
	for _, c := range r.Verdict.Categories {
		categories = append(categories, index.FieldValue("category", c.ID))
	}
	for _, e := range r.Verdict.Evasion {
		evasions = append(evasions, index.FieldValue("evasion", string(e)))
	}
	for _, e := range r.Verdict.Entities {
		types = append(types, e.Type)
	}
	one := func(v string) []string { return []string{v} }
	return shapeKey(postShape, categories, one(string(r.Verdict.Stance)), one(string(r.Verdict.Severity)), one(r.Post.Source),
		one(index.FieldValue("source_type", r.Post.SourceType)), one(string(r.Post.Kind)), evasions,
		one(strconv.FormatBool(r.Verdict.Flagged)), types)
}

func triageKey(status index.Status, assignee, reason string, tags []string) string {
	return shapeKey(triageShape, []string{string(status)}, []string{assignee}, []string{reason}, tags)
}

func shapeKey(kind string, fields ...[]string) string {
	parts := []string{kind}
	clean := strings.NewReplacer(fieldEnd, " ", valueEnd, " ")
	for _, values := range fields {
		values = slices.Compact(slices.Sorted(slices.Values(values)))
		for i := range values {
			values[i] = clean.Replace(values[i])
		}
		parts = append(parts, strings.Join(values, valueEnd))
	}
	return strings.Join(parts, fieldEnd)
}

// shapeCache remembers shapes, which never change once written.
type shapeCache struct {
	mu    sync.Mutex
	ids   map[string]int64
	parts map[int64][]string
}

// maxCachedShapes bounds the cache; it is emptied when full.
const maxCachedShapes = 100_000

func newShapeCache() shapeCache {
	return shapeCache{ids: map[string]int64{}, parts: map[int64][]string{}}
}

func (c *shapeCache) id(key string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.ids[key]
	return id, ok
}

// add remembers committed shapes.
func (c *shapeCache) add(shapes map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ids) > maxCachedShapes {
		clear(c.ids)
		clear(c.parts)
	}
	for key, id := range shapes {
		c.ids[key] = id
		c.parts[id] = strings.Split(key, fieldEnd)
	}
}

// fields returns the shapes with these ids, each as its list of fields.
func (c *shapeCache) fields(ctx context.Context, tx *sql.Tx, ids map[int64]struct{}) (map[int64][]string, error) {
	found := make(map[int64][]string, len(ids))
	c.mu.Lock()
	for id := range ids {
		if p, ok := c.parts[id]; ok {
			found[id] = p
		}
	}
	c.mu.Unlock()
	fresh := map[string]int64{}
	for id := range ids {
		if _, ok := found[id]; ok {
			continue
		}
		var key string
		if err := tx.QueryRowContext(ctx, "SELECT key FROM shapes WHERE id = ?", id).Scan(&key); err != nil {
			return nil, fmt.Errorf("facet shape %d: %w", id, err)
		}
		found[id] = strings.Split(key, fieldEnd)
		fresh[key] = id
	}
	if len(fresh) > 0 {
		c.add(fresh)
	}
	return found, nil
}

// shape returns the id of a shape, making it when new.
func (p *putter) shape(key string) (int64, error) {
	if id, ok := p.s.shapes.id(key); ok {
		return id, nil
	}
	if id, ok := p.shapes[key]; ok {
		return id, nil
	}
	var id int64
	if err := p.stmt(p.s.stmts.shapePut).QueryRowContext(p.ctx, []byte(key)).Scan(&id); err != nil {
		return 0, fmt.Errorf("keeping a facet shape: %w", err)
	}
	p.shapes[key] = id
	return id, nil
}

// shapeCount is how many records have one combination.
type shapeCount struct{ shape, triage, day, n int64 }

// Facets implements index.Store.
func (s *Store) Facets(ctx context.Context, q index.Query, fields []string, limit int) (map[string][]index.FacetCount, error) {
	for _, f := range fields {
		if !slices.Contains(index.Facets[:], f) {
			return nil, fmt.Errorf("%w: there is no facet %q; there are %s", index.ErrInvalid, f, strings.Join(index.Facets[:], ", "))
		}
	}
	if limit < 0 {
		return nil, fmt.Errorf("%w: facet limit %d is negative", index.ErrInvalid, limit)
	}
	cond, err := s.compile(q.Text)
	if err != nil {
		return nil, err
	}
	var counts map[string]map[string]int
	err = s.inReadTx(ctx, func(tx *sql.Tx) error {
		groups, err := s.countShapes(ctx, tx, cond)
		if err != nil {
			return err
		}
		counts, err = s.countValues(ctx, tx, groups, fields)
		return err
	})
	if err != nil {
		return nil, s.explain("counting facets", err)
	}
	out := make(map[string][]index.FacetCount, len(fields))
	for _, f := range fields {
		out[f] = topCounts(counts[f], limit)
	}
	return out, nil
}

// countShapes counts the combinations among the records that match.
func (s *Store) countShapes(ctx context.Context, tx *sql.Tx, c condition) ([]shapeCount, error) {
	if !c.covered {
		return queryShapes(ctx, tx, "SELECT p.shape, p.triage_shape, p.day, 1 FROM "+c.from+" WHERE "+c.sql, c.args)
	}
	// The facet index has all records in the order of their combinations; which
	// of these match is asked once each, not once a record.
	groups, err := queryShapes(ctx, tx, "SELECT shape, triage_shape, day, count(*) FROM posts INDEXED BY posts_facets WHERE "+c.flagged+
		" GROUP BY flagged, shape, triage_shape, day", nil)
	if err != nil {
		return nil, err
	}
	if _, all := c.expr.(index.All); all {
		return groups, nil
	}
	parts, err := s.shapes.fields(ctx, tx, shapeIDs(groups))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(groups, func(g shapeCount) bool { return !matchShapes(c.expr, parts[g.shape], parts[g.triage]) }), nil
}

func shapeIDs(groups []shapeCount) map[int64]struct{} {
	ids := map[int64]struct{}{}
	for _, g := range groups {
		ids[g.shape], ids[g.triage] = struct{}{}, struct{}{}
	}
	return ids
}

// inShapes reports whether e asks only for fields that shapes hold.
func inShapes(e index.Expr) bool {
	switch e := e.(type) {
	case index.All:
		return true
	case index.Not:
		return inShapes(e.X)
	case index.And:
		return !slices.ContainsFunc(e, func(k index.Expr) bool { return !inShapes(k) })
	case index.Or:
		return !slices.ContainsFunc(e, func(k index.Expr) bool { return !inShapes(k) })
	case index.Equal:
		// An entity type is a facet by the field entity_type only.
		return (slices.Contains(postFields[:], e.Field) || slices.Contains(triageFields[:], e.Field)) &&
			!strings.ContainsAny(e.Value, fieldEnd+valueEnd)
	}
	return false
}

// matchShapes evaluates e, for which inShapes holds, on one combination.
func matchShapes(e index.Expr, post, triage []string) bool {
	switch e := e.(type) {
	case index.Not:
		return !matchShapes(e.X, post, triage)
	case index.And:
		return !slices.ContainsFunc(e, func(k index.Expr) bool { return !matchShapes(k, post, triage) })
	case index.Or:
		return slices.ContainsFunc(e, func(k index.Expr) bool { return matchShapes(k, post, triage) })
	case index.Equal:
		values := ""
		if i := slices.Index(postFields[:], e.Field); i >= 0 && i+1 < len(post) {
			values = post[i+1]
		} else if i := slices.Index(triageFields[:], e.Field); i >= 0 && i+1 < len(triage) {
			values = triage[i+1]
		}
		return slices.Contains(strings.Split(values, valueEnd), e.Value)
	}
	return true
}

func queryShapes(ctx context.Context, tx *sql.Tx, query string, args []any) ([]shapeCount, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sums := map[shapeCount]int64{}
	for rows.Next() {
		var k shapeCount
		var n int64
		if err := rows.Scan(&k.shape, &k.triage, &k.day, &n); err != nil {
			return nil, err
		}
		sums[k] += n
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	groups := make([]shapeCount, 0, len(sums))
	for k, n := range sums {
		k.n = n
		groups = append(groups, k)
	}
	return groups, nil
}

func (s *Store) countValues(ctx context.Context, tx *sql.Tx, groups []shapeCount, fields []string) (map[string]map[string]int, error) {
	perShape, perDay := map[int64]int{}, map[int64]int{}
	for _, g := range groups {
		perShape[g.shape] += int(g.n)
		perShape[g.triage] += int(g.n)
		perDay[g.day] += int(g.n)
	}
	parts, err := s.shapes.fields(ctx, tx, shapeIDs(groups))
	if err != nil {
		return nil, err
	}
	counts := map[string]map[string]int{}
	for _, f := range fields {
		counts[f] = map[string]int{}
	}
	for id, n := range perShape {
		names := postFields[:]
		if parts[id][0] == triageShape {
			names = triageFields[:]
		}
		for i, name := range names {
			m, wanted := counts[name]
			if !wanted || i+1 >= len(parts[id]) || parts[id][i+1] == "" {
				continue
			}
			for v := range strings.SplitSeq(parts[id][i+1], valueEnd) {
				m[v] += n
			}
		}
	}
	if days, wanted := counts[index.FacetDay]; wanted {
		for day, n := range perDay {
			days[time.Unix(day*24*60*60, 0).UTC().Format(time.DateOnly)] = n
		}
	}
	return counts, nil
}

func topCounts(counts map[string]int, limit int) []index.FacetCount {
	out := make([]index.FacetCount, 0, len(counts))
	for v := range maps.Keys(counts) {
		if v != "" {
			out = append(out, index.FacetCount{Value: v, Count: counts[v]})
		}
	}
	slices.SortFunc(out, func(a, b index.FacetCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}
