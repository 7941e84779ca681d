package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	waitingRows = 1000 // in the parameters of each waiting job
	waitingMB   = 150
	// waitingPlaces are all taken. As many jobs may be in the claimer's hand, which counts them no more.
	waitingPlaces = 2
	// waitingPatience is how long the bridge may take to see the list, with two cores that also work the servers.
	waitingPatience = 5 * time.Minute
	// waitingSettle is how long the bridge is watched once it knows the whole list, so that what it reads later counts.
	waitingSettle = 10 * time.Second
)

// withWaitingJobs lets jobs wait whose parameters are 1,000 rows each, behind jobs that take all places.
func withWaitingJobs(ctx context.Context, o *options) (figures []figure, err error) {
	b, err := newBed(ctx, o, o.versions[0], waitingPlaces)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	kilobytes, err := b.enqueueWaiting(ctx, o.waiting)
	if err != nil {
		return nil, err
	}
	w, err := b.startWorker(ctx)
	if err != nil {
		return nil, err
	}
	known := until(ctx, waitingPatience, func() bool { return w.ended() != "" || b.waitingCount(ctx) >= o.waiting-waitingPlaces })
	until(ctx, waitingSettle, func() bool { return w.ended() != "" })
	ended, resident, peak := w.ended(), w.residentMB(), w.peakMB()
	if !known && ended == "" {
		ended = fmt.Sprintf("the bridge knows %d of them after %s", b.waitingCount(ctx), waitingPatience)
	}
	took, err := w.stop()
	where := fmt.Sprintf("%d waiting jobs of %d rows (%.1f KB in Redis each): ", o.waiting, waitingRows, kilobytes)
	return []figure{
		atMost("waiting", where+"memory", resident, waitingMB, "MB", fmt.Sprintf("peak %.0f MB", peak)).unless(ended),
		o.inTime("waiting", where+"stop", took, stopLimit, ""),
	}, err
}

// enqueueWaiting writes jobs that don't end for all places, and n behind them. The answer is how large one is in Redis.
func (b *bed) enqueueWaiting(ctx context.Context, n int) (kilobytes float64, err error) {
	for range waitingPlaces {
		if _, err := b.rq.Enqueue(ctx, b.request(ownKind, "", rqcompat.Call{Func: "hostile.long"})); err != nil {
			return 0, err
		}
	}
	var table []any
	for i := range waitingRows {
		table = append(table, map[string]any{"name": fmt.Sprintf("ROW-%05d", i*7919%100_000), "item_code": fmt.Sprint("ITEM-", i%37), "qty": i % 11, "rate": 100.5 * float64(i%13), "description": ""})
	}
	data, err := rqcompat.EncodeCall(call(attackerUser, "hostile.bad", map[string]any{"organization": attacker, "table": table}))
	if err != nil {
		return 0, err
	}
	for done := 0; done < n; {
		requests := make([]rqcompat.Request, min(1000, n-done))
		for i := range requests {
			requests[i] = b.request(ownKind, "", rqcompat.Call{})
			requests[i].Data = data
		}
		if _, err := b.rq.EnqueueMany(ctx, requests); err != nil {
			return 0, err
		}
		done += len(requests)
	}
	return float64(len(data)) / 1000, nil
}

// waitingCount is how many jobs only lack a place, as the bridge says itself.
func (b *bed) waitingCount(ctx context.Context) (n int) {
	processes, _ := b.rq.Processes(ctx)
	for _, p := range processes {
		n += p.Waiting
	}
	return n
}
