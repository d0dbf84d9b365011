package town

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const bbsName = "shangan-bbs"

// zone is the sites' clock.
var zone = time.FixedZone("CST", 8*60*60)

// page is what the templates are filled with.
type page struct {
	Site, Base string
	Title      string // of the page
	Board      string // whose list it is
	Thread     *row   // the page's thread
	Threads    []row
	Posts      []block
	Ads        []block
	Number     int // of this page, from 1
	Pages      []link
	Next, Prev string
}

type link struct {
	Name, URL string
	Here      bool
}

// row is one thread in a list.
type row struct {
	Key, Title, Author, AuthorID string
	When                         time.Time
	Shown                        string
	Replies                      int
	Sticky                       bool
	Excerpt                      string
	Opt                          map[string]string
}

// block is one post on a page.
type block struct {
	Key, Author, AuthorID string
	Floor                 int // from 1; 0 for an ad
	Opening               bool
	When                  time.Time
	Shown                 string // the date as the site shows it
	HTML                  template.HTML
	Text                  string
	Quote                 *block // what it answers to; may be nil
	Banner                bool
	Region                string
	Field                 string // JSON of Tieba's data-field
	Truth                 string // the label, in Base64; no reader looks at it
}

func (h *handler) page(title string) page {
	return page{Site: h.data.title, Base: h.base, Title: title, Number: 1}
}

// siteRoutes returns the pages of the site.
func (h *handler) siteRoutes() []route {
	re := regexp.MustCompile
	switch h.data.name {
	case bbsName:
		return []route{
			{re(`^/$`), func([]string) *answer { return h.list("home", "", 1, "/forum-2-{n}.html") }},
			{re(`^/forum-(\d+)-(\d+)\.html(?:\?sid=\w{6})?$`), func(m []string) *answer {
				return h.list("list", m[1], number(m[2]), "/forum-"+m[1]+"-{n}.html?sid=k3Xw9z")
			}},
			{re(`^/thread-(\d+)-(\d+)-\d+\.html(?:\?sid=\w{6})?$`), func(m []string) *answer {
				return h.thread("thread", m[1], number(m[2]), "/thread-"+m[1]+"-{n}-1.html")
			}},
		}
	case "yuehai-forum":
		return []route{
			{re(`^/(?:latest)?$`), func([]string) *answer { return h.list("list", "", 1, "/latest?page={n}") }},
			{re(`^/latest\?page=(\d+)$`), func(m []string) *answer { return h.list("list", "", number(m[1]), "/latest?page={n}") }},
			{re(`^/t/(\d+)(?:/page-(\d+))?$`), func(m []string) *answer {
				return h.thread("thread", m[1], number(m[2]), "/t/"+m[1]+"/page-{n}")
			}},
		}
	case "tieyou":
		return []route{
			{re(`^/$`), func([]string) *answer { return h.list("home", "", 1, "") }},
			{re(`^/f\?kw=([^&]+)(?:&pn=(\d+))?$`), func(m []string) *answer {
				return h.list("list", unquote(m[1]), number(m[2])/10+1, "/f?kw="+m[1]+"&pn={n}0")
			}},
			{re(`^/p/(\d+)(?:\?pn=(\d+))?$`), func(m []string) *answer { return h.thread("thread", m[1], number(m[2]), "/p/"+m[1]+"?pn={n}") }},
		}
	case "suisui":
		return []route{
			{re(`^/$`), func([]string) *answer { return &answer{template: "shell", page: h.page(h.data.title)} }},
			{re(`^/api/timeline(?:\?cursor=(\d+))?$`), func(m []string) *answer { return h.timeline(m[1]) }},
			{re(`^/detail/(\d+)$`), func(m []string) *answer { return h.status(m[1]) }},
		}
	case "bianmin":
		return []route{
			{re(`^/(?:all/)?(?:pn(\d+)/)?$`), func(m []string) *answer { return h.list("list", "", number(m[1]), "/all/pn{n}/") }},
			{re(`^/info/(\d+)x\.shtml$`), func(m []string) *answer { return h.thread("detail", m[1], 1, "") }},
		}
	case "jiangwan-news":
		return []route{
			{re(`^/$`), func([]string) *answer { return h.list("list", "", 1, "") }},
			{re(`^/rss\.xml$`), func([]string) *answer { return h.feed() }},
			{re(`^/a/(\d+)\.html$`), func(m []string) *answer { return h.thread("article", m[1], 1, "") }},
		}
	case "hexing-bank":
		return []route{
			{re(`^/(?:notice/(?:index_(\d+)\.html)?)?$`), func(m []string) *answer { return h.list("list", "", number(m[1]), "/notice/index_{n}.html") }},
			{re(`^/notice/(\d+)\.html$`), func(m []string) *answer { return h.thread("notice", m[1], 1, "") }},
		}
	case "laoshu-blog":
		return []route{
			{re(`^/(?:page/(\d+)/)?$`), func(m []string) *answer { return h.list("home", "", number(m[1]), "/page/{n}/") }},
			{re(`^/archives/(\d+)$`), func(m []string) *answer { return h.thread("entry", m[1], 1, "") }},
			{re(`^/adframe$`), func([]string) *answer { return &answer{template: "adframe", page: h.page("广告")} }},
		}
	}
	return []route{
		{re(`^/(?:questions)?(?:\?page=(\d+))?$`), func(m []string) *answer { return h.list("list", "", number(m[1]), "/questions?page={n}") }},
		{re(`^/q/(\d+)$`), func(m []string) *answer { return h.thread("question", m[1], 1, "") }},
	}
}

// perList and perThread are how many rows and posts a page shows.
func (h *handler) perList() int {
	switch h.data.name {
	case "jiangwan-news", bbsName, "tieyou", "yuehai-forum":
		return 10
	case "bianmin":
		return 12
	}
	return 5
}

const perThread = 10

// list makes page n of the threads of a board, or of all; urls is the pattern
// of the addresses of its pages.
func (h *handler) list(tmpl, board string, n int, urls string) *answer {
	p := h.page(h.data.title)
	p.Board = board
	var sticky, rows []row
	boards := map[string]bool{}
	for _, t := range h.data.threads {
		if b := t.opts["board"]; b != "" && !boards[b] {
			boards[b] = true
			p.Pages = append(p.Pages, link{Name: b})
		}
		_, top := t.opts["sticky"]
		switch r := h.row(t); {
		case top:
			r.Sticky = true
			sticky = append(sticky, r)
		case board == "" || t.opts["board"] == board:
			rows = append(rows, r)
		}
	}
	if board != "" && !boards[board] {
		return nil
	}
	if tmpl == "home" && board == "" && h.data.name != "laoshu-blog" {
		return &answer{template: tmpl, page: p}
	}
	n = max(n, 1)
	from, to, last := cutPage(len(rows), n, h.perList())
	if n > last {
		return nil
	}
	p.Threads = append(sticky, rows[from:to]...)
	if n > 1 {
		p.Threads = rows[from:to]
	}
	p.number(n, last, h.pageOffset(), urls)
	return &answer{template: tmpl, page: p}
}

// pageOffset is what the address of page n counts from: Tieba's from 0.
func (h *handler) pageOffset() int {
	if h.data.name == "tieyou" {
		return -1
	}
	return 0
}

// cutPage returns which of count things stand on page n.
func cutPage(count, n, per int) (from, to, last int) {
	last = max((count+per-1)/per, 1)
	from = min((n-1)*per, count)
	return from, min(from+per, count), last
}

func (p *page) number(n, last, offset int, urls string) {
	p.Number, p.Pages = n, nil
	if urls == "" || last == 1 {
		return
	}
	for i := 1; i <= last; i++ {
		p.Pages = append(p.Pages, link{Name: strconv.Itoa(i), URL: pageURL(urls, i+offset), Here: i == n})
	}
	if n < last {
		p.Next = pageURL(urls, n+1+offset)
	}
	if n > 1 {
		p.Prev = pageURL(urls, n-1+offset)
	}
}

func pageURL(urls string, n int) string { return strings.ReplaceAll(urls, "{n}", strconv.Itoa(n)) }

// thread makes page n of a thread.
func (h *handler) thread(tmpl, key string, n int, urls string) *answer {
	for _, t := range h.data.threads {
		if t.key != key {
			continue
		}
		var blocks, ads []block
		floor := 0
		for i, e := range t.posts {
			b := h.block(e)
			if e.Kind == "ad" && h.data.name != "tieyou" {
				ads = append(ads, b)
				continue
			}
			if e.Kind != "ad" {
				floor++
				b.Floor = floor
			}
			b.Opening = i == 0
			if i > 0 && i%5 == 3 && t.posts[i-1].Kind != "ad" {
				q := h.block(t.posts[i-1])
				b.Quote = &q
			}
			b.Field = tiebaField(e, b)
			blocks = append(blocks, b)
		}
		p := h.page(t.title)
		r := h.row(t)
		p.Thread, p.Ads = &r, ads
		n = max(n, 1)
		per := perThread
		if urls == "" {
			per = len(blocks)
		}
		from, to, last := cutPage(len(blocks), n, per)
		if n > last {
			return nil
		}
		p.Posts = blocks[from:to]
		p.number(n, last, 0, urls)
		return &answer{template: tmpl, page: p}
	}
	return nil
}

func (h *handler) row(t *thread) row {
	e := t.posts[0]
	r := row{
		Key: t.key, Title: t.title, Author: e.Author, AuthorID: accountID(e.Author),
		When: h.opts.Now.Add(-e.Age).In(zone), Replies: len(t.posts) - 1, Opt: t.opts,
		Excerpt: begin(e.Text, 60),
	}
	r.Shown = r.When.Format("01-02 15:04")
	return r
}

func (h *handler) block(e *Entry) block {
	b := block{
		Key: e.Key, Author: e.Author, AuthorID: accountID(e.Author), When: h.opts.Now.Add(-e.Age).In(zone),
		Text: e.Text, Banner: e.Banner, Region: e.Region,
	}
	b.Shown = shownDate(b.When, h.opts.Now.In(zone))
	lines := strings.Split(e.Text, "\n")
	for i := range lines {
		lines[i] = html.EscapeString(lines[i])
		if h.data.name == bbsName && len(lines) > 1 && i%2 == 1 {
			lines[i] += noise(e.Key, i)
		}
	}
	b.HTML = template.HTML(strings.Join(lines, "<br />\r\n"))
	if truth, err := json.Marshal(e.Label); err == nil {
		b.Truth = base64.StdEncoding.EncodeToString(truth)
	}
	return b
}

// noise is what Discuz plants at the ends of lines against copying.
func noise(key string, line int) string {
	words := []string{"7 l\" F0 X9 z* ^- o", "上岸之家论坛 版权所有", "& b2 W: q; y! k", "来自 上岸之家 严禁转载", "0 p' C5 f# v) m"}
	w := html.EscapeString(words[(number(key)+line)%len(words)])
	if line%4 == 1 {
		return `<font class="jammer">` + w + `</font>`
	}
	return `<span style="display:none">` + w + `</span>`
}

// shownDate writes a date as Chinese forums do: relative for a week.
func shownDate(t, now time.Time) string {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, zone)
	switch age := now.Sub(t); {
	case age < time.Hour:
		return fmt.Sprintf("%d 分钟前", max(int(age.Minutes()), 1))
	case !t.Before(midnight):
		return fmt.Sprintf("%d 小时前", int(age.Hours()))
	case !t.Before(midnight.AddDate(0, 0, -1)):
		return "昨天 " + t.Format("15:04")
	case !t.Before(midnight.AddDate(0, 0, -2)):
		return "前天 " + t.Format("15:04")
	case age < 7*24*time.Hour:
		return fmt.Sprintf("%d 天前", int(age.Hours()/24))
	}
	return t.Format("2006-1-2 15:04:05")
}

func accountID(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return strconv.Itoa(100000 + int(h.Sum32()%900000))
}

func begin(text string, runes int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if utf8.RuneCountInString(text) <= runes {
		return text
	}
	return string([]rune(text)[:runes]) + "…"
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
