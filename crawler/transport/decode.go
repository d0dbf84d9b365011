package transport

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	maxCodings = 2       // content codings stacked on one body
	ratioFloor = 1 << 20 // decoded bytes below which the ratio does not matter
	maxWindow  = 8 << 20 // zstd window, the limit RFC 8878 gives for the web
)

// limits on what one body may become.
type limits struct {
	decoded int64
	ratio   int64
	wire    int64
}

func (t *Transport) limits(wire int) limits {
	return limits{decoded: t.opts.MaxDecoded, ratio: t.opts.MaxRatio, wire: int64(wire)}
}

// decode undoes the content codings of a response.
func (t *Transport) decode(resp *http.Response, raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return raw, nil // HEAD, 204, 304: headers without a body
	}
	codings, err := contentCodings(resp.Header)
	if err != nil {
		return nil, err
	}
	body := raw
	for i := len(codings) - 1; i >= 0; i-- {
		if body, err = decodeOne(codings[i], body, t.limits(len(raw))); err != nil {
			return nil, err
		}
	}
	if int64(len(body)) > t.opts.MaxDecoded {
		return nil, &TooLargeError{Limit: t.opts.MaxDecoded, Kind: KindDecoded}
	}
	return body, nil
}

func contentCodings(h http.Header) ([]string, error) {
	var list []string
	all := strings.Join(h.Values("Content-Encoding"), ",")
	for _, c := range strings.Split(all, ",") {
		c = strings.ToLower(strings.TrimSpace(c))
		if c == "" || c == "identity" || c == "none" || c == "utf-8" {
			continue
		}
		list = append(list, strings.TrimPrefix(c, "x-"))
	}
	if len(list) > maxCodings {
		return nil, &EncodingError{Encoding: all, Err: fmt.Errorf("more than %d codings", maxCodings)}
	}
	return list, nil
}

// decodeOne undoes one coding within the limits.
func decodeOne(coding string, body []byte, lim limits) ([]byte, error) {
	src := bytes.NewReader(body)
	switch coding {
	case "gzip":
		return decodeGzip(src, lim)
	case "br":
		return readDecoded(coding, brotli.NewReader(src), lim, nil, src)
	case "zstd":
		zr, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(uint64(max(lim.decoded+1, maxWindow))))
		if err != nil {
			return nil, &EncodingError{Encoding: coding, Err: err}
		}
		defer zr.Close()
		return readDecoded(coding, zr, lim, nil, src)
	case "deflate":
		return decodeDeflate(src, body, lim)
	}
	return nil, &EncodingError{Encoding: coding, Err: errors.New("unknown coding; we ask for " + acceptEncoding)}
}

// decodeGzip reads all members. What follows the last one and is no member
// (padding, a stray line break) is ignored, as browsers do.
func decodeGzip(src *bytes.Reader, lim limits) ([]byte, error) {
	in := bufio.NewReader(src)
	zr, err := gzip.NewReader(in)
	if err != nil {
		return nil, codingError("gzip", err, src, lim)
	}
	var out []byte
	for {
		zr.Multistream(false)
		if out, err = readDecoded("gzip", zr, lim, out, src); err != nil {
			return nil, err
		}
		if magic, err := in.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
			return out, nil
		}
		if err := zr.Reset(in); err != nil {
			return nil, codingError("gzip", err, src, lim)
		}
	}
}

// decodeDeflate reads what the standard means by deflate (zlib) and what some
// servers send instead (a raw stream).
func decodeDeflate(src *bytes.Reader, body []byte, lim limits) ([]byte, error) {
	if len(body) < 2 || body[0]&0x0f != 8 || (uint(body[0])<<8|uint(body[1]))%31 != 0 {
		return readDecoded("deflate", flate.NewReader(src), lim, nil, src)
	}
	zr, err := zlib.NewReader(src)
	if err != nil {
		return nil, codingError("deflate", err, src, lim)
	}
	return readDecoded("deflate", zr, lim, nil, src)
}

// readDecoded appends r to out until the end or a limit.
func readDecoded(coding string, r io.Reader, lim limits, out []byte, src *bytes.Reader) ([]byte, error) {
	buf := bytes.NewBuffer(out)
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.Read(chunk)
		buf.Write(chunk[:n])
		size := int64(buf.Len())
		if size > lim.decoded {
			return nil, &TooLargeError{Limit: lim.decoded, Kind: KindDecoded}
		}
		if size > ratioFloor && size/lim.ratio > lim.wire {
			return nil, &TooLargeError{Limit: lim.ratio, Kind: KindRatio}
		}
		if err == io.EOF {
			return buf.Bytes(), nil
		}
		if err != nil {
			return nil, codingError(coding, err, src, lim)
		}
	}
}

// codingError tells a stream that ended early from one that is damaged or
// over the limits.
func codingError(coding string, err error, src *bytes.Reader, lim limits) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &TooLargeError{Limit: maxWindow, Kind: KindDecoded}
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return &TooLargeError{Limit: lim.decoded, Kind: KindDecoded}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &TruncatedError{Got: src.Size(), Want: -1, Err: fmt.Errorf("%s stream: %w", coding, io.ErrUnexpectedEOF)}
	}
	return &EncodingError{Encoding: coding, Err: err}
}

// isSitemapArchive tells a compressed sitemap or feed, which is served as a
// file and not as a content coding.
func isSitemapArchive(path string, body []byte) bool {
	return isArchivePath(path) && bytes.HasPrefix(body, []byte{0x1f, 0x8b})
}

// isArchivePath reports whether such a file is to be expected; it may come
// under a binary content type.
func isArchivePath(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".xml.gz") }
