package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Archive reads an archive folder, also while another process writes into it.
// It is safe for many goroutines and keeps no file open.
type Archive struct{ dir string }

// Read gives access to a folder. It fails when there is no archive in it.
func Read(dir string) (*Archive, error) {
	info, err := os.Stat(filepath.Join(dir, warcFolder))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, fmt.Errorf("there is no archive in %s: nothing was crawled with archive.enabled into this data folder", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	return &Archive{dir: dir}, nil
}

// Files lists the WARC files, oldest first.
func (a *Archive) Files() ([]string, error) {
	names, err := namesIn(filepath.Join(a.dir, warcFolder), warcSuffix)
	slices.SortStableFunc(names, func(a, b string) int { return numberOf(a) - numberOf(b) })
	return names, err
}

// Entries calls fn with each index entry of a file, in order. A line that is
// still being written is left out; one that is damaged is a *DamageError.
func (a *Archive) Entries(file string, fn func(Entry) error) error {
	if file != filepath.Base(file) || !strings.HasSuffix(file, warcSuffix) {
		return fmt.Errorf("%q is no name of a WARC file", cut(file, 200))
	}
	err := eachLine(indexPath(a.dir, file), func(at int64, line []byte) error {
		if line[len(line)-1] != '\n' {
			return nil
		}
		e, err := parseEntry(line)
		if err != nil {
			return &DamageError{File: warcFolder + "/" + indexName(file), Offset: at, Problem: err.Error()}
		}
		return fn(e)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", file, ErrNotFound)
	}
	return err
}

// Record reads the record of an entry and checks it: hash, digests, id.
func (a *Archive) Record(file string, e Entry) (Record, error) {
	damaged := func(problem string) error {
		return &DamageError{File: warcFolder + "/" + file, Offset: e.Offset, Problem: problem + " (record " + e.ID + ", " + cut(e.URL, 200) + ")"}
	}
	f, err := os.Open(warcPath(a.dir, file))
	if err != nil {
		return Record{}, fmt.Errorf("reading a record: %w", err)
	}
	defer f.Close()
	data := make([]byte, e.Length)
	if _, err := f.ReadAt(data, e.Offset); err != nil {
		if err == io.EOF {
			return Record{}, damaged("the file ends before the record does")
		}
		return Record{}, fmt.Errorf("reading a record: %w", err)
	}
	if hexSum(data) != e.SHA256 {
		return Record{}, damaged("the hash does not fit")
	}
	r, err := readMember(data, new(gzip.Reader))
	if err != nil {
		return Record{}, damaged(err.Error())
	}
	if trimID(r.Get("WARC-Record-ID")) != e.ID {
		return Record{}, damaged("another record stands here")
	}
	return r, nil
}

// Found is one hit of Find.
type Found struct {
	File string
	Entry
}

var errEnough = errors.New("enough")

// Find looks for a record by its id, or for the records of a URL, newest first.
// The error is ErrNotFound when there is none. file, if not "", is the only one
// looked into.
func (a *Archive) Find(ctx context.Context, file, idOrURL string, limit int) ([]Found, error) {
	files := []string{file}
	if file == "" {
		var err error
		if files, err = a.Files(); err != nil {
			return nil, err
		}
	}
	id := trimID(idOrURL)
	address := cleanURL(idOrURL)
	var out []Found
	for _, name := range slices.Backward(files) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var here []Found
		err := a.Entries(name, func(e Entry) error {
			if e.ID == id {
				out = append(out, Found{name, e})
				return errEnough
			}
			if e.URL == address && (e.Type == TypeResponse || e.Type == TypeRevisit) {
				here = append(here, Found{name, e})
			}
			return nil
		})
		if err != nil && err != errEnough {
			return nil, err
		}
		slices.Reverse(here)
		out = append(out, here...)
		if err == errEnough || len(out) >= limit {
			break
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w", cut(idOrURL, 300), ErrNotFound)
	}
	return out[:min(len(out), limit)], nil
}

// Capture is a stored answer as it can be used again.
type Capture struct {
	File     string
	Entry    Entry // of the response or revisit
	Method   string
	Header   http.Header // of the response
	Body     []byte      // as received; that of the record referred to for a revisit
	Whole    bool        // not truncated
	Metadata []Field     // of the metadata record; nil when there is none
	// ContentType is that of a record without a header of its own: a resource or
	// conversion.
	ContentType string
}

// About returns the first metadata value of that name.
func (c Capture) About(name string) string {
	for _, f := range c.Metadata {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Capture reads a response or revisit with its body. Metadata is left out.
func (a *Archive) Capture(ctx context.Context, found Found) (Capture, error) {
	r, err := a.Record(found.File, found.Entry)
	if err != nil {
		return Capture{}, err
	}
	c := Capture{File: found.File, Entry: found.Entry, Method: http.MethodGet, Whole: r.Get("WARC-Truncated") == ""}
	if found.Type != TypeResponse && found.Type != TypeRevisit {
		c.Body, c.ContentType = r.Block, r.Get("Content-Type")
		return c, nil
	}
	c.Header = parseHeader(r.Block)
	if c.Body = r.Payload(); found.Type != TypeRevisit {
		return c, nil
	}
	whole, err := a.original(ctx, found, r)
	if err != nil {
		return Capture{}, fmt.Errorf("the record that %s refers to: %w", found.ID, err)
	}
	c.Body = whole.Payload()
	if found.Payload != "" && hexSum(c.Body) != found.Payload {
		return Capture{}, &DamageError{File: warcFolder + "/" + found.File, Offset: found.Offset, Problem: "the record it refers to has another payload"}
	}
	return c, nil
}

// original reads the record that a revisit refers to: at the place it names, or
// else by its id.
func (a *Archive) original(ctx context.Context, revisit Found, r Record) (Record, error) {
	file := r.Get(fieldFile)
	if at, err := strconv.ParseInt(r.Get(fieldOffset), 10, 64); err == nil && file == filepath.Base(file) && strings.HasSuffix(file, warcSuffix) {
		if f, err := os.Open(warcPath(a.dir, file)); err == nil {
			defer f.Close()
			whole, e, err := newScanner(f, at, at+maxMember).next()
			if err == nil && e.ID == revisit.RefersTo {
				return whole, nil
			}
		}
	}
	of, err := a.findFrom(ctx, revisit.File, revisit.RefersTo)
	if err != nil {
		return Record{}, err
	}
	return a.Record(of.File, of.Entry)
}

// findFrom looks for a record id in a file and those before it.
func (a *Archive) findFrom(ctx context.Context, file, id string) (Found, error) {
	files, err := a.Files()
	if err != nil {
		return Found{}, err
	}
	for _, name := range slices.Backward(files) {
		if numberOf(name) > numberOf(file) {
			continue
		}
		list, err := a.Find(ctx, name, id, 1)
		if err == nil {
			return list[0], nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Found{}, err
		}
	}
	return Found{}, fmt.Errorf("%s: %w", id, ErrNotFound)
}

// parseHeader reads the header of an HTTP block as lenient as it was written.
func parseHeader(block []byte) http.Header {
	h := http.Header{}
	head, _, _ := strings.Cut(string(block), "\r\n\r\n")
	_, head, _ = strings.Cut(head, "\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h[name] = append(h[name], value)
		}
	}
	return h
}

// Resources calls fn with each resource record that goes with another, with its
// metadata and without its body, in the order of the files.
func (a *Archive) Resources(ctx context.Context, fn func(Capture) error) error {
	files, err := a.Files()
	if err != nil {
		return err
	}
	for _, file := range files {
		var last *Found
		err := a.Entries(file, func(e Entry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			switch {
			case e.Type == TypeResource && e.Page != "":
				last = &Found{file, e}
			case e.Type == TypeMetadata && last != nil && last.ID == e.Page:
				c := Capture{File: file, Entry: last.Entry}
				last = nil
				m, err := a.Record(file, e)
				if err != nil {
					return err
				}
				c.Metadata = ParseFields(m.Block)
				return fn(c)
			}
			return nil
		})
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) { // archive verify tells of the damage
			return err
		}
	}
	return nil
}

// Converted lists the ids of the pages whose posts were read from a conversion.
func (a *Archive) Converted(ctx context.Context) (map[string]bool, error) {
	files, err := a.Files()
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, file := range files {
		err := a.Entries(file, func(e Entry) error {
			if e.Type == TypeConversion {
				out[e.RefersTo] = true
			}
			return ctx.Err()
		})
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) { // Captures tells of the damage
			return nil, err
		}
	}
	return out, nil
}

// Captures calls fn with each page kept since a time, in the order of the
// files, with its metadata: as it was fetched and, when posts were read from
// that, as a browser showed it (TypeConversion). Records that answer nothing new
// (304) are left out. damaged is called for what cannot be read; its error ends the walk.
func (a *Archive) Captures(ctx context.Context, since time.Time, fn func(Capture) error, damaged func(error) error) error {
	files, err := a.Files()
	if err != nil {
		return err
	}
	from := since.UTC().Format(dateFormat)
	for _, file := range files {
		var page *Found
		err := a.Entries(file, func(e Entry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if e.Date < from {
				return nil
			}
			switch {
			case e.Type == TypeResponse || e.Type == TypeRevisit || e.Type == TypeConversion:
				page = &Found{file, e}
			case e.Type == TypeMetadata && page != nil && page.ID == e.Page:
				found := *page
				page = nil
				if found.Status == http.StatusNotModified {
					return nil
				}
				c, err := a.Capture(ctx, found)
				if err == nil {
					var m Record
					if m, err = a.Record(file, e); err == nil {
						c.Metadata = ParseFields(m.Block)
					}
				}
				if err != nil {
					return damaged(err)
				}
				return fn(c)
			}
			return nil
		})
		if err != nil {
			var damage *DamageError
			if !errors.As(err, &damage) || ctx.Err() != nil {
				return err
			}
			if err := damaged(err); err != nil {
				return err
			}
		}
	}
	return nil
}
