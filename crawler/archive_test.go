package crawler

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qingyuan/archive"
	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// archiving is the hook of a crawl with an archive, in short.
func archiving(w *archive.Writer) func(context.Context, *transport.Exchange) error {
	return func(ctx context.Context, x *transport.Exchange) error {
		v, _ := VisitOf(ctx)
		about := []archive.Field{{Name: archive.AboutSource, Value: v.Source}, {Name: "site-config", Value: v.Config}}
		if x.Robots != nil {
			for _, hop := range v.Via {
				about = append(about, archive.Field{Name: archive.AboutVia, Value: hop.URL + " " + hop.Archive.RecordID})
			}
		}
		ref, err := w.Append(ctx, &archive.Exchange{Method: x.Method, URL: x.URL, RequestHeader: x.RequestHeader, Status: x.Status, Proto: x.Proto,
			ResponseHeader: x.ResponseHeader, Body: x.Raw, Truncated: x.Truncated, RemoteAddr: x.RemoteAddr, Started: x.Started, Took: x.Took, About: about})
		if err == nil && x.Robots != nil {
			SetArchive(ctx, x.URL, post.Archive{File: ref.File, RecordID: ref.RecordID, SHA256: ref.SHA256}, ref.Date)
		}
		return err
	}
}

func (r *rig) withHook(hook func(context.Context, *transport.Exchange) error) {
	r.tb.Helper()
	t, err := transport.New(transport.Options{Robots: true, OnBody: hook})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(t.CloseIdleConnections)
	r.opts.Transport = t
}

func openTestArchive(tb testing.TB, dir string) *archive.Writer {
	tb.Helper()
	w, err := archive.Open(archive.Options{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close() })
	return w
}

// Every post names the record of its page, also behind redirects, and has the
// record's time.
func TestPostsNameTheirRecord(t *testing.T) {
	r, s, dir := newRig(t), newTestSite(t, 12), t.TempDir()
	s.on("/thread-3.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/thread-99.html")
		w.WriteHeader(http.StatusFound)
	})
	s.on("/thread-99.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, thread(99))
	})
	w := openTestArchive(t, dir)
	r.withHook(archiving(w))
	src := s.source(t, "bbs")
	r.crawl(src)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.basket.posts {
		found, err := a.Find(t.Context(), p.Archive.File, p.Archive.RecordID, 1)
		if err != nil {
			t.Fatalf("%s: %v", p.URL, err)
		}
		c, err := a.Capture(t.Context(), found[0])
		if err != nil || !bytes.Contains(c.Body, []byte(p.Text)) || !c.Entry.Time().Equal(p.FetchedAt) {
			t.Errorf("%s: record %+v, %v; fetched at %s", p.URL, c.Entry, err, p.FetchedAt)
		}
	}
	via, pages := "", 0
	err = a.Captures(t.Context(), time.Time{}, func(c archive.Capture) error {
		pages++
		if c.About(archive.AboutSource) != "bbs" || c.About("site-config") != src.Version() {
			t.Errorf("metadata of %s: %v", c.Entry.URL, c.Metadata)
		}
		if strings.HasSuffix(c.Entry.URL, "/thread-99.html") {
			via = c.About(archive.AboutVia)
		}
		return nil
	}, func(err error) error { return err })
	if err != nil || pages != 1+2+12+1 || !strings.HasPrefix(via, s.URL+"/thread-3.html urn:uuid:") {
		t.Errorf("%d exchanges, the redirect is %q, %v; want robots.txt, two lists, twelve threads and the target", pages, via, err)
	}
}

// The header fields of an exchange are those that went over the wire, in their
// order.
func TestSentFieldsAreThoseOnTheWire(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	wire := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var got strings.Builder
		lines := bufio.NewReader(conn)
		for {
			line, err := lines.ReadString('\n')
			got.WriteString(line)
			if err != nil || line == "\r\n" {
				break
			}
		}
		wire <- got.String()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}()
	var kept *transport.Exchange
	tr, err := transport.New(transport.Options{OnBody: func(_ context.Context, x *transport.Exchange) error { kept = x; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx := transport.WithPolicy(t.Context(), transport.HostPolicy{Hosts: []string{ln.Addr().String()}, AllowPrivate: []string{ln.Addr().String()},
		Header: http.Header{"X-Lab": {"1", "2"}}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ln.Addr().String()+"/a?b=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := "GET /a?b=1 HTTP/1.1\r\n"
	for _, f := range kept.Sent {
		want += f[0] + ": " + f[1] + "\r\n"
	}
	if got := <-wire; got != want+"\r\n" {
		t.Errorf("on the wire:\n%s\nkept:\n%s", got, want)
	}
}

// While nothing can be kept nothing is used, nobody is blamed and nothing is
// lost: the crawl waits and goes on.
func TestArchiveThatFails(t *testing.T) {
	r, s := newRig(t), newTestSite(t, 20)
	w := openTestArchive(t, t.TempDir())
	hook, calls := archiving(w), atomic.Int64{}
	r.withHook(func(ctx context.Context, x *transport.Exchange) error {
		// The first is robots.txt.
		if n := calls.Add(1); n == 1 || n%7 == 3 {
			return fmt.Errorf("writing: %w", syscall.ENOSPC)
		}
		return hook(ctx, x)
	})
	r.opts.GiveUp = 1000
	sum := r.crawl(s.source(t, "bbs"))
	if len(r.basket.posts) != 60 || r.saw(EventDead, "") != 0 || r.saw(EventBackOff, "") != 0 || r.saw(EventSink, "") == 0 {
		t.Errorf("%d posts, %d pages given up, %d back-offs of hosts, %d times told; want 60, none, none and some\n%+v",
			len(r.basket.posts), r.saw(EventDead, ""), r.saw(EventBackOff, ""), r.saw(EventSink, ""), sum.Errors)
	}
}

// When it fails for good a single pass ends with that error, and the next one
// has every page.
func TestArchiveThatFailsForGood(t *testing.T) {
	r, s := newRig(t), newTestSite(t, 20)
	r.withHook(func(context.Context, *transport.Exchange) error { return syscall.ENOSPC })
	if _, err := r.run(s.source(t, "bbs")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Run = %v, want no space left on device", err)
	}
	if len(r.basket.posts) != 0 {
		t.Errorf("%d posts of pages that are not archived were used", len(r.basket.posts))
	}
	r.withHook(archiving(openTestArchive(t, t.TempDir())))
	r.crawl(s.source(t, "bbs"))
	if len(r.basket.posts) != 60 {
		t.Errorf("%d posts after the archive came back, want 60", len(r.basket.posts))
	}
}

// cpuTime is what this process has used, the test's own server included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCrawlArchive is BenchmarkCrawl over 8 hosts of 30 kB pages, each
// with a text of its own, without and with the archive.
func BenchmarkCrawlArchive(b *testing.B) {
	filler := strings.Repeat("<li class=side><a href='#'>贷款 债务 协商 还款 征信 逾期</a> <span title='x'>2026-11-22</span></li>\n", 260)
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("archive=%v", on), func(b *testing.B) {
			var sources []*Source
			for i := range 8 {
				s := newTestSite(b, 100)
				inner := s.Config.Handler
				s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inner.ServeHTTP(w, r)
					if strings.HasPrefix(r.URL.Path, "/thread") {
						fmt.Fprintf(w, "<ul>%s %d</ul>", filler, time.Now().UnixNano())
					}
				})
				sources = append(sources, s.source(b, fmt.Sprintf("bbs-%d", i)))
			}
			r := newRig(b)
			r.opts.OnEvent, r.opts.Workers = nil, 16
			var bytesIn atomic.Int64
			hook := func(context.Context, *transport.Exchange) error { return nil }
			if on {
				hook = archiving(openTestArchive(b, filepath.Join(b.TempDir(), "archive")))
			}
			r.withHook(func(ctx context.Context, x *transport.Exchange) error {
				bytesIn.Add(int64(len(x.Raw)))
				return hook(ctx, x)
			})
			pages, before := 0, cpuTime()
			for b.Loop() {
				pages += r.crawl(sources...).Pages
			}
			b.ReportMetric(float64((cpuTime()-before).Microseconds())/1000/float64(pages), "cpu-ms/page")
			b.ReportMetric(float64(pages)/b.Elapsed().Seconds(), "pages/s")
			b.ReportMetric(float64(bytesIn.Load())/1e6/b.Elapsed().Seconds(), "MB/s-in")
		})
	}
}
