package triage

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"qingyuan/index"
)

// apiCounts is the answer of GET /api/facets.
type apiCounts struct {
	Facets map[string][]index.FacetCount `json:"facets"`
	// Truncated are the fields that have more values than were asked for.
	Truncated []string `json:"truncated"`
}

// apiFacets counts the values of fields over what a query finds, all values
// unless a limit is given.
func (s *Server) apiFacets(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	limit, ok := s.number(w, r, "limit", 1, index.MaxLimit)
	if !ok {
		return
	}
	fields := index.Facets[:]
	if v.Get("fields") != "" {
		fields = strings.Split(v.Get("fields"), ",")
	}
	for _, f := range fields {
		if !slices.Contains(index.Facets[:], f) {
			s.refuse(w, r, http.StatusBadRequest, "facet", strings.Join(index.Facets[:], ", "))
			return
		}
	}
	ask := 0
	if limit > 0 {
		ask = int(limit) + 1 // one more tells whether there are more
	}
	counts, err := s.store.Facets(r.Context(), index.Query{Text: v.Get("q")}, fields, ask)
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	out := apiCounts{Facets: map[string][]index.FacetCount{}, Truncated: []string{}}
	for _, f := range fields {
		values := append([]index.FacetCount{}, counts[f]...)
		if limit > 0 && len(values) > int(limit) {
			values = values[:limit]
			out.Truncated = append(out.Truncated, f)
		}
		out.Facets[f] = values
	}
	slices.Sort(out.Truncated)
	out.Truncated = slices.Compact(out.Truncated)
	writeJSON(w, http.StatusOK, out)
}

// apiCampaign answers with the members of a group of near-identical posts.
func (s *Server) apiCampaign(w http.ResponseWriter, r *http.Request) {
	members := term("campaign", r.PathValue("id"))
	n, err := s.count(r.Context(), members)
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	if n == 0 {
		s.refuse(w, r, http.StatusNotFound, "no_campaign")
		return
	}
	s.searchPage(w, r, members)
}

// apiTrail is a page of the audit trail, newest first.
type apiTrail struct {
	Rows []index.AuditRow `json:"rows"`
	// Next is where older rows are asked for with before; absent at the end. A
	// page may hold fewer rows than asked for, and still have a next one.
	Next int64 `json:"next,omitempty"`
}

func (s *Server) apiAudit(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.trail(w, r, auditView{Actor: strings.TrimSpace(q.Get("actor")), Action: q.Get("action"), Record: strings.TrimSpace(q.Get("record"))})
}

func (s *Server) apiRecordAudit(w http.ResponseWriter, r *http.Request) {
	rec, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	s.trail(w, r, auditView{Record: rec.Post.ID})
}

func (s *Server) trail(w http.ResponseWriter, r *http.Request, v auditView) {
	limit, ok := s.number(w, r, "limit", 1, index.MaxLimit)
	if !ok {
		return
	}
	before, ok := s.number(w, r, "before", 1, math.MaxInt64)
	if !ok {
		return
	}
	if limit == 0 {
		limit = auditPage
	}
	next, err := s.auditRows(r.Context(), &v, before, int(limit))
	if err != nil {
		s.apiStoreError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, apiTrail{Rows: append([]index.AuditRow{}, v.Rows...), Next: next})
}

// apiVerified tells whether the chain of the trail holds.
type apiVerified struct {
	At      time.Time `json:"at"`
	State   string    `json:"state"` // ok, altered, unknown
	Problem string    `json:"problem,omitempty"`
}

func (s *Server) apiVerification(w http.ResponseWriter, r *http.Request) {
	v := s.verify(r.Context(), false)
	writeJSON(w, http.StatusOK, apiVerified(v))
}

// apiSubscription is a Subscription as the API names its parts.
type apiSubscription struct {
	Name         string       `json:"name"`
	Title        string       `json:"title"`
	Schedule     string       `json:"schedule"`
	TimeZone     string       `json:"time_zone"`
	Query        string       `json:"query"`
	Language     string       `json:"language"`
	FullContacts bool         `json:"full_contacts"`
	Silences     int          `json:"silences"` // in force
	Next         time.Time    `json:"next,omitzero"`
	Last         time.Time    `json:"last,omitzero"`
	LastHits     int          `json:"last_hits"`
	Channels     []apiChannel `json:"channels"`
}

// apiChannel is a SubscriptionChannel likewise.
type apiChannel struct {
	Name    string    `json:"name"`
	Feed    bool      `json:"feed"`
	State   string    `json:"state,omitempty"` // of the newest message: waiting, sending, sent, given_up, dropped
	At      time.Time `json:"at,omitzero"`
	Tries   int       `json:"tries"`
	NextTry time.Time `json:"next_try,omitzero"`
	Error   string    `json:"error,omitempty"`
	Again   bool      `json:"again"` // it may have come twice
}

// apiSubscriptions lists who is told by digest; nobody is when there are none.
func (s *Server) apiSubscriptions(w http.ResponseWriter, r *http.Request) {
	out := []apiSubscription{}
	if s.subscriptions != nil {
		list, err := s.subscriptions.List(r.Context())
		if err != nil {
			s.log.Error("listing subscriptions", "err", err)
			s.refuse(w, r, http.StatusInternalServerError, "internal")
			return
		}
		for _, x := range list {
			item := apiSubscription{Name: x.Name, Title: x.Title, Schedule: x.Schedule, TimeZone: x.TimeZone, Query: x.Query, Language: x.Language,
				FullContacts: x.FullContacts, Silences: x.Silences, Next: x.Next, Last: x.Last, LastHits: x.LastHits, Channels: []apiChannel{}}
			for _, c := range x.Channels {
				item.Channels = append(item.Channels, apiChannel(c))
			}
			out = append(out, item)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"subscriptions": out})
}
