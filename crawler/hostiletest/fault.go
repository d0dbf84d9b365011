package hostiletest

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Raw writes bytes over the connection as they are and then closes it; with
// reset the peer gets a RST instead of an orderly end.
func Raw(raw string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, raw)
		if tcp, ok := c.(*net.TCPConn); ok && reset {
			tcp.SetLinger(0)
		}
	}
}

// Drip writes first and then one byte of drop each interval, for ever.
func Drip(first, drop string, interval time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := io.WriteString(c, first); err != nil {
			return
		}
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := io.WriteString(c, drop[i%len(drop):i%len(drop)+1]); err != nil {
				return
			}
		}
	}
}

// Flood sends head and then chunk until size bytes are sent or nobody reads.
func Flood(head, chunk string, size int64) http.HandlerFunc {
	chunk = strings.Repeat(chunk, max(1, (64<<10)/len(chunk)))
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, head)
		for sent := int64(0); sent < size; sent += int64(len(chunk)) {
			if _, err := io.WriteString(c, chunk); err != nil {
				return
			}
		}
	}
}

// Coded sends a body that is coded already, under any Content-Encoding.
func Coded(encoding, contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if encoding != "" {
			w.Header().Set("Content-Encoding", encoding)
		}
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.Write(body)
	}
}
