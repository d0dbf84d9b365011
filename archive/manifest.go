package archive

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Kinds of events in the manifests.
const (
	EventOpen    = "open"    // a WARC file was begun
	EventSeal    = "seal"    // it is complete: size, hashes, records
	EventDrop    = "drop"    // it was dropped by the retention policy
	EventMissing = "missing" // it was begun and is gone, found at a start
)

// Event is one line of a manifest. It holds the hash of the line before, also
// of another file, and is signed with the archive's key.
type Event struct {
	Seq         int64  `json:"seq"` // from 1, without a gap
	Time        string `json:"time"`
	Event       string `json:"event"`
	File        string `json:"file"`                   // base name of the WARC file
	Size        int64  `json:"size,omitempty"`         // bytes, with EventSeal
	SHA256      string `json:"sha256,omitempty"`       // of the WARC file
	IndexSize   int64  `json:"index_size,omitempty"`   // bytes
	IndexSHA256 string `json:"index_sha256,omitempty"` //
	Records     int    `json:"records,omitempty"`      //
	First       string `json:"first,omitempty"`        // earliest WARC-Date
	Last        string `json:"last,omitempty"`         // latest WARC-Date
	Note        string `json:"note,omitempty"`         // for people
	Prev        string `json:"prev"`                   // SHA-256 of the line before, hex; empty in the first
	Key         string `json:"key"`                    // public key, hex
	Signature   string `json:"signature"`              // Ed25519 over the line without the signature's value, hex
}

// sign completes the event and gives its line.
func (e *Event) sign(key ed25519.PrivateKey) ([]byte, error) {
	e.Key, e.Signature = hex.EncodeToString(key.Public().(ed25519.PublicKey)), ""
	bare, err := oneLine(e)
	if err != nil {
		return nil, err
	}
	e.Signature = hex.EncodeToString(ed25519.Sign(key, bare))
	return oneLine(e)
}

// parseEvent reads a line, line break included, in no other form than sign
// gives, and checks its signature.
func parseEvent(line []byte, key ed25519.PublicKey) (Event, error) {
	var e Event
	if err := strictLine(line, &e); err != nil {
		return e, err
	}
	if again, err := oneLine(e); err != nil || !bytes.Equal(again, line) {
		return e, errors.New("not as it was written")
	}
	if e.Key != hex.EncodeToString(key) {
		return e, fmt.Errorf("signed with the key %s, the archive's is %s", cut(e.Key, 64), hex.EncodeToString(key))
	}
	signature, err := hex.DecodeString(e.Signature)
	if err != nil || hex.EncodeToString(signature) != e.Signature {
		return e, errors.New("the signature is not hex as it was written")
	}
	bare := e
	bare.Signature = ""
	text, err := oneLine(bare)
	if err != nil || len(signature) != ed25519.SignatureSize || !ed25519.Verify(key, text, signature) {
		return e, errors.New("the signature does not fit")
	}
	if e.File != filepath.Base(e.File) || !strings.HasSuffix(e.File, warcSuffix) {
		return e, errors.New("the file's name is impossible")
	}
	return e, nil
}

// ledger is the chain of manifests, open for writing.
type ledger struct {
	dir    string
	key    ed25519.PrivateKey
	file   *os.File // the manifest that is written; nil before the first event
	name   string
	size   int64
	seq    int64
	prev   string
	broken error // a line could neither be written nor taken back
}

// openLedger reads the chain and makes it ready for more. A last line that a
// crash cut short is moved to torn.
func openLedger(dir string, key ed25519.PrivateKey, logf func(string, ...any)) (*ledger, []Event, error) {
	l := &ledger{dir: dir, key: key}
	names, err := manifestNames(dir)
	if err != nil {
		return nil, nil, err
	}
	var events []Event
	for i, name := range names {
		path := filepath.Join(dir, manifestFolder, name)
		lines, size, err := readLines(path)
		if err != nil {
			return nil, nil, err
		}
		if n := len(lines); i == len(names)-1 && n > 0 && !bytes.HasSuffix(lines[n-1], []byte("\n")) {
			last := lines[n-1]
			if err := cutFile(dir, path, size-int64(len(last))); err != nil {
				return nil, nil, fmt.Errorf("taking back the unfinished line of %s: %w", name, err)
			}
			logf("an unfinished manifest line was moved to torn", "file", name, "bytes", len(last))
			lines, size = lines[:n-1], size-int64(len(last))
		}
		at := int64(0)
		for _, line := range lines {
			e, err := parseEvent(line, key.Public().(ed25519.PublicKey))
			if err == nil && (e.Seq != l.seq+1 || e.Prev != l.prev) {
				err = errors.New("does not follow the line before it")
			}
			if err != nil {
				return nil, nil, &DamageError{File: manifestFolder + "/" + name, Offset: at, Problem: err.Error() + "; see what qingyuan archive verify says, and mend or move the folder away"}
			}
			l.seq, l.prev, at = e.Seq, hexSum(line), at+int64(len(line))
			events = append(events, e)
		}
		l.name, l.size = name, size
	}
	if l.name == "" {
		return l, nil, nil
	}
	if l.file, err = os.OpenFile(filepath.Join(dir, manifestFolder, l.name), os.O_RDWR, 0o600); err != nil {
		return nil, nil, fmt.Errorf("opening the manifest: %w", err)
	}
	return l, events, nil
}

// manifestNames lists the manifests in order.
func manifestNames(dir string) ([]string, error) {
	return namesIn(filepath.Join(dir, manifestFolder), ".jsonl")
}

// namesIn lists the files of a folder with a suffix, sorted; none when there
// is no folder.
func namesIn(folder, suffix string) ([]string, error) {
	list, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	var names []string
	for _, e := range list {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// readLines reads a file of lines; the last may lack its line break.
func readLines(path string) (lines [][]byte, size int64, err error) {
	err = eachLine(path, func(_ int64, line []byte) error {
		lines, size = append(lines, line), size+int64(len(line))
		return nil
	})
	return lines, size, err
}

// eachLine calls fn with each line of a file, the break included if there is
// one, and where it begins. A line over maxLine ends it with errLongLine, after
// fn has got its beginning.
func eachLine(path string, fn func(at int64, line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading lines: %w", err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for at := int64(0); ; {
		line, err := readLine(r)
		if len(line) > 0 {
			if err := fn(at, line); err != nil {
				return err
			}
			at += int64(len(line))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: offset %d: %w", path, at, err)
		}
	}
}

var errLongLine = fmt.Errorf("a line is over %d bytes", maxLine)

// readLine reads one line, its break included, in memory of its own.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return append(line, part...), errLongLine
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// add signs an event and makes it durable. Each hour of events has its own
// file; a clock that was put back changes nothing in their order.
func (l *ledger) add(now time.Time, e Event) error {
	if l.broken != nil {
		return fmt.Errorf("writing the manifest: an earlier failure could not be undone; restart: %w", l.broken)
	}
	name := "manifest-" + now.UTC().Format("2006-01-02T15") + ".jsonl"
	if name > l.name {
		f, err := createFile(filepath.Join(l.dir, manifestFolder, name))
		if err != nil {
			return fmt.Errorf("making the manifest: %w", err)
		}
		if l.file != nil {
			l.file.Close()
		}
		l.file, l.name, l.size = f, name, 0
	}
	e.Seq, e.Prev, e.Time = l.seq+1, l.prev, now.UTC().Format(time.RFC3339)
	line, err := e.sign(l.key)
	if err != nil {
		return err
	}
	_, err = l.file.WriteAt(line, l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.broken = l.file.Truncate(l.size)
		return fmt.Errorf("writing the manifest: %w", err)
	}
	l.size += int64(len(line))
	l.seq, l.prev = e.Seq, hexSum(line)
	return nil
}

func (l *ledger) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// createFile makes a new file and its name durable.
func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return f, nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

const (
	keyFile    = "key.pem"
	publicFile = "key.pub"
)

// loadKey reads the signing key, or makes it at first use.
func loadKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if names, err := manifestNames(dir); err != nil || len(names) > 0 {
			return nil, errors.Join(fmt.Errorf("the signing key %s is gone, but there are manifests signed with it: bring it back, or begin another archive folder", path), err)
		}
		return makeKey(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the signing key %s may be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key %s: %w", path, err)
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", path)
	}
	return signer, nil
}

func makeKey(dir string) (ed25519.PrivateKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	if err := writeFile(dir, publicFile, publicPEM(public)); err != nil {
		return nil, fmt.Errorf("writing the public key: %w", err)
	}
	if err := writeFile(dir, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})); err != nil {
		return nil, fmt.Errorf("writing the signing key: %w", err)
	}
	return key, nil
}

func publicPEM(public ed25519.PublicKey) []byte {
	der, _ := x509.MarshalPKIXPublicKey(public) // fails for unknown kinds of keys only
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// writeFile puts a small file in place, whole or not at all, readable by its
// owner alone.
func writeFile(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err == nil {
		err = syncFolder(dir)
	}
	return err
}

// PublicKey reads the archive's public key: PEM as kept in key.pub, and hex as
// it stands in the manifests.
func PublicKey(dir string) (text, hexKey string, err error) {
	key, data, err := readPublic(dir)
	if err != nil {
		return "", "", err
	}
	return string(data), hex.EncodeToString(key), nil
}

func readPublic(dir string) (ed25519.PublicKey, []byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, publicFile))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the public key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, nil, &DamageError{File: publicFile, Problem: "not PEM"}
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok || !bytes.Equal(publicPEM(key), data) {
		return nil, nil, &DamageError{File: publicFile, Problem: "not the Ed25519 key as it was written"}
	}
	return key, data, nil
}
