package crawler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/transport"
)

const testPassword = "Geheim-Pa55wort"

// memberSite is a forum whose threads are for members, with a login form.
type memberSite struct {
	*testSite

	mu     sync.Mutex
	valid  string   // value of the cookie that lets in; "" lets nobody in
	logins []string // forms received, encoded
	fields url.Values
}

func newMemberSite(t *testing.T, threads int) *memberSite {
	m := &memberSite{testSite: newTestSite(t, threads)}
	const page = "text/html; charset=utf-8"
	m.on("/login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", page)
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `<html><title>用户登录</title><form id="search" method="get"><input name="q"></form>
				<form name="login" method="post" action="/login?do=1"><input type="hidden" name="formhash" value="f00f"><input name="username"><input type="password" name="password">
				<input type="checkbox" name="cookietime" value="2592000" checked><input type="submit" name="go" value="登录"></form>`)
			return
		}
		r.ParseForm()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.logins, m.fields = append(m.logins, r.PostForm.Encode()), r.PostForm
		if r.PostForm.Get("password") != testPassword || r.PostForm.Get("formhash") != "f00f" {
			fmt.Fprint(w, `<html><title>提示信息</title><div id="messagetext">登录失败，您还可以尝试 4 次</div>`)
			return
		}
		m.valid = fmt.Sprintf("member-%d", len(m.logins))
		http.SetCookie(w, &http.Cookie{Name: "auth", Value: m.valid, Path: "/", HttpOnly: true})
		fmt.Fprint(w, `<html><title>提示信息</title>欢迎您回来 <a href="/logout?formhash=x">退出</a>`)
	})
	for i := range threads {
		m.on(fmt.Sprintf("/thread-%d.html", i+1), m.thread)
	}
	return m
}

func (m *memberSite) thread(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("auth")
	m.mu.Lock()
	in := err == nil && m.valid != "" && c.Value == m.valid
	m.mu.Unlock()
	if !in {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<html><title>提示信息</title><div id="messagetext">抱歉，您需要登录后才能继续本操作</div>`)
		return
	}
	m.page(w, r)
}

func (m *memberSite) posts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.logins)
}

// member is the site's config with a login; more is added to it.
func (m *memberSite) member(t *testing.T, password, more string, lines ...string) *Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := fmt.Sprintf(`session: {account: duty-2, login: {url: %q, fields: {username: qingyuan}, secrets: {password: {file: %q}}, success: {select: 'a[href*=logout]'}%s}}`, m.URL+"/login", file, more)
	return m.source(t, "bbs", append(lines, login)...)
}

// sessionRig keeps sessions in a folder and takes down what is logged.
func sessionRig(t *testing.T) (*rig, *bytes.Buffer) {
	r := patientRig(t)
	r.opts.SessionDir = filepath.Join(r.dir, "sessions")
	logged := &bytes.Buffer{}
	r.opts.Logger = slog.New(slog.NewTextHandler(&lockedWriter{b: logged}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.opts.Wall = Backoff{Base: time.Minute, Max: time.Hour}
	return r, logged
}

// patientRig has the transport's own timeouts: on a busy machine a page that is
// well may take its time.
func patientRig(t *testing.T) *rig {
	r := newRig(t)
	tr, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	r.opts.Transport = tr
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (r *rig) sessionEvents(t *testing.T) (names []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.opts.SessionDir, SessionLogFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var e SessionEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.At.IsZero() || e.Source != "bbs" || e.Account != "duty-2" {
			t.Errorf("log line %s: %v", line, err)
		}
		names = append(names, e.Event)
	}
	return names
}

func TestLoginOnceAndKeepTheCookies(t *testing.T) {
	site := newMemberSite(t, 12)
	r, logged := sessionRig(t)
	src := site.member(t, testPassword, "")
	wantCounts(t, r.crawl(src), 14, 36)
	if site.posts() != 1 || site.fields.Get("cookietime") != "2592000" || site.fields.Get("username") != "qingyuan" || site.fields.Has("q") {
		t.Errorf("forms sent: %v", site.logins)
	}
	// A new process goes on under the same cookies.
	wantCounts(t, r.crawl(src), 14, 36)
	if n := site.posts(); n != 1 {
		t.Errorf("%d logins after a restart, want 1", n)
	}
	if got := strings.Join(r.sessionEvents(t), " "); got != "login used used" {
		t.Errorf("log of use: %s", got)
	}
	status, err := Sessions(r.opts.SessionDir)
	if err != nil || len(status) != 1 || status[0].Cookies != 1 || status[0].LoggedIn.IsZero() {
		t.Errorf("Sessions: %+v, %v", status, err)
	}
	err = filepath.WalkDir(r.opts.SessionDir, func(path string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v: others can read it", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if strings.Contains(logged.String(), testPassword) || strings.Contains(logged.String(), "member-1") {
		t.Errorf("a secret in the log:\n%s", logged)
	}
}

// A session that is lost in the middle costs one login, and no page.
func TestLostSession(t *testing.T) {
	site := newMemberSite(t, 12)
	var seen atomic.Int32
	site.on("/thread-3.html", func(w http.ResponseWriter, req *http.Request) {
		if seen.Add(1) == 1 {
			site.mu.Lock()
			site.valid = "somebody else's"
			site.mu.Unlock()
		}
		site.thread(w, req)
	})
	r, _ := sessionRig(t)
	wantCounts(t, r.crawl(site.member(t, testPassword, "")), 14, 36)
	if n := site.posts(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	if got := strings.Join(r.sessionEvents(t), " "); got != "login lost login used" {
		t.Errorf("log of use: %s", got)
	}
}

// A page that is beyond the account's rights costs one login in vain, not one
// each time, and none when the page itself shows that we are in.
func TestPageBeyondOurRights(t *testing.T) {
	for more, want := range map[string]int{"": 2, `<a href="/logout">退出</a>`: 1} {
		site := newMemberSite(t, 12)
		for _, n := range []int{2, 5, 8} {
			site.on(fmt.Sprintf("/thread-%d.html", n), func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprint(w, `<html><title>提示信息</title><div id="messagetext">抱歉，您所在的用户组没有权限浏览，您需要登录</div>`+more)
			})
		}
		r, _ := sessionRig(t)
		r.crawl(site.member(t, testPassword, ""))
		if n := site.posts(); n != want {
			t.Errorf("%q: %d logins, want %d", more, n, want)
		}
		if n := len(r.basket.ids()); n != 27 {
			t.Errorf("%q: %d posts, want 27", more, n)
		}
	}
}

// A wrong password is tried once, then the site is left alone, also by the next
// process: accounts are locked for less.
func TestWrongPassword(t *testing.T) {
	site := newMemberSite(t, 3)
	r, logged := sessionRig(t)
	src := site.member(t, "falsch-"+testPassword, "")
	for range 3 {
		s, err := r.run(src)
		if err != nil || s.Pages != 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, testPassword) || !strings.Contains(text, "login failed") {
			t.Errorf("the summary says %s", text)
		}
	}
	if n := site.posts(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	if strings.Contains(logged.String(), testPassword) || !strings.Contains(logged.String(), "login failed") {
		t.Errorf("log:\n%s", logged)
	}
	if r.saw(EventWall, "") == 0 {
		t.Error("no alarm")
	}
}

// After a captcha nothing more is asked of the site under the session: by no
// other worker, on no other host, and not by the next process, until somebody
// has looked.
func TestNothingAfterACaptcha(t *testing.T) {
	for name, risk := range map[string]http.HandlerFunc{
		"page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, `<html><title>安全验证</title><p>请完成验证后继续访问</p>`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/captcha/verify?x=1", http.StatusFound)
		},
		"status": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cf-Mitigated", "challenge")
			w.WriteHeader(http.StatusForbidden)
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := newMemberSite(t, 12)
			var met atomic.Bool
			var after atomic.Int32
			site.testSite.mu.Lock()
			site.testSite.after = func() {
				if met.Load() {
					after.Add(1)
				}
			}
			site.testSite.mu.Unlock()
			site.on("/thread-4.html", func(w http.ResponseWriter, r *http.Request) {
				risk(w, r)
				met.Store(true)
				after.Add(-1) // this one itself
			})
			r, _ := sessionRig(t)
			src := site.member(t, testPassword, "")
			for range 3 {
				if s, err := r.run(src); err != nil || s.Pages == 14 {
					t.Fatalf("%+v, %v", s, err)
				}
			}
			if n := after.Load(); n != 0 || !met.Load() {
				t.Errorf("%d requests after the captcha, want 0", n)
			}
			if got := strings.Join(r.sessionEvents(t), " "); got != "login used stopped" {
				t.Errorf("log of use: %s", got)
			}
			met.Store(false)
			site.on("/thread-4.html", site.thread)
			if err := ResumeSession(r.opts.SessionDir, "bbs", "an analyst"); err != nil {
				t.Fatal(err)
			}
			if s := r.crawl(src); s.Pages != 14 {
				t.Errorf("after it was resumed: %d pages, want 14 (%+v)", s.Pages, s.Errors)
			}
		})
	}
}

// A login page that asks for a captcha, or leads away, gets no password.
func TestHostileLoginPages(t *testing.T) {
	var stolen atomic.Int32
	thief := newTestSite(t, 0)
	thief.on("/steal", func(_ http.ResponseWriter, r *http.Request) { stolen.Add(1) })
	away := strings.Replace(thief.URL, "127.0.0.1", "localhost", 1) + "/steal"
	form := func(action string) string {
		return `<html><title>x</title><form method="post" action="` + action + `"><input type="hidden" name="formhash" value="f00f"><input type="password" name="password"></form>`
	}
	for name, tt := range map[string]struct{ get, post, want string }{
		"form to another host":      {form(away), "", "nothing was sent"},
		"form to a private address": {form("http://169.254.169.254/"), "", "nothing was sent"},
		"form to another scheme":    {form("javascript:alert(1)"), "", "nothing was sent"},
		"form by get":               {`<form action="/login"><input type="password" name="password"></form>`, "", "sent by GET"},
		"no form":                   {"<p>wartung</p>", "", "no form with a password field"},
		"captcha":                   {`<html><title>安全验证</title><p>请完成验证</p>`, "", "captcha"},
		"sent on":                   {form("/login"), away, "sent on to"},
		"not the page of a member":  {form("/login"), "/list-1.html", "does not show what success names"},
	} {
		t.Run(name, func(t *testing.T) {
			site := newMemberSite(t, 3)
			passwords := 0
			site.on("/login", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				if r.Method == http.MethodGet {
					fmt.Fprint(w, tt.get)
					return
				}
				passwords++
				code := http.StatusTemporaryRedirect // the form is sent again
				if strings.HasPrefix(tt.post, "/") {
					code = http.StatusFound
				}
				http.Redirect(w, r, tt.post, code)
			})
			r, logged := sessionRig(t)
			host := strings.TrimPrefix(site.URL, "http://")
			src := site.member(t, testPassword, "", fmt.Sprintf("hosts: [%q, %q]", host, strings.TrimSuffix(strings.TrimPrefix(away, "http://"), "/steal")))
			s, err := r.run(src)
			if err != nil || s.Pages != 0 || !strings.Contains(fmt.Sprintf("%+v", s.Errors), tt.want) {
				t.Errorf("%d pages, %+v, %v; want %q", s.Pages, s.Errors, err, tt.want)
			}
			if tt.post == "" && passwords != 0 {
				t.Error("the password was sent")
			}
			if strings.Contains(logged.String(), testPassword) {
				t.Error("the password is in the log")
			}
		})
	}
	if stolen.Load() != 0 {
		t.Errorf("%d passwords stolen", stolen.Load())
	}
}

// Cookies that the operator exports are used, and used again when they change.
func TestCookiesOfTheOperator(t *testing.T) {
	site := newMemberSite(t, 12)
	site.valid = "from-the-browser"
	file := filepath.Join(t.TempDir(), "cookies.txt")
	write := func(value string) {
		t.Helper()
		text := "# Netscape HTTP Cookie File\r\n\r\n.elsewhere.example\tTRUE\t/\tTRUE\t0\tother\tx\r\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tauth\t" + value + "\r\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("from-the-browser")
	r, _ := sessionRig(t)
	src := site.source(t, "bbs", fmt.Sprintf("session: {account: duty-2, cookies_file: %q}", file))
	wantCounts(t, r.crawl(src), 14, 36)
	site.mu.Lock()
	site.valid = "newer"
	site.mu.Unlock()
	if s, _ := r.run(src); s.Pages > 2 {
		t.Errorf("%d pages under cookies that are over", s.Pages)
	}
	write("newer")
	if s := r.crawl(src); s.Pages < 12 {
		t.Errorf("%d pages under new cookies: %+v", s.Pages, s.Errors)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s, err := r.run(src)
	if err != nil || s.Pages != 0 || !strings.Contains(fmt.Sprintf("%+v", s), "reading the session's cookies") {
		t.Errorf("without the file: %+v, %v", s, err)
	}
}

// Without a session the cookies of a page are forgotten after it, those of a
// redirect are not.
func TestCookiesWithoutASession(t *testing.T) {
	site, r := newTestSite(t, 3), patientRig(t)
	var carried atomic.Int32
	site.on("/thread-1.html", func(w http.ResponseWriter, req *http.Request) {
		if _, err := req.Cookie("gate"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "gate", Value: "1", Path: "/"})
			http.Redirect(w, req, "/thread-1.html", http.StatusFound)
			return
		}
		site.page(w, req)
	})
	site.on("/thread-2.html", func(w http.ResponseWriter, req *http.Request) {
		carried.Add(int32(len(req.Cookies())))
		site.page(w, req)
	})
	wantCounts(t, r.crawl(site.source(t, "x")), 4, 9)
	if carried.Load() != 0 {
		t.Error("a cookie of one page was sent with another")
	}
}

func TestFormsAreWrittenInTheirCharset(t *testing.T) {
	for charset, encode := range map[string]func(string) string{
		"utf-8": func(s string) string { return s },
		"gbk": func(s string) string {
			out, _ := simplifiedchinese.GBK.NewEncoder().String(s)
			return out
		},
	} {
		for _, where := range []string{`<meta charset="` + charset + `">`, `<meta http-equiv=Content-Type content="text/html; charset=` + charset + `">`} {
			rule := LoginRule{URL: "http://bbs.example/l"}
			v := url.Values{"username": {"值班员"}}
			page := "<html><head>" + where + `</head><form method=POST action="?a=1#x"><input type=password name=p><select name=q><option value=0>无<option value=1 selected>母亲</select><input type=radio name=r value=1><textarea name=t>x</textarea></form>`
			action, got, err := rule.fill(Page{URL: "http://bbs.example/l", Body: []byte(page)}, v, "")
			if err != nil || action != "http://bbs.example/l?a=1" {
				t.Fatalf("%s, %v", action, err)
			}
			body, err := encodeForm(v, got)
			want := url.Values{"username": {encode("值班员")}, "p": {""}, "q": {"1"}, "t": {"x"}}.Encode()
			if err != nil || body != want {
				t.Errorf("%s: %s, %v; want %s", where, body, err, want)
			}
		}
	}
	if _, err := encodeForm(url.Values{"name": {"𠮷😀"}}, "big5"); err == nil || strings.Contains(err.Error(), "😀") {
		t.Errorf("what the charset does not have: %v", err)
	}
}

// Nothing that a site does to its pages shows a secret to what reads them.
func TestSecretsAreNowhere(t *testing.T) {
	site := newMemberSite(t, 3)
	r, logged := sessionRig(t)
	var kept strings.Builder
	var mu sync.Mutex
	tr, err := transport.New(transport.Options{Robots: true, Logger: r.opts.Logger, OnBody: func(_ context.Context, x *transport.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&kept, "%s %+v %s\n", x.URL, x, x.Raw)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.opts.Transport = tr
	t.Setenv("QINGYUAN_TEST_TOKEN", "token-4711")
	src := site.member(t, testPassword, "", "secret_headers: {X-Token: {env: QINGYUAN_TEST_TOKEN}}")
	s := r.crawl(src)
	wantCounts(t, s, 4, 9)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := os.ReadFile(filepath.Join(r.dir, "frontier.db"))
	if err != nil {
		t.Fatal(err)
	}
	events, err := os.ReadFile(filepath.Join(r.opts.SessionDir, SessionLogFile))
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"archive": kept.String(), "log": logged.String(), "frontier": string(db), "log of use": string(events), "summary": fmt.Sprintf("%+v", s)} {
		for _, secret := range []string{testPassword, "token-4711", "member-1"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", where, secret)
			}
		}
	}
	if !strings.Contains(kept.String(), "Session:duty-2") || strings.Contains(kept.String(), "/login") {
		t.Errorf("the archive names the session, and holds no login: %.500s", kept.String())
	}
}

func TestAccessMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"headers: {Cookie: a=b}":                                                 "session: {cookies_file: FILE}",
		"headers: {Authorization: Bearer}":                                       "secret_headers: {Authorization: {file: FILE}}",
		"headers: {User-Agent: x}":                                               "write it as user_agent",
		"secret_headers: {X-A: {}}":                                              "write {file: FILE} or {env: NAME}",
		"secret_headers: {X-A: {file: a, env: B}}":                               "a secret stands in one place",
		"secret_headers: {X-A: {env: 'a b'}}":                                    "is no name of an environment variable",
		"user_agent: '1/2'":                                                      "does not begin with a product name",
		"proxy: {}":                                                              "one of url, url_file and url_env",
		"proxy: {url: 'http://u:geheim@p.example:1'}":                            "name that as url_file",
		"proxy: {url: 'ftp://p.example'}":                                        "socks5://host:port",
		"session: {cookies_file: a, cookies_env: B}":                             "cookies stand in one place",
		"session: {login: {url: 'https://b.example.com/l'}}":                     "is not on one of the hosts",
		"session: {login: {url: 'http://a.example.com/l', success: {text: 退出}}}": "over http",
		"session: {login: {url: 'https://a.example.com/l', fields: {password: x}, success: {text: 退出}}}":                        "is a secret",
		"session: {login: {url: 'https://a.example.com/l', fields: {user: x}}}":                                                 "success needs one of",
		"session: {login: {url: 'https://a.example.com/l', fields: {user: x}, success: {text: 退出, url: 'https://x.example/'}}}": "is not on one of the hosts",
	} {
		_, err := ReadSource("a.yaml", []byte(sourceHead+"pages: [{name: p, match: '^/p$', follow: [a]}]\n"+line+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestAccessThatCannotBeRead(t *testing.T) {
	site, r := newTestSite(t, 3), patientRig(t)
	s := r.crawl(site.source(t, "x", "proxy: {url_file: /nowhere/proxy}"))
	if s.Pages != 0 || !strings.Contains(fmt.Sprintf("%+v", s.Errors), "reading proxy: open /nowhere/proxy") || len(site.requests) != 0 {
		t.Errorf("%+v; %d requests", s, len(site.requests))
	}
}

func FuzzParseCookies(f *testing.F) {
	f.Add("# Netscape HTTP Cookie File\n.example.com\tTRUE\t/\tTRUE\t0\ta\tb\n#HttpOnly_x\tFALSE\t/\tFALSE\t99999999999999\tc\td")
	f.Add("Cookie: a=1; b=\"2\"")
	f.Add("a\t\t\t\t-1\t\t")
	f.Fuzz(func(t *testing.T, text string) {
		cookies, err := parseCookies(text, &url.URL{Scheme: "https", Host: "bbs.example.com"}, func(host string) bool { return strings.HasSuffix(host, "example.com") })
		if err == nil && len(cookies) == 0 {
			t.Fatal("neither cookies nor an error")
		}
		jar := newSiteJar(time.Now)
		jar.add(cookies)
		list, _ := jar.list()
		if _, err := json.Marshal(list); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzLoginForm(f *testing.F) {
	f.Add(`<form method=post action="//x"><input type=password name=p><select name=s><option>`)
	f.Add(`<meta content="charset=;charset="><form method=POST action="http://[::1"><input type=PASSWORD>`)
	f.Fuzz(func(t *testing.T, page string) {
		v := url.Values{"p": {"x"}}
		rule := LoginRule{URL: "https://bbs.example.com/login"}
		action, charset, err := rule.fill(Page{URL: "https://bbs.example.com/login", Body: []byte(page)}, v, "")
		if err != nil {
			return
		}
		if u, err := url.Parse(action); err != nil || originOf(u) != "https://bbs.example.com" {
			t.Fatalf("the form leads to %q", action)
		}
		encodeForm(v, charset)
	})
}

// The other hosts of the site are left alone as well: the account is one.
func TestACaptchaStopsEveryHost(t *testing.T) {
	site, second := newMemberSite(t, 12), newTestSite(t, 40)
	var met atomic.Bool
	var after atomic.Int32
	count := func() {
		if met.Load() {
			after.Add(1)
		}
	}
	site.testSite.after, second.after = count, count
	site.on("/thread-2.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<html><title>安全验证</title><p>请完成验证后继续访问</p>`)
		met.Store(true)
		after.Add(-1)
	})
	r, _ := sessionRig(t)
	r.opts.Workers = 1 // what another worker has asked for already cannot be taken back
	hosts := fmt.Sprintf("hosts: [%q, %q]", strings.TrimPrefix(site.URL, "http://"), strings.TrimPrefix(second.URL, "http://"))
	seeds := fmt.Sprintf("seeds: [%q, %q]", site.URL+"/list-1.html", second.URL+"/list-1.html")
	for range 2 {
		if _, err := r.run(site.member(t, testPassword, "", hosts, seeds)); err != nil {
			t.Fatal(err)
		}
	}
	if n := after.Load(); n != 0 || !met.Load() {
		t.Errorf("%d requests after the captcha, want 0", n)
	}
	if n := second.requested("/thread-40.html"); n != 0 {
		t.Error("the other host was crawled to its end: the test shows nothing")
	}
}
