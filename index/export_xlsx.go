package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/xuri/excelize/v2"
)

// maxSheetRows is how many records a sheet holds besides its header: what
// spreadsheets open, 1,048,576 rows.
const maxSheetRows = 1<<20 - 1

// WriteXLSX writes every record that q matches as a workbook, with the columns
// of WriteCSV, and returns how many. Cells are typed, so that a text is a text
// whatever it begins with; those longer than MaxCell are cut. More than a sheet
// holds goes on in the next. Nothing is written to w before all is read; until
// then larger workbooks lie in a temporary file.
func WriteXLSX(ctx context.Context, w io.Writer, s Store, q Query) (n int, err error) {
	book := excelize.NewFile()
	defer func() {
		if closeErr := book.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("exporting XLSX: %w", closeErr)
		}
	}()
	sheets := xlsxSheets{book: book}
	err = Each(ctx, s, q, func(r Record) error {
		n++
		return sheets.add(xlsxRow(r))
	})
	if err == nil {
		err = sheets.end()
	}
	if err == nil {
		_, err = book.WriteTo(w)
	}
	if err != nil {
		return n, fmt.Errorf("exporting XLSX: %w", err)
	}
	return n, nil
}

// xlsxSheets writes rows into one sheet after the other.
type xlsxSheets struct {
	book   *excelize.File
	stream *excelize.StreamWriter
	sheets int
	row    int // of the present sheet, from 1, the header's
}

func (x *xlsxSheets) add(cells []any) error {
	if x.stream == nil || x.row > maxSheetRows {
		if err := x.next(); err != nil {
			return err
		}
	}
	x.row++
	cell, err := excelize.CoordinatesToCellName(1, x.row)
	if err != nil {
		return err
	}
	return x.stream.SetRow(cell, cells)
}

// next begins a sheet with its header.
func (x *xlsxSheets) next() error {
	if err := x.flush(); err != nil {
		return err
	}
	x.sheets++
	name := "records"
	if x.sheets == 1 {
		if err := x.book.SetSheetName("Sheet1", name); err != nil {
			return err
		}
	} else {
		name = fmt.Sprintf("records %d", x.sheets)
		if _, err := x.book.NewSheet(name); err != nil {
			return err
		}
	}
	var err error
	if x.stream, err = x.book.NewStreamWriter(name); err != nil {
		return err
	}
	if err := x.stream.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	bold, err := x.book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	header := make([]any, len(csvColumns))
	for i, c := range csvColumns {
		header[i] = excelize.Cell{StyleID: bold, Value: c}
	}
	x.row = 1
	return x.stream.SetRow("A1", header)
}

func (x *xlsxSheets) flush() error {
	if x.stream == nil {
		return nil
	}
	return x.stream.Flush()
}

// end finishes the last sheet; a workbook without records has its header.
func (x *xlsxSheets) end() error {
	if x.stream == nil {
		if err := x.next(); err != nil {
			return err
		}
	}
	return x.flush()
}

// xlsxRow is csvRow with numbers as numbers and texts as they are.
func xlsxRow(r Record) []any {
	texts := csvCells(r)
	row := make([]any, len(texts))
	for i, t := range texts {
		row[i] = xlsxText(t)
	}
	for i, c := range csvColumns {
		switch c {
		case "score":
			row[i] = r.Verdict.Score
		case "flagged":
			row[i] = r.Verdict.Flagged
		case "revisions":
			row[i] = r.Revisions
		case "campaign_size":
			row[i] = r.Campaign.Size
		}
	}
	return row
}

// xlsxText drops what XML cannot hold and cuts at MaxCell.
func xlsxText(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(s, "\uFFFD"))
	return cutCell(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7F || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s))
}

// ErrFormat: there is no such format of exports.
var ErrFormat = errors.New("index: exports are jsonl, csv or xlsx")

// Export writes every record that q matches in a format: jsonl, csv or xlsx.
// Another is ErrFormat.
func Export(ctx context.Context, w io.Writer, format string, s Store, q Query) (int, error) {
	switch format {
	case "jsonl":
		return WriteJSONL(ctx, w, s, q)
	case "csv":
		return WriteCSV(ctx, w, s, q)
	case "xlsx":
		return WriteXLSX(ctx, w, s, q)
	}
	return 0, ErrFormat
}
