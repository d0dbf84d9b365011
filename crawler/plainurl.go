package crawler

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// Nearly all addresses on pages are plain: nothing in them is to be decoded,
// encoded or left out. Those are taken apart and put together here; the parser
// of the standard does the rest. FuzzPlainURL compares the two.

// baseURL is what references are relative to. It is not changed once made.
type baseURL struct {
	full   func() (*whatwg.Url, error) // parsed when it is needed
	origin string                      // scheme and host; "" when the URL is not plain
	folder string                      // the path up to its last slash
}

// plainBase is newBase of what whatwg.Parse makes of a plain URL.
func plainBase(raw string) (*baseURL, bool) {
	scheme, host, path, _, ok := splitPlain(raw)
	if !ok {
		return nil, false
	}
	return &baseURL{
		full:   sync.OnceValues(func() (*whatwg.Url, error) { return whatwg.Parse(raw) }),
		origin: scheme + "://" + host, folder: path[:strings.LastIndexByte(path, '/')+1],
	}, true
}

func newBase(u *whatwg.Url) *baseURL {
	b := &baseURL{full: func() (*whatwg.Url, error) { return u, nil }}
	abs := u.Href(false)
	parsed, err := url.Parse(abs)
	if s := u.Scheme(); err != nil || s != "http" && s != "https" || parsed.Host == "" || u.Username() != "" || u.Password() != "" {
		return b
	}
	path := u.Pathname()
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 || !strings.HasPrefix(abs, u.Scheme()+"://"+u.Host()+path) || !plainPath(path) {
		return b
	}
	b.origin, b.folder = u.Scheme()+"://"+u.Host(), path[:slash+1]
	return b
}

// join resolves a plain reference; ok is false for all others.
func (b *baseURL) join(ref string) (abs string, ok bool) {
	if b.origin == "" || ref == "" || ref[0] == '?' || strings.HasPrefix(ref, "//") || !plainTarget(ref) {
		return "", false
	}
	if ref[0] == '/' {
		return b.origin + ref, true
	}
	return b.origin + b.folder + ref, true
}

// plainTarget tells path and query of which nothing is to be changed.
func plainTarget(s string) bool {
	path, query, _ := strings.Cut(s, "?")
	if strings.HasSuffix(s, "?") {
		return false
	}
	for i := range len(query) {
		if c := query[i]; !plainByte(c) && c != '/' {
			return false
		}
	}
	return plainPath(path)
}

// plainPath is plainTarget for a path. Segments that begin with a dot may lead
// elsewhere.
func plainPath(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c == '.':
			if i == 0 || path[i-1] == '/' {
				return false
			}
		case c != '/' && !plainByte(c):
			return false
		}
	}
	return true
}

func plainByte(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '=' || c == '&' || c == '~'
}

// splitPlain takes a plain http or https URL apart; host is with the port.
func splitPlain(raw string) (scheme, host, path, query string, ok bool) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return "", "", "", "", false
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 || !plainTarget(rest[slash:]) || !plainHost(scheme, rest[:slash]) {
		return "", "", "", "", false
	}
	path, query, _ = strings.Cut(rest[slash:], "?")
	return scheme, rest[:slash], path, query, true
}

// plainHost tells a host in the form that the standard gives it.
func plainHost(scheme, host string) bool {
	name, port, with := strings.Cut(host, ":")
	if with {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || strconv.FormatUint(n, 10) != port || n == 80 && scheme == "http" || n == 443 && scheme == "https" {
			return false
		}
	}
	if len(name) > 200 {
		return false
	}
	label := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '.' {
			if c := name[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
			continue
		}
		part := name[label:i]
		if part == "" || len(part) > 60 || part[0] == '-' || part[len(part)-1] == '-' || len(part) > 3 && part[2:4] == "--" {
			return false
		}
		if last := i == len(name); last && part[0] <= '9' {
			a, err := netip.ParseAddr(name)
			return err == nil && a.Is4() && a.String() == name
		}
		label = i + 1
	}
	return true
}
