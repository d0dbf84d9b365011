package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/hostiletest"
)

func TestDecodesEveryCoding(t *testing.T) {
	text := page("gbk", strings.Repeat(simplified, 20))
	gbk := encode(t, simplifiedchinese.GB18030, text)
	two := append(hostiletest.Compress(t, "gzip", gbk[:100]), hostiletest.Compress(t, "gzip", gbk[100:])...)
	for _, tt := range []struct {
		name, header string
		wire         []byte
	}{
		{"none", "", gbk},
		{"identity", "identity", gbk},
		{"gzip", "gzip", hostiletest.Compress(t, "gzip", gbk)},
		{"x-gzip", "X-GZIP", hostiletest.Compress(t, "gzip", gbk)},
		{"gzip in two members", "gzip", two},
		{"gzip with padding behind", "gzip", append(hostiletest.Compress(t, "gzip", gbk), 0, 0, '\n')},
		{"br", "br", hostiletest.Compress(t, "br", gbk)},
		{"zstd", "zstd", hostiletest.Compress(t, "zstd", gbk)},
		{"deflate", "deflate", hostiletest.Compress(t, "deflate", gbk)},
		{"deflate without its header", "deflate", hostiletest.Compress(t, "raw", gbk)},
		{"gzip in gzip", "gzip, gzip", hostiletest.Compress(t, "gzip", hostiletest.Compress(t, "gzip", gbk))},
		{"br over gzip", "gzip, br", hostiletest.Compress(t, "br", hostiletest.Compress(t, "gzip", gbk))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, tt.header, "text/html; charset=gb2312", tt.wire)
			var kept *Exchange
			resp, body, err := get(t, srv, Options{OnBody: func(_ context.Context, x *Exchange) error { kept = x; return nil }}, "/")
			if err != nil {
				t.Fatal(err)
			}
			if body != text {
				t.Errorf("body = %.100q…", body)
			}
			if !resp.Uncompressed || resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
				resp.ContentLength != int64(len(text)) || resp.Header.Get("Content-Length") != fmt.Sprint(len(text)) {
				t.Errorf("the headers do not fit the body: %v", resp.Header)
			}
			if !bytes.Equal(kept.Raw, tt.wire) || kept.ResponseHeader.Get("Content-Encoding") != tt.header || kept.Truncated != "" ||
				kept.ResponseHeader.Get("Content-Type") != "text/html; charset=gb2312" || kept.Status != 200 || kept.RemoteAddr != srv.Listener.Addr().String() {
				t.Errorf("the evidence is not what was sent: %+v", kept)
			}
		})
	}
}

func TestWireLimit(t *testing.T) {
	for _, size := range []int{999, 1000, 1001, 5000} {
		for _, known := range []bool{true, false} {
			body := strings.Repeat("a", size)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !known {
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, body)
			}))
			defer srv.Close()
			var kept *Exchange
			_, got, err := get(t, srv, Options{MaxWire: 1000, OnBody: func(_ context.Context, x *Exchange) error { kept = x; return nil }}, "/")
			if size <= 1000 {
				if err != nil || got != body || kept.Truncated != "" {
					t.Errorf("%d bytes (length known: %v): %d bytes, %v", size, known, len(got), err)
				}
				continue
			}
			large := (*TooLargeError)(nil)
			if !errors.As(err, &large) || large.Kind != KindWire || large.Limit != 1000 || kept.Truncated != "length" || len(kept.Raw) != 1000 {
				t.Errorf("%d bytes (length known: %v): err = %v, kept %d bytes as %q", size, known, err, len(kept.Raw), kept.Truncated)
			}
		}
	}
}

func TestBombs(t *testing.T) {
	// Decoded whole, each would allocate several times this.
	const size = 160 << 20
	gz, br, zs := hostiletest.Bomb(t, "gzip", size), hostiletest.Bomb(t, "br", size), hostiletest.Bomb(t, "zstd", size)
	tests := []struct {
		name, header, path string
		wire               []byte
		ratio              int64 // 0: the default
		kind               string
	}{
		{"gzip ratio", "gzip", "/", hostiletest.Bomb(t, "gzip", 7<<20), 0, KindRatio},
		{"gzip size", "gzip", "/", gz, 1 << 40, KindDecoded},
		{"gzip in gzip", "gzip, gzip", "/", hostiletest.Compress(t, "gzip", gz), 0, KindRatio},
		{"gzip in gzip size", "gzip, gzip", "/", hostiletest.Compress(t, "gzip", gz), 1 << 40, KindDecoded},
		{"br", "br", "/", br, 0, KindRatio},
		{"br size", "br", "/", br, 1 << 40, KindDecoded},
		{"zstd", "zstd", "/", zs, 0, KindRatio},
		{"zstd size", "zstd", "/", zs, 1 << 40, KindDecoded},
		{"deflate", "deflate", "/", hostiletest.Bomb(t, "deflate", size), 5, KindRatio},
		{"many members", "gzip", "/", bytes.Repeat(hostiletest.Bomb(t, "gzip", 1<<20), 160), 1 << 40, KindDecoded},
		{"sitemap", "", "/sitemap.xml.gz", gz, 5, KindRatio},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, tt.header, "text/html", tt.wire)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := get(t, srv, Options{MaxDecoded: 8 << 20, MaxRatio: tt.ratio}, tt.path)
			runtime.ReadMemStats(&after)
			if large := (*TooLargeError)(nil); !errors.As(err, &large) || large.Kind != tt.kind {
				t.Errorf("err = %v, want a *TooLargeError of kind %s", err, tt.kind)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
				t.Errorf("%d MiB allocated on a bomb with a limit of 8", used>>20)
			}
		})
	}
}

func TestCutAndDamagedBodies(t *testing.T) {
	text := []byte(strings.Repeat(simplified, 200))
	type kind int
	const (
		truncated kind = iota
		damaged
	)
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	incompressible := append(text, noise...)
	for _, tt := range []struct {
		name, header string
		wire         []byte
		want         kind
	}{
		{"gzip cut", "gzip", hostiletest.Compress(t, "gzip", incompressible)[:500], truncated},
		{"gzip without its trailer", "gzip", hostiletest.Compress(t, "gzip", text)[:len(hostiletest.Compress(t, "gzip", text))-4], truncated},
		{"gzip cut in its header", "gzip", hostiletest.Compress(t, "gzip", text)[:5], truncated},
		{"br cut", "br", hostiletest.Compress(t, "br", incompressible)[:500], truncated},
		{"zstd cut", "zstd", hostiletest.Compress(t, "zstd", incompressible)[:500], truncated},
		{"deflate cut", "deflate", hostiletest.Compress(t, "deflate", incompressible)[:500], truncated},
		{"no gzip", "gzip", text, damaged},
		{"no zstd", "zstd", text, damaged},
		{"unknown coding", "compress", text, damaged},
		{"three codings", "gzip, gzip, gzip", text, damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := get(t, serve(t, tt.header, "text/html", tt.wire), Options{}, "/")
			cut, bad := (*TruncatedError)(nil), (*EncodingError)(nil)
			if tt.want == truncated && !errors.As(err, &cut) || tt.want == damaged && !errors.As(err, &bad) {
				t.Errorf("err = %v", err)
			}
		})
	}
	for name, raw := range map[string]string{
		"content-length": "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nonly this",
		"chunked":        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
		"in a chunk":     "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly this",
	} {
		t.Run(name, func(t *testing.T) {
			srv := rawServer(t, raw, nil)
			var kept *Exchange
			_, err := newTransport(t, Options{Policy: allowing(srv), OnBody: func(_ context.Context, x *Exchange) error { kept = x; return nil }}).
				RoundTrip(httptest.NewRequest("GET", "http://"+srv+"/", nil))
			cut := (*TruncatedError)(nil)
			if !errors.As(err, &cut) || cut.Got != 9 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("err = %v", err)
			}
			if kept.Truncated != "disconnect" || string(kept.Raw) != "only this" {
				t.Errorf("kept %q as %q", kept.Raw, kept.Truncated)
			}
		})
	}
}
