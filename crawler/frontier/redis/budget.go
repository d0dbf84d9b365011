package redis

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/budget.lua
	budgetLua    string
	budgetScript = goredis.NewScript(headLua + budgetLua)
)

// Budget counts pages of a source for all workers together: n are taken when
// no more than limit are within a span then (0: without end), given back when
// it is negative, and with 0 the count begins anew. When they may not be taken
// it returns when the next span begins; zero: never. A call whose reply is lost
// may count twice.
func (d *DB) Budget(ctx context.Context, source string, n, limit int, span time.Duration) (ok bool, fresh time.Time, err error) {
	reply, err := d.run(ctx, budgetScript, source, n, limit, span.Microseconds())
	if err != nil {
		return false, fresh, fmt.Errorf("counting the pages of %s: %w", source, err)
	}
	r := reader{vals: list(reply)}
	ok, fresh = r.int() == 1, d.time(r.int())
	return ok, fresh, r.err
}
