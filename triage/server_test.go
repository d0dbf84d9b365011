package triage

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/PuerkitoBio/goquery"
	"github.com/xuri/excelize/v2"

	"qingyuan/index"
)

// ask sends a request to localhost as a browser on the same site would.
func ask(server http.Handler, method, path string, form url.Values) *httptest.ResponseRecorder {
	return askAs(server, method, path, form, nil)
}

func askAs(server http.Handler, method, path string, form url.Values, cookies []*http.Cookie) *httptest.ResponseRecorder {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, path, body)
	r.Host = "localhost"
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

func document(t *testing.T, w *httptest.ResponseRecorder, status int) *goquery.Document {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func english(o *Options) { o.Language = "en" }

func get(t *testing.T, s index.Store, id string) index.Record {
	t.Helper()
	rec, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func total(t *testing.T, s index.Store, query string) int {
	t.Helper()
	page, err := s.Search(t.Context(), index.Query{Text: query, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return page.Total
}

func TestQueueShowsWhatTheStoreFinds(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	for _, query := range []string{defaultQuery, "", "flagged:false", "停息挂账", `author:"上岸老周" score>=0.5`, "ingested:7d status:(new OR dismissed)", "a OR 退保"} {
		doc := document(t, ask(server, "GET", "/?fold=off&"+queryString("q", query), nil), 200)
		want := total(t, store, query)
		if got := doc.Find("#total b").Text(); got != fmt.Sprint(want) {
			t.Errorf("%q: the page says %s, the store finds %d", query, got, want)
		}
		if got := doc.Find("[data-row]").Length(); got != min(want, pageSize) {
			t.Errorf("%q: %d rows for %d records", query, got, want)
		}
		// Each facet leads to as many records as it says.
		doc.Find(".facet a:not(.on)").Each(func(_ int, a *goquery.Selection) {
			href, _ := a.Attr("href")
			u, err := url.Parse(href)
			if err != nil {
				t.Fatal(err)
			}
			if n := total(t, store, u.Query().Get("q")); fmt.Sprint(n) != a.Find("b").Text() {
				t.Errorf("%q: facet %q says %s, its query %q finds %d", query, a.Find("span").Text(), a.Find("b").Text(), u.Query().Get("q"), n)
			}
		})
		// Each chip's link finds at least what there is.
		doc.Find(".chips a").Each(func(_ int, a *goquery.Selection) {
			href, _ := a.Attr("href")
			u, _ := url.Parse(href)
			if n := total(t, store, u.Query().Get("q")); n < want {
				t.Errorf("%q: without %q only %d records are left of %d", query, a.Text(), n, want)
			}
		})
	}
	doc := document(t, ask(server, "GET", "/", nil), 200)
	if v, _ := doc.Find("#q").Attr("value"); v != defaultQuery {
		t.Errorf("the queue begins with %q", v)
	}
	if doc.Find(".chips a").Length() != 2 {
		t.Errorf("the default query has the chips %q", doc.Find(".chips").Text())
	}
	doc = document(t, ask(server, "GET", "/?"+queryString("q", "停息挂账"), nil), 200)
	if !strings.Contains(doc.Find("mark.found").Text(), "停息挂账") {
		t.Error("what was searched for is not marked")
	}
}

func TestChipsKeepWhatWasWritten(t *testing.T) {
	for query, want := range map[string][]string{
		"ingested:7d flagged:true":         {"ingested:7d", "flagged:true"},
		`"a b" AND NOT source:x -tag:y`:    {`"a b"`, "NOT source:x", "-tag:y"},
		"status:(new OR reviewing) 退保":     {"status:(new OR reviewing)", "退保"},
		"published:[2026-11-01 TO *] 停息挂账": {"published:[2026-11-01 TO *]", "停息挂账"},
		"a OR b": {"(\"a\" OR \"b\")"},
		"":       nil,
	} {
		parts, err := splitQuery(query, clock)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range parts {
			got = append(got, p.raw)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q splits into %q, want %q", query, got, want)
		}
		again, err := index.Parse(joinParts(parts), clock)
		first, _ := index.Parse(query, clock)
		if err != nil || again.String() != first.String() {
			t.Errorf("%q joined again is %q (%v)", query, again, err)
		}
	}
}

func TestQueryMistakeIsShownWithItsPlace(t *testing.T) {
	store := seeded(t)
	zh := document(t, ask(newServer(t, store, nil), "GET", "/?"+queryString("q", "停息 scroe:1"), nil), http.StatusBadRequest)
	if told := zh.Find("#q-mistake .pointer + p").Text(); !strings.ContainsFunc(told, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		t.Errorf("in Chinese the mistake is told as %q", told)
	}
	server := newServer(t, store, english)
	doc := document(t, ask(server, "GET", "/?"+queryString("q", "停息 scroe:1"), nil), http.StatusBadRequest)
	box := doc.Find("#q-mistake")
	if !strings.Contains(box.Text(), "character 4") || !strings.Contains(box.Text(), "score") || box.Find("u").Text() != "s" {
		t.Errorf("the mistake is told as %q, pointing at %q", box.Text(), box.Find("u").Text())
	}
	if v, _ := doc.Find("#q").Attr("value"); v != "停息 scroe:1" {
		t.Errorf("the query is lost: %q", v)
	}
}

func TestPagingReachesEveryRecordOnce(t *testing.T) {
	store := openStore(t)
	recs := seedRecords(t)
	for i := range 3 {
		for j := range recs {
			r := recs[j]
			r.Post.ID += fmt.Sprint("-", i)
			put(t, store, r)
		}
	}
	server := newServer(t, store, nil)
	seen := map[string]bool{}
	next := "/?fold=off&q="
	for pages := 0; next != "" && pages < 10; pages++ {
		doc := document(t, ask(server, "GET", next, nil), 200)
		doc.Find("[data-row] a.open").Each(func(_ int, a *goquery.Selection) {
			href, _ := a.Attr("href")
			if seen[href] {
				t.Errorf("%s stands on two pages", href)
			}
			seen[href] = true
		})
		next, _ = doc.Find("a[rel=next]").Attr("href")
	}
	if len(seen) != 3*len(recs) {
		t.Errorf("the pages show %d records of %d", len(seen), 3*len(recs))
	}
}

func TestPostMarksThePublishedCharacters(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	for _, seed := range seedRecords(t) {
		rec := get(t, store, seed.Post.ID)
		doc := document(t, ask(server, "GET", "/post/"+rec.Post.ID, nil), 200)
		if !acting(rec.Post.Text) && doc.Find(".published bdi").Text() != rec.Post.Text {
			t.Errorf("%s: the text is shown as %q", rec.Post.ID, doc.Find(".published bdi").Text())
		}
		runes := []rune(rec.Post.FullText())
		number := 0 // only what stands in the text is numbered
		for _, r := range rec.Verdict.Reasons {
			if r.End <= r.Start {
				continue
			}
			number++
			if acting(string(runes[r.Start:r.End])) {
				continue
			}
			got := doc.Find(fmt.Sprintf(`mark[data-r~="%d"]`, number)).Text()
			if want := strings.Replace(string(runes[r.Start:r.End]), "\n", "", 1); got != want && got != string(runes[r.Start:r.End]) {
				t.Errorf("%s: reason %d marks %q, want %q", rec.Post.Title, number, got, want)
			}
			if doc.Find(fmt.Sprintf("#m%d", number)).Length() != 1 {
				t.Errorf("%s: reason %d has no place to lead to", rec.Post.Title, number)
			}
		}
		if got := doc.Find("tr[data-reason]").Length(); got != number {
			t.Errorf("%s: %d reasons have a number, %d stand in the text", rec.Post.Title, got, number)
		}
		sum := 0.0
		for _, r := range rec.Verdict.Reasons {
			sum += r.Weight
		}
		if math.Abs(1/(1+math.Exp(-sum))-rec.Verdict.Score) > 1e-6 {
			t.Errorf("%s: the weights sum to %f, the score is %f", rec.Post.Title, sum, rec.Verdict.Score)
		}
		if got := doc.Find("tfoot b").Text(); got != fmt.Sprintf("%+.2f", sum) {
			t.Errorf("%s: the table sums to %s, want %+.2f", rec.Post.Title, got, sum)
		}
	}
}

func acting(text string) bool { return strings.ContainsFunc(text, acts) }

func TestPostShowsContactsRevisionsAndHistory(t *testing.T) {
	store := seeded(t)
	doc := document(t, ask(newServer(t, store, english), "GET", "/post/"+seedRecords(t)[0].Post.ID, nil), 200)
	href, _ := doc.Find(".desk .contacts a").First().Attr("href")
	u, _ := url.Parse(href)
	if n := total(t, store, u.Query().Get("q")); n < 3 || !strings.Contains(doc.Find(".desk .contacts").Text(), fmt.Sprintf("%d posts", n)) {
		t.Errorf("contact %q finds %d, the page says %q", href, n, doc.Find(".desk .contacts").Text())
	}
	if doc.Find(".desk .minis .mini").Length() < 3 {
		t.Error("posts of the same contact and author are missing")
	}
	if del, ins := doc.Find(".diff del").Text(), doc.Find(".diff ins").Text(); !strings.Contains(del, "6") || !strings.Contains(ins, "当天出方案") {
		t.Errorf("the edit is shown as -%q +%q", del, ins)
	}
	if history := doc.Find(".timeline").Text(); !strings.Contains(history, "mei") || !strings.Contains(history, "Reviewing") || !strings.Contains(history, "先并看") {
		t.Errorf("the history says %q", history)
	}
	doc.Find("a[target=_blank]").Each(func(_ int, a *goquery.Selection) {
		if rel, _ := a.Attr("rel"); rel != "noopener noreferrer nofollow" {
			t.Errorf("a link out has rel=%q", rel)
		}
	})
}

var linkPattern = regexp.MustCompile(`^(/|#)`)

func TestPagesLinkOnlyHereOrToCrawledAddresses(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, func(o *Options) { o.Crawl = crawlStatus })
	for _, path := range []string{"/", "/post/" + seedRecords(t)[0].Post.ID, "/overview", "/audit", "/help"} {
		doc := document(t, ask(server, "GET", path, nil), 200)
		doc.Find("[href],[src],[action]").Each(func(_ int, e *goquery.Selection) {
			for _, name := range []string{"href", "src", "action"} {
				v, ok := e.Attr(name)
				if ok && !linkPattern.MatchString(v) && e.AttrOr("target", "") != "_blank" {
					t.Errorf("%s: <%s %s=%q>", path, goquery.NodeName(e), name, v)
				}
			}
		})
		if n := doc.Find("[style], style, script:not([src])").Length(); n > 0 {
			t.Errorf("%s: %d elements that the policy forbids", path, n)
		}
		doc.Find("input:not([type=hidden]), select, textarea").Each(func(_ int, e *goquery.Selection) {
			id := e.AttrOr("id", "")
			if e.Closest("label").Length() == 0 && (id == "" || doc.Find(`label[for="`+id+`"]`).Length() == 0) {
				t.Errorf("%s: a control without a label: %s", path, e.AttrOr("name", id))
			}
		})
	}
}

func TestOverviewCountsLikeTheStore(t *testing.T) {
	store := seeded(t)
	doc := document(t, ask(newServer(t, store, func(o *Options) { o.Crawl = crawlStatus }), "GET", "/overview", nil), 200)
	links := doc.Find(".cards a, .bars a, .contacts a")
	if links.Length() < 20 {
		t.Fatalf("only %d numbers", links.Length())
	}
	links.Each(func(_ int, a *goquery.Selection) {
		u, _ := url.Parse(a.AttrOr("href", ""))
		n := total(t, store, u.Query().Get("q"))
		if !strings.Contains(a.Text(), fmt.Sprint(n)) {
			t.Errorf("%q leads to %d records (%s)", strings.Join(strings.Fields(a.Text()), " "), n, u.Query().Get("q"))
		}
	})
	if doc.Find(".days a").Length() != chartDays || !strings.Contains(doc.Find(".crawl").Text(), "1,288") {
		t.Error("the days or the crawl are missing")
	}
	failing := newServer(t, store, func(o *Options) {
		o.Crawl = func(context.Context) (CrawlStatus, error) { return CrawlStatus{}, errors.New("away") }
	})
	document(t, ask(failing, "GET", "/overview", nil), 200)
}

func TestAuditFiltersAndVerifies(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, english)
	doc := document(t, ask(server, "GET", "/audit?actor=mei&action=status", nil), 200)
	if n := doc.Find(".trail tbody tr").Length(); n != 4 {
		t.Errorf("%d rows of mei's statuses, want 4", n)
	}
	if !strings.Contains(doc.Find("#verified").Text(), "intact") {
		t.Errorf("the trail is %q", doc.Find("#verified").Text())
	}
	altered := newServer(t, alteredStore{store}, english)
	doc = document(t, ask(altered, "GET", "/audit", nil), 200)
	if !strings.Contains(doc.Find("#verified").Text(), "altered at row 3") {
		t.Errorf("an altered trail is %q", doc.Find("#verified").Text())
	}
}

// alteredStore is a store whose trail somebody wrote into.
type alteredStore struct{ index.Store }

func (alteredStore) VerifyAudit(context.Context) error {
	return &index.AuditError{Seq: 3, Problem: "the hash does not fit"}
}

func TestExportsStreamAndAreRecorded(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, nil)
	w := ask(server, "GET", "/export.csv?"+queryString("q", "退保"), nil)
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(w.Body.Bytes(), []byte("\uFEFF")))).ReadAll()
	if err != nil || len(rows)-1 != total(t, store, "退保") {
		t.Errorf("%d lines, %v", len(rows), err)
	}
	w = ask(server, "GET", "/export.xlsx?"+queryString("q", "退保"), nil)
	if book, err := excelize.OpenReader(bytes.NewReader(w.Body.Bytes())); err != nil {
		t.Error(err)
	} else if rows, err := book.GetRows("records"); err != nil || len(rows)-1 != total(t, store, "退保") {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	w = ask(server, "GET", "/export.jsonl?q=", nil)
	if n := strings.Count(w.Body.String(), "\n"); n != len(seeds) {
		t.Errorf("%d lines of %d records", n, len(seeds))
	}
	audit, err := store.Audit(t.Context(), "", 0, 2)
	if err != nil || audit[0].Action != "export" || audit[0].To != "jsonl" || !strings.Contains(audit[1].Note, "退保") || audit[1].Actor != "analyst" {
		t.Errorf("the trail says %+v (%v)", audit, err)
	}
	if w = ask(server, "GET", "/export.csv?q=(", nil); w.Code != http.StatusBadRequest {
		t.Errorf("a bad query exports with %d", w.Code)
	}
}

func TestAPI(t *testing.T) {
	store := seeded(t)
	server := newServer(t, store, nil)
	id := seedRecords(t)[3].Post.ID
	var page index.Page
	if w := ask(server, "GET", "/api/records?"+queryString("q", "flagged:true", "limit", "5", "sort", "score"), nil); json.Unmarshal(w.Body.Bytes(), &page) != nil || len(page.Hits) != 5 || page.Next == "" {
		t.Errorf("search answers %d %s", w.Code, w.Body)
	}
	var detail apiDetail
	if w := ask(server, "GET", "/api/records/"+id, nil); json.Unmarshal(w.Body.Bytes(), &detail) != nil || detail.Record.Post.ID != id {
		t.Errorf("a record answers %d %s", w.Code, w.Body)
	}
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"unknown record":    {"/api/records/none/triage", `{"version":0}`, 404},
		"no version":        {"/api/records/" + id + "/triage", `{"status":"confirmed"}`, 400},
		"unknown key":       {"/api/records/" + id + "/triage", `{"version":0,"state":"x"}`, 400},
		"two values":        {"/api/records/" + id + "/triage", `{"version":0}{}`, 400},
		"unknown status":    {"/api/records/" + id + "/triage", `{"version":0,"status":"gone"}`, 422},
		"dismissed, no why": {"/api/records/" + id + "/triage", `{"version":0,"status":"dismissed"}`, 422},
		"bad tag":           {"/api/records/" + id + "/triage", `{"version":0,"add_tags":[""]}`, 422},
		"good":              {"/api/records/" + id + "/triage", `{"version":0,"status":"dismissed","reason":"duplicate"}`, 200},
		"old version":       {"/api/records/" + id + "/triage", `{"version":7,"status":"new"}`, 409},
	} {
		r := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != c.want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, c.want, w.Body)
		}
	}
	var fault struct{ Error apiFault }
	w := ask(server, "GET", "/api/records?"+queryString("q", "停息 scroe:1"), nil)
	if json.Unmarshal(w.Body.Bytes(), &fault) != nil || fault.Error.Position != 4 || fault.Error.Remedy == "" {
		t.Errorf("a mistake answers %s", w.Body)
	}
	if w := ask(server, "POST", "/api/records/"+id+"/triage", url.Values{"version": {"0"}}); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form gets %d from the API", w.Code)
	}
}

func TestSourcesAreShownByTheirTitle(t *testing.T) {
	store := seeded(t)
	rec := seedRecords(t)[0]
	id := rec.Post.Source
	server := newServer(t, store, func(o *Options) { o.Language, o.Sources = "en", map[string]string{id: "Morning <Forum>"} })
	for path, place := range map[string]string{"/": ".row .meta span", "/?" + queryString("q", term("source", id)): ".facet a", "/overview": ".bars a", "/post/" + rec.Post.ID: ".head .meta span"} {
		doc := document(t, ask(server, "GET", path, nil), 200)
		shown := doc.Find(place).FilterFunction(func(_ int, e *goquery.Selection) bool { return e.AttrOr("title", "") == id })
		if shown.Length() == 0 || !strings.Contains(shown.First().Text(), "Morning <Forum>") {
			t.Errorf("%s: source %q is shown as %q", path, id, shown.Text())
		}
	}
	doc := document(t, ask(server, "GET", "/?"+queryString("q", term("source", id)), nil), 200)
	if got := doc.Find(".chips bdi").Text(); got != "Source: Morning <Forum>" {
		t.Errorf("the chip says %q", got)
	}
}

func TestFilterShowsTheWholeTaxonomy(t *testing.T) {
	server := newServer(t, seeded(t), english)
	for _, query := range []string{defaultQuery, "停息挂账"} {
		doc := document(t, ask(server, "GET", "/?"+queryString("q", query), nil), 200)
		doc.Find(".facet").Each(func(_ int, facet *goquery.Selection) {
			shown, rest := facet.Children().Filter("ul").Find("li").Length(), facet.Find(".rest li").Length()
			if facet.Find(".facet-note").Length() == 0 {
				if shown > facetShown || rest > 0 && shown != facetShown {
					t.Errorf("%q: %q shows %d values and hides %d", query, facet.Find("summary").First().Text(), shown, rest)
				}
				return
			}
			if shown < len(server.order) || rest != 0 {
				t.Errorf("%q: %d categories shown, %d hidden, the taxonomy has %d", query, shown, rest, len(server.order))
			}
		})
		if doc.Find(".facet-note").Length() != 1 {
			t.Errorf("%q: nothing says how categories are counted", query)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	server := newServer(t, seeded(t), nil)
	for path, want := range map[string]int{"/post/none": 404, "/post/%00": 404, "/post/..%2f..%2fetc": 404, "/post/%3Cscript%3E": 404, "/assets/none": 404, "/assets/..%2ftriage.go": 404,
		"/api/records/none": 404, "/?after=rubbish&q=": 400, "/api/records?limit=x": 400, "/api/records?limit=100000": 400, "/api/records?sort=up": 400, "/x/y": 404,
		"/healthz": 200, "/audit?before=rubbish": 200, "/?sort=rubbish": 200} {
		if w := ask(server, "GET", path, nil); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := ask(server, "GET", "/undo", nil); w.Code == 200 {
		t.Error("GET /undo acts")
	}
}
