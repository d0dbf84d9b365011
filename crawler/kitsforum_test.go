package crawler

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"qingyuan/post"
)

// A freshForum is a Discuz! forum that no config knows yet: threads of 13 posts,
// ten a page, in lists of five, linked with all the decoration that the
// software puts into URLs.
type freshForum struct {
	*httptest.Server
	threads int
}

const (
	forumPerList  = 5
	forumPerPage  = 10
	postsInThread = 13
)

func newFreshForum(t *testing.T, threads int) *freshForum {
	f := &freshForum{threads: threads}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *freshForum) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page := max(1, number(q.Get("page")))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch {
	case r.URL.Path != "/forum.php":
		http.NotFound(w, r)
	case q.Get("mod") == "forumdisplay":
		f.list(w, page)
	case q.Get("mod") == "viewthread" && number(q.Get("tid")) <= f.threads:
		f.thread(w, number(q.Get("tid")), page)
	default:
		fmt.Fprint(w, `<title>提示信息 - 新港社区</title><div id="messagetext" class="alert_error"><p>抱歉，指定的主题不存在或已被删除或正在被审核</p></div>`)
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (f *freshForum) list(w http.ResponseWriter, page int) {
	fmt.Fprint(w, `<html><head><title>网贷交流 - 新港社区</title></head><body><div class="a_mu" id="ad_subnav"><a href="http://127.0.0.1:9/x">应急周转</a></div><table id="threadlisttableid">`)
	for tid := (page-1)*forumPerList + 1; tid <= min(page*forumPerList, f.threads); tid++ {
		fmt.Fprintf(w, `<tbody id="normalthread_%[1]d"><tr><th class="common"><a href="forum.php?mod=viewthread&amp;tid=%[1]d&amp;extra=page%%3D%[2]d" class="s xst">求助帖 %[1]d</a></th>
<td class="by"><cite><a href="home.php?mod=space&amp;uid=%[1]d">网友%[1]d</a></cite><em><span>2026-11-1</span></em></td><td class="num"><a href="#" class="xi2">%[3]d</a><em>99</em></td>
<td class="by"><cite><a href="#">某人</a></cite><em><a href="#">2026-11-4 10:00</a></em></td></tr></tbody>`, tid, page, postsInThread-1)
	}
	fmt.Fprint(w, "</table>")
	if page*forumPerList < f.threads {
		fmt.Fprintf(w, `<div class="pg"><a href="forum.php?mod=forumdisplay&amp;fid=36&amp;orderby=lastpost&amp;page=%d" class="nxt">下一页</a></div>`, page+1)
	}
}

func (f *freshForum) thread(w http.ResponseWriter, tid, page int) {
	fmt.Fprintf(w, `<html><head><title>求助帖 %[1]d</title></head><body><h1 class="ts"><span id="thread_subject">求助帖 %[1]d</span></h1><div id="postlist">`, tid)
	for floor := (page-1)*forumPerPage + 1; floor <= min(page*forumPerPage, postsInThread); floor++ {
		name := fmt.Sprintf("<em>%d</em><sup>#</sup>", floor)
		if floor == 1 {
			name = "楼主"
		}
		fmt.Fprintf(w, `<div id="post_%[1]d"><table><tr><td class="pls"><div class="authi"><a href="home.php?mod=space&amp;uid=%[2]d" class="xw1">网友%[2]d</a></div></td><td class="plc"><strong><a id="postnum%[1]d">%[3]s</a></strong>
<div class="authi"><em id="authorposton%[1]d">发表于 2026-11-1 %02[4]d:30</em></div><table><tr><td class="t_f" id="postmessage_%[1]d">第 %[2]d 楼：<font class="jammer">s6 N. Z</font>协商的事<br />%[5]s</td></tr></table></td></tr></table></div>`,
			tid*100+floor, floor, name, floor%24, "说一说")
	}
	fmt.Fprint(w, "</div>")
	if page*forumPerPage < postsInThread {
		fmt.Fprintf(w, `<a href="forum.php?mod=viewthread&amp;tid=%d&amp;extra=page%%3D1&amp;page=%d" class="nxt">下一页</a>`, tid, page+1)
	}
}

// A new Discuz! forum is taken on by its config alone: the kit with another
// name, title, host and seed, which is what an operator changes.
func TestNewDiscuzForumByConfigAlone(t *testing.T) {
	forum := newFreshForum(t, 12)
	kit, err := os.ReadFile(filepath.Join("..", "configs", "sites", "discuz.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(kit)) {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "name":
			line = "name: xingang\n"
		case "title":
			line = "title: 新港社区\n"
		case "hosts":
			line = fmt.Sprintf("hosts: [%q]\nallow_private: true # served on loopback\n", strings.TrimPrefix(forum.URL, "http://"))
		case "seeds":
			line = fmt.Sprintf("seeds: [\"%s/forum.php?mod=forumdisplay&fid=36\"]\n", forum.URL)
		case "delay":
			line = "delay: 0s\n"
		}
		lines = append(lines, line)
	}
	src, err := ReadSource("xingang.yaml", []byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	r := newPatientRig(t)
	s := r.crawl(src)
	if want := 3 + 12*2; s.Pages != want || len(s.Errors) > 1 { // the page behind the ad is at a private address
		t.Errorf("%d pages, want %d lists and threads; errors %+v", s.Pages, want, s.Errors)
	}
	counts := map[post.Kind]int{}
	for _, p := range r.basket.posts {
		counts[p.Kind]++
		if p.Kind == post.KindAd {
			continue
		}
		floor := number(strings.TrimPrefix(p.Author.Name, "网友"))
		if p.Source != "xingang" || p.Text != fmt.Sprintf("第 %d 楼：协商的事\n说一说", floor) || p.PublishedAt.IsZero() || (p.Kind == post.KindPost) != (floor == 1) || (p.Title != "") != (floor == 1) {
			t.Errorf("%+v", p)
		}
		if !strings.HasPrefix(p.ThreadURL, forum.URL+"/forum.php?mod=viewthread&tid=") || strings.Contains(p.ThreadURL, "page") {
			t.Errorf("thread %s", p.ThreadURL)
		}
	}
	if counts[post.KindPost] != 12 || counts[post.KindComment] != 12*(postsInThread-1) || counts[post.KindAd] != 1 {
		t.Errorf("posts by kind: %v", counts)
	}
}
