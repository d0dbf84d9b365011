package crawler

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/http/httpguts"

	"qingyuan/crawler/transport"
)

// Secret says where a secret stands: in a file, whose last line break does not
// count, or in an environment variable. A site config never holds one itself.
type Secret struct {
	File string `yaml:"file"`
	Env  string `yaml:"env"`
}

// ProxyRule is the proxy that a site is fetched through. Exactly one of URL,
// URLFile and URLEnv is set.
type ProxyRule struct {
	URL      string `yaml:"url"`      // http, https or socks5, without a password
	URLFile  string `yaml:"url_file"` // file that holds the URL, with a password if need be
	URLEnv   string `yaml:"url_env"`  // environment variable that does
	Resolves bool   `yaml:"resolves"` // only the proxy can look names up; it has to refuse private addresses itself
}

// SessionRule says that a site is read as somebody whom it knows. What the site
// sets as cookies is then kept over restarts; without a session it is forgotten
// after each page.
type SessionRule struct {
	Account     string     `yaml:"account"`      // named in the log of use and with each record; the source's name by default
	CookiesFile string     `yaml:"cookies_file"` // cookies.txt of a browser, or one line "a=1; b=2"
	CookiesEnv  string     `yaml:"cookies_env"`  // environment variable with the same
	Login       *LoginRule `yaml:"login"`        // how to log in; nil: the cookies are all there is
}

// LoginRule says how to log in: the form on URL is filled in and sent.
type LoginRule struct {
	URL     string            `yaml:"url"`     // page with the form
	Form    string            `yaml:"form"`    // selector of the form; the first one with a password field by default
	Direct  bool              `yaml:"direct"`  // there is no form: the fields are posted to URL
	Fields  map[string]string `yaml:"fields"`  // by name, such as username
	Secrets map[string]Secret `yaml:"secrets"` // by name, such as password
	Success LoginSuccess      `yaml:"success"` // how it is known that we are in

	form cascadia.Selector
}

// LoginSuccess says how a page for members is told: by Text or Select, whichever
// is set.
type LoginSuccess struct {
	URL    string `yaml:"url"`    // page to look at; "" is the answer to the form
	Text   string `yaml:"text"`   // stands on it for members only
	Select string `yaml:"select"` // CSS selector of what only members see

	sel cascadia.Selector
}

// maxSecret is the largest secret, in bytes: a browser's cookies.txt is one.
const maxSecret = 1 << 20

// read gives the secret. Its errors say where it was looked for, never what was
// found.
func (s Secret) read() (string, error) {
	if s.Env != "" {
		v, ok := os.LookupEnv(s.Env)
		if !ok || v == "" {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return v, nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxSecret:
		return "", fmt.Errorf("%s is over %d bytes", s.File, maxSecret)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s is empty", s.File)
	}
	return text, nil
}

// access is how a site may be reached, its secrets read.
type access struct {
	policy transport.HostPolicy
	err    error
	until  time.Time // read anew then
}

// accesses remembers the access of each source for a while, so that a secret
// that was changed is taken up without a restart. It is safe for concurrent use.
type accesses struct {
	mu   sync.Mutex
	list map[*Source]access
}

const accessKept = 30 * time.Second

// of gives the policy of a source.
func (a *accesses) of(s *Source) (transport.HostPolicy, error) {
	if s.Proxy == nil && s.CAFile == "" && len(s.SecretHeaders) == 0 {
		return policyOf(s), nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if x, ok := a.list[s]; ok && now.Before(x.until) {
		return x.policy, x.err
	}
	for old, x := range a.list {
		if now.After(x.until) {
			delete(a.list, old)
		}
	}
	if a.list == nil {
		a.list = map[*Source]access{}
	}
	x := access{policy: policyOf(s), until: now.Add(accessKept)}
	x.err = s.readAccess(&x.policy)
	a.list[s] = x
	return x.policy, x.err
}

// readAccess reads proxy, certificates and secret headers into a policy.
func (s *Source) readAccess(p *transport.HostPolicy) error {
	var errs []error
	if s.Proxy != nil {
		p.ProxyResolves = s.Proxy.Resolves
		p.Proxy = s.Proxy.URL
		if p.Proxy == "" {
			text, err := Secret{File: s.Proxy.URLFile, Env: s.Proxy.URLEnv}.read()
			if err != nil {
				errs = append(errs, fmt.Errorf("reading proxy: %w", err))
			}
			p.Proxy = strings.TrimSpace(text)
		}
	}
	if s.CAFile != "" {
		pem, err := Secret{File: s.CAFile}.read()
		if err != nil {
			errs = append(errs, fmt.Errorf("reading ca_file: %w", err))
		}
		p.RootCAs = []byte(pem)
	}
	for name, secret := range s.SecretHeaders {
		v, err := secret.read()
		if err != nil || !httpguts.ValidHeaderFieldValue(v) {
			errs = append(errs, fmt.Errorf("reading secret_headers.%s: %w", name, errors.Join(err, oneLineOnly(v))))
			continue
		}
		if p.SecretHeader == nil {
			p.SecretHeader = http.Header{}
		}
		p.SecretHeader.Set(name, v)
	}
	p.SecretOrigins = s.origins()
	return errors.Join(append(errs, p.Validate())...)
}

func oneLineOnly(v string) error {
	if httpguts.ValidHeaderFieldValue(v) {
		return nil
	}
	return errors.New("its value is not one line of text")
}

// origins are where secrets go: those of the seeds and of the login.
func (s *Source) origins() []string {
	all := s.Seeds
	if s.Session != nil && s.Session.Login != nil {
		all = append(all[:len(all):len(all)], s.Session.Login.URL)
	}
	var out []string
	for _, raw := range all {
		if u, err := url.Parse(raw); err == nil {
			out = append(out, originOf(u))
		}
	}
	return out
}

func originOf(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// riskError is a redirect to a page that wants to know whether we are a person.
// It is not followed: no request is made after such an answer.
type riskError struct{ wall wall }

func (e *riskError) Error() string { return e.wall.why }

// redirected decides on a redirect, in place of colly's and net/http's own rule.
func (s *Source) redirected(req *http.Request, via []*http.Request) error {
	target := req.URL.String()
	if w, ok := s.wallByURL(target); ok && risky(w.kind) {
		if _, fits := s.Rule(target); !fits {
			return &riskError{w}
		}
	}
	if len(via) >= 10 {
		return http.ErrUseLastResponse
	}
	return nil
}

// risky reports whether a wall is meant for us: what is asked after it makes
// things worse for the account and for the address.
func risky(kind WallKind) bool {
	return kind == WallCaptcha || kind == WallChallenge || kind == WallFirewall
}
