package crawler

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Bounds of what a site may make us remember.
const (
	maxCookies    = 300  // of a site
	maxCookieSize = 8192 // bytes of name and value
)

// newJar gives an empty jar that lets no site set cookies for another.
func newJar() *cookiejar.Jar {
	jar, _ := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List}) // never fails
	return jar
}

// savedCookie is one cookie with the URL that set it, so that it can be set
// again: the jar judges it anew, by its own rules.
type savedCookie struct {
	URL      string    `json:"url"` // scheme, host and path that set it
	Name     string    `json:"name"`
	Value    string    `json:"value"`
	Domain   string    `json:"domain,omitempty"` // "" for the host of URL alone
	Path     string    `json:"path,omitempty"`
	Expires  time.Time `json:"expires,omitzero"` // zero: kept until the session is stopped
	Secure   bool      `json:"secure,omitempty"`
	HTTPOnly bool      `json:"http_only,omitempty"`
}

// siteJar keeps the cookies of one session and can be written down. It is safe
// for concurrent use.
type siteJar struct {
	now func() time.Time

	mu      sync.Mutex
	jar     *cookiejar.Jar
	saved   map[string]savedCookie
	changed bool // since the last list
}

func newSiteJar(now func() time.Time) *siteJar {
	return &siteJar{now: now, jar: newJar(), saved: map[string]savedCookie{}}
}

// Cookies implements http.CookieJar.
func (j *siteJar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.jar.Cookies(u)
}

// SetCookies implements http.CookieJar.
func (j *siteJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	for _, c := range cookies {
		s := savedCookie{URL: from, Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path, Expires: c.Expires, Secure: c.Secure, HTTPOnly: c.HttpOnly}
		switch now := j.now(); {
		case c.MaxAge > 0:
			s.Expires = now.Add(time.Duration(min(c.MaxAge, 400*24*3600)) * time.Second) // RFC 6265bis keeps none for longer
		case c.MaxAge < 0:
			s.Expires = now.Add(-time.Hour)
		}
		j.set(s)
	}
}

// set takes a cookie in; j.mu is held.
func (j *siteJar) set(s savedCookie) {
	u, err := url.Parse(s.URL)
	if err != nil || len(s.Name)+len(s.Value) > maxCookieSize {
		return
	}
	host := strings.ToLower(strings.TrimPrefix(s.Domain, "."))
	if host == "" {
		host = u.Hostname()
	}
	key := host + "\x00" + s.Path + "\x00" + s.Name
	old, known := j.saved[key]
	if !known && len(j.saved) >= maxCookies {
		return
	}
	c := &http.Cookie{Name: s.Name, Value: s.Value, Domain: s.Domain, Path: s.Path, Expires: s.Expires, Secure: s.Secure, HttpOnly: s.HTTPOnly}
	j.jar.SetCookies(u, []*http.Cookie{c})
	if !s.Expires.IsZero() && !s.Expires.After(j.now()) {
		delete(j.saved, key)
		j.changed = j.changed || known
		return
	}
	j.saved[key] = s
	// A time that only moves on is no reason to write.
	j.changed = j.changed || !known || old.Value != s.Value || s.Expires.Sub(old.Expires).Abs() > time.Hour
}

// add sets cookies that were written down, or are the operator's.
func (j *siteJar) add(cookies []savedCookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		j.set(c)
	}
}

// list writes the cookies down, oldest name first; changed tells whether they
// are others than the last time.
func (j *siteJar) list() (cookies []savedCookie, changed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	for key, c := range j.saved {
		if !c.Expires.IsZero() && !c.Expires.After(now) {
			delete(j.saved, key)
			continue
		}
		cookies = append(cookies, c)
	}
	slices.SortFunc(cookies, func(a, b savedCookie) int {
		return strings.Compare(a.URL+"\x00"+a.Name+"\x00"+a.Path, b.URL+"\x00"+b.Name+"\x00"+b.Path)
	})
	changed, j.changed = j.changed, false
	return cookies, changed
}

// parseCookies reads what an operator exports: a browser's cookies.txt
// (Netscape format), or lines of "a=1; b=2", which are for the host of site.
// Cookies of hosts that inScope knows nothing of are passed over. The error
// never shows a value.
func parseCookies(text string, site *url.URL, inScope func(host string) bool) ([]savedCookie, error) {
	var out []savedCookie
	other := 0
	for n, line := range strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n") {
		line = strings.TrimRight(line, "\r")
		httpOnly := false
		if rest, ok := strings.CutPrefix(line, "#HttpOnly_"); ok {
			line, httpOnly = rest, true
		}
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(out) >= maxCookies {
			return nil, fmt.Errorf("line %d: more than %d cookies", n+1, maxCookies)
		}
		if fields := strings.Split(line, "\t"); len(fields) == 7 {
			c, host, err := netscapeCookie(fields)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			if !inScope(host) {
				other++
				continue
			}
			c.HTTPOnly = httpOnly
			out = append(out, c)
			continue
		}
		cookies, err := http.ParseCookie(strings.TrimSpace(strings.TrimPrefix(line, "Cookie:")))
		if err != nil {
			return nil, fmt.Errorf(`line %d: neither seven columns between tabs, as in cookies.txt, nor "name=value; name=value"`, n+1)
		}
		for _, c := range cookies[:min(len(cookies), maxCookies)] {
			out = append(out, savedCookie{URL: originOf(site) + "/", Name: c.Name, Value: c.Value, Path: "/", Secure: site.Scheme == "https"})
		}
	}
	if len(out) == 0 && other > 0 {
		return nil, fmt.Errorf("none of the %d cookies is for a host of this site", other)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no cookie in it")
	}
	return out, nil
}

// netscapeCookie reads domain, subdomains, path, secure, expiry, name, value.
func netscapeCookie(f []string) (c savedCookie, host string, err error) {
	host = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(f[0]), "."))
	seconds, err := strconv.ParseInt(strings.TrimSpace(f[4]), 10, 64)
	if err != nil || host == "" || f[5] == "" || seconds < 0 {
		return c, "", errors.New("no cookie: want domain, TRUE or FALSE, path, TRUE or FALSE, seconds, name, value")
	}
	c = savedCookie{Name: f[5], Value: f[6], Path: f[2], Secure: strings.EqualFold(f[3], "TRUE")}
	if strings.EqualFold(f[1], "TRUE") {
		c.Domain = host
	}
	scheme := "http"
	if c.Secure {
		scheme = "https"
	}
	u, err := url.Parse(scheme + "://" + host + "/")
	if err != nil || u.Hostname() == "" {
		return c, "", errors.New("the domain is no host name")
	}
	c.URL = u.String()
	if seconds > 0 {
		c.Expires = time.Unix(min(seconds, 253402300799), 0) // the year 9999
	}
	return c, u.Hostname(), nil
}
