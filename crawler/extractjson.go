package crawler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/mmcdole/gofeed"
	"github.com/tidwall/gjson"
)

// maxJSONText bounds the text of a JSON page that is searched for marks.
const maxJSONText = 64 << 10

var (
	reJSONP    = regexp.MustCompile(`^[\w.$\[\]]{1,100}\(`)
	reXMLIntro = regexp.MustCompile(`^\s*<\?xml[^>]{0,200}\?>`)
)

// readJSON reads posts and links of a JSON page.
func (x *extractor) readJSON() {
	x.takeJSON(x.page.Body)
}

// readEmbedded reads the JSON that the rule's data field finds in an HTML page.
func (x *extractor) readEmbedded() {
	v := x.once(x.rule.Data, &item{node: x.root, vars: map[string]string{}})
	root := x.root
	x.root = nil
	x.takeJSON([]byte(v.text))
	if len(x.out.Posts)+len(x.out.Previews) == 0 {
		// What the page says is then what a reader sees.
		x.root = root
	}
}

func (x *extractor) takeJSON(body []byte) {
	body = bareJSON(body)
	if nestsTooDeep(body) {
		x.err = &LimitError{Reason: fmt.Sprintf("JSON nests deeper than %d", maxJSONNesting)}
		return
	}
	if !gjson.ValidBytes(body) {
		x.warnf("page is no JSON; it begins %q", begin(body))
		if root, err := x.parse(body); err == nil {
			x.root = root
		}
		return
	}
	x.json = gjson.ParseBytes(body)
	for i := range x.rule.Posts {
		rule := &x.rule.Posts[i]
		for n, v := range x.blocks(rule.Each) {
			x.items++
			x.addPost(rule, item{json: v, index: n + 1})
		}
	}
	it := &item{json: x.json, vars: map[string]string{}}
	for i := range x.rule.Follow {
		for _, ref := range x.manyJSON(&x.rule.Follow[i], it) {
			x.addLink(&x.rule.Follow[i], ref)
		}
	}
}

// bareJSON takes off a callback, as in cb({…}); and a guard against scripts.
func bareJSON(body []byte) []byte {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\uFEFF")))
	for _, guard := range []string{")]}'", "for(;;);", "while(1);"} {
		body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte(guard)))
	}
	if m := reJSONP.Find(body); m != nil {
		body = bytes.TrimRight(body[len(m):], ";) \r\n\t")
	}
	return body
}

func begin(body []byte) string {
	return strings.ToValidUTF8(string(body[:min(len(body), 60)]), "")
}

func (x *extractor) blocks(path string) []gjson.Result {
	r := x.json.Get(path)
	if path == "" || path == "@this" {
		r = x.json
	}
	if r.IsArray() {
		var list []gjson.Result
		r.ForEach(func(_, v gjson.Result) bool {
			list = append(list, v)
			return len(list) < maxPagePosts
		})
		return list
	}
	if !r.Exists() || r.Type == gjson.Null {
		return nil
	}
	return []gjson.Result{r}
}

// fromJSON evaluates select-free fields on a JSON block.
func (x *extractor) fromJSON(f *Field, it *item) value {
	all := x.valuesJSON(f, it)
	if len(all) == 0 {
		return value{}
	}
	return value{text: all[0]}
}

func (x *extractor) valuesJSON(f *Field, it *item) []string {
	if f.Path == "" {
		return nil
	}
	from := it.json
	if f.Scope == "page" {
		from = x.json
	}
	r := from.Get(f.Path)
	if !r.IsArray() {
		if s := r.String(); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	r.ForEach(func(_, v gjson.Result) bool {
		if s := v.String(); s != "" {
			out = append(out, s)
		}
		return len(out) <= maxPageLinks
	})
	return out
}

// manyJSON evaluates f to all its values: the addresses of links or pictures.
func (x *extractor) manyJSON(f *Field, it *item) []string {
	for ; f != nil; f = f.Or {
		if f.Path == "" && f.Template != "" {
			if v := x.templated(f, it, value{}); v.text != "" {
				return []string{v.text}
			}
			continue
		}
		var out []string
		for _, s := range x.valuesJSON(f, it) {
			if f.regex != nil {
				s = firstGroup(f, s)
			}
			if f.Template != "" {
				s = x.templated(f, it, value{text: s}).text
			}
			if s != "" {
				out = append(out, s)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// jsonText joins the strings of a JSON document, for marks to be found in.
func jsonText(r gjson.Result) string {
	var b strings.Builder
	var walk func(v gjson.Result, depth int)
	walk = func(v gjson.Result, depth int) {
		if depth > 50 || b.Len() > maxJSONText {
			return
		}
		if v.Type == gjson.String {
			b.WriteString(v.String() + "\n")
			return
		}
		if v.IsObject() || v.IsArray() {
			v.ForEach(func(_, child gjson.Result) bool {
				walk(child, depth+1)
				return b.Len() <= maxJSONText
			})
		}
	}
	walk(r, 0)
	return b.String()
}

// readFeed reads RSS, Atom or JSON Feed. The feed becomes the JSON document
// of gofeed (items[].title, link, guid, content, description, author.name,
// published …); fields that the rule leaves out have the usual places.
func (x *extractor) readFeed() {
	feed, err := parseFeed(x.page.Body)
	if err != nil {
		x.warnf("page is no feed: %v", err)
		if root, err := x.parse(x.page.Body); err == nil {
			x.root = root
		}
		return
	}
	data, err := json.Marshal(feed)
	if err != nil {
		x.warnf("feed cannot be read: %v", err)
		return
	}
	x.takeJSON(data)
}

// parseFeed parses a feed that is already UTF-8; its own declaration may name
// another encoding and is taken off, lest the text be decoded twice.
func parseFeed(body []byte) (feed *gofeed.Feed, err error) {
	defer func() {
		if r := recover(); r != nil {
			feed, err = nil, fmt.Errorf("parsing feed: %v", r)
		}
	}()
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	body = reXMLIntro.ReplaceAll(body, nil)
	if err := checkFeed(body); err != nil {
		return nil, err
	}
	feed, err = gofeed.NewParser().Parse(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("parsing feed: %w", err)
	}
	for _, it := range feed.Items {
		it.Title = html.UnescapeString(it.Title)
	}
	return feed, nil
}

// feedDefaults fills in the fields that a feed rule leaves out.
func feedDefaults(p *PostRule) {
	path := func(path string, or *Field) *Field { return &Field{FieldSpec{Path: path, Or: or}} }
	asHTML := func(path string, or *Field) *Field { return &Field{FieldSpec{Path: path, HTML: true, Or: or}} }
	if p.Each == "" {
		p.Each = "items"
	}
	if p.Key == nil {
		p.Key = path("guid", path("link", nil))
	}
	if p.URL == nil {
		p.URL = path("link", path("guid", nil))
	}
	if p.Title == nil {
		p.Title = asHTML("title", nil)
	}
	if p.Author == nil {
		p.Author = path("author.name", path("authors.0.name", path("dublinCoreExt.creator.0", nil)))
	}
	if p.Time == nil {
		p.Time = path("publishedParsed", path("published", path("updatedParsed", path("updated", nil))))
	}
	if p.Text == nil {
		p.Text = asHTML("content", asHTML("description", nil))
	}
}
