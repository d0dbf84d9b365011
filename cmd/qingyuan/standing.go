package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	"qingyuan/triage"
)

// standings adds to a status what the frontier says: how much waits of each
// site, on which hosts, for what and until when.
func standings(ctx context.Context, f frontier.Frontier, sources []*crawler.Source, st *triage.Status) error {
	inspector, ok := f.(frontier.Inspector)
	if !ok {
		return countsOnly(ctx, f, st)
	}
	bySource, err := inspector.Sources(ctx)
	if err != nil {
		return err
	}
	hosts, err := inspector.Hosts(ctx, 10*hostsShown)
	if err != nil {
		return err
	}
	waits := map[string][]triage.HostStatus{}
	st.HostsBy = map[string]int{}
	for _, h := range hosts {
		if h.Started.After(st.LastRequest) {
			st.LastRequest = h.Started
		}
		hs := hostStatus(h, sources, st.At)
		st.HostsBy[hs.Waiting]++
		waits[hs.Site] = append(waits[hs.Site], hs)
		if len(st.Hosts) < hostsShown {
			st.Hosts = append(st.Hosts, hs)
		} else {
			st.MoreHosts = true
		}
	}
	if latest, err := inspector.LastStart(ctx); err != nil {
		return err
	} else if latest.After(st.LastRequest) {
		st.LastRequest = latest
	}
	known := map[string]int{}
	for i, s := range st.Sites {
		known[s.Site] = i
	}
	counted := map[string]frontier.SourceStanding{}
	for _, s := range bySource {
		counted[s.Source] = s
		if _, ok := known[s.Source]; !ok {
			st.Sites = append(st.Sites, triage.SiteStatus{Site: s.Source})
		}
	}
	for i := range st.Sites {
		s := &st.Sites[i]
		n := counted[s.Site]
		s.Queued, s.NotDue, s.Leased, s.Dead = n.Ready, n.Later+n.Again, n.Leased, n.Dead
		if !st.Live {
			s.Fetched = n.Done + n.Again
		}
		if s.Waiting == "" {
			waitingOf(s, waits[s.Site], n.NextDue, st.At)
		}
	}
	return nil
}

// countsOnly is standings for a frontier that cannot list its hosts.
func countsOnly(ctx context.Context, f frontier.Frontier, st *triage.Status) error {
	for i := range st.Sites {
		s := &st.Sites[i]
		n, err := f.Stats(ctx, s.Site)
		if err != nil {
			return fmt.Errorf("counting what waits of %s: %w", s.Site, err)
		}
		s.Queued, s.Leased, s.Dead = n.Waiting, n.Leased, n.Dead
		if !st.Live {
			s.Fetched = n.Done
		}
		if s.Waiting != "" {
			continue
		}
		switch {
		case n.Leased > 0:
			s.Waiting = "working"
		case n.NextDue.After(st.At):
			s.Waiting, s.Until = "not_due", n.NextDue
		case n.Waiting > 0:
			s.Waiting = "queued"
		default:
			s.Waiting = "done"
		}
	}
	return nil
}

// hostStatus says what a host waits for.
func hostStatus(h frontier.HostStanding, sources []*crawler.Source, now time.Time) triage.HostStatus {
	out := triage.HostStatus{Host: h.Host, Site: h.Source, Queued: h.Ready}
	if out.Site == "" {
		if s := crawler.SourceOfHost(sources, h.Host); s != nil {
			out.Site = s.Name
		}
	}
	switch {
	case h.Leased:
		out.Waiting = "working"
	case h.Until.After(now):
		out.Waiting, out.Until, out.Reason = string(crawler.WaitingFor(h.Reason)), h.Until, withoutURL(h.Reason)
		if crawler.WaitingFor(h.Reason) == crawler.WaitDelay {
			out.Reason = ""
		}
	case h.Free.After(now):
		out.Waiting, out.Until = string(crawler.WaitDelay), h.Free
	default:
		out.Waiting = "queued"
	}
	return out
}

// withoutURL leaves out of an error of net/http which page it was, which says
// nothing of the host.
func withoutURL(reason string) string {
	if rest, ok := strings.CutPrefix(reason, "Get "); ok {
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			return strings.TrimPrefix(rest[len(quoted):], ": ")
		}
	}
	return reason
}

// waitingOf says of a site what it waits for: it is at work while one of its
// hosts is, and rests only when all of them do.
func waitingOf(s *triage.SiteStatus, hosts []triage.HostStatus, nextDue, now time.Time) {
	rank := func(h triage.HostStatus) int { return slices.Index(triage.Waitings[:], h.Waiting) }
	if len(hosts) > 0 {
		h := slices.MinFunc(hosts, func(a, b triage.HostStatus) int {
			if at, bt := min(rank(a), 3), min(rank(b), 3); at != bt { // working, queued, delay, all the others
				return cmp.Compare(at, bt)
			}
			return a.Until.Compare(b.Until)
		})
		s.Waiting, s.Until, s.Reason = h.Waiting, h.Until, h.Reason
		return
	}
	switch {
	case s.Leased > 0:
		s.Waiting = "working"
	case s.Queued > 0:
		s.Waiting = "queued"
	case s.NotDue > 0:
		s.Waiting = "not_due"
		if nextDue.After(now) {
			s.Until = nextDue
		}
	default:
		s.Waiting = "done"
	}
}

func sortDead(classes []triage.DeadClass) {
	slices.SortStableFunc(classes, func(a, b triage.DeadClass) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Class, b.Class)) })
}

// totalOf adds up sites.
func totalOf(sites []triage.SiteStatus) (t triage.SiteStatus) {
	t.Errors = map[string]int{}
	for _, s := range sites {
		t.Queued += s.Queued
		t.NotDue += s.NotDue
		t.Leased += s.Leased
		t.Dead += s.Dead
		t.Fetched += s.Fetched
		t.Retried += s.Retried
		t.GivenUp += s.GivenUp
		t.Refused += s.Refused
		t.Posts += s.Posts
		t.Hits += s.Hits
		for class, n := range s.Errors {
			t.Errors[class] += n
		}
		if s.LastFetch.After(t.LastFetch) {
			t.LastFetch = s.LastFetch
		}
		if s.LastHit.After(t.LastHit) {
			t.LastHit = s.LastHit
		}
	}
	if t.Fetched > 0 {
		t.Yield = 100 * float64(t.Hits) / float64(t.Fetched)
	}
	return t
}

// snapshot is the status of the crawl of this process as far as it costs
// little: counts, and what the frontier says.
func (w *crawlWatch) snapshot(ctx context.Context, f frontier.Frontier) (triage.Status, error) {
	st := triage.Status{At: time.Now(), Memory: memoryInUse()}
	w.counts(&st)
	running := st.Live
	st.Live = true // what it counted stands after its end too
	var err error
	if f != nil {
		err = standings(ctx, f, w.sources, &st)
	}
	st.Live = running
	for i := range st.Sites {
		if s := &st.Sites[i]; s.Fetched > 0 {
			s.Yield = 100 * float64(s.Hits) / float64(s.Fetched)
		}
	}
	st.Total = totalOf(st.Sites)
	st.Total.Rate = st.Rate
	return st, err
}
