package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"qingyuan/campaign"
	"qingyuan/index"
)

// newGrouper assigns posts to the campaigns of a store.
func newGrouper(store index.Store) *campaign.Grouper {
	return campaign.NewGrouper(campaign.Find{
		Near: func(ctx context.Context, keys []string, limit int, known func(string) bool) ([]campaign.Member, error) {
			page, err := store.Search(ctx, index.Query{Text: "near:(" + strings.Join(keys, " OR ") + ")", Limit: limit, NoTotal: true, OnlyIDs: true, Stale: true})
			if err != nil {
				return nil, err
			}
			var out []campaign.Member
			for _, h := range page.Hits {
				if known(h.Record.Post.ID) {
					continue
				}
				r, err := store.Get(ctx, h.Record.Post.ID)
				if errors.Is(err, index.ErrNotFound) {
					continue // deleted just now
				}
				if err != nil {
					return nil, err
				}
				out = append(out, memberOf(r))
			}
			return out, nil
		},
		Get: func(ctx context.Context, id string) (campaign.Member, bool, error) {
			r, err := store.Get(ctx, id)
			if errors.Is(err, index.ErrNotFound) {
				return campaign.Member{}, false, nil
			}
			return memberOf(r), err == nil, err
		},
	})
}

// memberOf is a record as campaigns see it, at the time it was first seen.
func memberOf(r index.Record) campaign.Member {
	if !r.FirstSeen.IsZero() {
		r.Post.FetchedAt = r.FirstSeen
	}
	return campaign.Member{Post: r.Post, Verdict: r.Verdict, Group: campaign.Group{ID: r.Campaign.ID, FirstSeen: r.Campaign.FirstSeen}}
}

// group sets the campaigns of records that are about to be put.
func group(ctx context.Context, g *campaign.Grouper, recs []index.Record) error {
	members := make([]campaign.Member, len(recs))
	for i, r := range recs {
		members[i] = memberOf(r)
	}
	if err := g.Assign(ctx, members); err != nil {
		return err
	}
	for i, m := range members {
		recs[i].Campaign = index.Campaign{ID: m.Group.ID, FirstSeen: m.Group.FirstSeen}
	}
	return nil
}

// runCampaign groups what the index holds anew.
func runCampaign(ctx context.Context, std stdio, args []string) error {
	if len(args) == 0 || args[0] != "regroup" {
		return misusef("write qingyuan campaign regroup [-dry-run] [-json] [QUERY]")
	}
	f := newFlags(std, "campaign regroup", "[QUERY]", "data")
	dry := f.Bool("dry-run", false, "tell what would change, change nothing")
	asJSON := f.Bool("json", false, "write JSON")
	c, err := f.parse(args[1:])
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	report, err := regroup(ctx, store, strings.Join(f.Args(), " "), *dry)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(std.out).Encode(report)
	}
	verb := "moved"
	if *dry {
		verb = "would move"
	}
	_, err = fmt.Fprintf(std.out, "%d flagged records in %d campaigns; %d %s\n", report.Records, report.Campaigns, report.Moved, verb)
	return err
}

// regroupReport says what regroup did.
type regroupReport struct {
	Records   int `json:"records"`
	Campaigns int `json:"campaigns"`
	Moved     int `json:"moved"`
}

// regroup assigns all flagged records that match, the first seen first, so that
// campaigns which several workers founded at once become one.
func regroup(ctx context.Context, store index.Store, query string, dry bool) (regroupReport, error) {
	var report regroupReport
	text := "flagged:true"
	if query != "" {
		text += " (" + query + ")"
	}
	var ids []string
	err := index.Each(ctx, store, index.Query{Text: text}, func(r index.Record) error {
		ids = append(ids, r.Post.ID)
		return nil
	})
	if err != nil {
		return report, fmt.Errorf("reading the flagged records: %w", err)
	}
	grouper, campaigns := newGrouper(store), map[string]bool{}
	for _, id := range slices.Backward(ids) { // they come newest first
		r, err := store.Get(ctx, id)
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return report, fmt.Errorf("reading record %s: %w", id, err)
		}
		before := r.Campaign.ID
		one := []index.Record{r}
		if err := group(ctx, grouper, one); err != nil {
			return report, err
		}
		report.Records++
		campaigns[one[0].Campaign.ID] = true
		if one[0].Campaign.ID == before {
			continue
		}
		report.Moved++
		if dry {
			continue
		}
		if err := store.Put(ctx, one); err != nil {
			return report, fmt.Errorf("moving record %s: %w", id, err)
		}
	}
	report.Campaigns = len(campaigns)
	return report, nil
}
