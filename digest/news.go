package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"qingyuan/classify"
)

// hash names a contact in what is remembered, so that the memory of digests
// holds nobody's number.
func (k contactKey) hash() string {
	sum := sha256.Sum256([]byte(k.kind + "\x00" + k.value))
	return hex.EncodeToString(sum[:8])
}

// remember fills Campaigns: what was told before, and what this digest tells.
func (b *builder) remember(f *findings) {
	b.d.Campaigns = map[string]Told{}
	for _, h := range f.hits {
		if h.campaign == "" {
			continue
		}
		t, ok := b.d.Campaigns[h.campaign]
		if !ok {
			t = b.opts.Told[h.campaign]
			t.Contacts = slices.Clone(t.Contacts)
		}
		t.Members++
		if s := severities[max(0, h.severity)]; severityRank(s) > severityRank(t.Severity) {
			t.Severity = s
		}
		for _, c := range h.contacts {
			if name := f.contacts[c].hash(); len(t.Contacts) < MaxToldContacts && !slices.Contains(t.Contacts, name) {
				t.Contacts = append(t.Contacts, name)
			}
		}
		b.d.Campaigns[h.campaign] = t
	}
}

// news reports whether a group of hits holds anything that was not told: a
// campaign, a contact, a higher severity, or many more posts.
func (b *builder) news(f *findings, g group) bool {
	for _, m := range g.members {
		h := f.hits[m]
		told, ok := b.opts.Told[h.campaign]
		if h.campaign == "" || !ok || h.severity > severityRank(told.Severity) || h.edited {
			return true
		}
		if now := b.d.Campaigns[h.campaign]; now.Members >= Growth*max(1, told.Members) {
			return true
		}
		if len(told.Contacts) >= MaxToldContacts {
			continue
		}
		for _, c := range h.contacts {
			if f.contacts[c].kind != classify.EntityURL && !slices.Contains(told.Contacts, f.contacts[c].hash()) {
				return true
			}
		}
	}
	return false
}

// dropTold takes the groups without news out, and counts them.
func (b *builder) dropTold(f *findings, groups []group) []group {
	b.remember(f)
	if b.opts.Told == nil {
		return groups
	}
	return slices.DeleteFunc(groups, func(g group) bool {
		if b.news(f, g) {
			return false
		}
		b.d.Continuing.Groups++
		b.d.Continuing.Hits += len(g.members)
		return true
	})
}
