package triage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/post"
)

// program sends JSON as a program does; headers are name, value pairs.
func program(server http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

func decoded[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != status {
		t.Fatalf("%d, want %d, %v: %s", w.Code, status, err, w.Body)
	}
	return v
}

type faultBody struct {
	Error apiFault `json:"error"`
}

// byHeader takes the user from a header, as accounts do from a session.
func byHeader(o *Options) {
	o.User = func(r *http.Request) string { return r.Header.Get("X-Test-User") }
}

func TestFaultsSpeakTheLanguageAskedFor(t *testing.T) {
	server := newServer(t, seeded(t), nil)
	for _, c := range []struct{ accept, want string }{
		{"", "没有"}, {"en", "There is no"}, {"en-GB,en;q=0.9", "There is no"}, {"zh-CN", "没有"}, {"fr, en;q=0.5, zh;q=0.9", "没有"}, {"fr", "没有"},
		{"zh;q=0, en", "There is no"}, {"\xff;;q", "没有"}, {strings.Repeat("en,", 500), "没有"},
	} {
		f := decoded[faultBody](t, program(server, "GET", "/api/records/none", "", "Accept-Language", c.accept), 404)
		if f.Error.Code != "no_record" || !strings.HasPrefix(f.Error.Message, c.want) || f.Error.Remedy == "" {
			t.Errorf("%q is answered with %+v", c.accept, f.Error)
		}
	}
	f := decoded[faultBody](t, program(server, "GET", "/api/records?q=scroe:1", "", "Accept-Language", "zh"), 400)
	if f.Error.Code != "query" || f.Error.Position != 1 || !strings.ContainsAny(f.Error.Message, "字段") {
		t.Errorf("a mistake in a query is answered with %+v", f.Error)
	}
	// Every fault of the source has its words.
	for key, n := range apiWords {
		if strings.HasPrefix(key, "error.") && !strings.HasSuffix(key, ".remedy") && apiWords[key+".remedy"].Zh == "" {
			t.Errorf("%s (%s) has no remedy", key, n.En)
		}
	}
	w := program(server, "PUT", "/api/records", "{}")
	if f := decoded[faultBody](t, w, 405); f.Error.Code != "method" || w.Header().Get("Allow") != "GET" {
		t.Errorf("PUT is answered with %+v, Allow %q", f.Error, w.Header().Get("Allow"))
	}
	if f := decoded[faultBody](t, program(server, "GET", "/api/nothing", ""), 404); f.Error.Code != "no_endpoint" {
		t.Errorf("an unknown address is answered with %+v", f.Error)
	}
}

func TestPagesNeitherSkipNorRepeatWhileRecordsAreAdded(t *testing.T) {
	store := openStore(t)
	server := newServer(t, store, func(o *Options) { o.APIBurst = 10_000 })
	record := func(i int) index.Record {
		at := clock.Add(-time.Duration(i%97) * time.Minute) // many share a time
		p := post.Post{ID: post.NewID("forum", strconv.Itoa(i)), Source: "forum", Kind: post.KindPost, URL: "https://bbs.example/t/" + strconv.Itoa(i), Text: "代办退保", FetchedAt: at}
		return index.Record{Post: p, FirstSeen: at, LastSeen: at, IngestedAt: at}
	}
	var first []index.Record
	for i := range 1000 {
		first = append(first, record(i))
	}
	put(t, store, first...)
	seen := map[string]int{}
	added, after := 1000, ""
	for range 200 {
		page := decoded[index.Page](t, program(server, "GET", "/api/records?"+queryString("q", "退保", "sort", "first_seen", "limit", "37", "after", after), ""), 200)
		if page.Total != added {
			t.Fatalf("the total is %d of %d", page.Total, added)
		}
		for _, h := range page.Hits {
			seen[h.Record.Post.ID]++
		}
		put(t, store, record(added), record(added+1)) // of all times, also before the cursor
		added += 2
		if after = page.Next; after == "" {
			break
		}
	}
	for i, r := range first {
		if n := seen[r.Post.ID]; n != 1 {
			t.Fatalf("record %d was listed %d times", i, n)
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was listed %d times", id, n)
		}
	}
}

func TestBulkActsOnWhatIsListedAndIsUndone(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, byHeader)
	recs := seedRecords(t)
	a, b, stale := recs[3].Post.ID, recs[4].Post.ID, recs[1].Post.ID
	before := total(t, store, "status:dismissed")
	body := fmt.Sprintf(`{"items":[{"id":%q,"version":0},{"id":%q,"version":0},{"id":%q,"version":0},{"id":"none","version":0}],"status":"dismissed","reason":"dead_link","add_tags":["失效"]}`, a, b, stale)
	out := decoded[apiBulkResult](t, program(server, "POST", "/api/bulk", body, "X-Test-User", "mei"), 200)
	var results []string
	for _, l := range out.Results {
		results = append(results, l.Result)
	}
	if !slices.Equal(results, []string{"changed", "changed", "conflict", "missing"}) || out.Counts["changed"] != 2 || out.Results[2].Triage == nil || out.Results[2].Triage.UpdatedBy != "bo" {
		t.Fatalf("bulk: %+v", out)
	}
	if got := get(t, store, a).Triage; got.Status != index.StatusDismissed || got.Assignee != "mei" || !slices.Equal(got.Tags, []string{"失效"}) {
		t.Errorf("after: %+v", got)
	}
	if n := total(t, store, "status:dismissed"); n != before+2 {
		t.Errorf("%d dismissed, want %d", n, before+2)
	}
	for name, body := range map[string]string{
		"twice": fmt.Sprintf(`{"items":[{"id":%q,"version":1},{"id":%q,"version":1}],"status":"new"}`, a, a), "no version": fmt.Sprintf(`{"items":[{"id":%q}],"status":"new"}`, a),
		"nothing to do": fmt.Sprintf(`{"items":[{"id":%q,"version":1}]}`, a), "no reason": fmt.Sprintf(`{"items":[{"id":%q,"version":1}],"status":"dismissed"}`, a),
		"too many": `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"id":"x","version":0},`, maxBulk+1), ",") + `],"status":"new"}`,
	} {
		decoded[faultBody](t, program(server, "POST", "/api/bulk", body, "X-Test-User", "mei"), 422)
		if got := get(t, store, a).Triage; got.Version != 1 {
			t.Errorf("%s changed the record: %+v", name, got)
		}
	}
	// Another user cannot take it back, nor can it be taken back twice.
	undo := fmt.Sprintf(`{"request_id":%q}`, out.RequestID)
	decoded[faultBody](t, program(server, "POST", "/api/undo", undo, "X-Test-User", "bo"), 404)
	decoded[index.Triage](t, program(server, "POST", "/api/records/"+b+"/triage", `{"version":1,"status":"confirmed"}`, "X-Test-User", "bo"), 200)
	undone := decoded[apiUndone](t, program(server, "POST", "/api/undo", undo, "X-Test-User", "mei"), 200)
	if !slices.Equal(undone.Undone, []string{a}) || !slices.Equal(undone.Conflicts, []string{b}) {
		t.Errorf("undo: %+v", undone)
	}
	if got := get(t, store, a).Triage; got.Status != index.StatusNew || got.Assignee != "" || len(got.Tags) != 0 {
		t.Errorf("after the undo: %+v", got)
	}
	if got := get(t, store, b).Triage; got.Status != index.StatusConfirmed {
		t.Errorf("the other's decision became %+v", got)
	}
	decoded[faultBody](t, program(server, "POST", "/api/undo", undo, "X-Test-User", "mei"), 404)
}

func TestACallerWhoAsksTooOftenIsToldWhen(t *testing.T) {
	now := clock
	server := newServer(t, seeded(t), func(o *Options) {
		byHeader(o)
		o.APIRate, o.APIBurst, o.Now = 0.5, 3, func() time.Time { return now }
	})
	ask := func(user, token string) *httptest.ResponseRecorder {
		return program(server, "GET", "/api/records?limit=1", "", "X-Test-User", user, "Authorization", token)
	}
	for range 3 {
		if w := ask("mei", ""); w.Code != 200 {
			t.Fatalf("%d within the burst", w.Code)
		}
	}
	w := ask("mei", "")
	if f := decoded[faultBody](t, w, 429); f.Error.Code != "rate" || w.Header().Get("Retry-After") != "2" {
		t.Errorf("too often: %+v, Retry-After %q", f.Error, w.Header().Get("Retry-After"))
	}
	if w := program(server, "GET", "/export.csv", "", "X-Test-User", "mei"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("an export goes past the rate: %d", w.Code)
	}
	if w := program(server, "GET", "/help", "", "X-Test-User", "mei"); w.Code != 200 {
		t.Errorf("a page counts: %d", w.Code)
	}
	if ask("bo", "").Code != 200 || ask("mei", "Bearer a").Code != 200 || ask("mei", "Bearer b").Code != 200 {
		t.Error("others share one caller's allowance")
	}
	now = now.Add(2 * time.Second) // refused requests cost nothing
	if w := ask("mei", ""); w.Code != 200 {
		t.Errorf("%d after the wait", w.Code)
	}
	if w := ask("mei", ""); w.Code != 429 {
		t.Errorf("%d at once again", w.Code)
	}
}

func TestManyCallersAreForgotten(t *testing.T) {
	l := newLimiter(1, 1)
	for i := range 5 * maxCallers {
		l.wait(strconv.Itoa(i), clock.Add(time.Duration(i)*time.Second))
	}
	if n := len(l.callers); n > maxCallers {
		t.Errorf("%d callers are remembered", n)
	}
}

func TestSavedSearchesAreTheirUsersOwn(t *testing.T) {
	searches := openSearches(t)
	server := newServer(t, seeded(t), func(o *Options) { byHeader(o); o.Searches = searches })
	saved := decoded[SavedSearch](t, program(server, "POST", "/api/searches", `{"name":" 退保 <b> ","query":"退保","sort":"published_at"}`, "X-Test-User", "mei"), 201)
	if saved.Name != "退保 <b>" || saved.ID == 0 {
		t.Errorf("saved: %+v", saved)
	}
	address := "/api/searches/" + strconv.FormatInt(saved.ID, 10)
	decoded[faultBody](t, program(server, "DELETE", address, "", "X-Test-User", "bo"), 404)
	if got := decoded[apiSavedSearches](t, program(server, "GET", "/api/searches", "", "X-Test-User", "bo"), 200); len(got.Own) != 0 || len(got.BuiltIn) < 5 || got.BuiltIn[0].Query != defaultQuery {
		t.Errorf("another sees %+v", got)
	}
	decoded[SavedSearch](t, program(server, "POST", "/api/searches", `{"name":"退保 <b>","query":""}`, "X-Test-User", "bo"), 201)
	w := program(server, "GET", "/?q=%E9%80%80%E4%BF%9D&sort=published_at", "", "X-Test-User", "mei")
	doc := document(t, w, 200)
	if own := doc.Find(".saved .own a[aria-current]"); own.Text() != "退保 <b>" || doc.Find(".saved .own b").Length() != 0 {
		t.Errorf("the queue shows %q", doc.Find(".saved").Text())
	}
	for name, body := range map[string]string{"empty": `{"name":" ","query":""}`, "long": `{"name":"` + strings.Repeat("字", 41) + `","query":""}`, "acting": "{\"name\":\"a\u202Eb\",\"query\":\"\"}"} {
		if f := decoded[faultBody](t, program(server, "POST", "/api/searches", body, "X-Test-User", "mei"), 422); f.Error.Code != "search_name" {
			t.Errorf("%s name: %+v", name, f.Error)
		}
	}
	// The page's form does the same.
	post := func(path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
		return program(server, "POST", path, form.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded", "X-Test-User", "mei")...)
	}
	if w := post("/searches", url.Values{"name": {"待办"}, "q": {defaultQuery}, "sort": {"score"}}, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("another site's form: %d", w.Code)
	}
	if w := post("/searches", url.Values{"name": {"待办"}, "q": {defaultQuery}, "sort": {"score"}}); w.Code != 303 {
		t.Errorf("the form: %d %s", w.Code, w.Body)
	}
	if w := post("/searches/"+strconv.FormatInt(saved.ID, 10)+"/drop", url.Values{"back": {"//evil.example"}}); w.Code != 303 || w.Header().Get("Location") != "/" {
		t.Errorf("dropping: %d %s", w.Code, w.Header().Get("Location"))
	}
	list, err := searches.List(t.Context(), "mei")
	if err != nil || len(list) != 1 || list[0].Name != "待办" {
		t.Errorf("kept: %+v, %v", list, err)
	}
	for i := range MaxSearches - 1 {
		if _, err := searches.Save(t.Context(), "mei", SavedSearch{Name: strconv.Itoa(i)}, clock); err != nil {
			t.Fatal(err)
		}
	}
	if f := decoded[faultBody](t, program(server, "POST", "/api/searches", `{"name":"再一条","query":""}`, "X-Test-User", "mei"), 422); f.Error.Code != "search_full" {
		t.Errorf("beyond the bound: %+v", f.Error)
	}
}

func TestAnotherSitesPageCannotUseTheAPI(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, func(o *Options) { o.Searches = openSearches(t) })
	id := seedRecords(t)[3].Post.ID
	for path, body := range map[string]string{"/api/records/" + id + "/triage": `{"version":0,"status":"confirmed"}`, "/api/bulk": `{"items":[{"id":"` + id + `","version":0}],"status":"confirmed"}`,
		"/api/undo": `{}`, "/api/searches": `{"name":"x","query":""}`} {
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			if w := program(server, "POST", path, body, append(headers, "Cookie", tokenCookie+"="+strings.Repeat("A", tokenLength))...); w.Code != 403 {
				t.Errorf("%s %v: %d", path, headers, w.Code)
			}
		}
		// What a form can send without asking first is no JSON.
		if w := program(server, "POST", path, body, "Content-Type", "text/plain"); w.Code != 415 {
			t.Errorf("%s as text: %d", path, w.Code)
		}
	}
	if get(t, store, id).Triage.Version != 0 {
		t.Error("the record was changed")
	}
}
