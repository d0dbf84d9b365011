package transport

import (
	"context"
	"net/url"
	"time"
)

// Turn is called before each request that goes over the wire, also those for
// robots.txt and each of their redirects, and returns when the request may be
// made; an error fails it. crawlDelay is what the robots.txt of u's host asks
// for, 0 when it says nothing or is itself what is asked for. A robots.txt is
// fetched for all who need it, under the context of the first, whose end does
// not end it. It is called by many goroutines.
type Turn func(ctx context.Context, u *url.URL, crawlDelay time.Duration) error

type turnKey struct{}

// WithTurn gives a context whose requests wait for turn.
func WithTurn(ctx context.Context, turn Turn) context.Context {
	return context.WithValue(ctx, turnKey{}, turn)
}

func waitTurn(ctx context.Context, u *url.URL, crawlDelay time.Duration) error {
	if turn, ok := ctx.Value(turnKey{}).(Turn); ok {
		return turn(ctx, u, crawlDelay)
	}
	return nil
}
