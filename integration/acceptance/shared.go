package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sharedCases are about Python workers and a bridge on one queue.
func sharedCases() []Case {
	return []Case{{
		Name: "shared queue: beside idle Python", Means: "a Go job fails in Python at most once, and ends within a second",
		Fix:   "give Go jobs a queue of their own (README, Beside a bench)",
		Needs: []need{ownWorker, sharedQueue, pythonWorker}, Run: besideIdlePython,
	}, {
		Name: "shared queue: what is Python's", Means: "jobs without a Go handler stay for Python, in order",
		Fix:   "look at bridge.shared_queues, and at the queue with bridge doctor",
		Needs: []need{ownWorker, sharedQueue, pythonWorker}, Run: leavesPythons,
	}}
}

func besideIdlePython(ctx context.Context, b *bed) error {
	const jobs = 6
	var slow []string
	bounced, late := 0, 0
	for range jobs {
		// Long enough for every worker to have gone to sleep again.
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		rqID, err := way{b.shared}.call(ctx, b, echoMethod, newID("beside"), nil, nil)
		if err != nil {
			return err
		}
		e, err := b.await(ctx, rqID)
		if err != nil {
			return err
		}
		if _, err := e.value(); err != nil {
			return err
		}
		took := e.EndedAt.Sub(e.CreatedAt)
		if e.failures() > 1 {
			bounced++
		}
		if took > time.Second {
			late++
		}
		slow = append(slow, fmt.Sprintf("%s (%d failures)", took.Round(time.Millisecond), e.failures()))
	}
	if bounced+late > 0 {
		return fmt.Errorf("of %d jobs %d failed in Python more than once, %d took over a second: %s", jobs, bounced, late, strings.Join(slow, ", "))
	}
	return nil
}

func leavesPythons(ctx context.Context, b *bed) error {
	var ids []string
	var order []time.Time
	for i := range 5 {
		rqID, err := way{b.shared}.call(ctx, b, pythonEcho, newID("theirs"), nil, values{"s": fmt.Sprint(i)})
		if err != nil {
			return err
		}
		ids = append(ids, rqID)
	}
	for i, id := range ids {
		e, err := b.await(ctx, id)
		if err != nil {
			return err
		}
		v, err := e.value()
		if err != nil {
			return err
		}
		if err := errors.Join(sameJSON(v, i), want("failures of "+id, e.failures(), 0)); err != nil {
			return err
		}
		order = append(order, e.EndedAt)
	}
	if !slices.IsSortedFunc(order, time.Time.Compare) {
		return fmt.Errorf("the jobs ran out of order: they ended at %v", order)
	}
	return nil
}
