package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"qingyuan/index"
	"qingyuan/post"
)

// described reads the description of the API as it is served.
func described(t *testing.T) (libopenapi.Document, *v3.Document) {
	t.Helper()
	w := ask(newServer(t, openStore(t), nil), "GET", "/api/openapi.json", nil)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		t.Fatalf("the description: %d %s", w.Code, w.Header())
	}
	doc, err := libopenapi.NewDocument(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	return doc, &model.Model
}

func explainFaults(faults []*errors.ValidationError) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "\n  %s: %s", f.Message, f.Reason)
		for _, s := range f.SchemaValidationErrors {
			fmt.Fprintf(&b, "\n    %s at %s", s.Reason, s.FieldPath)
		}
	}
	return b.String()
}

func TestTheDescriptionIsOpenAPI(t *testing.T) {
	doc, model := described(t)
	if !strings.HasPrefix(model.Version, "3.1") {
		t.Errorf("the version is %s", model.Version)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		t.Error(explainFaults(faults))
	}
	enum := func(name string) []string {
		var out []string
		for _, n := range model.Components.Schemas.GetOrZero(name).Schema().Enum {
			out = append(out, n.Value)
		}
		return out
	}
	statuses := strings.Split(statusList(), ", ")
	for name, want := range map[string][]string{"Status": statuses, "Reason": dismissReasons[:]} {
		if diff := cmp.Diff(want, enum(name)); diff != "" {
			t.Errorf("%s (-code +description):\n%s", name, diff)
		}
	}
	for _, sort := range enum("Sort") {
		if !index.Sort(sort).Valid() {
			t.Errorf("there is no order %s", sort)
		}
	}
}

// registered lists the API's routes from the package's source.
func registered(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	route := regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE) /api/`)
	var out []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && route.MatchString(s) {
					out = append(out, s)
				}
			}
			return true
		})
	}
	slices.Sort(out)
	return out
}

func operations(model *v3.Document) []string {
	var out []string
	for path, item := range model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			out = append(out, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryRouteIsDescribedAndEveryDescriptionIsARoute(t *testing.T) {
	_, model := described(t)
	code, doc := registered(t), operations(model)
	if len(code) < 10 {
		t.Fatalf("only the routes %q were found in the source", code)
	}
	if diff := cmp.Diff(code, doc); diff != "" {
		t.Errorf("mend openapi.yaml (-registered +described):\n%s", diff)
	}
	server := newServer(t, openStore(t), withStatus(statusOf(), nil))
	for _, op := range doc {
		method, path, _ := strings.Cut(op, " ")
		r := httptest.NewRequest(method, strings.ReplaceAll(path, "{id}", "1"), nil)
		if _, pattern := server.mux.Handler(r); pattern != op {
			t.Errorf("%s is answered by %q", op, pattern)
		}
	}
}

func TestExamplesFitTheirSchemas(t *testing.T) {
	_, model := described(t)
	v := schema_validation.NewSchemaValidator(config.WithFormatAssertions())
	n := 0
	check := func(where string, schema *base.SchemaProxy, example interface{ Decode(any) error }) {
		n++
		var value any
		if err := example.Decode(&value); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if ok, faults := v.ValidateSchemaBytesWithVersion(schema.Schema(), data, 3.1); !ok {
			t.Errorf("%s: %s%s", where, data, explainFaults(faults))
		}
	}
	media := func(where string, m *v3.MediaType) {
		if m.Example != nil {
			check(where, m.Schema, m.Example)
		}
		for name, e := range m.Examples.FromOldest() {
			check(where+" "+name, m.Schema, e.Value)
		}
	}
	for path, item := range model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			if op.RequestBody != nil {
				for _, m := range op.RequestBody.Content.FromOldest() {
					media(method+" "+path, m)
				}
			}
			for status, resp := range op.Responses.Codes.FromOldest() {
				for _, m := range resp.Content.FromOldest() {
					media(method+" "+path+" "+status, m)
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d examples were found", n)
	}
}

// strictAPI asks the API and compares question and answer with the description.
type strictAPI struct {
	server    http.Handler
	validator validator.Validator
	answered  map[string]bool // operations that answered with 2xx
}

func newStrictAPI(t *testing.T, server http.Handler) *strictAPI {
	t.Helper()
	doc, _ := described(t)
	v, errs := validator.NewValidator(doc, config.WithStrictMode(), config.WithFormatAssertions(), config.WithStrictIgnorePaths(
		"$.headers.*", "$.cookies.*", "$.body.facets.*", // facets are named by the question
		"$.body.total.*", "$.body.last_digest.*", // the status page's own, from here
		"$.body.sites[*].**", "$.body.hosts[*].**", "$.body.alarms[*].**", "$.body.dead[*].**", "$.body.storage[*].**", "$.body.answers[*].**",
		"$.body.info.**", "$.body.paths", "$.body.components", "$.body.servers", "$.body.security", "$.body.tags", "$.body.openapi.**"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return &strictAPI{server: server, validator: v, answered: map[string]bool{}}
}

// ask sends a request as a program does; good says that the request itself is
// as described.
func (a *strictAPI) ask(t *testing.T, op, path, body string, want int, good bool) []byte {
	t.Helper()
	method, _, _ := strings.Cut(op, " ")
	request := func() *http.Request {
		r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer qingyuan_TEST")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		return r
	}
	w := httptest.NewRecorder()
	a.server.ServeHTTP(w, request())
	if w.Code != want {
		t.Fatalf("%s %s: %d, want %d: %s", op, path, w.Code, want, w.Body)
	}
	if good {
		if ok, faults := a.validator.ValidateHttpRequest(request()); !ok {
			t.Errorf("%s: the request is not as described:%s", op, explainFaults(faults))
		}
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if ok, faults := a.validator.ValidateHttpResponse(request(), w.Result()); !ok {
			t.Errorf("%s: the answer %d is not as described:%s\n%s", op, w.Code, explainFaults(faults), w.Body.Bytes()[:min(w.Body.Len(), 500)])
		}
	}
	if w.Code < 300 {
		a.answered[op] = true
	}
	return w.Body.Bytes()
}

func openSearches(t *testing.T) *Searches {
	t.Helper()
	s, err := OpenSearches(t.Context(), filepath.Join(t.TempDir(), "searches.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestAnswersAreAsDescribed(t *testing.T) {
	store := seeded(t)
	put(t, store, hostileRecord(0), hostileRecord(23))
	server := newServer(t, store, func(o *Options) {
		withStatus(statusOf(), nil)(o)
		o.Searches = openSearches(t)
		o.Original = func(context.Context, post.Archive) (Original, error) {
			return Original{Text: "页面", Raw: []byte("页面")}, nil
		}
		o.Subscriptions = &Subscriptions{List: func(context.Context) ([]Subscription, error) {
			return []Subscription{{Name: "湖区", Next: clock, Channels: []SubscriptionChannel{{Name: "mail", State: "sent", At: clock, Error: "x"}}}}, nil
		}}
	})
	a := newStrictAPI(t, server)
	recs := seedRecords(t)
	id, other := recs[3].Post.ID, recs[0].Post.ID
	for _, c := range []struct {
		op, path, body string
		want           int
		good           bool
	}{
		{"GET /api/openapi.json", "/api/openapi.json", "", 200, true},
		{"GET /api/records", "/api/records", "", 200, true},
		{"GET /api/records", "/api/records?q=%E9%80%80%E4%BF%9D&sort=published_at&limit=2", "", 200, true},
		{"GET /api/records", "/api/records?q=scroe:1", "", 400, true},
		{"GET /api/records", "/api/records?limit=0", "", 400, false},
		{"GET /api/records", "/api/records?after=rubbish", "", 400, true},
		{"GET /api/records/{id}", "/api/records/" + other, "", 200, true},
		{"GET /api/records/{id}", "/api/records/" + hostileRecord(0).Post.ID, "", 200, true},
		{"GET /api/records/{id}", "/api/records/none", "", 404, true},
		{"GET /api/records/{id}/audit", "/api/records/" + other + "/audit?limit=1", "", 200, true},
		{"GET /api/records/{id}/audit", "/api/records/none/audit", "", 404, true},
		{"GET /api/records/{id}/original", "/api/records/" + id + "/original?download=1", "", 200, true},
		{"GET /api/facets", "/api/facets?fields=status,category&limit=1", "", 200, true},
		{"GET /api/facets", "/api/facets", "", 200, true},
		{"GET /api/facets", "/api/facets?fields=up", "", 400, true},
		{"GET /api/campaigns/{id}", "/api/campaigns/cmp-shangan?limit=2", "", 200, true},
		{"GET /api/campaigns/{id}", "/api/campaigns/none", "", 404, true},
		{"POST /api/records/{id}/triage", "/api/records/" + id + "/triage", `{"version":0,"status":"confirmed","add_tags":["团伙A"],"comment":"并案"}`, 200, true},
		{"POST /api/records/{id}/triage", "/api/records/" + id + "/triage", `{"version":0,"status":"new"}`, 409, true},
		{"POST /api/records/{id}/triage", "/api/records/" + id + "/triage", `{"status":"new"}`, 400, false},
		{"POST /api/records/{id}/triage", "/api/records/" + id + "/triage", `{"version":1,"status":"dismissed"}`, 422, true},
		{"POST /api/records/{id}/triage", "/api/records/" + id + "/triage", ``, 415, false},
		{"POST /api/bulk", "/api/bulk", `{"items":[{"id":"` + id + `","version":1},{"id":"` + other + `","version":0},{"id":"none","version":0}],"status":"reviewing"}`, 200, true},
		{"POST /api/bulk", "/api/bulk", `{"items":[],"status":"reviewing"}`, 422, false},
		{"POST /api/undo", "/api/undo", `{}`, 200, true},
		{"POST /api/undo", "/api/undo", `{"request_id":"bulk:none"}`, 404, true},
		{"POST /api/records/{id}/reveal", "/api/records/" + id + "/reveal", `{"reason":"case"}`, 200, true},
		{"POST /api/records/{id}/reveal", "/api/records/" + id + "/reveal", `{"reason":"other"}`, 422, true},
		{"GET /api/audit", "/api/audit?limit=3&actor=mei", "", 200, true},
		{"GET /api/audit/verification", "/api/audit/verification", "", 200, true},
		{"GET /api/export", "/api/export?q=%E9%80%80%E4%BF%9D", "", 200, true},
		{"GET /api/export", "/api/export?format=csv", "", 200, true},
		{"GET /api/export", "/api/export?format=xlsx&q=flagged:true", "", 200, true},
		{"GET /api/export", "/api/export?format=pdf", "", 400, false},
		{"GET /api/export", "/api/export?q=(", "", 400, true},
		{"POST /api/searches", "/api/searches", `{"name":"退保","query":"退保 flagged:true"}`, 201, true},
		{"POST /api/searches", "/api/searches", `{"name":"退保","query":"退保"}`, 409, true},
		{"POST /api/searches", "/api/searches", `{"name":"坏","query":"("}`, 400, true},
		{"GET /api/searches", "/api/searches", "", 200, true},
		{"DELETE /api/searches/{id}", "/api/searches/1", "", 204, true},
		{"DELETE /api/searches/{id}", "/api/searches/1", "", 404, true},
		{"GET /api/subscriptions", "/api/subscriptions", "", 200, true},
		{"GET /api/status", "/api/status", "", 200, true},
		{"GET /api/why", "/api/why?url=https://a.example/", "", 200, true},
		{"GET /api/why", "/api/why", "", 400, false},
	} {
		a.ask(t, c.op, c.path, c.body, c.want, c.good)
	}
	_, model := described(t)
	for _, op := range operations(model) {
		if !a.answered[op] {
			t.Errorf("no good answer of %s was compared with the description", op)
		}
	}
	// The comparison has to see what is not described.
	planted := httptest.NewRecorder()
	writeJSON(planted, 200, map[string]any{"hits": []any{}, "total": 0, "secret": 1})
	if ok, _ := a.validator.ValidateHttpResponse(httptest.NewRequest("GET", "http://localhost/api/records", nil), planted.Result()); ok {
		t.Error("a field that is not described was not seen")
	}
}
