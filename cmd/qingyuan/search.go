package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"qingyuan/index"
)

func runSearch(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "search", "QUERY", "data")
	limit := f.Int("n", 20, "most hits to print, up to 1000")
	sort := f.String("sort", "score", "order: score, ingested_at or published_at")
	asJSON := f.Bool("json", false, "print one record a line as JSON")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if *limit < 1 || *limit > index.MaxLimit {
		return misusef("-n must be 1 to %d; export writes everything", index.MaxLimit)
	}
	if !index.Sort(*sort).Valid() {
		return misusef("order %q is unknown; use score, ingested_at, published_at or first_seen", *sort)
	}
	store, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	page, err := store.Search(ctx, index.Query{Text: strings.Join(f.Args(), " "), Limit: *limit, Sort: index.Sort(*sort)})
	if err != nil {
		return err
	}
	w := bufio.NewWriter(std.out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, h := range page.Hits {
		if *asJSON {
			if err := enc.Encode(h.Record); err != nil {
				return err
			}
			continue
		}
		r := h.Record
		category := "-"
		if len(r.Verdict.Categories) > 0 {
			category = r.Verdict.Categories[0].ID
		}
		fmt.Fprintf(w, "%.2f  %-10s %-28s %s\n      %s\n", r.Verdict.Score, r.Triage.Status, category, oneLine(r.Post.URL, 120), oneLine(h.Snippet, 90))
	}
	if !*asJSON {
		fmt.Fprintf(w, "%d of %d\n", len(page.Hits), page.Total)
	}
	return w.Flush()
}

func runExport(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "export", "[QUERY]", "data")
	format := f.String("format", "jsonl", "jsonl, csv or xlsx")
	out := f.String("o", "", "`file` to write to (default: standard output)")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"jsonl", "csv", "xlsx"}, *format) {
		return misusef("format %q is unknown; use jsonl, csv or xlsx", *format)
	}
	store, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	query := index.Query{Text: strings.Join(f.Args(), " ")}
	w := std.out
	if *out != "" {
		file, err := os.OpenFile(*out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("writing the export: %w", err)
		}
		defer file.Close()
		w = file
	}
	n, err := index.Export(ctx, w, *format, store, query)
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	if err := store.AppendAudit(ctx, index.AuditRow{Actor: "cli", Action: "export", Note: fmt.Sprintf("%d records, %s, %s", n, *format, query.Text)}); err != nil {
		return fmt.Errorf("recording the export: %w", err)
	}
	fmt.Fprintf(std.err, "%d records\n", n)
	return nil
}

// openExisting opens the index and says so when there is none yet.
func openExisting(ctx context.Context, c config) (index.Store, error) {
	if _, err := os.Stat(c.Data); err != nil && c.Index.Backend == backendSQLite {
		return nil, fmt.Errorf("there is no data in %s yet; crawl first (qingyuan demo), or name the folder with -data", c.Data)
	}
	return openStore(ctx, c)
}
