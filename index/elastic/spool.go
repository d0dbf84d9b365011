package elastic

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"qingyuan/index"
)

// segmentBytes is how large a file of the spool grows.
const segmentBytes = 16 << 20

// entry is what waits: records to put, or a deletion to note.
type entry struct {
	Put    []index.Record  `json:"put,omitempty"`
	Delete *index.Deletion `json:"delete,omitempty"`
}

// spool keeps entries on disk in the order they came, until the server has
// them. Each is one line, its CRC before it, and durable when append returns.
// What was sent is noted in a file apart; sending it again changes nothing.
type spool struct {
	dir   string
	limit int64

	mu      sync.Mutex
	lock    *os.File // held while this process uses the folder
	write   *os.File // the newest segment
	last    int      // its number
	size    int64    // its size
	entries int64
	bytes   int64
	running bool // somebody sends what waits
	broken  error

	refused atomic.Int64
}

// openSpool makes the folder; it is taken hold of when something must wait.
func openSpool(dir string, limit int64) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the spool: %w", err)
	}
	sp := &spool{dir: dir, limit: limit}
	n, err := sp.countRefused()
	sp.refused.Store(n)
	return sp, err
}

// leftover reports whether an earlier process left entries, and takes them
// over unless another process does.
func (sp *spool) leftover() bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if names, err := sp.segments(); err != nil || len(names) == 0 {
		return false
	}
	return sp.take() == nil && sp.entries > 0
}

// take makes the folder this process's own and reads what is in it.
func (sp *spool) take() error {
	if sp.lock != nil {
		return sp.broken
	}
	f, err := os.OpenFile(filepath.Join(sp.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the spool: %w", err)
	}
	if err := lockFile(f, false); err != nil {
		f.Close()
		return fmt.Errorf("the spool %s is used by another process: %w", sp.dir, err)
	}
	sp.lock = f
	sp.broken = sp.recover()
	return sp.broken
}

// segments lists the files of entries, oldest first.
func (sp *spool) segments() ([]int, error) {
	names, err := filepath.Glob(filepath.Join(sp.dir, "*.spool"))
	var out []int
	for _, n := range names {
		if i, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(n), ".spool")); err == nil {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out, err
}

func (sp *spool) path(segment int) string {
	return filepath.Join(sp.dir, fmt.Sprintf("%08d.spool", segment))
}

// recover counts what waits and cuts off a line that was being written when a
// process ended: nobody was told that it is kept.
func (sp *spool) recover() error {
	all, err := sp.segments()
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	sent := sp.sent()
	sp.last = sent.Segment // its file may be gone; its number is used up
	for i, n := range all {
		sp.last = max(sp.last, n)
		if n < sent.Segment {
			if err := os.Remove(sp.path(n)); err != nil {
				return fmt.Errorf("cleaning the spool: %w", err)
			}
			continue
		}
		f, err := os.OpenFile(sp.path(n), os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		whole := int64(0)
		r := bufio.NewReader(f)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				break
			}
			if whole += int64(len(line)); n > sent.Segment || whole > sent.Offset {
				sp.entries++
				sp.bytes += int64(len(line))
			}
		}
		if i == len(all)-1 {
			if err := errors.Join(f.Truncate(whole), f.Sync()); err != nil {
				return errors.Join(fmt.Errorf("mending the spool: %w", err), f.Close())
			}
		}
		f.Close()
	}
	return nil
}

// position is up to where entries were sent.
type position struct {
	Segment int   `json:"segment"`
	Offset  int64 `json:"offset"`
}

func (sp *spool) sent() position {
	var p position
	if raw, err := os.ReadFile(filepath.Join(sp.dir, "sent.json")); err == nil {
		if json.Unmarshal(raw, &p) != nil {
			return position{}
		}
	}
	return p
}

// encode writes an entry as a line.
func encode(e entry) ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", index.ErrInvalid, err)
	}
	line := make([]byte, 0, len(raw)+10)
	line = fmt.Appendf(line, "%08x ", crc32.ChecksumIEEE(raw))
	return append(append(line, raw...), '\n'), nil
}

// decode undoes encode.
func decode(line []byte) (entry, error) {
	var e entry
	sum, raw, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if want, err := strconv.ParseUint(string(sum), 16, 32); !ok || err != nil || uint32(want) != crc32.ChecksumIEEE(raw) {
		return e, errors.New("its checksum does not fit")
	}
	return e, json.Unmarshal(raw, &e)
}

// add keeps an entry; with behind only if others wait already, and says whether.
func (sp *spool) add(e entry, behind bool) (bool, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if behind && sp.entries == 0 {
		return false, nil
	}
	if err := sp.take(); err != nil {
		return false, err
	}
	e.Put = slices.Clone(e.Put)
	for i := range e.Put {
		e.Put[i] = e.Put[i].Canonical()
	}
	line, err := encode(e)
	if err != nil {
		return false, err
	}
	if sp.bytes+int64(len(line)) > sp.limit {
		return false, fmt.Errorf("%w: %d MiB wait in %s, which is all it may hold; the crawl goes on when the server is back", ErrSpoolFull, sp.bytes>>20, sp.dir)
	}
	if err := sp.open(); err != nil {
		return false, err
	}
	_, err = sp.write.Write(line)
	if err == nil {
		err = sp.write.Sync()
	}
	if err != nil {
		// Half a line must not stand before the next one: that goes to another file.
		err = errors.Join(fmt.Errorf("writing the spool: %w", err), sp.write.Truncate(sp.size), sp.write.Close())
		sp.write = nil
		return false, err
	}
	sp.size += int64(len(line))
	sp.bytes += int64(len(line))
	sp.entries++
	return true, nil
}

// open makes the newest segment ready to be written.
func (sp *spool) open() error {
	if sp.write != nil && sp.size < segmentBytes {
		return nil
	}
	if sp.write != nil {
		sp.write.Close()
		sp.write = nil
	}
	sp.last++
	f, err := os.OpenFile(sp.path(sp.last), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("writing the spool: %w", err)
	}
	sp.write, sp.size = f, 0
	return syncDir(sp.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// waiting is how many entries, and bytes, wait.
func (sp *spool) waiting() (entries, size int64) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.entries, sp.bytes
}

// batch is what is sent at a time.
type batch struct {
	entries []entry
	lines   [][]byte
	bytes   int64
	next    position
}

// batchBytes bounds the entries that are sent at a time.
const batchBytes = 4 << 20

// read returns entries that follow a position; none when it stands at the end.
// Entries that are damaged come with an error in their place, by onDamage.
func (sp *spool) read(from position, onDamage func(line []byte, err error) error) (batch, error) {
	b := batch{next: from}
	all, err := sp.segments()
	if err != nil {
		return b, err
	}
	for _, n := range all {
		if n < b.next.Segment {
			continue
		}
		if n > b.next.Segment {
			if b.bytes > 0 {
				return b, nil
			}
			b.next = position{Segment: n}
		}
		if err := sp.readSegment(&b, onDamage); err != nil || b.bytes > 0 {
			return b, err
		}
	}
	return b, nil
}

func (sp *spool) readSegment(b *batch, onDamage func([]byte, error) error) error {
	f, err := os.Open(sp.path(b.next.Segment))
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(b.next.Offset, io.SeekStart); err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	r := bufio.NewReader(f)
	for b.bytes < batchBytes {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what is being written, or the end
		}
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		e, bad := decode(line)
		if bad != nil {
			if err := onDamage(line, bad); err != nil {
				return err
			}
		}
		b.entries, b.lines = append(b.entries, e), append(b.lines, line)
		b.bytes += int64(len(line))
		b.next.Offset += int64(len(line))
	}
	return nil
}

// done notes that everything before a position was sent.
func (sp *spool) done(b batch) error {
	raw, err := json.Marshal(b.next)
	if err != nil {
		return err
	}
	tmp := filepath.Join(sp.dir, "sent.json.new")
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("noting what was sent of the spool: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(sp.dir, "sent.json")); err != nil {
		return fmt.Errorf("noting what was sent of the spool: %w", err)
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.entries -= int64(len(b.lines))
	sp.bytes -= b.bytes
	all, err := sp.segments()
	if err != nil {
		return err
	}
	for _, n := range all {
		if n >= b.next.Segment {
			break
		}
		if err := os.Remove(sp.path(n)); err != nil {
			return fmt.Errorf("cleaning the spool: %w", err)
		}
	}
	if sp.entries == 0 {
		return sp.clear()
	}
	return nil
}

// clear removes the files once everything was sent. The mark goes last: what
// is left of the files then only means sending again.
func (sp *spool) clear() error {
	if sp.write != nil {
		sp.write.Close()
		sp.write = nil
	}
	all, err := sp.segments()
	if err != nil {
		return err
	}
	for _, n := range all {
		if err := os.Remove(sp.path(n)); err != nil {
			return fmt.Errorf("cleaning the spool: %w", err)
		}
	}
	sp.bytes = 0
	return nil
}

// start reports whether the caller is to send what waits; end undoes it.
func (sp *spool) start() bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.running {
		return false
	}
	sp.running = true
	return true
}

// finish ends the sending if nothing waits, and says whether it did.
func (sp *spool) finish(always bool) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if always || sp.entries == 0 {
		sp.running = false
		return true
	}
	return false
}

func (sp *spool) close() error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	var errs []error
	for _, f := range [...]*os.File{sp.write, sp.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	sp.write, sp.lock = nil, nil
	return errors.Join(errs...)
}
