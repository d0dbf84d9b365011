package crawler

import (
	"golang.org/x/net/html/atom"
)

// scope says how far up an end tag reaches.
type scope int

const (
	defaultScope scope = iota
	itemScope
	buttonScope
	tableScope
)

// inScope finds the innermost open element of the kinds named; below 0 when
// there is none in scope.
func (t *tree) inScope(s scope, kinds ...atom.Atom) int {
	for i := len(t.open) - 1; i >= 0; i-- {
		a := t.open[i].DataAtom
		for _, k := range kinds {
			if k == a {
				return i
			}
		}
		switch a {
		case atom.Html, atom.Table:
			return -1
		case atom.Td, atom.Th, atom.Select:
			if s != tableScope {
				return -1
			}
		case atom.Ol, atom.Ul:
			if s == itemScope {
				return -1
			}
		case atom.Button:
			if s == buttonScope {
				return -1
			}
		}
	}
	return -1
}

// closeTo closes the element at i with all in it. It is not plain to close a
// formatting element so: that goes on behind.
func (t *tree) closeTo(i int) bool {
	for _, n := range t.open[i+1:] {
		if n.DataAtom == atom.A || isFormatting(n.DataAtom) {
			return false
		}
	}
	t.open = t.open[:i]
	return true
}

// endParagraph closes the paragraph that a block ends.
func (t *tree) endParagraph() bool {
	i := t.inScope(buttonScope, atom.P)
	return i < 0 || t.closeTo(i)
}

// endItem closes the item that another one follows.
func (t *tree) endItem(kinds ...atom.Atom) bool {
	for i := len(t.open) - 1; i >= 0; i-- {
		n := t.open[i]
		switch {
		case n.DataAtom == kinds[0] || n.DataAtom == kinds[1]:
			return t.closeTo(i)
		case n.DataAtom == atom.Address || n.DataAtom == atom.Div || n.DataAtom == atom.P:
		case isSpecial(n.DataAtom):
			return true
		}
	}
	return true
}

// impliedEnds closes what needs no end tag.
func (t *tree) impliedEnds() {
	for len(t.open) > 0 {
		switch t.top().DataAtom {
		case atom.Dd, atom.Dt, atom.Li, atom.Option, atom.P:
			t.pop()
			continue
		}
		return
	}
}

// formatting counts the open formatting elements of a kind, up to the cell.
func (t *tree) formatting(a atom.Atom) (n int) {
	for i := len(t.open) - 1; i >= 0; i-- {
		switch t.open[i].DataAtom {
		case a:
			n++
		case atom.Td, atom.Th:
			return n
		}
	}
	return n
}

// end takes an end tag.
func (t *tree) end(a atom.Atom, name string) bool {
	switch t.mode {
	case initial, beforeHTML, beforeHead, inHead, afterHead:
		t.reach(beforeHTML)
		switch a {
		case atom.Html, atom.Body, atom.Br, atom.Template:
			return false
		case atom.Head:
			if t.mode < afterHead {
				t.reach(afterHead)
			}
		}
		return true // closes nothing
	case inBody:
		return t.endInBody(a, name)
	case afterBody, afterAfterBody:
		if t.mode == afterBody && a == atom.Html {
			t.mode = afterAfterBody
			return true
		}
		t.mode = inBody
		return t.endInBody(a, name)
	}
	return t.endInTable(a, name)
}

// endInTable takes an end tag anywhere within a table.
func (t *tree) endInTable(a atom.Atom, name string) bool {
	for {
		switch a {
		case atom.Body, atom.Html, atom.Caption, atom.Col, atom.Colgroup:
			return false
		case atom.Table, atom.Tbody, atom.Thead, atom.Tfoot, atom.Tr, atom.Td, atom.Th:
		default:
			return t.mode == inCell && t.endInBody(a, name)
		}
		i := t.inScope(tableScope, a)
		if i < 0 {
			return true // closes nothing
		}
		switch t.mode {
		case inCell:
			if a == atom.Td || a == atom.Th {
				t.closeCell(i)
				return true
			}
			t.closeCell(t.inScope(tableScope, atom.Td, atom.Th))
			continue
		case inRow:
			t.pop()
			t.mode = inTableBody
			if a == atom.Tr {
				return true
			}
		case inTableBody:
			t.pop()
			t.mode = inTable
			if a != atom.Table {
				return true
			}
		default:
			t.pop()
			t.backIn()
			return true
		}
	}
}

// backIn finds the mode behind a table.
func (t *tree) backIn() {
	for i := len(t.open) - 1; i >= 0; i-- {
		switch t.open[i].DataAtom {
		case atom.Td, atom.Th:
			t.mode = inCell
			return
		case atom.Body:
			t.mode = inBody
			return
		}
	}
}

// endInBody takes an end tag in the body.
func (t *tree) endInBody(a atom.Atom, name string) bool {
	switch a {
	case atom.Body:
		if t.inScope(defaultScope, atom.Body) < 0 || t.mode != inBody {
			return false
		}
		t.mode = afterBody
		return true
	case atom.Html:
		if t.inScope(defaultScope, atom.Body) < 0 || t.mode != inBody {
			return false
		}
		t.mode = afterAfterBody
		return true
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Button, atom.Center, atom.Details, atom.Dialog, atom.Dir, atom.Div,
		atom.Dl, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Header, atom.Hgroup, atom.Main, atom.Menu, atom.Nav, atom.Ol,
		atom.Pre, atom.Section, atom.Select, atom.Summary, atom.Ul:
		if t.inScope(defaultScope, a) < 0 {
			return true
		}
		t.impliedEnds()
		return t.closeTo(t.inScope(defaultScope, a))
	case atom.Form:
		node := t.form
		if node == nil {
			return true
		}
		t.form = nil
		i := t.inScope(defaultScope, atom.Form)
		if i < 0 || t.open[i] != node {
			return true
		}
		t.impliedEnds()
		return t.top() == node && t.closeTo(i)
	case atom.P:
		i := t.inScope(buttonScope, atom.P)
		if i < 0 {
			t.implied(atom.P)
			t.pop()
			return true
		}
		return t.closeTo(i)
	case atom.Li:
		return t.endOne(t.inScope(itemScope, a))
	case atom.Dd, atom.Dt:
		return t.endOne(t.inScope(defaultScope, a))
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return t.endOne(t.inScope(defaultScope, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6))
	case atom.A, atom.B, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.S, atom.Small, atom.Strike, atom.Strong, atom.Tt, atom.U:
		return t.endFormatting(a)
	case atom.Br:
		return false
	}
	return !notPlain(a) && t.endOther(a, name)
}

// endOne closes the element at i, if there is one.
func (t *tree) endOne(i int) bool { return i < 0 || t.closeTo(i) }

// endFormatting closes a formatting element.
func (t *tree) endFormatting(a atom.Atom) bool {
	for i := len(t.open) - 1; i >= 0; i-- {
		n := t.open[i].DataAtom
		if n == a {
			return t.closeTo(i)
		}
		if n == atom.Td || n == atom.Th {
			return true // none is open in this cell, so it closes nothing
		}
		if isSpecial(n) && t.formatting(a) > 0 {
			return false // the two overlap
		}
	}
	return true
}

// endOther closes an element without rules of its own.
func (t *tree) endOther(a atom.Atom, name string) bool {
	for i := len(t.open) - 1; i >= 0; i-- {
		n := t.open[i]
		if n.DataAtom == a && (a != 0 || n.Data == name) {
			return t.closeTo(i)
		}
		if isSpecial(n.DataAtom) {
			return true
		}
	}
	return true
}

// isSpecial names the elements that the standard calls special.
func isSpecial(a atom.Atom) bool {
	switch a {
	case atom.Address, atom.Applet, atom.Area, atom.Article, atom.Aside, atom.Base, atom.Basefont, atom.Bgsound, atom.Blockquote, atom.Body,
		atom.Br, atom.Button, atom.Caption, atom.Center, atom.Col, atom.Colgroup, atom.Dd, atom.Details, atom.Dir, atom.Div, atom.Dl, atom.Dt,
		atom.Embed, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.Frame, atom.Frameset, atom.H1, atom.H2, atom.H3,
		atom.H4, atom.H5, atom.H6, atom.Head, atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.Iframe, atom.Img, atom.Input, atom.Keygen,
		atom.Li, atom.Link, atom.Listing, atom.Main, atom.Marquee, atom.Menu, atom.Meta, atom.Nav, atom.Noembed, atom.Noframes, atom.Noscript,
		atom.Object, atom.Ol, atom.P, atom.Param, atom.Plaintext, atom.Pre, atom.Script, atom.Section, atom.Select, atom.Source, atom.Style,
		atom.Summary, atom.Table, atom.Tbody, atom.Td, atom.Template, atom.Textarea, atom.Tfoot, atom.Th, atom.Thead, atom.Title, atom.Tr,
		atom.Track, atom.Ul, atom.Wbr, atom.Xmp:
		return true
	}
	return false
}
