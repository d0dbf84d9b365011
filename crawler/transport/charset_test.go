package transport

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

const (
	simplified  = "专业反催收团队，停息挂账、债务协商代办，信用卡逾期不用怕，加微信咨询，成功后付款。"
	traditional = "專業債務協商，信用卡逾期不用怕，貸款整合代辦，請加我的通訊帳號詢問，成功後付款。"
)

func encode(t testing.TB, e encoding.Encoding, s string) []byte {
	t.Helper()
	out, err := e.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatalf("encoding test text: %v", err)
	}
	return out
}

func page(charset, text string) string {
	return `<html><head><meta http-equiv="Content-Type" content="text/html; charset=` + charset + `"><title>` + text + `</title></head><body>` + text + `</body></html>`
}

func TestToUTF8(t *testing.T) {
	gb := func(s string) []byte { return encode(t, simplifiedchinese.GB18030, s) }
	big := func(s string) []byte { return encode(t, traditionalchinese.Big5, s) }
	plain := "<html><body>" + simplified + "</body></html>"
	rare := simplified + "㐀𠮷€"
	cut := []byte(page("utf-8", strings.Repeat(simplified, 5)))
	at := bytes.LastIndex(cut, []byte("</body>"))
	cut = append(cut[:at-1:at-1], cut[at:]...) // the last character loses its last byte

	tests := []struct {
		name        string
		body        []byte
		contentType string
		charset     string
		want        string // part of the text
	}{
		{"gbk: no header charset, meta", gb(page("gbk", simplified)), "text/html", "gb18030", simplified},
		{"gbk: header, no meta", gb(plain), "text/html; charset=gbk", "gb18030", simplified},
		{"gbk: neither", gb(plain), "text/html", "gb18030", simplified},
		{"gbk: no content type at all", gb(plain), "", "gb18030", simplified},
		{"gbk: header says utf-8, meta gbk", gb(page("gbk", simplified)), "text/html; charset=utf-8", "gb18030", simplified},
		{"gbk: header and meta say utf-8", gb(page("utf-8", simplified)), "text/html; charset=utf-8", "gb18030", simplified},
		{"gbk: header says iso-8859-1 by default", gb(plain), "text/html; charset=ISO-8859-1", "gb18030", simplified},
		{"gb2312 label, four-byte characters", gb(page("gb2312", rare)), "text/html; charset=gb2312", "gb18030", rare},
		{"gbk label, four-byte characters", gb(page("gbk", rare)), "text/html", "gb18030", rare},
		{"cp936 label", gb(plain), "text/html; charset=cp936", "gb18030", simplified},
		{"utf-8: header says gbk", []byte(plain), "text/html; charset=gbk", "utf-8", simplified},
		{"utf-8: meta says gb2312", []byte(page("gb2312", rare)), "text/html", "utf-8", rare},
		{"utf-8: header says iso-8859-1", []byte(plain), "text/html; charset=iso-8859-1", "utf-8", simplified},
		{"utf-8: nothing said", []byte(plain), "text/html", "utf-8", simplified},
		{"utf-8: one character cut by bytes", cut, "text/html; charset=utf-8", "utf-8", simplified},
		{"utf-8: cut, header says gbk", cut, "text/html; charset=gbk", "utf-8", simplified},
		{"utf-8: byte order mark, header lies", []byte("\uFEFF" + plain), "text/html; charset=gbk", "utf-8", "<html><body>专业"},
		{"gbk behind a leftover utf-8 mark", append([]byte("\xEF\xBB\xBF"), gb(page("gbk", simplified))...), "text/html", "gb18030", simplified},
		{"big5: nothing said", big(traditional + traditional), "text/html", "big5", traditional},
		{"big5: meta", big(page("big5", traditional)), "text/html", "big5", traditional},
		{"big5: header utf-8 lies, no meta", big(traditional + traditional), "text/html; charset=utf-8", "big5", traditional},
		{"traditional characters in gbk, declared", gb(page("gbk", traditional)), "text/html", "gb18030", traditional},
		{"utf-16 by mark", encode(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), plain), "text/html", "utf-16le", simplified},
		{"utf-16 xml without mark", encode(t, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), `<?xml version="1.0"?><a>`+simplified+`</a>`), "text/xml", "utf-16be", simplified},
		{"two metas, the first counts", gb(`<meta charset="gbk">` + page("big5", simplified)), "text/html", "gb18030", simplified},
		{"two metas, the first is a lie", gb(`<meta charset="utf-8">` + page("gbk", simplified)), "text/html", "gb18030", simplified},
		{"meta in a comment is none", gb(`<!-- <meta charset="big5"> -->` + page("gbk", simplified)), "text/html", "gb18030", simplified},
		{"meta in a script is none", gb(`<script>var m='<meta charset="big5">'</script>` + page("gbk", simplified)), "text/html", "gb18030", simplified},
		{"meta after 3000 bytes of script", gb("<script>" + strings.Repeat("a=1;", 750) + "</script>" + page("gbk", simplified)), "text/html", "gb18030", simplified},
		{"unknown label", gb(plain), "text/html; charset=klingon", "gb18030", simplified},
		{"doubled parameter", gb(plain), `text/html; charset="gb2312"; charset=utf-8`, "gb18030", simplified},
		{"json in gbk", gb(`{"title":"` + simplified + `"}`), "application/json", "gb18030", simplified},
		{"short gbk text that is valid utf-8 by accident", []byte("\xC4\xA3\xBA\xFD")[:2], "text/plain; charset=gbk", "gb18030", "模"},
		{"hz", []byte("~{VPND~}"), "text/plain; charset=hz-gb-2312", "hz-gb-2312", "中文"},
		{"shift_jis declared", encode(t, japanese.ShiftJIS, "債務整理のご相談"), "text/html; charset=Shift_JIS", "shift_jis", "債務整理のご相談"},
		{"latin text", []byte("caf\xe9 cr\xe8me et th\xe9 glac\xe9, d\xe9j\xe0 vu"), "text/html", "windows-1252", "café crème et thé glacé, déjà vu"},
		{"ascii", []byte("<p>hello</p>"), "text/html", "utf-8", "<p>hello</p>"},
		{"empty", nil, "text/html; charset=gbk", "utf-8", ""},
		{"image", []byte("\x89PNG\r\n\x1a\n\xff\xfe"), "image/png", "binary", "\x89PNG\r\n\x1a\n\xff\xfe"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Clone(tt.body)
			got, name, err := ToUTF8(tt.body, tt.contentType)
			if err != nil {
				t.Fatalf("ToUTF8: %v", err)
			}
			if name != tt.charset {
				t.Errorf("charset = %q, want %q", name, tt.charset)
			}
			if !strings.Contains(string(got), tt.want) {
				t.Errorf("text = %.200q, want it to have %q", got, tt.want)
			}
			if strings.HasPrefix(string(got), "\uFEFF") {
				t.Error("the byte order mark is still there")
			}
			if !bytes.Equal(before, tt.body) {
				t.Error("the body was changed")
			}
		})
	}
}

func TestToUTF8XMLDeclaration(t *testing.T) {
	doc := func(decl string) string { return decl + "<rss><title>" + simplified + "</title></rss>" }
	gbkDecl := `<?xml version="1.0" encoding="gbk"?>`
	tests := []struct {
		name, decl, contentType, want string
	}{
		{"declaration alone", gbkDecl, "text/xml", `<?xml version="1.0" encoding="utf-8"?>`},
		{"header and declaration", gbkDecl, "application/rss+xml; charset=gbk", `<?xml version="1.0" encoding="utf-8"?>`},
		{"header lies", gbkDecl, "text/xml; charset=utf-8", `<?xml version="1.0" encoding="utf-8"?>`},
		{"single quotes and spaces", "\n<?xml version='1.0' encoding = 'GB2312' ?>", "text/xml", "\n<?xml version='1.0' encoding = 'utf-8' ?>"},
		{"no encoding", `<?xml version="1.0"?>`, "text/xml; charset=gb18030", `<?xml version="1.0"?>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, name, err := ToUTF8(encode(t, simplifiedchinese.GB18030, doc(tt.decl)), tt.contentType)
			if err != nil || name != "gb18030" || string(got) != doc(tt.want) {
				t.Errorf("got %q, %q, %v; want %q", got, name, err, doc(tt.want))
			}
		})
	}
	got, _, err := ToUTF8([]byte(doc(gbkDecl)), "text/xml")
	if err != nil || string(got) != doc(`<?xml version="1.0" encoding="utf-8"?>`) {
		t.Errorf("UTF-8 that declares gbk: got %q, %v", got, err)
	}
}

func TestToUTF8NotText(t *testing.T) {
	jpeg := bytes.Repeat([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\xff\xff\x80\xff"), 100)
	_, _, err := ToUTF8(jpeg, "text/html; charset=utf-8")
	if ce := (*CharsetError)(nil); !errors.As(err, &ce) || ce.Bad == 0 || ce.Total < ce.Bad {
		t.Errorf("a picture served as HTML: err = %v, want a *CharsetError with counts", err)
	}
	if _, name, err := ToUTF8(jpeg, ""); err != nil || name != "binary" {
		t.Errorf("a picture without a type: %q, %v; want binary", name, err)
	}
}

// Pages recorded from real forums, without and with headers that lie.
func TestToUTF8RecordedPages(t *testing.T) {
	pages, err := filepath.Glob("../../../shared/pages/*.html")
	if err != nil || len(pages) == 0 {
		t.Skipf("the recorded pages are not here: %v", err)
	}
	for _, file := range pages {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := "utf-8"
		if strings.Contains(file, "dzgbk") {
			want = "gb18030"
		}
		for _, contentType := range []string{"", "text/html", "text/html; charset=utf-8", "text/html; charset=gbk", "text/html; charset=iso-8859-1"} {
			// Without its meta element the bytes alone have to tell.
			for _, b := range [][]byte{body, bytes.ReplaceAll(body, []byte("charset"), []byte("xharset"))} {
				text, name, err := ToUTF8(b, contentType)
				if isASCII(b) {
					continue
				}
				if err != nil || name != want || bytes.Contains(text, []byte("\uFFFD")) != bytes.Contains(b, []byte("\uFFFD")) {
					t.Errorf("%s as %q: %s, %v, want %s", filepath.Base(file), contentType, name, err, want)
				}
			}
		}
	}
}

func FuzzToUTF8(f *testing.F) {
	f.Add([]byte(page("gbk", simplified)), "text/html")
	f.Add(encode(f, simplifiedchinese.GB18030, page("gbk", simplified)), "text/html; charset=utf-8")
	f.Add([]byte(`<?xml encoding="`), "text/xml")
	f.Add([]byte("<\x00?\x00x\x00"), "")
	f.Add([]byte("\x84\x31\x95\x33\x81"), "a/b;charset=charset==")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		text, name, err := ToUTF8(body, contentType)
		if name == "" {
			t.Fatalf("no name for %q, %q", body, contentType)
		}
		if name == nameBinary {
			if !bytes.Equal(text, body) {
				t.Fatal("a binary body was changed")
			}
			return
		}
		if !utf8.Valid(text) {
			t.Fatalf("not UTF-8: %q as %s (%v)", text, name, err)
		}
		if len(text) > 4*len(body)+len(nameUTF8) {
			t.Fatalf("%d bytes became %d", len(body), len(text))
		}
	})
}

// gbkPage is a forum page of about 30 KB as servers send it.
func gbkPage(b testing.TB, charset string) []byte {
	post := `<div class="t_fsz"><table><tr><td class="t_f" id="postmessage_1"><a href="thread-1-1-1.html" class="xst">` + simplified + `</a></td></tr></table></div>` + "\n"
	text := page(charset, strings.Repeat(post, 150))
	body := encode(b, simplifiedchinese.GB18030, text)
	return body[:bytes.LastIndexByte(body[:30<<10], '\n')]
}

func BenchmarkToUTF8(b *testing.B) {
	for _, bm := range []struct{ name, meta, contentType string }{
		{"declared", "gbk", "text/html; charset=gbk"},
		{"lying", "utf-8", "text/html; charset=utf-8"},
		{"undeclared", "", "text/html"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			body := gbkPage(b, bm.meta)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, name, err := ToUTF8(body, bm.contentType); err != nil || name != "gb18030" {
					b.Fatal(name, err)
				}
			}
		})
	}
}
