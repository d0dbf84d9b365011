package classify

import (
	"os"
	"strings"
	"testing"

	"qingyuan/post"
)

// labelledPosts are the held-out texts of at most n runes, as posts.
func labelledPosts(b *testing.B, atMost int) ([]post.Post, int64) {
	b.Helper()
	f, err := os.Open("../testdata/labelled/dev.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	texts, err := ReadLabelled("dev.jsonl", f)
	if err != nil {
		b.Fatal(err)
	}
	var posts []post.Post
	var bytes int64
	for _, l := range texts {
		if len([]rune(l.Text)) > atMost {
			continue
		}
		posts = append(posts, l.Post())
		bytes += int64(len(l.Title) + len(l.Text))
	}
	return posts, bytes / int64(len(posts))
}

// BenchmarkClassify judges forum posts of about 40 characters.
func BenchmarkClassify(b *testing.B) {
	posts, size := labelledPosts(b, 60)
	for name, c := range map[string]*Classifier{"rules": builtin(b), "model": withModel(b)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := c.Classify(posts[i%len(posts)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClassifyParallel is BenchmarkClassify on every core.
func BenchmarkClassifyParallel(b *testing.B) {
	posts, size := labelledPosts(b, 60)
	c := withModel(b)
	b.SetBytes(size)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := c.Classify(posts[i%len(posts)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkClassifyLength shows that time grows with the length of a text and
// no faster: compare MB/s.
func BenchmarkClassifyLength(b *testing.B) {
	c := withModel(b)
	unit := "逾期的朋友别慌，专业办理停息挂账，加微信 lvan_8866，先办后付。今天天气不错，去公园拍了几张照片。"
	for _, n := range []int{1, 10, 100, 1000, 6000} {
		text := strings.Repeat(unit, n)
		b.Run(sizeName(len(text)), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := c.Classify(post.Post{Text: text}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeName(n int) string {
	switch {
	case n < 1000:
		return "100B"
	case n < 10_000:
		return "1KB"
	case n < 100_000:
		return "10KB"
	case n < 500_000:
		return "100KB"
	}
	return "1MB"
}

// BenchmarkLoad builds a classifier from the built-in files.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := loadBuiltinModel(); err != nil {
			b.Fatal(err)
		}
	}
}
