package accounts

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Options make a Guard.
type Options struct {
	DB *DB
	// Proxies are whose X-Forwarded-For is believed; empty: nobody's.
	Proxies []netip.Prefix
	// Secure marks cookies for HTTPS only: the pages are reached through it, here
	// or at a proxy.
	Secure   bool
	Language string // zh or en, for who has not chosen
	Logger   *slog.Logger
	// Trail notes logins and changes of users in the audit trail; nil notes
	// nothing. Its error refuses the change.
	Trail func(ctx context.Context, actor, action, note string) error
	// Open are paths that need no login; one that ends with / stands for all below.
	Open []string
	// Shape is put before each page of this package, such as a link to a style
	// sheet; it is trusted.
	Shape template.HTML
}

// Guard lets requests through to those who may make them.
type Guard struct {
	opts  Options
	next  http.Handler
	mux   *http.ServeMux
	cross *http.CrossOriginProtection
	pages *template.Template
}

const cookieName = "qingyuan_session"

type contextKey struct{}

// CurrentUser returns the user of a request that a Guard let through; false for
// paths that need no login.
func CurrentUser(r *http.Request) (User, bool) {
	u, ok := r.Context().Value(contextKey{}).(User)
	return u, ok
}

// NewGuard stands before next.
func NewGuard(next http.Handler, opts Options) (*Guard, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Trail == nil {
		opts.Trail = func(context.Context, string, string, string) error { return nil }
	}
	if opts.Language != "en" {
		opts.Language = "zh"
	}
	g := &Guard{opts: opts, next: next, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection()}
	if err := g.load(); err != nil {
		return nil, fmt.Errorf("pages of accounts: %w", err)
	}
	g.mux.HandleFunc("GET /login", g.getLogin)
	g.mux.HandleFunc("POST /login", g.postLogin)
	g.mux.HandleFunc("POST /logout", g.postLogout)
	g.mux.HandleFunc("GET /welcome/{secret}", g.getWelcome)
	g.mux.HandleFunc("POST /welcome/{secret}", g.postWelcome)
	g.mux.HandleFunc("GET /account", g.getAccount)
	g.mux.HandleFunc("POST /account/password", g.postPassword)
	g.mux.HandleFunc("POST /account/tokens", g.postToken)
	g.mux.HandleFunc("POST /account/tokens/{id}/revoke", g.postRevoke)
	g.mux.HandleFunc("GET /users", g.getUsers)
	g.mux.HandleFunc("POST /users", g.postUser)
	g.mux.HandleFunc("POST /users/{name}", g.postChange)
	g.mux.HandleFunc("POST /users/{name}/link", g.postLink)
	return g, nil
}

// own reports whether a path is one of this package's pages.
func own(path string) bool {
	for _, p := range [...]string{"/login", "/logout", "/account", "/users"} {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return strings.HasPrefix(path, "/welcome/")
}

// needs is what a request does; "" needs no login.
func (g *Guard) needs(r *http.Request) Permission {
	path := r.URL.Path
	for _, open := range append([]string{"/healthz", "/assets/", "/login", "/welcome/", "/lang", "/theme"}, g.opts.Open...) {
		if path == open || strings.HasSuffix(open, "/") && strings.HasPrefix(path, open) {
			return ""
		}
	}
	if path == "/users" || strings.HasPrefix(path, "/users/") {
		return Manage
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		switch {
		case strings.HasPrefix(path, "/export"), path == "/api/export":
			return Export
		case path == "/audit", path == "/api/audit", strings.HasPrefix(path, "/api/audit/"):
			return Audit
		}
		return Read
	}
	switch {
	case path == "/api/searches", path == "/searches", strings.HasPrefix(path, "/api/searches/"), strings.HasPrefix(path, "/searches/"):
		return Read // everybody keeps his own
	case r.Method != http.MethodPost:
		return Manage
	case path == "/bulk", path == "/undo", path == "/api/bulk", path == "/api/undo", strings.HasPrefix(path, "/post/") && strings.HasSuffix(path, "/triage"), strings.HasPrefix(path, "/api/records/") && strings.HasSuffix(path, "/triage"):
		return Decide
	case strings.HasSuffix(path, "/reveal") && (strings.HasPrefix(path, "/post/") || strings.HasPrefix(path, "/api/records/")):
		return Read // with a reason, which the trail keeps
	case path == "/logout", path == "/account", strings.HasPrefix(path, "/account/"):
		return Read
	case path == "/dictionary/try": // changes nothing
		return Read
	case strings.HasPrefix(path, "/subscriptions/"), strings.HasPrefix(path, "/dictionary/"):
		return Operate
	}
	return Manage
}

// ServeHTTP lets a request through, asks for a login, or refuses it.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	need := g.needs(r)
	if need == "" {
		g.pass(w, r)
		return
	}
	user, scopes, err := g.who(r)
	switch {
	case errors.Is(err, ErrRefused):
		g.askLogin(w, r)
		return
	case err != nil:
		g.opts.Logger.Error("reading the accounts", "error", err)
		http.Error(w, "The accounts cannot be read now.", http.StatusServiceUnavailable)
		return
	}
	if !user.Role.May(need) || scopes != nil && !contains(scopes, need) {
		g.opts.Logger.Warn("refusing what a role may not do", "user", user.Name, "role", user.Role, "method", r.Method, "path", r.URL.Path, "needs", need)
		g.problem(w, r, http.StatusForbidden, "forbidden")
		return
	}
	g.pass(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, user)))
}

func contains(list []Permission, p Permission) bool {
	for _, x := range list {
		if x == p {
			return true
		}
	}
	return false
}

// pass answers with an own page or hands on.
func (g *Guard) pass(w http.ResponseWriter, r *http.Request) {
	if !own(r.URL.Path) {
		g.next.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer browsers hide the origin of forms, too
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := g.cross.Check(r); err != nil {
		g.opts.Logger.Warn("refusing a form of another site", "path", r.URL.Path, "origin", r.Header.Get("Origin"))
		g.problem(w, r, http.StatusForbidden, "cross")
		return
	}
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			g.problem(w, r, http.StatusBadRequest, "form")
			return
		}
	}
	g.mux.ServeHTTP(w, r)
}

// who returns the user of a request and, when he came with a token, its scopes.
// Tokens are for the API and exports only: a program has no use for pages.
func (g *Guard) who(r *http.Request) (User, []Permission, error) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if !strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/export") {
			return User{}, nil, ErrRefused
		}
		u, t, err := g.opts.DB.Authenticate(r.Context(), strings.TrimSpace(bearer))
		return u, append([]Permission{}, t.Scopes...), err
	}
	c, err := r.Cookie(cookieName)
	if err != nil {
		return User{}, nil, ErrRefused
	}
	u, err := g.opts.DB.Session(r.Context(), c.Value)
	return u, nil, err
}

// askLogin leads people to the login page and tells programs.
func (g *Guard) askLogin(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") || r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="qingyuan"`)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		g.writeFault(w, r, "unauthorized", "problem.unauthorized")
		return
	}
	back := "/"
	if r.Method == http.MethodGet {
		back = localPath(r.URL.RequestURI())
	}
	http.Redirect(w, r, "/login?"+url.Values{"back": {back}}.Encode(), http.StatusSeeOther)
}

// localPath returns target if it is a path on this server, else "/".
func localPath(target string) string {
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\\\r\n\t\x00") || len(target) > 4096 {
		return "/"
	}
	u, err := url.Parse(target)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return u.String()
}

// addr is where a request comes from: the connection's end or, behind proxies
// that are trusted, the last address that none of them vouches for.
func (g *Guard) addr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && g.trusted(host); i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		host = hop
	}
	return host
}

func (g *Guard) trusted(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range g.opts.Proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// setSession gives the browser its session; an empty secret takes it away.
func (g *Guard) setSession(w http.ResponseWriter, r *http.Request, secret string) {
	age := int(sessionLife / time.Second)
	if secret == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: secret, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: g.opts.Secure || r.TLS != nil})
}
