package transport

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Our own reader of robots.txt, because the library at hand
// (temoto/robotstxt 1.1.2, the one colly uses) decides wrongly where it
// matters: it matches wildcard rules anywhere in the path and not from its
// start ("Disallow: /a*b" forbids "/x/a/b" as well), measures a rule by
// the length of its regular expression instead of its own, takes the first of
// two equal rules instead of the allowing one, does not normalise percent
// encoding, rejects the whole file for one rule before the first user-agent
// or one crawl-delay that is no number, chooses a group by prefix (the group
// "q" would bind "qingyuan"), and keeps the answer to a 5xx ("disallow all")
// in one of its two interfaces only. Of the 170 cases of Protego's suite it
// passes 116.

// robotsFile holds what one robots.txt says to one product. It is read only.
type robotsFile struct {
	group    string // the user-agent line that bound us: our token, "*" or "" for none
	rules    []robotsRule
	delay    time.Duration // crawl-delay; 0 when none
	sitemaps []string
	size     int // bytes of memory, about
}

type robotsRule struct {
	allow   bool
	pattern string // normalised
	raw     string // as written
	line    int    // from 1
}

const (
	robotsBytes   = 512 << 10 // RFC 9309 §2.5 asks for 500 KiB at least
	maxSitemaps   = 1000
	maxCrawlDelay = 24 * time.Hour
)

// productToken gives the product name at the head of a user agent.
func productToken(userAgent string) string {
	end := strings.IndexFunc(userAgent, func(r rune) bool {
		return !(r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
	if end < 0 {
		end = len(userAgent)
	}
	return strings.ToLower(userAgent[:end])
}

// isNamed reports whether a user-agent line names product. What follows a
// product name is passed over, as in "Qingyuan/2.0" or "Qingyuan2"; a product
// that is more than letters, hyphens and underscores must be named as a whole.
func isNamed(value, product string) bool {
	if product == "" || productToken(product) == product {
		return product != "" && productToken(value) == product
	}
	return wholeName(value) == product
}

// wholeName is a name up to its version or the first blank.
func wholeName(value string) string {
	if end := strings.IndexAny(value, "/ \t"); end >= 0 {
		value = value[:end]
	}
	return strings.ToLower(value)
}

// parseRobots reads what body says to product (lower case). Whatever body is,
// it gives a file; lines that are no rule are passed over, and what lies
// beyond robotsBytes is not read.
func parseRobots(body []byte, product string) *robotsFile {
	if len(body) > robotsBytes {
		body = body[:robotsBytes]
		// A rule cut in two would forbid or allow what it did not mean.
		body = body[:bytes.LastIndexAny(body, "\r\n")+1]
	}
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	ours, all := robotsFile{}, robotsFile{}
	seenOurs, seenAll := false, false
	inOurs, inAll, open := false, false, false // open: still reading user-agent lines
	var sitemaps []string
	for n, line := range splitLines(string(body)) {
		key, value, ok := splitDirective(line)
		if !ok {
			continue
		}
		switch key {
		case "user-agent":
			if !open {
				inOurs, inAll, open = false, false, true
			}
			if value == "*" || strings.HasPrefix(value, "* ") {
				inAll, seenAll = true, true
			} else if isNamed(value, product) {
				inOurs, seenOurs = true, true
			}
		case "allow", "disallow":
			open = false
			if value == "" {
				continue
			}
			r := robotsRule{allow: key == "allow", pattern: normalizePattern(value), raw: value, line: n + 1}
			if inOurs {
				ours.rules = append(ours.rules, r)
			}
			if inAll {
				all.rules = append(all.rules, r)
			}
			if r, ok := folderRule(r); ok && inOurs {
				ours.rules = append(ours.rules, r)
			}
			if r, ok := folderRule(r); ok && inAll {
				all.rules = append(all.rules, r)
			}
		case "crawl-delay":
			// Does not end the list of user-agents: only rules do.
			if d, ok := parseDelay(value); ok {
				if inOurs {
					ours.delay = max(ours.delay, d)
				}
				if inAll {
					all.delay = max(all.delay, d)
				}
			}
		case "sitemap":
			if len(sitemaps) < maxSitemaps && value != "" {
				sitemaps = append(sitemaps, value)
			}
		}
	}
	f := &robotsFile{}
	switch {
	case seenOurs:
		*f = ours
		f.group = product
	case seenAll:
		*f = all
		f.group = "*"
	}
	f.sitemaps = sitemaps
	f.compact()
	return f
}

// folderRule gives what allowing /folder/index.html says of /folder/ itself:
// one page under two names, to the large search engines as well.
func folderRule(r robotsRule) (robotsRule, bool) {
	at := strings.LastIndexByte(r.pattern, '/')
	if at < 0 || !r.allow || r.pattern[at:] != "/index.html" && r.pattern[at:] != "/index.htm" {
		return r, false
	}
	r.pattern = r.pattern[:at+1] + "$"
	return r, true
}

// compact copies what is kept, so that it does not hold the whole file.
func (f *robotsFile) compact() {
	for i, r := range f.rules {
		f.rules[i].pattern, f.rules[i].raw = strings.Clone(r.pattern), strings.Clone(r.raw)
		f.size += 64 + len(r.pattern) + len(r.raw)
	}
	for i, s := range f.sitemaps {
		f.sitemaps[i] = strings.Clone(s)
		f.size += 16 + len(s)
	}
	f.rules = slices.Clip(f.rules)
}

// splitLines parts at LF, CR LF and CR alone.
func splitLines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(s, "\r", "\n"), "\n")
}

// splitDirective reads "key: value # comment". A missing colon and the usual
// misspellings are understood, as by the large search engines: what a site
// plainly meant is not to be evaded by its typing errors.
func splitDirective(line string) (key, value string, ok bool) {
	line, _, _ = strings.Cut(line, "#")
	line = strings.Trim(line, " \t\f\v\x00")
	key, value, ok = strings.Cut(line, ":")
	if fields := strings.Fields(key); !ok || len(fields) == 2 && strings.HasPrefix(value, "//") { // "Sitemap https://…"
		fields = strings.Fields(line)
		if len(fields) != 2 {
			return "", "", false
		}
		key, value = fields[0], fields[1]
	}
	key = strings.ToLower(strings.TrimSpace(key))
	value = strings.TrimSpace(value)
	switch key {
	case "useragent", "user agent":
		key = "user-agent"
	case "dissallow", "dissalow", "disalow", "diasllow", "disallaw":
		key = "disallow"
	case "crawldelay", "crawl delay":
		key = "crawl-delay"
	case "site-map":
		key = "sitemap"
	}
	return key, value, true
}

func parseDelay(value string) (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 {
		return 0, false
	}
	if seconds > maxCrawlDelay.Seconds() {
		return maxCrawlDelay, true
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// test gives the rule that decides about a path (with its query), nil when
// none does. The longest pattern wins, and of equal ones the allowing one
// (RFC 9309 §2.2.2).
func (f *robotsFile) test(path string) *robotsRule {
	target := normalizeTarget(path)
	var best *robotsRule
	for i := range f.rules {
		r := &f.rules[i]
		if best != nil {
			shorter := len(r.pattern) < len(best.pattern)
			equal := len(r.pattern) == len(best.pattern)
			if shorter || equal && (best.allow || !r.allow) {
				continue
			}
		}
		if matchPattern(r.pattern, target) {
			best = r
		}
	}
	return best
}

// matchPattern matches from the start of target. "*" stands for any bytes,
// "$" at the end for the end. It takes the leftmost place for each part, which
// is enough without going back: linear in len(target) for each part.
func matchPattern(pattern, target string) bool {
	pattern, anchored := strings.CutSuffix(pattern, "$")
	head, rest, wild := strings.Cut(pattern, "*")
	if !strings.HasPrefix(target, head) {
		return false
	}
	target = target[len(head):]
	if !wild {
		return !anchored || target == ""
	}
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			if anchored {
				return strings.HasSuffix(target, part)
			}
			return strings.Contains(target, part)
		}
		at := strings.Index(target, part)
		if at < 0 {
			return false
		}
		target, rest = target[at+len(part):], more
	}
}

// normalizePattern brings a rule's path into the form of normalizeTarget and
// leaves its wildcards: every "*", and "$" at the end.
func normalizePattern(value string) string {
	body, anchored := strings.CutSuffix(value, "$")
	body = normalizeOctets(body, true)
	for strings.Contains(body, "**") {
		body = strings.ReplaceAll(body, "**", "*")
	}
	if anchored {
		body += "$"
	}
	return body
}

// normalizeTarget brings a URL's path and query into comparable form. "*" and
// "$" in it are written as %2A and %24, so that they are never taken for
// wildcards (RFC 9309 §2.2.3).
func normalizeTarget(path string) string {
	if path == "" || path[0] == '?' {
		path = "/" + path
	}
	return normalizeOctets(path, false)
}

// normalizeOctets writes octets that no URI may hold percent-encoded in upper case
// and unreserved ones plain (RFC 9309 §2.2.2). In the query, where ":" and "/"
// mean nothing, they are plain as well.
func normalizeOctets(s string, wildcards bool) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = isURIByte(c) && c != '%' && c != '$' && (c != '*' || wildcards)
	}
	if plain {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 16)
	query := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
			if isUnreserved(c) || query && (c == ':' || c == '/') {
				b.WriteByte(c)
				continue
			}
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		switch {
		case c == '?':
			query = true
			b.WriteByte(c)
		case !isURIByte(c), c == '$', c == '%', c == '*' && !wildcards:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isURIByte reports whether c may stand in a path or query as it is.
func isURIByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("\"<>\\^`{|}", c) < 0
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
