package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"qingyuan/classify"
	"qingyuan/post"
)

// classifyInput is one line of classify -jsonl.
type classifyInput struct {
	ID         string    `json:"id"`
	Title      string    `json:"title"`
	Text       string    `json:"text"`
	SourceType string    `json:"source_type"`
	Kind       post.Kind `json:"kind"`
}

// classifyOutput is one line of its answer.
type classifyOutput struct {
	ID string `json:"id"`
	*classify.Verdict
	Error string `json:"error,omitempty"`
	Line  int    `json:"line,omitempty"` // of the input, with an error
}

func runClassify(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "classify", "[TEXT]", "dict")
	jsonl := f.Bool("jsonl", false, `read one JSON post a line on standard input: {"id","title","text","source_type"}`)
	workers := f.Int("workers", runtime.GOMAXPROCS(0), "lines judged at a time; the order of the answers is kept")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if *jsonl && f.NArg() > 0 {
		return misusef("-jsonl reads standard input and takes no text")
	}
	if *workers < 1 {
		return misusef("-workers must be at least 1")
	}
	classifier, err := openClassifier(c)
	if err != nil {
		return err
	}
	if *jsonl {
		return classifyStream(ctx, classifier, std.in, std.out, *workers)
	}
	p, err := textArgument(std, f.Args())
	if err != nil {
		return err
	}
	v, err := classifier.Classify(p)
	if err != nil {
		return err
	}
	return json.NewEncoder(std.out).Encode(classifyOutput{Verdict: &v})
}

// textArgument makes a post of the command line's words, or of standard input.
func textArgument(std stdio, args []string) (post.Post, error) {
	if len(args) > 0 {
		return post.Post{Text: strings.Join(args, " ")}, nil
	}
	data, err := io.ReadAll(io.LimitReader(std.in, post.MaxText+1))
	if err != nil {
		return post.Post{}, fmt.Errorf("reading standard input: %w", err)
	}
	if len(data) == 0 {
		return post.Post{}, misusef("there is no text; give it as an argument or on standard input")
	}
	return post.Post{Text: string(bytes.TrimRight(data, "\r\n"))}, nil
}

// maxLine is the longest input line: a text of post.MaxText bytes with every
// byte escaped.
const maxLine = 8 * post.MaxText

// batch is a run of input lines and their answers.
type batch struct {
	first int // number of its first line
	lines [][]byte
	bytes int
	out   []byte
	done  chan struct{}
}

// batchLines and batchBytes are how much one worker takes at a time.
const (
	batchLines = 64
	batchBytes = 1 << 20
)

// classifyStream answers each line in order. Lines are judged in batches by
// several workers; at most a few batches are held in memory.
func classifyStream(ctx context.Context, c *classify.Classifier, in io.Reader, out io.Writer, workers int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan *batch)
	order := make(chan *batch, workers)
	var wg sync.WaitGroup
	var answers sync.Pool // of *[]byte, written out and free again
	for range workers {
		wg.Go(func() {
			for b := range work {
				if free, ok := answers.Get().(*[]byte); ok {
					b.out = (*free)[:0]
				}
				b.judge(c)
				close(b.done)
			}
		})
	}
	var readErr error
	wg.Go(func() {
		defer close(order)
		defer close(work)
		readErr = readBatches(ctx, in, work, order)
	})
	writeErr := writeBatches(order, out, &answers)
	cancel()
	for range order { //nolint:revive // drain, so that the reader can end
	}
	wg.Wait()
	return errors.Join(writeErr, readErr)
}

func writeBatches(order <-chan *batch, out io.Writer, free *sync.Pool) error {
	for b := range order {
		<-b.done
		if _, err := out.Write(b.out); err != nil {
			return fmt.Errorf("writing verdicts: %w", err)
		}
		if cap(b.out) <= maxFree {
			free.Put(&b.out)
		}
	}
	return nil
}

// readBatches cuts the input into batches. A batch is handed on when it is
// full or when no further line is waiting, so that an interactive caller gets
// each answer at once.
func readBatches(ctx context.Context, in io.Reader, work, order chan<- *batch) error {
	r := bufio.NewReaderSize(in, 1<<16)
	if mark, err := r.Peek(3); err == nil && string(mark) == "\ufeff" {
		r.Discard(3) // cannot fail: the bytes are there
	}
	b := &batch{first: 1, done: make(chan struct{})}
	hand := func() bool {
		if len(b.lines) == 0 {
			return true
		}
		next := &batch{first: b.first + len(b.lines), done: make(chan struct{})}
		select {
		case order <- b:
		case <-ctx.Done():
			return false
		}
		work <- b // from here on the batch is the worker's
		b = next
		return true
	}
	var l lineReader
	for {
		line, err := l.read(r)
		if len(line) > 0 || err == nil {
			b.lines = append(b.lines, line)
			b.bytes += len(line)
		}
		if err != nil {
			hand()
			if errors.Is(err, io.EOF) {
				return ctx.Err()
			}
			return fmt.Errorf("reading posts: %w", err)
		}
		if len(b.lines) >= batchLines || b.bytes >= batchBytes || r.Buffered() == 0 {
			if !hand() {
				return ctx.Err()
			}
		}
	}
}

// lineReader cuts the lines it reads from one piece of memory after the other.
type lineReader struct {
	free []byte // what is left of the latest
}

// pieceBytes is the size of one piece.
const pieceBytes = 64 << 10

// read reads one line of any length, keeping at most maxLine+1 bytes of it.
func (l *lineReader) read(r *bufio.Reader) ([]byte, error) {
	part, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		if len(part) > len(l.free) {
			l.free = make([]byte, max(pieceBytes, len(part)))
		}
		line := l.free[:len(part):len(part)]
		l.free = l.free[copy(line, part):]
		return line, err
	}
	return readRest(r, append([]byte(nil), part...))
}

// readLine reads one line of any length, keeping at most maxLine+1 bytes of it.
func readLine(r *bufio.Reader) ([]byte, error) { return readRest(r, nil) }

// readRest is readLine for a line of which the beginning has been read.
func readRest(r *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		if room := maxLine + 1 - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return line, err
	}
}

func (b *batch) judge(c *classify.Classifier) {
	if b.out == nil {
		b.out = make([]byte, 0, answerBytes*len(b.lines))
	}
	var r inputReader
	for i, line := range b.lines {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		var v classify.Verdict
		out := judgeLine(c, &r, line, &v)
		if out.Error != "" {
			out.Line = b.first + i
		}
		written, err := appendOutput(b.out, &out)
		if err != nil {
			written, _ = appendOutput(b.out, &classifyOutput{Error: err.Error(), Line: b.first + i}) // text alone cannot fail
		}
		b.out = written
	}
	b.lines = nil
}

// answerBytes is about how long an answer is; maxFree the largest space for
// answers that is kept for another batch.
const (
	answerBytes = 2 << 10
	maxFree     = 1 << 20
)

// judgeLine answers one line, with the verdict in v.
func judgeLine(c *classify.Classifier, r *inputReader, line []byte, v *classify.Verdict) classifyOutput {
	if len(line) > maxLine {
		return classifyOutput{Error: fmt.Sprintf("line is longer than %d bytes; split the text", maxLine)}
	}
	var in classifyInput
	if line[0] != '{' {
		return classifyOutput{Error: "not a JSON object with id, title, text and source_type"}
	}
	if !r.read(string(line), &in) {
		in = classifyInput{}
		if err := json.Unmarshal(line, &in); err != nil {
			return classifyOutput{Error: "not a JSON object with id, title, text and source_type: " + err.Error()}
		}
	}
	var err error
	*v, err = c.Classify(post.Post{ID: in.ID, Title: in.Title, Text: in.Text, SourceType: in.SourceType, Kind: in.Kind})
	if err != nil {
		return classifyOutput{ID: in.ID, Error: err.Error()}
	}
	return classifyOutput{ID: in.ID, Verdict: v}
}
