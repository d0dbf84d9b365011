package elastic

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"qingyuan/index"
	"qingyuan/post"
)

// maxWindow is how far Elasticsearch counts into results at once; see the
// settings in schema/posts.json.
const maxWindow = 10_000

// get reads one document at once; nil when there is none.
func (s *Store) get(ctx context.Context, id string) (*stored, error) {
	var d stored
	err := s.c.call(ctx, http.MethodGet, "/"+s.names.posts.write+"/_doc/"+url.PathEscape(docID(id))+"?_source_includes="+storedFields, nil, &d)
	if is(err, http.StatusNotFound) && !isMissingIndex(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Get implements index.Store.
func (s *Store) Get(ctx context.Context, id string) (index.Record, error) {
	if s.closed.Load() {
		return index.Record{}, index.ErrClosed
	}
	d, err := s.get(ctx, id)
	if err != nil {
		return index.Record{}, s.explain("getting a record", err)
	}
	if d == nil {
		return index.Record{}, index.ErrNotFound
	}
	r, _, err := d.record()
	if err == nil {
		err = s.campaignSizes(ctx, false, &r)
	}
	return r, s.explain("getting a record", err)
}

// campaignSizes counts the campaigns of records.
func (s *Store) campaignSizes(ctx context.Context, stale bool, recs ...*index.Record) error {
	var ids []string
	for _, r := range recs {
		if r.Campaign.Size = 0; r.Campaign.ID != "" {
			ids = append(ids, cut(r.Campaign.ID))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	field := valueFields["campaign"]
	var answer struct {
		Aggregations struct {
			Sizes struct {
				Buckets []struct {
					Key   string `json:"key"`
					Count int    `json:"doc_count"`
				} `json:"buckets"`
			} `json:"sizes"`
		} `json:"aggregations"`
	}
	b := searchBody{Query: map[string]any{"terms": map[string]any{field: ids}}, Source: false, stale: stale,
		Aggs: map[string]any{"sizes": map[string]any{"terms": map[string]any{"field": field, "include": ids, "size": len(ids)}}}}
	if err := s.search(ctx, s.names.posts.read, b, &answer); err != nil {
		return fmt.Errorf("counting campaigns: %w", err)
	}
	sizes := map[string]int{}
	for _, k := range answer.Aggregations.Sizes.Buckets {
		sizes[k.Key] = k.Count
	}
	for _, r := range recs {
		r.Campaign.Size = sizes[cut(r.Campaign.ID)]
	}
	return nil
}

// Revisions implements index.Store.
func (s *Store) Revisions(ctx context.Context, id string) ([]index.Revision, error) {
	if s.closed.Load() {
		return nil, index.ErrClosed
	}
	d, err := s.get(ctx, id)
	if err != nil || d == nil {
		return nil, s.explain("reading revisions", err)
	}
	_, st, err := d.record()
	if err != nil || len(st.Kept) == 0 {
		return nil, s.explain("reading revisions", err)
	}
	slices.SortFunc(st.Kept, func(a, b keptRevision) int {
		if a.At != b.At {
			return int(max(-1, min(1, b.At-a.At)))
		}
		return strings.Compare(a.Hash, b.Hash)
	})
	ids := make([]string, len(st.Kept))
	for i, k := range st.Kept {
		ids[i] = k.id(id)
	}
	out, err := s.contents(ctx, ids)
	return out, s.explain("reading revisions", err)
}

// contents reads revisions by id.
func (s *Store) contents(ctx context.Context, ids []string) ([]index.Revision, error) {
	body, err := json.Marshal(map[string]any{"ids": ids})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Docs []struct {
			Found  bool `json:"found"`
			Source struct {
				Message  string `json:"message"`
				Qingyuan struct {
					Title    string `json:"title"`
					Revision string `json:"revision"`
				} `json:"qingyuan"`
			} `json:"_source"`
		} `json:"docs"`
	}
	if err := s.c.call(ctx, http.MethodPost, "/"+s.names.revisions.write+"/_mget", body, &answer); err != nil {
		return nil, err
	}
	var out []index.Revision
	for i, d := range answer.Docs {
		if !d.Found {
			return nil, fmt.Errorf("the content of revision %s is missing", ids[i])
		}
		var r index.Revision
		if err := json.Unmarshal([]byte(d.Source.Qingyuan.Revision), &r); err != nil {
			return nil, fmt.Errorf("revision %s is damaged: %w", ids[i], err)
		}
		r.Title, r.Text = d.Source.Qingyuan.Title, d.Source.Message
		out = append(out, r)
	}
	return out, nil
}

// searchBody is a request for hits.
type searchBody struct {
	Query  any   `json:"query"`
	Size   int   `json:"size"`
	From   int   `json:"from,omitempty"`
	Sort   []any `json:"sort,omitempty"`
	After  []any `json:"search_after,omitempty"`
	Source any   `json:"_source"`
	Total  bool  `json:"track_total_hits"`
	Aggs   any   `json:"aggs,omitempty"`
	SeqNo  bool  `json:"seq_no_primary_term,omitempty"`

	stale bool // this store's own newest writes may be missing
}

// hit is one hit as the server writes it.
type hit struct {
	stored
	Sort []json.RawMessage `json:"sort"`
}

// sortValues are what search_after takes.
func (h hit) sortValues() []any {
	out := make([]any, len(h.Sort))
	for i, v := range h.Sort {
		out[i] = v
	}
	return out
}

type hits struct {
	Total struct {
		Value int `json:"value"`
	} `json:"total"`
	Hits []hit `json:"hits"`
}

// searchPage asks for hits among the posts; this store's own writes are among them.
func (s *Store) searchPage(ctx context.Context, b searchBody) (hits, error) {
	var answer struct {
		Hits hits `json:"hits"`
	}
	err := s.search(ctx, s.names.posts.read, b, &answer)
	return answer.Hits, err
}

func (s *Store) search(ctx context.Context, in string, b searchBody, out any) error {
	if !b.stale {
		if err := s.refresh(ctx); err != nil {
			return err
		}
	}
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.c.call(ctx, http.MethodPost, "/"+in+"/_search?allow_partial_search_results=false", body, out)
}

// sortFields by order.
var sortFields = map[index.Sort]string{index.SortScore: "qingyuan.score", index.SortIngested: "qingyuan.micros.ingested",
	index.SortPublished: "qingyuan.micros.published", index.SortFirstSeen: "qingyuan.micros.first_seen"}

// Search implements index.Store.
func (s *Store) Search(ctx context.Context, q index.Query) (index.Page, error) {
	if s.closed.Load() {
		return index.Page{}, index.ErrClosed
	}
	q, err := q.WithDefaults()
	if err != nil {
		return index.Page{}, err
	}
	expr, query, err := s.compile(q.Text)
	if err != nil {
		return index.Page{}, err
	}
	b := searchBody{Query: boolean("filter", query), Size: q.Limit + 1, From: q.Offset, Total: !q.NoTotal, Source: strings.Split(storedFields, ","), stale: q.Stale,
		Sort: []any{map[string]string{sortFields[q.Sort]: "desc"}, map[string]string{"event.id": "asc"}}}
	if q.After != "" {
		key, id, err := readCursor(q.After, q.Sort)
		if err != nil {
			return index.Page{}, err
		}
		b.After = []any{key, id}
	}
	found, err := s.window(ctx, b)
	if err != nil {
		return index.Page{}, s.explain("searching", err)
	}
	page := index.Page{Hits: []index.Hit{}, Total: -1}
	if !q.NoTotal {
		page.Total = found.Total.Value
	}
	for i, h := range found.Hits {
		if i == q.Limit {
			if page.Next, err = writeCursor(found.Hits[i-1].Sort, q.Sort); err != nil {
				return index.Page{}, s.explain("searching", err)
			}
			break
		}
		r, _, err := h.record()
		if err != nil {
			return index.Page{}, s.explain("searching", err)
		}
		if q.OnlyIDs {
			page.Hits = append(page.Hits, index.Hit{Record: index.Record{Post: post.Post{ID: r.Post.ID}}})
			continue
		}
		page.Hits = append(page.Hits, index.Hit{Record: r, Snippet: index.Snippet(r.Post.Title, r.Post.Text, expr)})
	}
	if q.OnlyIDs {
		return page, nil
	}
	recs := make([]*index.Record, len(page.Hits))
	for i := range page.Hits {
		recs[i] = &page.Hits[i].Record
	}
	if err := s.campaignSizes(ctx, q.Stale, recs...); err != nil {
		return index.Page{}, s.explain("searching", err)
	}
	return page, nil
}

// window is searchPage for any offset: what lies behind the server's window is
// reached step by step.
func (s *Store) window(ctx context.Context, b searchBody) (hits, error) {
	if b.From+b.Size <= maxWindow {
		return s.searchPage(ctx, b)
	}
	total, skip := hits{}, b.From
	for step := b; skip > 0; {
		step.From, step.Size, step.Source, step.After = 0, min(skip, maxWindow), false, b.After
		found, err := s.searchPage(ctx, step)
		if err != nil {
			return hits{}, err
		}
		if step.Total {
			total.Total, step.Total = found.Total, false
		}
		if len(found.Hits) < step.Size {
			return total, nil
		}
		skip -= step.Size
		b.After = found.Hits[len(found.Hits)-1].sortValues()
	}
	b.From, b.Total = 0, false
	found, err := s.searchPage(ctx, b)
	found.Total = total.Total
	return found, err
}

// writeCursor packs where a page ended: the order, the value sorted by, the id.
func writeCursor(sort []json.RawMessage, by index.Sort) (string, error) {
	var id string
	if len(sort) != 2 {
		return "", fmt.Errorf("%w: it returned %d sort values, not 2", ErrUnavailable, len(sort))
	}
	if err := json.Unmarshal(sort[1], &id); err != nil {
		return "", err
	}
	key := string(sort[0])
	if by == index.SortScore {
		f, err := strconv.ParseFloat(key, 64)
		if err != nil {
			return "", err
		}
		key = strconv.FormatUint(math.Float64bits(f), 16)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(string(by) + "\n" + key + "\n" + id)), nil
}

// readCursor undoes writeCursor and refuses what it did not write.
func readCursor(cursor string, sort index.Sort) (key any, id string, err error) {
	refuse := fmt.Errorf("%w: the page cursor does not belong to this search; start again from the first page", index.ErrInvalid)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, "", refuse
	}
	parts := strings.SplitN(string(raw), "\n", 3)
	if len(parts) != 3 || parts[0] != string(sort) {
		return nil, "", refuse
	}
	if sort == index.SortScore {
		bits, err := strconv.ParseUint(parts[1], 16, 64)
		if f := math.Float64frombits(bits); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, parts[2], nil
		}
		return nil, "", refuse
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil, "", refuse
	}
	return n, parts[2], nil
}

// unique returns the values without twins, in order.
func unique(values []string) []string {
	seen := make(map[string]bool, len(values))
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool {
		if seen[v] {
			return true
		}
		seen[v] = true
		return false
	})
}
