package index

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/classify"
)

// FieldKind says how a field's values are written and compared.
type FieldKind int

// The kinds of fields.
const (
	KindText    FieldKind = iota // tokens: title, text
	KindKeyword                  // the whole value
	KindEnum                     // one of a fixed list
	KindEntity                   // a normalised contact or other entity
	KindNumber                   // number or range
	KindTime                     // date, range, or age such as 7d
)

// Field is a field of the query language.
type Field struct {
	Name   string
	Kind   FieldKind
	Values []string // of KindEnum
	Help   string   // one line in Chinese for the help page
	HelpEn string   // the same in English
}

// EntityTypes lists the entity types that are fields of the query language;
// url is not among them, because url: asks for the post's address.
var EntityTypes = [...]string{"wechat", "qq", "qq_group", "phone", "telegram", "whatsapp", "email", "bank_card", "alipay",
	"weibo", "douyin", "xiaohongshu", "company", "amount", "percent"}

// ContactTypes lists the entity types that contact: looks in.
var ContactTypes = [...]string{"wechat", "qq", "qq_group", "phone", "telegram", "whatsapp", "email", "url", "bank_card", "alipay",
	"weibo", "douyin", "xiaohongshu"}

var fieldTable = buildFields()

// Fields returns the fields of the query language in the order to show them.
func Fields() []Field { return slices.Clone(fieldTable) }

func buildFields() []Field {
	var stances, severities, statuses []string
	for _, s := range classify.Stances {
		stances = append(stances, string(s))
	}
	for _, s := range [...]classify.Severity{classify.SeverityLow, classify.SeverityMedium, classify.SeverityHigh, classify.SeverityCritical} {
		severities = append(severities, string(s))
	}
	for _, s := range Statuses {
		statuses = append(statuses, string(s))
	}
	fields := []Field{
		{Name: "title", Kind: KindText, Help: "标题包含", HelpEn: "the title contains"},
		{Name: "text", Kind: KindText, Help: "正文包含", HelpEn: "the body contains"},
		{Name: "category", Kind: KindKeyword, Help: "类别，如 debt_relief_scam", HelpEn: "category, such as debt_relief_scam"},
		{Name: "flagged", Kind: KindEnum, Values: []string{"true", "false"}, Help: "是否命中", HelpEn: "whether it was flagged"},
		{Name: "score", Kind: KindNumber, Help: "分数 0 到 1，如 score>=0.8", HelpEn: "score from 0 to 1, as in score>=0.8"},
		{Name: "severity", Kind: KindEnum, Values: severities, Help: "严重程度", HelpEn: "severity"},
		{Name: "stance", Kind: KindEnum, Values: stances, Help: "立场", HelpEn: "stance"},
		{Name: "status", Kind: KindEnum, Values: statuses, Help: "研判状态", HelpEn: "where it stands in triage"},
		{Name: "assignee", Kind: KindKeyword, Help: `负责人；assignee:"" 为未分配`, HelpEn: `assignee; assignee:"" for nobody`},
		{Name: "tag", Kind: KindKeyword, Help: "标签", HelpEn: "tag"},
		{Name: "reason", Kind: KindKeyword, Help: "排除原因", HelpEn: "why it was dismissed"},
		{Name: "source", Kind: KindKeyword, Help: "来源站点", HelpEn: "source site"},
		{Name: "source_type", Kind: KindKeyword, Help: "来源类型，如 forum", HelpEn: "type of source, such as forum"},
		{Name: "kind", Kind: KindEnum, Values: []string{"post", "comment", "ad", "article"}, Help: "帖子种类", HelpEn: "kind of post"},
		{Name: "evasion", Kind: KindKeyword, Help: "规避手法，如 homophone", HelpEn: "way of evasion, such as homophone"},
		{Name: "author", Kind: KindKeyword, Help: "作者名或账号", HelpEn: "author's name or account"},
		{Name: "contact", Kind: KindEntity, Help: "任一联系方式（归一后的值）", HelpEn: "any contact (normalised value)"},
		{Name: "region", Kind: KindKeyword, Help: "地区", HelpEn: "region"},
		{Name: "published", Kind: KindTime, Help: "发布时间，如 2026-11-01、today、7d", HelpEn: "time of publishing, such as 2026-11-01, today, 7d"},
		{Name: "ingested", Kind: KindTime, Help: "入库时间", HelpEn: "when it last had something new to judge"},
		{Name: "seen", Kind: KindTime, Help: "最后见到的时间", HelpEn: "when it was last seen"},
		{Name: "url", Kind: KindKeyword, Help: "网址开头，或域名（含子域名）", HelpEn: "beginning of the address, or a domain with those below it"},
		{Name: "campaign", Kind: KindKeyword, Help: "同类帖组", HelpEn: "group of like posts"},
		{Name: "near", Kind: KindKeyword, Help: "近似指纹（见 campaign.Sketch），用来找相近的帖子", HelpEn: "a key by which near-identical posts are found"},
		{Name: "id", Kind: KindKeyword, Help: "记录编号", HelpEn: "record id"},
	}
	for _, t := range EntityTypes {
		fields = append(fields, Field{Name: t, Kind: KindEntity, Help: "实体 " + t, HelpEn: "entity " + t})
	}
	return fields
}

func fieldByName(name string) (Field, bool) {
	for _, f := range fieldTable {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// FieldValue brings a value of a keyword, enum or entity field into the form
// in which values are compared; stores apply it to what they keep as well.
// Authors and entities are folded, numbers of entities freed of blanks and
// hyphens, the ids of fixed lists lower-cased, all else stays as it is.
func FieldValue(field, value string) string {
	f, ok := fieldByName(field)
	if !ok && field != "host" {
		return value
	}
	switch {
	case f.Kind == KindEntity:
		return entityValue(value)
	case field == "author":
		return strings.TrimSpace(Fold(value))
	case f.Kind == KindEnum, field == "category", field == "evasion", field == "source_type", field == "host":
		return strings.ToLower(value)
	}
	return value
}

func entityValue(value string) string {
	v := strings.TrimSpace(Fold(value))
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -()", r) {
			return -1
		}
		return r
	}, v)
	for i, r := range digits {
		if (r < '0' || r > '9') && (r != '+' || i > 0) {
			return v
		}
	}
	if number := strings.TrimPrefix(digits, "+86"); number != "" {
		return number
	}
	return v
}

// unknownFieldRemedy suggests a near field, or quotes for what was meant as text.
func unknownFieldRemedy(name, whole string) wording {
	best, bestDistance := "", 3
	for _, f := range fieldTable {
		if d := distance(name, f.Name); d < bestDistance && d < len(name) {
			best, bestDistance = f.Name, d
		}
	}
	asText := quote(whole)
	if best != "" {
		return both("did you mean %s? to search for the text, write %s", "是否想写 %s？要搜索文字本身请写 %s", best, asText)
	}
	return both("to search for the text, write %s", "要搜索文字本身请写 %s", asText)
}

// distance is the Levenshtein distance of two short ASCII names.
func distance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// value makes the expression for one value of a field, or for free text;
// literal says that it stood in quotation marks.
func (p *parser) value(pos int, field, value string, literal bool) (Expr, error) {
	if p.terms++; p.terms > MaxQueryTerms {
		return nil, p.fail(pos, both("the query has more than %d terms", "查询超过 %d 个条件", MaxQueryTerms), both("split it into several", "请拆成几条查询"))
	}
	f, _ := fieldByName(field) // the zero Field is free text
	switch f.Kind {
	case KindText:
		if tokens, _ := Phrase(value); len(tokens) == 0 {
			return nil, p.fail(pos, both("%q has no character, letter, digit or symbol to look for", "%q 中没有可搜索的汉字、字母、数字或符号", value), both("write what the text contains; there are no wildcards", "请写文中出现的内容；不支持通配符"))
		}
		return Text{Field: field, Value: value}, nil
	case KindNumber:
		return p.number(pos, field, value)
	case KindTime:
		from, to, err := p.when(pos, field, value)
		if err != nil {
			return nil, err
		}
		return TimeRange{Field: field, From: from, To: to}, nil
	}
	v := FieldValue(field, value)
	if !literal && Fold(value) == "*" {
		return nil, p.fail(pos, both("there are no wildcards", "不支持通配符"), both(`for records that have a value write NOT %s:""; for the sign itself %[1]s:"*"`, `要找有该值的记录请写 NOT %s:""；要找星号本身请写 %[1]s:"*"`, field))
	}
	if v == "" && value != "" {
		// Invisible characters; the empty value would mean something else.
		return nil, p.fail(pos, both("%q holds nothing to compare %s with", "%q 中没有可与 %s 比较的内容", value, field),
			both(`write a value, or %s:"" for records without one`, `请写一个值；要找没有该值的记录请写 %s:""`, field))
	}
	if f.Kind == KindEnum && !slices.Contains(f.Values, v) && v != "" {
		return nil, p.fail(pos, both("%s has no value %q", "%s 没有取值 %q", field, value), both("write one of %s", "可写 %s", strings.Join(f.Values, ", ")))
	}
	return Equal{Field: field, Value: v}, nil
}

func (p *parser) number(pos int, field, value string) (Expr, error) {
	n, err := p.parseNumber(pos, field, value)
	if err != nil {
		return nil, err
	}
	return NumberRange{Field: field, Low: n, High: n}, nil
}

func (p *parser) parseNumber(pos int, field, value string) (float64, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, p.fail(pos, both("%s needs a number, not %q", "%s 需要数字，而不是 %q", field, value), both("write for example %s>=0.8", "例如 %s>=0.8", field))
	}
	return n, nil
}

// bracket reads a range, [a TO b] or a comparison, if one comes next.
func (p *parser) bracket(pos int, field string) (Expr, bool, error) {
	f, _ := fieldByName(field)
	if f.Kind != KindNumber && f.Kind != KindTime {
		return nil, false, nil
	}
	for _, op := range [...]string{">=", "<=", ">", "<"} {
		if !p.has(op) {
			continue
		}
		p.pos += len(op)
		if p.end() || isSpace(p.in[p.pos]) || p.has(")") {
			return nil, true, p.fail(p.pos, both("%s has no value", "%s 后面没有值", field+op), both("write it right after the sign", "请紧跟符号写出值"))
		}
		v, err := p.bound()
		if err != nil {
			return nil, true, err
		}
		b := bounds{low: "*", high: "*"}
		if op[0] == '>' {
			b.low, b.excludeLow = v, op == ">"
		} else {
			b.high, b.excludeHigh = v, op == "<"
		}
		e, err := p.rangeOf(pos, f, b)
		return e, true, err
	}
	if !p.has("[") && !p.has("{") {
		return nil, false, nil
	}
	b := bounds{excludeLow: p.has("{")}
	p.pos++
	var err error
	if b.low, err = p.bound(); err != nil {
		return nil, true, err
	}
	p.space()
	if !p.hasWord("TO") {
		return nil, true, p.fail(p.pos, both("a range needs TO between its two values", "范围的两个值之间需要 TO"), both("write %s:[a TO b]; * is an open end", "请写 %s:[a TO b]；* 表示不限", field))
	}
	p.pos += len("TO")
	if b.high, err = p.bound(); err != nil {
		return nil, true, err
	}
	p.space()
	if !p.has("]") && !p.has("}") {
		return nil, true, p.fail(pos, both("this range is never closed", "这个范围没有闭合"), both("write %s:[a TO b]", "请写 %s:[a TO b]", field))
	}
	b.excludeHigh = p.has("}")
	p.pos++
	e, err := p.rangeOf(pos, f, b)
	return e, true, err
}

// bounds are the ends of a range as written; "*" is open.
type bounds struct {
	low, high               string
	excludeLow, excludeHigh bool
}

// bound reads one value of a range.
func (p *parser) bound() (string, error) {
	p.space()
	if p.has(`"`) {
		return p.quoted()
	}
	start := p.pos
	for !p.end() && !isSpace(p.in[p.pos]) && !strings.ContainsRune(`[]{}()"`, p.in[p.pos]) {
		p.pos++
	}
	return string(p.in[start:p.pos]), nil
}

func (p *parser) rangeOf(pos int, f Field, b bounds) (Expr, error) {
	if p.terms++; p.terms > MaxQueryTerms {
		return nil, p.fail(pos, both("the query has more than %d terms", "查询超过 %d 个条件", MaxQueryTerms), both("split it into several", "请拆成几条查询"))
	}
	if f.Kind == KindTime {
		return p.timeRange(pos, f.Name, b)
	}
	r := NumberRange{Field: f.Name, Low: math.Inf(-1), High: math.Inf(1), ExcludeLow: b.excludeLow, ExcludeHigh: b.excludeHigh}
	var err error
	if b.low != "*" {
		if r.Low, err = p.parseNumber(pos, f.Name, b.low); err != nil {
			return nil, err
		}
	}
	if b.high != "*" {
		if r.High, err = p.parseNumber(pos, f.Name, b.high); err != nil {
			return nil, err
		}
	}
	if r.Low > r.High || r.Low == r.High && (b.excludeLow || b.excludeHigh) {
		return nil, p.fail(pos, both("the range holds nothing: it ends before it begins", "范围为空：结束早于开始"), both("swap the two values", "请交换两个值"))
	}
	return r, nil
}

func (p *parser) timeRange(pos int, field string, b bounds) (Expr, error) {
	r := TimeRange{Field: field}
	if b.low != "*" {
		start, end, err := p.instantOrDay(pos, field, b.low)
		if err != nil {
			return nil, err
		}
		r.From = start
		if b.excludeLow {
			r.From = end
		}
	}
	if b.high != "*" {
		start, end, err := p.instantOrDay(pos, field, b.high)
		if err != nil {
			return nil, err
		}
		r.To = end
		if b.excludeHigh {
			r.To = start
		}
	}
	if !r.From.IsZero() && !r.To.IsZero() && !r.To.After(r.From) {
		return nil, p.fail(pos, both("the range holds nothing: it ends before it begins", "范围为空：结束早于开始"), both("swap the two values", "请交换两个值"))
	}
	return r, nil
}

// when reads a date standing alone: a day, month or year is all of it, an age
// such as 7d means since then.
func (p *parser) when(pos int, field, value string) (from, to time.Time, err error) {
	if t, ok := p.ago(value); ok {
		return t, time.Time{}, nil
	}
	return p.instantOrDay(pos, field, value)
}

// instantOrDay reads a date as the half-open interval it names.
func (p *parser) instantOrDay(pos int, field, value string) (from, to time.Time, err error) {
	if t, ok := p.ago(value); ok {
		return t, t.Add(time.Microsecond), nil
	}
	loc := p.now.Location()
	year, month, day := p.now.Date()
	switch strings.ToLower(value) {
	case "now":
		t := exact(p.now)
		return t, t.Add(time.Microsecond), nil
	case "today":
		return exact(time.Date(year, month, day, 0, 0, 0, 0, loc)), exact(time.Date(year, month, day+1, 0, 0, 0, 0, loc)), nil
	case "yesterday":
		return exact(time.Date(year, month, day-1, 0, 0, 0, 0, loc)), exact(time.Date(year, month, day, 0, 0, 0, 0, loc)), nil
	}
	for _, l := range [...]struct {
		layout              string
		years, months, days int
	}{{"2006-01-02", 0, 0, 1}, {"2006-1-2", 0, 0, 1}, {"2006-01", 0, 1, 0}, {"2006", 1, 0, 0}} {
		if t, err := time.ParseInLocation(l.layout, value, loc); err == nil && t.Year() > 1 && t.Year() < 9999 {
			return exact(t), exact(t.AddDate(l.years, l.months, l.days)), nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, value); err == nil && t.Year() > 0 && t.Year() < 9999 {
		t = exact(t)
		return t, t.Add(time.Microsecond), nil
	}
	return from, to, p.fail(pos, both("%s needs a date, not %q", "%s 需要日期，而不是 %q", field, value),
		both("write 2026-11-01, 2026-11, today, yesterday, an age such as 7d or 12h, or 2026-11-01T08:00:00+08:00",
			"可写 2026-11-01、2026-11、today（今天）、yesterday（昨天）、7d 或 12h（多久以来），或 2026-11-01T08:00:00+08:00"))
}

// exact is t as stores keep times.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// ago reads an age: 30m, 12h, 7d, 2w.
func (p *parser) ago(value string) (time.Time, bool) {
	if len(value) < 2 || len(value) > 6 {
		return time.Time{}, false
	}
	n, err := strconv.ParseUint(value[:len(value)-1], 10, 16)
	if err != nil {
		return time.Time{}, false
	}
	unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[value[len(value)-1]]
	if unit == 0 {
		return time.Time{}, false
	}
	return exact(p.now.Add(-time.Duration(n) * unit)), true
}
