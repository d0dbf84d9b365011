package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	sendTimeout = 20 * time.Second
	maxAnswer   = 64 << 10 // bytes of an answer that are read
)

// sharedSpace is RFC 6598's address space of carriers, which is not the internet
// either.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// nat64 is RFC 6052's well-known prefix: an IPv4 address within IPv6.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// public reports whether an address is one on the internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		raw := a.As16()
		a = netip.AddrFrom4([4]byte(raw[12:]))
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a) && (!a.Is4() || a.As4()[0] != 0)
}

// newClient makes the client of one receiver. It follows no redirects, which
// would carry the secret elsewhere, and connects to the own network only when
// that is allowed; the address is checked after its name is resolved.
func newClient(allowPrivate bool) *http.Client {
	d := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %q: %w", address, err)
		}
		if !allowPrivate && !public(ap.Addr()) {
			return permanent(fmt.Errorf("%s is not on the internet; set allow_private if this receiver is meant", ap.Addr()))
		}
		return nil
	}}
	return &http.Client{
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: sendTimeout,
			MaxIdleConns: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
	}
}

// postJSON sends JSON and returns the answer's body. Its errors never name the
// address, which may be the secret.
func postJSON(ctx context.Context, c *http.Client, address string, header http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, permanent(errors.New("the receiver's address cannot be used"))
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Qingyuan")
	resp, err := c.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the address
		}
		return nil, fmt.Errorf("reaching the receiver: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the receiver's answer: %w", err)
	}
	return answer, statusError(resp, answer)
}

// statusError is nil for success.
func statusError(resp *http.Response, answer []byte) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	err := fmt.Errorf("the receiver answered %s: %.200s", resp.Status, strings.ToValidUTF8(string(answer), ""))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		wait, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // a date or nothing: 0, the usual wait
		return &TooFastError{Wait: time.Duration(min(max(wait, 0), 3600)) * time.Second, Err: err}
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		return err
	}
	return permanent(err)
}

// decode reads an answer in JSON.
func decode(answer []byte, into any) error {
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the receiver's answer is no JSON: %.200s", strings.ToValidUTF8(string(answer), ""))
	}
	return nil
}
