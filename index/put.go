package index

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"qingyuan/campaign"
	"qingyuan/classify"
	"qingyuan/post"
)

// Rules of Store.Put that every store shares.
const (
	// MaxAhead is how far before the store's clock a time may lie. What is
	// later comes from a clock that is wrong.
	MaxAhead = 24 * time.Hour
	// KeptRevisions is how many of a record's newest revisions are kept, besides
	// its very first.
	KeptRevisions = 100
)

// Ahead reports whether t was read off a clock that is wrong: it lies more
// than MaxAhead after now.
func Ahead(t, now time.Time) bool { return t.Sub(now) > MaxAhead }

// Canonical returns r as stores keep it: times in UTC to the microsecond,
// texts valid UTF-8, the verdict's lists never nil. Each byte that is not
// UTF-8 becomes one U+FFFD, so that the verdict's offsets stay right, and in
// the post's addresses its percent-encoding, as browsers send it. Lists that
// need no change are shared with r.
func (r Record) Canonical() Record {
	for _, t := range [...]*time.Time{&r.Post.PublishedAt, &r.Post.FetchedAt, &r.Campaign.FirstSeen, &r.Triage.UpdatedAt,
		&r.FirstSeen, &r.LastSeen, &r.IngestedAt, &r.DeletedAt} {
		*t = exact(*t)
	}
	p := &r.Post
	p.URL, p.ThreadURL = validURL(p.URL), validURL(p.ThreadURL)
	for _, s := range [...]*string{&p.SourceType, &p.Title, &p.Text, &p.Author.ID, &p.Author.Name, &p.Author.URL, &p.Region, &r.Campaign.ID} {
		*s = validText(*s)
	}
	v := &r.Verdict
	v.Categories = validList(v.Categories, func(c *classify.CategoryScore) []*string { return []*string{&c.ID} })
	v.Entities = validList(v.Entities, func(e *classify.Entity) []*string { return []*string{&e.Type, &e.Value, &e.Raw} })
	if v.Reasons == nil {
		v.Reasons = []classify.Reason{}
	}
	v.Evasion = validList(v.Evasion, func(e *classify.Evasion) []*string { return []*string{(*string)(e)} })
	return r
}

// Believable returns r with its times that lie Ahead of now set to now, but
// for the time of publishing, which is the page's own claim. A Put applies it
// with the store's clock; so one machine's wrong clock can neither hold a
// record at the top of every list nor hide what was fetched after it.
func (r Record) Believable(now time.Time) Record {
	now = exact(now)
	for _, t := range [...]*time.Time{&r.Post.FetchedAt, &r.Campaign.FirstSeen, &r.FirstSeen, &r.LastSeen, &r.IngestedAt, &r.DeletedAt} {
		if Ahead(*t, now) {
			*t = now
		}
	}
	return r
}

// NewToJudge reports whether a changed post should come before the analysts
// again: its words changed, or it is flagged where it was not or the other way
// round, or it names other categories or contacts. Words are the letters of
// title and text, folded: another number, date, blank or sign is not new.
func NewToJudge(before, after Record) bool {
	return before.Verdict.Flagged != after.Verdict.Flagged || !maps.Equal(topics(before.Verdict), topics(after.Verdict)) ||
		words(before.Post) != words(after.Post)
}

// words returns the letters of a post.
func words(p post.Post) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, Fold(p.FullText()))
}

// topics are the categories and contacts of a verdict.
func topics(v classify.Verdict) map[string]struct{} {
	set := map[string]struct{}{}
	for _, c := range v.Categories {
		set[FieldValue(FacetCategory, c.ID)] = struct{}{}
	}
	for _, e := range v.Entities {
		// An address is no contact here: pages put new ones beside a post each day.
		if e.Type != "url" && slices.Contains(ContactTypes[:], e.Type) {
			set[e.Type+":"+FieldValue("contact", e.Value)] = struct{}{}
		}
	}
	return set
}

// NearKeys are the keys by which stores find records like r with the query
// near:KEY; none for records that are not flagged. See campaign.Sketch.
func NearKeys(r Record) []string {
	if !r.Verdict.Flagged {
		return nil
	}
	return campaign.Of(r.Post, r.Verdict).Keys
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// validList makes the strings of a list valid, and nil an empty list.
func validList[T any](list []T, texts func(*T) []*string) []T {
	if list == nil {
		return []T{}
	}
	copied := false
	for i := range list {
		for j, s := range texts(&list[i]) {
			if utf8.ValidString(*s) {
				continue
			}
			if !copied {
				list, copied = slices.Clone(list), true
			}
			*texts(&list[i])[j] = validText(*s)
		}
	}
	return list
}

func validURL(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			b.Write([]byte{'%', hex[s[0]>>4], hex[s[0]&15]})
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}
