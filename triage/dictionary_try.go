package triage

import (
	"net/http"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// triedText is a text with its verdict, shown as a post is.
type triedText struct {
	Verdict    classify.Verdict
	Marked     []segment
	Reasons    []reasonRow
	Categories []tagged
	Base, Sum  float64
}

type tryView struct {
	dictTabs
	Text   string
	Source string
	Types  []choice
	Now    *triedText
	Draft  *triedText // with the visitor's draft; nil when he has none
}

// sourceTypes are the places of publication that the verdict may depend on.
var sourceTypes = [...]string{"forum", "social", "classified", "news", "official", "blog", "qa"}

func (s *Server) getTry(w http.ResponseWriter, r *http.Request) {
	s.showTry(w, r, http.StatusOK, tryView{dictTabs: s.dictTabs(r, "try")})
}

func (s *Server) showTry(w http.ResponseWriter, r *http.Request, status int, v tryView) {
	lang := s.lang(r)
	for _, t := range sourceTypes {
		v.Types = append(v.Types, choice{Value: t, Name: label(lang, "source_type", t), Active: t == v.Source})
	}
	s.render(w, r, status, "dicttry", text(lang, "dict.tab_try"), v)
}

// postTry judges a text that is kept nowhere.
func (s *Server) postTry(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	v := tryView{dictTabs: s.dictTabs(r, "try"), Text: r.PostForm.Get("text"), Source: r.PostForm.Get("source_type")}
	p := post.Post{Text: v.Text, SourceType: v.Source}
	var err error
	if v.Now, err = s.judge(s.bench.Classifier(), p, s.lang(r)); err != nil {
		s.problem(w, r, http.StatusRequestEntityTooLarge, "error.too_large")
		return
	}
	if v.Edits > 0 {
		if c := s.draftClassifier(r); c != nil {
			v.Draft, _ = s.judge(c, p, s.lang(r)) // too large was said above
		}
	}
	s.showTry(w, r, http.StatusOK, v)
}

// draftClassifier judges with the visitor's draft; nil when it has mistakes.
func (s *Server) draftClassifier(r *http.Request) *classify.Classifier {
	d, err := s.bench.Draft(s.user(r))
	if err != nil {
		return nil
	}
	files, err := d.Files()
	if err != nil {
		return nil
	}
	c, _ := s.bench.Build(files) // of failing examples the page of the draft tells
	return c
}

func (s *Server) judge(c *classify.Classifier, p post.Post, lang string) (*triedText, error) {
	verdict, err := c.Classify(p)
	if err != nil {
		return nil, err
	}
	runes := []rune(p.FullText()) // begins with the line break after no title
	view := postView{Record: index.Record{Post: p, Verdict: verdict}}
	s.explain(&view, lang)
	return &triedText{Verdict: verdict, Marked: segments(runes, 1, len(runes), s.spans(verdict, lang)), Reasons: view.Reasons, Base: view.Base, Sum: view.Sum,
		Categories: s.categoriesOf(verdict, lang)}, nil
}
