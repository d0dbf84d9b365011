package triage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"qingyuan/index"
	"qingyuan/post"
)

// ErrNoOriginal is what Options.Original returns when the archive does not have
// the record (any more).
var ErrNoOriginal = errors.New("triage: the archived original is not there")

// Original is the stored answer that a post was read from.
type Original struct {
	URL      string
	RecordID string
	At       time.Time
	Head     string // the response's header, one field a line
	Text     string // the body, decoded; empty when it is no text
	Raw      []byte // the body as received
}

// OriginalFunc reads an archived original and checks it against its hash.
type OriginalFunc func(context.Context, post.Archive) (Original, error)

// getOriginal shows the archived original of a post as plain text, or with
// ?download gives it byte for byte. Nothing of it is ever run: the type is
// text/plain or a download, nosniff is set, and the policy is a sandbox.
func (s *Server) getOriginal(w http.ResponseWriter, r *http.Request) {
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	if viewerOf(r.Context()).hides(rec.Post.ID) {
		s.problem(w, r, http.StatusForbidden, "error.masked")
		return
	}
	if !s.hasOriginal(rec) {
		s.problem(w, r, http.StatusNotFound, "error.no_original")
		return
	}
	o, err := s.original(r.Context(), rec.Post.Archive)
	switch {
	case errors.Is(err, ErrNoOriginal):
		s.problem(w, r, http.StatusNotFound, "error.no_original")
		return
	case errors.Is(err, context.Canceled):
		return
	case err != nil:
		s.log.Error("reading an archived original", "record", rec.Post.Archive.RecordID, "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.bad_original")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; "+policy)
	if r.URL.Query().Has("download") {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="`+fileName(o.RecordID)+`"`)
		w.Write(o.Raw)
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	body := o.Text
	if body == "" && len(o.Raw) > 0 {
		body = text(s.lang(r), "original.no_text")
	}
	for _, part := range []string{o.URL, "\n", o.At.UTC().Format(time.RFC3339Nano), " ", o.RecordID, "\n\n", o.Head, "\n", body, "\n"} {
		if _, err := w.Write([]byte(strings.ToValidUTF8(part, "\uFFFD"))); err != nil {
			return // whoever asked has gone
		}
	}
}

func (s *Server) hasOriginal(rec index.Record) bool {
	return s.original != nil && rec.Post.Archive.File != "" && rec.Post.Archive.RecordID != ""
}

// fileName makes a name for a download of a record id.
func fileName(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r == '-' {
			return r
		}
		return '-'
	}, strings.TrimPrefix(id, "urn:uuid:")) + ".bin"
}
