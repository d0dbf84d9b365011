package index

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Expr is a parsed query: one of All, And, Or, Not, Text, Equal, NumberRange
// and TimeRange. Its String parses to the same Expr.
type Expr interface {
	fmt.Stringer
	expr()
}

// All matches every record; it is what the empty query means.
type All struct{}

// And matches records that all its parts match. It has at least two parts,
// none of them an And.
type And []Expr

// Or matches records that one of its parts matches. It has at least two parts,
// none of them an Or.
type Or []Expr

// Not matches records that X does not match.
type Not struct{ X Expr }

// Text matches records whose published or normalised text contains Value, by
// the tokens of Phrase; stores look for its Normalized form as well. Field narrows it: "title", "text" (the body), or ""
// for both.
type Text struct{ Field, Value string }

// Equal matches records that have Value in Field; with an empty Value, records
// that have none. Value is in the form that FieldValue gives.
type Equal struct{ Field, Value string }

// NumberRange matches records whose number lies between Low and High; the
// bounds belong to it unless excluded, and are infinite when not given.
type NumberRange struct {
	Field                   string
	Low, High               float64
	ExcludeLow, ExcludeHigh bool
}

// TimeRange matches records whose time t has From ≤ t < To, both in UTC; a
// zero bound is open. A record without that time never matches.
type TimeRange struct {
	Field    string
	From, To time.Time
}

func (All) expr()         {}
func (And) expr()         {}
func (Or) expr()          {}
func (Not) expr()         {}
func (Text) expr()        {}
func (Equal) expr()       {}
func (NumberRange) expr() {}
func (TimeRange) expr()   {}

// String returns the empty query.
func (All) String() string { return "" }

// String joins the parts with AND.
func (e And) String() string { return joinExprs(e, " AND ") }

// String joins the parts with OR.
func (e Or) String() string { return joinExprs(e, " OR ") }

// String returns NOT and the part.
func (e Not) String() string { return "NOT " + inner(e.X) }

// String returns the text in quotes.
func (e Text) String() string {
	if e.Field == "" {
		return quote(e.Value)
	}
	return e.Field + ":" + quote(e.Value)
}

// String returns the field and its quoted value.
func (e Equal) String() string { return e.Field + ":" + quote(e.Value) }

// String returns the range in brackets; braces exclude the bound.
func (e NumberRange) String() string {
	open, end := "[", "]"
	if e.ExcludeLow {
		open = "{"
	}
	if e.ExcludeHigh {
		end = "}"
	}
	number := func(f float64) string {
		if math.IsInf(f, 0) {
			return "*"
		}
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return e.Field + ":" + open + number(e.Low) + " TO " + number(e.High) + end
}

// String returns the range with instants as bounds.
func (e TimeRange) String() string {
	instant := func(t time.Time) string {
		if t.IsZero() {
			return "*"
		}
		return t.Format(time.RFC3339Nano)
	}
	return e.Field + ":[" + instant(e.From) + " TO " + instant(e.To) + "}"
}

func joinExprs(kids []Expr, op string) string {
	parts := make([]string, len(kids))
	for i, k := range kids {
		parts[i] = inner(k)
	}
	return strings.Join(parts, op)
}

// inner puts parentheses around what would otherwise be read differently.
func inner(e Expr) string {
	switch e.(type) {
	case And, Or:
		return "(" + e.String() + ")"
	}
	return e.String()
}

func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

// Parse reads the query language. Dates are days in the location of now, and
// relative ones count back from it. Mistakes are a *QueryError.
//
//	停息挂账 代办            both texts
//	"加 微 信"               a phrase
//	flagged:true score>=0.8  fields
//	status:(new OR reviewing) -source:news
//	published:[2026-11-01 TO 2026-11-07]   ingested:7d   seen:today
//	wechat:abc123            a contact by type; contact:abc123 by any
func Parse(query string, now time.Time) (Expr, error) {
	if len(query) > MaxQueryBytes {
		return nil, queryError(0, both("the query is longer than %d bytes", "查询超过 %d 字节", MaxQueryBytes), both("shorten it or split it into several", "请缩短，或拆成几条查询"))
	}
	p := parser{in: []rune(strings.ToValidUTF8(query, "\uFFFD")), now: now}
	p.space()
	if p.end() {
		return All{}, nil
	}
	e, err := p.or("", 0)
	if err != nil {
		return nil, err
	}
	if !p.end() {
		// Only a closing parenthesis stops the outermost expression.
		return nil, p.fail(p.pos, both("this closing parenthesis has no opening one", "这个右括号没有对应的左括号"), both(`remove it, or put the text in "quotes"`, `请删去，或把文字放进英文双引号 "…"`))
	}
	return e, nil
}

// parser is a recursive-descent parser over runes.
type parser struct {
	in    []rune
	pos   int
	terms int
	now   time.Time
}

func (p *parser) end() bool { return p.pos >= len(p.in) }

// has reports whether the input goes on with s.
func (p *parser) has(s string) bool {
	i := p.pos
	for _, r := range s {
		if i >= len(p.in) || p.in[i] != r {
			return false
		}
		i++
	}
	return true
}

// hasWord reports whether the input goes on with the whole word s.
func (p *parser) hasWord(s string) bool {
	if !p.has(s) {
		return false
	}
	i := p.pos + len(s)
	return i == len(p.in) || isSpace(p.in[i]) || strings.ContainsRune(`()"`, p.in[i])
}

// isSpace includes the ideographic space that Chinese input methods type.
func isSpace(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\u3000' || r == '\u00a0'
}

func (p *parser) space() {
	for !p.end() && isSpace(p.in[p.pos]) {
		p.pos++
	}
}

// operator takes one of the words if it comes next.
func (p *parser) operator(word, sign string) bool {
	p.space()
	switch {
	case p.hasWord(word):
		p.pos += len(word)
	case p.has(sign):
		p.pos += len(sign)
	default:
		return false
	}
	return true
}

// or reads parts joined by OR; field is the one in force inside field:(...).
func (p *parser) or(field string, depth int) (Expr, error) {
	var kids []Expr
	for {
		e, err := p.and(field, depth)
		if err != nil {
			return nil, err
		}
		if o, ok := e.(Or); ok {
			kids = append(kids, o...)
		} else {
			kids = append(kids, e)
		}
		if !p.operator("OR", "||") {
			break
		}
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return Or(kids), nil
}

// and reads parts joined by AND or by nothing.
func (p *parser) and(field string, depth int) (Expr, error) {
	var kids []Expr
	for {
		e, err := p.not(field, depth)
		if err != nil {
			return nil, err
		}
		if a, ok := e.(And); ok {
			kids = append(kids, a...)
		} else {
			kids = append(kids, e)
		}
		if p.operator("AND", "&&") {
			continue
		}
		p.space()
		if p.end() || p.has(")") || p.hasWord("OR") || p.has("||") {
			break
		}
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return And(kids), nil
}

// not reads one part, negated or not.
func (p *parser) not(field string, depth int) (Expr, error) {
	p.space()
	if depth > MaxQueryDepth {
		return nil, p.fail(p.pos, both("parentheses and NOTs are nested deeper than %d", "括号和 NOT 嵌套超过 %d 层", MaxQueryDepth), both("make the query simpler", "请简化查询"))
	}
	negated := p.operator("NOT", "!")
	if !negated && p.has("-") && p.pos+1 < len(p.in) && !isSpace(p.in[p.pos+1]) {
		p.pos++
		negated = true
	}
	if !negated {
		return p.primary(field, depth)
	}
	e, err := p.not(field, depth+1)
	if err != nil {
		return nil, err
	}
	return Not{X: e}, nil
}

// primary reads a group, a quoted phrase, a field or a word.
func (p *parser) primary(field string, depth int) (Expr, error) {
	p.space()
	for _, op := range [...]string{"AND", "OR"} {
		if p.hasWord(op) {
			return nil, p.fail(p.pos, both("%s has nothing before it", "%s 前面没有内容", op), both(`write what it joins, or put the word in "quotes" to search for it`, `请写出它连接的内容；要搜索这个词本身，请放进英文双引号 "…"`))
		}
	}
	start := p.pos
	switch {
	case p.end():
		return nil, p.fail(p.pos, both("the query ends where something is expected", "查询在应有内容的地方结束了"), both("write a text or field:value, or remove the operator before it", "请写文字或 字段:值，或删去前面的运算符"))
	case p.has("&&"), p.has("||"):
		return nil, p.fail(p.pos, both("%s has nothing before it", "%s 前面没有内容", string(p.in[p.pos:p.pos+2])), both("write what it joins", "请写出它连接的内容"))
	case p.has(")"):
		return nil, p.fail(p.pos, both("nothing stands before this closing parenthesis", "这个右括号前面没有内容"), both("write something inside, or remove it", "请在括号里写内容，或删去括号"))
	case p.has("("):
		return p.group(field, depth)
	case p.has(`"`):
		s, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return p.value(start, field, s, true)
	}
	if name, op, ok := p.fieldName(); ok && field == "" {
		return p.fieldTerm(name, op, depth)
	}
	if field != "" {
		if e, ok, err := p.bracket(start, field); ok || err != nil {
			return e, err
		}
	}
	return p.value(start, field, p.word(), false)
}

// group reads a parenthesis.
func (p *parser) group(field string, depth int) (Expr, error) {
	start := p.pos
	p.pos++
	e, err := p.or(field, depth+1)
	if err != nil {
		return nil, err
	}
	p.space()
	if !p.has(")") {
		return nil, p.fail(start, both("this opening parenthesis is never closed", "这个左括号没有闭合"), both(`add ")", or put the text in "quotes"`, `请补上 ")"，或把文字放进英文双引号 "…"`))
	}
	p.pos++
	return e, nil
}

// quoted reads a quoted string with \" and \\ inside.
func (p *parser) quoted() (string, error) {
	start := p.pos
	var b strings.Builder
	for p.pos++; !p.end(); p.pos++ {
		switch r := p.in[p.pos]; {
		case r == '"':
			p.pos++
			return b.String(), nil
		case r == '\\' && p.pos+1 < len(p.in) && (p.in[p.pos+1] == '"' || p.in[p.pos+1] == '\\'):
			p.pos++
			b.WriteRune(p.in[p.pos])
		default:
			b.WriteRune(r)
		}
	}
	return "", p.fail(start, both("this quotation mark is never closed", "这个引号没有闭合"), both(`add "`, `请补上 "`))
}

// word reads up to white space, a parenthesis, a quotation mark or a double
// operator sign. It always takes at least one character.
func (p *parser) word() string {
	start := p.pos
	for ; !p.end(); p.pos++ {
		r := p.in[p.pos]
		if p.pos > start && (isSpace(r) || strings.ContainsRune(`()"`, r) || p.has("&&") || p.has("||")) {
			break
		}
	}
	return string(p.in[start:p.pos])
}

// fieldName takes "name:" or, for ranges, "name>=" and the like, and leaves
// the position after the colon or before the comparison.
func (p *parser) fieldName() (name, op string, ok bool) {
	i := p.pos
	for i < len(p.in) && (isASCIILetter(p.in[i]) || p.in[i] == '_') {
		i++
	}
	if i == p.pos || i == len(p.in) {
		return "", "", false
	}
	name = strings.ToLower(string(p.in[p.pos:i]))
	switch p.in[i] {
	case ':':
		// http://… is a text, not a field.
		if i+2 < len(p.in) && p.in[i+1] == '/' && p.in[i+2] == '/' {
			return "", "", false
		}
		p.pos = i + 1
		return name, ":", true
	case '<', '>':
		if f, known := fieldByName(name); known && (f.Kind == KindNumber || f.Kind == KindTime) {
			p.pos = i
			return name, "", true
		}
	}
	return "", "", false
}

func isASCIILetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// fieldTerm reads what follows "name:".
func (p *parser) fieldTerm(name, op string, depth int) (Expr, error) {
	start := p.pos - len(name) - len(op)
	if _, ok := fieldByName(name); !ok {
		return nil, p.fail(start, both("there is no field %q", "没有字段 %q", name), unknownFieldRemedy(name, p.peekWord(start)))
	}
	valueAt := p.pos
	if p.end() || isSpace(p.in[p.pos]) || p.has(")") {
		return nil, p.fail(p.pos, both("the field %s has no value", "字段 %s 没有值", name), both(`write it right after the colon, or %s:"" for records without one`, `请紧跟冒号写出值；要找没有该值的记录请写 %s:""`, name))
	}
	if p.has("(") {
		return p.group(name, depth)
	}
	if p.has(`"`) {
		s, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return p.value(valueAt, name, s, true)
	}
	if e, ok, err := p.bracket(valueAt, name); ok || err != nil {
		return e, err
	}
	return p.value(valueAt, name, p.word(), false)
}

// peekWord returns the word that starts at pos without taking it.
func (p *parser) peekWord(pos int) string {
	q := parser{in: p.in, pos: pos}
	return q.word()
}
