package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/configs/kibana"
	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/post"
)

func postFields(t *testing.T) map[string]string {
	t.Helper()
	fields, err := elastic.PostFields()
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestKibanaObjectsFitTheMapping(t *testing.T) {
	fields := postFields(t)
	if err := checkKibana(kibana.Objects, fields); err != nil {
		t.Fatal(err)
	}
	text := string(kibana.Objects)
	for name, broken := range map[string]string{
		"a field that is not there":      strings.Replace(text, `"sourceField":"qingyuan.source"`, `"sourceField":"qingyuan.sauce"`, 1),
		"a text that cannot be counted":  strings.Replace(text, `"sourceField":"qingyuan.source"`, `"sourceField":"message"`, 1),
		"a field that is not searchable": strings.Replace(text, `"columns":["event.id"`, `"columns":["qingyuan.record"`, 1),
		"a query that nobody reads":      strings.Replace(text, `"query":"qingyuan.flagged : true"`, `"query":"qingyuan.flagged ; true"`, 1),
		"a query of another field":       strings.Replace(text, `"query":"qingyuan.flagged : true"`, `"query":"flagged : true"`, 1),
		"a reference to nothing":         strings.Replace(text, `"id":"qingyuan-lens-day","name"`, `"id":"qingyuan-lens-night","name"`, 1),
		"a panel without reference":      strings.Replace(text, `\"panelRefName\":\"panel_p0\"`, `\"panelRefName\":\"panel_p99\"`, 1),
		"panels over each other":         strings.Replace(text, `\"y\":14,`, `\"y\":13,`, 1),
		"a newer version":                strings.Replace(text, `"typeMigrationVersion":"8.9.0"`, `"typeMigrationVersion":"10.3.0"`, 1),
		"one line twice":                 text + text[:strings.IndexByte(text, '\n')+1],
		"no JSON":                        text[:100],
	} {
		if broken == text {
			t.Errorf("%s: nothing was broken", name)
		} else if err := checkKibana([]byte(broken), fields); err == nil {
			t.Errorf("%s was not seen", name)
		}
	}
}

// kueryDSL is a query of the objects as Elasticsearch reads it.
func kueryDSL(t *testing.T, q kuery) map[string]any {
	t.Helper()
	terms, err := readKuery(q.Query)
	if err != nil {
		t.Fatal(err)
	}
	filter := []any{}
	for _, term := range terms {
		if term.value == "*" {
			filter = append(filter, map[string]any{"exists": map[string]any{"field": term.field}})
			continue
		}
		filter = append(filter, map[string]any{"term": map[string]any{term.field: term.value}})
	}
	return map[string]any{"bool": map[string]any{"filter": filter}}
}

// layerAggs are the aggregations that a layer stands for.
func layerAggs(t *testing.T, l lensLayer) map[string]any {
	t.Helper()
	aggs := map[string]any{}
	at := aggs
	for _, id := range l.Order {
		c := l.Columns[id]
		switch c.Operation {
		case "terms", "date_histogram":
			body := map[string]any{"field": c.Field}
			if c.Operation == "terms" {
				body["size"] = c.Params.Size
			} else {
				body["calendar_interval"] = "day"
			}
			below := map[string]any{}
			at[id] = map[string]any{c.Operation: body, "aggs": below}
			at = below
		case "count":
			if c.Filter != nil {
				at[id] = map[string]any{"filter": kueryDSL(t, *c.Filter)}
			}
		case "unique_count":
			at[id] = map[string]any{"cardinality": map[string]any{"field": c.Field}}
		default:
			at[id] = map[string]any{c.Operation: map[string]any{"field": c.Field}}
		}
	}
	return aggs
}

// indexMix puts posts of the bench into the index of a config.
func indexMix(t *testing.T, file string) {
	t.Helper()
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	judge, err := openClassifier(c)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../testdata/bench/mix.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var recs []index.Record
	for i, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n"))[:400] {
		var p post.Post
		if err := json.Unmarshal(line, &p); err != nil {
			t.Fatal(err)
		}
		p.Source, p.Kind, p.URL = fmt.Sprintf("site-%d", i%7), "post", fmt.Sprintf("https://bbs.example/%d", i)
		p.PublishedAt = time.Date(2026, 11, 1+i%20, 9, 0, 0, 0, time.UTC)
		p.FetchedAt = p.PublishedAt.Add(time.Hour)
		v, err := judge.Classify(p)
		if err != nil {
			t.Fatal(err)
		}
		r := index.Record{Post: p, Verdict: v}
		if v.Flagged {
			r.Campaign.ID = fmt.Sprintf("c-%d", i%5)
		}
		recs = append(recs, r)
	}
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Search(t.Context(), index.Query{Text: "停息"}); err != nil { // shows what was written
		t.Fatal(err)
	}
}

// Every panel and every search is asked of the real server, over posts of which
// each panel has something to show.
func TestKibanaPanelsOnElasticsearch(t *testing.T) {
	address := os.Getenv("QINGYUAN_TEST_ELASTIC")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("QINGYUAN_TEST_ELASTIC is not set: run the tests through scripts/services")
		}
		t.Skip("QINGYUAN_TEST_ELASTIC is not set")
	}
	prefix := fmt.Sprintf("kibana-%d", os.Getpid())
	dir := t.TempDir()
	file := filepath.Join(dir, "q.yaml")
	config := fmt.Sprintf("data: %s\nindex: {backend: elastic, elastic: {urls: [%q], prefix: %s}}\n", filepath.Join(dir, "data"), address, prefix)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := elastic.Drop(t.Context(), elastic.Options{Server: elastic.Server{URLs: []string{address}}, Prefix: prefix}); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	if out, errs, code := cli(t, "setup", "-config", file); code != 0 {
		t.Fatal(out, errs)
	}
	indexMix(t, file)
	objects, err := readKibana(kibana.Objects)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	ask := func(o savedObject, body map[string]any) {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(address+"/"+prefix+"-posts/_search", "application/json", bytes.NewReader(raw)) //nolint:noctx // a test's own server
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s\n%s", o.ID, resp.StatusCode, answer, raw)
		}
		if o.Type == "lens" && !bytes.Contains(answer, []byte(`"b0":{`)) || bytes.Contains(answer, []byte(`"b0":{"doc_count_error_upper_bound":0,"sum_other_doc_count":0,"buckets":[]}`)) || bytes.Contains(answer, []byte(`"b0":{"buckets":[]}`)) {
			t.Errorf("%s has nothing to show: %s", o.ID, answer)
		}
		asked++
	}
	for _, o := range objects {
		switch o.Type {
		case "search":
			var source struct{ Query kuery }
			if err := json.Unmarshal([]byte(o.Attributes.Meta.SearchSource), &source); err != nil {
				t.Fatal(err)
			}
			sort := []any{}
			for _, s := range o.Attributes.Sort {
				sort = append(sort, map[string]any{s[0]: s[1]})
			}
			ask(o, map[string]any{"query": kueryDSL(t, source.Query), "fields": o.Attributes.Columns, "sort": sort})
		case "lens":
			for _, layer := range o.Attributes.State.Datasources.Form.Layers {
				ask(o, map[string]any{"size": 0, "query": kueryDSL(t, o.Attributes.State.Query), "aggs": layerAggs(t, layer)})
			}
		}
	}
	if asked < 18 {
		t.Errorf("%d panels and searches were asked", asked)
	}
}

// The import as Kibana's documentation describes it; a stub answers.
func TestImportIntoKibana(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("c2VjcmV0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		status int
		answer string
		n      int
		want   string // in the error
	}{
		{200, `{"success":true,"successCount":23,"successResults":[]}`, 23, ""},
		{200, `{"success":false,"successCount":22,"errors":[{"id":"x-lens-day","type":"lens","error":{"type":"missing_references","references":[{"type":"index-pattern","id":"gone"}]}}]}`, 22,
			"lens x-lens-day: missing_references index-pattern/gone"},
		{200, `{"success":false,"successCount":0}`, 0, "not why"},
		{401, `{"statusCode":401,"error":"Unauthorized","message":"missing authentication"}`, 0, "401"},
		{302, ``, 0, "302"},
		{200, `<html>login</html>`, 0, "not that of Kibana"},
	} {
		var got []byte
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.URL.String() != "/s/qing/api/saved_objects/_import?overwrite=true" || r.Header.Get("kbn-xsrf") == "" || r.Header.Get("Authorization") != "ApiKey c2VjcmV0" {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			f, header, err := r.FormFile("file")
			if err != nil || !strings.HasSuffix(header.Filename, ".ndjson") {
				t.Errorf("no file: %v", err)
				return
			}
			got, _ = io.ReadAll(f)
			if tt.status == http.StatusFound {
				w.Header().Set("Location", "/login")
			}
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.answer)
		}))
		c := defaultConfig()
		c.BaseURL, c.Index.Elastic.Prefix = "https://triage.agency.example", "watch"
		c.Kibana = kibanaConfig{URL: srv.URL + "/", Space: "qing", APIKeyFile: key}
		n, err := importKibana(t.Context(), c)
		srv.Close()
		if n != tt.n || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d %s: %d, %v", tt.status, tt.answer, n, err)
		}
		if !bytes.Contains(got, []byte(`"title":"watch-posts"`)) || !bytes.Contains(got, []byte("https://triage.agency.example/post/{{value}}")) || bytes.Contains(got, []byte("triage.example")) {
			t.Error("prefix or address were not put in")
		}
		if err := checkKibana(got, postFields(t)); err != nil {
			t.Error(err)
		}
	}
}
