// Command qingyuan crawls public Chinese forums, social sites, feeds and
// classified pages for advertising of the financial black and gray industry,
// judges what it finds with reasons, and serves the pages on which analysts
// decide.
//
// This is the only place where the rooms are wired together: every file here
// is one subcommand, setup.go builds what they share. Results go to standard
// output, logs and progress to standard error. Exit codes: 0 done, 1 failed,
// 2 misuse.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	_ "time/tzdata" // zones of sites and subscriptions on machines without them
)

// version is set at release with -ldflags "-X main.version=…".
var version = "0.1.0-dev"

// stdio is where a command reads and writes.
type stdio struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// command is one subcommand.
type command struct {
	name    string
	args    string // after the flags, for usage
	summary string
	run     func(ctx context.Context, io stdio, args []string) error
}

func commands() []command {
	return []command{
		{"demo", "", "crawl the bundled town of sites, classify, index and show the hits", runDemo},
		{"crawl", "[why URL...|anew]", "crawl the configured sites; why: why a URL was not fetched, or when it will be; anew: begin a lost frontier in Redis anew", runCrawl},
		{"serve", "", "crawl and serve the triage pages in one process", runServe},
		{"classify", "[TEXT]", "judge a text or, with -jsonl, one JSON post a line", runClassify},
		{"explain", "[TEXT]", "judge one text and tell a person why", runExplain},
		{"eval", "FILE.jsonl...", "compare verdicts with labelled texts", runEval},
		{"dict", "suggest|diff|backtest", "new slang from posts; what a changed dictionary says and does differently", runDict},
		{"learn", "-o MODEL FILE.jsonl...", "fit the learned weights on labelled texts", runLearn},
		{"check", "", "check config, sites and dictionaries; all mistakes at once", runCheck},
		{"search", "QUERY", "search the index", runSearch},
		{"digest", "[list|preview|test]", "build the digest of one day; list subscriptions, preview and try them", runDigest},
		{"export", "[QUERY]", "write records as JSONL or CSV", runExport},
		{"archive", "verify|list|show|key|hold|retain", "check, list and show what was kept as evidence", runArchive},
		{"replay", "", "read and judge the archived pages again, without fetching", runReplay},
		{"campaign", "regroup [QUERY]", "group near-identical hits of the index anew", runCampaign},
		{"site", "test|new|check", "what a site config reads from pages; a first config of a new site; whether sites still yield what they should", runSite},
		{"session", "[resume SITE]", "how the logins and cookies of sites stand; let one that a captcha stopped go on", runSession},
		{"robots", "URL...", "what a robots.txt allows, and the rule that decides", runRobots},
		{"url", "canonical URL...", "the one spelling by which the crawler knows a page", runURL},
		{"setup", "", "make templates, indices and aliases in Elasticsearch, or bring them up to date", runSetup},
		{"index", "status|redo", "how the index does; send again what its server refused", runIndex},
		{"user", "list|add|link|role|disable|enable", "who may use the pages", runUser},
		{"doctor", "", "reach and check everything that is configured, with the remedies", runDoctor},
		{"version", "", "print the version", runVersion},
	}
}

func main() {
	ctx, stop := untilSignal(context.Background())
	tuneCollector()
	code := run(ctx, stdio{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// misuse is an error of the command line: exit code 2.
type misuse struct{ err error }

func (m misuse) Error() string { return m.err.Error() }
func (m misuse) Unwrap() error { return m.err }

func misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// run executes one command line and returns the exit code.
func run(ctx context.Context, std stdio, args []string) int {
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		usage(std.err)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, std, args[1:])
		return exitCode(std.err, c.name, err)
	}
	fmt.Fprintf(std.err, "qingyuan: there is no command %q; qingyuan help lists them\n", args[0])
	return 2
}

func exitCode(w io.Writer, name string, err error) int {
	var m misuse
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, syscall.EPIPE):
		return 0 // the reader of our output has seen enough
	case errors.As(err, &m):
		fmt.Fprintf(w, "qingyuan %s: %v\nqingyuan %s -h shows how it is used\n", name, err, name)
		return 2
	}
	fmt.Fprintf(w, "qingyuan %s: %v\n", name, err)
	return 1
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Qingyuan (清源) finds offers of the financial black and gray industry.\n\nUsage: qingyuan COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-28s %s\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	}
	fmt.Fprint(w, "\nqingyuan COMMAND -h shows its flags. Start with: qingyuan demo\n")
}

func runVersion(_ context.Context, std stdio, _ []string) error {
	_, err := fmt.Fprintln(std.out, "qingyuan", version)
	return err
}
