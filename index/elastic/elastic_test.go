package elastic_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
)

// server is the address of a real Elasticsearch; see scripts/services.
func server(t testing.TB) string {
	t.Helper()
	address := os.Getenv("QINGYUAN_TEST_ELASTIC")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("QINGYUAN_TEST_ELASTIC is not set: run the tests through scripts/services")
		}
		t.Skip("QINGYUAN_TEST_ELASTIC is not set; scripts/services run go test … brings up a server")
	}
	return address
}

// prefix is a new prefix, whose indices are dropped at the end.
func options(t testing.TB, address string) elastic.Options {
	t.Helper()
	raw := make([]byte, 6)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	opts := elastic.Options{Server: elastic.Server{URLs: []string{address}}, Prefix: "test-" + hex.EncodeToString(raw),
		Normalize: indextest.Normalize, Now: indextest.Now}
	if testing.Verbose() {
		opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	t.Cleanup(func() {
		if err := elastic.Drop(context.Background(), opts); err != nil {
			t.Error(err)
		}
	})
	return opts
}

func setUp(t testing.TB, opts elastic.Options) {
	t.Helper()
	if err := elastic.Setup(t.Context(), opts, func(string, string) {}); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, opts elastic.Options) *elastic.Store {
	t.Helper()
	s, err := elastic.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	address := server(t)
	indextest.Run(t, func(t *testing.T) index.Store {
		opts := options(t, address)
		setUp(t, opts)
		return open(t, opts)
	})
}

// The embedded store and the server answer alike, whatever is asked.
func TestSameAsSQLite(t *testing.T) {
	opts := options(t, server(t))
	setUp(t, opts)
	embedded, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: indextest.Normalize, Now: indextest.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer embedded.Close()
	posts, queries := 5000, 600
	if testing.Short() {
		posts, queries = 1000, 100
	}
	indextest.Differential(t, embedded, open(t, opts), posts, queries)
}

// The deepest queries that are compiled are taken by the server as well.
func TestDeepQueries(t *testing.T) {
	opts := options(t, server(t))
	setUp(t, opts)
	s := open(t, opts)
	put(t, s, indextest.Posts(5, 1)...)
	taken := 0
	for deep := range 31 {
		query := "-停息挂账"
		for i := range deep {
			query = fmt.Sprintf("债务%d %s (%s)", i, []string{"", "OR"}[i%2], query)
		}
		_, err := s.Search(t.Context(), index.Query{Text: query})
		var mistake *index.QueryError
		if err != nil && !errors.As(err, &mistake) {
			t.Fatalf("%d deep: %v", deep, err)
		}
		if err == nil {
			taken = deep
		}
	}
	if taken < 20 {
		t.Errorf("only queries up to %d deep are taken", taken)
	}
}
