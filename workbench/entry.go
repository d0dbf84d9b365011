package workbench

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The kinds of entries.
const (
	KindTerm      = "term"
	KindRule      = "rule"
	KindException = "exception"
	KindCue       = "cue"
	KindClass     = "class"
)

// Kinds lists the kinds in the order of the pages.
var Kinds = [...]string{KindTerm, KindRule, KindException, KindCue, KindClass}

// listKeys are the keys of a file that hold the entries of a kind.
var listKeys = map[string]string{KindTerm: "terms", KindRule: "rules", KindException: "exceptions", KindCue: "cues", KindClass: "classes"}

// FieldType says how a field is written.
type FieldType string

// The types of fields.
const (
	FieldText     FieldType = "text"     // one line
	FieldNumber   FieldType = "number"   // a number
	FieldFlag     FieldType = "flag"     // "true", or no value
	FieldList     FieldType = "list"     // wordings or operands, one each
	FieldExamples FieldType = "examples" // texts, one each
)

// Field is one key of an entry. A dot leads into a mapping: name.zh.
type Field struct {
	Key  string
	Type FieldType
}

var ruleFields = []Field{{"id", FieldText}, {"name.zh", FieldText}, {"name.en", FieldText}, {"any", FieldList}, {"min", FieldNumber}, {"all", FieldList}, {"none", FieldList},
	{"window", FieldText}, {"weight", FieldNumber}, {"helper", FieldFlag}, {"note", FieldText}, {"hit", FieldExamples}, {"miss", FieldExamples}}

var fieldsOf = map[string][]Field{
	KindTerm: {{"id", FieldText}, {"text", FieldText}, {"variants", FieldList}, {"initials", FieldList}, {"weight", FieldNumber},
		{"ambiguous", FieldFlag}, {"exact", FieldFlag}, {"note", FieldText}},
	KindRule:      ruleFields,
	KindException: slices.Insert(slices.Clone(ruleFields), 8, Field{"cancels", FieldList}),
	KindCue:       slices.Insert(slices.Clone(ruleFields), 3, Field{"stance", FieldText}),
	KindClass:     {{"id", FieldText}, {"any", FieldList}, {"note", FieldText}},
}

// FieldsOf are the fields of a kind in the order of the pages; nil for an
// unknown kind.
func FieldsOf(kind string) []Field { return slices.Clone(fieldsOf[kind]) }

// Values are the fields of an entry that are set. A text, number or flag is a
// list of one.
type Values map[string][]string

// First returns the only value of a text, number or flag; "" when it is not set.
func (v Values) First(key string) string {
	if len(v[key]) == 0 {
		return ""
	}
	return v[key][0]
}

func (v Values) equal(w Values) bool { return maps.EqualFunc(v, w, slices.Equal) }

// Ref names an entry.
type Ref struct {
	Kind     string `json:"kind"`
	Category string `json:"category,omitempty"` // empty for cues and shared classes
	ID       string `json:"id"`                 // a term's without id is its text
}

// Entry is one entry of the dictionary files.
type Entry struct {
	Ref
	File   string
	Line   int // from 1
	Values Values

	node *yaml.Node
	next int // line of what follows in the file; 0: the end
	list *yaml.Node
}

// document is a parsed file.
type document struct {
	category string
	root     *yaml.Node // a mapping; nil when the file is none
}

func parseDocument(data []byte) document {
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil || len(n.Content) == 0 || n.Content[0].Kind != yaml.MappingNode {
		return document{} // the loader says what is wrong
	}
	d := document{root: n.Content[0]}
	if c := mapValue(d.root, "category"); c != nil {
		d.category = c.Value
	}
	return d
}

// mapValue returns the value of a key of a mapping, or nil.
func mapValue(m *yaml.Node, key string) *yaml.Node {
	for i := 0; m != nil && m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// Entries lists what stands in the files, by file and line. What does not parse
// is left out: loading the dictionaries tells of it.
func Entries(files map[string][]byte) []Entry {
	var out []Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		out = append(out, entriesOf(name, files[name])...)
	}
	return out
}

func entriesOf(name string, data []byte) []Entry {
	d := parseDocument(data)
	if d.root == nil {
		return nil
	}
	var out []Entry
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		list := d.root.Content[i+1]
		kind := kindOf(d.root.Content[i].Value)
		if kind == "" || list.Kind != yaml.SequenceNode {
			continue
		}
		after := 0
		if i+2 < len(d.root.Content) {
			after = d.root.Content[i+2].Line
		}
		for j, item := range list.Content {
			e := Entry{Ref: Ref{Kind: kind}, File: name, Line: item.Line, Values: nodeValues(kind, item), node: item, list: list, next: after}
			if j+1 < len(list.Content) {
				e.next = list.Content[j+1].Line
			}
			if kind != KindCue {
				e.Category = d.category
			}
			if e.ID = e.Values.First("id"); e.ID == "" {
				e.ID = e.Values.First("text")
			}
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return a.Line - b.Line })
	return out
}

func kindOf(key string) string {
	for kind, k := range listKeys {
		if k == key {
			return kind
		}
	}
	return ""
}

// find returns the entry that a Ref names.
func find(entries []Entry, r Ref) (Entry, bool) {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Ref == r })
	if i < 0 {
		return Entry{}, false
	}
	return entries[i], true
}

// nodeValues reads the fields of an entry.
func nodeValues(kind string, item *yaml.Node) Values {
	v := Values{}
	for _, f := range fieldsOf[kind] {
		n := item
		for _, key := range strings.Split(f.Key, ".") {
			n = mapValue(n, key)
		}
		if list := scalars(n); len(list) > 0 && (f.Type != FieldFlag || list[0] == "true") {
			v[f.Key] = list
		}
	}
	return v
}

func scalars(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" || n.Value == "" {
			return nil
		}
		return []string{n.Value}
	case yaml.SequenceNode:
		var out []string
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode {
				out = append(out, c.Value)
			}
		}
		return out
	}
	return nil
}

// encode writes an entry as YAML, without the dash before it.
func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("writing an entry: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("writing an entry: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
