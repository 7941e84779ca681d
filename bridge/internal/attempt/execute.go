package attempt

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// execute takes one attempt from admission to its settled end.
func (x *Runner) execute(settle context.Context, r *run, q *job.Queued) {
	a := x.admit(r, q)
	switch {
	case a.refusal != nil:
		x.settle(settle, r, nil, a.refusal)
	case a.delivery != 0:
		x.settleDelivery(settle, r, a.delivery)
	case r.row != nil:
		params := q.Params()
		// On a new stack: the queries of the admission have left a deep one.
		x.jobs.Go(func() { x.perform(settle, r, params) })
		return
	default:
		x.perform(settle, r, q.Params())
		return
	}
	x.finish(r)
}

// errGoexit is the error of an attempt whose handler left without returning.
var errGoexit = errors.New("the handler called runtime.Goexit instead of returning")

// perform runs the handler of an admitted attempt and settles it, deferred: after runtime.Goexit nothing else runs.
func (x *Runner) perform(settle context.Context, r *run, params json.RawMessage) {
	var result any
	err := errGoexit
	defer func() {
		if r.ended.CompareAndSwap(false, true) {
			x.settle(settle, r, result, job.Safe(err))
		} else {
			x.abandoned.Add(-1)
			r.Log().Warn("an abandoned handler returned at last; its slot is free again")
		}
		x.finish(r)
	}()
	result, err = x.callHandler(settle, r, params)
}

// finish frees what an attempt held.
func (x *Runner) finish(r *run) {
	r.settled.Store(true)
	r.cancel(nil)
	x.running.remove(r)
	x.Slots.GiveBack(r.slot)
}

// callHandler runs the handler under the attempt's clock. A panic becomes an error that holds the stack.
func (x *Runner) callHandler(settle context.Context, r *run, params json.RawMessage) (any, error) {
	if r.info.Timeout > 0 {
		clock := time.AfterFunc(r.info.Timeout, func() { r.cancel(job.ErrTimeout) })
		defer clock.Stop()
	}
	// A handler that ignores its ended context for the grace period can't be stopped, only left behind.
	stopWatching := context.AfterFunc(r.ctx, func() { time.AfterFunc(x.CancelGrace, func() { x.abandon(settle, r) }) })
	defer stopWatching()
	return job.Protect(func() (any, error) { return r.handler.Call(r.ctx, r.info, params, r) })
}

// abandon settles an attempt whose handler doesn't return: it keeps its slot, and what it still returns is dropped.
func (x *Runner) abandon(settle context.Context, r *run) {
	if !r.ended.CompareAndSwap(false, true) {
		return
	}
	x.abandoned.Add(1)
	r.Log().Error("handler ignores its context: abandoned; its slot stays taken until it returns",
		"cause", job.CauseOf(r.ctx), "grace", x.CancelGrace)
	x.settle(settle, r, nil, job.ErrAbandoned)
	r.settled.Store(true)
}
