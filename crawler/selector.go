package crawler

import (
	"slices"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// Selectors are tried on every element of a page, and nearly none fits. What
// the element itself must be, its tag and the attributes it has, is found in
// the selector's text once and looked at first; only then the selector is
// asked. FuzzSelector compares the two.

// compileSelector compiles a group of selectors.
func compileSelector(text string) (cascadia.Selector, error) {
	full, err := cascadia.Compile(text)
	if err != nil {
		return nil, err
	}
	needs, ok := needsOf(text)
	switch {
	case !ok:
		return full, nil
	case len(needs) == 1:
		one := needs[0]
		return func(n *html.Node) bool { return n.Type == html.ElementNode && one.met(n) && full(n) }, nil
	}
	return func(n *html.Node) bool {
		return n.Type == html.ElementNode && slices.ContainsFunc(needs, func(e elementNeeds) bool { return e.met(n) }) && full(n)
	}, nil
}

func mustCompileSelector(text string) cascadia.Selector {
	sel, err := compileSelector(text)
	if err != nil {
		panic(err) // the text is a constant of this package
	}
	return sel
}

// elementNeeds is what an element must at least have for a selector to fit it.
type elementNeeds struct {
	tag   string   // "" any
	attrs []string // names of attributes
	class string   // part of the attribute class; "" any
}

func (e *elementNeeds) met(n *html.Node) bool {
	if e.tag != "" && n.Data != e.tag {
		return false
	}
	for _, name := range e.attrs {
		if !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name }) {
			return false
		}
	}
	return e.class == "" || slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "class" && strings.Contains(a.Val, e.class) })
}

// needsOf reads what each selector of a group needs; ok is false when one of
// them needs nothing that can be told.
func needsOf(group string) (needs []elementNeeds, ok bool) {
	last := 0 // where the last compound selector of the present one begins
	depth, quote := 0, byte(0)
	for i := 0; i <= len(group); i++ {
		c := byte(',')
		if i < len(group) {
			c = group[i]
		}
		switch {
		case c == '\\':
			return nil, false // escapes and comments are left to the compiler
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c >= 0x80 || c == '/':
			return nil, false
		case c == '"' || c == '\'':
			quote = c
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case depth > 0:
		case c == ',':
			e, ok := needsOfOne(strings.TrimRight(group[last:i], " \t\r\n\f"))
			if !ok {
				return nil, false
			}
			needs, last = append(needs, e), i+1
		case (isBlank(c) || c == '>' || c == '+' || c == '~') && !endsSelector(group[i:]):
			last = i + 1
		}
	}
	return needs, depth == 0 && quote == 0
}

// endsSelector reports whether only blanks come before the next comma.
func endsSelector(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n\f")
	return rest == "" || rest[0] == ','
}

// needsOfOne reads a compound selector such as a.nxt[href^="x"]:first-child.
func needsOfOne(s string) (e elementNeeds, ok bool) {
	n := nameLength(s)
	e.tag, s = lowerASCII(s[:n]), s[n:]
	for s != "" && s[0] != ':' { // a pseudo-class only takes away
		switch s[0] {
		case '.', '#':
			n := nameLength(s[1:])
			if n == 0 {
				return e, false
			}
			if s[0] == '#' {
				e.attrs = append(e.attrs, "id")
			} else {
				e.class = s[1 : 1+n]
			}
			s = s[1+n:]
		case '[':
			end := strings.IndexByte(s, ']')
			if end < 0 {
				return e, false
			}
			inside := strings.TrimLeft(s[1:end], " \t\r\n\f")
			n := nameLength(inside)
			if rest := strings.TrimLeft(inside[n:], " \t\r\n\f"); n > 0 && !strings.HasPrefix(rest, "!") {
				e.attrs = append(e.attrs, lowerASCII(inside[:n]))
			}
			if strings.ContainsAny(inside, `"'`) && strings.Count(inside, `"`)%2+strings.Count(inside, `'`)%2 > 0 {
				return e, false // the bracket stood in quotes
			}
			s = s[end+1:]
		default: // *
			s = s[1:]
		}
	}
	return e, e.tag != "" || e.class != "" || len(e.attrs) > 0
}

func nameLength(s string) int {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !('0' <= c && c <= '9') && c != '-' && c != '_' {
			return i
		}
	}
	return len(s)
}
