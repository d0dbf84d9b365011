package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// The states of a task, as written in the file.
const (
	stateReady  = 0 // due: may be fetched as soon as its host is free
	stateLater  = 1 // to be fetched, but not yet
	stateAgain  = 2 // fetched; waits for its next time
	stateLeased = 3
	stateDone   = 4
	stateDead   = 5
)

// migrations are applied in order, each once; PRAGMA user_version counts
// them. A migration that was released is never changed: add another.
var migrations = []string{
	`CREATE TABLE hosts (
		n       INTEGER PRIMARY KEY,
		name    TEXT NOT NULL UNIQUE,
		started INTEGER NOT NULL DEFAULT 0, -- last start, unix ns
		delay   INTEGER NOT NULL DEFAULT 0, -- of the task last started, ns
		backoff INTEGER NOT NULL DEFAULT 0, -- no start before, unix ns
		reason  TEXT NOT NULL DEFAULT '',   -- of the back-off
		leased  INTEGER NOT NULL DEFAULT 0, -- 1 while one of its tasks is leased
		at      INTEGER                     -- when its best ready task may start; NULL: leased or nothing ready
	);
	CREATE INDEX hosts_at ON hosts (at) WHERE at IS NOT NULL;

	CREATE TABLE tasks (
		n        INTEGER PRIMARY KEY,
		id       BLOB NOT NULL UNIQUE,
		url      TEXT NOT NULL,
		host     INTEGER NOT NULL REFERENCES hosts (n),
		source   TEXT NOT NULL,
		page     TEXT NOT NULL,
		depth    INTEGER NOT NULL,
		priority INTEGER NOT NULL,
		delay    INTEGER NOT NULL,
		due      INTEGER NOT NULL,
		parent   TEXT NOT NULL,
		state    INTEGER NOT NULL,
		tries    INTEGER NOT NULL DEFAULT 0,
		lost     INTEGER NOT NULL DEFAULT 0,
		token    INTEGER NOT NULL DEFAULT 0,
		expires  INTEGER NOT NULL DEFAULT 0,
		fetched  INTEGER NOT NULL DEFAULT 0, -- last successful fetch
		changed  INTEGER NOT NULL DEFAULT 0, -- last answer
		status   INTEGER NOT NULL DEFAULT 0,
		etag     TEXT NOT NULL DEFAULT '',
		modified TEXT NOT NULL DEFAULT '',
		hash     TEXT NOT NULL DEFAULT '',
		reason   TEXT NOT NULL DEFAULT ''
	);
	CREATE INDEX tasks_ready ON tasks (host, priority DESC, due, n) WHERE state = 0;
	CREATE INDEX tasks_later ON tasks (due) WHERE state IN (1, 2);
	CREATE INDEX tasks_leased ON tasks (expires) WHERE state = 3;
	CREATE INDEX tasks_dead ON tasks (changed) WHERE state = 5;
	CREATE INDEX tasks_source ON tasks (source);

	CREATE TABLE counts (
		source TEXT NOT NULL,
		state  INTEGER NOT NULL,
		n      INTEGER NOT NULL,
		PRIMARY KEY (source, state)
	) WITHOUT ROWID;`,

	`CREATE TABLE refusals (
		n      INTEGER PRIMARY KEY AUTOINCREMENT, -- grows with each refusal, also of the same link
		id     BLOB NOT NULL UNIQUE,
		url    TEXT NOT NULL,
		source TEXT NOT NULL,
		parent TEXT NOT NULL,
		reason TEXT NOT NULL,
		at     INTEGER NOT NULL
	);
	CREATE INDEX refusals_source ON refusals (source, n);`,

	`ALTER TABLE tasks ADD COLUMN lift INTEGER NOT NULL DEFAULT 0; -- part of priority
	CREATE TABLE notes (
		key   TEXT PRIMARY KEY,
		value TEXT NOT NULL
	) WITHOUT ROWID;`,
}

func (d *DB) migrate(ctx context.Context) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	from, err := runMigrations(ctx, conn)
	if err != nil {
		conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		return err
	}
	if _, err := conn.ExecContext(ctx, `COMMIT`); err != nil {
		return err
	}
	if from < len(migrations) {
		d.log.Info("frontier schema brought up to date", "from", from, "to", len(migrations))
	}
	return nil
}

func runMigrations(ctx context.Context, conn *sql.Conn) (from int, err error) {
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&from); err != nil {
		return 0, err
	}
	if from > len(migrations) {
		return 0, fmt.Errorf("the file has schema version %d, this program knows %d: it was written by a newer version; update the program", from, len(migrations))
	}
	for i := from; i < len(migrations); i++ {
		if _, err := conn.ExecContext(ctx, migrations[i]); err != nil {
			return 0, fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(migrations)))
	return from, err
}
