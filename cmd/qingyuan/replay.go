package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"qingyuan/archive"
	"qingyuan/campaign"
	"qingyuan/crawler"
	"qingyuan/crawler/transport"
	"qingyuan/index"
	"qingyuan/post"
)

// replayReport says what a replay changed, or would change.
type replayReport struct {
	Pages      int            `json:"pages"`    // read from the archive
	Skipped    map[string]int `json:"skipped"`  // pages not read, by reason
	Posts      int            `json:"posts"`    // distinct
	New        int            `json:"new"`      // not in the index before
	Text       int            `json:"text"`     // title or text is another
	Flagged    int            `json:"flagged"`  // flagged now and not before
	Cleared    int            `json:"cleared"`  // flagged before and not now
	Category   int            `json:"category"` // flagged as something else
	Changes    []replayChange `json:"changes"`  // the first maxChanges
	DryRun     bool           `json:"dry_run"`
	Dictionary string         `json:"dictionary"`

	seen map[string]bool
}

// replayChange is one post that changed.
type replayChange struct {
	ID     string   `json:"id"`
	URL    string   `json:"url"`
	Change string   `json:"change"` // new, text, flagged, cleared, category
	Before []string `json:"before,omitempty"`
	After  []string `json:"after,omitempty"`
}

const (
	maxChanges  = 1000
	replayBatch = 200 // posts put at a time
)

// runReplay reads the archived pages again with the site configs and
// dictionaries as they are now, and puts the posts into the index. Triage stays
// as it is, and what is older than what the index holds does not replace it.
func runReplay(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "replay", "", "data", "dict")
	since := f.String("since", "", "only pages fetched on this `day` or later, 2026-11-22")
	source := f.String("source", "", "only pages of this `site`")
	dry := f.Bool("dry-run", false, "only tell what would change")
	asJSON := f.Bool("json", false, "print the report as JSON")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misusef("replay takes no arguments, there is %q", f.Arg(0))
	}
	from := time.Time{}
	if *since != "" {
		if from, err = parseDay(*since); err != nil {
			return misuse{err}
		}
	}
	r, err := newReplay(ctx, c, *source)
	if err != nil {
		return err
	}
	defer r.store.Close()
	r.report.DryRun = *dry
	if err := r.run(ctx, from); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(std.out).Encode(r.report)
	}
	return r.print(std)
}

// replay is one run.
type replay struct {
	archive *archive.Archive
	store   index.Store
	grouper *campaign.Grouper
	sources map[string]*crawler.Source
	judge   judgement
	trans   *transport.Transport
	only    string                     // source; "" for all
	shown   map[string]bool            // pages that were read as a browser showed them, by record id
	proofs  map[string][]post.Evidence // by the record they were made of
	proved  map[string][]post.Evidence // by post, so far
	report  replayReport
	batch   []index.Record
}

func newReplay(ctx context.Context, c config, only string) (*replay, error) {
	a, err := archive.Read(archiveDir(c))
	if err != nil {
		return nil, err
	}
	sources, err := loadSources(c)
	if err != nil {
		return nil, err
	}
	classifier, err := openClassifier(c)
	if err != nil {
		return nil, err
	}
	trans, err := transport.New(transport.Options{})
	if err != nil {
		return nil, err
	}
	store, err := openStore(ctx, c)
	if err != nil {
		return nil, err
	}
	r := &replay{archive: a, store: store, grouper: newGrouper(store), proved: map[string][]post.Evidence{}, sources: map[string]*crawler.Source{}, judge: classifier.Classify, trans: trans, only: only,
		report: replayReport{Skipped: map[string]int{}, Dictionary: classifier.Dictionary().Version, Changes: []replayChange{}, seen: map[string]bool{}}}
	for _, s := range sources {
		r.sources[s.Name] = s
	}
	if only != "" && r.sources[only] == nil {
		store.Close()
		return nil, misusef("there is no site %q in %s", only, c.Sites)
	}
	return r, nil
}

func (r *replay) run(ctx context.Context, since time.Time) error {
	var err error
	if r.shown, err = r.archive.Converted(ctx); err != nil {
		return err
	}
	if r.proofs, err = evidenceIn(ctx, r.archive); err != nil {
		return err
	}
	err = r.archive.Captures(ctx, since, func(c archive.Capture) error { return r.page(ctx, c) }, func(err error) error {
		if damage := (*archive.DamageError)(nil); errors.As(err, &damage) || errors.Is(err, archive.ErrNotFound) {
			r.report.Skipped["damaged in the archive: see archive verify"]++
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.flush(ctx)
}

// page reads one stored page and judges its posts.
func (r *replay) page(ctx context.Context, c archive.Capture) error {
	name := c.About(archive.AboutSource)
	if r.only != "" && name != r.only {
		return nil
	}
	s := r.sources[name]
	skip := func(why string) error { r.report.Skipped[why]++; return nil }
	status := c.Entry.Status
	if c.Entry.Type == archive.TypeConversion {
		status = http.StatusOK
	}
	switch {
	case c.About(aboutPart) != "":
		return skip("part of a page that was shown in a browser")
	case r.shown[c.Entry.ID]:
		return skip("read as a browser showed it")
	case s == nil:
		return skip("the site is not configured (any more)")
	case !c.Whole:
		return skip("cut short when it was fetched")
	case status != http.StatusOK:
		return skip(fmt.Sprintf("status %d", status))
	}
	header, body, err := decodeCapture(r.trans, c, s.Charset)
	if err != nil {
		return skip("cannot be decoded")
	}
	address := c.Entry.URL
	if canonical, _, err := crawler.Canonical(address); err == nil {
		address = canonical
	}
	pg := crawler.Page{URL: address, Status: status, Header: header, Body: body, FetchedAt: c.Entry.Time().UTC(),
		Archive: post.Archive{File: c.File, RecordID: c.Entry.ID, SHA256: sum256(c.Body)}}
	ex, err := extractAgain(s, pg, c.About(aboutLanding))
	switch {
	case errors.Is(err, crawler.ErrNoRule):
		return skip("no page rule fits")
	case err != nil:
		return skip("cannot be read")
	case ex.Blocked != "":
		return skip("the site refused us")
	case ex.Gone != "":
		if err := r.gone(ctx, s.Name, ex.GoneThread, c.Entry.Time().UTC()); err != nil {
			return err
		}
		return skip("what it showed was gone")
	}
	r.report.Pages++
	for _, p := range ex.Posts {
		v, err := r.judge(p)
		if err != nil {
			return fmt.Errorf("classifying %s: %w", p.URL, err)
		}
		if v.Flagged {
			p.Evidence = mergeEvidence(r.proofs[p.Archive.RecordID], r.proved[p.ID])
			r.proved[p.ID] = p.Evidence
		}
		r.batch = append(r.batch, index.Record{Post: p, Verdict: v})
	}
	if len(r.batch) >= replayBatch {
		return r.flush(ctx)
	}
	return nil
}

// extractAgain reads a stored page; parent is the page whose ad led there, "" for
// a page of the site.
func extractAgain(s *crawler.Source, pg crawler.Page, parent string) (crawler.Extraction, error) {
	if parent == "" {
		return s.Extract(pg)
	}
	p, err := s.ExtractLanding(pg, parent)
	return crawler.Extraction{Posts: []post.Post{p}}, err
}

// gone notes again that a thread was gone at a moment, after what was read
// before that.
func (r *replay) gone(ctx context.Context, source, thread string, at time.Time) error {
	if thread == "" || r.report.DryRun {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	_, err := r.store.Delete(ctx, index.Deletion{Source: source, Thread: thread, At: at})
	return err
}

// flush compares the batch with the index and puts it there. Of a post that
// stands in the batch more than once, all are put, so that earlier contents
// become revisions; the newest counts as the change.
func (r *replay) flush(ctx context.Context) error {
	newest := map[string]index.Record{}
	for _, rec := range r.batch {
		if old, ok := newest[rec.Post.ID]; !ok || !rec.Post.FetchedAt.Before(old.Post.FetchedAt) {
			newest[rec.Post.ID] = rec
		}
	}
	for id, rec := range newest {
		old, err := r.store.Get(ctx, id)
		if err != nil && !errors.Is(err, index.ErrNotFound) {
			return fmt.Errorf("comparing with the index: %w", err)
		}
		for i := range r.batch {
			if p := &r.batch[i].Post; p.ID == id {
				p.Evidence = mergeEvidence(p.Evidence, old.Post.Evidence)
			}
		}
		r.compare(old, err == nil, rec)
	}
	if !r.report.DryRun {
		for len(r.batch) > 0 {
			n := min(len(r.batch), replayBatch)
			if err := group(ctx, r.grouper, r.batch[:n]); err != nil {
				return err
			}
			if err := r.store.Put(ctx, r.batch[:n]); err != nil {
				return fmt.Errorf("updating the index: %w", err)
			}
			r.batch = r.batch[n:]
		}
	}
	r.batch = r.batch[:0]
	return nil
}

func (r *replay) compare(old index.Record, known bool, rec index.Record) {
	if !r.report.seen[rec.Post.ID] {
		r.report.seen[rec.Post.ID] = true
		r.report.Posts++
	}
	note := func(change string, count *int) {
		*count++
		if len(r.report.Changes) < maxChanges {
			r.report.Changes = append(r.report.Changes, replayChange{ID: rec.Post.ID, URL: rec.Post.URL, Change: change, Before: categoriesOf(old), After: categoriesOf(rec)})
		}
	}
	switch {
	case !known:
		note("new", &r.report.New)
		return
	case rec.Post.FetchedAt.Truncate(time.Microsecond).Before(old.Post.FetchedAt):
		return // the index holds a newer one, which comes later
	}
	if rec.Post.ContentHash() != old.Post.ContentHash() {
		note("text", &r.report.Text)
	}
	switch {
	case rec.Verdict.Flagged && !old.Verdict.Flagged:
		note("flagged", &r.report.Flagged)
	case !rec.Verdict.Flagged && old.Verdict.Flagged:
		note("cleared", &r.report.Cleared)
	case rec.Verdict.Flagged && !slices.Equal(categoriesOf(rec), categoriesOf(old)):
		note("category", &r.report.Category)
	}
}

// categoriesOf lists what a record is flagged as.
func categoriesOf(r index.Record) []string {
	if !r.Verdict.Flagged {
		return nil
	}
	var out []string
	for _, c := range r.Verdict.Categories {
		out = append(out, c.ID)
	}
	return out
}

func (r *replay) print(std stdio) error {
	for _, c := range r.report.Changes {
		fmt.Fprintf(std.out, "%-8s  %s  %v → %v  %s\n", c.Change, c.ID, c.Before, c.After, printable(c.URL))
	}
	for why, n := range r.report.Skipped {
		fmt.Fprintf(std.out, "%d pages left out: %s\n", n, why)
	}
	verb := "changed"
	if r.report.DryRun {
		verb = "would change"
	}
	_, err := fmt.Fprintf(std.out, "%d pages, %d posts with dictionary %s; %s: %d new, %d other text, %d flagged, %d cleared, %d other category\n",
		r.report.Pages, r.report.Posts, r.report.Dictionary, verb, r.report.New, r.report.Text, r.report.Flagged, r.report.Cleared, r.report.Category)
	return err
}
