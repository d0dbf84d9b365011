package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"qingyuan/archive"
	"qingyuan/crawler"
	"qingyuan/crawler/render"
	"qingyuan/index"
	"qingyuan/post"
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
		p.Evidence = append(append(p.Evidence, made...), old.Post.Evidence...)
		p.Evidence = p.Evidence[:min(len(p.Evidence), post.MaxEvidence)]
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
	size := fmt.Sprintf("%d × %d px of a page %d px high", res.Width, res.Height, res.PageHeight)
	var out []post.Evidence
	for _, e := range []struct {
		kind, contentType string
		block             []byte
	}{{post.EvidenceScreenshot, "image/png", res.Screenshot}, {post.EvidenceDOM, "text/html; charset=utf-8", res.DOM}} {
		ref, err := b.archive.Attach(ctx, archive.Attachment{Type: archive.TypeResource, URL: e.kind + ":" + pg.URL, ContentType: e.contentType, Block: e.block,
			RefersTo: p.Archive.RecordID, Date: at, About: append(about[:len(about):len(about)], archive.Field{Name: "size", Value: size})})
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
