package crawler

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/post"
)

var updateKits = flag.Bool("update-kits", false, "write what the kits read into testdata/kits/*.want; look at every line of the difference")

// kitPages are pages that we wrote in the markup of each engine, with what its
// kit reads from them beside each in a .want file: every post with kind, title,
// author, date, place and text, every link, row and landing page.
var kitPages = []struct{ site, file, url, fetched string }{
	{"phpbb", "phpbb/list.html", "https://phpbb.example.com/viewforum.php?f=2", "2026-11-04 12:00"},
	{"phpbb", "phpbb/thread.html", "https://phpbb.example.com/viewtopic.php?t=7", "2026-11-04 12:00"},
	{"xenforo", "xenforo/list.html", "https://xf.example.com/forums/kayou.2/", "2026-11-04 12:00"},
	{"xenforo", "xenforo/thread.html", "https://xf.example.com/threads/hua-bei.7/", "2026-11-04 12:00"},
	{"phpwind", "phpwind/list9.html", "http://pw.example.com/index.php?c=thread&fid=2", "2026-11-04 12:00"},
	{"phpwind", "phpwind/thread9.html", "http://pw.example.com/read.php?tid=7", "2026-11-04 12:00"},
	{"phpwind", "phpwind/list87.html", "http://pw.example.com/thread.php?fid=5", "2026-11-04 12:00"},
	{"phpwind", "phpwind/thread87.html", "http://pw.example.com/read.php?tid=21", "2026-11-04 12:00"},
	{"douban-group", "douban-group/list.html", "https://www.douban.com/group/fuzhai000/discussion?start=0", "2026-11-04 12:00"},
	{"douban-group", "douban-group/topic.html", "https://www.douban.com/group/topic/301234567/", "2026-11-04 12:00"},
	{"classified-58", "classified-58/list.html", "https://class.example.com/danbaobaoxiantouzi/", "2026-11-04 12:00"},
	{"classified-58", "classified-58/detail.html", "https://class.example.com/danbaobaoxiantouzi/3012345678x.shtml", "2026-11-04 12:00"},
	{"feed", "feed/rss.xml", "https://feed.example.com/rss.xml", "2026-11-04 12:00"},
	{"feed", "feed/atom.xml", "https://feed.example.com/atom.xml", "2026-11-04 12:00"},
	{"waline", "waline/comments.json", "https://comments.example.com/api/comment?path=/t/5&pageSize=50&page=1", "2026-11-04 12:00"},
	{"waline", "waline/article.html", "https://blog.example.net/t/5", "2026-11-04 12:00"},
	{"isso", "isso/comments.json", "https://isso.example.org/?uri=%2Ft1.html", "2026-11-04 12:00"},
	{"sitemap", "sitemap/index.xml", "https://map.example.com/sitemap.xml", "2026-11-04 12:00"},
	{"sitemap", "sitemap/urlset.xml", "https://map.example.com/sitemap-posts-1.xml", "2026-11-04 12:00"},
	{"discuz", "discuz/list.html", "https://bbs.example.com/forum.php?mod=forumdisplay&fid=2", "2026-11-04 12:00"},
	{"discuz", "discuz/thread.html", "https://bbs.example.com/forum.php?mod=viewthread&tid=7", "2026-11-04 12:00"},
}

func kitPage(t testing.TB, src *Source, file, url, fetched string) Page {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "kits", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	pg, err := SavedPage(src, file, raw, url)
	if err != nil {
		t.Fatal(err)
	}
	if pg.FetchedAt, err = time.ParseInLocation("2006-01-02 15:04", fetched, src.Location()); err != nil {
		t.Fatal(err)
	}
	return pg
}

func TestKits(t *testing.T) {
	sites := siteConfigs(t)
	for _, c := range kitPages {
		t.Run(c.file, func(t *testing.T) {
			src := sites[c.site]
			if src == nil {
				t.Fatalf("no site config %s", c.site)
			}
			x, err := src.Extract(kitPage(t, src, c.file, c.url, c.fetched))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range append(append([]post.Post{}, x.Posts...), x.Previews...) {
				if err := p.Validate(); err != nil {
					t.Error(err)
				}
			}
			for _, l := range x.Links {
				canonical, _, err := src.Canonical(l.URL)
				if rule, ok := src.Rule(canonical); err != nil || !ok || rule.Name != l.Page {
					t.Errorf("link %s becomes %s, %v, and fits another rule than %s", l.URL, canonical, err, l.Page)
				}
			}
			got := kitReport(src, x)
			want := filepath.Join("testdata", "kits", filepath.FromSlash(strings.TrimSuffix(c.file, filepath.Ext(c.file))+".want"))
			if *updateKits {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(golden), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// kitReport writes an extraction down for people to check.
func kitReport(src *Source, x Extraction) string {
	var b strings.Builder
	flat := strings.NewReplacer("\n", "⏎")
	posts := func(mark string, list []post.Post) {
		for _, p := range list {
			when := "no time"
			if !p.PublishedAt.IsZero() {
				when = p.PublishedAt.In(src.Location()).Format(time.DateTime)
			}
			fmt.Fprintf(&b, "%s%s | %s | %s (%s) %s | %s | %s\n", mark, p.Kind, p.Title, p.Author.Name, p.Author.ID, p.Author.URL, when, p.Region)
			fmt.Fprintf(&b, "  at %s of %s\n", p.URL, p.ThreadURL)
			if p.Text != "" {
				fmt.Fprintf(&b, "  text %s\n", flat.Replace(p.Text))
			}
			for _, img := range p.Images {
				fmt.Fprintf(&b, "  image %s %s\n", img.URL, img.Text)
			}
			for _, l := range p.Links {
				fmt.Fprintf(&b, "  says %s\n", l)
			}
		}
	}
	posts("", x.Posts)
	posts("preview ", x.Previews)
	for _, l := range x.Links {
		fmt.Fprintf(&b, "link %s %s\n", l.Page, l.URL)
	}
	for _, r := range x.Rows {
		last := "-"
		if !r.Last.IsZero() {
			last = r.Last.In(src.Location()).Format(time.DateTime)
		}
		fmt.Fprintf(&b, "row %s | %s replies | last %s ± %v\n", r.URL, r.Replies, last, r.Grain)
	}
	for _, l := range x.Landings {
		fmt.Fprintf(&b, "landing %s\n", l)
	}
	for _, w := range append(x.Warnings, x.Blocked, x.Gone) {
		if w != "" {
			fmt.Fprintf(&b, "! %s\n", w)
		}
	}
	return b.String()
}

// TestKitsWithoutURL is what site test does with a page saved from a browser.
func TestKitsWithoutURL(t *testing.T) {
	sites := siteConfigs(t)
	for _, c := range kitPages {
		src := sites[c.site]
		pg := kitPage(t, src, c.file, "", c.fetched)
		want, _ := src.Rule(c.url)
		if got, ok := src.Rule(pg.URL); !ok || got != want {
			t.Errorf("%s is taken for %s", c.file, pg.URL)
			continue
		}
		var b strings.Builder
		if rep, err := TestSite(&b, src, []Page{pg}); err != nil || !rep.OK {
			t.Errorf("%s: %v\n%s", c.file, err, b.String())
		}
	}
}

func TestKitCanonicalForms(t *testing.T) {
	sites := siteConfigs(t)
	for _, c := range []struct{ site, from, to string }{
		{"phpbb", "https://phpbb.example.com/viewtopic.php?f=2&t=7&sid=0c1f2a7be49d4b6f8d6b1c7f0e3a5d29", "https://phpbb.example.com/viewtopic.php?t=7"},
		{"phpbb", "https://phpbb.example.com/viewtopic.php?t=7&start=10&hilit=贷款#p102", "https://phpbb.example.com/viewtopic.php?start=10&t=7"},
		{"phpbb", "https://phpbb.example.com/viewtopic.php?f=2&t=7&start=0", "https://phpbb.example.com/viewtopic.php?t=7"},
		{"phpbb", "https://phpbb.example.com/bbs/viewforum.php?f=2&start=25&sid=x", "https://phpbb.example.com/bbs/viewforum.php?f=2&start=25"},
		{"xenforo", "https://xf.example.com/threads/hua-bei.7/page-1", "https://xf.example.com/threads/hua-bei.7/"},
		{"xenforo", "https://xf.example.com/threads/hua-bei.7/latest", "https://xf.example.com/threads/hua-bei.7/"},
		{"xenforo", "https://xf.example.com/threads/hua-bei.7/post-102#post-102", "https://xf.example.com/threads/hua-bei.7/"},
		{"xenforo", "https://xf.example.com/threads/hua-bei.7/page-2", "https://xf.example.com/threads/hua-bei.7/page-2"},
		{"xenforo", "https://xf.example.com/forums/kayou.2/?order=title&direction=asc", "https://xf.example.com/forums/kayou.2/"},
		{"phpwind", "http://pw.example.com/read.php?tid=7&fid=2&page=2&fpage=3", "http://pw.example.com/read.php?page=2&tid=7"},
		{"phpwind", "http://pw.example.com/read.php?tid=7&uid=55&toread=1", "http://pw.example.com/read.php?tid=7"},
		{"phpwind", "http://pw.example.com/index.php?c=thread&fid=2&page=1", "http://pw.example.com/index.php?c=thread&fid=2"},
		{"douban-group", "https://www.douban.com/group/topic/301234567?_spm_id=abc&author=1", "https://www.douban.com/group/topic/301234567/"},
		{"douban-group", "https://www.douban.com/group/topic/301234567/?start=0", "https://www.douban.com/group/topic/301234567/"},
		{"classified-58", "https://class.example.com/danbaobaoxiantouzi/3012345678x.shtml?adtype=3&PGTID=0d&ClickID=1", "https://class.example.com/danbaobaoxiantouzi/3012345678x.shtml"},
	} {
		got, _, err := sites[c.site].Canonical(c.from)
		if err != nil || got != c.to {
			t.Errorf("%s: %s becomes %s, %v; want %s", c.site, c.from, got, err, c.to)
			continue
		}
		if _, ok := sites[c.site].Rule(got); !ok {
			t.Errorf("%s: no rule fits %s", c.site, got)
		}
	}
}

// Later pages of a thread hold no opening post, and know whose they are.
func TestKitsOnLaterPages(t *testing.T) {
	sites := siteConfigs(t)
	for _, c := range []struct{ site, file, url, thread string }{
		{"phpbb", "phpbb/thread.html", "https://phpbb.example.com/viewtopic.php?start=10&t=7", "https://phpbb.example.com/viewtopic.php?t=7"},
		{"xenforo", "xenforo/thread.html", "https://xf.example.com/threads/hua-bei.7/page-2", "https://xf.example.com/threads/hua-bei.7/"},
		{"phpwind", "phpwind/thread9.html", "http://pw.example.com/read.php?page=2&tid=7", "http://pw.example.com/read.php?tid=7"},
		{"discuz", "discuz/thread.html", "https://bbs.example.com/forum.php?mod=viewthread&tid=7&page=2", "https://bbs.example.com/forum.php?mod=viewthread&tid=7"},
	} {
		src := sites[c.site]
		pg := kitPage(t, src, c.file, c.url, "2026-11-04 12:00")
		// The floors that say so are those of a first page.
		pg.Body = []byte(strings.NewReplacer(`nofollow">#1<`, `nofollow">#21<`, "楼主<sup>", "20楼<sup>", `false;">楼主<`, `false;">21#<`).Replace(string(pg.Body)))
		x, err := src.Extract(pg)
		if err != nil || len(x.Posts) == 0 {
			t.Fatalf("%s: %d posts, %v", c.site, len(x.Posts), err)
		}
		for _, p := range x.Posts {
			if p.Kind == post.KindPost || p.ThreadURL != c.thread {
				t.Errorf("%s: %s %s of thread %s", c.site, p.Kind, p.URL, p.ThreadURL)
			}
		}
	}
}

func FuzzKits(f *testing.F) {
	sites := siteConfigs(f)
	for i, c := range kitPages {
		body, err := os.ReadFile(filepath.Join("testdata", "kits", filepath.FromSlash(c.file)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, body)
	}
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		c := kitPages[uint(i)%uint(len(kitPages))]
		x, err := sites[c.site].Extract(Page{URL: c.url, Body: body, FetchedAt: fetchedAt})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range x.Posts {
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
