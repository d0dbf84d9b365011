package crawler

import (
	"strings"

	"golang.org/x/net/html"
)

// Drawings (svg) have rules of their own. Plain are those made of shapes alone,
// as the icons of forums are.

// startForeign takes a start tag that begins a drawing or stands in one.
func (p *plainPage) startForeign() bool {
	switch p.name {
	case "svg":
		if len(p.foreign) > 0 || p.closed { // tame takes it to be open still
			return false
		}
	case "g", "path", "circle", "rect", "line", "polyline", "polygon", "ellipse":
	default:
		return false
	}
	if p.doubled {
		return false
	}
	for i := range p.read {
		switch k := p.read[i].Key; {
		case k == "viewbox":
			p.read[i].Key = "viewBox"
		case !plainForeign(k):
			return false
		}
	}
	n := p.below(p.node(html.ElementNode))
	n.DataAtom, n.Data, n.Namespace, n.Attr = p.atom, p.name, "svg", p.taken()
	if p.closed {
		return true
	}
	p.open = append(p.open, n)
	p.foreign = append(p.foreign, p.name)
	return true
}

// plainForeign tells attributes whose names are the same in a drawing.
func plainForeign(key string) bool {
	switch key {
	case "width", "height", "fill", "d", "class", "style", "id", "xmlns", "transform", "x", "y", "cx", "cy", "r", "rx", "ry", "x1", "x2", "y1", "y2",
		"points", "opacity", "version", "role", "focusable", "t", "title", "alt":
		return true
	}
	for _, prefix := range [...]string{"fill-", "stroke", "clip-rule", "aria-", "data-", "p-id"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// endForeign takes an end tag in a drawing.
func (t *tree) endForeign(name string) bool {
	last := len(t.foreign) - 1
	if t.foreign[last] != name {
		return false
	}
	t.foreign = t.foreign[:last]
	t.pop()
	return true
}
