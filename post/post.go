// Package post holds the Post: one published thing that a person or a site
// put before the public, as the crawler saw it.
//
// What comes in: fields that an extractor read from a page. What goes out: a
// value that every other room understands, with an id that depends only on
// where the post stands, so that seeing it twice changes nothing. The package
// knows nothing of fetching, classifying or storing; it uses the standard
// library only.
package post

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kind says what sort of thing a Post is.
type Kind string

// The kinds of posts.
const (
	KindPost    Kind = "post"    // an opening post: a thread's first floor, a microblog status, a classified
	KindComment Kind = "comment" // a reply or comment under another post
	KindAd      Kind = "ad"      // a paid or planted slot of the page: sponsored link, banner, inserted block
	KindArticle Kind = "article" // an editorial text: news, a notice, a blog entry
)

// Valid reports whether k is one of the four kinds.
func (k Kind) Valid() bool {
	switch k {
	case KindPost, KindComment, KindAd, KindArticle:
		return true
	}
	return false
}

// MaxText is the largest title+text accepted for one post, in bytes of UTF-8.
// Larger texts are refused with ErrTooLarge, never cut silently.
const MaxText = 1 << 20

// ErrTooLarge is returned by Validate for a post over MaxText bytes.
var ErrTooLarge = errors.New("post: text is larger than 1 MiB; split it or extract less of the page")

// Author is the account a post was published under.
type Author struct {
	ID   string `json:"id,omitempty"`   // the site's own account id
	Name string `json:"name,omitempty"` // as displayed
	URL  string `json:"url,omitempty"`  // absolute
}

// Image is a picture that belongs to the post.
type Image struct {
	URL    string   `json:"url"`              // absolute
	SHA256 string   `json:"sha256,omitempty"` // of the fetched bytes, hex; empty when not fetched
	Text   string   `json:"text,omitempty"`   // alt text or recognised text
	QR     []string `json:"qr,omitempty"`     // payloads of QR codes found in it
}

// Archive points at the evidence record that the post was extracted from.
type Archive struct {
	File     string `json:"file,omitempty"`
	RecordID string `json:"record_id,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // of the raw body as received, hex
}

// The kinds of Evidence.
const (
	EvidenceScreenshot = "screenshot" // a picture of the page, PNG
	EvidenceDOM        = "dom"        // the document of that picture, HTML in UTF-8
)

// MaxEvidence is how many pieces of evidence one post names; older ones stay in
// the archive.
const MaxEvidence = 6

// Evidence is something made of the page when the post was flagged.
type Evidence struct {
	Kind       string    `json:"kind"`
	Archive    Archive   `json:"archive"`               // the record that holds it
	At         time.Time `json:"at"`                    // when it was made
	Of         string    `json:"of,omitempty"`          // id of the record that was shown
	Width      int       `json:"width,omitempty"`       // of a picture, pixels
	Height     int       `json:"height,omitempty"`      // of a picture, pixels
	PageHeight int       `json:"page_height,omitempty"` // of the whole page: more than Height when the picture is cut
}

// Post is one published thing. The zero value is not valid: ID, Source, Kind,
// URL and either Title or Text are needed. A Post is a plain value; copies
// share the slices.
type Post struct {
	ID          string    `json:"id"`                    // NewID(Source, the site's own key)
	Source      string    `json:"source"`                // the site config's name
	SourceType  string    `json:"source_type,omitempty"` // forum, social, classified, news, official, blog, qa
	Kind        Kind      `json:"kind"`                  //
	URL         string    `json:"url"`                   // where it can be read, with the fragment that leads to it
	ThreadURL   string    `json:"thread_url,omitempty"`  // the first page of the thread it belongs to
	Title       string    `json:"title,omitempty"`       // plain text
	Text        string    `json:"text"`                  // plain text as published, line breaks kept
	Author      Author    `json:"author"`                //
	PublishedAt time.Time `json:"published_at,omitzero"` // zero when the page does not say
	FetchedAt   time.Time `json:"fetched_at,omitzero"`   //
	Region      string    `json:"region,omitempty"`      // as the site shows it, such as IP属地
	Images      []Image   `json:"images,omitempty"`      //
	Links       []string  `json:"links,omitempty"`       // absolute, http and https only
	Archive     Archive   `json:"archive,omitzero"`      //

	Evidence []Evidence `json:"evidence,omitempty"` // what was made beside it when it was flagged, newest first
}

// NewID returns the id of a post: the first 128 bits of the SHA-256 of its
// source and of the key that the site itself uses for it (post number, status
// id, or failing that its URL), in hex. It never depends on the text, so an
// edited post keeps its id.
func NewID(source, key string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + key))
	return hex.EncodeToString(sum[:16])
}

// FullText returns what is classified, title + "\n" + text; without a title
// it still starts with the line break. Every offset in a verdict counts runes
// of this string.
func (p Post) FullText() string { return p.Title + "\n" + p.Text }

// ContentHash returns the SHA-256, in hex, of title and text: two versions of
// a post are the same revision when their hashes are equal.
func (p Post) ContentHash() string {
	sum := sha256.Sum256([]byte(p.Title + "\x00" + p.Text))
	return hex.EncodeToString(sum[:])
}

// Validate returns all that is wrong with p, joined, or nil. A text over
// MaxText is reported as ErrTooLarge. ID and Source must be valid UTF-8, since
// records are found by them again; in other fields a page may have written
// what it likes, and stores repair it.
func (p Post) Validate() error {
	var errs []error
	if p.ID == "" {
		errs = append(errs, errors.New("post: id is empty"))
	}
	if p.Source == "" {
		errs = append(errs, errors.New("post: source is empty"))
	}
	for _, f := range [...]struct{ name, value string }{{"id", p.ID}, {"source", p.Source}} {
		if !utf8.ValidString(f.value) {
			errs = append(errs, fmt.Errorf("post: %s %q is not valid UTF-8; make it with NewID or name it in UTF-8", f.name, f.value))
		}
	}
	if !p.Kind.Valid() {
		errs = append(errs, fmt.Errorf("post: kind %q is not post, comment, ad or article", p.Kind))
	}
	if p.URL == "" {
		errs = append(errs, errors.New("post: url is empty"))
	}
	if p.Title == "" && p.Text == "" {
		errs = append(errs, errors.New("post: title and text are both empty"))
	}
	if len(p.Title)+len(p.Text) > MaxText {
		errs = append(errs, ErrTooLarge)
	}
	return errors.Join(errs...)
}
