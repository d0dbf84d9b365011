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
)

// group is a set of folded hits, by their places in findings.hits.
type group struct {
	members []int
	contact bool // folded by a contact
	text    bool // folded by the text
}

// forest is a union-find over hits; the root is always the strongest hit.
type forest []int

func (f forest) root(i int) int {
	for f[i] != i {
		f[i] = f[f[i]]
		i = f[i]
	}
	return i
}

func (f forest) join(i, j int) {
	i, j = f.root(i), f.root(j)
	f[max(i, j)] = min(i, j)
}

// fold puts hits that share a contact, a text or a campaign together, strongest
// first.
// Addresses are no such contact: many ads link to the same platform.
func fold(f *findings) []group {
	trees := make(forest, len(f.hits))
	byContact := make([]int, len(f.contacts))
	for i := range byContact {
		byContact[i] = -1
	}
	byText, byCampaign := map[[16]byte]int{}, map[string]int{}
	contact, text := make([]bool, len(f.hits)), make([]bool, len(f.hits))
	for i, h := range f.hits {
		trees[i] = i
		for _, c := range h.contacts {
			if f.contacts[c].kind == classify.EntityURL {
				continue
			}
			if first := byContact[c]; first >= 0 {
				trees.join(i, first)
				contact[i] = true
			} else {
				byContact[c] = i
			}
		}
		if h.campaign != "" {
			if first, ok := byCampaign[h.campaign]; ok {
				trees.join(i, first)
				text[i] = true
			} else {
				byCampaign[h.campaign] = i
			}
		}
		if !h.long {
			continue
		}
		if first, ok := byText[h.text]; ok {
			trees.join(i, first)
			text[i] = true
		} else {
			byText[h.text] = i
		}
	}
	var groups []group
	place := map[int]int{}
	for i := range f.hits {
		root := trees.root(i)
		at, ok := place[root]
		if !ok {
			at = len(groups)
			place[root] = at
			groups = append(groups, group{})
		}
		g := &groups[at]
		g.members = append(g.members, i)
		g.contact, g.text = g.contact || contact[i], g.text || text[i]
	}
	return groups
}

// list fills Hits and Groups, reading again only the records that are shown.
func (b *builder) list(ctx context.Context, f *findings) error {
	groups := b.dropTold(f, fold(f))
	b.d.Hits = List[Hit]{Items: []Hit{}, Total: len(groups)}
	for _, g := range groups[:min(len(groups), b.opts.Top)] {
		h, err := b.hit(ctx, f.hits[g.members[0]], len(g.members)-1)
		if errors.Is(err, index.ErrNotFound) {
			b.d.Hits.Total--
			continue
		}
		if err != nil {
			return fmt.Errorf("reading a hit: %w", err)
		}
		b.d.Hits.Items = append(b.d.Hits.Items, h)
	}
	groups = slices.DeleteFunc(groups, func(g group) bool { return len(g.members) < 2 })
	slices.SortStableFunc(groups, func(x, y group) int { return cmp.Compare(len(y.members), len(x.members)) })
	b.d.Groups = List[Group]{Items: []Group{}, Total: len(groups)}
	for _, g := range groups[:min(len(groups), b.short())] {
		shown, err := b.group(ctx, f, g)
		if err != nil {
			return fmt.Errorf("reading a group: %w", err)
		}
		b.d.Groups.Items = append(b.d.Groups.Items, shown)
	}
	return nil
}

func (b *builder) hit(ctx context.Context, s sighting, copies int) (Hit, error) {
	r, err := b.store.Get(ctx, s.id)
	if err != nil {
		return Hit{}, err
	}
	q := newQuoter(r, !b.opts.ShowContacts)
	category := strongest(r.Verdict)
	return Hit{
		ID: r.Post.ID, Site: label(r.Post.Source), Author: cut(q.loose(r.Post.Author.Name), 24),
		Title: q.title(60), Excerpt: q.excerpt(100), Category: category, CategoryName: b.categoryName(category),
		Severity: r.Verdict.Severity, Score: r.Verdict.Score, Status: r.Triage.Status, Reason: b.reason(r, q),
		PublishedAt: b.local(r.Post.PublishedAt), IngestedAt: b.local(r.IngestedAt),
		Edited: s.edited, Gone: !r.DeletedAt.IsZero(), Copies: copies,
	}, nil
}

// group describes a group by its strongest hit and its most shared contacts.
func (b *builder) group(ctx context.Context, f *findings, g group) (Group, error) {
	first := f.hits[g.members[0]]
	out := Group{HitID: first.id, Size: len(g.members), By: "text", Contacts: []Contact{}}
	switch {
	case g.contact && g.text:
		out.By = "both"
	case g.contact:
		out.By = "contact"
	}
	sites, hits, contactSites := map[string]bool{}, map[int32]int{}, map[int32]map[string]bool{}
	for _, m := range g.members {
		sites[f.hits[m].site] = true
		for _, c := range f.hits[m].contacts {
			if contactSites[c] == nil {
				contactSites[c] = map[string]bool{}
			}
			hits[c]++
			contactSites[c][f.hits[m].site] = true
		}
	}
	out.Sites = len(sites)
	var shared []int32
	for c, n := range hits {
		if n > 1 {
			shared = append(shared, c)
		}
	}
	slices.SortFunc(shared, func(x, y int32) int { return cmp.Or(cmp.Compare(hits[y], hits[x]), cmp.Compare(x, y)) })
	for _, c := range shared[:min(len(shared), 3)] {
		k := b.contact(f.contacts[c])
		k.Hits, k.Sites, k.Before, k.HitID = hits[c], len(contactSites[c]), unknown, first.id
		out.Contacts = append(out.Contacts, k)
	}
	r, err := b.store.Get(ctx, first.id)
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		return out, err
	}
	if err == nil {
		q := newQuoter(r, !b.opts.ShowContacts)
		out.Label = cmp.Or(q.title(40), q.excerpt(40))
	}
	return out, nil
}

// Lengths of a reason's parts.
const (
	reasonWords    = 4
	reasonEvasions = 4
	reasonContacts = 3
)

// reason says in one line what is offered, by which words, how disguised, and
// who is to be contacted.
func (b *builder) reason(r index.Record, q *quoter) string {
	parts := []string{fmt.Sprintf(b.words["reason.offers"], b.categoryName(strongest(r.Verdict)))}
	if w := evidence(r.Verdict, q); len(w) > 0 {
		parts = append(parts, fmt.Sprintf(b.words["reason.words"], strings.Join(w, b.words["comma"])))
	}
	var evasions []string
	for _, e := range r.Verdict.Evasion {
		if len(evasions) == reasonEvasions {
			evasions = append(evasions, "…")
			break
		}
		evasions = append(evasions, b.name("evasion", string(e)))
	}
	if len(evasions) > 0 {
		parts = append(parts, fmt.Sprintf(b.words["reason.evasion"], strings.Join(evasions, b.words["comma"])))
	}
	var contacts []string
	seen := map[contactKey]bool{}
	for _, e := range r.Verdict.Entities {
		k := contactKey{e.Type, index.FieldValue("contact", e.Value)}
		if e.Official || seen[k] || k.value == "" || !slices.Contains(index.ContactTypes[:], e.Type) {
			continue
		}
		seen[k] = true
		if len(contacts) == reasonContacts {
			contacts = append(contacts, "…")
			break
		}
		contacts = append(contacts, b.name("contact", e.Type)+" "+b.contact(k).Value)
	}
	if len(contacts) == 0 {
		contacts = append(contacts, b.words["reason.nocontact"])
	}
	parts = append(parts, fmt.Sprintf(b.words["reason.contact"], strings.Join(contacts, b.words["comma"])))
	return strings.Join(parts, b.words["semicolon"])
}

// evidence returns the published words that spoke for the verdict: dictionary
// terms of its category before other terms, rules, and what the model learned.
func evidence(v classify.Verdict, q *quoter) []string {
	category := strongest(v)
	rank := func(r classify.Reason) int {
		switch {
		case r.Weight <= 0 || r.Text == "":
			return -1
		case r.Kind == classify.ReasonTerm && r.Category == category:
			return 0
		case r.Kind == classify.ReasonTerm:
			return 1
		case r.Kind == classify.ReasonRule && r.Category == category:
			return 2
		case r.Kind == classify.ReasonModel:
			return 3
		}
		return -1
	}
	var words []string
	for want := range 4 {
		if want > 1 && len(words) > 0 {
			break // rules and the model quote whole stretches: only when there are no terms
		}
		for _, r := range v.Reasons {
			if rank(r) != want || len(words) == reasonWords {
				continue
			}
			w := cut(q.piece(r.Start, r.End, r.Text), 14)
			if w != "" && !slices.ContainsFunc(words, func(have string) bool { return strings.Contains(have, w) }) {
				words = append(words, w)
			}
		}
	}
	return words
}
