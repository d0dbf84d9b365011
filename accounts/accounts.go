// Package accounts knows who uses the pages: people with roles and passwords,
// their sessions, and tokens for programs.
//
// What comes in: HTTP requests. What goes out: the same requests with the name
// of their user, or a refusal, or the login page. Everything is kept in one
// SQLite file; of secrets only hashes. The package knows nothing of posts: what
// a role may do is decided by the method and path of a request, and what is not
// listed only an admin may do.
package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"qingyuan/sqlitefile"
)

// Role is what a user is here for.
type Role string

// The roles.
const (
	RoleAnalyst      Role = "analyst"      // decides on records
	RoleOperator     Role = "operator"     // tends sites, dictionaries and subscriptions
	RoleInvestigator Role = "investigator" // reads and exports
	RoleAdmin        Role = "admin"        // everything, and the users
)

// Roles lists the roles.
var Roles = [...]Role{RoleAnalyst, RoleOperator, RoleInvestigator, RoleAdmin}

// Permission is one kind of thing that a request does.
type Permission string

// The permissions.
const (
	Read    Permission = "read"    // look at records and pages
	Decide  Permission = "decide"  // change triage
	Export  Permission = "export"  // take records out
	Operate Permission = "operate" // try subscriptions out, see how the crawl stands
	Audit   Permission = "audit"   // read the trail
	Manage  Permission = "manage"  // users, and whatever is not listed
)

// permissions of the roles; an admin has them all.
var permissions = map[Role][]Permission{
	RoleAnalyst:      {Read, Decide, Export, Audit},
	RoleOperator:     {Read, Operate, Audit},
	RoleInvestigator: {Read, Export},
}

// May reports whether a role has a permission.
func (r Role) May(p Permission) bool {
	return r == RoleAdmin || slices.Contains(permissions[r], p)
}

// Errors that callers branch on.
var (
	// ErrNoUser: there is no such user, or he is disabled.
	ErrNoUser = errors.New("accounts: no such user")
	// ErrRefused: name and password, session, link or token are not valid. It does
	// not say which, and takes as long either way.
	ErrRefused = errors.New("accounts: refused")
	// ErrExists: the name is taken.
	ErrExists = errors.New("accounts: this name is taken")
	// ErrLastAdmin: the change would leave nobody who can manage users.
	ErrLastAdmin = errors.New("accounts: this is the last admin; make another one first")
	// ErrWeak: the password is not accepted; the message says why.
	ErrWeak = errors.New("accounts: this password is not accepted")
)

// TooManyError says that a name or an address has failed too often.
type TooManyError struct{ Wait time.Duration }

// Error names the wait.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many failed logins; try again in %v", e.Wait.Round(time.Second))
}

// User is one account.
type User struct {
	Name      string
	Role      Role
	Disabled  bool
	HasLogin  bool // has set a password, or logs in by another service
	Created   time.Time
	LastLogin time.Time // zero: never
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// DB is the file of accounts. It is safe for concurrent use, also by several
// processes.
type DB struct {
	db       *sql.DB
	now      func() time.Time
	memory   uint32        // of hashing a password, KiB
	hashing  chan struct{} // bounds the memory of hashing passwords
	throttle *throttle
}

const schema = `
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, subject TEXT NOT NULL DEFAULT '', disabled INTEGER NOT NULL,
	created INTEGER NOT NULL, last_login INTEGER NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS users_subject ON users(subject) WHERE subject <> '';
CREATE TABLE IF NOT EXISTS sessions (hash BLOB PRIMARY KEY, name TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_name ON sessions(name);
CREATE TABLE IF NOT EXISTS links (hash BLOB PRIMARY KEY, name TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, label TEXT NOT NULL, scopes TEXT NOT NULL,
	created INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
`

// Open opens or makes the file; now is the clock, nil for the present.
func Open(ctx context.Context, file string, now func() time.Time) (*DB, error) {
	if now == nil {
		now = time.Now
	}
	db, err := sqlitefile.Open(ctx, file, schema, 4)
	if err != nil {
		return nil, fmt.Errorf("opening the accounts %s: %w", file, err)
	}
	return &DB{db: db, now: now, memory: argonMemory, hashing: make(chan struct{}, 2), throttle: newThrottle(now)}, nil
}

// Close releases the file.
func (d *DB) Close() error { return d.db.Close() }

// Users lists all users by name.
func (d *DB) Users(ctx context.Context) ([]User, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT name, role, password <> '' OR subject <> '', disabled, created, last_login FROM users ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	defer rows.Close()
	var out []User
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, fmt.Errorf("listing users: %w", err)
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

func scanUser(row interface{ Scan(...any) error }) (User, error) {
	var u User
	var created, last int64
	err := row.Scan(&u.Name, &u.Role, &u.HasLogin, &u.Disabled, &created, &last)
	u.Created = time.Unix(created, 0)
	if last > 0 {
		u.LastLogin = time.Unix(last, 0)
	}
	return u, err
}

// User returns an enabled user, or ErrNoUser.
func (d *DB) User(ctx context.Context, name string) (User, error) {
	u, err := scanUser(d.db.QueryRowContext(ctx, `SELECT name, role, password <> '' OR subject <> '', disabled, created, last_login FROM users WHERE name = ?`, name))
	if errors.Is(err, sql.ErrNoRows) || err == nil && u.Disabled {
		return User{}, ErrNoUser
	}
	if err != nil {
		return User{}, fmt.Errorf("reading user %s: %w", name, err)
	}
	return u, nil
}

// Create adds a user without a password; a link lets him set one.
func (d *DB) Create(ctx context.Context, name string, role Role) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no user name: up to 64 lower-case letters, digits, dots, hyphens", name)
	}
	if !slices.Contains(Roles[:], role) {
		return fmt.Errorf("%q is no role: %v", role, Roles)
	}
	res, err := d.db.ExecContext(ctx, `INSERT OR IGNORE INTO users (name, role, password, disabled, created, last_login) VALUES (?,?,'',0,?,0)`, name, role, d.now().Unix())
	if err != nil {
		return fmt.Errorf("adding user %s: %w", name, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrExists)
	}
	return nil
}

// Change sets role and whether a user is disabled; his sessions and links end.
func (d *DB) Change(ctx context.Context, name string, role Role, disabled bool) error {
	if !slices.Contains(Roles[:], role) {
		return fmt.Errorf("%q is no role: %v", role, Roles)
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE users SET role = ?, disabled = ? WHERE name = ?`, role, disabled, name)
		if err != nil {
			return fmt.Errorf("changing user %s: %w", name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNoUser)
		}
		var admins int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM users WHERE role = 'admin' AND disabled = 0`).Scan(&admins); err != nil {
			return err
		}
		if admins == 0 {
			return ErrLastAdmin
		}
		return endAccess(ctx, tx, name, disabled)
	})
}

// endAccess ends a user's sessions and links and, for a user who is gone, his
// tokens.
func endAccess(ctx context.Context, tx *sql.Tx, name string, tokens bool) error {
	tables := []string{"sessions", "links"}
	if tokens {
		tables = append(tables, "tokens")
	}
	for _, table := range tables {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE name = ?`, name); err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
