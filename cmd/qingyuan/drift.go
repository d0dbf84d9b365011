package main

import (
	"cmp"
	"slices"
	"strings"

	"qingyuan/crawler"
)

// driftedSites are the sites that yield less than they should, for the status
// box and /healthz. The crawlWatch that holds it guards it.
type driftedSites struct{ standing []crawler.Drift }

// sameDrift reports whether two alarms are of one thing.
func sameDrift(a, b crawler.Drift) bool {
	return a.Source == b.Source && a.Kind == b.Kind && a.Page == b.Page && a.Field == b.Field
}

// take notes the beginning or the end of an alarm.
func (d *driftedSites) take(e crawler.Event) {
	if e.Drift == nil {
		return
	}
	d.standing = slices.DeleteFunc(d.standing, func(o crawler.Drift) bool { return sameDrift(o, *e.Drift) })
	if e.Kind == crawler.EventDrift {
		d.standing = append(d.standing, *e.Drift)
		slices.SortFunc(d.standing, func(a, b crawler.Drift) int {
			return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Page, b.Page), cmp.Compare(a.Field, b.Field))
		})
	}
}

// text tells what fell at a site; empty when nothing did.
func (d *driftedSites) text(source, lang string) string {
	var parts []string
	for _, o := range d.standing {
		if o.Source == source {
			parts = append(parts, o.Text(lang))
		}
	}
	return strings.Join(parts, " · ")
}

// drifting lists the alarms that stand; none without a crawl here.
func (w *crawlWatch) drifting() []crawler.Drift {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.drifts.standing)
}
