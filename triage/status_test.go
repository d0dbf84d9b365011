package triage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// statusOf is the status of a crawl in all its moods, at the time of the tests.
func statusOf() Status {
	in := func(d time.Duration) time.Time { return clock.Add(d) }
	return Status{
		At: clock, Live: true, Since: in(-5 * time.Hour), LastRequest: in(-2 * time.Second), Rate: 3.4, Memory: 187 << 20,
		Total: SiteStatus{Queued: 12880, NotDue: 4021, Leased: 3, Dead: 61, Fetched: 24310, Retried: 210, GivenUp: 37, Refused: 12, Posts: 51233, Hits: 1804, Yield: 7.4},
		Sites: []SiteStatus{
			{Site: "朝阳论坛", Title: "朝阳论坛", Queued: 8123, NotDue: 3100, Leased: 1, Fetched: 9120, GivenUp: 3, Posts: 22011, Hits: 913, Yield: 10, Rate: 1.4, LastFetch: in(-time.Second), LastHit: in(-40 * time.Second), Waiting: "working"},
			{Site: "tongcheng", Title: "同城分类信息（二手·招聘·服务）", Queued: 4101, NotDue: 20, Fetched: 7001, GivenUp: 31, Retried: 180, Errors: map[string]int{"timeout": 131, "http_5xx": 40, "robots": 9},
				Posts: 11000, Hits: 640, Yield: 9.1, Rate: .9, LastHit: in(-26 * time.Hour), Waiting: "backoff", Until: in(250 * time.Second), Reason: "status 503 Service Unavailable"},
			{Site: "star", Title: "星河社区", Queued: 12, Leased: 2, Fetched: 3012, Posts: 9001, Hits: 201, Yield: 6.7, Waiting: "delay", Until: in(2 * time.Second)},
			{Site: "anliu", Title: "暗流小站", Queued: 644, Fetched: 811, GivenUp: 2, Waiting: "wall", Until: in(100 * time.Minute), Reason: "captcha wall: title is 安全验证"},
			{Site: "donghu", Title: "东湖日报", NotDue: 901, Fetched: 4366, Posts: 9221, Hits: 50, Yield: 1.1, LastHit: in(-72 * time.Hour), Waiting: "not_due", Until: in(11 * time.Minute)},
		},
		Hosts: []HostStatus{
			{Host: "bbs.chaoyang.example", Site: "朝阳论坛", Waiting: "working", Queued: 8123},
			{Host: "tongcheng.example", Site: "tongcheng", Waiting: "backoff", Until: in(250 * time.Second), Reason: "status 503 Service Unavailable", Queued: 4101},
			{Host: "a-host-with-quite-a-long-name-indeed.cdn.xinghe.example:8443", Site: "star", Waiting: "retry_after", Until: in(26 * time.Hour), Reason: "status 429 (Retry-After)", Queued: 12},
		}, MoreHosts: true,
		Alarms: []Alarm{{Kind: "wall", Site: "anliu", Host: "anliu.example", URL: "https://anliu.example/list-1.html", Reason: "captcha wall: title is 安全验证", Since: in(-7 * time.Hour), Until: in(100 * time.Minute)}},
		Dead: []DeadClass{
			{Class: "not_found", Count: 40, Examples: []DeadPage{{URL: "https://bbs.chaoyang.example/thread-10021-1-1.html", Site: "朝阳论坛", Reason: "gone: 指定的主题不存在", At: in(-time.Hour)}}},
			{Class: "robots", Count: 9, Examples: []DeadPage{{URL: "https://tongcheng.example/member/" + strings.Repeat("very-long-name", 20), Site: "tongcheng", Reason: `robots.txt: forbidden by "Disallow: /member/", line 4`, At: in(-2 * time.Hour)}}},
		}, DeadSeen: 49,
		Dictionary: "3f1c09aa71d2", Model: "9be0241f77c3", Refused: []string{"dictionaries/cashout.yaml:14: weight is no number"},
		Storage:  []Storage{{"archive", 41 << 30, 812}, {"index", 3 << 30, 3}, {"frontier", 214 << 20, 3}},
		DiskFree: 120 << 30, DiskTotal: 500 << 30, Digest: LastDigest{Day: "2026-11-21", Built: in(-8 * time.Hour)},
	}
}

func withStatus(st Status, problem error) func(*Options) {
	return func(o *Options) {
		o.Status = func(context.Context) (Status, error) { return st, problem }
		o.Why = func(_ context.Context, lang, u string) ([]WhyAnswer, error) {
			if u == "https://nothing.example/" {
				return nil, ErrNothingCrawled
			}
			return []WhyAnswer{{URL: u, Sentence: text(lang, "waiting.queued"), Lines: []WhyLine{{"reason", u}, {"site", "x"}}, Full: map[string]string{"url": u, "code": "queued"}}}, nil
		}
	}
}

func TestStatusTellsWhatIsKnown(t *testing.T) {
	server := newServer(t, openStore(t), withStatus(statusOf(), nil))
	page := ask(server, "GET", "/status", nil).Body.String()
	for _, want := range []string{"8,123", "退避", "4分10秒后", "status 503 Service Unavailable", "超时 131", "captcha wall: title is 安全验证", "thread-10021-1-1.html", "3f1c09aa71d2", "41.0 GiB", "120.0 GiB", "2026-11-21", "cashout.yaml:14", "还有更多主机"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	stored := statusOf()
	stored.Live, stored.LastRequest = false, time.Time{}
	page = ask(newServer(t, openStore(t), withStatus(stored, errors.New("database is locked"))), "GET", "/status", nil).Body.String()
	for _, want := range []string{"本进程没有在采集", "还没有采集记录", "部分状态暂时读不到"} {
		if !strings.Contains(page, want) {
			t.Errorf("without a crawl here the page does not say %q", want)
		}
	}
	if rec := ask(newServer(t, openStore(t), nil), "GET", "/status", nil); rec.Code != http.StatusNotFound || strings.Contains(rec.Body.String(), `href="/status"`) {
		t.Errorf("without a status the page answers %d", rec.Code)
	}
}

func TestStatusAPI(t *testing.T) {
	server := newServer(t, openStore(t), withStatus(statusOf(), nil))
	var st Status
	if err := json.Unmarshal(ask(server, "GET", "/api/status", nil).Body.Bytes(), &st); err != nil || st.Total.Queued != 12880 || len(st.Sites) != 5 || st.Sites[1].Errors["timeout"] != 131 {
		t.Errorf("/api/status: %v, %+v", err, st)
	}
	for target, want := range map[string]struct {
		status int
		part   string
	}{
		"/api/why":                                        {400, "没有给出网址"},
		"/api/why?url=https://a.example/%3Fb":             {200, `{"answers":[{"code":"queued","url":"https://a.example/?b"}]}`},
		"/api/why?url=https://nothing.example/":           {404, "还没有采集记录"},
		"/api/why?url=" + strings.Repeat("x", maxAsked+1): {400, "这个网址太长"},
		"/api/why?url=%ff%fe":                             {400, "这个网址太长"},
	} {
		rec := ask(server, "GET", target, nil)
		if rec.Code != want.status || !strings.Contains(rec.Body.String(), want.part) {
			t.Errorf("%.60s: %d %s, want %d with %q", target, rec.Code, rec.Body, want.status, want.part)
		}
	}
	broken := newServer(t, openStore(t), withStatus(Status{}, errors.New("disk on fire at /srv/secret")))
	if rec := ask(broken, "GET", "/api/status", nil); rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("a failing status: %d %s", rec.Code, rec.Body)
	}
}

func TestStatusIDsHaveLabels(t *testing.T) {
	for _, w := range Waitings {
		if _, ok := statusWords["waiting."+w]; !ok {
			t.Errorf("waiting %s has no name", w)
		}
	}
	if got := Label("en", "waiting", "brandnew"); got != "brandnew" {
		t.Errorf("an unknown id is called %q", got)
	}
}

func TestSizesAndSpansForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 3 << 30: "3.0 GiB", 1<<63 - 1: "8.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", 250 * time.Second: "4 min 10 s", -time.Hour: "1 h", 26*time.Hour + 10*time.Second: "1 d 2 h", 25 * time.Hour * 30: "31 d 6 h"} {
		if got := Ago("en", d); got != want {
			t.Errorf("Ago(%v) = %q, want %q", d, got, want)
		}
	}
}

// hostileStatus carries a payload in every text.
func hostileStatus(x string) Status {
	st := statusOf()
	st.Problem, st.Refused, st.Dictionary, st.Model, st.Digest.Day = x, []string{x}, x, x, x
	for i := range st.Sites {
		st.Sites[i].Site, st.Sites[i].Title, st.Sites[i].Reason, st.Sites[i].Waiting = x, x, x, x
		st.Sites[i].Errors = map[string]int{x: 1}
	}
	for i := range st.Hosts {
		st.Hosts[i].Host, st.Hosts[i].Site, st.Hosts[i].Reason, st.Hosts[i].Waiting = x, x, x, x
	}
	st.Alarms = []Alarm{{Kind: x, Site: x, Host: x, URL: x, Reason: x}}
	st.Dead = []DeadClass{{Class: x, Count: 1, Examples: []DeadPage{{URL: x, Site: x, Reason: x}}}}
	st.Storage = []Storage{{x, 1, 1}}
	return st
}

func TestStatusInTheBrowser(t *testing.T) {
	ctx := browser(t)
	var complaints []string
	err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*log.EventEntryAdded); ok {
			complaints = append(complaints, e.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	long := hostileStatus(strings.Repeat("非常长没有空格的标题", 30) + strings.Repeat("W", 300))
	stored := statusOf()
	stored.Live, stored.Refused, stored.Alarms, stored.Dead = false, nil, nil, nil
	shots := os.Getenv("QINGYUAN_SHOTS")
	for name, st := range map[string]Status{"status": statusOf(), "statuslong": long, "statusstored": stored} {
		ts := httptest.NewServer(newServer(t, openStore(t), withStatus(st, nil)))
		t.Cleanup(ts.Close)
		path := "/status?url=" + url.QueryEscape("https://bbs.example/thread-1-1-1.html?"+strings.Repeat("x", 300))
		for _, width := range []int64{1280, 390} {
			for _, look := range []struct{ lang, theme string }{{"zh", "light"}, {"en", "dark"}, {"zh", "dark"}, {"en", "light"}} {
				viewport := chromedp.EmulateViewport(width, 1000)
				if width < 500 {
					viewport = chromedp.EmulateViewport(width, 900, chromedp.EmulateMobile)
				}
				cookies(t, ctx, ts.URL, look.lang, look.theme)
				run(t, ctx, viewport, chromedp.Navigate(ts.URL+path))
				eval[int](t, ctx, `document.querySelectorAll("details").forEach(d => d.open = true); 0`)
				scroll, inner := eval[int](t, ctx, "document.documentElement.scrollWidth"), eval[int](t, ctx, "window.innerWidth")
				if scroll > inner || int64(inner) > width {
					t.Errorf("%s at %d px in %s: %d px wide, %d fit", name, width, look.lang, scroll, inner)
				}
				if bad := eval[string](t, ctx, faint); bad != "" {
					t.Errorf("%s in %s colours: hard to read: %s", name, look.theme, bad)
				}
				if shots != "" {
					png := value(t, ctx, chromedp.FullScreenshot(100))
					if err := os.WriteFile(filepath.Join(shots, fmt.Sprintf("%s-%d-%s-%s.png", name, width, look.lang, look.theme)), png, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if len(complaints) > 0 {
		t.Errorf("the browser complains: %s", strings.Join(complaints, "\n"))
	}
}

func TestStatusRefreshesByItself(t *testing.T) {
	ctx := browser(t)
	asked := make(chan struct{}, 100)
	server := newServer(t, openStore(t), func(o *Options) {
		withStatus(statusOf(), nil)(o)
		o.Status = func(context.Context) (Status, error) {
			asked <- struct{}{}
			return statusOf(), nil
		}
	})
	ts := httptest.NewServer(server)
	t.Cleanup(ts.Close)
	// Time is run by hand: "fire" is what the script wants done every ten seconds.
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `setInterval = f => { window.fire = f }`}); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, chromedp.Navigate(ts.URL+"/status"))
	<-asked
	if !eval[bool](t, ctx, `document.getElementById("auto").checked && !document.querySelector("label.check").hidden`) {
		t.Error("the page does not refresh by itself, or does not say so")
	}
	eval[int](t, ctx, `(d => { d.open = true; d.dispatchEvent(new Event("toggle")) })(document.getElementById("dead-not_found")); window.old = true; 0`)
	load(t, ctx, step(func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[int](`fire(); 0`)(ctx, tab)
		return chromedp.Void{}, err
	}))
	<-asked
	if eval[bool](t, ctx, `!!window.old`) || !eval[bool](t, ctx, `document.getElementById("dead-not_found").open`) {
		t.Error("the page is not new after its time, or what was unfolded is folded again")
	}
	for what, before := range map[string]string{"somebody types": `document.getElementById("url").focus()`, "it is switched off": `document.getElementById("auto").checked = false`} {
		run(t, ctx, chromedp.Navigate(ts.URL+"/status"))
		<-asked
		eval[int](t, ctx, before+`; window.old = true; fire(); 0`)
		if !eval[bool](t, ctx, `!!window.old`) || len(asked) > 0 {
			t.Errorf("the page refreshes while %s", what)
		}
	}
	load(t, ctx, chromedp.Click("#refresh"))
	<-asked
}

func TestHostileStatusRunsNothing(t *testing.T) {
	ctx := browser(t)
	dialogs := watch(t, ctx)
	for _, x := range payloads {
		ts := httptest.NewServer(newServer(t, openStore(t), withStatus(hostileStatus(x), nil)))
		run(t, ctx, chromedp.Navigate(ts.URL+"/status?"+queryString("url", x)))
		eval[int](t, ctx, `document.querySelectorAll("*").forEach(e => { for (const k of ["mouseover","mouseenter","focus","toggle","load","error"]) e.dispatchEvent(new Event(k)) }); 0`)
		ran := eval[int](t, ctx, "window.pwned || 0")
		foreign := eval[int](t, ctx, `Array.from(document.querySelectorAll("*")).filter(e => e.getAttributeNames().some(n => n.startsWith("on"))).length + document.querySelectorAll("script:not([src]), iframe, object, embed, base, img, style").length`)
		links := eval[string](t, ctx, `Array.from(document.querySelectorAll("[href],[action],[formaction]")).map(e => e.href || e.action).filter(u => new URL(u).origin !== location.origin).join()`)
		if ran != 0 || foreign != 0 || links != "" {
			t.Errorf("%q: %d scripts ran, %d foreign elements, links away: %s", x, ran, foreign, links)
		}
		ts.Close()
	}
	if n := dialogs.Load(); n != 0 {
		t.Errorf("%d dialogs were opened", n)
	}
}

func TestStatusIsGuardedLikeTheRest(t *testing.T) {
	server := newServer(t, openStore(t), func(o *Options) {
		withStatus(statusOf(), nil)(o)
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1\n") })
	})
	for _, path := range []string{"/status", "/api/status", "/api/why?url=x", "/metrics", "/assets/status.js"} {
		rec := ask(server, "GET", path, nil)
		if rec.Code != http.StatusOK || rec.Header().Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %d with policy %q", path, rec.Code, rec.Header().Get("Content-Security-Policy"))
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "evil.example"
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%s for evil.example: %d", path, w.Code)
		}
	}
	if !slices.Contains(pages[:], "status") {
		t.Error("the page is not among the pages")
	}
}
