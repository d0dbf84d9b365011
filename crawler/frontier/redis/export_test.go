package redis

import (
	"testing"

	"qingyuan/crawler/frontier"
)

// BeginPass begins a pass and makes the first steps only.
func BeginPass(t *testing.T, d *DB, kind, source string) {
	t.Helper()
	n, err := number(d.run(t.Context(), passScript, kind, source, 1, 1))
	if err != nil || n != -1 {
		t.Fatalf("beginning a pass: %d, %v; want it to take more than one call", n, err)
	}
}

// Codec packs and unpacks a task and the marks of a fetch.
func Codec(k frontier.Task, o frontier.Outcome) (frontier.Task, frontier.Outcome, error) {
	back := frontier.Task{Host: k.Host}
	if err := unpackTask(taskText(k), &back); err != nil {
		return back, o, err
	}
	marks, err := unpackMarks(packMarks(o))
	return back, marks, err
}

// Unpack unpacks any text as task and marks.
func Unpack(text string) {
	var k frontier.Task
	_ = unpackTask(text, &k)
	_, _ = unpackMarks(text)
}
