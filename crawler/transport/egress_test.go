package transport

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"qingyuan/crawler/hostiletest"
)

// Through every kind of proxy the name is looked up here, judged, and the proxy
// given the very address that was judged; a refused target is never named to
// the proxy.
func TestProxyGetsCheckedAddresses(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "host "+r.Host) }))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(plain.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	_, plainPort, _ := net.SplitHostPort(plain.Listener.Addr().String())
	_, securePort, _ := net.SplitHostPort(secure.Listener.Addr().String())
	for _, user := range []string{"", "qingyuan:geheim-Pa55"} {
		lab := hostiletest.NewProxy(t, user)
		for _, tt := range []struct {
			scheme, url string
			resolves    bool
			want        string // what the proxy was asked for; "": nothing, and the request fails
		}{
			{"http", "https://example.com:" + securePort + "/x", false, "127.0.0.1:" + securePort},
			{"socks5", "https://example.com:" + securePort + "/x", false, "127.0.0.1:" + securePort},
			{"socks5", "http://example.com:" + plainPort + "/x", false, "127.0.0.1:" + plainPort},
			{"socks5h", "http://example.com:" + plainPort + "/x", false, "127.0.0.1:" + plainPort},
			{"http", "https://inside.example/x", false, ""},
			{"http", "https://[::ffff:10.0.0.1]/x", false, ""},
			{"http", "https://169.254.169.254/x", true, ""},
			{"http", "https://localhost:6379/x", true, ""},
			{"socks5", "http://inside.example/x", false, ""},
			{"socks5", "https://inside.example/x", false, ""},
			{"socks5", "http://10.0.0.1/x", true, ""},
			{"socks5", "http://metadata.example/x", false, ""},
			{"socks5", "http://" + lab.Addr + "/x", false, ""}, // the proxy itself is for the operator, not for pages
			{"http", "https://" + lab.Addr + "/x", false, ""},
			{"http", "http://" + lab.Addr + "/x", true, ""},
		} {
			dns := hostiletest.NewDNS(map[string][]string{
				// The second look-up leads inside: whoever asks a second time is caught.
				"example.com": {"127.0.0.1", "127.0.0.2"}, "inside.example": {"10.0.0.1"}, "metadata.example": {"169.254.169.254"},
			})
			// One family only, so that one request makes one look-up of the script.
			p := HostPolicy{Hosts: []string{"*"}, Proxy: lab.URL(tt.scheme), ProxyResolves: tt.resolves, RootCAs: ca,
				AllowPrivate: []string{"127.0.0.1:" + plainPort, "127.0.0.1:" + securePort}}
			tr := newTransport(t, Options{Resolver: dns.Resolver()})
			req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", tt.url, nil)
			resp, err := tr.RoundTrip(req)
			got := strings.Join(lab.Targets(), " ")
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%s by %s: the proxy was asked for %q, want %q (%v)", tt.url, tt.scheme, got, tt.want, err)
			}
			if err == nil {
				if body, _ := io.ReadAll(resp.Body); !strings.HasPrefix(string(body), "host example.com:") {
					t.Errorf("%s by %s: the site saw %q", tt.url, tt.scheme, body)
				}
				continue
			}
			if refused, scope := (*AddressError)(nil), (*ScopeError)(nil); !errors.As(err, &refused) && !errors.As(err, &scope) {
				t.Errorf("%s by %s: untyped error %v", tt.url, tt.scheme, err)
			}
		}
	}
}

// No error, log line or exchange holds the proxy's password or what the site's
// secret fields say, whatever goes wrong.
func TestSecretsStayInside(t *testing.T) {
	const password, token, cookie = "geheim-Pa55", "token-9f8e7d", "cookie-1a2b3c"
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth") != token || !strings.Contains(r.Header.Get("Cookie"), cookie) {
			t.Errorf("the site was not sent its secrets: %v", r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "auth", Value: cookie + "-2", Path: "/", HttpOnly: true})
		io.WriteString(w, "ok")
	}))
	defer site.Close()
	var logged bytes.Buffer
	var seen strings.Builder
	lab := hostiletest.NewProxy(t, "qingyuan:"+password)
	opts := Options{Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnBody: func(_ context.Context, x *Exchange) error { fmt.Fprintf(&seen, "%+v\n", x); return nil }}
	tr := newTransport(t, opts)
	base := localPolicy(site)
	base.SecretHeader, base.SecretOrigins, base.Session = http.Header{"x-auth": {token}}, []string{site.URL}, "member 7"
	do := func(proxy, target string) error {
		p := base
		p.Proxy, p.Jar = proxy, jarWith(site.URL, "sid="+cookie)
		p.Hosts = append([]string{"*.example"}, p.Hosts...)
		req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", target, nil)
		_, err := tr.RoundTrip(req)
		if err != nil {
			fmt.Fprintf(&seen, "%v %+v\n", err, err)
		}
		return err
	}
	for _, scheme := range []string{"", "socks5"} {
		proxy := ""
		if scheme != "" {
			proxy = lab.URL(scheme)
		}
		if err := do(proxy, site.URL+"/x"); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	for _, proxy := range []string{
		"http://qingyuan:" + password + "@127.0.0.1:1", "socks5://qingyuan:" + password + "@127.0.0.1:1", "https://qingyuan:" + password + "@127.0.0.1:1",
		"http://other:" + password + "@" + lab.Addr, "socks5://other:" + password + "@" + lab.Addr, "https://qingyuan:" + password + "@" + lab.Addr,
		"ftp://qingyuan:" + password + "@x", "http://qingyuan:" + password + "@[bad", "qingyuan:" + password,
	} {
		for _, target := range []string{"http://127.0.0.1:1/", "https://www.example/", site.URL} {
			if err := do(proxy, target); err == nil && !strings.HasPrefix(proxy, "http://") {
				t.Errorf("%s by a proxy that cannot work: no error", target)
			}
		}
	}
	for _, secret := range []string{password, token, cookie} {
		if strings.Contains(seen.String(), secret) || strings.Contains(logged.String(), secret) {
			t.Errorf("%s is told:\n%s\n%s", secret, seen.String(), logged.String())
		}
	}
	if !strings.Contains(seen.String(), "auth="+Redacted+"; Path=/; HttpOnly") || !strings.Contains(seen.String(), "Session:member 7") {
		t.Errorf("what is not secret is not told:\n%s", seen.String())
	}
}

// A secret field goes to the origins it is for, not to other hosts of the site,
// nor over plain http to where it is meant for https; not even after a redirect.
func TestSecretsStayWithTheirOrigin(t *testing.T) {
	var mu sync.Mutex
	got := map[string]string{}
	handler := func(name string, to *string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			got[name] = r.Header.Get("Authorization") + "|" + r.Header.Get("X-Site") + "|" + r.Header.Get("Cookie")
			mu.Unlock()
			if to != nil {
				http.Redirect(w, r, *to, http.StatusFound)
			}
		}
	}
	other := httptest.NewServer(handler("other", nil))
	defer other.Close()
	target := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/"
	site := httptest.NewServer(handler("site", &target))
	defer site.Close()
	p := HostPolicy{
		Hosts:        []string{strings.TrimPrefix(site.URL, "http://"), "localhost:*"},
		AllowPrivate: []string{"127.0.0.0/8:*", "[::1]:*"}, Header: http.Header{"X-Site": {"1"}},
		SecretHeader: http.Header{"Authorization": {"Bearer t"}}, SecretOrigins: []string{site.URL}, Jar: jarWith(site.URL, "sid=1"),
	}
	client := &http.Client{Transport: newTransport(t, Options{})}
	req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", site.URL, nil)
	if _, err := client.Do(req); err != nil {
		t.Fatal(err)
	}
	if got["site"] != "Bearer t|1|sid=1" || got["other"] != "|1|" {
		t.Errorf("sent: %q", got)
	}
	p.SecretOrigins = []string{strings.Replace(site.URL, "http:", "https:", 1)}
	req, _ = http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", site.URL, nil)
	if _, err := client.Do(req); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got["site"], "|") {
		t.Errorf("meant for https, sent over http: %q", got)
	}
}

func TestRedactSetCookie(t *testing.T) {
	for in, want := range map[string]string{
		"sid=abc; Path=/; HttpOnly": "sid=" + Redacted + "; Path=/; HttpOnly",
		"sid=abc":                   "sid=" + Redacted,
		"sid=a=b=c;Secure":          "sid=" + Redacted + ";Secure",
		"justavalue":                "=" + Redacted,
		"":                          "=" + Redacted,
	} {
		if got := redactSetCookie(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The site's own user agent is what it is told, and what its robots.txt is read
// for.
func TestUserAgentOfASite(t *testing.T) {
	var told string
	s := newSite(t, answer(200, "User-agent: partner\nDisallow: /\n\nUser-agent: *\nDisallow: /b\n"))
	s.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			told = r.UserAgent()
			next.ServeHTTP(w, r)
		})
	}(s.Config.Handler)
	tr := newTransport(t, Options{Robots: true})
	for _, tt := range []struct {
		agent, path string
		allowed     bool
	}{
		{"", "/a", true}, {"Partner/2.0", "/a", false}, {"Mozilla/5.0 (compatible; X)", "/a", true}, {"Mozilla/5.0", "/b", false}, {"Qingyuan/9", "/a", true},
	} {
		p := HostPolicy{Hosts: []string{s.addr()}, AllowPrivate: []string{s.addr()}, UserAgent: tt.agent}
		req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", s.URL+tt.path, nil)
		_, err := tr.RoundTrip(req)
		if (err == nil) != tt.allowed || err == nil && tt.agent != "" && told != tt.agent {
			t.Errorf("%q for %s: %v, told %q", tt.agent, tt.path, err, told)
		}
	}
	for _, bad := range []string{"1/2", "a\r\nX: y", "Qing\x00"} {
		if err := (HostPolicy{UserAgent: bad}).Validate(); err == nil {
			t.Errorf("user agent %q is taken", bad)
		}
	}
}

// jarWith is a jar with one cookie of a site.
func jarWith(site, cookie string) http.CookieJar {
	u, _ := url.Parse(site)
	name, value, _ := strings.Cut(cookie, "=")
	return fixedJar{host: u.Host, cookie: &http.Cookie{Name: name, Value: value}}
}

type fixedJar struct {
	host   string
	cookie *http.Cookie
}

func (fixedJar) SetCookies(*url.URL, []*http.Cookie) {}

func (j fixedJar) Cookies(u *url.URL) []*http.Cookie {
	if u.Host == j.host {
		return []*http.Cookie{j.cookie}
	}
	return nil
}
