package digest

import (
	"cmp"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columns is the width of the plain text, in columns of a terminal: a Chinese
// character takes two.
const columns = 78

// Text writes the digest as plain text of 78 columns, aligned for fonts in
// which a Chinese character is two columns wide. Its errors are w's.
func (d Digest) Text(w io.Writer) error {
	v, err := d.view()
	if err != nil {
		return err
	}
	t := &textPage{view: v}
	t.head()
	if v.Totals.Hits.Count > 0 {
		t.hits()
		t.contacts("h.new", v.NewContacts)
		t.contacts("h.top", v.TopContacts)
		t.groups()
	}
	t.sites()
	t.heading("h.notes", "")
	for _, n := range v.Notes() {
		t.wrap("- ", "  ", n)
	}
	_, err = io.WriteString(w, t.out.String())
	return err
}

type textPage struct {
	view
	out strings.Builder
}

// line writes one line; whatever is in it, it stays one.
func (t *textPage) line(s string) {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, s)
	t.out.WriteString(strings.TrimRight(s, " ") + "\n")
}

func (t *textPage) heading(key, remark string) {
	if remark != "" {
		remark = "  (" + remark + ")"
	}
	t.line("")
	t.line("## " + t.T(key) + remark)
}

func (t *textPage) head() {
	t.line(t.Title() + " " + t.When())
	t.line(t.Window())
	for _, s := range [...]string{t.Scope(), t.Partial()} {
		if s != "" {
			t.wrap("", "", s)
		}
	}
	t.line(strings.Repeat("=", columns))
	if e := t.Empty(); e != "" {
		t.wrap("", "", e)
		t.line("")
	}
	for _, x := range [...]struct {
		key string
		c   Change
	}{{"posts", t.Totals.Posts}, {"hits", t.Totals.Hits}, {"severe", t.Totals.Severe}, {"dismissed", t.Totals.Dismissed}} {
		t.line(pad(t.T(x.key), 16) + left(number(x.c.Count), 10) + left(t.Diff(x.c), 10) + "   " + t.Before(x.c.Before))
	}
	t.line(pad(t.T("new"), 16) + left(number(t.Totals.NewContacts), 10) + left("", 10) + "   " + t.F("contacts", t.Totals.Contacts))
	t.counts("h.category", t.ByCategory, true)
	if t.Totals.Hits.Count > 0 {
		t.counts("h.severity", t.BySeverity, false)
		t.counts("h.status", t.ByStatus, false)
	}
	if t.Totals.Posts.Count > 0 {
		t.counts("h.stance", t.ByStance, false)
	}
}

// counts writes a list of counts: with bars a line each, else all in one.
func (t *textPage) counts(key string, all []Count, bars bool) {
	if len(all) == 0 {
		return
	}
	if !bars {
		parts := make([]string, len(all))
		for i, c := range all {
			parts[i] = c.Name + " " + number(c.Count)
		}
		t.wrap(pad(t.T(key), 16)+"  ", strings.Repeat(" ", 18), strings.Join(parts, "  "))
		return
	}
	t.heading(key, "")
	for _, c := range all {
		t.line(pad(trim(c.Name, 32), 32) + left(number(c.Count), 9) + left(t.Diff(c.Change), 9) + "  " + strings.Repeat("#", (t.Percent(c, all)+3)*26/103))
	}
	t.line("")
}

func (t *textPage) hits() {
	t.heading("h.hits", t.HitsCap())
	if o := t.Ongoing(); o != "" {
		t.wrap("", "", o)
	}
	for i, h := range t.Hits.Items {
		t.line("")
		t.wrap(left(number(i+1), 3)+". ", "     ", "["+t.Named("severity", h.Severity)+"] "+cmp.Or(h.Title, h.Excerpt, t.T("untitled")))
		if h.Title != "" && h.Excerpt != "" {
			t.wrap("     ", "     ", h.Excerpt)
		}
		t.wrap("     "+t.T("reason")+t.T("colon"), "     ", h.Reason)
		t.wrap("     ", "     ", strings.Join(append(t.Where(h), t.Marks(h)...), " | "))
		if link := t.Link(h.ID); link != "" {
			t.line("     " + link)
		}
	}
}

func (t *textPage) contacts(key string, l List[Contact]) {
	if l.Total == 0 {
		return
	}
	t.heading(key, t.Cap(len(l.Items), l.Total))
	t.line(pad("", 12) + pad(t.T("col.contact"), 34) + left(t.T("col.hits"), 8) + left(t.T("col.sites"), 8) + left(t.T("col.before"), 14))
	for _, c := range l.Items {
		t.line(pad(t.Named("contact", c.Type), 12) + pad(trim(c.Value, 33), 34) + left(number(c.Hits), 8) + left(number(c.Sites), 8) + left(t.Earlier(c), 14))
	}
}

func (t *textPage) groups() {
	if t.Groups.Total == 0 {
		return
	}
	t.heading("h.groups", t.Cap(len(t.Groups.Items), t.Groups.Total))
	t.line(left(t.T("col.size"), 6) + left(t.T("col.sites"), 7) + "  " + t.T("col.group"))
	for _, g := range t.Groups.Items {
		t.line(left(number(g.Size), 6) + left(number(g.Sites), 7) + "  " + trim(g.Label, columns-15))
		remark := t.Named("by", g.By)
		for i, c := range g.Contacts {
			remark += t.T([...]string{"colon", "comma", "comma"}[min(i, 2)]) + t.Named("contact", c.Type) + " " + c.Value
		}
		t.line(strings.Repeat(" ", 15) + trim(remark, columns-15))
	}
}

func (t *textPage) sites() {
	if t.Sites.Total == 0 {
		return
	}
	t.heading("h.sites", t.Cap(len(t.Sites.Items), t.Sites.Total))
	t.line(pad(t.T("col.site"), 34) + left(t.T("col.posts"), 10) + left("", 10) + left(t.T("col.hits"), 10) + left("", 10))
	for _, s := range t.Sites.Items {
		row := pad(trim(s.Name, 33), 34) + left(number(s.Posts.Count), 10) + left(t.Diff(s.Posts), 10)
		if t.Silent(s) {
			t.line(row + "   " + t.T("silent"))
			continue
		}
		t.line(row + left(number(s.Hits.Count), 10) + left(t.Diff(s.Hits), 10))
	}
}

// wrap writes a text with a first and a following indent, broken between words
// or Chinese characters.
func (t *textPage) wrap(first, next, s string) {
	line, used := first, textWidth(first)
	for _, word := range words(s) {
		n := textWidth(word)
		if used+textWidth(strings.TrimRight(word, " ")) > columns && line != next {
			t.line(line)
			line, used = next, textWidth(next)
		}
		line, used = line+word, used+n
	}
	t.line(line)
}

// noBreakBefore are signs that do not begin a line.
const noBreakBefore = "，。；：、！？）》”’…,.;:!?)"

// words splits a text where a line may break: after blanks, and on both sides
// of wide characters. Overlong words are split.
func words(s string) []string {
	var out []string
	var word []rune
	closing := 0 // signs kept on a line; a text of nothing else is broken all the same
	flush := func() {
		if len(word) > 0 {
			out = append(out, string(word))
			word = nil
		}
	}
	for _, r := range s {
		switch {
		case r == ' ':
			word = append(word, r)
			flush()
			continue
		case strings.ContainsRune(noBreakBefore, r) && len(word) == 0 && len(out) > 0 && closing < 3:
			out[len(out)-1] += string(r)
			closing++
			continue
		case runeWidth(r) == 2 || len(word) >= 40:
			flush()
		}
		word, closing = append(word, r), 0
		if runeWidth(r) == 2 {
			flush()
		}
	}
	flush()
	return out
}

// runeWidth is how many columns a character takes.
func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// pad fills s with blanks on its right up to n columns.
func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-textWidth(s))) }

// left fills s with blanks on its left up to n columns.
func left(s string, n int) string { return strings.Repeat(" ", max(0, n-textWidth(s))) + s }

// trim cuts s to n columns.
func trim(s string, n int) string {
	if textWidth(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used+runeWidth(r) > n-1 {
			return s[:i] + "…"
		}
		used += runeWidth(r)
	}
	return s
}
