package triage

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"qingyuan/index"
	"qingyuan/mask"
)

// Bounds of the overview.
const (
	chartDays     = 30
	chartBars     = 14
	contactPosts  = 2000 // newest hits that the contacts are counted over
	contactsShown = 12
	contactsFresh = time.Minute // how long that count is kept
)

type overviewView struct {
	Cards    []card
	Days     []dayBar
	FirstDay string
	LastDay  string
	DayMax   int
	Category []bar
	Source   []bar
	Status   []bar
	Stance   []bar
	Evasion  []bar
	Reason   []bar
	Contacts []contact
	Counted  int
	Crawl    *CrawlStatus
	CrawlErr bool
}

// card is one number with the queue that it counts.
type card struct {
	Name, Href string
	Count      int
	Class      string
}

// dayBar is a day of the chart; heights are parts of 100.
type dayBar struct {
	Day, Href  string
	X          float64
	Hits, All  int
	HitH, AllH float64
	HitY, AllY float64
}

// bar is a line of a horizontal chart; Width is a part of 100.
type bar struct {
	Name, Href, Class string
	Title             string // the id, where Name is a title
	Count             int
	Width             float64
}

func (s *Server) getOverview(w http.ResponseWriter, r *http.Request) {
	lang := s.lang(r)
	v, err := s.overview(r.Context(), lang)
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	if s.crawl != nil {
		status, err := s.crawl(r.Context())
		if err != nil {
			s.log.Error("asking for the crawl's status", "err", err)
			v.CrawlErr = true
		} else {
			v.Crawl = &status
		}
	}
	s.render(w, r, http.StatusOK, "overview", text(lang, "nav.overview"), v)
}

func (s *Server) overview(ctx context.Context, lang string) (overviewView, error) {
	var v overviewView
	today := s.now().In(s.loc).Format(time.DateOnly)
	for _, c := range [...]struct{ key, query, class string }{
		{"card.open", defaultQuery, "strong"},
		{"card.critical", defaultQuery + " severity:critical", "critical"},
		{"card.today", "flagged:true ingested:" + today, ""},
		{"card.confirmed", "status:confirmed", ""},
		{"card.flagged", "flagged:true", ""},
		{"card.all", "", ""},
	} {
		n, err := s.count(ctx, c.query)
		if err != nil {
			return v, err
		}
		v.Cards = append(v.Cards, card{Name: text(lang, c.key), Href: queryHref(c.query), Count: n, Class: c.class})
	}
	hits, err := s.store.Facets(ctx, index.Query{Text: "flagged:true"}, []string{index.FacetCategory, index.FacetSource, index.FacetEvasion, index.FacetStatus}, max(chartBars, len(s.order)))
	if err != nil {
		return v, err
	}
	all, err := s.store.Facets(ctx, index.Query{}, []string{index.FacetStance, index.FacetReason}, chartBars)
	if err != nil {
		return v, err
	}
	v.Category = s.bars(hits, index.FacetCategory, "flagged:true ", lang)
	v.Source = s.bars(hits, index.FacetSource, "flagged:true ", lang)
	v.Evasion = s.bars(hits, index.FacetEvasion, "flagged:true ", lang)
	v.Status = s.bars(hits, index.FacetStatus, "flagged:true ", lang)
	v.Stance = s.bars(all, index.FacetStance, "", lang)
	v.Reason = s.bars(all, index.FacetReason, "", lang)
	if err := s.fillDays(ctx, &v); err != nil {
		return v, err
	}
	v.Contacts, v.Counted, err = s.topContacts(seesAll(ctx))
	if viewerOf(ctx) != nil {
		v.Contacts = slices.Clone(v.Contacts)
		for i, c := range v.Contacts {
			v.Contacts[i] = contact{Type: c.Type, Value: mask.Contact(c.Type, c.Value), Count: c.Count}
		}
	}
	return v, err
}

func (s *Server) bars(facets map[string][]index.FacetCount, field, query, lang string) []bar {
	counts := facets[field]
	if field == index.FacetStatus {
		slices.SortFunc(counts, func(a, b index.FacetCount) int { return rank(field, a.Value) - rank(field, b.Value) })
	}
	most := 1
	for _, c := range counts {
		most = max(most, c.Count)
	}
	var out []bar
	for _, c := range counts {
		b := bar{Name: plain(s.valueLabel(lang, field, c.Value)), Href: queryHref(query + term(field, c.Value)), Count: c.Count,
			Width: 100 * float64(c.Count) / float64(most)}
		if field == index.FacetCategory {
			b.Class = s.colorClass(c.Value)
		}
		if field == index.FacetSource && b.Name != c.Value {
			b.Title = plain(c.Value)
		}
		out = append(out, b)
	}
	return out
}

// fillDays counts the last days, also those without a record.
func (s *Server) fillDays(ctx context.Context, v *overviewView) error {
	now := s.now().In(s.loc)
	year, month, day := now.Date()
	first := time.Date(year, month, day-chartDays+1, 0, 0, 0, 0, s.loc)
	since := "ingested>=" + first.Format(time.DateOnly)
	counts := [2]map[string]int{}
	for i, query := range [...]string{"flagged:true " + since, since} {
		facets, err := s.store.Facets(ctx, index.Query{Text: query}, []string{index.FacetDay}, 0)
		if err != nil {
			return err
		}
		counts[i] = map[string]int{}
		for _, c := range facets[index.FacetDay] {
			counts[i][c.Value] = c.Count
			v.DayMax = max(v.DayMax, c.Count)
		}
	}
	scale := 100 / float64(max(v.DayMax, 1))
	for i := range chartDays {
		name := first.AddDate(0, 0, i).Format(time.DateOnly)
		hits, all := counts[0][name], counts[1][name]
		b := dayBar{Day: name, Href: queryHref("flagged:true ingested:" + name), X: float64(i) * 10, Hits: hits, All: all,
			HitH: float64(hits) * scale, AllH: float64(all) * scale}
		b.HitY, b.AllY = 100-b.HitH, 100-b.AllH
		v.Days = append(v.Days, b)
	}
	v.FirstDay, v.LastDay = v.Days[0].Day, v.Days[chartDays-1].Day
	return nil
}

// topContacts is the count of contacts and when it was made.
type topContacts struct {
	at      time.Time
	list    []contact
	counted int
}

// topContacts counts in how many of the newest hits each contact stands.
func (s *Server) topContacts(ctx context.Context) ([]contact, int, error) {
	s.mu.Lock()
	kept := s.contacts
	s.mu.Unlock()
	if age := s.now().Sub(kept.at); !kept.at.IsZero() && age >= 0 && age < contactsFresh {
		return kept.list, kept.counted, nil
	}
	counts := map[[2]string]*contact{}
	q := index.Query{Text: "flagged:true", Sort: index.SortFirstSeen, Limit: 500, NoTotal: true}
	counted := 0
	for counted < contactPosts {
		page, err := s.store.Search(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for _, h := range page.Hits {
			counted++
			for _, c := range contactsOf(h.Record.Verdict) {
				key := [2]string{c.Type, c.Value}
				if counts[key] == nil {
					counts[key] = &c
				}
				counts[key].Count++
			}
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	list := make([]contact, 0, len(counts))
	for _, c := range counts {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b contact) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	list = list[:min(len(list), contactsShown)]
	s.mu.Lock()
	s.contacts = topContacts{at: s.now(), list: list, counted: counted}
	s.mu.Unlock()
	return list, counted, nil
}
