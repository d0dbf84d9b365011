package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// recoverFiles brings the files in order after a crash: files that were open
// are mended and sealed, drops are finished, and files that no manifest names,
// in which nothing was ever acknowledged, are moved aside.
func (w *Writer) recoverFiles() error {
	onDisk, err := namesIn(filepath.Join(w.opts.Dir, warcFolder), warcSuffix)
	if err != nil {
		return err
	}
	for _, name := range onDisk {
		if _, known := w.files[name]; known {
			continue
		}
		if err := w.setAside(name); err != nil {
			return err
		}
	}
	var open []string
	for name, seal := range w.files {
		if seal == nil {
			open = append(open, name)
		}
	}
	slices.Sort(open)
	for _, name := range open {
		if !slices.Contains(onDisk, name) {
			w.log.Error("an archive file is gone that was being written when the process ended", "file", name)
			if err := w.ledger.add(w.opts.Now(), Event{Event: EventMissing, File: name, Note: "begun and not there at the next start"}); err != nil {
				return err
			}
			delete(w.files, name)
			continue
		}
		v, note, err := mendVolume(w.opts.Dir, name, w.log.Warn)
		if err != nil {
			return fmt.Errorf("mending %s: %w", name, err)
		}
		e := v.event()
		e.Note = note
		if err := errors.Join(v.close(), w.ledger.add(w.opts.Now(), e)); err != nil {
			return fmt.Errorf("sealing %s: %w", name, err)
		}
		w.files[name] = &e
	}
	return nil
}

// setAside moves a file that is in no manifest, or was to be dropped.
func (w *Writer) setAside(name string) error {
	w.log.Warn("a file that no manifest holds was moved to torn", "file", name)
	if err := os.MkdirAll(filepath.Join(w.opts.Dir, tornFolder), 0o700); err != nil {
		return fmt.Errorf("moving %s aside: %w", name, err)
	}
	for _, n := range []string{name, indexName(name)} {
		err := os.Rename(filepath.Join(w.opts.Dir, warcFolder, n), freeName(w.opts.Dir, n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("moving %s aside: %w", n, err)
		}
	}
	return nil
}

// freeName gives a path in torn that is not taken.
func freeName(dir, base string) string {
	path := filepath.Join(dir, tornFolder, base)
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
		path = filepath.Join(dir, tornFolder, base+"."+strconv.Itoa(n))
	}
}

// cutFile moves what stands behind size to torn.
func cutFile(dir, path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Join(dir, tornFolder), 0o700); err != nil {
		return err
	}
	aside, err := createFile(freeName(dir, filepath.Base(path)+"."+strconv.FormatInt(size, 10)))
	if err != nil {
		return err
	}
	_, err = io.Copy(aside, io.NewSectionReader(f, size, 1<<62))
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return errors.Join(err, os.Remove(aside.Name()))
	}
	return errors.Join(f.Truncate(size), f.Sync())
}

// mendVolume brings a file that was not sealed to its last whole record, and
// its index in line with it. What the index vouches for is compared by hash,
// the rest is read record by record.
func mendVolume(dir, name string, logf func(string, ...any)) (v *volume, note string, err error) {
	v = &volume{name: name, sum: sha256.New(), indexSum: sha256.New()}
	if v.warc, err = os.OpenFile(warcPath(dir, name), os.O_RDWR, 0o600); err != nil {
		return nil, "", err
	}
	if v.index, err = os.OpenFile(indexPath(dir, name), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		v.warc.Close()
		return nil, "", err
	}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	end, err := v.warc.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, "", err
	}
	if err := v.trusted(end); err != nil {
		return nil, "", err
	}
	lines, damage, end, err := v.rescan(end)
	if err != nil {
		return nil, "", err
	}
	if err := v.settle(dir, lines, damage, end, logf); err != nil {
		return nil, "", err
	}
	return v, strings.Join(damage, "; "), nil
}

// trusted advances over the lines of the index that fit the file.
func (v *volume) trusted(end int64) error {
	r := bufio.NewReaderSize(io.NewSectionReader(v.index, 0, 1<<62), 64<<10)
	for {
		line, err := readLine(r)
		if err == io.EOF || errors.Is(err, errLongLine) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the index: %w", err)
		}
		e, err := parseEntry(line)
		if err != nil || e.Offset != v.size || e.Offset+e.Length > end {
			return nil
		}
		data := make([]byte, e.Length)
		if _, err := v.warc.ReadAt(data, e.Offset); err != nil {
			return fmt.Errorf("reading the records: %w", err)
		}
		if hexSum(data) != e.SHA256 {
			return nil
		}
		v.size, v.indexSize = v.size+e.Length, v.indexSize+int64(len(line))
		v.count(e)
	}
}

// rescan reads what the index does not vouch for. It returns the lines for it,
// what is damaged between whole records, and where the last of these ends.
func (v *volume) rescan(size int64) (lines []byte, damage []string, end int64, err error) {
	end = v.size
	s := newScanner(v.warc, end, size)
	for {
		_, e, err := s.next()
		if err == io.EOF {
			return lines, damage, end, nil
		}
		if err != nil {
			whole, err2 := nextWhole(v.warc, e.Offset+1, size)
			if err2 != nil {
				return nil, nil, 0, err2
			}
			if whole < 0 {
				return lines, damage, end, nil
			}
			damage = append(damage, fmt.Sprintf("damaged from %d to %d: %v", e.Offset, whole, err))
			s = newScanner(v.warc, whole, size)
			continue
		}
		line, err := e.line()
		if err != nil {
			return nil, nil, 0, err
		}
		lines = append(lines, line...)
		end = e.Offset + e.Length
		v.count(e)
	}
}

// settle writes what rescan found: the torn end is moved aside, the index
// completed.
func (v *volume) settle(dir string, lines []byte, damage []string, end int64, logf func(string, ...any)) error {
	info, err := v.warc.Stat()
	if err != nil {
		return err
	}
	if torn := info.Size() - end; torn > 0 {
		if err := cutFile(dir, warcPath(dir, v.name), end); err != nil {
			return fmt.Errorf("moving the unfinished record aside: %w", err)
		}
		logf("the unfinished end of an archive file was moved to torn", "file", v.name, "offset", end, "bytes", torn)
	}
	for _, d := range damage {
		logf("an archive file is damaged before its end", "file", v.name, "problem", d)
	}
	old := make([]byte, 0)
	if info, err := v.index.Stat(); err == nil && info.Size() > v.indexSize {
		old = make([]byte, min(info.Size()-v.indexSize, 64<<20))
		if _, err := v.index.ReadAt(old, v.indexSize); err != nil && err != io.EOF {
			return fmt.Errorf("reading the index: %w", err)
		}
	}
	if !bytes.Equal(old, lines) {
		if len(old) > 0 {
			if err := cutFile(dir, indexPath(dir, v.name), v.indexSize); err != nil {
				return fmt.Errorf("moving the end of the index aside: %w", err)
			}
		}
		if _, err := v.index.WriteAt(lines, v.indexSize); err != nil {
			return fmt.Errorf("completing the index: %w", err)
		}
		logf("the index of an archive file was completed from its records", "file", v.name, "from", v.indexSize, "bytes", len(lines))
	}
	v.size, v.indexSize = end, v.indexSize+int64(len(lines))
	for _, f := range []struct {
		file *os.File
		to   io.Writer
		size int64
	}{{v.warc, v.sum, v.size}, {v.index, v.indexSum, v.indexSize}} {
		if n, err := io.Copy(f.to, io.NewSectionReader(f.file, 0, f.size)); err != nil || n != f.size {
			return errors.Join(fmt.Errorf("hashing %s: %d of %d bytes", f.file.Name(), n, f.size), err)
		}
		if err := f.file.Sync(); err != nil {
			return err
		}
	}
	return nil
}
