package crawler

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"qingyuan/post"
)

// body fills in text, images and links of p.
func (x *extractor) body(rule *PostRule, it *item, p *post.Post) {
	var v value
	for f := rule.Text; f != nil; f = f.Or {
		v = x.once(f, it)
		if v.text != "" || x.pictures(v) {
			break
		}
	}
	if rule.main && v.text == "" && !x.pictures(v) {
		v = x.main().value
	}
	p.Text = strings.ToValidUTF8(v.text, "\uFFFD")
	if rule.Each == "" && v.node != nil && v.text != "" {
		x.owner[v.node] = true
	}
	x.images(rule, it, v, p)
	if v.node != nil {
		p.Links = x.linksIn(v)
	}
	if p.Text != "" || len(p.Images) == 0 {
		return
	}
	var alts []string
	for _, img := range p.Images {
		if img.Text != "" {
			alts = append(alts, img.Text)
		}
	}
	if p.Text = strings.Join(alts, "\n"); p.Text == "" && p.Title == "" {
		p.Text = imageOnly
	}
}

func (x *extractor) pictures(v value) bool {
	return v.node != nil && findTag(v.node, "img") != nil
}

// lazyAttrs are where sites keep the address of a picture that is loaded late,
// before src, which then holds a placeholder.
var lazyAttrs = [...]string{"zoomfile", "file", "data-original", "data-src", "data-actualsrc", "data-lazy-src", "data-echo", "src"}

func (x *extractor) images(rule *PostRule, it *item, text value, p *post.Post) {
	seen := map[string]bool{}
	add := func(ref, alt string) {
		abs, err := resolveURL(x.base, ref)
		if err != nil || seen[abs] || len(p.Images) >= maxPostImages {
			return
		}
		seen[abs] = true
		p.Images = append(p.Images, post.Image{URL: abs, Text: oneLine(alt)})
	}
	f := rule.Images
	if f == nil {
		if text.node != nil {
			for _, n := range x.visible(text, atom.Img) {
				add(imageRef(n), attr(n, "alt"))
			}
		}
		return
	}
	if x.root == nil {
		for _, ref := range x.manyJSON(f, it) {
			add(ref, "")
		}
		return
	}
	scope := it.node
	if f.Scope == "page" {
		scope = x.root
	}
	for _, n := range x.find(f, scope) {
		ref := imageRef(n)
		if f.Attr != "" && f.Attr != "src" {
			ref = attr(n, f.Attr)
		}
		if f.regex != nil {
			ref = firstGroup(f, ref)
		}
		add(ref, attr(n, "alt"))
	}
}

func imageRef(n *html.Node) string {
	for _, name := range lazyAttrs {
		if ref := strings.TrimSpace(attr(n, name)); ref != "" && !strings.HasPrefix(ref, "data:") {
			return ref
		}
	}
	return ""
}

// visible returns the elements of v's node that are not dropped or hidden.
func (x *extractor) visible(v value, tag atom.Atom) []*html.Node {
	var out []*html.Node
	w := textWriter{rules: x.textRules(v.drop, v.node)}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.Type != html.ElementNode || w.omits(c) {
				continue
			}
			if c.DataAtom == tag {
				out = append(out, c)
			}
			walk(c)
		}
	}
	walk(v.node)
	return out
}

func (x *extractor) linksIn(v value) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range x.visible(v, atom.A) {
		abs, err := resolveURL(x.base, attr(n, "href"))
		if err != nil || seen[abs] {
			continue
		}
		seen[abs] = true
		if out = append(out, abs); len(out) >= maxPostLinks {
			break
		}
	}
	return out
}

var reRegion = regexp.MustCompile(`^(?:发布于|来自|IP ?(?:属地|归属地)?|属地)[:： ]*`)

// region strips what sites write before the place.
func region(s string) string {
	for {
		short := strings.TrimSpace(reRegion.ReplaceAllString(s, ""))
		if short == s {
			return s
		}
		s = short
	}
}
