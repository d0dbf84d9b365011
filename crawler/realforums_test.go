package crawler

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/crawler/transport"
)

// realForum gives the address at which scripts/forums has started a software;
// without it the test is skipped: make test-forums.
func realForum(t *testing.T, variable string) string {
	t.Helper()
	base := os.Getenv(variable)
	if base == "" {
		t.Skipf("%s is not set; make test-forums starts the software and sets it", variable)
	}
	return base
}

// forumRig is a rig whose transport has the usual, long time limits, and whose
// deletions are kept.
func forumRig(t *testing.T) (*rig, func() []Deletion) {
	t.Helper()
	r := newRig(t)
	rt, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	r.opts.Transport = rt
	var mu sync.Mutex
	var gone []Deletion
	r.opts.Deleted = func(_ context.Context, d Deletion) error {
		mu.Lock()
		defer mu.Unlock()
		gone = append(gone, d)
		return nil
	}
	return r, func() []Deletion { mu.Lock(); defer mu.Unlock(); return slices.Clone(gone) }
}

// wordpress is a WordPress, spoken to by XML-RPC.
type wordpress struct {
	t    *testing.T
	base string
}

// call calls a method; arguments are int, string and map[string]any.
func (w *wordpress) call(method string, args ...any) string {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\"?><methodCall><methodName>%s</methodName><params>", method)
	for _, a := range append([]any{1, "admin", "adminpw-1"}, args...) {
		b.WriteString("<param>" + xmlValue(a) + "</param>")
	}
	b.WriteString("</params></methodCall>")
	resp, err := http.Post(w.base+"/xmlrpc.php", "text/xml", strings.NewReader(b.String()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if m := reRPCResult.FindSubmatch(body); m != nil && !bytes.Contains(body, []byte("<fault>")) {
		return string(m[1])
	}
	w.t.Fatalf("%s: %s\n%s", method, resp.Status, body)
	return ""
}

var reRPCResult = regexp.MustCompile(`<(?:string|int|i4|boolean)>([^<]*)</`)

func xmlValue(v any) string {
	switch v := v.(type) {
	case int:
		return fmt.Sprintf("<value><int>%d</int></value>", v)
	case map[string]any:
		var b strings.Builder
		b.WriteString("<value><struct>")
		for k, e := range v {
			b.WriteString("<member><name>" + k + "</name>" + xmlValue(e) + "</member>")
		}
		return b.String() + "</struct></value>"
	}
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(fmt.Sprint(v))); err != nil {
		return "<value/>"
	}
	return "<value><string>" + b.String() + "</string></value>"
}

// source is the kit of WordPress on this host: what operators get.
func (w *wordpress) source() *Source {
	w.t.Helper()
	kits, err := ReadKits(os.DirFS(filepath.Join("..", "configs", "sites")))
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := NewFetcher(FetcherOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	first, err := FirstSource(w.base+"/", true)
	if err != nil {
		w.t.Fatal(err)
	}
	home, err := f.Fetch(w.t.Context(), first, w.base+"/")
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := DraftSite(w.t.Context(), home, DraftOptions{Name: "wordpress", AllowPrivate: true, Kits: kits, Fetch: f.Fetch})
	if err != nil {
		w.t.Fatal(err)
	}
	if d.Kit != "wordpress" {
		w.t.Fatalf("taken for kit %q by %v", d.Kit, d.Marks)
	}
	return d.Source
}

// TestRealForumWordPress drafts the config of a WordPress by site new, crawls it
// by that, and sees an edit, a deleted comment and a deleted post.
func TestRealForumWordPress(t *testing.T) {
	w := &wordpress{t, realForum(t, "QINGYUAN_TEST_WORDPRESS")}
	const threads, comments = 20, 12 // two pages of comments
	var want, posts []string
	var last string
	for i := 1; i <= threads; i++ {
		text := fmt.Sprintf("楼主正文 %d：信用卡逾期两个月，想自己打电话谈分期。", i)
		id := w.call("wp.newPost", map[string]any{"post_title": fmt.Sprintf("第%d篇：谈分期的经过", i), "post_content": text, "post_status": "publish", "comment_status": "open"})
		posts, want = append(posts, id), append(want, text)
		n := 2
		if i == 7 {
			n = comments
		}
		for j := 1; j <= n; j++ {
			text := fmt.Sprintf("第 %d 篇 %d 楼：先把流水和困难证明准备好，录音。", i, j)
			c := w.call("wp.newComment", id, map[string]any{"content": text})
			if want = append(want, text); i == 3 && j == 1 {
				last = c
			}
		}
	}
	slices.Sort(want)
	src := w.source()
	r, gone := forumRig(t)
	r.limit = 5 * time.Minute
	r.crawl(src)
	if got := r.basket.texts(); !slices.Equal(got, want) {
		t.Fatalf("%d texts, want %d:\n%s\n%s", len(got), len(want), strings.Join(got, "\n"), src.File())
	}
	k, err := CheckSite(t.Context(), src, mustFetcher(t).Fetch)
	if err != nil || !k.OK {
		t.Errorf("site check: %+v, %v", k.Drifts, err)
	}

	edited := "楼主更新：银行同意分六十期，没有找任何中介。"
	w.call("wp.editPost", posts[4], map[string]any{"post_content": edited})
	w.call("wp.deleteComment", last) // its neighbours stay
	w.call("wp.deletePost", posts[11])
	lost := r.basket.idOf(t, "第 3 篇 1 楼")
	r.crawl(src)
	after := r.basket.texts()
	if len(after) != len(want) || !slices.Contains(after, edited) {
		t.Errorf("the edit is not the same post with a new text: %d texts, want %d", len(after), len(want))
	}
	comment, thread := false, false
	for _, d := range gone() {
		switch {
		case slices.Equal(d.Posts, []string{lost}):
			comment = true
		case strings.HasSuffix(d.Thread, "/archives/"+posts[11]):
			thread = true
		default:
			t.Errorf("more is said to be gone: %+v", d)
		}
	}
	if !comment || !thread {
		t.Errorf("the deleted comment is told: %v, the deleted post: %v", comment, thread)
	}
}

func mustFetcher(t *testing.T) *Fetcher {
	t.Helper()
	f, err := NewFetcher(FetcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

const issoConfig = `name: isso
title: Isso 评论
type: forum
hosts: [%q]
allow_private: true
seeds: [%s]
delay: 0s
time_zone: UTC
pages:
  - name: thread
    match: '^/\?uri=(?P<uri>[^&]+)'
    format: json
    posts:
      - each: replies
        kind: comment
        key: {path: id}
        author: {path: author}
        time: {path: created}
        text: {path: text, html: true}
`

// TestRealForumIsso reads comments that a page draws by script from the JSON
// that the script asks for.
func TestRealForumIsso(t *testing.T) {
	base := realForum(t, "QINGYUAN_TEST_ISSO")
	const threads, comments = 20, 3
	var want, seeds []string
	var cookie *http.Cookie
	var target string
	for i := 1; i <= threads; i++ {
		uri := url.QueryEscape(fmt.Sprintf("/t%d.html", i))
		seeds = append(seeds, fmt.Sprintf("%q", base+"/?uri="+uri))
		for j := 1; j <= comments; j++ {
			text := fmt.Sprintf("第 %d 页 %d 楼：网贷客服说只能找第三方，我没理会。", i, j)
			data, err := json.Marshal(map[string]string{"text": text, "author": fmt.Sprintf("网友%d号", j), "title": "评论"})
			if err != nil {
				t.Fatal(err)
			}
			resp := issoSend(t, http.MethodPost, base+"/new?uri="+uri, data, nil)
			var made struct{ ID int }
			if err := json.Unmarshal(resp.body, &made); err != nil || resp.status != http.StatusCreated {
				t.Fatalf("status %d: %s", resp.status, resp.body)
			}
			if want = append(want, text); i == 5 && j == 2 {
				target = fmt.Sprintf("%s/id/%d", base, made.ID)
				for _, c := range resp.cookies {
					if c.Name == fmt.Sprint(made.ID) {
						cookie = c
					}
				}
			}
		}
	}
	slices.Sort(want)
	src, err := ReadSource("isso.yaml", fmt.Appendf(nil, issoConfig, strings.TrimPrefix(base, "http://"), strings.Join(seeds, ", ")))
	if err != nil {
		t.Fatal(err)
	}
	r, gone := forumRig(t)
	r.limit = 5 * time.Minute
	r.crawl(src)
	if got := r.basket.texts(); !slices.Equal(got, want) {
		t.Fatalf("%d texts, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	if cookie == nil {
		t.Fatal("no cookie to edit with")
	}
	lost := r.basket.idOf(t, "第 5 页 2 楼")
	edited := "更新：第 5 页 2 楼，客服第二天改口了。"
	data, err := json.Marshal(map[string]string{"text": edited})
	if err != nil {
		t.Fatal(err)
	}
	resp := issoSend(t, http.MethodPut, target, data, cookie)
	if resp.status != http.StatusOK {
		t.Fatalf("editing: %d %s", resp.status, resp.body)
	}
	r.crawl(src)
	if got := r.basket.texts(); len(got) != len(want) || !slices.Contains(got, edited) {
		t.Errorf("the edit is not seen: %d texts", len(got))
	}
	// The right to delete is in the cookie of the last edit.
	for _, c := range resp.cookies {
		if c.Name == cookie.Name {
			cookie = c
		}
	}
	if resp := issoSend(t, http.MethodDelete, target, nil, cookie); resp.status != http.StatusOK {
		t.Fatalf("deleting: %d %s", resp.status, resp.body)
	}
	r.crawl(src)
	if got := gone(); len(got) != 1 || !slices.Equal(got[0].Posts, []string{lost}) {
		t.Errorf("told to be gone: %+v, want %s alone", got, lost)
	}
}

type issoAnswer struct {
	status  int
	body    []byte
	cookies []*http.Cookie
}

func issoSend(t *testing.T, method, target string, data []byte, cookie *http.Cookie) issoAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if cookie != nil {
		req.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return issoAnswer{resp.StatusCode, body, resp.Cookies()}
}
