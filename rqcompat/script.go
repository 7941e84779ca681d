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

// scriptBytes is how much data the items of one script call have, beside the one that takes it there: the server reads a
// call in whole, and serves nobody else while a script runs.
const scriptBytes = 4 << 20

// Answer is what a batch came to for one of its members: a result, or the error that it met. Others were done all the same.
// An error that isn't Final (see [Judge]) is of a server that refused this one; it may be tried again.
type Answer[R ~int] struct {
	Result R
	Err    error
}

// batched is a script that answers each of its items by a number or an error.
type batched[Item any] struct {
	script *redis.Script
	// args are the script's arguments for some items.
	args func(items []Item) ([]any, error)
	// refuse says why an item can't be sent, and size how much data it has; nil for no reason and for some hundred bytes.
	refuse func(Item) error
	size   func(Item) int
}

// inBatches runs the script for all items in one round trip, some at a time. The error is the server's, or one of args.
func inBatches[R ~int, Item any](ctx context.Context, c *Client, b batched[Item], items []Item) ([]Answer[R], error) {
	all := make([]Answer[R], len(items))
	var sent []Item
	var answers []*Answer[R] // of what is sent
	for i, item := range items {
		if b.refuse != nil {
			all[i].Err = b.refuse(item)
		}
		if all[i].Err == nil {
			sent, answers = append(sent, item), append(answers, &all[i])
		}
	}
	var calls []scriptCall
	for rest := sent; len(rest) > 0; {
		n := b.fit(rest)
		args, err := b.args(rest[:n])
		if err != nil {
			return nil, err
		}
		calls = append(calls, scriptCall{args: args})
		rest = rest[n:]
	}
	replies, err := c.runScripts(ctx, b.script, calls)
	if err != nil {
		return nil, err
	}
	for _, reply := range replies {
		list, err := reply.Slice()
		if err != nil {
			return nil, err
		}
		if len(list) > len(answers) {
			return nil, fmt.Errorf("the script has %d answers for %d items", len(list), len(answers))
		}
		for i, r := range list {
			answers[i].read(r)
		}
		answers = answers[len(list):]
	}
	if len(answers) > 0 {
		return nil, fmt.Errorf("the script has no answer for %d items", len(answers))
	}
	return all, nil
}

// fit is how many of the items go into one call.
func (b batched[Item]) fit(items []Item) int {
	n, bytes := 0, 0
	for ; n < min(len(items), scriptBatch); n++ {
		if b.size != nil {
			bytes += b.size(items[n])
		}
		if bytes > scriptBytes && n > 0 {
			break
		}
	}
	return n
}

// read takes an item's part of a script's reply.
func (a *Answer[R]) read(reply any) {
	n, number := reply.(int64)
	err, failed := reply.(error)
	switch {
	case number:
		a.Result = R(n)
	case failed:
		a.Err = err
	default:
		a.Err = fmt.Errorf("the script answers %v", reply)
	}
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
