package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"qingyuan/accounts"
	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
	"qingyuan/triage"
)

// TestAPIByRole asks the API as programs and browsers of each role do, through
// the logins that serve puts before it.
func TestAPIByRole(t *testing.T) {
	ctx, c := t.Context(), defaultConfig()
	c.Data, c.Accounts.Required = t.TempDir(), "on"
	store, err := openStore(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rec := index.Record{Post: post.Post{ID: post.NewID("f", "1"), Source: "f", Kind: post.KindPost, URL: "https://bbs.example/1", Text: "代办退保，加薇 hupan_tb66", FetchedAt: time.Now()},
		Verdict: classify.Verdict{Flagged: true, Entities: []classify.Entity{{Type: classify.EntityWechat, Value: "hupan_tb66", Raw: "hupan_tb66", Start: 9, End: 19}}}}
	if err := store.Put(ctx, []index.Record{rec}); err != nil {
		t.Fatal(err)
	}
	users, err := openAccounts(ctx, &c)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	searches, err := openSearches(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer searches.Close()
	quiet := slog.New(slog.DiscardHandler)
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := dictionaryPages(c, dict, store, quiet, nil, nil, nil, nil, nil, nil, func(o *triage.Options) { o.Searches = searches })
	if err != nil {
		t.Fatal(err)
	}
	handler, _, err := guardPages(ctx, c, users, store, pages, quiet)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	tokens, sessions := map[accounts.Role]string{}, map[accounts.Role]string{}
	for role, scopes := range map[accounts.Role][]accounts.Permission{accounts.RoleAnalyst: {accounts.Read, accounts.Decide, accounts.Export, accounts.Audit},
		accounts.RoleInvestigator: {accounts.Read, accounts.Export}, accounts.RoleOperator: {accounts.Read, accounts.Audit}} {
		if err := users.Create(ctx, string(role), role); err != nil {
			t.Fatal(err)
		}
		link, err := users.Link(ctx, string(role))
		if err == nil {
			sessions[role], err = users.Welcome(ctx, link, "Lang-wie-der-See-7")
		}
		if err == nil {
			tokens[role], err = users.NewToken(ctx, string(role), "test", scopes, time.Hour)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	readOnly, err := users.NewToken(ctx, "analyst", "read", []accounts.Permission{accounts.Read}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string, headers ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	record := "/api/records/" + rec.Post.ID
	bulk := `{"items":[{"id":"` + rec.Post.ID + `","version":99}],"add_tags":["x"]}`
	for _, c := range []struct {
		method, path, body                     string
		analyst, investigator, operator, reads int
	}{
		{"GET", "/api/records", "", 200, 200, 200, 200},
		{"GET", record, "", 200, 200, 200, 200},
		{"GET", "/api/audit", "", 200, 403, 200, 403},
		{"GET", "/api/audit/verification", "", 200, 403, 200, 403},
		{"GET", "/api/export", "", 200, 200, 403, 403},
		{"GET", "/export.csv", "", 200, 200, 403, 403},
		{"POST", "/api/bulk", bulk, 200, 403, 403, 403},
		{"POST", "/api/undo", "{}", 404, 403, 403, 403},
		{"POST", record + "/triage", `{"version":99,"status":"confirmed"}`, 409, 403, 403, 403},
		{"GET", "/api/searches", "", 200, 200, 200, 200},
		{"GET", "/users", "", 401, 401, 401, 401}, // tokens are for the API
		{"GET", "/", "", 401, 401, 401, 401},
	} {
		for _, who := range []struct {
			token string
			want  int
		}{{tokens[accounts.RoleAnalyst], c.analyst}, {tokens[accounts.RoleInvestigator], c.investigator}, {tokens[accounts.RoleOperator], c.operator}, {readOnly, c.reads}, {"qingyuan_WRONG", 401}} {
			if code, body := ask(c.method, c.path, c.body, bearer(who.token)...); code != who.want {
				t.Errorf("%s %s: %d, want %d: %.200s", c.method, c.path, code, who.want, body)
			}
		}
	}
	if code, body := ask("GET", "/api/records", "", "Accept-Language", "zh-CN"); code != 401 || !strings.Contains(body, `"code":"unauthorized"`) || !strings.Contains(body, "需要有效的令牌") {
		t.Errorf("without a token, in Chinese: %d %s", code, body)
	}
	if code, body := ask("GET", "/api/audit", "", append(bearer(readOnly), "Accept-Language", "en")...); code != 403 || !strings.Contains(body, "Your role may not") || !strings.Contains(body, "remedy") {
		t.Errorf("a scope that is missing, in English: %d %s", code, body)
	}
	// A session does what its role may, but not for another site's page.
	cookie := []string{"Cookie", "qingyuan_session=" + sessions[accounts.RoleAnalyst]}
	if code, body := ask("POST", "/api/bulk", bulk, cookie...); code != 200 {
		t.Errorf("a session: %d %s", code, body)
	}
	for _, h := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Content-Type", "text/plain"}} {
		if code, _ := ask("POST", "/api/bulk", bulk, append(h, cookie...)...); code != 403 && code != 415 {
			t.Errorf("%v with the cookie: %d", h, code)
		}
	}
	// Contacts are hidden by role, until asked for with this token.
	shows := func(token string) bool {
		_, body := ask("GET", "/api/records?q=hupan_tb66", "", bearer(token)...)
		return strings.Contains(body, "hupan_tb66")
	}
	lead := tokens[accounts.RoleInvestigator]
	if !shows(tokens[accounts.RoleAnalyst]) || shows(lead) || shows(tokens[accounts.RoleOperator]) {
		t.Error("contacts are not hidden by role")
	}
	if code, body := ask("POST", record+"/reveal", `{"reason":"case"}`, bearer(lead)...); code != 200 || !shows(lead) || shows(tokens[accounts.RoleOperator]) {
		t.Errorf("asked for: %d %s", code, body)
	}
	// Saved searches are their users' own.
	if code, body := ask("POST", "/api/searches", `{"name":"退保","query":"退保"}`, bearer(lead)...); code != 201 {
		t.Fatalf("saving a search: %d %s", code, body)
	}
	if code, _ := ask("DELETE", "/api/searches/1", "", bearer(tokens[accounts.RoleAnalyst])...); code != 404 {
		t.Errorf("another's search is removed: %d", code)
	}
}
