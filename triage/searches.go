package triage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"qingyuan/index"
	"qingyuan/sqlitefile"
)

// Bounds of saved searches.
const (
	MaxSearches   = 100 // of one user
	MaxSearchName = 40  // characters of a name
)

// Errors of Searches.
var (
	// ErrNoSearch: the user has no such search.
	ErrNoSearch = errors.New("triage: no such saved search")
	// ErrSearchName: the name is empty, longer than MaxSearchName or not plain.
	ErrSearchName = errors.New("triage: a saved search needs a short plain name")
	// ErrSearchTaken: the user has another search of that name.
	ErrSearchTaken = errors.New("triage: a saved search of that name exists")
	// ErrSearchFull: the user has MaxSearches.
	ErrSearchFull = errors.New("triage: there are too many saved searches")
)

// SavedSearch is a query that a user keeps under a name.
type SavedSearch struct {
	ID      int64      `json:"id"`
	Name    string     `json:"name"`
	Query   string     `json:"query"`
	Sort    index.Sort `json:"sort"`
	Created time.Time  `json:"created"`
}

// Searches is the file of saved searches. It is safe for concurrent use, also
// by several processes.
type Searches struct{ db *sql.DB }

const searchesSchema = `CREATE TABLE IF NOT EXISTS searches (id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, name TEXT NOT NULL, query TEXT NOT NULL,
	sort TEXT NOT NULL, created INTEGER NOT NULL, UNIQUE(user, name))`

// OpenSearches opens or makes the file.
func OpenSearches(ctx context.Context, file string) (*Searches, error) {
	db, err := sqlitefile.Open(ctx, file, searchesSchema, 4)
	if err != nil {
		return nil, fmt.Errorf("opening the saved searches %s: %w", file, err)
	}
	return &Searches{db: db}, nil
}

// Close releases the file.
func (s *Searches) Close() error { return s.db.Close() }

// List returns a user's searches by name.
func (s *Searches) List(ctx context.Context, user string) ([]SavedSearch, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, name, query, sort, created FROM searches WHERE user = ? ORDER BY name`, user)
	if err != nil {
		return nil, fmt.Errorf("listing saved searches: %w", err)
	}
	defer rows.Close()
	out := []SavedSearch{}
	for rows.Next() {
		var x SavedSearch
		var created int64
		if err := rows.Scan(&x.ID, &x.Name, &x.Query, &x.Sort, &created); err != nil {
			return nil, fmt.Errorf("listing saved searches: %w", err)
		}
		x.Created = time.Unix(created, 0).UTC()
		out = append(out, x)
	}
	return out, rows.Err()
}

// Save keeps a search for a user and returns it with its id. The query has to
// be one that parses; the caller checks it.
func (s *Searches) Save(ctx context.Context, user string, x SavedSearch, now time.Time) (SavedSearch, error) {
	x.Name = strings.TrimSpace(x.Name)
	if n := utf8.RuneCountInString(x.Name); n == 0 || n > MaxSearchName || !utf8.ValidString(x.Name) || plain(x.Name) != x.Name {
		return SavedSearch{}, ErrSearchName
	}
	x.Created = now.UTC().Truncate(time.Second)
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return SavedSearch{}, fmt.Errorf("saving a search: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	var count, same int
	if err := tx.QueryRowContext(ctx, `SELECT count(*), count(CASE WHEN name = ? THEN 1 END) FROM searches WHERE user = ?`, x.Name, user).Scan(&count, &same); err != nil {
		return SavedSearch{}, fmt.Errorf("saving a search: %w", err)
	}
	switch {
	case same > 0:
		return SavedSearch{}, ErrSearchTaken
	case count >= MaxSearches:
		return SavedSearch{}, ErrSearchFull
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO searches (user, name, query, sort, created) VALUES (?,?,?,?,?)`, user, x.Name, x.Query, string(x.Sort), x.Created.Unix())
	if err == nil {
		if x.ID, err = res.LastInsertId(); err == nil {
			err = tx.Commit()
		}
	}
	if err != nil {
		return SavedSearch{}, fmt.Errorf("saving a search: %w", err)
	}
	return x, nil
}

// Drop removes a search of a user; ErrNoSearch when it is another's.
func (s *Searches) Drop(ctx context.Context, user string, id int64) error {
	res, err := s.db.ExecContext(ctx, `DELETE FROM searches WHERE id = ? AND user = ?`, id, user)
	if err != nil {
		return fmt.Errorf("dropping a saved search: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNoSearch)
	}
	return nil
}
