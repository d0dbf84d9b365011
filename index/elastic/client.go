package elastic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	elasticsearch "github.com/elastic/go-elasticsearch/v8"

	"qingyuan/index"
)

// Server says where Elasticsearch is and who we are there.
type Server struct {
	URLs []string // http:// or https://, one a node
	// CAFile is the certificate authority of the server, PEM. Empty: those of
	// the machine.
	CAFile string
	// Fingerprint is the SHA-256 of the authority's certificate, in hex with or
	// without colons: the server's chain must end there. Not together with CAFile.
	Fingerprint string
	// APIKey is the encoded form that Elasticsearch prints; instead of User.
	APIKey string
	// User and Password authenticate without a key; both empty for a server
	// without security.
	User, Password string
	// Timeout bounds one request; 60 s when 0.
	Timeout time.Duration
}

// maxResponse bounds one answer of the server in bytes: a page of the largest
// posts is about half of it.
const maxResponse = 2 << 30

// client sends requests and tells what their failure means.
type client struct {
	es        *elasticsearch.Client
	transport *http.Transport
	timeout   time.Duration
	where     string // the addresses, without secrets
}

func newClient(s Server) (*client, error) {
	tlsConfig, err := s.tls()
	if err != nil {
		return nil, err
	}
	if s.Timeout <= 0 {
		s.Timeout = time.Minute
	}
	tr := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     time.Minute,
	}
	es, err := elasticsearch.NewClient(elasticsearch.Config{
		Addresses: s.URLs, Username: s.User, Password: s.Password, APIKey: s.APIKey, Transport: tr,
		DisableMetaHeader: true, DisableRetry: len(s.URLs) == 1, MaxRetries: len(s.URLs),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: index server: %w", index.ErrInvalid, err)
	}
	return &client{es: es, transport: tr, timeout: s.Timeout, where: strings.Join(s.URLs, ", ")}, nil
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// Validate returns all that is wrong with the addresses and secrets.
func (s Server) Validate() error {
	var errs []error
	if len(s.URLs) == 0 {
		errs = append(errs, errors.New("no address is given; write http://127.0.0.1:9200"))
	}
	for _, u := range s.URLs {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			errs = append(errs, fmt.Errorf("%q is no address; write https://host:9200", u))
		} else if parsed.User != nil {
			errs = append(errs, fmt.Errorf("the address of %s holds a password; give it apart", parsed.Host))
		}
	}
	if s.CAFile != "" && s.Fingerprint != "" {
		errs = append(errs, errors.New("give the authority's file or its fingerprint, not both"))
	}
	if _, err := fingerprint(s.Fingerprint); err != nil {
		errs = append(errs, err)
	}
	if s.APIKey != "" && s.User != "" {
		errs = append(errs, errors.New("give an API key or a user, not both"))
	}
	if (s.User == "") != (s.Password == "") {
		errs = append(errs, errors.New("a user needs a password, and the other way round"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: index server: %w", index.ErrInvalid, errors.Join(errs...))
	}
	return nil
}

// fingerprint reads a SHA-256 in hex as openssl or Elasticsearch print it; nil for "".
func fingerprint(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	sum, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(s))
	if err != nil || len(sum) != sha256.Size {
		return nil, errors.New("the fingerprint is no SHA-256: 64 hexadecimal digits, with or without colons")
	}
	return sum, nil
}

// tls says which certificates of the server are trusted.
func (s Server) tls() (*tls.Config, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the index server's authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no PEM certificate", index.ErrInvalid, s.CAFile)
		}
	}
	if pin, _ := fingerprint(s.Fingerprint); pin != nil {
		// The usual check needs the authority beforehand; verifyPinned does the
		// whole of it with the one that the server sends and the pin names.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(cs tls.ConnectionState) error { return verifyPinned(cs, pin) }
	}
	return config, nil
}

// verifyPinned checks that the server's certificate is valid for its name and
// now, by the pinned one of the certificates it sent.
func verifyPinned(cs tls.ConnectionState, pin []byte) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, cert := range cs.PeerCertificates {
		sum := sha256.Sum256(cert.Raw)
		if bytes.Equal(sum[:], pin) {
			roots.AddCert(cert)
			found = true
		} else {
			others.AddCert(cert)
		}
	}
	if !found {
		return errors.New("no certificate that the server sends has the fingerprint in the config; it must send its authority's too")
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, DNSName: cs.ServerName})
	return err
}

// serverError is an answer that is no success.
type serverError struct {
	status int
	kind   string // Elasticsearch's type of error
	reason string
	class  error // one of the exported errors, or nil
}

func (e *serverError) Error() string {
	text := fmt.Sprintf("status %d", e.status)
	if e.kind != "" {
		text += " " + e.kind
	}
	if e.reason != "" {
		text += ": " + e.reason
	}
	if e.class != nil {
		return e.class.Error() + " (" + text + ")"
	}
	return text
}

func (e *serverError) Unwrap() error { return e.class }

// is reports whether err is an answer with that status.
func is(err error, status int) bool {
	var e *serverError
	return errors.As(err, &e) && e.status == status
}

// classOf says what a failure means, of a request or of one item.
func classOf(status int, kind string) error {
	switch {
	case status == http.StatusTooManyRequests && kind == "cluster_block_exception":
		return ErrDiskFull
	case status == http.StatusForbidden && kind == "cluster_block_exception":
		return fmt.Errorf("%w for writing: the index is blocked, as it is while qingyuan setup migrates it", ErrUnavailable)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: check the API key or user and its rights", ErrRefused)
	case status == http.StatusNotFound && kind == "index_not_found_exception":
		return ErrNotSetUp
	case status == http.StatusTooManyRequests, status >= 500:
		return ErrUnavailable
	}
	return nil
}

// call sends one request; body and out are JSON, either may be nil. A body
// that ends with a line break is sent as NDJSON.
func (c *client) call(ctx context.Context, method, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, path, nil)
	if err != nil {
		return err
	}
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Header.Set("Content-Type", "application/json")
		if bytes.HasSuffix(body, []byte("\n")) {
			req.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	res, err := c.es.Perform(req)
	if err != nil {
		return transportError(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	if err != nil {
		return transportError(err)
	}
	if res.StatusCode >= 300 {
		return readError(res.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%w: its answer to %s %s is no JSON we know: %w", ErrUnavailable, method, path, err)
	}
	return nil
}

func transportError(err error) error {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate), strings.Contains(err.Error(), "fingerprint in the config"), strings.Contains(err.Error(), "x509:"):
		return fmt.Errorf("%w, or is not the one meant: its certificate is not trusted; check ca_file or fingerprint: %w", ErrRefused, err)
	case strings.Contains(err.Error(), "not Elasticsearch"):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func readError(status int, raw []byte) error {
	e := &serverError{status: status}
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	var detail itemError
	if json.Unmarshal(raw, &answer) == nil && json.Unmarshal(answer.Error, &detail) == nil {
		e.kind, e.reason = detail.Type, detail.text()
	} else {
		e.reason = strings.ToValidUTF8(string(raw[:min(len(raw), 300)]), "\uFFFD")
	}
	e.class = classOf(status, e.kind)
	return e
}

// itemError is an error as Elasticsearch writes it.
type itemError struct {
	Type     string     `json:"type"`
	Reason   string     `json:"reason"`
	CausedBy *itemError `json:"caused_by"`
}

// text is the reason with its cause.
func (e itemError) text() string {
	text := e.Reason
	for c := e.CausedBy; c != nil; c = c.CausedBy {
		text += ": " + c.Reason
	}
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "") + "…"
	}
	return text
}

func isMissingIndex(err error) bool { return errors.Is(err, ErrNotSetUp) }
