package elastic

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// migrate copies an index to one of this program's schema and lets the aliases
// name that one: everything first, while both the crawl and the analysts go on;
// then, with the old index closed for writing, what changed meanwhile. Records
// that come in the second part wait in the spools, decisions are refused for
// that moment. Each document keeps its version, so that a copy never goes back
// behind a newer one, and a run that ended goes on.
func (s *Store) migrate(ctx context.Context, a alias, from string, policy bool, say func(en, zh string)) error {
	to := a.at(SchemaVersion)
	if to == from {
		return fmt.Errorf("%w: %s is in the way: its schema is not that of its name; move it with the _clone API first", ErrNotSetUp, from)
	}
	if err := s.createIndex(ctx, a, to, map[string]any{"copy_of": from}); err != nil {
		return err
	}
	if _, m, err := liveIndex(ctx, s.c, to); err != nil || m.CopyOf != from {
		return fmt.Errorf("%w: %s exists and is no copy of %s; drop or rename it (%v)", ErrNotSetUp, to, from, err)
	}
	n, err := s.copyAll(ctx, a, from, to)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("index %s: %d documents copied to %s", from, n, to), fmt.Sprintf("索引 %s：已复制 %d 个文档到 %s", from, n, to))
	if err := s.block(ctx, from, true); err != nil {
		return err
	}
	late, err := s.copyAll(ctx, a, from, to)
	if err != nil {
		return fmt.Errorf("%w; %s stays closed for writing: run qingyuan setup again", err, from)
	}
	if err := s.sameCount(ctx, from, to); err != nil {
		return err
	}
	if err := s.pointAliases(ctx, a, to, from); err != nil {
		return err
	}
	say(fmt.Sprintf("index %s: %d changes copied after it; %s takes its place, the old one stays read-only", from, late, to),
		fmt.Sprintf("索引 %s：又补复制 %d 处变更；%s 已取代它，旧索引只读保留", from, late, to))
	if !policy {
		return nil
	}
	body, err := json.Marshal(map[string]any{"index.lifecycle.name": s.policyName()})
	if err != nil {
		return err
	}
	return s.c.call(ctx, http.MethodPut, "/"+from+"/_settings", body, nil)
}

// block closes an index for writing, or opens it again.
func (s *Store) block(ctx context.Context, index string, on bool) error {
	body := fmt.Appendf(nil, `{"index.blocks.write":%t}`, on)
	return s.c.call(ctx, http.MethodPut, "/"+index+"/_settings", body, nil)
}

// copyAll copies what the other index has not or has older, and returns how
// many documents that were.
func (s *Store) copyAll(ctx context.Context, a alias, from, to string) (int, error) {
	var pit struct {
		ID string `json:"id"`
	}
	if err := s.c.call(ctx, http.MethodPost, "/"+from+"/_refresh", nil, nil); err != nil {
		return 0, err
	}
	if err := s.c.call(ctx, http.MethodPost, "/"+from+"/_pit?keep_alive=10m", nil, &pit); err != nil {
		return 0, err
	}
	defer func() {
		body, err := json.Marshal(pit)
		if err == nil {
			err = s.c.call(context.WithoutCancel(ctx), http.MethodDelete, "/_pit", body, nil)
		}
		if err != nil {
			s.opts.Logger.Debug("a point in time stays open until it ends by itself", "error", err)
		}
	}()
	copied := 0
	var after []json.RawMessage
	for {
		page, err := s.copyPage(ctx, pit.ID, after)
		if err != nil || len(page) == 0 {
			return copied, err
		}
		after = page[len(page)-1].Sort
		n, err := s.copyDocs(ctx, a, page, to)
		if err != nil {
			return copied, err
		}
		copied += n
	}
}

// rawHit is a document as it stands, with its version.
type rawHit struct {
	ID      string            `json:"_id"`
	Version int64             `json:"_version"`
	Sort    []json.RawMessage `json:"sort"`
	Source  json.RawMessage   `json:"_source"`
}

func (s *Store) copyPage(ctx context.Context, pit string, after []json.RawMessage) ([]rawHit, error) {
	search := map[string]any{"size": 500, "version": true, "pit": map[string]string{"id": pit, "keep_alive": "10m"}, "sort": []string{"_shard_doc"}, "track_total_hits": false}
	if after != nil {
		search["search_after"] = after
	}
	body, err := json.Marshal(search)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Hits struct {
			Hits []rawHit `json:"hits"`
		} `json:"hits"`
	}
	err = s.c.call(ctx, http.MethodPost, "/_search?allow_partial_search_results=false", body, &answer)
	return answer.Hits.Hits, err
}

// copyDocs writes documents that the other index has not or has older.
func (s *Store) copyDocs(ctx context.Context, a alias, page []rawHit, to string) (int, error) {
	var ops []op
	for _, h := range page {
		body, err := s.convert(a, h)
		if err != nil {
			return 0, fmt.Errorf("document %s: %w", h.ID, err)
		}
		ops = append(ops, op{action: "index", index: to, exact: true, id: h.ID, version: h.Version, body: body})
	}
	results, err := s.bulk(ctx, ops)
	if err != nil {
		return 0, err
	}
	copied := 0
	for i, o := range results {
		switch {
		case o.ok():
			copied++
		case o.status != http.StatusConflict: // which is: it is there
			return copied, fmt.Errorf("document %s does not fit the new schema: %s: %s", ops[i].id, o.kind, o.reason)
		}
	}
	return copied, nil
}

// convert makes a document of this program's schema from an older one. Posts
// are made anew from their record, so that every field is as this version
// derives it; what belongs to triage is taken over as it is.
func (s *Store) convert(a alias, h rawHit) ([]byte, error) {
	if a.kind != s.names.posts.kind {
		return h.Source, nil
	}
	d := stored{ID: h.ID}
	if err := json.Unmarshal(h.Source, &d.Source); err != nil {
		return nil, err
	}
	r, st, err := d.record()
	if err != nil {
		return nil, err
	}
	doc, err := s.document(r, st)
	if err != nil {
		return nil, err
	}
	doc.Qingyuan.Triage = newTriageDoc(r.Triage)
	body, err := json.Marshal(doc)
	if err != nil || d.Source.Qingyuan.Outbox == nil {
		return body, err
	}
	var whole map[string]any
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, err
	}
	if section, ok := whole["qingyuan"].(map[string]any); ok {
		section["outbox"], section["outbox_at"] = d.Source.Qingyuan.Outbox, date(r.Triage.UpdatedAt)
	}
	return json.Marshal(whole)
}

// sameCount makes sure that no document was left behind.
func (s *Store) sameCount(ctx context.Context, from, to string) error {
	var counts [2]struct {
		Count int `json:"count"`
	}
	if err := s.c.call(ctx, http.MethodPost, "/"+to+"/_refresh", nil, nil); err != nil {
		return err
	}
	for i, name := range [...]string{from, to} {
		if err := s.c.call(ctx, http.MethodGet, "/"+name+"/_count", nil, &counts[i]); err != nil {
			return err
		}
	}
	if counts[0].Count != counts[1].Count {
		return fmt.Errorf("%s has %d documents and its copy %s %d; nothing was switched, run qingyuan setup again", from, counts[0].Count, to, counts[1].Count)
	}
	return nil
}
