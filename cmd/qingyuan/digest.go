package main

import (
	"context"
	"encoding/json"
	"slices"

	"qingyuan/classify"
	"qingyuan/digest"
)

func runDigest(ctx context.Context, std stdio, args []string) error {
	if len(args) > 0 && slices.Contains([]string{"list", "preview", "test"}, args[0]) {
		return runSubscriptions(ctx, std, args[0], args[1:])
	}
	f := newFlags(std, "digest", "", "data", "lang", "dict")
	date := f.String("day", "", "the day, as 2026-11-22 (default: today)")
	format := f.String("format", "text", "text, html or json")
	baseURL := f.String("base-url", "", "address of the triage pages, for links (default: that of addr)")
	reveal := f.Bool("reveal", false, "show contacts in full")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	day, err := parseDay(*date)
	if err != nil {
		return misuse{err}
	}
	if *baseURL == "" {
		*baseURL = "http://" + c.Addr
	}
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return err
	}
	store, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	d, err := digest.Build(ctx, store, digest.Options{Day: day, Language: c.Language, Categories: dict.Categories, BaseURL: *baseURL, ShowContacts: *reveal})
	if err != nil {
		return err
	}
	if err := noteDigest(c, day); err != nil {
		newLogger(std, c).Warn("which digest was built last could not be noted", "error", err)
	}
	switch *format {
	case "text":
		return d.Text(std.out)
	case "html":
		return d.HTML(std.out)
	case "json":
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	}
	return misusef("format %q is unknown; use text, html or json", *format)
}
