package crawler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/html"

	"qingyuan/crawler/render"
	"qingyuan/post"
)

// What a site config says of rendering, for all pages or for those of a rule.
const (
	RenderNever  = "never"  // pages are read as they were fetched; the default
	RenderAuto   = "auto"   // a page that lacks what its rule expects is shown in a browser
	RenderAlways = "always" // every page is shown in a browser
)

// Rendered is a page as a browser showed it, for Options.KeepRendered.
type Rendered struct {
	Source string       // name of the site
	Config string       // version of its config
	URL    string       // where the page ended
	Page   post.Archive // the record of the page as it was fetched
	At     time.Time    // when that was
	DOM    []byte       // the document, UTF-8
}

// RenderCount tells how pages of one rule fared.
type RenderCount struct {
	Source string `json:"source"`
	Rule   string `json:"rule"`
	renderRecord
}

// renderRecord is what is known of one page rule. It is kept with the frontier.
type renderRecord struct {
	Pages  int `json:"pages"`  // read, by this process
	Shown  int `json:"shown"`  // in a browser
	Gained int `json:"gained"` // of these: held more than was fetched
	Failed int `json:"failed"` // could not be shown
	Dry    int `json:"dry"`    // shown in a row without a gain
	Spared int `json:"spared"` // left as fetched since showing did not help before
}

const (
	dryTries   = 3  // pages of a rule shown in vain until showing is thought useless
	drySample  = 10 // of such a rule's pages one in so many is shown all the same
	renderNote = "render "
)

// renderings learns for which rules a browser shows more. It is safe for
// concurrent use.
type renderings struct {
	mu     sync.Mutex
	byRule map[string]*renderRecord // source, NUL, rule
}

// renderMode is what the config says of the pages of a rule.
func (s *Source) renderMode(r *PageRule) string {
	switch {
	case r.Format != formatHTML:
		return RenderNever
	case r.Render != "":
		return r.Render
	case s.Render != "":
		return s.Render
	}
	return RenderNever
}

// NeedsBrowser reports whether some page of the source can only be read with a
// browser; MayUseBrowser, whether one is of use at all.
func (s *Source) NeedsBrowser() bool { return s.rendersAny(RenderAlways) }

// MayUseBrowser reports whether some page of the source may be shown in a
// browser.
func (s *Source) MayUseBrowser() bool { return s.rendersAny(RenderAlways, RenderAuto) }

func (s *Source) rendersAny(modes ...string) bool {
	return slices.ContainsFunc(s.Pages, func(r *PageRule) bool { return slices.Contains(modes, s.renderMode(r)) })
}

// rendering checks the keys of a config that are about it.
func (c *sourceCheck) rendering() {
	known := func(mode string, path ...any) {
		if mode != "" && mode != RenderNever && mode != RenderAuto && mode != RenderAlways {
			c.add(fmt.Sprintf("unknown render %q", mode), "use never, auto or always", path...)
		}
	}
	known(c.src.Render, "render")
	for i, r := range c.src.Pages {
		if r == nil {
			continue
		}
		known(r.Render, "pages", i, "render")
		if r.Render != "" && r.Render != RenderNever && r.Format != formatHTML && r.Format != "" {
			c.add("only html pages can be shown in a browser", "remove it from "+r.Format+" pages", "pages", i, "render")
		}
	}
	for i, h := range c.src.RenderHosts {
		name, _ := splitHost(h)
		if strings.Contains(h, "/") || !reHostName.MatchString(name) {
			c.add(fmt.Sprintf("%q is no host", h), "write the host alone, such as cdn.example.com or *.example.com", "render_hosts", i)
		}
	}
}

// needBrowser refuses sources that cannot be read without a browser when there
// is none.
func (c *Crawler) needBrowser(sources []*Source) error {
	if c.opts.Browser != nil {
		return nil
	}
	for _, s := range sources {
		if s.NeedsBrowser() {
			return fmt.Errorf("source %s has pages with render: always, and there is no browser: %w", s.Name, render.ErrNoBrowser)
		}
	}
	return nil
}

// extracted reads a page: as fetched, or as a browser shows it where the site's
// config and what was learnt of the rule ask for that. The page then becomes
// the one that was shown.
func (c *Crawler) extracted(ctx context.Context, s *Source, pg *Page) (Extraction, error) {
	ex, err := extractWithin(ctx, maxExtract, s, *pg)
	rule, ok := s.Rule(pg.URL)
	if err != nil || !ok || c.opts.Browser == nil || ex.Blocked != "" || ex.Gone != "" {
		return ex, err
	}
	mode := s.renderMode(rule)
	if mode == RenderNever || mode == RenderAuto && !c.renders.try(ctx, c, s.Name, rule.Name, ex.Bare) {
		return ex, nil
	}
	shown, more, err := c.shown(ctx, s, rule, *pg)
	gained := err == nil && (gain(more, ex) || more.Blocked != "" || more.Gone != "")
	c.renders.learn(ctx, c, s.Name, rule.Name, gained, err)
	if err != nil {
		return ex, c.renderFailed(ctx, mode, pg.URL, err)
	}
	if mode == RenderAuto && !gained {
		return ex, nil
	}
	if shown.Archive, err = c.keepRendered(ctx, s, *pg, shown); err != nil {
		return ex, err
	}
	for i := range more.Posts {
		more.Posts[i].Archive = shown.Archive
	}
	*pg = shown
	return more, nil
}

// shown shows a page and reads what came of it.
func (c *Crawler) shown(ctx context.Context, s *Source, rule *PageRule, pg Page) (Page, Extraction, error) {
	res, err := c.show(ctx, s, pg, render.Request{Scripts: true, Expect: rule.expected()})
	if err != nil {
		return pg, Extraction{}, err
	}
	out := pg
	out.Body = res.DOM
	if final, _, err := s.Canonical(res.URL); err == nil {
		out.URL = final
	}
	// The marks are those of the frame, which stays the same when what scripts
	// put into it has changed.
	out.Header = pg.Header.Clone()
	for _, name := range []string{"ETag", "Last-Modified", "Cf-Mitigated"} {
		out.Header.Del(name)
	}
	ex, err := extractWithin(ctx, maxExtract, s, out)
	if err != nil {
		return pg, Extraction{}, err
	}
	return out, ex, nil
}

// expected lists the selectors of which a page of the rule should have one.
func (r *PageRule) expected() (out []string) {
	if r.Data != nil {
		return nil
	}
	for i := range r.Posts {
		if p := &r.Posts[i]; p.Each != "" && !p.Optional && p.kind != post.KindAd {
			out = append(out, p.Each)
		}
	}
	if len(out) > 0 {
		return out
	}
	for i := range r.Follow {
		if r.Follow[i].Select != "" {
			out = append(out, r.Follow[i].Select)
		}
	}
	return out
}

// gain reports whether a holds more than b.
func gain(a, b Extraction) bool {
	posts := func(e Extraction) int { return len(e.Posts) + len(e.Previews) }
	return posts(a) > posts(b) || posts(a) == posts(b) && len(a.Links) > len(b.Links)
}

// renderFailed says what becomes of a page that could not be shown: what can do
// without goes on with what was fetched.
func (c *Crawler) renderFailed(ctx context.Context, mode, url string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if mode == RenderAlways {
		return &statusFailure{how: troublePage, text: err.Error()}
	}
	c.log.Warn("the page is read as it was fetched, for it could not be shown in the browser", "url", url, "err", err)
	return nil
}

// ofRendering tells errors of showing a page, which are classified already,
// from those of reading one.
func ofRendering(err error) bool {
	var status *statusFailure
	var sunk *sinkError
	return errors.As(err, &status) || errors.As(err, &sunk) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (c *Crawler) keepRendered(ctx context.Context, s *Source, fetched, shown Page) (post.Archive, error) {
	if c.opts.KeepRendered == nil {
		return fetched.Archive, nil
	}
	a, err := c.opts.KeepRendered(ctx, Rendered{Source: s.Name, Config: s.version, URL: shown.URL, Page: fetched.Archive, At: fetched.FetchedAt, DOM: shown.Body})
	if err != nil {
		return post.Archive{}, &sinkError{fmt.Errorf("keeping the page as it was shown: %w", err)}
	}
	return a, nil
}

// of finds what is known of a rule; r.mu is held. What an earlier process
// learnt is read from the frontier.
func (r *renderings) of(ctx context.Context, c *Crawler, source, rule string) *renderRecord {
	key := source + "\x00" + rule
	if rec := r.byRule[key]; rec != nil {
		return rec
	}
	rec := &renderRecord{}
	name := renderNote + source + " " + rule
	if notes, err := c.opts.Frontier.Notes(ctx, name); err == nil && notes[name] != "" {
		if json.Unmarshal([]byte(notes[name]), rec) != nil {
			*rec = renderRecord{}
		}
	}
	if r.byRule == nil {
		r.byRule = map[string]*renderRecord{}
	}
	r.byRule[key] = rec
	return rec
}

// try decides about a page of a rule with render: auto. One that holds what it
// should is never shown. Where showing did not help a few times in a row, only
// a sample is shown: the site may change.
func (r *renderings) try(ctx context.Context, c *Crawler, source, rule, bare string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.of(ctx, c, source, rule)
	rec.Pages++
	if bare == "" {
		return false
	}
	if rec.Dry >= dryTries {
		if rec.Spared++; rec.Spared%drySample != 0 {
			return false
		}
	}
	return true
}

// learn notes what came of showing a page. A failure of the browser tells
// nothing about the rule, but is no reason to go on and on either.
func (r *renderings) learn(ctx context.Context, c *Crawler, source, rule string, gained bool, err error) {
	if errors.Is(err, render.ErrClosed) || ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	rec := r.of(ctx, c, source, rule)
	switch {
	case err != nil:
		rec.Failed++
		rec.Dry++
	case gained:
		rec.Shown++
		rec.Gained++
		rec.Dry = 0
	default:
		rec.Shown++
		rec.Dry++
	}
	text, _ := json.Marshal(*rec) // cannot fail: numbers only
	r.mu.Unlock()
	if err := c.opts.Frontier.Note(ctx, map[string]string{renderNote + source + " " + rule: string(text)}); err != nil {
		c.log.Warn("what was learnt of rendering could not be kept", "source", source, "rule", rule, "err", err)
	}
}

// Renderings tells, for each page rule that a browser was considered for, how
// its pages fared; in order of source and rule.
func (c *Crawler) Renderings() []RenderCount {
	c.renders.mu.Lock()
	defer c.renders.mu.Unlock()
	var out []RenderCount
	for key, rec := range c.renders.byRule {
		source, rule, _ := strings.Cut(key, "\x00")
		out = append(out, RenderCount{Source: source, Rule: rule, renderRecord: *rec})
	}
	slices.SortFunc(out, func(a, b RenderCount) int { return strings.Compare(a.Source+"\x00"+a.Rule, b.Source+"\x00"+b.Rule) })
	return out
}

// Show shows a page that was fetched, without its scripts, and takes a picture
// of it: what is to be seen is what the page's bytes say. Pictures and style
// sheets are fetched by the rules of the source, under its clock.
func (c *Crawler) Show(ctx context.Context, source string, pg Page) (render.Result, error) {
	s := (*c.sources.Load())[source]
	switch {
	case c.opts.Browser == nil:
		return render.Result{}, render.ErrNoBrowser
	case s == nil:
		return render.Result{}, fmt.Errorf("showing %s: source %q is not configured (any more)", pg.URL, source)
	}
	return c.show(ctx, s, pg, render.Request{Screenshot: true})
}

// show shows a page; the request says how.
func (c *Crawler) show(ctx context.Context, s *Source, pg Page, req render.Request) (render.Result, error) {
	parts := &parts{c: c, s: s, page: pg.Archive.RecordID, trip: newTrip(s.Delay)}
	if _, host, err := Canonical(pg.URL); err == nil {
		parts.trip.requests[host] = 1 // the page itself: any part is a further request
	}
	defer c.tellPace(ctx, parts.trip)
	req.URL, req.Status, req.Header, req.Body, req.TimeZone, req.RoundTripper = pg.URL, pg.Status, pg.Header, pg.Body, s.loc.String(), parts
	if req.Header == nil {
		req.Header = http.Header{}
	}
	return c.opts.Browser.Render(ctx, req)
}

// bare says what the page lacks of what its rule expects, when a script may be
// what draws it; "" when it lacks nothing.
func (x *extractor) bare() string {
	if x.root == nil || x.rule.Format != formatHTML || x.out.Blocked != "" || x.out.Gone != "" || findTag(x.root, "script") == nil {
		return ""
	}
	found := len(x.out.Posts) + len(x.out.Previews)
	switch {
	case found == 0 && x.expectsPosts():
		return "no post"
	case x.empty != "":
		return "nothing fits " + x.empty
	case found == 0 && len(x.rule.Follow) > 0 && len(x.out.Links) == 0:
		return "no link"
	case found == 0 && emptyFrame(x.root):
		return "the frame of an application, and nothing in it"
	}
	return ""
}

// emptyFrame finds the element into which the usual frameworks draw a page.
func emptyFrame(root *html.Node) bool {
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.FirstChild != nil {
			continue
		}
		switch attr(n, "id") {
		case "app", "root", "__next", "__nuxt", "q-app", "svelte", "main-app":
			return true
		}
		if strings.HasPrefix(n.Data, "app-") || attr(n, "data-reactroot") != "" || attr(n, "ng-app") != "" {
			return true
		}
	}
	return false
}
