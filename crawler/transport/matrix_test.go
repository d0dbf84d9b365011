package transport

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"qingyuan/crawler/hostiletest"
)

// level1 gives the 3,755 characters of GB 2312 level 1 in their order: what
// ordinary texts are written in.
func level1(t *testing.T) string {
	var b []byte
	for row := byte(0xB0); row <= 0xD7; row++ {
		last := byte(0xFE)
		if row == 0xD7 {
			last = 0xF9
		}
		for cell := byte(0xA1); cell <= last; cell++ {
			b = append(b, row, cell)
		}
	}
	s, err := simplifiedchinese.GBK.NewDecoder().String(string(b))
	if err != nil || utf8.RuneCountInString(s) != 3755 {
		t.Fatalf("%d characters, %v", utf8.RuneCountInString(s), err)
	}
	return s
}

// TestCharsetMatrix fetches one text in twelve ways in which sites lie about it,
// or say nothing: not one character may come out wrong.
func TestCharsetMatrix(t *testing.T) {
	gb, utf := encoding.Encoding(simplifiedchinese.GB18030), encoding.Encoding(unicode.UTF8)
	common := strings.Repeat(simplified, 5) + level1(t)
	rare := common + "㐀𠮷𪚥€"
	tw := strings.Repeat(traditional, 20)
	doc := func(head, text string) string {
		return "<html><head>" + head + "</head><body><p>" + text + "</p></body></html>"
	}
	rss := func(text string) string {
		return `<?xml version="1.0" encoding="gbk"?><rss><channel><item><title>` + text + `</title></item></channel></rss>`
	}
	const metaGB, metaUTF, meta5 = `<meta charset="gb2312">`, `<meta charset="utf-8">`, `<meta http-equiv="Content-Type" content="text/html; charset=big5">`
	wrong, chars := 0, 0
	for _, tt := range []struct {
		name, contentType, doc, text string
		in                           encoding.Encoding
		coding                       string
	}{
		{"1 header none, meta gbk", "text/html", doc(metaGB, common), common, gb, ""},
		{"2 header gbk, meta none", "text/html; charset=gbk", doc("", common), common, gb, ""},
		{"3 neither", "text/html", doc("", common), common, gb, ""},
		{"4 header lies utf-8, meta gbk", "text/html; charset=utf-8", doc(metaGB, common), common, gb, ""},
		{"5 header and meta lie utf-8", "text/html; charset=utf-8", doc(metaUTF, common), common, gb, ""},
		{"6 label gb2312, four-byte characters", "text/html; charset=gb2312", doc(metaGB, rare), rare, gb, ""},
		{"7 label gbk by meta alone, four-byte characters, gzip", "text/html", doc(metaGB, rare), rare, gb, "gzip"},
		{"8 two metas, the first lies", "text/html", doc(metaUTF+metaGB, common), common, gb, ""},
		{"9 utf-8 under gbk labels", "text/html; charset=gbk", doc(metaGB, rare), rare, utf, ""},
		{"10 rss, header and declaration", "application/rss+xml; charset=gbk", rss(rare), rare, gb, ""},
		{"11 rss, declaration alone", "application/rss+xml", rss(rare), rare, gb, ""},
		{"12 big5 under a utf-8 header", "text/html; charset=utf-8", doc(meta5, tw), tw, traditionalchinese.Big5, ""},
	} {
		body := encode(t, tt.in, tt.doc)
		if tt.coding != "" {
			body = hostiletest.Compress(t, tt.coding, body)
		}
		resp, got, err := get(t, serve(t, tt.coding, tt.contentType, body), Options{}, "/")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if ct := resp.Header.Get("Content-Type"); !strings.HasSuffix(ct, "; charset=utf-8") {
			t.Errorf("%s: Content-Type %s", tt.name, ct)
		}
		chars += utf8.RuneCountInString(tt.text)
		if bad := wrongChars(got, tt.text); bad > 0 {
			wrong += bad
			t.Errorf("%s: %d of %d characters are wrong: %.120q", tt.name, bad, utf8.RuneCountInString(tt.text), got)
		}
	}
	t.Logf("%d of %d characters wrong", wrong, chars)
}

// wrongChars counts the characters of want that do not stand in got in their
// place.
func wrongChars(got, want string) int {
	for _, before := range []string{"<p>", "<title>"} {
		if _, text, ok := strings.Cut(got, before); ok {
			got = text
		}
	}
	g, w := []rune(got), []rune(want)
	bad := 0
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			bad++
		}
	}
	return bad
}
