package crawler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"qingyuan/post"
)

const adsYAML = `name: adforum
title: 有广告位的论坛
type: forum
hosts: ["bbs.example.com"]
seeds: ["https://bbs.example.com/t/1"]
pages:
  - name: thread
    match: '^/t/(?P<tid>\d+)$'
    thread: '/t/{tid}'
    ads: {slots: '.slot, .inner-slot', landing: 20}
    posts: [{each: .post, kind: post, key: {attr: id}, text: .body}]
  - {name: plain, match: '^/p/', posts: [{each: .post, kind: post, key: {attr: id}, text: .body}]}
`

const adsPage = `<html><body>
<div class="slot"><a href="https://ad.example.net/click?id=81">急用钱？当天下款，不看征信</a></div>
<div class="slot"><a href="//ad.example.net/b"><img src="/banner/1.gif" alt="百万额度 秒批" title="点我办理"></a></div>
<div class="slot"><a href="https://ad.example.net/nothing.html"><img src="/banner/2.gif"></a></div>
<div class="slot"><iframe src="https://frames.example.org/show?pos=3" title="推广"></iframe></div>
<div class="slot" data-href="https://ad.example.net/only-link"><span></span></div>
<div class="slot"></div>
<div class="slot"><script>document.write("x")</script></div>
<div class="slot" style="display:none"><a href="https://trap.example.net/">看不见的</a></div>
<div class="slot"><a href="https://ad.example.net/click?id=82">急用钱？当天下款，不看征信</a></div>
<div class="slot"><a href="/t/2">站内活动帖</a> <a href="javascript:void(0)">关闭</a></div>
<div class="slot"><a href="/adclick.php?bannerid=7&amp;to=x">征信花了找我们</a></div>
<div class="post" id="p1"><div class="body">正文第一行<div class="slot"><div class="inner-slot">楼内广告 <a href="https://in.example.net/a">点这里</a></div></div>正文第二行</div></div>
</body></html>`

func adsSource(t *testing.T) *Source {
	t.Helper()
	src, err := ReadSource("adforum.yaml", []byte(adsYAML))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestAdSlots(t *testing.T) {
	x, err := adsSource(t).Extract(Page{URL: "https://bbs.example.com/t/1", Body: []byte(adsPage), FetchedAt: fetchedAt})
	if err != nil {
		t.Fatal(err)
	}
	var ads []string
	for _, p := range x.Posts {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
		if p.Kind != post.KindAd {
			if p.Text != "正文第一行\n正文第二行" {
				t.Errorf("the post reads %q", p.Text)
			}
			continue
		}
		if p.ThreadURL != "https://bbs.example.com/t/1" {
			t.Errorf("ad of thread %q", p.ThreadURL)
		}
		ads = append(ads, fmt.Sprintf("%s|%s|%d", strings.ReplaceAll(p.Text, "\n", "⏎"), strings.Join(p.Links, " "), len(p.Images)))
	}
	want := []string{
		"急用钱？当天下款，不看征信|https://ad.example.net/click?id=81|0",
		"点我办理⏎百万额度 秒批|https://ad.example.net/b|1",
		"[图片]|https://ad.example.net/nothing.html|1",
		"推广|https://frames.example.org/show?pos=3|0",
		"[广告]|https://ad.example.net/only-link|0",
		"站内活动帖 关闭|https://bbs.example.com/t/2|0",
		"征信花了找我们|https://bbs.example.com/adclick.php?bannerid=7&to=x|0",
		"楼内广告 点这里|https://in.example.net/a|0",
	}
	if !slices.Equal(ads, want) {
		t.Errorf("ads:\n%s\nwant:\n%s", strings.Join(ads, "\n"), strings.Join(want, "\n"))
	}
	lands := []string{"https://ad.example.net/click?id=81", "https://ad.example.net/b", "https://ad.example.net/nothing.html", "https://frames.example.org/show?pos=3", "https://ad.example.net/only-link"}
	if !slices.Equal(x.Landings, lands) {
		t.Errorf("landings %q", x.Landings)
	}
	if len(x.Links) != 0 || len(x.Warnings) != 0 {
		t.Errorf("links %v, warnings %q", x.Links, x.Warnings)
	}
}

func TestAdSlotsAreOffByDefault(t *testing.T) {
	x, err := adsSource(t).Extract(Page{URL: "https://bbs.example.com/p/1", Body: []byte(adsPage), FetchedAt: fetchedAt})
	if err != nil || len(x.Posts) != 1 || len(x.Landings) != 0 {
		t.Errorf("%d posts, %d landings, %v", len(x.Posts), len(x.Landings), err)
	}
}

// An ad is the same on whatever page and in whatever slot it is shown.
func TestAdKeys(t *testing.T) {
	src := adsSource(t)
	id := func(url, slot string) string {
		x, err := src.Extract(Page{URL: url, Body: []byte(`<div class="slot">` + slot + `</div><div class="post" id="p1"><div class="body">正文</div></div>`), FetchedAt: fetchedAt})
		if err != nil || len(x.Posts) != 2 {
			t.Fatalf("%d posts, %v", len(x.Posts), err)
		}
		return x.Posts[0].ID
	}
	const one, two = "https://bbs.example.com/t/1", "https://bbs.example.com/t/2"
	text := id(one, `<a href="https://ad.example.net/c?view=1">低息贷款</a>`)
	if text != id(two, `<a href="https://ad.example.net/c?view=2">低息贷款</a>`) {
		t.Error("the same ad has another id on another page")
	}
	if text == id(one, `<a href="https://other.example.net/c?view=1">低息贷款</a>`) || text == id(one, `<a href="https://ad.example.net/c">低息贷</a>`) {
		t.Error("another ad has the same id")
	}
	if id(one, `<img src="/1.gif?t=1">`) != id(two, `<img src="/1.gif?t=2">`) || id(one, `<img src="/1.gif">`) == id(one, `<img src="/2.gif">`) {
		t.Error("banners are not told apart by their pictures")
	}
}

func TestAdSlotMistakes(t *testing.T) {
	for _, c := range []struct{ change, with, want string }{
		{"slots: '.slot, .inner-slot', ", "", "ads has no slots"},
		{"landing: 20", "landing: -1", "landing is -1"},
		{"landing: 20", "landing: 100000", "landing is 100000"},
		{"landing: 20", "hosts: ['*']", `"*" is no host`},
		{"landing: 20", "hosts: [127.0.0.1]", "is a loopback or private address"},
		{"'.slot, .inner-slot'", "'.slot['", "is no CSS selector"},
		{"name: thread", "name: '@landing'", "may not be named"},
		{"    match: '^/t/", "    format: json\n    match: '^/t/", "ads is for html pages"},
	} {
		_, err := ReadSource("adforum.yaml", []byte(strings.Replace(adsYAML, c.change, c.with, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.with, err)
		}
	}
}

// An ad on a notice or a wall does not make a page of it.
func TestAdsDoNotHideNotices(t *testing.T) {
	const slot = `<div class="slot"><a href="https://ad.example.net/a">急用钱</a></div>`
	for _, c := range []struct {
		name, body           string
		gone, blocked, warns bool
	}{
		{"gone", `<div id="messagetext"><p>抱歉，指定的主题不存在或已被删除</p></div>`, true, false, false},
		{"wall", "<p>请完成验证后继续访问，拖动滑块</p>", false, true, false},
		{"new layout", "<article>正文在别处</article>", false, false, true},
	} {
		x, err := adsSource(t).Extract(Page{URL: "https://bbs.example.com/t/1", Body: []byte("<html><body>" + slot + c.body + "</body></html>"), FetchedAt: fetchedAt})
		if err != nil || (x.Gone != "") != c.gone || (x.Blocked != "") != c.blocked || (len(x.Warnings) > 0) != c.warns {
			t.Errorf("%s: gone %q, blocked %q, warnings %q, %v", c.name, x.Gone, x.Blocked, x.Warnings, err)
		}
		if (c.gone || c.blocked) && len(x.Posts)+len(x.Landings) > 0 {
			t.Errorf("%s: %d posts, %d landings", c.name, len(x.Posts), len(x.Landings))
		}
	}
}

func FuzzAdSlots(f *testing.F) {
	f.Add([]byte(adsPage))
	f.Add([]byte(strings.Repeat(`<div class=slot><a href=http://a.example/`, 60)))
	src, err := ReadSource("adforum.yaml", []byte(adsYAML))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		pg := Page{URL: "https://bbs.example.com/t/1", Body: body, FetchedAt: fetchedAt}
		x, err := src.Extract(pg)
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Landings) > maxPageLandings {
			t.Fatalf("%d landings", len(x.Landings))
		}
		for _, p := range x.Posts {
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		if p, err := src.ExtractLanding(pg, "https://bbs.example.com/t/1"); err == nil && p.Validate() != nil {
			t.Fatal(p.Validate())
		}
	})
}
