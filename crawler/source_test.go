package crawler

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"qingyuan/strictyaml"
)

const sourceHead = "name: a\ntype: forum\nhosts: [a.example.com]\nseeds: [\"https://a.example.com/p\"]\n"

func mustSource(t *testing.T, rest string) *Source {
	t.Helper()
	src, err := ReadSource("a.yaml", []byte(sourceHead+rest))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestReadSourceReportsEveryMistake(t *testing.T) {
	data := `name: Bad Name
type: fourm
hosts: ["https://a.example.com", "127.0.0.1:80", "*.com", "b.example.com:99999"]
seeds: ["ftp://x/", "https://other.example.org/"]
delay: -1s
time_zone: China
max_depth: -1
max_pages: 0
charset: gb9999
headers: {Host: x, "a b": c}
drop: ["div["]
blocked: [a, "css: p["]
colour: red
pages:
  - name: list
    match: '^/(unclosed'
    format: xml
    follow: [{select: "a:nope(", priority: 3}]
  - name: list
    match: '^/p(?P<tid>\d+)$'
    thread: '/t/{id}'
    posts:
      - each: '#x'
        kind: postt
        text: {}
        time: {select: .t, scope: site, only: last, regex: '(?=x)'}
      - kind: post
  - match: '^/q$'
`
	_, err := ReadSource("bad.yaml", []byte(data))
	var ms strictyaml.Mistakes
	if !errors.As(err, &ms) {
		t.Fatalf("want Mistakes, got %v", err)
	}
	all := ms.Error()
	for _, want := range []string{
		`bad.yaml:1: name: "Bad Name" is no source name`,
		`bad.yaml:2: type: unknown type "fourm"; use one of forum`,
		`bad.yaml:3: hosts[0]: "https://a.example.com" is no host`,
		`bad.yaml:3: hosts[1]: "127.0.0.1:80" names the default port`,
		`bad.yaml:3: hosts[2]: "*.com" takes in a whole top-level domain`,
		`bad.yaml:3: hosts[3]: "b.example.com:99999" has a bad port`,
		`bad.yaml:4: seeds[0]: "ftp://x/" is no URL that can be fetched`,
		`bad.yaml:4: seeds[1]: "https://other.example.org/" is not on one of the hosts; add "other.example.org" to hosts`,
		`bad.yaml:5: delay: delay -1s is negative`,
		`bad.yaml:6: time_zone: unknown time zone "China"`,
		`bad.yaml:7: max_depth`, `bad.yaml:8: max_pages`, `bad.yaml:9: charset: unknown charset "gb9999"`,
		`bad.yaml:10: headers.Host: header "Host" is the crawler's own`, `bad.yaml:10: headers.a b: header "a b" cannot be sent`,
		`bad.yaml:11: drop[0]: "div[" is no CSS selector`,
		`bad.yaml:12: blocked[0]: "a" would fit nearly every page`, `bad.yaml:12: blocked[1]: "p[" is no CSS selector`,
		`bad.yaml:13: colour: unknown key`,
		`bad.yaml:16: pages[0].match: "^/(unclosed" is no regular expression`,
		`bad.yaml:17: pages[0].format: unknown format "xml"`,
		`bad.yaml:18: priority: unknown key`,
		`bad.yaml:19: pages[1].name: page rule "list" is defined twice`,
		`bad.yaml:21: pages[1].thread: unknown variable {id}; known here: {page}, {tid}`,
		`bad.yaml:23: pages[1].posts[0]: posts have neither key nor url`,
		`bad.yaml:24: pages[1].posts[0].kind: unknown kind "postt"`,
		`bad.yaml:25: pages[1].posts[0].text: field says not where its value stands`,
		`bad.yaml:26: pages[1].posts[0].time.regex: "(?=x)" is no regular expression`,
		`unknown scope "site"`, `unknown only "last"`,
		`bad.yaml:27: pages[1].posts[1]: posts have neither text nor title`,
		`bad.yaml:28: pages[2].name: page rule has no name`,
		`bad.yaml:28: pages[2]: page rule yields neither links nor posts`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no mistake %q in:\n%s", want, all)
		}
	}
	for _, m := range ms {
		if m.Remedy == "" {
			t.Errorf("mistake without a remedy: %s", m)
		}
	}
}

func TestReadSourceSingleMistakes(t *testing.T) {
	const page = "pages: [{name: p, match: '^/p$', follow: [a]}]\n"
	for _, c := range []struct{ yaml, want string }{
		{sourceHead + page + "delay: 0s\n", "delay 0 is allowed for loopback hosts only"},
		{strings.Replace(sourceHead, "/p", "/q", 1) + page, "no page rule fits \"https://a.example.com/q\""},
		{"name: a\ntype: forum\nhosts: [127.0.0.1]\nseeds: [\"http://127.0.0.1/p\"]\n" + page, "is a loopback or private address; name a public host, or set allow_private: true"},
		{sourceHead + "pages: [{name: p, match: '^/p$', follow: [{select: a, only: first}]}]", "only and html have no meaning for links"},
		{sourceHead + "pages: [{name: p, match: '^/p$', format: json, posts: [{each: x, kind: post, key: {path: id}, text: {select: p}}]}]", "select is for html pages"},
		{sourceHead + "pages: [{name: p, match: '^/p(?P<key>x)?$', follow: [a]}]", "hides the variable {key}"},
		{sourceHead, "there is no page rule"},
		{sourceHead + "pages: [~]", "empty page rule"},
		{sourceHead + "pages: [{name: p, match: '^/p$', follow: [[a]]}]", "a list where"},
		{"", "file is empty"},
		{"{", ""},
	} {
		_, err := ReadSource("a.yaml", []byte(c.yaml))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "a.yaml") {
			t.Errorf("%q: got %v, want %q", c.yaml, err, c.want)
		}
	}
}

func TestReadSourceDefaults(t *testing.T) {
	src := mustSource(t, "pages: [{name: p, match: '^/p$', follow: [a.next]}]\n")
	if src.Delay.Seconds() != 2 || src.MaxDepth != 6 || src.MaxPages != 2000 || src.Location().String() != "Asia/Shanghai" || src.Title != "a" || src.Pages[0].Format != "html" {
		t.Errorf("defaults: %+v", src)
	}
	if src.Pages[0].Follow[0].Select != "a.next" {
		t.Errorf("short form of a field: %+v", src.Pages[0].Follow[0])
	}
	lab, err := ReadSource("lab.yaml", []byte("name: lab\ntype: forum\nhosts: [\"127.0.0.1:8080\", \"[::1]:8080\"]\nallow_private: true\ndelay: 0s\nseeds: [\"http://127.0.0.1:8080/p\", \"http://[::1]:8080/p\"]\npages: [{name: p, match: '^/p$', follow: [a]}]\n"))
	if err != nil || lab.Delay != 0 {
		t.Errorf("loopback source: %v", err)
	}
}

func TestRuleAndScope(t *testing.T) {
	src, err := ReadSource("s.yaml", []byte("name: s\ntype: blog\nhosts: [a.example.com, \"b.example.com:8080\", \"*.c.example.com\"]\nseeds: [\"https://a.example.com/\"]\npages:\n  - {name: one, match: '^/one\\?x=\\d+$', follow: [a]}\n  - {name: rest, match: '^/', follow: [a]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, rule string }{
		{"https://a.example.com", "rest"}, {"https://A.EXAMPLE.com:443/one?x=1", "one"}, {"http://a.example.com:80/one?x=1#f", "one"},
		{"https://a.example.com/one?x=y", "rest"}, {"https://a.example.com:8443/", ""}, {"http://b.example.com:8080/", "rest"}, {"http://b.example.com/", ""},
		{"https://w.c.example.com/", "rest"}, {"https://c.example.com/", ""}, {"https://evilc.example.com/", ""}, {"https://a.example.com.evil.org/", ""},
		{"https://user@a.example.com/", ""}, {"ftp://a.example.com/", ""}, {"javascript:alert(1)", ""}, {"::", ""}, {"/", ""},
	} {
		name := ""
		if r, ok := src.Rule(c.url); ok {
			name = r.Name
		}
		if name != c.rule {
			t.Errorf("%s: rule %q, want %q", c.url, name, c.rule)
		}
	}
}

func TestLoadSources(t *testing.T) {
	good := sourceHead + "pages: [{name: p, match: '^/p$', follow: [a]}]\n"
	sources, err := LoadSources(fstest.MapFS{
		"a.yaml":     {Data: []byte(good)},
		"b.yaml":     {Data: []byte(good)},
		"c.yaml":     {Data: []byte("name: c\n")},
		"d.yaml":     {Data: []byte(strings.Replace(good, "name: a", "name: d", 1))},
		"readme.txt": {Data: []byte("x")},
	})
	if len(sources) != 2 || sources[0].Name != "a" || sources[1].Name != "d" || sources[1].File() != "d.yaml" {
		t.Errorf("sources %v", sources)
	}
	if err == nil || !strings.Contains(err.Error(), `b.yaml: name: source "a" is already defined in a.yaml`) || !strings.Contains(err.Error(), "c.yaml") {
		t.Errorf("error %v", err)
	}
}

// TestShippedSites keeps configs/sites free of mistakes.
func TestShippedSites(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "configs", "sites", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no shipped sites: %v", err)
	}
	sites := siteConfigs(t)
	if len(sites) != len(files) {
		t.Errorf("%d files, %d sites", len(files), len(sites))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "#") {
			t.Errorf("%s does not begin with a comment saying what it is for", file)
		}
	}
}

func FuzzReadSource(f *testing.F) {
	f.Add([]byte(sourceHead + "pages: [{name: p, match: '^/p$', follow: [a], posts: [{each: li, kind: post, key: {attr: id, or: {template: '{page}'}}, text: {}}]}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		src, err := ReadSource("f.yaml", data)
		if (src == nil) == (err == nil) {
			t.Fatal("want a source or an error")
		}
		if err == nil {
			if _, err := src.extract(Page{URL: src.Seeds[0], Body: []byte("<li id=1>x</li>")}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
