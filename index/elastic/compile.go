package elastic

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"qingyuan/index"
)

// maxNesting is how deep Elasticsearch lets queries stand in each other,
// itself 30, less what surrounds and ends ours.
const maxNesting = 26

// compile parses and translates a query. Whatever the user wrote reaches the
// server as a value, never as syntax.
func (s *Store) compile(query string) (index.Expr, map[string]any, error) {
	e, err := index.Parse(query, s.opts.Now().In(s.opts.Location))
	if err != nil {
		return nil, nil, err
	}
	e = index.Normalized(e, s.opts.Normalize)
	plain := push(e, false)
	if height(plain) > maxNesting {
		return nil, nil, &index.QueryError{
			Problem: fmt.Sprintf("AND and OR alternate more than %d levels deep, which the index server does not take", maxNesting), Remedy: "make the query simpler",
			ProblemZh: fmt.Sprintf("AND 与 OR 交替嵌套超过 %d 层，索引服务器不支持", maxNesting), RemedyZh: "请简化查询",
		}
	}
	return e, translate(plain), nil
}

// push moves NOT to the leaves and joins what it can, so that the query
// becomes as flat as possible.
func push(e index.Expr, not bool) index.Expr {
	var kids []index.Expr
	and := false
	switch e := e.(type) {
	case index.Not:
		return push(e.X, !not)
	case index.And:
		kids, and = e, true
	case index.Or:
		kids = e
	default:
		if not {
			return index.Not{X: e}
		}
		return e
	}
	and = and != not
	var out []index.Expr
	for _, k := range kids {
		switch k := push(k, not).(type) {
		case index.And:
			if and {
				out = append(out, k...)
				continue
			}
			out = append(out, k)
		case index.Or:
			if !and {
				out = append(out, k...)
				continue
			}
			out = append(out, k)
		default:
			out = append(out, k)
		}
	}
	if and {
		return index.And(out)
	}
	return index.Or(out)
}

func height(e index.Expr) int {
	var kids []index.Expr
	switch e := e.(type) {
	case index.And:
		kids = e
	case index.Or:
		kids = e
	default:
		return 1
	}
	highest := 0
	for _, k := range kids {
		highest = max(highest, height(k))
	}
	return highest + 1
}

func boolean(clause string, queries ...any) map[string]any {
	return map[string]any{"bool": map[string]any{clause: queries}}
}

func term(field string, value any) map[string]any {
	return map[string]any{"term": map[string]any{field: value}}
}

func exists(field string) map[string]any {
	return map[string]any{"exists": map[string]any{"field": field}}
}

func prefix(field, value string) map[string]any {
	return map[string]any{"prefix": map[string]any{field: value}}
}

func matchNone() map[string]any { return map[string]any{"match_none": map[string]any{}} }

func not(q any) map[string]any { return boolean("must_not", q) }

func translate(e index.Expr) map[string]any {
	switch e := e.(type) {
	case index.And:
		var filter, without []any
		for _, k := range e {
			if n, ok := k.(index.Not); ok {
				without = append(without, translate(n.X))
			} else {
				filter = append(filter, translate(k))
			}
		}
		b := map[string]any{}
		if filter != nil {
			b["filter"] = filter
		}
		if without != nil {
			b["must_not"] = without
		}
		return map[string]any{"bool": b}
	case index.Or:
		should := make([]any, len(e))
		for i, k := range e {
			should[i] = translate(k)
		}
		return boolean("should", should...)
	case index.Not:
		return not(translate(e.X))
	case index.Text:
		return text(e)
	case index.Equal:
		return equal(e)
	case index.NumberRange:
		return number(e)
	case index.TimeRange:
		return timeRange(e)
	}
	return map[string]any{"match_all": map[string]any{}}
}

// tokenFields are the fields of tokens by the field of a text term.
var tokenFields = map[string][]string{
	"":      {"qingyuan.tokens.title", "qingyuan.tokens.body", "qingyuan.tokens.ntitle", "qingyuan.tokens.nbody"},
	"title": {"qingyuan.tokens.title", "qingyuan.tokens.ntitle"},
	"text":  {"qingyuan.tokens.body", "qingyuan.tokens.nbody"},
}

// text looks for tokens that follow each other, the last of them perhaps only
// begun.
func text(t index.Text) map[string]any {
	tokens, begun := index.Phrase(t.Value)
	var should []any
	for _, f := range tokenFields[t.Field] {
		switch {
		case len(tokens) == 1 && begun:
			should = append(should, prefix(f, tokens[0]))
		case len(tokens) == 1:
			should = append(should, term(f, tokens[0]))
		case begun:
			// Without a bound of its own the server looks at 50 tokens only.
			should = append(should, map[string]any{"match_phrase_prefix": map[string]any{f: map[string]any{"query": strings.Join(tokens, " "), "max_expansions": 1_000_000}}})
		default:
			should = append(should, map[string]any{"match_phrase": map[string]any{f: strings.Join(tokens, " ")}})
		}
	}
	return boolean("should", should...)
}

// valueFields are the fields whose values are compared whole.
var valueFields = map[string]string{"source": "qingyuan.source", "source_type": "qingyuan.source_type", "kind": "qingyuan.kind",
	"stance": "qingyuan.stance", "severity": "qingyuan.severity", "status": "qingyuan.triage.status", "assignee": "qingyuan.triage.assignee",
	"reason": "qingyuan.triage.reason", "tag": "qingyuan.triage.tags", "id": "event.id", "category": "qingyuan.category",
	"evasion": "qingyuan.evasion", "author": "qingyuan.author", "region": "qingyuan.region", "campaign": "qingyuan.campaign.id", "near": "qingyuan.near",
	"contact": "qingyuan.contact", "url": "qingyuan.address"}

func equal(e index.Equal) map[string]any {
	switch {
	case e.Field == "flagged" && e.Value == "":
		return matchNone()
	case e.Field == "flagged":
		return term("qingyuan.flagged", e.Value == "true")
	case e.Field == "url" && e.Value != "":
		return address(e.Value)
	case e.Field == "id":
		return term("event.id", docID(e.Value))
	case slices.Contains(index.EntityTypes[:], e.Field):
		if e.Value == "" {
			return not(prefix("qingyuan.entity", e.Field+":"))
		}
		return term("qingyuan.entity", cut(e.Field+":"+e.Value))
	}
	field, ok := valueFields[e.Field]
	switch {
	case !ok:
		return matchNone()
	case e.Value == "":
		return not(exists(field))
	}
	return term(field, cut(e.Value))
}

// address finds addresses by their beginning, or by host when only that is given.
func address(value string) map[string]any {
	switch {
	case strings.Contains(value, "://"):
		return prefix("qingyuan.address", cut(value))
	case strings.ContainsAny(value, "/:"):
		return boolean("should", prefix("qingyuan.address", cut("http://"+value)), prefix("qingyuan.address", cut("https://"+value)))
	}
	return prefix("qingyuan.host", cut(reverseHost(value)))
}

func number(e index.NumberRange) map[string]any {
	bounds := map[string]any{}
	if !math.IsInf(e.Low, -1) {
		bounds[map[bool]string{true: "gt", false: "gte"}[e.ExcludeLow]] = e.Low
	}
	if !math.IsInf(e.High, 1) {
		bounds[map[bool]string{true: "lt", false: "lte"}[e.ExcludeHigh]] = e.High
	}
	return map[string]any{"range": map[string]any{"qingyuan.score": bounds}}
}

func timeRange(e index.TimeRange) map[string]any {
	field := map[string]string{"published": "published", "ingested": "ingested", "seen": "last_seen"}[e.Field]
	bounds := map[string]any{"gt": int64(unknownTime)}
	if !e.From.IsZero() {
		bounds = map[string]any{"gte": micros(e.From)}
	}
	if !e.To.IsZero() {
		bounds["lt"] = micros(e.To)
	}
	return map[string]any{"range": map[string]any{"qingyuan.micros." + field: bounds}}
}
