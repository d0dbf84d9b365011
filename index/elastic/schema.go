package elastic

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// SchemaVersion is the version of the mappings in schema/. It is written into
// each index; a program writes only to indices of its own version.
const SchemaVersion = 1

// ecsVersion is that of the Elastic Common Schema the documents follow.
const ecsVersion = "8.17.0"

//go:embed schema/*.json
var schemaFiles embed.FS

// alias is one kind of index and the names it goes by.
type alias struct {
	kind  string
	read  string // what searches use, and the title of Kibana's data view
	write string
}

// at is the index that holds the kind at a version of the schema.
func (a alias) at(version int) string { return fmt.Sprintf("%s-v%d", a.read, version) }

// names are those of every index under a prefix.
type names struct {
	posts, revisions, audit, state alias
}

func newNames(prefix string) names {
	name := func(kind string) alias {
		return alias{kind: kind, read: prefix + "-" + kind, write: prefix + "-" + kind + "-write"}
	}
	return names{name("posts"), name("revisions"), name("audit"), name("state")}
}

func (n names) all() []alias { return []alias{n.posts, n.revisions, n.audit, n.state} }

// definition is a file of schema/ with the version written into it.
type definition struct {
	Settings json.RawMessage            `json:"settings"`
	Mappings map[string]json.RawMessage `json:"mappings"`
}

func define(a alias, meta map[string]any) (definition, error) {
	var d definition
	raw, err := schemaFiles.ReadFile("schema/" + a.kind + ".json")
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		return d, fmt.Errorf("reading the schema of %s: %w", a.kind, err)
	}
	all := map[string]any{"schema_version": SchemaVersion, "managed_by": "qingyuan", "ecs_version": ecsVersion}
	for k, v := range meta {
		all[k] = v
	}
	d.Mappings["_meta"], err = json.Marshal(all)
	return d, err
}

// meta is what an index says of itself.
type meta struct {
	SchemaVersion int    `json:"schema_version"`
	CopyOf        string `json:"copy_of,omitempty"` // the index it is being migrated from
}

// liveIndex finds the index behind an alias or name and what it says of
// itself; ErrNotSetUp when there is none.
func liveIndex(ctx context.Context, c *client, name string) (index string, m meta, err error) {
	var found map[string]struct {
		Mappings struct {
			Meta meta `json:"_meta"`
		} `json:"mappings"`
	}
	if err := c.call(ctx, http.MethodGet, "/"+name+"/_mapping", nil, &found); err != nil {
		if is(err, http.StatusNotFound) {
			return "", meta{}, fmt.Errorf("%w: there is no %s", ErrNotSetUp, name)
		}
		return "", meta{}, err
	}
	if len(found) != 1 {
		return "", meta{}, fmt.Errorf("%w: %s names %d indices, not one", ErrNotSetUp, name, len(found))
	}
	for name, f := range found {
		index, m = name, f.Mappings.Meta
	}
	return index, m, nil
}

// checkSchema returns nil when templates, indices and aliases are those of
// this program, else ErrNotSetUp or ErrNewer.
func checkSchema(ctx context.Context, c *client, n names) error {
	for _, a := range n.all() {
		index, m, err := liveIndex(ctx, c, a.write)
		if err != nil {
			return err
		}
		if err := compareVersion("index "+index, m.SchemaVersion); err != nil {
			return err
		}
		if err := checkTemplate(ctx, c, a); err != nil {
			return err
		}
	}
	return nil
}

func compareVersion(what string, version int) error {
	switch {
	case version > SchemaVersion:
		return fmt.Errorf("%w: %s has schema version %d, this program knows %d", ErrNewer, what, version, SchemaVersion)
	case version < SchemaVersion:
		return fmt.Errorf("%w: %s has schema version %d, this program needs %d", ErrNotSetUp, what, version, SchemaVersion)
	}
	return nil
}

// checkTemplate looks for the template; a key that may not see templates passes.
func checkTemplate(ctx context.Context, c *client, a alias) error {
	var found struct {
		Templates []struct {
			Template struct {
				Version int `json:"version"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	err := c.call(ctx, http.MethodGet, "/_index_template/"+a.read, nil, &found)
	switch {
	case errors.Is(err, ErrRefused) && is(err, http.StatusForbidden):
		return nil
	case is(err, http.StatusNotFound) || err == nil && len(found.Templates) == 0:
		return fmt.Errorf("%w: there is no index template %s", ErrNotSetUp, a.read)
	case err != nil:
		return err
	}
	return compareVersion("index template "+a.read, found.Templates[0].Template.Version)
}
