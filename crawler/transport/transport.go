// Package transport is the one way from the crawler to the network: an
// http.RoundTripper to be set below colly by WithTransport.
//
// What comes in: a request, and the site's HostPolicy in its context. What
// goes out: a response whose body is whole, decoded, within the limits and in
// UTF-8, or a typed error. On the way, for every hop of a redirect by itself:
// the scope is checked, robots.txt is asked (RFC 9309), private addresses are
// refused after name resolution, and the bytes as received are handed to
// Options.OnBody before anything is changed in them.
//
// It does not know what is fetched when, nor how often a host may be asked: it
// calls the Turn of the context before each request, its own for robots.txt
// included. It does not follow redirects (the client does),
// retry, or look into pages.
package transport

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options set up a Transport. The zero value is usable: it reaches any public
// host, asks no robots.txt and keeps the limits named below.
type Options struct {
	// UserAgent is sent with every request and, up to the first "/", is the
	// product token that robots.txt is read for. Default UserAgent("", "").
	UserAgent string
	// Policy gives the policy of a host when the request's context has none.
	// Default: any host, public addresses only. Called by many goroutines.
	Policy func(host string) HostPolicy
	// Logger gets refusals and overrides. Default: nothing is logged.
	Logger *slog.Logger
	// MaxWire and MaxDecoded limit a body in bytes, as received and after
	// content decoding. Defaults 8 MiB and 32 MiB.
	MaxWire, MaxDecoded int64
	// MaxRatio limits decoded bytes per received byte once a body is over
	// 1 MiB. Default 200.
	MaxRatio int64
	// Timeouts; zero fields get their defaults.
	Timeouts Timeouts
	// Robots asks robots.txt before each request, unless a policy overrides it.
	Robots bool
	// RobotsStore keeps robots.txt files over restarts; the zero value does not.
	RobotsStore RobotsStore
	// OnBody, if not nil, gets each exchange before its body is decoded, also
	// robots.txt, redirects, error pages and bodies that were cut. An error
	// fails the request: what cannot be kept as evidence is not used. Called by
	// many goroutines.
	OnBody func(ctx context.Context, x *Exchange) error
	// Now is the clock of the robots.txt cache. Default time.Now.
	Now func() time.Time
	// Resolver looks names up. Default net.DefaultResolver.
	Resolver *net.Resolver
	// RootCAs verify servers. Default: those of the system.
	RootCAs *x509.CertPool
}

// Timeouts limit the stages of one exchange (one hop).
type Timeouts struct {
	Dial   time.Duration // name resolution and connecting; default 10 s
	TLS    time.Duration // handshake; default 10 s
	Header time.Duration // from request sent to headers received; default 30 s
	Idle   time.Duration // longest pause within the body; default 20 s
	Total  time.Duration // the whole exchange; default 2 min
}

// Transport is the RoundTripper. It is safe for many goroutines. Make it with
// New, share one per process, and let CloseIdleConnections end it.
type Transport struct {
	opts    Options
	product string // of Options.UserAgent
	robots  *robotsCache

	decoding chan struct{} // holds a token for each large body that is decoded

	mu       sync.Mutex
	egresses map[string]*http.Transport // by HostPolicy.egressKey
}

const (
	maxEgresses    = 64
	maxHeaderBytes = 256 << 10
	acceptEncoding = "gzip, br, zstd, deflate"
)

// UserAgent gives the honest default: who is asking, and how to reach them.
// contact is a URL or mail address; either may be empty.
func UserAgent(version, contact string) string {
	if version == "" {
		version = "1.0"
	}
	if contact == "" {
		return "Qingyuan/" + version
	}
	return "Qingyuan/" + version + " (+" + contact + ")"
}

// New makes a Transport. It fails when an option is out of its range.
func New(opts Options) (*Transport, error) {
	if opts.MaxWire < 0 || opts.MaxDecoded < 0 || opts.MaxRatio < 0 {
		return nil, errors.New("transport: limits must not be negative")
	}
	t := opts.Timeouts
	for _, d := range []time.Duration{t.Dial, t.TLS, t.Header, t.Idle, t.Total} {
		if d < 0 {
			return nil, errors.New("transport: timeouts must not be negative")
		}
	}
	if strings.ContainsAny(opts.UserAgent, "\r\n\x00") {
		return nil, errors.New("transport: the user agent has a line break in it")
	}
	opts = withDefaults(opts)
	product := productToken(opts.UserAgent)
	if product == "" {
		return nil, fmt.Errorf("transport: user agent %q does not begin with a product name (letters, - and _)", opts.UserAgent)
	}
	tr := &Transport{opts: opts, product: product, egresses: make(map[string]*http.Transport), decoding: make(chan struct{}, maxLarge)}
	tr.robots = newRobotsCache(tr)
	return tr, nil
}

func withDefaults(o Options) Options {
	if o.UserAgent == "" {
		o.UserAgent = UserAgent("", "")
	}
	if o.Policy == nil {
		o.Policy = func(string) HostPolicy { return HostPolicy{Hosts: []string{"*"}} }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	setDefault(&o.MaxWire, 8<<20)
	setDefault(&o.MaxDecoded, 32<<20)
	setDefault(&o.MaxRatio, 200)
	setDefault(&o.Timeouts.Dial, 10*time.Second)
	setDefault(&o.Timeouts.TLS, 10*time.Second)
	setDefault(&o.Timeouts.Header, 30*time.Second)
	setDefault(&o.Timeouts.Idle, 20*time.Second)
	setDefault(&o.Timeouts.Total, 2*time.Minute)
	return o
}

func setDefault[T int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// RoundTrip implements http.RoundTripper. The body of the response is in
// memory, whole, decoded and, when it is text, in UTF-8; Content-Type and
// Content-Length say so, and Content-Encoding is gone.
//
// Errors, to be found with errors.As also through *url.Error: *ScopeError,
// *AddressError, *RobotsError, *TooLargeError, *TruncatedError,
// *EncodingError, *CharsetError, *ContentTypeError, *TimeoutError, and those
// of the network. A status is never an error.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if req.URL == nil {
		return nil, &ScopeError{Reason: "the request has no URL"}
	}
	ctx := req.Context()
	policy, ok := policyFrom(ctx)
	if !ok {
		policy = t.opts.Policy(req.URL.Hostname())
	}
	if err := policy.Validate(); err != nil {
		return nil, fmt.Errorf("invalid policy: %w", err)
	}
	exact, err := checkScope(req.URL, policy)
	if err != nil {
		t.opts.Logger.DebugContext(ctx, "refused by scope", "err", err)
		return nil, err
	}
	decision, err := t.robots.decide(ctx, req.URL, policy)
	if err != nil {
		return nil, err
	}
	tellDecision(ctx, decision)
	if !decision.Allowed {
		t.opts.Logger.DebugContext(ctx, "refused by robots.txt", "decision", decision.String())
		return nil, &RobotsError{Decision: decision, Err: decision.err}
	}
	if err := waitTurn(ctx, req.URL, decision.CrawlDelay); err != nil {
		return nil, err
	}
	resp, err := t.exchange(t.outgoing(req, policy, exact), policy, &decision)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// Decide tells what robots.txt says about a URL under a policy, with the
// reason, fetching robots.txt if it is not known. The error is the context's.
func (t *Transport) Decide(ctx context.Context, rawURL string) (Decision, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return Decision{}, fmt.Errorf("reading URL: %w", err)
	}
	policy, ok := policyFrom(ctx)
	if !ok {
		policy = t.opts.Policy(req.URL.Hostname())
	}
	if err := policy.Validate(); err != nil {
		return Decision{}, fmt.Errorf("invalid policy: %w", err)
	}
	if _, err := checkScope(req.URL, policy); err != nil {
		return Decision{}, err
	}
	return t.robots.decide(ctx, req.URL, policy)
}

// CloseIdleConnections closes what waits for reuse; running exchanges go on.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.egresses {
		e.CloseIdleConnections()
	}
}

// outgoing gives the request as it is sent. The caller's is left alone.
func (t *Transport) outgoing(req *http.Request, p HostPolicy, exact bool) *http.Request {
	out := req.Clone(req.Context())
	out.Host = out.URL.Host // a Host header of its own would slip past the scope
	out.Header.Del("Host")
	out.Header.Set("User-Agent", t.userAgent(p))
	if out.Header.Get("Accept-Language") == "" {
		out.Header.Set("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.5")
	}
	if exact {
		for k, v := range p.Header {
			out.Header[http.CanonicalHeaderKey(k)] = append([]string(nil), v...)
		}
	}
	if exact && slices.Contains(p.SecretOrigins, out.URL.Scheme+"://"+strings.ToLower(out.URL.Host)) {
		for k, v := range p.SecretHeader {
			out.Header[http.CanonicalHeaderKey(k)] = append([]string(nil), v...)
		}
	}
	if p.Jar != nil {
		for _, c := range p.Jar.Cookies(out.URL) {
			out.AddCookie(c)
		}
	}
	out.Header.Set("Accept-Encoding", acceptEncoding)
	if out.Header.Get("Range") != "" {
		out.Header.Set("Accept-Encoding", "identity")
	}
	return out
}

// userAgent is what is sent under a policy.
func (t *Transport) userAgent(p HostPolicy) string {
	if p.UserAgent != "" {
		return p.UserAgent
	}
	return t.opts.UserAgent
}

// robotsProduct is the name that robots.txt is read for: that which the site is
// told, unless that is what every browser says.
func (t *Transport) robotsProduct(p HostPolicy) string {
	if name := productToken(p.UserAgent); name != "" && name != "mozilla" {
		return name
	}
	return t.product
}

// exchange sends one request and makes its response whole.
func (t *Transport) exchange(out *http.Request, p HostPolicy, d *Decision) (*http.Response, error) {
	resp, raw, err := t.fetch(out, p, d, t.opts.MaxWire)
	if err != nil {
		return nil, err
	}
	if p.Jar != nil {
		if cookies := resp.Cookies(); len(cookies) > 0 {
			p.Jar.SetCookies(out.URL, cookies)
		}
	}
	isLarge := large(resp, raw) // decoding changes the header
	if isLarge {
		select {
		case t.decoding <- struct{}{}:
		case <-out.Context().Done():
			return nil, fmt.Errorf("waiting to decode: %w", out.Context().Err())
		}
	}
	if isLarge {
		defer func() { <-t.decoding }()
	}
	if err := t.whole(resp, raw, out, p.Charset); err != nil {
		return nil, err
	}
	return resp, nil
}

// maxLarge is how many large bodies are decoded at a time: while it is decoded a
// body stands in memory up to four times.
const maxLarge = 2

// large reports whether a body may become megabytes.
func large(resp *http.Response, raw []byte) bool {
	return len(raw) > 1<<20 || len(raw) > 32<<10 && resp.Header.Get("Content-Encoding") != ""
}

// Decode makes of a stored exchange what RoundTrip made of it: the header and
// the body whole, decoded and in UTF-8. charset is that of the policy. raw and
// header are not changed.
func (t *Transport) Decode(req *http.Request, status int, header http.Header, raw []byte, charset string) (http.Header, []byte, error) {
	resp := &http.Response{StatusCode: status, Header: header.Clone()}
	if err := t.whole(resp, raw, req, charset); err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.Header, body, err
}

// whole puts the decoded body into the response.
func (t *Transport) whole(resp *http.Response, raw []byte, out *http.Request, charset string) error {
	body, err := t.decode(resp, raw)
	if err != nil {
		return err
	}
	contentType := resp.Header.Get("Content-Type")
	if isSitemapArchive(out.URL.Path, body) {
		if body, err = decodeOne("gzip", body, t.limits(len(raw))); err != nil {
			return err
		}
		contentType = "application/xml"
	}
	if body, err = t.toText(resp, body, contentType, charset); err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	if out.Method != http.MethodHead {
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	resp.Header.Del("Content-Encoding")
	resp.TransferEncoding = nil
	resp.Uncompressed = true // tells colly that nothing is left to decode
	return nil
}

// toText converts a text body and makes Content-Type tell the truth.
func (t *Transport) toText(resp *http.Response, body []byte, contentType, charset string) ([]byte, error) {
	text, name, err := ToUTF8As(charset, body, contentType)
	if err != nil {
		return nil, err
	}
	if name == nameBinary || len(body) == 0 {
		return body, nil
	}
	mediaType, _ := splitContentType(contentType)
	if mediaType == "" {
		mediaType, _ = splitContentType(http.DetectContentType(text))
	}
	resp.Header.Set("Content-Type", mediaType+"; charset=utf-8")
	return text, nil
}

// fetch sends one request through the guard and reads the body as received.
// A body over limit is an error, except for robots.txt (d is nil), of which
// the standard reads the beginning.
func (t *Transport) fetch(out *http.Request, p HostPolicy, d *Decision, limit int64) (*http.Response, []byte, error) {
	rt, err := t.egress(p, out.URL.Scheme)
	if err != nil {
		return nil, nil, err
	}
	caller := out.Context()
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	limits := t.opts.Timeouts
	total := time.AfterFunc(limits.Total, func() { cancel(&TimeoutError{Stage: "total", After: limits.Total}) })
	defer total.Stop()

	if err := t.checkProxied(ctx, out.URL, p); err != nil {
		return nil, nil, timedOut(ctx, err)
	}
	remote, sent := "", &sentHeader{}
	out = out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:          func(info httptrace.GotConnInfo) { remote = info.Conn.RemoteAddr().String(); sent.begin() },
		WroteHeaderField: sent.wrote,
	}))
	started := time.Now()
	resp, err := rt.RoundTrip(out)
	if err != nil {
		err = timedOut(ctx, err)
		if refused := (*AddressError)(nil); errors.As(err, &refused) {
			t.opts.Logger.WarnContext(ctx, "refused address", "url", out.URL.Redacted(), "err", refused)
		}
		return nil, nil, err
	}
	defer resp.Body.Close()
	if mediaType, _ := splitContentType(resp.Header.Get("Content-Type")); p.RefuseBinary && d != nil && !isTextual(mediaType) && !isArchivePath(out.URL.Path) {
		return nil, nil, &ContentTypeError{Type: resp.Header.Get("Content-Type")}
	}
	raw, cut, err := t.readWire(ctx, resp, cancel, limit)
	if d == nil && cut == "length" {
		err = nil
	}
	x := &Exchange{
		Method: out.Method, URL: out.URL.String(), RequestHeader: out.Header.Clone(), Sent: sent.fields(),
		Status: resp.StatusCode, Proto: resp.Proto, ResponseHeader: resp.Header.Clone(),
		Raw: raw, Truncated: cut, Robots: d, RemoteAddr: remote, TLS: resp.TLS, Session: p.Session,
		Started: started, Took: time.Since(started),
	}
	x.redact(p)
	if t.opts.OnBody != nil && !p.Unrecorded {
		// Under the caller's context: our own limits must not end the keeping of
		// what came before they ran out.
		if hookErr := t.opts.OnBody(caller, x); hookErr != nil {
			return nil, nil, errors.Join(&KeepError{URL: x.URL, Err: hookErr}, err)
		}
	}
	return resp, raw, err
}

// readWire reads the body up to limit and says how it was cut, if it was.
func (t *Transport) readWire(ctx context.Context, resp *http.Response, cancel context.CancelCauseFunc, limit int64) (raw []byte, cut string, err error) {
	idle := t.opts.Timeouts.Idle
	timer := time.AfterFunc(idle, func() { cancel(&TimeoutError{Stage: "body idle", After: idle}) })
	defer timer.Stop()
	var buf bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= limit {
		buf.Grow(int(min(n, 1<<20)) + bytes.MinRead)
	}
	_, err = buf.ReadFrom(io.LimitReader(&beatReader{r: resp.Body, beat: func() { timer.Reset(idle) }}, limit+1))
	raw = buf.Bytes()
	if err != nil {
		err = timedOut(ctx, err)
		if late := (*TimeoutError)(nil); errors.As(err, &late) || ctx.Err() != nil {
			return raw[:min(int64(len(raw)), limit)], "time", err
		}
		return raw, "disconnect", &TruncatedError{Got: int64(len(raw)), Want: resp.ContentLength, Err: err}
	}
	if int64(len(raw)) > limit {
		return raw[:limit], "length", &TooLargeError{Limit: limit, Kind: KindWire}
	}
	return raw, "", nil
}

// beatReader tells of each read that brought something.
type beatReader struct {
	r    io.Reader
	beat func()
}

func (b *beatReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 {
		b.beat()
	}
	return n, err
}

// timedOut gives our own reason for an error, when there is one.
func timedOut(ctx context.Context, err error) error {
	if late := (*TimeoutError)(nil); errors.As(context.Cause(ctx), &late) {
		return late
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		return &TimeoutError{Stage: "connect or header", Err: err}
	}
	return err
}
