package crawler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const mainYAML = `name: main
title: 正文
type: news
hosts: ["www.example.com"]
seeds: ["https://www.example.com/a/1.html"]
pages:
  - {name: article, match: '^/a/', extract: main_text}
  - name: half
    match: '^/b/'
    extract: main_text
    posts: [{kind: post, title: .bt, author: .who, text: .nothing}]
`

func mainSource(t testing.TB) *Source {
	t.Helper()
	src, err := ReadSource("main.yaml", []byte(mainYAML))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func mainPage(url, body string) Page {
	return Page{URL: "https://www.example.com" + url, Status: 200, Body: []byte(body), FetchedAt: fetchedAt}
}

// The pages are ours, in the layouts that Chinese sites have: paragraphs, line
// breaks in one cell of a table, blocks that hold a line each. Nothing between
// the first and the last words of an article may be missing, nothing of what
// surrounds it may be there.
func TestMainText(t *testing.T) {
	src := mainSource(t)
	for _, c := range []struct {
		file, title, author, when, first, last string
		inside, outside                        []string
	}{
		{"notice.html", "关于防范“代理退保”风险的提示", "江湾市金融监督管理局", "2026-10-28 16:20:00", "近期，一些机构和个人", "投诉电话：0731-8000 0000",
			[]string{"一、不轻信“全额退保”承诺", "二、妥善保管个人信息", "（一）身份证、银行卡不外借", "三、依法理性维权"}, []string{"相关阅读", "版权所有", "网站地图", "打印本页", "上一篇"}},
		{"table.html", "老陈说说这两年怎么还清的债", "老陈", "2026-09-15 00:00:00", "先说结论：", "有问题在下面留言，我看到都会回。",
			[]string{"第一步，把所有账单抄在一张纸上。", "没有捷径。"}, []string{"友情链接", "站长统计"}},
		{"landing.html", "征信花了也能办 三天出结果", "", "", "不看征信，不看流水", "客服微信：xinyong000example",
			[]string{"全国直营", "电话：170-0000-0000", "手续费 5 个点"}, []string{"ICP备"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "main", c.file))
			if err != nil {
				t.Fatal(err)
			}
			x, err := src.Extract(mainPage("/a/1.html", string(body)))
			if err != nil || len(x.Posts) != 1 {
				t.Fatalf("%d posts, %v, %q", len(x.Posts), err, x.Warnings)
			}
			p := x.Posts[0]
			if p.Title != c.title || p.Author.Name != c.author || p.Kind != "article" {
				t.Errorf("title %q, author %q, kind %s", p.Title, p.Author.Name, p.Kind)
			}
			when := ""
			if !p.PublishedAt.IsZero() {
				when = p.PublishedAt.In(src.Location()).Format(time.DateTime)
			}
			if when != c.when {
				t.Errorf("published %q, want %q", when, c.when)
			}
			if !strings.HasPrefix(p.Text, c.first) || !strings.HasSuffix(p.Text, c.last) {
				t.Errorf("text does not begin %q and end %q:\n%s", c.first, c.last, p.Text)
			}
			for _, s := range c.inside {
				if !strings.Contains(p.Text, s) {
					t.Errorf("%q is missing", s)
				}
			}
			for _, s := range c.outside {
				if strings.Contains(p.Text, s) {
					t.Errorf("%q is not of the article", s)
				}
			}
		})
	}
}

func TestMainTextBesidesFields(t *testing.T) {
	body := `<html><title>某站</title><body><div class="bt">标题由选择器给出</div><span class="who">小林</span><div class="c"><p>` +
		strings.Repeat("正文由它自己找到，选择器没有给出。", 10) + `</p></div></body></html>`
	x, err := mainSource(t).Extract(mainPage("/b/1", body))
	if err != nil || len(x.Posts) != 1 {
		t.Fatalf("%d posts, %v", len(x.Posts), err)
	}
	if p := x.Posts[0]; p.Title != "标题由选择器给出" || p.Author.Name != "小林" || p.Kind != "post" || !strings.HasPrefix(p.Text, "正文由它自己找到") {
		t.Errorf("%+v", p)
	}
}

// Lists have no main text, and that is no reason to complain.
func TestMainTextOfOtherPages(t *testing.T) {
	var list strings.Builder
	for i := range 40 {
		fmt.Fprintf(&list, "<li><a href='/a/%d.html'><img src='/1.jpg' alt='配图'>江湾市公安机关通报第 %d 起非法放贷案件</a></li>", i, i)
	}
	for name, body := range map[string]string{
		"list":  "<html><body><ul>" + list.String() + "</ul></body></html>",
		"empty": "<html><body></body></html>", "nothing": "", "short": "<p>加载中</p>",
	} {
		x, err := mainSource(t).Extract(mainPage("/a/2.html", body))
		if err != nil || len(x.Posts) != 0 || len(x.Warnings) != 0 {
			t.Errorf("%s: %d posts, %v, %q", name, len(x.Posts), err, x.Warnings)
		}
	}
}

func TestMainTextMistakes(t *testing.T) {
	for _, c := range []struct{ change, with, want string }{
		{"extract: main_text}", "extract: all}", `unknown extract "all"`},
		{"extract: main_text}", "extract: main_text, format: json}", "main_text is for html pages"},
		{"posts: [{kind: post,", "posts: [{kind: post, each: div,", "main_text is one post a page"},
	} {
		_, err := ReadSource("main.yaml", []byte(strings.Replace(mainYAML, c.change, c.with, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.with, err)
		}
	}
}

// hostileArticles are pages at the bounds of what the finder is given.
func hostileArticles() map[string]string {
	line := "<p>" + strings.Repeat("文，字", 5) + "</p>"
	return map[string]string{
		"nested": strings.Repeat("<div class=content>"+strings.Repeat(line, 100), 100) + strings.Repeat("</div>", 100),
		"breaks": "<div>" + strings.Repeat("一行，文字<br><br>", 3900) + "</div>",
		"links":  strings.Repeat("<div><a href=/a>"+strings.Repeat("链", 30)+"</a>", 100) + strings.Repeat("</div>", 100),
		"long":   "<div><p>" + strings.Repeat("长，", 170_000) + "</p></div>",
		"pit":    strings.Repeat("<div>", 110) + "<p>" + strings.Repeat("深，", 170_000) + "</p>",
		"shaft":  strings.Repeat("<div class=article><p>一，二，三，四</p>", 110) + strings.Repeat("<p>"+strings.Repeat("深，", 1000)+"</p>", 160),
		"deep":   strings.Repeat("<div>", 118) + line,
	}
}

func TestMainTextOfHostilePages(t *testing.T) {
	for name, body := range hostileArticles() {
		_, err := mainSource(t).Extract(mainPage("/a/1.html", body))
		if limit := (*LimitError)(nil); err != nil && !(errors.As(err, &limit) && limit.Slow) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkMainText(b *testing.B) {
	src := mainSource(b)
	pages := hostileArticles()
	body, err := os.ReadFile(filepath.Join("testdata", "main", "notice.html"))
	if err != nil {
		b.Fatal(err)
	}
	pages["notice"] = string(body)
	for name, body := range pages {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := src.Extract(mainPage("/a/1.html", body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzMainText(f *testing.F) {
	for _, file := range []string{"notice.html", "table.html", "landing.html"} {
		body, err := os.ReadFile(filepath.Join("testdata", "main", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, body := range hostileArticles() {
		f.Add([]byte(body[:min(len(body), 4000)]))
	}
	src := mainSource(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, u := range []string{"/a/1.html", "/b/1"} {
			x, err := src.Extract(mainPage(u, string(body)))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range x.Posts {
				if err := p.Validate(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
