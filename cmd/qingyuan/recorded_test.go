package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qingyuan/classify"
	"qingyuan/crawler"
	"qingyuan/post"
)

// TestRecordedNewsIsNotFlagged judges real articles on fraud, data trade and
// crackdowns, extracted by the configs that are shipped.
func TestRecordedNewsIsNotFlagged(t *testing.T) {
	dir := os.Getenv("QINGYUAN_PAGES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "pages")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recorded pages at %s; set QINGYUAN_PAGES to their folder", dir)
	}
	classifier, err := openClassifier(defaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	judge := func(name string, p post.Post, want classify.Stance) {
		v, err := classifier.Classify(p)
		if err != nil {
			t.Fatal(err)
		}
		if v.Flagged || want != "" && v.Stance != want {
			t.Errorf("%s: flagged %v, stance %s, score %.2f", name, v.Flagged, v.Stance, v.Score)
		}
	}
	for _, name := range []string{"mps_crackdown_2025-12.txt", "two_departments_2025-03.txt"} {
		text, err := os.ReadFile(filepath.Join(dir, "news", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{"news", ""} {
			judge(name, post.Post{Text: string(text), SourceType: source}, classify.StanceReport)
		}
	}
	src := readSite(t, "../../configs/sites/news-article.yaml")
	pages, err := filepath.Glob(filepath.Join(dir, "news", "*.html"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no recorded articles: %v", err)
	}
	for _, file := range pages {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page, err := crawler.SavedPage(src, filepath.Base(file), raw, "https://www.example.com/a/1.html")
		if err != nil {
			t.Fatal(err)
		}
		x, err := src.Extract(page)
		if err != nil || len(x.Posts) == 0 {
			t.Fatalf("%s: %d posts, %v", file, len(x.Posts), err)
		}
		for _, p := range x.Posts {
			judge(filepath.Base(file), p, "")
		}
	}
}

func readSite(t *testing.T, file string) *crawler.Source {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := crawler.ReadSource(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestCheckNamesEveryMistakeAtOnce(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config := write("qingyuan.yaml", "adress: 127.0.0.1:1\nlanguage: fr\ncrawl:\n  workers: many\n")
	write("sites/a.yaml", "name: a\nseeds: [\"https://a.example/\"]\npages:\n  - {name: p, match: '(', follow: [{select: 'a[['}]}\n")
	write("dict/cashout.yaml", "category: cashout\nname: {zh: 套现, en: Cash-out}\nseverity: medium\nterms:\n  - {text: 套现, wieght: 2}\n")
	out, _, code := runCommand(t, "", "check", "-config", config, "-sites", filepath.Join(dir, "sites"), "-dict", filepath.Join(dir, "dict"))
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{"qingyuan.yaml:1: adress: unknown key", "qingyuan.yaml:2: language", "qingyuan.yaml:4:", "a.yaml:4:", "cashout.yaml:5: wieght"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
