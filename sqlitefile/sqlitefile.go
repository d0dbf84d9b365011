// Package sqlitefile opens the small SQLite files in which rooms keep state of
// their own: accounts, saved searches, the ledger of digests. What comes in: a
// path and a schema. What goes out: a database whose tables are there, and
// whose commits are on the disk when they return.
package sqlitefile

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// Open opens or makes the file and runs schema, which must be harmless to run
// again. Transactions take the write lock at their beginning and wait up to 15 s
// for it. conns is how many connections there are at most, 1 or more. The
// database is safe for concurrent use, also by several processes.
func Open(ctx context.Context, file, schema string, conns int) (*sql.DB, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(15000)", "journal_mode(WAL)", "synchronous(FULL)"}}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}
