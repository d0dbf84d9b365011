package digest

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/mask"
)

// quoter takes pieces out of a crawled text that are fit to leave the system:
// contacts masked, addresses not clickable, one line, nothing unprintable.
type quoter struct {
	text     []rune
	body     int // where the text begins after the title
	first    int // of the strongest evidence in the body; body when there is none
	mask     bool
	entities []classify.Entity // contacts with sound places, in order, not overlapping
	values   []classify.Entity // all contacts
}

// maxPlace is the longest place of an entity that is believed, in runes.
const maxPlace = 300

func newQuoter(r index.Record, mask bool) *quoter {
	q := &quoter{text: classify.Text(r.Post), body: utf8.RuneCountInString(r.Post.Title) + 1, mask: mask}
	q.body = min(q.body, len(q.text))
	q.first = q.body
	for _, x := range r.Verdict.Reasons {
		if x.Weight > 0 && x.End > x.Start && x.Start >= q.body && x.Start < len(q.text) {
			q.first = x.Start
			break
		}
	}
	end := 0
	places := slices.Clone(r.Verdict.Entities)
	slices.SortStableFunc(places, func(x, y classify.Entity) int { return cmp.Compare(x.Start, y.Start) })
	for _, e := range places {
		if e.Official || !slices.Contains(index.ContactTypes[:], e.Type) {
			continue
		}
		q.values = append(q.values, e)
		if e.Start >= end && e.End > e.Start && e.End <= len(q.text) && e.End-e.Start <= maxPlace {
			q.entities = append(q.entities, e)
			end = e.End
		}
	}
	return q
}

// title returns the title, at most n characters of it.
func (q *quoter) title(n int) string { return q.stretch(0, max(0, q.body-1), n) }

// excerpt returns about n characters of the body around the first evidence.
func (q *quoter) excerpt(n int) string {
	from := q.body
	if q.first-q.body > n*2/3 {
		from = q.first - n/4
	}
	out := q.stretch(from, len(q.text), n-1)
	if from > q.body && out != "" {
		out = "…" + out
	}
	return out
}

// stretch returns at most n characters from a place on. It reads more than n,
// because white space and invisible characters go, but not the whole of a
// text that may be a megabyte long.
func (q *quoter) stretch(from, to, n int) string {
	limit := min(to, from+3*n)
	out := q.between(from, limit)
	if limit < to && utf8.RuneCountInString(out) < n {
		return out + "…"
	}
	return cut(out, n)
}

// piece returns the place of a reason, or its text when the place is not sound.
func (q *quoter) piece(start, end int, text string) string {
	if start >= 0 && end > start && end <= len(q.text) && string(q.text[start:end]) == text {
		return q.between(start, end)
	}
	return q.loose(text)
}

// between returns a stretch of the text; a contact that reaches into it is
// shown masked as a whole.
func (q *quoter) between(from, to int) string {
	if !q.mask {
		return defang(clean(string(q.text[from:to])))
	}
	var out strings.Builder
	for _, e := range q.entities {
		if e.End <= from || e.Start >= to {
			continue
		}
		if e.Start > from {
			out.WriteString(string(q.text[from:e.Start]))
		}
		out.WriteString(mask.Contact(e.Type, clean(e.Value)))
		from = e.End
	}
	if from < to {
		out.WriteString(string(q.text[from:to]))
	}
	return q.loose(out.String())
}

// maxLoose is how much of a name or a reason's text is looked at, in runes.
const maxLoose = 1000

// loose cleans a text that has no places, such as the author's name, and masks
// what is written in it as one of the post's contacts is, and long numbers.
func (q *quoter) loose(s string) string {
	s = clean(cut(s, maxLoose))
	if q.mask {
		for _, e := range q.values {
			for _, v := range [...]string{e.Raw, clean(e.Raw), e.Value} {
				if utf8.RuneCountInString(v) >= 4 {
					s = mask.ReplaceFold(s, v, mask.Contact(e.Type, clean(e.Value)))
				}
			}
		}
		s = mask.Numbers(s)
	}
	return defang(s)
}

// clean makes a crawled text one printable line: white space and line breaks
// become one blank; control, direction, invisible and private characters go,
// and so do marks piled on a character beyond the second.
func clean(s string) string {
	var out strings.Builder
	blank, marks := false, 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			blank = true
			continue
		case r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Variation_Selector) || r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x2800:
			continue
		case unicode.Is(unicode.M, r):
			if marks++; marks > 2 {
				continue
			}
		default:
			marks = 0
		}
		if blank && out.Len() > 0 {
			out.WriteByte(' ')
		}
		blank = false
		out.WriteRune(r)
	}
	return out.String()
}

// defang keeps mail programs from making links of addresses that a crawled
// text names: http becomes hxxp, and dots before letters get brackets.
func defang(s string) string {
	in := []rune(s)
	var out strings.Builder
	for i := 0; i < len(in); i++ {
		r := in[i]
		if i+4 < len(in) && strings.EqualFold(string(in[i:i+4]), "http") && (in[i+4] == ':' || i+5 < len(in) && in[i+5] == ':') {
			out.WriteString("hxxp")
			i += 3
			continue
		}
		if r == '.' && i > 0 && i+1 < len(in) && latin(in[i-1]) && latin(in[i+1]) && !(digit(in[i-1]) && digit(in[i+1])) {
			out.WriteString("[.]")
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

func latin(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || digit(r) }

func digit(r rune) bool { return '0' <= r && r <= '9' }

// label is a crawled or configured name, short enough for a column.
func label(s string) string { return cut(defang(clean(s)), 40) }

// cut shortens a text to n characters, the last of them then "…".
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:n-1]), " ") + "…"
}

func (b *builder) local(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.In(b.opts.Location)
}
