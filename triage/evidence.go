package triage

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"

	"qingyuan/index"
	"qingyuan/post"
)

// EvidenceFunc reads what was made beside a post out of the archive, checks it
// against its hash, and gives it byte for byte.
type EvidenceFunc func(context.Context, post.Evidence) ([]byte, error)

// pngHead begins every PNG file.
const pngHead = "\x89PNG\r\n\x1a\n"

// getEvidence serves a piece of evidence by its number on the post. The type is
// ours, never the record's: a picture is a PNG or nothing, and a document is
// plain text. Nothing of it is ever run.
func (s *Server) getEvidence(w http.ResponseWriter, r *http.Request) {
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	if viewerOf(r.Context()).hides(rec.Post.ID) {
		s.problem(w, r, http.StatusForbidden, "error.masked")
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(rec.Post.Evidence) || s.evidence == nil {
		s.problem(w, r, http.StatusNotFound, "error.no_evidence")
		return
	}
	e := rec.Post.Evidence[n]
	data, err := s.evidence(r.Context(), e)
	if errors.Is(err, context.Canceled) {
		return
	}
	picture := e.Kind == post.EvidenceScreenshot
	if err == nil && picture && !bytes.HasPrefix(data, []byte(pngHead)) {
		err = errors.New("it is no PNG")
	}
	if err != nil {
		s.log.Error("reading evidence", "record", e.Archive.RecordID, "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.bad_original")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if picture {
		h.Set("Content-Type", "image/png")
	}
	if r.URL.Query().Has("download") {
		h.Set("Content-Disposition", `attachment; filename="`+evidenceName(e)+`"`)
	}
	w.Write(data)
}

// evidenceName makes a name for a download.
func evidenceName(e post.Evidence) string {
	name := fileName(e.Archive.RecordID)
	name = name[:len(name)-len(".bin")]
	if e.Kind == post.EvidenceScreenshot {
		return name + ".png"
	}
	return name + ".html.txt"
}

// exhibit is a piece of evidence as the page shows it.
type exhibit struct {
	N int // on the post
	post.Evidence
	Cut bool // the picture shows the upper part only
}

// exhibits lists the evidence of a record that the pages can show.
func (s *Server) exhibits(rec index.Record) (out []exhibit) {
	if s.evidence == nil {
		return nil
	}
	for i, e := range rec.Post.Evidence {
		if i < post.MaxEvidence && (e.Kind == post.EvidenceScreenshot || e.Kind == post.EvidenceDOM) {
			out = append(out, exhibit{N: i, Evidence: e, Cut: e.PageHeight > e.Height})
		}
	}
	return out
}
