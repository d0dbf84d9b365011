package digest

import (
	"fmt"
	"strconv"
	"time"
)

// view is a Digest with the words of its language, for the two renderers.
type view struct {
	Digest
	words map[string]string
}

func (d Digest) view() (view, error) {
	w := labels[d.Language]
	if w == nil {
		return view{}, fmt.Errorf("digest: language %q is not zh or en", d.Language)
	}
	return view{d, w}, nil
}

// T returns the word for a key; F fills numbers or texts into it.
func (v view) T(key string) string { return v.words[key] }

// F fills args into the words for a key.
func (v view) F(key string, args ...any) string { return fmt.Sprintf(v.words[key], args...) }

// Named returns the word for a value of a field, or the value itself.
func (v view) Named(field string, value any) string {
	if w, ok := v.words[field+"."+fmt.Sprint(value)]; ok {
		return w
	}
	return label(fmt.Sprint(value))
}

// Date and Weekday are those of the day.
func (v view) Date() string { return v.From.Format(time.DateOnly) }

// Weekday is the day's name.
func (v view) Weekday() string { return v.words["weekday."+strconv.Itoa(int(v.From.Weekday()))] }

// day reports whether the digest is of one calendar day.
func (v view) day() bool {
	y, m, d := v.From.Date()
	return v.From.Equal(time.Date(y, m, d, 0, 0, 0, 0, v.From.Location())) && v.To.Equal(time.Date(y, m, d+1, 0, 0, 0, 0, v.From.Location()))
}

// Title is what the digest calls itself.
func (v view) Title() string {
	if v.day() {
		return v.T("title")
	}
	return v.T("title.period")
}

// When is the day, or the period.
func (v view) When() string {
	if v.day() {
		return v.Date() + " " + v.Weekday()
	}
	return v.F("period", v.From.Format("01-02 15:04"), v.To.Format("01-02 15:04"))
}

// Heading is the digest's title with the day or period.
func (v view) Heading() string {
	if v.day() {
		return v.T("title") + " " + v.Date()
	}
	return v.Title() + " " + v.When()
}

// Before says what a number was in the period before.
func (v view) Before(n int) string {
	if v.day() {
		return v.F("before", n)
	}
	return v.F("before.period", n)
}

// Ongoing says what is left out because it was told before; empty when nothing is.
func (v view) Ongoing() string {
	if v.Continuing.Groups == 0 {
		return ""
	}
	return v.F("continuing", v.Continuing.Groups, v.Continuing.Hits)
}

// Window says which time is covered.
func (v view) Window() string {
	if !v.day() {
		return v.F("window.period", v.From.Format("2006-01-02 15:04"), v.To.Format("2006-01-02 15:04"), v.From.Format("-07:00"))
	}
	return v.F("window", v.Date(), v.To.Format(time.DateOnly), v.From.Format("-07:00"))
}

// Partial says up to when an unfinished day is counted; empty when it is over.
func (v view) Partial() string {
	if v.Complete {
		return ""
	}
	if !v.day() {
		return v.F("partial.period", v.GeneratedAt.Format("2006-01-02 15:04"))
	}
	return v.F("partial", v.GeneratedAt.Format("2006-01-02 15:04"))
}

// Scope says what the hits were narrowed by; empty when by nothing.
func (v view) Scope() string {
	if v.Query == "" {
		return ""
	}
	return v.F("query", clean(v.Query))
}

// Empty says plainly that there is nothing to tell; empty when there is.
func (v view) Empty() string {
	switch {
	case v.Totals.Posts.Count == 0 && v.day():
		return v.T("empty.posts")
	case v.Totals.Posts.Count == 0:
		return v.T("empty.posts.period")
	case v.Totals.Hits.Count == 0 && v.day():
		return v.F("empty.hits", v.Totals.Posts.Count)
	case v.Totals.Hits.Count == 0:
		return v.F("empty.hits.period", v.Totals.Posts.Count)
	}
	return ""
}

// Cap says how much of a list is shown.
func (v view) Cap(shown, total int) string {
	if shown < total {
		return v.F("cap.cut", shown, total)
	}
	return v.F("cap", total)
}

// HitsCap says how much of the hits is shown, after folding.
func (v view) HitsCap() string {
	shown := v.Cap(len(v.Hits.Items), v.Hits.Total)
	if v.Scanned == v.Hits.Total {
		return shown
	}
	folded := v.F("folded", v.Scanned, v.Hits.Total)
	if len(v.Hits.Items) < v.Hits.Total {
		folded += v.T("semicolon") + shown
	}
	return folded
}

// Earlier says how often a contact was seen before.
func (v view) Earlier(c Contact) string {
	switch {
	case c.New:
		return v.T("first")
	case c.Before < 0:
		return v.T("unknown")
	}
	return number(c.Before)
}

// Link is the triage page of a record; empty without a base URL.
func (v view) Link(id string) string {
	if v.BaseURL == "" || id == "" {
		return ""
	}
	return v.BaseURL + "/post/" + pathEscape(id)
}

// Marks are the short remarks on a hit.
func (v view) Marks(h Hit) []string {
	marks := []string{v.F("score", h.Score)}
	if h.Status != "" && h.Status != "new" {
		marks = append(marks, v.Named("status", h.Status))
	}
	if h.Copies > 0 {
		marks = append(marks, v.F("copies", h.Copies))
	}
	if h.Edited {
		marks = append(marks, v.T("edited"))
	}
	if h.Gone {
		marks = append(marks, v.T("gone"))
	}
	return marks
}

// Where says where and when a hit was published.
func (v view) Where(h Hit) []string {
	parts := []string{h.Site}
	if h.Author != "" {
		parts = append(parts, h.Author)
	}
	if !h.PublishedAt.IsZero() {
		parts = append(parts, v.F("published", h.PublishedAt.Format("01-02 15:04")))
	}
	return parts
}

// Silent reports whether a site brought posts the day before but none on the day.
func (v view) Silent(s Site) bool { return s.Posts.Count == 0 && s.Posts.Before > 0 }

// Notes are what a reader has to know, and what was left out.
func (v view) Notes() []string {
	notes := []string{v.T("note.hit"), v.T("note.before")}
	if !v.day() {
		notes[1] = v.T("note.before.period")
	}
	if v.Silenced > 0 {
		notes = append(notes, v.F("note.silenced", v.Silenced))
	}
	if v.Groups.Total > 0 {
		notes = append(notes, v.T("note.group"))
	}
	if v.Scanned < v.Totals.Hits.Count {
		notes = append(notes, v.F("note.scan", v.Scanned, v.Totals.Hits.Count))
	}
	if v.UncheckedContacts > 0 {
		notes = append(notes, v.F("note.contact", v.UncheckedContacts))
	}
	if v.Masked {
		return append(notes, v.T("note.masked"))
	}
	return append(notes, v.T("note.shown"))
}

// Diff is the difference to the previous day: +3, −2 or ±0.
func (v view) Diff(c Change) string {
	switch n := c.Count - c.Before; {
	case n > 0:
		return "+" + number(n)
	case n < 0:
		return "−" + number(-n)
	}
	return "±0"
}

// Percent is a count's share of the largest of its list, 0 to 100 and at
// least 1 when it is not 0.
func (v view) Percent(c Count, all []Count) int {
	most := 0
	for _, x := range all {
		most = max(most, x.Count)
	}
	if c.Count == 0 || most == 0 {
		return 0
	}
	return max(1, c.Count*100/most)
}

// Number writes a number with commas.
func (v view) Number(n int) string { return number(n) }

func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// pathEscape escapes all but what record ids are made of.
func pathEscape(s string) string {
	out := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if latin(rune(c)) || c == '-' || c == '_' {
			out = append(out, c)
			continue
		}
		out = fmt.Appendf(out, "%%%02X", c)
	}
	return string(out)
}
