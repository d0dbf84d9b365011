package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"qingyuan/crawler"
	"qingyuan/crawler/transport"
)

// checksAtOnce is how many sites are looked at side by side; each at its own
// pace.
const checksAtOnce = 8

// runSiteCheck is qingyuan site check: whether live sites still yield what
// their configs expect. Drift is exit code 1.
func runSiteCheck(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "site check", "[CONFIG...]", "lang")
	asJSON := f.Bool("json", false, "print one JSON line for each site")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	sources, err := namedSources(c, f.Args())
	if err != nil {
		return err
	}
	crawler.ClearCollyEnv()
	fetcher, err := crawler.NewFetcher(crawler.FetcherOptions{UserAgent: transport.UserAgent(version, c.Crawl.Contact), Logger: newLogger(std, c)})
	if err != nil {
		return err
	}
	defer fetcher.Close()
	checks := make([]crawler.SiteCheck, len(sources))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(checksAtOnce)
	for i, s := range sources {
		group.Go(func() (err error) {
			checks[i], err = crawler.CheckSite(groupCtx, s, fetcher.Fetch)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("checking the sites: %w", err)
	}
	drifted := 0
	enc := json.NewEncoder(std.out)
	enc.SetEscapeHTML(false)
	for _, k := range checks {
		if !k.OK {
			drifted++
		}
		if *asJSON {
			err = enc.Encode(k)
		} else {
			_, err = fmt.Fprint(std.out, siteCheckText(k, c.Language))
		}
		if err != nil {
			return err
		}
	}
	if drifted > 0 {
		return fmt.Errorf(siteWord(c.Language, "drifted"), drifted, len(checks))
	}
	return nil
}

// namedSources reads the configs named, or all of the folder of sites.
func namedSources(c config, files []string) ([]*crawler.Source, error) {
	if len(files) == 0 {
		return loadSources(c)
	}
	var sources []*crawler.Source
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the site config: %w", err)
		}
		s, err := crawler.ReadSource(name, data)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// siteCheckText is a check for a person: one line, and one for everything that
// fell.
func siteCheckText(k crawler.SiteCheck, lang string) string {
	var b strings.Builder
	state := "ok"
	switch {
	case k.Skipped != "":
		state = "skipped"
	case !k.OK:
		state = "drift"
	}
	fmt.Fprintf(&b, "%s  %s (%s)", siteWord(lang, "state."+state), k.Source, plainLine(k.Title))
	if k.Skipped != "" {
		return b.String() + "\n"
	}
	fmt.Fprintf(&b, siteWord(lang, "checked"), len(k.Pages), k.Posts)
	for _, f := range k.Fields {
		if f.Of > 0 && f.Have > 0 {
			fmt.Fprintf(&b, " %s %d%%", f.Field, 100*f.Have/f.Of)
		}
	}
	b.WriteByte('\n')
	for _, d := range k.Drifts {
		fmt.Fprintf(&b, "  ! %s", plainLine(d.Text(lang)))
		if d.URL != "" {
			fmt.Fprintf(&b, "  %s", plainLine(d.URL))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
