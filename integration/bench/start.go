package main

import (
	"context"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// startSamples is how many jobs are timed one by one, with pauses in which the
// engine goes to rest.
const startSamples = 300

// measureStart times how long a job waits on an idle bridge: on its own queue,
// and on a queue shared with Python on which foreign jobs lie.
func measureStart(ctx context.Context, b *bed) ([]figure, error) {
	started := make(chan time.Time, 1)
	stop, err := b.engine(bridge.Config{}, func(e *bridge.Engine) {
		bridge.Register(e, "bench.start", func(context.Context, *bridge.Job[struct{}]) (any, error) {
			started <- time.Now()
			return nil, nil
		})
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stop() }()
	shared := b.bench.QueueName("default")
	if err := b.enqueuePlain(ctx, shared, "python.only", 20); err != nil {
		return nil, err
	}
	var figures []figure
	for _, q := range []struct{ who, queue, goal string }{{"own queue", b.queue(), "<= 20"}, {"shared queue", shared, "<= 100"}} {
		waits, err := b.timeStarts(ctx, q.queue, started)
		if err != nil {
			return figures, fmt.Errorf("%s: %w", q.who, err)
		}
		figures = append(figures,
			figure{Scenario: "start", Who: q.who + ", median", Value: median(waits), Unit: "ms"},
			figure{Scenario: "start", Who: q.who + ", p99", Value: percentile(waits, 99), Unit: "ms", Goal: q.goal})
	}
	return figures, nil
}

func (b *bed) timeStarts(ctx context.Context, queue string, started <-chan time.Time) (ms []float64, err error) {
	for i := range startSamples + 20 {
		enqueued := time.Now()
		if _, err := b.rq.Enqueue(ctx, rqcompat.Request{Queue: queue, Call: rqcompat.Call{Func: "bench.start"}}); err != nil {
			return nil, err
		}
		select {
		case at := <-started:
			if i >= 20 { // the first ones warm up
				ms = append(ms, float64(at.Sub(enqueued).Microseconds())/1000)
			}
		case <-time.After(10 * time.Second):
			return nil, fmt.Errorf("job %d did not start within 10 s", i)
		}
		time.Sleep(time.Duration(15+i%17) * time.Millisecond)
	}
	return ms, nil
}
