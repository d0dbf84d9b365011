package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pool makes a pool, or skips where there is no Chromium; with CI=true that is
// a failure.
func pool(t testing.TB, change func(*Options)) *Pool {
	t.Helper()
	o := Options{Timeout: 30 * time.Second}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if errors.Is(err, ErrNoBrowser) && os.Getenv("CI") != "true" {
		t.Skip("no chromium found")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// asked is a RoundTripper that notes what a page asks for and answers by path.
type asked struct {
	mu    sync.Mutex
	urls  []string
	kinds map[string]Kind
	reply map[string]func(*http.Request) *http.Response
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.urls = append(a.urls, r.Method+" "+r.URL.String())
	if a.kinds == nil {
		a.kinds = map[string]Kind{}
	}
	a.kinds[r.URL.Path] = KindOf(r.Context())
	if f := a.reply[r.URL.Path]; f != nil {
		return f(r), nil
	}
	return nil, errors.New("refused")
}

func (a *asked) saw(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range a.urls {
		if strings.Contains(u, what) {
			return true
		}
	}
	return false
}

func answer(status int, contentType, body string, more ...string) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		h := http.Header{"Content-Type": {contentType}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Add(more[i], more[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
}

const pageURL = "https://bbs.example.com/thread-1.html"

func request(body string, rt http.RoundTripper) Request {
	return Request{URL: pageURL, Body: []byte(body), Scripts: true, RoundTripper: rt, TimeZone: "Asia/Shanghai"}
}

// A page whose comments a script fetches and draws, behind a redirect, with a
// cookie, a style sheet and pictures.
const drawn = `<!DOCTYPE html><html><head><meta charset="gbk"><title>逾期交流</title><link rel=stylesheet href=/s.css><script src=/app.js defer></script></head>
<body><h1>协商还款</h1><img src=/a.png><div id=app></div></body></html>`

func site() *asked {
	return &asked{reply: map[string]func(*http.Request) *http.Response{
		"/s.css":   answer(200, "text/css", "h1{color:red} body{background:url(/b.png)}"),
		"/app.js":  answer(200, "text/javascript; charset=utf-8", `document.cookie="seen=1"; fetch("https://api.example.net/asked",{headers:{"X-Asked":"1"}}).then(r=>r.text()).then(t=>document.title=t); fetch("https://api.example.net/asked",{method:"PUT"}).catch(()=>{}); fetch("/api/old").then(r=>r.json()).then(d=>setTimeout(()=>{ document.getElementById("app").innerHTML = d.map(c=>"<p class=c>"+c+"</p>").join("")+"<time>"+new Date(0).getHours()+"</time>" }, 900))`),
		"/api/old": answer(302, "text/html", "", "Location", "https://api.example.net/new"),
		"/new": func(r *http.Request) *http.Response {
			return answer(200, "application/json", `["可以停息挂账","加薇信详聊"]`, "Access-Control-Allow-Origin", "*")(r)
		},
		"/asked": answer(200, "text/plain", "gefragt", "Access-Control-Allow-Origin", "*"),
		"/a.png": answer(200, "image/png", pixel),
		"/b.png": answer(200, "image/png", pixel),
	}}
}

const pixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xfa\xcf\xf0\x1f\x00\x05\x05\x02\x00\xee\xd1\x14\xb7\x00\x00\x00\x00IEND\xaeB`\x82"

func TestDrawnPage(t *testing.T) {
	p, rt := pool(t, nil), site()
	req := request(drawn, rt)
	req.Expect = []string{"p.c"}
	res, err := p.Render(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	dom := string(res.DOM)
	for _, want := range []string{`<p class="c">可以停息挂账</p>`, "<h1>协商还款</h1>", "<time>8</time>", "<!DOCTYPE html>", "<title>gefragt</title>"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the document lacks %s:\n%s", want, dom)
		}
	}
	if res.URL != pageURL || res.Unfinished || res.Screenshot != nil || rt.saw("png") || rt.saw("thread-1") {
		t.Errorf("ended at %s, unfinished %v; asked for %v", res.URL, res.Unfinished, rt.urls)
	}
	if rt.saw("OPTIONS") || rt.saw("PUT") {
		t.Errorf("more than GET and HEAD went out: %v", rt.urls)
	}
	for path, kind := range map[string]Kind{"/s.css": KindStyle, "/app.js": KindScript, "/api/old": KindData, "/new": KindData} {
		if got, ok := rt.kinds[path]; !ok || got != kind {
			t.Errorf("%s was asked for as %v (%v), want %v", path, got, ok, kind)
		}
	}
}

// Without scripts the picture shows what the answer says, and pictures are
// fetched.
func TestPicture(t *testing.T) {
	p, rt := pool(t, nil), site()
	req := request(strings.Replace(drawn, "</body>", `<div style="height:23000px">x</div></body>`, 1), rt)
	req.Scripts, req.Screenshot = false, true
	res, err := p.Render(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(res.Screenshot))
	if err != nil || img.Bounds().Dx() != viewportWidth || img.Bounds().Dy() != maxPicture || res.Height != maxPicture || res.PageHeight < 23000 {
		t.Errorf("picture %v of a page %d high, %v", img.Bounds(), res.PageHeight, err)
	}
	if !rt.saw("/a.png") || !rt.saw("/b.png") || rt.saw("app.js") || strings.Contains(string(res.DOM), "停息") {
		t.Errorf("asked for %v", rt.urls)
	}
}

// A script that leads on is followed when the RoundTripper answers, and the
// page stays where it is when not.
func TestLeadsOn(t *testing.T) {
	p := pool(t, nil)
	rt := &asked{reply: map[string]func(*http.Request) *http.Response{"/real": answer(200, "text/html; charset=utf-8", "<p>正文</p>")}}
	res, err := p.Render(t.Context(), request(`<script>location.href="/real"</script>`, rt))
	if err != nil || res.URL != "https://bbs.example.com/real" || !strings.Contains(string(res.DOM), "正文") || rt.kinds["/real"] != KindPage {
		t.Errorf("ended at %s with %s, %v", res.URL, res.DOM, err)
	}
	res, err = p.Render(t.Context(), request(`<p>留下</p><script>location.href="/refused"</script>`, rt))
	if err != nil || res.URL != pageURL || !strings.Contains(string(res.DOM), "留下") || !rt.saw("/refused") {
		t.Errorf("ended at %s with %s, %v", res.URL, res.DOM, err)
	}
}

// processesOf lists what runs with a profile of this process.
func processesOf(t testing.TB) (out []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(profilePrefix+strconv.Itoa(os.Getpid())+"-")) {
			out = append(out, file)
		}
	}
	return out
}

func profiles(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(os.TempDir(), profilePrefix+strconv.Itoa(os.Getpid())+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// children lists processes that are ours and dead but not buried.
func children(t testing.TB) (zombies int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			zombies++
		}
	}
	return zombies
}

func wantNothingLeft(t testing.TB) {
	t.Helper()
	if left := processesOf(t); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	if left := profiles(t); len(left) > 0 {
		t.Errorf("profiles are left: %v", left)
	}
	if n := children(t); n > 0 {
		t.Errorf("%d zombies are left", n)
	}
}

func TestPoolEndsCleanly(t *testing.T) {
	p := pool(t, func(o *Options) { o.Browsers, o.Recycle = 2, 2 })
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			res, err := p.Render(t.Context(), request(fmt.Sprintf("<p>第 %d 页</p><script>document.cookie='x=1';localStorage.n=%d</script>", i, i), site()))
			if err != nil || !strings.Contains(string(res.DOM), fmt.Sprintf("第 %d 页", i)) {
				t.Errorf("page %d: %s, %v", i, res.DOM, err)
			}
		})
	}
	wg.Wait()
	t.Logf("%+v", p.Stats())
	if s := p.Stats(); s.Pages != 6 || s.Started < 3 || s.Killed != 0 || s.PeakRSS == 0 {
		t.Errorf("%+v; want 6 pages by browsers of two pages each", s)
	}
	p.Close()
	wantNothingLeft(t)
	if _, err := p.Render(t.Context(), request("<p>", site())); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed pool says %v", err)
	}
}

// Closing ends pages in work as well.
func TestCloseEndsPagesInWork(t *testing.T) {
	p := pool(t, nil)
	asking := make(chan struct{})
	rt := roundTrip(func(r *http.Request) (*http.Response, error) {
		close(asking)
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	done := make(chan error)
	go func() {
		_, err := p.Render(context.Background(), request("<script src=/never.js></script>", rt))
		done <- err
	}()
	<-asking
	p.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("Render = %v, want ErrClosed", err)
	}
	wantNothingLeft(t)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A browser that is killed from outside costs its page, and the next page gets
// another.
func TestKilledBrowserIsReplaced(t *testing.T) {
	p := pool(t, nil)
	if _, err := p.Render(t.Context(), request("<p>eins</p>", site())); err != nil {
		t.Fatal(err)
	}
	b := p.free[0]
	proc, err := os.FindProcess(b.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	<-b.c.gone
	res, err := p.Render(t.Context(), request("<p>zwei</p>", site()))
	if err != nil || !strings.Contains(string(res.DOM), "zwei") || p.Stats().Killed != 1 {
		t.Errorf("%s, %v, %+v", res.DOM, err, p.Stats())
	}
	p.Close()
	wantNothingLeft(t)
}

func TestNoBrowser(t *testing.T) {
	if _, err := New(Options{Path: filepath.Join(t.TempDir(), "chromium")}); !errors.Is(err, ErrNoBrowser) {
		t.Errorf("New = %v, want ErrNoBrowser", err)
	}
	// One that is there and no browser.
	p, err := New(Options{Path: "/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Render(t.Context(), request("<p>", site())); !errors.Is(err, ErrCrashed) {
		t.Errorf("Render = %v, want ErrCrashed", err)
	}
}

// canary counts connections, and UDP packets, to a loopback port.
type canary struct {
	url  string
	addr string

	mu   sync.Mutex
	hits []string
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	c := &canary{}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ConnState = func(conn net.Conn, s http.ConnState) {
		if s == http.StateNew {
			c.hit("tcp " + conn.RemoteAddr().String())
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	c.url, c.addr = srv.URL, srv.Listener.Addr().String()
	udp, err := net.ListenPacket("udp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			c.hit("udp " + from.String())
		}
	}()
	return c
}

func (c *canary) hit(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits = append(c.hits, what)
}
