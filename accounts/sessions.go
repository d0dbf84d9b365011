package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// How long things are good for.
const (
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
	linkLife    = 24 * time.Hour
	// MaxTokenLife is the longest life of a token.
	MaxTokenLife = 366 * 24 * time.Hour
	// seenStep is how often it is noted that a session is in use.
	seenStep = time.Minute
)

// secretHash is what is kept of a secret: it is random and long, so that a fast
// hash does.
func secretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// verify checks name and password, slowing down who fails often.
func (d *DB) verify(ctx context.Context, name, password, addr string) error {
	if wait := d.throttle.wait(name, addr); wait > 0 {
		return &TooManyError{wait}
	}
	var stored string
	err := d.db.QueryRowContext(ctx, `SELECT password FROM users WHERE name = ? AND disabled = 0`, name).Scan(&stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading the account: %w", err)
	}
	if len(password) > maxPassword {
		password = "" // as wrong as any other
	}
	ok, err := d.matches(ctx, stored, password)
	if err != nil {
		return err
	}
	if !ok {
		d.throttle.failed(name, addr)
		return ErrRefused
	}
	d.throttle.succeeded(name, addr)
	return nil
}

// Login checks a name and password and begins a session; the secret returned is
// for the user's cookie only.
func (d *DB) Login(ctx context.Context, name, password, addr string) (secret string, err error) {
	if err := d.verify(ctx, name, password, addr); err != nil {
		return "", err
	}
	return d.begin(ctx, name)
}

// begin makes a session.
func (d *DB) begin(ctx context.Context, name string) (string, error) {
	secret, now := rand.Text(), d.now()
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE seen < ? OR created < ?`, now.Add(-sessionIdle).Unix(), now.Add(-sessionLife).Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE users SET last_login = ? WHERE name = ?`, now.Unix(), name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions VALUES (?,?,?,?)`, secretHash(secret), name, now.Unix(), now.Unix())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("beginning a session: %w", err)
	}
	return secret, nil
}

// Session returns the user of a session, or ErrRefused.
func (d *DB) Session(ctx context.Context, secret string) (User, error) {
	var name string
	var created, seen int64
	err := d.db.QueryRowContext(ctx, `SELECT name, created, seen FROM sessions WHERE hash = ?`, secretHash(secret)).Scan(&name, &created, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrRefused
	}
	if err != nil {
		return User{}, fmt.Errorf("reading the session: %w", err)
	}
	now := d.now()
	if now.Sub(time.Unix(seen, 0)) > sessionIdle || now.Sub(time.Unix(created, 0)) > sessionLife {
		return User{}, ErrRefused
	}
	u, err := d.User(ctx, name)
	if errors.Is(err, ErrNoUser) {
		return User{}, ErrRefused
	}
	if err == nil && now.Sub(time.Unix(seen, 0)) > seenStep {
		_, err = d.db.ExecContext(ctx, `UPDATE sessions SET seen = ? WHERE hash = ?`, now.Unix(), secretHash(secret))
	}
	return u, err
}

// Logout ends a session.
func (d *DB) Logout(ctx context.Context, secret string) error {
	_, err := d.db.ExecContext(ctx, `DELETE FROM sessions WHERE hash = ?`, secretHash(secret))
	return err
}

// Link makes a secret by which a user can set a password once within a day;
// earlier ones end.
func (d *DB) Link(ctx context.Context, name string) (string, error) {
	if _, err := d.User(ctx, name); err != nil {
		return "", err
	}
	secret := rand.Text()
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM links WHERE name = ? OR expires < ?`, name, d.now().Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO links VALUES (?,?,?)`, secretHash(secret), name, d.now().Add(linkLife).Unix())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("making a link for %s: %w", name, err)
	}
	return secret, nil
}

// LinkUser returns whose link a secret is, or ErrRefused.
func (d *DB) LinkUser(ctx context.Context, secret string) (string, error) {
	var name string
	err := d.db.QueryRowContext(ctx, `SELECT l.name FROM links l JOIN users u ON u.name = l.name WHERE l.hash = ? AND l.expires > ? AND u.disabled = 0`, secretHash(secret), d.now().Unix()).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrRefused
	}
	return name, err
}

// Welcome sets the password of whom a link is for, uses the link up, and begins
// a session.
func (d *DB) Welcome(ctx context.Context, link, password string) (secret string, err error) {
	name, err := d.LinkUser(ctx, link)
	if err != nil {
		return "", err
	}
	hash, err := d.newHash(ctx, name, password)
	if err != nil {
		return "", err
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		// Two may have come this far with the same link.
		res, err := tx.ExecContext(ctx, `DELETE FROM links WHERE hash = ? AND expires > ?`, secretHash(link), d.now().Unix())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrRefused)
		}
		return d.setPassword(ctx, tx, name, hash)
	})
	if err != nil {
		return "", err
	}
	return d.begin(ctx, name)
}

// Token lets a program act for a user.
type Token struct {
	ID      string
	User    string
	Label   string
	Scopes  []Permission // what it may do, if the user may
	Created time.Time
	Expires time.Time
	Used    time.Time // zero: never
}

// tokenPrefix lets scanners of source code find tokens that were left there.
const tokenPrefix = "qingyuan_"

// TokenScopes are the permissions that a token can have, if its user has them.
var TokenScopes = [...]Permission{Read, Decide, Export, Audit}

// NewToken makes a token for a user; the secret is shown once.
func (d *DB) NewToken(ctx context.Context, name, label string, scopes []Permission, life time.Duration) (secret string, err error) {
	u, err := d.User(ctx, name)
	if err != nil {
		return "", err
	}
	if len(scopes) == 0 {
		return "", errors.New("a token without scopes may do nothing; give it read, decide, export or audit")
	}
	for _, s := range scopes {
		if !slices.Contains(TokenScopes[:], s) || !u.Role.May(s) {
			return "", fmt.Errorf("a token of %s cannot have the scope %q", name, s)
		}
	}
	if life <= 0 || life > MaxTokenLife {
		return "", fmt.Errorf("a token lives up to %d days", MaxTokenLife/24/time.Hour)
	}
	if len(label) > 100 {
		return "", errors.New("the label is longer than 100 bytes")
	}
	secret, id := tokenPrefix+rand.Text(), make([]byte, 6)
	rand.Read(id) //nolint:errcheck // it never fails
	list := make([]string, len(scopes))
	for i, s := range scopes {
		list[i] = string(s)
	}
	_, err = d.db.ExecContext(ctx, `INSERT INTO tokens VALUES (?,?,?,?,?,?,?,0)`, hex.EncodeToString(id), secretHash(secret), name, label, strings.Join(list, " "), d.now().Unix(), d.now().Add(life).Unix())
	if err != nil {
		return "", fmt.Errorf("keeping the token: %w", err)
	}
	return secret, nil
}

// Tokens lists a user's tokens, newest first.
func (d *DB) Tokens(ctx context.Context, name string) ([]Token, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT id, name, label, scopes, created, expires, used FROM tokens WHERE name = ? ORDER BY created DESC, id`, name)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	defer rows.Close()
	var out []Token
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("listing tokens: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

func scanToken(row interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var scopes string
	var created, expires, used int64
	err := row.Scan(&t.ID, &t.User, &t.Label, &scopes, &created, &expires, &used)
	for s := range strings.FieldsSeq(scopes) {
		t.Scopes = append(t.Scopes, Permission(s))
	}
	t.Created, t.Expires = time.Unix(created, 0), time.Unix(expires, 0)
	if used > 0 {
		t.Used = time.Unix(used, 0)
	}
	return t, err
}

// Authenticate returns the user of a token and the token, or ErrRefused.
func (d *DB) Authenticate(ctx context.Context, secret string) (User, Token, error) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return User{}, Token{}, ErrRefused
	}
	t, err := scanToken(d.db.QueryRowContext(ctx, `SELECT id, name, label, scopes, created, expires, used FROM tokens WHERE hash = ? AND expires > ?`, secretHash(secret), d.now().Unix()))
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, Token{}, ErrRefused
	}
	if err != nil {
		return User{}, Token{}, fmt.Errorf("reading the token: %w", err)
	}
	u, err := d.User(ctx, t.User)
	if errors.Is(err, ErrNoUser) {
		return User{}, Token{}, ErrRefused
	}
	if err == nil && d.now().Sub(t.Used) > seenStep {
		_, err = d.db.ExecContext(ctx, `UPDATE tokens SET used = ? WHERE id = ?`, d.now().Unix(), t.ID)
	}
	return u, t, err
}

// Revoke ends a token of a user; ErrRefused when he has no such token.
func (d *DB) Revoke(ctx context.Context, name, id string) error {
	res, err := d.db.ExecContext(ctx, `DELETE FROM tokens WHERE id = ? AND name = ?`, id, name)
	if err != nil {
		return fmt.Errorf("revoking a token: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrRefused)
	}
	return nil
}
