package triage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"qingyuan/index"
)

// number reads a whole number of the address from least to most; absent is 0.
// It answers itself when it is none.
func (s *Server) number(w http.ResponseWriter, r *http.Request, name string, least, most int64) (int64, bool) {
	value := r.URL.Query().Get(name)
	if value == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < least || n > most {
		s.refuse(w, r, http.StatusBadRequest, "number", name, least, most)
		return 0, false
	}
	return n, true
}

// maxOffset is the largest number of hits that offset may skip; the cursor has
// no such bound.
const maxOffset = 100_000

func (s *Server) apiSearch(w http.ResponseWriter, r *http.Request) {
	s.searchPage(w, r, r.URL.Query().Get("q"))
}

// searchPage answers with one page of what a query finds.
func (s *Server) searchPage(w http.ResponseWriter, r *http.Request, query string) {
	v := r.URL.Query()
	limit, ok := s.number(w, r, "limit", 1, index.MaxLimit)
	if !ok {
		return
	}
	offset, ok := s.number(w, r, "offset", 0, maxOffset)
	if !ok {
		return
	}
	if sort := index.Sort(v.Get("sort")); sort != "" && !sort.Valid() {
		s.refuse(w, r, http.StatusBadRequest, "sort")
		return
	}
	page, err := s.store.Search(r.Context(), index.Query{Text: query, Sort: index.Sort(v.Get("sort")), After: v.Get("after"), Limit: int(limit), Offset: int(offset)})
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	if page.Hits == nil {
		page.Hits = []index.Hit{}
	}
	writeJSON(w, http.StatusOK, page)
}

// apiDetail is a record with all that belongs to it.
type apiDetail struct {
	Record    index.Record     `json:"record"`
	Comments  []index.Comment  `json:"comments"`
	Revisions []index.Revision `json:"revisions"`
	Audit     []index.AuditRow `json:"audit"`                // newest first
	AuditNext int64            `json:"audit_next,omitempty"` // before which older rows are asked for
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
		rows, err = s.store.Audit(r.Context(), id, 0, maxHistory+1)
		if len(rows) > maxHistory {
			rows = rows[:maxHistory]
			d.AuditNext = rows[maxHistory-1].Seq
		}
		d.Audit = append(d.Audit, rows...)
	}
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, d)
}

// apiAct is what a change of one record and of many have in common. Absent
// fields stay as they are.
type apiAct struct {
	Status   string   `json:"status"`
	Reason   string   `json:"reason"`
	Assignee *string  `json:"assignee"`
	AddTags  []string `json:"add_tags"`
	DropTags []string `json:"drop_tags"`
	Comment  string   `json:"comment"`
}

// apiChange is the body of POST /api/records/{id}/triage.
type apiChange struct {
	Version *int64 `json:"version"` // required: of the triage that was seen
	apiAct
}

// fault returns the code of what is wrong with an act, with what its text
// needs, or "".
func (c apiAct) fault() (code string, args []any) {
	badTag := func(t string) bool {
		return strings.TrimSpace(t) == "" || len(t) > index.MaxTag
	}
	switch {
	case c.Status != "" && !slices.Contains(index.Statuses[:], index.Status(c.Status)):
		return "status", []any{statusList()}
	case c.Status == string(index.StatusDismissed) && c.Reason == "other" && strings.TrimSpace(c.Comment) == "":
		return "comment", nil
	case c.Status == string(index.StatusDismissed) && !slices.Contains(dismissReasons[:], c.Reason):
		return "reason", []any{strings.Join(dismissReasons[:], ", ")}
	case c.Assignee != nil && (len(*c.Assignee) > maxAssignee || strings.ContainsFunc(*c.Assignee, acts)):
		return "assignee", []any{maxAssignee}
	case len(c.Comment) > index.MaxComment:
		return "long_comment", []any{index.MaxComment}
	case slices.ContainsFunc(c.AddTags, badTag):
		return "tag", []any{index.MaxTag}
	}
	return "", nil
}

func statusList() string {
	names := make([]string, len(index.Statuses))
	for i, st := range index.Statuses {
		names[i] = string(st)
	}
	return strings.Join(names, ", ")
}

// change is the act as the store takes it.
func (c apiAct) change(actor, request string) index.TriageChange {
	return index.TriageChange{Actor: actor, Status: index.Status(c.Status), Reason: c.Reason, Assignee: c.Assignee, AddTags: c.AddTags,
		DropTags: c.DropTags, Comment: c.Comment, RequestID: request}
}

func (s *Server) apiTriage(w http.ResponseWriter, r *http.Request) {
	var c apiChange
	if !s.readJSON(w, r, &c, false) {
		return
	}
	if c.Version == nil {
		s.refuse(w, r, http.StatusBadRequest, "version")
		return
	}
	if code, args := c.fault(); code != "" {
		s.refuse(w, r, http.StatusUnprocessableEntity, code, args...)
		return
	}
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	after, err := s.act(r.Context(), rec, *c.Version, c.change(s.user(r), "act:"+rand.Text()))
	if errors.Is(err, index.ErrConflict) {
		fault := s.fault(r, "conflict")
		if rec, err := s.store.Get(r.Context(), rec.Post.ID); err == nil {
			fault.Triage = &rec.Triage
		}
		writeFault(w, http.StatusConflict, fault)
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

// apiExport is GET /api/export: the format stands in the address.
func (s *Server) apiExport(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("format") {
	case "", "jsonl":
		s.getJSONL(w, r)
	case "csv":
		s.getCSV(w, r)
	case "xlsx":
		s.getXLSX(w, r)
	default:
		s.refuse(w, r, http.StatusBadRequest, "format")
	}
}

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
	if err != nil && strings.HasPrefix(r.URL.Path, "/api/") {
		s.apiStoreError(w, r, err)
		return
	}
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
