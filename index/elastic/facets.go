package elastic

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"qingyuan/index"
)

// facetFields are the fields of the documents by facet.
var facetFields = map[string]string{index.FacetCategory: "qingyuan.category", index.FacetStance: "qingyuan.stance", index.FacetSeverity: "qingyuan.severity",
	index.FacetStatus: "qingyuan.triage.status", index.FacetSource: "qingyuan.source", index.FacetSourceType: "qingyuan.source_type",
	index.FacetKind: "qingyuan.kind", index.FacetEvasion: "qingyuan.evasion", index.FacetFlagged: "qingyuan.flagged", index.FacetDay: "qingyuan.day",
	index.FacetAssignee: "qingyuan.triage.assignee", index.FacetReason: "qingyuan.triage.reason", index.FacetEntityType: "qingyuan.entity_type",
	index.FacetTag: "qingyuan.triage.tags"}

// facetPage is how many values of a facet are asked for at once.
const facetPage = 10_000

// bucket is one value of an aggregation.
type bucket struct {
	Key   any    `json:"key"`
	Text  string `json:"key_as_string"`
	Count int    `json:"doc_count"`
}

func (b bucket) value() string {
	if b.Text != "" {
		return b.Text
	}
	text, _ := b.Key.(string)
	return text
}

// Facets implements index.Store.
func (s *Store) Facets(ctx context.Context, q index.Query, fields []string, limit int) (map[string][]index.FacetCount, error) {
	if s.closed.Load() {
		return nil, index.ErrClosed
	}
	for _, f := range fields {
		if !slices.Contains(index.Facets[:], f) {
			return nil, fmt.Errorf("%w: there is no facet %q; there are %s", index.ErrInvalid, f, strings.Join(index.Facets[:], ", "))
		}
	}
	if limit < 0 {
		return nil, fmt.Errorf("%w: facet limit %d is negative", index.ErrInvalid, limit)
	}
	_, query, err := s.compile(q.Text)
	if err != nil {
		return nil, err
	}
	out, err := s.countFacets(ctx, boolean("filter", query), fields, limit)
	return out, s.explain("counting facets", err)
}

func (s *Store) countFacets(ctx context.Context, query any, fields []string, limit int) (map[string][]index.FacetCount, error) {
	out := make(map[string][]index.FacetCount, len(fields))
	size := facetPage
	if limit > 0 {
		size = min(limit, facetPage)
	}
	aggs := map[string]any{}
	for _, f := range fields {
		// The shard size makes counts exact when there are several shards.
		aggs[f] = map[string]any{"terms": map[string]any{"field": facetFields[f], "size": size, "shard_size": max(size, 2000),
			"order": []any{map[string]string{"_count": "desc"}, map[string]string{"_key": "asc"}}}}
	}
	if len(aggs) == 0 {
		return out, nil
	}
	var answer struct {
		Aggregations map[string]struct {
			Others  int      `json:"sum_other_doc_count"`
			Buckets []bucket `json:"buckets"`
		} `json:"aggregations"`
	}
	if err := s.search(ctx, s.names.posts.read, searchBody{Query: query, Source: false, Aggs: aggs}, &answer); err != nil {
		return nil, err
	}
	for _, f := range fields {
		a := answer.Aggregations[f]
		list := make([]index.FacetCount, 0, len(a.Buckets))
		for _, b := range a.Buckets {
			list = append(list, index.FacetCount{Value: b.value(), Count: b.Count})
		}
		if a.Others > 0 && (limit == 0 || limit > facetPage) {
			var err error
			if list, err = s.everyValue(ctx, query, f); err != nil {
				return nil, err
			}
		}
		sortCounts(list)
		if limit > 0 && len(list) > limit {
			list = list[:limit]
		}
		out[f] = list
	}
	return out, nil
}

// everyValue counts a facet with more values than one answer holds.
func (s *Store) everyValue(ctx context.Context, query any, facet string) ([]index.FacetCount, error) {
	var list []index.FacetCount
	composite := map[string]any{"size": facetPage, "sources": []any{map[string]any{"value": map[string]any{"terms": map[string]any{"field": facetFields[facet]}}}}}
	for {
		var answer struct {
			Aggregations struct {
				All struct {
					After   map[string]any `json:"after_key"`
					Buckets []struct {
						Key   map[string]string `json:"key"`
						Count int               `json:"doc_count"`
					} `json:"buckets"`
				} `json:"all"`
			} `json:"aggregations"`
		}
		b := searchBody{Query: query, Source: false, Aggs: map[string]any{"all": map[string]any{"composite": composite}}}
		if err := s.search(ctx, s.names.posts.read, b, &answer); err != nil {
			return nil, err
		}
		all := answer.Aggregations.All
		for _, b := range all.Buckets {
			list = append(list, index.FacetCount{Value: b.Key["value"], Count: b.Count})
		}
		if len(all.Buckets) < facetPage || all.After == nil {
			return list, nil
		}
		composite["after"] = all.After
	}
}

func sortCounts(list []index.FacetCount) {
	slices.SortFunc(list, func(a, b index.FacetCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Value, b.Value)
	})
}
