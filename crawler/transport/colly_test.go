package transport

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gocolly/colly/v2"
	"golang.org/x/text/encoding/simplifiedchinese"

	"qingyuan/crawler/hostiletest"
)

// collector is set up as the crawler does: see "colly: how it is used here".
func collector(tr *Transport) *colly.Collector {
	c := colly.NewCollector(colly.AllowURLRevisit(), colly.MaxBodySize(0))
	c.WithTransport(tr)
	c.SetRequestTimeout(0)
	return c
}

func TestUnderColly(t *testing.T) {
	gbk := func(s string) []byte { return encode(t, simplifiedchinese.GB18030, s) }
	rare := simplified + "㐀𠮷"
	mux := http.NewServeMux()
	page := func(path, contentType, coding string, body []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if coding != "" {
				w.Header().Set("Content-Encoding", coding)
			}
			w.Write(body)
		})
	}
	html := "<html><head><meta charset=gbk></head><body><h1>" + rare + "</h1></body></html>"
	bare := "<html><body><h1>" + rare + "</h1></body></html>"
	rss := `<?xml version="1.0" encoding="gbk"?><rss><item><title>` + rare + `</title></item></rss>`
	page("/meta", "text/html", "", gbk(html))
	page("/header", "text/html; charset=gbk", "", gbk(bare))
	page("/none", "text/html", "", gbk(bare))
	page("/lie", "text/html; charset=utf-8", "", gbk(bare))
	page("/gzip", "text/html; charset=gb2312", "gzip", hostiletest.Compress(t, "gzip", gbk(html)))
	page("/utf8", "text/html; charset=gbk", "", []byte(bare))
	page("/rss", "application/rss+xml", "", gbk(rss))
	page("/rss-header", "application/rss+xml; charset=gbk", "", gbk(rss))
	page("/feed.xml.gz", "application/gzip", "", hostiletest.Compress(t, "gzip", gbk(rss)))
	page("/private/x", "text/html", "", []byte("secret"))
	page("/bomb", "text/html", "gzip", hostiletest.Bomb(t, "gzip", 64<<20))
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/private/x", http.StatusFound) })
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
	})
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "User-agent: *\nDisallow: /private\n")
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	p := localPolicy(srv)
	p.Hosts = append(p.Hosts, "169.254.169.254")
	tr := newTransport(t, Options{Robots: true, Policy: func(string) HostPolicy { return p }})

	for _, path := range []string{"/meta", "/header", "/none", "/lie", "/gzip", "/utf8", "/rss", "/rss-header", "/feed.xml.gz"} {
		got := ""
		c := collector(tr)
		c.OnHTML("h1", func(e *colly.HTMLElement) { got = e.Text })
		c.OnXML("//item/title", func(e *colly.XMLElement) { got = e.Text })
		if err := c.Visit(srv.URL + path); err != nil || got != rare {
			t.Errorf("%s: %q, %v; want %q", path, got, err, rare)
		}
	}
	for path, is := range map[string]func(error) bool{
		"/private/x": func(err error) bool { e := (*RobotsError)(nil); return errors.As(err, &e) && !e.Decision.Temporary },
		"/redirect":  func(err error) bool { e := (*RobotsError)(nil); return errors.As(err, &e) && e.Decision.Line == 2 },
		"/inside":    func(err error) bool { e := (*AddressError)(nil); return errors.As(err, &e) },
		"/away": func(err error) bool {
			e := (*ScopeError)(nil)
			return errors.As(err, &e) && strings.Contains(e.URL, "elsewhere.example")
		},
		"/bomb": func(err error) bool { e := (*TooLargeError)(nil); return errors.As(err, &e) && e.Kind == KindRatio },
	} {
		var seen error
		c := collector(tr)
		c.OnError(func(_ *colly.Response, err error) { seen = err })
		c.OnResponse(func(r *colly.Response) { t.Errorf("%s: got a response of %d bytes", path, len(r.Body)) })
		if err := c.Visit(srv.URL + path); !is(err) || !is(seen) {
			t.Errorf("%s: Visit gave %v, OnError %v", path, err, seen)
		}
	}
}
