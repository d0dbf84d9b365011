package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets a test start this binary again as the real command, in order
// to kill it.
func TestMain(m *testing.M) {
	if args := os.Getenv("QINGYUAN_TEST_COMMAND"); args != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, stdio{strings.NewReader(""), os.Stdout, os.Stderr}, strings.Split(args, "\x1f")))
	}
	os.Exit(m.Run())
}

// runCommand runs a command line in this process.
func runCommand(t *testing.T, in string, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), stdio{strings.NewReader(in), &o, &e}, args)
	return o.String(), e.String(), code
}

// mustRun is runCommand that must succeed.
func mustRun(t *testing.T, in string, args ...string) string {
	t.Helper()
	out, errOut, code := runCommand(t, in, args...)
	if code != 0 {
		t.Fatalf("qingyuan %s: exit %d\n%s", strings.Join(args, " "), code, errOut)
	}
	return out
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string // on standard error
	}{
		{nil, 2, "Usage: qingyuan COMMAND"},
		{[]string{"help"}, 0, "demo"},
		{[]string{"frobnicate"}, 2, `there is no command "frobnicate"`},
		{[]string{"crawl", "-nonsense"}, 2, "flag provided but not defined"},
		{[]string{"crawl", "-h"}, 0, "-once"},
		{[]string{"eval"}, 2, "no file of labelled texts"},
		{[]string{"eval", "no-such-file.jsonl"}, 1, "no-such-file.jsonl"},
		{[]string{"search", "-data", "/nonexistent/qingyuan", "x"}, 1, "crawl first"},
		{[]string{"crawl", "-config", "/nonexistent.yaml"}, 1, "/nonexistent.yaml"},
		{[]string{"digest", "-day", "yesterday"}, 2, "write it as 2026-11-22"},
		{[]string{"export", "-format", "xml"}, 2, `format "xml" is unknown`},
		{[]string{"explain", "-lang", "fr", "x"}, 2, `language "fr" is unknown`},
		{[]string{"classify", "-jsonl", "text"}, 2, "takes no text"},
		{[]string{"learn"}, 2, "-o is needed"},
		{[]string{"site"}, 2, "site test CONFIG PAGE"},
	} {
		_, errOut, code := runCommand(t, "", c.args...)
		if code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: exit %d, want %d with %q in:\n%s", c.args, code, c.code, c.want, errOut)
		}
	}
}
