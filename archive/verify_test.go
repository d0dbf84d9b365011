package archive

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// sample makes an archive of several sealed files, with a revisit.
func sample(t testing.TB, pages int) string {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now, MaxFile: 12_000})
	for n := range pages {
		appendPage(t, w, page(n, c.now()))
		if n%10 == 3 {
			appendPage(t, w, page(n, c.now()))
		}
		if n%20 == 19 {
			c.forward(time.Hour)
		}
	}
	closeWriter(t, w)
	mustBeSound(t, dir)
	return dir
}

// parts lists what must be covered: WARC files, indexes, manifests, the public
// key.
func parts(t testing.TB, dir string) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"warc/*", "manifests/*", publicFile} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// entriesOf gives the index as it was, to say which record a byte belongs to.
func entriesOf(t testing.TB, dir, file string) (out []Entry) {
	t.Helper()
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Entries(file, func(e Entry) error { out = append(out, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// change writes other bytes, runs check and puts the old ones back.
func change(t testing.TB, path string, to []byte, check func()) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, to, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}()
	check()
}

// mustName wants verify to name the file and, when told, the record whose
// bytes were touched.
func mustName(t testing.TB, dir, path, what string, record *Entry) {
	t.Helper()
	rel, _ := filepath.Rel(dir, path)
	r, err := Verify(context.Background(), dir, nil)
	if err != nil {
		t.Fatalf("%s in %s: %v", what, rel, err)
	}
	named := slices.ContainsFunc(r.Problems, func(p Problem) bool {
		if p.File != rel {
			return false
		}
		return record == nil || p.Offset == record.Offset && p.RecordID == record.ID && p.URL == record.URL
	})
	if !named {
		t.Errorf("%s in %s (record %+v) was not named: %v", what, rel, record, r.Problems)
	}
	for _, p := range r.Problems {
		if p.File != rel {
			t.Errorf("%s in %s: another file is blamed: %s", what, rel, p)
		}
	}
}

func TestVerifyNamesEveryFlippedByte(t *testing.T) {
	dir := sample(t, 24)
	r := rand.New(rand.NewSource(11))
	paths, flips := parts(t, dir), 0
	for flips < 400 {
		path := paths[r.Intn(len(paths))]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at, bit := r.Intn(len(data)), byte(1)<<r.Intn(8)
		var record *Entry
		if strings.HasSuffix(path, warcSuffix) {
			for _, e := range entriesOf(t, dir, filepath.Base(path)) {
				if int64(at) >= e.Offset && int64(at) < e.Offset+e.Length {
					record = &e
				}
			}
		}
		altered := bytes.Clone(data)
		altered[at] ^= bit
		change(t, path, altered, func() { mustName(t, dir, path, fmt.Sprintf("byte %d, bit %08b flipped", at, bit), record) })
		flips++
	}
	mustBeSound(t, dir)
}

// The signature is the one field that no signature covers: each of its bytes in
// each way it can be flipped, in the last event, which no later one vouches for.
func TestVerifyNamesFlippedSignature(t *testing.T) {
	dir := sample(t, 3)
	names, _ := manifestNames(dir)
	path := filepath.Join(dir, manifestFolder, names[len(names)-1])
	data, _ := os.ReadFile(path)
	for at := len(data) - 131; at < len(data); at++ {
		for bit := range 8 {
			altered := bytes.Clone(data)
			altered[at] ^= 1 << bit
			if err := os.WriteFile(path, altered, 0o600); err != nil {
				t.Fatal(err)
			}
			mustFind(t, dir, path, fmt.Sprintf("bit %d of byte %d flipped", bit, at))
		}
	}
}

func TestVerifyNamesMissingAndAddedBytes(t *testing.T) {
	dir := sample(t, 22)
	r := rand.New(rand.NewSource(12))
	for n := range 200 {
		paths := parts(t, dir)
		path := paths[n%len(paths)]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := r.Intn(len(data))
		switch n % 3 {
		case 0:
			change(t, path, slices.Delete(bytes.Clone(data), at, at+1), func() { mustName(t, dir, path, fmt.Sprintf("byte %d taken out", at), nil) })
		case 1:
			change(t, path, slices.Insert(bytes.Clone(data), at, byte(r.Intn(256))), func() {
				rel, _ := filepath.Rel(dir, path)
				if string(slices.Insert(bytes.Clone(data), at, data[at])) == string(data) {
					return
				}
				mustName(t, dir, path, fmt.Sprintf("a byte put in before %d of %s", at, rel), nil)
			})
		case 2:
			if filepath.Dir(path) == filepath.Join(dir, manifestFolder) && bytes.HasSuffix(data[:at], []byte("\n")) {
				continue // whole events taken from the end: see TestVerifyTakenEnd
			}
			change(t, path, data[:at], func() {
				if strings.Contains(path, manifestFolder) {
					mustFind(t, dir, path, "cut at "+fmt.Sprint(at))
					return
				}
				mustName(t, dir, path, fmt.Sprintf("cut at %d", at), nil)
			})
		}
	}
	for _, path := range parts(t, dir) {
		data, _ := os.ReadFile(path)
		change(t, path, append(bytes.Clone(data), '\n'), func() { mustName(t, dir, path, "a line break at the end", nil) })
		change(t, path, append(bytes.Clone(data), data...), func() { mustName(t, dir, path, "everything twice", nil) })
		os.Rename(path, path+".away")
		mustFind(t, dir, path, "the file taken away")
		os.Rename(path+".away", path)
	}
	mustBeSound(t, dir)
}

// mustFind wants at least one problem; which file is blamed for the events
// that a manifest no longer tells of is another matter.
func mustFind(t testing.TB, dir, path, what string) {
	t.Helper()
	r, err := Verify(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) == 0 {
		t.Errorf("%s: %s: nothing was found", path, what)
	}
}

// The last events may be taken away only together with what they speak of, and
// then the head is another one.
func TestVerifyTakenEnd(t *testing.T) {
	dir := sample(t, 30)
	before := verify(t, dir)
	names, _ := manifestNames(dir)
	last := filepath.Join(dir, manifestFolder, names[len(names)-1])
	data, _ := os.ReadFile(last)
	lines := bytes.SplitAfter(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	change(t, last, bytes.Join(lines[:len(lines)-1], nil), func() {
		r := verify(t, dir)
		if r.Head == before.Head || r.Events == before.Events {
			t.Error("the head is the same without the last event")
		}
		if len(r.Open) != 1 {
			t.Errorf("a file whose seal is gone counts as sealed: %+v", r)
		}
	})
	change(t, last, bytes.Join([][]byte{lines[1], lines[0], bytes.Join(lines[2:], nil)}, nil), func() { mustFind(t, dir, last, "two events exchanged") })
}

// An entry, a record or an event made by hand, with sums that fit, is not taken.
func TestVerifyForgery(t *testing.T) {
	dir := sample(t, 10)
	a, _ := Read(dir)
	files, _ := a.Files()
	other := sample(t, 12)
	b, _ := Read(other)
	foreign, _ := b.Files()
	path := warcPath(dir, files[0])
	forged, _ := os.ReadFile(warcPath(other, foreign[1]))
	change(t, path, forged, func() { mustFind(t, dir, path, "another archive's file") })
	manifests, _ := manifestNames(dir)
	theirs, _ := manifestNames(other)
	text, _ := os.ReadFile(filepath.Join(other, manifestFolder, theirs[0]))
	change(t, filepath.Join(dir, manifestFolder, manifests[0]), text, func() { mustFind(t, dir, path, "a chain signed with another key") })
	if err := os.WriteFile(warcPath(dir, "qingyuan-20261122T093000Z-000099.warc.gz"), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	mustFind(t, dir, path, "a file put in")
}

// A file that is still open is covered by its records and its index.
func TestVerifyOpenFile(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	w := open(t, Options{Dir: dir, Now: c.now})
	for n := range 12 {
		appendPage(t, w, page(n, c.now()))
	}
	r := mustBeSound(t, dir)
	if len(r.Open) != 1 || r.Records != 37 {
		t.Fatalf("report of an open file: %+v", r)
	}
	rng := rand.New(rand.NewSource(13))
	for range 60 {
		for _, path := range parts(t, dir)[:2] {
			data, _ := os.ReadFile(path)
			at := rng.Intn(len(data) - 1)
			altered := bytes.Clone(data)
			altered[at] ^= 1 << rng.Intn(8)
			change(t, path, altered, func() { mustFind(t, dir, path, fmt.Sprintf("byte %d flipped", at)) })
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	p := newPack().(*pack)
	members, _, err := exchangeRecords(p, page(1, time.Unix(1_700_000_000, 0)), "", nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range members {
		s := newScanner(bytes.NewReader(m.data), 0, int64(len(m.data)))
		plain, err := inflate(s.src, &s.gz)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecord(data)
		if err != nil {
			return
		}
		e := entryOf(r, 0, 1, "")
		line, err := e.line()
		if err != nil {
			t.Fatal(err)
		}
		if e.ID == "" || len(line) > maxLine {
			return
		}
		again, err := parseEntry(line)
		if err != nil || again != e {
			t.Fatalf("entry does not come back: %v\n%+v\n%+v", err, e, again)
		}
		parseHeader(r.Block)
		ParseFields(r.Block)
	})
}

func FuzzReadMember(f *testing.F) {
	p := newPack().(*pack)
	members, _, err := exchangeRecords(p, page(2, time.Unix(1_700_000_000, 0)), "", nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range members {
		f.Add(m.data)
		f.Add(append(m.data, m.data...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := readMember(data, new(gzip.Reader)); err == nil && !bytes.HasPrefix(data, gzipHead) {
			t.Fatal("a member with a foreign head was taken")
		}
		s := newScanner(bytes.NewReader(data), 0, int64(len(data)))
		for range 10 {
			_, e, err := s.next()
			if err != nil {
				break
			}
			if e.Offset+e.Length > int64(len(data)) {
				t.Fatalf("entry %+v is outside of %d bytes", e, len(data))
			}
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"offset":0,"length":1,"sha256":"","id":"urn:uuid:x","type":"response","date":""}` + "\n"))
	f.Add([]byte(`{"seq":1,"time":"","event":"seal","file":"a.warc.gz","prev":"","key":"","signature":""}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := parseEntry(data); err == nil {
			if line, err := e.line(); err != nil || !bytes.Equal(line, data) {
				t.Fatalf("accepted another form: %q", data)
			}
		}
		if _, err := parseEvent(data, make([]byte, 32)); err == nil {
			t.Fatal("an event without a signature was taken")
		}
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			if _, err := readLine(r); err != nil {
				break
			}
		}
	})
}
