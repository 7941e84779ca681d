package attempt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// execute takes one attempt from admission to its settled end.
func (x *Runner) execute(settle context.Context, r *run, q *job.Queued) {
	a := x.admit(r, q)
	switch {
	case a.refusal != nil:
		defer x.finish(r)
		x.settle(settle, r, "", job.ReadError(a.refusal))
	case a.delivery != 0:
		defer x.finish(r)
		x.settleDelivery(settle, r, a.delivery)
	case r.row != nil:
		// On a new stack: the queries of the admission have left a deep one.
		x.jobs.Go(func() { x.perform(settle, r, a.params) })
	default:
		x.perform(settle, r, a.params)
	}
}

// errGoexit is the error of an attempt whose handler left without returning.
var errGoexit = errors.New("the handler called runtime.Goexit instead of returning")

// perform runs the handler of an admitted attempt and settles it, deferred: after runtime.Goexit nothing else runs.
func (x *Runner) perform(settle context.Context, r *run, params json.RawMessage) {
	value, err := "", job.ReadError(errGoexit)
	defer x.finish(r)
	defer func() {
		if r.ended.CompareAndSwap(false, true) {
			x.settle(settle, r, value, err)
		} else {
			x.abandoned.Add(-1)
			r.Log().Warn("an abandoned handler returned at last; its slot is free again")
		}
	}()
	value, err = x.callHandler(settle, r, params)
}

// finish frees what an attempt held.
func (x *Runner) finish(r *run) {
	r.settled.Store(true)
	r.cancel(nil)
	x.running.remove(r)
	x.Slots.GiveBack(r.slot)
}

// callHandler runs the handler under the attempt's clock and gives its result as RQ stores it. A panic becomes an error that
// holds the stack. Error and result are read here, as they run code of the handler's.
func (x *Runner) callHandler(settle context.Context, r *run, params json.RawMessage) (value string, failure *job.Failure) {
	if r.info.Timeout > 0 {
		clock := time.AfterFunc(r.info.Timeout, func() { r.cancel(job.ErrTimeout) })
		defer clock.Stop()
	}
	// A handler that ignores its ended context for the grace period can't be stopped, only left behind.
	stopWatching := context.AfterFunc(r.ctx, func() { time.AfterFunc(x.CancelGrace, func() { x.abandon(settle, r) }) })
	defer stopWatching()
	result, err := job.Protect(func() (any, error) { return r.handler.Call(r.ctx, r.info, params, heard{r}) })
	if err != nil {
		return "", job.ReadError(err)
	}
	value, err = job.EncodeResult(result, r.serializer)
	switch {
	case errors.Is(err, job.ErrResultTooLarge):
		return "", job.ReadError(err)
	case err != nil:
		r.Log().Warn("return value can't be expressed for Python", "error", err)
	}
	return value, nil
}

// abandon settles an attempt whose handler doesn't return: it keeps its slot, and what it still returns is dropped.
func (x *Runner) abandon(settle context.Context, r *run) {
	if !r.ended.CompareAndSwap(false, true) {
		return
	}
	x.abandoned.Add(1)
	r.abandoned.Store(true)
	r.Log().Error("handler ignores its context: abandoned; its slot stays taken until it returns",
		"cause", job.CauseOf(r.ctx), "grace", x.CancelGrace)
	x.settle(settle, r, "", job.ReadError(job.ErrAbandoned))
	r.settled.Store(true)
}

// admission is what becomes of a claimed job: it runs with its parameters, is refused, or only its delivery ends, as its
// row says.
type admission struct {
	params   json.RawMessage
	refusal  error
	delivery rqcompat.OutcomeKind
}

func refused(err error) admission                      { return admission{refusal: err} }
func onlyDelivery(kind rqcompat.OutcomeKind) admission { return admission{delivery: kind} }

// unreadyPause is how long a job that goes back because a server is away is held, so as not to go round and round.
const unreadyPause = time.Second

// defaultTimeout is that of a job without a row whose hash names none: rq/defaults.py DEFAULT_TIMEOUT.
const defaultTimeout = 180 * time.Second

// admit prepares r to run. The row is the truth: if it needs nothing done, its delivery is only tidied up.
func (x *Runner) admit(r *run, q *job.Queued) admission {
	if q.Broken != nil {
		if q.Row != nil {
			r.setRow(q.Row)
		}
		if a, done := needsNothing(r); done {
			return a
		}
		return refused(q.Broken)
	}
	answer := x.Ask(r.ctx, route.Question(q, policy.AtStart))
	if answer.Verdict == policy.Wait {
		// Since it was routed, which may be long ago. Back on its queue it is routed anew, and waits.
		if answer.Err != nil {
			return x.unready(r, "it can't be known whether the job may start; it goes back to its queue", answer.Err)
		}
		return onlyDelivery(rqcompat.OutcomeGivenBack)
	}
	var (
		params json.RawMessage
		lossy  []string
		err    error
	)
	wait.Large(q.Memory, func() { params, lossy, err = q.Params() })
	if err != nil {
		return refused(err)
	}
	r.info.Lossy = lossy
	if q.JobType == nil {
		r.info.Timeout = defaultTimeout
		if q.Timeout != nil {
			r.info.Timeout = *q.Timeout
		}
		if x.overdue(r, time.Now()) {
			return onlyDelivery(rqcompat.OutcomeGivenBack)
		}
		return admission{params: params}
	}
	a, err := x.admitRow(r, q, answer, params)
	cause := job.CauseOf(r.ctx)
	switch {
	case err == nil:
		return a
	case errors.Is(cause, job.ErrStopped), errors.Is(cause, job.ErrCanceled):
		return refused(err)
	case cause == nil && sites.Final(err):
		return refused(job.Refuse("RowError", "the row can't be written: %v", err))
	}
	return x.unready(r, "row can't be moved now; the job goes back to its queue", err)
}

// unready gives back a job for which a server is away.
func (x *Runner) unready(r *run, what string, err error) admission {
	x.said.Warn(r.Log(), what, r.info.Site, "error", err)
	wait.Sleep(r.ctx, unreadyPause)
	return onlyDelivery(rqcompat.OutcomeGivenBack)
}

// admitRow makes sure of the row and moves it to Running.
func (x *Runner) admitRow(r *run, q *job.Queued, answer policy.Answer, params json.RawMessage) (admission, error) {
	if q.Row == nil {
		if q.Organization == "" {
			return refused(policy.NeedsOrganization(q.JobType.TypeName)), nil
		}
		row, err := x.Rows.Arrive(r.ctx, q.Site, arrival(q, params, r.lease.StartedAt))
		if err != nil {
			return admission{}, err
		}
		if row.Organization != q.Organization || row.OwnerUser != q.User || row.JobType != q.JobType.TypeName {
			return refused(job.Refuse("RowError", "Background Job %s was made for this job, and belongs to somebody else by now", row.Name)), nil
		}
		q.Row = row
		if !bytes.Equal(row.InputParameters, params) { // it was there, and somebody may have mended it before this retry
			params, r.info.Lossy = row.InputParameters, nil
		}
	}
	r.setRow(q.Row)
	if a, done := needsNothing(r); done {
		return a, nil
	}
	if x.premature(q) {
		r.Log().Info("row waits for its retry; this delivery, which isn't its own, is dropped")
		return onlyDelivery(rqcompat.OutcomeFinished), nil
	}
	if answer.Verdict == policy.Refuse {
		return refused(answer.Err), nil
	}
	r.info.Timeout = time.Duration(max(r.row.TimeoutSeconds, 0)) * time.Second
	a, err := x.asTrial(r, answer.Trial, func() (admission, error) { return x.moveToRunning(r, before(q, r.info.Lossy)) })
	a.params = params
	return a, err
}

// asTrial starts a job, where that would be the trial of a circuit breaker only if no other is.
func (x *Runner) asTrial(r *run, breaker string, start func() (admission, error)) (admission, error) {
	if breaker == "" {
		return start()
	}
	ctx := context.WithoutCancel(r.ctx)
	if won, err := x.Trials.Try(ctx, r.info.Site, breaker, r.row); err != nil || !won {
		return onlyDelivery(rqcompat.OutcomeGivenBack), err
	}
	a, err := start()
	if err != nil || a.refusal != nil || a.delivery != 0 {
		x.Trials.NotTried(ctx, r.info.Site, breaker, r.row)
	}
	return a, err
}

// premature reports whether a job that is none of the row's own deliveries would start it before its retry is due, which
// spends that. Who requeues the row's own in RQ wants just that.
func (x *Runner) premature(q *job.Queued) bool {
	site, name, ok := x.RowOfJob(q.ID)
	own := q.RowName == "" || ok && site == q.Site && name == q.RowName
	waits := q.Row.Status == rows.StatusFailed || q.Row.Status == rows.StatusTimedOut
	return !own && waits && time.Now().Before(q.Row.NextRetryAt)
}

// toldLosses is how much of what the parameters lost a row's log says.
const toldLosses = 10

// before is what the log says beside that the worker started: what happened to the delivery, and to the parameters.
func before(q *job.Queued, lossy []string) string {
	var texts []string
	if q.Before != "" {
		texts = append(texts, q.Before)
	}
	if n := len(lossy); n > toldLosses {
		lossy = append(slices.Clone(lossy[:toldLosses]), fmt.Sprintf("and %d more", n-toldLosses))
	}
	if len(lossy) > 0 {
		texts = append(texts, "parameters from Python: "+strings.Join(lossy, ", "))
	}
	return strings.Join(texts, "; ")
}

// arrival is the row of a job that came by frappe.enqueue alone. Frappe always sends a timeout, the queue's if the caller
// named none: only one that differs from that is the caller's, and goes before the Job Type's. claimed is when its attempt was.
func arrival(q *job.Queued, params json.RawMessage, claimed time.Time) rows.NewJob {
	timeout := q.JobType.DefaultTimeout
	if sent := q.Timeout; sent != nil && *sent > 0 && (*sent != q.Queue.Timeout || timeout <= 0) {
		timeout = int(*sent / time.Second)
	}
	made := sites.Arrival{ID: q.ID, CreatedAt: q.CreatedAt}
	return rows.NewJob{
		JobType: q.JobType.TypeName, Organization: q.Organization, OwnerUser: q.User,
		Priority: q.JobType.DefaultPriority, JobHash: made.Hash(), MaxRetries: q.JobType.MaxRetries,
		TimeoutSeconds: timeout, InputParameters: params, Status: rows.StatusQueued,
		CreatedMessage: made.Message(), CreatedAt: claimed,
	}
}

// moveToRunning is the compare-and-swap that makes this attempt the row's. What was moved since it was read goes back to its queue:
// the attempt's number, its parameters and its limits may be others by now.
func (x *Runner) moveToRunning(r *run, before string) (admission, error) {
	if x.overdue(r, time.Now()) { // it may be somebody else's by now, who has run it, and the row be queued for what comes next
		return onlyDelivery(rqcompat.OutcomeGivenBack), nil
	}
	var result rows.TransitionResult
	start := func() (err error) {
		result, err = x.Rows.Apply(context.WithoutCancel(r.ctx), moves.Start(r.info.Site, r.row, r.lease.StartedAt, before), nil)
		return err
	}
	err := start()
	if errors.Is(err, rows.ErrOutcomeUnknown) {
		// A delivery that went back might find the row running, and nobody would be running it.
		x.insist(r.ctx, r, "it isn't known whether the row is Running", func(context.Context) error {
			if err = start(); sites.Final(err) {
				return nil
			}
			return err
		})
	}
	switch {
	case err != nil:
		return admission{}, err
	case result.Applied:
		r.info.Attempt, r.fence = r.row.RetryCount+1, r.row.StartedRaw
		return admission{}, nil
	case result.Missing:
		return refused(job.Refuse("RowError", "Background Job %s was deleted", r.row.Name)), nil
	}
	r.row.Status = result.Current
	if a, done := needsNothing(r); done {
		return a, nil
	}
	r.Log().Debug("row was moved since it was read; its delivery goes back to its queue", "status", r.row.Status)
	return onlyDelivery(rqcompat.OutcomeGivenBack), nil
}

// needsNothing ends the delivery of a row that is final already, in the words RQ has for it, or that is running:
// someone else's attempt. If its worker died, maintenance sets the row back and delivers it again.
func needsNothing(r *run) (a admission, done bool) {
	switch {
	case r.row == nil:
	case r.row.Status.Terminal():
		r.Log().Debug("row is final; its delivery is tidied up", "status", r.row.Status)
		return onlyDelivery(outcomeOf(r.row.Status)), true
	case r.row.Status == rows.StatusRunning:
		r.Log().Info("row is running already; this second delivery is dropped")
		return onlyDelivery(rqcompat.OutcomeFinished), true
	}
	return admission{}, false
}
