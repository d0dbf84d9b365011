package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// lines is output that another goroutine reads while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	got chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.got <- struct{}{}:
	default:
	}
	return l.buf.Write(p)
}

// find waits until the output holds something.
func (l *lines) find(t *testing.T, re string) string {
	t.Helper()
	for {
		l.mu.Lock()
		found := regexp.MustCompile(re).FindString(l.buf.String())
		l.mu.Unlock()
		if found != "" {
			return found
		}
		select {
		case <-l.got:
		case <-t.Context().Done():
			t.Fatalf("never seen: %s", re)
		}
	}
}

// TestServeAsksWhoIsThere lives through the first day: the link of the first
// admin, his password, a second user, a wrong role.
func TestServeAsksWhoIsThere(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	t.Setenv("QINGYUAN_SITES", "../../configs/sites")
	if out, errs, code := runCommand(t, "", "user", "add", "mei", "-role", "investigator", "-data", data); code != 0 || !strings.Contains(out, "/welcome/") {
		t.Fatalf("user add: %d %s %s", code, out, errs)
	}
	out, errs := &lines{got: make(chan struct{}, 1)}, &lines{got: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, stdio{strings.NewReader(""), out, errs}, []string{"serve", "-no-crawl", "-data", data, "-addr", "127.0.0.1:0"})
	}()
	base := out.find(t, `http://127\.0\.0\.1:\d+`)
	link := base + regexp.MustCompile(`/welcome/\S+`).FindString(errs.find(t, `/welcome/[A-Z2-7]{26}\n`))
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	post := func(address string, form url.Values) (int, string) {
		t.Helper()
		resp, err := client.PostForm(address, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if _, body := get("/"); !strings.Contains(body, `action="/login"`) {
		t.Fatal("nobody is asked who he is")
	}
	if code, body := get("/assets/app.css"); code != 200 || !strings.Contains(body, ".card") {
		t.Errorf("the login page's style is answered %d", code)
	}
	if code, body := post(link, url.Values{"password": {"a long enough phrase"}, "again": {"a long enough phrase"}}); code != 200 || !strings.Contains(body, "/account") {
		t.Fatalf("setting the first password ends at %d", code)
	}
	if code, body := get("/audit"); code != 200 || !strings.Contains(body, "设置密码") {
		t.Errorf("the trail (%d) does not hold the first password", code)
	}
	code, body := post(base+"/users/mei/link", url.Values{})
	mei := regexp.MustCompile(`/welcome/[A-Z2-7]{26}`).FindString(body)
	if code != 200 || mei == "" {
		t.Fatalf("making a link: %d", code)
	}
	client.Jar, _ = cookiejar.New(nil)
	post(base+mei, url.Values{"password": {"another long phrase"}, "again": {"another long phrase"}})
	if code, _ := get("/"); code != 200 {
		t.Errorf("the investigator's queue is answered %d", code)
	}
	if code, _ := post(base+"/undo", url.Values{}); code != http.StatusForbidden {
		t.Errorf("the investigator decides: %d", code)
	}
	if code, _ := get("/users"); code != http.StatusForbidden {
		t.Errorf("the investigator sees the users: %d", code)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("serve ended with %d:\n%s", code, errs.buf.String())
	}
	if out, _, code := runCommand(t, "", "user", "list", "-data", data); code != 0 || !strings.Contains(out, "investigator") || !strings.Contains(out, "admin") {
		t.Errorf("user list: %d\n%s", code, out)
	}
	if _, errs, code := runCommand(t, "", "user", "disable", "admin", "-data", data); code != 1 || !strings.Contains(errs, "last admin") {
		t.Errorf("disabling the last admin: %d %s", code, errs)
	}
}
