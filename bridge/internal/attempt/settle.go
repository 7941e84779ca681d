package attempt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// outcomeBatch is how many outcomes one script settles at most.
const outcomeBatch = 250

// settle ends an attempt with what its handler returned: value is the result as RQ stores it.
func (x *Runner) settle(ctx context.Context, r *run, value string, err *job.Failure) {
	cause := x.causeOf(r, err)
	if err != nil && errors.Is(cause, job.ErrLost) {
		r.Log().Warn("attempt no longer belongs to this worker; its result is dropped", "error", err)
		// This outcome is refused for the job; but the worker's record must not go on to say that it runs.
		x.writeOutcome(ctx, r, ending{kind: rqcompat.OutcomeGivenBack}, "")
		return
	}
	last := r.progress.close()
	e := ended{
		info: r.info, row: r.row, err: err, cause: cause, retry: x.retryOf(r), now: time.Now(),
		said: moves.Said{Percent: last.percent, Message: last.message, LogTail: last.logTail},
	}
	if err == nil {
		e.said.Output = orEmpty(r.output.Load())
	}
	end := e.judge()
	x.logEnding(r, end)
	if end.move == nil {
		x.callBack(r, &end, r.endedAt(rows.BackgroundJob{}))
	} else {
		*end.move = end.move.Saying(x.callBack(r, &end, r.endedAt(end.move.Written())))
	}
	var ours bool
	if end.move == nil {
		ours = x.writeOutcome(ctx, r, end, value)
	} else {
		ours = x.settleRow(ctx, r, &end, value)
	}
	if ours { // else somebody else tells how the job ended
		x.Ended(r.info, end.word(), end.err, time.Since(r.lease.StartedAt))
	}
}

// signalNotice is by when a process that gets the same signal as its programs has begun to stop.
const signalNotice = time.Second

// causeOf tells why an attempt's context ended, nil if it didn't. A program that a signal ended as this process stops, as
// systemd and terminals send one to a whole group, ended because of the stop.
func (x *Runner) causeOf(r *run, err *job.Failure) error {
	cause := job.CauseOf(r.ctx)
	if cause == nil && err != nil && err.Signaled {
		select {
		case <-x.stopping:
			return job.ErrShutdown
		case <-time.After(signalNotice):
		}
	}
	return cause
}

// words are the outcomes as people read them.
var words = map[rqcompat.OutcomeKind]string{
	rqcompat.OutcomeFinished: "finished", rqcompat.OutcomeFailed: "failed",
	rqcompat.OutcomeStopped: "stopped", rqcompat.OutcomeGivenBack: "given back",
	rqcompat.OutcomeRetried: "failed", // RQ has no word for an attempt that wasn't the last
}

// word is the outcome as people read it.
func (e ending) word() string {
	if e.snoozed {
		return "snoozed"
	}
	return words[e.kind]
}

func (x *Runner) retryOf(r *run) job.RetryPolicy {
	if r.handler != nil && r.handler.Retry != nil {
		return *r.handler.Retry
	}
	return x.Retry
}

// logEnding is as loud as somebody has to look: a panic is the handler's fault, a dead letter waits for a person.
func (x *Runner) logEnding(r *run, end ending) {
	took := slog.Duration("took", time.Since(r.lease.StartedAt))
	if end.snoozed {
		r.Log().Info("job snoozed", "until", end.retryAt, "attempt", r.info.Attempt, took)
		return
	}
	if end.kind != rqcompat.OutcomeFailed && end.kind != rqcompat.OutcomeRetried {
		if r.base.Enabled(context.Background(), slog.LevelDebug) {
			r.Log().Debug("job ended", took, "attempt", r.info.Attempt)
		}
		return
	}
	level := slog.LevelInfo
	if end.move != nil && end.move.To == rows.StatusDeadLetter {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("error", job.FirstLine(end.err)), slog.String("error_type", string(end.err.Kind)),
		slog.Int("attempt", r.info.Attempt), took,
	}
	if end.err.Stack != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", string(end.err.Stack)))
	}
	r.Log().LogAttrs(context.Background(), level, "job failed", attrs...)
}

// settleRow moves the row to what the attempt came to, then writes RQ's outcome. If the row was moved meanwhile (a
// cancel), the row wins and the end follows it; if another attempt has it by now, nothing is written, and it is false.
func (x *Runner) settleRow(ctx context.Context, r *run, end *ending, value string) bool {
	var (
		moved   rows.TransitionResult
		refused error
		kind    = end.kind
	)
	outcome := func(ctx context.Context) error {
		x.writeOutcome(ctx, r, *end, value)
		return nil
	}
	ok := x.insist(ctx, r, "row can't be settled yet", func(ctx context.Context) (err error) {
		if err = x.withhold(ctx, end.move); err != nil {
			return err
		}
		moved, err = x.Rows.Apply(ctx, *end.move, outcome)
		if sites.Final(err) && refused == nil {
			refused = err
			r.Log().Error("the row refuses what was to be written; it is settled without any text", "error", err)
			*end.move = end.move.Bare()
			moved, err = x.Rows.Apply(ctx, *end.move, outcome)
		}
		if sites.Final(err) {
			return nil
		}
		if err == nil && !moved.Applied && !moved.Missing && moved.Current != rows.StatusRunning && moved.Current != rows.StatusCanceled {
			moved, err = x.settleOver(ctx, *end.move, moved, outcome)
		}
		return err
	})
	switch {
	case !ok, moved.Applied:
		return true
	case refused != nil && moved.Current == "" && !moved.Missing:
		r.Log().Error("row can't be settled at all; RQ's state tells how the job ended", "error", refused)
	case moved.Missing:
		r.Log().Warn("row was deleted while its job ran")
	case moved.Fenced || moved.Current == rows.StatusRunning || moved.Current == rows.StatusQueued:
		// A rescuer took it away; its delivery is the rescuer's to give back as well.
		r.Log().Warn("row belongs to another attempt by now; this result is dropped")
		return false
	default:
		r.Log().Debug("row was moved meanwhile; the row wins", "status", moved.Current)
		if end.kind = outcomeOf(moved.Current); end.err == nil && end.kind == rqcompat.OutcomeFailed {
			end.err = job.ReadError(fmt.Errorf("row is %s", moved.Current))
		}
		if !moved.Current.Terminal() { // it goes on
			r.callbacks, end.handOver = nil, nil
		}
	}
	if end.kind == rqcompat.OutcomeRetried { // by nobody, since the row doesn't say so
		end.kind, end.snoozed = rqcompat.OutcomeFailed, false
		if end.err == nil {
			end.err = job.ReadError(errors.New("it was to run again, and its row is gone"))
		}
	}
	if end.kind != kind {
		x.callBack(r, end, r.endedAt(rows.BackgroundJob{}))
	}
	x.writeOutcome(ctx, r, *end, value)
	return true
}

// withhold keeps the result of a job back whose organization is suspended by now.
func (x *Runner) withhold(ctx context.Context, m *moves.Move) error {
	if m.To != rows.StatusCompleted || m.Withheld {
		return nil
	}
	withheld, err := x.Rows.Withhold(ctx, m.Site, m.Row, m.Written().OutputReference)
	if withheld {
		*m = m.Withhold()
	}
	return err
}

// settleOver settles a row that isn't Running any more, if its log says that it is: then somebody wrote another state into
// it, which isn't for him to give.
func (x *Runner) settleOver(ctx context.Context, m moves.Move, moved rows.TransitionResult, outcome func(context.Context) error) (rows.TransitionResult, error) {
	found, err := x.Rows.Written(ctx, m.Site, []string{m.Name})
	if err != nil || len(found.Rows) == 0 || found.Rows[0].Last.ToStatus != rows.StatusRunning || found.Rows[0].Row.Status != moved.Current {
		return moved, err
	}
	return x.Rows.Apply(ctx, m.Over(found.Rows[0].Row), outcome)
}

// insist repeats what must not get lost while a server is away, until it works or the process's last moment is over.
// Meanwhile the lease is renewed; a lost one ends the waiting, since the job is then somebody else's.
func (x *Runner) insist(ctx context.Context, r *run, what string, try func(context.Context) error) bool {
	pause := wait.Backoff{Log: r.Log(), What: what}
	for {
		err := try(ctx)
		if err == nil {
			pause.Succeeded()
			return true
		}
		if ctx.Err() != nil || errors.Is(job.CauseOf(r.ctx), job.ErrLost) {
			r.Log().Error(what+"; left to the next delivery", "error", err)
			return false
		}
		pause.Failed(ctx, err)
	}
}

// stoppedText is what RQ writes for a job that stop-job ended.
const stoppedText = "Job stopped by user, work-horse terminated."

// retrySlack is how much later than the engine RQ's own schedulers look after a retry. They are there for a bench whose
// bridges are all away, and not to run a race with the move of the row, whose delivery takes the job out of their hands.
const retrySlack = 5 * time.Second

// writeOutcome writes the attempt's end to Redis; it is false if the job is somebody else's there.
func (x *Runner) writeOutcome(ctx context.Context, r *run, end ending, value string) bool {
	o := rqcompat.Outcome{Lease: r.lease, Kind: end.kind, EndedAt: time.Now(), NoRQRetry: r.row != nil || end.permanent, HandOver: end.handOver}
	switch end.kind {
	case rqcompat.OutcomeFinished:
		o.ReturnValue = value
	case rqcompat.OutcomeStopped:
		o.Exc = stoppedText
	case rqcompat.OutcomeRetried:
		o.RetryAt = end.retryAt
		if r.row != nil {
			o.RetryAt = o.RetryAt.Add(retrySlack)
		}
	case rqcompat.OutcomeFailed:
		o.Exc = job.Traceback(end.err, r.info.Method)
		if !o.NoRQRetry {
			o.RetryIn, o.RetryLimit = x.retryIn(r, end.err)
		}
	}
	ours := x.hand(ctx, r, o)
	if end.kind == rqcompat.OutcomeFailed && ours {
		x.Failed(r.lease.Queue) // now that it has grown: a trim before that would have missed this job
	}
	return ours
}

// retryIn is when a job without a row is tried again, and how often at most; zero after its last retry. RQ's own retries,
// where its producer asked for some, come instead.
func (x *Runner) retryIn(r *run, err *job.Failure) (pause time.Duration, limit int) {
	intervals := x.RetryIntervals
	if r.handler != nil && r.handler.RetryIntervals != nil {
		intervals = r.handler.RetryIntervals
	}
	if r.info.Attempt > len(intervals) {
		return 0, 0
	}
	next := intervals[r.info.Attempt-1]
	return job.PauseAfter(err, job.RetryPolicy{Base: next, Max: next, Jitter: -1}, 1), len(intervals)
}

// settleDelivery ends a delivery whose row needs nothing.
func (x *Runner) settleDelivery(ctx context.Context, r *run, kind rqcompat.OutcomeKind) {
	end := ending{kind: kind, permanent: true}
	if kind == rqcompat.OutcomeFailed {
		end.err = job.ReadError(fmt.Errorf("row %s is %s: %s", r.row.Name, r.row.Status, r.row.ErrorMessage))
	}
	x.callBackOfRow(r, &end)
	if x.writeOutcome(ctx, r, end, "") && x.Tidied != nil && kind != rqcompat.OutcomeGivenBack {
		x.Tidied()
	}
}

// hand gives an outcome to the next batch; it is false if the job is somebody else's.
func (x *Runner) hand(ctx context.Context, r *run, o rqcompat.Outcome) bool {
	var answer rqcompat.Answer[rqcompat.OutcomeResult]
	ok := x.insist(ctx, r, "outcome can't be written yet", func(ctx context.Context) (err error) {
		if answer, err = x.outcome(ctx, r, o); err == nil || passes(err) {
			return err
		}
		r.Log().Error("the outcome can't be written in full: it is too large, or what belongs to the job holds something else; it ends without result, and dependents are not released",
			"error", err)
		answer.Result, answer.Err = x.RQ.SettleBare(ctx, o)
		if passes(answer.Err) {
			return answer.Err
		}
		return nil
	})
	switch {
	case !ok:
	case answer.Err != nil:
		r.Log().Error("the outcome can't be written at all; the lease lapses, and maintenance decides", "error", answer.Err)
	case answer.Result == rqcompat.SettledHandedOver:
		r.Log().Info("handed a callback to Python", "kind", o.HandOver.Kind, "callback", o.HandOver.Name, "as", o.HandOver.ID, "on", o.HandOver.Queue)
	case answer.Result == rqcompat.NotOwner:
		r.Log().Info("delivery was no longer this worker's", "result", int(answer.Result))
		return r.row != nil || r.bereft.Load()
	case answer.Result != rqcompat.Settled:
		r.Log().Info("delivery was no longer this worker's", "result", int(answer.Result))
	}
	return true
}

// outcome writes an outcome with others. An attempt that Redis knows nothing of, since it has lost data, is put back first.
func (x *Runner) outcome(ctx context.Context, r *run, o rqcompat.Outcome) (answer rqcompat.Answer[rqcompat.OutcomeResult], err error) {
	r.settling.Lock()
	defer r.settling.Unlock()
	answer, err = x.outcomes.Do(ctx, o)
	unknown := err == nil && answer.Err == nil && (answer.Result == rqcompat.NotOwner || answer.Result == rqcompat.JobDeleted)
	if unknown && x.restoreOne(ctx, r) {
		answer, err = x.outcomes.Do(ctx, o)
	}
	err = cmp.Or(err, answer.Err)
	r.told = err == nil
	return answer, err
}

// passes reports whether an error says nothing of the job: the call is made again.
func passes(err error) bool { return err != nil && rqcompat.Judge(err) != rqcompat.Final }
