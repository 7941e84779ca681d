package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/rs/zerolog"
)

// Step 4: run the handler, between admission (admit.go) and settling
// (settle.go).

// run is one attempt at one job. Its goroutine owns it until ended is set.
type run struct {
	*work
	e     *Engine
	slot  *slot
	lease rqcompat.Lease
	log   zerolog.Logger

	ctx    context.Context
	cancel context.CancelCauseFunc

	// name is the row's; empty for a job without one. The sweeps read it while
	// the job is being admitted.
	name     atomic.Pointer[string]
	attempt  int
	timeout  time.Duration
	progress progress

	// ended is set by whoever settles the attempt: its handler's return or, when
	// that doesn't come, the end of the grace period.
	ended atomic.Bool
	// settled is set when the last write is done: no lease is needed any more.
	settled atomic.Bool

	mu     sync.Mutex
	output string
}

// rowOf gives the run's row, if it has one by now.
func (r *run) rowOf() string {
	if p := r.name.Load(); p != nil {
		return *p
	}
	return ""
}

func (r *run) setOutput(reference string) {
	r.mu.Lock()
	r.output = reference
	r.mu.Unlock()
}

func (r *run) outputReference() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output
}

// start makes a run of a claimed job and lets it go.
func (e *Engine) start(w *work, s *slot, executionID string, startedAt time.Time) {
	r := &run{
		work: w, e: e, slot: s, attempt: 1,
		lease: rqcompat.Lease{Queue: w.queue, ID: w.id, Worker: s.worker.Name, ExecutionID: executionID, StartedAt: startedAt},
	}
	r.progress.run = r
	r.ctx, r.cancel = context.WithCancelCause(e.workCtx)
	r.log = e.log.Hook(jobFields{r})
	e.running.add(r)
	e.jobs.Go(func() { e.execute(r) })
}

// jobFields adds what identifies a job to its log lines. As a hook it costs a
// word per job; a logger with its own fields would hold a buffer.
type jobFields struct{ r *run }

// Run implements zerolog.Hook.
func (f jobFields) Run(line *zerolog.Event, _ zerolog.Level, _ string) {
	line.Str("job_id", f.r.id).Str("queue", f.r.queue).Str("method", f.r.method)
	if f.r.site != "" {
		line.Str("site", f.r.site)
	}
	if name := f.r.rowOf(); name != "" {
		line.Str("job", name).Str("organization", f.r.organization)
	}
}

// execute takes one attempt from admission to its settled end.
func (e *Engine) execute(r *run) {
	verdict := e.admit(r)
	// Nothing of the delivery is needed any more; ten thousand jobs that run for
	// hours need not hold it.
	r.job = nil
	switch {
	case verdict.err != nil:
		e.settle(r, nil, verdict.err)
	case verdict.tidy != nil:
		e.settleDelivery(r, *verdict.tidy)
	case r.row != nil:
		// On a new stack: the queries of the admission have left a deep one.
		e.jobs.Go(func() { e.perform(r) })
		return
	default:
		e.perform(r)
		return
	}
	e.finish(r)
}

// errGoexit is the error of an attempt whose handler left without returning.
var errGoexit = errors.New("the handler called runtime.Goexit instead of returning")

// perform runs the handler of an admitted attempt and settles it. It settles in
// a deferred call, as runtime.Goexit runs nothing else.
func (e *Engine) perform(r *run) {
	var result any
	err := errGoexit
	defer func() {
		if r.ended.CompareAndSwap(false, true) {
			e.settle(r, result, err)
		} else {
			e.abandoned.Add(-1)
			r.log.Warn().Msg("an abandoned handler returned at last; its slot is free again")
		}
		e.finish(r)
	}()
	result, err = e.callHandler(r)
}

// finish frees what an attempt held.
func (e *Engine) finish(r *run) {
	r.settled.Store(true)
	r.cancel(nil)
	e.running.remove(r)
	e.slots.giveBack(r.slot)
}

// callHandler runs the handler under the attempt's clock. A panic becomes an
// error that holds the stack.
func (e *Engine) callHandler(r *run) (result any, err error) {
	if r.timeout > 0 {
		clock := time.AfterFunc(r.timeout, func() { r.cancel(ErrTimeout) })
		defer clock.Stop()
	}
	// From the moment the context ends the handler has a grace period; a handler
	// that ignores its context can't be stopped, only left behind.
	stopWatching := context.AfterFunc(r.ctx, func() {
		time.AfterFunc(time.Duration(e.cfg.CancelGrace), func() { e.abandon(r) })
	})
	defer stopWatching()
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, recovered(v)
		}
	}()
	return r.handler.call(r.ctx, r.delivery(), r.takeParams)
}

// takeParams gives the parameters away; nobody needs them again.
func (r *run) takeParams() json.RawMessage {
	params := r.params()
	r.kwargs, r.args = nil, nil
	if r.row != nil {
		r.row.InputParameters = nil
	}
	return params
}

func (r *run) delivery() Delivery {
	d := Delivery{
		ID: r.id, Name: r.rowOf(), Method: r.method, Site: r.site, User: r.user, Organization: r.organization,
		Attempt: r.attempt, Queue: r.queue, Timeout: r.timeout, Log: r.log, run: r,
	}
	if r.jobType != nil {
		d.JobType = r.jobType.TypeName
	}
	return d
}

// errAbandoned is the error of an attempt whose handler ignores its context.
var errAbandoned = errors.New("the handler ignored its context for the whole grace period and was abandoned")

// abandon settles an attempt whose handler doesn't return. The goroutine goes
// on and keeps its slot; what it still returns is dropped.
func (e *Engine) abandon(r *run) {
	if !r.ended.CompareAndSwap(false, true) {
		return
	}
	e.abandoned.Add(1)
	r.log.Error().AnErr("cause", causeOf(r.ctx)).Dur("grace", time.Duration(e.cfg.CancelGrace)).
		Msg("handler ignores its context: abandoned; its slot stays taken until it returns")
	e.settle(r, nil, errAbandoned)
	r.settled.Store(true)
}

// runs are the attempts under way, found by worker name (RQ's commands) and by
// row (cancel).
type runs struct {
	mu       sync.Mutex
	byWorker map[string]*run
}

func (s *runs) add(r *run) {
	s.mu.Lock()
	s.byWorker[r.lease.Worker] = r
	s.mu.Unlock()
}

func (s *runs) remove(r *run) {
	s.mu.Lock()
	if s.byWorker[r.lease.Worker] == r {
		delete(s.byWorker, r.lease.Worker)
	}
	s.mu.Unlock()
}

func (s *runs) worker(name string) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byWorker[name]
}

func (s *runs) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byWorker)
}

// all lists the attempts that are still to be settled.
func (s *runs) all() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*run, 0, len(s.byWorker))
	for _, r := range s.byWorker {
		if !r.settled.Load() {
			out = append(out, r)
		}
	}
	return out
}

func (s *runs) ofRow(site, name string) *run {
	for _, r := range s.all() {
		if r.site == site && r.rowOf() == name {
			return r
		}
	}
	return nil
}

// startedAt is the fence of a run's row: the very instant that the claim wrote
// to the job's hash, so that a row and its delivery can be matched.
func (r *run) startedAt() time.Time { return r.lease.StartedAt }

// arrivalHash is the job_hash of a row made for a job that came without one. It
// ties the row to the delivery, so that a redelivery finds it again.
func arrivalHash(id string) string { return frappe.Digest("rq:" + id)[:16] }
