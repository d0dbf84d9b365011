package crawler

import (
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want, host string }{
		{"https://BBS.Example.COM", "https://bbs.example.com/", "bbs.example.com"},
		{"HTTP://bbs.example.com:80/a#pid3", "http://bbs.example.com/a", "bbs.example.com"},
		{"https://bbs.example.com:443/", "https://bbs.example.com/", "bbs.example.com"},
		{"https://bbs.example.com:8443/", "https://bbs.example.com:8443/", "bbs.example.com:8443"},
		{"https://bbs.example.com./a", "https://bbs.example.com/a", "bbs.example.com"},
		{"https://bbs.example.com/a/../b/./c", "https://bbs.example.com/b/c", "bbs.example.com"},
		{"https://论坛.example/帖子?q=停息", "https://xn--kfsr23j.example/%E5%B8%96%E5%AD%90?q=%E5%81%9C%E6%81%AF", "xn--kfsr23j.example"},
		{"https://a.example/forum.php?mod=viewthread&tid=7&sid=aB3xY9", "https://a.example/forum.php?mod=viewthread&tid=7", "a.example"},
		{"https://a.example/x?sid=12345678", "https://a.example/x?sid=12345678", "a.example"},
		{"https://a.example/x?b=2&a=1", "https://a.example/x?b=2&a=1", "a.example"},
		{"https://a.example/x?a=1&a=2&", "https://a.example/x?a=1&a=2", "a.example"},
		{"https://a.example/x?utm_source=qq&UTM_medium=x&PHPSESSID=1", "https://a.example/x", "a.example"},
		{"https://a.example/x.jsp;jsessionid=0A1B?id=3", "https://a.example/x.jsp?id=3", "a.example"},
		{"https://a.example/x?", "https://a.example/x", "a.example"},
		{"https://a.example/x?mobile=2&id=1", "https://a.example/x?id=1", "a.example"},
		{"https://a.example/x?k=%D5%AE%CE%F1", "https://a.example/x?k=%D5%AE%CE%F1", "a.example"}, // GBK stays as it is
		{" https://a.example/x\n", "https://a.example/x", "a.example"},
		{"http://[::1]:8080/x", "http://[::1]:8080/x", "[::1]:8080"},
	} {
		got, host, err := Canonical(c.in, "mobile")
		if err != nil || got != c.want || host != c.host {
			t.Errorf("Canonical(%q)\n got %q, host %q, %v\nwant %q, host %q", c.in, got, host, err, c.want, c.host)
		}
	}
	for _, bad := range []string{
		"", "/relative", "ftp://a.example/", "javascript:alert(1)", "https://", "https://user:secret@a.example/", "http://[::1",
		"https://a.example/" + strings.Repeat("a", maxURLBytes),
	} {
		if got, _, err := Canonical(bad); err == nil {
			t.Errorf("Canonical(%.40q) = %q, want an error", bad, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"https://a.example/x?sid=aB3xY9&b=1#c", "http://[::1]:80/;jsessionid=1;jsessionid=2", "https://例子.中国./?&&utm_a", "http://0x7f.1/%zz?%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, host, err := Canonical(raw)
		if err != nil {
			return
		}
		twice, host2, err := Canonical(once)
		if len(once) > maxURLBytes {
			return // escapes made it longer than a URL may be
		}
		if err != nil || twice != once || host2 != host {
			t.Errorf("Canonical(%q) = %q (%q), and of that %q (%q), %v", raw, once, host, twice, host2, err)
		}
	})
}

func canonicalSource(tb testing.TB, rules string) *Source {
	tb.Helper()
	src, err := ReadSource("c.yaml", []byte("name: c\ntype: forum\nhosts: [a.example]\nseeds: ['https://a.example/']\ncanonical: "+rules+
		"\npages: [{name: all, match: '^/', follow: [a]}]\n"))
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// Each line is one page; the first is its canonical form.
func TestSiteCanonical(t *testing.T) {
	for _, c := range []struct {
		rules string
		pages [][]string
	}{
		{"{engine: discuz}", [][]string{
			{"/forum.php?mod=viewthread&tid=7", "/thread-7-1-1.html", "/thread-7-1-9.html", "/thread-7-1-1.html?extra=page%3D1", "/viewthread.php?tid=7",
				"/forum.php?tid=7&mod=viewthread", "/forum.php?mod=viewthread&tid=7&extra=page%3D3%26filter%3Dx&page=1", "/forum.php?mod=viewthread&tid=7&sid=aB3xY9",
				"/forum.php?mod=viewthread&tid=7&sid=0123456789abcdef", "/forum.php?mod=viewthread&tid=7&mobile=2", "/forum.php?mod=viewthread&action=printable&tid=7",
				"/forum.php?mod=viewthread&tid=7&authorid=12", "/forum.php?mod=viewthread&tid=7&ordertype=1", "/forum.php?mod=viewthread&tid=7&goto=lastpost#lastpost",
				"/forum.php?mod=viewthread&tid=7&page=0", "/forum.php?mod=viewthread&tid=7&_dsign=8a7b"},
			{"/forum.php?mod=viewthread&tid=7&page=2", "/thread-7-2-1.html", "/thread-7-02-1.html", "/forum.php?mod=viewthread&page=2&tid=7&highlight=%CD%A3"},
			{"/forum.php?mod=forumdisplay&fid=2", "/forum-2-1.html", "/forumdisplay.php?fid=2", "/forum.php?mod=forumdisplay&fid=2&orderby=dateline&filter=author",
				"/forum.php?mod=forumdisplay&fid=2&filter=lastpost&orderby=lastpost&page=1"},
			{"/forum.php?mod=forumdisplay&fid=2&page=3", "/forum-2-3.html"},
			{"/forum.php?mod=forumdisplay&fid=wangdai", "/forum-wangdai-1.html"},
			{"/forum.php?mod=forumdisplay&fid=2&filter=typeid&typeid=5", "/forum.php?mod=forumdisplay&fid=2&typeid=5&filter=typeid&orderby=dateline"},
			{"/bbs/forum.php?mod=viewthread&tid=7", "/bbs/thread-7-1-1.html"},
			{"/forum.php?mod=redirect&goto=findpost&ptid=7&pid=9", "/forum.php?mod=redirect&goto=findpost&ptid=7&pid=9&fromuid=3"},
			{"/forum.php?mod=viewthread&tid=abc", "/forum.php?mod=viewthread&tid=abc&sid=xxxxxx"},
			{"/thread-x-1-1.html", "/thread-x-1-1.html"},
			{"/home.php?mod=space&uid=3", "/home.php?mod=space&uid=3&mobile=yes"},
		}},
		{"{engine: discuz, threads: static}", [][]string{
			{"/thread-7-1-1.html", "/thread-7-1-4.html", "/forum.php?mod=viewthread&tid=7&extra=&page=1", "/viewthread.php?tid=7&page=1"},
			{"/bbs/thread-7-12-1.html", "/bbs/forum.php?mod=viewthread&tid=7&page=12"},
			{"/forum-2-3.html", "/forum.php?mod=forumdisplay&fid=2&page=3"},
			{"/forum.php?mod=viewthread&tid=7&viewpid=9", "/forum.php?viewpid=9&tid=7&mod=viewthread", "/thread-7-1-1.html?viewpid=9"},
		}},
		{"{engine: discuz, threads: legacy}", [][]string{
			{"/viewthread.php?tid=7&page=2", "/thread-7-2-1.html", "/forum.php?mod=viewthread&tid=7&page=2"},
			{"/forumdisplay.php?fid=2", "/forum-2-1.html"},
		}},
		{"{drop: [from, 'spm*'], sort: true, rewrite: [{match: '^/m/post/(\\d+)$', to: '/post?id=$1'}]}", [][]string{
			{"/post?a=1&id=7", "/post?id=7&a=1&From=wx&spm_id=3"},
			{"/post?id=7", "/m/post/7"},
		}},
	} {
		src := canonicalSource(t, c.rules)
		for _, page := range c.pages {
			for _, form := range page {
				got, host, err := src.Canonical("https://A.example" + form)
				if want := "https://a.example" + page[0]; err != nil || got != want || host != "a.example" {
					t.Errorf("%s: %s\n got %s (%s), %v\nwant %s", c.rules, form, got, host, err, want)
				}
			}
		}
	}
}

// Without rules of its own a site's URLs are those that are stored already.
func TestSiteCanonicalChangesNothingUnasked(t *testing.T) {
	src := readTestSource(t, "plain", "http://127.0.0.1:1")
	for _, u := range []string{"http://127.0.0.1:1/thread-7-1-1.html?extra=page%3D1", "http://127.0.0.1:1/forum.php?tid=7&mod=viewthread&page=1&orderby=x"} {
		if got, _, err := src.Canonical(u); err != nil || got != u {
			t.Errorf("%s became %s, %v", u, got, err)
		}
	}
}

func TestCanonicalRulesThatNeverRest(t *testing.T) {
	src := canonicalSource(t, "{rewrite: [{match: '^/x', to: '/xx'}]}")
	if got, _, err := src.Canonical("https://a.example/x"); err == nil || !strings.Contains(err.Error(), "do not come to rest") {
		t.Errorf("%q, %v", got, err)
	}
	// A rule cannot move a page to another host.
	src = canonicalSource(t, "{rewrite: [{match: '^/x', to: '.evil.example/y'}]}")
	if got, host, err := src.Canonical("https://a.example/x"); err != nil || host != "a.example" {
		t.Errorf("%q, %q, %v", got, host, err)
	}
}

func TestCanonicalRuleMistakes(t *testing.T) {
	_, err := ReadSource("c.yaml", []byte(`name: c
type: forum
hosts: [a.example]
seeds: ['https://a.example/thread-1-1-1.html']
canonical: {engine: phpwind, threads: pretty, drop: ['*', 'a=b'], rewrite: [{match: '('}, {to: '/'}]}
budget: {host: -1}
pages: [{name: all, match: '^/', max_pages: -1, follow: [a]}]
`))
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{`unknown engine "phpwind"`, `unknown form of threads "pretty"`, `"*" is no query parameter`, `"a=b" is no query parameter`, "no regular expression", "rewrite has no match", "budget of -1", "max_pages is negative"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in:\n%v", want, err)
		}
	}
	_, err = ReadSource("c.yaml", []byte("name: c\ntype: forum\nhosts: [a.example]\nseeds: ['https://a.example/thread-1-1-1.html']\ncanonical: {engine: discuz}\npages: [{name: t, match: '^/thread-', follow: [a]}]\n"))
	if err == nil || !strings.Contains(err.Error(), "the canonical form of") {
		t.Errorf("a rule that no canonical URL fits: %v", err)
	}
}

func FuzzSiteCanonical(f *testing.F) {
	var sources []*Source
	for _, rules := range []string{"{engine: discuz}", "{engine: discuz, threads: static, sort: true}", "{engine: discuz, threads: legacy, drop: ['a*']}"} {
		sources = append(sources, canonicalSource(f, rules))
	}
	for _, s := range []string{"/thread-7-2-1.html?extra=1", "/forum.php?mod=viewthread&tid=7&page=02&x=%zz", "//forum-a-0.html", "/viewthread.php?tid=7&mod=forumdisplay&fid=1", "/a/../forum.php?tid=1&tid=2&mod=viewthread&mod="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		for _, src := range sources {
			once, host, err := src.Canonical("https://a.example/" + target)
			if err != nil || len(once) > maxURLBytes {
				if err != nil && strings.Contains(err.Error(), "come to rest") {
					t.Error(err)
				}
				continue
			}
			if twice, _, err := src.Canonical(once); err != nil || twice != once || host != "a.example" {
				t.Errorf("%s: %q became %q, and that %q, %v", src.URLs.Threads, target, once, twice, err)
			}
		}
		// One page by whatever form: by way of the static one, to the dynamic one.
		static, _, err1 := sources[1].Canonical("https://a.example/" + target)
		direct, _, err2 := sources[0].Canonical("https://a.example/" + target)
		if err1 == nil && err2 == nil && !strings.Contains(static, "?") {
			if back, _, err := sources[0].Canonical(static); err != nil || back != direct {
				t.Errorf("%q is %q, by way of %q %q, %v", target, direct, static, back, err)
			}
		}
	})
}
