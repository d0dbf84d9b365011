package triage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/mask"
)

// pageSize is how many records a page of the queue shows.
const pageSize = 50

// listQuery is what the address of a queue page says.
type listQuery struct {
	Text  string
	Sort  index.Sort
	After string // Page.Next of the page before
	Page  int    // for show, from 1
	// Unfolded shows every record, also near-identical ones.
	Unfolded bool
}

func readListQuery(r *http.Request) listQuery {
	v := r.URL.Query()
	q := listQuery{Text: defaultQuery, Sort: index.SortScore, Page: 1, Unfolded: v.Get("fold") == "off"}
	if v.Has("q") {
		q.Text = strings.TrimSpace(v.Get("q"))
	}
	if sort := index.Sort(v.Get("sort")); sort.Valid() {
		q.Sort = sort
	}
	if q.After = v.Get("after"); q.After != "" {
		if n, err := strconv.Atoi(v.Get("page")); err == nil && n > 1 && n < 1_000_000 {
			q.Page = n
		}
	}
	return q
}

// with is the first page of another query in the same order.
func (q listQuery) with(text string) listQuery {
	return listQuery{Text: text, Sort: q.Sort, Page: 1, Unfolded: q.Unfolded}
}

func (q listQuery) href() string {
	v := url.Values{"q": {q.Text}}
	if q.Sort != index.SortScore {
		v.Set("sort", string(q.Sort))
	}
	if q.Unfolded {
		v.Set("fold", "off")
	}
	if q.After != "" {
		v.Set("after", q.After)
		v.Set("page", strconv.Itoa(q.Page))
	}
	return "/?" + v.Encode()
}

// queryHref is the queue for a query.
func queryHref(query string) string { return "/?" + url.Values{"q": {query}}.Encode() }

// listRequest is a queue page being made.
type listRequest struct {
	ctx   context.Context
	query listQuery
	lang  string
}

type queueView struct {
	Query     listQuery
	Mistake   *queryMistake
	Chips     []chip
	Facets    []facetGroup
	Sorts     []choice
	Fold      string // the same page folded, or with every record
	Saved     []choice
	Own       []ownSearch
	CanSave   bool
	Rows      []row
	Total     int
	Next      string
	First     string
	Reasons   []choice
	Statuses  []choice
	ExportCSV string
	ExportXLS string
	ExportAll string
	Here      string
}

// choice is a link or an option.
type choice struct {
	Value, Name, Href string
	Active            bool
}

// row is a record in a list.
type row struct {
	N           int
	ID, Href    string
	Title, Body []segment
	Flagged     bool
	Score       float64
	Severity    classify.Severity
	Stance      classify.Stance
	Categories  []tagged
	Contacts    []contact
	MoreContact int
	Evasion     []classify.Evasion
	Source      string
	Author      string
	Published   time.Time
	Campaign    int
	Copies      []copyOf // near-identical records that match the query too
	MoreCopies  int      // beyond those a decision on the row covers
	CopiesHref  string   // the queue of all of them
	Deleted     bool
	Triage      index.Triage
}

// tagged is a name with its colour.
type tagged struct{ ID, Name, Class string }

// contact is a way to reach somebody, with the posts that name it too.
type contact struct {
	Type, Value, Raw string
	Query            string // of the posts that name it; empty when it is masked
	Count            int    // how many; 0 when not counted
}

// isContact reports whether e leads to a person who is not an authority.
func isContact(e classify.Entity) bool {
	return !e.Official && slices.Contains(index.ContactTypes[:], e.Type)
}

// contactsOf lists a verdict's contacts, each once.
func contactsOf(v classify.Verdict) []contact {
	var out []contact
	seen := map[[2]string]bool{}
	for _, e := range v.Entities {
		key := [2]string{e.Type, e.Value}
		if !isContact(e) || seen[key] {
			continue
		}
		seen[key] = true
		field := "contact"
		if slices.Contains(index.EntityTypes[:], e.Type) {
			field = e.Type
		}
		c := contact{Type: e.Type, Value: e.Value, Raw: e.Raw}
		if !mask.Hidden(e.Value) {
			c.Query = term(field, e.Value)
		}
		out = append(out, c)
	}
	return out
}

func (s *Server) colorClass(id string) string {
	if n, ok := s.colors[id]; ok {
		return "c" + strconv.Itoa(n)
	}
	return "c-none"
}

func (s *Server) categoriesOf(v classify.Verdict, lang string) []tagged {
	var out []tagged
	for _, c := range v.Categories {
		out = append(out, tagged{c.ID, s.categoryName(c.ID, lang), s.colorClass(c.ID)})
	}
	return out
}

func (s *Server) row(n int, rec index.Record, terms []string, lang string) row {
	v := rec.Verdict
	title, body := s.excerpt(rec, terms, lang)
	out := row{N: n, ID: rec.Post.ID, Href: "/post/" + url.PathEscape(rec.Post.ID), Title: title, Body: body, Flagged: v.Flagged, Score: v.Score,
		Severity: v.Severity, Stance: v.Stance, Categories: s.categoriesOf(v, lang), Contacts: contactsOf(v), Evasion: v.Evasion,
		Source: rec.Post.Source, Author: rec.Post.Author.Name, Published: rec.Post.PublishedAt, Campaign: rec.Campaign.Size,
		Deleted: !rec.DeletedAt.IsZero(), Triage: rec.Triage}
	if len(out.Contacts) > 3 {
		out.MoreContact = len(out.Contacts) - 3
		out.Contacts = out.Contacts[:3]
	}
	return out
}

func (s *Server) getQueue(w http.ResponseWriter, r *http.Request) {
	lang := s.lang(r)
	q := readListQuery(r)
	req := listRequest{r.Context(), q, lang}
	v := queueView{Query: q, Here: here(r), Reasons: reasonChoices(lang, false), Statuses: statusChoices(lang),
		ExportCSV: "/export.csv?" + url.Values{"q": {q.Text}}.Encode(), ExportXLS: "/export.xlsx?" + url.Values{"q": {q.Text}}.Encode(), ExportAll: "/export.jsonl?" + url.Values{"q": {q.Text}}.Encode()}
	for _, o := range [...]index.Sort{index.SortScore, index.SortIngested, index.SortPublished} {
		sorted := q.with(q.Text)
		sorted.Sort = o
		v.Sorts = append(v.Sorts, choice{Value: string(o), Name: text(lang, "sort."+string(o)), Href: sorted.href(), Active: o == q.Sort})
	}
	v.Saved = s.savedQueries(q, s.user(r), lang)
	parts, err := splitQuery(q.Text, s.now().In(s.loc))
	if err == nil {
		v.CanSave = s.searches != nil
		v.Own, err = s.ownSearches(r.Context(), q, s.user(r))
	}
	if err == nil {
		err = s.fillQueue(req, parts, &v)
	}
	if m, ok := explainQuery(q.Text, err, lang); ok {
		v.Mistake = m
		s.render(w, r, http.StatusBadRequest, "queue", text(lang, "nav.queue"), v)
		return
	}
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "queue", text(lang, "nav.queue"), v)
}

func (s *Server) fillQueue(req listRequest, parts []part, v *queueView) error {
	q := req.query
	rows, page, err := s.readFolded(req.ctx, q)
	if err != nil {
		return err
	}
	terms := textTerms(parts)
	for i, f := range rows {
		r := s.row(i, f.rec, terms, req.lang)
		r.Copies, r.MoreCopies = f.copies, f.more
		if len(f.copies) > 0 {
			all := q.with(within(f.rec.Campaign.ID, q.Text))
			all.Unfolded = true
			r.CopiesHref = all.href()
		}
		v.Rows = append(v.Rows, r)
	}
	toggled := q.with(q.Text)
	toggled.Unfolded = !q.Unfolded
	v.Fold = toggled.href()
	v.Total = page.Total
	if page.Next != "" {
		v.Next = listQuery{Text: q.Text, Sort: q.Sort, After: page.Next, Page: q.Page + 1, Unfolded: q.Unfolded}.href()
	}
	if q.After != "" {
		v.First = q.with(q.Text).href()
	}
	v.Chips = s.chips(parts, q, req.lang)
	v.Facets, err = s.facets(req, parts)
	return err
}

// savedQueries are the views that everybody needs.
func (s *Server) savedQueries(q listQuery, user, lang string) []choice {
	var out []choice
	for _, saved := range [...]struct{ key, query string }{
		{"saved.open", defaultQuery},
		{"saved.mine", "status:(new OR reviewing OR returned) " + term("assignee", user)},
		{"saved.confirmed", "status:confirmed"},
		{"saved.dismissed", "status:dismissed"},
		{"saved.unflagged", "flagged:false"},
		{"saved.all", ""},
	} {
		out = append(out, choice{Value: saved.query, Name: text(lang, saved.key), Href: q.with(saved.query).href(), Active: q.Text == saved.query})
	}
	return out
}

// dismissReasons are why a hit is none; each tells the dictionary's operators
// something else.
var dismissReasons = [...]string{"quoted_news", "anti_fraud_notice", "victim_question", "licensed_business", "negated_or_ironic",
	"homograph", "dead_link", "duplicate", "other"}

// reasonChoices lists them; "other" only where a comment can say which.
func reasonChoices(lang string, comment bool) []choice {
	var out []choice
	for _, id := range dismissReasons {
		if id == "other" && !comment {
			continue
		}
		out = append(out, choice{Value: id, Name: label(lang, "reason", id)})
	}
	return out
}

func statusChoices(lang string) []choice {
	var out []choice
	for _, st := range index.Statuses {
		out = append(out, choice{Value: string(st), Name: label(lang, "status", string(st))})
	}
	return out
}

// refused reports whether err is the caller's mistake.
func refused(err error) bool { return errors.Is(err, index.ErrInvalid) }
