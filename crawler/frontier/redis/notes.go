package redis

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"

	"qingyuan/crawler/frontier"
)

// noteShards is over how many hashes the notes are spread.
const noteShards = 1024

// noteKey is the field of a note and its shard. A key that ends in the id of a
// task is kept as bytes, in half the space.
func noteKey(k string) (shard, field string) {
	h := fnv.New32a()
	h.Write([]byte(k))
	shard = strconv.FormatUint(uint64(h.Sum32()%noteShards), 36)
	if n := len(k) - 64; n >= 0 {
		if raw, err := hex.DecodeString(k[n:]); err == nil && hex.EncodeToString(raw) == k[n:] {
			return shard, "\x01" + k[:n] + string(raw)
		}
	}
	return shard, "\x00" + k
}

// noteArgs appends the three arguments of each note.
func noteArgs(args []any, notes map[string]string) []any {
	for k, v := range notes {
		shard, field := noteKey(k)
		args = append(args, shard, field, v)
	}
	return args
}

// Note keeps values under keys. See frontier.Frontier.
func (d *DB) Note(ctx context.Context, notes map[string]string) error {
	if err := frontier.ValidateNotes(notes); err != nil {
		return err
	}
	if len(notes) == 0 {
		return nil
	}
	if _, err := d.run(ctx, noteScript, noteArgs(nil, notes)...); err != nil {
		return fmt.Errorf("keeping notes: %w", err)
	}
	return nil
}

// Notes returns the values kept under keys. See frontier.Frontier.
func (d *DB) Notes(ctx context.Context, keys ...string) (map[string]string, error) {
	out := make(map[string]string, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	args := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		shard, field := noteKey(k)
		args = append(args, shard, field)
	}
	reply, err := d.run(ctx, notesScript, args...)
	if err != nil {
		return nil, fmt.Errorf("reading notes: %w", err)
	}
	vals := list(reply)
	if len(vals) != len(keys) {
		return nil, fmt.Errorf("reading notes: %w", ErrTorn)
	}
	for i, v := range vals {
		if text, ok := v.(string); ok {
			out[keys[i]] = text
		}
	}
	return out, nil
}
