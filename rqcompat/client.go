package rqcompat

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Client reads and writes RQ's state in one Redis in one dialect. It holds no state of its own, may be used by
// many goroutines and does not own the connection: the caller closes it. The connection must not repeat
// commands by itself (redis.Options.MaxRetries -1), or a lost reply can enqueue a job twice.
type Client struct {
	rdb redis.UniversalClient
	d   Dialect
}

// NewClient returns a Client that speaks dialect d over rdb.
func NewClient(rdb redis.UniversalClient, d Dialect) *Client { return &Client{rdb: rdb, d: d} }

// Dialect is the dialect the client writes.
func (c *Client) Dialect() Dialect { return c.d }

// Redis is the connection the client was made with.
func (c *Client) Redis() redis.UniversalClient { return c.rdb }

//go:embed *.lua
var luaFiles embed.FS

// includeLine starts a line of a .lua file that is replaced by another file, for functions several scripts use.
const includeLine = "--@include "

// newScript loads an embedded .lua file. It is called from package variables only, where a missing file is a
// programming error and panics.
func newScript(file string) *redis.Script { return redis.NewScript(scriptSource(file)) }

func scriptSource(file string) string {
	b, err := luaFiles.ReadFile(file)
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
	script *redis.Script
	keys   []string
	args   []any
}

// runScript runs one script and returns its reply.
func (c *Client) runScript(ctx context.Context, s *redis.Script, keys []string, args ...any) *redis.Cmd {
	return s.Run(ctx, c.rdb, keys, args...)
}

// runScripts sends all calls in one round trip, in order, and returns one reply per call. A script the server
// does not know yet has done nothing, so exactly those calls are sent again after loading it. The error is that
// of the transport; what the script itself answered is in each reply.
func (c *Client) runScripts(ctx context.Context, calls []scriptCall) ([]*redis.Cmd, error) {
	replies := make([]*redis.Cmd, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for attempt := 0; len(todo) > 0; attempt++ {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, i := range todo {
				replies[i] = calls[i].script.EvalSha(ctx, p, calls[i].keys, calls[i].args...)
			}
			return nil
		})
		if err != nil && !isReplyError(err) {
			return replies, fmt.Errorf("run scripts: %w", err)
		}
		missing := todo[:0:0]
		for _, i := range todo {
			if isNoScript(replies[i].Err()) {
				missing = append(missing, i)
			}
		}
		if len(missing) > 0 && attempt == 2 {
			return replies, fmt.Errorf("run scripts: the server forgets scripts as they are loaded: %w", replies[missing[0]].Err())
		}
		if err := c.loadScripts(ctx, calls, missing); err != nil {
			return replies, err
		}
		todo = missing
	}
	return replies, nil
}

func (c *Client) loadScripts(ctx context.Context, calls []scriptCall, missing []int) error {
	loaded := map[string]bool{}
	for _, i := range missing {
		s := calls[i].script
		if loaded[s.Hash()] {
			continue
		}
		if err := s.Load(ctx, c.rdb).Err(); err != nil {
			return fmt.Errorf("load script: %w", err)
		}
		loaded[s.Hash()] = true
	}
	return nil
}

func isNoScript(err error) bool {
	return errors.Is(err, redis.ErrNoScript) || redis.HasErrorPrefix(err, "NOSCRIPT")
}

// isReplyError says that the server answered, if only with an error, as opposed to a broken connection.
func isReplyError(err error) bool {
	var e redis.Error
	return errors.As(err, &e)
}

// clip shortens a value that goes into an error message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
