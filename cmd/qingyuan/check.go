package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"qingyuan/classify"
	"qingyuan/configs/kibana"
	"qingyuan/crawler"
	"qingyuan/index/elastic"
	"qingyuan/strictyaml"
)

// runCheck checks everything operators write and prints all mistakes at once.
func runCheck(_ context.Context, std stdio, args []string) error {
	f := newFlags(std, "check", "", "dict")
	sites := f.String("sites", "", "`folder` of site configs (default: that of the config)")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return misuse{err}
	}
	if f.NArg() > 0 {
		return misusef("check takes no arguments, there is %q; name folders with -sites and -dict, a page's config with site test", f.Arg(0))
	}
	var ms strictyaml.Mistakes
	c, err := loadConfig(f.configFile)
	ms.Add(f.configFile, err)
	if f.dict != "" {
		c.Dictionaries = f.dict
	}
	if f.model != "" {
		c.Model = f.model
	}
	if *sites != "" {
		c.Sites = *sites
	}
	loaded, err := crawler.LoadSources(os.DirFS(c.Sites))
	ms.Add(c.Sites, prefixed(c.Sites, err))
	if _, err := os.Stat(c.Sites); err != nil {
		ms = append(ms, strictyaml.Mistake{File: c.Sites, Problem: "there is no such folder", Remedy: "set sites: in the config, or -sites"})
	} else if len(loaded) == 0 && len(ms) == 0 {
		ms = append(ms, strictyaml.Mistake{File: c.Sites, Problem: "there is no site config (*.yaml) in this folder", Remedy: "add one, or set sites: to another folder"})
	}
	if _, err := loadSubscriptions(c); err != nil {
		ms.Add(c.Subscriptions, prefixed(c.Subscriptions, errors.Unwrap(err)))
	}
	if fields, err := elastic.PostFields(); err != nil || checkKibana(kibana.Objects, fields) != nil {
		ms.Add("configs/kibana/qingyuan.ndjson", errors.Join(err, checkKibana(kibana.Objects, fields)))
	}
	examples := checkDictionaries(c, &ms)
	for _, m := range ms {
		fmt.Fprintln(std.out, m.Error())
	}
	if len(ms) > 0 {
		return fmt.Errorf("mistakes: %d", len(ms))
	}
	_, err = fmt.Fprintf(std.out, "all is well: %d sites, %s\n", len(loaded), examples)
	return err
}

// checkDictionaries loads the dictionaries and runs their examples.
func checkDictionaries(c config, ms *strictyaml.Mistakes) string {
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		ms.Add(c.Dictionaries, prefixed(c.Dictionaries, err))
		return ""
	}
	model, err := openModel(c)
	if err != nil {
		ms.Add(c.Model, err)
		return ""
	}
	classifier, err := classify.New(classify.Options{Dictionary: dict, Model: model})
	if err != nil {
		ms.Add(c.Dictionaries, err)
		return ""
	}
	ms.Add(c.Dictionaries, prefixed(c.Dictionaries, classifier.CheckExamples()))
	return fmt.Sprintf("%d categories, dictionary %s", len(dict.Categories), dict.Version)
}

// prefixed puts the folder before the file names of mistakes.
func prefixed(folder string, err error) error {
	var ms strictyaml.Mistakes
	if folder == "" || !errors.As(err, &ms) {
		return err
	}
	for i := range ms {
		ms[i].File = folder + "/" + ms[i].File
	}
	return ms
}
