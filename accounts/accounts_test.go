package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.t = c.t.Add(d)
	c.mu.Unlock()
}

const good = "correct horse battery"

func openDB(t *testing.T) (*DB, *clock) {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	d.memory = 64 // what hashing costs is not the subject of these tests
	return d, c
}

// user makes a user with the password good and returns his session.
func user(t *testing.T, d *DB, name string, role Role) string {
	t.Helper()
	if err := d.Create(t.Context(), name, role); err != nil {
		t.Fatal(err)
	}
	link, err := d.Link(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	session, err := d.Welcome(t.Context(), link, good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Welcome(t.Context(), link, good); !errors.Is(err, ErrRefused) {
		t.Errorf("a link works twice: %v", err)
	}
	return session
}

func TestSessionsEnd(t *testing.T) {
	d, c := openDB(t)
	first := user(t, d, "lan", RoleAnalyst)
	user(t, d, "root", RoleAdmin)
	alive := func(secret string) bool {
		t.Helper()
		_, err := d.Session(t.Context(), secret)
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !alive(first) || alive("") || alive("AAAAAAAAAAAAAAAAAAAAAAAAAA") {
		t.Fatal("sessions are taken for others")
	}
	for range 20 { // in use, it lives on
		c.add(8 * time.Hour)
		if c.now().Sub(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)) <= sessionLife != alive(first) {
			t.Fatalf("after %v alive is %v", c.now(), alive(first))
		}
	}
	second, err := d.Login(t.Context(), "lan", good, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c.add(sessionIdle + time.Minute)
	if alive(second) {
		t.Error("an idle session lives on")
	}
	for name, end := range map[string]func(secret string) error{
		"logout":          func(s string) error { return d.Logout(t.Context(), s) },
		"password change": func(string) error { return d.ChangePassword(t.Context(), "lan", good, good+"2", "a") },
		"role change":     func(string) error { return d.Change(t.Context(), "lan", RoleInvestigator, false) },
		"disabling":       func(string) error { return d.Change(t.Context(), "lan", RoleAnalyst, true) },
	} {
		d.Change(t.Context(), "lan", RoleAnalyst, false) //nolint:errcheck // back to normal
		hash, _ := d.newHash(t.Context(), "lan", good)
		d.db.Exec(`UPDATE users SET password = ? WHERE name = 'lan'`, hash) //nolint:errcheck // as above
		s, err := d.Login(t.Context(), "lan", good, "10.0.0.1")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := end(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if alive(s) {
			t.Errorf("a session outlives %s", name)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	d, c := openDB(t)
	user(t, d, "lan", RoleAnalyst)
	var many *TooManyError
	for i := range freeFailures {
		if _, err := d.Login(t.Context(), "lan", "wrong password", fmt.Sprint("10.0.0.", i)); !errors.Is(err, ErrRefused) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	// Another address does not help, nor does the right password.
	if _, err := d.Login(t.Context(), "lan", good, "10.9.9.9"); !errors.As(err, &many) {
		t.Fatalf("after %d failures: %v", freeFailures, err)
	}
	c.add(many.Wait + time.Second)
	if _, err := d.Login(t.Context(), "lan", good, "10.9.9.9"); err != nil {
		t.Fatalf("after the wait: %v", err)
	}
	// One address that tries many names.
	refused := 0
	for i := range 60 {
		if _, err := d.Login(t.Context(), fmt.Sprint("name", i), "x", "10.1.1.1"); errors.As(err, &many) {
			refused++
		}
	}
	if refused != 40 {
		t.Errorf("%d of 60 attempts from one address are slowed down, want 40", refused)
	}
}

func TestPasswords(t *testing.T) {
	for _, bad := range []string{"short", "aaaaaaaaaaaaaaaa", "lanlanlan12345", strings.Repeat("x1y2z3w4v5", 30), "abcdefghijklmn", "012345678901"} {
		if err := checkPassword("lanlan", bad); !errors.Is(err, ErrWeak) {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, ok := range []string{good, "密码要长才好记得住啊啊哈哈"} {
		if err := checkPassword("lanlan", ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	d, _ := openDB(t)
	d.memory = argonMemory
	a, _ := d.newHash(t.Context(), "lan", good)
	b, _ := d.newHash(t.Context(), "lan", good)
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=65536,t=3,p=4$") || strings.Contains(a, good) {
		t.Errorf("hashes %q and %q", a, b)
	}
	if ok, err := d.matches(t.Context(), "", ""); ok || err != nil {
		t.Errorf("no password matches no password: %v %v", ok, err)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	d, _ := openDB(t)
	user(t, d, "root", RoleAdmin)
	if err := d.Change(t.Context(), "root", RoleAnalyst, false); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("demoting: %v", err)
	}
	if err := d.Change(t.Context(), "root", RoleAdmin, true); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("disabling: %v", err)
	}
	user(t, d, "root2", RoleAdmin)
	if err := d.Change(t.Context(), "root", RoleAnalyst, false); err != nil {
		t.Error(err)
	}
}

// site is a guard before pages that say who is there.
type site struct {
	*Guard
	t     *testing.T
	trail []string
}

func newSite(t *testing.T, d *DB, change func(*Options)) *site {
	t.Helper()
	s := &site{t: t}
	opts := Options{DB: d, Language: "en", Open: []string{"/digest/feed/"}, Trail: func(_ context.Context, actor, action, note string) error {
		s.trail = append(s.trail, actor+" "+action+" "+note)
		return nil
	}}
	if change != nil {
		change(&opts)
	}
	var err error
	s.Guard, err = NewGuard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := CurrentUser(r)
		fmt.Fprintf(w, "inside as %s", u.Name)
	}), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request as a browser on the site does, with a session.
func (s *site) ask(method, path, session string, form url.Values, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if session != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: session})
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestRolesMayDoWhatIsTheirs(t *testing.T) {
	d, _ := openDB(t)
	s := newSite(t, d, nil)
	sessions := map[Role]string{}
	for _, r := range Roles {
		sessions[r] = user(t, d, "u-"+string(r), r)
	}
	all := Roles[:]
	for _, c := range []struct {
		method, path string
		may          []Role
	}{
		{"GET", "/", all}, {"GET", "/post/1", all}, {"GET", "/api/records", all}, {"GET", "/overview", all}, {"GET", "/account", all},
		{"GET", "/export.csv", []Role{RoleAnalyst, RoleInvestigator, RoleAdmin}}, {"GET", "/export.jsonl", []Role{RoleAnalyst, RoleInvestigator, RoleAdmin}},
		{"GET", "/audit", []Role{RoleAnalyst, RoleOperator, RoleAdmin}},
		{"GET", "/api/audit", []Role{RoleAnalyst, RoleOperator, RoleAdmin}}, {"GET", "/api/audit/verification", []Role{RoleAnalyst, RoleOperator, RoleAdmin}},
		{"GET", "/api/export", []Role{RoleAnalyst, RoleInvestigator, RoleAdmin}}, {"GET", "/api/openapi.json", all}, {"GET", "/api/searches", all},
		{"POST", "/api/bulk", []Role{RoleAnalyst, RoleAdmin}}, {"POST", "/api/undo", []Role{RoleAnalyst, RoleAdmin}},
		{"POST", "/api/searches", all}, {"POST", "/post/1/reveal", all}, {"POST", "/api/records/1/reveal", all}, {"DELETE", "/api/searches/1", all}, {"POST", "/searches", all}, {"POST", "/searches/1/drop", all},
		{"DELETE", "/api/records/1", []Role{RoleAdmin}}, {"POST", "/api/something", []Role{RoleAdmin}},
		{"POST", "/post/1/triage", []Role{RoleAnalyst, RoleAdmin}}, {"POST", "/bulk", []Role{RoleAnalyst, RoleAdmin}}, {"POST", "/undo", []Role{RoleAnalyst, RoleAdmin}},
		{"POST", "/api/records/1/triage", []Role{RoleAnalyst, RoleAdmin}}, {"POST", "/subscriptions/a/test", []Role{RoleOperator, RoleAdmin}},
		{"POST", "/dictionary/draft", []Role{RoleOperator, RoleAdmin}}, {"POST", "/dictionary/rollback", []Role{RoleOperator, RoleAdmin}}, {"POST", "/dictionary/entry", []Role{RoleOperator, RoleAdmin}},
		{"POST", "/dictionary/try", []Role{RoleAnalyst, RoleOperator, RoleInvestigator, RoleAdmin}}, {"GET", "/dictionary", []Role{RoleAnalyst, RoleOperator, RoleInvestigator, RoleAdmin}},
		{"GET", "/users", []Role{RoleAdmin}}, {"POST", "/users", []Role{RoleAdmin}}, {"POST", "/users/x/link", []Role{RoleAdmin}},
		{"POST", "/something/new", []Role{RoleAdmin}}, {"DELETE", "/post/1", []Role{RoleAdmin}}, {"PUT", "/", []Role{RoleAdmin}},
		{"POST", "/post/../users", []Role{RoleAdmin}}, {"POST", "//users", []Role{RoleAdmin}},
	} {
		for _, role := range all {
			w := s.ask(c.method, c.path, sessions[role], url.Values{})
			want := false
			for _, r := range c.may {
				want = want || r == role
			}
			if got := w.Code != http.StatusForbidden; got != want {
				t.Errorf("%s %s as %s is let through: %v (%d), want %v", c.method, c.path, role, got, w.Code, want)
			}
		}
		if w := s.ask(c.method, c.path, "", url.Values{}); w.Code != http.StatusSeeOther && w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without login is answered %d", c.method, c.path, w.Code)
		}
	}
	for _, path := range []string{"/healthz", "/assets/app.css", "/digest/feed/a/b"} {
		if w := s.ask("GET", path, "", nil); w.Code != 200 || w.Body.String() != "inside as " {
			t.Errorf("%s needs a login: %d", path, w.Code)
		}
	}
}

func TestLoggingIn(t *testing.T) {
	d, _ := openDB(t)
	s := newSite(t, d, nil)
	user(t, d, "lan", RoleAnalyst)
	w := s.ask("GET", "/?q=x", "", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?back=%2F%3Fq%3Dx" {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Location"))
	}
	// A session that an attacker has planted is not the one that a login begins.
	w = s.ask("POST", "/login", "planted", url.Values{"name": {"Lan "}, "password": {good}, "back": {"/?q=x"}})
	cookie := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/?q=x" || len(cookie) != 1 || cookie[0].Value == "planted" || !cookie[0].HttpOnly || cookie[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("%d %s %v", w.Code, w.Header().Get("Location"), cookie)
	}
	if w := s.ask("GET", "/", cookie[0].Value, nil); w.Body.String() != "inside as lan" {
		t.Errorf("after the login: %q", w.Body)
	}
	for _, back := range []string{"//evil.example/", "https://evil.example", `/\evil.example`, "javascript:alert(1)", "/a\nSet-Cookie: x=y"} {
		w := s.ask("POST", "/login", "", url.Values{"name": {"lan"}, "password": {good}, "back": {back}})
		if w.Header().Get("Location") != "/" {
			t.Errorf("back to %q leads to %q", back, w.Header().Get("Location"))
		}
	}
	for _, c := range []url.Values{{"name": {"lan"}, "password": {"wrong password"}}, {"name": {"nobody"}, "password": {good}}, {"name": {`<script>"`}, "password": {""}}, {}} {
		w := s.ask("POST", "/login", "", c)
		if w.Code != http.StatusUnauthorized || len(w.Result().Cookies()) != 0 || !strings.Contains(w.Body.String(), "Name or password is not right") || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%v: %d %v", c, w.Code, w.Result().Cookies())
		}
	}
	if w := s.ask("POST", "/login", "", url.Values{"name": {"lan"}, "password": {good}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); w.Code != http.StatusForbidden {
		t.Errorf("another site logs in: %d", w.Code)
	}
	w = s.ask("POST", "/logout", cookie[0].Value, url.Values{})
	if w.Code != http.StatusSeeOther || s.ask("GET", "/", cookie[0].Value, nil).Code != http.StatusSeeOther {
		t.Error("the session outlives the logout")
	}
	trail := strings.Join(s.trail, "\n")
	for _, want := range []string{"lan login ", "lan login_failed ", "nobody login_failed "} {
		if !strings.Contains(trail, want) {
			t.Errorf("the trail lacks %q:\n%s", want, trail)
		}
	}
}

func TestTokensAreForProgramsOnly(t *testing.T) {
	d, c := openDB(t)
	s := newSite(t, d, nil)
	session := user(t, d, "lan", RoleAnalyst)
	w := s.ask("POST", "/account/tokens", session, url.Values{"label": {"<b>script"}, "days": {"10"}, "scope": {"read"}})
	secret := regexp.MustCompile(`qingyuan_[A-Z2-7]{26}`).FindString(w.Body.String())
	if w.Code != 200 || secret == "" || strings.Contains(w.Body.String(), "<b>script") {
		t.Fatalf("%d, secret %q", w.Code, secret)
	}
	ask := func(method, path, token string) int {
		return s.ask(method, path, "", nil, "Authorization", "Bearer "+token, "Sec-Fetch-Site", "").Code
	}
	for _, x := range []struct {
		method, path string
		want         int
	}{{"GET", "/api/records", 200}, {"GET", "/export.csv", 403}, {"POST", "/api/records/1/triage", 403}, {"GET", "/", 401}, {"GET", "/account", 401}, {"GET", "/users", 401}} {
		if got := ask(x.method, x.path, secret); got != x.want {
			t.Errorf("%s %s with a token: %d, want %d", x.method, x.path, got, x.want)
		}
	}
	for _, bad := range []string{"", "x", "qingyuan_AAAAAAAAAAAAAAAAAAAAAAAAAA", session} {
		if got := ask("GET", "/api/records", bad); got != 401 {
			t.Errorf("token %q: %d", bad, got)
		}
	}
	for _, form := range []url.Values{{"label": {"x"}, "days": {"10"}}, {"label": {"x"}, "days": {"10"}, "scope": {"manage"}}, {"label": {"x"}, "days": {"0"}, "scope": {"read"}}, {"label": {"x"}, "days": {"9999"}, "scope": {"read"}}} {
		if w := s.ask("POST", "/account/tokens", session, form); w.Code < 400 {
			t.Errorf("%v: %d", form, w.Code)
		}
	}
	tokens, err := d.Tokens(t.Context(), "lan")
	if err != nil || len(tokens) != 1 {
		t.Fatalf("%v %v", tokens, err)
	}
	other := user(t, d, "mei", RoleAnalyst)
	if s.ask("POST", "/account/tokens/"+tokens[0].ID+"/revoke", other, url.Values{}); ask("GET", "/api/records", secret) != 200 {
		t.Error("another user revoked the token")
	}
	if s.ask("POST", "/account/tokens/"+tokens[0].ID+"/revoke", session, url.Values{}); ask("GET", "/api/records", secret) != 401 {
		t.Error("a revoked token works")
	}
	later, err := d.NewToken(t.Context(), "lan", "", []Permission{Read}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.add(2 * time.Hour)
	if ask("GET", "/api/records", later) != 401 {
		t.Error("a token outlives its time")
	}
}

func TestUsersPage(t *testing.T) {
	d, _ := openDB(t)
	s := newSite(t, d, nil)
	admin := user(t, d, "root", RoleAdmin)
	w := s.ask("POST", "/users", admin, url.Values{"name": {"Mei"}, "role": {"analyst"}})
	link := regexp.MustCompile(`/welcome/[A-Z2-7]{26}`).FindString(w.Body.String())
	if w.Code != 200 || link == "" {
		t.Fatalf("%d: no link", w.Code)
	}
	if w := s.ask("GET", link, "", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "mei") {
		t.Fatalf("the link is answered %d", w.Code)
	}
	if w := s.ask("POST", link, "", url.Values{"password": {good}, "again": {good + "x"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("different passwords: %d", w.Code)
	}
	if w := s.ask("POST", link, "", url.Values{"password": {"short"}, "again": {"short"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a weak password: %d", w.Code)
	}
	w = s.ask("POST", link, "", url.Values{"password": {good}, "again": {good}})
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
		t.Fatalf("setting the password: %d", w.Code)
	}
	mei := w.Result().Cookies()[0].Value
	if w := s.ask("GET", link, "", nil); w.Code != http.StatusNotFound {
		t.Errorf("the link again: %d", w.Code)
	}
	for _, form := range []url.Values{{"name": {"mei"}, "role": {"analyst"}}, {"name": {"../x"}, "role": {"analyst"}}, {"name": {"new"}, "role": {"god"}}} {
		if w := s.ask("POST", "/users", admin, form); w.Code < 400 {
			t.Errorf("%v: %d", form, w.Code)
		}
	}
	if w := s.ask("POST", "/users/mei", admin, url.Values{"role": {"analyst"}, "disabled": {"1"}}); w.Code != 200 || s.ask("GET", "/", mei, nil).Code != http.StatusSeeOther {
		t.Error("a disabled user is let in")
	}
	if w := s.ask("POST", "/users/root", admin, url.Values{"role": {"analyst"}}); w.Code != http.StatusConflict {
		t.Errorf("the last admin demotes himself: %d", w.Code)
	}
	if trail := strings.Join(s.trail, "\n"); !strings.Contains(trail, "root user_made mei analyst") || !strings.Contains(trail, "root user_changed mei analyst disabled=true") {
		t.Errorf("trail:\n%s", trail)
	}
}

func TestAddressesBehindProxies(t *testing.T) {
	d, _ := openDB(t)
	s := newSite(t, d, func(o *Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for _, c := range []struct{ remote, forwarded, want string }{
		{"203.0.113.9:1", "1.2.3.4", "203.0.113.9"},
		{"10.0.0.1:1", "1.2.3.4", "1.2.3.4"},
		{"10.0.0.1:1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"},
		{"10.0.0.1:1", "junk", "10.0.0.1"},
		{"10.0.0.1:1", "", "10.0.0.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.addr(r); got != c.want {
			t.Errorf("%s forwarded for %q comes from %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestATrailThatFailsRefuses(t *testing.T) {
	d, _ := openDB(t)
	user(t, d, "lan", RoleAnalyst)
	s := newSite(t, d, func(o *Options) {
		o.Trail = func(context.Context, string, string, string) error { return errors.New("disk full") }
	})
	if w := s.ask("POST", "/login", "", url.Values{"name": {"lan"}, "password": {good}}); w.Code != http.StatusInternalServerError || len(w.Result().Cookies()) != 0 {
		t.Errorf("a login that cannot be noted is answered %d", w.Code)
	}
}

func TestEveryWordIsThere(t *testing.T) {
	d, _ := openDB(t)
	s := newSite(t, d, nil)
	admin := user(t, d, "root", RoleAdmin)
	for _, lang := range []string{"zh", "en"} {
		for _, path := range []string{"/login", "/account", "/users"} {
			w := s.ask("GET", path, admin, nil, "Cookie", cookieName+"="+admin+"; qingyuan_lang="+lang)
			if w.Code != 200 || strings.Contains(w.Body.String(), "%!") {
				t.Errorf("%s in %s: %d", path, lang, w.Code)
			}
		}
	}
	for key, w := range words {
		if w[0] == "" || w[1] == "" || strings.Count(w[0], "%") != strings.Count(w[1], "%") {
			t.Errorf("%s: %q", key, w)
		}
	}
}
