package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"qingyuan/crawler/transport"
)

const (
	maxInputLine  = 16 << 20 // of JSON lines on standard input
	maxRobotsFile = 8 << 20  // read of -file; rules count up to 512 KiB
)

// robotsAnswer is the answer for one URL; its JSON is that of -jsonl.
type robotsAnswer struct {
	URL        string   `json:"url"`
	Agent      string   `json:"agent"`
	Allow      bool     `json:"allow"`
	Reason     string   `json:"reason"`          // rule, no rule, self, no file, unreachable
	Rule       string   `json:"rule,omitempty"`  // as written, "Disallow: /x"
	Line       int      `json:"line,omitempty"`  // of the rule, from 1
	Group      string   `json:"group,omitempty"` // user-agent whose rules count
	CrawlDelay float64  `json:"crawl_delay,omitempty"`
	Sitemaps   []string `json:"sitemaps,omitempty"`
	Error      string   `json:"error,omitempty"` // of the input line; then nothing else counts
}

func newRobotsAnswer(url, agent string, d transport.Decision) robotsAnswer {
	return robotsAnswer{
		URL: url, Agent: agent, Allow: d.Allowed, Reason: d.Reason, Rule: d.Rule, Line: d.Line, Group: d.Group,
		CrawlDelay: d.CrawlDelay.Seconds(), Sitemaps: d.Sitemaps,
	}
}

// line is the answer for people: allow or deny, the URL, and what decided.
func (a robotsAnswer) line() string {
	verdict, why := "deny", a.Reason
	if a.Allow {
		verdict = "allow"
	}
	switch a.Reason {
	case transport.ReasonRule:
		why = fmt.Sprintf("line %d, %s (group %s)", a.Line, a.Rule, a.Group)
	case transport.ReasonNoRule:
		why = "no rule of group " + a.Group
		if a.Group == "" {
			why = "no group for this agent"
		}
	case transport.ReasonSelf:
		why = "robots.txt itself"
	}
	return verdict + "\t" + a.URL + "\t" + why
}

// runRobots says what a robots.txt allows: a saved one, or that of the site.
func runRobots(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "robots", "URL...")
	file := f.String("file", "", "saved robots.txt `file`, - for standard input (default: asked from each URL's site)")
	agent := f.String("agent", "", "product `name` of the crawler, such as qingyuan; * for the rules for everybody else")
	jsonl := f.Bool("jsonl", false, `read {"robots","agent","url"} lines on standard input and write a JSON line for each`)
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if *jsonl {
		if f.NArg() > 0 || *file != "" {
			return misusef("-jsonl takes file and URLs from standard input; leave -file and URLs out")
		}
		return robotsLines(ctx, std, *agent)
	}
	if f.NArg() == 0 {
		return misusef("name at least one URL")
	}
	if *agent == "" {
		*agent = transport.UserAgent(version, c.Crawl.Contact)
	}
	if *file == "" {
		return robotsLive(ctx, std, *agent, f.Args())
	}
	body, err := readRobotsFile(std, *file)
	if err != nil {
		return err
	}
	r := transport.ReadRobots(body, *agent)
	for _, u := range f.Args() {
		if _, err := fmt.Fprintln(std.out, newRobotsAnswer(u, *agent, r.Decide(u)).line()); err != nil {
			return err
		}
	}
	return nil
}

func readRobotsFile(std stdio, name string) ([]byte, error) {
	in := std.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading robots.txt: %w", err)
		}
		defer file.Close()
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, maxRobotsFile))
	if err != nil {
		return nil, fmt.Errorf("reading robots.txt: %w", err)
	}
	return body, nil
}

// robotsLive asks the sites, through the crawler's own transport.
func robotsLive(ctx context.Context, std stdio, agent string, urls []string) error {
	t, err := transport.New(transport.Options{UserAgent: agent, Robots: true})
	if err != nil {
		return misuse{err}
	}
	defer t.CloseIdleConnections()
	failed := 0
	for _, u := range urls {
		d, err := t.Decide(ctx, u)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			failed++
			fmt.Fprintf(std.err, "qingyuan robots: %s: %v\n", u, err)
			continue
		}
		line := newRobotsAnswer(u, agent, d).line()
		if d.Reason == transport.ReasonUnreachable || d.Reason == transport.ReasonNoFile || d.Stale {
			line += "\t" + d.String()
		}
		if _, err := fmt.Fprintln(std.out, line); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d URLs could not be asked about", failed, len(urls))
	}
	return nil
}

// robotsLines answers one JSON line for each of standard input, in order and
// at once.
func robotsLines(ctx context.Context, std stdio, agent string) error {
	var last *transport.Robots
	var lastBody, lastAgent string
	return eachLine(ctx, std, func(line []byte) any {
		var q struct {
			Robots *string `json:"robots"`
			Agent  *string `json:"agent"`
			URL    *string `json:"url"`
		}
		if err := json.Unmarshal(line, &q); err != nil {
			return robotsAnswer{Error: "no JSON object: " + err.Error()}
		}
		if q.Agent == nil {
			q.Agent = &agent
		}
		if q.Robots == nil || q.URL == nil || *q.Agent == "" {
			return robotsAnswer{Error: `robots, agent and url are needed: {"robots":"User-agent: *\nDisallow: /x","agent":"qingyuan","url":"https://a.example/x"}`}
		}
		if last == nil || lastBody != *q.Robots || lastAgent != *q.Agent {
			last, lastBody, lastAgent = transport.ReadRobots([]byte(*q.Robots), *q.Agent), *q.Robots, *q.Agent
		}
		return newRobotsAnswer(*q.URL, *q.Agent, last.Decide(*q.URL))
	})
}

// eachLine writes, for each line of standard input that is not blank, what
// answer gives as a line of JSON, before it reads the next.
func eachLine(ctx context.Context, std stdio, answer func(line []byte) any) error {
	in := bufio.NewScanner(std.in)
	in.Buffer(make([]byte, 64<<10), maxInputLine)
	out := json.NewEncoder(std.out)
	out.SetEscapeHTML(false)
	n := 0
	for in.Scan() {
		n++
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		if err := out.Encode(answer(in.Bytes())); err != nil {
			return err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d of standard input is longer than %d bytes", n+1, maxInputLine)
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	return nil
}
