package sqlite

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"qingyuan/index"
)

// label is one value of a field with rare or many values.
type label struct{ field, value string }

// replaceLabels makes the labels of a record those of r; tags are triage's.
func (p *putter) replaceLabels(rid int64, r index.Record) error {
	want := labelsOf(r)
	rows, err := p.stmt(p.s.stmts.labelsGet).QueryContext(p.ctx, rid)
	if err != nil {
		return err
	}
	var gone []label
	for rows.Next() {
		var l label
		if err := rows.Scan(&l.field, &l.value); err != nil {
			rows.Close()
			return err
		}
		if _, ok := want[l]; ok {
			delete(want, l)
		} else {
			gone = append(gone, l)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, l := range gone {
		if _, err := p.stmt(p.s.stmts.labelDelete).ExecContext(p.ctx, l.field, l.value, rid); err != nil {
			return err
		}
	}
	return p.addLabels(rid, want)
}

// labelsAtOnce is how many labels one statement inserts: a call costs more than
// the row it writes.
const labelsAtOnce = 6

func (p *putter) addLabels(rid int64, labels map[label]struct{}) error {
	args := make([]any, 0, 3*labelsAtOnce)
	for l := range labels {
		if args = append(args, l.field, l.value, rid); len(args) < cap(args) {
			continue
		}
		if _, err := p.stmt(p.s.stmts.labelInsertMany).ExecContext(p.ctx, args...); err != nil {
			return err
		}
		args = args[:0]
	}
	for ; len(args) > 0; args = args[3:] {
		if _, err := p.stmt(p.s.stmts.labelInsert).ExecContext(p.ctx, args[:3]...); err != nil {
			return err
		}
	}
	return nil
}

// maxLabel bounds one label in bytes; longer values, such as data in a URL,
// are found by their beginning only.
const maxLabel = 2048

func labelsOf(r index.Record) map[label]struct{} {
	labels := map[label]struct{}{}
	add := func(field, value string) {
		v := index.FieldValue(field, value)
		if len(v) > maxLabel {
			v = v[:maxLabel]
		}
		if v != "" {
			labels[label{field, v}] = struct{}{}
		}
	}
	add("author", r.Post.Author.Name)
	add("author", r.Post.Author.ID)
	add("region", r.Post.Region)
	add("campaign", r.Campaign.ID)
	for _, k := range index.NearKeys(r) {
		add("near", k)
	}
	for _, u := range [...]string{r.Post.URL, r.Post.ThreadURL} {
		add("url", u)
		if parsed, err := url.Parse(u); err == nil {
			add("host", reverseHost(parsed.Hostname()))
		}
	}
	for _, c := range r.Verdict.Categories {
		add("category", c.ID)
	}
	for _, e := range r.Verdict.Evasion {
		add("evasion", string(e))
	}
	for _, e := range r.Verdict.Entities {
		add("entity."+e.Type, index.FieldValue("contact", e.Value))
	}
	return labels
}

// reverseHost turns bbs.example.com into com.example.bbs. so that a domain
// and all below it share a beginning.
func reverseHost(host string) string {
	if host == "" {
		return ""
	}
	parts := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	slices.Reverse(parts)
	return strings.Join(parts, ".") + "."
}
