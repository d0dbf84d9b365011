package transport

import (
	"fmt"
	"net/netip"
	"time"
)

// ScopeError says that a URL, first or reached by a redirect, is not one the
// policy lets us fetch. Asking again is useless until the policy changes.
type ScopeError struct {
	URL    string // as asked for
	Reason string // for people
}

// Error implements error.
func (e *ScopeError) Error() string { return fmt.Sprintf("out of scope: %s: %s", e.URL, e.Reason) }

// AddressError says that a host led to an address or port that crawled pages
// must never reach (private, loopback, metadata service …). It is raised after
// name resolution, before the first packet is sent.
type AddressError struct {
	Addr   netip.AddrPort // what the host led to; zero when it never got that far
	Reason string         // for people
}

// Error implements error.
func (e *AddressError) Error() string {
	return fmt.Sprintf("refused address %s: %s (if it is meant, name it in the site's allow_private or allow_ports)", e.Addr, e.Reason)
}

// RobotsError says that robots.txt forbids the URL. Decision.Temporary tells a
// rule of the site from a robots.txt that could not be had just now.
type RobotsError struct {
	Decision Decision
	Err      error // why robots.txt could not be had; nil for a rule
}

// Error implements error.
func (e *RobotsError) Error() string { return "robots.txt: " + e.Decision.String() }

// Unwrap gives the failure of the robots.txt fetch, nil for a rule.
func (e *RobotsError) Unwrap() error { return e.Err }

// Kinds of limit, see TooLargeError.
const (
	KindWire    = "wire"    // bytes received
	KindDecoded = "decoded" // bytes after content decoding
	KindRatio   = "ratio"   // decoded bytes per received byte
)

// TooLargeError says that a body went over a limit. Nothing of the body is
// handed on: a cut page is never passed off as a whole one.
type TooLargeError struct {
	Limit int64  // bytes, or the factor for KindRatio
	Kind  string // KindWire, KindDecoded or KindRatio
}

// Error implements error.
func (e *TooLargeError) Error() string {
	if e.Kind == KindRatio {
		return fmt.Sprintf("body expands more than %d times: decompression bomb", e.Limit)
	}
	return fmt.Sprintf("body is over the %s limit of %d bytes", e.Kind, e.Limit)
}

// TruncatedError says that the body ended before it was whole: fewer bytes
// than Content-Length, a broken chunk, or a cut compressed stream.
type TruncatedError struct {
	Got  int64 // bytes received
	Want int64 // bytes announced; -1 when not announced
	Err  error // what the reader said
}

// Error implements error.
func (e *TruncatedError) Error() string {
	if e.Want >= 0 {
		return fmt.Sprintf("body cut short: %d of %d bytes: %v", e.Got, e.Want, e.Err)
	}
	return fmt.Sprintf("body cut short after %d bytes: %v", e.Got, e.Err)
}

// Unwrap gives what the reader said.
func (e *TruncatedError) Unwrap() error { return e.Err }

// EncodingError says that a content coding is unknown, nested too deep, or
// its stream is damaged.
type EncodingError struct {
	Encoding string // as the server named it
	Err      error  // what the decoder said
}

// Error implements error.
func (e *EncodingError) Error() string {
	return fmt.Sprintf("decoding content-encoding %q: %v", e.Encoding, e.Err)
}

// Unwrap gives what the decoder said.
func (e *EncodingError) Unwrap() error { return e.Err }

// CharsetError says that a body that calls itself text is none: no charset
// reads it without losing a large part.
type CharsetError struct {
	Name  string // the best guess
	Bad   int    // characters that could not be read, and control characters
	Total int    // characters beyond ASCII, Bad included
}

// Error implements error.
func (e *CharsetError) Error() string {
	return fmt.Sprintf("not text: %d of %d characters beyond ASCII unreadable, even as %s", e.Bad, e.Total, e.Name)
}

// ContentTypeError says that the policy wants text and the server sent
// something else. The body was not read.
type ContentTypeError struct {
	Type string // the Content-Type as sent
}

// Error implements error.
func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("content type %q is not text", e.Type)
}

// TimeoutError says which of the time limits ran out. It implements net.Error.
type TimeoutError struct {
	Stage string        // "connect or header", "body idle" or "total"
	After time.Duration // the limit
	Err   error         // what the network said; may be nil
}

// Error implements error.
func (e *TimeoutError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("timeout: %s limit of %s", e.Stage, e.After)
	}
	return fmt.Sprintf("timeout: %s: %v", e.Stage, e.Err)
}

// Timeout implements net.Error; it is always true.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary implements net.Error; it is always true.
func (e *TimeoutError) Temporary() bool { return true }

// Unwrap gives what the network said.
func (e *TimeoutError) Unwrap() error { return e.Err }

// KeepError says that Options.OnBody could not keep an exchange. Neither the
// page nor its host is to blame.
type KeepError struct {
	URL string // of the hop
	Err error  // what the hook said
}

// Error implements error.
func (e *KeepError) Error() string {
	return fmt.Sprintf("keeping the raw body of %s: %v", e.URL, e.Err)
}

// Unwrap gives what the hook said.
func (e *KeepError) Unwrap() error { return e.Err }
