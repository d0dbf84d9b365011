package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// A forum serves pages of about 30 kB as Discuz! writes them: most of a page is
// markup, ten posts are what is said. Its boards are numbered by how many
// threads they have, so that whoever crawls one decides how long that takes.
type forum struct {
	number int
	posts  []said
}

// said is one text of the file of posts.
type said struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

const (
	postsPerPage = 10
	rowsPerList  = 25
)

// serve serves forums until it is ended and prints their addresses, one a line.
func serve(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("crawlbench serve", flag.ContinueOnError)
	sites := f.Int("sites", 8, "how many `forums`")
	file := f.String("posts", "testdata/bench/mix.jsonl", "JSON `lines` with the texts of the posts")
	if err := f.Parse(args); err != nil {
		return err
	}
	posts, err := readPosts(*file)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	for i := range *sites {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		srv := &http.Server{Handler: &forum{number: i, posts: posts}}
		go func() { failed <- srv.Serve(ln) }()
		fmt.Println(ln.Addr())
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func readPosts(file string) ([]said, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the posts: %w", err)
	}
	var out []said
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var s said
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no post in " + file)
	}
	return out, lines.Err()
}

// ServeHTTP implements http.Handler.
func (f *forum) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/robots.txt" {
		fmt.Fprint(w, "User-agent: *\nDisallow: /api/\nDisallow: /*?mod=misc*\nDisallow: /search.php\n")
		return
	}
	q := r.URL.Query()
	number := func(name string, least int) int {
		n, err := strconv.Atoi(q.Get(name))
		if err != nil || n < least {
			return least
		}
		return n
	}
	var b bytes.Buffer
	switch q.Get("mod") {
	case "forumdisplay":
		f.list(&b, number("fid", 1), number("page", 1))
	case "viewthread":
		f.thread(&b, number("tid", 1))
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes()) // a crawler that went away is none of our business
}

func (f *forum) list(b *bytes.Buffer, fid, page int) {
	f.head(b, fmt.Sprintf("版块 %d", fid))
	b.WriteString(`<div id="threadlist" class="tl bm bmw"><table>`)
	for tid := (page-1)*rowsPerList + 1; tid <= min(page*rowsPerList, fid); tid++ {
		fmt.Fprintf(b, listRow, tid, tid, html.EscapeString(f.subject(tid)), 100+tid, tid%9, tid*7, tid%28+1)
	}
	b.WriteString("</table></div>")
	if page*rowsPerList < fid {
		fmt.Fprintf(b, `<div class="pg"><strong>%d</strong><a href="forum.php?mod=forumdisplay&amp;fid=%d&amp;page=%d" class="nxt">下一页</a></div>`, page, fid, page+1)
	}
	b.WriteString(foot)
}

func (f *forum) thread(b *bytes.Buffer, tid int) {
	f.head(b, f.subject(tid))
	fmt.Fprintf(b, `<div id="postlist" class="pl bm"><h1 class="ts"><span id="thread_subject">%s</span></h1>`, html.EscapeString(f.subject(tid)))
	for floor := range postsPerPage {
		pid := tid*100 + floor
		uid, day := (pid*31)%5000, pid%28+1
		b.WriteString(strings.NewReplacer("{pid}", strconv.Itoa(pid), "{uid}", strconv.Itoa(uid), "{tid}", strconv.Itoa(tid), "{floor}", strconv.Itoa(floor+1),
			"{day}", strconv.Itoa(day), "{min}", strconv.Itoa(pid%50+10), "{text}", f.text(pid)).Replace(postBlock))
	}
	b.WriteString("</div>")
	b.WriteString(foot)
}

func (f *forum) subject(tid int) string {
	p := f.posts[(tid*37+f.number*101)%len(f.posts)]
	if p.Title == "" {
		return fmt.Sprintf("求助贴 %d", tid)
	}
	return p.Title
}

// text is the text of a post; no two of a forum are the same.
func (f *forum) text(pid int) string {
	p := f.posts[(pid*7+f.number*131)%len(f.posts)]
	return strings.ReplaceAll(html.EscapeString(p.Text), "\n", "<br />\n") + fmt.Sprintf("<br />\n%d 年 %d 月有 %d 人看过", 2000+pid%26, pid%12+1, pid)
}

func (f *forum) head(b *bytes.Buffer, title string) {
	b.WriteString(strings.ReplaceAll(head, "{title}", html.EscapeString(title)))
	for i := range 30 {
		fmt.Fprintf(b, `<li id="mn_%d"><a href="forum.php?gid=%d" hidefocus="true" title="分区 %d"  class="nav-link xi%d">分区导航 %d<span> 交流与分享</span></a></li>`+"\n", i, i, i, i%3, i)
	}
	b.WriteString(`</ul></div><div id="ct" class="wp cl w">`)
}
