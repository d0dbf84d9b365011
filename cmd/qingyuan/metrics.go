package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"qingyuan/crawler"
	"qingyuan/crawler/transport"
	"qingyuan/index"
	"qingyuan/post"
)

// crawlMetrics counts for Prometheus. Labels are sites, as configured, and
// short fixed lists; hosts and URLs never are, so that no site can grow the
// number of series. docs/metrics.md describes each. A nil *crawlMetrics counts
// nothing. It is safe for concurrent use.
type crawlMetrics struct {
	registry *prometheus.Registry

	requests       *prometheus.CounterVec
	requestTime    *prometheus.HistogramVec
	wireBytes      *prometheus.CounterVec
	decodedBytes   *prometheus.CounterVec
	pages          *prometheus.CounterVec
	pageTime       prometheus.Histogram
	pageErrors     *prometheus.CounterVec
	backOffs       *prometheus.CounterVec
	waits          *prometheus.CounterVec
	robots         *prometheus.CounterVec
	wallsMet       *prometheus.CounterVec
	refused        *prometheus.CounterVec
	linksRefused   *prometheus.CounterVec
	posts          *prometheus.CounterVec
	hits           *prometheus.CounterVec
	verdicts       *prometheus.CounterVec
	indexBatches   *prometheus.CounterVec
	indexBatchTime prometheus.Histogram
	indexRecords   prometheus.Counter
	indexQueue     prometheus.Gauge
	archived       prometheus.Counter
	archivedBytes  prometheus.Counter
	archiveTime    prometheus.Histogram
	webRequests    *prometheus.CounterVec
	webTime        *prometheus.HistogramVec

	byVerdict sync.Map // verdictKey → prometheus.Counter: looked up for each post
}

type verdictKey struct {
	category, stance string
	flagged          bool
}

// Buckets, in seconds: what goes over the network, and what is written here.
var (
	networkBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	diskBuckets    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

func newMetrics() *crawlMetrics {
	m := &crawlMetrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "qingyuan", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "qingyuan", Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	one := func(h *prometheus.HistogramVec) prometheus.Histogram {
		return h.WithLabelValues().(prometheus.Histogram)
	}
	m.requests = counter("http_requests_total", "Requests to sites, each step of a redirect by itself. code: class of the status, error for no answer, refused for those never sent.", "site", "kind", "code")
	m.requestTime = histogram("http_request_duration_seconds", "From the request to the last byte of the answer.", networkBuckets, "kind")
	m.wireBytes = counter("response_wire_bytes_total", "Bytes of bodies as received, robots.txt included.", "site")
	m.decodedBytes = counter("response_decoded_bytes_total", "Bytes of bodies after content decoding and conversion to UTF-8.", "site")
	m.pages = counter("pages_total", "Leased pages by what became of them: fetched, unchanged, retry, dead, gone, refused.", "site", "result")
	m.pageTime = one(histogram("page_duration_seconds", "From the lease of a page that was fetched to its acknowledgement: waiting, fetching, reading, judging, storing.", networkBuckets))
	m.pageErrors = counter("page_errors_total", "Failures of pages by class of reason.", "site", "class")
	m.backOffs = counter("host_backoffs_total", "Times a host was left alone, by class of reason.", "class")
	m.waits = counter("politeness_wait_seconds_total", "Time for which leased pages waited for their host's turn.", "site")
	m.robots = counter("robots_decisions_total", "Requests by what robots.txt says: allowed, denied, unavailable.", "site", "decision")
	m.wallsMet = counter("walls_met_total", "Pages in whose place a wall of the whole site came.", "site")
	m.refused = counter("pages_refused_total", "Leased pages not fetched, for a trap or a budget.", "site", "class")
	m.linksRefused = counter("links_refused_total", "Links and pages left out for a trap or a bound, each once for some time.", "site", "class")
	m.posts = counter("posts_total", "Posts judged and stored, by kind; a post that is read again counts again.", "site", "kind")
	m.hits = counter("flagged_posts_total", "Posts judged to be offers and stored; a post that is read again counts again.", "site")
	m.verdicts = counter("verdicts_total", "Verdicts by main category (none: without one), stance and whether flagged.", "category", "stance", "flagged")
	m.indexBatches = counter("index_batches_total", "Batches written to the index. result: ok or error.", "result")
	m.indexBatchTime = one(histogram("index_batch_duration_seconds", "Time to write one batch durably.", diskBuckets))
	m.indexRecords = counter("index_records_total", "Records written to the index.").WithLabelValues()
	m.archived = counter("archive_exchanges_total", "Exchanges appended durably to the archive.").WithLabelValues()
	m.archivedBytes = counter("archive_body_bytes_total", "Bytes of bodies appended to the archive, before compression.").WithLabelValues()
	m.archiveTime = one(histogram("archive_append_duration_seconds", "Time to append one exchange durably.", diskBuckets))
	m.webRequests = counter("web_requests_total", "Requests to the triage pages and the API, by route.", "route", "method", "code")
	m.webTime = histogram("web_request_duration_seconds", "Time to answer a request to the triage pages and the API.", diskBuckets, "route")
	m.indexQueue = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "qingyuan", Name: "index_queue_records", Help: "Records that wait to be durable in the index."})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "qingyuan", Name: "build_info", Help: "1, with the version."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.indexQueue, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler serves /metrics.
func (m *crawlMetrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// event takes one step of the crawl.
func (m *crawlMetrics) event(e crawler.Event) {
	if m == nil {
		return
	}
	switch e.Kind {
	case crawler.EventPage, crawler.EventUnchanged:
		result := "fetched"
		if e.Kind == crawler.EventUnchanged {
			result = "unchanged"
		}
		m.pages.WithLabelValues(e.Source, result).Inc()
		m.pageTime.Observe(e.Took.Seconds())
	case crawler.EventRetry, crawler.EventDead, crawler.EventGone:
		m.pages.WithLabelValues(e.Source, string(e.Kind)).Inc()
		m.pageErrors.WithLabelValues(e.Source, crawler.ReasonClass(e.Reason)).Inc()
	case crawler.EventRefused:
		m.pages.WithLabelValues(e.Source, "refused").Inc()
		m.refused.WithLabelValues(e.Source, crawler.ReasonClass(e.Reason)).Inc()
	case crawler.EventBackOff:
		m.backOffs.WithLabelValues(crawler.ReasonClass(e.Reason)).Inc()
	case crawler.EventWall:
		m.wallsMet.WithLabelValues(e.Source).Inc()
	}
}

// waited is for crawler.Options.OnWait.
func (m *crawlMetrics) waited(source string, d time.Duration) {
	if m != nil {
		m.waits.WithLabelValues(source).Add(d.Seconds())
	}
}

// leftOut is for crawler.Options.OnRefused.
func (m *crawlMetrics) leftOut(source, reason string) {
	if m != nil {
		m.linksRefused.WithLabelValues(source, crawler.ReasonClass(reason)).Inc()
	}
}

// body is for transport.Options.OnBody, before next.
func (m *crawlMetrics) body(next func(context.Context, *transport.Exchange) error) func(context.Context, *transport.Exchange) error {
	if m == nil {
		return next
	}
	return func(ctx context.Context, x *transport.Exchange) error {
		kind := "page"
		visit, _ := crawler.VisitOf(ctx)
		if x.Robots == nil {
			kind = "robots"
			m.requests.WithLabelValues(visit.Source, kind, codeClass(x.Status)).Inc()
		}
		m.requestTime.WithLabelValues(kind).Observe(x.Took.Seconds())
		m.wireBytes.WithLabelValues(visit.Source).Add(float64(len(x.Raw)))
		if next == nil {
			return nil
		}
		started := time.Now()
		if err := next(ctx, x); err != nil {
			return err
		}
		m.archiveTime.Observe(time.Since(started).Seconds())
		m.archived.Inc()
		m.archivedBytes.Add(float64(len(x.Raw)))
		return nil
	}
}

// meteredTransport counts what goes through a transport.
type meteredTransport struct {
	next http.RoundTripper
	m    *crawlMetrics
}

// transport counts the requests that next makes.
func (m *crawlMetrics) transport(next http.RoundTripper) http.RoundTripper {
	if m == nil {
		return next
	}
	return &meteredTransport{next: next, m: m}
}

// RoundTrip implements http.RoundTripper.
func (t *meteredTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	visit, _ := crawler.VisitOf(r.Context())
	resp, err := t.next.RoundTrip(r)
	code, decision := "error", "allowed"
	var (
		robots  *transport.RobotsError
		scope   *transport.ScopeError
		address *transport.AddressError
	)
	switch {
	case err == nil:
		code = codeClass(resp.StatusCode)
		t.m.decodedBytes.WithLabelValues(visit.Source).Add(float64(max(resp.ContentLength, 0)))
	case errors.As(err, &robots):
		code, decision = "refused", "denied"
		if robots.Decision.Temporary {
			decision = "unavailable"
		}
	case errors.As(err, &scope):
		code, decision = "refused", "" // robots.txt was not asked
	case errors.As(err, &address):
		code = "refused"
	}
	t.m.requests.WithLabelValues(visit.Source, "page", code).Inc()
	if decision != "" {
		t.m.robots.WithLabelValues(visit.Source, decision).Inc()
	}
	return resp, err
}

func codeClass(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status/100) + "xx"
}

// sink counts the posts that next takes.
func (m *crawlMetrics) sink(next crawler.Sink) crawler.Sink {
	if m == nil {
		return next
	}
	return func(ctx context.Context, posts []post.Post) error {
		m.indexQueue.Add(float64(len(posts)))
		defer m.indexQueue.Sub(float64(len(posts)))
		if err := next(ctx, posts); err != nil {
			return err
		}
		for i := 0; i < len(posts); { // most pages hold one run of one kind
			run := i + 1
			for run < len(posts) && posts[run].Kind == posts[i].Kind && posts[run].Source == posts[i].Source {
				run++
			}
			m.posts.WithLabelValues(posts[i].Source, string(posts[i].Kind)).Add(float64(run - i))
			i = run
		}
		return nil
	}
}

// judged counts a verdict that is durable.
func (m *crawlMetrics) judged(r index.Record) {
	if m == nil {
		return
	}
	category := "none"
	if len(r.Verdict.Categories) > 0 {
		category = r.Verdict.Categories[0].ID
	}
	key := verdictKey{category, string(r.Verdict.Stance), r.Verdict.Flagged}
	c, ok := m.byVerdict.Load(key)
	if !ok {
		c, _ = m.byVerdict.LoadOrStore(key, m.verdicts.WithLabelValues(key.category, key.stance, strconv.FormatBool(key.flagged)))
	}
	c.(prometheus.Counter).Inc()
	if r.Verdict.Flagged {
		m.hits.WithLabelValues(r.Post.Source).Inc()
	}
}

// meteredStore times the batches that are put into a store.
type meteredStore struct {
	index.Store
	m *crawlMetrics
}

// store times the batches of next.
func (m *crawlMetrics) store(next index.Store) index.Store {
	if m == nil {
		return next
	}
	return &meteredStore{Store: next, m: m}
}

// Put implements index.Store.
func (s *meteredStore) Put(ctx context.Context, recs []index.Record) error {
	started := time.Now()
	err := s.Store.Put(ctx, recs)
	s.m.indexBatchTime.Observe(time.Since(started).Seconds())
	if err != nil {
		s.m.indexBatches.WithLabelValues("error").Inc()
		return err
	}
	s.m.indexBatches.WithLabelValues("ok").Inc()
	s.m.indexRecords.Add(float64(len(recs)))
	return nil
}

// listenMetrics takes the address of -metrics: without a host it is that of
// loopback.
func listenMetrics(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, misusef("-metrics %q is no address to listen on; write host:port, such as 127.0.0.1:9686", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	return ln, nil
}

// serveMetrics serves nothing but /metrics until ctx ends.
func serveMetrics(ctx context.Context, ln net.Listener, m *crawlMetrics, logger *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	logger.Info("metrics are served", "address", "http://"+ln.Addr().String()+"/metrics")
	return servePages(ctx, ln, mux)
}
