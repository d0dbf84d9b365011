package triage

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/mask"
	"qingyuan/post"
	"qingyuan/workbench"
)

type draftView struct {
	dictTabs
	Draft    workbench.Draft
	Own      bool
	FourEyes bool
	Seen     string
	Rows     []draftEdit
	Diff     classify.DictionaryDiff
	Conflict *workbench.Conflict
	Others   []workbench.Draft
	Run      workbench.Run
	HasRun   bool
	Stale    bool // the run was of another state of the draft
	Groups   []changeGroup
	Labelled []string
	Periods  []int
}

type draftEdit struct {
	workbench.Edit
	N       int
	Title   string
	Removed bool
	Clash   bool
}

// changeGroup are the posts on which a draft makes a difference of one kind.
type changeGroup struct {
	Kind  string
	Tally classify.Tally
	Rows  []changeRow
}

type changeRow struct {
	classify.BacktestChange
	Head   string
	Linked bool // the post is a record of the store
	Deltas []deltaRow
}

type deltaRow struct {
	Name, Text string
	Old, New   float64
}

func (s *Server) getDraft(w http.ResponseWriter, r *http.Request) {
	s.showDraft(w, r, http.StatusOK, s.dictTabs(r, "draft"), r.URL.Query().Get("of"))
}

// showDraft shows the visitor's draft or, when author is somebody else, the one
// that he has submitted.
func (s *Server) showDraft(w http.ResponseWriter, r *http.Request, status int, tabs dictTabs, author string) {
	lang, me := s.lang(r), s.user(r)
	if author == "" {
		author = me
	}
	d, err := s.bench.Draft(author)
	if err == nil && author != me && d.Submitted.IsZero() {
		s.problem(w, r, http.StatusNotFound, "error.no_entry")
		return
	}
	v := draftView{dictTabs: tabs, Draft: d, Own: author == me, FourEyes: s.bench.FourEyes(), Labelled: s.bench.Labelled(), Periods: workbench.StatDays[:]}
	if err == nil && len(d.Edits) > 0 {
		v.Conflict, err = s.bench.Conflict(d)
	}
	if err == nil {
		v.Others, err = s.bench.Submitted()
	}
	if err != nil {
		if s.refuseEdit(w, r, &v.dictTabs, err) {
			s.render(w, r, http.StatusConflict, "dictdraft", text(lang, "dict.tab_draft"), v)
		}
		return
	}
	v.Others = slices.DeleteFunc(v.Others, func(x workbench.Draft) bool { return x.User == me })
	s.fillDraft(&v, lang)
	if v.Run, v.HasRun = s.bench.Run(workbench.RunBacktest, me); v.HasRun {
		v.Stale = v.Run.Draft != v.Seen
		s.fillRun(&v, lang, viewerOf(r.Context()) != nil)
		if v.Run.Running() {
			w.Header().Set("Refresh", "3")
		}
	}
	s.render(w, r, status, "dictdraft", text(lang, "dict.tab_draft"), v)
}

func (s *Server) fillDraft(v *draftView, lang string) {
	for i, e := range v.Draft.Edits {
		row := draftEdit{Edit: e, N: i, Removed: e.Values == nil, Title: e.Result().ID}
		if name := e.Values.First("name." + lang); name != "" {
			row.Title = name
		}
		row.Clash = v.Conflict != nil && slices.Contains(v.Conflict.Edits, i)
		v.Rows = append(v.Rows, row)
	}
	if len(v.Rows) == 0 {
		return
	}
	files, err := v.Draft.Files()
	if err != nil {
		return // said by whoever saved it; the files below it cannot have changed
	}
	v.Seen = classify.FilesFingerprint(files)
	c, err := s.bench.Build(files)
	if err != nil {
		v.addMistakes(err)
	}
	newer, err := classify.LoadDictionaryFiles(files)
	if c != nil {
		newer, err = c.Dictionary(), nil
	}
	if err != nil {
		return
	}
	if older, err := classify.LoadDictionaryFiles(v.Draft.Base); err == nil {
		v.Diff = classify.Diff(older, newer)
	}
}

func (t *dictTabs) addMistakes(err error) {
	if len(t.Mistakes) > 0 {
		return
	}
	for _, m := range classify.MistakesOf(err) {
		t.Mistakes = append(t.Mistakes, m.Error())
	}
}

func (s *Server) fillRun(v *draftView, lang string, hidden bool) {
	b := v.Run.Backtest
	for _, g := range [...]struct {
		kind  string
		tally classify.Tally
	}{{classify.ChangeFlagged, b.Flagged}, {classify.ChangeUnflagged, b.Unflagged}, {classify.ChangeCategory, b.Category}, {classify.ChangeStance, b.Stance}, {classify.ChangeSeverity, b.Severity}} {
		group := changeGroup{Kind: g.kind, Tally: g.tally}
		for _, c := range v.Run.Changes {
			if c.Kinds[0] == g.kind {
				group.Rows = append(group.Rows, s.changeRow(c, v.Run.Source.File == "", lang, hidden))
			}
		}
		v.Groups = append(v.Groups, group)
	}
}

// changeRow shows a change; contacts of its post are hidden from whom they are
// hidden elsewhere.
func (s *Server) changeRow(c classify.BacktestChange, linked bool, lang string, hidden bool) changeRow {
	if hidden {
		c = s.hideChange(c)
	}
	head := []rune(strings.TrimSpace(c.Title + " " + c.Text))
	row := changeRow{BacktestChange: c, Linked: linked, Head: string(head[:min(len(head), 120)])}
	for _, d := range c.Reasons[:min(len(c.Reasons), 5)] {
		row.Deltas = append(row.Deltas, deltaRow{Name: s.reasonName(classify.Reason{Kind: d.Kind, ID: d.ID, Category: d.Category, Weight: d.New}, lang), Text: d.Text, Old: d.Old, New: d.New})
	}
	return row
}

// hideChange hides contacts of the post in its text and in the reasons. A text
// that cannot be read is left out whole.
func (s *Server) hideChange(c classify.BacktestChange) classify.BacktestChange {
	rec := index.Record{Post: post.Post{Title: c.Title, Text: c.Text}}
	v, err := s.bench.Classifier().Classify(rec.Post)
	if err != nil {
		c.Title, c.Text, c.Reasons = "", "", nil
		return c
	}
	rec.Verdict = v
	shown := mask.Record(rec)
	c.Title, c.Text = shown.Post.Title, shown.Post.Text
	c.Reasons = slices.Clone(c.Reasons)
	for i := range c.Reasons {
		c.Reasons[i].Text = mask.Loose(c.Reasons[i].Text, rec)
	}
	return c
}

func dictNote(r *http.Request) string {
	n := strings.ToValidUTF8(strings.TrimSpace(r.PostForm.Get("note")), "\uFFFD")
	for len(n) > dictNoteMax { // on a border of characters
		runes := []rune(n)
		n = string(runes[:len(runes)-1])
	}
	return n
}

func (s *Server) postDraft(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	me, author := s.user(r), r.PostForm.Get("author")
	var err error
	done := ""
	switch r.PostForm.Get("do") {
	case "publish":
		if author == "" {
			author = me
		}
		done = "published"
		_, err = s.bench.Publish(r.Context(), author, me, dictNote(r), r.PostForm.Get("seen"))
	case "submit":
		done, err = "submitted", s.bench.Submit(me, dictNote(r))
	case "return":
		done, err = "returned", s.bench.Return(author)
	case "discard":
		done, err = "discarded", s.bench.Discard(me)
	case "remove":
		n, parseErr := strconv.Atoi(r.PostForm.Get("edit"))
		if parseErr != nil {
			n = -1
		}
		done, err = "removed", s.bench.Remove(me, n)
	case "rebase":
		var keep []int
		for _, k := range r.PostForm["keep"] {
			if n, parseErr := strconv.Atoi(k); parseErr == nil {
				keep = append(keep, n)
			}
		}
		done, err = "rebased", s.bench.Rebase(me, keep)
	default:
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
		return
	}
	if err != nil {
		tabs := s.dictTabs(r, "draft")
		if s.refuseEdit(w, r, &tabs, err) {
			s.showDraft(w, r, http.StatusConflict, tabs, author)
		}
		return
	}
	to := "/dictionary/draft?done=" + done
	if done == "published" {
		to = "/dictionary/versions?done=published"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Server) postBacktest(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	me, author := s.user(r), r.PostForm.Get("author")
	if r.PostForm.Get("do") == "cancel" {
		s.bench.Cancel(me)
	} else {
		src := runSource(r.PostForm)
		var err error
		if author != "" && author != me {
			err = s.bench.StartBacktestOf(me, author, src)
		} else {
			err = s.bench.StartBacktest(me, src)
		}
		if err != nil {
			tabs := s.dictTabs(r, "draft")
			if s.refuseEdit(w, r, &tabs, err) {
				s.showDraft(w, r, http.StatusConflict, tabs, author)
			}
			return
		}
	}
	to := url.URL{Path: "/dictionary/draft"}
	if author != "" && author != me {
		to.RawQuery = url.Values{"of": {author}}.Encode()
	}
	http.Redirect(w, r, to.String()+"#run", http.StatusSeeOther)
}

// runSource reads over which posts to run: days, or file:NAME.
func runSource(form url.Values) workbench.Source {
	if file, ok := strings.CutPrefix(form.Get("over"), "file:"); ok {
		return workbench.Source{File: file}
	}
	days, _ := strconv.Atoi(form.Get("over")) // 0 is refused
	return workbench.Source{Days: days}
}

type versionsView struct {
	dictTabs
	Rows  []workbench.Version
	Seen  string
	Now   string
	Older int
}

const versionsPage = 30

func (s *Server) getVersions(w http.ResponseWriter, r *http.Request) {
	s.showVersions(w, r, http.StatusOK, s.dictTabs(r, "versions"))
}

func (s *Server) showVersions(w http.ResponseWriter, r *http.Request, status int, tabs dictTabs) {
	before, _ := strconv.Atoi(r.URL.Query().Get("before")) // absent or odd: from the newest
	v := versionsView{dictTabs: tabs}
	files, err := s.bench.Files()
	if err == nil {
		v.Seen = classify.FilesFingerprint(files)
		v.Now = v.Seen[:12]
		v.Rows, err = s.bench.Versions(max(before, 0), versionsPage)
	}
	if err != nil {
		s.log.Error("reading versions", "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.internal")
		return
	}
	if n := len(v.Rows); n == versionsPage && v.Rows[n-1].Number > 1 {
		v.Older = v.Rows[n-1].Number
	}
	s.render(w, r, status, "dictversions", text(s.lang(r), "dict.tab_versions"), v)
}

type diffView struct {
	dictTabs
	From, To string
	Diff     classify.DictionaryDiff
}

// getDiff compares two versions; "now" are the files as they are.
func (s *Server) getDiff(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := diffView{dictTabs: s.dictTabs(r, "versions"), From: q.Get("from"), To: q.Get("to")}
	older, err := s.versionDictionary(v.From)
	var newer *classify.Dictionary
	if err == nil {
		newer, err = s.versionDictionary(v.To)
	}
	switch {
	case errors.Is(err, workbench.ErrNoVersion):
		s.problem(w, r, http.StatusNotFound, "error.no_entry")
		return
	case err != nil:
		if s.refuseEdit(w, r, &v.dictTabs, err) {
			s.render(w, r, http.StatusConflict, "dictdiff", text(s.lang(r), "dict.diff"), v)
		}
		return
	}
	v.Diff = classify.Diff(older, newer)
	s.render(w, r, http.StatusOK, "dictdiff", text(s.lang(r), "dict.diff"), v)
}

func (s *Server) versionDictionary(name string) (*classify.Dictionary, error) {
	if name == "now" {
		files, err := s.bench.Files()
		if err != nil {
			return nil, err
		}
		return classify.LoadDictionaryFiles(files)
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		return nil, workbench.ErrNoVersion
	}
	v, err := s.bench.Version(n)
	if err != nil {
		return nil, err
	}
	return classify.LoadDictionaryFiles(v.Files)
}

func (s *Server) postRollback(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	n, _ := strconv.Atoi(r.PostForm.Get("version")) // 0 is refused
	if _, err := s.bench.Rollback(r.Context(), s.user(r), n, dictNote(r), r.PostForm.Get("seen")); err != nil {
		tabs := s.dictTabs(r, "versions")
		if s.refuseEdit(w, r, &tabs, err) {
			s.showVersions(w, r, http.StatusConflict, tabs)
		}
		return
	}
	http.Redirect(w, r, "/dictionary/versions?done=rolled_back", http.StatusSeeOther)
}
