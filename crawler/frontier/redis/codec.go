package redis

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"qingyuan/crawler/frontier"
)

// How a URL is written: whole, or without what its host says already.
const (
	urlWhole = iota
	urlHTTPS
	urlHTTP
)

func shorten(url, host string) (form byte, rest string) {
	if rest, ok := strings.CutPrefix(url, "https://"+host); ok {
		return urlHTTPS, rest
	}
	if rest, ok := strings.CutPrefix(url, "http://"+host); ok {
		return urlHTTP, rest
	}
	return urlWhole, url
}

func lengthen(form byte, rest, host string) string {
	switch form {
	case urlHTTPS:
		return "https://" + host + rest
	case urlHTTP:
		return "http://" + host + rest
	}
	return rest
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// taskText packs what of a task the scripts need not read: URL, parent, page
// rule and depth.
func taskText(k frontier.Task) string {
	form, url := shorten(k.URL, k.Host)
	parentForm, parent := shorten(k.Parent, k.Host)
	b := make([]byte, 0, 8+len(k.Page)+len(parent)+len(url))
	b = append(b, form|parentForm<<2)
	b = binary.AppendVarint(b, int64(k.Depth))
	b = appendText(b, k.Page)
	b = appendText(b, parent)
	return string(append(b, url...))
}

// unpackTask undoes taskText, into a task whose Host is known.
func unpackTask(text string, k *frontier.Task) error {
	r := bytesReader{rest: text}
	forms := r.byte()
	k.Depth = int(r.varint())
	k.Page = r.text()
	k.Parent = lengthen(forms>>2, r.text(), k.Host)
	k.URL = lengthen(forms&3, r.rest, k.Host)
	return r.err
}

// How marks are written.
const (
	markHexHash = 1 << iota // the hash is hex, kept as bytes
	markDate                // Last-Modified is an HTTP date, kept as Unix seconds
)

// packMarks packs what the next conditional request needs.
func packMarks(o frontier.Outcome) string {
	var flags byte
	hash := []byte(o.ContentHash)
	if raw, err := hex.DecodeString(o.ContentHash); err == nil && hex.EncodeToString(raw) == o.ContentHash {
		hash, flags = raw, flags|markHexHash
	}
	modified, err := time.Parse(http.TimeFormat, o.LastModified)
	if err == nil && modified.UTC().Format(http.TimeFormat) == o.LastModified {
		flags |= markDate
	}
	b := binary.AppendVarint([]byte{flags}, int64(o.Status))
	b = appendText(b, o.ETag)
	if flags&markDate != 0 {
		b = binary.AppendVarint(b, modified.Unix())
	} else {
		b = appendText(b, o.LastModified)
	}
	return string(append(b, hash...))
}

// unpackMarks undoes packMarks; "" is the zero Outcome.
func unpackMarks(text string) (o frontier.Outcome, err error) {
	if text == "" {
		return o, nil
	}
	r := bytesReader{rest: text}
	flags := r.byte()
	o.Status = int(r.varint())
	o.ETag = r.text()
	if flags&markDate != 0 {
		o.LastModified = time.Unix(r.varint(), 0).UTC().Format(http.TimeFormat)
	} else {
		o.LastModified = r.text()
	}
	o.ContentHash = r.rest
	if flags&markHexHash != 0 {
		o.ContentHash = hex.EncodeToString([]byte(r.rest))
	}
	return o, r.err
}

// bytesReader takes packed values off a text. What is cut short makes err.
type bytesReader struct {
	rest string
	err  error
}

func (r *bytesReader) short() {
	r.rest = ""
	if r.err == nil {
		r.err = fmt.Errorf("%w: a record is cut short", ErrTorn)
	}
}

func (r *bytesReader) byte() byte {
	if r.rest == "" {
		r.short()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *bytesReader) varint() int64 {
	v, n := binary.Varint([]byte(r.rest[:min(len(r.rest), binary.MaxVarintLen64)]))
	if n <= 0 {
		r.short()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *bytesReader) text() string {
	v, n := binary.Uvarint([]byte(r.rest[:min(len(r.rest), binary.MaxVarintLen64)]))
	if n <= 0 || v > uint64(len(r.rest)-n) {
		r.short()
		return ""
	}
	s := r.rest[n : n+int(v)]
	r.rest = r.rest[n+int(v):]
	return s
}
