package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"qingyuan/crawler"
)

// urlAnswer is the canonical form of one URL; its JSON is that of -jsonl.
type urlAnswer struct {
	URL       string `json:"url"`
	Canonical string `json:"canonical,omitempty"`
	Host      string `json:"host,omitempty"` // that the pace is kept for
	Page      string `json:"page,omitempty"` // the page rule that fits, with -site
	Error     string `json:"error,omitempty"`
}

// runURL is qingyuan url canonical.
func runURL(ctx context.Context, std stdio, args []string) error {
	if len(args) == 0 || args[0] != "canonical" {
		return misusef("there is: url canonical [-site SITE.yaml] URL...")
	}
	f := newFlags(std, "url canonical", "URL...")
	site := f.String("site", "", "site config `file` whose rules apply as well")
	jsonl := f.Bool("jsonl", false, `read URLs on standard input, plain or as {"url"}, and write a JSON line for each`)
	if _, err := f.parse(args[1:]); err != nil {
		return err
	}
	var src *crawler.Source
	if *site != "" {
		data, err := os.ReadFile(*site)
		if err != nil {
			return fmt.Errorf("reading the site config: %w", err)
		}
		if src, err = crawler.ReadSource(*site, data); err != nil {
			return err
		}
	}
	if *jsonl {
		if f.NArg() > 0 {
			return misusef("-jsonl reads the URLs on standard input; leave them out")
		}
		return eachLine(ctx, std, func(line []byte) any {
			q := struct {
				URL string `json:"url"`
			}{string(bytes.TrimSpace(line))}
			if line = bytes.TrimSpace(line); line[0] == '{' {
				q.URL = ""
				if err := json.Unmarshal(line, &q); err != nil {
					return urlAnswer{Error: "no JSON object: " + err.Error()}
				}
			}
			return canonicalAnswer(src, q.URL)
		})
	}
	if f.NArg() == 0 {
		return misusef("name at least one URL")
	}
	failed := 0
	for _, u := range f.Args() {
		a := canonicalAnswer(src, u)
		if a.Error != "" {
			failed++
			fmt.Fprintln(std.err, "qingyuan url:", a.Error)
			continue
		}
		if _, err := fmt.Fprintln(std.out, a.Canonical); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d URLs have no canonical form", failed, f.NArg())
	}
	return nil
}

func canonicalAnswer(src *crawler.Source, rawURL string) urlAnswer {
	a := urlAnswer{URL: rawURL}
	var err error
	if src == nil {
		a.Canonical, a.Host, err = crawler.Canonical(rawURL)
	} else {
		a.Canonical, a.Host, err = src.Canonical(rawURL)
	}
	if err != nil {
		a.Error = err.Error()
		return a
	}
	if src != nil {
		if rule, ok := src.Rule(a.Canonical); ok {
			a.Page = rule.Name
		}
	}
	return a
}
