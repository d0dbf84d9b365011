package index

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// eachPage is how many records Each reads at a time.
const eachPage = MaxLimit

// Each calls fn for every record that q.Text matches, newest first seen first,
// and stops at fn's first error. It pages by first_seen, which never changes:
// records that are added meanwhile do not make it skip or repeat any. There is
// no cap; q's order, limit and offset do not matter.
func Each(ctx context.Context, s Store, q Query, fn func(Record) error) error {
	page := Query{Text: q.Text, Sort: SortFirstSeen, Limit: eachPage, NoTotal: true}
	for {
		p, err := s.Search(ctx, page)
		if err != nil {
			return err
		}
		for _, h := range p.Hits {
			if err := fn(h.Record); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return nil
		}
		page.After = p.Next
	}
}

// WriteJSONL writes every record that q matches as one JSON object a line and
// returns how many.
func WriteJSONL(ctx context.Context, w io.Writer, s Store, q Query) (int, error) {
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	n := 0
	err := Each(ctx, s, q, func(r Record) error {
		n++
		return enc.Encode(r)
	})
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return n, fmt.Errorf("exporting JSON lines: %w", err)
	}
	return n, nil
}

// csvColumns are the columns of WriteCSV in order. Lists are joined by "; ",
// entities are type:value, times are RFC 3339.
var csvColumns = []string{"id", "flagged", "score", "severity", "stance", "categories", "title", "text", "contacts", "evasion",
	"author", "author_id", "source", "source_type", "kind", "url", "region", "published_at", "first_seen", "last_seen", "ingested_at",
	"revisions", "campaign", "campaign_size", "status", "assignee", "reason", "tags", "archive_file", "archive_record", "archive_sha256",
	"dictionary", "model"}

// MaxCell is the longest cell of WriteCSV, in characters as spreadsheets count
// them (UTF-16 units); they keep no more than 32,767.
const MaxCell = 32_000

// cutMark ends a cell that was cut at MaxCell.
const cutMark = "…【已截断 cut】"

// WriteCSV writes every record that q matches as CSV for spreadsheets, and
// returns how many: UTF-8 with a byte order mark, a header line, CRLF line
// ends, every cell in quotation marks but the header's, which some readers would
// not find behind the mark. Cells are made safe by SafeCell, which
// changes some and cuts texts longer than MaxCell: for exact texts use
// WriteJSONL.
func WriteCSV(ctx context.Context, w io.Writer, s Store, q Query) (int, error) {
	buf := bufio.NewWriter(w)
	n := 0
	fail := func(err error) (int, error) { return n, fmt.Errorf("exporting CSV: %w", err) }
	if _, err := buf.WriteString("\uFEFF" + strings.Join(csvColumns, ",") + "\r\n"); err != nil {
		return fail(err)
	}
	err := Each(ctx, s, q, func(r Record) error {
		n++
		_, err := buf.WriteString(csvLine(csvRow(r)))
		return err
	})
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return fail(err)
	}
	return n, nil
}

// csvLine quotes every cell, which encoding/csv does not: a program that
// separates at semicolons or tabs would cut the bare ones there.
func csvLine(cells []string) string {
	quoted := make([]string, len(cells))
	for i, c := range cells {
		quoted[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ",") + "\r\n"
}

func csvRow(r Record) []string {
	row := csvCells(r)
	for i := range row {
		row[i] = SafeCell(row[i])
	}
	return row
}

// csvCells are the values of csvColumns, as they are.
func csvCells(r Record) []string {
	p, v := r.Post, r.Verdict
	var categories, contacts, evasions []string
	for _, c := range v.Categories {
		categories = append(categories, c.ID)
	}
	for _, e := range v.Entities {
		contacts = append(contacts, e.Type+":"+e.Value)
	}
	for _, e := range v.Evasion {
		evasions = append(evasions, string(e))
	}
	list := func(values []string) string { return strings.Join(values, "; ") }
	return []string{p.ID, strconv.FormatBool(v.Flagged), strconv.FormatFloat(v.Score, 'f', 3, 64), string(v.Severity), string(v.Stance), list(categories),
		p.Title, p.Text, list(contacts), list(evasions), p.Author.Name, p.Author.ID, p.Source, p.SourceType, string(p.Kind), p.URL, p.Region,
		csvTime(p.PublishedAt), csvTime(r.FirstSeen), csvTime(r.LastSeen), csvTime(r.IngestedAt), strconv.Itoa(r.Revisions), r.Campaign.ID,
		strconv.Itoa(r.Campaign.Size), string(r.Triage.Status), r.Triage.Assignee, r.Triage.Reason, list(r.Triage.Tags),
		p.Archive.File, p.Archive.RecordID, p.Archive.SHA256, v.Dictionary, v.Model}
}

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(China()).Format(time.RFC3339)
}

// SafeCell returns s as a spreadsheet cell that is shown as text: line breaks
// are plain ones, other control characters are gone, and an apostrophe stands
// before what would be read as a formula or as a number too long to keep. It
// stands also before what begins like a formula after a semicolon, a tab or a
// line break inside, where a program with another separator begins a new cell.
// A cell of more than MaxCell characters is cut there and ends with a mark.
func SafeCell(s string) string {
	if s == "" {
		return s
	}
	// The test is on the original: a tab or line break in front is an attack too.
	risky := strings.ContainsRune("\t\r\n", rune(s[0]))
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7F {
			return -1
		}
		return r
	}, s)
	lead := strings.TrimLeftFunc(s, skipped)
	if strings.HasPrefix(lead, "'") || risky || startsFormula(lead) || losesDigits(lead) {
		s = "'" + s
	}
	return cutCell(guardInside(s))
}

// skipped reports whether spreadsheets skip r before a formula.
func skipped(r rune) bool { return isSpace(r) || dropped(r) || r == '\v' || r == '\f' }

// cutCell cuts s at MaxCell UTF-16 units.
func cutCell(s string) string {
	if len(s) <= MaxCell {
		return s
	}
	units := 0
	for i, r := range s {
		if units += utf16.RuneLen(r); units > MaxCell {
			return s[:i] + cutMark
		}
	}
	return s
}

// guardInside puts an apostrophe before each formula character that could
// begin a cell inside s.
func guardInside(s string) string {
	if !strings.ContainsAny(s, ";\t\n") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	begins := false
	for _, r := range s {
		if begins && formulaStart(r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		// A quotation mark that does not open the cell is dropped before a formula.
		begins = r == ';' || r == '\t' || r == '\n' || begins && (skipped(r) || r == '"')
	}
	return b.String()
}

func formulaStart(r rune) bool { return strings.ContainsRune("=+-@|%＝＋－＠−﹢﹣﹦﹫", r) }

func startsFormula(s string) bool {
	for _, r := range s {
		return formulaStart(r)
	}
	return false
}

// losesDigits reports whether a spreadsheet would read s as a number and show
// another: long numbers, leading zeros, exponents.
func losesDigits(s string) bool {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return false
	}
	if _, err := strconv.ParseFloat(s, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		return false
	}
	return len(s) > 11 || strings.ContainsAny(s, "eEnNiIxX_") || len(s) > 1 && s[0] == '0' && s[1] != '.'
}
