// Package hostiletest is the other side of the crawler's tests: servers that
// break off, drip and lie, bombs, proxies, names that lead inside, and a victim
// that counts who connects to it. What comes in: a test. What goes out: servers
// on loopback that end with it. It knows nothing of the crawler.
package hostiletest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// GoodAndVictim serves h on 127.0.0.1, and puts a server on the same port of
// 127.0.0.2 that must never be connected to: connects counts connections, not
// requests.
func GoodAndVictim(t testing.TB, h http.Handler) (good *httptest.Server, port string, connects *atomic.Int64) {
	t.Helper()
	connects = new(atomic.Int64)
	for range 20 {
		good = httptest.NewUnstartedServer(h)
		_, port, _ = net.SplitHostPort(good.Listener.Addr().String())
		l, err := net.Listen("tcp4", "127.0.0.2:"+port)
		if err != nil {
			good.Close()
			continue
		}
		good.Start()
		t.Cleanup(good.Close)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				connects.Add(1)
				c.Close()
			}
		}()
		return good, port, connects
	}
	t.Fatal("no port that is free on 127.0.0.1 and 127.0.0.2")
	return nil, "", nil
}
