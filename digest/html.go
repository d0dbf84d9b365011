package digest

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"html/template"
	"io"
	"sync"
)

//go:embed digest.html
var page string

var parsePage = sync.OnceValues(func() (*template.Template, error) { return template.New("digest.html").Parse(page) })

// HTML writes the digest as one self-contained page that mail programs show as
// well: tables and inline styles, no script, no picture, nothing fetched. It
// writes nothing when the digest cannot be rendered; else its errors are w's.
func (d Digest) HTML(w io.Writer) error {
	v, err := d.view()
	if err != nil {
		return err
	}
	t, err := parsePage()
	if err != nil {
		return fmt.Errorf("digest page: %w", err)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, v); err != nil {
		return fmt.Errorf("rendering the digest: %w", err)
	}
	_, err = buf.WriteTo(w)
	return err
}

// tile is a number at the head of the page.
type tile struct{ Name, Number, Before, Diff string }

// Tile returns the tile of a total.
func (v view) Tile(key string, c Change) tile {
	return tile{v.T(key), number(c.Count), v.Before(c.Before), v.Diff(c)}
}

// counted is one line of counts.
type counted struct {
	Name  string
	Parts []tile
}

// Counted returns the line of counts under a heading.
func (v view) Counted(key string, all []Count) counted {
	c := counted{Name: v.T(key)}
	for _, x := range all {
		c.Parts = append(c.Parts, tile{Name: x.Name, Number: number(x.Count)})
	}
	return c
}

// contactTable is a list of contacts, ready to show.
type contactTable struct {
	Contact, Hits, Sites, Before string // heads of the columns
	Rows                         []contactRow
}

type contactRow struct{ Kind, Value, Link, Hits, Sites, Earlier string }

// ContactRows returns the table of a list of contacts.
func (v view) ContactRows(l List[Contact]) contactTable {
	t := contactTable{Contact: v.T("col.contact"), Hits: v.T("col.hits"), Sites: v.T("col.sites"), Before: v.T("col.before")}
	for _, c := range l.Items {
		t.Rows = append(t.Rows, contactRow{v.Named("contact", c.Type), c.Value, v.Link(c.HitID), number(c.Hits), number(c.Sites), v.Earlier(c)})
	}
	return t
}
