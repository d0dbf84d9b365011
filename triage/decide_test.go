package triage

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"qingyuan/index"
)

// fields reads the hidden and prefilled fields of the triage form.
func fields(t *testing.T, server http.Handler, id string) url.Values {
	t.Helper()
	doc := document(t, ask(server, "GET", "/post/"+id, nil), 200)
	v := url.Values{}
	for _, name := range []string{"version", "seen", "assignee", "tags"} {
		v.Set(name, doc.Find(`#triage [name="`+name+`"]`).AttrOr("value", ""))
	}
	return v
}

func TestDecisionIsKeptAndAssigned(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, func(o *Options) { o.User = func(*http.Request) string { return "lan" } })
	id := seedRecords(t)[3].Post.ID
	form := fields(t, server, id)
	form.Set("status", "confirmed")
	form.Set("tags", "反催收，社群、 待并案")
	form.Set("comment", "教程售卖，有价格有联系方式")
	w := ask(server, "POST", "/post/"+id+"/triage", form)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/post/"+id {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Location"))
	}
	got := get(t, store, id).Triage
	if got.Status != index.StatusConfirmed || got.Assignee != "lan" || got.CommentCount != 1 || strings.Join(got.Tags, " ") != "反催收 待并案 社群" {
		t.Errorf("kept as %+v", got)
	}
	form = fields(t, server, id)
	form.Set("tags", "社群")
	form.Set("assignee", "mei")
	ask(server, "POST", "/post/"+id+"/triage", form)
	if got := get(t, store, id).Triage; got.Assignee != "mei" || strings.Join(got.Tags, " ") != "社群" || got.Status != index.StatusConfirmed {
		t.Errorf("changed to %+v", got)
	}
}

func TestDismissalNeedsAReason(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	id := seedRecords(t)[3].Post.ID
	for reason, want := range map[string]string{"": "Choose why", "nonsense": "Choose why", "other": "say why"} {
		form := fields(t, server, id)
		form.Set("status", "dismissed")
		form.Set("reason", reason)
		doc := document(t, ask(server, "POST", "/post/"+id+"/triage", form), http.StatusUnprocessableEntity)
		if !strings.Contains(doc.Find("#mistake").Text(), want) {
			t.Errorf("reason %q: %q", reason, doc.Find("#mistake").Text())
		}
	}
	for name, form := range map[string]url.Values{"status": {"version": {"0"}, "status": {"gone"}}, "tag": {"version": {"0"}, "tags": {strings.Repeat("x", 200)}},
		"assignee": {"version": {"0"}, "tags": {""}, "assignee": {strings.Repeat("x", 200)}}} {
		if w := ask(server, "POST", "/post/"+id+"/triage", form); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("bad %s: %d", name, w.Code)
		}
	}
	if w := ask(server, "POST", "/post/"+id+"/triage", url.Values{"version": {"x"}}); w.Code != http.StatusBadRequest {
		t.Errorf("bad version: %d", w.Code)
	}
	if got := get(t, store, id).Triage; got.Version != 0 {
		t.Errorf("something was kept: %+v", got)
	}
}

func TestConflictShowsTheOtherChange(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	id := seedRecords(t)[0].Post.ID
	form := fields(t, server, id)
	rec := get(t, store, id)
	if _, err := store.Triage(t.Context(), id, rec.Triage.Version, index.TriageChange{Actor: "mei", Status: index.StatusConfirmed, Comment: "证据齐了"}); err != nil {
		t.Fatal(err)
	}
	form.Set("status", "dismissed")
	form.Set("reason", "duplicate")
	form.Set("comment", "我的备注不能丢")
	doc := document(t, ask(server, "POST", "/post/"+id+"/triage", form), http.StatusConflict)
	if box := doc.Find("#conflict").Text(); !strings.Contains(box, "mei") || !strings.Contains(box, "Confirmed") || !strings.Contains(box, "证据齐了") || strings.Contains(box, "先并看") {
		t.Errorf("the conflict is told as %q", box)
	}
	if doc.Find("#comment").Text() != "我的备注不能丢" || doc.Find("#reason option[selected]").AttrOr("value", "") != "duplicate" {
		t.Error("what the analyst wrote is lost")
	}
	if got := get(t, store, id).Triage; got.Status != index.StatusConfirmed {
		t.Errorf("the other's decision became %s", got.Status)
	}
	form.Set("version", doc.Find("#triage [name=version]").AttrOr("value", ""))
	form.Set("seen", doc.Find("#triage [name=seen]").AttrOr("value", ""))
	if w := ask(server, "POST", "/post/"+id+"/triage", form); w.Code != http.StatusSeeOther {
		t.Errorf("doing it again: %d", w.Code)
	}
	if got := get(t, store, id).Triage; got.Status != index.StatusDismissed || got.Reason != "duplicate" {
		t.Errorf("done again: %+v", got)
	}
}

func TestBulkActsOnExactlyWhatWasShown(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	recs := seedRecords(t)
	form := url.Values{"back": {"/?q=x"}, "status": {"confirmed"}}
	for _, i := range []int{3, 4, 6} {
		form.Add("sel", fmt.Sprintf("0:%s", recs[i].Post.ID))
	}
	doc := document(t, ask(server, "POST", "/bulk", form), 200)
	if !strings.Contains(doc.Find(".lead").Text(), "the 3 records") || doc.Find("input[name=sel]").Length() != 3 || doc.Find(".minis .mini").Length() != 3 {
		t.Errorf("before: %q", doc.Find(".lead").Text())
	}
	if get(t, store, recs[3].Post.ID).Triage.Version != 0 {
		t.Fatal("the first form acts")
	}
	if _, err := store.Triage(t.Context(), recs[4].Post.ID, 0, index.TriageChange{Actor: "bo", Status: index.StatusDismissed, Reason: "duplicate"}); err != nil {
		t.Fatal(err)
	}
	form.Set("confirm", "1")
	form.Add("sel", "0:vanished")
	doc = document(t, ask(server, "POST", "/bulk", form), 200)
	if !strings.Contains(doc.Find(".alert.good").Text(), "2 records are now “Confirmed”") {
		t.Errorf("after: %q", doc.Find(".alert").Text())
	}
	if box := doc.Find("#conflicts"); box.Find(".mini").Length() != 2 || !strings.Contains(box.Text(), "bo") || !strings.Contains(box.Text(), "no longer there") {
		t.Errorf("conflicts: %q", box.Text())
	}
	for i, want := range map[int]index.Status{3: index.StatusConfirmed, 4: index.StatusDismissed, 6: index.StatusConfirmed, 7: index.StatusNew} {
		if got := get(t, store, recs[i].Post.ID).Triage.Status; got != want {
			t.Errorf("seed %d is %s, want %s", i, got, want)
		}
	}
	rows, err := store.Audit(t.Context(), recs[3].Post.ID, 0, 10)
	if err != nil || !strings.HasPrefix(rows[0].RequestID, "bulk:") {
		t.Fatalf("the trail says %+v (%v)", rows, err)
	}
	// One undo takes all of it back.
	if w := ask(server, "POST", "/undo", url.Values{"back": {"/"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("undo: %d", w.Code)
	}
	for _, i := range []int{3, 6} {
		if got := get(t, store, recs[i].Post.ID).Triage; got.Status != index.StatusNew || got.Assignee != "" {
			t.Errorf("after undo seed %d is %+v", i, got)
		}
	}
}

func TestBulkOfAQueryIsFrozen(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	query := "flagged:false status:new"
	doc := document(t, ask(server, "POST", "/bulk", url.Values{"all": {"1"}, "q": {query}, "status": {"dismissed"}}), 200)
	want := total(t, store, query)
	if n := doc.Find("input[name=sel]").Length(); n != want || want == 0 {
		t.Errorf("%d records are frozen, %d match", n, want)
	}
	for name, form := range map[string]url.Values{
		"nothing": {"status": {"new"}}, "no reason": {"confirm": {"1"}, "status": {"dismissed"}, "sel": {"0:" + seedRecords(t)[3].Post.ID}},
	} {
		if w := ask(server, "POST", "/bulk", form); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	for name, form := range map[string]url.Values{"odd item": {"sel": {"x"}}, "odd version": {"sel": {"x:y"}}, "bad query": {"all": {"1"}, "q": {"("}}} {
		if w := ask(server, "POST", "/bulk", form); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	many := url.Values{}
	for i := range maxBulk + 1 {
		many.Add("sel", fmt.Sprintf("0:%d", i))
	}
	if w := ask(server, "POST", "/bulk", many); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("too many: %d", w.Code)
	}
}

func TestUndoTakesBackOnlyOnesOwnAndUnchanged(t *testing.T) {
	store := seeded(t)
	user := "lan"
	server := newServer(t, store, func(o *Options) { o.User = func(*http.Request) string { return user } })
	id := seedRecords(t)[3].Post.ID
	act := func(status, reason string) {
		t.Helper()
		v := url.Values{"version": {fmt.Sprint(get(t, store, id).Triage.Version)}, "status": {status}, "reason": {reason}}
		if w := ask(server, "POST", "/post/"+id+"/triage", v); w.Code != http.StatusSeeOther {
			t.Fatalf("%s: %d", status, w.Code)
		}
	}
	undo := func() string {
		t.Helper()
		w := ask(server, "POST", "/undo", url.Values{"back": {"/"}})
		i := slices.IndexFunc(w.Result().Cookies(), func(c *http.Cookie) bool { return c.Name == noticeCookie && c.Value != "" })
		if w.Code != http.StatusSeeOther || i < 0 {
			t.Fatalf("undo: %d", w.Code)
		}
		return w.Result().Cookies()[i].Value
	}
	if got := undo(); got != "undo_none.0" {
		t.Errorf("with nothing done: %s", got)
	}
	act("dismissed", "duplicate")
	act("confirmed", "")
	undo()
	if got := get(t, store, id).Triage; got.Status != index.StatusDismissed || got.Reason != "duplicate" {
		t.Errorf("once: %+v", got)
	}
	undo()
	if got := get(t, store, id).Triage; got.Status != index.StatusNew || got.Assignee != "" {
		t.Errorf("twice: %+v", got)
	}
	act("confirmed", "")
	user = "mei"
	if got := undo(); got == "undone.1" && get(t, store, id).Triage.Status != index.StatusConfirmed {
		t.Error("somebody else's decision was taken back")
	}
	act("reviewing", "")
	user = "lan"
	if got := undo(); got != "undo_conflict.1" {
		t.Errorf("after another's change: %s", got)
	}
	if got := get(t, store, id).Triage.Status; got != index.StatusReviewing {
		t.Errorf("the other's decision became %s", got)
	}
}

func TestNoticesAreOnlyOurs(t *testing.T) {
	server := newServer(t, seeded(t), english)
	show := func(value string) string {
		w := askAs(server, "GET", "/help", nil, []*http.Cookie{{Name: noticeCookie, Value: value}})
		return document(t, w, 200).Find(".notice").Text()
	}
	if got := show("confirmed.1"); !strings.Contains(got, "Confirmed") || !strings.Contains(got, "Undo") {
		t.Errorf("a decision's notice is %q", got)
	}
	for _, odd := range []string{"<b>x.1", "confirmed.x", "confirmed.-4", "rubbish", "."} {
		if got := show(odd); got != "" {
			t.Errorf("notice %q shows %q", odd, got)
		}
	}
}

func TestWithoutAUserNothingIsShown(t *testing.T) {
	server := newServer(t, seeded(t), func(o *Options) { o.User = func(*http.Request) string { return "" } })
	if w := ask(server, "GET", "/", nil); w.Code != http.StatusUnauthorized {
		t.Errorf("%d", w.Code)
	}
	if w := ask(server, "GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{"no store": {}, "language": {Store: openStore(t), Language: "fr"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	server := newServer(t, openStore(t), func(o *Options) {
		o.Digest = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("digest " + r.URL.Path)) })
	})
	if w := ask(server, "GET", "/digest/preview", nil); w.Body.String() != "digest /preview" {
		t.Errorf("/digest/preview answers %q", w.Body)
	}
	w := httptest.NewRecorder()
	server.getHealth(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
}

// The API holds to the rule of the form: another reason has to be written down.
func TestAPIDismissalForAnotherReasonNeedsAComment(t *testing.T) {
	server := newServer(t, seeded(t), english)
	for _, tc := range []struct {
		comment string
		status  int
	}{{"", http.StatusUnprocessableEntity}, {" \n", http.StatusUnprocessableEntity}, {"a poem", http.StatusOK}} {
		body := fmt.Sprintf(`{"version":0,"status":"dismissed","reason":"other","comment":%q}`, tc.comment)
		r := httptest.NewRequest(http.MethodPost, "/api/records/"+seedRecords(t)[3].Post.ID+"/triage", strings.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("dismissed as other with the comment %q: %d, want %d", tc.comment, w.Code, tc.status)
		}
	}
}
