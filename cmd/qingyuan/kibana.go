package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// savedObject is one line of what Kibana exports, as far as it is looked at.
type savedObject struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	Attributes struct {
		Title   string      `json:"title"`
		Fields  string      `json:"fields"`
		Columns []string    `json:"columns"`
		Sort    [][2]string `json:"sort"`
		Meta    struct {
			SearchSource string `json:"searchSourceJSON"`
		} `json:"kibanaSavedObjectMeta"`
		FieldAttrs     string     `json:"fieldAttrs"`
		FieldFormatMap string     `json:"fieldFormatMap"`
		TimeField      string     `json:"timeFieldName"`
		PanelsJSON     string     `json:"panelsJSON"`
		State          *lensState `json:"state"`
	} `json:"attributes"`
	References []reference `json:"references"`
	Core       string      `json:"coreMigrationVersion"`
	Version    string      `json:"typeMigrationVersion"`
}

type reference struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

type lensState struct {
	Query       kuery `json:"query"`
	Visual      any   `json:"visualization"`
	Datasources struct {
		Form struct {
			Layers map[string]lensLayer `json:"layers"`
		} `json:"formBased"`
	} `json:"datasourceStates"`
}

type kuery struct {
	Language string `json:"language"`
	Query    string `json:"query"`
}

type lensLayer struct {
	Order   []string              `json:"columnOrder"`
	Columns map[string]lensColumn `json:"columns"`
}

type lensColumn struct {
	Operation string `json:"operationType"`
	Field     string `json:"sourceField"`
	Bucketed  bool   `json:"isBucketed"`
	Filter    *kuery `json:"filter"`
	Params    struct {
		Size    int `json:"size"`
		OrderBy struct {
			Column string `json:"columnId"`
		} `json:"orderBy"`
	} `json:"params"`
}

// kibanaVersions are the schema versions that the objects are written in: the
// oldest that Kibana 8.9 and later take. Kibana brings older ones up to date and
// refuses newer ones.
var kibanaVersions = map[string]string{"index-pattern": "8.0.0", "search": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}

// lensRecords stands for the documents themselves where Lens counts them.
const lensRecords = "___records___"

// checkKibana returns all that is wrong with saved objects: lines that are no
// JSON, ids given twice, references to nothing, fields that the mapping has not
// or that cannot be used so, queries that cannot be read.
func checkKibana(ndjson []byte, fields map[string]string) error {
	objects, err := readKibana(ndjson)
	if err != nil {
		return err
	}
	k := kibanaChecker{fields: fields, ids: map[string]bool{}}
	for _, o := range objects {
		if k.ids[o.Type+" "+o.ID] {
			k.problem(o, "its id is given twice")
		}
		k.ids[o.Type+" "+o.ID] = true
	}
	for _, o := range objects {
		k.check(o)
	}
	return errors.Join(k.problems...)
}

func readKibana(ndjson []byte) ([]savedObject, error) {
	var out []savedObject
	for i, line := range bytes.Split(bytes.TrimSuffix(ndjson, []byte("\n")), []byte("\n")) {
		var o savedObject
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		out = append(out, o)
	}
	return out, nil
}

type kibanaChecker struct {
	fields   map[string]string
	ids      map[string]bool
	problems []error
}

func (k *kibanaChecker) problem(o savedObject, format string, args ...any) {
	k.problems = append(k.problems, fmt.Errorf("%s %s: %s", o.Type, o.ID, fmt.Sprintf(format, args...)))
}

func (k *kibanaChecker) check(o savedObject) {
	if want := kibanaVersions[o.Type]; want == "" || o.Version != want || o.Core != "8.8.0" {
		k.problem(o, "type or version (%s, %s) is not one that these objects are written in", o.Version, o.Core)
	}
	if o.Attributes.Title == "" {
		k.problem(o, "it has no title")
	}
	for _, r := range o.References {
		if !k.ids[r.Type+" "+r.ID] {
			k.problem(o, "it refers to %s %s, which is not there", r.Type, r.ID)
		}
	}
	switch o.Type {
	case "index-pattern":
		k.dataView(o)
	case "search":
		k.search(o)
	case "lens":
		k.lens(o)
	case "dashboard":
		k.dashboard(o)
	}
}

func (k *kibanaChecker) dataView(o savedObject) {
	k.field(o, o.Attributes.TimeField, "date")
	for _, text := range []string{o.Attributes.FieldAttrs, o.Attributes.FieldFormatMap} {
		var named map[string]any
		if err := json.Unmarshal([]byte(text), &named); err != nil {
			k.problem(o, "its fields are no JSON: %v", err)
		}
		for f := range named {
			k.field(o, f)
		}
	}
}

func (k *kibanaChecker) search(o savedObject) {
	for _, f := range o.Attributes.Columns {
		k.field(o, f)
	}
	for _, s := range o.Attributes.Sort {
		k.field(o, s[0], "date")
	}
	var source struct {
		Query kuery  `json:"query"`
		Index string `json:"indexRefName"`
	}
	if err := json.Unmarshal([]byte(o.Attributes.Meta.SearchSource), &source); err != nil {
		k.problem(o, "its query is no JSON: %v", err)
	}
	k.refers(o, source.Index)
	k.query(o, source.Query)
}

func (k *kibanaChecker) lens(o savedObject) {
	if o.Attributes.State == nil {
		k.problem(o, "it has no state")
		return
	}
	s := o.Attributes.State
	k.query(o, s.Query)
	visual, _ := json.Marshal(s.Visual) // it was JSON
	for id, layer := range s.Datasources.Form.Layers {
		k.refers(o, "indexpattern-datasource-layer-"+id)
		if len(layer.Order) != len(layer.Columns) {
			k.problem(o, "%d columns are in order, there are %d", len(layer.Order), len(layer.Columns))
		}
		for _, c := range layer.Order {
			column, ok := layer.Columns[c]
			if !ok {
				k.problem(o, "there is no column %s", c)
				continue
			}
			if !bytes.Contains(visual, []byte(`"`+c+`"`)) {
				k.problem(o, "column %s is not shown", c)
			}
			k.column(o, layer, column)
		}
	}
}

func (k *kibanaChecker) column(o savedObject, layer lensLayer, c lensColumn) {
	switch c.Operation {
	case "terms":
		k.field(o, c.Field, "keyword", "boolean")
		if by, ok := layer.Columns[c.Params.OrderBy.Column]; !ok || by.Bucketed || c.Params.Size < 1 {
			k.problem(o, "terms of %s have no size or are ordered by no figure", c.Field)
		}
	case "date_histogram":
		k.field(o, c.Field, "date")
	case "unique_count":
		k.field(o, c.Field, "keyword")
	case "min", "max":
		k.field(o, c.Field, "date", "integer", "long", "double")
	case "count":
		if c.Field != lensRecords {
			k.problem(o, "it counts %s", c.Field)
		}
	default:
		k.problem(o, "operation %s is not known here", c.Operation)
	}
	if c.Filter != nil {
		k.query(o, *c.Filter)
	}
}

func (k *kibanaChecker) dashboard(o savedObject) {
	var panels []struct {
		Type string `json:"type"`
		Grid struct {
			X int    `json:"x"`
			Y int    `json:"y"`
			W int    `json:"w"`
			H int    `json:"h"`
			I string `json:"i"`
		} `json:"gridData"`
		Index string `json:"panelIndex"`
		Ref   string `json:"panelRefName"`
	}
	if err := json.Unmarshal([]byte(o.Attributes.PanelsJSON), &panels); err != nil || len(panels) == 0 {
		k.problem(o, "its panels cannot be read: %v", err)
	}
	if len(panels) != len(o.References) {
		k.problem(o, "%d panels with %d references", len(panels), len(o.References))
	}
	for i, p := range panels {
		k.refers(o, p.Index+":"+p.Ref)
		if p.Grid.I != p.Index || p.Grid.X < 0 || p.Grid.W < 1 || p.Grid.X+p.Grid.W > 48 || p.Grid.H < 1 {
			k.problem(o, "panel %s is outside of the grid", p.Index)
		}
		for _, q := range panels[:i] {
			if a, b := p.Grid, q.Grid; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				k.problem(o, "panels %s and %s lie over each other", q.Index, p.Index)
			}
		}
	}
}

func (k *kibanaChecker) refers(o savedObject, name string) {
	if !slices.ContainsFunc(o.References, func(r reference) bool { return r.Name == name }) {
		k.problem(o, "it has no reference %q", name)
	}
}

// field wants a field of one of the types; any that can be searched without.
func (k *kibanaChecker) field(o savedObject, name string, types ...string) {
	if t := k.fields[name]; t == "" || len(types) > 0 && !slices.Contains(types, t) {
		k.problem(o, "field %q is of type %q in the mapping, wanted is %s", name, t, strings.Join(types, " or "))
	}
}

func (k *kibanaChecker) query(o savedObject, q kuery) {
	if q.Language != "kuery" {
		k.problem(o, "its query is written in %q", q.Language)
	}
	terms, err := readKuery(q.Query)
	if err != nil {
		k.problem(o, "query %q: %v", q.Query, err)
	}
	for _, t := range terms {
		k.field(o, t.field)
	}
}

// kueryTerm is one field : value; value "*" asks that there is one.
type kueryTerm struct{ field, value string }

// readKuery reads the part of Kibana's query language that the objects use:
// field : value, joined by and.
func readKuery(q string) ([]kueryTerm, error) {
	if q == "" {
		return nil, nil
	}
	var out []kueryTerm
	for _, part := range strings.Split(q, " and ") {
		field, value, ok := strings.Cut(part, " : ")
		bare := strings.Trim(value, `"`)
		if !ok || field == "" || bare == "" || strings.ContainsAny(field+bare, ` ":()`) {
			return nil, fmt.Errorf("%q is not field : value", part)
		}
		out = append(out, kueryTerm{field, bare})
	}
	return out, nil
}
