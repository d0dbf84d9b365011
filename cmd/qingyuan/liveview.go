package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"qingyuan/triage"
)

// liveView shows a crawl while it runs: a table that is drawn anew on a
// terminal, a line from time to time elsewhere. On a terminal everything else
// that goes to standard error must go through it, so that logs scroll by above
// the table. It uses neither the alternate screen nor raw mode and hides no
// cursor: whatever ends the process leaves the terminal in order.
type liveView struct {
	out    io.Writer
	lang   string
	color  bool
	size   func() (columns, rows int) // nil: no terminal
	status func(context.Context) (triage.Status, error)
	every  time.Duration
	plain  func(triage.Status) // without a terminal
	quit   chan struct{}
	gone   chan struct{}
	once   sync.Once

	mu       sync.Mutex
	shown    []string // lines on the screen
	rest     []byte   // of a line that was not ended yet
	stopping bool
	over     bool
}

// How often a view is drawn, or a line is logged.
const (
	drawEvery = 500 * time.Millisecond
	logEvery  = 30 * time.Second
	viewShare = 20 // a twentieth of the time at most goes into it
)

// newLiveView prepares a view of standard error. It shows nothing before start.
func newLiveView(std stdio, lang string) *liveView {
	v := &liveView{out: std.err, lang: lang, every: drawEvery, quit: make(chan struct{}), gone: make(chan struct{})}
	if file, ok := std.err.(*os.File); ok && isTerminal(file) && os.Getenv("TERM") != "dumb" {
		_, noColor := os.LookupEnv("NO_COLOR")
		v.color = !noColor
		v.size = func() (int, int) {
			columns, rows, err := term.GetSize(int(file.Fd()))
			if err != nil || columns <= 0 || rows <= 0 {
				return 80, 24
			}
			return columns, rows
		}
	}
	return v
}

// logging makes the view log its lines where there is no terminal: the totals
// at each interval, every site at each tenth.
func (v *liveView) logging(logger *slog.Logger) {
	v.every = logEvery
	if v.size != nil {
		v.every = drawEvery
	}
	n := 0
	v.plain = func(st triage.Status) {
		t := st.Total
		logger.Info("the crawl goes on", "pages", t.Fetched, "pages_per_second", fmt.Sprintf("%.2f", st.Rate), "posts", t.Posts, "hits", t.Hits, "queued", t.Queued, "not_due", t.NotDue,
			"in_work", t.Leased, "given_up", t.GivenUp, "retried", t.Retried, "alarms", len(st.Alarms), "memory_bytes", st.Memory)
		if n++; n%10 != 1 {
			return
		}
		for _, s := range st.Sites {
			about := []any{"source", s.Site, "waiting", s.Waiting, "queued", s.Queued, "in_work", s.Leased, "pages", s.Fetched, "posts", s.Posts, "hits", s.Hits, "errors", s.Errors}
			if !s.Until.IsZero() {
				about = append(about, "until", s.Until)
			}
			if s.Reason != "" {
				about = append(about, "reason", s.Reason)
			}
			logger.Info("site", about...)
		}
	}
}

// telling makes the view write a line of totals, when they have changed, each
// second where there is no terminal.
func (v *liveView) telling(w io.Writer) {
	if v.size == nil {
		v.every = time.Second
	}
	said := ""
	v.plain = func(st triage.Status) {
		t := st.Total
		line := fmt.Sprintf("抓取中：%d 页，%d 帖，%d 条命中\n", t.Fetched, t.Posts, t.Hits)
		if v.lang == "en" {
			line = fmt.Sprintf("crawling: %d pages, %d posts, %d hits\n", t.Fetched, t.Posts, t.Hits)
		}
		if line != said {
			said = line
			fmt.Fprint(w, line)
		}
	}
}

// start begins to show what status tells, until close.
func (v *liveView) start(status func(context.Context) (triage.Status, error)) {
	v.status = status
	go func() {
		defer close(v.gone)
		next := time.NewTimer(v.every)
		defer next.Stop()
		for {
			select {
			case <-next.C:
			case <-v.quit:
				return
			}
			started := time.Now()
			v.refresh()
			// A frontier so large that asking it takes time is asked less often.
			next.Reset(max(v.every, viewShare*time.Since(started)))
		}
	}()
}

// close draws a last time and leaves the table standing. It may be called
// again, and without start.
func (v *liveView) close() {
	v.once.Do(func() {
		close(v.quit)
		if v.status == nil {
			return
		}
		<-v.gone
		v.mu.Lock()
		v.over = true
		v.mu.Unlock()
		v.refresh()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.shown = nil // it is text like any other now
	})
}

// stop says in the table that the crawl is ending.
func (v *liveView) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stopping = true
}

func (v *liveView) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	st, err := v.status(ctx)
	if v.size == nil {
		if err == nil && v.plain != nil {
			v.plain(st)
		}
		return
	}
	if err != nil && st.Problem == "" {
		st.Problem = err.Error()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	columns, rows := v.size()
	t := statusTable{lang: v.lang, color: v.color, width: columns - 1, height: rows - 1, stopping: v.stopping, over: v.over}
	v.draw(t.lines(st), nil)
}

// Write lets a line, such as one of the log, pass above the table.
func (v *liveView) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.size == nil || v.shown == nil {
		return v.out.Write(p)
	}
	v.rest = append(v.rest, p...)
	end := bytes.LastIndexByte(v.rest, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	above := bytes.Clone(v.rest[:end])
	v.rest = append(v.rest[:0], v.rest[end:]...)
	v.draw(v.shown, above)
	return len(p), nil
}

// draw replaces the table by lines, with text above it. It goes up as many rows
// as the old lines take at the terminal's present width, in which a narrower
// window has wrapped them.
func (v *liveView) draw(lines []string, above []byte) {
	columns, _ := v.size()
	var b bytes.Buffer
	up := 0
	for _, l := range v.shown {
		up += max(1, (cellWidth(l)+columns-1)/columns)
	}
	b.WriteByte('\r')
	if up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	if len(above) > 0 {
		b.WriteString("\x1b[J")
		b.Write(above)
	}
	for _, l := range lines {
		b.WriteString(l)
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	v.out.Write(b.Bytes()) //nolint:errcheck // nobody is left to be told
	v.shown = lines
}

// cells counts widths as terminals do: ambiguous characters are narrow, and
// safeText lets none through.
var cells = &runewidth.Condition{}

// cellWidth is the width of a line without its colours.
func cellWidth(s string) int {
	for {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			return cells.StringWidth(s)
		}
		end := strings.IndexByte(s[start:], 'm')
		if end < 0 {
			return cells.StringWidth(s[:start])
		}
		s = s[:start] + s[start+end+1:]
	}
}
