package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Setup makes templates, indices and aliases, or brings them up to date: new
// fields are added to the mapping; what cannot be changed in place is copied
// to a new index, see Migrate. It changes nothing that is as it should be, and
// goes on where an earlier run ended. say is told each step, in English and Chinese.
//
// Its key needs the cluster rights manage_index_templates and, for the policy
// of superseded indices, manage_ilm, and manage on the indices.
func Setup(ctx context.Context, opts Options, say func(en, zh string)) error {
	opts, err := opts.withDefaults()
	if err != nil {
		return err
	}
	c, err := newClient(opts.Server)
	if err != nil {
		return err
	}
	defer c.close()
	s := &Store{opts: opts, names: newNames(opts.Prefix), c: c}
	if err := s.setup(ctx, say); err != nil {
		return fmt.Errorf("setting up the index at %s: %w", c.where, err)
	}
	return nil
}

func (s *Store) setup(ctx context.Context, say func(en, zh string)) error {
	if err := s.checkServer(ctx, say); err != nil {
		return err
	}
	for _, a := range s.names.all() {
		if err := s.neverNewer(ctx, a); err != nil {
			return err
		}
	}
	policy, err := s.putPolicy(ctx, say)
	if err != nil {
		return err
	}
	for _, a := range s.names.all() {
		if err := s.putTemplate(ctx, a, say); err != nil {
			return fmt.Errorf("template of %s: %w", a.read, err)
		}
		if err := s.putIndex(ctx, a, policy, say); err != nil {
			return fmt.Errorf("index of %s: %w", a.read, err)
		}
	}
	return nil
}

// checkServer refuses servers that this program was not made for.
func (s *Store) checkServer(ctx context.Context, say func(en, zh string)) error {
	var answer struct {
		Nodes map[string]struct {
			Version string `json:"version"`
		} `json:"nodes"`
	}
	// Not GET /: a server without the main module answers it with 405.
	if err := s.c.call(ctx, http.MethodGet, "/_nodes?filter_path=nodes.*.version", nil, &answer); err != nil {
		if is(err, http.StatusForbidden) {
			return nil // the key may not look at nodes; what matters follows
		}
		return err
	}
	for _, n := range answer.Nodes {
		if len(n.Version) < 2 || n.Version[:2] != "8." {
			return fmt.Errorf("%w: the server is Elasticsearch %s, this program needs 8", ErrRefused, n.Version)
		}
		say("Elasticsearch "+n.Version, "Elasticsearch "+n.Version)
		break
	}
	return nil
}

// neverNewer refuses to touch what a newer program made.
func (s *Store) neverNewer(ctx context.Context, a alias) error {
	_, m, err := liveIndex(ctx, s.c, a.write)
	if errors.Is(err, ErrNotSetUp) {
		err = nil
	}
	if err == nil && m.SchemaVersion > SchemaVersion {
		err = compareVersion("index of "+a.write, m.SchemaVersion)
	}
	if err != nil {
		return err
	}
	if err := checkTemplate(ctx, s.c, a); errors.Is(err, ErrNewer) {
		return err
	}
	return nil
}

// putTemplate writes the component and index templates; putting the same
// again changes nothing.
func (s *Store) putTemplate(ctx context.Context, a alias, say func(en, zh string)) error {
	d, err := define(a, nil)
	if err != nil {
		return err
	}
	about := map[string]any{"managed_by": "qingyuan", "schema_version": SchemaVersion}
	component, err := json.Marshal(map[string]any{"template": d, "version": SchemaVersion, "_meta": about})
	if err != nil {
		return err
	}
	template, err := json.Marshal(map[string]any{
		"index_patterns": []string{a.read + "-v*"}, "priority": 500, "version": SchemaVersion, "_meta": about,
		// What an operator puts into NAME@custom wins over ours.
		"composed_of": []string{a.read + "-mappings", a.read + "@custom"}, "ignore_missing_component_templates": []string{a.read + "@custom"},
	})
	if err != nil {
		return err
	}
	found := checkTemplate(ctx, s.c, a)
	if err := s.c.call(ctx, http.MethodPut, "/_component_template/"+a.read+"-mappings", component, nil); err != nil {
		return err
	}
	if err := s.c.call(ctx, http.MethodPut, "/_index_template/"+a.read, template, nil); err != nil {
		return err
	}
	if found != nil {
		say(fmt.Sprintf("template %s: version %d written", a.read, SchemaVersion), fmt.Sprintf("模板 %s：已写入版本 %d", a.read, SchemaVersion))
	}
	return nil
}

// putIndex makes the index and its aliases, adds fields to it, or migrates it.
func (s *Store) putIndex(ctx context.Context, a alias, policy bool, say func(en, zh string)) error {
	live, m, err := liveIndex(ctx, s.c, a.write)
	if errors.Is(err, ErrNotSetUp) {
		if err := s.createIndex(ctx, a, a.at(SchemaVersion), nil); err != nil {
			return err
		}
		if err := s.pointAliases(ctx, a, a.at(SchemaVersion), ""); err != nil {
			return err
		}
		say("index "+a.at(SchemaVersion)+": made", "索引 "+a.at(SchemaVersion)+"：已建立")
		return nil
	}
	if err != nil {
		return err
	}
	if m.SchemaVersion == SchemaVersion {
		return nil
	}
	d, err := define(a, nil)
	if err != nil {
		return err
	}
	body, err := json.Marshal(d.Mappings)
	if err != nil {
		return err
	}
	err = s.c.call(ctx, http.MethodPut, "/"+live+"/_mapping", body, nil)
	if err == nil {
		say(fmt.Sprintf("index %s: new fields added, version %d → %d", live, m.SchemaVersion, SchemaVersion),
			fmt.Sprintf("索引 %s：已增加字段，版本 %d → %d", live, m.SchemaVersion, SchemaVersion))
		return nil
	}
	if !is(err, http.StatusBadRequest) {
		return err
	}
	say(fmt.Sprintf("index %s: version %d → %d needs a copy (%v)", live, m.SchemaVersion, SchemaVersion, err),
		fmt.Sprintf("索引 %s：版本 %d → %d 需要复制（%v）", live, m.SchemaVersion, SchemaVersion, err))
	return s.migrate(ctx, a, live, policy, say)
}

// createIndex makes an index from its template; one that exists is left.
func (s *Store) createIndex(ctx context.Context, a alias, name string, about map[string]any) error {
	d, err := define(a, about)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"mappings": map[string]json.RawMessage{"_meta": d.Mappings["_meta"]}})
	if err != nil {
		return err
	}
	err = s.c.call(ctx, http.MethodPut, "/"+name, body, nil)
	var e *serverError
	if errors.As(err, &e) && e.kind == "resource_already_exists_exception" {
		return nil
	}
	return err
}

// pointAliases makes the aliases name an index, and no longer another, at once.
func (s *Store) pointAliases(ctx context.Context, a alias, to, from string) error {
	var actions []any
	if from != "" {
		actions = append(actions, map[string]any{"remove": map[string]any{"index": from, "alias": a.read, "must_exist": false}},
			map[string]any{"remove": map[string]any{"index": from, "alias": a.write, "must_exist": false}})
	}
	actions = append(actions, map[string]any{"add": map[string]any{"index": to, "alias": a.read}},
		map[string]any{"add": map[string]any{"index": to, "alias": a.write, "is_write_index": true}})
	body, err := json.Marshal(map[string]any{"actions": actions})
	if err != nil {
		return err
	}
	return s.c.call(ctx, http.MethodPost, "/_aliases", body, nil)
}

// supersededAfter is how long an index that was migrated away from is kept by
// the policy.
const supersededAfter = "90d"

func (s *Store) policyName() string { return s.opts.Prefix + "-superseded" }

// putPolicy installs the policy that drops superseded indices, where the server
// has index lifecycle management.
func (s *Store) putPolicy(ctx context.Context, say func(en, zh string)) (bool, error) {
	err := s.c.call(ctx, http.MethodGet, "/_ilm/status", nil, nil)
	if errors.Is(err, ErrUnavailable) {
		return false, err
	}
	if err != nil {
		say("no index lifecycle management here, or no right to it: indices that a migration supersedes stay until somebody drops them",
			"此服务器没有索引生命周期管理，或无权使用：迁移后被替换的旧索引会一直保留，直到有人删除")
		return false, nil
	}
	body, err := json.Marshal(map[string]any{"policy": map[string]any{"_meta": map[string]any{"managed_by": "qingyuan"},
		"phases": map[string]any{"delete": map[string]any{"min_age": supersededAfter, "actions": map[string]any{"delete": map[string]any{}}}}}})
	if err != nil {
		return false, err
	}
	return true, s.c.call(ctx, http.MethodPut, "/_ilm/policy/"+s.policyName(), body, nil)
}

// Drop removes every index, alias and template under the prefix, and what they
// hold.
func Drop(ctx context.Context, opts Options) error {
	opts, err := opts.withDefaults()
	if err != nil {
		return err
	}
	c, err := newClient(opts.Server)
	if err != nil {
		return err
	}
	defer c.close()
	for _, a := range newNames(opts.Prefix).all() {
		var found map[string]json.RawMessage
		if err := c.call(ctx, http.MethodGet, "/"+a.read+"-v*/_mapping?filter_path=*.mappings._meta", nil, &found); err != nil {
			return fmt.Errorf("dropping the index: %w", err)
		}
		paths := []string{"/_index_template/" + a.read, "/_component_template/" + a.read + "-mappings"}
		for name := range found {
			paths = append(paths, "/"+name)
		}
		for _, p := range paths {
			if err := c.call(ctx, http.MethodDelete, p, nil, nil); err != nil && !is(err, http.StatusNotFound) {
				return fmt.Errorf("dropping the index: %w", err)
			}
		}
	}
	return nil
}
