package transport

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// Names that ToUTF8 gives besides those of the WHATWG encoding standard.
const (
	nameUTF8   = "utf-8"
	nameGB     = "gb18030"
	nameBig5   = "big5"
	nameLatin  = "windows-1252"
	nameBinary = "binary"
)

const (
	prescanBytes = 4096     // where a meta element or XML declaration is looked for
	sampleBytes  = 32 << 10 // how much of a page the charset contest reads
	nulSample    = 1024     // where NUL bytes tell a binary body
)

// ToUTF8 converts a text body to UTF-8 and names the charset it came in.
//
// The charset is taken from, in this order: a byte order mark; the charset of
// contentType; a meta element or XML declaration in the first 4096 bytes;
// else the best of utf-8, gb18030 and big5 by how much of the body each can
// read. What is declared is only believed as far as the bytes bear it out:
// "utf-8" that is not valid UTF-8 is overruled, and so is any other label on a
// page that is valid UTF-8. Every gb* label is read as GB18030, the superset
// of all of them. The encoding named in an XML declaration is rewritten, so
// that no later reader decodes twice.
//
// Bodies of a binary content type come back untouched, named "binary". A body
// that claims to be text and that no charset reads gives a *CharsetError
// beside the best attempt. The result may share memory with body; body is not
// changed.
func ToUTF8(body []byte, contentType string) (text []byte, name string, err error) {
	mediaType, header := splitContentType(contentType)
	if !isTextual(mediaType) || mediaType == "" && looksBinary(body) {
		return body, nameBinary, nil
	}
	if len(body) == 0 {
		return body, nameUTF8, nil
	}
	enc, name, skip := fromBOM(body)
	if name != "" {
		return finish(body[skip:], enc, name)
	}
	name = choose(body, canonicalCharset(header), declaredInBody(body))
	return finish(body, encodingOf(name), name)
}

// ToUTF8As is ToUTF8 for a text whose charset is known, whatever it declares;
// charset is a WHATWG name, and with "" or an unknown one it is ToUTF8. Only a
// byte order mark overrules it.
func ToUTF8As(charset string, body []byte, contentType string) (text []byte, name string, err error) {
	mediaType, _ := splitContentType(contentType)
	name = canonicalCharset(charset)
	if name == "" || len(body) == 0 || !isTextual(mediaType) || mediaType == "" && looksBinary(body) {
		return ToUTF8(body, contentType)
	}
	if enc, marked, skip := fromBOM(body); marked != "" {
		return finish(body[skip:], enc, marked)
	}
	return finish(body, encodingOf(name), name)
}

// finish decodes, counts what was lost, and mends the XML declaration.
func finish(body []byte, enc encoding.Encoding, name string) ([]byte, string, error) {
	text := body
	switch {
	case name == nameUTF8:
		if !utf8.Valid(body) {
			text = bytes.ToValidUTF8(body, []byte("\uFFFD"))
		}
	case isASCII(body) && asciiSuperset(name):
	default:
		decoded, err := enc.NewDecoder().Bytes(body)
		if err != nil {
			return nil, name, fmt.Errorf("decoding %s: %w", name, err)
		}
		text = decoded
	}
	text = rewriteXMLDeclaration(text)
	if bad, total := damage(text); bad > 0 {
		return text, name, &CharsetError{Name: name, Bad: bad, Total: total}
	}
	return text, name, nil
}

// damage gives zeros for what may pass as text. A page cut in the middle of
// characters, or with one damaged post, stays a page; a picture or an archive
// served as text/html is none.
func damage(text []byte) (bad, total int) {
	lost := bytes.Count(text, []byte("\uFFFD"))
	control := 0
	for _, c := range text {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b {
			control++
		}
	}
	if lost+control <= 8 {
		return 0, 0
	}
	wide := utf8.RuneCount(text) - len(text)
	for _, c := range text {
		if c >= utf8.RuneSelf {
			wide++
		}
	}
	if lost*4 > wide || control*50 > len(text) {
		return lost + control, max(wide, lost) + control
	}
	return 0, 0
}

// choose settles on a charset from what header and page declare ("" for
// nothing or nothing known) and what the bytes bear out.
func choose(body []byte, header, page string) string {
	declared := header
	// Servers send iso-8859-1 by default, for pages of every kind: the page
	// itself knows better.
	if declared == "" || declared == nameLatin {
		declared = first(page, header)
	}
	if isASCII(body) {
		return first(declared, nameUTF8)
	}
	if utf8.Valid(body) {
		if declared == "" || declared == nameUTF8 || mostlyWide(body) {
			return nameUTF8
		}
		return declared
	}
	if declared == nameUTF8 {
		// Overruled, unless only a few characters are damaged. The other
		// declaration, if there is one, is the first suspect.
		if other := first(notUTF8(header), notUTF8(page)); other != "" && other != nameLatin && !mostlyUTF8(body) {
			return other
		}
		guess := contest(body)
		if good, bad := countUTF8(body); guess == nameLatin && good >= bad {
			return nameUTF8
		}
		return guess
	}
	if declared == "" || declared == nameLatin {
		return contest(body)
	}
	if mostlyUTF8(body) {
		return nameUTF8
	}
	return declared
}

// contest scores utf-8, gb18030 and big5 over a sample of the body and gives
// windows-1252 when none of them makes sense of it.
func contest(body []byte) string {
	sample := denseSample(body)
	if mostlyUTF8(sample) {
		return nameUTF8
	}
	gb, gbGood := plausibility(sample, nameGB)
	big, bigGood := plausibility(sample, nameBig5)
	switch {
	case !gbGood && !bigGood:
		return nameLatin
	case bigGood && (!gbGood || big > gb):
		return nameBig5
	}
	return nameGB
}

// common holds the most frequent characters of Chinese text, simplified and
// traditional, with the punctuation that comes with them. Both charsets can
// read almost any pair of bytes; only the right one yields these often.
const common = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里" +
	"用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日期款贷" +
	"這個們來為國說時要會對後發過裡還進樣開從實貸經麼學現當沒動點無問與關於應該間見長頭東車門電話請樓網頁論壇" +
	"网页论坛首登录注册回复帖子主题版块，。、！？：；（）《》“”【】　"

// plausibility scores the sample read as name (gb18030 or big5), and tells
// whether that is what real text has: few unreadable pairs, and enough of the
// characters that every text is made of.
func plausibility(sample []byte, name string) (score float64, good bool) {
	text, err := encodingOf(name).NewDecoder().Bytes(sample)
	if err != nil {
		return 0, false
	}
	wide, bad, frequent := 0, 0, 0
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			continue
		}
		wide++
		switch {
		case r == utf8.RuneError || r >= 0xE000 && r <= 0xF8FF:
			bad++
		case commonSet[r]:
			frequent++
		}
	}
	if wide == 0 {
		return 0, false
	}
	score = float64(firstLevel(sample, name)+2*frequent-3*bad) / float64(wide)
	return score, bad*10 <= wide && score > 0.6
}

// firstLevel counts the pairs of bytes that are punctuation or one of the
// charset's table of everyday characters (level 1 of GB 2312 or of Big5).
func firstLevel(sample []byte, name string) int {
	n := 0
	for i := 0; i+1 < len(sample); {
		lead, trail := sample[i], sample[i+1]
		switch {
		case lead < utf8.RuneSelf:
			i++
			continue
		case name == nameGB && trail >= '0' && trail <= '9':
			i += 4
			continue
		case name == nameGB && trail >= 0xA1 && (lead >= 0xB0 && lead <= 0xD7 || lead >= 0xA1 && lead <= 0xA3),
			name == nameBig5 && trail >= 0x40 && lead >= 0xA1 && lead <= 0xC6:
			n++
		}
		i += 2
	}
	return n
}

// commonSet is common as a set; it is never written to.
var commonSet = func() map[rune]bool {
	set := make(map[rune]bool, 256)
	for _, r := range common {
		set[r] = true
	}
	return set
}()

// denseSample gives the part of the body worth judging: the bytes beyond
// ASCII, each run with the two bytes after it (which may be the second half of
// a character) and a space. Pages are mostly scripts and tags.
func denseSample(body []byte) []byte {
	out := make([]byte, 0, min(len(body), 2*sampleBytes))
	tail := 0
	for _, c := range body {
		switch {
		case c >= utf8.RuneSelf:
			tail = 3
		case tail == 1:
			c, tail = ' ', 0
		case tail > 1:
			tail--
		default:
			continue
		}
		if out = append(out, c); len(out) >= 2*sampleBytes || len(out) >= sampleBytes && tail == 0 {
			break
		}
	}
	return out
}

// mostlyUTF8 tells a UTF-8 page with some damaged characters (titles that
// were cut by bytes) from a page in another charset, where valid sequences
// are rare accidents.
func mostlyUTF8(body []byte) bool {
	good, bad := countUTF8(body)
	return good > 0 && bad*5 <= good
}

// countUTF8 counts sequences of three and four bytes, and damaged bytes.
func countUTF8(body []byte) (good, bad int) {
	for i := 0; i < len(body); {
		if body[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			bad++
		} else if size >= 3 {
			good++
		}
		i += size
	}
	return good, bad
}

// mostlyWide tells whether valid UTF-8 is so by more than accident. Short GBK
// texts can be valid UTF-8, but then as two-byte letters of Latin, Greek or
// Arabic; Chinese in UTF-8 has three bytes a character.
func mostlyWide(body []byte) bool {
	narrow, wide := 0, 0
	for _, r := range string(body) {
		switch {
		case r < utf8.RuneSelf:
		case r < 0x800:
			narrow++
		default:
			wide++
		}
	}
	return wide > narrow
}

func isASCII(body []byte) bool {
	for _, c := range body {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// asciiSuperset tells whether ASCII bytes mean themselves in the charset.
func asciiSuperset(name string) bool {
	switch name {
	case "utf-16le", "utf-16be", "iso-2022-jp", "hz-gb-2312":
		return false
	}
	return true
}

// fromBOM reads a byte order mark, or the zero bytes that give away UTF-16
// XML without one.
func fromBOM(body []byte) (enc encoding.Encoding, name string, skip int) {
	little := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	big := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	switch {
	case bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")):
		if !utf8.Valid(body) && !mostlyUTF8(body[3:]) {
			return nil, "", 0 // an editor's leftover before a GBK page
		}
		return nil, nameUTF8, 3
	case bytes.HasPrefix(body, []byte("\x84\x31\x95\x33")):
		return simplifiedchinese.GB18030, nameGB, 4
	case bytes.HasPrefix(body, []byte("\xFF\xFE")):
		return little, "utf-16le", 2
	case bytes.HasPrefix(body, []byte("\xFE\xFF")):
		return big, "utf-16be", 2
	case bytes.HasPrefix(body, []byte("<\x00?\x00x\x00")):
		return little, "utf-16le", 0
	case bytes.HasPrefix(body, []byte("\x00<\x00?\x00x")):
		return big, "utf-16be", 0
	}
	return nil, "", 0
}

// encodingOf gives the decoder for a name from canonicalCharset; GB18030 for
// one it does not know, which cannot happen.
func encodingOf(name string) encoding.Encoding {
	switch name {
	case nameGB, "":
		return simplifiedchinese.GB18030
	case nameBig5:
		return traditionalchinese.Big5
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	}
	enc, err := htmlindex.Get(name)
	if err != nil {
		return simplifiedchinese.GB18030
	}
	return enc
}

// looksBinary judges a body without a content type.
func looksBinary(body []byte) bool {
	if _, name, _ := fromBOM(body); name != "" {
		return false
	}
	return bytes.IndexByte(body[:min(len(body), nulSample)], 0) >= 0
}

func notUTF8(name string) string {
	if name == nameUTF8 {
		return ""
	}
	return name
}

func first(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}
