package crawler

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// samePlainURL compares what is made of addresses here and by the standard's
// parser.
func samePlainURL(t *testing.T, base, ref string) (plain bool) {
	t.Helper()
	if scheme, host, path, query, ok := splitPlain(base); ok {
		plain = true
		u, err := urlParser.Parse(base)
		if err != nil {
			t.Fatalf("%q is taken for plain, the parser refuses it: %v", base, err)
		}
		full := u.Hostname()
		if u.Port() != "" {
			full += ":" + u.Port()
		}
		if u.Scheme() != scheme || full != host || u.Pathname() != path || u.Query() != query || u.Username() != "" || strings.HasSuffix(u.Hostname(), ".") {
			t.Errorf("%q is taken apart to %q %q %q %q; the parser has %q %q %q %q", base, scheme, host, path, query, u.Scheme(), full, u.Pathname(), u.Query())
		}
	}
	u, err := whatwg.Parse(base)
	if err != nil {
		return plain
	}
	b := newBase(u)
	if short, ok := plainBase(base); ok && (short.origin != b.origin || short.folder != b.folder) {
		t.Errorf("base %q is %q %q the short way, otherwise %q %q", base, short.origin, short.folder, b.origin, b.folder)
	}
	abs, ok := b.join(ref)
	if !ok {
		return plain
	}
	want, err := u.Parse(ref)
	if err != nil || want.Href(false) != abs {
		t.Errorf("%q on %q is %q; the parser has %v, %v", ref, base, abs, want, err)
	}
	if parsed, err := url.Parse(abs); err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		t.Errorf("%q is no address of the web: %v", abs, err)
	}
	return true
}

func TestPlainURLs(t *testing.T) {
	pieces := []string{"http://", "https://", "ftp://", "a.example.com", "127.0.0.1", "1.2.3", "0x7f.1", "xn--fiq", "-a.com", "a-.com", "A.com", "bbs_x.cn", "中国.cn",
		":80", ":443", ":8080", ":080", ":99999", "/", "//", "./", "../", "/.", "..", "a", "forum.php", "?", "mod=viewthread", "&tid=7", "#x", "%41", " ", "\t", "\\", ":",
		"@", "user:pw@", ";jsessionid=1", "论坛", "=", "~", "'", "\"", "1", "0x1", ".", "[::1]"}
	r := rand.New(rand.NewPCG(3, 4))
	text := func(n int, starts []string) string {
		s := starts[r.IntN(len(starts))]
		for range r.IntN(n) {
			s += pieces[r.IntN(len(pieces))]
		}
		return s
	}
	plain := 0
	for range 60_000 {
		base := text(5, []string{"http://", "https://", "http://a.example.com", "http://127.0.0.1:8080/", "https://bbs.example.cn/forum.php?mod=x", "http://a.b/c/d/"})
		if samePlainURL(t, base, text(6, []string{"", "", "/", "forum.php?", "a/b"})) {
			plain++
		}
	}
	if plain < 5000 {
		t.Errorf("only %d are plain", plain)
	}
	t.Logf("%d are plain", plain)
}

func FuzzPlainURL(f *testing.F) {
	f.Add("http://a.example.com/forum.php?mod=viewthread&tid=7", "forum.php?x=1")
	f.Add("https://127.0.0.1:8443/a/b", "/c/../d")
	f.Fuzz(func(t *testing.T, base, ref string) { samePlainURL(t, base, ref) })
}
