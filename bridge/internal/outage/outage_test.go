package outage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

type reply string

func (e reply) Error() string { return string(e) }
func (reply) RedisError()     {}

func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: drop})), &b
}

// TestAServerIsSaidOnce to be out, by whichever command meets it, and once to be back, when nothing has failed for a while.
func TestAServerIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		r := NewRedis(log)
		do := func(err error) {
			cmd := redis.NewCmd(t.Context())
			_ = r.ProcessHook(func(context.Context, redis.Cmder) error { return err })(t.Context(), cmd)
		}
		for _, fine := range []error{nil, redis.Nil, reply("WRONGTYPE Operation against a key"), reply("NOPERM this user"), reply("ERR unknown command 'x'")} {
			if do(fine); said.Len() > 0 {
				t.Fatalf("%v: %s", fine, said)
			}
		}
		for range 10 {
			do(fmt.Errorf("look: %w", io.EOF))
			do(reply("ERR Error running script: -OOM command not allowed when used memory > 'maxmemory'."))
			do(nil) // what only reads
			time.Sleep(time.Second)
		}
		if since, err := r.Out(); err == nil || time.Since(since) != 10*time.Second || strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "can't be used") {
			t.Errorf("out since %s: %v; %s", since, err, said)
		}
		time.Sleep(calm)
		do(nil)
		if _, err := r.Out(); err != nil || !strings.Contains(said.String(), "can be used again\" lasted=9s failures=20") {
			t.Errorf("%v; %s", err, said)
		}
	})
}

// TestQuietIsQuietOfWhatIsKnown alone, and of its end as often as of its beginning.
func TestQuietIsQuietOfWhatIsKnown(t *testing.T) {
	log, said := logged()
	errKnown := errors.New("known")
	q := Quiet(log, func(err error) bool { return errors.Is(err, errKnown) }).With("site", "a")
	q.Error("x", "error", fmt.Errorf("y: %w", errKnown))
	q.Info("x: over")
	if said.Len() > 0 {
		t.Errorf("said %s", said)
	}
	q.Info("x: over")
	q.Warn("z", "error", errors.New("other"))
	q.Info("fine", "error", errKnown)
	if n := strings.Count(said.String(), "\n"); n != 3 {
		t.Errorf("said %d lines: %s", n, said)
	}
}
