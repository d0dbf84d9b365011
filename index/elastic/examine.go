package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// AliasState is how one of the aliases and what is behind it are.
type AliasState struct {
	Name  string // of the alias
	Index string // behind it; "" when there is none
	Docs  int64  // -1 when that may not be asked
	Err   error  // nil; ErrNotSetUp, ErrNewer, ErrRefused …
}

// Examination is what Examine finds.
type Examination struct {
	Versions []string      // of the nodes, each once; none when the key may not ask
	License  string        // such as "basic"; "" when there is none or it may not be asked
	Health   string        // green, yellow or red; "" when it may not be asked
	Nodes    int           // that hold data
	Ahead    time.Duration // the server's clock before ours; 0 when it may not be asked
	Disk     float64       // part of the fullest node's disk that is in use, 0..1; 0 when it may not be asked
	Missing  []string      // rights that the crawl and the pages need and this key or user lacks
	Secured  bool          // the server asks who we are
	Aliases  []AliasState
}

// Examine asks the server how it is and what we may do there, and changes
// nothing. The error is for a server that cannot be asked at all.
func Examine(ctx context.Context, opts Options) (Examination, error) {
	var e Examination
	opts, err := opts.withDefaults()
	if err != nil {
		return e, err
	}
	c, err := newClient(opts.Server)
	if err != nil {
		return e, err
	}
	defer c.close()
	// Not GET /: a server without the main module answers it with 405.
	var health struct {
		Status string `json:"status"`
		Nodes  int    `json:"number_of_data_nodes"`
	}
	err = c.call(ctx, http.MethodGet, "/_cluster/health", nil, &health)
	if err != nil && !is(err, http.StatusForbidden) {
		return e, fmt.Errorf("asking the index server at %s: %w", c.where, err)
	}
	e.Health, e.Nodes = health.Status, health.Nodes
	e.nodes(ctx, c)
	e.license(ctx, c)
	e.rights(ctx, c, opts.Prefix)
	for _, a := range newNames(opts.Prefix).all() {
		e.Aliases = append(e.Aliases, examineAlias(ctx, c, a))
	}
	return e, nil
}

// nodes asks for what needs the right to monitor the cluster.
func (e *Examination) nodes(ctx context.Context, c *client) {
	var info struct {
		Nodes map[string]struct {
			Version string `json:"version"`
		} `json:"nodes"`
	}
	if c.call(ctx, http.MethodGet, "/_nodes?filter_path=nodes.*.version", nil, &info) == nil {
		for _, n := range info.Nodes {
			if !slices.Contains(e.Versions, n.Version) {
				e.Versions = append(e.Versions, n.Version)
			}
		}
		slices.Sort(e.Versions)
	}
	var stats struct {
		Nodes map[string]struct {
			FS struct {
				Total struct {
					Total int64 `json:"total_in_bytes"`
					Free  int64 `json:"available_in_bytes"`
				} `json:"total"`
			} `json:"fs"`
			Timestamp int64 `json:"timestamp"`
		} `json:"nodes"`
	}
	sent := time.Now()
	if c.call(ctx, http.MethodGet, "/_nodes/stats/fs?filter_path=nodes.*.timestamp,nodes.*.fs.total", nil, &stats) != nil {
		return
	}
	middle := sent.Add(time.Since(sent) / 2)
	for _, n := range stats.Nodes {
		if ahead := time.UnixMilli(n.Timestamp).Sub(middle); n.Timestamp > 0 && ahead.Abs() > e.Ahead.Abs() {
			e.Ahead = ahead
		}
		if t := n.FS.Total; t.Total > 0 {
			e.Disk = max(e.Disk, 1-float64(t.Free)/float64(t.Total))
		}
	}
}

func (e *Examination) license(ctx context.Context, c *client) {
	var answer struct {
		License struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"license"`
	}
	if c.call(ctx, http.MethodGet, "/_license", nil, &answer) != nil {
		return
	}
	if e.License = answer.License.Type; answer.License.Status != "active" && e.License != "" {
		e.License += " (" + answer.License.Status + ")"
	}
}

// rights asks which of the rights that docs/elasticsearch.md names are missing.
func (e *Examination) rights(ctx context.Context, c *client, prefix string) {
	audit := prefix + "-audit*"
	wanted := []map[string]any{{"names": []string{audit}, "privileges": []string{"read", "create_doc", "view_index_metadata", "maintenance"}}}
	for _, part := range []string{"posts", "revisions", "state"} {
		wanted = append(wanted, map[string]any{"names": []string{prefix + "-" + part + "*"}, "privileges": []string{"read", "write", "view_index_metadata", "maintenance"}})
	}
	body, err := json.Marshal(map[string]any{"cluster": []string{"monitor"}, "index": wanted})
	if err != nil {
		return
	}
	var answer struct {
		All     bool                       `json:"has_all_requested"`
		Cluster map[string]bool            `json:"cluster"`
		Index   map[string]map[string]bool `json:"index"`
	}
	if c.call(ctx, http.MethodPost, "/_security/user/_has_privileges", body, &answer) != nil {
		return // security is off, or too old: what follows shows what is refused
	}
	e.Secured = true
	for right, has := range answer.Cluster {
		if !has {
			e.Missing = append(e.Missing, "cluster:"+right)
		}
	}
	for name, rights := range answer.Index {
		for right, has := range rights {
			if !has {
				e.Missing = append(e.Missing, name+":"+right)
			}
		}
	}
	slices.Sort(e.Missing)
}

func examineAlias(ctx context.Context, c *client, a alias) AliasState {
	s := AliasState{Name: a.read, Docs: -1}
	index, m, err := liveIndex(ctx, c, a.write)
	if err == nil {
		s.Index = index
		err = compareVersion("index "+index, m.SchemaVersion)
	}
	if err == nil {
		var read string
		if read, _, err = liveIndex(ctx, c, a.read); err == nil && read != index {
			err = fmt.Errorf("%w: %s is read from %s and written to %s", ErrNotSetUp, a.read, read, index)
		}
	}
	if err == nil {
		err = checkTemplate(ctx, c, a)
	}
	if s.Err = err; err != nil && !errors.Is(err, ErrNewer) {
		return s
	}
	var count struct {
		Count json.Number `json:"count"`
	}
	if c.call(ctx, http.MethodPost, "/"+a.read+"/_count", nil, &count) == nil {
		if n, err := strconv.ParseInt(count.Count.String(), 10, 64); err == nil {
			s.Docs = n
		}
	}
	return s
}
