package redis

import (
	"context"
	"fmt"
)

// Inspect is Check for a server on which no frontier need be: it connects,
// asks, and leaves without beginning, adopting or marking one.
func Inspect(ctx context.Context, opts Options) (Report, error) {
	d, err := connect(opts)
	if err != nil {
		return Report{}, fmt.Errorf("checking Redis: %w", err)
	}
	defer d.rdb.Close()
	r, err := d.Check(ctx)
	if err != nil {
		return r, fmt.Errorf("checking Redis: %w", err)
	}
	return r, nil
}
