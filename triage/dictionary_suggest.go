package triage

import (
	"net/http"
	"strconv"
	"strings"

	"qingyuan/classify"
	"qingyuan/workbench"
)

type suggestView struct {
	dictTabs
	Run     workbench.Run
	HasRun  bool
	Rows    []suggestRow
	Classes []string
	Periods []int
}

type suggestRow struct {
	classify.Suggestion
	N      int
	Cat    string
	Weight float64
	Taken  bool // stands in the draft or the files since
}

func (s *Server) getSuggest(w http.ResponseWriter, r *http.Request) {
	s.showSuggest(w, r, http.StatusOK, s.dictTabs(r, "suggest"))
}

func (s *Server) showSuggest(w http.ResponseWriter, r *http.Request, status int, tabs dictTabs) {
	lang := s.lang(r)
	files, ok := s.draftFiles(w, r)
	if !ok {
		return
	}
	v := suggestView{dictTabs: tabs, Periods: workbench.StatDays[:]}
	taken := map[string]bool{}
	for _, e := range workbench.Entries(files) {
		if e.Kind == workbench.KindClass && e.Category == "" {
			v.Classes = append(v.Classes, e.ID)
		}
		for _, list := range e.Values {
			for _, value := range list {
				taken[value] = true
			}
		}
	}
	if v.Run, v.HasRun = s.bench.Run(workbench.RunSuggest, s.user(r)); v.HasRun {
		for i, x := range v.Run.Suggestions.Wordings {
			row := suggestRow{Suggestion: x, N: i, Taken: taken[x.Text]}
			row.Weight, _ = x.Proposal()
			if x.Category != "" {
				row.Cat = s.categoryName(x.Category, lang)
			}
			v.Rows = append(v.Rows, row)
		}
		if v.Run.Running() {
			w.Header().Set("Refresh", "3")
		}
	}
	s.render(w, r, status, "dictsuggest", text(lang, "dict.tab_suggest"), v)
}

// postSuggest looks for wordings, or takes one into the visitor's draft.
func (s *Server) postSuggest(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	var err error
	to := "/dictionary/suggest"
	switch r.PostForm.Get("do") {
	case "start":
		err = s.bench.StartSuggest(s.user(r), runSource(r.PostForm))
	case "cancel":
		s.bench.Cancel(s.user(r))
	case "accept":
		err, to = s.accept(r), "/dictionary/suggest?done=saved"
	default:
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
		return
	}
	if err != nil {
		tabs := s.dictTabs(r, "suggest")
		if s.refuseEdit(w, r, &tabs, err) {
			s.showSuggest(w, r, http.StatusConflict, tabs)
		}
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// accept finds the suggestion by its number and text: the list may be a new one.
func (s *Server) accept(r *http.Request) error {
	run, ok := s.bench.Run(workbench.RunSuggest, s.user(r))
	n, err := strconv.Atoi(r.PostForm.Get("n"))
	list := run.Suggestions.Wordings
	if !ok || err != nil || n < 0 || n >= len(list) || list[n].Text != r.PostForm.Get("wording") {
		return workbench.ErrGone
	}
	d, err := s.bench.Draft(s.user(r))
	if err != nil {
		return err
	}
	files, err := d.Files()
	if err != nil {
		return err
	}
	e, err := s.bench.SuggestedEdit(files, list[n], list[n].Category, strings.TrimSpace(r.PostForm.Get("class")))
	if err != nil {
		return err
	}
	return s.bench.Save(s.user(r), e)
}
