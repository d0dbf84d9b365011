package classify

import (
	"html"
	"strconv"
	"strings"
)

// markup is what parseMarkup found at a & or <. Width 0 means: only a sign.
type markup struct {
	width   int // bytes of the source
	runes   [2]rune
	count   int        // of runes decoded from an entity
	newline bool       // a tag that breaks the line
	gap     evasionSet // what its removal undoes
	hidden  int        // bytes after width that are text nobody sees
}

// The longest entity, tag and hidden element looked for, in bytes. They bound
// the work at one < or & and keep "a < b" from swallowing a text.
const (
	maxEntity = 34
	maxTag    = 1024
	maxHidden = 2048
)

// maxNoise is the longest hidden text, in runes, that is taken for noise
// between the characters of a term and dropped. Longer ones are advertising
// for search engines and stay, marked as hidden.
const maxNoise = 12

// shownRunes counts the runes of s outside tags.
func shownRunes(s string) int {
	n, tag := 0, false
	for _, r := range s {
		switch {
		case r == '<':
			tag = true
		case r == '>':
			tag = false
		case !tag && r > ' ':
			n++
		}
	}
	return n
}

// knownTags are the elements that forum software leaves in texts.
var knownTags = map[string]bool{ // true: breaks the line
	"br": true, "p": true, "div": true, "li": true, "tr": true, "hr": true, "h1": true, "h2": true, "h3": true, "h4": true,
	"ul": true, "ol": true, "table": true, "section": true, "article": true, "blockquote": true, "dd": true, "dt": true,
	"a": false, "b": false, "i": false, "u": false, "s": false, "em": false, "strong": false, "span": false, "font": false,
	"img": false, "td": false, "th": false, "tbody": false, "label": false, "small": false, "big": false, "sub": false,
	"sup": false, "del": false, "ins": false, "code": false, "pre": false, "mark": false, "wbr": false, "o": false,
	"input": false, "button": false, "form": false, "iframe": false, "video": false, "script": false, "style": false,
	"center": false, "strike": false, "tt": false, "abbr": false, "bdo": false, "ruby": false, "rt": false, "rp": false,
}

// parseMarkup reads an entity, comment or tag at the head of s. noComment is
// set once a comment does not end, so that many of them cost no more than one.
func parseMarkup(s string, noComment *bool) markup {
	if s[0] == '&' {
		return parseEntity(s)
	}
	if strings.HasPrefix(s, "<!--") {
		if *noComment {
			return markup{}
		}
		end := strings.Index(s[4:], "-->")
		if end < 0 {
			*noComment = true
			return markup{}
		}
		if shownRunes(s[4:4+end]) > maxNoise {
			return markup{width: 4, newline: true, hidden: end}
		}
		return markup{width: 4 + end + 3, gap: gapHTML}
	}
	return parseTag(s)
}

func parseEntity(s string) markup {
	head := s[:min(len(s), maxEntity)]
	end := strings.IndexByte(head, ';')
	if end < 2 {
		return markup{}
	}
	m := markup{width: end + 1}
	if body := head[1:end]; body[0] == '#' {
		base, digits := 10, body[1:]
		if digits != "" && (digits[0] == 'x' || digits[0] == 'X') {
			base, digits = 16, digits[1:]
		}
		v, err := strconv.ParseUint(digits, base, 32)
		if err != nil {
			return markup{}
		}
		if v == 0 || v > 0x10ffff || v >= 0xd800 && v < 0xe000 {
			v = 0xfffd
		}
		m.runes[0], m.count = rune(v), 1
		return m
	}
	for i := 1; i < end; i++ {
		if c := head[i] | 0x20; (c < 'a' || c > 'z') && (head[i] < '0' || head[i] > '9') {
			return markup{}
		}
	}
	decoded := html.UnescapeString(head[:end+1])
	if strings.HasSuffix(decoded, ";") && decoded != ";" {
		return markup{} // not an entity, or only its beginning
	}
	for _, r := range decoded {
		if m.count == len(m.runes) {
			return markup{}
		}
		m.runes[m.count] = r
		m.count++
	}
	return m
}

func parseTag(s string) markup {
	i := 1
	if i < len(s) && s[i] == '/' {
		i++
	}
	from := i
	for i < len(s) && i-from < 12 && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || i > from && s[i] >= '0' && s[i] <= '9') {
		i++
	}
	name := strings.ToLower(s[from:i])
	breaks, known := knownTags[name]
	if !known || i >= len(s) || s[i] != '>' && s[i] != '/' && s[i] != ' ' && s[i] != '\n' && s[i] != '\t' && s[i] != ':' {
		return markup{}
	}
	end := strings.IndexByte(s[:min(len(s), maxTag)], '>')
	if end < 0 {
		return markup{}
	}
	m := markup{width: end + 1, newline: breaks, gap: gapHTML}
	if s[1] == '/' || s[end-1] == '/' || !hides(name, s[i:end]) {
		return m
	}
	rest := s[end+1 : min(len(s), end+1+maxHidden)]
	if n := hiddenEnd(rest, name); n > 0 {
		if name != "script" && name != "style" && shownRunes(rest[:n]) > maxNoise {
			m.newline, m.hidden = true, n
			return m
		}
		m.width += n
		m.gap, m.newline = gapHidden, false
	}
	return m
}

// hides reports whether an element with these attributes is not displayed.
func hides(name, attrs string) bool {
	if name == "script" || name == "style" {
		return true
	}
	if attrs == "" {
		return false
	}
	a := strings.ToLower(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(attrs))
	for _, sign := range [...]string{"display:none", "visibility:hidden", "font-size:0", "opacity:0;", "opacity:0\"", "opacity:0'", "text-indent:-999", "color:#fff\"", "color:#fff;", "color=\"#fff\"", "color:white", "size=\"0\"", "class=\"jammer\"", "class=jammer"} {
		if strings.Contains(a, sign) {
			return true
		}
	}
	return a == "hidden" || strings.HasPrefix(a, "hidden=")
}

// hiddenEnd finds the end of the element called name whose content starts s;
// 0 when it does not end within s.
func hiddenEnd(s, name string) int {
	depth := 1
	for i := 0; i < len(s); {
		next := strings.IndexByte(s[i:], '<')
		if next < 0 {
			return 0
		}
		i += next + 1
		rest := s[i:]
		closing := strings.HasPrefix(rest, "/")
		rest = strings.TrimPrefix(rest, "/")
		if len(rest) <= len(name) || !strings.EqualFold(rest[:len(name)], name) || rest[len(name)] != '>' && rest[len(name)] != ' ' {
			continue
		}
		if !closing {
			depth++
			continue
		}
		if depth--; depth == 0 {
			end := strings.IndexByte(s[i:], '>')
			if end < 0 {
				return 0
			}
			return i + end + 1
		}
	}
	return 0
}
