package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Limits of what is remembered for revisit records.
const (
	maxSeen   = 200_000 // bodies, and as many URLs; about 60 bytes each
	minShared = 512     // bytes of body below which a revisit record saves nothing
)

// seen remembers where bodies and URLs were kept last. What it forgets is kept
// once more, whole. It holds places only; the entry is read from the index.
type seen struct {
	dir    string
	mu     sync.Mutex
	names  []string       // file names, by number
	number map[string]int // the other way round
	places [2]map[seenKey]seenPlace
	order  [2][]seenKey // oldest first
}

type seenKey [16]byte

type seenPlace struct {
	file int32
	at   int64 // of the line in the index
}

const (
	byBody = iota
	byURL
)

func newSeen(dir string) *seen {
	return &seen{dir: dir, number: map[string]int{}, places: [2]map[seenKey]seenPlace{{}, {}}}
}

func bodyKey(payload string) (k seenKey, ok bool) {
	raw, err := hex.DecodeString(payload)
	if err != nil || len(raw) != sha256.Size {
		return k, false
	}
	return seenKey(raw[:len(k)]), true
}

func urlKey(url string) seenKey {
	sum := sha256.Sum256([]byte(url))
	return seenKey(sum[:16])
}

// add remembers a response that is durable.
func (s *seen) add(file string, at int64, e Entry) {
	if e.Type != TypeResponse || e.Status == http.StatusNotModified {
		return
	}
	k, ok := bodyKey(e.Payload)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.number[file]
	if !known {
		n = len(s.names)
		s.names, s.number[file] = append(s.names, file), n
	}
	s.put(byBody, k, seenPlace{int32(n), at})
	s.put(byURL, urlKey(e.URL), seenPlace{int32(n), at})
}

func (s *seen) put(kind int, k seenKey, p seenPlace) {
	if _, again := s.places[kind][k]; !again {
		if s.order[kind] = append(s.order[kind], k); len(s.order[kind]) > maxSeen {
			delete(s.places[kind], s.order[kind][0])
			s.order[kind] = s.order[kind][1:]
		}
	}
	s.places[kind][k] = p
}

// find gives the record that x can refer to: one with the same body, or for
// "not modified" the last of the same URL. It must not be older than since.
func (s *seen) find(x *Exchange, payload string, since time.Time) *original {
	kind, k := byBody, seenKey{}
	switch {
	case x.Status == http.StatusNotModified:
		kind, k = byURL, urlKey(cleanURL(x.URL))
	case len(x.Body) < minShared:
		return nil
	default:
		k, _ = bodyKey(payload)
	}
	s.mu.Lock()
	p, ok := s.places[kind][k]
	file := ""
	if ok {
		file = s.names[p.file]
	}
	s.mu.Unlock()
	if !ok {
		return nil
	}
	e, err := entryAt(indexPath(s.dir, file), p.at)
	if err != nil || e.Time().Before(since) || e.Type != TypeResponse || kind == byBody && e.Payload != payload || kind == byURL && e.URL != cleanURL(x.URL) {
		return nil
	}
	return &original{ID: e.ID, URL: e.URL, Date: e.Date, File: file, Offset: e.Offset}
}

// entryAt reads the index line that begins at an offset.
func entryAt(path string, at int64) (Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	line, err := readLine(bufio.NewReaderSize(io.NewSectionReader(f, at, maxLine), 1<<10))
	if err != nil {
		return Entry{}, err
	}
	return parseEntry(line)
}

// load fills the memory from the newest files. Files and lines that cannot be
// read are left out: their bodies will be kept once more.
func (s *seen) load(files map[string]*Event, since time.Time) {
	var recent []string
	total := 0
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int { return numberOf(b) - numberOf(a) })
	for _, name := range names {
		e := files[name]
		if total >= maxSeen {
			break
		}
		if e == nil || e.Last < since.UTC().Format(dateFormat) {
			continue
		}
		total += e.Records / 3
		recent = append(recent, name)
	}
	slices.Reverse(recent)
	wanted := []byte(`"type":"` + TypeResponse + `"`)
	for _, name := range recent {
		_ = eachLine(indexPath(s.dir, name), func(at int64, line []byte) error {
			var e Entry
			if bytes.Contains(line, wanted) && json.Unmarshal(line, &e) == nil {
				s.add(name, at, e)
			}
			return nil
		})
	}
}
