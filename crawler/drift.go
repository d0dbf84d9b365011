package crawler

import (
	"fmt"
	"time"
)

// DriftKind says what of a site fell.
type DriftKind string

// The kinds of drift. The last four are found by CheckSite only; a crawl has
// alarms of its own for what they say.
const (
	DriftZero   DriftKind = "zero"   // pages that should hold something hold nothing
	DriftYield  DriftKind = "yield"  // pages hold fewer posts or rows than they should
	DriftField  DriftKind = "field"  // a field is missing on more posts than it should
	DriftDay    DriftKind = "day"    // fewer posts of a day than there should be
	DriftSilent DriftKind = "silent" // for a day every fetch failed

	DriftWall     DriftKind = "wall"      // a wall stands in place of a page
	DriftGone     DriftKind = "gone"      // a seed is gone
	DriftFetch    DriftKind = "fetch"     // a page could not be had or read
	DriftNoThread DriftKind = "no_thread" // lists lead to no page with posts
)

// Drift is one way in which a site yields less than its config expects, or than
// it did before.
type Drift struct {
	Source string    `json:"source"`
	Kind   DriftKind `json:"kind"`
	Page   string    `json:"page,omitempty"`   // name of the page rule
	Field  string    `json:"field,omitempty"`  // with kind field
	Have   int       `json:"have"`             // posts or rows a page, of 100 posts those with the field, or posts of the day
	Want   int       `json:"want,omitempty"`   // likewise
	Before bool      `json:"before,omitempty"` // Want is what the site had before, not what its config expects
	URL    string    `json:"url,omitempty"`    // the page that showed it last
	Detail string    `json:"detail,omitempty"` // what a page or an error said
	Since  time.Time `json:"since,omitzero"`
}

// Text says it to a person, in Chinese unless lang is en.
func (d Drift) Text(lang string) string {
	en := lang == "en"
	pick := func(zh, english string) string {
		if en {
			return english
		}
		return zh
	}
	measure := pick("应不少于", "expected at least")
	if d.Before {
		measure = pick("以往约", "before about")
	}
	switch d.Kind {
	case DriftZero:
		return fmt.Sprintf(pick("页面规则 %s 读不到内容（%s %d）：版式可能已改", "page rule %s reads nothing (%s %d): the layout may have changed"), d.Page, measure, d.Want)
	case DriftYield:
		return fmt.Sprintf(pick("页面规则 %s 每页只有 %d 条（%s %d）", "page rule %s yields %d a page (%s %d)"), d.Page, d.Have, measure, d.Want)
	case DriftField:
		return fmt.Sprintf(pick("页面规则 %s 的字段 %s 只有 %d%% 有值（%s %d%%）", "page rule %s: field %s is filled on %d%% (%s %d%%)"), d.Page, d.Field, d.Have, measure, d.Want)
	case DriftDay:
		return fmt.Sprintf(pick("一天只有 %d 条新帖（%s %d）", "%d posts in a day (%s %d)"), d.Have, measure, d.Want)
	case DriftSilent:
		return pick("一整天没有读到任何页面，全部抓取失败", "not one page was read for a day: every fetch failed")
	case DriftWall:
		return fmt.Sprintf(pick("被拦截：%s", "behind a wall: %s"), d.Detail)
	case DriftGone:
		return fmt.Sprintf(pick("起始页已不存在：%s", "a seed is gone: %s"), d.Detail)
	case DriftNoThread:
		return pick("列表页没有给出可读的帖子页", "the lists lead to no page with posts")
	}
	return fmt.Sprintf(pick("页面无法读取：%s", "a page could not be read: %s"), d.Detail)
}

// pageYield is what one page held.
type pageYield struct {
	Found int            `json:"n"`           // posts, or rows of a list
	Posts int            `json:"p,omitempty"` // that fields are counted over
	Have  map[string]int `json:"f,omitempty"` // field → of Posts
}

// yieldOn counts what a page held. Of a list that has no rows in its rule the
// links to threads count.
func (s *Source) yieldOn(rule *PageRule, ex Extraction) pageYield {
	y := pageYield{Found: len(ex.Posts)}
	posts := ex.Posts
	if rule.isList() {
		y.Found = len(ex.Previews)
		posts = ex.Previews
		if len(rule.Posts) == 0 {
			for _, l := range ex.Links {
				if r, ok := s.Rule(l.URL); ok && !r.isList() {
					y.Found++
				}
			}
		}
	}
	y.Posts = len(posts)
	for _, c := range coverage(posts) {
		if c.Have > 0 {
			if y.Have == nil {
				y.Have = map[string]int{}
			}
			y.Have[c.Field] = c.Have
		}
	}
	return y
}

// mustHold reports whether a page of the rule without anything is odd.
func (r *PageRule) mustHold() bool {
	if r.isList() {
		return len(r.Follow) > 0 || len(r.Posts) > 0
	}
	for i := range r.Posts {
		if p := &r.Posts[i]; !p.Optional && p.kind != "ad" {
			return true
		}
	}
	return false
}

// expected is what a page of the rule is to hold; 0 when nothing is said.
func (s *Source) expected(rule *PageRule) int {
	if rule.isList() {
		return s.Expect.List
	}
	return s.Expect.Thread
}

// fieldsApply reports whether expect.fields speaks of pages of the rule: of
// those with posts, and of lists where nothing else has any.
func (s *Source) fieldsApply(rule *PageRule) bool {
	if !rule.isList() {
		return true
	}
	for _, r := range s.Pages {
		if !r.isList() {
			return false
		}
	}
	return true
}
