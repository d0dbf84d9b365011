package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nlnwa/gowarc/v2"
)

// volume is one WARC file with its index, open for writing.
type volume struct {
	name        string
	span        time.Time // full hour it belongs to
	warc, index *os.File
	size        int64 // durable bytes
	indexSize   int64
	sum         hash.Hash // over the durable bytes
	indexSum    hash.Hash
	records     int
	first, last string // WARC-Date
	broken      error  // a failed write could not be taken back
}

func fileName(now time.Time, number int) string {
	return fmt.Sprintf("qingyuan-%s-%06d%s", now.UTC().Format("20060102T150405Z"), number, warcSuffix)
}

// numberOf reads the number in a file's name; 0 when there is none.
func numberOf(file string) int {
	base := strings.TrimSuffix(file, warcSuffix)
	n, err := strconv.Atoi(base[strings.LastIndexByte(base, '-')+1:])
	if err != nil {
		return 0
	}
	return n
}

func createVolume(dir, name string, span time.Time) (*volume, error) {
	v := &volume{name: name, span: span, sum: sha256.New(), indexSum: sha256.New()}
	var err error
	if v.warc, err = createFile(warcPath(dir, name)); err != nil {
		return nil, err
	}
	if v.index, err = createFile(indexPath(dir, name)); err != nil {
		v.warc.Close()
		return nil, errors.Join(err, os.Remove(warcPath(dir, name)))
	}
	return v, nil
}

// infoRecord is the first record of each file.
func infoRecord(file, software string, now time.Time) blank {
	text := "software: " + oneLiner(software) + "\r\nformat: WARC File Format 1.1\r\n" +
		"conformsTo: http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/\r\n"
	return blank{kind: gowarc.Warcinfo, id: newID(), date: now.UTC().Truncate(time.Microsecond), contentType: "application/warc-fields",
		more: []Field{{"WARC-Filename", file}}, block: [][]byte{[]byte(text)}}
}

// append writes records, makes them durable, and returns where in the index
// their lines begin. After an error the files are as they were, or broken says
// why not.
func (v *volume) append(members []member) (at []int64, err error) {
	var data, lines []byte
	size, indexSize := v.size, v.indexSize
	for _, m := range members {
		m.entry.Offset = size
		line, err := m.entry.line()
		if err != nil {
			return nil, err
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("the index line of %s is over %d bytes", cut(m.entry.URL, 200), maxLine)
		}
		at = append(at, indexSize)
		size, indexSize = size+int64(len(m.data)), indexSize+int64(len(line))
		data, lines = append(data, m.data...), append(lines, line...)
	}
	_, err = v.warc.WriteAt(data, v.size)
	if err == nil {
		err = v.warc.Sync()
	}
	if err == nil {
		// The index can be made anew from the records; a seal makes it durable.
		_, err = v.index.WriteAt(lines, v.indexSize)
	}
	if err != nil {
		v.broken = errors.Join(v.warc.Truncate(v.size), v.index.Truncate(v.indexSize), v.warc.Sync())
		return nil, fmt.Errorf("writing %s: %w", v.name, err)
	}
	v.sum.Write(data)
	v.indexSum.Write(lines)
	v.size, v.indexSize = size, indexSize
	for _, m := range members {
		v.count(m.entry)
	}
	return at, nil
}

func (v *volume) count(e Entry) {
	v.records++
	if e.Type == TypeInfo {
		return
	}
	if v.first == "" || e.Date < v.first {
		v.first = e.Date
	}
	v.last = max(v.last, e.Date)
}

// event is the seal of the volume as it stands.
func (v *volume) event() Event {
	return Event{Event: EventSeal, File: v.name, Size: v.size, SHA256: hex.EncodeToString(v.sum.Sum(nil)), IndexSize: v.indexSize,
		IndexSHA256: hex.EncodeToString(v.indexSum.Sum(nil)), Records: v.records, First: v.first, Last: v.last}
}

func (v *volume) close() error {
	return errors.Join(v.warc.Close(), v.index.Close())
}
