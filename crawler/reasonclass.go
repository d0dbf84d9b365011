package crawler

import (
	"strconv"
	"strings"
)

// ReasonClass says in one word what sort of reason an Event, a PageError or
// the frontier names. It is for counting and grouping: there are few classes,
// all in ReasonClasses, and what fits none is "other". It looks at the text
// alone, which is all that is kept, and takes nothing in it as well formed.
func ReasonClass(reason string) string {
	if strings.HasPrefix(reason, "sink: ") {
		return "store"
	}
	if rest, ok := strings.CutPrefix(reason, "Get "); ok { // of *url.Error: Get "URL": what happened
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			reason = strings.TrimPrefix(rest[len(quoted):], ": ")
		}
	}
	reason, blocked := strings.CutPrefix(reason, "blocked: ")
	if rest, ok := strings.CutPrefix(reason, "status "); ok {
		return statusClass(rest)
	}
	if blocked {
		return "wall"
	}
	for _, c := range reasonPrefixes {
		if strings.HasPrefix(reason, c.text) {
			return c.class
		}
	}
	for _, c := range reasonParts {
		if strings.Contains(reason, c.text) {
			return c.class
		}
	}
	return "other"
}

// ReasonClasses lists what ReasonClass returns.
var ReasonClasses = [...]string{"not_found", "forbidden", "rate_limit", "http_4xx", "http_5xx", "robots", "wall", "timeout", "dns", "connection", "tls", "truncated",
	"too_large", "content_type", "encoding", "scope", "address", "redirect", "extract", "trap", "budget", "store", "config", "delay", "other"}

type reasonText struct{ text, class string }

// reasonPrefixes begin reasons that this package and the transport write.
var reasonPrefixes = []reasonText{
	{"robots.txt: ", "robots"}, {"gone: ", "not_found"}, {"trap: ", "trap"}, {"budget: ", "budget"}, {"max_pages", "budget"}, {"max_depth", "budget"}, {"backlog: ", "budget"},
	{"timeout: ", "timeout"}, {"body cut short", "truncated"}, {"body is over", "too_large"}, {"body expands", "too_large"}, {"content type ", "content_type"},
	{"decoding content-encoding", "encoding"}, {"not text: ", "encoding"}, {"out of scope: ", "scope"}, {"refused address ", "address"}, {"redirected to ", "redirect"},
	{"source ", "config"}, {"panic: ", "extract"}, {"extracting ", "extract"}, {"delay after further requests", "delay"},
	{"page has ", "extract"}, {"page takes ", "extract"}, {"page cannot ", "extract"},
	{"login wall: ", "wall"}, {"captcha wall: ", "wall"}, {"challenge wall: ", "wall"}, {"limit wall: ", "wall"}, {"firewall wall: ", "wall"}, {"refused wall: ", "wall"},
}

// reasonParts stand somewhere in what the network says, and in reasons that
// begin with a text of the site.
var reasonParts = []reasonText{
	{"context deadline exceeded", "timeout"}, {"i/o timeout", "timeout"}, {"no such host", "dns"}, {"server misbehaving", "dns"}, {"lookup ", "dns"},
	{"tls: ", "tls"}, {"x509: ", "tls"}, {"connection refused", "connection"}, {"connection reset", "connection"}, {"EOF", "connection"}, {"network is unreachable", "connection"},
	{"no route to host", "connection"}, {"broken pipe", "connection"}, {"malformed HTTP", "connection"}, {"net/http: ", "connection"}, {"no page rule", "config"},
	{"too slow", "extract"}, {"took longer than", "extract"}, {"leases ran out unanswered", "extract"}, {"redirect", "redirect"}, {"known pages in a row are gone", "wall"}, {"database ", "store"},
}

func statusClass(rest string) string {
	digits, _, _ := strings.Cut(rest, " ")
	switch status, _ := strconv.Atoi(strings.TrimRight(digits, ":,")); {
	case status == 404 || status == 410:
		return "not_found"
	case status == 401 || status == 403 || status == 451:
		return "forbidden"
	case status == 429:
		return "rate_limit"
	case status >= 500 && status < 600:
		return "http_5xx"
	case status >= 400 && status < 500:
		return "http_4xx"
	case status >= 300 && status < 400:
		return "redirect"
	}
	return "other"
}
