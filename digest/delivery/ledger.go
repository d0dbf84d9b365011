package delivery

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"qingyuan/digest"
	"qingyuan/sqlitefile"
)

// State is where a delivery stands.
type State string

// The states of a delivery.
const (
	StateWaiting State = "waiting"  // to be sent at its time
	StateSending State = "sending"  // being sent; found so at start, it may have been sent
	StateSent    State = "sent"     // the receiver took it
	StateGivenUp State = "given_up" // refused for good, or tried too long
	StateDropped State = "dropped"  // the receiver unsubscribed, or its channel is gone
)

// Ledger remembers what was told to whom, in one SQLite file. It is safe for
// concurrent use by one process.
type Ledger struct {
	db *sql.DB
}

const ledgerSchema = `
CREATE TABLE IF NOT EXISTS positions (sub TEXT PRIMARY KEY, last_end INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs (sub TEXT NOT NULL, period_end INTEGER NOT NULL, period_start INTEGER NOT NULL,
	missed INTEGER NOT NULL, revision TEXT NOT NULL, hits INTEGER NOT NULL, subject TEXT NOT NULL, html TEXT NOT NULL, created INTEGER NOT NULL,
	PRIMARY KEY (sub, period_end)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY, sub TEXT NOT NULL, period_end INTEGER NOT NULL, channel TEXT NOT NULL,
	message BLOB NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL, next_try INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
	receipt TEXT NOT NULL, error TEXT NOT NULL, again INTEGER NOT NULL, UNIQUE (sub, period_end, channel));
CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries(next_try) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS told (sub TEXT NOT NULL, campaign TEXT NOT NULL, doc BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (sub, campaign)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsubscribed (sub TEXT NOT NULL, address TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (sub, address)) WITHOUT ROWID;
`

// OpenLedger opens or makes the file. Close it at the end.
func OpenLedger(ctx context.Context, file string) (*Ledger, error) {
	db, err := sqlitefile.Open(ctx, file, ledgerSchema, 1)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger of digests %s: %w", file, err)
	}
	return &Ledger{db}, nil
}

// Close releases the file.
func (l *Ledger) Close() error { return l.db.Close() }

// Run is one frozen digest.
type Run struct {
	Subscription string
	Start, End   time.Time
	Missed       int    // earlier periods that came late with this one
	Revision     string // of the subscription's file
	Hits         int
	Subject      string
	HTML         string // for feeds
	Created      time.Time
}

// Delivery is one message to one channel.
type Delivery struct {
	ID           int64
	Subscription string
	End          time.Time // of the period
	Channel      string
	State        State
	Tries        int
	NextTry      time.Time
	Created      time.Time
	Updated      time.Time
	Receipt      string
	Error        string // of the last try
	Again        bool   // it may have been sent before
	Message      Message
}

// position returns the end of the last period of a subscription; zero: it is new.
func (l *Ledger) position(ctx context.Context, sub string) (time.Time, error) {
	var n int64
	err := l.db.QueryRowContext(ctx, `SELECT last_end FROM positions WHERE sub = ?`, sub).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMicro(n), err
}

// begin makes a new subscription's first period start at a moment.
func (l *Ledger) begin(ctx context.Context, sub string, at time.Time) error {
	_, err := l.db.ExecContext(ctx, `INSERT OR IGNORE INTO positions VALUES (?, ?)`, sub, at.UnixMicro())
	return err
}

// told returns what the readers of a subscription were told.
func (l *Ledger) told(ctx context.Context, sub string) (map[string]digest.Told, error) {
	out := map[string]digest.Told{}
	rows, err := l.db.QueryContext(ctx, `SELECT campaign, doc FROM told WHERE sub = ?`, sub)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var doc []byte
		if err := rows.Scan(&id, &doc); err != nil {
			return nil, err
		}
		var t digest.Told
		if err := json.Unmarshal(doc, &t); err != nil {
			return nil, fmt.Errorf("what was told of campaign %s: %w", id, err)
		}
		out[id] = t
	}
	return out, rows.Err()
}

// keepTold is how long it is remembered that a campaign was told of after its
// last hit. Periods are at most a month.
const keepTold = 180 * 24 * time.Hour

// freeze keeps a digest with its messages, what it tells, and that its period
// is over, all or nothing. A run without messages is one that is skipped.
func (l *Ledger) freeze(ctx context.Context, r Run, messages map[string]Message, told map[string]digest.Told) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	now := r.Created.UnixMicro()
	if _, err := tx.ExecContext(ctx, `INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?)`, r.Subscription, r.End.UnixMicro(), r.Start.UnixMicro(), r.Missed, r.Revision, r.Hits, r.Subject, r.HTML, now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO positions VALUES (?,?)`, r.Subscription, r.End.UnixMicro()); err != nil {
		return err
	}
	for channel, m := range messages {
		doc, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO deliveries (sub, period_end, channel, message, state, tries, next_try, created, updated, receipt, error, again)
			VALUES (?,?,?,?,'waiting',0,?,?,?,'','',0)`, r.Subscription, r.End.UnixMicro(), channel, doc, now, now, now)
		if err != nil {
			return err
		}
	}
	for campaign, t := range told {
		doc, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO told VALUES (?,?,?,?)`, r.Subscription, campaign, doc, now); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM told WHERE sub = ? AND at < ?`, r.Subscription, r.Created.Add(-keepTold).UnixMicro()); err != nil {
		return err
	}
	return tx.Commit()
}

// recover finds what was being sent when the process ended: it may have
// arrived.
func (l *Ledger) recover(ctx context.Context, now time.Time) (int, error) {
	res, err := l.db.ExecContext(ctx, `UPDATE deliveries SET state = 'waiting', again = 1, next_try = ?, updated = ? WHERE state = 'sending'`, now.UnixMicro(), now.UnixMicro())
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

const deliveryColumns = `id, sub, period_end, channel, message, state, tries, next_try, created, updated, receipt, error, again`

func scanDelivery(rows interface{ Scan(...any) error }) (Delivery, error) {
	var d Delivery
	var end, next, created, updated int64
	var doc []byte
	if err := rows.Scan(&d.ID, &d.Subscription, &end, &d.Channel, &doc, &d.State, &d.Tries, &next, &created, &updated, &d.Receipt, &d.Error, &d.Again); err != nil {
		return d, err
	}
	d.End, d.NextTry, d.Created, d.Updated = time.UnixMicro(end), time.UnixMicro(next), time.UnixMicro(created), time.UnixMicro(updated)
	if err := json.Unmarshal(doc, &d.Message); err != nil {
		return d, fmt.Errorf("message of delivery %d: %w", d.ID, err)
	}
	d.Message.Again = d.Again
	return d, nil
}

func (l *Ledger) deliveries(ctx context.Context, where string, args ...any) ([]Delivery, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// open returns what may be sent now, the oldest first.
func (l *Ledger) open(ctx context.Context, now time.Time) ([]Delivery, error) {
	return l.deliveries(ctx, `state = 'waiting' AND next_try <= ? ORDER BY period_end, id`, now.UnixMicro())
}

// Recent returns the newest deliveries of a subscription.
func (l *Ledger) Recent(ctx context.Context, sub string, limit int) ([]Delivery, error) {
	return l.deliveries(ctx, `sub = ? ORDER BY period_end DESC, id LIMIT ?`, sub, limit)
}

// Failing returns deliveries that were given up since a moment, and those that
// failed at least once and still wait.
func (l *Ledger) Failing(ctx context.Context, since time.Time) ([]Delivery, error) {
	return l.deliveries(ctx, `state = 'given_up' AND updated >= ? OR state = 'waiting' AND tries > 0 ORDER BY updated DESC LIMIT 100`, since.UnixMicro())
}

// mark changes a delivery that is in one of the states given, and reports
// whether it was.
func (l *Ledger) mark(ctx context.Context, d Delivery, from, to State) (bool, error) {
	res, err := l.db.ExecContext(ctx, `UPDATE deliveries SET state = ?, tries = ?, next_try = ?, updated = ?, receipt = ?, error = ? WHERE id = ? AND state = ?`,
		to, d.Tries, d.NextTry.UnixMicro(), d.Updated.UnixMicro(), clip(d.Receipt), clip(d.Error), d.ID, from)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// clip bounds what receivers answer.
func clip(s string) string {
	const most = 1000
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// Runs returns the newest frozen digests of a subscription.
func (l *Ledger) Runs(ctx context.Context, sub string, limit int) ([]Run, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT sub, period_end, period_start, missed, revision, hits, subject, html, created FROM runs WHERE sub = ? ORDER BY period_end DESC LIMIT ?`, sub, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Run
	for rows.Next() {
		var r Run
		var end, start, created int64
		if err := rows.Scan(&r.Subscription, &end, &start, &r.Missed, &r.Revision, &r.Hits, &r.Subject, &r.HTML, &created); err != nil {
			return nil, err
		}
		r.End, r.Start, r.Created = time.UnixMicro(end), time.UnixMicro(start), time.UnixMicro(created)
		out = append(out, r)
	}
	return out, rows.Err()
}

// Unsubscribe keeps an address from getting a subscription's mails from now on.
func (l *Ledger) Unsubscribe(ctx context.Context, sub, address string, at time.Time) error {
	_, err := l.db.ExecContext(ctx, `INSERT OR IGNORE INTO unsubscribed VALUES (?,?,?)`, sub, strings.ToLower(address), at.UnixMicro())
	return err
}

// Resubscribe undoes Unsubscribe; false when the address was not unsubscribed.
func (l *Ledger) Resubscribe(ctx context.Context, sub, address string) (bool, error) {
	res, err := l.db.ExecContext(ctx, `DELETE FROM unsubscribed WHERE sub = ? AND address = ?`, sub, strings.ToLower(address))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Unsubscribed reports whether an address does not want a subscription's mails.
func (l *Ledger) Unsubscribed(ctx context.Context, sub, address string) (bool, error) {
	var n int
	err := l.db.QueryRowContext(ctx, `SELECT count(*) FROM unsubscribed WHERE sub = ? AND address = ?`, sub, strings.ToLower(address)).Scan(&n)
	return n > 0, err
}
