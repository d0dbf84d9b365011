package transport

import (
	"fmt"
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
	return &Robots{fetch: &robotsFetch{file: parseRobots(file, agentToken(agent)), url: "robots.txt"}}
}

// agentToken gives the product name that groups are chosen by; "" for a name
// that no group can have.
func agentToken(agent string) string {
	agent = strings.TrimSpace(agent)
	// "Mozilla/5.0 (compatible; Name/1.0)" says who is asking in the brackets.
	if _, rest, ok := strings.Cut(agent, "compatible;"); ok && strings.HasPrefix(agent, "Mozilla/") {
		agent = strings.TrimSpace(rest)
	}
	token := productToken(agent)
	rest := agent[len(token):]
	if rest == "" || rest[0] == '/' || rest[0] >= '0' && rest[0] <= '9' || rest[0] == ';' || rest[0] == ')' {
		return token
	}
	return ""
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

// RobotsURL says where the robots.txt is that speaks for a URL: at the root of
// the same scheme, host and port.
func RobotsURL(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("url %q has no robots.txt: want http or https and a host", rawURL)
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("url %q: %w", rawURL, err)
	}
	return robotsOrigin(u, host).String(), nil
}

// robotsOrigin is the robots.txt for u; host is that of u, canonical.
func robotsOrigin(u *url.URL, host string) *url.URL {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if p := portOf(u); u.Port() != "" && (u.Scheme != "http" || p != "80") && (u.Scheme != "https" || p != "443") {
		host += ":" + p
	}
	return &url.URL{Scheme: u.Scheme, Host: host, Path: "/robots.txt"}
}
