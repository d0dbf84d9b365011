package triage

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"qingyuan/index"
)

// ownSearch is a saved search beside the built-in views.
type ownSearch struct {
	choice
	ID int64
}

// ownSearches are those of the visitor.
func (s *Server) ownSearches(ctx context.Context, q listQuery, user string) ([]ownSearch, error) {
	if s.searches == nil {
		return nil, nil
	}
	list, err := s.searches.List(ctx, user)
	if err != nil {
		return nil, err
	}
	var out []ownSearch
	for _, x := range list {
		to := listQuery{Text: x.Query, Sort: x.Sort, Page: 1, Unfolded: q.Unfolded}
		out = append(out, ownSearch{choice{Name: x.Name, Href: to.href(), Active: q.Text == x.Query && q.Sort == x.Sort}, x.ID})
	}
	return out, nil
}

// save checks a search and keeps it. The code is of a fault, with what its text
// needs.
func (s *Server) save(r *http.Request, x SavedSearch) (saved SavedSearch, status int, code string, err error) {
	if x.Sort == "" {
		x.Sort = index.SortScore
	}
	x.Query = strings.TrimSpace(x.Query)
	if !x.Sort.Valid() {
		return saved, http.StatusBadRequest, "sort", nil
	}
	if _, err := splitQuery(x.Query, s.now().In(s.loc)); err != nil {
		return saved, 0, "", err
	}
	saved, err = s.searches.Save(r.Context(), s.user(r), x, s.now())
	switch {
	case errors.Is(err, ErrSearchName):
		return saved, http.StatusUnprocessableEntity, "search_name", nil
	case errors.Is(err, ErrSearchTaken):
		return saved, http.StatusConflict, "search_taken", nil
	case errors.Is(err, ErrSearchFull):
		return saved, http.StatusUnprocessableEntity, "search_full", nil
	}
	return saved, 0, "", err
}

func (s *Server) postSearch(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	saved, status, code, err := s.save(r, SavedSearch{Name: r.PostForm.Get("name"), Query: r.PostForm.Get("q"), Sort: index.Sort(r.PostForm.Get("sort"))})
	switch {
	case err != nil:
		s.storeProblem(w, r, err)
	case code != "":
		s.problem(w, r, status, "error."+code)
	default:
		http.Redirect(w, r, listQuery{Text: saved.Query, Sort: saved.Sort, Page: 1}.href(), http.StatusSeeOther)
	}
}

func (s *Server) postDropSearch(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64) // 0 is nobody's
	switch err := s.searches.Drop(r.Context(), s.user(r), id); {
	case errors.Is(err, ErrNoSearch):
		s.problem(w, r, http.StatusNotFound, "error.no_search")
	case err != nil:
		s.storeProblem(w, r, err)
	default:
		http.Redirect(w, r, localPath(r.PostForm.Get("back")), http.StatusSeeOther)
	}
}

// apiView is a built-in search.
type apiView struct {
	Name  string     `json:"name"`
	Query string     `json:"query"`
	Sort  index.Sort `json:"sort"`
}

// apiSavedSearches is the answer of GET /api/searches.
type apiSavedSearches struct {
	BuiltIn []apiView     `json:"built_in"`
	Own     []SavedSearch `json:"own"`
}

func (s *Server) apiSearches(w http.ResponseWriter, r *http.Request) {
	out := apiSavedSearches{BuiltIn: []apiView{}, Own: []SavedSearch{}}
	for _, v := range s.savedQueries(listQuery{Sort: index.SortScore}, s.user(r), s.lang(r)) {
		out.BuiltIn = append(out.BuiltIn, apiView{Name: v.Name, Query: v.Value, Sort: index.SortScore})
	}
	if s.searches != nil {
		var err error
		if out.Own, err = s.searches.List(r.Context(), s.user(r)); err != nil {
			s.apiStoreError(w, r, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// apiNewSearch is the body of POST /api/searches.
type apiNewSearch struct {
	Name  string `json:"name"`
	Query string `json:"query"`
	Sort  string `json:"sort"`
}

func (s *Server) apiSaveSearch(w http.ResponseWriter, r *http.Request) {
	var c apiNewSearch
	if !s.readJSON(w, r, &c, false) {
		return
	}
	if s.searches == nil {
		s.refuse(w, r, http.StatusNotImplemented, "no_searches")
		return
	}
	saved, status, code, err := s.save(r, SavedSearch{Name: c.Name, Query: c.Query, Sort: index.Sort(c.Sort)})
	switch {
	case err != nil:
		s.apiStoreError(w, r, err)
	case code != "":
		s.refuse(w, r, status, code)
	default:
		writeJSON(w, http.StatusCreated, saved)
	}
}

func (s *Server) apiDropSearch(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || s.searches == nil {
		s.refuse(w, r, http.StatusNotFound, "no_search")
		return
	}
	switch err := s.searches.Drop(r.Context(), s.user(r), id); {
	case errors.Is(err, ErrNoSearch):
		s.refuse(w, r, http.StatusNotFound, "no_search")
	case err != nil:
		s.apiStoreError(w, r, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
