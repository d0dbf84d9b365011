package triage

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"qingyuan/index"
	"qingyuan/post"
)

// withMask hides contacts from the user ines; a session is told by a header.
func withMask(now *time.Time) func(*Options) {
	return func(o *Options) {
		byHeader(o)
		o.Now = func() time.Time { return *now }
		o.APIBurst = 10_000
		o.MaskContacts = func(r *http.Request) bool { return r.Header.Get("X-Test-User") == "ines" }
		o.Session = func(r *http.Request) string { return r.Header.Get("X-Test-Session") }
		o.Original = func(context.Context, post.Archive) (Original, error) {
			return Original{Text: "原件 shangan_lz88"}, nil
		}
		o.Subscriptions = &Subscriptions{
			List: func(context.Context) ([]Subscription, error) {
				return []Subscription{{Name: "full", FullContacts: true}, {Name: "masked"}}, nil
			},
			Preview: func(context.Context, string) (string, error) { return "<p>摘要</p>", nil },
		}
	}
}

// secrets are all contacts of the seeds, as written and as understood.
func secrets(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, rec := range seedRecords(t) {
		for _, e := range rec.Verdict.Entities {
			if isContact(e) {
				out = append(out, e.Value, e.Raw)
			}
		}
	}
	if len(out) < 40 {
		t.Fatalf("the seeds have only %d contacts", len(out))
	}
	return out
}

func TestContactsAreHiddenWhereverTheyStand(t *testing.T) {
	now := clock
	store := seeded(t)
	recs := seedRecords(t)
	first := get(t, store, recs[0].Post.ID)
	linked := recs[7]
	linked.Post.ID, linked.Post.Links = post.NewID("x", "links"), []string{"https://t.example/shangan_lz88"}
	linked.Post.Images = []post.Image{{URL: "https://img.example/1.png", QR: []string{"https://u.wechat.example/shangan_lz88"}, Text: "电话 19900001234"}}
	linked.Post.Author.Name = "小李19900001234"
	put(t, store, linked)
	if _, err := store.Triage(t.Context(), first.Post.ID, first.Triage.Version, index.TriageChange{Actor: "mei", Comment: "打了 shangan_lz88 的电话 199 0000 4321"}); err != nil {
		t.Fatal(err)
	}
	server := newServer(t, store, withMask(&now))
	as := func(user, path string) string {
		w := program(server, "GET", path, "", "X-Test-User", user, "X-Test-Session", "s1")
		if w.Code != 200 {
			t.Fatalf("%s as %s: %d %s", path, user, w.Code, w.Body)
		}
		if strings.Contains(path, "xlsx") {
			return cells(t, w)
		}
		return w.Body.String()
	}
	hidden := append(secrets(t), "199 0000 4321")
	paths := []string{"/?fold=off&q=", "/?q=shangan_lz88&fold=off", "/overview", "/audit", "/api/records?limit=1000", "/api/records?q=shangan_lz88", "/api/audit", "/export.csv?q=", "/export.jsonl?q=", "/export.xlsx?q=", "/api/export", "/api/campaigns/cmp-shangan"}
	for _, rec := range append(recs, linked) {
		paths = append(paths, "/post/"+rec.Post.ID, "/api/records/"+rec.Post.ID, "/api/records/"+rec.Post.ID+"/audit")
	}
	seen := map[string]bool{}
	as("mei", "/export.csv?q=shangan_lz88")
	as("mei", "/overview") // what one sees is not kept for the other
	for _, path := range paths {
		page, open := as("ines", path), as("mei", path)
		for _, s := range hidden {
			if strings.Contains(path, "q=shangan_lz88") && s == "shangan_lz88" && strings.HasPrefix(path, "/?") {
				continue // what the visitor wrote himself stands in the search box
			}
			if at := strings.Index(page, s); at >= 0 {
				t.Errorf("%s gives %q away: …%s…", path, s, page[max(0, at-60):min(len(page), at+60)])
			}
			seen[s] = seen[s] || strings.Contains(open, s)
		}
	}
	for _, s := range hidden {
		if !seen[s] {
			t.Errorf("%q stands nowhere even for those who may see it: the test looks for nothing", s)
		}
	}
	for _, path := range []string{"/post/" + recs[0].Post.ID + "/original", "/api/records/" + recs[0].Post.ID + "/original", "/subscriptions/full/preview"} {
		if w := program(server, "GET", path, "", "X-Test-User", "ines"); w.Code != 403 || strings.Contains(w.Body.String(), "shangan") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if !strings.Contains(as("ines", "/subscriptions/masked/preview"), "摘要") {
		t.Error("a masked digest is not previewed")
	}
}

// cells are all texts of a workbook.
func cells(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	book, err := excelize.OpenReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	var b strings.Builder
	for _, sheet := range book.GetSheetList() {
		rows, err := book.GetRows(sheet)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, rows)
	}
	return b.String()
}

func TestContactsAreShownForAReasonAndATime(t *testing.T) {
	now := clock
	store := seeded(t)
	server := newServer(t, store, withMask(&now))
	recs := seedRecords(t)
	id, other := recs[0].Post.ID, recs[1].Post.ID
	shows := func(session, path string) bool {
		return strings.Contains(program(server, "GET", path, "", "X-Test-User", "ines", "X-Test-Session", session).Body.String(), "shangan_lz88")
	}
	ask := func(form url.Values, headers ...string) int {
		return program(server, "POST", "/post/"+id+"/reveal", form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "X-Test-User", "ines", "X-Test-Session", "s1"}, headers...)...).Code
	}
	for name, form := range map[string]url.Values{"no reason": {}, "unknown": {"reason": {"fun"}}, "other without note": {"reason": {"other"}, "note": {" "}},
		"long": {"reason": {"case"}, "note": {strings.Repeat("长", 400)}}, "acting": {"reason": {"case"}, "note": {"a\u202Eb"}}} {
		if code := ask(form); code != 422 || shows("s1", "/post/"+id) {
			t.Errorf("%s: %d, shown %v", name, code, shows("s1", "/post/"+id))
		}
	}
	if code := ask(url.Values{"reason": {"case"}}, "Sec-Fetch-Site", "cross-site"); code != 403 || shows("s1", "/post/"+id) {
		t.Errorf("another site's form: %d", code)
	}
	doc := document(t, program(server, "GET", "/post/"+id, "", "X-Test-User", "ines", "X-Test-Session", "s1"), 200)
	if doc.Find("#masked form").Length() != 1 || doc.Find(`.contacts a[href]`).Length() != 0 {
		t.Error("the page offers no form, or leads to what is masked")
	}
	if code := ask(url.Values{"reason": {"case"}, "note": {"12 号案"}}); code != 303 {
		t.Fatalf("asked for: %d", code)
	}
	if !shows("s1", "/post/"+id) || !shows("s1", "/api/records/"+id) || !shows("s1", "/post/"+id+"/original") {
		t.Error("what was asked for is not shown")
	}
	if shows("s2", "/post/"+id) || shows("s1", "/api/records/"+other) {
		t.Error("another session or record is shown")
	}
	rows, err := store.Audit(t.Context(), id, 0, 1)
	if err != nil || len(rows) != 1 || rows[0].Action != "reveal" || rows[0].Actor != "ines" || rows[0].To != "case" || rows[0].Note != "12 号案" {
		t.Errorf("the trail has %+v, %v", rows, err)
	}
	now = now.Add(revealTime)
	if shows("s1", "/post/"+id) {
		t.Error("it is shown for ever")
	}
	// The API does the same, and decisions work while contacts are hidden.
	if w := program(server, "POST", "/api/records/none/reveal", `{"reason":"case"}`, "X-Test-User", "ines"); w.Code != 404 {
		t.Errorf("an unknown record: %d", w.Code)
	}
	if w := program(server, "POST", "/api/records/"+id+"/reveal", `{"reason":"verify"}`, "X-Test-User", "ines", "X-Test-Session", "s1"); w.Code != 200 || !shows("s1", "/api/records/"+id) {
		t.Errorf("through the API: %d %s", w.Code, w.Body)
	}
	now = clock // the store's, for the undoing
	version := get(t, store, other).Triage.Version
	decoded[index.Triage](t, program(server, "POST", "/api/records/"+other+"/triage", fmt.Sprintf(`{"version":%d,"status":"dismissed","reason":"dead_link"}`, version), "X-Test-User", "ines"), 200)
	decoded[apiUndone](t, program(server, "POST", "/api/undo", `{}`, "X-Test-User", "ines"), 200)
	if rec := get(t, store, other); rec.Triage.Status != index.StatusConfirmed || !strings.Contains(rec.Post.Text, "shangan_lz88") {
		t.Errorf("after a decision and its undoing: %+v", rec.Triage)
	}
	var many reveals
	for i := range 2 * maxReveals {
		many.add("s", fmt.Sprint(i), clock)
	}
	if len(many.until) > maxReveals {
		t.Errorf("%d are remembered", len(many.until))
	}
}
