package render

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/chromedp/cdproto/cdp"
)

// maxMessage is the largest message taken from a browser, in bytes: a picture
// of 10,000 lines of noise in base64, or a document of MaxDOM with escapes.
// What is longer ends the connection: our memory is not the page's.
const maxMessage = 64 << 20

// conn speaks the DevTools protocol over a pipe: JSON messages that end with a
// zero byte. chromedp's own connection is not used: it has the browser tell of
// each console message, error and node of the page and keeps them, without a
// limit on size or number.
type conn struct {
	w  io.Writer
	wm sync.Mutex

	mu       sync.Mutex
	last     int64
	waiting  map[int64]chan reply
	sessions map[string]func(method string, params json.RawMessage)

	gone chan struct{} // closed when the browser says nothing more
	err  error         // why; read after gone
}

type reply struct {
	result json.RawMessage
	err    error
}

type message struct {
	ID        int64           `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func newConn(r io.Reader, w io.Writer) *conn {
	c := &conn{w: w, waiting: map[int64]chan reply{}, sessions: map[string]func(string, json.RawMessage){}, gone: make(chan struct{})}
	go c.read(bufio.NewReaderSize(r, 64<<10))
	return c
}

// read hands messages on until the pipe ends.
func (c *conn) read(r *bufio.Reader) {
	defer close(c.gone)
	for {
		line, err := readMessage(r)
		if err != nil {
			c.err = err
			return
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			c.err = fmt.Errorf("reading a message of the browser: %w", err)
			return
		}
		c.mu.Lock()
		waiting, listener := c.waiting[m.ID], c.sessions[m.SessionID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		switch {
		case m.Method != "" && listener != nil:
			listener(m.Method, m.Params)
		case waiting != nil && m.Error != nil:
			waiting <- reply{err: errors.New(m.Error.Message)}
		case waiting != nil:
			waiting <- reply{result: m.Result}
		}
	}
}

// readMessage reads up to the next zero byte, which is left out.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		part, err := r.ReadSlice(0)
		if len(out)+len(part) > maxMessage {
			return nil, fmt.Errorf("%w: a message of the browser is over %d bytes", ErrTooLarge, maxMessage)
		}
		out = append(out, part...)
		if err == nil {
			return out[:len(out)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// session is one target of the browser, or with "" the browser itself. It
// implements cdp.Session for cdp.Call.
type session struct {
	c  *conn
	id string
}

// Call sends a command and waits for its answer.
func (s session) Call(ctx context.Context, method string, params, result any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	answer := make(chan reply, 1)
	s.c.mu.Lock()
	s.c.last++
	id := s.c.last
	s.c.waiting[id] = answer
	s.c.mu.Unlock()
	defer func() {
		s.c.mu.Lock()
		delete(s.c.waiting, id)
		s.c.mu.Unlock()
	}()
	line, err := json.Marshal(message{ID: id, SessionID: s.id, Method: method, Params: raw})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	s.c.wm.Lock()
	_, err = s.c.w.Write(append(line, 0))
	s.c.wm.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCrashed, method, err)
	}
	select {
	case r := <-answer:
		if r.err != nil {
			return fmt.Errorf("%s: %w", method, r.err)
		}
		if result == nil || len(r.result) == 0 {
			return nil
		}
		if err := json.Unmarshal(r.result, result); err != nil {
			return fmt.Errorf("%s: reading the answer: %w", method, err)
		}
		return nil
	case <-s.c.gone:
		if errors.Is(s.c.err, ErrTooLarge) {
			return s.c.err
		}
		return fmt.Errorf("%w: %s: %w", ErrCrashed, method, s.c.err)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
}

// listen has fn called with each event of the session, in order, by the one
// goroutine that reads: fn must be quick and make no call. nil ends it.
func (s session) listen(fn func(method string, params json.RawMessage)) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if fn == nil {
		delete(s.c.sessions, s.id)
		return
	}
	s.c.sessions[s.id] = fn
}

// call is cdp.Call for our sessions.
func call[P, R any](ctx context.Context, s session, cmd cdp.Command[P, R], params P) (R, error) {
	var r R
	err := s.Call(ctx, cmd.Method, params, &r)
	return r, err
}
