package workbench

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Edit is one change of one entry. With New set it adds an entry; with no
// Values it removes one; else it replaces the fields of one.
type Edit struct {
	Ref           // as it stands in the files; with New only kind and category count
	New    bool   `json:"new,omitempty"`
	Values Values `json:"values,omitempty"` // nil removes the entry
}

// Result names the entry after the edit.
func (e Edit) Result() Ref {
	r := e.Ref
	if e.Values != nil {
		r.ID = cmp.Or(e.Values.First("id"), e.Values.First("text"))
	}
	return r
}

// Bounds of an edit.
const (
	maxValue = 4000 // bytes of one value
	maxList  = 5000 // values of one field
)

// Errors that callers branch on.
var (
	// ErrByHand: the entry is written in a way that only an editor can change.
	ErrByHand = errors.New("workbench: this entry is written in a way that has to be edited by hand")
	// ErrGone: the entry does not stand in the files.
	ErrGone = errors.New("workbench: this entry does not stand in the files")
	// ErrInvalid: a value cannot be written; the message says why.
	ErrInvalid = errors.New("workbench: this value cannot be written")
)

// Apply returns the files with the edit made. Everything but the entry's own
// lines stays as it is, byte for byte; in the entry, fields with the same value
// keep the way they are written. It does not say whether the dictionaries are
// then right: load them.
func Apply(files map[string][]byte, e Edit) (map[string][]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	before := Entries(files)
	out := maps.Clone(files)
	file, data, err := e.splice(files, before)
	if err != nil {
		return nil, err
	}
	out[file] = data
	after := slices.DeleteFunc(slices.Clone(before), func(x Entry) bool { return x.File == file })
	if !e.changedOnly(before, append(after, entriesOf(file, data)...)) {
		return nil, fmt.Errorf("%w: %s", ErrByHand, file)
	}
	return out, nil
}

func (e Edit) check() error {
	fields, known := fieldsOf[e.Kind]
	if !known {
		return fmt.Errorf("%w: there is no kind %q", ErrInvalid, e.Kind)
	}
	for key, list := range e.Values {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == key })
		if i < 0 {
			return fmt.Errorf("%w: a %s has no field %q", ErrInvalid, e.Kind, key)
		}
		many := fields[i].Type == FieldList || fields[i].Type == FieldExamples
		if len(list) > maxList || len(list) > 1 && !many {
			return fmt.Errorf("%w: %s has too many values", ErrInvalid, key)
		}
		for _, v := range list {
			if !utf8.ValidString(v) || len(v) > maxValue || v == "" {
				return fmt.Errorf("%w: %s holds a value that is empty, too long or not UTF-8", ErrInvalid, key)
			}
			if n, err := strconv.ParseFloat(v, 64); fields[i].Type == FieldNumber && (err != nil || math.IsNaN(n) || math.IsInf(n, 0)) {
				return fmt.Errorf("%w: %s %q is no number", ErrInvalid, key, v)
			}
			if fields[i].Type == FieldFlag && v != "true" {
				return fmt.Errorf("%w: %s is true or not there", ErrInvalid, key)
			}
		}
	}
	if e.Values != nil && e.Result().ID == "" {
		return fmt.Errorf("%w: an entry needs an id", ErrInvalid)
	}
	return nil
}

// splice returns the file that the edit changes, with the lines of the entry
// replaced, removed or added.
func (e Edit) splice(files map[string][]byte, before []Entry) (string, []byte, error) {
	if e.New {
		if _, twice := find(before, e.Result()); twice {
			return "", nil, fmt.Errorf("%w: there is a %s %q already", ErrInvalid, e.Kind, e.Result().ID)
		}
		return e.insert(files, before)
	}
	old, ok := find(before, e.Ref)
	if !ok {
		return "", nil, fmt.Errorf("%w: %s %s", ErrGone, e.Kind, e.ID)
	}
	if again := slices.ContainsFunc(before, func(x Entry) bool { return x.Ref == e.Result() && e.Result() != e.Ref }); again && e.Values != nil {
		return "", nil, fmt.Errorf("%w: there is a %s %q already", ErrInvalid, e.Kind, e.Result().ID)
	}
	lines := strings.SplitAfter(string(files[old.File]), "\n")
	from, to, indent, ok := old.span(lines)
	if !ok || hasAnchors(old.node) {
		return "", nil, fmt.Errorf("%w: %s:%d", ErrByHand, old.File, old.Line)
	}
	var text []string
	if e.Values != nil {
		setValues(old.node, e.Kind, old.Values, e.Values)
		dropFoot(old.node)
		old.node.HeadComment = ""
		rendered, err := encode(old.node)
		if err != nil {
			return "", nil, err
		}
		text = item(rendered, indent, ending(lines))
	}
	return old.File, []byte(strings.Join(slices.Replace(lines, from, to, text...), "")), nil
}

// span are the lines of the entry, from its dash to before what follows, and
// what stands before the dash. Comments and blank lines after it are not its.
func (x Entry) span(lines []string) (from, to int, indent string, ok bool) {
	from = x.Line - 1
	if x.list.Style&yaml.FlowStyle != 0 || x.node.Kind != yaml.MappingNode || from >= len(lines) {
		return 0, 0, "", false
	}
	trimmed := strings.TrimLeft(lines[from], " ")
	if !strings.HasPrefix(trimmed, "- ") {
		return 0, 0, "", false
	}
	indent = lines[from][:len(lines[from])-len(trimmed)]
	to = len(lines)
	if x.next > 0 {
		to = x.next - 1
	}
	for to > from+1 {
		if t := strings.TrimSpace(lines[to-1]); t != "" && t[0] != '#' {
			break
		}
		to--
	}
	return from, to, indent, to > from
}

// insert adds an entry after the last of its kind in its file.
func (e Edit) insert(files map[string][]byte, before []Entry) (string, []byte, error) {
	file, err := e.file(files, before)
	if err != nil {
		return "", nil, err
	}
	node := &yaml.Node{Kind: yaml.MappingNode}
	if e.Kind == KindTerm {
		node.Style = yaml.FlowStyle
	}
	setValues(node, e.Kind, Values{}, e.Values)
	rendered, err := encode(node)
	if err != nil {
		return "", nil, err
	}
	lines := strings.SplitAfter(string(files[file]), "\n")
	var last *Entry
	for i := range before {
		if before[i].File == file && before[i].Kind == e.Kind {
			last = &before[i]
		}
	}
	if last == nil {
		if d := parseDocument(files[file]); d.root == nil || mapValue(d.root, listKeys[e.Kind]) != nil {
			return "", nil, fmt.Errorf("%w: %s", ErrByHand, file) // an empty list, written out
		}
		lines = closed(lines)
		lines = append(lines, listKeys[e.Kind]+":"+ending(lines))
		return file, []byte(strings.Join(append(lines, item(rendered, "  ", ending(lines))...), "")), nil
	}
	_, to, indent, ok := last.span(lines)
	if !ok {
		return "", nil, fmt.Errorf("%w: %s:%d", ErrByHand, file, last.Line)
	}
	head := closed(slices.Clone(lines[:to]))
	return file, []byte(strings.Join(slices.Concat(head, item(rendered, indent, ending(lines)), lines[to:]), "")), nil
}

// file is where a new entry goes.
func (e Edit) file(files map[string][]byte, before []Entry) (string, error) {
	if e.Category != "" {
		for name, data := range files {
			if parseDocument(data).category == e.Category && e.Category != "" {
				return name, nil
			}
		}
		return "", fmt.Errorf("%w: there is no category %q", ErrInvalid, e.Category)
	}
	for _, x := range before {
		if x.Kind == e.Kind && x.Category == "" {
			return x.File, nil
		}
	}
	return "", fmt.Errorf("%w: no file holds a %s that all categories share", ErrInvalid, e.Kind)
}

// changedOnly reports whether the edit, and nothing else, separates two states.
func (e Edit) changedOnly(before, after []Entry) bool {
	was, is := map[Ref]Values{}, map[Ref]Values{}
	for _, x := range before {
		was[x.Ref] = x.Values
	}
	for _, x := range after {
		is[x.Ref] = x.Values
	}
	if !e.New {
		delete(was, e.Ref)
	}
	if e.Values != nil {
		was[e.Result()] = e.Values
	}
	return len(after) == len(is) && maps.EqualFunc(was, is, Values.equal)
}

// setValues writes the fields that differ into an entry.
func setValues(item *yaml.Node, kind string, old, want Values) {
	for _, f := range fieldsOf[kind] {
		if slices.Equal(old[f.Key], want[f.Key]) {
			continue
		}
		outer, inner, nested := strings.Cut(f.Key, ".")
		if !nested {
			setKey(item, f.Key, f.node(want[f.Key]))
			continue
		}
		m := mapValue(item, outer)
		if m == nil || m.Kind != yaml.MappingNode {
			m = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			setKey(item, outer, m)
		}
		if setKey(m, inner, f.node(want[f.Key])); len(m.Content) == 0 {
			setKey(item, outer, nil)
		}
	}
}

// setKey sets a key of a mapping, or removes it when n is nil. Comments of the
// value before stay.
func setKey(m *yaml.Node, key string, n *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value != key {
			continue
		}
		if n == nil {
			m.Content = slices.Delete(m.Content, i, i+2)
			return
		}
		n.LineComment, n.HeadComment = m.Content[i+1].LineComment, m.Content[i+1].HeadComment
		m.Content[i+1] = n
		return
	}
	if n != nil {
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, n)
	}
}

// node is a field's value; nil when it has none.
func (f Field) node(list []string) *yaml.Node {
	if len(list) == 0 {
		return nil
	}
	switch f.Type {
	case FieldNumber:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: numberTag(list[0]), Value: list[0]}
	case FieldFlag:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
	case FieldList, FieldExamples:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, v := range list {
			n.Content = append(n.Content, text(v))
		}
		return n
	}
	return text(list[0])
}

func numberTag(s string) string {
	if _, err := strconv.Atoi(s); err == nil {
		return "!!int"
	}
	return "!!float"
}

// yesNo are words that older YAML tools take for true or false.
var yesNo = [...]string{"y", "n", "yes", "no", "on", "off"}

// text is a scalar that reads back as the string it is: a value is never YAML.
func text(v string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(v)
	if slices.Contains(yesNo[:], strings.ToLower(v)) || strings.ContainsFunc(v, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\ufeff'
	}) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func hasAnchors(n *yaml.Node) bool {
	return n.Anchor != "" || n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAnchors)
}

// dropFoot drops the comment after an entry, which stays in the file.
func dropFoot(n *yaml.Node) {
	n.FootComment = ""
	if len(n.Content) == 0 {
		return
	}
	if n.Kind == yaml.MappingNode {
		n.Content[len(n.Content)-2].FootComment = ""
	}
	dropFoot(n.Content[len(n.Content)-1])
}

// item puts an entry behind its dash.
func item(rendered []byte, indent, end string) []string {
	var out []string
	for i, line := range strings.Split(string(rendered), "\n") {
		switch {
		case i == 0:
			line = indent + "- " + line
		case line != "":
			line = indent + "  " + line
		}
		out = append(out, line+end)
	}
	return out
}

// ending is how lines end in a file.
func ending(lines []string) string {
	if strings.HasSuffix(lines[0], "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// closed ends the last line.
func closed(lines []string) []string {
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += ending(lines)
	}
	return lines
}
