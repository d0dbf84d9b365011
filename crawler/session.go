package crawler

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// SessionStatus says how a site's session stands.
type SessionStatus struct {
	Source   string    `json:"source"`
	Account  string    `json:"account"`
	LoggedIn time.Time `json:"logged_in,omitzero"` // last login that succeeded; zero: never
	Failed   int       `json:"failed,omitempty"`   // logins in a row that failed, or opened nothing
	Next     time.Time `json:"next,omitzero"`      // no login before
	Stopped  time.Time `json:"stopped,omitzero"`   // since when nothing is asked for; zero: it runs
	Why      string    `json:"why,omitempty"`      // it is stopped, or the last login failed
	URL      string    `json:"url,omitempty"`      // page that stopped it
	Cookies  int       `json:"cookies"`            // how many are kept
}

// sessionFile is what is kept of a session: the status, the cookies, and which
// export of the operator's they began with.
type sessionFile struct {
	SessionStatus
	Imported string        `json:"imported,omitempty"` // SHA-256 of cookies_file or cookies_env
	Saved    []savedCookie `json:"saved,omitempty"`
}

// session is one site's. It is safe for concurrent use.
type session struct {
	path  string // of its file; "" is not kept
	audit *sessionLog
	log   *slog.Logger
	now   func() time.Time
	jar   *siteJar

	login sync.Mutex // one login at a time

	mu      sync.Mutex
	f       sessionFile
	read    time.Time // of the file's last change that we know
	written time.Time
	used    int       // requests for pages since the last line about them
	told    time.Time // of that line
	checked time.Time
}

// sessions holds those of all sources.
type sessions struct {
	dir string
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	list map[string]*session
}

// of gives the session of a source, reading what was kept of it.
func (x *sessions) of(s *Source) *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	if se := x.list[s.Name]; se != nil {
		se.mu.Lock()
		se.f.Account = s.Session.Account // the config may have been edited
		se.mu.Unlock()
		return se
	}
	se := &session{log: x.log, now: x.now, jar: newSiteJar(x.now), audit: &sessionLog{dir: x.dir, log: x.log, now: x.now}}
	if x.dir != "" {
		se.path = sessionPath(x.dir, s.Name)
	}
	if err := se.load(); err != nil {
		x.log.Error("what was kept of a session could not be read; it begins anew", "source", s.Name, "err", err)
	}
	se.f.Source, se.f.Account = s.Name, s.Session.Account
	if x.list == nil {
		x.list = map[string]*session{}
	}
	x.list[s.Name] = se
	return se
}

func sessionPath(dir, source string) string { return filepath.Join(dir, source+".json") }

// load reads the file when it has changed since; se.mu is held or se is new.
func (se *session) load() error {
	if se.path == "" {
		return nil
	}
	info, err := os.Stat(se.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().Equal(se.read) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := readSessionFile(se.path)
	if err != nil {
		return err
	}
	f.Source, f.Account = orText(se.f.Source, f.Source), orText(se.f.Account, f.Account)
	se.f, se.read = f, info.ModTime()
	se.jar.add(f.Saved)
	se.jar.list()
	se.f.Saved = nil
	return nil
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func readSessionFile(path string) (sessionFile, error) {
	var f sessionFile
	data, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return sessionFile{}, fmt.Errorf("%s is damaged; remove it to begin anew", path) // the mistake might show a cookie
	}
	return f, nil
}

// save writes the file, readable by its owner alone. With durable it is on the
// disk when save returns. se.mu is held.
func (se *session) save(durable bool) {
	if se.path == "" {
		return
	}
	cookies, _ := se.jar.list()
	f := se.f
	f.Saved, f.Cookies = cookies, len(cookies)
	if err := writeSessionFile(se.path, f, durable); err != nil {
		se.log.Error("a session could not be written; it is lost with this process", "source", f.Source, "err", err)
		return
	}
	se.written = se.now()
	if info, err := os.Stat(se.path); err == nil {
		se.read = info.ModTime()
	}
}

func writeSessionFile(path string, f sessionFile, durable bool) error {
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made with 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if durable {
		err = errors.Join(err, tmp.Sync())
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

const (
	saveCookiesEvery = 10 * time.Second // at most, while nothing else happens
	lookForCookies   = 10 * time.Second // how often cookies_file is looked at
	logUseEvery      = time.Hour
)

// noteUse counts a page fetched under the session and writes changed cookies
// from time to time.
func (se *session) noteUse() {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.used++
	if since := se.now().Sub(se.told); se.told.IsZero() {
		se.told = se.now()
	} else if since >= logUseEvery {
		se.logUse()
	}
	if se.now().Sub(se.written) < saveCookiesEvery {
		return
	}
	se.flush()
}

// flush writes cookies that have changed; se.mu is held.
func (se *session) flush() {
	if _, changed := se.jar.list(); changed {
		se.save(false)
	}
}

func (se *session) logUse() {
	if se.used > 0 {
		se.audit.write(SessionEvent{Source: se.f.Source, Account: se.f.Account, Event: "used", Pages: se.used})
		se.used, se.told = 0, se.now()
	}
}

// end writes what is left at the end of a crawl.
func (x *sessions) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, se := range x.list {
		se.mu.Lock()
		se.logUse()
		se.flush()
		se.mu.Unlock()
	}
}

// takeCookies reads the operator's cookies when they are not those that were
// read before. New ones mean that the operator has been there: a session that
// is stopped goes on.
func (se *session) takeCookies(s *Source) error {
	r := s.Session
	if r.CookiesFile == "" && r.CookiesEnv == "" {
		return nil
	}
	now := se.now()
	if se.f.Stopped.IsZero() && !se.checked.IsZero() && now.Sub(se.checked) < lookForCookies {
		return nil
	}
	text, err := Secret{File: r.CookiesFile, Env: r.CookiesEnv}.read()
	if err != nil {
		return fmt.Errorf("reading the session's cookies: %w", err)
	}
	sum := sha256.Sum256([]byte(text))
	if hex.EncodeToString(sum[:]) == se.f.Imported {
		se.checked = now
		return nil
	}
	site, err := url.Parse(s.Seeds[0])
	if err != nil {
		return err
	}
	cookies, err := parseCookies(text, site, s.hostInScope)
	if err != nil {
		return fmt.Errorf("reading the session's cookies in %s: %w", orText(r.CookiesFile, "$"+r.CookiesEnv), err)
	}
	se.checked = now
	se.jar.add(cookies)
	se.f.Imported, se.f.Stopped, se.f.Why, se.f.URL, se.f.Failed, se.f.Next = hex.EncodeToString(sum[:]), time.Time{}, "", "", 0, time.Time{}
	se.f.LoggedIn = now
	se.save(true)
	se.audit.write(SessionEvent{Source: se.f.Source, Account: se.f.Account, Event: "cookies", Detail: fmt.Sprintf("%d cookies taken from %s", len(cookies), orText(r.CookiesFile, "$"+r.CookiesEnv))})
	return nil
}

// hostInScope reports whether a cookie's domain has to do with one of the hosts.
func (s *Source) hostInScope(host string) bool {
	for _, h := range s.Hosts {
		name, _ := splitHost(h)
		name = strings.TrimPrefix(name, "*.")
		if name == host || strings.HasSuffix(name, "."+host) || strings.HasSuffix(host, "."+name) {
			return true
		}
	}
	return false
}

// stop ends all requests under the session until the operator has been there.
func (se *session) stop(why, url string) {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.f.Stopped, se.f.Why, se.f.URL = se.now(), why, url
	se.logUse()
	se.save(true)
	se.audit.write(SessionEvent{Source: se.f.Source, Account: se.f.Account, Event: "stopped", URL: url, Detail: why})
	se.log.Error("session is stopped: nothing is asked of the site until somebody has looked", "source", se.f.Source, "account", se.f.Account, "why", why, "url", url,
		"remedy", "log in with a browser and export new cookies, or qingyuan session resume "+se.f.Source)
}

// stopped says why nothing may be asked of the site; "" when it may. What the
// operator has done since is looked at.
func (se *session) stopped(s *Source) (why string, err error) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if !se.f.Stopped.IsZero() {
		was := se.f.Source
		if err := se.load(); err != nil {
			return "", fmt.Errorf("reading the session of %s: %w", was, err)
		}
	}
	if err := se.takeCookies(s); err != nil {
		return "", err
	}
	if se.f.Stopped.IsZero() {
		return "", nil
	}
	return se.f.Why, nil
}

// Sessions lists what is kept of sessions in a folder, by source; none when
// there is no such folder.
func Sessions(dir string) ([]SessionStatus, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	var out []SessionStatus
	for _, path := range files {
		f, err := readSessionFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading a session: %w", err)
		}
		out = append(out, f.SessionStatus)
	}
	return out, nil
}

// ResumeSession lets a stopped session of a source go on; a crawl that runs takes
// it up within a minute. by is who says so, for the log.
func ResumeSession(dir, source, by string) error {
	path := sessionPath(dir, source)
	f, err := readSessionFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no session of %s is kept in %s", source, dir)
	}
	if err != nil {
		return fmt.Errorf("reading the session: %w", err)
	}
	if f.Stopped.IsZero() && f.Failed == 0 {
		return fmt.Errorf("the session of %s is not stopped", source)
	}
	f.Stopped, f.Why, f.URL, f.Failed, f.Next = time.Time{}, "", "", 0, time.Time{}
	if err := writeSessionFile(path, f, true); err != nil {
		return fmt.Errorf("writing the session: %w", err)
	}
	log := sessionLog{dir: dir, log: slog.New(slog.DiscardHandler), now: time.Now}
	log.write(SessionEvent{Source: source, Account: f.Account, Event: "resumed", Detail: "by " + by})
	return nil
}
