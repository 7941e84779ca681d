package rqcompat

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// includeLine starts a line of a .lua file that stands for another file of functions.
const includeLine = "--@include "

// newScript loads lua/<file>. Only package variables call it: a missing file is a programming error and panics.
func newScript(file string) *redis.Script { return redis.NewScript(scriptSource(file)) }

func scriptSource(file string) string {
	b, err := luaFiles.ReadFile("lua/" + file)
	if err != nil {
		panic(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, includeLine); ok {
			line = scriptSource(strings.TrimSpace(name))
		}
		out.WriteString(line)
	}
	return out.String()
}

// scriptCall is one call of a script in a batch.
type scriptCall struct {
	keys []string
	args []any
}

// runScripts sends all calls in one round trip, in order, and returns one reply per call. A script that the server
// does not know yet has done nothing, so exactly those calls are sent again after loading it. What a script finds wrong
// with its data is in its reply; the error is the server's.
func (c *Client) runScripts(ctx context.Context, s *redis.Script, calls []scriptCall) ([]*redis.Cmd, error) {
	replies := make([]*redis.Cmd, len(calls))
	unknown := func(r *redis.Cmd) bool { return r == nil || redis.HasErrorPrefix(r.Err(), "NOSCRIPT") }
	for attempt := 0; slices.ContainsFunc(replies, unknown); attempt++ {
		if attempt == 3 {
			return replies, errors.New("run scripts: the server forgets scripts as they are loaded")
		}
		if attempt > 0 {
			if err := s.Load(ctx, c.rdb).Err(); err != nil {
				return replies, fmt.Errorf("load script: %w", err)
			}
		}
		_, err := pipelined(ctx, c.rdb, func(p redis.Pipeliner) {
			for i, call := range calls {
				if unknown(replies[i]) {
					replies[i] = s.EvalSha(ctx, p, call.keys, call.args...)
				}
			}
		})
		if err != nil {
			return replies, fmt.Errorf("run scripts: %w", err)
		}
	}
	return replies, nil
}

// scriptBatch is the most items one script call gets. At some 20 µs an item other clients wait 5 ms at most, and
// unpack stays far below Lua's limit.
const scriptBatch = 250

// runBatches runs a script for all items in one round trip, scriptBatch at a time, with the arguments from args.
func runBatches[Item any](
	ctx context.Context, c *Client, s *redis.Script, items []Item, args func(batch []Item) ([]any, error),
) ([]*redis.Cmd, error) {
	var calls []scriptCall
	for batch := range slices.Chunk(items, scriptBatch) {
		a, err := args(batch)
		if err != nil {
			return nil, err
		}
		calls = append(calls, scriptCall{args: a})
	}
	return c.runScripts(ctx, s, calls)
}

// codes is runBatches for a script that answers a number per item. With an error there is a number for each item
// of the batches before the one that failed.
func codes[Code ~int, Item any](
	ctx context.Context, c *Client, s *redis.Script, items []Item, args func(batch []Item) ([]any, error),
) ([]Code, error) {
	replies, err := runBatches(ctx, c, s, items, args)
	if err != nil {
		return nil, err
	}
	all := make([]Code, 0, len(items))
	for _, r := range replies {
		got, err := r.Int64Slice()
		if err != nil {
			return all, err
		}
		for _, n := range got {
			all = append(all, Code(n))
		}
	}
	return all, nil
}

func anys(list []string) []any {
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	return args
}

// bit is how scripts take a bool.
func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// secondsText is d as decimal seconds with microseconds.
func secondsText(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

// seconds is d in whole seconds, at least 1: a TTL of 0 would delete.
func seconds(d time.Duration) int64 { return max(int64(d/time.Second), 1) }

// floatTime is t the way Python prints a float timestamp with microseconds.
func floatTime(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + strconv.FormatInt(1_000_000+int64(t.Nanosecond()/1000), 10)[1:]
}
