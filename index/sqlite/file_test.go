package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qingyuan/index"
	"qingyuan/index/indextest"
	"qingyuan/index/sqlite"
)

// raw opens the file beside the store, as somebody with a database tool would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestAuditIsAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	s := open(t, path)
	for i := range 5 {
		if err := s.AppendAudit(t.Context(), index.AuditRow{Actor: "lin", Action: "view", Note: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	db := raw(t, path)
	for _, statement := range [...]string{"UPDATE audit SET actor = 'eve' WHERE seq = 3", "DELETE FROM audit WHERE seq = 5", "DELETE FROM audit",
		"INSERT OR REPLACE INTO audit SELECT 3, at, 'eve', action, record_id, was, became, note, request_id, hash FROM audit WHERE seq = 3"} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v, want it refused as append-only", statement, err)
		}
	}
	if err := s.VerifyAudit(t.Context()); err != nil {
		t.Fatalf("VerifyAudit of an unchanged trail: %v", err)
	}
}

func TestVerifyAuditNamesTheRow(t *testing.T) {
	for name, c := range map[string]struct {
		tamper string
		seq    int64
	}{
		"changed":       {"UPDATE audit SET actor = 'eve' WHERE seq = 3", 3},
		"time changed":  {"UPDATE audit SET at = at + 1 WHERE seq = 2", 2},
		"removed":       {"DELETE FROM audit WHERE seq = 2", 2},
		"first removed": {"DELETE FROM audit WHERE seq = 1", 1},
		"end removed":   {"DELETE FROM audit WHERE seq >= 4", 0},
		"swapped":       {"UPDATE audit SET seq = CASE seq WHEN 2 THEN 300 ELSE seq END", 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index.db")
			s := open(t, path)
			for i := range 5 {
				if err := s.AppendAudit(t.Context(), index.AuditRow{Actor: "lin", Action: "view", Note: fmt.Sprint(i)}); err != nil {
					t.Fatal(err)
				}
			}
			db := raw(t, path)
			mustExec(t, db, "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete")
			mustExec(t, db, c.tamper)
			var ae *index.AuditError
			if err := s.VerifyAudit(t.Context()); !errors.As(err, &ae) || ae.Seq != c.seq {
				t.Errorf("VerifyAudit: got %v, want an *AuditError at row %d", err, c.seq)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		says string
	}{
		"newer schema": {func(t *testing.T, path string) {
			s := open(t, path)
			s.Close()
			mustExec(t, raw(t, path), "PRAGMA user_version = 99")
		}, "schema version 99"},
		"other program": {func(t *testing.T, path string) { mustExec(t, raw(t, path), "CREATE TABLE bookmarks (x)") }, "not an index of qingyuan"},
		"not SQLite": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("这不是数据库。", 500)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not an SQLite file"},
		"folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index.db")
			c.make(t, path)
			before, _ := os.ReadFile(path)
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q, want it to say %q and name the file", err, c.says)
			}
			if after, _ := os.ReadFile(path); name == "not SQLite" && string(after) != string(before) {
				t.Error("the refused file was changed")
			}
		})
	}
}

func TestOpenOddPaths(t *testing.T) {
	for _, name := range [...]string{"数据 库.db", "a?b#c%41.db", filepath.Join("new", "folder", "x.db"), "it's;.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := open(t, path)
		if err := s.Put(t.Context(), indextest.Posts(3, 1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("%s: the file is not where it was asked for: %v", name, err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, want 0600", name, info.Mode())
		}
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	s := open(t, path)
	recs := indextest.Posts(50, 1)
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	before, err := s.Search(t.Context(), index.Query{Text: "停息挂账"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	after, err := open(t, path).Search(t.Context(), index.Query{Text: "停息挂账"})
	if err != nil || after.Total != before.Total || after.Total == 0 {
		t.Errorf("after reopening %d records, %v; before %d", after.Total, err, before.Total)
	}
}

func TestErrorsNameFileAndRemedy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	ctx := t.Context()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path, BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Run("locked", func(t *testing.T) {
		conn, err := raw(t, path).Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		err = s.Put(ctx, indextest.Posts(1, 1))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process holds the write lock") {
			t.Errorf("Put while another process writes: %v", err)
		}
		if _, err := s.Search(ctx, index.Query{}); err != nil {
			t.Errorf("Search while another process writes: %v", err)
		}
		if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(ctx, indextest.Posts(1, 1)); err != nil {
			t.Errorf("Put after the lock is free: %v", err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		bad := filepath.Join(t.TempDir(), "bad.db")
		w := open(t, bad)
		if err := w.Put(ctx, indextest.Posts(300, 1)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		data, err := os.ReadFile(bad)
		if err != nil {
			t.Fatal(err)
		}
		for i := 8 * 4096; i < len(data); i++ {
			data[i] = byte(i)
		}
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err = sqlite.Open(ctx, sqlite.Options{Path: bad})
		if err == nil {
			defer w.Close()
			_, err = w.Search(ctx, index.Query{Text: "停息挂账"})
		}
		if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a damaged file: %v", err)
		}
	})
}

func TestDayAndDatesFollowLocation(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "x.db"), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := indextest.Posts(1, 1)[0]
	r.IngestedAt = time.Date(2026, 11, 20, 23, 30, 0, 0, time.UTC) // already the 21st in China
	if err := s.Put(t.Context(), []index.Record{r}); err != nil {
		t.Fatal(err)
	}
	f, err := s.Facets(t.Context(), index.Query{Text: "ingested:2026-11-20"}, []string{index.FacetDay}, 1)
	if err != nil || len(f[index.FacetDay]) != 1 || f[index.FacetDay][0].Value != "2026-11-20" {
		t.Errorf("day facet in UTC: %v, %v", f, err)
	}
}

// TestKill starts a process that puts batches and triages, kills it at some
// moment, ten times over one file, and looks for everything acknowledged.
func TestKill(t *testing.T) {
	if path := os.Getenv("QINGYUAN_KILL_FILE"); path != "" {
		killChild(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "index.db")
	acked, triaged := map[string]bool{}, map[string]int64{}
	for round := range 12 {
		killRound(t, path, round, acked, triaged)
		s := open(t, path)
		for id := range acked {
			if _, err := s.Get(t.Context(), id); err != nil {
				t.Fatalf("round %d: acknowledged record %s: %v", round, id, err)
			}
		}
		for id, version := range triaged {
			r, err := s.Get(t.Context(), id)
			if err != nil || r.Triage.Version < version || r.Triage.Version > version+1 || r.Triage.Status != index.StatusReviewing {
				t.Fatalf("round %d: triage of %s is %+v, %v; version %d was acknowledged", round, id, r.Triage, err, version)
			}
		}
		if err := s.VerifyAudit(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		p, err := s.Search(t.Context(), index.Query{Text: "-停息 OR 停息"})
		if err != nil || p.Total < len(acked) || p.Total%20 != 0 {
			t.Fatalf("round %d: %d records, %v; %d acknowledged in batches of 20", round, p.Total, err, len(acked))
		}
		s.Close()
		var state string
		if err := raw(t, path).QueryRow("PRAGMA integrity_check").Scan(&state); err != nil || state != "ok" {
			t.Fatalf("round %d: integrity check: %s, %v", round, state, err)
		}
	}
	if len(acked) < 12*20 || len(triaged) < 12 {
		t.Fatalf("only %d records and %d changes were acknowledged: the test says too little", len(acked), len(triaged))
	}
}

// killRound runs the child until it has acknowledged some work, then kills it
// in the middle of more.
func killRound(t *testing.T, path string, round int, acked map[string]bool, triaged map[string]int64) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "QINGYUAN_KILL_FILE="+path, fmt.Sprintf("QINGYUAN_KILL_ROUND=%d", round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) > 1 && f[0] == "put":
			for _, id := range f[1:] {
				acked[id] = true
			}
		case len(f) == 3 && f[0] == "triage":
			var version int64
			fmt.Sscan(f[2], &version)
			triaged[f[1]] = version
		case len(f) > 0:
			t.Logf("child: %s", lines.Text())
		}
		if n == 6+round {
			cmd.Process.Kill() //nolint:errcheck // it may have ended by itself, which Wait shows
		}
	}
	cmd.Wait() //nolint:errcheck // killed
}

// killChild works until it is killed, telling what is durable.
func killChild(t *testing.T, path string) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path, Normalize: indextest.Normalize, Now: indextest.Now})
	if err != nil {
		t.Fatal(err)
	}
	var round uint64
	fmt.Sscan(os.Getenv("QINGYUAN_KILL_ROUND"), &round)
	recs := indextest.Posts(20_000, 1)[round*1000:]
	for batch := 0; batch < 50; batch++ {
		part := recs[batch*20 : batch*20+20]
		if err := s.Put(ctx, part); err != nil {
			t.Fatal(err)
		}
		line := "put"
		for _, r := range part {
			line += " " + r.Post.ID
		}
		fmt.Println(line)
		id := part[0].Post.ID
		got, err := s.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := s.Triage(ctx, id, got.Triage.Version, index.TriageChange{Actor: "lin", Status: index.StatusReviewing, Comment: "看过"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("triage", id, tr.Version)
		if err := s.Put(ctx, part); err != nil { // seen again: triage stays
			t.Fatal(err)
		}
	}
	select {} // wait for the end
}
