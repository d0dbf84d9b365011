package crawler

import (
	"fmt"
	"regexp"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// urlParser is the WHATWG parser, the one that browsers and colly use. It is
// never written to and safe for concurrent use.
var urlParser = whatwg.NewParser()

// sessionParams are query parameters that carry a visitor's session or the
// way he came, never what the page shows. Lower case.
var sessionParams = map[string]bool{
	"phpsessid": true, "jsessionid": true, "sessionid": true, "session_id": true, "aspsessionid": true,
	"gclid": true, "fbclid": true,
}

var (
	// discuzSID is the form of Discuz's sid; a sid of another form may be a
	// site's own key.
	discuzSID     = regexp.MustCompile(`^[0-9A-Za-z]{6}$`)
	pathSessionID = regexp.MustCompile(`(?i);jsessionid=[^/;?#]*`)
)

// Canonical gives the one spelling of a URL by which pages are told apart, and
// its host (with the port unless it is the scheme's own). The host is lower
// case; fragment, default port, a trailing dot of the host, utm_* and session
// parameters are gone, and so are the query parameters named by drop. The
// order of the parameters is kept: sites exist to which it matters. It refuses
// what is not http or https and URLs with a user name. Canonical of a canonical
// URL changes nothing.
func Canonical(rawURL string, drop ...string) (canonical, host string, err error) {
	if len(rawURL) > maxURLBytes {
		return "", "", fmt.Errorf("url of %d bytes is longer than %d: %s…", len(rawURL), maxURLBytes, rawURL[:80])
	}
	if scheme, host, path, query, ok := splitPlain(rawURL); ok {
		canonical = scheme + "://" + host + path
		if query = cleanQuery(query, drop); query != "" {
			canonical += "?" + query
		}
		return canonical, host, nil
	}
	u, err := urlParser.Parse(strings.TrimSpace(rawURL))
	if err != nil {
		return "", "", fmt.Errorf("url %q: %w", rawURL, err)
	}
	if s := u.Scheme(); s != "http" && s != "https" {
		return "", "", fmt.Errorf("url %q: scheme %q is not http or https", rawURL, s)
	}
	if u.Username() != "" || u.Password() != "" {
		return "", "", fmt.Errorf("url of host %q carries a user name; credentials belong into the site config", u.Host())
	}
	host = u.Hostname()
	if trimmed := strings.TrimRight(host, "."); trimmed != host {
		host = trimmed
	}
	if host == "" {
		return "", "", fmt.Errorf("url %q has no host", rawURL)
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	path := u.Pathname()
	if strings.Contains(path, ";") {
		path = pathSessionID.ReplaceAllString(path, "")
	}
	if path == "" {
		path = "/"
	}
	canonical = u.Scheme() + "://" + host + path
	if query := cleanQuery(u.Query(), drop); query != "" {
		canonical += "?" + query
	}
	return canonical, host, nil
}

func cleanQuery(query string, drop []string) string {
	if query == "" {
		return ""
	}
	kept := make([]string, 0, 8)
	for param := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(param, "=")
		if param == "" || dropped(strings.ToLower(name), value, drop) {
			continue
		}
		kept = append(kept, param)
	}
	return strings.Join(kept, "&")
}

func dropped(name, value string, drop []string) bool {
	if strings.HasPrefix(name, "utm_") || sessionParams[name] || strings.HasPrefix(name, "aspsessionid") {
		return true
	}
	if name == "sid" && discuzSID.MatchString(value) {
		return true
	}
	for _, d := range drop {
		if strings.EqualFold(d, name) {
			return true
		}
	}
	return false
}
