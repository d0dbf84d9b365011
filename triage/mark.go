package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"qingyuan/classify"
	"qingyuan/index"
)

// maxSpans is how many spans of one text are marked; more would be paint.
const maxSpans = 1000

// span is a stretch of a text to mark, in runes.
type span struct {
	start, end int
	class      string
	title      string  // shown on hover
	ref        int     // number of the reason, from 1; 0 has none
	weight     float64 // where spans overlap, the strongest gives the colour
}

// segment is a run of text with the same marks all over.
type segment struct {
	Pieces  []piece
	Class   string // empty: not marked
	Title   string
	Refs    string // numbers of the reasons that cover it, "1 4"
	Anchors []int  // reasons that begin here
}

// piece is plain text, or one character that must not act, by its name.
type piece struct {
	Text string
	Code string // such as U+202E; Text is empty then
}

// segments cuts runes[from:to] at the borders of spans. Spans may overlap, be
// empty, or lie outside; offsets come with the record and are not trusted.
func segments(runes []rune, from, to int, spans []span) []segment {
	from, to = max(0, from), min(to, len(runes))
	if from >= to {
		return nil
	}
	var inside []span
	for _, s := range spans {
		if s.start < 0 || s.end > len(runes) || s.start >= s.end || s.end <= from || s.start >= to {
			continue
		}
		s.start, s.end = max(s.start, from), min(s.end, to)
		if inside = append(inside, s); len(inside) == maxSpans {
			break
		}
	}
	slices.SortStableFunc(inside, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	cuts := []int{from, to}
	for _, s := range inside {
		cuts = append(cuts, s.start, s.end)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []segment
	var active []span
	next := 0
	for i := range len(cuts) - 1 {
		at := cuts[i]
		active = slices.DeleteFunc(active, func(s span) bool { return s.end <= at })
		var anchors []int
		for next < len(inside) && inside[next].start == at {
			if inside[next].ref > 0 {
				anchors = append(anchors, inside[next].ref)
			}
			active = append(active, inside[next])
			next++
		}
		seg := paint(active)
		seg.Anchors, seg.Pieces = anchors, pieces(runes[at:cuts[i+1]])
		out = append(out, seg)
	}
	return out
}

// paint gives a segment the colour of its strongest span, the border of an
// entity, and the names of all.
func paint(active []span) segment {
	var seg segment
	if len(active) == 0 {
		return seg
	}
	var classes, titles, refs []string
	best := -1
	for i, s := range active {
		if s.ref > 0 {
			refs = append(refs, strconv.Itoa(s.ref))
		}
		if s.title != "" && !slices.Contains(titles, s.title) && len(titles) < 5 {
			titles = append(titles, s.title)
		}
		if strings.HasPrefix(s.class, "ent") || s.class == "found" || s.class == wideClass {
			classes = append(classes, s.class)
		} else if best < 0 || s.weight > active[best].weight {
			best = i
		}
	}
	if best >= 0 {
		classes = append(classes, active[best].class)
	}
	slices.Sort(classes)
	seg.Class = strings.Join(slices.Compact(classes), " ")
	seg.Title, seg.Refs = strings.Join(titles, " · "), strings.Join(refs, " ")
	return seg
}

// pieces splits text at characters that would reorder or hide what is around
// them, so that they can be shown by their code.
func pieces(runes []rune) []piece {
	var out []piece
	start := 0
	for i, r := range runes {
		if !acts(r) || r == '\u200D' && (i == 0 || !unicode.IsLetter(runes[i-1])) {
			continue
		}
		if i > start {
			out = append(out, piece{Text: string(runes[start:i])})
		}
		out = append(out, piece{Code: fmt.Sprintf("U+%04X", r)})
		start = i + 1
	}
	if start < len(runes) {
		out = append(out, piece{Text: string(runes[start:])})
	}
	return out
}

// acts reports whether a character changes how others are shown: controls,
// direction marks and overrides, invisible joiners and tags.
func acts(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return false
	case unicode.IsControl(r), r == '\u00AD', r == '\u061C', r == '\u180E', r == '\uFEFF':
		return true
	}
	return r >= '\u200B' && r <= '\u200F' || r >= '\u202A' && r <= '\u202E' || r >= '\u2060' && r <= '\u206F' || r >= 0xE0000 && r <= 0xE007F
}

// plain returns a crawled line of text fit to stand among our own: characters
// that act are written as their code, line breaks as blanks.
func plain(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return acts(r) || r == '\n' || r == '\r' || r == '\t' }) {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case acts(r):
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// A rule that looked at a whole sentence is underlined, not painted, so that
// the words that count stand out.
const (
	wideRunes = 10
	wideClass = "k-wide"
)

// reasonNumbers counts the reasons that stand somewhere in the text, from 1;
// the others, such as the base, have 0.
func reasonNumbers(reasons []classify.Reason) []int {
	numbers := make([]int, len(reasons))
	n := 0
	for i, r := range reasons {
		if r.ID != "base" && r.End > r.Start {
			n++
			numbers[i] = n
		}
	}
	return numbers
}

// spans returns what to mark in a record's full text: reasons and entities.
func (s *Server) spans(v classify.Verdict, lang string) []span {
	var out []span
	numbers := reasonNumbers(v.Reasons)
	for i, r := range v.Reasons {
		if numbers[i] == 0 {
			continue
		}
		class := s.reasonClass(r)
		if r.Kind == classify.ReasonRule && r.End-r.Start > wideRunes {
			class = wideClass
		}
		out = append(out, span{start: r.Start, end: r.End, class: class, ref: numbers[i], weight: max(r.Weight, -r.Weight),
			title: fmt.Sprintf("%d %s %+.2f", numbers[i], s.reasonName(r, lang), r.Weight)})
	}
	for _, e := range v.Entities {
		class := "ent"
		if isContact(e) {
			class = "ent-contact"
		}
		title := label(lang, "entity", e.Type) + " " + plain(e.Value)
		out = append(out, span{start: e.Start, end: e.End, class: class, title: title})
	}
	return out
}

// reasonClass is the colour of a reason: its category's, or that of a cue.
func (s *Server) reasonClass(r classify.Reason) string {
	if r.Kind == classify.ReasonModel {
		return "k-model"
	}
	if n, ok := s.colors[r.Category]; ok {
		return "k-cat c" + strconv.Itoa(n)
	}
	if r.Weight < 0 {
		return "k-against"
	}
	return "k-cue"
}

// reasonName puts a reason's id into words where that is possible.
func (s *Server) reasonName(r classify.Reason, lang string) string {
	switch prefix, rest, _ := strings.Cut(r.ID, "."); {
	case r.ID == "base":
		return text(lang, "reason_id.base")
	case prefix == "ngram" && rest == "":
		return text(lang, "reason_id.ngram")
	case r.ID == "context":
		return text(lang, "reason_id.context")
	case prefix == "source" && rest != "":
		return text(lang, "reason_id.source") + " " + label(lang, "source_type", rest)
	case prefix == "contact" && rest != "":
		return text(lang, "reason_id.contact") + " " + label(lang, "entity", rest)
	case prefix == "evasion" && rest != "":
		return text(lang, "reason_id.evasion") + " " + label(lang, "evasion", rest)
	}
	if n, ok := s.names[r.ID]; ok {
		return n.In(lang)
	}
	return plain(r.ID)
}

// excerptRunes is how much of a text a row of the queue shows.
const excerptRunes = 120

// excerptBytes is how far into a text a row looks for something to show.
const excerptBytes = 32 << 10

// excerpt returns the title and a window of the body around what matters most:
// what was searched for, else the strongest reason.
func (s *Server) excerpt(rec index.Record, terms []string, lang string) (title, body []segment) {
	whole := rec.Post.FullText()
	full := []rune(whole[:min(len(whole), excerptBytes)])
	head := len([]rune(rec.Post.Title))
	spans := slices.DeleteFunc(s.spans(rec.Verdict, lang), func(s span) bool { return s.class == wideClass })
	center := -1
	for _, t := range terms {
		found := occurrences(full, t)
		for _, at := range found {
			spans = append(spans, span{start: at, end: at + len([]rune(t)), class: "found"})
			if center < 0 && at > head {
				center = at
			}
		}
	}
	if center < 0 {
		best := 0.0
		for _, r := range rec.Verdict.Reasons {
			if r.Start > head && r.End > r.Start && r.Weight > best {
				best, center = r.Weight, r.Start
			}
		}
	}
	start := head + 1
	if center-40 > start {
		start = center - 40
	}
	start = max(head+1, min(start, len(full)-excerptRunes))
	end := min(len(full), start+excerptRunes)
	body = segments(full, start, end, spans)
	if start > head+1 {
		body = append([]segment{{Pieces: []piece{{Text: "…"}}}}, body...)
	}
	if end < len(full) {
		body = append(body, segment{Pieces: []piece{{Text: "…"}}})
	}
	title = segments(full, 0, min(head, 160), spans)
	if len(title) == 0 {
		return body, nil
	}
	for i := range title {
		title[i].Anchors = nil
	}
	return title, body
}

// occurrences returns where term stands in text, in runes, without regard to
// case; at most 20 places.
func occurrences(text []rune, term string) []int {
	needle := []rune(strings.ToLower(term))
	var out []int
	if len(needle) == 0 || len(needle) > 200 {
		return nil
	}
	for i := 0; i+len(needle) <= len(text) && len(out) < 20; i++ {
		j := 0
		for j < len(needle) && unicode.ToLower(text[i+j]) == needle[j] {
			j++
		}
		if j == len(needle) {
			out = append(out, i)
			i += j - 1
		}
	}
	return out
}
