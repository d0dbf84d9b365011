package triage

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"qingyuan/index"
)

// browser starts a headless Chromium, or skips where there is none; with
// CI=true that is a failure.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no chromium found; install it, CI does not skip")
		}
		t.Skip("no chromium found: the pages are not tried in a browser")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	ctx, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancelTab(); cancelAlloc(); cancel() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return ctx
}

type step = chromedp.Action[chromedp.Void]

func run(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("in the browser: %v", err)
	}
}

func value[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatalf("in the browser: %v", err)
	}
	return v
}

func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	return value(t, ctx, chromedp.Evaluate[T](expression))
}

func press(key string) step { return chromedp.KeyEvent(key) }

// load does steps that lead to another page and waits until it has loaded.
func load(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, steps...); err != nil {
		t.Fatalf("in the browser: %v", err)
	}
}

func cookies(t *testing.T, ctx context.Context, base, lang, theme string) {
	t.Helper()
	for name, v := range map[string]string{langCookie: lang, themeCookie: theme} {
		if _, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: v, URL: base}); err != nil {
			t.Fatalf("setting a cookie: %v", err)
		}
	}
}

// faint lists texts whose contrast with what is painted behind them is below
// 4.5:1, or 3:1 for large ones.
const faint = `(() => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const rgb = (...layers) => { pen.clearRect(0, 0, 1, 1); for (const c of layers) { pen.fillStyle = c; pen.fillRect(0, 0, 1, 1) } return pen.getImageData(0, 0, 1, 1).data };
  const light = d => [0, 1, 2].map(i => d[i] / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest("dialog:not([open]), option, .visually-hidden, .skip, script")) continue;
    const style = getComputedStyle(e), layers = [];
    for (let p = e; p; p = p.parentElement) layers.unshift(getComputedStyle(p).backgroundColor);
    const [a, b] = [light(rgb(...layers)), light(rgb(...layers, style.color))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), need = size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5;
    if ((a + .05) / (b + .05) < need) bad.add(e.tagName + "." + e.className + " " + ((a + .05) / (b + .05)).toFixed(2));
  }
  return Array.from(bad).slice(0, 8).join("; ");
})()`

func TestPagesFitTheScreen(t *testing.T) {
	ctx := browser(t)
	store := seeded(t)
	hostile := hostileRecord(0)
	hostile.Post.Title = strings.Repeat("非常长没有空格的标题", 30) + strings.Repeat("W", 300)
	odd := openStore(t)
	put(t, odd, hostile)
	oddServer := httptest.NewServer(newServer(t, odd, nil))
	t.Cleanup(oddServer.Close)
	ts := httptest.NewServer(newServer(t, store, func(o *Options) { o.Crawl = crawlStatus }))
	t.Cleanup(ts.Close)
	first := seedRecords(t)[0].Post.ID
	// What scrolls sideways inside the page hides its end as well; the crawl's table may.
	const cut = `Array.from(document.querySelectorAll(".scroll")).filter(e => !e.closest(".crawl") && e.scrollWidth > e.clientWidth).map(e => e.firstElementChild.className).join()`
	shots := os.Getenv("QINGYUAN_SHOTS")
	paths := map[string]string{"queue": "/", "all": "/?q=", "mistake": "/?q=scroe%3A1", "post": "/post/" + first,
		"overview": "/overview", "audit": "/audit", "help": "/help", "missing": "/nothing", "hostile": "/post/" + hostile.Post.ID, "oddqueue": "/?q="}
	for _, width := range []int64{1280, 390} {
		for _, look := range []struct{ lang, theme string }{{"zh", "light"}, {"en", "dark"}, {"zh", "dark"}, {"en", "light"}} {
			for name, path := range paths {
				if shots == "" && (look.lang == "zh") == (look.theme == "dark") {
					continue // fit does not depend on colours
				}
				viewport := chromedp.EmulateViewport(width, 900)
				if width < 500 {
					viewport = chromedp.EmulateViewport(width, 900, chromedp.EmulateMobile)
				}
				base := ts.URL
				if name == "hostile" || name == "oddqueue" {
					base = oddServer.URL
				}
				cookies(t, ctx, base, look.lang, look.theme)
				run(t, ctx, viewport, chromedp.Navigate(base+path))
				scroll, inner := eval[int](t, ctx, "document.documentElement.scrollWidth"), eval[int](t, ctx, "window.innerWidth")
				if scroll > inner || int64(inner) > width {
					t.Errorf("%s at %d px in %s: %d px wide, %d fit", path, width, look.lang, scroll, inner)
				}
				if tables := eval[string](t, ctx, cut); tables != "" && name != "hostile" {
					t.Errorf("%s at %d px in %s: cut off: %s", path, width, look.lang, tables)
				}
				if bad := eval[string](t, ctx, faint); bad != "" {
					t.Errorf("%s in %s colours: hard to read: %s", path, look.theme, bad)
				}
				if shots != "" {
					file := filepath.Join(shots, fmt.Sprintf("%s-%d-%s-%s.png", name, width, look.lang, look.theme))
					png := value(t, ctx, chromedp.CaptureScreenshot())
					if err := os.WriteFile(file, png, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

func TestWhatOpensFitsTheScreen(t *testing.T) {
	ctx := browser(t)
	ts := httptest.NewServer(newServer(t, seeded(t), nil))
	t.Cleanup(ts.Close)
	shots := os.Getenv("QINGYUAN_SHOTS")
	fits := func(name string, width int64) {
		t.Helper()
		if scroll := eval[int64](t, ctx, "document.documentElement.scrollWidth"); scroll > width {
			t.Errorf("%s at %d px is %d px wide", name, width, scroll)
		}
		if shots == "" {
			return
		}
		if err := os.WriteFile(filepath.Join(shots, fmt.Sprintf("%s-%d.png", name, width)), value(t, ctx, chromedp.CaptureScreenshot()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, width := range []int64{1280, 390} {
		run(t, ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(ts.URL+"/post/"+seedRecords(t)[0].Post.ID))
		if !eval[bool](t, ctx, `(y => y(".text") < y("#triage") && y("#triage") < y(".why-score") || innerWidth > 500)(s => document.querySelector(s).getBoundingClientRect().top)`) {
			t.Errorf("at %d px the decision does not follow the text", width)
		}
		run(t, ctx, chromedp.Navigate(ts.URL+"/"), press("j"), press("x"))
		fits("dismiss", width)
		if right := eval[float64](t, ctx, `(r => r.left < 0 ? 1e9 : r.right)(document.querySelector("details[open] > .pop").getBoundingClientRect())`); right > float64(width) {
			t.Errorf("at %d px the reasons end at %.0f", width, right)
		}
		run(t, ctx, press(kb.Escape), press("?"), chromedp.WaitVisible("#keys[open]"))
		fits("keys", width)
		run(t, ctx, chromedp.Navigate(ts.URL+"/"))
		load(t, ctx, chromedp.Click(`#bulk button[name="all"]`))
		fits("bulk", width)
		run(t, ctx, chromedp.Navigate(ts.URL+"/"), press("j"))
		load(t, ctx, press("c"))
		fits("notice", width)
	}
}

func TestKeyboardWorksThroughTheQueue(t *testing.T) {
	ctx := browser(t)
	store := openStore(t) // nothing decided yet: which record is where in the queue is the classifier's business
	put(t, store, seedRecords(t)...)
	ts := httptest.NewServer(newServer(t, store, nil))
	t.Cleanup(ts.Close)
	page, err := store.Search(t.Context(), index.Query{Text: defaultQuery, Sort: index.SortScore, Limit: 4})
	if err != nil || len(page.Hits) < 4 {
		t.Fatalf("the queue holds %d records (%v)", len(page.Hits), err)
	}
	id := func(i int) string { return page.Hits[i].Record.Post.ID }
	status := func(i int) index.Triage {
		rec, err := store.Get(t.Context(), id(i))
		if err != nil {
			t.Fatal(err)
		}
		return rec.Triage
	}
	focus := func() string { return eval[string](t, ctx, "document.activeElement.id") }
	run(t, ctx, chromedp.Navigate(ts.URL+"/"), press("?"), chromedp.WaitVisible("#keys[open]"), press("?"), chromedp.WaitNotPresent("#keys[open]"), press("/"))
	if got := focus(); got != "q" {
		t.Errorf("/ leads to %q, not to the search box", got)
	}
	run(t, ctx, press(kb.Escape), press("j"))
	load(t, ctx, press("c"))
	if got := status(0); got.Status != index.StatusConfirmed || got.Assignee != "analyst" {
		t.Errorf("after c the first record is %s of %q", got.Status, got.Assignee)
	}
	load(t, ctx, press("u"))
	if got := status(0); got.Status == index.StatusConfirmed || got.Assignee == "analyst" {
		t.Errorf("after u the first record is still %s of %q", got.Status, got.Assignee)
	}
	run(t, ctx, chromedp.Navigate(ts.URL+"/"), press("j"), press("j"), press("k"), press("j"), press("x"))
	if got := focus(); got != "why1" {
		t.Fatalf("x leads to %q, not to the second record's reasons", got)
	}
	run(t, ctx, chromedp.SetValue("#why1", "quoted_news"))
	load(t, ctx, press(kb.Enter))
	if got := status(1); got.Status != index.StatusDismissed || got.Reason != "quoted_news" {
		t.Errorf("after x the second record is %s because of %q", got.Status, got.Reason)
	}
	if got := focus(); got != "n1" {
		t.Errorf("after a decision the focus is on %q, not where the next record came", got)
	}
	load(t, ctx, press("r"))
	if got := status(2); got.Status != index.StatusReviewing {
		t.Errorf("after r the third record is %s", got.Status)
	}
	load(t, ctx, press(kb.Enter))
	if got := value(t, ctx, chromedp.Location()); !strings.Contains(got, "/post/"+id(2)) {
		t.Errorf("Enter opens %s", got)
	}
}

// A key must not decide on a record that nobody has chosen, and / on a page
// without a search box must not turn the words typed after it into decisions.
func TestKeysDecideNothingUnseen(t *testing.T) {
	ctx := browser(t)
	store := seeded(t)
	ts := httptest.NewServer(newServer(t, store, nil))
	t.Cleanup(ts.Close)
	page, err := store.Search(t.Context(), index.Query{Text: defaultQuery, Sort: index.SortScore, Limit: 2})
	if err != nil || len(page.Hits) < 2 {
		t.Fatalf("the queue holds %d records (%v)", len(page.Hits), err)
	}
	// Forms are counted instead of sent; the count outlives the page.
	const count = `sessionStorage.sent = 0; addEventListener("submit", e => { e.preventDefault(); sessionStorage.sent++ }, true); 0`
	sent := func() int { return eval[int](t, ctx, "Number(sessionStorage.sent)") }
	for _, key := range []string{"c", "r", "x"} {
		run(t, ctx, chromedp.Navigate(ts.URL+"/"))
		eval[int](t, ctx, count)
		run(t, ctx, press(key))
		if n, row := sent(), eval[string](t, ctx, "document.activeElement.id"); n != 0 || row != "n0" || eval[bool](t, ctx, `!!document.querySelector("details.why[open]")`) {
			t.Errorf("%s on a fresh queue sent %d decisions and leads to %q", key, n, row)
		}
	}
	run(t, ctx, press("c"))
	if n := sent(); n != 1 {
		t.Errorf("c on the chosen row sent %d decisions", n)
	}
	run(t, ctx, chromedp.Navigate(ts.URL+"/post/"+page.Hits[1].Record.Post.ID))
	eval[int](t, ctx, count)
	load(t, ctx, press("/"), press("c"))
	if n, focus := sent(), eval[string](t, ctx, "document.activeElement.id"); n != 0 || focus != "q" {
		t.Errorf("/c on a post sent %d decisions and leads to %q", n, focus)
	}
}

func TestHostileRecordsRunNothing(t *testing.T) {
	ctx := browser(t)
	store := openStore(t)
	for i := range payloads {
		put(t, store, hostileRecord(i))
	}
	ts := httptest.NewServer(newServer(t, store, nil))
	t.Cleanup(ts.Close)
	for i := range payloads {
		plantTriage(t, ts.Client(), ts.URL, hostileRecord(i).Post.ID, payloads[i])
	}
	dialogs := watch(t, ctx)
	visit := func(address string) {
		t.Helper()
		run(t, ctx, chromedp.Navigate(address))
		// What only acts when touched is touched.
		eval[int](t, ctx, `document.querySelectorAll("*").forEach(e => { for (const k of ["mouseover","mouseenter","focus","toggle","load","error"]) e.dispatchEvent(new Event(k)) }); 0`)
		ran := eval[int](t, ctx, "window.pwned || 0")
		handlers := eval[int](t, ctx, `Array.from(document.querySelectorAll("*")).filter(e => e.getAttributeNames().some(n => n.startsWith("on"))).length + document.querySelectorAll("script:not([src]), iframe, object, embed, base, img, style").length`)
		links := eval[int](t, ctx, `Array.from(document.querySelectorAll("[href],[action],[formaction]")).filter(e => /^\s*(javascript|data|vbscript|file):/i.test(e.getAttribute("href")||e.getAttribute("action")||e.getAttribute("formaction")||"")).length`)
		if ran != 0 || handlers != 0 || links != 0 {
			t.Errorf("%s: %d scripts ran, %d foreign elements or handlers, %d script links", address, ran, handlers, links)
		}
	}
	for i := range payloads {
		visit(ts.URL + "/post/" + hostileRecord(i).Post.ID)
	}
	for _, p := range payloads {
		visit(ts.URL + "/?" + queryString("q", p))
		visit(ts.URL + "/audit?" + queryString("actor", p, "record", p))
	}
	for _, path := range []string{"/?q=", "/overview", "/audit", "/lang?to=en&back=javascript:pwned=1"} {
		visit(ts.URL + path)
	}
	if n := dialogs.Load(); n != 0 {
		t.Errorf("%d dialogs were opened", n)
	}
}
