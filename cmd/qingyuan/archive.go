package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"qingyuan/archive"
	"qingyuan/crawler"
	"qingyuan/crawler/transport"
	"qingyuan/index"
	"qingyuan/post"
	"qingyuan/triage"
)

// archiveConfig is the archive part of the config.
type archiveConfig struct {
	Enabled  bool `yaml:"enabled"`
	MaxFile  int  `yaml:"max_file_mb"` // after which a WARC file is sealed and another begun
	KeepDays int  `yaml:"keep_days"`   // age at which files are dropped; 0 keeps all
}

func archiveDir(c config) string { return filepath.Join(c.Data, "archive") }

// openArchive opens the archive for writing; nil when the config has none.
// posts answers which records a held post stands for.
func openArchive(c config, posts index.Store, logger *slog.Logger) (*archive.Writer, error) {
	if !c.Archive.Enabled {
		return nil, nil
	}
	return archive.Open(archiveOptions(c, posts, logger, false))
}

func archiveOptions(c config, posts index.Store, logger *slog.Logger, byHand bool) archive.Options {
	return archive.Options{
		Dir: archiveDir(c), MaxFile: int64(c.Archive.MaxFile) << 20, Keep: time.Duration(c.Archive.KeepDays) * 24 * time.Hour,
		Software: transport.UserAgent(version, c.Crawl.Contact), Logger: logger, RetainByHand: byHand,
		PostRecords: func(ctx context.Context, id string) (records, urls []string, err error) {
			r, err := posts.Get(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			return heldOf(r.Post)
		},
	}
}

// heldOf gives what a hold on a post stands for: its record, and every record
// of its pages, which hold earlier versions of it.
func heldOf(p post.Post) (records, urls []string, err error) {
	if p.Archive.RecordID != "" {
		records = append(records, p.Archive.RecordID)
	}
	for _, e := range p.Evidence {
		records = append(records, e.Archive.RecordID)
	}
	for _, u := range []string{p.URL, p.ThreadURL} {
		if canonical, _, err := crawler.Canonical(u); err == nil {
			urls = append(urls, canonical)
		}
	}
	return records, urls, nil
}

// aboutLanding names, in the metadata of an exchange, the page whose ad led
// there.
const aboutLanding = "landing-of"

// versions tells with which dictionary posts are judged at the moment.
type versions func() string

// keep is the transport's OnBody hook: nothing is used that is not durable in
// the archive.
func keep(w *archive.Writer, dictionary versions) func(context.Context, *transport.Exchange) error {
	return func(ctx context.Context, x *transport.Exchange) error {
		visit, ok := crawler.VisitOf(ctx)
		var about []archive.Field
		add := func(name, value string) {
			if value != "" {
				about = append(about, archive.Field{Name: name, Value: value})
			}
		}
		page := ok && x.Robots != nil && visit.Part == "" // robots.txt is fetched for a site, not for a page
		if ok {
			add(archive.AboutSource, visit.Source)
			add("site-config", visit.Config)
			add(aboutPart, visit.Part)
		}
		if page {
			for _, hop := range visit.Via {
				add(archive.AboutVia, hop.URL+" "+hop.Archive.RecordID)
			}
			add("robots", x.Robots.String())
			add(aboutLanding, visit.Landing)
		}
		add("dictionary", dictionary())
		add("session", x.Session)
		var sent []archive.Field
		for _, f := range x.Sent {
			sent = append(sent, archive.Field{Name: f[0], Value: f[1]})
		}
		ref, err := w.Append(ctx, &archive.Exchange{
			Method: x.Method, URL: x.URL, RequestHeader: x.RequestHeader, Sent: sent, Status: x.Status, Proto: x.Proto, ResponseHeader: x.ResponseHeader,
			Body: x.Raw, Truncated: x.Truncated, RemoteAddr: x.RemoteAddr, TLS: x.TLS, Started: x.Started, Took: x.Took, About: about,
		})
		if err != nil {
			return err
		}
		if page {
			crawler.SetArchive(ctx, x.URL, post.Archive{File: ref.File, RecordID: ref.RecordID, SHA256: ref.SHA256}, ref.Date)
		}
		return nil
	}
}

// runArchive is qingyuan archive verify|list|show|key|hold|retain.
func runArchive(ctx context.Context, std stdio, args []string) error {
	actions := map[string]func(context.Context, stdio, []string) error{
		"verify": archiveVerify, "list": archiveList, "show": archiveShow, "key": archiveKey, "hold": archiveHold, "retain": archiveRetain,
	}
	if len(args) > 0 {
		if run := actions[args[0]]; run != nil {
			return run(ctx, std, args[1:])
		}
	}
	const usage = "write archive verify, list, show RECORD_ID|URL, key, hold record|url|post VALUE, or retain"
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return misusef("%s", usage)
	}
	return misusef("archive %s is unknown; %s", args[0], usage)
}

func archiveVerify(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "archive verify", "", "data")
	asJSON := f.Bool("json", false, "print the report as JSON")
	key := f.String("key", "", "public key in `hex` to trust, as archive key prints it (default: that in the archive folder)")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	var trusted []byte
	if *key != "" {
		if trusted, err = hex.DecodeString(*key); err != nil || len(trusted) != 32 {
			return misusef("-key %q is not a key of 64 hex digits", *key)
		}
	}
	r, err := archive.Verify(ctx, archiveDir(c), trusted)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(std.out).Encode(r)
	} else {
		for _, p := range r.Problems {
			fmt.Fprintln(std.out, printable(p.String()))
		}
		_, err = fmt.Fprintf(std.out, "%d files, %d records, %d bytes, %d dropped by policy; event %d, head %s\n", r.Files, r.Records, r.Bytes, r.Dropped, r.Events, r.Head)
	}
	if n := len(r.Problems) + r.More; n > 0 {
		return errors.Join(err, fmt.Errorf("problems: %d", n))
	}
	return err
}

func archiveList(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "archive list", "[URL]", "data")
	asJSON := f.Bool("json", false, "print one JSON object a line")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	a, err := archive.Read(archiveDir(c))
	if err != nil {
		return err
	}
	files, err := a.Files()
	if err != nil {
		return err
	}
	line := func(found archive.Found) error {
		if *asJSON {
			return json.NewEncoder(std.out).Encode(found)
		}
		_, err := fmt.Fprintf(std.out, "%s  %-10s %3d  %s  %s  %s\n", found.Date, found.Type, found.Status, found.ID, found.File, printable(found.URL))
		return err
	}
	for _, name := range files {
		err := a.Entries(name, func(e archive.Entry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if e.Type == archive.TypeRequest || e.Type == archive.TypeMetadata || e.Type == archive.TypeInfo || f.NArg() > 0 && e.URL != f.Arg(0) {
				return nil
			}
			return line(archive.Found{File: name, Entry: e})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func archiveShow(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "archive show", "RECORD_ID|URL", "data")
	raw := f.Bool("raw", false, "write the body as received, byte for byte; not for a terminal")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() != 1 {
		return misusef("name one record id or URL")
	}
	a, err := archive.Read(archiveDir(c))
	if err != nil {
		return err
	}
	found, err := a.Find(ctx, "", f.Arg(0), 1)
	if err != nil {
		return err
	}
	shown, err := a.Capture(ctx, found[0])
	if err != nil {
		return err
	}
	if *raw {
		_, err = std.out.Write(shown.Body)
		return err
	}
	t, err := transport.New(transport.Options{})
	if err != nil {
		return err
	}
	return writeOriginal(std.out, t, shown)
}

// originalOf reads the archived originals that the pages show.
func originalOf(c config) triage.OriginalFunc {
	decoder := sync.OnceValues(func() (*transport.Transport, error) { return transport.New(transport.Options{}) })
	return func(ctx context.Context, p post.Archive) (triage.Original, error) {
		a, err := archive.Read(archiveDir(c))
		if err != nil {
			return triage.Original{}, triage.ErrNoOriginal
		}
		found, err := a.Find(ctx, filepath.Base(p.File), p.RecordID, 1)
		if errors.Is(err, archive.ErrNotFound) {
			return triage.Original{}, triage.ErrNoOriginal
		}
		if err != nil {
			return triage.Original{}, err
		}
		shown, err := a.Capture(ctx, found[0])
		if err != nil {
			return triage.Original{}, err
		}
		if sum256(shown.Body) != p.SHA256 {
			return triage.Original{}, fmt.Errorf("the body of %s has another hash than the post names", p.RecordID)
		}
		o := triage.Original{URL: shown.Entry.URL, RecordID: shown.Entry.ID, At: shown.Entry.Time(), Head: headText(shown), Raw: shown.Body}
		t, err := decoder()
		if err != nil {
			return triage.Original{}, err
		}
		if text, ok := originalText(t, shown); ok {
			o.Text = text
		}
		return o, nil
	}
}

// headText writes a stored header, names in the order of the alphabet.
func headText(c archive.Capture) string {
	var b strings.Builder
	if c.Header == nil {
		return fmt.Sprintf("%s\nContent-Type: %s\n", c.Entry.Type, printable(c.ContentType))
	}
	fmt.Fprintf(&b, "HTTP %d\n", c.Entry.Status)
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		for _, v := range c.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", printable(name), printable(v))
		}
	}
	return b.String()
}

// writeOriginal writes a stored answer as text that no terminal and no browser
// acts upon.
func writeOriginal(w io.Writer, t *transport.Transport, c archive.Capture) error {
	body, ok := originalText(t, c)
	if !ok {
		body = fmt.Sprintf("[%d bytes that are no text; -raw writes them]", len(c.Body))
	}
	_, err := fmt.Fprintf(w, "%s\n%s · %s · %s\n%s\n%s\n", printable(c.Entry.URL), c.Entry.Date, c.Entry.ID, c.File, headText(c), printableText(body))
	return err
}

// originalText decodes a stored body; false when it is no text.
func originalText(t *transport.Transport, c archive.Capture) (string, bool) {
	header, body, err := decodeCapture(t, c, "")
	if err != nil || !utf8.Valid(body) || bytes.ContainsRune(body, 0) {
		return "", false
	}
	kind := header.Get("Content-Type")
	return string(body), len(body) == 0 || kind == "" || strings.Contains(kind, "charset=utf-8")
}

// decodeCapture makes of a stored answer what the crawl read.
func decodeCapture(t *transport.Transport, c archive.Capture, charset string) (http.Header, []byte, error) {
	u, err := url.Parse(c.Entry.URL)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the URL of %s: %w", c.Entry.ID, err)
	}
	if c.Header == nil {
		return http.Header{}, c.Body, nil
	}
	return t.Decode(&http.Request{Method: c.Method, URL: u}, c.Entry.Status, c.Header, c.Body, charset)
}

// printable replaces what a terminal would act upon, line breaks included.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// printableText is printable with line breaks and tabs.
func printableText(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = printable(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

func archiveKey(_ context.Context, std stdio, args []string) error {
	f := newFlags(std, "archive key", "", "data")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	text, hexKey, err := archive.PublicKey(archiveDir(c))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s%s\n", text, hexKey)
	return err
}

// archiveHold keeps something from being dropped.
func archiveHold(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "archive hold", "record|url|post VALUE...", "data")
	why := f.String("why", "", "reason, kept in the file")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() < 2 {
		return misusef("write archive hold record ID, url URL or post ID")
	}
	if kind := f.Arg(0); kind != archive.HoldRecord && kind != archive.HoldURL && kind != archive.HoldPost {
		return misusef("%q is not record, url or post", kind)
	}
	var holds []archive.Hold
	for _, value := range f.Args()[1:] {
		holds = append(holds, archive.Hold{Kind: f.Arg(0), Value: value})
	}
	if f.Arg(0) == archive.HoldPost {
		if err := knownPosts(ctx, c, holds); err != nil {
			return err
		}
	}
	file, err := archive.AddHold(archiveDir(c), time.Now(), *why, holds...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s\n", filepath.Join(archiveDir(c), "holds", file))
	return err
}

func knownPosts(ctx context.Context, c config, holds []archive.Hold) error {
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	for _, h := range holds {
		if _, err := store.Get(ctx, h.Value); err != nil {
			return fmt.Errorf("looking up the post %s: %w", h.Value, err)
		}
	}
	return nil
}

// archiveRetain applies the retention policy while no crawl does.
func archiveRetain(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "archive retain", "", "data")
	dry := f.Bool("dry-run", false, "only tell what would be dropped")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if c.Archive.KeepDays <= 0 {
		return errors.New("archive.keep_days is 0: everything is kept")
	}
	if _, err := os.Stat(archiveDir(c)); err != nil {
		return fmt.Errorf("there is no archive: %w", err)
	}
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	w, err := archive.Open(archiveOptions(c, store, newLogger(std, c), true))
	if err != nil {
		return err
	}
	list, err := w.Retain(ctx, *dry)
	for _, r := range list {
		what := "kept   "
		if r.Dropped {
			what = "dropped"
		}
		fmt.Fprintf(std.out, "%s  %s  last record %s: %s\n", what, r.File, r.Last, printable(r.Why))
	}
	return errors.Join(err, w.Close())
}

// sum256 is the SHA-256 in hex, as post.Archive has it.
func sum256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
