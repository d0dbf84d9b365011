package triage

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/chromedp/chromedp"

	"qingyuan/post"
)

func clockNow() time.Time { return clock }

func seedPost(text string) post.Post { return post.Post{Text: text} }

// afterRun asks for a page until the run that it tells of has ended.
func (d *desk) afterRun(t *testing.T, path string) *goquery.Document {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		w := ask(d, "GET", path, nil)
		if w.Header().Get("Refresh") == "" {
			return document(t, w, 200)
		}
		if time.Now().After(deadline) {
			t.Fatal("the run does not end")
		}
		time.Sleep(20 * time.Millisecond) // what the browser does with Refresh
	}
}

// shoot looks at a page, or at the one that is open, in both widths and checks
// that it fits and can be read.
func (d *desk) shoot(t *testing.T, ctx context.Context, base, name, path string) {
	t.Helper()
	shots := os.Getenv("QINGYUAN_SHOTS")
	for _, look := range []struct {
		width       int64
		lang, theme string
	}{{390, "zh", "dark"}, {1280, "en", "light"}, {390, "en", "light"}, {1280, "zh", "dark"}} {
		if path == "" && (look.lang != "en" || look.theme != "light") {
			continue // the answer to a form
		}
		if path != "" {
			cookies(t, ctx, base, look.lang, look.theme)
			run(t, ctx, chromedp.EmulateViewport(look.width, 900), chromedp.Navigate(base+path))
		} else {
			run(t, ctx, chromedp.EmulateViewport(look.width, 900))
		}
		if scroll := eval[int64](t, ctx, "document.documentElement.scrollWidth"); scroll > look.width {
			t.Errorf("%s at %d px is %d px wide", name, look.width, scroll)
		}
		if bad := eval[string](t, ctx, faint); bad != "" {
			t.Errorf("%s in %s colours: hard to read: %s", name, look.theme, bad)
		}
		if shots != "" {
			file := filepath.Join(shots, fmt.Sprintf("dict-%s-%d-%s-%s.png", name, look.width, look.lang, look.theme))
			if err := os.WriteFile(file, value(t, ctx, chromedp.CaptureScreenshot()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if path != "" {
		cookies(t, ctx, base, "en", "light")
	}
}

func TestDictionarySuggestionIsTakenUp(t *testing.T) {
	d := newDesk(t, nil)
	seedDesk(t, d)
	var others []string
	for i := range 30 {
		others = append(others, fmt.Sprintf("第%d家早餐铺今天开门，豆浆油条都有，欢迎来吃", i))
	}
	recs := seedRecords(t)
	for i := range recs[:30] {
		r := recs[i]
		r.Post.ID = post.NewID("extra", fmt.Sprint(i))
		r.Post.Title, r.Post.Text = "", others[i]
		if i < 12 {
			r.Post.Text = fmt.Sprintf("停息挂账代办%s铁皮船套餐%s，加微 boat%04d", strings.Repeat("好", i%5), []string{"便宜", "安全", "快速", "稳"}[i%4], i)
		}
		v, err := d.bench.Classifier().Classify(r.Post)
		if err != nil {
			t.Fatal(err)
		}
		r.Verdict, r.IngestedAt = v, clock
		put(t, d.store, r)
	}
	if w := ask(d, "POST", "/dictionary/suggest", url.Values{"do": {"start"}, "over": {"7"}}); w.Code != 303 {
		t.Fatalf("starting: %d %s", w.Code, w.Body)
	}
	doc := d.afterRun(t, "/dictionary/suggest")
	item := doc.Find(".suggestions li").FilterFunction(func(_ int, s *goquery.Selection) bool { return strings.Contains(s.Find("b").Text(), "铁皮船") }).First()
	if item.Length() != 1 {
		t.Fatalf("no suggestion of 铁皮船: %s", doc.Find("main").Text())
	}
	form := url.Values{"do": {"accept"}}
	for _, name := range []string{"n", "wording"} {
		v, _ := item.Find(`input[name="` + name + `"]`).Attr("value")
		form.Set(name, v)
	}
	if item.Find("select").Length() > 0 {
		form.Set("class", "deal")
	}
	if w := ask(d, "POST", "/dictionary/suggest", form); w.Code != 303 {
		t.Fatalf("accepting: %d %s", w.Code, w.Body)
	}
	if got := document(t, ask(d, "GET", "/dictionary/draft", nil), 200).Find(".deltas").Text(); !strings.Contains(got, "铁皮船") {
		t.Errorf("the draft is %q", got)
	}
	form.Set("n", "999")
	if w := ask(d, "POST", "/dictionary/suggest", form); w.Code != 409 {
		t.Errorf("accepting what is not there: %d", w.Code)
	}
}
