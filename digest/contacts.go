package digest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/mask"
)

// Limits of the look-up of earlier contacts.
const (
	maxContact   = 512 // bytes of a contact that can be asked for
	maxRevisions = 3   // edited hits of one contact whose earlier contents are read
)

// tally is what the day's hits say of one contact.
type tally struct {
	number int32
	hits   int
	sites  map[string]bool
	best   int      // index into findings.hits, its strongest
	edited []string // ids of some of its hits that were known before with another content
}

// contacts fills NewContacts and TopContacts.
func (b *builder) contacts(ctx context.Context, f *findings) error {
	tallies := tallyContacts(f)
	b.d.Totals.Contacts = len(tallies)
	before, err := b.earlier(ctx, f, tallies)
	if err != nil {
		return fmt.Errorf("comparing contacts with earlier hits: %w", err)
	}
	fresh, top := []Contact{}, []Contact{}
	for _, t := range tallies {
		c := b.contact(f.contacts[t.number])
		c.Hits, c.Sites, c.HitID = t.hits, len(t.sites), f.hits[t.best].id
		c.Before, c.New = before[t.number], before[t.number] == 0
		if c.New {
			b.d.Totals.NewContacts++
			if len(fresh) < b.short() {
				fresh = append(fresh, c)
			}
		}
		if len(top) < b.short() {
			top = append(top, c)
		}
	}
	b.d.NewContacts = List[Contact]{fresh, b.d.Totals.NewContacts}
	b.d.TopContacts = List[Contact]{top, len(tallies)}
	return nil
}

// contact returns the contact to show.
func (b *builder) contact(k contactKey) Contact {
	value := k.value
	if !b.opts.ShowContacts {
		value = mask.Contact(k.kind, value)
	}
	return Contact{Type: k.kind, Value: cut(defang(clean(value)), 60)}
}

// tallyContacts counts hits a contact, most first, and then by its strongest hit.
func tallyContacts(f *findings) []*tally {
	byNumber := make([]*tally, len(f.contacts))
	for i, h := range f.hits {
		for _, c := range h.contacts {
			t := byNumber[c]
			if t == nil {
				t = &tally{number: c, sites: map[string]bool{}, best: i}
				byNumber[c] = t
			}
			t.hits++
			t.sites[h.site] = true
			if h.edited && len(t.edited) < maxRevisions {
				t.edited = append(t.edited, h.id)
			}
		}
	}
	slices.SortFunc(byNumber, func(x, y *tally) int {
		return cmp.Or(cmp.Compare(y.hits, x.hits), cmp.Compare(len(y.sites), len(x.sites)), cmp.Compare(x.best, y.best), cmp.Compare(x.number, y.number))
	})
	return byNumber
}

// unknown is the count of a contact that was not compared.
const unknown = -1

// earlier returns, by contact number, how many flagged posts before the day
// name it, also those that were dismissed: they were seen. It sets
// UncheckedContacts.
func (b *builder) earlier(ctx context.Context, f *findings, tallies []*tally) ([]int, error) {
	before := make([]int, len(f.contacts))
	asked := 0
	for _, t := range tallies {
		k := f.contacts[t.number]
		if asked == MaxContacts || len(k.value) > maxContact {
			before[t.number] = unknown
			b.d.UncheckedContacts++
			continue
		}
		asked++
		field := k.kind
		if !slices.Contains(index.EntityTypes[:], field) {
			field = "contact" // url: asks for the post's own address
		}
		// Counted by value of flagged instead of asking for flagged posts: a store
		// then starts from the few posts that name the contact.
		q := index.And{index.TimeRange{Field: "ingested", To: b.d.From}, index.Equal{Field: field, Value: k.value}}
		found, err := b.facets(ctx, q.String(), index.FacetFlagged)
		if mistake := (*index.QueryError)(nil); errors.As(err, &mistake) {
			// A crawled value that the query language refuses, such as *, must not
			// cost the day its digest.
			before[t.number] = unknown
			b.d.UncheckedContacts++
			continue
		}
		if err != nil {
			return nil, err
		}
		before[t.number] = found[index.FacetFlagged]["true"]
		// An ad that is edited every day would bring its contact as a new one.
		for _, id := range t.edited {
			if before[t.number] > 0 {
				break
			}
			if before[t.number], err = b.heldBefore(ctx, id, k.value); err != nil {
				return nil, err
			}
		}
	}
	return before, nil
}

// heldBefore returns 1 when an earlier, flagged content of a record held the
// contact, else 0; disguises that only the entity extractor undoes escape it.
func (b *builder) heldBefore(ctx context.Context, id, value string) (int, error) {
	revisions, err := b.store.Revisions(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, r := range revisions {
		text := r.Title + "\n" + r.Text
		if r.Flagged && r.FetchedAt.Before(b.d.From) && (strings.Contains(index.Fold(text), value) || strings.Contains(classify.Normalize(text), value)) {
			return 1, nil
		}
	}
	return 0, nil
}
