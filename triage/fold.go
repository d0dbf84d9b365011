package triage

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"qingyuan/index"
)

const (
	// maxCopies is how many near-identical records one decision on a row covers
	// besides its own; a larger campaign is decided on its own page of the queue.
	maxCopies = 100
	// maxFoldReads bounds the reading for one page, when a campaign of thousands
	// stands at the top.
	maxFoldReads = 12
)

// folded is a row of the queue: a record, and those of its campaign that match
// the same query.
type folded struct {
	rec    index.Record
	copies []copyOf
	more   int // copies beyond maxCopies
}

// copyOf is a near-identical record as it was when the page was made.
type copyOf struct {
	ID      string
	Version int64
}

// Key is the copy as a form carries it.
func (c copyOf) Key() string { return strconv.FormatInt(c.Version, 10) + ":" + c.ID }

// readFolded reads a page of the queue with at most one row a campaign. The
// page holds the total and the next cursor of the records, folded or not.
func (s *Server) readFolded(ctx context.Context, q listQuery) ([]folded, index.Page, error) {
	var rows []folded
	var page index.Page
	shown := map[string]bool{}
	ask := index.Query{Text: q.Text, Sort: q.Sort, After: q.After}
	for read := range maxFoldReads {
		ask.Limit, ask.NoTotal = pageSize-len(rows), read > 0
		p, err := s.store.Search(ctx, ask)
		if err != nil {
			return nil, page, err
		}
		if read == 0 {
			page.Total = p.Total
		}
		for _, h := range p.Hits {
			id := h.Record.Campaign.ID
			if q.Unfolded || id == "" || !shown[id] {
				rows = append(rows, folded{rec: h.Record})
			}
			shown[id] = true
		}
		ask.After, page.Next = p.Next, p.Next
		if p.Next == "" || len(rows) == pageSize {
			break
		}
	}
	if q.Unfolded {
		return rows, page, nil
	}
	for i := range rows {
		if rows[i].rec.Campaign.Size < 2 {
			continue
		}
		var err error
		if rows[i].copies, rows[i].more, err = s.copies(ctx, rows[i].rec, q.Text); err != nil {
			return nil, page, err
		}
	}
	return rows, page, nil
}

// copies lists the other records of a campaign that match a query.
func (s *Server) copies(ctx context.Context, rec index.Record, query string) ([]copyOf, int, error) {
	p, err := s.store.Search(ctx, index.Query{Text: within(rec.Campaign.ID, query), Limit: maxCopies + 1})
	if unaskable(err) {
		return nil, 0, nil // a query at the length limit; the row stands for itself
	}
	if err != nil {
		return nil, 0, err
	}
	var out []copyOf
	for _, h := range p.Hits {
		if h.Record.Post.ID != rec.Post.ID && len(out) < maxCopies {
			out = append(out, copyOf{h.Record.Post.ID, h.Record.Triage.Version})
		}
	}
	return out, max(0, p.Total-1-len(out)), nil
}

// within is a query narrowed to one campaign.
func within(campaign, query string) string {
	if strings.TrimSpace(query) == "" {
		return term("campaign", campaign)
	}
	return "(" + query + ") " + term("campaign", campaign)
}

// also applies a decision to the copies that were listed when the page was
// made, and returns how many changed and how many somebody else had changed
// meanwhile. The comment stays with the record it was written for.
func (s *Server) also(ctx context.Context, copies []copyOf, c index.TriageChange) (changed, conflicts int, err error) {
	if c.Status == "" {
		return 0, 0, nil
	}
	c = index.TriageChange{Actor: c.Actor, Status: c.Status, Reason: c.Reason, RequestID: c.RequestID}
	for _, item := range copies {
		rec, err := s.store.Get(ctx, item.ID)
		if errors.Is(err, index.ErrNotFound) {
			conflicts++
			continue
		}
		if err != nil {
			return changed, conflicts, err
		}
		after, err := s.act(ctx, rec, item.Version, c)
		switch {
		case errors.Is(err, index.ErrConflict), errors.Is(err, index.ErrNotFound):
			conflicts++
		case err != nil:
			return changed, conflicts, err
		case after.Version != item.Version:
			changed++
		}
	}
	return changed, conflicts, nil
}

// readCopies reads the copies that a decision covers; none when the analyst
// decided on the one record only.
func readCopies(form url.Values) ([]copyOf, error) {
	if form.Get("group") == "" {
		return nil, nil
	}
	keys := form["also"]
	if len(keys) > maxCopies {
		return nil, errTooMany
	}
	out := make([]copyOf, len(keys))
	for i, key := range keys {
		var err error
		if out[i], err = readItem(key); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readItem reads version:id.
func readItem(key string) (copyOf, error) {
	number, id, ok := strings.Cut(key, ":")
	version, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || id == "" {
		return copyOf{}, errBadItem
	}
	return copyOf{id, version}, nil
}
