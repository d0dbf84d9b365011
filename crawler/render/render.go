// Package render shows pages in a browser: Debian's Chromium, headless, driven
// over a pipe with the DevTools protocol.
//
// What comes in: a page that was fetched already, and a RoundTripper for
// whatever else the page asks for. What goes out: the document as its scripts
// left it, and a picture when one is wanted. The browser itself can reach
// nothing: each of its requests is stopped and answered through the
// RoundTripper, a request that slips past has no name server, no route and a
// proxy that does not exist, and where the kernel lets us the processes have a
// network of their own with nothing in it.
//
// A Pool keeps a few browsers, each with one page at a time. A page that takes
// too long, too much memory or crashes costs its browser, which is killed with
// all its processes and replaced. The package does not know what a site, a
// post or an archive is, and decides nothing about what may be fetched.
package render

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Errors that callers branch on; to be found with errors.Is.
var (
	// ErrNoBrowser: there is no Chromium on this machine.
	ErrNoBrowser = errors.New("render: no Chromium found; on Debian: apt-get install chromium")
	// ErrTimeout: the page did not come to an end in time.
	ErrTimeout = errors.New("render: the page takes too long")
	// ErrMemory: the page used more memory than a page may.
	ErrMemory = errors.New("render: the page takes too much memory")
	// ErrCrashed: the browser died with the page.
	ErrCrashed = errors.New("render: the browser crashed")
	// ErrTooLarge: the document is over MaxDOM.
	ErrTooLarge = errors.New("render: the document is too large")
	// ErrClosed: the pool was closed.
	ErrClosed = errors.New("render: closed")
)

// MaxDOM is the largest document that is taken out of a browser, in bytes; the
// crawler reads no larger page either.
const MaxDOM = 8 << 20

// Options of New. The zero value is usable.
type Options struct {
	Path      string        // of Chromium; "": the first of Names on the PATH
	Browsers  int           // at a time, each a few hundred MB; 1 by default
	Timeout   time.Duration // for one page with all that it fetches; 60 s by default
	Memory    int64         // bytes one browser may hold in all its processes; 1 GiB by default
	Recycle   int           // pages until a browser is replaced; 50 by default
	Idle      time.Duration // after which a browser without work is ended; 1 min by default
	UserAgent string        // what scripts are told; should be what the RoundTripper sends
	Logger    *slog.Logger  // nil: silent
	// SharedNetwork leaves the browser in the network of this process, where the
	// flags alone keep it from connecting. Otherwise it gets an empty one of its
	// own where the kernel permits.
	SharedNetwork bool
}

func withDefaults(o Options) Options {
	if o.Browsers <= 0 {
		o.Browsers = 1
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Memory <= 0 {
		o.Memory = 1 << 30
	}
	if o.Recycle <= 0 {
		o.Recycle = 50
	}
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Request is one page to be shown.
type Request struct {
	URL    string      // absolute, http or https
	Status int         // of the answer that was fetched; 0 is 200
	Header http.Header // of that answer; only what bears on showing it is used
	Body   []byte      // of that answer, UTF-8
	// Scripts lets the page's own scripts run. Without them the picture shows
	// what the answer itself says.
	Scripts bool
	// Screenshot asks for a picture of the whole page. Images, fonts and media
	// are fetched for it, and only for it.
	Screenshot bool
	// Expect are CSS selectors of what the page should come to hold. A page that
	// has none of them when it has become quiet is waited for a little longer.
	Expect   []string
	TimeZone string // IANA name in which scripts write dates; "" is that of the machine
	// RoundTripper makes the requests of the page. It is called by many
	// goroutines; Kind tells what a request is for.
	RoundTripper http.RoundTripper
}

// Result is a page as it was shown.
type Result struct {
	URL        string // where the page ended; another than asked for when a script led on
	DOM        []byte // the document, as HTML in UTF-8
	Screenshot []byte // PNG; nil when none was asked for
	Width      int    // of the picture, pixels
	Height     int    // of the picture, pixels
	PageHeight int    // of the whole page: more than Height when the picture is cut
	Requests   int    // made through the RoundTripper
	Refused    int    // not made: by kind, over the limits, or refused by the RoundTripper
	Unfinished bool   // the time was up before the page was quiet
	Took       time.Duration
}

// Limits of one page. They are far above what pages of the watched sites need
// (at most 96 requests among the recorded ones) and keep a hostile page short.
const (
	maxRequests    = 300
	maxDocuments   = 20      // of frames, and of scripts that lead on
	maxHops        = 5       // other pages that scripts lead to
	maxAtOnce      = 6       // as browsers do to one host
	maxReply       = 8 << 20 // bytes of one answer that are handed on
	maxReplies     = 64 << 20
	viewportWidth  = 1280
	viewportHeight = 900
	maxPicture     = 10_000 // pixels, the height of a picture
	quietFor       = 500 * time.Millisecond
	expectFor      = 3 * time.Second
	takeTime       = 10 * time.Second // kept back for taking document and picture
)

// profilePrefix begins the name of a profile; the id of our process follows.
const profilePrefix = "qingyuan-browser-"

// Stats counts what a pool did since it was made.
type Stats struct {
	Pages    int   // shown
	Failed   int   // not shown
	Started  int   // browsers
	Killed   int   // browsers, for time, memory or a crash
	Running  int   // browsers now
	PeakRSS  int64 // bytes one browser held at most, in all its processes
	Isolated bool  // browsers have an empty network of their own
	// Sandboxed: Chromium's own sandbox is round its renderers. Under root
	// browsers run as nobody, with or without it.
	Sandboxed bool
}
