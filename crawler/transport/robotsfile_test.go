package transport

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// The cases follow the words of RFC 9309 §2.1-2.3 and of Google's published
// robots.txt specification; the files are our own.
func TestRobotsRules(t *testing.T) {
	tests := []struct {
		name string
		file string
		path string
		want bool
	}{
		// §2.2.1 user-agent: groups
		{"empty file", "", "/x", true},
		{"our group", lines("User-agent: qingyuan", "Disallow: /"), "/x", false},
		{"our group, other case", lines("USER-AGENT: QingYuan", "disallow: /"), "/x", false},
		{"token with version", lines("User-agent: Qingyuan/2.1", "Disallow: /"), "/x", false},
		{"our token is not a prefix of theirs", lines("User-agent: qingyuan-news", "Disallow: /"), "/x", true},
		{"their token is not a prefix of ours", lines("User-agent: qing", "Disallow: /"), "/x", true},
		{"token with other words", lines("User-agent: Qingyuan crawler", "Disallow: /"), "/x", false},
		{"star for all", lines("User-agent: *", "Disallow: /"), "/x", false},
		{"our group beats star, star first", lines("User-agent: *", "Disallow: /", "User-agent: qingyuan", "Disallow: /a"), "/x", true},
		{"our group beats star, star last", lines("User-agent: qingyuan", "Disallow: /a", "User-agent: *", "Disallow: /"), "/x", true},
		{"our group without rules beats star", lines("User-agent: *", "Disallow: /", "", "User-agent: qingyuan", "Disallow:"), "/x", true},
		{"our groups are merged", lines("User-agent: qingyuan", "Disallow: /a", "User-agent: b", "Disallow: /", "User-agent: qingyuan", "Disallow: /c"), "/c", false},
		{"our groups are merged, first", lines("User-agent: qingyuan", "Disallow: /a", "User-agent: b", "Disallow: /", "User-agent: qingyuan", "Disallow: /c"), "/a", false},
		{"star groups are merged", lines("User-agent: *", "Disallow: /a", "User-agent: b", "Disallow: /", "User-agent: *", "Disallow: /c"), "/c", false},
		{"other group only", lines("User-agent: b", "Disallow: /"), "/x", true},
		{"several agents, one group", lines("User-agent: b", "User-agent: qingyuan", "Disallow: /"), "/x", false},
		{"blank line does not part a group", lines("User-agent: qingyuan", "", "", "Disallow: /"), "/x", false},
		{"sitemap does not part a group", lines("User-agent: qingyuan", "Sitemap: https://bbs.example.com/s.xml", "", "User-agent: b", "Disallow: /"), "/x", false},
		{"crawl-delay does not part a group", lines("User-agent: qingyuan", "Crawl-delay: 3", "User-agent: b", "Disallow: /"), "/x", false},
		{"unknown line does not part a group", lines("User-agent: qingyuan", "Host: b", "User-agent: b", "Disallow: /"), "/x", false},
		{"a rule parts a group", lines("User-agent: qingyuan", "Disallow: /a", "User-agent: b", "Disallow: /"), "/x", true},
		{"an empty rule parts a group", lines("User-agent: qingyuan", "Disallow:", "User-agent: b", "Disallow: /"), "/x", true},
		{"rule before any group", lines("Disallow: /", "User-agent: *", "Disallow: /a"), "/x", true},

		// §2.2.2 allow and disallow: longest match
		{"prefix", lines("User-agent: *", "Disallow: /fish"), "/fishheads/y.html", false},
		{"prefix is not elsewhere", lines("User-agent: *", "Disallow: /fish"), "/catfish", true},
		{"case of the path counts", lines("User-agent: *", "Disallow: /fish"), "/Fish.asp", true},
		{"folder only", lines("User-agent: *", "Disallow: /fish/"), "/fish", true},
		{"folder with query", lines("User-agent: *", "Disallow: /fish/"), "/fish/?id=1", false},
		{"prefix with query", lines("User-agent: *", "Disallow: /fish"), "/fish.php?id=1", false},
		{"longest wins: allow", lines("User-agent: *", "Disallow: /", "Allow: /p"), "/page", true},
		{"longest wins, whatever the order", lines("User-agent: *", "Allow: /p", "Disallow: /"), "/page", true},
		{"longest wins: disallow", lines("User-agent: *", "Allow: /p", "Disallow: /page"), "/page", false},
		{"equal: allow", lines("User-agent: *", "Disallow: /folder", "Allow: /folder"), "/folder/page", true},
		{"equal: allow first", lines("User-agent: *", "Allow: /folder", "Disallow: /folder"), "/folder/page", true},
		{"longer by wildcard", lines("User-agent: *", "Allow: /page", "Disallow: /*.htm"), "/page.htm", false},
		{"equal length with wildcard: allow", lines("User-agent: *", "Allow: /page", "Disallow: /*.ph"), "/page.php5", true},
		{"end mark", lines("User-agent: *", "Allow: /$", "Disallow: /"), "/", true},
		{"end mark, other page", lines("User-agent: *", "Allow: /$", "Disallow: /"), "/page.htm", false},
		{"wildcards count as written", lines("User-agent: *", "Allow: /x/page.html", "Disallow: /x/*.html"), "/x/page.html", true},
		{"empty disallow allows", lines("User-agent: *", "Disallow:"), "/x", true},
		{"empty allow is no rule", lines("User-agent: *", "Allow:", "Disallow: /"), "/x", false},
		{"path without slash is no rule", lines("User-agent: *", "Disallow: fish"), "/fish", true},
		{"root path of a URL without one", lines("User-agent: *", "Disallow: /"), "", false},

		// §2.2.2 percent encoding
		{"plain characters against encoded URL", lines("User-agent: *", "Disallow: /foo/bar/ツ"), "/foo/bar/%E3%83%84", false},
		{"encoded rule against plain URL", lines("User-agent: *", "Disallow: /foo/bar/%E3%83%84"), "/foo/bar/ツ", false},
		{"lower case hexadecimal", lines("User-agent: *", "Disallow: /foo/%e3%83%84"), "/foo/%E3%83%84", false},
		{"encoded unreserved", lines("User-agent: *", "Disallow: /foo/bar/%62%61%7A"), "/foo/bar/baz", false},
		{"unreserved, encoded in the URL", lines("User-agent: *", "Disallow: /foo/bar/baz"), "/foo/bar/%62%61%7A", false},
		{"encoded slash is no slash", lines("User-agent: *", "Disallow: /a/b"), "/a%2Fb", true},
		{"reserved in the query", lines("User-agent: *", "Disallow: /foo/bar?baz=https://foo.bar"), "/foo/bar?baz=https%3A%2F%2Ffoo.bar", false},
		{"query", lines("User-agent: *", "Disallow: /foo/bar?baz=quz"), "/foo/bar?baz=quz", false},
		{"broken encoding", lines("User-agent: *", "Disallow: /a%zz"), "/a%zzb", false},

		// §2.2.3 special characters
		{"comment", lines("# User-agent: *", "User-agent: * # all", "Disallow: /a # not this"), "/a", false},
		{"whole line comment is no rule", lines("User-agent: *", "#Disallow: /"), "/x", true},
		{"star in the middle", lines("User-agent: *", "Disallow: /fish*.php"), "/fishheads/catfish.php?p=1", false},
		{"star in the middle, case", lines("User-agent: *", "Disallow: /fish*.php"), "/Fish.PHP", true},
		{"star at the end changes nothing", lines("User-agent: *", "Disallow: /fish*"), "/fishheads", false},
		{"leading star", lines("User-agent: *", "Disallow: *.php"), "/index.php", false},
		{"wildcard rule begins at the start", lines("User-agent: *", "Disallow: /a*b"), "/x/a/b", true},
		{"extension", lines("User-agent: *", "Disallow: /*.php$"), "/folder/filename.php", false},
		{"extension, query", lines("User-agent: *", "Disallow: /*.php$"), "/filename.php?p=1", true},
		{"extension, slash", lines("User-agent: *", "Disallow: /*.php$"), "/filename.php/", true},
		{"extension, twice", lines("User-agent: *", "Disallow: /*.php$"), "/a.php/b.php", false},
		{"dollar within is itself", lines("User-agent: *", "Disallow: /a$b"), "/a$bc", false},
		{"dollar within is no end", lines("User-agent: *", "Disallow: /a$b"), "/a", true},
		{"encoded star means a star", lines("User-agent: *", "Disallow: /path/file-with-a-%2A.html"), "/path/file-with-a-*.html", false},
		{"encoded star is no wildcard", lines("User-agent: *", "Disallow: /path/file-with-a-%2A.html"), "/path/file-with-a-b.html", true},
		{"encoded dollar means a dollar", lines("User-agent: *", "Disallow: /path/foo-%24"), "/path/foo-$", false},
		{"star over the query", lines("User-agent: *", "Disallow: /*?mod=misc*"), "/forum.php?mod=misc&a=1", false},
		{"parts may not overlap", lines("User-agent: *", "Disallow: /*aa*aa$"), "/aaa", true},
		{"parts side by side", lines("User-agent: *", "Disallow: /*aa*aa$"), "/aaaa", false},

		// line forms
		{"carriage returns alone", "User-agent: *\rDisallow: /\r", "/x", false},
		{"both line ends", "User-agent: *\r\nDisallow: /\r\n", "/x", false},
		{"no line end", "User-agent: *\nDisallow: /", "/x", false},
		{"byte order mark", "\uFEFFUser-agent: *\nDisallow: /\n", "/x", false},
		{"spaces and tabs", " \tUser-agent\t:\t*  \n  Disallow : /  \n", "/x", false},
		{"missing colon", lines("User-agent *", "Disallow /"), "/x", false},
		{"misspelt", lines("useragent: *", "dissallow: /"), "/x", false},
		{"html is no robots.txt", "<html><body><p>Disallow: the page you look for is gone: /</p></body></html>", "/x", true},
		{"zero bytes", "User-agent: *\x00\nDisallow: /\x00\n", "/x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := parseRobots([]byte(tt.file), "qingyuan")
			r := f.test(tt.path)
			if got := r == nil || r.allow; got != tt.want {
				t.Errorf("allowed = %v, want %v; rule %+v of %+v", got, tt.want, r, f)
			}
		})
	}
}

func TestRobotsFileDetails(t *testing.T) {
	f := parseRobots([]byte(lines("# x", "User-agent: qingyuan", "Crawl-delay: 2.5", "Disallow: /a*  # why", "Crawl-delay: nan",
		"Sitemap: https://bbs.example.com/s.xml", "User-agent: *", "Crawl-delay: 9")), "qingyuan")
	if f.delay != 2500*time.Millisecond || f.group != "qingyuan" {
		t.Errorf("delay %s, group %q", f.delay, f.group)
	}
	if len(f.sitemaps) != 1 || f.sitemaps[0] != "https://bbs.example.com/s.xml" {
		t.Errorf("sitemaps %q", f.sitemaps)
	}
	r := f.test("/abc")
	if r == nil || r.line != 4 || r.raw != "/a*" {
		t.Errorf("rule %+v, want line 4 as written", r)
	}
	if d := parseRobots([]byte("user-agent: *\ncrawl-delay: 1e300\n"), "q").delay; d != maxCrawlDelay {
		t.Errorf("delay %s, want it capped", d)
	}
}

// What lies beyond 512 KiB is not read, and the rule that is cut there must
// not be read as a shorter one.
func TestRobotsFileSize(t *testing.T) {
	head := "User-agent: *\nDisallow: /early\n"
	fill := strings.Repeat("# filling up the file to its limit\n", robotsBytes/35)
	fill = fill[:robotsBytes-len(head)-len("Disallow: /")-1] + "\n"
	f := parseRobots([]byte(head+fill+"Disallow: /late/folder\n"), "q")
	if r := f.test("/early"); r == nil || r.allow {
		t.Error("the rule before the limit is not obeyed")
	}
	if r := f.test("/other"); r != nil {
		t.Errorf("a cut rule was read: %+v", r)
	}
}

func TestRobotsRecordedFile(t *testing.T) {
	body, err := os.ReadFile("../../../shared/pages/dz_robots.txt")
	if err != nil {
		t.Skipf("the recorded pages are not here: %v", err)
	}
	f := parseRobots(body, "qingyuan")
	for path, want := range map[string]bool{
		"/forum.php?mod=viewthread&tid=5":     true,
		"/thread-5-1-1.html":                  true,
		"/data/attachment/forum/a.jpg":        true,
		"/data/sysdata/x":                     false,
		"/forum.php?mod=redirect&goto=x":      false,
		"/forum.php?mod=post&action=new":      false,
		"/home.php?mod=space&uid=1":           true,
		"/home.php?mod=spacecp":               false,
		"/misc.php?mod=seccode":               false,
		"/plugin.php?mod=attachment&aid=3":    false,
		"/forum.php?tid=5&mobile=yes":         false,
		"/uc_server/data/avatar/000/1.jpg":    true,
		"/uc_server/admin.php":                false,
		"/x/forum.php?mod=post&action=reply":  true,
		"/forum.php?mod=forumdisplay&fid=2":   true,
		"/template/default/style.css":         false,
		"/forum.php?gid=1&x=y%3Fmod%3Dmisc":   true,
		"/forum.php?mod=attachment&aid=aAbBc": false,
	} {
		r := f.test(path)
		if got := r == nil || r.allow; got != want {
			t.Errorf("%s: allowed = %v, want %v (rule %+v)", path, got, want, r)
		}
	}
}

// One hostile file must not hold up the crawl: matching is linear, whatever
// the pattern.
func TestRobotsPatternCost(t *testing.T) {
	pattern := "/" + strings.Repeat("*a", 5000) + "b$"
	f := parseRobots([]byte("User-agent: *\nDisallow: "+pattern+"\n"), "q")
	if r := f.test("/" + strings.Repeat("a", 8000)); r != nil {
		t.Errorf("matched %.20s…", r.raw)
	}
}

func FuzzRobots(f *testing.F) {
	f.Add([]byte("User-agent: *\nDisallow: /*a$\nAllow: /b\n"), "/ba")
	f.Add([]byte("\uFEFFuser-agent qingyuan\rdisallow /%e3%83\r\ncrawl-delay: 1e9"), "/%E3%83")
	f.Add([]byte("disallow:***$$$"), "")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		rf := parseRobots(body, "qingyuan")
		r := rf.test(path)
		if r == nil {
			return
		}
		if r.line < 1 || r.line > bytes.Count(body, []byte("\n"))+bytes.Count(body, []byte("\r"))+1 {
			t.Fatalf("line %d of %q", r.line, body)
		}
		for i := range rf.rules {
			o := &rf.rules[i]
			if len(o.pattern) > len(r.pattern) && matchPattern(o.pattern, normalizeTarget(path)) {
				t.Fatalf("rule %+v decided, %+v is longer", r, o)
			}
		}
		// Normal forms are stable: nothing decodes twice.
		if again := normalizeTarget(normalizeTarget(path)); again != normalizeTarget(path) {
			t.Fatalf("%q became %q, then %q", path, normalizeTarget(path), again)
		}
	})
}
