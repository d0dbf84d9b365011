package triage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/workbench"
)

// Bounds of the pages of the dictionary.
const (
	entriesPage = 100
	statsWait   = 2 * time.Second // how long a page waits for counts
	dictNoteMax = 500             // bytes of a note
)

func (s *Server) dictionaryRoutes() {
	if s.bench == nil {
		return
	}
	s.mux.HandleFunc("GET /dictionary", s.getDictionary)
	s.mux.HandleFunc("GET /dictionary/try", s.getTry)
	s.mux.HandleFunc("POST /dictionary/try", s.postTry)
	s.mux.HandleFunc("GET /dictionary/entry", s.getEntry)
	s.mux.HandleFunc("POST /dictionary/entry", s.postEntry)
	s.mux.HandleFunc("GET /dictionary/draft", s.getDraft)
	s.mux.HandleFunc("POST /dictionary/draft", s.postDraft)
	s.mux.HandleFunc("POST /dictionary/backtest", s.postBacktest)
	s.mux.HandleFunc("GET /dictionary/versions", s.getVersions)
	s.mux.HandleFunc("GET /dictionary/diff", s.getDiff)
	s.mux.HandleFunc("POST /dictionary/rollback", s.postRollback)
	s.mux.HandleFunc("GET /dictionary/suggest", s.getSuggest)
	s.mux.HandleFunc("POST /dictionary/suggest", s.postSuggest)
}

// dictTabs is what every page of the dictionary gets.
type dictTabs struct {
	Tab      string
	ReadOnly bool
	Edits    int    // in the visitor's draft
	Waiting  int    // drafts of others that wait for approval
	Problem  string // what went wrong, in the words of the package
	Mistakes []string
	Done     string // key of what was done
}

func (s *Server) dictTabs(r *http.Request, tab string) dictTabs {
	t := dictTabs{Tab: tab, ReadOnly: s.bench.ReadOnly()}
	if d, err := s.bench.Draft(s.user(r)); err == nil {
		t.Edits = len(d.Edits)
	}
	if waiting, err := s.bench.Submitted(); err == nil {
		for _, d := range waiting {
			if d.User != s.user(r) {
				t.Waiting++
			}
		}
	}
	if done := r.URL.Query().Get("done"); slices.Contains(dictDone[:], done) {
		t.Done = "dict.done_" + done
	}
	return t
}

// dictDone are what an address may say was done.
var dictDone = [...]string{"saved", "published", "submitted", "returned", "discarded", "rebased", "removed", "rolled_back"}

// dictProblem is the text of an error of the workbench; "" when it is none that
// a person can mend.
func dictProblem(lang string, err error) string {
	for _, p := range [...]struct {
		err error
		key string
	}{
		{workbench.ErrReadOnly, "dict.read_only"}, {workbench.ErrConflict, "dict.err_conflict"}, {workbench.ErrNoDraft, "dict.err_no_draft"}, {workbench.ErrFourEyes, "dict.err_four_eyes"},
		{workbench.ErrBusy, "dict.err_busy"}, {workbench.ErrNoVersion, "dict.err_no_version"}, {workbench.ErrNote, "dict.err_note"}, {workbench.ErrByHand, "dict.err_by_hand"},
		{workbench.ErrGone, "dict.err_gone"},
	} {
		if errors.Is(err, p.err) {
			return text(lang, p.key)
		}
	}
	return ""
}

// refuse fills in what was wrong. It answers itself, and returns false, for an
// error that is not the visitor's.
func (s *Server) refuseEdit(w http.ResponseWriter, r *http.Request, t *dictTabs, err error) bool {
	lang := s.lang(r)
	if t.Problem = dictProblem(lang, err); t.Problem != "" {
		return true
	}
	if errors.Is(err, workbench.ErrInvalid) {
		t.Problem = err.Error()
		return true
	}
	if mistakes := classify.MistakesOf(err); len(mistakes) > 0 && mistakes[0].File != "" {
		t.Problem = text(lang, "dict.err_mistakes")
		for _, m := range mistakes[:min(len(mistakes), 30)] {
			t.Mistakes = append(t.Mistakes, m.Error())
		}
		return true
	}
	s.log.Error("working on the dictionaries", "path", r.URL.Path, "err", err)
	s.problem(w, r, http.StatusInternalServerError, "error.internal")
	return false
}

type dictView struct {
	dictTabs
	Rows     []entryRow
	Total    int
	Query    string
	Kind     string
	Category string
	Sort     string
	Kinds    []choice
	Cats     []choice
	Sorts    []choice
	Periods  []choice
	Stats    workbench.Statistics
	Counting bool
	Version  string
	Next     string
	First    string
}

type entryRow struct {
	workbench.Entry
	workbench.Count
	Title     string
	Weight    string
	Changed   bool // by the draft
	Precision string
	Low       bool // half of what was decided was wrong, or more
}

func entryTitle(e workbench.Entry, lang string) string {
	if e.Kind == workbench.KindTerm {
		return e.Values.First("text")
	}
	return cmp.Or(e.Values.First("name."+lang), e.ID)
}

func entryHref(r workbench.Ref) string {
	return "/dictionary/entry?" + url.Values{"kind": {r.Kind}, "category": {r.Category}, "id": {r.ID}}.Encode()
}

func (s *Server) getDictionary(w http.ResponseWriter, r *http.Request) {
	lang, q := s.lang(r), r.URL.Query()
	draft, err := s.bench.Draft(s.user(r))
	var files map[string][]byte
	if err == nil {
		files, err = draft.Files()
	}
	if err != nil {
		s.log.Error("reading the dictionaries", "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.internal")
		return
	}
	days, _ := strconv.Atoi(q.Get("days"))
	if !slices.Contains(workbench.StatDays[:], days) {
		days = workbench.StatDays[1]
	}
	ctx, cancel := context.WithTimeout(r.Context(), statsWait)
	defer cancel()
	v := dictView{dictTabs: s.dictTabs(r, "browse"), Query: strings.TrimSpace(q.Get("q")), Kind: q.Get("kind"), Category: q.Get("category"), Sort: q.Get("sort"), Stats: s.bench.Statistics(ctx, days),
		Version: s.bench.Classifier().Dictionary().Version}
	v.Counting = v.Stats.At.IsZero()
	if _, err := classify.LoadDictionaryFiles(files); err != nil {
		v.addMistakes(err) // an edit by hand that was refused
	}
	rows := s.entryRows(v, workbench.Entries(files), draft, lang)
	sortRows(rows, v.Sort)
	v.Total = len(rows)
	offset, _ := strconv.Atoi(q.Get("from"))
	offset = min(max(offset, 0), len(rows))
	v.Rows = rows[offset:min(offset+entriesPage, len(rows))]
	at := func(changes ...string) string { return changedQuery("/dictionary", q, changes...) }
	for _, k := range workbench.Kinds {
		v.Kinds = append(v.Kinds, choice{Value: k, Name: text(lang, "dict.kind_"+k), Active: k == v.Kind})
	}
	for _, id := range s.order {
		v.Cats = append(v.Cats, choice{Value: id, Name: s.categoryName(id, lang), Active: id == v.Category})
	}
	for _, d := range workbench.StatDays {
		v.Periods = append(v.Periods, choice{Value: strconv.Itoa(d), Name: fmt.Sprintf(text(lang, "dict.days"), d), Active: d == days})
	}
	for _, k := range [...]string{"", "hits", "wrong", "unused"} {
		v.Sorts = append(v.Sorts, choice{Value: k, Name: text(lang, "dict.sort_"+cmp.Or(k, "file")), Active: k == v.Sort})
	}
	if offset > 0 {
		v.First = at("from", "")
	}
	if offset+entriesPage < len(rows) {
		v.Next = at("from", strconv.Itoa(offset+entriesPage))
	}
	s.render(w, r, http.StatusOK, "dictionary", text(lang, "nav.dictionary"), v)
}

// changedQuery is an address with some parameters changed; "" removes one.
func changedQuery(path string, q url.Values, changes ...string) string {
	out := url.Values{}
	for _, key := range [...]string{"q", "kind", "category", "days", "sort", "from"} {
		if v := q.Get(key); v != "" {
			out.Set(key, v)
		}
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if out.Del(changes[i]); changes[i+1] != "" {
			out.Set(changes[i], changes[i+1])
		}
	}
	return path + "?" + out.Encode()
}

func (s *Server) entryRows(v dictView, entries []workbench.Entry, draft workbench.Draft, lang string) []entryRow {
	changed := map[workbench.Ref]bool{}
	for _, e := range draft.Edits {
		changed[e.Result()] = true
	}
	var rows []entryRow
	for _, e := range entries {
		if v.Kind != "" && e.Kind != v.Kind || v.Category != "" && e.Category != v.Category || !entryHolds(e, v.Query) {
			continue
		}
		row := entryRow{Entry: e, Count: v.Stats.Of(e.Ref), Title: entryTitle(e, lang), Weight: e.Values.First("weight"), Changed: changed[e.Ref]}
		if p, ok := row.Count.Precision(); ok {
			row.Precision, row.Low = strconv.FormatFloat(100*p, 'f', 0, 64)+"%", p <= 0.5
		}
		rows = append(rows, row)
	}
	return rows
}

// entryHolds reports whether a value of an entry contains what was asked for.
func entryHolds(e workbench.Entry, query string) bool {
	if query = strings.ToLower(query); query == "" {
		return true
	}
	for _, list := range e.Values {
		for _, v := range list {
			if strings.Contains(strings.ToLower(v), query) {
				return true
			}
		}
	}
	return false
}

func sortRows(rows []entryRow, by string) {
	slices.SortStableFunc(rows, func(a, b entryRow) int {
		switch by {
		case "hits":
			return cmp.Compare(b.Hits, a.Hits)
		case "wrong":
			return cmp.Or(cmp.Compare(b.Dismissed, a.Dismissed), cmp.Compare(a.Confirmed, b.Confirmed))
		case "unused":
			return cmp.Compare(a.Posts, b.Posts)
		}
		return 0
	})
}
