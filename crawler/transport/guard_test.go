package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"qingyuan/crawler/hostiletest"
)

func TestGuardAddresses(t *testing.T) {
	tests := []struct {
		addr    string
		refused bool
	}{
		{"93.184.216.34:80", false}, {"93.184.216.34:443", false}, {"114.114.114.114:8080", false},
		{"[2606:2800:220:1::1]:443", false}, {"[2400:3200::1]:80", false},
		{"93.184.216.34:22", true}, {"93.184.216.34:6379", true}, {"93.184.216.34:9200", true}, {"93.184.216.34:25", true},
		{"127.0.0.1:80", true}, {"127.255.255.254:80", true}, {"0.0.0.0:80", true}, {"0.1.2.3:80", true},
		{"10.0.0.1:80", true}, {"172.16.0.1:80", true}, {"172.31.255.255:80", true}, {"172.32.0.1:80", false}, {"192.168.1.1:80", true},
		{"100.64.0.1:80", true}, {"100.127.255.255:80", true}, {"100.128.0.1:80", false},
		{"169.254.169.254:80", true}, {"169.254.1.1:80", true}, {"100.100.100.200:80", true}, {"192.0.0.192:80", true},
		{"224.0.0.1:80", true}, {"239.255.255.250:80", true}, {"240.0.0.1:80", true}, {"255.255.255.255:80", true},
		{"192.0.2.1:80", true}, {"198.18.0.1:80", true}, {"198.51.100.7:80", true}, {"203.0.113.9:80", true}, {"192.88.99.1:80", true},
		{"[::]:80", true}, {"[::1]:80", true}, {"[fe80::1]:80", true}, {"[fe80::1%eth0]:80", true}, {"[fec0::1]:80", true},
		{"[fc00::1]:80", true}, {"[fd00:ec2::254]:80", true}, {"[fd12:3456::1]:80", true}, {"[ff02::1]:80", true},
		{"[::ffff:10.0.0.1]:80", true}, {"[::ffff:127.0.0.1]:80", true}, {"[::ffff:93.184.216.34]:80", false},
		{"[::127.0.0.1]:80", true}, {"[::ffff:0:127.0.0.1]:80", true},
		{"[64:ff9b::10.0.0.1]:80", true}, {"[64:ff9b::169.254.169.254]:80", true}, {"[64:ff9b::93.184.216.34]:80", false}, {"[64:ff9b:1::1]:80", true},
		{"[2002:7f00:1::]:80", true}, {"[2002:0a00:0001::1]:80", true}, {"[2002:5db8:d822::1]:80", false},
		{"[2001:0:4136:e378:8000:63bf:3fff:fdd2]:80", true}, {"[2001:db8::1]:80", true}, {"[3fff::1]:80", true}, {"[100::1]:80", true},
		{"[2606:2800::5efe:10.0.0.1]:80", true}, {"[2606:2800::200:5efe:192.168.0.1]:80", true}, {"[5f00::1]:80", true},
	}
	g := &guard{}
	for _, tt := range tests {
		err := g.check("tcp", tt.addr)
		if refused := err != nil; refused != tt.refused {
			t.Errorf("%s: refused = %v (%v), want %v", tt.addr, refused, err, tt.refused)
		}
	}
	if err := g.check("udp4", "93.184.216.34:80"); err == nil {
		t.Error("a network other than TCP is let through")
	}
}

func TestGuardAllowList(t *testing.T) {
	g, err := newGuard(HostPolicy{AllowPrivate: []string{"127.0.0.1:4000", "10.2.0.0/16", "10.3.0.0/16:9000", "[fd00::7]:81", "192.168.1.1:*", "169.254.0.0/16", "100.64.0.0/10:*", "fd20:ce::254"}, AllowPorts: []int{81}})
	if err != nil {
		t.Fatal(err)
	}
	for addr, allowed := range map[string]bool{
		"127.0.0.1:4000": true, "127.0.0.1:4001": false, "127.0.0.2:4000": false, "[::ffff:127.0.0.1]:4000": true, "[::1]:4000": false,
		"10.2.9.9:80": true, "10.2.9.9:81": true, "10.2.9.9:9000": false, "10.3.1.1:9000": true, "10.3.1.1:80": false, "10.4.1.1:80": false,
		"[fd00::7]:81": true, "[fd00::7]:80": false, "192.168.1.1:22": true, "192.168.1.2:80": false,
		"93.184.216.34:81": true, "93.184.216.34:82": false,
		// a range does not name a metadata service, its very address does
		"169.254.169.254:80": false, "169.254.7.7:80": true, "100.100.100.200:80": false, "100.100.100.201:80": true, "[fd20:ce::254]:80": true,
		"[64:ff9b::127.0.0.1]:4000": false,
	} {
		if err := g.check("tcp", addr); (err == nil) != allowed {
			t.Errorf("%s: allowed = %v (%v), want %v", addr, err == nil, err, allowed)
		}
	}
	for _, bad := range []string{"", "localhost:80", "10.0.0.0/33", "10.0.0.1:0", "10.0.0.1:99999", "[fd00::1", "fe80::1%eth0", "::ffff:10.0.0.0/104", "*"} {
		if err := (HostPolicy{AllowPrivate: []string{bad}}).Validate(); err == nil || !strings.Contains(err.Error(), "allow_private") {
			t.Errorf("allow_private %q: err = %v, want one naming the field", bad, err)
		}
	}
}

func newTransport(t testing.TB, opts Options) *Transport {
	t.Helper()
	tr, err := New(opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// allowing gives a policy for any host that may reach one private address.
func allowing(addrs ...string) func(string) HostPolicy {
	return func(string) HostPolicy { return HostPolicy{Hosts: []string{"*"}, AllowPrivate: addrs} }
}

func TestGuardEveryHop(t *testing.T) {
	var target atomic.Value
	good, port, connects := hostiletest.GoodAndVictim(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, target.Load().(string), http.StatusFound)
	}))
	dns := hostiletest.NewDNS(map[string][]string{
		"inside.example": {"127.0.0.2"}, "meta.example": {"169.254.169.254"}, "six.example": {"::1"},
		"mapped.example": {"::ffff:127.0.0.2"}, "nat64.example": {"64:ff9b::7f00:2"}, "cgnat.example": {"100.64.1.1"},
	})
	for _, robots := range []bool{false, true} {
		tr := newTransport(t, Options{Policy: allowing("127.0.0.1:" + port), Resolver: dns.Resolver(), Robots: robots})
		client := &http.Client{Transport: tr}
		for _, to := range []string{
			"http://127.0.0.2:" + port + "/", "http://127.2:" + port + "/", "http://2130706434:" + port + "/",
			"http://0x7f000002:" + port + "/", "http://0177.0.0.2:" + port + "/", "http://１２７.0.0.2:" + port + "/",
			"http://127。0。0。2:" + port + "/", "http://[::ffff:127.0.0.2]:" + port + "/", "http://[::ffff:7f00:2]:" + port + "/",
			"http://[::1]:" + port + "/", "http://[::]:" + port + "/", "http://0.0.0.0:" + port + "/", "http://[64:ff9b::7f00:2]/",
			"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/", "http://[fe80::1%25lo]/",
			"http://inside.example:" + port + "/", "http://meta.example/", "http://six.example:" + port + "/", "http://mapped.example:" + port + "/",
			"http://nat64.example/", "http://cgnat.example/", "http://INSIDE.example.:" + port + "/", "http://localhost:" + port + "0/",
			"http://user:pw@127.0.0.1:" + port + "/", "http://127.0.0.1:22/", "http://127.0.0.1:6379/",
			"file:///etc/passwd", "gopher://127.0.0.2:" + port + "/_x", "ftp://127.0.0.2/", "https://127.0.0.2:" + port + "/", "http:///x", "http://%31%32%37.0.0.2:" + port + "/",
		} {
			for _, hops := range []string{"direct", "redirect"} {
				u := to
				if hops == "redirect" {
					target.Store(to)
					u = good.URL + "/start"
				}
				resp, err := client.Get(u)
				if err == nil {
					resp.Body.Close()
					t.Errorf("%s to %s (robots %v): fetched, status %d", hops, to, robots, resp.StatusCode)
					continue
				}
				addr, scope, parse := (*AddressError)(nil), (*ScopeError)(nil), (*url.Error)(nil)
				if !errors.As(err, &addr) && !errors.As(err, &scope) && !(errors.As(err, &parse) && parse.Op == "parse") {
					var dnsErr *net.DNSError
					if !strings.Contains(to, "localhost") && !errors.As(err, &dnsErr) && !strings.Contains(err.Error(), "Location") && !strings.Contains(err.Error(), "no Host") {
						t.Errorf("%s to %s (robots %v): untyped error %v", hops, to, robots, err)
					}
				}
			}
		}
	}
	if n := connects.Load(); n != 0 {
		t.Errorf("%d connections to the victim, want 0", n)
	}
}

// The name leads to the public server when it is checked and to the victim
// when it is used: between robots.txt and page, between two pages, and
// between the addresses of a redirect.
func TestGuardRebinding(t *testing.T) {
	good, port, connects := hostiletest.GoodAndVictim(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // each request looks the name up anew
		if r.URL.Path == "/again" {
			http.Redirect(w, r, "/page", http.StatusFound)
			return
		}
		io.WriteString(w, "User-agent: nobody\nDisallow: /\n")
	}))
	_ = good
	for _, tt := range []struct {
		name, path string
		robots     bool
		script     []string
		first      bool // whether the first request gets through
	}{
		{"second request", "/page", false, []string{"127.0.0.1", "127.0.0.2"}, true},
		{"page after robots.txt", "/page", true, []string{"127.0.0.1", "127.0.0.2"}, false},
		{"redirect to itself", "/again", false, []string{"127.0.0.1", "127.0.0.2"}, false},
		{"to IPv6", "/page", false, []string{"127.0.0.1", "::ffff:127.0.0.2"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dns := hostiletest.NewDNS(map[string][]string{"rebind.example": tt.script})
			tr := newTransport(t, Options{Policy: allowing("127.0.0.1:" + port), Resolver: dns.Resolver(), Robots: tt.robots})
			client := &http.Client{Transport: tr}
			for i := range 3 {
				resp, err := client.Get("http://rebind.example:" + port + tt.path)
				if err == nil {
					resp.Body.Close()
				}
				if refused := (*AddressError)(nil); errors.As(err, &refused) == (i == 0 && tt.first) {
					t.Errorf("request %d: err = %v", i, err)
				}
			}
		})
	}
	if n := connects.Load(); n != 0 {
		t.Errorf("%d connections to the victim, want 0", n)
	}
}

// A site that may reach a private server leaves an idle connection to it; a
// site that may not must not get that connection.
func TestGuardConnectionsAreNotShared(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	defer srv.Close()
	client := &http.Client{Transport: newTransport(t, Options{})}
	get := func(p HostPolicy) error {
		req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", srv.URL, nil)
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(HostPolicy{Hosts: []string{"127.0.0.1:*"}, AllowPrivate: []string{strings.TrimPrefix(srv.URL, "http://")}}); err != nil {
		t.Fatalf("allowed: %v", err)
	}
	if refused := (*AddressError)(nil); !errors.As(get(HostPolicy{Hosts: []string{"127.0.0.1:*"}}), &refused) {
		t.Error("a site without the right used the connection of one with it")
	}
}

func TestGuardProxy(t *testing.T) {
	var asked atomic.Value
	asked.Store("")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		io.WriteString(w, "through the proxy")
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // must not be looked at
	dns := hostiletest.NewDNS(map[string][]string{"bbs.example": {"93.184.216.34"}, "inside.example": {"10.0.0.1"}})
	tr := newTransport(t, Options{Resolver: dns.Resolver()})
	for _, tt := range []struct {
		url      string
		resolves bool
		ok       bool
	}{
		{"http://bbs.example/x", false, true},
		{"http://inside.example/x", false, false},
		{"http://unknown.example/x", false, false},
		{"http://unknown.example/x", true, true},
		{"http://unknown.example:6379/x", true, false},
		{"http://127.0.0.1/x", true, false},
		{"http://169.254.169.254/x", false, false},
	} {
		asked.Store("")
		p := HostPolicy{Hosts: []string{"*"}, Proxy: proxy.URL, ProxyResolves: tt.resolves}
		req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", tt.url, nil)
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		want := ""
		if tt.ok {
			want = tt.url
		}
		if (err == nil) != tt.ok || asked.Load() != want {
			t.Errorf("%s (proxy resolves: %v): err = %v, proxy was asked for %q", tt.url, tt.resolves, err, asked.Load())
		}
	}
}

func TestScope(t *testing.T) {
	for _, tt := range []struct {
		hosts     string
		url       string
		in, exact bool
	}{
		{"", "http://bbs.example/", false, false},
		{"bbs.example", "http://bbs.example/", true, true},
		{"bbs.example", "https://BBS.Example.:443/", true, true},
		{"bbs.example", "http://bbs.example.evil.example/", false, false},
		{"bbs.example", "http://evilbbs.example/", false, false},
		{"bbs.example", "http://www.bbs.example/", false, false},
		{"bbs.example", "http://evil.example/?bbs.example", false, false},
		{"*.bbs.example", "http://www.bbs.example/", true, true},
		{"*.bbs.example", "http://bbs.example/", false, false},
		{"*.bbs.example", "http://xbbs.example/", false, false},
		{"bbs.example:8080", "http://bbs.example:8080/", true, true},
		{"bbs.example:8080", "http://bbs.example/", false, false},
		{"bbs.example:443", "https://bbs.example/", true, true},
		{"论坛.example", "http://xn--kfsr23j.example/", true, true},
		{"xn--kfsr23j.example", "http://论坛.example/", true, true},
		{"*", "http://any.example/", true, false},
		{"127.0.0.1", "http://127.0.0.1:9/", false, false},
		{"127.0.0.1:*", "http://127.0.0.1:9/", true, true},
		{"bbs.example", "http://bbs.example:8443/", false, false},
		{"bbs.example", "https://bbs.example:8888/", false, false},
		{"bbs.example", "http://bbs.example:443/", false, false},
		{"*.bbs.example", "https://www.bbs.example:8443/", false, false},
		{"[::1]:80", "http://[0:0::1]/", true, true},
		{"my_forum.example", "http://my_forum.example/", true, true},
		{"*", "http://bbs.example/" + strings.Repeat("a", maxURL+1), false, false},
		{"*", "javascript:alert(1)", false, false},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		p := HostPolicy{}
		if tt.hosts != "" {
			p.Hosts = []string{tt.hosts}
		}
		exact, err := checkScope(u, p)
		if (err == nil) != tt.in || exact != tt.exact {
			t.Errorf("%.80s under %q: in = %v, exact = %v (%v); want %v, %v", tt.url, tt.hosts, err == nil, exact, err, tt.in, tt.exact)
		}
	}
}

// Every spelling of an inner address is refused.
func TestAddressForms(t *testing.T) {
	for _, a := range []string{
		"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "::ffff:0:7f00:1",
		"2001::1", "2001:db8::1", "fec0::1", "fe80::1", "fd00::1", "100::1", "5f00::1", "ff02::1", "2001:4860::5efe:7f00:1", "2001:4860::200:5efe:a00:1", "0.0.0.0", "::",
		"0.1.2.3", "255.255.255.255", "198.19.0.1", "2a00::1%eth0", "100.64.0.1", "100.100.100.200", "192.0.0.192", "169.254.170.2", "fd00:ec2::254",
	} {
		if refusedAddr(netip.MustParseAddr(a)) == "" {
			t.Errorf("%s may be reached", a)
		}
	}
	for _, a := range []string{"1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::101:101", "114.114.114.114", "223.5.5.5"} {
		if why := refusedAddr(netip.MustParseAddr(a)); why != "" {
			t.Errorf("%s is refused: %s", a, why)
		}
	}
}

// 168.63.129.16 looks public, and is the host agent of every Azure machine.
func TestAzureHostAgentIsRefused(t *testing.T) {
	if refusedAddr(netip.MustParseAddr("168.63.129.16")) == "" {
		t.Error("the Azure host agent may be reached")
	}
}

// A site config that names no port means the usual one: crawler.Source.inScope
// says so for links, a redirect must not reach further.
func TestPatternWithoutPortMeansTheUsualPort(t *testing.T) {
	for _, raw := range []string{"http://bbs.example.com:8443/", "https://bbs.example.com:8888/"} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checkScope(u, HostPolicy{Hosts: []string{"bbs.example.com"}}); err == nil {
			t.Errorf("%s is in the scope of bbs.example.com", raw)
		}
	}
}

func TestOddURLsAreOutOfScope(t *testing.T) {
	p := HostPolicy{Hosts: []string{"bbs.example.com", "*.wild.com"}}
	for _, raw := range []string{
		"http://bbs.example.com@evil.com/", "http://u:p@bbs.example.com/", "http://xbbs.example.com/", "http://a.wild.com.evil.com/", "http://wild.com/", "http://evilwild.com/",
		"ftp://bbs.example.com/", "http:///x", "http:bbs.example.com", "//bbs.example.com/", "http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]/", "gopher://bbs.example.com:80/",
		"http://bbs.example.com.evil.com/", "http://bbs.example.com\u3002evil.com/", "http://evil.com#@bbs.example.com/", "http://evil.com?@bbs.example.com/",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			continue // never gets this far
		}
		if _, err := checkScope(u, p); err == nil {
			t.Errorf("%q is in scope", raw)
		}
	}
}
