package crawler

import (
	"context"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/transport"
)

// RobotsNotes keeps robots.txt files in a frontier, for all workers and over
// restarts. One that does not fit into a note is forgotten: an older one must
// not speak in its place.
func RobotsNotes(f frontier.Frontier) transport.RobotsStore {
	key := func(origin string) string { return "robots " + origin }
	return transport.RobotsStore{
		Load: func(ctx context.Context, origin string) ([]byte, error) {
			notes, err := f.Notes(ctx, key(origin))
			return []byte(notes[key(origin)]), err
		},
		Save: func(ctx context.Context, origin string, copied []byte) error {
			if len(copied) > frontier.MaxNote {
				copied = nil
			}
			return f.Note(ctx, map[string]string{key(origin): string(copied)})
		},
	}
}
