package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"qingyuan/index"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
)

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Normalize: indextest.Normalize, Now: indextest.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	indextest.Run(t, func(t *testing.T) index.Store {
		return open(t, filepath.Join(t.TempDir(), "index.db"))
	})
}
