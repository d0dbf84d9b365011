// Package archive keeps what was published as evidence: WARC 1.1 files of raw
// exchanges, an index beside each, and a signed chain of manifests.
//
// What comes in: exchanges, as they went over the wire. What goes out: a Ref
// once the exchange is durable on disk; later the same bytes again, and a
// verdict on whether a single one of them was altered. The package does not
// fetch, decode, read pages or know what a post is.
//
// A folder holds warc/NAME.warc.gz (one gzip member a record) with
// warc/NAME.idx (one JSON line a record, made of nothing but the record),
// manifests/*.jsonl (signed events, each with the hash of the one before),
// key.pem and key.pub (Ed25519), holds/ (what may never be dropped) and torn/
// (ends of files that a crash left unfinished). One process writes; any number
// may read meanwhile.
package archive

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// Errors that callers branch on.
var (
	// ErrNotFound: no record has that id or URL.
	ErrNotFound = errors.New("archive: no such record")
	// ErrClosed: the writer was closed.
	ErrClosed = errors.New("archive: closed")
	// ErrLocked: another process writes into the folder.
	ErrLocked = errors.New("archive: another process writes here")
)

// Types of records, as WARC 1.1 names them.
const (
	TypeInfo       = "warcinfo"
	TypeRequest    = "request"
	TypeResponse   = "response"
	TypeRevisit    = "revisit"
	TypeMetadata   = "metadata"
	TypeResource   = "resource"   // a screenshot: made beside the page
	TypeConversion = "conversion" // a rendered DOM: made from the page
)

// Profiles of revisit records.
const (
	profileSame        = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
	profileNotModified = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
)

// Exchange is one request with its answer, one hop of a redirect. The slices
// and maps are only read, and only until Append returns.
type Exchange struct {
	Method         string      // GET
	URL            string      // absolute, of this hop
	RequestHeader  http.Header // as sent; without Host, which is taken from URL
	Sent           []Field     // header fields as they were written, in order; used instead of RequestHeader when there are any
	Status         int
	Proto          string // "HTTP/1.1", "HTTP/2.0"
	ResponseHeader http.Header
	Body           []byte // as received, content coding not undone
	Truncated      string // "" when whole, else length, time, disconnect or unspecified
	RemoteAddr     string // address and port that answered
	TLS            *tls.ConnectionState
	Started        time.Time     // kept to the microsecond
	Took           time.Duration // until the last byte
	About          []Field       // more for the metadata record, in this order: site, versions, way here
}

// Names in the metadata record that this package reads again.
const (
	AboutSource = "source" // name of the site config
	AboutVia    = "via"    // URL and record id of a hop before, oldest first
)

// Field is one named value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Ref says where an exchange was kept.
type Ref struct {
	File     string    // base name of the WARC file
	RecordID string    // of the response or revisit record, urn:uuid:…
	SHA256   string    // of the body as received, hex
	Date     time.Time // WARC-Date of its records, UTC, to the microsecond
	Revisit  bool      // the body is kept once, in an earlier record
}

// Attachment is something made from a page or beside it: a screenshot
// (TypeResource), a rendered DOM (TypeConversion).
type Attachment struct {
	Type        string // TypeResource or TypeConversion
	URL         string // of the page; a resource may have a name of its own, such as screenshot:URL
	ContentType string
	Block       []byte
	RefersTo    string // record id of the page
	Date        time.Time
	About       []Field // for a metadata record beside it, in this order; none: there is no such record
}

// DamageError says that stored bytes are not what they were.
type DamageError struct {
	File    string // relative to the archive folder
	Offset  int64  // where the damaged record or line begins
	Problem string
}

// Error implements error.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: offset %d: %s", e.File, e.Offset, e.Problem)
}

const (
	warcFolder     = "warc"
	manifestFolder = "manifests"
	holdFolder     = "holds"
	tornFolder     = "torn"
	warcSuffix     = ".warc.gz"
	indexSuffix    = ".idx"
)

func warcPath(dir, file string) string { return filepath.Join(dir, warcFolder, file) }

func indexName(file string) string { return strings.TrimSuffix(file, warcSuffix) + indexSuffix }

func indexPath(dir, file string) string { return filepath.Join(dir, warcFolder, indexName(file)) }
