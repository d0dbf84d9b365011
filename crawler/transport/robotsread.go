package transport

import (
	"net/url"
	"strings"
	"time"
)

// Robots is what one robots.txt says to one agent. It is read only and safe
// for concurrent use.
type Robots struct {
	fetch *robotsFetch
}

// ReadRobots reads a robots.txt as the crawler does, for an agent other than
// its own as well: a product name such as "qingyuan", a whole User-Agent, or
// "*" for what is said to everybody else. Whatever the file is, it can be read:
// lines that are no rule are passed over.
func ReadRobots(file []byte, agent string) *Robots {
	whole, token := agentNames(agent)
	f := parseRobots(file, whole)
	if token != whole && (f.group == "" || f.group == "*") {
		f = parseRobots(file, token)
	}
	return &Robots{fetch: &robotsFetch{file: f, url: "robots.txt"}}
}

// agentNames gives the names that groups are chosen by: the whole name without
// a version, and, when no group has it, what RFC 9309 calls the product token.
// Both are "" for what no group can be named.
func agentNames(agent string) (whole, token string) {
	agent = strings.TrimSpace(agent)
	// "Mozilla/5.0 (compatible; Name/1.0)" says who is asking in the brackets.
	if _, rest, ok := strings.Cut(agent, "compatible;"); ok && strings.HasPrefix(agent, "Mozilla/") {
		agent = strings.TrimSpace(rest)
	}
	if end := strings.IndexAny(agent, "/;)"); end >= 0 {
		agent = agent[:end]
	}
	if agent == "*" || strings.ContainsAny(agent, " \t") {
		return "", ""
	}
	return wholeName(agent), productToken(agent)
}

// Decide says whether the file allows a URL. The URL may also be a path with
// its query; its host does not matter, nor does a fragment.
func (r *Robots) Decide(rawURL string) Decision {
	d := Decision{Allowed: true, URL: rawURL}
	path := pathOf(rawURL)
	if path == "/robots.txt" {
		d.Reason = ReasonSelf
		return d
	}
	return explain(d, path, r.fetch, nil, time.Time{})
}

// pathOf cuts path and query out of a URL as written, however odd it is.
func pathOf(rawURL string) string {
	rest, _, _ := strings.Cut(rawURL, "#")
	if !strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "//") {
		if _, after, ok := strings.Cut(rest, "://"); ok && !strings.ContainsAny(rest[:len(rest)-len(after)-3], "/?") {
			rest = after
		} else {
			rest = strings.TrimPrefix(rest, "//")
		}
		at := strings.IndexAny(rest, "/?;")
		if at < 0 {
			return "/"
		}
		rest = rest[at:]
	}
	if rest == "" || rest[0] != '/' {
		rest = "/" + rest
	}
	return rest
}

// robotsOrigin is where the robots.txt is that speaks for u: at the root of the
// same scheme, host and port. host is that of u, canonical.
func robotsOrigin(u *url.URL, host string) *url.URL {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if p := portOf(u); u.Port() != "" && (u.Scheme != "http" || p != "80") && (u.Scheme != "https" || p != "443") {
		host += ":" + p
	}
	return &url.URL{Scheme: u.Scheme, Host: host, Path: "/robots.txt"}
}
