package crawler

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
)

func TestReasonClass(t *testing.T) {
	for reason, want := range map[string]string{
		"status 404":                              "not_found",
		"gone: 指定的主题不存在":                          "not_found",
		"status 403 (Retry-After)":                "forbidden",
		"blocked: status 403":                     "forbidden",
		"status 400":                              "http_4xx",
		"status 302 Found: redirects without end": "redirect",
		"status 503 Service Unavailable (given up after 5 tries)": "http_5xx",
		"blocked: status 429, page says Too Many Requests":        "rate_limit",
		"blocked: 请先登录后继续":                                        "wall",
		"captcha wall: title is 安全验证":                             "wall",
		`Get "https://bbs.example/\"x": robots.txt: https://bbs.example/: forbidden by "Disallow: /", line 2 of …`: "robots",
		`Get "https://bbs.example/timeout: ": dial tcp 192.0.2.1:443: connect: connection refused`:                 "connection",
		`Get "https://bbs.example/": dial tcp: lookup bbs.example: no such host`:                                   "dns",
		`Get "https://bbs.example/": timeout: connect or header: net/http: timeout awaiting response headers`:      "timeout",
		`Get "https://bbs.example/": tls: failed to verify certificate: x509: certificate has expired`:             "tls",
		`Get "https://bbs.example/": body cut short: 4225 of 8451 bytes: unexpected EOF`:                           "truncated",
		`Get "https://bbs.example/": body expands more than 200 times: decompression bomb`:                         "too_large",
		`Get "https://bbs.example/": refused address 127.0.0.1:80: loopback`:                                       "address",
		`Get "https://bbs.example/": not text: 400 of 500 characters beyond ASCII unreadable, even as gbk`:         "encoding",
		`Get "https://bbs.example/": EOF`:                                     "connection",
		"page takes longer than 10s to read":                                  "extract",
		"trap: endless pagination: 5 pages in a row of x brought nothing new": "trap",
		"max_pages: 2000 pages in 6h0m0s are fetched":                         "budget",
		"sink: index: closed":                                                 "store",
		`source "old" is not configured (any more)`:                           "config",
		"delay after further requests":                                        "delay",
		"":                                                                    "other",
		"Get \"unended":                                                       "other",
		"什么都不是":                                                               "other",
	} {
		if got := ReasonClass(reason); got != want || !slices.Contains(ReasonClasses[:], got) {
			t.Errorf("%q is %q, want %q", reason, got, want)
		}
	}
}

func FuzzReasonClass(f *testing.F) {
	f.Add("Get \"https://a.example\": status 404")
	f.Add("blocked: status ")
	f.Fuzz(func(t *testing.T, reason string) {
		if got := ReasonClass(reason); !slices.Contains(ReasonClasses[:], got) {
			t.Errorf("%q is %q, which is in no list", reason, got)
		}
	})
}

// What a host waits for is told from what the crawl itself wrote.
func TestWaitingIsToldFromTheFrontier(t *testing.T) {
	for name, c := range map[string]struct {
		robots, answer http.HandlerFunc
		want           Waiting
	}{
		"429 with a time": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, want: WaitRetryAfter},
		"robots.txt fails": {robots: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, want: WaitRobots},
		"captcha": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<title>安全验证</title><p>请完成验证")) //nolint:errcheck // a test's answer
		}, want: WaitWall},
		"503": {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, want: WaitBackoff},
	} {
		t.Run(name, func(t *testing.T) {
			site, r := newTestSite(t, 5), newRig(t)
			if c.robots != nil {
				site.on("/robots.txt", c.robots)
			}
			if c.answer != nil {
				site.on("/list-1.html", c.answer)
			}
			src := site.source(t, "bbs")
			r.opts.Backoff = Backoff{Base: time.Hour, Max: 2 * time.Hour}
			// The crawl has nothing to do once the host is backed off: that ends it.
			h := standingAfterBackOff(t, r, src)
			if got := WaitingFor(h.Reason); got != c.want || !h.Until.After(time.Now()) {
				t.Errorf("%q until %v is %s, want %s", h.Reason, h.Until, got, c.want)
			}
			if s := SourceOfHost([]*Source{src}, h.Host); s != src {
				t.Errorf("%s belongs to %v", h.Host, s)
			}
			walls, err := ReadWalls(t.Context(), r.frontier(), []*Source{src})
			if err != nil || (len(walls) == 1) != (c.want == WaitWall) {
				t.Errorf("walls: %+v, %v", walls, err)
			}
			if len(walls) == 1 && (walls[0].Kind != WallCaptcha || !strings.Contains(walls[0].Text(), "captcha wall")) {
				t.Errorf("the wall is %+v", walls[0])
			}
		})
	}
}

// standingAfterBackOff crawls until a host is backed off and tells where it stands.
func standingAfterBackOff(t *testing.T, r *rig, src *Source) frontier.HostStanding {
	t.Helper()
	r.untilBackOff(src)
	var f frontier.Inspector = r.frontier()
	hosts, err := f.Hosts(t.Context(), 10)
	if err != nil || len(hosts) != 1 {
		t.Fatalf("hosts: %+v, %v", hosts, err)
	}
	return hosts[0]
}
