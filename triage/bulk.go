package triage

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"qingyuan/index"
)

// maxBulk is how many records one bulk action may change.
const maxBulk = 1000

// bulkItem is a record as it was when chosen.
type bulkItem struct {
	ID      string
	Version int64
	Title   string
	Status  index.Status
	Changed *index.Triage // the current state when somebody was faster
	Missing bool
}

// Key is the item as the form carries it.
func (i bulkItem) Key() string { return strconv.FormatInt(i.Version, 10) + ":" + i.ID }

// Href is the record's page.
func (i bulkItem) Href() string { return "/post/" + url.PathEscape(i.ID) }

type bulkView struct {
	Items     []bulkItem
	Status    string
	Reason    string
	Back      string
	Mistake   string // key
	Done      bool
	Changed   int
	Unchanged int
	Failed    int // the store did not answer; see the log
	Conflicts []bulkItem
	Reasons   []choice
	Statuses  []choice
	Query     string // the query whose records were all taken; empty when chosen by hand
}

// postBulk shows what a bulk action would change, and on the second form does
// it to exactly those records, in the versions that were shown.
func (s *Server) postBulk(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	lang := s.lang(r)
	v := bulkView{Status: r.PostForm.Get("status"), Reason: r.PostForm.Get("reason"), Back: localPath(r.PostForm.Get("back")),
		Reasons: reasonChoices(lang, false), Statuses: statusChoices(lang)}
	var err error
	if r.PostForm.Get("all") != "" {
		v.Query = r.PostForm.Get("q")
		v.Items, err = s.freeze(r, v.Query)
	} else {
		v.Items, err = s.chosen(r)
	}
	if err != nil {
		s.bulkProblem(w, r, err)
		return
	}
	title := text(lang, "bulk.title")
	d := decision{Status: v.Status, Reason: v.Reason}
	if key := d.mistake(); key != "" && r.PostForm.Get("confirm") != "" {
		v.Mistake = key
	}
	switch {
	case len(v.Items) == 0:
		v.Mistake = "bulk.nothing"
		s.render(w, r, http.StatusUnprocessableEntity, "bulk", title, v)
	case v.Mistake != "":
		s.render(w, r, http.StatusUnprocessableEntity, "bulk", title, v)
	case r.PostForm.Get("confirm") == "" || v.Status == "":
		s.render(w, r, http.StatusOK, "bulk", title, v)
	default:
		s.applyBulk(r, &v)
		s.render(w, r, http.StatusOK, "bulk", title, v)
	}
}

var (
	errTooMany = errors.New("more records than one bulk action may change")
	errBadItem = errors.New("an item of a bulk form is not version:id")
)

func (s *Server) bulkProblem(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errTooMany):
		s.problem(w, r, http.StatusUnprocessableEntity, "error.too_many")
	case errors.Is(err, errBadItem):
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
	default:
		s.storeProblem(w, r, err)
	}
}

// freeze lists all records of a query as they are now.
func (s *Server) freeze(r *http.Request, query string) ([]bulkItem, error) {
	var items []bulkItem
	err := index.Each(r.Context(), s.store, index.Query{Text: query}, func(rec index.Record) error {
		if len(items) == maxBulk {
			return errTooMany
		}
		items = append(items, newBulkItem(rec, rec.Triage.Version))
		return nil
	})
	return items, err
}

func newBulkItem(rec index.Record, version int64) bulkItem {
	title := []rune(plain(strings.TrimSpace(rec.Post.Title + " " + rec.Post.Text)))
	return bulkItem{ID: rec.Post.ID, Version: version, Title: string(title[:min(len(title), 60)]), Status: rec.Triage.Status}
}

// chosen reads the records that were ticked.
func (s *Server) chosen(r *http.Request) ([]bulkItem, error) {
	keys := slices.Compact(slices.Sorted(slices.Values(r.PostForm["sel"])))
	if len(keys) > maxBulk {
		return nil, errTooMany
	}
	var items []bulkItem
	for _, key := range keys {
		chosen, err := readItem(key)
		if err != nil {
			return nil, err
		}
		id, version := chosen.ID, chosen.Version
		rec, err := s.store.Get(r.Context(), id)
		if errors.Is(err, index.ErrNotFound) {
			items = append(items, bulkItem{ID: id, Version: version, Title: id, Missing: true})
			continue
		}
		if err != nil {
			return nil, err
		}
		item := newBulkItem(rec, version)
		if rec.Triage.Version != version {
			item.Changed = &rec.Triage
		}
		items = append(items, item)
	}
	return items, nil
}

// applyBulk changes the items; those that somebody else changed are left and
// listed.
func (s *Server) applyBulk(r *http.Request, v *bulkView) {
	v.Done = true
	request := "bulk:" + rand.Text()
	for _, item := range v.Items {
		if item.Missing || item.Changed != nil {
			v.Conflicts = append(v.Conflicts, item)
			continue
		}
		changed, err := s.applyItem(r, item, v, request)
		switch {
		case errors.Is(err, index.ErrConflict), errors.Is(err, index.ErrNotFound):
			v.Conflicts = append(v.Conflicts, s.current(r, item))
		case err != nil:
			// What was done stays done and has to be told.
			s.log.Error("a bulk action", "record", item.ID, "err", err)
			v.Failed++
		case changed:
			v.Changed++
		default:
			v.Unchanged++
		}
	}
}

func (s *Server) applyItem(r *http.Request, item bulkItem, v *bulkView, request string) (bool, error) {
	rec, err := s.store.Get(r.Context(), item.ID)
	if err != nil {
		return false, err
	}
	c := decision{Status: v.Status, Reason: v.Reason}.change(rec, s.user(r))
	c.RequestID = request
	after, err := s.act(r.Context(), rec, item.Version, c)
	return after.Version != item.Version, err
}

// current is the item with the change that was faster.
func (s *Server) current(r *http.Request, item bulkItem) bulkItem {
	rec, err := s.store.Get(r.Context(), item.ID)
	if err != nil {
		item.Missing = true
		return item
	}
	item.Changed = &rec.Triage
	return item
}
