package crawler

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of what is read of one page. The parsers below have none of their
// own: each of these shapes would else take all memory, all stack, or minutes.
const (
	maxHTMLBytes   = 8 << 20 // also of JSON
	maxFeedBytes   = 4 << 20
	maxTags        = 300_000
	maxTagAttrs    = 500
	maxFormatAttrs = 16 // of elements that the parser copies into each paragraph
	maxFormatting  = 32 // such elements open at once; fewer on large pages
	maxFormatted   = 500_000
	maxJSONNesting = 1000
	maxFeedNesting = 200
	maxFeedTags    = 50_000
	parseTime      = 2 * time.Second  // of one HTML document
	extractTime    = 10 * time.Second // of one page with all HTML inside it
)

// LimitError says that a page is larger, deeper or slower to read than Extract
// takes on. Nothing of the page is used.
type LimitError struct {
	Reason string // what was over which limit, for people
	Slow   bool   // the limit was one of time, which a busy machine may have missed
}

// Error implements error.
func (e *LimitError) Error() string { return e.Reason }

func tooSlow(limit time.Duration) *LimitError {
	return &LimitError{Reason: fmt.Sprintf("page takes longer than %v to read", limit), Slow: true}
}

// tooLarge says whether a body is over the limit of its format.
func tooLarge(format string, body []byte) error {
	limit := maxHTMLBytes
	switch format {
	case formatFeed:
		limit = maxFeedBytes
	case formatSitemap:
		limit = maxSitemapBytes
	}
	if len(body) <= limit {
		return nil
	}
	return &LimitError{Reason: fmt.Sprintf("page has %d bytes; pages of format %s are read up to %d", len(body), format, limit)}
}

// parse parses an HTML document that stands on the page.
func (x *extractor) parse(body []byte) (*html.Node, error) {
	until := time.Now().Add(parseTime)
	if x.until.Before(until) {
		until = x.until
	}
	return parseHTML(body, until)
}

// late reports whether the time for the page is over, and gives the page up
// when it is.
func (x *extractor) late() bool {
	if x.err == nil && time.Now().After(x.until) {
		x.err = tooSlow(extractTime)
	}
	return x.err != nil
}

// parseHTML parses body until a moment; a page nested deeper than the parser
// allows is flattened, for otherwise a few hundred tags would hide it. What is
// over a limit gives a *LimitError.
func parseHTML(body []byte, until time.Time) (*html.Node, error) {
	if err := tooLarge(formatHTML, body); err != nil {
		return nil, err
	}
	if time.Now().After(until) {
		return nil, tooSlow(parseTime)
	}
	if root, ok := parsePlain(body); ok {
		return root, nil
	}
	plain, err := tame(body)
	if err != nil {
		return nil, err
	}
	root, err := html.Parse(&timedReader{rest: plain, until: until})
	if limit := (*LimitError)(nil); err == nil || errors.As(err, &limit) {
		return root, err
	}
	root, err = html.Parse(&timedReader{rest: flatten(plain), until: until})
	if limit := (*LimitError)(nil); err != nil && !errors.As(err, &limit) {
		err = &LimitError{Reason: "page cannot be read as HTML: " + err.Error()}
	}
	return root, err
}

// timedReader hands out little at a time, so that the parser works through it
// before it asks for more, and ends with an error when the time is over. A
// long read without progress, as in a long script, gets ever more at a time,
// for the tokenizer copies its unfinished token at each read.
type timedReader struct {
	rest  []byte
	until time.Time
}

// Read implements io.Reader.
func (r *timedReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if time.Now().After(r.until) {
		return 0, tooSlow(parseTime)
	}
	n := min(len(p), 1024)
	// Text without any tag costs the parser nothing.
	if tag := bytes.IndexByte(r.rest[:min(len(p), len(r.rest))], '<'); tag > n || tag < 0 {
		n = len(p)
		if tag > 0 {
			n = tag
		}
	}
	n = copy(p, r.rest[:min(n, len(r.rest))])
	r.rest = r.rest[n:]
	return n, nil
}

// A tamer copies an HTML document without what makes the parser explode:
// formatting elements left open, which it makes anew in every paragraph that
// follows, and attributes without end. No text and no link is lost.
type tamer struct {
	out     bytes.Buffer
	opens   opens
	tags    int
	foreign int            // depth within svg and math
	dropped map[string]int // start tags left out whose end tags are to come
	roots   map[atom.Atom]bool
}

// opens keeps account of the formatting elements that may be open, for the
// parser.
type opens struct {
	open   []openTag
	floor  int // those below cannot be told to be closed by an end tag
	limit  int // of open
	blocks int // start tags of other elements so far
}

type openTag struct {
	name   string
	blocks int // value of opens.blocks at its start
}

// formattingLimit is how many formatting elements may be open in a page.
func formattingLimit(body []byte) int {
	return min(max(maxFormatted/(bytes.Count(body, []byte("<"))+1), 4), maxFormatting)
}

// start takes a start tag; false when it would be one too many open.
func (o *opens) start(a atom.Atom, name string) bool {
	switch {
	case a == atom.Body || a == atom.Html || a == atom.A:
	case isFormatting(a):
		if len(o.open) >= o.limit {
			return false
		}
		o.open = append(o.open, openTag{name, o.blocks})
	case isBarrier(a):
		o.floor = len(o.open)
	default:
		o.blocks++
	}
	return true
}

// end takes an end tag.
func (o *opens) end(name string) {
	for i := len(o.open) - 1; i >= o.floor; i-- {
		if o.open[i].name != name {
			continue
		}
		// Over eight blocks deep the parser gives up closing it.
		if o.blocks-o.open[i].blocks < 8 {
			o.open = slices.Delete(o.open, i, i+1)
		}
		return
	}
}

func tame(body []byte) ([]byte, error) {
	t := tamer{dropped: map[string]int{}, roots: map[atom.Atom]bool{}}
	t.opens.limit = formattingLimit(body)
	t.out.Grow(len(body))
	z := html.NewTokenizer(bytes.NewReader(body))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			t.out.Write(z.Raw())
			return t.out.Bytes(), nil
		}
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			if t.tags++; t.tags > maxTags {
				return nil, &LimitError{Reason: fmt.Sprintf("page has more than %d tags", maxTags)}
			}
			raw := bytes.Clone(z.Raw()) // what follows reads on in the same memory
			name, _ := z.TagName()
			if kind == html.EndTagToken {
				t.end(string(name), raw)
			} else {
				t.start(z, string(name), raw)
			}
		default:
			t.out.Write(z.Raw())
		}
	}
}

func (t *tamer) start(z *html.Tokenizer, name string, raw []byte) {
	a := atom.Lookup([]byte(name))
	if a == atom.Svg || a == atom.Math {
		t.foreign++
	}
	if t.foreign > 0 {
		z.NextIsNotRawText() // there a title holds elements
	}
	if !t.opens.start(a, name) {
		t.dropped[name]++
		return
	}
	limit := maxTagAttrs
	switch {
	case (a == atom.Body || a == atom.Html) && t.roots[a]:
		limit = 0 // attributes of a second one are looked for among all before
	case a == atom.Body || a == atom.Html:
		t.roots[a] = true
	case a == atom.A || isFormatting(a):
		limit = maxFormatAttrs
	}
	// An attribute takes two bytes at least.
	if len(raw) > 2*limit {
		raw = shortened(z, name, raw, limit)
	}
	t.out.Write(raw)
}

func (t *tamer) end(name string, raw []byte) {
	if name == "svg" || name == "math" {
		t.foreign = max(t.foreign-1, 0)
	}
	if t.dropped[name] > 0 {
		t.dropped[name]--
		return
	}
	t.out.Write(raw)
	t.opens.end(name)
}

// shortened writes a tag anew when it has more than limit attributes.
func shortened(z *html.Tokenizer, name string, raw []byte, limit int) []byte {
	var attrs []html.Attribute
	for more := true; more; {
		var k, v []byte
		if k, v, more = z.TagAttr(); len(k) == 0 {
			continue
		}
		if len(attrs) == limit {
			tag := html.Token{Type: html.StartTagToken, Data: name, Attr: attrs}
			return []byte(tag.String())
		}
		attrs = append(attrs, html.Attribute{Key: string(k), Val: string(v)})
	}
	return raw
}

// isFormatting names what the parser carries on into the next paragraph; an
// open a is closed by the next one.
func isFormatting(a atom.Atom) bool {
	switch a {
	case atom.B, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.Nobr, atom.S, atom.Small, atom.Strike, atom.Strong, atom.Tt, atom.U:
		return true
	}
	return false
}

// isBarrier names what an end tag of a formatting element does not reach
// across.
func isBarrier(a atom.Atom) bool {
	switch a {
	case atom.Table, atom.Td, atom.Th, atom.Caption, atom.Applet, atom.Marquee, atom.Object, atom.Template, atom.Select, atom.Svg, atom.Math, atom.Frameset:
		return true
	}
	return false
}

// flatten closes everything open whenever maxNesting elements are; what comes
// deeper stands beside its ancestors then, whole in itself. The end tags left
// over are ignored by the parser.
func flatten(body []byte) []byte {
	var out bytes.Buffer
	var open []string
	z := html.NewTokenizer(bytes.NewReader(body))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return out.Bytes()
		}
		raw := bytes.Clone(z.Raw())
		if kind == html.StartTagToken || kind == html.EndTagToken {
			tag, _ := z.TagName()
			a := atom.Lookup(tag)
			switch {
			case isVoid(a) || a == atom.Html || a == atom.Body || a == atom.Head:
			case kind == html.StartTagToken:
				if len(open) >= maxNesting {
					for i := len(open) - 1; i >= 0; i-- {
						out.WriteString("</" + open[i] + ">")
					}
					open = open[:0]
				}
				open = append(open, string(tag))
			case len(open) > 0:
				open = open[:len(open)-1]
			}
		}
		out.Write(raw)
	}
}

func isVoid(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta, atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// nestsTooDeep reports whether brackets are open deeper than JSON readers,
// which call themselves for each, are trusted with. A stack overflow ends the
// whole process.
func nestsTooDeep(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if depth++; depth > maxJSONNesting {
				return true
			}
		case ']', '}':
			depth--
		}
	}
	return false
}

// jsonIn finds a path in JSON that is the value of an attribute or element.
func jsonIn(text, path string) string {
	if nestsTooDeep([]byte(text)) {
		return ""
	}
	return gjson.Get(text, path).String()
}

// checkFeed refuses a feed that its parser, which calls itself for each
// element, must not be given. It reads the way that parser does.
func checkFeed(body []byte) error {
	if nestsTooDeep(body) && strings.HasPrefix(string(bytes.TrimSpace(body[:min(len(body), 64)])), "{") {
		return &LimitError{Reason: fmt.Sprintf("feed nests deeper than %d", maxJSONNesting)}
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	depth, tags := 0, 0
	for {
		token, err := d.Token()
		if err != nil {
			return nil // the parser itself says what is wrong, or gets no further either
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
			tags++
		case xml.EndElement:
			depth--
		}
		if depth > maxFeedNesting || tags > maxFeedTags {
			return &LimitError{Reason: fmt.Sprintf("feed nests deeper than %d or has more than %d elements", maxFeedNesting, maxFeedTags)}
		}
	}
}
