package transport

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/hostiletest"
)

// serve answers everything with one body.
func serve(t testing.TB, coding, contentType string, body []byte) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if coding != "" {
			w.Header().Set("Content-Encoding", coding)
		}
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func localPolicy(srv *httptest.Server) HostPolicy {
	return HostPolicy{Hosts: []string{"127.0.0.1:*"}, AllowPrivate: []string{srv.Listener.Addr().String()}}
}

// get fetches path of srv under opts and gives the body.
func get(t testing.TB, srv *httptest.Server, opts Options, path string) (*http.Response, string, error) {
	t.Helper()
	p := localPolicy(srv)
	if opts.Policy == nil {
		opts.Policy = func(string) HostPolicy { return p }
	}
	resp, err := (&http.Client{Transport: newTransport(t, opts)}).Get(srv.URL + path)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading a body that is in memory: %v", err)
	}
	return resp, string(body), nil
}

// rawServer writes raw to each connection and then closes it, once hold is
// closed (or at once).
func rawServer(t *testing.T, raw string, hold chan struct{}) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 4096))
				io.WriteString(c, raw)
				if hold != nil {
					<-hold
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestTimeouts(t *testing.T) {
	short, long := 30*time.Millisecond, time.Hour
	for _, tt := range []struct {
		name, raw, stage string
		limits           Timeouts
		kept             bool
	}{
		{"no header", "", "connect or header", Timeouts{Header: short, Idle: long, Total: long}, false},
		{"body stops", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst bytes", "body idle", Timeouts{Header: long, Idle: short, Total: long}, true},
		{"body never ends", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst bytes", "total", Timeouts{Header: long, Idle: long, Total: short}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hold := make(chan struct{})
			defer close(hold)
			addr := rawServer(t, tt.raw, hold)
			var kept *Exchange
			tr := newTransport(t, Options{Policy: allowing(addr), Timeouts: tt.limits, OnBody: func(_ context.Context, x *Exchange) error { kept = x; return nil }})
			_, err := (&http.Client{Transport: tr}).Get("http://" + addr + "/")
			late, ne := (*TimeoutError)(nil), net.Error(nil)
			if !errors.As(err, &late) || late.Stage != tt.stage || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("err = %v, want a timeout of %q", err, tt.stage)
			}
			if tt.kept != (kept != nil) || kept != nil && (kept.Truncated != "time" || string(kept.Raw) != "first bytes") {
				t.Errorf("kept %+v", kept)
			}
		})
	}
}

// A server that keeps sending a byte before the pause is over is stopped by
// the total limit.
func TestSlowDrip(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
		}
	}))
	defer srv.Close()
	_, _, err := get(t, srv, Options{Timeouts: Timeouts{Idle: time.Hour, Total: 100 * time.Millisecond}}, "/")
	if late := (*TimeoutError)(nil); !errors.As(err, &late) || late.Stage != "total" {
		t.Errorf("err = %v, want the total limit", err)
	}
}

func TestCancel(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	addr := rawServer(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst", hold)
	ctx, cancel := context.WithCancel(t.Context())
	tr := newTransport(t, Options{Policy: allowing(addr)})
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/", nil)
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := tr.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
}

func TestOnBodyFailsClosed(t *testing.T) {
	full := errors.New("disk full")
	srv := serve(t, "", "text/html", []byte("page"))
	if _, _, err := get(t, srv, Options{OnBody: func(context.Context, *Exchange) error { return full }}, "/"); !errors.Is(err, full) {
		t.Errorf("err = %v, want the hook's", err)
	}
}

func TestBinaryBodies(t *testing.T) {
	png := []byte("\x89PNG\r\n\x1a\n\x00\x00\xff\xfe\x80")
	srv := serve(t, "", "image/png", png)
	resp, body, err := get(t, srv, Options{}, "/")
	if err != nil || body != string(png) || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%q, %v, %v", body, resp, err)
	}
	p := localPolicy(srv)
	p.RefuseBinary = true
	_, _, err = get(t, srv, Options{Policy: func(string) HostPolicy { return p }}, "/")
	if refused := (*ContentTypeError)(nil); !errors.As(err, &refused) || refused.Type != "image/png" {
		t.Errorf("err = %v, want a *ContentTypeError", err)
	}
	_, _, err = get(t, serve(t, "", "text/html", bytes.Repeat(png, 100)), Options{}, "/")
	if bad := (*CharsetError)(nil); !errors.As(err, &bad) {
		t.Errorf("a picture served as HTML: err = %v", err)
	}
}

func TestContentTypeIsFoundOut(t *testing.T) {
	for want, body := range map[string]string{
		"text/html; charset=utf-8":  "<!DOCTYPE html>" + page("gbk", simplified),
		"text/xml; charset=utf-8":   `<?xml version="1.0" encoding="gbk"?><rss>` + simplified + `</rss>`,
		"text/plain; charset=utf-8": simplified,
	} {
		resp, _, err := get(t, serve(t, "", "", encode(t, simplifiedchinese.GB18030, body)), Options{}, "/")
		if err != nil || resp.Header.Get("Content-Type") != want {
			t.Errorf("%.20q: %v, %v; want %s", body, resp, err, want)
		}
	}
	resp, body, err := get(t, serve(t, "", "application/x-gzip", hostiletest.Compress(t, "gzip", []byte("<urlset/>"))), Options{}, "/sitemap.xml.gz")
	if err != nil || body != "<urlset/>" || resp.Header.Get("Content-Type") != "application/xml; charset=utf-8" {
		t.Errorf("compressed sitemap: %q, %v, %v", body, resp, err)
	}
}

func TestHeadersAndCookies(t *testing.T) {
	var got []http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Clone())
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "s1", Path: "/"})
	}))
	defer srv.Close()
	jar, _ := cookiejar.New(nil)
	p := localPolicy(srv)
	p.Header, p.Jar = http.Header{"x-site": {"1"}, "Referer": {"http://bbs.example/"}}, jar
	tr := newTransport(t, Options{UserAgent: UserAgent("2.0", "https://qingyuan.example/bot")})
	do := func(p HostPolicy) {
		req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", srv.URL, nil)
		req.Header.Set("User-Agent", "colly")
		req.Host = "other.example"
		if _, err := tr.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		if req.Header.Get("User-Agent") != "colly" || req.Header.Get("Accept-Encoding") != "" {
			t.Error("the caller's request was changed")
		}
	}
	do(p)
	do(p)
	p.Hosts = []string{"*"}
	do(p)
	if h := got[0]; h.Get("User-Agent") != "Qingyuan/2.0 (+https://qingyuan.example/bot)" || h.Get("X-Site") != "1" || h.Get("Accept-Encoding") != acceptEncoding || h.Get("Cookie") != "" {
		t.Errorf("first request: %v", h)
	}
	if h := got[1]; h.Get("Cookie") != "sid=s1" {
		t.Errorf("second request: %v", h)
	}
	if h := got[2]; h.Get("X-Site") != "" {
		t.Errorf("the site's headers went to a host it does not name: %v", h)
	}
}

func TestTLSIsVerified(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	p := localPolicy(srv)
	do := func(opts Options, p HostPolicy) (kept *Exchange, err error) {
		opts.OnBody = func(_ context.Context, x *Exchange) error { kept = x; return nil }
		req, _ := http.NewRequestWithContext(WithPolicy(t.Context(), p), "GET", srv.URL, nil)
		_, err = newTransport(t, opts).RoundTrip(req)
		return kept, err
	}
	if _, err := do(Options{}, p); err == nil {
		t.Error("a certificate of nobody was accepted")
	}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	if kept, err := do(Options{RootCAs: roots}, p); err != nil || kept.TLS == nil || len(kept.TLS.VerifiedChains) == 0 {
		t.Errorf("verified: %+v, %v", kept, err)
	}
	p.RootCAs = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if kept, err := do(Options{}, p); err != nil || len(kept.TLS.VerifiedChains) == 0 {
		t.Errorf("verified by the site's own certificates: %+v, %v", kept, err)
	}
	if _, err := do(Options{}, localPolicy(srv)); err == nil {
		t.Error("the certificates of one site verified another")
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	for _, o := range []Options{{MaxWire: -1}, {UserAgent: "a\r\nX: y"}, {UserAgent: "1/2"}, {Timeouts: Timeouts{Idle: -1}}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) gave no error", o)
		}
	}
	for field, p := range map[string]HostPolicy{
		"hosts": {Hosts: []string{"http://x/"}}, "allow_ports": {AllowPorts: []int{0}}, "proxy": {Proxy: "ftp://u:secret@x:1"}, "allow_private": {AllowPrivate: []string{"x"}},
	} {
		err := p.Validate()
		if err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
