package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"time"

	"qingyuan/triage"
)

// storageOf adds up the files of what is kept: the archive, the index and a
// frontier, each with its write-ahead log.
func storageOf(c config, frontier string) []triage.Storage {
	sum := func(name string, paths ...string) triage.Storage {
		s := triage.Storage{Name: name}
		for _, p := range paths {
			filepath.WalkDir(p, func(_ string, d fs.DirEntry, err error) error { //nolint:errcheck // what cannot be read is not counted
				if err != nil || !d.Type().IsRegular() {
					return nil
				}
				if info, err := d.Info(); err == nil {
					s.Bytes += info.Size()
					s.Files++
				}
				return nil
			})
		}
		return s
	}
	db := func(path string) []string { return []string{path, path + "-wal", path + "-shm"} }
	return []triage.Storage{sum("archive", archiveDir(c)), sum("index", db(filepath.Join(c.Data, "index.db"))...), sum("frontier", db(frontier)...)}
}

// memoryInUse is what the Go runtime has from the system and has not given
// back, in bytes.
func memoryInUse() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// lastDigestFile remembers in the data folder which digest was built last.
const lastDigestFile = "last-digest.json"

// noteDigest remembers that the digest of a day was built. The digest itself
// does not depend on it.
func noteDigest(c config, day time.Time) error {
	data, err := json.Marshal(triage.LastDigest{Day: day.In(shanghai()).Format(time.DateOnly), Built: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(c.Data, lastDigestFile+"-*")
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(c.Data, lastDigestFile))
	}
	if err != nil {
		os.Remove(file.Name()) //nolint:errcheck // it is of no use to anybody
	}
	return err
}

// readLastDigest is the zero value when none was built.
func readLastDigest(c config) (d triage.LastDigest) {
	data, err := os.ReadFile(filepath.Join(c.Data, lastDigestFile))
	if err != nil || json.Unmarshal(data, &d) != nil || strings.ContainsFunc(d.Day, func(r rune) bool { return r != '-' && (r < '0' || r > '9') }) {
		return triage.LastDigest{}
	}
	return d
}
