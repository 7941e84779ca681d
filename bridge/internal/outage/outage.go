// Package outage knows whether Redis can be used now, and has the log tell of a server that can't be once: whoever meets it
// would say so otherwise, each loop and each job that ends.
package outage

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// calm is how long nothing may have failed until a server counts as back: one without memory answers some commands all the time.
const calm = 5 * time.Second

// Redis watches the commands of a client, as a hook of it. Make it with NewRedis.
type Redis struct {
	log *slog.Logger

	mu     sync.Mutex
	since  time.Time // zero: it can be used
	failed time.Time // the last time
	err    error
	times  int
}

// NewRedis returns a hook for a client; log is told when its server can't be used, and when it can again.
func NewRedis(log *slog.Logger) *Redis { return &Redis{log: log} }

// Out is why the server can't be used, and since when; nil if it can.
func (r *Redis) Out() (since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since, r.err
}

// Met notes that somebody met an error of the server.
func (r *Redis) Met(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.since.IsZero() {
		r.since, r.times = now, 0
		r.log.Error("Redis (redis_queue) can't be used; what runs goes on, nothing new is claimed", "error", err)
	}
	r.failed, r.err, r.times = now, err, r.times+1
}

// saw notes what a command came to.
func (r *Redis) saw(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the caller's own end
	}
	if rqcompat.OfServer(err) {
		r.Met(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.since.IsZero() && time.Since(r.failed) >= calm {
		r.log.Info("Redis (redis_queue) can be used again", "lasted", r.failed.Sub(r.since), "failures", r.times)
		r.since, r.err = time.Time{}, nil
	}
}

// DialHook implements redis.Hook. What a connection that can't be made means is seen by the command that wants one.
func (r *Redis) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (r *Redis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.saw(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (r *Redis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if rqcompat.OfServer(cmd.Err()) {
				r.saw(ctx, cmd.Err())
				break
			}
		}
		if err == nil {
			r.saw(ctx, nil)
		}
		return err
	}
}

// Quiet returns a logger that says at level debug what is a warning about an error of a server that the log knows of already, as
// known tells, and that it is over.
func Quiet(log *slog.Logger, known func(error) bool) *slog.Logger {
	return slog.New(quiet{log.Handler(), &spoken{known: known, demoted: map[string]int{}}})
}

// spoken is what quiet handlers of one logger share.
type spoken struct {
	known func(error) bool

	mu      sync.Mutex
	demoted map[string]int // messages, some dozens at most, by how often their end is to be said no louder
}

type quiet struct {
	slog.Handler
	s *spoken
}

// over ends the message of a trouble that has passed, see wait.Backoff.
const over = ": over"

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, line slog.Record) error {
	if q.s.isKnown(line) {
		if !q.Enabled(ctx, slog.LevelDebug) {
			return nil
		}
		line.Level = slog.LevelDebug
	}
	return q.Handler.Handle(ctx, line)
}

func (s *spoken) isKnown(line slog.Record) bool {
	if what, ended := strings.CutSuffix(line.Message, over); ended {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.demoted[what] == 0 {
			return false
		}
		s.demoted[what]--
		return true
	}
	if line.Level < slog.LevelWarn {
		return false
	}
	known := false
	line.Attrs(func(a slog.Attr) bool {
		err, isError := a.Value.Any().(error)
		known = isError && s.known(err)
		return !known
	})
	if known {
		s.mu.Lock()
		s.demoted[line.Message]++
		s.mu.Unlock()
	}
	return known
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.s}
}

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.s} }
