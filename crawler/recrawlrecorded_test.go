package crawler

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// reLab is where the recorded Discuz! ran.
var reLab = regexp.MustCompile(`^http://127\.0\.0\.1:\d+/`)

// TestRecordedRows: the lists of the kits say of each thread when it was last
// replied to, and link to it as the thread's own rule does.
func TestRecordedRows(t *testing.T) {
	dir, sites := recordedPages(t), siteConfigs(t)
	for _, c := range []struct {
		file, site, url string
		rows            int
		replies         string // of the first
	}{
		{"dz_list_p1.html", "discuz", "https://bbs.example.com/forum.php?mod=forumdisplay&fid=2", 20, "25"},
		{"dzgbk_list.html", "discuz", "https://bbs.example.com/forum.php?mod=forumdisplay&fid=2", 20, ""},
		{"discuz32_list.html", "discuz-static", "https://n.netease.com/forum-9-1.html", 42, ""},
		{"tieba_list.html", "tieba", "https://tieba.baidu.com/f?kw=x&ie=utf-8", 48, ""},
	} {
		body, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		src := *sites[c.site]
		src.Hosts = append([]string{"n.netease.com"}, src.Hosts...)
		x, err := src.Extract(Page{URL: c.url, Body: body, FetchedAt: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		exact := 0
		for _, r := range x.Rows {
			address, _, err := src.Canonical(reLab.ReplaceAllString(r.URL, "https://bbs.example.com/"))
			if err != nil {
				t.Fatal(err)
			}
			at, ok := src.place(address)
			if !ok || at.list || at.thread == "" || at.number != 1 {
				t.Errorf("%s: row leads to %s, which is %+v", c.file, r.URL, at)
			}
			if r.exact() && r.Replies != "" && !r.Last.IsZero() {
				exact++
			}
		}
		if len(x.Rows) != c.rows || exact < c.rows*9/10 || c.replies != "" && x.Rows[0].Replies != c.replies {
			t.Errorf("%s: %d rows, %d of them whole, first %+v; want %d", c.file, len(x.Rows), exact, x.Rows[:min(1, len(x.Rows))], c.rows)
		}
	}
}
