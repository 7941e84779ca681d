package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// failingOnce makes one pipeline fail as if the connection had broken.
type failingOnce struct{ armed atomic.Bool }

func (*failingOnce) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*failingOnce) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (f *failingOnce) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hgetall" && f.armed.CompareAndSwap(true, false) {
			return errors.New("broken connection")
		}
		return next(ctx, cmds)
	}
}

// idle makes an engine that is connected and runs nothing.
func (b *bed) idle() *Engine {
	b.t.Helper()
	e, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if e.connections, err = connectNow(b.t.Context(), e.cfg); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(e.connections.Close)
	e.settleCtx, e.workCtx = b.t.Context(), b.t.Context()
	e.prepare()
	return e
}

// TestBrokenLookLosesNoJob: a queue that is read in several round trips is
// known as a whole, although one of them failed.
func TestBrokenLookLosesNoJob(t *testing.T) {
	b := newBed(t, map[string]any{"shared_queues": []string{}})
	const jobs = 2*scoutBatch + 10
	for i := range jobs {
		b.raw("go", fmt.Sprintf("job-%d", i), call(t, "echo_job", nil), nil)
	}
	e := b.idle()
	broken := &failingOnce{}
	broken.armed.Store(true)
	e.rdb.AddHook(broken)
	s := e.newScout(e.watchedQueues()[0])
	if err := s.look(t.Context()); err == nil {
		t.Fatal("the look must fail")
	}
	b.eventually("all jobs are known", func() bool {
		if err := s.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(e.turns.known) == jobs
	}, func() string { return fmt.Sprint(len(e.turns.known)) })
}
