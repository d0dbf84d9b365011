package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Limits of one record. The transport's limits on bodies are far below.
const (
	maxMember = 256 << 20 // compressed
	maxBlock  = 256 << 20
	maxHeader = 256 << 10
)

// Record is one WARC record, whole and with its digests checked.
type Record struct {
	Fields []Field // of the WARC header, in order
	Block  []byte
}

// Get returns the first field of that name, in any case; "" without one.
func (r Record) Get(name string) string {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Payload returns the body of an HTTP response or request block, as received;
// the whole block for other records.
func (r Record) Payload() []byte {
	if !strings.HasPrefix(r.Get("Content-Type"), "application/http") {
		return r.Block
	}
	if i := bytes.Index(r.Block, []byte("\r\n\r\n")); i >= 0 {
		return r.Block[i+4:]
	}
	return nil
}

// ParseRecord reads one uncompressed record, which must fill data: the version,
// the fields, a block of just Content-Length bytes, and digests that fit.
// It is strict, because everything it is meant for was written by this package.
func ParseRecord(data []byte) (Record, error) {
	head, ok := bytes.CutPrefix(data, []byte("WARC/1.1\r\n"))
	if !ok {
		return Record{}, errors.New("does not begin with WARC/1.1")
	}
	end := bytes.Index(head[:min(len(head), maxHeader)], []byte("\r\n\r\n"))
	if end < 0 {
		return Record{}, errors.New("the header has no end")
	}
	var r Record
	for _, line := range strings.Split(string(head[:end]), "\r\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok || name == "" || strings.ContainsAny(line, "\r\n\x00") {
			return Record{}, fmt.Errorf("header line %q is not NAME: VALUE", cut(line, 80))
		}
		r.Fields = append(r.Fields, Field{name, value})
	}
	rest := head[end+4:]
	n, err := strconv.ParseInt(r.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 || n != int64(len(rest))-4 {
		return Record{}, fmt.Errorf("content length %q, there are %d bytes", cut(r.Get("Content-Length"), 40), len(rest)-4)
	}
	if !bytes.HasSuffix(rest, []byte("\r\n\r\n")) {
		return Record{}, errors.New("the record has no end")
	}
	r.Block = rest[:n]
	for _, name := range []string{"WARC-Record-ID", "WARC-Type", "WARC-Date", "WARC-Block-Digest"} {
		if r.Get(name) == "" {
			return Record{}, fmt.Errorf("there is no %s", name)
		}
	}
	if got := digest(r.Block); got != r.Get("WARC-Block-Digest") {
		return Record{}, fmt.Errorf("block digest is %s, the header says %s", got, cut(r.Get("WARC-Block-Digest"), 80))
	}
	// A revisit's payload is in the record it refers to.
	if want := r.Get("WARC-Payload-Digest"); want != "" && r.Get("WARC-Type") != TypeRevisit {
		if got := digest(r.Payload()); got != want {
			return Record{}, fmt.Errorf("payload digest is %s, the header says %s", got, cut(want, 80))
		}
	}
	return r, nil
}

func digest(data []byte) string { return digestPrefix + hexSum(data) }

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

// gzipHead is the head of every member: no name, no time, fastest compression,
// unknown system. The checksum of a member does not cover it.
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}

var errHead = errors.New("the gzip header is not one of ours")

// readMember decompresses one member that must fill data.
func readMember(data []byte, gz *gzip.Reader) (Record, error) {
	if !bytes.HasPrefix(data, gzipHead) {
		return Record{}, errHead
	}
	src := bytes.NewReader(data)
	plain, err := inflate(src, gz)
	if err != nil {
		return Record{}, err
	}
	if src.Len() > 0 {
		return Record{}, fmt.Errorf("%d bytes behind the record", src.Len())
	}
	return ParseRecord(plain)
}

// inflate reads one member; src must be an io.ByteReader, so that not a byte
// more is taken.
func inflate(src interface {
	io.Reader
	io.ByteReader
}, gz *gzip.Reader) ([]byte, error) {
	if err := gz.Reset(src); err != nil {
		return nil, fmt.Errorf("not a gzip member: %w", err)
	}
	gz.Multistream(false)
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(gz, maxBlock+maxHeader+1))
	if err != nil {
		return nil, fmt.Errorf("decompressing: %w", err)
	}
	if n > maxBlock+maxHeader {
		return nil, fmt.Errorf("the record is over %d bytes", maxBlock)
	}
	return buf.Bytes(), nil
}

// scanner reads a WARC file record by record, without its index.
type scanner struct {
	src  *countReader
	gz   gzip.Reader
	size int64
}

// countReader counts what was taken and hashes it.
type countReader struct {
	r    *bufio.Reader
	n    int64
	seen []byte // bytes of the member in work
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.seen = append(c.seen, p[:n]...)
	return n, err
}

func (c *countReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
		c.seen = append(c.seen, b)
	}
	return b, err
}

func newScanner(f io.ReaderAt, from, to int64) *scanner {
	return &scanner{src: &countReader{r: bufio.NewReaderSize(io.NewSectionReader(f, from, to-from), 64<<10), n: from}, size: to}
}

// next gives the next record and its entry; io.EOF at the end. After another
// error the scanner is of no more use: the entry's offset says where.
func (s *scanner) next() (Record, Entry, error) {
	start := s.src.n
	if start >= s.size {
		return Record{}, Entry{Offset: start}, io.EOF
	}
	s.src.seen = s.src.seen[:0]
	plain, err := inflate(s.src, &s.gz)
	if err == nil && !bytes.HasPrefix(s.src.seen, gzipHead) {
		err = errHead
	}
	if err != nil {
		return Record{}, Entry{Offset: start}, err
	}
	r, err := ParseRecord(plain)
	if err != nil {
		return Record{}, Entry{Offset: start}, err
	}
	return r, entryOf(r, start, s.src.n-start, hexSum(s.src.seen)), nil
}

// nextWhole looks for the next whole record at or behind from; -1 when there
// is none.
func nextWhole(f io.ReaderAt, from, to int64) (int64, error) {
	const step = 1 << 20
	buf := make([]byte, step+len(gzipHead))
	for at := from; at < to; at += step {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
		if err != nil && err != io.EOF {
			return -1, fmt.Errorf("looking for a whole record: %w", err)
		}
		for i := 0; ; i++ {
			j := bytes.Index(buf[i:n], gzipHead)
			if j < 0 || i+j >= step {
				break
			}
			i += j
			if _, _, err := newScanner(f, at+int64(i), to).next(); err == nil {
				return at + int64(i), nil
			}
		}
	}
	return -1, nil
}
