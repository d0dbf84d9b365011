package triage

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxForm is the largest request body, in bytes: a full comment, percent-encoded,
// or a bulk list of maxBulk records, both fit.
const maxForm = 512 << 10

// policy is the Content-Security-Policy of every answer. There is no
// connect-src: the pages work with links and forms alone.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP guards and answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !s.hostAllowed(r.Host) {
		http.Error(w, "This host name is not served here. Use localhost, or add the name to the configured hosts.", http.StatusMisdirectedRequest)
		return
	}
	if r.URL.Path == "/healthz" {
		s.mux.ServeHTTP(w, r)
		return
	}
	if s.user(r) == "" {
		http.Error(w, "Log in first.", http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := s.sameOrigin(r); err != nil {
		if tooLarge(err) {
			s.problem(w, r, http.StatusRequestEntityTooLarge, "error.too_large")
			return
		}
		s.log.Warn("refusing a request from another site", "path", r.URL.Path, "origin", r.Header.Get("Origin"))
		s.problem(w, r, http.StatusForbidden, "error.cross_origin")
		return
	}
	if !s.withinRate(w, r) {
		return
	}
	s.mux.ServeHTTP(w, s.masked(r))
}

// hostAllowed reports whether the Host header names this machine's loopback or
// a configured host. A page of another site that points its own name at
// 127.0.0.1 comes with that name.
func (s *Server) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "localhost" || s.hosts[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// sameOrigin refuses forms that another site's page sends. Browsers say where
// a request comes from in Sec-Fetch-Site, but not over plain HTTP to names
// other than localhost, and under no-referrer their Origin is "null" then: for
// these the form's token must equal the SameSite cookie.
func (s *Server) sameOrigin(r *http.Request) error {
	err := s.cross.Check(r)
	if err == nil || r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "null" {
		return err
	}
	cookie, missing := r.Cookie(tokenCookie)
	if missing != nil || len(cookie.Value) < tokenLength {
		return err
	}
	if parseErr := r.ParseForm(); parseErr != nil {
		return parseErr
	}
	if subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostForm.Get("token"))) != 1 {
		return err
	}
	return nil
}

const (
	tokenCookie  = "qingyuan_token"
	tokenLength  = 26 // of rand.Text
	langCookie   = "qingyuan_lang"
	themeCookie  = "qingyuan_theme"
	noticeCookie = "qingyuan_notice"
)

// token returns the visitor's form token and sets its cookie when new.
func (s *Server) token(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(tokenCookie); err == nil && len(c.Value) == tokenLength {
		return c.Value
	}
	token := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: tokenCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	return token
}

func tooLarge(err error) bool {
	var e *http.MaxBytesError
	return errors.As(err, &e)
}

// form parses the body of a POST and answers itself when that fails.
func (s *Server) form(w http.ResponseWriter, r *http.Request) bool {
	err := r.ParseForm()
	switch {
	case err == nil:
		return true
	case tooLarge(err):
		s.problem(w, r, http.StatusRequestEntityTooLarge, "error.too_large")
	default:
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
	}
	return false
}

// localPath returns target if it is a path on this server, else "/": nobody
// can be led elsewhere by a link that starts here.
func localPath(target string) string {
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\\\r\n\t\x00") || len(target) > 8192 {
		return "/"
	}
	u, err := url.Parse(target)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return u.String()
}

func (s *Server) getLanguage(w http.ResponseWriter, r *http.Request) {
	if to := r.URL.Query().Get("to"); knownLanguage(to) {
		s.remember(w, r, langCookie, to)
	}
	http.Redirect(w, r, localPath(r.URL.Query().Get("back")), http.StatusSeeOther)
}

func (s *Server) getTheme(w http.ResponseWriter, r *http.Request) {
	switch to := r.URL.Query().Get("to"); to {
	case "auto", "light", "dark":
		s.remember(w, r, themeCookie, to)
	}
	http.Redirect(w, r, localPath(r.URL.Query().Get("back")), http.StatusSeeOther)
}

func (s *Server) remember(w http.ResponseWriter, r *http.Request, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
}

// lang returns the language of the request's visitor.
func (s *Server) lang(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		if lang := askedLanguage(r); lang != "" {
			return lang
		}
	}
	if c, err := r.Cookie(langCookie); err == nil && knownLanguage(c.Value) {
		return c.Value
	}
	return s.language
}

func theme(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return "auto"
}

// notice is what the page after a decision says of it.
type notice struct {
	Key   string // of the text
	Count int
	Undo  bool // an undo button helps
}

// notices are the texts a notice may have; the cookie is the visitor's and
// could hold anything.
var notices = map[string]bool{"new": true, "reviewing": true, "confirmed": true, "dismissed": true, "handed_over": true, "accepted": true,
	"returned": true, "saved": true, "undone": false, "undo_none": false, "undo_conflict": false, "group_conflict": true, "unchanged": false}

func (s *Server) leaveNotice(w http.ResponseWriter, r *http.Request, key string, count int) {
	http.SetCookie(w, &http.Cookie{Name: noticeCookie, Value: key + "." + strconv.Itoa(count), Path: "/", MaxAge: 60, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
}

func (s *Server) takeNotice(w http.ResponseWriter, r *http.Request) *notice {
	c, err := r.Cookie(noticeCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: noticeCookie, Path: "/", MaxAge: -1})
	key, number, _ := strings.Cut(c.Value, ".")
	undo, known := notices[key]
	count, err := strconv.Atoi(number)
	if !known || err != nil || count < 0 {
		return nil
	}
	return &notice{Key: key, Count: count, Undo: undo}
}
