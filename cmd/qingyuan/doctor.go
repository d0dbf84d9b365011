package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// How a finding of doctor counts.
const (
	findingOK   = "ok"
	findingWarn = "warn" // works, but should be seen to
	findingFail = "fail" // does not work, or loses something
)

// told is a text in both languages of the pages.
type told struct{ zh, en string }

func (t told) in(lang string) string {
	if lang == "en" {
		return t.en
	}
	return t.zh
}

// same is a text that needs no translation.
func same(text string) told { return told{text, text} }

// finding is one line of doctor: what was looked at, how it is, and what to do.
type finding struct {
	check  string // such as "data.space"; stable
	status string
	text   told
	remedy told
}

func fine(check string, text told) finding { return finding{check, findingOK, text, told{}} }
func warning(check string, text, remedy told) finding {
	return finding{check, findingWarn, text, remedy}
}
func failure(check string, text, remedy told) finding {
	return finding{check, findingFail, text, remedy}
}

// failed is a failure whose error says what to do, or says it well enough.
func failed(check string, what told, err error, remedy told) finding {
	text := printable(err.Error())
	return failure(check, told{what.zh + "：" + text, what.en + ": " + text}, remedy)
}

// doctorCheck looks at one part of what is configured. It changes nothing but a
// test file of its own, which it removes, and ends with ctx.
type doctorCheck struct {
	name string
	run  func(ctx context.Context, c config) []finding
}

// doctorChecks are all checks in the order in which they are told.
func doctorChecks() []doctorCheck {
	return []doctorCheck{
		{"sites", checkSites},
		{"dictionaries", checkJudge},
		{"subscriptions", checkSubscriptions},
		{"data", checkData},
		{"sqlite", checkSQLite},
		{"archive", checkArchive},
		{"browser", checkBrowser},
		{"accounts", checkLogins},
		{"tls", checkCertificate},
		{"listen", checkListen},
		{"mail", checkMailServer},
		{"time", checkTime},
		{"limits", checkLimits},
		{"redis", checkRedis},
		{"elastic", checkElastic},
	}
}

// runDoctor reaches and checks everything that is configured.
func runDoctor(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "doctor", "", "data", "addr", "lang", "dict")
	asJSON := f.Bool("json", false, "print JSON")
	only := f.String("only", "", "make these `checks` alone, separated by commas: "+strings.Join(checkNames(), ", "))
	limit := f.Duration("timeout", 30*time.Second, "`time` that one check may take")
	alive := f.Bool("alive", false, "only ask the running serve for /healthz; any answer is well (for liveness probes)")
	ready := f.Bool("ready", false, "only ask the running serve for /healthz; its index has to answer too (for readiness probes)")
	c, err := f.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil && !errors.As(err, new(misuse)):
		return tellFindings(std, *asJSON, "", mistakesAsFindings(err))
	case err != nil:
		return err
	case f.NArg() > 0:
		return misusef("doctor takes no arguments, there is %q", f.Arg(0))
	case *limit <= 0:
		return misusef("-timeout %v; give a time, such as 30s", *limit)
	}
	if *alive || *ready {
		return probe(ctx, c, *ready)
	}
	names := checkNames()
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	for _, n := range names {
		if !slices.Contains(checkNames(), n) {
			return misusef("there is no check %q; there are %s", n, strings.Join(checkNames(), ", "))
		}
	}
	found := []finding{fine("config", told{"配置文件无误", "the config is well-formed"})}
	for _, check := range doctorChecks() {
		if slices.Contains(names, check.name) {
			found = append(found, timed(ctx, c, check, *limit)...)
		}
	}
	return tellFindings(std, *asJSON, c.Language, found)
}

func checkNames() []string {
	var names []string
	for _, c := range doctorChecks() {
		names = append(names, c.name)
	}
	return names
}

// timed runs a check and says so when its time was up.
func timed(ctx context.Context, c config, check doctorCheck, limit time.Duration) []finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := check.run(ctx, c)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		found = append(found, warning(check.name, told{fmt.Sprintf("检查在 %v 内没有完成", limit), fmt.Sprintf("the check was not finished in %v", limit)},
			told{"用 -timeout 5m 给它更多时间", "give it more with -timeout 5m"}))
	}
	return found
}

// tellFindings prints them and fails when one is a failure.
func tellFindings(std stdio, asJSON bool, lang string, found []finding) error {
	worst, failures, warnings := findingOK, 0, 0
	for _, f := range found {
		switch f.status {
		case findingFail:
			worst, failures = findingFail, failures+1
		case findingWarn:
			warnings++
			if worst == findingOK {
				worst = findingWarn
			}
		}
	}
	write := writeFindings
	if asJSON {
		write = writeFindingsJSON
	}
	if err := write(std.out, lang, worst, found); err != nil {
		return err
	}
	if failures > 0 {
		return fmt.Errorf("failures: %d, warnings: %d", failures, warnings)
	}
	return nil
}

func writeFindings(w io.Writer, lang, _ string, found []finding) error {
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%-4s  %-18s  %s\n", f.status, f.check, f.text.in(lang)); err != nil {
			return err
		}
		if r := f.remedy.in(lang); r != "" {
			if _, err := fmt.Fprintf(w, "%26s→ %s\n", "", r); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFindingsJSON(w io.Writer, lang, worst string, found []finding) error {
	type line struct {
		Check  string `json:"check"`
		Status string `json:"status"`
		Text   string `json:"text"`
		Remedy string `json:"remedy,omitempty"`
	}
	out := struct {
		Status string `json:"status"`
		Checks []line `json:"checks"`
	}{Status: worst, Checks: []line{}}
	for _, f := range found {
		out.Checks = append(out.Checks, line{f.check, f.status, f.text.in(lang), f.remedy.in(lang)})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
