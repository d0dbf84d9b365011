package workbench

import (
	"fmt"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/index"
	"qingyuan/index/sqlite"
	"qingyuan/post"
)

// BenchmarkStatistics counts over records of a real verdict each; ns/op is one
// pass over all.
func BenchmarkStatistics(b *testing.B) {
	const records = 10_000
	store, err := sqlite.Open(b.Context(), sqlite.Options{Path: b.TempDir() + "/index.db", Normalize: classify.Normalize})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	c, err := classify.Load(dictionaries.FS, nil)
	if err != nil {
		b.Fatal(err)
	}
	var recs []index.Record
	for i := range records {
		p := post.Post{ID: post.NewID("bench", fmt.Sprint(i)), Source: "bench", Kind: post.KindPost, URL: fmt.Sprintf("https://bbs.example/%d", i), FetchedAt: time.Now(),
			Text: fmt.Sprintf("第%d条：专业团队办理停息挂账、协商分期，最长60期，不上门不爆通讯录。先办理后付费，加微：bench_%d", i, i)}
		v, err := c.Classify(p)
		if err != nil {
			b.Fatal(err)
		}
		if recs = append(recs, index.Record{Post: p, Verdict: v}); len(recs) == 500 {
			if err := store.Put(b.Context(), recs); err != nil {
				b.Fatal(err)
			}
			recs = recs[:0]
		}
	}
	bench := &Bench{opts: Options{Store: store}, now: time.Now, ctx: b.Context()}
	b.ReportAllocs()
	for b.Loop() {
		run := &counting{stats: Statistics{counts: map[Ref]*Count{}}, ended: make(chan struct{})}
		bench.stats = statistics{done: map[int]Statistics{}, running: map[int]*counting{}}
		bench.count(run, 7)
		if run.stats.Records != records {
			b.Fatalf("%d records, %s", run.stats.Records, run.stats.Problem)
		}
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
