package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"qingyuan/triage"
)

// screen is a terminal that knows what the view uses: it wraps, moves up and
// clears. A resize wraps again what a line held, as terminals do.
type screen struct {
	t       *testing.T
	columns int
	lines   []string // as ended by a newline; colours left out
	row     int      // of lines, in rows of the screen, see rows
}

// rows are the lines as the screen shows them, and for each line its first row.
func (s *screen) rows() (rows []string, first []int) {
	for _, l := range s.lines {
		first = append(first, len(rows))
		row := ""
		for _, r := range l {
			if cells.StringWidth(row+string(r)) > s.columns {
				rows = append(rows, row)
				row = ""
			}
			row += string(r)
		}
		rows = append(rows, row)
	}
	return rows, first
}

// Write implements io.Writer. The cursor is below the last line, or at the
// beginning of the row that \x1b[nA led to.
func (s *screen) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		switch {
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\x1b':
			end := strings.IndexAny(text, "AJKm")
			if end < 0 {
				s.t.Fatalf("unknown sequence in %q", text)
			}
			s.act(text[2:end], text[end])
			text = text[end+1:]
		default:
			end := strings.IndexAny(text, "\x1b\n")
			line := text
			if end >= 0 {
				line = text[:end]
			}
			s.put(line)
			text = text[len(line):]
			if strings.HasPrefix(text, "\n") {
				text = text[1:]
				s.row++
			}
		}
	}
	return len(p), nil
}

func (s *screen) act(n string, what byte) {
	switch what {
	case 'A':
		up := 0
		fmt.Sscan(n, &up) //nolint:errcheck // 0 is seen below
		rows, first := s.rows()
		at := len(rows) - up
		for i, f := range first {
			if f == at {
				s.row = i
				return
			}
		}
		s.t.Errorf("moved %d rows up, into the middle of a line", up)
	case 'J':
		s.lines = s.lines[:min(s.row, len(s.lines))]
	}
}

// put writes over the line at the cursor: what follows is cleared to its end.
func (s *screen) put(text string) {
	if text == "" {
		return
	}
	for len(s.lines) <= s.row {
		s.lines = append(s.lines, "")
	}
	s.lines[s.row] = text
}

func TestViewLeavesNothingBehind(t *testing.T) {
	s := &screen{t: t, columns: 100}
	v := &liveView{out: s, lang: "zh", size: func() (int, int) { return s.columns, 24 }, quit: make(chan struct{}), gone: make(chan struct{})}
	st := sampleStatus()
	v.status = func(context.Context) (triage.Status, error) { return st, nil }
	v.refresh()
	fmt.Fprint(v, "level=WARN msg=\"first\"\nlevel=WARN ")
	st.Sites = st.Sites[:2]
	v.refresh()
	fmt.Fprint(v, "msg=\"second\"\n")
	for _, columns := range []int{47, 61, 80, 200} {
		s.columns = columns // the terminal wraps what stands there; the view knows only now
		v.refresh()
	}
	close(v.gone)
	v.close()
	fmt.Fprint(v, "after\n")
	text := strings.Join(s.lines, "\n")
	if !strings.HasPrefix(text, "level=WARN msg=\"first\"\nlevel=WARN msg=\"second\"\n清源 采集结束") || !strings.HasSuffix(text, "采集已结束\nafter") || strings.Count(text, "站点 ") != 1 {
		t.Errorf("the screen holds:\n%s", text)
	}
	v.close() // again, as a defer does
}

func sampleStatus() triage.Status {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	st := triage.Status{At: now, Live: true, Since: now.Add(-100 * time.Minute), Rate: 12.34, Memory: 200 << 20, Problem: "index: \x1b[31mdisk\r\nfull\u202e",
		Alarms: []triage.Alarm{{Kind: "wall", Site: "anliu", Host: "anliu.example", Reason: "captcha wall: 安全验证"}, {}, {}, {}, {}}}
	for i, w := range triage.Waitings {
		st.Sites = append(st.Sites, triage.SiteStatus{Site: fmt.Sprintf("site-%d", i), Title: strings.Repeat("很长的站点名字", i%3+1), Waiting: w, Until: now.Add(time.Duration(i) * time.Hour), Queued: 1 << (3 * i), Fetched: 12345678,
			Posts: 99_999, Hits: 100_000, Yield: 100 * float64(i), Rate: 1234.5, LastHit: now.Add(-time.Minute), Reason: "status 503 \u200b\x1b]0;title\a" + strings.Repeat("长", i), Errors: map[string]int{"timeout": 3, "odd\nclass": 9}})
	}
	st.Total = totalOf(st.Sites)
	return st
}

// Nothing in a table is wider or longer than the terminal, and nothing that
// sites say can move the cursor.
func TestTableFitsTheTerminal(t *testing.T) {
	st := sampleStatus()
	for width := 10; width < 220; width += 7 {
		for _, height := range []int{5, 12, 23, 60} {
			for _, table := range []statusTable{{lang: "zh", width: width, height: height}, {lang: "en", width: width, height: height, color: true, stopping: true}} {
				lines := table.lines(st)
				if len(lines) > height {
					t.Errorf("%d lines on %d", len(lines), height)
				}
				for _, l := range lines {
					if n := cellWidth(l); n > width {
						t.Errorf("%d cells on %d: %q", n, width, l)
					}
					plain := l
					for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"} {
						plain = strings.ReplaceAll(plain, code, "")
					}
					if table.color != (plain != l) && strings.Contains(l, "\x1b") || strings.ContainsAny(plain, "\x1b\r\n\a\u202e\u200b\x00") {
						t.Errorf("control characters in %q", l)
					}
				}
			}
		}
	}
}

// The columns stand below each other, whatever the width of the letters.
func TestTableColumnsAlign(t *testing.T) {
	st := sampleStatus()
	st.Sites = st.Sites[:3]
	lines := statusTable{lang: "zh", width: 79, height: 30}.lines(st)
	at := func(line, part string) int {
		i := strings.Index(line, part)
		if i < 0 {
			t.Fatalf("no %q in %q", part, line)
		}
		return cells.StringWidth(line[:i+len(part)])
	}
	want := at(lines[1], "已抓")
	for _, l := range lines[2:5] {
		if got := at(l, " 12M"); got != want {
			t.Errorf("the number ends in cell %d, its heading in %d:\n%s", got, want, strings.Join(lines, "\n"))
		}
	}
	for _, part := range []string{"清源 采集中 | 1时40分 | 12.3 页/秒 | 内存 200.0 MiB", "另有 2 个告警", "合计"} {
		if !strings.Contains(strings.Join(lines, "\n"), part) {
			t.Errorf("the table does not say %q:\n%s", part, strings.Join(lines, "\n"))
		}
	}
}

// What has no room is what needs it least.
func TestTableShowsTroubleFirst(t *testing.T) {
	st := sampleStatus()
	text := strings.Join(statusTable{lang: "en", width: 100, height: 16}.lines(st), "\n")
	if !strings.Contains(text, "wall, paused") || strings.Contains(text, "not due ") || !strings.Contains(text, "more sites") {
		t.Errorf("the table holds\n%s", text)
	}
}

func TestPlainViewIsNeverSilent(t *testing.T) {
	var out strings.Builder
	v := newLiveView(stdio{err: &out}, "zh")
	c := defaultConfig()
	v.logging(newLogger(stdio{err: v}, c))
	v.status = func(context.Context) (triage.Status, error) { return sampleStatus(), nil }
	v.refresh()
	v.refresh()
	if text := out.String(); strings.Count(text, `msg="the crawl goes on"`) != 2 || strings.Count(text, "msg=site ") != len(triage.Waitings) || strings.Contains(text, "\x1b") {
		t.Errorf("the log holds\n%s", text)
	}
}

func TestPulse(t *testing.T) {
	var p pulse
	start := time.Unix(1_795_000_000, 0)
	for i := range 120 {
		p.beat(start.Add(time.Duration(i) * time.Second / 2)) // two a second for a minute
	}
	for _, c := range []struct {
		after, since time.Duration
		want         float64
	}{{59 * time.Second, time.Hour, 2}, {89 * time.Second, time.Hour, 1}, {10 * time.Minute, time.Hour, 0}} {
		now := start.Add(c.after)
		if got := p.rate(now, now.Add(-c.since)); got != c.want {
			t.Errorf("after %v: %v pages a second, want %v", c.after, got, c.want)
		}
	}
	var young pulse
	young.beat(start)
	young.beat(start)
	if got := young.rate(start, start.Add(-4*time.Second)); got != 0.5 {
		t.Errorf("two pages in four seconds: %v a second", got)
	}
	young.beat(start.Add(-time.Hour)) // a clock that was put back
}

func TestDiskSpace(t *testing.T) {
	free, total := diskSpace(t.TempDir())
	if free <= 0 || total < free {
		t.Errorf("%d of %d bytes are free", free, total)
	}
	if free, total := diskSpace("/nonexistent"); free != 0 || total != 0 {
		t.Errorf("a folder that is not there has %d of %d bytes", free, total)
	}
	c := defaultConfig()
	c.Data = t.TempDir()
	if d := readLastDigest(c); d != (triage.LastDigest{}) {
		t.Errorf("before any: %+v", d)
	}
	day := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC) // the 22nd in China
	if err := noteDigest(c, day); err != nil || readLastDigest(c).Day != "2026-11-22" || readLastDigest(c).Built.IsZero() {
		t.Errorf("%v, %+v", err, readLastDigest(c))
	}
	left, err := os.ReadDir(c.Data)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(c.Data+"/"+lastDigestFile, []byte(`{"day":"<b>"}`), 0o600); err != nil || readLastDigest(c).Day != "" {
		t.Errorf("a day that is none: %v, %+v", err, readLastDigest(c))
	}
}
