package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// op is one line of a bulk request with its document.
type op struct {
	action string // create, update, index, delete
	index  string // an alias for writing, or with exact an index; the same for all ops of a request
	exact  bool   // the index itself, as migration needs
	id     string
	cas    *place // update only when the document still stands there
	// version, when not 0, is an external one: older ones are refused.
	version int64
	body    []byte // one line of JSON; nil for delete
}

// place is a version of a document as Elasticsearch counts them.
type place struct {
	seqNo, term int64
}

// outcome is what became of an op.
type outcome struct {
	status int
	kind   string
	reason string
}

func (o outcome) ok() bool { return o.status >= 200 && o.status < 300 }

// bulkTries is how often items are sent again that the server was too busy for.
const bulkTries = 6

// bulk sends ops in requests of about BulkBytes and returns an outcome each.
// An error means that the server took not all of them, and why; what it took
// is not told, so that every op must be one that may be repeated.
func (s *Store) bulk(ctx context.Context, ops []op) ([]outcome, error) {
	return bulk(ctx, s.c, ops, s.opts.BulkBytes, &s.counts)
}

func bulk(ctx context.Context, c *client, ops []op, size int, counts *counters) ([]outcome, error) {
	out := make([]outcome, len(ops))
	for start := 0; start < len(ops); {
		end, bytes := start, 0
		for end < len(ops) && (end == start || bytes+len(ops[end].body) <= size) {
			bytes += len(ops[end].body) + 128
			end++
		}
		if err := bulkPart(ctx, c, ops[start:end], out[start:end], counts); err != nil {
			return nil, err
		}
		start = end
	}
	return out, nil
}

// bulkPart sends ops in one request, and in halves when they are too much for it.
func bulkPart(ctx context.Context, c *client, ops []op, out []outcome, counts *counters) error {
	left := make([]int, len(ops)) // positions that have no outcome yet
	for i := range left {
		left[i] = i
	}
	for try := 0; ; try++ {
		part := make([]op, len(left))
		for i, at := range left {
			part[i] = ops[at]
		}
		counts.requests.Add(1)
		results, err := sendBulk(ctx, c, part)
		if is(err, http.StatusRequestEntityTooLarge) || tooMuch(err) {
			return bulkHalves(ctx, c, ops, out, left, counts, err)
		}
		if err != nil && (!is(err, http.StatusTooManyRequests) || errors.Is(err, ErrDiskFull)) {
			return err
		}
		var busy []int
		last := err
		for i, at := range left {
			if err != nil {
				busy = left
				break
			}
			r := results[i]
			failed := &serverError{status: r.status, kind: r.kind, reason: r.reason, class: classOf(r.status, r.kind)}
			switch {
			case r.status == http.StatusTooManyRequests && !errors.Is(failed, ErrDiskFull), r.status == http.StatusServiceUnavailable:
				busy, last = append(busy, at), failed
			case failed.class != nil && !r.ok():
				return failed
			default:
				out[at] = r
			}
		}
		if len(busy) == 0 {
			return nil
		}
		if tooMuch(last) {
			return bulkHalves(ctx, c, ops, out, busy, counts, last)
		}
		if left = busy; try+1 == bulkTries {
			return fmt.Errorf("%w: it is too busy for %d documents after %d tries: %w", ErrUnavailable, len(busy), bulkTries, last)
		}
		counts.retried.Add(int64(len(busy)))
		if err := sleep(ctx, time.Duration(50<<try)*time.Millisecond/2+rand.N(time.Duration(50<<try)*time.Millisecond)); err != nil {
			return err
		}
	}
}

// bulkHalves sends the ops at left in two requests; one alone that is still
// too large is refused for good.
func bulkHalves(ctx context.Context, c *client, ops []op, out []outcome, left []int, counts *counters, why error) error {
	if len(left) == 1 {
		out[left[0]] = outcome{status: http.StatusRequestEntityTooLarge, kind: "too_large",
			reason: fmt.Sprintf("the document of %d bytes is larger than the server takes: %v", len(ops[left[0]].body), why)}
		return nil
	}
	for _, half := range [...][]int{left[:len(left)/2], left[len(left)/2:]} {
		part, results := make([]op, len(half)), make([]outcome, len(half))
		for i, at := range half {
			part[i] = ops[at]
		}
		if err := bulkPart(ctx, c, part, results, counts); err != nil {
			return err
		}
		for i, at := range half {
			out[at] = results[i]
		}
	}
	return nil
}

// operationBytes finds in a rejection how large the request was and what the
// server takes at most.
var operationBytes = regexp.MustCompile(`coordinating_operation_bytes=(\d+).*?max_coordinating(?:_and_primary)?_bytes=(\d+)`)

// tooMuch reports whether a rejection can never pass, because the request
// alone is over the server's limit.
func tooMuch(err error) bool {
	var e *serverError
	if !errors.As(err, &e) || e.status != http.StatusTooManyRequests {
		return false
	}
	m := operationBytes.FindStringSubmatch(e.reason)
	if m == nil {
		return false
	}
	size, err1 := strconv.ParseInt(m[1], 10, 64)
	limit, err2 := strconv.ParseInt(m[2], 10, 64)
	return err1 == nil && err2 == nil && size > limit
}

// appendAction appends the first line of an op.
func appendAction(dst []byte, o op) ([]byte, error) {
	id, err := json.Marshal(o.id)
	if err != nil {
		return nil, err
	}
	dst = append(append(append(dst, `{"`...), o.action...), `":{"_id":`...)
	dst = append(dst, id...)
	if o.cas != nil {
		dst = fmt.Appendf(dst, `,"if_seq_no":%d,"if_primary_term":%d`, o.cas.seqNo, o.cas.term)
	}
	if o.version > 0 {
		dst = fmt.Appendf(dst, `,"version":%d,"version_type":"external"`, o.version)
	}
	return append(dst, "}}\n"...), nil
}

// sendBulk sends ops of one index in one request.
func sendBulk(ctx context.Context, c *client, ops []op) ([]outcome, error) {
	size := 0
	for _, o := range ops {
		size += len(o.body) + len(o.id) + 128
	}
	body := make([]byte, 0, size)
	var err error
	for _, o := range ops {
		if body, err = appendAction(body, o); err != nil {
			return nil, err
		}
		if o.body != nil {
			body = append(append(body, o.body...), '\n')
		}
	}
	var answer struct {
		Items []map[string]struct {
			Status int       `json:"status"`
			Error  itemError `json:"error"`
		} `json:"items"`
	}
	path := "/" + ops[0].index + "/_bulk"
	if !ops[0].exact && ops[0].action != "delete" {
		path += "?require_alias=true"
	}
	if err := c.call(ctx, http.MethodPost, path, body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Items) != len(ops) {
		return nil, fmt.Errorf("%w: it answered %d of %d documents", ErrUnavailable, len(answer.Items), len(ops))
	}
	out := make([]outcome, len(ops))
	for i, item := range answer.Items {
		for _, r := range item {
			out[i] = outcome{status: r.Status, kind: r.Error.Type, reason: r.Error.text()}
		}
	}
	return out, nil
}

// sleep waits, but not longer than ctx.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
