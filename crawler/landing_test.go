package crawler

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"qingyuan/crawler/transport"
	"qingyuan/post"
)

// newPatientRig waits as long for answers as a crawl does: a busy machine must
// not make a page be given up that is asked for once.
func newPatientRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.opts.Transport = patientTransport(t)
	return r
}

func patientTransport(t *testing.T) *transport.Transport {
	t.Helper()
	rt, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

// An advertiser serves the pages behind ads and counts who asks.
type advertiser struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	agent []http.Header
}

func newAdvertiser(t *testing.T) *advertiser {
	a := &advertiser{asked: map[string]int{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked[r.URL.Path]++
		a.agent = append(a.agent, r.Header.Clone())
		a.mu.Unlock()
		switch r.URL.Path {
		case "/robots.txt":
			fmt.Fprint(w, "User-agent: *\nDisallow: /secret\n")
		case "/click":
			http.Redirect(w, r, "/loan?from=click", http.StatusFound)
		case "/busy":
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/empty":
		case "/captcha":
			fmt.Fprint(w, "<title>安全验证</title><p>请拖动滑块</p>")
		case "/metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		default:
			fmt.Fprint(w, `<html><title>当天下款</title><body><p>不看征信，内部渠道</p><img src="/kf.png" alt="客服微信 daikuan000example"><a href="/deeper">更多</a><footer>电话 170-0000-0001</footer></body></html>`)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *advertiser) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[path]
}

// adForum is a forum of one page whose slots lead to targets.
func adForum(t *testing.T, ads string, targets ...string) (*testSite, *Source) {
	t.Helper()
	site := newTestSite(t, 0)
	site.on("/t/1", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<html><body><div class="post" id="p1"><div class="body">正文</div></div>`)
		for i, target := range targets {
			fmt.Fprintf(w, `<div class="slot"><a href="%s">广告 %d</a></div>`, target, i)
		}
	})
	yaml := fmt.Sprintf(`name: adforum
title: 有广告位的论坛
type: forum
hosts: [%q]
seeds: ["%s/t/1"]
delay: 0s
allow_private: true
headers: {X-Site: secret}
pages:
  - name: thread
    match: '^/t/(?P<tid>\d+)$'
    thread: '/t/{tid}'
    ads: %s
    posts: [{each: .post, kind: post, key: {attr: id}, text: .body}]
`, strings.TrimPrefix(site.URL, "http://"), site.URL, ads)
	src, err := ReadSource("adforum.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return site, src
}

func (r *rig) landed() (out []post.Post) {
	for _, id := range r.basket.ids() {
		if p := r.basket.posts[id]; p.Kind == post.KindAd && p.Title != "" {
			out = append(out, p)
		}
	}
	return out
}

func TestLandingPageIsOneHop(t *testing.T) {
	a, r := newAdvertiser(t), newPatientRig(t)
	host := strings.TrimPrefix(a.URL, "http://")
	site, src := adForum(t, fmt.Sprintf("{slots: .slot, landing: 10, hosts: [%q]}", host), a.URL+"/click")
	s := r.crawl(src)
	landed := r.landed()
	if len(landed) != 1 || s.Pages != 2 {
		t.Fatalf("%d landing pages of %d pages: %+v", len(landed), s.Pages, s.Errors)
	}
	p := landed[0]
	if p.URL != a.URL+"/loan?from=click" || p.ThreadURL != site.URL+"/t/1" || p.Title != "当天下款" || p.Source != "adforum" || p.SourceType != "forum" {
		t.Errorf("%+v", p)
	}
	for _, part := range []string{"不看征信，内部渠道", "电话 170-0000-0001", "客服微信 daikuan000example"} {
		if !strings.Contains(p.Text, part) {
			t.Errorf("%q is missing from %q", part, p.Text)
		}
	}
	if a.count("/deeper") != 0 {
		t.Error("a link of the landing page was followed")
	}
	for _, h := range a.agent {
		if h.Get("X-Site") != "" {
			t.Error("the site's headers were sent to the advertiser")
		}
	}
	r.crawl(src)
	if a.count("/click") != 1 {
		t.Errorf("the landing page was asked for %d times in two passes", a.count("/click"))
	}
}

func TestLandingKeepsTheBudget(t *testing.T) {
	a, r := newAdvertiser(t), newPatientRig(t)
	var targets []string
	for i := range 5 {
		targets = append(targets, fmt.Sprintf("%s/l%d", a.URL, i))
	}
	_, src := adForum(t, fmt.Sprintf("{slots: .slot, landing: 2, hosts: [%q]}", strings.TrimPrefix(a.URL, "http://")), targets...)
	for range 3 {
		r.crawl(src)
	}
	if n := len(r.landed()); n != 2 {
		t.Errorf("%d landing pages in a day, want 2", n)
	}
}

// What an ad leads to is fetched like everything else: never a private address,
// only what robots.txt allows, and whatever goes wrong there does not touch
// the site's own pass.
func TestLandingIsGuarded(t *testing.T) {
	a := newAdvertiser(t)
	host := strings.TrimPrefix(a.URL, "http://")
	for _, c := range []struct {
		name, ads, target, path string
		asked                   int
	}{
		{"private by default", "{slots: .slot, landing: 9}", a.URL + "/private", "/private", 0},
		{"robots", fmt.Sprintf("{slots: .slot, landing: 9, hosts: [%q]}", host), a.URL + "/secret/1", "/secret/1", 0},
		{"redirect to metadata", fmt.Sprintf("{slots: .slot, landing: 9, hosts: [%q]}", host), a.URL + "/metadata", "/metadata", 1},
		{"wall", fmt.Sprintf("{slots: .slot, landing: 9, hosts: [%q]}", host), a.URL + "/captcha", "/captcha", 1},
		{"nothing there", fmt.Sprintf("{slots: .slot, landing: 9, hosts: [%q]}", host), a.URL + "/empty", "/empty", 1},
		{"off by default", fmt.Sprintf("{slots: .slot, hosts: [%q]}", host), a.URL + "/off", "/off", 0},
		{"other host", fmt.Sprintf("{slots: .slot, landing: 9, hosts: [%q]}", host), "http://169.254.169.254/latest/", "", 0},
		{"no answer", "{slots: .slot, landing: 9, hosts: ['127.0.0.1:9']}", "http://127.0.0.1:9/", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPatientRig(t)
			_, src := adForum(t, c.ads, c.target)
			s := r.crawl(src)
			if n := len(r.landed()); n != 0 || a.count(c.path) != c.asked {
				t.Errorf("%d landing pages, %s asked for %d times", n, c.path, a.count(c.path))
			}
			if len(r.basket.ids()) != 2 || s.Pages != 1 { // the post and the ad itself
				t.Errorf("%d posts of %d pages: %+v", len(r.basket.ids()), s.Pages, s.Errors)
			}
		})
	}
}

func TestLandingObeysRetryAfter(t *testing.T) {
	a, r := newAdvertiser(t), newPatientRig(t)
	_, src := adForum(t, fmt.Sprintf("{slots: .slot, landing: 9, hosts: [%q]}", strings.TrimPrefix(a.URL, "http://")), a.URL+"/busy", a.URL+"/loan")
	r.crawl(src)
	rested := 0
	for _, e := range r.events {
		if e.Kind == EventBackOff && e.Host == strings.TrimPrefix(a.URL, "http://") {
			rested++
		}
	}
	if rested == 0 || a.count("/busy") != 1 || len(r.landed()) != 1 {
		t.Errorf("rested %d times, asked %d times, %d landing pages", rested, a.count("/busy"), len(r.landed()))
	}
}
