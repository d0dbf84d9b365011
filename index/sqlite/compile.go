package sqlite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"qingyuan/index"
)

// condition is a query as SQL.
type condition struct {
	expr    index.Expr
	from    string // posts p, driven by the full-text index where that narrows all
	sql     string
	args    []any
	covered bool   // asks only for fields that facet shapes hold
	match   string // when the query is for text only: what the full-text index is asked
	flagged string // when covered: the condition on posts.flagged alone that narrows it, or 1
}

// compile parses and translates a query. Whatever the user wrote reaches SQL
// as an argument, and FTS5 as quoted tokens of letters, digits and symbols.
func (s *Store) compile(query string) (condition, error) {
	e, err := index.Parse(query, s.opts.Now().In(s.opts.Location))
	if err != nil {
		return condition{}, err
	}
	e = index.Normalized(e, s.opts.Normalize)
	var c compiler
	cond := condition{expr: e, from: "posts p", covered: inShapes(e), flagged: "1"}
	rest := []index.Expr{e}
	if and, ok := e.(index.And); ok {
		rest = gatherText(and, func(kids []index.Expr) index.Expr { return index.And(kids) })
	}
	if match, ok := ftsMatch(rest[0]); ok {
		// Every hit has the text: start from the few rows that have it.
		c.add("fts MATCH ?", match)
		cond.from = "fts CROSS JOIN posts p ON p.rid = fts.rowid"
		if rest = rest[1:]; len(rest) == 0 {
			cond.match = match
		} else {
			c.add(" AND ")
		}
	}
	c.rare = slices.ContainsFunc(rest, rare)
	if len(rest) > 0 {
		c.joined(rest, " AND ")
	}
	for _, k := range rest {
		if eq, ok := k.(index.Equal); ok && eq.Field == index.FacetFlagged {
			cond.flagged = map[string]string{"true": "flagged = 1", "false": "flagged = 0"}[eq.Value]
		}
	}
	if cond.flagged == "" {
		cond.flagged = "0"
	}
	cond.sql, cond.args = c.sql.String(), c.args
	return cond, nil
}

// count returns the query for the number of matching records, and its arguments.
func (c condition) count() (string, []any) {
	if c.match != "" {
		return "SELECT count(*) FROM fts WHERE fts MATCH ?", []any{c.match}
	}
	return "SELECT count(*) FROM " + c.from + " WHERE " + c.sql, c.args
}

type compiler struct {
	sql  strings.Builder
	args []any
	rare bool // a label narrows the whole query to a few rows
}

// rare reports whether e can be true of a few rows only, which labels lists.
// SQLite has no statistics of labels and would rather read half of the table
// by the index on flagged: 4-9 ms instead of 0.4 at 60,000 records.
func rare(e index.Expr) bool {
	switch e := e.(type) {
	case index.And:
		return slices.ContainsFunc(e, rare)
	case index.Or:
		return !slices.ContainsFunc(e, func(k index.Expr) bool { return !rare(k) })
	case index.Equal:
		return e.Value != "" && (e.Field == "contact" || isEntity(e.Field) || e.Field == "author" || e.Field == "campaign" || e.Field == "near")
	}
	return false
}

func (c *compiler) add(sql string, args ...any) {
	c.sql.WriteString(sql)
	c.args = append(c.args, args...)
}

func (c *compiler) write(e index.Expr) {
	if match, ok := ftsMatch(e); ok {
		c.add("p.rid IN (SELECT rowid FROM fts WHERE fts MATCH ?)", match)
		return
	}
	switch e := e.(type) {
	case index.All:
		c.add("1")
	case index.And:
		c.joined(gatherText(e, func(kids []index.Expr) index.Expr { return index.And(kids) }), " AND ")
	case index.Or:
		if field, values, ok := anyLabel(e); ok {
			c.label(field, values)
			return
		}
		c.joined(gatherText(e, func(kids []index.Expr) index.Expr { return index.Or(kids) }), " OR ")
	case index.Not:
		c.add("NOT ")
		c.write(e.X)
	case index.Equal:
		c.equal(e)
	case index.NumberRange:
		c.number(e)
	case index.TimeRange:
		c.time(e)
	}
}

func (c *compiler) joined(kids []index.Expr, op string) {
	c.add("(")
	for i, k := range kids {
		if i > 0 {
			c.add(op)
		}
		c.write(k)
	}
	c.add(")")
}

// gatherText puts the parts that only look for text together, so that the
// full-text index answers them at once.
func gatherText(kids []index.Expr, join func([]index.Expr) index.Expr) []index.Expr {
	var texts, rest []index.Expr
	for _, k := range kids {
		if _, ok := ftsMatch(k); ok {
			texts = append(texts, k)
		} else {
			rest = append(rest, k)
		}
	}
	if len(texts) > 1 {
		texts = []index.Expr{join(texts)}
	}
	return append(texts, rest...)
}

// ftsMatch translates an expression made of text terms, AND and OR only.
func ftsMatch(e index.Expr) (string, bool) {
	var kids []index.Expr
	op := " AND "
	switch e := e.(type) {
	case index.Text:
		return ftsPhrase(e), true
	case index.And:
		kids = e
	case index.Or:
		kids, op = e, " OR "
	default:
		return "", false
	}
	parts := make([]string, len(kids))
	for i, k := range kids {
		m, ok := ftsMatch(k)
		if !ok {
			return "", false
		}
		parts[i] = m
	}
	return "(" + strings.Join(parts, op) + ")", true
}

func ftsPhrase(t index.Text) string {
	columns := map[string]string{"title": "{title ntitle} : ", "text": "{body nbody} : "}[t.Field]
	tokens, prefix := index.Phrase(t.Value)
	phrase := columns + `"` + strings.Join(tokens, " ") + `"`
	if prefix {
		phrase += " *"
	}
	return phrase
}

// columnFields are the fields that are columns of posts.
var columnFields = map[string]string{"source": "p.source", "source_type": "p.source_type", "kind": "p.kind", "stance": "p.stance",
	"severity": "p.severity", "status": "p.status", "assignee": "p.assignee", "reason": "p.reason", "id": "p.id"}

func (c *compiler) equal(e index.Equal) {
	if e.Field == "flagged" {
		if c.rare {
			c.add("+") // keeps the index on flagged out
		}
		switch e.Value {
		case "true":
			c.add("p.flagged = 1")
		case "false":
			c.add("p.flagged = 0")
		default:
			c.add("0")
		}
		return
	}
	if column, ok := columnFields[e.Field]; ok {
		c.add(column+" = ?", e.Value)
		return
	}
	if e.Field == "url" && e.Value != "" {
		c.url(e.Value)
		return
	}
	c.label(e.Field, []string{e.Value})
}

// anyLabel reports whether e asks for any of several values of one label.
func anyLabel(e index.Or) (field string, values []string, ok bool) {
	for _, k := range e {
		eq, isEqual := k.(index.Equal)
		if !isEqual || eq.Value == "" || len(values) > 0 && eq.Field != field {
			return "", nil, false
		}
		field, values = eq.Field, append(values, eq.Value)
	}
	_, column := columnFields[field]
	return field, values, len(values) > 0 && !column && field != index.FacetFlagged && field != "url"
}

// label finds the records with any of the values; the one value "" those without.
func (c *compiler) label(field string, values []string) {
	labels := []string{field}
	switch {
	case field == "contact":
		labels = prefixed(index.ContactTypes[:])
	case isEntity(field):
		labels = prefixed([]string{field})
	}
	args := make([]any, 0, len(labels)+len(values))
	for _, l := range labels {
		args = append(args, l)
	}
	if values[0] == "" {
		c.add("p.rid NOT IN (SELECT rid FROM labels WHERE field IN ("+marks(len(labels))+"))", args...)
		return
	}
	for _, v := range values {
		args = append(args, v[:min(len(v), maxLabel)])
	}
	c.add("p.rid IN (SELECT rid FROM labels WHERE field IN ("+marks(len(labels))+") AND value IN ("+marks(len(values))+"))", args...)
}

// marks are n question marks for as many arguments.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func prefixed(types []string) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = "entity." + t
	}
	return out
}

func isEntity(field string) bool {
	for _, t := range index.EntityTypes {
		if t == field {
			return true
		}
	}
	return false
}

// url finds addresses by their beginning, or by host when only that is given.
func (c *compiler) url(value string) {
	starts := []string{value}
	switch {
	case strings.Contains(value, "://"):
	case strings.ContainsAny(value, "/:"):
		starts = []string{"http://" + value, "https://" + value}
	default:
		host := reverseHost(value)
		c.add("p.rid IN (SELECT rid FROM labels WHERE field = 'host' AND value >= ? AND value < ?)", host, strings.TrimSuffix(host, ".")+"/")
		return
	}
	for i, s := range starts {
		if len(s) > maxLabel {
			s = s[:maxLabel]
		}
		op := map[bool]string{true: "(", false: " OR "}[i == 0]
		c.add(op+"p.rid IN (SELECT rid FROM labels WHERE field = 'url' AND value >= ? AND value < ?)", s, s+"\U0010FFFF")
	}
	c.add(")")
}

func (c *compiler) number(e index.NumberRange) {
	c.add("(1")
	if !math.IsInf(e.Low, -1) {
		c.add(map[bool]string{true: " AND p.score > ?", false: " AND p.score >= ?"}[e.ExcludeLow], e.Low)
	}
	if !math.IsInf(e.High, 1) {
		c.add(map[bool]string{true: " AND p.score < ?", false: " AND p.score <= ?"}[e.ExcludeHigh], e.High)
	}
	c.add(")")
}

func (c *compiler) time(e index.TimeRange) {
	column := map[string]string{"published": "p.published", "ingested": "p.ingested", "seen": "p.last_seen"}[e.Field]
	c.add(fmt.Sprintf("(%s > ?", column), int64(unknownTime))
	if !e.From.IsZero() {
		c.add(fmt.Sprintf(" AND %s >= ?", column), micros(e.From))
	}
	if !e.To.IsZero() {
		c.add(fmt.Sprintf(" AND %s < ?", column), micros(e.To))
	}
	c.add(")")
}
