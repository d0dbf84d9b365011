package indextest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"qingyuan/index"
)

// fill puts generated records and gives a part of them a triage; it returns
// them as the store has them.
func fill(t *testing.T, s index.Store, n int) []index.Record {
	t.Helper()
	recs := Posts(n, 11)
	for chunk := range slices.Chunk(recs, 100) {
		put(t, s, chunk...)
	}
	assignees := []string{"lin", "wu"}
	for i, r := range recs {
		c := index.TriageChange{Actor: "lin"}
		switch i % 16 {
		case 0:
			c.Status, c.Assignee = index.StatusReviewing, &assignees[i/16%2]
		case 1:
			c.Status, c.Reason, c.AddTags = index.StatusDismissed, []string{"news", "warning"}[i/16%2], []string{"普法"}
		case 2:
			c.Status, c.AddTags = index.StatusConfirmed, []string{"重点", "a b"}
		default:
			continue
		}
		change(t, s, r.Post.ID, 0, c)
	}
	for i := range recs {
		recs[i] = get(t, s, recs[i].Post.ID)
	}
	return recs
}

func ids(recs []index.Record) []string {
	out := make([]string, len(recs))
	for i, r := range recs {
		out[i] = r.Post.ID
	}
	return out
}

func hitIDs(p index.Page) []string {
	out := make([]string, len(p.Hits))
	for i, h := range p.Hits {
		out[i] = h.Record.Post.ID
	}
	return out
}

// sortRecords orders as the Store promises.
func sortRecords(recs []index.Record, by index.Sort) {
	key := func(r index.Record) time.Time {
		switch by {
		case index.SortPublished:
			return r.Post.PublishedAt
		case index.SortFirstSeen:
			return r.FirstSeen
		}
		return r.IngestedAt
	}
	slices.SortFunc(recs, func(a, b index.Record) int {
		c := key(b).Compare(key(a))
		if by == index.SortScore {
			c = cmp.Compare(b.Verdict.Score, a.Verdict.Score)
		}
		return cmp.Or(c, strings.Compare(a.Post.ID, b.Post.ID))
	})
}

func testSearchOrder(t *testing.T, s index.Store) {
	recs := fill(t, s, 130)
	for _, by := range [...]index.Sort{"", index.SortScore, index.SortIngested, index.SortPublished, index.SortFirstSeen} {
		for _, query := range [...]string{"", "flagged:true", "停息", "score<0.7 status:new"} {
			e, err := index.Parse(query, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var want []index.Record
			for _, r := range recs {
				if Matches(e, r) {
					want = append(want, r)
				}
			}
			sortRecords(want, by)
			q := index.Query{Text: query, Sort: by, Limit: 7}
			var byOffset, byCursor []string
			for page := 0; ; page++ {
				q.Offset, q.After = page*7, ""
				p, err := s.Search(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if p.Total != len(want) {
					t.Fatalf("%q by %s: total %d, want %d", query, by, p.Total, len(want))
				}
				byOffset = append(byOffset, hitIDs(p)...)
				if len(p.Hits) < 7 {
					break
				}
			}
			q.Offset, q.NoTotal = 0, true
			for {
				q.OnlyIDs = !q.OnlyIDs
				p, err := s.Search(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if p.Total != -1 {
					t.Fatalf("total %d with NoTotal, want -1", p.Total)
				}
				if len(p.Hits) > 0 && (p.Hits[0].Record.Post.Source == "") != q.OnlyIDs {
					t.Fatalf("only ids: %v, hit %+v", q.OnlyIDs, p.Hits[0])
				}
				byCursor = append(byCursor, hitIDs(p)...)
				if q.After = p.Next; p.Next == "" {
					break
				}
			}
			if d := gocmp.Diff(ids(want), byOffset); d != "" {
				t.Errorf("%q by %s, pages by offset (-want +got):\n%s", query, by, d)
			}
			if d := gocmp.Diff(ids(want), byCursor); d != "" {
				t.Errorf("%q by %s, pages by cursor (-want +got):\n%s", query, by, d)
			}
		}
	}
	if p := search(t, s, "停息挂账"); len(p.Hits) == 0 || !gocmp.Equal(p.Hits[0].Record, get(t, s, p.Hits[0].Record.Post.ID)) || p.Hits[0].Snippet == "" {
		t.Error("a hit is not the whole record with a snippet")
	}
}

func testSearchRefuses(t *testing.T, s index.Store) {
	for _, query := range [...]string{"statu:new", "status:nwe", "(停息", "停息)", `"停息`, "AND", "停息 OR", "score:high", "published:gestern",
		"published:[2026-11-02 TO 2026-11-01]", "score:[0.1 0.2]", "NOT", "。。。", "title:", "*", "source:*", "()"} {
		var qe *index.QueryError
		if _, err := s.Search(t.Context(), index.Query{Text: query}); !errors.As(err, &qe) {
			t.Errorf("Search(%q): got %v, want a *QueryError", query, err)
		}
		if _, err := s.Facets(t.Context(), index.Query{Text: query}, []string{index.FacetStance}, 5); !errors.As(err, &qe) {
			t.Errorf("Facets(%q): got %v, want a *QueryError", query, err)
		}
	}
	for _, q := range [...]index.Query{{Limit: -1}, {Limit: index.MaxLimit + 1}, {Offset: -1}, {Sort: "id"}, {After: "garbage!"}, {After: "YWJj"}} {
		if _, err := s.Search(t.Context(), q); !errors.Is(err, index.ErrInvalid) {
			t.Errorf("Search(%+v): got %v, want ErrInvalid", q, err)
		}
	}
	if _, err := s.Facets(t.Context(), index.Query{}, []string{"colour"}, 5); !errors.Is(err, index.ErrInvalid) {
		t.Errorf("an unknown facet: got %v, want ErrInvalid", err)
	}
}

// testSearchHostile gives queries that try to reach the engine behind; each
// must answer, with hits of its own meaning or a QueryError, and do no harm.
func testSearchHostile(t *testing.T, s index.Store) {
	put(t, s, record("1", "停息挂账", "专业办理 NEAR body"))
	for _, query := range [...]string{`' OR '1'='1`, `"' OR 1=1 --"`, `source:"x' OR '1'='1"`, `title:"停息\" OR \"1"`, `"停息"*`, `NEAR(停息 挂账, 5)`,
		`body : 停息`, `{title body} : 停息`, `^停息`, `停息 + 挂账`, "\x00", "\"\x00\"", "停\x00息", `id:"\x00"`, `tag:"'); DROP TABLE posts; --"`, `"*"`, `停*`,
		`assignee:"%"`, `url:"%' OR 1=1"`, `{"query":{"match_all":{}}}`, `"}}]}"`, `_id:1`, `_source:x`, strings.Repeat("(", 500), strings.Repeat("NOT ", 1000) + "停",
		strings.Repeat("-", 3000), strings.Repeat("停 OR ", 300) + "停", strings.Repeat("债", 1300), strings.Repeat(`"`, 999), "\xff\xfe停息", "score:1e999", "score:nan",
		"published:99999d", "published:0001-01-01", `author:"` + strings.Repeat("张", 1000) + `"`, "🐧🐧🐧", "／＊停息＊／"} {
		p, err := s.Search(t.Context(), index.Query{Text: query})
		var qe *index.QueryError
		if err != nil && !errors.As(err, &qe) {
			t.Errorf("Search(%.60q): %v, want hits or a *QueryError", query, err)
		}
		if err == nil && p.Total > 0 && !strings.ContainsAny(query, "停-") {
			t.Errorf("Search(%.60q) finds the only record", query)
		}
	}
	if n := search(t, s, "").Total; n != 1 {
		t.Errorf("%d records after the hostile queries, want 1", n)
	}
}

// randomQuery makes a query of the language out of the generated posts.
func randomQuery(rnd *rand.Rand, recs []index.Record, depth int) string {
	if depth > 0 && rnd.IntN(2) == 0 {
		a, b := randomQuery(rnd, recs, depth-1), randomQuery(rnd, recs, depth-1)
		return [...]string{a + " " + b, "(" + a + ") OR (" + b + ")", a + " && NOT (" + b + ")", "-(" + a + ") " + b, "(" + a + " || " + b + ")"}[rnd.IntN(5)]
	}
	r := recs[rnd.IntN(len(recs))]
	day := func() string { return base.AddDate(0, 0, -rnd.IntN(22)).Format(time.DateOnly) }
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	switch rnd.IntN(16) {
	case 0, 1, 2, 3, 4:
		text := []rune(r.Post.Title + r.Post.Text)
		at := rnd.IntN(len(text) - 6)
		return quoted(string(text[at : at+1+rnd.IntN(6)]))
	case 5:
		text := []rune(r.Post.Title)
		return pick("title:", "text:") + quoted(string(text[:min(len(text), 1+rnd.IntN(5))]))
	case 6:
		return pick("停息", "债", "加v", "挂账", "V信", "包过", "abc", "1380000")
	case 7:
		return fmt.Sprintf("score%s%.2f", pick(">", ">=", "<", "<="), rnd.Float64())
	case 8:
		return fmt.Sprintf("score:%s%.2f TO %.2f%s", pick("[", "{"), rnd.Float64()/2, 0.5+rnd.Float64()/2, pick("]", "}"))
	case 9:
		return pick("published", "ingested", "seen") + pick(":", ":>", ":<=", ">=") + day()
	case 10:
		return pick("published", "ingested") + ":[" + base.AddDate(0, 0, -22).Format(time.DateOnly) + " TO " + day() + pick("]", "}")
	case 11:
		return pick("stance:", "-stance:") + string(r.Verdict.Stance)
	case 12:
		return pick("status:(new OR reviewing)", "status:dismissed", "assignee:lin", `assignee:""`, "tag:重点", `tag:"a b"`, `NOT tag:""`, "reason:news", "flagged:true", "flagged:FALSE")
	case 13:
		return pick("source:"+r.Post.Source, "source_type:"+r.Post.SourceType, "kind:comment", "region:"+quoted(r.Post.Region), "author:"+quoted(r.Post.Author.Name), "author:"+r.Post.Author.ID,
			"id:"+r.Post.ID, "url:"+r.Post.URL, "url:site1.example", "url:bbs.site2.example", "url:bbs.site3.example/t/1")
	case 14:
		return pick("category:credit_repair", `category:""`, "evasion:traditional", `evasion:""`, `severity:""`, "severity:high", "campaign:c1", `campaign:""`)
	}
	if len(r.Verdict.Entities) == 0 {
		return `contact:""`
	}
	e := r.Verdict.Entities[0]
	return pick(e.Type+":"+strings.ToUpper(e.Value), "contact:"+e.Value, `phone:"138 0000 0001"`, `wechat:""`)
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func testSearchDifferential(t *testing.T, s index.Store) {
	recs := fill(t, s, 400)
	rnd := rand.New(rand.NewPCG(5, 5))
	empty, answered := 0, 0
	for answered < 500 {
		query := randomQuery(rnd, recs, 2)
		e, err := index.Parse(query, time.Now().In(index.China()))
		if err != nil {
			continue // nothing but punctuation was picked
		}
		answered++
		var want []index.Record
		for _, r := range recs {
			if Matches(e, r) {
				want = append(want, r)
			}
		}
		if len(want) == 0 {
			empty++
		}
		sortRecords(want, index.SortIngested)
		p := search(t, s, query)
		if d := gocmp.Diff(ids(want), hitIDs(p)); d != "" || p.Total != len(want) {
			t.Fatalf("query %d: %s\nparsed: %s\ntotal %d, want %d (-naive +store):\n%s", answered, query, e, p.Total, len(want), d)
		}
	}
	if empty > answered*2/3 {
		t.Errorf("%d of %d queries find nothing: the comparison says too little", empty, answered)
	}
}

// testSearchSubstrings compares with strings.Contains itself, for Han
// characters: 1 to 6 of them, from the posts and made up.
func testSearchSubstrings(t *testing.T, s index.Store) {
	recs := fill(t, s, 300)
	rnd := rand.New(rand.NewPCG(6, 6))
	han := func(s string) bool {
		for _, r := range s {
			if r < 0x4E00 || r > 0x9FFF {
				return false
			}
		}
		return true
	}
	for tried := 0; tried < 240; {
		text := []rune(recs[rnd.IntN(len(recs))].Post.Text)
		n := 1 + rnd.IntN(6)
		at := rnd.IntN(len(text) - n)
		needle := string(text[at : at+n])
		if rnd.IntN(5) == 0 {
			other := []rune(recs[rnd.IntN(len(recs))].Post.Text)
			needle = string(text[at]) + string(other[rnd.IntN(len(other))])
		}
		if !han(needle) {
			continue
		}
		tried++
		var want []string
		for _, r := range recs {
			for _, hay := range [...]string{r.Post.Title, r.Post.Text, Normalize(r.Post.Title), Normalize(r.Post.Text)} {
				if strings.Contains(hay, needle) || strings.Contains(hay, Normalize(needle)) {
					want = append(want, r.Post.ID)
					break
				}
			}
		}
		got := hitIDs(search(t, s, quoted(needle)))
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("%s: found %d records, strings.Contains %d", needle, len(got), len(want))
		}
	}
}

func testFacets(t *testing.T, s index.Store) {
	recs := fill(t, s, 300)
	for _, query := range [...]string{"", "flagged:true", "停息挂账", "status:new score>0.3", "kind:comment", "flagged:true status:(new OR dismissed)",
		`flagged:false -tag:重点 OR assignee:lin`, `-category:"" severity:"" stance:report`, `evasion:"" reason:""`, "flagged:true flagged:false", `flagged:""`,
		`source:demo-58 NOT (category:credit_repair OR evasion:traditional)`, `tag:"a b"`, "没有这样的话"} {
		e, err := index.Parse(query, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]int{}
		for _, f := range index.Facets {
			want[f] = map[string]int{}
		}
		for _, r := range recs {
			if Matches(e, r) {
				countFacets(want, r)
			}
		}
		got, err := s.Facets(t.Context(), index.Query{Text: query}, index.Facets[:], 0)
		if err != nil {
			t.Fatal(err)
		}
		for f, counts := range want {
			list := []index.FacetCount{}
			for v, n := range counts {
				list = append(list, index.FacetCount{Value: v, Count: n})
			}
			slices.SortFunc(list, func(a, b index.FacetCount) int {
				return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
			})
			if d := gocmp.Diff(list, got[f]); d != "" {
				t.Errorf("facet %s of %q (-want +got):\n%s", f, query, d)
			}
		}
	}
	top, err := s.Facets(t.Context(), index.Query{}, []string{index.FacetDay}, 3)
	if err != nil || len(top[index.FacetDay]) != 3 {
		t.Fatalf("3 days asked for: %v, %v", top, err)
	}
	day := top[index.FacetDay][0]
	if n := search(t, s, "ingested:"+day.Value).Total; n != day.Count {
		t.Errorf("day %s counts %d, the query for it finds %d", day.Value, day.Count, n)
	}
}

func countFacets(counts map[string]map[string]int, r index.Record) {
	add := func(field string, values ...string) {
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			if v != "" {
				counts[field][v]++
			}
		}
	}
	for _, f := range [...]string{index.FacetCategory, index.FacetStance, index.FacetSeverity, index.FacetStatus, index.FacetSource, index.FacetSourceType,
		index.FacetKind, index.FacetEvasion, index.FacetFlagged, index.FacetAssignee, index.FacetReason, index.FacetTag} {
		add(f, slices.Clone(valuesOf(f, r))...)
	}
	add(index.FacetDay, r.IngestedAt.In(index.China()).Format(time.DateOnly))
	var types []string
	for _, e := range r.Verdict.Entities {
		types = append(types, e.Type)
	}
	add(index.FacetEntityType, types...)
}

// testEachWhileWriting exports while records are added and changed: what was
// there at the start comes exactly once.
func testEachWhileWriting(t *testing.T, s index.Store) {
	recs := Posts(1300, 21)
	late := recs[1200:]
	for i := range late {
		late[i].FirstSeen, late[i].LastSeen = base.AddDate(0, 0, 2), base.AddDate(0, 0, 2)
	}
	for chunk := range slices.Chunk(recs[:1200], 200) {
		put(t, s, chunk...)
	}
	seen := map[string]int{}
	n := 0
	err := index.Each(t.Context(), s, index.Query{Limit: 3, Sort: index.SortScore}, func(r index.Record) error {
		seen[r.Post.ID]++
		if n%100 == 0 && len(late) >= 5 {
			put(t, s, late[:5]...)
			late = late[5:]
			edited := recs[n%1200]
			edited.Post.Text += "（已编辑）"
			edited.Post.FetchedAt = base.AddDate(0, 0, 3)
			put(t, s, edited)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs[:1200] {
		if seen[r.Post.ID] != 1 {
			t.Fatalf("a record that was there all the time came %d times", seen[r.Post.ID])
		}
	}
	stop := errors.New("enough")
	if err := index.Each(t.Context(), s, index.Query{}, func(index.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Each did not stop with the function's error: %v", err)
	}
}
