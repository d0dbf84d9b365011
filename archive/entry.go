package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Entry is one line of an index: where a record stands and what it is. It is
// made of the record alone, so that a lost index can be made anew and an
// altered one be told from the true one.
type Entry struct {
	Offset   int64  `json:"offset"` // of the gzip member in the WARC file
	Length   int64  `json:"length"` // of the member
	SHA256   string `json:"sha256"` // of the member as it stands in the file, hex
	ID       string `json:"id"`     // urn:uuid:…
	Type     string `json:"type"`
	URL      string `json:"url,omitempty"`
	Date     string `json:"date"`                // WARC-Date
	Status   int    `json:"status,omitempty"`    // of a response or revisit
	Payload  string `json:"payload,omitempty"`   // SHA-256 of the payload, hex
	RefersTo string `json:"refers_to,omitempty"` // record that holds a revisit's payload
	Page     string `json:"page,omitempty"`      // record this one goes with (WARC-Concurrent-To)
}

// Time returns when the record was made; zero when the date is damaged.
func (e Entry) Time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, e.Date)
	if err != nil {
		return time.Time{}
	}
	return t
}

const (
	dateFormat   = "2006-01-02T15:04:05.000000Z"
	maxLine      = 256 << 10 // of an index or manifest line, bytes
	digestPrefix = "sha256:"
)

// line writes the entry in its one form, line break included.
func (e Entry) line() ([]byte, error) { return oneLine(e) }

func oneLine(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("writing a line: %w", err)
	}
	return buf.Bytes(), nil
}

// parseEntry reads a line, line break included, and accepts no other form than
// line gives.
func parseEntry(line []byte) (Entry, error) {
	var e Entry
	if err := strictLine(line, &e); err != nil {
		return e, err
	}
	if again, err := e.line(); err != nil || !bytes.Equal(again, line) {
		return e, errors.New("not as it was written")
	}
	if e.Offset < 0 || e.Length <= 0 || e.Length > maxMember || e.ID == "" {
		return e, errors.New("offset, length or id are impossible")
	}
	return e, nil
}

func strictLine(line []byte, v any) error {
	if len(line) == 0 || line[len(line)-1] != '\n' {
		return errors.New("the line is not complete")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("not JSON of ours: %w", err)
	}
	return nil
}

// entryOf makes the index entry of a record.
func entryOf(r Record, offset, length int64, sum string) Entry {
	e := Entry{Offset: offset, Length: length, SHA256: sum, ID: trimID(r.Get("WARC-Record-ID")), Type: r.Get("WARC-Type"),
		URL: strings.ToValidUTF8(r.Get("WARC-Target-URI"), "\uFFFD"), Date: r.Get("WARC-Date"), Payload: strings.TrimPrefix(r.Get("WARC-Payload-Digest"), digestPrefix),
		RefersTo: trimID(r.Get("WARC-Refers-To")), Page: trimID(r.Get("WARC-Concurrent-To"))}
	if e.Type == TypeResponse || e.Type == TypeRevisit {
		e.Status = statusOf(r.Block)
	}
	return e
}

// statusOf reads the status of an HTTP response block; 0 when there is none.
func statusOf(block []byte) int {
	line, _, _ := bytes.Cut(block[:min(len(block), 64)], []byte("\r\n"))
	parts := strings.SplitN(string(line), " ", 3)
	if len(parts) < 2 || !strings.HasPrefix(parts[0], "HTTP/") {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 100 || n > 999 {
		return 0
	}
	return n
}

func trimID(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">") }
