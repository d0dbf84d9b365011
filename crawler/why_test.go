package crawler

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
)

func TestExplain(t *testing.T) {
	site, r := newTestSite(t, 6), newRig(t)
	site.on("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("User-agent: *\nDisallow: /thread-4\n")) //nolint:errcheck // a test's answer
	})
	site.on("/thread-3.html", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) })
	src := site.source(t, "bbs", "canonical: {drop: [from]}")
	r.crawl(src)
	now := time.Now()
	base := strings.Replace(site.URL, "127.0.0.1", "127.0.0.1", 1)
	f := r.frontier()
	add := func(path string, due time.Time) frontier.Task {
		k := frontier.Task{URL: base + path, ID: frontier.ID("bbs", base+path), Source: "bbs", Host: strings.TrimPrefix(base, "http://"), Parent: base + "/list-1.html", Due: due}
		if _, err := f.Add(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		return k
	}
	add("/thread-90.html", time.Time{})
	add("/thread-91.html", now.Add(time.Hour))
	left := frontier.Refusal{ID: frontier.ID("bbs", base+"/thread-92.html"), URL: base + "/thread-92.html", Source: "bbs", Reason: "max_depth: 7 links from a seed"}
	if err := f.Refuse(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	check := func(url string, code WhyCode, reason string) Why {
		t.Helper()
		ws, err := Explain(t.Context(), f, []*Source{src}, url, time.Now())
		if err != nil || len(ws) != 1 || ws[0].Code != code || !strings.Contains(ws[0].Reason, reason) {
			t.Fatalf("%s: %+v, %v; want %s with %q", url, ws, err, code, reason)
		}
		return ws[0]
	}
	check("nonsense", WhyBadURL, "nonsense")
	check("https://elsewhere.example/x", WhyScope, "")
	check(base+"/member.php", WhyNoRule, "")
	check(base+"/thread-99.html", WhyUnknown, "")
	check(base+"/thread-99.html?a=1&a=1&a=1", WhyTrap, "comes 3 times")
	if w := check(base+"/thread-1.html?from=wx#p3", WhyFetched, ""); w.Status != 200 || w.DuplicateOf != base+"/thread-1.html" || w.Page != "thread" || w.At.IsZero() || w.Depth != 1 || w.Parent == "" {
		t.Errorf("a fetched page: %+v", w)
	}
	check(base+"/thread-3.html", WhyDead, "status 410")
	check(base+"/thread-4.html", WhyRobots, `"Disallow: /thread-4", line 2`)
	check(base+"/thread-90.html", WhyQueued, "")
	if w := check(base+"/thread-91.html", WhyLater, ""); !w.Next.Equal(now.Add(time.Hour)) {
		t.Errorf("not due: %+v", w)
	}
	check(base+"/thread-92.html", WhyBudget, "max_depth")
	until := time.Now().Add(2 * time.Hour)
	if err := f.BackOff(t.Context(), strings.TrimPrefix(base, "http://"), until, "status 503 Service Unavailable"); err != nil {
		t.Fatal(err)
	}
	if w := check(base+"/thread-91.html", WhyHost, "status 503"); !w.Next.Equal(until) {
		t.Errorf("host left alone: %+v", w)
	}
}
