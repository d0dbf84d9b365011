package town

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// handler serves one site.
type handler struct {
	data   *siteData
	base   string // URL without a slash at the end
	opts   Options
	log    *slog.Logger
	tmpl   *template.Template
	routes []route
	faults map[string]fault // by path and query

	mu   sync.Mutex
	seen map[string]bool // faults that have happened
}

// route answers the paths that match; m are its groups. A nil answer is 404.
type route struct {
	match *regexp.Regexp
	view  func(m []string) *answer
}

// answer is a page before it is encoded: the template of that name filled
// with page, or raw bytes.
type answer struct {
	template    string
	page        page
	contentType string // of raw
	raw         []byte
}

func newHandler(d *siteData, base string, opts Options) (http.Handler, error) {
	tmpl, err := template.New("").Funcs(template.FuncMap{
		"open":  func() template.HTML { return "<!--" }, // templates drop comments that are written as such
		"close": func() template.HTML { return "-->" },
	}).
		ParseFS(files, "templates/"+d.name+".html")
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	h := &handler{data: d, base: base, opts: opts, log: opts.Log, tmpl: tmpl, seen: map[string]bool{}}
	h.routes = h.siteRoutes()
	if !opts.NoFaults {
		h.faults = siteFaults(d.name)
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	uri := r.URL.RequestURI()
	h.log.Debug("demo site asked", "site", h.data.name, "base", h.base, "uri", uri)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "only GET is served here", http.StatusMethodNotAllowed)
		return
	}
	if !h.wait(r, h.opts.Latency) {
		return
	}
	if r.URL.Path == "/robots.txt" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, robots(h.data.name))
		return
	}
	cut := false
	if f, ok := h.faults[uri]; ok && h.due(uri, f) {
		switch {
		case f.status != 0:
			h.refuse(w, f)
			return
		case !h.wait(r, f.slow):
			return
		}
		cut = f.cut
	}
	for _, rt := range h.routes {
		if m := rt.match.FindStringSubmatch(uri); m != nil {
			if a := rt.view(m); a != nil {
				h.write(w, a, http.StatusOK, cut)
				return
			}
			break
		}
	}
	h.write(w, &answer{template: "missing", page: h.page("页面不存在")}, http.StatusNotFound, false)
}

// wait waits for d; false when the client has gone.
func (h *handler) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// write encodes and sends a page; cut sends half of what it announces.
func (h *handler) write(w http.ResponseWriter, a *answer, status int, cut bool) {
	body, contentType := a.raw, a.contentType
	if body == nil {
		var b bytes.Buffer
		if err := h.tmpl.ExecuteTemplate(&b, a.template, a.page); err != nil {
			h.log.Error("demo page cannot be made", "site", h.data.name, "template", a.template, "error", err)
			http.Error(w, "template "+a.template+": "+err.Error(), http.StatusInternalServerError)
			return
		}
		body, contentType = b.Bytes(), "text/html; charset=utf-8"
		if h.data.name == bbsName {
			gbk, err := encoding.HTMLEscapeUnsupported(simplifiedchinese.GBK.NewEncoder()).Bytes(body)
			if err != nil {
				http.Error(w, "encoding page: "+err.Error(), http.StatusInternalServerError)
				return
			}
			body, contentType = gbk, "text/html; charset=gbk"
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if cut {
		body = body[:len(body)/2] // the server closes a connection that got less than announced
	}
	w.Write(body)
}

// fault is what goes wrong at one URL.
type fault struct {
	status     int           // answered instead of the page
	retryAfter string        // header beside status
	always     bool          // every time; else at the first request only
	slow       time.Duration // before the page
	cut        bool          // half of the page, then the connection is closed
}

// siteFaults are the faults of a site, by path and query: what a crawler has
// to get over without losing a post.
func siteFaults(site string) map[string]fault {
	switch site {
	case bbsName:
		return map[string]fault{"/thread-20122-2-1.html": {status: http.StatusServiceUnavailable}}
	case "yuehai-forum":
		return map[string]fault{"/t/8804": {status: http.StatusTooManyRequests, retryAfter: "1"}}
	case "tieyou":
		return map[string]fault{"/p/7712300011": {cut: true}}
	case "suisui":
		return map[string]fault{"/api/timeline?cursor=5012340000118886": {slow: 400 * time.Millisecond}}
	case "bianmin":
		return map[string]fault{"/info/48299999x.shtml": {status: http.StatusInternalServerError, always: true}}
	}
	return nil
}

// due reports whether f happens now, and remembers it.
func (h *handler) due(uri string, f fault) bool {
	if f.always {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	done := h.seen[uri]
	h.seen[uri] = true
	return !done
}

func (h *handler) refuse(w http.ResponseWriter, f fault) {
	if f.retryAfter != "" {
		w.Header().Set("Retry-After", f.retryAfter)
	}
	http.Error(w, http.StatusText(f.status), f.status)
}

func robots(site string) string {
	switch site {
	case bbsName:
		return "#\n# robots.txt for Discuz! X3\n#\n\nUser-agent: *\nDisallow: /api/\nDisallow: /data/\nDisallow: /forum.php?mod=redirect*\nDisallow: /home.php?mod=spacecp*\nDisallow: /*?mod=misc*\nDisallow: /*?mod=attachment*\n"
	case "bianmin":
		return "User-agent: *\nDisallow: /pub/\nDisallow: /user/\nAllow: /\n"
	}
	return "User-agent: *\nDisallow: /login\nDisallow: /admin/\n"
}
