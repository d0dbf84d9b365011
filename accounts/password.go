package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The second recommended option of RFC 9106 (section 4): 64 MiB, three passes,
// four lanes.
const (
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
	argonKey    = 32
	saltLength  = 16

	minPassword = 12  // characters
	maxPassword = 256 // bytes
)

// hash returns a password's hash in the PHC string format. At most two are
// worked out at a time; who waits too long gives up with ctx.
func (d *DB) hash(ctx context.Context, password string, salt []byte) (string, error) {
	select {
	case d.hashing <- struct{}{}:
		defer func() { <-d.hashing }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	key := argon2.IDKey([]byte(password), salt, argonTime, d.memory, argonLanes, argonKey)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, d.memory, argonTime, argonLanes, enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// matches reports whether a password has a stored hash. For an empty one as
// much is worked out, so that nobody learns from the time which names exist.
func (d *DB) matches(ctx context.Context, stored, password string) (bool, error) {
	salt := make([]byte, saltLength)
	parts := strings.Split(stored, "$")
	known := len(parts) == 6 && parts[1] == "argon2id"
	if known {
		var err error
		if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
			return false, fmt.Errorf("a stored password is damaged: %w", err)
		}
	}
	got, err := d.hash(ctx, password, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(stored)) == 1 && known, nil
}

// checkPassword says why a password is not accepted, or nil: length counts, not
// which signs are in it (NIST SP 800-63B, 5.1.1.2).
func checkPassword(name, password string) error {
	lower := strings.ToLower(password)
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("%w: shorter than %d characters", ErrWeak, minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("%w: longer than %d bytes", ErrWeak, maxPassword)
	case strings.Contains(lower, name) && len(name) > 3:
		return fmt.Errorf("%w: it holds the user name", ErrWeak)
	case len(distinct(lower)) < 5:
		return fmt.Errorf("%w: it repeats a few characters", ErrWeak)
	case strings.Contains("0123456789012345678901234567890 abcdefghijklmnopqrstuvwxyz qwertyuiopasdfghjklzxcvbnm", lower):
		return fmt.Errorf("%w: it is a run of keys", ErrWeak)
	}
	return nil
}

func distinct(s string) map[rune]bool {
	set := map[rune]bool{}
	for _, r := range s {
		set[r] = true
	}
	return set
}

// setPassword replaces a password and ends whatever was open with the old one.
func (d *DB) setPassword(ctx context.Context, tx *sql.Tx, name, hash string) error {
	res, err := tx.ExecContext(ctx, `UPDATE users SET password = ? WHERE name = ? AND disabled = 0`, hash, name)
	if err != nil {
		return fmt.Errorf("keeping the password of %s: %w", name, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNoUser)
	}
	return endAccess(ctx, tx, name, false)
}

// newHash checks a new password and hashes it.
func (d *DB) newHash(ctx context.Context, name, password string) (string, error) {
	if err := checkPassword(name, password); err != nil {
		return "", err
	}
	salt := make([]byte, saltLength)
	rand.Read(salt) //nolint:errcheck // it never fails
	return d.hash(ctx, password, salt)
}

// ChangePassword replaces a user's password by a new one, given the old. All
// his sessions end.
func (d *DB) ChangePassword(ctx context.Context, name, old, password, addr string) error {
	if err := d.verify(ctx, name, old, addr); err != nil {
		return err
	}
	hash, err := d.newHash(ctx, name, password)
	if err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error { return d.setPassword(ctx, tx, name, hash) })
}
