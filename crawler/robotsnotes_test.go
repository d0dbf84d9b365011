package crawler

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qingyuan/crawler/transport"
)

// A robots.txt that was read once stands in for a server that fails, also for
// the next process, for 30 days.
func TestRobotsOutliveARestart(t *testing.T) {
	site, r := newTestSite(t, 3), newRig(t)
	var down atomic.Bool
	site.on("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "User-agent: *\nDisallow: /thread-2.html\n"+strings.Repeat("# so that it is worth compressing\n", 3000))
	})
	src, now := site.source(t, "bbs"), time.Now()
	open := func() *transport.Transport {
		t.Helper()
		tr, err := transport.New(transport.Options{Robots: true, RobotsStore: RobotsNotes(r.frontier()), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.CloseIdleConnections)
		return tr
	}
	r.opts.Transport = open()
	if s := r.crawl(src); s.Pages != 3 {
		t.Fatalf("%+v", s)
	}
	down.Store(true)
	r.opts.Transport = open()
	s := r.crawl(src)
	if e := errorOf(s, "/thread-2.html"); s.Pages != 3 || !strings.Contains(e.Reason, "the server fails now") {
		t.Errorf("after a restart, the server failing: %+v", s)
	}
	now = now.Add(31 * 24 * time.Hour)
	ctx := transport.WithPolicy(t.Context(), policyOf(src))
	if d, err := open().Decide(ctx, site.URL+"/thread-1.html"); err != nil || d.Allowed || !d.Temporary {
		t.Errorf("a copy of 31 days ago: %v, %v", d, err)
	}
}
