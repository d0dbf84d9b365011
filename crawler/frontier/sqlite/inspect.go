package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"qingyuan/crawler/frontier"
)

var _ frontier.Inspector = (*DB)(nil)

// soonest is how many of the tasks that are not due are looked at for the next
// due time of each source.
const soonest = 2000

// Hosts lists hosts in work, with due tasks or backed off. See frontier.Inspector.
func (d *DB) Hosts(ctx context.Context, limit int) ([]frontier.HostStanding, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT h.name, h.leased, h.started, h.backoff, h.reason, coalesce(h.at, 0),
			coalesce((SELECT t.source FROM tasks t WHERE t.host = h.n AND t.state = 0 ORDER BY t.priority DESC, t.due, t.n LIMIT 1), ''),
			(SELECT count(*) FROM (SELECT 1 FROM tasks t WHERE t.host = h.n AND t.state = 0 LIMIT ?1))
		FROM hosts h WHERE h.leased OR h.at IS NOT NULL OR h.backoff > ?2
		ORDER BY h.leased DESC, coalesce(h.at, h.backoff), h.n LIMIT ?3`, frontier.MaxReady, d.now().UnixNano(), limit)
	if err != nil {
		return nil, fmt.Errorf("listing hosts: %w", err)
	}
	defer rows.Close()
	var out []frontier.HostStanding
	for rows.Next() {
		var h frontier.HostStanding
		var started, until, at int64
		if err := rows.Scan(&h.Host, &h.Leased, &started, &until, &h.Reason, &at, &h.Source, &h.Ready); err != nil {
			return nil, fmt.Errorf("listing hosts: %w", err)
		}
		h.Started, h.Until, h.Free = timeOf(started), timeOf(until), timeOf(at)
		if at > 0 && at < started {
			h.Free = timeOf(started)
		}
		out = append(out, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing hosts: %w", err)
	}
	return out, d.inWork(ctx, out)
}

// inWork names the source of what is leased on each host.
func (d *DB) inWork(ctx context.Context, hosts []frontier.HostStanding) error {
	byName := map[string]int{}
	for i, h := range hosts {
		if h.Leased {
			byName[h.Host] = i
		}
	}
	if len(byName) == 0 {
		return nil
	}
	rows, err := d.db.QueryContext(ctx, `SELECT h.name, t.source FROM tasks t JOIN hosts h ON h.n = t.host WHERE t.state = 3`)
	if err != nil {
		return fmt.Errorf("listing leased tasks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var host, source string
		if err := rows.Scan(&host, &source); err != nil {
			return fmt.Errorf("listing leased tasks: %w", err)
		}
		if i, ok := byName[host]; ok {
			hosts[i].Source = source
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("listing leased tasks: %w", err)
	}
	return nil
}

// LastStart is when a task was last handed out. See frontier.Inspector.
func (d *DB) LastStart(ctx context.Context) (time.Time, error) {
	var started int64
	if err := d.db.QueryRowContext(ctx, `SELECT coalesce(max(started), 0) FROM hosts`).Scan(&started); err != nil {
		return time.Time{}, fmt.Errorf("finding the last start: %w", err)
	}
	return timeOf(started), nil
}

// Sources counts the tasks of every source. See frontier.Inspector.
func (d *DB) Sources(ctx context.Context) ([]frontier.SourceStanding, error) {
	bySource := map[string]*frontier.SourceStanding{}
	err := d.eachRow(ctx, `SELECT source, state, n FROM counts WHERE n > 0`, func(r *sql.Rows) error {
		var source string
		var state, n int
		if err := r.Scan(&source, &state, &n); err != nil {
			return err
		}
		s := bySource[source]
		if s == nil {
			s = &frontier.SourceStanding{Source: source}
			bySource[source] = s
		}
		if count := countOf(s, state); count != nil {
			*count += n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting tasks by source: %w", err)
	}
	err = d.eachRow(ctx, fmt.Sprintf(`SELECT source, min(due) FROM
		(SELECT source, due FROM tasks WHERE state IN (1, 2) ORDER BY due LIMIT %d) GROUP BY source`, soonest), func(r *sql.Rows) error {
		var source string
		var due int64
		err := r.Scan(&source, &due)
		if s := bySource[source]; s != nil {
			s.NextDue = time.Unix(0, max(due, 1))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding the next due times: %w", err)
	}
	out := make([]frontier.SourceStanding, 0, len(bySource))
	for _, s := range bySource {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b frontier.SourceStanding) int { return strings.Compare(a.Source, b.Source) })
	return out, nil
}

func (d *DB) eachRow(ctx context.Context, query string, row func(*sql.Rows) error) error {
	rows, err := d.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func countOf(s *frontier.SourceStanding, state int) *int {
	switch state {
	case stateReady:
		return &s.Ready
	case stateLater:
		return &s.Later
	case stateAgain:
		return &s.Again
	case stateLeased:
		return &s.Leased
	case stateDone:
		return &s.Done
	case stateDead:
		return &s.Dead
	}
	return nil
}
