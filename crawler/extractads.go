package crawler

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"qingyuan/post"
)

// AdSlots says where a page shows what others pay for: sponsored links,
// banners, frames. Every ad in a slot becomes a post of kind ad, and stands in
// no other post's text.
type AdSlots struct {
	Slots   string   `yaml:"slots"`   // selector of the slots
	Landing int      `yaml:"landing"` // pages that ads of such pages lead to, fetched a day; 0: none
	Hosts   []string `yaml:"hosts"`   // where these may be, as in Source.Hosts; any public host by default

	sel cascadia.Selector
}

// Bounds of the ads of one page.
const (
	maxPageAds      = 50
	maxPageLandings = 5
	maxLandings     = 1000 // AdSlots.Landing
)

// adOnly stands for the text of an ad of which nothing can be read but where it
// leads.
const adOnly = "[广告]"

// readAds makes a post of every slot of the page that holds an ad.
func (x *extractor) readAds() {
	if x.rule.Ads == nil {
		return
	}
	slots := map[*html.Node]bool{}
	for _, n := range x.rule.Ads.sel.MatchAll(x.root) {
		if within(n, slots) || unseen(n) {
			continue
		}
		slots[n] = true
		if len(slots) > maxPageAds || x.late() {
			return
		}
		x.addAd(n)
	}
}

func (x *extractor) addAd(n *html.Node) {
	p := post.Post{
		Source: x.src.Name, SourceType: x.src.Type, Kind: post.KindAd, URL: x.url.String(), ThreadURL: x.thread,
		FetchedAt: x.page.FetchedAt, Archive: x.page.Archive,
	}
	v := value{node: n}
	x.images(&PostRule{}, nil, v, &p)
	p.Links = x.adLinks(n)
	p.Text = withAlts(strings.ToValidUTF8(nodeText(n, x.textRules(nil, n)), "\uFFFD"), p.Images, x.frameTitles(n))
	switch {
	case p.Text != "":
	case len(p.Images) > 0:
		p.Text = imageOnly
	case len(p.Links) > 0:
		p.Text = adOnly
	default:
		return // an empty slot
	}
	x.owner[n] = true
	p.ID = post.NewID(x.src.Name, adKey(p))
	if x.keys[p.ID] || len(p.Text) > post.MaxText || len(x.out.Posts)+len(x.out.Previews) >= maxPagePosts {
		return // the same ad in another slot
	}
	x.keys[p.ID] = true
	x.out.Posts = append(x.out.Posts, p)
	x.addLanding(p.Links)
}

// holdsPosts reports whether something was found besides ads, which stand on
// walls and notices too.
func (x *extractor) holdsPosts() bool {
	return len(x.out.Previews) > 0 || slices.ContainsFunc(x.out.Posts, func(p post.Post) bool { return p.Kind != post.KindAd })
}

// withAlts adds to a text what its pictures and frames say of themselves.
func withAlts(text string, images []post.Image, more []string) string {
	for _, img := range images {
		more = append(more, img.Text)
	}
	for _, line := range more {
		if line != "" && !strings.Contains(text, line) {
			text = strings.TrimPrefix(text+"\n"+line, "\n")
		}
	}
	return text
}

// adKey is the identity of an ad: the same in all slots and on all pages that
// show it, though the way there counts its views.
func adKey(p post.Post) string {
	key := "ad:" + p.Text
	if len(p.Links) > 0 {
		key += "\x00" + plainURL(p.Links[0])
	}
	if (p.Text == imageOnly || p.Text == adOnly) && len(p.Images) > 0 {
		key += "\x00" + plainURL(p.Images[0].URL)
	}
	return key
}

// plainURL is a URL without its query.
func plainURL(raw string) string {
	plain, _, _ := strings.Cut(raw, "?")
	return plain
}

// adAttrs are where elements of an ad say what they lead to.
var adAttrs = [...]string{"href", "data-href", "data-url", "data-link"}

// adLinks are the targets of an ad, in order.
func (x *extractor) adLinks(n *html.Node) []string {
	var out []string
	seen := map[string]bool{}
	add := func(ref string) {
		abs, err := resolveURL(x.base, ref)
		if err == nil && !seen[abs] && len(out) < maxPostLinks {
			seen[abs] = true
			out = append(out, abs)
		}
	}
	visit := func(c *html.Node) {
		if c.Type != html.ElementNode || isHidden(c) {
			return
		}
		if c.DataAtom == atom.Iframe {
			for _, name := range [...]string{"src", "data-src"} {
				add(attr(c, name))
			}
			return
		}
		for _, name := range adAttrs {
			add(attr(c, name))
		}
	}
	visit(n)
	for c := range n.Descendants() {
		visit(c)
	}
	return out
}

func (x *extractor) frameTitles(n *html.Node) []string {
	var out []string
	for c := range n.Descendants() {
		if c.DataAtom != atom.Iframe && c.DataAtom != atom.Img && c.DataAtom != atom.A && c.DataAtom != atom.Area {
			continue
		}
		for _, name := range [...]string{"title", "aria-label"} {
			if text := oneLine(attr(c, name)); text != "" && len(out) < maxPageAds {
				out = append(out, text)
			}
		}
	}
	return out
}

// addLanding takes the first link of an ad that leads to no page of the site.
func (x *extractor) addLanding(links []string) {
	if x.rule.Ads.Landing == 0 || len(x.out.Landings) >= maxPageLandings {
		return
	}
	for _, abs := range links {
		u, err := url.Parse(abs)
		if err != nil {
			continue
		}
		if x.src.inScope(u) {
			if _, own := x.src.ruleFor(u); own {
				continue
			}
		}
		u.Fragment, u.RawFragment = "", ""
		x.out.Landings = append(x.out.Landings, u.String())
		return
	}
}

// checkAds checks the key ads of a page rule.
func (c *sourceCheck) checkAds(r *PageRule, path ...any) {
	if r.Name == landingPage {
		c.add(fmt.Sprintf("page rule may not be named %q", landingPage), "give it another name", append(path, "name")...)
	}
	a := r.Ads
	if a == nil {
		return
	}
	path = append(path, "ads")
	if r.Format != formatHTML || r.Data != nil {
		c.add("ads is for html pages", "remove it, or data and format", path...)
	}
	if a.Slots == "" {
		c.add("ads has no slots", "give the selector of what the site sells, such as '.a_pb, .banner'", append(path, "slots")...)
	} else {
		a.sel = c.selector(a.Slots, append(path, "slots")...)
	}
	if a.Landing < 0 || a.Landing > maxLandings {
		c.add(fmt.Sprintf("landing is %d", a.Landing), fmt.Sprintf("write how many pages behind ads may be fetched a day, from 0 to %d", maxLandings), append(path, "landing")...)
	}
	for i, h := range a.Hosts {
		c.hostAt(h, append(path, "hosts", i)...)
	}
}
