package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qingyuan/crawler"
	"qingyuan/post"
	"qingyuan/town"
)

// TestSiteNewReadsTheTown makes configs of sites it was never told of, mostly
// without a kit, and holds what they read against the configs we wrote.
func TestSiteNewReadsTheTown(t *testing.T) {
	tw, err := town.Start(t.Context(), town.Options{NoFaults: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tw.Close()
	fetcher, err := crawler.NewFetcher(crawler.FetcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer fetcher.Close()
	kits, err := readKits("")
	if err != nil {
		t.Fatal(err)
	}
	kitOf := map[string]string{"shangan-bbs": "discuz-static", "jiangwan-news": "feed"}
	noAuthor := map[string]bool{"hexing-bank": true} // unmarked, at the end of the text
	for _, site := range tw.Sites() {
		if site.Name == "suisui" || site.Name == "tieyou" {
			continue // JSON alone; a front page without rows
		}
		t.Run(site.Name, func(t *testing.T) {
			want, err := crawler.ReadSource(site.Name+".yaml", site.Config)
			if err != nil {
				t.Fatal(err)
			}
			first, err := crawler.FirstSource(want.Seeds[0], true)
			if err != nil {
				t.Fatal(err)
			}
			page, err := fetcher.Fetch(t.Context(), first, want.Seeds[0])
			if err != nil {
				t.Fatal(err)
			}
			draft, err := crawler.DraftSite(t.Context(), page, crawler.DraftOptions{AllowPrivate: true, Kits: kits, Fetch: fetcher.Fetch})
			if err != nil {
				t.Fatal(err)
			}
			if draft.Kit != kitOf[site.Name] {
				t.Errorf("taken for kit %q, want %q", draft.Kit, kitOf[site.Name])
			}
			if draft.Kit == "feed" {
				if x, err := draft.Source.Extract(page); err != nil || len(x.Posts) != 10 {
					t.Errorf("the feed gives %d posts, error %v", len(x.Posts), err)
				}
				return
			}
			list, err := draft.Source.Extract(draft.Pages[0])
			if err != nil || len(list.Previews) < 5 || len(list.Links) < len(list.Previews) {
				t.Errorf("the list gives %d rows and %d links, error %v", len(list.Previews), len(list.Links), err)
			}
			got, err := draft.Source.Extract(draft.Pages[1])
			if err != nil {
				t.Fatalf("%v\n%s", err, draft.Config)
			}
			ours, err := want.Extract(draft.Pages[1])
			if err != nil {
				t.Fatal(err)
			}
			samePosts(t, got.Posts, ours.Posts, noAuthor[site.Name])
			if t.Failed() {
				t.Logf("%s", draft.Config)
			}
		})
	}
}

// samePosts holds what a draft reads against what a config of ours does, but
// for inserted advertising.
func samePosts(t *testing.T, got, want []post.Post, noAuthor bool) {
	t.Helper()
	byText := map[string]post.Post{}
	for _, p := range got {
		for line := range strings.Lines(p.Text) {
			if line = strings.TrimSpace(line); byText[line].ID == "" {
				byText[line] = p // a later one quotes it
			}
		}
	}
	for _, w := range want {
		if w.Author.Name == "" && w.PublishedAt.IsZero() {
			continue // an advert between the posts
		}
		start, _, _ := strings.Cut(w.Text, "\n")
		g, ok := byText[strings.TrimSpace(start)]
		if !ok {
			t.Errorf("post of %s is not read: %.60q", w.Author.Name, w.Text)
			continue
		}
		if !noAuthor && g.Author.Name != w.Author.Name || !g.PublishedAt.Equal(w.PublishedAt) || w.Title != "" && g.Title != w.Title {
			t.Errorf("read %q by %q at %v, want %q by %q at %v", g.Title, g.Author.Name, g.PublishedAt, w.Title, w.Author.Name, w.PublishedAt)
		}
	}
}

// A thread of a forum of our own making, in the folder /club/.
const clubList = `<html><head><title>版块 - 南岸论坛</title></head><body><div class="nav"><a href="/club/">首页论坛导航</a></div><ul class="rows">
%s</ul><a class="next" href="/club/board.php?fid=3&amp;page=2">下一页</a></body></html>`

func clubPage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/robots.txt" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if tid := r.URL.Query().Get("tid"); tid != "" {
		fmt.Fprintf(w, `<html><head><title>第%[1]s帖 - 南岸论坛</title></head><body><h1>第%[1]s帖：信用卡协商经历</h1>`, tid)
		for floor := range 5 {
			fmt.Fprintf(w, `<div class="reply" id="p%s0%d"><a class="user" href="/club/u.php?uid=%d">网友%d</a><span class="at">2026-11-0%d 12:00</span><div class="msg">第%d楼：银行让我先还一半，其余分期，说的和网上不一样。</div></div>`, tid, floor, floor, floor, floor+1, floor+1)
		}
		return
	}
	rows := ""
	for i := 1; i <= 12; i++ {
		rows += fmt.Sprintf(`<li><a class="t" href="/club/topic.php?tid=%d">第%d帖：信用卡协商经历</a> <a class="user" href="/club/u.php?uid=%d">网友%d</a> <em>2026-11-0%d</em></li>`+"\n", i, i, i, i, i%9+1)
	}
	fmt.Fprintf(w, clubList, rows)
}

func TestSiteNewCommand(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(clubPage))
	defer srv.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "club.yaml")
	target := srv.URL + "/club/board.php?fid=3"
	out := mustRun(t, "", "site", "new", "-allow-private", "-name", "nanan", "-o", file, target)
	for _, want := range []string{"没有套件与页面相符", "已写入 " + file, "网友0", "请人工核对"} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer does not say %q:\n%s", want, out)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := crawler.ReadSource(file, data)
	if err != nil {
		t.Fatalf("the config does not pass: %v\n%s", err, data)
	}
	if src.Name != "nanan" || src.Title != "南岸论坛" || src.Expect.List != 6 || src.Expect.Fields["author"] != 90 {
		t.Errorf("name %q, title %q, expect %+v", src.Name, src.Title, src.Expect)
	}
	if _, errOut, code := runCommand(t, "", "site", "new", "-allow-private", "-o", file, target); code != 1 || !strings.Contains(errOut, "-force") {
		t.Errorf("a file that exists: exit %d, %s", code, errOut)
	}
	if again, _ := os.ReadFile(file); string(again) != string(data) {
		t.Error("the file was written over without -force")
	}
	out = mustRun(t, "", "site", "new", "-allow-private", "-lang", "en", "-force", "-json", "-o", file, target)
	var answer siteNewAnswer
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Report.Posts != 5 || answer.File != file {
		t.Errorf("JSON: %v, %d posts, file %q", err, answer.Report.Posts, answer.File)
	}
	if _, errOut, code := runCommand(t, "", "site", "new", target); code != 1 || !strings.Contains(errOut, "allow-private") {
		t.Errorf("without -allow-private: exit %d, %s", code, errOut)
	}
	if _, _, code := runCommand(t, "", "site", "new"); code != 2 {
		t.Errorf("without a URL: exit %d", code)
	}
}

func TestSiteNewMovesAKitIntoAFolder(t *testing.T) {
	page := filepath.Join(t.TempDir(), "board.html")
	html := `<html><head><meta name="generator" content="Discuz! X3.5"><title>网贷 - 某论坛 - Powered by Discuz!</title></head><body><table>`
	for i := 1; i < 9; i++ {
		html += fmt.Sprintf(`<tbody id="normalthread_%d"><tr><th><a class="s xst" href="/bbs/forum.php?mod=viewthread&amp;tid=%d&amp;extra=page%%3D1">第%d帖</a></th><td class="by"><cite><a href="home.php?uid=%d">网友%d</a></cite><em><span>2026-11-0%d</span></em></td><td class="num"><a>3</a></td><td class="by"><em>2026-11-09 12:00</em></td></tr></tbody>`, i, i, i, i, i, i)
	}
	if err := os.WriteFile(page, []byte(html+`</table></body></html>`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := mustRun(t, "", "site", "new", "-lang", "en", "-o", "-", "-page", page, "https://www.town-forum.cn/bbs/forum.php?mod=forumdisplay&fid=2")
	for _, want := range []string{"this is the kit discuz", "name: town-forum-cn\n", "title: '某论坛'", "match: '^/bbs/forum\\.php", "template: '/bbs/forum.php", "8 previews; links: 8 to follow", "no page of a thread was seen"} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "detect:") || strings.Contains(out, "example.com") {
		t.Errorf("the config keeps what is the kit's own:\n%s", out)
	}
}

// TestSiteNewOfAFrontPage begins at the front page of a forum: its boards
// become the seeds, one of them and a thread are looked at.
func TestSiteNewOfAFrontPage(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		head := `<html><head><meta name="generator" content="Discuz! X3.4"><link rel="alternate" type="application/rss+xml" href="/forum.php?mod=rss"><title>%s - 江边论坛 - Powered by Discuz!</title></head><body>`
		switch {
		case r.URL.Path == "/":
			fmt.Fprintf(w, head+`<div class="bm bmw"><a href="forum-2-1.html">网贷</a><a href="forum-3-1.html">信用卡</a><a href="forum-3-2.html">第二页</a></div>`, "首页")
		case strings.HasPrefix(r.URL.Path, "/forum-"):
			fmt.Fprintf(w, head, "网贷")
			for i := 1; i < 8; i++ {
				fmt.Fprintf(w, `<table><tbody id="normalthread_%d"><tr><th><a class="s xst" href="thread-%d-1-1.html">第%d帖的标题</a></th><td class="by"><cite>网友%d</cite><em>2026-11-0%d</em></td></tr></tbody></table>`, i, i, i, i, i)
			}
		case strings.HasPrefix(r.URL.Path, "/thread-"):
			fmt.Fprintf(w, head+`<span id="thread_subject">标题</span>`, "标题")
			for i := 1; i < 4; i++ {
				fmt.Fprintf(w, `<div id="post_%d"><div class="authi"><a class="xw1" href="space-uid-%d.html">网友%d</a><em id="authorposton%d">发表于 2026-11-0%d 10:00</em></div><table><tr><td id="postmessage_%d">第%d楼，说说我的经历。</td></tr></table></div>`, i, i, i, i, i, i, i)
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	out := mustRun(t, "", "site", "new", "-lang", "en", "-allow-private", "-o", "-", srv.URL+"/")
	for _, want := range []string{
		"this is the kit discuz-static", "title: '江边论坛'", "seeds: ['" + srv.URL + "/forum-2-1.html', '" + srv.URL + "/forum-3-1.html']",
		"7 previews", "rule thread: 3 posts", "the site offers a feed as well: " + srv.URL + "/forum.php?mod=rss",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer does not say %q:\n%s", want, out)
		}
	}
}
