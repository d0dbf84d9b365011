package triage

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Subscriptions shows who is told by digest and what became of it, and tries
// channels out.
type Subscriptions struct {
	// List tells how the subscriptions stand.
	List func(context.Context) ([]Subscription, error)
	// Preview renders the digest that one would get now, as a page of its own.
	Preview func(ctx context.Context, name string) (html string, err error)
	// Test sends a digest, marked as a test, to one channel; its error is what the
	// receiver answered.
	Test func(ctx context.Context, name, channel string) error
}

// Subscription is one that digests are made for.
type Subscription struct {
	Name, Title, File  string
	Schedule, TimeZone string
	Next               time.Time // end of its period
	Last               time.Time // zero: there was none yet
	LastHits           int
	Query              string
	Language           string
	FullContacts       bool
	Silences           int // in force
	Channels           []SubscriptionChannel
}

// SubscriptionChannel is a way to one receiver.
type SubscriptionChannel struct {
	Name    string
	Feed    bool   // read, not sent to
	State   string // of the newest message: waiting, sending, sent, given_up, dropped; empty: none yet
	At      time.Time
	Tries   int
	NextTry time.Time // while it waits after a failure
	Error   string
	Again   bool // it may have come twice
}

type subscriptionsView struct {
	Items   []Subscription
	Tried   string // channel that was tried
	Problem string // what it answered; empty: it took the message
}

func (s *Server) getSubscriptions(w http.ResponseWriter, r *http.Request) {
	s.showSubscriptions(w, r, http.StatusOK, subscriptionsView{})
}

func (s *Server) showSubscriptions(w http.ResponseWriter, r *http.Request, status int, v subscriptionsView) {
	var err error
	if v.Items, err = s.subscriptions.List(r.Context()); err != nil {
		s.log.Error("listing subscriptions", "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.internal")
		return
	}
	s.render(w, r, status, "subscriptions", text(s.lang(r), "nav.subscriptions"), v)
}

// getPreview shows a digest as its receiver would see it; nothing in it runs.
func (s *Server) getPreview(w http.ResponseWriter, r *http.Request) {
	if viewerOf(r.Context()) != nil {
		list, err := s.subscriptions.List(r.Context())
		if err != nil || slices.ContainsFunc(list, func(x Subscription) bool { return x.Name == r.PathValue("name") && x.FullContacts }) {
			s.problem(w, r, http.StatusForbidden, "error.masked_digest")
			return
		}
	}
	page, err := s.subscriptions.Preview(r.Context(), r.PathValue("name"))
	if err != nil {
		s.log.Warn("previewing a digest", "subscription", r.PathValue("name"), "err", err)
		s.problem(w, r, http.StatusNotFound, "error.no_preview")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; sandbox allow-popups allow-top-navigation-by-user-activation")
	w.Write([]byte(page)) //nolint:errcheck // the reader has gone
}

// postTest tries a channel out.
func (s *Server) postTest(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	v := subscriptionsView{Tried: r.PostForm.Get("channel")}
	if err := s.subscriptions.Test(r.Context(), r.PathValue("name"), v.Tried); err != nil {
		v.Problem = err.Error()
		s.showSubscriptions(w, r, http.StatusBadGateway, v)
		return
	}
	s.showSubscriptions(w, r, http.StatusOK, v)
}
