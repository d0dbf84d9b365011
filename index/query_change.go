package index

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what analysts write.
const (
	MaxComment = 64 << 10 // bytes of one comment
	MaxTag     = 128      // bytes of one tag
)

// WithDefaults returns q with the defaults filled in, or ErrInvalid.
func (q Query) WithDefaults() (Query, error) {
	if q.Sort == "" {
		q.Sort = SortIngested
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	switch {
	case !q.Sort.Valid():
		return q, fmt.Errorf("%w: there is no order %q", ErrInvalid, q.Sort)
	case q.Limit < 0 || q.Limit > MaxLimit:
		return q, fmt.Errorf("%w: limit %d is not between 1 and %d; page on with Next", ErrInvalid, q.Limit, MaxLimit)
	case q.Offset < 0:
		return q, fmt.Errorf("%w: offset %d is negative", ErrInvalid, q.Offset)
	case q.Offset > 0 && q.After != "":
		return q, fmt.Errorf("%w: offset and after exclude each other", ErrInvalid)
	}
	return q, nil
}

// Clean returns c with its texts trimmed and its tags sorted, or ErrInvalid.
func (c TriageChange) Clean() (TriageChange, error) {
	refuse := func(format string, args ...any) (TriageChange, error) {
		return c, fmt.Errorf("%w: triage: "+format, append([]any{ErrInvalid}, args...)...)
	}
	c.Actor, c.Comment = strings.TrimSpace(c.Actor), strings.TrimSpace(c.Comment)
	if c.Actor == "" {
		return refuse("nobody is named as actor")
	}
	if c.Status != "" && !slices.Contains(Statuses[:], c.Status) {
		return refuse("there is no status %q", c.Status)
	}
	if c.Status == StatusDismissed && c.Reason == "" {
		return refuse("a dismissal needs a reason")
	}
	if c.Reason != "" && c.Status != StatusDismissed {
		return refuse("a reason belongs to status %s only", StatusDismissed)
	}
	if len(c.Comment) > MaxComment {
		return refuse("the comment is longer than %d bytes", MaxComment)
	}
	var err error
	if c.AddTags, err = cleanTags(c.AddTags); err != nil {
		return c, err
	}
	if c.DropTags, err = cleanTags(c.DropTags); err != nil {
		return c, err
	}
	return c, nil
}

func cleanTags(tags []string) ([]string, error) {
	var out []string
	for _, t := range tags {
		t = strings.TrimSpace(t)
		if t == "" || len(t) > MaxTag || !utf8.ValidString(t) || strings.ContainsFunc(t, func(r rune) bool { return r < ' ' }) {
			return nil, fmt.Errorf("%w: triage: a tag is 1 to %d bytes of plain text, not %q", ErrInvalid, MaxTag, t)
		}
		out = append(out, t)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Apply returns the triage after the change at the given time, and the audit
// rows that tell of it; without rows nothing changed. c must be clean.
func (c TriageChange) Apply(old Triage, id string, at time.Time) (Triage, []AuditRow) {
	next := old
	next.Tags = slices.Clone(old.Tags)
	var rows []AuditRow
	add := func(action, from, to, note string) {
		rows = append(rows, AuditRow{At: at, Actor: c.Actor, Action: action, RecordID: id, From: from, To: to, Note: note, RequestID: c.RequestID})
	}
	if c.Status != "" && (c.Status != old.Status || c.Reason != old.Reason) {
		add("status", string(old.Status), string(c.Status), c.Reason)
		next.Status, next.Reason = c.Status, c.Reason
	}
	if c.Assignee != nil && *c.Assignee != old.Assignee {
		add("assign", old.Assignee, *c.Assignee, "")
		next.Assignee = *c.Assignee
	}
	for _, t := range c.DropTags {
		if i := slices.Index(next.Tags, t); i >= 0 {
			add("untag", t, "", "")
			next.Tags = slices.Delete(next.Tags, i, i+1)
		}
	}
	for _, t := range c.AddTags {
		if !slices.Contains(next.Tags, t) {
			add("tag", "", t, "")
			next.Tags = append(next.Tags, t)
		}
	}
	slices.Sort(next.Tags)
	if c.Comment != "" {
		add("comment", "", "", c.Comment)
		next.CommentCount++
	}
	if len(rows) == 0 {
		return old, nil
	}
	if len(next.Tags) == 0 {
		next.Tags = nil
	}
	next.Version, next.UpdatedAt, next.UpdatedBy = old.Version+1, at, c.Actor
	return next, rows
}
