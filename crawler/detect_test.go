package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestGuessKits(t *testing.T) {
	kits, err := ReadKits(os.DirFS(filepath.Join("..", "configs", "sites")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, body, cookie, want string // want: the surest; "": none
	}{
		{"https://a.cn/forum-2-1.html", `<meta name="generator" content="Discuz! X3.4"><a href="/thread-7-1-1.html">x</a><a href="/thread-8-1-1.html">y</a>`, "", "discuz-static"},
		{"https://a.cn/bbs/forum.php?mod=viewthread&tid=7", `<table><td id="postmessage_7">x</td></table>`, "Kx2_2132_saltkey=1", "discuz"},
		{"https://a.cn/", `<link href="https://a.cn/wp-content/themes/x.css"><link rel="https://api.w.org/" href="/wp-json/">`, "", "wordpress"},
		{"https://a.cn/atom.xml", `<?xml version="1.0"?><!-- x --><feed xmlns="http://www.w3.org/2005/Atom"></feed>`, "", "feed"},
		{"https://a.cn/t/77", `<div class="reply_content">好</div>`, "", "v2ex"},
		{"https://a.cn/t/77", `<p>第一页</p>`, "", ""},                                   // one mark is none
		{"https://a.cn/x", `<p>我们不用 Discuz! X3.4，generator: WordPress</p>`, "", ""},   // words are no marks
		{"https://bbs.example.com/x", `<p>某论坛</p>`, "", ""},                           // nobody's host
		{"https://tieba.baidu.com/f?kw=%E8%B4%9F%E5%80%BA", `<p>空的</p>`, "", "tieba"}, // its own host
	} {
		pg := Page{URL: c.url, Body: []byte("<html>" + c.body), Header: http.Header{}}
		if c.url == "https://a.cn/atom.xml" {
			pg.Body = []byte(c.body)
		}
		if c.cookie != "" {
			pg.Header.Add("Set-Cookie", c.cookie)
		}
		got := ""
		if g := GuessKits(kits, pg); len(g) > 0 {
			got = g[0].Kit.Name
		}
		if got != c.want {
			t.Errorf("%s %.60q is taken for %q, want %q", c.url, c.body, got, c.want)
		}
	}
}

func TestDraftOfRecordedPages(t *testing.T) {
	dir := recordedPages(t)
	kits, err := ReadKits(os.DirFS(filepath.Join("..", "configs", "sites")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, url, kit string
		found          int
	}{
		{"dz_list_p1.html", "https://bbs.a.cn/forum.php?mod=forumdisplay&fid=2", "discuz", 20},
		{"dzgbk_thread.html", "https://bbs.a.cn/club/forum.php?mod=viewthread&tid=5", "discuz", 10},
		{"discuz32_list.html", "https://bbs.a.cn/forum-9-1.html", "discuz-static", 42},
		{"tieba_list.html", "https://tieba.baidu.com/f?kw=x&ie=utf-8", "tieba", 48},
		{"tieba_thread.html", "https://tieba.baidu.com/p/9117905169", "tieba", 31},
		{"v2ex_topic.html", "https://club.a.cn/t/664539", "v2ex", 25},
		{"wp_home.html", "https://blog.a.cn/", "wordpress", 10},
		{"wp_thread.html", "https://blog.a.cn/archives/22", "wordpress", 6},
		{"wp_feed.xml", "https://blog.a.cn/feed", "feed", 10},
		{"news/qq_data_industry.html", "https://news.a.cn/a/20190923/000843.htm", "", 1},
		{"news/163_police_calls.html", "https://news.a.cn/19/0907/16/EOG9C8VK0001875P.html", "", 1},
	} {
		raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.file)))
		if err != nil {
			t.Fatal(err)
		}
		pg, err := UnknownPage(c.file, raw, c.url)
		if err != nil {
			t.Fatal(err)
		}
		d, err := DraftSite(t.Context(), pg, DraftOptions{Kits: kits})
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		found, _ := yieldOf(d.Source, pg)
		if d.Kit != c.kit || found != c.found {
			t.Errorf("%s: kit %q gives %d posts and rows, want %q and %d\n%s", c.file, d.Kit, found, c.kit, c.found, d.Config)
		}
	}
	for _, file := range []string{"dz_challenge_sum.html", "dz_ratelimit_200.html", "sogou_captcha.html"} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		pg, err := UnknownPage(file, raw, "https://a.cn/forum-2-1.html")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DraftSite(t.Context(), pg, DraftOptions{Kits: kits}); !errors.Is(err, ErrNoDraft) {
			t.Errorf("%s is a wall, and %v", file, err)
		}
	}
}

func TestPagePatterns(t *testing.T) {
	for _, c := range []struct{ first, later, match, thread string }{
		{"https://a.cn/t/7", "https://a.cn/t/7?p=2", `^/t/(?P<tid>\d+)(?:\?p=(?P<page>\d+))?$`, "/t/{tid}"},
		{"https://a.cn/thread-7-1-1.html", "https://a.cn/thread-7-2-1.html", `^/thread-(?P<tid>\d+)-(?P<page>\d+)-\d+\.html$`, "/thread-{tid}-1-1.html"},
		{"https://a.cn/topic.php?tid=7", "https://a.cn/topic.php?tid=7&page=2", `^/topic\.php\?tid=(?P<tid>\d+)(?:&page=(?P<page>\d+))?$`, "/topic.php?tid={tid}"},
		{"https://a.cn/all/pn1/", "https://a.cn/all/pn2/", `^/all/pn(?P<page>\d+)/$`, ""},
		{"https://a.cn/news/2026/11/a-long-title", "", `^/news/\d+/\d+/[^/?]+$`, ""},
		{"https://a.cn/", "https://a.cn/page/2/", `^/(?:page/(?P<page>\d+)/)?$`, "/"},
	} {
		match, thread := pagePatterns(c.first, c.later)
		if match != c.match || thread != c.thread && c.thread != "/" {
			t.Errorf("%s and %s give %s and %q, want %s and %q", c.first, c.later, match, thread, c.match, c.thread)
		}
	}
}

func FuzzDraftSite(f *testing.F) {
	f.Add([]byte(`<ul><li><a href=/t/1>第一个标题</a> 2026-11-01</li><li><a href=/t/2>第二个标题</a> 2026-11-02</li><li><a href=/t/3>第三个标题</a></li><li><a href=/t/4>第四个标题</a></li></ul>`))
	f.Add([]byte(`<h1>标题</h1><div class=p id=p1><b class=author>甲</b><i>昨天 12:00</i><p class=text>很长的正文在这里</p></div><div class=p id=p2><b class=author>乙</b><i>昨天 12:01</i><p class=text>另一段很长的正文</p></div>`))
	f.Add([]byte("<title>'\"\\ {value}: [x]\n- y</title><!--<a href=\"/x'y/1\">标题标题</a>-->"))
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d, err := DraftSite(ctx, Page{URL: "https://a.cn/b/list-1.html", Body: body, FetchedAt: time.Now()}, DraftOptions{})
		if err != nil {
			if !errors.Is(err, ErrNoDraft) {
				t.Fatalf("an error of its own: %v", err)
			}
			return
		}
		if _, err := ReadSource("x.yaml", d.Config); err != nil {
			t.Fatalf("the config does not pass: %v\n%s", err, d.Config)
		}
	})
}

func TestDetectMistakes(t *testing.T) {
	_, err := ReadSource("x.yaml", []byte(fmt.Sprint("name: x\ntype: forum\nhosts: [a.cn]\nseeds: ['https://a.cn/']\n",
		"detect: {generator: '(', markup: ['a[']}\nexpect: {list: -1, fields: {colour: 50, author: 101}}\n", "pages: [{name: x, match: '^/', follow: [a]}]\n")))
	if err == nil {
		t.Fatal("no mistake is found")
	}
	for _, want := range []string{"x.yaml:5: detect.generator", "detect.markup[0]", "x.yaml:6: expect.list", "expect.fields.author", "expect.fields.colour"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the mistakes do not name %s:\n%v", want, err)
		}
	}
}
