package transport

import (
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Exchange is what went over the wire for one hop, without its secrets: see
// redact. It must not be changed.
type Exchange struct {
	Method         string
	URL            string // of this hop
	RequestHeader  http.Header
	Sent           [][2]string // header fields as they were written, in order; with HTTP/2 the pseudo fields too
	Status         int
	Proto          string // "HTTP/1.1", "HTTP/2.0"
	ResponseHeader http.Header
	Raw            []byte    // body as received: chunking undone, content coding not
	Truncated      string    // "" when whole, else "length", "time" or "disconnect" (as in WARC-Truncated)
	Robots         *Decision // why it was allowed; nil for robots.txt itself
	RemoteAddr     string    // address and port that answered (the proxy's, behind one)
	TLS            *tls.ConnectionState
	Session        string        // HostPolicy.Session
	Started        time.Time     // when the request was made
	Took           time.Duration // until the last byte
}

// sentHeader collects what the connection's own goroutine writes.
type sentHeader struct {
	mu   sync.Mutex
	list [][2]string
}

// begin starts anew: a request is written again when a kept connection was
// closed under it.
func (s *sentHeader) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

func (s *sentHeader) wrote(name string, values []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		s.list = append(s.list, [2]string{name, v})
	}
}

func (s *sentHeader) fields() [][2]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[:len(s.list):len(s.list)]
}

// Redacted stands in an Exchange in place of a secret.
const Redacted = "[redacted]"

// redact takes the secrets out of an exchange before anybody gets it, so that
// who is given the evidence cannot act as us: the values of Cookie,
// Authorization, Proxy-Authorization and the policy's secret fields, and, of a
// site that is read under a session, the values of the cookies it sets. Their
// names, paths and times stay. Cookies set for a visitor whom nobody knows are
// evidence and stay as they are.
func (x *Exchange) redact(p HostPolicy) {
	secret := func(name string) bool {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Cookie", "Authorization", "Proxy-Authorization":
			return true
		}
		for k := range p.SecretHeader {
			if http.CanonicalHeaderKey(k) == name {
				return true
			}
		}
		return false
	}
	for name, values := range x.RequestHeader {
		for i := range values {
			if secret(name) {
				values[i] = Redacted
			}
		}
	}
	for i, f := range x.Sent {
		if secret(f[0]) {
			x.Sent[i][1] = Redacted
		}
	}
	if p.Session == "" {
		return
	}
	for i, v := range x.ResponseHeader["Set-Cookie"] {
		x.ResponseHeader["Set-Cookie"][i] = redactSetCookie(v)
	}
}

// redactSetCookie keeps the name and the attributes of a Set-Cookie field.
func redactSetCookie(v string) string {
	pair, attributes, more := strings.Cut(v, ";")
	name, _, named := strings.Cut(pair, "=")
	if !named {
		name = "" // browsers take such a field for a value without a name
	}
	v = name + "=" + Redacted
	if more {
		v += ";" + attributes
	}
	return v
}
