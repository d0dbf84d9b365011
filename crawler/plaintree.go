package crawler

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// The insertion modes of the standard that plain pages need.
const (
	initial = iota // before the document type
	beforeHTML
	beforeHead
	inHead
	afterHead
	inBody
	inTable
	inTableBody
	inRow
	inCell
	afterBody
	afterAfterBody
)

// tree is the tree of a page while it is built. Formatting elements are closed
// before what they stand in: so the list of active ones is that of the open ones.
type tree struct {
	doc     *html.Node
	form    *html.Node
	open    []*html.Node // the stack of open elements
	mode    int
	quirks  bool // it may be one of those with which a table stands in a paragraph
	opens   opens
	joined  int         // bytes copied to put texts together
	nodes   []html.Node // memory for nodes
	foreign []string    // open elements of a drawing
	attrs   []html.Attribute
}

// begin makes the document; about n nodes are expected.
func (t *tree) begin(n int) {
	t.nodes = make([]html.Node, 0, min(n, 2048))
	t.open = make([]*html.Node, 0, 64)
	t.quirks = true
	t.doc = t.node(html.DocumentNode)
}

// node takes a node that is empty.
func (t *tree) node(kind html.NodeType) *html.Node {
	if len(t.nodes) == cap(t.nodes) {
		t.nodes = make([]html.Node, 0, 128)
	}
	t.nodes = t.nodes[:len(t.nodes)+1]
	n := &t.nodes[len(t.nodes)-1]
	n.Type = kind
	return n
}

// below puts n, which is new, behind the last child of the innermost open
// element.
func (t *tree) below(n *html.Node) *html.Node {
	parent := t.top()
	n.Parent = parent
	if last := parent.LastChild; last != nil {
		last.NextSibling, n.PrevSibling = n, last
	} else {
		parent.FirstChild = n
	}
	parent.LastChild = n
	return n
}

func (t *tree) top() *html.Node {
	if len(t.open) == 0 {
		return t.doc
	}
	return t.open[len(t.open)-1]
}

func (t *tree) pop() { t.open = t.open[:len(t.open)-1] }

func (t *tree) addText(text string) {
	if text == "" {
		return
	}
	if last := t.top().LastChild; last != nil && last.Type == html.TextNode {
		last.Data += text
		t.joined += len(last.Data)
		return
	}
	t.below(t.node(html.TextNode)).Data = text
}

// withoutBreak is a text without the line break that follows some start tags.
func withoutBreak(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "\r"), "\n") }

// implied adds an element that the page does not name.
func (t *tree) implied(a atom.Atom) {
	n := t.below(t.node(html.ElementNode))
	n.DataAtom, n.Data = a, a.String()
	t.open = append(t.open, n)
}

// add adds the element of the tag read last.
func (p *plainPage) add() *html.Node {
	n := p.below(p.node(html.ElementNode))
	n.DataAtom, n.Data, n.Attr = p.atom, p.name, p.taken()
	p.open = append(p.open, n)
	return n
}

func (p *plainPage) addVoid() bool {
	p.add()
	p.pop()
	return true
}

func (p *plainPage) addRaw() bool {
	p.add()
	return p.raw()
}

// text takes a text token.
func (t *tree) text(s string) bool {
	if len(t.foreign) > 0 {
		t.addText(s)
		return t.joined < plainJoins
	}
	rest := strings.TrimLeft(s, blanks)
	switch t.mode {
	case initial, beforeHTML, beforeHead:
		if s = rest; s == "" {
			return true
		}
	case inHead, afterHead:
		t.addText(s[:len(s)-len(rest)])
		if s = rest; s == "" {
			return true
		}
	case inTable, inTableBody, inRow:
		if rest != "" {
			return false
		}
	}
	if t.mode < inBody {
		t.reach(inBody)
	}
	if t.mode >= afterBody && rest != "" {
		t.mode = inBody
	}
	if n := t.top(); n.DataAtom == atom.Pre && n.FirstChild == nil {
		s = withoutBreak(s)
	}
	t.addText(s)
	return t.joined < plainJoins
}

const blanks = " \t\r\n\f"

// reach adds what the page does not name on the way to a mode.
func (t *tree) reach(mode int) {
	for ; t.mode < mode; t.mode++ {
		switch t.mode {
		case beforeHTML:
			t.implied(atom.Html)
		case beforeHead:
			t.implied(atom.Head)
		case inHead:
			t.pop()
		case afterHead:
			t.implied(atom.Body)
		}
	}
}

// comment takes a comment.
func (t *tree) comment(s string) bool {
	n := t.node(html.CommentNode)
	n.Data = s
	switch t.mode {
	case initial, beforeHTML, afterAfterBody:
		t.doc.AppendChild(n)
	case afterBody:
		t.open[0].AppendChild(n)
	default:
		t.top().AppendChild(n)
	}
	return true
}

// doctype takes the declaration of the document type; the parser knows how to
// read it.
func (t *tree) doctype(s string) bool {
	if t.mode != initial {
		return false
	}
	doc, err := html.Parse(strings.NewReader(s))
	if err != nil || doc.FirstChild == nil || doc.FirstChild.Type != html.DoctypeNode {
		return false
	}
	n := doc.FirstChild
	doc.RemoveChild(n)
	t.doc.AppendChild(n)
	t.mode, t.quirks = beforeHTML, n.Data != "html" || len(n.Attr) > 0
	return true
}

// start takes the start tag read last.
func (p *plainPage) start() bool {
	if !p.opens.start(p.atom, p.name) || len(p.open) >= plainDepth {
		return false
	}
	if len(p.foreign) > 0 {
		return p.startForeign()
	}
	switch {
	case p.mode <= afterHead:
		return p.startBeforeBody()
	case p.mode >= afterBody:
		p.mode = inBody
	}
	if p.mode == inBody {
		return p.startInBody()
	}
	return p.startInTable()
}

// startBeforeBody takes a start tag on the way to the body.
func (p *plainPage) startBeforeBody() bool {
	switch p.atom {
	case atom.Html:
		if p.mode > beforeHTML {
			return false
		}
		p.mode = beforeHead
		return p.add() != nil
	case atom.Head:
		if p.mode > beforeHead {
			return false
		}
		p.reach(beforeHead)
		p.mode = inHead
		return p.add() != nil
	case atom.Body:
		p.reach(afterHead)
		p.mode = inBody
		return p.add() != nil
	case atom.Base, atom.Link, atom.Meta, atom.Script, atom.Style, atom.Title:
		if p.mode == afterHead {
			return false // back into the head
		}
		p.reach(inHead)
		if p.atom == atom.Base || p.atom == atom.Link || p.atom == atom.Meta {
			return p.addVoid()
		}
		return p.addRaw()
	case atom.Noscript:
		if p.mode < afterHead {
			p.reach(inHead)
			return p.addRaw()
		}
	}
	p.reach(inBody)
	return p.startInBody()
}

// startInTable takes a start tag anywhere within a table.
func (p *plainPage) startInTable() bool {
	for {
		part := isTablePart(p.atom)
		switch p.mode {
		case inCell:
			if !part {
				return p.startInBody()
			}
			p.closeCell(p.inScope(tableScope, atom.Td, atom.Th))
		case inRow:
			switch {
			case p.atom == atom.Td || p.atom == atom.Th:
				p.add()
				p.mode = inCell
				return true
			case !part:
				return p.startBetween()
			}
			p.pop()
			p.mode = inTableBody
		case inTableBody:
			switch {
			case p.atom == atom.Tr:
				p.add()
				p.mode = inRow
				return true
			case p.atom == atom.Td || p.atom == atom.Th:
				p.implied(atom.Tr)
				p.mode = inRow
			case !part:
				return p.startBetween()
			default:
				p.pop()
				p.mode = inTable
			}
		default:
			switch p.atom {
			case atom.Tbody, atom.Thead, atom.Tfoot:
				p.add()
				p.mode = inTableBody
				return true
			case atom.Tr, atom.Td, atom.Th:
				p.implied(atom.Tbody)
				p.mode = inTableBody
			default:
				return p.startBetween()
			}
		}
	}
}

// isTablePart names what ends a cell, as far as plain pages have it.
func isTablePart(a atom.Atom) bool {
	switch a {
	case atom.Tbody, atom.Thead, atom.Tfoot, atom.Tr, atom.Td, atom.Th:
		return true
	}
	return false
}

// startBetween takes a start tag between the cells of a table; what does not
// belong there stands before the table in the end, which is not plain.
func (p *plainPage) startBetween() bool {
	switch p.atom {
	case atom.Script, atom.Style:
		return p.addRaw()
	case atom.A:
		return p.anchor()
	case atom.Form:
		if p.form == nil {
			p.form = p.add()
			p.pop()
		}
		return true
	case atom.Input:
		for _, a := range p.read {
			if a.Key == "type" {
				return strings.EqualFold(a.Val, "hidden") && p.addVoid()
			}
		}
	}
	return false
}

// anchor puts an empty link that stands between cells before the table; forums
// mark the newest post so.
func (p *plainPage) anchor() bool {
	const end = "</a>"
	if !strings.HasPrefix(p.src[p.at:], end) || p.formatting(atom.A) > 0 {
		return false
	}
	i := p.inScope(tableScope, atom.Table)
	if i < 0 {
		return false
	}
	n := p.node(html.ElementNode)
	n.DataAtom, n.Data, n.Attr = p.atom, p.name, p.taken()
	sortAttributes(n)
	p.open[i].Parent.InsertBefore(n, p.open[i])
	p.at += len(end)
	p.tags++
	return true
}

// sortAttributes puts attributes in the order that the parser leaves those of
// formatting elements in.
func sortAttributes(n *html.Node) {
	slices.SortFunc(n.Attr, func(a, b html.Attribute) int { return strings.Compare(a.Key, b.Key) })
}

// closeCell closes the cell at i; formatting elements open in it are over too.
func (t *tree) closeCell(i int) {
	t.open = t.open[:i]
	t.mode = inRow
}

// startInBody takes a start tag in the body.
func (p *plainPage) startInBody() bool {
	switch p.atom {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Center, atom.Details, atom.Dialog, atom.Dir, atom.Div, atom.Dl,
		atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Header, atom.Hgroup, atom.Main, atom.Menu, atom.Nav, atom.Ol, atom.P,
		atom.Section, atom.Summary, atom.Ul, atom.Pre:
		return p.endParagraph() && p.add() != nil
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		if !p.endParagraph() {
			return false
		}
		if isHeading(p.top().DataAtom) {
			p.pop()
		}
		return p.add() != nil
	case atom.Li:
		return p.endItem(atom.Li, atom.Li) && p.endParagraph() && p.add() != nil
	case atom.Dd, atom.Dt:
		return p.endItem(atom.Dd, atom.Dt) && p.endParagraph() && p.add() != nil
	case atom.Form:
		if p.form != nil || !p.endParagraph() {
			return false
		}
		p.form = p.add()
		return true
	case atom.Table:
		if p.quirks && p.inScope(buttonScope, atom.P) >= 0 || !p.endParagraph() {
			return false
		}
		p.mode = inTable
		return p.add() != nil
	case atom.A, atom.B, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.S, atom.Small, atom.Strike, atom.Strong, atom.Tt, atom.U:
		if p.formatting(p.atom) >= 2 || p.atom == atom.A && p.formatting(atom.A) > 0 {
			return false
		}
		sortAttributes(p.add())
		return true
	case atom.Svg:
		return p.startForeign()
	case atom.Button:
		return p.inScope(defaultScope, atom.Button) < 0 && p.add() != nil
	case atom.Area, atom.Br, atom.Embed, atom.Img, atom.Wbr, atom.Link, atom.Meta, atom.Base, atom.Param, atom.Source, atom.Track:
		return p.addVoid()
	case atom.Input, atom.Hr:
		return p.inScope(defaultScope, atom.Select) < 0 && (p.atom == atom.Input || p.inScope(buttonScope, atom.P) < 0) && p.addVoid()
	case atom.Script, atom.Style, atom.Title, atom.Textarea, atom.Iframe, atom.Noscript:
		return p.addRaw()
	case atom.Select:
		return p.inScope(defaultScope, atom.Select) < 0 && p.add() != nil
	case atom.Option:
		return p.startOption() && p.add() != nil
	}
	return !notPlain(p.atom) && p.add() != nil
}

func (t *tree) startOption() bool {
	if t.top().DataAtom == atom.Option {
		t.pop()
	}
	return t.top().DataAtom == atom.Select
}

// notPlain names elements with rules of their own that plain pages do without.
func notPlain(a atom.Atom) bool {
	switch a {
	case atom.Html, atom.Head, atom.Body, atom.Frameset, atom.Frame, atom.Listing, atom.Plaintext, atom.Nobr, atom.Applet, atom.Marquee,
		atom.Object, atom.Keygen, atom.Image, atom.Xmp, atom.Noembed, atom.Noframes, atom.Optgroup, atom.Rb, atom.Rp, atom.Rt, atom.Rtc,
		atom.Math, atom.Template, atom.Caption, atom.Col, atom.Colgroup, atom.Tbody, atom.Td, atom.Tfoot, atom.Th, atom.Thead,
		atom.Tr, atom.Basefont, atom.Bgsound, atom.Search, atom.Ruby:
		return true
	}
	return false
}

func isHeading(a atom.Atom) bool {
	switch a {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return true
	}
	return false
}
