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
