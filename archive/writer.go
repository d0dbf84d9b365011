package archive

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/nlnwa/gowarc/v2"
)

// Options of Open. Only Dir is needed.
type Options struct {
	Dir      string        // made when missing, for its owner alone
	MaxFile  int64         // bytes after which a WARC file is sealed and another begun; 512 MiB by default
	Rotate   time.Duration // span of a WARC file, counted from the full hour in UTC; 1 h by default
	Dedupe   time.Duration // how old a record may be for another to refer to it instead of keeping the same body; 7 days by default and at most, and never over half of Keep; below 0: never
	Keep     time.Duration // age at which WARC files are dropped; 0 keeps all
	Software string        // named in the warcinfo record of each file
	Logger   *slog.Logger  // nil: silent
	Now      func() time.Time
	// RetainByHand leaves the retention policy to calls of Retain; otherwise it
	// is applied at the start and whenever a file is sealed.
	RetainByHand bool
	// PostRecords resolves holds on posts to the record ids and URLs they stand
	// for. Without it a hold on a post keeps everything.
	PostRecords func(ctx context.Context, id string) (records, urls []string, err error)
}

// Writer adds to an archive folder. It is safe for many goroutines; there is
// one Writer a folder. Make it with Open.
//
// Append returns only when the exchange is durable: what several goroutines
// append at a time shares one write and one fsync. After an error nothing of
// the exchange is in the archive, and what was there before is untouched; the
// caller tries again later.
type Writer struct {
	opts  Options
	log   *slog.Logger
	lock  *lock
	key   ed25519.PrivateKey
	packs sync.Pool
	seen  *seen

	jobs chan job
	do   chan func() // runs between batches
	stop chan struct{}
	done chan struct{} // closed when run has ended
	bg   sync.WaitGroup
	err  error // of closing; read after done

	closing   sync.Once
	retaining sync.Mutex

	// What follows belongs to the goroutine of run.
	ledger *ledger
	files  map[string]*Event // WARC files that are there: by name, with their seal; nil while unsealed
	number int               // of the last WARC file
	cur    *volume           // nil: none is open
}

// job is a group of records that go into one file together.
type job struct {
	members []member
	done    chan error
	file    *string // set before done
}

// Open takes a folder for writing: it makes what is missing, takes the lock,
// mends what a crash left (see recover.go) and seals it.
func Open(opts Options) (*Writer, error) {
	if opts.Dir == "" {
		return nil, errors.New("archive: no folder given")
	}
	withDefaults(&opts)
	for _, d := range []string{opts.Dir, filepath.Join(opts.Dir, warcFolder), filepath.Join(opts.Dir, manifestFolder), filepath.Join(opts.Dir, holdFolder)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("making the archive folder: %w", err)
		}
	}
	if err := syncFolder(opts.Dir); err != nil {
		return nil, fmt.Errorf("making the archive folder: %w", err)
	}
	l, err := takeLock(filepath.Join(opts.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("opening the archive %s: %w", opts.Dir, err)
	}
	w := &Writer{opts: opts, log: opts.Logger, lock: l, packs: sync.Pool{New: newPack}, seen: newSeen(opts.Dir),
		jobs: make(chan job, 256), do: make(chan func()), stop: make(chan struct{}), done: make(chan struct{}), files: map[string]*Event{}}
	if err := w.begin(); err != nil {
		if w.ledger != nil {
			w.ledger.close()
		}
		l.close()
		return nil, fmt.Errorf("opening the archive %s: %w", opts.Dir, err)
	}
	w.retainLater()
	go w.run()
	return w, nil
}

// maxDedupe bounds how far back a record refers, so that an old file is soon
// needed by none.
const maxDedupe = 7 * 24 * time.Hour

func withDefaults(o *Options) {
	if o.MaxFile <= 0 {
		o.MaxFile = 512 << 20
	}
	if o.Rotate <= 0 {
		o.Rotate = time.Hour
	}
	if o.Dedupe == 0 || o.Dedupe > maxDedupe {
		o.Dedupe = maxDedupe
	}
	if o.Keep > 0 {
		o.Dedupe = min(o.Dedupe, o.Keep/2)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Software == "" {
		o.Software = "Qingyuan"
	}
}

// begin reads key and manifests, and brings the files in order.
func (w *Writer) begin() (err error) {
	if w.key, err = loadKey(w.opts.Dir); err != nil {
		return err
	}
	var events []Event
	if w.ledger, events, err = openLedger(w.opts.Dir, w.key, w.log.Warn); err != nil {
		return err
	}
	for _, e := range events {
		switch e.Event {
		case EventOpen:
			w.files[e.File] = nil
		case EventSeal:
			w.files[e.File] = &e
		case EventDrop, EventMissing:
			delete(w.files, e.File)
		}
		w.number = max(w.number, numberOf(e.File))
	}
	if err := w.recoverFiles(); err != nil {
		return err
	}
	if w.opts.Dedupe > 0 {
		w.seen.load(w.files, w.opts.Now().Add(-w.opts.Dedupe))
	}
	return nil
}

// Append keeps an exchange: request, response (or, when the same body is kept
// already, a revisit record that refers to it) and metadata. When ctx ends
// before it is durable, the error is ctx's, and the exchange may or may not be
// kept.
func (w *Writer) Append(ctx context.Context, x *Exchange) (Ref, error) {
	sum, of := hexSum(x.Body), (*original)(nil)
	if w.opts.Dedupe > 0 && x.Truncated == "" {
		of = w.seen.find(x, sum, x.Started.Add(-w.opts.Dedupe))
	}
	p := w.packs.Get().(*pack)
	members, ref, err := exchangeRecords(p, x, sum, of)
	w.packs.Put(p)
	if err != nil {
		return Ref{}, fmt.Errorf("archiving %s: %w", x.URL, err)
	}
	if ref.File, err = w.commit(ctx, members); err != nil {
		return Ref{}, fmt.Errorf("archiving %s: %w", x.URL, err)
	}
	return ref, nil
}

// Attach keeps something made from a page or beside it.
func (w *Writer) Attach(ctx context.Context, a Attachment) (Ref, error) {
	kind := gowarc.Resource
	switch a.Type {
	case TypeConversion:
		kind = gowarc.Conversion
	case TypeResource:
	default:
		return Ref{}, fmt.Errorf("archiving an attachment: type %q is neither resource nor conversion", a.Type)
	}
	if a.Date.IsZero() || a.URL == "" {
		return Ref{}, errors.New("archiving an attachment: it needs URL and date")
	}
	b := blank{kind: kind, id: newID(), url: cleanURL(a.URL), date: a.Date.UTC().Truncate(time.Microsecond), contentType: oneLiner(a.ContentType),
		payload: hexSum(a.Block), block: [][]byte{a.Block}}
	if a.RefersTo != "" {
		name := "WARC-Concurrent-To"
		if kind == gowarc.Conversion {
			name = "WARC-Refers-To"
		}
		b.more = append(b.more, Field{name, "<" + trimID(a.RefersTo) + ">"})
	}
	list := []blank{b}
	if len(a.About) > 0 {
		list = append(list, blank{kind: gowarc.Metadata, id: newID(), url: b.url, date: b.date, contentType: "application/warc-fields",
			more: []Field{{"WARC-Concurrent-To", "<" + b.id + ">"}}, block: [][]byte{fieldsBlock(a.About)}})
	}
	p := w.packs.Get().(*pack)
	defer w.packs.Put(p)
	var members []member
	for _, b := range list {
		m, err := b.pack(p)
		if err != nil {
			return Ref{}, fmt.Errorf("archiving %s: %w", a.URL, err)
		}
		members = append(members, m)
	}
	file, err := w.commit(ctx, members)
	if err != nil {
		return Ref{}, fmt.Errorf("archiving %s: %w", a.URL, err)
	}
	return Ref{File: file, RecordID: b.id, SHA256: b.payload, Date: b.date}, nil
}

// commit hands records to the writing goroutine and waits until they are
// durable.
func (w *Writer) commit(ctx context.Context, members []member) (string, error) {
	j := job{members: members, done: make(chan error, 1), file: new(string)}
	select {
	case w.jobs <- j:
	case <-w.stop:
		return "", ErrClosed
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case err := <-j.done:
		return *j.file, err
	case <-ctx.Done():
		return "", ctx.Err()
	case <-w.done:
		select { // it may have been answered just before the end
		case err := <-j.done:
			return *j.file, err
		default:
			return "", ErrClosed
		}
	}
}

// Close writes what is waiting, seals the open file and gives the folder up.
// What could not be sealed is sealed at the next start.
func (w *Writer) Close() error {
	w.closing.Do(func() { close(w.stop) })
	<-w.done
	w.bg.Wait()
	return w.err
}

const (
	maxBatch      = 256     // groups of records that share an fsync
	maxBatchBytes = 8 << 20 //
	lookAtClock   = 10 * time.Second
)

// run is the one goroutine that writes.
func (w *Writer) run() {
	defer close(w.done)
	clock := time.NewTicker(lookAtClock)
	defer clock.Stop()
	for {
		select {
		case j := <-w.jobs:
			w.batch(j)
		case fn := <-w.do:
			fn()
		case <-clock.C:
			if w.cur != nil && w.due() {
				if err := w.seal(); err != nil {
					w.log.Error("the archive file could not be sealed; trying again", "file", w.cur.name, "err", err)
				}
			}
		case <-w.stop:
			for len(w.jobs) > 0 {
				w.batch(<-w.jobs)
			}
			w.err = w.shut()
			return
		}
	}
}

func (w *Writer) shut() error {
	var err error
	if w.cur != nil {
		name := w.cur.name
		if err = w.seal(); err != nil {
			w.cur.close()
			err = fmt.Errorf("sealing %s: %w; the next start does it", name, err)
		}
	}
	return errors.Join(err, w.ledger.close(), w.lock.close())
}

// batch writes a job and all that wait behind it.
func (w *Writer) batch(first job) {
	runtime.Gosched() // those about to call share the fsync when the machine is busy
	jobs, size := []job{first}, first.size()
	for len(jobs) < maxBatch && size < maxBatchBytes && len(w.jobs) > 0 {
		j := <-w.jobs
		jobs, size = append(jobs, j), size+j.size()
	}
	err := w.write(jobs)
	for _, j := range jobs {
		if err == nil {
			*j.file = w.cur.name
		}
		j.done <- err
	}
	if err != nil {
		w.log.Error("the archive cannot be written", "err", err, "records_refused", len(jobs))
		return
	}
	if w.cur.size >= w.opts.MaxFile {
		if err := w.seal(); err != nil {
			w.log.Error("the archive file could not be sealed; trying again", "file", w.cur.name, "err", err)
		}
	}
}

func (j job) size() (n int) {
	for _, m := range j.members {
		n += len(m.data)
	}
	return n
}

func (w *Writer) write(jobs []job) error {
	if w.cur != nil && w.due() {
		if err := w.seal(); err != nil {
			return err
		}
	}
	if w.cur == nil {
		if err := w.openVolume(); err != nil {
			return err
		}
	}
	var members []member
	for _, j := range jobs {
		members = append(members, j.members...)
	}
	at, err := w.cur.append(members)
	if err != nil {
		if w.cur.broken != nil {
			w.log.Error("an archive file could not be brought back to its last whole record; another is begun, and the next start mends this one", "file", w.cur.name, "err", w.cur.broken)
			w.cur.close()
			w.cur = nil
		}
		return err
	}
	if w.opts.Dedupe > 0 {
		for i, m := range members {
			w.seen.add(w.cur.name, at[i], m.entry)
		}
	}
	return nil
}

// due tells that the open file has had its time or size.
func (w *Writer) due() bool {
	return w.cur.size >= w.opts.MaxFile || !w.opts.Now().UTC().Truncate(w.opts.Rotate).Equal(w.cur.span)
}

// openVolume begins the next WARC file. Nothing in it counts before the
// manifest names it.
func (w *Writer) openVolume() error {
	now := w.opts.Now().UTC()
	v, err := createVolume(w.opts.Dir, fileName(now, w.number+1), now.Truncate(w.opts.Rotate))
	if err != nil {
		return fmt.Errorf("beginning an archive file: %w", err)
	}
	p := w.packs.Get().(*pack)
	info, err := infoRecord(v.name, w.opts.Software, now).pack(p)
	w.packs.Put(p)
	if err == nil {
		_, err = v.append([]member{info})
	}
	if err == nil {
		err = w.ledger.add(now, Event{Event: EventOpen, File: v.name})
	}
	if err != nil {
		v.close()
		return errors.Join(fmt.Errorf("beginning an archive file: %w", err), os.Remove(warcPath(w.opts.Dir, v.name)), os.Remove(indexPath(w.opts.Dir, v.name)))
	}
	w.number++
	w.files[v.name], w.cur = nil, v
	return nil
}

// seal completes the open file and writes its hashes into the manifest.
func (w *Writer) seal() error {
	v := w.cur
	if err := v.index.Sync(); err != nil {
		return fmt.Errorf("sealing %s: %w", v.name, err)
	}
	e := v.event()
	if err := w.ledger.add(w.opts.Now(), e); err != nil {
		return fmt.Errorf("sealing %s: %w", v.name, err)
	}
	w.files[v.name], w.cur = &e, nil
	w.retainLater()
	if err := v.close(); err != nil {
		w.log.Warn("closing a sealed archive file", "file", v.name, "err", err) // its bytes are durable
	}
	return nil
}
