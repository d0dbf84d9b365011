package crawler

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// SessionEvent is one line of the log of session use.
type SessionEvent struct {
	At      time.Time `json:"at"`
	Source  string    `json:"source"`
	Account string    `json:"account"`
	// Event is "cookies" (the operator's were taken), "login", "login failed",
	// "lost" (the site no longer knows us), "used" (Pages were fetched since the
	// last line), "stopped" or "resumed".
	Event  string `json:"event"`
	URL    string `json:"url,omitempty"`
	Detail string `json:"detail,omitempty"`
	Pages  int    `json:"pages,omitempty"`
}

// SessionLogFile is the name of the log of session use in the folder of the
// sessions: one JSON line an event, never a secret.
const SessionLogFile = "use.jsonl"

// sessionLog writes the log of session use. It is safe for concurrent use.
type sessionLog struct {
	dir string // "" writes to log alone
	log *slog.Logger
	now func() time.Time

	mu sync.Mutex
}

func (l *sessionLog) write(e SessionEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.At = l.now().UTC()
	l.log.Info("session", "source", e.Source, "account", e.Account, "event", e.Event, "url", e.URL, "detail", e.Detail, "pages", e.Pages)
	if l.dir == "" {
		return
	}
	if err := l.append(e); err != nil {
		l.log.Error("the use of a session could not be written down", "source", e.Source, "event", e.Event, "err", err)
	}
}

func (l *sessionLog) append(e SessionEvent) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, SessionLogFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
