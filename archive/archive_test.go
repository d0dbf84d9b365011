package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 22, 9, 30, 0, 123456000, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Millisecond)
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func open(t testing.TB, opts Options) *Writer {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	w, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// page makes an exchange whose body depends on n.
func page(n int, at time.Time) *Exchange {
	r := rand.New(rand.NewSource(int64(n)))
	var body bytes.Buffer
	fmt.Fprintf(&body, "<html><title>帖子 %d</title>", n)
	for body.Len() < 700+r.Intn(3000) {
		fmt.Fprintf(&body, "<p id=p%d>停息挂账咨询 %d</p>\n", r.Intn(1e6), r.Int63())
	}
	return &Exchange{Method: "GET", URL: fmt.Sprintf("http://bbs.example/thread-%d-1-1.html", n), Status: 200, Proto: "HTTP/1.1",
		RequestHeader:  http.Header{"User-Agent": {"Qingyuan/1.0"}, "Accept-Encoding": {"gzip"}},
		ResponseHeader: http.Header{"Content-Type": {"text/html; charset=gbk"}, "Set-Cookie": {"a=1", "b=2"}},
		Body:           body.Bytes(), RemoteAddr: "192.0.2.7:80", Started: at, Took: 120 * time.Millisecond,
		About: []Field{{AboutSource, "bbs"}, {"site-config", "abc123"}}}
}

func appendPage(t testing.TB, w *Writer, x *Exchange) Ref {
	t.Helper()
	ref, err := w.Append(context.Background(), x)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func closeWriter(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, dir string) Report {
	t.Helper()
	r, err := Verify(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustBeSound(t testing.TB, dir string) Report {
	t.Helper()
	r := verify(t, dir)
	for _, p := range r.Problems {
		t.Errorf("verify: %s", p)
	}
	return r
}

func capture(t testing.TB, dir, id string) Capture {
	t.Helper()
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := a.Find(context.Background(), "", id, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Capture(context.Background(), found[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAppendAndReadBack(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	x := page(1, c.now())
	ref := appendPage(t, w, x)
	if ref.SHA256 != hexSum(x.Body) || ref.Revisit || !ref.Date.Equal(x.Started) {
		t.Errorf("ref = %+v", ref)
	}
	got := capture(t, dir, ref.RecordID) // while the writer has it open
	if !bytes.Equal(got.Body, x.Body) || got.Entry.URL != x.URL || got.Entry.Status != 200 || got.File != ref.File {
		t.Errorf("read back %+v", got.Entry)
	}
	if !slices.Equal(got.Header["Set-Cookie"], []string{"a=1", "b=2"}) || got.Header.Get("Content-Type") != "text/html; charset=gbk" {
		t.Errorf("header = %v", got.Header)
	}
	closeWriter(t, w)
	r := mustBeSound(t, dir)
	if r.Files != 1 || r.Records != 4 || r.Events != 2 || len(r.Open) != 0 {
		t.Errorf("report = %+v", r)
	}
	a, _ := Read(dir)
	var pages []Capture
	err := a.Captures(context.Background(), time.Time{}, func(c Capture) error { pages = append(pages, c); return nil }, func(err error) error { return err })
	if err != nil || len(pages) != 1 || pages[0].About(AboutSource) != "bbs" || pages[0].About("remote") != "192.0.2.7:80" {
		t.Errorf("captures = %+v, %v", pages, err)
	}
}

// What a record is written with, and what reading it gives, must be the same
// entry: verify compares the two.
func TestEntryIsMadeOfTheRecordAlone(t *testing.T) {
	x := page(7, time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	x.URL = "http://bbs.example/a?b==?utf-8?b?5Lit?=&c=中文 x\r\nWARC-Type: evil#f"
	if _, _, err := exchangeRecords(newPack().(*pack), x, hexSum(x.Body), nil); err == nil {
		t.Error("a URL with a line break was taken")
	}
	x.URL = "http://bbs.example/a?b==?utf-8?b?5Lit?=&c=中文 x"
	x.ResponseHeader = http.Header{"X-Bad": {"a\r\nWARC-Type: evil", "\xff\xfe"}}
	x.About = append(x.About, Field{AboutVia, "line\r\nbreak"})
	members, _, err := exchangeRecords(newPack().(*pack), x, hexSum(x.Body), &original{ID: newID(), URL: "http://a.example/", Date: "2026-11-22T09:00:00.000000Z", File: "f.warc.gz", Offset: 12})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		r, err := readMember(m.data, new(gzip.Reader))
		if err != nil {
			t.Fatalf("%s: %v", m.entry.Type, err)
		}
		if got := entryOf(r, 0, m.entry.Length, m.entry.SHA256); got != m.entry {
			t.Errorf("entry differs:\n%+v\n%+v", got, m.entry)
		}
		if strings.Contains(r.Get("WARC-Target-URI"), "=?") {
			t.Error("the address could be taken for an encoded word")
		}
	}
}

// The metadata record says what neither request nor response does.
func TestMetadata(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	x := page(1, c.now())
	x.TLS, x.RemoteAddr, x.Truncated = resp.TLS, "[2001:db8::7]:443", "time"
	x.About = append(x.About, Field{AboutVia, "http://bbs.example/old urn:uuid:1"})
	ref := appendPage(t, w, x)
	closeWriter(t, w)
	a, _ := Read(dir)
	err = a.Captures(t.Context(), time.Time{}, func(c Capture) error {
		want := map[string]string{"tls-leaf-sha256": hexSum(srv.Certificate().Raw), "remote": "[2001:db8::7]:443", "via": "http://bbs.example/old urn:uuid:1", "site-config": "abc123", "fetchTimeMs": "120"}
		for name, value := range want {
			if c.About(name) != value {
				t.Errorf("%s is %q, want %q", name, c.About(name), value)
			}
		}
		if c.Whole || c.Entry.ID != ref.RecordID {
			t.Errorf("capture %+v", c)
		}
		r, err := a.Record(c.File, c.Entry)
		if err != nil || r.Get("WARC-IP-Address") != "2001:db8::7" || r.Get("WARC-Truncated") != "time" {
			t.Errorf("record %v, %v", r.Fields, err)
		}
		return nil
	}, func(err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
}

func TestRevisit(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	first := page(1, c.now())
	whole := appendPage(t, w, first)

	again := page(1, c.now())
	again.URL = "http://bbs.example/thread-1-1-1.html?mobile=no"
	same := appendPage(t, w, again)
	unchanged := &Exchange{Method: "GET", URL: first.URL, Status: 304, Started: c.now(), ResponseHeader: http.Header{"Etag": {`"x"`}}}
	notModified := appendPage(t, w, unchanged)
	closeWriter(t, w)

	w = open(t, Options{Dir: dir, Now: c.now}) // the memory is kept over a restart
	later := page(1, c.now())
	restarted := appendPage(t, w, later)
	cutShort := page(1, c.now())
	cutShort.Truncated = "time"
	if appendPage(t, w, cutShort).Revisit {
		t.Error("a truncated body became a revisit")
	}
	c.forward(8 * 24 * time.Hour)
	if appendPage(t, w, page(1, c.now())).Revisit {
		t.Error("a record older than the window was referred to")
	}
	closeWriter(t, w)

	for name, ref := range map[string]Ref{"same body": same, "after restart": restarted, "not modified": notModified} {
		got := capture(t, dir, ref.RecordID)
		if !ref.Revisit || got.Entry.Type != TypeRevisit || got.Entry.RefersTo != whole.RecordID || !bytes.Equal(got.Body, first.Body) {
			t.Errorf("%s: %+v, %d bytes", name, got.Entry, len(got.Body))
		}
	}
	mustBeSound(t, dir)
}

func TestRotation(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now, MaxFile: 20_000})
	for n := range 60 {
		appendPage(t, w, page(n, c.now()))
	}
	a, _ := Read(dir)
	bySize, _ := a.Files()
	if len(bySize) < 4 {
		t.Errorf("%d files after 60 pages, want several of about 20 kB", len(bySize))
	}
	c.forward(time.Hour)
	appendPage(t, w, page(100, c.now()))
	byHour, _ := a.Files()
	if len(byHour) != len(bySize)+1 {
		t.Errorf("%d files after the hour, want %d", len(byHour), len(bySize)+1)
	}
	closeWriter(t, w)
	manifests, _ := manifestNames(dir)
	if len(manifests) != 2 {
		t.Errorf("manifests %v, want one for each of two hours", manifests)
	}
	if r := mustBeSound(t, dir); r.Files != len(byHour) || r.Records != 61*3+len(byHour) {
		t.Errorf("report = %+v", r)
	}
}

func TestManyAtATime(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Options{Dir: dir, MaxFile: 100_000})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for n := range 25 {
				if _, err := w.Append(context.Background(), page(g*1000+n, time.Now())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	closeWriter(t, w)
	if r := mustBeSound(t, dir); r.Records != 16*25*3+r.Files {
		t.Errorf("report = %+v", r)
	}
	if _, err := w.Append(context.Background(), page(1, time.Now())); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestAttach(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	ref := appendPage(t, w, page(1, c.now()))
	shot, err := w.Attach(context.Background(), Attachment{Type: TypeResource, URL: "screenshot:http://bbs.example/thread-1-1-1.html", ContentType: "image/png", Block: []byte("\x89PNG"), RefersTo: ref.RecordID, Date: c.now()})
	if err != nil {
		t.Fatal(err)
	}
	dom, err := w.Attach(context.Background(), Attachment{Type: TypeConversion, URL: "http://bbs.example/thread-1-1-1.html", ContentType: "text/html; charset=utf-8", Block: []byte("<html>"), RefersTo: ref.RecordID, Date: c.now()})
	if err != nil {
		t.Fatal(err)
	}
	closeWriter(t, w)
	if c := capture(t, dir, shot.RecordID); string(c.Body) != "\x89PNG" || c.Entry.Page != ref.RecordID {
		t.Errorf("screenshot %+v", c.Entry)
	}
	if c := capture(t, dir, dom.RecordID); string(c.Body) != "<html>" || c.Entry.RefersTo != ref.RecordID {
		t.Errorf("DOM %+v", c.Entry)
	}
	mustBeSound(t, dir)
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	closeWriter(t, w)
	open(t, Options{Dir: dir})
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	closeWriter(t, open(t, Options{Dir: dir}))
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key: %v, %v", info.Mode(), err)
	}
	if text, _, err := PublicKey(dir); err != nil || !strings.HasPrefix(text, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("public key %q, %v", text, err)
	}
	os.Chmod(filepath.Join(dir, keyFile), 0o644)
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	os.Chmod(filepath.Join(dir, keyFile), 0o600)
	w := open(t, Options{Dir: dir})
	appendPage(t, w, page(1, time.Now()))
	closeWriter(t, w)
	os.Remove(filepath.Join(dir, keyFile))
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "bring it back") {
		t.Errorf("without the key: %v", err)
	}
}

// What is attached to a page is found by it, with how it was made, and a page
// that was read as a browser showed it comes with both its forms.
func TestAttachments(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	page, err := w.Append(t.Context(), &Exchange{Method: "GET", URL: "http://bbs.example/t1", Status: 200, ResponseHeader: http.Header{"Content-Type": {"text/html"}},
		Body: []byte("<div id=app></div>"), Started: at, About: []Field{{AboutSource, "bbs"}}})
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]Ref{}
	for _, a := range []Attachment{
		{Type: TypeConversion, URL: "http://bbs.example/t1", ContentType: "text/html; charset=utf-8", Block: []byte("<p>停息挂账</p>"), About: []Field{{AboutSource, "bbs"}, {"made", "by\r\na browser"}}},
		{Type: TypeResource, URL: "screenshot:http://bbs.example/t1", ContentType: "image/png", Block: []byte("\x89PNG"), About: []Field{{"width", "1280"}}},
		{Type: TypeResource, URL: "dom:http://bbs.example/t1", ContentType: "text/html; charset=utf-8", Block: []byte("<p>")}, // says nothing of itself
	} {
		a.RefersTo, a.Date = page.RecordID, at
		if made[a.URL], err = w.Attach(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Converted(t.Context()); err != nil || len(got) != 1 || !got[page.RecordID] {
		t.Errorf("Converted = %v, %v", got, err)
	}
	var seen []string
	err = a.Captures(t.Context(), time.Time{}, func(c Capture) error {
		seen = append(seen, c.Entry.Type+" "+c.About(AboutSource)+" "+c.About("made")+" "+c.ContentType+" "+string(c.Body))
		return nil
	}, func(err error) error { return err })
	want := []string{"response bbs   <div id=app></div>", "conversion bbs by  a browser text/html; charset=utf-8 <p>停息挂账</p>"}
	if err != nil || !slices.Equal(seen, want) {
		t.Errorf("Captures: %q, %v; want %q", seen, err, want)
	}
	var shots []string
	if err := a.Resources(t.Context(), func(c Capture) error {
		shots = append(shots, c.Entry.URL+" "+c.Entry.Page+" "+c.About("width")+" "+c.Entry.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	shot := made["screenshot:http://bbs.example/t1"]
	if want := "screenshot:http://bbs.example/t1 " + page.RecordID + " 1280 " + shot.RecordID; len(shots) != 1 || shots[0] != want {
		t.Errorf("Resources: %q, want %q", shots, want)
	}
	if r, err := Verify(t.Context(), dir, nil); err != nil || len(r.Problems) > 0 || r.Records != 1+3+2+2+1 {
		t.Errorf("verify: %+v, %v", r, err)
	}
}
