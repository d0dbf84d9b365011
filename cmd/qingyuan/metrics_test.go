package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"qingyuan/crawler"
	"qingyuan/index"
	"qingyuan/post"
)

// scrape reads metrics as Prometheus does.
func scrape(t *testing.T, url string) (families map[string]*dto.MetricFamily, text string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scraping: %d, %v\n%s", resp.StatusCode, err, data)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err = parser.TextToMetricFamilies(strings.NewReader(string(data)))
	if err != nil {
		t.Fatalf("the metrics do not parse: %v\n%s", err, data)
	}
	return families, string(data)
}

// sum adds the values of a family whose labels have what is given in pairs.
func sum(families map[string]*dto.MetricFamily, name string, pairs ...string) (total float64) {
	for _, m := range families[name].GetMetric() {
		fits := true
		for i := 0; i < len(pairs); i += 2 {
			found := false
			for _, l := range m.GetLabel() {
				found = found || l.GetName() == pairs[i] && l.GetValue() == pairs[i+1]
			}
			fits = fits && found
		}
		if !fits {
			continue
		}
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return total
}

// crawlTown crawls the demo's town with all that watches a crawl, and scrapes it.
func crawlTown(t *testing.T) (s crawler.Summary, hits int, families map[string]*dto.MetricFamily, text string) {
	t.Helper()
	c := defaultConfig()
	c.Data, c.Crawl.Tries = t.TempDir(), demoTries
	logger := slog.New(slog.DiscardHandler)
	town, _, err := startTown(t.Context(), c.Data, logger)
	if err != nil {
		t.Fatal(err)
	}
	defer town.Close()
	sources, err := townSources(town)
	if err != nil {
		t.Fatal(err)
	}
	w, err := observe(observeOptions{config: c, logger: logger, sources: sources, metricsAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	seen := newCounter()
	p, err := openPipeline(t.Context(), c, pipelineOptions{sources: sources, logger: logger, onEvent: w.watch.event, metrics: w.metrics,
		onHit: func(r index.Record) { seen.add(r); w.watch.hit(r) }, backoff: crawler.Backoff{Base: 10 * time.Millisecond, Max: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	w.crawls(p)
	w.begin(t.Context(), io.Discard, nil)
	s, err = p.crawler.Run(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	families, text = scrape(t, "http://"+w.listener.Addr().String()+"/metrics")
	st, err := w.snapshot(t.Context())
	if err != nil || st.Total.Fetched != s.Pages+s.NotModified || st.Total.Posts != s.Posts || st.Total.Hits != seen.total() || st.Total.Leased != 0 || st.Total.Queued != 0 {
		t.Errorf("the watch counts %+v (%v), the crawl %d pages, %d posts, %d hits", st.Total, err, s.Pages, s.Posts, seen.total())
	}
	if err := w.end(nil); err != nil {
		t.Error(err)
	}
	return s, seen.total(), families, text
}

func TestMetricsAgreeWithTheCrawl(t *testing.T) {
	s, hits, families, text := crawlTown(t)
	dead := 0
	for name, per := range s.PerSource {
		dead += per.Dead
		if got := sum(families, "qingyuan_pages_total", "site", name, "result", "fetched"); got != float64(per.Pages) {
			t.Errorf("%s: %v pages in the metrics, %d in the summary", name, got, per.Pages)
		}
		if got := sum(families, "qingyuan_posts_total", "site", name); got != float64(per.Posts) {
			t.Errorf("%s: %v posts in the metrics, %d in the summary", name, got, per.Posts)
		}
	}
	all := func(name string, pairs ...string) float64 { return sum(families, name, pairs...) }
	for what, c := range map[string]struct{ got, want float64 }{
		"pages":                  {all("qingyuan_pages_total", "result", "fetched"), float64(s.Pages)},
		"unchanged":              {all("qingyuan_pages_total", "result", "unchanged"), float64(s.NotModified)},
		"given up":               {all("qingyuan_pages_total", "result", "dead") + all("qingyuan_pages_total", "result", "gone"), float64(dead)},
		"failures":               {all("qingyuan_page_errors_total"), all("qingyuan_pages_total", "result", "dead") + all("qingyuan_pages_total", "result", "gone") + all("qingyuan_pages_total", "result", "retry")},
		"page times":             {all("qingyuan_page_duration_seconds"), float64(s.Pages + s.NotModified)},
		"posts":                  {all("qingyuan_posts_total"), float64(s.Posts)},
		"verdicts":               {all("qingyuan_verdicts_total"), float64(s.Posts)},
		"flagged":                {all("qingyuan_verdicts_total", "flagged", "true"), all("qingyuan_flagged_posts_total")},
		"index records":          {all("qingyuan_index_records_total"), float64(s.Posts)},
		"index batches":          {all("qingyuan_index_batch_duration_seconds"), all("qingyuan_index_batches_total", "result", "ok")},
		"archived":               {all("qingyuan_archive_append_duration_seconds"), all("qingyuan_archive_exchanges_total")},
		"requests on the wire":   {all("qingyuan_http_request_duration_seconds"), all("qingyuan_archive_exchanges_total")},
		"queue at the end":       {all("qingyuan_frontier_tasks", "state", "queued") + all("qingyuan_index_queue_records"), 0},
		"frontier":               {all("qingyuan_frontier_up"), 1},
		"dead letters":           {all("qingyuan_frontier_tasks", "state", "dead"), float64(dead)},
		"walls":                  {all("qingyuan_walls"), 0},
		"nothing put twice":      {all("qingyuan_index_batches_total", "result", "error"), 0},
		"robots, one a decision": {all("qingyuan_robots_decisions_total"), all("qingyuan_http_requests_total", "kind", "page")},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if got := all("qingyuan_verdicts_total", "flagged", "true"); got < float64(hits) || hits == 0 {
		t.Errorf("%v flagged verdicts, %d distinct hits", got, hits)
	}
	for _, name := range []string{"qingyuan_response_wire_bytes_total", "qingyuan_response_decoded_bytes_total", "qingyuan_archive_body_bytes_total", "qingyuan_storage_bytes", "go_goroutines", "process_start_time_seconds", "qingyuan_last_hit_timestamp_seconds"} {
		if all(name) <= 0 {
			t.Errorf("%s is %v", name, all(name))
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("names: %v, %v", problems, err)
	}
	// No site can grow the number of series: hosts and URLs are no labels.
	if strings.Contains(text, "127.0.0.1") || strings.Contains(text, "http://") {
		t.Error("a host or a URL stands among the labels")
	}
	for name, f := range families {
		if n := len(f.GetMetric()); n > 150 {
			t.Errorf("%s has %d series", name, n)
		}
	}
}

// The pages count by route, so that what visitors make up makes no series.
func TestWebMetricsHaveFewRoutes(t *testing.T) {
	c := defaultConfig()
	c.Data = t.TempDir()
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m := newMetrics()
	board := newStatusBoard(c, slog.New(slog.DiscardHandler), "frontier.db", nil, nil, []*crawler.Source{})
	board.store, board.metrics = store, m.handler()
	pages := &livePages{logger: slog.New(slog.DiscardHandler), board: board}
	if err := pages.open(c, store, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	h := m.web(pages)
	for i := range 50 {
		visit(h, http.MethodGet, "/post/"+strconv.Itoa(i))
		visit(h, http.MethodGet, "/no-such-page-"+strconv.Itoa(i))
		visit(h, "BREW"+strconv.Itoa(i), "/status")
	}
	if resp := visit(h, http.MethodGet, "/status"); resp.StatusCode != http.StatusOK {
		t.Errorf("/status answers %d", resp.StatusCode)
	}
	ts := httptest.NewServer(h)
	defer ts.Close()
	families, _ := scrape(t, ts.URL+"/metrics")
	if got := sum(families, "qingyuan_web_requests_total", "route", "GET /post/{id}", "code", "404", "method", "GET"); got != 50 {
		t.Errorf("%v posts that are not there, want 50", got)
	}
	if n := len(families["qingyuan_web_requests_total"].GetMetric()); n > 6 {
		t.Errorf("%d series of requests", n)
	}
}

func TestMetricsListenOnLoopbackUnlessTold(t *testing.T) {
	for addr, want := range map[string]string{":0": "127.0.0.1:", "127.0.0.1:0": "127.0.0.1:", "[::]:0": "[::]:"} {
		ln, err := listenMetrics(addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := ln.Addr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("-metrics %s listens on %s", addr, got)
		}
		ln.Close()
	}
	var m misuse
	if _, err := listenMetrics("9686"); !errors.As(err, &m) {
		t.Errorf("-metrics 9686: %v, want misuse", err)
	}
}

// What is counted on the way of a page must cost next to nothing beside it.
func BenchmarkMetricsPage(b *testing.B) {
	m, w := newMetrics(), newCrawlWatch()
	sink := m.sink(func(context.Context, []post.Post) error { return nil })
	posts := make([]post.Post, 20)
	for i := range posts {
		posts[i] = post.Post{ID: strconv.Itoa(i), Source: "bbs", Kind: post.KindComment}
	}
	e := crawler.Event{Kind: crawler.EventPage, At: time.Now(), Source: "bbs", Posts: len(posts), Took: time.Second}
	for b.Loop() {
		m.event(e)
		w.event(e)
		sink(b.Context(), posts) //nolint:errcheck // it has none
		for _, p := range posts {
			m.judged(index.Record{Post: p})
		}
	}
}
