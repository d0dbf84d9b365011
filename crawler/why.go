package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"qingyuan/crawler/frontier"
)

// WhyCode says in one word what a URL waits for, or why it is not fetched.
type WhyCode string

// The codes of a Why.
const (
	WhyBadURL  WhyCode = "bad_url"  // it is no URL that could be fetched
	WhyScope   WhyCode = "scope"    // on no source's hosts
	WhyNoRule  WhyCode = "no_rule"  // no page rule of the source fits
	WhyUnknown WhyCode = "unknown"  // could be fetched, but no page has named it
	WhyQueued  WhyCode = "queued"   // due; others of the host go first, or it is next
	WhyLater   WhyCode = "later"    // not due before Next
	WhyHost    WhyCode = "host"     // the host is left alone until Next
	WhyLeased  WhyCode = "leased"   // in work now
	WhyFetched WhyCode = "fetched"  // done; again at Next when that is set
	WhyLeftOut WhyCode = "left_out" // its turn came, or the pass ended, without a fetch
	WhyDead    WhyCode = "dead"     // given up
	WhyRobots  WhyCode = "robots"   // forbidden by robots.txt
	WhyBudget  WhyCode = "budget"   // over max_pages, max_depth, a budget or the backlog
	WhyTrap    WhyCode = "trap"     // taken for a trap
)

// Why answers for one URL and one source why it was not fetched, or when it
// was and will be.
type Why struct {
	URL         string         `json:"url"`                    // as asked
	Canonical   string         `json:"canonical,omitempty"`    // by which the page is known
	DuplicateOf string         `json:"duplicate_of,omitempty"` // Canonical, when URL is another spelling of it
	Source      string         `json:"source,omitempty"`
	Page        string         `json:"page,omitempty"` // the page rule that fits
	Code        WhyCode        `json:"code"`
	State       frontier.State `json:"state,omitempty"`  // "" when the frontier does not know it
	Reason      string         `json:"reason,omitempty"` // as recorded, in English
	At          time.Time      `json:"at,omitzero"`      // of the last fetch, failure or refusal
	Next        time.Time      `json:"next,omitzero"`    // the earliest time of the next fetch; zero: none is planned, or at once
	Status      int            `json:"status,omitempty"` // HTTP status of the last successful fetch
	Tries       int            `json:"tries,omitempty"`  // failed so far
	Ahead       int            `json:"ahead,omitempty"`  // due pages of the host that go first
	Parent      string         `json:"parent,omitempty"` // page that named it
	Depth       int            `json:"depth,omitempty"`  // links from a seed
	Host        string         `json:"host,omitempty"`
}

// Explain asks the frontier about a URL, for each source that has it on its
// hosts: from what is recorded alone, nothing is fetched and nothing changed.
// The error is the frontier's.
func Explain(ctx context.Context, f frontier.Frontier, sources []*Source, rawURL string, now time.Time) ([]Why, error) {
	plain, _, err := Canonical(rawURL)
	if err != nil {
		return []Why{{URL: rawURL, Code: WhyBadURL, Reason: err.Error()}}, nil
	}
	var out []Why
	for _, s := range sources {
		if !s.InScope(plain) {
			continue
		}
		w, err := explainFor(ctx, f, s, rawURL, now)
		if err != nil {
			return nil, fmt.Errorf("asking the frontier about %s: %w", rawURL, err)
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		host := ""
		if u, err := url.Parse(plain); err == nil {
			host = u.Host
		}
		out = []Why{{URL: rawURL, Canonical: plain, Code: WhyScope, Host: host}}
	}
	return out, nil
}

func explainFor(ctx context.Context, f frontier.Frontier, s *Source, rawURL string, now time.Time) (Why, error) {
	w := Why{URL: rawURL, Source: s.Name}
	var err error
	if w.Canonical, w.Host, err = s.Canonical(rawURL); err != nil {
		w.Code, w.Reason = WhyBadURL, err.Error()
		return w, nil
	}
	if w.Canonical != rawURL {
		w.DuplicateOf = w.Canonical
	}
	rule, fits := s.Rule(w.Canonical)
	if fits {
		w.Page = rule.Name
	}
	st, err := f.Lookup(ctx, frontier.ID(s.Name, w.Canonical))
	switch {
	case errors.Is(err, frontier.ErrUnknown) && !fits:
		w.Code = WhyNoRule
		return w, nil
	case errors.Is(err, frontier.ErrUnknown):
		w.Code = WhyUnknown
		if w.Reason, err = trapReason(ctx, f, s, w.Canonical, now); w.Reason != "" {
			w.Code = WhyTrap
		}
		return w, err
	case err != nil:
		return w, err
	}
	w.standing(st, now)
	return w, nil
}

// standing takes over what the frontier knows.
func (w *Why) standing(st frontier.Standing, now time.Time) {
	w.State, w.Reason, w.Tries, w.Parent, w.Depth = st.State, st.Reason, st.Tries, st.Parent, st.Depth
	w.At, w.Status = st.Changed, st.Last.Status
	switch st.State {
	case frontier.StateWaiting:
		w.waiting(st, now)
	case frontier.StateLeased:
		w.Code = WhyLeased
	case frontier.StateRefused:
		w.At, w.Code = st.Refused.At, codeOf(st.Reason, WhyLeftOut)
	case frontier.StateDead:
		w.Code = codeOf(st.Reason, WhyDead)
	default:
		w.Next = st.Last.Again
		switch {
		case st.Reason != "":
			w.Code = codeOf(st.Reason, WhyDead)
		case st.Fetched.IsZero():
			w.Code = WhyLeftOut
		default:
			w.Code, w.At = WhyFetched, st.Fetched
		}
	}
}

// waiting finds what a task waits for longest.
func (w *Why) waiting(st frontier.Standing, now time.Time) {
	w.Code, w.Ahead = WhyQueued, st.Ahead
	if st.Due.After(now) {
		w.Code, w.Next = WhyLater, st.Due
	}
	if st.HostFree.After(now) && st.HostFree.After(w.Next) {
		w.Next = st.HostFree
		if st.HostUntil.After(now) {
			w.Code, w.Reason = WhyHost, st.HostReason
			if strings.Contains(st.HostReason, "robots.txt") {
				w.Code = WhyRobots
			}
		}
	}
	if w.Code == WhyQueued && st.Ahead > 0 {
		w.Next = later(now, w.Next).Add(time.Duration(st.Ahead) * st.Delay)
	}
}

// codeOf sorts a recorded reason.
func codeOf(reason string, otherwise WhyCode) WhyCode {
	for _, c := range []struct {
		prefix string
		code   WhyCode
	}{{"trap: ", WhyTrap}, {"budget: ", WhyBudget}, {"max_pages", WhyBudget}, {"max_depth", WhyBudget}, {"backlog: ", WhyBudget}} {
		if strings.HasPrefix(reason, c.prefix) {
			return c.code
		}
	}
	if strings.Contains(reason, "robots.txt") {
		return WhyRobots
	}
	return otherwise
}
