package transport

import (
	"net/url"
	"strings"
	"testing"
)

// What RFC 9309 and Google's documentation of robots.txt say about matching,
// table by table; the files are ours.
func TestRobotsDocumented(t *testing.T) {
	all := func(rules ...string) string { return lines(append([]string{"User-agent: *"}, rules...)...) }
	only := func(pattern string) string { return all("Disallow: " + pattern) }
	for _, c := range []struct {
		what, file, agent string
		allow, deny       string // paths, parted by blanks
	}{
		// RFC 9309 §2.2.1 and §5.1: groups by product token
		{"rfc groups: of our name", rfcGroups, "alphabot", "/open /x.html", "/closed/ /closed/x"},
		{"rfc groups: by another spelling", rfcGroups, "ALPHABOT", "/open", "/closed/x"},
		{"rfc groups: first of two names", rfcGroups, "betabot", "/", "/x /closed/x"},
		{"rfc groups: second of two names", rfcGroups, "gammabot", "/", "/x /closed/x"},
		{"rfc groups: named, with nothing forbidden", rfcGroups, "deltabot", "/ /x /closed/x", ""},
		{"rfc groups: everybody else", rfcGroups, "omegabot", "/x.gif /public/ /public/a.zip", "/a.zip /secret/x"},
		{"rfc groups: merged", rfcGroups, "twicebot", "/c", "/a/1 /b/1"},
		{"no group at all", lines("User-agent: other", "Disallow: /"), "alphabot", "/ /x", ""},

		// RFC 9309 §2.2.1: the product token ends where its letters do
		{"token", lines("User-agent: alphabot/2.0 (news)", "Disallow: /"), "alphabot", "", "/x"},
		{"whole user agents", lines("User-agent: alphabot", "Disallow: /"), "Alphabot/2.0 (+https://alpha.example/bot)", "", "/x"},
		{"user agents in brackets", lines("User-agent: alphabot", "Disallow: /"), "Mozilla/5.0 (compatible; Alphabot/2.0; +https://alpha.example)", "", "/x"},
		{"longer token", lines("User-agent: alphabot-images", "Disallow: /"), "alphabot", "/x", ""},
		{"shorter token", lines("User-agent: alpha", "Disallow: /"), "alphabot", "/x", ""},
		{"within another", lines("User-agent: bot", "Disallow: /"), "alphabot", "/x", ""},
		{"names with digits", lines("User-agent: 360bot", "Disallow: /", "User-agent: 361bot", "Allow: /"), "360bot", "", "/x"},
		{"names with digits, another", lines("User-agent: 360bot", "Disallow: /"), "361bot", "/x", ""},
		{"names with digits by their letters", lines("User-agent: alphabot", "Disallow: /"), "alphabot2", "", "/x"},
		{"a name of two words is nobody's", lines("User-agent: *", "Disallow: /", "User-agent: alpha bot", "Allow: /"), "alpha bot", "", "/x"},
		{"the star asks for the star", lines("User-agent: *", "Disallow: /x", "User-agent: alphabot", "Disallow: /"), "*", "/y", "/x"},

		// Google: order of precedence for user agents
		{"most specific: news", agentGroups, "alphabot-news", "/1", "/2 /3"},
		{"most specific: plain", agentGroups, "alphabot", "/3", "/1 /2"},
		{"most specific: none", agentGroups, "otherbot", "/2", "/1 /3"},

		// Google: grouping of lines
		{"names in a row", lines("user-agent: a", "user-agent: b", "disallow: /x"), "b", "/y", "/x"},
		{"an own sort of line between", lines("user-agent: a", "sitemap: https://s.example/s.xml", "user-agent: b", "disallow: /x"), "a", "/y", "/x"},
		{"a rule parts groups", lines("user-agent: a", "disallow: /x", "user-agent: b", "disallow: /y"), "a", "/y", "/x"},
		{"a rule parts groups, last", lines("user-agent: a", "disallow: /x", "user-agent: b", "disallow: /y"), "b", "/x", "/y"},
		{"an unnamed group is nobody's", lines("user-agent: a", "disallow: /x", "user-agent:", "disallow: /y"), "a", "/y", "/x"},
		{"content before the first group", lines("disallow: /y", "user-agent: a", "disallow: /x"), "a", "/y", "/x"},

		// Google: path matching, row by row
		{"/", only("/"), "a", "", "/ /x /x/y.html /?q"},
		{"/*", only("/*"), "a", "", "/ /x /x/y.html"},
		{"/$", only("/$"), "a", "/x /?q /index.html", "/"},
		{"/fish", only("/fish"), "a", "/Fish.asp /catfish /?id=fish /desert/fish", "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.php?id=anything"},
		{"/fish*", only("/fish*"), "a", "/Fish.asp /catfish /?id=fish /desert/fish", "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.php?id=anything"},
		{"/fish/", only("/fish/"), "a", "/fish /fish.html /animals/fish/ /Fish/Salmon.asp", "/fish/ /fish/?id=anything /fish/salmon.htm"},
		{"/*.php", only("/*.php"), "a", "/ /windows.PHP /index?php", "/index.php /filename.php /folder/filename.php /folder/filename.php?parameters /folder/any.php.file.html /filename.php/ /index?f=filename.php/"},
		{"/*.php$", only("/*.php$"), "a", "/filename.php?parameters /filename.php/ /filename.php5 /windows.PHP /filename?php", "/filename.php /folder/filename.php"},
		{"/fish*.php", only("/fish*.php"), "a", "/Fish.PHP /catfish.php", "/fish.php /fishheads/catfish.php?parameters"},
		{"without a slash", only("fish"), "a", "/fish /x/fish", ""},
		{"nothing", all("Disallow:", "Allow:"), "a", "/ /x", ""},
		{"robots.txt itself", only("/"), "a", "/robots.txt https://h.example/robots.txt", "/robots.txt.bak /x/robots.txt"},

		// Google: order of precedence for rules
		{"longer allow", all("allow: /p", "disallow: /"), "a", "/page", "/x"},
		{"equal: the less strict", all("allow: /folder", "disallow: /folder"), "a", "/folder/page", ""},
		{"equal: the less strict, turned round", all("disallow: /folder", "allow: /folder"), "a", "/folder/page", ""},
		{"longer disallow by a wildcard", all("allow: /page", "disallow: /*.htm"), "a", "/page", "/page.htm"},
		{"equal with a wildcard", all("allow: /page", "disallow: /*.ph"), "a", "/page.php5", "/x.ph"},
		{"root alone", all("allow: /$", "disallow: /"), "a", "/", "/page.htm /?q"},
		{"rfc 5.2: longest", all("Allow: /shop/list/", "Disallow: /shop/list/x/hidden.html"), "a", "/shop/list/x/y.html /", "/shop/list/x/hidden.html"},

		// RFC 9309 §2.2.2: octets, encoded before they are compared
		{"plain, unreserved", only("/foo/bar?baz=quz"), "a", "/foo/bar?baz=q", "/foo/bar?baz=quz"},
		{"reserved stays reserved", only("/foo/bar?baz=https://foo.bar"), "a", "/foo/bar?baz=ftp://foo.bar", "/foo/bar?baz=https://foo.bar /foo/bar?baz=https%3A%2F%2Ffoo.bar"},
		{"not ASCII", only("/foo/bar/ツ"), "a", "/foo/bar/シ", "/foo/bar/%E3%83%84 /foo/bar/ツ /foo/bar/%e3%83%84"},
		{"not ASCII, encoded", only("/foo/bar/%E3%83%84"), "a", "/foo/bar/", "/foo/bar/%E3%83%84 /foo/bar/ツ"},
		{"unreserved, encoded", only("/foo/bar/%62%61%7A"), "a", "/foo/bar/bax", "/foo/bar/baz /foo/bar/%62%61%7A"},
		{"an encoded slash is none", only("/a/b"), "a", "/a%2Fb", "/a/b"},
		{"an encoded equals sign is none", only("/a=b"), "a", "/a%3Db", "/a=b"},
		{"what no URI may hold", only("/a<b"), "a", "/ab", "/a<b /a%3cb /a%3Cb"},
		{"GBK", only("/%CD%A3"), "a", "/%E5%81%9C", "/%cd%a3"},

		// RFC 9309 §2.2.3: special characters
		{"comment", all("Disallow: /x # /y", "# Disallow: /z"), "a", "/y /z", "/x"},
		{"end", all("Disallow: /this/path/exactly$"), "a", "/this/path/exactly/ /this/path/exactly?q", "/this/path/exactly"},
		{"star", all("Disallow: /this/*/exactly"), "a", "/this/exactly", "/this/path/exactly /this/a/b/exactly"},
		{"encoded star and dollar", all("Disallow: /f-%2A.html", "Disallow: /foo-%24"), "a", "/f-x.html /foo-", "/f-*.html /foo-$ /foo-%24x"},

		// Google: a folder's index page
		{"index page allowed", all("Allow: /dir/index.html", "Disallow: /"), "a", "/dir/ /dir/index.html", "/dir /dir/x /dir/?q"},
		{"index page forbidden", only("/dir/index.html"), "a", "/dir/", "/dir/index.html"},
	} {
		r := ReadRobots([]byte(c.file), c.agent)
		for paths, want := range map[string]bool{c.allow: true, c.deny: false} {
			for p := range strings.FieldsSeq(paths) {
				for _, u := range []string{p, "https://h.example:8443" + p} {
					if strings.Contains(p, "://h.") {
						u = p
					}
					if d := r.Decide(u); d.Allowed != want {
						t.Errorf("%s: %s for %s: allowed = %v (%s), want %v", c.what, u, c.agent, d.Allowed, d.Rule, want)
					}
				}
			}
		}
	}
}

const rfcGroups = `User-agent: *
Disallow: *.zip$
Disallow: /secret/
Allow: /public/

User-agent: AlphaBot
Allow: /
Disallow: /closed/

User-agent: betabot
User-agent: gammabot
Allow: /$
Disallow: /

User-agent: deltabot
Disallow:

User-agent: twicebot
Disallow: /a/

User-agent: twicebot
Disallow: /b/
`

const agentGroups = `user-agent: alphabot-news
disallow: /
allow: /1
user-agent: *
disallow: /
allow: /2
user-agent: alphabot
disallow: /
allow: /3
`

// Google: a robots.txt speaks for its own scheme, host and port.
func TestRobotsOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://bbs.example.com/a/b?c":        "https://bbs.example.com/robots.txt",
		"https://BBS.example.com:443/":         "https://bbs.example.com/robots.txt",
		"http://bbs.example.com:80":            "http://bbs.example.com/robots.txt",
		"http://bbs.example.com/":              "http://bbs.example.com/robots.txt",
		"https://bbs.example.com:8181/x":       "https://bbs.example.com:8181/robots.txt",
		"https://www.bbs.example.com/x":        "https://www.bbs.example.com/robots.txt",
		"http://212.96.82.21/":                 "http://212.96.82.21/robots.txt",
		"https://论坛.example/x":                 "https://xn--kfsr23j.example/robots.txt",
		"https://bbs.example.com/x/robots.txt": "https://bbs.example.com/robots.txt",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		host, err := canonicalHost(u.Hostname())
		if got := robotsOrigin(u, host).String(); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestRobotsPathOf(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "/a?b#c": "/a?b", "http://h.example": "/", "http://h.example?q": "/?q", "http://h.example/a;p": "/a;p", "h.example/a": "/a", "//h.example/a": "/a",
		"http://u@h.example:1/a": "/a", "/x://y": "/x://y", "h.example?u=http://k.example/z": "/?u=http://k.example/z", "?q": "/?q",
	} {
		if got := pathOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
