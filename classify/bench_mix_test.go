package classify

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"qingyuan/post"
)

// mixPosts are the posts of testdata/bench: what a crawl brings, mostly
// innocent, one in seven an advert. size is their mean length in bytes.
func mixPosts(tb testing.TB) (posts []post.Post, size float64) {
	tb.Helper()
	f, err := os.Open("../testdata/bench/mix.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	total := 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var p post.Post
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil {
			tb.Fatal(err)
		}
		posts = append(posts, p)
		total += len(p.Title) + len(p.Text)
	}
	if err := sc.Err(); err != nil {
		tb.Fatal(err)
	}
	return posts, float64(total) / float64(len(posts))
}

// BenchmarkClassifyMix judges what a crawl brings; one operation is all the
// posts of testdata/bench.
func BenchmarkClassifyMix(b *testing.B) {
	posts, size := mixPosts(b)
	c := withModel(b)
	run := func() {
		for i := range posts {
			if _, err := c.Classify(posts[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	run() // loads the segmentation dictionary
	b.SetBytes(int64(size * float64(len(posts))))
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(len(posts)*b.N)/b.Elapsed().Seconds(), "posts/s")
	b.ReportMetric(size, "bytes/post")
}
