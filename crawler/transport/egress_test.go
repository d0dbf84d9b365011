package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// labProxy is a proxy for CONNECT, absolute URLs and SOCKS5. It connects
// wherever it is told and notes where that was.
type labProxy struct {
	addr string
	user string // "name:password"; "" asks for none

	mu    sync.Mutex
	asked []string
}

func newLabProxy(t *testing.T, user string) *labProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &labProxy{addr: l.Addr().String(), user: user}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *labProxy) url(scheme string) string {
	u := url.URL{Scheme: scheme, Host: p.addr}
	if name, password, ok := strings.Cut(p.user, ":"); ok {
		u.User = url.UserPassword(name, password)
	}
	return u.String()
}

func (p *labProxy) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.asked
	p.asked = nil
	return got
}

func (p *labProxy) note(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, target)
}

func (p *labProxy) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	first, err := in.Peek(1)
	if err != nil {
		return
	}
	if first[0] == 5 {
		p.socks(c, in)
		return
	}
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	if name, password, ok := strings.Cut(p.user, ":"); ok {
		r := http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}
		if n, pw, _ := r.BasicAuth(); n != name || pw != password {
			io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return
		}
	}
	if req.Method != http.MethodConnect {
		p.note(req.URL.String())
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 17\r\nConnection: close\r\n\r\nthrough the proxy")
		return
	}
	p.note(req.Host)
	up, err := net.Dial("tcp", req.Host)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	p.pipe(c, in, up)
}

func (p *labProxy) pipe(c net.Conn, in io.Reader, up net.Conn) {
	defer up.Close()
	go func() { io.Copy(up, in); up.Close() }()
	io.Copy(c, up)
}

// socks speaks as much of RFC 1928 and 1929 as a client needs.
func (p *labProxy) socks(c net.Conn, in *bufio.Reader) {
	head := make([]byte, 2)
	io.ReadFull(in, head)
	io.CopyN(io.Discard, in, int64(head[1]))
	if p.user == "" {
		c.Write([]byte{5, 0})
	} else {
		c.Write([]byte{5, 2})
		io.ReadFull(in, head)
		name := make([]byte, head[1])
		io.ReadFull(in, name)
		n, _ := in.ReadByte()
		password := make([]byte, n)
		io.ReadFull(in, password)
		if string(name)+":"+string(password) != p.user {
			c.Write([]byte{1, 1})
			return
		}
		c.Write([]byte{1, 0})
	}
	req := make([]byte, 4)
	if _, err := io.ReadFull(in, req); err != nil {
		return
	}
	host := ""
	switch req[3] {
	case 1, 4:
		b := make([]byte, map[byte]int{1: 4, 4: 16}[req[3]])
		io.ReadFull(in, b)
		addr, _ := netip.AddrFromSlice(b)
		host = addr.String()
	case 3:
		n, _ := in.ReadByte()
		b := make([]byte, n)
		io.ReadFull(in, b)
		host = string(b)
	}
	port := make([]byte, 2)
	io.ReadFull(in, port)
	target := net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(port)))
	p.note(target)
	up, err := net.Dial("tcp", target)
	if err != nil {
		c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	p.pipe(c, in, up)
}

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
		lab := newLabProxy(t, user)
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
			{"socks5", "http://" + lab.addr + "/x", false, ""}, // the proxy itself is for the operator, not for pages
			{"http", "https://" + lab.addr + "/x", false, ""},
			{"http", "http://" + lab.addr + "/x", true, ""},
		} {
			dns := &fakeDNS{names: map[string][]string{
				// The second look-up leads inside: whoever asks a second time is caught.
				"example.com": {"127.0.0.1", "127.0.0.2"}, "inside.example": {"10.0.0.1"}, "metadata.example": {"169.254.169.254"},
			}}
			// One family only, so that one request makes one look-up of the script.
			p := HostPolicy{Hosts: []string{"*"}, Proxy: lab.url(tt.scheme), ProxyResolves: tt.resolves, RootCAs: ca,
				AllowPrivate: []string{"127.0.0.1:" + plainPort, "127.0.0.1:" + securePort}}
			tr := newTransport(t, Options{Resolver: dns.resolver()})
			req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", tt.url, nil)
			resp, err := tr.RoundTrip(req)
			got := strings.Join(lab.targets(), " ")
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
	lab := newLabProxy(t, "qingyuan:"+password)
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
			proxy = lab.url(scheme)
		}
		if err := do(proxy, site.URL+"/x"); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	for _, proxy := range []string{
		"http://qingyuan:" + password + "@127.0.0.1:1", "socks5://qingyuan:" + password + "@127.0.0.1:1", "https://qingyuan:" + password + "@127.0.0.1:1",
		"http://other:" + password + "@" + lab.addr, "socks5://other:" + password + "@" + lab.addr, "https://qingyuan:" + password + "@" + lab.addr,
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
