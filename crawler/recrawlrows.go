package crawler

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"qingyuan/crawler/frontier"
)

// Row is what a list says of one thread.
type Row struct {
	URL     string        // of the thread, as the list links to it
	Replies string        // how many there are, as written; "" when not said
	Last    time.Time     // of the last reply; zero when not said
	Grain   time.Duration // how exactly Last is said
}

// addRow keeps what a row of a list says of its thread.
func (x *extractor) addRow(rule *PostRule, it *item, thread string) {
	if rule.Replies == nil && rule.LastReply == nil || thread == "" {
		return
	}
	r := Row{URL: thread, Replies: x.line(rule.Replies, it)}
	if len(r.Replies) > 32 {
		r.Replies = r.Replies[:32]
	}
	if r.Last = x.time(rule.LastReply, it); !r.Last.IsZero() {
		r.Grain = grainOf(x.line(rule.LastReply, it))
	}
	if r.Replies != "" || !r.Last.IsZero() {
		x.out.Rows = append(x.out.Rows, r)
	}
}

// grainOf says how exactly a date is written: to say 3 hours ago for an hour is
// to say another moment with every minute.
func grainOf(text string) time.Duration {
	switch {
	case strings.Contains(text, ":") || strings.Contains(text, "："):
		return 2 * time.Minute
	case strings.Contains(text, "秒") || strings.Contains(text, "刚") || strings.Contains(text, "分") || strings.Contains(text, "min") || strings.Contains(text, "sec"):
		return 2 * time.Minute
	case strings.Contains(text, "时") || strings.Contains(text, "hour"):
		return 90 * time.Minute
	}
	return 36 * time.Hour
}

// mark is the row in one line, to be compared with a later one by moved.
func (r Row) mark() string {
	at := int64(0)
	if !r.Last.IsZero() {
		at = r.Last.Unix()
	}
	return fmt.Sprintf("%d %d %s", at, int64(r.Grain/time.Second), r.Replies)
}

// exact reports whether a reply shows in the row, so that the thread need not
// be asked.
func (r Row) exact() bool { return r.Replies != "" || !r.Last.IsZero() && r.Grain <= 2*time.Hour }

// moved reports whether the thread was replied to, or lost a reply, since mark
// was made.
func (r Row) moved(mark string) bool {
	parts := strings.SplitN(mark, " ", 3)
	if len(parts) != 3 {
		return true
	}
	if r.Replies != parts[2] {
		return true
	}
	at, err1 := strconv.ParseInt(parts[0], 10, 64)
	grain, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err1 != nil || err2 != nil || (at == 0) != r.Last.IsZero() {
		return true
	}
	return at != 0 && r.Last.Sub(time.Unix(at, 0)).Abs() > max(r.Grain, time.Duration(grain)*time.Second)
}

// place is where in a site a URL stands.
type place struct {
	rule   *PageRule
	list   bool
	thread string // Post.ThreadURL of what stands there; "" when the rule has no thread
	number int    // of the page, in its thread or list; from 1
}

var rePageNumber = regexp.MustCompile(`(?:^|[?&])(?:page|paged|p|pn|cpage|pg|start|offset)=(\d+)(?:&|$)`)

// place finds out where a URL stands; ok is false when no rule fits it.
func (s *Source) place(rawURL string) (p place, ok bool) {
	u, err := url.Parse(rawURL)
	if err != nil || !s.inScope(u) {
		return place{}, false
	}
	rule, ok := s.ruleFor(u)
	if !ok {
		return place{}, false
	}
	p = place{rule: rule, list: rule.isList(), number: 1}
	path := pathAndQuery(u)
	number, vars := "", map[string]string{}
	if m := rule.match.FindStringSubmatch(path); m != nil {
		for i, name := range rule.match.SubexpNames() {
			if name == pageGroup {
				number = m[i]
			} else if name != "" && m[i] != "" {
				vars[name] = m[i]
			}
		}
	}
	if m := rePageNumber.FindStringSubmatch(u.RawQuery); number == "" && m != nil {
		number = m[1]
	}
	if n, err := strconv.Atoi(number); err == nil && n > 1 {
		p.number = n
	}
	if rule.Thread == "" {
		return p, true
	}
	u.Fragment, u.RawFragment = "", ""
	vars["page"] = u.String()
	if t, ok := expand(rule.Thread, "", vars, nil); ok {
		if base, err := parseBase(u.String()); err == nil {
			p.thread, _ = resolveURL(base, t)
		}
	}
	return p, true
}

// isList tells pages that lead to posts from pages that hold them.
func (r *PageRule) isList() bool {
	for _, p := range r.Posts {
		if !p.Preview {
			return false
		}
	}
	return true
}

// before is the URL of the page before one of a thread: its number less by
// one, or the thread's own URL.
func (p place) before(rawURL string) string {
	if p.number <= 2 {
		return p.thread
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return p.thread
	}
	path := pathAndQuery(u)
	m := p.rule.match.FindStringSubmatchIndex(path)
	i := p.rule.match.SubexpIndex(pageGroup)
	if m == nil || i < 0 || m[2*i] < 0 {
		return p.thread
	}
	return u.Scheme + "://" + u.Host + path[:m[2*i]] + strconv.Itoa(p.number-1) + path[m[2*i+1]:]
}

// threadKey is where the note of a thread is kept.
func threadKey(source, thread string) string { return "thread:" + frontier.ID(source, thread) }
