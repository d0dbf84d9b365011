package crawler

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const sitemapYAML = `name: maps
title: 地图
type: news
hosts: ["www.example.com"]
seeds: ["https://www.example.com/sitemap.xml"]
pages:
  - {name: map, match: 'sitemap[^/]*\.(?:xml(?:\.gz)?|txt)$', format: sitemap}
  - {name: article, match: '^/a/\d+\.html$', posts: [{kind: article, title: h1, text: p}]}
`

func mapPage(body string) Page {
	return Page{URL: "https://www.example.com/sitemap.xml", Status: 200, Body: []byte(body), FetchedAt: fetchedAt}
}

func TestExtractSitemap(t *testing.T) {
	src, err := ReadSource("maps.yaml", []byte(sitemapYAML))
	if err != nil {
		t.Fatal(err)
	}
	const open = `<?xml version="1.0" encoding="gb2312"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">`
	manyNow := ""
	for i := range 6 {
		manyNow += fmt.Sprintf("<url><loc>https://www.example.com/a/%d.html</loc><lastmod>2026-11-04T11:59:5%d+08:00</lastmod></url>", i, i)
	}
	for _, c := range []struct {
		name, body string
		links      []string
		rows       []string // link, lastmod in UTC, grain
		warned     bool
	}{
		{"urlset", open + "\n<url><loc> https://www.example.com/a/1.html </loc><lastmod>2026-11-01</lastmod><image:image><image:loc>https://www.example.com/a/9.html</image:loc></image:image></url>" +
			"<url><loc>/a/2.html?utm_source=x&amp;b=1</loc></url><url><loc>https://www.example.com/a/2.html</loc><lastmod>2026-11-03T09:30:05+08:00</lastmod></url>" +
			"<url><loc>https://other.example.com/a/3.html</loc></url><url><lastmod>2026-11-01</lastmod></url></urlset>",
			[]string{"/a/1.html", "/a/2.html"}, []string{"/a/1.html 2026-10-31T16:00:00Z 24h0m0s", "/a/2.html 2026-11-03T01:30:05Z 1s"}, false},
		{"index", `<sitemapindex><sitemap><loc>https://www.example.com/sitemap-1.xml.gz</loc><lastmod>2026-11-02 08:00</lastmod></sitemap></sitemapindex>`,
			[]string{"/sitemap-1.xml.gz"}, []string{"/sitemap-1.xml.gz 2026-11-02T00:00:00Z 1s"}, false},
		{"text", "https://www.example.com/a/1.html\n\nhttps://www.example.com/a/2.html\r\n", []string{"/a/1.html", "/a/2.html"}, nil, false},
		{"yet to come", "<urlset><url><loc>/a/1.html</loc><lastmod>2027-01-01</lastmod></url></urlset>", []string{"/a/1.html"}, nil, false},
		{"all just now", "<urlset>" + manyNow + "</urlset>", []string{"/a/0.html", "/a/1.html", "/a/2.html", "/a/3.html", "/a/4.html", "/a/5.html"}, nil, false},
		{"cut short", "<urlset><url><loc>/a/1.html</loc></url><url><loc>/a/2", []string{"/a/1.html"}, nil, false},
		{"no sitemap", "<html><body>找不到</body></html>", nil, nil, true},
		{"a feed", "<rss><channel><item><link>/a/1.html</link></item></channel></rss>", nil, nil, true},
		{"empty", "", nil, nil, true},
	} {
		x, err := src.Extract(mapPage(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var links, rows []string
		for _, l := range x.Links {
			links = append(links, strings.TrimPrefix(l.URL, "https://www.example.com"))
		}
		for _, r := range x.Rows {
			rows = append(rows, fmt.Sprintf("%s %s %v", strings.TrimPrefix(r.URL, "https://www.example.com"), r.Last.UTC().Format(time.RFC3339), r.Grain))
		}
		if fmt.Sprint(links) != fmt.Sprint(c.links) || fmt.Sprint(rows) != fmt.Sprint(c.rows) || len(x.Warnings) > 0 != c.warned {
			t.Errorf("%s: links %q, rows %q, warnings %q", c.name, links, rows, x.Warnings)
		}
	}
}

func TestSitemapTakesTheNewestOfTooMany(t *testing.T) {
	src, err := ReadSource("maps.yaml", []byte(sitemapYAML))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("<urlset>")
	for i := range maxSitemapLinks + 10 {
		fmt.Fprintf(&b, "<url><loc>/a/%d.html</loc><lastmod>%s</lastmod></url>", i, fetchedAt.Add(time.Duration(i-20_000)*time.Minute).Format(time.RFC3339))
	}
	x, err := src.Extract(mapPage(b.String() + "</urlset>"))
	if err != nil || len(x.Links) != maxSitemapLinks || !strings.HasSuffix(x.Links[0].URL, fmt.Sprintf("/a/%d.html", maxSitemapLinks+9)) || len(x.Warnings) != 1 {
		t.Errorf("%d links, %v, %q", len(x.Links), err, x.Warnings)
	}
}

func TestSitemapMistakes(t *testing.T) {
	for _, c := range []struct{ change, with, want string }{
		{"format: sitemap}", "format: sitemap, follow: [a]}", "a sitemap has no posts"},
		{"seeds:", "robots_sitemaps: true\nseeds:", ""},
		{"format: sitemap}", "format: html, follow: [a]}\nrobots_sitemaps: true", ""},
	} {
		_, err := ReadSource("maps.yaml", []byte(strings.Replace(sitemapYAML, c.change, c.with, 1)))
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.with, err)
		}
	}
	broken := strings.Replace(strings.Replace(sitemapYAML, "format: sitemap}", "follow: [a]}", 1), "seeds:", "robots_sitemaps: true\nseeds:", 1)
	if _, err := ReadSource("maps.yaml", []byte(broken)); err == nil || !strings.Contains(err.Error(), "robots_sitemaps without a rule") {
		t.Errorf("robots_sitemaps without a rule: %v", err)
	}
}

// A mapSite is a news site whose pages are only to be found by its sitemaps.
type mapSite struct {
	*testSite
	mu   sync.Mutex
	mods map[int]string // article → lastmod
}

func newMapSite(t *testing.T, articles int) *mapSite {
	m := &mapSite{testSite: newTestSite(t, 0), mods: map[int]string{}}
	for i := range articles {
		m.mods[i] = "2026-11-01T08:00:00+08:00"
		m.on(fmt.Sprintf("/a/%d.html", i), func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "<html><h1>通告 %d</h1><p>正文 %d</p></html>", i, i)
		})
	}
	m.on("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "User-agent: *\nDisallow: /private/\nSitemap: %s/maps/index.xml\nSitemap: https://other.example.com/sitemap.xml\n", m.URL)
	})
	m.on("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html><body>首页由脚本写出</body></html>")
	})
	m.on("/maps/index.xml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprintf(w, "<sitemapindex><sitemap><loc>%s/maps/news.xml.gz</loc></sitemap></sitemapindex>", m.URL)
	})
	m.on("/maps/news.xml.gz", func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fmt.Fprint(z, "<urlset>")
		m.mu.Lock()
		for i := range len(m.mods) {
			fmt.Fprintf(z, "<url><loc>%s/a/%d.html</loc><lastmod>%s</lastmod></url>", m.URL, i, m.mods[i])
		}
		m.mu.Unlock()
		fmt.Fprint(z, "<url><loc>/private/1.html</loc></url></urlset>")
		z.Close()
		w.Header().Set("Content-Type", "application/x-gzip")
		w.Write(b.Bytes())
	})
	return m
}

func (m *mapSite) source(t *testing.T) *Source {
	t.Helper()
	yaml := fmt.Sprintf(`name: mapped
title: 只有地图的网站
type: news
hosts: [%q]
seeds: ["%s/"]
delay: 0s
allow_private: true
robots_sitemaps: true
pages:
  - {name: map, match: '^/maps/', format: sitemap}
  - {name: article, match: '^/(?:a|private)/', posts: [{kind: article, title: h1, text: p}]}
  - {name: home, match: '^/$', follow: [a]}
`, strings.TrimPrefix(m.URL, "http://"), m.URL)
	src, err := ReadSource("mapped.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// A second pass asks only for what the sitemaps say was changed since the
// first.
func TestCrawlBySitemaps(t *testing.T) {
	site, r := newMapSite(t, 5), newPatientRig(t)
	src := site.source(t)
	s := r.crawl(src)
	if len(r.basket.ids()) != 5 || s.Pages != 8 || site.requested("/private/1.html") != 0 {
		t.Fatalf("first pass: %d posts of %d pages (errors %+v), private asked %d times", len(r.basket.ids()), s.Pages, s.Errors, site.requested("/private/1.html"))
	}
	site.mu.Lock()
	site.mods[3] = time.Now().UTC().Format(time.RFC3339)
	site.mu.Unlock()
	if s = r.crawl(src); s.PerSource["mapped"].Skipped != 4 {
		t.Errorf("second pass skipped %d pages, want 4: %+v", s.PerSource["mapped"].Skipped, s)
	}
	for i := range 5 {
		want := 1
		if i == 3 {
			want = 2
		}
		if got := site.requested(fmt.Sprintf("/a/%d.html", i)); got != want {
			t.Errorf("/a/%d.html asked %d times, want %d", i, got, want)
		}
	}
	r.opts.Unconditional = true
	r.crawl(src)
	if got := site.requested("/a/0.html"); got != 2 {
		t.Errorf("an unconditional pass asked %d times in all, want 2", got)
	}
}

func FuzzSitemap(f *testing.F) {
	f.Add([]byte(`<urlset><url><loc>/a/1.html</loc><lastmod>2026-11-01</lastmod></url></urlset>`))
	f.Add([]byte(`<sitemapindex><sitemap><loc>https://www.example.com/sitemap-1.xml.gz</loc></sitemap>`))
	f.Add([]byte("https://www.example.com/a/1.html\n"))
	f.Add([]byte("<urlset><!DOCTYPE x [<!ENTITY a \"aaaa\">]><url><loc>&a;</loc></url>" + strings.Repeat("<a>", 400)))
	src, err := ReadSource("maps.yaml", []byte(sitemapYAML))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := src.Extract(mapPage(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range x.Links {
			if _, ok := src.Rule(l.URL); !ok {
				t.Fatalf("link %s fits no rule", l.URL)
			}
		}
		for _, r := range x.Rows {
			if r.Last.After(fetchedAt.Add(modNow)) {
				t.Fatalf("changed at %s", r.Last)
			}
		}
	})
}
