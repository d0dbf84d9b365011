package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"qingyuan/strictyaml"
	"qingyuan/triage"
)

// apiConfig is the api: section.
type apiConfig struct {
	Rate  float64 `yaml:"rate"`  // requests a second of one user or token, in the long run
	Burst int     `yaml:"burst"` // at once after a rest
}

// checkAPI returns what is wrong with the api: section.
func checkAPI(a apiConfig, at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	var ms strictyaml.Mistakes
	if !(a.Rate >= 0.1 && a.Rate <= 10_000) { // not a number is neither
		ms = append(ms, at(fmt.Sprintf("%v is no rate", a.Rate), "write 0.1 to 10000 requests a second", "api", "rate"))
	}
	if a.Burst < 1 || a.Burst > 100_000 {
		ms = append(ms, at(fmt.Sprintf("%d is no burst", a.Burst), "write 1 to 100000 requests", "api", "burst"))
	}
	return ms
}

// openSearches opens the file of saved searches, for this user only.
func openSearches(ctx context.Context, c config) (*triage.Searches, error) {
	file := filepath.Join(c.Data, "searches.db")
	s, err := triage.OpenSearches(ctx, file)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		s.Close()
		return nil, fmt.Errorf("keeping the saved searches to this user: %w", err)
	}
	return s, nil
}
