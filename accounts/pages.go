package accounts

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed templates
var files embed.FS

func (g *Guard) load() error {
	var err error
	g.pages, err = template.New("accounts").Funcs(template.FuncMap{
		"t":    func(lang, key string) (string, error) { return word(lang, key) },
		"when": func(t time.Time) string { return t.Local().Format("2006-01-02 15:04") },
	}).ParseFS(files, "templates/*.html")
	return err
}

// view is what the pages get.
type view struct {
	Lang    string
	Shape   template.HTML
	Title   string
	Me      User
	Problem string // key, or ready words
	Done    string // key
	Back    string
	Name    string
	Link    string // shown once
	Secret  string // of a new token; shown once
	Users   []User
	Tokens  []Token
	Roles   []Role
	Scopes  []Permission
	Min     int
}

func (g *Guard) lang(r *http.Request) string {
	if c, err := r.Cookie("qingyuan_lang"); err == nil && (c.Value == "zh" || c.Value == "en") {
		return c.Value
	}
	return g.opts.Language
}

func (g *Guard) render(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.Lang, v.Shape, v.Roles, v.Min = g.lang(r), g.opts.Shape, Roles[:], minPassword
	v.Me, _ = CurrentUser(r)
	for _, p := range TokenScopes {
		if v.Me.Role.May(p) {
			v.Scopes = append(v.Scopes, p)
		}
	}
	v.Title, _ = word(v.Lang, "title."+page)
	var buf bytes.Buffer
	if err := g.pages.ExecuteTemplate(&buf, page+".html", v); err != nil {
		g.opts.Logger.Error("rendering a page of accounts", "page", page, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(buf.Bytes()) //nolint:errcheck // the reader has gone
}

func (g *Guard) problem(w http.ResponseWriter, r *http.Request, status int, key string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		g.writeFault(w, r, key, "problem."+key)
		return
	}
	words, _ := word(g.lang(r), "problem."+key)
	g.render(w, r, status, "problem", view{Problem: words})
}

// explain turns an error into words and a status.
func (g *Guard) explain(r *http.Request, err error) (int, string) {
	lang := g.lang(r)
	say := func(key string, args ...any) string {
		w, _ := word(lang, key)
		if len(args) > 0 {
			return fmt.Sprintf(w, args...)
		}
		return w
	}
	var many *TooManyError
	switch {
	case errors.As(err, &many):
		return http.StatusTooManyRequests, say("problem.many", int(many.Wait/time.Second)+1)
	case errors.Is(err, ErrRefused):
		return http.StatusUnauthorized, say("problem.refused")
	case errors.Is(err, ErrWeak):
		return http.StatusUnprocessableEntity, say("problem.weak", minPassword)
	case errors.Is(err, ErrExists):
		return http.StatusConflict, say("problem.exists")
	case errors.Is(err, ErrLastAdmin):
		return http.StatusConflict, say("problem.last_admin")
	case errors.Is(err, ErrNoUser):
		return http.StatusNotFound, say("problem.no_user")
	}
	g.opts.Logger.Error("accounts", "path", r.URL.Path, "error", err)
	return http.StatusInternalServerError, say("problem.internal")
}

func (g *Guard) getLogin(w http.ResponseWriter, r *http.Request) {
	g.render(w, r, http.StatusOK, "login", view{Back: localPath(r.URL.Query().Get("back"))})
}

func (g *Guard) postLogin(w http.ResponseWriter, r *http.Request) {
	name, addr := strings.ToLower(strings.TrimSpace(r.PostForm.Get("name"))), g.addr(r)
	back := localPath(r.PostForm.Get("back"))
	secret, err := g.opts.DB.Login(r.Context(), name, r.PostForm.Get("password"), addr)
	if err != nil {
		status, words := g.explain(r, err)
		g.opts.Logger.Warn("a login failed", "name", clip(name), "addr", addr, "status", status)
		if status == http.StatusTooManyRequests {
			var many *TooManyError
			errors.As(err, &many)
			w.Header().Set("Retry-After", strconv.Itoa(int(many.Wait/time.Second)+1))
		} else if nameForm.MatchString(name) {
			g.note(r, name, "login_failed", addr) //nolint:errcheck // a refusal stands in any case
		}
		g.render(w, r, status, "login", view{Back: back, Name: clip(name), Problem: words})
		return
	}
	if err := g.note(r, name, "login", addr); err != nil {
		g.opts.DB.Logout(r.Context(), secret) //nolint:errcheck // the secret is thrown away
		status, words := g.explain(r, err)
		g.render(w, r, status, "login", view{Back: back, Problem: words})
		return
	}
	g.setSession(w, r, secret)
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// clip bounds what is written of an attempt.
func clip(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.ToValidUTF8(s, "")
}

func (g *Guard) note(r *http.Request, actor, action, note string) error {
	if err := g.opts.Trail(r.Context(), actor, action, note); err != nil {
		return fmt.Errorf("noting %s in the audit trail: %w", action, err)
	}
	return nil
}

func (g *Guard) postLogout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		if err := g.opts.DB.Logout(r.Context(), c.Value); err != nil {
			g.opts.Logger.Error("ending a session", "error", err)
		}
	}
	g.setSession(w, r, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (g *Guard) getWelcome(w http.ResponseWriter, r *http.Request) {
	name, err := g.opts.DB.LinkUser(r.Context(), r.PathValue("secret"))
	if err != nil {
		g.problem(w, r, http.StatusNotFound, "link")
		return
	}
	g.render(w, r, http.StatusOK, "welcome", view{Name: name})
}

func (g *Guard) postWelcome(w http.ResponseWriter, r *http.Request) {
	name, err := g.opts.DB.LinkUser(r.Context(), r.PathValue("secret"))
	if err != nil {
		g.problem(w, r, http.StatusNotFound, "link")
		return
	}
	if r.PostForm.Get("password") != r.PostForm.Get("again") {
		words, _ := word(g.lang(r), "problem.differ")
		g.render(w, r, http.StatusUnprocessableEntity, "welcome", view{Name: name, Problem: words})
		return
	}
	secret, err := g.opts.DB.Welcome(r.Context(), r.PathValue("secret"), r.PostForm.Get("password"))
	if err == nil {
		err = g.note(r, name, "password_set", g.addr(r))
	}
	if err != nil {
		status, words := g.explain(r, err)
		g.render(w, r, status, "welcome", view{Name: name, Problem: words})
		return
	}
	g.setSession(w, r, secret)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *Guard) getAccount(w http.ResponseWriter, r *http.Request) {
	g.showAccount(w, r, http.StatusOK, view{})
}

func (g *Guard) showAccount(w http.ResponseWriter, r *http.Request, status int, v view) {
	me, _ := CurrentUser(r)
	var err error
	if v.Tokens, err = g.opts.DB.Tokens(r.Context(), me.Name); err != nil {
		status, v.Problem = g.explain(r, err)
	}
	g.render(w, r, status, "account", v)
}

func (g *Guard) postPassword(w http.ResponseWriter, r *http.Request) {
	me, _ := CurrentUser(r)
	if r.PostForm.Get("password") != r.PostForm.Get("again") {
		words, _ := word(g.lang(r), "problem.differ")
		g.showAccount(w, r, http.StatusUnprocessableEntity, view{Problem: words})
		return
	}
	err := g.opts.DB.ChangePassword(r.Context(), me.Name, r.PostForm.Get("old"), r.PostForm.Get("password"), g.addr(r))
	var secret string
	if err == nil {
		err = g.note(r, me.Name, "password_set", g.addr(r))
	}
	if err == nil {
		secret, err = g.opts.DB.begin(r.Context(), me.Name) // all others have ended
	}
	if err != nil {
		status, words := g.explain(r, err)
		g.showAccount(w, r, status, view{Problem: words})
		return
	}
	g.setSession(w, r, secret)
	g.showAccount(w, r, http.StatusOK, view{Done: "done.password"})
}

func (g *Guard) postToken(w http.ResponseWriter, r *http.Request) {
	me, _ := CurrentUser(r)
	days, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil || days < 1 || days > 366 {
		g.problem(w, r, http.StatusBadRequest, "form")
		return
	}
	var scopes []Permission
	for _, s := range r.PostForm["scope"] {
		scopes = append(scopes, Permission(s))
	}
	label := strings.TrimSpace(r.PostForm.Get("label"))
	if len(scopes) == 0 || len(label) > 100 || slices.ContainsFunc(scopes, func(s Permission) bool { return !me.Role.May(s) }) {
		words, _ := word(g.lang(r), "problem.token")
		g.showAccount(w, r, http.StatusUnprocessableEntity, view{Problem: words})
		return
	}
	err = g.note(r, me.Name, "token_made", label)
	var secret string
	if err == nil {
		secret, err = g.opts.DB.NewToken(r.Context(), me.Name, label, scopes, time.Duration(days)*24*time.Hour)
	}
	if err != nil {
		status, words := g.explain(r, err)
		g.showAccount(w, r, status, view{Problem: words})
		return
	}
	g.showAccount(w, r, http.StatusOK, view{Secret: secret})
}

func (g *Guard) postRevoke(w http.ResponseWriter, r *http.Request) {
	me, _ := CurrentUser(r)
	err := g.opts.DB.Revoke(r.Context(), me.Name, r.PathValue("id"))
	if err == nil {
		err = g.note(r, me.Name, "token_revoked", r.PathValue("id"))
	}
	if err != nil {
		status, words := g.explain(r, err)
		g.showAccount(w, r, status, view{Problem: words})
		return
	}
	g.showAccount(w, r, http.StatusOK, view{Done: "done.revoked"})
}

func (g *Guard) getUsers(w http.ResponseWriter, r *http.Request) {
	g.showUsers(w, r, http.StatusOK, view{})
}

func (g *Guard) showUsers(w http.ResponseWriter, r *http.Request, status int, v view) {
	var err error
	if v.Users, err = g.opts.DB.Users(r.Context()); err != nil {
		status, v.Problem = g.explain(r, err)
	}
	g.render(w, r, status, "users", v)
}

func (g *Guard) postUser(w http.ResponseWriter, r *http.Request) {
	me, _ := CurrentUser(r)
	name, role := strings.ToLower(strings.TrimSpace(r.PostForm.Get("name"))), Role(r.PostForm.Get("role"))
	if !nameForm.MatchString(name) || !slices.Contains(Roles[:], role) {
		words, _ := word(g.lang(r), "problem.name")
		g.showUsers(w, r, http.StatusUnprocessableEntity, view{Problem: words})
		return
	}
	err := g.opts.DB.Create(r.Context(), name, role)
	if err == nil {
		err = g.note(r, me.Name, "user_made", name+" "+string(role))
	}
	if err != nil {
		status, words := g.explain(r, err)
		g.showUsers(w, r, status, view{Problem: words})
		return
	}
	g.showLink(w, r, name)
}

func (g *Guard) postChange(w http.ResponseWriter, r *http.Request) {
	me, _ := CurrentUser(r)
	name, role, disabled := r.PathValue("name"), Role(r.PostForm.Get("role")), r.PostForm.Get("disabled") != ""
	if !slices.Contains(Roles[:], role) {
		g.problem(w, r, http.StatusBadRequest, "form")
		return
	}
	err := g.opts.DB.Change(r.Context(), name, role, disabled)
	if err == nil {
		err = g.note(r, me.Name, "user_changed", fmt.Sprintf("%s %s disabled=%v", name, role, disabled))
	}
	if err != nil {
		status, words := g.explain(r, err)
		g.showUsers(w, r, status, view{Problem: words})
		return
	}
	if name == me.Name {
		http.Redirect(w, r, "/login", http.StatusSeeOther) // his sessions have ended
		return
	}
	g.showUsers(w, r, http.StatusOK, view{Done: "done.user"})
}

func (g *Guard) postLink(w http.ResponseWriter, r *http.Request) {
	me, _ := CurrentUser(r)
	name := r.PathValue("name")
	if err := g.note(r, me.Name, "link_made", name); err != nil {
		status, words := g.explain(r, err)
		g.showUsers(w, r, status, view{Problem: words})
		return
	}
	g.showLink(w, r, name)
}

// showLink makes a link by which a user sets his password and shows it once.
func (g *Guard) showLink(w http.ResponseWriter, r *http.Request, name string) {
	secret, err := g.opts.DB.Link(r.Context(), name)
	if err != nil {
		status, words := g.explain(r, err)
		g.showUsers(w, r, status, view{Problem: words})
		return
	}
	scheme := "http"
	if g.opts.Secure || r.TLS != nil {
		scheme = "https"
	}
	g.showUsers(w, r, http.StatusOK, view{Name: name, Link: (&url.URL{Scheme: scheme, Host: r.Host, Path: "/welcome/" + secret}).String()})
}
