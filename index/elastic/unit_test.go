package elastic

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/index"
	"qingyuan/index/indextest"
)

// What failures mean, by the words of a real server.
func TestErrorsAreTold(t *testing.T) {
	for _, c := range [...]struct {
		status int
		body   string
		want   error
	}{
		{429, `{"error":{"type":"cluster_block_exception","reason":"index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"},"status":429}`, ErrDiskFull},
		{403, `{"error":{"type":"cluster_block_exception","reason":"index [x] blocked by: [FORBIDDEN/8/index write (api)];"}}`, ErrUnavailable},
		{403, `{"error":{"type":"security_exception","reason":"action [indices:data/write/bulk] is unauthorized"}}`, ErrRefused},
		{401, `{"error":{"type":"security_exception","reason":"unable to authenticate"}}`, ErrRefused},
		{404, `{"error":{"type":"index_not_found_exception","reason":"no such index [x] and [require_alias] request flag is [true]"}}`, ErrNotSetUp},
		{429, `{"error":{"type":"es_rejected_execution_exception","reason":"rejected"}}`, ErrUnavailable},
		{503, `{"error":{"type":"unavailable_shards_exception","reason":"timed out"}}`, ErrUnavailable},
		{502, `<html>bad gateway</html>`, ErrUnavailable},
		{413, ``, nil},
		{400, `{"error":{"type":"document_parsing_exception","reason":"failed","caused_by":{"type":"x","reason":"for input string: 广东"}}}`, nil},
	} {
		err := readError(c.status, []byte(c.body))
		if got := errors.Unwrap(err); c.want == nil && got != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%d %.60s: %v, want %v", c.status, c.body, err, c.want)
		}
	}
	if err := readError(400, []byte(`{"error":{"type":"a","reason":"b","caused_by":{"reason":"c"}}}`)); !strings.Contains(err.Error(), "b: c") {
		t.Errorf("the cause is not told: %v", err)
	}
	over := &serverError{status: http.StatusTooManyRequests, reason: "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, coordinating_operation_bytes=614400, max_coordinating_bytes=524288]"}
	busy := &serverError{status: http.StatusTooManyRequests, reason: "rejected execution of coordinating operation [coordinating_and_primary_bytes=500000, replica_bytes=0, all_bytes=500000, coordinating_operation_bytes=100000, max_coordinating_bytes=524288]"}
	if !tooMuch(over) || tooMuch(busy) {
		t.Error("a request over the server's limit is not told from a busy server")
	}
}

// A file that was damaged costs the damaged entry, which is kept, and no other.
func TestSpoolDamage(t *testing.T) {
	dir := t.TempDir()
	sp := newSpool(t, dir)
	recs := indextest.Posts(3, 1)
	for _, r := range recs {
		if _, err := sp.add(entry{Put: []index.Record{r}}, false); err != nil {
			t.Fatal(err)
		}
	}
	path := sp.path(1)
	if err := sp.close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	lines[1][40] ^= 1
	torn := append(bytes.Join(lines, nil), lines[0][:50]...) // as a process leaves it that ends while writing
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	sp = newSpool(t, dir)
	defer sp.close()
	if !sp.leftover() {
		t.Fatal("nothing is left over")
	}
	if n, _ := sp.waiting(); n != 3 {
		t.Errorf("%d entries wait, want 3", n)
	}
	damaged := 0
	b, err := sp.read(sp.sent(), func([]byte, error) error { damaged++; return nil })
	if err != nil || damaged != 1 || len(b.entries) != 3 {
		t.Fatalf("%d entries, %d damaged, %v; want 3 and 1", len(b.entries), damaged, err)
	}
	for i, want := range map[int]index.Record{0: recs[0], 2: recs[2]} {
		if len(b.entries[i].Put) != 1 || b.entries[i].Put[0].Post.Text != want.Post.Text {
			t.Errorf("entry %d: %+v", i, b.entries[i])
		}
	}
	if err := sp.done(b); err != nil {
		t.Fatal(err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*.spool")); len(names) != 0 {
		t.Errorf("what was sent still lies there: %v", names)
	}
}

// A spool that was emptied and filled again by the next process is read from
// its beginning, not from where the last one stood.
func TestSpoolAfterEmpty(t *testing.T) {
	dir := t.TempDir()
	recs := indextest.Posts(6, 1)
	for i := range 3 {
		sp := newSpool(t, dir)
		for _, r := range recs[2*i : 2*i+2] {
			if _, err := sp.add(entry{Put: []index.Record{r}}, false); err != nil {
				t.Fatal(err)
			}
		}
		b, err := sp.read(sp.sent(), nil)
		if err != nil || len(b.entries) != 2 || b.entries[0].Put[0].Post.ID != recs[2*i].Post.ID {
			t.Fatalf("round %d: %d entries, %v", i, len(b.entries), err)
		}
		if err := sp.done(b); err != nil {
			t.Fatal(err)
		}
		if err := sp.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Two processes do not write into one spool.
func TestSpoolIsLocked(t *testing.T) {
	dir := t.TempDir()
	one, two := newSpool(t, dir), newSpool(t, dir)
	defer one.close()
	e := entry{Put: indextest.Posts(1, 1)}
	if _, err := one.add(e, false); err != nil {
		t.Fatal(err)
	}
	if _, err := two.add(e, false); err == nil {
		t.Error("a second process writes into the same spool")
	}
	if two.leftover() {
		t.Error("a second process takes over what the first still sends")
	}
}

func newSpool(t *testing.T, dir string) *spool {
	t.Helper()
	sp, err := openSpool(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func FuzzSpoolLine(f *testing.F) {
	for _, r := range indextest.Posts(3, 1) {
		line, err := encode(entry{Put: []index.Record{r}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	line, err := encode(entry{Delete: &index.Deletion{Source: "s", At: time.Now()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := decode(line)
		if err != nil {
			return
		}
		again, err := encode(e)
		if err != nil {
			return // a time that JSON cannot hold, say
		}
		back, err := decode(again)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if d := cmp.Diff(e, back); d != "" {
			t.Error(d)
		}
	})
}

// However NOT, AND and OR stand in each other, what is sent is flat enough for
// the server or refused with words.
func TestQueriesStayFlat(t *testing.T) {
	s := &Store{opts: Options{Now: time.Now, Location: index.China()}}
	deep := "停息"
	for i := range 30 {
		deep = fmt.Sprintf("%s (债务%d %s)", []string{"", "挂账 OR"}[i%2], i, deep)
	}
	var mistake *index.QueryError
	for query, ok := range map[string]bool{strings.Repeat("NOT ", 31) + "停": true, strings.Repeat("-(", 15) + "停 账" + strings.Repeat(")", 15): true,
		strings.Repeat("(", 31) + "停" + strings.Repeat(")", 31): true} {
		if _, q, err := s.compile(query); (err == nil) != ok || depth(q) > 30 {
			t.Errorf("%s: %v, %d deep", query, err, depth(q))
		}
	}
	if _, q, err := s.compile(deep); err != nil && !errors.As(err, &mistake) || depth(q) > 30 {
		t.Errorf("%v, %d deep; want a QueryError or at most 30", err, depth(q))
	}
	if got := push(index.Not{X: index.And{index.Equal{Field: "tag", Value: "a"}, index.Not{X: index.Equal{Field: "tag", Value: "b"}}}}, false); got.String() != `NOT tag:"a" OR tag:"b"` {
		t.Errorf("pushed down: %s", got)
	}
}

// depth counts queries in each other as the server does.
func depth(q any) int {
	deepest := 0
	switch q := q.(type) {
	case map[string]any:
		for key, v := range q {
			d := depth(v)
			if key == "bool" {
				d++
			}
			deepest = max(deepest, d)
		}
	case []any:
		for _, v := range q {
			deepest = max(deepest, depth(v))
		}
	}
	return deepest
}
