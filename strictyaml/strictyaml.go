// Package strictyaml reads YAML that people write by hand: configuration,
// sites and dictionaries. Unknown keys, wrong types and bad values are
// mistakes, and all mistakes of a file are reported at once, each with file,
// line, field and a remedy.
//
// What comes in: the bytes of one YAML document and a Go value with yaml
// tags. What goes out: the value filled in and a Document that can tell on
// which line a field stands, for checks that come later. It knows nothing of
// what the fields mean.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the largest file accepted; hand-written files are far smaller.
const MaxBytes = 16 << 20

// Mistake is one thing wrong in a file.
type Mistake struct {
	File    string // as given to Decode
	Line    int    // from 1; 0 when it has no place
	Field   string // path such as rules[2].any; may be empty
	Problem string // what is wrong
	Remedy  string // how to mend it; may be empty
}

// Error formats the mistake as file:line: field: problem; remedy.
func (m Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d", m.Line)
	}
	b.WriteString(": ")
	if m.Field != "" {
		b.WriteString(m.Field + ": ")
	}
	b.WriteString(m.Problem)
	if m.Remedy != "" {
		b.WriteString("; " + m.Remedy)
	}
	return b.String()
}

// Folder reads every *.yaml of fsys with read, in order of name, and returns all
// mistakes of all files at once as Mistakes, beside the values without one. Two
// values of one name are a mistake of the second; kind says what they are, and
// remedy how to mend that.
func Folder[T any](fsys fs.FS, kind, remedy string, read func(file string, data []byte) (T, error), name func(T) string) ([]T, error) {
	files, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the files: %w", err)
	}
	sort.Strings(files)
	var values []T
	var ms Mistakes
	seen := map[string]string{}
	for _, file := range files {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			ms.Add(file, fmt.Errorf("reading it: %w", err))
			continue
		}
		v, err := read(file, data)
		if err != nil {
			ms.Add(file, err)
			continue
		}
		if first, dup := seen[name(v)]; dup {
			ms.Add(file, Mistake{File: file, Field: "name", Problem: fmt.Sprintf("%s %q is already defined in %s", kind, name(v), first), Remedy: remedy})
			continue
		}
		seen[name(v)] = file
		values = append(values, v)
	}
	return values, ms.Err()
}

// Mistakes is all that is wrong, in order of file and line. As an error it
// prints one line each.
type Mistakes []Mistake

// Error joins the mistakes with line breaks.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns ms sorted, as an error, or nil when it is empty.
func (ms Mistakes) Err() error {
	if len(ms) == 0 {
		return nil
	}
	sort.SliceStable(ms, func(i, j int) bool {
		if ms[i].File != ms[j].File {
			return ms[i].File < ms[j].File
		}
		return ms[i].Line < ms[j].Line
	})
	return ms
}

// Add appends err to ms: its mistakes when it is Mistakes or a Mistake, else
// one mistake of that file.
func (ms *Mistakes) Add(file string, err error) {
	if err == nil {
		return
	}
	var many Mistakes
	var one Mistake
	switch {
	case errors.As(err, &many):
		*ms = append(*ms, many...)
	case errors.As(err, &one):
		*ms = append(*ms, one)
	default:
		*ms = append(*ms, Mistake{File: file, Problem: err.Error()})
	}
}

// Document is a parsed file that remembers where its fields stand. It is safe
// for concurrent reading.
type Document struct {
	file string
	root *yaml.Node
}

// File returns the name given to Decode.
func (d *Document) File() string { return d.file }

// Line returns the line of the value at path (map keys as string, indexes as
// int), or of the deepest part of the path that exists.
func (d *Document) Line(path ...any) int {
	n := d.root
	line := 1
	for _, p := range path {
		next := child(n, p)
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

// Mistake makes a mistake at path.
func (d *Document) Mistake(problem, remedy string, path ...any) Mistake {
	return Mistake{File: d.file, Line: d.Line(path...), Field: fieldName(path), Problem: problem, Remedy: remedy}
}

func child(n *yaml.Node, p any) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil {
		return nil
	}
	switch key := p.(type) {
	case string:
		if n.Kind != yaml.MappingNode {
			return nil
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && key >= 0 && key < len(n.Content) {
			return n.Content[key]
		}
	}
	return nil
}

func fieldName(path []any) string {
	var b strings.Builder
	for _, p := range path {
		switch key := p.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(key)
		case int:
			fmt.Fprintf(&b, "[%d]", key)
		}
	}
	return b.String()
}

// Decode reads exactly one YAML document from data into out, a pointer to a
// struct whose present values are the defaults. On mistakes it returns a
// Mistakes error together with what could be read, so that later checks can
// add theirs; the Document is nil only when the file is not YAML at all.
func Decode(file string, data []byte, out any) (*Document, error) {
	if len(data) > MaxBytes {
		return nil, Mistakes{{File: file, Problem: fmt.Sprintf("file has %d bytes", len(data)), Remedy: fmt.Sprintf("keep it under %d", MaxBytes)}}
	}
	var node yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&node); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, Mistakes{{File: file, Line: 1, Problem: "file is empty", Remedy: "write at least one key"}}
		}
		return nil, Mistakes{syntaxMistake(file, err)}
	}
	doc := &Document{file: file, root: node.Content[0]}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		return doc, Mistakes{{File: file, Line: more.Line, Problem: "a second YAML document starts here", Remedy: "keep one document a file; remove the ---"}}
	}
	strict := yaml.NewDecoder(bytes.NewReader(data))
	strict.KnownFields(true)
	err := strict.Decode(out)
	if err == nil {
		return doc, nil
	}
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return doc, Mistakes{syntaxMistake(file, err)}
	}
	known := knownKeys(reflect.TypeOf(out), nil)
	var ms Mistakes
	for _, line := range te.Errors {
		ms = append(ms, typeMistake(file, line, known))
	}
	return doc, ms.Err()
}

var (
	reLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (?s:(.*))$`)
	reUnknown = regexp.MustCompile(`^field (\S+) not found in type (\S+)$`)
	reType    = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(.*)`)? into (\\S+)$")
)

func syntaxMistake(file string, err error) Mistake {
	m := Mistake{File: file, Problem: strings.TrimPrefix(err.Error(), "yaml: "), Remedy: "check indentation, quotes and colons near this line"}
	if sub := reLine.FindStringSubmatch(err.Error()); sub != nil {
		m.Line, _ = strconv.Atoi(sub[1])
		m.Problem = sub[2]
	}
	return m
}

func typeMistake(file, text string, known map[string][]string) Mistake {
	m := Mistake{File: file, Problem: text}
	if sub := reLine.FindStringSubmatch(text); sub != nil {
		m.Line, _ = strconv.Atoi(sub[1])
		m.Problem = sub[2]
	}
	if sub := reUnknown.FindStringSubmatch(m.Problem); sub != nil {
		m.Field, m.Problem = sub[1], "unknown key"
		keys := known[sub[2]]
		if near := nearest(sub[1], keys); near != "" {
			m.Remedy = fmt.Sprintf("did you mean %q?", near)
		} else if len(keys) > 0 {
			m.Remedy = "known keys: " + strings.Join(keys, ", ")
		}
		return m
	}
	if sub := reType.FindStringSubmatch(m.Problem); sub != nil {
		m.Problem = fmt.Sprintf("%s where %s belongs", yamlName(sub[1]), goName(sub[3]))
		if sub[2] != "" {
			m.Problem = fmt.Sprintf("%q is %s where %s belongs", sub[2], yamlName(sub[1]), goName(sub[3]))
		}
		m.Remedy = "write " + goName(sub[3])
	}
	return m
}

func yamlName(tag string) string {
	switch tag {
	case "str":
		return "a text"
	case "seq":
		return "a list"
	case "map":
		return "a mapping"
	case "int", "float":
		return "a number"
	case "bool":
		return "true/false"
	case "null":
		return "nothing"
	}
	return tag
}

func goName(t string) string {
	switch {
	case strings.HasPrefix(t, "[]"):
		return "a list (- item)"
	case strings.HasPrefix(t, "map["):
		return "a mapping (key: value)"
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return "a whole number"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case t == "bool":
		return "true or false"
	case t == "string":
		return "a text"
	case t == "time.Duration":
		return "a duration such as 2s or 5m"
	}
	return "a mapping (key: value)"
}

// knownKeys collects the yaml keys of every struct type reachable from t, by
// the type name that the YAML library uses in its errors.
func knownKeys(t reflect.Type, out map[string][]string) map[string][]string {
	if out == nil {
		out = map[string][]string{}
	}
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return out
	}
	if _, seen := out[t.String()]; seen {
		return out
	}
	out[t.String()] = nil
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if tag == "-" || !f.IsExported() {
			continue
		}
		if strings.Contains(opts, "inline") {
			inner := knownKeys(f.Type, out)
			keys = append(keys, inner[f.Type.String()]...)
			continue
		}
		if tag == "" {
			tag = strings.ToLower(f.Name)
		}
		keys = append(keys, tag)
		knownKeys(f.Type, out)
	}
	sort.Strings(keys)
	out[t.String()] = keys
	return out
}

// nearest returns the key within two edits of word, or "".
func nearest(word string, keys []string) string {
	best, bestDist := "", 3
	for _, k := range keys {
		if d := editDistance(word, k); d < bestDist && d < len(k) {
			best, bestDist = k, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
