package transport

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding/htmlindex"
)

// canonicalCharset maps a label to the name we decode by, "" when unknown.
func canonicalCharset(label string) string {
	label = strings.ToLower(strings.Trim(label, " \t\r\n\f\"'"))
	switch {
	case label == "":
		return ""
	case label == "hz-gb-2312" || label == "hz":
		return "hz-gb-2312"
	// cp936, ms936, x-gbk, euc-cn, zh_cn: names of the same family that
	// servers use and no standard lists.
	case strings.HasPrefix(label, "gb"), strings.HasPrefix(label, "x-gb"), strings.HasPrefix(label, "chinese"),
		label == "cp936", label == "ms936", label == "windows-936", label == "936", label == "euc-cn",
		label == "euccn", label == "zh_cn", label == "zh-cn", label == "iso-ir-58", label == "csgb2312":
		return nameGB
	case strings.HasPrefix(label, "big5"), label == "cp950", label == "ms950", label == "windows-950":
		return nameBig5
	case label == "utf8mb4", label == "utf_8", label == "utf-8-sig":
		return nameUTF8
	}
	enc, err := htmlindex.Get(label)
	if err != nil {
		return ""
	}
	name, err := htmlindex.Name(enc)
	if err != nil || name == "replacement" || name == "x-user-defined" {
		return ""
	}
	return canonicalName(name)
}

func canonicalName(name string) string {
	if name == "gbk" {
		return nameGB
	}
	return name
}

// declaredInBody finds the charset that an XML declaration or meta element in
// the first 4096 bytes names.
func declaredInBody(body []byte) string {
	head := body[:min(len(body), prescanBytes)]
	if decl, _, ok := xmlDeclaration(head); ok {
		if name := canonicalCharset(string(decl)); name != "" {
			return asciiCompatible(name)
		}
	}
	if bytes.IndexByte(head, '<') < 0 {
		return ""
	}
	// The tokenizer, not a pattern: labels in comments and scripts are not
	// declarations.
	z := html.NewTokenizer(bytes.NewReader(head))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, hasAttr := z.TagName()
			if string(tag) != "meta" || !hasAttr {
				continue
			}
			if name := canonicalCharset(metaCharset(z)); name != "" {
				return asciiCompatible(name)
			}
		}
	}
}

// asciiCompatible corrects a page that says in ASCII that it is UTF-16.
func asciiCompatible(name string) string {
	if strings.HasPrefix(name, "utf-16") {
		return nameUTF8
	}
	return name
}

// metaCharset reads the attributes of the meta element the tokenizer is at.
func metaCharset(z *html.Tokenizer) string {
	charset, content, pragma := "", "", false
	for {
		key, value, more := z.TagAttr()
		switch string(key) {
		case "charset":
			charset = string(value)
		case "content":
			content = string(value)
		case "http-equiv":
			pragma = strings.EqualFold(strings.TrimSpace(string(value)), "content-type")
		}
		if !more {
			break
		}
	}
	if charset == "" && pragma {
		_, charset = splitContentType(content)
	}
	return charset
}

// xmlDeclaration gives the value of encoding in a leading XML declaration and
// where it begins.
func xmlDeclaration(text []byte) (value []byte, at int, ok bool) {
	start := len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
	rest := text[start:]
	if !bytes.HasPrefix(rest, []byte("<?xml")) {
		return nil, 0, false
	}
	end := bytes.Index(rest[:min(len(rest), prescanBytes)], []byte("?>"))
	if end < 0 {
		return nil, 0, false
	}
	rest = rest[:end]
	key := bytes.Index(rest, []byte("encoding"))
	if key < 0 {
		return nil, 0, false
	}
	p := key + len("encoding")
	p += len(rest[p:]) - len(bytes.TrimLeft(rest[p:], " \t\r\n"))
	if p >= len(rest) || rest[p] != '=' {
		return nil, 0, false
	}
	p++
	p += len(rest[p:]) - len(bytes.TrimLeft(rest[p:], " \t\r\n"))
	if p >= len(rest) || rest[p] != '"' && rest[p] != '\'' {
		return nil, 0, false
	}
	length := bytes.IndexByte(rest[p+1:], rest[p])
	if length < 0 {
		return nil, 0, false
	}
	return rest[p+1 : p+1+length], start + p + 1, true
}

// rewriteXMLDeclaration makes the declaration say what is now true.
func rewriteXMLDeclaration(text []byte) []byte {
	value, at, ok := xmlDeclaration(text)
	if !ok || strings.EqualFold(string(value), nameUTF8) {
		return text
	}
	out := make([]byte, 0, len(text)+len(nameUTF8))
	out = append(out, text[:at]...)
	out = append(out, nameUTF8...)
	return append(out, text[at+len(value):]...)
}

// splitContentType reads a Content-Type as servers write it: doubled
// parameters, missing quotes and stray semicolons do not lose the charset.
func splitContentType(contentType string) (mediaType, charset string) {
	mediaType, rest, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if comma := strings.IndexByte(mediaType, ','); comma >= 0 {
		mediaType = strings.TrimSpace(mediaType[:comma])
	}
	lower := strings.ToLower(rest)
	for {
		at := strings.Index(lower, "charset")
		if at < 0 {
			return mediaType, ""
		}
		lower = strings.TrimLeft(lower[at+len("charset"):], " \t")
		if !strings.HasPrefix(lower, "=") {
			continue
		}
		value := strings.TrimLeft(lower[1:], " \t\"'")
		if end := strings.IndexAny(value, "; \t,\"'"); end >= 0 {
			value = value[:end]
		}
		return mediaType, value
	}
}

// isTextual tells the content types that are text in some charset; an unknown
// type ("") counts.
func isTextual(mediaType string) bool {
	switch {
	case mediaType == "", strings.HasPrefix(mediaType, "text/"),
		strings.HasSuffix(mediaType, "+xml"), strings.HasSuffix(mediaType, "/xml"),
		strings.HasSuffix(mediaType, "+json"), strings.HasSuffix(mediaType, "/json"):
		return true
	}
	switch mediaType {
	case "application/javascript", "application/x-javascript", "application/ecmascript", "application/ld+json",
		"application/rss", "application/atom", "application/x-ndjson", "application/jsonl",
		"application/x-www-form-urlencoded", "html", "htm", "xml", "plain":
		return true
	}
	return false
}
