package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	frontiersqlite "qingyuan/crawler/frontier/sqlite"
)

// openTestFrontier makes a frontier with one page given up, and leaves it open
// as a running crawl would.
func openTestFrontier(t *testing.T, data string) *frontiersqlite.DB {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := frontiersqlite.Open(t.Context(), filepath.Join(data, "frontier.db"), frontiersqlite.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	const url = "http://127.0.0.1:1/"
	if _, err := db.Add(t.Context(), frontier.Task{ID: frontier.ID("s", url), URL: url, Host: "127.0.0.1:1", Source: "s"}); err != nil {
		t.Fatal(err)
	}
	leases, _, err := db.Next(t.Context(), 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Dead(t.Context(), leases[0], "status 410 Gone"); err != nil {
		t.Fatal(err)
	}
	return db
}
