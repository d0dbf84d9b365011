package main

import "context"

func runSiteCheck(_ context.Context, _ stdio, _ []string) error { return misusef("not yet") }
