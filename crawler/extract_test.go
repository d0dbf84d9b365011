package crawler

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/post"
)

var fetchedAt = time.Date(2026, 11, 4, 4, 0, 0, 0, time.UTC) // noon in Shanghai

func testSource(t testing.TB) *Source {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "sites", "bbs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	src, err := ReadSource("bbs.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func testdataPage(t testing.TB, file, url string) Page {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "pages", file))
	if err != nil {
		t.Fatal(err)
	}
	return Page{URL: url, Status: 200, Body: body, FetchedAt: fetchedAt, Archive: post.Archive{RecordID: "r1"}}
}

func extractTestdata(t testing.TB, file, url string) Extraction {
	t.Helper()
	x, err := testSource(t).Extract(testdataPage(t, file, url))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

const threadURL = "https://bbs.example.com/thread-7-1-1.html"

func TestExtractThread(t *testing.T) {
	x := extractTestdata(t, "thread.html", threadURL)
	if x.Blocked != "" || x.Gone != "" {
		t.Fatalf("a post's words made the page blocked %q or gone %q", x.Blocked, x.Gone)
	}
	if len(x.Posts) != 5 {
		t.Fatalf("found %d posts, want an ad, a post and three comments", len(x.Posts))
	}
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	want := post.Post{
		ID: post.NewID("bbs", "101"), Source: "bbs", SourceType: "forum", Kind: post.KindPost,
		URL: threadURL + "#pid101", ThreadURL: threadURL,
		Title:       "逾期半年，<求>一条出路 &amp; 建议",
		Text:        "第一行：信用卡 逾期 了\n第二行：V\u200bX\u00a0ａｂｃ１２３\n第三行😂\n段落一\n段落二\n甲\n乙\n看这里 点我",
		Author:      post.Author{ID: "55", Name: "老赖不赖", URL: "https://bbs.example.com/space-uid-55.html"},
		PublishedAt: time.Date(2026, 11, 1, 9, 30, 5, 0, shanghai), FetchedAt: fetchedAt, Region: "湖南",
		Images: []post.Image{
			{URL: "https://bbs.example.com/s.gif", Text: "😂"},
			{URL: "https://bbs.example.com/pic/1.jpg", Text: "聊天截图"},
			{URL: "https://img.example.com/2.png"},
		},
		Links:   []string{"https://t.example.net/q?a=1&b=2"},
		Archive: post.Archive{RecordID: "r1"},
	}
	if diff := cmp.Diff(want, x.Posts[1]); diff != "" {
		t.Errorf("opening post (-want +got):\n%s", diff)
	}
	ad := x.Posts[0]
	if ad.Kind != post.KindAd || ad.Text != "急用钱找小张，当天下款 详情" || len(ad.Links) != 1 {
		t.Errorf("ad: %+v", ad)
	}
	reply := x.Posts[2]
	if reply.Kind != post.KindComment || reply.Title != "" || reply.Text != "别信他们，我被骗过。\n\n真的。" {
		t.Errorf("reply: %+v", reply)
	}
	if got := reply.PublishedAt.Sub(fetchedAt); got != -30*time.Minute {
		t.Errorf("reply was published %s after the fetch", got)
	}
	if p := x.Posts[3]; p.Text != "[图片]" || len(p.Images) != 1 {
		t.Errorf("picture alone: %+v", p)
	}
	if p := x.Posts[4]; !p.PublishedAt.IsZero() {
		t.Errorf("date of the future was kept: %s", p.PublishedAt)
	}
	if want := []Link{{URL: "https://bbs.example.com/thread-7-2-1.html", Page: "thread", Priority: 10}}; !cmp.Equal(want, x.Links) {
		t.Errorf("links %+v, want %+v", x.Links, want)
	}
	for _, p := range x.Posts {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestExtractLaterPageHasNoOpeningPost(t *testing.T) {
	for _, p := range extractTestdata(t, "thread.html", "https://bbs.example.com/thread-7-2-1.html").Posts {
		if p.Kind == post.KindPost || p.Title != "" {
			t.Errorf("page 2 has an opening post: %+v", p)
		}
		if p.Kind == post.KindComment && p.ThreadURL != threadURL {
			t.Errorf("thread URL %s", p.ThreadURL)
		}
	}
}

func TestExtractJSON(t *testing.T) {
	x := extractTestdata(t, "list.json", "https://bbs.example.com/api/list")
	if len(x.Posts) != 2 {
		t.Fatalf("found %d posts: %+v", len(x.Posts), x.Warnings)
	}
	p := x.Posts[0]
	if p.Text != "停息挂账&个性化分期\n私信\n领取" || p.Author.Name != "上岸小助手" || p.Author.ID != "7" ||
		p.URL != "https://bbs.example.com/s/9001" || p.ID != post.NewID("bbs", "9001") || len(p.Images) != 1 {
		t.Errorf("first: %+v", p)
	}
	if !p.PublishedAt.Equal(time.Unix(1793509200, 0)) || !p.PublishedAt.Equal(x.Posts[1].PublishedAt) {
		t.Errorf("times %s, %s", p.PublishedAt, x.Posts[1].PublishedAt)
	}
	if len(x.Links) != 1 || x.Links[0].URL != "https://bbs.example.com/api/list?cursor=c2" {
		t.Errorf("links %+v", x.Links)
	}
}

func TestExtractJSONP(t *testing.T) {
	pg := testdataPage(t, "list.json", "https://bbs.example.com/api/list")
	pg.Body = fmt.Appendf(nil, "jQuery_1(%s);", pg.Body)
	x, err := testSource(t).Extract(pg)
	if err != nil || len(x.Posts) != 2 {
		t.Errorf("%d posts, %v, %q", len(x.Posts), err, x.Warnings)
	}
}

func TestExtractFeed(t *testing.T) {
	x := extractTestdata(t, "feed.xml", "https://bbs.example.com/feed")
	if len(x.Posts) != 2 {
		t.Fatalf("found %d posts: %+v", len(x.Posts), x.Warnings)
	}
	p := x.Posts[0]
	if p.Title != "关于防范代理退保的风险提示" || p.Text != "请通过正规渠道办理。\n谨防受骗。" || p.Author.Name != "消保处" ||
		p.URL != "https://bbs.example.com/n/1" || p.ID != post.NewID("bbs", "n1") || p.Kind != post.KindArticle {
		t.Errorf("first: %+v", p)
	}
	if got := p.PublishedAt.UTC().Format(time.RFC3339); got != "2026-11-01T00:00:00Z" {
		t.Errorf("published %s", got)
	}
}

func TestExtractEmbeddedJSON(t *testing.T) {
	body := `<html><body><div>外壳</div><script id="state">window.STATE={"note":{"id":"n9","text":"加薇  领资料\n第二行","time":1793509200}};</script></body></html>`
	x, err := testSource(t).Extract(Page{URL: "https://bbs.example.com/s/n9", Body: []byte(body), FetchedAt: fetchedAt})
	if err != nil || len(x.Posts) != 1 {
		t.Fatalf("%d posts, %v, %q", len(x.Posts), err, x.Warnings)
	}
	if x.Posts[0].Text != "加薇  领资料\n第二行" {
		t.Errorf("text %q", x.Posts[0].Text)
	}
}

func TestExtractRefusals(t *testing.T) {
	const page = "<html><head><title>%s</title></head><body><h1>%s</h1><a href='/forum-2-1.html'>首页</a></body></html>"
	for _, c := range []struct {
		name, url, body string
		status          int
		blocked, gone   bool
		wantErr         bool
	}{
		{"own text", threadURL, fmt.Sprintf(page, "", "您刷新太快了"), 200, true, false, false},
		{"captcha", threadURL, fmt.Sprintf(page, "安全验证", "请拖动滑块"), 200, true, false, false},
		{"sum", threadURL, fmt.Sprintf(page, "17 + 13 = ?", ""), 200, true, false, false},
		{"cloudflare", threadURL, fmt.Sprintf(page, "Just a moment...", ""), 200, true, false, false},
		{"gone", threadURL, fmt.Sprintf(page, "提示信息", "抱歉，指定的主题不存在"), 200, false, true, false},
		{"own gone", threadURL, fmt.Sprintf(page, "", "该主题已被删除"), 200, false, true, false},
		{"404", threadURL, "", 404, false, true, false},
		{"429", threadURL, "", 429, true, false, false},
		{"500", threadURL, "", 500, false, false, true},
		{"empty", threadURL, "", 200, false, false, false},
		{"captcha as JSON", "https://bbs.example.com/api/list", fmt.Sprintf(page, "安全验证", ""), 200, true, false, false},
		{"JSON refusal", "https://bbs.example.com/api/list", `{"code":-1,"msg":"\u8bf7\u6c42\u8fc7\u4e8e\u9891\u7e41"}`, 200, true, false, false},
		{"captcha as feed", "https://bbs.example.com/feed", fmt.Sprintf(page, "安全验证", ""), 200, true, false, false},
	} {
		x, err := testSource(t).Extract(Page{URL: c.url, Status: c.status, Body: []byte(c.body), FetchedAt: fetchedAt})
		if (err != nil) != c.wantErr {
			t.Errorf("%s: error %v", c.name, err)
		}
		if (x.Blocked != "") != c.blocked || (x.Gone != "") != c.gone || len(x.Posts) != 0 {
			t.Errorf("%s: blocked %q, gone %q, %d posts", c.name, x.Blocked, x.Gone, len(x.Posts))
		}
		if !c.blocked && !c.gone && !c.wantErr && len(x.Warnings) == 0 {
			t.Errorf("%s: no warning", c.name)
		}
	}
}

// A thread's title on a list page must not pass for the site's own words.
func TestListTitlesCannotBlock(t *testing.T) {
	var b strings.Builder
	for i, title := range []string{"刷新太快怎么办", "主题已被删除是什么意思", "求助：安全验证过不去"} {
		fmt.Fprintf(&b, `<a class="s xst" href="/thread-%d-1-1.html">%s</a>`, i+1, title)
	}
	x, err := testSource(t).Extract(Page{URL: "https://bbs.example.com/forum-2-1.html", Body: []byte(b.String())})
	if err != nil || x.Blocked != "" || x.Gone != "" || len(x.Links) != 3 {
		t.Errorf("blocked %q, gone %q, %d links, %v", x.Blocked, x.Gone, len(x.Links), err)
	}
}

func TestExtractUnknownURL(t *testing.T) {
	_, err := testSource(t).Extract(Page{URL: "https://bbs.example.com/nothing", Body: []byte("x")})
	if !errors.Is(err, ErrNoRule) {
		t.Errorf("got %v", err)
	}
}

func TestExtractBrokenHTML(t *testing.T) {
	post := `<div id="postlist"><div id="post_1"><td class="t_f">不闭合 <b>粗<i>体`
	deep := strings.Repeat("<div>", 2000) + `<div id="postlist"><div id="post_1"><table><tr><td class="t_f">藏得很深</td></tr></table></div></div>`
	for name, body := range map[string]string{
		"unclosed":   strings.Replace(post, `<td class="t_f">`, `<table><tr><td class="t_f">`, 1),
		"deep":       deep,
		"bad bytes":  `<div id="postlist"><div id="post_1"><table><tr><td class="t_f">` + "坏\xff\xfe字节\x00</td></tr></table></div></div>",
		"attributes": `<div id="postlist"><div id="post_1"` + strings.Repeat(` a="b"`, 5000) + `><table><tr><td class="t_f">属性多`,
	} {
		x, err := testSource(t).Extract(Page{URL: threadURL, Body: []byte(body), FetchedAt: fetchedAt})
		if err != nil || len(x.Posts) != 1 || x.Posts[0].Text == "" {
			t.Errorf("%s: %d posts, %v, %q", name, len(x.Posts), err, x.Warnings)
		}
	}
}

// A reply nested in the block of another is a post of its own, and its text is
// not the other's.
func TestNestedBlocks(t *testing.T) {
	src := mustSource(t, "pages:\n  - name: p\n    match: '^/p$'\n    posts:\n      - each: li\n        kind: comment\n        key: {attr: id}\n        author: .a\n        text: .t\n")
	body := `<ul><li id=1><b class=a>甲</b><ul><li id=2><b class=a>乙</b><p class=t>答</p></li></ul></li></ul>`
	x, err := src.Extract(Page{URL: "https://a.example.com/p", Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Posts) != 1 || x.Posts[0].Author.Name != "乙" || x.Posts[0].Text != "答" {
		t.Errorf("posts %+v", x.Posts)
	}
	body = `<ul><li id=1><div class=t>问<ul><li id=2><p class=t>答<img src=/2.png></p></li></ul></div></li></ul>`
	x, err = src.Extract(Page{URL: "https://a.example.com/p", Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Posts) != 2 || x.Posts[0].Text != "问" || len(x.Posts[0].Images) != 0 || len(x.Posts[1].Images) != 1 {
		t.Errorf("posts %+v", x.Posts)
	}
}

func TestExtractLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<div id="postlist">`)
	for i := range maxPagePosts + 500 {
		fmt.Fprintf(&b, `<div id="post_%d"><table><tr><td class="t_f">第%d楼</td></tr></table></div>`, i, i)
	}
	fmt.Fprintf(&b, `<div id="post_999999"><table><tr><td class="t_f">%s</td></tr></table></div>`, strings.Repeat("大", post.MaxText/2))
	x, err := testSource(t).Extract(Page{URL: threadURL, Body: []byte(b.String()), FetchedAt: fetchedAt})
	if err != nil || len(x.Posts) != maxPagePosts {
		t.Errorf("%d posts, %v", len(x.Posts), err)
	}
	huge := `<div id="postlist"><div id="post_1"><table><tr><td class="t_f">` + strings.Repeat("大", post.MaxText/2)
	x, err = testSource(t).Extract(Page{URL: threadURL, Body: []byte(huge), FetchedAt: fetchedAt})
	if err != nil || len(x.Posts) != 0 || len(x.Warnings) == 0 {
		t.Errorf("too large a post: %d posts, %v, %q", len(x.Posts), err, x.Warnings)
	}
}

func TestResolveURL(t *testing.T) {
	base, err := parseBase("https://bbs.example.com/d/page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ref, want string }{
		{"thread-2-1-1.html", "https://bbs.example.com/d/thread-2-1-1.html"},
		{"../x?a=中文#f", "https://bbs.example.com/x?a=%E4%B8%AD%E6%96%87#f"},
		{"//img.example.com/a.png", "https://img.example.com/a.png"},
		{" \n/a b\t", "https://bbs.example.com/a%20b"},
		{"https:\\\\evil.example\\x", "https://evil.example/x"},
		{"JavaScript:alert(1)", ""},
		{"java\nscript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"mailto:a@example.com", ""},
		{"ftp://example.com/", ""},
		{"http://", ""},
		{"http://[::1", ""},
		{"", ""},
		{"/" + strings.Repeat("x", maxURLBytes), ""},
		{"/100%", "https://bbs.example.com/100%"},
	} {
		got, err := resolveURL(base, c.ref)
		if c.ref == "/100%" && err != nil {
			continue // not a URL for net/http, which fetches; refusing it is right
		}
		if got != c.want || (c.want == "") != (err != nil) {
			t.Errorf("%q: got %q, %v; want %q", c.ref, got, err, c.want)
		}
	}
}

func TestTestSite(t *testing.T) {
	src := testSource(t)
	var out strings.Builder
	saved, err := SavedPage(src, "thread.html", testdataPage(t, "thread.html", "").Body, "")
	if err != nil {
		t.Fatal(err)
	}
	if saved.URL != threadURL {
		t.Errorf("guessed URL %s", saved.URL)
	}
	saved.FetchedAt = fetchedAt
	rep, err := TestSite(&out, src, []Page{saved, {URL: threadURL, Status: 404}, {URL: "https://bbs.example.com/none"}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.OK || rep.Posts != 5 || len(rep.Pages) != 3 {
		t.Errorf("report %+v", rep)
	}
	for _, want := range []string{
		"rule thread: 5 posts, 0 previews; links: 1 to follow, 1 out of scope, 1 without a rule, 1 hidden",
		"post · 老赖不赖 · 2026-11-01 09:30 · 《逾期半年", "ad · no author · no time · 急用钱找小张",
		"filled: title 1/5 text 5/5 author 4/5", "! gone: status 404", "no page rule fits",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, out.String())
		}
	}
	var js strings.Builder
	if err := rep.JSON(&js); err != nil {
		t.Fatal(err)
	}
	var back SiteReport
	if err := json.Unmarshal([]byte(js.String()), &back); err != nil {
		t.Fatal(err)
	}
	if back.Pages[0].Rule != "thread" || len(back.Pages[0].Posts) != 5 || back.Pages[0].Filled[0].Field != "title" {
		t.Errorf("JSON form: %s", js.String())
	}
}

func TestSavedPageGuessesByPosts(t *testing.T) {
	body := strings.Replace(string(testdataPage(t, "thread.html", "").Body), `rel="canonical"`, `rel="x"`, 1)
	pg, err := SavedPage(testSource(t), "saved.html", []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	if rule, ok := testSource(t).Rule(pg.URL); !ok || rule.Name != "thread" {
		t.Errorf("guessed %s", pg.URL)
	}
	if _, err := SavedPage(testSource(t), "saved.html", []byte("<p>nothing"), ""); err == nil {
		t.Error("want an error for a page of unknown origin")
	}
}

// Every rule of the shipped sites has a URL that a saved page can be tried at.
func TestExampleURLs(t *testing.T) {
	for name, src := range siteConfigs(t) {
		for _, rule := range src.Pages {
			u := src.exampleURL(rule)
			if got, ok := src.Rule(u); !ok || got != rule {
				t.Errorf("%s %s: %q", name, rule.Name, u)
			}
		}
	}
}

func FuzzExtract(f *testing.F) {
	for _, file := range []string{"thread.html", "list.json", "feed.xml"} {
		body, err := os.ReadFile(filepath.Join("testdata", "pages", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(strings.Repeat("<div>", 600) + "</table><td></form>"))
	src := testSource(f)
	urls := []string{threadURL, "https://bbs.example.com/forum-2-1.html", "https://bbs.example.com/api/list", "https://bbs.example.com/feed", "https://bbs.example.com/s/a"}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, u := range urls {
			x, err := src.Extract(Page{URL: u, Body: body, FetchedAt: fetchedAt})
			if limit := (*LimitError)(nil); err != nil && !errors.As(err, &limit) {
				t.Fatalf("%s: %v", u, err)
			}
			if x.Blocked != "" && len(x.Posts) > 0 {
				t.Fatal("blocked page has posts")
			}
			for _, p := range x.Posts {
				if err := p.Validate(); err != nil {
					t.Fatal(err)
				}
				if p.PublishedAt.After(fetchedAt.Add(futureTolerance)) {
					t.Fatalf("published at %s", p.PublishedAt)
				}
			}
			for _, l := range x.Links {
				if _, ok := src.Rule(l.URL); !ok {
					t.Fatalf("link %s fits no rule", l.URL)
				}
			}
		}
	})
}

func BenchmarkExtract(b *testing.B) {
	src := testSource(b)
	pg := testdataPage(b, "thread.html", threadURL)
	head, rest, _ := strings.Cut(string(pg.Body), `<div id="post_102">`)
	reply, tail, _ := strings.Cut(rest, `<div id="post_103">`)
	var body strings.Builder
	body.WriteString(head)
	for i := 0; body.Len() < 30<<10; i++ {
		fmt.Fprintf(&body, `<div id="post_%d">%s`, 1000+i, reply)
	}
	body.WriteString(`<div id="post_103">` + tail)
	pg.Body = []byte(body.String())
	b.SetBytes(int64(len(pg.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := src.Extract(pg); err != nil {
			b.Fatal(err)
		}
	}
}
