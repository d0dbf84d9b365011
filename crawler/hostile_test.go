package crawler

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/hostiletest"
	"qingyuan/crawler/transport"
)

// fault is one thing that a hostile site does to a page.
type fault struct {
	name  string
	serve http.HandlerFunc
	want  string // of the page's error; "" when its posts have to arrive in the end
	tries int    // requests for the page
}

const (
	head  = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	small = `<div class="post" id="post_x"><p>x</p></div>`
)

// once answers with h the first time, and like the site afterwards.
func onceThen(site *testSite, h http.HandlerFunc) http.HandlerFunc {
	var asked atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			h(w, r)
			return
		}
		site.page(w, r)
	}
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

// passing are faults that a second try heals.
func passing(t *testing.T, site *testSite) []fault {
	date := time.Now().Add(time.Second).UTC().Format(http.TimeFormat)
	list := []fault{
		{"429 with seconds", status(429, "0"), "", 2},
		{"503 with seconds", status(503, "1"), "", 2},
		{"503 with a date", status(503, date), "", 2},
		{"503 with neither", status(503, "soon"), "", 2},
		{"reset before anything", hostiletest.Raw("", true), "", 2},
		{"reset within the header", hostiletest.Raw("HTTP/1.1 200 OK\r\nContent-Ty", true), "", 2},
		{"reset within the body", hostiletest.Raw(head+"Content-Length: 500\r\n\r\n"+small, true), "", 2},
		{"end within the body", hostiletest.Raw(head+"Content-Length: 500\r\n\r\n"+small, false), "", 2},
		{"end within a chunk", hostiletest.Raw(head+"Transfer-Encoding: chunked\r\n\r\nff\r\n"+small, false), "", 2},
		{"cut gzip", hostiletest.Coded("gzip", "text/html", hostiletest.Compress(t, "gzip", []byte(thread(9)))[:40]), "", 2},
		{"slow header", hostiletest.Drip("HTTP/1.1 200 OK\r\n", "X-A: b\r\n", 40*time.Millisecond), "", 2},
		{"slow body", hostiletest.Drip(head+"\r\n", "x", 40*time.Millisecond), "", 2},
		{"pause within the body", hostiletest.Drip(head+"\r\n", "x", 10*time.Second), "", 2},
	}
	for i := range list {
		list[i].serve = onceThen(site, list[i].serve)
	}
	return list
}

// lasting are faults that stay.
func lasting(t *testing.T) []fault {
	gbk, _ := simplifiedchinese.GB18030.NewEncoder().String(strings.ReplaceAll(thread(600), "正文", "正文㐀𠮷"))
	const ratio, decoded = "decompression bomb", "over the decoded limit"
	gz := hostiletest.Bomb(t, "gzip", 64<<20)
	loop := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	return []fault{
		{"charset that lies", hostiletest.Coded("", "text/html; charset=utf-8", []byte(gbk)), "", 1},
		{"gzip bomb", hostiletest.Coded("gzip", "text/html", gz), ratio, 1},
		{"gzip bomb in gzip", hostiletest.Coded("gzip, gzip", "text/html", hostiletest.Compress(t, "gzip", gz)), ratio, 1},
		{"br bomb", hostiletest.Coded("br", "text/html", hostiletest.Bomb(t, "br", 64<<20)), ratio, 1},
		{"zstd bomb", hostiletest.Coded("zstd", "text/html", hostiletest.Bomb(t, "zstd", 64<<20)), ratio, 1},
		{"deflate bomb", hostiletest.Coded("deflate", "text/html", hostiletest.Bomb(t, "deflate", 64<<20)), ratio, 1},
		{"large but not dense", hostiletest.Coded("gzip", "text/html", hostiletest.Compress(t, "gzip", []byte(strings.Repeat("债务"+strings.Repeat("协商代办", 11), 300_000)))), ratio + "|" + decoded, 1},
		{"three codings", hostiletest.Coded("gzip, gzip, gzip", "text/html", []byte(small)), "more than 2 codings", 1},
		{"unknown coding", hostiletest.Coded("compress", "text/html", []byte(small)), "unknown coding", 1},
		{"gzip that is none", hostiletest.Coded("gzip", "text/html", []byte(strings.Repeat("not gzip ", 9))), `decoding content-encoding "gzip"`, 1},
		{"1 GB without a length", hostiletest.Flood(head+"\r\n", small, 1<<30), "over the wire limit", 1},
		{"1 GB with a length", hostiletest.Flood(head+"Content-Length: 1073741824\r\n\r\n", small, 1<<30), "over the wire limit", 1},
		{"1 GB of one chunk", hostiletest.Flood(head+"Transfer-Encoding: chunked\r\n\r\n40000000\r\n", small, 1<<30), "over the wire limit", 1},
		{"header without end", hostiletest.Flood("HTTP/1.1 200 OK\r\n", "X-A: "+strings.Repeat("b", 1000)+"\r\n", 1<<30), "header", 2},
		{"one header line without end", hostiletest.Flood("HTTP/1.1 200 OK\r\nX-A: ", "b", 1<<30), "header", 2},
		{"1xx without end", hostiletest.Flood("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 1<<30), "header", 2},
		{"loop of one", loop("/thread-317.html"), "redirects without end", 1},
		{"loop of two", loop("/thread-399.html"), "redirects without end", 1},
		{"redirect to nowhere", loop("http://[::1"), "parse", 2},
		{"redirect away", loop("http://elsewhere.example/"), "out of scope", 1},
		{"picture", hostiletest.Coded("", "image/png", []byte("\x89PNG")), "is not text", 1},
		{"picture that says it is text", hostiletest.Coded("", "text/html", []byte(strings.Repeat("\xff\xd8\xff\xe0\x00\x10JFIF\x81\xff", 400))), "not text", 1},
		{"no HTTP", hostiletest.Raw("SSH-2.0-OpenSSH_9.6\r\n", false), "malformed HTTP", 2},
		{"status of five digits", hostiletest.Raw("HTTP/1.1 20000 OK\r\n\r\n", false), "malformed HTTP", 2},
		{"two lengths", hostiletest.Raw(head+"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx", false), "Content-Length", 2},
		{"gone", status(410, ""), "410", 1},
		{"wall", hostiletest.Coded("", "text/html; charset=utf-8", []byte(`<html><title>提示信息</title><div id="messagetext">抱歉，您需要登录后才能继续本操作</div>`)), "blocked", 2},
		{"deleted", hostiletest.Coded("", "text/html; charset=utf-8", []byte(`<html><title>提示信息</title><div id="messagetext">抱歉，指定的主题不存在或已被删除</div>`)), "gone", 1},
	}
}

// TestHostileSite crawls a site that does all of it at once, between threads
// that are well: each fault has its own typed end, costs no more requests than
// its kind allows, and no other page a post.
func TestHostileSite(t *testing.T) {
	const well = 20
	site, r := newTestSite(t, 400), newRig(t)
	tr, err := transport.New(transport.Options{Robots: true, MaxDecoded: 16 << 20,
		Timeouts: transport.Timeouts{Header: 2 * time.Second, Idle: 2 * time.Second, Total: 8 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	r.opts.Transport, r.opts.MaxTries, r.opts.GiveUp, r.opts.Workers = tr, 2, 1000, 8
	r.opts.Wall = Backoff{Base: time.Millisecond, Max: 2 * time.Millisecond}

	var links strings.Builder
	for n := range well {
		fmt.Fprintf(&links, `<a href="/thread-%d.html">x</a>`, n+1)
	}
	faults := append(passing(t, site), lasting(t)...)
	for i, f := range faults {
		path := fmt.Sprintf("/thread-%d.html", 300+i)
		site.on(path, f.serve)
		fmt.Fprintf(&links, `<a href="%s">x</a>`, path)
	}
	for i, f := range faults { // the loops lead to themselves
		path := fmt.Sprintf("/thread-%d.html", 300+i)
		switch f.name {
		case "loop of one":
			site.on(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, path, http.StatusFound) })
		case "loop of two":
			site.on("/thread-399.html", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, path, http.StatusFound) })
		}
	}
	site.on("/list-1.html", hostiletest.Coded("", "text/html; charset=utf-8", []byte("<html><title>版块</title>"+links.String())))
	s := r.crawl(site.source(t, "bbs"))
	for i, f := range faults {
		path := fmt.Sprintf("/thread-%d.html", 300+i)
		e := errorOf(s, path)
		if f.want == "" && f.tries == 1 && e.URL != "" || f.want == "" && e.Final {
			t.Errorf("%s: %s; want its posts", f.name, e.Reason)
		}
		found := f.want == ""
		for _, w := range strings.Split(f.want, "|") {
			found = found || strings.Contains(e.Reason, w)
		}
		if !found || f.want != "" && !e.Final {
			t.Errorf("%s: %q (final: %v); want %q", f.name, e.Reason, e.Final, f.want)
		}
		if n := site.requested(path); n != f.tries && !strings.HasPrefix(f.name, "loop") {
			t.Errorf("%s: %d requests, want %d", f.name, n, f.tries)
		}
	}
	posts := 3 * (well + len(passing(t, site)) + 1)
	if n := len(r.basket.ids()); n != posts {
		t.Errorf("%d posts, want %d", n, posts)
	}
	r.basket.mu.Lock()
	defer r.basket.mu.Unlock()
	rare := 0
	for _, p := range r.basket.posts {
		if strings.Contains(p.Text, "\uFFFD") {
			t.Errorf("a character was lost: %q", p.Text)
		}
		if strings.Contains(p.Text, "正文㐀𠮷") {
			rare++
		}
	}
	if rare != 3 {
		t.Errorf("%d posts with rare characters, want 3", rare)
	}
}
