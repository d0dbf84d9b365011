package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esutil"

	"qingyuan/index"
	"qingyuan/index/indextest"
)

// benchStore is a store over new indices; benchmarks need a server.
func benchStore(b *testing.B) *Store {
	b.Helper()
	address := os.Getenv("QINGYUAN_TEST_ELASTIC")
	if address == "" {
		b.Skip("QINGYUAN_TEST_ELASTIC is not set; make bench brings up a server")
	}
	opts := Options{Server: Server{URLs: []string{address}}, Prefix: fmt.Sprintf("bench-%d", time.Now().UnixNano()), Normalize: indextest.Normalize, Now: indextest.Now}
	if err := Setup(b.Context(), opts, func(string, string) {}); err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		if err := Drop(context.Background(), opts); err != nil {
			b.Error(err)
		}
	})
	return s
}

// benchOps are records as ready operations.
func benchOps(b *testing.B, s *Store, recs []index.Record) []op {
	b.Helper()
	ops := make([]op, len(recs))
	for i, r := range recs {
		c := insert(r.Canonical(), s.now())
		d, err := s.document(c.record, c.next)
		if err != nil {
			b.Fatal(err)
		}
		d.Qingyuan.Triage = newTriageDoc(index.Triage{Status: index.StatusNew})
		body, err := json.Marshal(d)
		if err != nil {
			b.Fatal(err)
		}
		ops[i] = op{action: "create", index: s.names.posts.write, id: r.Post.ID, body: body}
	}
	return ops
}

// BenchmarkBulk writes the same ready documents through our bulk writer and
// through the client's BulkIndexer, two requests at a time each and in turns,
// and reports the ratio of the medians; put is the whole of Put, from records.
func BenchmarkBulk(b *testing.B) {
	const docs = 4000
	recs := indextest.Posts(docs, 1)
	var took [3][]time.Duration
	round := 0
	for b.Loop() {
		for i := range took {
			which := (i + round) % len(took)
			s := benchStore(b)
			ops := benchOps(b, s, recs)
			start := time.Now()
			switch which {
			case 0:
				benchOwn(b, s, ops)
			case 1:
				benchIndexer(b, s, ops)
			case 2:
				benchPut(b, s, recs)
			}
			took[which] = append(took[which], time.Since(start))
		}
		round++
	}
	var medians [3]float64
	for i, list := range took {
		slices.Sort(list)
		medians[i] = docs / list[len(list)/2].Seconds()
	}
	b.ReportMetric(medians[0], "own-posts/s")
	b.ReportMetric(medians[1], "bulkindexer-posts/s")
	b.ReportMetric(medians[2], "put-posts/s")
	b.ReportMetric(medians[0]/medians[1], "own/bulkindexer")
}

func benchOwn(b *testing.B, s *Store, ops []op) {
	var wg sync.WaitGroup
	for half := range slices.Chunk(ops, len(ops)/2) {
		wg.Go(func() {
			if _, err := s.bulk(b.Context(), half); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

func benchIndexer(b *testing.B, s *Store, ops []op) {
	bi, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: s.c.es, Index: s.names.posts.write, NumWorkers: 2, FlushBytes: s.opts.BulkBytes})
	if err != nil {
		b.Fatal(err)
	}
	for _, o := range ops {
		if err := bi.Add(b.Context(), esutil.BulkIndexerItem{Action: "create", DocumentID: o.id, Body: bytes.NewReader(o.body)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := bi.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if n := bi.Stats().NumFailed; n > 0 {
		b.Fatalf("%d failed", n)
	}
}

func benchPut(b *testing.B, s *Store, recs []index.Record) {
	var wg sync.WaitGroup
	for half := range slices.Chunk(recs, len(recs)/2) {
		wg.Go(func() {
			for chunk := range slices.Chunk(half, 250) {
				if err := s.Put(b.Context(), chunk); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkSearch asks the same questions through the store and as raw queries
// for the same answer, in turn, and reports the 95th percentiles in
// milliseconds; added is what the store costs.
func BenchmarkSearch(b *testing.B) {
	size := 20_000
	if n, err := strconv.Atoi(os.Getenv("QINGYUAN_BENCH_RECORDS")); err == nil && n > 0 {
		size = n
	}
	s := benchStore(b)
	for chunk := range slices.Chunk(indextest.Posts(size, 1), 500) {
		if err := s.Put(b.Context(), chunk); err != nil {
			b.Fatal(err)
		}
	}
	for _, text := range [...]string{"", "flagged:true status:new", "停息挂账先做后付", "停息挂账 警方通报", "贷", "wechat:abc0042", "score>=0.9 -stance:report"} {
		b.Run(text, func(b *testing.B) {
			q := index.Query{Text: text}
			raw := rawQuery(b, s, text)
			var ours, theirs, added []time.Duration
			for b.Loop() {
				start := time.Now()
				if err := s.c.call(b.Context(), http.MethodPost, "/"+s.names.posts.read+"/_search", raw, nil); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
				end := time.Now()
				ours, theirs, added = append(ours, end.Sub(middle)), append(theirs, middle.Sub(start)), append(added, end.Sub(middle)-middle.Sub(start))
			}
			for name, list := range map[string][]time.Duration{"store-p95-ms": ours, "raw-p95-ms": theirs} {
				b.ReportMetric(p95(list), name)
			}
			b.ReportMetric(p95(ours)-p95(theirs), "added-p95-ms")
			slices.Sort(added)
			b.ReportMetric(float64(added[len(added)/2].Microseconds())/1000, "added-p50-ms")
		})
	}
}

func p95(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)*95/100].Microseconds()) / 1000
}

// rawQuery is what Search sends for the first page.
func rawQuery(b *testing.B, s *Store, text string) []byte {
	b.Helper()
	_, query, err := s.compile(text)
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(searchBody{Query: boolean("filter", query), Size: index.DefaultLimit + 1, Total: true, Source: true,
		Sort: []any{map[string]string{"qingyuan.micros.ingested": "desc"}, map[string]string{"event.id": "asc"}}})
	if err != nil {
		b.Fatal(err)
	}
	return body
}
