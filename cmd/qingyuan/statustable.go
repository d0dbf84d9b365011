package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"qingyuan/triage"
)

// statusTable writes a status as lines of a terminal, none wider than width.
type statusTable struct {
	lang          string
	color         bool
	width, height int  // cells and lines at most
	stopping      bool // a signal came
	over          bool // the last time it is drawn
}

func (t statusTable) word(zh, en string) string {
	if t.lang == "en" {
		return en
	}
	return zh
}

// column is one of the numbers of a site.
type column struct {
	zh, en string
	width  int
	value  func(triage.SiteStatus) string
}

func (t statusTable) columns(at time.Time) []column {
	number := func(get func(triage.SiteStatus) int) func(triage.SiteStatus) string {
		return func(s triage.SiteStatus) string { return shortNumber(get(s)) }
	}
	out := []column{
		{"待抓", "queue", 6, number(func(s triage.SiteStatus) int { return s.Queued })},
		{"在途", "work", 4, number(func(s triage.SiteStatus) int { return s.Leased })},
		{"已抓", "pages", 6, number(func(s triage.SiteStatus) int { return s.Fetched })},
		{"失败", "fail", 4, number(func(s triage.SiteStatus) int { return s.GivenUp })},
		{"帖子", "posts", 6, number(func(s triage.SiteStatus) int { return s.Posts })},
		{"命中", "hits", 5, number(func(s triage.SiteStatus) int { return s.Hits })},
	}
	if t.width < 34 {
		return []column{out[5]}
	}
	if t.width < 60 {
		return []column{out[0], out[2], out[5]}
	}
	if t.width >= 75 {
		out = append(out, column{"产出", "yield", 5, func(s triage.SiteStatus) string { return fmt.Sprintf("%.1f", s.Yield) }})
	}
	if t.width >= 90 {
		out = append(out, column{"页/秒", "p/s", 5, func(s triage.SiteStatus) string { return fmt.Sprintf("%.1f", s.Rate) }})
	}
	if t.width >= 105 {
		out = append(out, column{"最近命中", "last hit", 8, func(s triage.SiteStatus) string {
			if s.LastHit.IsZero() {
				return "-"
			}
			return shortSpan(t.lang, at.Sub(s.LastHit))
		}}, column{"未到期", "not due", 7, number(func(s triage.SiteStatus) int { return s.NotDue })})
	}
	return out
}

// lines makes the table.
func (t statusTable) lines(st triage.Status) []string {
	t.width, t.height = max(t.width, 1), max(t.height, 4)
	head := []string{t.headline(st)}
	columns := t.columns(st.At)
	name := min(max(t.width/6, 12), 28)
	head = append(head, t.paint("2", t.row(name, columns, t.word("站点", "site"), func(c column) string { return t.word(c.zh, c.en) }, t.word("状况", "state"))))
	var foot []string
	if len(st.Sites) > 1 {
		foot = append(foot, t.paint("1", t.row(name, columns, t.word("合计", "total"), func(c column) string { return c.value(st.Total) }, t.lastHit(st))))
	}
	if errs := t.errors(st.Total); errs != "" {
		foot = append(foot, t.fit(t.word("失败：", "failures: ")+errs))
	}
	foot = append(foot, t.alarms(st)...)
	if st.Problem != "" {
		foot = append(foot, t.paint("31", t.fit(t.word("故障：", "problem: ")+safeText(st.Problem))))
	}
	foot = append(foot, t.paint("2", t.fit(t.ending())))
	room := max(t.height-len(head)-len(foot), 1)
	sites, left := st.Sites, 0
	if len(sites) > room {
		sites = slices.Clone(sites)
		slices.SortStableFunc(sites, func(a, b triage.SiteStatus) int { return cmp.Compare(interest(a), interest(b)) })
		left = len(sites) - max(room-1, 1)
		sites = sites[:len(sites)-left]
	}
	out := head
	for _, s := range sites {
		out = append(out, t.row(name, columns, safeText(cmp.Or(s.Title, s.Site)), func(c column) string { return c.value(s) }, t.state(s, st.At)))
	}
	if left > 0 {
		out = append(out, t.fit(fmt.Sprintf(t.word("另有 %d 个站点", "%d more sites"), left)))
	}
	out = append(out, foot...)
	return out[:min(len(out), t.height)]
}

// interest orders sites when not all have room: trouble first, then work.
func interest(s triage.SiteStatus) int {
	switch s.Waiting {
	case "store", "wall", "robots", "retry_after", "backoff", "budget":
		return 0
	case "working", "queued", "delay":
		return 1
	}
	return 2
}

func (t statusTable) headline(st triage.Status) string {
	what := t.word("清源 采集中", "Qingyuan crawls")
	switch {
	case t.over:
		what = t.word("清源 采集结束", "Qingyuan crawled")
	case t.stopping:
		what = t.word("清源 正在停止", "Qingyuan is stopping")
	}
	parts := []string{what, shortSpan(t.lang, st.At.Sub(st.Since)), fmt.Sprintf("%.1f %s", st.Rate, t.word("页/秒", "pages/s")),
		t.word("内存 ", "memory ") + triage.Bytes(st.Memory)}
	if st.Total.Retried > 0 {
		parts = append(parts, fmt.Sprintf(t.word("重试 %s", "%s retries"), shortNumber(st.Total.Retried)))
	}
	if st.Total.Refused > 0 {
		parts = append(parts, fmt.Sprintf(t.word("陷阱/超额 %s", "%s refused"), shortNumber(st.Total.Refused)))
	}
	return t.paint("1", t.fit(strings.Join(parts, " | ")))
}

func (t statusTable) ending() string {
	switch {
	case t.over:
		return t.word("采集已结束", "the crawl has ended")
	case t.stopping:
		return t.word("正在归还在途页面并写完数据；再按 Ctrl-C 立即退出", "giving pages in work back and writing what is open; Ctrl-C again ends at once")
	}
	return t.word("Ctrl-C 停止", "Ctrl-C stops")
}

// row lays out one line; what is left of the width is for the state.
func (t statusTable) row(name int, columns []column, title string, value func(column) string, state string) string {
	line := pad(title, name)
	for _, c := range columns {
		line += " " + cells.FillLeft(cells.Truncate(value(c), c.width, ""), c.width)
	}
	line = t.fit(line)
	if left := t.width - cells.StringWidth(line) - 2; left > 4 {
		code, plain, colored := strings.Cut(state, "\x00")
		if !colored {
			code, plain = "", state
		}
		line += "  " + t.paint(code, cells.Truncate(plain, left, ".."))
	}
	return line
}

// state says what a site waits for, until when and why. A colour may stand
// before it, up to a NUL.
func (t statusTable) state(s triage.SiteStatus, at time.Time) string {
	text := triage.Label(t.lang, "waiting", s.Waiting)
	if s.Until.After(at) {
		text += " " + shortSpan(t.lang, s.Until.Sub(at))
	}
	if s.Reason != "" {
		text += " " + safeText(shortReason(s.Reason))
	} else if errs := t.errors(s); errs != "" {
		text += " (" + errs + ")"
	}
	switch s.Waiting {
	case "wall", "store":
		return "31\x00" + text
	case "backoff", "retry_after", "robots", "budget":
		return "33\x00" + text
	case "working":
		return "32\x00" + text
	}
	return text
}

// shortReason leaves out of a reason what the table says anyway.
func shortReason(reason string) string {
	return strings.TrimPrefix(strings.TrimPrefix(reason, "blocked: "), "robots.txt: ")
}

// lastHit says when and where the newest hit was found.
func (t statusTable) lastHit(st triage.Status) string {
	for _, s := range st.Sites {
		if !s.LastHit.IsZero() && s.LastHit.Equal(st.Total.LastHit) {
			return fmt.Sprintf(t.word("%s前命中 %s", "hit %s ago %s"), shortSpan(t.lang, st.At.Sub(s.LastHit)), safeText(cmp.Or(s.Title, s.Site)))
		}
	}
	return ""
}

// errors lists failures by class, the most frequent first.
func (t statusTable) errors(s triage.SiteStatus) string {
	classes := slices.SortedFunc(maps.Keys(s.Errors), func(a, b string) int { return cmp.Or(s.Errors[b]-s.Errors[a], cmp.Compare(a, b)) })
	parts := make([]string, len(classes))
	for i, c := range classes {
		parts[i] = safeText(triage.Label(t.lang, "reason_class", c)) + " " + shortNumber(s.Errors[c])
	}
	return strings.Join(parts, t.word("，", ", "))
}

// alarms shows the first ones.
func (t statusTable) alarms(st triage.Status) (out []string) {
	for i, a := range st.Alarms {
		if i == 3 {
			return append(out, t.paint("31", t.fit(fmt.Sprintf(t.word("另有 %d 个告警", "%d more alarms"), len(st.Alarms)-i))))
		}
		out = append(out, t.paint("31", t.fit(fmt.Sprintf("%s %s %s %s", triage.Label(t.lang, "alarm", a.Kind), safeText(a.Site), safeText(a.Host), safeText(a.Reason)))))
	}
	return out
}

func (t statusTable) fit(s string) string { return cells.Truncate(s, t.width, "..") }

func (t statusTable) paint(code, s string) string {
	if !t.color || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func pad(s string, width int) string { return cells.FillRight(cells.Truncate(s, width, ".."), width) }

// safeText keeps of a text of others what every terminal shows at the width we
// count with: one cell for ASCII, two for what is Chinese.
func safeText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= ' ' && r < 0x7f, unicode.Is(unicode.Han, r), r >= 0x3001 && r <= 0x3029, r >= 0xff01 && r <= 0xff5e:
			return r
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r):
			return -1
		}
		return '?'
	}, s)
}

// shortNumber writes a count in at most six cells.
func shortNumber(n int) string {
	switch {
	case n < 100_000:
		return strconv.Itoa(n)
	case n < 10_000_000:
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n/1_000_000) + "M"
}

// shortSpan is triage.Ago in fewer cells.
func shortSpan(lang string, d time.Duration) string {
	return strings.ReplaceAll(triage.Ago(lang, d), " ", "")
}
