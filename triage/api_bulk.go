package triage

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"

	"qingyuan/index"
)

// apiBulkChange is the body of POST /api/bulk: the records as they were seen,
// and what to do to each of them.
type apiBulkChange struct {
	Items []apiBulkItem `json:"items"`
	apiAct
}

type apiBulkItem struct {
	ID      string `json:"id"`
	Version *int64 `json:"version"`
}

// What became of one item of a bulk action.
const (
	resultChanged   = "changed"
	resultUnchanged = "unchanged"
	resultConflict  = "conflict" // somebody else was faster; nothing was changed
	resultMissing   = "missing"
	resultFailed    = "failed" // the store did not answer; the log says why
)

// apiBulkResult is the answer: a result for each item, in the order sent.
type apiBulkResult struct {
	RequestID string         `json:"request_id"` // joins the rows of the trail; undo takes it
	Counts    map[string]int `json:"counts"`
	Results   []apiBulkLine  `json:"results"`
}

type apiBulkLine struct {
	ID     string        `json:"id"`
	Result string        `json:"result"`
	Triage *index.Triage `json:"triage,omitempty"` // the current one; absent when missing or failed
}

func (s *Server) apiBulk(w http.ResponseWriter, r *http.Request) {
	var c apiBulkChange
	if !s.readJSON(w, r, &c, false) {
		return
	}
	code, args := c.fault()
	seen := map[string]bool{}
	for _, item := range c.Items {
		switch {
		case item.ID == "" || item.Version == nil:
			code = "item"
		case seen[item.ID]:
			code = "twice"
		}
		seen[item.ID] = true
	}
	switch {
	case len(c.Items) == 0:
		code = "no_items"
	case len(c.Items) > maxBulk:
		code = "too_many"
	case code == "" && c.Status == "" && c.Assignee == nil && len(c.AddTags)+len(c.DropTags) == 0 && c.Comment == "":
		code = "no_change"
	}
	if code != "" {
		s.refuse(w, r, http.StatusUnprocessableEntity, code, args...)
		return
	}
	out := apiBulkResult{RequestID: "bulk:" + rand.Text(), Counts: map[string]int{resultChanged: 0, resultUnchanged: 0, resultConflict: 0, resultMissing: 0, resultFailed: 0}}
	change := c.change(s.user(r), out.RequestID)
	for _, item := range c.Items {
		if r.Context().Err() != nil {
			return // nobody waits; what was done stands in the trail
		}
		line := s.bulkItem(r.Context(), item, change)
		out.Counts[line.Result]++
		out.Results = append(out.Results, line)
	}
	writeJSON(w, http.StatusOK, out)
}

// bulkItem changes one record if it still has the version that was seen.
func (s *Server) bulkItem(ctx context.Context, item apiBulkItem, c index.TriageChange) apiBulkLine {
	line := apiBulkLine{ID: item.ID, Result: resultFailed}
	rec, err := s.store.Get(ctx, item.ID)
	var after index.Triage
	if err == nil {
		after, err = s.act(ctx, rec, *item.Version, c)
	}
	switch {
	case errors.Is(err, index.ErrNotFound):
		line.Result = resultMissing
	case errors.Is(err, index.ErrConflict):
		line.Result = resultConflict
		if rec, err := s.store.Get(ctx, item.ID); err == nil {
			line.Triage = &rec.Triage
		}
	case err != nil:
		s.log.Error("a bulk action", "record", item.ID, "err", err)
	default:
		line.Result, line.Triage = resultUnchanged, &after
		if after.Version != *item.Version {
			line.Result = resultChanged
		}
	}
	return line
}

// apiUndoing is the body of POST /api/undo, which may be empty.
type apiUndoing struct {
	RequestID string `json:"request_id"` // of the decision; empty: the newest one
}

// apiUndone is the answer.
type apiUndone struct {
	RequestID string   `json:"request_id"`
	Undone    []string `json:"undone"`    // ids of records
	Conflicts []string `json:"conflicts"` // of those that were changed since, which stay as they are
}

// apiUndo takes back a decision of the same user, if it is not older than
// undoWindow.
func (s *Server) apiUndo(w http.ResponseWriter, r *http.Request) {
	var c apiUndoing
	if !s.readJSON(w, r, &c, true) {
		return
	}
	rows, err := s.recentRows(r.Context())
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	user, since := s.user(r), s.now().Add(-undoWindow)
	request := c.RequestID
	if request == "" {
		request = lastDecision(rows, user, since)
	} else if !slices.ContainsFunc(rows, func(row index.AuditRow) bool {
		return row.RequestID == request && row.Actor == user && !row.At.Before(since)
	}) || !strings.HasPrefix(request, "act:") && !strings.HasPrefix(request, "bulk:") ||
		slices.ContainsFunc(rows, func(row index.AuditRow) bool { return row.RequestID == "undo:"+request }) {
		request = ""
	}
	if request == "" {
		s.refuse(w, r, http.StatusNotFound, "undo_none")
		return
	}
	out := apiUndone{RequestID: request, Undone: []string{}, Conflicts: []string{}}
	for _, id := range recordsOf(rows, request) {
		switch err := s.undo(r.Context(), id, request, user, rows); {
		case errors.Is(err, index.ErrConflict):
			out.Conflicts = append(out.Conflicts, id)
		case err != nil:
			s.apiStoreError(w, r, err)
			return
		default:
			out.Undone = append(out.Undone, id)
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// recentRows reads the trail back to the beginning of the undo window, and at
// least undoRows of it: a bulk action may have more rows than that.
func (s *Server) recentRows(ctx context.Context) ([]index.AuditRow, error) {
	since := s.now().Add(-undoWindow)
	var rows []index.AuditRow
	for before := int64(0); ; before = rows[len(rows)-1].Seq {
		more, err := s.store.Audit(ctx, "", before, undoRows)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
		if len(more) < undoRows || rows[len(rows)-1].At.Before(since) {
			return rows, nil
		}
	}
}
