package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/opensoft/dartwing-bridge/bridge"
)

// How many jobs each contender gets: enough for some seconds.
const (
	noopJobs    = 60_000
	asynqJobs   = 60_000
	simpleJobs  = 2_000
	forkingJobs = 200
	rounds      = 3
)

// concurrencies are tried for asynq, whose best counts.
var concurrencies = []int{10, 50, 200}

// measureNoop compares how fast jobs that do nothing are worked off. The jobs
// are enqueued before the clock starts. Rounds alternate between bridge and
// asynq, and the median counts, since the machine is shared.
func measureNoop(ctx context.Context, b *bed) ([]figure, error) {
	var ours, theirs []float64
	best := 0
	for round := range rounds {
		rate, err := b.noopBridge(ctx, noopJobs)
		if err != nil {
			return nil, fmt.Errorf("bridge: %w", err)
		}
		ours = append(ours, rate)
		var top float64
		for _, concurrency := range concurrencies {
			if round > 0 && concurrency != best {
				continue
			}
			rate, err := b.noopAsynq(ctx, asynqJobs, concurrency)
			if err != nil {
				return nil, fmt.Errorf("asynq: %w", err)
			}
			if rate > top {
				top = rate
				best = concurrency
			}
		}
		theirs = append(theirs, top)
	}
	simple, err := b.noopPython(ctx, "SimpleWorker", simpleJobs)
	if err != nil {
		return nil, err
	}
	forking, err := b.noopPython(ctx, "Worker", forkingJobs)
	if err != nil {
		return nil, err
	}
	own, asynqRate := median(ours), median(theirs)
	return []figure{
		{Scenario: "noop", Who: "bridge", Value: own, Unit: "jobs/s"},
		{Scenario: "noop", Who: fmt.Sprintf("asynq (best of %v: %d)", concurrencies, best), Value: asynqRate, Unit: "jobs/s", Ratio: own / asynqRate, Peer: "bridge/asynq", Goal: ">= 1"},
		{Scenario: "noop", Who: "RQ SimpleWorker", Value: simple, Unit: "jobs/s", Ratio: own / simple, Peer: "bridge/SimpleWorker", Goal: ">= 20"},
		{Scenario: "noop", Who: "RQ forking worker", Value: forking, Unit: "jobs/s", Ratio: own / forking, Peer: "bridge/forking"},
	}, nil
}

func (b *bed) noopBridge(ctx context.Context, n int) (float64, error) {
	b.rdb.FlushAll(ctx)
	if err := b.enqueuePlain(ctx, b.queue(), "bench.noop", n); err != nil {
		return 0, err
	}
	var ran atomic.Int64
	start := time.Now()
	stop, err := b.engine(bridge.Config{Concurrency: 200}, func(e *bridge.Engine) {
		bridge.Register(e, "bench.noop", func(context.Context, *bridge.Job[struct{}]) (any, error) {
			ran.Add(1)
			return nil, nil
		})
	})
	if err != nil {
		return 0, err
	}
	err = b.drained(ctx, b.queue())
	elapsed := time.Since(start)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	if err == nil && ran.Load() != int64(n) {
		err = fmt.Errorf("%d of %d jobs ran", ran.Load(), n)
	}
	return float64(n) / elapsed.Seconds(), err
}

func (b *bed) noopAsynq(ctx context.Context, n, concurrency int) (float64, error) {
	b.rdb.FlushAll(ctx)
	opt := asynq.RedisClientOpt{Addr: b.redis.Addr, PoolSize: 20}
	client := asynq.NewClient(opt)
	defer client.Close()
	for range n {
		if _, err := client.EnqueueContext(ctx, asynq.NewTask("noop", nil)); err != nil {
			return 0, err
		}
	}
	var ran atomic.Int64
	done := make(chan struct{})
	start := time.Now()
	server := asynq.NewServer(opt, asynq.Config{Concurrency: concurrency, LogLevel: asynq.FatalLevel})
	err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if ran.Add(1) == int64(n) {
			close(done)
		}
		return nil
	}))
	if err != nil {
		return 0, err
	}
	defer server.Shutdown()
	select {
	case <-done:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	for b.rdb.LLen(ctx, "asynq:{default}:active").Val() > 0 {
		time.Sleep(2 * time.Millisecond)
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// noopPython lets a real RQ worker of the given class work jobs off in burst
// mode; it measures itself, without the start of the interpreter.
func (b *bed) noopPython(ctx context.Context, class string, n int) (float64, error) {
	b.rdb.FlushAll(ctx)
	if err := b.enqueuePlain(ctx, "python", "peer.noop", n); err != nil {
		return 0, err
	}
	return b.peerRate(ctx, n, "work", class, "python")
}
