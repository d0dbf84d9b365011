package triage

import (
	"errors"
	"slices"
	"strings"
	"time"

	"qingyuan/index"
)

// defaultQuery is what waits for a decision.
const defaultQuery = "flagged:true status:(new OR reviewing OR returned)"

// part is one condition of a query that is joined to the others by AND.
type part struct {
	raw  string // as the visitor wrote it where possible, so that 7d stays 7d
	expr index.Expr
}

// field returns the one field that a part speaks of, or "".
func (p part) field() string { return fieldOf(p.expr) }

func fieldOf(e index.Expr) string {
	switch e := e.(type) {
	case index.Equal:
		return e.Field
	case index.NumberRange:
		return e.Field
	case index.TimeRange:
		return e.Field
	case index.Not:
		return fieldOf(e.X)
	case index.Or:
		field := fieldOf(e[0])
		for _, k := range e[1:] {
			if fieldOf(k) != field {
				return ""
			}
		}
		return field
	}
	return ""
}

// splitQuery parses a query into its parts. The error is an *index.QueryError.
func splitQuery(query string, now time.Time) ([]part, error) {
	whole, err := index.Parse(query, now)
	if err != nil {
		return nil, err
	}
	var exprs []index.Expr
	switch e := whole.(type) {
	case index.All:
		return nil, nil
	case index.And:
		exprs = e
	default:
		exprs = []index.Expr{e}
	}
	if raws := rawParts(query, exprs, now); raws != nil {
		parts := make([]part, len(exprs))
		for i, e := range exprs {
			parts[i] = part{raw: raws[i], expr: e}
		}
		return parts, nil
	}
	var parts []part
	for _, e := range exprs {
		raw := e.String()
		if _, ok := e.(index.Or); ok {
			raw = "(" + raw + ")"
		}
		parts = append(parts, part{raw: raw, expr: e})
	}
	return parts, nil
}

// rawParts cuts the query at its outermost blanks into the texts of exprs, or
// returns nil when the query is not that simple.
func rawParts(query string, exprs []index.Expr, now time.Time) []string {
	var out []string
	prefix := ""
	for _, token := range outerTokens(query) {
		switch token {
		case "AND", "&&":
			continue
		case "NOT", "!":
			prefix = "NOT "
			continue
		}
		out = append(out, prefix+token)
		prefix = ""
	}
	if len(out) != len(exprs) {
		return nil
	}
	for i, raw := range out {
		e, err := index.Parse(raw, now)
		if err != nil || e.String() != exprs[i].String() {
			return nil
		}
	}
	return out
}

// outerTokens splits at blanks that stand outside quotes and brackets.
func outerTokens(query string) []string {
	var out []string
	var b strings.Builder
	depth, quoted, escaped := 0, false, false
	for _, r := range query {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		case depth == 0 && strings.ContainsRune(" \t\r\n\u3000\u00A0", r):
			if b.Len() > 0 {
				out = append(out, b.String())
				b.Reset()
			}
			continue
		}
		b.WriteRune(r)
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	return out
}

func joinParts(parts []part) string {
	raws := make([]string, len(parts))
	for i, p := range parts {
		raws[i] = p.raw
	}
	return strings.Join(raws, " ")
}

// withoutField drops the parts that speak of field alone.
func withoutField(parts []part, field string) []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.field() == field })
}

// textTerms returns the texts that the parts look for.
func textTerms(parts []part) []string {
	var out []string
	var walk func(e index.Expr)
	walk = func(e index.Expr) {
		switch e := e.(type) {
		case index.Text:
			out = append(out, e.Value)
		case index.And:
			for _, k := range e {
				walk(k)
			}
		case index.Or:
			for _, k := range e {
				walk(k)
			}
		}
	}
	for _, p := range parts {
		walk(p.expr)
	}
	return out
}

// term writes field:"value" so that it parses to exactly that.
func term(field, value string) string { return index.Equal{Field: field, Value: value}.String() }

// chip is an active condition with the way to drop it.
type chip struct {
	Label string
	Href  string
}

func (s *Server) chips(parts []part, q listQuery, lang string) []chip {
	var out []chip
	for i, p := range parts {
		rest := slices.Delete(slices.Clone(parts), i, i+1)
		out = append(out, chip{Label: plain(s.partLabel(p, lang)), Href: q.with(joinParts(rest)).href()})
	}
	return out
}

// partLabel puts a condition into words, or shows it as written.
func (s *Server) partLabel(p part, lang string) string {
	switch e := p.expr.(type) {
	case index.Text:
		if e.Field == "" {
			return "“" + e.Value + "”"
		}
	case index.Equal:
		if e.Value == "" {
			return text(lang, "chip.without") + " " + fieldLabel(lang, e.Field)
		}
		return fieldLabel(lang, e.Field) + text(lang, "colon") + s.valueLabel(lang, e.Field, e.Value)
	case index.Not:
		if x, ok := e.X.(index.Equal); ok && x.Value == "" {
			return text(lang, "chip.with") + " " + fieldLabel(lang, x.Field)
		}
		return text(lang, "chip.not") + " " + s.partLabel(part{raw: e.X.String(), expr: e.X}, lang)
	case index.Or:
		field := fieldOf(e)
		var values []string
		for _, k := range e {
			if x, ok := k.(index.Equal); ok && field != "" && x.Value != "" {
				values = append(values, s.valueLabel(lang, field, x.Value))
			}
		}
		if len(values) == len(e) {
			return fieldLabel(lang, field) + text(lang, "colon") + strings.Join(values, " / ")
		}
	case index.NumberRange, index.TimeRange:
		field := p.field()
		if rest, ok := strings.CutPrefix(p.raw, field); ok {
			return fieldLabel(lang, field) + " " + strings.TrimPrefix(rest, ":")
		}
	}
	return p.raw
}

// valueLabel names a value of a field.
func (s *Server) valueLabel(lang, field, value string) string {
	if field == index.FacetCategory {
		return s.categoryName(value, lang)
	}
	if field == index.FacetSource {
		return s.sourceName(value)
	}
	if field == index.FacetEntityType {
		field = "entity"
	}
	return label(lang, field, value)
}

func (s *Server) categoryName(id, lang string) string {
	if c, ok := s.categories[id]; ok && c.Name.In(lang) != "" {
		return c.Name.In(lang)
	}
	return id
}

// sourceName is the title of a source, or its id.
func (s *Server) sourceName(id string) string {
	if title := s.sources[id]; title != "" {
		return title
	}
	return id
}

// facetFields are the counts beside the queue, in order.
var facetFields = [...]string{index.FacetStatus, index.FacetSeverity, index.FacetCategory, index.FacetStance, index.FacetSource,
	index.FacetEvasion, index.FacetEntityType, index.FacetDay, index.FacetKind, index.FacetAssignee, index.FacetTag, index.FacetReason}

// single are the facets of which a record has one value: choosing another
// replaces the choice, and the others stay countable.
var single = map[string]bool{index.FacetStatus: true, index.FacetSeverity: true, index.FacetStance: true, index.FacetSource: true,
	index.FacetDay: true, index.FacetKind: true, index.FacetAssignee: true, index.FacetReason: true}

// Values of a facet: shown at once, and asked for. The rest of the latter
// unfolds; categories are all shown.
const (
	facetShown = 12
	facetLimit = 60
)

type facetGroup struct {
	Field, Name, Note string
	Open              bool
	Values            []facetValue
	More              []facetValue
	MoreOpen          bool // a chosen value stands there
}

type facetValue struct {
	Name   string
	Title  string // the id, where Name is a title
	Count  int
	Href   string // empty: cannot be asked for
	Active bool
	Class  string
}

// queryField is the field of the query language that a facet's values are
// asked for with.
func queryField(facet string) string {
	if facet == index.FacetDay {
		return "ingested"
	}
	return facet
}

// facetTerm is the condition for one value of a facet.
func facetTerm(facet, value string) string {
	if facet != index.FacetEntityType {
		return term(queryField(facet), value)
	}
	if !slices.Contains(index.EntityTypes[:], value) {
		return ""
	}
	return "NOT " + term(value, "")
}

// facetCounts asks the store. Each single-valued field with a condition is
// counted without it.
func (s *Server) facetCounts(r listRequest, parts []part) (map[string][]index.FacetCount, error) {
	var together []string
	out := map[string][]index.FacetCount{}
	for _, f := range facetFields {
		rest := withoutField(parts, queryField(f))
		if !single[f] || len(rest) == len(parts) {
			together = append(together, f)
			continue
		}
		counts, err := s.store.Facets(r.ctx, index.Query{Text: joinParts(rest)}, []string{f}, facetLimit)
		if err != nil {
			return nil, err
		}
		out[f] = counts[f]
	}
	counts, err := s.store.Facets(r.ctx, index.Query{Text: joinParts(parts)}, together, facetLimit)
	if err != nil {
		return nil, err
	}
	for f, c := range counts {
		out[f] = c
	}
	return out, nil
}

func (s *Server) facets(r listRequest, parts []part) ([]facetGroup, error) {
	counts, err := s.facetCounts(r, parts)
	if err != nil {
		return nil, err
	}
	var out []facetGroup
	for i, f := range facetFields {
		g := facetGroup{Field: f, Name: fieldLabel(r.lang, f), Open: i < 6}
		values := counts[f]
		if f == index.FacetCategory {
			g.Note = text(r.lang, "facet.any_category")
			values = s.wholeTaxonomy(values)
		}
		if f == index.FacetStatus || f == index.FacetSeverity {
			slices.SortStableFunc(values, func(a, b index.FacetCount) int { return rank(f, a.Value) - rank(f, b.Value) })
		}
		if f == index.FacetDay {
			slices.SortFunc(values, func(a, b index.FacetCount) int { return strings.Compare(b.Value, a.Value) })
		}
		for _, c := range values {
			v := facetValue{Name: plain(s.valueLabel(r.lang, f, c.Value)), Count: c.Count}
			v.Active = slices.ContainsFunc(parts, func(p part) bool { return asksFor(p.expr, f, c.Value) })
			switch t := facetTerm(f, c.Value); {
			case v.Active:
				rest := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return asksFor(p.expr, f, c.Value) })
				v.Href = r.query.with(joinParts(rest)).href()
			case t != "" && single[f]:
				v.Href = r.query.with(strings.TrimSpace(joinParts(withoutField(parts, queryField(f))) + " " + t)).href()
			case t != "":
				v.Href = r.query.with(strings.TrimSpace(joinParts(parts) + " " + t)).href()
			}
			if v.Name != c.Value && f == index.FacetSource {
				v.Title = plain(c.Value)
			}
			if f == index.FacetSeverity {
				v.Class = "sev-" + c.Value
			}
			if f == index.FacetCategory {
				v.Class = s.colorClass(c.Value)
			}
			if len(g.Values) >= facetShown && f != index.FacetCategory {
				g.More = append(g.More, v)
				g.MoreOpen = g.MoreOpen || v.Active
				continue
			}
			g.Values = append(g.Values, v)
		}
		if len(g.Values) > 0 {
			out = append(out, g)
		}
	}
	return out, nil
}

// wholeTaxonomy adds the categories that nothing was counted for, unless
// nothing was counted at all.
func (s *Server) wholeTaxonomy(counts []index.FacetCount) []index.FacetCount {
	if len(counts) == 0 {
		return nil
	}
	out := slices.Clone(counts)
	for _, id := range s.order {
		if !slices.ContainsFunc(counts, func(c index.FacetCount) bool { return c.Value == id }) {
			out = append(out, index.FacetCount{Value: id})
		}
	}
	return out
}

// asksFor reports whether e is the condition for one value of a facet.
func asksFor(e index.Expr, facet, value string) bool {
	t := facetTerm(facet, value)
	if t == "" {
		return false
	}
	if x, ok := e.(index.Equal); ok && facet != index.FacetEntityType && facet != index.FacetDay {
		return x == index.Equal{Field: facet, Value: index.FieldValue(facet, value)}
	}
	want, err := index.Parse(t, time.Now())
	return err == nil && want.String() == e.String()
}

// rank orders statuses by the workflow and severities from the worst.
func rank(field, value string) int {
	if field == index.FacetStatus {
		return slices.Index(index.Statuses[:], index.Status(value))
	}
	return slices.Index([]string{"critical", "high", "medium", "low"}, value)
}

// queryMistake is a mistake in a query, cut so that its place can be shown.
type queryMistake struct {
	Position            int // from 1
	Before, At, After   string
	Problem, Suggestion string
}

func explainQuery(query string, err error, lang string) (*queryMistake, bool) {
	var e *index.QueryError
	if !errors.As(err, &e) {
		return nil, false
	}
	runes := []rune(query)
	problem, remedy := e.In(lang)
	at := min(max(e.Pos, 0), len(runes))
	end := min(at+1, len(runes))
	m := &queryMistake{Position: at + 1, Before: plain(string(runes[max(0, at-60):at])), At: plain(string(runes[at:end])),
		After: plain(string(runes[end:min(len(runes), end+60)])), Problem: plain(problem), Suggestion: plain(remedy)}
	return m, true
}
