package triage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is how the crawl and what it keeps stand: what the status page shows,
// and the body of /api/status.
type Status struct {
	At          time.Time  `json:"at"`
	Live        bool       `json:"live"`                  // a crawl runs in this process; else what the frontier on the disk says
	Since       time.Time  `json:"since,omitzero"`        // start of the crawl in this process
	LastRequest time.Time  `json:"last_request,omitzero"` // by any process
	Rate        float64    `json:"pages_per_second"`      // in this process, over the last minute
	Memory      int64      `json:"memory_bytes"`          // of this process
	Problem     string     `json:"problem,omitempty"`     // why nothing moves: the index or the frontier fails
	Total       SiteStatus `json:"total"`
	// Sites are in the order of the configuration, then others that the frontier
	// knows.
	Sites     []SiteStatus   `json:"sites"`
	Hosts     []HostStatus   `json:"hosts"`                      // that are in work or wait, the next one first
	MoreHosts bool           `json:"more_hosts,omitempty"`       // there are more than listed
	HostsBy   map[string]int `json:"hosts_by_waiting,omitempty"` // by what they wait for, counted to 600 hosts
	Alarms    []Alarm        `json:"alarms"`
	Dead      []DeadClass    `json:"dead"`
	DeadSeen  int            `json:"dead_seen"` // newest dead letters that Dead counts; Total.Dead are all

	Dictionary string     `json:"dictionary"`           // version
	Model      string     `json:"model,omitempty"`      // version; "" for none
	Refused    []string   `json:"refused,omitempty"`    // what is wrong with edits of the dictionary
	Storage    []Storage  `json:"storage"`              //
	DiskFree   int64      `json:"disk_free_bytes"`      // 0: not known
	DiskTotal  int64      `json:"disk_total_bytes"`     //
	Digest     LastDigest `json:"last_digest,omitzero"` //
}

// SiteStatus is one site's part of a Status. Counts of work are since the start
// of the crawl in this process; without one they are 0, and Fetched is the
// number of pages that the frontier has done.
type SiteStatus struct {
	Site      string         `json:"site,omitempty"`
	Title     string         `json:"title,omitempty"`
	Queued    int            `json:"queued"`  // due
	NotDue    int            `json:"not_due"` // to be fetched, or fetched again, later
	Leased    int            `json:"leased"`  // in work
	Dead      int            `json:"dead"`    // given up, all that the frontier knows
	Fetched   int            `json:"fetched"` // pages, those not modified among them
	Retried   int            `json:"retried"` // failures that are tried again
	GivenUp   int            `json:"given_up"`
	Refused   int            `json:"refused"`          // traps and budgets
	Errors    map[string]int `json:"errors,omitempty"` // by class of reason
	Posts     int            `json:"posts"`            // read; without a crawl here: in the index
	Hits      int            `json:"hits"`             // distinct; without a crawl here: in the index
	Yield     float64        `json:"yield"`            // hits for each hundred pages
	Rate      float64        `json:"pages_per_second"` // over the last minute
	LastFetch time.Time      `json:"last_fetch,omitzero"`
	LastHit   time.Time      `json:"last_hit,omitzero"`
	Waiting   string         `json:"waiting,omitempty"` // one of Waitings
	Until     time.Time      `json:"until,omitzero"`
	Reason    string         `json:"reason,omitempty"` // as recorded, in English
}

// Waitings are what SiteStatus.Waiting and HostStatus.Waiting may say: working,
// done, queued, not due, or why nothing is fetched before Until.
var Waitings = [...]string{"working", "queued", "delay", "not_due", "done", "backoff", "retry_after", "robots", "wall", "budget", "store"}

// HostStatus is a host that is in work or waits.
type HostStatus struct {
	Host    string    `json:"host"`
	Site    string    `json:"site,omitempty"`
	Waiting string    `json:"waiting"`
	Until   time.Time `json:"until,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	Queued  int       `json:"queued"`
}

// Alarm is what needs a person: a site behind a wall, one that has changed.
type Alarm struct {
	Kind   string    `json:"kind"` // "wall", or what else raises alarms
	Site   string    `json:"site,omitempty"`
	Host   string    `json:"host,omitempty"`
	URL    string    `json:"url,omitempty"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"` // next trial
}

// DeadClass counts pages given up for one class of reason.
type DeadClass struct {
	Class    string     `json:"class"`
	Count    int        `json:"count"`
	Examples []DeadPage `json:"examples"` // the newest
}

// DeadPage is a page given up.
type DeadPage struct {
	URL    string    `json:"url"`
	Site   string    `json:"site"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Storage is the size of one thing that is kept.
type Storage struct {
	Name  string `json:"name"` // archive, index, frontier
	Bytes int64  `json:"bytes"`
	Files int    `json:"files"`
}

// LastDigest is the digest that was built last.
type LastDigest struct {
	Day   string    `json:"day"` // 2026-11-22
	Built time.Time `json:"built"`
}

// WhyAnswer says why a URL was not fetched, or when it was and will be.
type WhyAnswer struct {
	URL      string
	Sentence string    // in the language asked for
	Lines    []WhyLine // in the language asked for
	Full     any       // for the JSON API
}

// WhyLine is one detail of a WhyAnswer.
type WhyLine struct{ Label, Value string }

// ErrNothingCrawled is returned by Options.Why when there is no frontier to ask.
var ErrNothingCrawled = errors.New("nothing was crawled into this data folder yet")

// whyTime is how long the answer to one URL may take.
const whyTime = 5 * time.Second

// maxAsked is the longest URL that is looked up, in bytes; the crawl takes none
// that is longer.
const maxAsked = 8 << 10

type statusView struct {
	Status   *Status
	Err      bool
	HasWhy   bool
	Asked    string // the URL in the form
	Answers  []WhyAnswer
	WhyError string // key of a text
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	lang := s.lang(r)
	v := statusView{HasWhy: s.why != nil}
	if s.status != nil {
		status, err := s.status(r.Context())
		if err != nil {
			s.log.Error("asking for the status", "err", err)
			v.Err = true
		}
		v.Status = &status
	}
	v.Asked = strings.ToValidUTF8(strings.TrimSpace(r.URL.Query().Get("url")), "\uFFFD")
	if v.Asked != "" && s.why != nil {
		v.Answers, v.WhyError = s.askWhy(r.Context(), lang, v.Asked)
	}
	s.render(w, r, http.StatusOK, "status", text(lang, "nav.status"), v)
}

// askWhy returns the answers for a URL, or the key of a text that says why
// there are none.
func (s *Server) askWhy(ctx context.Context, lang, url string) (answers []WhyAnswer, problem string) {
	if len(url) > maxAsked || !utf8.ValidString(url) {
		return nil, "asked.too_long"
	}
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	answers, err := s.why(ctx, lang, url)
	switch {
	case errors.Is(err, ErrNothingCrawled):
		return nil, "asked.nothing"
	case err != nil:
		s.log.Error("asking why", "url", url, "err", err)
		return nil, "asked.failed"
	}
	return answers, ""
}

func (s *Server) apiStatus(w http.ResponseWriter, r *http.Request) {
	if s.status == nil {
		s.problem(w, r, http.StatusNotFound, "error.not_found")
		return
	}
	status, err := s.status(r.Context())
	if err != nil {
		s.log.Error("asking for the status", "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.internal")
		return
	}
	writeJSON(w, http.StatusOK, status)
}

func (s *Server) apiWhy(w http.ResponseWriter, r *http.Request) {
	url := strings.TrimSpace(r.URL.Query().Get("url"))
	switch {
	case s.why == nil:
		s.problem(w, r, http.StatusNotFound, "error.not_found")
		return
	case url == "":
		s.refuse(w, r, http.StatusBadRequest, "url_missing")
		return
	}
	answers, problem := s.askWhy(r.Context(), s.lang(r), url)
	if problem != "" {
		status := http.StatusInternalServerError
		switch problem {
		case "asked.too_long":
			status = http.StatusBadRequest
		case "asked.nothing":
			status = http.StatusNotFound
		}
		writeFault(w, status, apiFault{Code: strings.TrimPrefix(problem, "asked."), Message: text(s.lang(r), problem)})
		return
	}
	full := make([]any, 0, len(answers))
	for _, a := range answers {
		full = append(full, a.Full)
	}
	writeJSON(w, http.StatusOK, map[string]any{"answers": full})
}

// Label names an id of one of the fixed lists that pages and commands share, in
// the language "zh" or "en": "waiting" (Waitings), "reason_class", "alarm",
// "storage". An id that the list does not know is returned as it is.
func Label(lang, list, id string) string { return label(lang, list, id) }

// Bytes writes a size for people, in binary units: 1.5 GiB.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1023.95 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

// Ago writes how long a span is, in its two largest units at most, in the
// language "zh" or "en": 3 min 20 s.
func Ago(lang string, d time.Duration) string {
	d = d.Abs().Round(time.Second)
	names := [...]string{"天", "时", "分", "秒"}
	if lang == "en" {
		names = [...]string{"d", "h", "min", "s"}
	}
	parts := [...]int{int(d.Hours()) / 24, int(d.Hours()) % 24, int(d.Minutes()) % 60, int(d.Seconds()) % 60}
	for i, n := range parts {
		if n == 0 && i < len(parts)-1 {
			continue
		}
		gap := " "
		if lang != "en" {
			gap = ""
		}
		out := fmt.Sprintf("%d%s%s", n, gap, names[i])
		if i+1 < len(parts) && parts[i+1] > 0 {
			out += fmt.Sprintf("%s%d%s%s", gap, parts[i+1], gap, names[i+1])
		}
		return out
	}
	return ""
}
