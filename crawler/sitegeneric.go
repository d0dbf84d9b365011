package crawler

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

var reCommentMark = regexp.MustCompile(`<!--|-->`)

// articleText is how many times the text of an article is longer than that of
// the links to others beside it.
const articleText = 2

// ownForm reports whether the page has the form of what it links to.
func ownForm(l guessedList, u *url.URL) bool { return patternOf(u) == l.shape }

// byPage makes the draft of what repeats on the page, without any kit: a list
// and its threads, or a thread alone.
func (d *drafter) byPage() error {
	d.doubt(DoubtNoKit, "")
	d.made.Kit, d.made.Marks = "", nil
	probe, err := FirstSource(d.page.URL, d.opts.AllowPrivate)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoDraft, err)
	}
	list, isList := guessList(d.page)
	if !isList { // Tieba hides its lists so
		bare := d.page
		bare.Body = reCommentMark.ReplaceAll(bare.Body, nil)
		if list, isList = guessList(bare); isList {
			list.comments = true
		}
	}
	posts, isThread := guessThread(d.page)
	if isThread && posts.posts.each != "" && (!isList || list.date == "") {
		isList = false // what repeats are posts
	}
	if isThread && isList && (posts.posts.each == "" && posts.runes > articleText*list.runes || ownForm(list, d.url)) {
		isList = false // an article with links to others
	}
	switch {
	case isList:
		thread, page, seen := d.threadOf(probe, list)
		if seen {
			d.made.Pages = append(d.made.Pages, page)
			return d.write(&list, thread, page.URL)
		}
		d.doubt(DoubtNoThread, "")
		return d.write(&list, unseenThread, list.threads[0])
	case isThread:
		return d.write(nil, posts, d.page.URL)
	}
	if drawnByScript(d.page) {
		return fmt.Errorf("%w: %s has hardly any text; it is drawn by script, so give a page saved from a browser", ErrNoDraft, d.page.URL)
	}
	return fmt.Errorf("%w: neither rows nor posts repeat on %s; give the URL of a board or a list", ErrNoDraft, d.page.URL)
}

// unseenThread reads threads of which none was seen: whole pages, by the
// places where a text usually stands.
var unseenThread = guessedThread{title: "h1", posts: guessedBlock{text: "article, main, #content, .content"}}

// threadOf looks at threads of a list until one shows replies.
func (d *drafter) threadOf(probe *Source, list guessedList) (t guessedThread, page Page, seen bool) {
	for i := range draftThreads {
		var pg Page
		switch {
		case i < len(d.opts.Threads):
			pg = d.opts.Threads[i]
		case len(d.opts.Threads) > 0:
			return t, page, seen
		case i < len(list.threads):
			var ok bool
			// Sticky rows stand first, and are rules of the house.
			if pg, ok = d.fetch(probe, list.threads[(i+len(list.threads)/2)%len(list.threads)]); !ok {
				continue
			}
		default:
			return t, page, seen
		}
		g, ok := guessThread(pg)
		if !ok {
			continue
		}
		if !seen || g.posts.count > t.posts.count {
			t, page, seen = g, pg, true
		}
		if g.posts.each != "" {
			return t, page, true
		}
	}
	if seen && t.posts.each == "" {
		d.doubt(DoubtOneThread, "")
	}
	return t, page, seen
}

// write writes the config and reads it back.
func (d *drafter) write(list *guessedList, t guessedThread, threadURL string) error {
	title := d.title()
	if title == "" {
		title = d.url.Host
	}
	kind := "forum"
	if t.posts.each == "" {
		kind = "news"
	}
	var b strings.Builder
	b.WriteString(d.header(""))
	fmt.Fprintf(&b, "name: %s\ntitle: %s%s\ntype: %s\n", d.opts.Name, quoted(title), d.remark("title"), kind)
	fmt.Fprintf(&b, "hosts: [%s]%s\n", quoted(hostEntry(d.url)), d.remark("hosts"))
	if d.opts.AllowPrivate {
		fmt.Fprintf(&b, "allow_private: true%s\n", d.remark("allow_private"))
	}
	fmt.Fprintf(&b, "seeds: [%s]%s\ndelay: %s%s\ntime_zone: Asia/Shanghai\npages:\n", quoted(d.page.URL), d.remark("seeds"), d.delay(3*time.Second), d.remark("delay"))
	d.writeThread(&b, t, threadURL)
	if list != nil {
		d.writeList(&b, *list)
	}
	d.made.Config = []byte(b.String())
	src, err := ReadSource(d.opts.Name+".yaml", d.made.Config)
	if err != nil {
		return fmt.Errorf("%w: what was guessed does not make a config: %w\n%s", ErrNoDraft, err, d.made.Config)
	}
	d.made.Source = src
	return nil
}

func (d *drafter) writeThread(b *strings.Builder, t guessedThread, threadURL string) {
	name := "thread"
	if t.posts.each == "" {
		name = "article"
	}
	match, thread := pagePatterns(threadURL, t.nextURL)
	fmt.Fprintf(b, "  - name: %s%s\n    match: %s\n", name, d.remark(name), quoted(match))
	if thread != "" {
		fmt.Fprintf(b, "    thread: %s\n", quoted(thread))
	}
	b.WriteString("    priority: 10\n")
	if t.next != "" {
		fmt.Fprintf(b, "    follow: [%s]\n", quoted(t.next))
	} else if t.posts.each != "" {
		d.doubt(DoubtPaging, threadURL)
	}
	b.WriteString("    posts:\n")
	title := fmt.Sprintf("        title: {select: %s, scope: page, only: first}\n", quoted(t.title))
	if t.posts.each == "" {
		b.WriteString("      - kind: article\n" + strings.Replace(title, ", scope: page, only: first", "", 1))
		t.posts.fields(b)
		return
	}
	if t.opening.each != "" {
		fmt.Fprintf(b, "      - each: %s\n        kind: post\n        optional: true\n        key: {template: 'opening-{page}'}\n%s", quoted(t.opening.each), strings.Replace(title, ", only: first", "", 1))
		t.opening.fields(b)
		fmt.Fprintf(b, "      - each: %s\n        kind: comment\n        optional: true\n", quoted(t.posts.each))
	} else {
		fmt.Fprintf(b, "      - each: %s\n        kind: comment\n        first_kind: post\n%s", quoted(t.posts.each), title)
	}
	if t.posts.key != "" {
		fmt.Fprintf(b, "        key: {attr: %s, regex: '(\\d+)'}\n", t.posts.key)
	} else {
		d.doubt(DoubtKey, "")
		b.WriteString("        key: {template: '{page}#{index}'}\n")
	}
	t.posts.fields(b)
}

func (g guessedBlock) fields(b *strings.Builder) {
	if g.author != "" {
		fmt.Fprintf(b, "        author: %s\n", quoted(g.author))
	}
	switch {
	case g.date != "" && g.dateAttr != "":
		fmt.Fprintf(b, "        time: {select: %s, attr: %s, or: %s}\n", quoted(g.date), g.dateAttr, quoted(g.date))
	case g.date != "":
		fmt.Fprintf(b, "        time: %s\n", quoted(g.date))
	}
	if g.text != "" {
		fmt.Fprintf(b, "        text: %s\n", quoted(g.text))
	} else {
		b.WriteString("        text: {drop: [nav]}\n")
	}
}

func (d *drafter) writeList(b *strings.Builder, l guessedList) {
	match, _ := pagePatterns(d.page.URL, l.nextURL)
	fmt.Fprintf(b, "  - name: list%s\n    match: %s\n    priority: 5\n    follow:\n", d.remark("list"), quoted(match))
	link := l.title
	if l.each != "" && !strings.HasPrefix(link, "a[") {
		link = l.each + " " + link
	}
	comments := ""
	if l.comments {
		comments = ", comments: true"
	}
	fmt.Fprintf(b, "      - {select: %s%s}\n", quoted(link), comments)
	if l.next != "" {
		fmt.Fprintf(b, "      - {select: %s%s}\n", quoted(l.next), comments)
	} else {
		d.doubt(DoubtPaging, d.page.URL)
	}
	if l.each == "" {
		return
	}
	fmt.Fprintf(b, "    posts:\n      - each: %s\n        kind: post\n        preview: true\n", quoted(l.each))
	if l.comments {
		b.WriteString("        comments: true\n")
	}
	fmt.Fprintf(b, "        key: {select: %s, attr: href}\n        url: {select: %s, attr: href}\n        title: %s\n", quoted(l.title), quoted(l.title), quoted(l.title))
	if l.author != "" {
		fmt.Fprintf(b, "        author: %s\n", quoted(l.author))
	}
	switch {
	case l.date != "" && l.dateAttr != "":
		fmt.Fprintf(b, "        time: {select: %s, attr: %s}\n", quoted(l.date), l.dateAttr)
	case l.date != "":
		fmt.Fprintf(b, "        time: %s\n", quoted(l.date))
	}
}
