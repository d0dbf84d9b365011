package town_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler"
	"qingyuan/post"
	"qingyuan/town"
)

var now = time.Date(2026, 11, 22, 21, 30, 0, 0, time.FixedZone("CST", 8*60*60))

func start(t *testing.T, opts town.Options) *town.Town {
	t.Helper()
	opts.Now = now
	tn, err := town.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tn.Close(); err != nil {
			t.Error(err)
		}
	})
	return tn
}

// get fetches a page and returns it in UTF-8.
func get(t *testing.T, url string) (body string, status int) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading %s: %v", url, err)
	}
	if strings.Contains(resp.Header.Get("Content-Type"), "gbk") {
		if raw, err = simplifiedchinese.GBK.NewDecoder().Bytes(raw); err != nil {
			t.Fatalf("decoding %s: %v", url, err)
		}
	}
	return string(raw), resp.StatusCode
}

// crawl reads a site as its config says and returns posts and pages by URL.
func crawl(t *testing.T, site town.Site) (posts []post.Post, pages map[string]string) {
	t.Helper()
	src, err := crawler.ReadSource(site.Name+".yaml", site.Config)
	if err != nil {
		t.Fatal(err)
	}
	pages = map[string]string{}
	queue := append([]string(nil), src.Seeds...)
	seen := map[string]bool{}
	for len(queue) > 0 {
		url := queue[0]
		queue = queue[1:]
		if seen[url] {
			continue
		}
		seen[url] = true
		body, status := get(t, url)
		if status == http.StatusInternalServerError {
			continue
		}
		pages[url] = body
		x, err := src.Extract(crawler.Page{URL: url, Status: status, Body: []byte(body), FetchedAt: now})
		if err != nil {
			t.Fatalf("extracting %s: %v", url, err)
		}
		if x.Blocked != "" {
			t.Errorf("%s is taken for a block page: %s", url, x.Blocked)
		}
		if x.Gone != "" && status != http.StatusNotFound {
			t.Errorf("%s is taken for gone: %s", url, x.Gone)
		}
		for _, w := range x.Warnings {
			t.Errorf("%s: %s", url, w)
		}
		posts = append(posts, x.Posts...)
		for _, l := range x.Links {
			queue = append(queue, l.URL)
		}
	}
	return posts, pages
}

var spaces = regexp.MustCompile(`[ \t]+`)

func TestConfigsExtractEveryPostOnce(t *testing.T) {
	tn := start(t, town.Options{NoFaults: true})
	entries := entries(t)
	requests := 0
	for _, site := range tn.Sites() {
		t.Run(site.Name, func(t *testing.T) {
			posts, pages := crawl(t, site)
			requests += len(pages)
			byID := map[string]post.Post{}
			for _, p := range posts {
				if _, twice := byID[p.ID]; twice {
					t.Errorf("post %s is extracted twice", p.URL)
				}
				if err := p.Validate(); err != nil {
					t.Errorf("%s: %v", p.URL, err)
				}
				byID[p.ID] = p
			}
			for _, e := range entries {
				if e.Site != site.Name {
					continue
				}
				id := post.NewID(site.Name, e.Key)
				p, ok := byID[id]
				if !ok {
					t.Errorf("post %s (%.20s) is not extracted", e.Key, e.Text)
					continue
				}
				delete(byID, id)
				same(t, e, p)
			}
			for _, p := range byID {
				t.Errorf("%s is extracted but is no post of the town: %.40q", p.URL, p.Text)
			}
		})
	}
	t.Logf("%d pages", requests)
	if requests > 300 {
		t.Errorf("the town has %d pages; keep it under 300 for a quick demo", requests)
	}
}

// same compares what was extracted with what was published.
func same(t *testing.T, e town.Entry, p post.Post) {
	t.Helper()
	type fields struct {
		Kind, Title, Text, Author, Region string
		Published                         time.Time
	}
	want := fields{e.Kind, e.Title, spaces.ReplaceAllString(e.Text, " "), e.Author, e.Region, now.Add(-e.Age).Truncate(time.Minute).UTC()}
	got := fields{string(p.Kind), p.Title, spaces.ReplaceAllString(p.Text, " "), p.Author.Name, p.Region, p.PublishedAt.Truncate(time.Minute).UTC()}
	if e.Kind == "ad" {
		want.Author, got.Author = "", ""
		want.Published, got.Published = time.Time{}, time.Time{}
	}
	switch e.Site {
	case "jiangwan-news": // comments show 3 小时前 without the exact time
		if e.Kind == "comment" {
			if d := want.Published.Sub(got.Published).Abs(); d > 24*time.Hour {
				t.Errorf("post %s: published %s, extracted %s", e.Key, want.Published, got.Published)
			}
			got.Published = want.Published
		}
	case "shangan-bbs": // the same zone, seconds are shown
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("post %s (-published +extracted):\n%s", e.Key, diff)
	}
}

func entries(t *testing.T) []town.Entry {
	t.Helper()
	all, err := town.Entries()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTruthIsOnThePages(t *testing.T) {
	tn := start(t, town.Options{NoFaults: true})
	truth := town.Truth()
	marks := regexp.MustCompile(`(?:data-t="|"t":")([A-Za-z0-9+/=&#;\\]+)"`)
	want := map[string]int{}
	for _, l := range truth {
		raw, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		want[string(raw)]++
	}
	got := map[string]int{}
	for _, site := range tn.Sites() {
		_, pages := crawl(t, site)
		for url, body := range pages {
			if strings.Contains(body, "\uFFFD") {
				t.Errorf("%s has bytes that do not decode", url)
			}
			for _, m := range marks.FindAllStringSubmatch(body, -1) {
				text := strings.NewReplacer("&#43;", "+", "&#61;", "=", `\u003d`, "=").Replace(m[1])
				raw, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					t.Fatalf("%s: %v", url, err)
				}
				got[string(raw)]++
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels on the pages (-truth +pages):\n%s", diff)
	}
}

func TestBBSIsServedInGBK(t *testing.T) {
	tn := start(t, town.Options{NoFaults: true})
	resp, err := http.Get(tn.Sites()[0].BaseURL + "/forum-2-1.html")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	title, err := simplifiedchinese.GBK.NewEncoder().String("上岸之家论坛")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), title) {
		t.Error("the list page does not hold the forum's name in GBK bytes")
	}
	if ct := resp.Header.Get("Content-Type"); ct != "text/html; charset=gbk" {
		t.Errorf("content type %q", ct)
	}
}

func TestPostsAreManyAndVaried(t *testing.T) {
	all := entries(t)
	perCategory, perStance, perEvasion := map[string]int{}, map[string]int{}, map[string]int{}
	texts := map[string]string{}
	flagged, disguised := 0, 0
	for _, e := range all {
		key := e.Site + "/" + e.Key
		if first, dup := texts[e.Text]; dup {
			t.Errorf("posts %s and %s have the same text", first, key)
		}
		texts[e.Text] = key
		perStance[e.Label.Stance]++
		if !e.Label.Flagged {
			continue
		}
		flagged++
		perCategory[e.Label.Category]++
		if len(e.Label.Evasion) > 0 {
			disguised++
		}
		for _, name := range e.Label.Evasion {
			perEvasion[name]++
		}
	}
	t.Logf("%d posts, %d flagged, %d disguised; %v; %v; %v", len(all), flagged, disguised, perStance, perCategory, perEvasion)
	if len(all) < 460 || flagged < 140 || disguised < flagged/2 {
		t.Errorf("%d posts, %d flagged, %d disguised; want at least 460, 140 and half", len(all), flagged, disguised)
	}
	if len(perCategory) != 14 {
		t.Errorf("%d categories have offers, want 14", len(perCategory))
	}
	for c, n := range perCategory {
		if n < 8 {
			t.Errorf("category %s has %d offers, want at least 8", c, n)
		}
	}
}

func TestOnlyOffersHaveLabelledContacts(t *testing.T) {
	for _, e := range entries(t) {
		if !e.Label.Flagged && len(e.Label.Contacts)+len(e.Label.Evasion) > 0 {
			t.Errorf("post %s/%s is no offer but names an offender's contact or disguise", e.Site, e.Key)
		}
	}
}

func TestFaultsHappenOnceAndThePageComes(t *testing.T) {
	tn := start(t, town.Options{})
	base := map[string]string{}
	for _, s := range tn.Sites() {
		base[s.Name] = s.BaseURL
	}
	for _, c := range []struct {
		site, path string
		first      int
		then       int
	}{
		{"shangan-bbs", "/thread-20122-2-1.html", 503, 200},
		{"shangan-bbs", "/thread-19999-1-1.html", 404, 404},
		{"yuehai-forum", "/t/8804", 429, 200},
		{"bianmin", "/info/48299999x.shtml", 500, 500},
	} {
		if _, status := get(t, base[c.site]+c.path); status != c.first {
			t.Errorf("%s%s first answers %d, want %d", c.site, c.path, status, c.first)
		}
		if _, status := get(t, base[c.site]+c.path); status != c.then {
			t.Errorf("%s%s then answers %d, want %d", c.site, c.path, status, c.then)
		}
	}
	resp, err := http.Get(base["tieyou"] + "/p/7712300011")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the page that is to be broken off came whole")
	}
	if body, _ := get(t, base["tieyou"]+"/p/7712300011"); !strings.Contains(body, "互助楼") {
		t.Error("the page that was broken off does not come at the second request")
	}
	if _, status := get(t, base["suisui"]+"/api/timeline?cursor=5012340000118886"); status != 200 {
		t.Errorf("the slow page answers %d", status)
	}
}

func TestCopiesHaveTheirOwnNamesAndPorts(t *testing.T) {
	tn := start(t, town.Options{Copies: 2, NoFaults: true})
	names, urls := map[string]bool{}, map[string]bool{}
	for _, s := range tn.Sites() {
		names[s.Name], urls[s.BaseURL] = true, true
		src, err := crawler.ReadSource(s.Name, s.Config)
		if err != nil {
			t.Fatal(err)
		}
		if src.Name != s.Name {
			t.Errorf("config of %s names itself %s", s.Name, src.Name)
		}
	}
	if len(names) != 18 || len(urls) != 18 {
		t.Errorf("%d names and %d addresses, want 18 each", len(names), len(urls))
	}
}

func TestEndOfContextStopsTheTown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tn, err := town.Start(ctx, town.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := tn.Close(); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(tn.Sites()[0].BaseURL + "/"); err == nil {
		resp.Body.Close()
		t.Error("a closed town still answers")
	}
}

func TestUnknownPagesAreMissing(t *testing.T) {
	tn := start(t, town.Options{})
	for _, s := range tn.Sites() {
		for _, path := range []string{"/no-such-page", "/%ff", "/thread-1-1-1.html", "/f?kw=%ff&pn=99999999999999999999", "/api/timeline?cursor=7", "/all/pn999/"} {
			if _, status := get(t, s.BaseURL+path); status != http.StatusNotFound {
				t.Errorf("%s%s answers %d, want 404", s.Name, path, status)
			}
		}
		if body, status := get(t, s.BaseURL+"/robots.txt"); status != 200 || !strings.Contains(body, "User-agent: *") {
			t.Errorf("%s/robots.txt answers %d %q", s.Name, status, body)
		}
	}
}
