// Program crawlbench holds what scripts/bench-crawl compares the crawl with.
//
// What comes in: a way of working (serve, colly, goquery, compare, frontier)
// and the addresses of forums. What goes out: the forums themselves, served on
// loopback by a process of its own; a crawl of them by the bare means that others
// build on; and a table of pages a second of CPU time. It knows nothing of how
// qingyuan crawls: it starts the program as an operator does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crawlbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ways := map[string]func(context.Context, []string) error{
		"serve": serve, "colly": runColly, "goquery": runGoquery, "compare": compare, "frontier": runFrontier,
	}
	if len(args) == 0 || ways[args[0]] == nil {
		return errors.New("write crawlbench serve, colly, goquery, compare or frontier")
	}
	return ways[args[0]](ctx, args[1:])
}
