package crawler

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Most pages are plain: their tags are closed in the order in which they were
// opened, or where the standard says that they are closed by what follows. Such
// a page needs none of the parser's tolerance, nor what tame takes out before
// the parser gets it, and its tree is built here in a third of the time: one
// pass, texts that are pieces of the page itself, nodes by the hundred. At the
// first tag for which more would be needed the page is left to the parser.
//
// The tree is that of html.Parse of the tamed page, node by node; the fuzz
// target FuzzPlainHTML compares the two.

const (
	plainDepth = 200 // far below the parser's own limit and maxNesting
	plainAttrs = 16  // maxFormatAttrs, for all tags
	plainJoins = 1 << 20
)

// plainPage is the state of reading a plain page.
type plainPage struct {
	src  string
	at   int // next byte
	tags int

	name string // of the tag read last, in lower case
	atom atom.Atom
	read []html.Attribute // of the tag read last

	closed  bool // the tag read last ends in "/>"
	doubled bool // it has an attribute twice
	breaks  bool // the page has line breaks that are to be changed
	tree
}

// parsePlain reads a plain page. ok is false when the page is none; nothing is
// known of it then.
func parsePlain(body []byte) (root *html.Node, ok bool) {
	p := &plainPage{src: string(body)}
	if strings.IndexByte(p.src, 0) >= 0 {
		return nil, false
	}
	p.breaks = strings.IndexByte(p.src, '\r') >= 0
	p.opens.limit = formattingLimit(body)
	p.begin(len(body)/60 + 16)
	for p.at < len(p.src) {
		if !p.token() {
			return nil, false
		}
	}
	p.reach(inBody)
	return p.doc, len(p.foreign) == 0
}

// token reads one token and puts it into the tree.
func (p *plainPage) token() bool {
	lt := p.tagFrom(p.at)
	if lt > p.at {
		text := p.src[p.at:lt]
		p.at = lt
		return p.text(unescapeText(text))
	}
	if lt == len(p.src) {
		return true
	}
	rest := p.src[lt+1:]
	switch c := rest[0]; {
	case c == '!':
		return p.declaration()
	case c == '?':
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return false
		}
		p.at = lt + 1 + end + 1
		return p.comment(unescapeText(rest[:end]))
	case c == '/':
		if p.at = lt + 2; p.at >= len(p.src) || !isLetter(p.src[p.at]) || !p.tag() {
			return false
		}
		p.opens.end(p.name)
		if len(p.foreign) > 0 {
			return p.endForeign(p.name)
		}
		return p.end(p.atom, p.name)
	}
	if p.at = lt + 1; !p.tag() {
		return false
	}
	return p.start()
}

// tagFrom finds the next "<" that begins something else than text.
func (p *plainPage) tagFrom(at int) int {
	for {
		i := strings.IndexByte(p.src[at:], '<')
		if i < 0 || at+i+1 >= len(p.src) {
			return len(p.src)
		}
		at += i
		if c := p.src[at+1]; isLetter(c) || c == '/' || c == '!' || c == '?' {
			return at
		}
		at++
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }

// newlines makes line breaks what HTML has for them.
func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

func unescapeText(s string) string {
	if strings.IndexByte(s, '&') < 0 {
		return newlines(s)
	}
	return html.UnescapeString(newlines(s))
}

// declaration reads a comment or the document type.
func (p *plainPage) declaration() bool {
	rest := p.src[p.at:]
	if comment, ok := strings.CutPrefix(rest, "<!--"); ok {
		end := strings.Index(comment, "-->")
		if end < 0 || comment[0] == '>' || strings.HasPrefix(comment, "->") || strings.Contains(comment[:end+2], "--!") {
			return false
		}
		p.at += len("<!---->") + end
		return p.comment(unescapeText(comment[:end]))
	}
	end := strings.IndexByte(rest, '>')
	if end < len("<!DOCTYPE") || !strings.EqualFold(rest[:len("<!DOCTYPE")], "<!DOCTYPE") {
		return false
	}
	p.at += end + 1
	return p.doctype(rest[:end+1])
}

// tag reads name and attributes of the tag whose name begins at p.at, and
// leaves p.at behind it.
func (p *plainPage) tag() bool {
	if p.tags++; p.tags > maxTags {
		return false
	}
	from, upper := p.at, false
	for ; ; p.at++ {
		if p.at >= len(p.src) {
			return false
		}
		c := p.src[p.at]
		if isBlank(c) || c == '/' || c == '>' {
			break
		}
		upper = upper || 'A' <= c && c <= 'Z'
	}
	name := p.src[from:p.at]
	if upper {
		name = lowerASCII(name)
	}
	var buf [32]byte
	p.atom = 0
	if len(name) <= len(buf) {
		p.atom = atom.Lookup(append(buf[:0], name...))
	}
	if p.name = name; p.atom != 0 {
		p.name = p.atom.String()
	}
	return p.attributes()
}

// attributes reads up to the end of the tag.
func (p *plainPage) attributes() bool {
	p.read, p.closed, p.doubled = p.read[:0], false, false
	for {
		for p.at < len(p.src) && (isBlank(p.src[p.at]) || p.src[p.at] == '/') {
			p.closed = p.src[p.at] == '/'
			p.at++
		}
		if p.at >= len(p.src) {
			return false
		}
		if p.src[p.at] == '>' {
			p.at++
			return true
		}
		p.closed = false
		if len(p.read) >= plainAttrs || !p.attribute() {
			return false
		}
	}
}

// attribute reads one attribute.
func (p *plainPage) attribute() bool {
	from, upper := p.at, false
	for ; ; p.at++ {
		if p.at >= len(p.src) {
			return false
		}
		c := p.src[p.at]
		if isBlank(c) || c == '/' || c == '>' || c == '=' {
			break
		}
		upper = upper || 'A' <= c && c <= 'Z'
	}
	key := p.src[from:p.at]
	if key == "" {
		return false // begins with "="
	}
	if upper {
		key = lowerASCII(key)
	}
	for p.at < len(p.src) && isBlank(p.src[p.at]) {
		p.at++
	}
	val := ""
	if p.at < len(p.src) && p.src[p.at] == '=' {
		p.at++
		raw, ok := p.value()
		if !ok {
			return false
		}
		if p.breaks {
			raw = newlines(raw)
		}
		if val, ok = unescapeValue(raw); !ok {
			return false
		}
	}
	for _, a := range p.read {
		if a.Key == key {
			p.doubled = true
			return true // the first one counts
		}
	}
	p.read = append(p.read, html.Attribute{Key: key, Val: val})
	return true
}

// value reads what follows the "=" of an attribute, as written.
func (p *plainPage) value() (string, bool) {
	for p.at < len(p.src) && isBlank(p.src[p.at]) {
		p.at++
	}
	if p.at >= len(p.src) {
		return "", false
	}
	from := p.at
	switch c := p.src[p.at]; c {
	case '>':
		return "", true
	case '"', '\'':
		end := strings.IndexByte(p.src[from+1:], c)
		if end < 0 {
			return "", false
		}
		p.at += end + 2
		return p.src[from+1 : from+1+end], true
	}
	for ; p.at < len(p.src); p.at++ {
		if c := p.src[p.at]; isBlank(c) || c == '>' {
			return p.src[from:p.at], true
		}
	}
	return "", false
}

// taken gives the attributes read last memory of their own.
func (p *plainPage) taken() []html.Attribute {
	n := len(p.read)
	if n == 0 {
		return nil
	}
	if cap(p.attrs)-len(p.attrs) < n {
		p.attrs = make([]html.Attribute, 0, 256)
	}
	at := len(p.attrs)
	p.attrs = append(p.attrs, p.read...)
	return p.attrs[at : at+n : at+n]
}

// raw reads the text of an element whose content is not markup, and its end
// tag.
func (p *plainPage) raw() bool {
	name, from := p.name, p.at
	for at := from; ; {
		i := strings.Index(p.src[at:], "</")
		if i < 0 {
			return false
		}
		at += i + 2
		end := at + len(name)
		if end >= len(p.src) {
			return false
		}
		if c := p.src[end]; !strings.EqualFold(p.src[at:end], name) || !isBlank(c) && c != '/' && c != '>' {
			continue
		}
		text := p.src[from : at-2]
		if name == "script" && strings.Contains(text, "<!--") {
			return false // another "</script>" may be the end
		}
		if text = newlines(text); p.atom == atom.Textarea || p.atom == atom.Title {
			text = html.UnescapeString(text)
		}
		if p.atom == atom.Textarea {
			text = withoutBreak(text)
		}
		p.addText(text)
		p.pop()
		p.at = at
		return p.tag()
	}
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// unescapeValue replaces the character references in the value of an attribute,
// where those without semicolon count less than in text. ok is false when it
// cannot tell.
func unescapeValue(s string) (_ string, ok bool) {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s, true
	}
	var b strings.Builder
	for ; i >= 0; i = strings.IndexByte(s, '&') {
		b.WriteString(s[:i])
		s = s[i:]
		n := 1
		for n < len(s) && (isLetter(s[n]) || '0' <= s[n] && s[n] <= '9' || s[n] == '#' && n == 1) {
			n++
		}
		name := s[:n]
		switch {
		case n < len(s) && s[n] == ';':
			n++
			text, known := references[s[:n]]
			if !known {
				// When only the beginning is a name the semicolon is left over.
				if text = html.UnescapeString(s[:n]); text != s[:n] && strings.HasSuffix(text, ";") {
					return "", false
				}
			}
			b.WriteString(text)
		case n < len(s) && s[n] == '=' && !strings.HasPrefix(name, "&#"):
			b.WriteString(name)
		default:
			if html.UnescapeString(name) != name {
				return "", false
			}
			b.WriteString(name)
		}
		s = s[n:]
	}
	b.WriteString(s)
	return b.String(), true
}

// references are those that pages are full of; the map is never written to.
var references = map[string]string{"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": `"`, "&nbsp;": "\u00a0", "&#39;": "'"}
