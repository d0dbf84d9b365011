package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// applicationID marks the file as an index of ours ("QYIX"), so that another
// program's SQLite file is refused instead of being written into.
const applicationID = 0x51594958

// migrations are applied in order, each once; the file's user_version counts
// them. They are append-only: a released one is never edited.
var migrations = [...]string{schema1, schema2}

// schema1: the narrow posts table answers filters, sorts and facets; texts and
// lists live apart in docs. labels holds every field with rare or many values.
// shapes numbers the combinations of facet values, so that counting facets is
// counting integers.
const schema1 = `
CREATE TABLE posts (
	rid INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	source TEXT NOT NULL, source_type TEXT NOT NULL, kind TEXT NOT NULL,
	stance TEXT NOT NULL, severity TEXT NOT NULL,
	flagged INTEGER NOT NULL, score REAL NOT NULL,
	published INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
	ingested INTEGER NOT NULL, day INTEGER NOT NULL, deleted INTEGER NOT NULL,
	fetched INTEGER NOT NULL, content_at INTEGER NOT NULL,
	content_hash BLOB NOT NULL, token_hash BLOB NOT NULL, revisions INTEGER NOT NULL,
	shape INTEGER NOT NULL,
	status TEXT NOT NULL, assignee TEXT NOT NULL, reason TEXT NOT NULL, tags TEXT NOT NULL,
	comment_count INTEGER NOT NULL, version INTEGER NOT NULL,
	updated INTEGER NOT NULL, updated_by TEXT NOT NULL,
	triage_shape INTEGER NOT NULL
);
CREATE INDEX posts_ingested ON posts(ingested DESC, id);
CREATE INDEX posts_score ON posts(score DESC, id);
CREATE INDEX posts_published ON posts(published DESC, id);
CREATE INDEX posts_first_seen ON posts(first_seen DESC, id);
CREATE INDEX posts_queue ON posts(flagged, status, score DESC, id);
CREATE INDEX posts_recent ON posts(flagged, status, ingested DESC, id);
CREATE INDEX posts_facets ON posts(flagged, shape, triage_shape, day);
CREATE INDEX posts_assignee ON posts(assignee, status) WHERE assignee <> '';

CREATE TABLE docs (rid INTEGER PRIMARY KEY, doc BLOB NOT NULL);
CREATE TABLE labels (field TEXT NOT NULL, value TEXT NOT NULL, rid INTEGER NOT NULL,
	PRIMARY KEY (field, value, rid)) WITHOUT ROWID;
CREATE INDEX labels_rid ON labels(rid, field);
CREATE TABLE shapes (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);
CREATE TABLE revisions (rid INTEGER NOT NULL, fetched INTEGER NOT NULL, hash BLOB NOT NULL,
	title BLOB NOT NULL, text BLOB NOT NULL, flagged INTEGER NOT NULL, score REAL NOT NULL,
	PRIMARY KEY (rid, fetched, hash)) WITHOUT ROWID;
CREATE TABLE comments (cid INTEGER PRIMARY KEY, rid INTEGER NOT NULL, at INTEGER NOT NULL,
	actor TEXT NOT NULL, text BLOB NOT NULL);
CREATE INDEX comments_rid ON comments(rid);

CREATE VIRTUAL TABLE fts USING fts5(title, body, ntitle, nbody,
	content='', contentless_delete=1, tokenize='ascii');

CREATE TABLE audit (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL,
	action TEXT NOT NULL, record_id TEXT NOT NULL, was TEXT NOT NULL, became TEXT NOT NULL,
	note TEXT NOT NULL, request_id TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX audit_record ON audit(record_id, seq);
CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT INTO audit_head VALUES (1, 0, '');
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
	BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
	BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
	WHEN NEW.seq IS NULL OR NEW.seq <= (SELECT coalesce(max(seq), 0) FROM audit)
	BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
`

// schema2 keeps with a revision its whole verdict and where it is archived.
const schema2 = `ALTER TABLE revisions ADD COLUMN doc BLOB NOT NULL DEFAULT ''`

// migrate brings the file to the newest schema, or refuses it.
func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	var version, application, tables int
	if err := tx.QueryRowContext(ctx, "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_master)").
		Scan(&version, &application, &tables); err != nil {
		return err
	}
	if application != applicationID && (application != 0 || tables > 0) {
		return fmt.Errorf("this is an SQLite file, but not an index of qingyuan; give another path")
	}
	if version > len(migrations) {
		return fmt.Errorf("the file has schema version %d, this program knows up to %d; use the newer program that wrote it", version, len(migrations))
	}
	for n := version; n < len(migrations); n++ {
		if _, err := tx.ExecContext(ctx, migrations[n]); err != nil {
			return fmt.Errorf("migrating to schema version %d: %w", n+1, err)
		}
	}
	if version < len(migrations) {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations))); err != nil {
			return err
		}
	}
	return tx.Commit()
}
