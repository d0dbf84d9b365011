package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vbauerster/mpb/v8"

	"qingyuan/crawler"
)

// A crawl on a terminal must not hang: the bars are drawn by goroutines that
// ask for the lock which event holds while it waits for the bar.
func TestBarsDoNotStopTheCrawl(t *testing.T) {
	p := &progress{out: io.Discard, hits: newCounter(), sites: map[string]*siteProgress{}}
	p.bars = mpb.New(mpb.WithOutput(io.Discard), mpb.WithWidth(24), mpb.WithRefreshRate(time.Millisecond), mpb.WithAutoRefresh())
	for i := range 9 {
		s := &siteProgress{name: strconv.Itoa(i), title: strconv.Itoa(i), known: 1}
		p.sites[s.name], p.order = s, append(p.order, s.name)
		s.bar = p.newBar(s)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20_000 {
			p.event(crawler.Event{Kind: crawler.EventPage, Source: strconv.Itoa(i % 9), Posts: 1, Links: 1})
		}
		p.close()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the display hangs, and the crawl with it")
	}
}

// A second demo in a data folder must leave the first one's frontier alone.
func TestSecondCrawlIsRefused(t *testing.T) {
	data := t.TempDir()
	c := defaultConfig()
	c.Data = data
	lock, err := lockCrawl(c)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, args := range [][]string{{"demo", "-once", "-json", "-data", data}, {"crawl", "-once", "-data", data, "-config", "../../configs/qingyuan.yaml"}} {
		t.Setenv("QINGYUAN_SITES", "../../configs/sites")
		_, errOut, code := runCommand(t, "", args...)
		if code != 1 || !strings.Contains(errOut, "in use by another process") {
			t.Errorf("%v: exit %d\n%s", args, code, errOut)
		}
	}
	left, err := os.ReadDir(data)
	if err != nil || len(left) != 1 {
		t.Errorf("the refused runs left %v (%v)", left, err)
	}
}

// A town whose ports were taken moves, and every post is still found.
func TestDemoMovesWhenItsPortsAreTaken(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "", "demo", "-once", "-json", "-data", data)
	before := records(t, data)
	port, err := os.ReadFile(filepath.Join(data, portFile))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+string(port))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	mustRun(t, "", "demo", "-once", "-json", "-data", data)
	if diff := cmp.Diff(before, records(t, data)); diff != "" {
		t.Errorf("records changed (-before +after):\n%s", diff)
	}
}
