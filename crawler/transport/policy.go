package transport

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// HostPolicy is what one site's operator decided about fetching it. The zero
// value lets nothing be fetched. It is read only; share it freely.
type HostPolicy struct {
	// Hosts in scope, checked on every hop: "bbs.example.com", with a port
	// "bbs.example.com:8080", all subdomains "*.example.com" (not the name
	// itself), or "*" for any host. Without a port the one usual for the scheme
	// is meant; "bbs.example.com:*" and "*" alone mean every port.
	Hosts []string
	// AllowPrivate names the otherwise refused addresses that may be reached:
	// "127.0.0.1:8080", "127.0.0.1:*", "[fd00::7]:80", "10.2.0.0/16",
	// "10.2.0.0/16:9000", "10.2.3.4". Without a port the usual ports are meant.
	// Addresses of cloud metadata services must be named singly.
	AllowPrivate []string
	// AllowPorts names further ports of public addresses; see DefaultPorts.
	AllowPorts []int
	// Header is added to each request and wins over what the request has. It
	// is never sent to a host that is in scope only by "*".
	Header http.Header
	// SecretHeader is added as Header is, but only to requests to one of
	// SecretOrigins, and its values are kept out of each Exchange.
	SecretHeader http.Header
	// SecretOrigins are written "https://bbs.example.com" or, with another than
	// the usual port, "http://127.0.0.1:8080".
	SecretOrigins []string
	// UserAgent is sent in place of Options.UserAgent, and robots.txt is read
	// for it; "" for that of the options.
	UserAgent string
	// Session names the account or the cookies under which the site is read; ""
	// for a visitor whom nobody knows. It is recorded with each exchange, whose
	// cookies are then left out.
	Session string
	// Unrecorded keeps exchanges from Options.OnBody: those of a login, which
	// are made of secrets.
	Unrecorded bool
	// Proxy is the URL of an http, https or socks5 proxy; "" for none. The
	// environment is never asked. It may be at any address: the operator named it.
	Proxy string
	// ProxyResolves says that only the proxy can look names up, and that it
	// refuses private addresses itself. Otherwise each name is looked up here,
	// refused when it leads to a refused address, and the proxy is given the
	// address that was checked. Only plain http through an http proxy has to name
	// the host: there the proxy looks it up a second time.
	ProxyResolves bool
	// RobotsOverride, if not empty, is the named reason (a legal basis, the
	// site owner's consent) for which robots.txt is not asked. It is logged
	// and recorded with each exchange.
	RobotsOverride string
	// RootCAs, if not empty, are certificates in PEM that may verify this site's
	// besides those of the options. No certificate goes unverified.
	RootCAs []byte
	// RefuseBinary ends an exchange with *ContentTypeError before the body is
	// read when the content type is not text.
	RefuseBinary bool
	// Charset, if not empty, is the WHATWG name of the charset that the site's
	// text is in, whatever its pages declare. Only a byte order mark overrules it.
	Charset string
	// Jar keeps the site's cookies; nil for none.
	Jar http.CookieJar
}

// DefaultPorts gives the ports that may be reached on public addresses without
// being named in HostPolicy.AllowPorts.
func DefaultPorts() []int { return []int{80, 443, 8000, 8080, 8088, 8443, 8888} }

// Validate checks the parts of the policy that are written by people, all at
// once. The transport refuses requests under an invalid policy.
func (p HostPolicy) Validate() error {
	var errs []error
	for _, h := range p.Hosts {
		if err := validHostPattern(h); err != nil {
			errs = append(errs, err)
		}
	}
	for _, a := range p.AllowPrivate {
		if _, err := parseAllow(a); err != nil {
			errs = append(errs, err)
		}
	}
	for _, port := range p.AllowPorts {
		if port < 1 || port > 65535 {
			errs = append(errs, fmt.Errorf("allow_ports: %d is not a port (1-65535)", port))
		}
	}
	if p.Charset != "" && canonicalCharset(p.Charset) == "" {
		errs = append(errs, fmt.Errorf("charset: %q is not known; write a name such as gb18030 or utf-8", p.Charset))
	}
	if _, err := p.proxyURL(); err != nil {
		errs = append(errs, err)
	}
	if p.UserAgent != "" && (productToken(p.UserAgent) == "" || strings.ContainsAny(p.UserAgent, "\r\n\x00")) {
		errs = append(errs, fmt.Errorf("user_agent: %q does not begin with a product name (letters, - and _)", p.UserAgent))
	}
	if len(p.RootCAs) > 0 && !x509.NewCertPool().AppendCertsFromPEM(p.RootCAs) {
		errs = append(errs, errors.New("root certificates: none in PEM found"))
	}
	return errors.Join(errs...)
}

func validHostPattern(pattern string) error {
	host, port := splitPattern(pattern)
	if port != "" && port != "*" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("hosts: %q: port %q is not a port (1-65535)", pattern, port)
		}
	}
	name := strings.TrimPrefix(host, "*.")
	if host != "*" && (name == "" || strings.ContainsAny(name, "*/?#@ ")) {
		return fmt.Errorf("hosts: %q is not a host name; write bbs.example.com, *.example.com or *", pattern)
	}
	return nil
}

// proxyURL gives nil when there is no proxy. Its errors never show the URL,
// which may hold a password.
func (p HostPolicy) proxyURL() (*url.URL, error) {
	if p.Proxy == "" {
		return nil, nil
	}
	u, err := url.Parse(p.Proxy)
	if err != nil || u.Host == "" {
		return nil, errors.New("proxy: not a URL; write http://host:port or socks5://host:port")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fmt.Errorf("proxy: scheme %q is not supported; use http, https or socks5", u.Scheme)
}

// egressKey is equal for policies whose connections may be shared: a
// connection that one site may open must not be reused by another that may
// not.
func (p HostPolicy) egressKey() string {
	allow := slices.Clone(p.AllowPrivate)
	slices.Sort(allow)
	ports := slices.Clone(p.AllowPorts)
	slices.Sort(ports)
	return fmt.Sprintf("%q %v %q %t %x", allow, ports, p.Proxy, p.ProxyResolves, sha256.Sum256(p.RootCAs))
}

type policyKey struct{}

// WithPolicy gives a context whose requests, redirects included, are made
// under the policy. It wins over Options.Policy.
func WithPolicy(ctx context.Context, p HostPolicy) context.Context {
	return context.WithValue(ctx, policyKey{}, p)
}

func policyFrom(ctx context.Context) (HostPolicy, bool) {
	p, ok := ctx.Value(policyKey{}).(HostPolicy)
	return p, ok
}

const maxURL = 8 << 10 // bytes; longer ones are traps

// checkScope refuses what the policy does not name, before anything is looked
// up. exact tells whether a pattern other than "*" let the host in.
func checkScope(u *url.URL, p HostPolicy) (exact bool, err error) {
	refuse := func(reason string) (bool, error) {
		shown := u.Redacted()
		if len(shown) > 300 {
			shown = shown[:300] + "…"
		}
		return false, &ScopeError{URL: shown, Reason: reason}
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return refuse(fmt.Sprintf("scheme %q is not http or https", u.Scheme))
	}
	if u.User != nil {
		return refuse("the URL carries a user name; credentials belong in the site's headers")
	}
	if len(u.EscapedPath())+len(u.RawQuery) > maxURL {
		return refuse("the URL is longer than 8 KiB")
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return refuse(err.Error())
	}
	inScope := false
	for _, pattern := range p.Hosts {
		if !matchHost(pattern, host, u) {
			continue
		}
		inScope = true
		if pattern != "*" {
			return true, nil
		}
	}
	if !inScope {
		return refuse(fmt.Sprintf("host %q is not among the site's hosts %q", host, p.Hosts))
	}
	return false, nil
}

// canonicalHost gives the ASCII, lower-case host. Addresses written in a way
// that only some resolvers read (127.1, 0x7f000001, 2130706433) are refused.
func canonicalHost(host string) (string, error) {
	if host == "" {
		return "", errors.New("the URL has no host")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), nil
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		// Names with "_" exist; such a name has nothing to map.
		if !isASCII([]byte(host)) || strings.ContainsAny(host, " /\\%@:?#[]") {
			return "", fmt.Errorf("host %q is not a valid name", host)
		}
		ascii = strings.ToLower(host)
	}
	ascii = strings.TrimSuffix(ascii, ".")
	if ascii == "" {
		return "", errors.New("the URL has no host")
	}
	if addr, err := netip.ParseAddr(ascii); err == nil {
		return addr.String(), nil
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || isDigits(last) {
		return "", fmt.Errorf("host %q is a number, not a name or a whole address", host)
	}
	return ascii, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// matchHost compares the canonical host and the port of u with one pattern.
func matchHost(pattern, host string, u *url.URL) bool {
	if pattern == "*" {
		return true
	}
	wantHost, wantPort := splitPattern(pattern)
	if wantPort == "" {
		wantPort = usualPort(u.Scheme)
	}
	if wantPort != "*" && wantPort != portOf(u) {
		return false
	}
	if wantHost == "*" {
		return true
	}
	suffix, isSuffix := strings.CutPrefix(wantHost, "*.")
	canonical, err := canonicalHost(suffix)
	if err != nil {
		return false
	}
	if isSuffix {
		return strings.HasSuffix(host, "."+canonical)
	}
	return host == canonical
}

// splitPattern parts "host:port"; a bare IPv6 address has no port.
func splitPattern(pattern string) (host, port string) {
	if rest, ok := strings.CutPrefix(pattern, "["); ok {
		host, after, _ := strings.Cut(rest, "]")
		return host, strings.TrimPrefix(after, ":")
	}
	if strings.Count(pattern, ":") == 1 {
		host, port, _ = strings.Cut(pattern, ":")
		return host, port
	}
	return pattern, ""
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return usualPort(u.Scheme)
}

func usualPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
