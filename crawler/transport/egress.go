package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"golang.org/x/net/proxy"
)

// egress gives the http.Transport for a policy. Policies with the same rights
// share one; others never share a connection.
func (t *Transport) egress(p HostPolicy, scheme string) (*http.Transport, error) {
	key := scheme + " " + p.egressKey()
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.egresses[key]; e != nil {
		return e, nil
	}
	e, err := t.newEgress(p, scheme)
	if err != nil {
		return nil, err
	}
	// Configs are reloaded; what no site uses any more must not pile up.
	if len(t.egresses) >= maxEgresses {
		for k, old := range t.egresses {
			old.CloseIdleConnections()
			delete(t.egresses, k)
		}
	}
	t.egresses[key] = e
	return e, nil
}

func (t *Transport) newEgress(p HostPolicy, scheme string) (*http.Transport, error) {
	g, err := newGuard(p)
	if err != nil {
		return nil, err
	}
	via, err := p.proxyURL()
	if err != nil {
		return nil, err
	}
	roots, err := t.roots(p)
	if err != nil {
		return nil, err
	}
	dialGuard := g
	if via != nil {
		dialGuard = &guard{proxy: true}
	}
	dialer := &net.Dialer{
		Timeout:   t.opts.Timeouts.Dial,
		KeepAlive: 30 * time.Second,
		Resolver:  t.opts.Resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return dialGuard.check(network, address)
		},
	}
	e := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    t.opts.Timeouts.TLS,
		ResponseHeaderTimeout:  t.opts.Timeouts.Header,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // we decode, under our own limits
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
	}
	switch {
	case via == nil:
	case tunnelled(via, scheme):
		e.DialContext = (&tunnel{t: t, guard: g, via: via, dialer: dialer, resolves: p.ProxyResolves, roots: roots}).dial
	default:
		e.Proxy = func(*http.Request) (*url.URL, error) { return via, nil }
	}
	return e, nil
}

// roots gives the certificates that verify a site's; nil for the system's.
func (t *Transport) roots(p HostPolicy) (*x509.CertPool, error) {
	if len(p.RootCAs) == 0 {
		return t.opts.RootCAs, nil
	}
	pool := t.opts.RootCAs
	if pool == nil {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("reading the system's certificates: %w", err)
		}
		pool = system
	}
	pool = pool.Clone()
	pool.AppendCertsFromPEM(p.RootCAs)
	return pool, nil
}

// tunnelled reports whether a proxy passes bytes on without reading them, so
// that we say to which address.
func tunnelled(via *url.URL, scheme string) bool {
	return scheme == "https" || via.Scheme == "socks5" || via.Scheme == "socks5h"
}

// checkProxied judges the target of a request that a proxy makes for us, which
// no dialer of ours sees. Between this look-up and the proxy's own a name may
// come to lead elsewhere; see HostPolicy.ProxyResolves.
func (t *Transport) checkProxied(ctx context.Context, u *url.URL, p HostPolicy) error {
	via, err := p.proxyURL()
	if err != nil || via == nil || tunnelled(via, u.Scheme) {
		return err
	}
	g, err := newGuard(p)
	if err != nil {
		return err
	}
	_, err = t.checkedTargets(ctx, g, u.Hostname(), portOf(u), p.ProxyResolves)
	return err
}

// checkedTargets gives what a proxy may be asked to connect to for a host:
// addresses that the guard lets through, or the name when only the proxy can
// look it up. One refused address refuses the host.
func (t *Transport) checkedTargets(ctx context.Context, g *guard, name, port string, proxyResolves bool) ([]string, error) {
	host, err := canonicalHost(name)
	if err != nil {
		return nil, &ScopeError{URL: name, Reason: err.Error()}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		target := net.JoinHostPort(addr.Unmap().String(), port)
		return []string{target}, g.check("tcp", target)
	}
	if proxyResolves {
		// The port rule holds whatever the name leads to.
		return []string{net.JoinHostPort(host, port)}, g.check("tcp", net.JoinHostPort("1.1.1.1", port))
	}
	addrs, err := t.opts.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("looking up %s before asking the proxy (set proxy.resolves if only the proxy can): %w", host, err)
	}
	var four, six []string
	for _, addr := range addrs {
		addr = addr.Unmap()
		target := net.JoinHostPort(addr.String(), port)
		if err := g.check("tcp", target); err != nil {
			return nil, err
		}
		if addr.Is4() {
			four = append(four, target)
		} else {
			six = append(six, target)
		}
	}
	return append(four, six...), nil
}

// tunnel opens connections through a proxy that passes bytes on: by CONNECT or
// SOCKS5. It looks the name up itself and gives the proxy the address.
type tunnel struct {
	t        *Transport
	guard    *guard // of the target
	via      *url.URL
	dialer   *net.Dialer // to the proxy
	resolves bool
	roots    *x509.CertPool
}

// maxTargets is how many addresses of a name are tried.
const maxTargets = 3

func (d *tunnel) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.t.opts.Timeouts.Dial+d.t.opts.Timeouts.TLS)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &AddressError{Reason: "not an address: " + address}
	}
	targets, err := d.t.checkedTargets(ctx, d.guard, host, port, d.resolves)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, target := range targets[:min(len(targets), maxTargets)] {
		conn, err := d.open(ctx, network, target)
		if err == nil {
			return conn, nil
		}
		// Never the URL of the proxy, which may hold a password.
		errs = append(errs, fmt.Errorf("proxy %s, to %s: %w", d.via.Host, target, err))
	}
	return nil, errors.Join(errs...)
}

func (d *tunnel) open(ctx context.Context, network, target string) (net.Conn, error) {
	at := d.via.Host
	if d.via.Port() == "" {
		at = net.JoinHostPort(d.via.Hostname(), map[string]string{"http": "80", "https": "443"}[d.via.Scheme])
		if d.via.Scheme == "socks5" || d.via.Scheme == "socks5h" {
			at = net.JoinHostPort(d.via.Hostname(), "1080")
		}
	}
	if d.via.Scheme == "socks5" || d.via.Scheme == "socks5h" {
		return d.socks(ctx, network, at, target)
	}
	conn, err := d.dialer.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	if d.via.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12, ServerName: d.via.Hostname()})
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("its certificate: %w", err)
		}
		conn = secure
	}
	if err := d.connect(ctx, conn, target); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d *tunnel) socks(ctx context.Context, network, at, target string) (net.Conn, error) {
	var auth *proxy.Auth
	if u := d.via.User; u != nil {
		password, _ := u.Password()
		auth = &proxy.Auth{User: u.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", at, auth, d.dialer)
	if err != nil {
		return nil, err
	}
	return dialer.(proxy.ContextDialer).DialContext(ctx, network, target)
}

// connect asks an http proxy for a tunnel on conn.
func (d *tunnel) connect(ctx context.Context, conn net.Conn, target string) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{"User-Agent": {d.t.opts.UserAgent}}}
	if u := d.via.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("asking it: %w", err)
	}
	in := bufio.NewReader(io.LimitReader(conn, maxHeaderBytes))
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("reading its answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if in.Buffered() > 0 {
		return errors.New("it sent bytes of its own before ours")
	}
	return nil
}
