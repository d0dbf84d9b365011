package town

import (
	"encoding/json"
	"encoding/xml"
	"net/url"
	"time"
)

// unquote decodes a query value; "" when it is none.
func unquote(s string) string {
	v, err := url.QueryUnescape(s)
	if err != nil {
		return ""
	}
	return v
}

// tiebaField is what Tieba keeps in the attribute data-field of every floor;
// an inserted ad has no floor number.
func tiebaField(e *Entry, b block) string {
	content := map[string]any{"post_id": json.Number(e.Key), "is_anonym": false, "thread_id": json.Number(e.Thread), "type": "0"}
	field := map[string]any{
		"author":  map[string]any{"user_id": json.Number(b.AuthorID), "user_name": e.Author, "portrait": "tb.1." + b.AuthorID},
		"content": content,
	}
	if b.Floor > 0 {
		content["post_no"] = b.Floor
	} else {
		field = map[string]any{"ad_id": json.Number(e.Key), "type": "ad"}
	}
	out, err := json.Marshal(field)
	if err != nil { // a key or id that is no number, which parsing has refused
		return "{}"
	}
	return string(out)
}

const perTimeline = 15

// timeline is the microblog's API: the statuses from cursor on.
func (h *handler) timeline(cursor string) *answer {
	type user struct {
		ID   json.Number `json:"id"`
		Name string      `json:"screen_name"`
	}
	type status struct {
		ID        string `json:"id"`
		CreatedAt string `json:"created_at"`
		Text      string `json:"text"`
		User      user   `json:"user"`
		Region    string `json:"region_name,omitempty"`
		Source    string `json:"source"`
		Reposts   int    `json:"reposts_count"`
		Truth     string `json:"t"`
	}
	type card struct {
		Type   int    `json:"card_type"`
		Status status `json:"mblog"`
	}
	posts := h.data.threads[0].posts
	from := 0
	for i, e := range posts {
		if e.Key == cursor {
			from = i
		}
	}
	if cursor != "" && cursor != posts[from].Key {
		return nil
	}
	to := min(from+perTimeline, len(posts))
	cards := []card{}
	for _, e := range posts[from:to] {
		b := h.block(e)
		s := status{
			ID: e.Key, CreatedAt: b.When.Format("Mon Jan 02 15:04:05 -0700 2006"), Text: string(b.HTML),
			User: user{json.Number(b.AuthorID), e.Author}, Source: "碎碎念网页版", Reposts: number(b.AuthorID) % 7, Truth: b.Truth,
		}
		if e.Region != "" {
			s.Region = "发布于 " + e.Region
		}
		cards = append(cards, card{9, s})
	}
	data := map[string]any{"cards": cards, "total": len(posts)}
	if to < len(posts) {
		data["next_cursor"] = posts[to].Key
	}
	raw, err := json.Marshal(map[string]any{"ok": 1, "data": data})
	if err != nil {
		return nil
	}
	return &answer{contentType: "application/json; charset=utf-8", raw: raw}
}

// status is the page of one microblog post.
func (h *handler) status(key string) *answer {
	for _, e := range h.data.threads[0].posts {
		if e.Key == key {
			p := h.page(e.Author + "的碎碎念")
			p.Posts = []block{h.block(e)}
			return &answer{template: "detail", page: p}
		}
	}
	return nil
}

// feed is the news site's RSS: every article's beginning.
func (h *handler) feed() *answer {
	f := rss{Version: "2.0", Title: h.data.title, Link: h.base + "/"}
	for _, t := range h.data.threads {
		r := h.row(t)
		u := h.base + "/a/" + t.key + ".html"
		f.Items = append(f.Items, rssItem{Title: t.title, Link: u, GUID: u, PubDate: r.When.Format(time.RFC1123Z), Description: r.Excerpt})
	}
	raw, err := xml.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil
	}
	return &answer{contentType: "application/rss+xml; charset=utf-8", raw: []byte(xml.Header + string(raw))}
}

// rss is the feed of the news site.
type rss struct {
	XMLName xml.Name  `xml:"rss"`
	Version string    `xml:"version,attr"`
	Title   string    `xml:"channel>title"`
	Link    string    `xml:"channel>link"`
	Items   []rssItem `xml:"channel>item"`
}

type rssItem struct {
	Title       string `xml:"title"`
	Link        string `xml:"link"`
	GUID        string `xml:"guid"`
	PubDate     string `xml:"pubDate"`
	Description string `xml:"description"`
}
