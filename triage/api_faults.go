package triage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"golang.org/x/text/language"

	"qingyuan/index"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":{"code":"internal","message":"the answer cannot be written"}}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(append(data, '\n'))
}

// apiFault is the body of an answer that is not 2xx, under "error". Message and
// remedy are in the language that was asked for; programs branch on the code.
type apiFault struct {
	Code     string        `json:"code"`
	Message  string        `json:"message"`
	Remedy   string        `json:"remedy,omitempty"`
	Detail   string        `json:"detail,omitempty"`   // what the store said, in English
	Position int           `json:"position,omitempty"` // in the query, runes from 1
	Triage   *index.Triage `json:"triage,omitempty"`   // the current one, on a conflict
}

// refuse answers with the fault that the texts know as error.CODE.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, code string, args ...any) {
	writeFault(w, status, s.fault(r, code, args...))
}

func writeFault(w http.ResponseWriter, status int, f apiFault) {
	writeJSON(w, status, map[string]apiFault{"error": f})
}

// fault puts a code into words; args are for both the message and the remedy,
// each of which names those it uses by number.
func (s *Server) fault(r *http.Request, code string, args ...any) apiFault {
	lang, key := s.lang(r), "error."+code
	f := apiFault{Code: code, Message: text(lang, key), Remedy: text(lang, key+".remedy")}
	if len(args) > 0 {
		if strings.Contains(f.Message, "%") {
			f.Message = fmt.Sprintf(f.Message, args...)
		}
		if strings.Contains(f.Remedy, "%") {
			f.Remedy = fmt.Sprintf(f.Remedy, args...)
		}
	}
	return f
}

// apiStoreError answers for an error of the store.
func (s *Server) apiStoreError(w http.ResponseWriter, r *http.Request, err error) {
	var query *index.QueryError
	switch {
	case errors.As(err, &query):
		message, remedy := query.In(s.lang(r))
		writeFault(w, http.StatusBadRequest, apiFault{Code: "query", Message: message, Remedy: remedy, Position: query.Pos + 1})
	case errors.Is(err, index.ErrInvalid):
		f := s.fault(r, "invalid")
		f.Detail = err.Error()
		writeFault(w, http.StatusBadRequest, f)
	default:
		s.storeProblem(w, r, err)
	}
}

// maxAcceptLanguage is how much of the header is read, in bytes.
const maxAcceptLanguage = 200

// askedLanguage is the language that Accept-Language prefers among ours, or "".
func askedLanguage(r *http.Request) string {
	header := r.Header.Get("Accept-Language")
	if header == "" || len(header) > maxAcceptLanguage {
		return ""
	}
	tags, weights, err := language.ParseAcceptLanguage(header) // best first
	if err != nil {
		return ""
	}
	for i, tag := range tags {
		if base, _ := tag.Base(); weights[i] > 0 && knownLanguage(base.String()) {
			return base.String()
		}
	}
	return ""
}

// readJSON reads the one object of a request's body into v and answers itself
// when that fails. An empty body is an error unless empty says that it may be.
//
// A form of another site can send a cookie, but not this type.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, v any, empty bool) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		s.refuse(w, r, http.StatusUnsupportedMediaType, "media_type")
		return false
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, extra := dec.Token(); extra != io.EOF {
			err = errors.New("there is more than one value")
		}
	} else if empty && errors.Is(err, io.EOF) {
		return true
	}
	switch {
	case err == nil:
		return true
	case tooLarge(err):
		s.refuse(w, r, http.StatusRequestEntityTooLarge, "too_large")
	default:
		f := s.fault(r, "json")
		f.Detail = err.Error()
		writeFault(w, http.StatusBadRequest, f)
	}
	return false
}

// fallback answers for addresses that nothing is registered for.
func (s *Server) fallback(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		s.problem(w, r, http.StatusNotFound, "error.not_found")
		return
	}
	var allowed []string
	for _, method := range [...]string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.refuse(w, r, http.StatusNotFound, "no_endpoint")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.refuse(w, r, http.StatusMethodNotAllowed, "method", strings.Join(allowed, ", "))
}
