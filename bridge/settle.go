package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Step 6: settle. The row and its log in one transaction, then RQ's outcome,
// then the events. A crash in between is mended by whoever gets the delivery
// next: it finds a final row and only tidies up. This file is the only writer
// of final statuses.

// ending is what an attempt comes to.
type ending struct {
	kind   rqcompat.OutcomeKind
	to     frappe.Status
	via    frappe.Status
	viaMsg string
	msg    string
	set    map[string]any
	err    error // what RQ's result says; nil for success
	// retryAt is when the row is due again; zero if it isn't.
	retryAt time.Time
	final   bool // RQ must not retry by itself
}

// settle ends an attempt with what its handler returned.
func (e *Engine) settle(r *run, result any, err error) {
	cause := causeOf(r.ctx)
	if err != nil && errors.Is(cause, ErrLost) {
		r.log.Warn().Err(err).Msg("attempt no longer belongs to this worker; its result is dropped")
		// Of the job nothing is written; the worker's record and what is left of
		// the execution must not go on to say that it runs.
		e.deliver(r, rqcompat.Outcome{Lease: r.lease, Kind: rqcompat.OutcomeGivenBack, EndedAt: time.Now()})
		return
	}
	percent, message := r.progress.close()
	end := e.judge(r, err, cause)
	end.set["progress"], end.set["progress_message"] = percent, message
	if err == nil {
		end.set["progress"] = 100
		if ref := r.outputReference(); ref != "" {
			end.set["output_reference"] = ref
		}
	}
	if r.row != nil && !e.settleRow(r, &end) {
		return
	}
	e.settleOutcome(r, end, result)
}

// judge decides what an attempt comes to.
func (e *Engine) judge(r *run, err, cause error) ending {
	now := time.Now()
	ended := map[string]any{"completed_at": now}
	switch {
	case err == nil:
		return ending{kind: rqcompat.OutcomeFinished, to: frappe.StatusCompleted, msg: "Job completed successfully", set: ended}
	case errors.Is(cause, ErrShutdown) && (r.row == nil || r.row.Status == frappe.StatusRunning):
		return ending{
			kind: rqcompat.OutcomeGivenBack, via: frappe.StatusFailed, viaMsg: "Worker is shutting down",
			to: frappe.StatusQueued, msg: "Job given back to the queue", set: map[string]any{"started_at": nil},
		}
	case errors.Is(cause, ErrCanceled), errors.Is(cause, ErrStopped):
		msg := "Job canceled"
		if errors.Is(cause, ErrStopped) {
			msg = "Job stopped by user"
		}
		if errors.Is(err, errAbandoned) {
			msg += "; its handler ignored that and was abandoned"
		}
		return ending{kind: rqcompat.OutcomeStopped, to: frappe.StatusCanceled, msg: msg, err: err, set: map[string]any{"canceled_at": now}}
	case errors.Is(cause, ErrTimeout):
		err = &timeoutError{limit: r.timeout, abandoned: errors.Is(err, errAbandoned)}
	case errors.Is(cause, ErrKilled):
		err = fmt.Errorf("%w (%w)", ErrKilled, err)
	}
	return e.judgeFailure(r, err, errors.Is(cause, ErrTimeout), now)
}

// judgeFailure decides between another attempt and the dead letters.
func (e *Engine) judgeFailure(r *run, err error, timedOut bool, now time.Time) ending {
	kind := classify(err)
	end := ending{
		kind: rqcompat.OutcomeFailed, err: err, final: kind == ErrorPermanent,
		set: map[string]any{"error_message": err.Error(), "error_type": string(kind)},
	}
	failed, msg := frappe.StatusFailed, "Job failed: "+firstLine(err)
	if timedOut {
		failed, msg = frappe.StatusTimedOut, err.Error()
	}
	switch {
	case r.row == nil:
	case kind == ErrorPermanent:
		end.to, end.msg = frappe.StatusDeadLetter, msg
		end.set["completed_at"] = now
	case r.row.RetryCount >= r.row.MaxRetries:
		end.via, end.viaMsg = failed, msg
		end.to, end.msg = frappe.StatusDeadLetter, fmt.Sprintf("Retries exhausted after %d attempts", r.attempt)
		end.set["completed_at"] = now
	default:
		pause := pauseAfter(err, e.cfg.Retry.policy(), r.attempt)
		end.retryAt = now.Add(pause)
		end.to, end.msg = failed, fmt.Sprintf("%s (retry %d of %d in %s)", msg, r.attempt, r.row.MaxRetries, pause.Round(time.Second))
		end.set["next_retry_at"] = end.retryAt
	}
	return end
}

// settleRow moves the row to what the attempt came to. It reports false when
// the delivery is somebody else's by now. If the row was moved meanwhile (a
// cancel), the row wins and end follows it.
func (e *Engine) settleRow(r *run, end *ending) bool {
	move := frappe.Transition{
		Name: r.row.Name, From: r.row.Status, Via: end.via, ViaMessage: end.viaMsg, To: end.to, Message: end.msg, Set: end.set,
	}
	if r.row.Status == frappe.StatusRunning {
		move.StartedAt = r.startedAt()
	} else if r.row.Status == frappe.StatusPending {
		move.Via, move.ViaMessage = frappe.StatusQueued, "Job enqueued"
	}
	var (
		result  frappe.TransitionResult
		refused error
	)
	ok := e.insist(r, "row can't be settled yet", func(ctx context.Context) error {
		w, err := e.sites.of(ctx, r.site)
		if err == nil {
			result, err = e.move(ctx, w, move)
		}
		if err != nil && !mendable(err) {
			refused, err = err, nil
		}
		return err
	})
	switch {
	case !ok:
		return false
	case refused != nil:
		r.log.Error().Err(refused).Msg("row can't be settled at all; RQ's state tells how the job ended")
	case result.Applied:
		for _, field := range result.Cut {
			r.log.Warn().Str("field", field).Msg("text was too long for its field and was cut")
		}
		e.publishMove(r.site, r.row, move, result)
		if !end.retryAt.IsZero() {
			e.schedule.wakeAt(end.retryAt)
		}
	case result.Missing:
		r.log.Warn().Msg("row was deleted while its job ran")
	case result.Fenced || result.Current == frappe.StatusRunning || result.Current == frappe.StatusQueued:
		// A rescuer took it away; its delivery is the rescuer's to give back as well.
		r.log.Warn().Msg("row belongs to another attempt by now; this result is dropped")
		return false
	default:
		r.log.Debug().Str("status", string(result.Current)).Msg("row was moved meanwhile; the row wins")
		end.kind = outcomeOf(result.Current)
	}
	return true
}

// outcomeOf gives RQ's word for a row's status.
func outcomeOf(s frappe.Status) rqcompat.OutcomeKind {
	switch s {
	case frappe.StatusCompleted:
		return rqcompat.OutcomeFinished
	case frappe.StatusCanceled:
		return rqcompat.OutcomeStopped
	}
	return rqcompat.OutcomeFailed
}

// stoppedText is what RQ writes for a job that stop-job ended.
const stoppedText = "Job stopped by user, work-horse terminated."

// settleOutcome writes the attempt's end to Redis.
func (e *Engine) settleOutcome(r *run, end ending, result any) {
	o := rqcompat.Outcome{
		Lease: r.lease, Kind: end.kind, EndedAt: time.Now(), NoRQRetry: r.row != nil || end.final,
	}
	switch end.kind {
	case rqcompat.OutcomeFinished:
		o.ReturnValue = returnValue(r, result)
	case rqcompat.OutcomeStopped:
		o.Exc = stoppedText
	case rqcompat.OutcomeFailed:
		err := end.err
		if err == nil {
			err = fmt.Errorf("row is %s", end.to)
		}
		o.Exc = traceback(err, r.method)
		r.log.Info().Str("error", firstLine(err)).Str("error_type", string(classify(err))).Int("attempt", r.attempt).Msg("job failed")
		e.chores.failed(r.queue)
	}
	e.deliver(r, o)
}

// settleDelivery ends a delivery whose row needs nothing.
func (e *Engine) settleDelivery(r *run, kind rqcompat.OutcomeKind) {
	o := rqcompat.Outcome{Lease: r.lease, Kind: kind, EndedAt: time.Now(), NoRQRetry: true}
	switch kind {
	case rqcompat.OutcomeFailed:
		o.Exc = traceback(fmt.Errorf("row %s is %s: %s", r.row.Name, r.row.Status, r.row.ErrorMessage), r.method)
	case rqcompat.OutcomeStopped:
		o.Exc = stoppedText
	}
	e.deliver(r, o)
}

// outcomeAnswer is what became of one outcome of a batch.
type outcomeAnswer struct {
	result rqcompat.OutcomeResult
	err    error
}

// settleTogether writes a batch of outcomes in one script. If Redis refuses
// that, one of them meets something odd, a key of the wrong type for instance;
// each is then tried by itself, so that it keeps nobody else.
func (e *Engine) settleTogether(ctx context.Context, os []rqcompat.Outcome) ([]outcomeAnswer, error) {
	results, err := e.rq.Settle(ctx, os)
	if err != nil && IsAway(err) {
		return nil, err
	}
	answers := make([]outcomeAnswer, len(os))
	for i := range os {
		if err == nil {
			answers[i].result = results[i]
			continue
		}
		one, err := e.rq.Settle(ctx, os[i:i+1])
		if answers[i].err = err; err == nil {
			answers[i].result = one[0]
		}
	}
	return answers, nil
}

// deliver hands the outcome to the next batch.
func (e *Engine) deliver(r *run, o rqcompat.Outcome) {
	var answer outcomeAnswer
	ok := e.insist(r, "outcome can't be written yet", func(ctx context.Context) (err error) {
		answer, err = e.outcomes.Do(ctx, o)
		if err == nil && IsAway(answer.err) {
			err = answer.err
		}
		return err
	})
	switch {
	case !ok:
	case answer.err != nil:
		r.log.Error().Err(answer.err).Msg("Redis refuses the outcome; the lease lapses, and maintenance decides")
	case answer.result != rqcompat.Settled:
		r.log.Info().Int("result", int(answer.result)).Msg("delivery was no longer this worker's")
	}
}

// insist repeats what must not get lost while a server is away, until it works
// or the engine's last moment is over. Meanwhile the lease is renewed; a lost
// one ends the waiting, since the job is then somebody else's.
func (e *Engine) insist(r *run, what string, try func(context.Context) error) bool {
	pause := backoff{log: r.log, what: what}
	for {
		err := try(e.settleCtx)
		if err == nil {
			pause.succeeded()
			return true
		}
		if e.settleCtx.Err() != nil || errors.Is(causeOf(r.ctx), ErrLost) {
			r.log.Error().Err(err).Msg(what + "; left to the next delivery")
			return false
		}
		pause.failed(e.settleCtx, err)
	}
}

// returnValue encodes what a handler returned for RQ's result stream. Anything
// that JSON can express is kept; the rest becomes RQ's own notice.
func returnValue(r *run, result any) string {
	if result == nil {
		return ""
	}
	if text, err := rqcompat.EncodeResult(result); err == nil {
		return text
	}
	text, err := throughJSON(result)
	if err == nil {
		return text
	}
	r.log.Warn().Err(err).Msg("return value can't be expressed for Python")
	text, _ = rqcompat.EncodeResult("Unserializable return value")
	return text
}

// throughJSON encodes what only encoding/json knows to express: structs, and
// types with a MarshalJSON of their own, which may panic.
func throughJSON(result any) (text string, err error) {
	defer func() {
		if v := recover(); v != nil {
			text, err = "", fmt.Errorf("encoding it panicked: %v", v)
		}
	}()
	b, err := json.Marshal(result)
	if err != nil {
		return "", err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // an int must not become a float on its way
	var plain any
	if err := d.Decode(&plain); err != nil {
		return "", err
	}
	return rqcompat.EncodeResult(plain)
}

func firstLine(err error) string {
	text := err.Error()
	for i, c := range text {
		if c == '\n' || i > 200 {
			return text[:i]
		}
	}
	return text
}
