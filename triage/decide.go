package triage

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/index"
)

// decision is what an analyst's form says.
type decision struct {
	Version  int64
	Seen     int64 // newest audit row when the form was shown
	Status   string
	Reason   string
	Assignee string
	Tags     string
	Comment  string
	Full     bool // the form had assignee and tags, not only buttons
}

func readDecision(v url.Values) (decision, bool) {
	version, err := strconv.ParseInt(v.Get("version"), 10, 64)
	seen, _ := strconv.ParseInt(v.Get("seen"), 10, 64) // absent in quick forms
	return decision{Version: version, Seen: seen, Status: v.Get("status"), Reason: v.Get("reason"), Assignee: strings.TrimSpace(v.Get("assignee")),
		Tags: v.Get("tags"), Comment: v.Get("comment"), Full: v.Has("tags")}, err == nil
}

// maxAssignee is the longest name of an assignee in bytes.
const maxAssignee = 128

// change turns the form into a change of the record it was made for.
func (d decision) change(rec index.Record, user string) index.TriageChange {
	c := index.TriageChange{Actor: user, Status: index.Status(d.Status), Comment: d.Comment, RequestID: "act:" + rand.Text()}
	if c.Status == index.StatusDismissed {
		c.Reason = d.Reason
	}
	if !d.Full {
		return c
	}
	if d.Assignee != rec.Triage.Assignee {
		c.Assignee = &d.Assignee
	}
	want := splitTags(d.Tags)
	for _, t := range want {
		if !slices.Contains(rec.Triage.Tags, t) {
			c.AddTags = append(c.AddTags, t)
		}
	}
	for _, t := range rec.Triage.Tags {
		if !slices.Contains(want, t) {
			c.DropTags = append(c.DropTags, t)
		}
	}
	return c
}

// splitTags reads tags that are separated by commas of either script.
func splitTags(list string) []string {
	var out []string
	for _, t := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",，、;；\n\r", r) }) {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// mistake returns the key of what the analyst must mend first, or "".
func (d decision) mistake() string {
	switch {
	case d.Status != "" && !slices.Contains(index.Statuses[:], index.Status(d.Status)):
		return "form.bad_status"
	case d.Status == string(index.StatusDismissed) && !slices.Contains(dismissReasons[:], d.Reason):
		return "form.need_reason"
	case d.Status == string(index.StatusDismissed) && d.Reason == "other" && strings.TrimSpace(d.Comment) == "":
		return "form.need_comment"
	case len(d.Comment) > index.MaxComment:
		return "form.long_comment"
	case len(d.Assignee) > maxAssignee || strings.ContainsFunc(d.Assignee, acts):
		return "form.bad_assignee"
	}
	if slices.ContainsFunc(splitTags(d.Tags), func(t string) bool { return len(t) > index.MaxTag || strings.ContainsFunc(t, acts) }) {
		return "form.bad_tag"
	}
	return ""
}

// act applies a change. A decision on a record that nobody has makes it the
// decider's own.
func (s *Server) act(ctx context.Context, rec index.Record, version int64, c index.TriageChange) (index.Triage, error) {
	if c.Status != "" && c.Assignee == nil && rec.Triage.Assignee == "" {
		c.Assignee = &c.Actor
	}
	return s.store.Triage(ctx, rec.Post.ID, version, c)
}

func (s *Server) postTriage(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	d, ok := readDecision(r.PostForm)
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
		return
	}
	if d.Version != rec.Triage.Version {
		s.showPost(w, r, rec, postProblem{status: http.StatusConflict, decision: &d, conflict: true})
		return
	}
	if key := d.mistake(); key != "" {
		s.showPost(w, r, rec, postProblem{status: http.StatusUnprocessableEntity, decision: &d, mistake: key})
		return
	}
	also, err := readCopies(r.PostForm)
	if err != nil {
		s.bulkProblem(w, r, err)
		return
	}
	c := d.change(rec, s.user(r))
	after, err := s.act(r.Context(), rec, d.Version, c)
	switch {
	case errors.Is(err, index.ErrConflict):
		if rec, err = s.store.Get(r.Context(), rec.Post.ID); err == nil {
			s.showPost(w, r, rec, postProblem{status: http.StatusConflict, decision: &d, conflict: true})
			return
		}
	case refused(err):
		s.showPost(w, r, rec, postProblem{status: http.StatusUnprocessableEntity, decision: &d, mistake: "form.refused"})
		return
	}
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	key := "saved"
	switch {
	case after.Version == rec.Triage.Version:
		key = "unchanged"
	case d.Status != "":
		key = d.Status
	}
	changed, conflicts, err := s.also(r.Context(), also, c)
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	n := 1 + changed
	if conflicts > 0 {
		key, n = "group_conflict", conflicts
	}
	s.leaveNotice(w, r, key, n)
	back := localPath(r.PostForm.Get("back"))
	if r.PostForm.Get("back") == "" {
		back = "/post/" + url.PathEscape(rec.Post.ID)
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// undoWindow is how long the last decision can be taken back by a key.
const undoWindow = 10 * time.Minute

// undoRows is how far back the trail is searched for it at least.
const undoRows = 5000

// postUndo takes back the visitor's last decision, one record's or a bulk
// action's, unless somebody changed the record since.
func (s *Server) postUndo(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	back := localPath(r.PostForm.Get("back"))
	rows, err := s.recentRows(r.Context())
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	request := lastDecision(rows, s.user(r), s.now().Add(-undoWindow))
	if request == "" {
		s.leaveNotice(w, r, "undo_none", 0)
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	undone, conflicts := 0, 0
	for _, id := range recordsOf(rows, request) {
		err := s.undo(r.Context(), id, request, s.user(r), rows)
		switch {
		case errors.Is(err, index.ErrConflict):
			conflicts++
		case err != nil:
			s.storeProblem(w, r, err)
			return
		default:
			undone++
		}
	}
	if undone == 0 && conflicts > 0 {
		s.leaveNotice(w, r, "undo_conflict", conflicts)
	} else {
		s.leaveNotice(w, r, "undone", undone)
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// lastDecision returns the request id of the newest decision of user that was
// not taken back; rows are newest first.
func lastDecision(rows []index.AuditRow, user string, since time.Time) string {
	undone := map[string]bool{}
	for _, row := range rows {
		if row.At.Before(since) {
			return ""
		}
		if row.Actor != user {
			continue
		}
		if request, ok := strings.CutPrefix(row.RequestID, "undo:"); ok {
			undone[request] = true
			continue
		}
		decided := strings.HasPrefix(row.RequestID, "act:") || strings.HasPrefix(row.RequestID, "bulk:")
		if decided && row.Action != "comment" && !undone[row.RequestID] {
			return row.RequestID
		}
	}
	return ""
}

func recordsOf(rows []index.AuditRow, request string) []string {
	var out []string
	for _, row := range rows {
		if row.RequestID == request && !slices.Contains(out, row.RecordID) {
			out = append(out, row.RecordID)
		}
	}
	return out
}

// undo reverses what request did to one record. ErrConflict: the record was
// changed since.
func (s *Server) undo(ctx context.Context, id, request, user string, rows []index.AuditRow) error {
	rec, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	c := index.TriageChange{Actor: user, RequestID: "undo:" + request}
	newer := true
	reversed := map[string]bool{} // decisions that were made and taken back since
	for _, row := range rows {
		if row.RecordID != id || reversed[row.RequestID] {
			continue
		}
		if earlier, ok := strings.CutPrefix(row.RequestID, "undo:"); ok {
			reversed[earlier] = true
			continue
		}
		if row.RequestID != request {
			if newer && slices.Contains([]string{"status", "assign", "tag", "untag", "comment"}, row.Action) {
				return index.ErrConflict
			}
			continue
		}
		newer = false
		switch row.Action {
		case "status":
			c.Status = index.Status(row.From)
			if c.Status == index.StatusDismissed {
				c.Reason = reasonBefore(rows, id, row.Seq)
			}
		case "assign":
			from := row.From
			c.Assignee = &from
		case "tag":
			c.DropTags = append(c.DropTags, row.To)
		case "untag":
			c.AddTags = append(c.AddTags, row.From)
		}
	}
	_, err = s.store.Triage(ctx, id, rec.Triage.Version, c)
	return err
}

// reasonBefore finds why the record was dismissed before row seq.
func reasonBefore(rows []index.AuditRow, id string, seq int64) string {
	for _, row := range rows {
		if row.RecordID == id && row.Seq < seq && row.Action == "status" && row.To == string(index.StatusDismissed) {
			return row.Note
		}
	}
	return "other"
}
