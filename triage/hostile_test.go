package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// payloads try to run "pwned=1" wherever a crawled text may land.
var payloads = []string{
	`<script>pwned=1</script>`, `</script><script>pwned=1</script>`, `</title><script>pwned=1</script>`, `</textarea><script>pwned=1</script>`,
	`<img src=x onerror=pwned=1>`, `"><img src=x onerror="pwned=1">`, `' onmouseover='pwned=1`, `" autofocus onfocus="pwned=1`, "` onload=`pwned=1",
	`<svg onload=pwned=1>`, `<svg><script>pwned=1</script></svg>`, `<svg><a xlink:href="javascript:pwned=1"><text y="20">x</text></a></svg>`,
	`<math><mtext></mtext><mglyph><style><img src=x onerror=pwned=1></style>`, `<details open ontoggle=pwned=1>`, `<iframe srcdoc="<script>parent.pwned=1</script>">`,
	`<base href="https://evil.example/">`, `<meta http-equiv=refresh content="0;url=javascript:pwned=1">`, `<form action="javascript:pwned=1"><button>x`,
	`javascript:pwned=1`, `JaVaScRiPt:pwned=1//https://a.example/`, `data:text/html,<script>pwned=1</script>`, `java` + "\t" + `script:pwned=1`,
	`{{.}}{{printf "%s" "x"}}<% pwned=1 %>${pwned=1}`, "\u202Ecod.exe\u202C <script>pwned=1</script>", "停\u200B息\uFEFF挂\u2066账\u2069", "\xff\xfe<script>pwned=1</script>",
	`--><script>pwned=1</script><!--`, `]]><script>pwned=1</script>`, `&lt;script&gt;pwned=1&lt;/script&gt;`, `<style>*{background:url(javascript:pwned=1)}</style>`,
	`\u003cscript\u003epwned=1\u003c/script\u003e`, `<a href="javascript:pwned=1" id=main>x</a>`,
}

// hostileRecord carries a payload in every field that a page could show.
func hostileRecord(i int) index.Record {
	x := payloads[i]
	id := post.NewID("hostile", fmt.Sprint(i))
	text := "停息挂账 " + x + "\n联系 " + x
	n := utf8.RuneCountInString(x + "\n" + text)
	return index.Record{
		Post: post.Post{ID: id, Source: strings.ToValidUTF8("s "+x, "?"), SourceType: "forum", Kind: post.KindPost, URL: x, ThreadURL: "javascript:pwned=1", Title: x, Text: text,
			Author: post.Author{ID: x, Name: x, URL: x}, Region: x, Links: []string{x, "javascript:pwned=1", "https://a.example/?" + x}, FetchedAt: clock, PublishedAt: clock,
			Archive: post.Archive{File: x, RecordID: x, SHA256: x}},
		Verdict: classify.Verdict{Flagged: true, Score: 0.9, Severity: classify.SeverityHigh, Stance: classify.StanceOffer,
			StanceScores: map[classify.Stance]float64{classify.StanceOffer: 0.9},
			Categories:   []classify.CategoryScore{{ID: x, Score: 0.9}, {ID: "debt_relief_scam", Score: 0.5}},
			Entities: []classify.Entity{{Type: "wechat", Value: x, Raw: x, Start: 0, End: n / 2}, {Type: x, Value: x, Raw: x, Start: -5, End: 1 << 30},
				{Type: "phone", Value: x, Raw: x, Start: n / 3, End: n}},
			Reasons: []classify.Reason{{Kind: classify.ReasonTerm, ID: x, Category: x, Text: x, Start: 2, End: n - 1, Weight: 2},
				{Kind: classify.ReasonRule, ID: "r", Category: "debt_relief_scam", Text: x, Start: 1, End: n / 2, Weight: 1},
				{Kind: classify.ReasonKind(x), ID: "contact." + x, Start: 9, End: 3, Weight: -1}},
			Evasion: []classify.Evasion{classify.Evasion(x), classify.EvasionZeroWidth}, Dictionary: x, Model: x},
		Campaign: index.Campaign{ID: x, Size: 3},
	}
}

func queryString(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// plantTriage writes a payload where analysts write: tag, comment, assignee.
func plantTriage(t *testing.T, client *http.Client, base, id, payload string) {
	t.Helper()
	tag := strings.ToValidUTF8(strings.NewReplacer("\t", " ", ",", " ").Replace(payload), "?")
	body, _ := json.Marshal(map[string]any{"version": 0, "comment": payload, "add_tags": []string{tag}, "assignee": strings.Map(func(r rune) rune {
		if acts(r) || r == '\t' {
			return -1
		}
		return r
	}, payload)})
	resp, err := client.Post(base+"/api/records/"+id+"/triage", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(resp.Body)
		t.Fatalf("planting %q: %d %s", payload, resp.StatusCode, answer)
	}
}

// watch counts the dialogs that pages open, and closes them.
func watch(t *testing.T, ctx context.Context) *atomic.Int32 {
	t.Helper()
	var n atomic.Int32
	err := chromedp.Listen(ctx, func(ev any) {
		if _, ok := ev.(*page.EventJavascriptDialogOpening); ok {
			n.Add(1)
			go chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}
	})
	if err != nil {
		t.Fatalf("listening to the browser: %v", err)
	}
	return &n
}

func crawlStatus(context.Context) (CrawlStatus, error) {
	return CrawlStatus{Running: true, Since: clock.Add(-5 * 3600e9), Queued: 1288, Fetched: 24310, Failed: 37, Sources: []SourceStatus{
		{Name: "朝阳论坛", Fetched: 9120, Failed: 3, LastFetch: clock.Add(-60e9)},
		{Name: "同城分类", Fetched: 7001, Failed: 31, LastFetch: clock.Add(-3600e9), Problem: "robots.txt 答 503，按规则暂停抓取"},
	}}, nil
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	server := newServer(t, seeded(t), nil)
	for _, path := range []string{"/", "/?q=(", "/post/x", "/overview", "/audit", "/help", "/assets/app.js", "/api/records", "/healthz", "/nothing", "/export.csv"} {
		rec := ask(server, "GET", path, nil)
		for name, want := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if got := rec.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if rec.Header().Get("Content-Type") == "" {
			t.Errorf("%s has no Content-Type", path)
		}
	}
}

func TestOnlyKnownHostsAreServed(t *testing.T) {
	server := newServer(t, openStore(t), func(o *Options) { o.Hosts = []string{"Triage.Example"} })
	for host, want := range map[string]int{"localhost": 200, "localhost:8080": 200, "127.0.0.1:8080": 200, "127.9.9.9": 200, "[::1]:80": 200, "triage.example:443": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "192.168.1.5": 421, "": 421} {
		r := httptest.NewRequest("GET", "/help", nil)
		r.Host = host
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q gets %d, want %d", host, w.Code, want)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, nil)
	id := seedRecords(t)[3].Post.ID
	for name, c := range map[string]struct {
		site, origin, cookie, token string
		want                        int
	}{
		"own page":                      {site: "same-origin", want: 303},
		"own page, older browser":       {origin: "http://localhost", want: 303},
		"another site":                  {site: "cross-site", origin: "https://evil.example", want: 403},
		"another name of this site":     {site: "same-site", want: 403},
		"another site, older browser":   {origin: "https://evil.example", want: 403},
		"no origin told, right token":   {origin: "null", cookie: strings.Repeat("A", tokenLength), token: strings.Repeat("A", tokenLength), want: 303},
		"no origin told, wrong token":   {origin: "null", cookie: strings.Repeat("A", tokenLength), token: strings.Repeat("B", tokenLength), want: 403},
		"no origin told, empty token":   {origin: "null", want: 403},
		"another site with right token": {site: "cross-site", origin: "null", cookie: strings.Repeat("A", tokenLength), token: strings.Repeat("A", tokenLength), want: 403},
	} {
		rec, err := store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		form := queryString("version", fmt.Sprint(rec.Triage.Version), "status", "reviewing", "token", c.token)
		r := httptest.NewRequest("POST", "/post/"+id+"/triage", strings.NewReader(form))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for key, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.origin} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		if c.cookie != "" {
			r.AddCookie(&http.Cookie{Name: tokenCookie, Value: c.cookie})
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, w.Code, c.want)
		}
	}
}

func TestNobodyIsLedElsewhere(t *testing.T) {
	server := newServer(t, openStore(t), nil)
	for _, target := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:pwned=1", "/\t/evil.example", "///evil.example",
		"http:evil.example", "", "/%0d%0aSet-Cookie:x=1\r\n", " //evil.example", "/./" + "/evil.example"} {
		for _, path := range []string{"/lang?to=en&", "/theme?to=dark&"} {
			w := ask(server, "GET", path+queryString("back", target), nil)
			u, err := url.Parse(w.Header().Get("Location"))
			if err != nil || w.Code != 303 || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(w.Header().Get("Location"), "//") {
				t.Errorf("%s leads from %q to %q", path, target, w.Header().Get("Location"))
			}
		}
	}
	if w := ask(server, "GET", "/lang?to=en&"+queryString("back", "/post/abc?x=1#n3"), nil); w.Header().Get("Location") != "/post/abc?x=1#n3" {
		t.Errorf("an own address becomes %q", w.Header().Get("Location"))
	}
}

func TestOversizeFormsAreRefused(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, nil)
	id := seedRecords(t)[3].Post.ID
	big := strings.Repeat("x", maxForm+1)
	for _, path := range []string{"/post/" + id + "/triage", "/bulk", "/undo"} {
		if w := ask(server, "POST", path, url.Values{"comment": {big}}); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s takes an oversize form with %d", path, w.Code)
		}
	}
	r := httptest.NewRequest("POST", "/api/records/"+id+"/triage", strings.NewReader(`{"version":0,"comment":"`+big+`"}`))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("the API takes an oversize body with %d", w.Code)
	}
}

func TestOnlyWebAddressesBecomeLinks(t *testing.T) {
	for address, want := range map[string]string{"https://a.example/x?y=1": "https://a.example/x?y=1", "http://a.example": "http://a.example", "javascript:alert(1)": "",
		"//a.example": "", "/x": "", "ftp://a.example": "", "https://user:pw@a.example": "", "https:///x": "", "": "", "ht\ntp://a.example": ""} {
		if got := webLink(address); got != want {
			t.Errorf("webLink(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestHugeRecordIsShown(t *testing.T) {
	store := openStore(t)
	rec := hostileRecord(0)
	rec.Post.Title = "大帖"
	rec.Post.Author.Name = strings.Repeat("长", 5000)
	rec.Post.Text = strings.Repeat("微信 abc 停息挂账\n", post.MaxText/24)
	rec.Verdict.Entities = nil
	for i := range 20000 {
		rec.Verdict.Entities = append(rec.Verdict.Entities, classify.Entity{Type: "wechat", Value: fmt.Sprint("abc", i) + strings.Repeat("x", 5000*(1-min(i, 1))), Start: i, End: i + 4})
		rec.Verdict.Reasons = append(rec.Verdict.Reasons, classify.Reason{Kind: classify.ReasonTerm, ID: "t", Start: i, End: i + 40, Weight: 0.01})
	}
	put(t, store, rec)
	rec.Post.Text, rec.Post.FetchedAt = "完全不同"+strings.Repeat("新", 200000), clock.Add(3600e9)
	put(t, store, rec)
	server := newServer(t, store, nil)
	for _, path := range []string{"/?q=", "/?q=%E5%81%9C%E6%81%AF", "/post/" + rec.Post.ID, "/overview"} {
		w := ask(server, "GET", path, nil)
		if w.Code != 200 || w.Body.Len() > 8<<20 {
			t.Errorf("%s: %d, %d bytes", path, w.Code, w.Body.Len())
		}
	}
}

func FuzzSegments(f *testing.F) {
	f.Add("停息挂账\u202E加微信", 1, 4, 2, 9, -3, 100)
	f.Fuzz(func(t *testing.T, text string, a, b, c, d, from, to int) {
		runes := []rune(text)
		segs := segments(runes, from, to, []span{{start: a, end: b, class: "x", ref: 1}, {start: c, end: d, class: "ent"}, {start: b, end: d, class: "y", ref: 2, weight: 2}})
		length := 0
		for _, s := range segs {
			for _, p := range s.Pieces {
				if p.Code != "" {
					length++
				}
				length += utf8.RuneCountInString(p.Text)
			}
		}
		if want := max(0, min(to, len(runes))-max(0, from)); length != want {
			t.Fatalf("%d characters became %d", want, length)
		}
	})
}
