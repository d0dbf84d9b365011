package main

import (
	"context"
	"encoding/json"
	"os"

	"golang.org/x/term"

	"qingyuan/classify"
)

func runExplain(_ context.Context, std stdio, args []string) error {
	f := newFlags(std, "explain", "[TEXT]", "dict", "lang")
	title := f.String("title", "", "the post's title")
	sourceType := f.String("source-type", "", "forum, social, classified, news, official, blog or qa")
	color := f.String("color", "auto", "auto, always or never")
	asJSON := f.Bool("json", false, "print the explanation as JSON")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	p, err := textArgument(std, f.Args())
	if err != nil {
		return err
	}
	p.Title, p.SourceType = *title, *sourceType
	classifier, err := openClassifier(c)
	if err != nil {
		return err
	}
	x, err := classifier.Explain(p)
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(x)
	}
	return x.Print(std.out, classify.PrintOptions{Language: c.Language, Color: useColor(std, *color)})
}

// useColor reports whether to colour standard output.
func useColor(std stdio, mode string) bool {
	if mode != "auto" {
		return mode == "always"
	}
	if _, off := os.LookupEnv("NO_COLOR"); off {
		return false
	}
	return isTerminal(std.out)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
