package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qingyuan/index"
	"qingyuan/index/indextest"
)

// TestFullAndReadOnly brings SQLite's own errors about through its settings:
// a file that may not grow is to it what a full disk is.
func TestFullAndReadOnly(t *testing.T) {
	for name, c := range map[string]struct{ limit, lift, says string }{
		"disk full": {"PRAGMA max_page_count = 60", "PRAGMA max_page_count = 1000000", "the disk is full; free some space"},
		"read-only": {"PRAGMA query_only = 1", "PRAGMA query_only = 0", "read-only; let this user write both"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, path := t.Context(), filepath.Join(t.TempDir(), "index.db")
			s, err := Open(ctx, Options{Path: path, Normalize: indextest.Normalize})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			recs := indextest.Posts(500, 1)
			if err := s.Put(ctx, recs[:1]); err != nil {
				t.Fatal(err)
			}
			if _, err := s.write.ExecContext(ctx, c.limit); err != nil {
				t.Fatal(err)
			}
			err = s.Put(ctx, recs)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("Put: %v; want it to say %q and name the file", err, c.says)
			}
			if p, err := s.Search(ctx, index.Query{}); err != nil || p.Total != 1 {
				t.Errorf("after the failure %d records, %v; want the 1 from before", p.Total, err)
			}
			if _, err := s.write.ExecContext(ctx, c.lift); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(ctx, recs); err != nil {
				t.Errorf("Put once there is room: %v", err)
			}
			f, err := s.Facets(ctx, index.Query{}, []string{index.FacetSource}, 0)
			n := 0
			for _, c := range f[index.FacetSource] {
				n += c.Count
			}
			if err != nil || n != len(recs) {
				t.Errorf("facets after the failure count %d of %d: %v", n, len(recs), err)
			}
		})
	}
}

// TestContactSearchStartsFromContact asks SQLite how it would find the few
// records of a contact: not by reading all that are flagged.
func TestContactSearchStartsFromContact(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: indextest.Normalize, Now: indextest.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(t.Context(), indextest.Posts(300, 1)); err != nil {
		t.Fatal(err)
	}
	plan := func(query string) string {
		cond, err := s.compile(query)
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		err = s.inReadTx(t.Context(), func(tx *sql.Tx) error {
			count, args := cond.count()
			return each(t.Context(), tx, "EXPLAIN QUERY PLAN "+count, args, func(rows *sql.Rows) error {
				var id, parent, unused int
				var step string
				err := rows.Scan(&id, &parent, &unused, &step)
				steps = append(steps, step)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(steps, "\n")
	}
	for _, query := range [...]string{"contact:abc0042 flagged:true", "flagged:true status:new wechat:abc0042", "flagged:true (wechat:abc0042 OR phone:13800000042)", "campaign:c1 flagged:false"} {
		if p := plan(query); strings.Contains(p, "flagged=?") || !strings.Contains(p, "rowid=?") {
			t.Errorf("%s is found by\n%s", query, p)
		}
	}
	if p := plan("flagged:true status:new"); !strings.Contains(p, "flagged=?") {
		t.Errorf("the queue is not found by its index:\n%s", p)
	}
}

// TestMigrateTwice opens a file of the newest schema again.
func TestMigrateTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := migrate(t.Context(), s.write); err != nil {
		t.Errorf("migrating the newest schema again: %v", err)
	}
	var version int
	if err := s.write.QueryRow("PRAGMA user_version").Scan(&version); err != nil || version != len(migrations) {
		t.Errorf("schema version %d, %v; want %d", version, err, len(migrations))
	}
}

func TestOpenNeedsPath(t *testing.T) {
	if _, err := Open(t.Context(), Options{}); !errors.Is(err, index.ErrInvalid) {
		t.Errorf("no path: got %v, want ErrInvalid", err)
	}
	if _, err := os.Stat("index.db"); err == nil {
		t.Error("a file was made in the working folder")
	}
}

func TestCursorRefusesOthers(t *testing.T) {
	c := writeCursor(int64(5), "id", index.SortIngested)
	if _, _, err := readCursor(c, index.SortScore); !errors.Is(err, index.ErrInvalid) {
		t.Errorf("a cursor of another order: got %v, want ErrInvalid", err)
	}
	key, id, err := readCursor(c, index.SortIngested)
	if err != nil || key != int64(5) || id != "id" {
		t.Errorf("cursor read back as %v, %q, %v", key, id, err)
	}
	key, _, err = readCursor(writeCursor(0.1, "x", index.SortScore), index.SortScore)
	if err != nil || key != 0.1 {
		t.Errorf("score cursor read back as %v, %v", key, err)
	}
}
