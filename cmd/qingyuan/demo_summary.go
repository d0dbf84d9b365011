package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"qingyuan/classify"
	"qingyuan/crawler"
)

// printSummary shows what was found, by site and by category.
func (d *demo) printSummary(s crawler.Summary) error {
	var b strings.Builder
	zh := d.config.Language != "en"
	t := table{zh: zh}
	t.row(&b, "站点", "Site", "页面", "pages", "帖子", "posts", "命中", "hits")
	for _, site := range d.town.Sites() {
		per := s.PerSource[site.Name]
		fmt.Fprintf(&b, "%s %6d %6d %6d\n", runewidth.FillRight(site.Title, nameWidth), per.Pages, per.Posts, d.hits.source(site.Name))
	}
	fmt.Fprintf(&b, "%s %6d %6d %6d\n\n", runewidth.FillRight(t.word("合计", "total"), nameWidth), s.Pages, s.Posts, d.hits.total())
	names, err := categoryNames(d.config)
	if err != nil {
		return err
	}
	byCount := slices.SortedFunc(maps.Keys(d.hits.byCategory), func(x, y string) int {
		return cmp.Or(cmp.Compare(d.hits.byCategory[y], d.hits.byCategory[x]), cmp.Compare(x, y))
	})
	for _, id := range byCount {
		fmt.Fprintf(&b, "%s %6d  %s\n", runewidth.FillRight(names[id].In(d.config.Language), nameWidth), d.hits.byCategory[id], id)
	}
	d.errors(&b, t, s)
	fmt.Fprintf(&b, "\n%s %s\n", t.word("用时", "took"), s.Duration.Round(10*time.Millisecond))
	_, err = fmt.Fprint(d.std.out, "\n", b.String())
	return err
}

// errors lists the pages that failed: those given up, and how many came right.
func (d *demo) errors(b *strings.Builder, t table, s crawler.Summary) {
	recovered := 0
	for _, e := range s.Errors {
		if !e.Final {
			recovered++
			continue
		}
		fmt.Fprintf(b, "%s %s (%d): %s\n", t.word("放弃", "given up"), oneLine(e.URL, 80), e.Status, oneLine(e.Reason, 80))
	}
	if recovered > 0 {
		fmt.Fprintf(b, t.word("另有 %d 个页面首次失败、重试后成功\n", "%d more pages failed at first and came right on a later try\n"), recovered)
	}
}

// nameWidth is the width of the first column, in terminal cells.
const nameWidth = 44

// table picks words by language.
type table struct{ zh bool }

func (t table) word(zh, en string) string {
	if t.zh {
		return zh
	}
	return en
}

func (t table) row(b *strings.Builder, pairs ...string) {
	fmt.Fprintf(b, "%s", runewidth.FillRight(t.word(pairs[0], pairs[1]), nameWidth))
	for i := 2; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(b, " %s", runewidth.FillLeft(t.word(pairs[i], pairs[i+1]), 6))
	}
	b.WriteByte('\n')
}

// categoryNames maps category ids to their names.
func categoryNames(c config) (map[string]classify.Name, error) {
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return nil, err
	}
	names := map[string]classify.Name{}
	for _, cat := range dict.Categories {
		names[cat.ID] = cat.Name
	}
	return names, nil
}
