package bridge

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// blockedLog is a log whose reader has stopped, as that of a service whose pipe is full: whoever writes waits.
type blockedLog struct {
	slog.Handler
	blocked *atomic.Pointer[chan struct{}]
}

func (l blockedLog) Handle(context.Context, slog.Record) error {
	if until := l.blocked.Load(); until != nil {
		<-*until
	}
	return nil
}

func (l blockedLog) Enabled(context.Context, slog.Level) bool { return true }
func (l blockedLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l blockedLog) WithGroup(string) slog.Handler            { return l }

// TestABridgeThatHangsIsStuck, and one that is idle, or whose Redis is away, is not.
func TestABridgeThatHangsIsStuck(t *testing.T) {
	t.Parallel()
	const most = 7 * time.Second // an idle queue is looked at each 5 s
	b := newBed(t, map[string]any{"queues": []string{"go"}, "shared_queues": []string{}})
	blocked := &atomic.Pointer[chan struct{}]{}
	b.cfg.Log = slog.New(blockedLog{blocked: blocked})
	r := b.start(registerFine)
	<-r.Connected()
	b.redis.Kill()
	never := func(when string, for_ time.Duration) {
		t.Helper()
		for end := time.Now().Add(for_); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if what := r.Stuck(most); len(what) > 0 {
				t.Errorf("%s: %q are stuck", when, what)
				return
			}
		}
	}
	never("Redis is away", most+2*time.Second)
	if err := b.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	until := make(chan struct{})
	blocked.Store(&until) // what was wrong is over, which is logged
	queue := "looking at queue " + b.bench.QueueName("go")
	b.within(30*time.Second, "the engine is stuck", func() bool { return slices.Contains(r.Stuck(most), queue) }, func() string { return "" })
	blocked.Store(nil)
	close(until)
	b.within(10*time.Second, "it goes on", func() bool { return len(r.Stuck(most)) == 0 }, func() string { return "" })
}
