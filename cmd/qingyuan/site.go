package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"qingyuan/crawler"
)

// runSite has the subcommands test: what a config extracts from saved pages;
// new: a first config; check: what live sites yield.
func runSite(ctx context.Context, std stdio, args []string) error {
	if len(args) > 0 && args[0] == "new" {
		return runSiteNew(ctx, std, args[1:])
	}
	if len(args) > 0 && args[0] == "check" {
		return runSiteCheck(ctx, std, args[1:])
	}
	if len(args) == 0 || args[0] != "test" {
		return misusef("there are: site test CONFIG PAGE..., site new URL, site check [CONFIG...]")
	}
	f := newFlags(std, "site test", "CONFIG PAGE...")
	asJSON := f.Bool("json", false, "print the report as JSON")
	pageURL := f.String("url", "", "where the page was saved from (default: its canonical link, or the rule it fits)")
	if err := f.Parse(args[1:]); err != nil {
		return misuse{err}
	}
	if f.NArg() < 2 {
		return misusef("name a config and at least one saved page")
	}
	data, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return fmt.Errorf("reading the site config: %w", err)
	}
	src, err := crawler.ReadSource(f.Arg(0), data)
	if err != nil {
		return err
	}
	var pages []crawler.Page
	for _, name := range f.Args()[1:] {
		raw, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading the page: %w", err)
		}
		page, err := crawler.SavedPage(src, filepath.Base(name), raw, *pageURL)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		pages = append(pages, page)
	}
	w := std.out
	if *asJSON {
		w = &strings.Builder{}
	}
	report, err := crawler.TestSite(w, src, pages)
	if err != nil {
		return err
	}
	if *asJSON {
		if err := report.JSON(std.out); err != nil {
			return err
		}
	}
	if !report.OK {
		return fmt.Errorf("%s does not yet read every page well; see above", f.Arg(0))
	}
	return nil
}
