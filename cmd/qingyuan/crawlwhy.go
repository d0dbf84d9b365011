package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/triage"
)

// runCrawlWhy is qingyuan crawl why: why a URL was not fetched, or when it was
// and will be. It reads beside a running crawl and fetches nothing.
func runCrawlWhy(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "crawl why", "URL...", "data", "lang")
	asJSON := f.Bool("json", false, "print one JSON line for each URL and source")
	name := f.String("frontier", defaultFrontierFile, "`file` of the frontier in the data folder")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() == 0 {
		return misusef("name at least one URL")
	}
	sources, err := loadSources(c)
	if err != nil {
		return err
	}
	db, err := readFrontier(ctx, c, *name, newLogger(std, c))
	if err != nil {
		return err
	}
	defer db.Close()
	out := json.NewEncoder(std.out)
	out.SetEscapeHTML(false)
	for _, u := range f.Args() {
		answers, err := crawler.Explain(ctx, db, sources, u, time.Now())
		if err != nil {
			return err
		}
		for _, w := range answers {
			if *asJSON {
				err = out.Encode(w)
			} else {
				_, err = fmt.Fprintln(std.out, whyText(w, c.Language, time.Now()))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// whyWords are the sentences of an answer, Chinese and English, by code.
var whyWords = map[crawler.WhyCode][2]string{
	crawler.WhyBadURL:  {"不会抓取：这不是可抓取的网址", "will not be fetched: this is no URL that can be"},
	crawler.WhyScope:   {"不会抓取：不属于任何站点配置的 hosts 范围", "will not be fetched: it is on no site's hosts"},
	crawler.WhyNoRule:  {"不会抓取：在站点范围内，但没有页面规则与之匹配", "will not be fetched: the site has it in scope, but no page rule fits"},
	crawler.WhyUnknown: {"尚未发现：可以抓取，但还没有任何页面链接到它", "not found yet: it could be fetched, but no fetched page names it"},
	crawler.WhyQueued:  {"排队中", "queued"},
	crawler.WhyLater:   {"等待中，未到抓取时间", "waiting, not due yet"},
	crawler.WhyHost:    {"等待中，该主机暂停访问", "waiting, its host is left alone for now"},
	crawler.WhyLeased:  {"正在抓取", "being fetched now"},
	crawler.WhyFetched: {"已抓取", "fetched"},
	crawler.WhyLeftOut: {"本轮未抓取：轮到之前本轮已结束", "left out: the pass ended before its turn"},
	crawler.WhyDead:    {"已放弃", "given up"},
	crawler.WhyRobots:  {"不抓取：robots.txt 禁止，或 robots.txt 暂时无法读取", "not fetched: robots.txt forbids it, or cannot be read for now"},
	crawler.WhyBudget:  {"未抓取：超出页数、深度或排队上限", "not fetched: over a limit of pages, depth or queue"},
	crawler.WhyTrap:    {"未抓取：判定为爬虫陷阱", "not fetched: taken for a crawler trap"},
}

// whySentence is the answer in short.
func whySentence(w crawler.Why, lang string) string {
	return classify.Name{Zh: whyWords[w.Code][0], En: whyWords[w.Code][1]}.In(lang)
}

// whyText tells a person.
func whyText(w crawler.Why, lang string, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s", w.URL, whySentence(w, lang))
	for _, l := range whyLines(w, lang, now) {
		fmt.Fprintf(&b, "\n  %s: %s", l.Label, l.Value)
	}
	return b.String()
}

// whyLines are the details of an answer.
func whyLines(w crawler.Why, lang string, now time.Time) (lines []triage.WhyLine) {
	labels := [...]string{"原因", "规范网址", "站点", "页面规则", "时间", "最早下次抓取", "同主机排在前面", "已失败次数", "来自", "HTTP 状态"}
	if lang == "en" {
		labels = [...]string{"reason", "known as", "site", "page rule", "at", "not fetched again before", "pages of the host ahead", "failed tries", "found on", "HTTP status"}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(shanghai()).Format("2006-01-02 15:04:05 -07:00")
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	next := at(w.Next)
	if next != "" && w.Next.After(now) {
		wait := w.Next.Sub(now).Round(time.Second)
		next += " (" + map[bool]string{false: wait.String() + " 后", true: "in " + wait.String()}[lang == "en"] + ")"
	}
	for i, value := range [...]string{w.Reason, w.DuplicateOf, w.Source, w.Page, at(w.At), next, number(w.Ahead), number(w.Tries), w.Parent, number(w.Status)} {
		if value != "" {
			lines = append(lines, triage.WhyLine{Label: labels[i], Value: value})
		}
	}
	return lines
}
