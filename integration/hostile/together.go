package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	togetherJobs    = 100
	togetherHealthy = 20
	togetherMB      = 600
	togetherWait    = 5 * time.Second
	// restMB is what a bridge may have in memory a minute after its big jobs, beside an eighth of its most.
	restMB = 60
	// togetherPatience is how long the healthy ones, and then the others, may take before they count as lost.
	togetherPatience = time.Minute
)

// hostileTogether has a hundred jobs that are small in Redis and large in memory all at once, with a place for each, and
// healthy ones behind them.
func hostileTogether(ctx context.Context, o *options) (figures []figure, err error) {
	b, err := newBed(ctx, o, o.versions[0], togetherJobs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	payloads := heavyPayloads()
	if err := b.enqueuePayloads(ctx, ownKind, payloads); err != nil {
		return nil, err
	}
	for range togetherHealthy {
		if _, err := b.rq.Enqueue(ctx, b.request(ownKind, "", call(victimUser, "hostile.healthy", map[string]any{"organization": victim}))); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	w, err := b.startWorker(ctx)
	if err != nil {
		return nil, err
	}
	took := togetherPatience
	if until(ctx, togetherPatience, func() bool { return w.ended() != "" || b.completed(ctx) == togetherHealthy }) && w.ended() == "" {
		took = time.Since(began)
	}
	done := b.completed(ctx)
	// Until all are over, what they take counts.
	queue := b.queue(ownKind)
	until(ctx, togetherPatience, func() bool {
		return w.ended() != "" || b.rdb.Exists(ctx, rqcompat.QueueKey(queue), rqcompat.WipKey(queue)).Val() == 0
	})
	ended, peak := w.ended(), w.peakMB()
	rest := restMB + peak/8
	until(ctx, time.Minute, func() bool { return w.ended() != "" || w.residentMB() < rest })
	left := w.residentMB()
	stop, err := w.stop()
	what := fmt.Sprintf("%d hostile jobs of up to %.0f KB: ", togetherJobs, largest(payloads))
	return []figure{
		atMost("together", what+"peak memory", peak, togetherMB, "MB", "").unless(ended),
		atMost("together", what+"memory a minute later", left, rest, "MB", "").unless(ended),
		o.inTime("together", what+fmt.Sprintf("until %d healthy jobs are done", togetherHealthy), took, togetherWait, fmt.Sprintf("%d done", done)),
		o.inTime("together", what+"stop", stop, stopLimit, ""),
	}, err
}

// heavyPayloads are the hundred: echo_job gives its parameters back, a service gets them in a request.
func heavyPayloads() (all []payload) {
	var kinds []payload
	for _, h := range heavy {
		for _, method := range []string{"echo_job", "hostile.bad"} {
			kinds = append(kinds, payload{h.name, calling(method, attacker, h.x)})
		}
	}
	for i := range togetherJobs {
		all = append(all, kinds[i%len(kinds)])
	}
	return all
}

// largest is the size of the largest payload in KB.
func largest(payloads []payload) (kb float64) {
	for _, p := range payloads {
		kb = max(kb, float64(len(p.data))/1000)
	}
	return kb
}
