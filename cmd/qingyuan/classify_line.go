package main

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"qingyuan/classify"
	"qingyuan/post"
)

// inputReader reads one line of classify -jsonl without encoding/json, as long
// as the line is plain: an object of strings under small-letter keys, each
// valid UTF-8 and without surrogates. What it takes it takes as encoding/json
// would; every other line, and so every mistake, is left to that.
type inputReader struct {
	line string
	i    int
	buf  []byte // a string with its escapes undone
}

// read fills in; it reports false when the line is not plain.
func (r *inputReader) read(line string, in *classifyInput) bool {
	r.line, r.i = line, 0
	*in = classifyInput{}
	if !r.sign('{') {
		return false
	}
	for first := true; ; first = false {
		if r.sign('}') {
			return first && r.atEnd() // ,} is a mistake
		}
		key, ok := r.text()
		if !ok || !plainKey(key) || !r.sign(':') {
			return false
		}
		value, ok := r.text()
		if !ok {
			return false
		}
		in.set(key, value)
		if !r.sign(',') {
			return r.sign('}') && r.atEnd()
		}
	}
}

func (in *classifyInput) set(key, value string) {
	switch key {
	case "id":
		in.ID = value
	case "title":
		in.Title = value
	case "text":
		in.Text = value
	case "source_type":
		in.SourceType = value
	case "kind":
		in.Kind = post.Kind(value)
	}
}

// plainKey reports whether a key is the name of a field or of none, also when
// case is ignored.
func plainKey(key string) bool {
	for i := range len(key) {
		if c := key[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func (r *inputReader) space() {
	for r.i < len(r.line) {
		switch r.line[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}

// sign passes c, with the spaces before it, if it is the next sign.
func (r *inputReader) sign(c byte) bool {
	r.space()
	if r.i >= len(r.line) || r.line[r.i] != c {
		return false
	}
	r.i++
	return true
}

func (r *inputReader) atEnd() bool {
	r.space()
	return r.i == len(r.line)
}

// text reads a string.
func (r *inputReader) text() (string, bool) {
	if !r.sign('"') {
		return "", false
	}
	from := r.i
	for ; r.i < len(r.line); r.i++ {
		switch c := r.line[r.i]; {
		case c == '"':
			s := r.line[from:r.i]
			r.i++
			return s, utf8.ValidString(s)
		case c == '\\':
			return r.escaped(from)
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escaped reads the rest of a string that begins at from and has an escape at
// r.i.
func (r *inputReader) escaped(from int) (string, bool) {
	r.buf = append(r.buf[:0], r.line[from:r.i]...)
	for r.i < len(r.line) {
		c := r.line[r.i]
		r.i++
		switch {
		case c == '"':
			s := string(r.buf)
			return s, utf8.ValidString(s)
		case c < ' ':
			return "", false
		case c != '\\':
			r.buf = append(r.buf, c)
		case !r.escape():
			return "", false
		}
	}
	return "", false
}

// escape undoes the escape whose backslash has been passed.
func (r *inputReader) escape() bool {
	if r.i >= len(r.line) {
		return false
	}
	c := r.line[r.i]
	r.i++
	const short, plain = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if k := bytes.IndexByte([]byte(short), c); k >= 0 {
		r.buf = append(r.buf, plain[k])
		return true
	}
	if c != 'u' || r.i+4 > len(r.line) {
		return false
	}
	var v rune
	for _, h := range []byte(r.line[r.i : r.i+4]) {
		switch {
		case h >= '0' && h <= '9':
			v = v<<4 | rune(h-'0')
		case h|0x20 >= 'a' && h|0x20 <= 'f':
			v = v<<4 | rune(h|0x20-'a'+10)
		default:
			return false
		}
	}
	if v >= 0xd800 && v < 0xe000 {
		return false
	}
	r.i += 4
	r.buf = utf8.AppendRune(r.buf, v)
	return true
}

// appendOutput appends one line of the answer.
func appendOutput(dst []byte, out *classifyOutput) ([]byte, error) {
	dst = classify.AppendJSONString(append(dst, `{"id":`...), out.ID)
	if out.Verdict != nil {
		var err error
		if dst, err = out.AppendJSONFields(append(dst, ',')); err != nil {
			return dst, err
		}
	}
	if out.Error != "" {
		dst = classify.AppendJSONString(append(dst, `,"error":`...), out.Error)
	}
	if out.Line != 0 {
		dst = strconv.AppendInt(append(dst, `,"line":`...), int64(out.Line), 10)
	}
	return append(dst, "}\n"...), nil
}
