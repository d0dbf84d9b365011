package transport

import "context"

type decisionKey struct{}

// WithDecision gives a context whose requests, redirects included, tell what
// robots.txt says of them, before they are made or refused. tell is called by
// the goroutine that makes the request.
func WithDecision(ctx context.Context, tell func(Decision)) context.Context {
	return context.WithValue(ctx, decisionKey{}, tell)
}

func tellDecision(ctx context.Context, d Decision) {
	if tell, ok := ctx.Value(decisionKey{}).(func(Decision)); ok {
		tell(d)
	}
}
