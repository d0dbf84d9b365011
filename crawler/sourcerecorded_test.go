package crawler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/post"
)

// recordedPages returns the folder of pages saved from real sites, which is
// not part of the project; a test that needs it is skipped without it.
func recordedPages(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("QINGYUAN_PAGES")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "pages")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recorded pages at %s; set QINGYUAN_PAGES to their folder", dir)
	}
	return dir
}

// siteConfigs returns the sites that are shipped, by name.
func siteConfigs(t testing.TB) map[string]*Source {
	t.Helper()
	sources, err := LoadSources(os.DirFS(filepath.Join("..", "configs", "sites")))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*Source{}
	for _, s := range sources {
		out[s.Name] = s
	}
	return out
}

func TestRecordedPages(t *testing.T) {
	dir := recordedPages(t)
	sites := siteConfigs(t)
	const dz = "https://bbs.example.com/"
	for _, c := range []struct {
		file, site, url, fetched string
		posts, ads, previews     int
		author, when, text       string // of the first; text is a prefix of title or text
	}{
		{"tieba_thread.html", "tieba", "https://tieba.baidu.com/p/9117905169", "2024-08-17 05:00", 30, 1, 0, "章景轩", "2024-08-05 16:56:00", "点击展开，查看完整图片"},
		{"tieba_list.html", "tieba", "https://tieba.baidu.com/f?kw=%E7%9B%97%E5%A2%93%E7%AC%94%E8%AE%B0&ie=utf-8", "2024-08-17 05:00", 0, 0, 48, "公子伯仲", "2024-07-06 00:00:00", "盗墓笔记全集+txt小说"},
		{"discuz32_list.html", "discuz-static", "https://n.netease.com/forum-9-1.html", "2020-08-02 16:00", 0, 0, 42, "撅撅撅", "2020-07-19 00:00:00", "新买的机子老出现游戏卡屏或卡崩"},
		{"dz_list_p1.html", "discuz", dz + "forum.php?mod=forumdisplay&fid=2", "2026-11-22 14:00", 0, 0, 20, "", "", ""},
		{"dz_thread_p1.html", "discuz", dz + "forum.php?mod=viewthread&tid=5", "2026-11-22 14:00", 10, 0, 0, "网友6号", "2026-11-01 13:00:00", "楼主正文5：网贷逾期被催收"},
		{"dzgbk_list.html", "discuz", dz + "forum.php?mod=forumdisplay&fid=2", "2026-11-22 14:00", 0, 0, 20, "", "", ""},
		{"dzgbk_thread.html", "discuz", dz + "forum.php?mod=viewthread&tid=5", "2026-11-22 14:00", 10, 0, 0, "网友6号", "2026-11-01 13:00:00", "楼主正文5"},
		{"dz_thread_jammer_reltime.html", "discuz", dz + "forum.php?mod=viewthread&tid=5", "2026-11-22 14:00", 10, 0, 0, "网友1号", "2026-11-22 11:41:19", "第一行：逾期怎么办"},
		{"dz_api_thread.json", "discuz", dz + "api/mobile/index.php?version=4&module=viewthread&tid=5", "2026-11-22 14:00", 10, 0, 0, "网友6号", "2026-11-01 13:00:00", "楼主正文5"},
		{"v2ex_topic.html", "v2ex", "https://www.v2ex.com/t/664539", "2020-04-21 20:53", 25, 0, 0, "alphadog619", "2020-04-21 15:38:00", "4 月 20 日晚间，百度网盘"},
		{"weibo_cn_timeline.html", "weibo-cn", "https://weibo.cn/1669879400?page=2", "2020-06-20 12:00", 10, 0, 0, "Dear-迪丽热巴", "2020-06-03 00:00:00", "生日动态"},
		{"zhihu_question.html", "zhihu", "https://www.zhihu.com/question/24825703", "2016-01-01 12:00", 50, 0, 0, "芝士就是力量", "2015-02-15 00:00:00", "幽冥之事，实所难言"},
		{"wechat_article.html", "wechat", "https://mp.weixin.qq.com/s?__biz=MzI2MzEwNTY3OQ==&mid=2648978231&idx=1&sn=dd091611fcf1aa0c2aef9655f13e7731", "2020-10-09 12:00", 1, 0, 0, "未闻Code", "2020-10-07 00:00:00", "摄影：产品经理"},
		{"wp_home.html", "wordpress", "https://blog.example.com/", "2026-11-22 14:00", 0, 0, 10, "", "2026-11-22 03:25:34", "Hello world!"},
		{"wp_thread.html", "wordpress", "https://blog.example.com/archives/22", "2026-11-22 14:00", 6, 0, 0, "admin", "2026-11-02 03:00:00", "楼主正文 19"},
		{"wp_feed.xml", "wordpress", "https://blog.example.com/feed", "2026-11-22 14:00", 0, 0, 10, "admin", "2026-11-22 11:25:34", "Hello world!"},
		{"news/163_police_calls.html", "news-163", "https://news.163.com/19/0907/16/EOG9C8VK0001875P.html", "2019-09-08 12:00", 1, 0, 0, "新京报", "2019-09-07 16:28:35", "女警打百个电话遭停机"},
		{"news/njxfhn_phone_fraud.html", "news-zblog", "http://www.njxfhn.com/post/2740.html", "2019-09-12 12:00", 1, 0, 0, "富达传媒", "2019-09-11 00:00:00", "[诗婷露雅化妆品]江门七旬阿婆"},
		{"news/qq_data_industry.html", "news-qq", "https://finance.qq.com/a/20190923/000843.htm", "2019-09-24 12:00", 1, 0, 0, "棱镜", "2019-09-23 07:48:00", "棱镜|数据业大整顿"},
		{"news/sina_rumour.html", "news-sina", "https://finance.sina.com.cn/roll/2018-12-28/doc-ihqfskcn2160999.shtml", "2018-12-30 12:00", 1, 0, 0, "新京报", "2018-12-28 19:55:00", "60万\"12306账号\"外泄?"},
		{"news/163_police_calls.html", "news-article", "https://www.example.com/a/1.html", "2019-09-08 12:00", 1, 0, 0, "", "2019-09-07 16:28:35", "女警打百个电话遭停机"},
		{"news/njxfhn_phone_fraud.html", "news-article", "https://www.example.com/a/2.html", "2019-09-12 12:00", 1, 0, 0, "", "2019-09-11 00:00:00", "冒充银行经理来电骗事主"},
		{"news/qq_data_industry.html", "news-article", "https://www.example.com/a/3.html", "2019-09-24 12:00", 1, 0, 0, "", "2019-09-23 07:48:00", "棱镜|数据业大整顿"},
		{"news/sina_rumour.html", "news-article", "https://www.example.com/a/4.html", "2018-12-30 12:00", 1, 0, 0, "", "2018-12-28 19:56:29", "60万\"12306账号\"外泄?"},
		{"news/thepaper_powerbank.html", "news-article", "https://www.example.com/a/5.html", "2019-09-25 12:00", 1, 0, 0, "", "2019-09-24 09:10:00", "共享充电宝涨价告别1元时代"},
		{"news/163_police_calls.html", "article", "https://text.example.com/a/1.html", "2019-09-08 12:00", 1, 0, 0, "新京报", "2019-09-07 16:28:35", "女警打百个电话遭停机"},
		{"news/njxfhn_phone_fraud.html", "article", "https://text.example.com/a/2.html", "2019-09-12 12:00", 1, 0, 0, "", "2019-09-11 00:00:00", "冒充银行经理来电骗事主"},
		{"news/qq_data_industry.html", "article", "https://text.example.com/a/3.html", "2019-09-24 12:00", 1, 0, 0, "", "2019-09-23 07:48:00", "棱镜|数据业大整顿"},
		{"news/sina_rumour.html", "article", "https://text.example.com/a/4.html", "2018-12-30 12:00", 1, 0, 0, "新京报", "2018-12-28 19:56:29", "60万\"12306账号\"外泄?"},
		{"news/thepaper_powerbank.html", "article", "https://text.example.com/a/5.html", "2019-09-25 12:00", 1, 0, 0, "", "2019-09-24 09:10:00", "共享充电宝涨价告别1元时代"},
		{"news/thepaper_powerbank.html", "news-thepaper", "https://www.thepaper.cn/newsDetail_forward_4510000", "2019-09-25 12:00", 1, 0, 0, "石佳/中国青年报", "2019-09-24 09:10:00", "共享充电宝涨价告别1元时代"},
	} {
		t.Run(c.site+"_"+filepath.Base(c.file), func(t *testing.T) {
			src := sites[c.site]
			if src == nil {
				t.Fatalf("no site config %s", c.site)
			}
			x, err := src.Extract(recordedPage(t, src, dir, c.file, c.url, c.fetched))
			if err != nil {
				t.Fatal(err)
			}
			if x.Blocked != "" || x.Gone != "" {
				t.Fatalf("blocked %q, gone %q", x.Blocked, x.Gone)
			}
			var ads int
			all := append([]post.Post{}, x.Previews...)
			for _, p := range x.Posts {
				if p.Kind == post.KindAd {
					ads++
					continue
				}
				all = append(all, p)
			}
			if got := len(x.Posts) - ads; got != c.posts || ads != c.ads || len(x.Previews) != c.previews {
				t.Errorf("found %d posts, %d ads, %d previews; want %d, %d, %d (warnings %q)", got, ads, len(x.Previews), c.posts, c.ads, c.previews, x.Warnings)
			}
			if len(all) == 0 {
				t.Fatal("nothing found")
			}
			first := all[0]
			if c.file == "discuz32_list.html" {
				first = all[2] // after the two sticky ones
			}
			checkFirst(t, src, first, c.author, c.when, c.text)
			for _, p := range all {
				if err := p.Validate(); err != nil {
					t.Errorf("post %s: %v", p.URL, err)
				}
				if p.PublishedAt.IsZero() {
					t.Errorf("post %s has no time", p.URL)
				}
			}
		})
	}
}

func recordedPage(t *testing.T, src *Source, dir, file, url, fetched string) Page {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	pg, err := SavedPage(src, file, raw, url)
	if err != nil {
		t.Fatal(err)
	}
	pg.FetchedAt, err = time.ParseInLocation("2006-01-02 15:04", fetched, src.Location())
	if err != nil {
		t.Fatal(err)
	}
	return pg
}

func checkFirst(t *testing.T, src *Source, p post.Post, author, when, text string) {
	t.Helper()
	if author != "" && p.Author.Name != author {
		t.Errorf("first author %q, want %q", p.Author.Name, author)
	}
	if got := p.PublishedAt.In(src.Location()).Format(time.DateTime); when != "" && got != when {
		t.Errorf("first time %s, want %s", got, when)
	}
	if !strings.HasPrefix(p.Text, text) && !strings.HasPrefix(p.Title, text) {
		t.Errorf("first title %q and text %.80q, want one to begin %q", p.Title, p.Text, text)
	}
}

// TestRecordedRefusals holds the pages that say no with status 200.
func TestRecordedRefusals(t *testing.T) {
	dir := recordedPages(t)
	sites := siteConfigs(t)
	const thread = "https://bbs.example.com/forum.php?mod=viewthread&tid=5"
	for _, c := range []struct {
		file, site, url string
		status          int
		blocked, gone   bool
	}{
		{"dz_challenge_reload.html", "discuz", thread, 200, true, false},
		{"dz_challenge_sum.html", "discuz", thread, 200, true, false},
		{"dz_ratelimit_200.html", "discuz", thread, 200, true, false},
		{"dz_404.html", "discuz", thread, 200, false, true},
		{"dz_404.html", "discuz", thread, 404, false, true},
		{"wechat_expired.html", "wechat", "https://mp.weixin.qq.com/s?__biz=x", 200, false, true},
		{"sogou_captcha.html", "wechat", "https://mp.weixin.qq.com/s?__biz=x", 200, true, false},
		{"isso_raw.html", "wechat", "https://mp.weixin.qq.com/s?__biz=x", 200, false, false},
	} {
		src := sites[c.site]
		pg := recordedPage(t, src, dir, c.file, c.url, "2026-11-22 14:00")
		pg.Status = c.status
		x, err := src.Extract(pg)
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Posts) != 0 || (x.Blocked != "") != c.blocked || (x.Gone != "") != c.gone {
			t.Errorf("%s: %d posts, blocked %q, gone %q", c.file, len(x.Posts), x.Blocked, x.Gone)
		}
		if !c.blocked && !c.gone && len(x.Warnings) == 0 {
			t.Errorf("%s: no warning", c.file)
		}
	}
}
