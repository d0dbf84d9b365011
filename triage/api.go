package triage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"qingyuan/index"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":{"code":"internal"}}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(append(data, '\n'))
}

// apiFault is the body of an answer that is not 2xx, under "error".
type apiFault struct {
	Code     string        `json:"code"`
	Problem  string        `json:"problem"`
	Remedy   string        `json:"remedy,omitempty"`
	Position int           `json:"position,omitempty"` // in the query, runes from 1
	Triage   *index.Triage `json:"triage,omitempty"`   // the current one, on a conflict
}

func apiError(w http.ResponseWriter, status int, code, problem, remedy string) {
	writeJSON(w, status, map[string]apiFault{"error": {Code: code, Problem: problem, Remedy: remedy}})
}

func (s *Server) apiSearch(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q := index.Query{Text: v.Get("q"), Sort: index.Sort(v.Get("sort")), After: v.Get("after")}
	for key, field := range map[string]*int{"limit": &q.Limit, "offset": &q.Offset} {
		if v.Get(key) == "" {
			continue
		}
		n, err := strconv.Atoi(v.Get(key))
		if err != nil {
			apiError(w, http.StatusBadRequest, "invalid", fmt.Sprintf("%s is not a number", key), "leave it out or write a number")
			return
		}
		*field = n
	}
	page, err := s.store.Search(r.Context(), q)
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	if page.Hits == nil {
		page.Hits = []index.Hit{}
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *Server) apiStoreError(w http.ResponseWriter, r *http.Request, err error) {
	var query *index.QueryError
	switch {
	case errors.As(err, &query):
		writeJSON(w, http.StatusBadRequest, map[string]apiFault{"error": {Code: "query", Problem: query.Problem, Remedy: query.Remedy, Position: query.Pos + 1}})
	case errors.Is(err, index.ErrInvalid):
		apiError(w, http.StatusBadRequest, "invalid", err.Error(), "")
	default:
		s.storeProblem(w, r, err)
	}
}

// apiDetail is a record with all that belongs to it.
type apiDetail struct {
	Record    index.Record     `json:"record"`
	Comments  []index.Comment  `json:"comments"`
	Revisions []index.Revision `json:"revisions"`
	Audit     []index.AuditRow `json:"audit"`
}

func (s *Server) apiRecord(w http.ResponseWriter, r *http.Request) {
	d := apiDetail{Comments: []index.Comment{}, Revisions: []index.Revision{}, Audit: []index.AuditRow{}}
	id := r.PathValue("id")
	var err error
	if d.Record, err = s.store.Get(r.Context(), id); err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	comments, err := s.store.Comments(r.Context(), id)
	if err == nil {
		d.Comments = append(d.Comments, comments...)
		var revisions []index.Revision
		revisions, err = s.store.Revisions(r.Context(), id)
		d.Revisions = append(d.Revisions, revisions...)
	}
	if err == nil {
		var rows []index.AuditRow
		rows, err = s.store.Audit(r.Context(), id, 0, maxHistory)
		d.Audit = append(d.Audit, rows...)
	}
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, d)
}

// apiChange is the body of POST /api/records/{id}/triage.
type apiChange struct {
	Version  *int64   `json:"version"` // required: of the triage that was seen
	Status   string   `json:"status"`
	Reason   string   `json:"reason"`
	Assignee *string  `json:"assignee"`
	AddTags  []string `json:"add_tags"`
	DropTags []string `json:"drop_tags"`
	Comment  string   `json:"comment"`
}

func (s *Server) apiTriage(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		apiError(w, http.StatusUnsupportedMediaType, "media_type", "the body is not JSON", "send Content-Type: application/json")
		return
	}
	var c apiChange
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(&c)
	if err == nil {
		if _, extra := dec.Token(); extra != io.EOF {
			err = errors.New("there is more than one value")
		}
	}
	switch {
	case tooLarge(err):
		s.problem(w, r, http.StatusRequestEntityTooLarge, "error.too_large")
		return
	case err != nil:
		apiError(w, http.StatusBadRequest, "json", err.Error(), "send one object with version, status, reason, assignee, add_tags, drop_tags, comment")
		return
	case c.Version == nil:
		apiError(w, http.StatusBadRequest, "version", "version is missing", "send the triage version of the record you saw")
		return
	case c.Status == string(index.StatusDismissed) && c.Reason == "other" && strings.TrimSpace(c.Comment) == "":
		apiError(w, http.StatusUnprocessableEntity, "comment", `a dismissal for the reason "other" needs a comment`, "say in comment why the record is dismissed")
		return
	case c.Status == string(index.StatusDismissed) && !slices.Contains(dismissReasons[:], c.Reason):
		apiError(w, http.StatusUnprocessableEntity, "reason", fmt.Sprintf("%q is no reason to dismiss", c.Reason), "use one of "+strings.Join(dismissReasons[:], ", "))
		return
	case c.Assignee != nil && (len(*c.Assignee) > maxAssignee || strings.ContainsFunc(*c.Assignee, acts)):
		apiError(w, http.StatusUnprocessableEntity, "assignee", "the assignee is not a short plain name", "")
		return
	}
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	after, err := s.act(r.Context(), rec, *c.Version, index.TriageChange{Actor: s.user(r), Status: index.Status(c.Status), Reason: c.Reason,
		Assignee: c.Assignee, AddTags: c.AddTags, DropTags: c.DropTags, Comment: c.Comment, RequestID: "act:" + rand.Text()})
	if errors.Is(err, index.ErrConflict) {
		fault := apiFault{Code: "conflict", Problem: "somebody else changed the record", Remedy: "look at triage and send its version"}
		if rec, err := s.store.Get(r.Context(), rec.Post.ID); err == nil {
			fault.Triage = &rec.Triage
		}
		writeJSON(w, http.StatusConflict, map[string]apiFault{"error": fault})
		return
	}
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, after)
}

// exporter is index.WriteCSV or index.WriteJSONL.
type exporter func(context.Context, io.Writer, index.Store, index.Query) (int, error)

func (s *Server) getCSV(w http.ResponseWriter, r *http.Request) {
	s.export(w, r, "csv", "text/csv; charset=utf-8", index.WriteCSV)
}

func (s *Server) getJSONL(w http.ResponseWriter, r *http.Request) {
	s.export(w, r, "jsonl", "application/jsonl; charset=utf-8", index.WriteJSONL)
}

func (s *Server) getXLSX(w http.ResponseWriter, r *http.Request) {
	s.export(w, r, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", index.WriteXLSX)
}

// export streams what a query finds. The trail has its row before the first
// byte leaves: a download that breaks off has left the house as well.
func (s *Server) export(w http.ResponseWriter, r *http.Request, format, kind string, write exporter) {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" {
		s.problem(w, r, http.StatusForbidden, "error.cross_origin")
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", kind)
		return
	}
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	page, err := s.store.Search(r.Context(), index.Query{Text: query, Limit: 1})
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	row := index.AuditRow{Actor: s.user(r), Action: "export", To: format, Note: fmt.Sprintf("%d: %s", page.Total, query), RequestID: "export:" + rand.Text()}
	if err := s.store.AppendAudit(r.Context(), row); err != nil {
		s.storeProblem(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="qingyuan-%s.%s"`, s.now().In(s.loc).Format("20060102-150405"), format))
	if _, err := write(r.Context(), w, s.store, index.Query{Text: query}); err != nil {
		s.log.Error("an export broke off", "format", format, "query", query, "err", err)
		breakOff(w)
	}
}

// breakOff closes the connection, so that a half export is not taken for a
// whole one.
func breakOff(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}
