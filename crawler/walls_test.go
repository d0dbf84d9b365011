package crawler

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// said answers with a status and a page.
func said(status int, page string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, page)
	}
}

func notice(text string) string {
	return `<html><head><title>提示信息 - 测试论坛 - Powered by Discuz!</title></head><body><div id="hd"><a href="/f">论坛</a> <a href="/f?page=2">导读</a> <a href="/t/1">活动</a> <a href="member.php?mod=logging&action=login">登录</a></div>
<div id="messagetext" class="alert_error"><p>` + text + `</p></div><div id="ft">` + strings.Repeat("友情链接 法律声明 联系我们 ", 200) + `</div>`
}

var wallPages = []struct {
	name string
	kind WallKind
	show http.HandlerFunc
}{
	{"Discuz login", WallLogin, said(200, notice("抱歉，您需要登录后才可以继续浏览，点击此链接进行登录"))},
	{"Discuz group", WallLogin, said(200, notice("抱歉，您所在的用户组(游客)无法进行此操作"))},
	{"phpBB login", WallLogin, said(200, `<title>论坛 - 登录</title><div class="panel" id="message"><div class="inner"><p>The board requires you to be registered and logged in to view this forum.</p></div></div>`)},
	{"XenForo login", WallLogin, said(200, `<title>需要登录</title><div class="p-body-content"><div class="blockMessage">You must be logged in to do that.</div></div>`)},
	{"Baidu captcha", WallCaptcha, said(200, `<title>百度安全验证</title><div class="timeout hide"><p>网络不给力，请稍后重试</p></div><div class="passMod_slide-wrapper"></div>`)},
	{"slide captcha", WallCaptcha, said(200, `<title>滑动验证页面</title><p>通过验证以确保正常访问</p><div id="nocaptcha"></div>`)},
	{"sum captcha", WallCaptcha, said(200, `<title>18 + 16 = ?</title><form><input name=a></form>`)},
	{"Cloudflare 200", WallChallenge, said(200, `<title>Just a moment...</title><form id="challenge-form" action="/?__cf_chl_f_tk=x"></form>`)},
	{"Cloudflare 403", WallChallenge, said(403, `<title>Just a moment...</title>`, "Cf-Mitigated", "challenge")},
	{"Cloudflare 503", WallChallenge, said(503, `<title>Just a moment...</title><div id="cf-please-wait"></div>`)},
	{"Discuz reload", WallChallenge, said(200, `<html><title>页面重载开启</title><body>页面重载开启<script>location.reload()</script>`)},
	{"too often", WallLimit, said(200, `<html><body><p>您的访问过于频繁，请稍后再试</p>`)},
	{"too often, as 404", WallLimit, said(404, `<html><body><p>您的请求过于频繁，请稍后再试</p>`)},
	{"WAF", WallFirewall, said(200, `<title>网站防火墙</title><p>您的请求带有不合法参数，已被网站管理员设置拦截！</p>`)},
	{"WAF, as 404", WallFirewall, said(404, `<title>访问被拦截</title><p>请求存在威胁</p>`)},
	{"redirect to login", WallLogin, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/member.php") {
			said(200, "<title>登录</title><form><input type=password></form>")(w, r)
			return
		}
		http.Redirect(w, r, "/member.php?mod=logging&action=login", http.StatusFound)
	}},
	{"redirect to captcha elsewhere", WallCaptcha, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://wappass.baidu.com/static/captcha/?u=x", http.StatusFound)
	}},
	{"as the site says it", WallCaptcha, said(200, `<html><body><div class="shell">敲门砖：请回答站长的问题</div>`)},
	{"as the site builds it", WallChallenge, said(200, `<html><body><div id="gate">…</div>`)},
}

const ownWalls = `walls: [{kind: captcha, text: 敲门砖}, {kind: challenge, select: '#gate'}, {kind: login, url: '/enter\?'}]`

// TestWallsOfASite puts each wall before a whole forum: nothing of it becomes
// a post, nothing is deleted, the site is left alone and tried again by itself.
func TestWallsOfASite(t *testing.T) {
	for _, c := range wallPages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newForum(t, 8)
			w := f.watch(t, nil, ownWalls)
			before := w.texts()
			f.wall(c.show)
			f.since()
			w.pass(t, 36*time.Hour, time.Hour)
			walls := w.c.Walls()
			if len(walls) != 1 || walls[0].Kind != c.kind || walls[0].Source != "bbs" || !walls[0].Until.After(f.clock.now()) {
				t.Fatalf("walls %+v; want one, %s", walls, c.kind)
			}
			if w.saw(EventWall, "") < 2 || w.saw(EventGone, "") != 0 {
				t.Errorf("%d alarms, %d pages gone", w.saw(EventWall, ""), w.saw(EventGone, ""))
			}
			if n := len(f.since()); n > 60 { // redirects count twice
				t.Errorf("%d requests in 36 hours to a site that turns us away", n)
			}
			if threads, ids := w.gone(); len(threads)+len(ids) != 0 {
				t.Errorf("the wall deleted %v, %v", threads, ids)
			}
			if got := w.texts(); strings.Join(got, "|") != strings.Join(before, "|") {
				t.Errorf("the wall changed the posts to %q", got)
			}
			f.wall(nil)
			id := f.reply(5, 0, "墙后的回复")
			w.pass(t, 16*24*time.Hour, 6*time.Hour)
			if walls := w.c.Walls(); len(walls) != 0 || w.saw(EventWallOver, "") < 1 {
				t.Errorf("the wall is gone; walls %+v, %d all-clears", walls, w.saw(EventWallOver, ""))
			}
			if got := strings.Join(w.texts(), "|"); !strings.Contains(got, fmt.Sprintf("墙后的回复 %d", id)) {
				t.Errorf("what was written meanwhile was lost: %q", got)
			}
		})
	}
}

// TestWallBeforeOnePage: a board for members does not stop the rest.
func TestWallBeforeOnePage(t *testing.T) {
	f := newForum(t, 8)
	f.change(3, func(x *forumThread) { x.hidden = said(200, notice("抱歉，您需要登录后才可以继续浏览")) })
	f.reply(3, 0, "只给会员看")
	w := f.watch(t, nil)
	f.change(3, func(x *forumThread) { x.last = f.clock.now() })
	w.pass(t, 24*time.Hour, 10*time.Minute)
	id := f.reply(6, 0, "照常")
	w.pass(t, 12*time.Hour, 10*time.Minute)
	if walls := w.c.Walls(); len(walls) != 0 || w.saw(EventWall, "") != 0 {
		t.Errorf("one page for members: walls %+v", walls)
	}
	if got := strings.Join(w.texts(), "|"); !strings.Contains(got, fmt.Sprintf("照常 %d", id)) || strings.Contains(got, "登录") {
		t.Errorf("posts %q", got)
	}
}

// TestWallOutlivesARestart: the pause goes on and so does the alarm.
func TestWallOutlivesARestart(t *testing.T) {
	f := newForum(t, 5)
	w := f.watch(t, nil)
	f.wall(said(200, `<p>您的访问过于频繁，请稍后再试</p>`))
	w.pass(t, 6*time.Hour, 10*time.Minute)
	before := w.c.Walls()
	w.stop()
	f.since()
	w.start(t, nil)
	after := w.c.Walls()
	if len(before) != 1 || len(after) != 1 || after[0].Times != before[0].Times || !after[0].Since.Equal(before[0].Since) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if got := f.since(); len(got) != 0 {
		t.Errorf("restarted before a wall and asked at once: %q", got)
	}
}

// TestWallsAreNotContent feeds the walls to rules that take whole pages, and
// pages that talk of walls to all rules.
func TestWallsAreNotContent(t *testing.T) {
	article, err := ReadSource("a.yaml", []byte(`
name: a
type: news
hosts: [a.example.com]
seeds: ["https://a.example.com/1"]
pages:
  - {name: article, match: '^/\d+$', posts: [{kind: article, title: h1, author: .by, time: .date, text: {select: body, or: {select: html}}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{
		`<title>百度安全验证</title><body><h1>安全验证</h1><p>请完成下方验证后继续</p>`,
		`<title>Just a moment...</title><body><h1>a.example.com</h1><p>Verifying you are human.</p>`,
		`<title>访问</title><body><h1>请稍等</h1><div id="nocaptcha">按住滑块，拖动到最右边</div>`,
	} {
		x, err := article.Extract(Page{URL: "https://a.example.com/1", Body: []byte(page), FetchedAt: time.Now()})
		if err != nil || x.Blocked == "" || x.Wall == "" || len(x.Posts) != 0 {
			t.Errorf("%s: blocked %q, %d posts, %v", page, x.Blocked, len(x.Posts), err)
		}
	}
	for _, page := range []string{
		`<title>提醒：警惕“安全验证”骗局</title><body><h1>警惕“安全验证”骗局</h1><p class=by>记者 甲</p><p class=date>2026-11-01</p><p>骗子称访问过于频繁，请输入验证码，您需要登录。</p>`,
		`<title>安全验证</title><body><h1>什么是安全验证</h1><p class=by>小编</p><p>拖动滑块。</p>`,
		`<title>代办 - 网</title><body><h1>代办贷款</h1><p>Access Denied 访问被拒绝 captcha 安全验证 加微信</p>`,
	} {
		x, err := article.Extract(Page{URL: "https://a.example.com/1", Body: []byte(page), FetchedAt: time.Now()})
		if err != nil || len(x.Posts) != 1 {
			t.Errorf("%s: blocked %q, %d posts, %v; a poster can hide it from us", page, x.Blocked, len(x.Posts), err)
		}
	}
	f := newForum(t, 1)
	src := f.source(t)
	page := `<title>帖子</title><div class="post" id="p1"><i>甲</i><p>您需要登录 安全验证 captcha 指定的主题不存在 Just a moment...</p></div><p>您需要登录后才可以回帖 登录 | 立即注册</p>`
	if x, err := src.Extract(Page{URL: f.URL + "/t/1", Body: []byte(page)}); err != nil || len(x.Posts) != 1 {
		t.Errorf("a poster made the page blocked %q or gone %q, %v", x.Blocked, x.Gone, err)
	}
	empty := `<title>版块</title><p>本版块暂无主题</p><p>您需要登录后才可以发帖 登录 | 立即注册</p>`
	if x, err := src.Extract(Page{URL: f.URL + "/f", Body: []byte(empty)}); err != nil || x.Blocked != "" || x.Gone != "" {
		t.Errorf("an empty board is blocked %q or gone %q, %v", x.Blocked, x.Gone, err)
	}
}

func TestGoneNotices(t *testing.T) {
	f := newForum(t, 1)
	src := f.source(t)
	for _, text := range []string{
		notice("抱歉，指定的主题不存在或已被删除或正在被审核"),
		`<title>404</title><div class="panel" id="message"><div class="inner"><p>The requested topic does not exist.</p></div></div>` + strings.Repeat("页脚 ", 2000),
		`<title>Oops</title><div class="p-body-pageContent"><div class="blockMessage">The requested thread could not be found.</div></div><p>登录后才能看到更多</p>`,
		`<title>贴吧404</title><div class="page404"><h1>很抱歉，该贴已被删除。</h1></div>`,
	} {
		x, err := src.Extract(Page{URL: f.URL + "/t/1", Body: []byte(text)})
		if err != nil || x.Gone == "" || x.Blocked != "" {
			t.Errorf("%.60s: gone %q, blocked %q, %v", text, x.Gone, x.Blocked, err)
		}
	}
}

func TestSourceRefusesBadWalls(t *testing.T) {
	const head = "name: a\ntype: forum\nhosts: [a.example.com]\nseeds: ['https://a.example.com/f']\npages: [{name: l, match: '^/f$', follow: [a]}]\n"
	for yaml, want := range map[string]string{
		"walls: [{kind: door, text: 敲门砖}]":                     `unknown kind of wall "door"`,
		"walls: [{kind: login}]":                               "one of text, select and url",
		"walls: [{kind: login, text: 登录吧, select: p}]":         "one of text, select and url",
		"walls: [{kind: login, text: 登}]":                      "would fit nearly every page",
		"walls: [{kind: login, select: 'p['}]":                 "is no CSS selector",
		"walls: [{kind: login, url: '('}]":                     "is no regular expression",
		"walls: [{kind: login, texts: x}]":                     "texts",
		"recrawl: {min: 1s}":                                   "recrawl.min 1s is not between",
		"recrawl: {max: 9000h}":                                "recrawl.max 9000h0m0s is not between",
		"recrawl: {min: 2h, max: 1h}":                          "shorter than recrawl.min",
		"recrawl: {known: -1}":                                 "recrawl.known is -1",
		"recrawl: {often: 5m}":                                 "often",
		"blocked: []\nrecrawl: {min: 5m, max: 336h, known: 5}": "",
	} {
		_, err := ReadSource("a.yaml", []byte(head+yaml+"\n"))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", yaml, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v; want %q", yaml, err, want)
		}
	}
}
