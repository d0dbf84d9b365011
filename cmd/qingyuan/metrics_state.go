package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"qingyuan/triage"
)

// stateMetrics are read when they are asked for: what the frontier, the walls
// and the disk say.
type stateMetrics struct {
	status func(context.Context) (triage.Status, error)
	sizes  func() []triage.Storage // nil: not told

	up, tasks, hosts, walls, lastStart, hitAt, fetchAt, storage, files *prometheus.Desc
}

// scrapeTime bounds how long a scrape may wait for the frontier.
const scrapeTime = 5 * time.Second

// watchState adds the state that status and sizes tell of.
func (m *crawlMetrics) watchState(c config, status func(context.Context) (triage.Status, error), sizes func() []triage.Storage) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("qingyuan_"+name, help, labels, nil)
	}
	m.registry.MustRegister(&stateMetrics{
		status: status, sizes: sizes,
		up:        desc("frontier_up", "1 when the frontier answers."),
		tasks:     desc("frontier_tasks", "Tasks of the frontier by state: queued, not_due, leased, dead.", "site", "state"),
		hosts:     desc("hosts", "Hosts in work or with work, by what they wait for.", "waiting"),
		walls:     desc("walls", "Walls that stand before a site; 0 when it lets us in.", "site"),
		lastStart: desc("frontier_last_start_timestamp_seconds", "When a page was last handed out, by any process; 0 for never."),
		hitAt:     desc("last_hit_timestamp_seconds", "When the crawl of this process last found a new hit.", "site"),
		fetchAt:   desc("last_fetch_timestamp_seconds", "When the crawl of this process last fetched a page.", "site"),
		storage:   desc("storage_bytes", "Size of the archive, the index and the frontier.", "store"),
		files:     desc("storage_files", "Files of the archive, the index and the frontier.", "store"),
	}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "qingyuan", Name: "disk_size_bytes", Help: "Size of the disk of the data folder."}, func() float64 {
		_, total := diskSpace(c.Data)
		return float64(total)
	}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "qingyuan", Name: "disk_free_bytes", Help: "What the disk of the data folder has left."}, func() float64 {
		free, _ := diskSpace(c.Data)
		return float64(free)
	}))
}

// Describe implements prometheus.Collector.
func (s *stateMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{s.up, s.tasks, s.hosts, s.walls, s.lastStart, s.hitAt, s.fetchAt, s.storage, s.files} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *stateMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if s.sizes != nil {
		for _, size := range s.sizes() {
			gauge(s.storage, float64(size.Bytes), size.Name)
			gauge(s.files, float64(size.Files), size.Name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	st, err := s.status(ctx)
	if err != nil {
		gauge(s.up, 0)
		return
	}
	gauge(s.up, 1)
	gauge(s.lastStart, seconds(st.LastRequest))
	walls := map[string]int{}
	for _, a := range st.Alarms {
		if a.Kind == "wall" {
			walls[a.Site]++
		}
	}
	for _, site := range st.Sites {
		gauge(s.tasks, float64(site.Queued), site.Site, "queued")
		gauge(s.tasks, float64(site.NotDue), site.Site, "not_due")
		gauge(s.tasks, float64(site.Leased), site.Site, "leased")
		gauge(s.tasks, float64(site.Dead), site.Site, "dead")
		gauge(s.walls, float64(walls[site.Site]), site.Site)
		if st.Live {
			gauge(s.hitAt, seconds(site.LastHit), site.Site)
			gauge(s.fetchAt, seconds(site.LastFetch), site.Site)
		}
	}
	for _, waiting := range triage.Waitings {
		gauge(s.hosts, float64(st.HostsBy[waiting]), waiting)
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// web counts the requests that next answers, by the route that took them. A
// nil m counts nothing.
func (m *crawlMetrics) web(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		route := r.Pattern // set by the mux that took it; few, and none of the visitor's making
		if route == "" {
			route = "none"
		}
		m.webRequests.WithLabelValues(route, method(r.Method), strconv.Itoa(seen.status)).Inc()
		m.webTime.WithLabelValues(route).Observe(time.Since(started).Seconds())
	})
}

// method keeps made-up methods out of the labels.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return name
	}
	return "other"
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
