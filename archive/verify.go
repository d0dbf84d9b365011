package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// Problem is one thing that Verify found.
type Problem struct {
	File     string `json:"file"`   // relative to the archive folder
	Offset   int64  `json:"offset"` // where the record or line begins
	RecordID string `json:"record_id,omitempty"`
	URL      string `json:"url,omitempty"`
	Problem  string `json:"problem"`
}

// String writes the problem as one line.
func (p Problem) String() string {
	s := fmt.Sprintf("%s: offset %d: %s", p.File, p.Offset, p.Problem)
	if p.RecordID != "" {
		s += ": record " + p.RecordID
	}
	if p.URL != "" {
		s += " " + p.URL
	}
	return s
}

// Report is what Verify found.
type Report struct {
	Files    int       `json:"files"`
	Records  int       `json:"records"`
	Bytes    int64     `json:"bytes"`    // of WARC files
	Events   int64     `json:"events"`   // lines of the manifests
	Head     string    `json:"head"`     // hash of the last of them: note it elsewhere, it vouches for all before
	Dropped  int       `json:"dropped"`  // files dropped by the retention policy
	Open     []string  `json:"open"`     // files being written, checked as far as they are durable
	Problems []Problem `json:"problems"` // at most maxProblems
	More     int       `json:"more_problems"`
}

const maxProblems = 1000

// Verify reads every byte of an archive folder and compares it with everything
// that is known of it: gzip checksums, record digests, the index, the hashes of
// the sealed manifest, the chain of the manifests and its signatures. key, if
// not nil, is the public key to trust instead of the folder's own. The error is
// for what could not be read at all.
//
// The chain shows any change but one: whoever holds the key can sign another
// chain, and the last events can be taken away together with what they speak
// of. Against that, note Head and Events elsewhere, daily.
func Verify(ctx context.Context, dir string, key ed25519.PublicKey) (Report, error) {
	a, err := Read(dir)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{a: a, live: locked(filepath.Join(dir, "lock"))}
	own, _, err := readPublic(dir)
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			damage = &DamageError{File: publicFile, Problem: err.Error()}
		}
		v.found(Problem{File: damage.File, Problem: damage.Problem})
	} else if key != nil && !key.Equal(own) {
		v.found(Problem{File: publicFile, Problem: "it is not the key that was given"})
	}
	if key == nil {
		if key, err = v.signer(own); err != nil {
			return v.Report, err
		}
	}
	seals, order, err := v.chain(key)
	if err != nil {
		return v.Report, err
	}
	onDisk, err := a.Files()
	if err != nil {
		return v.Report, err
	}
	for _, name := range onDisk {
		switch _, known := seals[name]; {
		case known || v.live:
		case v.gaps: // the event that named it may be the altered one
			seals[name], order = nil, append(order, name)
		default:
			v.found(Problem{File: warcFolder + "/" + name, Problem: "no manifest names this file"})
		}
	}
	for _, name := range order {
		if err := ctx.Err(); err != nil {
			return v.Report, err
		}
		if err := v.file(ctx, name, seals[name]); err != nil {
			return v.Report, err
		}
	}
	return v.Report, v.strayIndexes(seals)
}

type verifier struct {
	Report
	a    *Archive
	live bool // a process is writing
	gaps bool // events are missing or altered
	skip bool // the line before was not good
	gz   gzip.Reader
}

func (v *verifier) found(p Problem) {
	if len(v.Problems) >= maxProblems {
		v.More++
		return
	}
	v.Problems = append(v.Problems, p)
}

// chain checks the manifests and returns the files that must be there, with
// their seals, nil for one that is open.
func (v *verifier) chain(key ed25519.PublicKey) (seals map[string]*Event, order []string, err error) {
	names, err := manifestNames(v.a.dir)
	if err != nil {
		return nil, nil, err
	}
	seals = map[string]*Event{}
	for i, name := range names {
		rel := manifestFolder + "/" + name
		err := eachLine(filepath.Join(v.a.dir, manifestFolder, name), func(at int64, line []byte) error {
			if i == len(names)-1 && v.live && line[len(line)-1] != '\n' {
				return nil // being written
			}
			e, ok := v.event(rel, at, line, key)
			if !ok {
				v.gaps = true
				return nil
			}
			switch e.Event {
			case EventOpen:
				seals[e.File] = nil
			case EventSeal:
				seals[e.File] = &e
			case EventDrop:
				v.Dropped++
				delete(seals, e.File)
			case EventMissing:
				v.found(Problem{File: warcFolder + "/" + e.File, Problem: "lost: it was gone when the archive was opened again"})
				delete(seals, e.File)
			}
			return nil
		})
		if errors.Is(err, errLongLine) {
			v.gaps = true
			v.found(Problem{File: rel, Problem: err.Error()})
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the manifests: %w", err)
		}
	}
	return seals, slices.SortedFunc(maps.Keys(seals), func(a, b string) int { return numberOf(a) - numberOf(b) }), nil
}

// event checks one line of a manifest, and that it follows the last good one.
// Behind a line that is not good, the next may have any later number.
func (v *verifier) event(rel string, at int64, line []byte, key ed25519.PublicKey) (Event, bool) {
	e, err := parseEvent(line, key)
	switch {
	case err != nil:
		v.found(Problem{File: rel, Offset: at, Problem: fmt.Sprintf("event %d: %v", v.Events+1, err)})
		v.skip = true
		return e, false
	case e.Seq <= v.Events:
		v.found(Problem{File: rel, Offset: at, Problem: fmt.Sprintf("event %d stands here once more", e.Seq)})
		return e, false
	case e.Seq == v.Events+1 && e.Prev != v.Head, e.Seq > v.Events+1 && !v.skip:
		v.found(Problem{File: rel, Offset: at, Problem: fmt.Sprintf("event %d does not follow the one before it: lines are missing, added or altered", e.Seq)})
		v.gaps = true
	}
	v.Events, v.Head, v.skip = e.Seq, hexSum(line), false
	return e, true
}

// signer finds the key that the manifests are signed with: own, if a single
// event fits it; else, so that an altered key.pub does not hide all else, the
// one that the first sound event names.
func (v *verifier) signer(own ed25519.PublicKey) (ed25519.PublicKey, error) {
	names, err := manifestNames(v.a.dir)
	if err != nil {
		return nil, err
	}
	var fits, other ed25519.PublicKey
	for _, name := range names {
		err := eachLine(filepath.Join(v.a.dir, manifestFolder, name), func(_ int64, line []byte) error {
			var e Event
			if strictLine(line, &e) != nil {
				return nil
			}
			key, err := hex.DecodeString(e.Key)
			if err != nil || len(key) != ed25519.PublicKeySize {
				return nil
			}
			if _, err := parseEvent(line, key); err != nil {
				return nil
			}
			if own != nil && own.Equal(ed25519.PublicKey(key)) {
				fits = key
				return errEnough
			}
			if other == nil {
				other = key
			}
			return nil
		})
		if fits != nil {
			return fits, nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return nil, fmt.Errorf("reading the manifests: %w", err)
		}
	}
	if own != nil && other != nil {
		v.found(Problem{File: publicFile, Problem: "the manifests are signed with another key, " + hex.EncodeToString(other)})
	}
	if other == nil {
		other = make(ed25519.PublicKey, ed25519.PublicKeySize)
	}
	return other, nil
}

func (v *verifier) strayIndexes(seals map[string]*Event) error {
	names, err := namesIn(filepath.Join(v.a.dir, warcFolder), "")
	if err != nil {
		return err
	}
	for _, name := range names {
		file := name
		if filepath.Ext(name) == indexSuffix {
			file = name[:len(name)-len(indexSuffix)] + warcSuffix
		} else if filepath.Ext(name) == ".gz" {
			continue // told before
		}
		if _, known := seals[file]; !known && !v.live {
			v.found(Problem{File: warcFolder + "/" + name, Problem: "a file that does not belong here"})
		}
	}
	return nil
}

// fileCheck is the state of checking one WARC file with its index.
type fileCheck struct {
	*verifier
	name            string
	warc            *os.File
	size            int64 // of the WARC file
	next            int64 // bytes of it accounted for
	warcSum         hash.Hash
	indexSum        hash.Hash
	indexSize       int64
	records         int
	warcAt, indexAt int  // problems found in each
	warcGood        bool // its hash is that of the seal
	last            Entry
	seal            *Event
}

// file checks one WARC file.
func (v *verifier) file(ctx context.Context, name string, seal *Event) error {
	c := &fileCheck{verifier: v, name: name, seal: seal, warcSum: sha256.New(), indexSum: sha256.New()}
	v.Files++
	var err error
	if c.warc, err = os.Open(warcPath(v.a.dir, name)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			v.found(Problem{File: warcFolder + "/" + name, Problem: "the file is missing"})
			return nil
		}
		return fmt.Errorf("verifying: %w", err)
	}
	defer c.warc.Close()
	info, err := c.warc.Stat()
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	c.size = info.Size()
	v.Bytes += c.size
	if seal != nil {
		if _, err := io.Copy(c.warcSum, bufio.NewReaderSize(io.NewSectionReader(c.warc, 0, c.size), 256<<10)); err != nil {
			return fmt.Errorf("verifying %s: %w", name, err)
		}
		c.warcGood = c.size == seal.Size && hex.EncodeToString(c.warcSum.Sum(nil)) == seal.SHA256
	} else {
		v.Open = append(v.Open, name)
	}
	err = eachLine(indexPath(v.a.dir, name), func(at int64, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.indexSum.Write(line)
		c.indexSize += int64(len(line))
		return c.line(at, line)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.inIndex(0, Entry{}, "the index is missing")
	case errors.Is(err, errLongLine):
		c.inIndex(c.indexSize, Entry{}, err.Error())
	case err != nil:
		return fmt.Errorf("verifying %s: %w", name, err)
	}
	if err := c.rest(); err != nil {
		return err
	}
	c.compareSeal()
	v.Records += c.records
	return nil
}

func (c *fileCheck) inWARC(e Entry, problem string) {
	c.warcAt++
	c.found(Problem{File: warcFolder + "/" + c.name, Offset: e.Offset, RecordID: e.ID, URL: e.URL, Problem: problem})
}

func (c *fileCheck) inIndex(at int64, e Entry, problem string) {
	c.indexAt++
	c.found(Problem{File: warcFolder + "/" + indexName(c.name), Offset: at, RecordID: e.ID, URL: e.URL, Problem: problem})
}

// line checks one line of the index and the record it speaks of.
func (c *fileCheck) line(at int64, line []byte) error {
	if c.seal == nil && c.live && line[len(line)-1] != '\n' {
		return nil // being written
	}
	e, err := parseEntry(line)
	if err != nil || e.Offset+e.Length > c.size && c.warcGood {
		// The record itself knows what should stand here.
		var truth Entry
		if _, t, scanErr := newScanner(c.warc, c.next, c.size).next(); scanErr == nil {
			truth = t
			c.next = t.Offset + t.Length
			c.records++
		}
		problem := "the line is altered"
		if err != nil {
			problem += ": " + err.Error()
		}
		c.inIndex(at, truth, problem)
		return nil
	}
	c.records++
	if e.Offset != c.next {
		return c.gap(at, e)
	}
	return c.record(at, e)
}

// gap deals with an entry that does not follow the one before it.
func (c *fileCheck) gap(at int64, e Entry) error {
	if _, t, err := newScanner(c.warc, c.next, c.size).next(); err == nil {
		// A whole record stands where the entry should point to.
		c.next = t.Offset + t.Length
		if t.ID == e.ID {
			c.inIndex(at, t, fmt.Sprintf("the line is altered: the record begins at %d, not at %d", t.Offset, e.Offset))
			return nil
		}
		c.inIndex(at, t, "the line of this record is missing before this one")
		for c.next < e.Offset {
			_, t, err := newScanner(c.warc, c.next, c.size).next()
			if err != nil {
				break
			}
			c.next = t.Offset + t.Length
		}
		if c.next == e.Offset {
			return c.record(at, e)
		}
		c.next = max(c.next, e.Offset+e.Length)
		return nil
	}
	if e.Offset > c.next {
		c.inWARC(Entry{Offset: c.next, ID: c.last.ID, URL: c.last.URL}, fmt.Sprintf("%d bytes that the index does not know, behind the record named here", e.Offset-c.next))
		return c.record(at, e)
	}
	c.inIndex(at, e, fmt.Sprintf("the line points to %d, which is within the record before it", e.Offset))
	return nil
}

// record compares an entry with the bytes it points to.
func (c *fileCheck) record(at int64, e Entry) error {
	c.next, c.last = e.Offset+e.Length, e
	if c.next > c.size {
		c.next = c.size
		c.inWARC(e, "the file ends before the record does")
		return nil
	}
	data := make([]byte, e.Length)
	if _, err := c.warc.ReadAt(data, e.Offset); err != nil {
		return fmt.Errorf("verifying %s: offset %d: %w", c.name, e.Offset, err)
	}
	r, err := readMember(data, &c.gz)
	if err != nil && c.warcGood {
		// The file is what was sealed, so the length in the index is wrong.
		if _, t, err := newScanner(c.warc, e.Offset, c.size).next(); err == nil {
			c.next = t.Offset + t.Length
			c.inIndex(at, t, "the line does not fit the record")
			return nil
		}
	}
	if err != nil {
		return c.shifted(at, e, err)
	}
	truth := entryOf(r, e.Offset, e.Length, hexSum(data))
	if truth == e {
		return nil
	}
	if truth.SHA256 != e.SHA256 && c.seal != nil && !c.warcGood {
		c.inWARC(e, "the bytes are not those that were kept")
		return nil
	}
	c.inIndex(at, truth, "the line does not fit the record")
	return nil
}

// shifted tells a damaged record from one that was moved by bytes put in or
// taken out before it, after which no entry would fit any more.
func (c *fileCheck) shifted(at int64, e Entry, problem error) error {
	if _, t, err := newScanner(c.warc, e.Offset, c.size).next(); err == nil && t.ID == e.ID && c.seal == nil {
		c.next = t.Offset + t.Length
		c.inIndex(at, t, "the line does not fit the record")
		return nil
	}
	c.inWARC(e, problem.Error())
	return nil
}

// rest looks at what stands behind the last entry.
func (c *fileCheck) rest() error {
	if c.next >= c.size || c.seal == nil && c.live {
		return nil
	}
	s := newScanner(c.warc, c.next, c.size)
	for {
		_, e, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if c.seal == nil {
				c.inWARC(Entry{Offset: e.Offset, ID: c.last.ID, URL: c.last.URL}, "an unfinished record behind the one named here; the next start of the crawl moves it aside: "+err.Error())
			} else {
				c.inWARC(Entry{Offset: e.Offset, ID: c.last.ID, URL: c.last.URL}, "bytes were added behind the record named here")
			}
			return nil
		}
		c.records++
		if c.warcGood || c.seal == nil {
			c.inIndex(c.indexSize, e, "the line of this record is missing")
		} else {
			c.inWARC(e, "a record that the index does not know")
		}
	}
}

// compareSeal says what the seal shows that nothing else did.
func (c *fileCheck) compareSeal() {
	if c.seal == nil {
		return
	}
	if !c.warcGood && c.warcAt == 0 {
		c.inWARC(Entry{Offset: min(c.size, c.seal.Size)}, fmt.Sprintf("the file is not the one that was sealed: %d bytes, sealed were %d", c.size, c.seal.Size))
	}
	indexGood := c.indexSize == c.seal.IndexSize && bytes.Equal([]byte(hex.EncodeToString(c.indexSum.Sum(nil))), []byte(c.seal.IndexSHA256))
	if !indexGood && c.indexAt == 0 {
		c.inIndex(min(c.indexSize, c.seal.IndexSize), Entry{}, fmt.Sprintf("the index is not the one that was sealed: %d bytes, sealed were %d", c.indexSize, c.seal.IndexSize))
	}
}
