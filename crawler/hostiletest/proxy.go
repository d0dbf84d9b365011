package hostiletest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Proxy is one for CONNECT, absolute URLs and SOCKS5. It connects
// wherever it is told and notes where that was.
type Proxy struct {
	Addr string // host:port
	user string

	mu    sync.Mutex
	asked []string
}

// NewProxy starts a proxy that wants user ("name:password"; "" wants none).
func NewProxy(t testing.TB, user string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &Proxy{Addr: l.Addr().String(), user: user}
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

// URL is the proxy's as a config names it; scheme is http, https or socks5.
func (p *Proxy) URL(scheme string) string {
	u := url.URL{Scheme: scheme, Host: p.Addr}
	if name, password, ok := strings.Cut(p.user, ":"); ok {
		u.User = url.UserPassword(name, password)
	}
	return u.String()
}

// Targets gives what the proxy was asked for since the last call: host:port, or
// the whole URL when it was to make the request itself.
func (p *Proxy) Targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.asked
	p.asked = nil
	return got
}

func (p *Proxy) note(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, target)
}

func (p *Proxy) serve(c net.Conn) {
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
		p.forward(c, req)
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

// forward makes the request itself; only addresses can be looked up by it.
func (p *Proxy) forward(c net.Conn, req *http.Request) {
	up, err := net.Dial("tcp", req.URL.Host)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer up.Close()
	req.Header.Del("Proxy-Authorization")
	req.Close = true
	if req.Write(up) == nil {
		io.Copy(c, up)
	}
}

func (p *Proxy) pipe(c net.Conn, in io.Reader, up net.Conn) {
	defer up.Close()
	go func() { io.Copy(up, in); up.Close() }()
	io.Copy(c, up)
}

// socks speaks as much of RFC 1928 and 1929 as a client needs.
func (p *Proxy) socks(c net.Conn, in *bufio.Reader) {
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
