package archive

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/nlnwa/gowarc/v2"
)

// member is one record ready to be written.
type member struct {
	data  []byte // compressed
	entry Entry  // without the offset, which the file gives
}

// blank is a record before it is written.
type blank struct {
	kind        gowarc.RecordType
	id          string
	url         string
	date        time.Time
	contentType string
	payload     string // SHA-256 in hex; "" for none
	more        []Field
	block       [][]byte // in pieces
}

// pack holds what packing a record needs again and again.
type pack struct {
	plain, packed bytes.Buffer
	gz            *gzip.Writer
}

func newPack() any {
	gz, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels only
	return &pack{gz: gz}
}

// newID makes a record id.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := make([]byte, 0, len("urn:uuid:")+36)
	id = append(id, "urn:uuid:"...)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			id = append(id, '-')
		}
		id = hex.AppendEncode(id, []byte{c})
	}
	return string(id)
}

// pack makes the gzip member of a record. It is written here, field by field:
// the library copies each block three times on the way and checks what is made
// here, which costs more than all the rest. That it reads the records is tested.
func (b blank) pack(p *pack) (member, error) {
	sum, length := sha256.New(), 0
	for _, piece := range b.block {
		sum.Write(piece)
		length += len(piece)
	}
	if length > maxBlock {
		return member{}, fmt.Errorf("making a %s record: %d bytes are over the limit of %d", b.kind, length, maxBlock)
	}
	p.plain.Reset()
	p.plain.WriteString("WARC/1.1\r\n")
	put := func(name, value string) {
		for _, s := range [...]string{name, ": ", value, "\r\n"} {
			p.plain.WriteString(s)
		}
	}
	put("WARC-Type", b.kind.String())
	put("WARC-Record-ID", "<"+b.id+">")
	put("WARC-Date", b.date.UTC().Format(dateFormat))
	if b.url != "" {
		put("WARC-Target-URI", b.url)
	}
	for _, f := range b.more {
		put(f.Name, oneLiner(f.Value))
	}
	if b.payload != "" {
		put("WARC-Payload-Digest", digestPrefix+b.payload)
	}
	put("WARC-Block-Digest", digestPrefix+hex.EncodeToString(sum.Sum(nil)))
	put("Content-Type", b.contentType)
	put("Content-Length", strconv.Itoa(length))
	p.plain.WriteString("\r\n")

	p.packed.Reset()
	p.gz.Reset(&p.packed)
	p.gz.ModTime = time.Unix(0, 0) // "none"; the zero time.Time would be written as a date
	pieces := slices.Concat([][]byte{p.plain.Bytes()}, b.block, [][]byte{[]byte("\r\n\r\n")})
	for _, piece := range pieces {
		if _, err := p.gz.Write(piece); err != nil {
			return member{}, fmt.Errorf("compressing a %s record: %w", b.kind, err)
		}
	}
	if err := p.gz.Close(); err != nil {
		return member{}, fmt.Errorf("compressing a %s record: %w", b.kind, err)
	}
	data := bytes.Clone(p.packed.Bytes())
	e := Entry{Length: int64(len(data)), SHA256: hexSum(data), ID: b.id, Type: b.kind.String(), URL: b.url, Date: b.date.UTC().Format(dateFormat), Payload: b.payload}
	for _, f := range b.more {
		switch f.Name {
		case "WARC-Refers-To":
			e.RefersTo = trimID(f.Value)
		case "WARC-Concurrent-To":
			e.Page = trimID(f.Value)
		}
	}
	if b.kind == gowarc.Response || b.kind == gowarc.Revisit {
		e.Status = statusOf(b.block[0])
	}
	return member{data, e}, nil
}

// isPlainLine reports whether s is printable ASCII without blanks at its ends.
func isPlainLine(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s == "" || s[0] != ' ' && s[len(s)-1] != ' '
}

// oneLiner makes a value safe for a header line.
func oneLiner(s string) string {
	if isPlainLine(s) {
		return s
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// cleanURL escapes what must not stand in a header line. "=?" would be taken
// for an encoded word (RFC 2047) by some readers, and the address for another.
func cleanURL(s string) string {
	if isPlainLine(s) && !strings.Contains(s, "=?") && !strings.Contains(s, " ") {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '?' && i > 0 && s[i-1] == '=' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// original is the earlier record that a revisit refers to.
type original struct {
	ID, URL, Date string
	File          string
	Offset        int64
}

// Fields of a revisit record that lead to the original without a search; not
// in WARC 1.1, which lets readers skip what they do not know.
const (
	fieldFile   = "WARC-Refers-To-Filename"
	fieldOffset = "WARC-Refers-To-File-Offset"
)

// exchangeRecords makes the records of an exchange: request, response (or revisit of
// the original) and metadata. sum is the SHA-256 of the body, in hex.
func exchangeRecords(p *pack, x *Exchange, sum string, of *original) ([]member, Ref, error) {
	if x.URL == "" || x.Method == "" || x.Started.IsZero() {
		return nil, Ref{}, errors.New("an exchange needs method, URL and time")
	}
	u, err := url.Parse(x.URL)
	if err != nil {
		return nil, Ref{}, fmt.Errorf("reading the URL: %w", err)
	}
	date, address := x.Started.UTC().Truncate(time.Microsecond), cleanURL(x.URL)
	response := blank{kind: gowarc.Response, id: newID(), url: address, date: date, contentType: "application/http;msgtype=response",
		payload: sum, block: [][]byte{responseHead(x), x.Body}}
	if host, _, err := net.SplitHostPort(x.RemoteAddr); err == nil {
		host, _, _ = strings.Cut(host, "%")
		response.more = append(response.more, Field{"WARC-IP-Address", host})
	}
	if x.Truncated != "" {
		response.more = append(response.more, Field{"WARC-Truncated", x.Truncated})
	}
	if of != nil {
		profile := profileSame
		if x.Status == http.StatusNotModified {
			profile = profileNotModified
			response.payload = "" // there was none
		}
		response.kind, response.block = gowarc.Revisit, response.block[:1]
		response.more = append(response.more, Field{"WARC-Profile", profile}, Field{"WARC-Refers-To", "<" + of.ID + ">"},
			Field{"WARC-Refers-To-Target-URI", of.URL}, Field{"WARC-Refers-To-Date", of.Date},
			Field{fieldFile, of.File}, Field{fieldOffset, strconv.FormatInt(of.Offset, 10)})
	}
	with := Field{"WARC-Concurrent-To", "<" + response.id + ">"}
	request := blank{kind: gowarc.Request, id: newID(), url: address, date: date, contentType: "application/http;msgtype=request",
		more: []Field{with}, block: [][]byte{requestHead(x, u)}}
	metadata := blank{kind: gowarc.Metadata, id: newID(), url: address, date: date, contentType: "application/warc-fields",
		more: []Field{with}, block: [][]byte{metadataBlock(x)}}
	var out []member
	for _, b := range []blank{request, response, metadata} {
		m, err := b.pack(p)
		if err != nil {
			return nil, Ref{}, err
		}
		out = append(out, m)
	}
	return out, Ref{RecordID: response.id, SHA256: sum, Date: date, Revisit: of != nil}, nil
}

// requestHead writes a request as it was sent. HTTP/2 has no such lines; they
// are written as HTTP/1.1 has them, as all archives do.
func requestHead(x *Exchange, u *url.URL) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", x.Method, u.RequestURI())
	if len(x.Sent) == 0 {
		fmt.Fprintf(&b, "Host: %s\r\n", u.Host)
		writeHeader(&b, x.RequestHeader)
	}
	for _, f := range x.Sent {
		if f.Name == ":authority" {
			f.Name = "Host"
		}
		if !strings.HasPrefix(f.Name, ":") {
			b.WriteString(unbroken(f.Name) + ": " + unbroken(f.Value) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// responseHead writes status line and header. The body stands as received but
// for the chunks of a chunked transfer, which are undone; Go has taken
// Transfer-Encoding out of the header together with them.
func responseHead(x *Exchange) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %03d %s\r\n", x.Status, http.StatusText(x.Status))
	writeHeader(&b, x.ResponseHeader)
	b.WriteString("\r\n")
	return b.Bytes()
}

// writeHeader writes names in order of the alphabet, values in that of the
// exchange.
func writeHeader(b *bytes.Buffer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if strings.EqualFold(name, "Transfer-Encoding") {
			continue
		}
		for _, value := range h[name] {
			b.WriteString(unbroken(name))
			b.WriteString(": ")
			b.WriteString(unbroken(value))
			b.WriteString("\r\n")
		}
	}
}

// unbroken keeps bytes as they are, but for line breaks and NUL.
func unbroken(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(s)
}

// metadataBlock tells what neither request nor response does.
func metadataBlock(x *Exchange) []byte {
	fields := slices.Clone(x.About)
	put := func(name, value string) { fields = append(fields, Field{name, value}) }
	put("protocol", x.Proto)
	put("remote", x.RemoteAddr)
	if x.TLS != nil {
		put("tls", tls.VersionName(x.TLS.Version)+" "+tls.CipherSuiteName(x.TLS.CipherSuite))
		if len(x.TLS.PeerCertificates) > 0 {
			put("tls-leaf-sha256", hexSum(x.TLS.PeerCertificates[0].Raw))
		}
	}
	put("fetchTimeMs", strconv.FormatInt(x.Took.Milliseconds(), 10))
	return fieldsBlock(fields)
}

// fieldsBlock writes the block of a metadata record.
func fieldsBlock(fields []Field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		if value := oneLiner(f.Value); value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", f.Name, value)
		}
	}
	return b.Bytes()
}

// ParseFields reads the block of a metadata or warcinfo record.
func ParseFields(block []byte) []Field {
	var out []Field
	for line := range strings.SplitSeq(string(block), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			out = append(out, Field{name, value})
		}
	}
	return out
}
