package render

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
)

// TestMain lets a test start this binary again, in order to kill it: it then
// shows a page that never ends.
func TestMain(m *testing.M) {
	if os.Getenv("QINGYUAN_TEST_RENDER") == "" {
		os.Exit(m.Run())
	}
	p, err := New(Options{})
	if err == nil {
		_, err = p.Render(context.Background(), request("<script src=/never.js></script>", roundTrip(func(r *http.Request) (*http.Response, error) {
			fmt.Println("asked")
			<-r.Context().Done()
			return nil, r.Context().Err()
		})))
	}
	fmt.Println(err)
	os.Exit(1)
}

// A process that is killed takes its browsers along; what is left of their
// profiles is removed by the next.
func TestKillLeavesNoBrowser(t *testing.T) {
	pool(t, nil) // skips without Chromium
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QINGYUAN_TEST_RENDER=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "asked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	name := profilePrefix + strconv.Itoa(cmd.Process.Pid) + "-"
	running := func() (n int) {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range all {
			if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(name)) {
				n++
			}
		}
		return n
	}
	if running() == 0 {
		t.Fatal("no browser runs")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for end := time.Now().Add(30 * time.Second); running() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d processes go on without us", running())
		}
	}
	found, err := filepath.Glob(filepath.Join(os.TempDir(), name+"*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no profile to sweep: %v, %v", found, err)
	}
	pool(t, nil)
	if found, _ = filepath.Glob(filepath.Join(os.TempDir(), name+"*")); len(found) > 0 {
		t.Errorf("profiles are left: %v", found)
	}
}

// FuzzMessages feeds what a browser might send.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{"{}\x00", `{"id":1,"result":{}}` + "\x00", `{"method":"Fetch.requestPaused","sessionId":"s","params":{"requestId":"1","request":{"url":"http://a/","method":"GET","headers":{"A":1}},"frameId":"m","resourceType":"Document"}}` + "\x00",
		`{"method":"Page.frameNavigated","sessionId":"s","params":{"frame":{"id":"m","url":"http://b/"}}}` + "\x00" + `{"method":"Page.javascriptDialogOpening","sessionId":"s"}` + "\x00", "\x00\x00", `{"id":1,"error":{"message":"x"}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		c := &conn{waiting: map[int64]chan reply{1: make(chan reply, 1)}, gone: make(chan struct{})}
		tb := &tab{ctx: t.Context(), main: "m", s: session{c: c, id: "s"}, req: Request{}, fail: func(error) {}, wake: make(chan struct{}, 1), queue: make(chan *fetch.EventRequestPaused, 2*maxRequests)}
		c.sessions = map[string]func(string, json.RawMessage){"s": tb.event}
		c.w = w
		defer r.Close()
		c.read(bufio.NewReader(strings.NewReader(in)))
		if tb.inFlight != len(tb.queue) {
			t.Errorf("%d in flight, %d in the queue", tb.inFlight, len(tb.queue))
		}
	})
}
