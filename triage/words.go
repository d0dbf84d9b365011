package triage

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/classify"
)

// languages are those the pages speak.
var languages = [...]string{"zh", "en"}

func knownLanguage(lang string) bool { return slices.Contains(languages[:], lang) }

// text returns the words of the pages for a key, or the key itself, so that a
// missing one is seen and not silent.
func text(lang, key string) string {
	for _, table := range [...]map[string]classify.Name{words, labels, statusWords, dictWords, apiWords} {
		if n, ok := table[key]; ok {
			return n.In(lang)
		}
	}
	return key
}

// label names an id of a fixed list; ids that no list knows are shown as they
// are, for the store may be newer or the operators' own.
func label(lang, list, id string) string {
	for _, table := range [...]map[string]classify.Name{labels, statusWords} {
		if n, ok := table[list+"."+id]; ok {
			return n.In(lang)
		}
	}
	return id
}

func fieldLabel(lang, field string) string { return label(lang, "field", field) }

// evasionIDs lists the disguises that have a name, in the order of the help.
func evasionIDs() []string {
	var out []string
	for key := range labels {
		if id, ok := strings.CutPrefix(key, "evasion."); ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// funcs are what templates may call, in one language.
func (s *Server) funcs(lang string) template.FuncMap {
	return template.FuncMap{
		"t":      func(key string) string { return text(lang, key) },
		"tf":     func(key string, args ...any) string { return fmt.Sprintf(text(lang, key), args...) },
		"label":  func(list string, id any) string { return plain(label(lang, list, fmt.Sprint(id))) },
		"field":  func(name string) string { return fieldLabel(lang, name) },
		"plain":  plain,
		"num":    groupDigits,
		"share":  func(f float64) string { return strconv.FormatFloat(bounded(f), 'f', 2, 64) },
		"signed": func(f float64) string { return fmt.Sprintf("%+.2f", f) },
		"width":  func(f float64) string { return strconv.FormatFloat(100*bounded(f), 'f', 1, 64) },
		"fix":    func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) },
		"when":   s.when,
		"iso":    func(t time.Time) string { return t.Format(time.RFC3339) },
		"search": queryHref,
		"post":   func(id string) string { return "/post/" + url.PathEscape(id) },
		"back":   url.QueryEscape,
		"source": func(id string) string { return plain(s.sourceName(id)) },
		"asset":  func(name string) string { return "/assets/" + name + "?" + s.assets[name].version },
		"note":   func(n *notice) string { return noticeText(lang, n) },
		"status": func(row string) string { return label(lang, "status", row) },
		"reasonNote": func(action, to, note string) string {
			if action == "status" && to == "dismissed" {
				return label(lang, "reason", note)
			}
			return plain(note)
		},
		"auditValue": func(action, value string) string {
			if action == "status" || action == "reveal" {
				return label(lang, action, value)
			}
			return plain(value)
		},
		"add":      func(a, b int) int { return a + b },
		"bytes":    Bytes,
		"ago":      func(t time.Time) string { return Ago(lang, s.now().Sub(t)) },
		"ahead":    func(t time.Time) bool { return t.After(s.now()) },
		"clock":    func(t time.Time) string { return s.clock(t) },
		"why":      func(u string) string { return "/status?" + url.Values{"url": {u}}.Encode() + "#why" },
		"category": func(id string) string { return plain(s.categoryName(id, lang)) },
		"entry":    entryHref,
	}
}

// when writes a time of the day where the analysts are.
func (s *Server) when(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(s.loc).Format("2006-01-02 15:04")
}

// clock writes a time of today without its day.
func (s *Server) clock(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	t = t.In(s.loc)
	if now := s.now().In(s.loc); t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		return t.Format("01-02 15:04")
	}
	return t.Format("15:04:05")
}

// bounded keeps a share between 0 and 1; stored verdicts are not trusted.
func bounded(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return min(max(f, 0), 1)
}

// groupDigits writes 1234567 as 1,234,567.
func groupDigits(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func noticeText(lang string, n *notice) string {
	if _, ok := labels["status."+n.Key]; ok {
		if n.Count > 1 {
			return fmt.Sprintf(text(lang, "notice.statuses"), n.Count, label(lang, "status", n.Key))
		}
		return fmt.Sprintf(text(lang, "notice.status"), label(lang, "status", n.Key))
	}
	t := text(lang, "notice."+n.Key)
	if strings.Contains(t, "%d") {
		return fmt.Sprintf(t, n.Count)
	}
	return t
}
