package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
)

// tab is one page in work.
type tab struct {
	ctx  context.Context
	s    session
	req  Request
	main cdp.FrameID
	fail context.CancelCauseFunc

	queue chan *fetch.EventRequestPaused
	wake  chan struct{} // something has happened

	mu        sync.Mutex
	url       string
	started   bool // the document was asked for
	loaded    bool
	inFlight  int
	seen      int // requests stopped
	documents int
	hops      int
	dialogs   int
	replies   int64 // bytes handed on
	last      time.Time
	requests  int
	refused   int
}

// show does the whole of one page in a browser context of its own, which
// nothing outlives: no cookie, no store, no cache.
func show(ctx context.Context, c *conn, req Request) (res Result, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	root := session{c: c}
	own, err := call(ctx, root, target.CreateBrowserContext, target.CreateBrowserContextParams{DisposeOnDetach: ptr(true)})
	if err != nil {
		return res, err
	}
	_, err = call(ctx, root, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: own.BrowserContextID})
	if err != nil {
		return res, err
	}
	made, err := call(ctx, root, target.CreateTarget, target.CreateTargetParams{URL: "about:blank", BrowserContextID: own.BrowserContextID, NewWindow: ptr(true)})
	if err != nil {
		return res, err
	}
	attached, err := call(ctx, root, target.AttachToTarget, target.AttachToTargetParams{TargetID: made.TargetID, Flatten: ptr(true)})
	if err != nil {
		return res, err
	}
	t := &tab{ctx: ctx, s: session{c: c, id: string(attached.SessionID)}, req: req, main: cdp.FrameID(made.TargetID), fail: fail, url: req.URL,
		queue: make(chan *fetch.EventRequestPaused, 2*maxRequests), wake: make(chan struct{}, 1), last: time.Now()}
	var workers sync.WaitGroup
	for range maxAtOnce {
		workers.Go(t.answerAll)
	}
	t.s.listen(t.event)
	res, err = t.show()
	t.s.listen(nil)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx) // the crash, rather than the call that met it
	}
	fail(nil)
	workers.Wait()
	if err != nil {
		return res, err // the browser is ended
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if _, err := call(closing, root, target.DisposeBrowserContext, target.DisposeBrowserContextParams(own)); err != nil {
		return res, fmt.Errorf("closing the page: %w", err)
	}
	return res, nil
}

func ptr[T any](v T) *T { return &v }

// guardScript takes away what reaches the network past the requests that are
// stopped, what waits for a person, and what would send us texts of any size.
// It is the third fence, behind the flags and the empty network.
const guardScript = `(() => {
  for (const n of ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel", "WebSocket", "WebSocketStream", "WebTransport", "EventSource", "SharedWorker", "PushManager", "Notification", "PaymentRequest"])
    try { delete self[n] } catch {}
  for (const n of ["alert", "confirm", "prompt", "print", "open", "showOpenFilePicker", "showSaveFilePicker", "showDirectoryPicker"])
    try { Object.defineProperty(self, n, {value: () => null, writable: false, configurable: false}) } catch {}
  for (const n of ["serviceWorker", "sendBeacon", "usb", "bluetooth", "serial", "hid", "geolocation", "mediaDevices", "credentials"])
    try { Object.defineProperty(Navigator.prototype, n, {value: undefined, writable: false, configurable: false}) } catch {}
  for (const n of Object.keys(console)) try { console[n] = () => {} } catch {}
})()`

// show prepares the tab, leads it to the page and takes what came of it.
func (t *tab) show() (Result, error) {
	if err := t.prepare(); err != nil {
		return Result{}, err
	}
	nav, err := call(t.ctx, t.s, page.Navigate, page.NavigateParams{URL: t.req.URL})
	if err != nil {
		return Result{}, err
	}
	if nav.ErrorText != "" {
		return Result{}, fmt.Errorf("opening the page: %s", nav.ErrorText)
	}
	unfinished, err := t.settle()
	if err != nil {
		return Result{}, err
	}
	dom, err := t.document()
	if err != nil {
		return Result{}, err
	}
	res := Result{DOM: dom, Unfinished: unfinished}
	if t.req.Screenshot {
		if err := t.picture(&res); err != nil {
			return Result{}, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	res.URL, res.Requests, res.Refused = t.url, t.requests, t.refused
	return res, nil
}

func (t *tab) prepare() error {
	type step struct {
		method string
		params any
	}
	steps := []step{
		{page.Enable.Method, page.EnableParams{}},
		{inspector.Enable.Method, cdp.Empty{}},
		{fetch.Enable.Method, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*"}}}},
		// Workers, and windows that slipped past the flag, are stopped before
		// their first step and stay so.
		{target.SetAutoAttach.Method, target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: ptr(true)}},
		{page.AddScriptToEvaluateOnNewDocument.Method, page.AddScriptToEvaluateOnNewDocumentParams{Source: guardScript}},
		{emulation.SetDeviceMetricsOverride.Method, emulation.SetDeviceMetricsOverrideParams{Width: viewportWidth, Height: viewportHeight, DeviceScaleFactor: 1}},
		{emulation.SetFocusEmulationEnabled.Method, emulation.SetFocusEmulationEnabledParams{Enabled: true}},
	}
	if !t.req.Scripts {
		steps = append(steps, step{emulation.SetScriptExecutionDisabled.Method, emulation.SetScriptExecutionDisabledParams{Value: true}})
	}
	if t.req.TimeZone != "" {
		steps = append(steps, step{emulation.SetTimezoneOverride.Method, emulation.SetTimezoneOverrideParams{TimezoneID: t.req.TimeZone}})
	}
	for _, st := range steps {
		if err := t.s.Call(t.ctx, st.method, st.params, nil); err != nil {
			return fmt.Errorf("preparing the page: %w", err)
		}
	}
	return nil
}

// event takes what the browser tells, in the goroutine that reads.
func (t *tab) event(method string, params json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch method {
	case fetch.RequestPaused.Method:
		ev := new(fetch.EventRequestPaused)
		if json.Unmarshal(params, ev) == nil && ev.Request != nil {
			t.paused(ev)
		}
	case page.LoadEventFired.Method:
		t.loaded, t.last = true, time.Now()
	case page.FrameNavigated.Method:
		ev := new(page.EventFrameNavigated)
		if json.Unmarshal(params, ev) == nil && ev.Frame != nil && ev.Frame.ID == t.main && strings.HasPrefix(ev.Frame.URL, "http") {
			t.url, t.last = ev.Frame.URL, time.Now()
		}
	case page.JavascriptDialogOpening.Method:
		if t.dialogs++; t.dialogs <= 20 { // then the page stays behind its dialog
			go func() {
				_, _ = call(t.ctx, t.s, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: false}) // at worst the page stays there
			}()
		}
	case inspector.TargetCrashed.Method:
		t.fail(fmt.Errorf("%w: the page's process ended, most often for want of memory", ErrCrashed))
	default:
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// stalled is how long a page may be busy without asking for anything.
const stalled = 10 * time.Second

// settle waits until the page is quiet: loaded, nothing under way for a while,
// and what is expected there, or not to be expected any more. When the time is
// up the page is taken as it is.
func (t *tab) settle() (unfinished bool, err error) {
	until := time.Now().Add(time.Minute)
	if d, ok := t.ctx.Deadline(); ok {
		until = d.Add(-takeTime)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var patience time.Time
	for {
		select {
		case <-t.wake:
		case <-tick.C:
		case <-t.ctx.Done():
			return false, context.Cause(t.ctx)
		}
		now := time.Now()
		t.mu.Lock()
		idle := t.inFlight == 0
		rest := now.Sub(t.last)
		quiet := t.loaded && idle && rest >= quietFor
		t.mu.Unlock()
		switch {
		case now.After(until), idle && !quiet && rest > stalled:
			return true, nil
		case !quiet:
			continue
		case len(t.req.Expect) == 0 || !t.req.Scripts:
			return false, nil
		}
		if patience.IsZero() {
			patience = now.Add(expectFor)
		}
		if now.After(patience) || t.holdsExpected() {
			return false, nil
		}
	}
}

// holdsExpected asks for the selectors; a page that cannot answer has none.
func (t *tab) holdsExpected() bool {
	list, err := json.Marshal(t.req.Expect)
	if err != nil {
		return false
	}
	v, err := t.evaluate(time.Second, `(l => l.some(s => { try { return document.querySelector(s) !== null } catch { return false } }))(`+string(list)+`)`)
	return err == nil && string(v) == "true"
}

// evaluate runs an expression of ours in a world of its own, in which nothing
// that the page has redefined is in effect.
func (t *tab) evaluate(limit time.Duration, expression string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeoutCause(t.ctx, limit, fmt.Errorf("%w: it does not answer", ErrTimeout))
	defer cancel()
	world, err := call(ctx, t.s, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: t.main, WorldName: "qingyuan"})
	if err != nil {
		return nil, err
	}
	v, err := call(ctx, t.s, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ContextID: world.ExecutionContextID, ReturnByValue: ptr(true), Silent: ptr(true)})
	if err != nil {
		return nil, err
	}
	if v.ExceptionDetails != nil || v.Result == nil {
		return nil, errors.New("reading the document: an exception")
	}
	return json.RawMessage(v.Result.Value), nil
}

// document takes the document as HTML.
func (t *tab) document() ([]byte, error) {
	v, err := t.evaluate(takeTime-2*time.Second, fmt.Sprintf(`(() => {
  const d = document.doctype, e = document.documentElement;
  const h = (d ? "<!DOCTYPE " + d.name + ">\n" : "") + (e ? e.outerHTML : "");
  return h.length > %d ? null : h;
})()`, MaxDOM))
	if err != nil {
		return nil, err
	}
	var text *string
	if err := json.Unmarshal(v, &text); err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	if text == nil || len(*text) > MaxDOM {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxDOM)
	}
	return []byte(*text), nil
}

// picture takes the picture of the whole page, from the top to maxPicture.
func (t *tab) picture(res *Result) error {
	ctx, cancel := context.WithTimeoutCause(t.ctx, takeTime, fmt.Errorf("%w: it cannot be drawn", ErrTimeout))
	defer cancel()
	m, err := call(ctx, t.s, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil {
		return err
	}
	if m.CSSContentSize == nil {
		return errors.New("drawing the page: it has no size")
	}
	height := max(int(m.CSSContentSize.Height), 1)
	shot, err := call(ctx, t.s, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: ptr(true),
		Clip: &page.Viewport{Width: viewportWidth, Height: float64(min(height, maxPicture)), Scale: 1}})
	if err != nil {
		return err
	}
	size, err := png.DecodeConfig(bytes.NewReader(shot.Data))
	if err != nil {
		return fmt.Errorf("drawing the page: %w", err)
	}
	res.Screenshot, res.Width, res.Height, res.PageHeight = shot.Data, size.Width, size.Height, max(height, size.Height)
	return nil
}

// statusOf gives the status under which the document is shown. Browsers show
// nothing of some.
func statusOf(status int) int64 {
	if status < 200 || status > 599 || status >= 300 && status < 400 || status == http.StatusNoContent || status == http.StatusResetContent {
		return http.StatusOK
	}
	return int64(status)
}
