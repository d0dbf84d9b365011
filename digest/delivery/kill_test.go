package delivery

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/index/sqlite"
)

// periods is how many digests the killed sender has to bring out.
const periods = 900

const hourly = `
name: hourly
schedule: "0 * * * *"
channels:
  - mail: {to: [a@agency.example, b@agency.example]}
`

// TestSenderProcess is the process that TestKilledSenderLosesNothing kills: it
// lives through one hour at each round, as fast as it can.
func TestSenderProcess(t *testing.T) {
	dir := os.Getenv("QINGYUAN_TEST_SENDER")
	if dir == "" {
		t.Skip("only as the child of another test")
	}
	host, port, _ := net.SplitHostPort(os.Getenv("QINGYUAN_TEST_SMTP"))
	n, _ := strconv.Atoi(port)
	ledger, err := OpenLedger(t.Context(), filepath.Join(dir, "digest.db"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSubscription("hourly.yaml", []byte(hourly))
	if err != nil {
		t.Fatal(err)
	}
	now := start
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "index.db"), Normalize: classify.Normalize})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRunner(Options{Subscriptions: []*Subscription{s}, Store: store, Ledger: ledger, Key: []byte("0123456789abcdef"), Now: func() time.Time { return now },
		SMTP: SMTP{Host: host, Port: n, TLS: "none", From: "qingyuan@agency.example"}})
	if err != nil {
		t.Fatal(err)
	}
	// The clock goes on where the ledger stands.
	if last, err := ledger.position(t.Context(), "hourly"); err == nil && !last.IsZero() {
		now = last.Add(62 * time.Minute)
	}
	if _, err := ledger.recover(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for !now.After(start.Add((periods + 1) * time.Hour)) {
		if err := r.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	// What a kill left in doubt within the last hour goes out as well.
	if err := r.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Println("all sent")
}

// TestKilledSenderLosesNothing kills the sender at random moments, fifty
// times, and looks at what the mail server got.
func TestKilledSenderLosesNothing(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	kills := 50
	if testing.Short() {
		kills = 10
	}
	done := false
	for round := 0; !done; round++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSenderProcess$", "-test.v")
		cmd.Env = append(os.Environ(), "QINGYUAN_TEST_SENDER="+dir, "QINGYUAN_TEST_SMTP="+in.addr)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if round < kills {
			select {
			case err := <-ended:
				done = true
				if err != nil {
					t.Fatalf("round %d: %v\n%s", round, err, out.String())
				}
				t.Logf("all was sent after %d kills", round)
			case <-time.After(time.Duration(40+rand.IntN(160)) * time.Millisecond):
				cmd.Process.Kill() //nolint:errcheck // it may have ended
				<-ended
			}
			continue
		}
		done = true
		if err := <-ended; err != nil || !strings.Contains(out.String(), "all sent") {
			t.Fatalf("the last round: %v\n%s", err, out.String())
		}
	}
	count, marked := map[string]int{}, 0
	for i, id := range in.headers("Message-Id") {
		count[id]++
		if in.mails[i].Header.Get("X-Qingyuan-Possible-Duplicate") == "yes" {
			marked++
		}
	}
	if len(count) < 2*periods {
		t.Errorf("%d different mails arrived, want at least %d", len(count), 2*periods)
	}
	doubles := 0
	for id, n := range count {
		if n > 1 {
			doubles += n - 1
		}
		if n > 1 && marked == 0 {
			t.Errorf("%s came %d times, unmarked", id, n)
		}
	}
	if doubles > marked {
		t.Errorf("%d mails came twice, only %d were marked as possibly sent before", doubles, marked)
	}
	t.Logf("%d mails, %d twice, %d marked", len(count), doubles, marked)
}
