package triage

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
)

// Limits of what a post's page shows.
const (
	maxRelated   = 6    // other posts in each list
	maxCounted   = 12   // contacts whose other posts are counted
	maxContacts  = 40   //
	maxEntities  = 200  //
	maxReasons   = 200  // rows of the reasons' table
	maxHistory   = 200  // rows of the trail
	maxRevisions = 20   //
	maxOriginal  = 4000 // runes of the normalised text
)

type postView struct {
	Record     index.Record
	Title      []segment
	Body       []segment
	Link       string // where it was published; empty when not http or https
	Thread     string
	AuthorLink string
	Links      []string
	Categories []tagged
	CatScores  []scored
	Stances    []scored
	Reasons    []reasonRow
	Base       float64
	Sum        float64 // of all weights: the logit of the score
	MoreReason int
	Contacts   []contact
	Entities   []classify.Entity
	Normalized string
	SameAuthor related
	SameGroup  related
	SameLead   related // posts with the first contact
	Revisions  []revisionView
	History    []index.AuditRow
	Seen       int64
	Original   bool // the archive has what it was read from
	Exhibits   []exhibit

	Form       decision
	Mistake    string // key of what must be mended
	Conflict   bool
	Others     []index.AuditRow // what others did meanwhile
	DismissFor []choice
	Statuses   []choice
	Me         string
	Masked     bool      // contacts are hidden from the visitor
	Shown      time.Time // until when they are not
	Reveals    []choice
}

// scored is a name with a share, for a bar.
type scored struct {
	ID, Name, Class string
	Score           float64
	Best            bool
}

// reasonRow is a line of the table that explains the score.
type reasonRow struct {
	N      int // as marked in the text; 0 for a reason without a place there
	Kind   classify.ReasonKind
	Name   string
	Class  string
	Cat    string
	Text   string
	Weight float64
	Bar    float64 // 0..1, the part of the strongest weight
}

// related is a short list of other posts and the query that finds them all.
type related struct {
	Query string
	Name  string
	Total int
	Rows  []row
}

// revisionView is an earlier content and what changed after it.
type revisionView struct {
	At      time.Time
	Flagged bool
	Score   float64
	// Judged tells that the whole verdict was kept.
	Judged     bool
	Stance     classify.Stance
	Categories []tagged
	Archive    string // id of the record that holds it

	Title []change
	Text  []change
}

// postProblem is what was wrong with a decision.
type postProblem struct {
	status   int
	decision *decision
	mistake  string
	conflict bool
}

func (s *Server) getPost(w http.ResponseWriter, r *http.Request) {
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	s.showPost(w, r, rec, postProblem{status: http.StatusOK})
}

func (s *Server) showPost(w http.ResponseWriter, r *http.Request, rec index.Record, p postProblem) {
	lang := s.lang(r)
	v := s.postView(rec, lang)
	v.Me, v.Original, v.Exhibits = s.user(r), s.hasOriginal(rec), s.exhibits(rec)
	if who := viewerOf(r.Context()); who != nil {
		v.Shown, v.Reveals = s.reveals.end(who.session, rec.Post.ID, s.now()), revealChoices(lang)
		v.Masked = v.Shown.IsZero()
	}
	if err := s.fillPost(r.Context(), &v, lang); err != nil {
		s.storeProblem(w, r, err)
		return
	}
	v.Form = decision{Version: rec.Triage.Version, Seen: v.Seen, Reason: rec.Triage.Reason, Assignee: rec.Triage.Assignee,
		Tags: strings.Join(rec.Triage.Tags, ", ")}
	if d := p.decision; d != nil {
		v.Mistake, v.Conflict = p.mistake, p.conflict
		v.Form.Status, v.Form.Comment = d.Status, d.Comment
		if d.Reason != "" {
			v.Form.Reason = d.Reason
		}
		if d.Full && !p.conflict {
			v.Form.Assignee, v.Form.Tags = d.Assignee, d.Tags
		}
		for _, row := range v.History {
			if row.Seq > d.Seen && len(v.Others) < 10 {
				v.Others = append(v.Others, row)
			}
		}
	}
	title := plain(rec.Post.Title)
	if title == "" {
		title = text(lang, "post.untitled")
	}
	s.render(w, r, p.status, "post", title, v)
}

// postView is what the record itself tells.
func (s *Server) postView(rec index.Record, lang string) postView {
	p, ver := rec.Post, rec.Verdict
	full := []rune(p.FullText())
	head := len([]rune(p.Title))
	spans := s.spans(ver, lang)
	v := postView{Record: rec, Title: segments(full, 0, head, spans), Body: segments(full, head+1, len(full), spans),
		Link: webLink(p.URL), Thread: webLink(p.ThreadURL), AuthorLink: webLink(p.Author.URL),
		Categories: s.categoriesOf(ver, lang), Contacts: contactsOf(ver), Entities: ver.Entities,
		DismissFor: reasonChoices(lang, true), Statuses: statusChoices(lang)}
	v.Contacts = v.Contacts[:min(len(v.Contacts), maxContacts)]
	v.Entities = v.Entities[:min(len(v.Entities), maxEntities)]
	onceAnchored(v.Title, v.Body)
	if v.Thread == v.Link {
		v.Thread = ""
	}
	for _, l := range p.Links {
		if l = webLink(l); l != "" && len(v.Links) < 20 {
			v.Links = append(v.Links, l)
		}
	}
	for _, c := range ver.Categories {
		v.CatScores = append(v.CatScores, scored{ID: c.ID, Name: s.categoryName(c.ID, lang), Class: s.colorClass(c.ID), Score: c.Score})
	}
	for _, st := range classify.Stances {
		v.Stances = append(v.Stances, scored{ID: string(st), Name: label(lang, "stance", string(st)), Score: ver.StanceScores[st], Best: st == ver.Stance})
	}
	if len(ver.Evasion) > 0 {
		normal := []rune(classify.Normalize(p.FullText()))
		v.Normalized = string(normal[:min(len(normal), maxOriginal)])
	}
	s.explain(&v, lang)
	return v
}

// onceAnchored drops the anchors of body that title has: evidence that runs
// from the title into the body begins in the title.
func onceAnchored(title, body []segment) {
	seen := map[int]bool{}
	for _, list := range [...][]segment{title, body} {
		for i := range list {
			list[i].Anchors = slices.DeleteFunc(list[i].Anchors, func(n int) bool {
				twice := seen[n]
				seen[n] = true
				return twice
			})
		}
	}
}

// explain fills the table of reasons.
func (s *Server) explain(v *postView, lang string) {
	strongest := 0.0
	for _, r := range v.Record.Verdict.Reasons {
		v.Sum += r.Weight
		if r.ID == "base" {
			v.Base += r.Weight
		} else {
			strongest = max(strongest, math.Abs(r.Weight))
		}
	}
	numbers := reasonNumbers(v.Record.Verdict.Reasons)
	for i, r := range v.Record.Verdict.Reasons {
		if r.ID == "base" {
			continue
		}
		if len(v.Reasons) == maxReasons {
			v.MoreReason++
			continue
		}
		row := reasonRow{N: numbers[i], Kind: r.Kind, Name: s.reasonName(r, lang), Class: s.reasonClass(r), Text: r.Text, Weight: r.Weight}
		if r.Category != "" {
			row.Cat = s.categoryName(r.Category, lang)
		}
		if strongest > 0 {
			row.Bar = math.Abs(r.Weight) / strongest
		}
		v.Reasons = append(v.Reasons, row)
	}
}

// fillPost asks the store for what surrounds the record.
func (s *Server) fillPost(ctx context.Context, v *postView, lang string) error {
	rec := v.Record
	id := rec.Post.ID
	var err error
	if v.History, err = s.store.Audit(ctx, id, 0, maxHistory); err != nil {
		return err
	}
	if len(v.History) > 0 {
		v.Seen = v.History[0].Seq
	}
	if err := s.fillRevisions(ctx, v, lang); err != nil {
		return err
	}
	for i := range v.Contacts {
		if i == maxCounted {
			break
		}
		if v.Contacts[i].Query == "" {
			continue
		}
		if v.Contacts[i].Count, err = s.count(ctx, v.Contacts[i].Query); err != nil {
			return err
		}
	}
	if len(v.Contacts) > 0 && v.Contacts[0].Query != "" {
		if v.SameLead, err = s.related(ctx, v.Contacts[0].Query, id, lang); err != nil {
			return err
		}
		v.SameLead.Name = v.Contacts[0].Value
	}
	if author := rec.Post.Author.Name; author != "" {
		if v.SameAuthor, err = s.related(ctx, term("author", author)+" "+term("source", rec.Post.Source), id, lang); err != nil {
			return err
		}
		v.SameAuthor.Name = author
	}
	if rec.Campaign.ID != "" && rec.Campaign.Size > 1 {
		v.SameGroup, err = s.related(ctx, term("campaign", rec.Campaign.ID), id, lang)
	}
	return err
}

// count returns how many records match.
func (s *Server) count(ctx context.Context, query string) (int, error) {
	page, err := s.store.Search(ctx, index.Query{Text: query, Limit: 1})
	if unaskable(err) {
		return 0, nil
	}
	return page.Total, err
}

// unaskable reports whether err is about the query: one made of crawled values
// may be longer than a store answers, and must not hide the record it stands in.
func unaskable(err error) bool {
	var query *index.QueryError
	return errors.As(err, &query) || errors.Is(err, index.ErrInvalid)
}

func (s *Server) related(ctx context.Context, query, except, lang string) (related, error) {
	out := related{Query: query}
	page, err := s.store.Search(ctx, index.Query{Text: query, Sort: index.SortPublished, Limit: maxRelated + 1})
	if unaskable(err) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Total = page.Total
	for _, h := range page.Hits {
		if h.Record.Post.ID == except || len(out.Rows) == maxRelated {
			continue
		}
		out.Rows = append(out.Rows, s.row(len(out.Rows), h.Record, nil, lang))
	}
	return out, nil
}

func (s *Server) fillRevisions(ctx context.Context, v *postView, lang string) error {
	revisions, err := s.store.Revisions(ctx, v.Record.Post.ID)
	if err != nil {
		return err
	}
	later := index.Revision{Title: v.Record.Post.Title, Text: v.Record.Post.Text}
	for i, r := range revisions {
		if i == maxRevisions {
			break
		}
		v.Revisions = append(v.Revisions, revisionView{At: r.FetchedAt, Flagged: r.Flagged, Score: r.Score, Judged: r.Verdict.Stance != "",
			Stance: r.Verdict.Stance, Categories: s.categoriesOf(r.Verdict, lang), Archive: r.Archive.RecordID,
			Title: diff(r.Title, later.Title), Text: diff(r.Text, later.Text)})
		later = r
	}
	return nil
}

// webLink returns the address if a browser may be sent there, else "".
func webLink(address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return u.String()
}
