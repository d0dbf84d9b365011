package crawler

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"

	"qingyuan/crawler/transport"
)

var reEnvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ownHeaders are fields that the crawler sets itself.
var ownHeaders = map[string]string{
	"host": "remove it", "content-length": "remove it", "transfer-encoding": "remove it", "connection": "remove it",
	"accept-encoding": "remove it", "range": "remove it", "user-agent": "write it as user_agent",
}

// access checks how a site is reached: headers, proxy, certificates, session.
// Files and variables are not read: they are there where the crawl runs.
func (c *sourceCheck) access() {
	s := c.src
	for name, value := range s.Headers {
		c.headerName(name, "headers", name)
		if !httpguts.ValidHeaderFieldValue(value) {
			c.add(fmt.Sprintf("header %q cannot be sent", name), "use one line as the value", "headers", name)
		}
		switch strings.ToLower(name) {
		case "cookie":
			c.add("cookies are secrets", "name the file that holds them: session: {cookies_file: FILE}", "headers", name)
		case "authorization", "proxy-authorization":
			c.add(fmt.Sprintf("header %q is a secret", name), fmt.Sprintf("name the file that holds it: secret_headers: {%s: {file: FILE}}", name), "headers", name)
		}
	}
	for name, secret := range s.SecretHeaders {
		c.headerName(name, "secret_headers", name)
		c.secret(secret, "secret_headers", name)
		if strings.EqualFold(name, "cookie") {
			c.add("cookies are kept by the session", "name the file that holds them: session: {cookies_file: FILE}", "secret_headers", name)
		}
	}
	if s.UserAgent != "" {
		if err := (transport.HostPolicy{UserAgent: s.UserAgent}).Validate(); err != nil {
			c.add(err.Error(), "write a name such as Partner/1.0 (+https://example.com/contact)", "user_agent")
		}
	}
	c.proxy()
	if s.Session != nil {
		c.session(s.Session)
	}
}

func (c *sourceCheck) headerName(name string, path ...any) {
	if !httpguts.ValidHeaderFieldName(name) {
		c.add(fmt.Sprintf("header %q cannot be sent", name), "use letters, digits and hyphens in the name", path...)
		return
	}
	if remedy := ownHeaders[strings.ToLower(name)]; remedy != "" {
		c.add(fmt.Sprintf("header %q is the crawler's own", name), remedy, path...)
	}
}

func (c *sourceCheck) secret(s Secret, path ...any) {
	if (s.File == "") == (s.Env == "") {
		c.add("a secret stands in one place", "write {file: FILE} or {env: NAME}", path...)
		return
	}
	c.envName(s.Env, append(path, "env")...)
}

func (c *sourceCheck) envName(name string, path ...any) {
	if name != "" && !reEnvName.MatchString(name) {
		c.add(fmt.Sprintf("%q is no name of an environment variable", name), "use letters, digits and _", path...)
	}
}

func (c *sourceCheck) proxy() {
	p := c.src.Proxy
	if p == nil {
		return
	}
	if setOf(p.URL != "", p.URLFile != "", p.URLEnv != "") != 1 {
		c.add("a proxy needs one of url, url_file and url_env", "write url: socks5://proxy.example.com:1080, or url_file when it has a password", "proxy")
	}
	c.envName(p.URLEnv, "proxy", "url_env")
	if p.URL == "" {
		return
	}
	if err := (transport.HostPolicy{Proxy: p.URL}).Validate(); err != nil {
		c.add(err.Error(), "write http://host:port, https://host:port or socks5://host:port", "proxy", "url")
		return
	}
	if u, err := url.Parse(p.URL); err == nil && u.User != nil {
		c.add("the proxy's password is a secret", "write the whole URL into a file and name that as url_file", "proxy", "url")
	}
}

func setOf(set ...bool) (n int) {
	for _, b := range set {
		if b {
			n++
		}
	}
	return n
}

func (c *sourceCheck) session(r *SessionRule) {
	if r.CookiesFile != "" && r.CookiesEnv != "" {
		c.add("cookies stand in one place", "keep cookies_file or cookies_env", "session")
	}
	c.envName(r.CookiesEnv, "session", "cookies_env")
	if len(r.Account) > 64 || strings.ContainsFunc(r.Account, func(x rune) bool { return x < ' ' || x == 0x7f }) {
		c.add("account is no short name", "write a name of one line, such as duty-account-2; never the password", "session", "account")
	}
	if r.Account == "" {
		r.Account = c.src.Name
	}
	if r.Login == nil {
		return
	}
	l := r.Login
	u, ok := c.ownURL(l.URL, "session", "login", "url")
	if len(l.Fields)+len(l.Secrets) == 0 {
		c.add("the login fills in nothing", "write fields: {username: NAME} and secrets: {password: {file: FILE}}", "session", "login")
	}
	for name := range l.Fields {
		if strings.Contains(strings.ToLower(name), "passw") {
			c.add(fmt.Sprintf("field %q is a secret", name), fmt.Sprintf("write secrets: {%s: {file: FILE}}", name), "session", "login", "fields", name)
		}
		if _, twice := l.Secrets[name]; twice {
			c.add(fmt.Sprintf("field %q is given twice", name), "keep it in fields or in secrets", "session", "login", "fields", name)
		}
	}
	for name, secret := range l.Secrets {
		c.secret(secret, "session", "login", "secrets", name)
	}
	if l.Form != "" {
		l.form = c.selector(l.Form, "session", "login", "form")
	}
	if l.Form != "" && l.Direct {
		c.add("direct posts without a form", "remove form or direct", "session", "login", "form")
	}
	c.success(&l.Success)
	if ok && u.Scheme == "http" && !c.src.AllowPrivate {
		c.add("a login over http shows the password to everybody on the way", "write the https URL", "session", "login", "url")
	}
}

func (c *sourceCheck) success(l *LoginSuccess) {
	if l.URL != "" {
		c.ownURL(l.URL, "session", "login", "success", "url")
	}
	if setOf(l.Text != "", l.Select != "") != 1 {
		c.add("success needs one of text and select", "name what only members see, such as select: 'a[href*=logout]'", "session", "login", "success")
	}
	if l.Text != "" && len([]rune(strings.TrimSpace(l.Text))) < 2 {
		c.add(fmt.Sprintf("%q would fit nearly every page", l.Text), "write a longer text", "session", "login", "success", "text")
	}
	if l.Select != "" {
		l.sel = c.selector(l.Select, "session", "login", "success", "select")
	}
}

// ownURL checks a URL that has to be on one of the source's hosts.
func (c *sourceCheck) ownURL(raw string, path ...any) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.add(fmt.Sprintf("%q is no URL that can be fetched", raw), "write an absolute https URL", path...)
		return nil, false
	}
	if !c.src.inScope(u) {
		c.add(fmt.Sprintf("%q is not on one of the hosts", raw), fmt.Sprintf("add %q to hosts", u.Host), path...)
		return nil, false
	}
	return u, true
}
