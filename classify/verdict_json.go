package classify

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the verdict as encoding/json writes it with HTML escaping
// switched off, several times as fast. Like there, bytes that are no UTF-8
// become U+FFFD, and a number that is infinite or no number is an error.
func (v *Verdict) AppendJSON(dst []byte) ([]byte, error) {
	dst, err := v.AppendJSONFields(append(dst, '{'))
	return append(dst, '}'), err
}

// AppendJSONFields is AppendJSON without the braces, for a line that holds more
// than the verdict.
func (v *Verdict) AppendJSONFields(dst []byte) ([]byte, error) {
	j := jsonWriter{out: dst}
	j.raw(`"flagged":`)
	j.bool(v.Flagged)
	j.raw(`,"score":`)
	j.float(v.Score)
	j.optional(`,"severity":`, string(v.Severity))
	j.text(`,"stance":`, string(v.Stance))
	j.stances(v.StanceScores)
	j.categories(v.Categories)
	j.entities(v.Entities)
	j.reasons(v.Reasons)
	j.evasions(v.Evasion)
	j.text(`,"dictionary":`, v.Dictionary)
	j.text(`,"model":`, v.Model)
	return j.out, j.err
}

// jsonWriter appends JSON and keeps the first error.
type jsonWriter struct {
	out []byte
	err error
}

func (j *jsonWriter) raw(s string) { j.out = append(j.out, s...) }

func (j *jsonWriter) bool(b bool) { j.out = strconv.AppendBool(j.out, b) }

func (j *jsonWriter) text(key, s string) {
	j.out = AppendJSONString(append(j.out, key...), s)
}

func (j *jsonWriter) optional(key, s string) {
	if s != "" {
		j.text(key, s)
	}
}

func (j *jsonWriter) int(key string, n int) {
	j.out = strconv.AppendInt(append(j.out, key...), int64(n), 10)
}

// float writes as encoding/json does: plainly, or with a short exponent.
func (j *jsonWriter) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		if j.err == nil {
			j.err = fmt.Errorf("writing a verdict: %v is no number in JSON", f)
		}
		j.raw("null")
		return
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	j.out = strconv.AppendFloat(j.out, f, format, -1, 64)
	if n := len(j.out); format == 'e' && j.out[n-4] == 'e' && j.out[n-3] == '-' && j.out[n-2] == '0' {
		j.out = append(j.out[:n-2], j.out[n-1]) // e-09 → e-9
	}
}

// stancesByName lists the stances in the order of their names, as the keys of
// an object stand.
var stancesByName = [...]struct {
	stance Stance
	key    string
}{{StanceLegal, `"legal":`}, {StanceOffer, `"offer":`}, {StanceOther, `"other":`}, {StanceQuestion, `"question":`}, {StanceReport, `"report":`}, {StanceWarning, `"warning":`}}

func (j *jsonWriter) stances(scores map[Stance]float64) {
	j.raw(`,"stance_scores":`)
	if scores == nil {
		j.raw("null")
		return
	}
	j.raw("{")
	written := 0
	for i := range stancesByName {
		s := &stancesByName[i]
		score, ok := scores[s.stance]
		if !ok {
			continue
		}
		j.next(written)
		written++
		j.raw(s.key)
		j.float(score)
	}
	if written != len(scores) && j.err == nil {
		j.err = fmt.Errorf("writing a verdict: a stance is none of %v", Stances)
	}
	j.raw("}")
}

// next writes the comma before the element at i.
func (j *jsonWriter) next(i int) {
	if i > 0 {
		j.out = append(j.out, ',')
	}
}

// list begins a list; it reports false when there is none.
func (j *jsonWriter) list(key string, missing bool) bool {
	j.raw(key)
	if missing {
		j.raw("null")
	} else {
		j.raw("[")
	}
	return !missing
}

func (j *jsonWriter) categories(list []CategoryScore) {
	if !j.list(`,"categories":`, list == nil) {
		return
	}
	for i := range list {
		j.next(i)
		j.text(`{"id":`, list[i].ID)
		j.raw(`,"score":`)
		j.float(list[i].Score)
		j.raw("}")
	}
	j.raw("]")
}

func (j *jsonWriter) entities(list []Entity) {
	if !j.list(`,"entities":`, list == nil) {
		return
	}
	for i := range list {
		e := &list[i]
		j.next(i)
		j.text(`{"type":`, e.Type)
		j.text(`,"value":`, e.Value)
		j.text(`,"raw":`, e.Raw)
		j.int(`,"start":`, e.Start)
		j.int(`,"end":`, e.End)
		if e.Official {
			j.raw(`,"official":true`)
		}
		j.raw("}")
	}
	j.raw("]")
}

func (j *jsonWriter) reasons(list []Reason) {
	if !j.list(`,"reasons":`, list == nil) {
		return
	}
	for i := range list {
		r := &list[i]
		j.next(i)
		j.text(`{"kind":`, string(r.Kind))
		j.text(`,"id":`, r.ID)
		j.optional(`,"category":`, r.Category)
		j.optional(`,"text":`, r.Text)
		j.int(`,"start":`, r.Start)
		j.int(`,"end":`, r.End)
		j.raw(`,"weight":`)
		j.float(r.Weight)
		j.raw("}")
	}
	j.raw("]")
}

func (j *jsonWriter) evasions(list []Evasion) {
	if !j.list(`,"evasion":`, list == nil) {
		return
	}
	for i, e := range list {
		j.next(i)
		j.text("", string(e))
	}
	j.raw("]")
}

// AppendJSONString appends s in quotes as encoding/json does with HTML escaping
// switched off.
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0 // what stands before is written
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		if c > 0xe2 && c < 0xf0 && c != 0xed && i+2 < len(s) && s[i+1]&0xc0 == 0x80 && s[i+2]&0xc0 == 0x80 {
			i += 3 // most ideographs
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[from:i]...), `\ufffd`...)
			from = i + size
		case r == '\u2028' || r == '\u2029': // ends a line in JavaScript
			dst = append(append(dst, s[from:i]...), `\u202`...)
			dst = append(dst, hex[r&15])
			from = i + size
		}
		i += size
	}
	return append(append(dst, s[from:]...), '"')
}
