package transport

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// RobotsStore keeps the last robots.txt of each origin that could be had, so
// that it stands in for a server that fails after a restart as well (RFC 9309
// §2.3.1.4, 30 days at most). Both functions are called by many goroutines; nil
// ones keep nothing.
type RobotsStore struct {
	// Load gives what was saved under an origin such as "https://bbs.example.com",
	// nil when there is nothing.
	Load func(ctx context.Context, origin string) ([]byte, error)
	// Save keeps a copy in place of the one before. It may be called twice with
	// the same.
	Save func(ctx context.Context, origin string, copied []byte) error
}

// robotsCopy is a robots.txt as it is kept: JSON, the file compressed.
type robotsCopy struct {
	URL    string    `json:"url"`
	Status int       `json:"status"`
	At     time.Time `json:"at"`
	SHA256 string    `json:"sha256,omitempty"`
	File   []byte    `json:"file,omitempty"` // gzip; none when the site had no file
}

// saveRobots keeps what a fetch gave. body is that of f, nil for none.
func (c *robotsCache) saveRobots(ctx context.Context, origin string, f *robotsFetch, body []byte) {
	save := c.t.opts.RobotsStore.Save
	if save == nil || f.file == nil {
		return
	}
	k := robotsCopy{URL: f.url, Status: f.status, At: f.at.UTC(), SHA256: f.sum}
	if !f.noFile {
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		zw.Write(body) // into memory
		zw.Close()
		k.File = buf.Bytes()
	}
	data, err := json.Marshal(k)
	if err == nil {
		err = save(ctx, origin, data)
	}
	if err != nil {
		c.t.opts.Logger.WarnContext(ctx, "a robots.txt could not be kept for times when its server fails", "origin", origin, "err", err)
	}
}

// loadRobots gives the copy that was kept of an origin; nil when there is none
// that may still be used.
func (c *robotsCache) loadRobots(ctx context.Context, origin string, p HostPolicy) *robotsFetch {
	load := c.t.opts.RobotsStore.Load
	if load == nil {
		return nil
	}
	data, err := load(ctx, origin)
	if err == nil && len(data) == 0 {
		return nil
	}
	var f *robotsFetch
	if err == nil {
		f, err = readRobotsCopy(data, c.t.robotsProduct(p))
	}
	if err != nil {
		c.t.opts.Logger.WarnContext(ctx, "the copy of a robots.txt could not be read", "origin", origin, "err", err)
		return nil
	}
	if age := c.t.opts.Now().Sub(f.at); age < 0 || age > robotsKeepGood {
		return nil
	}
	return f
}

func readRobotsCopy(data []byte, product string) (*robotsFetch, error) {
	var k robotsCopy
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("reading the copy: %w", err)
	}
	f := &robotsFetch{url: k.URL, status: k.Status, at: k.At, sum: k.SHA256}
	if len(k.File) == 0 {
		f.file, f.noFile = &robotsFile{}, true
		return f, nil
	}
	zr, err := gzip.NewReader(bytes.NewReader(k.File))
	if err != nil {
		return nil, fmt.Errorf("reading the copy: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(zr, robotsBytes+2))
	if err != nil || len(body) > robotsBytes+1 {
		return nil, fmt.Errorf("reading the copy: %w", errors.Join(err, errors.New("it is cut or too long")))
	}
	f.file = parseRobots(body, product)
	return f, nil
}
