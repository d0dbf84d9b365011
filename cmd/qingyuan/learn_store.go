package main

import (
	"context"
	"crypto/sha256"
	"fmt"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/workbench"
)

// dismissedAs is the stance that a dismissal says a text has.
var dismissedAs = map[string]classify.Stance{
	"quoted_news": classify.StanceReport, "anti_fraud_notice": classify.StanceWarning, "victim_question": classify.StanceQuestion,
	"licensed_business": classify.StanceLegal, "negated_or_ironic": classify.StanceOther, "homograph": classify.StanceOther,
}

// decidedTexts are the records of the data folder that analysts have decided
// on, as labelled texts. Of texts that say the same one is taken: an
// advertisement posted a thousand times is one lesson. days 0: all.
func decidedTexts(ctx context.Context, c config, days int) ([]classify.Labelled, error) {
	store, err := openExisting(ctx, c)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	var out []classify.Labelled
	seen := map[[sha256.Size]byte]bool{}
	err = index.Each(ctx, store, index.Query{Text: sinceDays(days)}, func(r index.Record) error {
		offer, known := workbench.Decided(r.Triage)
		if !known {
			return nil
		}
		l := classify.Labelled{ID: r.Post.ID, Title: r.Post.Title, Text: r.Post.Text, SourceType: r.Post.SourceType, Kind: r.Post.Kind, Flagged: offer, Stance: classify.StanceOffer}
		switch {
		case !offer:
			if l.Stance = dismissedAs[r.Triage.Reason]; l.Stance == "" {
				return nil // a reason of a newer version
			}
		case len(r.Verdict.Categories) > 0:
			l.Category = r.Verdict.Categories[0].ID
		default:
			return nil // confirmed, but nobody said of what
		}
		key := sha256.Sum256([]byte(classify.Normalize(r.Post.FullText())))
		if !seen[key] {
			seen[key] = true
			out = append(out, l)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("walking the records: %w", err)
	}
	return out, nil
}
