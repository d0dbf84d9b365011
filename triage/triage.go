// Package triage is where analysts work: web pages and a JSON API over an
// index.Store.
//
// What comes in: HTTP requests of analysts, records from the store. What goes
// out: HTML made on the server, JSON, exports, and decisions written back
// through Store.Triage, so that each has its row in the audit trail. The
// package does not crawl, classify or log anybody in: who asks is told by
// Options.User.
//
// Every crawled byte is hostile. Texts reach the page through html/template
// only, control characters are shown by name, links are http or https, and the
// Content-Security-Policy allows no script but the package's own file.
package triage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/workbench"
)

//go:embed templates/*.html assets/*
var files embed.FS

// CrawlStatus is what the overview tells of the crawl.
type CrawlStatus struct {
	Running bool           `json:"running"`
	Since   time.Time      `json:"since,omitzero"` // start of the running crawl
	Queued  int            `json:"queued"`         // addresses waiting
	Fetched int            `json:"fetched"`        // pages since Since
	Failed  int            `json:"failed"`         // pages given up since Since
	Problem string         `json:"problem,omitempty"`
	Sources []SourceStatus `json:"sources,omitempty"`
}

// SourceStatus is one source's part of CrawlStatus.
type SourceStatus struct {
	Name      string    `json:"name"`
	Fetched   int       `json:"fetched"`
	Failed    int       `json:"failed"`
	LastFetch time.Time `json:"last_fetch,omitzero"`
	Problem   string    `json:"problem,omitempty"` // why it rests; empty when well
}

// Options configure a Server. Only Store is required.
type Options struct {
	Store      index.Store
	Categories []classify.Category // names of the taxonomy; ids without one are shown as they are
	// Names are what people call the terms, rules and cues that reasons name;
	// see classify.Dictionary.Names.
	Names map[string]classify.Name
	// Sources are the titles of the sources by id; one without a title is shown
	// by its id.
	Sources  map[string]string
	Logger   *slog.Logger // nil is silence
	Language string       // "zh" (default) or "en", until a visitor chooses
	// Hosts are the host names, without port, under which the pages may be
	// asked for besides localhost and loopback addresses. Any other Host header
	// is refused, against DNS rebinding.
	Hosts []string
	// User names who sends a request; nil is "analyst". A request for which it
	// returns "" is refused with 401.
	User func(*http.Request) string
	Now  func() time.Time // nil is time.Now
	// Location is where days begin; nil is index.China(). Give the store the same.
	Location *time.Location
	// Crawl tells how the crawl goes; nil leaves the box out.
	Crawl func(context.Context) (CrawlStatus, error)
	// Health adds to the answer of /healthz, by name; nil adds nothing.
	Health func() map[string]any
	// Digest serves /digest/ with that prefix stripped; nil leaves it out.
	Digest http.Handler
	// Account says that people log in: /account is their page, /logout ends.
	Account bool
	// Subscriptions are those that digests go out to; nil leaves the page out.
	Subscriptions *Subscriptions
	// Original reads what a post was extracted from out of the archive; nil
	// leaves the links out.
	Original OriginalFunc
	// Evidence reads pictures and documents of pages with hits; nil leaves them
	// out.
	Evidence EvidenceFunc
	// Status tells the status page how all stands; nil leaves the page out.
	Status func(context.Context) (Status, error)
	// Why says why a URL was not fetched, in a language; nil leaves the form out.
	Why func(ctx context.Context, lang, url string) ([]WhyAnswer, error)
	// Metrics serves /metrics; nil leaves it out.
	Metrics http.Handler
	// Dictionary is where operators change dictionaries; nil leaves the pages out.
	Dictionary *workbench.Bench
	// Searches keeps the users' saved searches; nil leaves them out.
	Searches *Searches
	// MaskContacts says from whose requests contacts are hidden until they ask for
	// them with a reason; nil hides none.
	MaskContacts func(*http.Request) bool
	// Session tells a user's sessions apart: what one asked for is not shown in
	// another. Nil takes a user's sessions as one.
	Session func(*http.Request) string
	// APIRate is how many requests a second each user and each token may send to
	// the API in the long run, APIBurst how many at once; 0 is 20 and 200.
	APIRate  float64
	APIBurst int
}

// Server serves the pages. It is an http.Handler, safe for concurrent use.
// Start it on a loopback address unless accounts stand before it.
type Server struct {
	store      index.Store
	categories map[string]classify.Category
	colors     map[string]int
	names      map[string]classify.Name
	order      []string // category ids as given
	sources    map[string]string
	log        *slog.Logger
	language   string
	hosts      map[string]bool
	user       func(*http.Request) string
	now        func() time.Time
	loc        *time.Location
	crawl      func(context.Context) (CrawlStatus, error)
	health     func() map[string]any
	digest     http.Handler
	original   OriginalFunc
	evidence   EvidenceFunc
	status     func(context.Context) (Status, error)
	why        func(ctx context.Context, lang, url string) ([]WhyAnswer, error)
	metrics    http.Handler

	subscriptions *Subscriptions
	account       bool
	bench         *workbench.Bench
	searches      *Searches
	limiter       *limiter
	maskContacts  func(*http.Request) bool
	session       func(*http.Request) string
	reveals       reveals
	openAPI       []byte

	cross     *http.CrossOriginProtection
	mux       *http.ServeMux
	templates map[string]*template.Template // by language and page
	assets    map[string]asset

	mu       sync.Mutex
	verified verification
	contacts topContacts
}

type asset struct {
	data    []byte
	kind    string
	version string
}

// New makes a Server. It fails when Store is missing or the language unknown.
func New(opts Options) (*Server, error) {
	if opts.Store == nil {
		return nil, errors.New("triage: no store given")
	}
	s := &Server{
		store: opts.Store, log: opts.Logger, language: opts.Language, user: opts.User, now: opts.Now, loc: opts.Location,
		crawl: opts.Crawl, health: opts.Health, digest: opts.Digest, original: opts.Original, evidence: opts.Evidence, subscriptions: opts.Subscriptions, account: opts.Account, bench: opts.Dictionary, names: opts.Names, sources: opts.Sources,
		status: opts.Status, why: opts.Why, metrics: opts.Metrics,
		categories: map[string]classify.Category{}, colors: map[string]int{}, hosts: map[string]bool{},
		cross: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
		templates: map[string]*template.Template{}, assets: map[string]asset{},
	}
	s.store, s.maskContacts, s.session = maskingStore{opts.Store}, opts.MaskContacts, opts.Session
	s.searches, s.limiter = opts.Searches, newLimiter(opts.APIRate, opts.APIBurst)
	if s.language == "" {
		s.language = "zh"
	}
	if !knownLanguage(s.language) {
		return nil, fmt.Errorf("triage: language %q is not zh or en", s.language)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.user == nil {
		s.user = func(*http.Request) string { return "analyst" }
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.loc == nil {
		s.loc = index.China()
	}
	for i, c := range opts.Categories {
		s.categories[c.ID], s.colors[c.ID] = c, i%14
		s.order = append(s.order, c.ID)
	}
	for _, h := range opts.Hosts {
		s.hosts[strings.ToLower(h)] = true
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	var err error
	if s.openAPI, err = openAPIDocument(); err != nil {
		return nil, err
	}
	s.routes()
	return s, nil
}

func (s *Server) routes() {
	s.mux.HandleFunc("GET /{$}", s.getQueue)
	s.mux.HandleFunc("GET /post/{id}", s.getPost)
	s.mux.HandleFunc("GET /post/{id}/original", s.getOriginal)
	s.mux.HandleFunc("GET /post/{id}/evidence/{n}", s.getEvidence)
	s.mux.HandleFunc("POST /post/{id}/triage", s.postTriage)
	s.mux.HandleFunc("POST /bulk", s.postBulk)
	s.mux.HandleFunc("POST /undo", s.postUndo)
	s.mux.HandleFunc("GET /overview", s.getOverview)
	s.mux.HandleFunc("GET /audit", s.getAudit)
	s.mux.HandleFunc("GET /help", s.getHelp)
	s.mux.HandleFunc("GET /lang", s.getLanguage)
	s.mux.HandleFunc("GET /theme", s.getTheme)
	s.mux.HandleFunc("GET /assets/{name}", s.getAsset)
	s.mux.HandleFunc("GET /export.csv", s.getCSV)
	s.mux.HandleFunc("GET /export.jsonl", s.getJSONL)
	s.mux.HandleFunc("GET /export.xlsx", s.getXLSX)
	s.mux.HandleFunc("GET /healthz", s.getHealth)
	s.mux.HandleFunc("POST /post/{id}/reveal", s.postReveal)
	if s.searches != nil {
		s.mux.HandleFunc("POST /searches", s.postSearch)
		s.mux.HandleFunc("POST /searches/{id}/drop", s.postDropSearch)
	}
	if s.subscriptions != nil {
		s.mux.HandleFunc("GET /subscriptions", s.getSubscriptions)
		s.mux.HandleFunc("GET /subscriptions/{name}/preview", s.getPreview)
		s.mux.HandleFunc("POST /subscriptions/{name}/test", s.postTest)
	}
	if s.status != nil || s.why != nil {
		s.mux.HandleFunc("GET /status", s.getStatus)
		s.mux.HandleFunc("GET /api/status", s.apiStatus)
		s.mux.HandleFunc("GET /api/why", s.apiWhy)
	}
	if s.metrics != nil {
		s.mux.Handle("GET /metrics", s.metrics)
	}
	s.dictionaryRoutes()
	if s.digest != nil {
		s.mux.Handle("/digest/", http.StripPrefix("/digest", s.digest))
		s.mux.HandleFunc("GET /digest", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, (&url.URL{Path: "/digest/", RawQuery: r.URL.RawQuery}).String(), http.StatusSeeOther)
		})
	}
	s.apiRoutes()
	s.mux.HandleFunc("/", s.fallback)
}

// pages are the templates that stand inside base.html.
var pages = [...]string{"queue", "post", "bulk", "overview", "status", "audit", "help", "problem", "subscriptions",
	"dictionary", "dictentry", "dicttry", "dictdraft", "dictversions", "dictdiff", "dictsuggest"}

// load parses templates and assets; both are embedded, so that a mistake in
// them shows at the first start.
func (s *Server) load() error {
	names, err := fs.Glob(files, "assets/*")
	if err != nil {
		return fmt.Errorf("listing assets: %w", err)
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading asset: %w", err)
		}
		sum := sha256.Sum256(data)
		s.assets[strings.TrimPrefix(name, "assets/")] = asset{data, kinds[name[strings.LastIndex(name, "."):]], hex.EncodeToString(sum[:6])}
	}
	for _, lang := range languages {
		base, err := template.New("base.html").Funcs(s.funcs(lang)).ParseFS(files, "templates/base.html", "templates/parts.html")
		if err != nil {
			return fmt.Errorf("parsing templates: %w", err)
		}
		for _, page := range pages {
			t, err := base.Clone()
			if err == nil {
				_, err = t.ParseFS(files, "templates/"+page+".html")
			}
			if err != nil {
				return fmt.Errorf("parsing template %s: %w", page, err)
			}
			s.templates[lang+"/"+page] = t
		}
	}
	return nil
}

// view is what every template gets.
type view struct {
	Lang, Theme, User, Token string
	Page, Title              string // template name, text of the title
	Here                     string // this page's own address, for links that lead back
	Digest, Subscriptions    bool
	Account, Status          bool
	Dictionary               bool
	Notice                   *notice
	Body                     any
}

// render writes a page. It is made in memory first: a failing template gives
// an error, never half a page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, page, title string, body any) {
	lang := s.lang(r)
	v := view{Lang: lang, Theme: theme(r), User: s.user(r), Token: s.token(w, r), Page: page, Title: title,
		Here: here(r), Digest: s.digest != nil, Subscriptions: s.subscriptions != nil, Account: s.account, Dictionary: s.bench != nil, Status: s.status != nil || s.why != nil, Notice: s.takeNotice(w, r), Body: body}
	var buf bytes.Buffer
	if err := s.templates[lang+"/"+page].ExecuteTemplate(&buf, "base.html", v); err != nil {
		s.log.Error("rendering a page", "page", page, "err", err)
		http.Error(w, text(lang, "error.internal"), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", map[string]string{"zh": "zh-CN", "en": "en"}[lang])
	w.WriteHeader(status)
	w.Write(buf.Bytes())
}

// here returns the address to come back to: the page itself, or the queue when
// the request was a form.
func here(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "/"
	}
	u := *r.URL
	if q := u.Query(); q.Has("focus") { // asked for once, by a key
		q.Del("focus")
		u.RawQuery = q.Encode()
	}
	return localPath(u.RequestURI())
}

// problem answers with an error page in plain words: what happened and what to
// do. key is a text whose remedy stands under key + ".remedy".
func (s *Server) problem(w http.ResponseWriter, r *http.Request, status int, key string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.refuse(w, r, status, strings.TrimPrefix(key, "error."))
		return
	}
	lang := s.lang(r)
	s.render(w, r, status, "problem", text(lang, key), problemView{Status: status, Problem: text(lang, key), Remedy: text(lang, key+".remedy")})
}

type problemView struct {
	Status          int
	Problem, Remedy string
}

// storeProblem answers for an error of the store.
func (s *Server) storeProblem(w http.ResponseWriter, r *http.Request, err error) {
	var query *index.QueryError
	switch {
	case errors.Is(err, index.ErrNotFound):
		s.problem(w, r, http.StatusNotFound, "error.no_record")
	case errors.As(err, &query):
		s.problem(w, r, http.StatusBadRequest, "error.query")
	case errors.Is(err, index.ErrInvalid):
		s.log.Warn("a request the store refuses", "path", r.URL.Path, "err", err)
		s.problem(w, r, http.StatusBadRequest, "error.invalid")
	case errors.Is(err, context.Canceled):
		// Nobody waits for the answer any more.
	default:
		s.log.Error("asking the store", "path", r.URL.Path, "err", err)
		s.problem(w, r, http.StatusInternalServerError, "error.internal")
	}
}

func (s *Server) getAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.PathValue("name")]
	if !ok {
		s.problem(w, r, http.StatusNotFound, "error.not_found")
		return
	}
	cache := "no-cache"
	if r.URL.RawQuery == a.version {
		cache = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Type", a.kind)
	w.Write(a.data)
}

func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	status, answer := http.StatusOK, map[string]any{"status": "ok", "store": "ok"}
	if _, err := s.store.Search(ctx, index.Query{Limit: 1, NoTotal: true}); err != nil {
		s.log.Error("checking the store", "err", err)
		status, answer = http.StatusServiceUnavailable, map[string]any{"status": "failing", "store": "does not answer"}
	}
	if s.health != nil {
		maps.Copy(answer, s.health())
	}
	writeJSON(w, status, answer)
}
