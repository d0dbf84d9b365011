package render

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
)

// Kind says what a request of a page is for.
type Kind int

// The kinds of requests that reach the RoundTripper; see KindOf.
const (
	KindPage   Kind = iota // the page itself leads on: the main document of another address
	KindFrame              // the document of a frame
	KindScript             // a script
	KindStyle              // a style sheet
	KindData               // what a script asks for: XMLHttpRequest, fetch
	KindImage              // a picture; only for a screenshot
	KindFont               // a font; only for a screenshot
)

type kindKey struct{}

// KindOf tells what a request handed to Request.RoundTripper is for; KindPage
// when it was not made here.
func KindOf(ctx context.Context) Kind {
	k, _ := ctx.Value(kindKey{}).(Kind)
	return k
}

// kind says what ev is for; false when it is not made at all.
func (t *tab) kind(ev *fetch.EventRequestPaused) (Kind, bool) {
	switch ev.ResourceType {
	case network.ResourceTypeDocument:
		if ev.FrameID == t.main {
			return KindPage, true
		}
		return KindFrame, true
	case network.ResourceTypeScript:
		return KindScript, t.req.Scripts
	case network.ResourceTypeStylesheet:
		return KindStyle, t.req.Screenshot || t.req.Scripts
	case network.ResourceTypeXHR, network.ResourceTypeFetch:
		return KindData, t.req.Scripts
	case network.ResourceTypeImage:
		return KindImage, t.req.Screenshot
	case network.ResourceTypeFont:
		return KindFont, t.req.Screenshot
	}
	return 0, false
}

// paused takes a request that the browser has stopped; t.mu is held. A page
// that asks without end is not answered any more.
func (t *tab) paused(ev *fetch.EventRequestPaused) {
	if t.seen++; t.seen > 2*maxRequests {
		t.refused++
		return
	}
	t.inFlight++
	t.last = time.Now()
	t.queue <- ev // has room for all that are taken
}

// answerAll answers requests until the page is done.
func (t *tab) answerAll() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case ev := <-t.queue:
			t.answer(ev)
			t.mu.Lock()
			t.inFlight--
			t.last = time.Now()
			t.mu.Unlock()
		}
	}
}

// answer answers one request. What cannot be told to the browser needs no
// answer: the page is over then.
func (t *tab) answer(ev *fetch.EventRequestPaused) {
	kind, wanted := t.kind(ev)
	if wanted && kind == KindPage && t.first() {
		_, _ = call(t.ctx, t.s, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: ev.RequestID, ResponseCode: statusOf(t.req.Status),
			ResponseHeaders: documentHeader(t.req.Header), Body: t.req.Body})
		return
	}
	if header, ok := preflight(ev); wanted && kind == KindData && ok {
		_, _ = call(t.ctx, t.s, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: ev.RequestID, ResponseCode: http.StatusNoContent, ResponseHeaders: header})
		return
	}
	if !wanted || !t.may(ev, kind) {
		t.refuse(ev)
		return
	}
	header, status, body, err := t.fetch(ev, kind)
	if err != nil {
		t.refuse(ev)
		return
	}
	if kind == KindPage && !leadsOn(status, header) {
		t.refuse(ev) // an error page or a download would take the place of what there is
		return
	}
	if kind == KindPage {
		t.mu.Lock()
		t.loaded = false
		t.mu.Unlock()
	}
	_, err = call(t.ctx, t.s, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: ev.RequestID, ResponseCode: int64(status), ResponseHeaders: header, Body: body})
	if err != nil && t.ctx.Err() == nil {
		t.refuse(ev) // a header that it does not take
	}
}

// preflight answers the question that browsers ask before a script reads from
// another host in an unusual way. The server is not bothered with it: only GET
// and HEAD follow, and whether their answer may be read that answer itself says.
func preflight(ev *fetch.EventRequestPaused) ([]*fetch.HeaderEntry, bool) {
	field := func(want string) string {
		for name, value := range ev.Request.Headers {
			if text, ok := value.(string); ok && strings.EqualFold(name, want) {
				return text
			}
		}
		return ""
	}
	method := field("Access-Control-Request-Method")
	if ev.Request.Method != http.MethodOptions || method != http.MethodGet && method != http.MethodHead {
		return nil, false
	}
	header := []*fetch.HeaderEntry{{Name: "Access-Control-Allow-Origin", Value: field("Origin")}, {Name: "Access-Control-Allow-Methods", Value: "GET, HEAD"},
		{Name: "Access-Control-Allow-Credentials", Value: "true"}}
	if asked := field("Access-Control-Request-Headers"); asked != "" {
		header = append(header, &fetch.HeaderEntry{Name: "Access-Control-Allow-Headers", Value: asked})
	}
	return header, true
}

// leadsOn reports whether an answer is a page, or a redirect to one.
func leadsOn(status int, header []*fetch.HeaderEntry) bool {
	if status >= 300 && status < 400 {
		return true
	}
	for _, h := range header {
		if strings.EqualFold(h.Name, "Content-Type") {
			kind, _, _ := strings.Cut(strings.ToLower(h.Value), ";")
			kind = strings.TrimSpace(kind)
			return status == http.StatusOK && (kind == "text/html" || kind == "application/xhtml+xml")
		}
	}
	return false
}

// first reports whether this is the document that was fetched already.
func (t *tab) first() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.started
	t.started = true
	return first
}

// may reports whether a request is within the limits, and counts it.
func (t *tab) may(ev *fetch.EventRequestPaused, kind Kind) bool {
	u := ev.Request.URL
	if ev.Request.Method != http.MethodGet && ev.Request.Method != http.MethodHead || !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.requests >= maxRequests, t.replies >= maxReplies:
		return false
	case kind == KindPage:
		if t.hops++; t.hops > maxHops {
			return false
		}
	case kind == KindFrame:
		if t.documents++; t.documents > maxDocuments {
			return false
		}
	}
	t.requests++
	return true
}

// refuse fails a request. A document that is refused leaves the page where it
// is, for a navigation that is given up shows no error.
func (t *tab) refuse(ev *fetch.EventRequestPaused) {
	t.mu.Lock()
	t.refused++
	t.mu.Unlock()
	reason := network.ErrorReasonBlockedByClient
	if ev.ResourceType == network.ResourceTypeDocument {
		reason = network.ErrorReasonAborted
	}
	_, _ = call(t.ctx, t.s, fetch.FailRequest, fetch.FailRequestParams{RequestID: ev.RequestID, ErrorReason: reason})
}

// fetch makes a request through the RoundTripper. A redirect goes back to the
// browser, which asks for its target as for anything else.
func (t *tab) fetch(ev *fetch.EventRequestPaused, kind Kind) (header []*fetch.HeaderEntry, status int, body []byte, err error) {
	ctx := context.WithValue(t.ctx, kindKey{}, kind)
	req, err := http.NewRequestWithContext(ctx, ev.Request.Method, ev.Request.URL, nil)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("asking for a part of the page: %w", err)
	}
	for name, value := range ev.Request.Headers {
		text, ok := value.(string)
		if ok && passedUp(name) {
			req.Header.Set(name, text)
		}
	}
	resp, err := t.req.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, 0, nil, fmt.Errorf("reading a part of the page: %w", err)
	}
	if len(body) > maxReply {
		return nil, 0, nil, fmt.Errorf("%w: a part of the page has over %d bytes", ErrTooLarge, maxReply)
	}
	t.mu.Lock()
	t.replies += int64(len(body))
	t.mu.Unlock()
	for name, values := range resp.Header {
		for _, v := range values {
			if passedDown(name) {
				header = append(header, &fetch.HeaderEntry{Name: name, Value: v})
			}
		}
	}
	return header, resp.StatusCode, body, nil
}

// passedUp tells which header fields of the browser are sent: those that say
// what is asked for. Who asks is the RoundTripper's to say.
func passedUp(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "user-agent", "host", "connection", "accept-encoding", "range", "purpose", "upgrade-insecure-requests", "proxy-authorization", "authorization":
		return false
	}
	return !strings.HasPrefix(name, "sec-")
}

// passedDown tells which header fields of an answer the browser gets. The body
// is decoded already, and nothing is to be reported, remembered or refreshed.
func passedDown(name string) bool {
	switch strings.ToLower(name) {
	case "content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive", "alt-svc", "nel", "report-to", "reporting-endpoints",
		"strict-transport-security", "clear-site-data", "link", "refresh", "content-disposition", "accept-ch", "origin-agent-cluster", "speculation-rules", "sourcemap":
		return false
	}
	return true
}

// documentHeader is what of the fetched answer bears on showing it.
func documentHeader(h http.Header) []*fetch.HeaderEntry {
	out := []*fetch.HeaderEntry{{Name: "Content-Type", Value: "text/html; charset=utf-8"}}
	for _, name := range []string{"Content-Security-Policy", "Referrer-Policy", "Set-Cookie"} {
		for _, v := range h.Values(name) {
			out = append(out, &fetch.HeaderEntry{Name: name, Value: v})
		}
	}
	return out
}
