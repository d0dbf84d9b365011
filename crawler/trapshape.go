package crawler

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// urlShape is what trap detection sees in a canonical URL.
type urlShape struct {
	pattern string   // numbers, dates, tokens and words replaced: URLs of one kind of page
	path    string   // pattern without the query
	odd     string   // a form that no page has, in words; "" for none
	date    bool     // names a day, month or year
	double  bool     // a word comes twice in the path
	offDate bool     // one that lies in the future or before the web
	params  []param  //
	tokens  []string // names of parameters whose values are tokens, places of such segments
	words   []string // names of parameters whose values are words: orders, views, filters
	bare    string   // the URL without its tokens
	core    string   // bare without its words
}

var (
	reDate  = regexp.MustCompile(`(?:^|[^0-9])((?:19|20)\d\d)(?:[-_/.年]?(0[1-9]|1[0-2])|[-_/.年](\d{1,2}))(?:[-_/.月]?(0[1-9]|[12]\d|3[01]))?(?:[^0-9]|$)`)
	reHex   = regexp.MustCompile(`^[0-9a-fA-F]{16,}$`)
	reToken = regexp.MustCompile(`^[0-9A-Za-z_~.-]{20,}$`)
)

// enumParams choose the sort of page, so their values tell patterns apart.
var enumParams = map[string]bool{
	"mod": true, "do": true, "ac": true, "act": true, "action": true, "op": true, "module": true, "route": true,
}

const (
	maxSegments = 24
	maxParams   = 24
	maxWord     = 24 // letters of a literal in a pattern
)

// shapeOf reads a canonical URL.
func shapeOf(canonical string, now time.Time) urlShape {
	_, rest, _ := strings.Cut(canonical, "://")
	host, target, _ := strings.Cut(rest, "/")
	path, query, _ := strings.Cut(target, "?")
	sh := urlShape{params: splitParams(query)}
	segments := strings.Split(path, "/")
	sh.odd = oddPath(segments)
	sh.double = doubled(segments)
	if sh.odd == "" {
		sh.odd = oddQuery(sh.params, canonical)
	}
	sh.dates(path, now)
	var bare, shown []string
	for i, s := range segments {
		text := s
		if strings.Contains(s, "%") {
			if t, err := url.PathUnescape(s); err == nil {
				text = t
			}
		}
		switch {
		case isToken(text):
			sh.tokens = append(sh.tokens, "/"+strconv.Itoa(i))
			text, s = "{token}", "{token}"
		case hasDigit(text):
			text = maskDigits(text)
			if strings.Count(text, "{n}") > 6 || len(text) > 2*maxWord+20 {
				text = "{word}"
			}
		case i > 0 || len(text) > maxWord:
			text = "{word}" + extension(text)
		}
		bare, shown = append(bare, s), append(shown, text)
	}
	if len(shown) > 8 {
		shown = append(shown[:8], "…")
	}
	sh.path = host + "/" + strings.Join(shown, "/")
	sh.pattern, sh.bare = sh.path, host+"/"+strings.Join(bare, "/")
	sh.query(now)
	return sh
}

// query adds the parameters to pattern and bare.
func (sh *urlShape) query(now time.Time) {
	var names, kept, core []string
	for _, p := range sh.params {
		name, value := p.name(), p.value()
		if isToken(value) {
			sh.tokens = append(sh.tokens, name)
			names = append(names, name+"={token}")
			continue
		}
		sh.dates(value, now)
		kept = append(kept, string(p))
		if enumParams[name] || hasDigit(value) {
			core = append(core, string(p))
		} else {
			sh.words = append(sh.words, sh.path+" "+name) // of these pages only: lists may have another use for it
		}
		if enumParams[name] && len(value) <= maxWord && !hasDigit(value) {
			name += "=" + value
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	slices.Sort(kept) // the order decides nothing as far as pages are compared
	if len(names) > 0 {
		sh.pattern += "?" + strings.Join(names, "&")
	}
	slices.Sort(core)
	sh.core = sh.bare
	if len(core) > 0 {
		sh.core += "?" + strings.Join(core, "&")
	}
	if len(kept) > 0 {
		sh.bare += "?" + strings.Join(kept, "&")
	}
	sh.calendarParams(now)
}

// calendarParams finds year=2031&month=5.
func (sh *urlShape) calendarParams(now time.Time) {
	year, month := 0, 1
	for _, p := range sh.params {
		n, err := strconv.Atoi(p.value())
		if err != nil {
			continue
		}
		switch p.name() {
		case "year", "y", "yr", "yyyy":
			if n > 1000 && n < 10000 {
				year = n
			}
		case "month", "mon", "mm":
			month = n
		}
	}
	if year > 0 {
		sh.mark(year, min(max(month, 1), 12), now)
	}
}

func (sh *urlShape) dates(text string, now time.Time) {
	if !strings.Contains(text, "19") && !strings.Contains(text, "20") {
		return
	}
	m := reDate.FindStringSubmatch(text)
	if m == nil {
		return
	}
	year, _ := strconv.Atoi(m[1])
	month, _ := strconv.Atoi(m[2] + m[3])
	if month >= 1 && month <= 12 {
		sh.mark(year, month, now)
	}
}

func (sh *urlShape) mark(year, month int, now time.Time) {
	sh.date = true
	first := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC)
	if first.After(now.AddDate(0, 1, 0)) || year < 1995 {
		sh.offDate = true
	}
}

// isToken tells session ids and the like from words and numbers.
func isToken(s string) bool {
	if len(s) < 16 || isDecimal(s) {
		return false
	}
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(s, "(S("), "("), "))")
	if reHex.MatchString(s) {
		return strings.ContainsAny(s, "0123456789") && (len(s) >= 24 || strings.ContainsAny(s, "abcdefABCDEF"))
	}
	if !reToken.MatchString(s) {
		return false
	}
	changes, last := 0, -1
	for _, c := range []byte(s) { // words-with-hyphens-2026 change seldom between letters and digits
		kind := 0
		switch {
		case c >= '0' && c <= '9':
			kind = 1
		case c >= 'A' && c <= 'Z':
			kind = 2
		case c == '-' || c == '_' || c == '.' || c == '~':
			continue
		}
		if last >= 0 && kind != last {
			changes++
		}
		last = kind
	}
	return changes >= len(s)/4
}

func extension(s string) string {
	if at := strings.LastIndexByte(s, '.'); at > 0 && len(s)-at <= 6 {
		return s[at:]
	}
	return ""
}

// oddPath names a path that runs in circles.
func oddPath(segments []string) string {
	if n := len(segments); n > maxSegments {
		return fmt.Sprintf("path of %d segments", n)
	}
	counts := map[string]int{}
	for i, s := range segments {
		if s == "" {
			if i > 0 && i < len(segments)-1 {
				counts[s]++
			}
		} else if !isDecimal(s) {
			counts[s]++
		}
		if counts[s] >= 4 {
			return fmt.Sprintf("path segment %q comes %d times", s, counts[s])
		}
	}
	for size := 1; size <= 6 && 3*size <= len(segments); size++ {
		for at := 0; at+3*size <= len(segments); at++ {
			one := segments[at : at+size]
			if slices.Equal(one, segments[at+size:at+2*size]) && slices.Equal(one, segments[at+2*size:at+3*size]) && !numeric(one) {
				return fmt.Sprintf("path repeats %q", strings.Join(one, "/"))
			}
		}
	}
	return ""
}

// doubled reports whether a word comes twice in a path: seldom on purpose, and
// always at the second turn of a circle.
func doubled(segments []string) bool {
	for i, s := range segments {
		if len(s) > 1 && !isDecimal(s) && slices.Contains(segments[i+1:], s) {
			return true
		}
	}
	return false
}

func numeric(segments []string) bool {
	for _, s := range segments {
		if !isDecimal(s) {
			return false
		}
	}
	return true
}

// oddQuery names a query that grows by itself.
func oddQuery(params []param, canonical string) string {
	if len(params) > maxParams {
		return fmt.Sprintf("query of %d parameters", len(params))
	}
	counts := map[param]int{}
	for _, p := range params {
		if counts[p]++; counts[p] >= 3 {
			return fmt.Sprintf("parameter %q comes %d times", p, counts[p])
		}
	}
	if strings.Contains(canonical, "%252525") {
		return "escaped again and again"
	}
	return ""
}

// hash64 makes the keys of the bounded maps.
func hash64(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p)) //nolint:errcheck // never fails
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// seriesOf tells whether url is a further page of what parent is a page of:
// one number differs, or one numeric parameter is added. It gives the series,
// the URL with that number replaced.
func seriesOf(parent, url string) (series string, ok bool) {
	if parent == "" || parent == url {
		return "", false
	}
	if at, end, ok := oneNumber(parent, url); ok {
		return url[:at] + "{page}" + url[end:], true
	}
	if !strings.Contains(url, "?") || len(url) <= len(parent) {
		return "", false
	}
	base, query, _ := strings.Cut(url, "?")
	parentBase, parentQuery, _ := strings.Cut(parent, "?")
	params, parentParams := splitParams(query), splitParams(parentQuery)
	if base != parentBase || len(params) != len(parentParams)+1 {
		return "", false
	}
	added := slices.IndexFunc(params, func(p param) bool { return !slices.Contains(parentParams, p) })
	if added < 0 || !isDecimal(params[added].value()) {
		return "", false
	}
	rest := slices.Delete(slices.Clone(params), added, added+1)
	if !slices.Equal(rest, parentParams) {
		return "", false
	}
	name, _, _ := strings.Cut(string(params[added]), "=")
	params[added] = param(name + "={page}")
	return joinParams(base, params), true
}

// oneNumber finds the number of url in which alone it differs from parent.
func oneNumber(parent, url string) (at, end int, ok bool) {
	i, j := 0, 0
	for i < len(parent) && j < len(url) {
		a, b := digits(parent[i:]), digits(url[j:])
		switch {
		case a == 0 && b == 0:
			if parent[i] != url[j] {
				return 0, 0, false
			}
			i, j = i+1, j+1
			continue
		case a == 0 || b == 0:
			return 0, 0, false
		case parent[i:i+a] != url[j:j+b]:
			if ok {
				return 0, 0, false
			}
			at, end, ok = j, j+b, true
		}
		i, j = i+a, j+b
	}
	return at, end, ok && i == len(parent) && j == len(url)
}

// digits counts those at the beginning of s.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// isDecimal reports whether s is a number of at most 12 digits.
func isDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && len(s) <= 12 && digits(s) == len(s)
}

// maskDigits writes {n} for every number.
func maskDigits(s string) string {
	var b strings.Builder
	for s != "" {
		if n := digits(s); n > 0 {
			b.WriteString("{n}")
			s = s[n:]
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}
