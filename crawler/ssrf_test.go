package crawler

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/hostiletest"
	"qingyuan/crawler/transport"
)

// ssrfSite is a site that sends the crawl to the victim in one way. Its config
// names every host that is used, so that the scope lets them pass and the guard
// alone has to hold.
type ssrfSite struct {
	port  string
	pages map[string]http.HandlerFunc

	mu    sync.Mutex
	asked map[string]int
}

func (s *ssrfSite) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	s.mu.Unlock()
	w.Header().Set("Connection", "close") // so that every request looks the name up
	if h := s.pages[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	if r.URL.Path == "/robots.txt" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, thread(1))
}

// narrow lets a source reach the good server's address and no other private
// one, whatever its config says; the rest of its policy stays.
type narrow struct {
	next http.RoundTripper
	c    *Crawler
	src  *Source
	good string
}

func (n *narrow) RoundTrip(req *http.Request) (*http.Response, error) {
	p, err := n.c.policy(n.src)
	if err != nil {
		return nil, err
	}
	p.AllowPrivate, p.AllowPorts = []string{n.good}, nil
	return n.next.RoundTrip(req.WithContext(transport.WithPolicy(req.Context(), p)))
}

func htmlPage(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html><title>版块</title><body>"+body)
	}
}

func typed(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, body)
	}
}

func to(code int, location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = []string{location}
		w.WriteHeader(code)
	}
}

// ssrfCase is one way to the victim. EVIL in its texts is the victim's address,
// INSIDE a name that leads there, GOOD the site itself.
type ssrfCase struct {
	name   string
	served string // path that must have been asked for, or the case shows nothing
	config string // lines put over the source's
	pages  map[string]http.HandlerFunc
}

func ssrfCases(fill func(string) string) []ssrfCase {
	link := func(href string) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"/list-1.html": htmlPage(`<a href="` + fill(href) + `">x</a>`)}
	}
	redirect := func(code int, location string) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"/list-1.html": htmlPage(`<a href="/thread-1.html">x</a>`), "/thread-1.html": to(code, fill(location))}
	}
	login := func(more string) string {
		return fill(`session: {login: {url: "GOOD/login", fields: {u: x}, success: {text: 退出` + more + `}}}`)
	}
	form := func(action string) http.HandlerFunc {
		return htmlPage(fill(`<form method=post action="` + action + `"><input type=password name=p></form>`))
	}
	cases := []ssrfCase{
		{"seed by name", "", fill(`seeds: ["INSIDE/list-1.html"]`), nil},
		{"seed by address", "", fill(`seeds: ["EVIL/list-1.html"]`), nil},
		{"redirect of a seed", "/list-1.html", "", map[string]http.HandlerFunc{"/list-1.html": to(302, fill("INSIDE/list-1.html"))}},
		{"link", "/list-1.html", "", link("EVIL/thread-2.html")},
		{"link by name", "/list-1.html", "", link("INSIDE/thread-2.html")},
		{"link by a name that leads to IPv6", "/list-1.html", "", link("http://mapped.example:PORT/thread-2.html")},
		{"link by a name that leads to NAT64", "/list-1.html", "", link("http://nat64.example/thread-2.html")},
		{"link by a name with a dot behind", "/list-1.html", "", link("http://INSIDE.example.:PORT/thread-2.html")},
		{"link without a scheme", "/list-1.html", "", link("//inside.example:PORT/thread-2.html")},
		{"link by base", "/list-1.html", "", map[string]http.HandlerFunc{"/list-1.html": htmlPage(fill(`<base href="INSIDE/"><a href="thread-2.html">x</a>`))}},
		{"link to localhost", "/list-1.html", "", link("http://localhost:OTHER/thread-2.html")},
		{"link to 0.0.0.0", "/list-1.html", "", link("http://0.0.0.0:OTHER/thread-2.html")},
		{"link with a user name", "/list-1.html", "", link("http://u:p@127.0.0.2:PORT/thread-2.html")},
		{"link to another port", "/list-1.html", "", link("http://127.0.0.1:OTHER/thread-2.html")},
		{"chain of redirects", "/thread-9.html", "", map[string]http.HandlerFunc{
			"/list-1.html": htmlPage(`<a href="/thread-1.html">x</a>`), "/thread-1.html": to(301, "/thread-9.html"), "/thread-9.html": to(307, fill("INSIDE/thread-2.html"))}},
		{"redirect by Refresh", "/list-1.html", "", map[string]http.HandlerFunc{"/list-1.html": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Refresh", fill("0; url=INSIDE/thread-2.html"))
			htmlPage(`<p>x</p>`)(w, r)
		}}},
		{"meta refresh", "/list-1.html", "", map[string]http.HandlerFunc{"/list-1.html": htmlPage(fill(`<meta http-equiv="refresh" content="0;url=INSIDE/thread-2.html"><p>x</p>`))}},
		{"what a browser would fetch", "/list-1.html", "", map[string]http.HandlerFunc{"/list-1.html": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", fill(`<INSIDE/x.css>; rel=preload; as=style, <INSIDE/>; rel=preconnect`))
			w.Header().Set("Alt-Svc", fill(`h2="127.0.0.2:PORT"; ma=3600`))
			htmlPage(fill(`<link rel=stylesheet href="INSIDE/a.css"><link rel=canonical href="INSIDE/thread-2.html"><img src="INSIDE/b.png"><iframe src="INSIDE/c"></iframe><script src="INSIDE/d.js"></script><a ping="INSIDE/e" href="/thread-1.html">x</a>`))(w, r)
		}}},
		{"redirect of robots.txt", "/robots.txt", "", map[string]http.HandlerFunc{"/robots.txt": to(301, fill("INSIDE/robots.txt"))}},
		{"redirect of robots.txt to a strange host", "/robots.txt", "", map[string]http.HandlerFunc{"/robots.txt": to(301, fill("http://stranger.example:PORT/robots.txt"))}},
		{"sitemap of robots.txt", "/robots.txt", "", map[string]http.HandlerFunc{"/robots.txt": typed("text/plain", fill("User-agent: *\nSitemap: INSIDE/sitemap.xml\nHost: inside.example\n"))}},
		{"feed", "/feed.xml", fill(`seeds: ["GOOD/feed.xml"]`), map[string]http.HandlerFunc{"/feed.xml": typed("application/rss+xml", fill(`<rss><channel><link>INSIDE/</link><item><guid>1</guid><title>t</title><link>INSIDE/thread-2.html</link></item></channel></rss>`))}},
		{"redirect of a feed", "/feed.xml", fill(`seeds: ["GOOD/feed.xml"]`), map[string]http.HandlerFunc{"/feed.xml": to(302, fill("INSIDE/feed.xml"))}},
		{"feed with an outer entity", "/feed.xml", fill(`seeds: ["GOOD/feed.xml"]`), map[string]http.HandlerFunc{"/feed.xml": typed("application/rss+xml", fill(`<!DOCTYPE r [<!ENTITY x SYSTEM "INSIDE/x">]><rss><channel><item><guid>1</guid><title>&x;</title></item></channel></rss>`))}},
		{"compressed sitemap", "/sitemap.xml.gz", fill(`seeds: ["GOOD/sitemap.xml.gz"]`), map[string]http.HandlerFunc{"/sitemap.xml.gz": typed("application/xml", fill(`<urlset><url><loc>INSIDE/thread-2.html</loc></url></urlset>`))}},
		{"JSON", "/api.json", fill(`seeds: ["GOOD/api.json"]`), map[string]http.HandlerFunc{"/api.json": typed("application/json", fill(`{"next":"INSIDE/thread-2.html"}`))}},
		{"redirect of the login page", "/login", login(""), map[string]http.HandlerFunc{"/login": to(302, fill("INSIDE/login"))}},
		{"login form", "/login", login(""), map[string]http.HandlerFunc{"/login": form("INSIDE/login")}},
		{"answer to a login", "/in", login(""), map[string]http.HandlerFunc{"/login": form("/in"), "/in": to(302, fill("INSIDE/home"))}},
		{"login sent on", "/in", login(""), map[string]http.HandlerFunc{"/login": form("/in"), "/in": to(307, fill("INSIDE/home"))}},
		{"page that shows the login", "/home", login(`, url: "GOOD/home"`), map[string]http.HandlerFunc{"/login": form("/in"), "/in": htmlPage("ok"), "/home": to(302, fill("INSIDE/home"))}},
		{"login page", "", fill(`session: {login: {url: "INSIDE/login", fields: {u: x}, success: {text: 退出}}}`), nil},
		{"captcha", "/thread-1.html", "", redirect(302, "INSIDE/captcha/verify")},
		{"name that leads elsewhere the second time", "/robots.txt", fill(`seeds: ["http://rebind.example:PORT/list-1.html"]`), nil},
		{"name that leads elsewhere for the page after", "/list-1.html", fill(`seeds: ["http://rebind2.example:PORT/list-1.html"]`), map[string]http.HandlerFunc{"/list-1.html": htmlPage(`<a href="/thread-1.html">x</a>`)}},
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		cases = append(cases, ssrfCase{fmt.Sprintf("redirect %d", code), "/thread-1.html", "", redirect(code, "EVIL/thread-2.html")})
	}
	for _, location := range []string{
		"http://127.2:PORT/", "http://2130706434:PORT/", "http://0x7f000002:PORT/", "http://0177.0.0.2:PORT/", "http://１２７.0.0.2:PORT/", "http://127。0。0。2:PORT/",
		"http://[::ffff:127.0.0.2]:PORT/", "http://[::ffff:7f00:2]:PORT/", "http://%31%32%37.0.0.2:PORT/", "//127.0.0.2:PORT/thread-2.html", `\\127.0.0.2:PORT/thread-2.html`, "http:\t//127.0.0.2:PORT/",
		"http://good.example@127.0.0.2:PORT/", "http://127.0.0.2:PORT#@good.example/", "http://INSIDE.example:PORT/thread-2.html", "https://inside.example:PORT/",
		"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://[::1]:OTHER/", "http://[::]:OTHER/", "http://10.0.0.1/", "http://192.168.0.1/",
		"file:///etc/passwd", "gopher://127.0.0.2:PORT/_x", "ftp://127.0.0.2:PORT/", "javascript:fetch('EVIL')", "data:text/html,x", "http://127.0.0.1:OTHER/",
	} {
		cases = append(cases, ssrfCase{"redirect to " + location, "/thread-1.html", "", redirect(302, location)})
	}
	return cases
}

// TestNothingInsideIsReached leads the crawl inside in every way there is: 0
// connections.
func TestNothingInsideIsReached(t *testing.T) {
	site := &ssrfSite{asked: map[string]int{}}
	good, port, connects := hostiletest.GoodAndVictim(t, http.HandlerFunc(site.serve))
	site.port = port
	_, other, onGood := hostiletest.GoodAndVictim(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another port of the site's machine was asked") }))
	fill := strings.NewReplacer("EVIL", "http://127.0.0.2:"+port, "INSIDE.example", "INSIDE.example", "INSIDE", "http://inside.example:"+port, "GOOD", good.URL, "PORT", port, "OTHER", other).Replace
	cases := ssrfCases(fill)
	if len(cases) < 30 {
		t.Fatalf("%d cases, want 30 at least", len(cases))
	}
	for _, via := range []string{"", "http", "socks5"} {
		proxy := hostiletest.NewProxy(t, "")
		for _, tt := range cases {
			site.pages = tt.pages
			clear(site.asked)
			s := runInto(t, site, good.URL, tt, via, proxy)
			if tt.served != "" && site.asked[tt.served] == 0 {
				// A plain http proxy looks names up itself: those of the script do not exist there.
				if via == "http" && strings.Contains(tt.config, "rebind") {
					continue
				}
				t.Errorf("%s (proxy %q): %s was not asked for: the case shows nothing (%+v)", tt.name, via, tt.served, s.Errors)
			}
			for _, target := range proxy.Targets() {
				if strings.Contains(target, "127.0.0.2") || strings.Contains(target, "inside.example") || strings.Contains(target, ":"+other) {
					t.Errorf("%s: the %s proxy was asked for %s", tt.name, via, target)
				}
			}
			if n := connects.Load() + onGood.Load(); n != 0 {
				t.Fatalf("%s (proxy %q): %d connections to the victim, want 0", tt.name, via, n)
			}
		}
	}
	t.Logf("%d cases, each directly, through an http and through a SOCKS5 proxy: 0 connections", len(cases))
}

// runInto makes one pass over the site of a case.
func runInto(t *testing.T, site *ssrfSite, good string, tt ssrfCase, via string, proxy *hostiletest.Proxy) Summary {
	t.Helper()
	host := strings.TrimPrefix(good, "http://")
	dns := hostiletest.NewDNS(map[string][]string{
		"inside.example": {"127.0.0.2"}, "mapped.example": {"::ffff:127.0.0.2"}, "nat64.example": {"64:ff9b::7f00:2"}, "stranger.example": {"127.0.0.2"},
		"rebind.example": {"127.0.0.1", "127.0.0.2"}, "rebind2.example": {"127.0.0.1", "127.0.0.1", "127.0.0.2"},
	})
	tr, err := transport.New(transport.Options{Robots: true, Resolver: dns.Resolver(), Timeouts: transport.Timeouts{Header: 5 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.CloseIdleConnections()
	hosts := []string{host, "127.0.0.2:" + site.port, `"localhost:` + site.port + `"`, "nat64.example", "inside.example"}
	for _, name := range []string{"inside", "mapped", "rebind", "rebind2"} {
		hosts = append(hosts, name+".example:"+site.port)
	}
	yaml := `name: trap
type: forum
allow_private: true
delay: 0s
max_depth: 10
hosts: [` + strings.Join(hosts, ", ") + "]\n"
	if !strings.HasPrefix(tt.config, "seeds:") {
		yaml += "seeds: [" + good + "/list-1.html]\n"
	}
	yaml += tt.config + `
pages:
  - {name: list, match: '^/list-\d+\.html', follow: [{select: a, attr: href}]}
  - {name: feed, match: '^/feed\.xml', format: feed, follow: [{path: link}], posts: [{kind: post}]}
  - {name: sitemap, match: '^/sitemap', follow: [{select: loc}]}
  - {name: api, match: '^/api', format: json, follow: [{path: next}]}
  - {name: thread, match: '^/thread', posts: [{each: .post, kind: post, key: {attr: id}, text: p}]}
`
	yaml = strings.Replace(yaml, "delay: 0s", "delay: 1ms", 1)
	src, err := ReadSource("trap.yaml", []byte(yaml))
	if err != nil {
		t.Fatalf("%s: %v\n%s", tt.name, err, yaml)
	}
	if via != "" {
		src.Proxy = &ProxyRule{URL: proxy.URL(via)}
	}
	r := newRig(t)
	r.opts.Frontier, r.opts.SessionDir = r.frontier(), filepath.Join(r.dir, "sessions")
	r.opts.MaxTries, r.opts.GiveUp = 1, 1
	n := &narrow{next: tr, src: src, good: host}
	r.opts.Transport = n
	c, err := New([]*Source{src}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	n.c = c
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := c.Run(ctx, true)
	if err != nil {
		t.Fatalf("%s: %v", tt.name, err)
	}
	r.db.Close()
	os.RemoveAll(r.dir)
	return s
}
