package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
