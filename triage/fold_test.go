package triage

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"qingyuan/index"
)

// putCampaigns puts campaigns of the sizes given, of flagged records, and
// returns their ids, each campaign's in the order of the queue.
func putCampaigns(t *testing.T, store index.Store, sizes ...int) [][]string {
	t.Helper()
	seed := seedRecords(t)[3]
	out := make([][]string, len(sizes))
	for c, size := range sizes {
		for i := range size {
			r := seed
			r.Post.ID = fmt.Sprintf("camp%d-%04d", c, i)
			r.Post.URL = "https://bbs.example/" + r.Post.ID
			r.Verdict.Score = 0.99 - 0.1*float64(c)
			r.Campaign = index.Campaign{ID: fmt.Sprintf("camp%d", c), FirstSeen: r.FirstSeen}
			put(t, store, r)
			out[c] = append(out[c], r.Post.ID)
		}
	}
	return out
}

func rowForm(row *goquery.Selection) url.Values {
	v := url.Values{}
	row.Find("form.quick input").Each(func(_ int, in *goquery.Selection) {
		if _, checked := in.Attr("checked"); checked || in.AttrOr("type", "") == "hidden" {
			v.Add(in.AttrOr("name", ""), in.AttrOr("value", ""))
		}
	})
	return v
}

func TestQueueFoldsCampaigns(t *testing.T) {
	store := openStore(t)
	ids := putCampaigns(t, store, 130, 3, 1)
	server := newServer(t, store, english)
	doc := document(t, ask(server, "GET", "/", nil), 200)
	rows := doc.Find("[data-row]")
	if rows.Length() != 3 || doc.Find("#total b").Text() != "134" {
		t.Fatalf("%d rows of %s records, want 3 of 134", rows.Length(), doc.Find("#total b").Text())
	}
	for i, want := range []struct{ copies, alike string }{{"with 100 alike", "130 alike"}, {"with 2 alike", "3 alike"}, {"", ""}} {
		row := rows.Eq(i)
		if got := row.Find(".group span").Text(); got != want.copies {
			t.Errorf("row %d covers %q, want %q", i, got, want.copies)
		}
		if got := row.Find(".alike").Text(); got != want.alike {
			t.Errorf("row %d says %q, want %q", i, got, want.alike)
		}
	}
	href, _ := rows.Eq(1).Find(".alike").Attr("href")
	if all := document(t, ask(server, "GET", href, nil), 200); all.Find("[data-row]").Length() != 3 {
		t.Errorf("%s shows %d records, want the 3 of the campaign", href, all.Find("[data-row]").Length())
	}
	unfold, _ := doc.Find(".fold a").Attr("href")
	if all := document(t, ask(server, "GET", unfold, nil), 200); all.Find("[data-row]").Length() != pageSize || all.Find(".group").Length() != 0 {
		t.Errorf("unfolded, the page has %d rows", all.Find("[data-row]").Length())
	}

	// One decision covers the copies that were listed, and one undo takes it back.
	form := rowForm(rows.Eq(1))
	form.Set("status", "dismissed")
	form.Set("reason", "duplicate")
	form.Set("comment", "三条一样")
	other := ids[1][2]
	if _, err := store.Triage(t.Context(), other, 0, index.TriageChange{Actor: "bo", Status: index.StatusReviewing}); err != nil {
		t.Fatal(err)
	}
	w := ask(server, "POST", "/post/"+ids[1][0]+"/triage", form)
	if w.Code != http.StatusSeeOther || !strings.Contains(w.Header().Get("Set-Cookie"), "group_conflict.1") {
		t.Fatalf("%d, notice %q: want one copy left because bo changed it", w.Code, w.Header().Get("Set-Cookie"))
	}
	for i, want := range []index.Status{index.StatusDismissed, index.StatusDismissed, index.StatusReviewing} {
		if got := get(t, store, ids[1][i]).Triage; got.Status != want || got.CommentCount != map[bool]int{true: 1}[i == 0] {
			t.Errorf("record %d is %+v, want %s", i, got, want)
		}
	}
	ask(server, "POST", "/undo", url.Values{"back": {"/"}})
	for i, want := range []index.Status{index.StatusNew, index.StatusNew, index.StatusReviewing} {
		if got := get(t, store, ids[1][i]).Triage.Status; got != want {
			t.Errorf("after undo record %d is %s, want %s", i, got, want)
		}
	}

	// Unticked, the row stands for itself.
	form = rowForm(document(t, ask(server, "GET", "/", nil), 200).Find("[data-row]").Eq(0))
	form.Del("group")
	form.Set("status", "confirmed")
	ask(server, "POST", "/post/"+ids[0][0]+"/triage", form)
	if n := total(t, store, "status:confirmed"); n != 1 {
		t.Errorf("%d records are confirmed, want the one", n)
	}
}

func TestFoldedPagingReachesEveryCampaign(t *testing.T) {
	store := openStore(t)
	sizes := make([]int, 80)
	for i := range sizes {
		sizes[i] = 1 + i%4
	}
	putCampaigns(t, store, sizes...)
	server := newServer(t, store, nil)
	seen := map[string]bool{}
	next := "/?q="
	for pages := 0; next != "" && pages < 10; pages++ {
		doc := document(t, ask(server, "GET", next, nil), 200)
		doc.Find("[data-row] a.open").Each(func(_ int, a *goquery.Selection) {
			campaign, _, _ := strings.Cut(strings.TrimPrefix(a.AttrOr("href", ""), "/post/"), "-")
			seen[campaign] = true
		})
		next, _ = doc.Find("a[rel=next]").Attr("href")
	}
	if len(seen) != len(sizes) {
		t.Errorf("the pages show %d campaigns of %d", len(seen), len(sizes))
	}
}

func TestBadCopiesAreRefusedBeforeAnythingChanges(t *testing.T) {
	store := openStore(t)
	ids := putCampaigns(t, store, 2)
	server := newServer(t, store, nil)
	for name, also := range map[string][]string{"no version": {"x"}, "no number": {"a:b"}, "no id": {"0:"}, "too many": make([]string, maxCopies+1)} {
		form := url.Values{"version": {"0"}, "status": {"confirmed"}, "group": {"1"}, "also": also}
		if w := ask(server, "POST", "/post/"+ids[0][0]+"/triage", form); w.Code < 400 || w.Code >= 500 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if n := total(t, store, "status:confirmed"); n != 0 {
		t.Errorf("%d records changed", n)
	}
}

// BenchmarkFoldedQueue reads a page on which every row has copies.
func BenchmarkFoldedQueue(b *testing.B) {
	store := openStore(b)
	var recs []index.Record
	for _, s := range seedRecords(b) {
		for i := range 250 {
			r := s
			r.Post.ID += fmt.Sprint("-", i)
			r.Campaign = index.Campaign{ID: fmt.Sprintf("c%d-%s", i%50, s.Post.ID[:4]), FirstSeen: r.FirstSeen}
			recs = append(recs, r)
		}
	}
	put(b, store, recs...)
	server := newServer(b, store, nil)
	b.ResetTimer()
	start := time.Now()
	for b.Loop() {
		if w := ask(server, "GET", "/", nil); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds())/float64(b.N), "ms/page")
}
