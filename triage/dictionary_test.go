package triage

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/index"
	"qingyuan/workbench"
)

// deskFiles are small dictionaries, so that building them is quick.
var deskFiles = map[string]string{
	"classes.yaml": "# 共用\nclasses:\n  - id: deal\n    any: [代办, 办理]  # 两个\n",
	"stance.yaml":  "cues:\n  - id: st-offer\n    stance: offer\n    any: [加微]\n    weight: 3\n    hit: [加微办理]\n    miss: [他说不要]\n",
	"demo.yaml": "category: demo\nname: {zh: 演示, en: Demo}\nseverity: low\nterms:\n  # 第一条\n  - {id: tingxi, text: 停息挂账, weight: 2.4}\n" +
		"rules:\n  - id: d-deal\n    any: [\"#tingxi\"]\n    all: [$deal]\n    weight: 2.0\n    hit: [停息挂账代办]\n    miss: [停息挂账是什么]\n",
}

// desk is a server with a workbench over a real folder.
type desk struct {
	*Server
	bench  *workbench.Bench
	folder string
	store  index.Store
	user   string
}

func newDesk(t testing.TB, change func(*workbench.Options)) *desk {
	t.Helper()
	d := &desk{folder: t.TempDir(), store: openStore(t), user: "ming"}
	for name, text := range deskFiles {
		d.write(t, name, text)
	}
	files := os.DirFS(d.folder)
	live, err := classify.NewLive(classify.LiveOptions{Load: func() (*classify.Classifier, error) { return classify.Load(files, nil) },
		Fingerprint: func() (string, error) { return classify.FolderFingerprint(files) }})
	if err != nil {
		t.Fatal(err)
	}
	opts := workbench.Options{Store: d.store, Files: files, Folder: d.folder, Data: t.TempDir(), Current: live.Classifier, Reload: func() { live.Reload() }, Now: clockNow,
		Build: func(x *classify.Dictionary) (*classify.Classifier, error) {
			return classify.New(classify.Options{Dictionary: x})
		},
		Posts: func(ctx context.Context, days int) iter.Seq2[classify.Sample, error] {
			return func(yield func(classify.Sample, error) bool) {
				index.Each(ctx, d.store, index.Query{}, func(r index.Record) error {
					offer, known := workbench.Decided(r.Triage)
					s := classify.Sample{Post: r.Post}
					if known {
						s.Truth = &classify.Truth{Flagged: offer}
					}
					if !yield(s, nil) {
						return context.Canceled
					}
					return nil
				})
			}
		}}
	if change != nil {
		change(&opts)
	}
	if d.bench, err = workbench.Open(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.bench.Close)
	d.Server = newServer(t, d.store, func(o *Options) {
		o.Dictionary, o.Language, o.User = d.bench, "en", func(*http.Request) string { return d.user }
		o.Categories = []classify.Category{{ID: "demo", Name: classify.Name{Zh: "演示", En: "Demo"}}}
	})
	return d
}

func (d *desk) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.folder, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// seen is what the page of drafts or versions would send back.
func (d *desk) seen(t *testing.T, path string) string {
	t.Helper()
	s, _ := document(t, ask(d, "GET", path, nil), 200).Find(`input[name="seen"]`).First().Attr("value")
	return s
}

// seedDesk puts posts judged by the dictionaries in use into the store.
func seedDesk(t *testing.T, d *desk) {
	t.Helper()
	var recs []index.Record
	for i, r := range seedRecords(t)[:12] {
		r.Post.Title, r.Post.Text = "", fmt.Sprintf("停息挂账代办，加微 desk%04d", i)
		if i >= 8 {
			r.Post.Text = fmt.Sprintf("专业闭店，加微 desk%04d", i)
		}
		r.IngestedAt = clock
		v, err := d.bench.Classifier().Classify(r.Post)
		if err != nil {
			t.Fatal(err)
		}
		r.Verdict = v
		recs = append(recs, r)
	}
	put(t, d.store, recs...)
	for i, c := range []index.TriageChange{{Actor: "mei", Status: index.StatusConfirmed}, {Actor: "mei", Status: index.StatusConfirmed}, {Actor: "mei", Status: index.StatusDismissed, Reason: "quoted_news"}, {Actor: "mei", Status: index.StatusDismissed, Reason: "duplicate"}} {
		if _, err := d.store.Triage(t.Context(), recs[i].Post.ID, 0, c); err != nil {
			t.Fatal(err)
		}
	}
}

func termForm(id, text, weight string) url.Values {
	return url.Values{"kind": {"term"}, "category": {"demo"}, "id": {id}, "f.id": {id}, "f.text": {text}, "f.weight": {weight}, "do": {"save"}}
}

func TestDictionaryCountsWhatEntriesDid(t *testing.T) {
	d := newDesk(t, nil)
	seedDesk(t, d)
	doc := document(t, ask(d, "GET", "/dictionary?kind=term", nil), 200)
	row := strings.Join(strings.Fields(doc.Find("table.dict tbody tr").Text()), " ")
	if !strings.Contains(row, "停息挂账") || !strings.HasSuffix(row, "882167%") {
		t.Errorf("the term's row is %q, want 8 posts, 8 hits, 2 confirmed, 1 dismissed, 67%%", row)
	}
	doc = document(t, ask(d, "GET", "/dictionary/entry?kind=rule&category=demo&id=d-deal", nil), 200)
	if n := doc.Find("#did a[href^='/post/']").Length(); n != 3 {
		t.Errorf("%d decided posts are shown, want 3", n)
	}
	if n := document(t, ask(d, "GET", "/dictionary?q=%E5%81%9C%E6%81%AF", nil), 200).Find("table.dict tbody tr").Length(); n != 2 {
		t.Errorf("%d entries hold 停息, want the term and the rule whose examples do", n)
	}
}

func TestDictionaryEditIsTriedPublishedAndRolledBack(t *testing.T) {
	d := newDesk(t, nil)
	seedDesk(t, d)
	before := d.read(t, "demo.yaml")
	form := termForm("", "闭店", "2.4")
	form.Set("new", "1")
	form.Set("f.id", "bidian")
	form.Set("do", "check")
	form.Set("text", "专业闭店，加微 desk0001")
	doc := document(t, ask(d, "POST", "/dictionary/entry", form), 200)
	if doc.Find("#trial.good").Length() != 1 || doc.Find("#now .flag.yes").Length() != 0 || doc.Find("#with .flag.yes").Length() != 1 {
		t.Fatalf("the edit was not tried: %s", doc.Find("#trial, #now, #with").Text())
	}
	form.Set("do", "save")
	if w := ask(d, "POST", "/dictionary/entry", form); w.Code != http.StatusSeeOther {
		t.Fatalf("saving: %d %s", w.Code, w.Body)
	}
	if d.read(t, "demo.yaml") != before {
		t.Fatal("a draft writes to the folder")
	}
	if w := ask(d, "POST", "/dictionary/backtest", url.Values{"over": {"7"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("starting a dry run: %d", w.Code)
	}
	doc = d.afterRun(t, "/dictionary/draft")
	if got := doc.Find(".dtabs .num").Text(); got != "1" {
		t.Errorf("the tab counts %q edits", got)
	}
	if got := doc.Find("#run h3").First().Text(); !strings.Contains(got, "+4") || doc.Find("#g-flagged a[href^='/post/']").Length() != 4 {
		t.Errorf("the dry run says %q", got)
	}
	seen := d.seen(t, "/dictionary/draft")
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"publish"}, "seen": {seen}}); w.Code != http.StatusConflict || d.read(t, "demo.yaml") != before {
		t.Errorf("published without a note: %d", w.Code)
	}
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"publish"}, "seen": {seen}, "note": {"新黑话"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("publishing: %d %s", w.Code, w.Body)
	}
	want := strings.Replace(before, "weight: 2.4}\n", "weight: 2.4}\n  - {id: bidian, text: 闭店, weight: 2.4}\n", 1)
	if got := d.read(t, "demo.yaml"); got != want {
		t.Fatalf("the file is\n%s", got)
	}
	if v, _ := d.bench.Classifier().Classify(seedPost("专业闭店，加微 desk0001")); !v.Flagged {
		t.Error("the new version is not in use")
	}
	if w := ask(d, "POST", "/dictionary/rollback", url.Values{"version": {"1"}, "seen": {"stale"}, "note": {"误报"}}); w.Code != http.StatusConflict {
		t.Errorf("rolled back what nobody looked at: %d", w.Code)
	}
	doc = document(t, ask(d, "GET", "/dictionary/diff?from=1&to=now", nil), 200)
	if !strings.Contains(doc.Find(".deltas").Text(), "bidian") {
		t.Errorf("the difference is %q", doc.Find("main").Text())
	}
	if w := ask(d, "POST", "/dictionary/rollback", url.Values{"version": {"1"}, "seen": {d.seen(t, "/dictionary/versions")}, "note": {"误报太多"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("rolling back: %d %s", w.Code, w.Body)
	}
	if got := d.read(t, "demo.yaml"); got != before {
		t.Errorf("after rolling back the file is\n%s", got)
	}
	rows, err := d.store.Audit(t.Context(), "", 0, 10)
	if err != nil || len(rows) < 2 || rows[0].Action != "dictionary_rollback" || rows[0].Note != "误报太多" || rows[1].Action != "dictionary_publish" || rows[1].Actor != "ming" {
		t.Errorf("the trail holds %+v (%v)", rows, err)
	}
	if n := document(t, ask(d, "GET", "/dictionary/versions", nil), 200).Find(".versions > li").Length(); n != 3 {
		t.Errorf("%d versions", n)
	}
}

func TestDictionaryMistakesAreRefused(t *testing.T) {
	d := newDesk(t, nil)
	before := d.read(t, "demo.yaml")
	form := url.Values{"kind": {"rule"}, "category": {"demo"}, "id": {"d-deal"}, "f.id": {"d-deal"}, "f.any": {"#tingxi"}, "f.weight": {"2"}, "f.hit": {"与它无关"}, "f.miss": {"停息挂账"}, "do": {"save"}}
	doc := document(t, ask(d, "POST", "/dictionary/entry", form), http.StatusUnprocessableEntity)
	if doc.Find("#trial .exs .gone").Length() != 2 || !strings.Contains(doc.Find("#trial").Text(), "demo.yaml") {
		t.Errorf("the page says %q", doc.Find("#trial").Text())
	}
	form.Set("do", "keep")
	if w := ask(d, "POST", "/dictionary/entry", form); w.Code != http.StatusSeeOther {
		t.Fatalf("keeping: %d", w.Code)
	}
	w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"publish"}, "seen": {d.seen(t, "/dictionary/draft")}, "note": {"x"}})
	if doc := document(t, w, http.StatusConflict); doc.Find(".mistakes li").Length() == 0 || d.read(t, "demo.yaml") != before {
		t.Error("mistakes were published")
	}
}

func TestDictionaryConflictWithAHandEdit(t *testing.T) {
	d := newDesk(t, nil)
	if w := ask(d, "POST", "/dictionary/entry", termForm("tingxi", "停息挂账", "1.9")); w.Code != http.StatusSeeOther {
		t.Fatalf("saving: %d %s", w.Code, w.Body)
	}
	second := termForm("", "铲单", "2")
	second.Set("new", "1")
	second.Set("f.id", "chandan")
	if w := ask(d, "POST", "/dictionary/entry", second); w.Code != http.StatusSeeOther {
		t.Fatalf("saving: %d %s", w.Code, w.Body)
	}
	seen := d.seen(t, "/dictionary/draft")
	byHand := strings.Replace(d.read(t, "demo.yaml"), "weight: 2.4", "weight: 1.2", 1)
	d.write(t, "demo.yaml", byHand)
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"publish"}, "seen": {seen}, "note": {"x"}}); w.Code != http.StatusConflict || d.read(t, "demo.yaml") != byHand {
		t.Fatalf("published over an edit by hand: %d", w.Code)
	}
	doc := document(t, ask(d, "GET", "/dictionary/draft", nil), 200)
	if got := doc.Find("#conflict").Text(); !strings.Contains(got, "tingxi") || doc.Find(`#conflict input[name="keep"]`).Length() != 1 {
		t.Errorf("the conflict is shown as %q", got)
	}
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"rebase"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("taking up: %d", w.Code)
	}
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"publish"}, "seen": {d.seen(t, "/dictionary/draft")}, "note": {"x"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("publishing: %d %s", w.Code, w.Body)
	}
	if got := d.read(t, "demo.yaml"); !strings.Contains(got, "weight: 1.2") || !strings.Contains(got, "铲单") {
		t.Errorf("the file is\n%s", got)
	}
	if v, err := d.bench.Version(1); err != nil || v.By != workbench.ByHand || !strings.Contains(string(v.Files["demo.yaml"]), "1.2") {
		t.Errorf("the edit by hand is not kept: %v", err)
	}
}

func TestDictionaryFourEyes(t *testing.T) {
	d := newDesk(t, func(o *workbench.Options) { o.FourEyes = true })
	if w := ask(d, "POST", "/dictionary/entry", termForm("tingxi", "停息挂账", "1.9")); w.Code != http.StatusSeeOther {
		t.Fatal(w.Code)
	}
	seen := d.seen(t, "/dictionary/draft")
	publish := url.Values{"do": {"publish"}, "author": {"ming"}, "seen": {seen}, "note": {"降权"}}
	if w := ask(d, "POST", "/dictionary/draft", publish); w.Code != http.StatusConflict {
		t.Errorf("published his own: %d", w.Code)
	}
	d.user = "bo"
	if w := ask(d, "POST", "/dictionary/draft", publish); w.Code != http.StatusConflict && w.Code != http.StatusNotFound {
		t.Errorf("published what was not submitted: %d", w.Code)
	}
	if w := ask(d, "GET", "/dictionary/draft?of=ming", nil); w.Code != http.StatusNotFound {
		t.Errorf("shows a draft that was not submitted: %d", w.Code)
	}
	d.user = "ming"
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"submit"}, "note": {"降权"}}); w.Code != http.StatusSeeOther {
		t.Fatal(w.Code)
	}
	d.user = "bo"
	if n := document(t, ask(d, "GET", "/dictionary/draft", nil), 200).Find("#others a").Length(); n != 1 {
		t.Errorf("%d drafts wait", n)
	}
	if w := ask(d, "POST", "/dictionary/draft", publish); w.Code != http.StatusSeeOther {
		t.Fatalf("approving: %d %s", w.Code, w.Body)
	}
	if v, err := d.bench.Version(2); err != nil || v.Author != "ming" || v.ApprovedBy != "bo" || !strings.Contains(d.read(t, "demo.yaml"), "1.9") {
		t.Errorf("version 2 is %+v (%v)", v, err)
	}
}

func TestDictionaryOfTheProgramIsReadOnly(t *testing.T) {
	d := newDesk(t, func(o *workbench.Options) { o.Folder, o.Files = "", dictionaries.FS })
	doc := document(t, ask(d, "GET", "/dictionary", nil), 200)
	if doc.Find("#readonly").Length() != 1 || doc.Find("a[href^='/dictionary/entry?kind=term&category=&id=']").Length() != 0 {
		t.Error("nothing says that it is read only")
	}
	if w := ask(d, "POST", "/dictionary/entry", termForm("", "新词", "1")); w.Code != http.StatusConflict && w.Code != http.StatusUnprocessableEntity {
		t.Errorf("an edit: %d", w.Code)
	}
	if w := ask(newServer(t, openStore(t), nil), "GET", "/dictionary", nil); w.Code != http.StatusNotFound {
		t.Errorf("without a workbench: %d", w.Code)
	}
}

// What stands in the files and in forms is never markup.
func TestDictionaryShowsHostileEntriesAsText(t *testing.T) {
	d := newDesk(t, nil)
	evil := `<script>alert(1)</script>"><img src=x onerror=alert(1)>`
	d.write(t, "demo.yaml", deskFiles["demo.yaml"]+"exceptions:\n  - id: d-x\n    name: {zh: '"+evil+"', en: '"+evil+"'}\n    note: '"+evil+"'\n    any: [不办]\n    weight: -1\n    hit: ['不办"+evil+"']\n    miss: [办]\n")
	form := url.Values{"kind": {"term"}, "category": {"demo"}, "new": {"1"}, "f.id": {evil}, "f.text": {"注入"}, "f.note": {evil + "\n- {id: planted, text: 植入, weight: 1}"}, "f.weight": {"1"}, "do": {"keep"}, "text": {evil}}
	if w := ask(d, "POST", "/dictionary/entry", form); w.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	form.Set("f.id", evil+"2")
	form.Set("do", "check")
	for name, w := range map[string]*httptest.ResponseRecorder{"list": ask(d, "GET", "/dictionary?q="+url.QueryEscape(evil), nil), "draft": ask(d, "GET", "/dictionary/draft?done="+url.QueryEscape(evil), nil), "check": ask(d, "POST", "/dictionary/entry", form),
		"entry": ask(d, "GET", "/dictionary/entry?kind=exception&category=demo&id=d-x", nil), "try": ask(d, "POST", "/dictionary/try", url.Values{"text": {evil}, "source_type": {evil}})} {
		if doc := document(t, w, 200); doc.Find("script:not([src]), img").Length() != 0 {
			t.Errorf("%s: markup of an entry is markup of the page", name)
		}
	}
	if w := ask(d, "POST", "/dictionary/draft", url.Values{"do": {"publish"}, "seen": {d.seen(t, "/dictionary/draft")}, "note": {evil}}); w.Code != http.StatusSeeOther {
		t.Fatalf("publishing: %d %s", w.Code, w.Body)
	}
	if _, ok := d.bench.Classifier().Dictionary().Category("demo"); !ok || strings.Contains(document(t, ask(d, "GET", "/dictionary?q=planted&kind=term", nil), 200).Find("table.dict a").Text(), "植入") {
		t.Error("a note became an entry")
	}
	if doc := document(t, ask(d, "GET", "/dictionary/versions", nil), 200); doc.Find("script:not([src]), img").Length() != 0 {
		t.Error("a note of a version is markup")
	}
	for _, path := range []string{"/dictionary/entry?kind=evil", "/dictionary/entry?kind=term&category=demo&id=none", "/dictionary/diff?from=../../x&to=now", "/dictionary/diff?from=99&to=now", "/dictionary/draft?of=nobody"} {
		if w := ask(d, "GET", path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// The whole way in a browser: look, change, check, publish.
func TestDictionaryInTheBrowser(t *testing.T) {
	ctx := browser(t)
	d := newDesk(t, nil)
	seedDesk(t, d)
	ts := httptest.NewServer(d)
	t.Cleanup(ts.Close)
	cookies(t, ctx, ts.URL, "en", "light")
	run(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(ts.URL+"/dictionary"))
	load(t, ctx, chromedp.Click(`a[href*="id=tingxi"]`))
	run(t, ctx, chromedp.SetValue(`[name="f.weight"]`, "1.7"), chromedp.SetValue("#text", "停息挂账代办，加微 desk0001"))
	load(t, ctx, chromedp.Click(`button[value="check"]`))
	if !eval[bool](t, ctx, `!!document.querySelector("#trial.good") && !!document.querySelector("#with .flag.yes")`) {
		t.Fatalf("the check says %s", eval[string](t, ctx, "document.body.innerText"))
	}
	d.shoot(t, ctx, ts.URL, "checked", "")
	run(t, ctx, chromedp.EmulateViewport(1280, 900))
	load(t, ctx, chromedp.Click(`button[value="save"]`))
	load(t, ctx, chromedp.Click(`#run button`))
	d.afterRun(t, "/dictionary/draft")
	for _, p := range []struct{ name, path string }{{"list", "/dictionary"}, {"entry", "/dictionary/entry?kind=rule&category=demo&id=d-deal"}, {"draft", "/dictionary/draft"}, {"suggest", "/dictionary/suggest"}, {"try", "/dictionary/try"}} {
		d.shoot(t, ctx, ts.URL, p.name, p.path)
	}
	run(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(ts.URL+"/dictionary/draft"), chromedp.SetValue("#note", "weigh it less"))
	load(t, ctx, chromedp.Click(`button[value="publish"]`))
	if !strings.Contains(d.read(t, "demo.yaml"), "1.7") || eval[int](t, ctx, `document.querySelectorAll(".versions > li").length`) != 2 {
		t.Errorf("publishing leads to %s", eval[string](t, ctx, "document.body.innerText"))
	}
	d.shoot(t, ctx, ts.URL, "versions", "/dictionary/versions")
	d.shoot(t, ctx, ts.URL, "diff", "/dictionary/diff?from=1&to=2")
}
