// Package delivery brings digests to those who subscribed to them.
//
// What comes in: subscriptions that operators write (who, which hits, when,
// through which channels), the index to build digests from, and a ledger file.
// What goes out: mails, messages of chat robots, signed webhooks and feeds;
// for each period of each subscription one digest, frozen before it is sent.
//
// A digest is due when its period has ended, not when a clock strikes: after
// an outage the missed periods come as one, marked as late. Each channel has
// its own row in the ledger, so that one that fails is tried again without
// troubling the others. A process killed between sending and noting it sends
// the same bytes once more, marked as possibly sent before; that is the only
// way a digest comes twice.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Message is a digest as one channel sends it. It is made when the digest is
// frozen and kept, so that every try sends the same.
type Message struct {
	ID      string `json:"id"`             // the same for every try; unique for period and channel
	Subject string `json:"subject"`        //
	Text    string `json:"text,omitempty"` // mail: plain text; robots: the whole message
	HTML    string `json:"html,omitempty"` // mail and feeds
	JSON    string `json:"json,omitempty"` // webhooks: the digest
	// Unsubscribe is the address for one-click unsubscription; mail only, may be
	// empty.
	Unsubscribe string    `json:"unsubscribe,omitempty"`
	At          time.Time `json:"at"`              // when it was frozen
	Again       bool      `json:"again,omitempty"` // it may have been sent before
	Test        bool      `json:"test,omitempty"`  // somebody tries the channel
}

// Channel is a way to one receiver. Implementations are safe for concurrent use.
type Channel interface {
	// Name tells the channel from the others of its subscription, such as
	// mail:duty@agency.example. It never holds a secret.
	Name() string
	// Send delivers a message and returns what the receiver calls it, if it says.
	// An error that is Permanent is not tried again. Errors never hold secrets.
	Send(ctx context.Context, m Message) (receipt string, err error)
}

// ErrPermanent marks errors that another try will not mend.
var ErrPermanent = errors.New("trying again will not help")

// permanent marks an error.
func permanent(err error) error { return fmt.Errorf("%w (%w)", err, ErrPermanent) }

// TooFastError says that a receiver wants to be left alone for a while.
type TooFastError struct {
	Wait time.Duration // 0: it did not say
	Err  error
}

// Error says what the receiver answered.
func (e *TooFastError) Error() string { return "sent too fast: " + e.Err.Error() }

// Unwrap returns what the receiver answered.
func (e *TooFastError) Unwrap() error { return e.Err }
