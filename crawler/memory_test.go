package crawler

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler/hostiletest"
	"qingyuan/crawler/transport"
)

const bombSites = 8

const envMemorySite = "QINGYUAN_TEST_MEMORY_SITE"

// maxResident is the most memory, in bytes, that a crawl of bombs with eight
// workers may take: eight bodies at the limit of 32 MiB decoded, two trees of
// them, and what the runtime keeps beside. Large bodies are decoded and read two
// at a time; without that it was over 1 GiB.
const maxResident = 768 << 20

// bombSite serves only bodies that would take hundreds of megabytes to
// gigabytes, and a page at the very limits.
func bombSite(t *testing.T) *testSite {
	site := newTestSite(t, 0)
	const size = 512 << 20
	gz := hostiletest.Bomb(t, "gzip", size)
	const text = "<p>停息挂账协商代办债务优化</p>"
	var mixed strings.Builder // compresses some 20 times: under the ratio
	for i := range 280_000 {
		fmt.Fprintf(&mixed, "<p>%x 停息挂账协商代办债务优化停息挂账协商代办债务优化停息挂账协商代办债务优化停息挂账</p>", i*i)
	}
	bodies := map[string]http.HandlerFunc{
		"gzip":    hostiletest.Coded("gzip", "text/html", gz),
		"nested":  hostiletest.Coded("gzip, gzip", "text/html", hostiletest.Compress(t, "gzip", gz)),
		"br":      hostiletest.Coded("br", "text/html", hostiletest.Bomb(t, "br", size)),
		"brgzip":  hostiletest.Coded("gzip, br", "text/html", hostiletest.Compress(t, "br", gz)),
		"zstd":    hostiletest.Coded("zstd", "text/html", hostiletest.Bomb(t, "zstd", size)),
		"deflate": hostiletest.Coded("deflate", "text/html", hostiletest.Bomb(t, "deflate", size)),
		"dense":   hostiletest.Coded("gzip", "text/html", hostiletest.Compress(t, "gzip", []byte(mixed.String()))),
		"flood":   hostiletest.Flood(head+"\r\n", text, 1<<30),
		"length":  hostiletest.Flood(head+"Content-Length: 1073741824\r\n\r\n", text, 1<<30),
		"chunk":   hostiletest.Flood(head+"Transfer-Encoding: chunked\r\n\r\n40000000\r\n", text, 1<<30),
		"header":  hostiletest.Flood("HTTP/1.1 200 OK\r\n", "X-A: "+strings.Repeat("b", 1000)+"\r\n", 1<<30),
		"limit":   hostiletest.Coded("gzip", "text/html; charset=utf-8", hostiletest.Compress(t, "gzip", []byte(mixed.String()[:31<<20]))),
		"deep":    hostiletest.Coded("gzip", "text/html; charset=utf-8", hostiletest.Compress(t, "gzip", []byte(strings.Repeat("<div><b><i>"+strconv.Itoa(1<<40), 300_000)))),
		"links":   hostiletest.Coded("", "text/html; charset=utf-8", []byte(strings.Repeat(`<a href="/thread-1.html?x=`+strconv.Itoa(1<<40)+`">`, 150_000))),
	}
	robots := hostiletest.Flood("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", "Allow: /x\n", 1<<30)
	site.on("/robots.txt", robots)
	i := 0
	var list strings.Builder
	for _, h := range bodies {
		i++
		site.on(fmt.Sprintf("/thread-%d.html", i), h)
		fmt.Fprintf(&list, `<a href="/thread-%d.html">x</a>`, i)
	}
	site.on("/list-1.html", hostiletest.Coded("", "text/html; charset=utf-8", []byte("<html><title>x</title>"+list.String())))
	site.on("/sitemap.xml.gz", hostiletest.Coded("", "", gz))
	return site
}

// TestBombsUnderAFixedMemory crawls bombs in a process of its own, eight at a
// time, and holds its largest resident size against a bound.
func TestBombsUnderAFixedMemory(t *testing.T) {
	if site := os.Getenv(envMemorySite); site != "" {
		crawlBombs(t, site)
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the resident size is read from /proc")
	}
	if testing.Short() {
		t.Skip("takes some ten seconds")
	}
	site := bombSite(t)
	urls := []string{site.URL} // one site is asked for one page at a time
	for range bombSites - 1 {
		twin := httptest.NewServer(site.Config.Handler)
		defer twin.Close()
		urls = append(urls, twin.URL)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBombsUnderAFixedMemory$", "-test.v")
	cmd.Env = append(os.Environ(), envMemorySite+"="+strings.Join(urls, " "), "GOMEMLIMIT=off", "GOGC=100")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "resident ")
	number, _, _ := strings.Cut(rest, " ")
	peak, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d MiB resident at most, the bound is %d", peak>>20, maxResident>>20)
	if peak > maxResident {
		t.Errorf("%d bytes resident, want %d at most", peak, maxResident)
	}
}

// crawlBombs is the child.
func crawlBombs(t *testing.T, sites string) {
	r := newRig(t)
	tr, err := transport.New(transport.Options{Robots: true})
	if err != nil {
		t.Fatal(err)
	}
	r.opts.Transport, r.opts.MaxTries, r.opts.GiveUp, r.opts.Workers = tr, 1, 1000, 8
	var sources []*Source
	for i, base := range strings.Fields(sites) {
		sources = append(sources, readTestSource(t, fmt.Sprintf("bombs%d", i), base))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r.opts.Frontier = r.frontier()
	c, err := New(sources, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Run(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Errors) < bombSites*10 {
		t.Errorf("%d pages failed, want nearly all: %+v", len(s.Errors), s.PerSource)
	}
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			fmt.Printf("resident %d bytes\n", kb<<10)
		}
	}
}
