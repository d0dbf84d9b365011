package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nlnwa/gowarc/v2"
)

// interop makes an archive with every type of record.
func interop(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = sample(t, 12)
	c := newClock()
	w := open(t, Options{Dir: dir, Now: c.now, Dedupe: -1})
	x := page(3, c.now())
	x.URL, x.RemoteAddr = "https://bbs.example/a?b==?utf-8?b?5Lit?=&c=中文", "[2001:db8::7]:443"
	x.ResponseHeader["Content-Encoding"] = []string{"identity"}
	ref := appendPage(t, w, x)
	for _, kind := range []string{TypeResource, TypeConversion} {
		if _, err := w.Attach(t.Context(), Attachment{Type: kind, URL: "http://bbs.example/x", ContentType: "image/png", Block: []byte("\x89PNG\r\n\r\n"), RefersTo: ref.RecordID, Date: c.now()}); err != nil {
			t.Fatal(err)
		}
	}
	closeWriter(t, w)
	files, err := filepath.Glob(filepath.Join(dir, warcFolder, "*"+warcSuffix))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return dir, files
}

// The library's strict reader, which is not the one used here, takes every
// record.
func TestGowarcReadsStrictly(t *testing.T) {
	_, files := interop(t)
	types := map[gowarc.RecordType]int{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, u := bufio.NewReader(f), gowarc.NewUnmarshaler(gowarc.WithStrictValidation())
		for {
			rec, skipped, validation, err := u.Unmarshal(r)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || skipped != 0 || !validation.Valid() {
				t.Fatalf("%s: %v, %d bytes skipped, %v", file, err, skipped, validation)
			}
			types[rec.Type()]++
			rec.Close()
		}
	}
	for _, want := range []gowarc.RecordType{gowarc.Warcinfo, gowarc.Request, gowarc.Response, gowarc.Revisit, gowarc.Metadata, gowarc.Resource, gowarc.Conversion} {
		if types[want] == 0 {
			t.Errorf("no %v record was read", want)
		}
	}
}

// warcio, the reference reader in Python, checks and indexes every record.
func TestWarcio(t *testing.T) {
	bin := installWarcio(t)
	_, files := interop(t)
	records := 0
	for _, file := range files {
		out, err := exec.Command(filepath.Join(bin, "warcio"), "check", "-v", file).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("fail")) {
			t.Errorf("warcio check %s: %v\n%s", file, err, out)
		}
		passed := bytes.Count(out, []byte("digest pass")) + bytes.Count(out, []byte("not checked (revisit)"))
		out, err = exec.Command(filepath.Join(bin, "warcio"), "index", "-f", "offset,length,warc-type,warc-target-uri,http:status", file).CombinedOutput()
		if err != nil {
			t.Fatalf("warcio index %s: %v\n%s", file, err, out)
		}
		lines := bytes.Count(out, []byte("\n"))
		if passed != lines || lines < 4 {
			t.Errorf("%s: warcio found %d records and %d digests that pass", file, lines, passed)
		}
		records += lines
		altered := filepath.Join(t.TempDir(), filepath.Base(file))
		data, _ := os.ReadFile(file)
		data[len(data)/2] ^= 4
		os.WriteFile(altered, data, 0o600)
		if out, err := exec.Command(filepath.Join(bin, "warcio"), "check", "-v", altered).CombinedOutput(); err == nil && !bytes.Contains(out, []byte("fail")) && bytes.Count(out, []byte("WARC-Record-ID")) == lines {
			t.Errorf("warcio passes a file with a flipped byte: its check says nothing")
		}
	}
	t.Logf("warcio read %d records in %d files", records, len(files))
}

// installWarcio puts warcio into a virtual environment of its own.
func installWarcio(t *testing.T) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CI") == "true" {
		skip = t.Fatalf
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		skip("there is no python3: %v", err)
	}
	venv := filepath.Join(t.TempDir(), "venv")
	if out, err := exec.Command(python, "-m", "venv", venv).CombinedOutput(); err != nil {
		skip("python3 makes no virtual environment (Debian: apt-get install python3-venv): %v\n%s", err, out)
	}
	bin := filepath.Join(venv, "bin")
	if out, err := exec.Command(filepath.Join(bin, "pip"), "install", "-q", "--disable-pip-version-check", "warcio==1.8.1").CombinedOutput(); err != nil {
		skip("warcio cannot be installed: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	return bin
}
