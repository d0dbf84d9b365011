package triage

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"qingyuan/classify"
	"qingyuan/post"
	"qingyuan/workbench"
)

type entryView struct {
	dictTabs
	workbench.Ref
	New     bool
	Heading string
	File    string
	Line    int
	Fields  []entryField
	Cats    []choice
	Count   workbench.Count
	Counted bool
	Days    int
	Trial   *workbench.Trial
	Text    string // to try the edit on
	Now     *triedText
	Edited  *triedText
}

// entryField is a field of the form.
type entryField struct {
	workbench.Field
	Name    string // of the input
	Value   string
	Rows    int
	On      bool // a flag that is set
	Choices []choice
}

// entryRef reads which entry a request is about.
func entryRef(q url.Values) (workbench.Ref, bool) {
	r := workbench.Ref{Kind: q.Get("kind"), Category: q.Get("category"), ID: q.Get("id")}
	return r, slices.Contains(workbench.Kinds[:], r.Kind)
}

// draftFiles are the files with the visitor's edits; false: it has answered.
func (s *Server) draftFiles(w http.ResponseWriter, r *http.Request) (map[string][]byte, bool) {
	d, err := s.bench.Draft(s.user(r))
	var files map[string][]byte
	if err == nil {
		files, err = d.Files()
	}
	if err != nil {
		s.log.Error("reading the dictionaries", "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.internal")
	}
	return files, err == nil
}

func (s *Server) getEntry(w http.ResponseWriter, r *http.Request) {
	ref, ok := entryRef(r.URL.Query())
	if !ok {
		s.problem(w, r, http.StatusNotFound, "error.no_entry")
		return
	}
	v := entryView{dictTabs: s.dictTabs(r, "browse"), Ref: ref, New: ref.ID == ""}
	values := workbench.Values{}
	if !v.New {
		files, ok := s.draftFiles(w, r)
		if !ok {
			return
		}
		entry, found := findEntry(files, ref)
		if !found {
			s.problem(w, r, http.StatusNotFound, "error.no_entry")
			return
		}
		values = entry.Values
	}
	s.showEntry(w, r, http.StatusOK, v, values)
}

func findEntry(files map[string][]byte, ref workbench.Ref) (workbench.Entry, bool) {
	list := workbench.Entries(files)
	i := slices.IndexFunc(list, func(e workbench.Entry) bool { return e.Ref == ref })
	if i < 0 {
		return workbench.Entry{}, false
	}
	return list[i], true
}

func (s *Server) showEntry(w http.ResponseWriter, r *http.Request, status int, v entryView, values workbench.Values) {
	lang := s.lang(r)
	if !v.New {
		if files, err := s.bench.Files(); err == nil {
			if e, ok := findEntry(files, v.Ref); ok {
				v.File, v.Line = e.File, e.Line
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), statsWait)
		defer cancel()
		v.Days = workbench.StatDays[1]
		stats := s.bench.Statistics(ctx, v.Days)
		v.Count, v.Counted = stats.Of(v.Ref), !stats.At.IsZero()
	}
	for _, id := range s.order {
		v.Cats = append(v.Cats, choice{Value: id, Name: s.categoryName(id, lang), Active: id == v.Category})
	}
	v.Heading = text(lang, "dict.kind_"+v.Kind)
	for _, f := range workbench.FieldsOf(v.Kind) {
		v.Fields = append(v.Fields, formField(f, values, lang))
	}
	s.render(w, r, status, "dictentry", v.Heading+" "+plain(v.ID), v)
}

func formField(f workbench.Field, values workbench.Values, lang string) entryField {
	out := entryField{Field: f, Name: "f." + f.Key, Value: values.First(f.Key), Rows: 1}
	switch {
	case f.Type == workbench.FieldFlag:
		out.On = out.Value != ""
	case f.Type == workbench.FieldExamples:
		lines := make([]string, len(values[f.Key]))
		for i, v := range values[f.Key] {
			lines[i] = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(v)
		}
		out.Value, out.Rows = strings.Join(lines, "\n"), min(len(lines)+1, 8)
	case f.Type == workbench.FieldList:
		out.Value, out.Rows = strings.Join(values[f.Key], "\n"), min(len(values[f.Key])+1, 8)
	case f.Key == "note":
		out.Rows = 2
	case f.Key == "stance":
		out.Choices = append(out.Choices, choice{Name: text(lang, "form.choose")})
		for _, st := range classify.Stances {
			out.Choices = append(out.Choices, choice{Value: string(st), Name: label(lang, "stance", string(st)), Active: string(st) == out.Value})
		}
	}
	return out
}

// formValues reads the fields of the form. A value that only differs in the
// blanks around it stays as it was.
func formValues(kind string, form url.Values, old workbench.Values) workbench.Values {
	out := workbench.Values{}
	for _, f := range workbench.FieldsOf(kind) {
		raw := strings.ReplaceAll(form.Get("f."+f.Key), "\r\n", "\n")
		var list []string
		switch f.Type {
		case workbench.FieldList:
			list = splitFields(raw, func(r rune) bool { return strings.ContainsRune("\n,，、;；\t", r) })
		case workbench.FieldExamples:
			for _, line := range splitFields(raw, func(r rune) bool { return r == '\n' }) {
				list = append(list, strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(line))
			}
		default:
			if raw = strings.TrimSpace(raw); raw != "" {
				list = []string{raw}
			}
			if was := old.First(f.Key); was != "" && strings.TrimSpace(was) == raw {
				list = []string{was}
			}
		}
		if len(list) > 0 {
			out[f.Key] = list
		}
	}
	return out
}

func splitFields(raw string, at func(rune) bool) []string {
	var out []string
	for _, part := range strings.FieldsFunc(raw, at) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// postEntry tries an edit, or keeps it in the visitor's draft.
func (s *Server) postEntry(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	ref, ok := entryRef(r.PostForm)
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
		return
	}
	files, ok := s.draftFiles(w, r)
	if !ok {
		return
	}
	v := entryView{dictTabs: s.dictTabs(r, "browse"), Ref: ref, New: r.PostForm.Get("new") != "", Text: r.PostForm.Get("text")}
	old, _ := findEntry(files, ref)
	e := workbench.Edit{Ref: ref, New: v.New, Values: formValues(ref.Kind, r.PostForm, old.Values)}
	if e.New {
		e.ID = ""
	}
	do := r.PostForm.Get("do")
	if do == "delete" {
		e.Values = nil
	}
	trial, err := s.bench.Try(files, e)
	if err == nil && (do == "keep" || do == "delete" || do == "save" && trial.OK()) {
		if err = s.bench.Save(s.user(r), e); err == nil {
			http.Redirect(w, r, "/dictionary/draft?done=saved", http.StatusSeeOther)
			return
		}
	}
	if err != nil {
		if s.refuseEdit(w, r, &v.dictTabs, err) {
			s.showEntry(w, r, http.StatusConflict, v, formValues(ref.Kind, r.PostForm, old.Values))
		}
		return
	}
	v.Trial = &trial
	if v.Text != "" {
		p := post.Post{Text: v.Text}
		v.Now, _ = s.judge(s.bench.Classifier(), p, s.lang(r)) // a form is smaller than a post may be
		if trial.Classifier != nil {
			v.Edited, _ = s.judge(trial.Classifier, p, s.lang(r))
		}
	}
	status := http.StatusOK
	if do == "save" {
		status = http.StatusUnprocessableEntity
	}
	s.showEntry(w, r, status, v, e.Values)
}
