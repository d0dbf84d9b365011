package triage

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"qingyuan/index"
	"qingyuan/mask"
)

const (
	// revealTime is how long a session sees the contacts of a record it asked for.
	revealTime = 30 * time.Minute
	// maxReveals bounds what is remembered of all sessions; beyond it all is
	// masked again.
	maxReveals = 10_000
	// maxRevealNote is the longest note, in bytes.
	maxRevealNote = 500
)

// revealReasons are why somebody needs to see contacts.
var revealReasons = [...]string{"case", "verify", "victim", "handover", "other"}

// reveals remembers which session asked for which record's contacts.
type reveals struct {
	mu    sync.Mutex
	until map[[2]string]time.Time // by session and record
}

func (v *reveals) add(session, id string, now time.Time) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.until) >= maxReveals {
		for key, until := range v.until {
			if !now.Before(until) {
				delete(v.until, key)
			}
		}
	}
	if len(v.until) >= maxReveals || v.until == nil {
		v.until = map[[2]string]time.Time{}
	}
	until := now.Add(revealTime)
	v.until[[2]string{session, id}] = until
	return until
}

// end is until when the session sees the record's contacts; zero: it does not.
func (v *reveals) end(session, id string, now time.Time) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	until := v.until[[2]string{session, id}]
	if !now.Before(until) {
		return time.Time{}
	}
	return until
}

type viewerKey struct{}

// viewer is a visitor from whom contacts are hidden, in the request's context.
type viewer struct {
	session string
	server  *Server
}

func viewerOf(ctx context.Context) *viewer {
	v, _ := ctx.Value(viewerKey{}).(*viewer)
	return v
}

// hides reports whether the record's contacts are hidden from v; nil is one who
// sees them all.
func (v *viewer) hides(id string) bool {
	return v != nil && v.server.reveals.end(v.session, id, v.server.now()).IsZero()
}

// masked marks the request of one from whom contacts are hidden: whatever is
// read from the store for it is masked.
func (s *Server) masked(r *http.Request) *http.Request {
	if s.maskContacts == nil || !s.maskContacts(r) {
		return r
	}
	v := &viewer{session: s.user(r), server: s}
	if s.session != nil {
		v.session += "\x00" + s.session(r)
	}
	return r.WithContext(context.WithValue(r.Context(), viewerKey{}, v))
}

// seesAll is a context whose reader is the server itself.
func seesAll(ctx context.Context) context.Context {
	return context.WithValue(ctx, viewerKey{}, (*viewer)(nil))
}

// maskingStore is a store that hides contacts from the viewer in the context,
// so that no page, answer or export can forget to.
type maskingStore struct{ index.Store }

// Get implements index.Store.
func (s maskingStore) Get(ctx context.Context, id string) (index.Record, error) {
	rec, err := s.Store.Get(ctx, id)
	if err == nil && viewerOf(ctx).hides(id) {
		rec = mask.Record(rec)
	}
	return rec, err
}

// Search implements index.Store.
func (s maskingStore) Search(ctx context.Context, q index.Query) (index.Page, error) {
	page, err := s.Store.Search(ctx, q)
	v := viewerOf(ctx)
	if err != nil || v == nil {
		return page, err
	}
	for i, h := range page.Hits {
		if v.hides(h.Record.Post.ID) {
			page.Hits[i] = index.Hit{Record: mask.Record(h.Record), Snippet: mask.Loose(h.Snippet, h.Record)}
		}
	}
	return page, nil
}

// Revisions implements index.Store.
func (s maskingStore) Revisions(ctx context.Context, id string) ([]index.Revision, error) {
	list, err := s.Store.Revisions(ctx, id)
	if err != nil || len(list) == 0 || !viewerOf(ctx).hides(id) {
		return list, err
	}
	rec, err := s.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	for i, r := range list {
		list[i] = mask.Revision(r, rec)
	}
	return list, nil
}

// Comments implements index.Store.
func (s maskingStore) Comments(ctx context.Context, id string) ([]index.Comment, error) {
	list, err := s.Store.Comments(ctx, id)
	if err != nil || len(list) == 0 || !viewerOf(ctx).hides(id) {
		return list, err
	}
	rec, err := s.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Text = mask.Loose(list[i].Text, rec)
	}
	return list, nil
}

// Audit implements index.Store. Remarks on records and the queries of exports
// are hidden as a whole: they are about many records, and each has its own page.
func (s maskingStore) Audit(ctx context.Context, id string, before int64, limit int) ([]index.AuditRow, error) {
	rows, err := s.Store.Audit(ctx, id, before, limit)
	v := viewerOf(ctx)
	if err != nil || v == nil {
		return rows, err
	}
	for i, row := range rows {
		switch {
		case row.RecordID != "" && !v.hides(row.RecordID):
		case row.Action == "comment" || row.Action == "reveal":
			rows[i].Note = "****"
		case row.Action == "export": // its query may ask for a contact
			count, _, _ := strings.Cut(row.Note, ":")
			rows[i].Note = count + ": ****"
		case row.Action != "status": // a reason's id
			rows[i].Note = mask.Numbers(row.Note)
		}
	}
	return rows, nil
}

// reveal shows a record's contacts to the session that asks for them, once the
// trail says so. code is of a fault.
func (s *Server) reveal(r *http.Request, id, reason, note string) (until time.Time, code string, err error) {
	note = strings.TrimSpace(note)
	switch {
	case !slices.Contains(revealReasons[:], reason), reason == "other" && note == "":
		return until, "reveal_reason", nil
	case len(note) > maxRevealNote || strings.ContainsFunc(note, acts):
		return until, "reveal_note", nil
	}
	if _, err := s.store.Get(r.Context(), id); err != nil {
		return until, "", err
	}
	row := index.AuditRow{Actor: s.user(r), Action: "reveal", RecordID: id, To: reason, Note: note, RequestID: "reveal:" + rand.Text()}
	if err := s.store.AppendAudit(r.Context(), row); err != nil {
		return until, "", err
	}
	if v := viewerOf(r.Context()); v != nil {
		return s.reveals.add(v.session, id, s.now()), "", nil
	}
	return s.now().Add(revealTime), "", nil
}

func (s *Server) postReveal(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	id := r.PathValue("id")
	switch _, code, err := s.reveal(r, id, r.PostForm.Get("reason"), r.PostForm.Get("note")); {
	case err != nil:
		s.storeProblem(w, r, err)
	case code != "":
		s.problem(w, r, http.StatusUnprocessableEntity, "error."+code)
	default:
		http.Redirect(w, r, "/post/"+url.PathEscape(id), http.StatusSeeOther)
	}
}

// apiRevealing is the body of POST /api/records/{id}/reveal.
type apiRevealing struct {
	Reason string `json:"reason"`
	Note   string `json:"note"`
}

func (s *Server) apiReveal(w http.ResponseWriter, r *http.Request) {
	var c apiRevealing
	if !s.readJSON(w, r, &c, false) {
		return
	}
	switch until, code, err := s.reveal(r, r.PathValue("id"), c.Reason, c.Note); {
	case err != nil:
		s.apiStoreError(w, r, err)
	case code != "":
		s.refuse(w, r, http.StatusUnprocessableEntity, code)
	default:
		writeJSON(w, http.StatusOK, map[string]time.Time{"until": until.UTC()})
	}
}

func revealChoices(lang string) []choice {
	var out []choice
	for _, id := range revealReasons {
		out = append(out, choice{Value: id, Name: label(lang, "reveal", id)})
	}
	return out
}
