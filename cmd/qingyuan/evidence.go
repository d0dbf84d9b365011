package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"qingyuan/archive"
	"qingyuan/crawler"
	"qingyuan/crawler/render"
	"qingyuan/index"
	"qingyuan/post"
)

// Names in the metadata record of evidence that evidenceIn reads again.
const (
	aboutWidth      = "width"       // of the picture, pixels
	aboutHeight     = "height"      // of the picture, pixels
	aboutPageHeight = "page-height" // of the whole page: more than height when the picture is cut
)

// evidenceWait is how long a page with hits waits for its picture, the queue
// for a browser included.
const evidenceWait = 3 * time.Minute

// prove makes pictures of the pages of flagged records that have none of this
// content yet. The page is not fetched again: what is shown are the bytes of
// its record. Evidence that cannot be made is told and left out: the hit
// itself counts more.
func (b *browsing) prove(ctx context.Context, recs []index.Record) {
	if b == nil || !b.pictures || b.pool == nil {
		return
	}
	done := map[post.Archive][]post.Evidence{} // one picture a page
	for i := range recs {
		p := &recs[i].Post
		if !recs[i].Verdict.Flagged || p.Archive.RecordID == "" {
			continue
		}
		old, err := b.store.Get(ctx, p.ID)
		if err == nil && len(old.Post.Evidence) > 0 && old.Post.ContentHash() == p.ContentHash() {
			continue // the store keeps it
		}
		made, ok := done[p.Archive]
		if !ok {
			if made, err = b.picture(ctx, *p); err != nil {
				if ctx.Err() != nil {
					return
				}
				b.log.Error("no picture could be made of a page with a hit", "url", p.URL, "record", p.Archive.RecordID, "err", err)
			}
			b.note(err)
			done[p.Archive] = made
		}
		p.Evidence = mergeEvidence(made, old.Post.Evidence)
	}
}

func (b *browsing) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.failed++
		b.problem = err.Error()
		return
	}
	b.made++
	b.problem = ""
}

// picture shows the archived page of a post and keeps picture and document.
func (b *browsing) picture(ctx context.Context, p post.Post) ([]post.Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, evidenceWait)
	defer cancel()
	pg, err := b.storedPage(ctx, p)
	if err != nil {
		return nil, err
	}
	res, err := b.crawler.Show(ctx, p.Source, pg)
	if err != nil {
		return nil, err
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	about := []archive.Field{{Name: archive.AboutSource, Value: p.Source}, {Name: "made", Value: "by Chromium, of the archived answer, scripts not run"},
		{Name: "requests", Value: strconv.Itoa(res.Requests)}, {Name: "refused", Value: strconv.Itoa(res.Refused)}}
	if res.Unfinished {
		about = append(about, archive.Field{Name: "unfinished", Value: "the time was up before everything was loaded"})
	}
	for name, n := range map[string]int{aboutWidth: res.Width, aboutHeight: res.Height, aboutPageHeight: res.PageHeight} {
		about = append(about, archive.Field{Name: name, Value: strconv.Itoa(n)})
	}
	slices.SortFunc(about, func(a, b archive.Field) int { return strings.Compare(a.Name, b.Name) })
	var out []post.Evidence
	for _, e := range []struct {
		kind, contentType string
		block             []byte
	}{{post.EvidenceScreenshot, "image/png", res.Screenshot}, {post.EvidenceDOM, "text/html; charset=utf-8", res.DOM}} {
		ref, err := b.archive.Attach(ctx, archive.Attachment{Type: archive.TypeResource, URL: e.kind + ":" + pg.URL, ContentType: e.contentType, Block: e.block,
			RefersTo: p.Archive.RecordID, Date: at, About: about})
		if err != nil {
			return nil, fmt.Errorf("keeping the %s: %w", e.kind, err)
		}
		made := post.Evidence{Kind: e.kind, Archive: post.Archive{File: ref.File, RecordID: ref.RecordID, SHA256: ref.SHA256}, At: at, Of: p.Archive.RecordID}
		if e.kind == post.EvidenceScreenshot {
			made.Width, made.Height, made.PageHeight = res.Width, res.Height, res.PageHeight
		}
		out = append(out, made)
	}
	return out, nil
}

// storedPage reads the page of a post from the archive, as the crawl read it.
func (b *browsing) storedPage(ctx context.Context, p post.Post) (crawler.Page, error) {
	a, err := archive.Read(b.dir)
	if err != nil {
		return crawler.Page{}, err
	}
	found, err := a.Find(ctx, filepath.Base(p.Archive.File), p.Archive.RecordID, 1)
	if err != nil {
		return crawler.Page{}, err
	}
	c, err := a.Capture(ctx, found[0])
	if err != nil {
		return crawler.Page{}, err
	}
	header, body, err := decodeCapture(b.trans, c, b.charsets[p.Source])
	if err != nil {
		return crawler.Page{}, fmt.Errorf("decoding the page: %w", err)
	}
	pg := crawler.Page{URL: c.Entry.URL, Status: c.Entry.Status, Header: header, Body: body, FetchedAt: p.FetchedAt, Archive: p.Archive}
	if pg.Status == 0 {
		pg.Status = http.StatusOK // shown by a browser before
	}
	if len(body) > render.MaxDOM {
		return pg, errors.Join(render.ErrTooLarge)
	}
	return pg, nil
}

// evidenceIn finds what evidence an archive holds, by the record it was made
// of, newest first, for an index that is made anew.
func evidenceIn(ctx context.Context, a *archive.Archive) (map[string][]post.Evidence, error) {
	out := map[string][]post.Evidence{}
	err := a.Resources(ctx, func(c archive.Capture) error {
		kind, _, _ := strings.Cut(c.Entry.URL, ":")
		if kind != post.EvidenceScreenshot && kind != post.EvidenceDOM {
			return nil
		}
		e := post.Evidence{Kind: kind, Archive: post.Archive{File: c.File, RecordID: c.Entry.ID, SHA256: c.Entry.Payload}, At: c.Entry.Time().UTC(), Of: c.Entry.Page}
		if kind == post.EvidenceScreenshot {
			for name, to := range map[string]*int{aboutWidth: &e.Width, aboutHeight: &e.Height, aboutPageHeight: &e.PageHeight} {
				*to, _ = strconv.Atoi(c.About(name)) // 0 is "not known"
			}
		}
		list := append(out[e.Of], e)
		slices.SortStableFunc(list, func(a, b post.Evidence) int { return b.At.Compare(a.At) })
		out[e.Of] = list[:min(len(list), post.MaxEvidence)]
		return nil
	})
	return out, err
}

// mergeEvidence joins two lists, newest first, each piece once.
func mergeEvidence(a, b []post.Evidence) []post.Evidence {
	if len(a) == 0 {
		return b
	}
	out := slices.Clone(a)
	for _, e := range b {
		if !slices.ContainsFunc(out, func(o post.Evidence) bool { return o.Archive.RecordID == e.Archive.RecordID }) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b post.Evidence) int { return b.At.Compare(a.At) })
	return out[:min(len(out), post.MaxEvidence)]
}

// evidenceOf reads evidence from the archive for the pages, which check what
// they serve: record, hash and kind must be those that the post names.
func evidenceOf(c config) func(context.Context, post.Evidence) ([]byte, error) {
	return func(ctx context.Context, e post.Evidence) ([]byte, error) {
		a, err := archive.Read(archiveDir(c))
		if err != nil {
			return nil, archive.ErrNotFound
		}
		found, err := a.Find(ctx, filepath.Base(e.Archive.File), e.Archive.RecordID, 1)
		if err != nil {
			return nil, err
		}
		if found[0].Type != archive.TypeResource || found[0].ID != e.Archive.RecordID {
			return nil, fmt.Errorf("%s is no evidence but a %s", e.Archive.RecordID, found[0].Type)
		}
		got, err := a.Capture(ctx, found[0])
		if err != nil {
			return nil, err
		}
		if sum256(got.Body) != e.Archive.SHA256 {
			return nil, fmt.Errorf("%s has another hash than the post names", e.Archive.RecordID)
		}
		return got.Body, nil
	}
}
