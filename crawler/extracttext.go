package crawler

import (
	"strings"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// textRules says what of a node is not text for a reader.
type textRules struct {
	drop []cascadia.Selector     // left out below the node
	skip func(n *html.Node) bool // left out below the node; may be nil
}

// nodeText returns what a reader sees of n: line breaks where the layout has
// them, layout white space collapsed, everything else as written, down to the
// zero-width and odd characters that disguise words. Scripts, styles, form
// controls, Discuz noise and what is hidden by its own style are left out; n
// itself is read even when hidden, for scripts reveal it.
func nodeText(n *html.Node, rules textRules) string {
	if n.Type == html.ElementNode && (n.DataAtom == atom.Script || n.DataAtom == atom.Style) {
		return strings.TrimSpace(rawText(n))
	}
	w := textWriter{rules: rules}
	w.children(n, preserves(n))
	return strings.TrimSpace(strings.ReplaceAll(w.b.String(), "\x00", ""))
}

// rawText joins the text nodes below n.
func rawText(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// textWriter renders nodes to text. Spaces and line breaks wait until the next
// visible character, so that none stand at the ends.
type textWriter struct {
	b      strings.Builder
	rules  textRules
	space  bool
	breaks int
}

// maxBreaks is how many line breaks may follow each other: one blank line.
const maxBreaks = 2

func (w *textWriter) children(n *html.Node, pre bool) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c, pre)
	}
}

func (w *textWriter) node(n *html.Node, pre bool) {
	switch n.Type {
	case html.TextNode:
		w.text(n.Data, pre)
		return
	case html.DocumentNode:
		w.children(n, pre)
		return
	case html.ElementNode:
	default:
		return
	}
	if n.DataAtom == atom.Br {
		w.breaks++
		return
	}
	if w.omits(n) {
		if isBlock(n) {
			w.breaks = max(w.breaks, 1)
		}
		return
	}
	switch {
	case n.DataAtom == atom.Img:
		w.emoji(n)
	case n.DataAtom == atom.Td || n.DataAtom == atom.Th:
		w.space = true
		w.children(n, pre)
		w.space = true
	case isBlock(n):
		w.breaks = max(w.breaks, 1)
		w.children(n, pre || preserves(n))
		w.breaks = max(w.breaks, 1)
	default:
		w.children(n, pre || preserves(n))
	}
}

func (w *textWriter) omits(n *html.Node) bool {
	if isUnread(n) || isHidden(n) || isNoise(n) {
		return true
	}
	for _, sel := range w.rules.drop {
		if sel.Match(n) {
			return true
		}
	}
	return w.rules.skip != nil && w.rules.skip(n)
}

// emoji writes the character that a small picture stands for, as in
// <img class="emoji" alt="💰">; other pictures are no text.
func (w *textWriter) emoji(n *html.Node) {
	class := strings.ToLower(attr(n, "class"))
	alt := attr(n, "alt")
	if alt == "" || utf8.RuneCountInString(alt) > 16 {
		return
	}
	if strings.Contains(class, "emoji") || strings.Contains(class, "smil") || (len(alt) > 2 && strings.HasPrefix(alt, "[") && strings.HasSuffix(alt, "]")) {
		w.text(alt, false)
	}
}

func (w *textWriter) text(s string, pre bool) {
	for _, r := range s {
		switch r {
		case '\n':
			if pre {
				w.breaks++
				continue
			}
			w.space = true
			continue
		case ' ', '\t', '\r', '\f':
			if pre && r != '\r' && w.breaks == 0 && w.b.Len() > 0 {
				w.b.WriteByte(' ')
				continue
			}
			w.space = true
			continue
		}
		if w.b.Len() > 0 {
			switch {
			case w.breaks > 0:
				w.b.WriteString("\n\n"[:min(w.breaks, maxBreaks)])
			case w.space:
				w.b.WriteByte(' ')
			}
		}
		w.space, w.breaks = false, 0
		w.b.WriteRune(r)
	}
}

// isUnread reports elements whose content is not shown as text.
func isUnread(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Head, atom.Title, atom.Textarea,
		atom.Select, atom.Option, atom.Datalist, atom.Iframe, atom.Object, atom.Embed, atom.Canvas,
		atom.Audio, atom.Video, atom.Svg, atom.Math, atom.Noframes, atom.Noembed, atom.Input:
		return true
	}
	return false
}

// isHidden reports elements that their own attributes hide.
func isHidden(n *html.Node) bool {
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			if !strings.EqualFold(a.Val, "until-found") {
				return true
			}
		case "style":
			if hidingStyle(a.Val) {
				return true
			}
		}
	}
	return false
}

func hidingStyle(style string) bool {
	for decl := range strings.SplitSeq(style, ";") {
		name, value, ok := strings.Cut(decl, ":")
		if !ok {
			continue
		}
		value = strings.ToLower(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "!important")))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "display":
			if value == "none" {
				return true
			}
		case "visibility":
			if value == "hidden" || value == "collapse" {
				return true
			}
		case "font-size":
			if value == "0" || value == "0px" || value == "0pt" || value == "0em" {
				return true
			}
		}
	}
	return false
}

// isNoise reports the noise that Discuz plants against copying.
func isNoise(n *html.Node) bool {
	return (n.DataAtom == atom.Font || n.DataAtom == atom.Span) && hasClass(n, "jammer")
}

// preserves reports elements that keep line breaks and spaces as typed.
func preserves(n *html.Node) bool {
	if n.DataAtom == atom.Pre {
		return true
	}
	style := attr(n, "style")
	return strings.Contains(style, "pre-wrap") || strings.Contains(style, "pre-line")
}

func isBlock(n *html.Node) bool {
	switch n.DataAtom {
	case atom.P, atom.Div, atom.Li, atom.Ul, atom.Ol, atom.Dl, atom.Dt, atom.Dd, atom.Tr, atom.Table, atom.Tbody,
		atom.Thead, atom.Tfoot, atom.Caption, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote,
		atom.Pre, atom.Hr, atom.Section, atom.Article, atom.Aside, atom.Header, atom.Footer, atom.Main, atom.Nav,
		atom.Figure, atom.Figcaption, atom.Form, atom.Fieldset, atom.Address, atom.Details, atom.Summary, atom.Center, atom.Body:
		return true
	}
	return false
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasClass(n *html.Node, class string) bool {
	for c := range strings.FieldsSeq(attr(n, "class")) {
		if c == class {
			return true
		}
	}
	return false
}

func findTag(n *html.Node, tag string) *html.Node {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == tag && c.Namespace == "" {
			return c
		}
	}
	return nil
}
